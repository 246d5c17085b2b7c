"""`argus token` and `argus project`, as a shell runs them."""

import re
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from click.testing import CliRunner
from unit.server.wire import start

from argus_server.access_commands import project, token
from argus_server.errors import TokenExpired
from argus_server.lifetimes import read_lifetime
from argus_server.storage.store import open_store


@pytest.fixture
def database(tmp_path):
    return str(tmp_path / "argus.sqlite3")


@pytest.fixture
def run(database):
    def run(group, command, *arguments, code=0):
        result = CliRunner().invoke(group, [command, "--database", database, *arguments])
        assert result.exit_code == code, result.output
        return result

    return run


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90min", 5400), ("12h", 43200), ("30d", 2592000), (" 8W ", 4838400), ("1y", 31536000), ("2 d", 172800)],
)
def test_lengths_of_time_are_read_as_people_type_them(text, seconds):
    assert read_lifetime(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "30", "d", "0d", "-1d", "1.5d", "1month", "6m", "101y", "9" * 30 + "d", "١d"]
)
def test_what_is_no_length_of_time_is_refused(text):
    with pytest.raises(ValueError, match="no length of time"):
        read_lifetime(text)


def test_a_token_that_expires_says_when_and_is_listed_so(run, database):
    made = run(token, "create", "--scope", "read", "--expires", "30d")

    day = (datetime.now(timezone.utc) + timedelta(days=30)).strftime("%Y-%m-%d")
    assert f"until {day}" in made.stderr
    assert f"until {day}" in run(token, "list").stdout

    store = open_store(database)
    now = store.credentials.clock()
    store.credentials.clock = lambda: now + 31 * 86400 * 1_000_000
    with pytest.raises(TokenExpired):
        store.credentials.check_token(made.stdout.strip())
    store.close()


def test_the_list_says_when_a_token_was_used(run, database):
    text = run(token, "create", "--quiet").stdout.strip()
    assert "used never" in run(token, "list").stdout

    store = open_store(database)
    store.credentials.check_token(text)
    store.credentials.write_uses()
    store.close()

    assert re.search(r"used \d{4}-\d\d-\d\d", run(token, "list").stdout)


@pytest.mark.parametrize("expires", ["soon", "0d", "-3d"])
def test_an_end_that_makes_no_sense_makes_no_token(run, database, expires):
    result = run(token, "create", "--expires", expires, code=2)

    assert "30d" in result.output
    assert not Path(database).exists()


def test_a_name_that_no_database_can_keep_is_an_error_and_no_traceback(run):
    assert run(token, "create", "--name", "n" * 300, code=1).output.startswith("Error: the name has 300")


def test_a_project_is_opened_and_closed(run, database):
    store = open_store(database)
    store.add_events([start("j", project="a b/c")])
    store.close()
    assert run(project, "list").stdout == "private  a b/c\n"

    said = run(project, "public", "a b/c").stdout
    assert "not its hosts, users" in said
    assert run(project, "list").stdout == "public   a b/c\n"

    run(project, "private", "a b/c")
    assert run(project, "list").stdout == "private  a b/c\n"


@pytest.mark.parametrize("command", ["public", "private"])
def test_a_project_that_is_not_there_is_named(run, database, command):
    open_store(database).close()

    assert "no event has named a project typo" in run(project, command, "typo", code=1).output


def test_a_database_that_a_token_was_made_for_is_named_and_a_new_one_is_said_to_be_new(run, database):
    first = run(token, "create", "--scope", "report")
    second = run(token, "create", "--scope", "report")

    assert f"on servers with the database {database}" in second.stderr
    assert f"There was no database {database}: it is made." in first.stderr
    assert "There was no database" not in second.stderr
    assert Path(database).stat().st_mode & 0o077 == 0
