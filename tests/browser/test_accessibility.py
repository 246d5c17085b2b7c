"""axe-core finds nothing to complain about, on any page, in either theme.

Its rules come from the npm registry, by its ordinary client: `npm` knows where that is
(`npm_config_registry`), and holds what it got before.
"""

import os
import re
import shutil
import subprocess
import tarfile

import pytest
from browser.test_live import Training
from litestar.routes import HTTPRoute
from real_server import RealServer

from argus_server.app import create_app
from argus_server.settings import Settings

AXE = "axe-core@4.10.3"
NAMES = {"project": "p", "batch_id": "b", "job_id": "done-x-0"}
NEEDS = {"/p/{project}/compare": "?job=b/done-x-0&job=b/done-x-1"}
"""What some pages are nothing without."""
STATES = [
    "/p/p/leaderboard?group=cell&sort=dataset&then=MSE",
    "/p/p/leaderboard?group=model",
    "/p/p/leaderboard?where=MSE%3C0&model=Alpha",
    "/p/p/leaderboard?page=2",
    "/p/p/jobs?status=failed",
    "/p/p/jobs/b/failed",
    "/p/p/jobs/b/running",
    "/p/waiting/leaderboard",
    "/p/nope/leaderboard",
    "/nope",
]
"""Pages that look otherwise than at first."""


@pytest.fixture(scope="session")
def axe(tmp_path_factory):
    """The source of axe-core."""
    npm = shutil.which("npm")
    assert npm is not None, "this test asks npm for axe-core: apt-get install npm"
    folder = tmp_path_factory.mktemp("axe")
    command = [npm, "pack", AXE, "--ignore-scripts", "--silent"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, env=os.environ)
    assert result.returncode == 0, f"{' '.join(command)}:\n{result.stderr}"
    with tarfile.open(next(folder.glob("axe-core-*.tgz"))) as package:
        member = package.extractfile("package/axe.min.js")
        assert member is not None
        return member.read().decode()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server with jobs in every state, and a project that waits for its first result."""
    server = RealServer(tmp_path_factory.mktemp("axe-server")).start()
    training = Training(server)
    for model in ("Alpha", "Beta", "Gamma"):
        for dataset in "xy":
            for seed in range(2):
                name = f"done-{dataset}-{seed}" if model == "Alpha" else f"{model}-{dataset}-{seed}"
                training.start(name, model, dataset, seed, config={"lr": 0.1})
                for epoch in range(3):
                    training.tell("job_epoch", name, epoch=epoch, train_loss=1 / (epoch + 1), val_loss=0.5)
                training.done(name, MSE=0.1 * len(model) + seed / 100, note="ok", Latency_P50=0.02, odd="NaN")
    training.start("again", "Gamma", "x", 0)
    training.done("again", MSE=0.4)  # the earlier one is superseded
    training.start("failed", "Delta", "x")
    training.tell("job_failed", "failed", reason="ValueError: boom", error={"traceback": "line\nline"})
    training.start("running", "Delta", "y")
    training.tell("job_epoch", "running", epoch=0, train_loss=1.0, val_loss=1.0)
    training.tell("log_line", "running", line="a line", level="warning")
    training.start("first", project="waiting")
    yield server
    server.end()


def addresses():
    """Return an address of every route that is no export and no stream, each asked as a browser asks."""
    for route in create_app(Settings(database="unused.sqlite3")).routes:
        path = re.sub(r"\{(\w+):\w+\}", r"{\1}", route.path)
        names = set(re.findall(r"\{(\w+)\}", path))
        is_asked = isinstance(route, HTTPRoute) and "GET" in route.methods and names <= NAMES.keys()
        if is_asked and not path.startswith(("/api", "/schema")) and not path.endswith("/live"):
            yield path.format(**NAMES) + NEEDS.get(path, "")


def violations(page, axe):
    page.evaluate(axe)
    result = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{rule['id']}: {rule['help']}: {', '.join(str(node['target']) for node in rule['nodes'][:5])}"
        for rule in result["violations"]
    ]


def is_page(answer):
    return answer.headers.get("content-type", "").startswith("text/html")


@pytest.fixture(scope="module")
def signed_in(browser, server):
    """The cookies of a browser that followed the one-time link."""
    context = browser.new_context()
    context.new_page().goto(server.sign_in_url)
    yield context.storage_state()
    context.close()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 1200), ("light", 390)])
def test_axe_finds_no_violation_on_any_page(browser, server, signed_in, axe, scheme, width):
    context = browser.new_context(
        base_url=server.url,
        storage_state=signed_in,
        color_scheme=scheme,
        viewport={"width": width, "height": 800},
    )
    page = context.new_page()
    found, seen = {}, set()
    for path in [*addresses(), *STATES]:
        if not is_page(context.request.get(path, headers={"Accept": "text/html"})):
            continue
        page.goto(path)
        page.evaluate("for (const panel of document.querySelectorAll('details')) panel.open = true")
        seen.add(path)
        if problems := violations(page, axe):
            found[path] = problems
    context.close()

    assert found == {}
    assert {"/", "/tokens", "/p/p/leaderboard", "/p/p/jobs", "/p/p/jobs/b/done-x-0", *STATES} <= seen


def test_axe_does_find_what_is_wrong(browser, server, axe):
    context = browser.new_context(base_url=server.url)
    page = context.new_page()
    page.goto("/sign-in")
    page.evaluate("document.querySelector('label').remove(); document.documentElement.lang = ''")

    assert {text.partition(":")[0] for text in violations(page, axe)} >= {"html-has-lang"}
    context.close()
