"""A real server under hands that mean it no good: memory and time stay bounded, honest clients are served."""

from __future__ import annotations

import gzip
import json
import re
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import psutil
import pytest
import requests
from real_server import RealServer
from unit.server.wire import body

MIB = 1024 * 1024


@pytest.fixture
def server(tmp_path):
    server = RealServer(tmp_path)
    server.token = server.make_token("report")
    server.start()
    server.process = psutil.Process(server._process.pid)
    post(server, json.dumps([body("job_start", "warm", project="warm")]))
    yield server
    assert server.end() == 0
    assert "Traceback" not in server.log.read_text()


def post(server, content, path="/api/events/batch", *, token=None, **headers):
    headers = {"Authorization": f"Bearer {token or server.token}", **headers}
    return requests.post(server.url + path, data=content, headers=headers, timeout=120)


def honest_seconds(server) -> float:
    """Return how long an honest sender waits for its answer just now."""
    started = time.perf_counter()
    assert post(server, json.dumps([body("job_start", "honest")])).json()["accepted"] == 1
    return time.perf_counter() - started


def memory_mib(server) -> float:
    return server.process.memory_info().rss / MIB


class Watched:
    """Watches the peak memory of the server while something happens, in MiB above where it was."""

    def __init__(self, server) -> None:
        self._server = server

    def __enter__(self):
        self.before = self.peak = memory_mib(self._server)
        self._pool = ThreadPoolExecutor(1)
        self._over = False
        self._looking = self._pool.submit(self._look)
        return self

    def _look(self) -> None:
        while not self._over:
            self.peak = max(self.peak, memory_mib(self._server))
            time.sleep(0.02)

    def __exit__(self, *_) -> None:
        self._over = True
        self._looking.result()
        self._pool.shutdown()

    @property
    def grown(self) -> float:
        return self.peak - self.before


def connect(server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=60)


def head(server, token: str, length: int, path: str = "/api/events/batch") -> bytes:
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: x",
        f"Authorization: Bearer {token}",
        f"Content-Length: {length}",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def test_a_body_of_100_mb_is_refused_by_its_length_and_never_held(server):
    with Watched(server) as memory, connect(server) as client:
        client.sendall(head(server, server.token, 100 * MIB))
        answer = client.recv(4096)

    assert answer.startswith(b"HTTP/1.1 413")
    assert memory.grown < 20


def test_a_body_of_100_mb_without_a_length_is_refused_on_the_way(server):
    def pieces():
        for _ in range(100):
            yield b" " * MIB

    with Watched(server) as memory:
        try:
            status = post(server, pieces()).status_code
        except requests.ConnectionError:
            status = 413  # cut off while it was still sending
    assert status == 413
    assert memory.grown < 90
    assert honest_seconds(server) < 10


def test_a_stranger_gets_a_401_before_sending_a_body(server):
    with Watched(server) as memory, connect(server) as client:
        client.sendall(head(server, "em_live_" + "x" * 32, 10 * MIB))
        answer = client.recv(4096)

    assert answer.startswith(b"HTTP/1.1 401")
    assert memory.grown < 20


@pytest.mark.parametrize(
    "plain",
    [b" " * 1_000_000_000, b"[" + b"[]," * 20_000_000 + b"[]]", b"[" + b"1," * 30_000_000 + b"1]"],
    ids=["spaces", "empty arrays", "numbers"],
)
def test_a_gzip_bomb_costs_no_more_than_the_limit(server, plain):
    bomb = gzip.compress(plain, 9)
    del plain

    with Watched(server) as memory, ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: post(server, bomb, **{"Content-Encoding": "gzip"}), range(4)))

    assert {answer.status_code for answer in answers} <= {400, 413, 429}
    assert memory.grown < 500
    assert honest_seconds(server) < 10


def test_an_event_of_any_make_costs_bounded_memory_and_time(server):
    keys = {f"k{i}": i for i in range(1_000_000)}
    deep = b"[" * 1_000_000 + b"]" * 1_000_000
    event = json.dumps(body("job_done", "j", metrics={"MSE": 1})).encode()
    bodies = [
        json.dumps([body("job_start", "j", **keys)]).encode(),
        json.dumps(
            [body("job_done", "j", metrics={"A" * 2_000_000: dict(list(keys.items())[:100_000])})]
        ).encode(),
        event.replace(b'"MSE": 1', b'"MSE": ' + deep),
        event.replace(b'"MSE": 1', b'"MSE": ' + b"9" * 3_000_000),
        b'["' + b"\\" * 10_000_001,
        b"[" + b'\\"' * 5_000_000,
        b'{"a":' * 400_000,
        b'{"events": [' + b",".join([event] * 5000) + b"]",
    ]
    with Watched(server) as memory:
        started = time.perf_counter()
        statuses = [post(server, content).status_code for content in bodies]
        took_s = time.perf_counter() - started

    assert all(400 <= status < 500 for status in statuses), statuses
    assert memory.grown < 300
    assert took_s < 120


