from __future__ import annotations

import json
import logging
import math
import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from argus_core import Reporter, plugins
from argus_core.hookspecs import hookimpl
from argus_core.testing import MemoryTransport, memory


@pytest.fixture
def transport():
    return MemoryTransport()


def journals():
    """Return the lines of every journal in this test's home, by file name."""
    directory = Path(os.environ["ARGUS_HOME"]) / "journal"
    return {path.name: path.read_text().splitlines() for path in sorted(directory.glob("*"))}


def types(lines):
    return [json.loads(line).get("event_type") for line in lines]


class NeverEqual:
    """Raises where it is compared, as an array does in an `if`."""

    def __eq__(self, other):
        raise ValueError("ambiguous")

    __hash__ = None

    def __repr__(self):
        return "<NeverEqual>"


class NoBool:
    """Raises in an `if`, as an array does."""

    def __bool__(self):
        raise ValueError("ambiguous")


def test_a_batch_of_two_jobs_gives_the_five_events_in_order(transport):
    with Reporter("sweep", project="demo", n_total=2, transport=transport) as reporter:
        for seed in (0, 1):
            with reporter.job(f"j{seed}", model="patchtst", dataset="etth1", seed=seed) as job:
                job.epoch(0, train_loss=0.5, val_loss=0.6, lr=1e-3, grad_norm=2.0)
                job.done({"MSE": 0.38})

    assert transport.types == [
        "batch_start",
        *["job_start", "job_epoch", "job_done"] * 2,
        "batch_done",
    ]
    start, job_start, epoch, done, *_, batch_done = transport.events
    assert start.data["n_total_jobs"] == 2
    assert start.source.project == "demo"
    assert job_start.data == {"model": "patchtst", "dataset": "etth1", "seed": 0}
    assert epoch.data == {"epoch": 0, "train_loss": 0.5, "val_loss": 0.6, "lr": 1e-3, "grad_norm": 2.0}
    assert done.data["metrics"] == {"MSE": 0.38}
    assert done.data["train_epochs"] == 1
    assert done.data["elapsed_s"] > 0
    assert (batch_done.data["n_done"], batch_done.data["n_failed"]) == (2, 0)
    assert batch_done.data["untested"] == []
    assert "status" not in batch_done.data


def test_an_exception_is_reported_with_its_reason_and_goes_on(transport):
    with (
        pytest.raises(ValueError, match="boom"),
        Reporter("sweep", transport=transport) as reporter,
        reporter.job("j1"),
    ):
        raise ValueError("boom")

    *_, failed, batch_failed = transport.events
    assert failed.data["reason"] == "ValueError: boom"
    assert failed.data["status"] == "failed"
    assert failed.data["error"] == {"type": "ValueError", "message": "boom"}
    assert batch_failed.event_type == "batch_failed"
    assert batch_failed.data["reason"] == "ValueError: boom"


def test_a_batch_that_fails_fails_the_jobs_that_still_run(transport):
    reporter = Reporter("sweep", transport=transport)
    reporter.job("finished").done({"MSE": 1.0})
    reporter.job("running")
    reporter.close(OSError("disk"))

    assert [event.job_id for event in transport.of_type("job_failed")] == ["running"]
    assert transport.types[-1] == "batch_failed"
    assert transport.events[-1].data["untested"] == []


def test_a_job_that_fails_inside_a_loop_leaves_the_batch_alone(transport):
    with Reporter("sweep", transport=transport) as reporter:
        for name in ("a", "b"):
            try:
                with reporter.job(name) as job:
                    if name == "a":
                        raise OSError("no such file")
                    job.done({"MSE": 1.0})
            except OSError:
                continue

    assert transport.types[-1] == "batch_done"
    assert (transport.events[-1].data["n_done"], transport.events[-1].data["n_failed"]) == (1, 1)


def test_ctrl_c_is_an_interruption(transport):
    with pytest.raises(KeyboardInterrupt), Reporter("x", transport=transport) as reporter, reporter.job("j"):
        raise KeyboardInterrupt

    assert transport.of_type("job_failed")[0].data["status"] == "interrupted"


