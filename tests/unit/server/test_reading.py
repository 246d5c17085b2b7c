"""What programs and terminals read of a server: `argus_core.leaderboard` and the commands that ask."""

import csv
import io
import json
import math
import re

import pytest
import requests
from click.testing import CliRunner
from unit.server.running_server import RunningServer
from unit.server.wire import body

import argus_core
from argus_core.cli import cli
from argus_core.errors import ReadError, SettingsError

HOSTILE = "evil\x1b[31m\u202e[bold]x"


@pytest.fixture(scope="module")
def served(tmp_path_factory, new_sqlite, spare_apps):
    server = RunningServer(new_sqlite(tmp_path_factory.mktemp("reading") / "argus.sqlite3"), spare_apps)
    make_token = server.store.credentials.create_token
    server.tokens = {scope: make_token(scope) for scope in ("report", "read", "admin")}
    events = []
    for at, (name, model, dataset, seed, metrics) in enumerate(
        [
            ("j1", "a", "d1", 0, {"MSE": 0.25, "Latency_P50": 0.002}),
            ("j2", "a", "d1", 1, {"MSE": 0.75, "note": "x"}),
            ("j3", HOSTILE, "d1", 0, {"MSE": 0.125}),
            ("j4", "c", "d2", 0, {"MSE": "NaN"}),
            ("j5", "c", "d2", 1, {"mse": 0.5, "rank": 7}),
        ]
    ):
        events.append(body("job_start", name, at=at, model=model, dataset=dataset, seed=seed))
        events.append(body("job_done", name, at=at, metrics=metrics))
    server.send(*events)
    yield server
    server.stop()
    spare_apps.give_back(server.app)


@pytest.fixture
def environment(served, monkeypatch):
    monkeypatch.setenv("ARGUS_URL", served.url + "/")
    monkeypatch.setenv("ARGUS_TOKEN", served.tokens["read"])
    monkeypatch.setenv("ARGUS_PROJECT", "p")


def run(*arguments):
    return CliRunner().invoke(cli, arguments)


def export(served, query=""):
    headers = {"Authorization": f"Bearer {served.tokens['read']}"}
    return requests.get(f"{served.url}/p/p/leaderboard.csv{query}", headers=headers, timeout=30).text


@pytest.mark.parametrize("group", ["job", "cell"])
def test_the_records_are_the_rows_of_the_csv_export_with_equal_keys(served, environment, group):
    records = argus_core.leaderboard(group=group)

    rows = list(csv.DictReader(io.StringIO(export(served, f"?group={group}"), newline="")))
    assert len(records) == len(rows) > 2
    assert {tuple(record) for record in records} == {tuple(records[0])}
    assert set(rows[0]) - {"superseded_by"} <= set(records[0])
    for record, row in zip(records, rows, strict=True):
        assert record["model"] == row["model"].removeprefix("'")
        value = record["MSE"]
        assert row["MSE"] == ("" if value is None else "NaN" if math.isnan(value) else repr(value))


def test_records_keep_raw_values_and_make_floats_of_what_diverged(environment):
    by_job = {record["job_id"]: record for record in argus_core.leaderboard("p")}

    assert by_job["j1"]["Latency_P50"] == 0.002
    assert by_job["j2"]["note"] == "x"
    assert by_job["j3"]["Latency_P50"] is None
    assert math.isnan(by_job["j4"]["MSE"])
    assert (by_job["j5"]["rank"], by_job["j5"]["metric:rank"]) == (None, 7)
    (a, *_) = [r for r in argus_core.leaderboard("p", group="cell") if r["model"] == "a"]
    assert (a["MSE"], a["MSE (n)"], a["MSE (std)"]) == (0.5, 2, pytest.approx(0.3535, abs=1e-4))


def test_a_view_narrows_and_orders_the_records(environment):
    records = argus_core.leaderboard("p", model=["a", "c"], where="MSE<0.5", sort="MSE")

    assert [record["job_id"] for record in records] == ["j1"]


