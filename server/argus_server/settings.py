"""The server's settings: read once, frozen, passed to whoever needs them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import platformdirs

__all__ = ["Limits", "Settings", "default_database"]

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request, one token and one address may ask of the server.

    Attributes:
        body_bytes: a request body as it comes over the wire, compressed or not.
        expanded_bytes: the same body after gzip.
        depth: how deeply `data` may be nested.
        key_length: characters in a key of `metrics`.
        metrics: keys in the `metrics` of one job, nested ones counted.
        waiting_requests: requests that wait for the writer before others are told to come back.
        waiting_bytes: what the events of those requests take in memory together, about.
        event_bytes: one event, expanded.
        held_bytes: the bodies of all requests together, before and after gzip.
        body_s, body_bytes_per_s: a body has `body_s` seconds, and one more for so many bytes of it.
        remembered_bytes: what is remembered of leaderboards takes in memory, about. What was not asked for
            longest is forgotten first, and made anew when it is asked for again.
        connections: open at once; another takes the place of the one that waits longest without a request.
        reads_per_s: pages and reads with one token, in one process; ten times that at once. 0 is no limit.
        reports_per_s: the same for requests that report. No limit unless one is set: a sweep of a thousand
            jobs shares a token, and the writer's queue holds back whoever sends more than is stored.
        live_listeners: pages that listen for changes at once, in one process.
        failures_per_min: wrong tokens from one address before it is told to wait. Right ones are let in.
    """

    body_bytes: int = 16 * _MIB
    expanded_bytes: int = 64 * _MIB
    depth: int = 32
    key_length: int = 256
    metrics: int = 2000
    waiting_requests: int = 1024
    waiting_bytes: int = 128 * _MIB
    event_bytes: int = 4 * _MIB
    held_bytes: int = 256 * _MIB
    remembered_bytes: int = 128 * _MIB
    body_s: float = 20
    body_bytes_per_s: int = 64 * 1024
    connections: int = 1000
    reads_per_s: int = 200
    reports_per_s: int = 0
    live_listeners: int = 500
    failures_per_min: int = 10


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the server keeps its data, where it listens, and what it puts up with.

    Attributes:
        database: a path of an SQLite file, or a database URL.
        port: 0 asks the system for a free one.
        page_rows: rows on one page of a table.
        trusted_proxies: addresses and networks whose X-Forwarded-For and X-Forwarded-Proto are believed.
    """

    database: str
    host: str = "127.0.0.1"
    port: int = 8421
    page_rows: int = 200
    trusted_proxies: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)


def default_database() -> str:
    """Return the path of the SQLite file of this user."""
    return str(Path(platformdirs.user_data_dir("argus")) / "argus.sqlite3")
