"""Every place where a Lightning training can break, event by event."""

from __future__ import annotations

import contextlib

import lightning.pytorch as pl
import pytest
from integration.tiny_lightning import always, breaking, loader, scripted, stream, trainer
from lightning.pytorch.tuner import Tuner

from argus_core.reporter import Reporter
from argus_integrations.lightning import ArgusCallback

START = ("batch_start", None, None)
EPOCHS = [
    ("job_start", 1, None),
    ("job_epoch 0", 1, {"train_loss": 1.5, "val_loss": 100.0}),
    ("job_epoch 1", 1, {"train_loss": 11.5, "val_loss": 101.0}),
]
FAILED = [("job_failed", 1, "ValueError: boom"), ("batch_failed", None, "ValueError: boom")]
DONE = ("job_done", 1, {"MSE": 0.5})
END = ("batch_done", None, None)


def broken(hook, when=always):
    return breaking(scripted(), hook, ValueError("boom"), when)


def in_epoch_1(module):
    return not module.trainer.sanity_checking and module.current_epoch == 1


BEFORE_TRAINING = [
    "prepare_data",
    "setup",
    "configure_model",
    "configure_optimizers",
    "train_dataloader",
    "on_fit_start",
    "validation_step",  # the sanity check
    "on_validation_epoch_end",
]


@pytest.mark.parametrize("hook", BEFORE_TRAINING)
def test_what_breaks_before_training_begins_announces_nothing(sent, hook):
    cb = ArgusCallback()
    data = () if hook == "train_dataloader" else (loader(), loader())

    with pytest.raises(ValueError, match="boom"):
        trainer([cb]).fit(broken(hook), *data)
    cb.close()

    assert sent.events == []


IN_TRAINING = {
    "on_train_start": 0,
    "on_train_epoch_start": 1,
    "on_train_batch_start": 1,
    "training_step": 1,
    "on_before_backward": 1,
    "on_before_optimizer_step": 1,
    "on_train_batch_end": 1,
    "validation_step": 1,
    "on_validation_epoch_end": 1,
    "on_validation_end": 1,
    "on_train_epoch_end": 2,
    "on_train_end": 2,
    "on_fit_end": 2,
    "teardown": 2,
}


@pytest.mark.parametrize(("hook", "epochs"), IN_TRAINING.items())
def test_what_breaks_in_training_fails_the_job_after_its_last_whole_epoch(sent, hook, epochs):
    at_once = hook in ("on_train_start", "on_train_end", "on_fit_end", "teardown")
    model = broken(hook, always if at_once else in_epoch_1)

    with pytest.raises(ValueError, match="boom"):
        trainer([ArgusCallback()]).fit(model, loader(), loader())

    assert stream(sent) == [START, *EPOCHS[: 1 + epochs], *FAILED]


@pytest.mark.parametrize("first", [True, False], ids=["before", "behind"])
@pytest.mark.parametrize("hook", ["on_train_start", "on_train_epoch_end", "on_train_batch_end"])
def test_a_callback_beside_ours_that_breaks_fails_the_job(sent, hook, first):
    class Broken(pl.Callback):
        pass

    def raises(self, *args):
        raise ValueError("boom")

    setattr(Broken, hook, raises)
    callbacks = [Broken(), ArgusCallback()] if first else [ArgusCallback(), Broken()]

    with pytest.raises(ValueError, match="boom"):
        trainer(callbacks).fit(scripted(), loader(), loader())

    is_announced = hook != "on_train_start" or not first
    has_an_epoch = hook == "on_train_epoch_end" and not first
    assert stream(sent) == ([START, *EPOCHS[: 1 + has_an_epoch], *FAILED] if is_announced else [])


IN_TEST = {
    "setup": FAILED,
    "on_test_start": FAILED,
    "on_test_epoch_start": FAILED,
    "on_test_batch_start": FAILED,
    "test_step": FAILED,
    "on_test_batch_end": FAILED,
    "on_test_epoch_end": FAILED,
    "on_test_end": [DONE, END],  # callbacks come first: the result is known
    "teardown": [DONE, END],
}


@pytest.mark.parametrize("hook", IN_TEST)
@pytest.mark.parametrize("stages", ["fit test", "test"])
def test_what_breaks_in_the_test_fails_the_job_unless_its_result_is_known(sent, hook, stages):
    model = broken(hook, lambda module: module.trainer.testing)
    cb = ArgusCallback()
    t = trainer([cb])

    if stages == "fit test":
        t.fit(model, loader(), loader())
    with pytest.raises(ValueError, match="boom"):
        t.test(model, loader(), verbose=False)
    cb.close()

    begin = [START, *EPOCHS] if stages == "fit test" else [START, EPOCHS[0]]
    assert stream(sent) == ([] if (hook, stages) == ("setup", "test") else [*begin, *IN_TEST[hook]])


@pytest.mark.parametrize(("stage", "hook"), [("validate", "validation_step"), ("predict", "predict_step")])
@pytest.mark.parametrize("when", ["before the fit", "after the fit", "after the test"])
def test_what_breaks_in_another_stage_fails_a_job_that_has_no_result(sent, stage, hook, when):
    model = broken(hook, lambda module: module.trainer.state.fn == stage)
    cb = ArgusCallback()
    t = trainer([cb])

    if when != "before the fit":
        t.fit(model, loader(), loader())
    if when == "after the test":
        t.test(model, loader(), verbose=False)
    with pytest.raises(ValueError, match="boom"):
        getattr(t, stage)(model, loader())
    cb.close()

    ends = {"before the fit": [], "after the fit": FAILED, "after the test": [DONE, END]}
    assert stream(sent) == ([START, *EPOCHS, *ends[when]] if when != "before the fit" else [])


