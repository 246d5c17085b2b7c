"""Applications that no test uses now: to build one takes longer than most tests."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from litestar import Litestar

from argus_server.app import create_app
from argus_server.settings import Settings


class SpareApps:
    """Builds applications, and keeps those that are given back.

    All that an application holds but its routes is made anew each time it starts, see `create_app`.
    """

    def __init__(self) -> None:
        self._spare: defaultdict[Settings, list[Litestar]] = defaultdict(list)

    def take(self, settings: Settings) -> Litestar:
        """Return an application with these settings, which has not started."""
        spare = self._spare[replace(settings, database="")]
        app = spare.pop() if spare else create_app(settings)
        app.state.settings = settings
        return app

    def give_back(self, app: Litestar) -> None:
        """Keep an application that has ended."""
        self._spare[replace(app.state.settings, database="")].append(app)
