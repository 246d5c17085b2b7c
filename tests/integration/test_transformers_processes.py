"""The Trainer in real processes: ends of a script, notebooks, torchrun."""

from __future__ import annotations

import os
import signal
import textwrap

import pytest
from integration.test_processes import HERE, ROOT, Run
from integration.tiny_trainer import ANNOUNCED, FIT, FIT_AND_TEST

SCRIPT = """
import logging, os, signal, sys, tempfile
from integration.tiny_trainer import At, Line, trainer
from argus_integrations.transformers import ArgusCallback

def end():
    {end}

cb = ArgusCallback(job_id="the-job")
t = trainer(cb, tempfile.mkdtemp(), callbacks=[At("on_step_end", end, 6)])
{body}
"""


def script(end: str = "pass", body: str = "t.train()\nt.evaluate()") -> str:
    return SCRIPT.format(end=end, body=textwrap.dedent(body))


@pytest.fixture
def run(tmp_path):
    run = Run(tmp_path)
    run.environment["PYTHONPATH"] = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
    return run


@pytest.mark.parametrize(
    ("end", "status", "reason"),
    [
        ("raise ValueError('boom')", "failed", "ValueError: boom"),
        ("raise KeyboardInterrupt", "interrupted", "KeyboardInterrupt"),
        ("sys.exit(3)", "interrupted", "the training stage did not reach its end"),
    ],
)
def test_a_script_that_ends_in_training_fails_its_job_without_any_with(run, end, status, reason):
    code, output = run.finish("-c", script(end))

    assert code != 0
    assert run.story() == [*ANNOUNCED, "job_epoch 0", "job_failed", "batch_failed"], output
    failed = run.events()[-2]
    assert (failed.data["status"], failed.data["reason"]) == (status, reason)
    assert output.count("argus:") <= 1, output  # where the journal is


def test_a_killed_script_has_left_what_it_knew(run):
    code, output = run.finish("-c", script("os.kill(os.getpid(), signal.SIGKILL)"))

    assert code == -signal.SIGKILL
    assert run.story() == [*ANNOUNCED, "job_epoch 0"], output


def test_a_script_that_never_tests_ends_with_an_incomplete_batch_and_one_warning(run):
    code, output = run.finish("-c", script(body="t.train()"))

    assert code == 0, output
    assert run.story() == [*FIT, "batch_done"]
    assert run.events()[-1].data["status"] == "incomplete"
    assert run.events()[-1].data["untested"] == ["the-job"]
    assert output.count("trainer.evaluate") == 1


def test_a_script_that_fails_after_its_training_fails_its_job(run):
    code, output = run.finish("-c", script(body="t.train()\nt.compute_metrics = None\n1 / 0"))

    assert code == 1
    assert run.story() == [*FIT, "job_failed", "batch_failed"], output
    assert run.events()[-2].data["error"]["type"] == "ZeroDivisionError"


def test_a_script_that_fails_after_its_test_keeps_its_result(run):
    code, output = run.finish("-c", script(body="t.train()\nt.evaluate()\n1 / 0"))

    assert code == 1
    assert run.story() == FIT_AND_TEST, output


def test_a_failure_that_the_script_survives_is_reported_at_its_end(run):
    body = """
        try:
            t.train()
        except ValueError:
            pass
    """

    code, output = run.finish("-c", script("raise ValueError('boom')", body))

    assert code == 0, output
    assert run.story() == [*ANNOUNCED, "job_epoch 0", "job_failed", "batch_failed"], output
    assert run.events()[-2].data["reason"] == "the training stage did not reach its end"


# --- notebooks ------------------------------------------------------------------------------------

NOTEBOOK = """
import sys
from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance()
for cell in sys.argv[1:]:
    shell.run_cell(cell)
"""


def cells(*bodies, end="raise ValueError('boom')"):
    return ["-c", NOTEBOOK, script(end, ""), *bodies]


