"""What the memory of a server comes to while all views of many projects are asked for, project by project.

    python benchmarks/memory.py [--projects 20] [--jobs 2000] [--rounds 1]

A real server over HTTP. Each project has so many done jobs of 20 metrics and is asked for its models by every
metric, and for pairs, quality against cost and sensitivity by some. Printed is what the process holds after
each project (RSS), and the processor time of a view that was asked for just now and of one that was asked for
first: the price of what has been forgotten since. The yardstick in the same run: `/healthz`.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import tempfile
from pathlib import Path

from boards import METRICS, fill
from pages import Served

COPIED = ("job", "job_metric", "metric_key", "facet", "batch")
AGAIN = 10


def copy_project(path: str, projects: int) -> None:
    """Make so many projects of the one that there is, straight in the tables."""
    connection = sqlite3.connect(path)
    connection.row_factory = sqlite3.Row
    with connection:
        first = dict(connection.execute("SELECT * FROM project WHERE name = 'bench'").fetchone())
        have = connection.execute("SELECT count(*) FROM project").fetchone()[0]
        for number in range(have, projects):
            row = first | {"id": first["id"] + number, "name": f"bench-{number}"}
            _insert(connection, "project", row, f"VALUES ({', '.join('?' * len(row))})", list(row.values()))
            for table in COPIED:
                names = dict.fromkeys(
                    column["name"] for column in connection.execute(f"PRAGMA table_info({table})")
                )
                chosen = ", ".join("?" if name == "project_id" else f'"{name}"' for name in names)
                query = f"SELECT {chosen} FROM {table} WHERE project_id = ?"
                _insert(connection, table, names, query, [row["id"], first["id"]])
    connection.close()


def _insert(
    connection: sqlite3.Connection, table: str, names: object, rest: str, values: list[object]
) -> None:
    columns = ", ".join(f'"{name}"' for name in names)  # type: ignore[attr-defined]
    connection.execute(f"INSERT INTO {table} ({columns}) {rest}", values)


def paths(project: str) -> list[str]:
    """Return the pages that are asked for in one project."""
    models = [f"leaderboard?group=model&metric={name}" for name in METRICS]
    others = [f"{page}?metric={name}" for name in METRICS[:4] for page in ("pairs", "pareto", "sensitivity")]
    return [f"/p/{project}/{page}" for page in ("leaderboard", *models, *others)]


def memory_mb(served: Served, what: str = "VmRSS") -> float:
    """Return what the server's process holds, or held at most (`VmHWM`)."""
    status = Path(f"/proc/{served.process.pid}/status").read_text()
    return int(status.split(f"{what}:")[1].split()[0]) * 1024 / 1e6


def ask(served: Served, path: str) -> None:
    answer = served.reader.get(served.url + path, timeout=120)
    assert answer.status_code == 200, answer.text[:300]


def cpu_ms(served: Served, path: str, rounds: int) -> float:
    """Return the server's processor time for each of these requests."""
    before = served.cpu_s()
    for _ in range(rounds):
        ask(served, path)
    return (served.cpu_s() - before) / rounds * 1e3


def main() -> None:
    """Run everything and print it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--projects", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--folder", default=None, help="where the database is kept between runs")
    arguments = parser.parse_args()
    folder = Path(arguments.folder or tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    database = str(folder / f"memory-{arguments.projects}-{arguments.jobs}.sqlite3")
    fill(database, arguments.jobs).close()
    copy_project(database, arguments.projects)
    projects = ["bench", *(f"bench-{number}" for number in range(1, arguments.projects))]
    served = Served(database)
    try:
        ask(served, "/healthz")
        print(
            f"| projects asked for | memory |\n|---|---|\n| none | {memory_mb(served):.0f} MB |", flush=True
        )
        for _ in range(arguments.rounds):
            for number, project in enumerate(projects, 1):
                for path in paths(project):
                    ask(served, path)
                print(f"| {number} | {memory_mb(served):.0f} MB |", flush=True)
        print(f"| at most | {memory_mb(served, 'VmHWM'):.0f} MB |\n\n| what | processor time |\n|---|---|")
        last, first = paths(projects[-1])[len(METRICS)], paths(projects[0])[len(METRICS)]
        print(f"| models, asked for just now | {cpu_ms(served, last, AGAIN):.1f} ms |")
        print(f"| models, asked for before all others | {cpu_ms(served, first, 1):.0f} ms |")
        print(f"| the same again | {cpu_ms(served, first, AGAIN):.1f} ms |")
        print(f"| /healthz | {cpu_ms(served, '/healthz', 200):.2f} ms |")
    finally:
        served.end()


if __name__ == "__main__":
    os.environ.setdefault("ARGUS_HOME", tempfile.mkdtemp())
    main()
