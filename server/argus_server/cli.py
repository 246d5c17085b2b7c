"""`argus serve`, and all commands of the server. Heavy imports wait until one runs."""

from __future__ import annotations

import json
import shlex
import socket

import click

from argus_core.hookspecs import hookimpl
from argus_server.access_commands import project, sign_in_link, token
from argus_server.data_commands import DATA_COMMANDS
from argus_server.database_option import database_option, open_database

__all__ = ["argus_register_commands", "project", "serve", "token"]


@hookimpl
def argus_register_commands(cli: click.Group) -> None:
    """Add the server's commands to `argus`."""
    cli.add_command(serve)
    cli.add_command(token)
    cli.add_command(project)
    for command in DATA_COMMANDS:
        cli.add_command(command)


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
@database_option
@click.option(
    "--trust-proxy",
    "trusted_proxies",
    metavar="ADDRESS",
    multiple=True,
    help="A reverse proxy, or its network, whose X-Forwarded-For and -Proto are believed. Can be repeated.",
)
@click.option(
    "--read-rate",
    metavar="N",
    default=200,
    show_default=True,
    type=click.IntRange(0),
    help="Reads a second with one token; 0 for any number.",
)
@click.option(
    "--report-rate",
    metavar="N",
    default=0,
    show_default=True,
    type=click.IntRange(0),
    help="Reporting requests a second with one token; 0 for any number.",
)
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How the log on standard error is written.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="warning",
    show_default=True,
    help="From which level on; info has a line for every request.",
)
@click.option("--json-ready", is_flag=True, help="Say that the server listens in one line of JSON.")
def serve(
    host: str,
    port: int,
    database: str | None,
    trusted_proxies: tuple[str, ...],
    read_rate: int,
    report_rate: int,
    log_format: str,
    log_level: str,
    *,
    json_ready: bool,
) -> None:
    """Take events and show leaderboards.

    The first line on standard output comes when the server listens. Ctrl-C ends it, after the
    requests that were accepted.
    """
    from argus_server.app import create_app
    from argus_server.operations import configure_logging
    from argus_server.serving import run
    from argus_server.settings import Limits, Settings, default_database
    from argus_server.storage.dialect import describe

    configure_logging(log_format, log_level)
    place = database or default_database()
    listener = _listen(host, port)
    try:
        store = open_database(place)
    except click.ClickException:
        listener.close()
        raise
    url = _url(host, listener.getsockname()[1])

    def announce() -> None:
        link = sign_in_link(store, url)
        if json_ready:
            click.echo(json.dumps({"url": url, "sign_in_url": link}))
            return
        click.echo(f"Argus listens on {url}, data in {store.place}")
        where = f" --database {shlex.quote(describe(database))}" if database else ""
        click.echo(
            f"Open {link}\n  (this link works once; `argus token link{where} --url {url}` makes another)"
        )
        if not any(item.scope != "read" and item.state == "active" for item in store.credentials.tokens()):
            click.echo(f"No token can send events yet. Make one: argus token create{where} --scope report")

    settings = Settings(
        database=place,
        host=host,
        port=listener.getsockname()[1],
        trusted_proxies=trusted_proxies,
        limits=Limits(reads_per_s=read_rate, reports_per_s=report_rate),
    )
    try:
        run(create_app(settings), listener, announce)
    finally:
        store.close()
    if not json_ready:
        click.echo("Stopped.")


def _listen(host: str, port: int) -> socket.socket:
    """Return a socket that is bound and will listen; the port is known before anything is printed."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Only of a socket that says TCP does asyncio turn Nagle's algorithm off: each answer would wait 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
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
