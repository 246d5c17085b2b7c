from __future__ import annotations

import threading

import pytest

from argus_core import hooks
from argus_core.testing import MemoryTransport


@pytest.fixture
def transport():
    yield MemoryTransport()
    hooks.batch_done()


def test_a_loop_reports_without_passing_a_reporter_around(transport):
    hooks.batch_start("sweep", project="demo", n_total=1, transport=transport)
    hooks.job_start("j1", model="patchtst", dataset="etth1", seed=0)
    hooks.job_epoch(0, train_loss=0.5, val_loss=0.6)
    hooks.log_line("half way")
    hooks.job_done({"MSE": 0.38})
    hooks.batch_done()

    assert transport.types == [
        "batch_start", "job_start", "job_epoch", "log_line", "job_done", "batch_done",
    ]  # fmt: skip
    assert transport.of_type("job_done")[0].data["metrics"] == {"MSE": 0.38}
    assert hooks.current_job() is None
    assert hooks.current_reporter() is None


def test_a_failure_is_reported_for_job_and_batch(transport):
    hooks.batch_start("sweep", transport=transport)
    hooks.job_start("j1")
    hooks.job_failed(ValueError("boom"))
    hooks.job_start("j2")
    hooks.batch_failed(ValueError("boom"))

    assert [event.data["reason"] for event in transport.of_type("job_failed")] == ["ValueError: boom"] * 2
    assert transport.types[-1] == "batch_failed"


def test_a_job_without_a_batch_opens_one(monkeypatch):
    monkeypatch.setenv("ARGUS_URL", "memory://hooks")
    hooks.job_start("j1", model="m")
    hooks.job_done({"MSE": 1.0})
    hooks.batch_done()

    from argus_core.testing import memory

    assert memory("hooks").types == ["batch_start", "job_start", "job_done", "batch_done"]


def test_a_call_without_a_job_is_said_once_and_does_nothing(transport, caplog):
    hooks.batch_start("sweep", transport=transport)
    for epoch in range(3):
        hooks.job_epoch(epoch, train_loss=1.0)
    hooks.batch_done()

    assert transport.types == ["batch_start", "batch_done"]
    assert caplog.text.count("call hooks.job_start first") == 1


def test_every_thread_has_a_job_of_its_own(transport):
    hooks.batch_start("sweep", transport=transport)
    barrier = threading.Barrier(4)

    def train(name: str) -> None:
        hooks.job_start(name)
        barrier.wait()
        hooks.job_epoch(0, train_loss=1.0, owner=name)
        hooks.job_done({"owner": name})

    threads = [threading.Thread(target=train, args=(f"t{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    hooks.batch_done()

    assert {e.job_id: e.data["owner"] for e in transport.of_type("job_epoch")} == {
        f"t{i}": f"t{i}" for i in range(4)
    }
    assert transport.events[-1].data["n_done"] == 4


def test_a_second_batch_closes_the_first(transport):
    other = MemoryTransport()
    hooks.batch_start("one", transport=transport)
    hooks.batch_start("two", transport=other)
    hooks.batch_done()

    assert transport.types == other.types == ["batch_start", "batch_done"]
