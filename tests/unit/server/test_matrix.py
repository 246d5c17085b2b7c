"""The matrix: the cells of the leaderboard as a grid, and why some have no number."""

import csv
import io
import math
import random
import re

import pytest
from markdown_it import MarkdownIt
from selectolax.lexbor import LexborHTMLParser
from unit.server.wire import body

from argus_server.ranking.registry import Settings as Named

MATRIX = "/p/p/matrix"
MODELS = ["Alpha", "Beta", "Gamma", "Delta"]
DATASETS = ["u", "v", "w"]


def job(model, dataset, seed, at=0, project="p", **metrics):
    name = f"{model}-{dataset}-{seed}"
    more = {"at": at, "project": project}
    yield body("job_start", name, model=model, dataset=dataset, seed=seed, epochs_total=50, **more)
    yield body("job_done", name, metrics=metrics, **more)


def events():
    values = {"Alpha": 0.1, "Beta": 0.2, "Gamma": 0.4, "Delta": 0.4}
    for model, value in values.items():
        for dataset, factor in (("u", 1), ("v", 10), ("w", 2)):
            for seed in range(2):
                metrics = {"MSE": value * factor + seed * 0.003, "Speed": 1 + value, "note": "a|b"}
                if (model, dataset) == ("Beta", "w"):
                    metrics["MSE"] = "NaN" if seed else 0.5
                if (model, dataset) == ("Gamma", "w"):
                    del metrics["MSE"]
                if (model, dataset) not in (("Delta", "v"), ("Delta", "w")):
                    yield from job(model, dataset, seed, **metrics)
    yield body("job_start", "fails", model="Delta", dataset="v", seed=0)
    yield body("job_failed", "fails", at=5, reason="ValueError: <b>boom</b>")
    for seed in (0, 1):
        yield body(
            "job_start", f"goes-{seed}", at=500, model="Delta", dataset="w", seed=seed, epochs_total=50
        )
        yield body("job_epoch", f"goes-{seed}", at=590, epoch=30 + seed * 10, val_loss=0.5)
    yield body("job_start", "third", at=590, model="Alpha", dataset="u", seed=7, epochs_total=50)
    yield from job("Only", "u", 0, at=3)  # reports nothing
    yield body("job_start", "dry", model="Dry", dataset="u", seed=0, tags=["fast_dev_run"])


@pytest.fixture(scope="module")
def board(make_board):
    """A server that is only read."""
    server = make_board()
    server.send(*events())
    return server


def grid(server, query="", path=MATRIX, **more):
    """Return (row, column) → the cell's node, and the page."""
    answer = server.get(path + query, html=True, **more)
    assert answer.status_code == 200, answer.text
    page = LexborHTMLParser(answer.text)
    cells = {}
    for row in page.css("table.mx tbody tr"):
        for cell in row.css("td[data-key]"):
            cells[row.attributes["data-row"], cell.attributes["data-key"]] = cell
    return cells, page


def told(cell):
    return cell.css_first("a").attributes["title"]


def rows_of(page):
    return [row.attributes["data-row"] for row in page.css("table.mx tbody tr")]


# --- one table, many renderings -----------------------------------------------------------------


def test_the_form_says_how_seeds_become_one_number_and_the_legend_what_a_full_bar_is(board):
    _, page = grid(board, "?seeds=median")

    select = page.css_first("select[name=seeds]")
    assert select.css_first("option[selected]").attributes["value"] == "median"
    assert page.css_first("select[name=cell] option").text() == "median of the seeds"
    assert "median of" in grid(board, "?seeds=median")[1].css_first("table.mx").text()
    legend = page.css_first("p.verdict").text()
    assert "the full bar is its largest gap but for outliers, which have a full bar too" in legend
    assert page.css_first("#keys") is not None


