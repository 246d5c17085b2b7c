"""The leaderboard in the terminal: what the server ranked, rendered by rich."""

from __future__ import annotations

from typing import Any

import requests
from rich.console import Console
from rich.table import Table
from rich.text import Text

from argus_integrations.demo.server import DemoServer

__all__ = ["fetch", "show"]

_COLUMNS = ["MSE", "MAE", "RMSE", "sMAPE", "MASE", "Latency_P50", "Total_Train_Time", "Model_Params"]


def fetch(server: DemoServer, project: str, **view: str) -> dict[str, Any]:
    """Return the ranked table of a view, as the page shows it.

    Raises:
        requests.RequestException: the server did not answer.
    """
    response = requests.get(
        f"{server.url}/api/projects/{project}/leaderboard",
        params=view,
        headers={"Authorization": f"Bearer {server.reader}"},
        timeout=30,
    )
    response.raise_for_status()
    board: dict[str, Any] = response.json()
    return board


def show(
    console: Console, server: DemoServer, project: str, datasets: list[str], frameworks: dict[str, str]
) -> None:
    """Print one ranked table per dataset: values of different datasets are not comparable.

    Args:
        console: as many columns are shown as fit its width.
        server: where the ranking is made.
        project: the demo's.
        datasets: in the order of the tables.
        frameworks: model → what trained it.
    """
    close = False
    for dataset in datasets:
        board = fetch(server, project, group="cell", dataset=dataset, sort="MSE")
        keys = [key for key in _COLUMNS if any(column["key"] == key for column in board["columns"])]
        table = _table(board, dataset, keys, frameworks)
        while len(keys) > 1 and _natural_width(console, table) > console.width:
            keys.pop()
            table = _table(board, dataset, keys, frameworks)
        console.print(table)
        close = close or any("†" in shown for row in board["rows"] for shown in row["display"].values())
    if close:
        console.print("† the seeds do not tell it from the best of its dataset (Welch's t-test, Holm).")


def _table(board: dict[str, Any], dataset: str, keys: list[str], frameworks: dict[str, str]) -> Table:
    columns = {column["key"]: column for column in board["columns"]}
    table = Table(title=f"{dataset}, ranked by {board['view']['sort']}", title_justify="left")
    table.add_column("#", justify="right")
    table.add_column("Model", no_wrap=True)
    table.add_column("Trained by", no_wrap=True)
    for key in keys:
        table.add_column(_heading(columns[key]), justify="right", no_wrap=True)
    for row in board["rows"]:
        model = row["model"] or "–"
        cells = [_cell(row, key) for key in keys]
        table.add_row(str(row["rank"] or "–"), Text(model), frameworks.get(model, "–"), *cells)
    return table


def _natural_width(console: Console, table: Table) -> int:
    """Return how wide a table is when nothing of it is cut."""
    return console.measure(table, options=console.options.update(width=10_000)).maximum


def _heading(column: dict[str, Any]) -> Text:
    arrow = {"lower": " ↓", "higher": " ↑"}.get(column["direction"], "")
    unit = f" {column['unit']}" if column["unit"] else ""
    return Text(f"{column['label']}{unit}{arrow}")


def _cell(row: dict[str, Any], key: str) -> Text:
    style = "bold" if key in row["best"] else "underline" if key in row["second"] else ""
    return Text(row["display"].get(key, "∅"), style=style)
