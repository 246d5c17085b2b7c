"""A loop under Accelerate: `accelerator.log` reports epochs, and `done` sends the row of the leaderboard.

    python examples/with_accelerate.py
    torchrun --nproc-per-node=2 examples/with_accelerate.py

Without ARGUS_URL it trains all the same, and `argus sync` sends the events later.
"""

from __future__ import annotations

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch.nn.functional import mse_loss
from torch.utils.data import DataLoader, TensorDataset

from argus_integrations.accelerate import ArgusTracker

WINDOW = 12


def windows(start: int, stop: int) -> DataLoader[tuple[torch.Tensor, ...]]:
    """Return batches of (last 12 values, next value) of a noisy wave between two points in time."""
    noise = torch.randn(stop - start, generator=torch.Generator().manual_seed(start))
    series = torch.sin(torch.arange(start, stop) / 5) + 0.1 * noise
    pieces = series.unfold(0, WINDOW + 1, 1)
    return DataLoader(TensorDataset(pieces[:, :-1], pieces[:, -1:]), batch_size=32)


def main() -> None:
    set_seed(0)
    argus = ArgusTracker(model="linear", dataset="wave")
    accelerator = Accelerator(cpu=True, log_with=argus)
    layer = torch.nn.Linear(WINDOW, 1)
    model, optimizer, train_loader, test_loader = accelerator.prepare(
        layer, torch.optim.Adam(layer.parameters(), 0.01), windows(0, 1000), windows(1200, 1500)
    )
    accelerator.init_trackers("leaderboard-demo", config={"learning_rate": 0.01, "window": WINDOW})

    with argus:  # reports an exception exactly
        for epoch in range(5):
            for x, y in train_loader:
                loss = mse_loss(model(x), y)
                accelerator.backward(loss)
                optimizer.step()
                optimizer.zero_grad()
                argus.footprint.step(samples=len(x))
            accelerator.log({"train_loss": loss.item(), "epoch": epoch})

        errors = []
        with argus.testing(model) as test, torch.no_grad():
            for x, y in test_loader:
                with test.batch(samples=len(x)):
                    predicted = model(x)
                errors.append(accelerator.gather_for_metrics((predicted - y).squeeze(1)))
        argus.done({"mse": torch.cat(errors).square().mean(), "mae": torch.cat(errors).abs().mean()})
    accelerator.end_training()


if __name__ == "__main__":
    main()
