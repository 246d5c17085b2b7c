from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest

from argus_core.footprint import Footprint, Quantiles


def exact(values, q):
    ordered = sorted(values)
    position = q * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


@pytest.mark.parametrize("count", [1, 2, 10, 1024, 1025, 50_000])
@pytest.mark.parametrize("spread", [0.1, 2.0])
def test_percentiles_are_within_one_percent(count, spread):
    generator = random.Random(count)
    values = [generator.lognormvariate(-6, spread) for _ in range(count)]
    quantiles = Quantiles()

    for value in values:
        quantiles.add(value)

    for q in (0.0, 0.5, 0.95, 0.99, 1.0):
        assert quantiles.quantile(q) == pytest.approx(exact(values, q), rel=0.01)
    assert quantiles.total == pytest.approx(sum(values))


def test_percentiles_of_nothing_are_unknown():
    assert Quantiles().quantile(0.5) is None


def test_memory_does_not_grow_with_the_number_of_values():
    quantiles = Quantiles()
    generator = random.Random(0)
    for _ in range(20_000):
        quantiles.add(generator.lognormvariate(-6, 1))

    tracemalloc.start()
    for _ in range(50_000):
        quantiles.add(generator.lognormvariate(-6, 1))
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert grown < 50_000


def test_what_was_not_measured_is_absent():
    assert Footprint().metrics() == {}


def test_a_custom_loop_gets_all_columns_of_a_host():
    with Footprint(seed=3) as footprint:
        with footprint.train():
            for _ in range(2):
                with footprint.epoch():
                    for _ in range(5):
                        time.sleep(0.001)
                        footprint.step(samples=4)
                    with footprint.validation():
                        time.sleep(0.05)
        with footprint.test():
            for _ in range(12):
                with footprint.batch(samples=8):
                    time.sleep(0.002)

    metrics = footprint.metrics()
    assert metrics.keys() == {
        "Total_Train_Time",
        "Avg_Epoch_Time",
        "Avg_Batch_Time",
        "Total_Batches",
        "Samples_Per_Second",
        "Total_Inference_Time",
        "Inference_Time_Per_Sample",
        "Inference_Throughput",
        "Latency_P50",
        "Latency_P95",
        "Latency_P99",
        "CPU_Memory",
        "CPU_Utilization",
        "seed",
    }
    assert metrics["Total_Train_Time"] > 0.1
    assert metrics["Avg_Epoch_Time"] < 0.05  # validation left out
    assert metrics["Total_Batches"] == 10
    assert metrics["Samples_Per_Second"] == pytest.approx(40 / (2 * metrics["Avg_Epoch_Time"]))
    assert metrics["Inference_Throughput"] == pytest.approx(96 / metrics["Total_Inference_Time"])
    assert metrics["Latency_P50"] >= 0.002
    assert 1 < metrics["CPU_Memory"] < 100_000
    assert 0 < metrics["CPU_Utilization"] <= 100
    assert footprint.latency_warmup == 1


X, Y = np.zeros((32, 8)), np.zeros(32)


@pytest.mark.parametrize(
    ("samples", "count"),
    [
        (32, 32),
        (np.int64(32), 32),
        (X, 32),
        ((X, Y), 32),
        ([X, Y], 32),
        ({"x": X, "y": Y, "name": "train"}, 32),
        ({"text": ["a"] * 32, "labels": Y}, 32),
        (({"x": X}, Y), 32),
        (["a", "b"], None),
    ],
    ids=["int", "numpy int", "array", "pair", "list", "mapping", "texts beside", "nested", "no array"],
)
def test_samples_are_counted_in_a_batch_as_in_a_number(samples, count):
    footprint = Footprint()

    with footprint.train():
        footprint.step(samples=samples)
    with footprint.test(), footprint.batch(samples=samples):
        if isinstance(samples, dict):
            samples.clear()  # as loops do that take the labels out

    metrics = footprint.metrics()
    trained = metrics.get("Samples_Per_Second", 0) * metrics["Total_Train_Time"]
    tested = metrics.get("Inference_Throughput", 0) * metrics["Total_Inference_Time"]
    assert trained == pytest.approx(count or 0)
    assert tested == pytest.approx(count or 0)


@pytest.mark.parametrize(("batches", "left_out"), [(9, 0), (10, 1)])
def test_the_first_batch_is_left_out_of_latencies_when_there_are_enough(batches, left_out):
    footprint = Footprint()

    with footprint.test():
        for number in range(batches):
            with footprint.batch():
                time.sleep(0.05 if number == 0 else 0.001)

    metrics = footprint.metrics()
    assert footprint.latency_warmup == left_out
    assert (metrics["Latency_P99"] > 0.03) is (left_out == 0)
    assert metrics["Total_Inference_Time"] > 0.05  # the total leaves nothing out


