"""The mathematics of the ranking against published numbers, SciPy, and counting out."""

import csv
import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from argus_server.ranking.statistics import (
    Ties,
    average_ranks,
    critical_difference,
    find_tiers,
    fractional_ranks,
    friedman,
    holm,
    nemenyi_p,
    pairwise_average_ranks,
    pairwise_rank_intervals,
    rank_intervals,
    skill,
    skillings_mack,
    smallest_n,
    t_half_width,
    wilcoxon,
    win_loss,
    win_rates,
)

VECTORS = Path(__file__).parents[2] / "vectors"
EXACTLY = Ties(relative=0.0)


def scores_of(name):
    with (VECTORS / name).open(newline="") as file:
        header, *rows = csv.reader(file)
    return header[1:], np.array([[float(text) if text else math.nan for text in row[1:]] for row in rows])


def expected(name):
    return json.loads((VECTORS / name).read_text())


@pytest.fixture(scope="module")
def demsar():
    """The table as Demšar ranked it: voting/C4.5+cf is a little above its rounded value; lower is better."""
    models, scores = scores_of("demsar2006_table6.csv")
    scores[12, models.index("C4.5+cf")] += 1e-5
    return models, -scores


@pytest.fixture(scope="module")
def fev():
    return scores_of("fev_bench_sql.csv")


# --- ranks ------------------------------------------------------------------------------------


def test_ties_share_the_mean_of_their_places():
    rule = expected("rank_rules.json")["fractional_ties"]

    assert fractional_ranks(np.array([rule["values"]])).tolist() == [rule["lower_is_better"]]


def test_the_average_rank_is_that_of_codabench():
    rule = expected("rank_rules.json")["codabench_average_rank"]
    scores = np.array([[-some[metric] for some in rule["scores"].values()] for metric in ("Accuracy", "F1")])

    assert average_ranks(fractional_ranks(scores)).tolist() == list(rule["expected"].values())


def test_rounding_is_a_tie_and_a_resolution_widens_it():
    assert fractional_ranks(np.array([[0.1 + 0.2, 0.3, 0.4]])).tolist() == [[1.5, 1.5, 3]]
    assert fractional_ranks(np.array([[0.30, 0.31, 0.40]]), Ties(0.01)).tolist() == [[1.5, 1.5, 3]]
    assert fractional_ranks(np.array([[0.3, 0.4, 0.6]]), Ties(0.1)).tolist() == [[1.5, 1.5, 3]]
    assert fractional_ranks(np.array([[1e300, -1e300, 0.0]])).tolist() == [[3, 1, 2]]


def test_ties_that_are_no_chain_keep_the_sum_of_the_ranks():
    ranks = fractional_ranks(np.array([[1.0, 1.9, 2.8]]), Ties(1.0))

    assert ranks.tolist() == [[1.5, 2.0, 2.5]]


def test_a_missing_value_takes_no_rank_from_others():
    ranks = fractional_ranks(np.array([[0.5, math.nan, 0.1], [math.nan] * 3]))

    np.testing.assert_equal(ranks, [[2, math.nan, 1], [math.nan] * 3])
    np.testing.assert_equal(average_ranks(ranks), [2, math.nan, 1])


SCORES = st.lists(
    st.lists(st.integers(0, 5) | st.just(math.nan), min_size=4, max_size=4), min_size=1, max_size=6
)


@given(SCORES)
def test_ranks_are_those_of_scipy(rows):
    scores = np.array(rows, dtype=float)

    wanted = stats.rankdata(scores, axis=1, nan_policy="omit")

    np.testing.assert_array_equal(fractional_ranks(scores), wanted)


@given(SCORES)
def test_average_rank_and_win_rate_are_one_thing_where_nothing_is_missing(rows):
    scores = np.nan_to_num(np.array(rows, dtype=float), nan=2.0)
    pairs = win_loss(scores)

    np.testing.assert_allclose(average_ranks(fractional_ranks(scores)), pairwise_average_ranks(pairs))
    assert (pairs.wins + pairs.ties + pairs.losses == len(scores))[~np.eye(4, dtype=bool)].all()


