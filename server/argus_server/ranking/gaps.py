"""Why a model has no value on a dataset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec

__all__ = ["Gap", "GapKind", "Unfinished"]

GapKind = Literal[
    "never", "failed", "interrupted", "running", "stalled", "untested", "diverged", "no metric", "no model"
]


@dataclass(frozen=True, slots=True)
class Unfinished:
    """The latest job of a cell (model × dataset) that is not done.

    Attributes:
        status: see `STATUSES` of the storage.
        reason: why it failed.
        eta_s: between how many and how many seconds it will still take.
        another_runs: whether an earlier one of the cell still runs.
    """

    batch_id: str
    job_id: str
    status: str
    interrupted: bool = False
    reason: str | None = None
    eta_s: tuple[float, float] | None = None
    another_runs: bool = False

    @property
    def is_open(self) -> bool:
        """Whether a job is on its way to bring a value."""
        return self.status == "running" or self.another_runs


class Gap(msgspec.Struct, frozen=True):
    """A dataset on which a model has no value.

    Attributes:
        kind: `no metric`: a job is done without it, or with something that is no number. `no model`: jobs
            are done, and do not say of which model.
        job: the (batch_id, job_id) of the job that says so, if there is one.
        detail: in what words it failed, or how many seeds diverged.
        eta_s: between how many and how many seconds the result will still take.
    """

    dataset: str
    kind: GapKind
    job: tuple[str, str] | None = None
    detail: str = ""
    eta_s: tuple[float, float] | None = None

    @property
    def text(self) -> str:
        """What is the matter, in a few words."""
        words = {
            "never": "no job yet",
            "failed": "last job failed",
            "interrupted": "last job was interrupted",
            "running": "running",
            "stalled": "stalled",
            "untested": "never tested",
            "diverged": "diverged",
            "no metric": "done without this metric",
            "no model": "done by jobs that name no model",
        }[self.kind]
        return f"{words} ({self.detail})" if self.detail else words
