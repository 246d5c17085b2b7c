"""One table, seven renderings: HTML, CSV, JSON, Markdown, LaTeX, the terminal and Python agree cell by cell.

The board has 30 models × 40 datasets with missing, failed, diverged, tied and repeated cells, text where
a number belongs, and names that each format has to quote.
"""

import csv
import io
import json
import random
import re
from urllib.parse import quote

import msgspec
import pytest
from markdown_it import MarkdownIt
from rich.console import Console
from selectolax.lexbor import LexborHTMLParser
from unit.server.wire import event

from argus_core.reading import records
from argus_core.reading_commands import _print_table

MODELS = ["m_1 & co", "m|2 %", "m~3^x", *(f"m{i:02}" for i in range(4, 31))]
DATASETS = ["d#1", "d{2}", *(f"d{i:02}" for i in range(3, 41))]
VIEWS = {
    "job": "",
    "cell": "group=cell",
    "cell-best": "group=cell&seeds=best&sort=R2",
    "model": "group=model",
    "model-shared": "group=model&missing=shared&metric=Latency_P50&baseline=m04",
}


def jobs():
    """Yield the events of the board, always the same."""
    draw = random.Random(20)
    number = 0
    for model in MODELS:
        for dataset in DATASETS:
            whole = model in MODELS[:12]
            if not whole and draw.random() < 0.08:
                continue
            for seed in range(draw.choice((1, 1, 2))):
                number += 1
                labels = {"model": model, "dataset": dataset, "seed": seed}
                yield event("job_start", f"j{number}", at=number % 300, **labels)
                if not whole and draw.random() < 0.05:
                    yield event("job_failed", f"j{number}", at=400, reason="out of memory")
                    continue
                metrics = {"MSE": draw.uniform(0.1, 2.0), "R2": draw.uniform(-1, 1)}
                if dataset in DATASETS[:10]:
                    metrics["MSE"] = round(metrics["MSE"], 1)  # many ties
                if not whole and draw.random() < 0.04:
                    metrics["MSE"] = draw.choice(["NaN", "Infinity", "n/a", True])
                if draw.random() < 0.9:
                    metrics["Latency_P50"] = draw.uniform(0.001, 0.02)
                if draw.random() < 0.2:
                    metrics["Model_Params"] = draw.randrange(10**4, 10**9)
                yield event("job_done", f"j{number}", at=400 + number % 60, metrics=metrics)


@pytest.fixture(scope="module")
def client(make_board):
    server = make_board(page_rows=5000)
    server.store.add_events(list(jobs()))
    server.client.headers["Authorization"] = f"Bearer {server.tokens['read']}"
    return server.client


def plain(text):
    """Return what a cell says: a missing value, a minus and a thousand look different in each format."""
    text = re.sub(r"[\s\u2060]+", " ", text).replace("−", "-").replace("(", "").replace(")", "").strip()
    text = re.sub(r"(?<=\d),(?=\d)", "", text)
    return "" if text in ("∅", "—", "--", "–") else text


# --- each rendering as {row: {column: (text, mark)}} -------------------------------------------


def from_json(found):
    by = "id" if found["view"]["group"] == "model" else "key"
    table = []
    for row in found["rows"]:
        cells = {}
        for column in found["columns"]:
            name = column[by]
            marks = ["b" for key in row.get("best", ()) if key == column["key"]]
            marks += ["u" for key in row.get("second", ()) if key == column["key"]]
            if column["kind"] == "identity":
                cells[column["id"]] = plain(str(row.get(column["key"]) or "—")), ""
            else:
                cells[column["id"]] = plain(row["display"].get(name, "—")), "".join(marks)
        table.append((plain(str(row.get("tier") or row["rank"] or "–")), cells))
    return table


def from_html(text, columns):
    table = []
    for line in LexborHTMLParser(text).css("table tbody tr"):
        cells = {}
        if not line.css("td[data-key]"):
            continue
        for cell in line.css("td[data-key]"):
            mark = "b" if cell.css("b") else "u" if cell.css("u") else ""
            cells[cell.attributes["data-key"]] = plain(cell.text()), mark
        for tag in line.css(".tag, .flag"):
            tag.decompose()
        texts = [cell.text() for cell in line.css("th, td:not([data-key])")]
        table.append((texts, cells))
    return table


def from_markdown(text, columns):
    page = LexborHTMLParser(MarkdownIt("commonmark", {"html": True}).enable("table").render(text))
    for letters in page.css("sup"):
        letters.decompose()
    return from_lines(
        [
            [
                (cell.text(), "b" if cell.css("strong") else "u" if cell.css("u") else "")
                for cell in line.css("td")
            ]
            for line in page.css_first("table").css("tbody tr")
        ],
        columns,
    )


def from_latex(text, columns):
    rows = re.findall(r"^(.*) \\tabularnewline$", text, re.MULTILINE)[1:]
    lines = []
    for row in rows:
        cells = re.split(r"(?<!\\) & ", row)
        lines.append(
            [
                (untexed(cell), "b" if "\\textbf{" in cell else "u" if "\\underline{" in cell else "")
                for cell in cells
            ]
        )
    return from_lines(lines, columns)


