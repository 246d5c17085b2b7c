"""`argus token` and `argus project`: who may come in. They work whether the server runs or not."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from argus_server.database_option import database_option, is_absent, open_database
from argus_server.lifetimes import read_lifetime

if TYPE_CHECKING:
    from argus_server.storage.credentials import TokenInfo
    from argus_server.storage.store import SqlStore

__all__ = ["project", "sign_in_link", "token"]


def _read_expires(_context: click.Context, _option: click.Parameter, value: str | None) -> int | None:
    try:
        return None if value is None else read_lifetime(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def sign_in_link(store: SqlStore, url: str, project: str | None = None) -> str:
    """Return a link that signs one browser in, once: to everything, or to read one project."""
    from argus_server.storage.credentials import Grant

    code = store.credentials.create_code(Grant("admin" if project is None else "read", project))
    return f"{url}/sign-in?code={code}"


# --- token ------------------------------------------------------------------------------------


@click.group()
def token() -> None:
    """Make, list and revoke tokens. Works whether the server runs or not."""


@token.command("create")
@database_option
@click.option(
    "--scope",
    type=click.Choice(["report", "read", "admin"]),
    default="report",
    show_default=True,
    help="What its bearer may do: send events, see pages, or both and more.",
)
@click.option("--project", help="The one project it is good for.  [default: all]")
@click.option("--name", help="A word to know it by in the list.")
@click.option(
    "--expires",
    callback=_read_expires,
    metavar="TIME",
    help="How long it is good for: 12h, 30d, 8w, 1y.  [default: until it is revoked]",
)
@click.option("--quiet", is_flag=True, help="Print the token and nothing else.")
def token_create(
    database: str | None,
    scope: Any,
    project: str | None,
    name: str | None,
    expires: int | None,
    *,
    quiet: bool,
) -> None:
    """Make a token and show it, this once."""
    from argus_server.errors import BadToken

    is_new = is_absent(database)
    with closing(open_database(database)) as store:
        try:
            text = store.credentials.create_token(scope, project, name, lifetime_s=expires)
        except BadToken as error:
            raise click.ClickException(str(error)) from None
        made = store.credentials.tokens()[-1]
        place = store.place
    click.echo(text)
    if is_new:
        click.echo(
            f"There was no database {place}: it is made. A server on another one does not know it.", err=True
        )
    if not quiet:
        what = {"report": "send events to", "read": "see", "admin": "do everything in"}[scope]
        where = f"the project {project}" if project else "every project"
        until = f" until {_day(made.expires_us)}" if made.expires_us else ""
        click.echo(f"It may {what} {where}{until}, on servers with the database {place}.", err=True)
        click.echo("It is not shown again: keep it in ARGUS_TOKEN.", err=True)


@token.command("list")
@database_option
def token_list(database: str | None) -> None:
    """List the tokens, by number. The last use is known to the hour."""
    with closing(open_database(database, must_exist=True)) as store:
        tokens = store.credentials.tokens()
    for item in tokens:
        words = [f"{item.id:>4}", f"{item.prefix}…", f"{item.scope:<6}", item.project or "(all projects)"]
        words += [f"made {_day(item.created_us)}", f"used {_day(item.last_used_us)}", _state(item)]
        click.echo("  ".join([*words, item.name or ""]).rstrip())
    if not tokens:
        click.echo("There are no tokens yet. Make one: argus token create", err=True)


def _state(item: TokenInfo) -> str:
    if item.state == "revoked":
        return f"revoked {_day(item.revoked_us)}"
    if item.expires_us is None:
        return item.state
    return f"expired {_day(item.expires_us)}" if item.state == "expired" else f"until {_day(item.expires_us)}"


def _day(moment_us: int | None) -> str:
    from argus_server.exports.text import iso_time

    return iso_time(moment_us)[:10] or "never"


@token.command("revoke")
@database_option
@click.argument("number", type=int)
def token_revoke(database: str | None, number: int) -> None:
    """Revoke the token with this NUMBER, at once; browsers signed in with it are signed out."""
    with closing(open_database(database, must_exist=True)) as store:
        done = store.credentials.revoke_token(number)
    if not done:
        raise click.ClickException(f"there is no active token {number}; `argus token list` shows them")
    click.echo(f"Token {number} is revoked.")


@token.command("link")
@database_option
@click.option("--url", default="http://127.0.0.1:8421", show_default=True, help="Where the server listens.")
@click.option("--project", help="Show this project only, read-only.  [default: everything]")
def token_link(database: str | None, url: str, project: str | None) -> None:
    """Make a link that signs one browser in, once, within a day."""
    with closing(open_database(database, must_exist=True)) as store:
        click.echo(sign_in_link(store, url.rstrip("/"), project))


# --- project ----------------------------------------------------------------------------------


@click.group()
def project() -> None:
    """Say who may read a project. Works whether the server runs or not."""


@project.command("list")
@database_option
def project_list(database: str | None) -> None:
    """List the projects, and which of them anybody may read."""
    with closing(open_database(database, must_exist=True)) as store:
        projects = store.credentials.projects()
    for name, is_public in projects.items():
        click.echo(f"{'public ' if is_public else 'private'}  {name}")
    if not projects:
        click.echo("There are no projects yet. One comes into being with its first event.", err=True)


@project.command("public")
@database_option
@click.argument("name")
def project_public(database: str | None, name: str) -> None:
    """Let anybody who reaches the server read the project NAME, without a token."""
    _set_public(database, name, is_public=True)
    click.echo(f"Whoever reaches the server can now read the project {name}: its leaderboard, jobs,")
    click.echo("metrics, losses and configurations; not its hosts, users, command lines, failures and logs.")


@project.command("private")
@database_option
@click.argument("name")
def project_private(database: str | None, name: str) -> None:
    """Let only tokens read the project NAME, as it is at first."""
    _set_public(database, name, is_public=False)
    click.echo(f"The project {name} can be read with a token only.")


def _set_public(database: str | None, name: str, *, is_public: bool) -> None:
    with closing(open_database(database, must_exist=True)) as store:
        done = store.credentials.set_public(name, is_public=is_public)
    if not done:
        raise click.ClickException(f"no event has named a project {name}; `argus project list` shows them")
