"""`ArgusCallback` for Lightning, under `lightning` and `pytorch_lightning` alike.

::

    cb = ArgusCallback(project="my-paper", dataset="etth1")
    trainer = Trainer(max_epochs=10, callbacks=[cb])
    with cb:  # reports an exception between the stages too
        trainer.fit(model, train_loader, val_loader)
        trainer.test(model, test_loader)  # sends the row of the leaderboard
"""

from __future__ import annotations

import contextlib
import importlib
import re
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from argus_core.footprint import samples_in
from argus_core.guard import never_raise, swallowed
from argus_integrations import _describe
from argus_integrations._batches import FullBatches
from argus_integrations._callback import CommonCallback
from argus_integrations._options import Options
from argus_integrations._training_run import JobFacts, TrainingRun

__all__ = ["ArgusCallback"]

_NAMESPACES = ("lightning.pytorch", "pytorch_lightning")

_HOOKS_OF_EVERY_STEP = (
    "on_train_batch_start",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "on_validation_batch_start",
    "on_validation_batch_end",
    "on_predict_batch_start",
    "on_predict_batch_end",
)
"""Those that this callback has nothing to do in."""


def _imported_callback_classes() -> list[type]:
    """Return the `Callback` class of every Lightning that this process has imported."""
    modules = (sys.modules.get(name) for name in _NAMESPACES)
    found = (getattr(module, "Callback", None) for module in modules)
    return [cls for cls in found if isinstance(cls, type)]


def _callback_classes() -> list[type]:
    """Return them, and import the first that is installed when none is imported yet."""
    if not _imported_callback_classes():
        try:
            importlib.import_module(_NAMESPACES[0])
        except ModuleNotFoundError:
            importlib.import_module(_NAMESPACES[1])
    return _imported_callback_classes()


