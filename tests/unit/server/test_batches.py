"""The batches and one batch, as pages and as data."""

import csv
import io

import pytest
from selectolax.lexbor import LexborHTMLParser
from unit.server.wire import body


def sent(kind, job=None, *, host="node-7", **more):
    event = body(kind, job, **more)
    return {**event, "source": {"project": "p", "host": host, "user": "ada", "command": "train.py --x"}}


def events():
    yield sent(
        "batch_start", batch="night", at=1, name="Nightly <b>", n_total_jobs=9, experiment_type="sweep"
    )
    for number in range(4):
        name, label = f"j{number}", {"model": f"m{number % 2}", "dataset": f"d{number // 2}", "seed": 0}
        yield sent("job_start", name, batch="night", at=2 + number, **label)
        yield sent("job_done", name, batch="night", at=20, metrics={"MSE": number}, elapsed_s=18)
    for number in range(7):
        yield sent("job_start", f"f{number}", batch="night", at=9, model="m0", dataset="x", seed=number)
        yield sent("job_failed", f"f{number}", batch="night", at=30, reason=f"OOM: <i>{number}</i> GiB")
    yield sent("batch_start", batch="over", at=0)
    yield sent("batch_failed", batch="over", at=10, reason="disk full", total_elapsed_s=10)
    yield sent("batch_start", batch="a/b", at=5)


@pytest.fixture(scope="module")
def board(make_board):
    """A server that is only read."""
    server = make_board()
    server.send(*events())
    return server


def page(server, path, **more):
    answer = server.get(path, html=True, **more)
    assert answer.status_code == 200, answer.text
    return LexborHTMLParser(answer.text)


def names_of(tree):
    return [row.attributes["data-row"] for row in tree.css("tbody tr")]


def row_of(tree, name):
    (row,) = [row for row in tree.css("tbody tr") if row.attributes.get("data-row") == name]
    return " ".join(row.text().split())


def test_the_list_shows_where_every_batch_stands(board):
    tree = page(board, "/p/p/batches")
    assert names_of(tree) == ["a/b", "night", "over"]
    assert "◔ running" in row_of(tree, "night")
    assert "4/11 done ✕ 7 failed" in row_of(tree, "night")
    assert "Nightly <b>" in row_of(tree, "night")
    assert "node-7" in row_of(tree, "night")
    assert "✕ failed overdisk full 0/0 done" in row_of(tree, "over")
    label = tree.css_first("tr[data-row=night] svg").attributes["aria-label"]
    assert label == "11 jobs: 4 done, 7 failed"
    assert not tree.css("tr[data-row=over] svg")
    assert tree.css_first("nav a[aria-current=page]").text() == "Batches"


def test_the_list_is_filtered_and_paged_by_links(small_server, board):
    assert names_of(page(board, "/p/p/batches?q=NIGHT")) == ["night"]
    assert names_of(page(board, "/p/p/batches?status=failed")) == ["over"]
    assert "No batch passes" in page(board, "/p/p/batches?q=nothing").text()
    assert board.get("/p/p/batches?status=untested").status_code == 400

    small_server.send(*(sent("batch_start", batch=f"b{n}", at=n) for n in range(5)))
    tree = page(small_server, "/p/p/batches")
    assert len(tree.css("tbody tr")) == 2
    assert "Page 1 of 3" in tree.text()
    assert len(small_server.get("/p/p/batches.csv").text.splitlines()) == 6