def test_slow_clients_starve_no_honest_one_and_lose_their_connection(server):
    with ExitStack() as held, Watched(server) as memory:
        slow = [held.enter_context(connect(server)) for _ in range(1200)]
        for number, client in enumerate(slow):
            try:
                client.sendall(b"POST /api/events HTTP/1.1\r\nX-A: " if number % 2 else b"")
            except OSError:
                continue  # its place was taken already
        assert honest_seconds(server) < 10
        drip = held.enter_context(connect(server))
        drip.sendall(head(server, server.token, 1000) + b"[")
        assert honest_seconds(server) < 10
        connections = len(server.process.net_connections("tcp"))
        answer = drip.recv(4096)
        last = slow[-1]
        last.settimeout(30)
        end = last.recv(100) if _is_open(last) else b""

    assert connections <= 1010
    assert answer.startswith(b"HTTP/1.1 408")
    assert end == b""
    assert memory.grown < 120


def _is_open(client: socket.socket) -> bool:
    try:
        client.send(b"a")
    except OSError:
        return False
    return True


def test_who_reads_no_answer_holds_no_memory_for_long(server):
    token = server.make_token("read")
    with connect(server) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        request = f"GET /schema/openapi.json HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
        try:
            for _ in range(5000):
                client.settimeout(2)
                client.sendall(request.encode())
        except OSError:
            pass
        with Watched(server) as memory:
            time.sleep(1)

        assert memory.grown < 20
        assert honest_seconds(server) < 10


ENDLESS = {
    "an address": (b"GET /", b"a" * 8192),
    "a field": (b"GET / HTTP/1.1\r\nX-A: ", b"a" * 8192),
    "fields": (b"GET / HTTP/1.1\r\n", b"X-A: 1\r\n" * 1000),
    "an extension of a piece": (
        b"POST /api/events HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;a=",
        b"a" * 8192,
    ),
    "a field behind a body": (
        b"POST /api/events HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-A: ",
        b"a" * 8192,
    ),
    "fields behind a body": (
        b"POST /api/events HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
        b"X-A: 1\r\n" * 1000,
    ),
}


@pytest.mark.parametrize("endless", ENDLESS)
def test_what_is_around_a_body_is_bounded(server, endless):
    start, more = ENDLESS[endless]
    with Watched(server) as memory, connect(server) as client:
        client.sendall(start)
        sent = 0
        try:
            while sent < 20 * MIB:
                client.sendall(more)
                sent += len(more)
        except OSError:
            pass  # the connection was cut

    assert sent < 20 * MIB
    assert memory.grown < 30
    assert honest_seconds(server) < 10


def test_very_many_requests_at_once_hold_no_memory(server):
    with Watched(server) as memory, connect(server) as client:
        try:
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 20_000)
            while client.recv(1 << 20):
                pass
        except OSError:
            pass  # the connection was cut

    assert memory.grown < 30
    assert honest_seconds(server) < 10


def test_a_few_requests_at_once_are_answered_in_their_order(server):
    paths = ["/healthz", "/nowhere"] * 20
    with connect(server) as client:
        client.sendall(b"".join(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for path in paths[:-1]))
        client.sendall(b"GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answers = b"".join(iter(lambda: client.recv(1 << 16), b""))

    assert re.findall(rb"HTTP/1\.1 (\d+)", answers) == [b"200", b"404"] * 20


def test_fields_behind_a_body_say_nothing_of_who_sends_it(server):
    content = json.dumps([body("job_start", "late")]).encode()
    with connect(server) as client:
        client.sendall(
            b"POST /api/events/batch HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            + b"%x\r\n%s\r\n0\r\nAuthorization: Bearer %s\r\n\r\n"
            % (len(content), content, server.token.encode())
        )
        answer = client.recv(4096)

    assert answer.startswith(b"HTTP/1.1 401")


def test_requests_made_from_the_schema_get_no_5xx(server):
    """The ingest body has a fuzz test of its own: its schema has conditions that schemathesis cannot read."""
    token = server.make_token("admin")
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/schema/openapi.json"]
    command += ["--header", f"Authorization: Bearer {token}", "--checks", "not_a_server_error"]
    command += [
        "--exclude-path-regex",
        "artifacts$|/live$|^/api/events",
        "--max-examples",
        "10",
        "--workers",
        "2",
        "--no-color",
    ]
    command += ["--phases", "examples,fuzzing", "--max-time", "60"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=250, cwd=server.database.parent)

    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-1000:]
