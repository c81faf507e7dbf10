"""Identifiers and texts of Wavefront in other letters than ASCII's: one person, one spelling."""

from __future__ import annotations

import unicodedata
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest
from sqlalchemy import update

from accounts_service.families.wavefront.tables import ACCOUNT
from tests.support.installation import Installation
from tests.support.served import Served
from tests.support.service import Service
from tests.support.wavefront import ADMIN, ROOT, Client, admin, admin_of, bearer

OZLEM = "Özlem.Kaya@example.com"
DOTLESS = "\N{LATIN SMALL LETTER DOTLESS I}"

# An identifier, and another spelling of it.
SAME = (
    (OZLEM, "öZLEM.kAYA@EXAMPLE.COM"),
    (OZLEM, unicodedata.normalize("NFD", OZLEM)),
    ("jörn@example.com", "JÖRN@example.com"),
    ("straße@example.com", "STRASSE@example.com"),
    ("ΟΔΥΣΣΕΥΣ@example.com", "οδυσσευς@example.com"),
    ("\N{KELVIN SIGN}aya@example.com", "kaya@example.com"),
    ("İnci@example.com", "i\u0307nci@example.com"),
)
APART = (
    ("inci@example.com", f"{DOTLESS}nci@example.com"),
    ("İnci@example.com", "inci@example.com"),
    ("jörn@example.com", "jorn@example.com"),
)


def found(client: Client, kind: str, key: str, value: str, method: str = "EXACT") -> list[str]:
    query = [{"key": key, "value": value, "matchingMethod": method}]
    page = client.ok("POST", f"/search/{kind}", {"query": query})
    return [one.get("name") or one["identifier"] for one in page["items"]]


@pytest.mark.parametrize(("stored", "asked"), SAME)
def test_user_is_found_in_every_spelling(service: Service, stored: str, asked: str) -> None:
    client = admin(service)
    client.user(stored)
    assert client.ok("GET", f"/account/user/{quote(asked)}")["identifier"] == stored
    assert client.user(asked, groups=["ingestion"])["identifier"] == stored
    assert found(client, "user", "id", asked) == [stored]
    assert found(client, "user", "id", asked.partition("@")[0], "STARTSWITH") == [stored]
    assert found(client, "user", "id", asked.partition("@")[0][-3:], "CONTAINS") == [stored]
    assert client.ok("POST", "/account/deleteAccounts", [asked, stored]) == [stored]


@pytest.mark.parametrize(("one", "other"), APART)
def test_two_users_stay_two(service: Service, one: str, other: str) -> None:
    client = admin(service)
    client.user(one)
    client.user(other)
    assert found(client, "user", "id", one) == [one]
    assert found(client, "user", "id", other) == [other]


def test_search_returns_no_other_account(service: Service) -> None:
    client = admin(service)
    client.user("jorn@example.com")
    client.user("jürn@example.com")
    assert found(client, "user", "id", "JÖRN@example.com") == []
    assert found(client, "user", "id", "j_rn@example.com") == []


def test_texts_are_found_without_regard_to_case(service: Service) -> None:
    client = admin(service)
    role = client.role("Nachtwächter ÄÖÜ", "ingestion")
    client.ok("PUT", f"/role/{role}", {"name": "Nachtwächter ÄÖÜ", "description": "Größe 100%"})
    group = client.group("Ärzte", description="Für ÜBUNGEN", roleIDs=[role])
    client.user(OZLEM, userGroups=[group], roles=[role])
    client.ok("POST", "/account/serviceaccount", {"identifier": "sa::Fühler", "description": "Mißt STRÖME"})
    client.ok("POST", "/apitoken/serviceaccount/sa::FÜHLER", {"tokenName": "Schlüssel"})
    cases: tuple[tuple[str, str, str, list[str]], ...] = (
        ("role", "name", "nachtWÄCHTER äöü", ["Nachtwächter ÄÖÜ"]),
        ("role", "description", "GRÖSSE 100%", ["Nachtwächter ÄÖÜ"]),
        ("role", "description", "gröss%", []),
        ("usergroup", "name", "äRZTE", ["Ärzte"]),
        ("usergroup", "description", "für übungen", ["Ärzte"]),
        ("usergroup", "roles", "NACHTWÄCHTER äöü", ["Ärzte"]),
        ("usergroup", "users", "öZLEM.kaya@example.com", ["Everyone", "Ärzte"]),
        ("user", "roles", "nachtwächter äöü", [OZLEM]),
        ("user", "userGroups", "ärzte", [OZLEM]),
        ("serviceaccount", "description", "misst ströme", ["sa::fühler"]),
        ("serviceaccount", "id", "SA::FÜHLER", ["sa::fühler"]),
        ("token", "name", "SCHLÜSSEL", ["Schlüssel"]),
    )
    for kind, key, value, wanted in cases:
        assert sorted(found(client, kind, key, value)) == sorted(wanted), (kind, key, value)


