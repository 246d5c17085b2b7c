"""The metric doctor: what it finds, what it leaves alone, and what a remedy does."""

import re

import pytest
from unit.server.test_ranking import board_of, done
from unit.server.wire import event, job

from argus_core.conventions import Convention
from argus_server.ranking.board import MemoryBoard
from argus_server.ranking.doctor import examine, remedies, treat, untreat
from argus_server.ranking.registry import Settings
from argus_server.ranking.table import DoneJob, MetricKey


def jobs(key, *values, batch="b", dataset="d"):
    return [
        DoneJob(batch, f"{batch}{dataset}{i}", f"m{i}", dataset, batch, {key: value}, i)
        for i, value in enumerate(values)
    ]


def found(some, *, keys=None, declared=None):
    return [(item.kind, item.keys) for item in examine(board_of(some, keys=keys), declared)]


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("MSE", "mse"),
        ("MSE", "test_MSE"),
        ("accuracy", "acc"),
        ("my_score", "my-score"),
        ("my_score", "My Score"),
        ("frobnication", "frobnicaton"),
        ("frobnication", "frobniction"),
    ],
)
def test_two_spellings_of_one_name_are_found_and_become_one(a, b):
    board = board_of([done("x", a, **{a: 0.5}), done("y", b, **{a: 0.6}), done("z", b, "e", **{b: 0.7})])

    (finding,) = examine(board)

    assert (finding.kind, finding.keys) == ("alike", (a, b))
    assert (finding.remedy.key, finding.remedy.alias_of) == (b, a)
    assert {(one.job_id, one.key) for one in finding.evidence} == {("x", a), ("y", a), ("z", b)}


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("MSE", "MAE"),
        ("rouge1", "rouge2"),
        ("hits_at_10", "hits_at_20"),
        ("top1", "top5"),
        ("f1_macro", "f1_micro"),
        ("mAP@0.5", "mAP@0.75"),
        ("Latency_P95", "Latency_P99"),
    ],
)
def test_names_that_only_look_alike_are_left_alone(a, b):
    assert found([done("x", **{a: 0.5}), done("y", "m2", **{b: 0.6})]) == []


def test_names_that_one_job_sends_with_two_values_are_two_metrics():
    assert found([done("x", val_MSE=0.5, MSE=0.6)]) == []
    assert found([done("x", val_MSE=0.5, MSE=0.5)]) == [("alike", ("MSE", "val_MSE"))]


def test_milliseconds_among_seconds_are_found_by_batch_or_else_by_size():
    seconds = jobs("Latency_P50", 0.031, 0.042, 0.035, 0.05)
    (by_batch,) = examine(board_of(seconds + jobs("Latency_P50", 33.0, 41.0, batch="ms")))

    assert "2 of 6 values of Latency_P50 look like milliseconds" in by_batch.fact
    assert by_batch.remedy.correction.batches == ("ms",)
    assert by_batch.remedy.correction.factor == pytest.approx(0.001)
    (by_size,) = examine(board_of(seconds + jobs("Latency_P50", 33.0, dataset="e")))
    one = by_size.remedy.correction
    assert (one.batches, 0.05 < one.over < 33.0) == ((), True)


def test_bytes_among_megabytes_are_1024_squared_and_gigabytes_are_raised():
    (down,) = examine(board_of(jobs("Model_Size", 10.0, 12.0, 11.0, 10.5 * 1024**2)))
    (up,) = examine(board_of(jobs("GPU_Memory", 4096.0, 5000.0, 4500.0, 4.4)))

    assert down.remedy.correction.factor == pytest.approx(1 / 1024**2)
    assert up.remedy.correction.factor == 1024
    assert up.remedy.correction.under is not None


def test_a_share_beside_a_percentage_is_found():
    (finding,) = examine(board_of(jobs("accuracy", 0.93, 0.91, 0.88, 93.0)))

    assert finding.kind == "scale"
    assert finding.remedy.correction.factor == pytest.approx(0.01)
    assert {one.value for one in finding.evidence} >= {"93.0", "0.93"}


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("Latency_P50", (0.03, 0.3, 3.0, 30.0)),  # a wide range, without a gap
        ("Latency_P50", (0.03, 0.04, 0.9)),
        ("accuracy", (93.0, 91.0, 88.0)),
        ("accuracy", (0.0, 0.5, 1.0)),
        ("MSE", (0.01, 0.02, 15.0, 16.0)),
        ("loss", (-1.0, 0.5)),
        ("R2", (-5.0, 0.9)),
    ],
)
def test_values_that_may_well_be_are_left_alone(key, values):
    assert found(jobs(key, *values)) == []


