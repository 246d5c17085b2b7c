"""A linear model, a trainer and a loader, as small as Lightning takes them."""

from __future__ import annotations

import inspect

import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

BATCHES = 4
BATCH_SIZE = 8
FIT_AND_TEST = ["batch_start", "job_start", "job_epoch 0", "job_epoch 1", "job_done", "batch_done"]
FAILED = ["job_failed", "batch_failed"]


def loader(batches=BATCHES, **options):
    x = torch.linspace(-1, 1, batches * BATCH_SIZE * 2).reshape(-1, 2)
    return DataLoader(TensorDataset(x, x.sum(1, keepdim=True)), batch_size=BATCH_SIZE, **options)


def regressor(namespace=pl, **behaviour):
    """Return a linear model under one of the two namespaces; `behaviour` replaces its hooks."""

    class Regressor(namespace.LightningModule):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(2, 1)

        def loss(self, batch):
            x, y = batch
            return torch.nn.functional.mse_loss(self.layer(x), y)

        def training_step(self, batch, batch_idx):
            loss = self.loss(batch)
            self.log("train_loss", loss, on_step=True, on_epoch=True)
            return loss

        def validation_step(self, batch, batch_idx):
            self.log("val_loss", self.loss(batch))

        def test_step(self, batch, batch_idx, dataloader_idx=0):
            self.log("test_mse", self.loss(batch))

        def predict_step(self, batch, batch_idx):
            return self.layer(batch[0])

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

    for name, function in behaviour.items():
        setattr(Regressor, name, function)
    return Regressor()


def scripted(namespace=pl, **behaviour):
    """Return a model whose metrics are known beforehand.

    Batch `b` of epoch `e` has the training loss 10e + b, every validation in it the loss 100 + e, and
    the test the MSE 0.5.
    """

    def training_step(self, batch, batch_idx):
        self.log("train_loss", 10.0 * self.current_epoch + batch_idx, on_step=True, on_epoch=True)
        return self.loss(batch)

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", 100.0 + self.current_epoch)

    def test_step(self, batch, batch_idx):
        self.log("test_mse", 0.5)

    steps = {"training_step": training_step, "validation_step": validation_step, "test_step": test_step}
    return regressor(namespace, **{**steps, **behaviour})


def trainer(callbacks, namespace=pl, **options):
    quiet = {
        "accelerator": "cpu",
        "devices": 1,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    return namespace.Trainer(callbacks=callbacks, **{"max_epochs": 2, **quiet, **options})


def always(module):
    return True


def breaking(model, hook, error, when=always):
    """Return the model, whose `hook` raises `error` when `when` says so, and else does what it did."""
    original = getattr(type(model), hook)

    def broken(self, *args, **kwargs):
        if when(self):
            raise error
        return original(self, *args, **kwargs)

    broken.__signature__ = inspect.signature(original)  # Lightning asks it for `dataloader_idx`
    setattr(type(model), hook, broken)
    return model


def stream(transport):
    """Return the events in order: type, number of the job, and what is known beforehand of the data."""
    jobs = []
    return [_shown(event, jobs) for event in transport.events]


def _shown(event, jobs):
    if event.job_id is not None and event.job_id not in jobs:
        jobs.append(event.job_id)
    job = jobs.index(event.job_id) + 1 if event.job_id else None
    data = event.data
    if event.event_type == "job_epoch":
        measured = ("epoch", "batch_time_ms", "lr")
        return f"job_epoch {data['epoch']}", job, {k: v for k, v in data.items() if k not in measured}
    if event.event_type == "job_done":
        raw = data["metrics_raw"]
        return "job_done", job, {k: v for k, v in data["metrics"].items() if k in raw or v in raw.values()}
    if event.event_type in ("job_failed", "batch_failed"):
        return event.event_type, job, data["reason"]
    return event.event_type, job, data.get("status")
