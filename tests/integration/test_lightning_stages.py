"""Every way a Lightning training can be long, short, repeated or resumed, event by event."""

from __future__ import annotations

import copy
import importlib
import sys
import time

import lightning.pytorch as pl
import pytest
import pytorch_lightning
import torch
from integration.tiny_lightning import BATCH_SIZE, BATCHES, loader, regressor, scripted, stream, trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, StochasticWeightAveraging
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader, IterableDataset

from argus_integrations.lightning import ArgusCallback

BEGIN = [("batch_start", None, None), ("job_start", 1, None)]
DONE = ("job_done", 1, {"MSE": 0.5})
END = ("batch_done", None, None)
MEAN = (BATCHES - 1) / 2


def epoch(number, train=MEAN, val=None, job=1):
    """Return the report of an epoch with the mean loss `train` of its batches, which count from 0."""
    losses = {"train_loss": 10.0 * number + train}
    if val is not None:
        losses["val_loss"] = val
    return f"job_epoch {number}", job, losses


LENGTHS = {
    "plain": ({}, 2, [epoch(0, val=100), epoch(1, val=101)]),
    "validation in every second epoch": (
        {"max_epochs": 4, "check_val_every_n_epoch": 2},
        4,
        [epoch(0), epoch(1, val=101), epoch(2), epoch(3, val=103)],
    ),
    "validation twice in an epoch": ({"val_check_interval": 0.5}, 2, [epoch(0, val=100), epoch(1, val=101)]),
    "validation every 6 batches": (
        {"max_epochs": 3, "val_check_interval": 6, "check_val_every_n_epoch": None},
        3,
        [epoch(0), epoch(1, val=101), epoch(2, val=102)],
    ),
    "no validation": ({"limit_val_batches": 0}, 2, [epoch(0), epoch(1)]),
    "no sanity check": ({"num_sanity_val_steps": 0}, 2, [epoch(0, val=100), epoch(1, val=101)]),
    "sanity check of everything": (
        {"num_sanity_val_steps": -1, "check_val_every_n_epoch": 2},
        2,
        [epoch(0), epoch(1, val=101)],
    ),
    "half of the batches": ({"limit_train_batches": 0.5}, 2, [epoch(0, 0.5, 100), epoch(1, 0.5, 101)]),
    "one batch again and again": ({"overfit_batches": 1}, 2, [epoch(0, 0, 100), epoch(1, 0, 101)]),
    "accumulation": ({"accumulate_grad_batches": 3}, 2, [epoch(0, val=100), epoch(1, val=101)]),
    "steps": ({"max_epochs": -1, "max_steps": 5}, None, [epoch(0, val=100), epoch(1, 0)]),
    "steps, epochs unset": ({"max_epochs": None, "max_steps": 5}, None, [epoch(0, val=100), epoch(1, 0)]),
    "steps before epochs": ({"max_epochs": 9, "max_steps": 4}, 9, [epoch(0, val=100)]),
    "fast_dev_run": ({"fast_dev_run": True}, 1, [epoch(0, 0, 100)]),
    "fast_dev_run=2": ({"fast_dev_run": 2}, 1, [epoch(0, 0.5, 100)]),
}


@pytest.mark.parametrize(("options", "epochs_total", "epochs"), LENGTHS.values(), ids=LENGTHS)
def test_every_epoch_is_reported_once_with_the_metrics_of_that_epoch(
    sent, data_of, options, epochs_total, epochs
):
    model, t = scripted(), trainer([ArgusCallback()], **options)

    t.fit(model, loader(), loader())
    t.test(model, loader(), verbose=False)

    assert stream(sent) == [*BEGIN, *epochs, DONE, END]
    assert data_of(sent, "job_start").get("epochs_total") == epochs_total
    flags = [event.data.get("fast_dev_run") for event in sent.events if event.event_type in FLAGGED]
    assert flags == ([True, True] if "fast_dev_run" in options else [None, None])


FLAGGED = ("job_start", "job_done")


