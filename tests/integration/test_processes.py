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
            "PYTHONPATH": str(ROOT),
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

    def finish(self, *arguments: str, timeout_s: float = 120) -> tuple[int, str]:
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
    done = next(event for event in run.events() if event.event_type == "job_done")
    assert done.job_id == "the-job"
    assert done.data["metrics"]["rank"] == 0.5  # the mean over both processes
    assert done.data["train_epochs"] == 2
    assert done.data["metrics"]["Total_Batches"] == 4
    assert done.data["metrics"]["Total_Train_Time"] > 0
    assert len({event.batch_id for event in run.events()}) == 1


def test_children_that_cannot_leave_a_file_report_all_the_same(run, tmp_path):
    (tmp_path / f"argus-{os.getuid()}").write_text("where the directory should be")
    run.environment["TMPDIR"] = str(tmp_path)

    code, output = run.finish(str(HERE / "ddp_script.py"), "ddp_spawn")

    assert code == 0, output
    announced, epochs, done = FIT_AND_TEST[:2], FIT_AND_TEST[2:4], ["job_done"]
    assert run.story() == [*announced, *epochs, *announced, *done], output
    warnings = [line for line in output.splitlines() if f"{tmp_path}/argus-{os.getuid()} cannot" in line]
    assert len(warnings) == 2, output  # one for each child that reports: of the fit, and of the test


@pytest.mark.parametrize("strategy", ["ddp", "ddp_spawn"])
@pytest.mark.parametrize("failing_rank", [0, 1])
def test_a_crash_on_either_rank_is_reported_once(run, strategy, failing_rank):
    code, output = run.finish(str(HERE / "ddp_script.py"), strategy, str(failing_rank))

    assert code != 0
    words = [word for word in run.story() if word != "job_epoch 0"]
    assert words == ["batch_start", "job_start", "job_failed", "batch_failed"], output


def test_two_processes_under_torchrun_tell_one_story(run, tmp_path_factory):
    directory = str(tmp_path_factory.mktemp("out"))
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")

    code, output = run.finish(*launcher, str(HERE / "torchrun_script.py"), directory)

    assert code == 0, output
    assert run.story() == FIT_AND_TEST, output
    metrics = run.events()[-2].data["metrics"]
    assert metrics["Total_Batches"] == 2 * 32 / 4 / 2
    assert round(metrics["Samples_Per_Second"] * 2 * metrics["Avg_Epoch_Time"]) == 2 * 32


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


def test_sigterm_interrupts_a_lightning_job(run):
    script = (HERE / "ddp_script.py").read_text()
    script = script.replace("devices=2", "devices=1").replace('raise ValueError("boom")', "self.stop_here()")
    script = script.replace(
        "    def on_train_epoch_end",
        "    def stop_here(self):\n"
        "        import os, signal\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n\n"
        "    def on_train_epoch_end",
    )

    _, output = run.finish("-c", script, "auto", "0")

    assert run.story()[-2:] == ["job_failed", "batch_failed"], output
    assert run.events()[-2].data["status"] == "interrupted"


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
