"""`ArgusCallback` for Keras 3, on TensorFlow, JAX and PyTorch.

::

    cb = ArgusCallback(project="my-paper", dataset="etth1")
    model.fit(x, y, validation_data=(xv, yv), epochs=10, callbacks=[cb])
    model.evaluate(xt, yt, callbacks=[cb])  # sends the row of the leaderboard

Keras tells a callback of `evaluate()` only if it is passed again, and of an exception in `fit()`
never: `with cb: model.fit(...)` reports it exactly.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from numbers import Integral
from types import FrameType
from typing import Any

import keras

from argus_core.distributed import is_global_zero
from argus_core.guard import never_raise, swallowed
from argus_integrations import _describe
from argus_integrations._callback import CommonCallback
from argus_integrations._frames import find_frame
from argus_integrations._options import Options
from argus_integrations._training_run import JobFacts, TrainingRun

__all__ = ["ArgusCallback"]

logger = logging.getLogger(__name__)


class ArgusCallback(CommonCallback, keras.callbacks.Callback):
    """Reports a training under Keras. `train_loss` is the log `loss`, `val_loss` the log `val_loss`.

    The `on_*_batch_end` hooks may run in threads of Keras's own; all others run in the thread that trains.
    """

    _argus_framework = "keras"

    def _argus_adopt(self, run: TrainingRun, options: Options) -> None:
        super()._argus_adopt(run, options)
        self._argus_count = run.footprint.batch_count
        self._argus_lock = threading.Lock()
        self._argus_feed = _Feed(None)
        self._argus_batches_left = sys.maxsize
        self._argus_fitted: Callable[[], Any] = _nothing
        self._argus_is_in_custom_loop = False
        self._argus_stage: _TestStage | None = None

    @property
    def async_safe(self) -> bool:
        """Whether Keras may call batch hooks from a thread pool: asked when a stage's hooks are set up.

        In `fit` yes, so that training stays asynchronous; in `evaluate` no, so that each batch is over
        when its hook is called and latencies are true.
        """
        return _fit_frame() is not None

    # --- training -------------------------------------------------------------------------------

    @never_raise
    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Announce the job, or continue it."""
        fit = _fit_frame()
        model = self._argus_model_of(fit)
        self._argus_stage = None
        self._argus_is_in_custom_loop = fit is None
        self._argus_feed = _Feed(fit)
        self._argus_fitted = weakref.ref(model) if model is not None else _nothing
        epochs = fit.f_locals.get("epochs") if fit is not None else (self.params or {}).get("epochs")
        self._argus_run.training_began(
            model, lambda: _facts(model, epochs), rank_zero=is_global_zero(), failed_silently=True
        )
        self._argus_count_anew()

    @never_raise
    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Start the epoch's clock."""
        self._argus_run.epoch_began()
        self._argus_count_anew()

    def _argus_count_anew(self) -> None:
        self._argus_count = self._argus_run.footprint.batch_count
        self._argus_batches_left = self._argus_feed.batches_left

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Count batches by their ends: JAX and TensorFlow begin one more than there are.

        Keras calls in order or, from its threads, out of it: the number of the latest batch says how many
        there were. Guarded by hand: every step comes here.
        """
        try:
            count = self._argus_count
            ended = batch + 1
            with self._argus_lock:
                known = count.batches
                if ended <= known:
                    return
                # With `steps_per_execution`, Keras names the batch that would end a full execution.
                count.batches = ended if ended < self._argus_batches_left else self._argus_batches_left
            if not known:
                self._argus_run.footprint.sample_memory()
        except Exception as error:  # noqa: BLE001 - as `never_raise` does, without packing arguments again
            swallowed(error, "ArgusCallback.on_train_batch_end")

    @never_raise
    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Send the epoch: in Keras its metrics are complete, those of the validation included."""
        run = self._argus_run
        batches = self._argus_count.batches
        if run.state == "training":
            run.footprint.trained_samples(self._argus_feed.samples_in(batches) or 0)
        self._argus_feed.epoch_ended(batches)
        run.epoch_ended(epoch, **_epoch_data(logs or {}, self._argus_fitted()))
        run.send_epoch()

    @never_raise
    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Close the training."""
        self._argus_is_in_custom_loop = False
        self._argus_run.training_ended()

    # --- validation and test ----------------------------------------------------------------------

    @never_raise
    def on_test_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Open the test stage, unless a training goes on: then this is a validation.

        That `fit` is on the stack tells exactly; only in a loop of the user's own, which calls these
        hooks itself, must the hooks do.
        """
        if _fit_frame() is not None or self._argus_is_in_custom_loop:
            self._argus_stage = None
            self._argus_run.footprint.validation_began()
            return
        evaluate = find_frame("evaluate", "keras")
        model = self._argus_model_of(evaluate)
        self._argus_run.test_began(
            model, lambda: _facts(model, None), rank_zero=is_global_zero(), failed_silently=True
        )
        self._argus_stage = _TestStage(_Feed(evaluate))

    @never_raise
    def on_test_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Start the clock of a test batch."""
        if self._argus_stage is not None:
            self._argus_run.footprint.batch_began()

    @never_raise
    def on_test_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Stop it. `batch` is the last one of an execution of one or more steps."""
        stage = self._argus_stage
        if stage is None:
            return
        with self._argus_lock:
            batches = stage.batch_ended(batch)
        if threading.get_ident() != stage.thread:
            stage.is_in_order = False
        elif batches:
            self._argus_run.footprint.batch_ended(batches=batches)

    @never_raise
    def on_test_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Send the row of the leaderboard."""
        run = self._argus_run
        stage, self._argus_stage = self._argus_stage, None
        if stage is None:
            if run.state == "training":
                run.footprint.validation_ended()
            return
        samples = stage.feed.samples_in(stage.batches)
        run.test_ended(
            dict(logs or {}),
            total_s=time.perf_counter() - stage.began_at,
            samples=None if samples is None else samples * run.footprint.world_size,
            latencies_are_valid=stage.is_in_order,
        )

    def _argus_model_of(self, frame: FrameType | None) -> Any:
        """Return the model whose method `frame` is: a `CallbackList` of the user's own may name none."""
        return self._model if frame is None else frame.f_locals.get("self", self._model)


