"""`ArgusTracker` for training loops of your own under Accelerate.

::

    argus = ArgusTracker(model="bert", dataset="imdb")
    accelerator = Accelerator(log_with=argus)
    accelerator.init_trackers("my-paper", config=vars(args))  # announces the job
    with argus:  # reports an exception exactly
        for epoch in range(3):
            ...
            accelerator.log({"train_loss": loss, "val_loss": val_loss, "epoch": epoch}, step=step)
        with argus.testing(model) as test:
            for batch in test_loader:
                with test.batch(samples=batch):
                    model(**batch)
        argus.done({"accuracy": accuracy})  # sends the row of the leaderboard
    accelerator.end_training()

Accelerate does not know what a loop means by its numbers. So the loop says it: values belong to an
epoch if they name it, and are the result only by `done` or `final`; no name of a metric makes them that.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import sys
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from accelerate.state import PartialState
from accelerate.tracking import GeneralTracker

from argus_core.distributed import is_global_zero
from argus_core.footprint import Footprint
from argus_core.guard import never_raise
from argus_core.jsonable import jsonable
from argus_integrations import _describe
from argus_integrations._callback import CommonCallback
from argus_integrations._frames import find_frame
from argus_integrations._options import Options
from argus_integrations._training_run import JobFacts, TrainingRun

__all__ = ["ArgusTracker"]

logger = logging.getLogger(__name__)

_CURVE_NAMES = {
    **dict.fromkeys(("loss", "train/loss", "training_loss"), "train_loss"),
    **dict.fromkeys(("val/loss", "valid_loss", "validation_loss", "eval_loss", "eval/loss"), "val_loss"),
    **dict.fromkeys(("learning_rate", "train/lr"), "lr"),
}
_MODEL_KEYS = ("model_name_or_path", "model_name", "model", "arch")
_DATASET_KEYS = ("dataset_name", "dataset")
_SHARDED = ("FSDP", "DEEPSPEED", "MEGATRON_LM")


class _LoopRun(TrainingRun):
    """The run of a loop that tells where it began, but not always where it ended."""

    error_at_begin: int | None = None
    """The identity of an exception that was being handled when the training began: not its own."""

    def close(self, error: BaseException | None = None) -> None:
        """End the batch; a loop that no exception has ended has come to its end."""
        if error is None:
            in_flight = sys.exc_info()[1]
            error = None if id(in_flight) == self.error_at_begin else in_flight
        if error is None:
            self.training_ended()
        super().close(error)

    def propose_project(self, name: object) -> None:
        """Take a project's name that nobody gave in a better place, before anything is reported."""
        is_open = self._options.project is None and self._reporter is None
        if is_open and isinstance(name, str) and name and not os.environ.get("ARGUS_PROJECT"):
            self._options = replace(self._options, project=name)

    def forget_training(self) -> None:
        """Measure anew: what was taken for a training was the way to a test."""
        self.footprint = self._new_footprint(self.footprint.seed)


