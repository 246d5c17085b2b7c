"""Why a job is on the leaderboard, or is not."""

import pytest
from unit.server.test_ranking import board_of, done
from unit.server.wire import body, epoch, event, job, start

from argus_core.conventions import Convention
from argus_server.ranking.rank import rank
from argus_server.ranking.table import MetricKey
from argus_server.ranking.view import Condition, View
from argus_server.ranking.why import JobFacts, not_arrived, why

OTHERS = [
    done("a", "m1", "d1", MSE=0.1, Latency_P50=0.03),
    done("b", "m2", "d1", MSE=0.2, Latency_P50=0.04),
    done("c", "m1", "d2", MSE=0.3, Latency_P50=0.05),
]


def asked(job, status="done", **more):
    known = {
        name: getattr(job, name) for name in ("batch_id", "job_id", "model", "dataset", "seed", "metrics")
    }
    return JobFacts(**known, status=status, fast_dev_run=job.fast_dev_run, **more)


def answer(one, view=None, others=(), **more):
    view = view or View()
    on_board = [*OTHERS, *others] + ([one] if more.get("status", "done") == "done" else [])
    return why(view, board_of(on_board, view), asked(one, **more))


def bad(found):
    return [(line.name, line.fact) for line in found.lines if line.verdict == "bad"]


def test_a_job_that_ranks_is_told_where():
    found = answer(done("x", "m3", "d1", MSE=0.15))

    assert (found.ranked, found.listed, found.rank) == (True, True, 2)
    assert found.summary == "It ranks 2 among the jobs on d1 by MSE."
    assert [line.name for line in found.lines] == ["arrived", "status", "metric", "coverage", "rank"]


@pytest.mark.parametrize(
    ("job", "more", "name", "said"),
    [
        (done("x"), {"status": "running", "epochs": 1}, "status", "It is running, 1 epoch so far."),
        (done("x"), {"status": "untested", "epochs": 5}, "status", "trained 5 epochs, and test() was never"),
        (done("x"), {"status": "stalled", "epochs": 2}, "status", "stalled after 2 epochs"),
        (done("x"), {"status": "failed", "reason": "OOM"}, "status", "failed after 0 epochs: OOM"),
        (done("x"), {"status": "failed", "interrupted": True}, "status", "was interrupted"),
        (done("x", fast=True, MSE=0.1), {}, "fast_dev_run", "measures nothing"),
        (done("x", mse=0.1), {}, "metric", "sent “mse”, the board ranks “MSE”"),
        (done("x", test_mse=0.1), {}, "metric", "sent “test_mse”, the board ranks “MSE”"),
        (done("x", MAE=0.1), {}, "metric", "reported no MSE; it reported MAE."),
        (done("x"), {}, "metric", "reported no metric"),
        (done("x"), {"epoch_names": frozenset({"MSE"})}, "metric", "MSE is in job_epoch"),
        (done("x", MSE="NaN"), {}, "metric", "MSE is NaN"),
        (done("x", MSE="Infinity"), {}, "metric", "MSE is infinite"),
        (done("x", MSE=True), {}, "metric", "is no number"),
        (done("x", MSE="n/a"), {}, "metric", "“n/a”, which is no number"),
    ],
)
def test_each_reason_has_a_line_with_the_fact_and_its_fix(job, more, name, said):
    found = answer(job, **more)

    (line,) = [line for line in found.lines if line.verdict == "bad"]
    assert line.name == name
    assert said in line.fact
    assert line.fix
    assert line.fact in found.summary
    assert (found.ranked, found.rank) == (False, None)


@pytest.mark.parametrize(
    ("framework", "call"),
    [
        ("keras", "model.evaluate(x_test, y_test, callbacks=[callback])"),
        ("lightning", "trainer.test("),
        ("transformers", "trainer.evaluate(test)"),
        ("own", "job.done({...})"),
        (None, "job.done({...})"),
    ],
)
def test_an_untested_job_is_told_the_call_of_its_framework(framework, call):
    found = answer(
        done("x"), status="untested", epochs=3, framework=framework, epoch_names=frozenset({"MSE"})
    )

    (line,) = [line for line in found.lines if line.verdict == "bad"]
    assert call in line.fix


