"""The form of a project's settings: what stands in its fields, and the settings that it comes to."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast, get_args
from urllib.parse import parse_qsl

from litestar.datastructures import FormMultiDict
from msgspec import structs

from argus_core.conventions import Direction, Role
from argus_server.errors import BadSettings, BadView
from argus_server.ranking.registry import MetricSetting, Settings
from argus_server.ranking.view import View

__all__ = ["DIRECTIONS", "ROLES", "Fields", "check_view", "fields_of", "read_form", "typed"]

ROLES: tuple[str, ...] = get_args(Role)
DIRECTIONS: tuple[str, ...] = get_args(Direction)
FIELDS = ("alias_of", "role", "direction", "unit", "label", "resolution")
"""What can be set of a metric, by the names of the form."""
_MAX_UNIT = 16


@dataclass(frozen=True, slots=True)
class Fields:
    """What stands in the fields.

    Attributes:
        metrics: metric → field → text.
        names: `model` or `dataset` → name → the name to show instead.
        forget: the metrics whose corrections are to be taken back.
    """

    primary: str
    baseline: str
    default_view: str
    is_public: bool
    metrics: Mapping[str, Mapping[str, str]]
    names: Mapping[str, Mapping[str, str]]
    forget: frozenset[str] = frozenset()


def fields_of(settings: Settings, keys: Iterable[str], *, is_public: bool) -> Fields:
    """Return the fields of what is set."""
    return Fields(
        settings.primary or "",
        settings.baseline or "",
        settings.default_view,
        is_public,
        {key: _texts(settings.metric(key)) for key in keys},
        {"model": settings.models, "dataset": settings.datasets},
    )


def _texts(setting: MetricSetting) -> dict[str, str]:
    return {
        "alias_of": setting.alias_of,
        "role": setting.role or "",
        "direction": setting.direction or "",
        "unit": "none" if setting.unit == "" else setting.unit or "",
        "label": setting.label,
        "resolution": str(setting.resolution) if setting.resolution else "",
    }


def typed(form: FormMultiDict, otherwise: Fields, names_of: Mapping[str, Sequence[str]]) -> Fields:
    """Return the fields as somebody has filled them in; where the form has none, they are as set.

    Raises:
        BadSettings: the form is not one of this project.
    """
    sent = _Sent(form, names_of)
    return Fields(
        sent.one("primary", "key"),
        sent.one("baseline", "model"),
        str(form.get("default_view", "")),
        form["visibility"] == "public" if "visibility" in form else otherwise.is_public,
        {**otherwise.metrics, **sent.metrics()},
        {kind: sent.shown(kind) for kind in ("model", "dataset")},
        frozenset(sent.names("forget", "key")),
    )


def read_form(form: FormMultiDict, known: Settings, names_of: Mapping[str, Sequence[str]]) -> Settings:
    """Return the settings of the form; corrections stay but where they are to be forgotten."""
    sent = _Sent(form, names_of)
    rows, forget = sent.metrics(), set(sent.names("forget", "key"))
    metrics = dict(known.metrics)
    for key, text in rows.items():
        metrics[key] = MetricSetting(
            role=cast(Role, text["role"]) if text["role"] in ROLES else None,
            direction=cast(Direction, text["direction"]) if text["direction"] in DIRECTIONS else None,
            unit=_unit(key, text["unit"]),
            label=text["label"],
            alias_of=text["alias_of"],
            resolution=_resolution(key, text["resolution"]),
            corrections=() if key in forget else known.metric(key).corrections,
        )
    settings = structs.replace(
        known,
        primary=sent.one("primary", "key") or None,
        baseline=sent.one("baseline", "model") or None,
        default_view=str(form.get("default_view", "")).strip().lstrip("?"),
        models=_labels(sent.shown("model")),
        datasets=_labels(sent.shown("dataset")),
        metrics={key: setting for key, setting in metrics.items() if setting != MetricSetting()},
    )
    check_view(settings.default_view)
    primary = settings.primary
    return structs.replace(settings, primary=settings.canonical(primary) if primary else None)


class _Sent:
    """A form as it was sent. Asking for a part raises `BadSettings` where it names what there is not."""

    def __init__(self, form: FormMultiDict, names_of: Mapping[str, Sequence[str]]) -> None:
        self._form = form
        self._name_of = {kind: _as_sent(names_of[kind]) for kind in ("key", "model", "dataset")}

    def one(self, field: str, kind: str) -> str:
        """Return the name in a field; empty if there is none."""
        return self._name_of[kind](str(self._form.get(field, "")))

    def names(self, field: str, kind: str) -> list[str]:
        """Return the names in a field that the form may have many times."""
        return [self._name_of[kind](text) for text in self._texts(field)]

    def metrics(self) -> dict[str, dict[str, str]]:
        """Return metric → field → what was typed."""
        columns = zip(*(self._texts(field) for field in FIELDS), strict=False)
        keys = self.names("key", "key")
        rows = {key: dict(zip(FIELDS, texts, strict=True)) for key, texts in zip(keys, columns, strict=False)}
        key_of = self._name_of["key"]
        return {key: {**row, "alias_of": key_of(row["alias_of"])} for key, row in rows.items()}

    def shown(self, kind: str) -> dict[str, str]:
        """Return name → the name to show instead, as typed."""
        return dict(zip(self.names(kind, kind), self._texts(f"{kind}_label"), strict=False))

    def _texts(self, field: str) -> list[str]:
        return [str(value).strip() for value in self._form.getall(field, [])]


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


def check_view(query: str) -> None:
    """Raise `BadSettings` if a default view is none."""
    try:
        View.parse(parse_qsl(query, keep_blank_values=True))
    except BadView as error:
        raise BadSettings(str(error), ("default_view", "")) from error


def _unit(key: str, text: str) -> str | None:
    if len(text) > _MAX_UNIT:
        raise BadSettings(f"{text!r} is no unit of {key!r}: at most {_MAX_UNIT} characters", ("unit", key))
    return None if text == "" else "" if text == "none" else text


def _resolution(key: str, text: str) -> float:
    try:
        return float(text) if text else 0.0
    except ValueError:
        raise BadSettings(
            f"{text!r} is no resolution of {key!r}: a number from 0 on", ("resolution", key)
        ) from None


def _labels(shown: Mapping[str, str]) -> dict[str, str]:
    return {name: label for name, label in shown.items() if label and label != name}
