from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import pytest

from argus_core import distributed
from argus_core.distributed import RANK_VARIABLES, global_rank, rank_from_environment, world_size


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    for name in (*RANK_VARIABLES, "WORLD_SIZE", "TF_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    for name in ("jax", "torch.distributed"):
        monkeypatch.setitem(sys.modules, name, None)


def test_a_process_alone_is_rank_zero():
    assert rank_from_environment() is None
    assert global_rank() == 0
    assert world_size() == 1


@pytest.mark.parametrize("position", range(len(RANK_VARIABLES)))
def test_the_most_trustworthy_variable_wins(position):
    environment = {name: str(number) for number, name in enumerate(RANK_VARIABLES) if number >= position}

    assert rank_from_environment(environment) == position


def test_a_variable_that_is_no_number_is_passed_over():
    assert rank_from_environment({"RANK": "", "LOCAL_RANK": "1"}) == 1


def test_a_local_rank_zero_of_another_node_is_not_global_zero(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setenv("RANK", "4")

    assert not distributed.is_global_zero()


def process_group(rank, size, initialized=True):
    return SimpleNamespace(
        is_available=lambda: True,
        is_initialized=lambda: initialized,
        get_rank=lambda: rank,
        get_world_size=lambda: size,
    )


def test_a_process_group_knows_better_than_the_environment(monkeypatch):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setitem(sys.modules, "torch.distributed", process_group(3, 4))

    assert (global_rank(), world_size()) == (3, 4)


def test_a_group_that_does_not_exist_yet_knows_nothing(monkeypatch):
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setitem(sys.modules, "torch.distributed", process_group(0, 1, initialized=False))

    assert global_rank() == 2


@pytest.mark.parametrize(("initialized", "rank"), [(True, 1), (False, 0)])
def test_jax_is_asked_only_when_it_is_distributed(monkeypatch, initialized, rank):
    jax = SimpleNamespace(
        distributed=SimpleNamespace(is_initialized=lambda: initialized),
        process_index=lambda: 1,
        process_count=lambda: 2,
    )
    monkeypatch.setitem(sys.modules, "jax", jax)

    assert global_rank() == rank
    assert world_size() == 1 + initialized


@pytest.mark.parametrize(
    ("kind", "index", "chief", "rank"),
    [("worker", 0, False, 0), ("worker", 1, False, 1), ("chief", 0, True, 0), ("worker", 0, True, 1)],
)
def test_tensorflow_says_it_in_tf_config(monkeypatch, kind, index, chief, rank):
    cluster = {"worker": ["a", "b"], **({"chief": ["c"]} if chief else {})}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}}))

    assert global_rank() == rank


@pytest.mark.parametrize("config", ["", "{", "[]", '{"task": 1}'])
def test_a_tf_config_that_makes_no_sense_is_ignored(monkeypatch, config):
    monkeypatch.setenv("TF_CONFIG", config)

    assert global_rank() == 0