@pytest.mark.parametrize("query", ["?", "?metric=Speed", "?transpose=1", "?dataset=v", "?rows=name&q=a"])
def test_page_exports_and_the_leaderboard_of_cells_agree_cell_by_cell(board, query):
    cells, page = grid(board, query)
    plain = board.get(f"{MATRIX}.json{query}").json()
    table = list(csv.DictReader(io.StringIO(board.get(f"{MATRIX}.csv{query}").text, newline="")))
    markdown = board.get(f"{MATRIX}.md{query}").text
    transposed = plain["view"]["transpose"]
    metric = plain["metric"]["key"]
    rows = board.get(f"/p/p/leaderboard.json?group=cell&metric={metric}").json()["rows"]
    ranked = {(row["model"], row["dataset"]): row for row in rows}

    assert len(cells) == len(plain["cells"]) == len(plain["models"]) * len(plain["datasets"])
    assert rows_of(page) == plain["datasets" if transposed else "models"]
    by_row = {next(iter(row.values())): row for row in table}
    lines = {
        line.split(" | ")[0].strip("| "): line for line in markdown.splitlines() if line.startswith("| ")
    }
    for item in plain["cells"]:
        model, dataset = item["model"], item["dataset"]
        row, column = (dataset, model) if transposed else (model, dataset)
        shown = " ".join(
            cells[row, column].css_first("a").text().replace("◔", "", item["state"] == "done").split()
        )
        other = ranked.get((model, dataset), {"cells": {}, "display": {}, "best": [], "second": []})
        value = other["cells"].get(
            metric, {"mean": None, "std": None, "n": None, "diverged": 0, "interval": None}
        )

        assert shown == item["display"]
        assert {
            "mean": item["value"],
            **{name: item[name] for name in ("std", "n", "diverged", "interval")},
        } == value
        if item["value"] is not None:
            assert item["display"] == other["display"][metric]
        assert item["mark"] == (
            "best" if metric in other["best"] else "second" if metric in other["second"] else ""
        )
        assert bool(cells[row, column].css("b")) == (item["mark"] == "best")
        assert bool(cells[row, column].css("u")) == (item["mark"] == "second")
        exported = by_row[row]
        assert exported[column] == ("" if item["value"] is None else str(item["value"]))
        assert exported[f"{column} (std)"] == ("" if item["std"] is None else repr(item["std"]))
        assert exported[f"{column} (state)"] == item["state"]
        assert cells[row, column].attributes["data-value"] == exported[column]
        assert item["display"].split()[0] in lines[row].replace("\\", "")


def test_the_exports_have_a_column_for_what_is_shown(board):
    (row,) = (
        row
        for row in csv.DictReader(io.StringIO(board.get(f"{MATRIX}.csv?cell=rank").text, newline=""))
        if row["model"] == "Beta"
    )
    assert {"u": "2.0", "v": "2.0", "w (state)": "diverged"}.items() <= row.items()
    assert "u (std)" not in row


@pytest.mark.parametrize("query", ["", "?transpose=1"])
def test_papers_call_models_and_datasets_as_the_page_does_and_data_as_they_were_sent(server, query):
    server.send(*job("Alpha", "u", 0, MSE=0.1), *job("Beta", "u", 0, MSE=0.2), *job("Beta", "v", 0, MSE=0.3))
    before = [server.get(f"{MATRIX}.{ending}{query}").text for ending in ("csv", "json")]
    server.store.settings.change(
        "p",
        lambda _: Named(models={"Alpha": "First_1", "u": "no model"}, datasets={"u": "Set|1", "Beta": "no"}),
    )

    _, page = grid(server, query)
    markdown = MarkdownIt("commonmark").enable("table").render(server.get(f"{MATRIX}.md{query}").text)
    latex = server.get(f"{MATRIX}.tex{query}").text

    heads = [cell.text() for cell in page.css("table.mx thead th")]
    names = [cell.text() for cell in page.css("table.mx tbody th")]
    assert {*heads, *names} >= {"First_1", "Beta", "Set|1", "v"}
    paper = LexborHTMLParser(markdown)
    assert [cell.text() for cell in paper.css("thead th")] == heads
    assert [row.css_first("td").text() for row in paper.css("tbody tr")][: len(names)] == names
    first, *rows = re.findall(r"^(.*) \\tabularnewline$", latex, re.MULTILINE)
    as_latex = {"First_1": r"First\_1", "Set|1": r"Set\textbar{}1"}
    assert first.split(" & ") == [as_latex.get(name, name) for name in heads]
    assert [row.split(" & ")[0] for row in rows][: len(names)] == [as_latex.get(name, name) for name in names]
    assert [server.get(f"{MATRIX}.{ending}{query}").text for ending in ("csv", "json")] == before


