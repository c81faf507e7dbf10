"""`db downgrade`: nothing is lost unseen, under a live process, or from the audit trail."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from click.testing import CliRunner, Result
from sqlalchemy import text, update

from accounts_service import cli
from accounts_service.app import STORED
from accounts_service.families.mention.tables import ACCOUNT as MENTION_ACCOUNT
from accounts_service.faults import Json
from accounts_service.jobs.seal import Trail
from accounts_service.storage import downgrades, migrations
from accounts_service.storage.audit import ACTOR, AUDIT_HEAD, AUDIT_NAME, AUDIT_RECORD
from accounts_service.storage.database import Database
from accounts_service.storage.downgrades import DowngradeRefusedError
from accounts_service.storage.findings import Finding
from accounts_service.storage.names import Names
from accounts_service.storage.rotation import PROCESS, WORKER, Process, Processes
from accounts_service.storage.verification import verify
from tests.storage.kit import AUTHOR, rows
from tests.support import mention, netbird, wavefront
from tests.support.service import Service

PATH = "/_signals/account/email/default"
BODY: dict[str, Json] = {"host": "mail.example", "port": 25, "user": "u", "password": "canary-91d2-of-a-downgrade"}

REVISIONS = [step.revision for step in ScriptDirectory.from_config(migrations.alembic_config()).walk_revisions()]


def live_in(service: Service) -> None:
    """Have every family change something, and the trail hold all kinds of records."""
    for path in (PATH, f"{PATH}2"):
        service.put(path, BODY)
        service.put(path, BODY)
    service.delete(f"{PATH}2")
    assert service.get(PATH).json["_source"]["password"] == BODY["password"]
    assert service.get(PATH, by="stranger").status_code == 403
    wavefront.admin(service).user("ann@example.com")
    netbird.furnish(service.services)
    mention.furnish(service.services)
    database = service.services.database
    database.written(Names, AUTHOR, lambda names: names.erase("stranger", (ACTOR,)))
    Trail(database, None).seal(lambda: False)


@pytest.fixture(autouse=True)
def upgraded(service: Service) -> Iterator[None]:
    """Leave the database as other tests need it."""
    yield
    migrations.upgrade(service.services.database)


def sound(database: Database) -> list[Finding]:
    """Verify the trail; returns what the fixtures of Mention have left, which give accounts other ids."""
    findings = verify(database, STORED).findings
    assert [one for one in findings if "mention_account has it in another place" not in str(one)] == []
    return [*findings]


def contents(database: Database) -> tuple[Any, ...]:
    return tuple(
        sorted(map(tuple, rows(database, table)), key=repr) for table in (AUDIT_RECORD, AUDIT_NAME, AUDIT_HEAD)
    )


def test_each_step_down_and_up_again_leaves_a_trail_that_verifies(service: Service) -> None:
    """Names became look-alike tokens, and every record a finding."""
    live_in(service)
    database = service.services.database
    before, known = contents(database), sound(database)
    taken, refused = [], []
    for revision in REVISIONS[1:]:
        try:
            downgrades.carry_out(database, downgrades.plan(database, revision, STORED))
        except DowngradeRefusedError:
            refused.append(revision)
            assert migrations.current(database) == migrations.head()
            continue
        assert migrations.current(database) == revision
        migrations.upgrade(database)
        assert sound(database) == known, revision
        assert contents(database) == before
        taken.append(revision)
    # Below 0007 accounts would go whose records stay.
    assert refused == ["0006", "0005", "0004", "0003", "0002", "0001"]
    assert taken[-2:] == ["0008", "0007"]
    assert service.get(PATH).json["_source"]["password"] == BODY["password"]
    # With the accounts goes the trail.
    agreed = downgrades.plan(database, "base", STORED)
    assert {"audit_record", "audit_name", "signals_account"} <= {loss.table for loss in agreed.losses}
    downgrades.carry_out(database, agreed)
    assert migrations.current(database) is None
    migrations.upgrade(database)
    assert verify(database, STORED).ok


def test_records_of_the_older_release_are_sealed_after_the_way_up(service: Service) -> None:
    live_in(service)
    database = service.services.database
    known = sound(database)
    downgrades.carry_out(database, downgrades.plan(database, "0007", STORED))
    vault = service.services.vault
    fields: dict[str, str | int] = {
        "at_us": database.now_us(),
        **dict.fromkeys(("family", "tenant", "realm", "actor", "act", "object", "uid"), "old"),
        "version": 0,
        "detail": "{}",
        "request_id": "r",
    }
    with database.begin() as connection:
        columns = ", ".join((*fields, "mac"))
        values = ", ".join(f":{name}" for name in (*fields, "mac"))
        statement = f"INSERT INTO audit_record ({columns}) VALUES ({values})"  # noqa: S608  # our names
        connection.execute(text(statement), {**fields, "mac": vault.mac("audit", *fields.values())})
    migrations.upgrade(database)
    assert sound(database) == known


def down(service: Service, *words: str) -> Result:
    return CliRunner().invoke(cli.main, ("db", "downgrade", *words), env=service.installation.environment())


def test_downgrade_is_refused_while_a_process_lives(service: Service) -> None:
    database = service.services.database
    service.put(PATH, BODY)
    with database.transaction(Processes, AUTHOR) as processes:
        processes.report(Process("1", WORKER, "here", 4711, ("k",), "k"))
    result = down(service, "0008", "--yes")
    assert (result.exit_code, "worker 4711 on here" in result.output) == (1, True)
    assert migrations.current(database) == migrations.head()
    # One that starts between the question and the answer counts as well.
    with database.begin() as connection:
        connection.execute(update(PROCESS).values(seen_us=PROCESS.c.seen_us - 31_000_000))
    agreed = downgrades.plan(database, "0008", STORED)
    with database.transaction(Processes, AUTHOR) as processes:
        processes.report(Process("2", WORKER, "here", 4712, ("k",), "k"))
    with pytest.raises(DowngradeRefusedError, match="worker 4712 on here"):
        downgrades.carry_out(database, agreed)
    assert migrations.current(database) == migrations.head()
    with database.begin() as connection:
        connection.execute(update(PROCESS).values(seen_us=PROCESS.c.seen_us - 31_000_000))
    assert down(service, "0008", "--yes").exit_code == 0
    assert migrations.current(database) == "0008"


def test_downgrade_counts_what_is_lost_and_asks_first(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    live_in(service)
    database = service.services.database
    unasked = down(service, "0008")
    assert unasked.exit_code == 1
    assert "nothing was changed" in unasked.output
    assert "table key_check: 3 rows" in unasked.output
    users = len(rows(database, MENTION_ACCOUNT))
    assert f"column mention_account.email_caseless: {users} rows" in unasked.output
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
    for answer, revision, status in (("n\n", migrations.head(), 1), ("y\n", "0008", 0)):
        runner = CliRunner()
        words = ("db", "downgrade", "0008")
        result = runner.invoke(cli.main, words, env=service.installation.environment(), input=answer)
        assert result.exit_code == status, result.output
        assert migrations.current(database) == revision
    nothing = down(service, "0042", "--yes")
    assert (nothing.exit_code, "0042" in nothing.output) == (1, True)
