"""`argus serve` in a process of its own: what it takes, whom it lets in, and how it ends."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner
from real_server import RealServer
from unit.server.wire import body

from argus_server.cli import token
from argus_server.storage.store import open_store


def command(*arguments: object) -> str:
    result = CliRunner().invoke(token, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


def new_server(directory: Path) -> RealServer:
    return RealServer(directory, str(directory / "deep" / "argus.sqlite3"))


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Return a server that no test stops, in a folder that it has made."""
    server = new_server(tmp_path_factory.mktemp("served")).start()
    yield server
    server.end()


def test_a_served_server_takes_events_and_shows_them_in_a_browser(served):
    report = command("create", "--database", served.database, "--scope", "report", "--quiet")
    events = [
        body("job_start", "j", project="a/b", model="m", dataset="d", seed=0),
        body("job_done", "j", project="a/b", at=5, metrics={"MSE": 0.5}),
    ]

    sent = requests.post(
        f"{served.url}/api/events/batch",
        json={"events": events},
        headers={"Authorization": f"Bearer {report}"},
        timeout=10,
    )
    with requests.Session() as browser:
        home = browser.get(served.sign_in_url, timeout=10)
        page = {"Accept": "text/html"}
        board = browser.get(f"{served.url}/p/a%2Fb/leaderboard", headers=page, timeout=10)

    assert sent.json()["accepted"] == 2
    assert home.status_code == 200
    assert home.url == f"{served.url}/"
    assert 'data-value="0.5"' in board.text


def test_a_link_can_be_made_for_a_running_server(served):
    link = command("link", "--database", served.database, "--url", served.url)

    with requests.Session() as browser:
        assert browser.get(link, timeout=10).status_code == 200
        assert requests.get(link, headers={"Accept": "text/html"}, timeout=10).status_code == 401


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_server_after_the_requests_it_has_accepted(tmp_path, number):
    server = new_server(tmp_path).start()
    try:
        report = command("create", "--database", server.database, "--quiet")
        events = [body("job_epoch", f"j{i}", epoch=i) for i in range(3000)]
        answers = []

        def send():
            headers = {"Authorization": f"Bearer {report}"}
            url = f"{server.url}/api/events/batch"
            answers.append(requests.post(url, json=events, headers=headers, timeout=30))

        sender = threading.Thread(target=send)
        sender.start()
        store = open_store(str(server.database))
        while sender.is_alive() and not store.queries.projects():
            pass  # until the events are committed; the answer may still be on its way
        store.close()

        assert server.end(number) in (0, -number)
        sender.join()
        assert answers[0].json()["accepted"] == 3000
    finally:
        server.end(signal.SIGKILL)
