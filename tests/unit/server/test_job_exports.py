"""The list of jobs, a job and its curves in files: every row, and what the page shows."""

import csv
import io

import pytest
from unit.server.wire import body

SOURCE = {"project": "p", "host": "node-7", "user": "ada", "commit": "c0ffee", "command": "python train.py"}
JOB = "/p/p/jobs/b/%3D1%2B1"
KINDS = ("csv", "json", "md")


@pytest.fixture
def full(small_server):
    """Jobs of a server that shows two on a page."""
    events = []
    for i in range(5):
        name = f"j{i}" if i else "=1+1"
        events += [
            body(
                "job_start", name, at=i, model=f"m|{i}", dataset="d", seed=i, config={"lr": 0.1}, tags=["t"]
            ),
            *(body("job_epoch", name, at=n + 1, epoch=n, val_loss=1 / (n + 1), grad="NaN") for n in range(3)),
            body(
                "job_done",
                name,
                at=20 + i,
                metrics={"MSE": 0.1 + i / 3},
                elapsed_s=1.5,
                resources={"box": "r2d2"},
            ),
        ]
    events.append(body("job_failed", "broken", at=40, reason="ValueError: boom", error={"traceback": "deep"}))
    events.append(body("log_line", "=1+1", at=2, line="hello"))
    small_server.send(*({**event, "source": SOURCE} for event in events))
    return small_server


def rows_of(server, path, **more):
    answer = server.get(path, **more)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


def test_the_list_has_every_job_whatever_the_page_has(full):
    rows = rows_of(full, "/p/p/jobs.csv")
    plain = full.get("/p/p/jobs.json").json()
    markdown = full.get("/p/p/jobs.md").text.splitlines()

    assert len(full.get("/api/projects/p/jobs").json()["jobs"]) == 2
    assert [row["job_id"] for row in rows] == ["broken", "j4", "j3", "j2", "j1", "'=1+1"]
    assert [job["job_id"] for job in plain["jobs"]] == ["broken", "j4", "j3", "j2", "j1", "=1+1"]
    assert (plain["total"], plain["job_counts"]["done"]) == (6, 5)
    assert (rows[0]["reason"], rows[0]["host"], rows[-1]["elapsed_s"]) == (
        "ValueError: boom",
        "node-7",
        "1.5",
    )
    assert rows[1]["started_at"] == "2026-01-01T00:00:04Z"
    assert len(markdown) == 6 + 2
    assert "m\\|4" in markdown[3]


def test_filters_and_wrong_ones_hold_for_files_too(full):
    assert [row["status"] for row in rows_of(full, "/p/p/jobs.csv?status=failed")] == ["failed"]
    assert full.get("/p/p/jobs.json?seed=3").json()["total"] == 1
    for kind in KINDS:
        assert full.get(f"/p/p/jobs.{kind}?status=lost").status_code == 400
        assert f'href="/p/p/jobs.{kind}?status=done"' in full.page("/p/p/jobs?status=done&page=2")


def test_the_metrics_of_a_job_are_exported_with_their_places(full):
    (row,) = rows_of(full, f"{JOB}/job.csv")
    markdown = full.get(f"{JOB}/job.md").text

    assert (row["metric"], row["value"], row["direction"], row["n"]) == ("MSE", "0.1", "lower", "1")
    assert (row["place_among_models"], row["models"], row["place_among_seeds"]) == ("1", "5", "")
    assert "| MSE ↓ | 0.100 | 0.100 n=1 | – | 1 of 5 |" in markdown
    assert "| lr | 0.1 |" in markdown


def test_the_json_of_a_job_has_all_but_its_curves(full):
    plain = full.get(f"{JOB}/job.json").json()

    assert plain["config"] == {"lr": 0.1}
    assert (plain["host"], plain["command"], plain["commit"]) == ("node-7", "python train.py", "c0ffee")
    assert plain["metrics"][0]["value"] == 0.1
    assert [item["line"] for item in plain["log"]] == ["hello"]
    assert {item["kind"]: item["count"] for item in plain["events"]}["job_epoch"] == 3
    assert plain["tags"] == ["t"]
    assert full.get("/p/p/jobs/b/broken/job.json").json()["error"] == {"traceback": "deep"}
    assert full.get("/p/p/jobs/b/nobody/job.json").status_code == 404


def test_the_curves_are_exported_epoch_by_epoch(full):
    rows = rows_of(full, f"{JOB}/epochs.csv")
    markdown = full.get(f"{JOB}/epochs.md").text.splitlines()

    assert [row["val_loss"] for row in rows] == ["1.0", "0.5", repr(1 / 3)]
    assert [row["grad"] for row in rows] == ["NaN"] * 3
    assert rows[0]["timestamp"] == "2026-01-01T00:00:01Z"
    assert full.get(f"{JOB}/epochs.json").json() == full.get("/api/projects/p/jobs/b/%3D1%2B1/epochs").json()
    assert markdown[0] == "| epoch | timestamp | val\\_loss | grad |"
    assert len(markdown) == 3 + 2


def test_files_tell_visitors_no_more_than_the_page(full):
    full.store.credentials.set_public("p", is_public=True)
    paths = [f"/p/p/jobs.{kind}" for kind in KINDS]
    paths += [
        f"{job}/{name}.{kind}"
        for job in (JOB, "/p/p/jobs/b/broken")
        for name in ("job", "epochs")
        for kind in KINDS
    ]

    for path in paths:
        answer = full.get(path, scope=None)
        assert answer.status_code == 200, path
        for secret in ("node-7", "ada", "train.py", "boom", "deep", "hello", "r2d2"):
            assert secret not in answer.text, path
