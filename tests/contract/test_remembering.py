"""What a process remembers of all boards together takes no more memory than it may, and is never outdated."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy.event import listen
from unit.server.wire import done, start

from argus_server.ranking.leader import leader
from argus_server.ranking.models import model_board
from argus_server.ranking.pairs import rank_pairs
from argus_server.ranking.pareto import rank_pareto
from argus_server.ranking.rank import rank
from argus_server.ranking.sensitivity import rank_sensitivity
from argus_server.ranking.view import View

MODELS, DATASETS = ("a", "b", "c"), ("d", "e", "f", "g")
VIEWS = [
    View(),
    View(sort="mine", q="a"),
    View(group="cell"),
    View(group="cell", metric="mine", seeds="best"),
    View(group="model"),
    View(group="model", metric="mine"),
    View(group="model", seeds="best", missing="shared"),
    View(group="model", metric="mine", seeds="best", dataset=("d", "e")),
]


def fill(store, project, shift=0.0):
    events = []
    for place, (model, dataset) in enumerate((model, dataset) for model in MODELS for dataset in DATASETS):
        for seed in (0, 1):
            name, value = f"{model}{dataset}{seed}", place * 7 % 5 + seed / 3 + shift
            events += [
                start(name, model, dataset, seed, project=project),
                done(name, project=project, MSE=value, mine=1 / (1 + value), Latency_P50=value / 9),
            ]
    store.add_events(events)


def look(store, project, view):
    """Return all that is shown of a view."""
    with store.queries.board(project, view) as board:
        found = [rank(view, board), leader(view, board), board.names("model")]
        if view.group == "model":
            whole = model_board(view, board)
            found += [whole.metric, whole.notes, rank_pareto(view, board), rank_sensitivity(view, board)]
            found.append(rank_pairs(view, board))
        return found


class Maker:
    """Makes answers, and counts how often each was made."""

    def __init__(self, store):
        self.store = store
        self.made = []

    def ask(self, project, size=40_000, name="mine"):
        def make():
            self.made.append(project)
            return f"{project} {name}".ljust(size)

        with self.store.queries.board(project, View()) as board:
            answer = board.memo(name, make)
        assert answer == f"{project} {name}".ljust(size)


PROJECTS = [f"p{number}" for number in range(6)]


def fill_few(store):
    for name in PROJECTS:
        store.add_events([start("x", "m", "d", 0, project=name), done("x", project=name, MSE=1.0)])


def test_every_view_is_the_same_whatever_was_forgotten(new_database, new_store):
    place = new_database()
    roomy = new_store(place)
    for number in range(3):
        fill(roomy, f"p{number}", shift=number)
    asked = [(f"p{number}", view) for number in range(3) for view in VIEWS]
    expected = [look(roomy, *one) for one in asked]

    for bound in (0, 30_000, 200_000):
        tight = new_store(place, remembered_bytes=bound)
        for _ in range(2):
            for one, wanted in zip(asked, expected, strict=True):
                assert look(tight, *one) == wanted, bound
                assert tight.queries.remembered_bytes <= bound

    assert [look(roomy, *one) for one in asked] == expected
    assert roomy.queries.remembered_bytes > 200_000


def test_the_answers_that_were_not_asked_for_longest_are_forgotten_first(new_database, new_store):
    maker = Maker(new_store(new_database(), remembered_bytes=200_000))
    fill_few(maker.store)

    for _ in range(2):
        for project in PROJECTS[:4]:
            maker.ask(project)
        assert maker.made == PROJECTS[:4], "four answers have room"
    for project in (PROJECTS[0], PROJECTS[4], PROJECTS[5]):
        maker.ask(project)
    assert maker.store.queries.remembered_bytes <= 200_000

    maker.made.clear()
    for project in (PROJECTS[0], PROJECTS[5], PROJECTS[4], PROJECTS[1]):
        maker.ask(project)
    assert maker.made == [PROJECTS[1]]


def test_an_answer_that_is_heavier_than_all_there_may_be_is_given_and_pushes_nothing_out(
    new_database, new_store
):
    maker = Maker(new_store(new_database(), remembered_bytes=100_000))
    fill_few(maker.store)
    maker.ask("p0")
    before = maker.store.queries.remembered_bytes

    maker.ask("p0", size=100_001, name="heavy")
    maker.ask("p0", size=100_001, name="heavy")
    maker.ask("p0")

    assert maker.made == ["p0", "p0", "p0"]
    assert maker.store.queries.remembered_bytes == before


def test_long_texts_weigh_what_they_are_long(new_store, new_database):
    store = new_store(new_database(), remembered_bytes=2_000_000)
    view = View(group="cell")
    for number in range(6):
        project = f"p{number}"
        store.add_events(
            [
                start(f"{number}", "m", "d", 0, project=project),
                done(f"{number}", project=project, said="é" * 600_000),
            ]
        )
        look(store, project, view)

        assert store.queries.remembered_bytes <= 2_000_000
    with store.queries.board("p5", view) as board:
        before = store.queries.remembered_bytes
        assert before > 600_000
        assert board.everything().jobs[0].metrics["said"] == "é" * 600_000
        assert store.queries.remembered_bytes == before


def test_what_is_remembered_of_a_board_goes_when_a_result_changes_it(store):
    fill(store, "p")
    for _ in range(2):
        for view in VIEWS:
            look(store, "p", view)
    before = store.queries.remembered_bytes

    for number in range(5):
        store.add_events([start(f"n{number}", "n", "d", number), done(f"n{number}", MSE=0.5 + number)])
        for view in VIEWS:
            look(store, "p", view)

    assert before < store.queries.remembered_bytes < 1.5 * before


def test_a_reader_of_an_older_moment_neither_gets_what_is_newer_nor_takes_its_place(store):
    fill(store, "p")
    later = []

    def counted(board):
        return sum(n for _, n in board.names("model"))

    def ask(board, name):
        return board.memo(name, lambda: counted(board))

    def add_a_job(_connection, _cursor, statement, *_):
        """Let another reader see a later board before this one has looked at its own."""
        if "FROM event" in statement and not later:
            later.append("a later board")
            store.add_events([start("later", "n", "d", 1), done("later", MSE=0.5)])
            with store.queries.board("p", View()) as new:
                later.append(ask(new, "asked"))

    with store.queries.board("p", View()) as first:
        assert ask(first, "asked") == 24
    store.add_events([start("new", "n", "d", 0), done("new", MSE=0.5)])
    listen(store._reader, "after_cursor_execute", add_a_job)
    with store.queries.board("p", View()) as old:
        assert later == ["a later board", 26]
        assert ask(old, "asked") == ask(old, "asked later") == 25
        with store.queries.board("p", View()) as newest:
            assert newest.memo("asked", lambda: pytest.fail("it is known")) == 26
            assert ask(newest, "asked later") == 26
        assert ask(old, "asked") == ask(old, "asked later") == 25


def test_what_a_reader_of_an_older_moment_works_out_takes_no_room_from_what_is_remembered(
    new_database, new_store
):
    maker = Maker(new_store(new_database(), remembered_bytes=100_000))
    store = maker.store
    fill_few(store)
    maker.ask("p1")

    with store.queries.board("p0", View()) as old:
        store.add_events([start("y", "n", "d", 0, project="p0"), done("y", project="p0", MSE=0.5)])
        with store.queries.board("p0", View()):
            before = store.queries.remembered_bytes
        for name in ("one", "two", "three"):
            assert old.memo(name, lambda: "x" * 40_000) == "x" * 40_000
        assert old.memo("three", lambda: pytest.fail("it is known")) == "x" * 40_000
        assert store.queries.remembered_bytes == before

    maker.ask("p1")
    assert maker.made == ["p1"]


def test_nobody_waits_while_an_answer_is_worked_out(store):
    fill_few(store)
    begun, may_end = threading.Event(), threading.Event()

    def slow():
        begun.set()
        assert may_end.wait(30)
        return "slow"

    def ask_slowly():
        with store.queries.board("p0", View()) as board:
            return board.memo("slow", slow)

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ask_slowly)
        assert begun.wait(30)
        for project in ("p0", "p1"):
            with store.queries.board(project, View()) as board:
                assert board.memo("quick", lambda: "quick") == "quick"
                assert rank(View(), board).total == 1
        with store.queries.board("p0", View()) as board:
            assert board.memo("slow", lambda: "made twice") == "made twice"
        may_end.set()

        assert waiting.result(30) == "slow"


def test_many_threads_that_ask_for_more_than_there_is_room_for_all_get_their_answers(new_database, new_store):
    place = new_database()
    roomy, tight = new_store(place), new_store(place, remembered_bytes=150_000)
    for number in range(3):
        fill(roomy, f"p{number}", shift=number)
    asked = [(f"p{number}", view) for number in range(3) for view in VIEWS]
    expected = [look(roomy, *one) for one in asked]

    def ask_all(first):
        order = [*range(first, len(asked)), *range(first)]
        found = {place: look(tight, *asked[place]) for place in order}
        return [found[place] for place in range(len(asked))]

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask_all, (0, 6, 12, 18)))

    assert all(found == expected for found in answers)
    assert 0 < tight.queries.remembered_bytes <= 150_000
