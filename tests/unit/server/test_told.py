"""What tables say of themselves: who is superseded, what is not known, what looks wrong."""

import csv
import io
import json

import pytest
from selectolax.lexbor import LexborHTMLParser
from unit.server.wire import job

import argus_core.reading
from argus_server.ranking.registry import MetricSetting, Settings

MODEL_PAGES = ("leaderboard?group=model", "pairs", "pareto", "sensitivity")


def text_of(page):
    return " ".join(LexborHTMLParser(page).css_first("main").text().split())


def columns(server, path):
    return next(csv.reader(io.StringIO(server.get(f"/p/p/{path}").text)))


# --- superseded --------------------------------------------------------------------------------


def test_a_later_job_that_counts_instead_is_told_wherever_the_older_one_is_listed(server):
    server.store.add_events([*job("old", "m", MSE=0.5), *job("new", "m", at=20, MSE=0.4)])
    why = "a later job has the same model, dataset and seed"

    for path in ("leaderboard", "jobs", "batches/b"):
        page = server.page(f"/p/p/{path}")
        assert why in text_of(page), path
        (tag,) = [tag for tag in LexborHTMLParser(page).css("tbody .tag") if tag.text() == "superseded"]
        assert tag.attributes["title"].startswith("A later job has the same")
    for ending in ("md", "tex"):
        assert "Superseded: a later job" in server.get(f"/p/p/leaderboard.{ending}").text
    listed = {item["job_id"]: item["superseded"] for item in server.get("/p/p/jobs.json").json()["jobs"]}
    assert listed == {"old": True, "new": False}
    assert "superseded" in columns(server, "jobs.csv")


def test_nothing_is_said_of_superseded_jobs_where_there_are_none(server):
    server.store.add_events([*job("a", "m", MSE=0.5), *job("b", "n", MSE=0.4)])

    assert not any("superseded" in server.page(f"/p/p/{path}") for path in ("leaderboard", "jobs"))
    assert "Superseded" not in server.get("/p/p/leaderboard.md").text


# --- what is not known -------------------------------------------------------------------------


@pytest.fixture
def undirected(server):
    for model in ("m", "n", "o"):
        for dataset in ("x", "y"):
            server.store.add_events(job(f"{model}-{dataset}", model, dataset, wobble=len(model + dataset)))
    return server


@pytest.mark.parametrize("page", ["leaderboard", "leaderboard?group=cell", "matrix", *MODEL_PAGES])
def test_a_metric_of_unknown_direction_has_no_best_and_a_way_to_the_settings(undirected, page):
    parsed = LexborHTMLParser(undirected.page(f"/p/p/{page}"))
    said = " ".join(parsed.css_first("main").text().split())

    assert "The settings of the project can say which." in said
    assert parsed.css_first('main a[href="/p/p/settings"]') is not None
    assert not any(word in said for word in ("bold best", "shade and bar", "leads", "best average rank"))
    assert not parsed.css("tbody b, tbody u")


def test_models_that_nothing_ranks_have_their_coverage_and_are_not_called_ranked(undirected):
    page = undirected.page("/p/p/leaderboard?group=model")

    assert "3 models, none ranked · 2 datasets with wobble" in text_of(page)
    assert "Each model is compared" not in page
    rows = undirected.get("/p/p/leaderboard.json?group=model").json()["rows"]
    assert {row["display"]["datasets"] for row in rows} == {"2/2 × 1"}
    for path in ("leaderboard.tex?group=model", "leaderboard.tex?group=cell", "matrix.tex"):
        text = undirected.get(f"/p/p/{path}").text
        assert "by their average rank" not in text
        assert "Best in bold" not in text


def test_datasets_without_the_metric_that_ranks_are_not_counted_among_its_datasets(server):
    for model in ("m", "n"):
        for dataset in ("x", "y"):
            server.store.add_events(job(f"{model}-{dataset}", model, dataset, MSE=float(ord(model))))
    server.store.add_events([*job("other", "m", "z", MAE=0.1), *job("none", "m", None, MAE=0.1)])

    page = text_of(server.page("/p/p/leaderboard?group=model"))
    found = server.get("/p/p/leaderboard.json?group=model").json()

    assert "2 models ranked · 2 datasets with MSE" in page
    assert {row["statistics"]["datasets_of"] for row in found["rows"]} == {2}


