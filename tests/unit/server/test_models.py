"""`group=model`: one row for each model, over all datasets."""

import csv
import io
import json
import random
import re
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from selectolax.lexbor import LexborHTMLParser as HTMLParser
from unit.server.wire import body, epoch, failed, job, start

from argus_server.exports.models import models_csv, models_json, models_markdown
from argus_server.ranking.board import MemoryBoard
from argus_server.ranking.gaps import Unfinished
from argus_server.ranking.rank import rank
from argus_server.ranking.registry import MetricSetting, Settings
from argus_server.ranking.table import DoneJob, MetricKey
from argus_server.ranking.view import View

MODELS = View(group="model")


def ran(model, dataset, seed=0, *, at=0, batch="b", **metrics):
    return DoneJob(batch, f"{model}/{dataset}/{seed}/{at}", model, dataset, str(seed), metrics, at)


def board_of(jobs, settings=None, unfinished=None):
    counts = {}
    for one in jobs:
        for key in one.metrics:
            counts[key] = counts.get(key, 0) + 1
    settings = settings or Settings()
    keys = [MetricKey(key, n, setting=settings.metric(key)) for key, n in sorted(counts.items())]
    return MemoryBoard("p", keys, jobs, settings, (), lambda: unfinished or {})


def table(jobs, view=MODELS, **more):
    return rank(view, board_of(jobs, **more))


def names(ranked):
    return [row.model for row in ranked.rows]


def tiers(ranked):
    return [(row.model, row.tier) for row in ranked.rows]


def statistic(ranked, name, key="display"):
    return [getattr(row.statistics[name], key) for row in ranked.rows]


def grid(effects, datasets, seeds=1, *, noise=0.01, key="MSE", seed=1):
    """Return jobs whose error is (1 + effect) × that of the dataset, and some noise."""
    generator = random.Random(seed)
    return [
        ran(
            model,
            f"d{dataset:02}",
            number,
            **{key: (1 + dataset) * (1 + effect + generator.gauss(0, noise))},
        )
        for dataset in range(datasets)
        for model, effect in effects.items()
        for number in range(seeds)
    ]


FOUR = {"best": 0.0, "near": 0.002, "worse": 0.3, "worst": 0.9}


# --- order and tiers --------------------------------------------------------------------------


def test_models_stand_by_average_rank_in_tiers_that_the_data_can_tell_apart():
    ranked = table(grid(FOUR, 12, 3))

    assert set(names(ranked)[:2]) == {"best", "near"}
    assert [tier for _, tier in tiers(ranked)] == ["1–2", "1–2", "3", "4"]
    assert [row.opens_tier for row in ranked.rows] == [False, False, True, True]
    assert statistic(ranked, "win_rate", "raw")[-1] == 0.0
    assert statistic(ranked, "datasets") == ["12/12"] * 4
    assert statistic(ranked, "datasets", "spread") == ["× 3"] * 4


def test_the_verdict_names_the_leader_and_who_cannot_be_told_from_it():
    ranked = table(grid(FOUR, 12, 3, seed=2))
    first, second = names(ranked)[:2]

    assert ranked.verdict.leaders == (first,)
    assert ranked.verdict.close == (second,)
    assert ranked.verdict.text.startswith(f"{first} has the best average rank (")
    assert "of 4) over 12 datasets × 3 seeds; " in ranked.verdict.text
    assert f"; {second} is not separable from it (exact Wilcoxon, Holm, α = 0.05)." in ranked.verdict.text
    assert "Friedman χ² = " in ranked.verdict.text
    assert statistic(ranked, "average_rank", "is_close") == [False, True, False, False]
    assert [phrase.text for phrase in ranked.verdict.phrases if phrase.strong] == [first, second]


def test_below_the_resolution_floor_the_verdict_says_how_many_datasets_are_needed():
    ranked = table(grid(FOUR, 5))

    assert "With 5 datasets no outcome could separate one of 4 models from the leader: 7 are needed." in (
        ranked.verdict.text
    )
    assert {tier for _, tier in tiers(ranked)} == {"1–4"}
    assert "Intervals of average ranks need 8 datasets." in ranked.notes
    assert statistic(ranked, "average_rank", "low") == [None] * 4


