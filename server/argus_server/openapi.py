"""What programs can ask, as OpenAPI 3.1: the ingest routes, the JSON routes, exports and operations.

Pages for people are not in it. A test compares it with the routes there are, and answers with its schemas.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import msgspec
from litestar import Request
from litestar.openapi.plugins import JsonRenderPlugin

from argus_core.events import SCHEMA_VERSION, json_schema
from argus_server.ranking.registry import Settings

__all__ = ["DocumentPlugin", "document"]

Schema = dict[str, Any]
_JSON = "application/json"


class DocumentPlugin(JsonRenderPlugin):
    """Answers with `document`."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:  # noqa: ARG002 - the library's
        """Return the document as JSON."""
        return _rendered()


@cache
def _rendered() -> bytes:
    return json.dumps(document()).encode()


# --- words ------------------------------------------------------------------------------------


_BATCH_STATUS: Schema = {"enum": ["running", "stalled", "done", "failed"]}


def _object(required: Schema, optional: Schema | None = None) -> Schema:
    """Return the schema of an object that has the required keys, and may have others."""
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
    }


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_FLAG: Schema = {"type": "boolean"}
_ANY: Schema = {}
_MAYBE_TEXT = _or_null(_TEXT)
_MAYBE_COUNT = _or_null(_COUNT)
_COUNTS: Schema = {"type": "object", "additionalProperties": _COUNT}


def _answer(description: str, content: Schema | None = None, media_type: str = _JSON) -> Schema:
    return {"description": description, "content": {media_type: {"schema": content or _ref("Problem")}}}


_TOO_MANY = {
    **_answer(
        "Too many requests, or too much waits for the database; come back after `Retry-After` seconds."
    ),
    "headers": {"Retry-After": {"schema": _COUNT}},
}
_BUSY = _answer("The database does not answer in time; nothing was stored. Try again.")
_GUARDED = {
    "401": _answer("The token is missing, unknown, revoked or expired."),
    "403": _answer("The token may not do this, or is for another project."),
    "429": _TOO_MANY,
}
_UNKNOWN = {"404": _answer("No event has named this project.")}


def _operation(summary: str, answers: Schema, *, is_open: bool = False, **more: Any) -> Schema:
    responses = {**answers, **({} if is_open else _GUARDED)}
    return {"summary": summary, "responses": responses, **({"security": []} if is_open else {}), **more}


def _path(*names: str) -> list[Schema]:
    schema = {"type": "string", "minLength": 1}
    return [{"name": name, "in": "path", "required": True, "schema": schema} for name in names]


def _query(name: str, schema: Schema, description: str) -> Schema:
    return {"name": name, "in": "query", "schema": schema, "description": description}


_FILTERS = [
    _query(name, _list(_TEXT), f"Only jobs of this {name}; can be repeated.")
    for name in ("model", "dataset", "batch", "seed")
]
_MORE_FILTERS = [
    *(_query(name, _list(_TEXT), f"Only jobs of this {name}; can be repeated.") for name in ("host", "user")),
    _query("where", _list(_TEXT), "A bound on a metric, such as MSE<0.4; can be repeated."),
    _query("q", _TEXT, "Text in the name of the model, dataset, job or batch."),
]
_PAGE = _query("page", {"type": "integer", "minimum": 1}, "Counted from 1.")
_MODELS = [
    _query("metric", _TEXT, "The metric that ranks models."),
    _query(
        "seeds", {"enum": ["mean", "median", "best", "last"]}, "How the jobs of a cell become one number."
    ),
    _query(
        "missing",
        {"enum": ["complete", "shared", "pairwise", "impute:worst"]},
        "What becomes of models that miss a dataset.",
    ),
    _query("baseline", _TEXT, "The model that skill is measured against."),
]
_VIEW = [
    _query(
        "group",
        {"enum": ["job", "cell", "model"]},
        "A row for each job, one for each model and dataset, or one for each model over all datasets.",
    ),
    *_MODELS,
    _query("sort", _TEXT, "A metric, or model, dataset, seed; of models also average_rank, win_rate, skill."),
    _query("order", {"enum": ["asc", "desc"]}, "Without it, the best first."),
    *_FILTERS,
    *_MORE_FILTERS,
]
_GRID = [
    _query("metric", _TEXT, "Without it, the metric that ranks the leaderboard."),
    _query("cell", {"enum": ["mean", "best", "n", "rank", "delta"]}, "What `display` shows of each cell."),
    _query("rows", {"enum": ["rank", "name"]}, "How the models stand."),
    _query("transpose", {"enum": ["", "1"]}, "Whether the datasets are the rows."),
    _query("baseline", _TEXT, "The model that `delta` is measured against."),
    *_FILTERS,
    *_MORE_FILTERS,
]
_TEST: Schema = {"enum": ["wilcoxon", "nemenyi"]}
_BAD_VIEW = {"400": _answer("A parameter has a value that means nothing.")}


