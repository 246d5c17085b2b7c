"""The commands that ask a server: `argus leaderboard`, `argus why` and `argus check`."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click
from click.core import ParameterSource

from argus_core.errors import ReadError, SettingsError
from argus_core.settings import DEFAULT_PROJECT
from argus_core.words import plural

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from argus_core.reading import Server

__all__ = ["WRONG_USAGE", "check", "leaderboard", "why"]

WRONG_USAGE = 64

Command = TypeVar("Command", bound=Callable[..., Any])

_ABSENT = "∅"
_WIDEST = 1_000_000
_ARROWS = {"lower": "↓", "higher": "↑"}
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
"""What a name may hold and a terminal would obey: it is shown as �."""
_MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "bad": ("✕", "red")}


class NoAnswer(click.ClickException):
    """The server could not be asked, or would not say; that is neither a yes nor a no."""

    exit_code = 3


def reads(command: Command) -> Command:
    """Give a command the options that name a server, a project and the form of the answer."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print the server's answer."),
        click.option("--token", help="A token with the scope `read`; default ARGUS_TOKEN."),
        click.option("--url", help="The server; default ARGUS_URL."),
    ):
        command = option(command)
    return command


def server_at(url: str | None, token: str | None) -> Server:
    """Return the server to ask; a usage error if none is known."""
    from argus_core.reading import Server

    try:
        return Server(url, token)
    except SettingsError as error:
        raise click.UsageError(str(error)) from None


def asked(server: Server, *names: str, **more: Any) -> dict[str, Any]:
    """Return the server's answer; a message and exit code 3 if there is none, 64 if the question is wrong."""
    try:
        return server.ask(*names, **more)
    except ReadError as error:
        if error.wrong_question:
            raise click.UsageError(_UNSEEN.sub("�", _in_options(str(error)))) from None
        raise NoAnswer(str(error)) from None


def _in_options(said: str) -> str:
    """Return what the server says of parameters in this command's options: `batch=x` as `--batch x`."""
    options = {
        str(option.name): option.opts[-1]
        for option in click.get_current_context().command.params
        if isinstance(option, click.Option)
    }

    def option(found: re.Match[str]) -> str:
        before, name, after = found.groups()
        if name not in options:
            return found.group()
        return f"{before}{options[name]}{'' if after in ('', ' ', ';') else ' '}{after}"

    return re.sub(r"(^|\b(?:with|or) )([a-z_]+)=(.|$)", option, said)


def plain(text: str) -> Text:
    """Return text that a terminal shows and does not obey."""
    from rich.text import Text

    return Text(_UNSEEN.sub("�", text))


@click.command()
@click.argument("project", envvar="ARGUS_PROJECT", default=DEFAULT_PROJECT)
@click.option("--group", type=click.Choice(["job", "cell", "model"]), default="job", show_default=True)
@click.option("--metric", help="What ranks; default the project's.")
@click.option("--sort", help="The column that orders the rows.")
@click.option("--view", multiple=True, metavar="NAME=VALUE", help="Any other parameter of the page's URL.")
@click.option("--limit", "-n", type=click.IntRange(1), help="Only so many rows.")
@reads
def leaderboard(
    project: str,
    group: str,
    metric: str | None,
    sort: str | None,
    view: Sequence[str],
    limit: int | None,
    url: str | None,
    token: str | None,
    *,
    as_json: bool,
) -> None:
    """Show the leaderboard of PROJECT as its page does, in this terminal.

    `--view model=patchtst`, `--view seeds=median` or `--view 'where=MSE<0.4'` ask as its URL does;
    `--view col=MSE --view col=R2` shows these columns. Where they are too many for the terminal, the last
    ones are left out; a file gets them all.
    """
    from rich.console import Console

    params: dict[str, list[str]] = {}
    for item in view:
        name, sign, value = item.partition("=")
        if not sign:
            raise click.UsageError(f"--view takes NAME=VALUE, got {item!r}")
        params.setdefault(name, []).append(value)
    params |= {"group": [group], "metric": [metric or ""], "sort": [sort or ""], "strict": ["1"]}
    server = server_at(url, token)
    found = asked(server, "api", "projects", project, "leaderboard", params=params)
    if as_json:
        click.echo(json.dumps(found))
        return
    console = Console(soft_wrap=True, highlight=False)
    if said := found.get("verdict"):
        console.print(plain(said["text"]))
    if not found["total"] and not found.get("not_ranked"):
        console.print(plain(_why_empty(server, project)))
        return
    _print_table(console, _with_names(found), limit, params.get("col", ()))


