"""What the leaderboard promises, on plain data."""

import itertools
import math
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argus_core.conventions import Convention
from argus_server.errors import BadView
from argus_server.ranking.board import MemoryBoard
from argus_server.ranking.format import Style, choose_style, choose_unit
from argus_server.ranking.leader import leader
from argus_server.ranking.rank import rank
from argus_server.ranking.registry import Settings
from argus_server.ranking.table import DoneJob, MetricKey
from argus_server.ranking.view import Condition, View

NEAR = (0.4999999, 0.5, 0.5000001, 0.9999999, 1.0, 1.0000001)


def done(name, model="m", dataset="d", seed="0", at=0, fast=False, **metrics):
    return DoneJob("b", name, model, dataset, seed, metrics, at, fast)


def board_of(jobs, view=None, *, keys=None, primary=None):
    counts = {}
    for job in jobs:
        for key in job.metrics:
            counts[key] = counts.get(key, 0) + 1
    keys = [MetricKey(key, n) for key, n in sorted(counts.items())] if keys is None else keys
    return MemoryBoard("p", keys, jobs, Settings(primary=primary), view.batch if view else ())


def table(jobs, view=None, *, keys=None, primary=None, **more):
    return rank(view or View(), board_of(jobs, view, keys=keys, primary=primary), **more)


def names(ranked):
    return [row.job_id for row in ranked.rows]


def shown(ranked, key):
    return [row.cells[key].display for row in ranked.rows]


def column(ranked, key):
    return next(column for column in ranked.metric_columns if column.key == key)


# --- order ------------------------------------------------------------------------------------

FOUR = [
    done("low", "m1", MSE=0.1, R2=0.9),
    done("mid", "m2", MSE=0.2, R2=0.5),
    done("high", "m3", MSE=0.3, R2=0.1),
    done("none", "m4", MAE=1.0),
]


def test_mse_ranks_by_default_and_the_lowest_is_first():
    ranked = table(FOUR)

    assert names(ranked) == ["low", "mid", "high", "none"]
    assert [row.rank for row in ranked.rows] == [1, 2, 3, None]


@pytest.mark.parametrize(
    ("sort", "order", "expected"),
    [
        ("MSE", "", ["low", "mid", "high", "none"]),
        ("MSE", "asc", ["low", "mid", "high", "none"]),
        ("MSE", "desc", ["high", "mid", "low", "none"]),
        ("R2", "", ["low", "mid", "high", "none"]),
        ("R2", "asc", ["high", "mid", "low", "none"]),
        ("model", "", ["low", "mid", "high", "none"]),
        ("model", "desc", ["none", "high", "mid", "low"]),
    ],
)
def test_the_first_click_sorts_best_first_and_missing_stays_last(sort, order, expected):
    assert names(table(FOUR, View(sort=sort, order=order))) == expected


TIED = [
    done("a", "m1", "x", MSE=0.2, R2=0.1),
    done("b", "m2", "x", MSE=0.1, R2=0.5),
    done("c", "m3", "y", MSE=0.2, R2=0.9),
    done("d", "m4", "y", R2=0.9),
    done("e", None, "y", MSE=0.2, R2="n/a"),
]


@pytest.mark.parametrize(
    ("sort", "then", "expected"),
    [
        ("MSE", ("R2",), "b a c e d"),
        ("MSE", ("-R2",), "b c a e d"),
        ("dataset", ("MSE", "-model"), "b a c e d"),
        ("R2", ("-MSE",), "c d b a e"),
        ("dataset", ("-R2", "model"), "b a c d e"),
        ("MSE", ("model", "-R2"), "b a c e d"),
    ],
)
def test_further_columns_decide_among_equal_rows_and_missing_stays_last_in_each(sort, then, expected):
    ranked = table(TIED, View(sort=sort, then=then))

    assert names(ranked) == expected.split()
    assert ranked.view.then == then


def test_the_first_metric_that_sorts_is_the_one_that_ranks():
    assert table(TIED, View(sort="dataset", then=("-R2",))).ranked_by == "R2"
    assert table(TIED, View(sort="dataset", then=("-R2",), metric="MSE")).ranked_by == "MSE"
    assert table(TIED, View(sort="MSE", then=("-R2",))).ranked_by == "MSE"