def test_what_cannot_be_read_says_why(served, environment, monkeypatch):
    with pytest.raises(ReadError, match="did you mean p") as error:
        argus_core.leaderboard("P")
    assert error.value.status == 404
    with pytest.raises(ReadError, match="scope read"):
        argus_core.leaderboard("p", token=served.tokens["report"])
    with pytest.raises(ReadError, match="group=x is not a view"):
        argus_core.leaderboard("p", group="x")
    with pytest.raises(ReadError, match="no answer from http"):
        argus_core.leaderboard("p", url="http://127.0.0.1:9")
    monkeypatch.delenv("ARGUS_TOKEN")
    with pytest.raises(ReadError, match="not public"):
        argus_core.leaderboard("p")
    monkeypatch.delenv("ARGUS_URL")
    with pytest.raises(SettingsError, match="ARGUS_URL"):
        argus_core.leaderboard("p")
    with pytest.raises(SettingsError, match="http://"):
        argus_core.leaderboard("p", url="ftp://x")


def test_the_terminal_shows_the_table_and_obeys_no_name(environment):
    result = run("leaderboard", "p")

    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert "MSE ↓" in lines[0]
    assert "Latency_P50 ms ↓" in lines[0]
    assert lines[2].split()[:2] == ["1", "evil�[31m�[bold]x"]
    assert "\x1b" not in result.output
    assert "\u202e" not in result.output
    assert "∅" in lines[2]
    assert "within each dataset" in result.output
    only = run(
        "leaderboard", "p", "--view", "dataset=d1", "--view", "model=a", "--view", "model=c", "-n", "1"
    )
    assert "1 more row." in only.output
    assert json.loads(run("leaderboard", "p", "--json").output)["total"] == 5
    assert "Not quite like the others: " not in result.output
    cells = run("leaderboard", "p", "--group", "cell").output
    assert re.search(r"Not quite like the others: .*single seed \(\d rows?\).*; --json says why\.", cells)
    assert run("leaderboard", "p", "--view", "x").exit_code == 64
    columns = run("leaderboard", "p", "--view", "col=Latency_P50", "--view", "col=nope", "--view", "col=MSE")
    assert " ".join(columns.output.splitlines()[0].split()) == "# Model Dataset Seed Latency_P50 ms ↓ MSE ↓"
    assert "There is no column 'nope'." in columns.output