# --- schemas ----------------------------------------------------------------------------------


def _schemas() -> dict[str, Schema]:
    event = json.loads(json.dumps(json_schema()).replace("#/$defs/", "#/components/schemas/"))
    definitions = event.pop("$defs")
    event.pop("$schema")
    rejection = {"status_code": _COUNT, "index": _COUNT, "field": _TEXT, "reason": _TEXT}
    result = {
        "event_id": _MAYBE_TEXT,
        "status": {"enum": ["accepted", "deduplicated", "rejected"]},
        "db_id": _MAYBE_COUNT,
        "error": _MAYBE_TEXT,
    }
    batch = {"accepted": _COUNT, "rejected": _COUNT, "results": _list(_object(result, rejection))}
    _, settings = msgspec.json.schema_components([Settings], ref_template="#/components/schemas/{name}")
    return {
        **definitions,
        **settings,
        "AnyEvent": event,
        "Problem": _object({"status_code": _COUNT, "error": _TEXT}),
        "Refusal": _object({"error": _TEXT, **rejection}),
        "Stored": _object({"accepted": {"const": True}, "event_id": _COUNT, "deduplicated": _FLAG}),
        "Results": _object(
            batch, {"unranked": _list(_object({"batch_id": _TEXT, "job_id": _TEXT, "reason": _TEXT}))}
        ),
        "AllRefused": _object({"error": _TEXT, **rejection, **batch}),
        "Projects": _object({"projects": _list(_project())}),
        "Leaderboard": {"anyOf": [_leaderboard(), _leaderboard_of_models()]},
        **_comparisons(),
        "Matrix": _matrix(),
        "Jobs": _jobs(),
        "Batch": _batch({"project": _TEXT}),
        "Batches": _object(
            {
                "project": _TEXT,
                "page": _COUNT,
                "total": _COUNT,
                "batch_counts": _COUNTS,
                "batches": _list(_batch({})),
            }
        ),
        "Epochs": _epochs(),
        "Comparison": _comparison(),
        "Job": _object(
            {
                **dict.fromkeys(("project", "batch_id", "job_id", "status", "last_event_at"), _TEXT),
                **dict.fromkeys(("model", "dataset", "seed", "commit", "command", "reason"), _MAYBE_TEXT),
                **dict.fromkeys(("metrics", "cell", "events", "log", "load"), _list({"type": "object"})),
                **dict.fromkeys(("config", "tags", "resources", "error"), _ANY),
                "attempts_started_at": _list(_TEXT),
            }
        ),
        "AllJobs": _object(
            {"project": _TEXT, "total": _COUNT, "job_counts": _COUNTS, "jobs": _list({"type": "object"})}
        ),
        "Why": _why_answer(),
        "Check": _check_answer(),
        "Doctor": _doctor_answer(),
        "Outlook": _outlook_answer(),
        "Token": _object({"scope": {"enum": ["report", "read", "admin", "visitor"]}, "project": _MAYBE_TEXT}),
        "StopRequested": _object({"batch_id": _TEXT, "requested": _FLAG, "stop_requested": _FLAG}),
        "Status": _object({"status": _TEXT}, {"reason": _TEXT}),
    }


def _project() -> Schema:
    return _object(
        {
            "project": _TEXT,
            "jobs": _COUNTS,
            "n_batches": _COUNT,
            "last_event_at": _MAYBE_TEXT,
            "leaderboard": _TEXT,
        }
    )


def _batch(more: Schema) -> Schema:
    return _object(
        {
            **more,
            "batch_id": _TEXT,
            "name": _MAYBE_TEXT,
            "status": _BATCH_STATUS,
            "job_counts": _COUNTS,
            "total": _COUNT,
            "queued": _COUNT,
            "eta_s": _or_null(_list({"type": "number"})),
            "elapsed_s": _or_null({"type": "number"}),
            "started_at": _MAYBE_TEXT,
            "ended_at": _MAYBE_TEXT,
            "last_event_at": _TEXT,
            "host": _MAYBE_TEXT,
            "user": _MAYBE_TEXT,
            "commit": _MAYBE_TEXT,
            "reason": _MAYBE_TEXT,
        }
    )


