"""The page of a job, and the data of its curves."""

import gzip
import json
import re

import pytest
from selectolax.lexbor import LexborHTMLParser
from unit.server.conftest import Server
from unit.server.wire import body

from argus_server.ranking.registry import MetricSetting, Settings

JOB = "/p/p/jobs/b/PatchTST-0"
SOURCE = {"project": "p", "host": "node-7", "user": "ada", "commit": "c0ffee", "command": "python train.py"}
CONFIG = {
    "lr": 0.1,
    "optimizer": {"name": "<b>adam</b>", "betas": [0.9, 0.99]},
    "warmup": None,
    "plan": [{"at": 5}],
}


def run(name, model, seed, *, at=0, losses=(0.9, 0.5, 0.4), **metrics):
    """Return one job; the last of its losses is its best."""
    return [
        body(
            "job_start", name, at=at, model=model, dataset="ETTh1", seed=seed, epochs_total=4, config=CONFIG
        ),
        *(
            body(
                "job_epoch",
                name,
                at=at + 10 * (i + 1),
                epoch=i,
                val_loss=loss,
                train_loss=loss,
                lr=0.1 / (i + 1),
            )
            for i, loss in enumerate(losses)
        ),
        body("job_done", name, at=at + 60, metrics=metrics, elapsed_s=60.5),
    ]


@pytest.fixture
def full(server) -> Server:
    events = [
        *run("PatchTST-0", "PatchTST", 0, MSE=0.30, R2=0.8, Latency_P50=0.0142, note="x"),
        *run("PatchTST-1", "PatchTST", 1, MSE=0.32, R2=0.9, Latency_P50=0.0152),
        *run("DLinear-0", "DLinear", 0, MSE=0.20, R2=0.7),
        *run("LSTM-0", "LSTM", 0, MSE="NaN"),
        body("log_line", "PatchTST-0", at=5, line="hello <b>log</b>", level="warning"),
    ]
    server.send(*({**event, "source": SOURCE} for event in events))
    return server


def tree(server, path=JOB, **more):
    answer = server.get(path, html=True, **more)
    assert answer.status_code == 200, answer.text
    return LexborHTMLParser(answer.text)


def table(page, caption):
    """Return the rows of the table with this caption: first cell → the others."""
    found = next(item for item in page.css("table") if caption in item.css_first("caption").text())
    return {
        cells[0]: cells[1:]
        for row in found.css("tbody tr")
        if (cells := [" ".join(cell.text().split()) for cell in row.css("th, td")])
    }


def test_each_metric_stands_beside_its_cell_its_seeds_and_the_models_of_its_dataset(full):
    metrics = table(tree(full), "Metrics as reported")

    assert metrics["MSE ↓"] == [
        "0.300",
        "0.310 ± 0.014",
        "2",
        "1 of 2 seeds",
        "2 of 2 models",
    ]  # a NaN has no place
    assert metrics["R2 ↑"] == ["0.800", "0.850 ± 0.071", "2", "2 of 2 seeds", "1 of 2 models"]
    assert metrics["Latency_P50 ms ↓"] == ["14.20", "14.70 ± 0.71", "2", "1 of 2 seeds", "–"]
    assert metrics["note"] == ["x", "x", "–", "–", "–"]


def test_jobs_without_a_model_are_no_model_to_stand_among(server):
    for name, model, value in (("a", "a", 1.0), ("b", "b", 2.0), ("x", None, 0.5)):
        server.send(*run(name, model, 0, MSE=value))

    def among(name):
        return table(tree(server, f"/p/p/jobs/b/{name}"), "Metrics as reported")["MSE ↓"][-1]

    assert (among("a"), among("x")) == ("1 of 2 models", "–")


def test_where_all_are_alike_nobody_is_first(full):
    full.send(*run("PatchTST-2", "PatchTST", 2, MSE=0.32, R2=0.8, Size=7))
    full.send(*run("PatchTST-3", "PatchTST", 3, MSE=0.30, R2=0.8, Size=7))

    metrics = table(tree(full, "/p/p/jobs/b/PatchTST-2"), "Metrics as reported")

    assert metrics["MSE ↓"][3] == "3 of 4 seeds, tied"
    assert metrics["R2 ↑"][3] == "2 of 4 seeds, tied"
    assert metrics["Size"][3] == "–"
    full.send(*run("Other-0", "Other", 0, MAE=1), *run("Other-1", "Other", 1, MAE=1.0))
    assert table(tree(full, "/p/p/jobs/b/Other-1"), "Metrics as reported")["MAE ↓"][3] == "all 2 seeds tied"


def test_a_job_that_is_not_in_its_cell_has_no_place_there(full):
    full.send(*run("again", "PatchTST", 0, at=100, MSE=0.40))
    full.send(body("job_start", "running", model="PatchTST", dataset="ETTh1", seed=2))

    page = tree(full)

    assert table(page, "Metrics as reported")["MSE ↓"] == ["0.300", "0.360 ± 0.057", "2", "–", "–"]
    links = {item.text(strip=True): item.attributes["href"] for item in page.css("nav.seeds a:not(.button)")}
    assert links == {
        "seed 0": "/p/p/jobs/b/again",
        "seed 1": "/p/p/jobs/b/PatchTST-1",
        "seed 2running": "/p/p/jobs/b/running",
    }


def test_the_settings_of_the_project_say_what_a_metric_is(full):
    full.store.settings.change(
        "p",
        lambda _: Settings(
            metrics={"R2": MetricSetting(alias_of="MSE", label="x"), "MSE": MetricSetting(label="Error")}
        ),
    )
    full.send(*run("alias", "GRU", 0, R2=0.25))

    metrics = table(tree(full, "/p/p/jobs/b/alias"), "Metrics as reported")

    assert metrics["Error ↓sent as R2"] == ["0.250", "0.250", "1", "–", "2 of 3 models"]


