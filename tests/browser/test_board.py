"""The leaderboard under the hands: order, filters, columns, views, keys, and results that arrive."""

import re
from urllib.parse import parse_qsl, urlsplit

import pytest
from browser.test_live import Training
from playwright.sync_api import expect
from real_server import RealServer

BOARD = "/p/p/leaderboard"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = RealServer(tmp_path_factory.mktemp("board")).start()
    training = Training(server)
    for number, (model, dataset) in enumerate((m, d) for m in ("Alpha", "Beta", "Gamma") for d in "xy"):
        for seed in range(2):
            name = f"{model}-{dataset}-{seed}"
            training.start(name, model, dataset, seed)
            training.tell("job_epoch", name, epoch=0, val_loss=0.9)
            training.tell("job_epoch", name, epoch=1, val_loss=0.5)
            training.done(name, MSE=0.1 * (number + 1) + seed / 100, R2=0.9 - number / 10, Latency_P50=0.02)
    yield server
    server.end()


@pytest.fixture
def context(browser, server):
    context = browser.new_context(base_url=server.url, viewport={"width": 1200, "height": 700})
    cookies = getattr(server, "cookies", None)
    if cookies is None:
        context.new_page().goto(server.sign_in_url)
        server.cookies = context.cookies()
    else:
        context.add_cookies(cookies)
    yield context
    context.close()


@pytest.fixture
def page(context, server):
    """A page that fails the test on a script error, a CSP violation or a request to any other host."""
    page = context.new_page()
    problems = []
    page.on("pageerror", lambda error: problems.append(f"script error: {error}"))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on(
        "request",
        lambda request: None if request.url.startswith(server.url) else problems.append(request.url),
    )
    yield page
    assert problems == []


def query_of(page):
    return parse_qsl(urlsplit(page.url).query)


def jobs_on(page):
    return page.locator("table.board td.job").all_inner_texts()


def columns_of(page):
    return [text.split()[0] for text in page.locator("table.board thead th").all_inner_texts()]


def sort_further(page, column):
    header = page.get_by_role("columnheader", name=re.compile(f"^{column}"))
    with page.expect_navigation():
        header.get_by_role("link").click(modifiers=["Shift"])


def test_shift_sorts_by_further_columns_and_turns_them_round(page):
    page.goto(BOARD + "?sort=dataset&q=a")

    sort_further(page, "R2")
    assert query_of(page) == [("sort", "dataset"), ("q", "a"), ("order", "asc"), ("then", "-R2")]
    assert jobs_on(page)[0].startswith("Alpha-x")
    assert jobs_on(page)[6].startswith("Alpha-y")
    sort_further(page, "R2")
    sort_further(page, "Dataset")
    assert [text for name, text in query_of(page) if name == "then"] == ["R2"]
    assert dict(query_of(page))["order"] == "desc"
    assert jobs_on(page)[0].startswith("Gamma-y")
    sorted_by = page.locator("th[aria-sort]")
    expect(sorted_by).to_have_count(1)
    expect(sorted_by).to_have_attribute("aria-sort", "descending")


def test_filters_are_chosen_added_and_removed(page):
    page.goto(BOARD)
    page.locator("#filters summary").click()
    page.locator("#filters").get_by_role("link", name="Beta").click()
    assert query_of(page) == [("model", "Beta")]

    page.locator("#filters summary").click()
    page.get_by_label("Condition").fill("fast")
    page.get_by_role("button", name="Add", exact=True).click()
    assert query_of(page) == [("model", "Beta")]  # the browser refuses it
    page.get_by_label("Condition").fill("MSE<0.05")
    page.get_by_role("button", name="Add", exact=True).click()

    expect(page.get_by_text("Without where: MSE<0.05 there are 4 jobs.")).to_be_visible()
    page.get_by_role("link", name="Remove this filter", exact=True).click()
    assert len(jobs_on(page)) == 4
    page.get_by_role("link", name="model: Beta").click()
    assert len(jobs_on(page)) == 12


def test_columns_are_chosen_and_moved_without_a_round_trip(page):
    page.goto(BOARD + "?col=dataset&col=MSE&col=R2&sort=MSE")
    page.locator("#columns > summary").click()
    requests = []
    page.on("request", lambda request: requests.append(request.url))

    for _ in ("MSE", "Dataset", "Seed"):
        page.get_by_role("button", name="Move R2 to the left").click()
    expect(page.get_by_role("button", name="Move R2 to the left")).to_be_disabled()
    expect(page.get_by_role("button", name="Move R2 to the right")).to_be_focused()
    page.locator("#columns").get_by_role("checkbox", name="MSE").uncheck()
    page.locator("#columns").get_by_role("checkbox", name="val loss").check()
    assert requests == []
    page.get_by_role("button", name="Show these columns").click()

    assert columns_of(page) == ["#", "Model", "R2", "Seed", "Dataset", "val"]


