from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import msgspec
import pytest

from argus_core import Reporter, plugins
from argus_core.conventions import Convention
from argus_core.hookspecs import DROP, hookimpl
from argus_core.sinks import SinkThread
from argus_core.testing import MemoryTransport


@pytest.fixture
def transport():
    return MemoryTransport()


@pytest.fixture
def plug():
    """Register plugins for one test: functions by the names of their hooks."""
    registered = []

    def register(**functions):
        plugin = type("Plugin", (), {name: staticmethod(hookimpl(f)) for name, f in functions.items()})()
        plugins.register(plugin)
        registered.append(plugin)

    yield register
    for plugin in registered:
        plugins.unregister(plugin)


def report(transport, metrics=None, **facts):
    with Reporter("x", project="p", transport=transport) as reporter:
        job = reporter.job("j", model="m", **facts)
        job.epoch(0, train_loss=1.0, secret="s3cret")
        job.done({"MSE": 1.0} if metrics is None else metrics)


def test_an_event_is_redacted_before_anybody_sees_it(transport, plug):
    seen = []

    def redact(event):
        if "secret" not in event.data:
            return None
        return msgspec.structs.replace(event, data={**event.data, "secret": "***"})

    plug(argus_modify_event=redact)
    plug(argus_event=lambda event: seen.append(event))
    report(transport)

    assert transport.of_type("job_epoch")[0].data["secret"] == "***"
    assert "s3cret" not in repr(seen)


def test_a_dropped_event_is_neither_written_nor_sent(plug):
    plug(argus_modify_event=lambda event: DROP if event.event_type == "job_epoch" else None)
    with Reporter("x") as reporter:
        reporter.job("j").epoch(0, train_loss=1.0)

    (journal,) = Path(os.environ["ARGUS_HOME"], "journal").iterdir()
    text = journal.read_text()
    assert "job_start" in text
    assert "job_epoch" not in text


def test_plugins_modify_one_after_the_other(transport, plug):
    def add(key):
        return lambda event: msgspec.structs.replace(event, data={**event.data, key: list(event.data)})

    plug(argus_modify_event=add("first"))
    plug(argus_modify_event=add("second"))
    report(transport)

    data = transport.of_type("job_done")[0].data
    assert "second" in data["first"]
    assert "first" not in data["second"]


@pytest.mark.parametrize("result", [{}, "event", False])
def test_a_plugin_that_returns_nonsense_loses_nothing(transport, plug, result, swallowed_errors):
    plug(argus_modify_event=lambda event: result)
    report(transport)

    assert len(transport.events) == 5
    assert "must return an Event, DROP or None" in str(swallowed_errors[0])
    swallowed_errors.clear()


@pytest.mark.parametrize(
    "hook", ["argus_modify_event", "argus_event", "argus_describe_job", "argus_collect_metrics"]
)
def test_a_plugin_that_raises_stops_neither_the_others_nor_training(transport, plug, hook, swallowed_errors):
    def broken():
        raise RuntimeError("plugin")

    plug(argus_collect_metrics=lambda job: {"energy_kwh": 0.5})
    plug(**{hook: broken})
    report(transport)

    assert len(transport.events) == 5
    assert transport.of_type("job_done")[0].data["metrics"] == {"MSE": 1.0, "energy_kwh": 0.5}
    assert {str(error) for error in swallowed_errors} == {"plugin"}
    swallowed_errors.clear()


def test_facts_of_plugins_join_the_job_and_the_script_wins(transport, plug, caplog):
    plug(argus_describe_job=lambda job: {"queue": "gpu-long", "model": "other", "for": job.job_id})
    report(transport)

    start = transport.of_type("job_start")[0].data
    assert (start["queue"], start["model"], start["for"]) == ("gpu-long", "m", "j")
    assert "model of plugin" in caplog.text


def test_of_two_plugins_with_one_metric_the_later_wins_with_a_warning(transport, plug, caplog):
    plug(argus_collect_metrics=lambda job: {"price": 1.0})
    plug(argus_collect_metrics=lambda: {"price": 2.0, "MSE": 9.0})
    report(transport)

    assert transport.of_type("job_done")[0].data["metrics"] == {"MSE": 1.0, "price": 2.0}
    assert caplog.text.count("price of plugin") == 1
    assert caplog.text.count("MSE of plugin") == 1


def test_what_is_known_of_a_metric_travels_with_it(transport, plug):
    mine = Convention("kWh", "lower", "cost")
    plug(argus_metric_conventions=lambda: {"energy": mine, "unused": mine, "MSE": mine})
    report(transport, {"energy": 3.0, "MSE": 1.0})

    assert transport.of_type("job_done")[0].data["metric_conventions"] == {
        "energy": {"unit": "kWh", "direction": "lower", "role": "cost"}
    }


def test_the_source_is_described_by_plugins_and_the_script_wins(transport, plug, caplog):
    plug(argus_describe_source=lambda: {"host": "container-7", "command": "other", "colour": "red"})
    with Reporter("x", project="p", command="mine", transport=transport) as reporter:
        reporter.job("j").done({})

    source = transport.events[0].source
    assert (source.host, source.command, source.project) == ("container-7", "mine", "p")
    assert source.user
    assert "command of plugin" in caplog.text