def test_a_job_that_failed_is_not_blamed_for_a_metric_in_its_epochs():
    found = answer(done("x"), status="failed", reason="OOM", epochs=3, epoch_names=frozenset({"MSE"}))

    (line,) = [line for line in found.lines if line.verdict == "bad"]
    assert line.name == "status"
    assert "job_id=" in line.fix
    assert "ARGUS_BATCH_ID" in line.fix


@pytest.mark.parametrize(
    ("metrics", "named", "sort"),
    [
        ({"Avg_Batch_Time": 0.1, "epochs": 1, "zeta": 0.4, "accuracy": 0.9}, "accuracy, zeta", "accuracy"),
        ({"Latency_P50": 0.1, "epochs": 1, "Model_Size": 3}, "Latency_P50, Model_Size", "Latency_P50"),
    ],
)
def test_metrics_of_quality_are_offered_before_costs(metrics, named, sort):
    found = answer(done("x", **metrics))

    (line,) = [line for line in found.lines if line.verdict == "bad"]
    assert f"reported no MSE; it reported {named}." in line.fact
    assert sort in dict(line.query)["sort"]


def test_a_result_on_the_validation_set_is_doubted_and_still_ranks():
    found = answer(done("x", MSE=0.1), on_validation=True)

    assert found.ranked
    (line,) = [line for line in found.lines if line.name == "validation"]
    assert (line.verdict, "on the validation set" in line.fact) == ("warning", True)


def test_a_later_job_with_the_same_model_dataset_and_seed_is_named_and_linked():
    found = answer(
        done("x", "m9", "d1", "1", at=1, MSE=0.1), others=[done("y", "m9", "d1", "1", at=2, MSE=0.2)]
    )

    (line,) = [line for line in found.lines if line.verdict == "bad"]
    assert line.name == "superseded"
    assert "“y” of the batch “b”" in line.fact
    assert line.path == ("jobs", "b", "y")
    assert found.listed


@pytest.mark.parametrize(
    ("view", "said"),
    [
        (View(model=("m1", "m2")), "model=m1 or model=m2"),
        (View(dataset=("d2",)), "dataset=d2"),
        (View(seed=("7",)), "seed=7"),
        (View(q="zzz"), "q=zzz"),
        (View(where=(Condition.parse("MSE<0.01"),)), "where=MSE<0.01"),
    ],
)
def test_a_filter_that_hides_the_job_is_named_with_the_way_out(view, said):
    found = answer(done("x", "m3", "d1", MSE=0.15), view)

    (line,) = [line for line in found.lines if line.verdict == "bad"]
    assert (line.name, found.listed) == ("filter", False)
    assert said in line.fact
    assert line.query == ()


def test_a_filter_that_the_job_passes_is_no_reason():
    view = View(model=("m3",), q="x")

    assert answer(done("x", "m3", "d1", MSE=0.15), view).ranked


def test_a_model_that_lacks_a_dataset_is_not_ranked_over_all_of_them():
    one = done("x", "m3", "d1", MSE=0.15)

    (line,) = [line for line in answer(one, View(group="model")).lines if line.name == "coverage"]
    assert (line.verdict, line.fact) == ("bad", "m3 has MSE on 1 of 2 datasets; it lacks d2.")
    (line,) = [
        line for line in answer(one, View(group="model", missing="shared")).lines if line.name == "coverage"
    ]
    assert line.verdict == "warning"


def test_only_the_datasets_of_the_view_count_and_only_those_that_any_model_has():
    one = done("x", "m3", "d1", MSE=0.15)
    lost = done("y", "m1", "d9", MSE="NaN")

    found = answer(one, View(group="model", dataset=("d1",)))
    assert found.ranked
    assert "coverage" not in [line.name for line in found.lines]
    assert "coverage" not in [line.name for line in answer(one, View(dataset=("d1",))).lines]
    for view in (View(), View(group="model")):
        (line,) = [line for line in answer(one, view, others=[lost]).lines if line.name == "coverage"]
        assert "1 of 2 datasets; it lacks d2." in line.fact