def test_a_further_column_that_there_is_not_is_named_and_left_out():
    ranked = table(TIED, View(then=("absent", "R2", "-R2", "MSE")))

    assert ranked.view.then == ("R2",)
    assert "No job of this project has reported a metric 'absent'." in ranked.notes


def test_a_metric_that_begins_with_a_minus_can_be_told_from_one_that_descends():
    jobs = [done("a", x=1.0, **{"-x": 2.0}), done("b", seed="1", x=2.0, **{"-x": 1.0})]
    by = {then: table(jobs, View(sort="model", then=(then,))) for then in ("x", "-x", "metric:-x", "--x")}

    assert {then: names(ranked) for then, ranked in by.items()} == {
        "x": ["a", "b"],
        "-x": ["b", "a"],
        "metric:-x": ["b", "a"],
        "--x": ["a", "b"],
    }
    assert all(ranked.view.then == (then,) for then, ranked in by.items())


def test_more_further_columns_than_a_database_joins_in_time_are_refused():
    with pytest.raises(BadView, match="then=f is one column too many"):
        View.parse([("then", name) for name in "abcdef"])


def test_a_rank_is_the_same_whichever_way_the_table_stands():
    ranked = table(FOUR, View(sort="MSE", order="desc"))

    assert [row.rank for row in ranked.rows] == [3, 2, 1, None]


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("odd", ["NaN", "Infinity", "-Infinity", True, "text", [1, 2], 10**400])
def test_what_is_no_finite_number_stands_after_the_numbers_and_before_nothing(odd, order):
    jobs = [
        done("none", "m1", R2=1.0),
        done("odd", "m2", MSE=odd),
        done("a", "m3", MSE=0.5),
        done("b", "m4", MSE=0.1),
    ]

    ranked = table(jobs, View(order=order))

    assert names(ranked)[2:] == ["odd", "none"]
    odd_row = ranked.rows[2]
    assert odd_row.rank is None
    assert odd_row.cells["MSE"].mark == ""
    assert odd_row.cells["MSE"].raw == odd


def test_the_table_is_the_same_whatever_order_the_jobs_come_in():
    jobs = [done(f"j{i}", f"m{i % 3}", f"d{i % 2}", str(i), MSE=i % 4) for i in range(12)]
    shuffled = random.Random(1).sample(jobs, len(jobs))

    for group in ("job", "cell"):
        assert table(shuffled, View(group=group)) == table(jobs, View(group=group))


def test_seeds_sort_as_numbers():
    jobs = [done(f"s{seed}", seed=str(seed), MSE=1.0) for seed in (10, 2, 1)]

    assert names(table(jobs, View(sort="seed"))) == ["s1", "s2", "s10"]


# --- columns ----------------------------------------------------------------------------------


def test_columns_are_every_key_of_the_project_in_the_order_of_their_role():
    keys = [MetricKey(key, 1) for key in ("seed", "R2", "Latency_P50", "mine", "MAE", "MSE")]

    ranked = table([done("j", seed=None, MSE=1.0)], View(sort="R2"), keys=keys)

    assert [c.key for c in ranked.metric_columns] == ["R2", "MSE", "MAE", "mine", "Latency_P50", "seed"]


def test_a_metric_that_is_called_like_a_column_keeps_a_name_of_its_own():
    ranked = table([done("j", seed="0", MSE=1.0, rank=7)], View(sort="metric:rank"))

    assert [c.id for c in ranked.columns] == ["model", "dataset", "seed", "metric:rank", "MSE"]
    assert ranked.view.sort == "metric:rank"


def test_without_mse_the_most_common_quality_metric_ranks_and_the_table_says_so():
    jobs = [done("a", Latency_P50=1.0, accuracy=0.5, f1=0.1), done("b", "n", accuracy=0.7)]

    ranked = table(jobs)

    assert ranked.ranked_by == "accuracy"
    assert any("accuracy" in note and "MSE" in note for note in ranked.notes)


def test_the_projects_own_metric_comes_before_mse():
    assert table([done("a", MSE=1.0, R2=1.0)], primary="R2").ranked_by == "R2"


def test_an_unknown_direction_is_sorted_and_never_ranked():
    ranked = table([done("a", mine=2), done("b", "n", mine=1)], View(sort="mine"))

    assert names(ranked) == ["b", "a"]
    assert {row.rank for row in ranked.rows} == {None}
    assert {row.cells["mine"].mark for row in ranked.rows} == {""}