def _with_names(found: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the same with the names that the project's settings show for models and datasets."""
    names: Mapping[str, Mapping[str, str]] = found.get("names", {})

    def named(record: Mapping[str, Any]) -> Mapping[str, Any]:
        shown = {key: known.get(record[key], record[key]) for key, known in names.items() if key in record}
        gaps = {"gaps": [named(gap) for gap in record["gaps"]]} if "gaps" in record else {}
        return {**record, **shown, **gaps}

    lists = {key: [named(row) for row in found[key]] for key in ("rows", "not_ranked") if key in found}
    return {**found, **lists}


def _why_empty(server: Server, project: str) -> str:
    """Return why a leaderboard has no row, as its page says it."""
    listed = asked(server, "api", "projects")["projects"]
    counts: dict[str, int] = next((item["jobs"] for item in listed if item["project"] == project), {})
    there = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    if counts.get("done"):
        return f"No done job passes this view; the project has {there}."
    return f"No job has finished its test yet: {there}." if there else "No job yet."


def _print_table(
    console: Console, found: Mapping[str, Any], limit: int | None, chosen: Sequence[str] = ()
) -> None:
    """Print as many columns as this terminal has room for, all of them where it is a file."""
    columns, unknown = _chosen(found["columns"], chosen)
    rows, all_columns = found["rows"][:limit], len(columns)
    table = table_of(columns, rows)
    while (
        console.is_terminal
        and sum(column["kind"] != "identity" for column in columns) > 1
        and _width(console, table) > console.width
    ):
        columns = columns[:-1]
        table = table_of(columns, rows)
    if console.is_terminal and _width(console, table) > console.width:
        table = table_of(columns, rows, folds_names=True)
    else:
        _settle_widths(table)
        console.width = max(console.width, _width(console, table))
    console.print(table, crop=False)
    for name in unknown:
        console.print(plain(f"There is no column {name!r}."))
    if left := all_columns - len(columns):
        columns_left = f"{left} more column{'s' if left > 1 else ''}"
        console.print(f"{columns_left} than fit here; a file gets them all, and --json.")
    if more := len(found["rows"]) - len(rows):
        console.print(f"{more} more row{'s' if more > 1 else ''}.")
    for row in found.get("not_ranked", ()):
        reasons = "; ".join(f"{gap['dataset']}: {gap['text']}" for gap in row["gaps"])
        console.print(plain(f"Not ranked: {row['model'] or '—'} ({reasons})"))
    for note in [*_marks_of(found), *found["notes"]]:
        console.print(plain(note))


def _marks_of(found: Mapping[str, Any]) -> list[str]:
    """Say what the marks of models mean, and which flags rows have."""
    verdict = found.get("verdict", {})
    said = ["† not separable from the best."] if verdict.get("not_separable") else []
    if verdict.get("reversed"):
        said.append("§ better than the best by the signed ranks, which weigh by how much.")
    flags = Counter(flag["kind"] for row in found["rows"] for flag in row.get("flags", ()))
    if flags:
        counted = ", ".join(f"{kind} ({plural(count, 'row')})" for kind, count in flags.items())
        said.append(f"Not quite like the others: {counted}; --json says why.")
    return said


def _chosen(
    columns: Sequence[Mapping[str, Any]], wanted: Sequence[str]
) -> tuple[Sequence[Mapping[str, Any]], list[str]]:
    """Return the columns that the view names, as its page shows them, and the names of none.

    What tells rows apart is always there, the first column first.
    """
    by_id = {column["id"]: column for column in columns}
    chosen = [by_id[name] for name in dict.fromkeys(wanted) if name in by_id]
    unknown = [name for name in dict.fromkeys(wanted) if name not in by_id]
    if not chosen:
        return columns, unknown
    first, *others = [column for column in columns if column["kind"] == "identity"]
    rest = [column for column in chosen if column is not first]
    return [first, *(column for column in others if column not in rest), *rest], unknown


def _settle_widths(table: Table) -> None:
    """Give every column the width of its widest text.

    Rich finds the same, but looks at every cell three times for it: half of the time of a long table.
    """
    for column in table.columns:
        texts = cast("list[Text]", [column.header, *column.cells])
        column.width = max(text.cell_len for text in texts)


def _width(console: Console, table: Table) -> int:
    return console.measure(table, options=console.options.update(width=_WIDEST)).maximum


def table_of(
    columns: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]], *, folds_names: bool = False
) -> Table:
    """Return the table as the page has it: units in the header, best bold, second best underlined.

    Long names go over several lines if `folds_names`; numbers never do.
    """
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column(plain("#"), justify="right", no_wrap=True)
    for column in columns:
        unit = f" {column['unit']}" if column["unit"] else ""
        arrow = f" {_ARROWS[column['direction']]}" if column["direction"] in _ARROWS else ""
        is_name = column["kind"] == "identity"
        justify: Any = "left" if is_name else "right"
        head = plain(column["label"] + unit + arrow)
        table.add_column(head, justify=justify, no_wrap=not (is_name and folds_names), overflow="fold")
    by, absent = ("id", "—") if any(column["kind"] == "statistic" for column in columns) else ("key", _ABSENT)
    for row in rows:
        cells = [_cell(row, column, by=by, absent=absent) for column in columns]
        place = row.get("tier") or row["rank"]
        table.add_row(plain("–" if place is None else str(place)), *cells)
    return table


