"""The public `argus-reporter` package, installed from the registry, against our server, unchanged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import venv
from pathlib import Path

import pytest
import requests
from real_server import RealServer

PACKAGE = "argus-reporter==0.1.3"


@pytest.fixture(scope="module")
def foreign_python(tmp_path_factory):
    """An environment of its own with nothing but that package."""
    directory = tmp_path_factory.mktemp("foreign")
    venv.create(directory, with_pip=True)
    python = directory / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", PACKAGE], check=True, timeout=240)
    return str(python)


@pytest.fixture
def server(tmp_path):
    server = RealServer(tmp_path)
    yield server
    server.end()


@pytest.fixture
def run(foreign_python, server, tmp_path):
    token = server.make_token("report")

    def run(script: str) -> None:
        result = subprocess.run(
            [foreign_python, "-c", textwrap.dedent(script)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "ARGUS_URL": server.url,
                "ARGUS_TOKEN": token,
            },
        )
        assert result.returncode == 0, result.stderr

    return run


SWEEP = """
    import time
    from argus import Reporter
    with Reporter("foreign", experiment_type="forecast", source_project="foreign", n_total=2,
                  heartbeat=0.05, stop_polling=0.05, resource_snapshot=0.05) as reporter:
        for job_id, model in [("j1", "transformer"), ("j2", "patchtst")]:
            with reporter.job(job_id, model=model, dataset="etth1") as job:
                assert not job.stopped
                for epoch in range(20):
                    job.epoch(epoch, train_loss=1 / (epoch + 1), val_loss=0.5)
                    time.sleep(0.01)
                job.metrics({"MSE": 0.21, "MAE": 0.34})
    """


def test_a_sweep_arrives_whole_and_is_ranked(server, run):
    server.start()
    run(SWEEP)

    reader = server.make_token("read")
    answer = requests.get(
        f"{server.url}/api/projects/foreign/leaderboard",
        headers={"Authorization": f"Bearer {reader}"},
        timeout=10,
    ).json()
    assert {row["model"]: row["cells"] for row in answer["rows"]} == {
        model: {"MSE": 0.21, "MAE": 0.34} for model in ("transformer", "patchtst")
    }
    assert dict(server.query("SELECT event_type, count(*) FROM event GROUP BY 1"))["job_epoch"] == 40
    heartbeats = server.query("SELECT count(*) FROM event WHERE event_type = 'log_line'")[0][0]
    assert heartbeats > 0
    assert sorted(server.query("SELECT job_id FROM job")) == [("j1",), ("j2",)]


def test_an_outage_with_more_events_than_a_request_holds_loses_nothing(server, run):
    server.start()
    server.end()
    run(
        """
        import os
        from argus import ExperimentReporter
        url, token = os.environ["ARGUS_URL"], os.environ["ARGUS_TOKEN"]
        reporter = ExperimentReporter(url, "foreign", auth_token=token, queue_size=5000, batch_id="outage")
        reporter.job_start("j", model="m", dataset="d")
        for epoch in range(1200):
            reporter.job_epoch("j", epoch, train_loss=0.1)
        reporter.job_done("j", metrics={"MSE": 0.5})
        reporter.close(timeout=3)
        """
    )
    assert len(server.event_ids()) == 0

    server.start()
    run(
        """
        import os
        from argus import ExperimentReporter
        url, token = os.environ["ARGUS_URL"], os.environ["ARGUS_TOKEN"]
        reporter = ExperimentReporter(url, "foreign", auth_token=token, batch_id="later")
        reporter.job_start("k", model="m", dataset="d")
        reporter.close(timeout=20)
        """
    )

    assert server.query("SELECT count(*) FROM epoch")[0][0] == 1200
    assert len(server.event_ids()) == len(set(server.event_ids())) == 1200 + 3


@pytest.mark.parametrize("path", ["/api/events", "/api/events/batch"])
def test_what_the_client_posts_is_taken_raw(server, path):
    server.start()
    token = server.make_token("report")
    event = {
        "event_id": "550e8400-e29b-41d4-a716-446655440000",
        "schema_version": "1.1",
        "event_type": "job_done",
        "timestamp": "2026-04-23T09:23:06Z",
        "batch_id": "b",
        "job_id": 7,
        "source": {"project": "foreign"},
        "data": {"status": "DONE", "metrics": {"MSE": float("inf"), "MAE": 0.5}, "elapsed_s": 1.25},
    }
    body = json.dumps(event if path == "/api/events" else {"events": [event, event]})

    answers = [
        requests.post(
            server.url + path, data=body, headers={"Authorization": f"bearer {token}"}, timeout=10
        ).json()
        for _ in range(2)
    ]

    assert server.query("SELECT job_id, elapsed_s FROM job") == [("7", 1.25)]
    assert len(server.event_ids()) == 1
    if path == "/api/events":
        assert [answer["deduplicated"] for answer in answers] == [False, True]
        assert answers[0]["event_id"] == answers[1]["event_id"]
    else:
        assert [result["status"] for result in answers[0]["results"]] == ["accepted", "deduplicated"]


def test_one_nan_in_a_long_replay_blocks_none_of_its_neighbours(server):
    """As an older `requests` sends it: today's refuses NaN, so that the event never leaves the client."""
    server.start()
    token = server.make_token("report")
    events = [
        {
            "event_id": f"00000000-0000-4000-8000-{number:012}",
            "schema_version": "1.1",
            "event_type": "job_epoch",
            "timestamp": "2026-04-23T09:23:06Z",
            "batch_id": "b",
            "job_id": "j",
            "source": {"project": "foreign"},
            "data": {"epoch": number, "train_loss": float("nan") if number == 64 else 0.5},
        }
        for number in range(700)
    ]

    answer = requests.post(
        f"{server.url}/api/events/batch",
        data=json.dumps({"events": events}),
        headers={"Authorization": f"Bearer {token}"},
        timeout=30,
    )

    assert (answer.status_code, answer.json()["accepted"]) == (200, 700)
    stored = dict(server.query("SELECT epoch, data FROM epoch"))
    assert json.loads(stored[64])["train_loss"] == "NaN"
    assert len(stored) == 700


def test_the_python_of_this_suite_does_not_leak_into_the_foreign_one(foreign_python):
    result = subprocess.run(
        [foreign_python, "-c", "import argus, sys; print(argus.__file__)"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert str(Path(foreign_python).parents[1]) in result.stdout
    assert sys.prefix not in result.stdout
