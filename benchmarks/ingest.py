"""How many events a second the server takes, beside what the database takes without it.

    python benchmarks/ingest.py [--database postgresql://…] [--stored 5000000]

Real servers in processes of their own, real clients in others. Bodies of 500 events of 8 interleaved jobs
(start, 20 epochs, done with 20 metrics, over and over), from 1 and 8 clients; single events from 8 and 64
clients. The yardsticks in the same run: raw `sqlite3` inserts of as many such rows with the same keys and
`synchronous=FULL`, 500 events a transaction; and a bare Litestar route that decodes the same body.

Goals: ≥ 20,000 events/s with UUIDv7 ids and ≥ 12,000 with UUIDv4 in bodies of 500, at least 0.3 × raw SQLite;
≥ 8,000 on PostgreSQL; ≥ 2,000 single requests/s from 8 clients with p95 ≤ 15 ms. They were set on a machine
whose raw SQLite took 70,000 events/s (UUIDv4: 40,000), and 6,600 commits/s.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

from boards import job_events

BODY_EVENTS = 500
_COMMITS = 3000
SECONDS = 6.0


def bodies(
    count: int, *, version: int = 7, start: int = 0, project: str = "bench"
) -> list[list[dict[str, Any]]]:
    """Return bodies of 500 events, each of 8 jobs that report in turn."""
    numbers = random.Random(start)
    made: list[list[dict[str, Any]]] = []
    waiting: list[dict[str, Any]] = []
    job = start
    while len(made) < count:
        jobs = [job_events(job + i, numbers, project, epochs=20) for i in range(8)]
        job += 8
        waiting += [event for together in zip(*jobs, strict=True) for event in together]
        while len(waiting) >= BODY_EVENTS and len(made) < count:
            made.append(waiting[:BODY_EVENTS])
            waiting = waiting[BODY_EVENTS:]
    if version == 4:
        for body in made:
            for event in body:
                event["event_id"] = str(uuid.UUID(int=numbers.getrandbits(128), version=4))
    return made


# --- raw SQLite -------------------------------------------------------------------------------


class RawSqlite:
    """Bare inserts into one file: the log, the epochs, 20 metrics a job and their index."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.executescript(
            """
            PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;
            CREATE TABLE event (
                project_id, seq, event_id, type, at, batch_id, job_id, payload, PRIMARY KEY (project_id, seq)
            );
            CREATE UNIQUE INDEX event_ids ON event (project_id, event_id);
            CREATE TABLE epoch (
                project_id, job, epoch, at, event_id, data, PRIMARY KEY (project_id, job, epoch)
            );
            CREATE TABLE job_metric (project_id, key, job, value, PRIMARY KEY (project_id, job, key));
            CREATE INDEX walk ON job_metric (project_id, key, value, job);
            """
        )
        self._seq = 0

    def insert(self, made: list[list[dict[str, Any]]]) -> float:
        """Return the events a second of these bodies, each in a transaction of its own."""
        rows = [
            [(e, json.dumps(e), json.dumps(e["data"]), e["data"].get("metrics", {})) for e in body]
            for body in made
        ]
        start, first = time.perf_counter(), self._seq
        for body in rows:
            self._insert(body)
        return (self._seq - first) / (time.perf_counter() - start)

    def close(self) -> None:
        self._connection.close()

    def _insert(self, body: list[tuple[dict[str, Any], str, str, dict[str, Any]]]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        log, epochs, metrics = [], [], []
        for event, text, data, measured in body:
            self._seq += 1
            kind, at, job = event["event_type"], event["timestamp"], event["batch_id"] + event["job_id"]
            log.append((1, self._seq, event["event_id"], kind, at, event["batch_id"], job, text))
            if kind == "job_epoch":
                epochs.append((1, job, event["data"]["epoch"], at, event["event_id"], data))
            metrics += [(1, key, job, value) for key, value in measured.items()]
        self._connection.executemany("INSERT OR IGNORE INTO event VALUES (?,?,?,?,?,?,?,?)", log)
        self._connection.executemany("INSERT OR REPLACE INTO epoch VALUES (?,?,?,?,?,?)", epochs)
        self._connection.executemany("INSERT OR REPLACE INTO job_metric VALUES (?,?,?,?)", metrics)
        self._connection.execute("COMMIT")


def raw_sqlite(folder: Path, count: int) -> dict[int, float]:
    """Return version of the ids → events a second: as many events as the server gets, in the same order.

    How many there are matters: each random id of a body dirties a page of its own in an index that has
    many of them, and few in one that has not.
    """
    best = {7: 0.0, 4: 0.0}
    for attempt in range(3):
        path = folder / f"raw-{attempt}.sqlite3"
        raw = RawSqlite(path)
        for number, version in enumerate(best):
            made = bodies(count, version=version, start=number * 50_000)
            best[version] = max(best[version], raw.insert(made))
        raw.close()
        path.unlink()
    return best


def raw_commits(folder: Path) -> float:
    """Return the commits a second of one row each."""
    connection = sqlite3.connect(folder / "commits.sqlite3", isolation_level=None)
    connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t (a, b)")
    start = time.perf_counter()
    for number in range(_COMMITS):
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO t VALUES (?, ?)", (number, "x" * 300))
        connection.execute("COMMIT")
    connection.close()
    return _COMMITS / (time.perf_counter() - start)


# --- over HTTP --------------------------------------------------------------------------------


def serve(database: str) -> tuple[subprocess.Popen[str], str, str]:
    """Return a server in a process of its own, its URL, and a token that reports."""
    from argus_server.storage.store import open_store

    store = open_store(database)
    token = store.credentials.create_token("report")
    store.close()
    server = subprocess.Popen(
        [sys.executable, "-m", "argus_core", "serve", "--port", "0", "--database", database, "--json-ready"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    return server, json.loads(server.stdout.readline())["url"], token


def bare_server() -> tuple[subprocess.Popen[str], str]:
    """Return a Litestar application that decodes what it gets and stores nothing."""
    code = """
import sys, msgspec, uvicorn
from litestar import Litestar, Request, post
from argus_core.events import Event
class Batch(msgspec.Struct):
    events: list[Event]
decoder = msgspec.json.Decoder(Batch)
@post("/api/events/batch", status_code=200)
async def take(request: Request) -> dict[str, int]:
    return {"accepted": len(decoder.decode(await request.body()).events)}
uvicorn.run(Litestar([take], logging_config=None), port=int(sys.argv[1]), log_level="error")
"""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([sys.executable, "-c", code, str(port)], text=True)
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    return server, f"http://127.0.0.1:{port}"


def bare_litestar() -> tuple[float, float]:
    """Return the events a second in bodies of 500, and the requests a second of one event from 8 clients."""
    server, url = bare_server()
    try:
        made = bodies(100)
        large = [json.dumps({"events": body}).encode() for body in made]
        small = [json.dumps({"events": [event]}).encode() for body in made[:20] for event in body]
        decoded, _, _ = load(url, "", "/api/events/batch", [large])
        answered, _, _ = load(url, "", "/api/events/batch", [small] * 8)
        return decoded * BODY_EVENTS, answered
    finally:
        server.terminate()
        server.wait(30)


def client(
    url: str, token: str, path: str, payloads: list[bytes], results: Any, seconds: float = SECONDS
) -> None:
    """Post one payload after the other on one connection; put how long each took, and when it was over."""
    import http.client

    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    taken = []
    start = time.perf_counter()
    for payload in payloads:
        if time.perf_counter() - start > seconds:
            break
        sent = time.perf_counter()
        connection.request("POST", path, payload, headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200, answer.status
        taken.append(time.perf_counter() - sent)
    results.put((start, time.perf_counter(), taken))


def load(
    url: str, token: str, path: str, shares: list[list[bytes]], seconds: float = SECONDS
) -> tuple[float, float, float]:
    """Return requests a second of these clients together, and p50 and p95 of a request in ms."""
    results: Any = multiprocessing.Queue()
    processes = [
        multiprocessing.Process(target=client, args=(url, token, path, share, results, seconds))
        for share in shares
    ]
    for process in processes:
        process.start()
    answers = [results.get(timeout=600) for _ in processes]
    for process in processes:
        process.join()
    taken = sorted(one for _, _, some in answers for one in some)
    seconds = max(end for _, end, _ in answers) - min(start for start, _, _ in answers)
    return len(taken) / seconds, taken[len(taken) // 2] * 1e3, taken[int(len(taken) * 0.95)] * 1e3


def main() -> None:
    """Run everything and print it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--database", help="a PostgreSQL URL instead of an SQLite file")
    parser.add_argument("--bodies", type=int, default=240)
    parser.add_argument("--stored", type=int, default=0, help="events that are in the database before")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    print("| what | figure | beside |\n|---|---|---|")
    raw = raw_sqlite(folder, arguments.bodies)
    for version, events_per_s in raw.items():
        print(f"| raw sqlite3, UUIDv{version} | {events_per_s:,.0f} events/s | |", flush=True)
    decoded, answered = bare_litestar()
    print(f"| bare Litestar, 500 events decoded, 1 client | {decoded:,.0f} events/s | |")
    print(f"| bare Litestar, one event decoded, 8 clients | {answered:,.0f} requests/s | |", flush=True)
    database = arguments.database or str(folder / "argus.sqlite3")
    server, url, token = serve(database)
    try:
        fill(url, token, arguments.stored)
        run(url, token, raw, arguments.bodies)
        rss = int(Path(f"/proc/{server.pid}/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
        print(f"| peak memory of the server | {rss:.0f} MB | |", flush=True)
    finally:
        server.terminate()
        server.wait(60)


def fill(url: str, token: str, events: int) -> None:
    """Put events into the database before anything is measured."""
    for start in range(0, events // BODY_EVENTS, 200):
        payloads = [
            json.dumps({"events": body}).encode()
            for body in bodies(200, start=10_000_000 + start * 25, project="stored")
        ]
        load(url, token, "/api/events/batch", [payloads], seconds=600)  # all of them


def run(url: str, token: str, raw: dict[int, float], count: int) -> None:
    """Measure a running server."""
    job = 0
    for clients in (1, 8):
        for version in (7, 4):
            shares = []
            for _ in range(clients):
                made = bodies(count // clients, version=version, start=job)
                job += 50_000
                shares.append([json.dumps({"events": body}).encode() for body in made])
            rate, p50, p95 = load(url, token, "/api/events/batch", shares)
            events = rate * BODY_EVENTS
            what = f"500 events, UUIDv{version}, {clients} clients"
            figure = f"{events:,.0f} events/s, p50 {p50:.0f} ms, p95 {p95:.0f} ms"
            print(f"| {what} | {figure} | {events / raw[version]:.2f} × raw sqlite3 |", flush=True)
    for clients in (8, 64):
        commits = [raw_commits(Path(tempfile.mkdtemp()))]
        shares = []
        for _ in range(clients):
            events_of = [event for body in bodies(max(2, 60 // clients), start=job) for event in body]
            job += 50_000
            shares.append([json.dumps(event).encode() for event in events_of])
        rate, p50, p95 = load(url, token, "/api/events", shares)
        commits.append(raw_commits(Path(tempfile.mkdtemp())))
        figure = f"{rate:,.0f} requests/s, p50 {p50:.1f} ms, p95 {p95:.1f} ms"
        yardstick = statistics.mean(commits)
        beside = f"{rate / yardstick:.2f} × raw commits/s ({yardstick:,.0f})"
        print(f"| single events, {clients} clients | {figure} | {beside} |", flush=True)


if __name__ == "__main__":
    os.environ.setdefault("ARGUS_HOME", tempfile.mkdtemp())
    main()
