"""What a training loop talks to.

::

    with Reporter("sweep", project="leaderboard-demo", n_total=2) as reporter:
        with reporter.job("j1", model="patchtst", dataset="etth1", seed=0) as job:
            for epoch in range(10):
                job.epoch(epoch, train_loss=..., val_loss=...)
            job.done({"MSE": 0.38})

No method raises an error of ours, waits for the network, or keeps the loop for longer than one
write to disk; what the `with` body raises is reported and goes on.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from numbers import Real
from types import TracebackType
from typing import Any, Literal

import msgspec

from argus_core import plugins
from argus_core.arguments import seconds, sensible, switch, wrong_kind
from argus_core.conventions import CONVENTIONS
from argus_core.delivery import Delivery
from argus_core.distributed import rank_from_environment
from argus_core.errors import SettingsError
from argus_core.events import Event, Source, encode_event, new_event_id, number_or_none, repair_data
from argus_core.guard import never_raise, swallowed
from argus_core.identity import new_batch_id, new_job_id
from argus_core.journal import Journal
from argus_core.jsonable import clean_text, jsonable
from argus_core.process_end import at_process_end, catch_termination, last_error, release_termination
from argus_core.settings import Settings, read_switch
from argus_core.sinks import SinkThread
from argus_core.transport import Transport, transport_for
from argus_core.words import plural

__all__ = ["Job", "JobStatus", "Reporter"]

logger = logging.getLogger(__name__)

JobStatus = Literal["running", "done", "failed", "interrupted"]

_CURVES_AND_LOGS = frozenset({"job_epoch", "resource_snapshot", "log_line"})
_MAX_NAMED = 10
_MOST_UNRANKED = 3
_MAX_PROJECT = 256
_MAX_BATCH_ID = 128
_MAX_JOB_ID = 256
_FLUSH_TIMEOUT_S = 5.0


class Reporter:
    """Emits the events of one batch, from any thread of the process and of its forks.

    Made without touching network, thread or file; the first job announces the batch. As a context
    manager it closes the batch, with the exception if there was one, which goes on.

    Attributes:
        batch_id: the argument, else `ARGUS_BATCH_ID`, else new.
        project: the argument, else `ARGUS_PROJECT`, else "default".
        owner_pid: the process that made it, the only one that closes the batch.
        enabled: False under `ARGUS_DISABLE=1`: then every method returns at once.
    """

    def __init__(
        self,
        name: str = "run",
        *,
        project: str | None = None,
        n_total: int | None = None,
        batch_id: str | None = None,
        experiment_type: str | None = None,
        command: str | None = None,
        url: str | None = None,
        token: str | None = None,
        transport: Transport | None = None,
        dry_run: bool | None = None,
        enabled: bool | None = None,
        flush_timeout_s: float = _FLUSH_TIMEOUT_S,
    ) -> None:
        """Read the settings. An argument that makes no sense is an error in the log and counts as not given.

        A switch (`dry_run`, `enabled`) may be a text of an environment variable: "1", "0", "true", "false".

        Args:
            name: what people call the batch; a new batch id begins with it.
            project: the leaderboard these jobs belong to.
            n_total: how many jobs there will be, if known.
            batch_id: joins a batch that exists, or names this one.
            experiment_type: a free label of the batch.
            command: shown as the command; default: this process's command line.
            url: the server; default `ARGUS_URL`; without one the journal waits for `argus sync`.
            token: default `ARGUS_TOKEN`.
            transport: where to send instead of `url`, for tests and other servers.
            dry_run: print the events, store and send nothing; default `ARGUS_DRY_RUN`.
            enabled: False does nothing at all; default the opposite of `ARGUS_DISABLE`.
            flush_timeout_s: the bound in seconds for `close` and the end of the process.
        """
        settings = _settings()
        self.name = _text(name)
        self.project = (_given(project) or clean_text(settings.project))[:_MAX_PROJECT]
        known_id = _given(batch_id) or settings.batch_id or new_batch_id(self.name)
        self.batch_id = _text(known_id)[:_MAX_BATCH_ID]
        self.owner_pid = os.getpid()
        self.enabled = _switch("enabled", enabled, not settings.disabled)
        self.flush_timeout_s = sensible(seconds, "flush_timeout_s", flush_timeout_s, _FLUSH_TIMEOUT_S)
        self._n_total = n_total
        self._experiment_type = experiment_type
        self._command = command
        self._url = _given(url) or settings.url
        self._token = token if _given(token) else settings.token  # not its text: what is no token is said
        self._transport = sensible(_transport, "transport", transport, None)
        self._dry_run = _switch("dry_run", dry_run, settings.dry_run)
        self._directory = settings.journal_directory
        self._delivery: Delivery | None = None
        self._source: Source | None = None
        self._sinks: tuple[int, list[SinkThread]] | None = None
        self._jobs: dict[str, Job] = {}
        self._lock = threading.RLock()
        self._started_s: float | None = None
        self._is_closed = False
        self._warned_keys: set[str] = set()
        self._before_close: list[Callable[[BaseException | None], object]] = []
        self._error_before = id(last_error())
        _all_reporters.add(self)

    def __repr__(self) -> str:
        return f"Reporter(project={self.project!r}, batch_id={self.batch_id!r})"

    # --- the batch ----------------------------------------------------------------------------

    @never_raise
    def start(self) -> None:
        """Announce the batch, once; the first job does it too."""
        with self._lock:
            if self._started_s is not None or self._is_closed:
                return
            self._started_s = time.monotonic()
        self._emit(
            "batch_start",
            None,
            {
                "name": self.name,
                "experiment_type": self._experiment_type,
                "n_total_jobs": self._n_total,
                "command": self._command,
            },
        )

    def job(
        self,
        job_id: str | None = None,
        *,
        model: str | None = None,
        dataset: str | None = None,
        seed: int | None = None,
        epochs_total: int | None = None,
        config: Mapping[str, Any] | None = None,
        tags: Any = None,
        **extra: Any,
    ) -> Job:
        """Announce one training run and return it.

        Args:
            job_id: unique in the batch; the id of an earlier run resumes it. Default: a new one.
            model: the row of the leaderboard.
            dataset: the column of the matrix.
            seed: what distinguishes repetitions of (model, dataset).
            epochs_total: how many epochs there will be, if known; gives the ETA.
            config: hyperparameters, a free mapping.
            tags: free labels.
            **extra: any other fact about the run, kept as sent.
        """
        known = _text(job_id) if job_id is not None else ""
        job = Job(self, (known or new_job_id(*map(_text_or_none, (model, dataset, seed))))[:_MAX_JOB_ID])
        self.start()
        with self._lock:
            self._jobs[job.job_id] = job
        facts = {"model": model, "dataset": dataset, "seed": seed, "epochs_total": epochs_total}
        job._start({**facts, "config": config, "tags": tags, **extra})
        return job

    def resume_job(self, job_id: str, *, elapsed_s: float = 0.0, epochs: int = 0) -> Job:
        """Return a job that another process has announced, to go on reporting it. Emits nothing.

        The batch counts as announced too.

        Args:
            job_id: as the other process reported it.
            elapsed_s: seconds it has taken so far.
            epochs: how many epochs it has reported.
        """
        job = Job(self, job_id)
        job._started_s -= elapsed_s
        job._epochs.update(range(epochs))
        with self._lock:
            if self._started_s is None:
                self._started_s = job._started_s
            self._jobs[job.job_id] = job
        return job

    @never_raise
    def resource_snapshot(self, **measurements: float) -> None:
        """Report the load of this host: `cpu_util_pct`, `ram_mb`, `gpu_util_pct`, `gpu_mem_mb`."""
        self.start()
        self._emit("resource_snapshot", None, measurements)

    def flush(self, timeout_s: float | None = None) -> bool:
        """Wait until the server has everything, at most `timeout_s`; return whether it has."""
        delivery = self._delivery
        if delivery is None or delivery.pid != os.getpid():
            return True
        return delivery.flush(self._bound(timeout_s))

    @never_raise
    def close(self, error: BaseException | None = None, *, timeout_s: float | None = None) -> None:
        """End the batch, with `batch_failed` if there is an error, and send what is left.

        Once, and only in the process that made the reporter: elsewhere it only flushes. Returns
        after `timeout_s` seconds (default `flush_timeout_s`) at the latest; what could not be sent
        stays in the journal, and one line says how to send it.
        """
        timeout_s = self._bound(timeout_s)
        with self._lock:
            is_first = not self._is_closed
            self._is_closed = True
        try:
            if is_first and os.getpid() == self.owner_pid:
                self._call_before_close(error)
                if self._started_s is not None:
                    self._emit_end(error, time.monotonic() - self._started_s)
        finally:
            self._close_delivery(timeout_s)

    def _bound(self, timeout_s: float | None) -> float:
        """Return how long a call may wait."""
        own = self.flush_timeout_s
        return own if timeout_s is None else sensible(_time_left, "timeout_s", timeout_s, own)

    def before_close(self, function: Callable[[BaseException | None], object]) -> None:
        """Have `function` called when the batch is about to end, in the process that ends it; it may report.

        Called once, in the thread that closes, with what `close` was given; what it raises is logged.
        """
        self._before_close.append(function)

    def _call_before_close(self, error: BaseException | None) -> None:
        functions, self._before_close = self._before_close, []
        for function in functions:
            try:
                function(error)
            except Exception as raised:  # noqa: BLE001 - the batch ends all the same
                swallowed(raised, "Reporter.before_close")

    def _close_delivery(self, timeout_s: float) -> None:
        """Send what is left, and say what could not be sent."""
        deadline = time.monotonic() + timeout_s
        with self._lock:
            delivery, self._delivery = self._delivery, None
        _open_reporters.discard(self)
        if not _open_reporters:
            release_termination()
        if delivery is not None and delivery.pid == os.getpid():
            if not delivery.close(timeout_s):
                self._say_how_to_sync(delivery.journal)
            self._say_what_is_unranked(delivery.unranked)
        self._close_sinks(deadline)

    def _close_sinks(self, deadline: float) -> None:
        sinks, self._sinks = self._sinks, None
        if sinks is not None and sinks[0] == os.getpid():
            for sink in sinks[1]:
                sink.close(max(0.1, deadline - time.monotonic()))

    def _emit_end(self, error: BaseException | None, elapsed_s: float) -> None:
        if not self.enabled:
            return
        jobs = list(self._jobs.values())
        if error is not None:
            for job in jobs:
                if job.status == "running":
                    job.failed(error)
            facts = {"reason": reason_of(error), "total_elapsed_s": elapsed_s, "untested": []}
            self._emit("batch_failed", None, facts)
            return
        untested = [job for job in jobs if job.status == "running"]
        names = [job.job_id for job in untested]
        data: dict[str, Any] = {
            "n_done": sum(job.status == "done" for job in jobs),
            "n_failed": sum(job.status in ("failed", "interrupted") for job in jobs),
            "total_elapsed_s": elapsed_s,
            "untested": names,  # also if there are none: other processes may have jobs in this batch
        }
        if untested:
            data["status"] = "incomplete"
            logger.warning(
                "argus: %d of %s ended without test metrics, so without a rank: %s. %s",
                len(untested),
                plural(len(jobs), "job"),
                ", ".join(names[:3]) + (", …" if len(names) > 3 else ""),
                untested[0].how_to_test,
            )
        self._emit("batch_done", None, data)

    def _say_how_to_sync(self, journal: Journal) -> None:
        if journal.at_risk + journal.lost:
            logger.warning(
                "argus: lost, because only in memory: %s", plural(journal.at_risk + journal.lost, "event")
            )
        if journal.left_out:
            logger.warning("argus: left out of the full journal: %s", plural(journal.left_out, "event"))
        waiting = journal.pending - journal.at_risk
        if waiting and journal.path is not None:
            where = self._url if self._url and "://" in self._url else "http://HOST:8421"
            logger.warning(
                "argus: kept in %s: %s; to send: argus sync --url %s",
                journal.path,
                plural(waiting, "event"),
                where,
            )

    def _say_what_is_unranked(self, reasons: Mapping[str, str]) -> None:
        """Say, in one line, what the server told on the way of jobs that will have no rank."""
        if reasons:
            some = [f"{job_id}: {reason}" for job_id, reason in list(reasons.items())[:_MOST_UNRANKED]]
            more = f" And {len(reasons) - len(some)} more." if len(reasons) > len(some) else ""
            count = "1 job has" if len(reasons) == 1 else f"{len(reasons)} jobs have"
            logger.warning("argus: %s no rank on the leaderboard. %s%s", count, " ".join(some), more)

    def __enter__(self) -> Reporter:
        """Announce the batch; of a process that is not rank zero only if it makes a job."""
        if rank_from_environment() in (None, 0):
            self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close(error)

    # --- emitting -----------------------------------------------------------------------------

    def _emit(self, event_type: Any, job_id: str | None, data: Mapping[str, Any]) -> None:
        """Put one event on its way. Any thread; returns when it is in the journal."""
        if not self.enabled:
            return
        event = Event(
            event_id=new_event_id(),
            event_type=event_type,
            timestamp=datetime.now(timezone.utc),
            batch_id=self.batch_id,
            job_id=job_id,
            source=self._own_source(),
            data=self._checked(event_type, data),
        )
        changed = plugins.modify(event)
        if changed is None:
            return
        if changed is not event:
            event = msgspec.structs.replace(changed, data=self._checked(event_type, changed.data))
        if plugins.implements("argus_event"):
            plugins.call_each("argus_event", event=event)
        for sink in self._own_sinks():
            sink.put(event)
        line = encode_event(event)
        if self._dry_run:
            sys.stdout.write(line.decode() + "\n")
            return
        self._own_delivery().put(line, makes_row=event_type not in _CURVES_AND_LOGS)

    def _checked(self, event_type: str, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return `data` as JSON and the schema take it; what had to go is said once."""
        cleaned, dropped = jsonable(data)
        known = {key: value for key, value in cleaned.items() if value is not None}
        repaired, wrong = repair_data(event_type, known)
        if dropped or wrong:
            self._warn_dropped(event_type, dropped + wrong)
        if event_type == "job_done":
            self._warn_unrankable(repaired.get("metrics", {}))
        return repaired

    def _own_source(self) -> Source:
        if self._source is None:
            given = {"command": self._command} if self._command else {}
            known = plugins.merge("argus_describe_source", given)
            fields = ("host", "user", "commit", "command")
            texts = {name: jsonable(str(known[name]))[0] for name in fields if known.get(name)}
            self._source = Source(project=self.project, **texts)
        return self._source

    def _own_sinks(self) -> list[SinkThread]:
        """Return this process's sinks, opened with its first event; a fork opens its own."""
        if self._sinks is None or self._sinks[0] != os.getpid():
            self._sinks = (os.getpid(), [])
            for sink in plugins.call_each("argus_open_sink", reporter=self):
                try:
                    self._sinks[1].append(SinkThread(sink))
                except Exception as error:  # noqa: BLE001 - a plugin's mistake is no reason to stop
                    swallowed(error, "argus_open_sink")
        return self._sinks[1]

    def _own_delivery(self) -> Delivery:
        """Return this process's delivery: a fork gets its own, its parent's locks may be held."""
        delivery = self._delivery
        if delivery is not None and delivery.pid == os.getpid():
            return delivery
        with self._lock:
            delivery = self._delivery
            if delivery is None or delivery.pid != os.getpid():
                delivery = self._delivery = self._make_delivery()
                _open_reporters.add(self)
                at_process_end(_close_at_exit, closes=True)
                catch_termination()
        return delivery

    def _make_delivery(self) -> Delivery:
        transport = self._transport
        if transport is None and self._url:
            try:
                transport = transport_for(self._url, self._token)
            except Exception as error:  # noqa: BLE001 - whatever it is, the journal is written
                logger.error("argus: %s; events are kept in the journal", error)  # noqa: TRY400
        journal = Journal(self._directory, url=self._url, project=self.project)
        return Delivery(journal, transport, directory=self._directory, url=self._url)

    def _warn_dropped(self, event_type: str, dropped: list[str]) -> None:
        new = [path for path in dropped if path not in self._warned_keys]
        self._warned_keys.update(new[:_MAX_NAMED])
        if new:
            more = f" and {len(new) - _MAX_NAMED} more" if len(new) > _MAX_NAMED else ""
            names = ", ".join(new[:_MAX_NAMED]) + more
            logger.warning("argus: left out of %s, because it cannot carry them: %s", event_type, names)

    def _warn_unrankable(self, metrics: Mapping[str, Any]) -> None:
        """Say, once a name, which metrics are no numbers: they are kept and shown, but never ranked."""
        odd = {
            name: value
            for name, value in metrics.items()
            if number_or_none(value) is None and not isinstance(value, dict) and name not in self._warned_keys
        }
        self._warned_keys.update(odd)
        if odd:
            shown = ", ".join(f"{name} = {value!r:.60}" for name, value in odd.items())
            logger.warning("argus: kept and shown, but never ranked, because they are no numbers: %s", shown)

    # A reporter may be in a pickled trainer (spawn): it then carries its identity, not its thread,
    # and never the token, which the child reads from its environment.

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        for name in ("_delivery", "_sinks", "_lock", "_transport", "_token", "_jobs", "_before_close"):
            state.pop(name)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._delivery = None
        self._sinks = None
        self._lock = threading.RLock()
        _all_reporters.add(self)
        self._transport = None
        self._token = _settings().token
        self._jobs = {}
        self._before_close = []


