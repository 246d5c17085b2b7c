"""The leaderboard of a finished demo, as a person uses it: sign in, sort, download, filter."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import expect

BOARD = "/p/demo/leaderboard"
MODELS = {"DLinear", "GRU", "PatchTST", "PatchTSMixer", "MLP", "CNN", "SeasonalNaive"}
SCALES = {"": 1, "s": 1, "ms": 1e-3, "µs": 1e-6, "min": 60, "h": 3600, "MB": 1, "GB": 1024, "/s": 1, "%": 1}


def read_table(page):
    """Return the rows of the table: column → (what is shown, the raw value behind it)."""
    heads = page.locator("table.board thead th")
    columns = [heads.nth(i).inner_text().split()[0] for i in range(heads.count())]
    rows = []
    for row in page.locator("table.board tbody tr").all():
        cells = row.evaluate(
            """row => [...row.children].map(
                cell => [(cell.matches('th') && cell.querySelector('a') || cell).innerText.trim(),
                         cell.dataset.key, cell.dataset.value])"""
        )
        named = {}
        for column, (text, key, value) in zip(columns, cells, strict=True):
            named[key if key is not None else column] = (text, value)
        rows.append(named)
    return rows


def download_csv(page):
    with page.expect_download() as caught:
        page.get_by_role("link", name="CSV").click()
    with Path(caught.value.path()).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def units(page):
    """Return the unit in each metric's header."""
    return page.evaluate(
        """() => {
            const heads = [...document.querySelectorAll('table.board thead th')];
            const cells = [...document.querySelectorAll('table.board tbody tr')][0].children;
            return Object.fromEntries([...cells].map((cell, i) =>
                [cell.dataset.key, (heads[i].querySelector('.unit i') || {innerText: ''}).innerText]));
        }"""
    )


def test_the_demo_has_rows_from_three_frameworks_in_the_same_columns(page):
    page.goto(BOARD + "?group=cell")

    rows = read_table(page)

    assert {row["Model"][0] for row in rows} == MODELS
    assert len(rows) == len(MODELS) * 3
    for row in rows:
        for metric in ("MSE", "MAE", "RMSE", "sMAPE", "MASE"):
            assert float(row[metric][1]) > 0
    assert not {"test_MSE", "eval_MSE", "eval_mse", "test_mse", "mse"} & set(rows[0])


def test_table_and_csv_are_equal_cell_by_cell(page):
    page.goto(BOARD)

    table = read_table(page)
    scale = {key: SCALES[unit] for key, unit in units(page).items()}
    exported = download_csv(page)

    assert len(table) == len(exported) == 6 * 3 * 2 + 3
    for shown, row in zip(table, exported, strict=True):
        assert (shown["#"][0], shown["Model"][0], shown["Dataset"][0]) == (
            row["rank"],
            row["model"],
            row["dataset"],
        )
        assert shown["Seed"][0] == (row["seed"] or "—")
        assert shown["Job"][0] == row["job_id"]
        metrics = {key: cell for key, cell in shown.items() if cell[1] is not None}
        assert set(metrics) == set(row) - {
            *("rank", "model", "dataset", "seed", "batch_id", "job_id", "finished_at", "superseded_by"),
            "metric:seed",  # the jobs' own column says it
        }
        for key, (text, raw) in metrics.items():
            assert raw == row[key]
            if raw == "":
                assert text == "∅"
            else:
                decimals = len(text.partition(".")[2])
                number = float(text.replace(",", "").replace("−", "-"))
                assert number * scale[key] == pytest.approx(float(raw), abs=0.51 * 10**-decimals * scale[key])


def test_a_click_on_a_header_sorts_best_first_and_a_second_click_turns_it_round(page):
    page.goto(BOARD + "?dataset=co2")

    header = page.get_by_role("columnheader", name="MAE")
    header.get_by_role("link").click()
    expect(header).to_have_attribute("aria-sort", "ascending")
    ascending = [float(row["MAE"][1]) for row in read_table(page)]
    header.get_by_role("link").click()
    expect(header).to_have_attribute("aria-sort", "descending")
    descending = [float(row["MAE"][1]) for row in read_table(page)]

    assert ascending == sorted(ascending)
    assert descending == sorted(ascending, reverse=True)


