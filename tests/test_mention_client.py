"""Clients that nobody here wrote, `mention` and requests-oauthlib, against the service as it is run."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import pytest
import requests
from mention import base as mention_client  # type: ignore[import-untyped]  # it has no types
from oauthlib.oauth2 import AccessDeniedError, InvalidClientError, InvalidGrantError
from requests_oauthlib import OAuth2Session  # type: ignore[import-untyped]  # it has no types

from accounts_service.families.mention.schemas.vocabulary import APP_DATA
from tests.families.test_netbird_races import serving, token_of
from tests.support.mention import CALLBACK, CLIENT_ID, JOHN, JOHNS_PASSWORD, furnish
from tests.support.netbird import behind
from tests.support.served import Served

pytestmark = pytest.mark.usefixtures("socket_enabled")

EMAIL = "j.smith@nasa.com"
INVALID = {"error": "invalid_grant", "error_description": "The access token provided is invalid."}
EXPIRED = {"error": "invalid_grant", "error_description": "The access token provided has expired."}

# Where Mention answers at any host, and at its own, one of which is where these tests go.
ROOTS = ("/mention", "")


# -- The service ---------------------------------------------------------------


@pytest.fixture(scope="module", params=("sqlite", "postgresql"))
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Give the service behind gunicorn, with 127.0.0.1 for one of Mention's hosts; all tests share it."""
    hosts = "api.mention.net,127.0.0.1"
    with serving(request, tmp_path_factory, {}, ACCOUNTS_MENTION_HOSTS=hosts) as server:
        yield server


@pytest.fixture(scope="module")
def names(served: Served) -> dict[str, str]:
    with behind(served) as services:
        return furnish(services) | {"NETBIRD": token_of(services, "mycompany.example", "owner")}


@pytest.fixture(params=ROOTS, ids=("at any host", "at its own"))
def root(served: Served, request: pytest.FixtureRequest) -> str:
    return f"http://127.0.0.1:{served.port}{request.param}"


# -- mention 0.1 ---------------------------------------------------------------


