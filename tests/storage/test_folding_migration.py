"""Names that were stored before they were folded by Unicode's rules."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from accounts_service.doctor import Status, examine
from accounts_service.identifiers import folded
from accounts_service.storage import migrations
from accounts_service.storage.database import Database
from tests.storage.kit import KEYRING, opened
from tests.support.installation import Installation
from tests.support.service import Service
from tests.support.wavefront import Client, token_of

FIRST, SECOND, THIRD = "Jörn@example.com", "JÖRN@example.com", "jo\u0308rn@example.com"


@pytest.fixture
def before(empty_url: str) -> Iterator[Database]:
    """Return a database of the release before."""
    with opened(empty_url) as database:
        migrations.upgrade(database, "0008")
        yield database


def ascii_lower(text: str) -> str:
    return "".join(one.lower() if one.isascii() else one for one in text)


def insert(database: Database, statement: str, rows: list[dict[str, Any]]) -> None:
    with database.begin() as connection:
        connection.execute(text(statement), rows)


def users(database: Database, identifiers: list[str]) -> None:
    rows = [
        {"uid": f"u{number:06}", "identifier": one, "folded": ascii_lower(one), "at": number}
        for number, one in enumerate(identifiers)
    ]
    columns = "(uid, identifier, folded, kind, active, description, created_us, version)"
    values = "(:uid, :identifier, :folded, 'user', 1, 'Größe', :at, 1)"
    insert(database, f"INSERT INTO wavefront_account {columns} VALUES {values}", rows)  # noqa: S608  # our own


def stored(database: Database, query: str) -> list[tuple[Any, ...]]:
    with database.looking() as connection:
        return [tuple(row) for row in connection.execute(text(query)).all()]


ALL = "SELECT identifier, caseless, twin FROM wavefront_account ORDER BY uid"


def test_names_are_folded_in_the_upgrade(before: Database) -> None:
    users(before, ["Ann@example.com", "STRASSE@example.com", "ΣΊΣΥΦΟΣ@example.com"])
    role = "INSERT INTO wavefront_role VALUES ('r', 'Ärzte', NULL, 1, 1, 'x', 1)"
    insert(before, role, [{}])
    migrations.upgrade(before)
    assert stored(before, ALL) == [
        ("Ann@example.com", "ann@example.com", ""),
        ("STRASSE@example.com", "strasse@example.com", ""),
        ("ΣΊΣΥΦΟΣ@example.com", folded("σίσυφος@example.com"), ""),
    ]
    assert stored(before, "SELECT name_caseless, description_caseless FROM wavefront_role") == [("ärzte", None)]
    assert stored(before, "SELECT DISTINCT description_caseless FROM wavefront_account") == [("grösse",)]


def test_rows_that_fold_together_are_kept_apart(before: Database) -> None:
    users(before, [FIRST, "ann@example.com", SECOND, THIRD])
    migrations.upgrade(before)
    twins = {identifier: twin for identifier, caseless, twin in stored(before, ALL) if caseless == folded(FIRST)}
    assert twins == {FIRST: "", SECOND: "u000002", THIRD: "u000003"}


def test_row_that_is_spelled_as_it_folds_is_no_twin(before: Database) -> None:
    users(before, [SECOND, "jörn@example.com"])
    migrations.upgrade(before)
    assert stored(before, ALL) == [(SECOND, folded(FIRST), "u000000"), ("jörn@example.com", folded(FIRST), "")]


def test_addresses_of_mention_are_folded_and_kept_apart(before: Database) -> None:
    rows = [
        {"uid": f"u{number}", "email": email, "folded": email.lower(), "at": number}
        for number, email in enumerate(("Straße@example.com", "strasse@example.com", "x@example.com"))
    ]
    columns = "(id, uid, name, email, email_folded, language_code, created_us, updated_us, version)"
    values = "(:uid, :uid, 'N', :email, :folded, 'en', :at, :at, 1)"
    insert(before, f"INSERT INTO mention_account {columns} VALUES {values}", rows)  # noqa: S608  # our own
    migrations.upgrade(before)
    query = "SELECT email_caseless, email_twin FROM mention_account ORDER BY uid"
    assert stored(before, query) == [
        ("strasse@example.com", "u0"),
        ("strasse@example.com", ""),
        ("x@example.com", ""),
    ]


def test_nothing_is_lost_on_the_way_down_and_up_again(before: Database) -> None:
    users(before, [FIRST, SECOND, "ann@example.com"])
    there = stored(before, "SELECT * FROM wavefront_account ORDER BY uid")
    for _ in range(2):
        migrations.upgrade(before)
        migrations.downgrade(before, "0008")
        assert stored(before, "SELECT * FROM wavefront_account ORDER BY uid") == there


def test_many_rows_are_folded_by_several_pages(before: Database) -> None:
    users(before, [f"Ü{number}@example.com" for number in range(12_001)])
    migrations.upgrade(before)
    unfolded = "SELECT count(*) FROM wavefront_account WHERE caseless IS NULL OR caseless NOT LIKE 'ü%'"
    assert stored(before, unfolded) == [(0,)]


def test_what_the_release_before_writes_after_the_upgrade_is_found(
    before: Database,
    empty_url: str,
    tmp_path: Path,
) -> None:
    migrations.upgrade(before)
    users(before, [FIRST, "Özlem@example.com"])
    installation = Installation(tmp_path / "installation", empty_url)
    installation.keys_file.write_text(KEYRING.to_json())
    service = Service(installation)
    client = Client(service, token_of(service, "admin@example.com", "user_management"))
    assert client.user(FIRST, groups=["ingestion"])["identifier"] == FIRST
    assert client.user("JöRN@example.com")["groups"] == ["ingestion"]
    query = [{"key": "id", "value": "jöRN@", "matchingMethod": "STARTSWITH"}]
    (found,) = client.ok("POST", "/search/user", {"query": query})["items"]
    assert found["identifier"] == FIRST
    service.close()


def test_service_finds_accounts_of_the_release_before(before: Database, empty_url: str, tmp_path: Path) -> None:
    users(before, [FIRST, SECOND, "Özlem@example.com"])
    migrations.upgrade(before)
    service = Service(Installation(tmp_path / "installation", empty_url))
    client = Client(service, token_of(service, "admin@example.com", "user_management"))
    for asked, meant in (
        (FIRST, FIRST),
        (SECOND, SECOND),
        ("jörn@example.com", FIRST),
        ("öZLEM@example.com", "Özlem@example.com"),
    ):
        assert client.user(asked)["identifier"] == meant
    service.close()


def test_doctor_names_accounts_that_are_one_by_another_spelling(
    before: Database, empty_url: str, tmp_path: Path
) -> None:
    installation = Installation(tmp_path / "installation", empty_url)
    users(before, [FIRST, SECOND, "ann@example.com"])
    migrations.upgrade(before)
    found = [one for one in examine(installation.environment()) if one.check == "spelling"]
    assert [one.status for one in found] == [Status.WARN, Status.OK]
    assert found[0].details == (r"'J\xf6rn@example.com', 'J\xd6RN@example.com'",)
