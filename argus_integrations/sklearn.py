"""`evaluate` for models without epochs: scikit-learn, XGBoost, LightGBM, whatever has `fit` and `predict`.

::

    with Reporter("classics", project="my-paper") as reporter:
        for seed, estimator in itertools.product(range(5), estimators):
            estimator.set_params(random_state=seed)
            evaluate(estimator, (x, y), (x_test, y_test), ["neg_mean_squared_error", "r2"],
                     dataset="etth1", batch=reporter)

Each call is one job: fit, predict, metrics, a row of the leaderboard. scikit-learn itself is imported
only for the names of its scorers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any, Literal, Protocol

from argus_core.conventions import CONVENTIONS, MetricNames, normalise_metrics, normalise_name
from argus_core.distributed import is_global_zero
from argus_core.guard import never_raise
from argus_core.jsonable import jsonable
from argus_core.reporter import Reporter
from argus_integrations._options import Options
from argus_integrations._training_run import JobFacts, TrainingRun

__all__ = ["Estimator", "Evaluation", "Metrics", "evaluate"]

logger = logging.getLogger(__name__)

Metric = str | Callable[..., Any]
"""A scorer's name, a scorer, or a function of (true values, predictions)."""

Metrics = Metric | Sequence[Metric] | Mapping[str, Metric]
"""What to measure. A function may return a mapping of several metrics."""

_SEED_NAMES = frozenset(("random_state", "random_seed", "seed"))
_LISTS_OF_PARTS = frozenset(("steps", "transformers", "transformer_list", "estimators"))


