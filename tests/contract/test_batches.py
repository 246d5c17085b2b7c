"""The batches of a project: which, where they stand, when they end, and why their jobs failed."""

import pytest
from unit.server.wire import NOW_US, START, event

from argus_server.errors import UnknownBatch, UnknownProject
from argus_server.storage.batches import BatchFilter

HOUR_US = 3_600_000_000


def job(batch, name, *, at=0, end="done", **more):
    yield event("job_start", name, batch=batch, at=at, model="m", dataset="d", seed=name, **more)
    if end == "done":
        yield event("job_done", name, batch=batch, at=at + 9, metrics={"MSE": 1.0}, elapsed_s=10)
    elif end:
        yield event("job_failed", name, batch=batch, at=at + 9, reason=end)


def epochs(batch, name, ends):
    return [event("job_epoch", name, batch=batch, at=at, epoch=i) for i, at in enumerate(ends)]


def listed(store, **wanted):
    return [batch.batch_id for batch in store.queries.batches("p", BatchFilter(**wanted)).batches]


def test_batches_are_listed_from_the_newest_and_found_by_name_and_status(store):
    store.add_events(
        [
            event("batch_start", batch="old", at=10, name="Night run"),
            event("batch_done", batch="old", at=20),
            event("batch_start", batch="new", at=300, name="100%_sure"),
            event("batch_start", batch="middle", at=200),
            event("batch_failed", batch="middle", at=210, reason="no disk"),
        ]
    )

    assert listed(store) == ["new", "middle", "old"]
    assert listed(store, text="night") == ["old"]
    assert listed(store, text="MIDDLE") == ["middle"]
    assert listed(store, text="%_") == ["new"]
    assert listed(store, status=("done", "failed")) == ["middle", "old"]
    assert listed(store, page=2, page_rows=2) == ["old"]
    found = store.queries.batches("p", BatchFilter(status=("running",), page_rows=1))
    assert (found.total, found.counts) == (1, {"running": 1, "stalled": 0, "done": 1, "failed": 1})


def test_a_batch_knows_its_jobs_how_long_it_took_and_when_it_ends(store):
    store.add_events(
        [
            event("batch_start", batch="going", at=0, n_total_jobs=5, name="G"),
            *job("going", "1"),
            *job("going", "2", end="ValueError"),
            *job("going", "3", at=560, end="", epochs_total=10),
            *epochs("going", "3", [570, 580, 590]),
            event("batch_start", batch="over", at=0),
            *job("over", "1"),
            event("batch_done", batch="over", at=100, total_elapsed_s=99.5),
        ]
    )

    found = {batch.batch_id: batch for batch in store.queries.batches("p", BatchFilter()).batches}
    going, over = found["going"], found["over"]

    assert going == store.queries.batch("p", "going")
    assert going.progress.counts == {"running": 1, "stalled": 0, "untested": 0, "done": 1, "failed": 1}
    assert (going.progress.total, going.progress.queued) == (5, 2)
    assert going.progress.eta_s == (60 + 2 * 10, 60 + 2 * 10)  # seven epochs less 10 s, then two jobs
    assert (going.status, going.elapsed_s) == ("running", 600)
    assert (over.status, over.elapsed_s, over.progress.eta_s) == ("done", 99.5, None)


def test_what_seems_to_run_is_counted_as_what_it_is(store):
    store.add_events(
        [
            *job("over", "lost", end=""),
            event("batch_done", batch="over", at=100),
            *job("silent", "ready"),
            *job("silent", "gone", end=""),
            event("batch_start", batch="silent", at=0, n_total_jobs=9),
        ]
    )
    store.queries.clock = lambda: NOW_US + HOUR_US

    over, silent = store.queries.batch("p", "over"), store.queries.batch("p", "silent")

    assert (over.status, over.progress.counts["untested"], over.progress.counts["running"]) == ("done", 1, 0)
    assert (silent.status, silent.progress.counts["stalled"]) == ("stalled", 1)
    assert (silent.progress.queued, silent.progress.eta_s) == (7, None)


def test_a_batch_is_not_stalled_while_a_job_of_it_runs(store):
    store.add_events([*job("slow", "a", end="", epochs_total=9), *epochs("slow", "a", [600, 1200, 1800])])

    store.queries.clock = lambda: (START + 1800 + 40 * 60) * 1_000_000

    assert store.queries.batch("p", "slow").status == "running"


def test_batches_are_counted_and_found_by_the_status_that_they_show(store):
    store.add_events([*job("slow", "a", end="", epochs_total=9), *epochs("slow", "a", [600, 1200, 1800])])
    store.add_events(
        [*job("silent", "gone", end=""), *job("over", "x"), event("batch_done", batch="over", at=9)]
    )
    store.add_events([event("batch_failed", batch="bad", at=9)])
    store.queries.clock = lambda: (START + 1800 + 40 * 60) * 1_000_000

    everything = store.queries.batches("p", BatchFilter())

    assert everything.counts == {"running": 1, "stalled": 1, "done": 1, "failed": 1}
    for status in everything.counts:
        found = store.queries.batches("p", BatchFilter(status=(status,)))
        assert [(batch.status, found.total) for batch in found.batches] == [(status, 1)]
    assert [batch.batch_id for batch in store.queries.batches("p", BatchFilter(("stalled",))).batches] == [
        "silent"
    ]


def test_failures_that_differ_in_numbers_only_are_one(store):
    for number, at in ((1, 10), (2, 30), (3, 20)):
        reason = f"CUDA out of memory: {number}.50 GiB at 0x{number}f"
        store.add_events(list(job("b", f"oom-{number}", at=at, end=reason)))
    store.add_events(
        [*job("b", "disk", end="no space"), *job("c", "other", end="elsewhere"), *job("b", "ok")]
    )

    failures = store.queries.failures("p", "b")

    assert [(failure.count, failure.reason) for failure in failures] == [
        (3, "CUDA out of memory: 2.50 GiB at 0x2f"),
        (1, "no space"),
    ]
    assert failures[0].jobs == [("b", "oom-2"), ("b", "oom-3"), ("b", "oom-1")]


def test_a_batch_or_a_project_that_there_is_not_is_named(store):
    store.add_events([event("batch_start")])

    with pytest.raises(UnknownBatch, match="nobody"):
        store.queries.batch("p", "nobody")
    with pytest.raises(UnknownProject):
        store.queries.batches("q", BatchFilter())
    assert store.queries.failures("p", "nobody") == []


def test_the_counts_of_batches_are_kept_when_projections_are_made_anew(store):
    store.add_events([*job("b", "1"), *job("b", "2", end="boom"), *job("b", "3", end="")])
    before = store.queries.batch("p", "b")

    store.rebuild("p")

    assert store.queries.batch("p", "b") == before
