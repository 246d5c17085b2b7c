"""What the user passes to an integration, checked when it is passed: later nobody could answer for it."""

from __future__ import annotations

import dataclasses
import operator
from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any, Literal, get_args

from argus_core.arguments import seconds, switch, wrong_kind
from argus_core.conventions import MetricNames
from argus_core.footprint import SyncCuda
from argus_core.reporter import Reporter

__all__ = ["FinalStage", "Options"]

FinalStage = Literal["auto", "evaluate", "predict"]

_MAX_JOB_ID = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the user passed to `ArgusCallback`; see the README of this package.

    Numbers that stand for names (`job_id=trial.number`) are their texts, and a `config` that is an
    `argparse.Namespace` or a dataclass is the mapping of its fields.

    Raises:
        TypeError: an argument is of a wrong kind. The message names it and its value.
        ValueError: it is none of the values that it may have.
    """

    project: str | None = None
    model: str | None = None
    dataset: str | None = None
    seed: int | None = None
    batch: Reporter | None = None
    job_id: str | None = None
    tags: Any = None
    config: Mapping[str, Any] | None = None
    metric_names: MetricNames = None
    final_stage: FinalStage = "auto"
    footprint: bool = True
    latency_warmup: int = 1
    sync_cuda: SyncCuda = "events"
    url: str | None = field(default=None, repr=False)  # may hold a password
    token: str | None = field(default=None, repr=False)
    flush_timeout_s: float = 5.0
    enabled: bool | None = None

    def __post_init__(self) -> None:
        for name, check in _CHECKS.items():
            object.__setattr__(self, name, check(name, getattr(self, name)))


def _name(argument: str, value: Any) -> str | None:
    if isinstance(value, Integral) and not isinstance(value, bool):
        return str(int(value))
    if value is not None and not isinstance(value, str):
        raise wrong_kind(argument, "a name", value)
    return value


def _job_id(argument: str, value: Any) -> str | None:
    name = _name(argument, value)
    if name is not None and len(name) > _MAX_JOB_ID:
        raise ValueError(f"{argument} has at most {_MAX_JOB_ID} characters, got {len(name)}: {name:.40}…")
    return name


def _text(argument: str, value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{argument} is a text, got one of type {type(value).__name__}")  # maybe a secret
    return value


def _seed(argument: str, value: Any) -> int | None:
    if value is None:
        return None
    try:
        return int(value) if isinstance(value, str) else operator.index(value)  # "3" of a shell is a seed
    except (TypeError, ValueError):
        raise wrong_kind(argument, "an integer", value) from None


def _reporter(argument: str, value: Any) -> Reporter | None:
    if value is not None and not isinstance(value, Reporter):
        hint = "; ARGUS_BATCH_ID or Reporter(batch_id=...) names one" if isinstance(value, str) else ""
        raise TypeError(f"{argument} is an argus_core.Reporter, got {value!r:.100}{hint}")
    return value


def _config(argument: str, value: Any) -> Mapping[str, Any] | None:
    if isinstance(value, Namespace):
        return vars(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {part.name: getattr(value, part.name, None) for part in dataclasses.fields(value)}
    if value is not None and not isinstance(value, Mapping):
        raise wrong_kind(argument, "a mapping of hyperparameters", value)
    return value


def _metric_names(argument: str, value: Any) -> MetricNames:
    wanted = 'a mapping of raw names to columns, a function, or "raw"'
    if isinstance(value, str) and value != "raw":
        raise ValueError(f"{argument} is {wanted}, got {value!r:.100}")
    if isinstance(value, Mapping):
        odd = next((name for name in value.values() if name is not None and not isinstance(name, str)), None)
        if odd is not None:
            raise wrong_kind(f"a column in {argument}", "a text", odd)
    elif value is not None and not isinstance(value, str) and not callable(value):
        raise wrong_kind(argument, wanted, value)
    checked: MetricNames = value
    return checked


def _switch_or_none(argument: str, value: Any) -> bool | None:
    return None if value is None else switch(argument, value)


def _count(argument: str, value: Any) -> int:
    if not isinstance(value, Integral):
        raise wrong_kind(argument, "an integer", value)
    if value < 0:
        raise ValueError(f"{argument} is 0 or more, got {value!r}")
    return int(value)


def _one_of(choices: tuple[str, ...]) -> Callable[[str, Any], Any]:
    def check(argument: str, value: Any) -> Any:
        if not isinstance(value, str) or value not in choices:
            wanted = ", ".join(f'"{choice}"' for choice in choices)
            raise ValueError(f"{argument} is one of {wanted}, got {value!r:.100}")
        return value

    return check


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "project": _name,
    "model": _name,
    "dataset": _name,
    "seed": _seed,
    "batch": _reporter,
    "job_id": _job_id,
    "config": _config,
    "metric_names": _metric_names,
    "final_stage": _one_of(get_args(FinalStage)),
    "footprint": switch,
    "latency_warmup": _count,
    "sync_cuda": _one_of(get_args(SyncCuda)),
    "url": _text,
    "token": _text,
    "flush_timeout_s": seconds,
    "enabled": _switch_or_none,
}
