"""`argus_integrations.transformers` under the real Trainer: whose event it is, and how a job ends."""

from __future__ import annotations

import copy
import logging
import pickle
import sys

import pytest
from integration.tiny_trainer import (
    ANNOUNCED,
    BATCHES,
    FIT,
    FIT_AND_TEST,
    SAMPLES,
    At,
    Line,
    Regressor,
    mse,
    raising,
    trainer,
)
from transformers import EarlyStoppingCallback, TrainerCallback
from transformers.integrations import integration_utils

from argus_core.reporter import Reporter
from argus_integrations.transformers import ArgusCallback, register

JOB = ["job_start", "job_epoch 0", "job_epoch 1"]


def job_ids(sent, event_type="job_start"):
    return [event.job_id for event in sent.of_type(event_type)]


# --- the validation set as the test set -------------------------------------------------------------


def hub_data(samples=SAMPLES):
    """Return a set of `datasets`, of which the Trainer makes a new object for each evaluation."""
    datasets = pytest.importorskip("datasets")
    columns = [Line()[index] for index in range(samples)]
    rows = [{name: value.tolist() for name, value in row.items()} | {"unused": 0} for row in columns]
    return datasets.Dataset.from_list(rows).with_format("torch")


@pytest.mark.parametrize("data", [Line, hub_data], ids=["torch", "datasets"])
def test_a_result_on_the_validation_set_is_sent_with_a_warning(sent, data_of, tmp_path, caplog, data):
    validation, test = data(), data(samples=8)
    cb = ArgusCallback()
    t = trainer(cb, tmp_path, train_dataset=data(), eval_dataset=validation, num_train_epochs=1)

    t.train()
    with caplog.at_level(logging.WARNING):
        t.evaluate()
        t.evaluate()
    warned = [record.getMessage() for record in caplog.records if "validation set" in record.getMessage()]
    on_validation = data_of(sent, "job_done")
    t.evaluate(test)
    cb.flush()

    assert len(warned) == 1
    assert "trainer.evaluate(test)" in warned[0]
    assert on_validation["final_on_validation"] is True
    assert "MSE" in on_validation["metrics"]
    assert "final_on_validation" not in data_of(sent, "job_done")


def test_a_test_set_that_training_has_not_evaluated_is_no_validation_set(sent, data_of, tmp_path, caplog):
    cb = ArgusCallback()
    t = trainer(cb, tmp_path, eval_strategy="no", num_train_epochs=1)

    t.train()
    with caplog.at_level(logging.WARNING):
        t.evaluate()

    assert "final_on_validation" not in data_of(sent, "job_done")
    assert "validation set" not in caplog.text


# --- one job, or another --------------------------------------------------------------------------


def test_training_on_continues_the_job_and_its_epochs(sent, story, data_of, tmp_path):
    cb = ArgusCallback()
    t = trainer(cb, tmp_path)

    t.train()
    t.train()
    t.evaluate()

    assert story(sent) == [*FIT, "job_epoch 2", "job_epoch 3", "job_done", "batch_done"]
    assert data_of(sent, "job_done")["train_epochs"] == 4
    assert data_of(sent, "job_done")["metrics"]["Total_Batches"] == 4 * BATCHES


def test_training_after_a_result_is_another_job_of_the_batch(sent, story, tmp_path):
    cb = ArgusCallback(job_id="first")
    t = trainer(cb, tmp_path)

    t.train()
    t.evaluate()
    t.train()
    t.evaluate()
    cb.flush()

    assert story(sent) == [*FIT_AND_TEST, *JOB, "job_done"]
    assert job_ids(sent) == job_ids(sent, "job_done") == ["first", "first-2"]
    assert {event.batch_id for event in sent.events} == {cb.batch_id}


def test_each_training_of_a_new_model_is_a_job(sent, story, data_of, tmp_path):
    cb = ArgusCallback()
    t = trainer(cb, tmp_path, model_init=Regressor, num_train_epochs=1)

    t.train()
    t.train()
    cb.close()

    assert story(sent) == ["batch_start", *["job_start", "job_epoch 0"] * 2, "batch_done"]
    assert len(set(job_ids(sent))) == 2
    assert data_of(sent, "batch_done")["untested"] == job_ids(sent)


