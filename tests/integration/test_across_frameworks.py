"""One table for three frameworks: the same model, data and seed give the same columns."""

from __future__ import annotations

import argparse
import dataclasses
import socket
import time

import keras
import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset
from transformers import Trainer, TrainingArguments

from argus_core.reporter import Reporter
from argus_integrations.keras import ArgusCallback as KerasCallback
from argus_integrations.lightning import ArgusCallback as LightningCallback
from argus_integrations.transformers import ArgusCallback as TransformersCallback

BATCH, EPOCHS, RATE, SAMPLES = 8, 3, 0.05, 96
X = np.random.default_rng(0).normal(size=(SAMPLES, 3)).astype("float32")
Y = X @ np.array([[1.0], [-2.0], [0.5]], dtype="float32")
WEIGHT = np.array([[0.1], [0.2], [0.3]], dtype="float32")
DATA = TensorDataset(torch.tensor(X), torch.tensor(Y))


def linear():
    layer = torch.nn.Linear(3, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(WEIGHT.T))
        layer.bias.zero_()
    return layer


def train_with_lightning(callback=LightningCallback, **job):
    class Linear(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.layer = linear()

        def training_step(self, batch, batch_idx):
            return torch.nn.functional.mse_loss(self.layer(batch[0]), batch[1])

        def test_step(self, batch, batch_idx):
            self.log("test_mse", torch.nn.functional.mse_loss(self.layer(batch[0]), batch[1]))

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), RATE)

    cb = callback(**job)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = pl.Trainer(
        max_epochs=EPOCHS, callbacks=cb, accelerator="cpu", enable_model_summary=False, **quiet
    )
    model = Linear()
    trainer.fit(model, DataLoader(DATA, BATCH))
    trainer.test(model, DataLoader(DATA, BATCH), verbose=False)


