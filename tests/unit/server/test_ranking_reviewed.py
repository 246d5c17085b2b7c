"""Cases that a reader of the ranking found: each was wrong once."""

import csv
import io
import itertools
import json
import math
import random
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from unit.server.test_ranking import board_of, done

from argus_core.reading import records
from argus_server.exports.comparisons import pairs_csv, pairs_json
from argus_server.exports.latex import leaderboard_latex
from argus_server.exports.leaderboard import leaderboard_csv, leaderboard_json, leaderboard_markdown
from argus_server.exports.matrix import matrix_csv, matrix_json, matrix_markdown
from argus_server.exports.matrix_latex import matrix_latex
from argus_server.exports.models import models_csv, models_json, models_markdown
from argus_server.exports.models_latex import models_latex
from argus_server.ranking.board import MemoryBoard
from argus_server.ranking.leader import leader
from argus_server.ranking.matrix import matrix
from argus_server.ranking.pairs import rank_pairs
from argus_server.ranking.pareto import rank_pareto
from argus_server.ranking.rank import Ranking, rank
from argus_server.ranking.registry import Correction, MetricSetting, Settings
from argus_server.ranking.sensitivity import rank_sensitivity
from argus_server.ranking.statistics import fractional_ranks, friedman, holm, wilcoxon
from argus_server.ranking.table import MetricKey
from argus_server.ranking.view import Condition, View


def cells(values):
    """Return a job for each (model, dataset): value."""
    return [
        done(f"{model}{dataset}", model, dataset, seed="0", MSE=value)
        for (model, dataset), value in values.items()
    ]


def models(values, **view):
    asked = View(group="model", **view)
    return rank(asked, board_of(cells(values), asked))


def test_a_verdict_names_no_leader_where_no_two_models_share_a_dataset():
    table = models({("a", "d1"): 1.0, ("b", "d2"): 2.0}, missing="pairwise")

    said = "".join(phrase.text for phrase in table.verdict.phrases)
    assert said == "No two models have a MSE on the same dataset: nothing can be compared."


@pytest.mark.parametrize("row", [(1.0, 2.0, 2.0, 2.0), (1.0, 1.0, 2.0), (1.0, 2.0, 3.0)])
def test_the_p_of_datasets_that_all_agree_is_that_of_the_permutations(row):
    scores = np.array([row, row])

    orders = list(itertools.permutations(row))
    agree = sum(order == row for order in orders) / len(orders)

    found = friedman(fractional_ranks(scores))
    assert (found.f, found.p) == (math.inf, pytest.approx(agree))


@pytest.mark.parametrize("group", ["cell", "model"])
def test_means_of_some_jobs_only_are_said_to_be_that(group):
    jobs = [done(f"a{seed}", "a", seed=str(seed), MSE=value) for seed, value in enumerate((0.1, 0.9, 0.9))]
    jobs += [done(f"b{seed}", "b", seed=str(seed), MSE=0.3) for seed in range(3)]
    view = View(group=group, where=(Condition("MSE", "<", 0.4),), seed=("0", "1"))

    notes = rank(view, board_of(jobs, view)).notes

    assert "Values are those of the jobs with seed 0, seed 1, MSE<0.4 alone." in notes


def test_of_two_aliases_in_one_job_the_same_one_counts_however_they_came():
    settings = Settings(
        metrics={"mse": MetricSetting(alias_of="MSE"), "m_s_e": MetricSetting(alias_of="MSE")}
    )

    assert settings.settle({"mse": 1.0, "m_s_e": 2.0}, "b") == settings.settle(
        {"m_s_e": 2.0, "mse": 1.0}, "b"
    )


# --- one rule of who is told from whom ----------------------------------------------------------


def often_or_much(wins=16, losses=14, names=("often", "much", "last")):
    """The first model wins more often, the second by more where it wins; the third is far behind."""
    often, much, last = names
    values = {}
    for place in range(wins + losses):
        dataset = f"d{place:02}"
        ahead = -0.001 * (1 + place / 100) if place < wins else 1.0 + place / 100
        values |= {(often, dataset): 10 + ahead, (much, dataset): 10.0, (last, dataset): 90.0 + place}
    return values


def told(table):
    return {row.model: row.separation.result for row in table.rows}


