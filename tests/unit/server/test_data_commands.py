"""Backups, exports, rebuilding and forgetting, as a person types them."""

import json
import re
import sqlite3

import pytest
from click.testing import CliRunner
from unit.server.wire import body, done, epoch, event, job, start

from argus_core.events import encode_event
from argus_server.data_commands import DATA_COMMANDS
from argus_server.ranking.rank import rank
from argus_server.ranking.view import View
from argus_server.storage.store import open_store


def argus(name, *words, database):
    (command,) = (command for command in DATA_COMMANDS if command.name == name)
    return CliRunner().invoke(command, [*words, "--database", str(database)])


@pytest.fixture
def database(tmp_path, new_sqlite):
    path = tmp_path / "argus.sqlite3"
    store = open_store(new_sqlite(path))
    store.add_events([*job("a", MSE=0.5), epoch("a", 0, val_loss=1.5), event("log_line", "a", line="hello")])
    store.add_events([start("b", project="other"), done("b", project="other", MSE="NaN", odd=[1])])
    store.close()
    return path


def table(path, project="p"):
    store = open_store(str(path))
    with store.queries.board(project, View()) as board:
        found = rank(View(), board)
    store.close()
    return found


def test_an_export_imported_elsewhere_is_the_same_log_and_the_same_leaderboard(database, tmp_path):
    lines = argus("export", database=database).stdout
    (tmp_path / "log.jsonl").write_text(lines)

    taken = argus("import", str(tmp_path / "log.jsonl"), database=tmp_path / "new.sqlite3")
    again = argus("import", str(tmp_path / "log.jsonl"), database=tmp_path / "new.sqlite3")

    assert "6 events: 6 new" in taken.stderr
    assert "6 events: 0 new, 6 known already" in again.stderr
    assert argus("export", database=tmp_path / "new.sqlite3").stdout == lines
    for project in ("p", "other"):
        assert table(tmp_path / "new.sqlite3", project) == table(database, project)


def test_one_project_can_be_exported_and_an_unknown_one_is_named(database):
    lines = argus("export", "--project", "other", database=database).stdout.splitlines()

    assert [json.loads(line)["event_type"] for line in lines] == ["job_start", "job_done"]
    assert "'nobody'" in argus("export", "--project", "nobody", database=database).stderr


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"batch_id": "b\x00"}, "batch_id: a NUL"),
        ({"timestamp": "0001-01-01T00:00:00Z"}, "timestamp: "),
        ({"data": {"metrics": {"m" * 300: 1}}}, "data.metrics: the name"),
    ],
)
def test_an_import_takes_nothing_that_the_server_would_refuse(tmp_path, change, reason):
    lines = [json.dumps(body("job_done", "a", metrics={}) | extra) for extra in ({}, change, {})]
    (tmp_path / "log.jsonl").write_text("\n".join(lines))

    result = argus("import", str(tmp_path / "log.jsonl"), database=tmp_path / "new.sqlite3")

    assert result.exit_code == 1
    assert f"line 2: {reason}" in result.stderr
    assert "2 events: 2 new" in result.stderr


def test_an_import_names_the_lines_that_are_no_events_and_takes_the_others(tmp_path):
    good = encode_event(start("j")).decode()
    (tmp_path / "log.jsonl").write_text(f'{{"argus_journal":1}}\n{good}\n\nnot json\n{{"event_id":"x"}}\n')

    result = argus("import", str(tmp_path / "log.jsonl"), database=tmp_path / "new.sqlite3")

    assert result.exit_code == 1
    assert "line 4" in result.stderr
    assert "line 5" in result.stderr
    assert "1 event: 1 new" in result.stderr


def test_a_backup_is_made_while_the_database_is_written_and_can_be_opened(database, tmp_path):
    store = open_store(str(database))
    store.add_events([start("late")])

    result = argus("backup", str(tmp_path / "copy.sqlite3"), database=database)

    assert "7 events and is sound" in result.stdout
    assert sorted(path.name for path in tmp_path.glob("copy*")) == ["copy.sqlite3"]
    store.close()
    assert table(tmp_path / "copy.sqlite3") == table(database)


def test_a_backup_never_overwrites_and_leaves_nothing_half_done(database, tmp_path):
    (tmp_path / "copy.sqlite3").write_text("precious")

    assert "is there already" in argus("backup", str(tmp_path / "copy.sqlite3"), database=database).stderr
    assert (tmp_path / "copy.sqlite3").read_text() == "precious"
    assert argus("backup", str(tmp_path / "no" / "copy.sqlite3"), database=database).exit_code == 1
    assert list(tmp_path.glob("**/*.part")) == []


def test_rebuilding_repairs_what_was_spoilt(database):
    before = table(database)
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE job SET status = 'failed', standing = 0")
        connection.execute("DELETE FROM job_metric")
    assert table(database) != before

    result = argus("rebuild", database=database)

    assert result.stdout.splitlines() == ["other: made anew from 2 events.", "p: made anew from 4 events."]
    assert table(database) == before


@pytest.mark.parametrize(("what", "left"), [("logs", 3), ("curves", 2), ("jobs", 0)])
def test_old_events_are_forgotten_as_far_as_asked(database, what, left):
    before = table(database)
    words = ("retention", "--project", "p", "--older-than", "1h", "--what", what)

    planned = argus(*words, "--dry-run", database=database)
    assert re.search(rf"p: {4 - left} events? from before \S+Z would be forgotten\.", planned.stdout)
    unsure = argus(*words, database=database)
    assert (unsure.exit_code, "Forget them for good?" in unsure.stdout) == (1, True)
    assert len(argus("export", "--project", "p", database=database).stdout.splitlines()) == 4
    argus(*words, "--yes", database=database)

    assert len(argus("export", "--project", "p", database=database).stdout.splitlines()) == left
    assert len(table(database).rows) == (0 if what == "jobs" else 1)
    if what != "jobs":
        assert table(database) == before
    assert table(database, "other").total == 1


def test_what_was_forgotten_is_shown_no_longer_by_a_server_that_runs(database):
    store = open_store(str(database))
    with store.queries.board("p", View()) as board:
        assert rank(View(), board).total == 1
    version = store.queries.version("p")

    argus("retention", "--project", "p", "--older-than", "1h", "--what", "jobs", "--yes", database=database)

    with store.queries.board("p", View()) as board:
        assert rank(View(), board).total == 0
    assert store.queries.version("p") != version
    store.close()


def test_a_job_that_runs_and_a_young_one_are_kept(database):
    store = open_store(str(database))
    store.add_events([start("runs", batch="c"), epoch("runs", 0, batch="c")])
    store.close()

    argus("retention", "--project", "p", "--older-than", "1h", "--what", "jobs", "--yes", database=database)
    assert len(argus("export", "--project", "p", database=database).stdout.splitlines()) == 2


def test_an_age_that_is_none_is_refused(database):
    result = argus("retention", "--project", "p", "--older-than", "soon", database=database)

    assert result.exit_code == 2
    assert "'soon' is no length of time" in result.stderr


def test_migrating_says_where_a_database_is(database):
    assert re.search(r"is at this version: \d{4}", argus("migrate", database=database).stdout)
