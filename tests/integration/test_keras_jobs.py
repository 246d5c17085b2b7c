"""Which job an event of Keras belongs to: models, fits, tests and copies in every order."""

from __future__ import annotations

import copy
import logging
import os
import pickle
import sys

import keras
import numpy as np
import pytest
from integration.tiny_keras import (
    ANNOUNCED,
    FIT_AND_TEST,
    QUIET,
    Raises,
    X,
    Y,
    by_job,
    curve,
    curve_of,
    evaluate,
    fit,
    quality,
    regressor,
)
from sklearn.model_selection import cross_val_score

from argus_core.reporter import Reporter
from argus_integrations.keras import ArgusCallback

FIT = ["job_start", "job_epoch 0", "job_epoch 1"]


# --- several fits and tests of one model ----------------------------------------------------------


def test_a_fit_after_an_evaluation_is_a_new_job(sent, story):
    cb = ArgusCallback()
    model = regressor()

    evaluate(model, cb)
    fit(model, cb)
    evaluate(model, cb)
    cb.flush()

    assert story(sent) == [*ANNOUNCED, "job_done", "batch_done", *FIT, "job_done"]
    assert by_job(sent) == [["job_start", "job_done"], [*FIT, "job_done"]]


def test_three_fits_before_the_test_are_one_job(sent, story):
    cb = ArgusCallback()
    model = regressor()

    histories = [copy.deepcopy(fit(model, cb, epochs=1).history) for _ in range(3)]
    evaluate(model, cb)

    assert story(sent) == [*ANNOUNCED, *(f"job_epoch {n}" for n in range(3)), "job_done", "batch_done"]
    assert [epoch["train_loss"] for epoch in curve(sent)] == [h["loss"][0] for h in histories]
    assert sent.of_type("job_done")[0].data["train_epochs"] == 3


def test_a_fit_that_goes_on_with_initial_epoch_counts_on_without_a_gap(sent):
    cb = ArgusCallback()
    model = regressor()

    fit(model, cb)
    fit(model, cb, epochs=4, initial_epoch=2)
    cb.flush()

    assert [epoch["epoch"] for epoch in curve(sent)] == [0, 1, 2, 3]
    assert len(sent.of_type("job_start")) == 1


def test_a_second_test_keeps_the_metrics_that_only_the_first_had(sent):
    cb = ArgusCallback()
    model = regressor(metrics=["mae"])

    fit(model, cb)
    evaluate(model, cb)
    first = quality(sent.of_type("job_done")[0])
    model.compile("sgd", "mse", metrics=["mse"])
    result = evaluate(model, cb, samples=8, return_dict=True)
    cb.flush()

    merged = quality(sent.of_type("job_done")[1])
    assert merged == pytest.approx({"loss": result["loss"], "MSE": result["mse"], "MAE": first["MAE"]})


# --- several models -------------------------------------------------------------------------------


def test_models_trained_and_tested_in_turn_are_jobs_of_one_batch(sent):
    cb = ArgusCallback()

    for _ in range(2):
        model = regressor()
        fit(model, cb)
        evaluate(model, cb)
    cb.flush()

    assert by_job(sent) == [[*FIT, "job_done"]] * 2
    assert len({event.batch_id for event in sent.events}) == 1


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["in order", "last first"])
def test_models_that_are_tested_when_all_are_trained_get_their_own_results(sent, order):
    cb = ArgusCallback()
    models = [regressor("first"), regressor("second")]

    for model in models:
        fit(model, cb)
    results = {models[i].name: evaluate(models[i], cb, return_dict=True)["mae"] for i in order}
    cb.flush()

    assert by_job(sent) == [[*FIT, "job_done"]] * 2
    names = {event.job_id: event.data["model"] for event in sent.of_type("job_start")}
    shown = {names[event.job_id]: event.data["metrics"]["MAE"] for event in sent.of_type("job_done")}
    assert shown == results


def test_a_round_of_tests_at_the_end_revises_each_models_own_row(sent):
    cb = ArgusCallback()
    models = [regressor(), regressor()]

    for model in models:
        fit(model, cb, epochs=1)
        evaluate(model, cb)
    results = [evaluate(model, cb, samples=8, return_dict=True)["mae"] for model in models]
    cb.flush()

    assert by_job(sent) == [["job_start", "job_epoch 0", "job_done", "job_done"]] * 2
    jobs = list(dict.fromkeys(event.job_id for event in sent.of_type("job_start")))
    revised = sent.of_type("job_done")[2:]
    assert [(event.job_id, event.data["metrics"]["MAE"]) for event in revised] == [
        *zip(jobs, results, strict=True)
    ]
    assert [event.data["metrics"]["Total_Batches"] for event in revised] == [5, 5]