# --- Demšar 2006 ------------------------------------------------------------------------------


def test_demsars_ranks_and_tests_are_reproduced_to_the_printed_digits(demsar):
    models, scores = demsar
    printed, computed = (
        expected("demsar2006_expected.json")[name] for name in ("printed", "computed_untied")
    )
    ranks = fractional_ranks(scores)

    as_printed, corrected = friedman(ranks, tie_corrected=False), friedman(ranks)

    assert np.round(average_ranks(ranks), 3).tolist() == printed["average_ranks"]
    assert round(as_printed.chi2, 2) == printed["chi2_F"]
    assert round(as_printed.f, 2) == printed["F_F"]
    assert as_printed.p == pytest.approx(computed["no_tie_correction"]["p_F"])
    assert corrected.chi2 == pytest.approx(computed["tie_corrected"]["chi2"])
    assert corrected.f == pytest.approx(computed["tie_corrected"]["F_F"])
    assert corrected.p == pytest.approx(computed["tie_corrected"]["p_F"])
    assert len(models) == corrected.k
    assert len(scores) == corrected.n


def test_from_the_rounded_table_come_the_other_figures():
    _, scores = scores_of("demsar2006_table6.csv")
    wanted = expected("demsar2006_expected.json")["computed_from_3_decimals"]

    found, corrected = (
        friedman(fractional_ranks(-scores), tie_corrected=False),
        friedman(fractional_ranks(-scores)),
    )

    assert found.chi2 == pytest.approx(wanted["no_tie_correction"]["chi2"])
    assert corrected.chi2 == pytest.approx(wanted["tie_corrected"]["chi2"])
    assert corrected.p == pytest.approx(wanted["tie_corrected"]["p_F"])


def test_demsars_critical_differences_and_cliques(demsar):
    models, scores = demsar
    wanted = expected("demsar2006_expected.json")
    ranks = average_ranks(fractional_ranks(scores))

    error = math.sqrt(4 * 5 / (6 * 14))
    for model, z in wanted["printed"]["z_vs_C45"].items():
        found = (ranks[0] - ranks[models.index(model)]) / error
        assert found == pytest.approx(z, abs=0.0021)  # printed from a rounded error
        assert 2 * stats.norm.sf(found) == pytest.approx(wanted["printed"]["p_vs_C45"][model], abs=0.0015)
    assert round(critical_difference(4, 14, 0.05), 2) == wanted["printed"]["CD_05"]
    assert round(critical_difference(4, 14, 0.10), 2) == wanted["printed"]["CD_10"]
    assert critical_difference(4, 14, 0.05) == pytest.approx(wanted["CD"]["0.05"])
    for a, b in itertools.permutations(range(4), 2):
        p = nemenyi_p(ranks[a] - ranks[b], 4, 14)
        assert p == pytest.approx(wanted["nemenyi_p_untied"][models[a]][models[b]], abs=1e-9)


def test_demsars_signed_ranks_split_what_is_zero_and_count_out_p():
    models, scores = scores_of("demsar2006_table6.csv")
    wanted = expected("demsar2006_expected.json")
    before, after = scores[:, models.index("C4.5")], scores[:, models.index("C4.5+m")]

    found = wilcoxon(after, before)
    without_zeros = wilcoxon(after[after != before], before[after != before])
    pairs = win_loss(-scores[:, [models.index("C4.5+m"), models.index("C4.5")]])

    printed = wanted["printed"]
    assert (found.plus, found.minus) == (
        printed["wilcoxon_C45_vs_C45m"]["R_plus"],
        printed["wilcoxon_C45_vs_C45m"]["R_minus"],
    )
    z = (found.minus - 14 * 15 / 4) / math.sqrt(14 * 15 * 29 / 24)  # as if nothing were tied
    assert round(z, 2) == printed["wilcoxon_C45_vs_C45m"]["z"]
    assert found.p == wanted["wilcoxon"]["pratt_exact_p"]
    assert found.is_exact
    assert found.n == 12
    assert without_zeros.p == wanted["wilcoxon"]["wilcox_exact_p"]
    assert (pairs.wins[0, 1], pairs.losses[0, 1], pairs.ties[0, 1]) == (
        printed["sign_wins_C45m"],
        printed["sign_losses"],
        printed["sign_ties"],
    )