class _LightningCallback(CommonCallback, *_callback_classes()):  # type: ignore[misc]
    """Reports a training under Lightning. Stateless: nothing of it is in a checkpoint.

    `job_epoch` leaves one hook after its epoch, because a module's own `on_train_epoch_end` logs after
    the callbacks'. Of the callback metrics, an epoch gets those that were computed in it: Lightning
    keeps the validation metrics of earlier epochs. `train_loss` is the metric `train_loss`, `train/loss`,
    `training_loss` or `loss`, as the module logged it.
    """

    _argus_framework = "lightning"

    def _argus_adopt(self, run: TrainingRun, options: Options) -> None:
        _adopt_later_lightnings()
        super()._argus_adopt(run, options)
        self._argus_seen: dict[str, Any] = {}
        self._argus_last_test_batch: Any = None
        self._argus_full_batches = FullBatches()
        self._argus_count = run.footprint.batch_count
        self._argus_hide_empty_hooks()

    def _argus_hide_empty_hooks(self) -> None:
        """Let the Trainer pass over the hooks of every step that nobody has filled.

        It opens a profiler's context around each hook of each callback, empty or not, but leaves out what is
        not callable. Five empty hooks a step were most of what a training paid for this callback. In the
        instance only: a subclass that fills one, and calls the empty one above it, finds what it expects.
        """
        lightnings = _imported_callback_classes()
        empty = {getattr(base, name, None) for base in lightnings for name in _HOOKS_OF_EVERY_STEP}
        for name in _HOOKS_OF_EVERY_STEP:
            if getattr(type(self), name, None) in empty:
                setattr(self, name, None)

    def _argus_extras(self) -> dict[str, Any]:
        extras = super()._argus_extras()
        return {name: value for name, value in extras.items() if name not in _HOOKS_OF_EVERY_STEP or value}

    # --- training -------------------------------------------------------------------------------

    @never_raise
    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Announce the job: the sanity check is over, and an empty fit never comes here.

        The clock of an epoch starts here too: one that a checkpoint left in its midst has no begin.
        """
        self._argus_seen = {}
        self._argus_run.training_began(
            pl_module, lambda: _facts(trainer, pl_module, "train"), rank_zero=trainer.is_global_zero
        )
        self._argus_run.footprint.world_size = trainer.world_size
        self._argus_run.footprint.epoch_began()
        self._argus_count_anew(trainer, pl_module)

    @never_raise
    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Send the epoch before, whose metrics are complete only now."""
        self._argus_complete_epoch(trainer)
        self._argus_run.epoch_began()
        self._argus_count_anew(trainer, pl_module)

    def _argus_count_anew(self, trainer: Any, module: Any) -> None:
        self._argus_count = self._argus_run.footprint.batch_count
        self._argus_full_batches = FullBatches.of(
            trainer.train_dataloader, module, getattr(trainer, "datamodule", None)
        )

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the batch; no tensor is read. Guarded by hand: every step comes here."""
        try:
            count = self._argus_count
            if batch_idx == count.last:
                return  # the same callback, listed twice
            count.last = batch_idx
            if batch_idx < count.known_below:
                count.batches += 1
                count.samples += count.size
            else:
                self._argus_count_and_ask(batch)
        except Exception as error:  # noqa: BLE001 - as `never_raise` does, without packing arguments again
            swallowed(error, "ArgusCallback.on_train_batch_end")

    def _argus_count_and_ask(self, batch: Any) -> None:
        """Count a batch of unknown size; if the first one has the size its loader says, so will others."""
        size = samples_in(batch)
        self._argus_run.footprint.step(size)
        count, full = self._argus_count, self._argus_full_batches
        if count.batches == 1 and size == full.size:
            count.size, count.known_below = size, full.number

    @never_raise
    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        """Stop the epoch's clock; the sanity check and `validate()` are in no epoch."""
        if self._argus_run.state == "training" and not trainer.sanity_checking:
            self._argus_run.footprint.validation_began()

    @never_raise
    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Let it run again."""
        if self._argus_run.state == "training" and not trainer.sanity_checking:
            self._argus_run.footprint.validation_ended()

    @never_raise
    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Close the epoch, but read no metric: the module has not logged its last ones, and the read may
        issue collectives that the module's own would meet on another rank.
        """  # noqa: D205
        self._argus_run.epoch_ended(trainer.current_epoch, lr=_learning_rate(trainer))

    @never_raise
    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Send the last epoch."""
        self._argus_complete_epoch(trainer)
        self._argus_run.training_ended()

    def _argus_complete_epoch(self, trainer: Any) -> None:
        """Give the epoch that ended its metrics. On every rank: the read may issue collectives."""
        if self._argus_run.has_pending_epoch:
            self._argus_add_to_epoch(dict(trainer.callback_metrics))

    def _argus_add_to_epoch(self, metrics: dict[str, Any]) -> None:
        fresh = {name: value for name, value in metrics.items() if self._argus_seen.get(name) is not value}
        self._argus_seen = metrics
        self._argus_run.add_to_epoch(**_epoch_data(fresh))

    # --- test -----------------------------------------------------------------------------------

    @never_raise
    def on_test_start(self, trainer: Any, pl_module: Any) -> None:
        """Open the test stage; a test without a fit announces its job here."""
        self._argus_last_test_batch = None
        self._argus_run.test_began(
            pl_module, lambda: _facts(trainer, pl_module, "test"), rank_zero=trainer.is_global_zero
        )
        self._argus_run.footprint.world_size = trainer.world_size

    @never_raise
    def on_test_batch_start(
        self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Start the clock: data is loaded and on the device."""
        self._argus_run.footprint.batch_began()

    @never_raise
    def on_test_batch_end(
        self,
        trainer: Any,
        pl_module: Any,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Stop it."""
        if (batch_idx, dataloader_idx) != self._argus_last_test_batch:
            self._argus_last_test_batch = (batch_idx, dataloader_idx)
            self._argus_run.footprint.batch_ended(samples_in(batch))

    @never_raise
    def on_test_end(self, trainer: Any, pl_module: Any) -> None:
        """Send the row of the leaderboard.

        Lightning calls callbacks before the module's own `on_test_epoch_end`: what a module logs there
        stands in `callback_metrics` only now. The read may issue collectives, so every rank does it.
        """
        metrics = dict(trainer.callback_metrics)
        self._argus_run.test_ended(_without_forks(metrics))

    # --- failure --------------------------------------------------------------------------------

    @never_raise
    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Report the failure, with the epoch that was still waiting for its metrics."""
        if self._argus_run.has_pending_epoch:
            self._argus_complete_broken_epoch(trainer)
        is_of_another_job = trainer.state.fn == "fit" and not self._argus_run.is_job_of(pl_module)
        if self._argus_run.state == "trained" and is_of_another_job:
            return  # a fit that never began
        self._argus_run.fail(exception)

    def _argus_complete_broken_epoch(self, trainer: Any) -> None:
        """Give the epoch its metrics. Computing them may take collectives, which no other rank joins now."""
        connector = getattr(trainer, "_logger_connector", None)
        known = dict(getattr(connector, "_callback_metrics", {}))
        if trainer.world_size == 1:
            with contextlib.suppress(Exception):  # perhaps it is the metrics that broke
                known = dict(trainer.callback_metrics)
        self._argus_add_to_epoch(known)


_LightningCallback.__name__ = _LightningCallback.__qualname__ = "ArgusCallback"

if TYPE_CHECKING:
    ArgusCallback = _LightningCallback


def __getattr__(name: str) -> Any:
    """Return `ArgusCallback`, by now a callback of every Lightning that is imported.

    `LightningCLI` imports the name, and takes only a subclass of its own Lightning's callback.
    """
    if name != "ArgusCallback":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    _adopt_later_lightnings()
    return _LightningCallback


def _adopt_later_lightnings() -> None:
    """Give the class the `Callback` of each Lightning that was imported after it was made.

    `lightning.pytorch.Callback` and `pytorch_lightning.Callback` are different classes. A Trainer takes a
    callback that stands alone, not in a list, only if it is an instance of its own.
    """
    known = _LightningCallback.__bases__
    later = tuple(base for base in _imported_callback_classes() if base not in known)
    if later:
        _LightningCallback.__bases__ = (*known, *later)


# --- what a trainer knows -----------------------------------------------------------------------


def _facts(trainer: Any, module: Any, stage: str) -> JobFacts:
    max_epochs = trainer.max_epochs
    is_finite = isinstance(max_epochs, int) and max_epochs > 0 and stage == "train"
    return JobFacts(
        model=_model_name(module),
        dataset=_dataset_name(trainer, stage),
        seed=_seed(),
        epochs_total=max_epochs if is_finite else None,
        extra={"fast_dev_run": True} if trainer.fast_dev_run else {},
    )


def _seed() -> int | None:
    seed = _describe.environment_seed()
    return seed if seed is not None else _describe.torch_seed()


def _model_name(module: Any) -> str | None:
    hparams = _describe.attribute(module, "hparams")
    if isinstance(hparams, Mapping):
        for key in ("model_name", "arch"):
            if isinstance(hparams.get(key), str) and hparams[key]:
                return str(hparams[key])
    return _describe.class_name_of_model(module)


def _dataset_name(trainer: Any, stage: str) -> str | None:
    datamodule = getattr(trainer, "datamodule", None)
    if datamodule is not None:
        name = type(datamodule).__name__.removesuffix("DataModule")
        if name and name != "Lightning":
            return name
    loaders = trainer.test_dataloaders if stage == "test" else trainer.train_dataloader
    return _describe.class_name_of_dataset(_first_dataset(loaders))


def _first_dataset(loaders: Any) -> Any:
    while isinstance(loaders, (list, tuple, dict)) and loaders:
        loaders = next(iter(loaders.values())) if isinstance(loaders, dict) else loaders[0]
    return _describe.attribute(loaders, "dataset")


def _learning_rate(trainer: Any) -> float | None:
    """Return the learning rate that the epoch ended with: of the first group of the first optimizer."""
    for optimizer in trainer.optimizers:
        for group in optimizer.param_groups:
            return float(group["lr"])
    return None


_FORK = re.compile(r"_(?:step|epoch)(?P<loader>(?:/dataloader_idx_\d+)?)$")


_STEP = re.compile(r"_step(?:/dataloader_idx_\d+)?$")


def _without_forks(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Drop `x_step` and `x_epoch` where Lightning logged `x` both ways; `x` is the epoch's value."""
    forks = {name for name in metrics if _FORK.search(name) and _FORK.sub(r"\g<loader>", name) in metrics}
    return {name: value for name, value in metrics.items() if name not in forks}


_TRAIN_LOSS = ("train_loss", "training_loss", "loss")
_VAL_LOSS = ("val_loss", "valid_loss", "validation_loss")


def _epoch_data(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Name the two losses as the wire does; every other metric keeps its own name."""
    data = {name: value for name, value in _without_forks(metrics).items() if not _STEP.search(name)}
    for wire_name, wanted in (("train_loss", _TRAIN_LOSS), ("val_loss", _VAL_LOSS)):
        plain = {_plain(name): name for name in reversed(data)}
        found = next((plain[name] for name in wanted if name in plain), None)
        if found is not None:
            data[wire_name] = data.pop(found)
    return data


def _plain(name: str) -> str:
    """Return `train/loss`, `Train-Loss` and `train_loss_epoch` as `train_loss`."""
    folded = name.casefold().translate(str.maketrans("/.-: ", "_____"))
    return folded.removesuffix("_epoch")
