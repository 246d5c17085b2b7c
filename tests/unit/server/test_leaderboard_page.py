"""What a reader can do with the leaderboard: order, filters, columns; every state is a link."""

import re
from html import unescape
from urllib.parse import parse_qsl, urlsplit

import pytest
from selectolax.lexbor import LexborHTMLParser
from unit.server.wire import body
from unit.server.wire import job as done_job

from argus_server.storage.credentials import Grant

BOARD = "/p/p/leaderboard"


def job(name, model, dataset, seed=0, *, batch="b1", host="h1", at=0, **metrics):
    source = {"project": "p", "host": host, "user": "ada"}
    of_job = {"batch": batch, "at": at}
    events = [
        body("job_start", name, model=model, dataset=dataset, seed=seed, **of_job),
        body("job_done", name, metrics=metrics, **of_job),
    ]
    return [{**event, "source": source} for event in events]


@pytest.fixture(scope="module")
def board(make_board):
    """A server that is only read: two models on two datasets, one model on one of them."""
    server = make_board()
    server.send(
        *job("a1", "Alpha", "x", 0, MSE=0.2, R2=0.8, Latency_P50=0.02),
        *job("a2", "Alpha", "x", 1, MSE=0.2, R2=0.9, Latency_P50=0.03),
        *job("a3", "Alpha", "y", 0, MSE=0.5, R2=0.1, note="ok"),
        *job("b1", "Beta", "x", 0, batch="b2", host="h2", MSE=0.1, R2=0.7),
        *job("b2", "Beta", "y", 0, batch="b2", host="h2", MSE=0.6),
        *job("c1", "Gamma", "x", 10, batch="b2", host="h2", R2=0.95),
    )
    return server


def page(server, query="", **more):
    answer = server.get(f"{BOARD}{query}", html=True, **more)
    assert answer.status_code == 200, answer.text
    return LexborHTMLParser(answer.text)


def jobs_of(tree):
    return [cell.text() for cell in tree.css("table.board td.job")]


def link(tree, selector, text):
    """Return where the one link leads whose words contain this text."""
    found = [node.attributes["href"] for node in tree.css(f"{selector} a") if text in node.text()]
    assert len(found) == 1, found
    return found[0]


def heads(tree):
    return [re.split(r"[\s]", node.text().strip())[0] for node in tree.css("table.board thead th")]


def query_of(path):
    return parse_qsl(urlsplit(path).query)


# --- order ------------------------------------------------------------------------------------


def test_a_board_is_sorted_by_several_columns_and_says_so(board):
    tree = page(board, "?sort=dataset&then=MSE&then=-R2")

    assert jobs_of(tree) == ["b1", "a2", "a1", "c1", "a3", "b2"]
    assert [th.text().split()[0] for th in tree.css("th[aria-sort]")] == ["Dataset"]
    caption = tree.css_first("caption").text()
    assert caption.endswith("sorted by Dataset, ascending, then by MSE, ascending, then by R2, descending")


def test_each_column_of_an_order_can_be_turned_round_and_taken_out_by_a_link(board):
    tree = page(board, "?sort=dataset&then=MSE")

    turned = link(tree, "#order li:nth-child(2)", "turn MSE round")
    assert query_of(turned) == [("sort", "dataset"), ("order", "asc"), ("then", "-MSE")]
    first_gone = link(tree, "#order li:nth-child(1)", "Do not sort by Dataset")
    assert query_of(first_gone) == [("sort", "MSE"), ("order", "asc")]
    assert jobs_of(LexborHTMLParser(board.page(turned)))[:3] == ["a1", "a2", "b1"]


def test_a_form_adds_the_next_column_best_first_and_keeps_the_rest_of_the_view(board):
    tree = page(board, "?q=a&sort=dataset&col=MSE&col=R2")
    form = tree.css_first("#order form")

    offered = {node.text(): node.attributes["value"] for node in form.css("option")}
    hidden = [(n.attributes["name"], n.attributes["value"]) for n in form.css("input[type=hidden]")]
    assert offered == {"Model": "model", "Seed": "seed", "MSE": "MSE", "R2": "-R2"}
    assert hidden == [("sort", "dataset"), ("order", "asc"), ("col", "MSE"), ("col", "R2"), ("q", "a")]


