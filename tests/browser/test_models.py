"""The models of a project in a real browser: without a script, and live."""

import pytest
from browser.test_live import Training, is_live
from playwright.sync_api import expect
from real_server import RealServer


@pytest.fixture
def server(tmp_path):
    server = RealServer(tmp_path).start()
    yield server
    server.end()


@pytest.fixture
def training(server):
    """Three models on two datasets; Gamma has no result on the second one yet."""
    training = Training(server)
    for place, model in enumerate(("Alpha", "Beta", "Gamma")):
        for dataset in ("x", "y"):
            name = f"{model}-{dataset}"
            training.start(name, model, dataset, 0)
            if name != "Gamma-y":
                training.done(name, MSE=1.0 + place, MAE=3.0 - place, Latency_P50=0.03 / (place + 1))
    return training


def ranked(page):
    return page.locator("table.board tbody th > a:first-child").all_inner_texts()


def test_without_a_script_models_are_ranked_compared_and_taken_along(browser, server, training):
    context = browser.new_context(base_url=server.url, java_script_enabled=False)
    page = context.new_page()
    page.goto(server.sign_in_url)
    page.goto("/p/p/leaderboard?group=model")
    assert ranked(page) == ["Alpha", "Beta"]
    expect(page.locator("#unranked + div")).to_contain_text("y running")

    page.get_by_label("Rank by").select_option("MAE")
    page.get_by_label("missing").select_option("shared")
    page.get_by_role("button", name="Show", exact=True).click()
    assert ranked(page) == ["Gamma", "Beta", "Alpha"]
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    assert download.value.path().read_text().splitlines()[1].startswith("1,1,Gamma,1,false,1.0,")

    for name, figure in (("Pairs", "svg.cd"), ("Pareto", "svg.pareto"), ("Sensitivity", "svg.slope")):
        page.get_by_label("Models", exact=True).get_by_role("link", name=name).click()
        assert "metric=MAE" in page.url
        expect(page.locator(figure)).to_be_visible()
    context.close()


def test_on_a_phone_quality_against_cost_shows_its_chart_above_its_table(browser, server, training):
    context = browser.new_context(base_url=server.url, viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.goto(server.sign_in_url)
    page.goto("/p/p/pareto")

    figure, table = page.locator("#diagram").bounding_box(), page.locator("#board").bounding_box()
    assert figure["width"] > 300
    assert table["width"] > 300
    assert figure["y"] + figure["height"] <= table["y"]
    assert page.locator("figcaption").bounding_box()["height"] < 100
    assert page.evaluate("document.documentElement.scrollHeight") < 1200
    context.close()


def test_the_last_missing_result_ranks_a_model_while_the_page_is_open(browser, server, training):
    context = browser.new_context(base_url=server.url)
    page = context.new_page()
    page.goto(server.sign_in_url)
    page.goto("/p/p/leaderboard?group=model")
    is_live(page)
    page.evaluate("window.notReloaded = true")

    training.done("Gamma-y", MSE=0.5)

    expect(page.locator("table.board tbody th")).to_have_count(3)
    expect(page.locator("#unranked")).to_have_count(0)
    assert page.evaluate("window.notReloaded")
    context.close()


def test_keys_walk_the_rows_of_models_and_of_the_matrix_and_list_themselves(browser, server, training):
    context = browser.new_context(base_url=server.url)
    page = context.new_page()
    page.goto(server.sign_in_url)
    for path, first in (("/p/p/leaderboard?group=model", "Alpha"), ("/p/p/matrix", "Alpha")):
        page.goto(path)
        page.keyboard.press("?")
        expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
        page.keyboard.press("Escape")
        page.keyboard.press("j")
        expect(page.get_by_role("link", name=first, exact=True)).to_be_focused()
        page.keyboard.press("j")
        expect(page.get_by_role("link", name="Beta", exact=True)).to_be_focused()
        page.keyboard.press("o")
        page.wait_for_url("**model=Beta**")
    context.close()
