"""`argus_integrations.lightning` under real trainers."""

from __future__ import annotations

import copy
import logging
import os
import pickle
from typing import ClassVar

import lightning.pytorch as pl
import numpy as np
import pytest
import pytorch_lightning
import torch
from integration.tiny_lightning import BATCH_SIZE, BATCHES, FIT_AND_TEST, loader, regressor, trainer
from lightning.pytorch.callbacks import LearningRateFinder
from lightning.pytorch.tuner import Tuner
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset

from argus_core.reporter import Reporter
from argus_integrations.lightning import ArgusCallback


@pytest.mark.parametrize("namespace", [pl, pytorch_lightning], ids=["lightning", "pytorch_lightning"])
@pytest.mark.parametrize("bare", [False, True], ids=["list", "bare"])
def test_fit_validate_and_test_are_five_kinds_of_events(sent, story, data_of, namespace, bare):
    cb = ArgusCallback(project="p", dataset="line", seed=7)
    model = regressor(namespace)
    t = trainer(cb if bare else [cb], namespace)

    t.fit(model, loader(), loader())
    t.test(model, loader(), verbose=False)

    assert story(sent) == FIT_AND_TEST
    assert {event.job_id for event in sent.events if event.event_type.startswith("job")} == {cb.job_id}
    assert data_of(sent, "job_start") == {
        "model": "Regressor",
        "dataset": "line",
        "seed": 7,
        "epochs_total": 2,
        "framework": "lightning",
    }
    epoch = data_of(sent, "job_epoch")
    assert set(epoch) == {"epoch", "train_loss", "val_loss", "lr", "batch_time_ms"}
    assert epoch["lr"] == pytest.approx(0.1)
    done = data_of(sent, "job_done")
    assert done["metrics"]["MSE"] == pytest.approx(float(t.callback_metrics["test_mse"]))
    assert done["metrics_raw"] == {"test_mse": done["metrics"]["MSE"]}
    assert done["train_epochs"] == 2
    assert "train_loss" not in done["metrics"]


def test_the_footprint_is_in_the_metrics_and_can_be_switched_off(sent, data_of):
    for footprint in (True, False):
        cb = ArgusCallback(seed=7, footprint=footprint)
        model = regressor()
        t = trainer([cb])

        t.fit(model, loader(), loader())
        t.test(model, loader(12), verbose=False)

        metrics = data_of(sent, "job_done")["metrics"]
        if not footprint:
            assert metrics.keys() == {"MSE"}
            continue
        assert metrics.keys() >= {
            "Total_Train_Time",
            "Avg_Epoch_Time",
            "Avg_Batch_Time",
            "Samples_Per_Second",
            "Latency_P50",
            "Latency_P99",
            "Inference_Time_Per_Sample",
            "Inference_Throughput",
            "CPU_Memory",
            "Model_Size",
        }
        assert metrics["Total_Batches"] == 2 * BATCHES
        assert metrics["Model_Params"] == 3
        assert metrics["seed"] == 7
        assert metrics["Avg_Epoch_Time"] * 2 <= metrics["Total_Train_Time"]
        assert not any(name.startswith("GPU") for name in metrics)
        samples = metrics["Inference_Throughput"] * metrics["Total_Inference_Time"]
        assert samples == pytest.approx(12 * BATCH_SIZE)
        assert data_of(sent, "job_done")["latency_warmup"] == 1


def test_an_epoch_shows_validation_metrics_only_if_validation_ran_in_it(sent):
    cb = ArgusCallback()
    t = trainer([cb], max_epochs=5, check_val_every_n_epoch=2)

    t.fit(regressor(), loader(), loader())
    cb.flush()

    assert ["val_loss" in event.data for event in sent.of_type("job_epoch")] == [
        False,
        True,
        False,
        True,
        False,
    ]


def test_what_a_module_logs_after_the_callbacks_belongs_to_its_epoch_and_its_test(sent, data_of):
    def on_train_epoch_end(self):
        self.log("late", float(self.current_epoch))

    def on_test_epoch_end(self):
        self.log("test_late", 42.0)

    cb = ArgusCallback()
    model = regressor(on_train_epoch_end=on_train_epoch_end, on_test_epoch_end=on_test_epoch_end)
    t = trainer([cb])

    t.fit(model, loader(), loader())
    t.test(model, loader(), verbose=False)

    assert [event.data["late"] for event in sent.of_type("job_epoch")] == [0.0, 1.0]
    assert data_of(sent, "job_done")["metrics"]["late"] == 42.0


