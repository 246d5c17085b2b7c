"""Every step of the five events, by hand, from a training loop that needs nothing but Python.

    python examples/leaderboard_full_demo.py --dry-run     # print the events, contact nothing
    ARGUS_URL=http://127.0.0.1:8421 ARGUS_TOKEN=em_live_… python examples/leaderboard_full_demo.py

Two forecasters learn a noisy season by stochastic gradient descent, over two data sets and two
seeds. What a framework's `ArgusCallback` would do by itself is spelled out here: `batch_start`,
`job_start`, one `job_epoch` an epoch, `job_done` with the metrics of the test tail, `batch_done`.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import time

from argus_core import Reporter

EPOCHS = 8
LAGS = {"AR2": 2, "AR12": 12}
PERIODS = {"short-season": 6, "long-season": 12}


def make_series(period: int, length: int = 240) -> list[float]:
    """Return a season with noise on it, the same in every run."""
    noise = random.Random(period)
    return [math.sin(2 * math.pi * t / period) + noise.gauss(0, 0.2) for t in range(length)]


def windows(series: list[float], lags: int, first: int, end: int) -> list[tuple[list[float], float]]:
    """Return (the last `lags` values, the next value) for every step in [first, end)."""
    return [(series[t - lags : t], series[t]) for t in range(first, end)]


def predict(weights: list[float], past: list[float]) -> float:
    """Return the linear forecast of the next value."""
    return math.fsum(w * x for w, x in zip(weights, past, strict=True))


def mean_squared_error(weights: list[float], part: list[tuple[list[float], float]]) -> float:
    """Return the error over one part of the data."""
    return statistics.fmean((predict(weights, past) - target) ** 2 for past, target in part)


def train(reporter: Reporter, model: str, dataset: str, seed: int) -> None:
    """Run one job: a few epochs of training, then the test tail."""
    lags, rng = LAGS[model], random.Random(seed)
    series = make_series(PERIODS[dataset])
    training, validation, test = (
        windows(series, lags, *part) for part in ((12, 140), (140, 180), (180, 240))
    )
    weights = [rng.gauss(0, 0.1) for _ in range(lags)]
    rate = 0.02
    started = time.perf_counter()

    # 2. job_start: what is trained, and how. `config` and any other keyword are kept as sent.
    with reporter.job(
        f"{model}-{dataset}-s{seed}",
        model=model,
        dataset=dataset,
        seed=seed,
        epochs_total=EPOCHS,
        config={"lags": lags, "learning_rate": rate, "optimizer": "SGD"},
    ) as job:
        for epoch in range(EPOCHS):
            rng.shuffle(training)
            for past, target in training:
                error = predict(weights, past) - target
                weights = [w - rate * error * x for w, x in zip(weights, past, strict=True)]

            # 3. job_epoch: the loss curve. Never the leaderboard.
            job.epoch(
                epoch,
                train_loss=mean_squared_error(weights, training),
                val_loss=mean_squared_error(weights, validation),
                lr=rate,
                weight_norm=math.hypot(*weights),
            )
        train_time_s = time.perf_counter() - started

        # 4. job_done: the metrics of the test stage are the row of the leaderboard.
        job.done(test_metrics(weights, test) | footprint(weights, test, train_time_s, len(training)))


def test_metrics(weights: list[float], test: list[tuple[list[float], float]]) -> dict[str, float]:
    """Return the quality of the forecasts on the test tail."""
    errors = [predict(weights, past) - target for past, target in test]
    mse = statistics.fmean(error**2 for error in errors)
    return {
        "MSE": mse,
        "MAE": statistics.fmean(map(abs, errors)),
        "RMSE": math.sqrt(mse),
        "R2": 1 - mse / statistics.pvariance([target for _, target in test]),
    }


def footprint(
    weights: list[float], test: list[tuple[list[float], float]], train_time_s: float, n_batches: int
) -> dict[str, float]:
    """Return what it cost, one key of each kind: seconds, per second, MB, counts."""
    latencies = []
    for past, _ in test:
        started = time.perf_counter()
        predict(weights, past)
        latencies.append(time.perf_counter() - started)
    total_s = math.fsum(latencies)
    return {
        "Latency_P50": statistics.median(latencies),
        "Inference_Throughput": len(test) / total_s,
        "Total_Train_Time": train_time_s,
        "Avg_Epoch_Time": train_time_s / EPOCHS,
        "Total_Batches": n_batches * EPOCHS,
        "Model_Params": len(weights),
        "Model_Size": len(weights) * 8 / 1e6,
    }


def main() -> None:
    """Run every (model, dataset, seed) as one batch."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dry-run", action="store_true", help="print the events, contact nothing")
    parser.add_argument("--seeds", type=int, default=2)
    arguments = parser.parse_args()
    jobs = [(m, d, s) for m in LAGS for d in PERIODS for s in range(arguments.seeds)]

    # 1. batch_start when the block begins, 5. batch_done when it ends (batch_failed on an exception).
    with Reporter(
        "full-demo", project="leaderboard-demo", n_total=len(jobs), dry_run=arguments.dry_run or None
    ) as reporter:
        for model, dataset, seed in jobs:
            train(reporter, model, dataset, seed)


if __name__ == "__main__":
    main()
