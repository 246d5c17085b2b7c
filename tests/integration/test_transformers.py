"""`argus_integrations.transformers` under the real Trainer."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, IterableDataset
from transformers import Trainer, TrainerCallback, TrainingArguments

from argus_core.reporter import Reporter
from argus_integrations.transformers import ArgusCallback, register

SAMPLES = 32
X = torch.linspace(-1, 1, SAMPLES * 2).reshape(-1, 2)
Y = X.sum(1, keepdim=True)

FIT = ["batch_start", "job_start", "job_epoch 0", "job_epoch 1"]
FIT_AND_TEST = [*FIT, "job_done", "batch_done"]


class Line(Dataset):
    def __init__(self, samples=SAMPLES):
        self.samples = samples

    def __len__(self):
        return self.samples

    def __getitem__(self, index):
        return {"x": X[index], "labels": Y[index]}


class Stream(IterableDataset):
    def __iter__(self):
        return iter(Line()[index] for index in range(SAMPLES))


class Regressor(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)

    def forward(self, x, labels=None):
        predicted = self.layer(x)
        return {"loss": torch.nn.functional.mse_loss(predicted, labels), "logits": predicted}


def mse(prediction):
    return {"mse": float(np.square(prediction.predictions - prediction.label_ids).mean())}


def trainer(cb, tmp_path, model=None, callbacks=(), **options):
    sets = {name: options.pop(name) for name in ("train_dataset", "eval_dataset") if name in options}
    others = {name: options.pop(name) for name in ("model_init",) if name in options}
    arguments = TrainingArguments(
        output_dir=str(tmp_path),
        **{
            "num_train_epochs": 2,
            "per_device_train_batch_size": 8,
            "per_device_eval_batch_size": 8,
            "learning_rate": 0.1,
            "eval_strategy": "epoch",
            "logging_strategy": "epoch",
            "save_strategy": "no",
            "report_to": [],
            "use_cpu": True,
            "disable_tqdm": True,
            "seed": 5,
            **options,
        },
    )
    return Trainer(
        None if others else model or Regressor(),
        arguments,
        **{"train_dataset": Line(), "eval_dataset": Line(), **sets},
        compute_metrics=mse,
        callbacks=[*([cb] if cb else []), *callbacks],
        **others,
    )


@pytest.mark.parametrize("stage", ["evaluate", "predict"])
def test_train_validate_and_test_are_five_kinds_of_events(sent, story, data_of, tmp_path, stage):
    cb = ArgusCallback(project="p", model="regressor")
    t = trainer(cb, tmp_path)

    t.train()
    measured = t.evaluate() if stage == "evaluate" else t.predict(Line()).metrics

    assert story(sent) == FIT_AND_TEST
    assert data_of(sent, "job_start") == {
        "model": "regressor",
        "dataset": "Line",
        "seed": 5,
        "epochs_total": 2,
        "framework": "transformers",
    }
    epoch = data_of(sent, "job_epoch")
    assert epoch.keys() >= {"epoch", "train_loss", "val_loss", "lr", "batch_time_ms", "eval_mse"}
    assert not any(name.endswith(("_runtime", "_per_second")) for name in epoch)
    metrics = data_of(sent, "job_done")["metrics"]
    assert metrics["MSE"] == pytest.approx(measured["eval_mse" if stage == "evaluate" else "test_mse"])
    assert not any(name.startswith(("eval", "test", "epoch")) for name in metrics)


def test_the_users_metrics_are_not_touched(sent, tmp_path):
    plain, watched = trainer(None, tmp_path), trainer(ArgusCallback(), tmp_path)

    assert plain.evaluate().keys() == watched.evaluate().keys()
    plain.train()
    watched.train()
    assert watched.evaluate().keys() == plain.evaluate().keys()
    assert type(watched.control) is type(plain.control)


def test_any_prefix_is_taken_off(sent, data_of, tmp_path):
    t = trainer(ArgusCallback(), tmp_path)

    t.train()
    t.evaluate(metric_key_prefix="held_out")

    assert data_of(sent, "job_done")["metrics"].keys() >= {"MSE", "loss"}


def test_a_dict_of_data_sets_gives_one_revision_and_one_suffix_each(sent, story, data_of, tmp_path):
    cb = ArgusCallback()
    t = trainer(cb, tmp_path, eval_strategy="no")

    t.train()
    t.evaluate({"near": Line(), "far": Line(16)})
    cb.flush()

    assert story(sent) == [*FIT_AND_TEST, "job_done"]
    assert {"MSE@near", "MSE@far", "loss@near"} <= data_of(sent, "job_done")["metrics"].keys()


def test_final_stage_can_ignore_the_other_one(sent, story, tmp_path):
    cb = ArgusCallback(final_stage="predict")
    t = trainer(cb, tmp_path)

    t.train()
    t.evaluate()
    t.predict(Line())
    cb.flush()

    assert story(sent) == FIT_AND_TEST
    assert "test_mse" in sent.of_type("job_done")[0].data["metrics_raw"]


def test_evaluation_after_training_and_prediction_are_merged(sent, story, tmp_path):
    cb = ArgusCallback()
    t = trainer(cb, tmp_path)

    t.train()
    t.evaluate()
    t.predict(Line())
    cb.flush()

    assert story(sent) == [*FIT_AND_TEST, "job_done"]


def test_evaluation_without_training_announces_its_job(sent, story, tmp_path):
    trainer(ArgusCallback(), tmp_path).evaluate()

    assert story(sent) == ["batch_start", "job_start", "job_done", "batch_done"]


def test_the_footprint_is_in_the_metrics(sent, data_of, tmp_path):
    t = trainer(ArgusCallback(), tmp_path, gradient_accumulation_steps=3, per_device_eval_batch_size=2)

    t.train()
    t.evaluate()

    done = data_of(sent, "job_done")
    metrics = done["metrics"]
    assert metrics["Total_Batches"] == 2 * SAMPLES / 8
    assert metrics["Samples_Per_Second"] * 2 * metrics["Avg_Epoch_Time"] == pytest.approx(2 * SAMPLES)
    assert metrics["Inference_Throughput"] * metrics["Total_Inference_Time"] == pytest.approx(SAMPLES)
    assert metrics["Latency_P50"] <= metrics["Latency_P95"] <= metrics["Latency_P99"]
    assert metrics["Model_Params"] == 3
    assert metrics["seed"] == 5
    assert done["latency_warmup"] == 1


def test_an_epoch_has_the_mean_of_its_losses_and_its_own_evaluations(sent, tmp_path):
    losses = []

    class Keep(TrainerCallback):
        def on_log(self, args, state, control, logs=None, **kwargs):
            if "loss" in logs:
                losses.append(logs["loss"])

    cb = ArgusCallback()
    t = trainer(
        cb,
        tmp_path,
        callbacks=[Keep()],
        logging_strategy="steps",
        logging_steps=1,
        eval_strategy="steps",
        eval_steps=6,
    )

    t.train()
    cb.flush()

    epochs = [event.data for event in sent.of_type("job_epoch")]
    assert [epoch["train_loss"] for epoch in epochs] == pytest.approx(
        [np.mean(losses[:4]), np.mean(losses[4:])]
    )
    assert ["val_loss" in epoch for epoch in epochs] == [False, True]


@pytest.mark.parametrize(
    ("options", "epochs_total", "epochs"),
    [
        ({"max_steps": 2}, 1, [0]),
        ({"num_train_epochs": 1.5}, 2, [0, 1]),
        ({"eval_on_start": True}, 2, [0, 1]),
        ({"num_train_epochs": 0}, None, []),
        ({"train_dataset": Stream(), "max_steps": 6}, None, [0, 1]),
    ],
)
def test_unusual_lengths_of_training(sent, data_of, tmp_path, options, epochs_total, epochs):
    cb = ArgusCallback()

    trainer(cb, tmp_path, **options).train()
    cb.flush()

    assert data_of(sent, "job_start").get("epochs_total") == epochs_total
    assert [event.data["epoch"] for event in sent.of_type("job_epoch")] == epochs


def test_a_resumed_run_counts_on(sent, story, tmp_path):
    trainer(None, tmp_path, save_strategy="epoch", num_train_epochs=2).train()
    cb = ArgusCallback()

    trainer(cb, tmp_path, num_train_epochs=3).train(resume_from_checkpoint=True)
    cb.flush()

    assert story(sent) == ["batch_start", "job_start", "job_epoch 2"]


def test_the_best_model_may_be_loaded_at_the_end(sent, story, tmp_path):
    t = trainer(ArgusCallback(), tmp_path, save_strategy="epoch", load_best_model_at_end=True)

    t.train()
    t.evaluate()

    assert story(sent) == FIT_AND_TEST


def test_metrics_of_every_kind_reach_the_callback(sent, data_of, tmp_path):
    t = trainer(ArgusCallback(), tmp_path)
    t.compute_metrics = lambda p: {
        "f1_score": np.float32(0.5),
        "count": np.int64(3),
        "tensor": torch.tensor(0.25),
        "nested": {"a": 1},
        "curve": [1, 2],
        "nothing": None,
        "bad": float("nan"),
    }

    t.evaluate()

    done = data_of(sent, "job_done")
    assert done["metrics"]["f1"] == 0.5
    assert (done["metrics"]["count"], done["metrics"]["tensor"]) == (3, 0.25)
    assert done["metrics"]["bad"] == "NaN"
    assert {"eval_curve", "eval_nothing"} <= set(done["dropped"])


def test_scalars_of_every_library_arrive_as_numbers_in_an_epoch(sent, data_of, tmp_path):
    cb = ArgusCallback()
    t = trainer(cb, tmp_path)
    t.compute_metrics = lambda p: {"a": torch.tensor(0.25), "b": np.float32(0.5)}

    t.train()
    cb.flush()

    epoch = data_of(sent, "job_epoch")
    assert (epoch["eval_a"], epoch["eval_b"]) == (0.25, 0.5)


# --- failure --------------------------------------------------------------------------------------


class FailInEpoch1(TrainerCallback):
    def __init__(self, error):
        self.error = error

    def on_step_begin(self, args, state, control, **kwargs):
        if state.global_step == 5:
            raise self.error


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError("boom"), "failed"), (KeyboardInterrupt(), "interrupted")]
)
def test_inside_with_an_exception_fails_the_job(sent, story, data_of, tmp_path, error, status):
    cb = ArgusCallback()
    t = trainer(cb, tmp_path, callbacks=[FailInEpoch1(error)])

    with pytest.raises(type(error)), cb:
        t.train()

    assert story(sent) == ["batch_start", "job_start", "job_epoch 0", "job_failed", "batch_failed"]
    assert data_of(sent, "job_failed")["status"] == status


def test_an_evaluation_after_a_failure_is_a_test_and_makes_the_job_done(sent, story, tmp_path):
    cb = ArgusCallback()
    t = trainer(cb, tmp_path, callbacks=[FailInEpoch1(ValueError("boom"))])

    with pytest.raises(ValueError, match="boom"):
        t.train()
    t.evaluate()
    cb.flush()

    assert [word for word in story(sent) if "epoch" not in word] == [
        "batch_start",
        "job_start",
        "job_failed",
        "batch_failed",
        "job_done",
    ]


# --- identity -------------------------------------------------------------------------------------


def test_a_callback_that_is_listed_twice_reports_once(sent, story, data_of, tmp_path):
    cb = ArgusCallback()
    t = trainer(cb, tmp_path, callbacks=[cb], gradient_accumulation_steps=3)

    t.train()
    t.evaluate()
    cb.flush()

    assert story(sent) == FIT_AND_TEST
    assert data_of(sent, "job_done")["metrics"]["Total_Batches"] == 2 * SAMPLES / 8


def test_each_training_of_a_new_model_is_a_job(sent, story, tmp_path):
    cb = ArgusCallback()
    t = trainer(cb, tmp_path, model_init=Regressor, num_train_epochs=1)

    t.train()
    t.train()
    cb.flush()

    assert story(sent) == ["batch_start", *["job_start", "job_epoch 0"] * 2]


def test_each_trial_of_a_search_is_a_job_of_one_batch(sent, story, tmp_path):
    cb = ArgusCallback()

    class Search(TrainerCallback):
        """Stands for a search backend, which shows in the state alone."""

        def __init__(self):
            self.rate = 0.0

        def on_train_begin(self, args, state, control, **kwargs):
            self.rate += 0.1
            state.is_hyper_param_search = True
            state.trial_params = {"learning_rate": round(self.rate, 1)}

    t = trainer(None, tmp_path, callbacks=[Search(), cb], num_train_epochs=1)

    for _ in range(2):
        t.train()
    cb.close()

    assert story(sent) == ["batch_start", *["job_start", "job_epoch 0"] * 2, "batch_done"]
    starts = sent.of_type("job_start")
    assert len({event.job_id for event in starts}) == 2
    assert [event.data["trial_params"] for event in starts] == [
        {"learning_rate": 0.1},
        {"learning_rate": 0.2},
    ]


def test_jobs_of_a_reporter_share_its_batch(sent, story, tmp_path):
    with Reporter("sweep") as reporter:
        for seed in (0, 1):
            t = trainer(ArgusCallback(batch=reporter, seed=seed), tmp_path, num_train_epochs=1)
            t.train()
            t.evaluate()

    job = ["job_start", "job_epoch 0", "job_done"]
    assert story(sent) == ["batch_start", *job, *job, "batch_done"]


def test_copies(sent):
    cb = ArgusCallback(token="em_live_secret")

    assert pickle.loads(pickle.dumps(cb)).job_id == cb.job_id
    assert copy.deepcopy(cb).job_id != cb.job_id
    assert b"em_live_secret" not in pickle.dumps(cb)


def test_it_can_be_registered_for_report_to(sent, story, tmp_path):
    register()

    t = trainer(None, tmp_path, report_to=["argus"])
    t.train()
    t.evaluate()

    assert story(sent) == FIT_AND_TEST


def test_only_global_rank_zero_reports(sent, tmp_path):
    cb = ArgusCallback()
    t = trainer(cb, tmp_path)
    t.is_world_process_zero = lambda: False
    t.train()
    t.evaluate()
    cb.close()

    assert sent.events == []