def test_validate_and_predict_end_no_job(sent, story):
    cb = ArgusCallback()
    model = regressor()
    t = trainer([cb])

    t.fit(model, loader(), loader())
    t.validate(model, loader(), verbose=False)
    t.predict(model, loader())
    cb.flush()

    assert story(sent) == FIT_AND_TEST[:-2]


def test_a_test_without_a_fit_announces_its_job(sent, story, data_of):
    t = trainer([ArgusCallback()])

    t.test(regressor(), loader(), verbose=False)

    assert story(sent) == ["batch_start", "job_start", "job_done", "batch_done"]
    assert "train_epochs" not in data_of(sent, "job_done")
    assert "Total_Train_Time" not in data_of(sent, "job_done")["metrics"]
    assert "epochs_total" not in data_of(sent, "job_start")


def test_a_second_test_revises_the_row_with_the_merged_metrics(sent, story, data_of):
    cb = ArgusCallback()
    model = regressor()
    t = trainer([cb])

    t.fit(model, loader())
    t.test(model, loader(), verbose=False)
    type(model).test_step = lambda self, batch, batch_idx: self.log("test_extra", 1.0)
    t.test(model, loader(), verbose=False)
    cb.flush()

    assert story(sent) == [*FIT_AND_TEST, "job_done"]
    assert len({event.job_id for event in sent.of_type("job_done")}) == 1
    assert data_of(sent, "job_done")["metrics"].keys() >= {"MSE", "extra"}


def test_another_trainer_may_test(sent, story):
    cb = ArgusCallback()
    model = regressor()

    trainer([cb]).fit(model, loader())
    trainer([cb]).test(model, loader(), verbose=False)

    assert story(sent) == FIT_AND_TEST


def test_a_trained_job_may_be_tested_through_a_model_loaded_from_its_checkpoint(sent, story):
    cb = ArgusCallback()

    trainer([cb]).fit(regressor(), loader())
    trainer([cb]).test(regressor(), loader(), verbose=False)

    assert story(sent) == FIT_AND_TEST


def test_several_test_loaders_become_columns_with_a_suffix(sent, data_of):
    t = trainer([ArgusCallback()])

    t.test(regressor(), [loader(), loader(2)], verbose=False)

    metrics = data_of(sent, "job_done")["metrics"]
    assert {"MSE@0", "MSE@1"} <= metrics.keys()
    assert metrics["Inference_Throughput"] * metrics["Total_Inference_Time"] == pytest.approx(
        (BATCHES + 2) * BATCH_SIZE
    )


def test_a_fit_after_done_is_a_new_job_of_the_same_batch(sent, story):
    cb = ArgusCallback()

    for _ in range(2):
        model = regressor()
        trainer([cb], max_epochs=1).fit(model, loader())
        trainer([cb]).test(model, loader(), verbose=False)
    cb.flush()

    assert story(sent) == [
        "batch_start",
        "job_start",
        "job_epoch 0",
        "job_done",
        "batch_done",
        "job_start",
        "job_epoch 0",
        "job_done",
    ]
    assert len({event.job_id for event in sent.of_type("job_done")}) == 2
    assert len({event.batch_id for event in sent.events}) == 1


def test_a_second_fit_of_the_same_model_before_a_test_continues_the_job(sent, story):
    cb = ArgusCallback()
    model = regressor()

    for _ in range(2):
        trainer([cb], max_epochs=2).fit(model, loader())
    trainer([cb]).test(model, loader(), verbose=False)

    assert story(sent) == [
        "batch_start",
        "job_start",
        *(f"job_epoch {epoch}" for epoch in range(4)),
        "job_done",
        "batch_done",
    ]


def test_a_resumed_run_counts_on(sent, story, tmp_path):
    model = regressor()
    first = trainer([], max_epochs=2)
    first.fit(model, loader())
    first.save_checkpoint(tmp_path / "two.ckpt")
    cb = ArgusCallback()

    trainer([cb], max_epochs=3).fit(model, loader(), ckpt_path=tmp_path / "two.ckpt", weights_only=False)
    cb.flush()

    assert story(sent) == ["batch_start", "job_start", "job_epoch 2"]


