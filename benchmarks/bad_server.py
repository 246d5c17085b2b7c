"""How much longer a training takes when the server is in trouble.

    python benchmarks/bad_server.py

A loop of steps that wait 10 ms each, as for a GPU, with an epoch reported every 20 steps, in a process
of its own: without Argus (the yardstick), with a server that is down, hangs, answers 500, or answers a
byte a second. Rounds are interleaved and medians compared. Goal: the loop grows by less than 1 %, and
the end of the process waits for 5 s at most.
"""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable

STEPS, ROUNDS = 500, 5

TRAINER = f"""
import os, time
from argus_core import Reporter
reporter = Reporter("bench", project="bench")
job = reporter.job("j", model="m", dataset="d", seed=0)
start = time.perf_counter()
for step in range({STEPS}):
    time.sleep(0.01)
    if step % 20 == 19:
        job.epoch(step // 20, train_loss=0.1, val_loss=0.2, lr=1e-3)
job.done({{"MSE": 1.0}})
looped = time.perf_counter()
reporter.close()
print(looped - start, time.perf_counter() - looped)
"""


def serve(treat: Callable[[socket.socket], None]) -> str:
    """Accept connections on loopback until the process ends; return the URL."""
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=treat, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


def hang(_connection: socket.socket) -> None:
    """Never answer."""
    time.sleep(600)


def answer_500(connection: socket.socket) -> None:
    """Be out of order."""
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    connection.close()


def trickle(connection: socket.socket) -> None:
    """Answer a byte a second."""
    connection.recv(65536)
    for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}":
        time.sleep(1)
        try:
            connection.sendall(bytes([byte]))
        except OSError:
            return


def train(environment: dict[str, str]) -> tuple[float, float]:
    """Return the seconds of the loop and of the end."""
    with tempfile.TemporaryDirectory() as home:
        result = subprocess.run(
            [sys.executable, "-c", TRAINER],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "ARGUS_HOME": home, **environment},
        )
    looped, closed = map(float, result.stdout.split())
    return looped, closed


def main() -> None:
    """Run everything and print it."""
    conditions = {
        "without Argus": {"ARGUS_DISABLE": "1"},
        "down": {"ARGUS_URL": "http://127.0.0.1:9"},
        "hangs": {"ARGUS_URL": serve(hang)},
        "answers 500": {"ARGUS_URL": serve(answer_500)},
        "a byte a second": {"ARGUS_URL": serve(trickle)},
    }
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in conditions}
    for _ in range(ROUNDS):
        for name, environment in conditions.items():
            runs[name].append(train(environment))
    bare = statistics.median(looped for looped, _ in runs["without Argus"])
    print("| server | loop | growth | goal | end of process | goal | |\n|---|---|---|---|---|---|---|")
    for name, pairs in runs.items():
        looped = statistics.median(pair[0] for pair in pairs)
        closed = max(pair[1] for pair in pairs)
        growth = looped / bare - 1
        met = "met" if growth < 0.01 and closed <= 5.5 else "MISSED"
        print(f"| {name} | {looped:.2f} s | {growth:+.2%} | < 1 % | {closed:.2f} s | ≤ 5 s | {met} |")


if __name__ == "__main__":
    main()
