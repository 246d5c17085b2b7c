"""`argus_integrations.accelerate` under real loops, in this process and in processes of their own."""

from __future__ import annotations

import copy
import logging
import os
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState, PartialState
from accelerate.tracking import GeneralTracker
from accelerate.utils import find_executable_batch_size, set_seed

from argus_core.events import decode_event
from argus_core.reporter import Reporter
from argus_integrations.accelerate import ArgusTracker

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ANNOUNCED = ["batch_start", "job_start"]
FIT_AND_TEST = [*ANNOUNCED, "job_epoch 0", "job_epoch 1", "job_done", "batch_done"]


@pytest.fixture(autouse=True)
def no_state_from_before():
    yield
    for state in (AcceleratorState, PartialState, GradientState):
        state._reset_state()


def accelerator_with(*trackers):
    return Accelerator(cpu=True, log_with=list(trackers) if len(trackers) != 1 else trackers[0])


def started(argus, name="my-paper", config=None):
    accelerator = accelerator_with(argus)
    accelerator.init_trackers(name, config=config)
    return accelerator


def train(accelerator, epochs=2, first=0):
    for epoch in range(first, first + epochs):
        accelerator.log({"train_loss": 1.0 / (epoch + 1), "epoch": epoch}, step=10 * epoch)


def epochs_of(sent, job_id=None):
    return [
        event.data["epoch"] for event in sent.of_type("job_epoch") if job_id is None or event.job_id == job_id
    ]


# --- a whole loop -----------------------------------------------------------------------------------


def test_a_loop_is_five_kinds_of_events(sent, story, data_of):
    argus = ArgusTracker(dataset="line")
    accelerator = started(argus, config={"rate": 0.1, "betas": (0.9, 0.999)})

    train(accelerator)
    argus.done({"test_mse": torch.tensor(0.25), "eval/acc": 0.5})
    accelerator.end_training()

    assert story(sent) == FIT_AND_TEST
    assert {event.source.project for event in sent.events} == {"my-paper"}
    start = data_of(sent, "job_start")
    assert (start["dataset"], start["framework"]) == ("line", "accelerate")
    assert start["config"] == {"rate": 0.1, "betas": [0.9, 0.999]}
    done = data_of(sent, "job_done")
    assert (done["metrics"]["MSE"], done["metrics"]["accuracy"]) == (0.25, 0.5)
    assert done["metrics_raw"] == {"test_mse": 0.25, "eval/acc": 0.5}
    assert done["train_epochs"] == 2
    assert data_of(sent, "batch_done")["n_done"] == 1


def test_the_job_is_announced_by_init_trackers_and_not_before(sent, story):
    argus = ArgusTracker()
    accelerator = accelerator_with(argus)
    assert sent.events == []

    accelerator.init_trackers("my-paper")
    argus.flush()

    assert story(sent) == ANNOUNCED


def test_the_costs_are_the_columns_of_the_callbacks(sent, data_of):
    set_seed(3)
    argus = ArgusTracker()
    accelerator = accelerator_with(argus)
    layer = torch.nn.Linear(2, 1)
    model, _ = accelerator.prepare(layer, torch.optim.SGD(layer.parameters(), 0.1))
    accelerator.init_trackers("my-paper")

    for epoch in range(2):
        with argus.footprint.epoch():
            for _ in range(5):
                argus.footprint.step(samples=4)
        accelerator.log({"train_loss": 0.5, "epoch": epoch})
    with argus.testing() as test:
        for _ in range(4):
            with test.batch(samples=8):
                model(torch.zeros(8, 2))
    argus.done({"mse": 0.5})

    metrics = data_of(sent, "job_done")["metrics"]
    assert metrics["Total_Batches"] == 10
    assert metrics["Model_Params"] == 3
    assert metrics["Samples_Per_Second"] * 2 * metrics["Avg_Epoch_Time"] == pytest.approx(40)
    assert metrics["Inference_Throughput"] * metrics["Total_Inference_Time"] == pytest.approx(32)
    assert metrics["Latency_P50"] <= metrics["Latency_P95"] <= metrics["Latency_P99"]
    assert metrics["seed"] == 3
    start = data_of(sent, "job_start")
    assert (start["model"], start["seed"]) == ("Linear", 3)


