"""The page of a project's settings, as a browser uses it, and the same over the API."""

import html
import re

import pytest
from selectolax.lexbor import LexborHTMLParser
from unit.server.wire import body

from argus_server.ranking.registry import Correction, MetricSetting, Settings
from argus_server.storage.credentials import Grant

PATH = "/p/p/settings"
ODD = 'a\n"b"\u2028<i>&c'


class Form:
    """The form of the page as a browser fills and sends it."""

    def __init__(self, server, grant, path=PATH, answer=None):
        self.server, self.path = server, path
        if answer is None:
            server.client.cookies.clear()
            server.client.cookies.set("argus_session_8421", server.store.credentials.create_session(grant))
        self.answer = server.get(path, scope=None, html=True) if answer is None else answer
        self.tree = LexborHTMLParser(self.answer.text)
        self.fields = [self.field(node) for node in self.tree.css("form.settings [name]")]

    @staticmethod
    def field(node):
        name = node.attributes["name"]
        if node.tag == "select":
            chosen = node.css_first("option[selected]") or node.css_first("option")
            return [name, chosen.attributes["value"] or ""]
        if node.attributes.get("type") == "checkbox":
            return [name, None]
        return [name, node.attributes.get("value") or ""]

    def fill(self, name, value, row=0):
        found = [field for field in self.fields if field[0] == name]
        found[row][1] = value
        return self

    def options(self, name, row=0):
        return [node.attributes["value"] for node in self.tree.css(f"select[name={name}]")[row].css("option")]

    def send(self):
        data = {}
        for name, value in self.fields:
            if value is not None:
                data.setdefault(name, []).append(value)
        return self.server.request("POST", self.path, scope=None, html=True, data=data)


@pytest.fixture
def filled(server):
    server.send(
        body("job_start", "a", model="m1", dataset="d1"),
        body("job_done", "a", at=1, metrics={"MSE": 0.3, "mse": 0.2, ODD: 1.0}),
        body("job_start", "b", model=ODD, dataset="d2"),
        body("job_done", "b", at=2, metrics={"MSE": 0.1}),
    )
    return server


@pytest.fixture
def form(filled):
    return Form(filled, Grant("admin"))


def row_of(form, key):
    return [html.unescape(node.text()) for node in form.tree.css("tbody th")].index(key)


def test_the_page_lists_every_name_that_was_sent_with_its_range(form):
    rows = {node.css_first("th").text(): node for node in form.tree.css("tbody tr")}

    assert set(rows) == {"MSE", "mse", ODD}
    assert [cell.text() for cell in rows["MSE"].css("td")[6:9]] == ["2", "0.1", "0.3"]


def test_what_is_saved_is_shown_again_and_ranks(form, filled):
    place = row_of(form, "mse")
    form.fill("alias_of", "MSE", place).fill("primary", "mse").fill("baseline", "m1")
    form.fill("label", "Error", row_of(form, "MSE")).fill("direction", "higher", row_of(form, "MSE"))
    form.fill("resolution", "0.01", row_of(form, "MSE")).fill("unit", "m²", row_of(form, "MSE"))

    answer = form.send()

    assert (answer.status_code, answer.headers["Location"]) == (303, "/p/p/settings?saved=1")
    assert filled.store.settings.read("p") == Settings(
        primary="MSE",  # which mse is another name of
        baseline="m1",
        metrics={
            "mse": MetricSetting(alias_of="MSE"),
            "MSE": MetricSetting(direction="higher", unit="m²", label="Error", resolution=0.01),
        },
    )
    again = Form(filled, Grant("admin"), PATH + "?saved=1")
    form.fill("primary", "MSE")
    for name in ("version", "form_token"):
        form.fill(name, dict(again.fields)[name])
    assert again.fields == form.fields
    assert "Saved." in again.answer.text
    assert "Error" in filled.page("/p/p/leaderboard")


def test_names_that_no_form_field_can_hold_travel_whole(form, filled):
    odd = next(text for text in form.options("alias_of", row_of(form, "mse")) if text and text == ODD)
    form.fill("alias_of", odd, row_of(form, "mse"))
    names = [text for name, text in form.fields if name == "model"]
    form.fill("model_label", "shown", names.index(ODD))

    form.send()

    settings = filled.store.settings.read("p")
    assert settings.metrics["mse"].alias_of == ODD
    assert settings.models == {ODD: "shown"}


