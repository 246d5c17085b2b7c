"""What a job takes of the GPU, asked of frameworks that run already and of NVML."""

from __future__ import annotations

import contextlib
import sys
import threading
from typing import Any

from argus_core.footprint.columns import BYTES_PER_MB, Columns

__all__ = ["GpuSampler", "gpu_memory", "started_cuda"]


def started_cuda() -> Any:
    """Return torch.cuda if this process has started it, else None: the question must not start it."""
    torch = sys.modules.get("torch")
    cuda = getattr(torch, "cuda", None)
    return cuda if cuda is not None and cuda.is_available() and cuda.is_initialized() else None


def gpu_memory() -> Columns:
    """Return what the framework's allocator holds and has held at most; its counters are not reset."""
    for ask in (_torch_bytes, _jax_bytes, _tensorflow_bytes):
        with contextlib.suppress(Exception):  # another framework's backend in any state
            current, peak = ask()
            if peak:
                return {"GPU_Memory": current / BYTES_PER_MB, "GPU_Memory_Peak": peak / BYTES_PER_MB}
    return {}


def _torch_bytes() -> tuple[int, int]:
    cuda = started_cuda()
    return (0, 0) if cuda is None else (cuda.memory_allocated(), cuda.max_memory_allocated())


def _jax_bytes() -> tuple[int, int]:
    """Ask JAX only if its backends run already: the question would start them."""
    bridge = sys.modules.get("jax._src.xla_bridge")
    if not getattr(bridge, "_backends", None):
        return 0, 0
    device = sys.modules["jax"].local_devices()[0]
    if device.platform not in ("gpu", "cuda", "rocm"):
        return 0, 0
    stats = device.memory_stats() or {}
    return stats.get("bytes_in_use", 0), stats.get("peak_bytes_in_use", 0)


def _tensorflow_bytes() -> tuple[int, int]:
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is None or not tensorflow.config.list_logical_devices("GPU"):
        return 0, 0
    info = tensorflow.config.experimental.get_memory_info("GPU:0")
    return info["current"], info["peak"]


class GpuSampler:
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
    def for_current_device(cls) -> GpuSampler | None:
        """Return a running sampler for the GPU torch computes on, None where that cannot be measured.

        The device is found by its UUID, because CUDA and NVML count differently; a MIG slice has no
        utilisation of its own, and the whole card's would be a lie.
        """
        cuda = started_cuda()
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
