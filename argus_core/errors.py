"""Everything that Argus raises on purpose.

::

    ArgusError
    ├── SettingsError      an argument or an ARGUS_* variable makes no sense
    ├── InvalidEvent       one event breaks the wire schema (also a ValueError)
    ├── MalformedBody      a request body is not JSON, or not a list of events
    ├── ReadError          the server has no answer to a question
    └── TransportError     events were not accepted by the server

None of these reaches a training loop: `argus_core.guard` stands in between.
"""

from __future__ import annotations

__all__ = ["ArgusError", "InvalidEvent", "MalformedBody", "ReadError", "SettingsError", "TransportError"]


class ArgusError(Exception):
    """The root of the tree."""


class SettingsError(ArgusError):
    """An argument or an environment variable makes no sense; the message names it and its value."""


class InvalidEvent(ArgusError, ValueError):
    """One event breaks the wire schema.

    Attributes:
        field: path of the offending field, as in `data.epoch`; empty when the envelope itself is wrong.
        reason: what is expected there and what stood there instead.
        event_id: the sender's id, when it could be read.
    """

    def __init__(self, field: str, reason: str, *, event_id: str | None = None) -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.field = field
        self.reason = reason
        self.event_id = event_id


class MalformedBody(ArgusError, ValueError):
    """A request body is not JSON, or JSON of another shape than one event or a list of events."""


class ReadError(ArgusError):
    """The server has no answer to a question; the message says why, and what to do.

    Attributes:
        status: HTTP status, or None when there was no answer at all.
        wrong_question: the server understood, and the question names what there is not, or cannot be.
    """

    def __init__(self, message: str, *, status: int | None = None, wrong_question: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.wrong_question = wrong_question


class TransportError(ArgusError):
    """The server has not accepted the events.

    Attributes:
        retryable: whether the same request may succeed later (no connection, 429, 5xx).
        status: HTTP status, or None when there was no answer.
        retry_after_s: seconds the server asked us to wait, if it did.
    """

    def __init__(
        self,
        message: str,
        *,
        retryable: bool,
        status: int | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.status = status
        self.retry_after_s = retry_after_s
