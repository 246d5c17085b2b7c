"""Where databases differ by nature, and a store must not: text, numbers, sizes, moments."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from msgspec import structs
from unit.server.wire import done, epoch, event, job, start

from argus_core.events import decode_event, encode_event
from argus_server.errors import BadText, StoreError, UnknownProject
from argus_server.ranking.board import Wanted
from argus_server.ranking.view import View
from argus_server.storage.queries import JobFilter


def only_job(store, project="p", batch="b", name="j"):
    return store.queries.job(project, batch, name)


def enumerate_projects(cases):
    """Yield each case with the name of a project that is its own."""
    return ((f"p{number}", case) for number, case in enumerate(cases))


# --- text -------------------------------------------------------------------------------------

_NEARLY_THE_SAME = [  # what, one, other
    ("case", "etth1", "ETTh1"),
    ("accents by code point", "caf\u00e9", "cafe\u0301"),
    ("a space at the end", "name", "name "),
    ("width", "\uff41\uff42", "ab"),
    ("a joiner that nobody sees", "a\u200db", "ab"),
    ("sharp s", "stra\u00dfe", "strasse"),
    ("the dotless i", "\u0131d", "id"),
]


@pytest.mark.parametrize(
    ("one", "other"), [pair[1:] for pair in _NEARLY_THE_SAME], ids=lambda text: ascii(text)
)
def test_names_that_differ_in_one_code_point_are_two(store, one, other):
    for name in (one, other):
        store.add_events([start(name, batch=name, project=name), done(name, batch=name, project=name, MSE=1)])
        store.add_events([start(name, model=name, dataset=name), done(name, **{name: 1})])

    assert {item.name for item in store.queries.projects()} == {one, other, "p"}
    assert only_job(store, one, one, one).metrics == {"MSE": 1}
    assert {item.model for item in store.queries.jobs("p", JobFilter(model=(one,))).jobs} == {one}
    assert {key.key for key in store.queries.leaderboard("p").keys} == {one, other}


def test_event_ids_that_differ_in_case_are_two_events(store):
    first = start("a")
    second = structs.replace(start("b"), event_id=first.event_id.upper())

    assert [item.is_new for item in store.add_events([first, second])] == [True, True]


def test_names_sort_by_code_point_whatever_the_database_collates_by(store):
    names = ["b", "B", "a", "\u00e4", "Z", "_", "\U0001f600", "\uffee"]
    for name in names:
        store.add_events(job("j", **{name: 1}) if name == "b" else [done(f"j{ord(name)}", **{name: 1})])
        store.add_events([start(name, model=name, project="models")])

    assert [key.key for key in store.queries.leaderboard("p").keys] == sorted(names)
    assert list(store.queries.jobs("models", JobFilter()).models) == sorted(names)


def test_a_nul_inside_data_is_shown_as_a_replacement_and_the_event_is_stored(store):
    said = {"model": "m\x00", "config": {"k\x00": "v\x00"}, "note": "n\x00"}
    store.add_events([event("job_start", "j", **said), epoch("j", 0, note="e\x00")])

    detail = only_job(store)

    assert detail.summary.model == "m\ufffd"
    assert detail.config == {"k\x00": "v\x00"}
    assert detail.epochs[0].data["note"] == "e\x00"


def test_text_that_means_something_to_a_database_is_text(store):
    texts = ["\\", "\\x00", "%", "_", "'", '"', "\r\n", "\u2028", "{}", "$1", ":a", "?"]
    for name, text in enumerate_projects(texts):
        store.add_events([start("j", text, text, project=name), done("j", project=name, **{text: text})])

        detail = only_job(store, name)

        assert (detail.summary.model, detail.summary.dataset, detail.metrics) == (text, text, {text: text})
        assert store.queries.jobs(name, JobFilter(model=(text,), dataset=(text,))).total == 1
        assert store.queries.jobs(name, JobFilter(model=("other",))).total == 0


# --- sizes ------------------------------------------------------------------------------------


def test_the_longest_names_of_the_wire_fit_in_any_script(store):
    longest = {"project": "\U0001f600" * 256, "batch": "\u4e2d" * 128}
    name = "\U0001f601" * 256
    store.add_events([start(name, "m" * 20_000, "\u4e2d" * 20_000, **longest)])
    store.add_events([done(name, **longest, **{"\U0001f602" * 256: 1})])

    detail = only_job(store, longest["project"], longest["batch"], name)

    assert len(detail.summary.model) == len(detail.summary.dataset) == 20_000
    assert detail.metrics == {"\U0001f602" * 256: 1}


def test_a_megabyte_of_data_is_kept_as_sent(store):
    config = {"text": "\u00e9" * 1_000_000, "list": list(range(50_000))}
    store.add_events([event("job_start", "j", config=config)])

    assert only_job(store).config == config


def test_thousands_of_events_and_metrics_fit_one_call(store):
    many = [epoch("j", number) for number in range(3000)]
    wide = done("j", **{f"metric {number}": number for number in range(2000)})

    stored = store.add_events([*many, wide, *many])

    assert [item.is_new for item in stored] == [True] * 3001 + [False] * 3000
    assert len(only_job(store).epochs) == 3000
    assert len(store.queries.leaderboard("p").keys) == 2000


# --- numbers ----------------------------------------------------------------------------------


def test_a_metric_of_any_size_is_shown_as_sent(store):
    numbers = [5e-324, 1.7976931348623157e308, -0.0, 0.1 + 0.2, 2**53 + 1, 2**63 - 1, -(2**63) + 1]
    for name, number in enumerate_projects(numbers):
        store.add_events([done("j", project=name, MSE=number)])

        shown = only_job(store, name).metrics["MSE"]

        assert (shown, type(shown), str(shown)) == (number, type(number), str(number))
        assert store.queries.leaderboard(name).jobs[0].metrics == {"MSE": number}


def test_an_integer_beyond_64_bits_becomes_the_nearest_float(store):
    for name, number in enumerate_projects([2**64, -(2**63) - 1, 10**30]):
        store.add_events([done("j", project=name, MSE=number)])

        assert only_job(store, name).metrics["MSE"] == float(number), number


def test_an_integer_beyond_every_float_harms_no_other_metric(store):
    sent = event("job_done", "j", metrics={"huge": 10**400, "MSE": 0.5})
    store.add_events([sent])

    assert only_job(store).metrics["MSE"] == 0.5


def test_counts_beyond_32_bits_are_kept(store):
    for name, count in enumerate_projects([2**31 - 1, 2**31, 2**53 - 1]):
        store.add_events(
            [
                event("job_start", "j", project=name, epochs_total=count),
                epoch("j", count, project=name),
                event("batch_start", project=name, n_total_jobs=count),
                event("job_done", "j", project=name, train_epochs=count),
            ]
        )

        job = only_job(store, name)

        assert job.summary.epochs_total == job.summary.train_epochs == job.epochs[0].epoch == count


@pytest.mark.parametrize(
    ("moment", "expected_us"),
    [("1970-01-01T00:00:00Z", 0), ("9998-12-31T23:59:59.999999Z", 253_370_764_800 * 10**6 - 1)],
)
def test_the_first_and_the_last_moment_are_kept_to_the_microsecond(store, moment, expected_us):
    envelope = encode_event(start("j")).replace(b"2026-01-01T00:00:00Z", moment.encode())

    store.add_events([decode_event(envelope)])

    assert only_job(store).summary.started_us == expected_us


# --- all or none, at one moment ---------------------------------------------------------------


def test_nothing_of_a_call_is_stored_when_one_event_cannot_be(store):
    good = start("good", project="first")
    bad = structs.replace(start("bad", project="second"), batch_id=None)

    with pytest.raises(StoreError):
        store.add_events([good, bad])

    assert store.queries.projects() == []
    assert store.add_events([good])[0].is_new


def test_an_answer_is_one_moment_while_others_write(store):
    store.add_events([done("j0", at=0, a=0, b=0)])
    stop = threading.Event()

    def write():
        number = 0
        while not stop.is_set():
            number += 1
            store.add_events([done(f"j{number}", at=1, **{f"key {number}": 1})])

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        for _ in range(60):
            board = store.queries.leaderboard("p")
            listed = store.queries.jobs("p", JobFilter(page_rows=None))
            assert len(board.keys) == len(board.jobs) + 1  # the first job brought two
            assert len(listed.jobs) == listed.total
        stop.set()
        writing.result()


def test_the_same_events_sent_at_once_by_many_are_stored_once(new_store, new_database):
    place = new_database()
    stores = [new_store(place) for _ in range(4)]
    events = [item for number in range(25) for item in job(f"j{number}", MSE=number)]
    barrier = threading.Barrier(4)

    def send(store):
        barrier.wait(10)
        return [store.add_events(events[at : at + 10]) for at in range(0, 50, 10)]

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(send, stores))

    news = sum(item.is_new for calls in answers for call in calls for item in call)
    numbers = [[item.seq for call in calls for item in call] for calls in answers]
    assert news == 50
    assert all(sorted(seqs) == list(range(1, 51)) for seqs in numbers)
    assert numbers[0] == numbers[1] == numbers[2] == numbers[3]


def test_writers_that_touch_the_same_projects_in_opposite_order_do_not_lock_each_other_out(
    new_store, new_database
):
    place = new_database()
    stores = [new_store(place) for _ in range(2)]
    barrier = threading.Barrier(2)

    def send(number):
        barrier.wait(10)
        names = ["left", "right"] if number else ["right", "left"]
        for turn in range(20):
            stores[number].add_events([start(f"{number}-{turn}", project=name) for name in names])

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(send, range(2)))

    assert {item.name: item.jobs["running"] for item in stores[0].queries.projects()} == {
        "left": 40,
        "right": 40,
    }


# --- opening ----------------------------------------------------------------------------------


def test_many_processes_may_open_an_empty_database_at_once(new_store, new_database):
    place = new_database(empty=True)
    barrier = threading.Barrier(3)

    def open_it(_):
        barrier.wait(10)
        return new_store(place)

    with ThreadPoolExecutor(3) as pool:
        stores = list(pool.map(open_it, range(3)))

    stores[0].add_events([start("j")])
    assert [store.queries.jobs("p", JobFilter()).total for store in stores] == [1, 1, 1]


def test_a_code_is_redeemed_by_one_of_those_who_try_at_once(new_store, new_database):
    place = new_database()
    stores = [new_store(place) for _ in range(4)]
    grant = stores[0].credentials.check_token(stores[0].credentials.create_token("read"))
    code = stores[0].credentials.create_code(grant)
    barrier = threading.Barrier(4)

    def redeem(store):
        barrier.wait(10)
        return store.credentials.redeem_code(code)

    with ThreadPoolExecutor(4) as pool:
        redeemed = list(pool.map(redeem, stores))

    assert sum(grant is not None for grant in redeemed) == 1


def test_text_that_cannot_be_there_is_asked_for_in_vain(store):
    store.add_events([start("j", "m", "d", 0), done("j", MSE=1.0)])

    with pytest.raises((UnknownProject, BadText)):
        store.queries.version("\0")
    with store.queries.board("p", View()) as board:
        assert board.total(Wanted(text="\0")) == 0
    with suppress(BadText), store.queries.board("p", View()) as board:
        assert board.total(Wanted(batch=("\0", "c"), seed=("0",))) == 0
    with store.queries.board("p", View()) as board:
        assert board.total(Wanted()) == 1
