"""What a sender is told, and what is stored."""

import gzip
import json
import zlib

import pytest
from unit.server.wire import body

BATCH = "/api/events/batch"


def start(job="j", **more):
    return body("job_start", job, model="m", **more)


def metrics_of(server, job="j"):
    return server.store.queries.job("p", "b", job).metrics


# --- answers ----------------------------------------------------------------------------------


def test_one_event_is_accepted_and_a_repeat_gets_the_same_id(server):
    event = start()

    first = server.post("/api/events", json=event)
    again = server.post("/api/events", json=event)

    assert first.status_code == again.status_code == 200
    assert first.json() == {"accepted": True, "event_id": 1, "deduplicated": False}
    assert again.json() == {"accepted": True, "event_id": 1, "deduplicated": True}


def test_a_malformed_event_is_named_by_field_and_index_and_the_good_ones_are_stored(server):
    good, repeat = start("a"), start("b")
    bad = body("job_epoch", "a", epoch="seven")

    answer = server.post(BATCH, json={"events": [good, bad, repeat, repeat]})

    assert answer.status_code == 200
    told = answer.json()
    assert (told["accepted"], told["rejected"]) == (3, 1)
    assert [item["status"] for item in told["results"]] == [
        "accepted",
        "rejected",
        "accepted",
        "deduplicated",
    ]
    rejected = told["results"][1]
    assert (rejected["status_code"], rejected["index"], rejected["field"]) == (422, 1, "data.epoch")
    assert "'seven'" in rejected["error"]
    assert rejected["event_id"] == bad["event_id"]
    assert server.get("/api/projects/p/jobs").json()["total"] == 2


def test_a_single_malformed_event_gets_a_422_that_names_the_field(server):
    answer = server.post("/api/events", json=body("job_epoch", "j", epoch=-1))

    assert answer.status_code == 422
    assert (answer.json()["field"], answer.json()["index"]) == ("data.epoch", 0)


def test_a_request_without_any_valid_event_gets_a_422_that_names_field_and_index(server):
    answer = server.post(BATCH, json=[{**start(), "batch_id": ""}, 7])

    assert answer.status_code == 422
    assert (answer.json()["field"], answer.json()["index"]) == ("batch_id", 0)
    assert [item["index"] for item in answer.json()["results"]] == [0, 1]


def test_an_empty_list_is_accepted(server):
    assert server.post(BATCH, json=[]).json() == {"accepted": 0, "rejected": 0, "results": []}


@pytest.mark.parametrize("content", [b"", b"{nope", b"\xff\xfe", b"[" * 100_000, b'{"events": 3}', b'"text"'])
def test_what_is_not_json_or_of_another_shape_gets_a_400(server, content):
    answer = server.post(BATCH, content=content)

    assert answer.status_code == 400
    assert answer.json()["error"]


def test_another_schema_version_is_a_415_alone_and_a_rejected_item_in_a_list(server):
    other = {**start(), "schema_version": "2.0"}

    alone, listed = server.post("/api/events", json=other), server.post(BATCH, json=[other, start()])

    assert alone.status_code == 415
    assert listed.status_code == 200
    assert listed.json()["results"][0]["status_code"] == 415


def test_bare_nan_and_infinity_tokens_are_read_stored_and_shown(server):
    done = json.dumps(body("job_done", "j", metrics={"MSE": float("nan"), "MAE": float("-inf")}))
    assert "NaN" in done

    assert server.post("/api/events", content=done).status_code == 200

    assert metrics_of(server) == {"MSE": "NaN", "MAE": "-Infinity"}
    assert server.get("/p/p/leaderboard.json").json()["rows"][0]["display"] == {"MSE": "NaN", "MAE": "−∞"}


# --- bodies -----------------------------------------------------------------------------------


def test_a_gzip_body_is_read(server):
    packed = gzip.compress(json.dumps([start()]).encode())

    answer = server.post(BATCH, content=packed, headers={"Content-Encoding": "gzip"})

    assert answer.json()["accepted"] == 1


def test_a_body_that_expands_too_far_is_refused_before_it_is_held(small_server):
    bomb = gzip.compress(b" " * 5_000_000)

    answer = small_server.post(BATCH, content=bomb, headers={"Content-Encoding": "gzip"})

    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("encoding", "content", "status"),
    [
        ("gzip", b"not gzip", 400),
        ("gzip", gzip.compress(b"[]" * 99, mtime=0)[:-12], 400),
        ("br", b"x", 415),
        ("deflate", zlib.compress(b"[]"), 415),
    ],
)
def test_a_broken_or_unknown_encoding_says_so(server, encoding, content, status):
    answer = server.post(BATCH, content=content, headers={"Content-Encoding": encoding})

    assert answer.status_code == status


