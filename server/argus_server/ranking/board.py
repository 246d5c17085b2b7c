"""What ranking asks of the jobs of a project, wherever they are kept.

A `Board` answers questions about its jobs without ranking anything: which come next in an order, which
values are at the top of a dataset, how many are better than one. `MemoryBoard` holds its jobs in
memory; the storage has another that asks an index. Both answer alike.
"""

from __future__ import annotations

import math
import statistics
from array import array
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeVar

from argus_core.events import number_or_none
from argus_server.errors import BadView
from argus_server.ranking.gaps import Unfinished
from argus_server.ranking.order import job_number, natural_seed, place_of
from argus_server.ranking.registry import NO_SETTINGS, Settings
from argus_server.ranking.table import DoneJob, MetricKey, weight_of_jobs
from argus_server.ranking.values import finite
from argus_server.ranking.view import Condition, View
from argus_server.weighed import weight_of

__all__ = [
    "TIE",
    "Board",
    "Contest",
    "Cursor",
    "MemoryBoard",
    "Order",
    "Placed",
    "Wanted",
    "better_than",
    "count_better",
    "room_around",
    "tied",
]

T = TypeVar("T")

TIE = 1e-9
SAMPLE_JOBS = 200
SAMPLE_VALUES = 50
"""How many jobs, drawn by their numbers, decide the unit and the decimals of a column; for a metric
that none of them has, how many of its lowest values."""
STYLE_DATASETS = 64
"""How many datasets, by name, have a say in the decimals of a column."""


def tied(a: float, b: float, resolution: float = 0.0) -> bool:
    """Whether two values are one, up to rounding, or up to what the metric can tell apart."""
    return abs(a - b) <= resolution + TIE * max(abs(a), abs(b))


def room_around(value: float, resolution: float = 0.0) -> float:
    """Return how far from a value others are still tied with it."""
    return resolution + TIE * abs(value)


def better_than(value: float, *, higher: bool, resolution: float = 0.0) -> float:
    """Return the bound beyond which a value is better than this one, and not tied with it."""
    room = room_around(value, resolution)
    return value + room if higher else value - room


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows to show. They hide others; they do not change who won."""

    model: tuple[str, ...] = ()
    dataset: tuple[str, ...] = ()
    batch: tuple[str, ...] = ()
    seed: tuple[str, ...] = ()
    host: tuple[str, ...] = ()
    user: tuple[str, ...] = ()
    text: str = ""
    conditions: tuple[Condition, ...] = ()

    @classmethod
    def of(cls, view: View) -> Wanted:
        """Return the filters of a view."""
        return cls(view.model, view.dataset, view.batch, view.seed, view.host, view.user, view.q, view.where)

    @property
    def is_everything(self) -> bool:
        """Whether no row is hidden."""
        return self == Wanted()

    def takes(self, job: DoneJob) -> bool:
        """Whether a job is to be shown."""
        return (
            all(
                not values or (getattr(job, name) or "") in values
                for name, values in (
                    ("model", self.model),
                    ("dataset", self.dataset),
                    ("batch_id", self.batch),
                    ("seed", self.seed),
                    ("host", self.host),
                    ("user", self.user),
                )
            )
            and (not self.text or _contains(job, self.text.lower()))
            and all(condition.holds(finite(job.metrics.get(condition.key))) for condition in self.conditions)
        )


def _contains(job: DoneJob, text: str) -> bool:
    return any(text in (name or "").lower() for name in (job.model, job.dataset, job.job_id, job.batch_id))


@dataclass(frozen=True, slots=True)
class Order:
    """How rows stand: by a metric or by one of the identity columns, one way or the other.

    Attributes:
        then: what decides among rows that are equal so far; these have no `then` of their own.
    """

    by: str
    is_metric: bool
    descends: bool
    then: tuple[Order, ...] = ()

    @property
    def is_walked(self) -> bool:
        """Whether an index has this order: then a cursor says where a page begins, else an offset does."""
        return self.is_metric and not self.then

    def key(self, cursor: Cursor) -> tuple[Any, ...]:
        """Return what the rows of a table by metric are compared by.

        Numbers turn round, and equal ones with them; rows without one do not.
        """
        sign = -1 if self.descends and cursor.segment % 3 < 2 else 1
        value = 0.0 if cursor.value is None else cursor.value
        return cursor.segment, sign * value, cursor.place, sign * cursor.number


@dataclass(frozen=True, slots=True)
class Placed:
    """A job in its place, and the (batch_id, job_id) of the one that supersedes it."""

    job: DoneJob
    superseded_by: tuple[str, str] | None = None
    entry: Any = None
    """The `Entry` of a row that stands for several jobs."""
    competes: bool = True
    """Whether it is known what the row is about; else it is compared with nothing."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """Behind which row a page begins.

    Attributes:
        segment: 0 to 5: rows that count with a number, with something else, without the metric; then
            the superseded ones likewise.
        value: the number of that row.
        number: the row's job number.
        place: the row's place, in the segments without the metric.
    """

    segment: int
    value: float | None = None
    number: int = 0
    place: bytes = b""

    def text(self) -> str:
        """Return the cursor as a URL carries it."""
        value = "" if self.value is None else repr(self.value + 0.0)  # −0.0 and 0.0 are one place
        return f"{self.segment}~{value}~{self.number}~{self.place.hex()}"

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Read what `text` wrote.

        Raises:
            BadView: it is something else.
        """
        try:
            segment, value, number, place = text.split("~")
            cursor = cls(int(segment), float(value) if value else None, int(number), bytes.fromhex(place))
        except ValueError:
            raise BadView(f"after={text} is not a place in a table") from None
        if (
            not 0 <= cursor.segment < 6
            or not -(2**63) <= cursor.number < 2**63
            or cursor.value != cursor.value
        ):
            raise BadView(f"after={text} is not a place in a table")
        return cursor


