"""The curves of a job in a real browser: zoom, scales, keyboard, growth, and what is there without it."""

import math
import time
import uuid
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import requests
from playwright.sync_api import expect
from real_server import RealServer

JOB = "/p/p/jobs/b/patch-0"
PLOT = ".plot.js-plotly-plot"


class Training:
    """Sends events of the project `p`, as a training of the last ten minutes would."""

    def __init__(self, server):
        self.url, self.token = server.url, server.make_token("report")
        self.began = datetime.now(timezone.utc) - timedelta(minutes=10)

    def send(self, *events):
        headers = {"Authorization": f"Bearer {self.token}"}
        answer = requests.post(
            f"{self.url}/api/events/batch", json={"events": events}, headers=headers, timeout=10
        )
        assert answer.status_code == 200, answer.text

    def event(self, kind, job, *, at, **data):
        return {
            "event_id": str(uuid.uuid4()),
            "schema_version": "1.1",
            "event_type": kind,
            "timestamp": (self.began + timedelta(seconds=at)).isoformat(),
            "batch_id": "b",
            "job_id": job,
            "source": {"project": "p"},
            "data": data,
        }

    def start(self, job, model, seed, *, dataset="ETTh1", epochs=30, first=0, **more):
        begin = self.event(
            "job_start", job, at=1, model=model, dataset=dataset, seed=seed, epochs_total=99, **more
        )
        self.send(begin, *(self.epoch(job, number) for number in range(first, epochs)))

    def epoch(self, job, number):
        loss = math.exp(-number / 8) + 0.01
        return self.event(
            "job_epoch",
            job,
            at=10 * (number + 1),
            epoch=number,
            val_loss=loss,
            train_loss=0.9 * loss,
            lr=0.1 / (number + 1),
        )

    def done(self, job, **metrics):
        self.send(self.event("job_done", job, at=400, metrics=metrics, elapsed_s=399.0))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = RealServer(tmp_path_factory.mktemp("curves")).start()
    training = Training(server)
    for seed in range(3):
        training.start(f"patch-{seed}", "PatchTST", seed, config={"lr": 0.1})
        training.done(f"patch-{seed}", MSE=0.3 + seed / 100)
    training.start("linear-0", "DLinear", 0, config={"lr": 0.2})
    training.done("linear-0", MSE=0.2)
    yield server
    server.end()


@pytest.fixture(scope="module")
def training(server):
    return Training(server)


@pytest.fixture(scope="module")
def state(browser, server):
    context = browser.new_context()
    context.new_page().goto(server.sign_in_url)
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def page(browser, server, state):
    """A page that fails the test on a script error, on anything the policy forbids, and on another host."""
    context = browser.new_context(base_url=server.url, storage_state=state)
    page = context.new_page()
    problems = []
    page.on("pageerror", lambda error: problems.append(f"script error: {error}"))
    page.on(
        "console",
        lambda message: (
            problems.append(message.text) if message.type in ("error", "warning", "trace") else None
        ),
    )
    page.on(
        "request",
        lambda request: None if request.url.startswith(server.url) else problems.append(request.url),
    )
    page.add_init_script(
        "document.addEventListener('securitypolicyviolation', e => console.error(e.violatedDirective))"
    )
    yield page
    context.close()
    assert problems == []


def opened(page, path=JOB):
    page.goto(path)
    expect(page.locator(".curves[data-js-ready]")).to_be_attached(timeout=20_000)
    return page.locator(PLOT).first


def until(page, condition, timeout_s=20):
    """Wait for something to hold of the first chart. Playwright's own wait needs an eval in the page."""
    ends = time.monotonic() + timeout_s
    while not page.evaluate(f"!!(document.querySelector('{PLOT}')?.{condition})"):
        assert time.monotonic() < ends, condition
        page.wait_for_timeout(50)


def axis(plot, name="xaxis"):
    return plot.evaluate(f"plot => plot._fullLayout.{name}.range.slice()")


def drag(page, plot, start, end):
    """Press the pointer at one place of the drawing area, given in parts of it, and let go at another."""
    box = plot.locator(".nsewdrag").bounding_box()
    places = [(box["x"] + box["width"] * x, box["y"] + box["height"] * y) for x, y in (start, end)]
    page.mouse.move(*places[0])
    page.mouse.down()
    page.mouse.move(*places[1], steps=6)
    page.mouse.up()


