"""Boards with so few values that some models, or all, are compared with nobody."""

import pytest
from unit.server.test_ranking import board_of, done
from unit.server.wire import done as done_event
from unit.server.wire import start

from argus_server.ranking.sensitivity import rank_sensitivity
from argus_server.ranking.view import View

APART = {("a", "d1"): 1.0, ("b", "d2"): 2.0}
"""Two models that no dataset compares."""
ISOLATED = {(m, d): v for d in ("d1", "d2") for m, v in (("a", 1.0), ("b", 2.0))} | {("c", "d3"): 0.1}
"""Two models that are compared, and one that is not."""
POLICIES = ("complete", "shared", "pairwise", "impute:worst")


def board(values):
    """Return a board with a job for each (model, dataset): value."""
    return board_of(
        [done(m + d, m, d, seed="0", MSE=value) for (m, d), value in values.items()],
    )


def project(name, values):
    """Return the events of the same jobs."""
    for (model, dataset), value in values.items():
        yield start(f"{model}-{dataset}", model, dataset, project=name)
        yield done_event(f"{model}-{dataset}", project=name, MSE=value)


@pytest.fixture
def sparse(server):
    server.store.add_events([*project("apart", APART), *project("isolated", ISOLATED)])
    return server


# --- sensitivity --------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", POLICIES)
def test_sensitivity_has_an_answer_where_a_policy_ranks_nobody(missing):
    assert rank_sensitivity(View(missing=missing), board(APART)).metric == "MSE"


# --- pages --------------------------------------------------------------------------------------


def test_every_page_of_models_opens_where_models_are_compared_with_nobody(sparse):
    for name in ("apart", "isolated"):
        for missing in POLICIES:
            for page in ("sensitivity",):
                for end in ("", ".csv", ".json", ".md"):
                    answer = sparse.get(f"/p/{name}/{page}{end}?missing={missing}")
                    assert answer.status_code == 200, (name, missing, page, end)
                    assert "nan" not in answer.text
