"""What a project says of its metrics and names: a page with one form, and the same as JSON."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast, get_args
from urllib.parse import parse_qsl

import anyio.to_thread
from litestar import Response, get, post, put
from litestar.datastructures import FormMultiDict
from litestar.response import Redirect
from msgspec import structs

from argus_core.conventions import CONVENTIONS, Convention, Direction, Role, convention
from argus_server.auth import check_form_token, require, require_browser
from argus_server.errors import BadSettings, BadView
from argus_server.pages.asking import AnyRequest, name_in, queries_of
from argus_server.pages.render import Page, render
from argus_server.ranking.registry import MetricSetting, Settings
from argus_server.ranking.view import View
from argus_server.storage.meanings import read_meaning
from argus_server.storage.project_settings import ProjectSettings, RegisteredMetric
from argus_server.threads import in_thread
from argus_server.urls import path_to

__all__ = ["SETTINGS_ROUTES"]

ADMIN = [require_browser("admin")]
READ = [require("read")]
_ROLES: tuple[str, ...] = get_args(Role)
_DIRECTIONS: tuple[str, ...] = get_args(Direction)
_MAX_UNIT = 16


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

    def change(known: Settings) -> Settings:
        if str(form.get("version", "")) != _version(known):
            raise BadSettings("somebody else changed the settings meanwhile; look at them and try again")
        keys = {item.key for item in metrics} | {known.canonical(item.key) for item in metrics}
        return _read_form(form, known, {**names, "key": sorted(keys)})

    try:
        _store(request).change(name, change)
    except (BadSettings, BadView) as error:
        return _page(request, problem=f"Nothing was changed: {error}.", status_code=422)
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
    _check_view(settings.default_view)
    return _as_json(_store(request).change(name_in(request, "project"), lambda _: settings))


def _as_json(settings: Settings) -> Response[bytes]:
    return Response(settings.encode().encode(), media_type="application/json")


def _store(request: AnyRequest) -> ProjectSettings:
    settings: ProjectSettings = request.app.state.store.settings
    return settings


# --- the form ---------------------------------------------------------------------------------


def _version(settings: Settings) -> str:
    return hashlib.blake2b(settings.encode().encode(), digest_size=8).hexdigest()


def _read_form(form: FormMultiDict, known: Settings, names_of: Mapping[str, Sequence[str]]) -> Settings:
    """Return the settings of the form; corrections stay but where they are to be forgotten."""
    key_of, model_of, dataset_of = (_as_sent(names_of[kind]) for kind in ("key", "model", "dataset"))

    def column(name: str) -> list[str]:
        return [str(value).strip() for value in form.getall(name, [])]

    def names(name: str, as_sent: Callable[[str], str]) -> list[str]:
        return [as_sent(text) for text in column(name)]

    texts = (column(name) for name in ("role", "direction", "unit", "label", "resolution"))
    rows = list(zip(names("key", key_of), names("alias_of", key_of), *texts, strict=False))
    forget = set(names("forget", key_of))
    metrics = dict(known.metrics)
    for key, alias_of, role, direction, unit, label, resolution in rows:
        metrics[key] = MetricSetting(
            role=cast(Role, role) if role in _ROLES else None,
            direction=cast(Direction, direction) if direction in _DIRECTIONS else None,
            unit=_unit(key, unit),
            label=label,
            alias_of=alias_of,
            resolution=_resolution(key, resolution),
            corrections=() if key in forget else known.metric(key).corrections,
        )
    settings = structs.replace(
        known,
        primary=key_of(str(form.get("primary", ""))) or None,
        baseline=model_of(str(form.get("baseline", ""))) or None,
        default_view=str(form.get("default_view", "")).strip().lstrip("?"),
        models=_labels(names("model", model_of), column("model_label")),
        datasets=_labels(names("dataset", dataset_of), column("dataset_label")),
        metrics={key: setting for key, setting in metrics.items() if setting != MetricSetting()},
    )
    _check_view(settings.default_view)
    primary = settings.primary
    return structs.replace(settings, primary=settings.canonical(primary) if primary else None)


_LINE_END = re.compile("\r\n?")


def _as_sent(names: Iterable[str]) -> Callable[[str], str]:
    """Return what finds a name again after a form has carried it: browsers write its line ends anew."""
    carried = {_LINE_END.sub("\n", name).strip(): name for name in names}

    def name(text: str) -> str:
        found = carried.get(_LINE_END.sub("\n", text).strip())
        if text and found is None:
            raise BadSettings(f"{text!r} is no name of this project")
        return found or ""

    return name


def _check_view(query: str) -> None:
    View.parse(parse_qsl(query, keep_blank_values=True))


def _unit(key: str, text: str) -> str | None:
    if len(text) > _MAX_UNIT:
        raise BadSettings(f"{text!r} is no unit of {key!r}: at most {_MAX_UNIT} characters")
    return None if text == "" else "" if text == "none" else text


def _resolution(key: str, text: str) -> float:
    try:
        return float(text) if text else 0.0
    except ValueError:
        raise BadSettings(f"{text!r} is no resolution of {key!r}: a number from 0 on") from None


def _labels(names: Sequence[str], shown: Sequence[str]) -> dict[str, str]:
    return {name: label for name, label in zip(names, shown, strict=False) if label and label != name}


# --- the page ---------------------------------------------------------------------------------


def _page(request: AnyRequest, *, problem: str = "", status_code: int = 200) -> Response[str]:
    name = name_in(request, "project")
    settings = _store(request).read(name)
    registry = sorted(_store(request).registry(name), key=_place)
    public = request.app.state.store.credentials.public_projects()
    context = {
        "project": name,
        "current": "settings",
        "settings": settings,
        "version": _version(settings),
        "metrics": [_metric(item, settings) for item in registry],
        "keys": list(dict.fromkeys(settings.canonical(item.key) for item in registry)),
        "names": _names(request),
        "roles": _ROLES,
        "directions": _DIRECTIONS,
        "is_public": name in public,
        "may_change": request.user.allows("admin", name),
        "saved": "saved" in request.query_params,
        "problem": problem,
    }
    return render(request, Page("settings.html", context, status_code))


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
