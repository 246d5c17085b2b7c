"""The board of a project as its indexes answer: a page costs the page, not the project."""

from __future__ import annotations

import math
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any, TypeVar

import msgspec
from sqlalchemy import (
    Connection,
    Float,
    FromClause,
    Select,
    and_,
    bindparam,
    case,
    cast,
    collate,
    exists,
    func,
    literal,
    select,
    tuple_,
)

from argus_core.conventions import Convention
from argus_core.events import number_or_none
from argus_server.ranking.board import (
    SAMPLE_JOBS,
    SAMPLE_VALUES,
    STYLE_DATASETS,
    Contest,
    Cursor,
    MemoryBoard,
    Order,
    Placed,
    Wanted,
    better_than,
    count_better,
)
from argus_server.ranking.gaps import Unfinished
from argus_server.ranking.order import Standing, text_number
from argus_server.ranking.registry import Settings
from argus_server.ranking.table import DoneJob, MetricKey
from argus_server.ranking.values import finite, flatten
from argus_server.storage import schema
from argus_server.storage.facts import ALL_JOBS, CONTESTS, SAMPLE, FactsCache
from argus_server.storage.folding import EVERY, LISTED
from argus_server.storage.meanings import read_meaning
from argus_server.storage.passing import Filters
from argus_server.storage.statements import among, chunks, fetch
from argus_server.storage.unfinished import unfinished_cells

__all__ = ["IndexedBoard", "done_jobs", "read_keys"]

_KEPT_JOBS = 5000
_FEW = 2000
_WALKED = 80
"""Where `few` rows pass, a page of 200 is met after `200 * all / few` steps, each of which costs two fifths
of looking one of the few up: both ways cost the same where `few` is the root of 80 times all."""

T = TypeVar("T")

_job, _metric = schema.job.c, schema.job_metric.c
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def read_keys(
    connection: Connection, project_id: int, settings: Settings
) -> tuple[dict[str, int], Sequence[MetricKey]]:
    """Return the number of each name that was sent, and the metrics by name; aliases add to theirs."""
    table = schema.metric_key.c
    query = select(table.key_id, table.key, table.count, table.declared)
    counts: Counter[str] = Counter()
    declared: dict[str, Convention | None] = {}
    numbers: dict[str, int] = {}
    for number, key, count, text in connection.execute(query.where(table.project_id == project_id)):
        numbers[key] = number
        name = settings.canonical(key)
        counts[name] += count
        if name == key:
            declared[key] = read_meaning(text)
    return numbers, [
        MetricKey(key, counts[key], declared.get(key), settings.metric(key))
        for key in sorted(counts)
        if counts[key]
    ]


@dataclass(frozen=True, slots=True)
class _Light:
    """A row as the walk knows it."""

    segment: int
    number: int
    value: float | None = None
    place: bytes = b""

    def cursor(self) -> Cursor:
        return Cursor(self.segment, self.value, self.number, self.place)


