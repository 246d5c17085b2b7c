"""Who may use which route: the whole table, as data. A route that is not in it fails."""

import json
import re
from urllib.parse import urlencode

import pytest
from litestar.routes import HTTPRoute
from unit.server.wire import body

from argus_server.auth import public
from argus_server.pages.render import templates
from argus_server.settings import Limits
from argus_server.storage.credentials import Grant

CALLERS = [
    "nobody",
    "garbage",
    "expired",
    "revoked",
    "report",
    "read",
    "admin",
    "other-report",
    "other-read",
    "other-admin",
    "session-read",
    "session-admin",
    "session-other",
]
"""`other-…` has a token, or a session, for the project `o`; the routes below are about `p`."""

# The answers while `p` is private, in the order of CALLERS.
PRIVATE = {
    "POST /api/events": "401 401 401 401 200 403 200 403 403 403 401 401 401",
    "POST /api/events/batch": "401 401 401 401 200 403 200 403 403 403 401 401 401",
    "GET /api/batches/{batch_id:str}/stop-requested": "401 401 401 401 200 200 200 200 200 200 200 200 200",
    "POST /api/batches/{batch_id:str}/artifacts": "401 401 401 401 501 403 501 501 403 501 401 401 401",
    "POST /api/jobs/{job_id:str}/artifacts": "401 401 401 401 501 403 501 501 403 501 401 401 401",
    "GET /api/token": "401 401 401 401 200 200 200 200 200 200 200 200 200",
    "GET /": "401 401 401 401 403 200 200 403 200 200 200 200 200",
    "GET /projects.json": "401 401 401 401 403 200 200 403 200 200 200 200 200",
    "GET /projects.csv": "401 401 401 401 403 200 200 403 200 200 200 200 200",
    "GET /projects.md": "401 401 401 401 403 200 200 403 200 200 200 200 200",
    "GET /api/projects": "401 401 401 401 403 200 200 403 200 200 200 200 200",
    "GET /p/{project:str}": "401 401 401 401 403 302 302 403 403 403 302 302 403",
    "GET /p/{project:str}/leaderboard": "401 401 401 401 403 200 200 403 403 403 200 200 403",
    "GET /p/{project:str}/leaderboard.csv": "401 401 401 401 403 200 200 403 403 403 200 200 403",
    "GET /p/{project:str}/leaderboard.json": "401 401 401 401 403 200 200 403 403 403 200 200 403",
    "GET /p/{project:str}/leaderboard.md": "401 401 401 401 403 200 200 403 403 403 200 200 403",
    "GET /p/{project:str}/leaderboard.tex": "401 401 401 401 403 200 200 403 403 403 200 200 403",
    "GET /api/projects/{project:str}/leaderboard": "401 401 401 401 403 200 200 403 403 403 200 200 403",
    "GET /p/{project:str}/pairs": "401 401 401 401 403 200 200 403 403 403 200 200 403",
    "GET /p/{project:str}/pairs.csv": "401 401 401 401 403 200 200 403 403 403 200 200 403",
    "GET /p/{project:str}/pairs.md": "401 401 401 401 403 200 200 403 403 403 200 200 403",
    "GET /p/{project:str}/pairs.json": "401 401 401 401 403 200 200 403 403 403 200 200 403",
    "GET /p/{project:str}/pairs.tex": "401 401 401 401 403 200 200 403 403 403 200 200 403",
    "GET /p/{project:str}/pareto": "401 401 401 401 403 200 200 403 403 403 200 200 403",
    "GET /p/{project:str}/pareto.csv": "401 401 401 401 403 200 200 403 403 403 200 200 403",
    "GET /p/{project:str}/pareto.md": "401 401 401 401 403 200 200 403 403 403 200 200 403",
    "GET /p/{project:str}/pareto.json": "401 401 401 401 403 200 200 403 403 403 200 200 403",
    "GET /p/{project:str}/sensitivity": "401 401 401 401 403 200 200 403 403 403 200 200 403",
    "GET /p/{project:str}/sensitivity.csv": "401 401 401 401 403 200 200 403 403 403 200 200 403",
    "GET /p/{project:str}/sensitivity.md": "401 401 401 401 403 200 200 403 403 403 200 200 403",
    "GET /p/{project:str}/sensitivity.json": "401 401 401 401 403 200 200 403 403 403 200 200 403",
    "GET /p/{project:str}/matrix": "401 401 401 401 403 200 200 403 403 403 200 200 403",
    "GET /p/{project:str}/matrix.csv": "401 401 401 401 403 200 200 403 403 403 200 200 403",
    "GET /p/{project:str}/matrix.json": "401 401 401 401 403 200 200 403 403 403 200 200 403",
    "GET /p/{project:str}/matrix.md": "401 401 401 401 403 200 200 403 403 403 200 200 403",
    "GET /p/{project:str}/matrix.tex": "401 401 401 401 403 200 200 403 403 403 200 200 403",
    "GET /api/projects/{project:str}/matrix": "401 401 401 401 403 200 200 403 403 403 200 200 403",
    "GET /p/{project:str}/jobs.csv": "401 401 401 401 403 200 200 403 403 403 200 200 403",
    "GET /p/{project:str}/jobs.json": "401 401 401 401 403 200 200 403 403 403 200 200 403",
    "GET /p/{project:str}/jobs.md": "401 401 401 401 403 200 200 403 403 403 200 200 403",
    "GET /p/{project:str}/jobs/{batch_id:str}/{job_id:str}/job.csv": (
        "401 401 401 401 403 200 200 403 403 403 200 200 403"
    ),
    "GET /p/{project:str}/jobs/{batch_id:str}/{job_id:str}/job.json": (
        "401 401 401 401 403 200 200 403 403 403 200 200 403"
    ),
    "GET /p/{project:str}/jobs/{batch_id:str}/{job_id:str}/job.md": (
        "401 401 401 401 403 200 200 403 403 403 200 200 403"
    ),
    "GET /p/{project:str}/jobs/{batch_id:str}/{job_id:str}/epochs.csv": (
        "401 401 401 401 403 200 200 403 403 403 200 200 403"
    ),
    "GET /p/{project:str}/jobs/{batch_id:str}/{job_id:str}/epochs.json": (
        "401 401 401 401 403 200 200 403 403 403 200 200 403"
    ),
    "GET /p/{project:str}/jobs/{batch_id:str}/{job_id:str}/epochs.md": (
        "401 401 401 401 403 200 200 403 403 403 200 200 403"
    ),
    "GET /p/{project:str}/compare": "401 401 401 401 403 200 200 403 403 403 200 200 403",
    "GET /p/{project:str}/compare.csv": "401 401 401 401 403 200 200 403 403 403 200 200 403",
    "GET /p/{project:str}/compare.json": "401 401 401 401 403 200 200 403 403 403 200 200 403",
    "GET /p/{project:str}/compare.md": "401 401 401 401 403 200 200 403 403 403 200 200 403",
    "GET /p/{project:str}/batches": "401 401 401 401 403 200 200 403 403 403 200 200 403",
    "GET /p/{project:str}/batches.csv": "401 401 401 401 403 200 200 403 403 403 200 200 403",
    "GET /p/{project:str}/batches.json": "401 401 401 401 403 200 200 403 403 403 200 200 403",
    "GET /p/{project:str}/batches.md": "401 401 401 401 403 200 200 403 403 403 200 200 403",
    "GET /p/{project:str}/batches/{batch_id:str}": "401 401 401 401 403 200 200 403 403 403 200 200 403",
    "GET /api/projects/{project:str}/batches": "401 401 401 401 403 200 200 403 403 403 200 200 403",
    "GET /p/{project:str}/jobs": "401 401 401 401 403 200 200 403 403 403 200 200 403",
    "GET /api/projects/{project:str}/jobs": "401 401 401 401 403 200 200 403 403 403 200 200 403",
    "GET /api/projects/{project:str}/batches/{batch_id:str}": (
        "401 401 401 401 403 200 200 403 403 403 200 200 403"
    ),
    "GET /p/{project:str}/jobs/{batch_id:str}/{job_id:str}": (
        "401 401 401 401 403 200 200 403 403 403 200 200 403"
    ),
    "GET /api/projects/{project:str}/jobs/{batch_id:str}/{job_id:str}/epochs": (
        "401 401 401 401 403 200 200 403 403 403 200 200 403"
    ),
    "GET /api/projects/{project:str}/jobs/{batch_id:str}/{job_id:str}/why": (
        "401 401 401 401 403 200 200 403 403 403 200 200 403"
    ),
    "GET /api/projects/{project:str}/outlook": "401 401 401 401 403 200 200 403 403 403 200 200 403",
    "GET /p/{project:str}/doctor": "401 401 401 401 403 200 200 403 403 403 200 200 403",
    "GET /p/{project:str}/doctor.json": "401 401 401 401 403 200 200 403 403 403 200 200 403",
    "GET /api/projects/{project:str}/doctor": "401 401 401 401 403 200 200 403 403 403 200 200 403",
    "POST /p/{project:str}/doctor": "401 401 401 401 403 403 422 403 403 403 403 422 403",
    "GET /p/{project:str}/badge/{model:str}": "401 401 401 401 403 200 200 403 403 403 200 200 403",
    "GET /api/projects/{project:str}/check": "401 401 401 401 403 400 400 403 403 403 400 400 403",
    "GET /api/projects/{project:str}/why/{job_id:str}": "401 401 401 401 403 200 200 403 403 403 200 200 403",
    # A live page that is let in listens for minutes; here no seat is left for those who are.
    "GET /p/{project:str}/live": "401 401 401 401 403 503 503 403 403 403 503 503 403",
    "GET /p/{project:str}/settings": "401 401 401 401 403 200 200 403 403 403 200 200 403",
    "POST /p/{project:str}/settings": "401 401 401 401 403 403 422 403 403 403 403 422 403",
    "POST /p/{project:str}/views": "401 401 401 401 403 403 400 403 403 403 403 400 403",
    "GET /api/projects/{project:str}/settings": "401 401 401 401 403 200 200 403 403 403 200 200 403",
    "PUT /api/projects/{project:str}/settings": "401 401 401 401 403 403 200 403 403 403 401 401 401",
    "GET /metrics": "401 401 401 401 403 403 200 403 403 403 403 200 403",
    "GET /tokens": "401 401 401 401 403 403 200 403 403 200 403 200 403",
    "POST /tokens": "401 401 401 401 403 403 200 403 403 200 403 200 403",
    "POST /tokens/{number:int}/revoke": "401 401 401 401 403 403 303 403 403 404 403 303 403",
    "GET /healthz": "200 200 200 200 200 200 200 200 200 200 200 200 200",
    "GET /readyz": "200 200 200 200 200 200 200 200 200 200 200 200 200",
    "GET /static/{name:str}": "200 200 200 200 200 200 200 200 200 200 200 200 200",
    "GET /sign-in": "200 200 200 200 200 200 200 200 200 200 200 200 200",
    "POST /sign-in": "401 401 401 401 401 401 401 401 401 401 401 401 401",
    "POST /sign-out": "303 303 303 303 303 303 303 303 303 303 303 303 303",
    "GET /schema": "200 200 200 200 200 200 200 200 200 200 200 200 200",
    "GET /schema/openapi.json": "200 200 200 200 200 200 200 200 200 200 200 200 200",
    "GET /schema/{path:str}": "404 404 404 404 404 404 404 404 404 404 404 404 404",
}
OPEN = "200 401 401 401 200 200 200 200 200 200 200 200 200"
"""What a route answers that a public project opens: a wrong token is still wrong."""
OPENED = [
    "GET /",
    "GET /projects.json",
    "GET /projects.csv",
    "GET /projects.md",
    "GET /api/projects",
    "GET /p/{project:str}",
    "GET /p/{project:str}/leaderboard",
    "GET /p/{project:str}/leaderboard.csv",
    "GET /p/{project:str}/leaderboard.json",
    "GET /p/{project:str}/leaderboard.md",
    "GET /p/{project:str}/leaderboard.tex",
    "GET /api/projects/{project:str}/leaderboard",
    "GET /p/{project:str}/pairs",
    "GET /p/{project:str}/pairs.csv",
    "GET /p/{project:str}/pairs.json",
    "GET /p/{project:str}/pairs.md",
    "GET /p/{project:str}/pairs.tex",
    "GET /p/{project:str}/pareto",
    "GET /p/{project:str}/pareto.csv",
    "GET /p/{project:str}/pareto.json",
    "GET /p/{project:str}/pareto.md",
    "GET /p/{project:str}/sensitivity",
    "GET /p/{project:str}/sensitivity.csv",
    "GET /p/{project:str}/sensitivity.json",
    "GET /p/{project:str}/sensitivity.md",
    "GET /p/{project:str}/matrix",
    "GET /p/{project:str}/matrix.csv",
    "GET /p/{project:str}/matrix.json",
    "GET /p/{project:str}/matrix.md",
    "GET /p/{project:str}/matrix.tex",
    "GET /api/projects/{project:str}/matrix",
    "GET /p/{project:str}/jobs.csv",
    "GET /p/{project:str}/jobs.json",
    "GET /p/{project:str}/jobs.md",
    "GET /p/{project:str}/jobs/{batch_id:str}/{job_id:str}/job.csv",
    "GET /p/{project:str}/jobs/{batch_id:str}/{job_id:str}/job.json",
    "GET /p/{project:str}/jobs/{batch_id:str}/{job_id:str}/job.md",
    "GET /p/{project:str}/jobs/{batch_id:str}/{job_id:str}/epochs.csv",
    "GET /p/{project:str}/jobs/{batch_id:str}/{job_id:str}/epochs.json",
    "GET /p/{project:str}/jobs/{batch_id:str}/{job_id:str}/epochs.md",
    "GET /p/{project:str}/compare",
    "GET /p/{project:str}/compare.csv",
    "GET /p/{project:str}/compare.json",
    "GET /p/{project:str}/compare.md",
    "GET /p/{project:str}/batches",
    "GET /p/{project:str}/batches.csv",
    "GET /p/{project:str}/batches.json",
    "GET /p/{project:str}/batches.md",
    "GET /p/{project:str}/batches/{batch_id:str}",
    "GET /api/projects/{project:str}/batches",
    "GET /p/{project:str}/jobs",
    "GET /api/projects/{project:str}/jobs",
    "GET /api/projects/{project:str}/batches/{batch_id:str}",
    "GET /p/{project:str}/jobs/{batch_id:str}/{job_id:str}",
    "GET /api/projects/{project:str}/jobs/{batch_id:str}/{job_id:str}/epochs",
    "GET /api/projects/{project:str}/jobs/{batch_id:str}/{job_id:str}/why",
    "GET /api/projects/{project:str}/why/{job_id:str}",
    "GET /api/projects/{project:str}/check",
    "GET /p/{project:str}/badge/{model:str}",
    "GET /p/{project:str}/doctor",
    "GET /api/projects/{project:str}/outlook",
    "GET /p/{project:str}/doctor.json",
    "GET /api/projects/{project:str}/doctor",
    "GET /p/{project:str}/live",
]
PUBLIC = {
    **PRIVATE,
    **dict.fromkeys(OPENED, OPEN),
    "GET /p/{project:str}": OPEN.replace("200", "302"),
    "GET /p/{project:str}/live": OPEN.replace("200", "503"),
    "GET /api/projects/{project:str}/check": OPEN.replace("200", "400"),
}
NEEDS_NO_TOKEN = {
    "/healthz",
    "/readyz",
    "/static/{name:str}",
    "/sign-in",
    "/sign-out",
    "/schema",
    "/schema/openapi.json",
    "/schema/{path:str}",
}


