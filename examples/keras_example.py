"""Keras 3: one callback, passed to `fit()` and again to `evaluate()`, which sends the row of the leaderboard.

    KERAS_BACKEND=torch python examples/keras_example.py

Without ARGUS_URL it trains all the same, and `argus sync` sends the events later.
"""

from __future__ import annotations

import os

import keras
import numpy as np

from argus_integrations.keras import ArgusCallback

WINDOW = 12


def windows(start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (last 12 values, next value) pairs of a noisy wave between two points in time."""
    time = np.arange(start, stop)
    series = np.sin(time / 5) + 0.1 * np.random.default_rng(start).normal(size=len(time))
    pieces = np.lib.stride_tricks.sliding_window_view(series.astype("float32"), WINDOW + 1)
    return pieces[:, :-1], pieces[:, -1:]


def main() -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Dense(1)], name="linear")
    model.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mse", "mae"])
    cb = ArgusCallback(project=os.environ.get("ARGUS_PROJECT", "leaderboard-demo"), dataset="wave")

    with cb:  # reports an exception in fit() exactly
        model.fit(*windows(0, 1000), validation_data=windows(1000, 1200), epochs=5, verbose=2, callbacks=[cb])
    model.evaluate(*windows(1200, 1500), verbose=2, callbacks=[cb])


if __name__ == "__main__":
    main()
