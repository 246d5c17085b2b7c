"""An SQLite file with our tables, migrated once per session: each test has a copy of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def new_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], str]:
    """Return a function that puts an empty leaderboard at a path, and returns it as `--database` takes it."""
    from argus_server.storage.store import open_store

    template = tmp_path_factory.mktemp("template") / "argus.sqlite3"
    open_store(str(template)).close()

    def put(path: Path) -> str:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(template, path)
        return str(path)

    return put
