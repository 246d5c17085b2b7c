"""The loss chart, whatever a job reports."""

import math
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from unit.server.wire import body

from argus_core.events import jsonable
from argus_server.pages.charts import loss_chart
from argus_server.pages.sparkline import sparkline
from argus_server.storage.job import Epoch


def chart_of(*losses, name="train_loss"):
    return loss_chart([Epoch(number, 0, {name: loss}) for number, loss in enumerate(losses)])


def coordinates(chart):
    for curve in chart.curves:
        yield from (tuple(map(float, point.split(","))) for point in curve.points.split())
        yield curve.end


@given(st.lists(st.floats(), min_size=1))
@example([1e20])
@example([1e16, 1e16])
@example([1e308, -1e308])
@example([1.7e308, 1.7e308])
@example([5e-324, 0.0])
@example([5e-324, 1e-323, -5e-324])
@example([1.0, 1.0000000000000002])
def test_any_floats_are_drawn_within_the_frame(losses):
    chart = chart_of(*(jsonable(loss)[0] for loss in losses))

    if not any(math.isfinite(loss) for loss in losses):
        assert chart is None
        return
    assert all(0 <= x <= chart.width and 0 <= y <= chart.height for x, y in coordinates(chart))
    assert all(0 <= y <= chart.height for y, _ in chart.y_ticks)
    assert all(0 <= x <= chart.width for x, _ in chart.x_ticks)
    assert chart.skipped == sum(not math.isfinite(loss) for loss in losses)


@given(st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=4, unique=True))
@example([2**53 - 2, 2**53 - 1])
def test_any_epochs_are_drawn_within_the_frame(epochs):
    chart = loss_chart([Epoch(number, 0, {"val_loss": 0.5}) for number in epochs])

    assert all(0 <= x <= chart.width and 0 <= y <= chart.height for x, y in coordinates(chart))


def test_an_axis_has_a_few_round_ticks():
    assert [label for _, label in chart_of(0.1, 0.5).y_ticks] == ["0.1", "0.2", "0.3", "0.4", "0.5"]
    assert [label for _, label in chart_of(7.0).x_ticks] == ["0"]


@pytest.mark.parametrize("losses", [(1e20,), (1e16, 1e16), (1e308, -1e308)])
def test_the_page_of_a_job_with_huge_losses_is_shown(server, losses):
    server.send(*(body("job_epoch", "j", epoch=i, train_loss=loss) for i, loss in enumerate(losses)))

    assert "<polyline" in server.page("/p/p/jobs/b/j")


# --- sparklines ---------------------------------------------------------------------------------


def drawn(points):
    """Return where a sparkline goes, and what it says."""
    text = sparkline(points)
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
    assert "<circle" in sparkline([(0, 0.5)])
    assert drawn([(7, 0.5)])[1] == "0.5 to 0.5 in 8 epochs"


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=30))
def test_a_sparkline_stays_in_its_box(losses):
    line, _ = drawn(list(enumerate(losses)))

    assert all(1 <= x <= 71 and 1 <= y <= 19 for x, y in line)
