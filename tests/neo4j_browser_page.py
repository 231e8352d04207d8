"""A running Neo4j server comes in; its Browser, opened in headless Chromium and logged in, goes out.

`python docs/browser_screenshots.py` takes the pictures of the docs with it; tests ask what is drawn.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from neo4j_server import Neo4jServer

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

__all__ = ["chromium", "drop", "nodes_drawn", "opened", "picture", "run"]

_PATIENCE = 90_000  # milliseconds: a machine that is busy with other tests is slow
_NODES = "g.node"
_MENU = 60  # pixels that the buttons on the left take


def chromium() -> str | None:
    """Find Chromium, or a Chrome."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@contextmanager
def opened(server: Neo4jServer, *, width: int = 1280, height: int = 880) -> Iterator[Page]:
    """Open the classic Browser of a server, and log in."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        try:
            page = browser.new_page(viewport={"width": width, "height": height}, device_scale_factor=1.25)
            page.set_default_timeout(_PATIENCE)
            page.goto(f"{server.http_uri}/browser/")
            page.fill("[data-testid=username]", server.user)
            page.fill("[data-testid=password]", server.password)
            page.click("[data-testid=connect]")
            page.wait_for_selector("text=You are connected as user")
            page.locator("div:has(> span > span:text-is('settings')) > span >> nth=1").click()  # closes the notice on usage statistics
            yield page
        finally:
            browser.close()


def run(page: Page, command: str) -> None:
    """Type a query or a command into the editor, run it, and wait until its frame is there."""
    frames = page.locator("[data-testid=frameCommand]").count()
    page.click(".monaco-editor >> nth=0")
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(command)
    page.keyboard.press("Control+Enter")
    page.locator("[data-testid=frameCommand]").nth(frames).wait_for()


def drop(page: Page, file: Path) -> None:
    """Drop a file on the page, as a person would from a folder."""
    data = page.evaluate_handle(
        "([name, text]) => { const data = new DataTransfer(); data.items.add(new File([text], name)); return data }",
        [file.name, file.read_text(encoding="utf-8")],
    )
    page.dispatch_event(".filedrop", "drop", {"dataTransfer": data})


def nodes_drawn(page: Page) -> int:
    """Wait until the newest frame draws nodes, and count them."""
    page.wait_for_selector(_NODES)
    return page.locator("article >> nth=0").locator(_NODES).count()


def picture(page: Page, file: Path) -> None:
    """Fill the window with the newest frame, wait until its nodes lie still, and write a picture of it."""
    frame = page.locator("[data-testid=frame]").first
    frame.get_by_title("Fullscreen").click()
    frame.locator("g.node, table").first.wait_for()
    _wait_until_still(page)
    if frame.locator(_NODES).count():
        frame.get_by_label("zoom-to-fit").click()
        _wait_until_still(page)
        _uncover(page, frame)
    page.screenshot(path=file)
    frame.get_by_title("Close fullscreen").click()


def _uncover(page: Page, frame: Locator) -> None:
    """Move the picture to the middle of what the overview leaves free, smaller if need be: fitting takes no account of it."""
    edge = frame.get_by_text("Overview", exact=True).evaluate("text => text.getBoundingClientRect().left")
    left, right = _extent(frame)
    if right - left > edge - _MENU - 40:
        frame.get_by_label("zoom-out").click()
        page.wait_for_timeout(1000)  # it glides
        left, right = _extent(frame)
    page.mouse.move(edge - 60, 90)
    page.mouse.down()
    page.mouse.move(edge - 60 - (left + right - edge - _MENU) / 2, 90, steps=5)
    page.mouse.up()


def _extent(frame: Locator) -> tuple[float, float]:
    boxes = frame.locator(_NODES).evaluate_all("nodes => nodes.map(n => n.getBoundingClientRect()).map(r => [r.left, r.right])")
    return min(box[0] for box in boxes), max(box[1] for box in boxes)


def _wait_until_still(page: Page, *, seconds: int = 30) -> None:
    before = None
    for _ in range(2 * seconds):
        now = page.locator(f"[data-testid=frame] >> nth=0 >> {_NODES}").evaluate_all("nodes => nodes.map(n => n.getAttribute('transform'))")
        if now == before:
            return
        before = now
        page.wait_for_timeout(500)