def _matrix() -> Schema:
    number = _or_null({"type": "number"})
    cell = {
        "model": _TEXT,
        "dataset": _TEXT,
        "state": _TEXT,
        "value": _ANY,
        "std": number,
        "n": _MAYBE_COUNT,
        "diverged": _COUNT,
        "rank": number,
        "gap": number,
        "delta": number,
        "mark": {"enum": ["", "best", "second"]},
        "display": _TEXT,
        "jobs": _COUNTS,
        "progress": number,
        "reason": _MAYBE_TEXT,
    }
    metric = {"key": _TEXT, "label": _TEXT, "unit": _TEXT, "raw_unit": _TEXT, "direction": _TEXT}
    ranks = {"type": "object", "additionalProperties": {"type": "number"}}
    return _object(
        {
            "project": _TEXT,
            "view": {"type": "object"},
            "metric": _or_null(_object(metric)),
            "models": _list(_TEXT),
            "datasets": _list(_TEXT),
            "average_ranks": ranks,
            "provisional_ranks": ranks,
            "coverage": _list(_object({"metric": _TEXT, "cells": _COUNT, "of": _COUNT})),
            "notes": _list(_TEXT),
            "cells": _list(_object(cell)),
        }
    )


def _leaderboard() -> Schema:
    column = {"key": _TEXT, "label": _TEXT, "unit": _TEXT, "direction": _TEXT, "role": _TEXT, "kind": _TEXT}
    row = {
        "rank": _MAYBE_COUNT,
        "model": _MAYBE_TEXT,
        "dataset": _MAYBE_TEXT,
        "cells": {"type": "object"},
        "display": {"type": "object", "additionalProperties": _TEXT},
        "best": _list(_TEXT),
        "second": _list(_TEXT),
    }
    return _object(
        {
            "project": _TEXT,
            "view": {"type": "object"},
            "ranked_by": _ANY,
            "notes": _list(_TEXT),
            "columns": _list(_object(column)),
            "rows": _list(_object(row)),
            "total": _COUNT,
        }
    )


def _outlook_answer() -> Schema:
    ends = _list({"type": "number"})
    model = _object({"model": _TEXT, "average_rank": ends, "place": ends, "can_lead": _FLAG})
    run = {"model": _TEXT, "dataset": _TEXT, "swing": {"type": "number"}, "is_running": _FLAG}
    run |= {"sibling": _ANY, "command": _MAYBE_TEXT}
    required = {
        "project": _TEXT,
        "missing": _COUNT,
        "moving": _COUNT,
        "models": _list(model),
        "runs": _list(_object(run)),
    }
    return _object(required, {"metric": _TEXT, "places_are_exact": _FLAG})


def _doctor_answer() -> Schema:
    remedy = _object({"key": _TEXT, "alias_of": _MAYBE_TEXT, "correction": _ANY, "text": _TEXT})
    evidence = _object({"batch_id": _TEXT, "job_id": _TEXT, "key": _TEXT, "value": _TEXT})
    finding = _object(
        {
            "id": _TEXT,
            "kind": {"enum": ["alike", "unit", "scale", "impossible", "direction", "diverged"]},
            "keys": _list(_TEXT),
            "fact": _TEXT,
            "doubt": _TEXT,
            "evidence": _list(evidence),
            "remedy": _or_null(remedy),
        }
    )
    return _object({"project": _TEXT, "findings": _list(finding), "remedies": _list(remedy)})


def _leaderboard_of_models() -> Schema:
    number = _or_null({"type": "number"})
    column = {"key": _TEXT, "id": _TEXT, "label": _TEXT, "unit": _TEXT, "direction": _TEXT, "kind": _TEXT}
    row = {
        "rank": _MAYBE_COUNT,
        "tier": _MAYBE_TEXT,
        "model": _MAYBE_TEXT,
        "n": _COUNT,
        "is_baseline": _FLAG,
        "statistics": {"type": "object"},
        "interval": _or_null(_list({"type": "number"})),
        "not_separable": _or_null(_FLAG),
        "separation": _or_null(_object({"result": _TEXT, "p": number, "why": _MAYBE_TEXT})),
        "imputed": _FLAG,
        "cells": {"type": "object"},
        "display": {"type": "object", "additionalProperties": _TEXT},
    }
    gap = {"dataset": _TEXT, "kind": _TEXT, "text": _TEXT, "job": _or_null(_list(_TEXT))}
    return _object(
        {
            "project": _TEXT,
            "view": {"type": "object"},
            "ranked_by": _MAYBE_TEXT,
            "verdict": _object(
                {
                    "text": _TEXT,
                    "leaders": _list(_TEXT),
                    "not_separable": _list(_TEXT),
                    "reversed": _list(_TEXT),
                    "untested": _MAYBE_TEXT,
                }
            ),
            "notes": _list(_TEXT),
            "columns": _list(_object(column)),
            "total": _COUNT,
            "rows": _list(_object(row)),
            "not_ranked": _list(_object({**row, "provisional_rank": number, "gaps": _list(_object(gap))})),
        }
    )


