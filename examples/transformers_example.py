"""Hugging Face Trainer: one callback, and `evaluate()` after training sends the row of the leaderboard.

    python examples/transformers_example.py

Without ARGUS_URL it trains all the same, and `argus sync` sends the events later.
"""

from __future__ import annotations

import os
import tempfile
from typing import Any

import numpy as np
import torch
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

from argus_integrations.transformers import ArgusCallback

WORDS, LENGTH = 20, 12


def sentences(count: int, seed: int) -> list[dict[str, Any]]:
    """Return token sequences that are positive when the token 1 occurs more often than 2."""
    tokens = np.random.default_rng(seed).integers(1, WORDS // 4, size=(count, LENGTH))
    labels = ((tokens == 1).sum(1) > (tokens == 2).sum(1)).astype(int)
    return [{"input_ids": row, "labels": label} for row, label in zip(tokens, labels, strict=True)]


def accuracy(prediction: Any) -> dict[str, float]:
    """Return the metrics that the Trainer names `eval_accuracy` and Argus `accuracy`."""
    return {"accuracy": float((prediction.predictions.argmax(-1) == prediction.label_ids).mean())}


def main() -> None:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=WORDS, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64
    )
    cb = ArgusCallback(
        project=os.environ.get("ARGUS_PROJECT", "leaderboard-demo"), model="bert-nano", dataset="counting"
    )
    with tempfile.TemporaryDirectory() as directory:
        arguments = TrainingArguments(
            output_dir=directory,
            num_train_epochs=3,
            learning_rate=1e-3,
            per_device_train_batch_size=32,
            eval_strategy="epoch",
            logging_strategy="epoch",
            save_strategy="no",
            report_to=[],
            use_cpu=True,
        )
        trainer = Trainer(
            BertForSequenceClassification(config),
            arguments,
            train_dataset=sentences(1000, seed=1),
            eval_dataset=sentences(200, seed=2),
            compute_metrics=accuracy,
            callbacks=[cb],
        )
        with cb:  # reports an exception in train() exactly
            trainer.train()
        trainer.evaluate(sentences(300, seed=3))


if __name__ == "__main__":
    main()
