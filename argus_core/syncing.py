"""`argus sync`: which journals to send, what became of each, and why the others are left alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from argus_core.delivery import EVENTS_PER_REQUEST, replay, send_all
from argus_core.errors import ArgusError
from argus_core.journal import JournalFile, find_journals, same_url
from argus_core.rejected import Parked, finish, keep, set_aside
from argus_core.transport import Transport

__all__ = ["Plan", "Sent", "SentAgain", "is_for", "plan", "send", "send_rejected"]


@dataclass(slots=True)
class Plan:
    """What to send.

    Attributes:
        files: journals to send, oldest first.
        left_alone: file name and reason of each other one.
        other_servers: the URLs that some of those were meant for, each once.
    """

    files: list[JournalFile] = field(default_factory=list)
    left_alone: list[str] = field(default_factory=list)
    other_servers: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one journal: how many events were sent, or why not."""

    name: str
    count: int = 0
    problem: str = ""


def plan(directory: Path, url: str, *, any_url: bool = False, any_host: bool = False) -> Plan:
    """Return which journals of `directory` go to the server at `url`.

    Args:
        directory: where the journals lie.
        url: the server.
        any_url: also those that were meant for another server.
        any_host: also those of other hosts and containers, whose processes cannot be seen from here.
    """
    result = Plan()
    for found in find_journals(directory):
        reason = found.reason
        if reason.startswith("written"):
            reason = "" if any_host else f"{reason}; --any-host sends it, once its jobs have ended"
        other = found.file.url
        if not reason and not any_url and other is not None and other != same_url(url):
            reason = f"meant for {other}; --any-url sends it here"
            if other not in result.other_servers and found.file.count_pending():
                result.other_servers.append(other)
        if reason:
            result.left_alone.append(f"{found.file.path.name}: {reason}")
        else:
            result.files.append(found.file)
    return result


def send(files: Iterable[JournalFile], transport: Transport, directory: Path) -> Iterator[Sent]:
    """Send one journal after the other, and yield what became of each.

    One that the server refuses, because the token is for another project perhaps, stops only itself;
    a server that does not answer stops the rest.
    """
    for file in files:
        try:
            yield Sent(file.path.name, replay(file, transport, directory=directory))
        except (ArgusError, OSError) as error:
            yield Sent(file.path.name, problem=str(error))
            if getattr(error, "retryable", False):
                return


# --- what was rejected ------------------------------------------------------------------------


@dataclass(slots=True)
class SentAgain:
    """What became of the rejected events: how many the server took, rejected anew, or was not asked.

    Attributes:
        taken: events that the server has now.
        rejected: events that it has rejected again; parked with the reason of today.
        left_alone: events that were meant for another server, or that an error kept from being sent.
        problem: that error.
    """

    taken: int = 0
    rejected: int = 0
    left_alone: int = 0
    problem: str = ""


def is_for(event: Parked, url: str, *, any_url: bool = False) -> bool:
    """Whether a rejected event may go to the server at `url`."""
    return any_url or event.url is None or same_url(event.url) == same_url(url)


def send_rejected(directory: Path, transport: Transport, url: str, *, any_url: bool = False) -> SentAgain:
    """Send once more what a server has rejected: it may be a newer one, or take more than before.

    Args:
        directory: where the journals lie.
        transport: to the server.
        url: of the server.
        any_url: also what another server has rejected.

    Raises:
        OSError: the directory cannot be written; no event is lost.
    """
    paths, events = set_aside(directory)
    wanted = [event for event in events if is_for(event, url, any_url=any_url)]
    result = SentAgain(left_alone=len(events) - len(wanted))
    keep(directory, [event for event in events if not is_for(event, url, any_url=any_url)])
    for start in range(0, len(wanted), EVENTS_PER_REQUEST):
        chunk = wanted[start : start + EVENTS_PER_REQUEST]
        try:
            rejected = send_all(transport, [event.event for event in chunk]).rejected
        except ArgusError as error:
            result.problem = str(error)
            result.left_alone += len(wanted) - start
            keep(directory, wanted[start:])
            break
        keep(directory, [Parked(chunk[item.index].event, item.reason, same_url(url)) for item in rejected])
        result.rejected += len(rejected)
        result.taken += len(chunk) - len(rejected)
    finish(directory, paths, events)
    return result