def test_models_trained_in_turns_stay_one_job_each(sent):
    cb = ArgusCallback()
    models = [regressor(), regressor()]

    for _ in range(2):
        for model in models:
            fit(model, cb, epochs=1)
    for model in models:
        evaluate(model, cb)
    cb.flush()

    assert by_job(sent) == [[*FIT, "job_done"]] * 2


def test_the_result_of_a_loaded_checkpoint_belongs_to_the_training(sent, story, tmp_path):
    cb = ArgusCallback()
    model = regressor()
    checkpoint = tmp_path / "best.keras"

    model.fit(
        X,
        Y,
        epochs=2,
        validation_data=(X, Y),
        callbacks=[cb, keras.callbacks.ModelCheckpoint(checkpoint, save_best_only=True)],
        **QUIET,
    )
    evaluate(keras.saving.load_model(checkpoint), cb)

    assert story(sent) == FIT_AND_TEST


def test_the_result_of_a_loaded_checkpoint_revises_that_of_the_training(sent, story, tmp_path):
    cb = ArgusCallback()
    model = regressor()

    fit(model, cb)
    model.save(tmp_path / "last.keras")
    evaluate(model, cb)
    evaluate(keras.saving.load_model(tmp_path / "last.keras"), cb)
    cb.flush()

    assert story(sent) == [*FIT_AND_TEST, "job_done"]
    assert {event.job_id for event in sent.of_type("job_done")} == {cb.job_id}


def test_a_callback_keeps_no_tested_model_alive_but_the_last(sent):
    import gc
    import weakref

    cb = ArgusCallback()
    living = []
    for _ in range(3):
        model = regressor()
        fit(model, cb, epochs=1)
        evaluate(model, cb)
        living.append(weakref.ref(model))
    del model
    gc.collect()

    assert [reference() is not None for reference in living] == [False, False, True]


# --- trainings that end by an error ---------------------------------------------------------------


@pytest.mark.parametrize("epoch", [0, 1])
def test_a_fit_that_is_tried_again_is_a_new_job_whenever_it_failed(sent, story, epoch):
    cb = ArgusCallback()
    model = regressor()

    with pytest.raises(MemoryError):
        model.fit(X, Y, epochs=2, callbacks=[cb, Raises(MemoryError(), epoch)], **QUIET)
    fit(model, cb)
    evaluate(model, cb)
    cb.flush()

    before = [f"job_epoch {n}" for n in range(epoch)]
    assert story(sent) == [*ANNOUNCED, *before, "job_failed", "batch_failed", *FIT, "job_done"]
    assert by_job(sent) == [["job_start", *before, "job_failed"], [*FIT, "job_done"]]


def test_an_error_from_before_a_training_is_not_what_ended_it(sent, data_of, monkeypatch):
    monkeypatch.setattr(sys, "last_value", NameError("a typing error of an hour ago"), raising=False)
    cb = ArgusCallback()
    model = regressor()

    with pytest.raises(ValueError, match="boom"):
        model.fit(X, Y, epochs=2, callbacks=[cb, Raises(ValueError("boom"))], **QUIET)
    fit(model, cb)
    cb.flush()

    assert data_of(sent, "job_failed")["reason"] == "keras training did not reach its end"


def test_a_failure_that_the_batch_has_reported_is_not_reported_again(sent, story):
    with pytest.raises(ValueError, match="boom"), Reporter("sweep") as reporter:  # noqa: PT012
        cb = ArgusCallback(batch=reporter)
        regressor().fit(X, Y, epochs=2, callbacks=[cb, Raises(ValueError("boom"))], **QUIET)
    cb.close()

    assert story(sent) == [*ANNOUNCED, "job_epoch 0", "job_failed", "batch_failed"]


def test_a_fit_that_keras_refuses_reports_nothing(sent, story):
    cb = ArgusCallback()

    with pytest.raises(Exception), cb:  # noqa: B017 - each backend has its own
        regressor().fit(X, Y[:3], callbacks=[cb], **QUIET)

    assert story(sent) == []


