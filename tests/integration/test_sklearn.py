"""`argus_integrations.sklearn.evaluate` with real estimators, and with classes that only look like one."""

from __future__ import annotations

import logging
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.ensemble import BaggingRegressor, RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    get_scorer,
    make_scorer,
    max_error,
    mean_absolute_error,
    mean_squared_error,
    r2_score,
    roc_auc_score,
)
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from argus_core import plugins
from argus_core.conventions import Convention
from argus_core.hookspecs import hookimpl
from argus_core.reporter import Reporter
from argus_integrations.sklearn import evaluate

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(60, 3))
Y = X @ [1.0, -2.0, 0.5] + 0.1 * RANDOM.normal(size=60)
CLASSES = (Y > 0).astype(int)
TRAIN, TEST = (X[:40], Y[:40]), (X[40:], Y[40:])
TRAIN_CLASSES, TEST_CLASSES = (X[:40], CLASSES[:40]), (X[40:], CLASSES[40:])

ONE_JOB = ["batch_start", "job_start", "job_done", "batch_done"]
FAILED_JOB = ["batch_start", "job_start", "job_failed", "batch_failed"]


class Mean:
    """An estimator by its looks only, as those of other libraries are."""

    def fit(self, x, y):
        self.mean = float(np.mean(y))
        return self

    def predict(self, x):
        return [self.mean] * len(x)


def metrics_of(sent):
    return sent.of_type("job_done")[-1].data["metrics"]


def test_an_estimator_is_one_job_with_its_parameters_and_its_costs(sent, story, data_of):
    result = evaluate(
        Ridge(alpha=2.0, random_state=7), TRAIN, TEST, ["neg_mean_squared_error", "r2"], dataset="line"
    )

    assert story(sent) == ONE_JOB
    start = data_of(sent, "job_start")
    assert (start["model"], start["dataset"], start["seed"]) == ("Ridge", "line", 7)
    assert (start["config"]["alpha"], start["framework"]) == (2.0, "sklearn")
    done = data_of(sent, "job_done")
    predictions = Ridge(alpha=2.0).fit(*TRAIN).predict(TEST[0])
    assert done["metrics"]["MSE"] == pytest.approx(mean_squared_error(TEST[1], predictions))
    assert done["metrics"]["R2"] == pytest.approx(r2_score(TEST[1], predictions))
    assert done["metrics"]["seed"] == 7
    assert result.metrics == done["metrics_raw"]
    assert result.predictions == pytest.approx(predictions)
    assert (result.job_id, result.error) == (sent.of_type("job_done")[0].job_id, None)
    assert result.job_id.startswith("Ridge-line-7-")
    assert "train_epochs" not in done


def test_the_costs_are_the_columns_of_the_callbacks(sent):
    evaluate(LinearRegression(), TRAIN, TEST, "r2", batch_size=2)

    metrics = metrics_of(sent)
    assert metrics["Total_Train_Time"] > 0
    assert 0 < metrics["Latency_P50"] <= metrics["Latency_P95"] <= metrics["Latency_P99"]
    assert metrics["Inference_Throughput"] * metrics["Total_Inference_Time"] == pytest.approx(20)
    assert 0 < metrics["Model_Size"] < 0.01
    assert {"CPU_Memory", "CPU_Utilization"} <= metrics.keys()
    assert not {"Total_Batches", "Avg_Epoch_Time", "Samples_Per_Second", "Model_Params"} & metrics.keys()


def test_only_the_fit_is_the_time_of_training_and_only_predict_that_of_inference(sent):
    import time

    class Slow(Mean):
        def fit(self, x, y):
            time.sleep(0.05)
            return super().fit(x, y)

        def predict(self, x):
            time.sleep(0.01)
            return super().predict(x)

    def slow_metric(true, predicted):
        time.sleep(0.3)
        return 1.0

    evaluate(Slow(), TRAIN, TEST, {"slow": slow_metric}, batch_size=5)

    metrics = metrics_of(sent)
    assert 0.05 <= metrics["Total_Train_Time"] < 0.25
    assert 4 * 0.01 <= metrics["Total_Inference_Time"] < 0.25


