"""Metric names: what is known about a name, and how a framework's name becomes a column's.

Names are never validated. A convention is a unit, a direction and a role that hold for a name
unless the project or the job says otherwise; a name without one is `UNKNOWN` and stays unranked.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = [
    "CONVENTIONS",
    "RUNTIME_NOISE",
    "UNKNOWN",
    "Convention",
    "Direction",
    "MetricNames",
    "NormalisedMetrics",
    "Role",
    "convention",
    "normalise_metrics",
    "normalise_name",
]

logger = logging.getLogger(__name__)

Direction = Literal["lower", "higher", "unknown"]
Role = Literal["quality", "cost", "info", "hidden"]
MetricNames = Mapping[str, str] | Callable[[str], str | None] | Literal["raw"] | None
"""How a user names metrics: a mapping raw → column, a function (None keeps our choice), or "raw"."""


@dataclass(frozen=True, slots=True)
class Convention:
    """What a metric name means.

    Attributes:
        unit: `s`, `/s`, `MB`, `%`, `count`, or empty for a pure number.
        direction: which values are better; `unknown` is a state, never a guess.
        role: `quality` and `cost` are ranked; `info` and `hidden` are not.
    """

    unit: str
    direction: Direction
    role: Role


UNKNOWN = Convention("", "unknown", "quality")


def _table() -> dict[str, Convention]:
    groups: list[tuple[str, str, Direction, Role]] = [
        ("MSE MAE RMSE sMAPE MAPE MASE RAE MSPE", "", "lower", "quality"),
        ("R2 PCC", "", "higher", "quality"),
        ("accuracy balanced_accuracy precision recall auroc", "", "higher", "quality"),
        ("f1 f1_macro f1_micro f1_weighted", "", "higher", "quality"),
        ("bleu rouge1 rouge2 rougeL mAP mIoU", "", "higher", "quality"),
        ("loss perplexity wer cer", "", "lower", "quality"),
        ("Latency_P50 Latency_P95 Latency_P99", "s", "lower", "cost"),
        ("Inference_Time_Per_Sample Total_Inference_Time", "s", "lower", "cost"),
        ("Inference_Throughput Samples_Per_Second", "/s", "higher", "cost"),
        ("GPU_Memory GPU_Memory_Peak CPU_Memory Model_Size", "MB", "lower", "cost"),
        ("GPU_Utilization CPU_Utilization", "%", "unknown", "info"),
        ("Total_Train_Time Avg_Epoch_Time Avg_Batch_Time", "s", "lower", "cost"),
        ("Model_Params", "count", "lower", "cost"),
        ("Model_Params_Trainable Total_Batches epochs", "count", "unknown", "info"),
        ("seed", "", "unknown", "info"),
    ]
    return {
        name: Convention(unit, direction, role)
        for names, unit, direction, role in groups
        for name in names.split()
    }


CONVENTIONS: dict[str, Convention] = _table()
"""The built-in table, by exact name."""

_SPELLING = {name.casefold(): name for name in CONVENTIONS}
_SYNONYMS = {
    "acc": "accuracy",
    "binary_accuracy": "accuracy",
    "sparse_categorical_accuracy": "accuracy",
    "multiclassaccuracy": "accuracy",
    "mean_squared_error": "MSE",
    "mean_absolute_error": "MAE",
    "root_mean_squared_error": "RMSE",
    "f1_score": "f1",
    "roc_auc": "auroc",
    "auc_roc": "auroc",
}


def convention(name: str) -> Convention:
    """Return what is known of a metric name, `UNKNOWN` if nothing.

    An evaluation suffix does not change the meaning: `accuracy@squad` and `mAP@0.5` are read as
    `accuracy` and `mAP`. Neither does the stage in front of a raw name: `val_loss` is a `loss`.
    """
    base = name.partition("@")[0]
    known = CONVENTIONS.get(base) or CONVENTIONS.get(_SPELLING.get(base.casefold(), ""))
    if known is not None:
        return known
    stripped = _STAGE.sub("", base, count=1)
    return CONVENTIONS.get(_SPELLING.get(stripped.casefold(), ""), UNKNOWN)


# --- from a framework's names to columns ------------------------------------------------------

_STAGE = re.compile(
    r"^(?P<stage>testing|test|evaluation|eval|validation|valid|val|predict)[_/.\-: ]+(?=.)", re.IGNORECASE
)
_PRECEDENCE = {"test": 0, "testing": 0, "predict": 1, "eval": 2, "evaluation": 2}
_PRECEDENCE |= {"val": 3, "valid": 3, "validation": 3, "": 4}
_LOADER = re.compile(r"/dataloader_idx_(\d+)$")
RUNTIME_NOISE = (
    "_runtime",
    "_samples_per_second",
    "_steps_per_second",
    "_model_preparation_time",
    "_jit_compilation_time",
)
"""How the names end by which the Trainer says how long an evaluation took: no metrics of a model."""

_MEMORY_NOISE = re.compile(r"_mem_(cpu|gpu)_(alloc|peaked)_delta$")


@dataclass(frozen=True, slots=True)
class NormalisedMetrics:
    """The metrics of one test stage.

    Attributes:
        metrics: column name → value, as `data.metrics` carries it.
        raw: the framework's own name → value, as `data.metrics_raw` carries it.
        dropped: raw names left out because their value is no scalar.
    """

    metrics: dict[str, Any] = field(default_factory=dict)
    raw: dict[str, Any] = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)


def normalise_metrics(
    raw: Mapping[str, Any],
    *,
    prefix: str | None = None,
    suffix: str = "",
    metric_names: MetricNames = None,
) -> NormalisedMetrics:
    """Give one quantity one column, whichever framework measured it.

    Args:
        raw: what the framework logged, already `jsonable`; nested mappings are flattened with `/`.
        prefix: the prefix that is known to stand before every name (`eval`, from `eval_runtime`).
        suffix: the evaluation data set, appended as `@suffix`.
        metric_names: the user's own names; they win over every rule. "raw" turns the rules off.

    When two raw names ask for one column, test wins over predict, eval, val and no stage at all, in
    this order; the loser keeps its raw name, or, where that is the column, stays in `raw` alone.
    """
    result = NormalisedMetrics()
    wishes: list[tuple[int, str, str]] = []
    for name, value in _flatten(raw):
        if _is_noise(name, prefix):
            continue
        if not isinstance(value, (bool, int, float, str)):
            result.dropped.append(name)
            continue
        result.raw[name] = value
        column, precedence = _column(name, prefix, suffix, metric_names)
        wishes.append((precedence, name, column))
    columns: dict[str, str] = {}
    for _, name, column in sorted(wishes, key=lambda wish: wish[0]):
        free = next((wish for wish in (column, name) if wish not in columns), None)
        if free is not None:
            columns[free] = name
    names = {name: column for column, name in columns.items()}
    result.metrics.update((names[name], value) for name, value in result.raw.items() if name in names)
    return result


def normalise_name(name: str, *, prefix: str | None = None) -> str:
    """Return the column a raw metric name belongs to; pure, no other names considered."""
    return _column(name, prefix, "", None)[0]


def _column(name: str, prefix: str | None, suffix: str, metric_names: MetricNames) -> tuple[str, int]:
    """Return the column for a raw name, and its precedence when columns collide (low wins)."""
    chosen = _users_choice(name, metric_names)
    if chosen is not None:
        return chosen, -1
    loader = _LOADER.search(name)
    if loader:
        name, suffix = name[: loader.start()], loader[1]
    stage = ""
    if prefix is not None and name.startswith(prefix + "_") and len(name) > len(prefix) + 1:
        stage, name = prefix.partition("_")[0].casefold(), name[len(prefix) + 1 :]
    elif match := _STAGE.match(name):
        stage, name = match["stage"].casefold(), name[match.end() :]
    folded = name.casefold()
    column = _SYNONYMS.get(folded) or _SPELLING.get(folded) or name
    return (f"{column}@{suffix}" if suffix else column), _PRECEDENCE.get(stage, 4)


def _users_choice(name: str, metric_names: MetricNames) -> str | None:
    if metric_names is None:
        return None
    if metric_names == "raw":
        return name
    if isinstance(metric_names, Mapping):
        return metric_names.get(name)
    if callable(metric_names):
        try:
            return metric_names(name)
        except Exception:
            logger.warning("metric_names raised for %r; the usual rules apply to it", name, exc_info=True)
    return None


def _flatten(metrics: Mapping[str, Any], path: str = "") -> list[tuple[str, Any]]:
    flat: list[tuple[str, Any]] = []
    for key, value in metrics.items():
        name = f"{path}/{key}" if path else str(key)
        flat += _flatten(value, name) if isinstance(value, Mapping) else [(name, value)]
    return flat


def _is_noise(name: str, prefix: str | None) -> bool:
    """Whether a name is the framework's bookkeeping rather than a metric."""
    if name == "epoch" or name.endswith("_step"):
        return True
    if prefix is None:
        return False
    bare = name.removeprefix(prefix)
    return bare in RUNTIME_NOISE or bool(_MEMORY_NOISE.search(bare))
