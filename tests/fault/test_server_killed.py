"""The server, killed or asked to stop under load: what it acknowledged is there, once."""

from __future__ import annotations

import signal
import threading
import time
import uuid
from collections import Counter
from pathlib import Path

import pytest
import requests
from real_server import RealServer

from argus_server.storage.store import open_store

pytestmark = pytest.mark.timeout(900)  # most of the time goes into starting servers, on a machine under load

N_CLIENTS = 8
KILLS = 20
KILLS_OF_ONE_OF_TWO = 10


class Client(threading.Thread):
    """Sends events, each until a server has acknowledged it, and knows which those are.

    Every fourth request has many events, and every tenth event is sent again although it was taken.
    """

    def __init__(self, number: int, urls: list[str], token: str) -> None:
        super().__init__(daemon=True)
        self.acknowledged: list[str] = []
        self.refusals: list[str] = []
        self.stop = threading.Event()
        self._name = f"client-{number}"
        self._urls = urls[number % len(urls) :] + urls[: number % len(urls)]
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {token}"

    def run(self) -> None:
        n_requests = epoch = 0
        while not self.stop.is_set():
            n_requests += 1
            events = [self._event(epoch + i) for i in range(20 if n_requests % 4 == 0 else 1)]
            epoch += len(events)
            ids = [event["event_id"] for event in events]
            if self._send(events, again=n_requests % 10 == 0):
                self.acknowledged += ids

    def _event(self, epoch: int) -> dict:
        return {
            "event_id": str(uuid.uuid4()),
            "schema_version": "1.1",
            "event_type": "job_epoch",
            "timestamp": "2026-01-01T00:00:00Z",
            "batch_id": "b",
            "job_id": self._name,
            "source": {"project": "p"},
            "data": {"epoch": epoch, "train_loss": 0.5},
        }

    def _send(self, events: list[dict], *, again: bool) -> bool:
        """Whether some server has acknowledged the events before we were told to stop."""
        while not self.stop.is_set():
            for url in self._urls:
                try:
                    answer = self._session.post(
                        f"{url}/api/events/batch", json={"events": events}, timeout=10
                    )
                except requests.RequestException:
                    continue
                if answer.status_code in (429, 503):
                    continue
                if answer.status_code != 200 or answer.json()["rejected"]:
                    self.refusals.append(answer.text)
                    return False
                if not again:
                    return True
                again = False
            time.sleep(0.01)
        return False


class Load:
    """Eight clients, from the beginning of the block to its end."""

    def __init__(self, urls: list[str], token: str) -> None:
        self.clients = [Client(number, urls, token) for number in range(N_CLIENTS)]

    def __enter__(self) -> Load:
        for client in self.clients:
            client.start()
        return self

    def __exit__(self, *error: object) -> None:
        for client in self.clients:
            client.stop.set()
        for client in self.clients:
            client.join(30)
        assert not any(client.is_alive() for client in self.clients)

    @property
    def acknowledged(self) -> list[str]:
        return [event_id for client in self.clients for event_id in list(client.acknowledged)]

    @property
    def refusals(self) -> list[str]:
        return [text for client in self.clients for text in client.refusals]

    def wait_for_more(self, count: int) -> None:
        """Return when so many events more are acknowledged."""
        target, deadline = len(self.acknowledged) + count, time.monotonic() + 60
        while len(self.acknowledged) < target:
            assert time.monotonic() < deadline, "nothing is acknowledged any more"
            time.sleep(0.005)


def check(load: Load, stored: list[str], epochs: int) -> None:
    """All that was acknowledged is stored, nothing twice, and every event has its row in the projection."""
    counts = Counter(stored)
    assert load.refusals == []
    assert [event_id for event_id in load.acknowledged if event_id not in counts] == []
    assert [event_id for event_id, count in counts.items() if count > 1] == []
    assert len(load.acknowledged) == len(set(load.acknowledged))
    assert epochs == len(counts)


@pytest.fixture
def start(tmp_path: Path):
    """Return a function that starts a server in a folder of its own."""
    servers: list[RealServer] = []

    def begin(database: str | None = None) -> RealServer:
        folder = tmp_path / str(len(servers))
        folder.mkdir()
        servers.append(RealServer(folder, database).start())
        return servers[-1]

    yield begin
    for server in servers:
        server.end(signal.SIGKILL)


def test_a_server_killed_again_and_again_under_load_keeps_all_that_it_acknowledged(start):
    server = start()
    with Load([server.url], server.make_token("report")) as load:
        for _ in range(KILLS):
            load.wait_for_more(20)
            server.end(signal.SIGKILL)
            server.start()
        load.wait_for_more(20)

    server.end(signal.SIGKILL)
    assert server.query("PRAGMA integrity_check") == [("ok",)]
    check(load, server.event_ids(), server.count("SELECT count(*) FROM epoch"))
    assert server.log.read_text() == ""


def test_two_servers_on_one_postgresql_keep_all_that_they_acknowledged_when_one_is_killed(start, postgres):
    database = postgres.new_database()
    servers = [start(database) for _ in range(2)]
    with Load([server.url for server in servers], servers[0].make_token("report")) as load:
        for number in range(KILLS_OF_ONE_OF_TWO):
            load.wait_for_more(50)
            servers[number % 2].end(signal.SIGKILL)
            load.wait_for_more(50)
            servers[number % 2].start()
        load.wait_for_more(50)

    stored = [row[0] for row in postgres.execute("SELECT event_id FROM event", database)]
    ((epochs,),) = postgres.execute("SELECT count(*) FROM epoch", database)
    check(load, stored, epochs)


def test_a_server_asked_to_stop_under_load_answers_what_it_took_and_ends(start):
    server = start()
    token = server.make_token("admin")
    with Load([server.url], token) as load:
        load.wait_for_more(50)
        headers = {"Authorization": f"Bearer {token}"}
        with requests.get(f"{server.url}/p/p/live", headers=headers, stream=True, timeout=30) as page:
            began = time.monotonic()
            code = server.end(signal.SIGTERM)
            took_s = time.monotonic() - began
            said = page.raw.read()

        with pytest.raises(requests.ConnectionError):
            requests.get(f"{server.url}/healthz", timeout=5)

    assert code == 0
    assert took_s < 10
    assert said.startswith(b"id: ")
    check(load, server.event_ids(), server.count("SELECT count(*) FROM epoch"))
    store = open_store(str(server.database))  # opens without repair, and nothing waits in its log
    store.close()
    assert server.log.read_text() == ""
