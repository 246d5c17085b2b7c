"""Tiny models and data for Keras, and what events should say of them."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from argus_core.conventions import CONVENTIONS

BACKEND = keras.backend.backend()
SAMPLES = 40
X = np.linspace(-1, 1, SAMPLES * 2, dtype="float32").reshape(-1, 2)
Y = X.sum(1, keepdims=True)
QUIET = {"verbose": 0, "batch_size": 8}
BATCHES = SAMPLES // 8

ANNOUNCED = ["batch_start", "job_start"]
FIT_AND_TEST = [*ANNOUNCED, "job_epoch 0", "job_epoch 1", "job_done", "batch_done"]


def regressor(name=None, metrics=("mse", "mae"), **options):
    model = keras.Sequential([keras.layers.Dense(1)], name=name)
    model.compile(keras.optimizers.SGD(0.1), "mse", metrics=list(metrics), **options)
    return model


def callbacks(cb):
    return [cb] if cb else None


def fit(model, cb, epochs=2, x=X, y=Y, **options):
    return model.fit(x, y, epochs=epochs, callbacks=callbacks(cb), **{**QUIET, **options})


def evaluate(model, cb, samples=SAMPLES, **options):
    return model.evaluate(X[:samples], Y[:samples], callbacks=callbacks(cb), **{**QUIET, **options})


def batches(size=8, forever=False):
    """A generator, of whose length Keras knows nothing."""
    while True:
        for start in range(0, SAMPLES, size):
            yield X[start : start + size], Y[start : start + size]
        if not forever:
            return


class Raises(keras.callbacks.Callback):
    """Raises an error at the begin of an epoch."""

    def __init__(self, error, epoch=1):
        super().__init__()
        self.error = error
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            raise self.error


def curve(transport, job_id=None):
    """Return the data of every epoch, without the time a batch took."""
    events = [event for event in transport.of_type("job_epoch") if job_id in (None, event.job_id)]
    return [{name: event.data[name] for name in event.data if name != "batch_time_ms"} for event in events]


def curve_of(history, **constant):
    """Return what `curve` should be for a `History` that Keras kept: every epoch with every key."""
    names = {"loss": "train_loss", "learning_rate": "lr"}
    return [
        pytest.approx(
            {"epoch": epoch, **constant}
            | {names.get(name, name): values[index] for name, values in history.history.items()}
        )
        for index, epoch in enumerate(history.epoch)
    ]


def quality(event_or_data):
    """Return the metrics of a `job_done` that are no measurement of ours."""
    data = getattr(event_or_data, "data", event_or_data)
    return {
        name: value
        for name, value in data["metrics"].items()
        if name not in CONVENTIONS or CONVENTIONS[name].role == "quality"
    }


def by_job(transport):
    """Return the short story of every job, in the order in which they were announced."""
    jobs: dict[str, list[str]] = {}
    for event in transport.events:
        if event.job_id is not None:
            number = f" {event.data['epoch']}" if event.event_type == "job_epoch" else ""
            jobs.setdefault(event.job_id, []).append(event.event_type + number)
    return list(jobs.values())
