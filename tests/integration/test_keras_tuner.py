"""A real search of KerasTuner, which deep-copies every callback for every trial."""

from __future__ import annotations

import logging

import keras
import keras_tuner
import pytest
from integration.tiny_keras import X, Y, by_job, evaluate

from argus_integrations.keras import ArgusCallback

FIT = ["job_start", "job_epoch 0", "job_epoch 1"]


def build(hp):
    model = keras.Sequential([keras.layers.Dense(1)])
    rate = hp.Float("rate", 0.01, 0.1)
    model.compile(keras.optimizers.SGD(rate), "mse", metrics=["mae"])
    return model


@pytest.fixture
def search(tmp_path):
    def run(cb, hypermodel=build, trials=2, **options):
        tuner = keras_tuner.RandomSearch(
            hypermodel, objective="val_loss", max_trials=trials, directory=tmp_path, seed=0, **options
        )
        data = {"x": X, "y": Y, "validation_data": (X, Y)}
        tuner.search(**data, epochs=2, callbacks=[cb], verbose=0)
        return tuner

    return run


def test_each_trial_is_a_job_of_one_batch_and_warned_of_once(sent, story, data_of, search, caplog):
    cb = ArgusCallback(dataset="line")

    search(cb)
    with caplog.at_level(logging.WARNING):
        cb.close()

    assert story(sent) == ["batch_start", *FIT, *FIT, "batch_done"]
    assert by_job(sent) == [FIT, FIT]
    assert {event.batch_id for event in sent.events} == {cb.batch_id}
    trials = [event.job_id for event in sent.of_type("job_start")]
    assert data_of(sent, "batch_done")["untested"] == trials
    assert data_of(sent, "batch_done")["status"] == "incomplete"
    assert caplog.text.count("needs `callbacks=[cb]`") == 1


def test_the_best_model_is_tested_with_the_callback_that_was_given(sent, story, search):
    cb = ArgusCallback()

    tuner = search(cb)
    evaluate(tuner.get_best_models()[0], cb)
    cb.close()

    assert story(sent) == ["batch_start", *FIT, *FIT, "job_start", "job_done", "batch_done"]
    assert sent.of_type("job_done")[0].job_id == cb.job_id


def test_every_execution_of_a_trial_is_a_job(sent, search):
    cb = ArgusCallback()

    search(cb, trials=1, executions_per_trial=2)
    cb.close()

    assert by_job(sent) == [FIT, FIT]


def test_a_trial_that_fails_is_a_failed_job_and_the_search_goes_on(sent, story, data_of, search):
    class Fails(keras.callbacks.Callback):
        left = 1

        def on_epoch_begin(self, epoch, logs=None):
            if epoch and Fails.left:
                Fails.left -= 1
                raise keras_tuner.errors.FailedTrialError("unlucky")

    class Search(keras_tuner.HyperModel):
        def build(self, hp):
            return build(hp)

        def fit(self, hp, model, *arguments, callbacks, **options):
            return model.fit(*arguments, callbacks=[*callbacks, Fails()], **options)

    cb = ArgusCallback()

    search(cb, Search())
    cb.close()

    assert by_job(sent) == [["job_start", "job_epoch 0", "job_failed"], FIT]
    assert story(sent)[-2:] == ["job_failed", "batch_done"]
    assert data_of(sent, "batch_done")["untested"] == [sent.of_type("job_start")[1].job_id]
    assert data_of(sent, "batch_done")["n_failed"] == 1


def test_a_search_that_tests_each_trial_ranks_each(sent, search):
    class Search(keras_tuner.HyperModel):
        def build(self, hp):
            return build(hp)

        def fit(self, hp, model, *arguments, callbacks, **options):
            history = model.fit(*arguments, callbacks=callbacks, **options)
            evaluate(model, callbacks[0])
            return history

    cb = ArgusCallback()

    search(cb, Search())
    cb.close()

    assert by_job(sent) == [[*FIT, "job_done"]] * 2
    types = [event.event_type for event in sent.events]
    assert (types.count("batch_start"), types.count("batch_done")) == (1, 1)
