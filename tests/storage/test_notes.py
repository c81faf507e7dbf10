"""Changes that are not recorded, and those that are no great loss when they cannot be made."""

from __future__ import annotations

import pytest
from sqlalchemy import delete, insert

from accounts_service.families.wavefront.tables import GROUP, GROUP_ROLE
from accounts_service.faults import Internal, Overloaded, RefusedError
from accounts_service.storage.audit import AUDIT_RECORD
from accounts_service.storage.database import Capacity, ForeignKeyError, TransactionRefusedError
from accounts_service.storage.statements import Statement, given
from tests.storage.kit import AUTHOR, Bare, opened, rows

_DELETE = Statement(delete(GROUP).where(GROUP.c.uid == given("uid")))
_LINK = Statement(insert(GROUP_ROLE).values(group_uid=given("group_uid"), role_uid=given("role_uid"), number=0))


def test_a_note_is_written_without_a_record(database_url: str) -> None:
    with opened(database_url) as database:
        (first, second) = rows(database, GROUP)
        with database.transaction(Bare, AUTHOR) as store:
            store.session.note(_DELETE, uid=first.uid)
        database.note(Bare, AUTHOR, lambda store: store.session.note(_DELETE, uid=second.uid))
        assert rows(database, GROUP) == rows(database, AUDIT_RECORD) == []


def test_a_note_on_what_is_not_there_is_told_as_that(database_url: str) -> None:
    with opened(database_url) as database, pytest.raises(ForeignKeyError), database.transaction(Bare, AUTHOR) as store:
        store.session.note(_LINK, group_uid="x", role_uid="y")


def test_a_reading_block_notes_nothing(database_url: str) -> None:
    with opened(database_url) as database, database.reading(Bare) as store, pytest.raises(RuntimeError):
        store.session.note(_DELETE, uid="x")


@pytest.mark.parametrize("error", (RefusedError(Overloaded()), TransactionRefusedError()), ids=repr)
def test_a_note_that_cannot_be_made_is_logged_and_no_more(
    database_url: str, error: Exception, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(_: Bare) -> None:
        raise error

    with opened(database_url) as database:
        database.note(Bare, AUTHOR, fail)
    written = "".join(capfd.readouterr())
    assert "storage.not_noted" in written
    assert type(error).__name__ in written


def test_note_does_not_wait_in_the_writers_line(postgresql_url: str, capfd: pytest.CaptureFixture[str]) -> None:
    with opened(postgresql_url, Capacity(connections=2, writers=1, wait_s=1)) as database, database.begin():
        database.note(Bare, AUTHOR, lambda store: store.session.note(_DELETE, uid="x"))
    assert "storage.not_noted" not in "".join(capfd.readouterr())


def test_a_bug_in_a_note_stays_one(database_url: str) -> None:
    def fail(_: Bare) -> None:
        raise ValueError(Internal("x"))

    with opened(database_url) as database, pytest.raises(ValueError, match="Internal"):
        database.note(Bare, AUTHOR, fail)
