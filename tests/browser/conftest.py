"""A finished demo, and a real Chromium that looks at it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass

import pytest
from playwright.sync_api import sync_playwright

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@dataclass(frozen=True)
class FinishedDemo:
    """A demo that has trained and keeps serving."""

    url: str
    sign_in_url: str
    output: str


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """The demo with two seeds and few epochs: fewer jobs, the same way through."""
    errors = tmp_path_factory.mktemp("demo") / "errors.log"
    with errors.open("w") as error_file:
        process = subprocess.Popen(
            [sys.executable, "-m", "argus_core", "demo", "--seeds", "2", "--epochs", "3"],
            stdout=subprocess.PIPE,
            stderr=error_file,
            text=True,
            env={**os.environ, "COLUMNS": "160"},
        )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("Serving until Ctrl-C"):
            break
    output = "".join(lines)
    link = re.search(r"^Sign in once: +(http\S+)$", output, re.MULTILINE)
    if link is None:
        process.kill()
        process.communicate()
        pytest.fail(f"the demo did not finish:\n{output}\n{errors.read_text()}")
    yield FinishedDemo(link[1].partition("/sign-in")[0], link[1], output)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 0, errors.read_text()


@pytest.fixture(scope="session")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def signed_in(browser, demo):
    """The cookies of a browser that followed the one-time link."""
    context = browser.new_context()
    context.new_page().goto(demo.sign_in_url)
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def page(browser, demo, signed_in):
    """A page that fails the test on a script error or on a request to any other host."""
    context = browser.new_context(storage_state=signed_in, base_url=demo.url, accept_downloads=True)
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(f"script error: {error}"))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on(
        "request",
        lambda request: None if request.url.startswith(demo.url) else problems.append(f"asked {request.url}"),
    )
    yield page
    context.close()
    assert problems == []
