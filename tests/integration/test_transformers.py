"""`argus_integrations.transformers` under the real Trainer: what a training and its test stage send.

Identity, failures and searches are in `test_transformers_jobs.py`, processes in
`test_transformers_processes.py`. `test_transformers_4.py` runs all three with transformers 4.57.
"""

from __future__ import annotations

import copy
import math
import time

import numpy as np
import pytest
import torch
from integration.tiny_trainer import (
    ANNOUNCED,
    BATCHES,
    COLUMNS,
    FIT,
    FIT_AND_TEST,
    MAYBE_COLUMNS,
    SAMPLES,
    TEST_COLUMNS,
    At,
    Line,
    Regressor,
    Stream,
    Unlabelled,
    mse,
    raising,
    trainer,
)
from transformers import EarlyStoppingCallback, Trainer, TrainerCallback

from argus_integrations.transformers import ArgusCallback


def epochs_of(sent):
    return [event.data for event in sent.of_type("job_epoch")]


def logged(t, name):
    """Return the values that the Trainer itself has logged under a name."""
    return [entry[name] for entry in t.state.log_history if name in entry]


def quality(metrics):
    """Return the metrics that are none of cost."""
    return {name: value for name, value in metrics.items() if name not in COLUMNS | MAYBE_COLUMNS}


# --- the plain case -------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["evaluate", "predict"])
def test_train_validate_and_test_are_five_kinds_of_events(sent, story, data_of, tmp_path, stage):
    cb = ArgusCallback(project="p", model="regressor")
    t = trainer(cb, tmp_path)

    t.train()
    measured = t.evaluate() if stage == "evaluate" else t.predict(Line()).metrics

    assert story(sent) == FIT_AND_TEST
    assert {event.job_id for event in sent.events[1:-1]} == {cb.job_id}
    assert {event.batch_id for event in sent.events} == {cb.batch_id}
    assert {event.source.project for event in sent.events} == {"p"}
    assert data_of(sent, "job_start") == {
        "model": "regressor",
        "dataset": "Line",
        "seed": 5,
        "epochs_total": 2,
        "framework": "transformers",
    }
    for epoch in epochs_of(sent):
        own = {"epoch", "train_loss", "val_loss", "lr", "batch_time_ms"}
        assert epoch.keys() == own | {"eval_mse", "grad_norm"}
    done = data_of(sent, "job_done")
    loss, mse = ("eval_loss", "eval_mse") if stage == "evaluate" else ("test_loss", "test_mse")
    assert done["metrics_raw"] == {loss: measured[loss], mse: measured[mse]}
    assert quality(done["metrics"]) == {"loss": measured[loss], "MSE": measured[mse]}
    assert done["metrics"].keys() - MAYBE_COLUMNS == {"loss", "MSE"} | COLUMNS - MAYBE_COLUMNS
    assert done["train_epochs"] == 2
    assert data_of(sent, "batch_done").items() >= {"n_done": 1, "n_failed": 0}.items()


def test_an_epoch_says_what_the_trainer_logged_in_it(sent, tmp_path):
    cb = ArgusCallback()
    t = trainer(cb, tmp_path)

    t.train()
    cb.flush()

    epochs = epochs_of(sent)
    assert [epoch["epoch"] for epoch in epochs] == [0, 1]
    assert [epoch["train_loss"] for epoch in epochs] == logged(t, "loss")
    assert [epoch["val_loss"] for epoch in epochs] == logged(t, "eval_loss")[:2]
    assert [epoch["eval_mse"] for epoch in epochs] == logged(t, "eval_mse")[:2]
    assert [epoch["grad_norm"] for epoch in epochs] == logged(t, "grad_norm")
    assert [epoch["lr"] for epoch in epochs] == pytest.approx([0.05, 0.0])


