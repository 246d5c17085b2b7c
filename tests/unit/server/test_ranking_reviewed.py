"""Cases that a reader of the ranking found: each was wrong once."""

import itertools
import math

import numpy as np
import pytest
from unit.server.test_ranking import board_of, done

from argus_server.ranking.rank import rank
from argus_server.ranking.registry import MetricSetting, Settings
from argus_server.ranking.statistics import fractional_ranks, friedman
from argus_server.ranking.view import Condition, View


def cells(values):
    """Return a job for each (model, dataset): value."""
    return [
        done(f"{model}{dataset}", model, dataset, seed="0", MSE=value)
        for (model, dataset), value in values.items()
    ]


def models(values, **view):
    asked = View(group="model", **view)
    return rank(asked, board_of(cells(values), asked))


def test_a_model_that_nobody_can_be_compared_with_is_never_first():
    values = {("a", "d1"): 1.0, ("a", "d2"): 1.0, ("b", "d1"): 2.0, ("b", "d2"): 2.0, ("c", "d3"): 0.1}

    table = models(values, missing="pairwise")

    assert {row.model: row.rank for row in table.rows} == {"a": 1, "b": 2, "c": 3}


def test_a_verdict_names_no_leader_where_no_two_models_share_a_dataset():
    table = models({("a", "d1"): 1.0, ("b", "d2"): 2.0}, missing="pairwise")

    said = "".join(phrase.text for phrase in table.verdict.phrases)
    assert said == "No two models have a MSE on the same dataset: nothing can be compared."


@pytest.mark.parametrize("row", [(1.0, 2.0, 2.0, 2.0), (1.0, 1.0, 2.0), (1.0, 2.0, 3.0)])
def test_the_p_of_datasets_that_all_agree_is_that_of_the_permutations(row):
    scores = np.array([row, row])

    orders = list(itertools.permutations(row))
    agree = sum(order == row for order in orders) / len(orders)

    found = friedman(fractional_ranks(scores))
    assert (found.f, found.p) == (math.inf, pytest.approx(agree))


@pytest.mark.parametrize("group", ["cell", "model"])
def test_means_of_some_jobs_only_are_said_to_be_that(group):
    jobs = [done(f"a{seed}", "a", seed=str(seed), MSE=value) for seed, value in enumerate((0.1, 0.9, 0.9))]
    jobs += [done(f"b{seed}", "b", seed=str(seed), MSE=0.3) for seed in range(3)]
    view = View(group=group, where=(Condition("MSE", "<", 0.4),), seed=("0", "1"))

    notes = rank(view, board_of(jobs, view)).notes

    assert "Values are those of the jobs with seed 0, seed 1, MSE<0.4 alone." in notes


def test_of_two_aliases_in_one_job_the_same_one_counts_however_they_came():
    settings = Settings(
        metrics={"mse": MetricSetting(alias_of="MSE"), "m_s_e": MetricSetting(alias_of="MSE")}
    )

    assert settings.settle({"mse": 1.0, "m_s_e": 2.0}, "b") == settings.settle(
        {"m_s_e": 2.0, "mse": 1.0}, "b"
    )
