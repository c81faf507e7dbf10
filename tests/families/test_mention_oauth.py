"""Mention's tokens for apps: what a code is exchanged for, who gets none, and where a redirection may lead."""

from __future__ import annotations

import base64
import hashlib
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from structlog.testing import capture_logs

from accounts_service import app
from accounts_service.families.mention.store.apps import App, Apps
from accounts_service.families.mention.store.tokens import digest_of
from accounts_service.families.mention.views.grants import is_callback, leads_to
from accounts_service.storage.database import TransactionRefusedError
from tests.support.installation import Installation
from tests.support.mention import AUTHOR, CALLBACK, CLIENT_ID, Mention
from tests.support.mention_page import NOON, Clock, cheaply
from tests.support.service import Answer, Service

TOKEN = "/mention/oauth/v2/token"
MONTH_S = 2_592_000

METHODS = ("POST", "GET")
# RFC 7636, appendix B.
KEY = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
S256 = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
# What each refusal says.
GRANT_TYPE = ("invalid_request", "Invalid grant_type parameter or parameter missing")
NO_CODE = ("invalid_request", 'Missing parameter. "code" is required')
CLIENT = ("invalid_client", "The client credentials are invalid")
CODE = ("invalid_grant", "Code doesn't exist or is invalid for the client")
EXPIRED = ("invalid_grant", "The authorization code has expired")
VERIFIER = ("invalid_grant", "The code verifier is missing or does not match")
TWICE = ("invalid_request", "A parameter stands twice")
NO_FORM = ("invalid_request", "The body is not that of a form")
REDIRECT = ("redirect_uri_mismatch", "The redirect URI is missing or do not match")


@pytest.fixture
def service(installation: Installation) -> Iterator[Service]:
    """Give the service with room enough for eight writers, and cheap passwords."""
    service = Service(installation, change=cheaply, ACCOUNTS_THREADS="64")
    yield service
    service.close()


@pytest.fixture
def clock(service: Service, monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(service.services.database, "_clock", clock)
    return clock


@pytest.fixture
def mention(service: Service, clock: Clock) -> Mention:
    del clock  # Stopped before anything is made.
    return Mention(service)


def order(mention: Mention, **changed: str | None) -> dict[str, str]:
    """Write what an app sends for a token; None leaves a field out."""
    good: dict[str, str | None] = {
        "client_id": CLIENT_ID,
        "client_secret": mention.names["CLIENT_SECRET"],
        "code": mention.names["AUTH_CODE"],
        "redirect_uri": CALLBACK,
        "grant_type": "authorization_code",
        # An oddity of Mention's: said, and not looked at.
        "response_type": "token",
    }
    return {name: value for name, value in (good | changed).items() if value is not None}


def exchange(mention: Mention, method: str = "POST", **changed: str | None) -> Answer:
    """Ask for a token."""
    fields = order(mention, **changed)
    if method == "GET":
        return mention.service.get(f"{TOKEN}?{urlencode(fields)}", by=None)
    return mention.service.ask("POST", TOKEN, by=None, data=fields)


def token_for(mention: Mention, **changed: str) -> str:
    """Ask for a token that must be given."""
    answer = exchange(mention, "POST", **changed)
    assert answer.status_code == 200, answer.text
    return str(answer.json["access_token"])


def refused(answer: Answer, words: tuple[str, str]) -> None:
    """Be sure of a refusal, word by word."""
    assert (answer.status_code, answer.json) == (400, {"error": words[0], "error_description": words[1]})
    assert answer.mimetype == "application/json"
    assert (answer.headers["Cache-Control"], answer.headers["Pragma"]) == ("no-store", "no-cache")


def new_code(
    mention: Mention,
    whose: str = "JANE",
    client_id: str = CLIENT_ID,
    challenge: tuple[str | None, str | None] = (None, None),
) -> str:
    """Make a code, as the page does."""
    with mention.service.services.database.transaction(Apps, AUTHOR) as apps:
        found = apps.app(client_id)
        assert found is not None
        return apps.give_code(found, mention.names[f"ACCOUNT_{whose}"], CALLBACK, challenge)


def new_app(mention: Mention, name: str = "another", *callbacks: str) -> dict[str, str]:
    """Register another app; gives how it says who it is."""
    with mention.service.services.database.transaction(Apps, AUTHOR) as apps:
        client_id, secret = apps.register(name, callbacks or (CALLBACK,))
    return {"client_id": client_id, "client_secret": secret}


def count(mention: Mention, table: str) -> int:
    with mention.service.services.database.looking() as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())  # noqa: S608  # a name of ours