def test_one_call_of_predict_has_no_percentiles(sent):
    evaluate(LinearRegression(), TRAIN, TEST, "r2")

    metrics = metrics_of(sent)
    assert metrics["Inference_Throughput"] > 0
    assert not [name for name in metrics if name.startswith("Latency_")]


def test_without_a_footprint_there_are_only_the_metrics(sent):
    evaluate(LinearRegression(), TRAIN, TEST, "r2", footprint=False)

    assert metrics_of(sent).keys() == {"R2"}


# --- metrics ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scorer", "column"),
    [
        ("neg_mean_squared_error", "MSE"),
        ("neg_root_mean_squared_error", "RMSE"),
        ("neg_mean_absolute_error", "MAE"),
        ("neg_max_error", "max_error"),
        ("neg_median_absolute_error", "median_absolute_error"),
    ],
)
def test_what_a_scorer_has_negated_is_reported_as_it_is_defined(sent, scorer, column):
    result = evaluate(LinearRegression(), TRAIN, TEST, scorer)

    negated = get_scorer(scorer)(LinearRegression().fit(*TRAIN), *TEST)
    assert negated < 0
    assert metrics_of(sent)[column] == pytest.approx(-negated)
    assert result.metrics.keys() == {scorer.removeprefix("neg_")}
    assert evaluate(LinearRegression(), TRAIN, TEST, scorer.removeprefix("neg_")).metrics == result.metrics


def test_nothing_is_predicted_twice(sent):
    class Counting(Mean):
        calls = 0

        def predict(self, x):
            self.calls += 1
            return super().predict(x)

    estimator = Counting()
    evaluate(estimator, TRAIN, TEST, ["neg_mean_squared_error", "r2", mean_absolute_error])

    assert estimator.calls == 1
    assert {"MSE", "R2", "MAE"} <= metrics_of(sent).keys()


def test_scorers_of_probabilities_ask_the_estimator(sent):
    evaluate(LogisticRegression(), TRAIN_CLASSES, TEST_CLASSES, ["roc_auc", "neg_log_loss", "accuracy"])

    fitted = LogisticRegression().fit(*TRAIN_CLASSES)
    metrics = metrics_of(sent)
    assert metrics["auroc"] == pytest.approx(
        roc_auc_score(TEST_CLASSES[1], fitted.predict_proba(TEST_CLASSES[0])[:, 1])
    )
    assert metrics["log_loss"] == pytest.approx(-get_scorer("neg_log_loss")(fitted, *TEST_CLASSES))
    assert metrics["accuracy"] == fitted.score(*TEST_CLASSES)


def test_a_scorer_of_ones_own_is_turned_back_too(sent):
    mine = make_scorer(mean_absolute_error, greater_is_better=False)

    evaluate(LinearRegression(), TRAIN, TEST, {"MAE": mine})
    evaluate(LinearRegression(), TRAIN, TEST, [mine])

    values = [event.data["metrics"]["MAE"] for event in sent.of_type("job_done")]
    assert values[0] == values[1] > 0


def test_metric_functions_are_named_by_themselves_or_by_a_mapping(sent):
    functions = [mean_squared_error, mean_absolute_error, r2_score, max_error]

    evaluate(LinearRegression(), TRAIN, TEST, functions)
    evaluate(LogisticRegression(), TRAIN_CLASSES, TEST_CLASSES, [accuracy_score, f1_score])
    evaluate(LinearRegression(), TRAIN, TEST, {"test_mse": mean_squared_error, "worst": max_error})

    rows = [event.data["metrics_raw"].keys() for event in sent.of_type("job_done")]
    assert rows[0] == {"mean_squared_error", "mean_absolute_error", "r2", "max_error"}
    assert sent.of_type("job_done")[0].data["metrics"].keys() >= {"MSE", "MAE", "R2", "max_error"}
    assert rows[1] == {"accuracy", "f1"}
    assert sent.of_type("job_done")[2].data["metrics"].keys() >= {"MSE", "worst"}


