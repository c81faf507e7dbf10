"""The commands `accounts-service audit …`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from click.testing import CliRunner, Result
from sqlalchemy import insert, update

from accounts_service.cli import main
from accounts_service.families.signals import examples
from accounts_service.storage.audit import AUDIT_RECORD
from tests.support.service import Service

SLACK = examples.GOOD["slack"]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["audit", *arguments])


@pytest.fixture
def service(service: Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    for name, value in service.installation.environment().items():
        monkeypatch.setenv(name, value)
    yield service
    structlog.reset_defaults()


def test_verify_prints_heads_which_it_takes_and_ends_with_one_when_something_is_wrong(
    service: Service, tmp_path: Path
) -> None:
    service.put("/_signals/account/slack/one", SLACK)
    service.put("/_signals/account/blue/slack/one", SLACK)
    told = run("verify")
    assert told.exit_code == 0, told.output
    *heads, summary = told.stdout.splitlines()
    assert summary == "2 records, nothing is wrong."
    words = [line.removeprefix("head ") for line in heads]
    assert words[1].endswith("@blue")
    assert run("verify", "--head", words[0], "--head", words[1]).exit_code == 0
    assert run("verify", "--head", "nonsense").exit_code == 2
    # What it sealed it has said as the log does, which it takes whole, whatever else is in it.
    log = tmp_path / "log"
    log.write_text(f"[1] Booting\n{told.stderr}", encoding="utf-8")
    assert log.read_text(encoding="utf-8").count("audit.sealed") == 2
    assert run("verify", "--heads-from", str(log)).exit_code == 0
    with log.open("a", encoding="utf-8") as more:
        more.write(f'{{"event": "audit.sealed", "head": "7:{"ab" * 32}@blue"}}\n')
    cut = run("verify", "--heads-from", str(log), "--heads-from", "-")
    assert (cut.exit_code, "head: number 7 of tenant blue" in cut.stdout) == (1, True)
    log.write_text('{"event": "audit.sealed", "head": "7:ab', encoding="utf-8")
    assert "line 1" in run("verify", "--heads-from", str(log)).stderr
    with service.services.database.begin() as connection:
        connection.execute(update(AUDIT_RECORD).values(tenant="x\n", number=AUDIT_RECORD.c.id))
    told = run("verify", "--head", words[1])
    assert told.exit_code == 1
    assert "record: number 1 of tenant x?: it is not as it was written" in told.output.splitlines()
    assert told.output.splitlines()[-1] == "2 records, something is wrong."


def test_erase_forgets_a_name_and_says_where_it_cannot(service: Service) -> None:
    service.put("/_signals/account/slack/one", SLACK, by="manager")
    with service.services.database.begin() as connection:
        row = {column.name: 0 if column.type.python_type is int else "" for column in AUDIT_RECORD.columns}
        values = {**row, "id": 99, "actor": "manager", "mac": b"", "format": 1, "number": None, "link": None}
        connection.execute(insert(AUDIT_RECORD).values(values))
    assert run("erase", "nobody").output == "Names erased: 0.\n"
    assert run("erase", "slack/one", "--kind", "actor").output == "Names erased: 0.\n"
    assert run("erase", "manager").output.splitlines() == [
        "Names erased: 1.",
        "Records of an earlier release that hold the name themselves, until they expire: 1.",
    ]
    assert run("erase", "slack/one", "--kind", "object").output == "Names erased: 1.\n"