def test_a_click_on_a_header_sorts_by_it_alone(board):
    tree = page(board, "?sort=dataset&then=MSE")

    assert query_of(link(tree, "thead", "R2")) == [("sort", "R2")]
    assert query_of(link(tree, "thead", "Dataset")) == [("sort", "dataset"), ("order", "desc")]


def test_what_ranks_is_named_whatever_the_rows_stand_by(board):
    def chosen(query):
        bar = page(board, query).css_first("form.bar[role=search]")
        select = next(node for node in bar.css("select") if node.parent.text().strip().startswith("Rank by"))
        hidden = {n.attributes["name"]: n.attributes["value"] for n in bar.css("input[type=hidden]")}
        return select.attributes["name"], select.css_first("option[selected]").attributes["value"], hidden

    assert chosen("") == ("sort", "MSE", {})
    assert chosen("?sort=R2&then=model") == ("sort", "R2", {})
    assert chosen("?sort=dataset&order=desc") == ("metric", "MSE", {"sort": "dataset", "order": "desc"})
    assert chosen("?metric=R2&sort=MSE") == ("metric", "R2", {"sort": "MSE"})


# --- filters ----------------------------------------------------------------------------------


def facets_of(tree):
    return {
        section.css_first("h2").text(): {
            li.css_first("a").text()[1:].strip(): li.css_first("i").text() for li in section.css("li")
        }
        for section in tree.css("#filters section")
        if section.css("li")
    }


def test_facets_name_every_value_with_its_number_of_jobs(board):
    facets = facets_of(page(board))

    assert facets == {
        "model": {"Alpha": "3", "Beta": "2", "Gamma": "1"},
        "dataset": {"x": "4", "y": "2"},
        "batch": {"b1": "3", "b2": "3"},
        "seed": {"0": "4", "1": "1", "10": "1"},
        "host": {"h1": "3", "h2": "3"},
    }
    assert facets_of(page(board, "?group=cell")) == facets


def test_a_facet_chooses_and_unchooses_and_values_of_one_add_up(board):
    tree = page(board, "?model=Alpha&sort=MSE")

    both = link(tree, "#filters", "Beta")
    assert query_of(both) == [("sort", "MSE"), ("model", "Alpha"), ("model", "Beta")]
    assert query_of(link(tree, "#filters", "Alpha")) == [("sort", "MSE")]
    assert [a.text().split()[-1] for a in tree.css("#filters a[aria-current]")] == ["Alpha"]
    assert set(jobs_of(LexborHTMLParser(board.page(both)))) == {"a1", "a2", "a3", "b1", "b2"}


def test_every_filter_is_a_chip_that_takes_itself_out(board):
    tree = page(board, "?model=Alpha&dataset=x&where=MSE<0.4&q=a&col=MSE&page=1")

    assert [chip.text().split("×")[0].strip() for chip in tree.css(".chip")] == [
        "model: Alpha",
        "dataset: x",
        "where: MSE<0.4",
        "text: a",
    ]
    assert query_of(link(tree, ".chips", "where: MSE<0.4")) == [
        ("col", "MSE"),
        ("model", "Alpha"),
        ("dataset", "x"),
        ("q", "a"),
    ]
    assert query_of(link(tree, ".chips", "Remove all")) == [("col", "MSE")]


def test_an_empty_board_names_the_filter_that_hides_everything(board):
    tree = page(board, "?dataset=x&where=MSE<0.01&model=Alpha&group=cell")

    told = tree.css_first("#board")
    assert "Without where: MSE<0.01 there are 2 jobs." in told.text()
    assert told.text().count("Without") == 1
    assert query_of(link(tree, "#board", "Remove this filter")) == [
        ("group", "cell"),
        ("model", "Alpha"),
        ("dataset", "x"),
    ]
    several = page(board, "?model=nobody&host=nowhere")
    assert "Nothing comes back with any one of them removed." in several.text()
    by_batch = page(board, "?batch=b1&model=Beta")
    assert "Without model: Beta there are 3 jobs." in by_batch.text()
    assert "Without batch: b1 there are 2 jobs." in by_batch.text()
    assert "Without batch: b9 there are 6 jobs." in page(board, "?batch=b9").text()