def test_the_users_dicts_and_the_control_are_not_touched(sent, tmp_path):
    before, seen, controls = {}, [], []

    class Note(TrainerCallback):
        def note(self, args, state, control, metrics=None, logs=None, **kwargs):
            controls.append(control)
            given = metrics if metrics is not None else logs
            if given is not None:
                seen.append(given)
                before[id(given)] = copy.deepcopy(given)

        on_log = on_evaluate = on_predict = on_epoch_end = note

    class Compare(TrainerCallback):
        def compare(self, args, state, control, metrics=None, logs=None, **kwargs):
            given = metrics if metrics is not None else logs
            assert control is controls[-1]
            if given is not None:
                assert given == before[id(given)]

        on_log = on_evaluate = on_predict = on_epoch_end = compare

    t = trainer(Note(), tmp_path, callbacks=[ArgusCallback(), Compare()])
    t.train()
    t.evaluate()
    t.predict(Line())

    assert len(seen) == 2 * 3 + 1 + 2 + 1


def test_every_hook_returns_none(sent, story, tmp_path):
    returned = {}

    def noting(name):
        def hook(self, *args, **kwargs):
            result = getattr(super(Noting, self), name)(*args, **kwargs)
            returned.setdefault(name, []).append(result)
            return result

        return hook

    hooks = [name for name in dir(TrainerCallback) if name.startswith("on_")]
    Noting = type("Noting", (ArgusCallback,), {name: noting(name) for name in hooks})
    t = trainer(Noting(), tmp_path, save_strategy="epoch", gradient_accumulation_steps=2)
    t.train()
    t.evaluate()
    t.predict(Line())

    assert returned.keys() >= {"on_init_end", "on_train_begin", "on_substep_end", "on_save", "on_predict"}
    assert {result for results in returned.values() for result in results} == {None}


# --- epochs ---------------------------------------------------------------------------------------


def test_an_epoch_has_the_mean_of_its_losses_and_its_own_evaluations(sent, tmp_path):
    cb = ArgusCallback()
    t = trainer(cb, tmp_path, logging_strategy="steps", logging_steps=1, eval_strategy="steps", eval_steps=6)

    t.train()
    cb.flush()

    losses, epochs = logged(t, "loss"), epochs_of(sent)
    assert [epoch["train_loss"] for epoch in epochs] == pytest.approx(
        [np.mean(losses[:4]), np.mean(losses[4:])]
    )
    assert ["val_loss" in epoch for epoch in epochs] == [False, True]
    assert ["eval_mse" in epoch for epoch in epochs] == [False, True]


def test_losses_count_by_the_steps_they_stand_for(sent, tmp_path):
    cb = ArgusCallback()
    t = trainer(
        cb, tmp_path, num_train_epochs=1, logging_strategy="steps", logging_steps=3, logging_first_step=True
    )

    t.train()
    cb.flush()

    first, second = logged(t, "loss")
    assert epochs_of(sent)[0]["train_loss"] == pytest.approx((first + 2 * second) / 3)


def test_of_several_evaluations_in_an_epoch_the_last_counts(sent, story, tmp_path):
    cb = ArgusCallback()
    t = trainer(cb, tmp_path, eval_strategy="steps", eval_steps=2)

    t.train()
    cb.flush()

    losses = logged(t, "eval_loss")
    assert story(sent) == FIT
    assert len(losses) == 4
    assert [epoch["val_loss"] for epoch in epochs_of(sent)] == [losses[1], losses[3]]


def test_what_was_not_logged_is_absent(sent, tmp_path):
    cb = ArgusCallback()

    trainer(cb, tmp_path, eval_strategy="no", logging_strategy="no").train()
    cb.flush()

    assert [epoch.keys() for epoch in epochs_of(sent)] == [{"epoch", "lr", "batch_time_ms"}] * 2


def test_validation_on_a_dict_of_data_sets_stays_a_validation(sent, story, tmp_path):
    cb = ArgusCallback()
    t = trainer(cb, tmp_path, eval_dataset={"near": Line(), "far": Line(16)})

    t.train()
    cb.flush()

    assert story(sent) == FIT
    for epoch in epochs_of(sent):
        evaluated = {f"eval_{name}_{metric}" for name in ("near", "far") for metric in ("mse", "loss")}
        assert epoch.keys() == evaluated | {"epoch", "train_loss", "lr", "batch_time_ms", "grad_norm"}