def test_the_test_is_no_time_of_the_training(sent, data_of):
    import time

    argus = ArgusTracker()
    accelerator = started(argus)

    train(accelerator, 1)
    with argus.testing() as test, test.batch():
        time.sleep(0.2)
    train(accelerator, 1, first=1)
    argus.done({"mse": 0.5})

    metrics = data_of(sent, "job_done")["metrics"]
    assert 0 < metrics["Total_Train_Time"] < 0.15
    assert metrics["Total_Inference_Time"] >= 0.2


def test_a_script_that_only_tests_has_no_time_of_training(sent, story, data_of):
    argus = ArgusTracker()
    accelerator = started(argus)

    with argus.testing(torch.nn.Linear(2, 1)) as test, test.batch(samples=2):
        pass
    argus.done({"mse": 0.5})
    accelerator.end_training()

    assert story(sent) == [*ANNOUNCED, "job_done", "batch_done"]
    metrics = data_of(sent, "job_done")["metrics"]
    assert "Total_Train_Time" not in metrics
    assert metrics["Inference_Throughput"] > 0
    assert metrics["Model_Params"] == 3


def test_a_test_after_each_epoch_is_measured_and_ends_nothing(sent, story, data_of):
    argus = ArgusTracker()
    accelerator = started(argus)

    for epoch in range(2):
        accelerator.log({"train_loss": 0.5, "epoch": epoch})
        with argus.testing() as test, test.batch(samples=4):
            pass
        accelerator.log({"val_loss": 0.25, "epoch": epoch})
    argus.done({"mse": 0.25})

    assert story(sent) == FIT_AND_TEST
    assert [event.data["val_loss"] for event in sent.of_type("job_epoch")] == [0.25, 0.25]
    metrics = data_of(sent, "job_done")["metrics"]
    assert metrics["Inference_Throughput"] * metrics["Total_Inference_Time"] == pytest.approx(4)


# --- epochs -----------------------------------------------------------------------------------------


def test_steps_are_no_epochs(sent, story):
    argus = ArgusTracker()
    accelerator = started(argus)

    for step in range(50):
        accelerator.log({"train_loss": 0.5, "lr": 0.1}, step=step)
    argus.done({"mse": 0.5})

    assert story(sent) == [*ANNOUNCED, "job_done", "batch_done"]


def test_all_values_of_an_epoch_are_one_event(sent):
    argus = ArgusTracker()
    accelerator = started(argus)

    for epoch in range(2):
        for step in range(10):
            accelerator.log({"loss": step / 10, "epoch": epoch}, step=step)
        accelerator.log({"eval_loss": 0.25, "glue": {"acc": 0.5}, "note": "text", "epoch": epoch})
    accelerator.end_training()

    assert epochs_of(sent) == [0, 1]
    data = sent.of_type("job_epoch")[-1].data
    assert data == {"epoch": 1, "train_loss": 0.9, "val_loss": 0.25, "glue/acc": 0.5}


def test_an_epoch_may_be_named_beside_the_values(sent):
    argus = ArgusTracker()
    accelerator = started(argus)

    accelerator.log({"train_loss": 0.5}, step=100, log_kwargs={"argus": {"epoch": 3}})
    accelerator.end_training()

    assert epochs_of(sent) == [3]


@pytest.mark.parametrize(
    ("named", "counted"),
    [
        ([0, 1, 2], [0, 1, 2]),
        ([1.0, 2.0], [1, 2]),
        ([0.0, 0.5, 1.0, 1.5, 2.0], [0, 1]),
        ([torch.tensor(0), torch.tensor(1)], [0, 1]),
        (["first", None, True, -1, float("nan"), float("inf")], []),
    ],
)
def test_an_epoch_is_a_number_or_a_progress(sent, named, counted):
    argus = ArgusTracker()
    accelerator = started(argus)

    for epoch in named:
        accelerator.log({"train_loss": 0.5, "epoch": epoch})
    accelerator.end_training()

    assert epochs_of(sent) == counted


