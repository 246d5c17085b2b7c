"""An MLP and a convolutional network, trained by Keras 3."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
from keras import layers, ops

from argus_core import Reporter
from argus_integrations.demo.series import CONTEXT, HORIZON, Series
from argus_integrations.keras import ArgusCallback

__all__ = ["MODELS", "train"]


def _mlp(change: Any) -> Any:
    return layers.Dense(HORIZON)(layers.Dense(64, activation="relu")(change))


def _cnn(change: Any) -> Any:
    hidden = layers.Reshape((CONTEXT, 1))(change)
    for dilation in (1, 2, 4):
        hidden = layers.Conv1D(16, 3, padding="causal", dilation_rate=dilation, activation="relu")(hidden)
    return layers.Dense(HORIZON)(layers.Flatten()(hidden))


MODELS = {"MLP": _mlp, "CNN": _cnn}


def train(name: str, series: Series, seed: int, epochs: int, reporter: Reporter) -> None:
    """Train and test one model; the callback reports it, given to `fit` and to `evaluate`."""
    keras.utils.set_random_seed(seed)
    past = keras.Input((CONTEXT,))
    last = past[:, -1:]
    model = keras.Model(past, MODELS[name](past - last) + last)
    model.compile(
        optimizer=keras.optimizers.Adam(3e-3),
        loss="mse",
        metrics=[
            keras.metrics.MeanSquaredError(name="MSE"),
            keras.metrics.MeanAbsoluteError(name="MAE"),
            keras.metrics.RootMeanSquaredError(name="RMSE"),
            keras.metrics.MeanMetricWrapper(_smape(series), name="sMAPE"),
            keras.metrics.MeanMetricWrapper(_mase(series), name="MASE"),
        ],
    )
    callback = ArgusCallback(batch=reporter, model=name, dataset=series.name, seed=seed)
    model.fit(
        *series.train,
        validation_data=series.val,
        epochs=epochs,
        batch_size=32,
        verbose=0,
        callbacks=[callback],
    )
    model.evaluate(*series.test, batch_size=32, verbose=0, callbacks=[callback])


def _smape(series: Series) -> Any:
    def smape(target: Any, forecast: Any) -> Any:
        actual, expected = target * series.std + series.mean, forecast * series.std + series.mean
        size = ops.maximum(ops.abs(actual) + ops.abs(expected), 1e-8)
        return ops.mean(200 * ops.abs(actual - expected) / size, axis=-1)

    return smape


def _mase(series: Series) -> Any:
    def mase(target: Any, forecast: Any) -> Any:
        return ops.mean(ops.abs(target - forecast), axis=-1) / series.naive_error

    return mase