def test_a_metric_that_nobody_reported_is_named():
    ranked = table(FOUR, View(sort="nope"))

    assert names(ranked)[0] == "low"
    assert any("'nope'" in note for note in ranked.notes)


# --- best and second --------------------------------------------------------------------------


def marks(ranked, key="MSE"):
    return {row.job_id: row.cells[key].mark for row in ranked.rows}


def test_best_and_second_are_marked():
    assert marks(table(FOUR)) == {"low": "best", "mid": "second", "high": "", "none": ""}


def test_ties_are_all_best_and_then_there_is_no_second():
    jobs = [done("a", "m1", MSE=0.1), done("b", "m2", MSE=0.1 + 1e-12), done("c", "m3", MSE=0.2)]

    assert marks(table(jobs)) == {"a": "best", "b": "best", "c": ""}
    assert [row.rank for row in table(jobs).rows] == [1, 1, 3]


def test_marks_and_ranks_hold_within_a_dataset():
    jobs = [
        done("a1", "m1", "easy", MSE=0.1),
        done("a2", "m2", "easy", MSE=0.2),
        done("b1", "m1", "hard", MSE=10.0),
        done("b2", "m2", "hard", MSE=20.0),
    ]
    ranked = table(jobs)

    assert marks(ranked) == {"a1": "best", "a2": "second", "b1": "best", "b2": "second"}
    assert [row.rank for row in ranked.rows] == [1, 2, 1, 2]
    assert any("not comparable" in note for note in ranked.notes)


def test_alone_nobody_is_best():
    assert marks(table([done("a", MSE=1.0)])) == {"a": ""}


def test_info_columns_have_no_best():
    jobs = [done("a", "m1", MSE=1.0, GPU_Utilization=5), done("b", "m2", MSE=2.0, GPU_Utilization=9)]

    assert set(marks(table(jobs), "GPU_Utilization").values()) == {""}


# --- which jobs count -------------------------------------------------------------------------


def test_the_last_job_of_a_model_dataset_and_seed_counts_and_older_ones_are_superseded():
    jobs = [done("old", at=1, MSE=0.1), done("new", at=2, MSE=0.3), done("rival", "n", MSE=0.2)]
    ranked = table(jobs)
    old = next(row for row in ranked.rows if row.job_id == "old")

    assert (old.rank, old.superseded_by, old.cells["MSE"].mark) == (None, ("b", "new"), "")
    assert marks(ranked)["rival"] == "best"


def test_a_superseded_job_is_not_counted_twice_in_its_cell():
    jobs = [done("old", at=1, MSE=0.1), done("new", at=2, MSE=0.3)]
    (row,) = table(jobs, View(group="cell")).rows

    assert (row.n, row.cells["MSE"].raw) == (1, 0.3)


def test_jobs_without_a_seed_are_replicates():
    jobs = [done("a", seed=None, MSE=1.0), done("b", seed=None, MSE=3.0)]
    (row,) = table(jobs, View(group="cell")).rows

    assert (row.n, row.cells["MSE"].raw) == (2, 2.0)


@pytest.mark.parametrize("group", ["job", "cell"])
def test_a_view_of_one_batch_ranks_that_batch_whatever_other_batches_did_later(group):
    """A superseded job used to stay so: then `group=cell` of its batch had no row to show."""
    jobs = [
        DoneJob("old", "j", "m", "d", "0", {"MSE": 1.0}, 1),
        DoneJob("old", "k", "n", "d", "0", {"MSE": 3.0}, 1),
        DoneJob("new", "j", "m", "d", "0", {"MSE": 2.0}, 2),
    ]

    rows = table(jobs, View(group, batch=("old",))).rows

    assert [(row.model, row.rank, row.superseded_by) for row in rows] == [("m", 1, None), ("n", 2, None)]
    assert [row.cells["MSE"].raw for row in rows] == [1.0, 3.0]


@pytest.mark.parametrize("unknown", ["model", "dataset", "seed"])
def test_what_is_unknown_supersedes_nothing(unknown):
    jobs = [replace(done(name, at=at, MSE=1.0), **{unknown: None}) for at, name in enumerate("ab")]

    assert [row.superseded_by for row in table(jobs).rows] == [None, None]
    assert [row.n for row in table(jobs, View("cell")).rows] == [2]


def test_a_fast_dev_run_is_never_ranked():
    assert names(table([done("real", MSE=1.0), done("dry", fast=True, MSE=0.0)])) == ["real"]