def _comparisons() -> dict[str, Schema]:
    """Return the answers of the pages that compare models."""
    number = _or_null({"type": "number"})
    head = {"project": _TEXT, "metric": _MAYBE_TEXT, "notes": _list(_TEXT)}
    pair = {"a": _TEXT, "b": _TEXT, "wins": _COUNT, "ties": _COUNT, "losses": _COUNT}
    pair |= {"difference": number, "p": number, "separable": _or_null(_FLAG)}
    pair |= {"better": _MAYBE_TEXT, "not_tested_because": _MAYBE_TEXT}
    point = {"model": _TEXT, "average_rank": number, "value": number, "cost": number, "front": _FLAG}
    point["cost_datasets"] = _COUNT
    model = {"model": _TEXT, "best": _COUNT, "worst": _COUNT, "first": _COUNT}
    places = {"type": "object", "additionalProperties": _COUNT}
    return {
        "Pairs": _object(
            {
                **head,
                "test": {"enum": ["wilcoxon", "nemenyi"]},
                "datasets": _COUNT,
                "sentence": _TEXT,
                "overall_p": number,
                "critical_difference": number,
                "models": _list(_object({"model": _TEXT, "average_rank": number})),
                "cliques": _list(_list(_TEXT)),
                "pairs": _list(_object(pair)),
            }
        ),
        "Pareto": _object(
            {
                **head,
                "cost": _MAYBE_TEXT,
                "datasets": _COUNT,
                "without_cost": _list(_TEXT),
                "models": _list(_object({**point, "beaten_by": _MAYBE_TEXT})),
            }
        ),
        "Sensitivity": _object(
            {
                **head,
                "sentence": _TEXT,
                "models": _list(_object(model)),
                "variants": _list(_object({"kind": _TEXT, "name": _TEXT, "places": places})),
            }
        ),
    }


def _check_answer() -> Schema:
    verdict = {"enum": ["pass", "regression", "undecided"]}
    number = _or_null({"type": "number"})
    change = _or_null(_object({"mean": number, "low": number, "high": number, "freedom": number}))
    dataset = {"dataset": _TEXT, "n_model": _COUNT, "n_baseline": _COUNT, "mean_model": number}
    dataset |= {"mean_baseline": number, "change": change, "verdict": verdict, "note": _TEXT}
    return _object(
        {
            "project": _TEXT,
            "metric": _TEXT,
            "direction": _TEXT,
            "model": _TEXT,
            "baseline": _TEXT,
            "max_regress": _TEXT,
            "unit": {"enum": ["share", "raw"]},
            "verdict": verdict,
            "summary": _TEXT,
            "change": change,
            "datasets": _list(_object(dataset)),
            "seeds_needed": _MAYBE_COUNT,
            "paired": _FLAG,
            "exit_code": {"enum": [0, 1, 2]},
            "notes": _list(_TEXT),
        }
    )


def _comparison() -> Schema:
    job = dict.fromkeys(("batch_id", "job_id", "label"), _TEXT)
    job |= dict.fromkeys(("model", "dataset", "seed"), _MAYBE_TEXT)
    row = dict.fromkeys(("key", "label", "unit", "direction"), _TEXT)
    row |= {"differs": _FLAG, "values": _list(_ANY), "display": _list(_TEXT), "best": _list(_COUNT)}
    row["change"] = _list(_or_null({"type": "number"}))
    section = {"name": _TEXT, "rows": _list(_object(row))}
    return _object({"project": _TEXT, "jobs": _list(_object(job)), "sections": _list(_object(section))})


