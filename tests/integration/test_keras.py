"""`argus_integrations.keras` under real models, on the backend that KERAS_BACKEND names."""

from __future__ import annotations

import copy
import logging
import pickle
import threading

import keras
import numpy as np
import pytest
import torch
from integration.tiny_keras import (
    BACKEND,
    BATCHES,
    FIT_AND_TEST,
    QUIET,
    SAMPLES,
    Raises,
    X,
    Y,
    batches,
    curve,
    evaluate,
    fit,
    quality,
    regressor,
)

from argus_core.reporter import Reporter
from argus_integrations.keras import ArgusCallback


def test_fit_validate_and_test_are_five_kinds_of_events(sent, story, data_of):
    cb = ArgusCallback(project="p", dataset="line", seed=7)
    model = regressor()

    fit(model, cb, validation_data=(X, Y))
    result = evaluate(model, cb, return_dict=True)

    assert story(sent) == FIT_AND_TEST
    start = data_of(sent, "job_start")
    assert (start["model"], start["dataset"], start["seed"]) == ("Sequential", "line", 7)
    assert start["epochs_total"] == 2
    epoch = data_of(sent, "job_epoch")
    assert epoch.keys() >= {"epoch", "train_loss", "val_loss", "lr", "batch_time_ms", "mse", "val_mae"}
    assert "loss" not in epoch
    assert epoch["lr"] == pytest.approx(0.1)
    done = data_of(sent, "job_done")
    assert done["metrics"]["MSE"] == pytest.approx(result["mse"])
    assert done["metrics"]["MAE"] == pytest.approx(result["mae"])
    assert done["metrics_raw"].keys() == {"loss", "mse", "mae"}


def test_the_footprint_is_in_the_metrics(sent, data_of):
    cb = ArgusCallback(seed=7)
    model = regressor()

    fit(model, cb, validation_data=(X, Y), batch_size=6)
    evaluate(model, cb, batch_size=3)

    done = data_of(sent, "job_done")
    metrics = done["metrics"]
    assert metrics["Total_Batches"] == 2 * 7
    assert metrics["Model_Params"] == 3
    assert metrics["Inference_Throughput"] * metrics["Total_Inference_Time"] == pytest.approx(SAMPLES)
    assert metrics["Samples_Per_Second"] * 2 * metrics["Avg_Epoch_Time"] == pytest.approx(2 * SAMPLES)
    assert metrics["Latency_P50"] <= metrics["Latency_P95"] <= metrics["Latency_P99"]
    assert metrics["Avg_Epoch_Time"] * 2 <= metrics["Total_Train_Time"]
    assert done["latency_warmup"] == 1


