"""What a URL asks for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, cast

from argus_server.errors import BadView

__all__ = ["IDENTITY", "View", "column_id"]

Group = Literal["job", "cell"]
Order = Literal["", "asc", "desc"]

IDENTITY = ("model", "dataset", "seed")
_RESERVED = frozenset({*IDENTITY, "rank", "n", "batch_id", "job_id", "finished_at", "superseded_by", ""})
_PREFIX = "metric:"


def column_id(key: str) -> str:
    """Return the name by which URLs and CSV headers know a metric: its own, unless that is taken."""
    return _PREFIX + key if key in _RESERVED or key.startswith(_PREFIX) else key


@dataclass(frozen=True, slots=True)
class View:
    """Which rows, grouped and ordered how; equal URLs make equal views.

    Attributes:
        sort: id of a column; empty for the project's default metric.
        order: empty for best first (ascending where no direction is known).
        model, dataset, batch, seed, status: values to keep; empty keeps all. `status` is for lists of jobs.
        page: counted from 1.
    """

    group: Group = "job"
    sort: str = ""
    order: Order = ""
    model: tuple[str, ...] = ()
    dataset: tuple[str, ...] = ()
    batch: tuple[str, ...] = ()
    seed: tuple[str, ...] = ()
    status: tuple[str, ...] = ()
    page: int = 1

    @classmethod
    def parse(cls, query: Iterable[tuple[str, str]]) -> View:
        """Read the parameters of a URL; empty ones are as good as absent, unknown ones are ignored.

        Raises:
            BadView: a parameter has a value that means nothing.
        """
        single: dict[str, str] = {}
        several: dict[str, list[str]] = {}
        for name, value in query:
            if value != "":
                single[name] = value
                several.setdefault(name, []).append(value)
        filters = {
            name: tuple(dict.fromkeys(several.get(name, ())))
            for name in ("model", "dataset", "batch", "seed", "status")
        }
        return cls(
            group=cast(Group, _one_of("group", single.get("group", "job"), ("job", "cell"))),
            sort=single.get("sort", ""),
            order=cast(Order, _one_of("order", single.get("order", ""), ("", "asc", "desc"))),
            page=_page(single.get("page", "1")),
            **filters,
        )

    def query(self, **changes: object) -> list[tuple[str, str]]:
        """Return the parameters of this view with `changes`, defaults left out."""
        view = replace(self, **changes)  # type: ignore[arg-type]
        pairs = [("group", view.group), ("sort", view.sort), ("order", view.order), ("page", str(view.page))]
        pairs = [pair for pair in pairs if pair not in (("group", "job"), ("page", "1")) and pair[1]]
        for name in ("model", "dataset", "batch", "seed", "status"):
            pairs += [(name, value) for value in getattr(view, name)]
        return pairs

    def without(self, name: str, value: str) -> list[tuple[str, str]]:
        """Return the parameters of this view with one filter value taken out."""
        rest = tuple(item for item in getattr(self, name) if item != value)
        return self.query(page=1, **{name: rest})

    @property
    def is_filtered(self) -> bool:
        """Whether some rows are kept out on purpose."""
        return bool(self.model or self.dataset or self.batch or self.seed)


def _one_of(name: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        choices = ", ".join(item for item in known if item)
        raise BadView(f"{name}={value} is not a view; there are {choices}")
    return value


def _page(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < int(text[:10]) < 10**9 and len(text) < 10):
        raise BadView(f"page={text} is not a page; they are counted from 1")
    return int(text)
