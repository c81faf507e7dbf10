"""Eight processes write to a handful of accounts at once, through the real store."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from accounts_service.families.signals.store.stored import STORED
from accounts_service.families.signals.tables import ACCOUNT, ACCOUNT_BIN, ACCOUNT_VERSION
from accounts_service.faults import RefusedError
from accounts_service.jobs.seal import Trail
from accounts_service.storage.database import Database
from accounts_service.storage.verification import verify
from tests.storage.kit import KEYRING, audited, opened, rows
from tests.storage.writer import ACCOUNTS
from tests.support.scale import scaled

PROCESSES = 8
ROOT = Path(__file__).parents[2]


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with opened(database_url) as database:
        yield database


def write(folder: Path, url: str, writes: int, mode: str) -> tuple[list[tuple[str, int]], list[str]]:
    """Let all write; give what was written as (name, version), and the tries that failed."""
    keys = folder / "keys.json"
    keys.touch(0o600)
    keys.write_text(KEYRING.to_json())
    words = ["-W", "error", "-m", "tests.storage.writer", url, str(keys), str(PROCESSES), str(writes), mode]
    process = subprocess.Popen([sys.executable, *words], cwd=ROOT, stdout=subprocess.PIPE, start_new_session=True)
    try:
        answers = json.loads(process.communicate(timeout=scaled(100, 1_000))[0])
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    done = [(name, version) for answer in answers for name, version in answer["done"]]
    return done, [failure for answer in answers for failure in answer["failed"]]


def assert_nothing_is_lost(database: Database, done: list[tuple[str, int]]) -> None:
    """Every write that was acknowledged is there once, and nothing else is; versions have no gap."""
    assert len(set(done)) == len(done), "no version was given twice"
    versions: dict[str, list[int]] = {}
    for name, version in sorted(done):
        versions.setdefault(name, []).append(version)
    assert len(versions) == ACCOUNTS
    for found in versions.values():
        assert found == list(range(1, len(found) + 1))
    assert sorted((row.name, row.version) for row in rows(database, ACCOUNT_VERSION)) == sorted(done)
    assert sorted((row.object.removeprefix("email/"), row.version) for row in audited(database)) == sorted(done)


@contextmanager
def sealing(url: str) -> Iterator[None]:
    """Seal all the time, twice at once: each with a database of its own, as two jobs processes do."""
    ended = threading.Event()

    def seal() -> None:
        with opened(url) as database:
            while not ended.is_set():
                with suppress(RefusedError):  # One too many races; the job does it again, too.
                    Trail(database, None).seal(ended.is_set)

    threads = [threading.Thread(target=seal) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def assert_it_is_one_chain(database: Database, records: int) -> None:
    report = verify(database, STORED)
    assert (report.findings, report.records) == ((), records)
    assert sorted(row.number for row in audited(database)) == list(range(1, records + 1))
    assert [head.number for head in report.heads] == [records]


@pytest.mark.proof
def test_of_eight_writing_processes_none_loses_or_is_refused_anything(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    writes = scaled(100, 2_000)
    with sealing(database_url):
        done, failed = write(tmp_path, database_url, writes, "put")
    # What PostgreSQL tells two who make an account at once; in SQLite's queue nobody meets anybody.
    races = {"race 23505"} if database_url.startswith("postgresql") else set()
    assert set(failed) <= races
    assert len(done) == PROCESSES * writes
    assert_nothing_is_lost(database, done)
    assert_it_is_one_chain(database, PROCESSES * writes)
    assert {row.name: row.version for row in rows(database, ACCOUNT)} == dict(Counter(name for name, _ in done))


def test_versions_go_on_without_a_gap_while_accounts_are_deleted_and_made_again(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    done, failed = write(tmp_path, database_url, 60, "mixed")
    kinds = {failure for failure in failed if not failure.startswith("NoSuchObject(")}
    assert kinds <= ({"race 23505", "given up"} if database_url.startswith("postgresql") else set())
    assert_nothing_is_lost(database, done)
    deleted = [row for row in rows(database, ACCOUNT_VERSION) if row.attributes is None]
    assert deleted
    # What was deleted is in the bin, in the version before the deletion.
    binned = {(row.uid, row.name, row.version) for row in rows(database, ACCOUNT_BIN)}
    assert binned == {(row.uid, row.name, row.version - 1) for row in deleted}
    assert_each_incarnation_has_its_uid(rows(database, ACCOUNT_VERSION))


def assert_each_incarnation_has_its_uid(history: list[Any]) -> None:
    ended: set[str] = set()
    last: dict[str, Any] = {}
    for row in sorted(history, key=lambda row: (row.name, row.version)):
        before = last.get(row.name)
        assert row.uid not in ended
        if before is not None and before.attributes is not None:
            assert row.uid == before.uid
        if row.attributes is None:
            ended.add(row.uid)
        last[row.name] = row
