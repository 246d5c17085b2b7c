"""Real processes: distributed training, and the ways a process can end."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from argus_core.events import decode_event

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


class Run:
    """A script in a process of its own, whose events stay in the journals of its `ARGUS_HOME`."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environment = {
            **os.environ,
            "ARGUS_HOME": str(home),
            "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests"))),
            "OMP_NUM_THREADS": "1",
            "KERAS_BACKEND": "torch",
        }

    def start(self, *arguments: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def finish(self, *arguments: str, timeout_s: float = 240) -> tuple[int, str]:
        process = self.start(*arguments)
        try:
            output, _ = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        return process.returncode, output

    def events(self) -> list:
        """Return the events of all processes in the order of their time."""
        lines = [
            line for path in sorted(self.home.rglob("*.jsonl")) for line in path.read_bytes().splitlines()
        ]
        events = [decode_event(line) for line in lines if b'"event_type"' in line]
        return sorted(events, key=lambda event: event.event_id)

    def story(self) -> list[str]:
        return [
            f"{event.event_type} {event.data['epoch']}"
            if event.event_type == "job_epoch"
            else event.event_type
            for event in self.events()
        ]


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path)


FIT_AND_TEST = ["batch_start", "job_start", "job_epoch 0", "job_epoch 1", "job_done", "batch_done"]


@pytest.mark.parametrize("strategy", ["ddp", "ddp_spawn", "ddp_fork"])
def test_two_processes_tell_one_story(run, strategy):
    code, output = run.finish(str(HERE / "ddp_script.py"), strategy)

    assert code == 0, output
    assert run.story() == FIT_AND_TEST, output
    assert {event.job_id for event in run.events() if event.job_id} == {"the-job"}
    assert len({event.batch_id for event in run.events()}) == 1
    for event in run.events()[2:4]:
        assert event.data["rank"] == 0.5  # the mean over both processes
        assert event.data["ranks"] == 2  # logged after the callbacks, by the module
        assert event.data.keys() == {
            "epoch",
            "batch_time_ms",
            "lr",
            "train_loss",
            "val_loss",
            "rank",
            "ranks",
        }
    done, ended = run.events()[-2:]
    metrics = done.data["metrics"]
    assert {name: metrics[name] for name in ("rank", "local", "late")} == {"rank": 0.5, "local": 0, "late": 2}
    assert done.data["train_epochs"] == 2
    assert metrics["Total_Batches"] == 4
    assert metrics["Total_Train_Time"] > 0
    assert round(metrics["Inference_Throughput"] * metrics["Total_Inference_Time"]) == 32
    assert round(metrics["Samples_Per_Second"] * 2 * metrics["Avg_Epoch_Time"]) == 2 * 32
    assert (ended.data["n_done"], ended.data["n_failed"]) == (1, 0)


def test_the_jobs_of_a_reporter_are_counted_wherever_they_ran(run):
    for strategy in ("ddp", "ddp_fork"):
        own = Run(run.home / strategy)

        code, output = own.finish(str(HERE / "ddp_script.py"), strategy, "sweep")

        assert code == 0, output
        job = FIT_AND_TEST[1:-1]
        assert own.story() == ["batch_start", *job, *job, "batch_done"], output
        assert [event.job_id for event in own.events()] == [None, *["job-0"] * 4, *["job-1"] * 4, None]
        ended = own.events()[-1].data
        assert (ended["n_done"], ended["n_failed"], ended.get("status")) == (2, 0, None)


def test_children_that_cannot_leave_a_file_report_all_the_same(run, tmp_path):
    (tmp_path / f"argus-{os.getuid()}").write_text("where the directory should be")
    run.environment["TMPDIR"] = str(tmp_path)

    code, output = run.finish(str(HERE / "ddp_script.py"), "ddp_fork")

    assert code == 0, output
    announced, epochs, done = FIT_AND_TEST[:2], FIT_AND_TEST[2:4], ["job_done"]
    assert run.story() == [*announced, *epochs, *announced, *done], output
    warnings = [line for line in output.splitlines() if f"{tmp_path}/argus-{os.getuid()} cannot" in line]
    assert len(warnings) == 2, output  # one for each child that reports: of the fit, and of the test


CRASHES = [
    *(("ddp", "fit", 0), ("ddp", "fit", 1), ("ddp", "test", 1)),
    ("ddp_spawn", "fit", 1),
    *(("ddp_fork", "fit", 0), ("ddp_fork", "fit", 1), ("ddp_fork", "test", 0), ("ddp_fork", "test", 1)),
]


@pytest.mark.parametrize(("strategy", "stage", "rank"), CRASHES)
def test_a_crash_on_either_rank_is_reported_once(run, strategy, stage, rank):
    code, output = run.finish(str(HERE / "ddp_script.py"), strategy, stage, str(rank))

    assert code != 0
    epochs = {"fit": ["job_epoch 0"], "test": ["job_epoch 0", "job_epoch 1"]}[stage]
    told = run.story()
    if strategy != "ddp" and "job_epoch 0" not in told:
        epochs = []  # its process was ended before the epoch had all its metrics
    assert told == ["batch_start", "job_start", *epochs, "job_failed", "batch_failed"], output
    failed = run.events()[-2].data
    assert failed["status"] == "failed"
    if strategy != "ddp" or rank == 0:
        assert "ValueError: boom" in failed["reason"]


KERAS = """
import os, signal, sys
import keras, numpy as np
from argus_integrations.keras import ArgusCallback

class End(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            {end}

x = np.zeros((8, 2), "float32")
model = keras.Sequential([keras.layers.Dense(1)])
model.compile("sgd", "mse")
cb = ArgusCallback()
{before}
model.fit(x, x[:, :1], epochs=2, verbose=0, callbacks=[cb, End()])
{after}
"""