# --- Skillings and Mack -----------------------------------------------------------------------


def test_skillings_and_macks_example():
    _, scores = scores_of("skillings_mack1981.csv")
    wanted = expected("skillings_mack1981_expected.json")

    found = skillings_mack(fractional_ranks(scores))

    assert round(found.statistic, 3) == wanted["printed"]["SM"]
    assert found.freedom == wanted["printed"]["df"]
    assert found.p == pytest.approx(wanted["computed"]["p_chi2"])


def test_without_gaps_skillings_mack_is_friedman_with_ties_and_without(demsar):
    _, scores = demsar
    ranks = fractional_ranks(scores)

    assert skillings_mack(ranks).statistic == pytest.approx(friedman(ranks).chi2)
    assert skillings_mack(ranks, tie_corrected=False).statistic == pytest.approx(
        friedman(ranks, tie_corrected=False).chi2
    )


# --- fev-bench --------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["impute", "drop"])
def test_fevs_win_rates_and_skill_scores(fev, policy):
    models, scores = fev
    wanted = expected("fev_bench_expected.json")[policy]
    baseline = models.index("Seasonal Naive")
    whole = np.where(np.isnan(scores), scores[:, [baseline]], scores)
    if policy == "drop":
        whole = scores[~np.isnan(scores).any(axis=1)]

    pairs = win_loss(whole, EXACTLY)

    found = zip(
        models,
        win_rates(pairs),
        skill(whole, baseline),
        average_ranks(fractional_ranks(whole, EXACTLY)),
        strict=False,
    )
    for model, rate, score, rank in found:
        row = wanted["leaderboard"][model]
        assert rate == pytest.approx(row["win_rate"], abs=1e-11)
        assert score == pytest.approx(row["skill_score"], abs=1e-11)
        assert rank == pytest.approx(wanted["average_rank"][model])
    for pair, rate in wanted["pairwise_win_rate"].items():
        a, b = (models.index(name) for name in pair.split(" > "))
        assert (pairs.wins[a, b] + pairs.ties[a, b] / 2) / len(whole) == pytest.approx(rate)


@pytest.mark.parametrize("policy", ["impute", "drop"])
def test_the_bootstrap_gives_fevs_bounds(fev, policy):
    """A win rate is a rank turned round, and so are its bounds."""
    models, scores = fev
    wanted = expected("fev_bench_expected.json")[policy]["leaderboard"]
    baseline = models.index("Seasonal Naive")
    whole = np.where(np.isnan(scores), scores[:, [baseline]], scores)
    if policy == "drop":
        whole = scores[~np.isnan(scores).any(axis=1)]

    for low, high in (rank_intervals(fractional_ranks(whole)), pairwise_rank_intervals(whole)):
        others = len(models) - 1
        for model, best, worst in zip(models, low, high, strict=True):
            assert 1 - (worst - 1) / others == pytest.approx(wanted[model]["win_rate_lower"], abs=0.03)
            assert 1 - (best - 1) / others == pytest.approx(wanted[model]["win_rate_upper"], abs=0.03)


def test_missing_cells_are_no_losses(fev):
    models, scores = fev
    wanted = expected("fev_bench_expected.json")

    rates = win_rates(win_loss(scores, EXACTLY))
    test = skillings_mack(fractional_ranks(scores, EXACTLY), tie_corrected=False)

    assert rates == pytest.approx(
        [wanted["pairwise_available"]["win_rate"][name] for name in models], abs=1e-6
    )
    assert test.statistic == pytest.approx(wanted["skillings_mack_incomplete"]["SM"])
    assert test.freedom == wanted["skillings_mack_incomplete"]["df"]


