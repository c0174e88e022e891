"""A real browser for tests of pages, driven by Playwright: the Chromium of the system, if there is one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page, sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
REFUSED = "Failed to load resource: the server responded with a status of "
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@contextmanager
def browsing(width: int = 1000, dark: bool = False, refused: bool = False) -> Iterator[Page]:
    """A page of a fresh browser. What fails in its scripts, or breaks its security policy, fails the test.

    So does a request that a server refuses, unless ``refused`` says that some will be.
    """
    problems: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme="dark" if dark else "light")
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
        yield page
        browser.close()
    assert [problem for problem in problems if not (refused and problem.startswith(REFUSED))] == []
