"""The state machine that the callbacks of all frameworks share; they only translate hooks.

::

    idle ─training_began─> training ─training_ended─> trained ─test_began─> testing ─test_ended─> done
      └──────────────────────────────test_began──────────────────────────────┘      any ─fail─> failed

One job is one model object from its first training to its test stage. A training that begins on the
same model before a test continues the job; another model, a trial of a search, or a training after
done or failed is a new job. A further test stage of a done job is a revision: the same job id, the
merged metrics. A test of a model that trained before the current one belongs to the job of that model.
"""

from __future__ import annotations

import copy
import logging
import os
import sys
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from argus_core.conventions import MetricNames, normalise_metrics
from argus_core.distributed import rank_from_environment, world_size
from argus_core.errors import ArgusError
from argus_core.footprint import Footprint
from argus_core.guard import never_raise
from argus_core.identity import new_job_id
from argus_core.jsonable import jsonable
from argus_core.process_end import at_process_end, last_error
from argus_core.reporter import Job, Reporter
from argus_integrations import _sidecar
from argus_integrations._options import Options

__all__ = ["JobFacts", "TrainingRun", "scalars"]

logger = logging.getLogger(__name__)

_LONGEST_STEM = 240
"""Of the id of a further job: the number behind it is not to be cut off."""

