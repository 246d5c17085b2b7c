"""The commands of the server, without one that runs: those are in tests/fault/test_served.py."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from argus_server.cli import serve, token

ROOT = Path(__file__).parents[3]


def command(*arguments):
    result = CliRunner().invoke(token, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


@pytest.fixture
def database(tmp_path):
    return tmp_path / "deep" / "argus.sqlite3"


def test_a_token_is_shown_once_listed_without_its_text_and_revoked(database):
    text = command("create", "--database", database, "--scope", "read", "--project", "p", "--quiet")
    listed = command("list", "--database", database)

    assert text.startswith("em_live_")
    assert text not in listed
    assert "read" in listed
    assert command("revoke", "--database", database, "1") == "Token 1 is revoked."
    assert "revoked" in command("list", "--database", database)
    assert CliRunner().invoke(token, ["revoke", "--database", str(database), "1"]).exit_code == 1


def test_the_database_that_cannot_be_opened_is_named(tmp_path):
    path = tmp_path / "argus.sqlite3"
    path.write_text("no database, only text, and quite a lot of it " * 50)

    result = CliRunner().invoke(token, ["list", "--database", str(path)])

    assert result.exit_code == 1
    assert str(path) in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_postgresql_without_its_driver_names_what_to_install(monkeypatch, scheme):
    monkeypatch.setitem(sys.modules, "psycopg", None)  # as if it were not installed

    result = CliRunner().invoke(token, ["list", "--database", f"{scheme}://me:secret@localhost/argus"])

    assert result.exit_code == 1
    assert result.output.startswith("Error: cannot open the database postgresql+psycopg://me:***@localhost")
    assert "argus-leaderboard[postgres]" in result.output


@pytest.mark.parametrize("url", ["postgresql://[::", "nonsense://me:secret@host/x", "sqlite://"])
def test_a_database_url_that_means_nothing_is_an_error_and_no_traceback(url):
    result = CliRunner().invoke(token, ["list", "--database", url])

    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert "secret" not in result.output


def test_a_port_that_is_taken_is_named(database):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])

        result = CliRunner().invoke(serve, ["--port", port, "--database", str(database)])

    assert result.exit_code == 1
    assert port in result.output


def test_registering_the_commands_loads_no_server():
    code = (
        "import sys, argus_server.cli; "
        "print([m for m in ('litestar', 'sqlalchemy', 'uvicorn', 'numpy') if m in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "server")])}

    said = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )

    assert said.stdout.strip() == "[]"