def keras_script(end: str = "pass", after: str = "", before: str = "") -> list[str]:
    return ["-c", textwrap.dedent(KERAS).format(end=end, after=after, before=before)]


@pytest.mark.parametrize(
    ("end", "status", "reason"),
    [
        ("raise ValueError('boom')", "failed", "ValueError: boom"),
        ("raise KeyboardInterrupt", "interrupted", "KeyboardInterrupt"),
        ("sys.exit(3)", "interrupted", "the training stage did not reach its end"),
    ],
)
def test_a_script_that_ends_in_training_fails_its_job_without_any_with(run, end, status, reason):
    code, output = run.finish(*keras_script(end))

    assert code != 0
    assert run.story() == ["batch_start", "job_start", "job_epoch 0", "job_failed", "batch_failed"], output
    failed = run.events()[-2]
    assert (failed.data["status"], failed.data["reason"]) == (status, reason)


def test_a_script_that_never_tests_ends_with_an_incomplete_batch_and_one_warning(run):
    code, output = run.finish(*keras_script())

    assert code == 0
    assert run.story() == [*FIT_AND_TEST[:-2], "batch_done"]
    assert run.events()[-1].data["status"] == "incomplete"
    assert output.count("needs `callbacks=[cb]`") == 1


@pytest.fixture
def received(run):
    """The types of the events that reach a server, which `run` is told of and which takes its time."""
    received = []

    class Ingest(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            body = gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body
            time.sleep(0.3)  # whoever does not wait is gone before this is over
            events = re.findall(rb'"event_type":"([a-z_]+)"', body)
            received.extend(event.decode() for event in events)
            answer = json.dumps({"accepted": len(events), "duplicates": 0, "rejected": []}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Ingest)
    threading.Thread(target=server.serve_forever).start()
    run.environment["ARGUS_URL"] = f"http://127.0.0.1:{server.server_port}"
    yield received
    server.shutdown()
    server.server_close()


def test_a_child_that_ends_without_atexit_has_sent_its_training(run, received):
    fork = "child = os.fork()\nif child: sys.exit(os.waitpid(child, 0)[1])"

    code, output = run.finish(*keras_script(before=fork, after="os._exit(0)"))

    assert code == 0, output
    assert received == ["batch_start", "job_start", "job_epoch", "job_epoch", "batch_done"]


def test_what_comes_after_the_end_of_the_batch_is_sent_before_the_process_ends(run, received):
    evaluate = "model.evaluate(x, x[:, :1], verbose=0, callbacks=[cb])"

    code, output = run.finish(*keras_script(after=f"{evaluate}\n{evaluate}"))

    assert code == 0, output
    assert received[-3:] == ["job_done", "batch_done", "job_done"]
    assert run.events() == []  # none waits in a journal for another process


def test_a_script_that_fails_after_its_test_keeps_its_result(run):
    evaluate = "model.evaluate(x, x[:, :1], verbose=0, callbacks=[cb])"

    code, output = run.finish(*keras_script(after=f"{evaluate}\nraise ValueError('later')"))

    assert code == 1
    assert run.story() == FIT_AND_TEST, output


STOPPED = """
import os, signal, sys
from argus_integrations.lightning import ArgusCallback
from integration.tiny_lightning import loader, scripted, trainer

stage, signal_name = sys.argv[1:]
model, t = scripted(), trainer([ArgusCallback()])

def stop(self, *args):
    if self.trainer.testing or (stage == "fit" and self.current_epoch == 1):
        os.kill(os.getpid(), getattr(signal, signal_name))

type(model).on_test_batch_end = type(model).on_train_batch_end = stop
t.fit(model, loader(), loader())
t.test(model, loader(), verbose=False)
"""


def test_a_signal_interrupts_a_lightning_job_once(run):
    ways = [(stage, name) for stage in ("fit", "test") for name in ("SIGINT", "SIGTERM")]
    runs = [Run(run.home / "-".join(way)) for way in ways]
    processes = [own.start("-W", "ignore", "-c", STOPPED, *way) for own, way in zip(runs, ways, strict=True)]
    outputs = [process.communicate(timeout=200)[0] for process in processes]

    for way, own, output in zip(ways, runs, outputs, strict=True):
        before = {"fit": ["job_epoch 0"], "test": ["job_epoch 0", "job_epoch 1"]}[way[0]]
        assert own.story() == ["batch_start", "job_start", *before, "job_failed", "batch_failed"], (
            way,
            output,
        )
        failed = own.events()[-2].data
        assert failed["status"] == "interrupted"
        reason = {"SIGINT": "KeyboardInterrupt", "SIGTERM": "SIGTERMException"}[way[1]]
        assert failed["error"]["type"] == reason


def test_importing_the_package_imports_no_framework():
    code = (
        "import sys, argus_integrations;"
        "assert not {'torch', 'keras', 'lightning', 'transformers'} & set(sys.modules)"
    )

    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})


LATER = """
import sys
from argus_integrations.lightning import ArgusCallback  # before any Lightning, as isort puts it
import lightning.pytorch, pytorch_lightning

assert sys.modules["argus_integrations.lightning"].ArgusCallback is ArgusCallback
for namespace in (lightning.pytorch, pytorch_lightning):
    namespace.Trainer(callbacks=ArgusCallback(), logger=False, accelerator="cpu", devices=1)
    assert issubclass(ArgusCallback, namespace.Callback)
"""


def test_the_callback_may_be_imported_before_both_lightnings(run):
    code, output = run.finish("-W", "ignore", "-c", LATER)

    assert code == 0, output
