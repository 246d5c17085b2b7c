"""What a project says of itself: its metrics, its primary one, its baseline, the names it shows.

Settings change how results are read, never the results: the events stay as they were sent, and every
setting can be taken back.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import msgspec

from argus_core.conventions import Convention, Direction, Role, convention
from argus_server.errors import BadSettings
from argus_server.ranking.values import finite

__all__ = ["NO_SETTINGS", "UNSET", "Correction", "MetricSetting", "Settings"]

_MAX_TEXT = 200


class Correction(msgspec.Struct, frozen=True, omit_defaults=True):
    """A factor for values that were sent in another unit than the rest.

    Attributes:
        factor: what those values are multiplied by.
        over, under: whose size is larger, or smaller, than this, as sent; None for no bound.
        batches: of which batches; empty for all.
    """

    factor: float
    over: float | None = None
    under: float | None = None
    batches: tuple[str, ...] = ()

    def takes(self, number: float, batch_id: str) -> bool:
        """Whether a value is one of those."""
        return (
            (not self.batches or batch_id in self.batches)
            and (self.over is None or abs(number) > self.over)
            and (self.under is None or abs(number) < self.under)
        )


class MetricSetting(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is set of one metric name; what is empty is as the jobs declare it, or as its convention says.

    Attributes:
        label: the header's text instead of the name.
        alias_of: the metric that this is another name of.
        resolution: values that differ by no more than this are one, in the raw unit.
        corrections: the first that takes a value changes it.
    """

    role: Role | None = None
    direction: Direction | None = None
    unit: str | None = None
    label: str = ""
    alias_of: str = ""
    resolution: float = 0.0
    corrections: tuple[Correction, ...] = ()

    def meaning(self, known: Convention) -> Convention:
        """Return what is known of the metric, with what is set of it."""
        said = {"role": self.role, "direction": self.direction, "unit": self.unit}
        return replace(known, **{name: value for name, value in said.items() if value is not None})  # type: ignore[arg-type]

    @property
    def changes_values(self) -> bool:
        """Whether it changes under which name, or as which number, a value ranks."""
        return bool(self.alias_of or self.corrections)


class Settings(msgspec.Struct, frozen=True, omit_defaults=True):
    """The settings of one project.

    Attributes:
        primary: the metric that ranks when a URL names none.
        baseline: the model that others are compared with.
        default_view: the query of the leaderboard's plain URL.
        models, datasets: name → the name that is shown instead.
        metrics: name → what is set of it.
    """

    primary: str | None = None
    baseline: str | None = None
    default_view: str = ""
    models: dict[str, str] = {}
    datasets: dict[str, str] = {}
    metrics: dict[str, MetricSetting] = {}

    def shown(self, field: str, name: str | None) -> str:
        """Return what readers see for a `model` or a `dataset`, and for any other name itself."""
        names = {"model": self.models, "dataset": self.datasets}.get(field, {})
        return names.get(name or "", name or "") or "—"

    @classmethod
    def decode(cls, text: str | None) -> Settings:
        """Read what `encode` wrote, unchecked: what an earlier version took stays good. None is no settings.

        Raises:
            BadSettings: it is something else.
        """
        try:
            return msgspec.json.decode(text, type=cls) if text else NO_SETTINGS
        except (msgspec.DecodeError, UnicodeEncodeError) as error:
            raise BadSettings(str(error)) from error

    def encode(self) -> str:
        """Return the settings as text that is equal for equal settings."""
        return msgspec.json.encode(self, order="deterministic").decode()

    def check(self) -> None:
        """Raise `BadSettings`, which names the value, if these settings contradict themselves."""
        for key, setting in self.metrics.items():
            target = setting.alias_of
            if target == key:
                raise BadSettings(f"{key!r} cannot be another name of itself", ("alias_of", key))
            if target and self.metrics.get(target, UNSET).alias_of:
                raise BadSettings(
                    f"{key!r} cannot be another name of {target!r}, which is one itself", ("alias_of", key)
                )
            if not 0 <= setting.resolution < math.inf:
                raise BadSettings(
                    f"{setting.resolution!r} is no resolution of {key!r}: a number from 0 on",
                    ("resolution", key),
                )
            for correction in setting.corrections:
                if not 0 < abs(correction.factor) < math.inf:
                    raise BadSettings(f"{correction.factor!r} is no factor for {key!r}")
        for kind, names in (("model", self.models), ("dataset", self.datasets)):
            for name, shown in names.items():
                if len(shown) > _MAX_TEXT:
                    raise BadSettings(
                        f"{name!r} is shown by {len(shown)} characters; {_MAX_TEXT} are the most",
                        (kind, name),
                    )

    def check_labels(self, names: Mapping[str, Iterable[str]]) -> None:
        """Raise `BadSettings` if something would be shown under the name or the label of something else.

        Args:
            names: `model`, `dataset` and `key` → what there is of it in the project.
        """
        metrics = {key: setting.label for key, setting in self.metrics.items() if not setting.alias_of}
        keys = [key for key in names.get("key", ()) if not self.metric(key).alias_of]
        for kind, labels, known in (
            ("model", self.models, names.get("model", ())),
            ("dataset", self.datasets, names.get("dataset", ())),
            ("label", metrics, keys),
        ):
            of_names, shown = set(known), dict[str, str]()
            for name, label in sorted(labels.items()):
                if label in ("", name):
                    continue
                if label in of_names:
                    raise BadSettings(
                        f"{name!r} cannot be shown as {label!r}: that is another name", (kind, name)
                    )
                if label in shown:
                    raise BadSettings(
                        f"{name!r} cannot be shown as {label!r}: {shown[label]!r} is shown so", (kind, name)
                    )
                shown[label] = name

    def metric(self, key: str) -> MetricSetting:
        """Return what is set of a metric."""
        return self.metrics.get(key, UNSET)

    def resolution(self, key: str) -> float:
        """Return up to which difference two values of a metric are one."""
        return self.metric(key).resolution

    def canonical(self, key: str) -> str:
        """Return the name under which a metric ranks."""
        return self.metric(key).alias_of or key

    @property
    def changes_values(self) -> bool:
        """Whether any metric ranks under another name, or as another number, than it was sent."""
        return any(setting.changes_values for setting in self.metrics.values())

    def settle(self, metrics: Mapping[str, Any], batch_id: str) -> Mapping[str, Any]:
        """Return the metrics of a job as they rank. What is sent under a name itself wins over aliases.

        A value is corrected once: as the name says that it was sent by, else as the one that it ranks by.
        """
        if not metrics or not self.changes_values:
            return metrics
        settled: dict[str, Any] = {}
        for key, raw in sorted(metrics.items()):  # of two aliases the first by name, however they came
            name = self.canonical(key)
            if name == key or name not in metrics:
                settled.setdefault(name, self._corrected(key, raw, batch_id))
        return settled

    def _corrected(self, key: str, raw: Any, batch_id: str) -> Any:
        corrections, number = self.metric(key).corrections, finite(raw)
        if (target := self.metric(key).alias_of) and target != key:
            corrections += self.metric(target).corrections
        if not corrections or number is None:
            return raw
        found = next((one for one in corrections if one.takes(number, batch_id)), None)
        return raw if found is None else number * found.factor

    def meaning(self, key: str, declared: Convention | None) -> Convention:
        """Return unit, direction and role of a metric."""
        return self.metric(key).meaning(declared if declared is not None else convention(key))


UNSET = MetricSetting()
NO_SETTINGS = Settings()
