"""Lightning: one callback, and `trainer.test()` sends the row of the leaderboard.

    python examples/lightning_example.py

Without ARGUS_URL it trains all the same, and `argus sync` sends the events later.
"""

from __future__ import annotations

import os
from typing import Any

import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

from argus_integrations.lightning import ArgusCallback

WINDOW = 12


def windows(start: int, stop: int) -> DataLoader:
    """Return (last 12 values, next value) pairs of a noisy wave between two points in time."""
    time = torch.arange(start, stop, dtype=torch.float32)
    noise = torch.randn(len(time), generator=torch.Generator().manual_seed(start))
    series = torch.sin(time / 5) + 0.1 * noise
    pieces = series.unfold(0, WINDOW + 1, 1)
    return DataLoader(TensorDataset(pieces[:, :-1], pieces[:, -1:]), batch_size=32)


class LinearForecaster(pl.LightningModule):
    """Predicts the next value as a weighted sum of the last ones."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(WINDOW, 1)

    def error(self, batch: Any) -> Any:
        """Return the mean squared error of one batch."""
        return torch.nn.functional.mse_loss(self.layer(batch[0]), batch[1])

    def training_step(self, batch: Any) -> Any:
        """Log once per epoch: `train_loss` becomes the loss curve."""
        loss = self.error(batch)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: Any) -> None:
        """Log the other curve."""
        self.log("val_loss", self.error(batch))

    def test_step(self, batch: Any) -> None:
        """Log the metric that is ranked, in the column MSE."""
        self.log("test_mse", self.error(batch))

    def configure_optimizers(self) -> Any:
        """Train every parameter."""
        return torch.optim.Adam(self.parameters(), 0.01)


def main() -> None:
    pl.seed_everything(0)
    cb = ArgusCallback(project=os.environ.get("ARGUS_PROJECT", "leaderboard-demo"), dataset="wave")
    model = LinearForecaster()
    trainer = pl.Trainer(
        max_epochs=5, callbacks=cb, logger=False, enable_checkpointing=False, accelerator="cpu"
    )
    trainer.fit(model, windows(0, 1000), windows(1000, 1200))
    trainer.test(model, windows(1200, 1500))


if __name__ == "__main__":
    main()