@pytest.mark.parametrize("ours_is", ["first", "last"])
def test_an_evaluation_by_a_callback_during_training_is_a_validation(sent, story, tmp_path, ours_is):
    cb = ArgusCallback()

    def act():
        t.evaluate(Line(16), metric_key_prefix="extra")
        t.predict(Line(16))

    user = At("on_epoch_end", act)
    t = trainer(cb if ours_is == "first" else user, tmp_path, callbacks=[user if ours_is == "first" else cb])
    t.train()
    cb.flush()

    assert story(sent) == FIT
    assert [epoch["extra_mse"] for epoch in epochs_of(sent)] == logged(t, "extra_mse")


def test_an_evaluation_in_the_last_hook_of_a_training_is_no_test(sent, story, data_of, tmp_path):
    cb = ArgusCallback()
    t = trainer(cb, tmp_path, callbacks=[At("on_train_end", lambda: t.evaluate())])

    t.train()
    assert story(sent) == [] or "job_done" not in story(sent)
    time.sleep(1)
    t.evaluate()

    assert story(sent) == FIT_AND_TEST
    assert data_of(sent, "job_done")["metrics"]["Latency_P99"] < 0.5  # the pause belongs to no batch


@pytest.mark.parametrize(
    ("options", "epochs_total", "epochs"),
    [
        ({"max_steps": 2}, 1, [0]),
        ({"max_steps": 5}, 2, [0, 1]),
        ({"num_train_epochs": 1.5}, 2, [0, 1]),
        ({"num_train_epochs": 0.5}, 1, [0]),
        ({"num_train_epochs": 3}, 3, [0, 1, 2]),
        ({"num_train_epochs": 0}, None, []),
        ({"eval_on_start": True}, 2, [0, 1]),
        ({"train_dataset": Stream(), "max_steps": 6}, None, [0, 1]),
        ({"train_dataset": Stream(), "max_steps": 4}, None, [0]),
        ({"gradient_accumulation_steps": 3}, 2, [0, 1]),
        ({"per_device_train_batch_size": 5, "dataloader_drop_last": True}, 2, [0, 1]),
    ],
)
def test_unusual_lengths_of_training(sent, story, data_of, tmp_path, options, epochs_total, epochs):
    cb = ArgusCallback()
    t = trainer(cb, tmp_path, **options)

    t.train()
    t.evaluate()

    curve = [f"job_epoch {epoch}" for epoch in epochs]
    assert story(sent) == [*ANNOUNCED, *curve, "job_done", "batch_done"]
    assert data_of(sent, "job_start").get("epochs_total") == epochs_total
    assert data_of(sent, "job_done").get("train_epochs") == (len(epochs) or None)
    assert all("val_loss" in epoch for epoch in epochs_of(sent))


def test_a_last_epoch_of_a_single_step_of_very_many_is_an_epoch(sent, story, tmp_path):
    """`state.epoch` is 1.00003 then."""
    t = trainer(None, tmp_path, eval_strategy="no", max_steps=1)
    t.train()
    cb, state, control, batches = ArgusCallback(), t.state, t.control, 32_768

    cb.on_train_begin(t.args, state, control, model=t.model)
    for state.epoch in (1.0, 1 + 1 / batches):
        cb.on_epoch_begin(t.args, state, control)
        cb.on_epoch_end(t.args, state, control)
    cb.on_train_end(t.args, state, control)
    cb.flush()

    assert story(sent) == FIT


def test_the_evaluation_at_the_start_belongs_to_no_epoch(sent, tmp_path):
    cb = ArgusCallback()
    t = trainer(cb, tmp_path, eval_on_start=True)

    t.train()
    cb.flush()

    assert [epoch["val_loss"] for epoch in epochs_of(sent)] == logged(t, "eval_loss")[1:]


def test_training_may_stop_early_and_load_the_best_model(sent, story, data_of, tmp_path):
    t = trainer(
        ArgusCallback(),
        tmp_path,
        callbacks=[EarlyStoppingCallback(early_stopping_patience=1)],
        learning_rate=0.0,
        num_train_epochs=5,
        save_strategy="epoch",
        load_best_model_at_end=True,
    )

    t.train()
    t.evaluate()

    assert story(sent) == FIT_AND_TEST
    assert data_of(sent, "job_start")["epochs_total"] == 5


