"""What every test gets: a home of its own, a clean environment, and no swallowed errors."""

from __future__ import annotations

import gc
import os
import signal
import sys

import pytest
from postgres import postgres, postgres_server  # noqa: F401 - fixtures for every suite
from sqlite import new_sqlite  # noqa: F401

from argus_core import guard


@pytest.fixture(autouse=True)
def own_environment(tmp_path_factory, monkeypatch):
    for name in [name for name in os.environ if name.startswith("ARGUS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ARGUS_HOME", str(tmp_path_factory.mktemp("argus-home")))


@pytest.fixture(autouse=True)
def swallowed_errors():
    """Collect the errors that a guard swallows; a test that expects one clears the list."""
    errors: list[BaseException] = []
    stop = guard.watch_swallowed(errors.append)
    yield errors
    stop()
    if errors:
        raise AssertionError(f"{len(errors)} swallowed errors") from errors[0]


@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_xdist_auto_num_workers(config):
    """Run the default tests on every core, and those that are named on the command line as ever."""
    return None if config.args_source is pytest.Config.ArgsSource.TESTPATHS else 0


def pytest_configure():
    """Keep compiled code, and let processes that a test starts hear Ctrl-C.

    Where Python is told to keep none, every worker, and every server and script that a test starts, would
    compile all of the tests and of Argus again. And a shell that runs the tests in the background has them
    ignore SIGINT, which whatever they start inherits.
    """
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish(session):
    """Let the collector of garbage look at what tests make, and not at all that was imported for them."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


def pytest_sessionfinish(session, exitstatus):
    """In CI a skipped test has not been run, and that is a failure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = len(reporter.stats.get("skipped", [])) if reporter else 0
    if os.environ.get("CI") and skipped and exitstatus == pytest.ExitCode.OK:
        reporter.write_line(f"{skipped} skipped tests are failures in CI", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
