"""Names host, user, git commit and command as the source of the events."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Callable, Mapping

from argus_core.hookspecs import hookimpl
from argus_core.identity import command_line, git_commit

__all__ = ["argus_describe_source"]


@hookimpl(trylast=True)
def argus_describe_source() -> Mapping[str, str]:
    """Return what is known of this process; secrets in the command line are starred out."""
    known: dict[str, Callable[[], str | None]] = {
        "host": socket.gethostname,
        "user": getpass.getuser,
        "commit": git_commit,
        "command": command_line,
    }
    return {key: value for key, find in known.items() if (value := _or_none(find))}


def _or_none(find: Callable[[], str | None]) -> str | None:
    try:
        return find()
    except (OSError, KeyError, ImportError, UnicodeError, ValueError):
        return None