def test_training_may_stop_in_the_middle_of_an_epoch(sent, story, tmp_path):
    cb = ArgusCallback()

    def stop():
        t.control.should_training_stop = True

    t = trainer(cb, tmp_path, callbacks=[At("on_step_end", stop, 6)], num_train_epochs=9)
    t.train()
    cb.flush()

    assert story(sent) == FIT


def test_what_the_user_logs_in_training_belongs_to_the_epoch(sent, tmp_path):
    cb = ArgusCallback()
    user = At("on_step_end", lambda: t.log({"aux": torch.tensor(0.5), "lr": 7, "word": "x", "self": 1}))
    t = trainer(cb, tmp_path, callbacks=[user], eval_strategy="no")

    t.train()
    cb.flush()

    for epoch in epochs_of(sent):
        assert epoch["aux"] == 0.5
        assert "word" not in epoch


def test_a_loss_that_is_no_number_is_shown_as_such(sent, tmp_path):
    class Diverged(Regressor):
        def forward(self, x, labels=None):
            outputs = super().forward(x, labels)
            return {**outputs, "loss": outputs["loss"] * math.nan}

    cb = ArgusCallback()
    trainer(cb, tmp_path, Diverged(), logging_nan_inf_filter=False, max_grad_norm=0.0).train()
    cb.flush()

    assert [epoch["train_loss"] for epoch in epochs_of(sent)] == ["NaN", "NaN"]
    assert [epoch["val_loss"] for epoch in epochs_of(sent)] == ["NaN", "NaN"]


def test_the_epoch_before_a_failing_validation_keeps_its_loss(sent, story, tmp_path):
    cb = ArgusCallback()
    t = trainer(cb, tmp_path, compute_metrics=lambda prediction: 1 / 0)

    with pytest.raises(ZeroDivisionError), cb:
        t.train()

    assert story(sent) == [*ANNOUNCED, "job_epoch 0", "job_failed", "batch_failed"]
    assert epochs_of(sent)[0]["train_loss"] == logged(t, "loss")[0]


def test_scalars_of_every_library_arrive_as_numbers_in_an_epoch(sent, data_of, tmp_path):
    cb = ArgusCallback()
    values = {"a": torch.tensor(0.25), "b": np.float32(0.5), "c": np.array([1, 2]), "d": None}
    t = trainer(cb, tmp_path, compute_metrics=lambda prediction: dict(values))

    t.train()
    cb.flush()

    epoch = data_of(sent, "job_epoch")
    assert {name: epoch.get(f"eval_{name}") for name in values} == {"a": 0.25, "b": 0.5, "c": None, "d": None}


# --- the test stage -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "prefix", ["eval", "test", "val", "held_out", "", "test_mnli-mm", "in/domain", "runtime", "eval_runtime"]
)
@pytest.mark.parametrize("stage", ["evaluate", "predict"])
def test_any_prefix_is_taken_off(sent, story, data_of, tmp_path, prefix, stage):
    t = trainer(ArgusCallback(), tmp_path, num_train_epochs=0)

    t.train()
    if stage == "evaluate":
        measured = t.evaluate(metric_key_prefix=prefix)
    else:
        measured = t.predict(Line(), metric_key_prefix=prefix).metrics

    done = data_of(sent, "job_done")
    assert quality(done["metrics"]) == {"MSE": measured[f"{prefix}_mse"], "loss": measured[f"{prefix}_loss"]}
    assert done["metrics_raw"].keys() == {f"{prefix}_mse", f"{prefix}_loss"}
    assert done["metrics"].keys() >= {"Latency_P50", "Total_Inference_Time", "Inference_Throughput"}