def test_one_function_may_return_all_metrics(sent):
    def compute(true, predicted):
        return {"mse": np.float32(mean_squared_error(true, predicted)), "n": len(true)}

    evaluate(LinearRegression(), TRAIN, TEST, compute)
    evaluate(LinearRegression(), TRAIN, TEST, lambda true, predicted: {"mse": 0.5})

    rows = [event.data["metrics"] for event in sent.of_type("job_done")]
    assert rows[0]["n"] == 20
    assert 0 < rows[0]["MSE"] < 0.5 == rows[1]["MSE"]


def test_what_scikit_learn_knows_of_a_metrics_direction_is_declared(sent, data_of):
    evaluate(LinearRegression(), TRAIN, TEST, ["explained_variance", "neg_max_error", "r2"])

    declared = data_of(sent, "job_done")["metric_conventions"]
    assert {name: known["direction"] for name, known in declared.items()} == {
        "explained_variance": "higher",
        "max_error": "lower",
    }


def test_what_a_plugin_knows_of_a_metric_wins(sent, data_of):
    class Plugin:
        @hookimpl
        def argus_metric_conventions(self):
            return {"max_error": Convention("K", "lower", "info")}

    plugin = Plugin()
    plugins.register(plugin)
    try:
        evaluate(LinearRegression(), TRAIN, TEST, ["explained_variance", "neg_max_error"])
    finally:
        plugins.unregister(plugin)

    declared = data_of(sent, "job_done")["metric_conventions"]
    assert declared["max_error"] == {"unit": "K", "direction": "lower", "role": "info"}
    assert declared["explained_variance"]["direction"] == "higher"


def test_a_name_of_ones_own_wins(sent):
    evaluate(LinearRegression(), TRAIN, TEST, ["neg_max_error"], metric_names={"max_error": "worst"})

    assert "worst" in metrics_of(sent)


@pytest.mark.parametrize(
    ("arguments", "options", "kind"),
    [
        ((TRAIN, TEST, "no_such_scorer"), {}, ValueError),
        ((TRAIN, TEST, [3]), {}, TypeError),
        ((X, TEST, "r2"), {}, TypeError),
        ((TRAIN, X, "r2"), {}, TypeError),
        ((TRAIN, TEST, "r2"), {"batch_size": 0}, ValueError),
        ((TRAIN, TEST, "r2"), {"batch_size": 2.5}, TypeError),
        ((TRAIN, TEST, "r2"), {"fit_params": [3]}, TypeError),
        ((TRAIN, TEST, "r2"), {"on_error": "ignore"}, ValueError),
        ((TRAIN, TEST, "r2"), {"seed": "zero"}, TypeError),
    ],
)
def test_a_wrong_argument_is_said_at_once_and_reports_nothing(sent, arguments, options, kind):
    with pytest.raises(kind):
        evaluate(LinearRegression(), *arguments, **options)

    assert sent.events == []


# --- failures ---------------------------------------------------------------------------------------


class Broken(Mean):
    def fit(self, x, y):
        raise ValueError("no convergence")


def test_an_estimator_that_raises_fails_its_job_and_the_others_go_on(sent, story, data_of, caplog):
    with Reporter("classics", n_total=3) as reporter:
        results = [
            evaluate(estimator, TRAIN, TEST, "r2", batch=reporter, dataset="line")
            for estimator in (LinearRegression(), Broken(), Ridge())
        ]

    jobs = ["job_start", "job_done", "job_start", "job_failed", "job_start", "job_done"]
    assert story(sent) == ["batch_start", *jobs, "batch_done"]
    assert data_of(sent, "job_failed")["reason"] == "ValueError: no convergence"
    ended = data_of(sent, "batch_done")
    assert (ended["n_done"], ended["n_failed"]) == (2, 1)
    assert ended["untested"] == []
    assert [type(result.error) for result in results] == [type(None), ValueError, type(None)]
    assert "no convergence" in caplog.text


