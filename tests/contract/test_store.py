"""What every store promises, whichever database it is made of."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs
from thorough import examples
from unit.server.wire import done, epoch, event, failed, job, start

from argus_server.errors import StoreError, UnknownJob, UnknownProject
from argus_server.storage.queries import JobFilter


def state(store, name):
    """Return everything that can be asked about a project, without the order of arrival."""
    (project,) = (item for item in store.queries.projects() if item.name == name)
    board = store.queries.leaderboard(name)
    listed = store.queries.jobs(name, JobFilter(page_rows=None))
    details = [store.queries.job(name, item.batch_id, item.job_id) for item in listed.jobs]
    done_jobs = sorted(board.jobs, key=lambda item: (item.batch_id, item.job_id))
    return replace(project, name=""), board.keys, done_jobs, listed, details


def only_job(store, name="j", batch="b"):
    return store.queries.job("p", batch, name)


# --- the log ----------------------------------------------------------------------------------


def test_an_event_is_stored_once_however_often_it_is_sent(store):
    first = start("j")

    assert [item.is_new for item in store.add_events([first, first])] == [True, False]
    (again,) = store.add_events([first])

    assert (again.seq, again.is_new) == (1, False)


def test_events_of_a_project_are_numbered_in_the_order_of_their_commit(store):
    stored = store.add_events([start("a"), start("x", project="other"), start("b")])

    assert [item.seq for item in stored] == [1, 1, 2]


def test_one_event_id_may_serve_two_projects(store):
    mine, yours = start("j"), start("j", project="other")
    twin = structs.replace(yours, event_id=mine.event_id)

    assert all(item.is_new for item in store.add_events([mine, twin]))


def test_what_was_stored_is_there_after_opening_the_database_again(new_store, new_database):
    place = new_database()
    first = new_store(place)
    first.add_events(job("j", MSE=0.5))
    first.close()

    assert only_job(new_store(place)).metrics == {"MSE": 0.5}


def test_two_writers_on_one_database_lose_nothing(new_store, new_database):
    place = new_database()
    stores = [new_store(place) for _ in range(2)]
    shared = start("shared")

    def write(number):
        for i in range(20):
            stores[number].add_events([shared, *job(f"{number}-{i}", MSE=i)])

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, range(2)))

    (project,) = stores[0].queries.projects()
    assert project.jobs == {"running": 1, "stalled": 0, "untested": 0, "done": 40, "failed": 0}


def everything_of(store):
    """Return the job `j` of the project `p`, and its batch, as they are told."""
    return repr((store.queries.job("p", "b", "j"), store.queries.batch("p", "b")))


def test_what_a_store_remembers_of_a_job_is_not_older_than_what_others_have_written(new_store, new_database):
    database = new_database()
    one, other = new_store(database), new_store(database)
    one.add_events([start("j", model="early"), epoch("j", 0, at=1)])

    other.add_events([start("j", model="late", at=5), epoch("j", 7, at=6)])
    one.add_events([epoch("j", 3, at=4)])
    told = everything_of(one)

    assert one.queries.job("p", "b", "j").summary.model == "late"
    assert one.queries.job("p", "b", "j").summary.epoch == 7
    one.rebuild("p")
    assert everything_of(one) == told


def test_nothing_is_remembered_of_a_call_that_failed(store):
    store.add_events([start("j"), epoch("j", 0, at=1)])
    impossible = structs.replace(start("bad", project="q"), batch_id=None)  # no request brings one

    with pytest.raises(StoreError):
        store.add_events([epoch("j", 5, at=2), impossible])
    store.add_events([epoch("j", 1, at=1)])
    told = everything_of(store)

    assert store.queries.job("p", "b", "j").summary.epoch == 1
    store.rebuild("p")
    assert everything_of(store) == told


def test_repeats_among_new_events_change_nothing_and_get_their_first_numbers(store):
    sent = [start("j"), epoch("j", 0, at=1), epoch("j", 1, at=2)]
    store.add_events(sent)

    for number in (2, 3):  # whoever repeats an event often repeats several
        answers = store.add_events([epoch("j", number, at=3), *sent, epoch("j", number + 5, at=4)])
        assert [answer.is_new for answer in answers] == [True, False, False, False, True]
        assert [answer.seq for answer in answers[1:4]] == [1, 2, 3]
    told = everything_of(store)

    assert store.count_events() == 7
    store.rebuild("p")
    assert everything_of(store) == told


def test_reading_does_not_wait_for_a_writer(store):
    store.add_events(job("j", MSE=0.5))
    reached, go_on = threading.Event(), threading.Event()

    def hold():
        with store._writer.begin():
            reached.set()
            go_on.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    assert reached.wait(10)

    assert len(store.queries.leaderboard("p").jobs) == 1

    go_on.set()
    holder.join()


# --- any order, any repetition ----------------------------------------------------------------

_KINDS = st.sampled_from(
    [
        ("batch_start", {"n_total_jobs": 2, "name": "n"}),
        ("batch_done", {"total_elapsed_s": 3.5}),
        ("batch_failed", {"reason": "OSError: disk"}),
        ("job_start", {"model": "m1", "dataset": "d", "seed": 0, "epochs_total": 4}),
        ("job_start", {"model": "m2", "tags": ["fast_dev_run"], "config": {"lr": 0.1}}),
        ("job_start", {}),
        ("job_epoch", {"epoch": 0, "val_loss": 1.5}),
        ("job_epoch", {"epoch": 1, "val_loss": "NaN"}),
        ("job_epoch", {"epoch": 1, "val_loss": 0.5}),
        ("job_epoch", {"epoch": 2, "train_loss": 0.25}),
        ("job_done", {"metrics": {"MSE": 0.5, "deep": {"a": 1}}, "elapsed_s": 1.25}),
        ("job_done", {"metrics": {"MSE": "NaN", "note": "x"}, "train_epochs": 3}),
        ("job_done", {}),
        ("job_failed", {"reason": "ValueError: boom", "elapsed_s": 2}),
        ("job_failed", {"reason": "KeyboardInterrupt", "status": "interrupted"}),
        ("log_line", {"line": "heartbeat"}),
        ("resource_snapshot", {"ram_mb": 10}),
    ]
)


@st.composite
def streams(draw):
    """A list of distinct events of few jobs at few moments, so that many of them compete."""
    events = []
    for kind, data in draw(st.lists(_KINDS, min_size=10, max_size=30)):
        batch = draw(st.sampled_from(["b", "b", "b", "c"]))
        name = None if kind.startswith("batch_") else draw(st.sampled_from(["j", "j", "j", "k", batch]))
        events.append(event(kind, name, at=draw(st.integers(0, 5)), batch=batch, **data))
    return events


@st.composite
def deliveries(draw):
    """Return a stream, and the same stream shuffled, repeated and cut into requests."""
    events = draw(streams())
    again = draw(st.permutations(events + draw(st.lists(st.sampled_from(events), max_size=10))))
    cuts = sorted(draw(st.lists(st.integers(0, len(again)), min_size=2, max_size=8)))
    bounds = [0, *cuts, len(again)]
    return events, [again[a:b] for a, b in itertools.pairwise(bounds)]


_projects = itertools.count()


@given(deliveries())
@settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_order_repetition_and_division_gives_the_same_state(store, delivery):
    events, requests = delivery
    number = next(_projects)
    in_order, shuffled = f"in order {number}", f"shuffled {number}"

    store.add_events([of_project(item, in_order) for item in events])
    for request in requests:
        store.add_events([of_project(item, shuffled) for item in request])

    assert state(store, shuffled) == state(store, in_order)


def of_project(item, name):
    return structs.replace(item, source=structs.replace(item.source, project=name))


# --- what events mean -------------------------------------------------------------------------


def test_a_job_exists_from_the_first_event_that_names_it(store):
    store.add_events([epoch("j", 0)])

    job = only_job(store)

    assert (job.summary.status, job.summary.model, job.summary.epoch) == ("running", None, 0)


def test_a_start_that_comes_late_fills_in_a_finished_job(store):
    store.add_events([done("j", at=9, MSE=0.5)])
    store.add_events([start("j", "PatchTST", at=0)])

    job = only_job(store)

    assert (job.summary.status, job.summary.model) == ("done", "PatchTST")


def test_a_later_attempt_reopens_a_finished_job(store):
    store.add_events([*job("j", MSE=0.5), start("j", at=20)])

    assert only_job(store).summary.status == "running"
    assert store.queries.leaderboard("p").jobs == []


def test_a_later_attempt_keeps_the_epochs_before_its_first_and_replaces_those_after(store):
    first = [start("j", at=0), *(epoch("j", n, at=1 + n, val_loss=1.0) for n in range(5))]
    second = [start("j", at=20), epoch("j", 2, at=21, val_loss=0.5)]
    store.add_events(second + first)

    epochs = only_job(store).epochs

    assert [(e.epoch, e.data["val_loss"]) for e in epochs] == [(0, 1.0), (1, 1.0), (2, 0.5)]


def test_an_epoch_that_is_sent_twice_has_one_row_and_the_later_word(store):
    store.add_events([epoch("j", 0, at=2, val_loss=0.2), epoch("j", 0, at=1, val_loss=0.1)])

    (only,) = only_job(store).epochs
    assert only.data["val_loss"] == 0.2


def test_within_one_second_kind_and_epoch_decide_and_not_arrival(store):
    store.add_events([done("j", at=1, MSE=0.5), epoch("j", 1, at=1), epoch("j", 0, at=1), start("j", at=1)])

    job = only_job(store)

    assert (job.summary.status, job.summary.epoch) == ("done", 1)


def test_a_heartbeat_with_the_batch_id_as_job_id_makes_no_phantom_job(store):
    store.add_events([event("log_line", "b", line="heartbeat")])

    assert store.queries.jobs("p", JobFilter()).total == 0
    assert store.queries.projects()[0].n_batches == 1


def test_a_failure_keeps_what_the_start_said_and_the_reason_is_told(store):
    store.add_events([start("j", "PatchTST", "ETTh1", 3), failed("j", "OSError: disk")])

    job = only_job(store).summary

    assert (job.status, job.model, job.dataset, job.seed) == ("failed", "PatchTST", "ETTh1", "3")
    assert job.reason == "OSError: disk"


def test_the_reason_of_an_earlier_attempt_is_not_told_of_a_job_that_went_well(store):
    store.add_events([start("j"), failed("j", at=5), start("j", at=6), done("j", at=9, MSE=1)])

    assert only_job(store).summary.reason is None


def test_elapsed_seconds_keep_their_fraction(store):
    store.add_events([done("j", MSE=1)])

    assert only_job(store).summary.elapsed_s == 1.5


def test_columns_are_the_union_of_every_key_ever_reported(store):
    store.add_events([*job("a", MSE=1, at=0), *job("b", accuracy=1), start("c"), done("c", odd="text")])
    store.add_events([start("c", at=50), failed("c", at=60)])

    assert [key.key for key in store.queries.leaderboard("p").keys] == ["MSE", "accuracy", "odd"]


def test_metrics_are_kept_as_sent_and_nested_ones_flattened(store):
    store.add_events(job("j", MSE="Infinity", flag=True, deep={"a": {"b": 2}}, none=None))

    assert only_job(store).metrics == {"MSE": "Infinity", "flag": True, "deep.a.b": 2}


def test_only_done_jobs_are_in_the_leaderboard(store):
    store.add_events([*job("a", MSE=1), start("b"), failed("b"), start("c")])

    assert [item.job_id for item in store.queries.leaderboard("p").jobs] == ["a"]


def test_jobs_of_one_name_in_two_batches_are_two(store):
    store.add_events([start("j", batch="x"), start("j", batch="y")])

    assert store.queries.jobs("p", JobFilter()).total == 2


def test_names_are_data_whatever_they_contain(store):
    nasty = "'; DROP TABLE job; --\u202e<b>|%2F../\U0001f600"
    store.add_events(
        [event("job_start", nasty, batch=nasty, project=nasty, model=nasty + "\x00", seed=nasty)]
    )
    store.add_events([done(nasty, batch=nasty, project=nasty, **{nasty: 1})])

    detail = store.queries.job(nasty, nasty, nasty)

    assert detail.summary.model == nasty + "\ufffd"
    assert detail.metrics == {nasty: 1}


@pytest.mark.parametrize(
    ("tags", "is_dry"),
    [
        ("fast_dev_run", True),
        (["x", "fast_dev_run"], True),
        ({"fast_dev_run": True}, True),
        ("no_fast_dev_run", False),
        (["no_fast_dev_run"], False),
        ({"fast_dev_run": False}, False),
    ],
)
def test_a_tag_means_a_fast_dev_run_if_it_says_exactly_that(store, tags, is_dry):
    store.add_events([event("job_start", "j", model="m", tags=tags), done("j", MSE=1)])

    assert only_job(store).summary.fast_dev_run is is_dry


def test_an_unknown_project_or_job_is_an_error_of_its_own(store):
    store.add_events([start("j")])

    with pytest.raises(UnknownProject) as caught:
        store.queries.leaderboard("q")
    with pytest.raises(UnknownJob):
        store.queries.job("p", "b", "nobody")

    assert list(caught.value.known) == ["p"]


def test_jobs_are_filtered_counted_and_paged(store):
    store.add_events([e for i in range(5) for e in job(f"a{i}", "m1", at=i, MSE=1)])
    store.add_events([start("x", "m2"), failed("x")])

    page = store.queries.jobs("p", JobFilter(status=("done",), page=2, page_rows=2))
    others = store.queries.jobs("p", JobFilter(model=("m2",)))

    assert [item.job_id for item in page.jobs] == ["a2", "a1"]
    assert (page.total, page.counts) == (
        5,
        {"running": 0, "stalled": 0, "untested": 0, "done": 5, "failed": 1},
    )
    assert others.counts == {"running": 0, "stalled": 0, "untested": 0, "done": 0, "failed": 1}


def test_an_interrupted_job_is_counted_as_failed_and_known_as_interrupted(store):
    store.add_events([start("j"), failed("j", "KeyboardInterrupt", at=5, status="interrupted")])
    assert (only_job(store).summary.status, only_job(store).summary.interrupted) == ("failed", True)

    store.add_events([start("j", at=6), failed("j", at=7)])
    assert not only_job(store).summary.interrupted

    store.add_events([failed("j", at=8, status="interrupted"), start("j", at=9)])
    assert not only_job(store).summary.interrupted


@pytest.mark.parametrize("end", ["batch_done", "batch_failed"])
def test_a_job_without_a_result_is_untested_once_its_batch_has_ended(store, end):
    store.add_events([start("j", at=0), epoch("j", 0, at=5), start("other", batch="c"), event(end, at=5)])
    store.add_events([*job("good", MSE=1, at=0), start("bad", at=0), failed("bad", at=1)])

    counts = {"running": 1, "stalled": 0, "untested": 1, "done": 1, "failed": 1}
    untested = store.queries.jobs("p", JobFilter(status=("untested",)))

    assert [item.job_id for item in untested.jobs] == ["j"]
    assert (untested.total, untested.counts) == (1, counts)
    assert store.queries.projects()[0].jobs == counts
    assert only_job(store).summary.status == "untested"
    assert store.queries.jobs("p", JobFilter(status=("running",))).total == 1


@pytest.mark.parametrize("end", ["batch_done", "batch_failed"])
def test_a_process_ends_a_batch_that_it_shares_for_its_own_jobs_alone(store, end):
    def statuses():
        return {item.job_id: item.status for item in store.queries.jobs("p", JobFilter()).jobs}

    store.add_events([event(end, at=20, untested=["lost"])])
    store.add_events([start("other", at=1), start("lost", at=2), *job("good", MSE=1, at=3)])
    assert statuses() == {"good": "done", "lost": "untested", "other": "running"}
    assert store.queries.job_counts("p")["untested"] == 1

    store.add_events([event("batch_start", at=21), event(end, at=30, untested=[])])
    assert statuses() == {"good": "done", "lost": "untested", "other": "running"}

    store.add_events([epoch("lost", 0, at=31), event("batch_done", at=40)])
    assert statuses() == {"good": "done", "lost": "untested", "other": "untested"}

    store.add_events([epoch("lost", 1, at=41)])
    assert statuses()["lost"] == "running"


def test_the_end_of_a_batch_brings_no_job_into_being_that_no_event_could(store):
    store.add_events([event("batch_done", untested=["", "a\x00", "x" * 257, "lost"])])

    assert [item.job_id for item in store.queries.jobs("p", JobFilter()).jobs] == ["lost"]


def test_a_job_that_goes_on_after_its_batch_has_ended_is_running(store):
    store.add_events([start("j", at=0), event("batch_done", at=5), epoch("j", 0, at=6)])

    assert only_job(store).summary.status == "running"


# --- credentials ------------------------------------------------------------------------------


def test_a_token_opens_until_it_is_revoked(store):
    text = store.credentials.create_token("read", "p", "laptop")
    (info,) = store.credentials.tokens()

    assert store.credentials.check_token(text).allows("read", "p")
    assert not store.credentials.check_token(text).allows("read", "q")
    assert store.credentials.revoke_token(info.id)
    assert store.credentials.check_token(text) is None
    assert not store.credentials.revoke_token(info.id)


def test_a_token_is_kept_as_a_hash_only(store):
    text = store.credentials.create_token("admin")

    with store._reader.begin() as connection:
        (row,) = connection.exec_driver_sql("SELECT * FROM token").all()

    assert text.startswith("em_live_")
    assert len(text) == len("em_live_") + 32
    assert not any(text in str(value) for value in row)


def test_a_sign_in_code_works_once(store):
    grant = store.credentials.check_token(store.credentials.create_token("read", "p"))
    code = store.credentials.create_code(grant)

    assert store.credentials.redeem_code(code).project == "p"
    assert store.credentials.redeem_code(code) is None


def test_a_sign_in_code_and_a_session_end_with_their_time(store):
    grant = store.credentials.check_token(store.credentials.create_token("read"))

    assert store.credentials.redeem_code(store.credentials.create_code(grant, lifetime_s=-1)) is None


def test_revoking_a_token_ends_the_sessions_that_came_of_it(store):
    grant = store.credentials.check_token(store.credentials.create_token("read"))
    session = store.credentials.create_session(grant)
    assert store.credentials.check_session(session) is not None

    store.credentials.revoke_token(grant.token_id)

    assert store.credentials.check_session(session) is None


# --- what is declared of a metric -------------------------------------------------------------


def declares(name, at, **meanings):
    """Return a `job_done` with a metric `energy` and what it says of its metrics."""
    metrics = {"energy": 1.0}
    return event("job_done", name, at=at, metrics=metrics, metric_conventions=meanings)


LOWER = {"unit": "kWh", "direction": "lower", "role": "cost"}
HIGHER = {"direction": "higher"}


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_last_word_on_a_metric_counts_in_whatever_order_it_arrives(store, order):
    events = [declares("a", 1, energy=LOWER), declares("b", 3, energy=HIGHER), declares("c", 2, energy=LOWER)]

    for position in order:
        store.add_events([events[position], events[position]])

    (key,) = store.queries.leaderboard("p").keys
    assert (key.meaning.direction, key.meaning.unit, key.meaning.role) == ("higher", "", "quality")


@pytest.mark.parametrize(
    "nonsense", ["lower", {"direction": "up"}, {"unit": "s"}, {"direction": "lower", "unit": "x" * 17}, None]
)
def test_a_senseless_declaration_says_nothing_and_harms_nothing(store, nonsense):
    store.add_events([declares("a", 1, energy=nonsense, other=LOWER)])
    store.add_events([event("job_done", "b", at=2, metrics={"energy": 2.0}, metric_conventions="all")])

    (key,) = store.queries.leaderboard("p").keys
    assert (key.key, key.count, key.declared, key.meaning.direction) == ("energy", 2, None, "unknown")