def test_validation_that_is_nested_in_fit_ends_no_job(sent, story):
    cb = ArgusCallback()
    model = regressor()

    class Nested(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            evaluate(self.model, cb)

    model.fit(X, Y, epochs=2, callbacks=[cb, Nested()], **QUIET)
    cb.flush()

    assert story(sent) == FIT_AND_TEST[:-2]


def test_a_users_own_function_called_fit_is_no_training(sent, story):
    def fit():
        evaluate(regressor(), ArgusCallback())

    fit()

    assert story(sent) == ["batch_start", "job_start", "job_done", "batch_done"]


def test_a_function_called_fit_in_a_module_that_is_called_after_keras_is_no_training(sent, story):
    helpers = {"__name__": "keras_helpers", "evaluate": evaluate}
    exec("def fit(model, cb): evaluate(model, cb)", helpers)

    helpers["fit"](regressor(), ArgusCallback())

    assert story(sent) == ["batch_start", "job_start", "job_done", "batch_done"]


# --- validation or test ---------------------------------------------------------------------------

HOOKS = ["on_epoch_begin", "on_train_batch_end", "on_test_begin", "on_epoch_end", "on_train_end"]


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("ours_comes_first", [True, False])
def test_an_evaluation_of_another_model_in_fit_is_none_of_this_job(sent, story, hook, ours_comes_first):
    cb = ArgusCallback()
    model, other = regressor(), regressor()
    other.optimizer.learning_rate = 0.7

    class Nested(keras.callbacks.Callback):
        is_inside = False

        def run(self, *arguments, **options):
            if not self.is_inside:
                self.is_inside = True
                evaluate(other, cb)
                self.is_inside = False

    nested = Nested()
    setattr(nested, hook, nested.run)
    both = [cb, nested] if ours_comes_first else [nested, cb]

    model.fit(X, Y, epochs=2, validation_data=(X, Y), callbacks=both, **QUIET)
    result = evaluate(model, cb, return_dict=True)

    assert story(sent) == FIT_AND_TEST
    assert [epoch["lr"] for epoch in curve(sent)] == pytest.approx([0.1, 0.1])
    assert quality(sent.of_type("job_done")[0])["MSE"] == result["mse"]
    metrics = sent.of_type("job_done")[0].data["metrics"]
    assert metrics["Total_Batches"] == 2 * BATCHES
    assert metrics["Inference_Throughput"] * metrics["Total_Inference_Time"] == pytest.approx(SAMPLES)


def test_a_prediction_of_another_model_in_fit_changes_nothing(sent, story):
    cb = ArgusCallback()
    model, other = regressor(), regressor()
    other.optimizer.learning_rate = 0.7

    class Nested(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            other.predict(X, callbacks=[cb], verbose=0)

    model.fit(X, Y, epochs=2, callbacks=[cb, Nested()], **QUIET)
    evaluate(model, cb)

    assert story(sent) == FIT_AND_TEST
    assert [epoch["lr"] for epoch in curve(sent)] == pytest.approx([0.1, 0.1])


def test_a_models_own_fit_may_end_with_the_test(sent, story, data_of):
    class Net(keras.Sequential):
        def fit(self, *arguments, **options):
            super().fit(*arguments, **options)
            return self.evaluate(X, Y, callbacks=options["callbacks"], verbose=0)

    cb = ArgusCallback()
    model = Net([keras.layers.Dense(1)])
    model.compile("sgd", "mse")

    fit(model, cb)

    assert story(sent) == FIT_AND_TEST
    assert data_of(sent, "job_start")["model"] == "Net"


@pytest.mark.parametrize("listing", [lambda cb: cb, lambda cb: (cb,), lambda cb: [cb, cb]])
def test_however_the_callback_is_listed_it_reports_once(sent, story, listing):
    cb = ArgusCallback()
    model = regressor()

    model.fit(X, Y, epochs=2, validation_data=(X, Y), callbacks=listing(cb), **QUIET)
    model.evaluate(X, Y, callbacks=listing(cb), **QUIET)

    assert story(sent) == FIT_AND_TEST
    metrics = sent.of_type("job_done")[0].data["metrics"]
    assert metrics["Inference_Throughput"] * metrics["Total_Inference_Time"] == pytest.approx(SAMPLES)


@pytest.mark.parametrize("knows_its_model", [True, False])
def test_a_callback_list_of_the_users_own_is_as_good(sent, story, data_of, knows_its_model):
    cb = ArgusCallback()
    model = regressor("forecaster")
    fit(model, None)  # Keras wants a history from somewhere
    listed = keras.callbacks.CallbackList([cb], model=model if knows_its_model else None)

    model.fit(X, Y, epochs=2, validation_data=(X, Y), callbacks=listed, **QUIET)
    model.evaluate(X, Y, callbacks=listed, **QUIET)

    assert story(sent) == FIT_AND_TEST
    assert data_of(sent, "job_start")["model"] == "forecaster"
    assert data_of(sent, "job_start")["epochs_total"] == 2
    assert data_of(sent, "job_done")["metrics"]["Total_Batches"] == 2 * BATCHES


def own_loop(model, listed, epochs=2):
    listed.on_train_begin()
    for epoch in range(epochs):
        listed.on_epoch_begin(epoch)
        for batch in range(3):
            listed.on_train_batch_begin(batch)
            listed.on_train_batch_end(batch, {"loss": 1.0})
        listed.on_test_begin()
        listed.on_test_batch_begin(0)
        listed.on_test_batch_end(0)
        listed.on_test_end({"loss": 2.0})
        listed.on_epoch_end(epoch, {"loss": 1.0, "val_loss": 2.0})
    listed.on_train_end()


def test_a_loop_of_the_users_own_that_calls_the_hooks_validates_and_tests_too(sent, story, data_of):
    cb = ArgusCallback()
    model = regressor()
    listed = keras.callbacks.CallbackList([cb], model=model, epochs=2, steps=3)

    own_loop(model, listed)
    listed.on_test_begin()
    for batch in range(2):
        listed.on_test_batch_begin(batch)
        listed.on_test_batch_end(batch)
    listed.on_test_end({"mse": 0.5})

    assert story(sent) == FIT_AND_TEST
    assert curve(sent) == [{"epoch": epoch, "train_loss": 1.0, "val_loss": 2.0} for epoch in range(2)]
    assert data_of(sent, "job_start")["epochs_total"] == 2
    assert quality(data_of(sent, "job_done")) == {"MSE": 0.5}
    assert data_of(sent, "job_done")["metrics"]["Total_Batches"] == 6


def test_a_loop_of_the_users_own_may_end_with_evaluate(sent, story):
    cb = ArgusCallback()
    model = regressor()

    own_loop(model, keras.callbacks.CallbackList([cb], model=model))
    evaluate(model, cb)

    assert story(sent) == FIT_AND_TEST


def test_epochs_may_be_a_number_of_numpy(sent, data_of):
    cb = ArgusCallback()

    fit(regressor(), cb, epochs=np.int64(2))
    cb.close()

    assert data_of(sent, "job_start")["epochs_total"] == 2


if BACKEND == "jax":

    def test_test_batches_that_overlap_have_no_latency(sent):
        """A callback that is not in a list is dispatched to a pool of threads, in `evaluate` too."""
        regressor().evaluate(X, Y, callbacks=ArgusCallback(), **QUIET)

        metrics = sent.of_type("job_done")[0].data["metrics"]
        assert "Latency_P50" not in metrics
        assert metrics["Total_Inference_Time"] > 0


def test_predict_ends_no_job(sent, story):
    cb = ArgusCallback()
    model = regressor()

    fit(model, cb)
    model.predict(X, callbacks=[cb], verbose=0)
    cb.flush()

    assert story(sent) == FIT_AND_TEST[:-2]


def test_an_evaluation_without_the_callback_is_warned_about(sent, story, data_of, caplog):
    cb = ArgusCallback()
    model = regressor()

    fit(model, cb)
    evaluate(model, None)
    with caplog.at_level(logging.WARNING):
        cb.close()

    assert story(sent) == [*FIT_AND_TEST[:-2], "batch_done"]
    assert data_of(sent, "batch_done")["untested"] == [cb.job_id]
    assert "`model.evaluate()` needs `callbacks=[cb]`" in caplog.text


def test_a_second_evaluation_revises_the_row(sent, story):
    cb = ArgusCallback()
    model = regressor()

    fit(model, cb)
    evaluate(model, cb)
    evaluate(model, cb, samples=8)
    cb.flush()

    assert story(sent) == [*FIT_AND_TEST, "job_done"]


def test_models_that_are_only_evaluated_are_jobs_of_their_own(sent, story):
    cb = ArgusCallback()
    models = regressor(), regressor()

    for model in models:
        evaluate(model, cb)
    cb.flush()

    assert story(sent) == ["batch_start", "job_start", "job_done", "batch_done", "job_start", "job_done"]


def test_a_second_fit_counts_on_and_initial_epoch_is_absolute(sent):
    counting, absolute = ArgusCallback(), ArgusCallback()
    model = regressor()

    fit(model, counting)
    fit(model, counting)
    fit(model, absolute, epochs=4, initial_epoch=2)
    for cb in (counting, absolute):
        cb.flush()

    epochs = {cb.job_id: [] for cb in (counting, absolute)}
    for event in sent.of_type("job_epoch"):
        epochs[event.job_id].append(event.data["epoch"])
    assert epochs == {counting.job_id: [0, 1, 2, 3], absolute.job_id: [2, 3]}


def test_a_fit_without_epochs_sends_none(sent, story):
    cb = ArgusCallback()

    fit(regressor(), cb, epochs=2, initial_epoch=2)
    cb.flush()

    assert story(sent) == ["batch_start", "job_start"]


def test_a_generator_of_unknown_length_is_counted_by_its_ends(sent, data_of):
    cb = ArgusCallback()
    model = regressor()

    model.fit(batches(), epochs=1, callbacks=[cb], verbose=0)
    model.evaluate(batches(), callbacks=[cb], verbose=0)

    metrics = data_of(sent, "job_done")["metrics"]
    assert metrics["Total_Batches"] == BATCHES
    assert "Samples_Per_Second" not in metrics
    assert "Inference_Throughput" not in metrics
    assert metrics["Total_Inference_Time"] > 0


def test_several_outputs_keep_their_names(sent, data_of):
    inputs = keras.Input((2,))
    heads = {name: keras.layers.Dense(1, name=name)(inputs) for name in ("a", "b")}
    model = keras.Model(inputs, heads)
    model.compile("sgd", {"a": "mse", "b": "mse"}, metrics={"a": ["mae"]})
    cb = ArgusCallback()

    model.fit(X, {"a": Y, "b": Y}, callbacks=[cb], **QUIET)
    model.evaluate(X, {"a": Y, "b": Y}, callbacks=[cb], **QUIET)

    assert {"loss", "a_mae"} <= data_of(sent, "job_done")["metrics"].keys()
    assert data_of(sent, "job_start")["model"] == "Functional"


def test_scalars_of_every_library_arrive_as_numbers(sent, data_of):
    class Adds(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs |= {"a": torch.tensor(0.25), "b": np.float32(0.5), "c": np.int64(3)}

        def on_test_end(self, logs=None):
            self.on_epoch_end(0, logs)

    cb = ArgusCallback()
    model = regressor()

    model.fit(X, Y, callbacks=[Adds(), cb], **QUIET)
    model.evaluate(X, Y, callbacks=[Adds(), cb], **QUIET)

    for data in (data_of(sent, "job_epoch"), data_of(sent, "job_done")["metrics"]):
        assert {name: data[name] for name in "abc"} == {"a": 0.25, "b": 0.5, "c": 3}


def test_a_diverged_run_shows_what_it_is(sent, data_of):
    cb = ArgusCallback()
    model = regressor()
    bad = np.full_like(Y, np.nan)

    model.fit(X, bad, callbacks=[cb, keras.callbacks.TerminateOnNaN()], **QUIET)
    model.evaluate(X, bad, callbacks=[cb], **QUIET)

    assert data_of(sent, "job_done")["metrics"]["MSE"] == "NaN"


def test_training_stays_asynchronous_and_the_test_is_synchronous(sent, monkeypatch):
    dispatched = []
    original = keras.callbacks.CallbackList._configure_async_dispatch

    def spy(self, callbacks):
        original(self, callbacks)
        dispatched.append((self._async_train, self._async_test))

    monkeypatch.setattr(keras.callbacks.CallbackList, "_configure_async_dispatch", spy)
    cb = ArgusCallback()
    model = regressor()

    fit(model, cb, validation_data=(X, Y))
    evaluate(model, cb)

    is_thread_safe = keras.src.backend.IS_THREAD_SAFE
    assert dispatched == [(is_thread_safe, is_thread_safe), (False, False)]


def test_a_learning_rate_schedule_is_reported_as_its_value(sent):
    cb = ArgusCallback()
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.1, 5, 0.5)), "mse")

    fit(model, cb)
    cb.flush()

    rates = [event.data["lr"] for event in sent.of_type("job_epoch")]
    assert rates == pytest.approx([0.05, 0.025], rel=0.2)


