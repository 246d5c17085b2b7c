"""What a project says of its metrics and names: a page with one form, and the same as JSON."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import anyio.to_thread
from litestar import Response, get, post, put
from litestar.datastructures import FormMultiDict
from litestar.response import Redirect

from argus_core.conventions import CONVENTIONS, Convention, convention
from argus_server.auth import check_form_token, require, require_browser
from argus_server.errors import BadSettings
from argus_server.pages.asking import AnyRequest, name_in, queries_of
from argus_server.pages.render import Page, render
from argus_server.pages.settings_form import (
    DIRECTIONS,
    ROLES,
    Fields,
    check_view,
    fields_of,
    read_form,
    typed,
)
from argus_server.ranking.registry import Settings
from argus_server.ranking.view import View
from argus_server.storage.meanings import read_meaning
from argus_server.storage.project_settings import ProjectSettings, RegisteredMetric
from argus_server.threads import in_thread
from argus_server.urls import path_to

__all__ = ["SETTINGS_ROUTES"]

ADMIN = [require_browser("admin")]
READ = [require("read")]


@get("/p/{project:str}/settings", guards=READ)
@in_thread
def settings_page(request: AnyRequest) -> Response[str]:
    """Show the settings; who may change them gets a form."""
    return _page(request)


@post("/p/{project:str}/settings", guards=ADMIN, status_code=200)
async def change_settings(request: AnyRequest) -> Response[Any]:
    """Take the form over, whole or not at all."""
    form = await request.form()
    check_form_token(request, str(form.get("form_token", "")))
    return await anyio.to_thread.run_sync(_change, request, form)


def _change(request: AnyRequest, form: FormMultiDict) -> Response[Any]:
    name = name_in(request, "project")

    metrics, names = _store(request).registry(name), _names(request)

    def names_of(known: Settings) -> dict[str, list[str]]:
        keys = {item.key for item in metrics} | {known.canonical(item.key) for item in metrics}
        return {**names, "key": sorted(keys)}

    def change(known: Settings) -> Settings:
        if str(form.get("version", "")) != _version(known):
            raise BadSettings("somebody else changed the settings meanwhile", _MEANWHILE)
        changed = read_form(form, known, names_of(known))
        changed.check_labels(names_of(known))
        return changed

    try:
        _store(request).change(name, change)
    except BadSettings as error:
        return _page(request, refused=_Refused(error, form, names_of(_store(request).read(name))))
    if "visibility" in form:
        credentials = request.app.state.store.credentials
        credentials.set_public(name, is_public=form["visibility"] == "public")
    return Redirect(path_to("p", name, "settings", query=[("saved", "1")]), status_code=303)


@get("/api/projects/{project:str}/settings", guards=READ)
@in_thread
def settings_json(request: AnyRequest) -> Response[bytes]:
    """Return the settings; what is not set is left out."""
    return _as_json(_store(request).read(name_in(request, "project")))


@put("/api/projects/{project:str}/settings", guards=[require("admin")])
async def put_settings(request: AnyRequest) -> Response[bytes]:
    """Replace the settings by the JSON of the body, as GET returns them."""
    body = await request.body()
    return await anyio.to_thread.run_sync(_put, request, body)


def _put(request: AnyRequest, body: bytes) -> Response[bytes]:
    if not body:
        raise BadSettings("the body is empty; send the settings as JSON, {} for none")
    settings = Settings.decode(body.decode("utf-8", "surrogateescape"))
    check_view(settings.default_view)
    name = name_in(request, "project")
    names = {**_names(request), "key": [item.key for item in _store(request).registry(name)]}
    settings.check_labels(names)
    return _as_json(_store(request).change(name, lambda _: settings))


def _as_json(settings: Settings) -> Response[bytes]:
    return Response(settings.encode().encode(), media_type="application/json")


def _store(request: AnyRequest) -> ProjectSettings:
    settings: ProjectSettings = request.app.state.store.settings
    return settings


def _version(settings: Settings) -> str:
    return hashlib.blake2b(settings.encode().encode(), digest_size=8).hexdigest()


# --- the page ---------------------------------------------------------------------------------


_MEANWHILE = ("version", "")
"""Where an error stands that is nobody's field: the settings have changed since the form was made."""


@dataclass(frozen=True, slots=True)
class _Refused:
    """A form that was not taken, why, and the names of its project."""

    error: BadSettings
    form: FormMultiDict
    names: Mapping[str, Sequence[str]]

    def fields(self, known: Fields) -> Fields:
        """Return what was typed, if it can be told."""
        try:
            return typed(self.form, known, self.names)
        except BadSettings:
            return known


def _page(request: AnyRequest, refused: _Refused | None = None) -> Response[str]:
    name = name_in(request, "project")
    settings = _store(request).read(name)
    registry = sorted(_store(request).registry(name), key=_place)
    public = request.app.state.store.credentials.public_projects()
    known = fields_of(settings, [item.key for item in registry], is_public=name in public)
    context = {
        "project": name,
        "current": "settings",
        "fields": known if refused is None else refused.fields(known),
        "problem": "" if refused is None else str(refused.error),
        "wrong": ("", "") if refused is None else refused.error.place,
        "settings": settings,
        "version": _version(settings),
        "metrics": [_metric(item, settings) for item in registry],
        "keys": list(dict.fromkeys(settings.canonical(item.key) for item in registry)),
        "names": _names(request),
        "roles": ROLES,
        "directions": DIRECTIONS,
        "may_change": request.user.allows("admin", name),
        "saved": "saved" in request.query_params,
    }
    return render(request, Page("settings.html", context, 200 if refused is None else 422))


def _names(request: AnyRequest) -> dict[str, list[str]]:
    """Return the names of the models and datasets that are on the leaderboard."""
    with queries_of(request).board(name_in(request, "project"), View()) as board:
        return {field: [value for value, _ in board.names(field)] for field in ("model", "dataset")}


_PLACES = {key: place for place, key in enumerate(CONVENTIONS)}


def _place(item: RegisteredMetric) -> tuple[int, int, str]:
    """Return where a metric stands: as on the leaderboard, the well-known ones first."""
    return _PLACES.get(item.key, len(_PLACES)), -item.count, item.key


def _metric(item: RegisteredMetric, settings: Settings) -> dict[str, Any]:
    declared = read_meaning(item.declared)
    known: Convention = declared if declared is not None else convention(item.key)
    return {
        "item": item,
        "setting": settings.metric(item.key),
        "known": known,
        "source": "declared by its jobs" if declared is not None else "by convention",
    }


SETTINGS_ROUTES = [settings_page, change_settings, settings_json, put_settings]
