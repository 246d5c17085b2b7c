"""The charts of curves, whatever a job reports."""

import math
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from unit.server.wire import body

from argus_server.pages.charts import Line, curve_chart
from argus_server.pages.sparkline import sparkline


def chart_of(*values, slot=1, **more):
    points = [(float(i), value if math.isfinite(value) else None) for i, value in enumerate(values)]
    return curve_chart([Line("val_loss", slot, points)], **more)


def coordinates(chart):
    for curve in chart.curves:
        for piece in curve.pieces:
            yield from (tuple(map(float, point.split(","))) for point in piece.split())
        yield curve.end


@given(st.lists(st.floats(), min_size=1), st.booleans(), st.sampled_from(["epoch", "time"]))
@example([1e20], False, "epoch")
@example([1e16, 1e16], True, "epoch")
@example([1e308, -1e308], False, "time")
@example([1.7e308, 1.7e308], True, "epoch")
@example([5e-324, 0.0], True, "epoch")
@example([5e-324, 1e-323, -5e-324], False, "epoch")
@example([5e-324, 1.7e308], True, "epoch")
@example([1.0, 1.0000000000000002], True, "time")
def test_any_floats_are_drawn_within_the_frame(values, log, axis):
    chart = chart_of(*values, log=log, axis=axis)

    drawable = [value for value in values if math.isfinite(value) and (value > 0 or not log)]
    if not drawable:
        assert chart is None
        return
    assert all(0 <= x <= chart.width and 0 <= y <= chart.height for x, y in coordinates(chart))
    assert all(-1 <= y <= chart.height + 1 for y, _ in chart.y_ticks)
    assert all(0 <= x <= chart.width for x, _ in chart.x_ticks)
    assert chart.skipped == sum(math.isfinite(value) for value in values) - len(drawable)


@given(st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=4, unique=True))
@example([2**53 - 2, 2**53 - 1])
def test_any_epochs_are_drawn_within_the_frame(epochs):
    chart = curve_chart([Line("val_loss", 1, [(float(number), 0.5) for number in epochs])])

    assert all(0 <= x <= chart.width and 0 <= y <= chart.height for x, y in coordinates(chart))


def test_an_axis_has_a_few_round_ticks():
    assert [label for _, label in chart_of(0.1, 0.5).y_ticks] == ["0.1", "0.2", "0.3", "0.4", "0.5"]
    assert [label for _, label in chart_of(7.0).x_ticks] == ["0"]


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ((0.001, 1.0), ["0.001", "0.01", "0.1", "1"]),
        ((0.1, 1.0), ["0.1", "0.2", "0.5", "1"]),
        ((0.52, 0.9), ["0.6", "0.7", "0.8", "0.9"]),
    ],
)
def test_a_logarithmic_axis_has_round_ticks_too(values, labels):
    assert [label for _, label in chart_of(*values, log=True).y_ticks] == labels


def test_a_time_axis_is_in_the_unit_of_its_length():
    hours = curve_chart([Line("a", 1, [(0.0, 1.0), (7 * 3600.0, 0.5)])], axis="time")
    seconds = curve_chart([Line("a", 1, [(0.0, 1.0), (100.0, 0.5)])], axis="time")

    assert (hours.x_label, hours.x_ticks[-1][1]) == ("h since the start", "6")
    assert (seconds.x_label, seconds.x_ticks[-1][1]) == ("s since the start", "100")


def test_a_value_that_is_not_finite_breaks_the_line():
    (curve,) = chart_of(1.0, 0.9, math.nan, 0.8, math.inf, 0.7, 0.6).curves

    assert [len(piece.split()) for piece in curve.pieces] == [2, 2, 2]  # one alone is drawn as a dot
    assert curve.last == "0.6"


def test_a_long_line_is_thinned_and_keeps_its_peaks():
    values = [1.0] * 10_000
    values[4321], values[8765] = 9.0, -5.0

    (curve,) = chart_of(*values).curves
    heights = [float(point.split(",")[1]) for point in curve.pieces[0].split()]

    assert len(heights) < 700
    assert heights.count(min(heights)) == heights.count(max(heights)) == 1


def test_grey_lines_stand_behind_and_are_not_counted():
    chart = curve_chart([Line("a", 1, [(0.0, 1.0)]), Line("", 0, [(0.0, 2.0), (1.0, -1.0)])], log=True)

    assert [curve.slot for curve in chart.curves] == [0, 1]
    assert [curve.name for curve in chart.named] == ["a"]
    assert chart.skipped == 0


@pytest.mark.parametrize("losses", [(1e20,), (1e16, 1e16), (1e308, -1e308)])
def test_the_page_of_a_job_with_huge_losses_is_shown(server, losses):
    server.send(*(body("job_epoch", "j", epoch=i, train_loss=loss) for i, loss in enumerate(losses)))

    assert "<polyline" in server.page("/p/p/jobs/b/j")
    server.page("/p/p/jobs/b/j?log=1&axis=time")


# --- sparklines ---------------------------------------------------------------------------------


def drawn(points):
    """Return where a sparkline goes, and what it says."""
    text = sparkline(tuple(points))
    places = re.search(r'points="([^"]*)"', text)
    line = [tuple(map(int, place.split(","))) for place in places[1].split()] if places else []
    return line, re.search(r'aria-label="([^"]*)"', text)[1]


def test_a_sparkline_spans_its_box_from_the_first_epoch_to_the_last():
    line, said = drawn([(0, 3.0), (5, 2.0), (10, 1.0)])

    assert line == [(1, 1), (36, 10), (71, 19)]
    assert said == "3 to 1 in 11 epochs"


def test_a_sparkline_that_begins_late_leaves_the_epochs_before_empty():
    assert [x for x, _ in drawn([(5, 2.0), (10, 1.0)])[0]] == [36, 71]


@pytest.mark.parametrize("loss", [0.0, -5.0, 1e-320, 1.7e308, 0.1 + 1e-17])
def test_a_flat_sparkline_runs_through_the_middle(loss):
    assert {y for _, y in drawn([(0, loss), (1, loss), (2, loss)])[0]} == {10}


def test_one_epoch_is_a_point():
    assert "<circle" in sparkline(((0, 0.5),))
    assert drawn([(7, 0.5)])[1] == "0.5 to 0.5 in 8 epochs"


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=30))
def test_a_sparkline_stays_in_its_box(losses):
    line, _ = drawn(list(enumerate(losses)))

    assert all(1 <= x <= 71 and 1 <= y <= 19 for x, y in line)