def test_another_seed_that_diverged_is_told_and_takes_the_mean_away():
    one, other = done("x", "m1", "d1", "1", MSE=0.15), done("y", "m1", "d1", "2", MSE="NaN")
    fact = "1 of 2 jobs of m1 on d1 diverged: “y”. A mean over all of them is no number, and has no rank."
    alone = [done("z", "m2", "d1", "1", MSE=0.2)]

    def lines(view, *others):
        board = board_of([one, *alone, *others], view)
        found = why(view, board, asked(one))
        return found, {line.name: (line.verdict, line.fact) for line in found.lines}

    found, said = lines(View(), other)
    assert said["seeds"] == ("warning", fact)
    assert (found.ranked, found.rank) == (True, 1)
    for group in ("cell", "model"):
        found, said = lines(View(group=group), other)
        assert said["seeds"] == ("bad", fact)
        assert not found.ranked
    assert said["coverage"] == ("bad", "m1 has MSE on 0 of 1 datasets; a job of it diverged on d1.")
    found, said = lines(View(group="model", seeds="best"), other)
    assert (said["seeds"][0], "coverage" in said, found.ranked) == ("warning", False, True)
    assert "seeds" not in lines(View(group="model", seed=("1",)), other)[1]
    again = done("w", "m1", "d1", "2", at=9, MSE=0.3)
    assert "seeds" not in lines(View(), other, again)[1]


def test_models_are_ranked_by_their_metric_whichever_column_sorts_them():
    found = answer(done("x", "m1", "d1", "5", MSE=0.15), View(group="model", sort="Latency_P50"))

    assert found.summary == "Its model, m1, ranks 1 of 1 over all datasets by MSE."


def test_the_place_is_that_of_what_the_view_ranks():
    def rank_in(view):
        found = why(view, board_of([*jobs, done("b", "b", "d1", MSE=1.0)], view), asked(jobs[0]))
        return found.rank, found.summary

    jobs = [done(f"a{seed}", "a", "d1", str(seed), MSE=value) for seed, value in enumerate((0.1, 9.0, 9.0))]
    assert rank_in(View()) == (1, "It ranks 1 among the jobs on d1 by MSE.")
    assert rank_in(View(group="cell")) == (2, "Its cell, a on d1, ranks 2 among the cells on d1 by MSE.")
    assert rank_in(View(group="cell", seeds="best"))[0] == 1
    assert rank_in(View(group="model")) == (2, "Its model, a, ranks 2 of 2 over all datasets by MSE.")

    jobs.append(done("late", "a", "d1", "3", at=9, MAE=1.0))
    assert rank_in(View(group="cell", seeds="last")) == (
        None,
        "On the leaderboard, without a rank: Its cell, a on d1, has no MSE that could rank.",
    )


@pytest.mark.parametrize("missing", ["complete", "shared", "pairwise", "impute:worst"])
def test_the_place_of_a_model_is_that_of_its_row_under_every_policy(missing):
    jobs = [done("a", "a", "d1", MSE=1.0), done("b", "b", "d2", MSE=2.0), done("c", "c", "d1", MSE=3.0)]
    view = View(group="model", missing=missing)
    places = {row.model: row.rank for row in rank(view, board_of(jobs, view)).rows}

    for one in jobs:
        found = why(view, board_of(jobs, view), asked(one))
        assert (found.rank, found.ranked) == (places.get(one.model), one.model in places)


@pytest.mark.parametrize("name", ["model", "dataset"])
def test_a_job_that_does_not_say_what_it_is_has_a_place_among_jobs_alone(name):
    labels = {"model": "m1", "dataset": "d1", name: None}
    one = done("x", **labels, seed="9", MSE=0.01)

    for group in ("model", "cell"):
        found = answer(one, View(group=group))
        assert (bad(found), found.rank) == (
            [("names", f"It names no {name}, and is compared with nothing.")],
            None,
        )
        assert "coverage" not in [line.name for line in found.lines if name == "model"]
    found = answer(one)
    (line,) = [line for line in found.lines if line.name == "names"]
    assert (line.verdict, found.rank) == ("warning", 1)


def test_jobs_of_a_project_that_names_no_dataset_are_compared():
    jobs = [done("a", "a", None, MSE=1.0), done("b", "b", None, MSE=2.0)]

    for group, place in (("job", 2), ("cell", 2), ("model", 2)):
        view = View(group=group)
        assert why(view, board_of(jobs, view), asked(jobs[1])).rank == place


