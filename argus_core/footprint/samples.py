"""How many samples a batch holds, asked of the batch itself and without reading it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["samples_in"]


def samples_in(batch: Any, depth: int = 4) -> int:
    """Return the length of the first tensor or array in a batch, 0 if there is none. Never reads one."""
    if type(batch) in (list, tuple) and batch:  # what most loaders give, asked at every step
        shape = getattr(batch[0], "shape", None)
        if shape and shape[0]:
            return int(shape[0])
    shape = getattr(batch, "shape", None)
    if shape is not None:
        return int(shape[0]) if len(shape) else 1
    if depth:
        if isinstance(batch, Mapping):
            batch = tuple(batch.values())
        if isinstance(batch, (list, tuple)):
            for item in batch:
                size = samples_in(item, depth - 1)
                if size:
                    return size
    return int(getattr(batch, "num_graphs", 0) or 0)  # a PyTorch Geometric batch
