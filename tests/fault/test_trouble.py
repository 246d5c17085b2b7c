"""A trainer in a process of its own, and everything around it going wrong."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from real_server import RealServer, run_python

EPOCHS = 150

TRAINER = textwrap.dedent(
    f"""
    import sys, time
    from argus_core import Reporter
    with Reporter("trouble", project="p", flush_timeout_s=2) as reporter:
        with reporter.job(model="m", dataset="d", seed=0) as job:
            for epoch in range({EPOCHS}):
                job.epoch(epoch, train_loss=1 / (epoch + 1))
                print(epoch, flush=True)
            job.done({{"MSE": 0.5}})
    print("trained", flush=True)
    """
)
EVENTS = EPOCHS + 4


@pytest.fixture
def server(tmp_path):
    server = RealServer(tmp_path)
    yield server
    server.end()


def sync(server: RealServer, token: str, *options: str) -> str:
    result = subprocess.run(
        [sys.executable, "-m", "argus_core", "sync", "--url", server.url, "--token", token, *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def finish(trainer: subprocess.Popen[str]) -> str:
    """Wait for a trainer to end well, and return what it said on standard error."""
    output, errors = trainer.communicate(timeout=60)
    assert trainer.returncode == 0, errors
    assert output.endswith("trained\n")
    assert "Traceback" not in errors
    return errors


class BadServer:
    """A socket on loopback that treats every connection as `treat` says."""

    def __init__(self, treat) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.stopping = threading.Event()
        self._treat = treat
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(0.2)
        try:
            with connection:
                self._treat(connection, self.stopping)
        except OSError:
            pass

    def close(self) -> None:
        self.stopping.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()


def hang(connection, stopping):
    stopping.wait(60)


def answer_500(connection, stopping):
    body = b'{"detail": "out of order"}'
    head = f"HTTP/1.1 500 Internal Server Error\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    _drain(connection)
    connection.sendall(head.encode() + body)


def answer_a_byte_a_second(connection, stopping):
    _drain(connection)
    for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}":
        if stopping.wait(1):
            return
        connection.sendall(bytes([byte]))


def close_at_once(connection, stopping):
    pass


def answer_nonsense(connection, stopping):
    _drain(connection)
    connection.sendall(b"\x00\x01garbage\r\n\r\n")


def _drain(connection):
    try:
        while connection.recv(65536):
            pass
    except TimeoutError:
        pass


@pytest.mark.parametrize("treat", [hang, answer_500, answer_a_byte_a_second, close_at_once, answer_nonsense])
def test_a_bad_server_costs_no_event_and_no_failure(treat, server):
    token = server.make_token("report", "p")
    bad = BadServer(treat)
    try:
        errors = finish(run_python(TRAINER, ARGUS_URL=bad.url, ARGUS_TOKEN=token))
    finally:
        bad.close()
    server.start()
    sync(server, token, "--any-url")

    assert "argus sync" in errors
    assert len(server.event_ids()) == len(set(server.event_ids())) == EVENTS


def test_a_hundred_killed_trainers_leave_every_reported_event(server):
    token = server.make_token("report", "p")
    server.start()
    rng = random.Random(7)
    last_reported = {}
    for number in range(100):
        batch_id = f"t{number}"
        trainer = run_python(TRAINER, ARGUS_URL=server.url, ARGUS_TOKEN=token, ARGUS_BATCH_ID=batch_id)
        assert trainer.stdout is not None
        printed = [trainer.stdout.readline() for _ in range(rng.randrange(1, EPOCHS))]
        time.sleep(rng.random() * 0.005)
        trainer.kill()
        printed += trainer.communicate(timeout=60)[0].splitlines(keepends=True)
        last_reported[batch_id] = max(int(line) for line in printed if line.strip().isdigit())
    sync(server, token)

    ids = server.event_ids()
    assert len(ids) == len(set(ids))
    epochs = server.query(
        "SELECT job.batch_id, max(epoch.epoch), count(*) FROM epoch"
        " JOIN job USING (project_id, job_no) GROUP BY 1"
    )
    assert {batch_id for batch_id, _, _ in epochs} == set(last_reported)
    for batch_id, last, count in epochs:
        assert last >= last_reported[batch_id]
        assert count == last + 1  # no hole


def in_a_small_disk(
    size: str, options: str, script: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a script with a tmpfs of its own, in a mount namespace of its own, as its ARGUS_HOME."""
    home = environment["ARGUS_HOME"]
    mount = f'mount -t tmpfs -o size={size} none "$ARGUS_HOME"'
    command = f'{mount} && {options} exec "$PYTHON" -c "$SCRIPT"'
    return subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHON": sys.executable, "SCRIPT": script, "ARGUS_HOME": home, **environment},
    )


