"""Which models the data can tell apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from argus_server.ranking.statistics.comparisons import EXACT, Floats, Ties
from argus_server.ranking.statistics.significance import Wilcoxon, holm, wilcoxon

__all__ = ["ALPHA", "Against", "Tiers", "cliques", "find_tiers"]

ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Against:
    """A model against the best of the tier that it was held against; p by Holm over those below that one."""

    anchor: int
    test: Wilcoxon
    p: float
    separated: bool


@dataclass(frozen=True, slots=True)
class Tiers:
    """Groups of models, best first, each with its models best first; and why.

    Attributes:
        groups: indices of models.
        leader: against the leader: what came of it for every other model; empty if nothing was tested.
    """

    groups: tuple[tuple[int, ...], ...]
    leader: dict[int, Against]

    def inseparable(self) -> list[int]:
        """Return the models that cannot be told from the leader, the best first."""
        if not self.leader:
            return [model for group in self.groups for model in group][1:]
        return [model for group in self.groups for model in group if self._close(model)]

    def _close(self, model: int) -> bool:
        return model in self.leader and not self.leader[model].separated


def cliques(separated: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the runs of models, in order, no two of which are separated: as (first, last), the longest only.

    They are the bars of a critical-difference diagram (Demšar 2006, §3.2.4). A run has two models at least.
    """
    k = len(separated)
    found: list[tuple[int, int]] = []
    for first in range(k):
        last = first
        while last + 1 < k and not separated[first : last + 1, last + 1].any():
            last += 1
        if last > first and (not found or last > found[-1][1]):
            found.append((first, last))
    return found


def find_tiers(
    scores: Floats, order: Sequence[int], *, differ: bool, ties: Ties = EXACT, alpha: float = ALPHA
) -> Tiers:
    """Return the tiers of models that stand in `order`, best first.

    Where the models as a whole do not differ (Friedman), there is one. Else every model is held against
    the best of the tier, by Wilcoxon's exact test and Holm over those; the first one that is worse opens
    the next tier and is its best. The best does not move while its tier is filled: a chain of small
    steps ends a tier as soon as it has become a large one.
    """
    rest = list(order)
    if not differ or len(rest) < 2:
        return Tiers((tuple(rest),) if rest else (), {})
    groups: list[tuple[int, ...]] = []
    leader: dict[int, Against] = {}
    while rest:
        tested = _against(scores, rest, ties, alpha)
        leader = leader or tested
        end = next(
            (place for place, model in enumerate(rest) if place and tested[model].separated), len(rest)
        )
        groups.append(tuple(rest[:end]))
        rest = rest[end:]
    return Tiers(tuple(groups), leader)


def _against(scores: Floats, order: Sequence[int], ties: Ties, alpha: float) -> dict[int, Against]:
    anchor, others = order[0], order[1:]
    tests = [wilcoxon(scores[:, other], scores[:, anchor], ties) for other in others]
    adjusted = holm(np.array([test.p for test in tests]))
    return {
        other: Against(anchor, test, float(p), bool(p <= alpha and test.plus > test.minus))
        for other, test, p in zip(others, tests, adjusted, strict=True)
    }
