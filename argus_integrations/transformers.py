"""`ArgusCallback` for the Hugging Face Trainer, and for the trainers that derive from it.

::

    cb = ArgusCallback(project="my-paper", dataset="imdb")
    trainer = Trainer(model, args, train_dataset=..., eval_dataset=..., callbacks=[cb])
    trainer.train()
    trainer.evaluate(test_dataset)  # or predict(): sends the row of the leaderboard

The Trainer tells a callback nothing of an exception in `train()`: `with cb: trainer.train()` reports it.
"""

from __future__ import annotations

import logging
import math
import weakref
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any

from transformers import TrainerCallback

from argus_core.conventions import RUNTIME_NOISE
from argus_core.guard import never_raise, swallowed
from argus_integrations import _describe
from argus_integrations._callback import CommonCallback
from argus_integrations._frames import find_frame, frames_of
from argus_integrations._options import Options
from argus_integrations._training_run import JobFacts, TrainingRun, scalars

__all__ = ["ArgusCallback", "register"]

logger = logging.getLogger(__name__)

_MAX_EPOCHS = 2**31
_NOT_METRICS = ("loss", "epoch", "learning_rate", "step", "self")
_LESS_THAN_A_STEP = 1e-9  # in epochs; `state.epoch` is a quotient


def register() -> None:
    """Let `TrainingArguments(report_to="argus")` add an `ArgusCallback()` by itself."""
    from transformers.integrations import integration_utils

    integration_utils.INTEGRATION_TO_CALLBACK["argus"] = ArgusCallback