@pytest.fixture
def client(root: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give the client's classes, which have one address for all, and go to the service with it."""
    monkeypatch.setattr(mention_client.Mention, "_base_url", property(lambda _: f"{root}/api"))
    return mention_client


def test_the_client_reads_the_app_data(client: Any, names: dict[str, str]) -> None:
    data = client.AppDataAPI(names["TOKEN_JOHN"]).query()
    assert data == APP_DATA
    assert len(data["alert_languages"]) == 44


@pytest.mark.parametrize(
    ("token", "expected"), (("a", INVALID), ("A" * 86, INVALID), ("TOKEN_EXPIRED", EXPIRED)), ids=("bad", "no", "old")
)
def test_the_client_reads_what_is_wrong_with_its_token(
    client: Any, names: dict[str, str], token: str, expected: dict[str, str]
) -> None:
    # It passes over the status and reads the body as JSON.
    assert client.AppDataAPI(names.get(token, token)).query() == expected


def test_the_client_finds_the_page_where_there_are_no_alerts(client: Any, names: dict[str, str]) -> None:
    token = names["TOKEN_JOHN"]
    with pytest.raises(requests.exceptions.JSONDecodeError):
        client.FetchAlertsAPI(token, JOHN).query()
    # This one sends its JSON under no name, and reads the answer as text.
    made = client.CreateAnAlertAPI(token, JOHN, "NASA", {"type": "basic", "included_keywords": ["NASA"]}, ["en"])
    assert "An Error Occurred: Not Found" in made.query()


# -- OAuth ---------------------------------------------------------------------


@dataclass
class Form:
    """A form of a page: its fields as they are, and what its buttons send."""

    method: str = ""
    fields: dict[str, str] = field(default_factory=dict)
    actions: list[str] = field(default_factory=list)


class Page(HTMLParser):
    """A page, of which forms and texts are read."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            # It goes to where it comes from.
            assert "action" not in given
            self.forms.append(Form(given["method"]))
        elif tag == "input":
            self.forms[-1].fields[given["name"]] = given.get("value", "")
        elif tag == "button":
            assert given["name"] == "action"
            self.forms[-1].actions.append(given["value"])

    def handle_data(self, data: str) -> None:
        self.text += data

    def form(self, action: str) -> Form:
        """Find the form with a button."""
        (found,) = [form for form in self.forms if action in form.actions]
        return found


class Browser:
    """Opens the page and sends its forms. It keeps the cookie, which is not to be sent over bare HTTP but by hand."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._cookie = ""
        self._address = ""
        self.page = Page("")
        self.status = 0

    def open(self, address: str) -> str:
        """Go to an address, and on while it leads to the service; gives the address elsewhere, or nothing."""
        self._address = address
        return self._ask("GET", {}, None)

    def click(self, action: str, **filled: str) -> str:
        """Fill in a form and send it; gives what `open` does."""
        form = self.page.form(action)
        assert form.method == "post"
        assert filled.keys() <= form.fields.keys()
        sent = form.fields | filled | {"action": action}
        origin = {"Origin": f"http://127.0.0.1:{self._served.port}", "Sec-Fetch-Site": "same-origin"}
        headers = origin | {"Content-Type": "application/x-www-form-urlencoded"}
        return self._ask("POST", headers, urlencode(sent).encode())

    def _ask(self, method: str, headers: dict[str, str], body: bytes | None) -> str:
        parts = urlsplit(self._address)
        cookie = {"Cookie": self._cookie} if self._cookie else {}
        answer = self._served.ask(method, f"{parts.path}?{parts.query}", by=None, headers=headers | cookie, body=body)
        self.status = answer.status
        self._keep(answer.headers)
        if answer.status != 303:
            self.page = Page(answer.body.decode())
            return ""
        location = urljoin(self._address, answer.headers["Location"])
        return self.open(location) if urlsplit(location).netloc == parts.netloc else location

    def _keep(self, headers: http.client.HTTPMessage) -> None:
        cookie = headers["Set-Cookie"]
        if cookie is not None:
            self._cookie, *attributes = str(cookie).split("; ")
            assert {"Secure", "HttpOnly", "Path=/"} <= set(attributes)


@pytest.fixture
def browser(served: Served) -> Browser:
    return Browser(served)


@pytest.fixture
def new_session(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., OAuth2Session]]:
    """Make sessions of the app, over bare HTTP."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    made: list[OAuth2Session] = []

    def make(**options: Any) -> OAuth2Session:
        made.append(OAuth2Session(CLIENT_ID, redirect_uri=CALLBACK, **options))
        return made[-1]

    yield make
    for session in made:
        session.close()


def fetched(session: OAuth2Session, root: str, names: dict[str, str], came_back: str) -> Any:
    """Exchange what the redirection brought for a token."""
    return session.fetch_token(
        f"{root}/oauth/v2/token",
        authorization_response=came_back,
        client_secret=names["CLIENT_SECRET"],
        include_client_id=True,
    )


def consented(session: OAuth2Session, root: str, browser: Browser) -> str:
    """Let the app act for John; gives the address that the browser goes to then."""
    address, _ = session.authorization_url(f"{root}/authorize")
    assert browser.open(address) == ""
    assert "appTestMention asks for access to your account" in browser.page.text
    assert browser.click("sign-in", email=EMAIL, password=JOHNS_PASSWORD) == ""
    assert "John Smith" in browser.page.text
    return browser.click("allow")


def test_a_verifier_without_a_challenge_is_refused(
    browser: Browser, new_session: Callable[..., OAuth2Session], root: str, names: dict[str, str]
) -> None:
    # This client sends none with `plain`, as one from whose link somebody has taken it (RFC 9700 section 2.1.1).
    session = new_session(pkce="plain")
    with pytest.raises(InvalidGrantError, match="verifier"):
        fetched(session, root, names, consented(session, root, browser))


@pytest.mark.parametrize("pkce", (None, "S256"))
def test_an_app_gets_a_token_for_who_signs_in_and_consents(
    browser: Browser,
    new_session: Callable[..., OAuth2Session],
    root: str,
    names: dict[str, str],
    pkce: str | None,
) -> None:
    session = new_session(pkce=pkce)
    came_back = consented(session, root, browser)
    assert came_back.startswith(f"{CALLBACK}?")
    token = fetched(session, root, names, came_back)
    assert (token["token_type"], token["expires_in"]) == ("bearer", 2592000)
    answer = session.get(f"{root}/api/accounts/me")
    assert (answer.status_code, answer.json()["account"]["id"]) == (200, JOHN)
    put = session.put(f"{root}/api/accounts/{JOHN}", json={"phone": pkce})
    assert put.json()["account"].get("phone") == pkce

    # It is good once.
    with pytest.raises(InvalidGrantError):
        fetched(session, root, names, came_back)


def test_who_has_not_made_the_challenge_gets_no_token(
    browser: Browser, new_session: Callable[..., OAuth2Session], root: str, names: dict[str, str]
) -> None:
    session = new_session(pkce="S256")
    came_back = consented(session, root, browser)
    for thief in (new_session(state=session._state), new_session(state=session._state, pkce="S256")):
        thief.authorization_url(f"{root}/authorize")
        with pytest.raises(InvalidGrantError):
            fetched(thief, root, names, came_back)
    assert fetched(session, root, names, came_back)["access_token"]


def test_who_denies_or_mistakes_his_password_lets_nobody_in(
    browser: Browser, new_session: Callable[..., OAuth2Session], root: str, names: dict[str, str]
) -> None:
    session = new_session()
    address, _ = session.authorization_url(f"{root}/authorize")
    browser.open(address)
    assert browser.click("sign-in", email=EMAIL, password="Wrongpass7") == ""
    assert (browser.status, "The email or the password is not right." in browser.page.text) == (400, True)
    browser.click("sign-in", email=EMAIL, password=JOHNS_PASSWORD)
    came_back = browser.click("deny")
    assert "code" not in parse_qs(urlsplit(came_back).query)
    with pytest.raises(AccessDeniedError):
        fetched(session, root, names, came_back)


def test_an_app_with_another_secret_gets_no_token(
    browser: Browser, new_session: Callable[..., OAuth2Session], root: str, names: dict[str, str]
) -> None:
    session = new_session()
    came_back = consented(session, root, browser)
    with pytest.raises(InvalidClientError):
        fetched(session, root, names | {"CLIENT_SECRET": "x"}, came_back)
    assert fetched(session, root, names, came_back)["access_token"]


# -- The service as a whole ----------------------------------------------------


def test_ten_parallel_mention_writers_all_succeed(client: Any, root: str, names: dict[str, str]) -> None:
    barrier = threading.Barrier(10)

    def write(_: int) -> list[int]:
        with requests.Session() as session:
            session.headers["Authorization"] = f"Bearer {names['TOKEN_JOHN']}"
            barrier.wait()
            return [
                session.put(f"{root}/api/accounts/{JOHN}", json={"name": "John Smith"}).status_code for _ in range(5)
            ]

    with ThreadPoolExecutor(10) as pool:
        assert {status for statuses in pool.map(write, range(10)) for status in statuses} == {200}
    assert client.AppDataAPI(names["TOKEN_JOHN"]).query() == APP_DATA


def test_netbird_answers_at_the_same_path_of_other_hosts(served: Served, names: dict[str, str]) -> None:
    address = f"http://127.0.0.1:{served.port}/api/accounts"
    netbird = {"Host": "netbird.mycompany.example", "Authorization": f"Token {names['NETBIRD']}"}
    for host in ("api.mention.net", f"127.0.0.1:{served.port}"):
        mention = {"Host": host, "Authorization": f"Bearer {names['TOKEN_JOHN']}"}
        (account,) = requests.get(address, headers=netbird, timeout=30).json()
        assert account["domain"] == "mycompany.example"
        me = requests.get(f"{address}/me", headers=mention, timeout=30).json()
        assert me["account"]["id"] == JOHN
        assert requests.get(f"{address}/me", headers=netbird | {"Host": host}, timeout=30).status_code == 401
        assert requests.get(address, headers=mention | {"Host": netbird["Host"]}, timeout=30).status_code == 401


def test_the_log_holds_no_secret(
    browser: Browser,
    new_session: Callable[..., OAuth2Session],
    root: str,
    served: Served,
    names: dict[str, str],
) -> None:
    session = new_session()
    came_back = consented(session, root, browser)
    token = fetched(session, root, names, came_back)["access_token"]
    for asked in (f"{root}/api/accounts/me", f"{root}/api/nowhere"):
        requests.get(asked, params={"access_token": token}, timeout=30)
    (code,) = parse_qs(urlsplit(came_back).query)["code"]
    log = served.log.read_text()
    assert "/authorize" in log
    tokens = [value for name, value in names.items() if not name.startswith("ACCOUNT_")]
    assert [secret for secret in (JOHNS_PASSWORD, token, code, *tokens) if secret in log] == []
