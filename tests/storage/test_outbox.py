"""The outbox: mails are there with what they tell of, claimed by one at a time, and opened by nobody else."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from accounts_service.faults import SecretUnreadable
from accounts_service.storage.database import Database, Store, open_database
from accounts_service.storage.envelopes import Envelopes
from accounts_service.storage.outbox import (
    LEASE_SECONDS,
    OUTBOX_MESSAGE,
    SEALED,
    Claimed,
    Message,
    Outbox,
    Standing,
)
from tests.storage.kit import AUTHOR, CANARY, VAULT, WITHOUT_KEYS, opened, rows

MESSAGE = Message("ann@mycompany.example", f"Invited {CANARY}", f"Come: {CANARY}")
START_US = 1_700_000_000_000_000


class Clock:
    """A clock that is put forward by hand."""

    def __init__(self) -> None:
        self.seconds = START_US / 1_000_000

    def __call__(self) -> float:
        return self.seconds


class Inviting(Store):
    """A store of another family's, which has a mail sent with what it does."""

    def invite(self, message: Message = MESSAGE) -> str:
        """Invite."""
        return Outbox(self._session).add(message)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database(database_url: str, clock: Clock) -> Iterator[Database]:
    database = open_database(database_url, VAULT, clock=clock)
    yield database
    database.dispose()


def invite(database: Database, message: Message = MESSAGE) -> str:
    with database.transaction(Inviting, AUTHOR) as store:
        return store.invite(message)


def claim(database: Database) -> Claimed | None:
    with database.transaction(Outbox, AUTHOR) as outbox:
        return outbox.claim()


def standing(database: Database) -> Standing:
    with database.reading(Outbox) as outbox:
        return outbox.standing()


def test_a_mail_is_claimed_as_it_was_added(database: Database) -> None:
    uid = invite(database)
    with database.reading(Outbox) as outbox:
        assert outbox.is_any_due()
    claimed = claim(database)
    assert claimed is not None
    assert (claimed.uid, claimed.attempts, claimed.message) == (uid, 0, MESSAGE)
    assert claimed.message_id == f"<{uid}@accounts-service.invalid>"
    assert claim(database) is None
    with database.reading(Outbox) as outbox:
        assert not outbox.is_any_due()


def test_a_mail_of_a_transaction_that_is_undone_never_was(database: Database) -> None:
    def fail() -> None:
        with database.transaction(Inviting, AUTHOR) as store:
            store.invite()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert rows(database, OUTBOX_MESSAGE) == []


def test_nothing_of_a_mail_is_in_clear_and_none_opens_as_another(database: Database) -> None:
    uid = invite(database)
    (row,) = rows(database, OUTBOX_MESSAGE)
    assert CANARY not in str(row)
    assert "ann@" not in str(row)
    assert CANARY not in repr(MESSAGE)
    assert "ann@" not in repr(claim(database))
    with database.reading(Envelopes) as envelopes:
        assert envelopes.tally(SEALED).opened == 1
    with database.begin() as connection:
        connection.execute(OUTBOX_MESSAGE.update().values(uid="another", lease_us=None))
    claimed = claim(database)
    assert claimed is not None
    assert claimed.message == SecretUnreadable(None)
    with database.reading(Envelopes) as envelopes:
        assert [str(one) for one in envelopes.tally(SEALED).undecryptable] == ["outbox_message another message"]
    assert uid != "another"


def test_under_other_keys_a_mail_is_claimed_and_does_not_open(database: Database, database_url: str) -> None:
    invite(database)
    with opened(database_url, vault=WITHOUT_KEYS) as other:
        claimed = claim(other)
    assert claimed is not None
    assert claimed.message == SecretUnreadable(VAULT.active)


def test_what_is_delivered_is_gone(database: Database) -> None:
    invite(database)
    claimed = claim(database)
    assert claimed is not None
    with database.transaction(Outbox, AUTHOR) as outbox:
        assert not outbox.delivered(claimed.uid, "of somebody else")
        assert outbox.delivered(claimed.uid, claimed.lease)
        assert not outbox.delivered(claimed.uid, claimed.lease)
    assert rows(database, OUTBOX_MESSAGE) == []