def test_a_job_without_a_result_makes_the_batch_incomplete_and_names_the_fix(transport, caplog):
    with Reporter("x", transport=transport) as reporter:
        reporter.job("forgotten").epoch(0, train_loss=1.0)

    assert transport.events[-1].data["status"] == "incomplete"
    assert transport.events[-1].data["untested"] == ["forgotten"]
    assert "job.done" in caplog.text


def test_a_second_done_is_a_revision_and_a_second_close_says_nothing(transport):
    reporter = Reporter("x", transport=transport)
    job = reporter.job("j")
    job.done({"MSE": 1.0})
    job.done({"MSE": 0.5})
    reporter.close()
    reporter.close()

    assert [event.data["metrics"]["MSE"] for event in transport.of_type("job_done")] == [1.0, 0.5]
    assert transport.types.count("batch_done") == 1


def test_arguments_win_over_the_environment_which_wins_over_defaults(monkeypatch):
    assert Reporter().project == "default"
    monkeypatch.setenv("ARGUS_PROJECT", "paper")
    monkeypatch.setenv("ARGUS_BATCH_ID", "array-7")

    assert (Reporter().project, Reporter().batch_id) == ("paper", "array-7")
    assert (Reporter(project="other").project, Reporter(batch_id="mine").batch_id) == ("other", "mine")


def test_a_project_is_cut_to_what_the_server_takes(monkeypatch):
    transport = MemoryTransport()
    with Reporter(project="p" * 300, transport=transport) as reporter:
        reporter.job("j").done({"MSE": 1.0})
    monkeypatch.setenv("ARGUS_PROJECT", "q" * 300)

    assert {event.source.project for event in transport.events} == {"p" * 256}
    assert Reporter().project == "q" * 256


def test_url_and_token_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("ARGUS_URL", "memory://from-the-environment")

    with Reporter("x") as reporter:
        reporter.job("j").done({})

    assert memory("from-the-environment").types[-1] == "batch_done"


def test_disabled_does_nothing_at_all(monkeypatch, transport):
    monkeypatch.setenv("ARGUS_DISABLE", "1")

    with Reporter("x", transport=transport) as reporter, reporter.job("j") as job:
        job.done({"MSE": 1.0})

    assert transport.events == []
    assert journals() == {}


def test_a_dry_run_prints_the_events_and_stores_nothing(transport, capsys):
    with Reporter("x", transport=transport, dry_run=True) as reporter, reporter.job("j") as job:
        job.done({"MSE": 1.0})

    printed = [json.loads(line)["event_type"] for line in capsys.readouterr().out.splitlines()]
    assert printed == ["batch_start", "job_start", "job_done", "batch_done"]
    assert transport.events == []
    assert journals() == {}


def test_a_switch_that_makes_no_sense_is_said_and_training_goes_on(monkeypatch, transport, caplog):
    monkeypatch.setenv("ARGUS_DISABLE", "perhaps")

    with Reporter("x", transport=transport) as reporter:
        reporter.job("j").done({})

    assert "ARGUS_DISABLE must be 1 or 0, got 'perhaps'" in caplog.text
    assert transport.types[-1] == "batch_done"


def test_a_url_that_makes_no_sense_is_said_and_events_are_kept(caplog):
    with Reporter("x", url="localhost:8421") as reporter:
        reporter.job("j").done({})

    assert "'localhost:8421'" in caplog.text
    assert len(journals()) == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"flush_timeout_s": "5"}, "flush_timeout_s is a number of seconds, got '5' (str)"),
        ({"flush_timeout_s": None}, "flush_timeout_s is a number of seconds, got None (NoneType)"),
        ({"flush_timeout_s": math.nan}, "flush_timeout_s is 0 seconds or more, got nan"),
        ({"flush_timeout_s": 10**400}, "int too large to convert to float"),
        ({"enabled": "never"}, "enabled is True or False, got 'never' (str)"),
        ({"dry_run": "demo"}, "dry_run is True or False, got 'demo' (str)"),
        ({"dry_run": NeverEqual()}, "dry_run is True or False, got <NeverEqual> (NeverEqual)"),
    ],
)
def test_an_argument_that_makes_no_sense_is_said_and_counts_as_not_given(given, said, transport, caplog):
    reporter = Reporter("x", transport=transport, **given)
    assert f"argus: {said}; {next(iter(given))} counts as not given" in caplog.text

    with reporter:
        reporter.job("j").done({"MSE": 1.0})
    assert transport.types[-2:] == ["job_done", "batch_done"]
    assert reporter.flush_timeout_s == 5.0


