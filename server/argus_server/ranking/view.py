"""What a URL asks for."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from argus_server.errors import BadView

__all__ = [
    "CURVE",
    "IDENTITY",
    "MISSING_IN_WORDS",
    "SEEDS_IN_WORDS",
    "STATISTICS",
    "Condition",
    "Group",
    "Missing",
    "Seeds",
    "View",
    "column_id",
    "metric_of",
    "read_further",
    "write_further",
]

Group = Literal["job", "cell", "model"]
Order = Literal["", "asc", "desc"]
Seeds = Literal["mean", "median", "best", "last"]
Missing = Literal["complete", "shared", "pairwise", "impute:worst"]
Content = Literal["mean", "best", "n", "rank", "delta"]
Rows = Literal["rank", "name"]
PairTest = Literal["wilcoxon", "nemenyi"]

SEEDS_IN_WORDS: Mapping[Seeds, str] = {
    "mean": "mean of seeds",
    "median": "median of seeds",
    "last": "last seed",
    "best": "best of seeds",
}
MISSING_IN_WORDS: Mapping[Missing, str] = {
    "complete": "complete models only",
    "shared": "datasets that all have",
    "pairwise": "datasets that each pair has",
    "impute:worst": "worst value filled in",
}
"""What becomes of the seeds of a cell, and of missing cells, as every page calls it."""
IDENTITY = ("model", "dataset", "seed")
CURVE = "val_curve"
"""The id of the column with the validation loss over epochs."""
STATISTICS = ("average_rank", "win_rate", "skill", "datasets")
"""What is computed of a model over all datasets, by the ids of its columns."""
_RESERVED = frozenset(
    {
        *(*IDENTITY, *STATISTICS, CURVE, ""),
        *("rank", "n", "batch_id", "job_id", "finished_at", "superseded_by"),
        *("tier", "seeds", "is_baseline", "separable from the best", "separation", "flags"),
        *("provisional_rank", "not_ranked_because"),
    }
)
"""What files and records have beside the metrics."""
_PARTS = (" (std)", " (n)", " (low)", " (high)", " (of)", " (p)", " (why)")
"""How the columns end that files have beside those of a metric or of a statistic."""
_PREFIX = "metric:"
_CONDITION = re.compile(r"(?P<key>.+?)\s*(?P<sign><=|>=|<|>)\s*(?P<bound>[^<>=]+)", re.DOTALL)
_FILTERS = ("model", "dataset", "batch", "seed", "host", "user", "status")
_SINGLE = ("group", "metric", "seeds", "missing", "baseline", "sort", "order", "cell", "rows", "test", "cost")
MOST_THEN = 5
"""Each further column costs a join of all jobs."""
_DEFAULTS = frozenset(
    {
        ("group", "job"),
        ("seeds", "mean"),
        ("missing", "complete"),
        ("cell", "mean"),
        ("rows", "rank"),
        ("test", "wilcoxon"),
        ("page", "1"),
    }
)


def column_id(key: str) -> str:
    """Return the name by which URLs and CSV headers know a metric: its own, unless that is taken."""
    is_taken = key in _RESERVED or key.startswith(_PREFIX) or key.endswith(_PARTS)
    return _PREFIX + key if is_taken else key


def metric_of(column: str) -> str:
    """Return the metric that `column_id` names so."""
    return column.removeprefix(_PREFIX)


def read_further(text: str) -> tuple[str, bool]:
    """Return the id of the column that `then=` names, and whether it descends: `-` before it says so.

    A metric whose name begins with `-` is `metric:-x` here, or `--x` to descend.
    """
    name = text.removeprefix("-")
    return (name if name in IDENTITY else column_id(metric_of(name))), name != text


def write_further(column: str, *, descends: bool) -> str:
    """Return what `then=` says of a column."""
    if descends:
        return "-" + column
    return _PREFIX + column if column.startswith("-") else column


@dataclass(frozen=True, slots=True)
class Condition:
    """A bound on a metric: `MSE<0.4`. What is no finite number never holds it."""

    key: str
    sign: Literal["<", "<=", ">", ">="]
    bound: float

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Read a condition as a URL has it, in the raw unit of the metric.

        Raises:
            BadView: it is none.
        """
        match = _CONDITION.fullmatch(text.strip())
        try:
            bound = float(match["bound"]) if match is not None else math.nan
        except ValueError:
            bound = math.nan
        if match is None or not math.isfinite(bound):
            raise BadView(f"where={text} is no condition; write MSE<0.4, with <, <=, > or >=")
        return cls(metric_of(match["key"]), match["sign"], bound)  # type: ignore[arg-type]

    def holds(self, number: float | None) -> bool:
        """Whether a value passes."""
        if number is None:
            return False
        if self.sign[0] == "<":
            return number < self.bound or (self.sign == "<=" and number == self.bound)
        return number > self.bound or (self.sign == ">=" and number == self.bound)

    def __str__(self) -> str:
        return f"{column_id(self.key)}{self.sign}{self.bound!r}"


