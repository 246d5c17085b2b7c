"""How many batches and samples a training under Lightning had: exact, whatever the loader is.

The sizes of most batches are known from the loader and not asked. Each case says what the steps get, the
steps note it, and the columns must agree.
"""

from __future__ import annotations

import lightning.pytorch as pl
import pytest
import torch
from integration.tiny_lightning import loader, regressor, trainer
from torch.utils.data import DataLoader, Dataset, IterableDataset, Sampler, Subset, default_collate

from argus_integrations.lightning import ArgusCallback

SAMPLES = 20


class Points(Dataset):
    """Sample `i` is the point (i, i); its target is 0."""

    def __len__(self):
        return SAMPLES

    def __getitem__(self, index):
        return torch.full((2,), float(index)), torch.zeros(1)


class PointsInBatches(Points):
    """Is asked for whole batches, and leaves sample 9 out."""

    def __getitems__(self, indices):
        return [self[index] for index in indices if index != 9]


class Stream(IterableDataset):
    def __iter__(self):
        return map(Points().__getitem__, range(SAMPLES))


class StreamThatKnowsItsLength(Stream):
    def __len__(self):
        return SAMPLES


class ReadyBatches(Dataset):
    """Item `i` is a batch of `i + 1` samples."""

    def __len__(self):
        return 3

    def __getitem__(self, index):
        return torch.ones(index + 1, 2), torch.ones(index + 1, 1)


class EndsEarly(Sampler):
    """Promises 20 samples and gives 12."""

    def __len__(self):
        return SAMPLES

    def __iter__(self):
        return iter(range(12))


class Batches:
    """Is no loader of torch's."""

    def __init__(self, *sizes):
        self.sizes = sizes

    def __iter__(self):
        return ((torch.ones(size, 2), torch.ones(size, 1)) for size in self.sizes)


class HalfOfTheSecond(DataLoader):
    """Cuts the second of its batches in half."""

    def __iter__(self):
        for number, (x, y) in enumerate(super().__iter__()):
            yield (x[:4], y[:4]) if number == 1 else (x, y)


def without_sample_9(samples):
    return default_collate([sample for sample in samples if sample[0][0] != 9])


LOADERS = {
    "partial last batch": (lambda: DataLoader(Points(), 8), [8, 8, 4]),
    "full last batch": (lambda: DataLoader(Points(), 5), [5, 5, 5, 5]),
    "one partial batch": (lambda: DataLoader(Points(), 30), [20]),
    "drop_last": (lambda: DataLoader(Points(), 8, drop_last=True), [8, 8]),
    "shuffled": (lambda: DataLoader(Points(), 8, shuffle=True), [8, 8, 4]),
    "part": (lambda: DataLoader(Subset(Points(), range(11)), 8), [8, 3]),
    "own collate": (lambda: DataLoader(Points(), 8, collate_fn=without_sample_9), [8, 7, 4]),
    "own sampler": (lambda: DataLoader(Points(), 8, sampler=range(19)), [8, 8, 3]),
    "sampler that ends early": (lambda: DataLoader(Points(), 8, sampler=EndsEarly()), [8, 4]),
    "own batch sampler": (lambda: DataLoader(Points(), batch_sampler=[[0, 1], [2], [3, 4]]), [2, 1, 2]),
    "no batch size": (lambda: DataLoader(ReadyBatches(), batch_size=None), [1, 2, 3]),
    "asked for whole batches": (lambda: DataLoader(PointsInBatches(), 8), [8, 7, 4]),
    "part of what is asked for whole batches": (
        lambda: DataLoader(Subset(PointsInBatches(), range(20)), 8),
        [8, 7, 4],
    ),
    "iterable": (lambda: DataLoader(Stream(), 8), [8, 8, 4]),
    "iterable with a length": (lambda: DataLoader(StreamThatKnowsItsLength(), 8), [8, 8, 4]),
    "own loader": (lambda: HalfOfTheSecond(Points(), 8), [8, 4, 4]),
    "no torch loader": (lambda: Batches(3, 5), [3, 5]),
}


def noting(sizes, **behaviour):
    """Return a model that notes the size of each training batch."""

    def training_step(self, batch, batch_idx):
        sizes.append(len(batch[0]))
        return self.loss(batch)

    return regressor(**{"training_step": training_step, **behaviour})


def batches_and_samples(data_of, epochs=2):
    metrics = data_of("job_done")["metrics"]
    samples = metrics["Samples_Per_Second"] * metrics["Avg_Epoch_Time"] * epochs
    assert samples == pytest.approx(round(samples), abs=1e-6)
    return metrics["Total_Batches"], round(samples)


@pytest.fixture(name="data_of")
def data_of_the_only_transport(data_of, sent):
    return lambda event_type: data_of(sent, event_type)


@pytest.mark.parametrize("name", LOADERS)
def test_what_the_steps_got_is_counted(sent, data_of, name):
    new_loader, expected = LOADERS[name]
    sizes = []
    model, t = noting(sizes), trainer([ArgusCallback()])

    t.fit(model, new_loader())
    t.test(model, loader(), verbose=False)

    assert sizes == 2 * expected
    assert batches_and_samples(data_of) == (len(sizes), sum(sizes))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"accumulate_grad_batches": 2}, [8, 8, 4]),
        ({"val_check_interval": 1}, [8, 8, 4]),
        ({"limit_train_batches": 2}, [8, 8]),
        ({"overfit_batches": 1}, [8]),
        ({"reload_dataloaders_every_n_epochs": 1}, [8, 8, 4]),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_batches_and_samples_are_exact_under_the_options_of_the_trainer(sent, data_of, options, expected):
    sizes = []
    model, t = noting(sizes), trainer([ArgusCallback()], **options)

    t.fit(model, DataLoader(Points(), 8), loader())
    t.test(model, loader(), verbose=False)

    assert sizes == 2 * expected
    assert batches_and_samples(data_of) == (len(sizes), sum(sizes))