def test_batches_that_only_tell_their_end_have_latencies_too():
    footprint = Footprint()

    began_at = time.perf_counter()
    footprint.test_began()
    for _ in range(4):
        time.sleep(0.005)
        footprint.batch_marked()
    total_s = time.perf_counter() - began_at
    footprint.test_ended(total_s=total_s, samples=40)

    metrics = footprint.metrics()
    assert metrics["Latency_P50"] == pytest.approx(total_s / 4, rel=0.5)
    assert metrics["Total_Inference_Time"] == total_s
    assert metrics["Inference_Throughput"] == pytest.approx(40 / total_s)


@pytest.mark.parametrize(("warmup", "left_out"), [(0, 0), (1, 1), (3, 3)])
def test_batches_that_only_tell_their_end_leave_out_as_many_as_asked(warmup, left_out):
    footprint = Footprint(latency_warmup=warmup)

    began_at = time.perf_counter()
    footprint.test_began()
    for number in range(12):
        time.sleep(0.05 if number == 0 else 0.001)
        footprint.batch_marked()
    footprint.test_ended(total_s=time.perf_counter() - began_at)

    assert footprint.latency_warmup == left_out
    assert (footprint.metrics()["Latency_P99"] > 0.03) is (left_out == 0)


class CountsSamples(Footprint):
    samples = 0

    def sample_memory(self):
        self.samples += 1
        super().sample_memory()


def test_memory_is_sampled_in_the_first_execution_of_several_batches():
    footprint = CountsSamples()

    with footprint.test():
        for _ in range(5):
            footprint.batch_began()
            footprint.batch_ended(batches=2)
        in_batches = footprint.samples

    assert in_batches == 1


def test_an_exception_in_the_test_leaves_no_measurement():
    footprint = Footprint()

    with pytest.raises(ValueError, match="boom"), footprint.test():
        raise ValueError("boom")

    assert footprint.metrics() == {}


def test_a_second_training_adds_and_a_second_test_replaces():
    footprint = Footprint()

    for batches in (3, 5):
        with footprint.train():
            for _ in range(batches):
                footprint.step()
        with footprint.test(), footprint.batch(samples=batches):
            time.sleep(0.001)

    metrics = footprint.metrics()
    assert metrics["Total_Batches"] == 8
    assert metrics["Inference_Throughput"] * metrics["Total_Inference_Time"] == pytest.approx(5)


def test_an_epoch_that_a_new_training_cuts_off_is_not_counted():
    footprint = Footprint()

    footprint.train_began()
    for _ in range(3):
        footprint.step(samples=2)
    with footprint.train():
        footprint.step(samples=5)

    metrics = footprint.metrics()
    assert metrics["Total_Batches"] == footprint.trained_batches == 1
    assert metrics["Samples_Per_Second"] * metrics["Total_Train_Time"] == pytest.approx(5)


def test_what_comes_after_the_training_changes_nothing_of_it():
    footprint = Footprint()
    with footprint.train():
        footprint.step(samples=2)
    measured = footprint.metrics()

    with footprint.epoch():
        footprint.step(samples=3)
    footprint.step(samples=3)
    with footprint.epoch():
        pass

    assert footprint.metrics() | {"CPU_Memory": 0} == measured | {"CPU_Memory": 0}


def test_a_hook_may_count_by_itself_and_keep_what_it_counts_in():
    footprint = Footprint()
    count = footprint.batch_count

    with footprint.train():
        for batches in (3, 2):
            with footprint.epoch():
                for number in range(batches):
                    count.batches += 1
                    count.samples += 4
                    count.last = number
            assert (count.batches, count.samples, count.last) == (0, 0, None)
        count.batches += 1
        assert footprint.trained_batches == 6

    metrics = footprint.metrics()
    assert metrics["Total_Batches"] == 6
    assert metrics["Samples_Per_Second"] * 2 * metrics["Avg_Epoch_Time"] == pytest.approx(5 * 4)
    assert footprint.batch_count is count


def test_measurements_of_training_travel_to_another_process():
    first, second = Footprint(), Footprint()
    with first.train(), first.epoch():
        first.step(samples=2)

    second.restore(json.loads(json.dumps(first.state())))

    expected = {name: value for name, value in first.metrics().items() if name != "CPU_Memory"}
    assert second.metrics().items() >= expected.items()