def test_models_that_do_not_differ_as_a_whole_are_one_tier():
    ranked = table(grid({"a": 0.0, "b": 0.0, "c": 0.0}, 10, noise=0.3))

    assert {tier for _, tier in tiers(ranked)} == {"1–3"}
    assert "cannot be told apart: their order may be chance" in ranked.verdict.text
    assert len(ranked.verdict.close) == 2


def test_one_dataset_is_in_plain_order_of_values_and_claims_nothing_about_others():
    ranked = table([ran("a", "d", MSE=0.3), ran("b", "d", MSE=0.1), ran("c", "d", MSE=0.3)])

    assert tiers(ranked) == [("b", "1"), ("a", "2"), ("c", "2")]
    assert ranked.verdict.text == (
        "b has the lowest MSE of 3 models on d × 1 seed."
        " One dataset says nothing about others: there is nothing to test."
    )
    assert statistic(ranked, "average_rank", "is_close") == [False] * 3


def test_equal_models_share_the_lead():
    ranked = table([ran(model, dataset, MSE=0.5) for model in ("a", "b") for dataset in ("x", "y")])

    assert ranked.verdict.text.startswith("a and b share the best average rank (1.50 of 2)")
    assert ranked.verdict.close == ()
    assert [row.rank for row in ranked.rows] == [1, 1]


def test_a_metric_that_is_better_when_higher_is_turned_round():
    jobs = [ran(m, f"d{d}", R2=r + d / 100) for d in range(3) for m, r in (("low", 0.1), ("high", 0.9))]

    assert names(table(jobs)) == ["high", "low"]


def test_an_unknown_direction_ranks_nobody():
    ranked = table([ran("a", "x", zorp=1.0), ran("b", "x", zorp=2.0)])

    assert [row.rank for row in ranked.rows] == [None, None]
    assert not ranked.verdict
    assert "not known" in ranked.notes[-1]


def test_values_within_the_declared_resolution_tie():
    jobs = [ran(m, f"d{d}", MSE=v) for d in range(3) for m, v in (("a", 0.100), ("b", 0.101))]
    settings = Settings(metrics={"MSE": MetricSetting(resolution=0.001)})

    assert statistic(table(jobs), "average_rank", "raw") == [1.0, 2.0]
    assert statistic(table(jobs, settings=settings), "average_rank", "raw") == [1.5, 1.5]


def test_the_order_of_the_jobs_changes_nothing_the_bootstrap_neither():
    jobs = grid(FOUR, 9, 2, noise=0.4)
    view = replace(MODELS, baseline="worse")
    expected = table(jobs, view)

    for seed in range(3):
        random.Random(seed).shuffle(jobs)
        again = table(jobs, view)
        assert again.rows == expected.rows
        assert again.verdict == expected.verdict


# --- intervals, skill, means ------------------------------------------------------------------


def test_from_eight_datasets_on_average_ranks_have_intervals():
    ranked = table(grid(FOUR, 8, noise=0.4))

    for row in ranked.rows:
        cell = row.statistics["average_rank"]
        assert 1 <= cell.low <= cell.number <= cell.high <= 4


def test_skill_is_measured_against_the_baseline_of_the_view_or_else_of_the_project():
    jobs = [
        ran(model, f"d{d}", MSE=value * 10**d)
        for d in range(3)
        for model, value in (("half", 0.5), ("base", 1.0), ("double", 2.0))
    ]

    by_view = table(jobs, replace(MODELS, baseline="base"))
    by_project = table(jobs, settings=Settings(baseline="double"))

    assert statistic(by_view, "skill") == ["+50.0", "0.0", "−100.0"]
    assert [row.is_baseline for row in by_view.rows] == [False, True, False]
    assert statistic(by_project, "skill") == ["+75.0", "+50.0", "0.0"]


@pytest.mark.parametrize(
    ("jobs", "reason"),
    [
        ([ran("a", "x", MSE=1.0), ran("b", "x", MSE=0.0)], "some MSE is not positive"),
        ([ran("a", "x", R2=0.5), ran("b", "x", R2=0.6)], "ratios of R2 mean nothing"),
        ([ran("c", "x", MSE=1.0), ran("b", "x", MSE=0.5)], "there is no model 'a'"),
        ([ran("a", "x", MSE=1.0), *(ran("b", d, MSE=1.0) for d in "xy")], "the baseline a misses a dataset"),
    ],
)
def test_where_skill_means_nothing_it_is_not_shown_and_the_table_says_why(jobs, reason):
    ranked = table(jobs, replace(MODELS, baseline="a"))

    assert "skill" not in [column.id for column in ranked.columns]
    assert f"No skill is shown: {reason}." in ranked.notes