def test_cells_and_the_choice_of_a_baseline_call_models_and_datasets_as_the_settings_do(server):
    server.send(*job("Alpha", "u", 0, MSE=0.1), *job("Beta", "u", 0, MSE=0.2))
    server.store.settings.change(
        "p", lambda _: Named(models={"Alpha": "First"}, datasets={"u": "Set"}, baseline="Alpha")
    )

    _, page = grid(server, "?cell=delta")

    said = [link.attributes["title"].split(" · ") for link in page.css("table.mx td a")]
    assert [(name, *(part for part in rest if " against " in part)) for name, *rest in said] == [
        ("First on Set", "0.0 % against First"),
        ("Beta on Set", "+100 % against First"),
    ]
    options = page.css("select[name=baseline] option")
    assert [(option.attributes["value"], option.text()) for option in options] == [
        ("", "First (project)"),
        ("Alpha", "First"),
        ("Beta", "Beta"),
    ]


# --- what a cell says ---------------------------------------------------------------------------


def test_a_cell_without_a_number_says_why(board):
    cells, page = grid(board)
    text = {key: cell.text(strip=True) for key, cell in cells.items()}

    assert text["Beta", "w"] == "NaN 1 of 2 diverged"
    assert text["Gamma", "w"] == "∅"
    assert text["Delta", "v"] == "✕ failed"
    assert text["Delta", "w"] == "◔ 72 %"  # (31/50 + 41/50) / 2
    assert text["Only", "u"] == "∅"
    assert text["Only", "v"] == "—"
    assert "Dry" not in rows_of(page)
    assert "ValueError: <b>boom</b>" in told(cells["Delta", "v"])
    assert "2 running" in told(cells["Delta", "w"])
    assert "1 running" in told(cells["Alpha", "u"])
    assert cells["Alpha", "u"].css(".going")
    footer = page.css_first(".foot").text()
    for words in (
        "15 cells",
        "1 ✕ failed",
        "1 ◔ running",
        "2 — never run",
        "1 NaN diverged",
        "2 ∅ done without",
    ):
        assert words in footer


def test_filters_of_jobs_hide_cells_without_calling_them_never_run(board):
    cells, _ = grid(board, "?seed=1")

    assert cells["Alpha", "u"].text(strip=True) == "0.103n=1◔"
    assert cells["Only", "u"].text(strip=True) == "⊘"
    assert cells["Only", "v"].text(strip=True) == "—"


def test_every_cell_opens_its_jobs(board):
    cells, _ = grid(board)
    for (model, dataset), cell in cells.items():
        jobs = board.page(cell.css_first("a").attributes["href"])
        count = {("Delta", "v"): 1, ("Only", "u"): 1, ("Alpha", "u"): 3}.get((model, dataset), 2)
        count = 0 if cell.text(strip=True) == "—" else count

        assert len(re.findall("<tr data-row", jobs)) == count, (model, dataset)


def test_shade_and_bar_grow_with_the_gap_to_the_best_of_the_column(board):
    cells, _ = grid(board)
    step = {
        key: int(found[1])
        for key, cell in cells.items()
        if (found := re.search(r" z(\d)", cell.attributes["class"]))
    }

    assert step["Alpha", "u"] == 0
    assert step["Gamma", "u"] == step["Delta", "u"] == 9
    assert 0 < step["Beta", "u"] < 9
    assert step["Beta", "u"] == step["Beta", "v"]
    assert ("Beta", "w") not in step  # diverged
    assert "the best" in told(cells["Alpha", "u"])
    assert "98.5 % behind the best" in told(cells["Beta", "u"])
    assert not any(
        re.search(r" z\d", cell.attributes["class"]) for cell in grid(board, "?metric=Speed")[0].values()
    )


