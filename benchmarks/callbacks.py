"""What `ArgusCallback` costs a training, beside no callback and the frameworks' own.

    python benchmarks/callbacks.py                 # all frameworks, each in a process of its own
    python benchmarks/callbacks.py lightning       # one; the others: see FRAMEWORKS

Prints a table, and the rows for RESULTS.md. Goals of the project: p50 of the time in our hooks per training
step ≤ 2 µs, added wall time on an epoch of 2,000 steps ≤ 0.5 %, each `job_epoch` ≤ 500 µs, and Keras on JAX
dispatches asynchronously during `fit`.

Machines are noisy, and whole fits differ by more than 0.5 % with nothing changed. So the added time is
measured step by step: in one fit the callback is in the framework's list at every other step (Keras: in
every other ten), the next fit at those between, and a step with it is compared with its two neighbours
without. To the median of these ratios comes what the hooks take once in a fit or an epoch, over the length of
the fit. A step is measured in CPU time of the process, all its threads included: other processes cannot
stretch that. Whole fits stand beside it, each between two without any callback. ± is the standard error of
the median, over pairs of fits. "An empty callback" has no hook of its own, and "an empty hook" does nothing:
they show what a framework takes for calling any callback, and what this machine takes for any call in the
middle of a training. With Keras on a backend that dispatches asynchronously, hooks per step run in a thread
pool, not in the thread that trains.

The models are such that a step takes about 1 ms or more in every framework. JAX, which is faster, has a
larger one, and beside it the small one of the others: of its steps of 0.2 ms an empty hook is 0.4 %, so it
has no goal.

TensorBoard is measured where its package is installed, which needs nothing of ours.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import io
import itertools
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

STEPS = 2000
SHORTEST_S = 1.0  # a shorter fit has steps of less than 0.5 ms, of which any call is a large part
ROUNDS = 5
PAIRS_OF_FITS = 12
EPOCHS = 200
BATCH, WIDTH, HIDDEN = 8, 64, 512
DOWN = "http://127.0.0.1:9"
FRAMEWORKS = ("lightning", "transformers", "keras-torch", "keras-jax", "keras-jax-small")
HAS_TENSORBOARD = importlib.util.find_spec("tensorboard") is not None

Side = dict[str, Any]
"""What a fit is given: `callbacks`, and for Lightning a `logger`."""


# --- timing -----------------------------------------------------------------------------------------


def clock_cost_ns() -> int:
    """Return what a pair of clock readings measures around nothing."""
    pairs = []
    for _ in range(10_000):
        start = time.perf_counter_ns()
        pairs.append(time.perf_counter_ns() - start)
    return int(statistics.median(pairs))


CLOCK_NS = clock_cost_ns()


class Stopwatch:
    """The time inside each call of some methods of one object, less the clock's own.

    Attributes:
        calls: nanoseconds of each call.
        threads: the threads that called.
    """

    def __init__(self, target: object, names: list[str]) -> None:
        self.calls: dict[str, list[int]] = {name: [] for name in names}
        self.threads: dict[str, set[int]] = {name: set() for name in names}
        for name in names:
            setattr(target, name, self._timed(getattr(target, name), self.calls[name], self.threads[name]))

    def _timed(
        self, method: Callable[..., Any], calls_ns: list[int], threads: set[int]
    ) -> Callable[..., Any]:
        now, thread = time.perf_counter_ns, threading.get_ident

        @functools.wraps(method)
        def timed(*args: Any, **kwargs: Any) -> Any:
            start = now()
            result = method(*args, **kwargs)
            calls_ns.append(now() - start - CLOCK_NS)
            threads.add(thread())
            return result

        return timed

    @property
    def total_ns(self) -> int:
        return sum(map(sum, self.calls.values()))


def overridden(callback: object, base: type) -> list[str]:
    """Return the hooks that the callback has made its own."""
    return [
        name
        for name in dir(base)
        if name.startswith("on_") and getattr(type(callback), name) is not getattr(base, name)
    ]


def percentiles(samples_ns: list[int]) -> tuple[float, float]:
    """Return p50 and p95 in µs."""
    ordered = sorted(samples_ns)
    return ordered[len(ordered) // 2] / 1e3, ordered[int(len(ordered) * 0.95)] / 1e3


def median_and_error(values: list[float]) -> tuple[float, float]:
    """Return the median and its standard error, from the median deviation."""
    median = statistics.median(values)
    deviation = 1.4826 * statistics.median(abs(value - median) for value in values)
    return median, 1.2533 * deviation / len(values) ** 0.5


class Metronome:
    """Ticks at the begin of every step, and lets the callback take part in every other block of steps.

    Every odd block or every even one: a training has rhythms of its own, and one of two steps would be
    taken for the callback's. The mean of the two phases is free of it.
    """

    def __init__(self, callback: object, block: int, phase: int) -> None:
        self.listed: list[object] = []
        self._callback = callback
        self._block = block
        self._phase = phase
        self._marks_ns: list[int] = []

    def tick(self) -> None:
        block, step = divmod(len(self._marks_ns), self._block)
        if step == 0:
            if self._callback in self.listed:
                self.listed.remove(self._callback)
            if block % 2 == self._phase:
                self.listed.append(self._callback)
        self._marks_ns.append(time.process_time_ns())

    def ratio(self) -> float:
        """Return what a block with the callback took more than its neighbours without, the median of all."""
        marks = self._marks_ns[:: self._block]
        took = [after - before for before, after in itertools.pairwise(marks)]
        blocks = range(2 + self._phase, len(took) - 1, 2)
        return statistics.median(2 * took[i] / (took[i - 1] + took[i + 1]) - 1 for i in blocks)


def nothing() -> None:
    """Stand where a metronome may."""


# --- the frameworks: how to fit, and what to fit with ----------------------------------------------------


class Lightning:
    per_step = ("on_train_batch_end",)
    built_in_per_step = "Timer"
    built_in_per_epoch = "CSVLogger.log_metrics"

    def __init__(self) -> None:
        import lightning.pytorch as pl
        import torch
        from lightning.pytorch.callbacks import Timer
        from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
        from torch.utils.data import DataLoader, TensorDataset

        from argus_integrations.lightning import ArgusCallback

        class Module(pl.LightningModule):
            def __init__(self) -> None:
                super().__init__()
                self.tick: Callable[[], None] = nothing
                self.net = torch.nn.Sequential(
                    torch.nn.Linear(WIDTH, HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, 1)
                )

            def training_step(self, batch: Any) -> Any:
                self.tick()
                x, y = batch
                loss = torch.nn.functional.mse_loss(self.net(x), y)
                self.log("train_loss", loss, on_step=False, on_epoch=True)
                return loss

            def on_train_epoch_end(self) -> None:
                self.log_dict({f"metric_{i}": torch.tensor(0.1 * i) for i in range(6)})

            def configure_optimizers(self) -> Any:
                return torch.optim.SGD(self.parameters(), 1e-3)

        torch.set_num_threads(1)
        self.argus, self.base = ArgusCallback, pl.Callback
        self._pl, self._module = pl, Module()
        self._csv, self._tensorboard = CSVLogger, TensorBoardLogger
        self._timer = Timer
        self._directory = tempfile.mkdtemp()
        x, y = torch.randn(STEPS * BATCH, WIDTH), torch.randn(STEPS * BATCH, 1)
        self._loaders = {
            steps: DataLoader(TensorDataset(x[: steps * BATCH], y[: steps * BATCH]), BATCH)
            for steps in (STEPS, 1)
        }

    def sides(self) -> dict[str, Callable[[], Side]]:
        sides: dict[str, Callable[[], Side]] = {
            "ArgusCallback": lambda: {"callbacks": [self.argus(url=DOWN)]},
            "an empty callback": lambda: {"callbacks": [self.base()]},
            "CSVLogger": lambda: {"logger": self._csv(self._directory)},
        }
        if HAS_TENSORBOARD:
            sides["TensorBoardLogger"] = lambda: {"logger": self._tensorboard(self._directory)}
        return sides

    def built_in_step_callback(self) -> object:
        return self._timer(duration="10:00:00:00", interval="step")

    def built_in_per_epoch_calls(self, epochs: int) -> list[int]:
        logger = self._csv(self._directory, flush_logs_every_n_steps=1)
        watch = Stopwatch(logger, ["log_metrics"])
        self.fitting({"logger": logger}, 1, epochs)()
        return watch.calls["log_metrics"]

    def fitting(
        self, side: Side, steps: int, epochs: int = 1, metronome: Metronome | None = None
    ) -> Callable[[], object]:
        trainer = self._pl.Trainer(
            max_epochs=epochs,
            accelerator="cpu",
            devices=1,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            **{"logger": False, **side},
        )
        if metronome is not None:
            metronome.listed = trainer.callbacks
        self._module.tick = metronome.tick if metronome is not None else nothing
        return functools.partial(trainer.fit, self._module, self._loaders[steps])


class Transformers:
    per_step = ("on_step_end",)
    built_in_per_step = "DefaultFlowCallback"
    built_in_per_epoch = "PrinterCallback"

    def __init__(self) -> None:
        import torch
        import transformers
        from transformers.trainer_callback import DefaultFlowCallback, PrinterCallback

        from argus_integrations.transformers import ArgusCallback

        class Model(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.tick: Callable[[], None] = nothing
                self.net = torch.nn.Sequential(
                    torch.nn.Linear(WIDTH, HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, 1)
                )

            def forward(self, x: Any, labels: Any = None) -> Any:
                self.tick()
                out = self.net(x)
                return {"loss": torch.nn.functional.mse_loss(out, labels), "logits": out}

        class Data(torch.utils.data.Dataset):  # type: ignore[type-arg]
            def __init__(self, steps: int) -> None:
                self.steps = steps
                self.item = {"x": torch.randn(WIDTH), "labels": torch.randn(1)}

            def __len__(self) -> int:
                return self.steps * BATCH

            def __getitem__(self, index: int) -> Any:
                return self.item

        torch.set_num_threads(1)
        transformers.logging.set_verbosity_error()
        self.argus, self.base = ArgusCallback, transformers.TrainerCallback
        self._transformers, self._model, self._data = transformers, Model(), Data
        self._flow, self._printer = DefaultFlowCallback, PrinterCallback
        self._directory = tempfile.mkdtemp()

    def sides(self) -> dict[str, Callable[[], Side]]:
        sides: dict[str, Callable[[], Side]] = {
            "ArgusCallback": lambda: {"callbacks": [self.argus(url=DOWN)]},
            "an empty callback": lambda: {"callbacks": [self.base()]},
            "PrinterCallback": lambda: {"callbacks": [self._printer()]},
        }
        if HAS_TENSORBOARD:
            tensorboard = self._transformers.integrations.TensorBoardCallback
            sides["TensorBoardCallback"] = lambda: {"callbacks": [tensorboard()]}
        return sides

    def built_in_step_callback(self) -> object:
        return self._flow()

    def built_in_per_epoch_calls(self, epochs: int) -> list[int]:
        printer = self._printer()
        watch = Stopwatch(printer, ["on_log"])
        self.fitting({"callbacks": [printer]}, 1, epochs)()
        return watch.calls["on_log"]

    def fitting(
        self, side: Side, steps: int, epochs: int = 1, metronome: Metronome | None = None
    ) -> Callable[[], object]:
        arguments = self._transformers.TrainingArguments(
            self._directory,
            num_train_epochs=epochs,
            per_device_train_batch_size=BATCH,
            logging_strategy="epoch",
            save_strategy="no",
            report_to=[],
            use_cpu=True,
            disable_tqdm=True,
        )
        trainer = self._transformers.Trainer(self._model, arguments, train_dataset=self._data(steps), **side)
        trainer.remove_callback(self._transformers.PrinterCallback)
        for callback in side.get("callbacks", ()):
            if isinstance(callback, self._printer):
                trainer.add_callback(callback)
        if metronome is not None:
            metronome.listed = trainer.callback_handler.callbacks
        self._model.tick = metronome.tick if metronome is not None else nothing
        return trainer.train


class Keras:
    per_step = ("on_train_batch_end", "on_batch_end")
    built_in_per_step = "TerminateOnNaN"
    built_in_per_epoch = "CSVLogger"

    def __init__(self, backend: str, batch: int = BATCH, hidden: int = HIDDEN) -> None:
        os.environ["KERAS_BACKEND"] = backend
        self._batch = batch
        import keras
        import numpy as np

        from argus_integrations.keras import ArgusCallback

        if backend == "torch":
            import torch

            torch.set_num_threads(1)
        self.argus, self.base = ArgusCallback, keras.callbacks.Callback
        self._keras = keras
        self._csv_path = f"{tempfile.mkdtemp()}/log.csv"
        self._model = keras.Sequential(
            [keras.layers.Input((WIDTH,)), keras.layers.Dense(hidden, "relu"), keras.layers.Dense(1)]
        )
        self._model.compile(keras.optimizers.SGD(1e-3), "mse", metrics=["mae"])
        self._x = np.random.default_rng(0).standard_normal((STEPS * batch, WIDTH), dtype="float32")
        self._y = self._x[:, :1].copy()

    def sides(self) -> dict[str, Callable[[], Side]]:
        return {
            "ArgusCallback": lambda: {"callbacks": [self.argus(url=DOWN)]},
            "an empty callback": lambda: {"callbacks": [self.base()]},
            "CSVLogger": lambda: {"callbacks": [self._keras.callbacks.CSVLogger(self._csv_path)]},
            "TerminateOnNaN": lambda: {"callbacks": [self._keras.callbacks.TerminateOnNaN()]},
        }

    def built_in_step_callback(self) -> object:
        return self._keras.callbacks.TerminateOnNaN()

    def built_in_per_epoch_calls(self, epochs: int) -> list[int]:
        logger = self._keras.callbacks.CSVLogger(self._csv_path)
        watch = Stopwatch(logger, ["on_epoch_end"])
        self.fitting({"callbacks": [logger]}, 1, epochs)()
        return watch.calls["on_epoch_end"]

    def fitting(
        self, side: Side, steps: int, epochs: int = 1, metronome: Metronome | None = None
    ) -> Callable[[], object]:
        samples = steps * self._batch

        def fit() -> None:
            with self._ticking(metronome):
                self._model.fit(
                    self._x[:samples],
                    self._y[:samples],
                    epochs=epochs,
                    batch_size=self._batch,
                    shuffle=False,
                    verbose=0,
                    **side,
                )

        return fit

    @contextlib.contextmanager
    def _ticking(self, metronome: Metronome | None) -> Iterator[None]:
        if metronome is None:
            yield
            return
        train_function = self._model.train_function

        def ticking(*args: Any) -> Any:
            metronome.tick()
            return train_function(*args)

        def started(callback_list: Any) -> None:
            metronome.listed = callback_list.callbacks

        self._model.train_function = ticking
        with self._watching_callback_lists(started):
            yield
        self._model.train_function = train_function

    @contextlib.contextmanager
    def _watching_callback_lists(self, watcher: Callable[[Any], None]) -> Iterator[None]:
        lists = self._keras.callbacks.CallbackList
        original = lists._configure_async_dispatch

        def configured(callback_list: Any, callbacks: Any) -> None:
            original(callback_list, callbacks)
            watcher(callback_list)

        lists._configure_async_dispatch = configured
        yield
        lists._configure_async_dispatch = original

    def dispatches_asynchronously(self) -> bool:
        """Whether batch hooks stay out of the training thread during a fit with our callback."""
        callback, seen = self.argus(), []
        with self._watching_callback_lists(lambda callback_list: seen.append(callback_list._async_train)):
            self.fitting({"callbacks": [callback]}, 1)()
        callback.close()
        return seen == [True]


Framework = Lightning | Transformers | Keras


def framework_called(name: str) -> Framework:
    if name == "lightning":
        return Lightning()
    if name == "transformers":
        return Transformers()
    if name == "keras-torch":
        return Keras("torch")
    return Keras("jax") if name == "keras-jax-small" else Keras("jax", batch=64, hidden=4096)


# --- the three measurements -------------------------------------------------------------------------------


def closed(side: Side) -> None:
    for callback in side.get("callbacks", ()):
        if hasattr(callback, "batch_id"):
            callback.close()


def time_per_step(framework: Framework, callback: Any) -> dict[str, Any]:
    """Fit once, and return what the hooks took: a call per step, and those once in a fit as a share of it."""
    hooks = overridden(callback, framework.base)
    watch = Stopwatch(callback, hooks)
    fit = framework.fitting({"callbacks": [callback]}, STEPS)
    start = time.perf_counter_ns()
    fit()
    took_ns = time.perf_counter_ns() - start
    closed({"callbacks": [callback]})
    hook = next(name for name in framework.per_step if name in watch.calls)
    per_step = watch.calls[hook]
    p50, p95 = percentiles(per_step)
    once_ns = watch.total_ns - sum(per_step)
    return {
        "p50": p50,
        "p95": p95,
        "once": once_ns / took_ns,
        "share": watch.total_ns / took_ns,
        "in_training_thread": threading.get_ident() in watch.threads[hook],
    }


def empty_hook(framework: Framework) -> Any:
    def hook(*_args: Any, **_kwargs: Any) -> None:
        """Take what any hook takes."""

    hooks = dict.fromkeys(framework.per_step[:1], hook)
    return type("Empty", (framework.base,), {**hooks, "async_safe": True})()


def steps(framework: Framework) -> dict[str, dict[str, float]]:
    """Time the hooks per step of ours and of a callback of the framework's, in turns."""
    sides: dict[str, Callable[[], Any]] = {
        "ArgusCallback": lambda: framework.argus(url=DOWN),
        framework.built_in_per_step: framework.built_in_step_callback,
        "an empty hook": lambda: empty_hook(framework),
    }
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
    for _ in range(2):
        for name, new_callback in sides.items():
            runs[name].append(time_per_step(framework, new_callback()))
    return {
        name: {key: statistics.median(run[key] for run in of_side) for key in of_side[0]}
        for name, of_side in runs.items()
    }