def test_a_drag_zooms_and_a_double_click_resets(page):
    plot = opened(page)
    whole = axis(plot)

    drag(page, plot, (0.25, 0.2), (0.5, 0.8))
    until(page, "_fullLayout.xaxis.range[1] < 20")
    low, high = axis(plot)
    assert low == pytest.approx(whole[0] + 0.25 * (whole[1] - whole[0]), abs=0.5)
    assert high == pytest.approx(whole[0] + 0.5 * (whole[1] - whole[0]), abs=0.5)

    page.wait_for_timeout(400)  # two clicks soon after a drag would be a triple click
    box = plot.locator(".nsewdrag").bounding_box()
    page.mouse.dblclick(box["x"] + 100, box["y"] + 60)
    until(page, "_fullLayout.xaxis.range[1] > 25")
    assert axis(plot) == pytest.approx(whole)


def test_log_scale_and_time_are_in_the_address_and_survive_a_reload(page):
    opened(page)

    page.get_by_label("log scale").check()
    page.get_by_label("over").select_option("time")
    until(page, "_fullLayout.yaxis.type === 'log'")
    until(page, "layout.xaxis.title.text.includes('since')")

    assert page.url.endswith("&log=1&axis=time")
    page.reload()
    until(page, "_fullLayout?.yaxis.type === 'log'")
    expect(page.get_by_label("log scale")).to_be_checked()


def test_the_axis_of_a_few_epochs_has_a_tick_at_each_and_none_between(page, training):
    training.start("short", "RNN", 0, epochs=3)
    training.done("short", MSE=0.4)
    plot = opened(page, "/p/p/jobs/b/short")
    ticks = plot.locator(".xtick text")

    expect(ticks).to_have_text(["0", "1", "2"])
    page.get_by_label("Zoom in").first.click()
    until(page, "_fullLayout.xaxis.range[0] > 0.2")
    expect(ticks).to_have_text(["1"])

    opened(page)
    expect(ticks.first).to_have_text("0")
    assert [int(text) for text in ticks.all_text_contents()] == [0, 5, 10, 15, 20, 25]


def test_every_metric_of_the_epochs_can_be_chosen(page):
    opened(page)
    assert page.locator(".figure").count() == 1

    page.get_by_text("Curves 2 of 3").click()
    page.get_by_role("checkbox", name="lr").check()

    expect(page.locator(".figure .plot.js-plotly-plot")).to_have_count(2)
    titles = [item.get_attribute("data-title") for item in page.locator(".figure").all()]
    assert titles == ["loss", "lr"]
    assert "curve=lr" in page.url


def test_the_other_seeds_are_grey_lines_behind(page):
    plot = opened(page)

    names = plot.evaluate("plot => plot.data.map(trace => [trace.name, trace.line.color])")

    assert [name for name, _ in names] == ["seed 1", "seed 2", "train_loss", "val_loss"]
    assert names[0][1] == names[1][1] not in (names[2][1], names[3][1])


def test_values_can_be_read_and_the_chart_zoomed_by_keyboard_only(page):
    plot = opened(page)
    plot.focus()

    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    readout = page.locator("output.readout")
    expect(readout).to_contain_text("epoch 1: train_loss 0.80325, val_loss 0.89250")
    page.keyboard.press("End")
    expect(readout).to_contain_text("epoch 29")

    whole = axis(plot)
    page.keyboard.press("+")
    until(page, "_fullLayout.xaxis.range[1] < 28")
    assert axis(plot)[1] - axis(plot)[0] == pytest.approx((whole[1] - whole[0]) / 2)
    page.keyboard.press("Tab")  # the buttons stand before the chart, and Shift goes back to them
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    assert page.evaluate("document.activeElement.textContent") == "Reset"
    page.keyboard.press("Enter")
    until(page, "_fullLayout.xaxis.range[1] > 28")


def test_the_pointer_shows_the_values_of_all_lines(page):
    plot = opened(page)
    box = plot.locator(".nsewdrag").bounding_box()

    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)

    expect(plot.locator(".hoverlayer .legendtext")).to_have_count(2)
    assert "val_loss" in plot.locator(".hoverlayer").text_content()


def test_the_curve_grows_without_a_reload_and_the_zoom_stays(page, training):
    training.start("grows", "GRU", 0, epochs=5)
    plot = opened(page, "/p/p/jobs/b/grows")
    page.evaluate("window.notReloaded = true")
    expect(page.locator("[data-live-state='on']")).to_have_text("live")
    drag(page, plot, (0.25, 0.2), (0.75, 0.8))
    until(page, "_fullLayout.xaxis.range[0] > 0.5")
    zoomed = axis(plot)

    training.send(training.epoch("grows", 5), training.epoch("grows", 6))

    until(page, "data.at(-1).x.length === 7")
    assert axis(plot) == pytest.approx(zoomed)
    expect(page.locator("#job-top")).to_contain_text("7 of 99")
    training.done("grows", MSE=0.25)
    expect(page.locator("#job-metrics")).to_contain_text("0.250")
    expect(page.locator("#job-said")).to_contain_text("The job is done, 7 of 99 epochs")
    assert page.evaluate("window.notReloaded")