def test_what_the_script_or_a_plugin_says_instead_of_a_default_is_no_clash(transport, plug, caplog):
    plug(argus_describe_source=lambda: {"host": "container-7"})
    with Reporter("x", project="p", command="mine", transport=transport) as reporter:
        reporter.job("j").done({})

    source = transport.events[0].source
    assert (source.host, source.command) == ("container-7", "mine")
    assert "of plugin" not in caplog.text


class ListSink:
    def __init__(self):
        self.types, self.thread, self.is_closed = [], None, False

    def write(self, event):
        self.types.append(event.event_type)
        self.thread = threading.current_thread().name

    def close(self):
        self.is_closed = True


def test_a_sink_gets_every_event_in_order_from_a_thread_of_its_own(transport, plug):
    sink = ListSink()
    plug(argus_open_sink=lambda reporter: sink if reporter.project == "p" else None)
    report(transport)

    assert sink.types == transport.types
    assert sink.thread == "argus-sink"
    assert sink.is_closed


def test_a_sink_that_raises_loses_its_event_alone(transport, plug, swallowed_errors):
    class Broken(ListSink):
        def write(self, event):
            super().write(event)
            raise OSError("disk")

    broken, good = Broken(), ListSink()
    plug(argus_open_sink=lambda: broken)
    plug(argus_open_sink=lambda: good)
    report(transport)

    assert broken.types == good.types == transport.types
    assert {str(error) for error in swallowed_errors} == {"disk"}
    swallowed_errors.clear()


def test_a_sink_that_hangs_holds_nobody_up(transport, caplog):
    release = threading.Event()

    class Hanging(ListSink):
        def write(self, event):
            release.wait(30)
            super().write(event)

    report(transport)
    sink = SinkThread(Hanging(), max_waiting=2)
    for _ in range(10):
        sink.put(transport.events[0])

    sink.close(0.05)
    release.set()
    assert sink.left_out >= 7
    assert "cannot keep up" in caplog.text


def test_what_is_no_sink_is_said_and_passed_over(transport, plug, swallowed_errors):
    plug(argus_open_sink=lambda: "a file name")
    report(transport)

    assert len(transport.events) == 5
    assert "'a file name'" in str(swallowed_errors[0])
    swallowed_errors.clear()


def test_a_hook_that_does_not_exist_or_has_other_arguments_is_refused():
    class Wrong:
        @hookimpl
        def argus_event(self, event, loop):
            pass

    wrong = Wrong()
    for _ in range(2):  # it is not half registered
        with pytest.raises(ValueError, match="loop"):
            plugins.register(wrong)


def run(script, *arguments, **environment):
    return subprocess.run(
        [sys.executable, *(["-c", textwrap.dedent(script)] if script else []), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, **environment},
    )


@pytest.fixture
def installed_plugin(tmp_path):
    """A plugin as a package installs it: a module, and metadata that names the entry point."""
    (tmp_path / "my_plugin.py").write_text(
        textwrap.dedent(
            """
            import click
            from argus_core.hookspecs import hookimpl

            @hookimpl
            def argus_collect_metrics(job):
                return {"price": 7}

            @hookimpl
            def argus_register_commands(cli):
                @cli.command()
                def price():
                    click.echo("seven")
            """
        )
    )
    information = tmp_path / "my_plugin-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: my-plugin\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[argus]\nprice = my_plugin\nbroken = no_such_module\n")
    return os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])


def test_an_installed_plugin_is_found_and_a_broken_one_is_passed_over(installed_plugin):
    result = run(
        """
        from argus_core import Reporter
        from argus_core.testing import MemoryTransport
        transport = MemoryTransport()
        with Reporter("x", transport=transport) as reporter:
            reporter.job("j").done({})
        print(transport.of_type("job_done")[0].data["metrics"])
        """,
        PYTHONPATH=installed_plugin,
    )

    assert result.stdout == "{'price': 7}\n"
    assert "loading plugin broken failed with ModuleNotFoundError" in result.stderr


def test_an_installed_plugin_adds_its_commands(installed_plugin):
    assert run("", "-m", "argus_core", "price", PYTHONPATH=installed_plugin).stdout == "seven\n"


def test_the_console_says_how_far_the_jobs_are():
    result = run(
        """
        from argus_core import Reporter
        with Reporter("x", batch_id="b", url="memory://console") as reporter:
            job = reporter.job("j", model="m", dataset="d", seed=0, epochs_total=2)
            job.epoch(0, train_loss=0.5, val_loss=float("nan"))
            job.epoch(1, train_loss=0.25)
            job.done({"MSE": 0.125})
            reporter.job("k").failed(reason="boom")
        """,
        ARGUS_PROGRESS="1",
    )

    assert result.stderr.splitlines() == [
        "argus: j starts: m · d · 0",
        "argus: j epoch 1/2, 0 s left  train_loss 0.5  val_loss nan",
        "argus: j epoch 2/2, 0 s left  train_loss 0.25",
        "argus: j done: MSE 0.125",
        "argus: k starts",
        "argus: k failed: boom",
        "argus: batch b ended: 1 done, 1 failed",
    ]


def test_the_console_is_silent_by_default(transport, capsys):
    report(transport)

    assert capsys.readouterr() == ("", "")
