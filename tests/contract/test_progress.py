"""What is said of jobs and batches that have not ended: stalled or not, and how long they will take."""

import itertools

import pytest
from unit.server.wire import START, done, epoch, event, job, start

from argus_server.errors import UnknownBatch
from argus_server.progress import batch_progress, job_eta_s
from argus_server.storage.queries import JobFilter

MINUTE = 60


def at(store, seconds):
    store.queries.clock = lambda: (START + seconds) * 1_000_000


def summary(store, name="j"):
    return store.queries.job("p", "b", name).summary


def test_a_silent_job_is_stalled_and_runs_again_with_its_next_event(store):
    store.add_events([start("j"), epoch("j", 0, at=10)])

    at(store, 15 * MINUTE)
    assert summary(store).status == "running"
    at(store, 16 * MINUTE)
    assert summary(store).status == "stalled"
    assert store.queries.job_counts("p")["stalled"] == 1
    assert store.queries.jobs("p", JobFilter(status=("stalled",))).total == 1

    store.add_events([epoch("j", 1, at=16 * MINUTE)])
    assert summary(store).status == "running"


def test_a_job_with_long_epochs_may_be_silent_for_five_of_them(store):
    store.add_events(
        [start("j", epochs_total=9), *(epoch("j", i, at=(i + 1) * 10 * MINUTE) for i in range(3))]
    )

    at(store, 75 * MINUTE)
    assert summary(store).status == "running"
    at(store, 81 * MINUTE)
    assert summary(store).status == "stalled"


def test_only_the_epochs_of_the_current_attempt_say_how_long_one_takes(store):
    slow = [start("j"), *(epoch("j", i, at=i * 60 * MINUTE) for i in range(3))]
    store.add_events([*slow, start("j", at=180 * MINUTE), epoch("j", 0, at=181 * MINUTE)])
    store.add_events([epoch("j", 1, at=182 * MINUTE)])

    at(store, 198 * MINUTE)
    assert summary(store).status == "stalled"


@pytest.mark.parametrize("last", [done("j", at=5, MSE=1.0), event("batch_done", at=99)])
def test_what_has_ended_never_stalls(store, last):
    store.add_events([start("j"), last])

    at(store, 10_000 * MINUTE)
    assert summary(store).status in ("done", "untested")


def test_the_rest_of_a_job_is_told_as_a_range_once_two_epochs_have_passed(store):
    store.add_events([start("j", epochs_total=10), epoch("j", 0, at=10)])
    at(store, 15)
    assert summary(store).eta_s is None

    store.add_events([epoch("j", 1, at=30), epoch("j", 2, at=40)])
    at(store, 40)
    low, high = summary(store).eta_s
    assert low == 70  # seven epochs of the quicker half
    assert 70 < high <= 140
    at(store, 45)
    assert summary(store).eta_s == (low - 5, high - 5)

    (listed,) = store.queries.jobs("p", JobFilter()).jobs
    assert listed.eta_s == (low - 5, high - 5)


def test_a_resumed_job_counts_the_epochs_that_are_left():
    epochs = [(50, 60_000_000), (51, 120_000_000)]

    assert job_eta_s(0, epochs, 100, 120_000_000) == (48 * 60, 48 * 60)
    assert job_eta_s(0, epochs, None, 120_000_000) is None
    assert job_eta_s(0, epochs, 52, 120_000_000) == (0, 0)


def test_a_batch_says_how_many_jobs_are_left_and_how_long_they_take(store):
    store.add_events(
        [
            event("batch_start", n_total_jobs=4),
            *job("a", MSE=1.0),
            start("r", epochs_total=4),
            *(epoch("r", i, at=(i + 1) * 10) for i in range(2)),
        ]
    )
    at(store, 20)

    progress = store.queries.batch("p", "b").progress

    assert (progress.total, progress.queued) == (4, 2)
    assert (progress.counts["done"], progress.counts["running"]) == (1, 1)
    assert progress.eta_s == (20 + 2 * 1.5, 20 + 2 * 1.5)  # two epochs, then two jobs one after the other
    with pytest.raises(UnknownBatch, match="nobody"):
        store.queries.batch("p", "nobody")


def test_nothing_is_said_of_a_batch_while_one_of_its_jobs_cannot_be_told():
    counts = {"running": 2, "done": 1}

    assert batch_progress(counts, None, [5.0], [(1.0, 2.0), None]).eta_s is None
    assert batch_progress({"done": 3}, None, [5.0], []).eta_s is None
    assert batch_progress({"running": 1}, 3, [], [(1.0, 2.0)]).eta_s is None


def test_epochs_of_an_earlier_attempt_do_not_say_how_many_are_left(store):
    first = [start("j", epochs_total=10), *(epoch("j", i, at=10 * (i + 1)) for i in range(8))]
    store.add_events([*first, start("j", at=100, epochs_total=10)])
    store.add_events([epoch("j", i, at=110 + 10 * i) for i in range(3)])

    at(store, 130)

    assert summary(store).eta_s == (70, 70)


def test_a_long_job_is_judged_by_its_latest_epochs(store):
    ends = itertools.accumulate([10] * 40 + [2] * 60)
    store.add_events([start("j", epochs_total=200)])
    store.add_events([epoch("j", i, at=second) for i, second in enumerate(ends)])

    at(store, 520)

    assert summary(store).eta_s == (200, 200)


def test_a_project_has_a_pulse(store):
    store.add_events([*job("over", MSE=0.5), start("a", epochs_total=10), start("b", epochs_total=10)])
    at(store, 30)
    assert store.queries.pulse("p").next_finish_s is None

    store.add_events([epoch("a", i, at=10 * (i + 1)) for i in range(3)])
    store.add_events([epoch("b", i, at=5 * (i + 1)) for i in range(3)])

    pulse = store.queries.pulse("p")
    assert (pulse.version, pulse.total) == (10, 3)
    assert pulse.counts == {"running": 2, "stalled": 0, "untested": 0, "done": 1, "failed": 0}
    assert pulse.next_finish_s == (20, 20)  # b: seven epochs of 5 s, the last 15 s ago
