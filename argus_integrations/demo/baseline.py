"""The forecast that a model has to beat, reported by hand with `Reporter`."""

from __future__ import annotations

import numpy as np

from argus_core import Reporter
from argus_integrations.demo.series import CONTEXT, HORIZON, Series, forecast_metrics

__all__ = ["NAME", "run"]

NAME = "SeasonalNaive"


def run(series: Series, reporter: Reporter) -> None:
    """Forecast the values of one season ago. Nothing is drawn at random, so there is no seed."""
    past, target = series.test
    season_ago = np.arange(HORIZON) % series.period + CONTEXT - series.period
    with reporter.job(f"{NAME}-{series.name}", model=NAME, dataset=series.name) as job:
        job.done(forecast_metrics(target, past[:, season_ago], series))
