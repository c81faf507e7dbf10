"""New ids that look like others are refused; those that are stored can be read, changed and deleted."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import pytest
from sqlalchemy import Table, update

from accounts_service.families.mention import tables as mention_tables
from accounts_service.families.signals import examples
from accounts_service.families.signals import tables as signals_tables
from accounts_service.families.wavefront import tables as wavefront_tables
from accounts_service.identifiers import folded
from tests.families.test_netbird_jwt import FILES, FRESH, ME, bearer, jwt
from tests.support import wavefront
from tests.support.installation import Installation
from tests.support.mention import JOHNS_PASSWORD, Mention
from tests.support.mention_page import cheaply
from tests.support.netbird import NetBird
from tests.support.service import Service

BODY = examples.GOOD["slack"]
INVISIBLE = (
    "a\u200bb",
    "ab\u00ad",
    "\u202eab",
    "a\ufeffb",
    "\u2066ab",
    "a\u200db",
    *("a\ufe0fb", "ab\u3164", "\u115fab"),
)
EDGES = (" ab", "ab ", "ab\u00a0", "\u3000ab")
NEW = {"name": "New", "email": "new@example.com", "password": "Mypass1", "language_code": "en"}


@pytest.fixture
def service(installation: Installation) -> Iterator[Service]:
    started = Service(installation, change=cheaply)
    yield started
    started.close()


def rename(service: Service, table: Table, before: str, **now: str) -> None:
    """Call a row as no request can call it any more."""
    (column, *_) = now
    with service.services.database.begin() as connection:
        connection.execute(update(table).where(table.c[column] == before).values(now))


@pytest.mark.any_database
@pytest.mark.parametrize("name", (*INVISIBLE, *EDGES))
@pytest.mark.parametrize(
    "path",
    ("/_signals/account/slack/{}", "/_signals/account/blue/slack/{}", "/_signals/account/{}"),
    ids=("global", "tenant", "2019"),
)
def test_new_account_of_signals_is_refused(service: Service, path: str, name: str) -> None:
    body = {"type": "slack", **BODY} if path.endswith("account/{}") else BODY
    answer = service.put(path.format(quote(name)), body)
    assert (answer.status_code, answer.json["error"].partition(":")[0]) == (400, "Invalid path")
    assert service.get(path.format(quote(name))).status_code == 404


@pytest.mark.parametrize("name", ("a b", "Größe", "日本", "a.b-c_d"))
def test_other_ids_of_signals_are_taken(service: Service, name: str) -> None:
    assert service.put(f"/_signals/account/slack/{quote(name)}", BODY).status_code == 201


@pytest.mark.parametrize("name", (*INVISIBLE, *EDGES))
def test_stored_account_of_signals_stays_usable(service: Service, name: str) -> None:
    service.put("/_signals/account/slack/plain", BODY)
    rename(service, signals_tables.ACCOUNT, "plain", name=name)
    path = f"/_signals/account/slack/{quote(name)}"
    assert service.get(path).json["_source"]["_name"] == name
    assert service.put(path, BODY).status_code == 200
    patch = b'{"url": "https://other.example"}'
    answer = service.ask("PATCH", path, data=patch, content_type="application/merge-patch+json")
    assert answer.status_code == 200
    assert service.delete(path).status_code == 200
    assert service.put(path, BODY).status_code == 400


@pytest.mark.any_database
@pytest.mark.parametrize("referrer", (*INVISIBLE, *EDGES))
def test_new_reference_is_refused(service: Service, referrer: str) -> None:
    service.put("/_signals/account/slack/x", BODY)
    path = "/_accounts/references/signals/slack/x"
    answer = service.ask("PUT", f"{path}/{quote(referrer)}")
    assert (answer.status_code, service.get(path).json["count"]) == (400, 0)


def test_stored_reference_can_be_removed(service: Service) -> None:
    service.put("/_signals/account/slack/x", BODY)
    path = "/_accounts/references/signals/slack/x"
    assert service.ask("PUT", f"{path}/watch").status_code == 201
    rename(service, signals_tables.ACCOUNT_REFERENCE, "watch", referrer="watch\u200b")
    again = quote("watch\u200b")
    assert service.ask("PUT", f"{path}/{again}").status_code == 200
    assert service.delete(f"{path}/{again}").status_code == 204


@pytest.mark.parametrize("identifier", ("a\u200bb@example.com", "\u202eab@example.com", "ab@exam\u00adple.com"))
def test_new_user_of_wavefront_is_refused(service: Service, identifier: str) -> None:
    client = wavefront.admin(service)
    told = client.refused("POST", "/account/user", {"emailAddress": identifier})
    assert told == f"Invalid email address: {identifier}"
    invited = [{"emailAddress": "ok@example.com"}, {"emailAddress": identifier}]
    assert client.refused("POST", "/account/user/invite", invited) == told
    assert [one["identifier"] for one in client.ok("GET", "/account/user")] == [wavefront.ADMIN]


def test_new_service_account_of_wavefront_is_refused(service: Service) -> None:
    client = wavefront.admin(service)
    assert "identifier" in client.refused("POST", "/account/serviceaccount", {"identifier": "sa::a\u200bb"})
    assert client.ok("GET", "/account/serviceaccount") == []


def test_stored_user_of_wavefront_stays_usable(service: Service) -> None:
    client, name = wavefront.admin(service), "a\u200bb@example.com"
    client.user("plain@example.com")
    rename(service, wavefront_tables.ACCOUNT, "plain@example.com", identifier=name, folded=name, caseless=folded(name))
    assert client.ok("GET", f"/account/user/{quote(name)}")["identifier"] == name
    assert client.user(name, groups=["ingestion"])["groups"] == ["ingestion"]
    assert client.ok("PUT", f"/account/user/{quote(name)}", {"groups": []})["groups"] == []
    assert client.ok("DELETE", f"/account/{quote(name)}")["identifier"] == name


@pytest.mark.any_database
@pytest.mark.parametrize("identifier", ("\u017fa::robot", "u\u017fer", "revo\u212ae", "sa::x"))
def test_identifier_that_folds_to_a_reserved_word_is_refused(installation: Installation, identifier: str) -> None:
    service = Service(installation, ACCOUNTS_WAVEFRONT_IDENTIFIERS="any")
    wavefront.admin(service).refused("POST", "/account/user", {"emailAddress": identifier})
    service.close()


def test_new_address_of_mention_is_refused(service: Service) -> None:
    mention, email = Mention(service), "a\u200bb@example.com"
    for method, path, body in (
        ("POST", "/accounts", NEW | {"email": email, "language_code": "xx"}),
        ("PUT", "/accounts/{JOHN}", {"email": email, "language_code": "xx", "old_password": JOHNS_PASSWORD}),
    ):
        told = mention.refused(400, method, path, body)["form"]["children"]
        assert [name for name, one in told.items() if "errors" in one] == ["email", "language_code"]


def test_stored_address_of_mention_stays(service: Service) -> None:
    mention, email = Mention(service), "a\u200bb@example.com"
    values = {"email": email, "email_folded": email, "email_caseless": email}
    rename(service, mention_tables.ACCOUNT, "j.smith@nasa.com", **values)
    assert mention.ok("PUT", "/accounts/{JOHN}", {"email": email, "name": "Still John"})["email"] == email


@pytest.mark.parametrize("user", ("ali\u200bce", " alice", "alice "))
def test_new_user_of_netbird_is_refused(service: Service, user: str) -> None:
    service.configure(FILES)
    netbird = NetBird(service)
    answer = netbird.ask("GET", ME, by=None, headers=bearer(jwt(user, **FRESH)))
    assert (answer.status_code, answer.json["message"]) == (401, "token invalid")
