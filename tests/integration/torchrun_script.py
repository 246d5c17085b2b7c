"""A Trainer in two processes under torchrun: DIRECTORY [RANK], which fails in the second epoch."""

from __future__ import annotations

import sys

import torch
from integration.gloo_exit import let_gloo_finish_at_exit
from transformers import Trainer, TrainerCallback, TrainingArguments

from argus_integrations.transformers import ArgusCallback

X = torch.linspace(-1, 1, 64).reshape(-1, 2)


class Regressor(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)

    def forward(self, x, labels):
        predicted = self.layer(x)
        return {"loss": torch.nn.functional.mse_loss(predicted, labels), "logits": predicted}


class FailOn(TrainerCallback):
    def __init__(self, rank):
        self.rank = rank

    def on_epoch_begin(self, args, state, control, **kwargs):
        if args.process_index == self.rank and state.global_step:
            raise ValueError("boom")


def main():
    torch.set_num_threads(1)
    data = [{"x": x, "labels": x.sum().reshape(1)} for x in X]
    arguments = TrainingArguments(
        output_dir=sys.argv[1],
        num_train_epochs=2,
        per_device_train_batch_size=4,
        eval_strategy="epoch",
        logging_strategy="epoch",
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        ddp_backend="gloo",
        disable_tqdm=True,
    )
    cb = ArgusCallback(project="p", job_id="the-job")
    trainer = Trainer(
        Regressor(),
        arguments,
        train_dataset=data,
        eval_dataset=data,
        compute_metrics=lambda prediction: {"samples": len(prediction.predictions)},
        callbacks=[cb, *(FailOn(int(rank)) for rank in sys.argv[2:])],
    )
    with cb:
        trainer.train()
    trainer.evaluate()


if __name__ == "__main__":
    let_gloo_finish_at_exit()
    main()
