"""A real browser, which asks nobody but us."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

from tests.support.needs import find

# No sandbox, since tests may run as root; nothing that asks hosts of its own; and no name is found but ours.
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)

# Milliseconds. Bounded, and long: Swagger UI reads a document for seconds where nothing else runs, and a browser is
# one of many that want the processor in a suite.
PATIENCE = 120_000


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start it, for the length of the block."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find("chromium"), headless=True, args=_FLAGS)
        expect.set_options(timeout=PATIENCE)
        yield browser
        browser.close()


def somebody(browser: Browser, *, scripts: bool = True) -> BrowserContext:
    """Give a new person's part of the browser, without cookies."""
    context = browser.new_context(java_script_enabled=scripts)
    context.set_default_timeout(PATIENCE)
    return context