def test_a_mean_over_datasets_is_shown_with_what_one_seed_makes_of_it_and_never_orders():
    jobs = [
        *(ran("a", "small", s, MSE=v) for s, v in enumerate((0.1, 0.3))),
        *(ran("a", "large", s, MSE=v) for s, v in enumerate((100.0, 100.0))),
        *(ran("b", "small", s, MSE=0.3) for s in range(2)),
        *(ran("b", "large", s, MSE=90.0) for s in range(2)),
        *(ran("a", "third", s, MSE=1.0) for s in range(2)),
        *(ran("b", "third", s, MSE=2.0) for s in range(2)),
    ]

    ranked = table(jobs)

    assert names(ranked) == ["a", "b"]  # better on two of three; its mean is worse
    cells = [row.cells["MSE"] for row in ranked.rows]
    assert cells[0].raw == pytest.approx((0.2 + 100 + 1) / 3)
    assert cells[1].raw < cells[0].raw
    assert cells[0].std == pytest.approx(0.02**0.5 / 3)


def test_sorting_by_another_column_changes_the_order_and_not_the_ranks():
    jobs = [ran(m, f"d{d}", MSE=v, Latency_P50=1 / v) for d in range(3) for m, v in (("a", 1.0), ("b", 2.0))]

    by_cost = table(jobs, replace(MODELS, sort="Latency_P50"))
    by_name = table(jobs, replace(MODELS, sort="model", order="desc"))

    assert [(row.model, row.rank) for row in by_cost.rows] == [("b", 2), ("a", 1)]
    assert names(by_name) == ["b", "a"]
    assert by_cost.ranked_by == "MSE"


def test_any_metric_can_rank():
    jobs = [ran(m, f"d{d}", MSE=v, MAE=1 / v) for d in range(3) for m, v in (("a", 1.0), ("b", 2.0))]

    assert names(table(jobs, replace(MODELS, metric="MAE"))) == ["b", "a"]
    unknown = table(jobs, replace(MODELS, metric="MEA"))
    assert "No job of this project has reported a metric 'MEA'." in unknown.notes


# --- several seeds ----------------------------------------------------------------------------

LUCKY = [
    *(ran("lucky", d, s, MSE=v, MAE=v + 1, at=s) for d in "xyz" for s, v in enumerate((0.1, 0.9, 0.8))),
    *(ran("steady", d, MSE=0.5, MAE=3.0) for d in "xyz"),
]


@pytest.mark.parametrize(
    ("seeds", "first", "value", "spread"),
    [
        ("mean", "steady", 0.6, None),
        ("median", "steady", 0.8, "median of 3"),
        ("last", "steady", 0.8, "last of 3"),
        ("best", "lucky", 0.1, "best of 3"),
    ],
)
def test_seeds_become_one_number_as_the_view_says(seeds, first, value, spread):
    view = replace(MODELS, seeds=seeds)
    ranked = table(LUCKY, view)
    cell = next(row for row in table(LUCKY, replace(view, group="cell")).rows if row.model == "lucky")

    lucky = next(row for row in ranked.rows if row.model == "lucky")
    assert names(ranked)[0] == first
    assert lucky.cells["MSE"].raw == pytest.approx(value)
    assert cell.cells["MSE"].raw == pytest.approx(value)
    if spread is not None:
        assert cell.cells["MSE"].spread == spread
    if seeds in ("best", "last"):  # all values of one job
        assert cell.cells["MAE"].raw == cell.cells["MSE"].raw + 1


def test_the_best_seed_of_a_metric_that_is_better_when_higher_is_the_highest():
    jobs = [ran("m", "x", s, R2=v, MAE=v) for s, v in enumerate((0.1, 0.9, 0.5))]

    best = table(jobs, replace(MODELS, group="cell", seeds="best", metric="R2")).rows[0]

    assert (best.cells["R2"].raw, best.cells["MAE"].raw) == (0.9, 0.9)


