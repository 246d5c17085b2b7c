from __future__ import annotations

import pytest

from argus_core.conventions import UNKNOWN, convention, normalise_metrics, normalise_name


@pytest.mark.parametrize(
    ("raw", "column"),
    [
        ("test_MSE", "MSE"),
        ("eval_mse", "MSE"),
        ("test/MSE", "MSE"),
        ("val.mae", "MAE"),
        ("Test MSE", "MSE"),
        ("mse", "MSE"),
        ("test_r2", "R2"),
        ("smape", "sMAPE"),
        ("acc", "accuracy"),
        ("test_acc", "accuracy"),
        ("MulticlassAccuracy", "accuracy"),
        ("sparse_categorical_accuracy", "accuracy"),
        ("mean_squared_error", "MSE"),
        ("f1_score", "f1"),
        ("roc_auc", "auroc"),
        ("auc", "auc"),
        ("top5_acc", "top5_acc"),
        ("f1", "f1"),
        ("testosterone_mae", "testosterone_mae"),
        ("validity", "validity"),
        ("latest_acc", "latest_acc"),
        ("test", "test"),
        ("test_", "test_"),
        ("My Metric", "My Metric"),
        ("test_loss", "loss"),
        ("accuracy/dataloader_idx_0", "accuracy@0"),
        ("test_acc/dataloader_idx_10", "accuracy@10"),
    ],
)
def test_one_quantity_gets_one_column(raw, column):
    assert normalise_name(raw) == column


def test_a_known_prefix_goes_before_any_stage_word():
    normalised = normalise_metrics(
        {"eval_a_accuracy": 0.5, "eval_a_runtime": 3.0}, prefix="eval_a", suffix="a"
    )

    assert normalised.metrics == {"accuracy@a": 0.5}


def test_on_collision_test_wins_and_the_loser_keeps_its_raw_name():
    normalised = normalise_metrics({"val_mse": 2, "test_mse": 1, "MSE": 3})

    assert normalised.metrics == {"MSE": 1, "val_mse": 2}
    assert normalised.raw == {"val_mse": 2, "test_mse": 1, "MSE": 3}


def test_no_value_is_lost_however_names_collide():
    raw = {"test_acc": 1, "acc": 2, "accuracy": 3, "val_accuracy": 4, "eval_acc": 5}

    normalised = normalise_metrics(raw)

    assert normalised.metrics == {"accuracy": 1, "acc": 2, "val_accuracy": 4, "eval_acc": 5}
    assert normalised.raw == raw


def test_noise_of_the_frameworks_is_no_metric():
    raw = {
        "test_loss": 1.0,
        "test_runtime": 2.0,
        "test_samples_per_second": 3.0,
        "test_steps_per_second": 4.0,
        "test_model_preparation_time": 5.0,
        "test_mem_cpu_alloc_delta": 6,
        "epoch": 7.0,
        "loss_step": 8.0,
    }

    assert normalise_metrics(raw, prefix="test").metrics == {"loss": 1.0}


def test_nested_metrics_are_flattened_and_what_is_no_scalar_is_named():
    normalised = normalise_metrics({"test": {"mse": 1.0, "curve": [1, 2]}, "note": "fine", "gone": None})

    assert normalised.metrics == {"MSE": 1.0, "note": "fine"}
    assert normalised.dropped == ["test/curve", "gone"]


def test_the_users_names_win():
    raw = {"test_mse": 1.0, "test_mae": 2.0}

    assert normalise_metrics(raw, metric_names={"test_mse": "error"}).metrics == {"error": 1.0, "MAE": 2.0}
    assert normalise_metrics(raw, metric_names="raw").metrics == raw
    assert normalise_metrics(raw, metric_names=str.upper).metrics == {"TEST_MSE": 1.0, "TEST_MAE": 2.0}


def test_a_function_that_raises_leaves_the_usual_rules():
    def broken(name: str) -> str:
        raise KeyError(name)

    assert normalise_metrics({"test_mse": 1.0}, metric_names=broken).metrics == {"MSE": 1.0}


@pytest.mark.parametrize(
    ("name", "direction", "unit"),
    [
        ("MSE", "lower", ""),
        ("mse", "lower", ""),
        ("R2", "higher", ""),
        ("accuracy@squad", "higher", ""),
        ("mAP@0.5", "higher", ""),
        ("val_loss", "lower", ""),
        ("Latency_P50", "lower", "s"),
        ("Samples_Per_Second", "higher", "/s"),
        ("GPU_Memory", "lower", "MB"),
        ("CPU_Utilization", "unknown", "%"),
    ],
)
def test_known_names_have_a_direction_and_a_unit(name, direction, unit):
    known = convention(name)

    assert (known.direction, known.unit) == (direction, unit)


@pytest.mark.parametrize("name", ["top1", "lossless_ratio", "my_score", "", "@", "error"])
def test_an_unknown_name_is_never_guessed(name):
    assert convention(name) == UNKNOWN