@pytest.mark.parametrize("stage", ["fit", "test"])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)], ids=["ctrl-c", "sys.exit"])
def test_an_interrupted_stage_is_reported_once_as_interrupted(sent, data_of, stage, error):
    model = breaking(scripted(), "training_step" if stage == "fit" else "test_step", error)
    cb = ArgusCallback()
    t = trainer([cb])

    if stage == "test":
        t.fit(model, loader(), loader())
    with pytest.raises(SystemExit), cb:
        getattr(t, stage)(model, loader())
    cb.close()

    reason = "KeyboardInterrupt" if isinstance(error, KeyboardInterrupt) else "SystemExit: 3"
    before = EPOCHS[: 1 if stage == "fit" else 3]
    assert stream(sent) == [START, *before, ("job_failed", 1, reason), ("batch_failed", None, reason)]
    assert data_of(sent, "job_failed")["status"] == "interrupted"
    assert data_of(sent, "job_failed")["error"]["type"] == type(error).__name__


def test_a_failed_job_that_is_fitted_again_is_a_new_job(sent):
    model = broken("training_step")
    good = scripted()
    cb = ArgusCallback()
    t = trainer([cb])

    with pytest.raises(ValueError, match="boom"):
        t.fit(model, loader(), loader())
    type(model).training_step = type(good).training_step
    trainer([cb]).fit(model, loader(), loader())
    trainer([cb]).test(model, loader(), verbose=False)
    cb.close()

    second = [(event, 2, data) for event, _, data in [*EPOCHS, DONE]]
    assert stream(sent) == [START, EPOCHS[0], *FAILED, *second]


def test_a_failed_job_that_is_tested_is_done(sent):
    model = broken("on_train_end")
    cb = ArgusCallback()
    t = trainer([cb])

    with pytest.raises(ValueError, match="boom"), cb:
        t.fit(model, loader(), loader())
    t.test(model, loader(), verbose=False)
    cb.close()

    assert stream(sent) == [START, *EPOCHS, *FAILED, DONE]


def test_another_models_fit_that_never_begins_takes_nothing_from_the_job_before(sent):
    cb = ArgusCallback()
    model = scripted()

    trainer([cb]).fit(model, loader(), loader())
    with pytest.raises(ValueError, match="boom"):
        trainer([cb]).fit(broken("configure_optimizers"), loader())
    trainer([cb]).test(model, loader(), verbose=False)

    assert stream(sent) == [START, *EPOCHS, DONE, END]


def test_a_tuner_that_breaks_reports_nothing(sent, tmp_path):
    cb = ArgusCallback()
    model = broken("training_step")
    model.lr = 0.1

    with pytest.raises(ValueError, match="boom"):
        Tuner(trainer([cb], default_root_dir=tmp_path)).lr_find(model, loader(), num_training=5)
    cb.close()

    assert sent.events == []


def test_the_epoch_whose_end_breaks_has_its_own_mean_loss_and_not_that_of_its_last_batch(sent, data_of):
    model = broken("on_train_epoch_end")

    with pytest.raises(ValueError, match="boom"):
        trainer([ArgusCallback()]).fit(model, loader())

    assert data_of(sent, "job_epoch")["train_loss"] == 1.5


def test_an_epoch_that_breaks_after_a_metric_that_cannot_be_computed_fails_all_the_same(sent):
    class Broken(pl.Callback):
        def on_train_epoch_end(self, t, module):
            t._results["broken"] = None  # whatever reads the metrics now raises
            raise ValueError("boom")

    with pytest.raises(ValueError, match="boom"):
        trainer([ArgusCallback(), Broken()]).fit(scripted(), loader())

    assert [event for event, *_ in stream(sent)][-2:] == ["job_failed", "batch_failed"]


def test_an_exception_between_fit_and_test_fails_the_job_and_the_sweep_goes_on(sent, data_of):
    with Reporter("sweep", n_total=2) as reporter:
        for seed in (0, 1):
            with (
                contextlib.suppress(ValueError),
                ArgusCallback(batch=reporter, job_id=f"seed-{seed}", seed=seed) as callback,
            ):
                t, model = trainer([callback]), scripted()
                t.fit(model, loader(), loader())
                if seed == 0:
                    raise ValueError("no checkpoint")
                t.test(model, loader(), verbose=False)

    (failed,) = sent.of_type("job_failed")
    assert (failed.job_id, failed.data["reason"]) == ("seed-0", "ValueError: no checkpoint")
    assert [event.job_id for event in sent.of_type("job_done")] == ["seed-1"]
    end = data_of(sent, "batch_done")
    assert (end["n_done"], end["n_failed"], end["untested"]) == (1, 1, [])


def test_an_exception_after_the_result_takes_nothing_from_it(sent, data_of):
    with contextlib.suppress(ValueError), ArgusCallback() as callback:
        t, model = trainer([callback]), scripted()
        t.fit(model, loader(), loader())
        t.test(model, loader(), verbose=False)
        raise ValueError("plot")

    assert "MSE" in data_of(sent, "job_done")["metrics"]
    assert sent.of_type("job_failed") == []