def test_a_later_attempt_replaces_the_end_of_the_curve(page, training):
    training.start("again", "GRU", 1, epochs=9)
    opened(page, "/p/p/jobs/b/again")

    retried = training.event("job_start", "again", at=500, model="GRU", dataset="ETTh1", seed=1)
    training.send(
        retried, {**training.epoch("again", 4), "timestamp": training.event("x", "", at=501)["timestamp"]}
    )

    until(page, "data.at(-1).x.length === 5")


def test_a_page_that_was_open_before_the_first_epoch_gets_its_curves(page, training):
    training.start("young", "GRU", 2, epochs=0)
    page.goto("/p/p/jobs/b/young")
    expect(page.get_by_text("No epoch has reported a number yet")).to_be_visible()
    expect(page.locator("[data-live-state='on']")).to_have_text("live")

    training.send(training.epoch("young", 0), training.epoch("young", 1))

    expect(page.locator(PLOT)).to_have_count(1, timeout=20_000)


def test_without_javascript_the_chart_and_its_choices_are_there(browser, server, state):
    context = browser.new_context(base_url=server.url, storage_state=state, java_script_enabled=False)
    page = context.new_page()

    page.goto(JOB)
    expect(page.locator("svg.chart polyline")).to_have_count(4)
    page.get_by_label("log scale").check()
    page.get_by_label("over").select_option("time")
    page.get_by_role("button", name="Show").click()

    expect(page.locator("figcaption")).to_contain_text("since the start")
    assert "log=1" in page.url
    context.close()


def test_without_plotly_the_svg_stays(page, server):
    page.route(
        "**/plotly.min.*.js", lambda route: route.fulfill(status=200, content_type="text/javascript", body="")
    )
    page.goto(JOB)
    page.wait_for_load_state("networkidle")

    expect(page.locator("svg.chart polyline")).to_have_count(4)


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without"])
def test_jobs_that_are_chosen_in_the_list_stand_side_by_side(browser, server, state, scripts):
    context = browser.new_context(base_url=server.url, storage_state=state, java_script_enabled=scripts)
    page = context.new_page()

    page.goto("/p/p/jobs?status=done")
    for name in ("patch-0", "linear-0"):
        page.get_by_role("checkbox", name=f"compare {name}").check()
    page.get_by_role("button", name="Compare selected").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("2 jobs compared")
    rows = [item.inner_text().split()[0] for item in page.locator("tbody th[scope=row]").all()]
    assert rows[:2] == ["MSE", "lr"]
    page.get_by_role("link", name="Everything").click()
    assert page.locator("tbody th[scope=row]").count() > len(rows)
    context.close()


def test_the_curves_of_compared_jobs_are_told_apart_by_colour_and_dash(page):
    path = "/p/p/compare?job=b/patch-0&job=b/linear-0&job=b/patch-2"
    plot = opened(page, path)

    lines = plot.evaluate("plot => plot.data.map(trace => [trace.name, trace.line.color, trace.line.dash])")
    assert [name for name, _, _ in lines] == ["PatchTST · seed 0", "DLinear · seed 0", "PatchTST · seed 2"]
    assert len({colour for _, colour, _ in lines}) == len({dash for _, _, dash in lines}) == 3
    with page.expect_download() as caught:
        page.get_by_role("link", name="CSV").click()
    assert "b/linear-0" in Path(caught.value.path()).read_text(encoding="utf-8").splitlines()[0]
    page.get_by_role("link", name="Take DLinear · seed 0 out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("2 jobs compared")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_lines_have_the_colours_of_the_theme_and_the_page_fits(page, scheme):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": 390, "height": 844})
    plot = opened(page)

    colours = plot.evaluate("plot => plot.data.map(trace => trace.line.color)")
    assert colours[-1] == {"light": "#0072b2", "dark": "#56b4e9"}[scheme]
    assert page.evaluate("document.documentElement.scrollWidth") <= 390

    page.emulate_media(color_scheme={"light": "dark", "dark": "light"}[scheme])
    until(page, "data.at(-1).line.color !== '{colours[-1]}'")
