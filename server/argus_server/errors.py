"""Everything that the server raises on purpose.

::

    ServerError
    ├── BadSettings        a project cannot be set so
    ├── BadToken           there can be no such token
    ├── BadView            a URL asks for a view that does not exist
    ├── TokenExpired       the token was good once
    ├── UnknownProject     no event has named this project
    ├── UnknownBatch       no event has named this batch
    ├── UnknownJob         no event has named this job
    ├── StoreError         the database refused; nothing was stored
    │   ├── BadText        a text has a character that this database has in none
    │   └── StoreBusy      every connection of its kind is in use; try again later
    └── WriterBusy         too many requests wait for the writer; try again later
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "BadSettings",
    "BadText",
    "BadToken",
    "BadView",
    "ServerError",
    "StoreBusy",
    "StoreError",
    "TokenExpired",
    "UnknownBatch",
    "UnknownJob",
    "UnknownProject",
    "WriterBusy",
]


class ServerError(Exception):
    """The root of the tree."""


class BadView(ServerError):
    """A URL asks for a view that does not exist; the message names the parameter and its value."""


class BadSettings(ServerError):
    """A project cannot be set so; the message names the offending value.

    Attributes:
        place: where it stands: the setting and the metric, model or dataset that it is of; empty if nowhere.
    """

    def __init__(self, message: str, place: tuple[str, str] = ("", "")) -> None:
        super().__init__(message)
        self.place = place


class BadToken(ServerError):
    """There can be no token for such a project or by such a name; the message has the offending one."""


class TokenExpired(ServerError):
    """The token was good once, and is not any more."""


class UnknownProject(ServerError):
    """No event has named this project.

    Attributes:
        project: the name that was asked for.
        known: the names of all projects there are.
    """

    def __init__(self, project: str, known: Sequence[str] = ()) -> None:
        super().__init__(f"no event has named a project {project!r}")
        self.project = project
        self.known = known


class UnknownBatch(ServerError):
    """No event has named this batch of the project."""


class UnknownJob(ServerError):
    """No event has named this job of this batch."""


class StoreError(ServerError):
    """The database refused; nothing was stored."""


class StoreBusy(StoreError):
    """Every connection of its kind is in use, and none came free in time; try again later."""


class BadText(StoreError):
    """A text has a character that this database has in none: NUL, in PostgreSQL."""


class WriterBusy(ServerError):
    """Too many requests wait for the writer.

    Attributes:
        retry_after_s: when to try again, in seconds.
    """

    def __init__(self, message: str, *, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