def test_everything_can_be_taken_back(form, filled):
    filled.store.settings.change(
        "p", lambda _: Settings(metrics={"MSE": MetricSetting(corrections=(Correction(0.001, over=10.0),))})
    )
    form = Form(filled, Grant("admin"))
    assert "values over 10.0 × 0.001" in form.tree.body.text()

    form.send()
    assert filled.store.settings.read("p").metrics["MSE"].corrections

    form = Form(filled, Grant("admin"))
    form.fill("forget", "MSE").send()
    assert filled.store.settings.read("p") == Settings()


def test_a_mistake_changes_nothing_and_is_named(form, filled):
    for name, value, said in (
        ("resolution", "wide", "'wide' is no resolution of 'MSE'"),
        ("default_view", "group=nothing", "group=nothing is not a view"),
        ("alias_of", "MSE", "'MSE' cannot be another name of itself"),
    ):
        tried = Form(filled, Grant("admin"))
        tried.fill(name, value, 0 if name == "default_view" else row_of(tried, "MSE")).fill("primary", "mse")

        answer = tried.send()

        assert answer.status_code == 422
        assert said in html.unescape(answer.text)
        page = LexborHTMLParser(answer.text)
        (wrong,) = page.css("[aria-invalid=true]")
        assert wrong.attributes["name"] == name
        assert said in page.css_first(f"#{wrong.attributes['aria-describedby']}").text()
        assert filled.store.settings.read("p") == Settings()


def test_after_a_mistake_the_form_holds_what_was_typed_and_can_be_sent_mended(form, filled):
    row = row_of(form, "MSE")
    names = [value for name, value in form.fields if name == "model"]
    form.fill("primary", "mse").fill("baseline", ODD.replace("\n", "\r\n")).fill("visibility", "public")
    form.fill("role", "cost", row).fill("direction", "higher", row).fill("unit", "none", row)
    form.fill("label", "error <1>", row).fill("alias_of", "MSE", row_of(form, "mse"))
    form.fill("model_label", "Alpha", names.index("m1")).fill("resolution", "wide", row)

    answer = form.send()
    again = Form(filled, Grant("admin"), answer=answer)

    assert again.fields == [[n, v.replace("\r\n", "\n") if v else v] for n, v in form.fields]
    assert again.fill("resolution", "0.5", row).send().status_code == 303
    settings = filled.store.settings.read("p")
    assert (settings.baseline, settings.models) == (ODD, {"m1": "Alpha"})
    assert settings.metrics["MSE"] == MetricSetting("cost", "higher", "", "error <1>", resolution=0.5)
    assert filled.store.credentials.public_projects() == {"p"}


def test_nothing_is_shown_under_the_name_or_the_label_of_another(form, filled):
    names = [value for name, value in form.fields if name == "model"]
    first, second = names[0], names[1]
    for field, value, row, said in (
        ("model_label", second, 0, "that is another name"),
        ("label", "mse", row_of(form, "MSE"), "that is another name"),
    ):
        tried = Form(filled, Grant("admin"))
        answer = tried.fill(field, value, row).send()
        assert answer.status_code == 422
        (wrong,) = LexborHTMLParser(answer.text).css("[aria-invalid=true]")
        assert wrong.attributes["name"] == field
        assert said in answer.text
    twice = Form(filled, Grant("admin")).fill("model_label", "same", 0).fill("model_label", "same", 1).send()
    assert (twice.status_code, "is shown so" in html.unescape(twice.text)) == (422, True)
    assert filled.store.settings.read("p") == Settings()
    by_json = filled.request("PUT", "/api/projects/p/settings", json={"models": {first: second}})
    assert by_json.status_code == 422
    aliased = Form(filled, Grant("admin"))
    aliased.fill("alias_of", "MSE", row_of(aliased, "mse")).fill("label", "mse", row_of(aliased, "MSE"))
    assert aliased.send().status_code == 303


def test_who_saves_over_somebody_elses_change_is_told(form, filled):
    other = Form(filled, Grant("admin"))
    other.fill("baseline", "m1").send()

    form.fill("form_token", dict(other.fields)["form_token"])
    answer = form.fill("primary", "mse").send()

    assert answer.status_code == 422
    assert "somebody else changed the settings" in answer.text
    assert "saving them replaces" in answer.text
    assert filled.store.settings.read("p") == Settings(baseline="m1")
    again = Form(filled, None, answer=answer)
    assert dict(again.fields)["primary"] == "mse"
    again.send()
    assert filled.store.settings.read("p") == Settings(primary="mse")