def test_a_model_that_the_signed_ranks_find_better_is_no_worse_one_and_not_called_inseparable():
    table = models(often_or_much())

    assert told(table) == {"often": "leads", "much": "reversed", "last": "separable"}
    assert [row.tier for row in table.rows] == ["1–2", "1–2", "3"]
    assert (table.verdict.close, table.verdict.favoured) == ((), ("much",))
    assert "; much is better than it by the signed ranks, which weigh by how much" in table.verdict.text
    cell = table.rows[1].statistics["average_rank"]
    assert (cell.is_close, cell.is_favoured) == (False, True)
    line = list(csv.DictReader(io.StringIO("".join(models_csv(table)))))[1]
    assert (line["separable from the best"], line["separation"]) == ("yes", "reversed")
    assert float(line["separation (p)"]) <= 0.05
    for text in ("".join(models_markdown(table)), "".join(models_latex(table, 1))):
        assert "better than the best by the signed ranks" in text
    assert r"$^{\S}$ better than the best" in text
    assert "argusunicode{00A7}" not in text


def test_the_arrow_of_a_pair_follows_the_test_and_not_the_wins():
    pair = rank_pairs(View(), board_of(cells(often_or_much()), View())).pairs["often", "much"]

    assert (pair.wins, pair.losses) == (16, 14)
    assert (pair.separated, pair.better) == (True, "much")


@pytest.mark.parametrize("names", list(itertools.permutations("abc")))
def test_what_is_told_apart_does_not_depend_on_names(names):
    shared = models(often_or_much(15, 15, names))
    behind = models(often_or_much(names=names))

    often, much, last = names
    assert {row.model: row.tier for row in shared.rows} == {often: "1–2", much: "1–2", last: "3"}
    assert {row.model: row.rank for row in shared.rows} == {often: 1, much: 1, last: 3}
    assert told(shared) == {often: "leads", much: "leads", last: "separable"}
    assert told(behind) == {often: "leads", much: "reversed", last: "separable"}


@pytest.mark.parametrize("names", list(itertools.permutations("abc")))
def test_models_that_share_a_place_are_never_on_both_sides_of_a_line(names):
    """Two rank alike behind the leader, and only one of them is worse by its signed ranks."""
    first, worse, alike = names
    values = {}
    for place in range(30):
        losing = (9.999, 10.001) if place < 10 else (15.0, 5.0) if place < 20 else (15.0, 10.001)
        losing = (15.0, 20.0) if place >= 25 else losing
        for model, value in zip((first, worse, alike, "last"), (10.0, *losing, 90.0), strict=True):
            values[model, f"d{place:02}"] = value

    table = models(values)

    assert {row.model: row.rank for row in table.rows} == {first: 1, worse: 2, alike: 2, "last": 4}
    assert told(table) == {first: "leads", worse: "separable", alike: "not separable", "last": "separable"}
    assert {row.model: row.tier for row in table.rows} == {
        first: "1–3", worse: "1–3", alike: "1–3", "last": "4"
    }  # fmt: skip


# --- what was not tested is not said to be --------------------------------------------------------


@pytest.mark.parametrize(
    ("datasets", "why"),
    [
        (1, "one dataset says nothing about others"),
        (4, "with 4 datasets no outcome could separate one of 3 models from the leader: 7 are needed"),
    ],
)
def test_where_nothing_could_be_told_apart_nothing_is_said_to_be_separable(datasets, why):
    values = {(m, f"d{d}"): v + d for d in range(datasets) for m, v in (("a", 1.0), ("b", 2.0), ("c", 3.0))}
    table, pairs = models(values), rank_pairs(View(), board_of(cells(values), View()))

    lines = list(csv.DictReader(io.StringIO("".join(models_csv(table)))))
    data = json.loads(b"".join(models_json(table)))
    assert [line["separable from the best"] for line in lines] == [""] * 3
    assert {line["separation (why)"] for line in lines} == {why}
    assert [row["not_separable"] for row in data["rows"]] == [None] * 3
    assert data["verdict"]["untested"] == why
    assert [row["separation (why)"] for row in records(data)] == [why] * 3
    assert "†" not in "".join(models_markdown(table))
    pair = json.loads(pairs_json(pairs))["pairs"][0]
    assert (pair["separable"], pair["p"]) == (None, None)
    (line, *_) = csv.DictReader(io.StringIO(pairs_csv(pairs)))
    assert (line["separable"], line["not_tested_because"]) == ("", pair["not_tested_because"])
    assert pair["not_tested_because"]