@pytest.mark.parametrize(
    ("stop", "epochs"),
    [
        (EarlyStopping("val_loss", patience=1), [epoch(0, val=100), epoch(1, val=101)]),
        (EarlyStopping("val_loss", stopping_threshold=1000.0), [epoch(0, val=100)]),
        (ModelCheckpoint(monitor="val_loss"), [epoch(n, val=100 + n) for n in range(3)]),
        (StochasticWeightAveraging(1e-2, swa_epoch_start=1), [epoch(n, val=100 + n) for n in range(3)]),
    ],
    ids=["early stopping", "threshold", "checkpoint", "stochastic weight averaging"],
)
@pytest.mark.parametrize("first", [True, False], ids=["before", "behind"])
def test_callbacks_beside_ours_change_nothing(sent, tmp_path, stop, epochs, first):
    beside = copy.deepcopy(stop)
    callbacks = [ArgusCallback(), beside] if first else [beside, ArgusCallback()]
    checkpoints = isinstance(stop, ModelCheckpoint)
    t = trainer(callbacks, max_epochs=3, enable_checkpointing=checkpoints, default_root_dir=tmp_path)
    model = scripted()

    t.fit(model, loader(), loader())
    t.test(model, loader(), verbose=False)

    assert stream(sent) == [*BEGIN, *epochs, DONE, END]


def test_should_stop_ends_the_epoch_where_it_is(sent):
    def on_train_batch_end(self, outputs, batch, batch_idx):
        if self.current_epoch == 1 and batch_idx == 1:
            self.trainer.should_stop = True

    model, t = scripted(on_train_batch_end=on_train_batch_end), trainer([ArgusCallback()], max_epochs=9)

    t.fit(model, loader(), loader())
    t.test(model, loader(), verbose=False)

    assert stream(sent)[2:] == [epoch(0, val=100), epoch(1, 0.5, 101), DONE, END]


def test_an_epoch_that_a_module_ends_before_its_first_batch_is_an_epoch(sent):
    def on_train_batch_start(self, batch, batch_idx):
        return -1 if self.current_epoch == 1 or batch_idx == 2 else None

    model, t = scripted(on_train_batch_start=on_train_batch_start), trainer([ArgusCallback()], max_epochs=3)

    t.fit(model, loader())
    t.test(model, loader(), verbose=False)

    assert stream(sent)[2:] == [epoch(0, 0.5), ("job_epoch 1", 1, {}), epoch(2, 0.5), DONE, END]


def test_a_stream_of_unknown_length_has_no_infinity_on_the_wire(sent, data_of):
    class Endless(IterableDataset):
        def __iter__(self):
            while True:
                yield torch.ones(2), torch.ones(1)

    data = DataLoader(Endless(), BATCH_SIZE)
    t = trainer([ArgusCallback()], max_epochs=-1, max_steps=3, limit_test_batches=2)
    model = scripted()

    t.fit(model, data)
    t.test(model, data, verbose=False)

    assert stream(sent) == [*BEGIN, epoch(0, 1), DONE, END]
    assert "inf" not in repr([event.data for event in sent.events]).lower().replace("inference", "")
    assert "epochs_total" not in data_of(sent, "job_start")


# --- stages in any order --------------------------------------------------------------------------

FIT = [("job_start", 1, None), epoch(0, val=100), epoch(1, val=101)]


def of_job(number, events):
    return [(event, number if job else job, data) for event, job, data in events]


START = ("batch_start", None, None)
STAGES = {
    "validate": [],
    "predict": [],
    "validate predict": [],
    "fit": [START, *FIT],
    "fit fit": [START, *FIT],
    "fit validate predict": [START, *FIT],
    "test": [*BEGIN, DONE, END],
    "test test": [*BEGIN, DONE, END, DONE],
    "validate fit validate test": [START, *FIT, DONE, END],
    "fit predict test validate predict": [START, *FIT, DONE, END],
    "fit test test": [START, *FIT, DONE, END, DONE],
    "fit test validate test": [START, *FIT, DONE, END, DONE],
    "test fit test": [*BEGIN, DONE, END, *of_job(2, [*FIT, DONE])],
    "fit test new new fit test": [START, *FIT, DONE, END, *of_job(2, [*FIT, DONE])],
    "fit new fit test": [START, *FIT, *of_job(2, [*FIT, DONE]), ("batch_done", None, "incomplete")],
    "fit again test": [
        START,
        *FIT,
        ("job_epoch 2", 1, {"train_loss": MEAN, "val_loss": 100.0}),
        ("job_epoch 3", 1, {"train_loss": 10 + MEAN, "val_loss": 101.0}),
        DONE,
        END,
    ],
    "fit more fit test": [START, *FIT, epoch(2, val=102), epoch(3, val=103), DONE, END],
}


