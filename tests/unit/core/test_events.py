from __future__ import annotations

import enum
import json
import math
from datetime import datetime, timezone
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from argus_core.errors import InvalidEvent, MalformedBody
from argus_core.events import (
    EVENT_TYPES,
    Event,
    Source,
    decode_event,
    decode_events,
    encode_event,
    json_schema,
    new_event_id,
    number_or_none,
)
from argus_core.jsonable import jsonable


def envelope(**changes):
    return {
        "event_id": "550e8400-e29b-41d4-a716-446655440000",
        "schema_version": "1.1",
        "event_type": "job_epoch",
        "timestamp": "2026-04-23T09:23:06Z",
        "batch_id": "bench-abc123",
        "job_id": "etth1_dlinear",
        "source": {"project": "my-paper", "host": "node-12"},
        "data": {"epoch": 7, "train_loss": 0.32, "grad_norm": 1.5},
        **changes,
    }


def body(*events):
    return json.dumps({"events": list(events)}).encode()


def test_an_event_keeps_every_key_of_its_data():
    event = decode_event(json.dumps(envelope()).encode())

    assert event.data == {"epoch": 7, "train_loss": 0.32, "grad_norm": 1.5}
    assert event.timestamp == datetime(2026, 4, 23, 9, 23, 6, tzinfo=timezone.utc)


def test_what_is_encoded_decodes_to_the_same_event():
    event = Event(
        event_id=new_event_id(),
        event_type="job_done",
        timestamp=datetime.now(timezone.utc),
        batch_id="b",
        job_id="j",
        source=Source(project="p"),
        data={"metrics": {"MSE": 0.1 + 0.2, "note": "ü"}},
    )

    assert decode_event(encode_event(event)) == event


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_every_type_of_the_schema_is_taken(event_type):
    data = {"epoch": 0} if event_type == "job_epoch" else {}

    assert decode_event(envelope(event_type=event_type, data=data)).event_type == event_type


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"event_id": "short"}, "event_id"),
        ({"event_id": 12345678}, "event_id"),
        ({"schema_version": "1.0"}, "schema_version"),
        ({"event_type": "job_paused"}, "event_type"),
        ({"timestamp": "2026-04-23T09:23:06"}, "timestamp"),
        ({"timestamp": "yesterday"}, "timestamp"),
        ({"batch_id": ""}, "batch_id"),
        ({"batch_id": "b" * 129}, "batch_id"),
        ({"job_id": None}, "job_id"),
        ({"job_id": ""}, "job_id"),
        ({"job_id": "j" * 257}, "job_id"),
        ({"source": {}}, "source.project"),
        ({"source": {"project": ""}}, "source.project"),
        ({"source": None}, "source"),
        ({"data": []}, "data"),
        ({"data": {}}, "data.epoch"),
        ({"data": {"epoch": -1}}, "data.epoch"),
        ({"data": {"epoch": 2**63}}, "data.epoch"),
        ({"data": {"epoch": "7"}}, "data.epoch"),
        ({"data": {"epoch": 1, "val_loss": "high"}}, "data.val_loss"),
        ({"event_type": "job_done", "data": {"metrics": [1]}}, "data.metrics"),
    ],
)
def test_a_malformed_event_is_refused_by_the_name_of_its_field(changes, field):
    with pytest.raises(InvalidEvent) as caught:
        decode_event(envelope(**changes))

    assert caught.value.field == field


def test_the_error_shows_the_offending_value():
    with pytest.raises(InvalidEvent, match="'lots'"):
        decode_event(envelope(data={"epoch": "lots"}))


def test_one_bad_event_leaves_its_neighbours_alone():
    good, bad = envelope(), envelope(data={"epoch": None})

    first, second, third, fourth = decode_events(body(good, bad, "what", good))

    assert isinstance(first, Event)
    assert isinstance(second, InvalidEvent)
    assert second.event_id == bad["event_id"]
    assert isinstance(third, InvalidEvent)
    assert isinstance(fourth, Event)


def test_a_bare_array_is_a_batch_too():
    (event,) = decode_events(json.dumps([envelope()]).encode())

    assert isinstance(event, Event)


def test_bare_nan_tokens_become_their_strings_and_harm_no_neighbour():
    diverged = json.dumps(envelope(data={"epoch": 1, "val_loss": math.nan, "lr": -math.inf}))

    events = decode_events(f'{{"events": [{json.dumps(envelope())}, {diverged}]}}'.encode())

    assert [event.data.get("val_loss") for event in events] == [None, "NaN"]
    assert events[1].data["lr"] == "-Infinity"


@pytest.mark.parametrize(
    "bad",
    [
        b'{"a":' * 3000 + b"1" + b"}" * 3000,
        b"[" * 3000 + b"]" * 3000,
        b"1" * 5001,
        b'{"event_id": "\xff"}',
        b'{"event_id": NaN}',
        b'{"broken": }',
        b'"a string with ] and } and \\" in it"',
        b"{} {}",
        b"tru",
    ],
)
@pytest.mark.parametrize("wrap", [b"[%s]", b'{"more": [[1]], "events": [%s], "after": {}}'])
def test_whatever_is_wrong_with_an_item_its_neighbours_are_taken(bad, wrap):
    good = json.dumps(envelope()).encode()
    nan = json.dumps(envelope(data={"epoch": 1, "val_loss": math.nan})).encode()

    events = decode_events(wrap % b" , ".join([good, bad, nan, good]))

    assert [isinstance(event, Event) for event in events] == [True, False, True, True]


