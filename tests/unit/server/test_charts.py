"""The loss chart, whatever a job reports."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from unit.server.wire import body

from argus_core.events import jsonable
from argus_server.pages.charts import loss_chart
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