def routes(app):
    """Return (method, path, guards) of every route there is."""
    for route in app.routes:
        assert isinstance(route, HTTPRoute), f"{route.path}: the table knows HTTP only"
        for handler in route.route_handlers:
            for method in sorted(handler.http_methods - {"OPTIONS"}):
                yield method, route.path, handler.resolve_guards()


class Callers:
    """Requests from everybody in CALLERS, each with the form token that its browser would have."""

    def __init__(self, server):
        self.server = server
        credentials = server.store.credentials
        make = credentials.create_token
        self.tokens = {
            "garbage": "em_live_" + "x" * 32,
            "expired": make("admin", lifetime_s=-1),
            "revoked": make("admin"),
            "report": make("report", "p"),
            "read": make("read", "p"),
            "admin": make("admin"),
            "other-report": make("report", "o"),
            "other-read": make("read", "o"),
            "other-admin": make("admin", "o"),
        }
        credentials.revoke_token(credentials.check_token(self.tokens["revoked"]).token_id)
        make("read", name="to be revoked")
        self.victim = credentials.tokens()[-1].id
        self.grants = {
            "session-read": Grant("read", "p"),
            "session-admin": Grant("admin"),
            "session-other": Grant("read", "o"),
        }
        self.sessions = {}

    def request(self, caller, method, path, **more):
        client = self.server.client
        client.cookies.clear()
        if caller in self.grants:
            client.cookies.set("argus_session_8421", self._session(caller))
        scope = self.tokens.get(caller)
        if method == "POST" and not path.startswith("/api/"):
            page = self.server.get("/sign-in", scope=None).text
            more["data"] = {"scope": "read", "form_token": re.search(r'form_token" value="(\w+)"', page)[1]}
        answer = self.server.request(method, path, scope=scope, **more)
        if path == "/sign-out":
            self.sessions.pop(caller, None)
        return answer

    def _session(self, caller):
        """Return the secret of the session that the caller is in, until the next sign-out."""
        if caller not in self.sessions:
            self.sessions[caller] = self.server.store.credentials.create_session(self.grants[caller])
        return self.sessions[caller]

    def status(self, caller, route, method=None):
        own_method, path = route.split()
        filled = path
        for slot, name in (
            ("{project:str}", "p"),
            ("{batch_id:str}", "b"),
            ("{job_id:str}", "j"),
            ("{model:str}", "m.svg"),
            ("{name:str}", templates().globals["static"]("argus.css")[8:]),
            ("{number:int}", str(self.victim)),
            ("{path:str}", "else"),
        ):
            filled = filled.replace(slot, name)
        more = {}
        if "/compare" in path:
            filled += "?job=b/j&job=b/k"
        if "/api/events" in path:
            event = body("job_start", "j")
            more["json"] = [event] if path.endswith("batch") else event
        if (method or own_method) == "PUT":
            more["json"] = {}
        return self.request(caller, method or own_method, filled, **more).status_code