def test_the_best_checkpoint_can_be_tested_and_holds_nothing_of_the_callback(sent, story, tmp_path):
    cb = ArgusCallback(token="em_live_secret")
    checkpoint = pl.callbacks.ModelCheckpoint(tmp_path, monitor="val_loss")
    model = regressor()
    t = trainer([cb, checkpoint], enable_checkpointing=True)

    t.fit(model, loader(), loader())
    t.test(model, loader(), ckpt_path="best", verbose=False)

    assert story(sent) == FIT_AND_TEST
    saved = torch.load(checkpoint.best_model_path, weights_only=True)
    assert not any("Argus" in key for key in saved["callbacks"])


@pytest.mark.parametrize(
    ("options", "epochs_total", "epochs"),
    [
        ({"max_epochs": -1, "max_steps": 6}, None, [0, 1]),
        ({"max_epochs": 2, "limit_train_batches": 1}, 2, [0, 1]),
        ({"max_epochs": 2, "accumulate_grad_batches": 3}, 2, [0, 1]),
        ({"max_epochs": 2, "num_sanity_val_steps": 0, "val_check_interval": 2}, 2, [0, 1]),
    ],
)
def test_unusual_lengths_of_training(sent, data_of, options, epochs_total, epochs):
    cb = ArgusCallback()

    trainer([cb], **options).fit(regressor(), loader(), loader())
    cb.flush()

    assert data_of(sent, "job_start").get("epochs_total") == epochs_total
    assert [event.data["epoch"] for event in sent.of_type("job_epoch")] == epochs


def test_early_stopping_is_a_normal_end(sent, story):
    def stop_early(self):
        self.trainer.should_stop = True

    cb = ArgusCallback()
    model = regressor(on_train_epoch_end=stop_early)
    t = trainer([cb], max_epochs=10)

    t.fit(model, loader())
    t.test(model, loader(), verbose=False)

    assert story(sent) == ["batch_start", "job_start", "job_epoch 0", "job_done", "batch_done"]


def test_an_iterable_dataset_has_no_length_and_needs_none(sent, story, data_of):
    class Stream(IterableDataset):
        def __iter__(self):
            for _ in range(10):
                yield torch.ones(2), torch.ones(1)

    cb = ArgusCallback()
    model = regressor()
    t = trainer([cb], max_epochs=1)

    t.fit(model, DataLoader(Stream(), 4))
    t.test(model, DataLoader(Stream(), 4), verbose=False)

    assert story(sent) == ["batch_start", "job_start", "job_epoch 0", "job_done", "batch_done"]
    assert data_of(sent, "job_done")["metrics"]["Total_Batches"] == 3


def test_a_fast_dev_run_is_flagged(sent, data_of):
    cb = ArgusCallback()
    model = regressor()
    t = trainer([cb], fast_dev_run=True)

    t.fit(model, loader(), loader())
    t.test(model, loader(), verbose=False)

    assert data_of(sent, "job_start")["fast_dev_run"] is True
    assert data_of(sent, "job_done")["fast_dev_run"] is True


def test_what_never_trains_reports_nothing(sent):
    def broken(self):
        raise ValueError("no optimizer")

    trainer([ArgusCallback()], max_epochs=0).fit(regressor(), loader())
    trainer([ArgusCallback()], limit_train_batches=0).fit(regressor(), loader())
    trainer([ArgusCallback()], limit_test_batches=0).test(regressor(), loader(), verbose=False)
    with pytest.raises(ValueError, match="no optimizer"):
        trainer([ArgusCallback()]).fit(regressor(configure_optimizers=broken), loader())

    assert sent.events == []


def test_a_tuner_reports_nothing_and_the_fit_after_it_is_one_job(sent, story, tmp_path):
    cb = ArgusCallback()
    t = trainer([cb], default_root_dir=tmp_path)
    loaders = dict.fromkeys(("train_dataloader", "val_dataloader"), lambda self: loader())
    model = regressor(**loaders)
    model.lr, model.batch_size = 0.1, BATCH_SIZE

    Tuner(t).scale_batch_size(model, max_trials=2, steps_per_trial=1)
    Tuner(t).lr_find(model, loader(), num_training=10)
    cb.flush()
    reported_while_tuning = story(sent)
    t.fit(model, loader())
    t.test(model, loader(), verbose=False)

    assert reported_while_tuning == []
    assert story(sent) == FIT_AND_TEST
    assert {event.job_id for event in sent.events if event.job_id} == {cb.job_id}