def _epochs() -> Schema:
    number = {"anyOf": [{"type": "number"}, {"enum": ["NaN", "Infinity", "-Infinity", None]}]}
    return _object(
        {
            "project": _TEXT,
            "batch_id": _TEXT,
            "job_id": _TEXT,
            "model": _MAYBE_TEXT,
            "dataset": _MAYBE_TEXT,
            "seed": _MAYBE_TEXT,
            "status": _TEXT,
            "attempts": _COUNT,
            "epochs_total": _MAYBE_COUNT,
            "first_event_at": _TEXT,
            "last_event_at": _TEXT,
            "epochs": _list({"type": "integer"}),
            "seconds": _list({"type": "number"}),
            "values": {"type": "object", "additionalProperties": _list(number)},
        }
    )


def _why_answer() -> Schema:
    verdict = {"enum": ["ok", "warning", "bad"]}
    line = {"name": _TEXT, "verdict": verdict, "fact": _TEXT, "fix": _TEXT, "link": _TEXT}
    return _object(
        {
            "project": _TEXT,
            "batch_id": _TEXT,
            "job_id": _TEXT,
            "listed": _FLAG,
            "ranked": _FLAG,
            "rank": _MAYBE_COUNT,
            "summary": _TEXT,
            "lines": _list(_object(line)),
        }
    )


def _jobs() -> Schema:
    job = {
        "batch_id": _TEXT,
        "job_id": _TEXT,
        "status": _TEXT,
        "interrupted": _FLAG,
        "superseded": _FLAG,
        "model": _MAYBE_TEXT,
        "dataset": _MAYBE_TEXT,
        "seed": _MAYBE_TEXT,
        "epoch": _MAYBE_COUNT,
        "epochs_total": _MAYBE_COUNT,
        "elapsed_s": _or_null({"type": "number"}),
        "started_at": _MAYBE_TEXT,
        "ended_at": _MAYBE_TEXT,
        "last_event_at": _TEXT,
    }
    return _object(
        {
            "project": _TEXT,
            "page": {"type": "integer", "minimum": 1},
            "total": _COUNT,
            "job_counts": _COUNTS,
            "jobs": _list(_object(job)),
        }
    )


# --- paths ------------------------------------------------------------------------------------


def _ingest() -> Schema:
    many = {"anyOf": [_object({"events": _list(_ref("AnyEvent"))}), _list(_ref("AnyEvent"))]}
    refused = {
        "400": _answer("The body is not JSON, or of another shape."),
        "408": _answer("The body came too slowly."),
        "413": _answer("The body is too large, compressed or not."),
        "415": _answer(
            "Another schema version, or an encoding that is not gzip.",
            {"anyOf": [_ref("Problem"), _ref("Refusal")]},
        ),
        "503": _BUSY,
    }

    def body(schema: Schema) -> Schema:
        return {"required": True, "content": {_JSON: {"schema": schema}}}

    return {
        "/api/events": {
            "post": _operation(
                "Store one event.",
                {
                    "200": _answer(
                        "It is on disk. A repeat changes nothing and gets its first number.", _ref("Stored")
                    ),
                    "422": _answer("The event breaks the schema.", _ref("Refusal")),
                    **refused,
                },
                requestBody=body(_ref("AnyEvent")),
            )
        },
        "/api/events/batch": {
            "post": _operation(
                "Store the good events of a list, and say for each of the others what is wrong with it.",
                {
                    "200": _answer("What became of each event, in order.", _ref("Results")),
                    "422": _answer("There is no good event among them.", _ref("AllRefused")),
                    **refused,
                },
                requestBody=body(many),
            )
        },
    }


def _beside_the_events() -> Schema:
    artifacts = _operation("Files are not taken.", {"501": _answer("This server keeps no artifacts.")})
    return {
        "/api/batches/{batch_id}/stop-requested": {
            "get": _operation(
                "Say whether somebody asked the batch to stop.",
                {"200": _answer("An unknown batch was not asked.", _ref("StopRequested"))},
                parameters=_path("batch_id"),
            )
        },
        "/api/batches/{batch_id}/artifacts": {"post": {**artifacts, "parameters": _path("batch_id")}},
        "/api/jobs/{job_id}/artifacts": {"post": {**artifacts, "parameters": _path("job_id")}},
        "/api/token": {
            "get": _operation(
                "Say what the caller's own token is good for.", {"200": _answer("It.", _ref("Token"))}
            )
        },
    }


