"""Which jobs a list has, in what order, and what else it could be filtered for: beside a plain count."""

import itertools
import random
from collections import Counter

import pytest
from unit.server.wire import START, body

from argus_core.events import decode_event
from argus_server.storage.job_lists import ORDERS, JobFilter

VALUES = {
    "model": ["PatchTST", "DLinear", "100%_x", None],
    "dataset": ["ETTh1", "weather", None],
    "batch": ["night/1", "Day"],
    "seed": ["1", "2", None],
    "host": ["n1", "n2"],
    "user": ["ada", "bob"],
}
FIELDS = list(VALUES)
NOW = 80_000
STATUSES = ("running", "stalled", "untested", "done", "failed")
WANTED = [
    {},
    {"status": ("done",)},
    {"status": ("running",)},
    {"status": ("stalled", "failed")},
    {"status": ("untested",)},
    {"model": ("PatchTST", "100%_x")},
    {"model": ("PatchTST",), "status": ("done", "running")},
    {"dataset": ("ETTh1",), "seed": ("1", "2")},
    {"batch": ("Day",)},
    {"host": ("n1",), "user": ("ada",)},
    {"text": "%_"},
    {"text": "NIGHT", "model": ("DLinear",)},
    {"model": ("nobody",)},
]


def make_jobs():
    """Return jobs as plain dicts, in every status."""
    random.seed(11)
    for number in range(120):
        job = {name: random.choice(values) for name, values in VALUES.items()}
        job["job_id"] = f"job-{number:03}"
        job["status"] = random.choice(STATUSES)
        if job["status"] in ("untested", "stalled"):  # which of them it is, its batch decides
            job["status"] = "untested" if job["batch"] == "Day" else "stalled"
        job["begun"] = (NOW - 60 if job["status"] == "running" else 10) + number % 7
        job["took"] = random.choice([5, 50, 500])
        yield job


def events_of(job):
    ends = {"done": ("job_done", {"metrics": {}}), "failed": ("job_failed", {"reason": "boom"})}
    names = {name: job[name] for name in ("model", "dataset", "seed")}
    told = [body("job_start", job["job_id"], at=job["begun"], batch=job["batch"], **names)]
    if job["status"] in ends:
        kind, data = ends[job["status"]]
        more = {**data, "elapsed_s": job["took"]}
        told.append(body(kind, job["job_id"], at=job["begun"] + 1, batch=job["batch"], **more))
    for one in told:
        one["source"] |= {"host": job["host"], "user": job["user"]}
        yield decode_event(one)


@pytest.fixture
def jobs(store):
    """A filled store, and what it was filled with; the batch `Day` is over."""
    jobs = list(make_jobs())
    store.add_events([one for job in jobs for one in events_of(job)])
    store.add_events([decode_event(body("batch_done", batch="Day", at=NOW - 300))])
    store.queries.clock = lambda: (START + NOW) * 1_000_000
    return jobs


def passes(job, wanted, without=""):
    text = wanted.get("text", "").lower()
    names = [job["model"], job["dataset"], job["job_id"], job["batch"]]
    return all(
        (job[name] or "") in values
        for name, values in wanted.items()
        if name in (*FIELDS, "status") and name != without
    ) and any(text in (name or "").lower() for name in names)


def test_lists_counts_and_facets_are_those_of_the_jobs_that_pass(store, jobs):
    for wanted in WANTED:
        expected = {job["job_id"]: job["status"] for job in jobs if passes(job, wanted)}
        others = [job["status"] for job in jobs if passes(job, wanted, without="status")]

        found = store.queries.jobs("p", JobFilter(**wanted, page_rows=None))
        facets = store.queries.job_facets("p", JobFilter(**wanted), FIELDS, 40)

        assert {job.job_id: job.status for job in found.jobs} == expected, wanted
        assert found.total == len(expected), wanted
        assert found.counts == {name: others.count(name) for name in STATUSES}, wanted
        assert [facet.name for facet in facets] == FIELDS
        for facet in facets:
            values = [job[facet.name] or "" for job in jobs if passes(job, wanted, without=facet.name)]
            assert facet.counts == Counter(values), (wanted, facet.name)
            assert facet.total == len(set(values)), (wanted, facet.name)


def test_pages_follow_one_another_in_each_order(store, jobs):
    by = {
        "latest": lambda job: -job.last_event_us,
        "oldest": lambda job: job.first_event_us,
        "longest": lambda job: -job.elapsed_s,
        "shortest": lambda job: job.elapsed_s,
    }
    for sort, status in itertools.product(ORDERS, ((), ("done", "failed"))):
        pages = [
            store.queries.jobs("p", JobFilter(status=status, sort=sort, page=page, page_rows=25)).jobs
            for page in range(1, 7)
        ]
        listed = [job for page in pages for job in page]
        whole = store.queries.jobs("p", JobFilter(status=status, sort=sort, page_rows=None)).jobs
        expected = {job["job_id"] for job in jobs if not status or job["status"] in status}

        assert listed == list(whole)
        assert {job.job_id for job in listed} == expected
        assert len(listed) == len(expected)
        if status or sort in ("latest", "oldest"):
            keys = [by[sort](job) for job in listed]
            assert keys == sorted(keys), sort


def test_those_that_run_have_taken_the_time_since_they_began(store, jobs):
    (first, *_) = store.queries.jobs("p", JobFilter(sort="longest", page_rows=3)).jobs

    assert first.status in ("stalled", "untested")


def test_a_facet_has_its_most_frequent_values_and_says_how_many_there_are(store, jobs):
    (facet,) = store.queries.job_facets("p", JobFilter(), ["model"], 2)
    (filtered,) = store.queries.job_facets("p", JobFilter(text="job"), ["model"], 2)

    counts = sorted(Counter(job["model"] for job in jobs).values(), reverse=True)
    assert list(facet.counts.values()) == counts[:2]
    assert (facet.total, filtered.total) == (4, 4)
    assert sorted(filtered.counts.values(), reverse=True) == counts[:2]