@pytest.mark.parametrize(
    ("size", "options"),
    [("16k", ""), ("64k", 'mount -o remount,ro "$ARGUS_HOME" &&')],
    ids=["full", "read-only"],
)
def test_a_disk_that_takes_nothing_costs_one_warning_and_no_event(server, tmp_path, size, options):
    token = server.make_token("report", "p")
    server.start()
    home = tmp_path / "home"
    home.mkdir()

    result = in_a_small_disk(
        size, options, TRAINER, ARGUS_HOME=str(home), ARGUS_URL=server.url, ARGUS_TOKEN=token
    )

    assert result.returncode == 0, result.stderr
    assert result.stderr.count("cannot write the journal") == 1
    assert len(server.event_ids()) == EVENTS


def test_a_full_disk_and_no_server_counts_what_is_lost(tmp_path):
    home = tmp_path / "home"
    home.mkdir()

    result = in_a_small_disk("16k", "", TRAINER, ARGUS_HOME=str(home), ARGUS_URL="http://127.0.0.1:9")

    assert result.returncode == 0, result.stderr
    assert "lost, because only in memory: " in result.stderr


def test_eight_processes_at_once_lose_nothing(server):
    token = server.make_token("report", "p")
    server.start()

    trainers = [run_python(TRAINER, ARGUS_URL=server.url, ARGUS_TOKEN=token) for _ in range(8)]
    for trainer in trainers:
        finish(trainer)
    sync(server, token)

    assert len(server.event_ids()) == len(set(server.event_ids())) == 8 * EVENTS


def test_a_fork_in_mid_run_loses_and_doubles_nothing(server):
    token = server.make_token("report", "p")
    server.start()
    script = textwrap.dedent(
        f"""
        import os
        from argus_core import Reporter
        with Reporter("fork", project="p") as reporter:
            parent = reporter.job("parent")
            for epoch in range({EPOCHS}):
                parent.epoch(epoch, train_loss=0.1)
                if epoch == {EPOCHS // 2}:
                    child = os.fork()
                    if child == 0:
                        job = reporter.job("child")
                        for number in range({EPOCHS}):
                            job.epoch(number, train_loss=0.2)
                        job.done({{"MSE": 1.0}})
                        reporter.close()
                        os._exit(0)
            parent.done({{"MSE": 2.0}})
            os.waitpid(child, 0)
        print("trained")
        """
    )
    finish(run_python(script, ARGUS_URL=server.url, ARGUS_TOKEN=token))
    sync(server, token)

    assert len(server.event_ids()) == len(set(server.event_ids())) == 2 * (EPOCHS + 2) + 2
    assert server.count("SELECT count(*) FROM epoch") == 2 * EPOCHS
    assert not list(Path(os.environ["ARGUS_HOME"], "journal").glob("*.jsonl"))


def test_a_spawned_child_reports_through_a_pickled_reporter(server, tmp_path):
    token = server.make_token("report", "p")
    server.start()
    script = tmp_path / "spawn.py"
    script.write_text(
        textwrap.dedent(
            """
            import multiprocessing
            from argus_core import Reporter

            def train(reporter, name):
                with reporter.job(name) as job:
                    job.done({"MSE": 1.0})
                reporter.close()

            if __name__ == "__main__":
                context = multiprocessing.get_context("spawn")
                with Reporter("spawn", project="p", batch_id="b") as reporter:
                    children = [context.Process(target=train, args=(reporter, f"c{i}")) for i in range(3)]
                    for child in children:
                        child.start()
                    for child in children:
                        child.join()
                        assert child.exitcode == 0
            """
        )
    )
    environment = {**os.environ, "ARGUS_URL": server.url, "ARGUS_TOKEN": token}
    subprocess.run([sys.executable, str(script)], check=True, timeout=60, env=environment)

    jobs = server.query("SELECT batch_id, job_id, status FROM job ORDER BY 2")
    assert jobs == [("b", f"c{i}", "done") for i in range(3)]
    assert server.count("SELECT count(*) FROM event WHERE event_type = 'batch_done'") == 1


def test_a_resumed_job_continues_its_epochs_and_doubles_none(server):
    token = server.make_token("report", "p")
    server.start()
    script = textwrap.dedent(
        """
        import sys
        from argus_core import Reporter, derive_batch_id
        first, last = map(int, sys.stdin.readline().split())
        with Reporter("resume", project="p", batch_id=derive_batch_id("p", "resume")) as reporter:
            with reporter.job("j", model="m", dataset="d", seed=0, epochs_total=6) as job:
                for epoch in range(first, last):
                    job.epoch(epoch, train_loss=1.0)
                if last == 6:
                    job.done({"MSE": 1.0})
        print("trained")
        """
    )
    for part in ("0 4", "3 6"):
        trainer = run_python(script, ARGUS_URL=server.url, ARGUS_TOKEN=token)
        _, errors = trainer.communicate(part + "\n", timeout=60)
        assert trainer.returncode == 0, errors

    assert server.count("SELECT count(*) FROM batch") == server.count("SELECT count(*) FROM job") == 1
    assert [row[0] for row in server.query("SELECT epoch FROM epoch ORDER BY 1")] == list(range(6))
    assert server.query("SELECT status FROM job") == [("done",)]