def _cell(row: Mapping[str, Any], column: Mapping[str, Any], *, by: str, absent: str) -> Text:
    key, name = column["key"], column[by]
    if column["kind"] == "identity":
        text = plain(str(row.get(key) if row.get(key) not in (None, "") else "—"))
        if key == "model" and row.get("superseded_by"):
            text.append(" (superseded)", "dim")
        return text
    if name not in row["display"]:
        return plain(absent)
    text = plain(row["display"][name])
    text.stylize(
        "bold" if key in row.get("best", ()) else "underline" if key in row.get("second", ()) else ""
    )
    return text


@click.command()
@click.argument("job")
@click.option("--project", envvar="ARGUS_PROJECT", default=DEFAULT_PROJECT, show_default=True)
@click.option("--batch", help="Its batch, where several have such a job; default the latest.")
@reads
def why(
    job: str, project: str, batch: str | None, url: str | None, token: str | None, *, as_json: bool
) -> None:
    """Say why JOB is on the leaderboard, or is not. Exit code 1 if it has no rank.

    64 is a job that there is not. Without --project and ARGUS_PROJECT it is looked for in every
    project that you may read.
    """
    from rich.console import Console
    from rich.text import Text

    server = server_at(url, token)
    below = ("jobs", batch, job, "why") if batch else ("why", job)
    source = click.get_current_context().get_parameter_source("project")
    if source is ParameterSource.DEFAULT:
        project = _project_with(server, below, job)
    found = asked(server, "api", "projects", project, *below, answers=(200, 404))
    if "lines" not in found:
        raise click.UsageError(_UNSEEN.sub("�", str(found.get("error", "no such project"))))
    arrived = "status_code" not in found
    if not arrived and not as_json:
        said = " ".join([found["summary"], *(line["fix"] for line in found["lines"])])
        raise click.UsageError(_UNSEEN.sub("�", said))
    if not arrived:
        click.echo(json.dumps(found))
        raise SystemExit(WRONG_USAGE)
    if as_json:
        click.echo(json.dumps(found))
        raise SystemExit(0 if found["ranked"] else 1)
    console = Console(soft_wrap=True, highlight=False)
    for line in found["lines"]:
        mark, colour = _MARKS[line["verdict"]]
        console.print(Text.assemble((mark, colour), " ", plain(line["fact"])))
        if line["fix"]:
            console.print(Text("  → ") + plain(line["fix"]))
        if line["link"] and line["verdict"] != "ok":
            console.print(Text(f"    {server.url}{line['link']}"))
    console.print(plain(found["summary"]), style="bold")
    if not found["ranked"]:
        raise SystemExit(1)