def test_a_failure_in_predict_or_in_a_metric_is_one_of_the_job(sent, story):
    class CannotPredict(Mean):
        def predict(self, x):
            raise RuntimeError("out of memory")

    def cannot_measure(true, predicted):
        raise ZeroDivisionError

    evaluate(CannotPredict(), TRAIN, TEST, "r2")
    evaluate(Mean(), TRAIN, TEST, cannot_measure)
    evaluate(Mean(), TRAIN, TEST, lambda true, predicted: 1.0)

    assert story(sent) == 3 * FAILED_JOB
    reasons = [event.data["reason"] for event in sent.of_type("job_failed")]
    assert reasons[:2] == ["RuntimeError: out of memory", "ZeroDivisionError"]
    assert "a metric without a name" in reasons[2]


def test_who_wants_it_gets_the_exception(sent, story):
    with pytest.raises(ValueError, match="no convergence"):
        evaluate(Broken(), TRAIN, TEST, "r2", on_error="raise")

    assert story(sent) == FAILED_JOB


def test_ctrl_c_ends_everything_and_interrupts_the_job(sent, story, data_of):
    class Interrupted(Mean):
        def fit(self, x, y):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Reporter("classics") as reporter:
        evaluate(Interrupted(), TRAIN, TEST, "r2", batch=reporter)

    assert story(sent) == FAILED_JOB
    assert data_of(sent, "job_failed")["status"] == "interrupted"


def test_a_bug_of_a_plugin_costs_no_result(sent, swallowed_errors):
    class Plugin:
        @hookimpl
        def argus_collect_metrics(self, job):
            raise RuntimeError("a plugin's mistake")

    plugin = Plugin()
    plugins.register(plugin)
    try:
        result = evaluate(LinearRegression(), TRAIN, TEST, "r2")
    finally:
        plugins.unregister(plugin)

    assert result.metrics["r2"] > 0.9
    assert swallowed_errors
    swallowed_errors.clear()


# --- names, parameters, seeds -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("estimator", "name"),
    [
        (make_pipeline(StandardScaler(), Ridge()), "StandardScaler+Ridge"),
        (GridSearchCV(Ridge(), {"alpha": [1.0]}, cv=2), "GridSearchCV(Ridge)"),
        (
            GridSearchCV(make_pipeline(StandardScaler(), Ridge()), {"ridge__alpha": [1.0]}, cv=2),
            "GridSearchCV(StandardScaler+Ridge)",
        ),
        (BaggingRegressor(Ridge(), n_estimators=2), "BaggingRegressor(Ridge)"),
        (RandomForestRegressor(n_estimators=2), "RandomForestRegressor"),
        (Mean(), "Mean"),
    ],
)
def test_a_job_is_named_by_its_classes(sent, data_of, estimator, name):
    evaluate(estimator, TRAIN, TEST, {"MSE": mean_squared_error})

    assert data_of(sent, "job_start")["model"] == name
    assert metrics_of(sent)["MSE"] > 0


def test_the_best_parameters_of_a_search_stand_beside_its_result(sent, data_of, caplog):
    with caplog.at_level(logging.WARNING):
        evaluate(GridSearchCV(Ridge(), {"alpha": [1e-3, 1e6]}, cv=2), TRAIN, TEST, "r2")

    assert data_of(sent, "job_done")["best_params"] == {"alpha": 1e-3}
    config = data_of(sent, "job_start")["config"]
    assert config["estimator"] == "Ridge"
    assert config["param_grid"] == {"alpha": [1e-3, 1e6]}
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("estimator", "seed"),
    [
        (RandomForestClassifier(n_estimators=2, random_state=3), 3),
        (RandomForestClassifier(n_estimators=2, random_state=np.int64(4)), 4),
        (RandomForestClassifier(n_estimators=2), None),
        (RandomForestClassifier(n_estimators=2, random_state=np.random.RandomState(0)), None),
        (make_pipeline(StandardScaler(), LogisticRegression(random_state=5)), 5),
        (
            BaggingRegressor(RandomForestRegressor(2, random_state=1), n_estimators=2, random_state=2),
            None,
        ),
    ],
)
def test_the_seed_is_the_random_state_where_there_is_just_one(sent, data_of, estimator, seed):
    evaluate(estimator, TRAIN_CLASSES, TEST_CLASSES, {"MSE": mean_squared_error})

    assert data_of(sent, "job_start").get("seed") == seed


