"""The metric doctor: its page, its JSON, and the one click that applies a remedy or takes it back."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import anyio.to_thread
from litestar import Response, get, post
from litestar.response import Redirect

from argus_server.auth import check_form_token, require_browser
from argus_server.errors import BadSettings
from argus_server.pages.asking import READ, AnyRequest, name_in, queries_of
from argus_server.pages.frame import project_frame
from argus_server.pages.render import Page, render
from argus_server.ranking.board import Board
from argus_server.ranking.doctor import IN_WORDS, Finding, Remedy, examine, remedies, treat, untreat
from argus_server.ranking.registry import Settings
from argus_server.ranking.table import Column
from argus_server.ranking.view import View
from argus_server.threads import in_thread
from argus_server.urls import path_to

__all__ = ["DOCTOR_ROUTES", "doubts_about", "shown_keys", "with_doubts"]

_FEW_ROWS, _LOOKED_AT = 2000, 200
"""Up to so many rows a leaderboard asks the doctor itself, who then looks at so many jobs."""


def doubts_about(board: Board, keys: Collection[str | None]) -> str:
    """Return what the doctor doubts of these metrics, as far as that can be said while a table is made.

    One sentence for every rendering of a table of them; empty where nothing looks wrong.
    """
    if sum(count for _, count in board.names("model")) > _FEW_ROWS:
        return ""
    found = board.memo("findings of the doctor", lambda: examine(board, most_jobs=_LOOKED_AT))
    said = {
        f"{' and '.join(item.keys)} ({IN_WORDS[item.kind]})": None
        for item in found
        if any(key in keys for key in item.keys)
    }
    return f"The metric doctor doubts {', '.join(said)}: its page says why." if said else ""


def with_doubts(notes: Sequence[str], doubts: str) -> list[str]:
    """Return the notes of a table, and as the last of them what the doctor doubts of it, if anything."""
    return [*notes, doubts] if doubts else [*notes]


def shown_keys(columns: Iterable[Column]) -> set[str | None]:
    """Return the metrics among the columns that a table shows."""
    return {column.key for column in columns if column.kind == "metric"}


def _examined(request: AnyRequest) -> tuple[list[Finding], Settings]:
    name = name_in(request, "project")
    declared = queries_of(request).declared_directions(name)
    with queries_of(request).board(name, View()) as board:
        return examine(board, declared), board.settings


def _remedy_id(remedy: Remedy) -> str:
    return Finding("alike", (remedy.key,), "", "", (), remedy).id


@get("/p/{project:str}/doctor", guards=READ)
@in_thread
def doctor_page(request: AnyRequest) -> Response[str]:
    """Show what looks wrong, and what has been done about it."""
    return _page(request)


def _page(request: AnyRequest, problem: str = "", status_code: int = 200) -> Response[str]:
    name = name_in(request, "project")
    frame = project_frame(request, name, "doctor")
    findings, settings = _examined(request)
    context = {
        **frame,
        "findings": findings,
        "words": IN_WORDS,
        "remedies": [(_remedy_id(remedy), remedy) for remedy in remedies(settings)],
        "may_change": request.user.allows("admin", name),
        "problem": problem,
    }
    return render(request, Page("doctor.html", context, status_code))


@get(["/api/projects/{project:str}/doctor", "/p/{project:str}/doctor.json"], guards=READ)
@in_thread
def doctor_json(request: AnyRequest) -> dict[str, Any]:
    """Say what looks wrong in the values of the project, each with its evidence and its remedy."""
    findings, settings = _examined(request)
    return {
        "project": name_in(request, "project"),
        "findings": [
            {
                "id": finding.id,
                "kind": finding.kind,
                "keys": finding.keys,
                "fact": finding.fact,
                "doubt": finding.doubt,
                "evidence": [
                    {"batch_id": one.batch_id, "job_id": one.job_id, "key": one.key, "value": one.value}
                    for one in finding.evidence
                ],
                "remedy": _plain(finding.remedy),
            }
            for finding in findings
        ],
        "remedies": [_plain(remedy) for remedy in remedies(settings)],
    }


def _plain(remedy: Remedy | None) -> dict[str, Any] | None:
    if remedy is None:
        return None
    one = remedy.correction
    correction = None
    if one is not None:
        correction = {"factor": one.factor, "over": one.over, "under": one.under, "batches": one.batches}
    return {
        "key": remedy.key,
        "alias_of": remedy.alias_of or None,
        "correction": correction,
        "text": remedy.text,
    }


@post("/p/{project:str}/doctor", guards=[require_browser("admin")], status_code=200)
async def treat_metric(request: AnyRequest) -> Response[Any]:
    """Apply the remedy of a finding, or take one back. The form names it; what it does is found here."""
    form = await request.form()
    check_form_token(request, str(form.get("form_token", "")))
    chosen = {name: str(form.get(name, "")) for name in ("apply", "undo")}
    return await anyio.to_thread.run_sync(_change, request, chosen)


def _change(request: AnyRequest, chosen: dict[str, str]) -> Response[Any]:
    name = name_in(request, "project")
    findings, _ = _examined(request)
    apply = next((item.remedy for item in findings if item.id == chosen["apply"]), None)

    def change(known: Settings) -> Settings:
        undo = next((one for one in remedies(known) if _remedy_id(one) == chosen["undo"]), None)
        if undo is not None:
            return untreat(known, undo)
        if apply is None:
            raise BadSettings("there is no such remedy any more; look at the findings again")
        return treat(known, apply)

    try:
        request.app.state.store.settings.change(name, change)
    except BadSettings as error:
        return _page(request, f"Nothing was changed: {error}.", 422)
    return Redirect(path_to("p", name, "doctor"), status_code=303)


DOCTOR_ROUTES = [doctor_page, doctor_json, treat_metric]
