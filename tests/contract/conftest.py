from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from argus_server.storage.store import SqlStore, open_store


@pytest.fixture(params=["sqlite"])
def new_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable]:
    """Return a function that makes empty stores. Another database is another parameter."""
    stores: list[SqlStore] = []

    def make(path: Path | None = None) -> SqlStore:
        stores.append(open_store(str(path or tmp_path_factory.mktemp("store") / "argus.sqlite3")))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


@pytest.fixture
def store(new_store: Callable) -> SqlStore:
    return new_store()
