"""Progress bars of the demo, fed by a plugin: they move because events go out."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from argus_core import plugins
from argus_core.events import Event
from argus_core.hookspecs import hookimpl

__all__ = ["Progress"]


class Progress:
    """Two bars while the context lasts: all jobs, and the epochs of the one that trains."""

    def __init__(self, console: Console, n_jobs: int) -> None:
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
        )
        self._jobs = self._bars.add_task("jobs", total=n_jobs)
        self._epochs = self._bars.add_task("", total=None)
        self._done: set[str] = set()

    def says(self, what: str, *, epochs: int | None = None) -> None:
        """Show what is going on, and start its bar of epochs anew."""
        self._bars.reset(self._epochs, total=epochs, description=what, visible=epochs is not None)

    @hookimpl
    def argus_event(self, event: Event) -> None:
        """Advance on every epoch and every finished job."""
        if event.event_type == "job_epoch":
            self._bars.update(self._epochs, completed=event.data["epoch"] + 1)
        elif event.event_type == "job_done" and event.job_id:
            self._done.add(event.job_id)
            self._bars.update(self._jobs, completed=len(self._done))

    def __enter__(self) -> Progress:
        plugins.register(self)
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bars.stop()
        plugins.unregister(self)