class Job:
    """One training run of (model, dataset, seed). Made by `Reporter.job`.

    As a context manager it reports an exception as `job_failed` and lets it go on.

    Attributes:
        job_id: unique within the batch.
        status: "running" until `done` or `failed`.
        how_to_test: what a person should do to get a result, said when the batch ends without one.
    """

    def __init__(self, reporter: Reporter, job_id: str) -> None:
        self.reporter = reporter
        self.job_id = job_id
        self.status: JobStatus = "running"
        self.how_to_test = "Call job.done({...}) with the metrics of the test stage."
        self._started_s = time.monotonic()
        self._epochs: set[int] = set()

    def __repr__(self) -> str:
        return f"Job({self.job_id!r}, {self.status})"

    @property
    def elapsed_s(self) -> float:
        """Seconds since the job was announced."""
        return time.monotonic() - self._started_s

    @never_raise
    def _start(self, facts: Mapping[str, Any]) -> None:
        known = {name: fact for name, fact in facts.items() if fact is not None}
        self.reporter._emit("job_start", self.job_id, self._with_plugins("argus_describe_job", known))

    def _with_plugins(self, hook: str, own: Mapping[str, Any]) -> Mapping[str, Any]:
        if not self.reporter.enabled or not plugins.implements(hook):
            return own
        return plugins.merge(hook, own, job=self)

    @never_raise
    def epoch(
        self,
        epoch: int,
        *,
        train_loss: float | None = None,
        val_loss: float | None = None,
        lr: float | None = None,
        batch_time_ms: float | None = None,
        **metrics: Any,
    ) -> None:
        """Report one epoch, counted from 0. An epoch reported again replaces the earlier report.

        Args:
            epoch: absolute, so that a resumed run continues the count.
            train_loss: mean over the epoch.
            val_loss: only if validation ran in this epoch.
            lr: learning rate at its end.
            batch_time_ms: mean milliseconds per mini-batch.
            **metrics: any other scalar, under its own name.
        """
        number = int(epoch)
        if number < 0:
            raise ValueError(f"epochs are counted from 0, got {epoch!r}")
        losses = {"train_loss": train_loss, "val_loss": val_loss, "lr": lr, "batch_time_ms": batch_time_ms}
        self._epochs.add(number)
        self.reporter._emit("job_epoch", self.job_id, {"epoch": number, **losses, **metrics})

    @never_raise
    def done(self, metrics: Mapping[str, Any], **extra: Any) -> None:
        """Report the metrics of the test stage: the row of the leaderboard.

        May be called again; the latest call is the row.

        Args:
            metrics: name → value; names are kept as they are.
            **extra: kept as sent beside it, `metrics_raw` and `resources` for example. What plugins know of
                a metric wins over `metric_conventions`.
        """
        if not isinstance(metrics, Mapping):
            raise TypeError(f"job.done takes a mapping of metric names to values, got {metrics!r:.200}")
        self.status = "done"
        if not self.reporter.enabled:
            return
        metrics = self._with_plugins("argus_collect_metrics", metrics)
        given = extra.pop("metric_conventions", None)
        declared = {**(given if isinstance(given, Mapping) else {}), **_declared_conventions(metrics)}
        facts = {
            "elapsed_s": self.elapsed_s,
            "train_epochs": len(self._epochs) or None,
            "metric_conventions": declared or None,
        }
        self.reporter._emit("job_done", self.job_id, {"metrics": metrics, **facts, **extra})

    @never_raise
    def failed(
        self,
        error: BaseException | None = None,
        *,
        reason: str | None = None,
        status: Literal["failed", "interrupted"] | None = None,
    ) -> None:
        """Report that the job ended without a result.

        Args:
            error: what ended it; gives the reason, and "interrupted" for Ctrl-C and the like.
            reason: in words, instead of those of `error`.
            status: instead of the one that follows from `error`.
        """
        was_interrupted = error is not None and not isinstance(error, Exception)
        self.status = status or ("interrupted" if was_interrupted else "failed")
        data: dict[str, Any] = {
            "reason": reason or (reason_of(error) if error is not None else "unknown"),
            "status": self.status,
            "elapsed_s": self.elapsed_s,
        }
        if error is not None:
            data["error"] = {"type": type(error).__name__, "message": str(error)}
        self.reporter._emit("job_failed", self.job_id, data)

    @never_raise
    def log(self, line: str, level: str = "info") -> None:
        """Report one line of output."""
        self.reporter._emit("log_line", self.job_id, {"line": str(line), "level": level})

    def __enter__(self) -> Job:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None and self.status == "running":
            self.failed(error)


