"""Mention's page, on which somebody signs in and lets an app act for him: what it shows, keeps, does and refuses."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from accounts_service.families.mention.schemas.accounts import AccountWish, NewAccount
from accounts_service.families.mention.store.accounts import Accounts
from accounts_service.families.mention.store.apps import Apps
from accounts_service.families.mention.views.grants import is_callback
from accounts_service.storage.sealed import Place
from tests.support.installation import Installation
from tests.support.mention import AUTHOR, CALLBACK, CLIENT_ID, JANES_PASSWORD, JOHN, JOHNS_PASSWORD, Mention
from tests.support.mention_page import (
    ASKED,
    NOON,
    Browser,
    Clock,
    brought,
    cheaply,
    page_at,
    problem_of,
    proof_of,
    started,
    text_of,
    title_of,
)
from tests.support.service import Answer, Service

JOHNS, JANES = "j.smith@nasa.com", "jane@example.com"
# RFC 7636, appendix B.
KEY = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
S256 = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
EXPIRED = "The page had expired. Please try again."
WRONG = "The email or the password is not right."
SESSION_S = 15 * 60


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def service(installation: Installation, clock: Clock) -> Iterator[Service]:
    service = started(installation, clock)
    yield service
    service.close()


@pytest.fixture
def mention(service: Service) -> Mention:
    return Mention(service)


@pytest.fixture
def browser(mention: Mention) -> Browser:
    return Browser(mention.service)


def codes(mention: Mention) -> int:
    with mention.service.services.database.looking() as connection:
        return int(connection.execute(text("SELECT count(*) FROM mention_code")).scalar_one())


def new_app(mention: Mention, name: str, *callbacks: str) -> str:
    with mention.service.services.database.transaction(Apps, AUTHOR) as apps:
        return apps.register(name, callbacks)[0]


def policy_of(answer: Answer) -> dict[str, str]:
    """Read a Content-Security-Policy, by directive."""
    directives = (directive.strip().split(" ", 1) for directive in answer.headers["Content-Security-Policy"].split(";"))
    return {name: (values or [""])[0] for name, *values in directives}


def masked(answer: Answer) -> str:
    """Give a page without what is another one each time."""
    return re.sub(r'\s+(value="[^"]*"|nonce="[^"]*"|autofocus)', "", answer.text)


# -- What an app asks for -------------------------------------------------------


def test_who_has_not_signed_in_is_asked_to(browser: Browser) -> None:
    shown = browser.open()
    assert (shown.status_code, shown.mimetype, title_of(shown)) == (200, "text/html", "Sign in")
    assert "appTestMention asks for access to your account." in text_of(shown)
    assert "Cancel and go back to example.com" in text_of(shown)
    assert problem_of(shown) is None
    assert re.search(
        r'<input id="password" name="password" type="password" autocomplete="current-password"', shown.text
    )


NO_CLIENT = ("invalid_request", "No client id supplied")
UNKNOWN = ("invalid_client", "The client credentials are invalid")
ELSEWHERE = ("redirect_uri_mismatch", "The redirect URI is missing or do not match")
TWICE = ("invalid_request", "A parameter stands twice")

NOBODYS = (
    ("", NO_CLIENT),
    ("client_id=", NO_CLIENT),
    ("response_type=code&redirect_uri=http://example.com", NO_CLIENT),
    ("client_id=1_unknown", UNKNOWN),
    (f"client_id={CLIENT_ID.lower()}&response_type=code&redirect_uri=http://example.com", UNKNOWN),
    (f"client_id={CLIENT_ID}&response_type=code", ELSEWHERE),
    (f"client_id={CLIENT_ID}&response_type=code&redirect_uri=", ELSEWHERE),
    (f"client_id={CLIENT_ID}&response_type=token&redirect_uri=http://evil.example", ELSEWHERE),
    (f"client_id={CLIENT_ID}&response_type=code&redirect_uri=http://example.com.evil.example", ELSEWHERE),
    (f"client_id={CLIENT_ID}&response_type=code&redirect_uri=http://example.com@evil.example", ELSEWHERE),
    (f"client_id={CLIENT_ID}&response_type=code&redirect_uri=https://example.com", ELSEWHERE),
    (f"client_id={CLIENT_ID}&response_type=code&redirect_uri=//example.com", ELSEWHERE),
    (f"client_id={CLIENT_ID}&response_type=code&redirect_uri=/", ELSEWHERE),
    (f"client_id={CLIENT_ID}&response_type=code&redirect_uri=javascript:alert(1)", ELSEWHERE),
    (f"client_id={CLIENT_ID}&response_type=code&redirect_uri=http://example.com%0d%0aX-Evil:1", ELSEWHERE),
    (f"client_id={CLIENT_ID}&response_type=code&redirect_uri=http://example.com%23x", ELSEWHERE),
    *(
        (f"client_id={CLIENT_ID}&response_type=code&redirect_uri=http://example.com&state=x&scope=y&{name}=z", TWICE)
        for name in ("client_id", "response_type", "redirect_uri", "state", "scope")
    ),
    *(
        (f"{urlencode(ASKED)}&code_challenge={S256}&code_challenge_method=S256&{name}=z", TWICE)
        for name in ("code_challenge", "code_challenge_method")
    ),
)


@pytest.mark.parametrize("method", ("GET", "POST"))
def test_what_is_no_registered_apps_leads_nowhere(mention: Mention, method: str) -> None:
    for query, (error, description) in NOBODYS:
        answer = mention.service.ask(method, f"/mention/authorize?{query}", by=None)
        assert (answer.status_code, answer.json) == (400, {"error": error, "error_description": description}), query
        assert answer.headers["Cache-Control"] == "no-store"
        assert not {"Location", "Set-Cookie", "WWW-Authenticate"} & set(answer.headers.keys())


@pytest.mark.parametrize("method", ("GET", "POST"))
def test_what_cannot_be_asked_for_is_told_to_the_app(mention: Mention, method: str) -> None:
    state = "a b&é"
    table: tuple[tuple[dict[str, str | None], str], ...] = (
        ({"response_type": None}, "invalid_request"),
        ({"response_type": ""}, "unsupported_response_type"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "none"}, "unsupported_response_type"),
        ({"response_type": "code token"}, "unsupported_response_type"),
        ({"response_type": "CODE"}, "unsupported_response_type"),
        ({"code_challenge": S256, "code_challenge_method": "S512"}, "invalid_request"),
        ({"code_challenge": S256, "code_challenge_method": ""}, "invalid_request"),
        ({"code_challenge": S256, "code_challenge_method": "s256"}, "invalid_request"),
        # What no method means (RFC 7636 section 4.3).
        ({"code_challenge": KEY, "code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": KEY}, "invalid_request"),
    )
    for changed, error in table:
        page = page_at(state=state, redirect_uri=f"{CALLBACK}/cb?a=b", **changed)
        answer = mention.service.ask(method, page, by=None)
        assert answer.headers["Location"].startswith(f"{CALLBACK}/cb?a=b&")
        told = brought(answer)
        assert (told["error"], told["state"], told["a"]) == (error, state, "b")
        assert told.keys() <= {"a", "error", "error_description", "state"}
        assert "Set-Cookie" not in answer.headers
        assert "state" not in brought(mention.service.ask(method, page_at(**changed), by=None))


def test_a_challenge_that_is_none_is_told_to_the_app(mention: Mention) -> None:
    for challenge in ("", "short", f"{S256}=", "é" * 43, "x" * 129):
        told = brought(mention.service.get(page_at(state="x", code_challenge=challenge), by=None))
        assert (told["error"], told["state"]) == ("invalid_request", "x")


# Browsers send these as they are, and whoever types an address sends anything.
ODD = ("state=a|b", "state=[1]", "state={}", "state=a^b`c", "state=%", "state=%zz", 'state="', "state=<x>", "x[]=y")


@pytest.mark.parametrize("method", ("GET", "POST"))
def test_no_odd_letter_in_an_address_is_our_failure(mention: Mention, method: str) -> None:
    answers = {odd: mention.service.ask(method, f"{page_at()}&{odd}", by=None).status_code for odd in ODD}
    assert [odd for odd, status in answers.items() if status not in {200, 400}] == []


def test_a_client_that_no_database_can_hold_is_unknown(mention: Mention) -> None:
    answer = mention.service.get(page_at(client_id="\0"), by=None)
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_client")


def test_parameters_that_are_not_known_are_passed_over(browser: Browser) -> None:
    for unknown in ("prompt=login", "nonce=x", "ui_locales=de", "x=y&x=z", "access_token=x"):
        assert browser.open(f"{page_at()}&{unknown}").status_code == 200, unknown


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("page", "host"),
    (
        (page_at(), "localhost"),
        (page_at(), "web.mention.net"),
        (page_at(""), "web.mention.net"),
        (page_at(""), "WEB.Mention.com:8443"),
        (page_at(""), "api.mention.net"),
    ),
)
def test_it_is_below_mention_and_at_mentions_hosts_where_mention_has_it(mention: Mention, page: str, host: str) -> None:
    browser = Browser(mention.service, page, host=host)
    browser.signed_in(JOHNS, JOHNS_PASSWORD)
    assert set(brought(browser.send("allow"))) == {"code"}


def test_elsewhere_there_is_no_such_page(mention: Mention) -> None:
    for host in ("localhost", "mention.net", "web.mention.net.evil.example"):
        assert mention.service.get(page_at(""), by=None, headers={"Host": host}).status_code == 404
    for path in ("/mention/authorize/", "/mention/authorize/x", "/mention/oauth/authorize"):
        assert mention.service.get(path, by=None).status_code == 404
    assert mention.service.ask("PUT", page_at(), by=None).headers["Allow"] == "GET, POST"


# -- What browsers are told ---------------------------------------------------


def pages(mention: Mention) -> dict[str, Answer]:
    """Look at every page there is."""
    browser = Browser(mention.service)
    found = {
        "sign-in": browser.open(),
        "wrong": browser.sign_in(JOHNS, "wrong"),
        "expired": browser.send("deny", proof=""),
    }
    return found | {"consent": browser.signed_in(JOHNS, JOHNS_PASSWORD)}


def test_every_page_keeps_to_itself(mention: Mention) -> None:
    nonces = set()
    for answer in pages(mention).values():
        policy = policy_of(answer)
        nonce = policy.pop("style-src")
        assert policy == {
            "default-src": "'none'",
            "frame-ancestors": "'none'",
            "base-uri": "'none'",
        }
        (written,) = re.findall(r'<style nonce="([^"]+)">', answer.text)
        assert nonce == f"'nonce-{written}'"
        nonces.add(nonce)
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.content_type == "text/html; charset=UTF-8"
        assert not re.search(r"<script|<link|<img|\son[a-z]+=|\sstyle=|https?:", answer.text)
    assert len(nonces) == 4


def test_no_page_says_to_the_app_where_it_was(mention: Mention) -> None:
    # And yet says to us that it is ours: with `no-referrer` browsers send `Origin: null`, which is nobody's.
    answers = [*pages(mention).values(), Browser(mention.service).open(page_at(response_type="token"))]
    assert {answer.headers["Referrer-Policy"] for answer in answers[:-1]} == {"same-origin"}
    assert answers[-1].headers["Referrer-Policy"] in {"same-origin", "no-referrer"}


CALLBACKS = (
    *("http://localhost:3000", "https://my_app/cb/", "http://[::1]:8000/cb", "https://app.example/caf%C3%A9"),
    *("https://xn--e1afmkfd.example/cb", "https://APP.example:443", "https://пример.example", "https://app.example/é"),
)


def test_what_an_app_may_register_it_may_ask_for(mention: Mention) -> None:
    for callback in CALLBACKS:
        page = page_at(client_id=new_app(mention, "x", callback), redirect_uri=callback)
        answer = Browser(mention.service).open(page)
        assert is_callback(callback) == (answer.status_code == 200), callback
        for value in answer.headers.values():
            value.encode("ascii")


def test_the_cookie_is_the_services_own_and_says_nothing(mention: Mention, clock: Clock) -> None:
    browser = Browser(mention.service)
    for answer in (browser.open(), browser.open(), browser.signed_in(JOHNS, JOHNS_PASSWORD)):
        (cookie,) = answer.headers.get_all("Set-Cookie")
        value, *flags = cookie.split("; ")
        assert {flag for flag in flags if not flag.startswith("Expires=")} == {
            *("Secure", "HttpOnly", "SameSite=Lax", "Path=/", f"Max-Age={SESSION_S}")
        }
        name, _, kept = value.partition("=")
        assert name == "mention_sign_in"
        assert re.fullmatch(r"[A-Za-z0-9_-]{50,4000}", kept)
        assert JOHN not in kept + answer.text
    clock.seconds += SESSION_S
    assert title_of(browser.open()) == "Sign in"


# -- The proof ----------------------------------------------------------------

# What is wrong with a form: what it proves, by who sends it.
SPOILT: dict[str, Callable[[Browser, Browser], str | None]] = {
    "missing": lambda _, __: None,
    "empty": lambda _, __: "",
    "wrong": lambda own, _: own.proof[:-1] + ("0" if own.proof[-1] != "0" else "1"),
    "longer": lambda own, _: own.proof + "0",
    "in capitals": lambda own, _: own.proof.upper(),
    "another browser's": lambda _, other: other.proof,
    "of other letters": lambda _, __: "é" * 64,
}


@pytest.mark.parametrize("spoilt", SPOILT)
def test_a_form_that_does_not_prove_whose_it_is_does_nothing(mention: Mention, spoilt: str) -> None:
    own, other = Browser(mention.service), Browser(mention.service)
    other.signed_in(JOHNS, JOHNS_PASSWORD)
    before = codes(mention)
    for action in ("allow", "deny", "sign-in", "sign-out", None, "x"):
        own.signed_in(JOHNS, JOHNS_PASSWORD)
        answer = own.send(action, proof=SPOILT[spoilt](own, other), email=JANES, password=JANES_PASSWORD)
        assert (answer.status_code, problem_of(answer)) == (400, EXPIRED)
        assert "Jane" not in answer.text
        # The page that was shown instead is good.
        assert brought(own.send("deny"))["error"] == "access_denied"
        own.send("sign-out")
    assert codes(mention) == before


def test_what_was_proven_before_signing_in_or_out_proves_nothing_after(mention: Mention) -> None:
    browser = Browser(mention.service)
    browser.open()
    before = browser.proof
    browser.signed_in(JOHNS, JOHNS_PASSWORD)
    signed_in, cookie = browser.proof, browser.cookie
    assert signed_in != before
    answer = browser.send("allow", proof=before)
    assert (answer.status_code, problem_of(answer)) == (400, EXPIRED)
    browser.cookie, browser.proof = cookie, signed_in
    assert browser.send("sign-out").status_code == 303
    answer = browser.send("allow", proof=signed_in)
    assert (answer.status_code, problem_of(answer)) == (400, EXPIRED)


def test_a_proof_is_good_for_every_form_of_a_browser(browser: Browser) -> None:
    # Two pages side by side, of which one was opened again meanwhile.
    browser.open()
    proof = browser.proof
    browser.open(page_at(state="another"))
    assert browser.proof == proof
    assert brought(browser.send("deny"))["state"] == "another"


def test_a_cookie_that_was_spoilt_is_none(mention: Mention) -> None:
    browser = Browser(mention.service)
    browser.signed_in(JOHNS, JOHNS_PASSWORD)
    good, proof, before = browser.cookie, browser.proof, codes(mention)
    vault = mention.service.services.vault
    elsewhere = vault.seal_token(Place("mention", "browser", "other"), f"nonce {NOON + 900} {JOHN}")
    spoilt = (
        *("", "x", "é", good[:-4], good + "AAAA", good[:-9] + "AAAA" + good[-5:], good.swapcase(), JOHN, elsewhere),
        *(f"nonce {NOON + 900} {JOHN}", "=", ".", "a" * 8000),
    )
    for cookie in spoilt:
        browser.cookie, browser.proof = cookie.encode().decode("latin-1"), proof
        answer = browser.send("allow")
        assert (answer.status_code, title_of(answer), problem_of(answer)) == (400, "Sign in", EXPIRED), cookie
        browser.cookie = cookie.encode().decode("latin-1")
        assert title_of(browser.open()) == "Sign in"
    assert codes(mention) == before
    browser.cookie, browser.proof = good, proof
    assert "code" in brought(browser.send("allow"))


def test_a_cookie_of_other_keys_is_none(mention: Mention, tmp_path: Path) -> None:
    other = Service(Installation(tmp_path / "other", mention.service.installation.database_url), change=cheaply)
    browser, stranger = Browser(mention.service), Browser(other)
    browser.signed_in(JOHNS, JOHNS_PASSWORD)
    stranger.cookie, stranger.proof = browser.cookie, browser.proof
    answer = stranger.send("allow")
    assert (answer.status_code, title_of(answer), problem_of(answer)) == (400, "Sign in", EXPIRED)
    other.close()


def test_a_page_is_good_for_a_quarter_of_an_hour(mention: Mention, clock: Clock) -> None:
    browser = Browser(mention.service)
    browser.signed_in(JOHNS, JOHNS_PASSWORD)
    cookie, proof = browser.cookie, browser.proof
    clock.seconds += SESSION_S - 1
    assert "code" in brought(browser.send("allow"))
    clock.seconds += 1
    answer = browser.send("allow")
    assert (answer.status_code, title_of(answer), problem_of(answer)) == (400, "Sign in", EXPIRED)
    # The new page is good, and the old one is not any more.
    assert brought(browser.send("deny"))["error"] == "access_denied"
    browser.cookie, browser.proof = cookie, proof
    assert browser.send("deny").status_code == 400


OWN_SITE: tuple[dict[str, str], ...] = (
    {},
    {"Origin": "http://localhost"},
    {"Origin": "https://localhost:8443", "Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "none"},
)
OTHER_SITES = (
    {"Origin": "https://evil.example"},
    {"Origin": "http://example.com"},
    {"Origin": "http://localhost.evil.example"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "http://localhost", "Sec-Fetch-Site": "cross-site"},
)


def test_no_page_of_another_site_decides(mention: Mention) -> None:
    browser = Browser(mention.service)
    browser.signed_in(JOHNS, JOHNS_PASSWORD)
    before = codes(mention)
    for headers in OTHER_SITES:
        answer = browser.send("allow", headers=headers)
        assert answer.status_code == 403, headers
        assert not {"Location", "Set-Cookie"} & set(answer.headers.keys())
    assert codes(mention) == before
    for headers in OWN_SITE:
        assert "code" in brought(browser.send("allow", headers=headers))


# -- Signing in -----------------------------------------------------------------


def test_who_has_signed_in_is_asked_for_consent(mention: Mention) -> None:
    # However he writes his address.
    for email in (JOHNS, "J.Smith@NASA.com", "J.SMITH@NASA.COM", f"  {JOHNS}\t"):
        browser = Browser(mention.service, page_at(state="x"))
        browser.open()
        before = browser.cookie
        answer = browser.sign_in(email, JOHNS_PASSWORD)
        assert browser.leads_back(answer)
        assert (answer.headers["Cache-Control"], answer.data) == ("no-store", b"")
        assert browser.cookie != before
        shown = browser.open()
        assert title_of(shown) == "Allow appTestMention?"
        assert "signed in as John Smith (j.smith@nasa.com)." in text_of(shown)
        assert "you go on to example.com." in text_of(shown)
        assert "password" not in shown.text


def test_who_may_not_sign_in_is_not_told_why(mention: Mention) -> None:
    services = mention.service.services
    with services.database.transaction(Accounts, AUTHOR) as accounts:
        accounts.create(NewAccount("No Password", "none@example.com", "en", ""), None)
    answers = []
    for email, password in (
        (JOHNS, "wrong"),
        (JOHNS, JANES_PASSWORD),
        (JOHNS, JOHNS_PASSWORD + " "),
        (JOHNS, JOHNS_PASSWORD.lower()),
        (JOHNS, "\0"),
        (JOHNS, ""),
        (JOHNS, "x" * 10_000),
        ("unknown@example.com", JOHNS_PASSWORD),
        ("none@example.com", JOHNS_PASSWORD),
        ("none@example.com", ""),
        ("x" * 10_000, "x"),
        ("' OR 1=1 --", "x"),
        ("", ""),
    ):
        browser = Browser(mention.service)
        browser.open()
        answer = browser.sign_in(email, password)
        assert (answer.status_code, title_of(answer), problem_of(answer)) == (400, "Sign in", WRONG)
        assert password.strip("\0 ") == "" or email == "' OR 1=1 --" or password == "x" or password not in answer.text
        answers.append((masked(answer), sorted(answer.headers.keys())))
        assert title_of(browser.open()) == "Sign in"
    assert [one for one in answers if one != answers[0]] == []


def test_an_address_that_no_database_can_hold_is_nobodys(browser: Browser) -> None:
    browser.open()
    answer = browser.sign_in("\0", JOHNS_PASSWORD)
    assert (answer.status_code, problem_of(answer)) == (400, WRONG)


def test_who_is_not_there_costs_as_much_as_who_is(mention: Mention, monkeypatch: pytest.MonkeyPatch) -> None:
    import argon2

    checked: list[str] = []
    verify = argon2.PasswordHasher.verify

    def counted(hasher: argon2.PasswordHasher, stored: str, password: str) -> Any:
        checked.append(stored.split("$")[3])
        return verify(hasher, stored, password)

    monkeypatch.setattr(argon2.PasswordHasher, "verify", counted)
    browser = Browser(mention.service)
    browser.open()
    browser.sign_in(JOHNS, "wrong")
    browser.sign_in("unknown@example.com", "wrong")
    assert len(checked) == 2
    assert len(set(checked)) == 1


def test_fields_that_are_missing_are_empty(browser: Browser) -> None:
    browser.open()
    answer = browser.send("sign-in")
    assert (answer.status_code, problem_of(answer)) == (400, WRONG)


def test_what_is_no_other_action_is_signing_in(mention: Mention) -> None:
    for action in (None, "", "x", "ALLOW"):
        browser = Browser(mention.service)
        browser.open()
        assert browser.send(action, email=JOHNS, password=JOHNS_PASSWORD).status_code == 303
        assert title_of(browser.open()) == "Allow appTestMention?"


def test_what_are_no_fields_of_a_form_is_told(browser: Browser) -> None:
    told = {"error": "invalid_request", "error_description": "The body is not that of a form"}
    browser.open()
    for body in (b"proof=%ff", b"\xff", b"&".join([b"a=b"] * 101)):
        answer = browser.sent(body)
        assert (answer.status_code, answer.json) == (400, told)


def test_who_has_signed_out_is_asked_to_sign_in(mention: Mention) -> None:
    browser = Browser(mention.service)
    browser.signed_in(JOHNS, JOHNS_PASSWORD)
    assert browser.leads_back(browser.send("sign-out"))
    assert title_of(browser.open()) == "Sign in"
    assert "John" not in browser.open().text
    shown = browser.signed_in(JANES, JANES_PASSWORD)
    assert "signed in as Jane Doe" in text_of(shown)
    assert "John" not in shown.text


def test_a_browser_that_has_signed_in_is_signed_in_for_other_apps(mention: Mention) -> None:
    browser = Browser(mention.service)
    browser.signed_in(JOHNS, JOHNS_PASSWORD)
    other = new_app(mention, "Another", "https://other.example/cb")
    shown = browser.open(page_at(client_id=other, redirect_uri="https://other.example/cb"))
    assert title_of(shown) == "Allow Another?"
    assert brought(browser.send("allow"))["code"]


# -- Allowing -------------------------------------------------------------------


def test_nobody_allows_who_has_not_signed_in(mention: Mention) -> None:
    browser = Browser(mention.service)
    browser.open()
    before = codes(mention)
    answer = browser.send("allow", email=JOHNS, password=JOHNS_PASSWORD)
    assert (answer.status_code, title_of(answer), problem_of(answer)) == (400, "Sign in", "Please sign in first.")
    assert codes(mention) == before


@pytest.mark.parametrize("challenge", ((None, None), (S256, "S256"), (None, "S256")))
def test_who_allows_sends_the_app_a_code_for_his_own_account(
    mention: Mention, challenge: tuple[str | None, str | None]
) -> None:
    redirect_uri = f"{CALLBACK}/cb?a=b%20c"
    asked = {"redirect_uri": redirect_uri, "state": "xyz", "scope": "all"}
    page = page_at(**asked, code_challenge=challenge[0], code_challenge_method=challenge[1])
    browser = Browser(mention.service, page)
    browser.signed_in(JANES, JANES_PASSWORD)
    answer = browser.send("allow")
    assert answer.headers["Location"].startswith(f"{CALLBACK}/cb?a=b")
    assert answer.headers["Cache-Control"] == "no-store"
    sent = brought(answer)
    assert sent == {"a": "b c", "code": sent["code"], "state": "xyz"}
    fields = {
        "client_id": CLIENT_ID,
        "client_secret": mention.names["CLIENT_SECRET"],
        "code": sent["code"],
        "redirect_uri": redirect_uri,
        "grant_type": "authorization_code",
    }
    if challenge[0] is not None:
        assert mention.service.ask("POST", "/mention/oauth/v2/token", by=None, data=fields).status_code == 400
        fields["code_verifier"] = KEY
    token = mention.service.ask("POST", "/mention/oauth/v2/token", by=None, data=fields).json["access_token"]
    account = mention.ok("GET", "/accounts/me", by=None, headers={"Authorization": f"Bearer {token}"})
    assert account["id"] == mention.names["ACCOUNT_JANE"]


def test_each_time_it_is_another_code(mention: Mention) -> None:
    browser = Browser(mention.service)
    browser.signed_in(JOHNS, JOHNS_PASSWORD)
    made = {brought(browser.send("allow"))["code"] for _ in range(5)}
    assert len(made) == 5
    assert all(re.fullmatch(r"[A-Za-z0-9]{64}", code) for code in made)


@pytest.mark.parametrize("signed_in", (True, False))
def test_who_denies_sends_the_app_away(mention: Mention, signed_in: bool) -> None:  # noqa: FBT001  # a parameter
    browser = Browser(mention.service, page_at(state="xyz"))
    if signed_in:
        browser.signed_in(JOHNS, JOHNS_PASSWORD)
    else:
        browser.open()
    before = codes(mention)
    assert brought(browser.send("deny")) == {
        "error": "access_denied",
        "error_description": "The user denied access to your application",
        "state": "xyz",
    }
    assert codes(mention) == before


STATES = (
    "x",
    "",
    " ",
    "a b+c",
    "é—中\U0001f600",
    "&=#?/%",
    "%41%",
    "'\"<script>",
    "a\nb\r\nX: y",
    "\0\x7f",
    "." * 3000,
)


def test_the_state_comes_back_as_it_was(mention: Mention) -> None:
    for state in STATES:
        browser = Browser(mention.service, page_at(state=state))
        browser.open()
        denied = browser.send("deny")
        browser.signed_in(JOHNS, JOHNS_PASSWORD)
        for answer in (denied, browser.send("allow")):
            assert brought(answer)["state"] == state
            answer.headers["Location"].encode("ascii")
            assert not re.search(r"[\x00-\x20\x7f]", answer.headers["Location"])


def test_without_a_state_there_is_none(mention: Mention) -> None:
    browser = Browser(mention.service)
    browser.signed_in(JOHNS, JOHNS_PASSWORD)
    assert set(brought(browser.send("allow"))) == {"code"}
    assert set(brought(browser.send("deny"))) == {"error", "error_description"}


def test_names_are_only_shown(mention: Mention) -> None:
    evil = "<script>alert(1)</script>\"'&amp;<b>"
    shown = "&lt;script&gt;alert(1)&lt;/script&gt;&#34;&#39;&amp;amp;&lt;b&gt;"
    mention.ok("PUT", "/accounts/{JOHN}", {"name": evil})
    page = page_at(client_id=new_app(mention, evil, CALLBACK), state="<script>", scope='"><script>')
    browser = Browser(mention.service, page)
    signing_in, consent = browser.open(), browser.signed_in(JOHNS, JOHNS_PASSWORD)
    wrong = Browser(mention.service, page)
    wrong.open()
    # What is no address may be a password that was typed in the wrong place; it is not shown again.
    answer = wrong.sign_in(evil, evil)
    for one, times in ((signing_in, 1), (answer, 1), (consent, 4)):
        assert "<script" not in one.text
        assert "<b>" not in one.text
        assert one.text.count(shown) == times


def test_who_has_gone_is_not_signed_in_any_more(mention: Mention) -> None:
    browser, late = Browser(mention.service), Browser(mention.service)
    for one in (browser, late):
        one.signed_in(JANES, JANES_PASSWORD)
    assert mention.ask("DELETE", "/accounts/{JANE}", by="JANE").status_code == 204
    answer = late.send("allow")
    assert (answer.status_code, title_of(answer), problem_of(answer)) == (400, "Sign in", "Please sign in first.")
    assert title_of(browser.open()) == "Sign in"
    assert "Jane" not in browser.open().text
    assert codes(mention) == 0


def test_who_was_changed_since_has_to_sign_in_again(mention: Mention) -> None:
    # Above all, whoever has a new password.
    browser = Browser(mention.service)
    browser.signed_in(JOHNS, JOHNS_PASSWORD)
    body = {"old_password": JOHNS_PASSWORD, "new_password": "Mypass2"}
    assert mention.ask("PUT", "/accounts/{JOHN}", body).status_code == 200
    answer = browser.send("allow")
    assert (answer.status_code, title_of(answer), problem_of(answer)) == (400, "Sign in", "Please sign in first.")
    assert title_of(browser.open()) == "Sign in"
    assert browser.sign_in(JOHNS, JOHNS_PASSWORD).status_code == 400
    assert title_of(browser.signed_in(JOHNS, "Mypass2")) == "Allow appTestMention?"


def test_an_app_that_has_gone_leads_nowhere(mention: Mention) -> None:
    browser = Browser(mention.service)
    browser.signed_in(JOHNS, JOHNS_PASSWORD)
    with mention.service.services.database.transaction(Apps, AUTHOR) as apps:
        apps.remove(CLIENT_ID)
    for action in ("allow", "deny"):
        answer = browser.send(action)
        assert (answer.status_code, answer.json["error"]) == (400, "invalid_client")


def test_that_somebody_allowed_is_known_by_the_request(mention: Mention) -> None:
    # A code is no change that anybody has to answer for; the token that it becomes is.
    browser = Browser(mention.service)
    browser.signed_in(JOHNS, JOHNS_PASSWORD)
    before = len(mention.service.audited())
    brought(browser.send("allow"))
    assert len(mention.service.audited()) == before


# -- Passwords are nowhere --------------------------------------------------------


def test_a_password_is_found_in_no_answer_no_log_and_no_table(mention: Mention) -> None:
    canaries = ("canary-of-a-wrong-1", "canary-of-a-right-2", "canary-of-a-new-3")
    mention.ok("PUT", "/accounts/{JOHN}", {"old_password": JOHNS_PASSWORD, "new_password": canaries[1]})
    browser = Browser(mention.service)
    with capture_logs() as logged:
        browser.open()
        answers = [
            browser.sign_in(JOHNS, canaries[0]),
            browser.sign_in("nobody@example.com", canaries[0]),
            browser.send("sign-in", email=JOHNS, password=canaries[1], proof="x"),
            browser.send("allow", email=JOHNS, password=canaries[1]),
            browser.sign_in(JOHNS, canaries[1]),
            browser.open(),
            browser.send("allow", password=canaries[1]),
            mention.ask("PUT", "/accounts/{JOHN}", {"old_password": canaries[0], "new_password": canaries[2]}),
            mention.ask("PUT", "/accounts/{JOHN}", {"old_password": canaries[1], "new_password": canaries[2]}),
            mention.ask("PUT", "/accounts/{JOHN}", {"old_password": canaries[2], "new_password": "canary-of-a-"}),
        ]
    assert [answer.status_code for answer in answers] == [400, 400, 400, 400, 303, 200, 303, 400, 200, 400]
    said = str(logged) + "".join(f"{answer.headers}{answer.text}" for answer in answers)
    with mention.service.services.database.looking() as connection:
        tables = ("mention_account", "mention_token", "mention_code", "mention_app", "audit_record")
        kept = str([connection.execute(text(f"SELECT * FROM {table}")).all() for table in tables])  # noqa: S608  # names of ours
    assert "canary" not in said + kept
    assert kept.count("$argon2id$") == 2


def test_no_repr_shows_a_password_or_its_hash(mention: Mention) -> None:
    with mention.service.services.database.reading(Accounts) as accounts:
        account = accounts.find(JOHN)
    assert account is not None
    assert account.password is not None
    shown = f"{account!r}{NewAccount('n', 'e', 'en', 'canary')!r}{AccountWish({}, 'canary')!r}"
    assert account.password not in shown
    assert "canary" not in shown
    assert "argon2" not in shown


def test_a_form_may_be_sent_as_the_query_is_not(browser: Browser) -> None:
    # A password in an address would stand in logs.
    browser.open()
    browser.page = f"{page_at()}&{urlencode({'email': JOHNS, 'password': JOHNS_PASSWORD, 'action': 'sign-in'})}"
    assert browser.send("sign-in", email="", password="").status_code == 400
    browser.page = f"{page_at()}&proof={quote(browser.proof)}"
    answer = browser.send("deny", proof=None)
    assert (answer.status_code, problem_of(answer)) == (400, EXPIRED)
    assert proof_of(answer)