def test_in_a_terminal_no_line_of_the_table_is_wider_than_it(environment, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    for width in (30, 44, 80):
        monkeypatch.setenv("COLUMNS", str(width))
        output = re.sub("\x1b\\[[0-9;]*m", "", run("leaderboard", "p").output)
        lines = output.splitlines()
        end = next(place for place, line in enumerate(lines) if "than fit here" in line or "Values" in line)
        lines = lines[:end]
        assert max(map(len, lines)) <= width, lines
        assert "0.125" in output
        assert "evil" in output


def test_a_leaderboard_of_what_there_is_not_is_refused_by_name(served, environment):
    for asked, said in (
        ({"metric": "Nope"}, "metric=Nope: no job of this project has reported a metric 'Nope'; there are "),
        ({"dataset": "zz"}, "dataset=zz: no done job of this view has it; there are d1, d2"),
        ({"model": ["a", "zz"]}, "model=zz: "),
        ({"group": "model", "baseline": "zz"}, "baseline=zz: "),
        ({"sort": "Latency_P5"}, "sort=Latency_P5: .*did you mean "),
        ({"where": "Nope<1"}, "where=Nope: "),
        ({"batch": "zz"}, "batch=zz: "),
        ({"banana": 1}, "banana= is no parameter"),
    ):
        with pytest.raises(ReadError, match=said):
            argus_core.leaderboard("p", **asked)
    assert argus_core.leaderboard("p", group="model", sort="win_rate")
    banana = run("leaderboard", "p", "--view", "banana=1")
    assert (banana.exit_code, "banana= is no parameter" in banana.output) == (64, True)
    assert run("leaderboard", "p", "--view", "seed=0", "--sort", "model").exit_code == 0


def test_a_leaderboard_without_a_row_says_why(served, environment):
    reporter = argus_core.Reporter("b", project="broken", url=served.url, token=served.tokens["report"])
    with reporter, pytest.raises(RuntimeError), reporter.job(model="a", dataset="d"):
        raise RuntimeError("x")

    said = run("leaderboard", "broken")
    assert said.output.strip() == "No job has finished its test yet: 1 failed."
    none = run("leaderboard", "p", "--view", "where=MSE>100")
    assert "No done job passes this view; the project has 5 done." in none.output


def test_the_terminal_shows_the_names_of_the_settings_and_records_the_names_as_sent(served, environment):
    for model, dataset in (("m1", "d1"), ("m1", "d2"), ("m2", "d1")):
        reporter = argus_core.Reporter("b", project="named", url=served.url, token=served.tokens["report"])
        with reporter, reporter.job(model=model, dataset=dataset) as job:
            job.done({"MSE": 1.0})
    settings = {"models": {"m1": "Alpha", "m2": "Beta"}, "datasets": {"d2": "Night"}}
    admin = {"Authorization": f"Bearer {served.tokens['admin']}"}
    path = f"{served.url}/api/projects/named/settings"
    assert requests.put(path, json=settings, headers=admin, timeout=30).status_code == 200

    output = run("leaderboard", "named", "--group", "model").output + run("leaderboard", "named").output

    assert "Not ranked: Beta (Night: " in output
    assert not re.search(r"\bm[12]\b|\bd2\b", output)
    assert {row["model"] for row in argus_core.leaderboard("named")} == {"m1", "m2"}


def test_what_is_no_project_has_no_leaderboard(environment):
    assert run("leaderboard", "nobody").exit_code == 64


def test_why_is_answered_in_the_terminal_and_by_its_exit_code(served, environment):
    ranked = run("why", "j1")
    assert ranked.exit_code == 0
    assert ranked.output.splitlines()[-1] == "It ranks 2 among the jobs on d1 by MSE."

    unlike = run("why", "j5", "--batch", "b")
    assert unlike.exit_code == 1
    assert "✕ The job sent “mse”, the board ranks “MSE”." in unlike.output
    assert "  → Send it as “MSE”" in unlike.output
    missing = run("why", "J1")
    assert missing.exit_code == 64
    assert "There is one “j1”." in missing.output
    assert json.loads(run("why", "j4", "--json").output)["ranked"] is False
    assert run("why", "j1", "--url", "http://127.0.0.1:9").exit_code == 3
    nowhere = run("why", "j1", "--project", "nobody")
    assert nowhere.exit_code == 64
    assert "no event has named a project" in nowhere.output
    assert run("why", "J1", "--json").exit_code == 64


def test_why_finds_the_job_in_whatever_project_it_is(served, environment, monkeypatch):
    monkeypatch.delenv("ARGUS_PROJECT")
    report(served, "here", {"only-here": {"MSE": 0.5}, "twice": {"MSE": 0.6}})
    report(served, "there", {"twice": {"MSE": 0.6}})

    assert run("why", "only-here").exit_code == 0
    twice = run("why", "twice")
    assert twice.exit_code == 64
    assert "--project" in twice.output
    assert "here or there" in twice.output or "there or here" in twice.output
    nowhere = run("why", "nobody's job")
    assert nowhere.exit_code == 64
    assert "no project that may be read has a job" in nowhere.output


def report(served, project, jobs):
    reporter = argus_core.Reporter("b", project=project, url=served.url, token=served.tokens["report"])
    with reporter:
        for name, metrics in jobs.items():
            reporter.job(name, model=name, dataset="d", seed=0).done(metrics)


def said_by_the_library(caplog) -> list[str]:
    """Return what the library has logged; the server, in a thread of this process, logs too."""
    return [record.getMessage() for record in caplog.records if record.name.startswith("argus_core")]


def test_who_trained_is_told_at_the_end_which_jobs_have_no_rank_and_why(served, caplog):
    report(served, "told", {"good": {"MSE": 0.5}, "spelt": {"mse": 0.5}, "lost": {"MSE": math.nan}})

    (said,) = said_by_the_library(caplog)
    assert said.startswith("argus: 2 jobs have no rank on the leaderboard. ")
    assert "spelt: The job sent “mse”, the board ranks “MSE”. Send it as “MSE”" in said
    assert "lost: MSE is NaN" in said
    assert "good" not in said


def test_nothing_is_said_of_jobs_that_rank_nor_of_a_server_that_is_away(served, caplog):
    report(served, "fine", {"good": {"accuracy": 0.5}})
    assert not said_by_the_library(caplog)

    away = argus_core.Reporter("b", project="fine", url="http://127.0.0.1:9", flush_timeout_s=1.0)
    with away:
        away.job("x", model="x").done({"mse": 1.0})
    assert not [line for line in said_by_the_library(caplog) if "no rank" in line]


def test_the_gate_answers_by_its_exit_code(served, environment):
    runs = {"old": (0.5, 0.51, 0.49), "same": (0.5, 0.51, 0.49), "worse": (0.9, 0.91, 0.89), "once": (0.1,)}
    reporter = argus_core.Reporter("b", project="gate", url=served.url, token=served.tokens["report"])
    with reporter:
        for model, values in runs.items():
            for seed, value in enumerate(values):
                reporter.job(model=model, dataset="d", seed=seed).done({"MSE": value})

    def gate(model, *more):
        return run("check", "--project", "gate", "--model", model, "--baseline", "old", *more)

    same = gate("same", "--max-regress", "10%")
    assert (same.exit_code, "✓ pass: same is not worse than old by more than 10%" in same.output) == (0, True)
    worse = gate("worse", "--json")
    assert (worse.exit_code, json.loads(worse.output)["verdict"]) == (1, "regression")
    once = gate("once")
    assert once.exit_code == 2
    assert "one seed says nothing" in once.output
    assert gate("same", "--max-regress", "0.0001").exit_code == 2
    nope = gate("same", "--metric", "nope")
    assert (nope.exit_code, "--metric nope: no job" in nope.output) == (64, True)
    margin = gate("same", "--max-regress", "abc")
    assert (margin.exit_code, "--max-regress abc is no margin" in margin.output) == (64, True)
    itself = gate("old")
    assert (itself.exit_code, "apart with --batch or --baseline-batch" in itself.output) == (64, True)
    typo = gate("same", "--baseline-batch", "b")
    assert typo.exit_code == 64
    assert "--baseline-batch b: there is no such batch; its id" in typo.output
    assert f"The latest ids: {reporter.batch_id} (“b”)" in typo.output
    assert run("check", "--project", "nobody", "--model", "m").exit_code == 64
    assert gate("same", "--url", "http://127.0.0.1:9").exit_code == 3
    with argus_core.Reporter("c", project="gate", url=served.url, token=served.tokens["report"]) as later:
        for seed, value in enumerate(runs["old"]):
            later.job(model="old", dataset="d", seed=seed).done({"MSE": value})
    batches = "--batch", later.batch_id, "--baseline-batch", reporter.batch_id
    twice = gate("old", *batches, "--max-regress", "10%")
    assert "old (baseline) ↓" in twice.output
    assert "old is not worse than its baseline by more than 10%" in twice.output
    assert gate("same", "--seeds", "3").exit_code == 64
    assert run("check", "--project", "gate").exit_code == 64
    assert run("chekc").exit_code == 64
    paired = gate("same", "--paired", "--max-regress", "0%")
    assert (paired.exit_code, "+0.00% to +0.00%" in paired.output) == (0, True)