@dataclass(frozen=True, slots=True)
class Contest:
    """The two best values of one metric on one dataset, of `n` or more that compete (n is 0, 1 or 2)."""

    best: float
    second: float | None = None


class Board(Protocol):
    """The jobs that compete with each other: those of a project, or of some of its batches."""

    project: str
    settings: Settings
    keys: Sequence[MetricKey]

    def names(self, field: str) -> Sequence[tuple[str, int]]:
        """Return the values of a field that jobs can be filtered by, each with its number of jobs.

        Args:
            field: `model`, `dataset`, `seed`, `host`, `user`, or `batch`, which costs a look at every job.
        """

    def total(self, wanted: Wanted) -> int:
        """Return how many rows there are."""

    def walk(
        self, order: Order, wanted: Wanted, *, after: Cursor | None, skip: int, limit: int
    ) -> tuple[list[Placed], Cursor | None]:
        """Return the next rows in this order, and where the ones after them begin, if there are any.

        Finite values come first, then what is only shown, then jobs without the metric; this is so in
        both directions. What is superseded comes after all of them. Equal values stand by job number.

        An order by a name, or by several columns, gives no cursor: its pages are counted.
        """

    def contests(
        self, directions: Mapping[str, bool], datasets: Collection[str]
    ) -> Mapping[tuple[str, str], Contest]:
        """Return (key, dataset) → its best values.

        Args:
            directions: key → whether higher is better.
            datasets: whose values are asked for.
        """

    def better(
        self, key: str, pairs: Collection[tuple[str, float]], *, higher: bool, limit: int
    ) -> Mapping[tuple[str, float], int]:
        """Return for each (dataset, value) how many values are better and not tied; at most `limit`."""

    def values(self, key: str) -> Mapping[str, Sequence[float]]:
        """Return dataset → its values of a metric that compete, ascending."""

    def sample(self) -> Mapping[str, Sequence[float]]:
        """Return key → some of its values, drawn the same way every time."""

    def means(self, key: str) -> Sequence[tuple[str, str, float | None]]:
        """Return (model, dataset, mean over the jobs that count), None where one diverged; made once."""

    def memo(self, name: str, make: Callable[[], T]) -> T:
        """Return what `make` returns, made once for this version of the board."""

    def everything(self) -> MemoryBoard:
        """Return a board with all these jobs at hand."""

    def unfinished(self) -> Mapping[tuple[str, str], Unfinished]:
        """Return (model, dataset) → the latest of its jobs that are not done, if it has any."""