def test_a_learning_rate_finder_in_the_fit_reports_one_job(sent, story, tmp_path):
    cb = ArgusCallback()
    finder = LearningRateFinder(num_training_steps=10)
    t = trainer([cb, finder], default_root_dir=tmp_path)
    model = regressor()
    model.lr = 0.1

    t.fit(model, loader(), loader())
    t.test(model, loader(), verbose=False)

    assert story(sent) == FIT_AND_TEST


def test_scalars_of_every_library_arrive_as_numbers(sent, data_of):
    def on_test_epoch_end(self):
        self.log("a", torch.tensor(0.25))
        self.log("b", torch.tensor(2.0, dtype=torch.float64))
        self.log("c", np.float32(0.5))
        self.log("d", np.float64(3))

    def on_train_epoch_end(self):
        self.log("e", torch.tensor(0.25))
        self.log("f", np.float32(0.5))

    cb = ArgusCallback()
    model = regressor(on_test_epoch_end=on_test_epoch_end, on_train_epoch_end=on_train_epoch_end)
    t = trainer([cb])

    t.fit(model, loader())
    t.test(model, loader(), verbose=False)

    metrics = data_of(sent, "job_done")["metrics"]
    assert {name: metrics[name] for name in "abcd"} == {"a": 0.25, "b": 2, "c": 0.5, "d": 3}
    epoch = data_of(sent, "job_epoch")
    assert {name: epoch[name] for name in "ef"} == {"e": 0.25, "f": 0.5}


def test_manual_optimisation_with_two_optimizers_counts_batches_not_steps(sent, data_of):
    def training_step(self, batch, batch_idx):
        for optimizer in self.optimizers():
            optimizer.zero_grad()
            loss = self.loss(batch)
            self.manual_backward(loss)
            optimizer.step()
        self.log("train_loss", loss)

    def configure_optimizers(self):
        return [torch.optim.SGD(self.parameters(), 0.1), torch.optim.SGD(self.parameters(), 0.2)]

    model = regressor(training_step=training_step, configure_optimizers=configure_optimizers)
    model.automatic_optimization = False
    t = trainer([ArgusCallback()])

    t.fit(model, loader())
    t.test(model, loader(), verbose=False)

    assert data_of(sent, "job_done")["metrics"]["Total_Batches"] == 2 * BATCHES


# --- failure ------------------------------------------------------------------------------------


def fail_in_epoch_1(error):
    def training_step(self, batch, batch_idx):
        if self.current_epoch == 1:
            raise error
        self.log("train_loss", 1.0)
        return self.loss(batch)

    return training_step


def test_an_exception_fails_the_job_and_the_batch_and_goes_on(sent, story, data_of):
    t = trainer([ArgusCallback()])

    with pytest.raises(ValueError, match="boom"):
        t.fit(regressor(training_step=fail_in_epoch_1(ValueError("boom"))), loader())

    assert story(sent) == ["batch_start", "job_start", "job_epoch 0", "job_failed", "batch_failed"]
    failed = data_of(sent, "job_failed")
    assert failed["reason"] == "ValueError: boom"
    assert failed["error"] == {"type": "ValueError", "message": "boom"}
    assert failed["status"] == "failed"
    assert data_of(sent, "batch_failed")["reason"] == "ValueError: boom"


@pytest.mark.parametrize("hook", ["on_train_epoch_end", "validation_step", "on_train_epoch_start"])
def test_an_exception_in_any_hook_fails_the_job(sent, story, hook):
    def broken(self, *args):
        if not self.trainer.sanity_checking:
            raise ValueError("boom")

    t = trainer([ArgusCallback()])

    with pytest.raises(ValueError, match="boom"):
        t.fit(regressor(**{hook: broken}), loader(), loader())

    assert [word for word in story(sent) if "epoch" not in word] == [
        "batch_start",
        "job_start",
        "job_failed",
        "batch_failed",
    ]