def test_friedman_on_the_complete_tasks_of_fev(fev):
    _, scores = fev
    wanted = expected("fev_bench_expected.json")["friedman_complete"]
    whole = scores[~np.isnan(scores).any(axis=1)]

    found = friedman(fractional_ranks(whole, EXACTLY))

    assert (found.n, found.k) == (wanted["N"], wanted["k"])
    assert found.chi2 == pytest.approx(wanted["chi2"])
    assert found.f == pytest.approx(wanted["F_F"])
    assert critical_difference(found.k, found.n) == pytest.approx(wanted["CD_05"])


def test_values_that_differ_in_the_tenth_digit_are_a_tie_by_the_stated_tolerance(fev):
    models, scores = fev
    whole = np.where(np.isnan(scores), scores[:, [0]], scores)
    rounded = np.vectorize(lambda value: float(f"{value:.10g}"))(whole)

    rates = win_rates(win_loss(whole))

    assert rates[models.index("Seasonal Naive")] == pytest.approx(0.29045, abs=1e-5)
    np.testing.assert_array_equal(rates, win_rates(win_loss(rounded)))


# --- distributions ----------------------------------------------------------------------------


def test_the_quantiles_of_nemenyis_test():
    wanted = expected("distributions.json")
    for alpha in ("0.05", "0.10"):
        # CD = q · sqrt(k(k + 1) / 6N): with N = k(k + 1)/6 it is q itself
        found = [critical_difference(k, k * (k + 1) / 6, float(alpha)) for k in range(2, 21)]
        assert found == pytest.approx(wanted["q_nemenyi"][alpha], rel=1e-9)
        printed = wanted["demsar_table5_nemenyi"][alpha]
        assert found[: len(printed)] == pytest.approx(printed, abs=0.0011)


def test_students_interval_at_every_size():
    for freedom, quantile in expected("distributions.json")["t_ppf_975"]:
        assert t_half_width(1.0, freedom + 1) == pytest.approx(quantile / math.sqrt(freedom + 1))
    for case in expected("rank_rules.json")["t_interval"]:
        found = t_half_width(case["std_ddof1"], len(case["values"]))
        assert found == (None if case["ci95_half"] is None else pytest.approx(case["ci95_half"]))


@given(st.integers(2, 12), st.integers(2, 40), st.integers(0, 1000))
def test_p_values_are_those_of_scipy(k, n, seed):
    scores = np.random.default_rng(seed).integers(0, 6, size=(n, k)).astype(float)

    found = friedman(fractional_ranks(scores))

    if k > 2 and found.chi2 > 0:
        wanted = stats.friedmanchisquare(*scores.T)
        assert found.chi2 == pytest.approx(wanted.statistic)
        assert stats.chi2.sf(found.chi2, k - 1) == pytest.approx(wanted.pvalue)
    if 0 < found.f < math.inf:
        assert found.p == pytest.approx(stats.f.sf(found.f, k - 1, (k - 1) * (n - 1)))


@pytest.mark.parametrize(("k", "distance"), [(2, 0.5), (5, 1.5), (12, 3.0)])
def test_nemenyis_p_is_that_of_scipys_studentised_range(k, distance):
    q = distance / math.sqrt(k * (k + 1) / (6 * 20)) * math.sqrt(2)

    assert nemenyi_p(distance, k, 20) == pytest.approx(stats.studentized_range.sf(q, k, np.inf), rel=1e-6)


def test_agreement_and_indifference_are_no_accidents_of_arithmetic():
    agree, alike = friedman(np.tile([1.0, 2, 3], (4, 1))), friedman(np.full((4, 3), 2.0))

    assert agree.p == pytest.approx((1 / 6) ** 3)
    assert agree.f == math.inf
    assert (alike.chi2, alike.p) == (0, 1)
    assert friedman(np.array([[1.0, 2]])).p == 1