def test_a_body_above_the_limit_is_a_413(small_server):
    answer = small_server.post(BATCH, content=b" " * 30_000)

    assert answer.status_code == 413
    assert answer.json()["status_code"] == 413


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"metrics": {"x" * 21: 1}}, "data.metrics"),
        ({"metrics": {f"k{i}": 1 for i in range(6)}}, "data.metrics"),
        ({"metrics": {}, "train_epochs": 2**60}, "data.train_epochs"),
        ({"metrics": {}, "deep": json.loads("[" * 60 + "]" * 60)}, "data"),
    ],
)
def test_an_event_beyond_the_limits_is_named_by_its_field(small_server, data, field):
    answer = small_server.post("/api/events", json=body("job_done", "j", **data))

    assert answer.status_code == 422
    assert answer.json()["field"] == field


@pytest.mark.parametrize(
    "timestamp",
    [
        "9999-12-31T23:59:59-14:00",
        "9999-01-01T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "1970-01-01T00:00:00+01:00",
        "0001-01-01T00:00:00+14:00",
    ],
)
def test_a_time_that_no_clock_shows_is_refused_by_name(server, timestamp):
    answer = server.post("/api/events", json={**start(), "timestamp": timestamp})

    assert (answer.status_code, answer.json()["field"]) == (422, "timestamp")


@pytest.mark.parametrize("timestamp", ["1970-01-01T00:00:00Z", "9998-12-31T23:59:59Z"])
def test_the_first_and_the_last_time_that_is_taken_can_be_shown(server, timestamp):
    server.send({**start(), "timestamp": timestamp})

    assert timestamp in server.page("/")
    assert timestamp in server.page("/p/p/jobs")


def test_a_nul_in_an_id_is_refused(server):
    answer = server.post("/api/events", json=start("a\x00b"))

    assert (answer.status_code, answer.json()["field"]) == (422, "job_id")


def test_huge_numbers_are_kept_and_never_rank(server):
    done = json.dumps(body("job_done", "j", metrics={"MSE": 0})).replace('"MSE": 0', '"MSE": 1' + "0" * 400)

    assert server.post("/api/events", content=done).status_code == 200

    row = server.get("/p/p/leaderboard.json").json()["rows"][0]
    assert row["rank"] is None


def test_what_cannot_be_told_of_ranks_takes_nothing_from_the_answer(server, tmp_path, caplog):
    from argus_server.storage.store import open_store

    empty = open_store(str(tmp_path / "empty.sqlite3"))
    server.client.app.state.store.queries = empty.queries  # which know no project

    results = server.send(body("job_done", "j", metrics={"MSE": 0.5}))
    empty.close()

    assert [result["status"] for result in results] == ["accepted"]
    assert "jobs are not told whether they rank" in caplog.text


def test_a_sender_who_was_here_before_gets_the_answers_that_it_got_at_first(make_server):
    """What is answered without the framework is answered as the framework does, to the last header."""
    from argus_server.settings import Limits

    server = make_server(limits=Limits(body_bytes=50_000, expanded_bytes=60_000))
    good, bad = start("a"), body("job_epoch", "a", epoch="seven")
    nan = json.dumps(body("job_done", "n", metrics={"MSE": float("nan")})).encode()
    both = json.dumps([good, bad, body("job_done", "x", metrics={"MAE": 1})]).encode()
    requests = [
        ("/api/events", json.dumps(good).encode(), {}),
        ("/api/events", nan, {}),
        ("/api/events", json.dumps(bad).encode(), {}),
        ("/api/events", json.dumps({**good, "schema_version": "2.0"}).encode(), {}),
        ("/api/events", b"{nope", {}),
        ("/api/events", b"", {}),
        ("/api/events", json.dumps(start("other", project="elsewhere")).encode(), {}),
        (BATCH, both, {}),
        (BATCH, gzip.compress(both), {"Content-Encoding": "gzip"}),
        (BATCH, gzip.compress(b" " * 70_000), {"Content-Encoding": "gzip"}),
        (BATCH, both, {"Content-Encoding": "br"}),
        (BATCH, b"[" + nan + b"]", {}),
        (BATCH, json.dumps([bad]).encode(), {}),
        (BATCH, b'{"events": 3}', {}),
        (BATCH, b" " * 50_001, {}),
        (BATCH, b"[]", {}),
    ]
    for path, content, headers in requests:
        server.post(path, content=content, headers=headers)
        token = server.store.credentials.create_token("report", "p")

        first, again = (server.post(path, content=content, headers=headers, scope=token) for _ in range(2))

        assert again.status_code == first.status_code, content[:80]
        assert again.content == first.content
        assert again.headers == first.headers
    counted = server.get("/metrics").text
    assert 'argus_http_requests_total{method="POST",route="/api/events/batch",status="200"}' in counted
    assert 'route="(none)"' not in counted