def test_a_metric_may_be_called_a_runtime(sent, data_of, tmp_path):
    t = trainer(ArgusCallback(), tmp_path, compute_metrics=lambda p: {"engine_runtime": 2.0, "mse": 0.5})

    measured = t.evaluate(metric_key_prefix="held_out")

    metrics = data_of(sent, "job_done")["metrics"]
    assert quality(metrics) == {"engine_runtime": 2.0, "MSE": 0.5, "loss": measured["held_out_loss"]}
    assert metrics["Total_Inference_Time"] == measured["held_out_runtime"]


def test_a_dict_of_data_sets_gives_one_revision_and_one_suffix_each(sent, story, data_of, tmp_path):
    cb = ArgusCallback()
    t = trainer(cb, tmp_path, eval_strategy="no")

    t.train()
    measured = t.evaluate({"near": Line(), "far": Line(16)})
    cb.flush()

    assert story(sent) == [*FIT_AND_TEST, "job_done"]
    first, second = (quality(event.data["metrics"]) for event in sent.of_type("job_done"))
    near = {"MSE@near": measured["eval_near_mse"], "loss@near": measured["eval_near_loss"]}
    far = {"MSE@far": measured["eval_far_mse"], "loss@far": measured["eval_far_loss"]}
    assert first == near
    assert second == {**near, **far}


def test_the_trainers_own_dict_of_data_sets_is_known_by_name_too(sent, data_of, tmp_path):
    cb = ArgusCallback()
    t = trainer(cb, tmp_path, eval_dataset={"a": Line(), "b_2": Line(16)})

    t.evaluate(metric_key_prefix="test")
    t.evaluate({3: Line()})
    cb.flush()

    columns = quality(data_of(sent, "job_done")["metrics"]).keys()
    assert columns == {f"{metric}@{name}" for metric in ("MSE", "loss") for name in ("a", "b_2", "3")}


def test_a_prefix_that_looks_like_a_data_set_gives_no_suffix(sent, data_of, tmp_path):
    t = trainer(ArgusCallback(), tmp_path)

    t.evaluate(Line(), metric_key_prefix="eval_near")

    assert quality(data_of(sent, "job_done")["metrics"]).keys() == {"MSE", "loss"}


@pytest.mark.parametrize(("final_stage", "prefix"), [("evaluate", "eval"), ("predict", "test")])
def test_final_stage_can_ignore_the_other_one(sent, story, data_of, tmp_path, final_stage, prefix):
    cb = ArgusCallback(final_stage=final_stage)
    t = trainer(cb, tmp_path)

    t.train()
    t.evaluate()
    t.predict(Line(16))
    t.evaluate()
    cb.flush()

    revisions = 1 if final_stage == "evaluate" else 0
    assert story(sent) == [*FIT_AND_TEST, *["job_done"] * revisions]
    assert data_of(sent, "job_done")["metrics_raw"].keys() == {f"{prefix}_mse", f"{prefix}_loss"}


def test_without_the_stage_that_counts_a_job_stays_untested(sent, story, data_of, tmp_path):
    cb = ArgusCallback(final_stage="predict")
    t = trainer(cb, tmp_path)

    t.train()
    t.evaluate()
    cb.close()

    assert story(sent) == [*FIT, "batch_done"]
    assert data_of(sent, "batch_done").items() >= {"status": "incomplete", "untested": [cb.job_id]}.items()


def test_each_further_stage_is_a_revision_of_the_row(sent, story, data_of, tmp_path):
    cb = ArgusCallback()
    t = trainer(cb, tmp_path)

    t.train()
    t.evaluate(Line())
    t.compute_metrics = lambda prediction: {"mae": 0.5}
    predicted = t.predict(Line(16)).metrics
    t.compute_metrics = lambda prediction: {"mse": 0.25}
    evaluated = t.evaluate(Line(8))
    cb.flush()

    assert story(sent) == [*FIT_AND_TEST, "job_done", "job_done"]
    done = [event.data for event in sent.of_type("job_done")]
    assert {event.job_id for event in sent.of_type("job_done")} == {cb.job_id}
    assert quality(done[1]["metrics"]).keys() == {"MSE", "MAE", "loss"}
    assert done[1]["metrics"]["loss"] == predicted["test_loss"]
    assert quality(done[2]["metrics"]) == {"MSE": 0.25, "MAE": 0.5, "loss": evaluated["eval_loss"]}
    assert done[2]["metrics"]["Total_Inference_Time"] == evaluated["eval_runtime"]
    assert done[2]["metrics"]["Total_Batches"] == 2 * BATCHES


