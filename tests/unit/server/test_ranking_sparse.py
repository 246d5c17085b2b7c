"""Boards with so few values that some models, or all, are compared with nobody."""

import math

import pytest
from unit.server.test_ranking import board_of, done
from unit.server.wire import done as done_event
from unit.server.wire import start

from argus_server.ranking.board import MemoryBoard
from argus_server.ranking.gaps import Unfinished
from argus_server.ranking.matrix import matrix
from argus_server.ranking.pairs import rank_pairs
from argus_server.ranking.rank import rank
from argus_server.ranking.registry import Settings
from argus_server.ranking.sensitivity import rank_sensitivity
from argus_server.ranking.view import View

APART = {("a", "d1"): 1.0, ("b", "d2"): 2.0}
"""Two models that no dataset compares."""
ISOLATED = {(m, d): v for d in ("d1", "d2") for m, v in (("a", 1.0), ("b", 2.0))} | {("c", "d3"): 0.1}
"""Two models that are compared, and one that is not."""
POLICIES = ("complete", "shared", "pairwise", "impute:worst")


def board(values):
    """Return a board with a job for each (model, dataset): value."""
    return board_of(
        [done(m + d, m, d, seed="0", MSE=value) for (m, d), value in values.items()],
    )


def project(name, values):
    """Return the events of the same jobs."""
    for (model, dataset), value in values.items():
        yield start(f"{model}-{dataset}", model, dataset, project=name)
        yield done_event(f"{model}-{dataset}", project=name, MSE=value)


@pytest.fixture
def sparse(server):
    server.store.add_events([*project("apart", APART), *project("isolated", ISOLATED)])
    return server


def models(values, **view):
    asked = View(group="model", **view)
    return rank(asked, board(values))


# --- the table ----------------------------------------------------------------------------------


def test_who_is_compared_with_nobody_is_not_ranked():
    table = models(ISOLATED, missing="pairwise")

    rows = {row.model: row for row in table.rows}
    assert {model: row.rank for model, row in rows.items()} == {"a": 1, "b": 2}
    assert [row.statistics["average_rank"].raw for row in table.rows] == [1.0, 2.0]
    assert [row.statistics["datasets"].display for row in table.rows] == ["2/3", "2/3"]
    (alone,) = table.unranked
    assert (alone.model, alone.rank, alone.tier) == ("c", None, "")
    assert alone.statistics["datasets"].display == "1/3"
    assert "average_rank" not in alone.statistics
    assert [gap.dataset for gap in alone.gaps] == ["d1", "d2"]
    assert "c has no dataset in common with another model, and is not ranked." in table.notes
    assert table.verdict.text.startswith("a has the best average rank (1.00 of 2) over 2 datasets")


@pytest.mark.parametrize("missing", ["shared", "pairwise"])
@pytest.mark.parametrize("values", [APART, {("a", "d1"): 1.0, ("b", "d2"): 2.0, ("c", "d3"): 3.0}])
def test_without_a_dataset_that_two_models_share_nobody_is_ranked(missing, values):
    table = models(values, missing=missing)

    assert table.rows == []
    assert [row.model for row in table.unranked] == sorted({model for model, _ in values})
    assert not any("average_rank" in row.statistics for row in table.unranked)
    assert table.verdict.text.endswith(("nothing is ranked.", "nothing can be compared."))
    assert table.verdict.leaders == ()


def test_without_a_dataset_of_all_models_those_that_meet_have_provisional_ranks_only():
    table = models(APART | {("c", "d1"): 3.0}, missing="shared")

    assert table.rows == []
    found = {row.model: row.statistics.get("average_rank") for row in table.unranked}
    assert {model: cell and (cell.raw, cell.spread) for model, cell in found.items()} == {
        "a": (1.0, "on 1"),
        "b": None,
        "c": (2.0, "on 1"),
    }


def test_the_only_model_of_all_is_ranked_alone():
    for missing in POLICIES:
        assert [row.rank for row in models({("a", "d1"): 1.0}, missing=missing).rows] == [1]


# --- pairs --------------------------------------------------------------------------------------


def test_pairs_are_those_of_models_that_meet():
    table = rank_pairs(View(missing="pairwise"), board(ISOLATED))

    assert (table.models, table.average_ranks) == (["a", "b"], [1.0, 2.0])
    assert set(table.pairs) == {("a", "b"), ("b", "a")}
    assert "c has no dataset in common with another model, and is not ranked." in table.notes


# --- sensitivity --------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", POLICIES)
def test_sensitivity_has_an_answer_where_a_policy_ranks_nobody(missing):
    assert rank_sensitivity(View(missing=missing), board(APART)).metric == "MSE"


def places_of(values, **view):
    table = rank_sensitivity(View(**view), board(values))
    return table, {variant.name: variant.places for variant in table.variants}


def test_a_value_beside_nobody_counts_for_no_aggregate():
    values = {("a", d): 2.0 for d in ("d1", "d2", "d3")} | {("b", d): 1.0 for d in ("d1", "d2")}
    values |= {("a", "d4"): 1.0, ("c", "d5"): 0.1}

    _, found = places_of(values, missing="pairwise")

    assert found["as asked"] == found["median rank"] == found["first places"] == {"b": 1, "a": 2}


