"""Which models the data can tell apart.

One rule, wherever models are compared: **two models are told apart where Wilcoxon's signed-rank test says
so, after Holm's correction and behind a test of all models together; which of them is better is the test's
word too, never that of the wins.** A group of the leaderboard ends only before models that are *worse* than
its best ones. Signed ranks weigh by how much, average ranks count how often, and the two can disagree: a
model that the signed ranks find better than one before it stays in its group, as nobody has shown it to be
worse, and is not called inseparable either. Models with the same average rank share a place and are taken
together: nothing depends on their names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from argus_server.ranking.statistics.comparisons import EXACT, Floats, Ties
from argus_server.ranking.statistics.significance import holm, wilcoxon

__all__ = ["ALPHA", "Against", "Tiers", "cliques", "find_tiers"]

ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Against:
    """A model against the best of the group that it was held against.

    Attributes:
        anchors: the best: one model, or several that share its place.
        p: of the signed-rank test, corrected by Holm for the number of models behind the best. Of several
            anchors the largest p counts (an intersection-union test), and 1 where they disagree about which
            way: only what holds against each of them holds.
        result: `worse` or `better` where they are told apart, else `alike`.
        is_exact: whether p is counted out, of each anchor.
    """

    anchors: tuple[int, ...]
    p: float
    result: Literal["worse", "better", "alike"]
    is_exact: bool = True

    @property
    def separated(self) -> bool:
        """Whether the model is worse than the best of the group."""
        return self.result == "worse"


@dataclass(frozen=True, slots=True)
class Tiers:
    """Groups of models, best first, each with its models best first; and why.

    Attributes:
        groups: indices of models.
        first: those that share the first place.
        leader: against these: what came of it for every other model; empty if nothing was tested.
    """

    groups: tuple[tuple[int, ...], ...]
    first: tuple[int, ...]
    leader: dict[int, Against]

    def inseparable(self) -> list[int]:
        """Return the models that cannot be told from the leader, the best first."""
        others = [model for group in self.groups for model in group if model not in self.first]
        return [model for model in others if model not in self.leader or self.leader[model].result == "alike"]


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
    scores: Floats, places: Sequence[Sequence[int]], *, differ: bool, ties: Ties = EXACT, alpha: float = ALPHA
) -> Tiers:
    """Return the tiers of models that stand in these places, best first; those that share one are together.

    Where the models as a whole do not differ (Friedman), there is one. Else every model is held against
    the best of the tier, by Wilcoxon's exact test and Holm over those; the first place all of whose models
    are worse opens the next tier and is its best. The best does not move while its tier is filled: a chain
    of small steps ends a tier as soon as it has become a large one.
    """
    rest = [tuple(place) for place in places]
    if not rest:
        return Tiers((), (), {})
    if not differ or len(rest) < 2:
        return Tiers((_all(rest),), rest[0], {})
    first = rest[0]
    groups: list[tuple[int, ...]] = []
    leader: dict[int, Against] = {}
    while rest:
        tested = _against(scores, rest[0], _all(rest[1:]), ties, alpha)
        leader = leader or tested
        end = next(
            (at for at, place in enumerate(rest) if at and all(tested[model].separated for model in place)),
            len(rest),
        )
        groups.append(_all(rest[:end]))
        rest = rest[end:]
    return Tiers(tuple(groups), first, leader)


def _all(places: Sequence[Sequence[int]]) -> tuple[int, ...]:
    return tuple(model for place in places for model in place)


def _against(
    scores: Floats, anchors: tuple[int, ...], others: Sequence[int], ties: Ties, alpha: float
) -> dict[int, Against]:
    raw, worse, exact = [], [], []
    for other in others:
        tests = [wilcoxon(scores[:, other], scores[:, anchor], ties) for anchor in anchors]
        ways = {test.way for test in tests}
        raw.append(max(test.p for test in tests) if len(ways) == 1 else 1.0)
        worse.append(ways == {1})
        exact.append(all(test.is_exact for test in tests))
    found = {}
    for other, p, is_worse, is_exact in zip(others, holm(raw), worse, exact, strict=True):
        result: Literal["worse", "better", "alike"] = (
            "alike" if p > alpha else "worse" if is_worse else "better"
        )
        found[other] = Against(anchors, float(p), result, is_exact)
    return found
