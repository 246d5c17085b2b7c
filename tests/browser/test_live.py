"""Open pages follow what happens, in a real browser beside a real server."""

import itertools
import re
import uuid
from datetime import datetime, timezone

import pytest
import requests
from playwright.sync_api import expect
from real_server import RealServer

numbers = itertools.count()


class Training:
    """Sends events of the project `p` as a training would."""

    def __init__(self, server):
        self.url = server.url
        self.token = server.make_token("report")

    def tell(self, kind, job, *, project="p", batch="b", **data):
        event = {
            "event_id": str(uuid.uuid4()),
            "schema_version": "1.1",
            "event_type": kind,
            "timestamp": datetime.now(timezone.utc).isoformat(),
            "batch_id": batch,
            "job_id": job,
            "source": {"project": project},
            "data": data,
        }
        headers = {"Authorization": f"Bearer {self.token}"}
        answer = requests.post(f"{self.url}/api/events", json=event, headers=headers, timeout=10)
        assert answer.status_code == 200, answer.text

    def start(self, job, model="m", dataset="d", seed=0, **more):
        self.tell("job_start", job, model=model, dataset=dataset, seed=seed, epochs_total=9, **more)

    def done(self, job, **metrics):
        self.tell("job_done", job, metrics=metrics, elapsed_s=1.5)


@pytest.fixture
def server(tmp_path):
    server = RealServer(tmp_path).start()
    yield server
    server.end()


@pytest.fixture
def training(server):
    return Training(server)


@pytest.fixture
def page(browser, server):
    """A signed-in page that fails the test on a script error or on a request to any other host."""
    context = browser.new_context(base_url=server.url, viewport={"width": 1000, "height": 500})
    page = context.new_page()
    problems = []
    page.on("pageerror", lambda error: problems.append(f"script error: {error}"))
    page.on(
        "request",
        lambda request: None if request.url.startswith(server.url) else problems.append(request.url),
    )
    page.goto(server.sign_in_url)
    yield page
    context.close()
    assert problems == []


def is_live(page):
    expect(page.locator("[data-live-state='on']")).to_have_text("live")


def test_a_row_arrives_without_reload_and_and_the_focus_stays(page, training):
    for number in range(40):
        training.start(f"job-{number:02}")
    page.goto("/p/p/jobs")
    is_live(page)
    page.evaluate("window.notReloaded = true")
    link = page.get_by_role("link", name="job-10")
    link.focus()

    training.start("newcomer")
    training.done("job-10", MSE=0.5)

    expect(page.get_by_role("link", name="newcomer")).to_be_attached()
    expect(page.locator("tr", has=link)).to_contain_text("done")
    expect(page.locator("#live-said")).to_contain_text("1 done", timeout=15_000)
    assert page.evaluate("document.activeElement.textContent") == "job-10"
    assert page.evaluate("window.notReloaded")


def test_scrolled_down_the_page_stands_still_while_rows_arrive_above(page, training):
    for number in range(40):
        training.start(f"job-{number:02}")
    page.goto("/p/p/jobs")
    is_live(page)
    link = page.get_by_role("link", name="job-05")
    link.scroll_into_view_if_needed()
    before = link.bounding_box()["y"]

    for number in range(3):
        training.start(f"late-{number}")
    expect(page.get_by_role("link", name="late-2")).to_be_attached()

    assert link.bounding_box()["y"] == pytest.approx(before, abs=1)


def test_a_page_says_when_it_no_longer_hears_and_catches_up(page, training, server):
    training.start("first")
    page.goto("/p/p/jobs")
    is_live(page)

    server.end()
    expect(page.locator("[data-live-state]")).to_have_text("reconnecting…", timeout=15_000)
    server.start()
    training.start("second")

    expect(page.get_by_role("link", name="second")).to_be_attached(timeout=30_000)
    is_live(page)


def test_a_hidden_page_lets_go_of_its_connection(page, training):
    training.start("first")
    page.goto("/p/p/jobs")
    is_live(page)
    hide = "Object.defineProperty(document, 'hidden', {value: %s, configurable: true});"
    event = "document.dispatchEvent(new Event('visibilitychange'))"

    page.evaluate(hide % "true" + event)
    training.start("second")
    page.wait_for_timeout(700)
    assert page.get_by_role("link", name="second").count() == 0

    page.evaluate(hide % "false" + event)
    expect(page.get_by_role("link", name="second")).to_be_attached()


def test_the_first_event_turns_the_lesson_into_the_page(page, training):
    page.goto("/")
    expect(page.get_by_text("No project yet")).to_be_visible()
    training.start("first")
    expect(page.get_by_role("rowheader", name="p")).to_be_visible(timeout=15_000)

    page.goto("/p/other/leaderboard")
    expect(page.get_by_text("There is no project other")).to_be_visible()
    training.tell("job_start", "j", project="other")
    expect(page.get_by_role("navigation", name="Project")).to_be_visible(timeout=15_000)


def test_a_result_arrives_in_the_matrix_and_the_headings_stay_in_sight(page, training):
    for number in range(30):
        training.start(f"job-{number}", model=f"model-{number:02}", dataset="x")
        training.done(f"job-{number}", MSE=1 + number)
    training.start("late", model="model-29", dataset="y")
    page.set_viewport_size({"width": 390, "height": 500})
    page.goto("/p/p/matrix")
    is_live(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    box = page.locator(".wrap.tall")
    box.evaluate("element => element.scrollTo(80, 400)")

    training.tell("job_epoch", "late", epoch=4, val_loss=1.0)
    running = page.locator("tr[data-row='model-29'] td[data-key=y]")
    expect(running).to_have_text("◔ 56 %")
    training.done("late", MSE=12.5)

    expect(running).to_have_text("12.5 n=1")
    assert box.evaluate("element => element.scrollTop") > 100
    head, frame = page.locator(".mx thead th").first.bounding_box(), box.bounding_box()
    assert head["y"] == pytest.approx(frame["y"], abs=2)
    assert head["x"] == pytest.approx(frame["x"], abs=2)


def test_a_batch_page_follows_its_jobs(page, training):
    training.tell("batch_start", None, n_total_jobs=3)
    training.start("one")
    page.goto("/p/p/batches/b")
    is_live(page)
    expect(page.locator(".blocks svg.running")).to_have_count(1)
    expect(page.locator(".blocks svg.queued")).to_have_count(2)

    training.done("one", MSE=0.5)

    expect(page.locator(".blocks svg.done")).to_have_count(1)
    page.get_by_role("link", name="one: done").click()
    expect(page).to_have_url(re.compile("/p/p/jobs/b/one$"))
