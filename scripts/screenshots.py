"""Take the README's screenshot, and those of every page for a look, from a running server.

    argus demo --port 8421            # in another terminal; it prints a one-time sign-in link
    python scripts/screenshots.py --sign-in-url 'http://127.0.0.1:8421/sign-in?code=…'
    python scripts/screenshots.py --sign-in-url … --all --out /tmp/pages

Needs Chromium and the extra `test`. Contacts nothing but the server.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

if TYPE_CHECKING:
    from playwright.sync_api import Page

WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@click.command()
@click.option("--sign-in-url", required=True)
@click.option("--project", default="demo", show_default=True)
@click.option("--out", default="docs", show_default=True, type=click.Path(path_type=Path, file_okay=False))
@click.option("--all", "takes_all", is_flag=True, help="Every page, light and dark, wide and narrow.")
@click.option("--chromium", default="/usr/bin/chromium", show_default=True)
def main(sign_in_url: str, project: str, out: Path, takes_all: bool, chromium: str) -> None:
    """Write PNG files to --out."""
    from playwright.sync_api import sync_playwright

    parts = urlsplit(sign_in_url)
    root = f"{parts.scheme}://{parts.netloc}"
    out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        context = browser.new_context(base_url=root, viewport=WIDE)
        page = context.new_page()
        page.goto(sign_in_url)
        state = context.storage_state()
        pages = (
            every_page(page, project)
            if takes_all
            else {"leaderboard": f"/p/{project}/leaderboard?group=cell"}
        )
        context.close()
        themes, sizes = ("light", "dark"), {"wide": WIDE, "narrow": NARROW}
        for theme in themes if takes_all else themes[:1]:
            for size, viewport in sizes.items() if takes_all else (("wide", WIDE),):
                context = browser.new_context(
                    base_url=root, viewport=viewport, color_scheme=theme, storage_state=state
                )
                page = context.new_page()
                for name, path in pages.items():
                    page.goto(path)
                    if page.locator(".curves[data-plotly]").count():
                        page.locator(".curves[data-js-ready]").wait_for(state="attached")
                    suffix = f"-{theme}-{size}" if takes_all else ""
                    page.screenshot(path=out / f"{name}{suffix}.png")
                    click.echo(out / f"{name}{suffix}.png")
                context.close()
        context = browser.new_context(base_url=root, viewport=WIDE)
        if takes_all:
            page = context.new_page()
            page.goto("/sign-in")
            page.screenshot(path=out / "sign-in.png")
            click.echo(out / "sign-in.png")
        browser.close()


def every_page(page: Page, project: str) -> dict[str, str]:
    """Return name → path of every page of the project, those of single things found by following links."""

    def first(path: str, selector: str, count: int = 1) -> list[str]:
        page.goto(path)
        found = page.locator(selector).evaluate_all("links => links.map(link => link.getAttribute('href'))")
        return found[:count]

    of = f"/p/{project}"
    board = f"{of}/leaderboard"
    jobs = first(f"{of}/jobs?status=done", f"tbody th a[href^='{of}/jobs/']", 3)
    failed = first(f"{of}/jobs?status=failed", f"tbody th a[href^='{of}/jobs/']")
    batches = first(f"{of}/batches", f"tbody a[href^='{of}/batches/']")
    compared = "&".join(f"job={path.removeprefix(of + '/jobs/')}" for path in jobs)
    pages = {
        "leaderboard": f"{board}?group=cell",
        "leaderboard-jobs": board,
        "leaderboard-models": f"{board}?group=model",
        "leaderboard-pairwise": f"{board}?group=model&missing=pairwise",
        "leaderboard-empty": f"{board}?model=nobody",
        "matrix": f"{of}/matrix",
        "matrix-transposed": f"{of}/matrix?transpose=1",
        "pairs": f"{of}/pairs",
        "pareto": f"{of}/pareto",
        "sensitivity": f"{of}/sensitivity",
        "doctor": f"{of}/doctor",
        "jobs": f"{of}/jobs",
        "batches": f"{of}/batches",
        "compare": f"{of}/compare?{compared}",
        "settings": f"{of}/settings",
        "tokens": "/tokens",
        "projects": "/",
        "unknown": "/p/no-such-project/leaderboard",
    }
    found = {"job": jobs[:1], "job-failed": failed, "batch": batches}
    return pages | {name: paths[0] for name, paths in found.items() if paths}


if __name__ == "__main__":
    main()