def test_changed_texts_are_found_as_they_are_now(service: Service) -> None:
    client = admin(service)
    role, group = client.role("Ä", "ingestion"), client.group("Ä")
    client.ok("PUT", f"/role/{role}", {"name": "Ü", "permissions": []})
    client.ok("PUT", f"/usergroup/{group}", {"name": "Ü"})
    for kind in ("role", "usergroup"):
        assert found(client, kind, "name", "ü") == ["Ü"]
        assert found(client, kind, "name", "ä") == []


def test_two_writers_make_one_account(installation: Installation, socket_enabled: None) -> None:
    del socket_enabled
    with Served(installation, ACCOUNTS_THREADS="64") as served:
        headers = bearer(admin_of(served))

        def make(name: str) -> int:
            body = {"emailAddress": name, "groups": [], "userGroups": []}
            return served.ask("POST", f"{ROOT}/account/user", by=None, headers=headers, body=body).status

        for number in range(5):
            spellings = [f"Ö{number}@example.com", f"ö{number}@example.com"] * 4
            with ThreadPoolExecutor(8) as pool:
                assert set(pool.map(make, spellings)) == {200}
        users = served.ask("GET", f"{ROOT}/account/user", by=None, headers=headers).json["response"]
        assert len([one for one in users if one["identifier"] != ADMIN]) == 5


def test_service_account_is_one_with_its_other_spellings(service: Service) -> None:
    client = admin(service)
    client.ok("POST", "/account/serviceaccount", {"identifier": "Roboter-Ä"})
    assert client.refused("POST", "/account/serviceaccount", {"identifier": "sa::ROBOTER-ä"})
    assert client.ok("GET", f"/account/serviceaccount/{quote('SA::roboter-Ä')}")["identifier"] == "sa::roboter-ä"


# -- Twins --------------------------------------------------------------------


@pytest.fixture
def twins(service: Service) -> tuple[Client, str, str]:
    """Return two accounts that were there before their spellings were one."""
    client = admin(service)
    first, second = "ö@example.com", "Ö@example.com"
    client.user(first)
    client.user("placeholder@example.com")
    with service.services.database.begin() as connection:
        there = ACCOUNT.c.identifier == "placeholder@example.com"
        values = {"identifier": second, "folded": second, "caseless": first, "twin": ACCOUNT.c.uid}
        connection.execute(update(ACCOUNT).where(there).values(values))
    return client, first, second


def test_exact_spelling_means_the_twin(twins: tuple[Client, str, str]) -> None:
    client, first, second = twins
    assert client.ok("GET", f"/account/user/{quote(first)}")["identifier"] == first
    assert client.ok("GET", f"/account/user/{quote(second)}")["identifier"] == second
    assert client.user(second, groups=["ingestion"])["groups"] == ["ingestion"]
    assert client.ok("GET", f"/account/user/{quote(first)}")["groups"] == []
    assert client.ok("POST", "/account/grant/log_management", [second])
    assert client.ok("GET", f"/account/user/{quote(first)}")["groups"] == []


def test_other_spellings_mean_the_one_that_is_no_twin(twins: tuple[Client, str, str]) -> None:
    client, first, second = twins
    assert client.ok("GET", "/account/user/" + quote("o\u0308@EXAMPLE.com"))["identifier"] == first
    assert found(client, "user", "id", "Ö@EXAMPLE.com") == [second, first]


def test_deleting_one_twin_leaves_the_other(twins: tuple[Client, str, str]) -> None:
    client, first, second = twins
    assert client.ok("POST", "/account/deleteAccounts", [first]) == [first]
    assert client.ok("GET", f"/account/user/{quote(first)}")["identifier"] == second
    assert client.user(first)["identifier"] == second