def test_one_model_alone_is_separable_from_nobody():
    (line,) = csv.DictReader(io.StringIO("".join(models_csv(models({("a", "d"): 1.0})))))

    assert (line["separable from the best"], line["separation (why)"]) == (
        "",
        "there is nothing to compare it with",
    )


def test_a_model_with_few_datasets_in_common_with_the_leader_is_not_tested():
    values = {(m, f"d{d}"): v + d / 10 for d in range(9) for m, v in (("a", 1.0), ("b", 2.0), ("c", 3.0))}
    values |= {("few", f"d{d}"): 4.0 + d / 10 for d in range(3)}

    table = models(values, missing="pairwise")

    few = next(row for row in table.rows if row.model == "few").separation
    assert (few.result, few.p) == ("untested", None)
    assert few.why == "it has 3 datasets in common with the best, and 6 are needed"
    assert "1 model shares too few datasets with it to be tested" in table.verdict.text


def test_nemenyis_test_has_a_floor_too():
    values = {(m, f"d{d}"): v + d for d in range(3) for m, v in (("a", 1.0), ("b", 2.0))}

    table = rank_pairs(View(test="nemenyi"), board_of(cells(values), View()))

    assert table.pairs["a", "b"].separated is None
    assert table.sentence.startswith("No average ranks of 2 models over 3 datasets are so far apart")


def test_pairs_are_corrected_for_those_of_all_models_however_many_are_shown():
    draw = random.Random(3)
    values = {(f"m{m:02}", f"d{d:02}"): m + draw.gauss(0, 8) for m in range(50) for d in range(20)}
    names = sorted({model for model, _ in values})
    columns = {m: np.array([values[m, f"d{d:02}"] for d in range(20)]) for m in names}
    every = list(itertools.combinations(names, 2))

    table = rank_pairs(View(), board_of(cells(values)))

    wanted = dict(zip(every, holm([wilcoxon(columns[a], columns[b]).p for a, b in every]), strict=True))
    shown = list(itertools.combinations(table.models, 2))
    assert len(shown) == 780
    for a, b in shown:
        assert table.pairs[a, b].p == pytest.approx(wanted[min(a, b), max(a, b)])
    assert "of 780 pairs can be told apart (exact Wilcoxon, Holm for all 1,225 pairs, α" in table.sentence


def test_of_very_many_models_the_best_are_tested_and_corrected_for_all():
    values = {(f"m{m:02}", f"d{d:02}"): m + d / 10 for m in range(61) for d in range(20)}

    table = rank_pairs(View(), board_of(cells(values)))

    assert any(note.startswith("The pairs of the best 60 models are tested") for note in table.notes)
    assert table.pairs["m00", "m39"].p == pytest.approx((61 * 60 / 2) * 2 / 2**20)


def test_p_values_of_some_comparisons_are_no_smaller_than_with_all_of_them():
    draw = np.random.default_rng(5)
    for _ in range(50):
        p = draw.uniform(size=30) ** 4
        assert (holm(p[:12], of=30) >= holm(p)[:12] - 1e-15).all()


@pytest.mark.parametrize(
    ("values", "needed"),
    [
        (
            {
                (m, f"d{d}"): v
                for d in range(6)
                for m, v in zip("abc", (1 + d % 2, 2 - d % 2, 3), strict=True)
            },
            7,
        ),
        ({(m, f"d{d}"): 1.0 for d in range(3) for m in "abc"}, 7),
    ],
)
def test_how_many_datasets_are_needed_does_not_follow_the_outcome(values, needed):
    table = models(values)

    assert f"could separate one of 3 models from the leader: {needed} are needed" in table.verdict.text
    assert {row.separation.result for row in table.rows} == {"untested"}
    assert {row.tier for row in table.rows} == {"1–3"}


def test_tests_over_more_differences_than_are_counted_out_are_not_called_exact():
    values = {(m, f"d{d:03}"): d + v + d * v / 1000 for d in range(201) for m, v in (("a", 1.0), ("b", 1.5))}
    few = {cell: value for cell, value in values.items() if cell[1] != "d000"}

    for some, how in ((values, "(Wilcoxon, Holm"), (few, "(exact Wilcoxon, Holm")):
        assert how in models(some).verdict.text
        table = rank_pairs(View(), board_of(cells(some)))
        assert how in table.sentence
        assert table.is_exact is (some is few)


