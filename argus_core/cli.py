"""The `argus` command. Plugins add theirs: the server `serve` and `token`, the demo `demo`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from argus_core import __version__, plugins, reading_commands
from argus_core.errors import SettingsError
from argus_core.settings import VARIABLES, Settings
from argus_core.words import plural

if TYPE_CHECKING:
    from pathlib import Path

    from argus_core.transport import Transport

__all__ = ["main"]


class Commands(click.Group):
    """A group whose wrong usage has an exit code of its own: 64, as sysexits.h has it for any program.

    Click's is 2, which is an answer of `argus check`.
    """

    def make_context(self, *args: Any, **more: Any) -> click.Context:
        """Read the options before the command."""
        with _usage_errors():
            return super().make_context(*args, **more)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with _usage_errors():
            return super().invoke(ctx)


@contextmanager
def _usage_errors() -> Iterator[None]:
    try:
        yield
    except click.UsageError as error:
        error.exit_code = reading_commands.WRONG_USAGE  # type: ignore[misc] # of this error alone
        raise


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="argus")
def cli() -> None:
    """The leaderboard that ML people trust."""


@cli.command()
def schema() -> None:
    """Print the JSON Schema of the events (wire schema v1.1)."""
    from argus_core.events import json_schema

    click.echo(json.dumps(json_schema(), indent=2))


@cli.command()
@click.option("--url", help="The server; default ARGUS_URL.")
@click.option("--token", help="A token with the scope `report`; default ARGUS_TOKEN.")
@click.option("--any-url", is_flag=True, help="Also send journals that were meant for another server.")
@click.option(
    "--any-host", is_flag=True, help="Also those of other hosts and containers; their jobs must have ended."
)
@click.option("--rejected", is_flag=True, help="Also send once more what the server has rejected.")
@click.option(
    "--dry-run", is_flag=True, envvar="ARGUS_DRY_RUN", help="Print the events, send and delete nothing."
)
def sync(
    url: str | None, token: str | None, *, any_url: bool, any_host: bool, rejected: bool, dry_run: bool
) -> None:
    """Send what the journals of ended processes still hold."""
    from rich.progress import track

    from argus_core import syncing
    from argus_core.rejected import parked
    from argus_core.transport import transport_for

    settings = _settings()
    url, token = url or settings.url, token or settings.token
    if not url:
        raise click.UsageError("no server: give --url or set ARGUS_URL")
    try:
        transport = transport_for(url, token)
    except SettingsError as error:
        raise click.UsageError(str(error)) from None
    directory = settings.journal_directory
    plan = syncing.plan(directory, url, any_url=any_url, any_host=any_host)
    if dry_run:
        for file in plan.files:
            for event in file.pending():
                click.echo(event.decode())
        for item in parked(directory) if rejected else ():
            if syncing.is_for(item, url, any_url=any_url):
                click.echo(item.event.decode())
        return
    problems = _send_rejected(directory, transport, url, any_url=any_url) if rejected else []
    sending = syncing.send(plan.files, transport, directory)
    done = list(track(sending, "Sending journals", total=len(plan.files), disable=not plan.files))
    failed = [f"{sent.name}: {sent.problem}" for sent in done if sent.problem]
    count = sum(sent.count for sent in done)
    click.echo(
        f"{plural(count, 'event')} sent from {plural(len(done) - len(failed), 'journal')} in {directory}"
    )
    for line in plan.left_alone:
        click.echo(f"Left alone: {line}")
    others = [f"events for {other}; --any-url sends them to {url}" for other in plan.other_servers]
    if problems or failed or others:
        raise click.ClickException("not sent, kept: " + "; ".join(problems + failed + others))


def _send_rejected(directory: Path, transport: Transport, url: str, *, any_url: bool) -> list[str]:
    """Send once more what was rejected, say what became of it, and return what went wrong."""
    from argus_core.rejected import NAME
    from argus_core.syncing import send_rejected

    try:
        again = send_rejected(directory, transport, url, any_url=any_url)
    except OSError as error:
        return [f"{NAME}: {error}"]
    taken = plural(again.taken, "rejected event")
    rest = f"{again.rejected} rejected again and {again.left_alone} left alone, in {directory / NAME}"
    click.echo(f"{taken} sent; {rest}")
    return [f"{NAME}: {again.problem}"] if again.problem else []


@cli.command()
def doctor() -> None:
    """Say why nothing arrives: server, token, clock, journal, versions, each with its fix."""
    from rich.console import Console
    from rich.text import Text

    from argus_core.diagnosis import examine

    console = Console(soft_wrap=True)
    marks = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "bad": ("✕", "red")}
    worst = False
    for finding in examine(_settings()):
        mark, colour = marks[finding.verdict]
        console.print(Text.assemble((mark, colour), " ", finding.fact), highlight=False)
        if finding.fix:
            console.print(Text(f"  → {finding.fix}"), highlight=False)
        worst = worst or finding.verdict == "bad"
    if worst:
        raise SystemExit(1)


@cli.command()
@click.option(
    "--count", "-n", default=20, show_default=True, type=click.IntRange(1), help="Events of each journal."
)
@click.option("--rejected", is_flag=True, help="What the server has rejected, with the reasons.")
def tail(count: int, *, rejected: bool) -> None:
    """Show what the journals hold that the server does not have."""
    from argus_core.journal import find_journals
    from argus_core.rejected import parked

    settings = _settings()
    if rejected:
        events = parked(settings.journal_directory)
        for item in events[-count:]:
            click.echo(item.line)
        click.echo(f"{plural(len(events), 'rejected event')} in {settings.journal_directory}", err=True)
        return
    waiting = 0
    for journal in (found.file for found in find_journals(settings.journal_directory)):
        pending = journal.count_pending()
        waiting += pending
        if pending:
            meant_for = journal.url or "no server yet"
            click.echo(f"{journal.path}: {plural(pending, 'event')} for {meant_for}", err=True)
            for event in journal.last_pending(count):
                click.echo(event.decode())
    click.echo(f"{plural(waiting, 'event')} waiting in {settings.journal_directory}", err=True)


@cli.command()
def env() -> None:
    """List the ARGUS_* variables and what each is for."""
    width = max(map(len, VARIABLES))
    for name, meaning in VARIABLES.items():
        click.echo(f"{name:{width}}  {meaning}")


cli.add_command(reading_commands.leaderboard)
cli.add_command(reading_commands.why)
cli.add_command(reading_commands.check)


def _settings() -> Settings:
    try:
        return Settings.from_environment()
    except SettingsError as error:
        raise click.UsageError(str(error)) from None


def main() -> None:
    """Run `argus` with the commands of every plugin."""
    plugins.call_each("argus_register_commands", cli=cli)
    cli()
