"""Whoever writes the database without the keys cannot change its history unnoticed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import suppress

import pytest
from sqlalchemy import delete, insert, select, update

from accounts_service.app import STORED
from accounts_service.families.signals.store.accounts import Key
from accounts_service.families.signals.tables import ACCOUNT, ACCOUNT_BIN, ACCOUNT_VERSION
from accounts_service.jobs.seal import Trail
from accounts_service.storage import audit, findings, names, retention, verification, versions
from accounts_service.storage.audit import (
    AUDIT_HEAD,
    AUDIT_LAST,
    AUDIT_NAME,
    AUDIT_RECORD,
    AUDIT_SEGMENT,
    Author,
    Change,
)
from accounts_service.storage.chain import Head
from accounts_service.storage.database import Database, RecordedStatement, Session
from accounts_service.storage.findings import Kind, Report
from accounts_service.storage.names import Names
from accounts_service.storage.verification import Verification, verify
from tests.storage.attacks import BACK, PLAIN, Scene
from tests.storage.kit import AUTHOR, VAULT, Bare, audited, opened, put, rows
from tests.storage.kit import delete as deleted
from tests.support.scale import FULL, scaled

JANE = Author("sg_authc", "jane@corp.example", "request-0009")


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1_000_000_000.0

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database(database_url: str, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    with opened(database_url) as database:
        monkeypatch.setattr(database, "_clock", clock)
        yield database


def look(database: Database, *heads: Head) -> Report:
    return verify(database, STORED, heads)


def seal(database: Database) -> None:
    Trail(database, None).seal(lambda: False)


def expire(database: Database, days: int = 30) -> None:
    Trail(database, days, STORED).expire(lambda: False)


def done_by(database: Database, author: Author, change: Change) -> None:
    with database.transaction(Bare, author) as bare:
        bare.session.write(change, RecordedStatement())


def lived_in(database: Database, clock: Clock) -> None:
    """A trail with everything there is: two tenants, old records that are gone, a name that was erased."""
    hr = Key("slack", "news", "hr")
    for _ in range(3):
        put(database, hr)
    seal(database)
    clock.now += 31 * 86_400
    put(database, hr)
    done_by(database, JANE, Change("signals", "", "cluster:admin:x/reveal", "email/default", "", 0, {}))
    expire(database)
    fields: dict[str, str | int] = dict.fromkeys(audit._FIELDS, "one")
    fields |= {"at_us": int(clock.now * 1e6), "family": "signals", "tenant": "", "version": 0, "detail": "{}"}
    values = {**fields, "mac": VAULT.mac("audit", *fields.values())}
    with database.begin() as connection:
        connection.execute(insert(AUDIT_RECORD).values(values))
    for name in ("default", "other", "default", "third"):
        put(database, Key("email", name))
    deleted(database, Key("email", "third"))
    put(database, Key("email", "third"))
    database.written(Names, AUTHOR, lambda all_names: all_names.erase(JANE.name))
    put(database, hr)
    put(database)


@pytest.mark.proof
def test_whatever_is_done_to_the_trail_past_the_service_is_found(database: Database, clock: Clock) -> None:
    lived_in(database, clock)
    before = look(database)
    assert before.ok, before.findings
    assert len(before.heads) == 2
    drawn = random.Random(2026)  # no secret
    number = 0
    for _ in range(scaled(1, 34)):
        for attack in (*PLAIN, *BACK):
            with suppress(ZeroDivisionError), database.transaction(Bare, AUTHOR) as bare:
                attack(Scene(drawn, bare))
                session: Session = bare.session
                heads = before.heads if attack in BACK else ()
                report = Verification(session).check(STORED, heads)
                assert not report.ok, f"{attack.__name__}, after {number} others"
                number += 1
                raise ZeroDivisionError  # To undo it.
    assert number >= (1_000 if FULL else 30)
    assert look(database, *before.heads).ok


def test_each_record_gets_the_next_number_of_its_tenant_and_each_head_goes_into_the_log(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    put(database)
    put(database, Key("email", "default", "hr@home"))
    put(database)
    trail = Trail(database, None)
    trail.seal(lambda: False)
    assert [(row.tenant, row.number) for row in audited(database)] == [("", 1), ("hr@home", 1), ("", 2)]
    logged = [word.removeprefix("head=") for word in capsys.readouterr().out.split() if word.startswith("head=")]
    heads = look(database).heads
    # What the log says is what `verify` takes, the global tenant included.
    assert [str(head) for head in heads] == logged
    assert [Head.parse(word) for word in logged] == [*heads]
    assert [(head.tenant, head.number) for head in heads] == [("", 2), ("hr@home", 1)]
    trail.seal(lambda: False)
    assert capsys.readouterr().out == ""
    # What `verify` seals is in the log, too, and whoever begins says what there is.
    put(database)
    (head, _) = look(database).heads
    assert f"head={head}" in capsys.readouterr().out
    seal(database)
    assert f"head={head}" in capsys.readouterr().out
    for nonsense in ("", "1", "1:ab", f"x:{'ab' * 32}", f"1:{'ab' * 32}@"):
        with pytest.raises(ValueError, match="NUMBER:LINK"):
            Head.parse(nonsense)


def test_heads_from_elsewhere_must_be_in_the_chain(database: Database) -> None:
    put(database)
    (old,) = look(database).heads
    put(database)
    (new,) = look(database).heads
    assert look(database, old, new, new).ok
    for strange in (Head("", 1, new.link), Head("", 3, new.link), Head("nobody's", 1, new.link)):
        (finding,) = look(database, old, strange).findings
        assert (finding.kind, finding.tenant) == (Kind.HEAD, strange.tenant)
        assert str(strange.number) in str(finding)


def test_old_records_go_and_the_rest_still_holds(database: Database, clock: Clock) -> None:
    put(database)
    put(database, Key("email", "other"))
    deleted(database, Key("email", "other"))
    done_by(database, JANE, Change("admin", "", "cluster:admin:x", "thing", "", 0, {}))
    first = look(database).heads
    clock.now += 31 * 86_400
    put(database)
    Trail(database, None).expire(lambda: False)
    assert len(audited(database)) == 5, "nothing goes where all is kept"
    seal(database)
    expire(database)
    assert [(row.act.rpartition("/")[2], row.actor, row.version) for row in audited(database)] == [
        ("put", "somebody", 2),
        ("expire", "jobs", 0),
    ]
    # Of what is gone no name stays.
    assert {row.name for row in rows(database, AUDIT_NAME)} == {"somebody", "jobs", "email/default", "records"}
    (segment,) = rows(database, AUDIT_SEGMENT)
    assert (segment.first, segment.last) == (1, 4)
    # The head of what is gone last is known, earlier ones no more.
    assert look(database, *first).ok
    clock.now += 31 * 86_400
    put(database)
    seal(database)
    expire(database)
    (segment,) = rows(database, AUDIT_SEGMENT)
    assert (segment.first, segment.last) == (1, 6)
    seal(database)
    clock.now += 31 * 86_400
    report = look(database)
    assert (report.records, report.ok) == (2, True)
    expire(database)
    # One account is in its third version, and no record of it is left.
    assert [row.act.rpartition("/")[2] for row in audited(database)] == ["expire"]
    assert look(database).ok
    clock.now += 31 * 86_400
    expire(database)
    assert len(audited(database)) == 1, "that something has gone is no reason to go on for ever"


def test_what_was_tampered_with_does_not_go(database: Database, clock: Clock) -> None:
    for _ in range(3):
        put(database)
    seal(database)
    clock.now += 31 * 86_400
    second = AUDIT_RECORD.c.number == 2
    with database.begin() as connection:
        connection.execute(update(AUDIT_RECORD).where(second).values(detail="{}"))
    expire(database)
    assert [row.number for row in audited(database)][:2] == [2, 3]
    with database.begin() as connection:
        connection.execute(update(AUDIT_SEGMENT).values(last=2))
        connection.execute(delete(AUDIT_RECORD).where(second))
    expire(database)
    assert [row.number for row in audited(database)][:1] == [3]
    assert {finding.kind for finding in look(database).findings} >= {Kind.SEGMENT, Kind.CHAIN}


def test_a_person_is_forgotten_and_nobody_can_pass_that_off_as_another(database: Database) -> None:
    other = Author("mention", JANE.name, "request-0010")
    done_by(database, JANE, Change("wavefront", "", "a", JANE.name, "", 0, {}))
    done_by(database, other, Change("wavefront", "", "b", f"token 1 of {JANE.name}", "", 0, {}))
    done_by(database, AUTHOR, Change("wavefront", "", "c", f"{JANE.name}.bak", "", 0, {}))
    done_by(database, AUTHOR, Change("wavefront", "", "d", JANE.name.upper(), "", 0, {}))
    assert database.written(Names, AUTHOR, lambda all_names: all_names.erase("nobody")) == 0
    assert database.written(Names, AUTHOR, lambda all_names: all_names.erase(JANE.name, ("actor",))) == 2
    assert database.written(Names, AUTHOR, lambda all_names: all_names.erase(JANE.name)) == 2
    assert look(database).ok
    stored = repr([*rows(database, AUDIT_RECORD), *rows(database, AUDIT_NAME)])
    assert stored.count(JANE.name) == stored.count(f"{JANE.name}.bak") == 1
    assert [row.act for row in audited(database)][-2:] == [names.ERASE, names.ERASE]
    # Who comes again has a name again, and it may not be taken away.
    done_by(database, JANE, Change("wavefront", "", "e", JANE.name, "", 0, {}))
    assert look(database).ok
    with database.begin() as connection:
        connection.execute(delete(AUDIT_NAME).where(AUDIT_NAME.c.name == JANE.name))
    assert [finding.kind for finding in look(database).findings] == [Kind.NAME, Kind.NAME]


def test_an_erasure_stays_on_record_as_long_as_what_it_accounts_for(database: Database, clock: Clock) -> None:
    done_by(database, JANE, Change("signals", "hr", "a", "thing", "", 0, {}))
    database.written(Names, AUTHOR, lambda all_names: all_names.erase(JANE.name))
    seal(database)
    with database.begin() as connection:  # The record of the tenant has been tampered with, and stays.
        connection.execute(update(AUDIT_RECORD).where(AUDIT_RECORD.c.tenant == "hr").values(detail="[]"))
    clock.now += 31 * 86_400
    expire(database)
    assert [row.act for row in audited(database)] == ["a", names.ERASE]
    assert [finding.kind for finding in look(database).findings] == [Kind.RECORD]


def test_records_that_nobody_seals_are_found_and_are_sealed_then(database: Database, clock: Clock) -> None:
    put(database)
    assert look(database).ok
    put(database)
    clock.now += 3_600
    (finding,) = look(database).findings
    assert finding.kind is Kind.UNSEALED
    assert look(database).ok


def test_a_head_that_keeps_records_from_being_sealed_is_found(database: Database) -> None:
    put(database)
    put(database)
    seal(database)
    put(database)
    with database.begin() as connection:
        first = connection.execute(select(AUDIT_RECORD.c.link).where(AUDIT_RECORD.c.number == 1)).scalar_one()
        connection.execute(update(AUDIT_HEAD).values(number=1, link=first))
    (finding,) = look(database).findings
    assert finding.kind is Kind.HEAD


def test_many_findings_are_counted_and_not_all_told_and_pages_make_no_difference(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(7):
        put(database)
    put(database, Key("email", "default", "hr"))
    for module in (verification, versions):
        monkeypatch.setattr(module, "_PAGE", 2)
    assert look(database).records == 8
    assert look(database).ok
    monkeypatch.setattr(findings, "MOST", 3)
    with database.begin() as connection:
        connection.execute(update(AUDIT_RECORD).values(request_id="x"))
    report = look(database)
    assert (report.ok, len(report.findings), report.more) == (False, 3, 5)
    assert report.records == 8


def test_expiring_goes_on_in_batches(database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(7):
        put(database)
    seal(database)
    clock.now += 31 * 86_400
    monkeypatch.setattr(retention, "BATCH", 3)
    expire(database)
    assert [row.act for row in audited(database)] == [retention.EXPIRE] * 3
    (segment,) = rows(database, AUDIT_SEGMENT)
    assert segment.last == 7
    seal(database)
    # As many records of removals as a batch has keep nothing from going, or it would end there for good.
    clock.now += 31 * 86_400
    put(database)
    expire(database)
    assert [row.act.rpartition("/")[2] for row in audited(database)] == ["put", "expire"]
    assert look(database).ok


def test_a_head_that_somebody_has_set_is_told_and_keeps_nobody_else_from_being_sealed(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    trail = Trail(database, None)
    put(database)
    put(database)
    put(database, Key("email", "default", "hr"))
    trail.seal(lambda: False)
    with database.begin() as connection:
        first = connection.execute(select(AUDIT_RECORD.c.link).where(AUDIT_RECORD.c.number == 1)).scalar()
    for values in ({"number": 2**63 - 1}, {"number": 1}, {"link": first}, None):
        there = AUDIT_HEAD.c.tenant == ""
        with database.begin() as connection:
            kept = connection.execute(select(AUDIT_HEAD).where(there)).mappings().one()
            connection.execute(
                update(AUDIT_HEAD).where(there).values(**values) if values else delete(AUDIT_HEAD).where(there)
            )
        put(database)
        put(database, Key("email", "default", "hr"))
        trail.seal(lambda: False)
        said = capsys.readouterr().out
        assert ("audit.head_damaged" in said) == (values is not None)
        assert ("audit.head_went_back" in said) == (values is None)
        assert {row.tenant for row in audited(database) if row.number is None} == {""}
        report = look(database)
        assert Kind.HEAD in {finding.kind for finding in report.findings}
        with database.begin() as connection:
            connection.execute(delete(AUDIT_HEAD).where(there))
            connection.execute(insert(AUDIT_HEAD).values(**kept))
        trail.seal(lambda: False)
        assert look(database).ok


def test_a_chain_that_goes_back_while_the_job_runs_is_told_at_once(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    trail = Trail(database, None)
    for _ in range(2):
        done_by(database, JANE, Change("wavefront", "", "a", "b", "", 0, {}))
        trail.seal(lambda: False)
    with database.transaction(Bare, AUTHOR) as bare:
        scene = Scene(random.Random(1), bare)
        first, second = scene.records()
        scene.remove(second)
        scene.set_head(first)
    assert look(database).ok, "the database alone does not know of it"
    trail.seal(lambda: False)
    assert "audit.head_went_back" in capsys.readouterr().out


def test_all_heads_of_a_log_are_held_against_the_chains(database: Database, clock: Clock) -> None:
    heads: list[Head] = []
    for _ in range(3):
        put(database)
        heads += look(database).heads
    clock.now += 31 * 86_400
    put(database)
    seal(database)
    expire(database)
    report = look(database, *heads)
    # Of the last of those that are gone the segment has the link.
    assert (report.ok, report.uncompared) == (True, 2)
    twice = Head("", 9, b"x" * 32), Head("", 9, b"y" * 32)
    assert any("two different links" in str(finding) for finding in look(database, *twice).findings)


def test_of_what_has_no_record_left_the_newest_version_and_place_are_known(database: Database, clock: Clock) -> None:
    for name in ("default", "other"):
        put(database, Key("email", name))
        put(database, Key("email", name))
    deleted(database, Key("email", "other"))
    seal(database)
    clock.now += 31 * 86_400
    put(database, Key("email", "new"))
    seal(database)
    expire(database)
    assert look(database).ok
    assert len(rows(database, AUDIT_LAST)) == 2
    values = {"uid": "u", "tenant": "", "type": "email", "name": "x", "attributes": "{}", "secrets": "{}", "version": 1}
    old = ACCOUNT.c.name == "default"
    mine = {"uid": "u", "family": "signals", "tenant": "", "object": "o", "version": 1, "format": 2, "mac": b"m"}
    for attack in (
        [insert(ACCOUNT).values(values)],
        [insert(ACCOUNT).values(values), insert(AUDIT_LAST).values(mine)],
        [update(ACCOUNT).where(old).values(version=1)],
        [update(ACCOUNT).where(old).values(version=3)],
        [update(ACCOUNT).where(old).values(name="x")],
        [delete(AUDIT_LAST)],
        [update(AUDIT_LAST).values(version=AUDIT_LAST.c.version + 1), update(ACCOUNT).where(old).values(version=3)],
    ):
        with suppress(ZeroDivisionError), database.transaction(Bare, AUTHOR) as bare:
            for statement in attack:
                bare.session.connection.execute(statement)
            report = Verification(bare.session).check(STORED)
            assert {finding.kind for finding in report.findings} == {Kind.VERSION}, attack
            raise ZeroDivisionError  # To undo it.
    with database.begin() as connection:
        connection.execute(delete(ACCOUNT_BIN))
        connection.execute(delete(ACCOUNT_VERSION))
    clock.now += 31 * 86_400
    expire(database)
    # Of what is gone nothing is kept; whoever brings it back brings back what nobody knows.
    assert {row.version for row in rows(database, AUDIT_LAST)} == {1, 2}