def test_a_direction_that_nobody_knows_keeps_every_job_from_a_rank():
    one = done("x", frobnication=1.0)

    (line,) = [line for line in answer(one, View(sort="frobnication")).lines if line.verdict == "bad"]

    assert line.name == "direction"
    assert "not known" in line.fact
    declared = MetricKey("frobnication", 1, Convention("", "higher", "quality"))
    board = board_of([one], keys=[declared])
    assert why(View(), board, asked(one)).rank == 1


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        ({"Latency_P50": 35.0}, "Latency_P50 = 35.0 looks like milliseconds; Latency_P50 is in seconds."),
        ({"accuracy": 93.0}, "accuracy = 93.0 looks like percent; accuracy is in a fraction of 1."),
        ({"Latency_P50": 0.06}, None),
        ({"accuracy": 0.93}, None),
    ],
)
def test_a_value_that_looks_like_another_unit_is_doubted_and_still_ranks(metrics, said):
    found = answer(done("x", "m3", "d1", MSE=0.15, **metrics))

    assert found.ranked
    assert [line.fact for line in found.lines if line.name == "unit"] == ([said] if said else [])


def test_a_job_that_never_arrived_is_compared_with_those_that_did():
    found = not_arrived("b", "Job_1", ["job-1", "other"])

    assert not found.ranked
    assert "There is one “job-1”" in found.summary
    assert "argus doctor" in found.lines[0].fix


def test_a_job_that_is_asked_for_without_the_end_of_its_id_is_found_nearly():
    found = not_arrived("", "patchtst-etth1-0", ["other", "patchtst-etth1-0-69713f5d"])

    assert "There is one “patchtst-etth1-0-69713f5d”" in found.summary


# --- over HTTP --------------------------------------------------------------------------------


def test_page_and_api_tell_the_same(server):
    source = {"project": "p", "host": "node-77"}
    server.send(body("job_start", "lost", model="m", dataset="d"), body("job_epoch", "lost", at=1, epoch=0))
    server.send({**body("job_failed", "lost", at=2, reason="CUDA <oom>"), "source": source})
    server.store.add_events(
        [*job("j", MSE=0.5), *job("k", "m2", mse=0.4), start("r"), epoch("r", 0, val_loss=1)]
    )
    said = event("job_done", "v", at=1, metrics={"MSE": 0.9}, final_on_validation=True)
    server.store.add_events([start("v", "m3"), said])
    server.store.add_events([start("u", framework="keras", batch="b2")])
    server.store.add_events([event("batch_done", batch="b2", at=5)])

    ranked = server.get("/api/projects/p/jobs/b/j/why").json()
    assert (ranked["ranked"], ranked["rank"], ranked["lines"][-1]["link"]) == (
        True,
        1,
        "/p/p/leaderboard?dataset=d",
    )
    untested = server.get("/api/projects/p/why/u").json()
    assert "callbacks=[callback]" in untested["lines"][1]["fix"]
    validated = server.get("/api/projects/p/why/v").json()
    assert "validation" in [line["name"] for line in validated["lines"] if line["verdict"] == "warning"]
    unlike = server.get("/api/projects/p/why/k").json()
    assert (unlike["batch_id"], unlike["listed"], unlike["ranked"]) == ("b", True, False)
    assert "you sent" not in unlike["summary"]
    assert "sent “mse”, the board ranks “MSE”" in unlike["summary"]
    filtered = server.get("/api/projects/p/jobs/b/j/why?model=zzz&seed=0").json()
    (line,) = [line for line in filtered["lines"] if line["verdict"] == "bad"]
    assert line["link"] == "/p/p/leaderboard?seed=0"
    page = server.page("/p/p/jobs/b/k")
    assert "sent “mse”, the board ranks “MSE”" in page
    assert "<details open>" in page
    assert "It ranks 1 among the jobs on d by MSE." in server.page("/p/p/jobs/b/j")
    assert "CUDA &lt;oom&gt;" in server.page("/p/p/jobs/b/lost")

    server.store.credentials.set_public("p", is_public=True)
    seen = server.get("/api/projects/p/jobs/b/lost/why", scope=None)
    assert "failed after 1 epoch." in seen.text
    assert "oom" not in seen.text
    for query in ("host=node-77", "host=other", "user=eve", "group=model&host=other", "group=cell&user=eve"):
        plain = query.rpartition("&")[0]
        hidden = server.get(f"/api/projects/p/jobs/b/lost/why?{query}", scope=None)
        assert hidden.json() == server.get(f"/api/projects/p/jobs/b/lost/why?{plain}", scope=None).json()
    assert "host=other" in server.get("/api/projects/p/jobs/b/j/why?host=other").text
    missing = server.get("/api/projects/p/why/J").json()
    assert missing["status_code"] == 404
    assert "There is one “j”" in missing["error"]