def test_a_board_that_ranks_nobody_is_none():
    table, found = places_of(ISOLATED, missing="pairwise")

    assert {"complete", "shared"} & found.keys() == set()
    without = "“complete models only”, “datasets that all have”"
    assert f"No model would be ranked by {without}: they are no board." in table.notes
    assert all(found.values())
    nothing, _ = places_of(APART)
    without = "“datasets that all have”, “datasets that each pair has”"
    assert nothing.notes == (f"No model would be ranked by {without}: they are no board.",)
    boards = sum(variant.kind != "without" for variant in table.variants)
    first = table.firsts("a")[0] - table.firsts("a", "without")[0]
    assert table.sentence.startswith(f"a is first in {first} of {boards} variants")


def test_boards_without_a_dataset_are_counted_by_themselves_and_for_each_who_leads():
    values = {("a", "d1"): 1.0, ("b", "d1"): 2.0, ("a", "d2"): 2.0, ("b", "d2"): 1.0}
    values |= {("c", "d1"): 5.0, ("c", "d2"): 5.0}

    table, _ = places_of(values)

    boards = sum(variant.kind != "without" for variant in table.variants)
    often = (
        f"is first in {boards} of {boards} variants ({boards} of them with others), and in 1 of 2 when one"
    )
    assert table.sentence == (f"a {often} dataset is left out; b {often} dataset is left out.")
    equal, _ = places_of({(m, d): 1.0 for m in "abcdef" for d in ("d1", "d2")})
    assert equal.sentence.endswith("; 3 more lead with them as asked.")


# --- pages --------------------------------------------------------------------------------------


def test_every_page_of_models_opens_where_models_are_compared_with_nobody(sparse):
    for name in ("apart", "isolated"):
        for missing in POLICIES:
            for page in ("sensitivity", "pairs"):
                for end in ("", ".csv", ".json", ".md"):
                    answer = sparse.get(f"/p/{name}/{page}{end}?missing={missing}")
                    assert answer.status_code == 200, (name, missing, page, end)
                    assert "nan" not in answer.text
    page = sparse.page("/p/apart/leaderboard?group=model&missing=shared")
    assert "Not ranked" in page
    assert "2 models ranked" not in page
    badge = sparse.get("/p/apart/badge/a?group=model&missing=shared")
    assert "not ranked" in badge.text


# --- words and numbers at the ends ----------------------------------------------------------------


def test_that_no_model_has_a_value_is_said_of_the_jobs_that_a_view_chooses():
    values = {("a", "d1"): 1.0, ("b", "d1"): 2.0, ("a", "d2"): math.nan, ("b", "d2"): math.nan}

    assert models(values, dataset=("d2",)).verdict.text == (
        "No model has a finite MSE among the jobs of this view: nothing is ranked."
    )
    every = models({("a", "d1"): math.nan})
    assert every.verdict.text == "No model has a finite MSE: nothing is ranked."


def test_coverage_is_of_the_same_datasets_for_every_model():
    jobs = [done(m, m, "d1", MSE=v) for m, v in (("a", 1.0), ("b", 2.0))] + [done("x", "a", "d2", MAE=1.0)]
    running = {("new", name): Unfinished("b", "r", "running") for name in ("d1", "d3")}
    asked = View(group="model")

    table = rank(asked, MemoryBoard("p", board_of(jobs).keys, jobs, Settings(), (), lambda: running))

    (new,) = table.unranked
    rows = [*table.rows, new]
    assert [row.statistics["datasets"].display for row in rows] == ["1/1", "1/1", "0/1"]
    assert [(gap.dataset, gap.kind) for gap in new.gaps] == [("d1", "running"), ("d3", "running")]


LARGE = 1.7e308


def test_values_near_the_largest_of_floats_have_means_and_differences():
    values = {
        (m, f"d{d}"): v for d in range(8) for m, v in (("a", LARGE), ("b", -LARGE / 3), ("c", LARGE / 2))
    }
    values[("a", "d0")] = LARGE / 4
    del values[("a", "d1")]

    imputed = models(values, missing="impute:worst")

    means = {row.model: row.cells["MSE"].raw for row in imputed.rows}
    assert means["a"] == pytest.approx(LARGE * ((6 + 1 / 4 + 1 / 2) / 8))
    pairs = rank_pairs(View(missing="pairwise"), board(values)).pairs
    assert pairs["a", "c"].difference == pytest.approx(LARGE * ((6 / 2 - 1 / 4) / 7))
    assert pairs["c", "b"].difference == pytest.approx(LARGE * (5 / 6))
    for missing in POLICIES:
        for seeds in ("mean", "median"):
            rank_sensitivity(View(missing=missing, seeds=seeds), board(values))
        for content in ("mean", "delta"):
            matrix(View(missing=missing, cell=content), board(values))


def test_a_difference_that_no_float_can_hold_is_blank():
    values = {(m, f"d{d}"): v for d in range(2) for m, v in (("a", LARGE), ("b", -LARGE))}

    assert rank_pairs(View(), board(values)).pairs["a", "b"].difference is None


def test_rates_however_small_have_a_skill():
    jobs = [
        done(f"{m}{d}", m, f"d{d}", Samples_Per_Second=v)
        for d in range(2)
        for m, v in (("a", 1e-310), ("b", 2e-310), ("c", 5e-324))
    ]
    asked = View(group="model", baseline="a", metric="Samples_Per_Second")

    table = rank(asked, board_of(jobs))

    skills = {row.model: row.statistics["skill"].raw for row in table.rows}
    assert skills == {"b": pytest.approx(0.5), "a": 0.0, "c": pytest.approx(-99.0)}