class ArgusCallback(CommonCallback, TrainerCallback):
    """Reports a training under the Trainer.

    `job_epoch` leaves one hook after its epoch, because the Trainer evaluates and logs after
    `on_epoch_end`. Its `train_loss` is the mean of the losses logged in the epoch, weighted by the
    steps each stands for (with `logging_steps` longer than an epoch, an epoch may have none);
    `val_loss` is `eval_loss`.

    Hooks return None: anything else would replace the Trainer's control object.
    """

    _argus_framework = "transformers"

    def _argus_adopt(self, run: TrainingRun, options: Options) -> None:
        super()._argus_adopt(run, options)
        self._argus_logs = _EpochLogs(0)
        self._argus_logged: dict[str, Any] = {}
        self._argus_last_metrics: object = None
        self._argus_substeps = _Substeps(1)
        self._argus_count = run.footprint.batch_count
        self._argus_batches_at_begin = 0
        self._argus_stage = _Stage(1)
        self._argus_epoch_at_begin = 0.0
        self._argus_validation = _DataSets()
        self._argus_has_warned = False

    # --- training -------------------------------------------------------------------------------

    @never_raise
    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Announce the job, or continue it; each trial of a search is a job."""
        self._argus_logs = _EpochLogs(state.global_step)
        self._argus_substeps = _Substeps(_times_listed(self))
        self._argus_epoch_at_begin = state.epoch or 0.0
        job_before = self._argus_run.job_id
        self._argus_run.training_began(
            model,
            lambda: _facts(args, state, model, kwargs.get("train_dataloader"), is_training=True),
            rank_zero=state.is_world_process_zero,
            new_job=bool(state.is_hyper_param_search),
            failed_silently=not args.auto_find_batch_size,  # which begins again with smaller batches
        )
        if self._argus_run.job_id != job_before:
            self._argus_validation = _DataSets()  # that of one fold may be the next one's test set
        footprint = self._argus_run.footprint
        footprint.world_size = args.world_size
        self._argus_count = footprint.batch_count
        self._argus_batches_at_begin = footprint.trained_batches

    @never_raise
    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Send the epoch before, with what was evaluated and logged since."""
        self._argus_logs = _EpochLogs(state.global_step)
        self._argus_run.epoch_began()
        self._argus_count = self._argus_run.footprint.batch_count

    @never_raise
    def on_substep_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Count a batch whose gradient is only accumulated."""
        if self._argus_substeps.ended():
            self._argus_run.footprint.step()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Count a batch that ends in an optimizer step. Guarded by hand: every step comes here."""
        try:
            count = self._argus_count
            step = state.global_step
            if step == count.last:
                return  # the same callback, listed twice
            count.last = step
            count.batches += 1
            if count.batches == 1:
                self._argus_run.footprint.sample_memory()
        except Exception as error:  # noqa: BLE001 - as `never_raise` does, without packing arguments again
            swallowed(error, "ArgusCallback.on_step_end")

    @never_raise
    def on_epoch_end(self, args: Any, state: Any, control: Any, optimizer: Any = None, **kwargs: Any) -> None:
        """Close the epoch; `state.epoch` counts from 0 and is fractional in the last, partial one."""
        number = max(0, math.ceil((state.epoch or 0.0) - _LESS_THAN_A_STEP) - 1)
        self._argus_run.epoch_ended(number, **{"lr": _learning_rate(optimizer), **self._argus_logs.data()})

    @never_raise
    def on_log(
        self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> None:
        """Collect what belongs to the epoch. The dict is the user's: it is copied."""
        if not logs:
            return
        if self._argus_run.state == "training" and self._argus_is_training(state):
            self._argus_logs.add(logs, state.global_step)
            self._argus_run.add_to_epoch(**self._argus_logs.data())
        else:
            self._argus_logged = dict(logs)  # TRL adds metrics here that `on_evaluate` never sees

    @never_raise
    def on_train_end(
        self, args: Any, state: Any, control: Any, train_dataloader: Any = None, **kwargs: Any
    ) -> None:
        """Send the last epoch and close the training."""
        epochs = (state.epoch or 0.0) - self._argus_epoch_at_begin
        run = self._argus_run
        if run.state == "training":
            batches = run.footprint.trained_batches - self._argus_batches_at_begin
            in_full_batches = batches * (state.train_batch_size or args.train_batch_size)
            run.footprint.trained_samples(
                _samples_of_this_process(args, train_dataloader, epochs, in_full_batches)
            )
        self._argus_logged = {}
        run.training_ended()

    def _argus_is_training(self, state: Any) -> bool:
        """Whether the Trainer that calls is inside its `train()`: then an evaluation is a validation.

        No flag says so: one set at train begin stays set after an exception. The training of another
        Trainer may be on the stack too, whose callback evaluates this one; each has a state of its own.
        """
        if self._argus_run.state == "training":
            return find_frame("_inner_training_loop", "") is not None
        trainers = (frame.f_locals.get("self") for frame in frames_of("_inner_training_loop"))
        return any(getattr(trainer, "state", None) is state for trainer in trainers)

    # --- validation and test ----------------------------------------------------------------------

    @never_raise
    def on_prediction_step(
        self,
        args: Any,
        state: Any,
        control: Any,
        model: Any = None,
        eval_dataloader: Any = None,
        **kwargs: Any,
    ) -> None:
        """Note the end of an evaluation batch outside training; there is no hook at its begin."""
        run = self._argus_run
        if run.state == "training" and self._argus_is_training(state):
            return
        if not run.footprint.is_testing or not self._argus_stage.goes_on(eval_dataloader):
            self._argus_stage = _Stage(_times_listed(self), eval_dataloader)
            run.footprint.model = model
            run.footprint.test_began()
        if self._argus_stage.batch_ended():
            run.footprint.batch_marked()

    @never_raise
    def on_evaluate(
        self,
        args: Any,
        state: Any,
        control: Any,
        metrics: Mapping[str, Any] | None = None,
        model: Any = None,
        eval_dataloader: Any = None,
        **kwargs: Any,
    ) -> None:
        """Send the row of the leaderboard, unless training is on the stack: then this is a validation."""
        metrics = metrics or {}
        if self._argus_is_training(state):
            self._argus_validation.add(getattr(eval_dataloader, "dataset", None))
            footprint = self._argus_run.footprint
            footprint.discard_test()
            seconds = metrics.get(f"{_prefix(metrics)}_runtime")
            if isinstance(seconds, (int, float)) and metrics is not self._argus_last_metrics:
                footprint.validation_took(seconds)
            self._argus_last_metrics = metrics
            return
        self._argus_stage_ended("evaluate", args, state, metrics, model, eval_dataloader)

    @never_raise
    def on_predict(
        self,
        args: Any,
        state: Any,
        control: Any,
        metrics: Mapping[str, Any] | None = None,
        model: Any = None,
        eval_dataloader: Any = None,
        **kwargs: Any,
    ) -> None:
        """Send the row of the leaderboard, unless training is on the stack."""
        if self._argus_is_training(state):
            self._argus_run.footprint.discard_test()
        else:
            self._argus_stage_ended("predict", args, state, metrics or {}, model, eval_dataloader)

    def _argus_stage_ended(
        self, stage: str, args: Any, state: Any, metrics: Mapping[str, Any], model: Any, dataloader: Any
    ) -> None:
        if metrics is self._argus_last_metrics:
            return  # the same callback, listed twice
        self._argus_last_metrics = metrics
        run = self._argus_run
        wanted = run.options.final_stage
        if wanted not in ("auto", stage):
            run.footprint.discard_test()
            return
        prefix = _prefix(metrics)
        logged, self._argus_logged = self._argus_logged, {}
        raw = {**logged, **metrics} if f"{prefix}_runtime" in logged else dict(metrics)
        run.test_began(
            model,
            lambda: _facts(args, state, model, dataloader, is_training=False),
            rank_zero=state.is_world_process_zero,
            failed_silently=True,
            already_measuring=True,
        )
        is_validation = getattr(dataloader, "dataset", None) in self._argus_validation
        run.add_to_result(final_on_validation=is_validation or None)  # the values of the latest stage count
        if is_validation:
            self._argus_warn_validation()
        seconds = metrics.get(f"{prefix}_runtime")
        run.test_ended(
            raw,
            prefix=prefix,
            suffix=_dataset_suffix(prefix),
            total_s=seconds,
            samples=_samples(metrics, prefix, dataloader),
        )

    def _argus_warn_validation(self) -> None:
        if self._argus_has_warned or not self._argus_run.is_rank_zero:
            return
        self._argus_has_warned = True
        logger.warning(
            "argus: the result of job %s was measured on the validation set, which was evaluated during its "
            "training too. For a row that says how the model does on new data, pass the test set: "
            "trainer.evaluate(test).",
            self._argus_run.job_id,
        )


class _DataSets:
    """Data sets that were seen. None of them is kept alive, where it allows that."""

    def __init__(self) -> None:
        self._seen: list[Callable[[], Any]] = []
        self._fingerprints: set[str] = set()

    def add(self, dataset: Any) -> None:
        if dataset is None or dataset in self:
            return
        fingerprint = _fingerprint(dataset)
        if fingerprint is not None:
            self._fingerprints.add(fingerprint)
            return
        try:
            self._seen.append(weakref.ref(dataset))
        except TypeError:
            self._seen.append(lambda: dataset)

    def __contains__(self, dataset: Any) -> bool:
        if dataset is None:
            return False
        return _fingerprint(dataset) in self._fingerprints or any(seen() is dataset for seen in self._seen)


def _fingerprint(dataset: Any) -> str | None:
    """Return what names a set of `datasets`: for each evaluation the Trainer makes a new object of it."""
    value = _describe.attribute(dataset, "_fingerprint")
    return value if isinstance(value, str) else None


class _EpochLogs:
    """What the Trainer logs between the begins of two epochs."""

    def __init__(self, step: int) -> None:
        self._step = step
        self._loss_sum = 0.0
        self._loss_steps = 0
        self._last: object = None
        self._data: dict[str, Any] = {}

    def add(self, logs: Mapping[str, Any], step: int) -> None:
        """Take over one log; the summary that ends a training belongs to no epoch."""
        if "train_runtime" in logs or logs is self._last:
            return
        self._last = logs
        numbers = scalars(logs)
        if "loss" in numbers:
            steps = max(1, step - self._step)
            self._loss_sum += float(numbers["loss"]) * steps
            self._loss_steps += steps
            self._step = step
        for name, value in numbers.items():
            if name not in _NOT_METRICS and not name.endswith(RUNTIME_NOISE):
                self._data["val_loss" if name == "eval_loss" else name] = value

    def data(self) -> dict[str, Any]:
        """Return the epoch's metrics by their names on the wire."""
        loss = {"train_loss": self._loss_sum / self._loss_steps} if self._loss_steps else {}
        return {**self._data, **loss}


class _Substeps:
    """Counts accumulated batches once even if the callback is listed more than once: they have no number."""

    def __init__(self, listed: int) -> None:
        self._listed = listed
        self._ends = 0

    def ended(self) -> bool:
        self._ends += 1
        return self._ends % self._listed == 0


class _Stage:
    """One pass over an evaluation's batches, which no hook opens: another loader is another pass."""

    def __init__(self, listed: int, dataloader: object = None) -> None:
        self._listed = listed
        self._loader = id(dataloader)
        self._ends = 0

    def goes_on(self, dataloader: object) -> bool:
        return id(dataloader) == self._loader

    def batch_ended(self) -> bool:
        self._ends += 1
        return self._ends % self._listed == 0


def _times_listed(callback: TrainerCallback) -> int:
    """Return how often the Trainer that calls has this callback in its list, 1 if it does not say."""
    frame = find_frame("call_event", "transformers")
    handler = frame.f_locals.get("self") if frame is not None else None
    callbacks = getattr(handler, "callbacks", ())
    return max(1, sum(listed is callback for listed in callbacks))


# --- what the Trainer knows ---------------------------------------------------------------------


def _facts(args: Any, state: Any, model: Any, dataloader: Any, *, is_training: bool) -> JobFacts:
    epochs = state.num_train_epochs if is_training else None
    is_finite = isinstance(epochs, (int, float)) and 0 < epochs < _MAX_EPOCHS
    seed = getattr(args, "seed", None)  # the Trainer has set it, whatever was set before
    extra: dict[str, Any] = {}
    if state.is_hyper_param_search:
        extra = {"trial": state.trial_name, "trial_params": dict(state.trial_params or {})}
    return JobFacts(
        model=_model_name(model),
        dataset=_describe.class_name_of_dataset(getattr(dataloader, "dataset", None)),
        seed=seed if seed is not None else _describe.environment_seed(),
        epochs_total=math.ceil(epochs) if epochs and is_finite else None,
        extra=extra,
    )


def _model_name(model: Any) -> str | None:
    """Return the last part of the checkpoint's name: the whole path would tell home directories."""
    model = getattr(model, "module", model)
    name = _describe.attribute(_describe.attribute(model, "config"), "_name_or_path")
    base = PurePath(name.replace("\\", "/")).name if isinstance(name, str) else ""
    return base or _describe.class_name_of_model(model)


def _learning_rate(optimizer: Any) -> float | None:
    groups = getattr(optimizer, "param_groups", None)
    return float(groups[0]["lr"]) if groups else None


def _samples_of_this_process(args: Any, dataloader: Any, epochs: float, in_full_batches: int) -> float:
    """Return how many samples this process trained on, from the epochs done or else from full batches."""
    try:
        return float(len(dataloader.dataset) * epochs / args.world_size)
    except (AttributeError, TypeError):  # an iterable data set
        return float(in_full_batches)


def _prefix(metrics: Mapping[str, Any]) -> str:
    """Return the `metric_key_prefix`, which `<prefix>_runtime` gives away.

    A metric of the user's may end so too; the Trainer's own has a rate beside it, or else comes last.
    """
    prefixes = [name[: -len("_runtime")] for name in metrics if name.endswith("_runtime")]
    timed = [prefix for prefix in prefixes if f"{prefix}_samples_per_second" in metrics]
    return (timed or prefixes or ["eval"])[-1]


def _samples(metrics: Mapping[str, Any], prefix: str, dataloader: Any) -> float | None:
    """Return how many samples all processes evaluated."""
    try:
        return len(dataloader.dataset)
    except (AttributeError, TypeError):  # an iterable data set
        pass
    seconds, rate = metrics.get(f"{prefix}_runtime"), metrics.get(f"{prefix}_samples_per_second")
    if not isinstance(seconds, (int, float)) or not isinstance(rate, (int, float)):
        return None
    return round(seconds * rate)


def _dataset_suffix(prefix: str) -> str:
    """Return the name of the data set when `evaluate` goes through a dict of them, else "".

    The prefix `eval_a` alone does not say so: a user may have chosen it.
    """
    for frame in frames_of("evaluate"):
        name = frame.f_locals.get("eval_dataset_name")
        if name is not None and prefix.endswith(f"_{name}"):
            return str(name)
    return ""