def test_filters_keep_what_they_name():
    jobs = [done(f"{m}{d}{s}", m, d, s, MSE=1.0) for m in "ab" for d in "xy" for s in "01"]

    assert names(table(jobs, View(model=("a",), dataset=("x",), seed=("1",)))) == ["ax1"]
    assert len(table(jobs, View(model=("a", "b"), dataset=("y",))).rows) == 4


def test_a_page_is_a_part_of_the_whole_order():
    jobs = [done(f"j{i}", seed=str(i), MSE=float(i)) for i in range(5)]

    page = table(jobs, View(page=2), page_rows=2)

    assert names(page) == ["j2", "j3"]
    assert page.total == 5
    assert [row.rank for row in page.rows] == [3, 4]


# --- cells ------------------------------------------------------------------------------------


def test_a_cell_has_mean_standard_deviation_and_n():
    jobs = [done(f"j{s}", seed=str(s), MSE=value) for s, value in enumerate((0.1, 0.2, 0.3))]
    (row,) = table(jobs, View(group="cell")).rows
    cell = row.cells["MSE"]

    assert (cell.raw, cell.n) == (pytest.approx(0.2), 3)
    assert cell.std == pytest.approx(0.1)
    assert (cell.display, cell.spread) == ("0.20", "± 0.10")


def test_the_standard_deviation_survives_large_numbers():
    """NIST NumAcc4: 1001 values around 10⁷ with a standard deviation of exactly 0.1."""
    values = [10000000.2] + [10000000.1, 10000000.3] * 500
    jobs = [done(f"j{i}", seed=str(i), MSE=value) for i, value in enumerate(values)]
    (row,) = table(jobs, View(group="cell")).rows

    assert row.cells["MSE"].std == pytest.approx(0.1, rel=1e-7)


def test_a_single_seed_has_no_spread():
    (row,) = table([done("a", MSE=1.0)], View(group="cell")).rows

    assert (row.cells["MSE"].spread, row.cells["MSE"].std) == ("n=1", None)


def test_one_diverged_seed_makes_the_cell_diverged_and_not_better():
    jobs = [
        done("a", "lucky", seed="0", MSE=0.1),
        done("b", "lucky", seed="1", MSE="NaN"),
        done("c", "solid", MSE=0.5),
    ]
    ranked = table(jobs, View(group="cell"))

    assert [(row.model, row.rank) for row in ranked.rows] == [("solid", 1), ("lucky", None)]
    cell = ranked.rows[1].cells["MSE"]
    assert (cell.display, cell.spread, cell.n) == ("NaN", "1 of 2 diverged", 2)


@pytest.mark.parametrize(
    ("values", "display", "spread"),
    [
        ((0.5, "Infinity", 0.7), "∞", "1 of 3 diverged"),
        ((0.5, "-Infinity"), "−∞", "1 of 2 diverged"),
        (("Infinity", "-Infinity"), "NaN", "2 of 2 diverged"),
        (("Infinity", "NaN", "n/a"), "NaN", "2 of 2 diverged"),
    ],
)
def test_a_cell_that_diverged_says_where_to_and_how_often(values, display, spread):
    jobs = [done(f"j{i}", seed=str(i), MSE=value) for i, value in enumerate(values)]
    (row,) = table(jobs, View("cell")).rows

    assert (row.cells["MSE"].display, row.cells["MSE"].spread, row.rank) == (display, spread, None)


@pytest.mark.parametrize("odd", ["n/a", True, [1, 2]])
def test_a_seed_without_a_number_is_left_out_of_the_mean(odd):
    jobs = [done(f"j{i}", seed=str(i), MSE=value) for i, value in enumerate((0.5, odd, 0.7))]
    (row,) = table(jobs, View("cell")).rows

    assert (row.cells["MSE"].number, row.cells["MSE"].n, row.n) == (0.6, 2, 3)


def test_cells_are_ranked_by_their_means():
    jobs = [
        done(f"{m}{s}", m, seed=str(s), MSE=v + s / 100)
        for m, v in (("a", 0.5), ("b", 0.1))
        for s in range(3)
    ]

    assert [row.model for row in table(jobs, View(group="cell")).rows] == ["b", "a"]


