"""The `argus` command. Plugins add theirs: the server `serve` and `token`, the demo `demo`."""

from __future__ import annotations

import json

import click

from argus_core import __version__, plugins
from argus_core.errors import SettingsError
from argus_core.settings import VARIABLES, Settings

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
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
def sync(url: str | None, token: str | None, any_url: bool) -> None:
    """Send what the journals of ended processes still hold."""
    from rich.progress import track

    from argus_core.delivery import replay
    from argus_core.errors import ArgusError
    from argus_core.journal import dead_journals
    from argus_core.transport import transport_for

    settings = _settings()
    url, token = url or settings.url, token or settings.token
    if not url:
        raise click.UsageError("no server: give --url or set ARGUS_URL")
    directory = settings.journal_directory
    found = list(dead_journals(directory))
    files = [file for file in found if any_url or file.url in (None, url)]
    sent = 0
    try:
        transport = transport_for(url, token)
        for file in track(files, description="Sending journals", disable=not files):
            sent += replay(file, transport, directory=directory)
    except (ArgusError, OSError) as error:
        raise click.ClickException(
            f"{error}. {sent} events were sent, the rest stays in {directory}"
        ) from None
    click.echo(f"{sent} events sent from {len(files)} journals in {directory}")
    others = sorted({file.url or "" for file in found} - {file.url or "" for file in files})
    if others:
        click.echo(
            f"Left alone: journals that were meant for {', '.join(others)}; --any-url sends them here."
        )


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
    from argus_core.diagnosis import all_journals

    settings = _settings()
    if rejected:
        path = settings.journal_directory / "rejected.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        for line in lines[-count:]:
            click.echo(line)
        click.echo(f"{len(lines)} rejected events in {path}", err=True)
        return
    waiting = 0
    for journal in all_journals(settings):
        pending = journal.count_pending()
        waiting += pending
        if pending:
            click.echo(f"{journal.path}: {pending} events for {journal.url or 'no server yet'}", err=True)
            for event in journal.last_pending(count):
                click.echo(event.decode())
    click.echo(f"{waiting} events wait in {settings.journal_directory}", err=True)


@cli.command()
def env() -> None:
    """List the ARGUS_* variables and what each is for."""
    width = max(map(len, VARIABLES))
    for name, meaning in VARIABLES.items():
        click.echo(f"{name:{width}}  {meaning}")


def _settings() -> Settings:
    try:
        return Settings.from_environment()
    except SettingsError as error:
        raise click.UsageError(str(error)) from None


def main() -> None:
    """Run `argus` with the commands of every plugin."""
    plugins.call_each("argus_register_commands", cli=cli)
    cli()
