"""Ask a server for what it has ranked: the same tables as its pages, as plain data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from argus_core.errors import ReadError, SettingsError
from argus_core.events import number_or_none
from argus_core.settings import Settings
from argus_core.transport import checked_address, innermost

if TYPE_CHECKING:
    import requests

__all__ = ["Server", "leaderboard", "records"]

_TIMEOUT_S = (3.05, 60.0)
_OF_JOBS = ("batch_id", "job_id", "finished_at")
_WRONG_QUESTIONS = (400, 404)
Value = str | int | float | bool | None | Iterable[str]
"""A parameter of a view: one value, or several of a filter."""


class Server:
    """An Argus server that answers questions. Any thread; each question is one request."""

    def __init__(self, url: str | None = None, token: str | None = None) -> None:
        """Remember whom to ask; nothing is opened.

        Args:
            url: default `ARGUS_URL`.
            token: one that may read, default `ARGUS_TOKEN`; public projects need none.

        Raises:
            SettingsError: there is no URL, or one of the two cannot be what it should be.
        """
        settings = Settings.from_environment()
        url = url or settings.url
        if not url:
            raise SettingsError("no server: give its URL or set ARGUS_URL")
        self._token = token or settings.token
        self.url = checked_address(url, self._token)

    def __repr__(self) -> str:
        return f"Server({self.url!r})"

    def ask(
        self, *names: str, params: Mapping[str, Value] | None = None, answers: Iterable[int] = (200,)
    ) -> dict[str, Any]:
        """Return the JSON object at the path through these names.

        Args:
            names: the path, each one segment, whatever it contains.
            params: the query; None and empty values are left out.
            answers: the statuses that are an answer.

        Raises:
            ReadError: there is no such answer; the message says why, and what to do.
        """
        import requests

        url = self.url + "/" + "/".join(_segment(name) for name in names)
        try:
            answer = requests.get(
                url,
                params=_pairs(params or {}),
                headers={"Accept": "application/json", "User-Agent": "argus-leaderboard"},
                auth=self._authorise,
                timeout=_TIMEOUT_S,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise ReadError(f"no answer from {self.url}: {innermost(error)}") from error
        content = _json(answer)
        if not isinstance(content, dict):
            raise ReadError(
                f"{self.url} answered {answer.status_code}, but not as an Argus server does",
                status=answer.status_code,
            )
        if answer.status_code not in answers:
            raise ReadError(
                _refusal(answer.status_code, content, has_token=bool(self._token)),
                status=answer.status_code,
                wrong_question=answer.status_code in _WRONG_QUESTIONS and "error" in content,
            )
        return content

    def _authorise(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add our header, or none: a .netrc would add its own."""
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def leaderboard(
    project: str | None = None,
    *,
    url: str | None = None,
    token: str | None = None,
    group: str = "job",
    metric: str | None = None,
    **view: Value,
) -> list[dict[str, Any]]:
    """Return every row of a leaderboard, in its order, one dict each with the columns of the CSV export.

    All dicts have the same keys, so that `pandas.DataFrame(...)` and `polars.DataFrame(...)` take the list
    as it is. Values are raw, in the units of the project; what a row does not have is None, and what
    diverged is a float NaN or infinity. A mean has its `NAME (std)` and `NAME (n)` beside it, one over seeds
    also `NAME (low)` and `NAME (high)`, its 95 % interval. Models without a place come last, with a
    provisional rank and the reasons; `separation` says whether the data tell a model from the leader.

    `rank` of a job or a cell is the place within its dataset. `superseded_by` of a job is `BATCH/JOB` of the
    later one that counts instead. `n` of a cell or a model is how many jobs it has, and `finished_at` of a
    cell is when the last of them finished. `is_baseline` of a model: skill is measured against it.

    Args:
        project: default `ARGUS_PROJECT`.
        url: the server; default `ARGUS_URL`.
        token: one that may read; default `ARGUS_TOKEN`. Public projects need none.
        group: `job`, `cell` (model × dataset) or `model` (over all datasets).
        metric: what ranks; default the project's.
        **view: any other parameter of the page's URL: `model=`, `dataset=["a", "b"]`, `where="MSE<0.4"`,
            `seeds=`, `missing=`, `baseline=`, `sort=`.

    Raises:
        SettingsError: no server is known.
        ReadError: the server has no answer, or no such metric, model, dataset, batch, seed or parameter; the
            message says why.
    """
    name = project or Settings.from_environment().project
    params = {**view, "group": group, "metric": metric, "strict": 1}
    return records(Server(url, token).ask("api", "projects", name, "leaderboard", params=params))


