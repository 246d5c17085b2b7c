import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from unit.server.wire import body

from argus_server.sharing import Shared
from argus_server.weighed import weight_of


def shared(most_bytes=100_000):
    return Shared(most_bytes)


def asked_by_many(answers, make, many=6):
    """Return what each of several threads gets that ask while the first of them is answered."""
    waiting = threading.Semaphore(0)

    def ask(number):
        waiting.release()
        try:
            return answers.get("a", lambda: make(number))
        except OSError as error:
            return str(error)

    with ThreadPoolExecutor(many) as pool:
        futures = [pool.submit(ask, number) for number in range(many)]
        for _ in range(many):
            waiting.acquire()
        return [future.result() for future in futures]


def test_what_many_ask_for_at_once_is_made_once():
    answers, made = shared(), []
    everybody = threading.Event()
    threading.Timer(0.2, everybody.set).start()

    def make(number):
        made.append(number)
        everybody.wait(10)
        return f"made by {number}"

    found = asked_by_many(answers, make)

    assert len(made) == 1
    assert set(found) == {f"made by {made[0]}"}


def test_where_the_first_fails_the_others_make_it_themselves():
    answers = shared()
    tried = []

    def make(number):
        tried.append(number)
        if len(tried) == 1:
            raise OSError("away")
        return "made"

    found = asked_by_many(answers, make)

    assert sorted(found) == ["away", *["made"] * 5]


def test_a_failure_is_not_remembered():
    answers = shared()
    with pytest.raises(OSError, match="away"):
        asked_with(answers, OSError("away"))

    assert answers.get("a", lambda: "made") == "made"


def asked_with(answers, error):
    def fail():
        raise error

    return answers.get("a", fail)


def test_answers_that_take_more_than_there_may_be_go_or_are_not_kept():
    answers, made = shared(most_bytes=50_000), []

    def ask(name, size=20_000):
        return answers.get(name, lambda: made.append(name) or name * size)

    for name in "abac":  # the third answer pushes out b, for which nobody has asked since
        ask(name)
    for name in "acb":
        ask(name)
    for _ in range(2):
        assert ask("x", 60_000) == "x" * 60_000

    assert made == ["a", "b", "c", "b", "x", "x"]


def test_who_asks_with_a_long_query_fills_no_memory(make_server):
    server = make_server()
    server.send(body("job_start", "a", model="m", dataset="x", seed=3))
    server.send(body("job_done", "a", metrics={"MSE": 0.1}))

    for number in range(40):
        server.page(f"/p/p/leaderboard?q={number}{'x' * 40_000}")

    assert server.client.app.state.boards.weight <= 16 * 1024 * 1024
    assert weight_of([*server.client.app.state.boards._made._kept.values()]) < 20 * 1024 * 1024
