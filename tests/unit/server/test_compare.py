"""Jobs side by side: what is compared, what is marked, and the page and exports of it."""

import csv
import io
from urllib.parse import urlencode

import pytest
from selectolax.lexbor import LexborHTMLParser
from unit.server.wire import body

from argus_core.conventions import Convention
from argus_server.ranking.compare import Side, compare, labels
from argus_server.ranking.configuration import settings_table
from argus_server.ranking.registry import NO_SETTINGS, MetricSetting, Settings
from argus_server.ranking.table import MetricKey
from argus_server.urls import job_key, read_job_key


def side(job_id, model="m", dataset="d", seed="0", *, ranks=True, batch="b", config=None, **metrics):
    return Side(batch, job_id, model, dataset, seed, ranks, metrics, settings_table(config))


def rows(sides, *, keys=(), settings=NO_SETTINGS, section="Metrics"):
    found = {item.name: item.rows for item in compare(sides, keys, settings).sections}
    return {row.key: row for row in found[section]}


def best(row):
    return [place for place, cell in enumerate(row.cells) if cell.mark == "best"]


# --- what is compared -------------------------------------------------------------------------


def test_the_best_value_is_marked_by_the_direction_of_its_metric():
    found = rows([side("a", MSE=0.2, R2=0.7, what=1.0), side("b", MSE=0.3, R2=0.9, what=2.0)])

    assert (best(found["MSE"]), best(found["R2"]), best(found["what"])) == ([0], [1], [])


def test_what_is_no_result_is_never_the_best():
    sides = [
        side("nan", MSE="NaN"),
        side("none"),
        side("trial", ranks=False, MSE=0.001),
        side("a", MSE=0.2),
        side("b", MSE=0.3),
    ]

    assert best(rows(sides)["MSE"]) == [3]


def test_values_of_different_datasets_do_not_compete():
    sides = [
        side("a", dataset="x", MSE=1.0),
        side("b", dataset="y", MSE=0.1),
        side("c", dataset="x", MSE=2.0),
    ]

    row = rows(sides)["MSE"]

    assert best(row) == [0]
    assert [cell.change for cell in row.cells] == [None, None, 1.0]


def test_where_all_are_alike_none_is_the_best():
    sides = [side("a", MSE=0.3), side("b", MSE=0.3 * (1 + 1e-12)), side("c", MSE=0.301)]

    assert best(rows(sides[:2])["MSE"]) == []
    assert best(rows(sides)["MSE"]) == [0, 1]
    assert best(rows(sides, settings=Settings(metrics={"MSE": MetricSetting(resolution=0.01)}))["MSE"]) == []


def test_the_project_says_what_a_metric_is_called_and_means():
    settings = Settings(
        metrics={"mse": MetricSetting(alias_of="MSE"), "score": MetricSetting(direction="higher")}
    )
    keys = [
        MetricKey("MSE", 2, setting=settings.metric("MSE")),
        MetricKey("score", 2, Convention("", "lower", "quality"), settings.metric("score")),
    ]

    found = rows([side("a", mse=0.2, score=1.0), side("b", MSE=0.3, score=2.0)], keys=keys, settings=settings)

    assert list(found) == ["MSE", "score"]
    assert (best(found["MSE"]), best(found["score"])) == ([0], [1])


def test_a_setting_differs_if_any_job_has_another_value_or_none():
    configs = [
        {"lr": 0.1, "a": {"b": 1}, "same": [1]},
        {"lr": 0.1, "a": {"b": 2}, "same": [1]},
        {"same": [1]},
    ]

    found = rows([side(str(i), config=config) for i, config in enumerate(configs)], section="Hyperparameters")

    assert {key: row.differs for key, row in found.items()} == {"lr": True, "a.b": True, "same": False}
    assert [cell.raw for cell in found["a.b"].cells] == ["1", "2", None]


@pytest.mark.parametrize(
    ("values", "differs"),
    [((1, 1.0), False), ((True, 1), True), (("NaN", "NaN"), False), (("1", 1), True), (([1], [1]), False)],
)
def test_equal_values_of_a_metric_do_not_differ(values, differs):
    found = rows([side(str(i), x=value) for i, value in enumerate(values)])

    assert found["x"].differs is differs