def test_a_test_in_another_trainer_closes_the_job(sent, story, tmp_path):
    cb = ArgusCallback()
    trainer(cb, tmp_path).train()

    trainer(cb, tmp_path, Regressor()).predict(Line())  # as if loaded from a checkpoint

    assert story(sent) == FIT_AND_TEST
    assert set(job_ids(sent, "job_done")) == {cb.job_id}


def test_evaluations_of_several_models_without_training_are_several_jobs(sent, story, tmp_path):
    cb = ArgusCallback()

    for model in (Regressor(), Regressor()):
        trainer(cb, tmp_path, model).evaluate()
    cb.flush()

    assert story(sent) == [*ANNOUNCED, "job_done", "batch_done", "job_start", "job_done"]
    assert len(set(job_ids(sent, "job_done"))) == 2


def test_a_training_in_the_callback_of_another_tells_its_own_story(sent, story, tmp_path):
    inner = ArgusCallback(model="inner")
    outer = ArgusCallback(model="outer")

    def act():
        t = trainer(inner, tmp_path, num_train_epochs=1)
        t.train()
        t.evaluate()
        inner.flush()

    t = trainer(outer, tmp_path, callbacks=[At("on_epoch_end", act, 1)])
    t.train()
    t.evaluate()

    def told_by(cb):
        words = zip(story(sent), sent.events, strict=True)
        return [word for word, event in words if event.batch_id == cb.batch_id]

    assert told_by(inner) == [*ANNOUNCED, "job_epoch 0", "job_done", "batch_done"]
    assert told_by(outer) == FIT_AND_TEST


def test_an_evaluation_of_another_model_in_a_callback_is_a_test_of_that_model(sent, story, tmp_path):
    teacher = ArgusCallback(model="teacher")
    of_teacher = trainer(teacher, tmp_path)
    t = trainer(None, tmp_path, callbacks=[At("on_epoch_end", of_teacher.evaluate, 1)])

    t.train()

    assert story(sent) == [*ANNOUNCED, "job_done", "batch_done"]


def test_jobs_of_a_reporter_share_its_batch(sent, story, data_of, tmp_path):
    with Reporter("sweep", n_total=2) as reporter:
        for seed in (0, 1):
            t = trainer(ArgusCallback(batch=reporter, seed=seed), tmp_path, num_train_epochs=1)
            t.train()
            t.evaluate()

    job = ["job_start", "job_epoch 0", "job_done"]
    assert story(sent) == ["batch_start", *job, *job, "batch_done"]
    assert [event.data["metrics"]["seed"] for event in sent.of_type("job_done")] == [0, 1]
    assert data_of(sent, "batch_done").items() >= {"n_done": 2, "n_failed": 0}.items()


def test_a_training_that_runs_out_of_memory_begins_again_as_the_same_job(sent, story, data_of, tmp_path):
    cb = ArgusCallback()
    out_of_memory = raising("on_step_end", RuntimeError("CUDA out of memory."), 6)
    t = trainer(cb, tmp_path, callbacks=[out_of_memory], auto_find_batch_size=True)

    t.train()
    t.evaluate()

    again = [f"job_epoch {epoch}" for epoch in (1, 2)]
    assert story(sent) == [*ANNOUNCED, "job_epoch 0", *again, "job_done", "batch_done"]
    assert set(job_ids(sent, "job_epoch")) == {cb.job_id}


def test_a_callback_that_is_listed_twice_reports_once(sent, story, data_of, tmp_path):
    cb = ArgusCallback()
    t = trainer(cb, tmp_path, callbacks=[cb, cb], gradient_accumulation_steps=3)

    t.train()
    t.evaluate()
    t.predict(Line())
    cb.flush()

    assert story(sent) == [*FIT_AND_TEST, "job_done"]
    assert data_of(sent, "job_done")["metrics"]["Total_Batches"] == 2 * BATCHES


