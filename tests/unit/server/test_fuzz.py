"""Whatever a body holds: an answer below 500, and soon."""

import gzip
import json
import time

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from thorough import examples
from unit.server.wire import body

from argus_core.errors import MalformedBody
from argus_core.events import decode_event, decode_events, split_events

TEXT = st.text(max_size=20) | st.sampled_from(["\ud800", "\x00", "NaN", "a" * 300, "__proto__"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
KINDS = st.sampled_from(
    ["batch_start", "batch_done", "job_start", "job_epoch", "job_done", "job_failed", "log_line"]
)
KEYS = st.sampled_from(
    [
        "event_id",
        "event_type",
        "timestamp",
        "batch_id",
        "job_id",
        "source",
        "data",
        "schema_version",
        "\ud800",
    ]
)
DATA = st.dictionaries(
    TEXT
    | st.sampled_from(["metrics", "metric_conventions", "epoch", "seed", "model", "config", "tags", "error"]),
    VALUES,
    max_size=5,
)


@st.composite
def envelopes(draw):
    """Nearly right: a good event with hostile data, and some of its fields replaced."""
    event = {**body(draw(KINDS), "j"), "data": draw(DATA)}
    if draw(st.booleans()):
        event[draw(KEYS)] = draw(VALUES)
    return event


BODIES = st.one_of(
    st.binary(max_size=200),
    VALUES.map(json.dumps).map(str.encode),
    st.lists(envelopes() | VALUES, max_size=4).map(json.dumps).map(str.encode),
    envelopes().map(json.dumps).map(str.encode),
)
UNHURRIED = settings(max_examples=examples(100), deadline=None, suppress_health_check=list(HealthCheck))


@given(BODIES, st.sampled_from(["", "gzip"]), st.booleans())
@example(json.dumps({**body("job_start", "j"), "event_id": "\ud800" * 9}).encode(), "", True)
@example(json.dumps([{**body("job_start", "j"), "\ud800": "\udfff"}]).encode(), "", True)
@example(
    json.dumps({**body("job_start", "j"), "event_id": [[[0]]]}).replace("0", "[" * 900 + "]" * 900).encode(),
    "",
    True,
)
@UNHURRIED
def test_any_body_gets_an_answer_below_500_and_pages_still_open(server, content, encoding, packed):
    content = gzip.compress(content) if packed and encoding else content
    for path in ("/api/events", "/api/events/batch"):
        answer = server.post(
            path, content=content, headers={"Content-Encoding": encoding} if encoding else {}
        )
        assert answer.status_code < 500, answer.text
        answer.json()
    for path in ("/", "/p/p/jobs", "/p/p/leaderboard"):
        assert server.get(path, html=True).status_code in (200, 404)


@given(st.lists(VALUES.map(json.dumps).map(str.encode) | st.binary(max_size=9), max_size=5), st.booleans())
@UNHURRIED
def test_a_body_is_cut_alike_however_large_it_is(items, is_bare):
    from argus_core import events

    def cut(content, fast_bytes):
        before, events._FAST_BYTES = events._FAST_BYTES, fast_bytes
        try:
            return [bytes(item).strip() for item in split_events(content)]
        finally:
            events._FAST_BYTES = before

    content = b"[" + b",".join(items) + b"]"
    content = content if is_bare else b'{"x": {"events": [0]}, "events": ' + content + b"}"
    try:
        json.loads(content)
    except (ValueError, RecursionError):
        return
    assert cut(content, 2**20) == cut(content, 0)


@pytest.mark.parametrize(
    "content",
    [
        b"[" + b'\\"' * 2_000_000,
        b'["' + b"\\" * 3_000_001,
        b'"' * 3_000_001,
        b"[" * 3_000_000,
        b'{"a":' * 500_000,
        b"[" + b"[]," * 1_500_000 + b"[]]",
        b" " * 5_000_000,
    ],
)
def test_a_body_that_does_not_end_is_refused_in_time_that_is_linear(content):
    started = time.process_time()

    with pytest.raises(MalformedBody):
        decode_events(content)

    assert time.process_time() - started < 5


def test_nested_metric_names_are_not_spelt_out_before_they_are_counted(server):
    metrics = {"A" * 1_000_000: {f"k{i}": i for i in range(100_000)}}

    answer = server.post("/api/events", json=body("job_done", "j", metrics=metrics))

    assert (answer.status_code, answer.json()["field"]) == (422, "data.metrics")


def test_an_error_quotes_only_the_beginning_of_what_is_wrong():
    with pytest.raises(ValueError, match="batch_id") as caught:
        decode_event({**body("job_start", "j"), "batch_id": {"x" * 10**6: [[[["y" * 10**6]]]]}})

    assert len(str(caught.value)) < 300
