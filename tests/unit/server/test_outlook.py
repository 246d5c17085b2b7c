"""What can still happen, on the page of models and for programs; and the next run as a shell line."""

import shlex

import pytest
from unit.server.test_ranking import board_of, done
from unit.server.wire import body

from argus_server.ranking.gaps import Unfinished
from argus_server.ranking.outlook import NextRun, find_outlook, shell_line
from argus_server.ranking.view import View

MODELS = View(group="model")


def board(**values):
    return board_of(
        [done(f"{m}{d}", m, f"d{d}", MSE=v) for m, some in values.items() for d, v in some.items()]
    )


def test_the_outlook_says_who_can_still_be_first():
    thirds = dict.fromkeys((1, 2, 3), 3.0)
    found = find_outlook(MODELS, board(a=dict.fromkeys(thirds, 1.0), b={1: 2.0, 2: 2.0}, c=thirds))

    assert (found.metric, found.missing, found.is_exact) == ("MSE", 1, True)
    by_model = {item.model: item for item in found.prospects}
    assert (by_model["a"].place_low, by_model["a"].place_high) == (1, 1)
    assert (by_model["b"].average_low, by_model["b"].average_high) == pytest.approx((5 / 3, 7 / 3))
    assert [item.model for item in found.prospects if item.can_lead] == ["a"]
    assert found.runs == []


def test_datasets_on_which_jobs_run_and_nobody_has_a_value_are_to_come_too():
    found = board(a={1: 1.0, 2: 1.0}, b={1: 2.0, 2: 2.0}, c={1: 3.0})
    running = {(m, f"d{d}"): Unfinished("b", "r", "running") for m in "abc" for d in (3, 4, 5)}
    found.others = lambda: {**running, ("", "d6"): Unfinished("b", "r", "running")}

    outlook = find_outlook(MODELS, found)
    assert outlook.missing == 10
    assert [item.model for item in outlook.prospects if item.can_lead] == ["a", "b", "c"]
    assert {(run.dataset in ("d3", "d4", "d5"), run.is_running) for run in outlook.runs} == {
        (True, True),
        (False, False),
    }
    assert find_outlook(View(group="model", dataset=("d1", "d2")), found).missing == 1

    whole = board(a={1: 1.0}, b={1: 2.0})
    assert find_outlook(MODELS, whole) is None
    whole.others = lambda: {("a", "d9"): Unfinished("b", "r", "running")}
    outlook = find_outlook(MODELS, whole)
    assert (outlook.missing, [item.place_low for item in outlook.prospects]) == (2, [1, 1])

    nameless = board_of([done("x", "a", None, MSE=1.0), done("y", "b", None, MSE=2.0)])
    nameless.others = lambda: {("a", "d9"): Unfinished("b", "r", "running")}
    assert find_outlook(MODELS, nameless) is None


def test_nothing_is_open_on_a_complete_board_nor_without_a_direction():
    assert find_outlook(MODELS, board(a={1: 1.0}, b={1: 2.0})) is None
    assert find_outlook(MODELS, board_of([done("x", "a", "d", foo=1.0)])) is None
    assert find_outlook(MODELS, board_of([])) is None


def test_the_next_run_is_made_from_a_job_of_the_same_model():
    found = find_outlook(MODELS, board(a={1: 1.0, 2: 1.0}, b={1: 0.5}))

    (run,) = found.runs
    assert (run.model, run.dataset, run.sibling, run.sibling_dataset) == ("b", "d2", ("b", "b1"), "d1")


@pytest.mark.parametrize(("seeds", "is_exact"), [("mean", True), ("last", True), ("best", False)])
def test_a_cell_whose_further_seeds_run_is_open(seeds, is_exact):
    found = board(a={1: 1.0, 2: 1.0}, b={1: 2.0, 2: 2.0})
    late = Unfinished("b", "j", "failed", another_runs=True)
    found.others = lambda: {("b", "d1"): Unfinished("b", "j", "running"), ("b", "d2"): late}

    outlook = find_outlook(View(group="model", seeds=seeds), found)

    assert (outlook.missing, outlook.moving, outlook.is_exact) == (0, 2, is_exact)
    assert [item.place_low for item in outlook.prospects] == [1, 1]
    assert {(run.model, run.dataset, run.is_running) for run in outlook.runs} == {
        ("b", "d1", True),
        ("b", "d2", True),
    }