def test_ctrl_c_interrupts_the_job(sent, story, data_of):
    t = trainer([ArgusCallback()])

    with pytest.raises(SystemExit):
        t.fit(regressor(training_step=fail_in_epoch_1(KeyboardInterrupt())), loader())

    assert story(sent)[-2:] == ["job_failed", "batch_failed"]
    assert data_of(sent, "job_failed")["status"] == "interrupted"


def test_an_exception_in_the_test_fails_the_job_and_a_later_test_makes_it_done(sent, story):
    def broken(self, batch, batch_idx):
        raise ValueError("boom")

    cb = ArgusCallback()
    model = regressor()
    t = trainer([cb])
    t.fit(model, loader())
    good, type(model).test_step = type(model).test_step, broken
    with pytest.raises(ValueError, match="boom"):
        t.test(model, loader(), verbose=False)
    type(model).test_step = good
    t.test(model, loader(), verbose=False)
    cb.flush()

    assert story(sent) == [*FIT_AND_TEST[:-2], "job_failed", "batch_failed", "job_done"]


def test_a_test_that_fails_again_gives_its_own_reason(sent, story):
    def broken(self, batch, batch_idx):
        raise ValueError(next(errors))

    errors = iter(("first", "second"))
    cb = ArgusCallback()
    model = regressor()
    t = trainer([cb])
    t.fit(model, loader())
    type(model).test_step = broken
    for error in ("first", "second"):
        with pytest.raises(ValueError, match=error):
            t.test(model, loader(), verbose=False)
    cb.flush()

    assert story(sent) == [*FIT_AND_TEST[:-2], "job_failed", "batch_failed", "job_failed"]
    reasons = [event.data["reason"] for event in sent.of_type("job_failed")]
    assert reasons == ["ValueError: first", "ValueError: second"]


def test_one_more_test_that_fails_takes_nothing_from_a_result(sent, story):
    def broken(self, batch, batch_idx):
        raise ValueError("boom")

    cb = ArgusCallback()
    model = regressor()
    t = trainer([cb])
    t.fit(model, loader())
    t.test(model, loader(), verbose=False)
    type(model).test_step = broken
    with pytest.raises(ValueError, match="boom"):
        t.test(model, loader(), verbose=False)
    cb.close()

    assert story(sent) == FIT_AND_TEST


def test_a_job_that_is_never_tested_leaves_an_incomplete_batch_and_a_warning(sent, story, data_of, caplog):
    cb = ArgusCallback()

    trainer([cb]).fit(regressor(), loader())
    with caplog.at_level(logging.WARNING, "argus_integrations"):
        cb.close()

    assert story(sent) == [*FIT_AND_TEST[:-2], "batch_done"]
    assert data_of(sent, "batch_done")["status"] == "incomplete"
    assert data_of(sent, "batch_done")["untested"] == [cb.job_id]
    assert "trainer.test(...)" in caplog.text


# --- identity -------------------------------------------------------------------------------------


def test_jobs_of_a_reporter_share_its_batch_which_ends_with_it(sent, story):
    with Reporter("sweep", project="p") as reporter:
        for seed in (0, 1):
            cb = ArgusCallback(batch=reporter, seed=seed)
            model = regressor()
            trainer([cb], max_epochs=1).fit(model, loader())
            trainer([cb]).test(model, loader(), verbose=False)

    job = ["job_start", "job_epoch 0", "job_done"]
    assert story(sent) == ["batch_start", *job, *job, "batch_done"]
    assert {event.batch_id for event in sent.events} == {reporter.batch_id}


def test_a_callback_that_is_listed_twice_reports_once(sent, story, data_of):
    cb = ArgusCallback()
    model = regressor()
    t = trainer([cb])
    t.callbacks.append(cb)

    t.fit(model, loader(), loader())
    t.test(model, loader(), verbose=False)
    cb.flush()

    assert story(sent) == FIT_AND_TEST
    metrics = data_of(sent, "job_done")["metrics"]
    assert metrics["Total_Batches"] == 2 * BATCHES
    assert metrics["Inference_Throughput"] * metrics["Total_Inference_Time"] == pytest.approx(
        BATCHES * BATCH_SIZE
    )