def test_a_condition_that_is_none_is_refused_by_name(board):
    answer = board.get(f"{BOARD}?where=fast", html=True)

    assert answer.status_code == 400
    assert "where=fast is no condition; write MSE&lt;0.4" in answer.text


def test_visitors_are_offered_no_host_and_no_user(make_server):
    server = make_server()
    server.send(*job("a", "m", "d", host="h1", MSE=1), *job("b", "m", "e", host="h2", MSE=1))
    server.store.credentials.set_public("p", is_public=True)

    assert "host" in facets_of(page(server))
    assert set(facets_of(page(server, scope=None))) == {"dataset"}


# --- columns ----------------------------------------------------------------------------------


def test_a_view_shows_its_columns_in_its_order_and_the_model_always_first(board):
    tree = page(board, "?col=R2&col=job_id&col=dataset&col=nothing&col=R2")

    assert heads(tree) == ["#", "Model", "Seed", "R2", "Job", "Dataset"]
    assert len(tree.css("table.board tbody tr:first-child > *")) == 6
    assert tree.css_first("#columns summary").text().split() == ["Columns", "5/9"]
    assert heads(page(board, "?group=cell&col=n&col=MSE")) == ["#", "Model", "Dataset", "Jobs", "MSE"]
    assert heads(page(board))[:6] == ["#", "Model", "Dataset", "Seed", "MSE", "R2"]


def test_columns_shape_the_page_and_markdown_and_no_raw_export(board):
    query = "?col=R2&col=dataset"

    markdown = board.get(f"{BOARD}.md{query}").text.splitlines()[0]
    assert markdown == "| # | Model | Seed | R2 ↑ | Dataset |"
    for ending in ("csv", "json"):
        chosen = board.get(f"{BOARD}.{ending}{query}").text
        assert chosen == board.get(f"{BOARD}.{ending}").text
        assert "Latency_P50" in chosen


def test_the_column_form_lists_shown_columns_in_order_and_the_others_by_group(board):
    form = page(board, "?col=R2&col=dataset&sort=MSE&where=MSE<9").css_first("#columns form")

    boxes = [n.attributes for n in form.css("input[name=col]")]
    assert [box["value"] for box in boxes if "checked" in box] == ["R2"]
    shown = [n.attributes["value"] for n in form.css("#shown-columns input[name=col]")]
    assert shown == ["seed", "R2", "dataset"]  # what tells rows apart stays, and is moved like the others
    groups = {
        field.css_first("legend").text(): [n.attributes["value"] for n in field.css("input")]
        for field in form.css("fieldset")[1:]
    }
    assert groups == {
        "quality": ["MSE", "note"],
        "cost": ["Latency_P50"],
        "info": ["val_curve", "job_id"],
    }
    hidden = [(n.attributes["name"], n.attributes["value"]) for n in form.css("input[type=hidden]")]
    assert hidden == [("sort", "MSE"), ("where", "MSE<9.0"), ("col", "seed"), ("col", "dataset")]


def test_a_column_is_moved_by_a_button_without_javascript(board):
    query = "?sort=MSE&col=R2&col=dataset&col=MSE"

    moved = [board.get(f"{BOARD}{query}&{button}", html=True) for button in ("left=dataset", "right=MSE")]
    assert [answer.status_code for answer in moved] == [303, 303]
    left, end = (query_of(unescape(answer.headers["location"].partition("#")[0])) for answer in moved)
    assert left == [("sort", "MSE"), ("col", "dataset"), ("col", "R2"), ("col", "MSE")]
    assert end == query_of(query)  # it was the last already
    assert moved[0].headers["location"].endswith("#columns-list")