@pytest.fixture
def callers(make_server):
    server = make_server(limits=Limits(failures_per_min=1_000_000, reads_per_s=0, live_listeners=0))
    server.send(body("job_start", "j"), body("job_start", "k"), body("job_start", "j", project="o"))
    return Callers(server)


def test_every_route_is_in_the_table_and_says_who_may_use_it(server):
    found = {f"{method} {path}": guards for method, path, guards in routes(server.client.app)}

    assert sorted(found) == sorted(PRIVATE), "add the new route to the table, and what it answers to whom"
    for route, guards in found.items():
        is_public = public in guards
        assert is_public != any(hasattr(guard, "scopes") for guard in guards), f"{route} has no guard"
        assert is_public == (route.split()[1] in NEEDS_NO_TOKEN), route
        opens = any(getattr(guard, "visitors", False) for guard in guards)
        assert opens == (route in OPENED), route


@pytest.mark.parametrize("is_public", [False, True], ids=["private", "public"])
def test_each_route_answers_each_caller_as_the_table_says(callers, is_public):
    callers.server.store.credentials.set_public("p", is_public=is_public)
    for route, row in (PUBLIC if is_public else PRIVATE).items():
        expected = dict(zip(CALLERS, row.split(), strict=True))

        answered = {caller: str(callers.status(caller, route)) for caller in CALLERS}

        assert answered == expected, route


