"""What the data say of a model against the leader."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["UNTESTED", "Result", "Separation"]

Result = Literal["leads", "separable", "not separable", "reversed", "untested"]
"""`separable`: worse than the leader. `reversed`: told from it too, but the signed ranks find it better."""


class Separation(msgspec.Struct, frozen=True):
    """Whether a model is told from the leader: see `ranking.statistics.tiers` for the rule.

    Attributes:
        p: of the signed-rank test, by Holm; None where the two were not held against each other.
        why: why they were not, in words.
    """

    result: Result
    p: float | None = None
    why: str = ""

    @property
    def is_told(self) -> bool | None:
        """Whether the data tell the model from the leader; None where nobody asked them."""
        if self.result in ("leads", "untested"):
            return None
        return self.result != "not separable"


UNTESTED = Separation("untested")
