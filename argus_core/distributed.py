"""Which process of a distributed job this is: only global rank zero reports.

Nothing is imported here: a framework that is not in `sys.modules` cannot have formed a process group.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import Any

__all__ = ["RANK_VARIABLES", "global_rank", "is_global_zero", "rank_from_environment", "world_size"]

RANK_VARIABLES = (
    "RANK",
    "SLURM_PROCID",
    "OMPI_COMM_WORLD_RANK",
    "PMI_RANK",
    "JSM_NAMESPACE_RANK",
    "LOCAL_RANK",
)
"""Where launchers say the rank, most trustworthy first: a local rank is zero once on every node."""


def rank_from_environment(environment: Mapping[str, str] | None = None) -> int | None:
    """Return the global rank that the launcher announced, or None when there was no launcher."""
    env = os.environ if environment is None else environment
    for name in RANK_VARIABLES:
        value = env.get(name, "").strip()
        if value.isdecimal():
            return int(value)
    return None


def global_rank() -> int:
    """Return this process's rank among all processes of the job, 0 when it is alone.

    A process group that exists knows better than the environment: jax.distributed sets no variable
    at all. Cheap (no collective), so it may be asked at the start of every stage.
    """
    for ask in (_jax_rank, _torch_rank, _tensorflow_rank, rank_from_environment):
        rank = ask()
        if rank is not None:
            return rank
    return 0


def is_global_zero() -> bool:
    """Whether this process is the one that reports."""
    return global_rank() == 0


def world_size() -> int:
    """Return how many processes train together, 1 when this one is alone."""
    jax = sys.modules.get("jax")
    if jax is not None and _jax_rank() is not None:
        return int(jax.process_count())
    distributed = _torch_process_group()
    if distributed is not None:
        return int(distributed.get_world_size())
    value = os.environ.get("WORLD_SIZE", "").strip()
    return int(value) if value.isdecimal() and int(value) > 0 else 1


def _jax_rank() -> int | None:
    """Ask JAX, but only after `jax.distributed.initialize`: the question itself starts its backend."""
    jax = sys.modules.get("jax")
    if jax is None:
        return None
    is_initialized = getattr(getattr(jax, "distributed", None), "is_initialized", None)
    if is_initialized is None:  # jax < 0.4.36
        state = getattr(sys.modules.get("jax._src.distributed"), "global_state", None)
        is_distributed = getattr(state, "client", None) is not None
    else:
        is_distributed = bool(is_initialized())
    return int(jax.process_index()) if is_distributed else None


def _torch_rank() -> int | None:
    distributed = _torch_process_group()
    return None if distributed is None else int(distributed.get_rank())


def _torch_process_group() -> Any:
    """Return torch.distributed if this process has joined a default group, else None."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return None
    return distributed


def _tensorflow_rank() -> int | None:
    """Return the worker index of `TF_CONFIG`; the chief comes before the workers."""
    try:
        config = json.loads(os.environ.get("TF_CONFIG", ""))
        task, cluster = config["task"], config.get("cluster", {})
        index = int(task["index"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    if task.get("type") == "worker" and cluster.get("chief"):
        return index + len(cluster["chief"])
    return index if task.get("type") in ("chief", "master", "worker") else index + 1