def test_a_preset_keeps_what_names_a_row(board):
    tree = page(board)

    assert query_of(link(tree, "#columns", "cost")) == [
        ("col", "dataset"),
        ("col", "seed"),
        ("col", "Latency_P50"),
        ("col", "val_curve"),
        ("col", "job_id"),
    ]
    assert query_of(link(page(board, "?col=R2"), "#columns", "all")) == []


def test_a_seed_that_is_sent_as_a_metric_is_not_shown_twice(make_server):
    server = make_server()
    server.send(body("job_start", "a", model="m", dataset="x", seed=3))
    server.send(body("job_done", "a", metrics={"MSE": 0.1, "seed": 3, "model": 7}))
    server.send(body("job_start", "n", project="q", model="m"))
    server.send(body("job_done", "n", project="q", metrics={"MSE": 0.1, "seed": 3}))

    assert heads(page(server)) == ["#", "Model", "Dataset", "Seed", "MSE", "val", "Job"]
    assert "seed" not in heads(page(server, "?group=cell"))
    assert heads(page(server, "?col=metric:seed")) == ["#", "Model", "Dataset", "Seed", "seed"]
    assert ",metric:seed," in server.get(f"{BOARD}.csv").text.splitlines()[0]
    alone = LexborHTMLParser(server.page("/p/q/leaderboard"))
    assert heads(alone) == ["#", "Model", "Dataset", "Seed", "MSE", "seed", "val", "Job"]


def test_a_page_that_there_is_not_leads_back_to_the_board(make_server):
    server = make_server()
    server.send(body("job_start", "a", project="a/b", model="m", dataset="x", seed=3))

    answer = server.get("/p/a%2Fb/leaderboard?page=999", html=True)

    tree = LexborHTMLParser(answer.text)
    assert answer.status_code == 400
    assert "page=999 is not a page" in tree.css_first("main").text()
    back = tree.css_first("main a").attributes["href"]
    assert server.get(back, html=True).status_code == 200
    assert back == "/p/a%2Fb/leaderboard"


def test_a_count_is_compared_in_no_other_unit(make_server):
    server = make_server()
    server.send(body("job_start", "a", model="m", dataset="x", seed=3))
    server.send(body("job_done", "a", metrics={"MSE": 0.1, "Model_Params": 12, "Latency_P50": 0.002}))

    assert "as they were reported: Latency_P50 in s, not ms." in page(server).css_first("#raw-units").text()


def test_conditions_say_in_which_unit_they_compare(board):
    tree = page(board, "?where=Latency_P50<0.025")

    assert "Latency_P50 in s, not ms." in tree.css_first("#raw-units").text()
    assert "where: Latency_P50<0.025 s" in " ".join(tree.css_first(".chips").text().split())
    empty = page(board, "?where=Latency_P50<0.001")
    assert "where: Latency_P50<0.001 s" in empty.css_first("section.empty").text()


# --- curves -----------------------------------------------------------------------------------


def test_each_row_has_the_curve_of_its_job_and_a_cell_that_of_its_best_seed(make_server):
    server = make_server()
    for seed, losses, mse in ((0, (0.9, 0.5), 0.4), (1, (0.8, 0.2), 0.3), (2, (0.7, 0.6), 0.5)):
        name = f"s{seed}"
        server.send(
            body("job_start", name, model="m", dataset="d", seed=seed),
            *(body("job_epoch", name, at=2, epoch=i, val_loss=loss) for i, loss in enumerate(losses)),
            body("job_done", name, at=9 + seed, metrics={"MSE": mse, "R2": mse, "mine": mse}),
        )

    def curves(query):
        return [svg.attributes["aria-label"] for svg in page(server, query).css("td.curve svg")]

    assert curves("") == [
        f"{first} to {last} in 2 epochs" for first, last in ((0.8, 0.2), (0.9, 0.5), (0.7, 0.6))
    ]
    assert curves("?group=cell") == ["0.8 to 0.2 in 2 epochs"]  # the lowest MSE
    assert curves("?group=cell&sort=R2") == ["0.7 to 0.6 in 2 epochs"]  # the highest R2
    assert curves("?group=cell&sort=mine") == ["0.7 to 0.6 in 2 epochs"]  # the last that finished
    assert curves("?col=MSE") == []