def test_head_is_answered_as_get_is(callers):
    for caller in ("nobody", "report", "read", "session-read"):
        for route in PRIVATE:
            if route.startswith("GET"):
                status = callers.status(caller, route)
                assert callers.status(caller, route, method="HEAD") == status, f"{caller}: {route}"


def test_a_method_or_path_that_there_is_not_opens_nothing(callers):
    paths = {route.split()[1] for route in PRIVATE}
    for caller in ("nobody", "garbage", "admin", "session-admin"):
        for path in sorted(paths):
            for method in {"PUT", "PATCH", "DELETE"} - {"PUT" if f"PUT {path}" in PRIVATE else ""}:
                assert callers.status(caller, f"{method} {path}") == 405, f"{method} {path}"
        for path in ("/nope", "/p", "/p/p/nope", "/api/projects/p/nope", "/tokens/1"):
            assert callers.request(caller, "GET", path).status_code == 404, path


def test_a_session_reads_and_never_reports(callers):
    for caller in ("session-read", "session-admin"):
        for route in PRIVATE:
            if route.startswith("POST /api/"):
                assert callers.status(caller, route) == 401, route


# --- visitors ---------------------------------------------------------------------------------

SECRETS = ["node-77", "mallory", "train.py --key", "/home/mallory/data", "deep inside", "a line of log"]
"""A host, a user, a command, the reason of a failure, its traceback, a log line."""