@dataclass
class MemoryBoard:
    """A board whose jobs are all at hand; of some batches only, if they are named."""

    project: str
    keys: Sequence[MetricKey]
    jobs: Sequence[DoneJob]
    settings: Settings = NO_SETTINGS
    batches: tuple[str, ...] = ()
    others: Callable[[], Mapping[tuple[str, str], Unfinished]] = dict
    """What `unfinished` answers with."""
    placed: list[Placed] = field(init=False)

    def __post_init__(self) -> None:
        self.jobs = [
            job
            for job in self.jobs
            if not job.fast_dev_run and (not self.batches or job.batch_id in self.batches)
        ]
        replaced = superseded(self.jobs)
        self.placed = [Placed(job, replaced.get((job.batch_id, job.job_id))) for job in self.jobs]
        self._values: dict[str, dict[str, array[float]]] = {}
        self._memo: dict[str, Any] = {}
        self._bytes: int | None = None

    def memory_bytes(self) -> int:
        """Return what the board takes in memory: see `weight_of`."""
        if self._bytes is None:
            self._bytes = weight_of_jobs(self.jobs) + weight_of([self.keys, self.settings])
        return self._bytes

    def memo(self, name: str, make: Callable[[], T]) -> T:
        """See `Board.memo`."""
        if name not in self._memo:
            self._memo[name] = make()
        found: T = self._memo[name]
        return found

    def everything(self) -> MemoryBoard:
        """See `Board.everything`."""
        return self

    def unfinished(self) -> Mapping[tuple[str, str], Unfinished]:
        """See `Board.unfinished`."""
        return self.others()

    def names(self, field: str) -> Sequence[tuple[str, int]]:
        """See `Board.names`."""
        attribute = "batch_id" if field == "batch" else field
        return sorted(Counter(getattr(job, attribute) or "" for job in self.jobs).items())

    def total(self, wanted: Wanted) -> int:
        """See `Board.total`."""
        return sum(wanted.takes(job) for job in self.jobs)

    def walk(
        self, order: Order, wanted: Wanted, *, after: Cursor | None, skip: int, limit: int
    ) -> tuple[list[Placed], Cursor | None]:
        """See `Board.walk`."""
        rows = [item for item in self.placed if wanted.takes(item.job)]
        if not order.is_walked:
            return _by_columns(order, rows)[skip : skip + limit], None
        keyed = sorted(((order.key(cursor_at(order, item)), item) for item in rows), key=_first)
        if after is not None:
            passed = order.key(after)
            keyed = [pair for pair in keyed if pair[0] > passed]
        page = keyed[skip : skip + limit]
        more = len(keyed) > skip + limit
        return [item for _, item in page], cursor_at(order, page[-1][1]) if more else None

    def contests(
        self, directions: Mapping[str, bool], datasets: Collection[str]
    ) -> Mapping[tuple[str, str], Contest]:
        """See `Board.contests`."""
        found = {}
        for key, higher in directions.items():
            for dataset, values in self.values(key).items():
                if dataset in datasets:
                    ends = values[-1:-3:-1] if higher else values[:2]
                    found[key, dataset] = Contest(ends[0], ends[1] if len(ends) > 1 else None)
        return found

    def better(
        self, key: str, pairs: Collection[tuple[str, float]], *, higher: bool, limit: int
    ) -> Mapping[tuple[str, float], int]:
        """See `Board.better`."""
        counted, resolution = {}, self.settings.resolution(key)
        for dataset, value in pairs:
            values = self.values(key).get(dataset, ())
            count = count_better(values, value, higher=higher, resolution=resolution)
            counted[dataset, value] = min(count, limit)
        return counted

    def values(self, key: str) -> Mapping[str, Sequence[float]]:
        """See `Board.values`."""
        if key not in self._values:
            found: dict[str, list[float]] = defaultdict(list)
            for item in self.placed:
                number = finite(item.job.metrics.get(key))
                if item.competes and item.superseded_by is None and number is not None:
                    found[item.job.dataset or ""].append(number)
            self._values[key] = {dataset: array("d", sorted(some)) for dataset, some in found.items()}
        return self._values[key]

    def sample(self) -> Mapping[str, Sequence[float]]:
        """See `Board.sample`."""
        measured = (job for job in self.jobs if job.metrics)
        found: dict[str, list[float]] = defaultdict(list)
        for job in sorted(measured, key=lambda job: job_number(job.batch_id, job.job_id))[:SAMPLE_JOBS]:
            for key, raw in job.metrics.items():
                if (number := finite(raw)) is not None:
                    found[key].append(number)
        for key in {key.key for key in self.keys} - found.keys():
            values = sorted(value for some in self.values(key).values() for value in some)
            found[key] = values[:SAMPLE_VALUES]
        return found

    def means(self, key: str) -> Sequence[tuple[str, str, float | None]]:
        """See `Board.means`."""
        return self.memo(f"means of {key}", lambda: self._means(key))

    def _means(self, key: str) -> Sequence[tuple[str, str, float | None]]:
        found: dict[tuple[str, str], list[float]] = defaultdict(list)
        for item in self.placed:
            number = number_or_none(item.job.metrics.get(key))
            if item.superseded_by is None and number is not None:
                found[item.job.model or "", item.job.dataset or ""].append(number)
        return [
            (model, dataset, mean if math.isfinite(mean := statistics.fmean(values)) else None)
            for (model, dataset), values in sorted(found.items())
        ]


