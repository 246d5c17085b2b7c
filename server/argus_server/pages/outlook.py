"""What a board can still come to while jobs run: a panel below the models, and the same as JSON."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from litestar import Response, get

from argus_server.pages.asking import READ, AnyRequest, asked_view, name_in, queries_of
from argus_server.ranking.outlook import Outlook, find_outlook, shell_line
from argus_server.ranking.view import View
from argus_server.threads import in_thread

__all__ = ["OUTLOOK_ROUTES", "outlook_panel"]


def outlook_panel(request: AnyRequest, view: View) -> dict[str, Any]:
    """Return what the template `outlook_panel.html` shows: None as `outlook` if nothing is open."""
    outlook, lines = _outlook(request, view)
    return {"outlook": outlook, "outlook_lines": lines}


def _outlook(request: AnyRequest, view: View) -> tuple[Outlook | None, list[str]]:
    """Return the outlook, and for each of its runs the shell line, empty for who may not see commands."""
    name, queries = name_in(request, "project"), queries_of(request)
    asked = replace(view, group="model", page=1, after="")
    with queries.board(name, asked) as board:
        outlook = find_outlook(asked, board)
    if outlook is None or not request.user.allows("read", name):
        return outlook, [""] * len(outlook.runs if outlook is not None else ())
    lines = []
    for run in outlook.runs:
        command = queries.job(name, *run.sibling).command if run.sibling is not None else None
        lines.append(shell_line(run, command) if command else "")
    return outlook, lines


@get("/api/projects/{project:str}/outlook", guards=READ)
@in_thread
def outlook_json(request: AnyRequest) -> Response[dict[str, Any]]:
    """Say between what the ranks will end whatever the missing cells bring, and which run would tell most."""
    outlook, lines = _outlook(request, asked_view(request))
    content: dict[str, Any] = {
        "project": name_in(request, "project"),
        "missing": 0,
        "moving": 0,
        "models": [],
        "runs": [],
    }
    if outlook is not None:
        content |= {
            "metric": outlook.metric,
            "missing": outlook.missing,
            "moving": outlook.moving,
            "places_are_exact": outlook.is_exact,
            "models": [
                {
                    "model": item.model,
                    "average_rank": [item.average_low, item.average_high],
                    "place": [item.place_low, item.place_high],
                    "can_lead": item.can_lead,
                }
                for item in outlook.prospects
            ],
            "runs": [
                {
                    "model": run.model,
                    "dataset": run.dataset,
                    "swing": run.swing,
                    "is_running": run.is_running,
                    "sibling": run.sibling,
                    "command": line or None,
                }
                for run, line in zip(outlook.runs, lines, strict=True)
            ],
        }
    return Response(content, media_type="application/json")


OUTLOOK_ROUTES = [outlook_json]