# --- what nobody measured ---------------------------------------------------------------------


def test_there_is_no_skill_against_values_that_are_filled_in():
    values = {("base", "x"): 1.0, ("m", "x"): 0.5, ("m", "y"): 0.5, ("n", "y"): 2.0, ("n", "x"): 3.0}

    against = models(values, missing="impute:worst", baseline="base")
    table = models(values, missing="impute:worst", baseline="m")

    assert "No skill is shown: the baseline base misses a dataset." in against.notes
    skills = {row.model: row.statistics["skill"].is_imputed for row in table.rows}
    assert skills == {"m": False, "n": False, "base": True}


def test_pairs_say_what_is_filled_in_and_take_differences_of_what_was_measured():
    values = {("a", "x"): 1.0, ("a", "y"): 1.0, ("b", "x"): 3.0, ("c", "x"): 9.0, ("c", "y"): 9.0}

    table = rank_pairs(View(missing="impute:worst"), board_of(cells(values), View()))

    assert table.notes[-1].startswith("‡ 1 missing value is filled in with the worst value of its dataset")
    assert table.pairs["a", "b"].difference == -2.0
    assert table.pairs["a", "b"].wins == 2


def test_the_best_of_seeds_is_the_mean_by_name_too_where_nobody_knows_what_is_better():
    jobs = [done(f"a{s}", "a", seed=str(s), zorp=v) for s, v in enumerate((1.0, 2.0))]
    jobs += [done("b", "b", seed="0", zorp=3.0)]
    for view in (View(group="model", seeds="best"), View(group="cell", seeds="best")):
        table = rank(view, board_of(jobs, view))

        cell = next(row for row in table.rows if row.model == "a").cells["zorp"]
        assert (cell.raw, table.view.seeds) == (1.5, "mean")
        assert any("values are means over seeds, not the best of them" in note for note in table.notes)
        assert not any("favours models" in note for note in table.notes)
        assert all(flag.kind != "best of" for row in table.rows for flag in row.flags)
    for asked in (View(cell="best"), View(seeds="best")):
        shown = matrix(asked, board_of(jobs, View()))
        assert (shown.view.cell, shown.view.seeds) == ("mean", "mean")
        assert "each cell is the mean over seeds" in matrix_latex(shown, 1)


@pytest.mark.parametrize("seeds", ["mean", "median", "best", "last"])
def test_only_a_mean_is_said_to_have_a_standard_deviation(seeds):
    view = View(group="cell", seeds=seeds)
    jobs = [done(f"a{s}", "a", seed=str(s), MSE=1.0 + s) for s in range(3)]

    ranking = "".join(leaderboard_latex(Ranking(view, board_of(jobs, view)), 1))
    grid = matrix_latex(matrix(replace(view, group="job"), board_of(jobs, view)), 1)

    for text in (ranking, grid):
        assert ("standard deviation" in text) == (seeds == "mean")


def test_a_rule_is_spoken_of_where_it_is_drawn_alone():
    values = {(m, f"d{d}"): v + d for d in range(9) for m, v in (("a", 1.0), ("b", 2.0), ("c", 3.0))}

    by_rank, by_name = ("".join(models_latex(models(values, sort=sort), 1)) for sort in ("", "model"))

    assert ("A rule separates" in by_rank, by_rank.count("\\midrule")) == (True, 3)
    assert ("A rule separates" in by_name, by_name.count("\\midrule")) == (False, 1)


# --- what nobody named ------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["complete", "shared", "pairwise", "impute:worst"])
def test_a_job_without_a_dataset_takes_no_place_from_others(missing):
    values = {(m, f"d{d}"): v for d in range(2) for m, v in (("a", 1.0), ("b", 2.0))}
    jobs = [*cells(values), replace(done("x", "b", seed="0", MSE=0.1), dataset=None)]
    jobs += [replace(done("y", "only", seed="0", MSE=0.1), dataset=None)]
    view = View(group="model", missing=missing)

    table = rank(view, board_of(jobs, view))

    assert {row.model: row.rank for row in table.rows} == {"a": 1, "b": 2}
    assert [row.model for row in table.unranked] == ["only"]
    assert "2 jobs name no dataset, and are compared with nothing." in table.notes


