"""What the page of a job asks of any store."""

from contract.plans import plans_of_reads
from unit.server.wire import START, body, done, epoch, event, failed, job, start

from argus_core.events import decode_event, new_event_id

SECOND = 1_000_000


def at(second):
    return (START + second) * SECOND


def line(name, words, *, second=1, **more):
    return event("log_line", name, at=second, line=words, **more)


def test_lines_of_one_moment_stand_as_they_were_written_however_they_came(store):
    ours = [body("log_line", "j", at=5, line=f"line {i}") | {"event_id": new_event_id()} for i in range(20)]
    others = [line("k", f"line {i}", second=5) for i in range(20)]
    store.add_events([decode_event(item) for item in reversed(ours)])
    store.add_events(others)

    for name in ("j", "k"):
        log = store.queries.log("p", "b", name, 15)
        assert [item.line for item in log] == [f"line {i}" for i in range(5, 20)]


def test_the_log_of_a_job_is_its_last_lines_in_order_without_heartbeats(store):
    lines = [line("j", f"line {i}", second=i, level="warning" if i == 7 else "info") for i in range(10)]
    beats = [line("j", "heartbeat", second=20 + i) for i in range(50)]
    others = [line("k", "of another job"), line("j", "of another batch", batch="c")]
    store.add_events([start("j"), *beats, *reversed(lines), *others])

    log = store.queries.log("p", "b", "j", 4)

    assert [item.line for item in log] == ["line 6", "line 7", "line 8", "line 9"]
    assert [item.level for item in log] == ["info", "warning", "info", "info"]
    assert [item.timestamp_us for item in log] == [at(6), at(7), at(8), at(9)]
    assert store.queries.log("p", "b", "nobody", 4) == []


def test_the_timeline_counts_each_kind_and_each_epoch_once(store):
    store.add_events([start("j"), epoch("j", 0), epoch("j", 1, at=2), failed("j", at=3)])
    store.add_events([start("j", at=5), epoch("j", 1, at=6), epoch("j", 2, at=7), line("j", "x", second=7)])
    store.add_events([done("j", at=9), done("k")])

    timeline = store.queries.timeline("p", "b", "j")

    assert [(item.kind, item.count, item.first_us, item.last_us) for item in timeline] == [
        ("job_start", 2, at(0), at(5)),
        ("job_epoch", 3, at(1), at(7)),
        ("job_failed", 1, at(3), at(3)),
        ("log_line", 1, at(7), at(7)),
        ("job_done", 1, at(9), at(9)),
    ]
    assert store.queries.job("p", "b", "j").starts_us == [at(0), at(5)]


def test_the_peers_of_a_job_are_its_cell_by_seed_and_the_means_of_its_dataset(store):
    store.add_events([*job("a10", "A", seed=10, MSE=3.0), *job("a2", "A", seed=2, MSE=1.0, note="x")])
    store.add_events([*job("old", "A", seed=2, at=-0, MSE=9.0), *job("new", "A", seed=2, at=20, MSE=2.0)])
    store.add_events([epoch("a10", 0), epoch("a10", 1)])
    store.add_events([*job("b", "B", MSE=4.0), *job("b1", "B", seed=1, MSE="NaN", note="y")])
    store.add_events([*job("e", "A", "elsewhere", MSE=0.1), start("r", "A", seed=7), start("q", "C")])

    peers = store.queries.peers("p", "A", "d")

    assert [
        (item.job_id, item.status, item.counts, item.epochs) for item in peers.cell if item.seed != "2"
    ] == [
        ("r", "running", False, 0),
        ("a10", "done", True, 2),
    ]
    assert [item.job_id for item in peers.cell if item.seed == "2" and item.counts] == ["new"]
    assert peers.means == {"MSE": {"A": 2.5, "B": None}}
    assert store.queries.peers("p", None, None).cell == []


def test_the_load_of_a_job_is_what_its_batch_reported_on_its_host_while_it_ran(store):
    def snapshot(second, host="h", **data):
        envelope = body("resource_snapshot", None, at=second, gpu_util_pct=50 + second, **data)
        return decode_event({**envelope, "source": {"project": "p", "host": host}})

    started = decode_event({**body("job_start", "j", at=10), "source": {"project": "p", "host": "h"}})
    store.add_events([started, done("j", at=20), snapshot(5), snapshot(12, note="text"), snapshot(15)])
    store.add_events([snapshot(16, host="other"), snapshot(25)])
    summary = store.queries.job("p", "b", "j").summary

    load = store.queries.snapshots("p", summary, 100)

    assert [(item.timestamp_us, item.load) for item in load] == [
        (at(12), {"gpu_util_pct": 62.0}),
        (at(15), {"gpu_util_pct": 65.0}),
    ]
    assert len(store.queries.snapshots("p", summary, 1)) == 1


def test_what_a_job_said_is_found_by_an_index(store):
    if store._reader.dialect.name != "sqlite":
        return  # where few events are, PostgreSQL reads them all; the index is the same

    store.add_events([start("j"), line("j", "x")])
    summary = store.queries.job("p", "b", "j").summary
    plans = plans_of_reads(store, "event")
    store.queries.log("p", "b", "j", 4)
    store.queries.timeline("p", "b", "j")
    store.queries.snapshots("p", summary, 4)

    assert len(plans) == 3
    for plan in plans:
        assert "ix_event_said (project_id=? AND batch_id=? AND job_id=?" in plan
        assert "SCAN event" not in plan