def test_a_class_and_a_callback_added_later_do_as_well(sent, story, tmp_path):
    by_class = trainer(ArgusCallback, tmp_path)
    by_class.train()
    by_class.evaluate()
    assert story(sent) == FIT_AND_TEST
    sent.clear()

    later = trainer(None, tmp_path)
    later.add_callback(ArgusCallback())
    later.train()
    later.evaluate()

    assert story(sent) == FIT_AND_TEST


def test_only_global_rank_zero_reports(sent, tmp_path):
    cb = ArgusCallback()
    t = trainer(cb, tmp_path)
    t.is_world_process_zero = lambda: False
    t.train()
    t.evaluate()
    cb.close()

    assert sent.events == []


@pytest.mark.parametrize("is_trained", [True, False])
def test_a_rank_other_than_zero_adds_nothing_to_a_batch_that_is_shared(sent, story, tmp_path, is_trained):
    with Reporter("sweep") as reporter:
        t = trainer(ArgusCallback(batch=reporter), tmp_path)
        t.is_world_process_zero = lambda: False
        t.state.is_world_process_zero = False
        if is_trained:
            t.train()
        t.evaluate()

    assert story(sent) == ["batch_start", "batch_done"]


def test_a_disabled_callback_sends_nothing(sent, tmp_path, monkeypatch):
    monkeypatch.setenv("ARGUS_DISABLE", "1")
    for cb in (ArgusCallback(), ArgusCallback(enabled=False)):
        t = trainer(cb, tmp_path)
        with cb:
            t.train()
        t.evaluate()
        cb.close()

    assert sent.events == []


# --- searches -------------------------------------------------------------------------------------


