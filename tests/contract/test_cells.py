"""What goes on in the cells of a project beside the jobs that are done."""

from unit.server.wire import START, done, epoch, event, failed, job, start

from argus_server.ranking.matrix import CellState
from argus_server.ranking.rank import rank
from argus_server.ranking.view import View


def states(store, *batches):
    store.queries.clock = lambda: (START + 600) * 1_000_000
    return {(state.model, state.dataset): state for state in store.queries.cell_states("p", batches)}


def test_a_cell_knows_what_its_jobs_do_how_far_they_are_and_why_one_failed(store):
    store.add_events(
        [
            start("a", "m", "d", at=500, epochs_total=10),
            epoch("a", 3, at=590),
            start("b", "m", "d", at=500, epochs_total=10),
            start("c", "m", "d", at=1),
            failed("c", "first", at=2),
            start("d", "m", "d", at=1),
            failed("d", "latest", at=3),
            start("e", "m", "d", at=1),
            failed("e", "stopped", at=1, status="interrupted"),
            *job("f", "m", "d", MSE=1.0),
            *job("g", "other", "d", MSE=1.0),
        ]
    )

    assert states(store) == {
        ("m", "d"): CellState("m", "d", {"failed": 3, "running": 2}, 1, 0.2, "latest"),
    }
    assert states(store)["m", "d"].kind == "running"


def test_progress_is_known_of_jobs_that_say_how_many_epochs_there_are_and_never_beyond_all(store):
    store.add_events(
        [
            start("a", "m", "unknown", at=500),
            epoch("a", 3, at=590),
            start("b", "m", "over", at=500, epochs_total=2),
            epoch("b", 7, at=590),
            start("c", "m", "none", at=500, epochs_total=0),
            epoch("c", 0, at=590),
            start("d", "m", "largest", at=500, epochs_total=2**63 - 1),
            epoch("d", 2**63 - 1, at=590),
        ]
    )

    assert {dataset: state.progress for (_, dataset), state in states(store).items()} == {
        "unknown": None,
        "over": 1.0,
        "none": None,
        "largest": 1.0,
    }


def test_jobs_without_a_name_share_a_cell_and_dry_runs_have_none(store):
    store.add_events([start("a", None, None, at=500), start("b", "m", "d", at=500, tags=["fast_dev_run"])])

    assert list(states(store)) == [("", "")]


def test_what_ended_without_a_result_and_what_is_silent_say_so(store):
    store.add_events([start("a", "m", "d", at=1), event("batch_done", at=5)])
    store.add_events([event("job_start", "b", batch="c", at=1, model="n", dataset="d", seed=0)])
    assert states(store)["m", "d"].kind == "untested"

    store.queries.clock = lambda: (START + 3600) * 1_000_000
    found = {state.model: state.kind for state in store.queries.cell_states("p")}
    assert found == {"m": "untested", "n": "stalled"}


def test_the_cells_of_a_batch_are_its_own(store):
    store.add_events([start("a", "m", "d", at=500), done("z", batch="b")])
    store.add_events([event("job_start", "x", batch="c", at=500, model="n", dataset="d", seed=0)])

    assert list(states(store, "c")) == [("n", "d")]
    assert list(states(store, "b", "c")) == [("m", "d"), ("n", "d")]


def test_models_are_ranked_while_jobs_of_theirs_run(store):
    store.add_events(
        [*job("a", "m", "d", MSE=1.0), *job("b", "n", "d", MSE=2.0), *job("c", "m", "e", MSE=1.0)]
    )
    store.add_events([start("r", "n", "e", at=500, epochs_total=10)])
    store.add_events([epoch("r", i, at=510 + 10 * i) for i in range(3)])
    states(store)  # sets the clock

    with store.queries.board("p", View(group="model")) as board:
        (unranked,) = rank(View(group="model"), board).unranked

    assert unranked.model == "n"
    assert [(gap.dataset, gap.kind) for gap in unranked.gaps] == [("e", "running")]
    assert unranked.gaps[0].eta_s is not None
