"""Statements that every request runs: built and compiled once, and given to the driver as they are.

SQLAlchemy builds, hashes and binds a statement in about 0.2 ms, and each row of it in 4 µs: for single events
that is more than the database takes.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, Executable, Select, Table, bindparam, func, or_, select, update
from sqlalchemy.exc import DBAPIError

from argus_server.storage.dialect import upsert

__all__ = [
    "Change",
    "among",
    "chunks",
    "contains",
    "execute",
    "execute_many",
    "fetch",
    "insert_if_new",
    "insert_into",
    "insert_tuples",
    "rows_where",
    "update_by",
    "write_rows",
]


class Change(NamedTuple):
    """What became of a row.

    Attributes:
        before: what it was; None if there was none.
        after: what it is.
        is_small: whether only those columns differ that often do.
    """

    before: Mapping[Any, Any] | None
    after: Mapping[str, Any]
    is_small: bool = False


_CHUNK = 500


def chunks(items: Sequence[Any]) -> Iterable[Sequence[Any]]:
    """Cut a list into pieces that fit a statement's parameters."""
    return (items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK))


@cache
def insert_into(table: Table) -> Executable:
    """Return the INSERT of whole rows."""
    return table.insert()


@cache
def insert_if_new(dialect: str, table: Table, *key: str) -> Executable:
    """Return the INSERT that passes over a row if there is one with this key, or with any that is unique."""
    return upsert(dialect, table).on_conflict_do_nothing(index_elements=key or None)


@cache
def update_by(table: Table, keys: tuple[str, ...], names: tuple[str, ...]) -> Executable:
    """Return the UPDATE of the columns of these names in the row with these keys."""
    return (
        update(table)
        .where(*(table.c[key] == bindparam(f"key_{key}", type_=table.c[key].type) for key in keys))
        .values({name: bindparam(f"set_{name}", type_=table.c[name].type) for name in names})
    )


@cache
def rows_where(table: Table, column: str, *columns: str) -> Select[Any]:
    """Return the SELECT of `columns` (all, if none is named) for one `project_id` and any of `values`."""
    wanted = [table.c[name] for name in columns] if columns else [table]
    return select(*wanted).where(
        table.c.project_id == bindparam("project_id"),
        table.c[column].in_(bindparam("values", expanding=True)),
    )


_MOST_ROWS = 128
"""Of one INSERT. The driver hands over to other threads after each statement: few of them are few waits."""
_VALUES = re.compile(r"(.* VALUES )(\((?:[^()]|\([^()]*\))*\))(.*)", re.DOTALL)
_NAMED = re.compile(r"%\((\w+)\)s")


@dataclass(frozen=True)
class _Compiled:
    """A statement as a driver takes it.

    Attributes:
        text: the SQL.
        names: its parameters in their order; None where they have names in the text.
        constants: what its parameters are that the statement itself has values for.
        values: of an INSERT, the SQL before, of and after the values of one row.
    """

    text: str
    names: tuple[str, ...] | None
    constants: Mapping[str, Any]
    values: tuple[str, str, str] | None = None


_compiled: dict[tuple[str, Executable, tuple[str, ...]], _Compiled] = {}


def execute_many(connection: Connection, statement: Executable, rows: Sequence[Mapping[str, Any]]) -> None:
    """Run a statement for each of the rows, which all name the same columns.

    Values go to the driver as they are: numbers, text, bytes, booleans and None.

    Args:
        connection: in a transaction.
        statement: one that lives as long as the program: it is compiled once.
        rows: what its parameters are called → value.
    """
    if not rows:
        return
    compiled = _compile(connection, statement, tuple(rows[0]))
    if compiled.values is not None:
        _insert(connection, compiled, [tuple(map(row.__getitem__, compiled.names or ())) for row in rows])
    else:
        parameters: Sequence[Any] = rows
        if compiled.names is not None:
            parameters = [tuple(map(row.__getitem__, compiled.names)) for row in rows]
        with _Cursor(connection) as cursor:
            cursor.executemany(compiled.text, parameters)


def insert_tuples(
    connection: Connection, statement: Executable, columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]
) -> int:
    """Run an INSERT for rows of these columns, in their order; return how many rows there are more."""
    if not rows:
        return 0
    compiled = _compile(connection, statement, columns)
    if compiled.names != columns:
        raise ValueError(f"the statement takes {compiled.names}")
    return _insert(connection, compiled, rows)


