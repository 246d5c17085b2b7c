"""A loop under Accelerate, run by test_accelerate.py: in two processes by torchrun, or alone."""

from __future__ import annotations

import sys

import torch
from accelerate import Accelerator
from integration.gloo_exit import let_gloo_finish_at_exit
from torch.utils.data import DataLoader, TensorDataset

from argus_integrations.accelerate import ArgusTracker

X = torch.linspace(-1, 1, 64).reshape(-1, 2)


def main(failing_rank: int | None) -> None:
    torch.set_num_threads(1)
    argus = ArgusTracker(job_id="the-job")
    accelerator = Accelerator(cpu=True, log_with=argus)
    layer = torch.nn.Linear(2, 1)
    data = DataLoader(TensorDataset(X, X.sum(1, keepdim=True)), batch_size=4)
    model, optimizer, loader = accelerator.prepare(layer, torch.optim.SGD(layer.parameters(), 0.1), data)
    accelerator.init_trackers("two-processes", config={"rate": 0.1})
    with argus:
        for epoch in range(2):
            for step, (x, y) in enumerate(loader):
                loss = torch.nn.functional.mse_loss(model(x), y)
                accelerator.backward(loss)
                optimizer.step()
                optimizer.zero_grad()
                argus.footprint.step(samples=len(x))
                accelerator.log({"loss": loss}, step=step)
                if epoch == 1 and accelerator.process_index == failing_rank:
                    raise ValueError("boom")
            accelerator.log({"train_loss": loss, "epoch": epoch})
        error = torch.zeros(1)
        with argus.testing(model) as test:
            for x, y in loader:
                with test.batch(samples=len(x)), torch.no_grad():
                    error += torch.nn.functional.mse_loss(model(x), y)
        mse = accelerator.gather(error).mean() / len(loader)
        argus.done({"test_mse": mse, "rank": accelerator.process_index})
    accelerator.end_training()


if __name__ == "__main__":
    let_gloo_finish_at_exit()
    main(int(sys.argv[1]) if len(sys.argv) > 1 else None)
