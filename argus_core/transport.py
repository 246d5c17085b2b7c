"""Send events to a server: a small interface, and its real form over HTTP."""

from __future__ import annotations

import gzip
import json
import logging
import math
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from argus_core.errors import SettingsError, TransportError

if TYPE_CHECKING:
    import requests

__all__ = [
    "HttpTransport",
    "Receipt",
    "Rejection",
    "Transport",
    "checked_address",
    "innermost",
    "transport_for",
]

logger = logging.getLogger(__name__)

_GZIP_ABOVE_BYTES = 1000
_TIMEOUT_S = (3.05, 10.0)
_LONGEST_WAIT_S = 3600.0
_TOKEN = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class Rejection:
    """One event that the server will never take: its place in the request, and why."""

    index: int
    reason: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """The server has committed every event of the request, but the `rejected` ones.

    Attributes:
        unranked: job id → why the leaderboard will not rank that job, of those that this request ended.
    """

    rejected: list[Rejection] = field(default_factory=list)
    unranked: dict[str, str] = field(default_factory=dict)


class Transport(Protocol):
    """Where a delivery sends events. Used by one thread at a time."""

    def send(self, events: Sequence[bytes]) -> Receipt:
        """Return once the server has committed `events`, each one JSON object.

        Raises:
            TransportError: none of them is known to be committed; `retryable` says what to do.
        """

    def close(self) -> None:
        """Let go of connections. Nothing is sent after this."""


class HttpTransport:
    """POST to `/api/events/batch`, with a token, timeouts and gzip."""

    def __init__(self, url: str, token: str | None) -> None:
        """Remember where to send; nothing is opened and `requests` is not imported yet."""
        self.url = checked_address(url, token)
        self._token = token
        self._session: requests.Session | None = None

    def __repr__(self) -> str:
        return f"HttpTransport({self.url!r})"

    def send(self, events: Sequence[bytes]) -> Receipt:
        """See `Transport.send`."""
        import requests

        body = b'{"events":[' + b",".join(events) + b"]}"
        headers = {"Content-Type": "application/json"}
        if len(body) > _GZIP_ABOVE_BYTES:
            body = gzip.compress(body, compresslevel=1)
            headers["Content-Encoding"] = "gzip"
        try:
            response = self._open_session().post(
                f"{self.url}/api/events/batch",
                data=body,
                headers=headers,
                timeout=_TIMEOUT_S,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise TransportError(f"no answer from {self.url}: {innermost(error)}", retryable=True) from error
        return _receipt(response, len(events))

    def _open_session(self) -> requests.Session:
        if self._session is None:
            import requests

            self._session = requests.Session()
            self._session.headers["User-Agent"] = "argus-leaderboard"
            if self._token:
                self._session.auth = self._authorise  # else a .netrc would replace our header
        return self._session

    def _authorise(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request

    def close(self) -> None:
        """See `Transport.close`."""
        if self._session is not None:
            self._session.close()
            self._session = None


def checked_address(url: str, token: str | None) -> str:
    """Return the server's URL without the slash at its end.

    Raises:
        SettingsError: the URL is none, or the token has characters that a header cannot carry.
    """
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        raise SettingsError(f"the server's URL must begin with http:// or https://, got {url!r}")
    if token is not None and not (isinstance(token, str) and _TOKEN.fullmatch(token)):
        raise SettingsError(
            "ARGUS_TOKEN is no token: it has characters that a header cannot carry; copy the whole line "
            "that `argus token create` printed"
        )
    return url.rstrip("/")


def transport_for(url: str, token: str | None) -> Transport:
    """Return the transport for a URL: HTTP, or `memory://NAME` for tests.

    Raises:
        SettingsError: no transport speaks this URL.
    """
    if url.startswith("memory://"):
        from argus_core.testing import memory

        return memory(url.removeprefix("memory://"))
    return HttpTransport(url, token)


def _receipt(response: requests.Response, count: int) -> Receipt:
    status, answer = response.status_code, _json(response)
    if (status < 300 or status in (400, 422)) and not isinstance(answer, dict):
        raise TransportError(
            f"{response.url} answered {status}, but not as an Argus server does", retryable=False
        )
    if status == 422 and count > 1 and not isinstance(answer.get("results"), list):
        raise TransportError(
            f"{response.url} rejected {count} events in one word", retryable=False, status=413
        )
    if status < 300:
        return Receipt(_rejections(answer, count), _unranked(answer))
    if status == 422:
        # No event of the request was valid: each is rejected for its own reason.
        rejected = _rejections(answer, count)
        reason = _reason(response)
        named = {item.index for item in rejected}
        rejected += [Rejection(i, reason) for i in range(count) if i not in named]
        return Receipt(sorted(rejected, key=lambda item: item.index))
    raise TransportError(
        f"{response.url} answered {status}: {_reason(response)}",
        retryable=status in (408, 429) or status >= 500,
        status=status,
        retry_after_s=_retry_after_s(response),
    )


def _rejections(answer: Any, count: int) -> list[Rejection]:
    results = answer.get("results") if isinstance(answer, dict) else None
    if not isinstance(results, list):
        return []
    return [
        Rejection(index, str(result.get("error") or "rejected"))
        for index, result in enumerate(results[:count])
        if isinstance(result, dict) and result.get("status") == "rejected"
    ]


def _unranked(answer: dict[str, Any]) -> dict[str, str]:
    """Return what the server says of jobs that will have no rank; an older server says nothing."""
    said = answer.get("unranked")
    jobs = [job for job in said if isinstance(job, dict)] if isinstance(said, list) else []
    return {str(job.get("job_id")): str(job.get("reason")) for job in jobs}


def _json(response: requests.Response) -> Any:
    try:
        return response.json()
    except (ValueError, json.JSONDecodeError):
        return None


def _reason(response: requests.Response) -> str:
    answer = _json(response)
    if isinstance(answer, dict):
        for key in ("detail", "error", "reason", "message"):
            if answer.get(key):
                return str(answer[key])[:500]
    return response.reason or "no reason given"


def _retry_after_s(response: requests.Response) -> float | None:
    """Return the seconds that the server asks for, which it may write as a date too (RFC 9110 §10.2.3)."""
    from email.utils import parsedate_to_datetime  # loaded with requests

    asked = response.headers.get("Retry-After", "")
    try:
        wait_s = float(asked)
    except ValueError:
        try:
            wait_s = parsedate_to_datetime(asked).timestamp() - time.time()
        except (TypeError, ValueError, OverflowError):
            return None
    return None if math.isnan(wait_s) else min(max(0.0, wait_s), _LONGEST_WAIT_S)


def innermost(error: BaseException) -> str:
    """Return the one readable sentence inside urllib3's nested errors."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return str(error) or type(error).__name__
