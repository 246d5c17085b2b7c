"""What a real server writes into its log, and what it never does."""

from __future__ import annotations

import json
import signal

import pytest
import requests
from real_server import RealServer
from unit.server.wire import body


@pytest.fixture
def logging_server(tmp_path):
    """Return a function that runs requests against a real server and returns the lines of its log."""

    def run(act, *options: str) -> list[str]:
        server = RealServer(tmp_path, options=options).start()
        try:
            act(server)
        finally:
            assert server.end(signal.SIGTERM) == 0
        return server.log.read_text().splitlines()

    return run


def test_the_log_has_a_line_for_every_request_and_no_secret(logging_server):
    secrets = []

    def act(server):
        token = server.make_token("admin")
        code = server.sign_in_url.partition("code=")[2]
        secrets.extend([token, code])
        headers = {"Authorization": f"Bearer {token}"}
        event = body("job_start", "j", project="a b\n\u2028c")
        requests.post(f"{server.url}/api/events", json=event, headers=headers, timeout=30)
        requests.get(server.sign_in_url, timeout=30)
        requests.get(f"{server.url}/p/a%20b%0A%E2%80%A8c/leaderboard?x={token}", headers=headers, timeout=30)
        requests.get(f"{server.url}/{token}", headers={"Authorization": "Bearer wrong"}, timeout=30)

    lines = logging_server(act, "--log-format", "json", "--log-level", "info")

    records = [json.loads(line) for line in lines]
    answered = [record for record in records if record["logger"] == "argus_server.access"]
    assert [(r["method"], r["route"], r["status"], r.get("project")) for r in answered][:2] == [
        ("POST", "/api/events", 200, None),
        ("GET", "/sign-in", 303, None),
    ]
    board = next(record for record in answered if record["route"] == "/p/{project}/leaderboard")
    assert (board["status"], board["project"]) == (200, "a b\n\u2028c")
    assert board["ms"] > 0
    assert board["bytes"] > 100
    assert (answered[-1]["route"], answered[-1]["status"]) == ("(none)", 404)
    assert not [line for line in lines for secret in secrets if secret in line]


def test_the_text_log_has_one_line_for_a_request_whatever_a_project_is_called(logging_server):
    def act(server):
        headers = {"Authorization": f"Bearer {server.make_token('admin')}"}
        requests.get(f"{server.url}/p/x%0AERROR%20fake/leaderboard", headers=headers, timeout=30)

    lines = logging_server(act, "--log-level", "info")

    (line,) = (line for line in lines if "argus_server.access" in line)
    assert "method=GET route=/p/{project}/leaderboard status=404 ms=" in line
    assert line.endswith('project="x\\nERROR fake"')


def test_a_server_that_is_not_asked_logs_nothing(logging_server):
    def act(server):
        requests.get(f"{server.url}/healthz", timeout=30)

    assert logging_server(act) == []


def test_an_error_is_logged_with_its_traceback_and_without_the_password_of_the_database(tmp_path, postgres):
    database = postgres.new_database().replace("postgres@", "postgres:hunter2@")
    server = RealServer(tmp_path, database, ["--log-format", "json"])
    token = server.make_token("admin")
    server.start()
    try:
        postgres.execute("ALTER TABLE event RENAME TO gone", database)
        answer = requests.post(
            f"{server.url}/api/events",
            json=body("job_start", "j"),
            headers={"Authorization": f"Bearer {token}"},
            timeout=30,
        )
        postgres.execute("ALTER TABLE gone RENAME TO event", database)
    finally:
        server.end()
    log = server.log.read_text()

    records = [json.loads(line) for line in log.splitlines()]
    assert answer.status_code == 503
    assert any("Traceback" in record.get("exception", "") for record in records)
    assert "hunter2" not in log
    assert token not in log
