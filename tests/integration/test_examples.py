"""The examples are what people copy: each runs as it stands, and needs no server."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from argus_core.events import decode_event

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("script", "metric"),
    [
        ("lightning_example", "MSE"),
        ("transformers_example", "accuracy"),
        ("keras_example", "MSE"),
        ("with_accelerate", "MSE"),
        ("with_sklearn", "MSE"),
    ],
)
def test_an_example_ends_with_a_row_of_the_leaderboard(script, metric, tmp_path):
    environment = {
        **os.environ,
        "ARGUS_HOME": str(tmp_path / "home"),
        "PYTHONPATH": str(ROOT),
        "KERAS_BACKEND": "torch",
        "OMP_NUM_THREADS": "1",
    }

    subprocess.run(
        [sys.executable, str(ROOT / "examples" / f"{script}.py")],
        env=environment,
        cwd=tmp_path,
        check=True,
        capture_output=True,
        timeout=120,
    )

    lines = [line for path in tmp_path.rglob("*.jsonl") for line in path.read_bytes().splitlines()]
    events = [decode_event(line) for line in lines if b'"event_type"' in line]
    assert [event.event_type for event in events][:2] == ["batch_start", "job_start"]
    assert [event.event_type for event in events][-2:] == ["job_done", "batch_done"]
    assert events[0].source.project == "leaderboard-demo"
    assert metric in events[-2].data["metrics"]