# --- what looks wrong --------------------------------------------------------------------------


@pytest.fixture
def doubtful(server):
    for number, model in enumerate(("m", "n", "o", "q")):
        for dataset in ("x", "y"):
            name = f"{model}-{dataset}"
            server.store.add_events(
                job(name, model, dataset, MSE=0.4 + number / 10, Latency_P50=0.004 + number / 1000)
            )
    server.store.add_events(job("ms", "m", "x", seed=1, at=40, MSE=0.41, Latency_P50=4.5))
    return server


def test_a_table_of_a_metric_that_the_doctor_doubts_says_so_wherever_it_is_read(doubtful):
    said = "The metric doctor doubts Latency_P50 (another unit): its page says why."

    for path in ("leaderboard", "leaderboard?group=cell", "leaderboard?group=model", "pareto"):
        link = LexborHTMLParser(doubtful.page(f"/p/p/{path}")).css_first("a.doubts")
        assert link.attributes["title"] == said, path
        name, _, query = path.partition("?")
        assert said in doubtful.get(f"/p/p/{name}.json?{query}").json()["notes"]
        assert "metric doctor doubts" in doubtful.get(f"/p/p/{name}.md?{query}").text
    assert said in doubtful.get("/p/p/matrix.json?metric=Latency_P50").json()["notes"]
    assert 'class="doubts"' in doubtful.page("/p/p/matrix?metric=Latency_P50")
    assert "metric doctor doubts" in doubtful.get("/p/p/leaderboard.tex").text
    checked = doubtful.get("/api/projects/p/check?model=n&baseline=m&metric=Latency_P50").json()
    assert checked["notes"] == [said]


def test_a_table_of_other_metrics_says_nothing_of_it(doubtful):
    for path in ("pairs", "sensitivity", "matrix", "leaderboard?col=MSE"):
        name, _, query = path.partition("?")
        assert 'class="doubts"' not in doubtful.page(f"/p/p/{path}"), path
        assert "doctor" not in doubtful.get(f"/p/p/{name}.md?{query}").text
    assert doubtful.get("/api/projects/p/check?model=n&baseline=m&metric=MSE").json()["notes"] == []


def test_a_unit_that_the_settings_give_hides_no_jump(doubtful):
    doubtful.store.settings.change("p", lambda _: Settings(metrics={"Latency_P50": MetricSetting(unit="ms")}))

    (finding,) = doubtful.get("/p/p/doctor.json").json()["findings"]

    assert finding["kind"] == "unit"
    assert "1 of 9 values of Latency_P50 look 1000 times too large" in finding["fact"]


def test_a_jump_of_a_fast_model_is_found_beside_slow_ones(server):
    for number, model in enumerate(("fast", "slow", "slower", "slowest")):
        for dataset in ("x", "y"):
            seconds = 0.004 * 2**number
            server.store.add_events(job(f"{model}-{dataset}", model, dataset, Latency_P50=seconds))
    server.store.add_events(job("ms", "fast", "x", seed=1, at=40, Latency_P50=4.1))

    (finding,) = server.get("/p/p/doctor.json").json()["findings"]

    assert "1 of 9 values of Latency_P50 look like milliseconds" in finding["fact"]


# --- files and records -------------------------------------------------------------------------


@pytest.mark.parametrize("group", ["job", "cell", "model"])
def test_records_have_the_columns_of_the_csv_in_its_order(doubtful, group):
    doubtful.store.add_events(job("gap", "gappy", "x", MSE=1.0))
    table = doubtful.get(f"/p/p/leaderboard.json?group={group}").json()

    records = argus_core.reading.records(table)

    assert {tuple(record) for record in records} == {
        tuple(columns(doubtful, f"leaderboard.csv?group={group}"))
    }
    assert json.dumps(records)
