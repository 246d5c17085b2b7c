"""What a job costs: time, throughput, memory, utilisation, as columns of the leaderboard.

::

    with Footprint(model=model, seed=0) as footprint:
        with footprint.train():
            for epoch in range(epochs):
                with footprint.epoch():
                    for x, y in loader:
                        train_step(x, y)
                        footprint.step(samples=len(x))
        with footprint.test():
            for x, y in test_loader:
                with footprint.batch(samples=len(x)):
                    model(x)
    job.done({"MSE": mse, **footprint.metrics()})

Times are in seconds, memory in MB (10^6 bytes), utilisation in percent. What cannot be measured is absent and
never 0. Memory stays constant for any number of batches. Training is never synchronised with a GPU;
frameworks are only looked up in `sys.modules`.
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

__all__ = ["Footprint", "Quantiles", "SyncCuda", "model_footprint"]

SyncCuda = Literal["events", "sync", "off"]
"""How a test batch is timed on CUDA: by event pairs, by waiting for the device, or not at all."""

_MB = 1e6
_WARMUP_NEEDS_BATCHES = 10


class Quantiles:
    """Percentiles of a stream of positive numbers, in constant memory.

    The first 1024 values are kept, so their percentiles are exact; after that a logarithmic
    histogram (as in DDSketch) answers with a relative error of 0.5 % at most. Interpolates linearly
    between neighbours, as NumPy does by default.
    """

    _KEEP = 1024
    _ACCURACY = 0.005
    _GAMMA = (1 + _ACCURACY) / (1 - _ACCURACY)
    _LOG_GAMMA = math.log(_GAMMA)
    _SMALLEST = 1e-9

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0
        self._kept: list[float] = []
        self._bins: dict[int, int] = {}

    def add(self, value: float) -> None:
        """Take one value into account; about half a microsecond."""
        self.count += 1
        self.total += value
        if self.count <= self._KEEP:
            self._kept.append(value)
            return
        if self._kept:
            self._spill()
        self._count(value)

    def _spill(self) -> None:
        for value in self._kept:
            self._count(value)
        self._kept = []

    def _count(self, value: float) -> None:
        index = math.ceil(math.log(max(value, self._SMALLEST)) / self._LOG_GAMMA)
        self._bins[index] = self._bins.get(index, 0) + 1

    def quantile(self, q: float) -> float | None:
        """Return the q-quantile, 0 <= q <= 1, or None when there were no values."""
        if not self.count:
            return None
        position = q * (self.count - 1)
        below = math.floor(position)
        lower, upper = self._at_ranks(below, min(below + 1, self.count - 1))
        return lower + (upper - lower) * (position - below)

    def _at_ranks(self, first: int, second: int) -> tuple[float, float]:
        """Return the values that stand at two ranks, first <= second, of the sorted stream."""
        if self._kept:
            ordered = sorted(self._kept)
            return ordered[first], ordered[second]
        found: list[float] = []
        seen = 0
        for index in sorted(self._bins):
            seen += self._bins[index]
            while len(found) < 2 and (first, second)[len(found)] < seen:
                found.append(2 * self._GAMMA**index / (self._GAMMA + 1))
        return found[0], found[1]


class Footprint:
    """Measures one job: its training, and its latest test stage.

    All methods belong to the thread that trains. A second training adds to the first; a second test
    stage replaces the first. Not picklable while it measures; measurements travel by `state`.

    Attributes:
        latency_warmup: test batches left out of the latency percentiles (0 when there were few).
    """

    def __init__(
        self,
        model: Any = None,
        *,
        seed: int | None = None,
        latency_warmup: int = 1,
        sync_cuda: SyncCuda = "events",
        world_size: int = 1,
    ) -> None:
        """Measure nothing yet.

        Args:
            model: a PyTorch module or Keras model, for its size and its device.
            seed: reported as a column, so that a row says which repetition it is.
            latency_warmup: how many first test batches the percentiles leave out, given 10 or more:
                compilation and worker start-up would be all that P99 shows.
            sync_cuda: how test batches are timed on CUDA.
            world_size: processes that share the samples evenly.
        """
        self.model = model
        self.seed = seed
        self.world_size = max(1, world_size)
        self.latency_warmup = 0
        self._warmup = max(0, latency_warmup)
        self._sync_cuda: SyncCuda = sync_cuda
        self._train = _Training()
        self._test: _Testing | None = None
        self._last_test: dict[str, float] = {}
        self._load = _Load()
        self._gpu_sampler: _GpuSampler | None = None
        self._gpu_utilization: float | None = None

    # --- training -----------------------------------------------------------------------------

    def train_began(self) -> None:
        """Start the clock of a training stage, and the 1 Hz GPU sampler where there is NVML."""
        self._train.began()
        self._load.began()
        self._gpu_sampler = _GpuSampler.for_current_device()

    def train_ended(self) -> None:
        """Stop it; a second call, or one without a begin, does nothing."""
        if not self._train.ended():
            return
        self.sample_memory()
        self._load.ended()
        if self._gpu_sampler is not None:
            self._gpu_utilization = self._gpu_sampler.stop()
            self._gpu_sampler = None

    def epoch_began(self) -> None:
        """Start the clock of an epoch."""
        self._train.epoch_began()

    def epoch_ended(self) -> float | None:
        """Stop it and return the mean seconds per batch in this epoch, validation left out."""
        return self._train.epoch_ended()

    def validation_began(self) -> None:
        """Stop the clock of the epoch for a validation inside it."""
        self._train.validation_began()

    def validation_ended(self) -> None:
        """Let it run again."""
        self._train.validation_ended()

    def validation_took(self, seconds: float) -> None:
        """Take `seconds` of validation, measured by somebody else, off the running epoch."""
        self._train.validation_took(seconds)

    def step(self, samples: int = 0) -> None:
        """Count one training batch of this process; cheap enough for every step."""
        train = self._train
        train.epoch_batches += 1
        train.samples += samples
        if train.epoch_batches == 1:
            self.sample_memory()  # now, because data loader workers live inside an epoch only

    def trained_samples(self, samples: float) -> None:
        """Count samples of this process that `step` was not told about."""
        self._train.samples += samples

    # --- test ---------------------------------------------------------------------------------

    def test_began(self) -> None:
        """Start measuring a test stage; what an earlier one measured is replaced when this one ends."""
        if not self._load.has_measured:
            self._load.began()
        self._test = _Testing(self._warmup, _clock_for(self.model, self._sync_cuda))

    @property
    def is_testing(self) -> bool:
        """Whether a test stage is being measured."""
        return self._test is not None

    def adopt_test(self, other: Footprint) -> None:
        """Take over the test stage that `other` is measuring."""
        if other is not self:
            self._test, other._test = other._test, None

    def discard_test(self) -> None:
        """Forget the test stage that is being measured."""
        self._test = None

    def batch_began(self) -> None:
        """Start the clock of one test batch."""
        if self._test is not None:
            self._test.clock.begin()

    def batch_ended(self, samples: int = 0, batches: int = 1) -> None:
        """Stop it.

        Args:
            samples: samples of this process in the batch, 0 if unknown.
            batches: how many batches ran between begin and end (Keras `steps_per_execution`).
        """
        test = self._test
        if test is None:
            return
        test.add(test.clock.end(), batches)
        test.samples += samples
        if test.batches <= 1:
            self.sample_memory()

    def batch_marked(self) -> None:
        """Note that a test batch has ended, in a loop that does not say where batches begin."""
        test = self._test
        if test is None:
            return
        if test.marks == 0:
            self.sample_memory()
        test.mark()

    def test_ended(
        self,
        *,
        total_s: float | None = None,
        samples: float | None = None,
        latencies_are_valid: bool = True,
    ) -> None:
        """Close the test stage.

        Args:
            total_s: its duration as the framework measured it; default: the sum of the batches.
            samples: how many samples all processes tested; default: those of `batch_ended` x `world_size`.
            latencies_are_valid: False when batches overlapped: then only totals are kept.
        """
        test = self._test
        if test is None:
            return
        self._test = None
        test.finish(total_s)
        self.sample_memory()
        self._load.ended()
        total_s = total_s if total_s is not None else test.total_s
        samples = samples if samples is not None else test.samples * self.world_size
        self._last_test = _inference_columns(total_s, samples)
        if latencies_are_valid:
            self._last_test |= test.percentiles()
        self.latency_warmup = test.left_out if latencies_are_valid else 0

    # --- the context managers of custom loops ---------------------------------------------------

    def __enter__(self) -> Footprint:
        return self

    def __exit__(self, *exception: object) -> None:
        self.train_ended()

    @contextlib.contextmanager
    def train(self) -> Iterator[Footprint]:
        """Measure what happens inside as training."""
        self.train_began()
        try:
            yield self
        finally:
            self.train_ended()

    @contextlib.contextmanager
    def epoch(self) -> Iterator[Footprint]:
        """Measure what happens inside as one epoch."""
        self.epoch_began()
        try:
            yield self
        finally:
            self.epoch_ended()

    @contextlib.contextmanager
    def validation(self) -> Iterator[Footprint]:
        """Leave what happens inside out of the epoch's time."""
        self.validation_began()
        try:
            yield self
        finally:
            self.validation_ended()

    @contextlib.contextmanager
    def test(self) -> Iterator[Footprint]:
        """Measure what happens inside as the test stage; an exception leaves no measurement."""
        self.test_began()
        yield self
        self.test_ended()

    @contextlib.contextmanager
    def batch(self, samples: int = 0) -> Iterator[None]:
        """Measure one batch: its latency inside `test`, else it counts as a training batch."""
        if self._test is None:
            yield
            self.step(samples)
            return
        self.batch_began()
        yield
        self.batch_ended(samples)

    # --- results --------------------------------------------------------------------------------

    def sample_memory(self) -> None:
        """Note how much memory this process and its live children hold; about 50 microseconds on Linux."""
        self._load.sample_memory()

    def metrics(self) -> dict[str, float]:
        """Return the columns; what is unknown is absent, nothing is 0 for want of a measurement."""
        measured: dict[str, float | None] = {
            **self._train.columns(self.world_size),
            **self._last_test,
            **self._load.columns(),
            **_gpu_memory(),
            "GPU_Utilization": self._gpu_utilization,
            **model_footprint(self.model),
        }
        columns = {name: value for name, value in measured.items() if value}
        return columns if self.seed is None else {**columns, "seed": self.seed}

    def state(self) -> dict[str, Any]:
        """Return the training's measurements as plain data, for a test stage in another process."""
        return {"train": dict(vars(self._train)), "load": self._load.columns(), "gpu": self._gpu_utilization}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` of another process's footprint returned."""
        vars(self._train).update(state["train"])
        self._load.restore(state["load"])
        self._gpu_utilization = state["gpu"]


def model_footprint(model: Any) -> dict[str, float | None]:
    """Return `Model_Params`, `Model_Params_Trainable` where it differs, and `Model_Size` in MB.

    Understands Keras models and PyTorch modules; shared parameters count once. Empty for a model of
    another kind, or one whose layers do not know their shapes yet.
    """
    try:
        if callable(getattr(model, "count_params", None)):
            return _keras_model_footprint(model)
        if callable(getattr(model, "parameters", None)):
            return _torch_model_footprint(model)
    except Exception:  # noqa: BLE001 - lazy modules and unbuilt models raise whatever they like
        return {}
    return {}


def _torch_model_footprint(model: Any) -> dict[str, float | None]:
    parameters = list(model.parameters())
    total = sum(parameter.numel() for parameter in parameters)
    trainable = sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
    tensors = [*parameters, *model.buffers()]
    size_bytes = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    return {
        "Model_Params": total,
        "Model_Params_Trainable": trainable if trainable != total else None,
        "Model_Size": size_bytes / _MB,
    }


def _keras_model_footprint(model: Any) -> dict[str, float | None]:
    total = int(model.count_params())
    trainable = sum(math.prod(variable.shape) for variable in model.trainable_weights)
    size_bytes = sum(math.prod(weight.shape) * _bytes_per_number(weight.dtype) for weight in model.weights)
    return {
        "Model_Params": total,
        "Model_Params_Trainable": trainable if trainable != total else None,
        "Model_Size": size_bytes / _MB,
    }


def _bytes_per_number(dtype: object) -> float:
    """Return the size of a dtype by its name: `float32`, `bfloat16`, `int8`, `bool`."""
    bits = "".join(character for character in str(dtype).partition("_")[0] if character.isdigit())
    return int(bits) / 8 if bits else 1


def _inference_columns(total_s: float, samples: float) -> dict[str, float]:
    if total_s <= 0:
        return {}
    columns = {"Total_Inference_Time": total_s}
    if samples > 0:
        columns["Inference_Time_Per_Sample"] = total_s / samples
        columns["Inference_Throughput"] = samples / total_s
    return columns


# --- training -----------------------------------------------------------------------------------


class _Training:
    """Clocks and counts of training. Plain numbers only: `vars()` of it crosses processes."""

    def __init__(self) -> None:
        self.total_s = 0.0
        self.epochs = 0
        self.epochs_s = 0.0
        self.batches = 0
        self.samples = 0.0
        self.epoch_batches = 0
        self._began_at: float | None = None
        self._epoch_began_at: float | None = None
        self._validation_began_at: float | None = None
        self._validation_s = 0.0
        self._validation_total_s = 0.0

    def began(self) -> None:
        self._began_at = time.perf_counter()
        self._epoch_began_at = self._validation_began_at = None
        self.epoch_batches = 0

    def ended(self) -> bool:
        if self._began_at is None:
            return False
        self._close_epoch_batches()
        self.total_s += time.perf_counter() - self._began_at
        self._began_at = self._epoch_began_at = None
        return True

    def epoch_began(self) -> None:
        self._close_epoch_batches()
        self._epoch_began_at = time.perf_counter()
        self._validation_s = 0.0
        self._validation_began_at = None

    def epoch_ended(self) -> float | None:
        if self._epoch_began_at is None:
            return None
        self.validation_ended()
        epoch_s = max(0.0, time.perf_counter() - self._epoch_began_at - self._validation_s)
        self._epoch_began_at = None
        self.epochs += 1
        self.epochs_s += epoch_s
        batches = self._close_epoch_batches()
        return epoch_s / batches if batches else None

    def _close_epoch_batches(self) -> int:
        batches, self.epoch_batches = self.epoch_batches, 0
        self.batches += batches
        return batches

    def validation_began(self) -> None:
        self._validation_began_at = time.perf_counter()

    def validation_ended(self) -> None:
        if self._validation_began_at is not None:
            self.validation_took(time.perf_counter() - self._validation_began_at)
            self._validation_began_at = None

    def validation_took(self, seconds: float) -> None:
        self._validation_total_s += seconds
        if self._epoch_began_at is not None:
            self._validation_s += seconds

    def columns(self, world_size: int) -> dict[str, float | None]:
        """Return the training columns; a loop that never named its epochs has no `Avg_Epoch_Time`."""
        if not self.total_s:
            return {}
        busy_s = self.epochs_s if self.epochs else max(0.0, self.total_s - self._validation_total_s)
        batches = self.batches
        return {
            "Total_Train_Time": self.total_s,
            "Avg_Epoch_Time": self.epochs_s / self.epochs if self.epochs else None,
            "Avg_Batch_Time": busy_s / batches if batches else None,
            "Total_Batches": batches,
            "Samples_Per_Second": self.samples * world_size / busy_s if busy_s else None,
        }


# --- test ---------------------------------------------------------------------------------------


class _Testing:
    """Latencies of one test stage. The first batches wait aside until it is known how many there are."""

    def __init__(self, warmup: int, clock: _HostClock | _SyncClock | _EventClock) -> None:
        self.clock = clock
        self.batches = 0
        self.marks = 0
        self.samples = 0.0
        self.left_out = 0
        self._warmup = warmup
        self._first: list[float] = []
        self._latencies = Quantiles()
        self._first_mark_at: float | None = None

    def add(self, latencies_s: list[float], batches: int = 1) -> None:
        """Take over what the clock could tell so far; an event clock answers later, in order."""
        for latency_s in latencies_s:
            for _ in range(batches):
                self._add_one(latency_s / batches)

    def _add_one(self, latency_s: float) -> None:
        self.batches += 1
        if len(self._first) < self._warmup:
            self._first.append(latency_s)
        else:
            self._latencies.add(latency_s)

    def mark(self) -> None:
        self.marks += 1
        if self.marks == 1:
            # Its begin is known only at the end, from the duration; till then it stands for warm-up.
            self._first_mark_at = time.perf_counter()
            self._warmup = max(0, self._warmup - 1)
        else:
            self.add(self.clock.end())
        self.clock.begin()

    def finish(self, total_s: float | None) -> None:
        self.add(self.clock.drain())
        if self._first_mark_at is not None and total_s is not None:
            self._insert_first_mark(time.perf_counter() - total_s)
        if self.batches >= _WARMUP_NEEDS_BATCHES:
            self.left_out = len(self._first)
            return
        for latency_s in self._first:
            self._latencies.add(latency_s)

    def _insert_first_mark(self, began_at: float) -> None:
        assert self._first_mark_at is not None
        self.batches += 1
        self._first.insert(0, max(0.0, self._first_mark_at - began_at))

    @property
    def total_s(self) -> float:
        return self._latencies.total + (sum(self._first) if self.left_out else 0.0)

    def percentiles(self) -> dict[str, float]:
        found = {f"Latency_P{p}": self._latencies.quantile(p / 100) for p in (50, 95, 99)}
        return {name: value for name, value in found.items() if value}


class _HostClock:
    """Times batches on the host: exact where execution is synchronous."""

    def __init__(self) -> None:
        self._began_at: float | None = None

    def begin(self) -> None:
        self._began_at = time.perf_counter()

    def end(self) -> list[float]:
        """Return the latencies that are known by now, in seconds, in order."""
        if self._began_at is None:
            return []
        latency_s = time.perf_counter() - self._began_at
        self._began_at = None
        return [latency_s]

    def drain(self) -> list[float]:
        """Return the latencies still owed."""
        return []


class _SyncClock(_HostClock):
    """Waits for the device before and after each batch: latency of a single stream of requests."""

    def __init__(self, cuda: Any) -> None:
        super().__init__()
        self._cuda = cuda

    def begin(self) -> None:
        self._cuda.synchronize()
        super().begin()

    def end(self) -> list[float]:
        self._cuda.synchronize()
        return super().end()


class _EventClock:
    """Lets the GPU note the time before and after each batch, and reads it when it is there.

    Nothing waits for the device until `drain`. At most `_OPEN` pairs are in flight and their events
    are used again, so memory is constant.
    """

    _OPEN = 256

    def __init__(self, cuda: Any) -> None:
        self._cuda = cuda
        self._free: list[Any] = []
        self._open: deque[tuple[Any, Any]] = deque()
        self._start: Any = None

    def begin(self) -> None:
        self._start = self._free.pop() if self._free else self._cuda.Event(enable_timing=True)
        self._start.record()

    def end(self) -> list[float]:
        if self._start is None:
            return []
        stop = self._free.pop() if self._free else self._cuda.Event(enable_timing=True)
        stop.record()
        self._open.append((self._start, stop))
        self._start = None
        if len(self._open) > self._OPEN:
            self._open[0][1].synchronize()
            return self._ready()
        return []

    def _ready(self) -> list[float]:
        latencies_s: list[float] = []
        while self._open and self._open[0][1].query():
            start, stop = self._open.popleft()
            latencies_s.append(start.elapsed_time(stop) / 1e3)
            self._free += (start, stop)
        return latencies_s

    def drain(self) -> list[float]:
        if self._open:
            self._cuda.synchronize()
        return self._ready()


def _clock_for(model: Any, sync_cuda: SyncCuda) -> _HostClock | _SyncClock | _EventClock:
    cuda = _cuda()
    if cuda is None or sync_cuda == "off" or not _is_on_cuda(model):
        return _HostClock()
    return _EventClock(cuda) if sync_cuda == "events" else _SyncClock(cuda)


def _is_on_cuda(model: Any) -> bool:
    """Whether a PyTorch module computes on CUDA; assumed of a model that does not say."""
    parameters = getattr(model, "parameters", None)
    if not callable(parameters):
        return True
    first = next(iter(parameters()), None)
    return first is None or getattr(getattr(first, "device", None), "type", "cuda") == "cuda"


def _cuda() -> Any:
    """Return torch.cuda if this process has started it, else None: the question must not start it."""
    torch = sys.modules.get("torch")
    cuda = getattr(torch, "cuda", None)
    return cuda if cuda is not None and cuda.is_available() and cuda.is_initialized() else None


# --- the host -----------------------------------------------------------------------------------


class _Load:
    """CPU time and memory of the process tree, between begin and end."""

    def __init__(self) -> None:
        self.has_measured = False
        self._wall_s = 0.0
        self._cpu_s = 0.0
        self._began_at: tuple[float, float] | None = None
        self._peak_bytes = 0
        self._restored: dict[str, float | None] = {}

    def began(self) -> None:
        self._began_at = (time.perf_counter(), _cpu_seconds())

    def ended(self) -> None:
        if self._began_at is None:
            return
        wall_at, cpu_at = self._began_at
        self._began_at = None
        self._wall_s += time.perf_counter() - wall_at
        self._cpu_s += max(0.0, _cpu_seconds() - cpu_at)
        self.has_measured = True

    def sample_memory(self) -> None:
        self._peak_bytes = max(self._peak_bytes, _resident_bytes())

    def restore(self, columns: dict[str, float | None]) -> None:
        self._restored = columns
        self.has_measured = bool(columns)

    def columns(self) -> dict[str, float | None]:
        if self._restored:
            return self._restored
        cores = os.cpu_count() or 1
        return {
            "CPU_Memory": self._peak_bytes / _MB,
            "CPU_Utilization": 100 * self._cpu_s / self._wall_s / cores if self._wall_s else None,
        }


def _children() -> list[Any]:
    """Return the live descendants as psutil processes: data loader workers, mostly none.

    Linux names the children of each thread in a file: no need to look at every process of the host.
    """
    import psutil

    try:
        tasks = [task / "children" for task in Path("/proc/self/task").iterdir()]
        direct = [pid for task in tasks for pid in task.read_text().split()]
        if not direct:
            return []
    except OSError:
        pass
    try:
        return list(psutil.Process().children(recursive=True))
    except psutil.Error:
        return []


def _cpu_seconds() -> float:
    """Return the CPU seconds of this process, of its ended children and of those that live."""
    import psutil

    times = os.times()
    total = time.process_time() + times.children_user + times.children_system
    for child in _children():
        with contextlib.suppress(psutil.Error):
            used = child.cpu_times()
            total += used.user + used.system
    return total


def _resident_bytes() -> int:
    import psutil

    total = 0
    for process in (psutil.Process(), *_children()):
        with contextlib.suppress(psutil.Error):
            total += process.memory_info().rss
    return total


# --- the GPU ------------------------------------------------------------------------------------


def _gpu_memory() -> dict[str, float | None]:
    """Return what the framework's allocator holds and has held at most; its counters are not reset."""
    for ask in (_torch_gpu_bytes, _jax_gpu_bytes, _tensorflow_gpu_bytes):
        with contextlib.suppress(Exception):  # another framework's backend in any state
            current, peak = ask()
            if peak:
                return {"GPU_Memory": current / _MB, "GPU_Memory_Peak": peak / _MB}
    return {}


def _torch_gpu_bytes() -> tuple[int, int]:
    cuda = _cuda()
    return (0, 0) if cuda is None else (cuda.memory_allocated(), cuda.max_memory_allocated())


def _jax_gpu_bytes() -> tuple[int, int]:
    """Ask JAX only if its backends run already: the question would start them."""
    bridge = sys.modules.get("jax._src.xla_bridge")
    if bridge is None or not getattr(bridge, "_backends", None):
        return 0, 0
    device = sys.modules["jax"].local_devices()[0]
    if device.platform not in ("gpu", "cuda", "rocm"):
        return 0, 0
    stats = device.memory_stats() or {}
    return stats.get("bytes_in_use", 0), stats.get("peak_bytes_in_use", 0)


def _tensorflow_gpu_bytes() -> tuple[int, int]:
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is None or not tensorflow.config.list_logical_devices("GPU"):
        return 0, 0
    info = tensorflow.config.experimental.get_memory_info("GPU:0")
    return info["current"], info["peak"]


class _GpuSampler:
    """Reads the utilisation of one GPU once a second, in a daemon thread, until stopped."""

    _PERIOD_S = 1.0

    def __init__(self, nvml: Any, handle: Any) -> None:
        self._nvml = nvml
        self._handle = handle
        self._samples = 0
        self._sum_percent = 0.0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="argus-gpu", daemon=True)
        self._thread.start()

    @classmethod
    def for_current_device(cls) -> _GpuSampler | None:
        """Return a running sampler for the GPU torch computes on, None where that cannot be measured.

        The device is found by its UUID, because CUDA and NVML count differently; a MIG slice has no
        utilisation of its own, and the whole card's would be a lie.
        """
        cuda = _cuda()
        if cuda is None:
            return None
        try:
            import pynvml

            pynvml.nvmlInit()
            uuid = str(cuda.get_device_properties(cuda.current_device()).uuid)
            uuid = uuid if uuid.startswith(("GPU-", "MIG-")) else f"GPU-{uuid}"
            handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
            if _is_mig(pynvml, handle, uuid):
                return None
            return cls(pynvml, handle)
        except Exception:  # noqa: BLE001 - no driver, no NVML, an old torch without uuid, no thread at shutdown
            return None

    def _run(self) -> None:
        while not self._stopped.wait(self._PERIOD_S):
            try:
                percent = self._nvml.nvmlDeviceGetUtilizationRates(self._handle).gpu
            except Exception:  # noqa: BLE001 - the driver went away: what was measured so far stands
                return
            self._samples += 1
            self._sum_percent += percent

    def stop(self) -> float | None:
        """Stop the thread and return the mean utilisation in percent, None if there was no sample."""
        self._stopped.set()
        self._thread.join(timeout=2 * self._PERIOD_S)
        return self._sum_percent / self._samples if self._samples else None


def _is_mig(nvml: Any, handle: Any, uuid: str) -> bool:
    if uuid.startswith("MIG-"):
        return True
    try:
        return bool(nvml.nvmlDeviceGetMigMode(handle)[0])
    except nvml.NVMLError:  # a card that cannot be divided
        return False
