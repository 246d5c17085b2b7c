"""A training with two processes, run by test_processes.py: `ddp_script.py STRATEGY [FAILING_RANK]`."""

from __future__ import annotations

import logging
import sys
import warnings

import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

from argus_integrations.lightning import ArgusCallback


class Regressor(pl.LightningModule):
    def __init__(self, failing_rank):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)
        self.failing_rank = failing_rank

    def training_step(self, batch, batch_idx):
        if self.current_epoch == 1 and self.global_rank == self.failing_rank:
            raise ValueError("boom")
        loss = (self.layer(batch[0]) - batch[1]).square().mean()
        self.log("train_loss", loss, on_epoch=True, sync_dist=True)
        return loss

    def on_train_epoch_end(self):
        """A collective of the module's own: a callback that reads metrics on one rank hangs it."""
        self.all_gather(torch.ones(1))

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", (self.layer(batch[0]) - batch[1]).square().mean(), sync_dist=True)

    def test_step(self, batch, batch_idx):
        self.log("test_rank", float(self.global_rank), sync_dist=True)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def main():
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    strategy, failing_rank = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else -1
    x = torch.linspace(-1, 1, 64).reshape(-1, 2)
    loader = DataLoader(TensorDataset(x, x.sum(1, keepdim=True)), 8)
    trainer = pl.Trainer(
        max_epochs=2,
        accelerator="cpu",
        devices=2,
        strategy=strategy,
        callbacks=ArgusCallback(project="p", job_id="the-job"),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    model = Regressor(failing_rank)
    trainer.fit(model, loader, loader)
    trainer.test(model, loader, verbose=False)


if __name__ == "__main__":
    main()