def execute(connection: Connection, statement: Executable, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Run a statement that is compiled once, with values as in `execute_many`; return its rows, if any."""
    compiled = _compile(connection, statement, tuple(values))
    parameters: Any = values
    if compiled.names is not None:
        parameters = tuple(map(values.__getitem__, compiled.names))
    with _Cursor(connection) as cursor:
        cursor.execute(compiled.text, parameters)
        if cursor.description is None:
            return []
        columns = [column[0] for column in cursor.description]
        return [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]


def fetch(
    connection: Connection, statement: Executable, values: Mapping[str, Any], numbers: Sequence[int] = ()
) -> list[Any]:
    """Return the rows of a SELECT that is compiled once, as tuples of the driver's: booleans may be 0 and 1.

    Args:
        connection: in a transaction.
        statement: as in `execute_many`.
        values: what its parameters are called → value.
        numbers: what its parameter `numbers`, made by `among`, stands for; they become part of the text,
            which costs a tenth of so many parameters.
    """
    compiled = _compile(connection, statement, tuple(values))
    given = {**compiled.constants, **values}
    parameters: Any = given
    if compiled.names is not None:
        parameters = tuple([given[name] for name in compiled.names if name != _NUMBERS])
    text = compiled.text
    if _ANY_NUMBER in text:
        text = text.replace(_ANY_NUMBER, ", ".join(map(str, map(int, numbers))) or "NULL")
    with _Cursor(connection) as cursor:
        cursor.execute(text, parameters)
        return cursor.fetchall()  # type: ignore[no-any-return]


_NUMBERS = "numbers"
_ANY_NUMBER = f"__[POSTCOMPILE_{_NUMBERS}]"


def among(column: Any) -> Any:
    """Return whether a column is one of the `numbers` that `fetch` is given."""
    return column.in_(bindparam(_NUMBERS, expanding=True))


class _Cursor:
    """A cursor of the driver's. Its errors are raised as SQLAlchemy raises them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __enter__(self) -> Any:
        self._cursor = self._connection.connection.cursor()
        return self._cursor

    def __exit__(self, _kind: Any, error: BaseException | None, _traceback: Any) -> None:
        self._cursor.close()
        dialect, dbapi = self._connection.dialect, self._connection.dialect.loaded_dbapi
        if not isinstance(error, dbapi.Error):
            return
        if dialect.is_disconnect(error, self._connection.connection.dbapi_connection, self._cursor):
            self._connection.invalidate(error)
        raise DBAPIError.instance(None, None, error, dbapi.Error, dialect=dialect) from error


def _insert(connection: Connection, compiled: _Compiled, rows: Sequence[tuple[Any, ...]]) -> int:
    """Insert rows, many with one statement, of few sizes: drivers and databases know those by their text."""
    assert compiled.values is not None
    before, one, after = compiled.values
    start = count = 0
    size = _MOST_ROWS
    with _Cursor(connection) as cursor:
        while start < len(rows):
            while size > len(rows) - start:
                size //= 2
            text = before + ", ".join([one] * size) + after
            cursor.execute(text, tuple(itertools.chain.from_iterable(rows[start : start + size])))
            count += cursor.rowcount
            start += size
    return count


def _compile(connection: Connection, statement: Executable, columns: tuple[str, ...]) -> _Compiled:
    """Return the statement in the words of the connection's database."""
    key = connection.dialect.name, statement, columns
    if key not in _compiled:
        # an UPDATE names its parameters itself
        names = list(columns) if statement.is_insert else None
        compiled: Any = statement.compile(dialect=connection.dialect, column_keys=names)  # type: ignore[attr-defined]
        positions = tuple(compiled.positiontup) if compiled.positional else None
        constants = {name: value for name, value in compiled.params.items() if value is not None}
        _compiled[key] = _Compiled(str(compiled), positions, constants)
        if statement.is_insert:
            _compiled[key] = _by_position(_compiled[key])
    return _compiled[key]


def _by_position(insert: _Compiled) -> _Compiled:
    """Return an INSERT whose parameters have no names, so that it can be of several rows."""
    match = _VALUES.fullmatch(insert.text)
    if match is None:
        raise ValueError(f"not an INSERT of values: {insert.text}")
    before, one, after = match.groups()
    names = insert.names or tuple(_NAMED.findall(one))
    return _Compiled(insert.text, names, insert.constants, (before, _NAMED.sub("%s", one), after))


def write_rows(
    connection: Connection,
    table: Table,
    keys: tuple[str, ...],
    changes: Iterable[Change],
    often: tuple[str, ...],
) -> None:
    """Insert rows that are new, and update those that are not; every row names every column.

    An UPDATE costs by the column, and by each index of the columns that it names: small changes, which are
    most, name few.

    Args:
        connection: in a transaction.
        table: whose rows they are.
        keys: the columns by which a row is found.
        changes: what became of them.
        often: the columns of small changes.
    """
    new: list[Mapping[str, Any]] = []
    small: list[Mapping[str, Any]] = []
    large: list[Mapping[str, Any]] = []
    for before, after, is_small in changes:
        (new if before is None else small if is_small else large).append(after)
    execute_many(connection, insert_into(table), new)
    for rows, columns in ((small, often), (large, _all_but(table, keys))):
        names = {name: f"set_{name}" for name in columns} | {name: f"key_{name}" for name in keys}
        updates = [{told: row[name] for name, told in names.items()} for row in rows]
        execute_many(connection, update_by(table, keys, columns), updates)


@cache
def _all_but(table: Table, keys: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(column.name for column in table.c if column.name not in keys)


def contains(column: Any, text: str) -> Any:
    """Return whether a text column contains some text, whatever its case; `%` and `_` mean themselves.

    SQLite does not know the case of letters beyond ASCII: they are found as written, or in lower case.
    """
    found = func.lower(column).contains(text.lower(), autoescape=True)
    return found if text.isascii() else or_(found, column.contains(text, autoescape=True))