@pytest.mark.parametrize(
    ("names", "status"),
    [
        ([("Content-Encoding", "gzip"), ("Content-Encoding", "gzip")], 200),
        ([("Content-Encoding", "gzip"), ("Content-Encoding", "identity")], 200),
        ([("Content-Encoding", "identity"), ("Content-Encoding", "gzip")], 400),
        ([("Content-Encoding", "gzip"), ("Host", "a b")], 400),
    ],
)
def test_an_odd_head_is_answered_alike_however_often_it_comes(server, names, status):
    content = gzip.compress(json.dumps(body("job_start", "j")).encode(), mtime=0)
    token = server.store.credentials.create_token("report")
    headers = [("Authorization", f"Bearer {token}"), ("Content-Length", str(len(content))), *names]
    scope = {"type": "http", "http_version": "1.1", "method": "POST", "scheme": "http", "query_string": b""}
    scope |= {"path": "/api/events", "raw_path": b"/api/events", "client": ("::1", 1), "server": ("::1", 2)}
    scope["headers"] = [(name.lower().encode(), value.encode()) for name, value in headers]
    statuses = []

    async def receive():
        return {"type": "http.request", "body": content, "more_body": False}

    async def send(message):
        statuses.extend([message["status"]] if "status" in message else [])

    with server.client.portal() as portal:  # the client itself makes one header of two
        portal.call(server.client.app, dict(scope), receive, send)
        server.get("/api/token", scope=token)
        portal.call(server.client.app, dict(scope), receive, send)

    assert statuses == [status] * 2


# --- the writer -------------------------------------------------------------------------------


def test_requests_that_wait_together_share_a_commit(tmp_path):
    from unit.server.wire import event

    from argus_server.storage.store import open_store
    from argus_server.storage.writer import GroupWriter

    store = open_store(str(tmp_path / "argus.sqlite3"))
    writer = GroupWriter(store, waiting_requests=100, waiting_bytes=10**6)
    answers = [writer.submit([event("job_start", f"j{i}")], 10) for i in range(50)]

    writer.start()
    seqs = [answer.result(10)[0].seq for answer in answers]
    writer.close()
    store.close()

    assert seqs == list(range(1, 51))
    assert writer.commits == 1


def test_a_full_queue_answers_429_and_says_when_to_come_back(make_server):
    from argus_server.settings import Limits

    server = make_server(limits=Limits(waiting_requests=0))

    answer = server.post(BATCH, json=[start()])

    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) >= 1


def test_closing_the_writer_answers_what_was_accepted(tmp_path):
    from unit.server.wire import event

    from argus_server.storage.store import open_store
    from argus_server.storage.writer import GroupWriter

    store = open_store(str(tmp_path / "argus.sqlite3"))
    writer = GroupWriter(store, waiting_requests=100, waiting_bytes=10**6)
    answer = writer.submit([event("job_start", "j")], 10)
    writer.start()
    writer.close()

    assert answer.done()
    assert answer.result()[0].is_new
    store.close()


# --- beside the events ------------------------------------------------------------------------


@pytest.mark.parametrize("batch", ["b", "a/b", "a%2Fb", "%C3%A9 x", "never-heard-of"])
def test_nobody_asks_a_batch_to_stop(server, batch):
    answer = server.get(f"/api/batches/{batch}/stop-requested", scope="report")

    assert answer.status_code == 200
    assert answer.json()["requested"] is answer.json()["stop_requested"] is False


@pytest.mark.parametrize("path", ["/api/jobs/a/b/artifacts", "/api/batches/b/artifacts"])
def test_artifacts_are_declined_clearly(server, path):
    answer = server.post(path, files={"file": b"x"})

    assert answer.status_code == 501
    assert "artifacts" in answer.json()["error"]


def test_a_trailing_slash_never_redirects(server):
    assert server.post("/api/events/", json=start()).status_code == 200
