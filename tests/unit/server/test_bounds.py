"""What can still happen, held against going through every value."""

import itertools
import math

import numpy as np
import pytest

from argus_server.ranking import bounds as module
from argus_server.ranking.bounds import find_bounds, next_steps
from argus_server.ranking.statistics import Ties, fractional_ranks

NAN = math.nan
TIES = Ties()


def every_result(scores):
    """Yield the average ranks for all values of the missing cells, as far as their order goes."""
    cells = np.argwhere(np.isnan(scores))
    choices = []
    for dataset, _ in cells:
        known = sorted(scores[dataset][~np.isnan(scores[dataset])])
        gaps = [*known, 1e3]
        between = [
            low + (gap - low) * part
            for low, gap in zip([-1e3, *known], gaps, strict=True)
            for part in (0.3, 0.5, 0.7)
        ]
        choices.append([*known, *between] if known else [1.0, 2.0, 3.0])
    for values in itertools.product(*choices):
        filled = scores.copy()
        for (dataset, model), value in zip(cells, values, strict=True):
            filled[dataset, model] = value
        yield fractional_ranks(filled, TIES).mean(axis=0)


def places(average):
    return [1 + sum(other < own - 1e-9 for other in average) for own in average]


def random_board(seed):
    draw = np.random.default_rng(seed)
    n, k = int(draw.integers(2, 4)), int(draw.integers(2, 5))
    scores = draw.integers(0, 4, size=(n, k)).astype(float)  # ties are frequent
    for place in draw.choice(n * k, size=int(draw.integers(0, 4)), replace=False):
        scores[np.unravel_index(place, (n, k))] = NAN
    return scores


@pytest.mark.parametrize("seed", range(40))
def test_the_bounds_are_the_ends_of_all_that_can_happen(seed, monkeypatch):
    scores = random_board(seed)
    results = list(every_result(scores))
    averages, standing = np.array(results), np.array([places(result) for result in results])

    found = find_bounds(scores, TIES)

    assert found.is_exact
    np.testing.assert_allclose(found.average_low, averages.min(axis=0))
    np.testing.assert_allclose(found.average_high, averages.max(axis=0))
    assert found.place_low == tuple(standing.min(axis=0))
    assert found.place_high == tuple(standing.max(axis=0))
    monkeypatch.setattr(module, "_MOST_WAYS", -1)
    outer = find_bounds(scores, TIES)
    assert not outer.is_exact
    assert all(low <= known for low, known in zip(outer.place_low, found.place_low, strict=True))
    assert all(high >= known for high, known in zip(outer.place_high, found.place_high, strict=True))
    monkeypatch.setattr(module, "_MOST_PAIRED", 0)
    ends = find_bounds(scores, TIES)
    assert all(low <= known for low, known in zip(ends.place_low, outer.place_low, strict=True))
    assert all(high >= known for high, known in zip(ends.place_high, outer.place_high, strict=True))


def test_with_two_models_the_bounds_by_pairs_are_exact(monkeypatch):
    for seed in range(30):
        scores = random_board(seed)[:, :2]
        exact = find_bounds(scores, TIES)
        with monkeypatch.context() as patch:
            patch.setattr(module, "_MOST_WAYS", -1)
            assert find_bounds(scores, TIES).place_low == exact.place_low
            assert find_bounds(scores, TIES).place_high == exact.place_high


def test_a_complete_board_leaves_nothing_open():
    scores = np.array([[1.0, 2.0, 3.0], [1.0, 3.0, 2.0]])

    found = find_bounds(scores, TIES)

    assert list(found.average_low) == list(found.average_high) == [1.0, 2.5, 2.5]
    assert (found.place_low, found.place_high, found.can_lead) == ((1, 2, 2), (1, 2, 2), [0])
    assert next_steps(scores, TIES, found, 0) == []


def test_the_cell_that_decides_comes_first():
    # Whether b passes a depends on the third dataset alone; c has lost already, and its cell decides little.
    scores = np.array([[1.0, 2.0, 3.0], [2.0, 1.0, 3.0], [2.0, NAN, 3.0], [1.0, 1.0, NAN]])

    found = find_bounds(scores, TIES)
    steps = next_steps(scores, TIES, found, 0)

    assert found.can_lead == [0, 1]
    assert [(step.model, step.dataset) for step in steps] == [(1, 2)]
    assert steps[0].swing > 0


def test_a_run_that_decides_more_stands_before_one_that_decides_less():
    # On the first dataset b can only fall between two others, on the second it may take any place.
    scores = np.array([[1.0, NAN, 2.0, 3.0], [2.0, NAN, 3.0, NAN], [1.0, 2.0, 3.0, 4.0]])
    found = find_bounds(scores, TIES)

    steps = next_steps(scores, TIES, found, 0)

    assert [step.swing for step in steps] == sorted((step.swing for step in steps), reverse=True)
    assert {(step.model, step.dataset) for step in steps} <= {(1, 0), (1, 1), (3, 1)}


def test_large_boards_are_bounded_in_time():
    draw = np.random.default_rng(3)
    scores = draw.normal(size=(40, 30))
    scores[draw.random(scores.shape) < 0.1] = NAN

    found = find_bounds(scores, TIES)

    assert not found.is_exact
    assert (found.average_low <= found.average_high).all()
    assert min(found.place_low) == 1
