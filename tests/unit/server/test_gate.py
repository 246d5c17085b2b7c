"""The gate: when is a model worse than its baseline?"""

import json
import math

import numpy as np
import pytest
from scipy import stats
from unit.server.test_ranking import board_of, done
from unit.server.wire import job

from argus_server.errors import BadView
from argus_server.ranking.gate import Margin, Sample, check, sample_of

A, B = (0.30, 0.34, 0.29, 0.35), (0.28, 0.31, 0.30, 0.27, 0.29)


def sample(name="m", **datasets):
    return Sample(
        name, {key: [(str(i), v) for i, v in enumerate(values)] for key, values in datasets.items()}
    )


def decided(ours, theirs, margin="1%", *, higher=False, **more):
    return check(ours, theirs, Margin.parse(margin), higher=higher, **more)


def test_the_interval_of_one_dataset_is_that_of_welch():
    found = decided(sample(d=A), sample("b", d=B), "0.05")

    expected = stats.ttest_ind(A, B, equal_var=False).confidence_interval(0.90)
    assert (found.change.low, found.change.high) == pytest.approx((expected.low, expected.high))
    assert found.change.freedom == pytest.approx(stats.ttest_ind(A, B, equal_var=False).df)
    assert found.change.mean == pytest.approx(np.mean(A) - np.mean(B))


def test_a_share_is_of_the_baselines_mean_and_higher_is_better_turns_it_round():
    share = decided(sample(d=A), sample("b", d=B), "1%").change
    amount = decided(sample(d=A), sample("b", d=B), "0.01").change
    turned = decided(sample(d=A), sample("b", d=B), "0.01", higher=True).change

    assert share.mean == pytest.approx(amount.mean / np.mean(B))
    assert (turned.mean, turned.low) == pytest.approx((-amount.mean, -amount.high))


def test_paired_the_interval_is_that_of_the_differences():
    found = decided(sample(d=A), sample("b", d=B[:4]), "0.05", paired=True)

    expected = stats.ttest_rel(A, B[:4]).confidence_interval(0.90)
    assert (found.change.low, found.change.high) == pytest.approx((expected.low, expected.high))
    with pytest.raises(BadView, match="no equal seeds on d"):
        decided(sample(d=A), sample("b", d=B), paired=True)


def test_over_datasets_the_changes_are_averaged_with_the_freedom_that_satterthwaite_gives():
    ours, theirs = sample(d=A, e=(2.0, 2.2, 2.4)), sample("b", d=B, e=(2.1, 2.0))

    found = decided(ours, theirs, "0.5").change

    parts = [(np.var(x, ddof=1) / len(x), len(x)) for x in (A, B, (2.0, 2.2, 2.4), (2.1, 2.0))]
    variance = sum(v for v, _ in parts) / 4
    freedom = variance**2 / sum((v / 4) ** 2 / (n - 1) for v, n in parts)
    assert found.freedom == pytest.approx(freedom)
    assert found.high - found.mean == pytest.approx(stats.t.ppf(0.95, freedom) * math.sqrt(variance))


def test_pass_regression_and_not_enough_evidence():
    base = sample("b", d=(0.30, 0.31, 0.29))

    assert decided(sample(d=(0.30, 0.31, 0.29)), base, "20%").verdict == "pass"
    assert decided(sample(d=(0.20, 0.21, 0.19)), base, "1%").verdict == "pass"
    assert decided(sample(d=(0.60, 0.61, 0.59)), base, "1%").verdict == "regression"
    unclear = decided(sample(d=(0.30, 0.31, 0.29)), base, "1%")
    assert unclear.verdict == "undecided"
    assert unclear.seeds_needed > 3
    assert f"About {unclear.seeds_needed} seeds" in unclear.summary


def test_the_seeds_that_would_decide_do_decide():
    rng = np.random.default_rng(1)

    def drawn(n):  # means and spreads as in the small samples, exactly
        values = rng.normal(size=n)
        return tuple(0.30 + 0.01 * (values - values.mean()) / values.std(ddof=1))

    unclear = decided(sample(d=drawn(3)), sample("b", d=drawn(3)), "1%")

    n = unclear.seeds_needed
    assert decided(sample(d=drawn(n)), sample("b", d=drawn(n)), "1%").verdict == "pass"
    assert decided(sample(d=drawn(n - 1)), sample("b", d=drawn(n - 1)), "1%").verdict == "undecided"


