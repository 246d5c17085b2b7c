"""Diagrams of models as inline SVG: critical differences, quality against cost, places under many variants.

Everything that comes from an event goes through `escape`; colours and strokes are classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

from markupsafe import Markup, escape

from argus_server.ranking.pairs import PairTable
from argus_server.ranking.pareto import Axis, Pareto, Point
from argus_server.ranking.sensitivity import Sensitivity, Variant

__all__ = ["critical_differences", "pareto_chart", "slope_graph"]

Names = Mapping[str, str]
_LONGEST = 30


def _name(model: str, names: Names) -> Markup:
    """Return a model's name as a diagram has room for it."""
    shown = names.get(model, model) or "(no name)"
    return escape(shown if len(shown) <= _LONGEST else shown[: _LONGEST - 1] + "…")


def _svg(kind: str, width: float, height: float, title: str, parts: Sequence[str]) -> Markup:
    return Markup(  # noqa: S704 - every part is made of numbers and escaped names
        f'<svg class="chart {kind}" width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}"'
        f' role="img"><title>{escape(title)}</title>{"".join(parts)}</svg>'
    )


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, text: str | Markup, anchor: str = "middle", kind: str = "") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


# --- critical differences -----------------------------------------------------------------------

_CD_WIDTH, _CD_SIDE, _CD_ROW, _CD_AXIS = 920, 230, 20, 46