def test_what_the_caller_says_wins(sent, data_of):
    said = {"model": "mine", "seed": 9, "job_id": "the-job", "project": "p", "tags": ["a"]}

    evaluate(Ridge(random_state=1), TRAIN, TEST, "r2", config={"alpha": "one", "fold": 2}, **said)

    start = data_of(sent, "job_start")
    assert (start["model"], start["seed"], start["tags"]) == ("mine", 9, ["a"])
    assert (start["config"]["alpha"], start["config"]["fold"]) == ("one", 2)
    assert start["config"]["fit_intercept"] is True
    assert {event.source.project for event in sent.events} == {"p"}
    assert sent.of_type("job_done")[0].job_id == "the-job"


# --- data -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [np.asarray, pd.DataFrame, scipy.sparse.csr_array])
def test_batches_of_predict_give_the_predictions_of_one_call(sent, kind):
    whole = evaluate(Ridge(), (kind(X[:40]), Y[:40]), (kind(X[40:]), Y[40:]), "r2")
    sliced = evaluate(Ridge(), (kind(X[:40]), Y[:40]), (kind(X[40:]), Y[40:]), "r2", batch_size=7)

    assert sliced.predictions == pytest.approx(whole.predictions)
    assert sliced.metrics == pytest.approx(whole.metrics)
    assert metrics_of(sent)["Latency_P50"] > 0


def test_an_estimator_that_is_fitted_already_is_only_tested(sent, story):
    evaluate(Ridge().fit(*TRAIN), None, TEST, "r2")

    assert story(sent) == ONE_JOB
    assert "Total_Train_Time" not in metrics_of(sent)


def test_fit_gets_its_further_arguments(sent):
    weights = np.zeros(40)
    weights[:2] = 1

    evaluate(LinearRegression(), TRAIN, TEST, "r2", fit_params={"sample_weight": weights})

    weighted = LinearRegression().fit(*TRAIN, sample_weight=weights)
    assert metrics_of(sent)["R2"] == pytest.approx(weighted.score(*TEST))


def test_an_estimator_that_cannot_be_pickled_has_no_size(sent, story):
    estimator = Mean()
    estimator.function = lambda: None

    evaluate(estimator, TRAIN, TEST, {"MSE": mean_squared_error})

    assert story(sent) == ONE_JOB
    assert "Model_Size" not in metrics_of(sent)


def test_only_global_rank_zero_reports(sent, monkeypatch):
    monkeypatch.setenv("RANK", "1")

    result = evaluate(Ridge(), TRAIN, TEST, "r2")

    assert sent.events == []
    assert result.metrics["r2"] > 0.9


@pytest.mark.parametrize("train", [TRAIN, None], ids=["trained", "only tested"])
def test_a_rank_other_than_zero_adds_nothing_to_a_batch_that_is_shared(sent, story, monkeypatch, train):
    monkeypatch.setenv("RANK", "1")
    estimator = Ridge().fit(*TRAIN)

    with Reporter("sweep") as reporter:
        evaluate(estimator, train, TEST, "r2", batch=reporter)

    assert story(sent) == []


def test_models_that_only_look_like_estimators_need_no_scikit_learn():
    code = """
import sys
sys.modules["sklearn"] = None
from argus_integrations.sklearn import evaluate

class Mean:
    def fit(self, x, y):
        self.mean = sum(y) / len(y)
    def predict(self, x):
        return [self.mean] * len(x)

data = [[1], [2], [3]], [1.0, 2.0, 3.0]
mae = lambda true, predicted: sum(abs(t - p) for t, p in zip(true, predicted)) / len(true)
result = evaluate(Mean(), data, data, {"MAE": mae}, batch_size=2, enabled=False)
assert result.predictions == [2.0, 2.0, 2.0], result
assert result.metrics["MAE"] == 2 / 3
assert "numpy" not in sys.modules
"""

    subprocess.run([sys.executable, "-c", code], check=True)
