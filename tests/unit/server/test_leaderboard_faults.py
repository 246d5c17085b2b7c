"""Ten faults that leaderboards are known for, and that this one does not have."""

import csv
import io
import math

import pytest
from unit.server.wire import event, failed, job, start

from argus_core.conventions import convention
from argus_server.ranking.board import MemoryBoard
from argus_server.ranking.rank import rank
from argus_server.ranking.table import DoneJob, MetricKey
from argus_server.ranking.view import View

GROUPS = ("job", "cell", "model")


def ran(model, dataset="d", seed=0, *, at=0, **metrics):
    return DoneJob("b", f"{model}-{dataset}-{seed}-{at}", model, dataset, str(seed), metrics, at)


def first(jobs, **view):
    """Return the model of each row that has a place, best first."""
    keys = sorted({key for one in jobs for key in one.metrics})
    board = MemoryBoard("p", [MetricKey(key, 1) for key in keys], jobs)
    return [row.model for row in rank(View(**view), board).rows if row.rank is not None]


def unranked(jobs, **view):
    keys = sorted({key for one in jobs for key in one.metrics})
    table = rank(View(**view), MemoryBoard("p", [MetricKey(key, 1) for key in keys], jobs))
    return [row.model for row in (*table.rows, *table.unranked) if row.rank is None]


@pytest.mark.parametrize("group", GROUPS)
def test_1_the_highest_accuracy_is_first_not_the_lowest(group):
    jobs = [ran("poor", accuracy=0.1), ran("good", accuracy=0.9), ran("fair", accuracy=0.5)]

    assert first(jobs, group=group, metric="accuracy") == ["good", "fair", "poor"]


def test_2_more_seeds_are_not_more_luck_unless_asked_for_and_then_it_says_so():
    lucky = [ran("many", d, s, MSE=0.5 + 0.1 * (s - 4.5)) for d in "xyz" for s in range(10)]
    jobs = [*lucky, *(ran("one", d, 0, MSE=0.45) for d in "xyz")]

    assert first(jobs, group="model") == ["one", "many"]
    assert first(jobs, group="cell", dataset=("x",)) == ["one", "many"]
    assert first(jobs, group="model", seeds="best") == ["many", "one"]
    board = MemoryBoard("p", [MetricKey("MSE", 1)], jobs)
    table = rank(View(group="model", seeds="best"), board)
    assert "best of 1 to 10 seeds" in table.verdict.text
    assert any("favours models with more seeds" in note for note in table.notes)
    cells = rank(View(group="cell", seeds="best"), board).rows
    assert {row.cells["MSE"].spread for row in cells if row.model == "many"} == {"best of 10"}


def test_3_only_jobs_that_are_done_are_ranked(server):
    server.store.add_events(
        [
            *job("a", "done", MSE=0.5),
            start("b", "crashed"),
            event("job_epoch", "b", at=1, epoch=0, val_loss=0.001, MSE=0.001),
            failed("b"),
            start("c", "running"),
            event("job_epoch", "c", at=1, epoch=0, val_loss=0.001, MSE=0.001),
        ]
    )

    for group in GROUPS:
        rows = server.get(f"/p/p/leaderboard.json?group={group}").json()["rows"]
        assert [row["model"] for row in rows] == ["done"], group


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf, "NaN"])
@pytest.mark.parametrize("metric", ["MSE", "accuracy"])
def test_4_what_is_not_finite_beats_nobody(group, odd, metric):
    jobs = [ran("diverged", **{metric: odd}), ran("fine", **{metric: 0.5})]

    assert first(jobs, group=group, metric=metric) == ["fine"]
    assert unranked(jobs, group=group, metric=metric) == ["diverged"]


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("odd", [True, False, "0.1", [0.1]])
def test_5_truth_and_text_are_no_numbers(group, odd):
    jobs = [ran("odd", accuracy=odd), ran("low", accuracy=0.1), ran("high", accuracy=0.9)]

    assert first(jobs, group=group, metric="accuracy") == ["high", "low"]
    assert unranked(jobs, group=group, metric="accuracy") == ["odd"]


