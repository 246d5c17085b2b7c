"""`argus demo`: the whole way from three training scripts to a leaderboard."""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console

    from argus_core import Reporter
    from argus_integrations.demo.series import Series
    from argus_integrations.demo.server import DemoServer

__all__ = ["PROJECT", "demo"]

PROJECT = "demo"

_NEEDS = {
    "lightning": "lightning",
    "transformers": "transformers",
    "keras": "keras",
    "statsmodels": "the data",
    "torch": "training",
    "litestar": "the server",
}

Train = Callable[[str, "Series", int, int, "Reporter"], None]


@dataclass(frozen=True)
class Framework:
    """One framework of the demo: its models by name, and how it trains one of them."""

    name: str
    models: list[str]
    train: Train
    epochs: int


@dataclass(frozen=True)
class Plan:
    """What is trained: every model on each of `datasets`, `seeds` times, for `epochs` or its own count."""

    datasets: list[str]
    seeds: int
    epochs: int | None


@click.command()
@click.option(
    "--serve/--no-serve", "keeps_serving", default=True, help="Keep serving until Ctrl-C (default)."
)
@click.option("--port", default=0, show_default="a free one", help="Port of the server, on 127.0.0.1.")
@click.option(
    "--database", type=click.Path(path_type=Path, dir_okay=False), help="Keep the SQLite file here."
)
@click.option("--seeds", default=3, show_default=True, type=click.IntRange(1, 20), help="Seeds per model.")
@click.option("--datasets", default="sunspots,co2,elnino", show_default=True, help="Which data sets.")
@click.option(
    "--epochs", type=click.IntRange(1, 1000), help="Epochs per job, instead of each framework's own."
)
def demo(
    keeps_serving: bool, port: int, database: Path | None, seeds: int, datasets: str, epochs: int | None
) -> None:
    """Train six models with Lightning, Transformers and Keras, and rank them.

    Starts a server on a free port with a fresh SQLite file, trains on three real time series that
    come with a package, prints the leaderboard, and serves it until Ctrl-C.
    """
    _check_installed()
    from rich.console import Console

    from argus_integrations.demo import board
    from argus_integrations.demo.series import DATASETS
    from argus_integrations.demo.server import serve

    chosen = [name.strip() for name in datasets.split(",") if name.strip()]
    if unknown := [name for name in chosen if name not in DATASETS]:
        raise click.UsageError(f"no such data set: {', '.join(unknown)}; there are {', '.join(DATASETS)}")
    if database is not None and database.exists():
        raise click.UsageError(f"{database} exists; the demo wants a fresh file")
    console, plan = Console(), Plan(chosen, seeds, epochs)
    try:
        with ExitStack() as stack:
            stack.enter_context(_terminable())
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="argus-demo-")))
            server = stack.enter_context(serve(database or directory / "demo.sqlite3", PROJECT, port=port))
            _say_url(console, "Server on a fresh SQLite file:", server.url)
            _say_url(console, "Watch it fill:", server.sign_in_url)
            frameworks = _train_all(console, server, directory, plan)
            console.print()
            board.show(console, server, PROJECT, chosen, frameworks)
            console.print(_LEGEND)
            if keeps_serving:
                _say_url(console, "\nThe whole board:", f"{server.url}/p/{PROJECT}/leaderboard")
                _say_url(console, "Sign in once:", server.new_sign_in_url())
                kept = (
                    f"the data stay in {database}"
                    if database
                    else "its data go with it; --database keeps them"
                )
                console.print(f"Serving until Ctrl-C ({kept}).", highlight=False, soft_wrap=True)
                threading.Event().wait()
    except KeyboardInterrupt:
        console.print("\nStopped.")
    except RuntimeError as error:
        raise click.ClickException(str(error)) from None


_LEGEND = (
    "Mean ± std over seeds on the held-out tail; bold is best, underlined second. "
    "MSE, MAE and RMSE are in standard deviations of the training part."
)


def _say_url(console: Console, what: str, url: str) -> None:
    console.print(what, url, highlight=False, soft_wrap=True)


def _train_all(console: Console, server: DemoServer, directory: Path, plan: Plan) -> dict[str, str]:
    """Train every (model, dataset, seed), and return what trained each model."""
    from argus_integrations.demo import baseline
    from argus_integrations.demo.progress import Progress
    from argus_integrations.demo.series import load

    with _quiet(), _journal_in(directory), console.status("Importing Lightning, Transformers and Keras"):
        frameworks = _frameworks()
    seeds = range(plan.seeds)
    jobs = [(f, m, d, s) for d in plan.datasets for f in frameworks for m in f.models for s in seeds]
    n_total = len(jobs) + len(plan.datasets)
    with (
        _quiet(),
        _journal_in(directory),
        Progress(console, n_total) as progress,
        _reporter(server, n_total) as reporter,
    ):
        for dataset in plan.datasets:
            progress.says(f"{baseline.NAME} on {dataset}")
            baseline.run(load(dataset), reporter)
        for framework, model, dataset, seed in jobs:
            epochs = plan.epochs or framework.epochs
            progress.says(f"{framework.name}: {model} on {dataset}, seed {seed}", epochs=epochs)
            framework.train(model, load(dataset), seed, epochs, reporter)
        progress.says("all trained")
        if not reporter.flush(30):
            raise RuntimeError(f"the server at {server.url} did not take every event")
    server.set_baseline(PROJECT, baseline.NAME)
    return {model: framework.name for framework in frameworks for model in framework.models}


def _reporter(server: DemoServer, n_total: int) -> Reporter:
    from argus_core import Reporter

    return Reporter(
        "demo",
        project=PROJECT,
        n_total=n_total,
        command="argus demo",
        url=server.url,
        token=server.token,
    )


def _frameworks() -> list[Framework]:
    """Import the frameworks; it takes some seconds."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import torch

    torch.set_num_threads(1)  # the models are tiny: threads would only wait for each other
    from argus_integrations.demo import with_keras, with_lightning, with_transformers

    return [
        Framework("Lightning", list(with_lightning.MODELS), with_lightning.train, 40),
        Framework("Transformers", list(with_transformers.MODELS), with_transformers.train, 30),
        Framework("Keras", list(with_keras.MODELS), with_keras.train, 30),
    ]


def _check_installed() -> None:
    missing = [name for name in _NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise click.ClickException(
            f"the demo needs {', '.join(missing)}: pip install 'argus-leaderboard[demo]' brings them"
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the frameworks' own banners and warnings out of the progress bars."""
    names = ["lightning", "lightning.pytorch", "lightning.fabric", "transformers", "keras"]
    levels = {name: logging.getLogger(name).level for name in names}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in names:
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)


@contextmanager
def _journal_in(directory: Path) -> Iterator[None]:
    """Keep the demo's journal beside its database, and another run's settings out of it."""
    saved = {name: value for name, value in os.environ.items() if name.startswith("ARGUS_")}
    for name in saved:
        del os.environ[name]
    os.environ["ARGUS_HOME"] = str(directory)
    try:
        yield
    finally:
        del os.environ["ARGUS_HOME"]
        os.environ.update(saved)


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end the demo as Ctrl-C does, so that its server ends with it."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