def test_best_of_seeds_says_that_it_favours_many_seeds():
    ranked = table(LUCKY, replace(MODELS, seeds="best"))

    assert "the best of 1 to 3 seeds each" in ranked.verdict.text
    assert any("favours models with more seeds" in note for note in ranked.notes)


def nist(name):
    """The numbers of a NIST data set, as its rule says."""
    first, pair = {"NumAcc3": (1000000.2, (1000000.1, 1000000.3))}.get(
        name, (10000000.2, (10000000.1, 10000000.3))
    )
    return [10000001, 10000003, 10000002] if name == "NumAcc1" else [first, *pair * 500]


@pytest.mark.parametrize("name", ["NumAcc1", "NumAcc3", "NumAcc4"])
def test_mean_and_standard_deviation_are_those_that_nist_certifies(name):
    certified = json.loads((Path(__file__).parents[2] / "vectors" / "nist_strd.json").read_text())[name]
    jobs = [ran("m", "d", seed, MSE=value) for seed, value in enumerate(nist(name))]

    for numbers in (jobs, [*jobs, ran("m", "d", "none", MAE=1.0)]):  # by arrays, and one by one
        cell = table(numbers, replace(MODELS, group="cell")).rows[0].cells["MSE"]
        assert cell.number == pytest.approx(certified["mean"], rel=1e-14)
        assert cell.std == pytest.approx(certified["std_ddof1"], rel=1e-7)


# --- missing cells ----------------------------------------------------------------------------


def with_gap():
    """`partial` is the best, and has no value on d0."""
    jobs = grid({"partial": -0.5, "a": 0.0, "b": 0.5}, 9, 2)
    return [one for one in jobs if (one.model, one.dataset) != ("partial", "d00")]


def test_by_default_a_model_without_every_dataset_is_not_ranked_and_the_table_says_why():
    crashed = Unfinished("b", "j", "failed", reason="CUDA out of memory")

    ranked = table(with_gap(), unfinished={("partial", "d00"): crashed})

    assert names(ranked) == ["a", "b"]
    row = ranked.unranked[0]
    assert (row.model, row.rank) == ("partial", None)
    assert row.statistics["datasets"].display == "8/9"
    assert row.statistics["average_rank"].raw == 1.0
    assert row.statistics["average_rank"].spread == "on 8"
    assert [(gap.dataset, gap.kind, gap.text) for gap in row.gaps] == [
        ("d00", "failed", "last job failed (CUDA out of memory)")
    ]


@pytest.mark.parametrize(
    ("missing", "order", "average"),
    [
        ("complete", ["a", "b"], 1.0),
        ("shared", ["partial", "a", "b"], 1.0),
        ("pairwise", ["partial", "a", "b"], 1.0),
        ("impute:worst", ["partial", "a", "b"], (8 * 1 + 3) / 9),
    ],
)
def test_a_missing_value_is_treated_as_the_policy_says(missing, order, average):
    ranked = table(with_gap(), replace(MODELS, missing=missing))

    assert names(ranked) == order
    assert ranked.rows[0].statistics["average_rank"].raw == pytest.approx(average)


def test_what_is_filled_in_is_marked_and_never_first():
    jobs = [ran("a", "x", MSE=1.0), ran("a", "y", MSE=1.0), ran("b", "y", MSE=0.5)]

    ranked = table(jobs, replace(MODELS, missing="impute:worst"))

    rows = {row.model: row for row in ranked.rows}
    assert rows["b"].statistics["average_rank"].raw == 1.5  # last on x, alone there with nobody but a
    assert rows["b"].statistics["average_rank"].is_imputed
    assert rows["b"].cells["MSE"].is_imputed
    assert not rows["a"].statistics["average_rank"].is_imputed
    assert any(note.startswith("‡ 1 missing value is") for note in ranked.notes)


def test_models_that_share_no_dataset_are_not_compared():
    jobs = [ran("a", "x", MSE=1.0), ran("b", "y", MSE=0.5)]

    for missing in ("complete", "shared"):
        ranked = table(jobs, replace(MODELS, missing=missing))
        assert not ranked.rows
        assert "nothing is ranked" in ranked.verdict.text
    pairwise = table(jobs, replace(MODELS, missing="pairwise"))
    assert not pairwise.rows


