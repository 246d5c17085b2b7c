"""What the leaderboard's page costs with 100,000 jobs of 20 metrics: the server, the wire, the browser, news.

    python benchmarks/pages.py [--database FILE] [--jobs 100000] [--epochs 50] [--chromium /usr/bin/chromium]

Asks a real server over HTTP, and Chromium, for the first page by each metric; then reports one job after
another and waits until its row is in an open page. Goals: server time ≤ 100 ms p95, ≤ 150 kB gzipped, first
contentful paint ≤ 500 ms, a row in place ≤ 200 ms after its event was accepted. The yardsticks in the same
run: `/healthz` of the same server, and a page without a table in the same browser. The epochs, from which
each row's curve is drawn, are written straight into the tables of a copy.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import requests
from boards import METRICS, fill, job_events
from leaderboard import first_pages

ROUNDS = 60
PAINTS = 15
UPDATES = 20
READERS = 20
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
FIRST_US = 1_767_225_600_000_000


def write_epochs(path: str, epochs: int) -> None:
    """Give every job without epochs this many."""
    numbers = random.Random(3)
    texts = [
        json.dumps({"epoch": 0, "train_loss": numbers.random(), "val_loss": numbers.random(), "lr": 0.1})
        for _ in range(1000)
    ]
    connection = sqlite3.connect(path)
    jobs = [
        row[0] for row in connection.execute("SELECT job_no FROM job WHERE project_id = 1 AND epoch IS NULL")
    ]
    rows = (
        (1, job, epoch, FIRST_US + epoch, f"epoch-{job}-{epoch}", texts[(job + epoch) % 1000])
        for job in jobs
        for epoch in range(epochs)
    )
    with connection:
        connection.executemany(
            "INSERT OR IGNORE INTO epoch (project_id, job_no, epoch, timestamp_us, event_id, data) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            rows,
        )
        connection.execute("UPDATE job SET epoch = ? WHERE project_id = 1 AND epoch IS NULL", (epochs - 1,))
    connection.close()


class Served:
    """A server in a process of its own, with what it takes to read and to report."""

    def __init__(self, database: str) -> None:
        store = fill(database, 0)
        reading, reporting = store.credentials.create_token("read"), store.credentials.create_token("report")
        store.close()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "argus_core", "serve", "--port", "0", "--database", database,
             "--json-ready", "--read-rate", "0", "--report-rate", "0"],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        ready = json.loads(self.process.stdout.readline())
        self.url, self.sign_in_url = ready["url"].rstrip("/"), ready["sign_in_url"]
        self.reader, self.reporter = requests.Session(), requests.Session()
        self.reader.headers.update({"Authorization": f"Bearer {reading}", "Accept": "text/html"})
        self.reporter.headers["Authorization"] = f"Bearer {reporting}"

    def cpu_s(self) -> float:
        """Return how much processor time the server has taken so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def board(self) -> str:
        return f"{self.url}/p/bench/leaderboard"

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(30)


def spread(taken: list[float]) -> tuple[float, float]:
    """Return p50 and p95."""
    taken = sorted(taken)
    return statistics.median(taken), taken[min(len(taken) - 1, int(len(taken) * 0.95))]


def server_ms(served: Served, urls: list[str]) -> tuple[list[float], int]:
    """Return how long each answer took to its last byte, in ms, and the largest on the wire, in bytes."""
    taken, largest = [], 0
    for url in urls:
        start = time.perf_counter()
        answer = served.reader.get(url, timeout=60, stream=True)
        body = answer.raw.read(decode_content=False)
        taken.append((time.perf_counter() - start) * 1e3)
        assert answer.status_code == 200, body[:300]
        largest = max(largest, len(body))
    return taken, largest