def train_with_transformers(tmp_path, callback=TransformersCallback, **job):
    class Linear(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = linear()

        def forward(self, x, labels):
            predicted = self.layer(x)
            return {"loss": torch.nn.functional.mse_loss(predicted, labels), "logits": predicted}

    class InOrder(Trainer):
        def _get_train_sampler(self, *args, **kwargs):
            return torch.utils.data.SequentialSampler(self.train_dataset)

    arguments = TrainingArguments(
        output_dir=str(tmp_path),
        num_train_epochs=EPOCHS,
        per_device_train_batch_size=BATCH,
        per_device_eval_batch_size=BATCH,
        learning_rate=RATE,
        lr_scheduler_type="constant",
        optim="sgd",
        max_grad_norm=0.0,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
    )
    trainer = InOrder(
        Linear(),
        arguments,
        train_dataset=[{"x": x, "labels": y} for x, y in zip(X, Y, strict=True)],
        compute_metrics=lambda p: {"mse": float(np.square(p.predictions - p.label_ids).mean())},
        callbacks=[callback(**job)],
    )
    trainer.train()
    trainer.evaluate([{"x": x, "labels": y} for x, y in zip(X, Y, strict=True)])


def train_with_keras(callback=KerasCallback, **job):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.layers[0].set_weights([WEIGHT, np.zeros(1)])
    model.compile(keras.optimizers.SGD(RATE), "mse", metrics=["mse"])
    cb = callback(**job)
    model.fit(X, Y, batch_size=BATCH, epochs=EPOCHS, shuffle=False, verbose=0, callbacks=[cb])
    model.evaluate(X, Y, batch_size=BATCH, verbose=0, callbacks=[cb])


def test_the_same_model_gives_the_same_row_in_every_framework(sent, tmp_path):
    with Reporter("frameworks") as reporter:
        job = {"batch": reporter, "model": "linear", "dataset": "line", "seed": 0}
        train_with_lightning(**job)
        train_with_transformers(tmp_path, **job)
        train_with_keras(**job)

    rows = [event.data["metrics"] for event in sent.of_type("job_done")]
    assert len(rows) == 3
    assert [row["MSE"] for row in rows] == pytest.approx([rows[0]["MSE"]] * 3, abs=1e-4)
    assert rows[0]["MSE"] < 1  # it has learnt something
    columns = [row.keys() - {"loss"} for row in rows]
    assert columns[0] == columns[1] == columns[2]
    for name in ("Model_Params", "Model_Size", "Total_Batches", "seed"):
        assert len({row[name] for row in rows}) == 1


# --- a server in trouble ----------------------------------------------------------------------------

LONGEST_HOOK_S = 1.0  # imports of the first hooks included; waiting for a server would take 5 s


@pytest.fixture(params=["refuses connections", "never answers"])
def server_in_trouble(request):
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    if request.param == "refuses connections":
        listener.close()
    yield url
    listener.close()


def timed(callback_class, seconds):
    """Return a subclass that notes in `seconds` how long each hook took, in the order of the calls."""

    def timing(name):
        def hook(self, *args, **kwargs):
            began_at = time.perf_counter()
            result = getattr(super(cls, self), name)(*args, **kwargs)
            seconds.append((name, time.perf_counter() - began_at))
            return result

        return hook

    own = [name for name in vars(callback_class) if name.startswith("on_")]
    cls = type(callback_class.__name__, (callback_class,), {name: timing(name) for name in own})
    return cls


def train_with(framework, seconds, tmp_path, **job):
    if framework == "lightning":
        train_with_lightning(timed(LightningCallback, seconds), **job)
    elif framework == "transformers":
        train_with_transformers(tmp_path, timed(TransformersCallback, seconds), **job)
    else:
        train_with_keras(timed(KerasCallback, seconds), **job)


def slow_hooks(seconds):
    assert len(seconds) > 2 * EPOCHS
    return [(name, took_s) for name, took_s in seconds if took_s > LONGEST_HOOK_S]


@pytest.mark.parametrize("framework", ["lightning", "transformers", "keras"])
def test_no_hook_of_a_job_in_a_shared_batch_waits_for_a_server_in_trouble(
    framework, server_in_trouble, tmp_path
):
    seconds = []
    reporter = Reporter("shared", url=server_in_trouble)

    train_with(framework, seconds, tmp_path, batch=reporter)

    assert slow_hooks(seconds) == []
    reporter.close(timeout_s=0.1)


@pytest.mark.parametrize("framework", ["lightning", "transformers", "keras"])
def test_only_the_end_of_its_own_batch_waits_for_a_server_and_only_as_long_as_it_was_told(
    framework, server_in_trouble, tmp_path
):
    seconds = []

    train_with(framework, seconds, tmp_path, url=server_in_trouble, flush_timeout_s=1.5)

    waited = slow_hooks(seconds)
    assert len(waited) <= 1
    assert all(took_s < 1.5 + LONGEST_HOOK_S for _, took_s in waited)
    assert {name for name, _ in waited} <= {"on_test_end", "on_evaluate"}


# --- arguments --------------------------------------------------------------------------------------

CALLBACKS = pytest.mark.parametrize(
    "callback",
    [LightningCallback, TransformersCallback, KerasCallback],
    ids=["lightning", "transformers", "keras"],
)


@CALLBACKS
@pytest.mark.parametrize(
    ("argument", "value", "kind", "said"),
    [
        ("final_stage", "test", ValueError, "'test'"),
        ("sync_cuda", True, ValueError, "True"),
        ("metric_names", "rwa", ValueError, "'rwa'"),
        ("metric_names", ["MSE"], TypeError, "['MSE']"),
        ("metric_names", {"test_mse": 3}, TypeError, "3"),
        ("latency_warmup", -1, ValueError, "-1"),
        ("latency_warmup", "1", TypeError, "'1'"),
        ("seed", "zero", TypeError, "'zero'"),
        ("seed", 0.5, TypeError, "0.5"),
        ("batch", "sweep", TypeError, "'sweep'"),
        ("config", "lr=0.1", TypeError, "'lr=0.1'"),
        ("model", torch.nn.Linear(3, 1), TypeError, "Linear(in_features=3"),
        ("job_id", "x" * 257, ValueError, "257"),
        ("footprint", "no", TypeError, "'no'"),
        ("enabled", "no", TypeError, "'no'"),
        ("flush_timeout_s", None, TypeError, "None"),
        ("flush_timeout_s", float("nan"), ValueError, "nan"),
    ],
)
def test_an_argument_that_makes_no_sense_is_said_with_its_name_and_value_when_it_is_given(
    callback, argument, value, kind, said
):
    with pytest.raises(kind) as error:
        callback(**{argument: value})

    assert argument in str(error.value)
    assert said in str(error.value)


@pytest.mark.parametrize("seed", [3, "3", np.int64(3), torch.tensor(3)])
def test_a_seed_is_an_integer_however_it_is_written(seed, sent):
    train_with_lightning(seed=seed, footprint=np.True_, enabled=1)

    assert sent.of_type("job_start")[0].data["seed"] == 3


@CALLBACKS
def test_a_token_of_a_wrong_kind_is_not_shown(callback):
    with pytest.raises(TypeError, match="token") as error:
        callback(token=["em_live_secret"])

    assert "secret" not in str(error.value)


@dataclasses.dataclass
class Config:
    lr: float = 0.1


@pytest.mark.parametrize("config", [argparse.Namespace(lr=0.1), Config(), {"lr": 0.1}])
def test_parsed_arguments_and_dataclasses_are_configurations(config, sent):
    train_with_lightning(config=config)

    assert sent.of_type("job_start")[0].data["config"] == {"lr": 0.1}


@pytest.mark.parametrize("number", [0, 7])
def test_the_number_of_a_trial_is_a_job_id(number, sent):
    train_with_lightning(job_id=number)

    assert sent.of_type("job_start")[0].job_id == str(number)


def test_jobs_of_one_callback_keep_ids_of_their_own_however_long_the_first_is(sent):
    callback = LightningCallback(job_id="x" * 256)

    for _ in range(2):
        train_with_lightning(lambda: callback)
    callback.close()

    ids = [event.job_id for event in sent.of_type("job_start")]
    assert len(set(ids)) == 2
    assert ids[1] == callback.job_id


def test_a_callback_may_wait_as_long_as_it_takes(sent):
    train_with_lightning(flush_timeout_s=float("inf"))

    assert sent.types[-1] == "batch_done"