def status_of(mention: Mention, token: str) -> int:
    """Ask with a token."""
    headers = {"Authorization": f"Bearer {token}"}
    return mention.ask("GET", "/accounts/me", by=None, headers=headers).status_code


# -- A token ------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_a_code_is_exchanged_for_a_token(mention: Mention, method: str) -> None:
    answer = exchange(mention, method)
    assert answer.status_code == 200
    token = answer.json["access_token"]
    assert answer.json == {"access_token": token, "expires_in": MONTH_S, "token_type": "bearer", "scope": None}
    assert re.fullmatch(r"[a-zA-Z0-9]{86}", token)
    assert answer.mimetype == "application/json"
    assert (answer.headers["Cache-Control"], answer.headers["Pragma"]) == ("no-store", "no-cache")
    assert "WWW-Authenticate" not in answer.headers
    account = mention.ok("GET", "/accounts/me", by=None, headers={"Authorization": f"Bearer {token}"})
    assert account["id"] == mention.names["ACCOUNT_JANE"]


def test_a_token_is_the_base64_of_a_digest_and_always_another(mention: Mention) -> None:
    tokens = {token_for(mention, code=new_code(mention)) for _ in range(5)}
    assert len(tokens) == 5
    for token in tokens:
        assert re.fullmatch(rb"[0-9a-f]{64}", base64.b64decode(token + "=="))


@pytest.mark.any_database
@pytest.mark.parametrize("host", ("api.mention.net", "api.mention.com", "web.mention.net", "web.mention.com:443"))
def test_at_mentions_hosts_it_is_where_mention_has_it(mention: Mention, host: str) -> None:
    fields = order(mention, code=new_code(mention))
    answer = mention.service.ask("POST", "/oauth/v2/token", by=None, headers={"Host": host}, data=fields)
    assert answer.status_code == 200
    elsewhere = mention.service.ask("POST", "/oauth/v2/token", by=None, data=fields)
    assert elsewhere.status_code == 404


def test_fields_are_read_whatever_they_are_announced_as(mention: Mention) -> None:
    sent = urlencode(order(mention))
    answer = mention.service.ask("POST", TOKEN, by=None, data=sent, headers={"Content-Type": "text/plain"})
    assert answer.status_code == 200


def test_no_page_of_another_site_gets_a_token(mention: Mention) -> None:
    elsewhere = {"Origin": "https://elsewhere.example"}
    answer = mention.service.ask("POST", TOKEN, by=None, data=order(mention), headers=elsewhere)
    assert answer.status_code == 403
    assert exchange(mention).status_code == 200


def test_other_methods_are_told_which_there_are(mention: Mention) -> None:
    answer = mention.service.ask("PUT", TOKEN, by=None)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, POST")


# -- No token -----------------------------------------------------------------


def each(words: tuple[str, str], name: str, *values: str | None) -> list[tuple[dict[str, str | None], tuple[str, str]]]:
    return [({name: value}, words) for value in values]


WRONG = (
    *each(GRANT_TYPE, "grant_type", None, "", "password", "client_credentials", "refresh_token", "token", "é"),
    *each(GRANT_TYPE, "grant_type", "authorization_code ", "AUTHORIZATION_CODE"),
    *each(CLIENT, "client_id", None, "", "1_nobody", CLIENT_ID.lower(), f"{CLIENT_ID} ", "é", "x" * 9999),
    *each(CLIENT, "client_secret", None, "", "wrong", "é", "\0", "x" * 9999),
    *each(NO_CODE, "code", None),
    *each(CODE, "code", "", "unknown", "é", "\0", "x" * 9999),
    *each(REDIRECT, "redirect_uri", None, "", "http://example.com/", "http://example.com/x", "http://evil.org"),
    *each(REDIRECT, "redirect_uri", "HTTP://example.com", "http://example.com:80"),
)


@pytest.mark.parametrize("method", METHODS)
def test_who_gets_no_token_is_told_why_and_the_code_stays_good(mention: Mention, method: str) -> None:
    tokens = count(mention, "mention_token")
    for changed, words in WRONG:
        refused(exchange(mention, method, **changed), words)
    assert count(mention, "mention_token") == tokens
    # A wrong redirection, as everything else that is wrong, costs the app nothing but the time.
    assert exchange(mention, method).status_code == 200


