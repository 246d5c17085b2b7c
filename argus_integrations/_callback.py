"""What `ArgusCallback` is in every framework: one signature, one life, one way to be copied."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from types import TracebackType
from typing import Any, ClassVar, TypeVar

from argus_core.conventions import MetricNames
from argus_core.footprint import SyncCuda
from argus_core.guard import never_raise
from argus_core.reporter import Reporter
from argus_integrations._options import FinalStage, Options
from argus_integrations._training_run import TrainingRun

__all__ = ["CommonCallback"]

C = TypeVar("C", bound="CommonCallback")

_FRAMEWORKS_OWN = ("_model", "params", "validation_data")


class CommonCallback:
    """The part of `ArgusCallback` that no framework sees. Subclasses translate hooks into `_argus_run`.

    Pickles as configuration, without the token: the copy in another process is the same job. A deep
    copy is another job of the same batch.
    """

    _argus_framework: ClassVar[str]
    _argus_run_class: ClassVar[type[TrainingRun]] = TrainingRun
    _argus_run: TrainingRun

    def __init__(
        self,
        *,
        project: str | None = None,
        model: str | None = None,
        dataset: str | None = None,
        seed: int | None = None,
        batch: Reporter | None = None,
        job_id: str | None = None,
        tags: Any = None,
        config: Mapping[str, Any] | None = None,
        metric_names: MetricNames = None,
        final_stage: FinalStage = "auto",
        footprint: bool = True,
        latency_warmup: int = 1,
        sync_cuda: SyncCuda = "events",
        url: str | None = None,
        token: str | None = None,
        flush_timeout_s: float = 5.0,
        enabled: bool | None = None,
    ) -> None:
        """Fix the identity of the job; no network, thread or file.

        Args:
            project: the leaderboard; default `ARGUS_PROJECT`.
            model: the row; default what the framework's model is called.
            dataset: the column of the matrix; default what the framework's data set is called.
            seed: default the seed that was set, where it can be known.
            batch: a `Reporter` that several jobs share; default a batch of this callback's own.
            job_id: default a new one.
            tags: free labels.
            config: hyperparameters, a free mapping.
            metric_names: your own names, as a mapping, as a function, or "raw" for no renaming.
            final_stage: which stage after training gives the result (Transformers): "evaluate",
                "predict", or "auto" for both.
            footprint: whether time, memory and utilisation become columns.
            latency_warmup: first test batches left out of the latency percentiles, given 10 or more.
            sync_cuda: how test batches are timed on CUDA: "events", "sync" or "off".
            url: the server; default `ARGUS_URL`.
            token: default `ARGUS_TOKEN`; never pickled, copied into checkpoints or shown.
            flush_timeout_s: the longest that the end of the batch waits for the server, in seconds, and
                the end of a stage in a child process, which may end without `atexit`.
            enabled: False does nothing at all; default the opposite of `ARGUS_DISABLE`.

        Raises:
            TypeError: an argument is of a wrong kind. The message names it and its value.
            ValueError: it is none of the values that it may have.
        """
        super().__init__()
        options = Options(
            project=project,
            model=model,
            dataset=dataset,
            seed=seed,
            batch=batch,
            job_id=job_id,
            tags=tags,
            config=config,
            metric_names=metric_names,
            final_stage=final_stage,
            footprint=footprint,
            latency_warmup=latency_warmup,
            sync_cuda=sync_cuda,
            url=url,
            token=token,
            flush_timeout_s=flush_timeout_s,
            enabled=enabled,
        )
        self._argus_adopt(self._argus_run_class(options, self._argus_framework), options)

    def _argus_adopt(self, run: TrainingRun, options: Options) -> None:
        """Stand as a new callback that drives `run`; a framework's module adds its own fields."""
        self._argus_run = run
        self._argus_options = options

    @property
    def job_id(self) -> str:
        """The id of the current job, known before training begins."""
        return self._argus_run.job_id

    @property
    def batch_id(self) -> str:
        """The id of the batch that all jobs of this callback belong to."""
        return self._argus_run.batch_id

    def flush(self, timeout_s: float | None = None) -> bool:
        """Wait until the server has everything, at most `timeout_s` (default `flush_timeout_s`)."""
        return bool(_flush(self._argus_run, timeout_s))

    def close(self, exc: BaseException | None = None) -> None:
        """End the batch if it is this callback's own; `exc` fails a job that has no result yet."""
        _close(self._argus_run, exc)

    def __enter__(self: C) -> C:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self.close(error)
        else:
            self.flush()  # the test stage may follow

    def __repr__(self) -> str:
        return f"ArgusCallback(job_id={self.job_id!r}, batch_id={self.batch_id!r})"

    # --- copies ---------------------------------------------------------------------------------

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self._argus_class(), self._argus_run, self._argus_extras())

    def __deepcopy__(self, memo: dict[int, Any]) -> CommonCallback:
        twin = copy.deepcopy(self._argus_run, memo)
        return _restore(self._argus_class(), twin, copy.deepcopy(self._argus_extras(), memo))

    @classmethod
    def _argus_class(cls) -> type[CommonCallback]:
        """Return the class as its module knows it."""
        return cls

    def _argus_extras(self) -> dict[str, Any]:
        """Return what a user's subclass has added."""
        return {
            name: value
            for name, value in vars(self).items()
            if not name.startswith("_argus") and name not in _FRAMEWORKS_OWN
        }


def _restore(cls: type[CommonCallback], run: TrainingRun, extras: dict[str, Any]) -> CommonCallback:
    callback = cls.__new__(cls)
    super(CommonCallback, callback).__init__()
    callback._argus_adopt(run, run.options)
    vars(callback).update(extras)
    return callback


@never_raise
def _flush(run: TrainingRun, timeout_s: float | None) -> bool:
    return run.flush(timeout_s)


@never_raise
def _close(run: TrainingRun, error: BaseException | None) -> None:
    run.close(error)