@pytest.mark.parametrize("wrong", ["http://me:secret@host", MemoryTransport, 5])
def test_what_is_no_transport_is_said_and_the_url_is_taken(wrong, caplog):
    with Reporter("x", url="memory://instead", transport=wrong) as reporter:
        reporter.job("j").done({})

    assert "argus: transport is an object with `send` and `close`, got " in caplog.text
    assert "secret" not in caplog.text
    assert memory("instead").types[-1] == "batch_done"


def test_a_bound_of_a_call_that_makes_no_sense_is_said_and_the_reporters_own_counts(transport, caplog):
    reporter = Reporter("x", transport=transport)
    reporter.job("j").done({})

    assert reporter.flush("5")
    assert "timeout_s is a number of seconds, got '5' (str)" in caplog.text
    reporter.close(timeout_s="6")
    assert "timeout_s is a number of seconds, got '6' (str)" in caplog.text
    assert transport.types[-1] == "batch_done"


@pytest.mark.parametrize(
    ("text", "is_on"), [("1", True), ("True", True), ("0", False), ("false", False), ("", False)]
)
def test_a_switch_may_be_a_text_of_the_environment(text, is_on, caplog, capsys):
    for switched in ({"enabled": text}, {"dry_run": text}):
        transport = MemoryTransport()
        with Reporter("x", transport=transport, **switched) as reporter:
            reporter.job("j").done({"MSE": 1.0})

        assert bool(transport.events) == (is_on == ("enabled" in switched))
        assert ('"job_done"' in capsys.readouterr().out) == (is_on and "dry_run" in switched)
    assert not caplog.records


def test_a_call_whose_deadline_has_passed_waits_for_nothing(caplog):
    class Stuck(MemoryTransport):
        def send(self, *_args, **_more):
            asked.set()
            assert may_go_on.wait(60)
            return super().send(*_args, **_more)

    asked, may_go_on = threading.Event(), threading.Event()
    reporter = Reporter("x", transport=Stuck(), flush_timeout_s=50)
    reporter.job("j").done({})
    assert asked.wait(60)
    waiting = threading.Thread(target=lambda: [reporter.flush(-0.5), reporter.close(timeout_s=-0.5)])
    waiting.start()
    waiting.join(30)
    has_ended = not waiting.is_alive()
    may_go_on.set()
    waiting.join(60)

    assert has_ended
    assert "timeout_s" not in caplog.text


def test_what_is_no_text_is_no_token_whatever_it_looks_like(caplog):
    with Reporter("x", url="http://127.0.0.1:9", token=b"secret", flush_timeout_s=0) as reporter:
        reporter.job("j").done({})

    assert "is no token" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize("argument", ["project", "batch_id", "url", "token"])
def test_what_is_false_is_not_given_and_what_cannot_say_whether_it_is_raises_nothing(argument, transport):
    usual = Reporter("x", transport=transport)
    without = Reporter("x", transport=transport, **{argument: False})
    odd = Reporter("x", transport=transport, **{argument: NoBool()})

    assert (without.project, without._url, without._token) == (usual.project, usual._url, usual._token)
    assert without.batch_id.startswith("x-")
    with odd:
        odd.job("j").done({})
    assert transport.types[-1] == "batch_done"


def test_the_number_of_an_array_task_is_a_batch_id_also_if_it_is_0(transport):
    with Reporter("x", batch_id=0, project=0, transport=transport) as reporter:
        reporter.job("j").done({})

    assert {(event.source.project, event.batch_id) for event in transport.events} == {("0", "0")}


def test_without_a_url_the_journal_waits_for_sync(caplog):
    with Reporter("x") as reporter:
        reporter.job("j").done({"MSE": 1.0})

    (name,) = journals()
    assert name.endswith(".jsonl")
    assert "argus sync" in caplog.text


