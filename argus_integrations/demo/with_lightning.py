"""DLinear and a GRU, trained by PyTorch Lightning."""

from __future__ import annotations

from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from argus_core import Reporter
from argus_integrations.demo.series import CONTEXT, HORIZON, Floats, Series, forecast_metrics
from argus_integrations.lightning import ArgusCallback

__all__ = ["MODELS", "train"]


class DLinear(nn.Module):
    """A linear map for the trend, one for the rest (Zeng et al. 2023, "Are Transformers Effective…")."""

    def __init__(self) -> None:
        super().__init__()
        self.smooth = nn.AvgPool1d(13, stride=1, padding=6, count_include_pad=False)
        self.trend = nn.Linear(CONTEXT, HORIZON)
        self.rest = nn.Linear(CONTEXT, HORIZON)

    def forward(self, past: Tensor) -> Tensor:
        """Map (n, CONTEXT) to (n, HORIZON)."""
        trend = self.smooth(past.unsqueeze(1)).squeeze(1)
        return self.trend(trend) + self.rest(past - trend)


class GRU(nn.Module):
    """A recurrent encoder and a linear head."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.GRU(1, 24, batch_first=True)
        self.head = nn.Linear(24, HORIZON)

    def forward(self, past: Tensor) -> Tensor:
        """Map (n, CONTEXT) to (n, HORIZON)."""
        _, state = self.encoder(past.unsqueeze(-1))
        return self.head(state[-1])


MODELS = {"DLinear": DLinear, "GRU": GRU}


class Forecaster(lightning.LightningModule):
    """Forecasts the change from the last value seen, so that a trend does no harm."""

    def __init__(self, net: nn.Module, series: Series) -> None:
        super().__init__()
        self.net = net
        self.series = series
        self.forecasts: list[Tensor] = []

    def forward(self, past: Tensor) -> Tensor:
        """Map (n, CONTEXT) to (n, HORIZON)."""
        last = past[:, -1:]
        return self.net(past - last) + last

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        """Return the loss of a mini-batch."""
        loss = nn.functional.mse_loss(self(batch[0]), batch[1])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        """Log the validation loss."""
        self.log("val_loss", nn.functional.mse_loss(self(batch[0]), batch[1]))

    def test_step(self, batch: list[Tensor], batch_idx: int) -> None:
        """Keep the forecast, and log the loss as the other frameworks do."""
        forecast = self(batch[0])
        self.forecasts.append(forecast)
        self.log("test_loss", nn.functional.mse_loss(forecast, batch[1]))

    def on_test_epoch_end(self) -> None:
        """Log what the whole test tail gives."""
        forecast = torch.cat(self.forecasts).numpy()
        for name, value in forecast_metrics(self.series.test[1], forecast, self.series).items():
            self.log(f"test_{name}", value)

    def configure_optimizers(self) -> Any:
        """Adam."""
        return torch.optim.Adam(self.parameters(), lr=5e-3)


def train(name: str, series: Series, seed: int, epochs: int, reporter: Reporter) -> None:
    """Train and test one model; the callback reports it."""
    lightning.seed_everything(seed, verbose=False)
    module = Forecaster(MODELS[name](), series)
    trainer = lightning.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
        callbacks=[ArgusCallback(batch=reporter, model=name, dataset=series.name, seed=seed)],
    )
    trainer.fit(module, _loader(series.train, shuffle=True), _loader(series.val))
    trainer.test(module, _loader(series.test), verbose=False)


def _loader(windows: tuple[Floats, Floats], *, shuffle: bool = False) -> Any:
    tensors = (torch.from_numpy(np.ascontiguousarray(part)) for part in windows)
    return DataLoader(TensorDataset(*tensors), batch_size=32, shuffle=shuffle)