State = Literal["idle", "training", "trained", "testing", "done", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFacts:
    """What a framework knows of a job when it begins. The user's options win over each."""

    model: str | None = None
    dataset: str | None = None
    seed: int | None = None
    epochs_total: int | None = None
    config: Mapping[str, Any] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


Describe = Callable[[], JobFacts]
"""Asked only when a job is announced, so that what is slow or unusual costs nothing otherwise."""


@dataclass(slots=True)
class _Epoch:
    """An epoch that has ended and whose metrics may still be coming."""

    number: int
    data: dict[str, Any]


class TrainingRun:
    """Turns the stages of one callback into events. All methods belong to the thread that trains.

    Emits only on global rank zero, which the framework tells at the begin of every stage; until
    then the environment decides. Pickles as configuration: job id, batch id and owner pid stay; a
    deep copy is another job.

    Attributes:
        state: where the current job stands.
        job_id: of the current job, known before it is announced.
        batch_id: of all jobs of this callback.
        footprint: measures the current job; the frameworks' batch hooks feed it.
        is_rank_zero: whether this process reports.
    """

    def __init__(self, options: Options, framework: str) -> None:
        self._options = options
        self._framework = framework
        reporter = options.batch
        self.batch_id = (reporter or Reporter(framework)).batch_id  # from the environment, or new
        self._owner_pid = reporter.owner_pid if reporter else os.getpid()
        self._first_job_id = options.job_id or new_job_id(options.model, options.dataset, options.seed)
        self._reset()
        _known_runs.add(self)
        at_process_end(_close_open_runs)
        if reporter is not None:
            reporter.before_close(self.batch_ends)

    def _reset(self) -> None:
        """Stand as a new callback stands: nothing announced, nothing measured."""
        self.state: State = "idle"
        self.job_id = self._first_job_id
        self.is_rank_zero = rank_from_environment() in (None, 0)
        self.footprint = self._new_footprint(None)
        self._batch = _Batch(self._options.batch)
        self._job: Job | None = None
        self._jobs_begun = 0
        self._set_aside: list[dict[str, Any]] = []
        self._is_trial = False
        self._batch_names_it = True
        self._model_ref: Callable[[], Any] = _nothing
        self._job_was_trained = False
        self._epoch_offset = 0
        self._last_epoch = -1
        self._first_epoch_of_training = True
        self._training_just_began = False
        self._pending: _Epoch | None = None
        self._result = _Result()
        self._extra: dict[str, Any] = {}
        self._seen_error: object = None
        self._warned_sidecar = False

    @property
    def options(self) -> Options:
        """What the user passed."""
        return self._options

    # --- training -------------------------------------------------------------------------------

    def training_began(
        self,
        model: object,
        describe: Describe,
        *,
        rank_zero: bool,
        new_job: bool = False,
        failed_silently: bool = False,
    ) -> None:
        """Announce a job, or continue the current one.

        Args:
            model: the object that trains; it decides whether the job continues.
            describe: asked when a job is announced.
            rank_zero: whether this process is global rank zero.
            new_job: this training is a job of its own, whatever the model (a trial of a search, whose
                result does not end the batch: more trials may follow).
            failed_silently: the framework has no hook for exceptions: a training still open has failed.
        """
        self.is_rank_zero = rank_zero
        if self.state == "training":
            if self._training_just_began and self.is_job_of(model):
                return  # the same callback, listed twice
            if failed_silently:
                self._fail_silently()
        self.send_epoch()
        if not new_job:
            self._return_to_job_of(model, ("trained",))
        continues = self.state in ("training", "trained") and self.is_job_of(model) and not new_job
        if not continues:
            self._begin_job(model, describe)
        self._is_trial = new_job
        self.state = "training"
        self._job_was_trained = True
        self._first_epoch_of_training = self._training_just_began = True
        self._seen_error = last_error()
        self.footprint.train_began()

    def epoch_began(self) -> None:
        """Send the epoch before, with all the metrics it has got by now, and start the clock."""
        self._training_just_began = False
        self.send_epoch()
        self.footprint.epoch_began()

    def epoch_ended(self, epoch: int, /, **data: Any) -> None:
        """Close an epoch; `send_epoch` reports it.

        Args:
            epoch: as the framework counts, from 0; a second training of the same job that starts again
                at 0 goes on counting where the first one ended.
            **data: what is known of it already.
        """
        if self.state != "training":
            return
        if self._first_epoch_of_training:
            self._epoch_offset = self._last_epoch + 1 if epoch == 0 else 0
        elif epoch + self._epoch_offset == self._last_epoch:
            return  # the same callback, listed twice
        self._first_epoch_of_training = self._training_just_began = False
        seconds_per_batch = self.footprint.epoch_ended()
        if seconds_per_batch is not None:
            data["batch_time_ms"] = 1e3 * seconds_per_batch
        self._last_epoch = epoch + self._epoch_offset
        self._pending = _Epoch(self._last_epoch, data)

    @property
    def has_pending_epoch(self) -> bool:
        """Whether an epoch has ended and is not reported yet."""
        return self._pending is not None

    def add_to_epoch(self, /, **data: Any) -> None:
        """Add metrics to the epoch that ended last; does nothing once it is sent."""
        if self._pending is not None:
            self._pending.data.update(data)

    def send_epoch(self) -> None:
        """Report the epoch that ended last, once."""
        epoch, self._pending = self._pending, None
        if epoch is None or not self._reports or self._job is None:
            return
        data = {name: value for name, value in scalars(epoch.data).items() if name not in ("epoch", "self")}
        self._job.epoch(epoch.number, **data)

    def training_ended(self) -> None:
        """Close the training; a test stage may follow."""
        if self.state != "training":
            return
        self.send_epoch()
        never_raise(self.footprint.train_ended)()  # a result counts for more than what it has cost
        self.state = "trained"
        self._save_sidecar()
        self._flush_if_last_chance()

    # --- test -----------------------------------------------------------------------------------

    def test_began(
        self,
        model: object,
        describe: Describe,
        *,
        rank_zero: bool,
        failed_silently: bool = False,
        already_measuring: bool = False,
    ) -> None:
        """Open a test stage of the current job, or announce a job that is only tested.

        Args:
            model: the object that is tested. A trained job takes any: a checkpoint loads into a new one.
            describe: asked when a job is announced.
            rank_zero: whether this process is global rank zero.
            failed_silently: as for `training_began`.
            already_measuring: `footprint.test_began` was called when the stage began; the framework
                says only at its end whether it was a test.
        """
        self.is_rank_zero = rank_zero
        if self.state == "training" and failed_silently:
            self._fail_silently()
        self.send_epoch()
        measured = self.footprint
        self._return_to_job_of(model, ("trained", "testing", "done", "failed"))
        is_another = self.state == "done" and not self.is_job_of(model) and not self._job_was_trained
        if self.state == "idle" and self._load_sidecar(describe):
            self._model_ref = _reference(model)
        elif self.state == "idle" or is_another:
            self._begin_job(model, describe)
        self.state = "testing"
        if self._job is not None and self._job.status in ("failed", "interrupted"):
            self._job.status = "running"
        self._seen_error = last_error()
        self.footprint.model = model
        if already_measuring:
            self.footprint.adopt_test(measured)
        else:
            self.footprint.test_began()

    def test_ended(
        self,
        raw: Mapping[str, Any],
        *,
        prefix: str | None = None,
        suffix: str = "",
        total_s: float | None = None,
        samples: float | None = None,
        latencies_are_valid: bool = True,
    ) -> None:
        """Report the row of the leaderboard: `raw`, normalised and merged with earlier stages.

        Args:
            raw: what the framework logged.
            prefix: known to stand before every name (`eval`).
            suffix: the evaluation data set.
            total_s: how long the stage took, if the framework knows.
            samples: how many samples it tested, if the framework knows.
            latencies_are_valid: whether the batches were timed one after the other.
        """
        if self.state != "testing":
            return  # the same callback, listed twice
        self.state = "done"
        never_raise(self.footprint.test_ended)(
            total_s=total_s, samples=samples, latencies_are_valid=latencies_are_valid
        )
        if not self._reports or self._job is None:
            return
        self._result.add(raw, prefix, suffix, self._options.metric_names)
        columns = (never_raise(self.footprint.metrics)() or {}) if self._options.footprint else {}
        self.footprint.model = None  # a callback keeps no model alive
        self._job.done({**columns, **self._result.metrics}, **self._result_details())
        self._save_sidecar()
        if not self._is_trial:
            self._close_implicit_batch(None)
        self._flush_if_last_chance()

    def add_to_result(self, **details: Any) -> None:
        """Have `details`, which must be JSON, sent beside the metrics of the current job."""
        self._extra.update(details)

    def _result_details(self) -> dict[str, Any]:
        details: dict[str, Any] = {"metrics_raw": self._result.raw, **self._extra}
        if self._result.dropped:
            details["dropped"] = sorted(self._result.dropped)
            logger.warning(
                "argus: left out of the metrics of %s, because they are no scalars: %s",
                self.job_id,
                ", ".join(details["dropped"]),
            )
        if self._options.footprint and self.footprint.latency_warmup:
            details["latency_warmup"] = self.footprint.latency_warmup
        return details

    # --- failure and end ------------------------------------------------------------------------

    def fail(
        self, error: BaseException | None, *, reason: str | None = None, interrupted: bool = False
    ) -> None:
        """Report that the current job ended without a result; a later test stage still makes it done.

        Does nothing for a job that was never announced, or that has a result already: one more test
        stage that fails takes nothing from the result of the stage before.
        """
        self._fail(error, reason=reason, interrupted=interrupted)
        self._flush_if_last_chance()

    def _fail(
        self, error: BaseException | None, *, reason: str | None = None, interrupted: bool = False
    ) -> None:
        if self._load_sidecar(None):  # the parent of `ddp_spawn`: its children announced the job
            self.state = "training" if self.state == "idle" else self.state
        if self._job is None or self.state in ("idle", "failed"):
            return
        if self._job.status in ("failed", "interrupted"):
            self.state = "failed"  # its reporter has said so, when it closed the batch
            return
        self.send_epoch()
        never_raise(self.footprint.train_ended)()
        if self._result.metrics:
            self.state = "done"
            return
        self.state = "failed"
        if not self._reports:
            return
        self._job.failed(error, reason=reason, status="interrupted" if interrupted else None)
        if not self._is_trial:
            self._close_implicit_batch(error if error is not None else StageDidNotEnd(reason or "unknown"))

    def _fail_silently(self) -> None:
        """Report a training that never ended, in a framework without a hook for exceptions."""
        error = last_error()
        if error is not None and error is not self._seen_error:
            self._fail(error)
        else:
            self._fail(None, reason=f"{self._framework} training did not reach its end")

    def _flush_if_last_chance(self) -> None:
        """Wait for the server in a child of the process that made the callback: it may end without `atexit`.

        Elsewhere no hook waits: events are on disk, a thread sends them, and the end of the batch or of
        the process waits for it.
        """
        if os.getpid() != self._owner_pid:
            self.flush()

    def flush(self, timeout_s: float | None = None) -> bool:
        """Wait until the server has everything, at most `timeout_s` (default `flush_timeout_s`)."""
        if self._reporter is None or not self._reports:
            return True
        return self._reporter.flush(self._options.flush_timeout_s if timeout_s is None else timeout_s)

    def close(self, error: BaseException | None = None) -> None:
        """End the batch, if it is this callback's own, and say which job was never tested.

        Args:
            error: what ended the run; it fails a job that has no result yet.
        """
        if error is None and self.state in ("training", "testing"):
            error = sys.exc_info()[1]  # `close()` in an `except` or `finally` block
        self.send_epoch()
        if error is not None:
            self._fail(error)
        elif self.state in ("training", "testing") and not self._result.metrics:
            self._fail(None, reason=f"the {self.state} stage did not reach its end", interrupted=True)
        elif self.state == "trained" and not self._batch_names_it:
            self._warn_untested()
        self._fail_copies()
        self._close_implicit_batch(error)
        self.flush()

    def batch_ends(self, error: BaseException | None) -> None:
        """Settle the job before its reporter, which is not this callback's own, counts the jobs.

        What other processes have reported is taken over, and a training that somebody caught the
        exception of has failed; with an `error` the reporter itself fails what is still open.
        """
        self._load_sidecar(None)
        _sidecar.delete(*self._sidecar_key)
        if error is None and self.state in ("training", "testing"):
            self._fail_silently()

    def _fail_copies(self) -> None:
        """Report the deep copies in this batch whose training or test did not end, before it is closed."""
        if self._options.batch is not None or self._batch.is_closed:
            return
        for run in list(_open_runs):
            is_open = run.state in ("training", "testing") and not run._result.metrics
            if run._batch is self._batch and run is not self and is_open:
                run._is_trial = True  # one of several: its failure is not that of the batch
                run._fail(None, reason=f"the {run.state} stage did not reach its end", interrupted=True)

    def end_of_process(self) -> None:
        """Close what is still open at exit, as failed if an exception ended the process."""
        if os.getpid() != self._owner_pid:
            return
        is_open = self.state in ("training", "testing")
        if (self._options.batch is not None or self._batch.is_closed) and not is_open:
            return  # its reporter closes itself, or is closed and sends by itself what came later
        self._load_sidecar(None)
        error = last_error()
        is_news = error is not None and error is not self._seen_error
        is_script = not hasattr(sys, "ps1")  # at a prompt, an error after training may be a typing error
        self.close(error if is_news and (is_open or is_script) else None)

    def _warn_untested(self) -> None:
        """Say of a job that began after the end of its batch what else that end would have said."""
        if self._job is not None and self._reports:
            logger.warning(
                "argus: job %s was trained but never tested, so it is not ranked. %s",
                self.job_id,
                _HOW_TO_TEST[self._framework],
            )

    def _close_implicit_batch(self, error: BaseException | None) -> None:
        """End the batch exactly once, unless somebody else owns it or it was never announced."""
        reporter = self._reporter
        if reporter is None or not self._reports:
            return
        if self._options.batch is not None or self._batch.is_closed or os.getpid() != self._owner_pid:
            return
        self._batch.is_closed = True
        reporter.close(error)
        _open_runs.discard(self)
        _sidecar.delete(*self._sidecar_key)

    # --- jobs -----------------------------------------------------------------------------------

    @property
    def _reports(self) -> bool:
        return self.is_rank_zero and self._options.enabled is not False

    def is_job_of(self, model: object) -> bool:
        """Whether the current job is the one of this model."""
        return model is not None and self._model_ref() is model

    def _return_to_job_of(self, model: object, states: tuple[State, ...]) -> None:
        """Make the latest job of this model the current one again, if it stands in one of `states`."""
        if self.state == "training" or self.is_job_of(model):
            return
        for job in reversed(self._set_aside):
            if job["_model_ref"]() is model:
                if job["state"] in states:
                    self._set_aside.remove(job)
                    self._set_job_aside()
                    vars(self).update(job)
                return

    def _set_job_aside(self) -> None:
        """Keep the current job as long as its model lives: it may be tested after another has begun."""
        self._set_aside = [job for job in self._set_aside if job["_model_ref"]() is not None]
        if self.state != "idle" and isinstance(self._model_ref, weakref.ref):
            self._set_aside.append({name: getattr(self, name) for name in _OF_ONE_JOB})

    def _begin_job(self, model: object, describe: Describe) -> None:
        """Announce a new job. The first one has the id that was known from the beginning."""
        self._set_job_aside()
        if self._jobs_begun:
            self.job_id = self._next_job_id()
        self._jobs_begun += 1
        self._job = None
        self._model_ref = _reference(model)
        self._job_was_trained = False
        self._last_epoch = -1
        self._pending = None
        self._result = _Result()
        facts = self._merged(never_raise(describe)() or JobFacts())
        self.footprint = self._new_footprint(facts.seed)
        self._extra = {name: value for name, value in facts.extra.items() if name == "fast_dev_run"}
        self._announce(facts)

    def _next_job_id(self) -> str:
        options = self._options
        if options.job_id:
            return f"{options.job_id[:_LONGEST_STEM]}-{self._jobs_begun + 1}"
        return new_job_id(options.model, options.dataset, options.seed)

    def _announce(self, facts: JobFacts) -> None:
        if not self._reports:
            return
        self._batch_names_it = not self._batch.is_closed
        self._job = self._own_reporter().job(
            self.job_id,
            model=facts.model,
            dataset=facts.dataset,
            seed=facts.seed,
            epochs_total=facts.epochs_total,
            config=facts.config,
            tags=self._options.tags,
            framework=self._framework,
            **facts.extra,
        )
        self._job.how_to_test = _HOW_TO_TEST[self._framework]
        self._save_sidecar()
        if os.getpid() == self._owner_pid:
            _open_runs.add(self)
            at_process_end(_close_open_runs)
            _watch_cells(self)

    def _merged(self, facts: JobFacts) -> JobFacts:
        options = self._options
        return replace(
            facts,
            model=options.model if options.model is not None else facts.model,
            dataset=options.dataset if options.dataset is not None else facts.dataset,
            seed=options.seed if options.seed is not None else facts.seed,
            config=_merged_config(facts.config, options.config),
        )

    @property
    def _reporter(self) -> Reporter | None:
        """The reporter of the batch; None before the first job, unless the user has given one."""
        return self._batch.reporter

    def _own_reporter(self) -> Reporter:
        if self._batch.reporter is None:
            options = self._options
            self._batch.reporter = Reporter(
                self._framework,
                project=options.project,
                batch_id=self.batch_id,
                url=options.url,
                token=options.token,
                enabled=options.enabled,
                flush_timeout_s=options.flush_timeout_s,
            )
            # A spawned child reports, but its parent closes.
            self._batch.reporter.owner_pid = self._owner_pid
        return self._batch.reporter

    def _new_footprint(self, seed: int | None) -> Footprint:
        return Footprint(
            seed=seed,
            latency_warmup=self._options.latency_warmup,
            sync_cuda="off" if self._framework == "keras" else self._options.sync_cuda,
            world_size=world_size(),
        )

    # --- other processes ------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        """Return the configuration without the token; a copy in another process starts idle."""
        return {
            "options": replace(self._options, token=None),
            "framework": self._framework,
            "batch_id": self.batch_id,
            "owner_pid": self._owner_pid,
            "job_id": self._first_job_id,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._options = state["options"]
        self._framework = state["framework"]
        self.batch_id = state["batch_id"]
        self._owner_pid = state["owner_pid"]
        self._first_job_id = state["job_id"]
        self._reset()

    def __deepcopy__(self, memo: dict[int, Any]) -> TrainingRun:
        """Return the run of another job with the same configuration, in the same batch."""
        twin = copy.copy(self)  # by way of __getstate__
        twin._options = self._options
        twin._batch = self._batch if os.getpid() == self._owner_pid else _Batch(self._options.batch)
        twin._owner_pid = os.getpid() if self._options.batch is None else self._owner_pid
        unique = new_job_id(self._options.job_id)
        twin._first_job_id = unique if self._options.job_id else self._next_job_id()
        twin.job_id = twin._first_job_id
        return twin

    @property
    def _sidecar_key(self) -> tuple[str, str, int]:
        return self.batch_id, self.job_id, self._owner_pid

    def _save_sidecar(self) -> None:
        """Leave the measurements for a test stage in another process, if this is not the one that began.

        Where they cannot be left, that process announces the job again and knows nothing of its training.
        """
        if os.getpid() == self._owner_pid or self._job is None or not self._reports:
            return
        measured = {
            "state": self.state,
            "footprint": self.footprint.state(),
            "elapsed_s": self._job.elapsed_s,
            "epochs": self._last_epoch + 1,
            "extra": self._extra,
            "result": vars(self._result),
        }
        try:
            _sidecar.save(*self._sidecar_key, measured)
        except OSError as error:
            if not self._warned_sidecar:
                self._warned_sidecar = True
                logger.warning(
                    "argus: what was measured of job %s stays in this process: %s. "
                    "Set TMPDIR to a directory that can be written.",
                    self.job_id,
                    error,
                )

    def _load_sidecar(self, describe: Describe | None) -> bool:
        """Take over a job that another process of this run announced; return whether there was one."""
        if self._job is not None or not self._reports:
            return False
        saved = _sidecar.load(*self._sidecar_key)
        if saved is None:
            return False
        reporter = self._own_reporter()
        self._job = _resumed_job(reporter, self.job_id, saved)
        facts = self._merged((never_raise(describe)() if describe else None) or JobFacts())
        self.footprint = self._new_footprint(facts.seed)
        self.footprint.restore(saved["footprint"])
        self._extra = saved["extra"]
        vars(self._result).update(saved["result"])
        self._job_was_trained = True
        self.state = saved["state"]
        return True


_OF_ONE_JOB = (
    "job_id",
    "state",
    "footprint",
    "_job",
    "_batch_names_it",
    "_model_ref",
    "_job_was_trained",
    "_last_epoch",
    "_result",
    "_extra",
)


def _resumed_job(reporter: Reporter, job_id: str, saved: Mapping[str, Any]) -> Job:
    """Return a job that another process has announced, without announcing it again."""
    job = reporter.resume_job(job_id, elapsed_s=saved["elapsed_s"], epochs=saved["epochs"])
    if saved["state"] in ("done", "failed"):
        job.status = saved["state"]
    return job


@dataclass(slots=True)
class _Batch:
    """The batch of a callback and of its deep copies: announced once, closed once."""

    reporter: Reporter | None = None
    is_closed: bool = False


class StageDidNotEnd(ArgusError):
    """The process or the user went on while a stage was still open; what ended it is not known."""


class _Result:
    """The metrics of all test stages of one job so far; a later stage wins."""

    def __init__(self) -> None:
        self.metrics: dict[str, Any] = {}
        self.raw: dict[str, Any] = {}
        self.dropped: list[str] = []

    def add(self, raw: Mapping[str, Any], prefix: str | None, suffix: str, metric_names: MetricNames) -> None:
        plain, unusable = jsonable(raw)
        stage = normalise_metrics(plain or {}, prefix=prefix, suffix=suffix, metric_names=metric_names)
        self.metrics.update(stage.metrics)
        self.raw.update(stage.raw)
        self.dropped += [name for name in (*stage.dropped, *unusable) if name not in self.dropped]


_HOW_TO_TEST = {
    "lightning": "Call `trainer.test(...)` with the same callback.",
    "transformers": "Call `trainer.evaluate(...)` or `trainer.predict(...)` after training.",
    "keras": "`model.evaluate()` needs `callbacks=[cb]`.",
    "accelerate": "Call `done({...})` of the `ArgusTracker` with the metrics of the test.",
    "sklearn": "`evaluate` needs to reach its end.",
}


def scalars(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of `data` that are numbers, as plain numbers (NaN as its wire string)."""
    plain, _ = jsonable(data)
    return {
        name: value
        for name, value in (plain or {}).items()
        if isinstance(value, (bool, int, float)) or value in ("NaN", "Infinity", "-Infinity")
    }


def _merged_config(known: Mapping[str, Any] | None, given: Any) -> Any:
    """Return the framework's configuration with the user's over it, or the only one there is."""
    if known is None or given is None:
        return known if given is None else given
    return {**known, **given} if isinstance(given, Mapping) else given


def _nothing() -> None:
    return None


def _reference(model: object) -> Callable[[], Any]:
    """Return a weak reference where the object allows one: a callback must not keep a model alive."""
    try:
        return weakref.ref(model)
    except TypeError:
        return lambda: model


# --- the end of the process, and of a notebook's cell -----------------------------------------

_known_runs: weakref.WeakSet[TrainingRun] = weakref.WeakSet()
_open_runs: set[TrainingRun] = set()


@never_raise
def _close_open_runs() -> None:
    has_crashed = last_error() is not None

    def is_blamed(run: TrainingRun) -> bool:
        return has_crashed and run.state in ("training", "testing")

    for run in sorted({*_open_runs, *_known_runs}, key=is_blamed, reverse=True):
        _close_at_exit(run)  # first the copies that the error ended: the others may end their batch


@never_raise
def _close_at_exit(run: TrainingRun) -> None:
    run.end_of_process()


def _watch_cells(run: TrainingRun) -> None:
    """In IPython, learn of an exception at the end of its cell: there is no process that ends."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None:
        return
    reference = weakref.ref(run)

    @never_raise
    def cell_ended(result: Any) -> None:
        watched = reference()
        error = getattr(result, "error_in_exec", None)
        if watched is None or watched.state not in ("training", "testing"):
            return
        if isinstance(error, BaseException):
            watched.fail(error)

    shell.events.register("post_run_cell", cell_ended)