def test_one_value_that_went_astray_leaves_the_others_their_shades(server):
    values = [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1e9]
    server.send(*(event for i, value in enumerate(values) for event in job(f"m{i}", "d", 0, MSE=value)))
    cells, _ = grid(server)

    classes = [cells[f"m{i}", "d"].attributes["class"] for i in range(7)]
    assert len(set(classes)) >= 5
    assert classes[-1] == classes[-2] == "n z9"


def test_a_cell_shows_what_is_asked_for(board):
    def texts(query):
        return {key: cell.text(strip=True) for key, cell in grid(board, query)[0].items()}

    counts, ranks = texts("?cell=n"), texts("?cell=rank")
    deltas, gaps = texts("?cell=delta&baseline=Beta"), texts("?cell=delta")

    assert (counts["Alpha", "u"], counts["Gamma", "v"], counts["Delta", "v"]) == ("2◔", "2", "✕ failed")
    assert [ranks[model, "u"].rstrip("◔") for model in MODELS] == ["1", "2", "3.5", "3.5"]
    assert [deltas[model, "u"].rstrip("◔") for model in MODELS] == ["−49.6 %", "0.0 %", "+99.3 %", "+99.3 %"]
    assert deltas["Alpha", "w"] == "–"  # Beta has diverged there
    assert (gaps["Alpha", "u"].rstrip("◔"), gaps["Beta", "u"]) == ("0.0 %", "+98.5 %")


def test_a_difference_to_nothing_is_not_shown(server):
    server.send(*job("a", "d", 0, MSE=0.0), *job("b", "d", 0, MSE=1.0), *job("c", "d", 0, MSE=-5e-324))
    cells, _ = grid(server, "?cell=delta&baseline=a")

    assert {key[0]: cell.text(strip=True) for key, cell in cells.items()} == {
        "a": "0.0 %",
        "b": "–",
        "c": "–",
    }


# --- rows and columns ---------------------------------------------------------------------------


def test_models_stand_by_average_rank_those_without_every_dataset_last(board):
    _, page = grid(board, "?dataset=u&dataset=v")
    averages = {
        row.attributes["data-row"]: row.css_first("td.mean").text() for row in page.css("table.mx tbody tr")
    }

    assert averages == {"Alpha": "1.00", "Beta": "2.00", "Gamma": "3.00", "Delta": "(3.50)", "Only": "–"}
    assert list(averages) == rows_of(page)
    assert page.css_first("tr.sep").attributes["data-row"] == "Delta"
    assert rows_of(grid(board, "?rows=name")[1]) == ["Alpha", "Beta", "Delta", "Gamma", "Only"]


def test_a_provisional_rank_is_said_to_be_one_in_every_file(board):
    def asked(ending, query="?dataset=u&dataset=v"):
        return board.get(f"{MATRIX}.{ending}{query}").text

    lines = list(csv.DictReader(io.StringIO(asked("csv"), newline="")))
    assert {row["model"]: (row["average_rank"], row["provisional_rank"]) for row in lines} == {
        "Alpha": ("1.0", ""),
        "Beta": ("2.0", ""),
        "Gamma": ("3.0", ""),
        "Delta": ("", "3.5"),
        "Only": ("", ""),
    }
    by_model = {line.split(" | ")[0].strip("| "): line for line in asked("md").splitlines() if "|" in line}
    assert by_model["Delta"].endswith(r"| (3.50) |")
    assert by_model["Only"].endswith("| – |")
    assert re.search(r"^Delta & .* & \(\\num\{3.50\}\) ", asked("tex"), re.MULTILINE)
    turned = asked("md", "?dataset=u&dataset=v&transpose=1")
    assert "| Avg rank | 1.00 | 2.00 | 3.00 | (3.50) | – |" in turned


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("complete", "those of the models that have every dataset; (those of the others) are provisional."),
        ("shared", "over the datasets that all models have."),
        ("pairwise", "of each two models over the datasets that both have."),
        ("impute:worst", "over all datasets, a missing value being behind the worst one."),
    ],
)
def test_the_note_says_what_average_ranks_are_of(board, missing, said):
    plain = board.get(f"{MATRIX}.json?dataset=u&dataset=v&missing={missing}").json()

    assert [note for note in plain["notes"] if note.startswith("Average ranks")] == [
        f"Average ranks are {said}"
    ]