# --- saved views ------------------------------------------------------------------------------


def tabs(tree):
    """Return the saved views: name → where it leads, and whether it is what is shown."""
    found = tree.css("nav.views a.tab")
    return {a.text(): (a.attributes["href"], "aria-current" in a.attributes) for a in found}


def test_a_view_is_saved_opened_made_default_renamed_and_deleted_by_forms(make_server):
    server = make_server()
    server.send(*job("a", "m", "x", MSE=1.0), *job("b", "m", "y", MSE=2.0, R2=0.5))
    secret = server.store.credentials.create_session(Grant("admin"))
    server.client.cookies.set("argus_session_8421", secret)

    def press(tree, form, button, **fields):
        """Submit a form of the page as a browser does."""
        (found,) = (f for f in tree.css("#views form") if f.css("button")[0].text().startswith(form))
        inputs = {n.attributes["name"]: n.attributes.get("value", "") for n in found.css("input")}
        (do,) = (b.attributes["value"] for b in found.css("button") if b.text().startswith(button))
        answer = server.request(
            "POST", "/p/p/views", scope=None, data={**inputs, **fields, "do": do}, html=True
        )
        assert answer.status_code == 303, answer.text
        return LexborHTMLParser(server.get(answer.headers["location"], scope=None, html=True).text)

    shown = page(server, "?dataset=y&sort=R2&order=asc&page=1", scope=None)
    assert tabs(shown) == {}
    saved = press(shown, "Save", "Save", name="  Only <y>  ")
    href = "/p/p/leaderboard?sort=R2&order=asc&dataset=y"
    assert tabs(saved) == {"All jobs": ("/p/p/leaderboard", False), "Only <y>": (href, True)}
    assert jobs_of(saved) == ["b"]
    assert tabs(page(server, scope=None))["Only <y>"] == (href, False)

    default = press(saved, "Rename", "Make default")
    assert "★" in default.css_first("nav.views .tab[aria-current]").text()
    assert server.get("/p/p", scope=None, html=True).headers["location"] == href

    renamed = press(default, "Rename", "Rename", new_name="Y")
    assert "Y" in "".join(tabs(renamed))
    assert tabs(press(renamed, "Rename", "Delete")) == {}


def test_a_view_of_models_is_saved_where_it_is_seen(make_server):
    server = make_server()
    server.send(*job("a", "m", "x", MSE=1.0), *job("b", "n", "x", MSE=2.0))
    server.store.saved_views.save("p", "leaderboard", "Models", "group=model&missing=shared")

    shown = page(server, "?group=model&missing=shared")

    assert tabs(shown)["Models"] == ("/p/p/leaderboard?group=model&missing=shared", True)
    query = shown.css_first("#views input[name=query]").attributes["value"]
    assert query == "group=model&missing=shared"


def test_readers_use_saved_views_and_change_none(make_server):
    server = make_server()
    server.send(*job("a", "m", "x", MSE=1.0))
    server.store.saved_views.save("p", "leaderboard", "Fast", "sort=MSE")
    server.store.saved_views.save("p", "leaderboard", "From h1", "host=h1")
    server.store.credentials.set_public("p", is_public=True)

    reader, visitor = page(server, scope="read"), page(server, scope=None)

    assert list(tabs(reader)) == ["All jobs", "Fast", "From h1"]
    assert list(tabs(visitor)) == ["All jobs", "Fast"]
    assert not reader.css("#views")
    form = {"do": "delete", "page": "leaderboard", "name": "Fast"}
    assert server.request("POST", "/p/p/views", scope="read", data=form).status_code == 403
    assert server.request("POST", "/p/p/views", scope="admin", data=form).status_code == 403  # no form token