def test_measurements_in_the_midst_of_an_epoch_travel_too_and_the_other_process_counts_on():
    first, second = Footprint(), Footprint()
    with first.train():
        first.step(samples=2)
        first.step(samples=2)
        state = first.state()

    second.restore(state)
    with second.train():
        second.step(samples=3)

    metrics = second.metrics()
    assert metrics["Total_Batches"] == 3
    assert metrics["Samples_Per_Second"] * metrics["Total_Train_Time"] == pytest.approx(7)


def test_memory_of_live_children_counts():
    footprint = Footprint()
    code = "x = bytearray(80_000_000); print('ready', flush=True); input()"
    footprint.sample_memory()
    alone = footprint.metrics()["CPU_Memory"]

    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    child.stdout.readline()
    footprint.sample_memory()
    child.communicate(b"\n")

    assert footprint.metrics()["CPU_Memory"] > alone + 70


def test_memory_and_time_of_grandchildren_count():
    footprint = Footprint()
    busy = (
        "import time; x = bytearray(80_000_000)\n"
        "while time.process_time() < 0.5: pass\n"
        "print('ready', flush=True); input()"
    )
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {busy!r}])"
    footprint.sample_memory()
    alone = footprint.metrics()["CPU_Memory"]

    with footprint.train():
        child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        child.stdout.readline()
    child.communicate(b"\n")

    metrics = footprint.metrics()
    cpu_s = metrics["CPU_Utilization"] / 100 * os.cpu_count() * metrics["Total_Train_Time"]
    assert metrics["CPU_Memory"] > alone + 70
    assert cpu_s > 0.45


def test_an_ended_child_is_left_to_whoever_waits_for_it():
    child = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

    with Footprint().train() as footprint:
        footprint.step()

    assert child.wait() == 3
    assert footprint.metrics()["CPU_Memory"] > 1


class Event:
    """Stands for `torch.cuda.Event`: the device is done with it only after `synchronize`."""

    device_ms = 0.0
    is_done = False

    def __init__(self, enable_timing):
        assert enable_timing

    def record(self):
        Event.device_ms += 25.0
        self.at_ms = Event.device_ms

    def query(self):
        return Event.is_done

    def synchronize(self):
        Event.is_done = True

    def elapsed_time(self, other):
        return other.at_ms - self.at_ms


class Cuda:
    """Stands for a `torch.cuda` that this process has started."""

    Event = Event
    waits = 0

    is_available = staticmethod(lambda: True)
    is_initialized = staticmethod(lambda: True)
    memory_allocated = staticmethod(lambda: 1_000_000)
    max_memory_allocated = staticmethod(lambda: 2_000_000)

    @classmethod
    def synchronize(cls):
        cls.waits += 1
        Event.is_done = True


def test_cuda_batches_are_timed_by_the_device_and_waited_for_once(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=Cuda))
    footprint = Footprint()

    with footprint.test():
        for _ in range(20):
            with footprint.batch(samples=2):
                pass

    metrics = footprint.metrics()
    assert metrics["Latency_P50"] == pytest.approx(0.025)
    assert metrics["Total_Inference_Time"] == pytest.approx(20 * 0.025)
    assert (metrics["GPU_Memory"], metrics["GPU_Memory_Peak"]) == (1.0, 2.0)
    assert Cuda.waits == 1


def test_memory_is_sampled_once_though_the_device_has_not_timed_a_batch_yet(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=Cuda))
    monkeypatch.setattr(Event, "is_done", False)
    footprint = CountsSamples()

    with footprint.test():
        for _ in range(20):
            with footprint.batch(samples=2):
                pass
        in_batches = footprint.samples

    assert in_batches == 1


def test_counting_a_step_costs_little():
    footprint = Footprint()
    footprint.train_began()
    footprint.step()

    began_at = time.perf_counter()
    for _ in range(10_000):
        footprint.step(8)
    per_step_s = (time.perf_counter() - began_at) / 10_000

    assert per_step_s < 5e-6


def test_no_framework_is_imported():
    code = (
        "import sys\n"
        "from argus_core.footprint import Footprint\n"
        "assert 'psutil' not in sys.modules\n"
        "with Footprint() as f:\n"
        "    with f.train(): f.step(1)\n"
        "f.metrics()\n"
        "assert not {'torch', 'jax', 'tensorflow', 'numpy', 'pynvml'} & set(sys.modules)\n"
    )

    subprocess.run([sys.executable, "-c", code], check=True)