def test_values_are_read_when_they_are_logged(sent):
    argus = ArgusTracker()
    accelerator = started(argus)
    loss = torch.ones(1, requires_grad=True)

    accelerator.log({"train_loss": loss, "epoch": 0})
    with torch.no_grad():
        loss.zero_()
    accelerator.end_training()

    assert sent.of_type("job_epoch")[0].data["train_loss"] == 1.0


def test_a_loss_that_is_not_a_number_travels(sent):
    argus = ArgusTracker()
    accelerator = started(argus)

    accelerator.log({"train_loss": float("nan"), "epoch": 0})
    accelerator.end_training()

    assert sent.of_type("job_epoch")[0].data["train_loss"] == "NaN"


def test_a_second_loop_of_the_same_training_counts_on(sent):
    argus = ArgusTracker()
    accelerator = started(argus)

    train(accelerator, 2)
    train(accelerator, 2)
    accelerator.end_training()

    assert epochs_of(sent) == [0, 1, 2, 3]


def test_a_resumed_loop_is_absolute(sent):
    argus = ArgusTracker()
    accelerator = started(argus)

    train(accelerator, 2, first=3)
    accelerator.end_training()

    assert epochs_of(sent) == [3, 4]


# --- what is a result ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["test_mse", "test/mse", "eval_mse", "final_mse"])
def test_no_name_of_a_metric_makes_it_a_result(sent, story, data_of, caplog, name):
    argus = ArgusTracker()
    accelerator = started(argus)

    train(accelerator)
    accelerator.log({name: 0.5})
    with caplog.at_level(logging.WARNING):
        accelerator.end_training()

    assert story(sent) == [*FIT_AND_TEST[:-2], "batch_done"]
    ended = data_of(sent, "batch_done")
    assert (ended["status"], ended["untested"]) == ("incomplete", [argus.job_id])
    assert caplog.text.count("Call `done({...})` of the `ArgusTracker`") == 1


def test_values_are_a_result_if_the_log_call_says_so(sent, story, data_of):
    argus = ArgusTracker()
    accelerator = started(argus)

    train(accelerator)
    accelerator.log({"test_mse": 0.5, "epoch": 2}, log_kwargs={"argus": {"final": True}})
    accelerator.end_training()

    assert story(sent) == FIT_AND_TEST
    assert data_of(sent, "job_done")["metrics_raw"] == {"test_mse": 0.5}


@pytest.mark.parametrize("unwrap", [False, True])
def test_a_tracker_is_the_same_wrapped_or_not(sent, story, unwrap):
    argus = ArgusTracker()
    accelerator = started(argus)

    train(accelerator)
    accelerator.get_tracker("argus", unwrap=unwrap).done({"mse": 0.5})

    assert story(sent) == FIT_AND_TEST


def test_a_second_result_adds_to_the_first(sent, story, data_of):
    argus = ArgusTracker()
    accelerator = started(argus)

    train(accelerator)
    argus.done({"mse": 0.5, "n": 1})
    argus.done({"mae": 0.25, "n": 2})
    argus.flush()

    assert story(sent) == [*FIT_AND_TEST, "job_done"]
    metrics = data_of(sent, "job_done")["metrics"]
    assert (metrics["MSE"], metrics["MAE"], metrics["n"]) == (0.5, 0.25, 2)


def test_a_result_may_come_after_end_training(sent, story):
    argus = ArgusTracker()
    accelerator = started(argus)

    train(accelerator)
    accelerator.end_training()
    argus.done({"mse": 0.5})
    argus.flush()

    assert story(sent) == [*FIT_AND_TEST[:-2], "batch_done", "job_done"]


def test_epochs_after_the_result_are_warned_about(sent, story, caplog):
    argus = ArgusTracker()
    accelerator = started(argus)

    for epoch in range(3):
        accelerator.log({"train_loss": 0.5, "epoch": epoch})
        argus.done({"mse": epoch})
    argus.flush()

    results = ["job_done", "batch_done", "job_done", "job_done"]
    assert story(sent) == [*ANNOUNCED, "job_epoch 0", *results]
    assert caplog.text.count("is left out") == 1