# --- failure --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError("boom"), "failed"), (KeyboardInterrupt(), "interrupted")]
)
def test_inside_with_an_exception_fails_the_job(sent, story, data_of, error, status):
    cb = ArgusCallback()

    with pytest.raises(type(error)), cb:
        regressor().fit(X, Y, epochs=2, callbacks=[cb, Raises(error)], **QUIET)

    assert story(sent) == ["batch_start", "job_start", "job_epoch 0", "job_failed", "batch_failed"]
    assert data_of(sent, "job_failed")["status"] == status


def test_with_around_fit_alone_leaves_the_job_to_be_tested(sent, story):
    cb = ArgusCallback()
    model = regressor()

    with cb:
        fit(model, cb)
    evaluate(model, cb)

    assert story(sent) == FIT_AND_TEST


def test_a_training_that_failed_unseen_is_reported_when_the_next_begins(sent, story):
    cb = ArgusCallback()
    model = regressor()

    with pytest.raises(ValueError, match="boom"):
        model.fit(X, Y, epochs=2, callbacks=[cb, Raises(ValueError("boom"))], **QUIET)
    fit(model, cb)
    evaluate(model, cb)
    cb.flush()

    assert story(sent) == [
        "batch_start",
        "job_start",
        "job_epoch 0",
        "job_failed",
        "batch_failed",
        "job_start",
        "job_epoch 0",
        "job_epoch 1",
        "job_done",
    ]


