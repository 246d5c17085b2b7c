"""What an answer is said to weigh is what it takes of the memory."""

import gc
import random
import tracemalloc

import numpy as np
import pytest
from unit.server.wire import done, start

from argus_server.ranking.aggregate import cell_entries
from argus_server.ranking.board import MemoryBoard
from argus_server.ranking.leader import leader
from argus_server.ranking.pairs import rank_pairs
from argus_server.ranking.rank import rank
from argus_server.ranking.table import Cell, DoneJob
from argus_server.ranking.view import View
from argus_server.storage.store import open_store
from argus_server.weighed import weight_of

VIEWS = [View(), View(group="cell"), View(group="model"), View(group="model", metric="Latency_P50")]
KINDS = {
    "usual": lambda numbers: {},
    "many metrics": lambda numbers: {f"m{place}": numbers.random() for place in range(260)},
    "long names": lambda numbers: {f"{place}".ljust(200, "n"): numbers.random() for place in range(20)},
    "long texts": lambda numbers: {
        "said": str(numbers.random()) * 1000,
        "é": str(numbers.random()) + "é" * 9000,
    },
    "lists": lambda numbers: {"list": [numbers.random() for _ in range(300)]},
    "large integers": lambda numbers: {f"i{place}": 10**300 + place for place in range(20)},
}


def look(store, project):
    for view in VIEWS:
        with store.queries.board(project, view) as board:
            rank(view, board)
            leader(view, board)
            if view.group == "model":
                rank_pairs(view, board)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_remembered_of_a_board_weighs_no_less_than_it_takes_and_not_much_more(
    kind, tmp_path, new_sqlite
):
    store = open_store(new_sqlite(tmp_path / "argus.sqlite3"))
    numbers = random.Random(1)
    for project in ("warm", "weighed"):
        for number in range(40):
            place = {"model": f"m{number % 5}", "dataset": f"d{number // 5 % 4}", "seed": number // 20}
            own = {"MSE": numbers.random(), "Latency_P50": numbers.random(), **KINDS[kind](numbers)}
            name = f"j{number}"
            store.add_events([start(name, project=project, **place), done(name, project=project, **own)])
    look(store, "warm")  # statements and templates are compiled once

    gc.collect()
    before = store.queries.remembered_bytes
    tracemalloc.start()
    try:
        look(store, "weighed")
        gc.collect()
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
        store.close()
    weight = store.queries.remembered_bytes - before

    assert 0.95 * taken < weight < 3 * taken, f"{weight} bytes are said, {taken} are taken"


def jobs_of(names):
    numbers = random.Random(1)
    return [
        DoneJob(
            f"batch {number}",
            f"job {number}",
            f"m{number % 5}",
            f"d{number % 40}",
            "0",
            own,
            0,
            host=f"h{number}",
        )
        for number in range(200)
        for own in [{name: numbers.random() for name in names(number)}]
    ]


MADE = {
    "jobs": lambda: MemoryBoard("p", [], jobs_of(lambda _: ("MSE", "MAE", "R2"))),
    "jobs with metrics of their own": lambda: MemoryBoard(
        "p", [], jobs_of(lambda number: [f"{number} {place}" for place in range(30)])
    ),
    "cells": lambda: cell_entries(KNOWN),
    "cells of a table": lambda: [
        Cell(number / 7, f"{number / 7:.9f}", number / 7, number / 9, 3, 0, f"± {number / 9:.3f}")
        for number in range(999)
    ],
    "cells of a table with texts": lambda: [
        Cell([f"{number}" * 90], f"{number}" * 100) for number in range(999)
    ],
}
KNOWN = jobs_of(lambda _: [f"m{place}" for place in range(20)])


@pytest.mark.parametrize("kind", MADE)
def test_what_there_are_many_of_weighs_what_it_takes(kind):
    MADE[kind]()
    gc.collect()
    tracemalloc.start()
    try:
        made = MADE[kind]()
        gc.collect()
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()

    assert 0.95 * taken < weight_of(made) < 2.2 * taken, (
        f"{weight_of(made)} bytes are said, {taken} are taken"
    )


def test_parts_weigh_once_and_a_walk_that_knows_enough_ends():
    text = "t" * 1000
    array = np.zeros(1000)

    assert weight_of([text, [text, {"key": text}]]) < 2000
    assert weight_of([array[:3], array[5:]]) - weight_of([]) in range(8000, 8600)
    assert weight_of([None, True, 7, len, int]) < 200
    assert 32_000 <= weight_of([float(number) for number in range(1000)]) < 42_000
    assert weight_of([[f"{number}" for number in range(100)] for _ in range(1000)], most=10_000) < 20_000
