"""What other processes did to the database, and whether it is fit for use.

A commit is announced by NOTIFY after it, on a connection of its own: inside the transaction it would take
PostgreSQL's one lock on notifications until the commit is on disk, so that all writers of the whole server
would stand in line. What a crash or a lost connection leaves unannounced is found by asking for the
projects' versions now and then, which also finds what `argus import` did.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import select, text
from sqlalchemy.exc import SQLAlchemyError

from argus_server.errors import StoreError
from argus_server.storage import schema
from argus_server.storage.dialect import make_engines, patience, transaction

if TYPE_CHECKING:
    from psycopg import AsyncConnection

__all__ = ["Announcements", "Watch"]

logger = logging.getLogger(__name__)

_CHANNEL = "argus_live"
_ANSWER_S = 5
_LONGEST_WAIT_S = 10.0


class Watch:
    """Looks at a database by connections of its own. One thread at a time may use it.

    Attributes:
        every_s: how often it is worth to look whether anything has changed.
        announcements: how processes tell each other, if the database can; None for SQLite.
    """

    def __init__(self, database: str) -> None:
        self._engines = make_engines(database)
        self._engine = self._engines.reader
        self._is_sqlite = self._engine.dialect.name == "sqlite"
        self._connection: Any = None
        self._data_version: int | None = None
        self.every_s = 1.0 if self._is_sqlite else 5.0
        self.announcements: Announcements | None = None
        if self._engine.dialect.driver == "psycopg":
            _, parameters = self._engine.dialect.create_connect_args(self._engine.url)
            self.announcements = Announcements({**patience(self._engine.url), **parameters})

    def has_changed(self) -> bool:
        """Whether anybody may have committed since the last call. True where asking costs more than looking.

        Raises:
            StoreError: the database does not answer.
        """
        if not self._is_sqlite:
            return True
        try:
            if self._connection is None:
                self._connection = self._engine.raw_connection()
            (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        except Exception as error:
            self._let_go()
            raise StoreError(f"the database does not answer: {error}") from error
        before, self._data_version = self._data_version, version
        return bool(version != before)

    def versions(self, projects: Collection[str]) -> dict[str, int]:
        """Return the number of the latest event of each of these projects that exists.

        Raises:
            StoreError: the database does not answer.
        """
        table = schema.project.c
        query = select(table.name, table.last_seq).where(table.name.in_(list(projects)))
        try:
            with transaction(self._engine) as connection:
                return {row.name: row.last_seq for row in connection.execute(query)}
        except SQLAlchemyError as error:
            raise StoreError(f"the database does not answer: {error}") from error

    def check(self) -> None:
        """Return if the database answers and has the tables of this version of Argus, or of a later one.

        Raises:
            StoreError: it is not so; the message says what is the matter.
        """
        try:
            with transaction(self._engine) as connection:
                if not self._is_sqlite:
                    connection.execute(text(f"SET LOCAL statement_timeout = '{_ANSWER_S}s'"))
                current = MigrationContext.configure(connection).get_current_revision()
        except SQLAlchemyError as error:
            raise StoreError("the database does not answer") from error
        if current == _head():
            return
        if current is None or current in _known():
            raise StoreError(f"the database has the tables of revision {current}; this is {_head()}")

    def close(self) -> None:
        """Let go of the database."""
        self._let_go()
        self._engines.dispose()

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):
                connection.close()


def _scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return ScriptDirectory.from_config(config)


def _head() -> str | None:
    return _scripts().get_current_head()


def _known() -> set[str]:
    return {script.revision for script in _scripts().walk_revisions()}


class Announcements:
    """PostgreSQL's LISTEN and NOTIFY, with an end to every wait and a new connection for each lost one.

    One name of a channel for all: a project's name is no identifier, and may be of any length.
    """

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self._parameters = {**parameters, "application_name": "argus live"}
        self._sender: AsyncConnection[Any] | None = None

    async def _connect(self) -> AsyncConnection[Any]:
        from psycopg import AsyncConnection

        return await AsyncConnection.connect(**self._parameters, autocommit=True)

    async def send(self, messages: Sequence[str]) -> None:
        """Tell all processes that listen, this one too.

        Raises:
            StoreError: nobody was told.
        """
        from psycopg import Error

        statement = "SELECT pg_notify(%s, message) FROM unnest(%s::text[]) message"
        for is_last in (False, True):  # the connection may have been lost while nobody needed it
            try:
                if self._sender is None:
                    self._sender = await asyncio.wait_for(self._connect(), _ANSWER_S)
                await asyncio.wait_for(self._sender.execute(statement, [_CHANNEL, list(messages)]), _ANSWER_S)
            except (Error, OSError, asyncio.TimeoutError) as error:
                await self.close()
                if is_last:
                    raise StoreError(f"a commit was not announced: {error}") from error
            else:
                return

    async def listen(self) -> AsyncIterator[str | None]:
        """Yield what any process tells, for ever; None when something may have been missed."""
        from psycopg import Error

        wait_s = 0.5
        is_lost = False
        while True:
            try:
                async with await self._connect() as connection:
                    await connection.execute(f"LISTEN {_CHANNEL}")
                    if is_lost:
                        logger.warning("live pages hear of other servers again")
                    wait_s, is_lost = 0.5, False
                    yield None
                    async for notify in connection.notifies():
                        yield notify.payload
            except (Error, OSError) as error:
                if not is_lost:
                    logger.warning("live pages hear of other servers late: %s", str(error).strip())
                is_lost = True
            await asyncio.sleep(wait_s)
            wait_s = min(_LONGEST_WAIT_S, wait_s * 2)

    async def close(self) -> None:
        """Close the connection that tells."""
        sender, self._sender = self._sender, None
        if sender is not None:
            with suppress(Exception):
                await sender.close()