@pytest.mark.parametrize("stages", STAGES)
def test_stages_in_any_order(sent, stages):
    cb = ArgusCallback()
    model, t = scripted(), trainer([cb])

    for stage in stages.split():
        if stage == "fit":
            t.fit(model, loader(), loader())
        elif stage == "again":  # the same model, another trainer
            t = trainer([cb])
            t.fit(model, loader(), loader())
        elif stage == "new":
            model, t = scripted(), trainer([cb])
        elif stage == "more":
            t.fit_loop.max_epochs = 4
        else:
            quiet = {} if stage == "predict" else {"verbose": False}
            getattr(t, stage)(model, loader(), **quiet)
    cb.flush()

    assert stream(sent) == STAGES[stages]


@pytest.mark.parametrize(
    "nothing",
    [{"max_epochs": 0}, {"max_steps": 0}, {"limit_train_batches": 0}],
    ids=["no epochs", "no steps", "no batches"],
)
def test_a_fit_without_a_batch_and_a_test_is_a_job_that_is_only_tested(sent, nothing):
    model, t = scripted(), trainer([ArgusCallback()], **nothing)

    t.fit(model, loader(), loader())
    t.test(model, loader(), verbose=False)

    assert stream(sent) == [*BEGIN, DONE, END]


def test_a_test_without_a_batch_leaves_the_job_untested(sent):
    cb = ArgusCallback()
    model, t = scripted(), trainer([cb], limit_test_batches=0)

    t.fit(model, loader(), loader())
    t.test(model, loader(), verbose=False)
    cb.close()

    assert stream(sent) == [START, *FIT, ("batch_done", None, "incomplete")]


def test_each_of_two_callbacks_reports_its_own_job(sent):
    one, two = ArgusCallback(job_id="one", project="p"), ArgusCallback(job_id="two", project="q")
    model, t = scripted(), trainer([one, two])

    t.fit(model, loader(), loader())
    t.test(model, loader(), verbose=False)

    whole = [event.event_type for event in sent.events]
    for job_id, project in (("one", "p"), ("two", "q")):
        batch = {event.batch_id for event in sent.events if event.job_id == job_id}
        mine = [event for event in sent.events if event.batch_id in batch]
        assert [event.event_type for event in mine] == [*whole[:2], "job_epoch", "job_epoch", *whole[-2:]]
        assert {event.source.project for event in mine} == {project}


# --- checkpoints ----------------------------------------------------------------------------------


def checkpointed(directory, **options):
    """Return a trainer with a callback that keeps every checkpoint as `step=N.ckpt`, and last.ckpt."""
    keeps = ModelCheckpoint(directory, monitor="val_loss", save_top_k=-1, save_last=True, filename="{step}")
    return trainer([*options.pop("callbacks", ()), keeps], enable_checkpointing=True, **options)


@pytest.mark.parametrize("ckpt_path", ["best", "last"])
def test_a_checkpoint_is_tested_and_holds_nothing_of_ours(sent, tmp_path, ckpt_path):
    t = checkpointed(tmp_path, callbacks=[ArgusCallback(token="em_live_secret")])

    t.fit(scripted(), loader(), loader())
    t.test(dataloaders=loader(), ckpt_path=ckpt_path, verbose=False)

    assert stream(sent) == [START, *FIT, DONE, END]
    for path in tmp_path.glob("*.ckpt"):
        assert not [key for key in torch.load(path, weights_only=True)["callbacks"] if "Argus" in key]
        assert b"em_live_secret" not in path.read_bytes()


