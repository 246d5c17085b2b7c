"""A Trainer that trains a line of 32 points in 4 batches an epoch, for the tests of Transformers."""

from __future__ import annotations

import numpy as np
import torch
from torch.utils.data import Dataset, IterableDataset
from transformers import Trainer, TrainerCallback, TrainingArguments

SAMPLES = 32
BATCHES = 4  # in an epoch, and in an evaluation
X = torch.linspace(-1, 1, SAMPLES * 2).reshape(-1, 2)
Y = X.sum(1, keepdim=True)

ANNOUNCED = ["batch_start", "job_start"]
FIT = [*ANNOUNCED, "job_epoch 0", "job_epoch 1"]
FIT_AND_TEST = [*FIT, "job_done", "batch_done"]

TRAINING_COLUMNS = {
    *("Total_Train_Time", "Avg_Epoch_Time", "Avg_Batch_Time", "Total_Batches", "Samples_Per_Second"),
}
TEST_COLUMNS = {
    *("Total_Inference_Time", "Inference_Time_Per_Sample", "Inference_Throughput"),
    *("Latency_P50", "Latency_P95", "Latency_P99"),
    *("CPU_Memory", "CPU_Utilization", "Model_Params", "Model_Size", "seed"),
}
MAYBE_COLUMNS = {
    "CPU_Utilization",
    "Model_Params_Trainable",
    "GPU_Utilization",
    "GPU_Memory",
    "GPU_Memory_Peak",
}
COLUMNS = TRAINING_COLUMNS | TEST_COLUMNS


class Line(Dataset):
    def __init__(self, samples=SAMPLES):
        self.samples = samples

    def __len__(self):
        return self.samples

    def __getitem__(self, index):
        return {"x": X[index], "labels": Y[index]}


class Unlabelled(Line):
    def __getitem__(self, index):
        return {"x": X[index]}


class Stream(IterableDataset):
    def __iter__(self):
        return iter(Line()[index] for index in range(SAMPLES))


class Regressor(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)

    def forward(self, x, labels=None):
        predicted = self.layer(x)
        if labels is None:
            return {"logits": predicted}
        return {"loss": torch.nn.functional.mse_loss(predicted, labels), "logits": predicted}


def mse(prediction):
    return {"mse": float(np.square(prediction.predictions - prediction.label_ids).mean())}


def trainer(cb, tmp_path, model=None, callbacks=(), trainer_class=Trainer, **options):
    """Return a Trainer of two epochs with `cb` first in its list; `options` go where they belong."""
    own = ("train_dataset", "eval_dataset", "model_init", "compute_metrics")
    others = {name: options.pop(name) for name in own if name in options}
    arguments = TrainingArguments(
        output_dir=str(tmp_path),
        **{
            "num_train_epochs": 2,
            "per_device_train_batch_size": SAMPLES // BATCHES,
            "per_device_eval_batch_size": SAMPLES // BATCHES,
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
    return trainer_class(
        None if "model_init" in others else model or Regressor(),
        arguments,
        callbacks=[*([cb] if cb else []), *callbacks],
        **{"train_dataset": Line(), "eval_dataset": Line(), "compute_metrics": mse, **others},
    )


class At(TrainerCallback):
    """Calls a function at one hook, or at one call of it alone."""

    def __init__(self, hook, act, only_at_call=None):
        self.calls = 0

        def called(args, state, control, **kwargs):
            self.calls += 1
            if only_at_call in (None, self.calls):
                act()

        setattr(self, hook, called)


def raising(hook, error, only_at_call=None):
    """Return a callback that raises `error` at one hook."""

    def act():
        raise error

    return At(hook, act, only_at_call)
