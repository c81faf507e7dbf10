"""Addresses of Mention's accounts in several spellings: one person, one account."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import update

from accounts_service.families.mention.tables import ACCOUNT
from tests.support.installation import Installation
from tests.support.mention import JANES_PASSWORD, JOHNS_PASSWORD, Mention
from tests.support.mention_page import Browser, cheaply
from tests.support.service import Service

JANE = "/accounts/{JANE}"
PROOF, JOHNS_PROOF = {"old_password": JANES_PASSWORD}, {"old_password": JOHNS_PASSWORD}
NEW = {"name": "New", "email": "new@example.com", "password": "Mypass1", "language_code": "en"}

SAME = (
    ("jörn@example.com", "JÖRN@Example.com"),
    ("jörn@example.com", "jo\u0308rn@example.com"),
    ("straße@example.com", "STRASSE@example.com"),
    ("σίσυφος@example.com", "ΣΊΣΥΦΟΣ@example.com"),
    ("kaya@example.com", "\N{KELVIN SIGN}AYA@example.com"),
)


@pytest.fixture
def mention(installation: Installation) -> Iterator[Mention]:
    service = Service(installation, change=cheaply)
    yield Mention(service)
    service.close()


def errors(mention: Mention, method: str, path: str, body: dict[str, Any], **options: Any) -> list[str]:
    """Return the names of the fields that a request is refused for."""
    told = mention.refused(400, method, path, body, **options)
    return [name for name, one in told["form"]["children"].items() if "errors" in one]


@pytest.mark.parametrize(("stored", "asked"), SAME)
def test_address_has_one_account_in_every_spelling(mention: Mention, stored: str, asked: str) -> None:
    assert mention.ok("PUT", JANE, {"email": stored, **PROOF}, by="JANE")["email"] == stored
    assert errors(mention, "POST", "/accounts", NEW | {"email": asked, **JOHNS_PROOF}) == ["email"]
    assert errors(mention, "PUT", "/accounts/{JOHN}", {"email": asked, **JOHNS_PROOF}) == ["email"]
    assert mention.ok("PUT", JANE, {"email": asked, **PROOF}, by="JANE")["email"] == asked
    assert errors(mention, "POST", "/accounts", NEW | {"email": stored}) == ["email"]


@pytest.mark.parametrize(("stored", "asked"), SAME)
def test_password_is_right_with_every_spelling(mention: Mention, stored: str, asked: str) -> None:
    mention.ok("PUT", JANE, {"email": stored, **PROOF}, by="JANE")
    browser = Browser(mention.service)
    browser.open()
    assert browser.sign_in(asked, JANES_PASSWORD).status_code in {200, 302, 303}
    browser = Browser(mention.service)
    browser.open()
    assert browser.sign_in(asked, "wrong").status_code == 400


def test_other_letters_are_other_accounts(mention: Mention) -> None:
    for email in (
        "jörn@example.com",
        "jorn@example.com",
        "\N{LATIN SMALL LETTER DOTLESS I}@example.com",
        "i@example.com",
    ):
        assert mention.ok("POST", "/accounts", NEW | {"email": email})["email"] == email


def test_two_writers_make_one_account(mention: Mention) -> None:
    for number in range(3):
        spellings = [f"Ö{number}@example.com", f"ö{number}@example.com"] * 4
        with ThreadPoolExecutor(8) as pool:
            made = list(pool.map(lambda email: mention.ask("POST", "/accounts", NEW | {"email": email}), spellings))
        # 503 is said where too many are hashing.
        first, *others = sorted(answer.status_code for answer in made)
        assert (first, {*others} <= {400, 503}) == (200, True)


def test_twins_stay_apart_by_their_exact_spelling(mention: Mention) -> None:
    """Two accounts that were there before their spellings were one."""
    first, second = "jörn@example.com", "jo\u0308rn@example.com"
    mention.ok("PUT", "/accounts/{JOHN}", {"email": first, **JOHNS_PROOF})
    mention.ok("PUT", JANE, {"email": "x@example.com", **PROOF}, by="JANE")
    with mention.service.services.database.begin() as connection:
        values = {"email": second, "email_folded": second, "email_caseless": first, "email_twin": ACCOUNT.c.uid}
        connection.execute(update(ACCOUNT).where(ACCOUNT.c.email == "x@example.com").values(values))
    browser = Browser(mention.service)
    browser.open()
    assert browser.sign_in(first, JANES_PASSWORD).status_code == 400
    browser = Browser(mention.service)
    browser.open()
    assert browser.sign_in(second, JANES_PASSWORD).status_code in {200, 302, 303}
    assert mention.ok("PUT", JANE, {"name": "Still Jane"}, by="JANE")["email"] == second
    assert errors(mention, "PUT", JANE, {"email": first, **PROOF}, by="JANE") == ["email"]
    assert errors(mention, "POST", "/accounts", NEW | {"email": "JÖRN@example.com"}) == ["email"]
    assert mention.ok("PUT", JANE, {"email": "free@example.com", **PROOF}, by="JANE")["email"] == "free@example.com"
    assert errors(mention, "POST", "/accounts", NEW | {"email": "FREE@example.com"}) == ["email"]