class Estimator(Protocol):
    """What is needed of a model; `get_params` and `random_state` say more where it has them."""

    def fit(self, x: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Train."""

    def predict(self, x: Any, /) -> Any:
        """Return one prediction for each sample."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What became of one job.

    Attributes:
        job_id: of the job.
        metrics: by the names that the caller gave; empty if it failed.
        predictions: for the test set; None if it failed.
        error: what the estimator or a metric raised, None if nothing.
    """

    job_id: str
    metrics: dict[str, Any] = field(default_factory=dict)
    predictions: Any = None
    error: Exception | None = None


def evaluate(
    estimator: Estimator,
    train: Sequence[Any] | None,
    test: tuple[Any, Any],
    metrics: Metrics,
    *,
    batch_size: int | None = None,
    fit_params: Mapping[str, Any] | None = None,
    on_error: Literal["report", "raise"] = "report",
    project: str | None = None,
    model: str | None = None,
    dataset: str | None = None,
    seed: int | None = None,
    batch: Reporter | None = None,
    job_id: str | None = None,
    tags: Any = None,
    config: Mapping[str, Any] | None = None,
    metric_names: MetricNames = None,
    footprint: bool = True,
    latency_warmup: int = 1,
    url: str | None = None,
    token: str | None = None,
    flush_timeout_s: float = 5.0,
    enabled: bool | None = None,
) -> Evaluation:
    """Fit an estimator, test it, and report both as one job.

    Metrics are reported as they are defined, not as scikit-learn turns them round to be maximised: the
    scorer `neg_mean_squared_error` gives a positive `MSE`. Nothing is predicted twice for scorers
    that take predictions; those that take probabilities ask the estimator once more, outside of the clock.

    Args:
        estimator: fitted in place.
        train: the arguments of `fit`: `(x, y)`, or `(x,)`; None for an estimator that is fitted already.
        test: `(x, y)`.
        metrics: names of scikit-learn's scorers (with or without `neg_`), scorers, functions of (true values,
            predictions), a list of these, or a mapping that names them.
        batch_size: samples per call of `predict`, for latencies; default: one call, which has no
            percentiles, only a throughput and a total time.
        fit_params: further arguments of `fit`.
        on_error: what the estimator or a metric raises is always reported as `job_failed`; then "report"
            returns and "raise" raises it. Ctrl-C is always raised.
        project: the leaderboard; default `ARGUS_PROJECT`.
        model: the row; default the class, as in `StandardScaler+SVC` and `GridSearchCV(SVC)`.
        dataset: the column of the matrix.
        seed: default the estimator's `random_state`, if it has just one.
        batch: a `Reporter` that several jobs share; default a batch of this job's own.
        job_id: default a new one.
        tags: free labels.
        config: hyperparameters; they are added to those of `get_params`, and win.
        metric_names: your own names, as a mapping, as a function, or "raw" for no renaming.
        footprint: whether time, memory and utilisation become columns.
        latency_warmup: first calls of `predict` left out of the percentiles, given 10 or more.
        url: the server; default `ARGUS_URL`.
        token: default `ARGUS_TOKEN`.
        flush_timeout_s: the longest that the end of a batch of its own waits for the server.
        enabled: False reports nothing; default the opposite of `ARGUS_DISABLE`.

    Raises:
        TypeError: an argument is of a wrong kind. Nothing was reported.
        ValueError: no scorer has this name, or an argument has none of its values. Nothing was reported.
    """
    _check_choices(batch_size, fit_params, on_error)
    measures = list(_measures(metrics))
    _check_data("test", test, (2,))
    if train is not None:
        _check_data("train", train, (1, 2))
    facts = never_raise(_facts)(estimator) or JobFacts()
    options = Options(
        project=project,
        model=facts.model if model is None else model,  # now, so that the new job id tells of it
        dataset=dataset,
        seed=facts.seed if seed is None else seed,
        batch=batch,
        job_id=job_id,
        tags=tags,
        config=config,
        metric_names=metric_names,
        footprint=footprint,
        latency_warmup=latency_warmup,
        sync_cuda="off",  # `predict` returns when the predictions are there
        url=url,
        token=token,
        flush_timeout_s=flush_timeout_s,
        enabled=enabled,
    )
    run = TrainingRun(options, "sklearn")
    try:
        if train is not None:
            _fit(run, estimator, train, fit_params or {}, facts)
        predictions = _predict(run, estimator, test[0], batch_size, facts)
        values = _measured(measures, estimator, *test, predictions)
        _report(run, values, measures)
    except BaseException as error:
        never_raise(run.fail)(error)
        if on_error == "raise" or not isinstance(error, Exception):
            raise
        logger.warning("argus: job %s failed: %s: %s", run.job_id, type(error).__name__, error)
        return Evaluation(job_id=run.job_id, error=error)
    finally:
        run.footprint.model = None  # the run may live as long as its batch
    return Evaluation(job_id=run.job_id, metrics=values, predictions=predictions)


# --- the stages -------------------------------------------------------------------------------------


def _fit(
    run: TrainingRun,
    estimator: Estimator,
    train: Sequence[Any],
    fit_params: Mapping[str, Any],
    facts: JobFacts,
) -> None:
    never_raise(run.training_began)(estimator, lambda: facts, rank_zero=is_global_zero())
    estimator.fit(*train, **fit_params)
    never_raise(run.training_ended)()
    _add_best_params(run, estimator)


@never_raise
def _add_best_params(run: TrainingRun, estimator: Any) -> None:
    best = getattr(estimator, "best_params_", None)
    if isinstance(best, Mapping):
        run.add_to_result(best_params=_plain_params(best))


def _predict(run: TrainingRun, estimator: Estimator, x: Any, batch_size: int | None, facts: JobFacts) -> Any:
    """Return the predictions, each call of `predict` timed."""
    never_raise(run.test_began)(estimator, lambda: facts, rank_zero=is_global_zero())
    began, ended = never_raise(run.footprint.batch_began), never_raise(run.footprint.batch_ended)
    parts = []
    for samples in [x] if batch_size is None else _slices(x, batch_size):
        began()
        parts.append(estimator.predict(samples))
        ended(samples=_count(samples))
    never_raise(run.footprint.test_ended)(latencies_are_valid=batch_size is not None)
    return parts[0] if len(parts) == 1 else _joined(parts)


@never_raise
def _report(run: TrainingRun, values: Mapping[str, Any], measures: Sequence[_Measure]) -> None:
    directions = {
        _column(measure.name, run.options.metric_names): measure.direction
        for measure in measures
        if measure.direction is not None
    }
    declared = {
        column: {"unit": "", "direction": direction, "role": "quality"}
        for column, direction in directions.items()
        if column not in CONVENTIONS
    }
    if declared:
        run.add_to_result(metric_conventions=declared)
    run.test_ended(values)


def _column(name: str, metric_names: MetricNames) -> str:
    return next(iter(normalise_metrics({name: 0.0}, metric_names=metric_names).metrics), name)


# --- metrics ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Measure:
    """One metric, as it is defined: never negated.

    Attributes:
        name: as it is reported; "" for a function that names its metrics itself.
        of_predictions: a function of (true values, predictions), or None.
        of_estimator: a function of (estimator, x, true values), or None.
        direction: which values are better, where scikit-learn says so.
    """

    name: str
    of_predictions: Callable[[Any, Any], Any] | None = None
    of_estimator: Callable[[Any, Any, Any], Any] | None = None
    direction: Literal["lower", "higher"] | None = None

    def __call__(self, estimator: Estimator, x: Any, y: Any, predictions: Any) -> Any:
        if self.of_predictions is not None:
            return self.of_predictions(y, predictions)
        assert self.of_estimator is not None
        return self.of_estimator(estimator, x, y)


def _measures(metrics: Metrics) -> Iterator[_Measure]:
    if isinstance(metrics, Mapping):
        for name, metric in metrics.items():
            yield _measure(metric, name)
    elif isinstance(metrics, str) or callable(metrics):
        yield _measure(metrics, None)
    else:
        for metric in metrics:
            yield _measure(metric, None)


def _measure(metric: Metric, name: str | None) -> _Measure:
    """Return how to measure one metric.

    Raises:
        TypeError: it is neither a name nor callable.
        ValueError: no scorer has this name.
    """
    if isinstance(metric, str):
        return _scorer_measure(_scorer(metric), name or metric.removeprefix("neg_"))
    if not callable(metric):
        raise TypeError(f"a metric is a scorer's name or a function, got {metric!r:.100}")
    if hasattr(metric, "_score_func") and hasattr(metric, "_sign"):
        return _scorer_measure(metric, name or _function_name(metric._score_func))
    return _Measure(name or _function_name(metric), of_predictions=metric)


def _scorer(name: str) -> Any:
    """Return scikit-learn's scorer of this name, or of its negation: `max_error` has become `neg_max_error`.

    Raises:
        ValueError: there is neither.
    """
    from sklearn.metrics import get_scorer

    try:
        return get_scorer(name)
    except ValueError:
        try:
            return get_scorer(f"neg_{name}")
        except ValueError:
            pass
        raise


def _scorer_measure(scorer: Any, name: str) -> _Measure:
    """Return a scorer with its sign taken back."""
    sign = scorer._sign
    direction: Literal["lower", "higher"] = "higher" if sign > 0 else "lower"
    if getattr(scorer, "_response_method", None) == "predict":
        return _Measure(
            name, of_predictions=lambda y, p: scorer._score_func(y, p, **scorer._kwargs), direction=direction
        )
    return _Measure(name, of_estimator=lambda e, x, y: sign * scorer(e, x, y), direction=direction)


def _function_name(function: Any) -> str:
    """Return the name of a metric function, without scikit-learn's ending where that is a known name."""
    name = str(getattr(function, "__name__", ""))
    bare = name.removesuffix("_score")
    return bare if normalise_name(bare) in CONVENTIONS else name


