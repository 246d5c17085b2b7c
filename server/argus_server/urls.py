"""Names in paths: any project, batch or job can be addressed, `a/b` and `..` too.

A path keeps its percent-encoding until a handler has its segments: otherwise `a%2Fb` would be two
of them. Browsers resolve `..` even when it is encoded, so a name of dots only is written `~..`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, unquote, urlencode

from litestar import Litestar
from litestar.types import LifeSpanReceive, LifeSpanScope, LifeSpanSend, Message, Receive, Scope, Send

from argus_server.remembering import remember_short

__all__ = ["RawPathLitestar", "job_key", "path_to", "read_job_key", "read_segment", "segment"]

_DOTS = re.compile(r"~*\.{1,2}")
_BATCH = re.compile(r"(/api/(?:batches|jobs)/)(.+)(/(?:stop-requested|artifacts))")


@remember_short(4000)
def segment(name: str) -> str:
    """Return a name as one segment of a path."""
    return quote("~" + name if _DOTS.fullmatch(name) else name, safe="")


def read_segment(text: str) -> str:
    """Return the name that `segment` wrote, or that a person typed."""
    name = unquote(text)
    return name[1:] if name.startswith("~") and _DOTS.fullmatch(name) else name


def path_to(*names: str, query: Iterable[tuple[str, str]] = ()) -> str:
    """Return the path through these names, each one segment, with a query if there is one."""
    path = "/" + "/".join(segment(name) for name in names)
    pairs = list(query)
    return f"{path}?{urlencode(pairs)}" if pairs else path


def job_key(batch_id: str, job_id: str) -> str:
    """Return a job as one value of a query: `job=BATCH/JOB`, both as segments of a path."""
    return f"{segment(batch_id)}/{segment(job_id)}"


def read_job_key(text: str) -> tuple[str, str] | None:
    """Return the batch and the job that `job_key` wrote; None if the text is something else."""
    batch_id, slash, job_id = text.partition("/")
    if not (batch_id and slash and job_id) or "/" in job_id:
        return None
    return read_segment(batch_id), read_segment(job_id)


class RawPathLitestar(Litestar):
    """Litestar that routes by the path as it came over the wire, segment by segment.

    HEAD is answered wherever GET is, by the same handler and without the body.
    """

    async def __call__(
        self,
        scope: Scope | LifeSpanScope,
        receive: Receive | LifeSpanReceive,
        send: Send | LifeSpanSend,
    ) -> None:
        """Re-encode the path, and turn HEAD into GET, before anything looks at them."""
        raw: Any = scope.get("raw_path")
        if raw:
            scope["path"] = _routable(raw.decode("latin-1").partition("?")[0])  # type: ignore[typeddict-unknown-key]
        method: Any = scope.get("method")  # a scope of another kind has none
        if method == "HEAD":
            scope, send = _as_get(scope), _without_body(send)
        await self.answer(scope, receive, send)

    async def answer(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer what can be routed by now."""
        await super().__call__(scope, receive, send)


def _as_get(scope: Any) -> Any:
    """Return the request as a GET that changes nothing: a one-time code is not looked at."""
    query = b"" if scope["path"] == "/sign-in" else scope.get("query_string", b"")
    return {**scope, "method": "GET", "query_string": query, "argus_head": True}


def _without_body(send: Any) -> Send:
    async def send_head(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return send_head


def _routable(path: str) -> str:
    """Return the path with one spelling for every name, and other clients' raw ids in one segment."""
    if raw_id := _BATCH.fullmatch(path):
        return raw_id[1] + quote(unquote(raw_id[2]), safe="") + raw_id[3]
    return "/".join(quote(unquote(part), safe=":@") for part in path.split("/"))
