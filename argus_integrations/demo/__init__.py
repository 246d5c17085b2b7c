"""`argus demo`: three frameworks train for real, and a leaderboard stands at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from argus_core.hookspecs import hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def argus_register_commands(cli: click.Group) -> None:
    """Add `argus demo`."""
    from argus_integrations.demo.command import demo

    cli.add_command(demo)
