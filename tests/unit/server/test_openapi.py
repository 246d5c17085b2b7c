"""The OpenAPI document says what is true."""

import json
import re

import jsonschema
import pytest
from litestar.routes import HTTPRoute
from unit.server.wire import body, epoch

from argus_core.events import encode_event

FOR_PEOPLE = re.compile(
    r"/|/sign-(in|out)|/tokens.*|/static/.*|/schema.*|/p/\{project\}(/(?!live|badge)[^.]*)?"
)


@pytest.fixture(scope="module")
def server(make_board):
    return make_board()


@pytest.fixture(scope="module")
def document(server):
    return server.get("/schema/openapi.json", scope=None).json()


@pytest.fixture(scope="module")
def full(server):
    """A server that is filled once: what the tests send besides leaves every answer as it is."""
    server.send(body("job_start", "j", model="m"), body("job_epoch", "j", epoch=0))
    server.send(body("job_done", "j", metrics={"MSE": 0.5, "note": "x"}), body("job_start", "k"))
    return server


def test_it_names_every_route_for_programs_and_no_other(server, document):
    routes = {
        (route.path_format, method.lower())
        for route in server.client.app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        for method in handler.http_methods - {"OPTIONS"}
        if not FOR_PEOPLE.fullmatch(route.path_format)
    }

    assert {(path, method) for path, item in document["paths"].items() for method in item} == routes


def test_every_reference_leads_somewhere_and_every_path_has_its_parameters(document):
    schemas = document["components"]["schemas"]
    for schema in schemas.values():
        jsonschema.Draft202012Validator.check_schema(schema)
    assert set(re.findall(r"#/components/schemas/(\w+)", str(document))) <= set(schemas)
    for path, item in document["paths"].items():
        for operation in item.values():
            named = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "path"}
            assert named == set(re.findall(r"{(\w+)}", path)), path