def test_on_a_phone_the_controls_are_folded_and_open_without_a_script(page, browser, context, server):
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(BOARD)
    expect(page.get_by_label("Rank by")).to_be_hidden()
    assert page.locator("table.board").bounding_box()["y"] < 844 / 2
    by_metric = page.locator("table.board tbody td.by").first.bounding_box()
    assert by_metric["x"] + by_metric["width"] < 390
    expect(page.locator("table.board td.about").first).to_be_hidden()
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    page.set_viewport_size({"width": 1200, "height": 844})
    page.goto(BOARD)
    expect(page.get_by_label("Rank by")).to_be_visible()
    expect(page.locator("#controls > summary")).to_be_hidden()

    phone = browser.new_context(
        base_url=server.url,
        storage_state=context.storage_state(),
        java_script_enabled=False,
        viewport={"width": 390, "height": 844},
    )
    plain = phone.new_page()
    plain.goto(BOARD)
    plain.get_by_text("Search, filters, columns").click()
    plain.get_by_label("Rank by").select_option("R2")
    plain.get_by_role("button", name="Show", exact=True).click()
    assert query_of(plain) == [("sort", "R2")]
    phone.close()


def test_a_view_is_saved_and_opened_again(page):
    page.goto(BOARD + "?dataset=y&sort=R2&col=R2")
    page.get_by_text("Save view").click()
    page.get_by_label("Save what is shown as").fill("R2 on y")
    page.get_by_role("button", name="Save", exact=True).click()
    page.goto(BOARD)

    page.get_by_role("link", name="R2 on y").click()

    assert query_of(page) == [("sort", "R2"), ("col", "R2"), ("dataset", "y")]
    expect(page.get_by_role("link", name="R2 on y")).to_have_attribute("aria-current", "page")
    page.get_by_text("Views", exact=True).click()
    page.get_by_role("button", name="Delete R2 on y").click()
    expect(page.get_by_role("link", name="R2 on y")).to_have_count(0)


def test_everything_works_from_the_keyboard(page):
    page.goto(BOARD)
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("jk?x")  # who types, types
    expect(page.get_by_role("searchbox")).to_have_value("jk?x")
    page.get_by_role("searchbox").fill("")
    page.keyboard.press("Escape")

    page.keyboard.press("j")
    page.keyboard.press("x")
    page.keyboard.press("c")
    expect(page.locator("#news")).to_have_text("Select 2 to 8 jobs to compare them; 1 are selected.")
    for key in "jjkx":
        page.keyboard.press(key)
    expect(page.locator("tr:has(input:focus)")).to_have_attribute("data-row", "b/Alpha-x-1")
    expect(page.get_by_role("button", name="Compare 2 selected")).to_be_visible()

    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_hidden()

    with page.expect_navigation():
        page.keyboard.press("c")
    assert urlsplit(page.url).path == "/p/p/compare"
    assert query_of(page) == [("job", "b/Alpha-x-0"), ("job", "b/Alpha-x-1")]


def test_keys_can_be_turned_off_and_stay_off(page):
    page.goto(BOARD)
    page.get_by_role("button", name="Keyboard").click()
    page.get_by_label("Single keys work").uncheck()
    page.get_by_role("button", name="Close").click()

    page.reload()
    page.keyboard.press("j")
    expect(page.locator("table.board tr:focus-within")).to_have_count(0)
    page.keyboard.press("?")
    page.get_by_label("Single keys work").check()
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    expect(page.locator("table.board tr:focus-within")).to_have_count(1)


def test_a_result_arrives_where_it_belongs_and_is_said_while_focus_and_selection_stay(page, server):
    training = Training(server)
    page.goto(BOARD + "?dataset=x&sort=MSE")
    page.keyboard.press("j")
    page.keyboard.press("x")
    before = jobs_on(page)

    training.start("new", "Delta", "x", 7)
    training.done("new", MSE=0.05, R2=0.99)

    expect(page.locator("#news")).to_have_text("1 new result: Delta on x, seed 7, MSE 0.050")
    assert jobs_on(page) == ["new", *before]
    expect(page.locator("tr:has(input:checked)")).to_have_attribute("data-row", "b/Alpha-x-0")
    expect(page.locator("tr:has(input:focus)")).to_have_attribute("data-row", "b/Alpha-x-0")
    expect(page.get_by_role("button", name="Compare 1 selected")).to_be_visible()


def test_without_javascript_all_of_it_is_links_and_forms(browser, server, context):
    plain = browser.new_context(base_url=server.url, java_script_enabled=False)
    plain.add_cookies(context.cookies() or server.cookies)
    page = plain.new_page()
    page.goto(BOARD + "?sort=dataset")

    page.locator("#order summary").click()
    page.get_by_label("then by").select_option("MSE")
    page.locator("#order").get_by_role("button", name="Add").click()
    assert ("then", "MSE") in query_of(page)
    page.locator("#columns summary").click()
    page.get_by_role("button", name="Move MSE to the left").click()
    assert page.url.endswith("#columns-list")
    assert [value for name, value in query_of(page) if name == "col"][:3] == ["dataset", "MSE", "seed"]
    expect(page.get_by_role("button", name="Show these columns")).to_be_visible()  # it is open still
    page.locator("#columns summary").click()
    page.get_by_role("checkbox", name="Select Alpha on x, seed 0").check()
    page.get_by_role("checkbox", name="Select Beta on x, seed 0").check()
    page.get_by_role("button", name="Compare selected").click()
    assert query_of(page) == [("job", "b/Alpha-x-0"), ("job", "b/Beta-x-0")]
    plain.close()
