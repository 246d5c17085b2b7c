"""How many samples the batches of torch's loaders hold, known without asking each."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

__all__ = ["FullBatches"]

_HOOKS_ON_BATCHES = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")
_LIGHTNINGS = ("lightning.pytorch.", "pytorch_lightning.")


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
