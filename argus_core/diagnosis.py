"""`argus doctor`: why does nothing arrive? Each check is a fact and, where it is bad, a fix."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Literal

from argus_core.journal import dead_journals
from argus_core.rejected import NAME, parked
from argus_core.settings import Settings

if TYPE_CHECKING:
    import requests

__all__ = ["Finding", "examine"]

_TIMEOUT_S = 5.0
_CLOCK_SKEW_S = 5.0
_FRAMEWORKS = ("torch", "lightning", "pytorch-lightning", "transformers", "keras", "tensorflow", "jax")


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Attributes:
        verdict: `ok`, `warning` (works, but look), `bad` (nothing arrives).
        fact: what is the case, with the value.
        fix: what to do about it; empty when there is nothing to do.
    """

    verdict: Literal["ok", "warning", "bad"]
    fact: str
    fix: str = ""


def examine(settings: Settings) -> Iterator[Finding]:
    """Yield the findings, from the settings over the network to the journal. May take some seconds."""
    if settings.disabled:
        yield Finding("bad", "ARGUS_DISABLE is set: nothing is reported", "unset ARGUS_DISABLE")
    if settings.dry_run:
        yield Finding("bad", "ARGUS_DRY_RUN is set: events are printed, not sent", "unset ARGUS_DRY_RUN")
    yield from _server(settings)
    yield from _journal(settings)
    yield from _versions()


def _server(settings: Settings) -> Iterator[Finding]:
    import requests

    if not settings.url:
        yield Finding(
            "bad", "ARGUS_URL is not set: events stay in the journal", "export ARGUS_URL=http://host:8421"
        )
        return
    url = settings.url.rstrip("/")
    with requests.Session() as session:
        session.trust_env = True
        try:
            health = session.get(f"{url}/healthz", timeout=_TIMEOUT_S, allow_redirects=False)
        except requests.RequestException as error:
            yield Finding(
                "bad", f"no answer from {url}: {error}", "start it with `argus serve`, or correct ARGUS_URL"
            )
            return
        if health.status_code != 200:
            yield Finding("bad", f"{url}/healthz answered {health.status_code}", "correct ARGUS_URL")
            return
        yield Finding("ok", f"{url} answers after {health.elapsed.total_seconds() * 1e3:.0f} ms")
        yield from _clock(health)
        yield from _token(session, url, settings)


def _clock(response: requests.Response) -> Iterator[Finding]:
    """Compare clocks by the Date header, which has whole seconds."""
    date = response.headers.get("Date")
    if date is None:
        return
    skew_s = (datetime.now(timezone.utc) - parsedate_to_datetime(date)).total_seconds()
    if abs(skew_s) > _CLOCK_SKEW_S:
        yield Finding(
            "warning",
            f"this clock is {skew_s:+.0f} s off the server's: of two attempts the wrong one may count",
            "synchronise the clocks (NTP)",
        )
    else:
        yield Finding("ok", "the clocks agree within seconds")


def _token(session: requests.Session, url: str, settings: Settings) -> Iterator[Finding]:
    if not settings.token:
        yield Finding(
            "bad", "ARGUS_TOKEN is not set", "`argus token create --scope report` on the server's machine"
        )
        return
    answer = session.get(
        f"{url}/api/token",
        headers={"Authorization": f"Bearer {settings.token}"},
        timeout=_TIMEOUT_S,
        allow_redirects=False,
    )
    if answer.status_code == 401:
        yield Finding(
            "bad",
            "the server does not know ARGUS_TOKEN",
            "`argus token create --scope report`, and export it",
        )
        return
    if answer.status_code != 200:
        yield Finding("warning", f"{url}/api/token answered {answer.status_code}: the token is unchecked")
        return
    known: dict[str, Any] = answer.json()
    scope, project = known.get("scope"), known.get("project")
    where = f"the project {project}" if project else "every project"
    if scope not in ("report", "admin"):
        yield Finding(
            "bad", f"the token has the scope {scope}: it cannot send", "make one with --scope report"
        )
    elif project not in (None, settings.project):
        yield Finding(
            "warning",
            f"the token is good for {where}, ARGUS_PROJECT says {settings.project}",
            f"export ARGUS_PROJECT={project}, or name the project in the script",
        )
    else:
        yield Finding("ok", f"the token may send events to {where}")


def _journal(settings: Settings) -> Iterator[Finding]:
    directory = settings.journal_directory
    waiting = [(file.path, file.count_pending()) for file in dead_journals(directory)]
    count = sum(pending for _, pending in waiting)
    if count:
        yield Finding(
            "warning",
            f"{count} events of {len(waiting)} ended processes wait in {directory}",
            "argus sync",
        )
    else:
        yield Finding("ok", f"nothing waits in {directory}")
    rejected = parked(directory)
    if rejected:
        yield Finding(
            "warning",
            f"the server rejected {len(rejected)} events, kept in {directory / NAME}",
            "argus tail --rejected says why; argus sync --rejected sends them once more",
        )


def _versions() -> Iterator[Finding]:
    yield Finding(
        "ok", f"Python {platform.python_version()}, argus-leaderboard {_version('argus-leaderboard')}"
    )
    found = [f"{name} {version}" for name in _FRAMEWORKS if (version := _version(name))]
    yield Finding("ok", f"frameworks: {', '.join(found) or 'none installed'}")


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
