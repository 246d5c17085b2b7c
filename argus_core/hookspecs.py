"""Every pluggy hook of Argus.

A plugin is a module or an object whose functions are marked with `hookimpl`. It is found through
the entry-point group `argus`, or registered with `argus_core.plugins.register`. Every call is
isolated: a plugin that raises is logged once, and stops neither the others nor training.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

import pluggy

if TYPE_CHECKING:
    import click

    from argus_core.conventions import Convention
    from argus_core.events import Event
    from argus_core.reporter import Job, Reporter

__all__ = ["DROP", "Drop", "Sink", "hookimpl", "hookspec"]

hookspec = pluggy.HookspecMarker("argus")
hookimpl = pluggy.HookimplMarker("argus")


class Drop:
    """The type of `DROP`."""

    def __repr__(self) -> str:
        return "DROP"


DROP: Final = Drop()
"""What `argus_modify_event` returns to have an event neither written nor sent."""


class Sink(Protocol):
    """One more place for events, beside the server. Both methods run in a thread of the sink's own."""

    def write(self, event: Event) -> None:
        """Take one event, in order; may be slow. An exception loses this event for this sink alone."""

    def close(self) -> None:
        """Finish; nothing is written after this."""


@hookspec
def argus_event(event: Event) -> None:
    """Observe one event as it leaves the training loop.

    Called in the thread that trains, once per event and in order, before the event is queued for
    delivery: return at once, and hand slow work to a thread of your own (or be a sink). An
    exception is logged and reaches neither the training loop nor the other plugins.

    Args:
        event: immutable. To change what is sent, implement `argus_modify_event` instead.
    """


@hookspec
def argus_modify_event(event: Event) -> Event | Drop | None:
    """Redact one event, or drop it, before it is written to disk.

    Called in the thread that trains, once per event, before `argus_event`; each plugin gets what
    the one before it returned. Return at once.

    Args:
        event: immutable; `msgspec.structs.replace(event, data={...})` makes a changed copy.

    Returns:
        The event to go on with, `DROP` to have it neither written nor sent, or None to leave it as
        it is: a plugin that forgets to return loses nothing.
    """


@hookspec
def argus_describe_source() -> Mapping[str, str]:
    """Say where the events of this process come from: `host`, `user`, `commit`, `command`.

    Called once per reporter, in the thread that trains, before its first event. What the script
    passed itself wins; then the plugin that was registered last.

    Returns:
        Some of the four keys; others are ignored.
    """


@hookspec
def argus_describe_job(job: Job) -> Mapping[str, Any]:
    """Add facts to a job's `job_start`: the queue it runs in, a container's digest.

    Called in the thread that trains, once per job, before its `job_start` is written. Results are
    merged; what the script passed wins, then the plugin that was registered last, with a warning
    that names the key.

    Args:
        job: its `job_id` and `reporter` are set.
    """


@hookspec
def argus_collect_metrics(job: Job) -> Mapping[str, Any]:
    """Add metrics to a job's row: energy used, price of the node.

    Called in the thread that trains, at the end of the test stage, before `job_done` is written.
    Results are merged; what the script reported wins, then the plugin that was registered last,
    with a warning that names the key.

    Args:
        job: the one that is done.
    """


@hookspec
def argus_metric_conventions() -> Mapping[str, Convention]:
    """Name the unit and the direction of metrics that Argus does not know.

    Called once per job, in the thread that trains, before its `job_done` is written: what is known
    of the reported names travels with them as `data.metric_conventions`. Built-in conventions win.

    Returns:
        Metric name → `argus_core.conventions.Convention`.
    """


@hookspec
def argus_open_sink(reporter: Reporter) -> Sink | None:
    """Have every event of a reporter written to one more place: a file, a queue, a chat.

    Called once per reporter and process, in the thread that trains, before its first event. The
    sink gets a thread of its own and a bounded queue; when it cannot keep up, events are left out
    for it alone, with a count.

    Returns:
        The sink, or None for none.
    """


@hookspec
def argus_register_commands(cli: click.Group) -> None:
    """Add commands to the `argus` command line.

    Called once per run of `argus`, before its arguments are parsed: import heavy modules inside
    the commands, not here.

    Args:
        cli: the group that `argus` runs; use `cli.add_command`.
    """