def _reading() -> Schema:
    def board(summary: str, content: Schema, media_type: str) -> Schema:
        answers = {"200": _answer("Every row of the view.", content, media_type), **_BAD_VIEW, **_UNKNOWN}
        return {
            "get": _operation(
                summary, {**answers, "503": _BUSY}, parameters=[*_path("project"), *_VIEW, _PAGE]
            )
        }

    def grid(summary: str, content: Schema, media_type: str) -> Schema:
        answers = {"200": _answer("Every cell of the view.", content, media_type), **_BAD_VIEW, **_UNKNOWN}
        return {"get": _operation(summary, {**answers, "503": _BUSY}, parameters=[*_path("project"), *_GRID])}

    def listed(summary: str, content: Schema, media_type: str = _JSON) -> Schema:
        answers = {"200": _answer("They.", content, media_type), **_BAD_VIEW, **_UNKNOWN, "503": _BUSY}
        more = [
            _query(
                "status",
                _list(_BATCH_STATUS),
                "Only these; can be repeated.",
            ),
            _query("q", _TEXT, "Text in the name or the id."),
            _PAGE,
        ]
        return {"get": _operation(summary, answers, parameters=[*_path("project"), *more])}

    def compared(page: str, summary: str, *parameters: Schema) -> Schema:
        asked = [*_path("project"), *_MODELS[:3], *parameters, *_FILTERS, *_MORE_FILTERS]
        found = {}
        for ending, content, media_type in (
            ("json", _ref(page.capitalize()), _JSON),
            ("csv", _TEXT, "text/csv"),
            ("md", _TEXT, "text/markdown"),
            *([("tex", _TEXT, "application/x-tex")] if page == "pairs" else []),
        ):
            answers = {
                "200": _answer("The whole.", content, media_type),
                **_BAD_VIEW,
                **_UNKNOWN,
                "503": _BUSY,
            }
            found[f"/p/{{project}}/{page}.{ending}"] = {"get": _operation(summary, answers, parameters=asked)}
        return found

    as_json = board("The leaderboard as JSON.", _ref("Leaderboard"), _JSON)
    statuses = {"enum": ["running", "stalled", "untested", "done", "failed"]}
    return {
        "/api/projects": {
            "get": _operation(
                "List every project that the caller may see.",
                {"200": _answer("The one with the latest event first.", _ref("Projects")), "503": _BUSY},
            )
        },
        **{
            f"/projects.{ending}": {"get": _operation(f"The projects of the home page as {what}.", answers)}
            for ending, what, answers in (
                ("json", "JSON", {"200": _answer("They.", _ref("Projects")), "503": _BUSY}),
                ("csv", "CSV", {"200": _answer("They.", _TEXT, "text/csv"), "503": _BUSY}),
                ("md", "Markdown", {"200": _answer("They.", _TEXT, "text/markdown"), "503": _BUSY}),
            )
        },
        "/api/projects/{project}/leaderboard": as_json,
        "/p/{project}/leaderboard.json": as_json,
        "/p/{project}/leaderboard.csv": board("The leaderboard as CSV.", _TEXT, "text/csv"),
        "/p/{project}/leaderboard.md": board("The leaderboard as Markdown.", _TEXT, "text/markdown"),
        "/p/{project}/leaderboard.tex": board(
            "The leaderboard as LaTeX, for booktabs and siunitx.", _TEXT, "application/x-tex"
        ),
        **compared("pairs", "Every model against every other.", _query("test", _TEST, "By which test.")),
        **compared(
            "pareto", "Quality against cost.", _query("cost", _TEXT, "The cost; without it, the usual.")
        ),
        **compared("sensitivity", "The places of models under every variant of the board."),
        "/api/projects/{project}/matrix": grid("Models and datasets as JSON.", _ref("Matrix"), _JSON),
        "/p/{project}/matrix.json": grid("The same.", _ref("Matrix"), _JSON),
        "/p/{project}/matrix.csv": grid("Models and datasets as CSV.", _TEXT, "text/csv"),
        "/p/{project}/matrix.md": grid("Models and datasets as Markdown.", _TEXT, "text/markdown"),
        "/p/{project}/matrix.tex": grid("Models and datasets as LaTeX.", _TEXT, "application/x-tex"),
        "/api/projects/{project}/jobs": {
            "get": _operation(
                "List one page of jobs.",
                {"200": _answer("The page.", _ref("Jobs")), **_BAD_VIEW, **_UNKNOWN, "503": _BUSY},
                parameters=[
                    *_path("project"),
                    *_FILTERS,
                    *(item for item in _MORE_FILTERS if item["name"] != "where"),
                    _query("sort", {"enum": ["latest", "oldest", "longest", "shortest"]}, "The order."),
                    _query("status", _list(statuses), "Only jobs in this status; can be repeated."),
                    _PAGE,
                ],
            )
        },
        "/api/projects/{project}/batches": listed("One page of batches, the newest first.", _ref("Batches")),
        "/p/{project}/batches.json": listed("All batches.", _ref("Batches")),
        "/p/{project}/batches.csv": listed("All batches as CSV.", _TEXT, "text/csv"),
        "/p/{project}/batches.md": listed("All batches as Markdown.", _TEXT, "text/markdown"),
        "/api/projects/{project}/batches/{batch_id}": {
            "get": _operation(
                "Say where a batch stands, and between how many and how many seconds it will still take.",
                {"200": _answer("It.", _ref("Batch")), **_UNKNOWN, "503": _BUSY},
                parameters=_path("project", "batch_id"),
            )
        },
        **_job_files(),
        "/p/{project}/compare.json": _compared("JSON", _ref("Comparison"), _JSON),
        "/p/{project}/compare.csv": _compared("CSV", _TEXT, "text/csv"),
        "/p/{project}/compare.md": _compared("Markdown", _TEXT, "text/markdown"),
        "/api/projects/{project}/jobs/{batch_id}/{job_id}/epochs": {
            "get": _operation(
                "Return what a job reported at each epoch, metric by metric.",
                {
                    "200": _answer("A list for each metric, as long as `epochs`.", _ref("Epochs")),
                    **_BAD_VIEW,
                    "404": _answer("No event has named this job, or this project."),
                    "503": _BUSY,
                },
                parameters=[
                    *_path("project", "batch_id", "job_id"),
                    _query("first", _COUNT, "Leave out the epochs before this one."),
                ],
            )
        },
        "/api/projects/{project}/jobs/{batch_id}/{job_id}/why": _why(
            "Say why a job is on the leaderboard, or is not.", _path("project", "batch_id", "job_id")
        ),
        "/api/projects/{project}/why/{job_id}": _why(
            "The same of the latest job with an id.", _path("project", "job_id")
        ),
        "/api/projects/{project}/settings": {
            "get": _operation(
                "Return the settings of a project; what is not set is left out.",
                {"200": _answer("They.", _ref("Settings")), **_UNKNOWN, "503": _BUSY},
                parameters=_path("project"),
            ),
            "put": _operation(
                "Replace the settings of a project.",
                {
                    "200": _answer("They, from now on.", _ref("Settings")),
                    **_BAD_VIEW,
                    **_UNKNOWN,
                    "422": _answer("The settings contradict themselves; nothing has changed."),
                    "503": _BUSY,
                },
                parameters=_path("project"),
                requestBody={"required": True, "content": {_JSON: {"schema": _ref("Settings")}}},
            ),
        },
        "/api/projects/{project}/check": _check(),
        "/api/projects/{project}/doctor": _doctor(),
        "/api/projects/{project}/outlook": _outlook(),
        "/p/{project}/doctor.json": _doctor(),
        "/p/{project}/badge/{model}": {
            "get": _operation(
                "A picture of where a model stands, for a README; `MODEL.svg`.",
                {"200": _answer("The badge.", _TEXT, "image/svg+xml"), **_BAD_VIEW, **_UNKNOWN, "503": _BUSY},
                parameters=[*_path("project", "model"), *_VIEW],
            )
        },
        "/p/{project}/live": {
            "get": _operation(
                "Tell of every change of the project, as server-sent events.",
                {
                    "200": _answer(
                        '`event: change`, `data: {"seq": N}`; does not end by itself for minutes.',
                        _TEXT,
                        "text/event-stream",
                    ),
                    **_UNKNOWN,
                    "503": _answer("As many listen as this server allows, or the database does not answer."),
                },
                parameters=[
                    *_path("project"),
                    _query("seq", _COUNT, "The version that the caller has."),
                    {"name": "Last-Event-ID", "in": "header", "schema": _TEXT, "description": "The same."},
                ],
            )
        },
    }