def search(t, n_trials=2, **study):
    """Search with the real optuna, as `Trainer.hyperparameter_search` does."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return t.hyperparameter_search(
        hp_space=lambda trial: {"learning_rate": trial.suggest_float("learning_rate", 0.01, 0.1)},
        compute_objective=lambda metrics: metrics["eval_loss"],
        direction="minimize",
        backend="optuna",
        n_trials=n_trials,
        sampler=optuna.samplers.RandomSampler(0),
        **study,
    )


def test_each_trial_of_a_search_is_a_job_of_one_batch(sent, story, data_of, tmp_path):
    cb = ArgusCallback()
    t = trainer(cb, tmp_path, model_init=Regressor)

    search(t)
    cb.close()

    assert story(sent) == ["batch_start", *JOB, *JOB, "batch_done"]
    starts = sent.of_type("job_start")
    assert len({event.job_id for event in starts}) == 2
    rates = [event.data["trial_params"]["learning_rate"] for event in starts]
    assert rates[0] != rates[1]
    assert data_of(sent, "batch_done")["untested"] == job_ids(sent)


def test_trials_that_are_tested_do_not_end_the_batch(sent, story, data_of, tmp_path):
    """Without an evaluation in training the search evaluates each trial for its objective."""
    cb = ArgusCallback()
    t = trainer(cb, tmp_path, model_init=Regressor, eval_strategy="no")

    search(t)
    cb.close()

    assert story(sent) == ["batch_start", *[*JOB, "job_done"] * 2, "batch_done"]
    assert job_ids(sent) == job_ids(sent, "job_done")
    assert data_of(sent, "batch_done").items() >= {"n_done": 2, "n_failed": 0}.items()


def test_the_training_with_the_best_values_after_a_search_ends_the_batch(sent, story, tmp_path):
    cb = ArgusCallback()
    t = trainer(cb, tmp_path, model_init=Regressor, eval_strategy="no")

    best = search(t)
    for name, value in best.hyperparameters.items():
        setattr(t.args, name, value)
    t.train()
    t.evaluate()

    assert story(sent) == ["batch_start", *[*JOB, "job_done"] * 3, "batch_done"]
    assert len(set(job_ids(sent))) == 3
    assert "trial_params" not in sent.of_type("job_start")[-1].data


def test_a_pruned_trial_is_no_failure(sent, story, data_of, tmp_path):
    import optuna

    class PruneTheSecond(optuna.pruners.BasePruner):
        def prune(self, study, trial):
            return trial.number == 1

    cb = ArgusCallback()
    t = trainer(cb, tmp_path, model_init=Regressor)

    search(t, 3, pruner=PruneTheSecond())
    cb.close()

    assert story(sent) == ["batch_start", *JOB, *JOB[:2], *JOB, "batch_done"]
    assert all(epoch.data["val_loss"] > 0 for epoch in sent.of_type("job_epoch"))


def test_a_trial_that_an_exception_ends_fails_alone(sent, story, data_of, tmp_path):
    import optuna

    cb = ArgusCallback()
    t = trainer(
        cb, tmp_path, model_init=Regressor, callbacks=[raising("on_epoch_end", optuna.TrialPruned(), 1)]
    )

    search(t)
    cb.close()

    assert story(sent) == ["batch_start", *JOB[:2], "job_failed", *JOB, "batch_done"]
    assert job_ids(sent, "job_failed") == job_ids(sent)[:1]
    assert data_of(sent, "batch_done")["n_failed"] == 1


# --- resuming -------------------------------------------------------------------------------------


def test_a_resumed_run_counts_on(sent, story, data_of, tmp_path):
    trainer(None, tmp_path, save_strategy="epoch", num_train_epochs=2).train()
    cb = ArgusCallback()
    t = trainer(cb, tmp_path, num_train_epochs=3)

    t.train(resume_from_checkpoint=True)
    t.evaluate()

    assert story(sent) == [*ANNOUNCED, "job_epoch 2", "job_done", "batch_done"]
    assert data_of(sent, "job_start")["epochs_total"] == 3
    metrics = data_of(sent, "job_done")["metrics"]
    assert metrics["Total_Batches"] == BATCHES
    assert metrics["Samples_Per_Second"] * metrics["Avg_Epoch_Time"] == pytest.approx(SAMPLES)


def test_a_run_resumed_in_the_middle_of_an_epoch_reports_that_epoch(sent, story, data_of, tmp_path):
    t = trainer(None, tmp_path, save_strategy="steps", save_steps=6, max_steps=6)
    t.train()
    cb = ArgusCallback()

    t = trainer(cb, tmp_path, num_train_epochs=3)
    t.train(resume_from_checkpoint=True)
    t.evaluate()

    assert story(sent) == [*ANNOUNCED, "job_epoch 1", "job_epoch 2", "job_done", "batch_done"]
    metrics = data_of(sent, "job_done")["metrics"]
    assert metrics["Total_Batches"] == BATCHES // 2 + BATCHES


def test_a_finished_run_that_is_resumed_has_no_epoch_and_can_be_tested(sent, story, data_of, tmp_path):
    trainer(None, tmp_path, save_strategy="epoch").train()
    t = trainer(ArgusCallback(), tmp_path)

    t.train(resume_from_checkpoint=True)
    t.evaluate()

    assert story(sent) == [*ANNOUNCED, "job_done", "batch_done"]
    assert data_of(sent, "job_done").get("train_epochs") is None


def test_a_failed_run_that_is_resumed_is_another_job_with_absolute_epochs(sent, story, tmp_path):
    cb = ArgusCallback()
    boom = raising("on_step_end", ValueError("boom"), 7)
    t = trainer(cb, tmp_path, callbacks=[boom], save_strategy="epoch")
    with pytest.raises(ValueError, match="boom"), cb:
        t.train()

    t.train(resume_from_checkpoint=True)
    t.evaluate()
    cb.flush()

    failed = [*ANNOUNCED, "job_epoch 0", "job_failed", "batch_failed"]
    assert story(sent) == [*failed, "job_start", "job_epoch 1", "job_done"]
    assert len(set(job_ids(sent))) == 2


def test_an_early_stopping_that_is_restored_from_a_checkpoint_leaves_the_callback_in_its_place(
    sent, story, tmp_path
):
    options = {
        "save_strategy": "epoch",
        "load_best_model_at_end": True,
        "restore_callback_states_from_checkpoint": True,
    }
    trainer(None, tmp_path, callbacks=[EarlyStoppingCallback()], **options).train()
    cb = ArgusCallback()
    t = trainer(cb, tmp_path, callbacks=[EarlyStoppingCallback()], num_train_epochs=3, **options)

    t.train(resume_from_checkpoint=True)
    t.evaluate()

    assert story(sent) == [*ANNOUNCED, "job_epoch 2", "job_done", "batch_done"]
    assert cb in t.callback_handler.callbacks


# --- failure --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (ValueError("boom"), "failed", "ValueError: boom"),
        (KeyboardInterrupt(), "interrupted", "KeyboardInterrupt"),
        (SystemExit(3), "interrupted", "SystemExit: 3"),
    ],
)
def test_inside_with_an_exception_fails_the_job(sent, story, data_of, tmp_path, error, status, reason):
    cb = ArgusCallback()
    t = trainer(cb, tmp_path, callbacks=[raising("on_step_begin", error, 6)])

    with pytest.raises(type(error)), cb:
        t.train()

    assert story(sent) == [*ANNOUNCED, "job_epoch 0", "job_failed", "batch_failed"]
    failed = data_of(sent, "job_failed")
    assert (failed["status"], failed["reason"]) == (status, reason)
    assert failed["error"] == {"type": type(error).__name__, "message": str(error)}


def test_inside_with_a_good_training_stays_open_for_its_test(sent, story, tmp_path):
    cb = ArgusCallback()
    t = trainer(cb, tmp_path)

    with cb:
        t.train()
    assert story(sent) == FIT
    with cb:
        t.evaluate()

    assert story(sent) == FIT_AND_TEST


def test_a_failure_before_the_training_begins_is_no_job(sent, tmp_path):
    cb = ArgusCallback()
    t = trainer(cb, tmp_path, train_dataset=[])

    with pytest.raises(ValueError, match="num_samples"), cb:
        t.train()

    assert sent.events == []


def test_a_test_stage_that_fails_fails_the_job(sent, story, tmp_path):
    cb = ArgusCallback()
    t = trainer(cb, tmp_path, eval_strategy="no", compute_metrics=lambda prediction: 1 / 0)

    t.train()
    with pytest.raises(ZeroDivisionError), cb:
        t.evaluate()

    assert story(sent) == [*FIT, "job_failed", "batch_failed"]


def test_a_further_test_stage_that_fails_takes_nothing_from_the_result(sent, story, tmp_path):
    cb = ArgusCallback()
    t = trainer(cb, tmp_path)

    t.train()
    t.evaluate()
    t.compute_metrics = lambda prediction: 1 / 0
    with pytest.raises(ZeroDivisionError), cb:
        t.predict(Line())

    assert story(sent) == FIT_AND_TEST


@pytest.mark.parametrize("with_cb", [True, False])
def test_an_evaluation_after_a_failure_is_a_test_and_makes_the_job_done(
    sent, story, data_of, tmp_path, with_cb
):
    cb = ArgusCallback()
    t = trainer(cb, tmp_path, callbacks=[raising("on_step_begin", ValueError("boom"), 6)])

    try:
        if with_cb:
            with cb:
                t.train()
        else:
            t.train()
    except ValueError:
        measured = t.evaluate()
    cb.flush()

    failed = [*ANNOUNCED, "job_epoch 0", "job_failed", "batch_failed"]
    assert story(sent) == [*failed, "job_done"]
    assert len({event.job_id for event in sent.events if event.job_id}) == 1
    done = data_of(sent, "job_done")
    assert done["metrics"]["MSE"] == measured["eval_mse"]
    assert done["metrics_raw"].keys() == {"eval_mse", "eval_loss"}


def test_without_with_the_next_training_reports_the_failure_of_the_last(sent, story, data_of, tmp_path):
    cb = ArgusCallback()
    t = trainer(cb, tmp_path, callbacks=[raising("on_step_begin", ValueError("boom"), 6)])

    with pytest.raises(ValueError, match="boom"):
        t.train()
    t.train()
    t.evaluate()
    cb.flush()

    failed = [*ANNOUNCED, "job_epoch 0", "job_failed", "batch_failed"]
    assert story(sent) == [*failed, *JOB, "job_done"]
    assert data_of(sent, "job_failed")["status"] == "failed"
    assert len(set(job_ids(sent))) == 2
    assert job_ids(sent, "job_failed") == job_ids(sent)[:1]


def test_an_evaluation_that_a_callback_runs_after_a_failure_elsewhere_is_a_validation(sent, story, tmp_path):
    """Not the flag of an earlier training says so, but the training that runs."""
    cb = ArgusCallback()
    failing = trainer(cb, tmp_path, callbacks=[raising("on_step_begin", ValueError("boom"), 6)])
    with pytest.raises(ValueError, match="boom"), cb:
        failing.train()
    sent.clear()

    t = trainer(cb, tmp_path)
    t.train()
    cb.flush()

    assert story(sent) == JOB


@pytest.mark.parametrize("hook", ["on_train_begin", "on_epoch_end", "on_evaluate", "on_log", "on_train_end"])
@pytest.mark.parametrize("ours_is", ["first", "last"])
def test_another_callback_that_raises_fails_the_job_whatever_the_order(sent, story, tmp_path, hook, ours_is):
    cb = ArgusCallback()
    user = raising(hook, ValueError("boom"), 1)
    t = trainer(cb if ours_is == "first" else user, tmp_path, callbacks=[user if ours_is == "first" else cb])

    with pytest.raises(ValueError, match="boom"), cb:
        t.train()

    begun = [*ANNOUNCED, *(["job_epoch 0"] if hook not in ("on_train_begin", "on_epoch_end") else [])]
    if hook == "on_epoch_end" and ours_is == "first":
        begun.append("job_epoch 0")
    if hook == "on_train_end":
        begun.append("job_epoch 1")
    expected = [*begun, "job_failed", "batch_failed"]
    assert story(sent) == ([] if hook == "on_train_begin" and ours_is == "last" else expected)


def test_a_callback_that_raises_at_the_test_comes_too_late_to_take_the_result(sent, story, tmp_path):
    cb = ArgusCallback()
    t = trainer(cb, tmp_path, eval_strategy="no", callbacks=[raising("on_evaluate", ValueError("boom"))])

    t.train()
    with pytest.raises(ValueError, match="boom"), cb:
        t.evaluate()

    assert story(sent) == FIT_AND_TEST


def test_a_job_that_is_never_tested_is_said_once_with_the_way_out(sent, story, data_of, tmp_path, caplog):
    cb = ArgusCallback()
    trainer(cb, tmp_path).train()

    with caplog.at_level(logging.WARNING, logger="argus_core"):
        cb.close()
        cb.close()

    assert story(sent) == [*FIT, "batch_done"]
    assert data_of(sent, "batch_done")["status"] == "incomplete"
    assert [record for record in caplog.messages if "trainer.evaluate" in record] == caplog.messages
    assert len(caplog.messages) == 1


# --- names, copies, registration --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/home/somebody/models/bert-tiny", "bert-tiny"),
        ("google/bert-tiny", "bert-tiny"),
        ("C:\\Users\\somebody\\bert-tiny", "bert-tiny"),
        ("./out/", "out"),
        ("", "Regressor"),
        (None, "Regressor"),
    ],
)
def test_a_model_is_called_by_the_last_part_of_its_checkpoint(sent, data_of, tmp_path, path, name):
    from transformers import PretrainedConfig

    model = Regressor()
    model.config = PretrainedConfig(name_or_path=path) if path is not None else PretrainedConfig()

    trainer(ArgusCallback(), tmp_path, model).evaluate()

    assert data_of(sent, "job_start")["model"] == name
    assert "somebody" not in repr(sent.events)


def test_what_the_user_says_wins(sent, data_of, tmp_path, monkeypatch):
    monkeypatch.setenv("ARGUS_BATCH_ID", "the-batch")
    monkeypatch.setenv("ARGUS_PROJECT", "the-project")
    cb = ArgusCallback(
        model="m", dataset="d", seed=0, job_id="j", tags=["a"], config={"depth": 2}, footprint=False
    )
    t = trainer(cb, tmp_path)

    t.train()
    t.evaluate()

    assert data_of(sent, "job_start") == {
        "model": "m",
        "dataset": "d",
        "seed": 0,
        "tags": ["a"],
        "config": {"depth": 2},
        "epochs_total": 2,
        "framework": "transformers",
    }
    assert {event.batch_id for event in sent.events} == {"the-batch"}
    assert {event.source.project for event in sent.events} == {"the-project"}
    assert set(job_ids(sent)) == {"j"}
    assert data_of(sent, "job_done")["metrics"].keys() == {"MSE", "loss"}


def test_copies(sent, story, tmp_path):
    cb = ArgusCallback(token="em_live_secret")
    trainer(cb, tmp_path).train()

    pickled = pickle.loads(pickle.dumps(cb))
    twin = copy.deepcopy(cb)

    assert (pickled.job_id, pickled.batch_id) == (cb.job_id, cb.batch_id)
    assert (twin.job_id != cb.job_id, twin.batch_id) == (True, cb.batch_id)
    assert b"em_live_secret" not in pickle.dumps(cb)
    assert "em_live_secret" not in repr(cb)
    t = trainer(twin, tmp_path)
    t.train()
    t.evaluate()
    assert story(sent) == [*FIT, *FIT_AND_TEST[1:]]
    assert job_ids(sent) == [cb.job_id, twin.job_id]
    assert "em_live_secret" not in repr(sent.events)


def test_nothing_of_the_callback_is_in_a_checkpoint(sent, tmp_path):
    t = trainer(ArgusCallback(token="em_live_secret"), tmp_path, save_strategy="epoch")

    t.train()

    saved = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(saved) > 4
    assert not any(b"em_live_secret" in data or b"ArgusCallback" in data for data in saved)


def test_a_users_subclass_may_add_to_it(sent, story, tmp_path):
    class Mine(ArgusCallback):
        def __init__(self, **options):
            super().__init__(**options)
            self.logs = 0

        def on_log(self, args, state, control, **kwargs):
            super().on_log(args, state, control, **kwargs)
            self.logs += 1

    cb = Mine()
    t = trainer(cb, tmp_path)
    t.train()
    t.evaluate()

    assert story(sent) == FIT_AND_TEST
    assert cb.logs == 2 * 2 + 1 + 1


@pytest.fixture
def registered(monkeypatch):
    table = dict(integration_utils.INTEGRATION_TO_CALLBACK)
    monkeypatch.setattr(integration_utils, "INTEGRATION_TO_CALLBACK", table)
    register()


@pytest.mark.parametrize("report_to", [["argus"], "argus"])
def test_it_can_be_registered_for_report_to(sent, story, registered, tmp_path, monkeypatch, report_to):
    monkeypatch.setenv("ARGUS_PROJECT", "from-the-environment")

    t = trainer(None, tmp_path, report_to=report_to)
    t.train()
    t.evaluate()

    assert story(sent) == FIT_AND_TEST
    assert {event.source.project for event in sent.events} == {"from-the-environment"}


def test_without_registration_the_trainer_knows_no_argus(tmp_path):
    with pytest.raises(ValueError, match="argus"):
        trainer(None, tmp_path, report_to=["argus"])


def test_the_module_touches_nothing_on_import():
    assert "argus" not in integration_utils.INTEGRATION_TO_CALLBACK
    assert sys.excepthook is sys.__excepthook__


def test_it_is_a_callback_without_a_state_of_its_own():
    from transformers.trainer_callback import ExportableState

    assert issubclass(ArgusCallback, TrainerCallback)
    assert not issubclass(ArgusCallback, ExportableState)


def test_the_model_is_not_kept_alive(sent, tmp_path):
    import gc
    import weakref

    cb = ArgusCallback()
    t = trainer(cb, tmp_path, compute_metrics=mse)
    t.train()
    t.evaluate()
    model = weakref.ref(t.model)

    del t
    gc.collect()

    assert model() is None
    cb.close()
