"""Mention's page as a person sees it: in a real browser, from an app and back to it."""

from __future__ import annotations

import http.server
import json
import random
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from accounts_service.families.mention.store.apps import Apps
from accounts_service.families.mention.views.grants import leads_to
from accounts_service.web.services import Services
from tests.families.test_mention_oauth import BELOW, HOST, LEADS, LEADS_ELSEWHERE
from tests.support import browser
from tests.support.installation import Installation
from tests.support.mention import AUTHOR, JOHNS_PASSWORD, furnish
from tests.support.netbird import behind
from tests.support.served import Served

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.usefixtures("socket_enabled")]

JOHNS = "j.smith@nasa.com"
STATE = "a b+c&d=é\"'<x>"
REFUSED = "Failed to load resource: the server responded with a status of 400"


class App:
    """A tiny app: what its addresses answer, and with which queries its callback was called."""

    def __init__(self) -> None:
        self.arrived: list[str] = []
        self.pages: dict[str, str] = {}
        self.goes_on_to = ""
        app = self

        class Handler(http.server.BaseHTTPRequestHandler):
            """Answers browsers."""

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                if parts.path == "/cb":
                    app.arrived.append(parts.query)
                leads_on = parts.path == "/cb" and app.goes_on_to
                self.send_response(302 if leads_on else 200)
                if leads_on:
                    self.send_header("Location", app.goes_on_to)
                self.send_header("Content-Type", "text/html; charset=UTF-8")
                self.end_headers()
                page = app.pages.get(parts.path, "<p>Arrived.</p>")
                self.wfile.write(f'<!doctype html><title>App</title><link rel="icon" href="data:,">{page}'.encode())

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @contextmanager
    def running(self) -> Iterator[App]:
        """Answer for the length of the block."""
        self._thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser.chromium() as chromium:
        yield chromium


@pytest.fixture
def app(socket_enabled: None) -> Iterator[App]:
    del socket_enabled
    with App().running() as app:
        yield app


@pytest.fixture(scope="module")
def served(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve; the tests share it, each with an app of its own."""
    folder = tmp_path_factory.mktemp("served")
    url = f"sqlite:///{shutil.copy(migrated_sqlite, folder / 'accounts.db')}"
    with Served(Installation(folder / "installation", url)) as served:
        yield served


@pytest.fixture(scope="module")
def services(served: Served) -> Iterator[Services]:
    with behind(served) as services:
        furnish(services)
        yield services


@pytest.fixture
def order(app: App, services: Services) -> dict[str, str]:
    """Register the app; gives what it asks for a token with, but for the code."""
    with services.database.transaction(Apps, AUTHOR) as apps:
        client_id, secret = apps.register("Media <Watch>", [f"{app.address}/cb"])
    made = {"client_id": client_id, "client_secret": secret, "redirect_uri": f"{app.address}/cb"}
    return {**made, "grant_type": "authorization_code"}


@pytest.fixture
def consent(served: Served, order: dict[str, str]) -> str:
    """Give the address to which the app sends a browser."""
    asked = {**order, "response_type": "code", "state": STATE}
    query = urlencode({name: asked[name] for name in ("client_id", "redirect_uri", "response_type", "state")})
    return f"http://127.0.0.1:{served.port}/mention/authorize?{query}"


class Person:
    """Somebody at a browser of his own, which may have no scripts. `said`: what the browser found wrong."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.said: list[str] = []
        page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.said.append(str(error)))

    def sign_in(self, password: str = JOHNS_PASSWORD) -> None:
        """Fill in the form, and press Enter."""
        self.page.get_by_label("Email").fill(JOHNS)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_label("Password").press("Enter")

    def press(self, name: str) -> None:
        """Press a button."""
        self.page.get_by_role("button", name=name, exact=True).click()

    def arrives(self, app: App) -> dict[str, str]:
        """Wait till the browser is at the app; gives what it brings."""
        self.page.wait_for_url(f"{app.address}/**")
        expect(self.page.locator("body")).to_contain_text("Arrived.")
        (query,) = app.arrived
        assert urlsplit(self.page.url).query == query
        return dict(parse_qsl(query, keep_blank_values=True))


@pytest.fixture(params=(True, False), ids=("with scripts", "without scripts"))
def person(request: pytest.FixtureRequest, chromium: Browser) -> Iterator[Person]:
    context = browser.somebody(chromium, scripts=request.param)
    yield Person(context.new_page())
    context.close()


@pytest.fixture
def scripted(chromium: Browser) -> Iterator[Person]:
    context = browser.somebody(chromium)
    yield Person(context.new_page())
    context.close()


def posted(served: Served, path: str, fields: dict[str, str]) -> Any:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    return served.ask("POST", path, by=None, headers=form, body=urlencode(fields).encode())