def test_what_cannot_be_is_found_and_a_turned_sign_is_turned_back():
    (all_negative,) = examine(board_of(jobs("MSE", -0.5, -0.6)))
    (one_batch,) = examine(board_of(jobs("MSE", 0.5, 0.6) + jobs("MSE", -0.5, batch="c")))
    (mixed,) = examine(board_of(jobs("MSE", 0.5, -0.6)))

    assert all_negative.remedy.correction.factor == -1
    assert one_batch.remedy.correction.batches == ("c",)
    assert mixed.remedy is None
    assert found(jobs("R2", 0.5, 1.5)) == [("impossible", ("R2",))]


def test_two_directions_are_found_until_the_project_sets_one():
    some = jobs("MSE", 0.5)
    keys = [MetricKey("MSE", 1, Convention("", "higher", "quality"))]

    assert found(some, keys=keys) == [("direction", ("MSE",))]
    assert found(some, declared={"MSE": ["lower", "higher"]}) == [("direction", ("MSE",))]
    assert found(some, declared={"MSE": ["lower", "unknown"]}) == []


def test_a_storm_of_nan_is_found_by_batch():
    calm = jobs("MSE", *[0.5] * 10)
    storm = jobs("MSE", "NaN", "Infinity", "NaN", 0.5, batch="storm")

    (finding,) = examine(board_of(calm + storm))

    assert (finding.kind, finding.remedy) == ("diverged", None)
    assert "3 of 4 jobs of the batch storm" in finding.fact
    assert found(calm + jobs("MSE", "NaN", "NaN", batch="c")) == []


def test_a_remedy_mends_what_was_found_and_can_be_taken_back():
    some = jobs("Latency_P50", 0.03, 0.04, 0.05) + jobs("Latency_P50", 33.0, batch="ms")
    (finding,) = examine(board_of(some))

    treated = treat(Settings(), finding.remedy)

    assert remedies(treated) == [finding.remedy]
    settled = [
        DoneJob(j.batch_id, j.job_id, j.model, j.dataset, j.seed, treated.settle(j.metrics, j.batch_id), 0)
        for j in some
    ]
    keys = [MetricKey("Latency_P50", 4, None, treated.metric("Latency_P50"))]
    assert examine(MemoryBoard("p", keys, settled, treated)) == []
    assert settled[-1].metrics["Latency_P50"] == pytest.approx(0.033)
    assert untreat(treated, finding.remedy) == Settings()


def test_a_look_at_some_jobs_of_every_model_finds_what_is_common():
    some = [job for n in range(50) for job in jobs("MSE", 0.5, 0.6, batch=f"b{n}")]
    some += [job for n in range(50) for job in jobs("mse", 0.5, 0.6, batch=f"c{n}")]

    (finding,) = examine(board_of(some), most_jobs=10)

    assert finding.kind == "alike"
    assert examine(board_of([]), most_jobs=10) == []


def test_one_click_applies_a_remedy_and_another_takes_it_back(server):
    server.store.add_events([*job("j", "m1", MSE=0.5), *job("k", "m2", mse=0.25), *job("l", "m3", MSE=0.7)])
    log = server.store.count_events()

    def press(**fields):
        page = server.page("/p/p/doctor")
        token = re.search(r'form_token" value="(\w+)"', page)[1]
        return server.request("POST", "/p/p/doctor", data={"form_token": token, **fields})

    board = server.page("/p/p/leaderboard")
    assert "Metric doctor: something looks wrong</a>" in board
    page = server.page("/p/p/doctor")
    assert "MSE and mse look like one metric; they were sent 2 times and once." in page
    (finding,) = server.get("/p/p/doctor.json").json()["findings"]
    assert press(apply=finding["id"]).status_code == 303
    rows = server.get("/p/p/leaderboard.json").json()
    assert [row["model"] for row in rows["rows"]] == ["m2", "m1", "m3"]
    assert "Metric doctor" not in server.page("/p/p/leaderboard")
    after = server.get("/api/projects/p/doctor").json()
    assert (after["findings"], after["remedies"][0]["text"]) == ([], "Count mse as MSE")
    undo = re.search(r'name="undo" value="(\w+)"', server.page("/p/p/doctor"))[1]
    assert press(undo=undo).status_code == 303
    assert len(server.get("/p/p/doctor.json").json()["findings"]) == 1
    assert press(apply="nothing").status_code == 422
    assert server.store.count_events() == log
    assert server.request("POST", "/p/p/doctor", data={"apply": finding["id"]}).status_code == 403


def test_directions_that_jobs_declared_differently_are_read_from_the_log(server):
    for name, direction in (("j", "lower"), ("k", "higher")):
        said = {"score": {"direction": direction}}
        server.store.add_events([event("job_done", name, metrics={"score": 1.0}, metric_conventions=said)])

    (finding,) = server.get("/p/p/doctor.json").json()["findings"]

    assert (finding["kind"], finding["keys"]) == ("direction", ["score"])