def test_the_run_of_a_model_that_cannot_lead_may_decide_who_does():
    """On the first dataset the third model falls between the other two, or does not."""
    values = {1: 1.0, 2: 2.0, 3: 1.0, 4: 2.0}
    found = find_outlook(
        MODELS,
        board(a=values, b={d: 3.0 - v for d, v in values.items()}, c={2: 9.0, 3: 9.0, 4: 9.0}),
    )

    assert [item.model for item in found.prospects if item.can_lead] == ["a", "b"]
    assert [(run.model, run.dataset) for run in found.runs] == [("c", "d1")]


def test_of_very_many_models_the_best_that_can_be_said_is_said():
    models = {f"m{m:02}": {d: m + d / 10 for d in range(4)} for m in range(80)}
    models["m01"] = {1: -1.0, 2: 1.2, 3: 1.3}

    found = find_outlook(MODELS, board(**models))

    assert (found.missing, found.is_exact, len(found.prospects)) == (1, False, 80)
    by_model = {item.model: item for item in found.prospects}
    assert (by_model["m01"].place_low, by_model["m01"].average_low) == (1, 1.5)
    assert by_model["m00"].place_low == 1
    assert by_model["m79"].place_high == 80
    assert [(run.model, run.dataset) for run in found.runs] == [("m01", "d0")]


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("python train.py --dataset etth1 --seed 3", "python train.py --dataset weather --seed 3"),
        ("python train.py data=etth1 lr=0.1", "python train.py data=weather lr=0.1"),
        ("python train.py --data='etth1'", "python train.py --data=weather"),
        ("python train.py", "python train.py  # change by hand: etth1 → weather"),
        ("python 'broken", "python 'broken  # change by hand: etth1 → weather"),
        ("python etth1.py", "python etth1.py  # change by hand: etth1 → weather"),
    ],
)
def test_a_shell_line_replaces_what_it_recognises_and_says_what_it_does_not(command, line):
    run = NextRun("m", "weather", 1.0, False, ("b", "j"), "m", "etth1")

    assert shell_line(run, command) == line


def test_a_shell_line_runs_no_name():
    run = NextRun("m", "x; rm -rf ~ #\n$(id)", 1.0, False, ("b", "j"), "m", "etth1")

    line = shell_line(run, "python train.py --dataset etth1")

    assert shlex.split(line) == ["python", "train.py", "--dataset", "x; rm -rf ~ #�$(id)"]
    assert "\n" not in shell_line(run, "python\ntrain.py")


def test_page_and_api_show_it_and_keep_commands_from_visitors(server):
    source = {"project": "p", "command": "python train.py --model b --dataset d1"}
    events = []
    for at, (model, dataset, value) in enumerate([("a", "d1", 1.0), ("a", "d2", 1.0), ("b", "d1", 0.5)]):
        events.append(body("job_start", f"{model}{dataset}", at=at, model=model, dataset=dataset, seed=0))
        events.append(body("job_done", f"{model}{dataset}", at=at, metrics={"MSE": value}))
    events.append(body("job_start", "running", at=30, model="b", dataset="d2", seed=0))
    server.send(*({**event, "source": source} for event in events))

    fresh = body("job_start", "fresh", batch="other", at=31, model="fresh", dataset="d1", seed=0)
    found = server.get("/api/projects/p/outlook").json()
    assert (found["missing"], found["places_are_exact"]) == (1, True)
    (run,) = found["runs"]
    assert run["command"] == "python train.py --model b --dataset d2"
    assert run["is_running"]
    page = server.page("/p/p/leaderboard?group=model")
    assert "What can still happen" in page
    assert "<b>b</b>, <b>a</b> can still be first; nobody else can." in page.replace("\n", "")
    assert "python train.py --model b --dataset d2" in page
    server.send(fresh)
    awaited = server.get("/api/projects/p/outlook").json()
    assert [m["place"] for m in awaited["models"] if m["model"] == "fresh"] == [[1, 3]]
    again = {"model": "a", "dataset": "d1"}
    server.send(body("job_start", "again", batch="other", at=32, seed=1, **again))
    server.send(body("job_start", "crash", batch="other", at=33, seed=2, **again))
    server.send(body("job_failed", "crash", batch="other", at=34, reason="out of memory"))
    assert server.get("/api/projects/p/outlook").json()["moving"] == 1
    assert "1 cell has further seeds running" in server.page("/p/p/leaderboard?group=model")
    server.store.credentials.set_public("p", is_public=True)
    assert "train.py" not in server.get("/p/p/leaderboard?group=model", scope=None, html=True).text
    assert server.get("/api/projects/p/outlook", scope=None).json()["runs"][0]["command"] is None