def test_a_project_that_names_no_dataset_has_one():
    view = View(group="model")
    jobs = [replace(done(m, m, seed="0", MSE=v), dataset=None) for m, v in (("a", 1.0), ("b", 2.0))]

    assert [row.rank for row in rank(view, board_of(jobs, view)).rows] == [1, 2]


def test_jobs_that_name_no_model_are_no_model_and_never_lead():
    view = View(group="model")
    jobs = [*cells({("a", "x"): 1.0, ("b", "x"): 2.0}), replace(done("n", "n", "x", MSE=0.1), model=None)]

    table = rank(view, board_of(jobs, view))

    assert table.verdict.leaders == ("a",)
    assert [(row.model, row.rank) for row in table.rows] == [("a", 1), ("b", 2)]
    (row,) = table.unranked
    assert (row.model, [gap.text for gap in row.gaps]) == (None, ["done by jobs that name no model"])
    assert "1 job names no model, and is compared with nothing." in table.notes
    assert leader(View(), board_of(jobs, View())).models == ("a",)
    cells_of = rank(View(group="cell"), board_of(jobs, View()))
    assert {row.model: (row.rank, row.cells["MSE"].mark) for row in cells_of.rows} == {
        None: (None, ""), "a": (1, "best"), "b": (2, "second")
    }  # fmt: skip
    assert "1 job names no model, and is compared with nothing." in cells_of.notes
    grid = matrix(View(), board_of(jobs, View()))
    assert [(grid.cells[name, "x"].step, grid.cells[name, "x"].rank) for name in ("", "a")] == [
        (None, None), (0, 1.0)
    ]  # fmt: skip


# --- what is shown ----------------------------------------------------------------------------


def test_the_first_two_places_read_apart():
    """The first wins on 168 of 333 datasets."""
    values = {(m, f"d{d:03}"): 1.0 for d in range(333) for m in "ab"}
    values |= {("a", f"d{d:03}"): 0.99999999 if d < 168 else 1.00000001 for d in range(333)}

    first, second = models(values).rows

    assert (first.rank, second.rank) == (1, 2)
    shown = [row.statistics["average_rank"].display for row in (first, second)]
    assert shown == ["1.495", "1.505"]


def test_the_means_of_the_first_two_read_apart():
    values = {(m, f"d{d}"): v for d in range(3) for m, v in (("a", 0.50001), ("b", 0.50002), ("c", 0.9))}

    shown = [row.cells["MSE"].display for row in models(values).rows]

    assert shown == ["0.50001", "0.50002", "0.90000"]


def seeded():
    jobs = [done(f"a{s}", "a", "x", seed=str(s), MSE=v) for s, v in enumerate((1.0, 2.0, 3.0))]
    return [*jobs, done("b", "b", "x", seed="0", MSE=4.0)]


def test_the_guards_flags_are_in_every_file():
    for view in (View(group="cell"), View(group="model")):
        if view.group == "cell":
            ranking = Ranking(view, board_of(seeded(), view))
            lines = "".join(leaderboard_csv(ranking))
            markdown, tex = "".join(leaderboard_markdown(ranking)), "".join(leaderboard_latex(ranking, 1))
            data = json.loads(b"".join(leaderboard_json(ranking)))
        else:
            table = rank(view, board_of(seeded(), view))
            lines, markdown = "".join(models_csv(table)), "".join(models_markdown(table))
            tex, data = "".join(models_latex(table, 1)), json.loads(b"".join(models_json(table)))

        flags = [line["flags"] for line in csv.DictReader(io.StringIO(lines))]
        assert (flags[0], flags[1].startswith("one seed")) == ("", True)
        assert [row["flags"] for row in records(data)] == flags
        assert "| b <sup>a</sup> |" in markdown
        assert "\na one seed: nothing is known of the spread between seeds.\n" in markdown
        assert r"b$^{\mathrm{a}}$ &" in tex
        assert "one seed: nothing is known of the spread between seeds." in tex.partition("\\end{tabular}")[2]