def _project_with(server: Server, below: Sequence[str], job: str) -> str:
    """Return the one project that has the job, of those that the caller may read."""
    names = [project["project"] for project in asked(server, "api", "projects")["projects"]]
    having = [
        name
        for name in names
        if "status_code" not in asked(server, "api", "projects", name, *below, answers=(200, 404))
    ]
    if len(having) == 1 or len(names) == 1:
        return str((having or names)[0])
    if having:
        said = f"several projects have a job {job!r}: choose by --project {' or '.join(having)}"
        raise click.UsageError(_UNSEEN.sub("�", said))
    raise click.UsageError(f"no project that may be read has a job {job!r} (of {len(names)})")


@click.command()
@click.option("--model", required=True, help="The model in question.")
@click.option("--baseline", help="What it is compared with; default the project's baseline.")
@click.option("--metric", help="Default: the one that ranks the project.")
@click.option(
    "--max-regress",
    default="1%",
    show_default=True,
    help="How much worse is allowed: a share of the baseline's mean, or an amount (0.002).",
)
@click.option("--batch", multiple=True, help="Only the model's jobs of these batches.")
@click.option("--baseline-batch", multiple=True, help="Only the baseline's jobs of these batches.")
@click.option("--dataset", multiple=True, help="Only these datasets.")
@click.option("--paired", is_flag=True, help="Compare jobs of equal seeds: where a seed fixes the split.")
@click.option("--project", envvar="ARGUS_PROJECT", default=DEFAULT_PROJECT, show_default=True)
@reads
def check(project: str, url: str | None, token: str | None, *, as_json: bool, **asked_for: Any) -> None:
    """Say whether a model is worse than its baseline by more than allowed, and than seeds explain.

    Exit code 0: pass. 1: regression. 2: not enough evidence. 3: no answer from the server. 64: wrong
    usage, also a project, metric or batch that the server does not know, or a metric without a direction.
    """
    from rich.console import Console
    from rich.text import Text

    params = {name: value if value is not False else None for name, value in asked_for.items()}
    params["paired"] = 1 if asked_for["paired"] else None
    found = asked(server_at(url, token), "api", "projects", project, "check", params=params)
    if as_json:
        click.echo(json.dumps(found))
        raise SystemExit(found["exit_code"])
    console = Console(soft_wrap=True, highlight=False)
    table = _check_table(found)
    console.width = max(console.width, _width(console, table))
    console.print(table, crop=False)
    mark, colour = _MARKS[{"pass": "ok", "regression": "bad", "undecided": "warning"}[found["verdict"]]]
    console.print(Text.assemble((mark, colour), " ", (found["verdict"], f"bold {colour}"), ": "), end="")
    console.print(plain(found["summary"]))
    for note in found.get("notes", ()):
        console.print(plain(note))
    raise SystemExit(found["exit_code"])


def _check_table(found: Mapping[str, Any]) -> Table:
    from rich import box
    from rich.table import Table

    arrow = _ARROWS[found["direction"]]
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    heads = ("Dataset", f"{found['baseline']} (baseline) {arrow}", "n", f"{found['model']} {arrow}", "n")
    levels = {row["change"]["level"] for row in found["datasets"] if row["change"]}
    interval = f"{max(levels) * 100:.3g} % interval" if levels else "interval"
    for head in (*heads, "worse by", interval, ""):
        justify: Any = "left" if head in ("Dataset", "") else "right"
        table.add_column(plain(head), justify=justify, no_wrap=True)
    form = "{:+.2%}" if found["unit"] == "share" else "{:+.4g}"
    for row in found["datasets"]:
        change = row["change"]
        means = [("—" if row[key] is None else f"{row[key]:.6g}") for key in ("mean_baseline", "mean_model")]
        cells = [row["dataset"] or "—", means[0], str(row["n_baseline"]), means[1], str(row["n_model"])]
        cells += [form.format(change["mean"]) if change else "—"]
        cells += [f"{form.format(change['low'])} to {form.format(change['high'])}" if change else "—"]
        table.add_row(*map(plain, cells), plain(row["note"] or row["verdict"]))
    return table