def test_a_weights_only_checkpoint_is_tested_by_a_model_loaded_from_it(sent, tmp_path):
    t = trainer([ArgusCallback()])
    t.fit(scripted(), loader(), loader())
    t.save_checkpoint(tmp_path / "weights.ckpt", weights_only=True)
    loaded = scripted()
    loaded.load_state_dict(torch.load(tmp_path / "weights.ckpt", weights_only=True)["state_dict"])

    t.test(loaded, loader(), verbose=False)

    assert stream(sent) == [START, *FIT, DONE, END]


@pytest.mark.parametrize("ckpt_path", ["last", "step=8.ckpt"])
def test_another_process_resumes_the_job_where_it_stood(sent, tmp_path, data_of, ckpt_path):
    checkpointed(tmp_path, max_epochs=2).fit(scripted(), loader(), loader())
    path = ckpt_path if ckpt_path == "last" else tmp_path / ckpt_path
    model = scripted()
    t = checkpointed(tmp_path, callbacks=[ArgusCallback(job_id="j")], max_epochs=4)

    t.fit(model, loader(), loader(), ckpt_path=path, weights_only=False)
    t.test(model, loader(), verbose=False)

    assert stream(sent) == [*BEGIN, epoch(2, val=102), epoch(3, val=103), DONE, END]
    assert {event.job_id for event in sent.events} == {None, "j"}
    assert data_of(sent, "job_start")["epochs_total"] == 4


@pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch ended")
def test_a_job_resumed_in_the_middle_of_an_epoch_reports_that_epoch_once(sent, tmp_path):
    keeps = ModelCheckpoint(tmp_path, every_n_train_steps=6, save_top_k=-1, filename="{step}")
    trainer([keeps], enable_checkpointing=True).fit(scripted(), loader(), loader())
    model = scripted()
    t = trainer([ArgusCallback(), copy.deepcopy(keeps)], enable_checkpointing=True, max_epochs=3)

    t.fit(model, loader(), loader(), ckpt_path=tmp_path / "step=6.ckpt", weights_only=False)
    t.test(model, loader(), verbose=False)

    epochs = [event for event, *_ in stream(sent) if event.startswith("job_epoch")]
    assert epochs == ["job_epoch 1", "job_epoch 2"]


def test_a_resume_with_nothing_left_reports_nothing_until_its_test(sent, tmp_path):
    checkpointed(tmp_path).fit(scripted(), loader(), loader())
    model, t = scripted(), checkpointed(tmp_path, callbacks=[ArgusCallback()])

    t.fit(model, loader(), loader(), ckpt_path="last", weights_only=False)
    reported_by_the_fit = stream(sent)
    t.test(model, loader(), verbose=False)

    assert reported_by_the_fit == []
    assert stream(sent) == [*BEGIN, DONE, END]


# --- under both names, from a command line -----------------------------------------------------------


def test_a_trainer_without_any_logging_still_reports_time_and_size(sent, data_of):
    options = dict.fromkeys(
        ("training_step", "validation_step", "test_step"), lambda self, b, i: self.loss(b)
    )
    model = regressor(**options)
    t = pl.Trainer(barebones=True, callbacks=ArgusCallback(), max_epochs=1, accelerator="cpu", devices=1)

    t.fit(model, loader(), loader())
    t.test(model, loader(), verbose=False)

    assert stream(sent) == [*BEGIN, ("job_epoch 0", 1, {}), ("job_done", 1, {}), END]
    assert data_of(sent, "job_done")["metrics"]["Total_Batches"] == BATCHES


def cli_model(namespace):
    class CliModel(namespace.LightningModule):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(2, 1)

        def training_step(self, batch, batch_idx):
            self.log("train_loss", 1.0)
            return self.layer(batch[0]).square().mean()

        def test_step(self, batch, batch_idx):
            self.log("test_mse", 0.5)

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

        def train_dataloader(self):
            return loader()

        test_dataloader = train_dataloader

    return CliModel