# --- Wilcoxon, counted out --------------------------------------------------------------------


def counted_out(differences):
    """The share of all signs of the non-zero differences whose statistic is as far from its middle."""
    ranks = stats.rankdata(np.abs(differences))[differences != 0]
    observed = abs(ranks[differences[differences != 0] > 0].sum() - ranks.sum() / 2)
    signs = np.array(list(itertools.product((0, 1), repeat=len(ranks))))
    reached = np.abs(signs @ ranks - ranks.sum() / 2) >= observed - 1e-9
    return reached.mean()


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=9))
def test_the_signed_rank_p_is_that_of_all_signs_with_ties_and_zeros(differences):
    differences = np.array(differences, dtype=float)

    found = wilcoxon(differences, np.zeros(len(differences)))

    assert found.p == pytest.approx(counted_out(differences))
    assert found.plus + found.minus == pytest.approx(len(differences) * (len(differences) + 1) / 2)


@given(st.integers(3, 30), st.integers(0, 10_000))
def test_the_signed_rank_test_is_scipys_exact_one(n, seed):
    a, b = np.random.default_rng(seed).normal(size=(2, n))

    found, wanted = wilcoxon(a, b), stats.wilcoxon(a, b, method="exact")

    assert found.p == pytest.approx(wanted.pvalue)
    assert min(found.plus, found.minus) == pytest.approx(wanted.statistic)


def test_sizes_that_only_rounding_tells_apart_are_ties():
    a, b = np.array([0.768, 0.962, 0.5]), np.array([0.763, 0.967, 0.4])

    found = wilcoxon(a, b)

    assert (found.plus, found.minus) == (4.5, 1.5)


def test_the_normal_approximation_takes_over_where_both_agree():
    generator = np.random.default_rng(7)
    a = generator.normal(size=201)
    b = a + generator.normal(0.15, 1, size=201)

    counted, approximate = wilcoxon(a[1:], b[1:]), wilcoxon(a, b)

    assert counted.is_exact
    assert not approximate.is_exact
    assert counted.p == pytest.approx(2 * stats.norm.sf(abs(counted.z)), rel=0.02)


def test_models_that_never_differ_are_not_separated():
    found = wilcoxon(np.ones(9), np.ones(9) * (1 + 1e-12))

    assert (found.p, found.n) == (1.0, 0)
    assert found.plus == found.minus


def test_pairs_with_a_missing_value_are_left_out():
    gap = math.nan

    assert wilcoxon(np.array([2.0, gap, 3, 4]), np.array([1.0, 1, 1, gap])).n == 2


# --- Holm -------------------------------------------------------------------------------------


def test_holms_steps():
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]).tolist() == [1, 1]
    assert holm([]).tolist() == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_rejects_what_the_step_down_rule_rejects(p_values):
    adjusted = holm(p_values)

    going = True
    for step, place in enumerate(np.argsort(p_values, kind="stable")):
        going = going and p_values[place] * (len(p_values) - step) <= 0.05
        assert (adjusted[place] <= 0.05) == going


# --- skill ------------------------------------------------------------------------------------


def test_skill_is_for_positive_scores_with_the_baseline_everywhere():
    assert skill(np.array([[1.0, 2], [1.0, 2]]), 1).tolist() == pytest.approx([0.5, 0])
    assert skill(np.array([[1.0, -2]]), 0) is None
    assert skill(np.array([[0.0, 2]]), 1) is None
    assert skill(np.array([[1.0, math.nan]]), 1) is None
    assert skill(np.array([[1.0, 2], [math.nan, 2]]), 1).tolist() == pytest.approx([0.5, 0])


def test_one_dataset_cannot_carry_a_skill():
    found = skill(np.array([[1e-9, 1.0], [1.0, 1.0]]), 1)

    assert found[0] == pytest.approx(1 - math.sqrt(0.01))


# --- intervals and tiers ----------------------------------------------------------------------


def each(models):
    """Return the places of models none of which shares one."""
    return [[model] for model in models]


