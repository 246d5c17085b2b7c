"""A real `argus serve` in a process of its own, that tests start, kill and start again."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

ARGUS = [sys.executable, "-m", "argus_core"]


class RealServer:
    """Runs on one SQLite file, or the database of a URL. `start` returns once the server listens.

    The port stays the same; `options` are those of `argus serve`.
    """

    def __init__(self, directory: Path, database: str | None = None, options: Sequence[str] = ()) -> None:
        self.database = database or directory / "argus.sqlite3"
        self.options = options
        self.log = directory / "server.log"
        self.port = 0
        self.url = ""
        self.sign_in_url = ""
        self._process: subprocess.Popen[bytes] | None = None

    def make_token(self, scope: Any, project: str | None = None) -> str:
        from argus_server.storage.store import open_store

        with closing(open_store(str(self.database))) as store:
            return store.credentials.create_token(scope, project)

    def start(self) -> RealServer:
        command = [*ARGUS, "serve", "--database", str(self.database), "--port", str(self.port)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--json-ready", *self.options], stdout=subprocess.PIPE, stderr=log
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, self.log.read_text()
        ready = json.loads(line)
        self.url, self.sign_in_url = ready["url"].rstrip("/"), ready["sign_in_url"]
        self.port = int(self.url.rpartition(":")[2])
        return self

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, wait for the end, and return the exit code."""
        process, self._process = self._process, None
        if process is None:
            return 0
        process.send_signal(number)
        code = process.wait(30)
        assert process.stdout is not None
        process.stdout.close()
        return code

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Read from the database file itself."""
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as connection:
            return connection.execute(statement).fetchall()

    def count(self, statement: str) -> int:
        """Return the one number that a statement selects."""
        return int(self.query(statement)[0][0])

    def event_ids(self) -> list[str]:
        """Return what the event log holds."""
        return [row[0] for row in self.query("SELECT event_id FROM event")]


def run_python(script: str, **environment: str) -> subprocess.Popen[str]:
    """Start a script in a process of its own, with its output in pipes."""
    return subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