@dataclass(frozen=True, slots=True)
class View:
    """Which rows, grouped and ordered how; equal URLs make equal views.

    Attributes:
        group: what a row is: a job, a cell (model × dataset), or a model over all datasets.
        metric: id of the metric that ranks; empty for the sorted one, or the project's default metric.
        seeds: how the jobs of one cell become one number.
        missing: what becomes of a model without a value on some dataset, for `group=model`.
        baseline: the model that skill and differences are measured against; empty for the project's.
        sort: id of a column; empty for the metric that ranks.
        order: empty for best first (ascending where no direction is known).
        then: ids of further columns that decide among equal rows, each with `-` before it to descend.
        col: ids of the columns to show after the model, in this order; empty for all. What tells rows
            apart is shown all the same. They shape what people read, the page and its Markdown: CSV and
            JSON keep every column.
        model, dataset, batch, seed, host, user, status: values to keep; empty keeps all. `status` is for
            lists of jobs. A filter hides rows and does not change who won, but `batch`: the jobs of these
            batches are a board of their own.
        q: text that is part of the model's, dataset's, job's or batch's name.
        where: conditions on metrics; a row must hold them all.
        cell: what a cell of a matrix shows: the number that its jobs come to, that of the best of them, how
            many they are, the rank within the dataset, or the difference to the baseline in percent.
        rows: whether the models of a matrix stand by average rank or by name.
        test: by which test the pairs of models are compared.
        cost: id of the metric that quality is held against; empty for the usual one.
        transpose: whether the datasets of a matrix are its rows.
        page: counted from 1.
        after: the cursor behind which the page begins; `page` then only says its number.
    """

    group: Group = "job"
    metric: str = ""
    seeds: Seeds = "mean"
    missing: Missing = "complete"
    baseline: str = ""
    sort: str = ""
    order: Order = ""
    then: tuple[str, ...] = ()
    col: tuple[str, ...] = ()
    model: tuple[str, ...] = ()
    dataset: tuple[str, ...] = ()
    batch: tuple[str, ...] = ()
    seed: tuple[str, ...] = ()
    host: tuple[str, ...] = ()
    user: tuple[str, ...] = ()
    status: tuple[str, ...] = ()
    q: str = ""
    where: tuple[Condition, ...] = ()
    cell: Content = "mean"
    rows: Rows = "rank"
    test: PairTest = "wilcoxon"
    cost: str = ""
    transpose: bool = False
    page: int = 1
    after: str = ""

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
        then = tuple(dict.fromkeys(several.get("then", ())))
        if len(then) > MOST_THEN:
            raise BadView(
                f"then={then[MOST_THEN]} is one column too many; {MOST_THEN} may decide among equal rows"
            )
        filters = {name: tuple(dict.fromkeys(several.get(name, ()))) for name in _FILTERS}
        return cls(
            group=cast(Group, _one_of("group", single.get("group", "job"), get_args(Group))),
            metric=single.get("metric", ""),
            seeds=cast(Seeds, _one_of("seeds", single.get("seeds", "mean"), get_args(Seeds))),
            missing=cast(Missing, _one_of("missing", single.get("missing", "complete"), get_args(Missing))),
            baseline=single.get("baseline", ""),
            then=then,
            col=tuple(dict.fromkeys(several.get("col", ()))),
            sort=single.get("sort", ""),
            order=cast(Order, _one_of("order", single.get("order", ""), ("", "asc", "desc"))),
            q=single.get("q", "").strip(),
            where=tuple(dict.fromkeys(Condition.parse(text) for text in several.get("where", ()))),
            cell=cast(Content, _one_of("cell", single.get("cell", "mean"), get_args(Content))),
            rows=cast(Rows, _one_of("rows", single.get("rows", "rank"), get_args(Rows))),
            test=cast(PairTest, _one_of("test", single.get("test", "wilcoxon"), get_args(PairTest))),
            cost=single.get("cost", ""),
            transpose=_one_of("transpose", single.get("transpose", ""), ("", "1")) == "1",
            page=_page(single.get("page", "1")),
            after=single.get("after", ""),
            **filters,
        )

    def query(self, **changes: object) -> list[tuple[str, str]]:
        """Return the parameters of this view with `changes`, defaults left out; the cursor only if given."""
        said = {"after": "", **changes}

        def of(name: str) -> Any:
            return said[name] if name in said else getattr(self, name)

        pairs = [(name, of(name)) for name in _SINGLE] + [("page", str(of("page")))]
        pairs = [pair for pair in pairs if pair[1] and pair not in _DEFAULTS]
        for name in ("then", "col", *_FILTERS):
            pairs += [(name, value) for value in of(name)]
        pairs += [("where", str(condition)) for condition in of("where")]
        pairs += [("transpose", "1" if of("transpose") else ""), ("q", of("q")), ("after", of("after"))]
        return [pair for pair in pairs if pair[1]]

    @property
    def filters(self) -> list[tuple[str, str]]:
        """Every filter of a leaderboard, as (parameter, value)."""
        pairs = [(name, value) for name in _FILTERS if name != "status" for value in getattr(self, name)]
        pairs += [("where", str(condition)) for condition in self.where]
        return [*pairs, ("q", self.q)] if self.q else pairs

    def without(self, name: str, value: str) -> list[tuple[str, str]]:
        """Return the parameters of this view with one filter value taken out."""
        if name == "q":
            return self.query(page=1, q="")
        rest = tuple(item for item in getattr(self, name) if str(item) != value)
        return self.query(page=1, **{name: rest})

    @property
    def is_filtered(self) -> bool:
        """Whether some rows are kept out on purpose."""
        return bool(self.filters)


def _one_of(name: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        choices = ", ".join(item for item in known if item)
        raise BadView(f"{name}={value} is not a view; there are {choices}")
    return value


def _page(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < int(text[:10]) < 10**9 and len(text) < 10):
        raise BadView(f"page={text} is not a page; they are counted from 1")
    return int(text)