def test_the_one_type_of_grant_that_the_library_would_take_as_well_is_none(mention: Mention) -> None:
    refused(exchange(mention, grant_type="openid"), GRANT_TYPE)
    refused(exchange(mention, grant_type="openid", code=None), GRANT_TYPE)
    assert exchange(mention).status_code == 200


def test_a_name_that_no_database_can_hold_is_nobodys(mention: Mention) -> None:
    refused(exchange(mention, client_id="\0"), CLIENT)


@pytest.mark.parametrize("method", METHODS)
def test_what_is_checked_first_is_told_first(mention: Mention, method: str) -> None:
    code = new_code(mention, challenge=(S256, "S256"))
    wrong: dict[str, str | None] = {
        "grant_type": "password",
        "code": None,
        "client_id": "nobody",
        "client_secret": "wrong",
        "code_verifier": None,
        "redirect_uri": "http://evil.org",
    }
    steps: tuple[tuple[dict[str, str | None], tuple[str, str]], ...] = (
        ({}, GRANT_TYPE),
        ({"grant_type": "authorization_code"}, NO_CODE),
        ({"code": "unknown"}, CLIENT),
        ({"client_id": CLIENT_ID}, CLIENT),
        ({"client_secret": mention.names["CLIENT_SECRET"]}, CODE),
        ({"code": code}, VERIFIER),
        ({"code_verifier": KEY}, REDIRECT),
    )
    for mended, words in steps:
        wrong |= mended
        refused(exchange(mention, method, **wrong), words)
    assert exchange(mention, method, **wrong | {"redirect_uri": CALLBACK}).status_code == 200


def test_what_are_no_fields_of_a_form_is_told(mention: Mention) -> None:
    for body in (b"code=%ff", b"code=\xff", b"&".join([b"a=b"] * 101)):
        refused(mention.service.ask("POST", TOKEN, by=None, data=body), NO_FORM)


def test_what_stands_twice_is_refused(mention: Mention) -> None:
    fields = {"x": "y", **order(mention)}
    for name, value in fields.items():
        twice = f"{urlencode(fields)}&{urlencode({name: value})}"
        refused(mention.service.get(f"{TOKEN}?{twice}", by=None), TWICE)
        refused(mention.service.ask("POST", TOKEN, by=None, data=twice), TWICE)
        there = f"{TOKEN}?{urlencode({name: value})}"
        refused(mention.service.ask("POST", there, by=None, data=fields), TWICE)
    assert exchange(mention).status_code == 200


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}


def test_an_app_may_say_who_it_is_in_the_header(mention: Mention) -> None:
    secret = mention.names["CLIENT_SECRET"]
    for changed in ({"client_secret": None}, {"client_secret": None, "client_id": None}):
        fields = order(mention, code=new_code(mention), **changed)
        for wrong in (basic(CLIENT_ID, "wrong"), basic(CLIENT_ID, ""), {"Authorization": "Basic !"}):
            refused(mention.service.ask("POST", TOKEN, by=None, data=fields, headers=wrong), CLIENT)
        # Encoded as in a form (RFC 6749 section 2.3.1).
        right = basic(CLIENT_ID.replace("_", "%5F"), secret)
        assert mention.service.ask("POST", TOKEN, by=None, data=fields, headers=right).status_code == 200
    fields = order(mention, client_secret="wrong")
    refused(mention.service.ask("POST", TOKEN, by=None, data=fields, headers=basic(CLIENT_ID, secret)), CLIENT)


def test_no_fields_at_all_are_no_grant(mention: Mention) -> None:
    refused(mention.service.get(TOKEN, by=None), GRANT_TYPE)
    refused(mention.service.ask("POST", TOKEN, by=None), GRANT_TYPE)
    refused(mention.service.ask("POST", TOKEN, by=None, json=order(mention)), GRANT_TYPE)


# -- A code -------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_a_code_is_good_once_and_who_brings_it_again_ends_what_came_of_it(mention: Mention, method: str) -> None:
    token, another = token_for(mention), token_for(mention, code=new_code(mention))
    # Nobody ends it who has not the app's secret, or not the code.
    refused(exchange(mention, method, client_secret="wrong"), CLIENT)
    refused(exchange(mention, method, **new_app(mention)), CODE)
    refused(exchange(mention, method, code="unknown"), CODE)
    assert status_of(mention, token) == 200
    refused(exchange(mention, method), CODE)
    assert [status_of(mention, one) for one in (token, another)] == [401, 200]
    refused(exchange(mention, method), CODE)