class IndexedBoard:
    """See `Board`. Lives as long as the transaction of its connection: one moment of the database."""

    def __init__(
        self, connection: Connection, project: Mapping[Any, Any], cache: FactsCache, now: int
    ) -> None:
        self._connection = connection
        self._now = now
        self._id: int = project["id"]
        self.project: str = project["name"]
        self.settings = Settings.decode(project["settings"])
        self._facts = cache.of(connection, self._id, project["last_seq"])
        self._key_ids, self.keys = self.memo("keys", lambda: read_keys(connection, self._id, self.settings))
        self._keys_by_id = {key_id: key for key, key_id in self._key_ids.items()}
        self._counted: dict[tuple[Order, Wanted], array[int] | None] = {}
        self._found: dict[tuple[str, Wanted], list[_Light]] = {}
        self._filters = Filters(self._id, self._key_ids, self.names)

    @cached_property
    def few(self) -> int:
        """Up to this many rows that pass the filters are sorted; more are met soon enough on a walk."""
        return max(_FEW, math.isqrt(_WALKED * sum(n for _, n in self.names(EVERY))))

    def memo(self, name: str, make: Callable[[], T]) -> T:
        """See `Board.memo`."""
        with suppress(KeyError):
            found: T = self._facts.recall(name)
            return found
        found = make()
        self._facts.keep(name, found)
        return found

    def everything(self) -> MemoryBoard:
        """See `Board.everything`. The jobs of a board that is not large are kept for its next views."""
        if sum(n for _, n in self.names(EVERY)) <= _KEPT_JOBS:
            return self.memo("every job", self._everything)
        return self._everything()

    def _everything(self) -> MemoryBoard:
        jobs = done_jobs(self._connection, self._id, self.settings)
        return MemoryBoard(self.project, self.keys, jobs, self.settings)

    def unfinished(self) -> Mapping[tuple[str, str], Unfinished]:
        """See `Board.unfinished`."""
        return unfinished_cells(self._connection, self._id, (), self._now)

    # --- counts -------------------------------------------------------------------------------

    def names(self, field: str) -> Sequence[tuple[str, int]]:
        """See `Board.names`."""
        return self.memo(f"names of {field}", lambda: self._names(field))

    def _names(self, field: str) -> Sequence[tuple[str, int]]:
        found = self._connection.execute(self._names_of(field))
        return sorted((value or "", n) for value, n in found)

    def _names_of(self, field: str) -> Select[Any]:
        table = schema.facet.c
        return select(table.value, table.n).where(
            table.project_id == self._id, table.field == field, table.status == LISTED, table.n > 0
        )

    def total(self, wanted: Wanted) -> int:
        """See `Board.total`."""
        known = self._filters.total(wanted)
        return self._passing(wanted)[0] if known is None else known

    def _passing(self, wanted: Wanted) -> tuple[int, array[int] | None]:
        """Return how many jobs pass, and which, if they are few."""
        return self.memo(f"passing {wanted}, {self.few} at most", lambda: self._pass(wanted))

    def _pass(self, wanted: Wanted) -> tuple[int, array[int] | None]:
        passing = self._filters.passing(wanted).cte("passing")
        total = select(func.count()).select_from(passing.alias()).scalar_subquery()
        rows = self._connection.execute(select(passing.c.job_no, total).limit(self.few + 1)).all()
        few = array("q", (number for number, _ in rows)) if len(rows) <= self.few else None
        return rows[0][1] if rows else 0, few

    # --- rows ---------------------------------------------------------------------------------

    def walk(
        self, order: Order, wanted: Wanted, *, after: Cursor | None, skip: int, limit: int
    ) -> tuple[list[Placed], Cursor | None]:
        """See `Board.walk`."""
        if not order.is_walked:
            return self._load(self._by_columns(order, wanted, skip, limit)), None
        few = self._few(order, wanted)
        if few is not None:
            light = self._sorted(order, few, after)[skip : skip + limit + 1]
        else:
            light = self._walked(order, wanted, after, skip, limit + 1)
        following = light[limit - 1].cursor() if len(light) > limit else None
        return self._load([item.number for item in light[:limit]]), following

    def _by_columns(self, order: Order, wanted: Wanted, skip: int, limit: int) -> Sequence[int]:
        """Return the jobs of a counted page. Who asks for a second one reads on: then all are sorted once."""
        asked = order, wanted
        if asked in self._counted:
            if self._counted[asked] is None:
                self._counted[asked] = array("q", self._connection.scalars(self._ordered(order, wanted)))
            return (self._counted[asked] or ())[skip : skip + limit]
        self._counted[asked] = None
        return self._connection.scalars(self._ordered(order, wanted).limit(limit).offset(skip)).all()

    def _ordered(self, order: Order, wanted: Wanted) -> Select[Any]:
        """Return the SELECT of all job numbers by one column after the other."""
        table: FromClause = schema.job
        ordering: list[Any] = [_job.standing]
        for column in (order, *order.then):
            if column.is_metric:
                own = schema.job_metric.alias()
                same = and_(own.c.project_id == _job.project_id, own.c.job_no == _job.job_no)
                table = table.outerjoin(own, and_(same, own.c.key_id == self._key_ids[column.by]))
                what = own.c.value
                ordering.append(case((own.c.key_id.is_(None), 2), (what.is_(None), 1), else_=0))
            else:
                name = getattr(_job, column.by)
                what = _job.seed_place if column.by == "seed" else _bytewise(self._connection, name)
                ordering.append(name.is_(None))
            ordering.append(what.desc() if column.descends else what)
        query = self._filters.listed(select(_job.job_no), wanted, table)
        return query.order_by(*ordering, _job.place, _job.job_no)

    def _few(self, order: Order, wanted: Wanted) -> list[_Light] | None:
        """Return the jobs that pass, if they are few; None if they are many, or if nobody needs to know."""
        if wanted.is_everything or wanted == Wanted(dataset=wanted.dataset):
            return None
        known = self._filters.total(wanted)
        numbers = self._passing(wanted)[1] if known is None or known <= self.few else None
        if numbers is None:
            return None
        if (order.by, wanted) not in self._found:
            self._found[order.by, wanted] = self._with_values(self._key_ids[order.by], numbers)
        return self._found[order.by, wanted]

    def _with_values(self, key_id: int, numbers: Sequence[int]) -> list[_Light]:
        """Return these jobs as the walk of a metric would."""
        found: list[_Light] = []
        without: dict[int, int] = {}
        for some in chunks(numbers):
            values = {"project": self._id, "key": key_id}
            for number, standing, key, value in fetch(self._connection, _values_of(), values, some):
                late = 3 if standing == Standing.SUPERSEDED else 0
                if key is None:
                    without[number] = late + 2
                else:
                    found.append(_Light(late + (value is None), number, value))
        for some in chunks(sorted(without)):
            for number, place, _ in fetch(self._connection, _places_of(), {"project": self._id}, some):
                found.append(_Light(without[number], number, None, bytes(place)))
        return found

    def _sorted(self, order: Order, few: Sequence[_Light], after: Cursor | None) -> list[_Light]:
        """Return these jobs in order, those after the cursor."""
        keyed = sorted(((order.key(item.cursor()), item) for item in few), key=lambda pair: pair[0])
        passed = order.key(after) if after is not None else None
        return [item for key, item in keyed if passed is None or key > passed]

    def _walked(
        self, order: Order, wanted: Wanted, after: Cursor | None, skip: int, limit: int
    ) -> list[_Light]:
        """Return the next rows by walking the index, one segment after the other."""
        found: list[_Light] = []
        for segment in range(after.segment if after is not None else 0, 6):
            query = self._segment(order, wanted, segment)
            start = after if after is not None and after.segment == segment else None
            rows = self._connection.execute(
                _beyond(query, order, segment, start).limit(limit - len(found)).offset(skip)
            ).all()
            if skip and not rows:
                inside = query.order_by(None).subquery()
                skip -= int(self._connection.scalar(select(func.count()).select_from(inside)) or 0)
                continue
            skip = 0
            for number, place in rows:
                is_missing = segment % 3 == 2
                found.append(
                    _Light(segment, number, None if is_missing else place, place if is_missing else b"")
                )
            if len(found) >= limit:
                break
        return found

    def _segment(self, order: Order, wanted: Wanted, segment: int) -> Select[Any]:
        """Return job number and value (or place) of one class of rows, in order."""
        standing = Standing.SUPERSEDED if segment >= 3 else Standing.COUNTS
        key_id, kind = self._key_ids[order.by], segment % 3
        if kind == 2:
            has = exists().where(
                _metric.project_id == _job.project_id,
                _metric.job_no == _job.job_no,
                _metric.key_id == key_id,
            )
            missing = self._filters.listed(select(_job.job_no, _job.place), wanted)
            return missing.where(_job.standing == int(standing), ~has).order_by(_job.place, _job.job_no)
        conditions = [_metric.project_id == self._id, _metric.key_id == key_id]
        conditions += [_metric.standing == int(standing)]
        conditions += [_metric.value.is_(None) if kind == 1 else _metric.value.is_not(None)]
        if wanted.dataset:
            conditions.append(_metric.dataset_no.in_([text_number(name) for name in wanted.dataset]))
        query: Select[Any] = select(_metric.job_no, _metric.value)
        if self._filters.needs_job(wanted):
            same = and_(_job.project_id == _metric.project_id, _job.job_no == _metric.job_no)
            query = query.select_from(schema.job_metric.join(schema.job, same))
            conditions += self._filters.columns(replace(wanted, dataset=()))
        conditions += self._filters.bounds(wanted, _metric)
        columns = [_metric.value, _metric.job_no] if kind == 0 else [_metric.job_no]
        return query.where(*conditions).order_by(
            *(column.desc() if order.descends else column for column in columns)
        )

    def _load(self, numbers: Sequence[int]) -> list[Placed]:
        """Return these jobs, in this order."""
        late: dict[int, int] = {}
        jobs: dict[int, DoneJob] = {}
        for some in chunks(numbers):
            for row in fetch(self._connection, _jobs_of(), {"project": self._id}, some):
                number, standing, replica = row[-3:]
                jobs[number] = _done_job(row, self.settings)
                if standing == Standing.SUPERSEDED:
                    late[number] = replica
        winners = self._winners(set(late.values()))
        return [
            Placed(jobs[number], winners.get(late[number]) if number in late else None) for number in numbers
        ]

    def _winners(self, replicas: Collection[int]) -> dict[int, tuple[str, str]]:
        """Return which job counts in each of these groups of repetitions."""
        winners = {}
        for some in chunks(sorted(replicas)):
            query = select(_job.replica_no, _job.batch_id, _job.job_id).where(
                _job.project_id == self._id,
                _job.replica_no.in_(some),
                _job.standing == int(Standing.COUNTS),
            )
            winners.update({row[0]: (row[1], row[2]) for row in self._connection.execute(query)})
        return winners

    # --- what they compete for ----------------------------------------------------------------

    def contests(
        self, directions: Mapping[str, bool], datasets: Collection[str]
    ) -> Mapping[tuple[str, str], Contest]:
        """See `Board.contests`."""
        usual = [name for name, _ in self.names("dataset")[:STYLE_DATASETS]]
        known: Mapping[str, Mapping[str, Contest]] = {}
        with suppress(KeyError):
            asked, kept = self._facts.recall(CONTESTS)
            known = kept if asked == directions else {}
        missing = [name for name in usual if name not in known]
        if missing:
            known = {name: known[name] for name in usual if name in known} | self._contests(
                directions, missing
            )
            self._facts.keep(CONTESTS, (dict(directions), known))
        more = self._contests(directions, [name for name in datasets if name not in known])
        return {
            (key, name): contest
            for found in (known, more)
            for name, contests in found.items()
            if name in datasets
            for key, contest in contests.items()
        }

    def _contests(
        self, directions: Mapping[str, bool], datasets: Sequence[str]
    ) -> dict[str, Mapping[str, Contest]]:
        """Return dataset → key → its best values, of these datasets."""
        found: dict[str, dict[str, Contest]] = {name: {} for name in datasets}
        by_number = {text_number(name): name for name in datasets}
        for higher in (False, True):
            key_ids = [self._key_ids[key] for key, is_higher in directions.items() if is_higher == higher]
            for some in chunks(sorted(by_number)) if key_ids else ():
                for key_id, number, best, second in self._ends(key_ids, some, higher=higher):
                    if best is not None:
                        found[by_number[number]][self._keys_by_id[key_id]] = Contest(best, second)
        return {**found}

    def _ends(self, key_ids: Sequence[int], datasets: Sequence[int], *, higher: bool) -> Iterable[Any]:
        """Yield key, dataset and the two best values of each pair."""
        key, facet = schema.metric_key.c, schema.facet.c

        def value(position: int) -> Any:
            ordering = _metric.value.desc() if higher else _metric.value
            return (
                select(_metric.value)
                .where(
                    _metric.project_id == self._id,
                    _metric.key_id == key.key_id,
                    _metric.dataset_no == facet.value_no,
                    _metric.standing == int(Standing.COUNTS),
                    _metric.value.is_not(None),
                )
                .order_by(ordering)
                .limit(1)
                .offset(position)
                .correlate(schema.metric_key, schema.facet)
                .scalar_subquery()
            )

        pairs = schema.metric_key.join(schema.facet, facet.project_id == key.project_id)
        query = select(key.key_id, facet.value_no, value(0), value(1)).select_from(pairs)
        query = query.where(
            key.project_id == self._id,
            key.key_id.in_(key_ids),
            facet.field == "dataset",
            facet.status == LISTED,
            facet.value_no.in_(datasets),
        )
        return self._connection.execute(query)

    def better(
        self, key: str, pairs: Collection[tuple[str, float]], *, higher: bool, limit: int
    ) -> Mapping[tuple[str, float], int]:
        """See `Board.better`."""
        by_dataset: dict[str, list[float]] = defaultdict(list)
        for dataset, value in pairs:
            by_dataset[dataset].append(value)
        counted = {}
        for dataset, values in by_dataset.items():
            best, worst = (max(values), min(values)) if higher else (min(values), max(values))
            if self._better_than(key, dataset, best, higher=higher, skip=limit - 1, limit=1):
                counted.update({(dataset, value): limit for value in values})
                continue
            top = self._better_than(key, dataset, worst, higher=higher, limit=limit)
            for value in values:
                count = count_better(top, value, higher=higher, resolution=self.settings.resolution(key))
                counted[dataset, value] = min(count, limit)
        return counted

    def _better_than(
        self, key: str, dataset: str, value: float, *, higher: bool, skip: int = 0, limit: int
    ) -> Sequence[float]:
        """Return the values of a dataset that are better than one, ascending: the best but for `skip`."""
        asked = {
            "project": self._id,
            "key": self._key_ids[key],
            "dataset": text_number(dataset),
            "bound": better_than(value, higher=higher, resolution=self.settings.resolution(key)),
            "skip": skip,
            "limit": limit,
        }
        found = fetch(self._connection, _better(higher=higher), asked)
        values = array("d", [number for (number,) in found])
        return values[::-1] if higher else values

    def values(self, key: str) -> Mapping[str, Sequence[float]]:
        """See `Board.values`."""
        names = {text_number(name): name for name, _ in self.names("dataset")}
        query = (
            select(_metric.dataset_no, _metric.value)
            .where(
                _metric.project_id == self._id,
                _metric.key_id == self._key_ids[key],
                _metric.standing == int(Standing.COUNTS),
                _metric.value.is_not(None),
            )
            .order_by(_metric.dataset_no, _metric.value)
        )
        found: dict[str, array[float]] = defaultdict(lambda: array("d"))
        for number, value in self._connection.execute(query.execution_options(yield_per=10_000)):
            found[names[number]].append(value)
        return found

    def sample(self) -> Mapping[str, Sequence[float]]:
        """See `Board.sample`."""
        with suppress(KeyError):
            known: Mapping[str, Sequence[float]] = self._facts.recall(SAMPLE)[0]
            if self._key_ids.keys() <= known.keys():
                return known
        found = self._sample()
        self._facts.keep(SAMPLE, found)
        return found[0]

    def _sample(self) -> tuple[dict[str, list[float]], int]:
        """Return the sample, and the number of a job up to which a result may change it."""
        some = select(_metric.job_no).where(_metric.project_id == self._id).distinct()
        numbers = self._connection.scalars(some.order_by(_metric.job_no).limit(SAMPLE_JOBS)).all()
        found: dict[str, list[float]] = defaultdict(list)
        # Out of the jobs: asked for the metrics of these, SQLite reads those of the whole project.
        for item in self._load(numbers):
            for key, raw in item.job.metrics.items():
                if (value := finite(raw)) is not None:
                    found[key].append(value)
        rare = self._key_ids.keys() - found.keys()
        for key in rare:
            found[key] = self._lowest(key)
        return found, ALL_JOBS if rare or len(numbers) < SAMPLE_JOBS else numbers[-1]

    def _lowest(self, key: str) -> list[float]:
        query = select(_metric.value).where(
            _metric.project_id == self._id,
            _metric.key_id == self._key_ids[key],
            _metric.standing == int(Standing.COUNTS),
            _metric.value.is_not(None),
        )
        return list(self._connection.scalars(query.order_by(_metric.value).limit(SAMPLE_VALUES)))

    def means(self, key: str) -> Sequence[tuple[str, str, float | None]]:
        """See `Board.means`."""
        return self.memo(f"means of {key}", lambda: self._means(key))

    def _means(self, key: str) -> Sequence[tuple[str, str, float | None]]:
        same = and_(_job.project_id == _metric.project_id, _job.job_no == _metric.job_no)
        table = schema.job_metric.join(schema.job, same)
        here = (
            _metric.project_id == self._id,
            _metric.key_id == self._key_ids[key],
            _metric.standing == int(Standing.COUNTS),
        )
        mean = func.avg(cast(_metric.value, Float))
        query = select(_job.model, _job.dataset, mean).select_from(table).where(*here)
        means: dict[tuple[str, str], float | None] = {
            (model or "", dataset or ""): value
            for model, dataset, value in self._connection.execute(query.group_by(_job.model, _job.dataset))
            if value is not None  # no number at all, or below one that is not finite
        }
        odd = select(_job.model, _job.dataset, _job.batch_id, _job.metrics).select_from(table)
        odd = odd.where(*here, _metric.value.is_(None))
        for model, dataset, batch_id, text in self._connection.execute(odd):
            settled = self.settings.settle(flatten(msgspec.json.decode(text)), batch_id)
            if number_or_none(settled.get(key)) is not None:
                means[model or "", dataset or ""] = None  # a seed diverged, and so the mean did
        return [(model, dataset, value) for (model, dataset), value in sorted(means.items())]