@pytest.mark.parametrize("stage", ["evaluate", "predict"])
def test_a_stage_without_training_announces_its_job(sent, story, data_of, tmp_path, stage):
    t = trainer(ArgusCallback(), tmp_path)

    measured = t.evaluate(Line(16)) if stage == "evaluate" else t.predict(Line(16)).metrics

    assert story(sent) == [*ANNOUNCED, "job_done", "batch_done"]
    facts = {"model": "Regressor", "dataset": "Line", "seed": 5, "framework": "transformers"}
    assert data_of(sent, "job_start") == facts
    metrics = data_of(sent, "job_done")["metrics"]
    assert metrics.keys() - MAYBE_COLUMNS == {"MSE", "loss"} | TEST_COLUMNS - MAYBE_COLUMNS
    assert any("model_preparation_time" in name for name in measured)  # and yet no column


def test_a_prediction_without_labels_has_cost_and_no_quality(sent, story, data_of, tmp_path):
    t = trainer(ArgusCallback(), tmp_path)

    t.train()
    t.predict(Unlabelled())

    assert story(sent) == FIT_AND_TEST
    assert quality(data_of(sent, "job_done")["metrics"]) == {}


def test_without_compute_metrics_the_loss_is_the_result(sent, data_of, tmp_path):
    t = trainer(ArgusCallback(), tmp_path, compute_metrics=None)

    t.train()
    measured = t.predict(Line()).metrics

    assert quality(data_of(sent, "job_done")["metrics"]) == {"loss": measured["test_loss"]}


def test_metrics_of_every_kind_reach_the_callback(sent, data_of, tmp_path):
    t = trainer(ArgusCallback(), tmp_path)
    t.compute_metrics = lambda p: {
        "f1_score": np.float32(0.5),
        "count": np.int64(3),
        "flag": True,
        "tensor": torch.tensor(0.25),
        "array of one": np.array([0.75]),
        "nested": {"a": 1, "b": {"c": 2.5}},
        "word": "good",
        "bad": math.nan,
        "worse": -math.inf,
        "curve": [1, 2],
        "matrix": np.eye(2),
        "nothing": None,
        "thing": object(),
        "latency_step": 3,
    }

    t.evaluate()

    done = data_of(sent, "job_done")
    own = quality(done["metrics"])
    own.pop("loss")
    assert own == {
        "f1": 0.5,
        "count": 3,
        "flag": True,
        "tensor": 0.25,
        "array of one": 0.75,
        "nested/a": 1,
        "nested/b/c": 2.5,
        "word": "good",
        "bad": "NaN",
        "worse": "-Infinity",
    }
    assert set(done["dropped"]) == {"eval_curve", "eval_matrix", "eval_nothing", "eval_thing"}


def test_memory_metrics_of_the_trainer_are_no_columns(sent, data_of, tmp_path):
    t = trainer(ArgusCallback(), tmp_path, skip_memory_metrics=False)

    t.train()
    measured = t.evaluate()

    assert any("_mem_" in name for name in measured)
    assert not any("mem_" in name for epoch in epochs_of(sent) for name in epoch)
    assert quality(data_of(sent, "job_done")["metrics"]).keys() == {"MSE", "loss"}


def test_names_can_be_chosen(sent, data_of, tmp_path):
    t = trainer(ArgusCallback(metric_names={"eval_mse": "error"}), tmp_path)
    t.evaluate()
    raw = trainer(ArgusCallback(metric_names="raw"), tmp_path)
    raw.evaluate()

    chosen, as_they_are = (quality(event.data["metrics"]) for event in sent.of_type("job_done"))
    assert chosen.keys() == {"error", "loss"}
    assert as_they_are.keys() == {"eval_mse", "eval_loss"}


