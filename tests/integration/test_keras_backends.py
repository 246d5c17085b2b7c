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
BACKENDS = ("torch", "jax", "tensorflow")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("backend", [name for name in BACKENDS if name != keras.backend.backend()])
def test_on_another_backend_every_test_passes_and_none_is_skipped(backend):
    quick = ("-q", "-p", "no:cacheprovider", "--tb=short")

    run = subprocess.run(
        [sys.executable, "-m", "pytest", *quick, *(str(HERE / name) for name in FILES)],
        env={**os.environ, "KERAS_BACKEND": backend, "CI": "true", "TF_CPP_MIN_LOG_LEVEL": "3"},
        cwd=HERE.parents[1],
        capture_output=True,
        text=True,
        timeout=570,
    )

    summary = re.search(r"^(\d+) passed(.*) in ", run.stdout, re.MULTILINE)
    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-2000:]
    assert summary is not None, run.stdout[-5000:]
    assert (int(summary[1]) > 100, summary[2]) == (True, ""), summary[0]