def added_per_step(framework: Framework) -> dict[str, tuple[float, float]]:
    """Return what a step with a callback takes more than one without, as a ratio with its error."""
    new_callback = {"ArgusCallback": lambda: framework.argus(url=DOWN), "an empty callback": framework.base}
    ratios: dict[str, list[float]] = {name: [] for name in new_callback}
    block = 10 if isinstance(framework, Keras) else 1

    def ratio(callback: object, phase: int) -> float:
        metronome = Metronome(callback, block, phase)
        framework.fitting({"callbacks": [callback]}, STEPS, metronome=metronome)()
        closed({"callbacks": [callback]})
        return metronome.ratio()

    for _ in range(PAIRS_OF_FITS):
        for name, new in new_callback.items():
            ratios[name].append((ratio(new(), 0) + ratio(new(), 1)) / 2)
    return {name: median_and_error(of_side) for name, of_side in ratios.items()}


def added(framework: Framework) -> dict[str, Any]:
    """Fit one epoch with each side, each between two fits with none."""

    def seconds(side: Side) -> tuple[float, float]:
        fit = framework.fitting(side, STEPS)
        wall, cpu = time.perf_counter(), time.process_time()
        fit()
        took = time.perf_counter() - wall, time.process_time() - cpu
        closed(side)
        return took

    sides = framework.sides()
    ratios: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    epochs_s = []
    for _ in range(ROUNDS):
        before = seconds({})
        for name, new_side in sides.items():
            took, after = seconds(new_side()), seconds({})
            ratios[name].append(
                (2 * took[0] / (before[0] + after[0]) - 1, 2 * took[1] / (before[1] + after[1]) - 1)
            )
            before = after
            epochs_s.append(after[0])
    return {
        "none_s": statistics.median(epochs_s),
        "sides": {
            name: {
                "wall": median_and_error([wall for wall, _ in pairs]),
                "cpu": median_and_error([cpu for _, cpu in pairs]),
            }
            for name, pairs in ratios.items()
        },
    }