def _measured(
    measures: Sequence[_Measure], estimator: Estimator, x: Any, y: Any, predictions: Any
) -> dict[str, Any]:
    """Return the metrics by name; a function without a name of its own has to return a mapping.

    Raises:
        TypeError: it has not; or whatever a metric raises.
    """
    values: dict[str, Any] = {}
    for measure in measures:
        value = measure(estimator, x, y, predictions)
        if isinstance(value, Mapping):
            values |= {str(name): part for name, part in value.items()}
        elif measure.name in ("", "<lambda>"):
            raise TypeError('a metric without a name: write metrics={"name": function}')
        else:
            values[measure.name] = value
    return values


# --- data -------------------------------------------------------------------------------------------


def _check_data(name: str, data: Any, lengths: tuple[int, ...]) -> None:
    if not isinstance(data, (tuple, list)) or len(data) not in lengths:
        raise TypeError(f"{name} is (x, y), got {type(data).__name__}")


def _check_choices(batch_size: Any, fit_params: Any, on_error: Any) -> None:
    """Refuse what would be found out only after a long `fit`.

    Raises:
        TypeError, ValueError: the message names the argument and its value.
    """
    if batch_size is not None and not isinstance(batch_size, Integral):
        raise TypeError(f"batch_size is an integer or None, got {batch_size!r:.100}")
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"batch_size is 1 or more, got {batch_size!r}")
    if fit_params is not None and not isinstance(fit_params, Mapping):
        raise TypeError(f"fit_params is a mapping, got {fit_params!r:.100}")
    if on_error not in ("report", "raise"):
        raise ValueError(f'on_error is "report" or "raise", got {on_error!r:.100}')


