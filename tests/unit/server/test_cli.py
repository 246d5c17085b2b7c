"""The commands, as a shell runs them, with a real server on a free port."""

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner
from unit.server.wire import body

from argus_server.cli import serve, token
from argus_server.storage.store import open_store

ROOT = Path(__file__).parents[3]


def command(*arguments):
    result = CliRunner().invoke(token, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


@pytest.fixture
def database(tmp_path):
    return tmp_path / "deep" / "argus.sqlite3"


@contextmanager
def serving(database):
    """Yield a served process and what it said when it was ready."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "server")])}
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from argus_server.cli import serve; serve()",
            "--port=0",
            "--json-ready",
            f"--database={database}",
        ],
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
    )
    try:
        yield process, json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Return the database of a server that no test stops, and what it said when it was ready."""
    database = tmp_path_factory.mktemp("served") / "deep" / "argus.sqlite3"
    with serving(database) as (_, ready):
        yield database, ready


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


def test_a_served_server_takes_events_and_shows_them_in_a_browser(served):
    database, ready = served
    url, report = ready["url"], command("create", "--database", database, "--scope", "report", "--quiet")
    events = [
        body("job_start", "j", project="a/b", model="m", dataset="d", seed=0),
        body("job_done", "j", project="a/b", at=5, metrics={"MSE": 0.5}),
    ]

    sent = requests.post(
        f"{url}/api/events/batch",
        json={"events": events},
        headers={"Authorization": f"Bearer {report}"},
        timeout=10,
    )
    with requests.Session() as browser:
        home = browser.get(ready["sign_in_url"], timeout=10)
        board = browser.get(f"{url}/p/a%2Fb/leaderboard", headers={"Accept": "text/html"}, timeout=10)

    assert sent.json()["accepted"] == 2
    assert home.status_code == 200
    assert home.url == f"{url}/"
    assert 'data-value="0.5"' in board.text


def test_a_link_can_be_made_for_a_running_server(served):
    database, ready = served

    link = command("link", "--database", database, "--url", ready["url"])

    with requests.Session() as browser:
        assert browser.get(link, timeout=10).status_code == 200
        assert requests.get(link, headers={"Accept": "text/html"}, timeout=10).status_code == 401


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_server_after_the_requests_it_has_accepted(database, number):
    with serving(database) as (process, ready):
        report = command("create", "--database", database, "--quiet")
        events = [body("job_epoch", f"j{i}", epoch=i) for i in range(3000)]
        answers = []

        def send():
            headers = {"Authorization": f"Bearer {report}"}
            url = f"{ready['url']}/api/events/batch"
            answers.append(requests.post(url, json=events, headers=headers, timeout=30))

        sender = threading.Thread(target=send)
        sender.start()
        store = open_store(str(database))
        while sender.is_alive() and not store.queries.projects():
            pass  # until the events are committed; the answer may still be on its way
        store.close()
        process.send_signal(number)

        assert process.wait(30) in (0, -number)
        sender.join()
        assert answers[0].json()["accepted"] == 3000


def test_a_port_that_is_taken_is_named(served):
    database, ready = served
    port = ready["url"].rpartition(":")[2]

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