def test_of_many_who_bring_one_code_at_once_one_gets_a_token(mention: Mention, clock: Clock) -> None:
    for _ in range(8):
        clock.seconds += 60  # Of calls there are enough soon.
        before = count(mention, "mention_token")
        fields, barrier = order(mention, code=new_code(mention)), threading.Barrier(8)

        def ask(fields: dict[str, str] = fields, barrier: threading.Barrier = barrier) -> Answer:
            barrier.wait()
            return mention.service.ask("POST", TOKEN, by=None, data=fields)

        with ThreadPoolExecutor(8) as pool:
            answers = [one.result() for one in [pool.submit(ask) for _ in range(8)]]
        assert sorted(answer.status_code for answer in answers) == [200] + [400] * 7
        for answer in answers:
            if answer.status_code == 400:
                refused(answer, CODE)
        # The others brought it again.
        (token,) = (answer.json["access_token"] for answer in answers if answer.status_code == 200)
        assert status_of(mention, token) == 401
        assert count(mention, "mention_token") == before


def test_a_code_is_good_for_half_a_minute(mention: Mention, clock: Clock) -> None:
    late = new_code(mention)
    clock.seconds += 29
    assert exchange(mention).status_code == 200
    clock.seconds += 1
    refused(exchange(mention, code=late), EXPIRED)
    refused(exchange(mention, code=late), EXPIRED)


def test_an_expired_code_is_known_for_an_hour(mention: Mention, clock: Clock) -> None:
    services = mention.service.services
    (forget,) = (
        job.run
        for job in app.make_jobs(services.settings, services.database, services.limits)
        if job.name == "mention-codes"
    )
    clock.seconds += 30 + 3600
    forget(lambda: False)
    refused(exchange(mention), EXPIRED)
    clock.seconds += 1
    forget(lambda: False)
    refused(exchange(mention), CODE)
    assert count(mention, "mention_code") == 0


def test_a_code_that_was_used_is_known_as_such_as_long(mention: Mention, clock: Clock) -> None:
    token = token_for(mention)
    clock.seconds += 3600
    refused(exchange(mention), CODE)
    assert status_of(mention, token) == 401


def test_a_code_is_good_for_its_own_app_alone(mention: Mention) -> None:
    refused(exchange(mention, **new_app(mention)), CODE)
    assert exchange(mention).status_code == 200


def test_an_expired_code_of_another_app_is_not_known(mention: Mention, clock: Clock) -> None:
    other = new_app(mention)
    clock.seconds += 30
    refused(exchange(mention, **other), CODE)


def test_a_code_of_who_has_gone_is_gone(mention: Mention) -> None:
    token = token_for(mention, code=new_code(mention))
    assert mention.ask("DELETE", "/accounts/{JANE}", by="JANE").status_code == 204
    refused(exchange(mention), CODE)
    told = mention.refused(401, "GET", "/accounts/me", by=None, headers={"Authorization": f"Bearer {token}"})
    assert told == {"error": "invalid_grant", "error_description": "The access token provided is invalid."}
    assert count(mention, "mention_code") == 0
    # John's two.
    assert count(mention, "mention_token") == 2


def test_who_goes_at_the_same_moment_gets_neither_code_nor_token(mention: Mention) -> None:
    database, jane = mention.service.services.database, mention.names["ACCOUNT_JANE"]
    gone = App("1_gone", "x", (), "")
    with database.reading(Apps) as apps:
        here = apps.app(CLIENT_ID)
    assert here is not None
    acts: tuple[Callable[[Apps], object], ...] = (
        lambda apps: apps.give_code(here, "1_gone", CALLBACK, (None, None)),
        lambda apps: apps.give_code(gone, jane, CALLBACK, (None, None)),
        lambda apps: apps.make("1_gone", "x", CLIENT_ID, 60),
        lambda apps: apps.make(jane, "x", "1_gone", 60),
    )
    for act in acts:
        # Whoever is told this looks again, and finds that one of them is gone.
        with pytest.raises(TransactionRefusedError), database.transaction(Apps, AUTHOR) as apps:
            act(apps)


