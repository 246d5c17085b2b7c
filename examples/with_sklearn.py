"""scikit-learn: every estimator on every data set with every seed, one call of `evaluate` for each job.

    python examples/with_sklearn.py

Without ARGUS_URL it runs all the same, and `argus sync` sends the events later.
"""

from __future__ import annotations

import itertools
import os

import numpy as np
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Ridge
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from argus_core import Reporter
from argus_integrations.sklearn import Estimator, evaluate

WINDOW = 12
SEEDS = (0, 1, 2)
METRICS = ["neg_mean_squared_error", "neg_mean_absolute_error", "r2"]


def windows(period: float, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (last 12 values, next value) pairs of a noisy wave between two points in time."""
    time = np.arange(start, stop)
    series = np.sin(time / period) + 0.1 * np.random.default_rng(start).normal(size=len(time))
    pieces = np.lib.stride_tricks.sliding_window_view(series, WINDOW + 1)
    return pieces[:, :-1], pieces[:, -1]


def estimators(seed: int) -> list[Estimator]:
    """Return new estimators; what has a `random_state` is named by it as a repetition."""
    return [
        Ridge(random_state=seed),
        RandomForestRegressor(n_estimators=20, random_state=seed),
        make_pipeline(StandardScaler(), MLPRegressor(max_iter=1000, random_state=seed)),
    ]


def main() -> None:
    project = os.environ.get("ARGUS_PROJECT", "leaderboard-demo")
    with Reporter("classics", project=project) as reporter:
        for seed, (dataset, period) in itertools.product(SEEDS, {"slow": 20.0, "fast": 3.0}.items()):
            train, test = windows(period, 0, 500), windows(period, 600, 800)
            for estimator in estimators(seed):
                evaluate(estimator, train, test, METRICS, batch_size=32, dataset=dataset, batch=reporter)


if __name__ == "__main__":
    main()