def test_a_diverged_seed_and_a_missing_metric_are_different_reasons():
    jobs = [
        *(ran("whole", d, MSE=1.0) for d in "xyz"),
        ran("odd", "x", 0, MSE=0.1),
        ran("odd", "x", 1, MSE=float("nan")),
        ran("odd", "y", MAE=0.1),
    ]

    gaps = table(jobs).unranked[0].gaps

    assert [(gap.dataset, gap.kind, gap.detail) for gap in gaps] == [
        ("x", "diverged", "1 of 2"),
        ("y", "no metric", ""),
        ("z", "never", ""),
    ]


def test_a_model_without_any_result_is_listed_too():
    running = Unfinished("b", "j", "running", eta_s=(60.0, 90.0))

    ranked = table([ran("a", "x", MSE=1.0)], unfinished={("new", "x"): running})

    row = ranked.unranked[0]
    assert (row.model, row.statistics["datasets"].display) == ("new", "0/1")
    assert (row.gaps[0].kind, row.gaps[0].eta_s) == ("running", (60.0, 90.0))


def test_only_datasets_filter_the_contest_the_rest_hides_rows():
    jobs = grid(FOUR, 9)

    hidden = table(jobs, replace(MODELS, model=("worst", "worse")))
    fewer = table(jobs, replace(MODELS, dataset=("d00", "d01")))

    assert [row.rank for row in hidden.rows] == [3, 4]
    assert "Filters hide rows: ranks are those of all models." in hidden.notes
    assert statistic(fewer, "datasets") == ["2/2"] * 4


# --- exports ----------------------------------------------------------------------------------


def test_every_export_has_the_same_cells():
    jobs = [*with_gap(), ran("a", "d03", 7, MSE=4.0, Latency_P50=0.0125)]
    ranked = table(jobs, replace(MODELS, baseline="b"))

    rows = list(csv.DictReader(io.StringIO("".join(models_csv(ranked)))))
    data = json.loads(b"".join(models_json(ranked)))
    lines = "".join(models_markdown(ranked)).splitlines()

    assert [row["model"] for row in rows] == ["a", "b", "partial"]
    assert [row["model"] for row in data["rows"]] == ["a", "b"]
    for row, line, given in zip(ranked.rows, rows, data["rows"], strict=False):
        assert float(line["average_rank"]) == row.statistics["average_rank"].raw
        assert float(line["skill"]) == given["statistics"]["skill"] == row.statistics["skill"].raw
        assert float(line["MSE"]) == given["cells"]["MSE"]["mean"] == row.cells["MSE"].raw
        assert (line["datasets"], line["datasets (of)"]) == ("9", "9")
        assert line["seeds"] in ("2", "2–3")
    assert rows[2]["average_rank"] == ""
    assert rows[2]["provisional_rank"] == "1.0"
    assert rows[2]["not_ranked_because"] == "d00: no job yet"
    assert data["not_ranked"][0]["gaps"][0]["kind"] == "never"
    assert data["verdict"]["leaders"] == ["a"]
    shown = ranked.rows[0].statistics["average_rank"].display
    assert any(line.startswith(f"| 1 | a <sup>b</sup> | **{shown}** |") for line in lines)
    assert any("d00: no job yet" in line for line in lines)


# --- pages ------------------------------------------------------------------------------------


@pytest.fixture
def filled(server):
    events = []
    for dataset in range(9):
        for model, effect in (("Alpha", 1.0), ("Beta", 2.0), ("Gamma", 3.0)):
            for seed in (1, 2):
                name = f"{model}-{dataset}-{seed}"
                if model == "Gamma" and dataset == 0:
                    if seed == 1:
                        events += [start(name, model, "d0", seed), failed(name, "CUDA <out> of memory")]
                    continue
                value = effect + dataset + seed / 100
                events += job(name, model, f"d{dataset}", seed, MSE=value, MAE=1.0, Latency_P50=0.01 * effect)
    server.store.add_events(events)
    return server


def cells_of(row):
    return {cell.attributes["data-key"]: cell for cell in row.css("td[data-key]")}