def test_tokens_and_codes_of_an_app_that_has_gone_are_gone(mention: Mention) -> None:
    token, code = token_for(mention, code=new_code(mention, "JOHN")), new_code(mention)
    before = count(mention, "mention_token")
    with mention.service.services.database.transaction(Apps, AUTHOR) as apps:
        assert apps.remove(CLIENT_ID)
    assert status_of(mention, token) == 401
    assert (count(mention, "mention_code"), count(mention, "mention_token")) == (0, before - 1)
    refused(exchange(mention, code=code), CLIENT)
    # What was made at the command line is no app's.
    assert mention.ask("GET", "/accounts/me").status_code == 200


# -- PKCE ---------------------------------------------------------------------


def test_the_challenge_of_the_rfc_is_what_it_says() -> None:
    assert base64.urlsafe_b64encode(hashlib.sha256(KEY.encode()).digest()).rstrip(b"=").decode() == S256


@pytest.mark.parametrize("method", METHODS)
def test_who_has_the_verifier_gets_the_token(mention: Mention, method: str) -> None:
    code = new_code(mention, challenge=(S256, "S256"))
    for wrong in (None, "", "wrong", S256, KEY + "=", KEY.lower()):
        answer = exchange(mention, method, code=code, code_verifier=wrong)
        assert (answer.status_code, answer.json["error"]) == (400, "invalid_grant")
    assert exchange(mention, method, code=code, code_verifier=KEY).status_code == 200
    refused(exchange(mention, method, code=code, code_verifier=KEY), CODE)


def test_a_verifier_that_is_missing_or_does_not_match_is_told_as_such(mention: Mention) -> None:
    code = new_code(mention, challenge=(S256, "S256"))
    for wrong in (None, "", "wrong", S256):
        refused(exchange(mention, code=code, code_verifier=wrong), VERIFIER)


def test_code_with_a_plain_challenge_gets_no_token(mention: Mention) -> None:
    """A challenge by `plain` is the verifier; a code of one, from before it was refused, is worth nothing."""
    refused(exchange(mention, code=new_code(mention, challenge=(KEY, "plain")), code_verifier=KEY), VERIFIER)


def test_letters_that_no_verifier_has_match_nothing(mention: Mention) -> None:
    code = new_code(mention, challenge=(S256, "S256"))
    for verifier in ("é", "é" * 43, "\0", "x" * 9999):
        answer = exchange(mention, code=code, code_verifier=verifier)
        assert (answer.status_code, answer.json.get("error")) == (400, "invalid_grant")


def test_a_verifier_without_a_challenge_is_refused(mention: Mention) -> None:
    # Somebody has taken the challenge out of the address (RFC 9700 section 2.1.1).
    refused(exchange(mention, code_verifier=KEY), VERIFIER)
    assert exchange(mention).status_code == 200


# -- How long, and what is kept -------------------------------------------------


def test_a_token_is_good_for_as_long_as_it_says(mention: Mention, clock: Clock) -> None:
    token = token_for(mention)
    headers = {"Authorization": f"Bearer {token}"}
    clock.seconds += MONTH_S - 1
    assert mention.ask("GET", "/accounts/me", by=None, headers=headers).status_code == 200
    clock.seconds += 1
    told = mention.refused(401, "GET", "/accounts/me", by=None, headers=headers)
    assert told == {"error": "invalid_grant", "error_description": "The access token provided has expired."}


TABLES = ("mention_token", "mention_code", "mention_app", "mention_account", "audit_record")


@pytest.mark.parametrize("method", METHODS)
def test_of_tokens_codes_and_secrets_only_digests_are_kept(mention: Mention, method: str) -> None:
    def everything() -> str:
        with mention.service.services.database.looking() as connection:
            return str([connection.execute(text(f"SELECT * FROM {table}")).all() for table in TABLES])  # noqa: S608  # names of ours

    code, secret = new_code(mention, challenge=(S256, "S256")), mention.names["CLIENT_SECRET"]
    with capture_logs() as logged:
        assert exchange(mention, method, code=code, code_verifier=f"wrong-{KEY}").status_code == 400
        refused(exchange(mention, method, code=code, client_secret="wrong-secret"), CLIENT)
        kept = [everything()]
        token = exchange(mention, method, code=code, code_verifier=KEY).json["access_token"]
        kept.append(everything())
        refused(exchange(mention, method, code=code, code_verifier=KEY), CODE)
        kept.append(everything())
    for one in (code, token, secret, KEY, "wrong-secret"):
        assert one not in str(kept)
        assert one not in str(logged)
    assert digest_of(token) == hashlib.sha256(token.encode()).hexdigest()
    assert [digest_of(token) in one for one in kept] == [False, True, False]
    assert all(digest_of(one) in kept[0] for one in (code, secret))
    assert len([line for line in logged if line["event"] == "request"]) == 4