def test_higher_is_better_sorts_the_largest_first(page):
    page.goto(BOARD + "?dataset=co2")

    page.get_by_role("columnheader", name="Throughput").get_by_role("link").click()

    values = [row["Inference_Throughput"][1] for row in read_table(page)]
    numbers = [float(value) for value in values if value]
    assert numbers == sorted(numbers, reverse=True)
    assert values[-1] == ""  # the naive forecast measured none: last, in either direction


def test_missing_values_are_last_in_both_directions(page):
    page.goto(BOARD + "?dataset=co2&sort=Latency_P50")
    ascending = [row["Latency_P50"][1] for row in read_table(page)]
    page.goto(BOARD + "?dataset=co2&sort=Latency_P50&order=desc")
    descending = [row["Latency_P50"][1] for row in read_table(page)]

    assert ascending[-1] == descending[-1] == ""
    assert "" not in ascending[:-1] + descending[:-1]


def test_a_filter_is_in_the_url_and_in_the_export(page):
    page.goto(BOARD)

    page.locator("#filters summary").click()
    page.locator("#filters").get_by_role("link", name="sunspots").click()

    assert parse_qs(urlsplit(page.url).query)["dataset"] == ["sunspots"]
    assert {row["Dataset"][0] for row in read_table(page)} == {"sunspots"}
    assert {row["dataset"] for row in download_csv(page)} == {"sunspots"}


def test_the_json_is_the_same_ranking(page):
    page.goto(BOARD + "?group=cell&dataset=elnino")
    shown = [(row["Model"][0], row["MSE"][1]) for row in read_table(page)]

    answer = page.request.get(BOARD + ".json?group=cell&dataset=elnino")

    rows = json.load(io.BytesIO(answer.body()))["rows"]
    assert [(row["model"], row["cells"]["MSE"]["mean"]) for row in rows] == [
        (model, pytest.approx(float(mean))) for model, mean in shown
    ]


def test_the_jobs_are_listed_with_their_status_in_words(page):
    page.goto("/p/demo/jobs")

    badges = page.locator("table tbody tr").get_by_text("done", exact=False)

    assert badges.count() >= 6 * 3 * 2 + 3


def test_the_projects_page_leads_to_the_board(page):
    page.goto("/")

    page.get_by_role("link", name="demo").first.click()

    expect(page).to_have_url(re.compile("/p/demo/"))


def test_an_unknown_project_gets_a_page_that_helps(page):
    response = page.request.get("/p/demoo/leaderboard", headers={"Accept": "text/html"})

    assert response.status == 404
    assert "/p/demo/" in response.text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_no_page_is_wider_than_its_window(page, scheme, width):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 844})

    for path in (BOARD, BOARD + "?group=cell", "/p/demo/jobs", "/"):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_it_works_without_javascript(browser, demo, signed_in):
    context = browser.new_context(storage_state=signed_in, base_url=demo.url, java_script_enabled=False)
    page = context.new_page()

    page.goto(BOARD + "?dataset=co2")
    page.get_by_role("columnheader", name="MAE").get_by_role("link").click()

    expect(page.get_by_role("columnheader", name="MAE")).to_have_attribute("aria-sort", "ascending")
    context.close()


def test_without_signing_in_there_is_nothing_to_see(browser, demo):
    context = browser.new_context(base_url=demo.url)
    page = context.new_page()

    response = page.goto(BOARD)

    assert response.status == 401
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    assert "PatchTST" not in page.content()
    context.close()


def test_a_one_time_link_works_once(browser, demo, signed_in):
    context = browser.new_context(base_url=demo.url)
    page = context.new_page()

    page.goto(demo.sign_in_url)
    page.goto(BOARD)

    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    context.close()


def test_the_terminal_shows_the_same_ranking(page, demo):
    for dataset in ("sunspots", "co2", "elnino"):
        page.goto(f"{BOARD}?group=cell&dataset={dataset}")
        on_the_page = [row["Model"][0] for row in read_table(page)]

        section = demo.output.partition(f"{dataset}, ranked by MSE")[2].partition("ranked by")[0]
        in_the_terminal = [
            line.split("│")[2].strip() for line in section.splitlines() if line.startswith("│")
        ]

        assert in_the_terminal == on_the_page
