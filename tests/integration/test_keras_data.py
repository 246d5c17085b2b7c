"""What an epoch and a row of Keras hold: keys, values, counts; for every way to feed `fit` and `evaluate`."""

from __future__ import annotations

import concurrent.futures
import copy
import random

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
    X,
    Y,
    batches,
    curve,
    curve_of,
    evaluate,
    fit,
    quality,
    regressor,
)

from argus_integrations.keras import ArgusCallback

CLASSES = (Y.ravel() > 0).astype("int32")


def metrics_of(transport):
    return transport.of_type("job_done")[-1].data["metrics"]


def samples_trained(metrics, epochs):
    return round(metrics["Samples_Per_Second"] * metrics["Avg_Epoch_Time"] * epochs)


def samples_tested(metrics):
    return round(metrics["Inference_Throughput"] * metrics["Total_Inference_Time"])


# --- what an epoch says ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [{}, {"validation_data": (X, Y)}, {"validation_split": 0.2}, {"shuffle": False, "class_weight": None}],
    ids=["no validation", "validation_data", "validation_split", "no shuffle"],
)
def test_an_epoch_says_exactly_what_the_history_says(sent, options):
    cb = ArgusCallback()

    history = fit(regressor(), cb, **options)
    cb.flush()

    assert curve(sent) == curve_of(history, lr=0.1)
    assert all(event.data["batch_time_ms"] > 0 for event in sent.of_type("job_epoch"))


def test_validation_metrics_stand_only_in_the_epochs_that_validated(sent):
    cb = ArgusCallback()

    history = fit(regressor(), cb, epochs=5, validation_data=(X, Y), validation_freq=2)
    cb.flush()

    validated = {epoch["epoch"]: epoch["val_loss"] for epoch in curve(sent) if "val_loss" in epoch}
    assert validated == dict(zip((1, 3), history.history["val_loss"], strict=True))
    assert [("val_mae" in epoch) for epoch in curve(sent)] == [False, True, False, True, False]


def test_early_stopping_ends_the_curve_and_not_the_count(sent, story, data_of):
    cb = ArgusCallback()
    model = regressor()
    stop = keras.callbacks.EarlyStopping("val_loss", min_delta=100, patience=1, restore_best_weights=True)

    model.fit(X, Y, epochs=10, validation_data=(X, Y), callbacks=[cb, stop], **QUIET)
    evaluate(model, cb)

    assert story(sent) == FIT_AND_TEST
    assert data_of(sent, "job_start")["epochs_total"] == 10
    assert data_of(sent, "job_done")["train_epochs"] == 2


def test_stopping_in_mid_epoch_counts_what_was_trained(sent, data_of):
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 2

    cb = ArgusCallback()
    model = regressor()

    model.fit(X, Y, epochs=5, callbacks=[cb, Stop()], **QUIET)
    evaluate(model, cb)

    metrics = metrics_of(sent)
    assert metrics["Total_Batches"] == 3
    assert samples_trained(metrics, epochs=1) == 24
    assert data_of(sent, "job_done")["train_epochs"] == 1


@pytest.mark.parametrize("ours_comes_first", [True, False])
@pytest.mark.parametrize(
    "scheduler",
    [
        lambda: keras.callbacks.LearningRateScheduler(lambda epoch, rate: 0.1 / (epoch + 1)),
        lambda: keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=0, min_delta=100),
    ],
    ids=["scheduler", "plateau"],
)
def test_the_rate_of_an_epoch_is_the_one_it_was_trained_with(sent, scheduler, ours_comes_first):
    cb = ArgusCallback()
    both = [cb, scheduler()] if ours_comes_first else [scheduler(), cb]

    history = regressor().fit(X, Y, epochs=3, callbacks=both, **QUIET)
    cb.flush()

    assert [epoch["lr"] for epoch in curve(sent)] == pytest.approx(history.history["learning_rate"])
    assert all("learning_rate" not in epoch for epoch in curve(sent))


def test_a_schedule_is_reported_as_the_rate_at_the_end_of_the_epoch(sent):
    cb = ArgusCallback()
    model = keras.Sequential([keras.layers.Dense(1)])
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([BATCHES - 1], [0.5, 0.25])
    model.compile(keras.optimizers.SGD(schedule), "mse")

    fit(model, cb)
    cb.flush()

    assert [epoch["lr"] for epoch in curve(sent)] == [0.25, 0.25]