def test_the_page_shows_what_the_exports_say(filled):
    page = HTMLParser(filled.page("/p/p/leaderboard?group=model&baseline=Beta"))
    lines = list(
        csv.DictReader(io.StringIO(filled.get("/p/p/leaderboard.csv?group=model&baseline=Beta").text))
    )
    data = filled.get("/p/p/leaderboard.json?group=model&baseline=Beta").json()
    markdown = filled.get("/p/p/leaderboard.md?group=model&baseline=Beta").text

    rows = page.css("table.board tbody tr")
    assert [row.css_first("th").text(strip=True) for row in rows] == ["Alpha", "Betabaseline"]
    for row, line, given in zip(rows, lines, data["rows"], strict=False):
        for name, cell in cells_of(row).items():
            assert cell.attributes["data-value"] == line[name]
            assert " ".join(cell.text().split()) == given["display"][name]
    assert "tier" in rows[1].attributes["class"]
    assert page.css_first(".lead").text() == data["verdict"]["text"]
    assert page.css_first(".lead b").text() == "Alpha"
    assert data["verdict"]["text"] in re.sub(r"</?b>|\\", "", markdown)
    assert rows[0].css_first("svg.range").attributes["aria-label"].startswith("average rank 1.00, 95 % ")
    head = page.css_first("th[aria-sort]")
    assert (head.attributes["aria-sort"], head.text(strip=True)[:8]) == ("ascending", "Avg rank")
    unranked = page.css("table.models")[1]
    assert "last job failed (CUDA <out> of memory)" in unranked.text()
    assert "8/9" in unranked.text()


def test_the_table_for_a_paper_is_the_view_with_a_rule_between_groups(filled):
    text = filled.get("/p/p/leaderboard.tex?group=model&baseline=Beta").text

    rows = re.findall(r"^(.*) \\tabularnewline$", text, re.MULTILINE)
    assert rows[0].startswith(
        r"\# & Model & Avg rank & Win rate (\%) & Skill (\%) & MSE $\downarrow$ & Coverage"
    )
    assert rows[1].startswith(r"1 & Alpha & \textbf{\num{1.00}} & \num{100} &")
    assert rows[3].startswith("-- & Gamma & ")
    assert text.count("\\midrule") == 3
    (caption,) = re.findall(r"\\caption\[Leaderboard\]\{(.*)\}\n", text)
    for said in ("mean over seeds", "Alpha has the best average rank", r"$\alpha$ = 0.05", "not ranked"):
        assert said in caption.replace("{}", ""), said


def test_visitors_do_not_read_why_a_job_failed(filled):
    filled.store.credentials.set_public("p", is_public=True)

    for path in ("", ".csv", ".json", ".md", ".tex"):
        answer = filled.get(f"/p/p/leaderboard{path}?group=model", scope=None, html=not path)
        assert answer.status_code == 200
        assert "last job failed" in answer.text or path == ".tex"
        assert "CUDA" not in answer.text


def test_the_page_changes_with_what_happens_and_not_without(filled):
    path = "/p/p/leaderboard?group=model"
    filled.get(path, html=True)  # brings the cookie that forms are checked against
    first = filled.get(path, html=True)
    headers = {"If-None-Match": first.headers["etag"]}

    assert filled.get(path, html=True, headers=headers).status_code == 304
    filled.store.add_events([start("new", "Gamma", "d0", 1, at=20)])
    changed = filled.get(path, html=True, headers=headers)
    assert changed.status_code == 200
    assert "running" in HTMLParser(changed.text).css("table.models")[1].text()


def test_the_columns_of_the_page_can_be_chosen(filled):
    def heads(query):
        page = HTMLParser(filled.page(f"/p/p/leaderboard?group=model{query}"))
        return [
            " ".join(re.sub(r"[↓▲]", "", head.text()).split()) for head in page.css("table.board thead th")
        ]

    assert "MAE" not in heads("")
    assert heads("&col=MAE&col=win_rate") == ["#", "Model", "MAE", "Win rate %"]