def records(table: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of a leaderboard's JSON as flat dicts; see `leaderboard`."""
    metrics = [column for column in table["columns"] if column["kind"] == "metric"]
    if table["view"]["group"] == "model":
        return [_model_record(row, table["columns"]) for row in (*table["rows"], *table["not_ranked"])]
    grouped = table["view"]["group"] != "job"
    return [_record(row, metrics, grouped=grouped) for row in table["rows"]]


def _record(row: Mapping[str, Any], metrics: Iterable[Mapping[str, Any]], *, grouped: bool) -> dict[str, Any]:
    """Return a job or a cell, its columns in the order of the CSV."""
    named = ("rank", "model", "dataset", "n" if grouped else "seed")
    record = {name: row.get(name) for name in named}
    for column in metrics:
        cell = row["cells"].get(column["key"])
        name = column["id"]
        if not grouped:
            record[name] = _value(cell)
            continue
        parts = cell if isinstance(cell, dict) else {}
        record[name] = _value(parts.get("mean"))
        record[f"{name} (std)"] = parts.get("std")
        record[f"{name} (n)"] = parts.get("n")
        record[f"{name} (low)"], record[f"{name} (high)"] = parts.get("interval") or (None, None)
    if grouped:
        return record | {"finished_at": row.get("finished_at"), **_separation(row), "flags": _flags(row)}
    later = "/".join(row.get("superseded_by") or ()) or None
    return record | {name: row.get(name) for name in _OF_JOBS} | {"superseded_by": later}


def _model_record(row: Mapping[str, Any], columns: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a model as the CSV has it; one without a place has a provisional rank and the reasons."""
    record = {name: row.get(name) for name in ("rank", "tier", "model", "n", "is_baseline")}
    low, high = row.get("interval") or (None, None)
    for column in columns:
        name = column["id"]
        if column["kind"] == "metric":
            cell = row["cells"].get(column["key"]) or {}
            record |= {name: _value(cell.get("mean")), f"{name} (std)": cell.get("std")}
            record[f"{name} (n)"] = cell.get("n")
        elif column["kind"] == "statistic":
            record[name] = row["statistics"].get(name)
        if name == "average_rank":
            record |= {"average_rank (low)": low, "average_rank (high)": high, **_separation(row)}
        if name == "datasets":
            record["datasets (of)"] = row["statistics"].get("datasets_of")
            record["seeds"] = row["statistics"].get("seeds")
    record["flags"] = _flags(row)
    record["provisional_rank"] = row.get("provisional_rank")
    gaps = row.get("gaps") or ()
    record["not_ranked_because"] = "; ".join(f"{gap['dataset']}: {gap['text']}" for gap in gaps)
    return record


def _separation(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the data say of a model against the leader, as the CSV names it."""
    found = row.get("separation") or {}
    result = found.get("result")
    told = {"separable": "yes", "reversed": "yes", "not separable": "no"}
    return {
        "separable from the best": told.get(result) if result else None,
        "separation": result,
        "separation (p)": found.get("p"),
        "separation (why)": found.get("why"),
    }


def _flags(row: Mapping[str, Any]) -> str:
    return "; ".join(flag["text"] for flag in row.get("flags") or ())


def _value(cell: Any) -> Any:
    """Return a value with its NaN and infinities as floats; JSON has them as text."""
    number = number_or_none(cell) if isinstance(cell, str) else None
    return cell if number is None else number


def _segment(name: str) -> str:
    """Return a name as one segment of a path; what is dots only would be resolved by whoever sees it."""
    return quote("~" + name if name.lstrip("~") in (".", "..") else name, safe="")


def _pairs(params: Mapping[str, Value]) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for name, value in params.items():
        several = [value] if value is None or isinstance(value, (str, int, float, bool)) else list(value)
        pairs += [(name, str(item)) for item in several if item not in (None, "")]
    return pairs


def _json(answer: requests.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return None


def _refusal(status: int, content: Mapping[str, Any], *, has_token: bool) -> str:
    said = str(content.get("error") or f"the server answered {status}")[:500]
    if status == 401 and not has_token:
        return "this project is not public: give a token or set ARGUS_TOKEN (argus token create --scope read)"
    if status in (401, 403):
        return f"{said} (argus token create --scope read makes one that reads)"
    if content.get("nearest"):
        return f"{said}; did you mean {' or '.join(map(str, content['nearest']))}?"
    return said
