"""Live pages: real servers on real sockets, listened to as a browser does."""

from __future__ import annotations

import json
import queue
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import islice

import pytest
import urllib3
from unit.server.running_server import RunningServer
from unit.server.wire import body, start

from argus_server.storage.store import open_store
from argus_server.urls import path_to


class Page:
    """An open page: `messages` has (event, data, id) of what it is told."""

    def __init__(self, server: RunningServer, project: str = "p", query: str = "", **headers: str) -> None:
        self.answer = server.request(
            "GET",
            path_to("p", project, "live") + query,
            stream=True,
            headers={"Accept-Encoding": "gzip", **headers},
        )
        assert self.answer.status_code == 200, self.answer.text
        self.messages: queue.Queue[tuple[str | None, dict | None, int]] = queue.Queue()
        self.ended = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()
        _, data, self.first_id = self.messages.get(timeout=20)
        assert data is None

    def _read(self) -> None:
        fields: dict[str, str] = {}
        try:
            for line in self.answer.raw:
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name:
                    fields[name] = value
                elif fields:
                    data = json.loads(fields["data"]) if "data" in fields else None
                    self.messages.put((fields.get("event"), data, int(fields["id"])))
                    fields = {}
        except (OSError, AttributeError, urllib3.exceptions.HTTPError):
            pass  # the page was closed
        finally:
            self.ended.set()

    def next(self, timeout_s: float = 20) -> int:
        """Return the version of the next change."""
        event, data, number = self.messages.get(timeout=timeout_s)
        assert event == "change"
        assert data == {"seq": number}
        return number

    def hears_nothing(self, seconds: float = 0.5) -> bool:
        try:
            return self.messages.get(timeout=seconds) is None
        except queue.Empty:
            return True

    def close(self) -> None:
        self.answer.raw._fp.fp.raw._sock.shutdown(socket.SHUT_RDWR)
        self.answer.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request, tmp_path, new_sqlite) -> str:
    if request.param == "postgresql":
        return request.getfixturevalue("postgres").new_database()
    return new_sqlite(tmp_path / "argus.sqlite3")


@pytest.fixture
def run(database, spare_apps) -> Iterator:
    """Return a function that starts servers, all on one database in which the project `p` has one event."""
    servers: list[RunningServer] = []

    def start_server(**limits) -> RunningServer:
        servers.append(RunningServer(database, spare_apps, **limits))
        if len(servers) == 1:
            servers[0].send(body("job_start", "j"))
        return servers[-1]

    yield start_server
    for server in servers:
        server.stop()
        spare_apps.give_back(server.app)