def test_what_log_does_not_know_is_warned_about(sent, caplog):
    argus = ArgusTracker()
    accelerator = started(argus)

    accelerator.log({"mse": 0.5}, log_kwargs={"argus": {"finale": True}})

    assert "not finale" in caplog.text


# --- several trackers, jobs, calls --------------------------------------------------------------------


class Other(GeneralTracker):
    name = "other"
    requires_logging_directory = False

    def __init__(self):
        super().__init__()
        self.logged = []

    @property
    def tracker(self):
        return self.logged

    def log(self, values, step=None, **kwargs):
        self.logged.append((dict(values), step, kwargs))


def test_it_works_beside_other_trackers(sent, story):
    argus, other = ArgusTracker(), Other()
    accelerator = accelerator_with(other, argus)
    accelerator.init_trackers("my-paper")

    train(accelerator)
    accelerator.log({"mse": 0.5}, log_kwargs={"argus": {"final": True}})
    accelerator.end_training()

    assert story(sent) == FIT_AND_TEST
    assert other.logged[-1] == ({"mse": 0.5}, None, {})
    assert len(other.logged) == 3


def test_a_tracker_that_is_listed_twice_reports_once(sent, story):
    argus = ArgusTracker()
    accelerator = accelerator_with(argus, argus)
    accelerator.init_trackers("my-paper", config={"rate": 0.1})

    train(accelerator)
    accelerator.log({"mse": 0.5}, log_kwargs={"argus": {"final": True}})
    accelerator.end_training()
    accelerator.end_training()

    assert story(sent) == FIT_AND_TEST


def test_each_init_trackers_after_a_result_is_a_job(sent, story):
    with Reporter("seeds") as reporter:
        argus = ArgusTracker(batch=reporter)
        accelerator = accelerator_with(argus)
        for seed in (0, 1):
            accelerator.init_trackers("my-paper", config={"seed": seed})
            train(accelerator)
            argus.done({"mse": 0.5})
            accelerator.end_training()

    job = FIT_AND_TEST[1:-1]
    assert story(sent) == ["batch_start", *job, *job, "batch_done"]
    assert [event.data["seed"] for event in sent.of_type("job_start")] == [0, 1]
    assert len({event.job_id for event in sent.of_type("job_done")}) == 2


def test_init_trackers_after_a_training_without_result_is_another_job(sent, story, data_of):
    with Reporter("seeds") as reporter:
        argus = ArgusTracker(batch=reporter)
        accelerator = accelerator_with(argus)
        for _ in range(2):
            accelerator.init_trackers("my-paper")
            train(accelerator, 1)
            accelerator.end_training()

    assert story(sent) == ["batch_start", *["job_start", "job_epoch 0"] * 2, "batch_done"]
    assert len(data_of(sent, "batch_done")["untested"]) == 2


def test_init_trackers_in_the_midst_of_a_training_fails_it(sent, story, data_of):
    with Reporter("seeds") as reporter:
        argus = ArgusTracker(batch=reporter)
        accelerator = accelerator_with(argus)
        for _ in range(2):
            accelerator.init_trackers("my-paper")
            train(accelerator, 1)
        argus.done({"mse": 0.5})

    job = ["job_start", "job_epoch 0"]
    assert story(sent) == ["batch_start", *job, "job_failed", *job, "job_done", "batch_done"]
    assert data_of(sent, "job_failed")["reason"] == "accelerate training did not reach its end"


def test_a_retry_with_fewer_samples_is_the_same_job(sent, story):
    argus = ArgusTracker()
    accelerator = accelerator_with(argus)
    sizes = []

    @find_executable_batch_size(starting_batch_size=8)
    def loop(batch_size):
        sizes.append(batch_size)
        accelerator.init_trackers("my-paper")
        train(accelerator, 2)
        if batch_size > 4:
            raise RuntimeError("CUDA out of memory.")

    loop()
    argus.done({"mse": 0.5})
    argus.flush()

    assert len(sizes) > 1
    assert [word for word in story(sent) if "epoch" not in word] == [*ANNOUNCED, "job_done", "batch_done"]


