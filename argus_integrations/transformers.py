"""`ArgusCallback` for the Hugging Face Trainer, and for the trainers that derive from it.

::

    cb = ArgusCallback(project="my-paper", dataset="imdb")
    trainer = Trainer(model, args, train_dataset=..., eval_dataset=..., callbacks=[cb])
    trainer.train()
    trainer.evaluate(test_dataset)  # or predict(): sends the row of the leaderboard

The Trainer tells a callback nothing of an exception in `train()`: `with cb: trainer.train()` reports it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from transformers import TrainerCallback

from argus_core.conventions import RUNTIME_NOISE
from argus_core.guard import never_raise
from argus_integrations import _describe
from argus_integrations._callback import CommonCallback
from argus_integrations._frames import find_frame
from argus_integrations._training_run import JobFacts, Options, TrainingRun

__all__ = ["ArgusCallback", "register"]

_MAX_EPOCHS = 2**31


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
        self._argus_steps = _StepCounter()
        self._argus_epoch_at_begin = 0.0

    # --- training -------------------------------------------------------------------------------

    @never_raise
    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Announce the job, or continue it; each trial of a search is a job."""
        self._argus_logs = _EpochLogs(state.global_step)
        self._argus_steps = _StepCounter()
        self._argus_epoch_at_begin = state.epoch or 0.0
        self._argus_run.training_began(
            model,
            lambda: _facts(args, state, model, kwargs.get("train_dataloader"), is_training=True),
            rank_zero=state.is_world_process_zero,
            new_job=bool(state.is_hyper_param_search),
            failed_silently=True,
        )
        self._argus_run.footprint.world_size = args.world_size

    @never_raise
    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Send the epoch before, with what was evaluated and logged since."""
        self._argus_complete_epoch()
        self._argus_steps.epoch_began(state.global_step)
        self._argus_logs = _EpochLogs(state.global_step)
        self._argus_run.epoch_began()

    @never_raise
    def on_substep_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Count a batch whose gradient is only accumulated."""
        if self._argus_steps.substep_ended():
            self._argus_run.footprint.step()

    @never_raise
    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Count a batch that ends in an optimizer step."""
        if self._argus_steps.step_ended(state.global_step):
            self._argus_run.footprint.step()

    @never_raise
    def on_epoch_end(self, args: Any, state: Any, control: Any, optimizer: Any = None, **kwargs: Any) -> None:
        """Close the epoch; `state.epoch` counts from 0 and is fractional in the last, partial one."""
        number = max(0, math.ceil(round(state.epoch or 0.0, 4)) - 1)
        self._argus_run.epoch_ended(number, lr=_learning_rate(optimizer))

    @never_raise
    def on_log(
        self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> None:
        """Collect what belongs to the epoch. The dict is the user's: it is copied."""
        if not logs:
            return
        if self._argus_run.state == "training":
            self._argus_logs.add(logs, state.global_step)
        else:
            self._argus_logged = dict(logs)  # TRL adds metrics here that `on_evaluate` never sees

    @never_raise
    def on_train_end(
        self, args: Any, state: Any, control: Any, train_dataloader: Any = None, **kwargs: Any
    ) -> None:
        """Send the last epoch and close the training."""
        self._argus_complete_epoch()
        epochs = (state.epoch or 0.0) - self._argus_epoch_at_begin
        run = self._argus_run
        if run.state == "training":
            run.footprint.trained_samples(
                _samples_of_this_process(args, train_dataloader, epochs, self._argus_steps.batches)
            )
        self._argus_logged = {}
        run.training_ended()

    def _argus_complete_epoch(self) -> None:
        self._argus_run.add_to_epoch(**self._argus_logs.data())

    # --- validation and test ----------------------------------------------------------------------

    @never_raise
    def on_prediction_step(
        self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any
    ) -> None:
        """Note the end of an evaluation batch outside training; there is no hook at its begin."""
        run = self._argus_run
        if run.state == "training" or not self._argus_steps.prediction_ended():
            return
        if not run.footprint.is_testing:
            run.footprint.model = model
            run.footprint.test_began()
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
        if find_frame("_inner_training_loop", "") is not None:
            seconds = metrics.get(f"{_prefix(metrics)}_runtime")
            if isinstance(seconds, (int, float)) and metrics is not self._argus_last_metrics:
                self._argus_run.footprint.validation_took(seconds)
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
        **kwargs: Any,
    ) -> None:
        """Send the row of the leaderboard, unless training is on the stack."""
        if find_frame("_inner_training_loop", "") is None:
            self._argus_stage_ended("predict", args, state, metrics or {}, model, None)

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
        seconds = metrics.get(f"{prefix}_runtime")
        run.test_ended(
            raw,
            prefix=prefix,
            suffix=_dataset_suffix(prefix),
            total_s=seconds,
            samples=_samples(metrics, prefix),
        )


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
        loss = logs.get("loss")
        if isinstance(loss, (int, float)):
            steps = max(1, step - self._step)
            self._loss_sum += loss * steps
            self._loss_steps += steps
            self._step = step
        for name, value in logs.items():
            if name not in ("loss", "epoch", "learning_rate", "step") and not name.endswith(RUNTIME_NOISE):
                self._data["val_loss" if name == "eval_loss" else name] = value

    def data(self) -> dict[str, Any]:
        """Return the epoch's metrics by their names on the wire."""
        loss = {"train_loss": self._loss_sum / self._loss_steps} if self._loss_steps else {}
        return {**self._data, **loss}


