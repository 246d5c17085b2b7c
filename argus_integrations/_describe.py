"""What a framework's objects say about names and seeds. Unknown is None, never invented."""

from __future__ import annotations

import os
import re
import sys
from typing import Any

__all__ = ["attribute", "class_name_of_dataset", "class_name_of_model", "environment_seed", "torch_seed"]

_ANONYMOUS_DATASETS = frozenset(
    (
        "TensorDataset",
        "IterableDataset",
        "Dataset",
        "IterableDatasetDict",
        "DatasetDict",
        "list",
        "tuple",
        "dict",
    )
)
_MAX_UNWRAPPING = 8


def attribute(thing: object, name: str) -> Any:
    """Return an attribute of what may be a user's own class, None if it has none or raises anything."""
    try:
        return getattr(thing, name, None)
    except Exception:  # noqa: BLE001 - a mapping with dots raises KeyError, a lazy property whatever it likes
        return None


def class_name_of_model(model: object) -> str | None:
    """Return the class name of a model, None for None."""
    return None if model is None else type(model).__name__


def class_name_of_dataset(dataset: Any) -> str | None:
    """Return what names a data set: its Hugging Face info, else its class below Subset and ConcatDataset."""
    for _ in range(_MAX_UNWRAPPING):
        inner = attribute(dataset, "dataset")  # Subset
        if inner is None:
            parts = attribute(dataset, "datasets")  # ConcatDataset
            inner = parts[0] if isinstance(parts, (list, tuple)) and parts else None
        if inner is None:
            break
        dataset = inner
    if dataset is None:
        return None
    info = attribute(dataset, "info")
    for key in ("dataset_name", "builder_name"):
        name = attribute(info, key)
        if isinstance(name, str) and name:
            return name
    name = type(dataset).__name__
    return None if name in _ANONYMOUS_DATASETS else name


def environment_seed() -> int | None:
    """Return the seed that `seed_everything` left in the environment."""
    value = os.environ.get("PL_GLOBAL_SEED", "")
    return int(value) if re.fullmatch(r"\d+", value) else None


def torch_seed() -> int | None:
    """Return torch's seed if somebody set it: an unseeded generator shows a large random number."""
    torch = sys.modules.get("torch")
    if torch is None:
        return None
    seed = int(torch.initial_seed())
    return seed if 0 <= seed < 2**32 else None
