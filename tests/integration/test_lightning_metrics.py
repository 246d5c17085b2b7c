"""What a module logs under Lightning, and under which names it arrives."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
import torch
import torchmetrics
from integration.tiny_lightning import loader, regressor, scripted, trainer

from argus_integrations.lightning import ArgusCallback


def logging_step(*logged, **options):
    """Return a step that logs pairs of a name and a value."""

    def step(self, batch, batch_idx, dataloader_idx=0):
        for name, value in logged:
            self.log(name, value, **options)
        return self.loss(batch)

    return step


def row_of(data_of, sent, loaders=1, metric_names=None, **behaviour):
    """Return the data of `job_done` of a model that is only tested."""
    t = trainer([ArgusCallback(footprint=False, metric_names=metric_names)])
    t.test(regressor(**behaviour), [loader(2) for _ in range(loaders)], verbose=False)
    return data_of(sent, "job_done")


def epochs_of(sent, callback_options=None, val=None, epochs=2, **behaviour):
    """Return what each epoch of a training reports, without what is measured."""
    cb = ArgusCallback(**(callback_options or {}))
    trainer([cb], max_epochs=epochs).fit(regressor(**behaviour), loader(2), val)
    cb.flush()
    measured = ("epoch", "batch_time_ms", "lr")
    return [
        {name: value for name, value in event.data.items() if name not in measured}
        for event in sent.of_type("job_epoch")
    ]


# --- the row --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("logged", "column"),
    [
        ("test_mse", "MSE"),
        ("test/mse", "MSE"),
        ("test.mse", "MSE"),
        ("test-mse", "MSE"),
        ("Test MSE", "MSE"),
        ("testing_mse", "MSE"),
        ("mse", "MSE"),
        ("test/acc/top1", "acc/top1"),
        ("test_acc", "accuracy"),
        ("test_acc@5", "acc@5"),
        ("test_test_mse", "test_mse"),
        ("testosterone_mae", "testosterone_mae"),
        ("test", "test"),
        ("val_mse", "MSE"),
        ("Grüße", "Grüße"),
    ],
)
def test_a_name_becomes_its_column(sent, data_of, logged, column):
    done = row_of(data_of, sent, test_step=logging_step((logged, 0.5)))

    assert done["metrics"] == {column: 0.5}
    assert done["metrics_raw"] == {logged: 0.5}


@pytest.mark.parametrize("loaders", [1, 2])
def test_a_metric_logged_by_step_and_by_epoch_is_one_column(sent, data_of, loaders):
    step = logging_step(("test_mse", 0.5), on_step=True, on_epoch=True)

    done = row_of(data_of, sent, loaders, test_step=step)

    assert done["metrics"] == ({"MSE": 0.5} if loaders == 1 else {"MSE@0": 0.5, "MSE@1": 0.5})


def test_a_metric_logged_only_by_step_is_no_result(sent, data_of):
    assert (
        row_of(data_of, sent, test_step=logging_step(("test_mse", 0.5), on_epoch=False, on_step=True))[
            "metrics"
        ]
        == {}
    )


def test_every_loader_may_have_metrics_of_its_own(sent, data_of):
    def test_step(self, batch, batch_idx, dataloader_idx=0):
        self.log("test_mse", 0.5 + dataloader_idx)
        self.log(f"test_{('first', 'second')[dataloader_idx]}", 1.0, add_dataloader_idx=False)

    def on_test_epoch_end(self):
        self.log("test_all", 2.0)

    done = row_of(data_of, sent, 2, test_step=test_step, on_test_epoch_end=on_test_epoch_end)

    assert done["metrics"] == {"MSE@0": 0.5, "MSE@1": 1.5, "first": 1, "second": 1, "all": 2}


def test_twelve_loaders_are_told_apart(sent, data_of):
    def test_step(self, batch, batch_idx, dataloader_idx=0):
        self.log("test_mse", float(dataloader_idx))

    done = row_of(data_of, sent, 12, test_step=test_step)

    assert done["metrics"] == {f"MSE@{index}": index for index in range(12)}


def test_values_of_every_kind_arrive_as_numbers(sent, data_of):
    values = {
        "bf16": torch.tensor(0.5, dtype=torch.bfloat16),
        "f16": torch.tensor(0.25, dtype=torch.float16),
        "f64": torch.tensor(0.125, dtype=torch.float64),
        "graph": torch.ones(1, requires_grad=True).sum(),
        "one": torch.tensor([2.0]),
        "flag": True,
        "count": 3,
        "nan": math.nan,
        "inf": math.inf,
        "below": torch.tensor(-math.inf),
    }

    done = row_of(data_of, sent, test_step=logging_step(*values.items()))

    assert done["metrics"] == {
        "bf16": 0.5,
        "f16": 0.25,
        "f64": 0.125,
        "graph": 1,
        "one": 2,
        "flag": 1,
        "count": 3,
        "nan": "NaN",
        "inf": "Infinity",
        "below": "-Infinity",
    }


def test_metric_objects_are_computed_over_the_whole_stage(sent, data_of):
    def test_step(self, batch, batch_idx):
        self.metrics.update(torch.full((1,), float(batch_idx)), torch.zeros(1))
        self.log_dict(self.metrics)
        self.log("test_worst", self.worst(torch.tensor(float(batch_idx))))

    model = regressor(test_step=test_step)
    both = {"mse": torchmetrics.MeanSquaredError(), "mae": torchmetrics.MeanAbsoluteError()}
    model.metrics = torchmetrics.MetricCollection(both, prefix="test/")
    model.worst = torchmetrics.MaxMetric()

    trainer([ArgusCallback(footprint=False)]).test(model, loader(4), verbose=False)

    assert data_of(sent, "job_done")["metrics"] == {"MSE": 3.5, "MAE": 1.5, "worst": 1.5}


@pytest.mark.parametrize(
    ("metric_names", "columns"),
    [
        ({"test_mse": "mine"}, {"mine": 0.5, "other": 1}),
        ("raw", {"test_mse": 0.5, "test_other": 1}),
        (str.upper, {"TEST_MSE": 0.5, "TEST_OTHER": 1}),
        (lambda name: None, {"MSE": 0.5, "other": 1}),
    ],
    ids=["mapping", "raw", "function", "function that knows none"],
)
def test_a_user_may_name_the_columns(sent, data_of, metric_names, columns):
    step = logging_step(("test_mse", 0.5), ("test_other", 1.0))

    assert row_of(data_of, sent, metric_names=metric_names, test_step=step)["metrics"] == columns


def test_metrics_of_the_training_are_not_in_the_row(sent, data_of):
    t = trainer([ArgusCallback(footprint=False)])
    model = scripted()

    t.fit(model, loader(), loader())
    t.test(model, loader(), verbose=False)

    assert data_of(sent, "job_done")["metrics"] == {"MSE": 0.5}
    assert data_of(sent, "job_done")["metrics_raw"] == {"test_mse": 0.5}


# --- the curves -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["train_loss", "train/loss", "training_loss", "loss", "Train Loss"])
@pytest.mark.parametrize(
    "how",
    [{}, {"on_step": False, "on_epoch": True}, {"on_step": True, "on_epoch": True}, {"prog_bar": True}],
    ids=["as it is", "epoch", "both", "bar"],
)
def test_the_training_loss_has_one_name(sent, name, how):
    def training_step(self, batch, batch_idx):
        self.log(name, float(batch_idx), **how)
        return self.loss(batch)

    last, mean = 1.0, 0.5
    expected = mean if how.get("on_epoch") else last

    assert epochs_of(sent, training_step=training_step) == [{"train_loss": expected}] * 2


@pytest.mark.parametrize("name", ["val_loss", "val/loss", "valid_loss", "validation_loss"])
def test_the_validation_loss_has_one_name(sent, name):
    step = logging_step((name, 0.25))
    training_step = logging_step(("train_loss", 0.5))

    epochs = epochs_of(sent, val=loader(2), validation_step=step, training_step=training_step)

    assert epochs == [{"train_loss": 0.5, "val_loss": 0.25}] * 2


def test_of_two_training_losses_the_one_that_says_so_is_taken(sent):
    step = logging_step(("loss", 1.0), ("train_loss", 2.0))

    assert epochs_of(sent, training_step=step) == [{"train_loss": 2.0, "loss": 1.0}] * 2


def test_several_validation_loaders_keep_their_names(sent):
    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        self.log("val_loss", float(dataloader_idx), on_step=True, on_epoch=True)

    epochs = epochs_of(
        sent,
        val=[loader(2), loader(2)],
        validation_step=validation_step,
        training_step=logging_step(("train_loss", 0.5)),
    )

    both = {"val_loss/dataloader_idx_0": 0.0, "val_loss/dataloader_idx_1": 1.0}
    assert epochs == [{"train_loss": 0.5, **both}] * 2


def test_a_metric_logged_in_one_epoch_is_in_no_other(sent):
    def training_step(self, batch, batch_idx):
        self.log(f"of_epoch_{self.current_epoch}", 1.0)
        self.log("always", 2.0)
        return self.loss(batch)

    epochs = epochs_of(sent, training_step=training_step, epochs=3)

    assert epochs == [{"always": 2.0, f"of_epoch_{number}": 1.0} for number in range(3)]


def test_what_is_logged_in_any_hook_belongs_to_its_epoch(sent):
    def logs(name):
        return lambda self, *args: self.log(name, float(self.current_epoch))

    hooks = ["on_train_batch_end", "on_train_epoch_start", "on_validation_epoch_end", "on_train_epoch_end"]
    hooks += ["on_train_batch_start", "on_validation_batch_end"]
    behaviour = {hook: logs(hook) for hook in hooks}
    step = logging_step(("train_loss", 0.5))

    epochs = epochs_of(sent, val=loader(2), training_step=step, **behaviour)

    for number, epoch in enumerate(epochs):
        assert {name: epoch[name] for name in hooks} == dict.fromkeys(hooks, float(number))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_diverged_epoch_says_so(sent, value):
    epochs = epochs_of(sent, training_step=logging_step(("train_loss", value)))

    assert epochs == [{"train_loss": "NaN" if math.isnan(value) else "Infinity"}] * 2


@pytest.mark.parametrize("name", ["self", "epoch", "train_epochs", "job_id", "data"])
def test_a_metric_may_have_any_name(sent, name):
    logged = epochs_of(sent, training_step=logging_step((name, 7.0), ("train_loss", 0.5)))

    assert [epoch["train_loss"] for epoch in logged] == [0.5, 0.5]
    assert [event.data["epoch"] for event in sent.of_type("job_epoch")] == [0, 1]


def test_the_learning_rate_is_that_of_the_first_optimizer(sent):
    def configure_optimizers(self):
        optimizer = torch.optim.SGD([{"params": self.parameters(), "lr": 0.25}], lr=0.5)
        return {"optimizer": optimizer, "lr_scheduler": torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)}

    epochs_of(sent, configure_optimizers=configure_optimizers)

    assert [event.data["lr"] for event in sent.of_type("job_epoch")] == [0.25, 0.25]


# --- names of jobs --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hparams", "given", "model"),
    [
        ({}, None, "Regressor"),
        ({"model_name": "patchtst"}, None, "patchtst"),
        ({"arch": "resnet50"}, None, "resnet50"),
        ({"model_name": ""}, None, "Regressor"),
        ({"model_name": 3}, None, "Regressor"),
        ({"model_name": "patchtst"}, "mine", "mine"),
    ],
)
def test_the_model_is_named_by_the_user_its_hyperparameters_or_its_class(
    sent, data_of, hparams, given, model
):
    module = regressor()
    module.save_hyperparameters(hparams)

    trainer([ArgusCallback(model=given)]).test(module, loader(), verbose=False)

    assert data_of(sent, "job_start")["model"] == model


@pytest.mark.parametrize(("given", "seed"), [(None, 11), (7, 7), (0, 0)])
def test_a_seed_of_the_user_wins_over_seed_everything(sent, data_of, monkeypatch, given, seed):
    monkeypatch.setenv("PL_GLOBAL_SEED", "11")

    trainer([ArgusCallback(seed=given)]).test(regressor(), loader(), verbose=False)

    assert data_of(sent, "job_start")["seed"] == seed
    assert data_of(sent, "job_done")["metrics"]["seed"] == seed


def test_importing_the_module_starts_nothing():
    code = "import threading, argus_integrations.lightning as it; assert threading.active_count() == 1, it"

    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=200)
