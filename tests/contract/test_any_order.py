"""Any order, any repetition, any division into requests: real streams, by HTTP, on every database."""

import gzip
import itertools
import json
import random
import uuid
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from litestar.testing import TestClient
from thorough import examples
from unit.server.wire import NOW_US, body

from argus_server.app import create_app
from argus_server.ranking.rank import rank
from argus_server.ranking.view import View
from argus_server.settings import Settings
from argus_server.storage.batches import BatchFilter
from argus_server.storage.folding import FACETS
from argus_server.storage.queries import STATUSES, JobFilter, Queries

BEGIN = datetime(2026, 1, 1, tzinfo=timezone.utc)
VALUES = st.sampled_from([0.1, 0.25, 0.5, 0.5, 1e9, -0.0, 0, 3, "NaN", "Infinity", "text", True, None])
LABELS = {
    "model": ["PatchTST", "DLinear"],
    "dataset": ["ETTh1", "ETTh2", None],
    "seed": [0, 1, "1", 1.0, None],
}
CONVENTIONS = st.fixed_dictionaries(
    {"direction": st.sampled_from(["lower", "higher", "sideways"])}, optional={"unit": st.just("bits")}
)


class Stream:
    """Collects the events of one project as its senders report them, each later than the one before."""

    def __init__(self, draw, whole_seconds: bool) -> None:
        self._draw = draw
        self._step = timedelta(seconds=1) if whole_seconds else timedelta(milliseconds=250)
        self._whole = whole_seconds
        self.now = BEGIN
        self.events: list[dict] = []

    def draw(self, strategy):
        return self._draw(strategy)

    def tell(self, kind: str, batch: str, job: str | None = None, **data) -> None:
        """Report one event; senders of whole seconds often report several within one."""
        self.now += self._step * self.draw(st.integers(0, 2))
        number = len(self.events)
        self.events.append(
            {
                "event_id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{number * 7919 % 1009} {number}")),
                "schema_version": "1.1",
                "event_type": kind,
                "timestamp": self.now.isoformat(timespec="seconds" if self._whole else "microseconds"),
                "batch_id": batch,
                "job_id": job,
                "source": {"project": "", "host": self.draw(st.sampled_from(["n1", "n2"])), "user": "u"},
                "data": data,
            }
        )


def _attempt(stream: Stream, batch: str, job: str, first_epoch: int) -> None:
    """One attempt of a job: it may resume, and end well, badly or not at all."""
    labels = {name: stream.draw(st.sampled_from(values)) for name, values in LABELS.items()}
    dry = ["fast_dev_run"] if stream.draw(st.integers(0, 9)) == 0 else ["x"]
    stream.tell("job_start", batch, job, **labels, epochs_total=4, config={"lr": 0.1}, tags=dry)
    n_epochs = stream.draw(st.integers(0, 4))
    for epoch in range(first_epoch, first_epoch + n_epochs):
        stream.tell("job_epoch", batch, job, epoch=epoch, val_loss=stream.draw(VALUES.filter(_is_number)))
        if stream.draw(st.integers(0, 4)) == 0:
            stream.tell("log_line", batch, job, line="epoch over", level="INFO")
    end = stream.draw(st.sampled_from(["done", "done", "done", "failed", "interrupted", "nothing"]))
    if end == "done":
        names = st.sampled_from(["MSE", "MAE", "accuracy", "perplexity", "deep"])
        metrics = stream.draw(st.dictionaries(names, VALUES | st.just({"a": 0.5}), max_size=4))
        declared = stream.draw(st.dictionaries(names, CONVENTIONS, max_size=2))
        more = {"metric_conventions": declared} if declared else {}
        stream.tell("job_done", batch, job, metrics=metrics, elapsed_s=1.25, train_epochs=n_epochs, **more)
    elif end != "nothing":
        stream.tell("job_failed", batch, job, reason=f"{end}: boom", status=end, elapsed_s=2)
    if stream.draw(st.integers(0, 3)) == 0:  # the last words of a process whose end was reported for it
        stream.tell("job_epoch", batch, job, epoch=first_epoch + n_epochs, val_loss=0.75)


def _is_number(value) -> bool:
    return value in ("NaN", "Infinity", None) or (isinstance(value, (int, float)) and value is not True)


