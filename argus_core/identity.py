"""Who reports: the command and commit of this process, and ids for batches and jobs."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shlex
import sys
from pathlib import Path

__all__ = ["command_line", "derive_batch_id", "git_commit", "new_batch_id", "new_job_id", "process_is_alive"]

_SECRET_NAME = re.compile(
    r"(?<!\w)(?:\w*[-_])?(?:token|password|passwd|secret|api[-_]?key|credentials?)$", re.IGNORECASE
)
_URL_PASSWORD = re.compile(r"(?<=://)([^/\s:@]*):[^/\s@]+(?=@)")
_REDACTED = "***"


def command_line() -> str:
    """Return how this process was started; secret options and passwords in URLs are starred out."""
    words: list[str] = []
    hide_next = False
    for sent in sys.orig_argv:
        word = _URL_PASSWORD.sub(rf"\1:{_REDACTED}", sent)
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


def derive_batch_id(project: str, name: str, git_sha: str | None = None) -> str:
    """Return the same id for the same arguments, on every machine and in every process.

    A run that is launched again then lands on the batch it belongs to. Pass `git_sha` where a change
    of the code should make a new batch.

    Args:
        project: the leaderboard.
        name: of the batch; the id begins with it.
        git_sha: `git_commit()`, for example.
    """
    parts = "\x1f".join((project, name, git_sha or ""))
    digest = hashlib.sha256(parts.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{_slug(name)[:100] or 'batch'}-{digest[:16]}"


def new_job_id(*parts: object) -> str:
    """Return a new id such as `patchtst-etth1-s0-1f2e3d4c` from what is known of the job."""
    known = "-".join(_slug(str(part)) for part in parts if part is not None)
    return f"{known[:200] or 'job'}-{secrets.token_hex(4)}"


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("-.")


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