def test_what_becomes_of_a_token_is_recorded_as_the_apps_doing(mention: Mention) -> None:
    before = len(mention.service.audited())
    refused(exchange(mention, code="unknown"), CODE)
    token_for(mention)
    refused(exchange(mention), CODE)
    refused(exchange(mention), CODE)
    made, revoked = mention.service.audited()[before:]
    assert (made.detail, revoked.detail) == ('{"token": "made"}', '{"token": "revoked"}')
    for record in (made, revoked):
        assert (record.family, record.actor) == ("mention", f"app {CLIENT_ID}")
        assert record.object.endswith(f" of {mention.names['ACCOUNT_JANE']}")


# -- How often ----------------------------------------------------------------


def limited(answer: Answer, wait_s: int) -> None:
    """Be sure that there were enough calls, for so long."""
    assert (answer.status_code, answer.json["code"]) == (429, 429)
    assert (answer.headers["X-Rate-Limit-Reset"], answer.headers["Retry-After"]) == (str(NOON + 60), str(wait_s))


def test_an_app_may_call_sixty_times_a_minute(mention: Mention, clock: Clock) -> None:
    for number in range(59):
        refused(exchange(mention, METHODS[number % 2], grant_type=None), GRANT_TYPE)
    token_for(mention, code=new_code(mention))
    clock.seconds += 20
    for method in METHODS:
        limited(exchange(mention, method, grant_type=None), 40)
        # Who has everything right as well; the code is not spent.
        limited(exchange(mention, method), 40)
    clock.seconds += 39.5
    limited(exchange(mention), 1)
    clock.seconds += 0.5
    refused(exchange(mention, code="unknown"), CODE)
    token_for(mention, code=new_code(mention))


@pytest.fixture
def strict(installation: Installation) -> Iterator[Mention]:
    """Give a service that lets an app call twice a minute."""
    service = Service(installation, change=cheaply, ACCOUNTS_MENTION_TOKEN_CALLS_PER_APP="2")
    yield Mention(service)
    service.close()


