"""Three real time series from a wheel (`statsmodels.datasets`), cut for honest forecasting.

Each series is split by time: 60 % to train, 20 % to validate, the last 20 % to test. Every window
whose targets lie in the tail is a test window; its inputs may reach back across the border, as they
would on the day of a real forecast. The scale (mean and standard deviation) comes from the training
part alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["CONTEXT", "DATASETS", "HORIZON", "Series", "forecast_metrics", "load"]

Floats = NDArray[np.float32]

CONTEXT = 36
"""Steps that a forecaster sees."""

HORIZON = 6
"""Steps that it forecasts at once."""


@dataclass(frozen=True)
class Series:
    """One data set, scaled by its training part.

    Attributes:
        name: as on the leaderboard.
        period: steps in a season (or, for the sunspots, in the Sun's cycle).
        mean: of the training part, in the series' own unit.
        std: of the training part.
        naive_error: mean absolute error of the seasonal naive forecast inside the training part,
            scaled: the denominator of MASE (Hyndman & Koehler 2006).
        train, val, test: windows (inputs of shape (n, CONTEXT), targets of shape (n, HORIZON)).
    """

    name: str
    period: int
    mean: float
    std: float
    naive_error: float
    train: tuple[Floats, Floats]
    val: tuple[Floats, Floats]
    test: tuple[Floats, Floats]


def _sunspots() -> NDArray[np.float64]:
    """Yearly sunspot numbers, 1700 to 2008."""
    from statsmodels.datasets import sunspots

    return np.asarray(sunspots.load_pandas().data["SUNACTIVITY"], dtype=float)


def _co2() -> NDArray[np.float64]:
    """Atmospheric CO2 at Mauna Loa, monthly means from 1958 to 2001, gaps interpolated."""
    from statsmodels.datasets import co2

    monthly = co2.load_pandas().data["co2"].resample("MS").mean().interpolate()
    return np.asarray(monthly, dtype=float)


def _elnino() -> NDArray[np.float64]:
    """Sea surface temperature of the tropical Pacific, monthly from 1950 to 2010."""
    from statsmodels.datasets import elnino

    return np.asarray(elnino.load_pandas().data.drop(columns="YEAR"), dtype=float).ravel()


DATASETS: dict[str, tuple[Callable[[], NDArray[np.float64]], int]] = {
    "sunspots": (_sunspots, 11),
    "co2": (_co2, 12),
    "elnino": (_elnino, 12),
}
"""Name → (how to read the series, its period)."""


@cache
def load(name: str) -> Series:
    """Return one data set, cut and scaled.

    Raises:
        KeyError: there is no such data set.
    """
    read, period = DATASETS[name]
    values = read()
    train_end, val_end = int(len(values) * 0.6), int(len(values) * 0.8)
    mean, std = float(values[:train_end].mean()), float(values[:train_end].std())
    scaled = (values - mean) / std
    train = scaled[:train_end]
    return Series(
        name=name,
        period=period,
        mean=mean,
        std=std,
        naive_error=float(np.abs(train[period:] - train[:-period]).mean()),
        train=_windows(scaled, CONTEXT, train_end),
        val=_windows(scaled, train_end, val_end),
        test=_windows(scaled, val_end, len(values)),
    )


def _windows(values: NDArray[np.float64], first: int, end: int) -> tuple[Floats, Floats]:
    """Return every window whose targets lie within [first, end)."""
    starts = range(first, end - HORIZON + 1)
    inputs = np.stack([values[start - CONTEXT : start] for start in starts])
    targets = np.stack([values[start : start + HORIZON] for start in starts])
    return inputs.astype(np.float32), targets.astype(np.float32)


def forecast_metrics(
    target: NDArray[np.float32], forecast: NDArray[np.float32], series: Series
) -> dict[str, float]:
    """Return the error of a forecast, every horizon step of every window counted alike.

    MSE, MAE and RMSE are in units of the training part's standard deviation; sMAPE is in percent, of
    values in the series' own unit; MASE divides MAE by that of the seasonal naive forecast.

    Args:
        target: shape (n, HORIZON), scaled.
        forecast: the same shape and scale.
        series: gives the scale back.
    """
    target, forecast = target.astype(np.float64), forecast.astype(np.float64)
    error = forecast - target
    mae = float(np.abs(error).mean())
    mse = float((error**2).mean())
    actual, expected = target * series.std + series.mean, forecast * series.std + series.mean
    size = np.maximum(np.abs(actual) + np.abs(expected), 1e-8)
    return {
        "MSE": mse,
        "MAE": mae,
        "RMSE": float(np.sqrt(mse)),
        "sMAPE": float(200 * np.mean(np.abs(actual - expected) / size)),
        "MASE": mae / series.naive_error,
    }