def critical_differences(table: PairTable, names: Names) -> Markup:
    """Return the diagram of Demšar (2006): models on the axis of average ranks, bars over those that are one.

    Empty for fewer than two models.
    """
    k = len(table.models)
    if k < 2:
        return Markup("")
    ranks = [float(rank) for rank in table.average_ranks]
    low, high = math.floor(min(ranks)), math.ceil(max(ranks))
    high = max(high, low + 1)

    def x(rank: float) -> float:
        return _CD_SIDE + (rank - low) / (high - low) * (_CD_WIDTH - 2 * _CD_SIDE)

    parts = [_line("rule", x(low), _CD_AXIS, x(high), _CD_AXIS)]
    step = max(1, (high - low) // 12)
    for tick in range(low, high + 1, step):
        parts += [
            _line("rule", x(tick), _CD_AXIS - 5, x(tick), _CD_AXIS),
            _text(x(tick), _CD_AXIS - 9, str(tick)),
        ]
    if table.critical_difference is not None:
        end = min(x(low + table.critical_difference), _CD_WIDTH - 4)
        parts += [
            _line("clique", x(low), 14, end, 14),
            _text(end + 6, 18, f"CD {table.critical_difference:.2f}", "start"),
        ]
    bars = [(first, last) for first, last in table.cliques]
    for place, (first, last) in enumerate(bars):
        y = _CD_AXIS + 9 + place * 7
        parts.append(_line("clique", x(ranks[first]) - 4, y, x(ranks[last]) + 4, y))
    top = _CD_AXIS + 22 + 7 * len(bars)
    left = (k + 1) // 2
    for place, model in enumerate(table.models):
        is_left = place < left
        row = place if is_left else k - 1 - place
        y, at = top + row * _CD_ROW, x(ranks[place])
        side = _CD_SIDE - 8 if is_left else _CD_WIDTH - _CD_SIDE + 8
        parts += [
            f'<polyline class="stem" points="{at:.1f},{_CD_AXIS} {at:.1f},{y:.1f} {side:.1f},{y:.1f}"/>',
            f'<circle cx="{at:.1f}" cy="{_CD_AXIS}" r="3"/>',
        ]
        label = Markup("{} {}").format(_name(model, names), table.rank_style.number(ranks[place]))
        parts.append(
            _text(side + (-6 if is_left else 6), y + 4, label, "end" if is_left else "start", "name")
        )
    height = top + left * _CD_ROW
    title = "Average ranks; a bar joins models that cannot be told apart"
    return _svg("cd", _CD_WIDTH, height, title, parts)


# --- quality against cost -----------------------------------------------------------------------

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 760, 440, 74, 24, 20, 52
_LOG_FROM = 20.0


class _Scale:
    """Where the values of an axis stand, better ones towards `best`; logarithmic where they spread far."""

    def __init__(self, values: Sequence[float], axis: Axis, best: float, worst: float) -> None:
        low, high = min(values), max(values)
        self.is_log = low > 0 and high / low > _LOG_FROM and axis.style.decimals is not None
        self._axis = axis
        ends = [self._of(low), self._of(high)]
        room = 0.06 * (ends[1] - ends[0]) or abs(ends[0]) * 0.05 or 0.5
        self._low, self._high = ends[0] - room, ends[1] + room
        self._ends = (best, worst) if axis.direction != "higher" else (worst, best)

    def _of(self, value: float) -> float:
        return math.log10(value) if self.is_log else value

    def place(self, value: float) -> float:
        share = (self._of(value) - self._low) / (self._high - self._low)
        return self._ends[0] + share * (self._ends[1] - self._ends[0])

    def ticks(self) -> list[tuple[float, str]]:
        """Return some round values, with their places and texts."""
        scale = self._axis.style.scale
        if self.is_log:
            powers = range(
                math.floor(self._low + math.log10(scale)), math.ceil(self._high + math.log10(scale)) + 1
            )
            every = [10.0**power * factor for power in powers for factor in (1, 2, 5)]
            shown = [value for value in every if self._low <= math.log10(value / scale) <= self._high]
            shown = shown if len(shown) <= 8 else [value for value in shown if f"{value:e}"[0] == "1"]
            return [(self.place(value / scale), f"{value:g}") for value in shown]
        low, high = self._low * scale, self._high * scale
        rough = (high - low) / 6
        power = 10.0 ** math.floor(math.log10(rough))
        step = next((power * factor for factor in (1, 2, 5) if power * factor >= rough), power * 10)
        first = math.ceil(low / step)
        count = min(12, int((high - first * step) / step) + 1)
        values = [(first + i) * step for i in range(count)]
        return [(self.place(value / scale), f"{value:.6g}") for value in values]


def pareto_chart(pareto: Pareto, names: Names) -> Markup:
    """Return the models by cost, better to the left, and quality, better above; a line joins the front."""
    points, across, up = pareto.points, pareto.cost_axis, pareto.quality_axis
    if not points or across is None or up is None:
        return Markup("")
    x = _Scale([point.cost for point in points], across, _LEFT, _WIDTH - _RIGHT)
    y = _Scale([point.quality for point in points], up, _TOP, _HEIGHT - _BOTTOM)
    parts = []
    for at, text in x.ticks():
        parts += [_line("grid", at, _TOP, at, _HEIGHT - _BOTTOM), _text(at, _HEIGHT - _BOTTOM + 18, text)]
    for at, text in y.ticks():
        parts += [_line("grid", _LEFT, at, _WIDTH - _RIGHT, at), _text(_LEFT - 8, at + 4, text, "end")]
    unit = f" ({across.unit})" if across.unit else ""
    log = ", logarithmic" if x.is_log else ""
    parts.append(
        _text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 12, f"{across.label}{unit}{log}", kind="title")
    )
    up_unit = f" ({up.unit})" if up.unit else ""
    parts.append(
        f'<text class="title" transform="translate(16 {(_TOP + _HEIGHT - _BOTTOM) / 2:g}) rotate(-90)"'
        f' text-anchor="middle">{escape(up.label + up_unit)}</text>'
    )
    front = sorted((x.place(point.cost), y.place(point.quality)) for point in points if point.is_front)
    if len(front) > 1:
        parts.append(f'<polyline points="{_steps(front)}"/>')
    parts += _labelled(points, x, y, names)
    return _svg("pareto", _WIDTH, _HEIGHT, "Quality against cost", parts)


def _steps(front: Sequence[tuple[float, float]]) -> str:
    """Return the front as steps: between two models nothing that is bought buys more than the cheaper one."""
    line = [front[0]]
    for before, after in pairwise(front):
        line += [(after[0], before[1]), after]
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in line)


def _labelled(points: Sequence[Point], x: _Scale, y: _Scale, names: Names) -> list[str]:
    """Return the points with names, which move down until they cover no other name."""
    taken: list[tuple[float, float, float]] = []
    parts = []
    for point in sorted(points, key=lambda point: (y.place(point.quality), point.model)):
        at, up = x.place(point.cost), y.place(point.quality)
        label = _name(point.model, names)
        width = 7.2 * len(label)
        anchor, start = ("start", at + 9) if at + 12 + width < _WIDTH else ("end", at - 9 - width)
        down = up - 7
        while any(
            abs(down - other) < 13 and start < end and begin < start + width for begin, end, other in taken
        ):
            down += 4
        taken.append((start, start + width, down))
        kind = "point front" if point.is_front else "point"
        where = at + 9 if anchor == "start" else at - 9
        parts.append(
            f'<g class="{kind}"><circle cx="{at:.1f}" cy="{up:.1f}" r="{5 if point.is_front else 4}"/>'
            f"{_text(where, down, label, anchor, 'name')}</g>"
        )
    return parts


