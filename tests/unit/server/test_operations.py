"""What whoever runs the server is told: readiness and metrics. The log is that of a process: tests/fault."""

from __future__ import annotations

import time
from contextlib import closing

import pytest
from litestar.testing import TestClient
from prometheus_client.parser import text_string_to_metric_families
from unit.server.wire import body

from argus_server.app import create_app
from argus_server.settings import Settings


def numbers(server) -> dict[str, float]:
    """Return every sample of /metrics by its name and labels, as Prometheus reads them."""
    answer = server.get("/metrics")
    assert answer.status_code == 200
    return {
        sample.name + "".join(f" {value}" for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


# --- ready ------------------------------------------------------------------------------------


def test_a_server_is_ready_until_it_is_asked_to_stop(server):
    assert (server.get("/readyz", scope=None).status_code, server.get("/healthz").status_code) == (200, 200)

    server.client.app.state.readiness.stopping = True

    answer = server.get("/readyz", scope=None)
    assert (answer.status_code, answer.json()["reason"]) == (503, "the server is shutting down")
    assert server.get("/healthz", scope=None).status_code == 200


@pytest.mark.parametrize(("revision", "is_ready"), [("0001", False), (None, False), ("9999", True)])
def test_a_server_is_ready_for_its_tables_and_for_later_ones(server, tmp_path, revision, is_ready):
    import sqlite3

    with closing(sqlite3.connect(tmp_path / "argus.sqlite3", isolation_level=None)) as connection:
        connection.execute("DELETE FROM alembic_version")
        if revision:
            connection.execute("INSERT INTO alembic_version VALUES (?)", [revision])

    answer = server.get("/readyz", scope=None)

    assert (answer.status_code == 200) is is_ready
    assert is_ready or "revision" in answer.json()["reason"]


def test_a_server_whose_database_is_away_lives_is_not_ready_and_asks_to_try_again(postgres):
    database = postgres.new_database()
    with TestClient(create_app(Settings(database=database)), base_url="http://127.0.0.1:8421") as client:
        assert client.get("/readyz").status_code == 200
        token = client.app.state.store.credentials.create_token("admin")
        client.headers["Authorization"] = f"Bearer {token}"

        name = database.partition("?")[0].rpartition("/")[2]
        postgres.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        postgres.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        client.app.state.readiness._answer = (float("-inf"), None)  # nobody has asked for a second
        answer = client.get("/readyz")
        alive = client.get("/healthz")
        page = client.get("/p/p/leaderboard")
        refused = client.post("/api/events", json=body("job_start", "j"))
        postgres.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        client.app.state.readiness._answer = (float("-inf"), None)

        assert (answer.status_code, answer.json()["reason"]) == (503, "the database does not answer")
        assert alive.status_code == 200
        assert client.get("/readyz").status_code == 200
        for busy in (page, refused):
            assert (busy.status_code, busy.headers.get("Retry-After")) == (503, "5")
        assert client.post("/api/events", json=body("job_start", "j")).status_code == 200


# --- metrics ----------------------------------------------------------------------------------


def numbers_after(server, commits: int) -> dict[str, float]:
    """Return the numbers once so many commits are told of, which is a moment after their answers."""
    deadline = time.monotonic() + 20
    while (read := numbers(server))["argus_commit_duration_seconds_count"] < commits:
        assert time.monotonic() < deadline, read
    return read


def test_events_are_counted_by_type_and_by_what_became_of_them(server):
    event = body("job_start", "j")
    server.send(event, body("job_done", "j", metrics={"MSE": 1}), {"nonsense": 1})
    server.send(event)
    server.post("/api/events", json={"nonsense": 1})

    counted = {
        name: value
        for name, value in numbers_after(server, 2).items()
        if name.startswith("argus_events_total")
    }

    assert counted == {
        "argus_events_total accepted job_start": 1,
        "argus_events_total deduplicated job_start": 1,
        "argus_events_total accepted job_done": 1,
        "argus_events_total rejected unknown": 2,
    }


def test_requests_are_counted_by_route_whatever_their_path_and_method(server):
    server.send(body("job_start", "j"))
    before = set(numbers(server))
    for number in range(20):
        server.get(f"/p/nobody-{number}/leaderboard")
        server.get(f"/nowhere/{number}?code={number}")
        server.request(f"METHOD{number}", "/healthz")
        server.request("HEAD", "/p/p/jobs")

    after = numbers(server)

    added = {name for name in set(after) - before if name.startswith("argus_http_requests_total")}
    assert added == {
        "argus_http_requests_total GET /p/{project}/leaderboard 404",
        "argus_http_requests_total GET (none) 404",
        "argus_http_requests_total other (none) 405",
        "argus_http_requests_total HEAD /p/{project}/jobs 200",
        "argus_http_requests_total GET /metrics 200",
    }
    assert after["argus_http_requests_total HEAD /p/{project}/jobs 200"] == 20
    assert after["argus_http_request_duration_seconds_count GET /p/{project}/leaderboard"] == 20
    assert not any("nobody" in name or "METHOD" in name for name in after)


def test_the_writer_the_listeners_and_the_process_are_measured(server):
    server.send(body("job_start", "j"), body("job_epoch", "j", epoch=0))

    read = numbers_after(server, 1)

    assert read["argus_commit_duration_seconds_count"] == read["argus_commit_requests_count"] == 1
    assert read["argus_commit_events_sum"] == 2
    assert read["argus_writer_requests"] == read["argus_writer_bytes"] == read["argus_live_listeners"] == 0
    assert read["process_resident_memory_bytes"] > 10_000_000
    assert server.page("/p/p/leaderboard")
    assert numbers(server)["argus_remembered_bytes"] == server.store.queries.remembered_bytes > 0


def test_two_applications_in_one_process_count_apart(server, tmp_path):
    with TestClient(create_app(Settings(database=str(tmp_path / "other.sqlite3")))):
        server.send(body("job_start", "j"))

    assert numbers(server)["argus_events_total accepted job_start"] == 1
