from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading

import pytest

from argus_core.reporter import Reporter
from argus_core.testing import MemoryTransport

SCRIPT = """
    import multiprocessing, os, sys
    from argus_core.process_end import at_process_end

    def last():
        print(os.getpid() == main, "last", flush=True)

    def first():
        print(os.getpid() == main, "first", flush=True)

    def register():
        at_process_end(last, closes=True)
        at_process_end(first)
        at_process_end(first)

    main = int(os.environ.setdefault("MAIN", str(os.getpid())))
    if __name__ == "__main__":
        register()
        how = sys.argv[1]
        if how in ("fork", "spawn"):
            child = multiprocessing.get_context(how).Process(target=register)
            child.start()
            child.join()
            assert child.exitcode == 0
    """


@pytest.mark.parametrize(("how", "children"), [("none", 0), ("fork", 1), ("spawn", 1)])
def test_functions_are_called_once_in_every_process_the_closing_ones_last(tmp_path, how, children):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))

    result = subprocess.run(
        [sys.executable, str(script), how],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=dict(os.environ),
    )

    expected = ["False first", "False last"] * children + ["True first", "True last"]
    assert result.stdout.splitlines() == expected, result.stderr


TERMINATED = """
    import os, signal, sys, threading
    from argus_core import Reporter, hooks

    def users(*_):
        print("the user's", flush=True)
        raise SystemExit(7)

    def framework(handlers):
        print("the framework's", flush=True)
        for handler in handlers:
            handler(signal.SIGTERM, None)
        raise SystemExit(7)

    def terminate():
        os.kill(os.getpid(), signal.SIGTERM)

    how = sys.argv[1]
    if how == "users":
        signal.signal(signal.SIGTERM, users)
    if how in ("loop", "users", "framework"):
        with Reporter("batch") as reporter, reporter.job("the-job") as job:
            job.epoch(0, train_loss=0.5)
            if how == "framework":  # as Lightning does: its own handler first, then the one it has found
                found = signal.getsignal(signal.SIGTERM)
                signal.signal(signal.SIGTERM, lambda *_: framework([found]))
            terminate()
    if how == "hooks":
        hooks.job_start("the-job")
        terminate()
    if how == "closed":
        with Reporter("batch") as reporter:
            reporter.job("the-job").done({"MSE": 0.5})
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        terminate()
    if how == "in an append":
        with Reporter("batch") as reporter, reporter.job("the-job") as job:
            job.epoch(0)
            write, os.write = os.write, lambda *args: (terminate(), write(*args))[1]
            job.epoch(1)
            threading.Event().wait(30)
    if how == "at the end":
        with Reporter("batch") as reporter:
            reporter.job("the-job").done({"MSE": 0.5})
            write, os.write = os.write, lambda *args: (terminate(), write(*args))[1]
    if how == "locked":
        from argus_core import process_end
        process_end._LONGEST_TERMINATION_S = 0.5
        lock = threading.Lock()
        lock.acquire()
        process_end.at_process_end(lock.acquire)
        reporter = Reporter("batch")
        reporter.job("the-job")
        terminate()
    print("went on", flush=True)
    """


def terminated(tmp_path, how):
    """Return the exit status, what was printed, and the events of a script that SIGTERM meets."""
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(TERMINATED))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ARGUS_")}
    result = subprocess.run(
        [sys.executable, str(script), how],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**environment, "ARGUS_HOME": str(tmp_path)},
    )
    journal = next((tmp_path / "journal").glob("*.jsonl"))
    events = [json.loads(line) for line in journal.read_text().splitlines()[1:]]
    return result.returncode, result.stdout, {event["event_type"]: event for event in events}


@pytest.mark.parametrize("how", ["loop", "hooks", "in an append"])
def test_sigterm_interrupts_the_job_and_ends_the_process_as_ever(tmp_path, how):
    status, printed, events = terminated(tmp_path, how)

    assert status == -signal.SIGTERM
    assert printed == ""
    assert events["job_failed"]["data"]["status"] == "interrupted"
    assert events["job_failed"]["data"]["reason"] == "Terminated: SIGTERM"
    assert events["batch_failed"]["data"]["reason"] == "Terminated: SIGTERM"


@pytest.mark.parametrize(("how", "said"), [("users", "the user's"), ("framework", "the framework's")])
def test_a_handler_that_is_not_ours_decides_what_sigterm_means(tmp_path, how, said):
    status, printed, events = terminated(tmp_path, how)

    assert (status, printed.split("\n")[0]) == (7, said)
    assert events["job_failed"]["data"]["reason"] == "SystemExit: 7"


@pytest.mark.parametrize("how", ["closed", "at the end"])
def test_sigterm_after_the_last_report_changes_none_and_ends_the_process(tmp_path, how):
    status, printed, events = terminated(tmp_path, how)

    assert (status, printed) == (-signal.SIGTERM, "")
    assert list(events) == ["batch_start", "job_start", "job_done", "batch_done"]


def test_sigterm_ends_a_process_that_stands_where_it_cannot_report(tmp_path):
    status, printed, _ = terminated(tmp_path, "locked")

    assert (status, printed) == (-signal.SIGTERM, "")


def test_a_thread_reports_without_touching_signals():
    before = signal.getsignal(signal.SIGTERM)
    inside = []

    def train():
        with Reporter("batch", transport=MemoryTransport()) as reporter:
            reporter.job("the-job").done({"MSE": 0.5})
            inside.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()

    assert inside == [before]
