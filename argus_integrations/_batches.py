"""How many samples a batch of torch's holds: asked of the batch, or known from its loader."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["FullBatches", "batch_size"]

_HOOKS_ON_BATCHES = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")
_LIGHTNINGS = ("lightning.pytorch.", "pytorch_lightning.")


def batch_size(batch: Any, depth: int = 4) -> int:
    """Return the length of the first tensor in a batch, 0 if there is none. Never reads one."""
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
                size = batch_size(item, depth - 1)
                if size:
                    return size
    return int(getattr(batch, "num_graphs", 0) or 0)  # a PyTorch Geometric batch


@dataclass(frozen=True, slots=True)
class FullBatches:
    """The batches at the begin of an epoch that have all the same size, because their loader makes no others.

    Attributes:
        size: samples in each.
        number: how many there are; 0 where it is not known.
    """

    size: int = 0
    number: int = 0

    @classmethod
    def of(cls, loader: Any, *makers: Any) -> FullBatches:
        """Return those of a torch `DataLoader` of which every part is torch's own.

        Another sampler may end before its length; another `collate_fn`, or a data set that is asked for whole
        batches, may leave samples out.

        Args:
            loader: what the trainer draws from.
            makers: the module and the data module, whose hooks may change a batch; None for none.
        """
        data = sys.modules.get("torch.utils.data")
        if data is None or type(loader) is not data.DataLoader or any(map(_changes_batches, makers)):
            return cls()
        batches = loader.batch_sampler
        if type(batches) is not data.BatchSampler or loader.collate_fn is not data.default_collate:
            return cls()
        dataset = loader.dataset
        while type(dataset) is data.Subset:
            dataset = dataset.dataset
        if not _is_of(type(batches.sampler), "torch.utils.data.") or not _gives_all(dataset):
            return cls()
        try:
            return cls(batches.batch_size, len(batches.sampler) // batches.batch_size)
        except (TypeError, NotImplementedError):  # a data set without a length
            return cls()


def _gives_all(dataset: Any) -> bool:
    """Whether a data set gives a sample for each index."""
    whole_batches = getattr(type(dataset), "__getitems__", None)
    return whole_batches is None or _is_of(whole_batches, "torch.utils.data.", "datasets.")


def _changes_batches(maker: Any) -> bool:
    """Whether a module or a data module has a hook of its own between the loader and the step."""
    hooks = (getattr(type(maker), name, None) for name in _HOOKS_ON_BATCHES)
    return any(hook is not None and not _is_of(hook, *_LIGHTNINGS) for hook in hooks)


def _is_of(thing: Any, *packages: str) -> bool:
    return bool(thing.__module__.startswith(packages))