@pytest.fixture
def published(callers):
    """The server with a failed job in the public project `p`, and the private project `o`."""
    source = {"project": "p", "host": SECRETS[0], "user": SECRETS[1], "command": SECRETS[2]}
    events = [
        body("job_start", "j", at=1, model="m", config={"lr": 0.1}),
        body("log_line", "j", at=2, line=SECRETS[5]),
        body("job_failed", "j", at=3, reason=SECRETS[3], error={"traceback": SECRETS[4]}),
        body("job_done", "k", at=3, metrics={"MSE": 0.5}),
    ]
    callers.server.send(*({**event, "source": source} for event in events))
    callers.server.store.credentials.set_public("p", is_public=True)
    return callers


def read_everything(callers, caller, query=""):
    texts = {}
    for route in OPENED:
        path = route.split()[1].replace("{project:str}", "p").replace("{batch_id:str}", "b")
        if "/compare" in path:
            path += "?job=b/j&job=b/k"
        more = query.replace("?", "&") if "?" in path else query
        for address in {path.replace("{job_id:str}", job) + more for job in "jk"}:
            texts[address] = callers.request(caller, "GET", address).text
    return texts


def test_visitors_do_not_see_where_a_job_ran_who_ran_it_and_what_it_said(published):
    members = "".join(read_everything(published, "read").values())
    assert [secret for secret in SECRETS[:5] if secret not in members] == []

    for caller in ("nobody", "report", "other-read", "session-other"):
        for address, text in read_everything(published, caller).items():
            assert [secret for secret in SECRETS if secret in text] == [], f"{caller}: {address}"


