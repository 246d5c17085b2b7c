"""A badge for a README: where a model stands, as a small picture."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from litestar import Response, get
from markupsafe import escape

from argus_server.pages.asking import READ, AnyRequest, asked_view, name_in, queries_of
from argus_server.pages.conditional import entity_tag, not_modified
from argus_server.ranking.models import rank_models
from argus_server.ranking.table import RankedTable, Row
from argus_server.threads import in_thread

__all__ = ["BADGE_ROUTES"]

_FRESH_S = 300
_LETTER, _PAD = 6.7, 10
_LONGEST = 40
_FIRST, _RANKED, _NO_RANK, _LABEL = "#006b4f", "#0b5cb8", "#59616b", "#1b1f24"


@get("/p/{project:str}/badge/{model:str}", guards=READ)
@in_thread
def badge(request: AnyRequest) -> Response[Any]:
    """Return the badge of a model, `MODEL.svg`; the query is that of a leaderboard of models.

    Whoever may read the project may see it: a public one can stand in any README.
    """
    name, model = name_in(request, "project"), name_in(request, "model").removesuffix(".svg")
    asked = asked_view(request)
    view = replace(asked, group="model", sort="", order="", model=(), q="", col=(), page=1, after="")
    tag = entity_tag(request, queries_of(request).version(name))
    is_public = not request.user.allows("read", name)
    headers = {
        "ETag": tag,
        "Cache-Control": f"{'public' if is_public else 'private'}, max-age={_FRESH_S}",
        "Cross-Origin-Resource-Policy": "cross-origin",
    }
    if unchanged := not_modified(request, tag):
        return unchanged
    with queries_of(request).board(name, view) as board:
        table = rank_models(view, board)
        labels = {key.key: key.label for key in board.keys}
    label = labels.get(table.ranked_by or "", "leaderboard")
    place, colour = _place(table, model)
    content = _svg(label, place, colour, f"{model}: {label} {place} ({name})")
    return Response(content, media_type="image/svg+xml", headers=headers)


def _place(table: RankedTable, model: str) -> tuple[str, str]:
    """Return where the model stands, in words, and the colour that goes with it."""
    count = len(table.rows)
    row = next((row for row in table.rows if (row.model or "") == model), None)
    if row is None or row.rank is None:
        known = any((row.model or "") == model for row in (*table.rows, *table.unranked))
        return ("not ranked" if known else "no result"), _NO_RANK
    return f"{_standing(row)} of {count}", _FIRST if row.rank == 1 else _RANKED


def _standing(row: Row) -> str:
    """Return the place; of models that the data cannot tell apart, from which to which."""
    return row.tier if "–" in row.tier else _ordinal(row.rank or 0)


def _ordinal(number: int) -> str:
    last = number % 10 if number % 100 not in (11, 12, 13) else 0
    return str(number) + {1: "st", 2: "nd", 3: "rd"}.get(last, "th")


def _svg(label: str, place: str, colour: str, title: str) -> str:
    """Return the picture; its texts come from events and are escaped, its colours contrast 4.5:1 and more."""
    shown = label if len(label) <= _LONGEST else label[:_LONGEST] + "…"
    left, right = (round(len(text) * _LETTER) + _PAD for text in (shown, place))
    said, width = escape(title), left + right
    texts = "".join(
        f'<text x="{x}" y="14" textLength="{length - _PAD}">{escape(text)}</text>'
        for x, length, text in ((left / 2, left, shown), (left + right / 2, right, place))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img"'
        f' aria-label="{said}"><title>{said}</title>'
        f'<rect width="{width}" height="20" rx="3" fill="{_LABEL}"/>'
        f'<path d="M{left} 0h{right - 3}a3 3 0 0 1 3 3v14a3 3 0 0 1-3 3h-{right - 3}z" fill="{colour}"/>'
        f'<g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">'
        f"{texts}</g></svg>"
    )


BADGE_ROUTES = [badge]