@pytest.mark.parametrize("missing", ["complete", "shared", "pairwise", "impute:worst"])
def test_6_a_missing_cell_is_never_zero_and_never_first(missing):
    jobs = [
        *(ran("whole", d, MSE=0.5) for d in "xyz"),
        *(ran("worse", d, MSE=0.6) for d in "xyz"),
        *(ran("holes", d, MSE=0.7) for d in "x"),
        ran("other", "y", MAE=0.1),
    ]

    order = first(jobs, group="model", metric="MSE", missing=missing)

    assert order[:2] == ["whole", "worse"]
    assert "other" not in order
    assert first(jobs, group="cell", metric="MSE", dataset=("y",)) == ["whole", "worse"]
    assert first(jobs, group="job", metric="MSE", dataset=("y",)) == ["whole", "worse"]


def test_7_csv_has_every_key_and_every_digit(server):
    value = 0.1 + 0.2  # 0.30000000000000004
    rare = {"rare key, with a comma": 1 / 3, "nested": {"deep": 2 / 3}}
    server.store.add_events([*job("a", "m", "d", 1, MSE=value), *job("b", "n", "d", 1, MSE=1.0, **rare)])

    for group in GROUPS:
        text = server.get(f"/p/p/leaderboard.csv?group={group}").text
        rows = {row["model"]: row for row in csv.DictReader(io.StringIO(text))}
        assert float(rows["m"]["MSE"]) == value, group
        assert rows["m"]["MSE"] == repr(value), group
        assert float(rows["n"]["rare key, with a comma"]) == 1 / 3, group
        assert float(rows["n"]["nested.deep"]) == 2 / 3, group


@pytest.mark.parametrize(
    ("metric", "direction"),
    [("top1", "higher"), ("mAP@0.5", "higher"), ("bleu", "higher"), ("Samples_Per_Second", "higher")],
)
def test_8_a_direction_is_known_or_unknown_and_never_guessed_wrong(metric, direction):
    known = convention(metric).direction

    assert known in (direction, "unknown")
    jobs = [ran("low", **{metric: 1.0}), ran("high", **{metric: 2.0})]
    for group in GROUPS:
        ranked = first(jobs, group=group, metric=metric)
        assert ranked == (["high", "low"] if known == direction else []), group


def test_9_a_dataset_with_more_seeds_does_not_count_twice():
    jobs = [
        *(ran("a", "x", s, MSE=1.0) for s in range(9)),
        *(ran("b", "x", s, MSE=2.0) for s in range(9)),
        *(ran("a", d, MSE=2.0) for d in "yz"),
        *(ran("b", d, MSE=1.0) for d in "yz"),
    ]

    assert first(jobs, group="model") == ["b", "a"]  # better on two of three datasets
    board = MemoryBoard("p", [MetricKey("MSE", 1)], jobs)
    table = rank(View(group="model"), board)
    assert [row.statistics["average_rank"].raw for row in table.rows] == pytest.approx([4 / 3, 5 / 3])
    assert table.rows[1].cells["MSE"].raw == pytest.approx((1 + 2 + 2) / 3)


def test_10_the_order_is_no_mean_of_raw_values_over_datasets():
    jobs = [ran("small", d, MSE=value) for d, value in zip("wxyz", (0.1, 0.1, 0.1, 1000.0), strict=True)]
    jobs += [ran("large", d, MSE=value) for d, value in zip("wxyz", (0.2, 0.2, 0.2, 900.0), strict=True)]

    assert first(jobs, group="model") == ["small", "large"]
    board = MemoryBoard("p", [MetricKey("MSE", 1)], jobs)
    means = {row.model: row.cells["MSE"].raw for row in rank(View(group="model"), board).rows}
    assert means["small"] > means["large"]
