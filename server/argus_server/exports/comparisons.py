"""Pairs of models, quality against cost, and places under many variants, as CSV, JSON and Markdown."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import msgspec

from argus_server.exports.text import csv_lines, markdown_lines, markdown_text
from argus_server.ranking.pairs import PairTable
from argus_server.ranking.pareto import Axis, Pareto
from argus_server.ranking.sensitivity import Sensitivity

__all__ = [
    "pairs_csv",
    "pairs_json",
    "pairs_markdown",
    "pareto_csv",
    "pareto_json",
    "pareto_markdown",
    "sensitivity_csv",
    "sensitivity_json",
    "sensitivity_markdown",
]


Table = tuple[tuple[str, ...], list[tuple[Any, ...]]]
"""A header, and its rows."""


def _markdown(table: Table, notes: Iterable[str]) -> str:
    """Return the table as people read it, numbers with four digits, and what there is to say of it."""
    header, rows = table
    lines = [[markdown_text(name) for name in header], ["---"] * len(header)]
    lines += [[markdown_text(_shown(value)) for value in row] for row in rows]
    return markdown_lines(lines) + "".join(f"\n{markdown_text(note)}\n" for note in notes if note)


def _shown(value: Any) -> str:
    if value is None or value == "":
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


_PAIRS = (
    *("a", "b", "rank_a", "rank_b", "wins", "ties", "losses", "difference"),
    *("p", "separable", "better", "not_tested_because"),
)
_TOLD = {True: "yes", False: "no", None: ""}


def pairs_csv(table: PairTable) -> str:
    """Return one row for each two models, the one with the better average rank first; raw values."""
    ranks = dict(zip(table.models, table.average_ranks, strict=True))
    rows = [
        (
            *(pair.a, pair.b, ranks[pair.a], ranks[pair.b], pair.wins, pair.ties, pair.losses),
            *(pair.difference, pair.p, _TOLD[pair.separated], pair.better, pair.untested),
        )
        for pair in table.once
    ]
    return csv_lines([_PAIRS, *rows])


def pairs_markdown(table: PairTable) -> str:
    """Return the same as the page shows it, with the sentence that says what was tested."""
    ranks = dict(zip(table.models, table.average_ranks, strict=True))
    rank, shown = table.rank_style.number, partial(table.settings.shown, "model")
    rows = [
        (
            *(shown(pair.a), shown(pair.b), rank(ranks[pair.a]), rank(ranks[pair.b])),
            *(pair.wins, pair.ties, pair.losses, pair.display, pair.p_text),
            *(_TOLD[pair.separated], shown(pair.better) if pair.better else "", pair.untested),
        )
        for pair in table.once
    ]
    units = {"difference": f" ({table.unit})" if table.unit else ""}
    header = tuple(f"{name.replace('_', ' ')}{units.get(name, '')}" for name in _PAIRS)
    return _markdown((header, rows), (table.sentence, *table.notes))


def pairs_json(table: PairTable) -> bytes:
    """Return all pairs, with what was tested."""
    ranks = dict(zip(table.models, table.average_ranks, strict=True))
    return msgspec.json.encode(
        {
            "project": table.project,
            "metric": table.metric,
            "test": table.test,
            "datasets": table.datasets,
            "sentence": table.sentence,
            "notes": table.notes,
            "overall_p": table.overall.p if table.overall is not None else None,
            "critical_difference": table.critical_difference,
            "models": [{"model": model, "average_rank": ranks[model]} for model in table.models],
            "cliques": [table.models[first : last + 1] for first, last in table.cliques],
            "pairs": [
                {
                    "a": pair.a,
                    "b": pair.b,
                    "wins": pair.wins,
                    "ties": pair.ties,
                    "losses": pair.losses,
                    "difference": pair.difference,
                    "p": pair.p,
                    "separable": pair.separated,
                    "better": pair.better or None,
                    "not_tested_because": pair.untested or None,
                }
                for pair in table.once
            ],
        }
    )


def _front(pareto: Pareto) -> Table:
    over = "average_rank" if pareto.datasets > 1 else "value"
    header = (
        "model",
        over,
        f"{pareto.metric or ''} (mean)",
        f"{pareto.cost or ''} (mean)",
        f"{pareto.cost or ''} (datasets)",
        "front",
        "beaten_by",
    )
    rows: list[tuple[Any, ...]] = [
        (
            point.model,
            point.quality,
            point.value,
            point.cost,
            point.cost_datasets,
            "yes" if point.is_front else "no",
            point.beaten_by,
        )
        for point in pareto.points
    ]
    return header, rows


def pareto_csv(pareto: Pareto) -> str:
    """Return one row for each model; raw values."""
    header, rows = _front(pareto)
    return csv_lines([header, *rows])


def pareto_markdown(pareto: Pareto) -> str:
    """Return the same as the page shows it, units in the header."""
    quality, value, cost = pareto.quality_axis, pareto.value_axis, pareto.cost_axis
    if quality is None or value is None or cost is None:
        return _markdown(_front(pareto), pareto.notes)
    ranks, shown = pareto.datasets > 1, partial(pareto.settings.shown, "model")
    heads = ["Model", *(["Avg rank"] if ranks else []), *(_head(axis) for axis in (value, cost))]
    rows = [
        (
            *(shown(point.model), *([quality.shown(point.quality)] if ranks else [])),
            *(value.shown(point.value), cost.shown(point.cost), f"{point.cost_datasets}/{pareto.datasets}"),
            *("yes" if point.is_front else "no", shown(point.beaten_by) if point.beaten_by else ""),
        )
        for point in pareto.points
    ]
    header = (*heads, f"Datasets with {cost.label}", "Front", "Beaten by")
    return _markdown((header, rows), pareto.notes)


def _head(axis: Axis) -> str:
    return f"{axis.label} ({axis.unit})" if axis.unit else axis.label


def pareto_json(pareto: Pareto) -> bytes:
    """Return every model with its quality and its cost."""
    return msgspec.json.encode(
        {
            "project": pareto.project,
            "metric": pareto.metric,
            "cost": pareto.cost,
            "datasets": pareto.datasets,
            "notes": pareto.notes,
            "without_cost": pareto.left_out,
            "models": [
                {
                    "model": point.model,
                    "average_rank": point.quality if pareto.datasets > 1 else None,
                    "value": point.value,
                    "cost": point.cost,
                    "cost_datasets": point.cost_datasets,
                    "front": point.is_front,
                    "beaten_by": point.beaten_by or None,
                }
                for point in pareto.points
            ],
        }
    )


def _variants(table: Sensitivity) -> Table:
    header = ("kind", "variant", *table.models)
    return header, [
        (variant.kind, variant.name, *(variant.places.get(model) for model in table.models))
        for variant in table.variants
    ]


def sensitivity_csv(table: Sensitivity) -> str:
    """Return one row for each variant, with the place of every model."""
    header, rows = _variants(table)
    return csv_lines([header, *rows])


def sensitivity_markdown(table: Sensitivity) -> str:
    """Return the same as Markdown, with the sentence that says how often the leader leads."""
    (kind, variant, *models), rows = _variants(table)
    named = (kind, variant, *(table.settings.shown("model", model) for model in models))
    rows = [(row[0], one.label, *row[2:]) for row, one in zip(rows, table.variants, strict=True)]
    return _markdown((named, rows), (table.sentence, *table.notes))


def sensitivity_json(table: Sensitivity) -> bytes:
    """Return the places of the models under every variant."""
    return msgspec.json.encode(
        {
            "project": table.project,
            "metric": table.metric,
            "sentence": table.sentence,
            "notes": table.notes,
            "models": [
                {"model": model, "best": ends[0], "worst": ends[1], "first": table.firsts(model)[0]}
                for model in table.models
                if (ends := table.range_of(model)) is not None
            ],
            "variants": [
                {"kind": variant.kind, "name": variant.name, "places": dict(variant.places)}
                for variant in table.variants
            ],
        }
    )
