"""The demo's data: cut by time, scaled by the training part, measured by the textbook."""

from __future__ import annotations

import numpy as np
import pytest

from argus_integrations.demo.series import CONTEXT, DATASETS, HORIZON, forecast_metrics, load

pytestmark = pytest.mark.parametrize("name", DATASETS)


def whole(name):
    """Return the scaled series, put together again from the windows' targets."""
    series = load(name)
    parts = [
        np.concatenate([part[1][:, 0], part[1][-1, 1:]]) for part in (series.train, series.val, series.test)
    ]
    return np.concatenate([series.train[0][0], *parts])


def test_the_parts_follow_one_another_in_time_and_share_no_target(name):
    read, _ = DATASETS[name]
    series = load(name)

    assert whole(name) * series.std + series.mean == pytest.approx(read(), rel=1e-4)


def test_every_input_ends_right_before_its_target(name):
    values = whole(name)

    for inputs, targets in (load(name).train, load(name).val, load(name).test):
        for past, future in zip(inputs[:3], targets[:3], strict=True):
            starts = [i for i in range(CONTEXT, len(values)) if np.array_equal(values[i - CONTEXT : i], past)]
            assert any(np.array_equal(values[i : i + HORIZON], future) for i in starts)


def test_the_scale_comes_from_the_training_part_alone(name):
    train = whole(name)[: int(len(whole(name)) * 0.6)]

    assert train.mean() == pytest.approx(0, abs=1e-3)
    assert train.std() == pytest.approx(1, abs=1e-3)


def test_the_metrics_are_what_their_definitions_say(name):
    series = load(name)
    target = series.test[1]
    forecast = target + np.float32(0.5)

    metrics = forecast_metrics(target, forecast, series)

    actual = target.astype(float) * series.std + series.mean
    expected = forecast.astype(float) * series.std + series.mean
    smape = [200 * abs(a - e) / (abs(a) + abs(e)) for a, e in zip(actual.flat, expected.flat, strict=True)]
    assert metrics["MSE"] == pytest.approx(0.25, rel=1e-5)
    assert metrics["MAE"] == pytest.approx(0.5, rel=1e-5)
    assert metrics["RMSE"] == pytest.approx(0.5, rel=1e-5)
    assert metrics["MASE"] == pytest.approx(0.5 / series.naive_error, rel=1e-5)
    assert metrics["sMAPE"] == pytest.approx(np.mean(smape), rel=1e-5)


def test_a_perfect_forecast_has_no_error(name):
    target = load(name).test[1]

    assert set(forecast_metrics(target, target, load(name)).values()) == {0.0}
