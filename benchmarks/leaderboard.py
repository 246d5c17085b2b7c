"""What a page of the leaderboard costs, from a thousand to a million jobs of 20 metrics.

    python benchmarks/leaderboard.py [--jobs 1000 10000 100000] [--database postgresql://…]

Asks a real server over HTTP for the first page by each metric, deep pages by the link of the page before and
by their number, filtered pages and the CSV of all rows. Goals: p50 ≤ 15 ms and p95 ≤ 50 ms at 100,000 jobs;
growth from 1,000 to 100,000 jobs ≤ 1.5, to a million ≤ 3; CSV ≥ 20,000 rows/s. A page that a filter leaves
few rows on costs less: growth is from the first size at which it is as full as it gets.

The yardsticks in the same run: /healthz of the same server, the walk of the index by itself (the first 200
rows by one metric, in raw SQL), and what the goals' machine did 70,000, 600,000 and 6,600 times a second:
inserts into raw SQLite, events decoded by a bare Litestar, and commits. A file of SQLite is read once before.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import requests
from boards import METRICS, fill
from ingest import bare_litestar, raw_commits, raw_sqlite

ROUNDS = 60


def served(database: str) -> tuple[subprocess.Popen[str], str, requests.Session]:
    """Return a server in a process of its own, its URL, and a session that may read."""
    store = fill(database, 0)
    token = store.credentials.create_token("read")
    store.close()
    server = subprocess.Popen(
        [sys.executable, "-m", "argus_core", "serve", "--port", "0", "--database", database, "--json-ready",
         "--read-rate", "0"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert server.stdout is not None
    url = json.loads(server.stdout.readline())["url"]
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {token}"
    return server, url, session


def machine() -> None:
    """Print how fast this machine is beside the one that the goals were set on."""
    with tempfile.TemporaryDirectory() as folder:
        there = {
            "raw SQLite, events/s": (raw_sqlite(Path(folder), 240)[7], 70_000),
            "bare Litestar, events/s": (bare_litestar()[0], 600_000),
            "raw SQLite, commits/s": (raw_commits(Path(folder)), 6_600),
        }
    print("| yardstick | here | where the goals were set | |\n|---|---|---|---|")
    for name, (here, goal) in there.items():
        print(f"| {name} | {here:,.0f} | {goal:,} | {here / goal:.2f} × |", flush=True)


def times_ms(session: requests.Session, urls: list[str]) -> list[float]:
    """Return how long each answer took, in ms."""
    taken = []
    for url in urls:
        start = time.perf_counter()
        answer = session.get(url, timeout=60)
        taken.append((time.perf_counter() - start) * 1e3)
        assert answer.status_code == 200, answer.text[:300]
    return taken


def links(session: requests.Session, board: str, pages: int, numbers: random.Random) -> list[str]:
    """Return where the link to the next page leads on pages in the second half of boards."""
    found = []
    for _ in range(ROUNDS):
        page = numbers.randint(max(1, pages // 2), max(1, pages - 1))
        text = session.get(f"{board}?sort={numbers.choice(METRICS)}&page={page}", timeout=60).text
        found.append(re.search(r'<a rel="next" href="([^"]*)"', text)[1].replace("&amp;", "&"))  # type: ignore[index]
    return [board.partition("/p/")[0] + path for path in found]


def first_pages(board: str, numbers: random.Random) -> list[str]:
    """Return the first page by each metric, four times, so that the server takes none for another."""
    modes = ("median", "last", "best", "mean")
    pages = [f"{board}?sort={key}&seeds={seeds}" for key in METRICS for seeds in modes]
    return numbers.sample(pages, len(pages))


def urls_of(session: requests.Session, base: str, jobs: int) -> dict[str, list[str]]:
    """Return the questions, by kind."""
    numbers = random.Random(2)
    board = f"{base}/p/bench/leaderboard"
    pages = max(1, jobs // 200)
    return {
        "first page": first_pages(board, numbers)[: ROUNDS + 3],
        "first page, made before": [f"{board}?sort=MSE"] * ROUNDS,
        "deep page, by its link": links(session, board, pages, numbers),
        "deep page, by its number": [
            f"{board}?sort={numbers.choice(METRICS)}&page={numbers.randint(max(1, pages // 2), pages)}"
            for _ in range(ROUNDS)
        ],
        "one dataset": [
            f"{board}?sort={numbers.choice(METRICS)}&dataset=data-{numbers.randrange(25)}"
            for _ in range(ROUNDS)
        ],
        "one model, MSE<0.5": [
            f"{board}?sort={numbers.choice(METRICS)}&model=model-{numbers.randrange(40)}&where=MSE%3C0.5"
            for _ in range(ROUNDS)
        ],
        "/healthz": [f"{base}/healthz"] * ROUNDS,
    }


def read_once(path: str) -> None:
    """Have the system keep the file at hand: what is measured is the server, not the disk."""
    with Path(path).open("rb", buffering=0) as file:
        while file.read(1 << 22):
            pass


def walk_ms(path: str) -> float:
    """Return the median of the bare index walk, in ms."""
    connection = sqlite3.connect(path)
    sql = (
        "SELECT job_no, value FROM job_metric WHERE project_id = 1 AND key_id = ? AND standing = 1 "
        "AND value IS NOT NULL ORDER BY value, job_no LIMIT 200"
    )
    taken = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        connection.execute(sql, (random.randint(1, 20),)).fetchall()
        taken.append((time.perf_counter() - start) * 1e3)
    connection.close()
    return statistics.median(taken)


def csv_rows_per_s(session: requests.Session, base: str, jobs: int) -> float:
    """Return the rows a second of the whole CSV."""
    start = time.perf_counter()
    lines = 0
    with session.get(f"{base}/p/bench/leaderboard.csv", stream=True, timeout=600) as answer:
        for chunk in answer.iter_content(1 << 20):
            lines += chunk.count(b"\r\n")
    assert lines == jobs + 1, lines
    return jobs / (time.perf_counter() - start)


def main() -> None:
    """Run everything and print it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--database", help="a PostgreSQL URL instead of an SQLite file per size")
    parser.add_argument("--folder", default=None, help="where the files are kept between runs")
    arguments = parser.parse_args()
    folder = Path(arguments.folder or tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    first: dict[str, float] = {}
    full: dict[str, int] = {}
    machine()
    print("\n| jobs | question | rows | p50 | p95 | growth | server's CPU | bare index walk |")
    print("|---|---|---|---|---|---|---|---|")
    for jobs in arguments.jobs:
        database = arguments.database or str(folder / f"{jobs}.sqlite3")
        fill(database, jobs).close()
        walk = f"{walk_ms(database):.2f} ms" if not arguments.database else ""
        if not arguments.database:
            read_once(database)
        server, base, session = served(database)
        try:
            process = psutil.Process(server.pid)
            for name, urls in urls_of(session, base, jobs).items():
                rows = max(session.get(url, timeout=60).text.count("<tr data-row=") for url in urls[:3])
                urls = urls[3:]
                before = sum(process.cpu_times()[:2])
                taken = sorted(times_ms(session, urls))
                cpu = (sum(process.cpu_times()[:2]) - before) / len(urls) * 1e3
                p50, p95 = taken[len(taken) // 2], taken[int(len(taken) * 0.95)]
                if rows > full.get(name, -1):
                    full[name], first[name] = rows, p50
                print(
                    f"| {jobs:,} | {name} | {rows} | {p50:.1f} ms | {p95:.1f} ms | {p50 / first[name]:.2f} × "
                    f"| {cpu:.1f} ms | {walk} |",
                    flush=True,
                )
            rate = csv_rows_per_s(session, base, jobs)
            rss = int(Path(f"/proc/{server.pid}/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
            print(
                f"| {jobs:,} | CSV | {jobs} | {rate:,.0f} rows/s | | | | peak memory {rss:.0f} MB |",
                flush=True,
            )
        finally:
            server.terminate()
            server.wait(30)


if __name__ == "__main__":
    os.environ.setdefault("ARGUS_HOME", tempfile.mkdtemp())
    main()