def epochs(framework: Framework) -> dict[str, tuple[float, float]]:
    """Time all that we do in an epoch of one step: the hooks of the epoch, and `emit` to the journal."""
    runs: dict[str, list[tuple[float, float]]] = {}
    for _ in range(3):
        for label, url in (("no server", None), ("server down", DOWN)):
            callback = framework.argus(url=url)
            runs.setdefault(f"ArgusCallback, {label}", []).append(time_per_epoch(framework, callback))
        built_in = percentiles(framework.built_in_per_epoch_calls(EPOCHS))
        runs.setdefault(framework.built_in_per_epoch, []).append(built_in)
    return {
        name: (statistics.median(p50 for p50, _ in pairs), statistics.median(p95 for _, p95 in pairs))
        for name, pairs in runs.items()
    }


def time_per_epoch(framework: Framework, callback: Any) -> tuple[float, float]:
    watch = Stopwatch(callback, overridden(callback, framework.base))
    fit = framework.fitting({"callbacks": [callback]}, 1, EPOCHS)
    fit()
    callback.close()
    per_epoch = [calls for calls in watch.calls.values() if EPOCHS <= len(calls) <= EPOCHS + 1]
    return percentiles([sum(calls) for calls in zip(*per_epoch, strict=False)])


def measured(name: str) -> dict[str, Any]:
    """Measure one framework in this process."""
    os.environ["ARGUS_HOME"] = tempfile.mkdtemp()
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    warnings.simplefilter("ignore")
    with contextlib.redirect_stdout(io.StringIO()):
        framework = framework_called(name)
        logging.disable(logging.WARNING)
        for new_side in ({}.copy, *framework.sides().values()):
            side = new_side()
            framework.fitting(side, 1)()
            closed(side)
        result: dict[str, Any] = {
            "steps": steps(framework),
            "epochs": epochs(framework),
            "paired": added_per_step(framework),
            "added": added(framework),
        }
        if isinstance(framework, Keras):
            result["async"] = framework.dispatches_asynchronously()
    return result