def test_a_rate_that_a_users_callback_logs_is_the_rate(sent):
    class Logs(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["lr"] = 0.5

    cb = ArgusCallback()

    regressor().fit(X, Y, callbacks=[Logs(), cb], **QUIET)
    cb.flush()

    assert curve(sent)[0]["lr"] == 0.5


@pytest.mark.parametrize("name", ["epoch", "self"])
def test_a_log_may_have_any_name(sent, name):
    class Logs(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs[name] = 7.0

    cb = ArgusCallback()

    regressor().fit(X, Y, epochs=2, callbacks=[Logs(), cb], **QUIET)
    cb.flush()

    assert [epoch["epoch"] for epoch in curve(sent)] == [0, 1]
    assert all("train_loss" in epoch for epoch in curve(sent))


class OwnStep(keras.Model):
    """A model with a loop body of its own, that leaves the optimizer of `compile` unused."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1)

    def call(self, x):
        return self.dense(x)

    def train_step(self, *arguments):
        return returned(arguments, critic=0.25, generator=0.5)

    def test_step(self, *arguments):
        return returned(arguments, critic=0.75)


def returned(arguments, **logs):
    """Return logs as a step of this backend does; JAX hands a state through."""
    tensors = {name: keras.ops.convert_to_tensor(value) for name, value in logs.items()}
    return (tensors, arguments[0]) if BACKEND == "jax" else tensors


def test_a_model_with_its_own_step_reports_what_it_returns_and_no_rate_of_an_idle_optimizer(sent, data_of):
    cb = ArgusCallback()
    model = OwnStep()
    model.compile()

    fit(model, cb)
    evaluate(model, cb)

    assert curve(sent) == [{"epoch": n, "critic": 0.25, "generator": 0.5} for n in range(2)]
    assert quality(data_of(sent, "job_done")) == {"critic": 0.75}
    assert data_of(sent, "job_start")["model"] == "OwnStep"


# --- what a row says ------------------------------------------------------------------------------


@pytest.mark.parametrize("return_dict", [True, False])
def test_a_row_says_exactly_what_evaluate_returns(sent, data_of, return_dict):
    cb = ArgusCallback()
    model = regressor()

    fit(model, cb)
    result = evaluate(model, cb, return_dict=return_dict)

    loss, mse, mae = (result[name] for name in ("loss", "mse", "mae")) if return_dict else result
    done = data_of(sent, "job_done")
    assert quality(done) == {"loss": loss, "MSE": mse, "MAE": mae}
    assert done["metrics_raw"] == {"loss": loss, "mse": mse, "mae": mae}
    assert "dropped" not in done


@pytest.mark.parametrize(
    ("units", "loss", "metric", "logged"),
    [
        (1, "binary_crossentropy", "accuracy", "accuracy"),
        (1, "binary_crossentropy", "acc", "acc"),
        (1, "binary_crossentropy", "binary_accuracy", "binary_accuracy"),
        (2, "sparse_categorical_crossentropy", "accuracy", "accuracy"),
        (2, "sparse_categorical_crossentropy", "sparse_categorical_accuracy", "sparse_categorical_accuracy"),
    ],
)
def test_every_accuracy_of_keras_is_the_column_accuracy(sent, data_of, units, loss, metric, logged):
    cb = ArgusCallback()
    model = keras.Sequential([keras.layers.Dense(units, activation="softmax" if units > 1 else "sigmoid")])
    model.compile("sgd", loss, metrics=[metric])

    history = fit(model, cb, y=CLASSES, validation_data=(X, CLASSES))
    model.evaluate(X, CLASSES, callbacks=[cb], **QUIET)

    done = data_of(sent, "job_done")
    assert quality(done).keys() == {"loss", "accuracy"}
    assert done["metrics_raw"].keys() == {"loss", logged}
    assert curve(sent) == curve_of(history, lr=float(np.float32(0.01)))


@pytest.mark.parametrize(
    ("metric", "column"),
    [
        ("mean_squared_error", "MSE"),
        (keras.metrics.MeanAbsoluteError, "MAE"),
        (keras.metrics.RootMeanSquaredError, "RMSE"),
        (keras.metrics.R2Score, "r2_score"),
        (lambda: keras.metrics.MeanSquaredError(name="test_mse"), "MSE"),
        (lambda: keras.metrics.MeanSquaredError(name="My Error"), "My Error"),
    ],
)
def test_an_error_of_keras_has_the_column_of_its_quantity(sent, data_of, metric, column):
    model = regressor(metrics=[metric if isinstance(metric, str) else metric()])

    evaluate(model, ArgusCallback())

    assert quality(data_of(sent, "job_done")).keys() == {"loss", column}


def test_a_metric_per_class_is_left_out_of_the_row_by_name(sent, data_of):
    model = keras.Sequential([keras.layers.Dense(2, activation="softmax")])
    model.compile("sgd", "categorical_crossentropy", metrics=[keras.metrics.F1Score(), "accuracy"])
    cb = ArgusCallback()
    targets = np.eye(2, dtype="float32")[CLASSES]

    fit(model, cb, y=targets)
    model.evaluate(X, targets, callbacks=[cb], **QUIET)

    done = data_of(sent, "job_done")
    assert quality(done).keys() == {"loss", "accuracy"}
    assert done["dropped"] == ["f1_score"]
    assert all(epoch.keys() == {"epoch", "train_loss", "accuracy", "lr"} for epoch in curve(sent))


def test_weighted_metrics_and_sample_weights_are_metrics_like_any_other(sent, data_of):
    cb = ArgusCallback()
    model = regressor(metrics=["mae"], weighted_metrics=["mse"])
    weights = np.linspace(0, 1, SAMPLES)

    history = fit(model, cb, sample_weight=weights)
    result = model.evaluate(X, Y, sample_weight=weights, callbacks=[cb], return_dict=True, **QUIET)

    assert curve(sent) == curve_of(history, lr=0.1)
    assert data_of(sent, "job_done")["metrics_raw"] == result


def test_outputs_keep_their_names_and_equal_metrics_of_two_do_not_collide(sent, data_of):
    inputs = keras.Input((2,))
    heads = {name: keras.layers.Dense(1, name=name)(inputs) for name in ("price", "demand")}
    model = keras.Model(inputs, heads, name="shop")
    model.compile("sgd", {"price": "mse", "demand": "mse"}, metrics={"price": ["mae"], "demand": ["mae"]})
    cb = ArgusCallback()
    targets = {"price": Y, "demand": Y}

    history = fit(model, cb, y=targets, validation_data=(X, targets))
    result = model.evaluate(X, targets, callbacks=[cb], return_dict=True, **QUIET)

    assert curve(sent) == curve_of(history, lr=float(np.float32(0.01)))
    assert quality(data_of(sent, "job_done")) == result
    assert {"price_mae", "demand_mae"} <= result.keys()
    assert data_of(sent, "job_start")["model"] == "shop"


# --- names and seeds --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "class_name", ["MyNet", "ResNet50V2", "MyCNN2D", "MLPMixer", "LSTMForecaster", "GPT2"]
)
@pytest.mark.parametrize("instance", [1, 2])
def test_a_name_that_keras_has_made_up_is_the_class(sent, data_of, class_name, instance):
    build = {"__init__": lambda self: keras.Model.__init__(self), "call": lambda self, x: x[:, :1]}
    cls = type(class_name, (keras.Model,), build)
    model = [cls() for _ in range(instance)][-1]
    model.compile(loss="mse")

    evaluate(model, ArgusCallback())

    assert data_of(sent, "job_start")["model"] == class_name


def test_what_the_user_says_wins_over_what_keras_knows(sent, data_of):
    keras.utils.set_random_seed(13)
    cb = ArgusCallback(model="mine", seed=0, dataset="line", config={"units": 1}, tags=["a"], job_id="j")

    evaluate(regressor("theirs"), cb)

    start = data_of(sent, "job_start")
    assert (start["model"], start["seed"], start["dataset"]) == ("mine", 0, "line")
    assert (start["config"], start["tags"]) == ({"units": 1}, ["a"])
    assert start["backend"] == BACKEND
    assert sent.of_type("job_start")[0].job_id == "j"


def test_each_job_has_the_seed_that_was_set_before_it(sent):
    cb = ArgusCallback()
    for seed in (0, 2**31):
        keras.utils.set_random_seed(seed)
        fit(regressor(), cb, epochs=1)
    cb.close()

    assert [event.data["seed"] for event in sent.of_type("job_start")] == [0, 2**31]


def test_a_data_set_cannot_be_known(sent, data_of):
    evaluate(regressor(), ArgusCallback())

    assert "dataset" not in data_of(sent, "job_start")


# --- how many batches and samples -----------------------------------------------------------------


def loader(**options):
    data = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    return torch.utils.data.DataLoader(data, batch_size=6, **options)


class Slices(keras.utils.PyDataset):
    def __len__(self):
        return 5

    def __getitem__(self, index):
        return X[8 * index : 8 * index + 8], Y[8 * index : 8 * index + 8]


def tf_data(**options):
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(6, **options)


FEEDS = {
    "arrays": (lambda: (X, Y), {"batch_size": 6}, 14, 80),
    "arrays of full batches": (lambda: (X, Y), {"batch_size": 8}, 10, 80),
    "one large batch": (lambda: (X, Y), {"batch_size": 100}, 2, 80),
    "the default batch size": (lambda: (X, Y), {}, 4, 80),
    "a validation split": (lambda: (X, Y), {"batch_size": 6, "validation_split": 0.25}, 10, 60),
    "fewer steps than batches": (lambda: (X, Y), {"batch_size": 8, "steps_per_epoch": 2}, 4, 32),
    "steps over a partial batch": (lambda: (X, Y), {"batch_size": 6, "steps_per_epoch": 5}, 7, 40),
    "more steps than batches": (lambda: (X, Y), {"batch_size": 8, "steps_per_epoch": 9}, 10, 80),
    "loader": (lambda: (loader(),), {}, 14, 80),
    "loader that drops the last": (lambda: (loader(drop_last=True),), {}, 12, 72),
    "loader of a part": (lambda: (loader(sampler=range(10)),), {}, 4, 20),
    "own data set": (lambda: (Slices(),), {}, 10, None),
    "own data set with workers": (lambda: (Slices(workers=2),), {}, 10, None),
    "endless generator": (lambda: (batches(forever=True),), {"steps_per_epoch": 3}, 6, None),
    "tf.data": (lambda: (tf_data(),), {}, 14, None),
    "tf.data of full batches": (lambda: (tf_data(drop_remainder=True),), {}, 12, 72),
    "endless tf.data": (lambda: (tf_data().repeat(),), {"steps_per_epoch": 3}, 6, None),
}


@pytest.mark.parametrize("feed", FEEDS)
def test_training_batches_and_samples_are_those_that_were_trained_on(sent, feed):
    data, options, total_batches, samples = FEEDS[feed]
    cb = ArgusCallback()
    model = regressor()

    model.fit(*data(), epochs=2, callbacks=[cb], verbose=0, **options)
    evaluate(model, cb)

    metrics = metrics_of(sent)
    assert metrics["Total_Batches"] == total_batches
    if samples is None:
        assert "Samples_Per_Second" not in metrics
    else:
        assert samples_trained(metrics, epochs=2) == samples
    assert metrics["Avg_Batch_Time"] * total_batches == pytest.approx(2 * metrics["Avg_Epoch_Time"])


@pytest.mark.parametrize(
    ("data", "options", "samples"),
    [
        (lambda: (X, Y), {"batch_size": 6}, 40),
        (lambda: (X, Y), {"batch_size": 6, "steps": 2}, 12),
        (lambda: (X, Y), {"batch_size": 6, "steps": 7}, 40),
        (lambda: (loader(drop_last=True),), {}, 36),
        (lambda: (loader(sampler=range(10)),), {"steps": 1}, 6),
        (lambda: (Slices(),), {}, None),
        (lambda: (batches(forever=True),), {"steps": 3}, None),
        (lambda: (batches(),), {}, None),
    ],
    ids=["arrays", "steps", "all steps", "drop last", "part", "own data set", "endless", "unknown length"],
)
def test_test_samples_are_those_that_were_tested(sent, data, options, samples):
    regressor_ = regressor()

    regressor_.evaluate(*data(), callbacks=[ArgusCallback()], verbose=0, **options)

    metrics = metrics_of(sent)
    assert metrics["Total_Inference_Time"] >= metrics["Latency_P99"] > 0
    if samples is None:
        assert "Inference_Throughput" not in metrics
    else:
        assert samples_tested(metrics) == samples
        assert metrics["Inference_Throughput"] > 0


def test_stopping_an_evaluation_counts_what_was_tested(sent):
    class Stop(keras.callbacks.Callback):
        def on_test_batch_end(self, batch, logs=None):
            self.model.stop_evaluating = batch == 1

    model = regressor()

    model.evaluate(X, Y, callbacks=[ArgusCallback(), Stop()], **QUIET)

    assert samples_tested(metrics_of(sent)) == 16


def test_an_unbuilt_model_has_its_size_and_a_validation_no_part_in_the_batches(sent):
    cb = ArgusCallback()
    model = regressor()
    assert not model.built

    fit(model, cb, validation_data=(X, Y), validation_batch_size=1)
    evaluate(model, cb, batch_size=4)

    metrics = metrics_of(sent)
    assert metrics["Model_Params"] == 3
    assert metrics["Model_Size"] == pytest.approx(12e-6)
    assert metrics["Total_Batches"] == 2 * BATCHES
    assert metrics["Avg_Epoch_Time"] * 2 <= metrics["Total_Train_Time"]
    assert "Model_Params_Trainable" not in metrics


def test_frozen_weights_are_counted_apart(sent):
    model = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(4, trainable=False), keras.layers.Dense(1)]
    )
    model.compile("sgd", "mse")

    evaluate(model, ArgusCallback())

    metrics = metrics_of(sent)
    assert (metrics["Model_Params"], metrics["Model_Params_Trainable"]) == (17, 5)


def test_without_a_footprint_a_row_has_nothing_but_quality(sent, data_of):
    cb = ArgusCallback(footprint=False)
    model = regressor()

    fit(model, cb)
    evaluate(model, cb)

    assert data_of(sent, "job_done")["metrics"] == quality(data_of(sent, "job_done"))


def test_a_validation_takes_no_time_of_the_epoch(sent):
    import time

    class Slow(keras.callbacks.Callback):
        def on_test_begin(self, logs=None):
            time.sleep(0.5)

    cb = ArgusCallback()
    model = regressor()
    fit(model, None)

    model.fit(X, Y, epochs=1, validation_data=(X, Y), callbacks=[cb, Slow()], **QUIET)
    evaluate(model, cb)

    metrics = metrics_of(sent)
    assert metrics["Total_Train_Time"] > 0.5
    assert metrics["Avg_Epoch_Time"] < metrics["Total_Train_Time"] - 0.5


if BACKEND != "torch":  # which executes single steps only

    @pytest.mark.parametrize(
        ("samples", "options", "train_batches"),
        [(64, {}, 16), (40, {}, 10), (40, {"steps_per_epoch": 3}, 5), (40, {"steps_per_epoch": 4}, 5)],
        ids=["full", "partial", "odd steps", "steps over the end"],
    )
    def test_executions_of_two_steps_count_as_the_batches_they_are(sent, samples, options, train_batches):
        x = np.zeros((samples, 2), "float32")
        cb = ArgusCallback()
        model = regressor(steps_per_execution=2)
        counted = []

        class Count(keras.callbacks.Callback):
            def on_train_end(self, logs=None):
                counted.append(int(keras.ops.convert_to_numpy(self.model.optimizer.iterations)))

        model.fit(x, x[:, :1], batch_size=8, epochs=2, verbose=0, callbacks=[cb, Count()], **options)
        model.evaluate(x, x[:, :1], batch_size=4, verbose=0, callbacks=[cb])

        metrics = metrics_of(sent)
        assert metrics["Total_Batches"] == train_batches
        assert counted == [train_batches]
        assert samples_tested(metrics) == samples
        test_batches = samples // 4
        assert metrics["Latency_P50"] * test_batches / 2 <= metrics["Total_Inference_Time"]
        assert sent.of_type("job_done")[0].data["latency_warmup"] == 1

    def test_an_execution_that_a_validation_cuts_off_counts_as_the_batches_it_is(sent):
        class Breaks(keras.callbacks.Callback):
            def on_test_begin(self, logs=None):
                raise RuntimeError("boom")

        cb = ArgusCallback()
        model = regressor(steps_per_execution=2)
        with pytest.raises(RuntimeError, match="boom"), cb:
            model.fit(X, Y, batch_size=8, verbose=0, validation_data=(X, Y), callbacks=[cb, Breaks()])
        evaluate(model, cb)
        cb.flush()

        # Not 6, which three executions of two would be. The hook of the last one may still wait in a
        # thread of Keras's own when the validation breaks: nobody waits for it then.
        assert metrics_of(sent)["Total_Batches"] in (BATCHES, BATCHES - 1)


def test_batches_that_end_out_of_order_in_several_threads_are_each_counted_once(sent):
    cb = ArgusCallback()
    model = regressor()
    listed = keras.callbacks.CallbackList([cb], model=model)
    ends = [*range(1000)] * 2
    random.Random(0).shuffle(ends)

    listed.on_train_begin()
    for epoch in range(2):
        listed.on_epoch_begin(epoch)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(cb.on_train_batch_end, ends))
        listed.on_epoch_end(epoch, {"loss": 1.0})
    listed.on_train_end()
    evaluate(model, cb)

    assert metrics_of(sent)["Total_Batches"] == 2 * 1000


def test_a_model_that_accumulates_gradients_counts_its_batches(sent):
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1, gradient_accumulation_steps=2), "mse")
    cb = ArgusCallback()

    fit(model, cb)
    evaluate(model, cb)

    assert metrics_of(sent)["Total_Batches"] == 2 * BATCHES
    assert [epoch["lr"] for epoch in curve(sent)] == pytest.approx([0.1, 0.1])


def built():
    """A model with weights: TensorFlow restores no other."""
    model = regressor()
    model.build((None, 2))
    return model


def test_a_checkpoint_and_a_backup_beside_the_callback_change_nothing(sent, story, tmp_path):
    cb = ArgusCallback()
    model = built()
    beside = [
        keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras", save_best_only=True),
        keras.callbacks.BackupAndRestore(tmp_path / "backup"),
        keras.callbacks.CSVLogger(tmp_path / "log.csv"),
        keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: None),
    ]

    history = model.fit(X, Y, epochs=2, validation_data=(X, Y), callbacks=[*beside, cb], **QUIET)
    evaluate(model, cb)

    assert story(sent) == FIT_AND_TEST
    assert curve(sent) == curve_of(history, lr=0.1)


def test_a_training_that_a_backup_restores_goes_on_at_its_epoch(sent, tmp_path):
    class Interrupts(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    first, second = ArgusCallback(), ArgusCallback()
    model = built()

    backup = keras.callbacks.BackupAndRestore(tmp_path)
    with pytest.raises(KeyboardInterrupt), first:
        model.fit(X, Y, epochs=4, callbacks=[backup, first, Interrupts()], **QUIET)
    again = built()
    again.fit(X, Y, epochs=4, callbacks=[keras.callbacks.BackupAndRestore(tmp_path), second], **QUIET)
    evaluate(again, second)

    assert [epoch["epoch"] for epoch in curve(sent, first.job_id)] == [0, 1]
    assert [epoch["epoch"] for epoch in curve(sent, second.job_id)] == [2, 3]
    assert [event.data["status"] for event in sent.of_type("job_failed")] == ["interrupted"]


def test_the_logs_of_other_callbacks_are_not_touched(sent):
    seen = []

    class Sees(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(copy.copy(logs))

        def on_test_end(self, logs=None):
            seen.append(copy.copy(logs))

    cb = ArgusCallback()
    model = regressor()

    history = model.fit(X, Y, callbacks=[cb, Sees()], **QUIET)
    result = model.evaluate(X, Y, callbacks=[cb, Sees()], return_dict=True, **QUIET)

    assert seen == [{name: values[0] for name, values in history.history.items()}, result]
