"""A real Chromium, and tabs in it that tell when something went wrong."""

import os
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from tests.browser import find

PATIENCE = 60_000
"""Milliseconds to wait for something to show, on a busy machine."""
_PROBE = re.compile(r"/\w+/_stcore/(health|host-config)")
"""Where Streamlit's own page looks for its server first when the address is not the root; a 404 there is no trouble."""
NewTab = Callable[..., Page]
expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium for one module: kept longer, its event loop would be in the way of other tests' own."""
    path = find()
    if path is None:
        how = "no Chromium found: run python -m tests.browser, or set ATTUNE_CHROMIUM to one"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(how)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def troubles() -> list[str]:
    """What went wrong in any tab: errors on the console, uncaught exceptions, requests to another host."""
    return []


@pytest.fixture(autouse=True)
def untroubled(troubles: list[str]) -> Iterator[None]:
    """Fails the test in which a tab saw trouble; one that provokes some clears the list."""
    yield
    found = troubles.copy()
    troubles.clear()
    assert not found


@pytest.fixture(scope="module")
def new_tab(browser: Browser, troubles: list[str]) -> Iterator[NewTab]:
    """Opens a tab in a profile of its own, as another person's browser would be; options as for a Playwright context."""
    contexts = []

    def open_tab(**options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda said: _heard(said, troubles))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("request", lambda asked: _note(asked.url, troubles))
        page.on("websocket", lambda socket: _note(socket.url, troubles))
        return page

    yield open_tab
    for context in contexts:
        context.close()


def _heard(said: ConsoleMessage, troubles: list[str]) -> None:
    at = said.location["url"]
    if said.type == "error" and not _PROBE.fullmatch(urlsplit(at).path):
        troubles.append(f"{said.text} ({at})")


def _note(url: str, troubles: list[str]) -> None:
    at = urlsplit(url)
    if at.scheme not in ("data", "blob") and at.hostname != "127.0.0.1":
        troubles.append(f"a request left for {url}")
