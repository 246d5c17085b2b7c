"""The short way for reports: what a client sends that has been here before, without the framework.

A report through routes, middleware and guards takes twice the time that it takes to read and store it. This
way takes those that are as nearly all are, from a sender whose token was checked within this second; it
turns to the framework for everything else, and for every error, so that there is one place for each of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from argus_server.bodies import Allowance, watched
from argus_server.intake import Answer, Intake
from argus_server.storage.credentials import Grant

__all__ = ["Shortcut"]

_PATHS = ("/api/events", "/api/events/batch")
_ONCE = frozenset({b"authorization", b"content-encoding", b"content-length", b"host"})
_HOST = re.compile(rb"[A-Za-z0-9._:\[\]-]*")
_LENGTH_DIGITS = 20

Header = tuple[bytes, bytes]


class Shortcut:
    """Answers reports in place of the framework.

    Args:
        state: the application's.
        headers: those of every answer in JSON.
    """

    def __init__(self, state: Any, headers: Sequence[Header]) -> None:
        self._state = state
        self._headers = list(headers)

    async def take(self, scope: Any, receive: Any, send: Any) -> bool:
        """Answer a report; False if the framework has to.

        Then nothing of the body has been read and nothing counted, or the exception to answer with stands in
        the scope, as `argus_failure`.
        """
        if scope["method"] != "POST" or scope["path"] not in _PATHS:
            return False
        headers = _headers(scope)
        if headers is None or not self._is_plain(headers):
            return False
        grant = self._grant(headers)
        if grant is None:
            return False
        allowance = Allowance(self._state.memory)
        try:
            self._state.doorkeeper.admit(grant.token_id, reports=True)
            answer = await self._answer(scope["path"], receive, headers, grant, allowance)
        except Exception as error:  # noqa: BLE001 - the framework answers with it
            scope["argus_failure"] = error
            return False
        finally:
            allowance.close()
        scope["path_template"] = scope["path"]
        await self._send(send, answer)
        return True

    def _grant(self, headers: Mapping[bytes, bytes]) -> Grant | None:
        """Return the sender's grant if that is known, and enough."""
        scheme, _, text = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        if scheme.lower() != "bearer":
            return None
        grant: Grant | None = self._state.store.credentials.recall_token(text.strip())
        return grant if grant is not None and grant.allows("report") else None

    def _is_plain(self, headers: Mapping[bytes, bytes]) -> bool:
        """Whether the length of the body is told, and not too large, and the host is a name or an address."""
        length = headers.get(b"content-length", b"")
        return (
            b"transfer-encoding" not in headers
            and length.isdigit()
            and len(length) <= _LENGTH_DIGITS
            and int(length) <= self._state.settings.limits.body_bytes
            and _HOST.fullmatch(headers.get(b"host", b"")) is not None
        )

    async def _answer(
        self, path: str, receive: Any, headers: Mapping[bytes, bytes], grant: Grant, allowance: Allowance
    ) -> Answer:
        intake: Intake = self._state.intake
        wire = await _read(watched(receive, allowance, intake.limits))
        encoding = headers.get(b"content-encoding", b"").decode("latin-1")
        body = await intake.expanded(wire, encoding, allowance)
        if path == _PATHS[0]:
            return await intake.take_event(body, grant)
        return await intake.take_events(body, grant, allowance)

    async def _send(self, send: Any, answer: Answer) -> None:
        length = (b"content-length", str(len(answer.content)).encode())
        headers = [*self._headers, length]
        await send({"type": "http.response.start", "status": answer.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": answer.content, "more_body": False})


def _headers(scope: Any) -> dict[bytes, bytes] | None:
    """Return the headers of a request; None if one that matters is there twice: which of them counts?"""
    headers: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in headers and name in _ONCE:
            return None
        headers[name] = value
    return headers


async def _read(receive: Any) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        return body
    pieces = [body]
    while message.get("more_body", False):
        message = await receive()
        pieces.append(message.get("body", b""))
    return b"".join(pieces)