def test_a_mean_over_seeds_has_students_interval_from_three_on():
    view = View(group="cell")
    ranking = Ranking(view, board_of(seeded(), view))
    half = 4.302652729911275 / math.sqrt(3)  # t(.975, 2) and std 1

    first, second = json.loads(b"".join(leaderboard_json(ranking)))["rows"]
    (line, _) = csv.DictReader(io.StringIO("".join(leaderboard_csv(ranking))))
    grid = matrix(View(), board_of(seeded(), view))
    (beside, _) = csv.DictReader(io.StringIO(matrix_csv(grid)))

    assert first["cells"]["MSE"]["interval"] == pytest.approx([2 - half, 2 + half])
    assert second["cells"]["MSE"]["interval"] is None
    assert [float(line[f"MSE ({end})"]) for end in ("low", "high")] == first["cells"]["MSE"]["interval"]
    assert [float(beside[f"x ({end})"]) for end in ("low", "high")] == first["cells"]["MSE"]["interval"]
    assert json.loads(matrix_json(grid))["cells"][0]["interval"] == first["cells"]["MSE"]["interval"]
    assert rank(view, board_of(seeded(), view)).rows[0].cells["MSE"].interval == "−0.5 to 4.5"


def test_a_hidden_metric_is_nobodys_default():
    keys = [MetricKey("MSE", 9, setting=MetricSetting(role="hidden")), MetricKey("MAE", 3)]
    jobs = [done(m, m, MSE=v, MAE=2 - v) for m, v in (("a", 0.5), ("b", 1.0))]

    table = rank(View(), MemoryBoard("p", keys, jobs))

    assert table.ranked_by == "MAE"
    assert "MSE is hidden; this is MAE, the most common quality metric." in table.notes
    assert rank(View(), MemoryBoard("p", keys[:1], jobs)).ranked_by is None


def test_what_corrects_a_metric_corrects_its_aliases():
    settings = Settings(
        metrics={
            "MSE": MetricSetting(corrections=(Correction(0.01, over=10.0),)),
            "mse": MetricSetting(alias_of="MSE"),
            "percent": MetricSetting(alias_of="MSE", corrections=(Correction(0.1, over=10.0),)),
        }
    )

    assert settings.settle({"mse": 50.0}, "b") == {"MSE": 0.5}
    assert settings.settle({"percent": 50.0}, "b") == {"MSE": 5.0}  # its own word counts for more
    assert settings.settle({"percent": 5.0}, "b") == {"MSE": 5.0}


# --- does the order hold? -----------------------------------------------------------------------


def variants(jobs, **view):
    asked = View(**view)
    table = rank_sensitivity(asked, board_of(jobs, asked))
    return {variant.name: variant.places for variant in table.variants}


def test_small_values_are_told_apart_as_large_ones_are():
    values = {(m, f"d{d}"): v * (1 + d) for d in range(3) for m, v in (("a", 1e-12), ("b", 2e-12))}

    found = variants(cells(values))

    assert found["mean value"] == found["geometric mean"] == found["as asked"] == {"a": 1, "b": 2}


@pytest.mark.parametrize("size", [1e12, 1.0])
def test_values_that_only_rounding_tells_apart_share_a_place_in_every_aggregate(size):
    """Those of size 1 have a geometric mean of 1, whose logarithm is nearly nothing."""
    values = {("a", "x"): (0.1 + 0.2) * size, ("b", "x"): 0.3 * size}
    values |= {("a", "y"): size / 0.3, ("b", "y"): size / (0.1 + 0.2)}

    found = variants(cells(values))

    for name in ("as asked", "mean value", "geometric mean", "median rank"):
        assert found[name] == {"a": 1, "b": 1}


def test_the_last_seed_is_that_of_the_board_also_where_it_lacks_the_metric():
    jobs = [done(f"a{s}", "a", seed=str(s), at=s, MSE=1.0) for s in range(2)]
    jobs += [done("a2", "a", seed="2", at=2, MAE=1.0), done("b", "b", seed="0", MSE=2.0)]
    view = View(group="model", seeds="last")

    board = {row.model: row.rank for row in rank(view, board_of(jobs, view)).rows}

    assert variants(jobs)["last seed"] == board == {"b": 1}


def test_a_board_counts_once_by_whatever_policy_it_comes():
    whole = {(m, d): v for d in "xy" for m, v in (("a", 1.0), ("b", 2.0))}

    assert {"shared", "pairwise", "impute:worst"} & variants(cells(whole)).keys() == set()
    partial = variants(cells({**whole, ("c", "x"): 0.5}))
    assert {"shared", "pairwise", "impute:worst"} <= partial.keys()
    assert "complete" in variants(cells({**whole, ("c", "x"): 0.5}), missing="shared")


# --- quality against cost -----------------------------------------------------------------------


