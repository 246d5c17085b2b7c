"""PatchTST and PatchTSMixer, trained by the Hugging Face Trainer from random weights."""

from __future__ import annotations

import tempfile
from typing import Any

import numpy as np
from transformers import (
    PatchTSMixerConfig,
    PatchTSMixerForPrediction,
    PatchTSTConfig,
    PatchTSTForPrediction,
    PrinterCallback,
    Trainer,
    TrainingArguments,
    set_seed,
)

from argus_core import Reporter
from argus_integrations.demo.series import CONTEXT, HORIZON, Floats, Series, forecast_metrics
from argus_integrations.transformers import ArgusCallback

__all__ = ["MODELS", "train"]

_SIZES = {
    "context_length": CONTEXT,
    "prediction_length": HORIZON,
    "patch_length": 6,
    "patch_stride": 3,
    "num_input_channels": 1,
    "d_model": 16,
}


def _patch_tst() -> Any:
    """Nie et al. 2023, "A Time Series is Worth 64 Words"."""
    config = PatchTSTConfig(**_SIZES, num_hidden_layers=2, num_attention_heads=4, ffn_dim=32, scaling="std")
    return PatchTSTForPrediction(config)


def _patch_mixer() -> Any:
    """Ekambaram et al. 2023, "TSMixer"."""
    return PatchTSMixerForPrediction(PatchTSMixerConfig(**_SIZES, num_layers=2, scaling="std"))


MODELS = {"PatchTST": _patch_tst, "PatchTSMixer": _patch_mixer}


def train(name: str, series: Series, seed: int, epochs: int, reporter: Reporter) -> None:
    """Train and test one model; the callback reports it."""
    set_seed(seed)
    model = MODELS[name]()
    with tempfile.TemporaryDirectory(prefix="argus-demo-") as directory:
        trainer = Trainer(
            model=model,
            args=TrainingArguments(
                output_dir=directory,
                num_train_epochs=epochs,
                per_device_train_batch_size=32,
                per_device_eval_batch_size=32,
                learning_rate=4e-3,
                eval_strategy="epoch",
                logging_strategy="epoch",
                save_strategy="no",
                report_to=[],
                disable_tqdm=True,
                use_cpu=True,
                seed=seed,
                label_names=["future_values"],
                dataloader_pin_memory=False,
            ),
            train_dataset=_rows(series.train),
            eval_dataset=_rows(series.val),
            compute_metrics=lambda prediction: _metrics(prediction, series),
            callbacks=[ArgusCallback(batch=reporter, model=name, dataset=series.name, seed=seed)],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        trainer.evaluate(_rows(series.test), metric_key_prefix="test")


def _rows(windows: tuple[Floats, Floats]) -> list[dict[str, Any]]:
    """Return windows as the models take them: (CONTEXT, 1) and (HORIZON, 1), one channel."""
    return [
        {"past_values": past[:, np.newaxis], "future_values": future[:, np.newaxis]}
        for past, future in zip(*windows, strict=True)
    ]


def _metrics(prediction: Any, series: Series) -> dict[str, float]:
    outputs, target = prediction.predictions, prediction.label_ids
    forecast = outputs[0] if isinstance(outputs, tuple) else outputs
    target = target[0] if isinstance(target, tuple) else target
    metrics = forecast_metrics(np.squeeze(target, -1), np.squeeze(forecast, -1), series)
    return {name.lower(): value for name, value in metrics.items()}
