"""Reading never blocks writing: 8 clients report while 4 poll the leaderboard of 100,000 jobs.

    python benchmarks/mixed.py [--jobs 100000] [--folder FOLDER]

Goal: no 5xx, and the p95 of ingest with readers at most twice that without, in the same run.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import requests
from boards import METRICS, fill
from ingest import bodies, load, serve

ROUNDS = 3


def reader(url: str, token: str, number: int, stop: Any, results: Any) -> None:
    """Poll the leaderboard, by one metric after the other, until told to stop."""
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {token}"
    statuses: dict[int, int] = {}
    taken = []
    while not stop.is_set():
        start = time.perf_counter()
        key = METRICS[(number + len(taken)) % len(METRICS)]
        answer = session.get(f"{url}/p/bench/leaderboard?sort={key}", timeout=60)
        taken.append(time.perf_counter() - start)
        statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
        stop.wait(0.2)
    results.put((statuses, taken))


def written(url: str, token: str, start: int) -> tuple[float, float]:
    """Return events a second of 8 clients with bodies of 500 events, and the p95 of a body in ms."""
    shares = [
        [json.dumps({"events": body}).encode() for body in bodies(15, start=start + client * 10_000)]
        for client in range(8)
    ]
    rate, _, p95 = load(url, token, "/api/events/batch", shares)
    return rate * 500, p95


def main() -> None:
    """Run everything and print it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--folder", help="where the database of benchmarks/leaderboard.py is kept")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    database = str(folder / "argus.sqlite3")
    if arguments.folder:
        shutil.copy(Path(arguments.folder) / f"{arguments.jobs}.sqlite3", database)
    store = fill(database, arguments.jobs)
    read = store.credentials.create_token("read")
    store.close()
    server, url, token = serve(database)
    print("| round | readers | events/s | p95 of a body | pages, p50 | statuses |\n|---|---|---|---|---|---|")
    try:
        for turn in range(ROUNDS):
            alone, alone_p95 = written(url, token, 10_000_000 * (2 * turn + 1))
            print(f"| {turn + 1} | 0 | {alone:,.0f} | {alone_p95:.0f} ms | | |", flush=True)
            stop, results = multiprocessing.Event(), multiprocessing.Queue()
            readers = [
                multiprocessing.Process(target=reader, args=(url, read, number, stop, results))
                for number in range(4)
            ]
            for process in readers:
                process.start()
            time.sleep(1)
            beside, beside_p95 = written(url, token, 10_000_000 * (2 * turn + 2))
            stop.set()
            answers = [results.get(timeout=60) for _ in readers]
            taken = sorted(one for _, some in answers for one in some)
            statuses: dict[int, int] = {}
            for counted, _ in answers:
                for status, count in counted.items():
                    statuses[status] = statuses.get(status, 0) + count
            figure = f"{beside_p95:.0f} ms ({beside_p95 / alone_p95:.2f} ×)"
            pages = f"{len(taken)}, {taken[len(taken) // 2] * 1e3:.0f} ms"
            print(f"| {turn + 1} | 4 | {beside:,.0f} | {figure} | {pages} | {statuses} |", flush=True)
    finally:
        server.terminate()
        server.wait(60)


if __name__ == "__main__":
    os.environ.setdefault("ARGUS_HOME", tempfile.mkdtemp())
    main()
