"""Who reports: the source of the events, and ids for batches and jobs."""

from __future__ import annotations

import getpass
import os
import re
import secrets
import shlex
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from argus_core.events import Source

__all__ = ["command_line", "git_commit", "new_batch_id", "new_job_id", "source_of"]

_SECRET_NAME = re.compile(
    r"(?<!\w)(?:\w*[-_])?(?:token|password|passwd|secret|api[-_]?key|credentials?)$", re.IGNORECASE
)
_REDACTED = "***"


def source_of(project: str, command: str | None = None) -> Source:
    """Return host, user, commit and command of this process, each None where unknown. Never raises."""
    return Source(
        project=project,
        host=_or_none(socket.gethostname),
        user=_or_none(getpass.getuser),
        commit=_or_none(git_commit),
        command=command if command is not None else _or_none(command_line),
    )


def command_line() -> str:
    """Return how this process was started, with the values of secret-looking options starred out."""
    words: list[str] = []
    hide_next = False
    for word in sys.orig_argv:
        name, equals, _ = word.partition("=")
        is_secret_option = name.startswith("-") and bool(_SECRET_NAME.search(name))
        if hide_next and not word.startswith("-"):
            words.append(_REDACTED)
        elif equals and (is_secret_option or _SECRET_NAME.search(name)):
            words.append(f"{shlex.quote(name)}={_REDACTED}")
        else:
            words.append(shlex.quote(word))
        hide_next = is_secret_option and not equals
    return " ".join(words)


def git_commit(start: Path | None = None) -> str | None:
    """Return the commit that is checked out at `start` (default: the working directory), or None.

    Read from the repository's files: starting `git` would fork a process that may hold a GPU.
    """
    directory = (start or Path.cwd()).resolve()
    for candidate in (directory, *directory.parents):
        dot_git = candidate / ".git"
        if dot_git.exists():
            return _head_commit(dot_git)
    return None


def _head_commit(dot_git: Path) -> str | None:
    if dot_git.is_file():  # a work tree or a submodule: "gitdir: PATH"
        dot_git = dot_git.parent / dot_git.read_text().partition(":")[2].strip()
    head = (dot_git / "HEAD").read_text().strip()
    if not head.startswith("ref:"):
        return head
    ref = head.partition(":")[2].strip()
    common = dot_git / "commondir"
    roots = [dot_git, dot_git / common.read_text().strip()] if common.exists() else [dot_git]
    for root in roots:
        if (root / ref).exists():
            return (root / ref).read_text().strip()
        packed = root / "packed-refs"
        if packed.exists():
            for line in packed.read_text().splitlines():
                commit, _, name = line.partition(" ")
                if name == ref:
                    return commit
    return None


def new_batch_id(name: str) -> str:
    """Return a new id that begins with `name`, made fit for a URL. At most 128 characters."""
    return f"{_slug(name)[:100] or 'batch'}-{secrets.token_hex(6)}"


def new_job_id(*parts: object) -> str:
    """Return a new id such as `patchtst-etth1-s0-1f2e3d4c` from what is known of the job."""
    known = "-".join(_slug(str(part)) for part in parts if part is not None)
    return f"{known[:200] or 'job'}-{secrets.token_hex(4)}"


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("-.")


def _or_none(function: Callable[[], str | None]) -> str | None:
    try:
        return function() or None
    except (OSError, KeyError, ImportError, UnicodeError, ValueError):
        return None


def process_is_alive(pid: int, started_before_s: float) -> bool:
    """Whether process `pid` of this host lives and is older than a Unix time, so not a successor."""
    if pid == os.getpid():
        return True
    import psutil

    try:
        return bool(psutil.Process(pid).create_time() <= started_before_s)
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True
