"""`argus serve` and `argus token`. Heavy imports wait until a command runs."""

from __future__ import annotations

import json
import logging
import shlex
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from argus_core.hookspecs import hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable

    from argus_server.storage.store import SqlStore

__all__ = ["argus_register_commands", "serve", "token"]


@hookimpl
def argus_register_commands(cli: click.Group) -> None:
    """Add the server's commands to `argus`."""
    cli.add_command(serve)
    cli.add_command(token)


def _database_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--database",
        metavar="PATH|URL",
        envvar="ARGUS_DATABASE",
        help="An SQLite file, made if it is not there, or a database URL.  [default: in your user folder]",
    )(command)


def _open(database: str | None, *, must_exist: bool = False) -> SqlStore:
    from argus_server.errors import StoreError
    from argus_server.settings import default_database
    from argus_server.storage.store import open_store

    place = str(database or default_database())
    if must_exist and "://" not in place and not Path(place).exists():
        raise click.ClickException(f"there is no database {place}; --database names another")
    try:
        return open_store(place)
    except StoreError as error:
        raise click.ClickException(str(error)) from None


# --- serve ------------------------------------------------------------------------------------


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    default=8421,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Port to listen on; 0 takes a free one.",
)
@_database_option
@click.option("--json-ready", is_flag=True, help="Say that the server listens in one line of JSON.")
def serve(host: str, port: int, database: str | None, *, json_ready: bool) -> None:
    """Take events and show leaderboards.

    The first line on standard output comes when the server listens. Ctrl-C ends it, after the
    requests that were accepted.
    """
    from argus_server.app import create_app
    from argus_server.serving import run
    from argus_server.settings import Settings, default_database

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    place = database or default_database()
    listener = _listen(host, port)
    try:
        store = _open(place)
    except click.ClickException:
        listener.close()
        raise
    url = _url(host, listener.getsockname()[1])

    def announce() -> None:
        link = _link(store, url)
        if json_ready:
            click.echo(json.dumps({"url": url, "sign_in_url": link}))
            return
        click.echo(f"Argus listens on {url}, data in {store.place}")
        where = f" --database {shlex.quote(database)}" if database else ""
        click.echo(
            f"Open {link}\n  (this link works once; `argus token link{where} --url {url}` makes another)"
        )
        if not any(item.scope != "read" and item.revoked_us is None for item in store.credentials.tokens()):
            click.echo(f"No token can send events yet. Make one: argus token create{where} --scope report")

    settings = Settings(database=place, host=host, port=listener.getsockname()[1])
    try:
        run(create_app(settings), listener, announce)
    finally:
        store.close()
    if not json_ready:
        click.echo("Stopped.")


def _listen(host: str, port: int) -> socket.socket:
    """Return a socket that is bound and will listen; the port is known before anything is printed."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise click.ClickException(f"cannot listen on {host}:{port}: {error.strerror or error}") from None
    return listener


def _url(host: str, port: int) -> str:
    reachable = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104 - only shown
    return f"http://{reachable}:{port}"


def _link(store: SqlStore, url: str, project: str | None = None) -> str:
    from argus_server.storage.credentials import Grant

    code = store.credentials.create_code(Grant("admin" if project is None else "read", project))
    return f"{url}/sign-in?code={code}"


# --- token ------------------------------------------------------------------------------------


@click.group()
def token() -> None:
    """Make, list and revoke tokens. Works whether the server runs or not."""


@token.command("create")
@_database_option
@click.option(
    "--scope",
    type=click.Choice(["report", "read", "admin"]),
    default="report",
    show_default=True,
    help="What its bearer may do: send events, see pages, or both and more.",
)
@click.option("--project", help="The one project it is good for.  [default: all]")
@click.option("--name", help="A word to know it by in the list.")
@click.option("--quiet", is_flag=True, help="Print the token and nothing else.")
def token_create(
    database: str | None, scope: Any, project: str | None, name: str | None, *, quiet: bool
) -> None:
    """Make a token and show it, this once."""
    store = _open(database)
    text = store.credentials.create_token(scope, project, name)
    store.close()
    click.echo(text)
    if not quiet:
        what = {"report": "send events to", "read": "see", "admin": "do everything in"}[scope]
        where = f"the project {project}" if project else "every project"
        click.echo(f"It may {what} {where}. It is not shown again: keep it in ARGUS_TOKEN.", err=True)


@token.command("list")
@_database_option
def token_list(database: str | None) -> None:
    """List the tokens, by number."""
    from argus_server.exports.text import iso_time

    store = _open(database, must_exist=True)
    tokens = store.credentials.tokens()
    store.close()
    for item in tokens:
        state = f"revoked {iso_time(item.revoked_us)[:10]}" if item.revoked_us else "active"
        words = [f"{item.id:>4}", f"{item.prefix}…", f"{item.scope:<6}", item.project or "(all projects)"]
        click.echo(
            "  ".join([*words, f"made {iso_time(item.created_us)[:10]}", state, item.name or ""]).rstrip()
        )
    if not tokens:
        click.echo("There are no tokens yet. Make one: argus token create", err=True)


@token.command("revoke")
@_database_option
@click.argument("number", type=int)
def token_revoke(database: str | None, number: int) -> None:
    """Revoke the token with this NUMBER, at once; browsers signed in with it are signed out."""
    store = _open(database, must_exist=True)
    done = store.credentials.revoke_token(number)
    store.close()
    if not done:
        raise click.ClickException(f"there is no active token {number}; `argus token list` shows them")
    click.echo(f"Token {number} is revoked.")


@token.command("link")
@_database_option
@click.option("--url", default="http://127.0.0.1:8421", show_default=True, help="Where the server listens.")
@click.option("--project", help="Show this project only, read-only.  [default: everything]")
def token_link(database: str | None, url: str, project: str | None) -> None:
    """Make a link that signs one browser in, once, within a day."""
    store = _open(database, must_exist=True)
    click.echo(_link(store, url.rstrip("/"), project))
    store.close()