def count_better(values: Sequence[float], value: float, *, higher: bool, resolution: float = 0.0) -> int:
    """Return how many of the ascending `values` are better than `value`, and not tied with it."""
    bound = better_than(value, higher=higher, resolution=resolution)
    return len(values) - bisect_right(values, bound) if higher else bisect_left(values, bound)


def superseded(jobs: Iterable[DoneJob]) -> dict[tuple[str, str], tuple[str, str]]:
    """Return which of these jobs is replaced by which: same model, dataset and seed, finished later.

    What nobody has said is not the same: jobs without a model, dataset or seed replace nothing. Only
    `jobs` themselves replace each other: on the board of one batch, a later job of another batch does
    not count, and so takes no row away.
    """
    groups: dict[tuple[str | None, ...], list[DoneJob]] = defaultdict(list)
    for job in jobs:
        if None not in (job.model, job.dataset, job.seed):
            groups[job.model, job.dataset, job.seed].append(job)
    replaced = {}
    for group in groups.values():
        last = max(group, key=lambda job: (job.finished_us, job.batch_id, job.job_id))
        for job in group:
            if job is not last:
                replaced[job.batch_id, job.job_id] = last.batch_id, last.job_id
    return replaced


def _first(pair: tuple[Any, Any]) -> Any:
    return pair[0]


# --- the order --------------------------------------------------------------------------------


def segment_of(order: Order, item: Placed) -> int:
    """Return which of the six classes of rows one belongs to; see `Cursor`."""
    return (3 if item.superseded_by is not None else 0) + _class_of(order, item.job)


def _class_of(order: Order, job: DoneJob) -> int:
    """Return 0 for a job with a number or a name, 1 for one with something else, 2 for one without."""
    if not order.is_metric:
        return 0 if getattr(job, order.by) is not None else 2
    raw = job.metrics.get(order.by)
    return 2 if raw is None else 0 if finite(raw) is not None else 1


def cursor_at(order: Order, item: Placed) -> Cursor:
    """Return the cursor behind a row of a table that is ordered by a metric."""
    job = item.job
    number, segment = job_number(job.batch_id, job.job_id), segment_of(order, item)
    if segment % 3 == 2:
        return Cursor(segment, None, number, place_of(job.model, job.dataset, job.seed))
    return Cursor(segment, finite(job.metrics.get(order.by)), number)


def _by_columns(order: Order, placed: Iterable[Placed]) -> list[Placed]:
    """Return rows by one column after the other, and by name where all of them are equal.

    Rows without a value stand last among their like, superseded ones after all.
    """

    def place(item: Placed) -> tuple[bytes, int]:
        job = item.job
        return place_of(job.model, job.dataset, job.seed), job_number(job.batch_id, job.job_id)

    rows = sorted(placed, key=place)
    for column in reversed((order, *order.then)):
        rows.sort(key=partial(_compared, column), reverse=column.descends)
        rows.sort(key=partial(_class_of_row, column))
    return sorted(rows, key=lambda item: item.superseded_by is not None)


def _class_of_row(order: Order, item: Placed) -> int:
    return _class_of(order, item.job)


def _compared(order: Order, item: Placed) -> Any:
    """Return what rows of one class are compared by in one column."""
    if not order.is_metric:
        return identity_text(order.by, item.job)
    number = finite(item.job.metrics.get(order.by))
    return 0.0 if number is None else number


def identity_text(name: str, job: DoneJob) -> str:
    """Return what an identity column is sorted by: seed 2 comes before seed 10."""
    text = getattr(job, name) or ""
    return natural_seed(text) if name == "seed" else text


def in_natural_order(items: Sequence[Placed], order: Order) -> list[Placed]:
    """Return the rows of a page with equal values side by side as people would list them."""
    if not order.is_walked:
        return list(items)
    result: list[Placed] = []
    start = 0
    keys = [(segment_of(order, item), finite(item.job.metrics.get(order.by))) for item in items]
    for end in range(1, len(items) + 1):
        if end == len(items) or keys[end] != keys[start]:
            result += sorted(items[start:end], key=lambda item: item.job.order)
            start = end
    return result
