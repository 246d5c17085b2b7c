"""Real processes, killed: what `emit` returned for is on the server in the end, once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap

import pytest
from real_server import RealServer, run_python

EPOCHS = 400

TRAINER = textwrap.dedent(
    f"""
    import sys, time
    from argus_core import Reporter
    with Reporter("fault", project="fault", batch_id="b", flush_timeout_s=5) as reporter:
        with reporter.job("j", model="m", dataset="d", seed=0) as job:
            for epoch in range({EPOCHS}):
                job.epoch(epoch, train_loss=1 / (epoch + 1))
                print(epoch, flush=True)
                time.sleep(0.002)
            job.done({{"MSE": 0.5}})
    """
)


@pytest.fixture
def server(tmp_path):
    server = RealServer(tmp_path)
    yield server
    server.end()


def sync(server: RealServer, token: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "argus_core", "sync", "--url", server.url, "--token", token],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def read_until(trainer: subprocess.Popen[str], line: str) -> None:
    assert trainer.stdout is not None
    for printed in trainer.stdout:
        if printed.strip() == line:
            return
    raise AssertionError(trainer.stderr.read() if trainer.stderr else "")


def test_a_server_killed_in_mid_run_costs_no_event_and_no_failure(server):
    token = server.make_token("report", "fault")
    server.start()
    trainer = run_python(TRAINER, ARGUS_URL=server.url, ARGUS_TOKEN=token)

    read_until(trainer, "100")
    server.end(signal.SIGKILL)
    read_until(trainer, "200")
    server.start()
    _, errors = trainer.communicate(timeout=60)
    sync(server, token)

    assert trainer.returncode == 0, errors
    ids = server.event_ids()
    assert len(ids) == len(set(ids)) == EPOCHS + 4


def test_a_server_that_never_comes_costs_no_event_and_no_failure(server):
    token = server.make_token("report", "fault")
    server.start()
    server.end()

    trainer = run_python(TRAINER, ARGUS_URL=server.url, ARGUS_TOKEN=token)
    _, errors = trainer.communicate(timeout=60)
    server.start()
    sync(server, token)

    assert trainer.returncode == 0, errors
    assert "argus sync" in errors
    assert len(set(server.event_ids())) == EPOCHS + 4


@pytest.mark.parametrize("killed_after", [0, 57, 311])
def test_a_killed_trainer_leaves_every_reported_event_for_sync(server, killed_after):
    token = server.make_token("report", "fault")
    server.start()
    trainer = run_python(TRAINER, ARGUS_URL=server.url, ARGUS_TOKEN=token)

    read_until(trainer, str(killed_after))
    os.kill(trainer.pid, signal.SIGKILL)
    trainer.communicate(timeout=60)
    sync(server, token)

    ids = server.event_ids()
    assert len(ids) == len(set(ids))
    assert len(ids) >= 2 + killed_after + 1


def test_a_server_asked_to_stop_ends_with_code_zero(server):
    server.start()

    assert server.end(signal.SIGTERM) == 0
