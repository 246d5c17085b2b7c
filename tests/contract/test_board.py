"""The board that an index answers and the one in memory are one: every view of both is the same."""

import itertools

import pytest
from contract.plans import plans_of_reads
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from msgspec import structs
from thorough import examples
from unit.server.wire import done, event, failed, start

from argus_core.events import Source
from argus_server.ranking.board import MemoryBoard, Wanted
from argus_server.ranking.leader import leader
from argus_server.ranking.order import job_number
from argus_server.ranking.rank import Ranking, rank
from argus_server.ranking.registry import MetricSetting, Settings
from argus_server.ranking.view import Condition, View

values = st.one_of(
    st.sampled_from([0.5, 0.5, 0.25, 1, -2.0, 0.5 + 1e-12, "NaN", "Infinity", True, "text", 10**400]),
    st.floats(-10, 10, allow_nan=False).map(lambda number: round(number, 2)),
)
names = st.sampled_from([None, "", "a", "b", "B", "é", "x" * 70 + "1", "x" * 70 + "2"])
FACETS = ("model", "dataset", "batch", "seed", "host", "user")
metrics = st.dictionaries(st.sampled_from(["MSE", "accuracy", "mine", "Latency_P50", "seed"]), values)
jobs = st.lists(
    st.tuples(
        names, names, st.sampled_from([None, 0, 2, 10, "s", 2.5]), metrics, st.booleans(), st.integers(0, 3)
    ),
    min_size=1,
    max_size=14,
)
views = st.builds(
    View,
    group=st.sampled_from(["job", "job", "cell", "model", "model"]),
    metric=st.sampled_from(["", "", "MSE", "accuracy", "Latency_P50", "absent"]),
    seeds=st.sampled_from(["mean", "mean", "median", "best", "last"]),
    missing=st.sampled_from(["complete", "shared", "pairwise", "impute:worst"]),
    baseline=st.sampled_from(["", "a"]),
    sort=st.sampled_from(
        ["", "MSE", "accuracy", "mine", "metric:seed", "model", "dataset", "seed", "absent"]
    ),
    order=st.sampled_from(["", "asc", "desc"]),
    then=st.sampled_from(
        [
            (),
            (),
            ("MSE",),
            ("-MSE", "model"),
            ("-dataset", "-accuracy"),
            ("-seed", "metric:seed", "mine"),
            ("absent", "mine", "-mine", "Latency_P50"),
        ]
    ),
    model=st.sampled_from([(), (), ("a",), ("a", "")]),
    dataset=st.sampled_from([(), (), ("b",), ("x" * 70 + "1", "B")]),
    batch=st.sampled_from([(), (), ("b1",)]),
    seed=st.sampled_from([(), (), ("2",), ("", "0")]),
    host=st.sampled_from([(), (), ("h1",)]),
    user=st.sampled_from([(), (), (), ("ann",), ("",)]),
    q=st.sampled_from(["", "", "A", "É", "j1", "_", "%"]),
    where=st.sampled_from(
        [
            (),
            (),
            (Condition("MSE", "<", 0.5),),
            (Condition("accuracy", ">=", 0.25),),
            (Condition("MSE", "<=", 0.5), Condition("mine", ">", -1)),
            (Condition("absent", ">", 0),),
        ]
    ),
)


def fill(store, project, jobs):
    store.add_events(events_of(project, jobs))


def events_of(project, jobs):
    at = itertools.count()
    events = []
    for number, (model, dataset, seed, metrics, fails, minutes) in enumerate(jobs):
        name, batch = f"j{number}", f"b{number % 2}"
        facts = {"model": model, "dataset": dataset, "seed": seed}
        known = {key: fact for key, fact in facts.items() if fact is not None}
        of_job = [
            event("job_start", name, at=next(at), batch=batch, project=project, **known),
            done(name, at=next(at) + 100 * minutes, batch=batch, project=project, **metrics),
        ]
        if fails:
            of_job.append(failed(name, at=50, batch=batch, project=project))
        events += [
            structs.replace(
                item,
                source=Source(project=project, host=f"h{number % 3}", user=("ann", None, "")[number % 3]),
            )
            for item in of_job
        ]
    return events


