"""Domains of NetBird's accounts in several spellings."""

from __future__ import annotations

import unicodedata

import pytest
from sqlalchemy import update

from accounts_service.families.netbird.tables import PRIMARY
from tests.families.test_netbird_jwt import FILES, account_of, ask, bearer, jwt
from tests.support.netbird import NetBird
from tests.support.service import Service

DOMAIN = "münchen.example"


@pytest.fixture
def netbird(service: Service) -> NetBird:
    service.configure(FILES)
    return NetBird(service)


def people(netbird: NetBird, founder: str, domain: str) -> set[str]:
    """Return the ids of the users of a founder's account."""
    asked = netbird.ok("GET", "/users", by=None, headers=bearer(jwt(founder, **private(domain))))
    return {user["id"] for user in asked}


def private(domain: str) -> dict[str, str]:
    return {"wt_account_domain": domain, "wt_account_domain_category": "private"}


@pytest.mark.parametrize("other", ("MÜNCHEN.Example", unicodedata.normalize("NFD", DOMAIN), "mu\u0308nchen.EXAMPLE"))
def test_people_of_one_domain_join_one_account(netbird: NetBird, other: str) -> None:
    founded = account_of(netbird, jwt("alice", **private(other)))
    ask(netbird, jwt("bob", **private(DOMAIN)))
    assert people(netbird, "alice", other) == {"alice", "bob"}
    assert founded["domain"] == DOMAIN


@pytest.mark.parametrize(
    ("one", "other"),
    (("straße.example", "strasse.example"), ("σίσυφος.example", "σίσυφοσ.example"), ("i.example", "\u0131.example")),
)
def test_people_of_two_domains_stay_apart(netbird: NetBird, one: str, other: str) -> None:
    """IDNA has these as two domains, which may belong to different people."""
    founded = account_of(netbird, jwt("alice", **private(one)))
    assert account_of(netbird, jwt("bob", **private(other)))["id"] != founded["id"]


def test_domain_of_an_earlier_release_is_found_as_it_was_written(netbird: NetBird) -> None:
    account_of(netbird, jwt("alice", **private(DOMAIN)))
    decomposed = unicodedata.normalize("NFD", DOMAIN)
    with netbird.service.services.database.begin() as connection:
        connection.execute(update(PRIMARY).where(PRIMARY.c.domain == DOMAIN).values(domain=decomposed))
    ask(netbird, jwt("bob", **private(decomposed)))
    assert people(netbird, "alice", DOMAIN) == {"alice", "bob"}
