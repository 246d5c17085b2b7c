"""Where a job stands among its like when nothing else decides: the same wherever it is computed."""

from __future__ import annotations

import hashlib
from enum import IntEnum

__all__ = [
    "Standing",
    "job_number",
    "natural_seed",
    "place_of",
    "replica_number",
    "seed_place_of",
    "text_number",
]

_PLACE_BYTES = 60


class Standing(IntEnum):
    """What the leaderboard makes of a job."""

    ABSENT = 0
    """Not done, or a run that only checked that the code runs."""
    COUNTS = 1
    SUPERSEDED = 2
    """A later job has the same model, dataset and seed: listed, and never ranked."""


def text_number(*texts: str | None) -> int:
    """Return 63 bits that stand for these texts; None and "" are one."""
    digest = hashlib.blake2b(digest_size=8)
    for text in texts:
        data = (text or "").encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(4, "big") + data)
    return int.from_bytes(digest.digest(), "big") >> 1


def job_number(batch_id: str, job_id: str) -> int:
    """Return the number of a job, which does not depend on when it arrived."""
    return text_number(batch_id, job_id)


def replica_number(model: str | None, dataset: str | None, seed: str | None) -> int | None:
    """Return what the repetitions of one thing share; None where one of the three is not known."""
    return None if None in (model, dataset, seed) else text_number(model, dataset, seed)


def place_of(model: str | None, dataset: str | None, seed: str | None) -> bytes:
    """Return where a job stands by name, as bytes that any database orders alike.

    Long names are cut: jobs that differ only further on are ordered by their numbers. Seed 2 comes
    before seed 10.
    """
    names = b"\x00".join(_short(name or "") for name in (model, dataset))
    return names + b"\x00" + seed_place_of(seed)


def seed_place_of(seed: str | None) -> bytes:
    """Return where a seed stands among others, as bytes that any database orders alike."""
    return _short(natural_seed(seed or ""))


def _short(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")[:_PLACE_BYTES]


def natural_seed(seed: str) -> str:
    """Return a seed as text that sorts as people count; what is no number comes after the numbers."""
    return seed.rjust(20, "0") if seed.isdecimal() else "~" + seed