def test_a_seq2seq_trainer_that_generates_is_a_trainer(sent, story, data_of, tmp_path):
    from transformers import Seq2SeqTrainer, Seq2SeqTrainingArguments, T5Config, T5ForConditionalGeneration

    config = T5Config(
        vocab_size=16, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2, decoder_start_token_id=0
    )
    rows = [{"input_ids": [3, 4, 5, 1], "labels": [6, 7, 1]}] * 4
    arguments = Seq2SeqTrainingArguments(
        output_dir=str(tmp_path),
        num_train_epochs=1,
        per_device_train_batch_size=2,
        per_device_eval_batch_size=2,
        eval_strategy="epoch",
        logging_strategy="epoch",
        save_strategy="no",
        predict_with_generate=True,
        generation_max_length=5,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
    )
    t = Seq2SeqTrainer(
        T5ForConditionalGeneration(config),
        arguments,
        train_dataset=rows,
        eval_dataset=rows,
        compute_metrics=lambda p: {"bleu": 0.5, "gen_len": float(p.predictions.shape[1])},
        callbacks=[ArgusCallback()],
    )

    t.train()
    measured = t.predict(rows, max_length=6).metrics

    assert story(sent) == [*ANNOUNCED, "job_epoch 0", "job_done", "batch_done"]
    assert epochs_of(sent)[0]["eval_bleu"] == 0.5
    done = {"bleu": 0.5, "gen_len": measured["test_gen_len"], "loss": measured["test_loss"]}
    assert quality(data_of(sent, "job_done")["metrics"]) == done
    assert data_of(sent, "job_start")["model"] == "T5ForConditionalGeneration"


def test_metrics_may_be_computed_batch_by_batch(sent, story, data_of, tmp_path):
    t = trainer(
        ArgusCallback(),
        tmp_path,
        batch_eval_metrics=True,
        compute_metrics=lambda p, compute_result: {"mse": 0.5} if compute_result else {},
    )

    t.train()
    t.evaluate()

    assert story(sent) == FIT_AND_TEST
    assert data_of(sent, "job_done")["metrics"]["MSE"] == 0.5


# --- cost -----------------------------------------------------------------------------------------


class Slow(Regressor):
    """Takes `PAUSE_S` for a batch of an evaluation."""

    PAUSE_S = 0.04

    def forward(self, x, labels=None):
        if not self.training:
            time.sleep(self.PAUSE_S)
        return super().forward(x, labels)


def test_the_footprint_is_in_the_metrics(sent, data_of, tmp_path):
    t = trainer(ArgusCallback(), tmp_path, gradient_accumulation_steps=3, per_device_eval_batch_size=2)

    t.train()
    measured = t.evaluate()

    done = data_of(sent, "job_done")
    metrics = done["metrics"]
    assert metrics["Total_Batches"] == 2 * BATCHES
    assert metrics["Avg_Batch_Time"] * BATCHES == pytest.approx(metrics["Avg_Epoch_Time"])
    assert metrics["Samples_Per_Second"] * 2 * metrics["Avg_Epoch_Time"] == pytest.approx(2 * SAMPLES)
    assert metrics["Total_Inference_Time"] == measured["eval_runtime"]
    assert metrics["Inference_Throughput"] * metrics["Total_Inference_Time"] == pytest.approx(SAMPLES)
    assert metrics["Latency_P50"] <= metrics["Latency_P95"] <= metrics["Latency_P99"]
    assert metrics["Model_Params"] == 3
    assert metrics["Model_Size"] == 3 * 4 / 1e6
    assert metrics["seed"] == 5
    assert done["latency_warmup"] == 1


@pytest.mark.parametrize("eval_strategy", ["epoch", "steps"])
def test_validation_counts_as_training_time_but_not_as_epoch_time(sent, data_of, tmp_path, eval_strategy):
    t = trainer(ArgusCallback(), tmp_path, Slow(), eval_strategy=eval_strategy, eval_steps=2)

    t.train()
    t.evaluate()

    metrics = data_of(sent, "job_done")["metrics"]
    validations = 2 if eval_strategy == "epoch" else 4
    assert metrics["Total_Train_Time"] > validations * BATCHES * Slow.PAUSE_S
    assert metrics["Avg_Epoch_Time"] < BATCHES * Slow.PAUSE_S


