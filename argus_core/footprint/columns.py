"""What the modules that measure hand to the leaderboard."""

from __future__ import annotations

__all__ = ["BYTES_PER_MB", "Columns"]

Columns = dict[str, float | None]
"""Values by column name. None and 0 say that nothing was measured, and are left out of the result."""

BYTES_PER_MB = 1e6
