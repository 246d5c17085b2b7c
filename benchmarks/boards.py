"""Large boards for benchmarks: done jobs with 20 metrics, as events or straight into the tables."""

from __future__ import annotations

import random
import time
from typing import Any

from argus_core.events import Event, new_event_id
from argus_server.storage.store import SqlStore, open_store

METRICS = [
    "MSE", "MAE", "RMSE", "sMAPE", "MASE", "R2", "Latency_P50", "Latency_P95", "Latency_P99",
    "Inference_Throughput", "GPU_Memory_Peak", "CPU_Memory", "Model_Size", "Model_Params",
    "Total_Train_Time", "Avg_Epoch_Time", "Total_Batches", "accuracy", "f1", "mine",
]  # fmt: skip
MODELS, DATASETS = 40, 25


def metrics_of(numbers: random.Random) -> dict[str, float]:
    """Return the metrics of one job."""
    return {name: numbers.lognormvariate(0, 1) for name in METRICS}


def job_events(number: int, numbers: random.Random, project: str, epochs: int = 0) -> list[dict[str, Any]]:
    """Return one job as a client reports it: start, epochs, done; as plain envelopes."""
    moment = 1_767_225_600 + number
    batch, job = f"sweep-{number // 1000}", f"job-{number}"
    facts = {
        "model": f"model-{number % MODELS}",
        "dataset": f"data-{number // MODELS % DATASETS}",
        "seed": number // (MODELS * DATASETS),
    }

    def event(kind: str, data: dict[str, Any]) -> dict[str, Any]:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
        return {
            "event_id": new_event_id(), "schema_version": "1.1", "event_type": kind, "timestamp": stamp,
            "batch_id": batch, "job_id": job, "source": {"project": project, "host": f"node-{number % 8}"},
            "data": data,
        }  # fmt: skip

    curves = [
        event(
            "job_epoch", {"epoch": i, "train_loss": numbers.random(), "val_loss": numbers.random(), "lr": 0.1}
        )
        for i in range(epochs)
    ]
    return [
        event("job_start", {**facts, "epochs_total": epochs or None}),
        *curves,
        event("job_done", {"metrics": metrics_of(numbers), "elapsed_s": 12.5}),
    ]


def fill(database: str, jobs: int, project: str = "bench") -> SqlStore:
    """Return a store with this many done jobs, made by its own fold from real events."""
    import msgspec

    store = open_store(database)
    numbers = random.Random(1)
    have = store.queries.job_counts(project)["done"] if project in store.project_names() else 0
    some: list[Event] = []
    for number in range(have, jobs):
        some += msgspec.convert(job_events(number, numbers, project), list[Event])
        if len(some) >= 4000:
            store.add_events(some)
            some = []
    if some:
        store.add_events(some)
    return store
