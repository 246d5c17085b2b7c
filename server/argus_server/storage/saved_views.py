"""Views that have a name: what a page's URL asks for, kept for everybody who may read the project."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Select, bindparam, delete, func, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from argus_server.errors import BadView, StoreError, UnknownProject
from argus_server.storage import schema
from argus_server.storage.clock import now_us
from argus_server.storage.dialect import transaction, upsert
from argus_server.storage.statements import fetch

__all__ = ["MAX_NAME", "SavedView", "SavedViews"]

MAX_NAME = 80
_MOST_VIEWS = 100
_MOST_QUERY = 8000

_view = schema.saved_view.c


@dataclass(frozen=True, slots=True)
class SavedView:
    """A view of a page; `query` is the part of its URL after the `?`."""

    name: str
    query: str


class SavedViews:
    """The saved views of all projects, by the page that they are of. Any thread; each call is a transaction.

    Raises:
        UnknownProject: no event has named the project.
        StoreError: nothing has changed.
    """

    def __init__(self, reader: Engine, writer: Engine) -> None:
        self._reader, self._writer = reader, writer

    def of(self, project: str, page: str) -> list[SavedView]:
        """Return the views of a page, the oldest first."""
        with transaction(self._reader) as connection:
            here = _project_id(connection, project)
            rows = fetch(connection, _views_of(), {"project": here, "page": page})
        return [SavedView(name, text) for name, text in rows]

    def save(self, project: str, page: str, name: str, query: str) -> None:
        """Keep a view by this name, in place of the one that had it.

        Raises:
            BadView: the name is none, or there are too many.
        """
        _check_name(name)
        if len(query) > _MOST_QUERY:
            raise BadView(
                f"this view takes {len(query)} characters to write down; {_MOST_QUERY} are the most"
            )

        def change(connection: Connection, project_id: int) -> None:
            others = select(func.count()).where(_view.project_id == project_id, _view.name != name)
            if (connection.scalar(others) or 0) >= _MOST_VIEWS:
                raise BadView(f"there are {_MOST_VIEWS} saved views; delete one first")
            row = {"project_id": project_id, "page": page, "name": name, "query": query}
            insert = upsert(connection.dialect.name, schema.saved_view).values(**row, created_us=now_us())
            key = [_view.project_id, _view.page, _view.name]
            connection.execute(insert.on_conflict_do_update(index_elements=key, set_={"query": query}))

        self._change(project, change)

    def rename(self, project: str, page: str, name: str, new_name: str) -> None:
        """Give a view another name.

        Raises:
            BadView: the new name is none, or taken, or there is no such view.
        """
        _check_name(new_name)

        def change(connection: Connection, project_id: int) -> None:
            statement = update(schema.saved_view).where(*_is(project_id, page, name)).values(name=new_name)
            try:
                done = connection.execute(statement)
            except IntegrityError:
                raise BadView(f"there is a view {new_name!r} already") from None
            _check_found(done.rowcount, name)

        self._change(project, change)

    def delete(self, project: str, page: str, name: str) -> None:
        """Forget a view.

        Raises:
            BadView: there is no such view.
        """

        def change(connection: Connection, project_id: int) -> None:
            done = connection.execute(delete(schema.saved_view).where(*_is(project_id, page, name)))
            _check_found(done.rowcount, name)

        self._change(project, change)

    def _change(self, project: str, change: Callable[[Connection, int], None]) -> None:
        try:
            with transaction(self._writer) as connection:
                change(connection, _project_id(connection, project))
        except SQLAlchemyError as error:
            raise StoreError(f"the saved views of {project!r} are as they were: {error}") from error


@cache
def _views_of() -> Select[Any]:
    """Return the SELECT of the views of a page."""
    query = select(_view.name, _view.query).order_by(_view.created_us, _view.name)
    return query.where(_view.project_id == bindparam("project"), _view.page == bindparam("page"))


def _is(project_id: int, page: str, name: str) -> tuple[ColumnElement[bool], ...]:
    return _view.project_id == project_id, _view.page == page, _view.name == name


def _check_name(name: str) -> None:
    if not 0 < len(name) <= MAX_NAME or not name.isprintable() or name != name.strip():
        raise BadView(f"{name!r} is no name for a view: 1 to {MAX_NAME} characters in one line")


def _check_found(count: int, name: str) -> None:
    if not count:
        raise BadView(f"there is no saved view {name!r}")


def _project_id(connection: Connection, project: str) -> int:
    rows = fetch(connection, _id_of(), {"name": project})
    if not rows:
        raise UnknownProject(project, sorted(connection.scalars(select(schema.project.c.name))))
    return int(rows[0][0])


@cache
def _id_of() -> Select[Any]:
    """Return the SELECT of a project's number."""
    return select(schema.project.c.id).where(schema.project.c.name == bindparam("name"))