def test_page_and_exports_agree(board):
    tree = page(board, "/p/p/batches")
    plain = board.get("/p/p/batches.json").json()
    table = list(csv.DictReader(io.StringIO(board.get("/p/p/batches.csv").text, newline="")))
    markdown = board.get("/p/p/batches.md").text

    assert plain == board.get("/api/projects/p/batches").json()
    assert plain["batch_counts"] == {"running": 2, "stalled": 0, "done": 0, "failed": 1}
    assert (
        names_of(tree)
        == [item["batch_id"] for item in plain["batches"]]
        == [row["batch_id"] for row in table]
    )
    for item, row in zip(plain["batches"], table, strict=True):
        assert {name: row[name] for name in item["job_counts"]} == {
            name: str(count) for name, count in item["job_counts"].items()
        }
        assert row["status"] == item["status"]
        assert row["elapsed_s"] == ("" if item["elapsed_s"] is None else repr(item["elapsed_s"]))
        one = board.get(f"/api/projects/p/batches/{item['batch_id'].replace('/', '%2F')}").json()
        assert one == {"project": "p", **item}
    assert "| night | Nightly \\<b\\> | running | 4 | 7 | 11 |" in markdown


def test_a_batch_has_a_page_with_its_progress_failures_matrix_and_jobs(board):
    tree = page(board, "/p/p/batches/night")
    text = " ".join(tree.text().split())

    assert "4 of 11 jobs done" in text
    blocks = tree.css(".blocks a")
    assert len(blocks) == 11
    assert blocks[0].attributes["href"] == "/p/p/jobs/night/j0"
    assert blocks[0].attributes["aria-label"] == "j0: done"
    assert [block.attributes["class"] for block in tree.css(".blocks svg")].count("failed") == 7
    (failure,) = tree.css("section[aria-labelledby=failures-title] tbody tr")
    assert " ".join(failure.text().split()).startswith("7OOM: <i>0</i> GiB")
    assert len(failure.css("a")) == 6
    assert board.page(failure.css("a")[-1].attributes["href"]).count("<tr data-row") == 7
    cells = {
        (row.attributes["data-row"], cell.attributes["data-key"]): cell
        for row in tree.css(".mx tbody tr")
        for cell in row.css("td[data-key]")
    }
    assert cells["m1", "d1"].text(strip=True) == "3n=1"
    assert cells["m0", "x"].text(strip=True) == "✕ failed"
    jobs = board.page(cells["m0", "x"].css_first("a").attributes["href"])
    assert "batch=night" in cells["m0", "x"].css_first("a").attributes["href"]
    assert jobs.count("<tr data-row") == 7
    assert "train.py --x" in text
    links = [link.attributes["href"] for link in tree.css(".links a")]
    assert links == ["/p/p/leaderboard?batch=night", "/p/p/matrix?batch=night", "/p/p/jobs?batch=night"]
    for link in links:
        assert board.get(link, html=True).status_code == 200


def test_a_batch_with_a_hostile_name_or_without_jobs_has_a_page(board):
    assert "No job of this batch has begun" in page(board, "/p/p/batches/a%2Fb").text()
    assert "Nightly <b>" in page(board, "/p/p/batches/night").css_first("h1").text()
    assert "disk full" in page(board, "/p/p/batches/over").css_first(".alert").text()
    assert board.get("/p/p/batches/nobody", html=True).status_code == 404


def test_jobs_that_have_not_begun_are_hollow_blocks(server):
    server.send(sent("batch_start", n_total_jobs=5), sent("job_start", "only"))
    tree = page(server, "/p/p/batches/b")

    assert [block.attributes["class"] for block in tree.css(".blocks svg")] == ["running", *["queued"] * 4]
    assert "4 jobs not begun" in tree.text()


def test_visitors_see_results_and_no_hosts_and_no_words(board):
    board.store.credentials.set_public("p", is_public=True)
    try:
        texts = [
            board.get(f"/p/p/batches{rest}", scope=None, html=not rest.startswith(".")).text
            for rest in ("", "/night", "/over", ".json", ".csv")
        ]
    finally:
        board.store.credentials.set_public("p", is_public=False)

    for text in texts:
        assert "node-7" not in text
        assert "OOM" not in text
        assert "disk full" not in text
        assert "train.py" not in text
    assert "4 of 11" in texts[1]