class _TestStage:
    """One `evaluate()` that is running."""

    def __init__(self, feed: _Feed) -> None:
        self.feed = feed
        self.batches = 0
        self.began_at = time.perf_counter()
        self.thread = threading.get_ident()
        self.is_in_order = True

    def batch_ended(self, batch: int) -> int:
        """Return how many batches have ended since the last call, 0 for one that is known.

        Args:
            batch: the last one of an execution, counted from 0. With `steps_per_execution`, Keras names
                the one that would end a full execution, whether it exists or not.
        """
        new = min(batch + 1, self.feed.batches_left) - self.batches
        if new <= 0:
            return 0
        self.batches += new
        return new


class _Feed:
    """What `fit` or `evaluate` draws from: how many batches are left, and their samples, if Keras knows.

    No hook says so; the iterator that Keras draws from does, and it is a variable of that function.
    """

    def __init__(self, frame: FrameType | None) -> None:
        self._batch_size: int | None = None
        self._batches_per_pass: int | None = None
        self._samples_per_pass: int | None = None
        self._starts_anew_each_epoch = True
        self._drawn_before = 0
        if frame is not None:
            try:
                self._read(frame.f_locals["epoch_iterator"], frame.f_locals.get("x"))
            except Exception:  # all of this is private to Keras, and the data may be the user's own
                logger.debug("argus: Keras does not say how many samples there are", exc_info=True)

    def _read(self, iterator: Any, data: Any) -> None:
        adapter = iterator.data_adapter
        self._starts_anew_each_epoch = not iterator.steps_per_epoch
        self._batches_per_pass = batches = _int_or_none(adapter.num_batches)
        self._batch_size = size = _int_or_none(adapter.batch_size)
        if batches is None or size is None:
            return
        samples = batches * size
        if hasattr(data, "drop_last"):  # Keras reckons with the whole data set of a torch `DataLoader`
            samples = min(samples, len(data.sampler))
        elif adapter.has_partial_batch:
            samples -= size - adapter.partial_batch_size
        self._samples_per_pass = samples

    @property
    def batches_left(self) -> int:
        """How many batches this pass can still give in the epoch that begins; very many if unknown."""
        return sys.maxsize if self._batches_per_pass is None else self._batches_per_pass - self._drawn_before

    def samples_in(self, batches: int) -> int | None:
        """Return how many samples so many batches of this epoch held, None if unknown."""
        if self._samples_per_pass is None or self._batch_size is None:
            return None
        before = self._drawn_before * self._batch_size
        return min(before + batches * self._batch_size, self._samples_per_pass) - before

    def epoch_ended(self, batches: int) -> None:
        """Begin another epoch. With `steps_per_epoch`, it goes on in the same pass."""
        self._drawn_before += batches
        if self._starts_anew_each_epoch or self._drawn_before == self._batches_per_pass:
            self._drawn_before = 0


def _nothing() -> None:
    return None


def _int_or_none(value: Any) -> int | None:
    return None if value is None else int(value)


# --- what Keras knows -----------------------------------------------------------------------------


def _fit_frame() -> FrameType | None:
    return find_frame("fit", "keras")


def _facts(model: Any, epochs: Any) -> JobFacts:
    return JobFacts(
        model=_model_name(model),
        seed=_seed(),
        epochs_total=int(epochs) if isinstance(epochs, Integral) and int(epochs) > 0 else None,
        extra={"backend": keras.backend.backend()},
    )


def _epoch_data(logs: Mapping[str, Any], model: Any) -> dict[str, Any]:
    data = {name: value for name, value in logs.items() if name not in ("loss", "learning_rate")}
    rate = logs.get("learning_rate", logs.get("lr"))
    data["lr"] = _learning_rate(model) if rate is None else rate
    return {**data, "train_loss": logs.get("loss")}


def _learning_rate(model: Any) -> float | None:
    """Return the rate of the model's optimizer, None if it has none or has made no step.

    A model with a `train_step` of its own may leave the optimizer that `compile` gave it unused.
    """
    optimizer: Any = getattr(model, "optimizer", None)
    try:
        if not keras.ops.convert_to_numpy(optimizer.iterations):
            return None
        return float(keras.ops.convert_to_numpy(optimizer.learning_rate))
    except Exception:  # noqa: BLE001 - the user's own optimizer may have neither
        return None


def _model_name(model: Any) -> str | None:
    """Return the name a user gave the model; Keras's own (`sequential_3`, `my_net_1`) give the class name."""
    if model is None:
        return None
    class_name = type(model).__name__
    if re.fullmatch(
        rf"(sequential|functional|model|{re.escape(_automatic_name(class_name))})(_\d+)?", model.name
    ):
        return class_name
    return str(model.name)


def _automatic_name(class_name: str) -> str:
    """Return what Keras calls the first model of a class, letter by letter as it does."""
    name = re.sub(r"\W+", "", class_name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


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
