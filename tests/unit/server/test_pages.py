"""Pages and exports as a reader gets them: over HTTP, and read back."""

import csv
import gzip
import io
import itertools
import json
import re
from html.parser import HTMLParser
from urllib.parse import quote

import anyio.to_thread
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from thorough import examples
from unit.server.wire import body

from argus_core.events import decode_event, jsonable
from argus_server.exports.text import iso_time
from argus_server.pages import filters


def job(name, model="m", dataset="d", seed=0, *, at=0, project="p", **metrics):
    return [
        body(
            "job_start", name, at=at, project=project, model=model, dataset=dataset, seed=seed, epochs_total=4
        ),
        body("job_epoch", name, at=at + 1, project=project, epoch=0, val_loss=0.5, train_loss=0.7),
        body("job_done", name, at=at + 9, project=project, metrics=metrics, elapsed_s=9.5),
    ]


class Page(HTMLParser):
    """The parts of a page that tests look at; every tag and attribute it has."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.cells, self.rows, self.text = [], [], 0, ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if "data-key" in dict(attributes):
            self.cells.append((dict(attributes)["data-key"], dict(attributes)["data-value"]))

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def events():
    """Return the events of a project with every kind of row."""
    sent = []
    for i, model in enumerate(("PatchTST", "DLinear", "LSTM")):
        for dataset in ("ETTh1", "co2"):
            for seed in range(2):
                metrics = {
                    "MSE": 0.1 * (i + 1) + seed / 997,
                    "Latency_P50": 0.0142 * (i + 1),
                    "note": 'a,b"c',
                }
                if model == "LSTM":
                    metrics["MSE"] = "NaN"
                if model == "DLinear":
                    del metrics["Latency_P50"]
                sent += job(f"{model}-{dataset}-{seed}", model, dataset, seed, **metrics)
    sent += [body("job_start", "going", model="TimesNet", dataset="co2", seed=0)]
    sent += [body("job_failed", "broken", at=3, reason="ValueError: <b>boom</b>")]
    return sent


@pytest.fixture
def full(server):
    server.send(*events())
    return server


@pytest.fixture(scope="module")
def board(make_board):
    """The same for all tests that only read it."""
    server = make_board()
    server.send(*events())
    return server


# --- one table, four renderings ---------------------------------------------------------------


@pytest.mark.parametrize(
    "query", ["", "?sort=Latency_P50&order=desc", "?group=cell", "?dataset=co2&sort=model"]
)
def test_page_csv_and_json_agree_cell_by_cell(board, query):
    page = Page(board.page(f"/p/p/leaderboard{query}"))
    rows = list(csv.DictReader(io.StringIO(board.get(f"/p/p/leaderboard.csv{query}").text)))
    plain = board.get(f"/p/p/leaderboard.json{query}").json()
    keys = [column["id"] for column in plain["columns"] if column["kind"] == "metric"]

    from_csv = [(key, row[key]) for row in rows for key in keys]
    from_json = []
    for row in plain["rows"]:
        for key in keys:
            raw = row["cells"].get(key, "")
            raw = raw["mean"] if isinstance(raw, dict) else raw
            from_json.append((key, raw if isinstance(raw, str) else repr(raw)))

    assert page.cells == from_csv == from_json
    assert len(rows) == plain["total"] > 0


def test_markdown_shows_what_the_page_shows(board):
    page, text = Page(board.page("/p/p/leaderboard")), board.get("/p/p/leaderboard.md").text
    plain = board.get("/p/p/leaderboard.json").json()
    lines = [line for line in text.splitlines() if line.startswith("| ")]

    assert len(lines) == plain["total"] + 2
    assert "Latency\\_P50 (ms) ↓" in lines[0]
    for row, line in zip(plain["rows"], lines[2:], strict=True):
        for key in row["best"]:
            assert f"**{row['display'][key]}**" in line
        assert row["display"].get("MSE", "") in page.text


def test_the_api_gives_the_same_json_as_the_page_address(board):
    assert board.get("/api/projects/p/leaderboard").content == board.get("/p/p/leaderboard.json").content


def test_exports_have_every_row_and_the_page_has_one_page(small_server):
    for i in range(5):
        small_server.send(*job(f"j{i}", seed=i, MSE=float(i)))

    assert full_rows(small_server, "") == ["0.0", "1.0"]
    assert full_rows(small_server, "?page=3") == ["4.0"]
    assert len(small_server.get("/p/p/leaderboard.csv").text.split("\r\n")) == 1 + 5 + 1
    assert small_server.get("/p/p/leaderboard?page=4", html=True).status_code == 400
    assert 'rel="next"' in small_server.page("/p/p/leaderboard")


def full_rows(server, query):
    return [value for key, value in Page(server.page(f"/p/p/leaderboard{query}")).cells if key == "MSE"]


# --- the leaderboard page ---------------------------------------------------------------------


def test_clicking_a_header_sorts_best_first_and_again_turns_it_round(server):
    server.send(*job("a", "m1", R2=0.1, MSE=1.0), *job("b", "m2", R2=0.9, MSE=2.0))
    first = header_link(server.page("/p/p/leaderboard"), "R2")
    sorted_page = server.page(first)
    second = header_link(sorted_page, "R2")

    assert [v for k, v in Page(sorted_page).cells if k == "R2"] == ["0.9", "0.1"]
    assert [v for k, v in Page(server.page(second)).cells if k == "R2"] == ["0.1", "0.9"]
    assert 'aria-sort="descending"' in sorted_page


def header_link(page, key):
    from html import unescape

    return unescape(re.search(rf'<th scope="col"[^>]*><a href="([^"]*sort={key}[^"]*)"', page)[1])


def test_the_page_has_what_assistive_technology_needs(board):
    for path in ("/", "/p/p/leaderboard", "/p/p/jobs", "/p/p/jobs/b/broken", "/sign-in"):
        text = board.page(path)
        page = Page(text)

        assert page.all("html")[0]["lang"] == "en"
        assert page.all("a")[0]["href"] == "#main"
        assert len(page.all("h1")) == 1, path
        assert text.count("<caption") == len(page.all("table"))
        assert all("scope" in attributes for attributes in page.all("th"))
    assert "aria-sort" in board.page("/p/p/leaderboard")


def test_pages_carry_no_inline_script_or_style_and_ask_nobody_else(board):
    for path in ("/", "/p/p/leaderboard", "/p/p/jobs", "/p/p/jobs/b/PatchTST-co2-0", "/sign-in"):
        page = Page(board.page(path))

        assert all(script["src"].startswith("/static/") for script in page.all("script"))
        assert not page.all("style")
        assert not any("style" in attributes for _, attributes in page.tags)
        assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
        links = [a.get("href") or a.get("src") or "" for _, a in page.tags]
        assert not [link for link in links if "//" in link]


def test_static_files_are_cached_for_ever_under_their_hash(board):
    (path,) = re.findall(r'href="(/static/argus\.[0-9a-f]+\.css)"', board.page("/"))

    answer = board.get(path, scope=None)

    assert answer.status_code == 200
    assert "immutable" in answer.headers["Cache-Control"]
    assert board.get("/static/argus.css", scope=None).status_code == 404


def test_a_project_without_results_teaches(server):
    server.send(body("batch_start"))
    assert "from argus_core import Reporter" in server.page("/p/p/leaderboard")

    server.send(body("job_start", "j"))
    assert "No job has finished its test yet" in server.page("/p/p/leaderboard")


def test_an_empty_server_teaches(server):
    assert "from argus_core import Reporter" in server.page("/")


def test_filters_that_hide_everything_can_be_removed(board):
    text = board.page("/p/p/leaderboard?model=nobody")

    assert "No done job passes these filters" in text
    assert 'class="chip" href="/p/p/leaderboard"' in text


# --- jobs -------------------------------------------------------------------------------------


def test_jobs_show_status_in_words_progress_and_reason(board):
    text = Page(board.page("/p/p/jobs")).text

    assert "✓ done" in text
    assert "◔ running" in text
    assert "✕ failed" in text
    assert "ValueError: <b>boom</b>" in text
    assert "1/4" in text


def test_a_job_that_was_never_tested_says_so_on_every_page(full):
    full.send(body("batch_done", at=10))

    assert "○ never tested" in Page(full.page("/p/p/jobs?status=untested")).text
    assert "○ never tested" in Page(full.page("/p/p/jobs/b/going")).text
    assert "○ 1 never tested" in Page(full.page("/")).text
    listed = full.get("/api/projects/p/jobs?status=untested").json()
    assert [(job["job_id"], job["status"]) for job in listed["jobs"]] == [("going", "untested")]
    assert listed["job_counts"]["untested"] == 1


def test_a_job_that_was_interrupted_says_so(full):
    full.send(body("job_failed", "stopped", at=3, reason="KeyboardInterrupt", status="interrupted"))

    assert "✕ interrupted" in Page(full.page("/p/p/jobs?status=failed")).text
    assert "✕ interrupted" in Page(full.page("/p/p/jobs/b/stopped")).text
    listed = full.get("/api/projects/p/jobs?status=failed").json()["jobs"]
    assert {job["job_id"]: job["interrupted"] for job in listed} == {"stopped": True, "broken": False}


def test_jobs_can_be_filtered_by_status(board):
    text = board.page("/p/p/jobs?status=failed")

    assert "broken" in text
    assert "PatchTST-co2-0" not in text
    assert board.get("/p/p/jobs?status=lost", html=True).status_code == 400


def test_a_job_has_a_page_with_metrics_and_loss(board):
    text = board.page("/p/p/jobs/b/PatchTST-co2-0")

    assert "Latency_" in text
    assert "0.0142" in text
    assert "<svg" in text
    assert board.get("/p/p/jobs/b/nobody", html=True).status_code == 404


def test_a_page_of_jobs_beyond_the_last_is_refused_by_name(board):
    answer = board.get("/p/p/jobs?page=5", html=True)

    assert answer.status_code == 400
    assert "page=5" in answer.text
    assert "No job passes" in board.page("/p/p/jobs?model=nobody")


# --- headers ----------------------------------------------------------------------------------

ADDRESSES = [
    "/",
    "/sign-in",
    "/p/p/leaderboard",
    "/p/p/leaderboard.csv",
    "/p/p/leaderboard.md",
    "/p/p/leaderboard.json",
    "/p/p/jobs",
    "/p/p/jobs/b/broken",
    "/p/nope",
    "/api/projects",
    "/healthz",
    "/schema",
]


@pytest.mark.parametrize("path", ADDRESSES)
def test_the_head_of_an_answer_is_the_same_without_its_body(board, path):
    whole = board.get(path, html=True)
    head = board.request("HEAD", path, html=True)

    assert (head.status_code, head.content) == (whole.status_code, b"")
    for name in ("content-type", "content-length", "cache-control", "content-security-policy"):
        assert head.headers.get(name) == whole.headers.get(name)


@pytest.mark.parametrize("path", [*ADDRESSES, "/static/{css}"])
def test_the_type_of_an_answer_is_said_once(board, path):
    (css,) = re.findall(r"/static/(argus\.[0-9a-f]+\.css)", board.page("/"))

    assert board.get(path.format(css=css), html=True).headers["content-type"].count("charset") <= 1


def test_head_is_refused_where_get_is(server):
    assert server.request("HEAD", "/api/events").status_code == 405


# --- errors -----------------------------------------------------------------------------------


def test_an_unknown_project_gets_a_helpful_404_page(full):
    full.send(*job("j", project="long-horizon", MSE=1.0))

    answer = full.get("/p/Long-Horison/leaderboard", html=True)

    assert answer.status_code == 404
    assert 'Did you mean <a href="/p/long-horizon/leaderboard">' in answer.text
    assert "Reporter(" in answer.text


@pytest.mark.parametrize(
    "path", ["/api/projects/nope/leaderboard", "/p/nope/leaderboard.json", "/p/nope/jobs"]
)
def test_programs_get_the_404_as_json(board, path):
    answer = board.get(path)

    assert answer.status_code == 404
    assert answer.json()["projects"] == ["p"]


def test_errors_are_pages_for_browsers_and_json_for_programs(server):
    assert "<h1>There is nothing here</h1>" in server.get("/nope", html=True).text
    assert server.get("/nope").json()["status_code"] == 404
    assert server.get("/api/events").json()["status_code"] == 405


def test_a_view_that_does_not_exist_is_named(board):
    answer = board.get("/p/p/leaderboard?group=planet", html=True)

    assert answer.status_code == 400
    assert "group=planet" in answer.text


def test_healthz_and_schema_answer_without_a_token(server):
    assert server.get("/healthz", scope=None).json() == {"status": "ok"}
    schema = server.get("/schema", scope=None).json()
    assert "/api/events/batch" in schema["paths"]


def test_many_open_readers_keep_no_event_out(server):
    held = [server.store._reader.connect() for _ in range(15)]
    try:
        sent = server.post("/api/events", json=body("job_start", "j"))
        page = server.get("/p/p/jobs", html=True)
    finally:
        for connection in held:
            connection.close()

    assert sent.status_code == 200
    assert page.status_code == 503
    assert int(page.headers["Retry-After"]) >= 1
    assert "too many requests wait" in page.text
    assert server.get("/p/p/jobs", html=True).status_code == 200


def test_pages_that_hold_every_thread_keep_no_event_out(server):
    def hold(release):
        limiter = anyio.to_thread.current_default_thread_limiter()
        for i in range(int(limiter.total_tokens)):
            (limiter.release_on_behalf_of if release else limiter.acquire_on_behalf_of_nowait)(("held", i))

    packed = gzip.compress(json.dumps(body("job_start", "j")).encode())
    server.client.blocking_portal.call(hold, False)
    try:
        sent = server.post("/api/events", content=packed, headers={"Content-Encoding": "gzip"})
    finally:
        server.client.blocking_portal.call(hold, True)

    assert sent.status_code == 200


# --- hostile values ---------------------------------------------------------------------------


@given(st.integers(-(2**63), 2**63 - 1))
@example(-(2**63))
@example(2**63 - 1)
def test_any_moment_that_a_database_holds_can_be_written(moment_us):
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z", iso_time(moment_us))
    assert filters.when(moment_us).endswith(" UTC")
    assert filters.ago(moment_us)


def test_a_moment_that_is_stored_already_breaks_no_page(server):
    for at in ("9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"):
        server.store.add_events([decode_event({**body("job_start", at), "timestamp": at})])

    for path in ("/", "/p/p/jobs", f"/p/p/jobs/b/{quote('9999-12-31T23:59:59-14:00')}"):
        server.page(path)
    assert len(server.get("/api/projects/p/jobs").json()["jobs"]) == 2


_VALUES = st.one_of(
    st.floats().map(jsonable).map(lambda pair: pair[0]),
    st.sampled_from([0.5, 5e-324, 1e200, -1e200, 1.7e308, -1.7e308, "NaN", "Infinity", "-Infinity"]),
    st.integers(-(10**400), 10**400),
    st.integers(-(10**20), 10**20),
    st.text(st.characters(codec="utf-8"), max_size=5),
    st.booleans(),
    st.none(),
    st.lists(st.integers(0, 9), max_size=2),
)
_projects = itertools.count()


@given(st.lists(st.dictionaries(st.sampled_from(["MSE", "R2", "Latency_P50", "GPU_Memory", "x"]), _VALUES)))
@example([{"MSE": 1e200}, {"MSE": 0.5}])
@example([{"MSE": 1.7e308}, {"MSE": 1.7e308}])
@settings(
    max_examples=examples(20), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_metrics_are_shown_in_every_format(server, jobs):
    name = f"p{next(_projects)}"
    for i, metrics in enumerate(jobs):
        events = [body("job_start", str(i), project=name, model=f"m{i % 2}", dataset="d", seed=i)]
        events += [body("job_done", str(i), at=1, project=name, metrics=metrics)]
        answer = server.post("/api/events/batch", content=json.dumps(events))
        assert answer.json()["accepted"] == 2
    server.send(body("batch_start", project=name))

    for query in ("", "?group=cell", "?sort=Latency_P50", "?sort=x&group=cell"):
        for path in ("leaderboard", "leaderboard.csv", "leaderboard.json", "leaderboard.md"):
            answer = server.get(f"/p/{name}/{path}{query}", html=path == "leaderboard")
            assert answer.status_code == 200, answer.text
    server.page("/")


def test_one_project_that_cannot_be_ranked_leaves_the_others_their_page(full, monkeypatch, caplog):
    from argus_server.pages import projects

    def broken(*_arguments):
        raise ZeroDivisionError

    monkeypatch.setattr(projects, "leader_in_time", broken)

    assert 'href="/p/p/leaderboard"' in full.page("/")
    assert "'p' cannot be ranked" in caplog.text


# --- hostile names ----------------------------------------------------------------------------

HOSTILE = [
    "<script>alert(1)</script>",
    "\"' onmouseover=alert(1) x='",
    '=HYPERLINK("http://x")',
    "+1+1",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "a|b`c`*d*_e_[f](g)",
    "line\r\nbreak",
    'a,b;"c"',
    "a/b",
    "..",
    ".",
    "~..",
    "%2e%2e%2f",
    "a?b#c&d=e",
    "{{ 7*7 }}",
    "\u202eevil\u0000",
    "é" * 60,
    " ",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_come_back_as_they_were_and_do_nothing(server, name):
    ids = name.replace("\x00", "")[:128]
    event = body("job_start", ids, batch=ids, project=ids, model=name, dataset=name, seed=name)
    done = body("job_done", ids, batch=ids, project=ids, metrics={ids: name, "MSE": -0.5})
    server.send(event, done)
    address = quote("~" + ids if re.fullmatch(r"~*\.{1,2}", ids) else ids, safe="")
    clean = name.replace("\x00", "\ufffd")

    text = server.page(f"/p/{address}/leaderboard")
    page = Page(text)
    (row,) = csv.DictReader(io.StringIO(server.get(f"/p/{address}/leaderboard.csv").text, newline=""))
    markdown = server.get(f"/p/{address}/leaderboard.md").text
    plain = server.get(f"/p/{address}/leaderboard.json").json()

    assert all(script["src"].startswith("/static/") for script in page.all("script"))
    assert not any(attribute.startswith("on") for _, a in page.tags for attribute in a)
    assert dict(page.cells)["MSE"] == row["MSE"] == "-0.5"
    assert row["model"].removeprefix("'") == clean
    assert not row["model"].lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "|"))
    assert plain["rows"][0]["model"] == clean
    table = [line for line in markdown.split("\n") if line.startswith("| ")]
    assert len(table) == 3
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table}) == 1
    assert not re.search(r"(?<!\\)<", markdown)
    for path in (f"/p/{address}/jobs", f"/p/{address}/jobs/{address}/{address}", "/"):
        scripts = Page(server.page(path)).all("script")
        assert all(script["src"].startswith("/static/") for script in scripts)
    links = [a["href"] for a in page.all("a") if "/jobs/" in a.get("href", "")]
    assert server.get(links[0], html=True).status_code == 200


def test_the_projects_page_says_how_each_project_is_doing(full):
    events = [body("job_start", "a", at=500, project="new", model="m", dataset="d", epochs_total=10)]
    events += [body("job_epoch", "a", at=510 + 30 * i, project="new", epoch=i) for i in range(4)]
    full.send(*events, body("batch_start", project="empty"))

    text = full.page("/")
    rows = {row[0]: row[1] for row in re.findall(r'<tr data-row="(\w+)">(.*?)</tr>', text, re.DOTALL)}

    assert set(rows) == {"p", "new", "empty"}
    assert 'aria-label="14 jobs: 12 done, 1 failed, 1 running"' in rows["p"]
    assert "<b>PatchTST</b>" in rows["p"]
    assert "no result yet" in rows["new"]
    assert "in 2 to 3 min" in rows["new"]
    assert "no jobs yet" in rows["empty"]
    assert 'data-live-summary="2 running, 12 done, 1 failed"' in text
    assert "The first result is due in 2 to 3 min" in " ".join(full.page("/p/new/leaderboard").split())


def test_who_may_make_tokens_is_led_to_the_form_filled_in(server):
    server.send(body("batch_start"))
    (link,) = re.findall(r'href="(/tokens\?[^"]+)"', server.page("/p/p/leaderboard"))

    form = server.page(link.replace("&amp;", "&"))

    assert '<option value="report" selected>' in form
    assert 'name="project" value="p"' in form
    assert "Make a token" not in server.get("/p/p/leaderboard", scope="read", html=True).text


def test_the_home_page_is_exported_with_who_leads_each_project(make_server):
    server = make_server()
    assert server.get("/projects.csv").text == "project\r\n"
    assert server.get("/projects.json").json() == {"projects": []}
    server.send(*job("a", "m,1", "d", MSE=0.5), *job("b", "=m2", "d", MSE=0.7), body("job_start", "c"))
    links = {label: path for path, label in re.findall(r'href="(/projects[^"]*)">([^<]*)<', server.page("/"))}

    (row,) = csv.DictReader(io.StringIO(server.get(links["CSV"]).text, newline=""))
    assert (row["project"], row["leaders"], row["metric"], row["value"]) == ("p", "m,1", "MSE", "0.500")
    assert (row["running"], row["done"], row["wins"], row["datasets"]) == ("1", "2", "1", "1")
    (plain,) = server.get(links["JSON"]).json()["projects"]
    assert plain["leader"] == {"models": ["m,1"], "metric": "MSE", "wins": 1, "datasets": 1, "value": "0.500"}
    assert (plain["jobs"]["done"], plain["is_public"]) == (2, False)
    lines = server.get(links["Markdown"]).text.splitlines()
    assert lines[2].startswith("| p | m,1 | MSE | 1 of 1 datasets | 1 | 2 | 0 | 1 | 2026-01-01")


def test_very_long_names_are_written_and_not_remembered():
    from argus_server import urls

    for number in range(3):
        name = f"{number}/x<" + "x" * 100_000
        assert str(filters.breakable(name)).startswith(f"{number}/<wbr>x&lt;x")
        assert urls.segment(name).startswith(f"{number}%2Fx%3Cx")
        assert filters.breakable(name) is not filters.breakable(name)
        assert urls.segment(name) is not urls.segment(name)
    assert filters.breakable("a/b") is filters.breakable("a/b")
    assert urls.segment("a/b") is urls.segment("a/b")