def in_memory(store, project, view):
    data = store.queries.leaderboard(project)
    with store.queries.board(project, view) as board:
        unfinished = board.unfinished()
    return MemoryBoard(project, data.keys, data.jobs, data.settings, view.batch, lambda: unfinished)


numbered = itertools.count()


NO_NUMBER = [
    (None, None, None, {}, False, 0),
    ("a", None, None, {"MSE": 0.5}, False, 0),
    ("a", "a", None, {"MSE": True}, False, 0),
    ("b", None, None, {"MSE": 0.5}, False, 0),
]


@given(jobs=jobs, view=views, page=st.integers(1, 3), few=st.sampled_from([0, 2, 2000]))
@example(jobs=NO_NUMBER, view=View(group="job"), page=1, few=0)  # the only dataset with a name has no number
@settings(
    max_examples=examples(120), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
def test_every_view_is_the_one_that_is_ranked_in_memory(store, jobs, view, page, few):
    project = f"p{next(numbered)}"
    fill(store, project, jobs)
    expected = in_memory(store, project, view)

    with store.queries.board(project, view) as board:
        board.few = few
        whole, leads = rank(view, board), leader(view, board)
        named = {field: board.names(field) for field in FACETS}
        one = View(sort=view.sort, order=view.order, then=view.then, page=page)
        paged = rank(one, board, page_rows=3)

    assert whole == rank(view, expected)
    assert leads == leader(view, expected)
    assert named == {field: expected.names(field) for field in FACETS}
    if view.group == "job":
        assert [row.rank for row in whole.rows] == [rank for rank, _ in Ranking(view, expected).raw()]
    if view.group == "job" and not view.batch:
        assert paged == rank(one, expected, page_rows=3)


def told_later(project, number, kind):
    """Return one more event of a job, which may be on the board already, or not yet."""
    batch, name = f"b{number % 2}", f"j{number}"
    later = {"at": 200 + number, "batch": batch, "project": project}
    told = {
        "epoch": lambda: event("job_epoch", name, epoch=3, val_loss=0.5, **later),
        "log": lambda: event("log_line", name, line="text", **later),
        "moves": lambda: event("job_start", name, **{**later, "at": 60}, model="a", dataset="moved", seed=2),
        "again": lambda: event("job_start", name, **later),
        "better": lambda: done(name, **later, MSE=-3.0, accuracy=3.0),
        "ends": lambda: event("batch_done", **later),
    }[kind]()
    return structs.replace(told, source=Source(project=project, host="h later"))


@given(
    jobs=jobs,
    looks=st.lists(views, min_size=2, max_size=5),
    later=st.lists(
        st.tuples(
            st.integers(0, 6),
            st.sampled_from(["epoch", "log", "moves", "again", "better", "ends", "settings", "rebuild"]),
        ),
        max_size=6,
    ),
    random=st.randoms(use_true_random=False),
)
@settings(
    max_examples=examples(80), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
def test_what_is_remembered_of_a_board_is_true_after_every_event(store, jobs, looks, later, random):
    project = f"p{next(numbered)}"
    news = [*events_of(project, jobs), *later]
    random.shuffle(news)
    store.add_events(
        [start("known", "b", "moved", 0, project=project), done("known", project=project, MSE=1)]
    )

    for place, item in enumerate(news):
        if not isinstance(item, tuple):
            store.add_events([item])
        elif item[1] == "rebuild":
            store.rebuild(project)
        elif item[1] == "settings":
            alias = Settings(metrics={"mine": MetricSetting(alias_of="MSE")} if item[0] % 2 else {})
            store.settings.change(project, lambda _, alias=alias: alias)
        else:
            store.add_events([told_later(project, *item)])
        view = looks[place % len(looks)]
        with store.queries.board(project, view) as board:
            found, leads = rank(view, board), leader(view, board)
        expected = in_memory(store, project, view)
        assert found == rank(view, expected)
        assert leads == leader(view, expected)


def test_a_job_that_turns_out_to_be_of_another_dataset_is_best_there_and_no_longer_here(store):
    for name, dataset, value in (("x", "d", 1.0), ("y", "d", 2.0), ("z", "d", 3.0), ("w", "e", 5.0)):
        store.add_events([start(name, name, dataset, 0), done(name, at=9, MSE=value)])

    def marks():
        with store.queries.board("p", View()) as board:
            return {row.job_id: row.cells["MSE"].mark for row in rank(View(), board).rows}

    assert marks() == {"x": "best", "y": "second", "z": "", "w": ""}
    store.add_events([start("x", "x", "e", 0, at=5)])
    assert marks() == {"x": "best", "y": "best", "z": "second", "w": "second"}


def test_a_look_after_a_result_walks_no_event_that_is_older(store):
    if store._reader.dialect.name != "sqlite":
        return  # where few events are, PostgreSQL reads them all; the indexes are the same

    def look():
        with store.queries.board("p", View()) as board:
            return rank(View(), board)

    store.add_events([start("x", "x", "d", 0), done("x", at=9, MSE=1.0)])
    look()
    plans = plans_of_reads(store, "event")
    store.add_events([start("y", "y", "d", 0), done("y", at=9, MSE=2.0)])
    look()

    assert len(plans) == 2
    assert "(project_id=? AND seq>? AND seq<?)" in plans[0]
    assert "ix_event_said (project_id=? AND batch_id=? AND job_id=? AND event_type=?)" in plans[1]


def test_how_many_rows_pass_follows_every_result_and_no_other_job_is_read_for_them(store):
    view = View(model=("a",), where=(Condition.parse("MSE<0.5"),), sort="MSE")

    def passing():
        wanted = Wanted(model=view.model, conditions=view.where)
        with store.queries.board("p", view) as board:
            counted = board.total(wanted)  # by the database
        with store.queries.board("p", view) as board:
            assert rank(view, board).total == counted  # by reading them
        return counted

    store.add_events([start("x", "a", "d", 0), done("x", at=9, MSE=0.25)])
    store.add_events([start("z", "b", "d", 0), done("z", at=9, MSE=0.25)])
    assert passing() == 1
    store.add_events([start("y", "a", "d", 1), done("y", at=9, MSE=0.125)])
    assert passing() == 2
    if store._reader.dialect.name == "sqlite":  # few as they are here, PostgreSQL reads them all
        plans = plans_of_reads(store, "job")
        assert passing() == 2
        reads = [step for plan in plans for step in plan.splitlines() if "job_metric" not in step]
        assert reads
        assert not [plan for plan in reads if "ix_job_standing" in plan and "standing=?" not in plan], reads


def test_a_result_among_many_changes_the_columns_that_it_has_a_say_in(store):
    first = [("a", f"d{i % 70}", i, {"MSE": 100.0 + i / 7, "mine": i / 3}, False, 0) for i in range(230)]
    fill(store, "p", first)
    view = View(sort="MSE")

    def agree():
        with store.queries.board("p", view) as board:
            found = rank(view, board, page_rows=300)
        expected = rank(view, in_memory(store, "p", view), page_rows=300)
        assert found == expected
        return found

    before = agree()
    store.add_events([start("new", "b", "d1", 0), done("new", at=500, MSE=100.0000004, mine=0.0)])
    close = agree()
    store.add_events([start("odd", "b", "d2", 0), done("odd", at=501, rare=1234.5)])
    rare = agree()
    with store.queries.board("p", view) as board:
        named = sorted((job_number(row.batch_id, row.job_id), row.job_id) for row in rare.rows)
        lowest = next(row for row in rare.rows if row.job_id == named[0][1])
        assert board.sample()["MSE"]
    huge = done(lowest.job_id, at=3000, batch=lowest.batch_id, MSE=0.5, mine=1.0)
    store.add_events([huge])
    agree()

    assert close != before
    assert "rare" in {column.key for column in rare.columns}


def test_the_latest_job_that_is_not_done_says_why_a_cell_is_missing(store):
    store.add_events(
        [
            *(
                start(f"{kind}", model=f"m {kind}", dataset="d", seed=0)
                for kind in ("failed", "running", "twice")
            ),
            failed("failed", "CUDA out of memory", at=5),
            event("job_epoch", "running", at=5, epoch=0),
            failed("twice", "first", at=5),
            start("again", model="m twice", dataset="d", seed=1, at=6),
            failed("again", "second", at=7),
            start("fast", model="m fast", dataset="d", seed=0, fast_dev_run=True),
            start("other", model="m other", dataset="d", seed=0, batch="b2"),
            start("done", model="m done", dataset="d", seed=0),
            done("done", MSE=0.5),
        ]
    )

    with store.queries.board("p", View(group="model")) as board:
        found = board.unfinished()
    with store.queries.board("p", View(group="model", batch=("b2",))) as board:
        of_batch = board.unfinished()

    assert {cell[0]: (one.job_id, one.status, one.reason) for cell, one in found.items()} == {
        "m failed": ("failed", "failed", "CUDA out of memory"),
        "m running": ("running", "running", None),
        "m twice": ("again", "failed", "second"),
        "m other": ("other", "running", None),
    }
    assert {cell[0] for cell in of_batch} == {"m other"}


@pytest.mark.parametrize("sort", ["MSE", "accuracy", "mine"])
def test_following_the_cursors_shows_every_row_once(store, sort):
    values = [0.5, 0.5, "NaN", None, 0.25, 0.5, "NaN", None, 1.5, 0.75]
    for number, value in enumerate(values):
        metrics = {} if value is None else {sort: value}
        store.add_events(
            [
                start(f"j{number}", model=f"m{number % 4}", dataset="d", seed=number % 2),
                done(f"j{number}", at=number, other=1, **metrics),
            ]
        )

    for order, q in itertools.product(("asc", "desc"), ("", "j")):
        view = View(sort=sort, order=order, q=q)
        seen, after = [], ""
        with store.queries.board("p", view) as board:
            whole = rank(view, board)
            while True:
                page = rank(View(sort=sort, order=order, q=q, after=after), board, page_rows=3)
                seen += page.rows
                if not (after := page.next):
                    break

        assert {row.job_id for row in seen} == {f"j{number}" for number in range(10)}, view
        assert [row.cells[sort].raw for row in seen] == [row.cells[sort].raw for row in whole.rows], view
        older = [[row.superseded_by is None for row in rows] for rows in (seen, whole.rows)]
        assert older[0] == older[1], view


def test_a_job_counts_again_when_the_later_one_turns_out_to_have_failed(store):
    one = {"model": "m", "dataset": "d", "seed": 0}
    store.add_events([start("old", **one), done("old", at=1, MSE=1.0)])
    store.add_events([start("new", **one), done("new", at=2, MSE=2.0)])

    def board():
        with store.queries.board("p", View()) as board:
            return [(row.job_id, row.rank, row.superseded_by) for row in rank(View(), board).rows]

    assert board() == [("new", 1, None), ("old", None, ("b", "new"))]
    store.add_events([failed("new", at=3)])
    assert board() == [("old", 1, None)]
    store.add_events([start("other", model="m", dataset="d", seed=1), done("other", MSE=0.5)])
    assert board() == [("other", 1, None), ("old", 2, None)]


def test_making_the_projections_anew_changes_nothing(store):
    fill(store, "p", [("a", "d", seed, {"MSE": seed / 3}, False, 0) for seed in (0, 1, 1)])

    def everything():
        with store.queries.board("p", View()) as board:
            table = rank(View(), board)
        return table, store.queries.job_counts("p"), store.queries.leaderboard("p")

    before = everything()
    told = []

    assert store.rebuild("p", lambda *progress: told.append(progress)) == 6
    assert everything() == before
    assert told == [("p", 6, 6)]


def test_text_is_looked_for_among_more_names_than_a_statement_has_parameters(store):
    names = [f"É{number}" for number in range(1500)]
    for first in range(0, 1500, 500):
        some = names[first : first + 500]
        store.add_events([e for name in some for e in (start(name, name, "d", 0), done(name, MSE=1.0))])

    with store.queries.board("p", View(q="é")) as board:
        assert board.total(Wanted(text="é")) == 1500
        assert board.total(Wanted(text="é12")) == 111


def test_no_name_and_an_empty_one_are_counted_together(store):
    users = (None, "", "ann", "")
    events = [
        e for number in range(4) for e in (start(f"j{number}", "m", "d", number), done(f"j{number}", MSE=1))
    ]
    store.add_events(
        [
            structs.replace(event, source=structs.replace(event.source, user=users[index // 2]))
            for index, event in enumerate(events)
        ]
    )

    store.rebuild("p")

    with store.queries.board("p", View()) as board:
        assert board.names("user") == [("", 3), ("ann", 1)]
        assert board.total(Wanted(user=("",))) == 3
