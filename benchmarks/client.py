"""What reporting costs the training process, beside yardsticks in the same run.

    python benchmarks/client.py

Prints a table, and the row for RESULTS.md. Goals of the project: `emit()` of an 8-metric event p50
≤ 20 µs and p95 ≤ 60 µs on the calling thread; CPU of `import argus_core` ≤ 1.0 × `import requests`;
start ≤ 100 ms and close ≤ 5 s with the server down; peak extra memory ≤ 20 MB.

Machines are noisy: all sides are interleaved, and medians compared. `emit` stands beside a bare `write()`
of the same line, and beside `json.dumps` plus one append, the floor of any journal in JSON: that took
8.6 µs on the machine on which the goals were set, so 20 µs there are 2.3 × that floor on any other.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

METRICS = {f"metric_{i}": 0.1 * i for i in range(8)}
EMITS = 5000
ROUNDS = 7


def percentiles(samples_ns: list[int]) -> tuple[float, float]:
    """Return p50 and p95 in µs."""
    ordered = sorted(samples_ns)
    return ordered[len(ordered) // 2] / 1e3, ordered[int(len(ordered) * 0.95)] / 1e3


def emit_beside_its_yardsticks(url: str | None) -> tuple[list[float], list[float], list[float]]:
    """Time `job.epoch`, an append of the same line, and `json.dumps` with an append, in turns.

    Returns:
        [p50, p95] of each in µs.
    """
    from argus_core import Reporter

    home = Path(tempfile.mkdtemp())
    os.environ["ARGUS_HOME"] = str(home)
    reporter = Reporter("bench", project="bench", url=url)
    job = reporter.job("j")
    job.epoch(0, **METRICS)
    (journal,) = (home / "journal").glob("*.jsonl")
    line = journal.read_bytes().splitlines()[-1] + b"\n"
    event = json.loads(line)
    fd = os.open(home / "bare", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    emits, writes, floors = [], [], []
    for epoch in range(1, EMITS):
        start = time.perf_counter_ns()
        job.epoch(epoch, **METRICS)
        middle = time.perf_counter_ns()
        os.write(fd, line)
        end = time.perf_counter_ns()
        os.write(fd, json.dumps(event).encode() + b"\n")
        floors.append(time.perf_counter_ns() - end)
        writes.append(end - middle)
        emits.append(middle - start)
    os.close(fd)
    reporter.close(timeout_s=1)
    return list(percentiles(emits)), list(percentiles(writes)), list(percentiles(floors))


def cpu_of_import(module: str) -> float:
    """Return the CPU seconds of a new interpreter that imports `module`, less one that imports nothing."""

    def run(statement: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", statement], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return run(f"import {module}") - run("pass")


STARTED = """
import time
import argus_core

def peak_kb():  # ru_maxrss would be our parent's
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

before = peak_kb()
start = time.perf_counter()
reporter = argus_core.Reporter("bench", project="bench", url="http://127.0.0.1:9")
job = reporter.job("j", model="m", dataset="d", seed=0)
started = time.perf_counter() - start
for epoch in range({epochs}):
    job.epoch(epoch, train_loss=0.1, val_loss=0.2)
job.done({{"MSE": 1.0}})
start = time.perf_counter()
reporter.close()
closed = time.perf_counter() - start
print(started, closed, peak_kb() - before)
"""


def start_and_close(epochs: int) -> tuple[float, float, float]:
    """Return seconds to start, seconds to close, extra MB at the peak, in a process with the server down."""
    with tempfile.TemporaryDirectory() as home:
        result = subprocess.run(
            [sys.executable, "-c", STARTED.format(epochs=epochs)],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "ARGUS_HOME": home},
        )
    started, closed, kilobytes = map(float, result.stdout.split())
    return started, closed, kilobytes / 1024


def main() -> None:
    """Run everything and print it."""
    rows: list[tuple[str, str, str, str, bool]] = []
    for label, url in (("no server", None), ("server down", "http://127.0.0.1:9")):
        runs = [emit_beside_its_yardsticks(url) for _ in range(ROUNDS)]
        for i, percentile, goal_us in ((0, "p50", 20), (1, "p95", 60)):
            emit, bare, floor = (statistics.median(run[side][i] for run in runs) for side in range(3))
            beside = f"{emit / bare:.1f} × bare write, {emit / floor:.2f} × JSON and append"
            name = f"emit, {label}, {percentile}"
            rows.append((name, f"{emit:.1f} µs", beside, f"≤ {goal_us} µs", emit <= goal_us))
    pairs = [(cpu_of_import("argus_core"), cpu_of_import("requests")) for _ in range(ROUNDS * 3)]
    ratio = statistics.median(ours for ours, _ in pairs) / statistics.median(theirs for _, theirs in pairs)
    ours_ms = statistics.median(ours for ours, _ in pairs) * 1e3
    rows.append(
        (
            "import argus_core, CPU",
            f"{ours_ms:.0f} ms",
            f"{ratio:.2f} × import requests",
            "≤ 1.0 ×",
            ratio <= 1,
        )
    )
    runs3 = [start_and_close(2000) for _ in range(ROUNDS)]
    started, closed, extra_mb = (statistics.median(run[i] for run in runs3) for i in range(3))
    rows.append(("start, server down", f"{started * 1e3:.0f} ms", "", "≤ 100 ms", started <= 0.1))
    rows.append(("close, server down", f"{closed:.2f} s", "", "≤ 5 s", closed <= 5))
    rows.append(("peak extra memory", f"{extra_mb:.1f} MB", "", "≤ 20 MB", extra_mb <= 20))
    print("| what | figure | beside | goal | |\n|---|---|---|---|---|")
    for what, figure, beside, goal, met in rows:
        print(f"| {what} | {figure} | {beside} | {goal} | {'met' if met else 'MISSED'} |")


if __name__ == "__main__":
    main()