# --- numbers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "unit", "text"),
    [
        (3e-6, "µs", "3"),
        (0.0142, "ms", "14.2"),
        (1.5, "s", "1.50"),
        (600, "min", "10"),
        (9000, "h", "2.50"),
    ],
)
def test_seconds_take_one_unit_for_the_column(seconds, unit, text):
    ranked = table([done("a", MSE=1.0, Latency_P50=seconds)])

    assert column(ranked, "Latency_P50").unit == unit
    assert shown(ranked, "Latency_P50") == [text]


def test_the_median_decides_the_unit_of_all():
    jobs = [
        done(f"j{i}", seed=str(i), MSE=float(i), Latency_P50=v) for i, v in enumerate((0.014, 0.002, 3.0))
    ]
    ranked = table(jobs)

    assert column(ranked, "Latency_P50").unit == "ms"
    assert shown(ranked, "Latency_P50") == ["14", "2", "3,000"]


@pytest.mark.parametrize(("megabytes", "unit", "text"), [(410.0, "MB", "410"), (4320.0, "GB", "4.22")])
def test_megabytes_become_gigabytes_from_1024(megabytes, unit, text):
    ranked = table([done("a", MSE=1.0, GPU_Memory=megabytes)])

    assert (column(ranked, "GPU_Memory").unit, shown(ranked, "GPU_Memory")) == (unit, [text])


def test_one_pair_that_nearly_ties_gives_the_other_datasets_no_digits():
    near = [done("a", "m", "d", MSE=0.3800001), done("b", "n", "d", MSE=0.3800002)]
    others = [done("c", "m", "e", MSE=0.412), done("d", "n", "e", MSE=0.4125)]

    assert sorted(shown(table([*near, *others]), "MSE")) == ["0.3800", "0.3800", "0.4120", "0.4125"]


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ((0.38, 0.5), ["0.380", "0.500"]),
        ((0.38001, 0.38002), ["0.38001", "0.38002"]),
        ((0.380001, 0.380002), ["0.380", "0.380"]),
        ((3, 40), ["3", "40"]),
        ((1e-9, 2e-9), ["1.00e-09", "2.00e-09"]),
        ((0.5, 1e-7), ["1.00e-07", "0.500"]),
        ((1e12, 5e12), ["1.000e+12", "5.000e+12"]),
        ((-0.5, 0.5), ["−0.500", "0.500"]),
    ],
)
def test_best_and_second_best_differ_in_what_is_shown_if_two_more_decimals_can_do_it(values, texts):
    jobs = [done(f"j{i}", f"m{i}", MSE=value) for i, value in enumerate(values)]

    assert shown(table(jobs), "MSE") == texts


def test_raw_values_are_untouched():
    (row,) = table([done("a", MSE=0.1 + 0.2, Latency_P50=0.0142)]).rows

    assert (row.cells["MSE"].raw, row.cells["Latency_P50"].raw) == (0.1 + 0.2, 0.0142)


def test_nothing_overflows():
    jobs = [done(f"j{i}", seed=str(i), MSE=1.7e308, MAE=5e-324, Latency_P50=1e-300) for i in range(3)]

    for group in ("job", "cell"):
        ranked = table(jobs, View(group=group))
        assert {cell for row in ranked.rows for cell in shown(ranked, "MSE")} == {"1.700e+308"}
        assert all(cell.display for row in ranked.rows for cell in row.cells.values())
    assert math.isinf(1.7e308 * 3)


def test_a_standard_deviation_that_no_float_holds_is_left_out():
    jobs = [done("a", seed="0", MSE=1e200), done("b", seed="1", MSE=0.5), done("c", "n", MSE=0.25)]

    ranked = table(jobs, View(group="cell"))

    assert [row.cells["MSE"].std for row in ranked.rows] == [None, None]
    assert [row.rank for row in ranked.rows] == [1, 2]
    assert shown(ranked, "MSE") == ["2.50e-01", "5.000e+199"]


def test_an_integer_that_no_float_holds_is_shown_as_a_power_of_ten():
    assert shown(table([done("a", MSE=-12345 * 10**400)]), "MSE") == ["−1.234e+404"]


@given(st.lists(st.floats(), max_size=5), st.lists(st.floats(), max_size=5), st.sampled_from(["s", "MB", ""]))
def test_any_floats_have_a_style(numbers, stds, raw_unit):
    _, scale = choose_unit(raw_unit, numbers)
    style = choose_style(numbers, stds, list(itertools.pairwise(numbers)), scale)

    assert all(style.value(number) for number in numbers)
    assert all(style.spread(std, mean) for std in stds if std >= 0 for mean in (0.0, 1.0, None))