def halving_the_second(self, batch, dataloader_idx):
    self.given = getattr(self, "given", 0) + 1
    x, y = batch
    return (x[:4], y[:4]) if self.given == 2 else (x, y)


HOOKS = ("on_before_batch_transfer", "on_after_batch_transfer")


@pytest.mark.parametrize("hook", HOOKS)
def test_a_module_may_change_a_batch_before_it_trains_on_it(sent, data_of, hook):
    sizes = []
    model, t = noting(sizes, **{hook: halving_the_second}), trainer([ArgusCallback()])

    t.fit(model, DataLoader(Points(), 8))
    t.test(model, loader(), verbose=False)

    assert sizes == [8, 4, 4, 8, 8, 4]
    assert batches_and_samples(data_of) == (len(sizes), sum(sizes))


@pytest.mark.parametrize("hook", HOOKS)
def test_a_data_module_may_change_a_batch_before_it_is_trained_on(sent, data_of, hook):
    class Data(pl.LightningDataModule):
        def train_dataloader(self):
            return DataLoader(Points(), 8)

        def test_dataloader(self):
            return loader()

    setattr(Data, hook, halving_the_second)
    sizes = []
    model, t, data = noting(sizes), trainer([ArgusCallback()]), Data()

    t.fit(model, datamodule=data)
    t.test(model, datamodule=data, verbose=False)

    assert sizes == [8, 4, 4, 8, 8, 4]
    assert batches_and_samples(data_of) == (len(sizes), sum(sizes))


def test_batches_without_a_tensor_are_counted_and_their_samples_unknown(sent, data_of):
    def training_step(self, batch, batch_idx):
        return self.layer(torch.full((len(batch), 2), float(len(batch[0])))).sum()

    model, t = regressor(training_step=training_step), trainer([ArgusCallback()])

    t.fit(model, DataLoader([f"word {number}" for number in range(SAMPLES)], 8))
    t.test(model, loader(), verbose=False)

    metrics = data_of("job_done")["metrics"]
    assert metrics["Total_Batches"] == 2 * 3
    assert "Samples_Per_Second" not in metrics


def test_a_batch_of_several_loaders_counts_the_samples_of_the_first(sent, data_of):
    def training_step(self, batch, batch_idx):
        return self.loss(batch["a"])

    model, t = regressor(training_step=training_step), trainer([ArgusCallback()])

    t.fit(model, {"a": DataLoader(Points(), 8), "b": DataLoader(Points(), 7)})
    t.test(model, loader(), verbose=False)

    assert batches_and_samples(data_of) == (2 * 3, 2 * SAMPLES)


def test_two_fits_of_a_job_add_up_and_a_new_job_begins_at_zero(sent, data_of):
    cb, sizes = ArgusCallback(), []
    model = noting(sizes)

    trainer([cb]).fit(model, DataLoader(Points(), 8))
    trainer([cb]).fit(model, DataLoader(Points(), 6))
    trainer([cb]).test(model, loader(), verbose=False)

    assert sizes == 2 * [8, 8, 4] + 2 * [6, 6, 6, 2]
    assert batches_and_samples(data_of, epochs=4) == (len(sizes), sum(sizes))

    sizes.clear()
    t = trainer([cb])
    t.fit(model, DataLoader(Points(), 5))
    t.test(model, loader(), verbose=False)
    cb.flush()

    assert sizes == 2 * [5, 5, 5, 5]
    assert batches_and_samples(data_of) == (len(sizes), sum(sizes))


@pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch ended")
def test_a_training_that_goes_on_in_the_midst_of_an_epoch_counts_what_is_left_of_it(sent, data_of, tmp_path):
    path = tmp_path / "midst.ckpt"

    class Save(pl.Callback):
        def on_train_batch_end(self, trainer, *args):
            if trainer.global_step == 4:
                trainer.save_checkpoint(path)

    trainer([Save()]).fit(regressor(), DataLoader(Points(), 8))
    sizes = []
    model, t = noting(sizes), trainer([ArgusCallback()], max_epochs=3)

    t.fit(model, DataLoader(Points(), 8), ckpt_path=path)
    t.test(model, loader(), verbose=False)

    assert len(sizes) == 2 + 3  # the loader begins anew, with a full batch
    assert batches_and_samples(data_of) == (len(sizes), sum(sizes))
    assert all(epoch.data["batch_time_ms"] > 0 for epoch in sent.of_type("job_epoch"))


def test_an_epoch_that_is_cut_off_has_its_batches_counted(sent, data_of):
    def training_step(self, batch, batch_idx):
        if self.current_epoch == 1 and batch_idx == 2:
            raise RuntimeError("boom")
        return self.loss(batch)

    cb = ArgusCallback()
    model = regressor(training_step=training_step)

    with pytest.raises(RuntimeError, match="boom"):
        trainer([cb]).fit(model, DataLoader(Points(), 8))
    trainer([cb]).test(model, loader(), verbose=False)
    cb.flush()

    assert data_of("job_done")["metrics"]["Total_Batches"] == 3 + 2