def test_the_journal_is_gone_once_the_server_has_everything(transport):
    with Reporter("x", transport=transport) as reporter:
        reporter.job("j").done({"MSE": 1.0})
        assert reporter.flush()

    assert journals() == {}


def test_the_token_is_in_no_event_no_journal_and_no_repr(transport):
    token = "em_live_" + "s" * 32
    with Reporter("x", token=token) as reporter:
        reporter.job("j").done({"MSE": 1.0})

    (stored,) = journals().values()
    assert "job_done" in types(stored)
    assert token not in "".join(stored)
    assert token not in repr(reporter)


@pytest.mark.parametrize("epoch", [-1, "first", None])
def test_a_senseless_epoch_is_logged_with_its_value_and_not_raised(epoch, transport, swallowed_errors):
    with Reporter("x", transport=transport) as reporter:
        job = reporter.job("j")
        job.epoch(epoch)
        job.done({"MSE": 1.0})

    assert "job_epoch" not in transport.types
    assert transport.types[-1] == "batch_done"
    assert str(epoch) in str(swallowed_errors[0])
    swallowed_errors.clear()


def test_done_wants_a_mapping(transport, swallowed_errors):
    with Reporter("x", transport=transport) as reporter:
        reporter.job("j").done(0.38)

    assert "0.38" in str(swallowed_errors[0])
    swallowed_errors.clear()


def test_an_integer_job_id_becomes_text(transport):
    with Reporter("x", transport=transport) as reporter:
        reporter.job(7).done({})

    assert transport.of_type("job_done")[0].job_id == "7"


def test_what_json_cannot_carry_is_named_once_and_the_rest_is_sent(transport, caplog):
    with Reporter("x", transport=transport) as reporter:
        job = reporter.job("j", config={"activation": object(), "width": 8})
        job.epoch(0, train_loss=1.0, model=object())
        job.epoch(1, train_loss=1.0, model=object())
        job.done({})

    assert transport.of_type("job_start")[0].data["config"] == {"width": 8}
    assert [event.data["train_loss"] for event in transport.of_type("job_epoch")] == [1.0, 1.0]
    assert caplog.text.count("config.activation") == 1