def test_a_broken_item_at_the_end_or_text_after_the_array_is_no_json():
    good = json.dumps(envelope()).encode()

    for body in (
        b"[%s",
        b"[%s] x",
        b'{"events": [%s]',
        b'{"events": [%s]} x',
        b'{"events": [%s',
        b'{"event": [%s]}',
    ):
        with pytest.raises(MalformedBody):
            decode_events(body % good + (b"NaN" if body.endswith(b"x") else b""))


@pytest.mark.parametrize("body", [b"[]", b" [ ] ", b'{"events": []}', b'{"events":[NaN]}'])
def test_an_empty_or_senseless_list_is_a_list(body):
    assert [type(item) for item in decode_events(body)] == ([InvalidEvent] if b"NaN" in body else [])


@pytest.mark.parametrize("field", ["event_id", "batch_id", "job_id"])
def test_an_id_that_is_not_unicode_is_refused_not_changed(field):
    event = json.dumps(envelope(**{field: "abcdefgh\ud800"})).encode()

    with pytest.raises(InvalidEvent) as caught:
        decode_event(event)

    assert caught.value.field == field


def test_free_text_that_is_not_unicode_is_kept_as_far_as_it_goes():
    event = json.dumps(
        envelope(data={"epoch": 1, "note\ud800": "a\udfff"}, source={"project": "p", "host": "\ud800"})
    )

    decoded = decode_event(event.encode())

    assert decoded.data == {"epoch": 1, "note?": "a?"}
    assert decoded.source.host == "?"


def test_a_value_that_doubles_at_every_level_takes_no_time():
    value: dict[str, object] = {}
    for _ in range(60):
        value = {"a": value, "b": value}

    cleaned, dropped = jsonable(value)

    assert dropped
    assert cleaned


def test_an_integer_job_id_is_read_as_text():
    assert decode_event(envelope(job_id=17)).job_id == "17"


@pytest.mark.parametrize(
    "content",
    [b"", b"hello", b"{", b'{"events": 3}', b"3", b"null", b'{"event": []}', b"\xff\xfe", b"[" * 100_000],
)
def test_a_body_that_is_no_list_of_events_is_malformed(content):
    with pytest.raises(MalformedBody):
        decode_events(content)


def test_event_ids_are_uuid7_and_rise_strictly():
    ids = [new_event_id() for _ in range(20_000)]

    assert ids == sorted(set(ids))
    assert {(i[14], i[19] in "89ab") for i in ids} == {("7", True)}


class Colour(str, enum.Enum):
    RED = "red"


class Size(enum.Enum):
    SMALL = 1


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (math.nan, "NaN"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        (np.float32(0.5), 0.5),
        (np.float64("nan"), "NaN"),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.array(2.5), 2.5),
        (np.array([1, 2]), [1, 2]),
        (Fraction(1, 4), 0.25),
        (True, True),
        ((1, {2}), [1, [2]]),
        ({1: "a"}, {"1": "a"}),
        (Path("a") / "b", "a/b"),
        (datetime(2026, 1, 2, tzinfo=timezone.utc), "2026-01-02T00:00:00+00:00"),
        (Colour.RED, "red"),
        (Size.SMALL, "SMALL"),
        ("\ud800", "?"),
        (2**62, 2**62),
        (10**30, 1e30),
        ({"a\ud800": 1}, {"a?": 1}),
    ],
)
def test_values_of_python_and_numpy_become_what_json_can_carry(value, expected):
    cleaned, dropped = jsonable(value)

    assert cleaned == expected
    assert type(cleaned) is type(expected)
    assert dropped == []


awkward = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.just("\ud800"), st.lists(st.floats())
)


@given(st.dictionaries(st.one_of(st.text(), st.integers()), awkward))
def test_a_plain_dict_is_cleaned_as_any_other_mapping(mapping):
    cleaned = jsonable(mapping)

    assert repr(cleaned) == repr(jsonable(MappingProxyType(mapping)))  # by repr: -0.0 is not 0.0, nor 1 True
    assert cleaned[0] is not mapping


def test_what_json_cannot_carry_is_left_out_and_named():
    recursive: dict[str, object] = {}
    recursive["self"] = recursive

    cleaned, dropped = jsonable({"a": 1, "config": {"f": object(), "b": [object(), 2]}, "r": recursive})

    assert cleaned["a"] == 1
    assert cleaned["config"] == {"b": [2]}
    assert dropped[:2] == ["config.f", "config.b[0]"]
    assert dropped[2].startswith("r.self")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, 1.0),
        (True, None),
        ("NaN", math.nan),
        ("-Infinity", -math.inf),
        ("high", None),
        (None, None),
        ([1], None),
    ],
)
def test_only_numbers_and_their_strings_are_numbers(value, expected):
    assert number_or_none(value) == pytest.approx(expected, nan_ok=True)


def test_the_schema_names_every_type_and_what_it_requires():
    schema = json_schema()

    cases = {case["if"]["properties"]["event_type"]["const"]: case["then"] for case in schema["allOf"]}

    assert set(cases) == set(EVENT_TYPES)
    assert schema["$defs"]["JobEpoch"]["required"] == ["epoch"]
    assert "job_id" in cases["job_done"]["required"]
    assert "job_id" not in cases["batch_done"]["required"]