def test_who_signs_in_and_allows_arrives_at_the_app_with_a_code(
    person: Person, consent: str, app: App, served: Served, order: dict[str, str]
) -> None:
    page = person.page
    page.goto(consent)
    expect(page).to_have_title("Sign in")
    expect(page.get_by_text("asks for access to your account")).to_contain_text("Media <Watch>")
    expect(page.get_by_label("Email")).to_be_focused()
    person.sign_in("Wrongpass1")
    expect(page.get_by_role("alert")).to_have_text("The email or the password is not right.")
    expect(page.get_by_label("Password")).to_have_value("")
    person.sign_in()
    expect(page).to_have_title("Allow Media <Watch>?")
    expect(page.locator("main")).to_contain_text("You are signed in as John Smith (j.smith@nasa.com).")
    assert page.url == consent
    # The page is drawn as it is meant to be, so its style was let in.
    assert page.locator("main").evaluate("main => getComputedStyle(main).borderRadius") == "12px"
    (cookie,) = page.context.cookies(consent)
    assert (cookie["httpOnly"], cookie["secure"], cookie["sameSite"]) == (True, True, "Lax")
    person.press("Allow")
    brought = person.arrives(app)
    assert brought == {"code": brought["code"], "state": STATE}
    assert [line for line in person.said if not line.startswith(f"error: {REFUSED}")] == []
    assert len(person.said) == 1
    answer = posted(served, "/mention/oauth/v2/token", {**order, "code": brought["code"]})
    token = answer.json["access_token"]
    account = served.ask("GET", "/accounts/me", by=None, headers={"Authorization": f"Bearer {token}"})
    assert account.json["account"]["email"] == JOHNS
    log = served.log.read_text()
    for secret in ("Wrongpass1", JOHNS_PASSWORD, brought["code"], token, order["client_secret"], cookie["value"]):
        assert secret not in log


def test_who_denies_arrives_at_the_app_without_a_code(person: Person, consent: str, app: App) -> None:
    person.page.goto(consent)
    person.sign_in()
    person.press("Deny")
    brought = person.arrives(app)
    assert (brought["error"], brought["state"], "code" in brought) == ("access_denied", STATE, False)
    assert person.said == []


def test_who_goes_back_without_signing_in_arrives_at_the_app(person: Person, consent: str, app: App) -> None:
    person.page.goto(consent)
    person.press(f"Cancel and go back to {app.address.removeprefix('http://')}")
    assert person.arrives(app)["error"] == "access_denied"
    assert person.said == []


def test_who_comes_back_is_signed_in_and_may_sign_out(scripted: Person, consent: str) -> None:
    scripted.page.goto(consent)
    scripted.sign_in()
    expect(scripted.page).to_have_title("Allow Media <Watch>?")
    scripted.page.goto("about:blank")
    scripted.page.goto(consent)
    expect(scripted.page).to_have_title("Allow Media <Watch>?")
    scripted.press("Not you? Sign out")
    expect(scripted.page).to_have_title("Sign in")
    assert scripted.page.url == consent
    assert scripted.said == []


def test_an_app_whose_callback_goes_on_to_another_host_is_arrived_at(scripted: Person, consent: str, app: App) -> None:
    # As one does that keeps the code and shows its own first page then.
    with App().running() as another:
        app.goes_on_to = f"{another.address}/home"
        scripted.page.goto(consent)
        scripted.sign_in()
        scripted.press("Allow")
        scripted.page.wait_for_url(f"{another.address}/home")
        expect(scripted.page.locator("body")).to_contain_text("Arrived.")
    assert len(app.arrived) == 1
    assert scripted.said == []


def test_no_app_shows_the_page_within_its_own(scripted: Person, consent: str, app: App) -> None:
    app.pages["/"] = f'<iframe src="{consent.replace("&", "&amp;")}"></iframe>'
    with scripted.page.expect_console_message(lambda message: "frame-ancestors 'none'" in message.text):
        scripted.page.goto(app.address)
    expect(scripted.page.frame_locator("iframe").get_by_label("Email")).to_have_count(0)


def test_no_app_presses_the_button(scripted: Person, consent: str, app: App) -> None:
    scripted.page.goto(consent)
    scripted.sign_in()
    proof = scripted.page.locator('input[name="proof"]').get_attribute("value")
    field = '<input type="hidden" name="{}" value="{}">'
    form = field.format("proof", proof) + field.format("action", "allow") + "<button>Win</button>"
    app.pages["/"] = f'<form method="post" action="{consent.replace("&", "&amp;")}">{form}</form>'
    scripted.page.goto(app.address)
    with scripted.page.expect_response(re.compile("/mention/authorize")) as answered:
        scripted.press("Win")
    assert answered.value.status == 403
    assert app.arrived == []


LETTERS = (
    *(
        "/",
        "//",
        "\\",
        "?",
        "#",
        "@",
        ":",
        "&",
        "%",
        ".",
        "..",
        "[",
        "]",
        "%2e",
        "%2F",
        "%5c",
        "%00",
        "%09",
        ":80",
        ":443",
    ),
    *(
        "\t",
        "\n",
        " ",
        "\0",
        "\u3002",
        "\uff0f",
        "\u2100",
        "\u212a",
        "\xad",
        "é",
        "evil.org",
        "x",
        "cb",
        "user",
        "oauth",
    ),
    *("http:", "https:", "http://", "https://", "example.com", "app.example:8443", "EXAMPLE.COM"),
)


def test_where_a_redirection_may_lead_a_browser_goes_as_well(scripted: Person) -> None:
    """Compare with how a browser reads addresses, which is what counts."""
    luck = random.Random(7)
    made_up = [
        (callback, "".join((luck.choice(("", callback, callback[:-1])), *luck.choices(LETTERS, k=luck.randint(0, 6)))))
        for callback in (HOST, BELOW)
        for _ in range(20_000)
    ]
    pairs = [pair for pair in {*LEADS, *LEADS_ELSEWHERE, *made_up} if leads_to(*pair)]
    assert len(pairs) > 100
    read = """pairs => pairs.filter(([callback, uri]) => {
        if (!URL.canParse(uri)) return true;
        const ours = new URL(callback), theirs = new URL(uri), folder = ours.pathname.replace(/\\/+$/, "") + "/";
        return ours.origin !== theirs.origin || theirs.username || theirs.password || theirs.hash ||
            !(theirs.pathname + "/").startsWith(folder);
    })"""
    assert scripted.page.evaluate(read, json.loads(json.dumps(pairs))) == []