def test_an_evaluation_after_a_failure_is_a_test_and_makes_the_job_done(sent, story):
    cb = ArgusCallback()
    model = regressor()

    with pytest.raises(ValueError, match="boom"):
        model.fit(X, Y, epochs=2, callbacks=[cb, Raises(ValueError("boom"))], **QUIET)
    evaluate(model, cb)
    cb.flush()

    assert story(sent) == [
        "batch_start",
        "job_start",
        "job_epoch 0",
        "job_failed",
        "batch_failed",
        "job_done",
    ]


# --- identity ---------------------------------------------------------------------------------------


def test_a_callback_that_is_listed_twice_reports_once(sent, story, data_of):
    cb = ArgusCallback()
    model = regressor()

    model.fit(X, Y, epochs=2, callbacks=[cb, cb], validation_data=(X, Y), **QUIET)
    model.evaluate(X, Y, callbacks=[cb, cb], **QUIET)
    cb.flush()

    assert story(sent) == FIT_AND_TEST
    metrics = data_of(sent, "job_done")["metrics"]
    assert metrics["Total_Batches"] == 2 * SAMPLES / 8
    assert metrics["Samples_Per_Second"] * 2 * metrics["Avg_Epoch_Time"] == pytest.approx(2 * SAMPLES)


def test_a_deep_copy_is_another_job_and_copies_no_model(sent):
    cb = ArgusCallback()
    model = regressor()
    fit(model, cb)

    twin = copy.deepcopy(cb)

    assert twin.job_id != cb.job_id
    assert twin._model is None
    fit(model, twin, epochs=1)
    evaluate(model, twin)
    twin.close()
    assert [event.job_id for event in sent.of_type("job_done")] == [twin.job_id]