@st.composite
def streams(draw) -> list[dict]:
    """The events of a project of several batches, with jobs that are repeated, resumed and lost."""
    stream = Stream(draw, draw(st.booleans()))
    for batch in ("sweep", "sweep/2")[: draw(st.integers(1, 2))]:
        jobs = draw(st.lists(st.sampled_from("aab"), min_size=2, max_size=5))
        if draw(st.integers(0, 3)):
            stream.tell("batch_start", batch, name="n", n_total_jobs=len(set(jobs)), command="train.py")
            stream.tell("env_snapshot", batch, packages={"torch": "2"})
        for job in jobs:  # a name that comes again is another attempt
            _attempt(stream, batch, job, draw(st.sampled_from([0, 0, 2])))
            stream.tell("log_line", batch, batch, line="heartbeat")
            stream.tell("resource_snapshot", batch, ram_mb=10, gpu_util_pct=None)
        end = draw(st.sampled_from(["batch_done", "batch_done", "batch_failed", ""]))
        if end:
            untested = draw(st.none() | st.lists(st.sampled_from("abz"), max_size=2))
            named = {} if untested is None else {"untested": untested}
            stream.tell(end, batch, reason="x", total_elapsed_s=3.5, n_done=99, **named)
    return stream.events


@st.composite
def deliveries(draw) -> tuple[list[dict], list[list[dict]]]:
    """Return a stream, and the same one shuffled, repeated and cut into requests."""
    events = draw(streams())
    again = events + draw(st.lists(st.sampled_from(events), max_size=10))
    shuffled = random.Random(draw(st.integers(0, 2**32))).sample(again, len(again))
    cuts = sorted(draw(st.lists(st.integers(0, len(shuffled)), max_size=6)))
    bounds = [0, *cuts, len(shuffled)]
    return events, [shuffled[a:b] for a, b in itertools.pairwise(bounds)]


