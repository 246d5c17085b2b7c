"""The gate over HTTP: may this model replace its baseline? `argus check` asks it in a pull request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import msgspec
from litestar import Response, get

from argus_server.errors import BadView, UnknownBatch
from argus_server.pages.asking import READ, AnyRequest, asked_view, name_in, queries_of
from argus_server.pages.doctor import doubts_about, with_doubts
from argus_server.ranking.gate import ALPHA, Check, Margin, Sample, check, sample_of
from argus_server.ranking.rank import Ranking
from argus_server.ranking.similar import nearest_name
from argus_server.ranking.view import View, column_id, metric_of
from argus_server.storage.batches import BatchFilter, BatchSummary
from argus_server.storage.queries import Queries
from argus_server.threads import in_thread

__all__ = ["CHECK_ROUTES"]

_EXIT_CODES = {"pass": 0, "regression": 1, "undecided": 2}
_BATCHES_NAMED = 5


@get("/api/projects/{project:str}/check", guards=READ)
@in_thread
def check_json(request: AnyRequest) -> Response[bytes]:
    """Say whether a model is worse than its baseline by more than allowed, and than seeds explain.

    `model=`, `metric=` (also another name of it in the settings), `baseline=` (default: the project's),
    `max_regress=` (1%), `dataset=`; `batch=` and `baseline_batch=` choose the jobs of each; `paired=1`
    compares equal seeds.
    """
    name, view, asked = name_in(request, "project"), asked_view(request), request.query_params
    margin = Margin.parse(asked.get("max_regress") or "1%")
    model = view.model[0] if len(view.model) == 1 else ""
    if not model:
        raise BadView("model= is missing: the model in question, one")
    ours = View(dataset=view.dataset, batch=view.batch)
    theirs = replace(ours, batch=tuple(value for value in asked.getall("baseline_batch", []) if value))
    for parameter, wanted_batches in (("batch", ours.batch), ("baseline_batch", theirs.batch)):
        _require_batches(queries_of(request), name, parameter, wanted_batches)
    with queries_of(request).board(name, ours) as board:
        settings = board.settings
        wanted = settings.canonical(metric_of(view.metric))
        ranking = Ranking(replace(ours, metric=column_id(wanted) if wanted else ""), board)
        metric, higher = ranking.metric, ranking.ranks_higher
        if metric is None or wanted not in ("", metric):
            sent = sample_of(board, model, wanted, view.dataset)
            known = f"; {model}: {sent.sent()}" if sent.others else ""
            raise BadView(f"metric={view.metric}: no job of this project has reported it{known}")
        if higher is None:
            raise BadView(
                f"metric={metric} does not rank: say in the settings whether less or more is better"
            )
        sample = sample_of(board, model, metric, view.dataset)
        doubts = doubts_about(board, [metric])
    baseline = view.baseline or settings.baseline or ""
    if not baseline:
        raise BadView("baseline= is missing, and the project has none")
    if baseline == model and ours.batch == theirs.batch:
        raise BadView(f"model={model} is its own baseline; tell the two apart with batch= or baseline_batch=")
    with queries_of(request).board(name, theirs) as board:
        reference = sample_of(board, baseline, metric, view.dataset)
        doubts = doubts or doubts_about(board, [metric])
    decided = check(
        sample,
        reference,
        margin,
        higher=higher,
        resolution=settings.resolution(metric),
        paired=asked.get("paired", "") not in ("", "0"),
    )
    head = {"project": name, "metric": metric, "direction": "higher" if higher else "lower"}
    unknown = _unknown_models(queries_of(request), name, (sample, reference))
    notes = {"notes": with_doubts(unknown, doubts)}
    return Response(
        msgspec.json.encode(head | _plain(decided, sample, reference, margin) | notes),
        media_type="application/json",
    )


def _unknown_models(queries: Queries, project: str, samples: Sequence[Sample]) -> list[str]:
    """Say which of these models no done job of the project has, and what is called nearly so."""
    missing = [sample.model for sample in samples if not sample.values and not sample.others]
    if not missing:
        return []
    with queries.board(project, View()) as board:
        known = [name for name, _ in board.names("model")]
    return [
        f"No done job of this project has a model “{model}”"
        + (f"; there is one called “{near}”." if (near := nearest_name(model, known)) else ".")
        for model in missing
        if model not in known
    ]


def _require_batches(queries: Queries, project: str, parameter: str, wanted: Sequence[str]) -> None:
    """Refuse an id that no batch of the project has; a gate without data would wait for evidence for ever."""
    for batch_id in wanted:
        try:
            queries.batch(project, batch_id)
        except UnknownBatch:
            known = queries.batches(project, BatchFilter(page_rows=_BATCHES_NAMED)).batches
            said = f"{parameter}={batch_id}: there is no such batch; its id is asked for, not its name"
            if known:
                said += f". The latest ids: {', '.join(map(_named, known))}"
            raise BadView(said) from None


def _named(batch: BatchSummary) -> str:
    return batch.batch_id + (f" (“{batch.name}”)" if batch.name not in (None, "", batch.batch_id) else "")


def _plain(decided: Check, model: Sample, baseline: Sample, margin: Margin) -> dict[str, Any]:
    return {
        "model": model.model,
        "baseline": baseline.model,
        "max_regress": str(margin),
        "unit": "share" if margin.is_share else "raw",
        "alpha": ALPHA,
        **asdict(decided),
        "exit_code": _EXIT_CODES[decided.verdict],
    }


CHECK_ROUTES = [check_json]