@pytest.mark.parametrize(
    ("ours", "verdict", "said"),
    [
        ({"d": (0.3,), "e": B}, "undecided", "d: one seed says nothing"),
        ({"d": B}, "undecided", "e: m was not run"),
        ({}, "undecided", "d: m was not run"),
        ({"d": (0.3, math.nan), "e": B}, "regression", "m diverged on d"),
    ],
)
def test_one_seed_a_gap_and_a_divergence_are_no_pass(ours, verdict, said):
    found = decided(sample(**ours), sample("b", d=B, e=(9.0, 9.1)), "1%")

    assert found.verdict == verdict
    assert said in found.summary


def test_one_bad_dataset_is_not_hidden_by_the_mean_of_many():
    good = {f"d{i}": (0.1, 0.11, 0.12) for i in range(9)}
    base = dict.fromkeys(good, (0.3, 0.31, 0.29))

    found = decided(sample(**good, x=(0.60, 0.61, 0.59)), sample("b", **base, x=(0.30, 0.31, 0.29)), "1%")

    assert found.change.high < 0
    assert found.verdict == "regression"
    assert "on x" in found.summary


def test_where_nothing_varies_the_difference_itself_decides():
    assert decided(sample(d=(0.5, 0.5)), sample("b", d=(0.5, 0.5)), "0%").verdict == "pass"
    assert decided(sample(d=(0.51, 0.51)), sample("b", d=(0.5, 0.5)), "1%").verdict == "regression"
    assert decided(sample(d=(0.51, 0.51)), sample("b", d=(0.5, 0.5)), "0", resolution=0.02).verdict == "pass"


def test_two_equal_models_are_called_a_regression_no_more_often_than_alpha():
    rng = np.random.default_rng(7)
    n, wrong = 1000, 0
    for _ in range(n):
        draws = rng.normal(1.0, 0.1, size=(2, 3, 4))
        ours = sample(**{f"d{i}": draws[0, i] for i in range(3)})
        theirs = sample("b", **{f"d{i}": draws[1, i] for i in range(3)})
        wrong += decided(ours, theirs, "0%").verdict == "regression"

    assert wrong / n <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / n)


@pytest.mark.parametrize("text", ["x", "-1%", "nan", "1%%", "inf", ""])
def test_what_is_no_margin_is_refused(text):
    with pytest.raises(BadView, match="max_regress"):
        Margin.parse(text)


def test_a_share_of_zero_is_refused():
    with pytest.raises(BadView, match="mean is 0 on d"):
        decided(sample(d=(1.0, 2.0)), sample("b", d=(0.0, 0.0)))


def test_a_sample_has_the_jobs_that_count_and_no_other():
    jobs = [
        done("a", "m", "d", "0", at=1, MSE=1.0),
        done("b", "m", "d", "0", at=2, MSE=2.0),
        done("c", "m", "d", "1", MSE="NaN"),
        done("e", "m", "e", None, MSE=4.0),
        done("f", "m", "e", None, MAE=4.0),
        done("g", "other", "d", "0", MSE=5.0),
    ]

    found = sample_of(board_of(jobs), "m", "MSE").values

    assert found["e"] == [(None, 4.0)]
    assert found["d"][0] == ("0", 2.0)
    assert math.isnan(found["d"][1][1])


def test_the_gate_over_http_tells_two_batches_of_one_model_apart(server):
    events = [e for i, v in enumerate(B) for e in job(f"b{i}", "base", seed=i, MSE=v)]
    events += [e for i, v in enumerate(B) for e in job(f"n{i}", "new", seed=i, MSE=v * 2)]
    server.store.add_events(events)

    def ask(query):
        return server.get(f"/api/projects/p/check?{query}")

    found = ask("model=new&baseline=base&metric=MSE&max_regress=5%25").json()
    assert (found["verdict"], found["exit_code"], found["direction"]) == ("regression", 1, "lower")
    assert found["change"]["mean"] == pytest.approx(1.0)
    assert found["datasets"][0]["n_model"] == 5
    assert ask("model=base&baseline=new").json()["verdict"] == "pass"
    assert ask("model=new&baseline=nobody").json()["exit_code"] == 2
    server.store.settings.change("p", lambda known: type(known)(baseline="base"))
    assert ask("model=new").json()["baseline"] == "base"
    for query, said in (
        ("baseline=base", "model= is missing"),
        ("model=new&baseline=new", "its own baseline"),
        ("model=new&metric=nope", "no job of this project has reported it"),
        ("model=new&max_regress=x", "max_regress=x"),
    ):
        answer = ask(query)
        assert answer.status_code == 400
        assert said in answer.json()["error"], query
    assert json.loads(ask("model=base&baseline=base&batch=b").text)["verdict"] == "undecided"