class Server:
    """The application on one database, and what can be asked of it."""

    def __init__(self, client: TestClient) -> None:
        self._client = client
        self.store = client.app.state.store
        self.queries: Queries = self.store.queries
        self.queries.clock = lambda: NOW_US
        self._token = client.app.state.store.credentials.create_token("admin")
        self._calls = itertools.count()
        self.answered: set[str] = set()

    def _request(self, method: str, path: str, headers=(), **more):
        headers = {"Authorization": f"Bearer {self._token}", **dict(headers)}
        answer = self._client.request(method, path, headers=headers, **more)
        assert answer.status_code == 200, answer.text
        return answer

    def send(self, project: str, events: list[dict]) -> None:
        """Send one request, each time in another of the forms there are."""
        named = [{**event, "source": {**event["source"], "project": project}} for event in events]
        form = next(self._calls) % 4
        if form == 0 and len(named) == 1:
            self._request("POST", "/api/events", json=named[0])
        elif form == 1:
            content = gzip.compress(json.dumps(named).encode())
            self._request("POST", "/api/events/batch", {"Content-Encoding": "gzip"}, content=content)
        elif form == 2 and named:
            answer = self._request("POST", "/api/events/batch", json=[{"event_id": "broken-one"}, *named])
            assert answer.json()["rejected"] == 1
        else:
            self._request("POST", "/api/events/batch", json={"events": named})

    def _board(self, project: str, view: View):
        with self.queries.board(project, view) as board:
            return rank(view, board)

    def everything(self, project: str) -> dict:
        """Return all that is known about a project, by whatever can be asked, without its name."""
        ask = self.queries
        listed = ask.jobs(project, JobFilter(page_rows=None))
        keys = sorted((item.batch_id, item.job_id) for item in listed.jobs)
        batches = sorted({name for name, _ in keys})
        board = ask.leaderboard(project)
        answers = {
            "projects": [asdict(item) for item in ask.projects() if item.name == project],
            "leaderboard": {
                "jobs": sorted(map(repr, board.jobs)),
                "keys": list(map(repr, board.keys)),
                "settings": repr(board.settings),
            },
            "jobs": [
                asdict(ask.jobs(project, wanted))
                for wanted in (
                    JobFilter(page_rows=None),
                    JobFilter(page_rows=2, page=2),
                    JobFilter(dataset=("ETTh1",)),
                    *(JobFilter(status=(status,)) for status in STATUSES),
                )
            ],
            "job_counts": ask.job_counts(project),
            "version": ask.version(project),
            "batch": [repr(ask.batch(project, name)) for name in batches],
            "board": [repr(self._board(project, View(sort=sort))) for sort in ("", "MAE", "model", "seed")],
            "job": [repr(ask.job(project, item.batch_id, item.job_id)) for item in listed.jobs],
            "ranked_by": repr(ask.ranked_by(project)),
            "pulse": repr(replace(ask.pulse(project), version=0)),
            "batches": repr(ask.batches(project, BatchFilter())),
            "cell_states": sorted(map(repr, ask.cell_states(project))),
            "declared_directions": {
                key: sorted(said) for key, said in sorted(ask.declared_directions(project).items())
            },
            "failures": [repr(ask.failures(project, name)) for name in batches],
            "histories": sorted(map(repr, ask.histories(project, keys).items())),
            "job_facets": [
                asdict(facet)
                for wanted in (JobFilter(), JobFilter(dataset=("ETTh1",)))
                for facet in ask.job_facets(project, wanted, tuple(FACETS), 100)
            ],
            "job_ids": sorted(ask.job_ids(project)),
            "latest_job": [ask.latest_job(project, name) for name in sorted({name for _, name in keys})],
            "log": [sorted(map(repr, ask.log(project, *key, 100))) for key in keys],
            "peers": [
                (repr(peers.cell), {name: dict(means) for name, means in peers.means.items()})
                for model, dataset in sorted({(item.model, item.dataset) for item in listed.jobs}, key=repr)
                for peers in [ask.peers(project, model, dataset)]
            ],
            "snapshots": [sorted(map(repr, ask.snapshots(project, item, 100))) for item in listed.jobs],
            "timeline": [repr(ask.timeline(project, *key)) for key in keys],
            "val_losses": sorted(map(repr, ask.val_losses(project, keys).items())),
        }
        self.answered = set(answers)
        exports = {
            path: self._request("GET", f"/p/{project}/leaderboard.{path}").text
            for path in ("csv", "json", "csv?group=cell", "json?group=cell&sort=MAE", "json?sort=perplexity")
            if board.keys or "sort" not in path
        }
        return json.loads(json.dumps({**answers, **exports}, default=repr).replace(project, "PROJECT"))


@contextmanager
def running(database: str):
    with TestClient(create_app(Settings(database=database)), base_url="http://127.0.0.1:8421") as client:
        yield Server(client)


@pytest.fixture(scope="module")
def known_servers():
    with_ends: dict = {}
    yield with_ends
    for _, end in with_ends.values():
        end.__exit__(None, None, None)


@pytest.fixture
def server(known_servers, backend, new_database) -> Server:
    """One server for each database: the examples have projects of their own."""
    if backend not in known_servers:
        end = running(new_database())
        known_servers[backend] = end.__enter__(), end
    return known_servers[backend][0]


_numbers = itertools.count(1000)


@given(deliveries())
@settings(
    max_examples=examples(40),
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)
def test_what_is_known_does_not_depend_on_how_it_arrived(server, delivery):
    events, requests = delivery
    number = next(_numbers)
    in_order, shuffled = f"ordered-{number}", f"muddled-{number}"

    for event in events[::7]:  # some are there already when everything is sent
        server.send(in_order, [event])
    server.send(in_order, events)
    for request in requests:
        server.send(shuffled, request)
    server.send(shuffled, events[:3])

    known = server.everything(shuffled)
    assert known == server.everything(in_order)
    server.store.rebuild(shuffled)
    anew = server.everything(shuffled)
    assert anew.pop("version") != known.pop("version")  # caches and open pages ask again
    assert anew == known


def test_the_test_before_asks_everything_that_can_be_asked(tmp_path):
    with running(str(tmp_path / "argus.sqlite3")) as server:
        server.send("asked", [body("job_done", "j", metrics={"MSE": 1})])
        server.everything("asked")

        questions = {name for name in dir(server.queries) if not name.startswith("_")}
        assert questions - {"check", "clock", "remembered_bytes"} == server.answered