def test_a_project_is_opened_and_closed_to_the_public(form, filled):
    form.fill("visibility", "public").send()
    assert filled.store.credentials.public_projects() == {"p"}

    Form(filled, Grant("admin")).fill("visibility", "private").send()
    assert filled.store.credentials.public_projects() == set()


def test_readers_look_and_do_not_touch(filled):
    form = Form(filled, Grant("read"))

    assert form.answer.status_code == 200
    assert form.tree.css("form.settings button") == []
    assert all("disabled" in node.attributes for node in form.tree.css("form.settings select"))
    assert form.send().status_code == 403


def test_a_form_from_elsewhere_is_refused(form):
    assert form.fill("form_token", "x").send().status_code == 403


def test_the_settings_are_json_too(filled):
    path = "/api/projects/p/settings"
    sent = {"primary": "mse", "metrics": {"MSE": {"label": "Error"}}}

    assert filled.request("PUT", path, json=sent).json() == sent
    assert filled.get(path).json() == sent
    assert filled.request("PUT", path, json={"metrics": {"MSE": {"role": "best"}}}).status_code == 422
    assert "is empty" in filled.request("PUT", path).json()["error"]
    assert filled.get(path).json() == sent
    assert filled.request("PUT", path, json={}).json() == {}


def test_the_plain_address_of_a_project_shows_its_default_view(filled):
    assert filled.get("/p/p", html=True).headers["Location"] == "/p/p/leaderboard"

    filled.request("PUT", "/api/projects/p/settings", json={"default_view": "group=cell&sort=mse"})

    answer = filled.get("/p/p", html=True)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/p/p/leaderboard?group=cell&sort=mse")
    assert re.search(r'aria-current="page"', filled.page("/p/p/leaderboard"))


def test_the_board_and_the_matrix_show_the_names_of_the_settings(filled):
    filled.request(
        "PUT", "/api/projects/p/settings", json={"models": {"m1": "Ours"}, "datasets": {"d1": "Day"}}
    )

    for path in ("leaderboard", "leaderboard?group=cell", "leaderboard?group=model", "matrix"):
        page = LexborHTMLParser(filled.page(f"/p/p/{path}"))
        texts = " ".join(node.text(separator=" ") for node in page.css("tbody th, thead th, tbody td"))
        assert "Ours" in texts, path
        assert "Day" in texts or "group=model" in path, path
        assert "m1" not in texts, path
        labels = [box.attributes["aria-label"] for box in page.css("tbody input[name=job]")]
        named = any(label.startswith("Select Ours on Day, seed ") for label in labels)
        assert named == (path == "leaderboard"), path
    assert "m1" in filled.get("/p/p/leaderboard.csv").text


def test_papers_and_sentences_have_the_names_of_the_settings_and_keys_the_raw_ones(server):
    for place, model in enumerate(("m1", "m2", "m3"), 1):
        for dataset in ("d1", "d2"):
            if (model, dataset) != ("m3", "d2"):
                key = model + dataset
                server.send(
                    body("job_start", key, model=model, dataset=dataset),
                    body("job_done", key, at=place, metrics={"MSE": float(place)}),
                )
    names = {"models": {"m1": "Alpha", "m2": "B", "m3": "C"}, "datasets": {"d1": "Day"}, "baseline": "m2"}
    server.request("PUT", "/api/projects/p/settings", json=names)

    cells, models = (f"/p/p/leaderboard.{{}}?group={group}" for group in ("cell", "model"))
    for path in (cells, models):
        for ending in ("md", "tex"):
            text = server.get(path.format(ending)).text
            assert "Alpha" in text
            assert "m1" not in text
    assert "Skill vs B (%)" in server.get(models.format("md")).text
    assert "| C " in server.get(models.format("md")).text
    found = server.get(models.format("json")).json()
    assert "Alpha" in found["verdict"]["text"]
    assert found["verdict"]["leaders"] == [row["model"] for row in found["rows"]][:1] == ["m1"]
    page = LexborHTMLParser(server.page("/p/p/leaderboard?group=cell"))
    assert page.css_first("p.verdict b").text() == "Alpha"