class ArgusTracker(CommonCallback, GeneralTracker):
    """Reports a loop under Accelerate; takes the arguments of every `ArgusCallback`.

    `init_trackers` announces the job. Its name is the project, unless `project` or `ARGUS_PROJECT` say
    otherwise; its config is that of the job. All methods may be called on every process: the main
    process reports. Accelerate gives its other processes no tracker by `get_tracker`, so keep this one
    in a variable. A script that ends without `end_training` and without an exception has come to its end.
    """

    name = "argus"
    requires_logging_directory = False
    main_process_only = True
    _argus_framework = "accelerate"
    _argus_run_class = _LoopRun
    _argus_run: _LoopRun

    def _argus_adopt(self, run: TrainingRun, options: Options) -> None:
        super()._argus_adopt(run, options)
        self._argus_config: Mapping[str, Any] | None = None
        self._argus_accelerator: Callable[[], Any] = _nothing
        self._argus_reset()

    def _argus_reset(self) -> None:
        """Stand as before the first log of a job."""
        self._argus_last_epoch = -1
        self._argus_counts_progress = False
        self._argus_has_logged = False
        self._argus_clock_stands = False
        self._argus_has_measured = False
        self._argus_result: Any = None
        self._argus_has_warned = False

    def __repr__(self) -> str:
        return f"ArgusTracker(job_id={self.job_id!r}, batch_id={self.batch_id!r})"

    @property
    def tracker(self) -> ArgusTracker:
        """This tracker: `get_tracker("argus", unwrap=True)` and `unwrap=False` give the same."""
        return self

    @property
    def footprint(self) -> Footprint:
        """What measures the current job.

        In the training loop, `footprint.step(samples=batch)` gives the columns of its speed, and
        `with footprint.epoch():` and `with footprint.validation():` its time per epoch.
        """
        return self._argus_run.footprint

    # --- what Accelerate calls ------------------------------------------------------------------

    @never_raise
    def start(self) -> None:
        """Announce a job: `init_trackers` calls this, in Accelerate 1.8 and later.

        A job that is still in training has failed, unless Accelerate's `find_executable_batch_size`
        begins again with fewer samples. A second call by the same `init_trackers` changes nothing.
        """
        call = _init_call()
        if call is not None:
            self._argus_begin(call.get("config"))

    @never_raise
    def store_init_configuration(self, values: Mapping[str, Any]) -> None:
        """Announce a job with this config, unless the same `init_trackers` has done so by `start`."""
        if self._argus_run.state == "idle" or _init_call() is not None:
            self._argus_begin(values)
        else:
            logger.warning(
                "argus: a configuration that comes after init_trackers is not reported; pass it there"
            )

    @never_raise
    def log(
        self,
        values: Mapping[str, Any],
        step: int | None = None,
        *,
        epoch: float | None = None,
        final: bool = False,
        **unknown: Any,
    ) -> None:
        """Take what `accelerator.log` passes on.

        Values that name their `epoch` are one `job_epoch` together, sent when the next epoch is named
        or the training ends; all others stay here, for a `step` is no epoch.

        Args:
            values: name → value; nested mappings are flattened with `/`.
            step: not used.
            epoch: by `log_kwargs={"argus": {"epoch": 3}}`; default: `values["epoch"]`. As the loop counts,
                from 0; where a fraction was seen, as progress: all of (2, 3] is epoch 2.
            final: by `log_kwargs={"argus": {"final": True}}`: these values are the result, as by `done`.
            **unknown: warned about.
        """
        if unknown:
            logger.warning("argus: log() takes `epoch` and `final`, not %s", ", ".join(sorted(unknown)))
        if final:
            self._argus_done(values, None)
            return
        if self._argus_run.state == "idle":
            self._argus_begin(None)
        number = self._argus_epoch_number(values.get("epoch") if epoch is None else epoch)
        if number is not None and self._argus_is_training(number):
            self._argus_add(number, _curve_data(values))
        if self._argus_run.state == "training":
            self._argus_has_logged = True
            self._argus_run_clock()

    @never_raise
    def finish(self) -> None:
        """End the training, and the batch if it is the tracker's own; as failed in the midst of an error."""
        self.close()

    # --- what only the loop knows ---------------------------------------------------------------

    @contextlib.contextmanager
    def testing(self, model: Any = None) -> Iterator[Footprint]:
        """Measure a test stage, whose result `done` reports; the latest one before it counts.

        Inside, `with test.batch(samples=batch):` around the model's call gives latencies and
        throughput. The time is no time of the training.

        Args:
            model: what is tested; default: the model that Accelerate has prepared, if it is one.
        """
        self._argus_test_begins(model)
        footprint = self.footprint
        try:
            yield footprint
        except BaseException:
            footprint.discard_test()
            raise
        self._argus_test_ends(footprint)

    def done(self, metrics: Mapping[str, Any], *, model: Any = None) -> None:
        """Report the result: the row of the leaderboard. A second call adds to it.

        Args:
            metrics: name → value; names are normalised as everywhere (`test_mse` is `MSE`).
            model: what was tested, if `testing` was not told.
        """
        self._argus_done(metrics, model)

    # --- how ------------------------------------------------------------------------------------

    def _argus_begin(self, config: Mapping[str, Any] | None) -> None:
        call = _init_call() or {}
        run = self._argus_run
        accelerator = call.get("self")
        if accelerator is not None:
            self._argus_accelerator = weakref.ref(accelerator)
        self._argus_config = config
        run.propose_project(call.get("project_name"))
        before = run.job_id, run.state
        run.training_began(
            self,
            lambda: self._argus_facts(config),
            rank_zero=_is_main(),
            new_job=run.state == "trained",  # the run before has come to its end without a result
            failed_silently=not _is_retry(),
        )
        if (run.job_id, run.state) != before:
            self._argus_reset()
            in_flight = sys.exc_info()[1]
            run.error_at_begin = None if in_flight is None else id(in_flight)

    def _argus_facts(self, config: Mapping[str, Any] | None) -> JobFacts:
        known = config if isinstance(config, Mapping) else {}
        model = self._argus_model()
        name = _first_text(known, _MODEL_KEYS) or _describe.class_name_of_model(_unwrapped(model))
        seed = known.get("seed")
        if not isinstance(seed, int) or isinstance(seed, bool):
            seed = _describe.environment_seed()
        return JobFacts(
            model=name,
            dataset=_first_text(known, _DATASET_KEYS),
            seed=_describe.torch_seed() if seed is None else seed,
            config=known or None,
        )

    def _argus_model(self) -> Any:
        """Return the one model that Accelerate has prepared, None where there are several or only a shard."""
        accelerator = self._argus_accelerator()
        models: Any = getattr(accelerator, "_models", ())
        kind = getattr(accelerator, "distributed_type", None)
        is_whole = str(getattr(kind, "value", kind)).upper() not in _SHARDED
        return models[0] if len(models) == 1 and is_whole else None

    def _argus_epoch_number(self, epoch: Any) -> int | None:
        """Return the epoch that a loop names, counted as it counts; None if it names none."""
        plain, _ = jsonable(epoch)
        if isinstance(plain, bool) or not isinstance(plain, (int, float)) or plain < 0:
            return None
        self._argus_counts_progress |= not float(plain).is_integer()
        return max(0, math.ceil(plain) - 1) if self._argus_counts_progress else int(plain)

    def _argus_is_training(self, number: int) -> bool:
        """Whether an epoch belongs to the current job. Epoch 0 after its end is that of a new job."""
        run = self._argus_run
        if run.state == "training":
            return True
        if number == 0:
            self._argus_begin(self._argus_config)
            return True
        if not self._argus_has_warned:
            self._argus_has_warned = True
            logger.warning(
                "argus: epoch %d is left out: job %s has ended. Call `done` after the last epoch, and "
                "`init_trackers` before another training.",
                number,
                run.job_id,
            )
        return False

    def _argus_add(self, number: int, data: dict[str, Any]) -> None:
        run = self._argus_run
        if run.has_pending_epoch and number == self._argus_last_epoch:
            run.add_to_epoch(**data)
            return
        run.send_epoch()
        if number == 0 and self._argus_last_epoch > 0:  # a second loop of the same training counts on
            run.training_ended()
            run.training_began(self, JobFacts, rank_zero=_is_main())
        self._argus_last_epoch = number
        run.epoch_ended(number, **data)

    def _argus_run_clock(self) -> None:
        """Let the clock of the training go on after a test in its midst."""
        if self._argus_clock_stands:
            self._argus_clock_stands = False
            self.footprint.train_began()

    def _argus_stop_clock(self) -> None:
        """Stop it; a script that has trained nothing so far has only been on its way to a test."""
        if self._argus_clock_stands:
            return
        self._argus_clock_stands = True
        self.footprint.train_ended()
        optimizers = getattr(self._argus_accelerator(), "_optimizers", ())
        if not (self._argus_has_logged or optimizers or "Total_Batches" in self.footprint.metrics()):
            self._argus_run.forget_training()

    @never_raise
    def _argus_test_begins(self, model: Any) -> None:
        run = self._argus_run
        if run.state == "idle":
            self._argus_begin(None)
        if run.state == "training":
            self._argus_stop_clock()
        run.footprint.model = self._argus_model() if model is None else model
        run.footprint.test_began()

    @never_raise
    def _argus_test_ends(self, footprint: Footprint) -> None:
        if footprint.is_testing:
            footprint.test_ended()
            self._argus_has_measured = True

    @never_raise
    def _argus_done(self, metrics: Mapping[str, Any], model: Any) -> None:
        run = self._argus_run
        result, _ = jsonable(metrics)
        if run.state == "done" and result == self._argus_result:
            return  # Accelerate lists a tracker once for each `init_trackers`
        if run.state == "training":
            self._argus_stop_clock()
            run.training_ended()
        if model is None:
            known = (run.footprint.model, self._argus_model(), self)
            model = next(candidate for candidate in known if candidate is not None)
        run.test_began(
            model,
            lambda: self._argus_facts(None),
            rank_zero=_is_main(),
            already_measuring=self._argus_has_measured or run.footprint.is_testing,
        )
        run.test_ended(metrics)
        self._argus_has_measured = False
        self._argus_result = result