ANSWERED = [
    ("POST", "/api/events", {"json": body("job_epoch", "j", epoch=1)}, 200),
    ("POST", "/api/events", {"json": {**body("job_start", "j"), "batch_id": ""}}, 422),
    ("POST", "/api/events", {"json": {**body("job_start", "j"), "schema_version": "9"}}, 415),
    ("POST", "/api/events", {"content": b"{"}, 400),
    ("POST", "/api/events", {"content": b"{}", "headers": {"Content-Encoding": "br"}}, 415),
    ("POST", "/api/events", {"json": body("job_start", "j"), "scope": "read"}, 403),
    ("POST", "/api/events", {"json": body("job_start", "j"), "scope": None}, 401),
    ("POST", "/api/events/batch", {"json": {"events": [body("job_start", "j"), {"x": 1}]}}, 200),
    ("POST", "/api/events/batch", {"json": [{"x": 1}, {"event_id": "12345678"}]}, 422),
    ("POST", "/api/events/batch", {"json": []}, 200),
    ("POST", "/api/events/batch", {"json": 1}, 400),
    ("POST", "/api/jobs/{job_id}/artifacts", {}, 501),
    ("POST", "/api/batches/{batch_id}/artifacts", {}, 501),
    ("GET", "/api/batches/{batch_id}/stop-requested", {}, 200),
    ("GET", "/api/token", {}, 200),
    ("GET", "/api/projects", {}, 200),
    ("GET", "/projects.json", {}, 200),
    ("GET", "/projects.csv", {}, 200),
    ("GET", "/projects.md", {}, 200),
    ("GET", "/api/projects/{project}/leaderboard", {}, 200),
    ("GET", "/api/projects/{project}/leaderboard", {"params": {"group": "cell", "sort": "MSE"}}, 200),
    ("GET", "/api/projects/{project}/leaderboard", {"params": {"group": "x"}}, 400),
    ("GET", "/api/projects/{project}/leaderboard", {"params": {"group": "model"}}, 200),
    ("GET", "/p/{project}/pairs.json", {}, 200),
    ("GET", "/p/{project}/pairs.json", {"params": {"test": "x"}}, 400),
    ("GET", "/p/{project}/pairs.csv", {}, 200),
    ("GET", "/p/{project}/pairs.md", {}, 200),
    ("GET", "/p/{project}/pairs.tex", {}, 200),
    ("GET", "/p/{project}/pareto.json", {}, 200),
    ("GET", "/p/{project}/pareto.csv", {}, 200),
    ("GET", "/p/{project}/pareto.md", {}, 200),
    ("GET", "/p/{project}/sensitivity.json", {}, 200),
    ("GET", "/p/{project}/sensitivity.csv", {}, 200),
    ("GET", "/p/{project}/sensitivity.md", {}, 200),
    ("GET", "/p/{project}/leaderboard.json", {}, 200),
    ("GET", "/p/{project}/leaderboard.csv", {}, 200),
    ("GET", "/p/{project}/leaderboard.md", {}, 200),
    ("GET", "/p/{project}/leaderboard.tex", {}, 200),
    ("GET", "/api/projects/{project}/matrix", {"params": {"cell": "delta"}}, 200),
    ("GET", "/api/projects/{project}/matrix", {"params": {"cell": "x"}}, 400),
    ("GET", "/p/{project}/matrix.json", {}, 200),
    ("GET", "/p/{project}/matrix.csv", {}, 200),
    ("GET", "/p/{project}/matrix.md", {}, 200),
    ("GET", "/p/{project}/matrix.tex", {}, 200),
    ("GET", "/api/projects/{project}/batches", {}, 200),
    ("GET", "/api/projects/{project}/batches", {"params": {"status": "x"}}, 400),
    ("GET", "/api/projects/{project}/batches/{batch_id}", {}, 200),
    ("GET", "/p/{project}/batches.json", {}, 200),
    ("GET", "/p/{project}/batches.csv", {}, 200),
    ("GET", "/p/{project}/batches.md", {}, 200),
    ("GET", "/api/projects/{project}/jobs", {"params": {"status": ["done", "running"]}}, 200),
    ("GET", "/api/projects/{project}/jobs", {"params": {"page": 0}}, 400),
    ("GET", "/p/{project}/jobs.csv", {}, 200),
    ("GET", "/p/{project}/jobs.json", {}, 200),
    ("GET", "/p/{project}/jobs.md", {}, 200),
    ("GET", "/p/{project}/jobs/{batch_id}/{job_id}/job.csv", {}, 200),
    ("GET", "/p/{project}/jobs/{batch_id}/{job_id}/job.json", {}, 200),
    ("GET", "/p/{project}/jobs/{batch_id}/{job_id}/job.md", {}, 200),
    ("GET", "/p/{project}/jobs/{batch_id}/{job_id}/epochs.csv", {}, 200),
    ("GET", "/p/{project}/jobs/{batch_id}/{job_id}/epochs.json", {}, 200),
    ("GET", "/p/{project}/jobs/{batch_id}/{job_id}/epochs.md", {}, 200),
    ("GET", "/p/{project}/compare.csv", {"params": {"job": ["b/j", "b/k"]}}, 200),
    ("GET", "/p/{project}/compare.json", {"params": {"job": ["b/j", "b/k"]}}, 200),
    ("GET", "/p/{project}/compare.md", {"params": {"job": ["b/j", "b/k"]}}, 200),
    ("GET", "/p/{project}/compare.json", {"params": {"job": "b/j"}}, 400),
    ("GET", "/p/{project}/compare.json", {"params": {"job": ["b/j", "b/x"]}}, 404),
    ("GET", "/api/projects/{project}/jobs/{batch_id}/{job_id}/epochs", {}, 200),
    ("GET", "/api/projects/{project}/jobs/{batch_id}/{job_id}/epochs", {"params": {"first": "x"}}, 400),
    ("GET", "/api/projects/{project}/jobs/{batch_id}/{job_id}/why", {}, 200),
    ("GET", "/api/projects/{project}/why/{job_id}", {}, 200),
    ("GET", "/api/projects/{project}/settings", {}, 200),
    ("PUT", "/api/projects/{project}/settings", {"json": {"primary": "MSE"}}, 200),
    ("PUT", "/api/projects/{project}/settings", {"json": {"metrics": {"a": {"alias_of": "a"}}}}, 422),
    ("GET", "/api/projects/{project}/check", {"params": {"model": "m", "baseline": "n"}}, 200),
    ("GET", "/api/projects/{project}/check", {}, 400),
    ("GET", "/p/{project}/badge/{model}", {}, 200),
    ("GET", "/api/projects/{project}/doctor", {}, 200),
    ("GET", "/p/{project}/doctor.json", {}, 200),
    ("GET", "/api/projects/{project}/outlook", {}, 200),
    ("GET", "/healthz", {}, 200),
    ("GET", "/readyz", {}, 200),
    ("GET", "/metrics", {}, 200),
]


@pytest.mark.parametrize(
    ("method", "path", "more", "status"), ANSWERED, ids=lambda value: value if isinstance(value, str) else ""
)
def test_an_answer_is_as_it_says(full, document, method, path, more, status):
    filled = path.format(project="p", batch_id="b", job_id="j", model="m.svg")

    answer = full.request(method, filled, **{"scope": "admin", **more})

    assert answer.status_code == status, answer.text
    content = document["paths"][path][method.lower()]["responses"][str(status)]["content"]
    media_type = answer.headers["Content-Type"].partition(";")[0]
    assert media_type in content
    if media_type == "application/json":
        check(document, content[media_type]["schema"], answer.json())


def test_an_unknown_project_is_answered_as_it_says(full, document):
    for path in ("/api/projects/{project}/jobs", "/p/{project}/leaderboard.csv", "/p/{project}/live"):
        answer = full.get(path.format(project="nobody"))

        content = document["paths"][path]["get"]["responses"]["404"]["content"]["application/json"]
        check(document, content["schema"], answer.json())


def test_the_events_of_our_client_fit_its_request(document):
    schema = document["paths"]["/api/events"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    check(document, schema, json.loads(encode_event(epoch("j", 3, train_loss=0.5))))
    with pytest.raises(jsonschema.ValidationError):
        check(document, schema, {**body("job_epoch", "j"), "data": {"epoch": "x"}})


def check(document, schema, value):
    whole = {**schema, "components": document["components"]}
    jsonschema.Draft202012Validator(whole).validate(value)