def test_hyperparameters_are_a_flat_table_with_the_raw_json_beside_it(full):
    page = tree(full)

    assert table(page, "configuration") == {
        "lr": ["0.1"],
        "optimizer.name": ["<b>adam</b>"],
        "optimizer.betas": ["[0.9, 0.99]"],
        "warmup": ["null"],
        "plan.0.at": ["5"],
    }
    assert '"betas": [' in page.css_first("details.raw pre").text()


def test_source_log_and_events_are_shown(full):
    page = tree(full)

    assert [item.text() for item in page.css("dl.facts code")] == ["c0ffee", "python train.py"]
    assert "warning hello <b>log</b>" in " ".join(page.css_first("pre.log").text().split())
    events = table(page, "Kinds of events")
    assert {kind: cells[0] for kind, cells in events.items()} == {
        "job_start": "1",
        "log_line": "1",
        "job_epoch": "3",
        "job_done": "1",
    }


def test_the_log_and_the_source_are_not_for_visitors(full):
    full.store.credentials.set_public("p", is_public=True)

    answer = full.get(JOB, scope=None, html=True)

    assert answer.status_code == 200
    assert "c0ffee" in answer.text
    for secret in ("hello", "node-7", "ada<", "train.py"):
        assert secret not in answer.text
    assert full.get("/api/projects/p/jobs/b/PatchTST-0/epochs", scope=None).status_code == 200


def test_curves_are_drawn_without_javascript_as_the_address_says(full):
    losses = tree(full)
    rates = tree(full, f"{JOB}?curve=lr&curve=val_loss&log=1&axis=time")

    (figure,) = losses.css("figure.figure")
    assert [item.attributes["class"] for item in figure.css("polyline")] == ["slot0", "slot1", "slot2"]
    assert "val_loss ends at 0.4, train_loss ends at 0.4" in figure.css_first("svg title").text()
    assert [item.attributes["data-title"] for item in rates.css("figure.figure")] == ["val_loss", "lr"]
    assert rates.css_first("input[name=log]").attributes.get("checked", "no") is None
    assert "s since the start" in rates.css_first("figcaption").text()
    assert [item.attributes["value"] for item in losses.css("input[name=curve]")] == [
        "train_loss",
        "val_loss",
        "lr",
    ]
    assert full.get(f"{JOB}?axis=moon", html=True).status_code == 400
    assert "None of the metrics in this address" in tree(full, f"{JOB}?curve=nothing").text()


def test_the_epochs_come_as_columns_and_from_any_epoch_on(full):
    full.send(body("job_epoch", "PatchTST-0", at=40, epoch=3, val_loss="NaN", extra={"grad": 2}, text="no"))

    whole = full.get("/api/projects/p/jobs/b/PatchTST-0/epochs").json()
    rest = full.get("/api/projects/p/jobs/b/PatchTST-0/epochs?first=2").json()

    assert whole["epochs"] == [0, 1, 2, 3]
    assert whole["seconds"] == [10.0, 20.0, 30.0, 40.0]
    assert whole["values"]["val_loss"] == [0.9, 0.5, 0.4, "NaN"]
    assert whole["values"]["extra.grad"] == [None, None, None, 2.0]
    assert set(whole["values"]) == {"train_loss", "val_loss", "lr", "extra.grad"}
    assert (whole["attempts"], whole["status"], whole["seed"]) == (1, "done", "0")
    assert (rest["epochs"], rest["values"]["val_loss"]) == ([2, 3], [0.4, "NaN"])
    for text in ("-1", "x", "1e3", "9" * 30):
        assert full.get(f"/api/projects/p/jobs/b/PatchTST-0/epochs?first={text}").status_code == 400


def test_only_pages_with_curves_load_plotly_and_only_by_a_script_of_this_server(full):
    full.send(body("job_start", "no-epochs"))
    page = tree(full)

    scripts = [item.attributes for item in page.css("script")]
    assert {item["type"] for item in scripts} == {"module"}
    assert [
        name for item in scripts if re.fullmatch(name := r"/static/curves\.[0-9a-f]{12}\.js", item["src"])
    ]
    assert page.css_first(".curves").attributes["data-plotly"].startswith("/static/plotly.min.")
    for path in ("/", "/p/p/leaderboard", "/p/p/jobs", "/p/p/jobs/b/no-epochs"):
        assert "plotly" not in full.page(path), path


def test_plotly_is_packed_once_and_kept_for_ever(full):
    path = tree(full).css_first(".curves").attributes["data-plotly"]

    packed = full.client.build_request("GET", path, headers={"Accept-Encoding": "gzip"})
    answer = full.client.send(packed, stream=True)
    raw = b"".join(answer.iter_raw())
    plain = full.get(path, scope=None, headers={"Accept-Encoding": "identity"})

    assert answer.headers["Content-Encoding"] == "gzip"
    assert "immutable" in answer.headers["Cache-Control"]
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert len(raw) < 2_000_000
    assert "Content-Encoding" not in plain.headers
    assert gzip.decompress(raw) == plain.content
    assert b"plotly.js v" in plain.content[:200]


def test_the_figures_say_their_metrics_to_the_script_whatever_they_are_called(server):
    name = "\"><script>alert('1')</script>&amp;"
    server.send(body("job_epoch", "j", epoch=0, **{name: 0.5}))

    page = tree(server, "/p/p/jobs/b/j")

    assert page.css_first("figure").attributes["data-title"] == name
    assert json.loads(page.css_first("figure").attributes["data-keys"]) == [name]
    assert all("src" in item.attributes and not item.text() for item in page.css("script"))
