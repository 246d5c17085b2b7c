"""Every pluggy hook of Argus.

A plugin is a module or an object whose functions are marked with `hookimpl`. It is found through
the entry-point group `argus`, or registered with `argus_core.plugins.register`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    import click

    from argus_core.events import Event

__all__ = ["hookimpl", "hookspec"]

hookspec = pluggy.HookspecMarker("argus")
hookimpl = pluggy.HookimplMarker("argus")


@hookspec
def argus_event(event: Event) -> None:
    """Observe one event as it leaves the training loop.

    Called in the thread that trains, once per event and in order, before the event is queued for
    delivery: return at once, and hand slow work to a thread of your own. An exception is logged
    and reaches neither the training loop nor the other plugins.

    Args:
        event: immutable.
    """


@hookspec
def argus_register_commands(cli: click.Group) -> None:
    """Add commands to the `argus` command line.

    Called once per run of `argus`, before its arguments are parsed: import heavy modules inside
    the commands, not here. A plugin that raises is logged and left out.

    Args:
        cli: the group that `argus` runs; use `cli.add_command`.
    """
