"""Take the README's screenshot, and those of every page for a look, from a running server.

    argus demo --port 8421            # in another terminal; it prints a one-time sign-in link
    python scripts/screenshots.py --sign-in-url 'http://127.0.0.1:8421/sign-in?code=…'
    python scripts/screenshots.py --sign-in-url … --all --out /tmp/pages

Needs Chromium and the extra `test`. Contacts nothing but the server.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import click

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
    board = f"/p/{project}/leaderboard"
    pages = {"leaderboard": f"{board}?group=cell"}
    if takes_all:
        pages |= {
            "leaderboard-jobs": board,
            "leaderboard-dataset": f"{board}?group=cell&dataset=sunspots",
            "jobs": f"/p/{project}/jobs",
            "tokens": "/tokens",
            "projects": "/",
            "unknown": "/p/no-such-project/leaderboard",
        }
    out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        state = None
        for theme in ("light", "dark") if takes_all else ("light",):
            for size, viewport in (("wide", WIDE), ("narrow", NARROW)) if takes_all else (("wide", WIDE),):
                context = browser.new_context(viewport=viewport, color_scheme=theme, storage_state=state)
                page = context.new_page()
                if state is None:
                    page.goto(sign_in_url)
                    state = context.storage_state()
                for name, path in pages.items():
                    page.goto(root + path)
                    suffix = f"-{theme}-{size}" if takes_all else ""
                    page.screenshot(path=out / f"{name}{suffix}.png")
                    click.echo(out / f"{name}{suffix}.png")
                context.close()
        browser.close()


if __name__ == "__main__":
    main()
