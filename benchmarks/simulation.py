"""How often the tiers of models are wrong, and how often they see what is there.

    python benchmarks/simulation.py [--boards 2000]

k = 5 models on N = 10 datasets with 3 seeds. Equal models: how often is any of them separated from the
leader? At most 5 % is the goal, for normal noise, for heavy tails (Student's t with 2 degrees of freedom),
for datasets of very different scale, and for scores that tie. Power: one model is better than the other
four by so many standard errors of a cell's mean; how often is any, and how often are all of the four, told
from it, and how often is it separated from another that leads? Beside it: what goes wrong without Friedman's
test before the pairs.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

import numpy as np

from argus_server.ranking.scores import Scores, choose_field
from argus_server.ranking.standing import Standing, stand
from argus_server.ranking.statistics import Ties, find_tiers
from argus_server.ranking.statistics.comparisons import Floats

K, N, SEEDS = 5, 10, 3
Noise = Callable[[np.random.Generator, tuple[int, ...]], Floats]


def normal(generator: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    return generator.normal(size=shape)


def heavy(generator: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    return generator.standard_t(2, size=shape)


def scores_of(values: Floats) -> Scores:
    """Return the scores of datasets × models × seeds."""
    n, k, seeds = values.shape
    names = tuple(f"{place:02}" for place in range(max(n, k)))
    counts = np.full((n, k), seeds)
    return Scores("MSE", False, names[:k], names[:n], values.mean(axis=2), counts, values.std(axis=2), Ties())


def board(
    generator: np.random.Generator,
    noise: Noise,
    *,
    effect: float = 0.0,
    scale: float = 0.0,
    digits: int | None = None,
) -> Scores:
    """Return a board; the first model is better by `effect` standard errors of a cell's mean.

    Args:
        generator: where chance comes from.
        noise: of one seed.
        effect: how much better the first model is.
        scale: over how many powers of ten the datasets' sizes spread.
        digits: to how many decimals scores are rounded; None for all.
    """
    values = 10 + noise(generator, (N, K, SEEDS))
    values[:, 0] -= effect / math.sqrt(SEEDS)
    values *= 10 ** (scale * generator.uniform(-0.5, 0.5, size=(N, 1, 1)))
    return scores_of(values if digits is None else np.round(values, digits))


def standing_of(scores: Scores) -> Standing:
    return stand(choose_field(scores, "complete"), scores, with_interval=False)


def is_separated(standing: Standing) -> bool:
    """Whether anybody is told from the leader, as worse or by the signed ranks as better."""
    return any(against.result != "alike" for against in standing.tiers.leader.values())


def share(
    generator: np.random.Generator, boards: int, make: Callable[[np.random.Generator], Scores]
) -> float:
    """Return in which share of boards somebody is told from the leader."""
    return sum(is_separated(standing_of(make(generator))) for _ in range(boards)) / boards


EQUAL: dict[str, Callable[[np.random.Generator], Scores]] = {
    "normal": lambda g: board(g, normal),
    "heavy tails": lambda g: board(g, heavy),
    "datasets of 0.001 to 1,000": lambda g: board(g, normal, scale=6),
    "rounded until they tie": lambda g: board(g, normal, digits=0),
}


def false_separations(boards: int, seed: int = 1) -> dict[str, float]:
    """Return the share of boards of equal models where somebody is told from the leader, by kind of noise."""
    return {name: share(np.random.default_rng(seed), boards, make) for name, make in EQUAL.items()}


def power(boards: int, effect: float, seed: int = 2) -> tuple[float, float, float]:
    """Return how often the better model leads and is told from any, from all; and another is told from it."""
    generator = np.random.default_rng(seed)
    some = every = wrong = 0
    for _ in range(boards):
        standing = standing_of(board(generator, normal, effect=effect))
        told = [against.separated for against in standing.tiers.leader.values()]
        leads = standing.order[0] == 0
        some += leads and any(told)
        every += leads and bool(told) and all(told)
        wrong += not leads and 0 in standing.tiers.leader and standing.tiers.leader[0].separated
    return some / boards, every / boards, wrong / boards


def without_friedman(boards: int, seed: int = 1) -> float:
    """Return the share of false separations if the pairs were tested straight away."""
    generator = np.random.default_rng(seed)
    found = 0
    for _ in range(boards):
        scores = board(generator, normal)
        tiers = find_tiers(scores.values, standing_of(scores).places, differ=True)
        found += any(against.separated for against in tiers.leader.values())
    return found / boards


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--boards", type=int, default=2000)
    boards = parser.parse_args().boards
    print(f"{boards:,} boards each, k = {K}, N = {N}, {SEEDS} seeds\n")
    print("| equal models | somebody separated from the leader | goal ≤ 5 % |\n|---|---|---|")
    for name, found in false_separations(boards).items():
        print(f"| {name} | {found:.2%} | {'met' if found <= 0.05 else '**MISSED**'} |")
    print(f"| normal, without Friedman's test before | {without_friedman(boards):.2%} | |")
    print(
        "\n| one model better by | told from some | from all four | another told from it |\n|---|---|---|---|"
    )
    for effect in (0.5, 1.0, 1.5, 2.0, 3.0):
        some, every, wrong = power(boards, effect)
        print(f"| {effect} standard errors | {some:.1%} | {every:.1%} | {wrong:.2%} |")


if __name__ == "__main__":
    main()
