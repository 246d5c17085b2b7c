"""A server on a real socket, in a thread of the process of the tests."""

from __future__ import annotations

import socket
import threading
import time

import requests
from unit.server.spare_apps import SpareApps

from argus_server.serving import Server
from argus_server.settings import Limits, Settings


class RunningServer:
    """A server in a thread of this process, on an application that has been built already if one is spare."""

    def __init__(self, database: str, spare_apps: SpareApps, **limits) -> None:
        self.app = spare_apps.take(Settings(database=database, limits=Limits(reads_per_s=0, **limits)))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        ready = threading.Event()
        self._server = Server(self.app, ready.set)
        self._thread = threading.Thread(target=self._server.run, args=([self._listener],), daemon=True)
        self._thread.start()
        assert ready.wait(60)
        self.store = self.app.state.store
        self.token = self.store.credentials.create_token("admin")

    def request(self, method: str, path: str, **more) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.token}", **more.pop("headers", {})}
        return requests.request(method, self.url + path, headers=headers, timeout=30, **more)

    def send(self, *events: dict) -> None:
        self.request("POST", "/api/events/batch", json={"events": list(events)}).raise_for_status()

    def stop(self) -> float:
        """Ask the server to stop, and return how long that took in seconds."""
        began = time.monotonic()
        self._server.should_exit = True
        self._thread.join(60)
        assert not self._thread.is_alive()
        return time.monotonic() - began
