"""The tests of the Trainer again, with the last transformers 4, in an environment of its own.

It holds transformers 4.57 and what that needs in other versions; all else, torch above all, comes from
the environment that runs this.
"""

from __future__ import annotations

import os
import re
import subprocess
import sysconfig
import venv
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TESTS = (
    "test_transformers.py",
    "test_transformers_jobs.py",
    "test_transformers_processes.py::test_two_processes_under_torchrun_tell_one_story",
)

ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")},
    "USE_TF": "0",  # transformers 4 imports a TensorFlow it finds, and then refuses the Keras beside it
    "USE_FLAX": "0",
}


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """Return the interpreter of that environment, in front of the one that runs this."""
    directory = tmp_path_factory.mktemp("transformers-4")
    venv.create(directory, with_pip=True)
    python = directory / "bin" / "python"
    own = subprocess.check_output(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
    )
    outer = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})"
    Path(own.strip(), "outer.pth").write_text(outer + "\n")
    packages = ("transformers>=4.57,<5", "datasets<5")  # the next datasets want another huggingface-hub
    subprocess.run(
        [python, "-m", "pip", "install", "-q", *packages], check=True, timeout=240, env=ENVIRONMENT
    )
    return str(python)


def run_pytest(python, *arguments):
    return subprocess.run(
        [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=ROOT,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
        check=False,
    )


@pytest.mark.timeout(900)
@pytest.mark.parametrize("tests", TESTS)
def test_every_test_of_the_trainer_passes_with_transformers_4(python, tests):
    version = subprocess.check_output(
        [python, "-c", "import transformers; print(transformers.__version__)"],
        text=True,
        env=ENVIRONMENT,
    )

    result = run_pytest(python, str(HERE / tests))

    assert version.startswith("4.57.")
    assert result.returncode == 0, result.stdout
    assert re.search(r"\d+ passed", result.stdout), result.stdout
    assert "skipped" not in result.stdout, result.stdout