@pytest.mark.parametrize(
    ("mean", "std", "shown"), [(4.5e-7, 2.1e-7, "2.1e-07"), (0.1, 7e-7, "7.0e-07"), (0.1, 1e-12, "0.00")]
)
def test_a_spread_reads_as_zero_only_if_it_is_rounding(mean, std, shown):
    assert Style(1.0, 2).spread(std, mean) == shown


@given(
    st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(
        [sign * 10.0**-power * near for sign in (1, -1) for power in range(8) for near in NEAR]
    ),
    st.integers(0, 6),
    st.sampled_from([1.0, 1e3, 1e6, 1 / 60, 1 / 1024]),
)
def test_many_numbers_are_written_as_each_of_them_is(value, decimals, scale):
    style = Style(scale, decimals)

    assert style.numbers([value, None]) == [style.number(value), ""]


# --- the leader -------------------------------------------------------------------------------


def test_the_leader_is_best_on_most_datasets():
    jobs = [
        done(f"{m}{d}", m, d, MSE=v) for d in "xyz" for m, v in (("a", 0.1 if d != "z" else 0.9), ("b", 0.5))
    ]

    found = leader(View(), board_of(jobs))

    assert (found.models, found.wins, found.datasets) == (("a",), 2, 3)


def test_without_rivals_nobody_leads():
    assert leader(View(), board_of([done("a", MSE=1.0)])) is None


# --- views ------------------------------------------------------------------------------------


def test_a_view_survives_its_own_url():
    view = View(
        "cell",
        "MSE",
        "best",
        "impute:worst",
        "b&c",
        "a&b=c",
        "desc",
        ("-x", "seed"),
        ("R2",),
        ("x/y", "z"),
        ("é",),
        page=3,
    )

    assert View.parse(view.query()) == view


def test_empty_parameters_are_as_good_as_absent():
    assert View.parse([("model", ""), ("sort", ""), ("group", ""), ("junk", "x")]) == View()


@pytest.mark.parametrize(
    "pair", [("group", "model!"), ("order", "up"), ("page", "0"), ("page", "x"), ("page", "9" * 30)]
)
def test_a_view_that_means_nothing_is_refused_by_name(pair):
    with pytest.raises(BadView, match=pair[0]):
        View.parse([pair])


def test_the_rounding_of_equal_seeds_is_no_spread():
    seconds = {"m": (0.03, 0.03, 0.1 * 0.3), "n": (0.07, 0.07, 0.1 * 0.7)}
    jobs = [
        done(f"{model}{seed}", model, seed=str(seed), Latency_P50=value)
        for model, values in seconds.items()
        for seed, value in enumerate(values)
    ]

    ranked = table(jobs, View(group="cell", sort="Latency_P50"))

    cells = [row.cells["Latency_P50"] for row in ranked.rows]
    assert cells[1].std > 0
    assert [cell.display for cell in cells] == ["30.0", "70.0"]


@pytest.mark.parametrize(("direction", "winner"), [("lower", "a"), ("higher", "b")])
def test_a_declared_direction_ranks_a_name_that_no_convention_knows(direction, winner):
    jobs = [done("a", "m", my_score=1.0), done("b", "n", my_score=2.0)]
    keys = [MetricKey("my_score", 2, Convention("kWh", direction, "quality"))]

    ranked = table(jobs, View(sort="my_score"), keys=keys)

    assert names(ranked)[0] == winner
    assert ranked.rows[0].cells["my_score"].mark == "best"
    assert [row.rank for row in ranked.rows] == [1, 2]
    assert (column(ranked, "my_score").unit, column(ranked, "my_score").direction) == ("kWh", direction)


def test_a_declaration_wins_over_the_built_in_convention():
    keys = [MetricKey("MSE", 2, Convention("", "higher", "quality"))]

    ranked = table([done("a", "m", MSE=1.0), done("b", "n", MSE=2.0)], keys=keys)

    assert names(ranked) == ["b", "a"]


def test_a_condition_on_a_metric_that_nobody_reported_is_named():
    notes = table([done("a", MSE=0.5)], View(where=(Condition("mse", "<", 1.0),))).notes

    assert "No job of this project has reported a metric 'mse'. Did you mean 'MSE'?" in notes