@pytest.mark.parametrize("namespace", [pl, pytorch_lightning], ids=["lightning", "pytorch_lightning"])
def test_a_training_passes_over_hooks_of_every_step_that_are_empty(sent, story, namespace, tmp_path):
    cb = ArgusCallback()
    model = regressor(namespace)
    t = trainer([cb], namespace, profiler="simple")

    t.fit(model, loader(), loader())
    t.test(model, loader(), verbose=False)

    ours = {name.rpartition(".")[2] for name in t.profiler.recorded_durations if "ArgusCallback" in name}
    assert {name for name in ours if "batch" in name or "before" in name or "backward" in name} == {
        "on_train_batch_end",
        "on_test_batch_start",
        "on_test_batch_end",
    }
    assert story(sent) == FIT_AND_TEST


def test_hooks_of_every_step_that_a_subclass_fills_are_called_in_every_copy_of_it(sent):
    class Noting(pl.Callback):
        calls: ClassVar[set[str]] = set()

        def on_validation_batch_end(self, *args, **kwargs):
            self.calls.add("mixin")

    class Filled(ArgusCallback, Noting):
        def on_before_backward(self, trainer, pl_module, loss):
            super().on_before_backward(trainer, pl_module, loss)
            self.calls.add("subclass")

    cb = Filled()
    for callback in (cb, copy.deepcopy(cb)):
        Noting.calls.clear()

        trainer([callback], max_epochs=1).fit(regressor(), loader(), loader())

        assert Noting.calls == {"subclass", "mixin"}


def test_a_pickle_is_the_same_job_and_keeps_no_token():
    cb = ArgusCallback(token="em_live_secret", url="http://user:password@host", job_id="j1", seed=3)

    pickled = pickle.dumps(cb)
    twin = pickle.loads(pickled)

    assert b"em_live_secret" not in pickled
    assert "em_live_secret" not in repr(cb)
    assert (twin.job_id, twin.batch_id) == ("j1", cb.batch_id)
    assert isinstance(twin, pl.Callback)
    assert isinstance(twin, pytorch_lightning.Callback)


def reversed_name(name):
    return name[::-1]


def test_a_function_of_a_module_that_names_metrics_is_pickled_and_a_lambda_cannot_be(sent, data_of):
    twin = pickle.loads(pickle.dumps(ArgusCallback(metric_names=reversed_name)))

    trainer([twin]).test(regressor(), loader(), verbose=False)

    assert "esm_tset" in data_of(sent, "job_done")["metrics"]
    unpicklable = ArgusCallback(metric_names=lambda name: name)
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(unpicklable)
    assert copy.deepcopy(unpicklable).job_id != unpicklable.job_id


@pytest.mark.parametrize("given", ["sweep-7", "x" * 200])
def test_the_batch_id_of_the_environment_is_the_one_that_is_sent(sent, monkeypatch, given):
    monkeypatch.setenv("ARGUS_BATCH_ID", given)
    cb = ArgusCallback()

    trainer([cb]).test(regressor(), loader(), verbose=False)

    assert given.startswith(cb.batch_id)
    assert {event.batch_id for event in sent.events} == {cb.batch_id}


def test_a_deep_copy_is_another_job_of_the_batch(sent):
    cb = ArgusCallback(job_id="j1")
    trainer([cb], max_epochs=1).fit(regressor(), loader())

    twin = copy.deepcopy(cb)

    assert twin.job_id != cb.job_id
    assert twin.job_id.startswith("j1")
    assert twin.batch_id == cb.batch_id
    model = regressor()
    trainer([twin], max_epochs=1).fit(model, loader())
    trainer([twin]).test(model, loader(), verbose=False)
    twin.close()
    assert twin.job_id in {event.job_id for event in sent.of_type("job_done")}


def test_a_disabled_callback_does_nothing(sent):
    cb = ArgusCallback(enabled=False)
    model = regressor()

    trainer([cb]).fit(model, loader())
    trainer([cb]).test(model, loader(), verbose=False)
    cb.close()

    assert sent.events == []


def test_a_disabled_callback_adds_nothing_to_a_batch_that_is_shared(sent, story):
    model = regressor()

    with Reporter("sweep") as reporter:
        cb = ArgusCallback(batch=reporter, enabled=False)
        trainer([cb]).fit(model, loader())
        trainer([cb]).test(model, loader(), verbose=False)

    assert story(sent) == ["batch_start", "batch_done"]


