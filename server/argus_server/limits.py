"""How much one key or one address may ask, and what a request too many is told.

Litestar's own limit keeps the moment of every request as JSON, which is read and written anew with each
of them; at hundreds of requests a second one number per key does the same.
"""

from __future__ import annotations

import ipaddress
import logging
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

from litestar.connection import ASGIConnection
from litestar.exceptions import TooManyRequestsException

from argus_server.settings import Limits

__all__ = ["Doorkeeper", "RateLimit", "client_address"]

logger = logging.getLogger(__name__)

_BURST_S = 10
"""A key may use up at once what it is allowed in so many seconds."""
_REMEMBERED = 10_000


class RateLimit:
    """`rate` a second for each key, and `burst` at once. Any thread may ask.

    Knows one number per key: when the key's debt will be paid. Keys that were not counted for longest are
    forgotten beyond `keys` of them, so that no number of addresses fills the memory.
    """

    def __init__(
        self,
        rate: float,
        burst: int,
        *,
        keys: int = _REMEMBERED,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._interval_s = 1 / rate
        self._tolerance_s = (burst - 1) * self._interval_s
        self._keys = keys
        self._clock = clock
        self._paid: OrderedDict[Hashable, float] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._paid)

    def take(self, key: Hashable) -> float:
        """Count one and return 0, or return the seconds until there is room, and count nothing."""
        with self._lock:
            now = self._clock()
            paid = max(now, self._paid.get(key, now))
            wait_s = paid - now - self._tolerance_s
            if wait_s > 1e-9:
                return wait_s
            self._paid[key] = paid + self._interval_s
            self._paid.move_to_end(key)
            if len(self._paid) > self._keys:
                self._paid.popitem(last=False)
            return 0.0


class Doorkeeper:
    """Counts, in this process, what tokens ask and what addresses get wrong.

    A wrong token never counts against a right one: many jobs share an address, and one of them with an
    old token must not lock out the others. Hence a token is checked before its address is.
    """

    def __init__(self, limits: Limits) -> None:
        self._reads = _rate(limits.reads_per_s)
        self._reports = _rate(limits.reports_per_s)
        self._failures = RateLimit(limits.failures_per_min / 60, limits.failures_per_min)
        self._failures_per_min = limits.failures_per_min
        self._warnings = RateLimit(1 / 60, 1)

    def admit(self, key: Hashable, *, reports: bool) -> None:
        """Count one request of a key.

        Raises:
            TooManyRequestsException: 429, and when to come back.
        """
        limit = self._reports if reports else self._reads
        if limit is not None and (wait_s := limit.take(key)):
            raise _too_many("too many requests with this token", wait_s)

    def count_failure(self, address: str, what: str) -> None:
        """Count a key that was wrong; `what` says so.

        Raises:
            TooManyRequestsException: 429: this address has sent too many of them.
        """
        if not (wait_s := self._failures.take(address)):
            return
        if not self._warnings.take(address):
            logger.warning("more than %d wrong keys in a minute from %s", self._failures_per_min, address)
        raise _too_many(f"{what}, and too many wrong ones came from {address}", wait_s)


def _rate(per_s: int) -> RateLimit | None:
    return RateLimit(per_s, per_s * _BURST_S) if per_s else None


def _too_many(detail: str, wait_s: float) -> TooManyRequestsException:
    headers = {"Retry-After": str(max(1, math.ceil(wait_s)))}
    return TooManyRequestsException(detail=f"{detail}; try again later", headers=headers)


def client_address(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    """Return who is at the other end: the address, of IPv6 the network, of which one host has plenty.

    Behind a proxy this is the proxy, unless `Settings.trusted_proxies` names it.
    """
    host = connection.client.host if connection.client else "unknown"
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if address.version == 4:
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))
