"""How many parameters a model has, and how many bytes they take."""

from __future__ import annotations

import math
import pickle
from typing import Any, NamedTuple

from argus_core.footprint.columns import BYTES_PER_MB, Columns

__all__ = ["model_footprint"]


class _Size(NamedTuple):
    parameters: int
    trainable: int
    size_bytes: float


def model_footprint(model: Any) -> Columns:
    """Return `Model_Params`, `Model_Params_Trainable` where it differs, and `Model_Size` in MB.

    Understands Keras models and PyTorch modules; shared parameters count once. Of what has `fit` and
    `predict` like scikit-learn's estimators, the size is that of its pickle. Empty for a model of another
    kind, or one whose layers do not know their shapes yet.
    """
    try:
        if callable(getattr(model, "count_params", None)):
            size = _keras_size(model)
        elif callable(getattr(model, "parameters", None)):
            size = _torch_size(model)
        elif callable(getattr(model, "fit", None)) and callable(getattr(model, "predict", None)):
            return {"Model_Size": _pickle_size(model) / BYTES_PER_MB}
        else:
            return {}
    except Exception:  # noqa: BLE001 - lazy modules and unbuilt models raise whatever they like
        return {}
    return {
        "Model_Params": size.parameters,
        "Model_Params_Trainable": size.trainable if size.trainable != size.parameters else None,
        "Model_Size": size.size_bytes / BYTES_PER_MB,
    }


def _torch_size(module: Any) -> _Size:
    parameters = list(module.parameters())
    return _Size(
        parameters=sum(parameter.numel() for parameter in parameters),
        trainable=sum(parameter.numel() for parameter in parameters if parameter.requires_grad),
        size_bytes=sum(tensor.numel() * tensor.element_size() for tensor in (*parameters, *module.buffers())),
    )


def _keras_size(model: Any) -> _Size:
    return _Size(
        parameters=int(model.count_params()),
        trainable=sum(math.prod(weight.shape) for weight in model.trainable_weights),
        size_bytes=sum(math.prod(weight.shape) * _bytes_per_number(weight.dtype) for weight in model.weights),
    )


class _Count:
    """A file that counts what is written and keeps nothing."""

    size_bytes = 0

    def write(self, data: Any) -> int:
        """Count bytes, or a buffer of them."""
        written = memoryview(data).nbytes
        self.size_bytes += written
        return written


def _pickle_size(estimator: Any) -> int:
    count = _Count()
    pickle.Pickler(count, protocol=5).dump(estimator)
    return count.size_bytes


def _bytes_per_number(dtype: object) -> float:
    """Return the size of a dtype by its name: `float32`, `bfloat16`, `int8`, `bool`."""
    bits = "".join(character for character in str(dtype).partition("_")[0] if character.isdigit())
    return int(bits) / 8 if bits else 1
