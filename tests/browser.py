"""A real browser, for tests and for pictures."""

import shutil
from contextlib import contextmanager

import pytest

BROWSER = next(
    (p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None
)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
needs_browser = [
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium here: apt install chromium"),
]


@contextmanager
def opened(flags=FLAGS):
    """A browser, closed in the end."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=flags)
        yield browser
        browser.close()


def browser_tests(cls):
    for mark in needs_browser:
        cls = mark(cls)
    return cls


def settle(page):
    """Wait until no colour is on its way to another: axe-core judges what it sees."""
    page.wait_for_timeout(300)
    page.evaluate("Promise.allSettled(document.getAnimations().map(a => a.finished))")


def violations(page):
    """Return what axe-core finds; to write down what is in order, too, takes twice as long."""
    from axe_playwright_python.sync_playwright import Axe

    options = {"preload": False, "resultTypes": ["violations"]}
    return Axe().run(page, options=options).response["violations"]