class _StepCounter:
    """Counts batches once even if the callback is listed twice, where hooks have no batch number."""

    def __init__(self) -> None:
        self.batches = 0
        self._listed = 0
        self._epoch_at = -1
        self._ended = -1
        self._substeps = 0
        self._predictions = 0

    def epoch_began(self, global_step: int) -> None:
        """Learn from calls without a step between them how often the callback is listed."""
        self._listed = self._listed + 1 if global_step == self._epoch_at else 1
        self._epoch_at = global_step

    def substep_ended(self) -> bool:
        self._substeps += 1
        is_new = self._substeps % max(1, self._listed) == 0
        self.batches += is_new
        return is_new

    def step_ended(self, global_step: int) -> bool:
        is_new = global_step != self._ended
        self._ended = global_step
        self.batches += is_new
        return is_new

    def prediction_ended(self) -> bool:
        self._predictions += 1
        return self._predictions % max(1, self._listed) == 0


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
    name = getattr(getattr(model, "config", None), "_name_or_path", None)
    base = PurePath(name.replace("\\", "/")).name if isinstance(name, str) else ""
    return base or _describe.class_name_of_model(model)


def _learning_rate(optimizer: Any) -> float | None:
    groups = getattr(optimizer, "param_groups", None)
    return float(groups[0]["lr"]) if groups else None


def _samples_of_this_process(args: Any, dataloader: Any, epochs: float, batches: int) -> float:
    """Return how many samples this process trained on, from the epochs done or else from full batches."""
    try:
        return float(len(dataloader.dataset) * epochs / args.world_size)
    except (AttributeError, TypeError):  # an iterable data set
        return float(batches * args.per_device_train_batch_size)


def _prefix(metrics: Mapping[str, Any]) -> str:
    """Return the `metric_key_prefix`, which `<prefix>_runtime` always gives away."""
    return next((name[: -len("_runtime")] for name in metrics if name.endswith("_runtime")), "eval")


def _samples(metrics: Mapping[str, Any], prefix: str) -> float | None:
    seconds, rate = metrics.get(f"{prefix}_runtime"), metrics.get(f"{prefix}_samples_per_second")
    if not isinstance(seconds, (int, float)) or not isinstance(rate, (int, float)):
        return None
    return round(seconds * rate)


def _dataset_suffix(prefix: str) -> str:
    """Return the name of the data set when `evaluate` goes through a dict of them, else "".

    The prefix `eval_a` alone does not say so: a user may have chosen it.
    """
    frame = find_frame("evaluate", "")
    while frame is not None:
        name = frame.f_locals.get("eval_dataset_name") if frame.f_code.co_name == "evaluate" else None
        if isinstance(name, str) and prefix.endswith(f"_{name}"):
            return name
        frame = frame.f_back
    return ""
