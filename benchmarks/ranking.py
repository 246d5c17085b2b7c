"""What a table of models costs: cold, unchanged, under each policy; and on a board of 100,000 jobs.

    python benchmarks/ranking.py [--jobs 100000] [--rounds 9]

Goals for 30 models × 40 datasets × 3 seeds × 20 metrics: computed in 300 ms cold, 20 ms unchanged. The
store is a real SQLite file, and both are what a page asks for: the board from the database, and `rank`. Cold
is a new `Queries`, that remembers nothing. The yardstick in the same run: the load of the jobs by itself, and
SciPy's own Wilcoxon test.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import boards
import numpy as np
from boards import fill
from scipy import stats

from argus_server.ranking.rank import rank
from argus_server.ranking.view import View
from argus_server.storage.queries import Queries
from argus_server.storage.store import SqlStore

MODELS, DATASETS, SEEDS = 30, 40, 3
VIEW = View(group="model", metric="MSE", baseline="model-0")


def board_of_models(path: Path, models: int, datasets: int, seeds: int) -> SqlStore:
    """Return a store with a job for each (model, dataset, seed); models grow worse by number."""
    boards.MODELS, boards.DATASETS = models, datasets
    numbers = random.Random(7)
    plain = boards.metrics_of

    def metrics_of(_: random.Random) -> dict[str, float]:
        metrics_of.number += 1  # type: ignore[attr-defined]
        metrics = plain(numbers)
        model = (metrics_of.number - 1) % models  # type: ignore[attr-defined]
        metrics["MSE"] = (1 + 0.02 * model) * numbers.lognormvariate(0, 0.1)
        return metrics

    metrics_of.number = 0  # type: ignore[attr-defined]
    boards.metrics_of = metrics_of
    try:
        return fill(str(path), models * datasets * seeds)
    finally:
        boards.metrics_of = plain


def time_ms(work: Callable[[], object]) -> tuple[float, float]:
    """Return how long it took, and how long this thread computed: on a busy machine these differ."""
    start, computed = time.perf_counter(), time.thread_time()
    work()
    return (time.perf_counter() - start) * 1e3, (time.thread_time() - computed) * 1e3


def asked(queries: Queries, view: View) -> None:
    with queries.board("bench", view) as board:
        rank(view, board)


def loaded(queries: Queries) -> None:
    with queries.board("bench", VIEW) as board:
        board.everything()


def row(what: str, times: list[tuple[float, float]], goal: float | None = None) -> None:
    taken, computed = (statistics.median(some) for some in zip(*times, strict=True))
    worst = max(taken for taken, _ in times)
    verdict = "" if goal is None else f"{goal:g} ms | " + ("met" if taken <= goal else "**MISSED**")
    print(f"| {what} | {taken:.1f} ms | {computed:.1f} ms | {worst:.1f} ms | {verdict or ' | '} |")


def measure(store: SqlStore, rounds: int) -> None:
    def fresh() -> Queries:
        return Queries(store.queries._engine)

    def times(view: View, those: list[Queries]) -> list[tuple[float, float]]:
        return [time_ms(partial(asked, one, view)) for one in those]

    def new() -> list[Queries]:
        return [fresh() for _ in range(rounds)]

    asked(fresh(), VIEW)  # imports, tables of distributions
    row("load the jobs only", [time_ms(partial(loaded, one)) for one in new()])
    known = new()
    row("models, cold", times(VIEW, known), 300)
    row("models, unchanged", times(VIEW, known), 20)
    for missing in ("shared", "pairwise", "impute:worst"):
        row(f"models, {missing}, jobs at hand", times(replace(VIEW, missing=missing), known))  # type: ignore[arg-type]
    row("cells, cold", times(replace(VIEW, group="cell"), new()))


HEAD = "| what | p50 | of it computing | worst | goal | |\n|---|---|---|---|---|---|"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    a, b = np.random.default_rng(1).normal(size=(2, DATASETS))
    print(HEAD)
    row("yardstick: one Wilcoxon test by SciPy", [time_ms(lambda: stats.wilcoxon(a, b)) for _ in range(20)])
    with tempfile.TemporaryDirectory() as directory:
        store = board_of_models(Path(directory) / "models.sqlite3", MODELS, DATASETS, SEEDS)
        measure(store, arguments.rounds)
        store.close()
        if arguments.jobs:
            print(f"\n{arguments.jobs:,} jobs:\n\n{HEAD}")
            seeds = arguments.jobs // (MODELS * DATASETS)
            store = board_of_models(Path(directory) / "large.sqlite3", MODELS, DATASETS, seeds)
            one = Queries(store.queries._engine)
            row("models, cold", [time_ms(lambda: asked(one, VIEW))])
            row("models, unchanged", [time_ms(lambda: asked(one, VIEW)) for _ in range(5)])
            row("models, pairwise", [time_ms(lambda: asked(one, replace(VIEW, missing="pairwise")))])
            store.close()


if __name__ == "__main__":
    main()