def costly(latencies):
    """Return a job for each model and dataset: a is the best of three; latencies as given, or none."""
    jobs = []
    for (model, quality), some in zip((("a", 1.0), ("b", 2.0), ("c", 3.0)), latencies, strict=True):
        for dataset, latency in zip("xyz", some, strict=True):
            metrics = {"MSE": quality} | ({} if latency is None else {"Latency_P50": latency})
            jobs.append(done(model + dataset, model, dataset, **metrics))
    return rank_pareto(View(), board_of(jobs))


def test_costs_are_compared_over_the_datasets_on_which_all_models_have_them():
    pareto = costly([(1.0, 10.0, 100.0), (2.0, 20.0, None), (3.0, None, 300.0)])

    assert [(point.cost, point.cost_datasets) for point in pareto.points] == [(1.0, 1), (2.0, 1), (3.0, 1)]
    assert [point.is_front for point in pareto.points] == [True, False, False]
    assert (
        "Latency_P50 is compared over the 1 of 3 datasets on which all these models have it." in pareto.notes
    )


def test_where_no_dataset_has_all_costs_two_models_are_compared_over_those_that_both_have():
    pareto = costly([(1.0, 10.0, None), (None, 20.0, 200.0), (0.5, None, 20.0)])

    assert [point.cost_datasets for point in pareto.points] == [2, 2, 2]
    assert [point.beaten_by for point in pareto.points] == ["", "a", ""]  # c is cheaper than a on x
    assert any(note.startswith("No dataset has the Latency_P50 of all these models") for note in pareto.notes)
    apart = costly([(1.0, None, None), (None, 20.0, None), (None, None, 3.0)])
    assert all(point.is_front for point in apart.points)


def test_costs_on_every_dataset_need_no_word():
    assert costly([(1.0, 1.0, 1.0)] * 3).notes == []


# --- cells of one dataset -----------------------------------------------------------------------


def of_seeds(**values):
    return [
        done(f"{model}{seed}", model, "x", seed=str(seed), MSE=value)
        for model, some in values.items()
        for seed, value in enumerate(some)
    ]


def test_a_cell_that_its_seeds_do_not_tell_from_the_best_is_marked_by_welchs_test():
    some = {"a": (1.0, 1.1, 0.9, 1.05), "b": (1.1, 1.3, 0.8, 1.2), "c": (5.0, 5.1, 4.9, 5.2), "one": (1.2,)}
    view = View(group="cell")
    ranking = Ranking(view, board_of(of_seeds(**some), view))

    rows = {row.model: row for row in ranking.whole().rows}

    results = {model: row.separation.result for model, row in rows.items()}
    assert results == {"a": "leads", "b": "not separable", "c": "separable", "one": "untested"}
    pairs = list(itertools.combinations("abc", 2))
    wanted = holm([stats.ttest_ind(some[a], some[b], equal_var=False).pvalue for a, b in pairs])
    assert rows["b"].separation.p == pytest.approx(wanted[0])
    assert rows["c"].separation.p == pytest.approx(wanted[1])
    assert [row.cells["MSE"].is_close for row in rows.values()] == [False, True, False, False]
    data = json.loads(b"".join(leaderboard_json(ranking)))
    lines = list(csv.DictReader(io.StringIO("".join(leaderboard_csv(ranking)))))
    assert [line["separable from the best"] for line in lines] == ["", "no", "", "yes"]
    assert [row["separation (why)"] or "" for row in records(data)] == [
        line["separation (why)"] for line in lines
    ]
    shown = rows["b"].cells["MSE"].display
    assert data["rows"][1]["display"]["MSE"].startswith(f"{shown}† ± ")
    grid = matrix(View(), board_of(of_seeds(**some), view))
    assert grid.cells["b", "x"].marks == "†"
    for text in ("".join(leaderboard_markdown(ranking)), matrix_markdown(grid)):
        assert f"{shown}</u>† ± " in text
        assert "† in MSE: the seeds do not tell it from the best of its dataset" in text
    for text in ("".join(leaderboard_latex(ranking, 1)), matrix_latex(grid, 1)):
        assert r"}$^{\dagger}$ $\pm$" in text
        assert "No significance test" not in text
    keys = [MetricKey("MSE", 9, setting=MetricSetting(label="error"))]
    called = MemoryBoard("p", keys, of_seeds(**some), Settings())
    assert any(note.startswith("† in error: ") for note in Ranking(View(group="cell"), called).notes)