CLI_CONFIG = """
seed_everything: 5
trainer:
  max_epochs: 1
  accelerator: cpu
  devices: 1
  logger: false
  enable_checkpointing: false
  enable_progress_bar: false
  enable_model_summary: false
  callbacks:
    - class_path: argus_integrations.lightning.ArgusCallback
      init_args:
        project: from-yaml
        dataset: line
        tags: [a, b]
        config: {width: 1}
        metric_names: {test_mse: my_mse}
        job_id: from-yaml
        flush_timeout_s: 2.5
"""


def test_a_trainer_with_its_own_logger_bar_and_checkpoints_reports_the_same(sent, tmp_path):
    model = scripted()
    options = {"logger": CSVLogger(tmp_path), "default_root_dir": tmp_path, "max_epochs": 2}
    t = pl.Trainer(callbacks=ArgusCallback(), accelerator="cpu", devices=1, **options)

    t.fit(model, loader(), loader())
    t.test(model, loader())

    assert stream(sent) == [START, *FIT, DONE, END]


@pytest.mark.parametrize("namespace", [pl, pytorch_lightning], ids=["lightning", "pytorch_lightning"])
def test_a_command_line_takes_the_callback_from_its_config(sent, tmp_path, data_of, namespace, monkeypatch):
    cli = importlib.import_module(f"{namespace.__name__}.cli")
    config = tmp_path / "config.yaml"
    config.write_text(CLI_CONFIG)

    monkeypatch.setattr(sys, "argv", ["train.py", "--config", str(config)])

    made = cli.LightningCLI(cli_model(namespace), save_config_callback=None, run=False)
    made.trainer.fit(made.model)
    made.trainer.test(made.model, verbose=False)

    assert [event for event, *_ in stream(sent)] == [
        "batch_start",
        "job_start",
        "job_epoch 0",
        "job_done",
        "batch_done",
    ]
    facts = {"dataset": "line", "seed": 5, "tags": ["a", "b"], "config": {"width": 1}}
    assert data_of(sent, "job_start").items() >= facts.items()
    assert data_of(sent, "job_done")["metrics"]["my_mse"] == 0.5
    assert {(event.source.project, event.job_id) for event in sent.events} == {
        ("from-yaml", None),
        ("from-yaml", "from-yaml"),
    }


def test_a_command_line_takes_the_callback_from_its_arguments(sent, monkeypatch):
    words = ["--trainer.callbacks+=argus_integrations.lightning.ArgusCallback"]
    words += ["--trainer.callbacks.project=from-words", "--trainer.callbacks.seed=3"]
    quiet = ["logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"]
    words += [
        *(f"--trainer.{name}=false" for name in quiet),
        "--trainer.accelerator=cpu",
        "--seed_everything=4",
    ]
    monkeypatch.setattr(sys, "argv", ["train.py", "test", *words])

    importlib.import_module("lightning.pytorch.cli").LightningCLI(cli_model(pl), save_config_callback=None)

    assert stream(sent) == [*BEGIN, DONE, END]
    assert {event.source.project for event in sent.events} == {"from-words"}


# --- what is measured -------------------------------------------------------------------------------


def test_the_time_of_an_epoch_is_without_its_validations_and_that_of_a_test_without_its_data(sent, data_of):
    class Slow(torch.utils.data.Dataset):
        def __len__(self):
            return 2

        def __getitem__(self, index):
            time.sleep(0.5)
            return torch.ones(2), torch.ones(1)

    def validation_step(self, batch, batch_idx):
        if not self.trainer.sanity_checking:
            time.sleep(0.5)

    model, t = scripted(validation_step=validation_step), trainer([ArgusCallback()], val_check_interval=0.5)

    t.fit(model, loader(2), loader(1))
    t.test(model, DataLoader(Slow(), batch_size=1), verbose=False)

    metrics = data_of(sent, "job_done")["metrics"]
    assert metrics["Total_Train_Time"] > 4 * 0.5
    assert metrics["Avg_Epoch_Time"] < 0.5
    assert metrics["Total_Inference_Time"] < 0.5
    assert round(metrics["Inference_Throughput"] * metrics["Total_Inference_Time"]) == 2
    assert round(metrics["Samples_Per_Second"] * metrics["Avg_Epoch_Time"]) == 2 * BATCH_SIZE