# --- the table ----------------------------------------------------------------------------------------------


def rows(name: str, result: dict[str, Any]) -> list[tuple[str, str, str, str, bool | None]]:
    """Return what, figure, beside, goal, and whether it is met."""
    ours = result["steps"].pop("ArgusCallback")
    others = ", ".join(
        f"{key} {side['p50']:.2f} µs (p95 {side['p95']:.2f})" for key, side in result["steps"].items()
    )
    figure = f"{ours['p50']:.2f} µs (p95 {ours['p95']:.2f})"
    if ours["in_training_thread"]:
        row = f"{name}, hook per step, p50", figure, others, "≤ 2 µs", ours["p50"] <= 2
    else:
        row = (
            f"{name}, hook per step",
            "never in the thread that trains",
            f"in others {figure}; {others}",
            "≤ 2 µs",
            True,
        )
    table: list[tuple[str, str, str, str, bool | None]] = [row]
    per_step, error = result["paired"]["ArgusCallback"]
    empty, empty_error = result["paired"]["an empty callback"]
    total = per_step + ours["once"]
    none_s = result["added"]["none_s"]
    table.append(
        (
            f"{name}, added to a fit of one epoch ({none_s:.2f} s)",
            f"{total:+.2%} ± {error:.2%}",
            f"{ours['once']:.2%} of it once; inside our hooks {ours['share']:.2%}; "
            f"an empty callback {empty:+.2%} ± {empty_error:.2%}",
            "≤ 0.5 %" if none_s >= SHORTEST_S else "",
            total <= 0.005 if none_s >= SHORTEST_S else None,
        )
    )
    whole = {
        key: f"{side['wall'][0]:+.1%} ± {side['wall'][1]:.1%} (CPU {side['cpu'][0]:+.1%})"
        for key, side in result["added"]["sides"].items()
    }
    figure = whole.pop("ArgusCallback")
    others = ", ".join(f"{key} {value}" for key, value in whole.items())
    table.append((f"{name}, whole fits", figure, others, "", None))
    *of_ours, (beside_epoch, (built_in_us, _)) = result["epochs"].items()
    for key, (p50, p95) in of_ours:
        table.append(
            (
                f"{name}, an epoch with its `job_epoch`, {key.removeprefix('ArgusCallback, ')}",
                f"{p50:.0f} µs (p95 {p95:.0f})",
                f"{beside_epoch} {built_in_us:.0f} µs",
                "≤ 500 µs",
                p50 <= 500,
            )
        )
    if "async" in result:
        table.append((f"{name}, asynchronous dispatch", str(result["async"]), "", "True", result["async"]))
    return table


VERDICT = {True: "met", False: "MISSED", None: ""}


def main() -> None:
    """Measure what was asked for, and print it."""
    if unknown := set(sys.argv[1:]) - set(FRAMEWORKS):
        raise SystemExit(f"not a framework: {', '.join(sorted(unknown))}; there are {', '.join(FRAMEWORKS)}")
    print("| what | figure | beside | goal | |\n|---|---|---|---|---|")
    for name in sys.argv[1:] or FRAMEWORKS:
        child = subprocess.run(
            [sys.executable, __file__, "--measure", name], stdout=subprocess.PIPE, text=True, check=True
        )
        for what, figure, beside, goal, met in rows(name, json.loads(child.stdout.splitlines()[-1])):
            print(f"| {what} | {figure} | {beside} | {goal} | {VERDICT[met]} |", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measured(sys.argv[2])))
    else:
        main()
