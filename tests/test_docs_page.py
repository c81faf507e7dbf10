"""The page at /docs, as a person sees it: in a real browser, which asks nobody but us."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from accounts_service import app
from accounts_service.config import Settings
from accounts_service.web.openapi import document
from tests.support.browser import PATIENCE, chromium, somebody
from tests.support.installation import Installation
from tests.support.served import Served

pytestmark = pytest.mark.needs("chromium")


@pytest.fixture
def page() -> Iterator[Page]:
    """Give a page of a browser of this test's own."""
    with chromium() as browser:
        yield somebody(browser).new_page()


@pytest.fixture
def address(tmp_path: Path, sqlite_url: str, socket_enabled: None) -> Iterator[str]:  # noqa: ARG001  # by being there
    """Serve, and give the address."""
    with Served(Installation(tmp_path / "installation", sqlite_url)) as served:
        yield f"http://127.0.0.1:{served.port}"


@pytest.mark.timeout(5 * PATIENCE / 1000)
def test_the_page_draws_every_operation_and_asks_nobody_else(address: str, page: Page) -> None:
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(str(error)))
    # Of a long list it draws what is in view.
    page.set_viewport_size({"width": 1280, "height": 20_000})
    page.goto(f"{address}/docs")
    described: Any = document(app.FAMILIES.values(), Settings())
    methods = {"get", "head", "put", "post", "patch", "delete"}
    operations = sum(len(item.keys() & methods) for item in described["paths"].values())
    expect(page.locator(".opblock")).to_have_count(operations)
    # Opened, an operation says whom it is for, and shows good bodies.
    put = page.locator(".opblock-put").first
    put.locator(".opblock-summary-control").click()
    expect(put).to_contain_text("cluster:admin:searchguard:signals:account/put")
    expect(put).to_contain_text("mail.mycompany.example")
    assert [message for message in said if not re.match(r"(log|info|debug): ", message)] == []
    assert {urlsplit(url).path for url in asked if not url.startswith("data:")} == {
        "/docs",
        "/docs/start.js",
        "/docs/swagger-ui-bundle.js",
        "/docs/swagger-ui.css",
        "/openapi.json",
    }
    assert {urlsplit(url).netloc for url in asked if not url.startswith("data:")} == {urlsplit(address).netloc}