# --- places under many variants -------------------------------------------------------------------

_STEP, _SLOPE_ROW, _SLOPE_TOP, _SLOPE_SIDE = 34, 22, 128, 190
_HUES = 8


def slope_graph(table: Sensitivity, names: Names) -> Markup:
    """Return a line for each model through its places under every variant."""
    if not table.models or len(table.variants) < 2:
        return Markup("")
    deepest = max((place for variant in table.variants for place in variant.places.values()), default=1)
    rows = max(deepest, len(table.models))

    def x(variant: int) -> float:
        return _SLOPE_SIDE + variant * _STEP

    def y(place: int) -> float:
        return _SLOPE_TOP + (place - 1) * _SLOPE_ROW + _SLOPE_ROW / 2

    bottom = _SLOPE_TOP + rows * _SLOPE_ROW
    parts = []
    for number, variant in enumerate(table.variants):
        parts.append(_line("grid", x(number), _SLOPE_TOP, x(number), bottom))
        parts.append(
            f'<text class="variant" transform="translate({x(number) + 4:.1f} {_SLOPE_TOP - 6}) rotate(-55)">'
            f"{escape(_short(variant))}</text>"
        )
    for number, model in reversed(list(enumerate(table.models))):
        parts.append(_slope(number, model, table.variants, x, y, names))
    last = len(table.variants) - 1
    parts += _ends(table, table.variants[0], x(0) - 12, "end", y, names)
    parts += _between(table, x, y, names)
    parts += _ends(table, table.variants[last], x(last) + 12, "start", y, names)
    width = x(last) + _SLOPE_SIDE
    return _svg("slope", width, bottom + 8, "Places of the models under every variant", parts)


def _short(variant: Variant) -> str:
    text = variant.label
    return text if len(text) <= 22 else text[:21] + "…"


def _slope(
    number: int,
    model: str,
    variants: Sequence[Variant],
    x: Callable[[int], float],
    y: Callable[[int], float],
    names: Names,
) -> str:
    """Return the line of one model, with a gap where a variant does not rank it."""
    kind = f"slot{number + 1}" if number < _HUES else "slot0"
    runs: list[list[str]] = [[]]
    dots = []
    for place, variant in enumerate(variants):
        if model not in variant.places:
            runs.append([])
            continue
        at, down = x(place), y(variant.places[model])
        runs[-1].append(f"{at:.1f},{down:.1f}")
        dots.append(f'<circle class="{kind}" cx="{at:.1f}" cy="{down:.1f}" r="3"/>')
    lines = "".join(f'<polyline class="{kind}" points="{" ".join(run)}"/>' for run in runs if len(run) > 1)
    return f"<g><title>{_name(model, names)}</title>{lines}{''.join(dots)}</g>"


def _between(
    table: Sensitivity, x: Callable[[int], float], y: Callable[[int], float], names: Names
) -> list[str]:
    """Return the names of models that neither end ranks, where they begin."""
    ends = table.variants[0].places.keys() | table.variants[-1].places.keys()
    parts = []
    for model in table.models:
        begins = next((i for i, variant in enumerate(table.variants) if model in variant.places), None)
        if model not in ends and begins is not None:
            down = y(table.variants[begins].places[model]) - 6
            parts.append(_text(x(begins) + 4, down, _name(model, names), "start", "name"))
    return parts


def _ends(
    table: Sensitivity, variant: Variant, at: float, anchor: str, y: Callable[[int], float], names: Names
) -> list[str]:
    """Return the names at one side; models that share a place stand in one line."""
    by_place: dict[int, list[str]] = {}
    for model in table.models:
        if model in variant.places:
            by_place.setdefault(variant.places[model], []).append(model)
    parts = []
    for place, models in by_place.items():
        more = f" +{len(models) - 1}" if len(models) > 1 else ""
        text = Markup("{} {}{}").format(place, _name(models[0], names), more)
        parts.append(_text(at, y(place) + 4, text, anchor, "name"))
    return parts
