"""Several jobs in one batch: in one process, in threads, in processes that know nothing of each other."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import optuna
import pytest
from integration import tiny_trainer
from integration.tiny_lightning import breaking, loader, scripted, stream, trainer

from argus_core.events import decode_event
from argus_core.reporter import Reporter
from argus_integrations.keras import ArgusCallback as KerasCallback
from argus_integrations.lightning import ArgusCallback
from argus_integrations.transformers import ArgusCallback as TransformersCallback

ROOT = Path(__file__).parents[2]
ZEROS = np.zeros((8, 2), "float32")
START = ("batch_start", None, None)
END = ("batch_done", None, None)


def job(number=1, end="done"):
    """Return what a job of the scripted model says: trained, and tested unless it ends otherwise."""
    trained = [
        ("job_start", number, None),
        ("job_epoch 0", number, {"train_loss": 1.5, "val_loss": 100.0}),
        ("job_epoch 1", number, {"train_loss": 11.5, "val_loss": 101.0}),
    ]
    return [*trained, ("job_done", number, {"MSE": 0.5})] if end == "done" else trained


def fit_and_test(cb, model=None):
    model, t = model or scripted(), trainer([cb])
    t.fit(model, loader(), loader())
    return t.test(model, loader(), verbose=False)[0]["test_mse"]


def keras_model():
    import keras

    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mse"])
    return model


def keras_fit(model, cb, *others):
    model.fit(ZEROS, ZEROS[:, :1], epochs=1, verbose=0, callbacks=[cb, *others])


def keras_fit_and_test(cb, model=None):
    model = model or keras_model()
    keras_fit(model, cb)
    model.evaluate(ZEROS, ZEROS[:, :1], verbose=0, callbacks=[cb])


def keras_boom():
    import keras

    class Boom(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            raise ValueError("boom")

    return Boom()


def transformers_fit_and_test(cb, model=None):
    made = tiny_trainer.trainer(cb, "out", model)
    made.train()
    made.evaluate()


# --- one process --------------------------------------------------------------------------------------


def test_the_jobs_of_a_reporter_are_one_batch_that_ends_with_it(sent, data_of):
    with Reporter("sweep", project="p", n_total=2, experiment_type="seeds") as reporter:
        for seed in (0, 1):
            fit_and_test(ArgusCallback(batch=reporter, seed=seed))
        assert sent.of_type("batch_done") == []

    assert stream(sent) == [START, *job(1), *job(2), END]
    assert {event.batch_id for event in sent.events} == {reporter.batch_id}
    assert {event.source.project for event in sent.events} == {"p"}
    assert data_of(sent, "batch_start")["n_total_jobs"] == 2
    assert (data_of(sent, "batch_done")["n_done"], data_of(sent, "batch_done")["n_failed"]) == (2, 0)
    assert [event.data["seed"] for event in sent.of_type("job_start")] == [0, 1]


def test_the_callbacks_of_all_frameworks_share_a_batch(sent, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Reporter("frameworks") as reporter:
        fit_and_test(ArgusCallback(batch=reporter))
        keras_fit_and_test(KerasCallback(batch=reporter))
        transformers_fit_and_test(TransformersCallback(batch=reporter))

    assert [event.data["framework"] for event in sent.of_type("job_start")] == [
        "lightning",
        "keras",
        "transformers",
    ]
    assert len(sent.of_type("job_done")) == 3
    assert [sent.types.count(kind) for kind in ("batch_start", "batch_done")] == [1, 1]
    assert (sent.types[0], sent.types[-1]) == ("batch_start", "batch_done")


def test_a_body_that_raises_fails_the_batch_and_the_job_that_has_no_result(sent):
    with pytest.raises(ValueError, match="between"), Reporter("sweep") as reporter:  # noqa: PT012
        fit_and_test(ArgusCallback(batch=reporter))
        trainer([ArgusCallback(batch=reporter)]).fit(scripted(), loader(), loader())
        raise ValueError("between")

    reason = "ValueError: between"
    failed = [("job_failed", 2, reason), ("batch_failed", None, reason)]
    assert stream(sent) == [START, *job(1), *job(2, "trained"), *failed]


def test_a_training_that_raises_out_of_the_body_is_reported_once(sent):
    model = breaking(scripted(), "on_train_end", ValueError("boom"))

    with pytest.raises(ValueError, match="boom"), Reporter("sweep") as reporter:
        fit_and_test(ArgusCallback(batch=reporter), model)

    reason = "ValueError: boom"
    failed = [("job_failed", 1, reason), ("batch_failed", None, reason)]
    assert stream(sent) == [START, *job(1, "trained"), *failed]


@pytest.mark.parametrize("framework", ["lightning", "keras"])
def test_a_job_whose_exception_is_caught_has_failed_and_the_batch_goes_on(sent, data_of, framework):
    with Reporter("sweep") as reporter:
        for seed in (0, 1):
            try:
                if framework == "lightning":
                    model = scripted() if seed else breaking(scripted(), "training_step", ValueError("boom"))
                    fit_and_test(ArgusCallback(batch=reporter), model)
                elif seed:
                    keras_fit_and_test(KerasCallback(batch=reporter))
                else:
                    keras_fit(keras_model(), KerasCallback(batch=reporter), keras_boom())
            except ValueError:
                continue

    batch = data_of(sent, "batch_done")
    assert (batch["n_done"], batch["n_failed"], batch.get("status")) == (1, 1, None)
    assert sent.types.count("job_failed") == 1
    assert sent.types[-1] == "batch_done"
    reason = "ValueError: boom" if framework == "lightning" else "keras training did not reach its end"
    assert data_of(sent, "job_failed")["reason"] == reason


@pytest.mark.parametrize("n_jobs", [1, 2], ids=["one thread", "two threads"])
def test_a_study_is_a_batch_and_its_trials_are_jobs(sent, data_of, n_jobs):
    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def objective(trial):
        trial.suggest_float("lr", 0.01, 0.1)
        name = f"trial-{trial.number}"
        cb = ArgusCallback(batch=reporter, job_id=name, config=trial.params, seed=trial.number)
        model = scripted()
        if trial.number == 1:
            model = breaking(model, "on_validation_end", optuna.TrialPruned("bad"), trains)
        if trial.number == 2:
            model = breaking(model, "test_step", ValueError("boom"))
        return fit_and_test(cb, model)

    def trains(module):
        return not module.trainer.sanity_checking

    study = optuna.create_study()
    with Reporter("study", n_total=4) as reporter:
        study.optimize(objective, n_trials=4, n_jobs=n_jobs, catch=(ValueError,))

    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "PRUNED", "FAIL", "COMPLETE"]
    ends = {
        0: job(1),
        1: [job(1)[0], ("job_failed", 1, "TrialPruned: bad")],
        2: [*job(1, "trained"), ("job_failed", 1, "ValueError: boom")],
        3: job(1),
    }
    for number, trial in enumerate(study.trials):
        mine = [event for event in sent.events if event.job_id == f"trial-{number}"]
        assert stream(Only(mine)) == ends[number]
        assert mine[0].data["config"] == trial.params
        assert mine[0].data["seed"] == number
    assert [event.event_type for event in sent.events if event.job_id is None] == [
        "batch_start",
        "batch_done",
    ]
    assert (sent.types[0], sent.types[-1]) == ("batch_start", "batch_done")
    assert (data_of(sent, "batch_done")["n_done"], data_of(sent, "batch_done")["n_failed"]) == (2, 2)


class Only:
    """Some of the events."""

    def __init__(self, events):
        self.events = events


# --- folds --------------------------------------------------------------------------------------------


FRAMEWORKS = {
    "lightning": (ArgusCallback, fit_and_test, scripted),
    "keras": (KerasCallback, keras_fit_and_test, keras_model),
    "transformers": (TransformersCallback, transformers_fit_and_test, tiny_trainer.Regressor),
}


@pytest.mark.parametrize("batch", ["shared", "own"])
@pytest.mark.parametrize("model", ["a model for each fold", "one model for all"])
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_every_fold_of_a_callback_that_is_used_again_is_a_job(
    sent, framework, model, batch, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    callback, train, make = FRAMEWORKS[framework]
    reporter = Reporter("folds")
    cb = callback(batch=reporter if batch == "shared" else None, dataset="d", job_id="fold")
    same = make() if model == "one model for all" else None

    for _ in range(3):
        train(cb, same or make())
    cb.close()
    reporter.close()

    words = [word for word, *_ in stream(sent) if not word.startswith("job_epoch")]
    fold = ["job_start", "job_done"]
    last = [*fold, *fold, "batch_done"] if batch == "shared" else ["batch_done", *fold, *fold]
    assert words == ["batch_start", *fold, *last]
    ids = [event.job_id for event in sent.of_type("job_done")]
    assert ids == ["fold", "fold-2", "fold-3"]
    for job_id in ids:
        epochs = [event.data["epoch"] for event in sent.of_type("job_epoch") if event.job_id == job_id]
        assert epochs == list(range(len(epochs)))
        assert epochs
    assert len({event.batch_id for event in sent.events}) == 1


# --- processes ----------------------------------------------------------------------------------------


def run(home, script, **environment):
    """Start a script whose events stay in the journals below `home`."""
    own = {"ARGUS_HOME": str(home), "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests")))}
    threads = {"OMP_NUM_THREADS": "1", "KERAS_BACKEND": "torch"}
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script)],
        env={**os.environ, **own, **threads, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def events_of(home):
    lines = [line for path in home.rglob("*.jsonl") for line in path.read_bytes().splitlines()]
    events = [decode_event(line) for line in lines if b'"event_type"' in line]
    return sorted(events, key=lambda event: event.event_id)


ARRAY_TASK = """
    import os
    from argus_integrations.lightning import ArgusCallback
    from integration.tiny_lightning import loader, scripted, trainer

    task = int(os.environ["SLURM_ARRAY_TASK_ID"])
    cb = ArgusCallback(project="p", seed=task, job_id=f"task-{task}")
    model, t = scripted(), trainer([cb])
    t.fit(model, loader(), loader())
    if task == 1:
        raise ValueError("boom")
    t.test(model, loader(), verbose=False)
