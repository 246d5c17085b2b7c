from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from unit.server.wire import NOW_US

if TYPE_CHECKING:
    from argus_server.storage.store import SqlStore


@pytest.fixture(params=["sqlite", "postgresql"])
def backend(request: pytest.FixtureRequest) -> str:
    """Return the database that this run of the test is about. Another database is another parameter."""
    return request.param


@pytest.fixture
def new_database(
    backend: str,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    new_sqlite: Callable[[Path], str],
) -> Callable[..., str]:
    """Return a function that names databases nobody has used: as `--database` takes them."""
    if backend == "postgresql":
        return request.getfixturevalue("postgres").new_database

    def make(*, empty: bool = False) -> str:
        path = tmp_path_factory.mktemp("store") / "folder" / "argus.sqlite3"
        return str(path) if empty else new_sqlite(path)

    return make


@pytest.fixture
def new_store(new_database: Callable[..., str]) -> Iterator[Callable[..., SqlStore]]:
    """Return a function that opens a store, in a database of its own unless one is named.

    What it imports waits for the first store: the process that hands out the tests reads this file, too.
    """
    import statements  # noqa: F401 - its import is what counts

    from argus_server.storage.store import open_store

    stores: list[SqlStore] = []

    def make(place: str | None = None, **changes: int) -> SqlStore:
        stores.append(open_store(place or new_database(), **changes))
        stores[-1].queries.clock = lambda: NOW_US
        return stores[-1]

    yield make
    for store in stores:
        store.close()


@pytest.fixture
def store(new_store: Callable[..., SqlStore]) -> SqlStore:
    return new_store()
