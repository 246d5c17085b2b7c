"""The way in by HTTP: reports, and what their senders ask besides."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get, post

from argus_server.auth import require
from argus_server.bodies import Allowance
from argus_server.intake import Answer, Intake
from argus_server.urls import read_segment

__all__ = ["INGEST_ROUTES"]

AnyRequest = Request[Any, Any, Any]


@post("/api/events", guards=[require("report")], status_code=200)
async def take_event(request: AnyRequest) -> Response[bytes]:
    """Store one event."""
    intake: Intake = request.app.state.intake
    return _response(await intake.take_event(await _body(request), request.user))


@post("/api/events/batch", guards=[require("report")], status_code=200)
async def take_events(request: AnyRequest) -> Response[bytes]:
    """Store the good events of a list, and say for each of the others what is wrong with it."""
    intake: Intake = request.app.state.intake
    return _response(await intake.take_events(await _body(request), request.user, _allowance(request)))


async def _body(request: AnyRequest) -> bytes | bytearray:
    """Read the body, and expand it."""
    failure: Exception | None = request.scope.get("argus_failure")  # type: ignore[assignment]
    if failure is not None:  # the short way has read it, see `shortcut`
        raise failure
    body = await request.body()
    intake: Intake = request.app.state.intake
    return await intake.expanded(body, request.headers.get("content-encoding", ""), _allowance(request))


def _allowance(request: AnyRequest) -> Allowance:
    allowance: Allowance = request.scope["state"]["allowance"]
    return allowance


def _response(answer: Answer) -> Response[bytes]:
    return Response(answer.content, status_code=answer.status_code, media_type="application/json")


# --- beside the events ------------------------------------------------------------------------


@get("/api/batches/{batch_id:str}/stop-requested", guards=[require("report", "read")])
async def stop_requested(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """Say whether somebody asked the batch to stop. Nobody can, yet."""
    return {
        "batch_id": read_segment(request.path_params["batch_id"]),
        "requested": False,
        "stop_requested": False,
    }


@post(
    ["/api/jobs/{job_id:str}/artifacts", "/api/batches/{batch_id:str}/artifacts"],
    guards=[require("report")],
    status_code=501,
)
async def artifacts() -> dict[str, Any]:
    """Say clearly that files are not taken."""
    return {
        "status_code": 501,
        "error": "this server keeps no artifacts; events and metrics are stored as usual",
    }


INGEST_ROUTES = [take_event, take_events, stop_requested, artifacts]
