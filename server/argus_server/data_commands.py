"""`argus migrate`, `backup`, `export`, `import`, `rebuild` and `retention`: care for what is stored.

All of them work whether the server runs or not.
"""

from __future__ import annotations

import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from argus_core.words import plural
from argus_server.database_option import database_option, open_database
from argus_server.exports.text import iso_time
from argus_server.lifetimes import read_lifetime

if TYPE_CHECKING:
    from collections.abc import Iterator

    from argus_server.storage.store import SqlStore

__all__ = ["DATA_COMMANDS"]

_IMPORT_EVENTS = 2000


@contextmanager
def _opened(database: str | None, *, must_exist: bool = True) -> Iterator[SqlStore]:
    """Yield the store; what it refuses is said in one line."""
    from argus_server.errors import ServerError

    with closing(open_database(database, must_exist=must_exist)) as store:
        try:
            yield store
        except ServerError as error:
            raise click.ClickException(str(error)) from None


@contextmanager
def _bar(label: str) -> Iterator[Any]:
    """Yield a progress bar on standard error; standard output is for what was asked for."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(label, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


@click.command()
@database_option
def migrate(database: str | None) -> None:
    """Bring a database to this version of Argus. `argus serve` does it too when it starts."""
    with _opened(database) as store:
        click.echo(f"{store.place} is at this version: {store.revision}")


@click.command()
@database_option
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def backup(database: str | None, file: Path) -> None:
    """Copy an SQLite database to FILE while it is in use, and check the copy.

    For PostgreSQL use pg_dump, or `argus export`.
    """
    with _opened(database) as store, _bar("copying") as show:
        count = store.backup(file, lambda left, total: show(total - left, total))
    click.echo(f"{file} holds {plural(count, 'event')} and is sound.")


@click.command()
@database_option
@click.option("--project", "projects", multiple=True, help="Only this project. Can be repeated.")
@click.option("--output", type=click.File("w", encoding="utf-8", lazy=True), default="-", help="A file.")
def export(database: str | None, projects: tuple[str, ...], output: IO[str]) -> None:
    """Write the event log as JSON Lines, one event a line as it was stored, in the order of commit."""
    with _opened(database) as store, _bar("exporting") as show:
        done, total = 0, store.count_events(projects)
        for lines in store.export_events(projects):
            output.write("".join(line + "\n" for line in lines))
            done += len(lines)
            show(done, total)
    click.echo(f"{plural(done, 'event')} exported.", err=True)


@click.command("import")
@database_option
@click.argument("file", type=click.File("rb"), default="-")
def import_(database: str | None, file: IO[bytes]) -> None:
    """Store the events of a file of JSON Lines: from `argus export`, or a journal.

    What is there already is left alone, so that an import that was interrupted is simply repeated. A line
    that `argus serve` would refuse is said, by its number, and the others are taken.
    """
    from argus_core.errors import InvalidEvent, MalformedBody
    from argus_core.events import Event, decode_event
    from argus_server.items import check_limits
    from argus_server.settings import Limits

    limits = Limits()
    taken = new = refused = 0
    waiting: list[Event] = []

    with _opened(database, must_exist=False) as store, _bar("importing") as show:

        def flush() -> None:
            nonlocal taken, new
            new += sum(stored.is_new for stored in store.add_events(waiting))
            taken += len(waiting)
            waiting.clear()
            show(taken, None)

        for number, line in enumerate(file, 1):
            if not line.strip() or line.startswith(b'{"argus_journal"'):
                continue
            try:
                event = decode_event(line)
                check_limits(event, limits)
                waiting.append(event)
            except (InvalidEvent, MalformedBody) as error:
                refused += 1
                click.echo(f"line {number}: {error}", err=True)
            if len(waiting) == _IMPORT_EVENTS:
                flush()
        flush()
    click.echo(f"{plural(taken, 'event')}: {new:,} new, {taken - new:,} known already.", err=True)
    if refused:
        raise click.ClickException(f"no events: {plural(refused, 'line')}")


@click.command()
@database_option
@click.option("--project", "projects", multiple=True, help="Only this project. Can be repeated.")
def rebuild(database: str | None, projects: tuple[str, ...]) -> None:
    """Make every job, epoch and metric anew from the event log. The result is what was there before.

    Readers see the old state until a project is done; who reports to it waits.
    """
    with _opened(database) as store:
        for name in projects or store.project_names():
            with _bar(name) as show:
                count = store.rebuild(name, lambda _, done, total: show(done, total))
            click.echo(f"{name}: made anew from {plural(count, 'event')}.")


@click.command()
@database_option
@click.option("--project", "projects", multiple=True, required=True, help="The project. Can be repeated.")
@click.option("--older-than", required=True, metavar="AGE", help="Such as 90d.")
@click.option(
    "--what",
    type=click.Choice(["logs", "curves", "jobs"]),
    default="logs",
    show_default=True,
    help="logs: log lines and load. curves: also the epochs of jobs that have ended. jobs: all of them.",
)
@click.option("--dry-run", is_flag=True, help="Say how much it would be, and keep it.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def retention(
    database: str | None, projects: tuple[str, ...], older_than: str, what: Any, *, dry_run: bool, yes: bool
) -> None:
    """Forget old events for good. Leaderboard rows stay, unless you say `--what jobs`."""
    try:
        age_us = read_lifetime(older_than) * 1_000_000
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--older-than") from None
    before_us = time.time_ns() // 1000 - age_us
    with _opened(database) as store:
        counts = {name: store.forget(name, what, before_us, dry_run=True) for name in projects}
        for name, count in counts.items():
            click.echo(
                f"{name}: {plural(count, 'event')} from before {iso_time(before_us)} would be forgotten."
            )
        if dry_run or not any(counts.values()):
            return
        if not yes:
            click.confirm("Forget them for good?", abort=True)
        for name in projects:
            count = store.forget(name, what, before_us)
            click.echo(f"{name}: {plural(count, 'event')} forgotten.")


DATA_COMMANDS = (migrate, backup, export, import_, rebuild, retention)
