"""The fair-comparison guard: which rows of a table are not quite like the others, and why.

A flag changes no rank. It stands at the row that it is about, so that nobody has to know it by heart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from argus_server.ranking.aggregate import Entry
from argus_server.ranking.table import DoneJob, Flag, FlagKind
from argus_server.ranking.view import Seeds

__all__ = ["EXPLAINED", "flag_cells", "flag_models"]

_MOST_NAMED = 3
_SHORT = 12
EXPLAINED: dict[FlagKind, str] = {
    "single seed": "one seed: nothing is known of the spread between seeds",
    "unequal seeds": "not as many seeds as the median of its dataset",
    "best of": "the best of several seeds: it favours models with more seeds",
    "commits": "its jobs ran different commits",
    "epochs": "its jobs trained different numbers of epochs",
}
"""What each kind of flag means, in the order in which they are listed."""

Cells = Mapping[tuple[str, str], Entry]


def flag_cells(
    cells: Cells, metric: str | None, seeds: Seeds, *, of_some: bool = False
) -> dict[tuple[str, str], tuple[Flag, ...]]:
    """Return (model, dataset) → its flags. Seeds are compared with those of the others of its dataset.

    `of_some`: the cells are of some jobs only, those that conditions let through; the flags say so.
    """
    counts = {cell: _seeds_of(entry, metric) for cell, entry in cells.items()}
    by_dataset = _by_dataset(counts)
    of_seeds = {
        (dataset, n): tuple(_of_seeds(n, _median(some), _beside(n, some, dataset, of_some=of_some), seeds))
        for dataset, some in by_dataset.items()
        for n in some
    }
    found = {}
    for cell, entry in cells.items():
        flags = (
            *of_seeds.get((cell[1], counts[cell]), ()),
            *_of_commits(entry.jobs),
            *_of_epochs([entry]),
        )
        if flags:
            found[cell] = flags
    return found


def flag_models(cells: Cells, metric: str | None, seeds: Seeds) -> dict[str, tuple[Flag, ...]]:
    """Return model → its flags over all datasets."""
    counts = {cell: _seeds_of(entry, metric) for cell, entry in cells.items()}
    usual = {dataset: _median(some) for dataset, some in _by_dataset(counts).items()}
    entries: dict[str, list[tuple[str, Entry]]] = {}
    for (model, dataset), entry in cells.items():
        entries.setdefault(model, []).append((dataset, entry))
    found = {}
    for model, some in entries.items():
        single = [name for name, _ in some if counts[model, name] == 1]
        unequal = [
            name for name, _ in some if counts[model, name] > 1 and counts[model, name] != usual.get(name)
        ]
        flags = []
        if single:
            flags.append(Flag("single seed", f"one seed on {_named(single)}"))
        if unequal:
            flags.append(Flag("unequal seeds", f"not as many seeds as the median on {_named(unequal)}"))
        if seeds == "best" and any(counts[model, name] > 1 for name, _ in some):
            most = max(counts[model, name] for name, _ in some)
            flags.append(Flag("best of", f"the best of up to {most} seeds"))
        flags += _of_commits([job for _, entry in some for job in entry.jobs])
        flags += _of_epochs([entry for _, entry in some])
        if flags:
            found[model] = tuple(flags)
    return found


def _seeds_of(entry: Entry, metric: str | None) -> int:
    """Return how many jobs a cell's value is of; of any job where no metric ranks."""
    measure = entry.measures.get(metric) if metric is not None else None
    return len(entry.jobs) if metric is None else (measure.n or 0) if measure is not None else 0


def _by_dataset(counts: Mapping[tuple[str, str], int]) -> dict[str, Counter[int]]:
    """Return dataset → how many of its cells have how many seeds, of those that have any."""
    found: dict[str, Counter[int]] = {}
    for (_, dataset), n in counts.items():
        if n:
            found.setdefault(dataset, Counter())[n] += 1
    return found


def _median(counts: Counter[int]) -> int:
    """Return how many seeds the cell in the middle has; of two in the middle the larger number."""
    below = 0
    for n, times in sorted(counts.items()):
        below += times
        if 2 * below > counts.total():
            return n
    raise ValueError("a dataset without cells has no median")


def _of_seeds(n: int, median: int, beside: str, seeds: Seeds) -> Iterable[Flag]:
    if n == 1:
        more = f"; {beside}" if beside else ""
        yield Flag("single seed", f"one seed: nothing is known of its spread{more}")
    elif n != median:
        yield Flag("unequal seeds", f"{n} seeds; {beside}")
    if seeds == "best" and n > 1:
        yield Flag("best of", f"the best of {n} seeds")


def _beside(n: int, counts: Counter[int], dataset: str, *, of_some: bool) -> str:
    """Return how many seeds the other cells of the dataset have; empty without any, or where all have one.

    One number stands for them only if most of them have it, else the range.
    """
    others = counts - Counter([n])
    if not others or max(others) == n == 1:
        return ""
    where = f" on {dataset}" if dataset else ""
    left = ", of the jobs that this view chooses" if of_some else ""
    (usual, times), *_ = others.most_common(1)
    if others.total() == 1:
        said = f"the other one{where} has {usual}"
    elif times == others.total():
        said = f"the others{where} have {usual}"
    elif 2 * times > others.total():
        said = f"most others{where} have {usual}"
    else:
        said = f"the others{where} have {min(others)} to {max(others)}"
    return said + left


def _of_commits(jobs: Sequence[DoneJob]) -> Iterable[Flag]:
    commits = sorted({job.commit for job in jobs if job.commit})
    if len(commits) > 1:
        yield Flag("commits", f"{len(commits)} commits: {_named([name[:_SHORT] for name in commits])}")


def _of_epochs(entries: Iterable[Entry]) -> Iterable[Flag]:
    """Yield the flag where the jobs of one cell were to train, or else did train, for different times."""
    for entry in entries:
        for name in ("epochs_total", "train_epochs"):
            known = {getattr(job, name) for job in entry.jobs} - {None}
            if len(known) > 1:
                where = f" on {entry.first.dataset}" if entry.first.dataset else ""
                yield Flag("epochs", f"from {min(known)} to {max(known)} epochs{where}")
                return
            if known:
                break


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:_MOST_NAMED]) + (", …" if len(names) > _MOST_NAMED else "")
