"""Pairs, quality against cost, and sensitivity: what they say, and their pages."""

import csv
import io
import itertools
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from markdown_it import MarkdownIt
from scipy import stats
from selectolax.lexbor import LexborHTMLParser
from unit.server.wire import job, start

from argus_server.ranking.board import MemoryBoard
from argus_server.ranking.pairs import MOST_MODELS, rank_pairs
from argus_server.ranking.pareto import rank_pareto
from argus_server.ranking.registry import MetricSetting, Settings
from argus_server.ranking.sensitivity import rank_sensitivity
from argus_server.ranking.statistics import cliques, holm
from argus_server.ranking.table import DoneJob, MetricKey
from argus_server.ranking.view import View

VECTORS = Path(__file__).parents[2] / "vectors"


def ran(model, dataset, seed=0, *, at=0, **metrics):
    return DoneJob("b", f"{model}/{dataset}/{seed}", model, dataset, str(seed), metrics, at)


def board_of(jobs):
    keys = sorted({key for one in jobs for key in one.metrics})
    return MemoryBoard("p", [MetricKey(key, 1) for key in keys], jobs, Settings())


def demsar(metric="accuracy"):
    """Demšar's table as jobs; voting as he ranked it."""
    with (VECTORS / "demsar2006_table6.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    nudged = {("voting", "C4.5+cf"): 1e-5}
    return [
        ran(model, row["dataset"], **{metric: float(row[model]) + nudged.get((row["dataset"], model), 0.0)})
        for row in rows
        for model in ("C4.5", "C4.5+m", "C4.5+cf", "C4.5+m+cf")
    ]


# --- pairs ------------------------------------------------------------------------------------


def test_demsars_diagram_by_nemenyi():
    wanted = json.loads((VECTORS / "demsar2006_expected.json").read_text())

    table = rank_pairs(View(test="nemenyi"), board_of(demsar()))

    assert round(table.critical_difference, 2) == wanted["printed"]["CD_05"]
    assert table.models == wanted["printed"]["cliques_05"][0]
    assert [table.models[first : last + 1] for first, last in table.cliques] == wanted["printed"][
        "cliques_05"
    ]
    for a, b in itertools.permutations(table.models, 2):
        assert table.pairs[a, b].p == pytest.approx(wanted["nemenyi_p_untied"][a][b], abs=1e-9)


def test_demsars_groups_at_ten_percent():
    wanted = json.loads((VECTORS / "demsar2006_expected.json").read_text())
    table = rank_pairs(View(test="nemenyi"), board_of(demsar()))
    far = np.array(
        [[abs(a - b) > wanted["CD"]["0.10"] for a in table.average_ranks] for b in table.average_ranks]
    )

    groups = [table.models[first : last + 1] for first, last in cliques(far)]

    assert groups == wanted["printed"]["cliques_10"]


def test_wilcoxon_and_holm_over_all_pairs_are_those_of_scipy():
    generator = np.random.default_rng(5)
    values = generator.normal(size=(14, 4)) + np.arange(4) * 0.6
    jobs = [ran(f"m{m}", f"d{d:02}", MSE=float(values[d, m]) + 10) for d in range(14) for m in range(4)]

    table = rank_pairs(View(), board_of(jobs))

    pairs = list(itertools.combinations(range(4), 2))
    wanted = holm([stats.wilcoxon(values[:, a], values[:, b], method="exact").pvalue for a, b in pairs])
    for (a, b), p in zip(pairs, wanted, strict=True):
        pair = table.pairs[f"m{a}", f"m{b}"]
        assert pair.p == pytest.approx(p)
        assert pair.separated == (p <= 0.05)
        assert pair.wins == (values[:, a] < values[:, b]).sum()
        assert pair.losses == 14 - pair.wins
        assert pair.difference == pytest.approx((values[:, a] - values[:, b]).mean())
        back = table.pairs[f"m{b}", f"m{a}"]
        assert (back.wins, back.losses, back.p) == (pair.losses, pair.wins, pair.p)
        assert back.difference == pytest.approx(-pair.difference)


def test_no_pair_is_told_apart_where_the_models_as_a_whole_are_not():
    generator = np.random.default_rng(0)
    jobs = [ran(f"m{m}", f"d{d:02}", MSE=float(generator.normal(10))) for d in range(12) for m in range(3)]

    table = rank_pairs(View(), board_of(jobs))

    assert "cannot be told apart, so no pair is" in table.sentence
    assert not any(pair.separated for pair in table.pairs.values())
    assert table.cliques == [(0, 2)]


def test_a_pair_that_looks_different_is_none_where_the_models_as_a_whole_do_not_differ():
    values = np.random.default_rng(263).normal(size=(10, 4)).round(2) + 10
    jobs = [ran(f"m{m}", f"d{d:02}", MSE=float(values[d, m])) for d in range(10) for m in range(4)]

    table = rank_pairs(View(), board_of(jobs))

    assert min(pair.p for pair in table.pairs.values()) <= 0.05
    assert table.overall.p > 0.05
    assert not any(pair.separated for pair in table.pairs.values())
    assert table.sentence.startswith("The models as a whole cannot be told apart, so no pair is.")


def test_one_dataset_has_wins_and_no_test():
    table = rank_pairs(View(), board_of([ran("a", "x", MSE=1.0), ran("b", "x", MSE=2.0)]))

    assert table.sentence == "One dataset says nothing about others: there is nothing to test."
    assert (table.pairs["a", "b"].wins, table.pairs["a", "b"].p) == (1, None)


def test_too_few_datasets_for_any_pair_are_said():
    jobs = [ran(m, f"d{d}", MSE=v + d) for d in range(5) for v, m in enumerate("abcd")]

    table = rank_pairs(View(), board_of(jobs))

    assert "With 5 datasets no outcome could separate one of 6 pairs: 8 are needed." in table.sentence


def test_nemenyi_needs_every_value():
    jobs = [one for one in demsar() if (one.model, one.dataset) != ("C4.5", "iris")]

    table = rank_pairs(View(test="nemenyi", missing="pairwise"), board_of(jobs))

    assert table.test == "wilcoxon"
    assert any("Nemenyi" in note for note in table.notes)
    pair = table.pairs["C4.5", "C4.5+m"]
    assert pair.wins + pair.ties + pair.losses == 13


def test_of_very_many_models_the_best_are_compared():
    jobs = [ran(f"m{m:02}", f"d{d}", MSE=1.0 + m) for d in range(3) for m in range(MOST_MODELS + 5)]

    table = rank_pairs(View(), board_of(jobs))

    assert len(table.models) == MOST_MODELS
    assert f"These are the best {MOST_MODELS} of {MOST_MODELS + 5} models." in table.notes


# --- quality against cost -----------------------------------------------------------------------

PRICES = [("good", 1.0, 9.0), ("fair", 2.0, 3.0), ("cheap", 3.0, 1.0), ("poor", 2.5, 5.0), ("twin", 2.0, 3.0)]


def priced(datasets=("x", "y")):
    return [ran(model, d, MSE=mse, Latency_P50=cost) for d in datasets for model, mse, cost in PRICES]


def test_the_front_is_what_no_other_model_beats_in_both():
    pareto = rank_pareto(View(), board_of(priced()))

    found = {point.model: (point.is_front, point.beaten_by) for point in pareto.points}
    assert found["good"] == found["fair"] == found["twin"] == found["cheap"] == (True, "")
    assert found["poor"] == (False, "fair")
    assert (pareto.cost, pareto.cost_axis.unit) == ("Latency_P50", "s")
    assert [point.quality for point in pareto.points] == [1.0, 2.5, 2.5, 4.0, 5.0]


@pytest.mark.parametrize("seed", range(5))
def test_the_front_is_that_of_a_search_over_all_pairs(seed):
    generator = np.random.default_rng(seed)
    jobs = [
        ran(
            f"m{m}",
            "x",
            MSE=float(generator.integers(1, 9)),
            Inference_Throughput=float(generator.integers(1, 9)),
        )
        for m in range(12)
    ]

    pareto = rank_pareto(View(cost="Inference_Throughput"), board_of(jobs))

    rows = {one.model: (one.metrics["MSE"], -one.metrics["Inference_Throughput"]) for one in jobs}
    for point in pareto.points:
        own = rows[point.model]
        beaten = any(o[0] <= own[0] and o[1] <= own[1] and o != own for o in rows.values())
        assert point.is_front == (not beaten)


def test_on_one_dataset_quality_is_the_value_itself():
    pareto = rank_pareto(View(dataset=("x",)), board_of(priced()))

    assert pareto.quality_axis.label == "MSE"
    assert [point.quality for point in pareto.points] == [1.0, 2.0, 2.0, 2.5, 3.0]


def test_a_model_without_the_cost_is_named_and_a_direction_is_needed_for_a_front():
    jobs = [*priced(), *(ran("free", d, MSE=0.5) for d in "xy")]
    odd = [ran(m, "x", MSE=1.0, zorp=2.0) for m in "ab"]

    assert rank_pareto(View(), board_of(jobs)).left_out == ["free"]
    apart = [*priced(), *(ran("apart", d, MSE=0.5, Latency_P50=0.1) for d in ("far", "away"))]
    assert rank_pareto(View(missing="pairwise"), board_of(apart)).left_out == []
    unknown = rank_pareto(View(cost="zorp"), board_of(odd))
    assert [point.is_front for point in unknown.points] == [False, False]
    assert "there is no front" in unknown.notes[-1]
    assert "has reported a cost" in rank_pareto(View(), board_of(odd)).notes[-1]


# --- sensitivity --------------------------------------------------------------------------------


def test_every_aggregate_policy_and_left_out_dataset_is_a_variant():
    jobs = [
        ran(model, d, seed, MSE=value + seed / 10, at=seed)
        for d, values in {"x": (1, 2, 3), "y": (1, 2, 3), "z": (9, 2, 1)}.items()
        for model, value in zip("abc", values, strict=True)
        for seed in range(2)
    ]

    table = rank_sensitivity(View(), board_of(jobs))

    variants = {variant.name: variant.places for variant in table.variants}
    assert set(variants) == {
        "as asked", "median rank", "first places", "mean value", "geometric mean",
        "best of seeds", "last seed", "x", "y", "z",
    }  # fmt: skip
    assert table.notes == (
        "“datasets that all have”, “datasets that each pair has”, “worst value filled in” make a board that"
        " is here already, and count no more.",
        "“median of seeds” makes a board that is here already, and counts no more.",
    )
    assert variants["as asked"]["a"] == 1
    assert variants["median rank"]["a"] == variants["first places"]["a"] == 1
    assert variants["mean value"]["a"] == 3
    assert variants["z"] == {"a": 1, "b": 2, "c": 3}
    first, total = table.firsts("a", "without")
    assert total == 3
    often = table.firsts("a")[0] - first
    assert table.sentence == (
        f"a is first in {often} of 7 variants, and in {first} of 3 when one dataset is left out"
        " (2 of them with others)."
    )
    assert table.range_of("a") == (1, 3)


def test_a_model_that_only_some_variants_rank_has_no_place_in_the_others():
    jobs = [ran(m, d, MSE=v) for d in "xyz" for v, m in enumerate("ab", 1)]
    jobs += [ran("partial", d, MSE=0.1) for d in "xy"]

    table = rank_sensitivity(View(), board_of(jobs))

    variants = {variant.name: variant.places for variant in table.variants}
    assert "partial" not in variants["as asked"]
    assert variants["shared"]["partial"] == variants["z"]["partial"] == 1
    assert table.models == ["a", "b", "partial"]
    assert "median of seeds" not in variants  # there is one seed


def test_the_places_of_a_view_are_those_of_its_leaderboard():
    from argus_server.ranking.rank import rank

    jobs = [
        ran(m, f"d{d}", MSE=math.sin(17 * d + 3 * i) + 2) for d in range(9) for i, m in enumerate("abcde")
    ]
    view = View(missing="pairwise")

    places = rank_sensitivity(view, board_of(jobs)).variants[0].places

    assert places == {row.model: row.rank for row in rank(replace(view, group="model"), board_of(jobs)).rows}


# --- pages ------------------------------------------------------------------------------------


@pytest.fixture
def filled(server):
    events = []
    for dataset in range(9):
        for place, model in enumerate(("Alpha", "<b>Beta</b>", "Gamma")):
            for seed in (1, 2):
                name = f"{place}-{dataset}-{seed}"
                metrics = {"MSE": place + 1 + dataset + seed / 50, "Latency_P50": 0.01 / (place + 1)}
                events += job(name, model, f"d{dataset}", seed, **metrics)
    server.store.add_events(events)
    return server


def rows_of(page, table="table"):
    return [
        [" ".join(cell.text().split()) for cell in row.css("th, td")]
        for row in page.css_first(table).css("tbody tr")
    ]


def test_the_page_of_pairs_shows_what_its_exports_say(filled):
    page = LexborHTMLParser(filled.page("/p/p/pairs"))
    lines = list(csv.DictReader(io.StringIO(filled.get("/p/p/pairs.csv").text)))
    data = filled.get("/p/p/pairs.json").json()

    assert page.css_first(".lead").text() == data["sentence"]
    rows = rows_of(page)
    assert [row[0] for row in rows] == ["Alpha", "<b>Beta</b>", "Gamma"]
    for line, pair in zip(lines, data["pairs"], strict=True):
        assert (line["a"], line["b"]) == (pair["a"], pair["b"])
        assert float(line["p"]) == pair["p"]
        assert float(line["difference"]) == pair["difference"]
        row = next(row for row in rows if row[0] == line["a"])
        cell = row[2 + [other[0] for other in rows].index(line["b"])]
        assert cell.startswith(f"{line['wins']}/{line['ties']}/{line['losses']} ▲")
    names = [text.text() for text in page.css("svg.cd text.name")]
    assert names == ["Alpha 1.00", "<b>Beta</b> 2.00", "Gamma 3.00"]
    nemenyi = LexborHTMLParser(filled.page("/p/p/pairs?test=nemenyi"))
    assert "Nemenyi" in nemenyi.css_first(".lead").text()
    assert any(text.text().startswith("CD ") for text in nemenyi.css("svg.cd text"))


def test_the_page_of_quality_against_cost_marks_the_front(filled):
    page = LexborHTMLParser(filled.page("/p/p/pareto"))
    data = filled.get("/p/p/pareto.json").json()
    lines = list(csv.DictReader(io.StringIO(filled.get("/p/p/pareto.csv").text)))

    assert [point["front"] for point in data["models"]] == [True, True, True]
    assert [float(line["Latency_P50 (mean)"]) for line in lines] == [
        point["cost"] for point in data["models"]
    ]
    assert len(page.css("svg.pareto g.point.front circle")) == 3
    assert {text.text() for text in page.css("svg.pareto text.name")} == {"Alpha", "<b>Beta</b>", "Gamma"}
    assert [row[0] for row in rows_of(page)] == ["Alpha", "<b>Beta</b>", "Gamma"]
    assert rows_of(page)[0][-1] == "★ on the front"
    said = " ".join(page.css_first("p.lead").text().split())
    assert said.endswith(
        "no other model is at least as good in both average rank in MSE and Latency_P50, and better in one."
    )


def test_the_page_of_sensitivity_draws_a_line_for_each_model(filled):
    page = LexborHTMLParser(filled.page("/p/p/sensitivity"))
    data = filled.get("/p/p/sensitivity.json").json()
    lines = list(csv.DictReader(io.StringIO(filled.get("/p/p/sensitivity.csv").text)))

    assert page.css_first(".lead").text() == data["sentence"]
    assert re.fullmatch(r"Alpha is first in (\d+) of \1 variants, and in 9 of 9 when .*", data["sentence"])
    assert len(page.css("svg.slope g polyline")) == 3
    assert len(lines) == len(data["variants"]) == len(rows_of(page)) - 1
    assert [int(line["Gamma"]) for line in lines] == [
        variant["places"]["Gamma"] for variant in data["variants"]
    ]


def test_models_and_pairs_say_how_many_comparisons_each_corrects_for(filled):
    models = LexborHTMLParser(filled.page("/p/p/leaderboard?group=model&sort=MSE&metric=MSE"))
    pairs = LexborHTMLParser(filled.page("/p/p/pairs?metric=MSE"))

    told, foot = models.css_first("#told"), pairs.css_first("p.foot")
    assert "compared with the best of its group only; pairs corrects for all pairs" in told.text()
    assert "The table of models compares each model with the best of its group only" in foot.text()
    for link in (told.css_first("a[href*=pairs]"), foot.css_first("a")):
        assert "metric=MSE" in link.attributes["href"]
        assert filled.get(link.attributes["href"], html=True).status_code == 200


def test_the_page_of_quality_against_cost_says_over_which_datasets(filled):
    filled.store.add_events(job("late", "Alpha", "d9", 1, MSE=1.0))
    filled.store.add_events(
        [*job("l1", "<b>Beta</b>", "d9", 1, MSE=2.0), *job("l2", "Gamma", "d9", 1, MSE=3.0)]
    )

    page = LexborHTMLParser(filled.page("/p/p/pareto"))

    assert "cost the mean over 9 of them" in page.css_first("figcaption").text()
    assert "Latency_P50 is compared over the 9 of 10 datasets" in page.text()


def markdown_rows(server, path):
    text = MarkdownIt("commonmark").enable("table").render(server.get(path).text)
    return [[cell.text() for cell in row.css("th, td")] for row in LexborHTMLParser(text).css("tr")]


def test_the_markdown_of_a_page_has_its_numbers_units_and_names(filled):
    names = {"Alpha": "First"}
    metrics = {"MSE": MetricSetting(unit="s", label="error")}
    filled.store.settings.change(
        "p", lambda known: msgspec.structs.replace(known, models=names, metrics=metrics)
    )

    header, best, *_ = markdown_rows(filled, "/p/p/pareto.md")
    page = rows_of(LexborHTMLParser(filled.page("/p/p/pareto")))
    assert header[:4] == ["Model", "Avg rank", "error (s)", "Latency_P50 (ms)"]
    assert best[:4] == page[0][:4] == ["First", "1.00", "5.03", "10.00"]
    assert best[4:] == ["9/9", "yes", "–"]

    header, pair, *_ = markdown_rows(filled, "/p/p/pairs.md")
    shown = LexborHTMLParser(filled.page("/p/p/pairs")).css_first("tbody tr").css("td i")[0].text()
    assert header[7] == "difference (s)"
    assert (pair[0], pair[2], pair[9]) == ("First", "1.00", "yes")
    assert shown == f"{pair[7]}, p = {pair[8]}"

    header, asked, *others = markdown_rows(filled, "/p/p/sensitivity.md")
    assert header == ["kind", "variant", "First", "<b>Beta</b>", "Gamma"]
    assert asked == ["as asked", "as asked", "1", "2", "3"]
    assert ["without", "without d0", "1", "2", "3"] in others
    assert filled.page("/p/p/sensitivity").count("First is first in") == 1


def test_pairs_for_a_paper_have_names_as_they_are_shown_the_test_and_its_level(filled):
    text = filled.get("/p/p/pairs.tex").text

    assert r"\textbf{Alpha} & \num{1.00} & \textless{}b\textgreater{}Beta" in text
    assert r" & 9/0/0 & " in text
    assert text.count(r"\tabularnewline") == 4
    for said in ("each two models of p in MSE over 9 datasets", "corrected by Holm for all pairs", "0.05"):
        assert said in text.replace("{}", "").replace("Each", "each"), said
    nemenyi = filled.get("/p/p/pairs.tex?test=nemenyi").text
    assert "Nemenyi" in nemenyi
    assert "Holm" not in nemenyi


def test_one_model_has_no_order_that_could_change(server):
    server.store.add_events([event for d in "xyz" for event in job(f"j{d}", "m", d, 1, MSE=1.0)])

    page = LexborHTMLParser(server.page("/p/p/sensitivity"))

    assert page.css_first("#told .lead").text() == "m alone is ranked: there is no order that could change."
    assert page.css_first("svg.slope") is None
    assert "One model has no order" in page.css_first(".empty").text()


def test_an_order_that_every_dataset_has_needs_no_infinite_number(server):
    events = [job(f"{m}{d}", m, d, 1, MSE=x) for x, m in enumerate("abc", 1) for d in "stuvwxyz"]
    server.store.add_events([event for some in events for event in some])

    for path in ("leaderboard?group=model", "pairs"):
        text = server.page(f"/p/p/{path}")
        assert "every dataset orders the models alike, p = 3.6e-06" in text
        assert "∞" not in text


@pytest.mark.parametrize("page", ["pairs", "pareto", "sensitivity"])
def test_a_board_with_nothing_to_compare_says_so(server, page):
    server.store.add_events([start("j", "m", "d", 1)])
    empty = server.page(f"/p/p/{page}")
    server.store.add_events(job("k", "m", "d", 2, zorp=1.0))
    unknown = server.page(f"/p/p/{page}")

    for text in (empty, unknown):
        assert LexborHTMLParser(text).css_first(".empty").text()
    for ending in ("csv", "json"):
        assert server.get(f"/p/p/{page}.{ending}").status_code == 200


def test_the_pages_of_models_lead_to_each_other_with_the_same_question(filled):
    page = LexborHTMLParser(filled.page("/p/p/leaderboard?group=model&metric=Latency_P50&missing=shared"))

    for link in page.css("nav.tabs a.tab"):
        address = link.attributes["href"]
        assert "metric=Latency_P50" in address
        assert "missing=shared" in address
        assert filled.get(address, html=True).status_code == 200


def test_pareto_names_the_models_that_have_no_place_and_pages_of_models_stand_in_one_order(server):
    jobs = [job(f"{m}{d}", m, d, 1, MSE=x, Latency_P50=x) for x, m in enumerate("ab", 1) for d in "de"]
    server.store.add_events([event for some in jobs for event in some] + job("c", "<c>", "d", 1, MSE=3.0))

    metrics = {"MSE": MetricSetting(label="error")}
    server.store.settings.change("p", lambda known: msgspec.structs.replace(known, metrics=metrics))
    page = LexborHTMLParser(server.page("/p/p/pareto"))

    assert "the mean difference of error over" in server.page("/p/p/pairs")
    told = " ".join(page.css_first("#told").text().split())
    assert "Not ranked, and so not shown: <c>. Why" in told
    assert page.css_first("#told a").attributes["href"].endswith("?group=model#unranked")
    order = ["jobs", "cells", "models"]
    for path in ("pareto", "pairs", "sensitivity", "leaderboard?group=model", "leaderboard"):
        tabs = [
            tab.text()
            for tab in LexborHTMLParser(server.page(f"/p/p/{path}")).css("details.controls nav.tabs .tab")
        ]
        assert tabs == order + ([] if path == "leaderboard" else ["pairs", "pareto", "sensitivity"])
