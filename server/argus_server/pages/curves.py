"""What jobs reported at each epoch, as curves: which of them a page shows, and their data for programs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from litestar.datastructures import MultiDict

from argus_core.conventions import CONVENTIONS
from argus_core.events import number_or_none
from argus_server.errors import BadView
from argus_server.exports.text import iso_time
from argus_server.pages.charts import Axis, Chart, Line, curve_chart
from argus_server.ranking.values import flatten
from argus_server.storage.job import Epoch, JobDetail
from argus_server.urls import path_to

__all__ = ["CurveView", "Figure", "Series", "curve_names", "epochs_json", "figures", "series_of"]

_USUAL = ("train_loss", "val_loss")
_BOOKKEEPING = ("epoch",)
SLOTS = 8
"""How many colours and dashes there are."""


@dataclass(frozen=True, slots=True)
class CurveView:
    """What a URL asks of curves: `curve=` (several), `log=1`, `axis=time`. Without `curve`, the losses."""

    curves: tuple[str, ...] = ()
    log: bool = False
    axis: Axis = "epoch"

    @classmethod
    def parse(cls, query: MultiDict[Any]) -> CurveView:
        """Read the parameters of a URL.

        Raises:
            BadView: a parameter has a value that means nothing.
        """
        axis = query.get("axis") or "epoch"
        if axis not in ("epoch", "time"):
            raise BadView(f"axis={axis} is not an axis; there are epoch, time")
        curves = tuple(dict.fromkeys(name for name in query.getall("curve", []) if name))
        return cls(curves, query.get("log", "") not in ("", "0"), cast(Axis, axis))

    def query(self, **changes: Any) -> list[tuple[str, str]]:
        """Return the parameters of this view with `changes`, defaults left out."""
        view = replace(self, **changes)
        pairs = [("curve", name) for name in view.curves]
        pairs += [("log", "1")] if view.log else []
        return pairs + ([("axis", view.axis)] if view.axis != "epoch" else [])


@dataclass(frozen=True, slots=True)
class Series:
    """A job whose curves are drawn.

    Attributes:
        name: what the legend calls it.
        source: where its data are, as JSON.
        slot: its colour and dash where each line is a job; 0 for the grey ones behind.
        start_us: where its time axis begins.
    """

    name: str
    source: str
    slot: int
    start_us: int
    epochs: Sequence[Epoch]
    is_running: bool = False

    def points(self, key: str, axis: Axis) -> list[tuple[float, float | None]]:
        """Return one metric over epochs, or over seconds since the start."""
        points: list[tuple[float, float | None]] = []
        for item in self.epochs:
            raw = item.data.get(key)
            value = number_or_none(raw if raw is not None else flatten(item.data).get(key))
            if value is not None:
                x = float(item.epoch) if axis == "epoch" else (item.timestamp_us - self.start_us) / 1e6
                points.append((x, value if math.isfinite(value) else None))
        return points


@dataclass(frozen=True, slots=True)
class Figure:
    """One chart: the metrics that share an axis, drawn for whoever has no JavaScript.

    Attributes:
        title: what its values are.
        keys: the metrics.
        behind: the metric that the grey lines show.
        skipped: how many values are not finite.
    """

    title: str
    keys: Sequence[str]
    behind: str
    chart: Chart | None
    skipped: int


def series_of(project: str, job: JobDetail, slot: int, name: str) -> Series:
    """Return a job as a series."""
    summary = job.summary
    source = path_to("api", "projects", project, "jobs", summary.batch_id, summary.job_id, "epochs")
    is_running = summary.status in ("running", "stalled")
    return Series(name, source, slot, summary.first_event_us, job.epochs, is_running)


def curve_names(epochs: Iterable[Epoch]) -> list[str]:
    """Return every metric that an epoch has as a number: losses first, then as people know them."""
    found: dict[str, None] = {}
    for item in epochs:
        for key, value in flatten(item.data).items():
            if key not in found and key not in _BOOKKEEPING and number_or_none(value) is not None:
                found[key] = None
    places = {key: place for place, key in enumerate((*_USUAL, *CONVENTIONS))}
    return sorted(found, key=lambda key: (places.get(key, len(places)), not _is_loss(key), key))


def chosen(view: CurveView, names: Sequence[str]) -> list[str]:
    """Return the metrics to draw: those asked for, else the losses, else the first there is."""
    if view.curves:
        return [name for name in view.curves if name in names]
    usual = [name for name in _USUAL if name in names]
    return usual or [name for name in names if _is_loss(name)][:2] or list(names[:1])


def _is_loss(key: str) -> bool:
    return key == "loss" or key.endswith(("_loss", "/loss", ".loss"))


def figures(
    view: CurveView, names: Sequence[str], jobs: Sequence[Series], others: Sequence[Series] = ()
) -> list[Figure]:
    """Return the charts of some metrics.

    With one job the losses share a chart and each line is a metric; with several, each metric has a chart
    and each line is a job.
    """
    keys = chosen(view, names)
    if len(jobs) > 1:
        groups = [[key] for key in keys]
    else:
        losses = [key for key in keys if _is_loss(key)]
        groups = [losses] * bool(losses) + [[key] for key in keys if key not in losses]
    return [_figure(view, group, jobs, others) for group in groups]


def _figure(view: CurveView, keys: Sequence[str], jobs: Sequence[Series], others: Sequence[Series]) -> Figure:
    behind = next((key for key in keys if key.startswith("val")), keys[0])
    lines = [Line("", 0, other.points(behind, view.axis)) for other in others]
    for job in jobs:
        for number, key in enumerate(keys, 1):
            slot = job.slot if len(jobs) > 1 else _slot(key, number)
            lines.append(Line(job.name if len(jobs) > 1 else key, slot, job.points(key, view.axis)))
    chart = curve_chart(lines, axis=view.axis, log=view.log)
    gaps = sum(y is None for line in lines if line.slot for _, y in line.points)
    title = keys[0] if len(keys) == 1 else "loss"
    return Figure(title, keys, behind, chart, gaps + (chart.skipped if chart else 0))


def _slot(key: str, number: int) -> int:
    """Return the colour of a metric's line: the validation loss has the first, solid one."""
    usual = {"val_loss": 1, "train_loss": 2}
    return usual.get(key) or (number + 1) % SLOTS + 1


def epochs_json(project: str, job: JobDetail, first: int = 0) -> dict[str, Any]:
    """Return the epochs of a job from one on, metric by metric; None where an epoch has no such number.

    What is not finite is the text that stands for it, as in the events.
    """
    summary = job.summary
    epochs = [item for item in job.epochs if item.epoch >= first]
    flat = [flatten(item.data) for item in epochs]
    return {
        "project": project,
        "batch_id": summary.batch_id,
        "job_id": summary.job_id,
        "model": summary.model,
        "dataset": summary.dataset,
        "seed": summary.seed,
        "status": summary.status,
        "attempts": job.attempts,
        "epochs_total": summary.epochs_total,
        "first_event_at": iso_time(summary.first_event_us),
        "last_event_at": iso_time(summary.last_event_us),
        "epochs": [item.epoch for item in epochs],
        "seconds": [(item.timestamp_us - summary.first_event_us) / 1e6 for item in epochs],
        "values": {key: [_plain(data.get(key)) for data in flat] for key in curve_names(epochs)},
    }


def _plain(raw: Any) -> float | str | None:
    """Return a number as JSON has it; what is not finite as the events spell it."""
    number = number_or_none(raw)
    if number is None or math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"