@pytest.mark.parametrize(
    ("values", "result", "why"),
    [
        ({"a": (1.0,), "b": (2.0, 2.1)}, "untested", "the spread of the best of the dataset is not known"),
        ({"a": (1.0, 1.0), "b": (2.0, 2.0)}, "separable", ""),
        ({"a": (1e100, 1.1e100), "b": (1.2e100, 1.05e100)}, "not separable", ""),
    ],
)
def test_where_seeds_have_no_spread_a_cell_is_judged_as_far_as_that_goes(values, result, why):
    view = View(group="cell")

    rows = Ranking(view, board_of(of_seeds(**values), view)).whole().rows

    assert (rows[1].separation.result, rows[1].separation.why) == (result, why)


def test_of_equal_cells_seeds_tell_one_from_the_best_on_one_board_in_twenty_at_most():
    draw, view, wrong = np.random.default_rng(4), View(group="cell"), 0
    for _ in range(300):
        values = {name: draw.normal(10, 1, size=3).tolist() for name in "abcde"}
        rows = Ranking(view, board_of(of_seeds(**values), view)).whole().rows
        wrong += any(row.separation.result == "separable" for row in rows)

    assert wrong / 300 <= 0.05


def test_a_metric_that_is_called_as_a_column_of_ours_stands_beside_it():
    taken = ("flags", "seeds", "tier", "separation", "provisional_rank", "n", "rank", "MSE (std)", "MSE (n)")
    values = dict.fromkeys(taken, 7.5)
    jobs = [
        done(f"{m}{d}{seed}", m, d, str(seed), MSE=x + seed, **values)
        for m, x in (("a", 1.0), ("b", 2.0))
        for d in ("d1", "d2")
        for seed in (0, 1)
    ]
    names = {f"metric:{name}" for name in taken}
    found = []
    for group in ("model", "cell", "job"):
        view = View(group=group, metric="MSE")
        board = board_of(jobs, view)
        if group == "model":
            of_models = rank(view, board)
            text, table = "".join(models_csv(of_models)), b"".join(models_json(of_models))
        else:
            ranking = Ranking(view, board)
            text, table = "".join(leaderboard_csv(ranking)), b"".join(leaderboard_json(ranking))
        header = next(csv.reader(io.StringIO(text)))
        assert len(set(header)) == len(header)
        assert names <= set(header)
        record = records(json.loads(table))[0]
        assert {record[name] for name in names} == {7.5}
        found.append(record)
    assert found[0]["tier"] == "1–2"
    assert (found[0]["MSE (n)"], found[1]["MSE (n)"], found[1]["n"]) == (2, 2, 2)
    assert found[1]["separation"] == "leads"


@pytest.mark.parametrize(("content", "values"), [("n", (2.0, 3.0)), ("rank", (1.0, 2.0))])
def test_a_count_or_a_rank_that_reads_like_the_value_has_not_its_spread(content, values):
    jobs = [
        done(f"{m}{seed}", m, "d", str(seed), MSE=value)
        for m, value in zip("ab", values, strict=True)
        for seed in range(2)
    ]
    view = View(group="cell", cell=content)

    table = matrix(view, board_of(jobs, view))

    assert [cell.display for cell in table.cells.values()] == (["2", "2"] if content == "n" else ["1", "2"])
    assert "±" not in matrix_markdown(table) + matrix_latex(table, 1)
    assert {cell.spread for cell in matrix(View(), board_of(jobs)).cells.values()} == {"± 0"}


def test_a_letter_in_a_name_is_no_significance_test():
    jobs = [done(m, m, "d", "α", MSE=value) for m, value in (("a", 1.0), ("b", 2.0))]
    view = View(group="cell", seed=("α",))
    board = board_of(jobs, view)

    for text in ("".join(leaderboard_latex(Ranking(view, board), 1)), matrix_latex(matrix(view, board), 1)):
        assert r"seed $\alpha$ alone" in text
        assert "No significance test" in text


def test_a_matrix_of_the_largest_floats_has_its_shades():
    far = {"a": 1.7e308, "b": -1.7e308, "c": 0.85e308, "e": 1.0}
    jobs = [done(f"{m}{d}", m, d, MSE=value) for d in ("d1", "d2") for m, value in far.items()]

    table = matrix(View(), board_of(jobs))

    assert [table.cells[model, "d1"].step for model in "be"] == [0, 9]
