"""Run the application under uvicorn, and say when it really listens."""

from __future__ import annotations

import gc
import signal
import socket
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn
from litestar import Litestar

from argus_server.connections import BACKLOG, allow_connections, patient_protocol

__all__ = ["Server", "run"]

_GRACE_S = 25
_OBJECTS = 10_000
"""So many objects more are looked at together for garbage: about what two bodies of events are."""


class Server(uvicorn.Server):
    """A uvicorn server that calls back once it accepts connections."""

    def __init__(self, app: Litestar, announce: Callable[[], None]) -> None:
        trusted_proxies = app.state.settings.trusted_proxies
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,  # a URL may hold a sign-in code
                lifespan="on",
                http=patient_protocol(allow_connections(app.state.settings.limits.connections)),
                backlog=BACKLOG,
                ws="none",
                server_header=False,
                proxy_headers=bool(trusted_proxies),  # else anybody on this machine could claim an address
                forwarded_allow_ips=list(trusted_proxies),
                timeout_graceful_shutdown=_GRACE_S,
            )
        )
        self._announce = announce
        self._state = app.state

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then announce."""
        await super().startup(sockets)
        if self.started:
            _spare_the_collector()
            self._announce()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Be no longer ready, from the signal on."""
        self._state.readiness.stopping = True
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the live streams, which would never end by themselves; then finish what was accepted."""
        await self._state.live.stop()
        await super().shutdown(sockets)


def _spare_the_collector() -> None:
    """Let the collector of garbage look at what requests make, and not at all that was imported.

    It looks at everything there is whenever enough has been made, which bodies of events do all the time: a
    third of the time that a body took.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OBJECTS, 10, 10)


def run(app: Any, listener: socket.socket, announce: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM; accepted requests are finished first."""
    server = Server(app, announce)
    # uvicorn raises the signal again once it has shut down: being asked to stop is no failure.
    previous = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        server.run(sockets=[listener])
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, previous)
        listener.close()
