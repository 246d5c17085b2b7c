"""A training with two processes, run by test_processes.py.

`ddp_script.py STRATEGY [STAGE FAILING_RANK]`: in the strategy `ddp_spawn` and `ddp_fork` an exception goes
through a `with` of the callback. `ddp_script.py STRATEGY sweep`: two jobs of one reporter.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings

import lightning.pytorch as pl
import torch
from integration.gloo_exit import let_gloo_finish_at_exit
from torch.utils.data import DataLoader, TensorDataset

from argus_core.reporter import Reporter
from argus_integrations.lightning import ArgusCallback


class Regressor(pl.LightningModule):
    def __init__(self, failing_stage, failing_rank):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)
        self.fails = (failing_stage, failing_rank)

    def training_step(self, batch, batch_idx):
        if self.current_epoch == 1 and self.fails == ("fit", self.global_rank):
            raise ValueError("boom")
        loss = (self.layer(batch[0]) - batch[1]).square().mean()
        self.log("train_loss", loss, on_epoch=True, sync_dist=True)
        self.log("rank", float(self.global_rank), on_step=False, on_epoch=True, sync_dist=True)
        return loss

    def on_train_epoch_end(self):
        """A collective of the module's own: a callback that reads metrics on one rank hangs it."""
        self.log("ranks", self.all_gather(torch.ones(1)).sum())

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", (self.layer(batch[0]) - batch[1]).square().mean(), sync_dist=True)

    def test_step(self, batch, batch_idx):
        if self.fails == ("test", self.global_rank):
            raise ValueError("boom")
        self.log("test_rank", float(self.global_rank), sync_dist=True)
        self.log("test_local", float(self.global_rank))

    def on_test_epoch_end(self):
        self.log("test_late", self.all_gather(torch.ones(1)).sum(), sync_dist=True)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def loader():
    x = torch.linspace(-1, 1, 64).reshape(-1, 2)
    return DataLoader(TensorDataset(x, x.sum(1, keepdim=True)), 8)


def fit_and_test(strategy, callback, failing_stage=None, failing_rank=-1):
    trainer = pl.Trainer(
        max_epochs=2,
        accelerator="cpu",
        devices=2,
        strategy=strategy,
        callbacks=callback,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    model = Regressor(failing_stage, failing_rank)
    with callback if strategy != "ddp" else contextlib.nullcontext():
        trainer.fit(model, loader(), loader())
        trainer.test(model, loader(), verbose=False)


def main():
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    strategy, *stage = sys.argv[1:]
    if stage == ["sweep"]:
        with Reporter("sweep", project="p", n_total=2) as reporter:
            for seed in (0, 1):
                fit_and_test(strategy, ArgusCallback(batch=reporter, seed=seed, job_id=f"job-{seed}"))
    else:
        failing = (stage[0], int(stage[1])) if stage else ()
        fit_and_test(strategy, ArgusCallback(project="p", job_id="the-job"), *failing)


if __name__ == "__main__":
    let_gloo_finish_at_exit()
    main()