def test_there_is_no_interval_over_fewer_than_eight_datasets():
    ranks = fractional_ranks(np.random.default_rng(1).normal(size=(8, 3)))

    assert rank_intervals(ranks[:7]) is None
    assert pairwise_rank_intervals(ranks[:7]) is None
    gaps = ranks.copy()
    gaps[0, 1] = np.nan
    low, high = pairwise_rank_intervals(gaps[:8])
    assert np.isnan([low[1], high[1]]).all()  # of its own datasets there are seven
    assert np.isfinite([low[0], high[0]]).all()
    low, high = rank_intervals(ranks)
    assert (low <= average_ranks(ranks)).all()
    assert (average_ranks(ranks) <= high).all()


def test_the_resolution_floor_is_what_the_tests_can_reach():
    models = [2, 3, 4, 5, 6, 8, 10, 15, 20, 30]

    against_leader = [smallest_n(k - 1) for k in models]
    all_pairs = [smallest_n(k * (k - 1) // 2) for k in models]

    assert against_leader == [6, 7, 7, 8, 8, 9, 9, 10, 10, 11]
    assert all_pairs == [6, 7, 8, 9, 10, 11, 11, 13, 13, 15]


@pytest.mark.parametrize("k", [2, 3, 5, 10])
def test_at_the_floor_a_clear_leader_is_told_apart_and_below_it_never(k):
    def tiers_over(n):
        scores = np.arange(k)[None, :] + np.linspace(0, 0.1, n)[:, None] * np.arange(k)
        return find_tiers(scores, each(range(k)), differ=True)

    assert len(tiers_over(smallest_n(k - 1)).groups) > 1
    assert len(tiers_over(smallest_n(k - 1) - 1).groups) == 1


def test_a_chain_of_small_steps_ends_a_tier_and_the_anchor_does_not_move():
    noise = np.random.default_rng(3).normal(0, 1, size=(30, 1))
    scores = noise + np.random.default_rng(4).normal(0, 1.0, size=(30, 6)) + np.arange(6) * 0.45

    tiers = find_tiers(scores, each(range(6)), differ=True)

    assert [model for group in tiers.groups for model in group] == list(range(6))
    assert len(tiers.groups) > 1
    for group in tiers.groups:
        tested = range(group[0] + 1, 6)
        adjusted = holm([stats.wilcoxon(scores[:, other], scores[:, group[0]]).pvalue for other in tested])
        separated = [other for other, p in zip(tested, adjusted, strict=True) if p <= 0.05]
        assert (separated[0] if separated else 6) == group[-1] + 1
    assert set(tiers.inseparable()) | {m for m, a in tiers.leader.items() if a.separated} == set(range(1, 6))


@pytest.mark.parametrize("leaders", [[0, 1], [1, 0]])
def test_what_is_told_from_one_of_two_leaders_alone_is_not_told_from_them(leaders):
    steps = 0.001 * np.arange(1, 31)
    swinging = steps + np.where(np.arange(30) % 2, 1.0, -1.0) * (10 + np.arange(30))

    tiers = find_tiers(np.column_stack([np.zeros(30), swinging, steps]), [leaders, [2]], differ=True)

    assert wilcoxon(steps, np.zeros(30)).p <= 0.05
    assert (len(tiers.groups), tiers.inseparable()) == (1, [2])


def test_where_friedman_sees_no_difference_there_is_one_tier():
    tiers = find_tiers(np.arange(40.0).reshape(10, 4), each(range(4)), differ=False)

    assert tiers.groups == ((0, 1, 2, 3),)
    assert tiers.inseparable() == [1, 2, 3]


def test_a_model_that_is_better_by_size_is_not_called_worse():
    """Its average rank is behind the leader's, its differences are with it."""
    leader = np.array([0.0] * 10)
    other = np.array([1e-6] * 1 + [-5.0] * 9)

    assert find_tiers(np.column_stack([leader, other]), each([0, 1]), differ=True).groups == ((0, 1),)