def test_close_values_are_shown_so_that_they_look_different():
    found = rows([side("a", MSE=0.30001), side("b", MSE=0.30002), side("c", MSE=0.5)])

    assert [cell.text for cell in found["MSE"].cells] == ["0.30001", "0.30002", "0.50000"]


def test_jobs_are_called_by_what_tells_them_apart():
    assert labels([side("a", "X"), side("b", "Y")]) == ["X", "Y"]
    assert labels([side("a", "X", seed="1"), side("b", "Y", seed=None)]) == ["X · seed 1", "Y · no seed"]
    assert labels([side("a"), side("b")]) == ["a", "b"]
    assert labels([side("a", "X"), side("b", "X"), side("c", "Y")]) == ["X · a", "X · b", "Y · c"]
    assert labels([side("a", batch="1"), side("a", batch="2")]) == ["1 / a", "2 / a"]


def test_a_configuration_of_any_shape_is_a_table():
    assert settings_table(None) == settings_table({}) == {}
    assert settings_table("fast") == {"config": "fast"}
    assert settings_table([1, 2]) == {"config": "[1, 2]"}
    assert settings_table({"a": {}, "b": [], "c": None, "d": [{"e": True}]}) == {
        "a": "{}",
        "b": "[]",
        "c": "null",
        "d.0.e": "true",
    }


@pytest.mark.parametrize("batch", ["b", "a/b", "..", "~.", "50%", "a b", "é?&=#"])
def test_any_job_can_be_named_in_a_query(batch):
    assert read_job_key(job_key(batch, batch + "x/y")) == (batch, batch + "x/y")


@pytest.mark.parametrize("text", ["", "b", "/", "b/", "/j", "a/b/c"])
def test_what_is_no_job_is_none(text):
    assert read_job_key(text) is None


# --- page and exports -------------------------------------------------------------------------


@pytest.fixture
def full(server):
    events = []
    for i, model in enumerate(("PatchTST", "DLinear", "a|b <i>")):
        config = {"lr": 0.1 * (i + 1), "optimizer": {"name": "adam"}}
        source = {"project": "p", "host": "node-7", "commit": f"c{i}"}
        events += [
            body("job_start", f"j/{i}", model=model, dataset="co2", seed=0, config=config),
            *(body("job_epoch", f"j/{i}", at=n + 1, epoch=n, val_loss=1 / (n + 1)) for n in range(3)),
            body("job_done", f"j/{i}", at=9, metrics={"MSE": 0.3 - i / 10, "note": "=1+1"}, elapsed_s=9.0),
        ]
        events = [{**event, "source": source} if event["job_id"] == f"j/{i}" else event for event in events]
    server.send(*events)
    return server


def query(*numbers, **more):
    return "?" + urlencode([("job", job_key("b", f"j/{i}")) for i in numbers] + list(more.items()))


def tree(server, path, status=200, **more):
    answer = server.get(path, html=True, **more)
    assert answer.status_code == status, answer.text
    return LexborHTMLParser(answer.text)


def names(page):
    return [item.text(strip=True) for item in page.css("tbody th[scope=row] ") if item.text(strip=True)]


def test_the_page_shows_differences_and_all_of_it_on_request(full):
    page = tree(full, f"/p/p/compare{query(0, 1)}")
    everything = tree(full, f"/p/p/compare{query(0, 1, all=1)}")

    assert names(page) == ["MSE↓", "lr", "model", "commit"]
    assert set(names(everything)) > {"note", "optimizer.name", "host", *names(page)}
    assert [item.text(strip=True) for item in page.css("thead a:not(.drop)")] == ["PatchTST", "DLinear"]
    cells = [item.text(strip=True) for item in page.css("td[data-key=MSE]")]
    assert cells == ["0.300", "0.200−33.3 %"]
    assert page.css_first("td[data-key=MSE] b").text() == "0.200"
    (figure,) = page.css("figure.figure")
    assert [item.attributes["class"] for item in figure.css("polyline")] == ["slot1", "slot2"]


