"""The fair-comparison guard: which rows are not quite like the others."""

from dataclasses import replace

import pytest
from selectolax.lexbor import LexborHTMLParser
from unit.server.test_ranking import board_of, done
from unit.server.wire import body

from argus_server.ranking.rank import rank
from argus_server.ranking.view import Condition, View


def seeds(model, n, dataset="d", **more):
    return [
        replace(done(f"{model}{dataset}{i}", model, dataset, str(i), MSE=0.5 + i), **more) for i in range(n)
    ]


def flags(jobs, view=None):
    table = rank(view or View(group="cell"), board_of(jobs))
    return {
        (row.model, row.dataset) if row.dataset else row.model: [flag.kind for flag in row.flags]
        for row in (*table.rows, *table.unranked)
    }


def texts(jobs, group="cell", **view):
    table = rank(View(group=group, **view), board_of(jobs))
    return [flag.text for row in table.rows for flag in row.flags]


def test_equal_seeds_commits_and_epochs_need_no_flag():
    jobs = seeds("a", 3, commit="x", train_epochs=5) + seeds("b", 3, commit="x", train_epochs=5)

    assert flags(jobs) == {("a", "d"): [], ("b", "d"): []}
    assert flags(jobs, View(group="model")) == {"a": [], "b": []}


def test_one_seed_and_unequal_seeds_stand_at_their_rows():
    jobs = seeds("a", 3) + seeds("b", 3) + seeds("c", 1) + seeds("e", 2)

    assert flags(jobs) == {
        ("a", "d"): [],
        ("b", "d"): [],
        ("c", "d"): ["single seed"],
        ("e", "d"): ["unequal seeds"],
    }
    assert "2 seeds; most others on d have 3" in texts(jobs)
    assert "one seed: nothing is known of its spread; most others on d have 3" in texts(jobs)


def test_what_others_have_is_one_number_only_if_most_of_them_have_it():
    jobs = seeds("a", 5) + seeds("b", 1) + seeds("c", 3) + seeds("e", 2) + seeds("f", 2)

    assert flags(jobs)["e", "d"] == []
    assert "5 seeds; the others on d have 1 to 3" in texts(jobs)
    assert "3 seeds; the others on d have 1 to 5" in texts(jobs)
    assert not [text for text in texts(jobs) if "most" in text]
    assert "not as many seeds as the median on d" in texts(jobs, "model")
    assert texts(seeds("a", 3) + seeds("b", 2)) == ["2 seeds; the other one on d has 3"]
    some = texts(jobs, where=(Condition.parse("MSE<2"),))
    assert (
        "one seed: nothing is known of its spread; the others on d have 2, of the jobs that this view chooses"
        in some
    )
    assert texts(seeds("a", 3) + seeds("b", 3) + seeds("c", 2)) == ["2 seeds; the others on d have 3"]
    assert "2 seeds; the others on d have 1" in texts(seeds("a", 2) + seeds("b", 1) + seeds("c", 1))


def test_seeds_are_counted_by_what_the_value_is_of():
    jobs = [*seeds("a", 2), *seeds("b", 2), *seeds("c", 1), done("x", "c", "d", "9", MAE=1.0)]

    assert flags(jobs)["c", "d"] == ["single seed"]


def test_jobs_of_other_datasets_say_nothing_of_the_usual_number_of_seeds():
    jobs = [*seeds("a", 3), *seeds("b", 3), *seeds("a", 2, "e"), *seeds("b", 2, "e")]

    assert set(map(tuple, flags(jobs).values())) == {()}


def test_the_best_of_several_seeds_is_flagged_beside_what_is_of_one():
    jobs = seeds("a", 3) + seeds("b", 1)

    assert flags(jobs, View(group="cell", seeds="best")) == {
        ("a", "d"): ["best of"],
        ("b", "d"): ["single seed"],
    }
    assert "the best of 3 seeds" in texts(jobs, seeds="best")
    assert flags(jobs, View(group="model", seeds="best"))["a"] == ["best of"]


@pytest.mark.parametrize(
    ("first", "second", "kinds"),
    [
        ({"commit": "aaa"}, {"commit": "bbb"}, ["commits"]),
        ({"commit": "aaa"}, {"commit": None}, []),
        ({"epochs_total": 10}, {"epochs_total": 50}, ["epochs"]),
        ({"train_epochs": 10}, {"train_epochs": 50}, ["epochs"]),
        ({"epochs_total": 50, "train_epochs": 10}, {"epochs_total": 50, "train_epochs": 50}, []),
    ],
)
def test_other_commits_and_epochs_inside_a_row_are_flagged_and_early_stopping_is_not(first, second, kinds):
    one, two = seeds("a", 2)
    jobs = [replace(one, **first), replace(two, **second)]

    assert flags(jobs) == {("a", "d"): kinds}
    assert flags(jobs, View(group="model")) == {"a": kinds}


def test_a_model_says_on_which_datasets_its_seeds_are_few_and_its_commits_differ():
    jobs = seeds("a", 2, commit="x") + seeds("a", 1, "e", commit="y") + seeds("b", 2) + seeds("b", 2, "e")

    assert texts(jobs, "model") == ["one seed on e", "2 commits: x, y"]


def test_the_page_marks_the_rows_and_explains_the_marks_and_json_has_them(server):
    source = {"project": "p"}
    for model, n in (("a", 2), ("b", 2), ("c", 1)):
        for i in range(n):
            commit = {"commit": f"<c{i}>"} if model == "a" else {}
            for kind, more in (
                ("job_start", {"model": model, "dataset": "d", "seed": i}),
                ("job_done", {"metrics": {"MSE": 0.5}}),
            ):
                server.send({**body(kind, f"{model}{i}", **more), "source": {**source, **commit}})

    for group in ("cell", "model"):
        page = LexborHTMLParser(server.page(f"/p/p/leaderboard?group={group}"))
        titles = [node.attributes["title"] for node in page.css("th .flag")]
        assert "2 commits: <c0>, <c1>" in titles
        assert len(titles) == 2
        said = page.css_first(".flags").text()
        assert "one seed: nothing is known of the spread between seeds (1 row)" in said
        assert "its jobs ran different commits (1 row)" in said
        rows = server.get(f"/p/p/leaderboard.json?group={group}").json()["rows"]
        kinds = {row["model"]: [flag["kind"] for flag in row["flags"]] for row in rows}
        assert kinds == {"a": ["commits"], "b": [], "c": ["single seed"]}
    assert 'class="flags"' not in server.page("/p/p/leaderboard")
