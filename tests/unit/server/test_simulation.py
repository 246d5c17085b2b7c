"""How often the tiers are wrong: a small part of benchmarks/simulation.py, which has the whole."""

import math

import numpy as np
import pytest

from argus_server.ranking.scores import Scores, choose_field
from argus_server.ranking.standing import stand
from argus_server.ranking.statistics import Ties

BOARDS, MODELS, DATASETS, SEEDS = 400, 5, 10, 3


def standings(effect, seed):
    """Yield how 400 boards stand on which model 0 is better by `effect` standard errors of a cell's mean."""
    generator = np.random.default_rng(seed)
    names = tuple(f"{number:02}" for number in range(DATASETS))
    for _ in range(BOARDS):
        values = generator.normal(10, 1, size=(DATASETS, MODELS, SEEDS))
        values[:, 0] -= effect / math.sqrt(SEEDS)
        counts = np.full((DATASETS, MODELS), SEEDS)
        means, std = values.mean(axis=2), values.std(axis=2, ddof=1)
        scores = Scores("MSE", False, names[:MODELS], names, means, counts, std, Ties())
        yield stand(choose_field(scores, "complete"), scores, with_interval=False)


def told(standing):
    """Return which models are separated from the leader."""
    return {model for model, against in standing.tiers.leader.items() if against.result != "alike"}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_of_equal_models_one_is_separated_from_the_leader_on_one_board_in_twenty_at_most(seed):
    wrong = sum(bool(told(standing)) for standing in standings(0.0, seed))

    assert wrong / BOARDS <= 0.05


def test_a_model_that_is_much_better_is_told_from_all_others():
    found = [standing.order[0] == 0 and told(standing) == {1, 2, 3, 4} for standing in standings(3.0, 1)]

    assert sum(found) / BOARDS >= 0.95
