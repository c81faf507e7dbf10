"""What ends tokens, codes, sessions and apps of Mention: a new password or e-mail, signing out, and revoking an app."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from accounts_service.access.privileges import Everything, Grant
from accounts_service.app import STORED
from accounts_service.families.mention.privileges import MentionPrivilege
from accounts_service.families.mention.schemas.accounts import AccountWish, NewAccount
from accounts_service.families.mention.store.accounts import Checked
from accounts_service.families.mention.store.acting import ActingApps
from accounts_service.families.mention.store.apps import Apps
from accounts_service.storage.verification import verify
from accounts_service.web.etags import Conditions
from tests.support.installation import Installation
from tests.support.mention import AUTHOR, CALLBACK, CLIENT_ID, JANES_PASSWORD, JOHN, JOHNS_PASSWORD, Mention
from tests.support.mention_page import Browser, Clock, brought, page_at, problem_of, started, text_of, title_of
from tests.support.service import Answer, Service

ACCOUNT, ME, APPS = "/accounts/{JOHN}", "/accounts/me", "/accounts/{JOHN}/apps"
JOHNS = "j.smith@nasa.com"
NEW_PASSWORD = {"old_password": JOHNS_PASSWORD, "new_password": "Mysecuredpass2"}
NEW_EMAIL = {"old_password": JOHNS_PASSWORD, "email": "john@example.com"}
OVER_TLS = {"X-Forwarded-Proto": "https"}
TRUSTING = {
    "sg_authc.yml": {
        "auth_domains": [{"type": "basic/internal_users_db"}],
        "network": {"trusted_proxies": "127.0.0.0/8"},
    }
}


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


def signed_in(mention: Mention, page: str | None = None) -> Browser:
    browser = Browser(mention.service, page)
    browser.signed_in(JOHNS, JOHNS_PASSWORD)
    return browser


def exchange(mention: Mention, code: str) -> Answer:
    fields = {
        "client_id": CLIENT_ID,
        "client_secret": mention.names["CLIENT_SECRET"],
        "code": code,
        "redirect_uri": CALLBACK,
        "grant_type": "authorization_code",
    }
    return mention.service.ask("POST", "/mention/oauth/v2/token", by=None, data=fields)


def token_of_app(mention: Mention, browser: Browser) -> str:
    return str(exchange(mention, brought(browser.send("allow"))["code"]).json["access_token"])


def status_of(mention: Mention, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    return mention.ask("GET", ME, by=None, headers=headers).status_code


# -- A new password, and a new e-mail --------------------------------------------


@pytest.mark.parametrize("change", (NEW_PASSWORD, NEW_EMAIL), ids=("password", "email"))
def test_new_credentials_end_everything_but_the_token_used(mention: Mention, change: dict[str, str]) -> None:
    """A stolen token, code, session or app ends; those of other accounts go on."""
    browser, other = signed_in(mention), signed_in(mention)
    stolen = [mention.know("AGAIN", JOHN), token_of_app(mention, browser)]
    code = brought(browser.send("allow"))["code"]
    mention.ok("PUT", ACCOUNT, change)
    assert [status_of(mention, token) for token in stolen] == [401, 401]
    assert (exchange(mention, code).status_code, exchange(mention, code).json["error"]) == (400, "invalid_grant")
    assert [title_of(one.open()) for one in (browser, other)] == ["Sign in", "Sign in"]
    for one in (browser, other):
        assert problem_of(one.send("allow")) == "Please sign in first."
    assert mention.ok("GET", APPS) == {"apps": []}
    assert mention.ok("GET", ME)["id"] == JOHN
    assert mention.ok("GET", ME, by="JANE")["id"] != JOHN
    (record,) = [one for one in mention.service.audited() if "ended" in one.detail]
    # The fixture's expired token as well, and the code that the app's token came of.
    assert json.loads(record.detail)["ended"] == {"tokens": 3, "codes": 2, "sessions": 2}


def test_an_administrator_ends_all_tokens_of_the_account(mention: Mention) -> None:
    """An administrator needs no password for a new e-mail, and no token of the account survives it."""
    path = f"/accounts/{JOHN}"
    answer = mention.service.put(path, {"new_password": "Mysecuredpass2"})
    assert (answer.status_code, "errors" in answer.json["form"]["children"]["old_password"]) == (400, True)
    assert mention.ok("GET", ME)["id"] == JOHN
    assert mention.service.put(path, {"email": "john@example.com"}).status_code == 200
    assert mention.ask("GET", ME).status_code == 401


def test_a_new_email_needs_the_password(mention: Mention) -> None:
    """A stolen token does not move an account; a client that sends the present address needs no password."""
    before = mention.ok("GET", ME)
    for proof in (
        {},
        {"old_password": None},
        {"old_password": ""},
        {"old_password": "Wrongpass7"},
        {"old_password": 7},
    ):
        body = {"name": "Changed", "email": "john@example.com", **proof}
        told = mention.refused(400, "PUT", ACCOUNT, body)["form"]["children"]
        assert [name for name, child in told.items() if child] == ["old_password"], proof
    assert mention.ok("GET", ME) == before
    mention.know("AGAIN", JOHN)
    for body in ({**before, "name": "Johnny"}, {**before, "old_password": "Wrongpass7"}):
        assert mention.ok("PUT", ACCOUNT, body)["email"] == JOHNS
    assert mention.ok("PUT", ACCOUNT, {"name": "John", "phone": "1"})["name"] == "John"
    assert mention.ok("GET", ME, by="AGAIN")["id"] == JOHN
    answer = mention.ask("PUT", ACCOUNT, NEW_EMAIL)
    assert (answer.status_code, "Accounts-Ignored" in answer.headers) == (200, False)
    assert answer.json["account"]["email"] == "john@example.com"


def test_a_token_of_an_exchange_under_way_does_not_survive(mention: Mention) -> None:
    """The exchange holds the code and has not written its token yet; the new password waits for it and ends it."""
    code = brought(signed_in(mention).send("allow"))["code"]
    with ThreadPoolExecutor(1) as pool:
        with mention.service.services.database.transaction(Apps, AUTHOR) as apps:
            kept = apps.code(code)
            assert kept is not None
            changed = pool.submit(mention.ask, "PUT", ACCOUNT, NEW_PASSWORD)
            time.sleep(0.2)
            token_id, token = apps.make(kept.account_id, "app", kept.client_id, 3600)
            apps.use(kept, token_id)
        assert changed.result().status_code == 200
    assert status_of(mention, token) == 401


def test_nothing_begun_at_the_moment_of_a_new_password_survives(mention: Mention) -> None:
    """An exchange, a log-in and a consent race with the change: none leaves a token, session or code behind."""
    passwords = [JOHNS_PASSWORD, "Mysecuredpass2"]
    for number in range(6):
        old, new = passwords[number % 2], passwords[(number + 1) % 2]
        exchanging, coming, allowing = (Browser(mention.service) for _ in range(3))
        for browser in (exchanging, allowing):
            browser.signed_in(JOHNS, old)
        code = brought(exchanging.send("allow"))["code"]
        coming.open()
        with ThreadPoolExecutor(4) as pool:
            made = pool.submit(exchange, mention, code)
            came = pool.submit(coming.sign_in, JOHNS, old)
            allowed = pool.submit(allowing.send, "allow")
            body = {"old_password": old, "new_password": new}
            changed = pool.submit(mention.ask, "PUT", ACCOUNT, body)
        assert changed.result().status_code == 200
        assert {came.result().status_code, allowed.result().status_code} <= {303, 400}
        if made.result().status_code == 200:
            assert status_of(mention, made.result().json["access_token"]) == 401
        if allowed.result().status_code == 303:
            assert exchange(mention, brought(allowed.result())["code"]).status_code == 400
        assert [title_of(browser.open()) for browser in (exchanging, coming, allowing)] == ["Sign in"] * 3


# -- Signing out ------------------------------------------------------------------


def test_signing_out_ends_the_session_on_the_server(mention: Mention) -> None:
    """A cookie that was copied before is refused after it; another browser stays signed in."""
    browser, other = signed_in(mention), signed_in(mention)
    copied, proof = browser.cookie, browser.proof
    assert browser.leads_back(browser.send("sign-out"))
    browser.cookie, browser.proof = copied, proof
    assert problem_of(browser.send("allow")) == "Please sign in first."
    browser.cookie = copied
    assert title_of(browser.open()) == "Sign in"
    assert set(brought(other.send("allow"))) == {"code"}


def test_sessions_that_are_over_are_forgotten(mention: Mention, clock: Clock) -> None:
    def sessions() -> int:
        with mention.service.services.database.looking() as connection:
            return int(connection.execute(text("SELECT count(*) FROM mention_session")).scalar_one())

    signed_in(mention)
    for seconds, left in ((0, 1), (15 * 60 + 1, 0)):
        clock.seconds += seconds
        mention.service.services.database.written(Apps, AUTHOR, lambda apps: apps.forget())
        assert sessions() == left


# -- Cookies ----------------------------------------------------------------------


def test_over_tls_a_cookie_is_bound_to_the_host(mention: Mention) -> None:
    """Over TLS only a cookie of the name with `__Host-` counts, and only a trusted proxy says what was TLS."""

    def cookie_of(**headers: str) -> list[str]:
        answer = mention.service.get(
            page_at(), by=None, headers={name.replace("_", "-"): v for name, v in headers.items()}
        )
        return str(answer.headers["Set-Cookie"]).split("; ")

    assert cookie_of(X_Forwarded_Proto="https")[0].startswith("mention_sign_in="), "the peer is not trusted"
    mention.service.configure(TRUSTING)
    for said, prefix in (("https", "__Host-"), ("HTTPS", "__Host-"), ("http", ""), ("", ""), ("https,http", "")):
        name, *attributes = cookie_of(X_Forwarded_Proto=said)
        assert name.startswith(f"{prefix}mention_sign_in="), said
        assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(attributes)
        assert not any(attribute.lower().startswith("domain") for attribute in attributes)
    browser = signed_in(mention)
    kept = browser.cookie
    for name, title in (("mention_sign_in", "Sign in"), ("__Host-mention_sign_in", "Allow appTestMention?")):
        assert title_of(browser.open(headers={**OVER_TLS, "Cookie": f"{name}={kept}"})) == title, name
    assert title_of(browser.open(headers={"Cookie": f"__Host-mention_sign_in={kept}"})) == "Sign in"


# -- Apps that act for an account -------------------------------------------------


def test_apps_are_listed_and_revoked_by_a_token(mention: Mention, clock: Clock) -> None:
    browser = signed_in(mention)
    tokens = [token_of_app(mention, browser) for _ in range(2)]
    code = brought(browser.send("allow"))["code"]
    (app,) = mention.ok("GET", APPS)["apps"]
    assert (app["client_id"], app["name"], app["last_used_at"]) == (CLIENT_ID, "appTestMention", None)
    assert app["since"].endswith(".0+00:00")
    # Those of another account are refused, whether there are any or not.
    for method, path in (("GET", APPS), ("DELETE", f"{APPS}/{CLIENT_ID}")):
        assert mention.ask(method, path, by="JANE").status_code == 403
        assert mention.ask(method, path, by=None).status_code == 401
        assert mention.service.ask(method, path.replace("{JOHN}", JOHN), by="stranger").status_code == 403
    assert mention.refused(404, "DELETE", f"{APPS}/1_unknown")["message"] == "No such app acts for the account"
    answer = mention.ask("DELETE", f"{APPS}/{CLIENT_ID}")
    assert (answer.status_code, answer.data) == (204, b"")
    assert [status_of(mention, token) for token in tokens] == [401, 401]
    assert exchange(mention, code).json["error"] == "invalid_grant"
    assert mention.ok("GET", APPS) == {"apps": []}
    assert mention.ask("DELETE", f"{APPS}/{CLIENT_ID}").status_code == 404
    assert mention.ok("GET", ME)["id"] == JOHN
    record = mention.service.audited()[-1]
    assert (record.act, record.object) == (
        "cluster:admin:mention:account/_own/apps/delete",
        f"app {CLIENT_ID} of {JOHN}",
    )
    # An app whose tokens have expired does not act for the account.
    token_of_app(mention, browser)
    clock.seconds += 31 * 24 * 3600
    assert mention.ok("GET", APPS) == {"apps": []}
    # An administrator does the same for any account.
    path = f"/accounts/{JOHN}/apps"
    assert mention.service.get(path).json == {"apps": []}
    assert mention.service.delete(f"{path}/{CLIENT_ID}").status_code == 204


def test_apps_are_listed_and_revoked_on_a_page(mention: Mention) -> None:
    token = token_of_app(mention, signed_in(mention))
    browser = Browser(mention.service, "/mention/apps")
    assert "Sign in to see the apps" in text_of(browser.open())
    assert browser.sign_in(JOHNS, "Wrongpass7").status_code == 400
    assert browser.leads_back(browser.sign_in(JOHNS, JOHNS_PASSWORD))
    shown = browser.open()
    assert (title_of(shown), "appTestMention" in text_of(shown)) == ("Apps", True)
    assert shown.headers["X-Frame-Options"] == "DENY"
    # A page of another site, and one without the proof, end nothing.
    proof = browser.proof
    evil = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    assert browser.send("revoke", app=CLIENT_ID, headers=evil).status_code == 403
    browser.proof = "x"
    assert browser.send("revoke", app=CLIENT_ID).status_code == 400
    assert status_of(mention, token) == 200
    browser.proof = proof
    # Twice, since who presses a button twice has ended it. An app that cannot be there has ended as well.
    for app in (CLIENT_ID, CLIENT_ID, "\0", "1_x\0"):
        assert browser.leads_back(browser.send("revoke", app=app))
    assert "There are none." in text_of(browser.open())
    assert status_of(mention, token) == 401
    copied, proof = browser.cookie, browser.proof
    assert browser.leads_back(browser.send("sign-out"))
    browser.cookie, browser.proof = copied, proof
    assert problem_of(browser.send("revoke", app=CLIENT_ID)) == "Please sign in first."
    # Jane's are Jane's.
    jane = Browser(mention.service, "/mention/apps")
    jane.open()
    assert jane.leads_back(jane.sign_in("jane@example.com", JANES_PASSWORD))
    assert "There are none." in text_of(jane.open())


@pytest.mark.any_database
def test_the_trail_verifies_after_all_of_it(service: Service) -> None:
    """What ends without a record of its own is no finding of `audit verify`."""
    database, grant = service.services.database, Grant(MentionPrivilege.ALL_PUT, Everything())
    with database.transaction(ActingApps, AUTHOR) as accounts:
        account = accounts.create(NewAccount("Person", "person@example.com", "en", ""), "hash")
    for ending in ("password", "app"):
        with database.transaction(Apps, AUTHOR) as apps:
            client_id, _ = apps.register(ending, [CALLBACK])
            apps.make(account.id, "test", None, None)
            apps.make(account.id, "app", client_id, None)
        with database.transaction(ActingApps, AUTHOR) as accounts:
            if ending == "app":
                accounts.revoke(grant, account.id, client_id)
            else:
                checked = Checked("hash", account.email, new_password="another")
                accounts.put(grant, account.id, AccountWish({}, "another"), checked, Conditions(None, None))
    report = verify(database, STORED)
    assert report.ok, report.findings
