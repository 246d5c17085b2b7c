"""A small file by which the processes of one run tell each other of a job.

With Lightning's `ddp_spawn` and `ddp_fork`, `fit` and `test` run in different children of the
process that made the callback, and neither gives anything back to it. Whoever reports leaves here how
far the job has come; the test stage and the parent take it from there.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

__all__ = ["delete", "load", "save"]


def save(batch_id: str, job_id: str, owner_pid: int, data: dict[str, Any]) -> None:
    """Write `data`, whole or not at all.

    Raises:
        OSError: nothing was saved; the message names the directory.
    """
    path = _path(batch_id, job_id, owner_pid)
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps(data), encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise OSError(f"{path.parent} cannot be written: {error}") from error


def load(batch_id: str, job_id: str, owner_pid: int) -> dict[str, Any] | None:
    """Return what was saved last for this job of this run, None if nothing was."""
    try:
        data = json.loads(_path(batch_id, job_id, owner_pid).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) else None


def delete(batch_id: str, job_id: str, owner_pid: int) -> None:
    """Remove it, if it is there."""
    try:
        _path(batch_id, job_id, owner_pid).unlink(missing_ok=True)
    except OSError:
        return  # another user's directory: nothing of ours is in it


def _path(batch_id: str, job_id: str, owner_pid: int) -> Path:
    user = os.getuid() if hasattr(os, "getuid") else 0
    key = hashlib.sha256(f"{batch_id}\0{job_id}\0{owner_pid}".encode()).hexdigest()[:32]
    return Path(tempfile.gettempdir()) / f"argus-{user}" / f"{key}.json"