def test_who_dies_with_a_claim_loses_it_when_the_lease_ends(database: Database, clock: Clock) -> None:
    invite(database)
    first = claim(database)
    assert first is not None
    clock.seconds += LEASE_SECONDS - 1
    assert claim(database) is None
    clock.seconds += 1
    second = claim(database)
    assert second is not None
    assert (second.uid, second.message_id) == (first.uid, first.message_id)
    # Who is back from the dead changes nothing any more.
    with database.transaction(Outbox, AUTHOR) as outbox:
        assert not outbox.delivered(first.uid, first.lease)
        assert not outbox.postponed(first.uid, first.lease, 60, "x")
        assert not outbox.given_up(first.uid, first.lease, "x")
        assert outbox.delivered(second.uid, second.lease)


def test_what_is_postponed_is_due_again_when_its_time_has_come(database: Database, clock: Clock) -> None:
    invite(database)
    claimed = claim(database)
    assert claimed is not None
    with database.transaction(Outbox, AUTHOR) as outbox:
        assert outbox.postponed(claimed.uid, claimed.lease, 60, "SMTPDataError 452")
    (row,) = rows(database, OUTBOX_MESSAGE)
    assert (row.attempts, row.last_error, row.lease, row.lease_us, row.failed_us) == (
        1,
        "SMTPDataError 452",
        None,
        None,
        None,
    )
    clock.seconds += 59
    assert claim(database) is None
    clock.seconds += 1
    again = claim(database)
    assert again is not None
    assert again.attempts == 1


def test_what_is_given_up_is_kept_for_a_while_and_never_due(database: Database, clock: Clock) -> None:
    invite(database)
    claimed = claim(database)
    assert claimed is not None
    with database.transaction(Outbox, AUTHOR) as outbox:
        assert outbox.given_up(claimed.uid, claimed.lease, "SMTPDataError 554")
    clock.seconds += 1_000
    assert claim(database) is None
    invite(database)
    for seconds, gone in ((1_000, 0), (999, 1)):
        with database.transaction(Outbox, AUTHOR) as outbox:
            assert outbox.forget(seconds) == gone
    assert standing(database) == Standing(1, START_US + 1_000_000_000, START_US + 1_000_000_000, 0)


def test_the_one_that_is_due_for_longest_comes_first(database: Database, clock: Clock) -> None:
    uids = []
    for _ in range(3):
        uids.append(invite(database))
        clock.seconds += 1
    claimed = [claim(database) for _ in range(3)]
    assert [one.uid for one in claimed if one is not None] == uids


def test_they_are_counted(database: Database, clock: Clock) -> None:
    assert standing(database) == Standing(0, None, None, 0)
    for _ in range(4):
        invite(database)
        clock.seconds += 10
    for outcome in ("given_up", "postponed", "claimed"):
        claimed = claim(database)
        assert claimed is not None
        with database.transaction(Outbox, AUTHOR) as outbox:
            if outcome == "given_up":
                outbox.given_up(claimed.uid, claimed.lease, "x")
            elif outcome == "postponed":
                outbox.postponed(claimed.uid, claimed.lease, 600, "x")
    assert standing(database) == Standing(3, START_US + 10_000_000, START_US + 30_000_000, 1)


@pytest.mark.parametrize("text", ("a\nBcc: b@c.example", "a\rb", "a\x00", "a\x85b", "a\u2028b", "a\x7f"))
def test_an_address_and_a_subject_are_one_line(text: str) -> None:
    with pytest.raises(ValueError, match="one line each"):
        Message(text, "s", "t")
    with pytest.raises(ValueError, match="one line each"):
        Message("a@b.example", text, "t")


def test_a_reading_block_cannot_add(database: Database) -> None:
    with pytest.raises(RuntimeError), database.reading(Outbox) as outbox:
        outbox.add(MESSAGE)


def test_of_many_who_claim_at_once_no_two_get_the_same_and_none_waits_for_another(
    database: Database, database_url: str
) -> None:
    uids = {invite(database) for _ in range(40)}
    together = threading.Barrier(4)
    claimed: list[str] = []

    def take() -> None:
        with opened(database_url) as mine:
            together.wait(60)
            while one := claim(mine):
                claimed.append(one.uid)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed) == sorted(uids)


def test_on_postgresql_who_claims_passes_over_what_another_claims_at_this_moment(postgresql_url: str) -> None:
    with opened(postgresql_url) as database, opened(postgresql_url) as other:
        first, second = invite(database), invite(database)
        with database.transaction(Outbox, AUTHOR) as outbox:
            held = outbox.claim()
            assert held is not None
            # Not yet committed, and still nobody waits.
            passed = claim(other)
        assert passed is not None
        assert {held.uid, passed.uid} == {first, second}
