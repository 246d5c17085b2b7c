"""On a GPU, a value that is read makes the host wait for the device. No hook of a training step reads one.

Torch names every use of a tensor to a `TorchFunctionMode`, on any device: what our hooks use is recorded.
"""

from __future__ import annotations

import sys
from collections import Counter

import pytest
import torch
from integration.tiny_lightning import BATCHES, loader, regressor
from integration.tiny_lightning import trainer as lightning_trainer
from integration.tiny_trainer import trainer as hf_trainer
from torch.overrides import TorchFunctionMode

import argus_integrations.lightning as argus_lightning
import argus_integrations.transformers as argus_transformers


class UsesOfTensors(TorchFunctionMode):
    """Notes what our hooks ask of tensors, as (hook, name of the method or attribute)."""

    def __init__(self):
        super().__init__()
        self.seen = Counter()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        hook = hook_of_ours()
        if hook is not None:
            attribute = getattr(func, "__self__", None)  # of `Tensor.shape.__get__`
            self.seen[hook, getattr(attribute, "__name__", None) or func.__name__] += 1
        return func(*args, **(kwargs or {}))

    def in_hook(self, name):
        return {what for hook, what in self.seen if hook == name}


def hook_of_ours():
    frame = sys._getframe(1)
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.startswith("argus_integrations.") and frame.f_code.co_name.startswith("on_"):
            return frame.f_code.co_name
        frame = frame.f_back
    return None


@pytest.fixture
def waits(monkeypatch):
    """Who waited for the device explicitly."""
    seen = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device=None: seen.append(device))
    return seen


def test_a_training_step_under_lightning_asks_a_tensor_for_its_shape_alone(sent, waits):
    with UsesOfTensors() as uses:
        lightning_trainer([argus_lightning.ArgusCallback()]).fit(regressor(), loader(), loader())

    assert uses.in_hook("on_train_batch_end") == {"shape"}
    assert uses.in_hook("on_validation_start") | uses.in_hook("on_validation_end") == set()
    assert "item" in uses.in_hook("on_train_epoch_start")  # once in an epoch: the recorder does see reads
    assert waits == []


def test_of_batches_whose_loader_says_their_size_one_in_an_epoch_is_asked(sent):
    of_its_own = loader(sampler=range(8 * BATCHES))
    asked = []

    for train_loader in (loader(), of_its_own):
        with UsesOfTensors() as uses:
            lightning_trainer([argus_lightning.ArgusCallback()]).fit(regressor(), train_loader)
        asked.append(uses.seen["on_train_batch_end", "shape"])

    assert asked == [2, 2 * BATCHES]


def test_a_training_step_under_the_trainer_asks_no_tensor(sent, waits, tmp_path):
    with UsesOfTensors() as uses:
        hf_trainer(argus_transformers.ArgusCallback(), tmp_path, gradient_accumulation_steps=2).train()

    assert uses.in_hook("on_step_end") | uses.in_hook("on_substep_end") == set()
    assert uses.in_hook("on_prediction_step") | uses.in_hook("on_evaluate") == set()
    assert waits == []