def wait_until(condition, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# --- what a page hears ------------------------------------------------------------------------


def test_a_page_hears_of_a_change_of_its_project_and_of_no_other(run):
    server = run()
    page = Page(server)

    server.send(body("job_start", "x", project="other"))
    assert page.hears_nothing()
    server.send(body("job_epoch", "j", epoch=0))

    assert (page.first_id, page.next()) == (1, 2)
    assert page.answer.headers["Content-Type"].startswith("text/event-stream")
    assert "Content-Encoding" not in page.answer.headers
    assert page.answer.headers["Cache-Control"] == "no-store"


def test_a_repeated_event_is_no_change(run):
    server = run()
    event = body("job_epoch", "j", epoch=0)
    server.send(event)
    page = Page(server)

    server.send(event)

    assert page.hears_nothing()


def test_many_changes_become_few_messages_and_the_last_is_told(run):
    server = run()
    page = Page(server)
    began = time.monotonic()

    for epoch in range(40):
        server.send(body("job_epoch", "j", epoch=epoch))
    versions = [page.next()]
    while versions[-1] < 41:
        versions.append(page.next())
    took_s = time.monotonic() - began

    assert versions == sorted(set(versions))
    assert len(versions) <= took_s / 0.2 + 2


@pytest.mark.parametrize(
    ("headers", "query", "is_told"),
    [
        ({"Last-Event-ID": "1"}, "", True),
        ({"Last-Event-ID": "2"}, "", False),
        ({"Last-Event-ID": "99"}, "", True),
        ({"Last-Event-ID": "0"}, "?seq=2", True),
        ({"Last-Event-ID": "\xb2"}, "", False),
        ({"Last-Event-ID": "-1"}, "", False),
        ({"Last-Event-ID": "9" * 400}, "", False),
        ({}, "?seq=1", True),
        ({}, "?seq=2", False),
        ({}, "?seq=", False),
    ],
)
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_page_that_missed_changes_is_told_at_once(run, headers, query, is_told):
    server = run()
    server.send(body("job_epoch", "j", epoch=0))

    page = Page(server, query=query, **headers)

    assert page.next() == 2 if is_told else page.hears_nothing()


@pytest.mark.parametrize(
    "name", ["a/b c", "..", "'; NOTIFY x; --\"", "\U0001f600" * 256, "%", "\r\n\r\nevent: x"]
)
@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_any_name_of_a_project_will_do(run, name):
    server, other = run(), run()
    server.send(body("job_start", "j", project=name))
    page = Page(server, name)

    other.send(body("job_epoch", "j", epoch=0, project=name))

    assert page.next() == 2


# --- several processes ------------------------------------------------------------------------


def test_a_page_hears_of_what_another_server_took(run, database):
    first, second = run(), run()
    page = Page(first)

    second.send(body("job_epoch", "j", epoch=0))

    began = time.monotonic()
    assert page.next() == 2
    if database.startswith("postgresql"):
        assert time.monotonic() - began < 3, "by NOTIFY it takes no poll"


def test_a_page_hears_of_what_nobody_announced(run, database):
    page = Page(run())

    with closing(open_store(database)) as store:
        store.add_events([start("imported")])

    assert page.next() == 2


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_servers_hear_of_each_other_again_after_their_connections_were_lost(run, postgres, database, caplog):
    first, second = run(), run()
    page = Page(first)
    cut = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'argus live'"
    )
    listening = (
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()"
    )

    assert postgres.execute(cut, database)[0][0] >= 2
    second.send(body("job_epoch", "j", epoch=0))
    assert page.next() == 2
    wait_until(lambda: postgres.execute(listening, database)[0][0] == 2)
    second.send(body("job_epoch", "j", epoch=1))

    assert page.next(3) == 3
    assert "live pages hear of other servers late" in caplog.text


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_nonsense_on_the_channel_harms_nobody(run, postgres, database):
    server = run()
    page = Page(server)

    for payload in ("", " ", "x", "x y z", "\u00e9" * 100):
        postgres.execute(f"SELECT pg_notify('argus_live', '{payload}')", database)
    server.send(body("job_epoch", "j", epoch=0))

    assert page.next() == 2


# --- silence ----------------------------------------------------------------------------------


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_page_that_hears_nothing_hears_that_the_server_is_there(run, monkeypatch):
    monkeypatch.setattr("argus_server.live._HEARTBEAT_S", 0.1)
    server = run()

    with server.request("GET", "/p/p/live", stream=True) as answer:
        lines = [line for line in islice(answer.raw, 12) if line.strip()]

    assert lines[:2] == [b"id: 1\n", b"retry: 2000\n"]
    assert set(lines[2:]) == {b": \n"}


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_page_has_to_come_again_after_a_while(run, monkeypatch):
    monkeypatch.setattr("argus_server.live._LIFETIME_S", 0.5)
    monkeypatch.setattr("argus_server.live._HEARTBEAT_S", 0.1)
    server = run()

    page = Page(server)

    assert page.ended.wait(10)
    wait_until(lambda: server.app.state.live.listeners == 0)


# --- the end of a page ------------------------------------------------------------------------


def test_a_closed_page_leaves_nothing_behind(run):
    server = run()
    pages = [Page(server) for _ in range(5)]
    assert server.app.state.live.listeners == 5

    for page in pages:
        page.close()

    wait_until(lambda: server.app.state.live.listeners == 0)
    server.send(body("job_epoch", "j", epoch=0))
    assert Page(server).first_id == 2


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_more_pages_than_allowed_are_told_to_come_later(run):
    server = run(live_listeners=2)
    pages = [Page(server), Page(server)]

    refused = server.request("GET", "/p/p/live")
    pages[0].close()
    wait_until(lambda: server.app.state.live.listeners == 1)

    assert refused.status_code == 503
    assert int(refused.headers["Retry-After"]) > 0
    assert Page(server).first_id == 1


def test_a_server_that_stops_ends_its_streams_at_once(run):
    server = run()
    pages = [Page(server) for _ in range(3)]

    assert server.stop() < 5

    for page in pages:
        assert page.ended.wait(5)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_head_and_unknown_projects_are_answered_at_once(run):
    server = run()

    assert server.request("HEAD", "/p/p/live").status_code == 200
    assert server.request("GET", "/p/nobody/live").status_code == 404
    assert server.app.state.live.listeners == 0