def test_without_init_trackers_a_result_is_a_job_all_the_same(sent, story):
    argus = ArgusTracker(project="p")

    argus.done({"mse": 0.5})
    argus.done({"mae": 0.5})
    argus.flush()

    assert story(sent) == [*ANNOUNCED, "job_done", "batch_done", "job_done"]
    assert PartialState._shared_state == {}  # asking for the rank has started nothing


# --- names ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argument", "environment", "project"),
    [("said", "set", "said"), ("said", None, "said"), (None, "set", "set"), (None, None, "initialised")],
)
def test_the_project_is_said_or_set_or_that_of_init_trackers(
    sent, monkeypatch, argument, environment, project
):
    if environment:
        monkeypatch.setenv("ARGUS_PROJECT", environment)
    argus = ArgusTracker(project=argument)

    accelerator = started(argus, name="initialised")
    argus.done({"mse": 0.5})
    accelerator.end_training()

    assert {event.source.project for event in sent.events} == {project}


def test_the_configuration_names_model_data_and_seed(sent, data_of):
    config = {"model_name_or_path": "/home/me/bert-base", "dataset_name": "imdb", "seed": 7, "rate": 0.1}
    argus = ArgusTracker(config={"rate": 0.2})

    started(argus, config=config)
    argus.flush()

    start = data_of(sent, "job_start")
    assert (start["model"], start["dataset"], start["seed"]) == ("bert-base", "imdb", 7)
    assert start["config"]["rate"] == 0.2


def test_what_the_tracker_was_told_wins(sent, data_of):
    argus = ArgusTracker(model="mine", dataset="line", seed=1, tags=["a"], job_id="the-job")

    started(argus, config={"model_name": "bert", "dataset": "imdb", "seed": 7})
    argus.flush()

    start = data_of(sent, "job_start")
    assert (start["model"], start["dataset"], start["seed"], start["tags"]) == ("mine", "line", 1, ["a"])
    assert sent.of_type("job_start")[0].job_id == "the-job"


def test_a_configuration_that_comes_later_is_warned_about(sent, caplog):
    argus = ArgusTracker()
    started(argus)

    argus.store_init_configuration({"rate": 0.1})

    assert "pass it there" in caplog.text


# --- failures ---------------------------------------------------------------------------------------


def test_an_exception_inside_with_fails_the_job(sent, story, data_of):
    argus = ArgusTracker()
    accelerator = started(argus)

    train(accelerator, 1)
    with pytest.raises(ValueError, match="boom"), argus:
        raise ValueError("boom")

    assert story(sent) == [*ANNOUNCED, "job_epoch 0", "job_failed", "batch_failed"]
    assert data_of(sent, "job_failed")["error"] == {"type": "ValueError", "message": "boom"}


def test_end_training_in_finally_knows_of_the_exception(sent, story, data_of):
    argus = ArgusTracker()
    accelerator = started(argus)

    def loop():
        try:
            train(accelerator, 1)
            raise KeyboardInterrupt
        finally:
            accelerator.end_training()

    with pytest.raises(KeyboardInterrupt):
        loop()

    assert story(sent) == [*ANNOUNCED, "job_epoch 0", "job_failed", "batch_failed"]
    assert data_of(sent, "job_failed")["status"] == "interrupted"


def test_a_training_that_handles_an_older_exception_has_not_failed(sent, story, data_of):
    argus = ArgusTracker()

    try:
        raise RuntimeError("the first attempt")
    except RuntimeError:
        accelerator = started(argus)
        train(accelerator)
        accelerator.end_training()

    assert story(sent) == [*FIT_AND_TEST[:-2], "batch_done"]
    assert data_of(sent, "batch_done")["status"] == "incomplete"


def test_an_exception_in_the_test_fails_the_job(sent, story):
    argus = ArgusTracker()
    accelerator = started(argus)
    train(accelerator)

    with pytest.raises(ValueError, match="boom"), argus, argus.testing():
        raise ValueError("boom")

    assert story(sent) == [*FIT_AND_TEST[:-2], "job_failed", "batch_failed"]


# --- copies -------------------------------------------------------------------------------------------


