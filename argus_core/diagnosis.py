"""`argus doctor`: why does nothing arrive? Each check is a fact and, where it is bad, a fix."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Literal

from argus_core.errors import SettingsError
from argus_core.journal import JournalFile, dead_journals, same_url
from argus_core.rejected import NAME, parked
from argus_core.settings import Settings
from argus_core.transport import checked_address, innermost
from argus_core.words import plural

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
    try:
        url = checked_address(settings.url, None)
    except SettingsError:
        example = settings.url if "://" not in settings.url else "host:8421"
        yield Finding(
            "bad",
            f"ARGUS_URL is {settings.url}: it must begin with http:// or https://",
            f"export ARGUS_URL=http://{example}",
        )
        return
    with requests.Session() as session:
        session.trust_env = True
        try:
            health = _get(session, f"{url}/healthz")
            if health.status_code != 200:
                yield Finding("bad", f"{url}/healthz answered {health.status_code}", "correct ARGUS_URL")
                return
            yield Finding("ok", f"{url} answers after {health.elapsed.total_seconds() * 1e3:.0f} ms")
            yield from _clock(health)
            yield from _token(session, url, settings)
        except requests.RequestException as error:
            yield _no_answer(session, url, error)


def _get(session: requests.Session, url: str, token: str | None = None) -> requests.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return session.get(url, headers=headers, timeout=_TIMEOUT_S, allow_redirects=False)


def _no_answer(session: requests.Session, url: str, error: requests.RequestException) -> Finding:
    """Return what keeps the server from answering, in one sentence."""
    import requests

    scheme, _, rest = url.partition("://")
    if isinstance(error, requests.exceptions.SSLError):
        try:
            _get(session, f"http://{rest}/healthz")
        except requests.RequestException:
            fix = "install the certificate of its authority and name it in REQUESTS_CA_BUNDLE"
            return Finding("bad", f"no secure connection to {url}: {_reason(error)}", fix)
        return Finding(
            "bad",
            f"{url} does not answer: this port speaks http, not https",
            f"export ARGUS_URL=http://{rest}",
        )
    causes = [type(cause) for cause in _chain(error)]
    if ConnectionRefusedError in causes:
        return Finding(
            "bad",
            f"no answer from {url}: connection refused, nothing listens there",
            "start it with `argus serve`, or correct ARGUS_URL",
        )
    if socket.gaierror in causes:
        return Finding("bad", f"no answer from {url}: there is no host of this name", "correct ARGUS_URL")
    if isinstance(error, requests.Timeout):
        fix = "look whether a firewall or a proxy (HTTP_PROXY, NO_PROXY) stands between, or correct ARGUS_URL"
        return Finding("bad", f"no answer from {url} within {_TIMEOUT_S:.0f} s", fix)
    other = "https" if scheme == "http" else "http"
    return Finding(
        "bad",
        f"no answer from {url}: {_reason(error)}",
        f"look whether this port speaks {other}, or correct ARGUS_URL",
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _reason(error: BaseException) -> str:
    """Return the innermost message without the numbers and the line of C that OpenSSL puts around it."""
    return re.sub(r"^\[[^]]*\] *(\w+: )?|^\(\d+, '|'\)$| \(_ssl\.c:\d+\)$", "", innermost(error))


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
    answer = _get(session, f"{url}/api/token", settings.token)
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
    waiting: dict[str | None, list[int]] = {}
    for file in dead_journals(directory):
        if pending := file.count_pending():
            waiting.setdefault(_other_server(file, settings), []).append(pending)
    for other, counts in waiting.items():
        processes = plural(len(counts), "ended process")
        fact = f"waiting in {directory}: {plural(sum(counts), 'event')} of {processes}"
        if other is None:
            yield Finding("warning", fact, "argus sync")
        else:
            yield Finding(
                "warning",
                f"{fact} for {other}, which is not ARGUS_URL",
                f"`argus sync --url {other}` sends them there, `argus sync --any-url` to ARGUS_URL",
            )
    if not waiting:
        yield Finding("ok", f"nothing waits in {directory}")
    rejected = parked(directory)
    if rejected:
        yield Finding(
            "warning",
            f"the server rejected {plural(len(rejected), 'event')}, kept in {directory / NAME}",
            "argus tail --rejected says why; argus sync --rejected sends them once more",
        )


def _other_server(file: JournalFile, settings: Settings) -> str | None:
    """Return the server that a journal was meant for, None if `argus sync` sends it to `ARGUS_URL`."""
    is_ours = settings.url is None or file.url in (None, same_url(settings.url))
    return None if is_ours else file.url


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