def readers_ms(served: Served) -> tuple[list[float], float]:
    """Return how long the last of many waits who ask for a board that has changed, and the CPU of each."""
    taken, cpu = [], 0.0
    with ThreadPoolExecutor(READERS) as pool:
        for _ in range(ROUNDS // 10):
            report(served)
            start, before = time.perf_counter(), served.cpu_s()
            list(pool.map(lambda _: server_ms(served, [served.board]), range(READERS)))
            taken.append((time.perf_counter() - start) * 1e3)
            cpu += served.cpu_s() - before
    return taken, cpu / len(taken) / READERS * 1e3


def paint_ms(page: Any, url: str) -> float:
    """Return the first contentful paint of a page that the browser has not seen."""
    page.goto(url)
    return float(
        page.evaluate(
            """new Promise(done => new PerformanceObserver((list, observer) => {
                for (const entry of list.getEntriesByName('first-contentful-paint')) {
                    observer.disconnect(); done(entry.startTime); }
            }).observe({type: 'paint', buffered: true}))"""
        )
    )


def report(served: Served) -> tuple[str, float]:
    """Report one job, the best there is; return its name, and when it was accepted, in ms since 1970."""
    number = time.time_ns() // 10**8  # no run of this benchmark has reported it before
    events = job_events(number, random.Random(number), "bench")
    events[-1]["data"]["metrics"]["MSE"] = 1 / number
    answer = served.reporter.post(f"{served.url}/api/events/batch", json={"events": events}, timeout=60)
    assert answer.status_code == 200, answer.text
    return events[0]["job_id"], time.time() * 1e3


ARRIVED = """job => new Promise(done => {
    const look = () => [...document.querySelectorAll('td.job')].some(cell => cell.textContent === job);
    if (look()) return done(Date.now());
    new MutationObserver((_, observer) => {
        if (look()) { observer.disconnect(); done(Date.now()); }
    }).observe(document.body, {childList: true, subtree: true});
})"""


def update_ms(page: Any, served: Served, rounds: int) -> list[float]:
    """Return how long after each event was accepted its row was in the open page."""
    page.goto(served.board + "?sort=MSE")
    page.wait_for_selector("[data-live-state=on]")
    taken = []
    for _ in range(rounds):
        page.wait_for_timeout(1500)  # a page that has just been renewed rests
        job, accepted = report(served)
        taken.append(page.evaluate(ARRIVED, job) - accepted)
    return taken


def main() -> None:
    """Run everything and print it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--database", help="an SQLite file to begin with; it is copied")
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--folder", default=None, help="where the copy is kept between runs")
    arguments = parser.parse_args()
    folder = Path(arguments.folder or tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    database = folder / f"pages-{arguments.jobs}.sqlite3"
    if arguments.database and not database.exists():
        shutil.copy(arguments.database, database)
    fill(str(database), arguments.jobs).close()
    write_epochs(str(database), arguments.epochs)
    served = Served(str(database))
    print("| what | p50 | p95 | goal | |\n|---|---|---|---|---|")
    try:
        measure_server(served)
        measure_browser(served, arguments.chromium)
    finally:
        served.end()
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    print(f"\n{os.cpu_count()} cores, load of the machine: {load}")


def told(what: str, taken: list[float], goal: float | None = None, *, unit: str = "ms") -> None:
    p50, p95 = spread(taken)
    verdict = "" if goal is None else "met" if p95 <= goal else "**MISSED**"
    wanted = "" if goal is None else f"p95 ≤ {goal:g} {unit}"
    print(f"| {what} | {p50:.1f} {unit} | {p95:.1f} {unit} | {wanted} | {verdict} |", flush=True)


def measure_server(served: Served) -> None:
    numbers = random.Random(2)
    urls = first_pages(served.board, numbers)
    urls, warm = urls[:ROUNDS], urls[ROUNDS:]
    server_ms(served, warm[:5])
    before = served.cpu_s()
    taken, size = server_ms(served, urls)
    cpu_ms = (served.cpu_s() - before) / len(urls) * 1e3
    told("first page, HTML", taken, 100)
    print(f"| of which the server's processor time | {cpu_ms:.1f} ms | | | |")
    bare, _ = server_ms(
        served, [f"{served.board}?sort={name}&col=dataset&col=seed&col={name}" for name in METRICS]
    )
    told("first page, one metric and no curve", bare)
    healthy, _ = server_ms(served, [f"{served.url}/healthz"] * ROUNDS)
    told("/healthz", healthy)
    last, cpu = readers_ms(served)
    told(f"{READERS} readers of one board after a result, the last of them", last)
    print(f"| of which the server's processor time, each | {cpu:.1f} ms | | | |")
    verdict = "met" if size <= 150_000 else "**MISSED**"
    print(f"| first page on the wire, gzipped | {size / 1e3:.0f} kB | | ≤ 150 kB | {verdict} |", flush=True)


def measure_browser(served: Served, chromium: str) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        page = context.new_page()
        page.goto(served.sign_in_url)
        paint_ms(page, served.board)
        taken = [paint_ms(page, f"{served.board}?sort={name}") for name in METRICS[:PAINTS]]
        told("Chromium, first contentful paint", taken, 500)
        empty = [paint_ms(page, f"{served.url}/p/nobody-{number}/leaderboard") for number in range(PAINTS)]
        told("the same of a page without a table", empty)
        told("a row in place after its event was accepted", update_ms(page, served, UPDATES), 200)
        browser.close()


if __name__ == "__main__":
    os.environ.setdefault("ARGUS_HOME", tempfile.mkdtemp())
    main()