@pytest.mark.parametrize(
    ("end", "status", "reason"),
    [
        ("raise ValueError('boom')", "failed", "ValueError: boom"),
        ("raise KeyboardInterrupt", "interrupted", "KeyboardInterrupt"),
    ],
)
def test_a_failure_in_a_cell_is_reported_at_the_end_of_the_cell(run, end, status, reason):
    code, output = run.finish(*cells("t.train()", "import os; os._exit(0)", end=end))

    assert code == 0, output
    assert run.story() == [*ANNOUNCED, "job_epoch 0", "job_failed", "batch_failed"], output
    failed = run.events()[-2]
    assert (failed.data["status"], failed.data["reason"]) == (status, reason)


def test_the_next_cell_may_test_what_the_failed_one_has_trained(run):
    code, output = run.finish(*cells("t.train()", "t.evaluate()"))

    assert code == 0, output
    failed = [*ANNOUNCED, "job_epoch 0", "job_failed", "batch_failed"]
    assert run.story() == [*failed, "job_done"], output


def test_the_next_cell_may_train_again(run):
    code, output = run.finish(*cells("t.train()", "t.train()\nt.evaluate()"))

    assert code == 0, output
    failed = [*ANNOUNCED, "job_epoch 0", "job_failed", "batch_failed"]
    assert run.story() == [*failed, *FIT_AND_TEST[1:-1]], output
    assert len({event.job_id for event in run.events() if event.job_id}) == 2


def test_a_typing_error_in_a_later_cell_fails_no_job(run):
    code, output = run.finish(*cells("t.train()", "t.evalute()", "t.evaluate()", end="pass"))

    assert code == 0, output
    assert run.story() == FIT_AND_TEST, output


def test_a_script_run_by_ipython_fails_like_any_other(run, tmp_path_factory):
    path = tmp_path_factory.mktemp("script") / "train.py"
    path.write_text(script("raise ValueError('boom')"))

    _, output = run.finish("-m", "IPython", str(path))

    assert run.story() == [*ANNOUNCED, "job_epoch 0", "job_failed", "batch_failed"], output


# --- torchrun -------------------------------------------------------------------------------------


def torchrun(run, tmp_path_factory, *arguments, processes=2):
    launcher = ("-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}")
    directory = str(tmp_path_factory.mktemp("out"))
    return run.finish(*launcher, str(HERE / "torchrun_script.py"), directory, *arguments)


def test_two_processes_under_torchrun_tell_one_story(run, tmp_path_factory):
    code, output = torchrun(run, tmp_path_factory)

    assert code == 0, output
    assert run.story() == FIT_AND_TEST, output
    events = run.events()
    assert len({event.batch_id for event in events}) == 1
    assert {event.job_id for event in events[1:-1]} == {"the-job"}
    done = events[-2].data
    metrics = done["metrics"]
    assert metrics["samples"] == 32  # of both processes
    assert metrics["Total_Batches"] == 2 * 32 / 4 / 2
    assert round(metrics["Samples_Per_Second"] * 2 * metrics["Avg_Epoch_Time"]) == 2 * 32
    assert round(metrics["Inference_Throughput"] * metrics["Total_Inference_Time"]) == 32
    assert done["train_epochs"] == 2


@pytest.mark.parametrize("failing_rank", ["0", "1"])
def test_a_crash_on_either_rank_is_reported_once(run, tmp_path_factory, failing_rank):
    code, output = torchrun(run, tmp_path_factory, failing_rank)

    assert code != 0
    told = run.story()
    if failing_rank == "0":
        assert told == [*ANNOUNCED, "job_epoch 0", "job_failed", "batch_failed"], output
    else:  # torchrun ends rank zero with SIGTERM, or its collective fails first
        assert told[: len(ANNOUNCED)] == ANNOUNCED, output
        assert told.count("job_failed") <= 1
        assert "job_done" not in told
        assert "batch_done" not in told