def _job_files() -> Schema:
    """Return the exports of the list of jobs, of a job and of its curves."""
    kinds = (("csv", _TEXT, "text/csv"), ("json", None, _JSON), ("md", _TEXT, "text/markdown"))
    statuses = {"enum": ["running", "stalled", "untested", "done", "failed"]}
    filters = [*_FILTERS, _query("status", _list(statuses), "Only jobs in this status; can be repeated.")]
    unknown = {"404": _answer("No event has named this job, or this project.")}
    paths: Schema = {}
    for ending, text, media_type in kinds:
        for path, what, schema, answers, parameters in (
            ("jobs", "Every job that passes the filters.", "AllJobs", {**_BAD_VIEW, **_UNKNOWN}, filters),
            ("jobs/{batch_id}/{job_id}/job", "A job without its curves.", "Job", unknown, None),
            ("jobs/{batch_id}/{job_id}/epochs", "The curves of a job.", "Epochs", unknown, None),
        ):
            own = _path("project") if parameters is not None else _path("project", "batch_id", "job_id")
            answer = _answer(what, text or _ref(schema), media_type)
            paths[f"/p/{{project}}/{path}.{ending}"] = {
                "get": _operation(
                    what,
                    {"200": answer, **answers, "503": _BUSY},
                    parameters=[*own, *(parameters or ())],
                )
            }
    return paths