def test_a_pickled_tracker_is_the_same_job_without_the_token():
    argus = ArgusTracker(model="mine", token="em_live_secret")

    pickled = pickle.dumps(argus)
    twin = pickle.loads(pickled)

    assert isinstance(twin, ArgusTracker)
    assert (twin.job_id, twin.batch_id, twin.name) == (argus.job_id, argus.batch_id, "argus")
    assert b"em_live_secret" not in pickled
    assert "em_live_secret" not in repr(argus)


def test_a_deep_copy_is_another_job_even_in_the_midst_of_a_training(sent, story):
    argus = ArgusTracker()
    accelerator = started(argus)
    train(accelerator, 1)

    twin = copy.deepcopy(argus)
    other = started(twin)
    train(other, 1)
    for tracker in (argus, twin):
        tracker.done({"mse": 0.5})
        tracker.flush()

    assert twin.job_id != argus.job_id
    assert {event.job_id for event in sent.of_type("job_done")} == {argus.job_id, twin.job_id}
    assert epochs_of(sent, argus.job_id) == epochs_of(sent, twin.job_id) == [0]


# --- processes ----------------------------------------------------------------------------------------


class Run:
    """A script in a process of its own, whose events stay in the journals of its home."""

    def __init__(self, home):
        self.home = home

    def __call__(self, *arguments):
        environment = {
            **os.environ,
            "ARGUS_HOME": str(self.home),
            "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests"))),
            "OMP_NUM_THREADS": "1",
        }
        process = subprocess.run(
            [sys.executable, *arguments], env=environment, capture_output=True, text=True, timeout=120
        )
        return process.returncode, process.stdout + process.stderr

    @property
    def events(self):
        lines = [line for path in self.home.rglob("*.jsonl") for line in path.read_bytes().splitlines()]
        events = [decode_event(line) for line in lines if b'"event_type"' in line]
        return sorted(events, key=lambda event: event.event_id)


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path)


TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")


def test_two_processes_under_torchrun_tell_one_story(run, story):
    code, output = run(*TORCHRUN, str(HERE / "accelerate_script.py"))

    assert code == 0, output
    assert story(run) == FIT_AND_TEST, output
    done = run.events[-2]
    assert done.job_id == "the-job"
    metrics = done.data["metrics"]
    assert metrics["rank"] == 0
    assert metrics["Total_Batches"] == 2 * 64 / 2 / 4 / 2
    assert metrics["Model_Params"] == 3
    assert metrics["Inference_Throughput"] * metrics["Total_Inference_Time"] == pytest.approx(32)
    assert run.events[1].data["model"] == "Linear"


def test_a_crash_of_the_main_process_is_reported_once(run, story):
    code, output = run(*TORCHRUN, str(HERE / "accelerate_script.py"), "0")

    assert code != 0
    assert story(run) == [*ANNOUNCED, "job_epoch 0", "job_failed", "batch_failed"], output


LOOP = """
import sys
from accelerate import Accelerator
from argus_integrations.accelerate import ArgusTracker

argus = ArgusTracker()
accelerator = Accelerator(cpu=True, log_with=argus)
accelerator.init_trackers("my-paper")
for epoch in range(2):
    accelerator.log({{"train_loss": 0.5, "epoch": epoch}})
{end}
"""


@pytest.mark.parametrize(
    ("end", "words"),
    [
        ("", ["job_epoch 1", "batch_done"]),
        ("accelerator.end_training()", ["job_epoch 1", "batch_done"]),
        ("argus.done({'mse': 0.5})", ["job_epoch 1", "job_done", "batch_done"]),
        ("raise ValueError('boom')", ["job_epoch 1", "job_failed", "batch_failed"]),
        ("raise KeyboardInterrupt", ["job_epoch 1", "job_failed", "batch_failed"]),
        ("with argus: sys.exit(3)", ["job_epoch 1", "job_failed", "batch_failed"]),
    ],
)
def test_a_script_ends_its_batch_however_it_ends(run, story, end, words):
    _, output = run("-c", textwrap.dedent(LOOP).format(end=end))

    assert story(run) == [*ANNOUNCED, "job_epoch 0", *words], output
    untested = words[-1] == "batch_done" and "job_done" not in words
    assert output.count("Call `done({...})` of the `ArgusTracker`") == untested