def _count(x: Any) -> int:
    shape = getattr(x, "shape", None)
    return int(shape[0]) if shape else len(x)


def _slices(x: Any, size: int) -> Iterator[Any]:
    rows = x.iloc if hasattr(x, "iloc") else x
    for start in range(0, _count(x), size):
        yield rows[start : start + size]


def _joined(parts: list[Any]) -> Any:
    if all(isinstance(part, list) for part in parts):
        return [prediction for part in parts for prediction in part]
    import numpy as np

    return np.concatenate(parts)


# --- what an estimator says of itself -----------------------------------------------------------------


def _facts(estimator: Any) -> JobFacts:
    params = _plain_params(_params_of(estimator))
    return JobFacts(model=_name(estimator), seed=_seed(params, estimator), config=params or None)


def _name(estimator: Any) -> str:
    """Return the class, with the steps of a pipeline and what a meta-estimator repeats."""
    steps = getattr(estimator, "steps", None)
    if isinstance(steps, list) and steps:
        named = [step[-1] for step in steps if isinstance(step, tuple)]
        return "+".join(_name(step) for step in named if step is not None and not isinstance(step, str))
    params = _params_of(estimator, deep=False)  # the attribute may be what a forest plants by itself
    inner = params.get("estimator", params.get("regressor"))
    own = type(estimator).__name__
    return f"{own}({_name(inner)})" if hasattr(inner, "fit") and not isinstance(inner, type) else own


def _params_of(estimator: Any, **options: bool) -> Mapping[str, Any]:
    """Return the parameters of an estimator and of its parts; none where it does not know them."""
    try:
        params = estimator.get_params(**options)
    except Exception:  # noqa: BLE001 - any class may call a method of its own like this
        return {}
    return params if isinstance(params, Mapping) else {}


def _plain_params(params: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _plain(value) for name, value in params.items() if name not in _LISTS_OF_PARTS}


def _plain(value: Any) -> Any:
    """Return a parameter as JSON carries it, an estimator or a function by its name."""
    plain, dropped = jsonable(value)
    if not dropped:
        return plain
    return value.__name__ if hasattr(value, "__name__") else _name(value)


def _seed(params: Mapping[str, Any], estimator: Any) -> int | None:
    """Return the seed if there is just one in an estimator and its parts."""
    known = params or {"random_state": getattr(estimator, "random_state", None)}
    given = (value for name, value in known.items() if name.rpartition("__")[-1] in _SEED_NAMES)
    seeds = {seed for seed in given if isinstance(seed, int) and not isinstance(seed, bool)}
    return seeds.pop() if len(seeds) == 1 else None