def untexed(text):
    text = re.sub(r"\$\^\{\\mathrm\{[a-h]+\}\}\$", "", text)  # letters of flags
    while (bare := re.sub(r"\\(?:textbf|underline|num)\{([^{}]*)\}", r"\1", text)) != text:
        text = bare
    for written, meant in (
        (r"$\pm$", "±"), (r"$\emptyset$", "∅"), (r"$\infty$", "∞"), (r"$\times$", "×"), ("$-$", "-"),
        (r"$^{\dagger}$", "†"), (r"$^{\S}$", "§"), (r"$^{\ddagger}$", "‡"), (r"\textasciitilde{}", "~"),
        (r"\textasciicircum{}", "^"), (r"\textbar{}", "|"), ("--", "–"), ("-{}", "-"),
        ("\\{", "{"), ("\\}", "}"),
    ):  # fmt: skip
        text = text.replace(written, meant)
    return re.sub(r"\\([&%#_$])", r"\1", text)


def from_terminal(found, columns):
    out = io.StringIO()
    _print_table(Console(file=out, width=80, soft_wrap=True, highlight=False), found, None)
    lines = out.getvalue().splitlines()[2 : 2 + len(found["rows"])]
    return from_lines([[(cell, "") for cell in re.split(r"\s{2,}", line.strip())] for line in lines], columns)


def from_lines(lines, columns):
    """Return rows whose first cell is the rank, and the others those of the columns."""
    return [
        (
            plain(line[0][0] or "–"),
            {c["id"]: (plain(text), mark) for c, (text, mark) in zip(columns, line[1:], strict=False)},
        )
        for line in lines
    ]


# --- the comparison ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", VIEWS)
def test_every_rendering_says_the_same_in_every_cell(client, name):
    query = VIEWS[name]
    everything = "&".join([query, *(f"col={quote(c)}" for c in chosen(client, query))])
    found = json.loads(client.get(f"/p/p/leaderboard.json?{query}").text)
    assert client.get(f"/api/projects/p/leaderboard?{query}").json() == found
    columns = found["columns"]
    wanted = from_json(found)
    assert len(wanted) > (1400 if name == "job" else 1000 if "cell" in name else 10)

    page = from_html(
        client.get(f"/p/p/leaderboard?{everything}", headers={"Accept": "text/html"}).text, columns
    )
    assert len(page) == len(wanted)
    for (texts, cells), (rank, known) in zip(page, wanted, strict=True):
        assert plain(texts[0]) == rank
        for column in columns:
            if column["kind"] == "identity":
                assert known[column["id"]][0] in map(plain, texts)
            else:
                assert cells[column["id"]] == known[column["id"]] or unmarked(name, cells, known, column)

    markdown = from_markdown(client.get(f"/p/p/leaderboard.md?{everything}").text, columns)
    latex = from_latex(client.get(f"/p/p/leaderboard.tex?{everything}").text, columns)
    terminal = from_terminal(found, columns)
    for told, by in ((markdown, "Markdown"), (latex[: len(wanted)], "LaTeX"), (terminal, "terminal")):
        assert len(told) == len(wanted), by
        for (rank, cells), (known_rank, known) in zip(told, wanted, strict=True):
            assert rank == known_rank, by
            for column in columns:
                said, meant = cells[column["id"]], known[column["id"]]
                if by == "terminal" or name.startswith("model"):
                    assert said[0] == meant[0], (by, column["id"])
                else:
                    assert said == meant, (by, column["id"])


def chosen(client, query):
    """Return the columns of the JSON, which a page shows only if asked."""
    found = client.get(f"/p/p/leaderboard.json?{query}").json()["columns"]
    return [column["id"] for column in found if column["id"] != "model"]


def unmarked(name, cells, known, column):
    """Whether the cells are equal but for a mark that the JSON of models has elsewhere."""
    return name.startswith("model") and cells[column["id"]][0] == known[column["id"]][0]


@pytest.mark.parametrize("name", VIEWS)
def test_raw_values_are_the_same_in_csv_json_html_and_python(client, name):
    query = VIEWS[name]
    found = client.get(f"/p/p/leaderboard.json?{query}").json()
    everything = "&".join([query, *(f"col={quote(c)}" for c in chosen(client, query))])
    rows = list(csv.DictReader(io.StringIO(client.get(f"/p/p/leaderboard.csv?{query}").text, newline="")))
    page = from_html_raw(client.get(f"/p/p/leaderboard?{everything}", headers={"Accept": "text/html"}).text)
    python = records(found)

    assert len(python) == len(rows)
    for record, row in zip(python, rows, strict=True):
        assert record["model"] == row["model"]
        for column in found["columns"]:
            name_ = column["id"]
            if column["kind"] != "identity":
                assert as_csv(record[name_]) == row[name_] or row[name_] in ("true", "Infinity"), name_
                if f"{name_} (std)" in record:
                    assert as_csv(record[f"{name_} (std)"]) == row[f"{name_} (std)"]
                    assert as_csv(record[f"{name_} (n)"]) == row[f"{name_} (n)"]
        others = record.keys() & row.keys() - {column["id"] for column in found["columns"]} - {"tier"}
        assert {key: as_csv(record[key]) for key in others} == {key: row[key] for key in others}
        assert list(row) == list(record)
    for values, row in zip(page, rows, strict=False):
        for key, value in values.items():
            assert value == row[key], key


def from_html_raw(text):
    lines = LexborHTMLParser(text).css("tbody tr")
    found = [
        {c.attributes["data-key"]: c.attributes["data-value"] for c in line.css("td[data-key]")}
        for line in lines
    ]
    return [values for values in found if values]


def as_csv(value):
    if value is None or isinstance(value, bool):
        return {None: "", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return value
    return "NaN" if value != value else msgspec.json.encode(value).decode()