def test_other_apps_are_counted_apart(strict: Mention) -> None:
    other = new_app(strict)
    answers = [exchange(strict, code="unknown") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [400, 400, 429]
    assert exchange(strict).status_code == 429
    assert token_for(strict, code=new_code(strict, "JOHN", other["client_id"]), **other)


def test_who_does_not_prove_which_app_he_is_is_counted_by_where_he_is(strict: Mention) -> None:
    def status(peer: str, **changed: str | None) -> int:
        return strict.service.ask("POST", TOKEN, by=None, data=order(strict, **changed), peer=peer).status_code

    names = ("1_unknown", None, "2_unknown", "")
    assert [status("192.0.2.1", client_id=name) for name in names] == [400, 400, 429, 429]
    assert [status("192.0.2.2", client_id=name) for name in ("1_unknown", "x", "x" * 9999)] == [400, 400, 429]
    # Who knows the name of an app, which stands in addresses, uses up none of its calls.
    assert [status("192.0.2.3", client_secret="wrong") for _ in range(5)] == [400, 400, 429, 429, 429]
    assert status("192.0.2.3") == 200


# -- Where a redirection may lead -----------------------------------------------

HOST = "http://example.com"
BELOW = "https://app.example:8443/oauth/cb"

LEADS = (
    (HOST, HOST),
    (HOST, f"{HOST}/"),
    (HOST, f"{HOST}/any/thing"),
    (HOST, f"{HOST}?a=b&c=%20d"),
    (HOST, f"{HOST}/x?next=http://evil.org/../@x"),
    (HOST, "HTTP://Example.COM/x"),
    (HOST, f"{HOST}:80/x"),
    ("http://EXAMPLE.com:80", HOST),
    ("https://example.com", "https://example.com:443/"),
    ("https://example.com:443/x", "https://example.com/x"),
    (BELOW, BELOW),
    (BELOW, f"{BELOW}/"),
    (BELOW, f"{BELOW}/more//x"),
    (BELOW, f"{BELOW}?a=b"),
    (BELOW, f"{BELOW}?a=/../b"),
    (BELOW, f"{BELOW}/...x/..x"),
    (BELOW, f"{BELOW}/caf%C3%A9/100%25"),
    (BELOW, f"{BELOW}?next=%2Fhome%3Fx%3D%2e%2e"),
    (f"{BELOW}/", BELOW),
    (f"{BELOW}/", f"{BELOW}/x"),
    ("http://[::1]:8000/cb", "http://[::1]:8000/cb/x"),
    ("http://127.0.0.1:8000", "http://127.0.0.1:8000/x"),
)
LEADS_ELSEWHERE = (
    *(
        (HOST, uri)
        for uri in ("", "/", "//example.com", "example.com", "http:", "http://", "http:///", "http:example.com")
    ),
    (HOST, "https://example.com"),
    (HOST, "ftp://example.com"),
    (HOST, "javascript://example.com/%0aalert(1)"),
    (HOST, "http://example.com.evil.org"),
    (HOST, "http://example.comevil.org"),
    (HOST, "http://evil.org/http://example.com"),
    (HOST, "http://evil.org?http://example.com"),
    (HOST, "http://evil-example.com"),
    (HOST, "http://www.example.com"),
    (HOST, "http://example.com."),
    (HOST, "http://example.com%2eevil.org"),
    (HOST, "http://example.com%00.evil.org"),
    (HOST, "http://example.com:8080"),
    (HOST, "http://example.com:443"),
    (HOST, "http://example.com:0"),
    (HOST, "http://example.com:x"),
    (HOST, "http://example.com:99999"),
    # Who asks, before an @.
    (HOST, "http://example.com@evil.org"),
    (HOST, "http://example.com:80@evil.org"),
    (HOST, "http://user@example.com"),
    (HOST, "http://user:word@example.com/"),
    (HOST, "http://@example.com"),
    (HOST, "http://evil.org@example.com"),
    # What no server is sent.
    (HOST, f"{HOST}#"),
    (HOST, f"{HOST}/x#y"),
    (HOST, f"{HOST}/x?y#z"),
    # What browsers make a slash of, or nothing.
    (HOST, f"{HOST}\\@evil.org"),
    (HOST, f"{HOST}/\\evil.org"),
    (HOST, "http:\\\\example.com"),
    (HOST, "http://evil.org\\@example.com"),
    *((HOST, f"{before}{HOST}{after}") for sign in "\t\n\r\0 \x1f\x7f" for before, after in ((sign, ""), ("", sign))),
    (HOST, "http://example\n.com"),
    (HOST, "ht\ttp://example.com"),
    (HOST, f"{HOST}/a\nb"),
    # What answers in our place.
    *((HOST, f"{HOST}?{name}=x") for name in ("code", "state", "error", "access_token", "a=b&%63ode")),
    (HOST, f"{HOST}?code"),
    # However often it is decoded.
    *(
        (BELOW, f"{BELOW}{path}")
        for path in ("/%252e%252e/x", "/%25252e%25252e", "/%252f..", "/%255c..", "/%2500", "/..;/x")
    ),
    *((BELOW, f"{BELOW}{path}") for path in ("/..;x=y/", "/%2e%2e%3b/x", "/%5c..", "/%09", "/%0a", "/%00", "/.;")),
    # Of other letters, which browsers take for these.
    ("http://kiosk.example", "http://\u212aiosk.example"),
    (HOST, "http://example\u3002com"),
    (HOST, "http://\uff45xample.com"),
    # Out of the folder, and beside it.
    *((BELOW, f"{BELOW}{path}") for path in ("x", "-x", ".", "%20", ";x", "%", "%2f..", "%2F", "/%2f", "\\..")),
    *(
        (BELOW, f"{BELOW}{path}")
        for path in ("/..", "/../", "/../cb", "/.", "/./x", "/x/../../../y", "/%2e%2e/", "/%2e")
    ),
    *((BELOW, f"{BELOW}{path}") for path in ("/%2E%2e", "/.%2e/x", "/%2E./x", "/..%2fx", "/..\\x", "/x%2f..%2f..")),
    (BELOW, "https://app.example:8443"),
    (BELOW, "https://app.example:8443/"),
    (BELOW, "https://app.example:8443/oauth"),
    (BELOW, "https://app.example:8443/oauth/CB"),
    (BELOW, "https://app.example:8443//oauth/cb"),
    (BELOW, "https://app.example:8443/oauth//cb"),
    (BELOW, "https://app.example:8443/x/../oauth/cb"),
    (BELOW, "https://app.example/oauth/cb"),
    (BELOW, "http://app.example:8443/oauth/cb"),
    ("http://[::1]:8000/cb", "http://[::2]:8000/cb"),
    ("http://[::1]:8000/cb", "http://[::1]/cb"),
    ("http://[::1]:8000/cb", "http://[::1%25lo]:8000/cb"),
    ("http://[::1]:8000/cb", "http://[::1"),
    ("http://[::1]:8000/cb", "http://::1:8000/cb"),
    ("http://[::1]:8000/cb", "http://[::1].evil.org:8000/cb"),
    ("http://127.0.0.1", "http://2130706433"),
    ("http://127.0.0.1", "http://127.1"),
)


@pytest.mark.parametrize(("callback", "uri"), LEADS)
def test_a_redirection_leads_to_the_callback_or_below_it(callback: str, uri: str) -> None:
    assert leads_to(callback, uri)


@pytest.mark.parametrize(("callback", "uri"), LEADS_ELSEWHERE)
def test_what_leads_elsewhere_or_may_be_read_so_is_refused(callback: str, uri: str) -> None:
    assert not leads_to(callback, uri)


PIECES = st.sampled_from(
    (
        *("http", "https", ":", "//", "/", "\\", "?", "#", "@", "&", "=", ";", "%", ".", "..", "[", "]", "::1"),
        *(
            "%2e",
            "%2F",
            "%5c",
            "%00",
            "%09",
            ":80",
            ":443",
            ":8443",
            ":",
            "\t",
            "\n",
            "\r",
            " ",
            "\0",
            "\u3002",
            "\uff0f",
        ),
        *("example.com", "EXAMPLE.COM", "app.example", "evil.org", "user", "oauth", "cb", "x", "é", "\u212a", "\u2100"),
    )
)
MADE_UP = st.lists(PIECES, max_size=8).map("".join)


def _goal(uri: str) -> tuple[str, str | None, int]:
    parts = urlsplit(uri)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}[parts.scheme]