def test_what_cannot_be_done_with_a_view_is_said(make_server):
    server = make_server()
    server.send(*job("a", "m", "x", MSE=1.0))
    secret = server.store.credentials.create_session(Grant("admin"))
    server.client.cookies.set("argus_session_8421", secret)
    token = page(server, scope=None).css_first("#views input[name=form_token]").attributes["value"]

    for fields, said in (
        ({"do": "save", "name": "", "page": "leaderboard"}, "is no name for a view"),
        ({"do": "save", "name": "a", "page": "tokens"}, "page=tokens has no saved views"),
        ({"do": "save", "name": "a", "page": "leaderboard", "query": "where=fast"}, "is no condition"),
        ({"do": "default", "name": "gone", "page": "leaderboard"}, "there is no saved view"),
        ({"do": "steal", "name": "a", "page": "leaderboard"}, "do=steal is nothing"),
    ):
        answer = server.request("POST", "/p/p/views", scope=None, data={**fields, "form_token": token})
        assert answer.status_code == 400
        assert said in answer.json()["error"]


# --- cells without a result -------------------------------------------------------------------


def without_result(tree):
    """Return what stands below the means: (model, dataset) → state; and the sentence below it."""
    rows = [
        [cell.text().strip() for cell in row.css("th, td")] for row in tree.css("#without-result tbody tr")
    ]
    told = tree.css_first("#without-result p")
    return {(row[0], row[1]): " ".join(row[2].split()) for row in rows}, told.text() if told else ""


def test_cells_without_a_result_say_why_below_the_means(make_server):
    server = make_server()
    server.send(
        *job("a", "Alpha", "x", MSE=1.0),
        *job("b", "Beta", "y", MSE=2.0),
        body("job_start", "c", model="Alpha", dataset="y", epochs_total=8),
        *(body("job_epoch", "c", at=500 + i, epoch=i, val_loss=0.5) for i in range(5)),
        body("job_start", "d", model="Beta", dataset="z", epochs_total=8),
        body("job_failed", "d", at=5, reason="CUDA <oom>"),
        body("job_start", "e", batch="over", model="Gamma", dataset="x"),
        body("batch_done", batch="over", at=9),
        body("job_start", "f", model="Alpha", dataset="x", seed=9),  # has a result from another seed
    )
    server.store.credentials.set_public("p", is_public=True)

    states, told = without_result(page(server, "?group=cell"))

    assert states == {
        ("Alpha", "y"): "◔ 62 % running",
        ("Beta", "z"): "✕ failed CUDA <oom>",
        ("Gamma", "x"): "○ never tested",
    }
    assert "4 cells never run." in told  # of 3 models on 3 datasets
    assert without_result(page(server, "?group=cell&model=Beta")) == (
        {("Beta", "z"): "✕ failed CUDA <oom>"},
        "— 1 cell never run. See them all in the matrix",
    )
    assert "— 2 cells never run." in without_result(page(server, "?group=cell&q=GAM"))[1]
    assert without_result(page(server)) == ({}, "")
    visitor, _ = without_result(page(server, "?group=cell", scope=None))
    assert visitor["Beta", "z"] == "✕ failed"


def test_a_board_with_every_result_has_nothing_below(board):
    alone = page(board, "?group=cell&model=Alpha")

    assert without_result(alone) == ({}, "")
    assert without_result(page(board, "?group=cell"))[1].startswith("— 1 cell never run.")


def test_the_interval_of_a_mean_stands_where_the_pointer_rests(server):
    for seed, value in enumerate((1.0, 2.0, 3.0)):
        server.store.add_events(done_job(f"j{seed}", "m", "d", seed, MSE=value))
    server.store.add_events(done_job("k", "few", "d", 0, MSE=4.0))

    said = "95 % interval −0.5 to 4.5"
    cells = LexborHTMLParser(server.page("/p/p/leaderboard?group=cell")).css('td[data-key="MSE"]')
    grid = LexborHTMLParser(server.page("/p/p/matrix")).css('td[data-key="d"] a')
    assert [cell.attributes.get("title") for cell in cells] == [f"{said} (Student’s t, n = 3)", None]
    assert [said in cell.attributes["title"] for cell in grid] == [True, False]