def _compared(language: str, content: Schema, media_type: str) -> Schema:
    answers = {
        "200": _answer("Every row, those that are alike too.", content, media_type),
        **_BAD_VIEW,
        "404": _answer("No event has named one of these jobs, or this project."),
        "503": _BUSY,
    }
    job = _query("job", _list(_TEXT), "BATCH/JOB, both percent-encoded; 2 to 8 of them.")
    return {
        "get": _operation(
            f"Return jobs side by side, as {language}.", answers, parameters=[*_path("project"), job]
        )
    }


def _why(summary: str, parameters: list[Schema]) -> Schema:
    unknown = _answer(
        "No event has named this job, or this project.", {"anyOf": [_ref("Why"), _ref("Problem")]}
    )
    answers = {"200": _answer("Every check, in order.", _ref("Why")), **_BAD_VIEW, "404": unknown}
    return {"get": _operation(summary, {**answers, "503": _BUSY}, parameters=[*parameters, *_VIEW])}


def _check() -> Schema:
    answers = {"200": _answer("The decision.", _ref("Check")), **_BAD_VIEW, **_UNKNOWN, "503": _BUSY}
    parameters = [
        *_path("project"),
        {**_query("model", _TEXT, "The model in question."), "required": True},
        _query("baseline", _TEXT, "What it is compared with; without it, the project's."),
        _query("metric", _TEXT, "Without it, the one that ranks the project."),
        _query("max_regress", _TEXT, "How much worse is allowed: 1% of the baseline's mean, or 0.002."),
        _query("dataset", _list(_TEXT), "Only these datasets."),
        _query("batch", _list(_TEXT), "Only the model's jobs of these batches."),
        _query("baseline_batch", _list(_TEXT), "Only the baseline's jobs of these batches."),
        _query("paired", {"enum": ["0", "1"]}, "Whether jobs of equal seeds are compared."),
    ]
    return {
        "get": _operation(
            "Say whether a model is worse than its baseline by more than allowed, and than seeds explain.",
            answers,
            parameters=parameters,
        )
    }


def _outlook() -> Schema:
    answers = {"200": _answer("Bounds and runs.", _ref("Outlook")), **_BAD_VIEW, **_UNKNOWN, "503": _BUSY}
    summary = "Say between what the ranks of models will end, and which run would tell the most."
    return {"get": _operation(summary, answers, parameters=[*_path("project"), *_VIEW])}


def _doctor() -> Schema:
    answers = {"200": _answer("Findings and remedies.", _ref("Doctor")), **_UNKNOWN, "503": _BUSY}
    summary = "Say what looks wrong in the values of a project, with evidence and remedy."
    return {"get": _operation(summary, answers, parameters=_path("project"))}


def _operations() -> Schema:
    return {
        "/healthz": {
            "get": _operation(
                "Say that the process lives.", {"200": _answer("Yes.", _ref("Status"))}, is_open=True
            )
        },
        "/readyz": {
            "get": _operation(
                "Say whether requests should be sent here.",
                {"200": _answer("Yes.", _ref("Status")), "503": _answer("No, and why.", _ref("Status"))},
                is_open=True,
            )
        },
        "/metrics": {
            "get": _operation(
                "The numbers of this process, for Prometheus.",
                {"200": _answer("They need a token to read every project.", _TEXT, "text/plain")},
            )
        },
    }


def document() -> dict[str, Any]:
    """Return the whole document."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Argus", "version": SCHEMA_VERSION},
        "paths": {**_ingest(), **_beside_the_events(), **_reading(), **_operations()},
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "em_live_…"}},
        },
        "security": [{"token": []}],
    }
