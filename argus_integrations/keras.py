"""`ArgusCallback` for Keras 3, on TensorFlow, JAX and PyTorch.

::

    cb = ArgusCallback(project="my-paper", dataset="etth1")
    model.fit(x, y, validation_data=(xv, yv), epochs=10, callbacks=[cb])
    model.evaluate(xt, yt, callbacks=[cb])  # sends the row of the leaderboard

Keras tells a callback of `evaluate()` only if it is passed again, and of an exception in `fit()`
never: `with cb: model.fit(...)` reports it exactly.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping
from typing import Any

import keras

from argus_core.distributed import is_global_zero
from argus_core.guard import never_raise
from argus_integrations import _describe
from argus_integrations._callback import CommonCallback
from argus_integrations._frames import find_frame
from argus_integrations._training_run import JobFacts, Options, TrainingRun

__all__ = ["ArgusCallback"]


class ArgusCallback(CommonCallback, keras.callbacks.Callback):
    """Reports a training under Keras. `train_loss` is the log `loss`, `val_loss` the log `val_loss`.

    The `on_*_batch_end` hooks may run in threads of Keras's own; all others run in the thread that trains.
    """

    _argus_framework = "keras"

    def _argus_adopt(self, run: TrainingRun, options: Options) -> None:
        super()._argus_adopt(run, options)
        self._argus_lock = threading.Lock()
        self._argus_last_batch = -1
        self._argus_steps: int | None = None
        self._argus_stage: _TestStage | None = None
        self._argus_samples_per_epoch: int | None = None

    @property
    def async_safe(self) -> bool:
        """Whether Keras may call batch hooks from a thread pool: asked when a stage's hooks are set up.

        In `fit` yes, so that training stays asynchronous; in `evaluate` no, so that each batch is over
        when its hook is called and latencies are true.
        """
        return _is_in_fit()

    # --- training -------------------------------------------------------------------------------

    @never_raise
    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Announce the job, or continue it."""
        self._argus_stage = None
        self._argus_steps = (self.params or {}).get("steps")
        self._argus_samples_per_epoch = _samples_per_epoch("fit")
        self._argus_run.training_began(
            self._model, self._argus_facts, rank_zero=is_global_zero(), failed_silently=True
        )

    @never_raise
    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Start the epoch's clock."""
        self._argus_last_batch = -1
        self._argus_run.epoch_began()

    @never_raise
    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Count batches by their ends: JAX and TensorFlow begin one more than there are."""
        with self._argus_lock:
            batch = _existing(batch, self._argus_steps)
            new = batch - self._argus_last_batch
            if new <= 0:
                return
            self._argus_last_batch = batch
            for _ in range(new):
                self._argus_run.footprint.step()

    @never_raise
    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Send the epoch: in Keras its metrics are complete, those of the validation included."""
        run = self._argus_run
        if self._argus_samples_per_epoch and self._argus_last_batch >= 0:
            run.footprint.trained_samples(self._argus_samples_per_epoch)
            self._argus_last_batch = -1
        run.epoch_ended(epoch, **_epoch_data(logs or {}, self.model))
        run.send_epoch()

    @never_raise
    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Close the training."""
        self._argus_run.training_ended()

    # --- validation and test ----------------------------------------------------------------------

    @never_raise
    def on_test_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Open the test stage, unless `fit` is on the stack: then this is a validation."""
        if _is_in_fit():
            self._argus_stage = None
            self._argus_run.footprint.validation_began()
            return
        self._argus_run.test_began(
            self._model, self._argus_facts, rank_zero=is_global_zero(), failed_silently=True
        )
        self._argus_stage = _TestStage(_samples_per_epoch("evaluate"), (self.params or {}).get("steps"))

    @never_raise
    def on_test_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Start the clock of a test batch."""
        stage = self._argus_stage
        if stage is not None:
            stage.first_batch = batch
            self._argus_run.footprint.batch_began()

    @never_raise
    def on_test_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Stop it. `batch` is the last one of an execution of one or more steps."""
        stage = self._argus_stage
        if stage is None:
            return
        batch = _existing(batch, stage.steps)
        if batch <= stage.last_batch:
            return
        if threading.get_ident() != stage.thread:
            stage.is_in_order = False
            return
        stage.last_batch = batch
        self._argus_run.footprint.batch_ended(batches=batch - stage.first_batch + 1)

    @never_raise
    def on_test_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Send the row of the leaderboard."""
        stage, self._argus_stage = self._argus_stage, None
        if stage is None:
            if self._argus_run.state == "training":
                self._argus_run.footprint.validation_ended()
            return
        self._argus_run.test_ended(
            dict(logs or {}),
            total_s=time.perf_counter() - stage.began_at,
            samples=stage.samples,
            latencies_are_valid=stage.is_in_order,
        )

    def _argus_facts(self) -> JobFacts:
        params = self.params or {}
        epochs = params.get("epochs") if _is_in_fit() else None
        return JobFacts(
            model=_model_name(self._model),
            seed=_seed(),
            epochs_total=epochs if isinstance(epochs, int) and epochs > 0 else None,
            extra={"backend": keras.backend.backend()},
        )


class _TestStage:
    """One `evaluate()` that is running."""

    def __init__(self, samples: int | None, steps: int | None) -> None:
        self.samples = samples
        self.steps = steps
        self.began_at = time.perf_counter()
        self.thread = threading.get_ident()
        self.first_batch = 0
        self.last_batch = -1
        self.is_in_order = True


# --- what Keras knows -----------------------------------------------------------------------------


def _is_in_fit() -> bool:
    return find_frame("fit", "keras") is not None


def _existing(batch: int, steps: int | None) -> int:
    """Return the number of the last batch of an execution, counted from 0.

    With `steps_per_execution`, Keras names one that would end a full execution, whether it exists or not.
    """
    return batch if steps is None else min(batch, steps - 1)


def _samples_per_epoch(function: str) -> int | None:
    """Return how many samples the data of `fit` or `evaluate` has, None where Keras itself does not know.

    No hook says so; the adapter that Keras feeds from does, and it is a variable of that function.
    """
    frame = find_frame(function, "keras")
    adapter: Any = getattr(frame.f_locals.get("epoch_iterator"), "data_adapter", None) if frame else None
    batches = getattr(adapter, "num_batches", None)
    batch_size = getattr(adapter, "batch_size", None)
    if not isinstance(batches, int) or not isinstance(batch_size, int):
        return None
    missing = batch_size - (adapter.partial_batch_size or 0) if adapter.has_partial_batch else 0
    return batches * batch_size - missing


def _epoch_data(logs: Mapping[str, Any], model: Any) -> dict[str, Any]:
    data = {name: value for name, value in logs.items() if name not in ("loss", "learning_rate")}
    return {**data, "train_loss": logs.get("loss"), "lr": logs.get("learning_rate", _learning_rate(model))}


def _learning_rate(model: Any) -> float | None:
    optimizer = getattr(model, "optimizer", None)
    rate = getattr(optimizer, "learning_rate", None)
    return None if rate is None else float(keras.ops.convert_to_numpy(rate))


def _model_name(model: Any) -> str | None:
    """Return the name a user gave the model; Keras's own (`sequential_3`, `my_net_1`) give the class name."""
    if model is None:
        return None
    class_name = type(model).__name__
    automatic = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", class_name).lower()
    if re.fullmatch(rf"(sequential|functional|model|{re.escape(automatic)})(_\d+)?", model.name):
        return class_name
    return str(model.name)


def _seed() -> int | None:
    """Return what `keras.utils.set_random_seed` was told, else what somebody set elsewhere."""
    for ask in (_keras_seed, _describe.environment_seed, _describe.torch_seed):
        seed = ask()
        if seed is not None:
            return seed
    return None


def _keras_seed() -> int | None:
    try:
        from keras.src.utils.rng_utils import get_random_seed
    except ImportError:  # Keras keeps it private and may move it
        return None
    seed = get_random_seed()
    return None if seed is None else int(seed)