@pytest.mark.parametrize("listed", [1, 2, 3])
@pytest.mark.parametrize("stage", ["evaluate", "predict"])
def test_latencies_are_those_of_the_batches(sent, data_of, tmp_path, listed, stage):
    cb = ArgusCallback()
    t = trainer(cb, tmp_path, Slow(), callbacks=[cb] * (listed - 1))

    t.evaluate() if stage == "evaluate" else t.predict(Line())

    metrics = data_of(sent, "job_done")["metrics"]
    assert Slow.PAUSE_S * 0.95 <= metrics["Latency_P50"] < Slow.PAUSE_S * 10
    assert metrics["Total_Inference_Time"] >= BATCHES * Slow.PAUSE_S


def test_an_evaluation_that_failed_leaves_nothing_to_the_next(sent, data_of, tmp_path):
    t = trainer(ArgusCallback(), tmp_path)
    t.train()
    t.compute_metrics = lambda prediction: 1 / 0
    with pytest.raises(ZeroDivisionError):
        t.evaluate()
    time.sleep(1)

    t.compute_metrics = mse
    t.evaluate()

    assert data_of(sent, "job_done")["metrics"]["Latency_P99"] < 0.5


def test_an_evaluation_after_a_failed_training_is_measured(sent, data_of, tmp_path):
    cb = ArgusCallback()
    t = trainer(cb, tmp_path, Slow(), callbacks=[raising("on_step_end", ValueError("boom"), 6)])
    with pytest.raises(ValueError, match="boom"):
        t.train()

    t.evaluate()
    cb.flush()

    assert data_of(sent, "job_done")["metrics"]["Latency_P50"] >= Slow.PAUSE_S * 0.95


def test_samples_are_counted_however_short_the_evaluation(sent, data_of, tmp_path):
    """The Trainer rounds a runtime to a tenth of a millisecond."""
    rows = [Line()[0]] * 4000
    t = trainer(ArgusCallback(), tmp_path, eval_dataset=rows, per_device_eval_batch_size=4000)

    t.evaluate()

    metrics = data_of(sent, "job_done")["metrics"]
    assert metrics["Inference_Throughput"] * metrics["Total_Inference_Time"] == pytest.approx(4000)


def test_streams_are_counted_by_their_batches(sent, data_of, tmp_path):
    t = trainer(ArgusCallback(), tmp_path, train_dataset=Stream(), eval_dataset=Stream(), max_steps=BATCHES)

    t.train()
    t.evaluate()

    metrics = data_of(sent, "job_done")["metrics"]
    assert metrics["Samples_Per_Second"] * metrics["Avg_Epoch_Time"] == pytest.approx(SAMPLES)
    throughput = metrics["Inference_Throughput"] * metrics["Total_Inference_Time"]
    assert throughput == pytest.approx(SAMPLES, rel=0.1)


@pytest.mark.parametrize("footprint", [True, False])
def test_a_users_metric_wins_over_a_column_of_cost(sent, data_of, tmp_path, footprint):
    t = trainer(ArgusCallback(footprint=footprint), tmp_path)
    t.compute_metrics = lambda prediction: {"Latency_P50": 7.0}

    t.evaluate()

    metrics = data_of(sent, "job_done")["metrics"]
    assert metrics["Latency_P50"] == 7.0
    assert ("Latency_P95" in metrics) is footprint


def test_a_subclass_of_the_trainer_may_pass_its_own_state_of_things(sent, story, tmp_path):
    class Mine(Trainer):
        def evaluate(self, eval_dataset=None, ignore_keys=None, metric_key_prefix="eval"):
            metrics = super().evaluate(eval_dataset, ignore_keys, metric_key_prefix)
            metrics["eval_added_later"] = 1.0
            return metrics

    t = trainer(ArgusCallback(), tmp_path, trainer_class=Mine)
    t.train()
    t.evaluate()

    assert story(sent) == FIT_AND_TEST