def test_jobs_of_many_threads_lose_nothing(transport):
    def train(name: str) -> None:
        with reporter.job(name) as job:
            for epoch in range(100):
                job.epoch(epoch, train_loss=0.1)
            job.done({"MSE": 1.0})

    with Reporter("x", transport=transport) as reporter:
        threads = [threading.Thread(target=train, args=(f"t{i}",)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert len(transport.events) == 2 + 8 * 102
    for i in range(8):
        epochs = [e.data["epoch"] for e in transport.of_type("job_epoch") if e.job_id == f"t{i}"]
        assert epochs == list(range(100))


def test_a_plugin_sees_every_event_and_one_that_raises_stops_nobody(transport, swallowed_errors):
    seen = []

    class Broken:
        @hookimpl
        def argus_event(self, event):
            raise RuntimeError("plugin")

    class Observer:
        @hookimpl
        def argus_event(self, event):
            seen.append(event.event_type)

    broken, observer = Broken(), Observer()
    plugins.register(observer)
    plugins.register(broken)
    try:
        with Reporter("x", transport=transport) as reporter:
            reporter.job("j").done({})
    finally:
        plugins.unregister(broken)
        plugins.unregister(observer)

    assert seen == transport.types == ["batch_start", "job_start", "job_done", "batch_done"]
    assert {str(error) for error in swallowed_errors} == {"plugin"}
    swallowed_errors.clear()


def run_script(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )


def test_a_forked_child_reports_through_a_journal_of_its_own():
    result = run_script(
        """
        import os
        from argus_core import Reporter
        reporter = Reporter("x", batch_id="b")
        job = reporter.job("j")
        if (child := os.fork()) == 0:
            job.epoch(1, train_loss=1.0)
            reporter.close()
            os._exit(0)
        os.waitpid(child, 0)
        job.done({})
        reporter.close()
        """
    )

    assert result.returncode == 0, result.stderr
    assert sorted(map(types, journals().values()), key=len) == [
        [None, "job_epoch"],
        [None, "batch_start", "job_start", "job_done", "batch_done"],
    ]


def test_a_process_that_ends_in_an_exception_reports_it_without_any_with():
    result = run_script(
        """
        from argus_core import Reporter
        reporter = Reporter("x")
        reporter.job("j")
        raise ValueError("boom")
        """
    )

    assert "ValueError: boom" in result.stderr
    (lines,) = journals().values()
    assert types(lines)[-1] == "batch_failed"


def test_an_error_from_before_a_batch_is_not_what_ended_it():
    at_the_prompt = "1 / 0\nfrom argus_core import Reporter\njob = Reporter('x').job('j')\n"
    command = [sys.executable, "-i", "-q"]
    result = subprocess.run(
        command, input=at_the_prompt, capture_output=True, text=True, timeout=60, check=False
    )

    assert "ZeroDivisionError" in result.stderr
    (lines,) = journals().values()
    assert types(lines)[-1] == "batch_done"


def test_a_reporter_that_nobody_keeps_is_closed_at_the_end_all_the_same():
    result = run_script(
        """
        import gc
        from argus_core import Reporter
        def train(name):
            job = Reporter("x", batch_id=name).job("j")
            job.done({"MSE": 1.0})
        for i in range(5):
            train(f"b{i}")
        gc.collect()
        """
    )

    assert result.returncode == 0
    assert [types(lines)[-1] for lines in journals().values()] == ["batch_done"] * 5


def test_metrics_that_are_no_numbers_are_kept_and_said_once(transport, caplog):
    with Reporter("x", transport=transport) as reporter:
        for _ in range(2):
            reporter.job("j").done({"MSE": "0.5", "MAE": True, "curve": [1, 2], "R2": float("nan")})

    assert transport.of_type("job_done")[0].data["metrics"] == {
        "MSE": "0.5", "MAE": True, "curve": [1, 2], "R2": "NaN",
    }  # fmt: skip
    assert caplog.text.count("MSE = '0.5', MAE = True, curve = [1, 2]") == 1


class Unprintable:
    def __str__(self):
        raise RuntimeError("no text")


def test_arguments_of_the_wrong_kind_cost_themselves_alone(transport, caplog, swallowed_errors):
    with Reporter("x", transport=transport) as reporter:
        job = reporter.job(
            "j", model=["a", 1], dataset=Unprintable(), seed={"a": 1}, epochs_total="many", tags=3
        )
        job.epoch(0, train_loss=[1, 2], val_loss=0.5, lr="fast")
        job.done({"MSE": 10**5000, "MAE": 1.0, "a\ud800": 2.0})
        reporter.job(model=Unprintable()).done({})

    start, epoch, done = (transport.of_type(t)[0].data for t in ("job_start", "job_epoch", "job_done"))
    assert start == {"model": "['a', 1]", "seed": "{'a': 1}", "tags": 3}
    assert epoch == {"epoch": 0, "val_loss": 0.5}
    assert done["metrics"] == {"MAE": 1.0, "a?": 2.0}
    for named in ("train_loss = [1, 2]", "lr = 'fast'", "epochs_total = 'many'", "metrics.MSE", "dataset"):
        assert named in caplog.text
    assert {str(error) for error in swallowed_errors} == {"no text"}
    swallowed_errors.clear()


def test_bytes_that_are_not_unicode_in_the_command_line_cost_nothing():
    result = subprocess.run(
        [
            sys.executable,
            "-c",
            "from argus_core import Reporter; Reporter('x').job('j').done({})",
            b"--data=\xe9",
        ],
        capture_output=True,
        check=True,
    )

    (lines,) = journals().values()
    assert types(lines)[1:] == ["batch_start", "job_start", "job_done", "batch_done"], result.stderr


def test_a_home_that_cannot_be_is_said_and_training_goes_on(monkeypatch, transport, caplog):
    monkeypatch.setenv("ARGUS_HOME", "~nobody-has-this-name/x")
    monkeypatch.setenv("XDG_STATE_HOME", os.environ.get("TMPDIR", "/tmp"))

    with Reporter("x", transport=transport) as reporter:
        reporter.job("j").done({})

    assert "ARGUS_HOME names no directory, got '~nobody-has-this-name/x'" in caplog.text
    assert transport.types[-1] == "batch_done"


def test_threads_that_report_first_at_once_share_one_delivery(transport):
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(30):
            reporter = Reporter("x", transport=transport)
            barrier = threading.Barrier(4)

            def start(reporter=reporter, barrier=barrier):
                barrier.wait()
                reporter.job().done({})

            threads = [threading.Thread(target=start) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            reporter.close()
    finally:
        sys.setswitchinterval(0.005)

    assert len(transport.of_type("job_done")) == 120
    assert journals() == {}


class Lazy(dict):
    """A configuration that raises for a value nobody has set, as OmegaConf's does."""

    def __getitem__(self, key):
        if key == "missing":
            raise RuntimeError("mandatory value")
        return super().__getitem__(key)


def test_one_awkward_value_costs_itself_alone(transport, caplog):
    with Reporter("x", transport=transport) as reporter:
        job = reporter.job("j", config=Lazy(lr=0.1, missing=None))
        job.done({"MSE": 1.0, "curve": [0.1] * 200_000, "per_class": {Unprintable(): 1}})

    assert transport.of_type("job_start")[0].data["config"] == {"lr": 0.1}
    assert transport.of_type("job_done")[0].data["metrics"] == {"MSE": 1.0, "per_class": {"Unprintable": 1}}
    assert "config.missing" in caplog.text
    assert "metrics.curve" in caplog.text


@pytest.mark.parametrize(("url", "token"), [("http://127.0.0.1:9", object()), (object(), "t")])
def test_settings_of_another_type_cost_the_sending_not_the_journal(url, token, caplog):
    with Reporter("x", url=url, token=token) as reporter:
        reporter.job("j").done({})

    (lines,) = journals().values()
    assert types(lines)[1:] == ["batch_start", "job_start", "job_done", "batch_done"]
    assert "events are kept in the journal" in caplog.text


def test_a_relative_home_does_not_move_with_the_working_directory(tmp_path, monkeypatch, transport):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ARGUS_HOME", "home")
    (tmp_path / "elsewhere").mkdir()

    with Reporter("x", transport=transport) as reporter:
        job = reporter.job("j")
        monkeypatch.chdir(tmp_path / "elsewhere")
        job.done({})

    assert transport.types == ["batch_start", "job_start", "job_done", "batch_done"]
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_disabled_reads_no_value(monkeypatch, caplog):
    monkeypatch.setenv("ARGUS_DISABLE", "1")

    class Tensor:
        def item(self):
            raise AssertionError("a GPU would have to be waited for")

    with Reporter("x") as reporter:
        reporter.job("j").epoch(0, train_loss=Tensor())
        reporter.job("k").done({"MSE": Tensor()})

    assert caplog.text == ""


@pytest.mark.parametrize("size_bytes", [0, 40])
def test_a_header_that_a_full_disk_cuts_short_swallows_no_event(size_bytes):
    result = run_script(
        f"""
        import resource, signal
        from argus_core import Reporter
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        reporter = Reporter("x")
        resource.setrlimit(resource.RLIMIT_FSIZE, ({size_bytes}, resource.RLIM_INFINITY))
        job = reporter.job("j")
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        job.done({{"MSE": 1.0}})
        """
    )

    assert result.returncode == 0, result.stderr
    (lines,) = journals().values()
    assert types(lines) == [None, "job_done", "batch_done"]
    assert "lost, because only in memory: 2 events" in result.stderr


def test_importing_touches_nothing():
    result = run_script(
        """
        import logging, sys, threading, os
        before = dict(os.environ)
        import argus_core
        heavy = {"torch", "numpy", "lightning", "transformers", "keras", "requests", "litestar", "sqlalchemy",
                 "psutil", "rich", "click", "argus_server", "argus_integrations"}
        print(sorted(heavy & set(sys.modules)), threading.active_count(), logging.getLogger().handlers,
              logging.getLogger("argus_core").handlers, os.environ == before)
        """
    )

    assert result.stdout.split("\n")[0] == "[] 1 [] [] True", result.stderr


def test_nothing_is_logged_above_debug_when_all_is_well(transport, caplog):
    caplog.set_level(logging.INFO)
    with Reporter("x", transport=transport) as reporter:
        reporter.job("j").done({"MSE": 1.0})

    assert caplog.text == ""