def _declared_conventions(metrics: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return what plugins know of the metrics that have no built-in convention."""
    if not plugins.implements("argus_metric_conventions"):
        return {}
    known = plugins.merge("argus_metric_conventions", CONVENTIONS)
    return {
        name: {"unit": known[name].unit, "direction": known[name].direction, "role": known[name].role}
        for name in metrics
        if name in known and name not in CONVENTIONS
    }


def reason_of(error: BaseException) -> str:
    """Return an exception as one line: "ValueError: boom"."""
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _settings() -> Settings:
    """Return the environment's settings; a switch that makes no sense is said and counts as off."""
    try:
        return Settings.from_environment()
    except SettingsError as error:
        logger.error("argus: %s", error)  # noqa: TRY400 - the user's mistake, no traceback of ours
        doubtful = ("ARGUS_DRY_RUN", "ARGUS_DISABLE", "ARGUS_HOME")
        return Settings.from_environment({k: v for k, v in os.environ.items() if k not in doubtful})


def _switch(argument: str, value: Any, otherwise: bool) -> bool:
    return otherwise if value is None else sensible(_on_or_off, argument, value, otherwise)


def _on_or_off(argument: str, value: Any) -> bool:
    """Return a switch, which may be a text out of an environment variable."""
    said = read_switch(value) if isinstance(value, str) else None
    return switch(argument, value) if said is None else said


def _time_left(argument: str, value: Any) -> float:
    """Return how long to wait at most: not at all below 0, which a deadline that has passed leaves."""
    return 0.0 if isinstance(value, Real) and value < 0 else seconds(argument, value)


def _transport(argument: str, value: Any) -> Transport | None:
    wanted = "an object with `send` and `close`"
    if isinstance(value, str):  # maybe with a password
        raise TypeError(f"{argument} is {wanted}, got a text; an address is `url`")
    can = all(callable(getattr(value, name, None)) for name in ("send", "close"))
    if value is not None and (isinstance(value, type) or not can):
        raise wrong_kind(argument, wanted, value)
    transport: Transport | None = value
    return transport


def _given(value: object) -> str:
    """Return an argument as text, empty if there is none; 0 is one, False is not."""
    return "" if value is None or value is False else _text(value)


def _text(value: object) -> str:
    """Return anything as text, whatever its `__str__` does."""
    try:
        return clean_text(str(value))
    except Exception as error:  # noqa: BLE001 - a foreign object may raise anything
        swallowed(error, f"{type(value).__name__}.__str__")
        return type(value).__name__


def _text_or_none(value: object) -> str | None:
    return None if value is None else _text(value)


# --- the end of the process ---------------------------------------------------------------------

_open_reporters: set[Reporter] = set()
"""Reporters with something to send; kept alive here, so that nothing is forgotten at the end."""

_all_reporters: weakref.WeakSet[Reporter] = weakref.WeakSet()


@never_raise
def _close_at_exit() -> None:
    """Close the batches that nobody closed, as failed if an exception ended the process.

    All of them together take no longer than the longest of their bounds.
    """
    reporters = list(_open_reporters)
    deadline = time.monotonic() + max((reporter.flush_timeout_s for reporter in reporters), default=0.0)
    for reporter in reporters:
        left_s = max(0.0, deadline - time.monotonic())
        timeout_s = min(reporter.flush_timeout_s, left_s)
        error = last_error()
        is_news = id(error) != reporter._error_before
        reporter.close(error if is_news else None, timeout_s=timeout_s)


def _after_fork() -> None:
    """Give the child locks that no thread of its parent holds, and nothing of its parent's to close."""
    _open_reporters.clear()
    for reporter in list(_all_reporters):
        reporter._lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