@given(st.sampled_from((HOST, BELOW, "http://[::1]:8000/cb/")), MADE_UP, MADE_UP, st.booleans())
def test_whatever_passes_goes_to_the_callbacks_scheme_host_and_port(
    callback: str,
    before: str,
    after: str,
    whole: bool,  # noqa: FBT001  # Hypothesis's
) -> None:
    uri = f"{before}{callback if whole else ''}{after}"
    if leads_to(callback, uri):
        assert _goal(uri) == _goal(callback)
        parts = urlsplit(uri)
        assert (parts.username, parts.password, parts.fragment) == (None, None, "")
        assert f"{parts.path}/".startswith(urlsplit(callback).path.rstrip("/") + "/")


@given(st.text(max_size=40) | MADE_UP)
def test_whatever_is_asked_for_is_answered(uri: str) -> None:
    assert leads_to(uri, uri) or not is_callback(uri)
    assert not leads_to("http://example.com", "http://evil.org" + uri.removeprefix("\n") + "\n")


@pytest.mark.parametrize(
    "uri",
    (HOST, f"{HOST}/", BELOW, f"{BELOW}/", "http://localhost:3000/cb", "http://[::1]:8000", "HTTPS://App.example"),
)
def test_an_app_may_register_addresses_of_the_web(uri: str) -> None:
    assert is_callback(uri)


@pytest.mark.parametrize(
    "uri",
    (
        *(
            "",
            "x",
            "/",
            "//example.com",
            "example.com",
            "http:",
            "http://",
            "http:///x",
            "http://:80",
            "https://:443/x",
        ),
        *("ftp://example.com", "javascript:alert(1)", "data:text/html,x", "urn:ietf:wg:oauth:2.0:oob", "myapp://cb"),
        *(f"{HOST}?", f"{HOST}?a=b", f"{HOST}/x?", f"{HOST}#", f"{HOST}/#x", f"{HOST}/..", f"{HOST}/%2e%2e/x"),
        *(f"{HOST}/a%2fb", f"{HOST}/a b", f"{HOST}/a\n", f"{HOST}\t", f"{HOST}\\", "http://u@example.com"),
        *("http://u:p@example.com", "http://example.com:x", "http://example.com:99999", "http://[::1", "http://]"),
    ),
)
def test_no_app_may_register_anything_else(uri: str) -> None:
    assert not is_callback(uri)
