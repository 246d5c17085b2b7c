"""Real frameworks, tiny models; events are recorded where they would leave the process.

The fixtures of `tests/conftest.py` fail a test in which any error of ours was swallowed.
"""

from __future__ import annotations

import os
import sys
import uuid
from pathlib import Path

import pytest

os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("OMP_NUM_THREADS", "1")

from argus_core.testing import MemoryTransport, memory

# The frameworks' own warnings, on their own import and on tiny data.
FRAMEWORKS_WARNINGS = [
    "ignore:.*:DeprecationWarning:(torch|lightning|pytorch_lightning|lightning_fabric|lightning_utilities|keras|transformers|accelerate|torchmetrics)",
    "ignore:.*:FutureWarning:(torch|lightning|pytorch_lightning|lightning_fabric|keras|transformers|accelerate)",
    "ignore:.*does not have many workers.*",
    "ignore:You defined a `validation_step` but have no `val_dataloader`.*",
    "ignore:`Trainer.fit. stopped.*",
    "ignore:.*fast_dev_run.*",
    "ignore:.*number of training batches.*smaller than the logging interval.*",
    "ignore:.*pin_memory.*:UserWarning",
    "ignore:.*Checkpoint directory.*exists and is not empty.*",
    "ignore:.*isinstance.treespec, LeafSpec.. is deprecated.*",
    "ignore:.*_register_pytree_node.*",
    "ignore:.*IterableDataset. has `__len__` defined.*",
    "ignore:.*Trying to infer the `batch_size` from an ambiguous collection.*",
    "ignore:.*no overlap between the task's.*",
    "ignore:.*SWIG.*",
    "ignore:`shuffle=True` was passed, but will be ignored.*",
    "ignore:Your input ran out of data.*",
    "ignore:.*Detected KeyboardInterrupt.*",
]


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            for warning in reversed(FRAMEWORKS_WARNINGS):
                item.add_marker(pytest.mark.filterwarnings(warning))


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def no_seed_from_before(monkeypatch):
    """`seed_everything` writes environment variables, which would seed the tests after it."""
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")
    monkeypatch.delenv("PL_GLOBAL_SEED")
    monkeypatch.setenv("PL_SEED_WORKERS", "0")
    monkeypatch.delenv("PL_SEED_WORKERS")


@pytest.fixture(autouse=True)
def no_error_from_before(monkeypatch):
    """What pytest caught in an earlier test is not the error that ends this one."""
    for name in ("last_value", "last_exc"):
        monkeypatch.delattr(sys, name, raising=False)


@pytest.fixture
def sent(monkeypatch) -> MemoryTransport:
    """What reaches the server, for everybody who names none."""
    name = uuid.uuid4().hex
    monkeypatch.setenv("ARGUS_URL", f"memory://{name}")
    return memory(name)


def story(transport: MemoryTransport) -> list[str]:
    """Return the events as short words, in order: `job_epoch 0` where an epoch belongs."""
    return [
        f"{event.event_type} {event.data['epoch']}" if event.event_type == "job_epoch" else event.event_type
        for event in transport.events
    ]


def data_of(transport: MemoryTransport, event_type: str) -> dict:
    """Return the data of the last event of a type."""
    return transport.of_type(event_type)[-1].data


@pytest.fixture(name="story")
def story_fixture():
    return story


@pytest.fixture(name="data_of")
def data_of_fixture():
    return data_of