"""


def slurm(task):
    """Return what a task of a job array finds in its environment under `srun`."""
    of_job = {"SLURM_JOB_ID": str(100 + task), "SLURM_JOB_NAME": "sweep", "SLURM_ARRAY_JOB_ID": "100"}
    of_task = {"SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0", "SLURM_NTASKS": "1"}
    return {**of_job, **of_task, "SLURM_NTASKS_PER_NODE": "1", "SLURM_ARRAY_TASK_ID": str(task)}


def test_the_tasks_of_a_job_array_join_one_batch_by_its_name(tmp_path):
    tasks = [run(tmp_path, ARRAY_TASK, ARGUS_BATCH_ID="array-100", **slurm(task)) for task in (0, 1, 2)]
    outputs = [task.communicate(timeout=200)[0] for task in tasks]

    assert [task.returncode for task in tasks] == [0, 1, 0], outputs
    events = events_of(tmp_path)
    assert {event.batch_id for event in events} == {"array-100"}
    trained = ["job_start", "job_epoch", "job_epoch"]
    for task in (0, 1, 2):
        mine = [event for event in events if event.job_id == f"task-{task}"]
        end = "job_failed" if task == 1 else "job_done"
        assert [event.event_type for event in mine] == [*trained, end], outputs
        assert mine[0].data["seed"] == task


RAISES_IN_FIT = """
    import keras, numpy as np
    from argus_core.reporter import Reporter
    from argus_integrations.keras import ArgusCallback

    class Boom(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise ValueError("boom")

    x = np.zeros((8, 2), "float32")
    with Reporter("sweep") as reporter:
        model = keras.Sequential([keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        model.fit(x, x[:, :1], epochs=2, verbose=0, callbacks=[ArgusCallback(batch=reporter), Boom()])
"""


def test_a_script_that_ends_inside_the_body_fails_its_job_once(tmp_path):
    process = run(tmp_path, RAISES_IN_FIT)
    output, _ = process.communicate(timeout=200)

    assert process.returncode == 1, output
    events = events_of(tmp_path)
    types = ["batch_start", "job_start", "job_epoch", "job_failed", "batch_failed"]
    assert [event.event_type for event in events] == types, output
    assert {event.data["reason"] for event in events[-2:]} == {"ValueError: boom"}


def test_a_process_that_is_not_rank_zero_announces_no_batch_but_reports_the_jobs_it_makes(sent, monkeypatch):
    monkeypatch.setenv("RANK", "1")

    with Reporter("no jobs"):
        pass
    with Reporter("its own") as reporter, reporter.job("j") as job:
        job.done({"MSE": 0.5})

    assert sent.types == ["batch_start", "job_start", "job_done", "batch_done"]
    assert {event.batch_id for event in sent.events} == {reporter.batch_id}