def test_the_exports_have_every_row_with_raw_values(full):
    table = list(csv.reader(io.StringIO(full.get(f"/p/p/compare.csv{query(2, 0)}").text, newline="")))
    plain = full.get(f"/p/p/compare.json{query(2, 0)}").json()
    markdown = full.get(f"/p/p/compare.md{query(2, 0)}").text

    by_name = {(row[0], row[1]): row for row in table}
    assert table[0] == ["section", "name", "direction", "differs", "b/j/2", "b/j/0"]
    assert by_name["Metrics", "MSE"] == ["Metrics", "MSE", "lower", "true", repr(0.3 - 2 / 10), "0.3"]
    assert by_name["Metrics", "note"][4:] == ["'=1+1", "'=1+1"]
    assert by_name["Hyperparameters", "optimizer.name"][3:] == ["false", "adam", "adam"]
    rows = {(section["name"], row["key"]): row for section in plain["sections"] for row in section["rows"]}
    assert set(rows) == set(by_name) - {("section", "name")}
    assert rows["Metrics", "MSE"]["best"] == [0]
    assert [job["label"] for job in plain["jobs"]] == ["a|b <i>", "PatchTST"]
    assert "| MSE ↓ | **0.100** | 0.300 |" in markdown
    assert "a\\|b \\<i\\>" in markdown


def test_one_job_or_none_gets_a_page_to_choose_more_and_nine_to_choose_fewer(full):
    none = tree(full, "/p/p/compare")
    one = tree(full, f"/p/p/compare{query(0)}")
    many = [*query(0, 1, 2)[1:].split("&"), *(f"job=b/x{i}" for i in range(7))]
    full.send(*(body("job_start", f"x{i}") for i in range(7)))
    nine = tree(full, "/p/p/compare?" + "&".join(many), status=400)

    assert len(none.css("input[name=job]")) == 3
    assert [item.attributes["value"] for item in one.css("input[checked]")] == ["b/j%2F0"]
    assert len(one.css("input[name=job]")) == 3
    assert "take 2 of them out" in nine.text()
    assert len(nine.css("input[checked]")) == 10
    for ending in ("csv", "json", "md"):
        assert full.get(f"/p/p/compare.{ending}{query(0)}").status_code == 400
    assert full.get("/p/p/compare?job=nonsense").status_code == 400
    assert full.get("/p/p/compare?job=b/nobody&job=b/j%252F0").status_code == 404


def test_the_list_of_jobs_and_a_job_lead_to_a_comparison(full):
    listed = tree(full, "/p/p/jobs")
    boxes = [item.attributes for item in listed.css("input[name=job]")]
    form = listed.css_first("form#compare").attributes

    assert {box["form"] for box in boxes} == {"compare"}
    address = f"{form['action']}?" + urlencode([("job", box["value"]) for box in boxes])
    assert tree(full, address).css_first("h1").text() == "3 jobs compared"


def test_visitors_compare_results_and_not_where_they_come_from(full):
    full.store.credentials.set_public("p", is_public=True)

    for path in ("compare", "compare.csv", "compare.json", "compare.md"):
        text = full.get(f"/p/p/{path}{query(0, 1, all=1)}", scope=None).text
        assert "node-7" not in text
        assert "c0" in text


def test_a_metric_has_one_unit_on_the_leaderboard_on_a_job_and_beside_others(server):
    events = []
    for number, latency in enumerate((0.002, 0.003, 0.004, 0.005, 1.5, 1.75)):
        name, cell = f"j{number}", f"m{number // 4}"
        events.append(body("job_start", name, model=cell, dataset="d", seed=number))
        events.append(body("job_done", name, metrics={"Latency_P50": latency}))
    server.send(*events)

    def unit(path, selector):
        head = LexborHTMLParser(server.page(path)).css(selector)
        return next(" ".join(n.text().split()) for n in head if "Latency_P50" in n.text())

    board = unit("/p/p/leaderboard", "thead th")
    assert board.startswith("Latency_P50 ms")
    assert unit("/p/p/jobs/b/j5", "#job-metrics tbody th").startswith("Latency_P50 ms")
    assert unit("/p/p/compare?job=b/j4&job=b/j5", "#compared tbody th").startswith("Latency_P50 ms")
