"""The measurement of one job, put together from its stages, its host and its GPU."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from argus_core.footprint.clocks import SyncCuda, clock_for
from argus_core.footprint.columns import Columns
from argus_core.footprint.gpu import GpuSampler, gpu_memory
from argus_core.footprint.host import HostLoad
from argus_core.footprint.model_size import model_footprint
from argus_core.footprint.samples import samples_in
from argus_core.footprint.stages import BatchCount, TestStage, TrainingStage
from argus_core.guard import never_raise

__all__ = ["Footprint"]


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
        self._train = TrainingStage()
        self._test: TestStage | None = None
        self._last_test: Columns = {}
        self._load = HostLoad()
        self._gpu_sampler: GpuSampler | None = None
        self._gpu_utilization: float | None = None

    # --- training -----------------------------------------------------------------------------

    def train_began(self) -> None:
        """Start the clock of a training stage, and the 1 Hz GPU sampler where there is NVML."""
        self._train.began()
        self._load.began()
        self._gpu_sampler = GpuSampler.for_current_device()

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

    def step(self, samples: Any = 0) -> None:
        """Count one training batch of this process; cheap enough for every step.

        Args:
            samples: how many it held, or the batch itself: the length of its first tensor counts, which
                `len(batch)` is not for a pair or a mapping. 0 if unknown.
        """
        count = self._train.count
        count.batches += 1
        count.samples += samples if type(samples) is int else _number(samples)
        if count.batches == 1:
            self.sample_memory()  # now, because data loader workers live inside an epoch only

    @property
    def batch_count(self) -> BatchCount:
        """The running epoch's count, for a hook that has no time to call `step`: always the same object.

        Such a hook calls `sample_memory` itself at the first batch of an epoch.
        """
        return self._train.count

    @property
    def trained_batches(self) -> int:
        """How many training batches of this process have been counted so far."""
        return self._train.batches + self._train.count.batches

    def trained_samples(self, samples: float) -> None:
        """Count samples of this process that `step` was not told about."""
        self._train.samples += samples

    # --- test ---------------------------------------------------------------------------------

    def test_began(self) -> None:
        """Start measuring a test stage; what an earlier one measured is replaced when this one ends."""
        if not self._load.has_measured:
            self._load.began()
        self._test = TestStage(self._warmup, clock_for(self.model, self._sync_cuda))

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

    def batch_ended(self, samples: Any = 0, batches: int = 1) -> None:
        """Stop it.

        Args:
            samples: samples of this process in the batch, or the batch itself, as for `step`.
            batches: how many batches ran between begin and end (Keras `steps_per_execution`).
        """
        test = self._test
        if test is None:
            return
        test.add(test.clock.end(), batches)
        test.samples += samples if type(samples) is int else _number(samples)
        test.ends += 1
        if test.ends == 1:
            self.sample_memory()

    def batch_marked(self) -> None:
        """Note that a test batch has ended, in a loop that does not say where batches begin."""
        test = self._test
        if test is None:
            return
        test.ends += 1
        if test.ends == 1:
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
    def batch(self, samples: Any = 0) -> Iterator[None]:
        """Measure one batch: its latency inside `test`, else it counts as a training batch.

        Args:
            samples: how many it holds, or the batch itself, as for `step`.
        """
        samples = _number(samples)  # now: what runs inside may take parts out of the batch
        if self._test is None:
            yield
            self.step(samples)
            return
        self.batch_began()
        yield
        self.batch_ended(samples)

    # --- results --------------------------------------------------------------------------------

    def sample_memory(self) -> None:
        """Note how much memory this process and its live children hold, in some microseconds on Linux."""
        self._load.sample_memory()

    def metrics(self) -> dict[str, float]:
        """Return the columns; what is unknown is absent, nothing is 0 for want of a measurement."""
        measured: Columns = {
            **self._train.columns(self.world_size),
            **self._last_test,
            **self._load.columns(),
            **gpu_memory(),
            "GPU_Utilization": self._gpu_utilization,
            **model_footprint(self.model),
        }
        columns = {name: value for name, value in measured.items() if value}
        return columns if self.seed is None else {**columns, "seed": self.seed}

    def state(self) -> dict[str, Any]:
        """Return the training's measurements as plain data, for a test stage in another process."""
        return {"train": self._train.state(), "load": self._load.columns(), "gpu": self._gpu_utilization}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` of another process's footprint returned."""
        self._train.restore(state["train"])
        self._load.restore(state["load"])
        self._gpu_utilization = state["gpu"]


def _number(samples: Any) -> Any:
    """Return a count of samples as it is, and a batch as the count of what is in it."""
    if isinstance(samples, (int, float)) or getattr(samples, "shape", None) == ():
        return samples
    return never_raise(samples_in)(samples) or 0


def _inference_columns(total_s: float, samples: float) -> Columns:
    if total_s <= 0:
        return {}
    columns: Columns = {"Total_Inference_Time": total_s}
    if samples > 0:
        columns["Inference_Time_Per_Sample"] = total_s / samples
        columns["Inference_Throughput"] = samples / total_s
    return columns
