"""A loss in the size of a word, as inline SVG."""

from __future__ import annotations

from functools import lru_cache

from markupsafe import Markup

from argus_server.storage.sparklines import Points

__all__ = ["sparkline"]

_WIDTH, _HEIGHT = 72, 20
_MOST = 1e300
_KEPT = 2000
_WORTH_A_STEP = 1e-9
"""A spread that is a smaller part of the values is drawn flat."""


@lru_cache(_KEPT)
def sparkline(points: Points) -> Markup:
    """Return a line over epochs from 0 on, as high as its box; said in words for those who do not see it.

    Args:
        points: at least one, by epoch; every value is finite.
    """
    losses = [max(-_MOST, min(loss, _MOST)) for _, loss in points]
    low, high, last = min(losses), max(losses), points[-1][0]
    is_flat = high - low <= _WORTH_A_STEP * max(abs(low), abs(high))
    across = (_WIDTH - 2) / last if last else 0.0
    down = 0.0 if is_flat else (_HEIGHT - 2) / (high - low)
    top = _HEIGHT / 2 if is_flat else 1.0
    line = [
        f"{1 + epoch * across:.0f},{top + (high - loss) * down:.0f}"
        for (epoch, _), loss in zip(points, losses, strict=True)
    ]
    if len(line) == 1:
        x, _, y = line[0].partition(",")
        drawn = f'<circle cx="{x}" cy="{y}" r="2"/>'
    else:
        drawn = f'<polyline points="{" ".join(line)}"/>'
    said = f"{points[0][1]:.3g} to {points[-1][1]:.3g} in {last + 1} epochs"
    opened = f'<svg class="spark" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{said}">'
    return Markup(f"{opened}{drawn}</svg>")  # noqa: S704 - numbers only