def test_visitors_cannot_ask_for_what_they_do_not_see(published):
    hidden = dict(zip(("host", "user", "command", "reason"), SECRETS, strict=False))
    for right_questions, wrong_question in (
        (
            [{**hidden, "text": secret} for secret in SECRETS[:4]],
            dict.fromkeys([*hidden, "text"], "nonsense"),
        ),
        ([{"q": secret} for secret in SECRETS[:4]], {"q": "nonsense"}),
    ):
        wrong = answers_to(published, wrong_question)
        for question in right_questions:
            right = answers_to(published, question)
            different = [address for address, text in right.items() if text != wrong[address]]
            assert different == [], question
        if "q" not in wrong_question:  # none of the five has hidden what another finds
            assert json.loads(wrong["/p/p/jobs.json"])["total"] == 2
            assert json.loads(wrong["/p/p/leaderboard.json"])["total"] == 1


def answers_to(callers, question):
    """Return every page for strangers who ask, by its address without the question.

    What was asked is left out, which pages repeat or hash, and so are links and fields.
    """
    query = urlencode(question)
    pages = {}
    for address, text in read_everything(callers, "nobody", f"?{query}").items():
        text = re.sub(r'(value|href)="[^"]*"|<wbr>|^% .*|\b[0-9a-f]{12}\b', "", text)
        for asked in sorted(question.values(), key=len, reverse=True):
            text = text.replace(asked, "")
        pages[address.replace(f"?{query}", "").replace(f"&{query}", "")] = text
    return pages


def test_visitors_see_only_what_is_public(published):
    listed = published.request("nobody", "GET", "/api/projects").json()["projects"]
    page = published.request("nobody", "GET", "/", html=True).text

    assert [item["project"] for item in listed] == ["p"]
    exports = [published.request("nobody", "GET", f"/projects.{ending}") for ending in ("json", "csv", "md")]
    assert [item["project"] for item in exports[0].json()["projects"]] == ["p"]
    assert [line.partition(",")[0] for line in exports[1].text.splitlines()] == ["project", "p"]
    assert [line.split()[1] for line in exports[2].text.splitlines()[2:]] == ["p"]
    assert ">public</span>" in page
    assert "/p/o/" not in page
    assert 'href="/sign-in' in page
    assert 'href="/tokens"' not in page
    assert published.request("nobody", "GET", "/p/o/leaderboard", html=True).status_code == 401
    assert published.request("nobody", "GET", "/p/nobodys/leaderboard", html=True).status_code == 401


def test_a_token_of_one_project_lists_it_beside_the_public_ones(published):
    listed = published.request("other-read", "GET", "/api/projects").json()["projects"]

    assert sorted(item["project"] for item in listed) == ["o", "p"]


def test_a_private_project_is_closed_at_once(published):
    assert published.request("nobody", "GET", "/p/p/leaderboard").status_code == 200

    published.server.store.credentials.set_public("p", is_public=False)

    assert published.request("nobody", "GET", "/p/p/leaderboard").status_code == 401
    assert published.request("nobody", "GET", "/").status_code == 401


def test_projects_are_private_until_somebody_says_otherwise(callers):
    assert ">public</span>" not in callers.request("admin", "GET", "/").text
    assert callers.server.store.credentials.projects() == {"o": False, "p": False}
