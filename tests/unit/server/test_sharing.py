import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from argus_server.sharing import Shared


def shared(most_bytes=1000):
    return Shared(most_bytes, len)


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


def test_the_answers_that_were_not_asked_for_longest_go_first():
    answers, made = shared(most_bytes=10), []

    def ask(name):
        return answers.get(name, lambda: made.append(name) or name * 4)

    for name in "abac":  # the third pushes out b, which nobody has asked for since
        ask(name)
    for name in "acb":
        ask(name)

    assert made == ["a", "b", "c", "b"]


def test_an_answer_that_is_too_heavy_is_given_and_not_kept():
    answers, made = shared(most_bytes=10), []

    for _ in range(2):
        assert answers.get("a", lambda: made.append(1) or "x" * 11) == "x" * 11
    assert answers.get("b", lambda: "y") == "y"

    assert len(made) == 2
