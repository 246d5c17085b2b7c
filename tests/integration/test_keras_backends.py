"""The tests of Keras on its other backends, each in a process of its own: Keras reads KERAS_BACKEND once."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import keras
import pytest

HERE = Path(__file__).parent
FILES = ("test_keras.py", "test_keras_data.py", "test_keras_jobs.py")
OTHERS = [name for name in ("torch", "jax", "tensorflow") if name != keras.backend.backend()]
TIMEOUT_S = 900


@pytest.fixture(scope="module")
def processes(tmp_path_factory):
    """All other backends at once: one alone uses one core."""
    quick = ("-q", "-p", "no:cacheprovider", "--tb=short")
    started = {}
    for backend in OTHERS:
        output = tmp_path_factory.mktemp(backend) / "output"
        with output.open("w") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "pytest", *quick, *(str(HERE / name) for name in FILES)],
                env={**os.environ, "KERAS_BACKEND": backend, "CI": "true", "TF_CPP_MIN_LOG_LEVEL": "3"},
                cwd=HERE.parents[1],
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        started[backend] = process, output
    yield started
    for process, _ in started.values():
        process.kill()
        process.wait()


@pytest.mark.timeout(TIMEOUT_S + 30)
@pytest.mark.parametrize("backend", OTHERS)
def test_on_another_backend_every_test_passes_and_none_is_skipped(processes, backend):
    process, output = processes[backend]

    code = process.wait(TIMEOUT_S)

    text = output.read_text()
    summary = re.search(r"^(\d+) passed(.*) in ", text, re.MULTILINE)
    assert code == 0, text[-5000:]
    assert summary is not None, text[-5000:]
    assert (int(summary[1]) > 100, summary[2]) == (True, ""), summary[0]
