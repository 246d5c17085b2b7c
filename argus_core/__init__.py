"""Argus, the part that runs inside a training process: light, no framework, no server."""

from __future__ import annotations

from argus_core import hooks
from argus_core.errors import ArgusError, ReadError
from argus_core.identity import derive_batch_id
from argus_core.reading import leaderboard
from argus_core.reporter import Job, Reporter

__all__ = [
    "ArgusError",
    "Job",
    "ReadError",
    "Reporter",
    "__version__",
    "derive_batch_id",
    "hooks",
    "leaderboard",
]

__version__ = "0.1.0"
