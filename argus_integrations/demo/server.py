"""A server of its own for the demo: a child process on a free port, with a fresh SQLite file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

__all__ = ["DemoServer", "serve"]

_ARGUS = [sys.executable, "-m", "argus_core"]
_STOP_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class DemoServer:
    """Where the server is, and what opens it.

    Attributes:
        url: its root.
        sign_in_url: a link that signs a browser in, once.
        token: for reporting to the demo's project.
        reader: for reading its leaderboard.
    """

    url: str
    sign_in_url: str
    token: str
    reader: str
    _admin: str
    _database: Path

    def new_sign_in_url(self) -> str:
        """Return another one-time link; the first may have been used while the demo trained."""
        return _argus("token", "link", "--database", str(self._database), "--url", self.url)

    def set_baseline(self, project: str, model: str) -> None:
        """Let skill and differences of a project be measured against a model.

        Raises:
            requests.RequestException: the server did not take it.
        """
        response = requests.put(
            f"{self.url}/api/projects/{project}/settings",
            json={"baseline": model},
            headers={"Authorization": f"Bearer {self._admin}"},
            timeout=30,
        )
        response.raise_for_status()


@contextmanager
def serve(database: Path, project: str, *, port: int) -> Iterator[DemoServer]:
    """Run `argus serve` on `database` for as long as the context lasts.

    Raises:
        RuntimeError: it did not start; the message ends with what it said.
    """
    token = _make_token(database, project, "report")
    reader = _make_token(database, project, "read")
    admin = _make_token(database, project, "admin")
    log = database.with_name("server.log")
    with log.open("wb") as log_file:
        process = subprocess.Popen(  # noqa: S603 - our own command line
            [*_ARGUS, "serve", "--database", str(database), "--port", str(port), "--json-ready"],
            stdout=subprocess.PIPE,
            stderr=log_file,
            start_new_session=True,  # Ctrl-C ends the demo, and the demo ends the server
            env=_environment(),
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"the server did not start:\n{log.read_text()[-2000:]}")
            ready = json.loads(line)
            yield DemoServer(ready["url"].rstrip("/"), ready["sign_in_url"], token, reader, admin, database)
        finally:
            _stop(process)


def _make_token(database: Path, project: str, scope: str) -> str:
    where = ("--database", str(database), "--project", project)
    return _argus("token", "create", "--quiet", "--scope", scope, "--name", f"demo {scope}", *where)


def _argus(*arguments: str) -> str:
    """Run an `argus` command, as a user would, and return what it prints.

    Raises:
        RuntimeError: it failed; the message ends with what it said.
    """
    result = subprocess.run(  # noqa: S603 - our own command line
        [*_ARGUS, *arguments], capture_output=True, text=True, check=False, env=_environment()
    )
    if result.returncode:
        raise RuntimeError(f"`argus {' '.join(arguments[:2])}` failed:\n{result.stderr[-2000:]}")
    return result.stdout.strip()


def _environment() -> dict[str, str]:
    """Return our environment less the reporting variables, which are about another server."""
    return {name: value for name, value in os.environ.items() if not name.startswith("ARGUS_")}


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