def test_the_page_says_what_intervals_places_and_means_are_of(server):
    events = []
    for model, level in (("a", 1.0), ("b", 1.01), ("c", 2.0)):
        for i in range(9 if model != "b" else 7):
            metrics = {"MSE": level + i + (0.05 if i % 2 and model == "a" else 0), "Latency_P50": 0.1}
            events += job(f"{model}{i}", model, f"d{i}", 1, **metrics)
    server.store.add_events([*events, *job("odd", "c", "d0", 2, mse=1.0)])
    setting = MetricSetting(label="error")
    server.store.settings.change("p", lambda known: msgspec.structs.replace(known, metrics={"MSE": setting}))
    text = server.page("/p/p/leaderboard?group=model&missing=pairwise")
    page = HTMLParser(text)

    assert page.css_first("thead svg.range").attributes["aria-label"] == "on a line from rank 1 to rank 3"
    assert [n.text() for n in page.css("thead svg.range text")] == ["1", "3"]
    rows = {row.css_first("th a").text(): row for row in page.css("table.board tbody tr")}
    assert "none: it takes eight datasets" in rows["b"].css_first("svg title").text()
    assert " to " in rows["a"].css_first("svg title").text()
    assert [n.text() for n in rows["b"].css(".part")] == ["on 7/9", "on 7/9"]
    assert "other models have 9" in rows["b"].css_first(".part").attributes["title"]
    assert rows["a"].css(".part") == []
    for ending in ("md", "tex", "json"):
        said = server.get(f"/p/p/leaderboard.{ending}?group=model&missing=pairwise").text
        assert said.count("on 7/9") == 2, ending
    assert "no tie" in rows["a"].css_first("td.rank span").attributes["title"]
    assert "are no tie" in text
    assert page.css_first("a.doubts").attributes["href"] == "/p/p/doctor"
    equal = [each for d in range(10) for m in "xyz" for each in job(f"{m}{d}", m, f"e{d}", 1, MAE=1.0)]
    server.store.add_events(equal)
    text = server.page("/p/p/leaderboard?group=model&metric=MAE")
    (places,) = {n.attributes["title"] for n in HTMLParser(text).css("table.board td.rank span")}
    assert (places, "no tie" in text) == ("between place 1 and 3: the data cannot order these models", False)
    alone = HTMLParser(server.page("/p/p/leaderboard?group=model&dataset=d1&model=c"))
    assert "has the lowest error of 3 models" in alone.css_first("p.lead").text()
    assert alone.css_first("thead svg.range").attributes["aria-label"] == "on a line from rank 1 to rank 3"


def test_the_latest_job_of_a_model_shows_how_it_learned(server):
    for number, at in ((0, 0), (1, 60)):
        name = f"j{number}"
        server.store.add_events(
            [
                start(name, "m", "d", number, at=at),
                *(epoch(name, i, at=at + 1 + i, val_loss=1.0 / (1 + i + number)) for i in range(3)),
                *job(name, "m", "d", number, at=at + 9, MSE=0.5)[1:],
            ]
        )

    page = HTMLParser(server.page("/p/p/leaderboard?group=model"))

    assert page.css_first("td.curve svg").attributes["aria-label"] == "0.5 to 0.25 in 3 epochs"


def test_hostile_names_are_text_everywhere(server):
    name = "<script>alert(1)</script>"
    server.store.add_events([*job("j", name, name, 1, MSE=1.0), *job("k", "b", name, 1, MSE=2.0)])

    page = server.page("/p/p/leaderboard?group=model")

    assert "<script>alert" not in page
    assert HTMLParser(page).css_first(".lead b").text() == name


def test_a_project_without_results_teaches_instead(server):
    server.store.add_events([start("j", "m", "d", 1), epoch("j", 0)])

    assert "No job has finished its test yet" in server.page("/p/p/leaderboard?group=model")


def test_the_board_of_some_batches_is_ranked_by_itself(filled):
    filled.send(
        body("job_start", "x1", batch="other", model="Beta", dataset="d0", seed=9),
        body("job_done", "x1", batch="other", at=9, metrics={"MSE": 0.1}),
    )

    data = filled.get("/p/p/leaderboard.json?group=model&batch=other").json()

    assert [row["model"] for row in data["rows"]] == ["Beta"]
    whole = filled.get("/p/p/leaderboard.json?group=model").json()
    assert [row["model"] for row in whole["rows"]] == ["Alpha", "Beta"]