def test_only_global_rank_zero_reports(sent, monkeypatch):
    cb = ArgusCallback()
    model = regressor()
    t = trainer([cb])
    monkeypatch.setattr(type(t), "is_global_zero", property(lambda self: False))

    t.fit(model, loader())
    t.test(model, loader(), verbose=False)
    cb.close()

    assert sent.events == []


@pytest.mark.parametrize("is_trained", [True, False])
def test_a_rank_other_than_zero_adds_nothing_to_a_batch_that_is_shared(sent, story, monkeypatch, is_trained):
    model = regressor()
    monkeypatch.setattr(pl.Trainer, "is_global_zero", property(lambda self: False))

    with Reporter("sweep") as reporter:
        t = trainer([ArgusCallback(batch=reporter)])
        if is_trained:
            t.fit(model, loader())
        t.test(model, loader(), verbose=False)

    assert story(sent) == ["batch_start", "batch_done"]


# --- names and seeds ------------------------------------------------------------------------------


class Waves(Dataset):
    def __len__(self):
        return 16

    def __getitem__(self, index):
        return torch.ones(2), torch.ones(1)


class EtthDataModule(pl.LightningDataModule):
    def train_dataloader(self):
        return DataLoader(Waves(), 8)


def test_the_dataset_is_named_after_its_class_or_its_datamodule(sent):
    by_class, by_module, anonymous = ArgusCallback(), ArgusCallback(), ArgusCallback()

    trainer([by_class], max_epochs=1).fit(regressor(), DataLoader(Subset(Waves(), range(8)), 8))
    trainer([by_module], max_epochs=1).fit(regressor(), datamodule=EtthDataModule())
    trainer([anonymous], max_epochs=1).fit(regressor(), loader())
    for cb in (by_class, by_module, anonymous):
        cb.flush()

    assert [event.data.get("dataset") for event in sent.of_type("job_start")] == ["Waves", "Etth", None]


class Lazy(Waves):
    @property
    def info(self):
        raise FileNotFoundError("dataset_info.json")


def test_a_data_set_that_says_nothing_of_itself_costs_no_job(sent, story, data_of):
    cb = ArgusCallback()
    lightning = trainer([cb], max_epochs=1)

    lightning.fit(model := regressor(), DataLoader(Lazy(), 8))
    lightning.test(model, DataLoader(Lazy(), 8), verbose=False)
    cb.flush()

    assert story(sent) == ["batch_start", "job_start", "job_epoch 0", "job_done", "batch_done"]
    assert data_of(sent, "job_start")["dataset"] == "Lazy"


def test_a_model_that_cannot_be_described_costs_no_job(sent, story, swallowed_errors):
    class Odd(dict):
        def get(self, key, default=None):
            raise RuntimeError("not now")

    cb = ArgusCallback()

    trainer([cb]).test(regressor(hparams=Odd()), loader(), verbose=False)
    cb.flush()

    assert story(sent) == ["batch_start", "job_start", "job_done", "batch_done"]
    assert "not now" in str(swallowed_errors)
    swallowed_errors.clear()


def test_a_cost_that_cannot_be_measured_costs_no_result(sent, story, data_of, monkeypatch, swallowed_errors):
    def refused():
        raise OSError("no clock")

    cb = ArgusCallback()
    module = regressor(on_test_epoch_end=lambda self: monkeypatch.setattr(os, "times", refused))

    trainer([cb]).test(module, loader(), verbose=False)
    cb.flush()

    assert story(sent) == ["batch_start", "job_start", "job_done", "batch_done"]
    assert data_of(sent, "job_done")["metrics"]["MSE"] > 0
    assert "no clock" in str(swallowed_errors)
    swallowed_errors.clear()


def test_the_seed_is_known_if_somebody_set_it(sent):
    seeded, unseeded = ArgusCallback(), ArgusCallback()

    torch.seed()
    trainer([unseeded], max_epochs=1).fit(regressor(), loader())
    pl.seed_everything(11)
    trainer([seeded], max_epochs=1).fit(regressor(), loader())
    for cb in (seeded, unseeded):
        cb.flush()

    assert [event.data.get("seed") for event in sent.of_type("job_start")] == [None, 11]