@cache
def _better(*, higher: bool) -> Select[Any]:
    """Return the SELECT of the values of a dataset beyond a bound, the best first."""
    bound = bindparam("bound", type_=Float)
    query = select(_metric.value).where(
        _metric.project_id == bindparam("project"),
        _metric.key_id == bindparam("key"),
        _metric.dataset_no == bindparam("dataset"),
        _metric.standing == int(Standing.COUNTS),
        _metric.value > bound if higher else _metric.value < bound,
    )
    return (
        query.order_by(_metric.value.desc() if higher else _metric.value)
        .limit(bindparam("limit"))
        .offset(bindparam("skip"))
    )


# --- rows -------------------------------------------------------------------------------------


@cache
def _values_of() -> Select[Any]:
    """Return the SELECT of one metric of jobs, by their numbers; its key is NULL where a job has none."""
    same = and_(_metric.project_id == _job.project_id, _metric.job_no == _job.job_no)
    table = schema.job.outerjoin(schema.job_metric, and_(same, _metric.key_id == bindparam("key")))
    query = select(_job.job_no, _job.standing, _metric.key_id, _metric.value).select_from(table)
    return query.where(_job.project_id == bindparam("project"), among(_job.job_no))


@cache
def _places_of() -> Select[Any]:
    """Return the SELECT of where jobs stand by name, by their numbers.

    The last column makes SQLite look them up: without it, it reads the whole of an index that has all others.
    """
    query = select(_job.job_no, _job.place, _job.first_event_us)
    return query.where(_job.project_id == bindparam("project"), among(_job.job_no))