def _nothing() -> None:
    return None


def _init_call() -> Mapping[str, Any] | None:
    """Return the variables of the `init_trackers` that is running: it tells trackers less than it knows."""
    frame = find_frame("init_trackers", "accelerate")
    return None if frame is None else frame.f_locals


def _is_retry() -> bool:
    return find_frame("decorator", "accelerate.utils.memory") is not None


def _is_main() -> bool:
    """Whether this is the process that `accelerator.log` runs on; asking must not start anything."""
    return bool(PartialState().is_main_process) if PartialState._shared_state else is_global_zero()


def _unwrapped(model: Any) -> Any:
    return getattr(model, "module", model)


def _first_text(config: Mapping[str, Any], keys: tuple[str, ...]) -> str | None:
    """Return the last part of the first of these that is a text: a path would tell of directories."""
    for key in keys:
        value = config.get(key)
        if isinstance(value, str) and value:
            return PurePath(value).name or value
    return None


def _curve_data(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return plain values by the names of a curve, read now: the loop may go on with its tensors."""
    data: dict[str, Any] = {}
    for name, value in _flat(jsonable(values)[0] or {}):
        if name in ("epoch", "self"):
            continue
        column = _CURVE_NAMES.get(name, name)
        data[name if column in values and column != name else column] = value
    return data


def _flat(values: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}{name}/")
        else:
            yield path + name, value