def test_a_pickle_after_fit_is_the_same_job(sent):
    cb = ArgusCallback(token="em_live_secret")
    fit(regressor(), cb)

    twin = pickle.loads(pickle.dumps(cb))

    assert twin.job_id == cb.job_id
    assert b"em_live_secret" not in pickle.dumps(cb)


def test_jobs_of_a_reporter_share_its_batch(sent, story):
    with Reporter("sweep") as reporter:
        for seed in (0, 1):
            cb = ArgusCallback(batch=reporter, seed=seed)
            model = regressor()
            fit(model, cb, epochs=1)
            evaluate(model, cb)

    job = ["job_start", "job_epoch 0", "job_done"]
    assert story(sent) == ["batch_start", *job, *job, "batch_done"]


@pytest.mark.parametrize(("name", "shown"), [(None, "Sequential"), ("forecaster", "forecaster")])
def test_a_model_is_called_what_its_user_called_it(sent, data_of, name, shown):
    evaluate(regressor(name), ArgusCallback())

    assert data_of(sent, "job_start")["model"] == shown


def test_the_seed_is_the_one_that_keras_was_told(sent, data_of):
    keras.utils.set_random_seed(13)

    evaluate(regressor(), ArgusCallback())

    assert data_of(sent, "job_start")["seed"] == 13


def test_the_callback_may_be_used_from_another_thread(sent, story):
    cb = ArgusCallback()
    model = regressor()

    def work():
        fit(model, cb)
        evaluate(model, cb)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert story(sent) == FIT_AND_TEST