@cache
def _jobs_of() -> Select[Any]:
    """Return the SELECT of jobs by their numbers."""
    return select(*_COLUMNS, _job.job_no, _job.standing, _job.replica_no).where(
        _job.project_id == bindparam("project"), among(_job.job_no)
    )


_COLUMNS = (
    _job.batch_id,
    _job.job_id,
    _job.model,
    _job.dataset,
    _job.seed,
    _job.metrics,
    _job.ended_us,
    _job.fast_dev_run,
    _job.host,
    _job.user,
    _job.commit,
    _job.epochs_total,
    _job.train_epochs,
)


def _done_job(row: Sequence[Any], settings: Settings) -> DoneJob:
    batch_id, job_id, model, dataset, seed, metrics, ended_us, fast_dev_run, *source = row[: len(_COLUMNS)]
    flat = settings.settle(flatten(_decode(metrics)), batch_id) if metrics else {}
    return DoneJob(batch_id, job_id, model, dataset, seed, flat, ended_us, bool(fast_dev_run), *source)


def done_jobs(
    connection: Connection, project_id: int, settings: Settings, batches: Sequence[str] = ()
) -> list[DoneJob]:
    """Return the done jobs of a project, or of some of its batches."""
    query = select(*_COLUMNS).where(_job.project_id == project_id, _job.status == "done")
    if batches:
        query = query.where(_job.batch_id.in_(batches))
    return [_done_job(row, settings) for row in connection.execute(query)]


def _beyond(query: Select[Any], order: Order, segment: int, after: Cursor | None) -> Select[Any]:
    """Return the rows of a segment that come after the cursor."""
    if after is None:
        return query
    kind = segment % 3
    if kind == 2:
        return query.where(tuple_(_job.place, _job.job_no) > tuple_(literal(after.place), after.number))
    if kind == 1:
        number = _metric.job_no
        return query.where(number < after.number if order.descends else number > after.number)
    here, there = tuple_(_metric.value, _metric.job_no), tuple_(literal(after.value, Float), after.number)
    return query.where(here < there if order.descends else here > there)


def _bytewise(connection: Connection, column: Any) -> Any:
    """Return a text to sort by as both databases and Python do: by its code points."""
    return collate(column, "C") if connection.dialect.name == "postgresql" else column
