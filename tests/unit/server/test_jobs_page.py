"""The list of jobs: filters with counts, search, order, and what it says of those that run or failed."""

import pytest
from selectolax.lexbor import LexborHTMLParser
from unit.server.wire import body

JOBS = "/p/p/jobs"


def sent(kind, job, *, host="h1", **more):
    event = body(kind, job, **more)
    return {**event, "source": {"project": "p", "host": host, "user": "ada"}}


def events():
    for number, (model, dataset, took) in enumerate(
        [("Alpha", "x", 9), ("Alpha", "y", 7), ("Beta", "x", 8), ("Beta", "<i>y</i>", 6)]
    ):
        name, batch = f"job-{number}", f"b{number % 2}"
        labels = {"model": model, "dataset": dataset, "seed": number}
        yield sent("job_start", name, at=number, batch=batch, host=f"h{number % 2}", **labels)
        yield sent(
            "job_done", name, at=20 + number, batch=batch, host=f"h{number % 2}", metrics={}, elapsed_s=took
        )
    yield sent("job_start", "broken", model="Gamma", dataset="x", seed=0)
    yield sent("job_failed", "broken", at=30, reason="no <b>disk</b>")
    yield sent("job_start", "going", at=500, model="Gamma", dataset="x", seed=1, epochs_total=10)
    for number in range(3):
        yield sent("job_epoch", "going", at=560 + 10 * number, epoch=number)


@pytest.fixture(scope="module")
def board(make_board):
    """A server that is only read."""
    server = make_board()
    server.send(*events())
    return server


def page(server, query="", **more):
    answer = server.get(f"{JOBS}{query}", html=True, **more)
    assert answer.status_code == 200, answer.text
    return LexborHTMLParser(answer.text)


def jobs_of(tree):
    return [row.css_first("th a").text() for row in tree.css("#jobs tbody tr")]


def facets_of(tree):
    facets = {}
    for section in tree.css("#filters section"):
        values = {
            item.css_first("a").text().split(" ", 1)[1]: item.css_first("i").text()
            for item in section.css("li")
        }
        facets[section.css_first("h2").text()] = values
    return facets


def test_facets_count_the_jobs_that_pass_the_other_filters(board):
    everything, of_x = facets_of(page(board)), facets_of(page(board, "?dataset=x&status=done"))

    assert everything["model"] == {"Alpha": "2", "Beta": "2", "Gamma": "2"}
    assert everything["dataset"] == {"<i>y</i>": "1", "x": "4", "y": "1"}
    assert everything["batch"] == {"b": "2", "b0": "2", "b1": "2"}
    assert set(everything) == {"model", "dataset", "batch", "seed", "host"}  # one user tells nothing
    assert of_x["model"] == {"Alpha": "1", "Beta": "1"}
    assert of_x["dataset"] == {"<i>y</i>": "1", "x": "2", "y": "1"}


def test_a_facet_is_chosen_added_to_and_taken_back_by_links(board):
    def link(tree, name):
        (found,) = [a for a in tree.css("#filters li a") if a.text().endswith(f" {name}")]
        return found.attributes["href"].removeprefix(JOBS), found.attributes.get("aria-current")

    href, current = link(page(board), "Alpha")
    assert current is None
    one = page(board, href)
    assert sorted(jobs_of(one)) == ["job-0", "job-1"]
    href, _ = link(one, "Beta")
    both = page(board, href)
    assert len(jobs_of(both)) == 4
    href, current = link(both, "Alpha")
    assert current == "true"
    assert sorted(jobs_of(page(board, href))) == ["job-2", "job-3"]
    assert [chip.text().split(" ×")[0] for chip in both.css(".chip")] == ["model: Alpha", "model: Beta"]


def test_text_and_order_are_asked_for_in_one_form(board):
    assert sorted(jobs_of(page(board, "?q=ALPHA"))) == ["job-0", "job-1"]
    assert jobs_of(page(board, "?q=job&sort=longest")) == ["job-0", "job-2", "job-1", "job-3"]
    assert jobs_of(page(board, "?q=job&sort=shortest")) == ["job-3", "job-1", "job-2", "job-0"]
    assert jobs_of(page(board))[0] == "going"
    form = page(board, "?model=Alpha&status=done&sort=oldest").css_first("form[role=search]")
    hidden = [
        (field.attributes["name"], field.attributes["value"]) for field in form.css("input[type=hidden]")
    ]
    assert hidden == [("model", "Alpha"), ("status", "done")]
    assert form.css_first("option[selected]").attributes["value"] == "oldest"
    assert board.get(f"{JOBS}?sort=fastest").status_code == 400


def test_a_job_says_how_far_it_is_and_why_it_failed(board):
    found = page(board).css("tbody tr")
    rows = {row.css_first("th a").text(): " ".join(row.text().split()) for row in found}

    assert "◔ running" in rows["going"]
    assert "3/10 50 s to 4 min left" in rows["going"]
    assert "✕ failed" in rows["broken"]
    assert "no <b>disk</b>" in rows["broken"]


def test_filters_that_hide_everything_are_named_and_removed(board):
    tree = page(board, "?q=nothing")
    (remove, everything) = tree.css(".empty a")

    assert remove.text() == "remove text: nothing"
    assert remove.attributes["href"] == everything.attributes["href"] == JOBS


def test_exports_have_the_jobs_of_the_page(board):
    for query in ("", "?model=Alpha&sort=shortest", "?q=job", "?host=h1&status=done"):
        listed = board.get(f"{JOBS}.json{query}").json()["jobs"]

        assert [job["job_id"] for job in listed] == jobs_of(page(board, query))


def test_visitors_have_no_facets_of_hosts_and_users(board):
    board.store.credentials.set_public("p", is_public=True)
    try:
        tree = page(board, "?host=h1", scope=None)
    finally:
        board.store.credentials.set_public("p", is_public=False)

    assert set(facets_of(tree)) == {"model", "dataset", "batch", "seed"}
    assert len(jobs_of(tree)) == 6
    assert "disk" not in tree.text()
