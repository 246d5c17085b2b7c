"""The gate: when is a model worse than its baseline?"""

import json
import math

import numpy as np
import pytest
from msgspec.structs import replace
from scipy import stats
from unit.server.test_ranking import board_of, done
from unit.server.wire import job

from argus_server.errors import BadView
from argus_server.ranking.gate import Margin, Sample, check, sample_of
from argus_server.ranking.registry import MetricSetting

A, B = (0.30, 0.34, 0.29, 0.35), (0.28, 0.31, 0.30, 0.27, 0.29)


def sample(name="m", **datasets):
    return Sample(
        name, {key: [(str(i), v) for i, v in enumerate(values)] for key, values in datasets.items()}
    )


def decided(ours, theirs, margin="1%", *, higher=False, **more):
    return check(ours, theirs, Margin.parse(margin), higher=higher, **more)


def test_the_interval_of_one_dataset_is_that_of_welch():
    found = decided(sample(d=A), sample("b", d=B), "0.05")

    expected = stats.ttest_ind(A, B, equal_var=False).confidence_interval(0.95)
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

    expected = stats.ttest_rel(A, B[:4]).confidence_interval(0.95)
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
    assert found.high - found.mean == pytest.approx(stats.t.ppf(0.975, freedom) * math.sqrt(variance))


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


def test_what_a_metric_cannot_tell_apart_fails_neither_a_dataset_nor_the_whole():
    ours = sample(d=(0.0020, 0.0021), e=(0.30, 0.30))
    theirs = sample("b", d=(0.0010, 0.0011), e=(0.30, 0.30))

    found = decided(ours, theirs, "1%", resolution=0.005)

    assert [row.verdict for row in found.datasets] == ["pass", "pass"]
    assert found.verdict == "pass"
    assert decided(ours, theirs, "1%").verdict != "pass"
    assert decided(sample(d=(0.02, 0.021)), sample("b", d=(0.001, 0.0011)), resolution=0.005).verdict != (
        "pass"
    )


@pytest.mark.parametrize("datasets", [1, 3])
def test_the_interval_that_is_shown_is_the_one_that_decides(datasets):
    rng = np.random.default_rng(3)
    seen = set()
    for shift in np.linspace(-0.1, 0.3, 60):
        drawn = rng.normal(1.0, 0.05, size=(2, datasets, 3))
        ours = sample(**{f"d{i}": drawn[0, i] + shift for i in range(datasets)})
        theirs = sample("b", **{f"d{i}": drawn[1, i] for i in range(datasets)})
        found = decided(ours, theirs, "0.1")

        beyond = [found.change.low > 0.1, *(row.change.low > 0.1 for row in found.datasets)]
        expected = "regression" if any(beyond) else "pass" if found.change.high <= 0.1 else "undecided"
        assert found.verdict == expected
        assert found.change.level == 0.95
        assert {row.change.level for row in found.datasets} == {1 - 0.05 / datasets}
        seen.add(expected)

    assert seen == {"regression", "pass", "undecided"}


def test_a_change_of_exactly_the_margin_passes():
    assert decided(sample(d=(0.505, 0.505)), sample("b", d=(0.5, 0.5)), "1%").verdict == "pass"
    assert decided(sample(d=(0.51, 0.51)), sample("b", d=(0.5, 0.5)), "0.01").verdict == "pass"


@pytest.mark.parametrize("size", [2.0**660, 2.0**-565, 2.0**1020, 2.0**-1030])
@pytest.mark.parametrize("paired", [False, True])
def test_values_may_be_as_large_or_as_small_as_floats_are(size, paired):
    ours, theirs = (2.0, 2.125, 2.25), (2.0, 2.25, 2.5)
    plain = decided(sample(d=ours), sample("b", d=theirs), "20%", paired=paired)

    found = decided(
        sample(d=[size * v for v in ours]), sample("b", d=[size * v for v in theirs]), "20%", paired=paired
    )

    assert found.change.low == pytest.approx(plain.change.low)
    assert (found.verdict, found.seeds_needed) == (plain.verdict, plain.seeds_needed)
    amounts = decided(sample(d=[size * v for v in ours]), sample("b", d=[size * v for v in theirs]), "0")
    assert math.isfinite(amounts.change.high)
    assert decided(sample(d=(size, size * 2)), sample("b", d=(1.0, 1.5)), "1%").verdict in (
        "regression" if size > 1 else "pass",
        "undecided",
    )


def test_seeds_that_stand_twice_are_not_paired():
    twice = Sample("m", {"": [("0", 1.0), ("0", 2.0), ("1", 3.0)]})
    once = Sample("b", {"": [("0", 1.0), ("1", 3.0)]})

    for ours, theirs in ((twice, once), (once, twice)):
        with pytest.raises(BadView, match="m has more than one job of seed 0 on no dataset"):
            decided(ours, theirs, paired=True)
    with pytest.raises(BadView, match="a job of m has no seed on no dataset"):
        decided(Sample("m", {"": [(None, 1.0)]}), once, paired=True)


def test_a_model_that_sent_the_metric_under_another_name_is_told_so():
    jobs = [done(f"b{i}{d}", "b", d, str(i), MSE=0.3) for i in range(2) for d in ("d", "e", "f")]
    jobs += [done("m0", "m", "d", "0", loss=1.0, mse=0.2, acc=1.0, bleu=2.0, cer=1, der=1, fid=1)]
    jobs += [done("m1", "m", "e", "0", MSE="n/a"), done("m2", "m", "f", "0")]
    board = board_of(jobs)

    found = decided(sample_of(board, "m", "MSE"), sample_of(board, "b", "MSE"))

    assert [row.note for row in found.datasets] == [
        "m was run without MSE; it sent mse, acc, bleu, cer, der, …",
        "m was run without MSE; what it sent as MSE is no number",
        "m was run without MSE; it sent no metric",
    ]
    assert "d: m was run without MSE; it sent mse" in found.summary
    assert found.verdict == "undecided"
    other = decided(sample_of(board, "b", "mse"), sample_of(board, "b", "mse"))
    assert other.summary == "b has no result to compare with: it was run without mse; it sent MSE."


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


def store_metric(server, name, alias_of):
    metrics = {name: MetricSetting(alias_of=alias_of)}
    server.store.settings.change("p", lambda known: replace(known, metrics=metrics))


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
    misspelt = ask("model=New&baseline=base").json()
    assert misspelt["exit_code"] == 2
    assert misspelt["notes"] == ["No done job of this project has a model “New”; there is one called “new”."]
    server.store.settings.change("p", lambda known: type(known)(baseline="base"))
    assert ask("model=new").json()["baseline"] == "base"
    store_metric(server, "mse", "MSE")
    assert ask("model=new&metric=mse").json()["metric"] == "MSE"
    for query, said in (
        ("baseline=base", "model= is missing"),
        ("model=new&baseline=new", "its own baseline"),
        ("model=new&metric=nope", "no job of this project has reported it; new: it sent MSE"),
        ("model=new&max_regress=x", "max_regress=x"),
    ):
        answer = ask(query)
        assert answer.status_code == 400
        assert said in answer.json()["error"], query
    assert json.loads(ask("model=base&baseline=base&batch=b").text)["verdict"] == "undecided"