def test_a_training_whose_cost_cannot_be_measured_has_not_failed(sent, story, monkeypatch, swallowed_errors):
    times = os.times

    def refused():
        raise OSError("no clock")

    class NoClock(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            monkeypatch.setattr(os, "times", refused)

    cb = ArgusCallback()
    model = regressor()

    model.fit(X, Y, epochs=2, callbacks=[cb, NoClock()], **QUIET)
    monkeypatch.setattr(os, "times", times)
    evaluate(model, cb)
    cb.flush()

    assert story(sent) == FIT_AND_TEST
    assert "no clock" in str(swallowed_errors)
    swallowed_errors.clear()


def test_nan_that_raises_fails_the_job(sent, story, data_of):
    cb = ArgusCallback()
    stop = keras.callbacks.TerminateOnNaN(raise_error=True)

    with pytest.raises(RuntimeError), cb:
        regressor().fit(X, np.full_like(Y, np.nan), epochs=2, callbacks=[cb, stop], **QUIET)

    assert story(sent) == [*ANNOUNCED, "job_failed", "batch_failed"]
    assert data_of(sent, "job_failed")["error"]["type"] == "RuntimeError"


def test_a_training_that_is_closed_while_it_goes_on_has_no_more_epochs(sent, story):
    class Closes(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                cb.close()

    cb = ArgusCallback()

    regressor().fit(X, Y, epochs=3, callbacks=[cb, Closes()], **QUIET)
    cb.flush()

    assert story(sent) == [*ANNOUNCED, "job_epoch 0", "job_failed", "batch_failed"]


def test_a_test_that_raises_fails_a_job_without_a_result_and_the_next_test_makes_it_done(sent, story):
    class RaisesInTest(keras.callbacks.Callback):
        def on_test_begin(self, logs=None):
            raise ValueError("boom")

    cb = ArgusCallback()
    model = regressor()

    fit(model, cb)
    with pytest.raises(ValueError, match="boom"), cb:
        model.evaluate(X, Y, callbacks=[cb, RaisesInTest()], **QUIET)
    evaluate(model, cb)
    cb.flush()

    assert story(sent) == [*FIT_AND_TEST[:-2], "job_failed", "batch_failed", "job_done"]


def test_a_later_error_takes_nothing_from_a_result(sent, story):
    cb = ArgusCallback()
    model = regressor()

    with pytest.raises(ValueError, match="later"), cb:  # noqa: PT012 - a script that goes on
        fit(model, cb)
        evaluate(model, cb)
        raise ValueError("later")

    assert story(sent) == FIT_AND_TEST


def test_a_test_after_the_batch_was_closed_finishes_the_job(sent, story, caplog):
    cb = ArgusCallback()
    model = regressor()

    fit(model, cb)
    with caplog.at_level(logging.WARNING):
        cb.close()
        cb.close()
    evaluate(model, cb)
    cb.flush()

    assert story(sent) == [*FIT_AND_TEST[:-2], "batch_done", "job_done"]
    assert caplog.text.count("1 of 1 job ended without test metrics") == 1


def test_an_untested_job_that_began_after_the_end_of_the_batch_is_warned_about(sent, story, caplog):
    cb = ArgusCallback()
    model = regressor()

    fit(model, cb)
    evaluate(model, cb)
    fit(regressor(), cb)
    with caplog.at_level(logging.WARNING):
        cb.close()

    assert story(sent) == [*FIT_AND_TEST, *FIT]
    assert caplog.text.count(f"job {cb.job_id} was trained but never tested") == 1


# --- copies ---------------------------------------------------------------------------------------


def test_deep_copies_are_jobs_of_one_batch_that_is_announced_and_closed_once(sent, story, data_of, caplog):
    cb = ArgusCallback(dataset="line")

    copies = [copy.deepcopy([cb])[0] for _ in range(2)]
    for twin in copies:
        fit(regressor(), twin)
    with caplog.at_level(logging.WARNING):
        cb.close()
        for twin in copies:
            twin.close()

    assert story(sent) == ["batch_start", *FIT, *FIT, "batch_done"]
    assert data_of(sent, "batch_done")["untested"] == [twin.job_id for twin in copies]
    assert len({event.job_id for event in sent.of_type("job_start")}) == 2
    assert cb.job_id not in [twin.job_id for twin in copies]
    assert caplog.text.count("needs `callbacks=[cb]`") == 1


def test_a_deep_copy_of_a_deep_copy_after_its_training_is_one_more_job(sent):
    cb = ArgusCallback(job_id="mine")
    first = copy.deepcopy(cb)
    model = regressor()
    fit(model, first)

    second = copy.deepcopy(first)
    fit(model, second)
    evaluate(model, second)
    second.flush()

    assert by_job(sent) == [FIT, [*FIT, "job_done"]]
    assert len({cb.job_id, first.job_id, second.job_id}) == 3


def test_a_pickle_carries_the_options_and_reports_the_same_job(sent, story):
    cb = ArgusCallback(dataset="line", seed=3, metric_names={"mae": "error"})
    twin = pickle.loads(pickle.dumps(cb))
    model = regressor()

    fit(model, twin)
    evaluate(model, twin)
    twin.close()

    assert story(sent) == FIT_AND_TEST
    start = sent.of_type("job_start")[0]
    assert (start.job_id, start.batch_id) == (cb.job_id, cb.batch_id)
    assert (start.data["dataset"], start.data["seed"]) == ("line", 3)
    assert "error" in sent.of_type("job_done")[0].data["metrics"]


def test_a_pickle_after_fit_holds_no_model(sent):
    cb = ArgusCallback()
    fit(regressor(), cb)

    twin = pickle.loads(pickle.dumps(cb))

    assert twin._model is None
    assert len(pickle.dumps(cb)) < 2000


def test_each_fold_of_a_scikit_learn_wrapper_is_a_job(sent, story, data_of):
    cb = ArgusCallback()
    estimator = keras.wrappers.SKLearnRegressor(regressor())

    cross_val_score(estimator, X, Y.ravel(), cv=2, params={"epochs": 2, "callbacks": [cb], **QUIET})
    cb.close()

    assert story(sent) == ["batch_start", *FIT, *FIT, "batch_done"]
    assert data_of(sent, "batch_done")["status"] == "incomplete"


def test_a_scikit_learn_wrapper_of_a_classifier_takes_the_callback_in_fit_kwargs(sent):
    def build(X, y):
        model = keras.Sequential([keras.layers.Dense(y.shape[1], activation="softmax")])
        model.compile("sgd", "categorical_crossentropy", metrics=["accuracy"])
        return model

    cb = ArgusCallback()
    options = {"callbacks": [cb], "epochs": 2, **QUIET}
    estimator = keras.wrappers.SKLearnClassifier(build, fit_kwargs=options)

    estimator.fit(X, (Y.ravel() > 0).astype(int))
    estimator.model_.evaluate(X, np.eye(2)[(Y.ravel() > 0).astype(int)], callbacks=[cb], **QUIET)

    assert by_job(sent) == [[*FIT, "job_done"]]
    assert quality(sent.of_type("job_done")[0]).keys() == {"loss", "accuracy"}


# --- who reports ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "value", "reports"),
    [
        ("RANK", "1", False),
        ("RANK", "0", True),
        ("SLURM_PROCID", "3", False),
        (
            "TF_CONFIG",
            '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}',
            False,
        ),
        (
            "TF_CONFIG",
            '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 0}}',
            True,
        ),
        (
            "TF_CONFIG",
            '{"cluster": {"chief": ["a:1"], "worker": ["b:1"]}, "task": {"type": "worker", "index": 0}}',
            False,
        ),
        ("TF_CONFIG", "no json", True),
    ],
)
def test_only_rank_zero_of_a_launcher_reports(sent, story, monkeypatch, variable, value, reports):
    monkeypatch.setenv(variable, value)
    cb = ArgusCallback()
    model = regressor()

    fit(model, cb)
    evaluate(model, cb)
    cb.close()

    assert story(sent) == (FIT_AND_TEST if reports else [])


@pytest.mark.parametrize("is_trained", [True, False])
def test_a_rank_other_than_zero_adds_nothing_to_a_batch_that_is_shared(sent, story, monkeypatch, is_trained):
    task = '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}'
    monkeypatch.setenv("TF_CONFIG", task)
    model = regressor()

    with Reporter("sweep") as reporter:
        cb = ArgusCallback(batch=reporter)
        if is_trained:
            fit(model, cb)
        evaluate(model, cb)

    assert story(sent) == ["batch_start", "batch_done"]


@pytest.mark.parametrize("how", ["argument", "environment"])
def test_a_callback_that_is_switched_off_reports_nothing(sent, story, monkeypatch, how):
    if how == "environment":
        monkeypatch.setenv("ARGUS_DISABLE", "1")
    cb = ArgusCallback(enabled=False) if how == "argument" else ArgusCallback()
    model = regressor()

    fit(model, cb, validation_data=(X, Y))
    evaluate(model, cb)
    cb.close()

    assert story(sent) == []


def test_two_callbacks_in_one_fit_are_two_jobs(sent):
    first, second = ArgusCallback(), ArgusCallback()
    model = regressor()

    history = model.fit(X, Y, epochs=2, callbacks=[first, second], **QUIET)
    model.evaluate(X, Y, callbacks=[first, second], **QUIET)

    assert by_job(sent) == [[*FIT, "job_done"]] * 2
    for cb in (first, second):
        assert curve(sent, cb.job_id) == curve_of(history, lr=0.1)