def test_average_ranks_are_computed_as_on_paper(server):
    random.seed(5)
    models, datasets = [f"m{i}" for i in range(6)], [f"d{i}" for i in range(7)]
    values = {(m, d): round(random.random(), 1) for m in models for d in datasets}
    server.send(*(event for (m, d), value in values.items() for event in job(m, d, 0, accuracy=value)))

    plain = server.get(f"{MATRIX}.json").json()

    for m in models:
        ranks = []
        for d in datasets:
            better = sum(values[o, d] > values[m, d] for o in models)
            equal = sum(values[o, d] == values[m, d] for o in models)
            ranks.append(better + (equal + 1) / 2)
        assert math.isclose(plain["average_ranks"][m], sum(ranks) / 7)


def test_the_metrics_to_choose_from_say_how_many_cells_have_them(board):
    _, page = grid(board)
    options = [option.text() for option in page.css("select[name=metric] option")]

    assert "MSE 8/15" in options
    assert "Speed 10/15" in options
    assert "note 0/15" in options


def test_transposing_is_a_link_that_keeps_the_rest(board):
    _, page = grid(board, "?cell=rank&dataset=u")
    (link,) = [a.attributes["href"] for a in page.css("a.button") if a.text() == "Transpose"]
    cells, turned = grid(board, path=link)

    assert rows_of(turned) == ["u"]
    assert cells["u", "Alpha"].text(strip=True).startswith("1")
    assert "Avg rank" in turned.css_first("tfoot").text()


def test_a_large_matrix_is_shown_in_part_and_exported_whole(small_server):
    small_server.send(*(event for i in range(5) for event in job(f"m{i}", f"d{i % 2}", 0, MSE=i)))
    _, page = grid(small_server)

    assert len(rows_of(page)) == 2
    assert "Page 1 of 3" in page.text()
    assert len(small_server.get(f"{MATRIX}.csv").text.splitlines()) == 6


def test_visitors_do_not_read_why_a_job_failed(board):
    board.store.credentials.set_public("p", is_public=True)
    try:
        cells, _ = grid(board, scope=None)
        plain = board.get(f"{MATRIX}.json", scope=None).text
    finally:
        board.store.credentials.set_public("p", is_public=False)

    assert cells["Delta", "v"].text(strip=True) == "✕ failed"
    assert "boom" not in told(cells["Delta", "v"])
    assert "boom" not in plain


def test_a_matrix_without_results_teaches_and_names_what_hides_everything(server, board):
    server.send(body("batch_start"))
    assert "from argus_core import Reporter" in server.page(MATRIX)
    server.send(body("job_start", "first", model="m", dataset="d", epochs_total=5))
    assert grid(server)[0]["m", "d"].text(strip=True) == "◔ 0 %"

    page = LexborHTMLParser(board.page(f"{MATRIX}?model=nobody"))
    assert "No model passes these filters" in page.text()
    assert page.css_first(".chip").attributes["href"] == MATRIX


@pytest.mark.parametrize("query", ["cell=worst", "rows=random", "transpose=2", "page=9"])
def test_a_view_that_does_not_exist_is_named(board, query):
    answer = board.get(f"{MATRIX}?{query}")

    assert answer.status_code == 400
    assert query in answer.json()["error"]
