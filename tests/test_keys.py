"""The rotation of keys: `accounts-service keys …`, and a service that goes on meanwhile."""

from __future__ import annotations

import dataclasses
import http.client
import json
import os
import random
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytest
import structlog
from click.testing import CliRunner, Result
from sqlalchemy import insert, update

from accounts_service import app, cli
from accounts_service.families.signals.store.accounts import Accounts, Key
from accounts_service.families.signals.tables import ACCOUNT, ACCOUNT_BIN, ACCOUNT_VERSION
from accounts_service.faults import Json, Overloaded, RefusedError
from accounts_service.jobs.rewrap import Rewrap
from accounts_service.storage import envelopes, migrations, sealed
from accounts_service.storage.database import Database, open_database
from accounts_service.storage.envelopes import Batch, Envelopes, Sealed
from accounts_service.storage.idempotency import IDEMPOTENCY
from accounts_service.storage.key_watch import KeyWatch
from accounts_service.storage.keys_file import FileVault, change, open_vault
from accounts_service.storage.outbox import Message, Outbox
from accounts_service.storage.rotation import (
    JOBS,
    PROCESS,
    REWRAPPING,
    SETTLED_SECONDS,
    WORKER,
    Process,
    Processes,
    Progress,
    Rewrappings,
)
from accounts_service.storage.sealed import Keyring, Place
from tests.storage.kit import AUTHOR, GRANT, Always, document, rows
from tests.support.installation import Installation
from tests.support.scale import FULL, scaled
from tests.support.served import Served
from tests.support.service import Service

PATH = "/_signals/account/email/default"
PASSWORD = "canary-5e71-of-a-rotation"
BODY: dict[str, Json] = {"host": "mail.example", "port": 25, "user": "u", "password": PASSWORD}
_PATIENCE_SECONDS = 110


def run(installation: Installation, *words: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(cli.main, ("keys", *words), env=installation.environment())


def done(installation: Installation, *words: str) -> str:
    result = run(installation, *words)
    assert result.exit_code == 0, result.output
    return result.output.strip()


def refused(installation: Installation, *words: str) -> str:
    result = run(installation, *words)
    assert result.exit_code == 1
    assert PASSWORD not in result.output
    return result.output


def reported(installation: Installation, status: int = 0) -> Any:
    result = run(installation, "report", "--json")
    assert result.exit_code == status, result.output
    document = json.loads(result.output)
    for counts in (*document["places"].values(), document["sum"]):
        assert counts["total"] == sum(count for name, count in counts.items() if name != "total")
    for name, whole in document["sum"].items():
        assert whole == sum(counts[name] for counts in document["places"].values())
    return document


def settle(database: Database, seconds: int) -> None:
    """Have so many seconds pass since any process has changed its key."""
    with database.begin() as connection:
        connection.execute(update(PROCESS).values(active_since_us=PROCESS.c.active_since_us - seconds * 1_000_000))


def rotate(installation: Installation) -> tuple[str, str]:
    """Make a new key active in the file; returns the former one and the new one."""

    def act(keyring: Keyring) -> tuple[Keyring, tuple[str, str]]:
        extended, key = keyring.extended()
        return dataclasses.replace(extended, active=key), (keyring.active, key)

    return change(installation.keys_file, act)


@contextmanager
def opened(installation: Installation) -> Iterator[Database]:
    database = open_database(installation.database_url, open_vault(installation.keys_file))
    try:
        yield database
    finally:
        database.dispose()


# -- A key that is missing -----------------------------------------------------


def test_a_missing_key_is_named_to_who_needs_it_and_stops_nobody_else(service: Service) -> None:
    service.put(PATH, BODY)
    tag = service.get(PATH).headers["ETag"]
    whole = service.installation.keys_file.read_text()
    old, _ = rotate(service.installation)

    def lose(keyring: Keyring) -> tuple[Keyring, None]:
        return dataclasses.replace(keyring, wrapping={keyring.active: keyring.wrapping[keyring.active]}), None

    change(service.installation.keys_file, lose)
    service.services.vault.look()
    for path in (PATH, "/_signals/account/default"):
        with structlog.testing.capture_logs() as lines:
            answer = service.get(path)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "60")
        assert f"needs the key {old}" in answer.text
        assert [line["key"] for line in lines if line["event"] == "secret.unreadable"] == [old]
    # Who sees references needs no key, and may keep what he does not see.
    shown = service.get(PATH, by="reader")
    assert shown.status_code == 200
    reference = shown.json["_source"]["password"]
    assert service.get(PATH, headers={"If-None-Match": tag}).status_code == 304
    assert service.put(PATH, {**BODY, "password": reference}, by="manager").status_code == 200
    hits = service.ask("POST", "/_signals/account/_search", json={}).json["hits"]["hits"]
    assert [PASSWORD in str(hit) or "password" in hit["_source"] for hit in hits] == [False]
    service.put(f"{PATH}2", BODY)
    assert service.get(f"{PATH}2").json["_source"]["password"] == PASSWORD
    # The key comes back, and nobody has to start anything.
    service.installation.keys_file.write_text(whole)
    service.services.vault.look()
    assert service.get(PATH).json["_source"]["password"] == PASSWORD
    assert service.get(f"{PATH}2").status_code == 503, "which was sealed with the key that is missing now"
    assert service.delete(f"{PATH}2").status_code == 200


def test_a_damaged_envelope_is_told_as_that_and_kept_by_nobody(service: Service) -> None:
    service.put(PATH, BODY)
    reference = service.get(PATH, by="reader").json["_source"]["password"]
    with service.services.database.begin() as connection:
        connection.execute(update(ACCOUNT).values(secrets='{"password": "v1.x"}'))
    for by in ("admin", "reader"):
        answer = service.get(PATH, by=by)
        assert answer.status_code == 503
        assert "a stored secret is damaged" in answer.text.lower()
    assert service.put(PATH, {**BODY, "password": reference}).status_code == 400
    assert service.put(PATH, BODY).status_code == 200
    assert service.get(PATH).status_code == 200


# -- The commands --------------------------------------------------------------


def test_everything_that_is_sealed_is_wrapped_anew_and_the_report_adds_up(service: Service) -> None:
    installation, database = service.installation, service.services.database
    service.put(PATH, BODY)
    service.put(f"{PATH}2", BODY)
    service.delete(f"{PATH}2")
    reference = service.get(PATH, by="reader").json["_source"]["password"]
    words = ("token", "create", "--family", "wavefront", "--principal", "sa::x", "--create")
    assert CliRunner().invoke(cli.main, words, env=installation.environment()).exit_code == 0
    digest = "0" * 64
    with database.transaction(Outbox, AUTHOR) as outbox:
        outbox.add(Message("ann@mycompany.example", PASSWORD, PASSWORD))
    with database.begin() as connection:
        sealed = service.services.vault.seal(Place("idempotency", digest, "answer"), PASSWORD)
        connection.execute(insert(IDEMPOTENCY), {"digest": digest, "body": "", "answer": sealed, "expires_us": 0})
        connection.execute(insert(IDEMPOTENCY), {"digest": "1" * 64, "body": "", "answer": None, "expires_us": 0})
    old = reported(installation)["active"]
    new = done(installation, "add")
    before = reported(installation)
    assert before["sum"]["current"] == before["sum"]["total"] == 7
    assert {name: counts["total"] for name, counts in before["places"].items()} == {
        "accounts": 1,
        "versions": 2,
        "bin": 1,
        "tokens": 1,
        "outbox": 1,
        "stored answers": 1,
    }
    done(installation, "activate", new)
    assert "no jobs process lives" in done(installation, "rewrap")
    outstanding = reported(installation)
    assert outstanding["sum"]["outstanding"] == before["sum"]["total"]
    assert outstanding["keys"] == {old: before["sum"]["total"]}
    assert f"need {old}" in refused(installation, "remove", old)
    assert done(installation, "rewrap", "--wait").endswith("Done: whatever opens is under the active key.")
    service.services.vault.look()
    service.put(f"{PATH}3", BODY)
    after = reported(installation)
    assert after["sum"] == {
        "total": before["sum"]["total"] + 2,
        "current": 2,
        "re-wrapped": before["sum"]["total"],
        "outstanding": 0,
        "undecryptable": 0,
    }
    assert "is active" in refused(installation, "remove", new)
    done(installation, "remove", old)
    service.services.vault.look()
    assert service.services.vault.keys == (new,)
    assert service.get(PATH).json["_source"]["password"] == PASSWORD
    assert service.get(PATH, by="reader").json["_source"]["password"] == reference
    assert reported(installation) == {**after, "keys": {new: after["sum"]["total"]}}
    assert "there is no key" in refused(installation, "activate", old)
    # Another round: what was wrapped anew once is outstanding again.
    third = done(installation, "add")
    done(installation, "activate", third)
    assert reported(installation)["sum"]["outstanding"] == after["sum"]["total"]
    done(installation, "rewrap", "--wait")
    assert reported(installation)["keys"] == {third: after["sum"]["total"]}


def test_a_key_that_is_lost_for_good_is_given_up_by_a_command_and_nothing_else_is(service: Service) -> None:
    installation, database = service.installation, service.services.database
    service.put(PATH, BODY)
    lost, _ = rotate(installation)
    done(installation, "report")
    assert "is in the keys file" in refused(installation, "remove", lost, "--lost")

    def lose(keyring: Keyring) -> tuple[Keyring, None]:
        return dataclasses.replace(keyring, wrapping={keyring.active: keyring.wrapping[keyring.active]}), None

    change(installation.keys_file, lose)
    assert f"keys remove --lost {lost}" in refused(installation, "remove", lost)
    assert "does not know kffffffff" in refused(installation, "remove", "kffffffff", "--lost")
    with database.transaction(Processes, AUTHOR) as processes:
        processes.report(Process("1", WORKER, "here", 4711, (lost,), lost))
    assert f"worker 4711 on here still hold {lost}" in refused(installation, "remove", lost, "--lost")
    assert lost in database.recorded_keys()
    with database.transaction(Processes, AUTHOR) as processes:
        processes.end("1")
    told = done(installation, "remove", lost, "--lost")
    assert told.startswith(f"{lost} is given up. Secrets that only it opens: 2.")
    assert lost not in database.recorded_keys()
    findings = CliRunner().invoke(cli.main, ["doctor"], env=installation.environment()).output
    assert "ok   keys: they are those the database was written with" in findings
    assert [one["key"] for one in reported(installation, 1)["undecryptable"]] == [lost, lost]


def test_what_does_not_open_is_named_left_as_it_is_and_ends_nothing(service: Service) -> None:
    installation, database = service.installation, service.services.database
    service.put(PATH, {**BODY, "proxy_user": "u", "proxy_password": PASSWORD, "proxy_host": "p", "proxy_port": 1})
    (row,) = rows(database, ACCOUNT)
    secrets = json.loads(row.secrets)
    broken = secrets | {"password": secrets["password"][:-4] + "AAAA"}
    with database.begin() as connection:
        connection.execute(update(ACCOUNT).values(secrets=json.dumps(broken)))
        connection.execute(update(ACCOUNT_VERSION).values(secrets="nonsense"))
    _, new = rotate(installation)
    done(installation, "rewrap", "--wait")
    document = reported(installation, 1)
    assert document["sum"] == {"total": 3, "current": 0, "re-wrapped": 1, "outstanding": 0, "undecryptable": 2}
    assert document["undecryptable"] == [
        {"where": f"signals_account {row.uid} version 1 password", "uid": row.uid, "key": None},
        {"where": f"signals_account_version {row.uid} version 1", "uid": row.uid, "key": None},
    ]
    assert json.loads(rows(database, ACCOUNT)[0].secrets)["password"] == broken["password"]
    assert f"undecryptable: signals_account {row.uid} version 1 password" in refused(installation, "report")
    assert new in document["keys"]


def test_no_key_is_activated_before_every_live_process_holds_it_nor_removed_while_one_seals_with_it(
    service: Service,
) -> None:
    installation, database = service.installation, service.services.database
    old, new = service.services.vault.active, done(installation, "add")
    one, other = Process("1", WORKER, "here", 11, (old, new), old), Process("2", JOBS, "there", 22, (old,), old)

    def report(*processes: Process) -> None:
        with database.transaction(Processes, AUTHOR) as store:
            for process in processes:
                store.report(process)

    report(one, other)
    told = refused(installation, "activate", new)
    assert "jobs 22 on there" in told
    assert "worker 11" not in told
    report(dataclasses.replace(other, keys=(old, new)))
    done(installation, "activate", new)
    told = refused(installation, "remove", old)
    assert f"{old} is active for jobs 22 on there, worker 11 on here" in told
    assert "no jobs process lives" in done(installation, "rewrap"), "none that seals with the new key"
    report(dataclasses.replace(other, keys=(old, new), active=new))
    assert "the jobs process does it" in done(installation, "rewrap")
    # Who has changed its key just now may have something under way; how often it reports that since is no matter.
    report(dataclasses.replace(one, active=new))
    settle(database, SETTLED_SECONDS - 5)
    report(dataclasses.replace(one, active=new))
    assert "Again in 5 s" in refused(installation, "remove", old)
    # Who has not been heard of for half a minute is dead, and asked for nothing.
    with database.begin() as connection:
        connection.execute(update(PROCESS).values(seen_us=PROCESS.c.seen_us - 31_000_000))
    done(installation, "remove", old)
    Rewrap(database, ()).forget(lambda: False)
    assert rows(database, PROCESS) == []


def test_a_process_that_died_a_year_ahead_does_not_block_a_rotation(service: Service) -> None:
    installation, database = service.installation, service.services.database
    old, new = service.services.vault.active, done(installation, "add")
    with database.transaction(Processes, AUTHOR) as processes:
        processes.report(Process("1", WORKER, "here", 11, (old,), old))
    with database.begin() as connection:
        year_us = 366 * 86_400 * 1_000_000
        connection.execute(
            update(PROCESS).values(seen_us=PROCESS.c.seen_us + year_us, active_since_us=PROCESS.c.seen_us + year_us)
        )
    told = CliRunner().invoke(cli.main, ("doctor",), env=installation.environment()).output
    assert "process.seen_us: rows 1, the furthest 20" in told
    done(installation, "activate", new)
    done(installation, "remove", old)


# -- Beneath -------------------------------------------------------------------


def test_a_process_reports_what_has_changed_and_an_outage_once(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(installation) as database:
        vault = open_vault(installation.keys_file)
        watch = KeyWatch(database, vault, WORKER)
        watch.look()
        (row,) = rows(database, PROCESS)
        assert (row.kind, row.pid, json.loads(row.keys), row.active) == (
            WORKER,
            os.getpid(),
            [*vault.keys],
            vault.active,
        )
        _, new = rotate(installation)
        with monkeypatch.context() as patched, structlog.testing.capture_logs() as lines:

            def fail(*_: object) -> None:
                raise RefusedError(Overloaded())

            patched.setattr(database, "transaction", fail)
            watch.look()
            watch.look()
        assert [line["event"] for line in lines] == ["keys.changed", "keys.not_reported"]
        watch.look()
        assert [row.active for row in rows(database, PROCESS)] == [new]
        watch.start()
        watch.stop()
        assert rows(database, PROCESS) == []


def prepared(database: Database, job: Rewrap) -> tuple[Progress, Batch]:
    """Ask for everything to be wrapped anew, and prepare the first batch."""
    job.ask()
    progress = job.progress()
    assert progress is not None
    with database.reading(Rewrappings) as store:
        return progress, store.batch(progress, app.sealed_columns())


def test_who_writes_meanwhile_wins_and_what_is_sealed_behind_a_pass_is_found(service: Service) -> None:
    database, vault = service.services.database, service.services.vault
    service.put(PATH, BODY)
    rotate(service.installation)
    behind = json.dumps({"password": vault.seal(Place("signals", rows(database, ACCOUNT)[0].uid, "password"), "late")})
    vault.look()
    columns = app.sealed_columns()
    job = Rewrap(database, columns)
    first, batch = prepared(database, job)
    service.put(PATH, {**BODY, "password": "newer"})
    for expected in (False, True):
        with database.transaction(Rewrappings, AUTHOR) as store:
            assert (store.go_on(first, columns, batch) is None) is expected, "once, and never again"
    assert service.get(PATH).json["_source"]["password"] == "newer"
    # A slow process that does not know of the new key yet.
    with database.begin() as connection:
        connection.execute(update(ACCOUNT).values(secrets=behind))
    while job.step():
        pass
    last = job.progress()
    assert last is not None
    assert last.is_finished
    assert last.number > 2
    assert service.get(PATH).json["_source"]["password"] == "late"
    with database.reading(Envelopes) as envelopes:
        assert envelopes.tally(columns[0]).by_key == {vault.active: 1}


def test_a_pass_leaves_out_no_column_when_another_release_has_them_in_another_order(service: Service) -> None:
    database, vault = service.services.database, service.services.vault
    with database.transaction(Outbox, AUTHOR) as outbox:
        outbox.add(Message("ann@mycompany.example", PASSWORD, PASSWORD))
    rotate(service.installation)
    vault.look()
    columns = app.sealed_columns()
    before = Rewrap(database, [column for column in columns if column.name != "outbox"])
    before.ask()
    for _ in range(3):
        before.step()
    after = Rewrap(database, columns[::-1])
    while after.step():
        pass
    assert reported(service.installation)["keys"] == {vault.active: 1}


def test_what_was_prepared_for_a_key_that_is_not_active_any_more_is_not_written(service: Service) -> None:
    database, vault = service.services.database, service.services.vault
    service.put(PATH, BODY)
    sealed = rows(database, ACCOUNT)[0].secrets
    rotate(service.installation)
    vault.look()
    progress, batch = prepared(database, Rewrap(database, app.sealed_columns()))
    assert len(batch.rewraps) == 1
    rotate(service.installation)
    vault.look()
    with database.transaction(Rewrappings, AUTHOR) as store:
        assert store.go_on(progress, app.sealed_columns(), batch) is None
    assert rows(database, ACCOUNT)[0].secrets == sealed


def test_a_command_that_has_waited_wraps_nothing_with_a_key_that_is_gone(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation = service.installation
    service.put(PATH, BODY)
    first, second = rotate(installation)
    prepare = Rewrappings.batch

    def slowly(store: Rewrappings, progress: Progress, columns: Sequence[Sealed]) -> Batch:
        batch = prepare(store, progress, columns)
        # As if its terminal had been stopped for so long that the second key could be given up.
        change(installation.keys_file, given_up)
        return batch

    def given_up(keys: Keyring) -> tuple[Keyring, None]:
        return dataclasses.replace(keys, active=first, wrapping={first: keys.wrapping[first]}), None

    monkeypatch.setattr(sealed, "_ASLEEP_SECONDS", 0)
    monkeypatch.setattr(Rewrappings, "batch", slowly)
    assert "somebody has asked for another key" in refused(installation, "rewrap", "--wait")
    assert service.get(PATH).json["_source"]["password"] == PASSWORD
    assert second not in reported(installation)["keys"]


def test_a_place_that_another_release_has_written_otherwise_is_begun_anew(service: Service) -> None:
    installation, database = service.installation, service.services.database
    service.put(PATH, BODY)
    rotate(installation)
    done(installation, "rewrap", "--wait")
    with database.begin() as connection:
        connection.execute(update(REWRAPPING).values(place='{"number": 1, "column": 2, "after": null, "found": 0}'))
    service.services.vault.look()
    assert Rewrap(database, app.sealed_columns()).progress() is None
    assert "Done" in done(installation, "rewrap", "--wait")


def test_large_secrets_are_wrapped_anew_a_few_at_a_time(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    database, vault = service.services.database, service.services.vault
    with database.transaction(Outbox, AUTHOR) as outbox:
        for _ in range(20):
            outbox.add(Message("ann@mycompany.example", "x", "x" * 3000))
    monkeypatch.setattr(envelopes, "MOST_CHARACTERS", 40_000)
    rotate(service.installation)
    vault.look()
    job = Rewrap(database, [column for column in app.sealed_columns() if column.name == "outbox"])
    job.ask()
    changed = []
    while job.step():
        progress = job.progress()
        assert progress is not None
        changed.append(progress.changed)
    assert changed[:2] == [16, 20]
    assert reported(service.installation)["keys"] == {vault.active: 20}


def test_what_was_sealed_before_and_is_not_committed_yet_keeps_its_key(tmp_path: Path, postgresql_url: str) -> None:
    """On SQLite nobody can report, nor wrap anew, while another writes."""
    installation = Installation(tmp_path / "installation", postgresql_url)
    with opened(installation) as database, opened(installation) as other:
        assert isinstance(database._vault, FileVault)
        watch = KeyWatch(database, database._vault, WORKER)
        watch.look()
        with other.transaction(Accounts, AUTHOR) as accounts:
            accounts.put(GRANT, Key("email", "late"), document(secrets={"password": PASSWORD}), Always())
            old, new = database._vault.active, done(installation, "add")
            watch.look()
            done(installation, "activate", new)
            watch.look()
            done(installation, "rewrap", "--wait")
            assert "may not be committed yet" in refused(installation, "remove", old)
        # Who sees nothing of it by then is told of it.
        settle(database, SETTLED_SECONDS)
        assert f"2 secrets need {old}" in refused(installation, "remove", old)
        done(installation, "rewrap", "--wait")
        done(installation, "remove", old)
        assert reported(installation)["keys"] == {new: 2}


def test_who_writes_when_a_key_is_to_be_removed_is_waited_for(service: Service) -> None:
    installation, database = service.installation, service.services.database
    with ThreadPoolExecutor(1) as pool:
        with database.transaction(Accounts, AUTHOR) as accounts:
            accounts.put(GRANT, Key("email", "late"), document(secrets={"password": PASSWORD}), Always())
            # As if all others had changed long ago, and who writes had been stopped and were taken for dead.
            old, _ = rotate(installation)
            removing = pool.submit(run, installation, "remove", old)
            wait((removing,), 0.5)
        told = removing.result()
    assert f"2 secrets need {old}" in told.output
    done(installation, "rewrap", "--wait")
    done(installation, "remove", old)
    assert reported(installation)["sum"]["re-wrapped"] == 2


def test_an_older_release_reads_what_was_wrapped_anew_after_a_downgrade(service: Service) -> None:
    database, vault = service.services.database, service.services.vault
    service.put(PATH, BODY)
    with database.transaction(Outbox, AUTHOR) as outbox:
        outbox.add(Message("ann@mycompany.example", "x", "y"))
    rotate(service.installation)
    done(service.installation, "rewrap", "--wait")
    vault.look()
    assert '"v1r.' in rows(database, ACCOUNT)[0].secrets
    migrations.downgrade(database, "0007")
    with database.looking() as connection:
        texts = [
            connection.exec_driver_sql(f"SELECT {column} FROM {table}").scalar_one()  # noqa: S608  # names of ours
            for table, column in (
                ("signals_account", "secrets"),
                ("signals_account_version", "secrets"),
                ("outbox_message", "sealed"),
            )
        ]
    migrations.upgrade(database)
    assert not any("v1r" in text for text in texts)
    assert all(f"v1.{vault.active}." in text for text in texts)
    assert service.get(PATH).json["_source"]["password"] == PASSWORD


# -- A rotation under load -----------------------------------------------------

# The short form has a batch a column, one worker, and kills the jobs process alone: each start costs seconds.
ACCOUNTS = scaled(40, 20_000)
WORKERS = scaled(1, 2)
KILLS = scaled(1, 5)
WRITTEN_EVERY = 10


def password_of(number: int) -> str:
    return f"{PASSWORD}-{number}"


def fill(installation: Installation) -> None:
    with opened(installation) as database:
        for start in range(0, ACCOUNTS, 500):
            with database.transaction(Accounts, AUTHOR) as accounts:
                for number in range(start, min(start + 500, ACCOUNTS)):
                    body = document(secrets={"password": password_of(number)}, port=25)
                    accounts.put(GRANT, Key("email", f"a{number}"), body, Always())
        for number in range(ACCOUNTS, ACCOUNTS + 5):
            with database.transaction(Accounts, AUTHOR) as accounts:
                accounts.put(GRANT, Key("email", f"a{number}"), document(secrets={"password": "gone"}), Always())
                accounts.delete(GRANT, Key("email", f"a{number}"), Always())


class Load:
    """Readers and a writer that go on until told to end; what was wrong is in `wrong`."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.wrong: list[str] = []
        self.reads = self.writes = self.retried = 0
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._go_on, args=(act,)) for act in (self._read, self._write)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()

    def _go_on(self, act: Any) -> None:
        # The short form has others beside it.
        while not self._ending.wait(scaled(1, 0) / 10):
            try:
                act()
            except Exception as error:  # noqa: BLE001  # told by the test
                self.wrong.append(repr(error))

    def ask(self, method: str, number: int, body: object = None) -> Any:
        """Ask, and once more where a worker was killed or somebody too busy."""
        path = f"/_signals/account/email/a{number}"
        told = ""
        for attempt in range(2):
            try:
                answer = self.served.ask(method, path, body=body)
            # The latter where who was killed had begun to answer.
            except (OSError, http.client.HTTPException) as error:
                told = type(error).__name__
            else:
                if answer.status in (200, 201):
                    return answer.json
                told = f"{answer.status} {answer.body!r}"
                if answer.status != 503 or b"secret" in answer.body:
                    break
            self.retried += attempt == 0
        raise AssertionError(f"{method} {number}: {told}")

    def _read(self) -> None:
        number = random.randrange(ACCOUNTS)
        if number % WRITTEN_EVERY:
            assert self.ask("GET", number)["_source"]["password"] == password_of(number)
            self.reads += 1

    def _write(self) -> None:
        number = random.randrange(0, ACCOUNTS, WRITTEN_EVERY)
        value = f"{number} {random.random()}"
        self.ask("PUT", number, {"host": "h", "port": 25, "user": "u", "password": value})
        assert self.ask("GET", number)["_source"]["password"] == value
        self.writes += 1


def wait_for(condition: Any, what: str) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS * scaled(1, 5)
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


@pytest.mark.proof
@pytest.mark.parametrize("kind", ("sqlite", "postgresql")[: scaled(1, 2)])
@pytest.mark.timeout(_PATIENCE_SECONDS * scaled(1, 10))
@pytest.mark.usefixtures("socket_enabled")
def test_keys_are_rotated_under_load_and_kills_without_a_secret_being_lost_or_a_read_failing(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    installation = Installation(tmp_path / "installation", request.getfixturevalue(f"{kind}_url"))
    fill(installation)
    total = reported(installation)["sum"]["total"]
    old = open_vault(installation.keys_file).active
    with (
        Served(installation, ACCOUNTS_WORKERS=str(WORKERS), ACCOUNTS_SERVE_JOBS="true") as served,
        opened(installation) as database,
    ):
        wait_for(lambda: len(rows(database, PROCESS)) > WORKERS, "every worker and a jobs process")
        with Load(served) as load:
            new = done(installation, "add")
            wait_for(lambda: run(installation, "activate", new).exit_code == 0, "every process has the key")
            wait_for(lambda: all(row.active == new for row in rows(database, PROCESS)), "every process seals with it")
            done(installation, "rewrap")
            job = Rewrap(database, app.sealed_columns())
            database._vault.look()

            def changed() -> int:
                progress = job.progress()
                return 0 if progress is None else ACCOUNTS * 9 if progress.is_finished else progress.changed

            killed = []
            for kill in range(KILLS):
                wait_for(lambda kill=kill: changed() >= ACCOUNTS * 2 * kill // (KILLS + 1), "rows are changed")
                (jobs,) = served.jobs() or (None,)
                for pid in (jobs, random.choice(served.workers()))[: scaled(1, 2)]:
                    if pid is not None:
                        os.kill(pid, signal.SIGKILL)
                        killed.append(pid)
                wait_for(lambda jobs=jobs: served.jobs() not in ([], [jobs]), "another jobs process")
            wait_for(lambda: changed() == ACCOUNTS * 9, "an end")
        assert load.wrong == []
        assert load.reads
        assert load.writes
        found = reported(installation)
        # Each write has made a version; those of killed workers may have been made and not told.
        assert total + load.writes <= found["sum"]["total"] <= total + load.writes + load.retried
        assert found["keys"] == {new: found["sum"]["total"]}
        # As if half a minute had passed since they were killed.
        with database.begin() as connection:
            connection.execute(update(PROCESS).where(PROCESS.c.pid.in_(killed)).values(seen_us=0))
        settle(database, SETTLED_SECONDS)
        done(installation, "remove", old)
        # Every row opens with the new key alone, versions and bin included.
        assert reported(installation) == found
        assert found["places"]["bin"]["re-wrapped"] == len(rows(database, ACCOUNT_BIN)) == 5
        for number in random.sample([one for one in range(ACCOUNTS) if one % WRITTEN_EVERY], 20):
            assert load.ask("GET", number)["_source"]["password"] == password_of(number)
    figures = {
        "accounts": ACCOUNTS,
        "kills": KILLS,
        "reads": load.reads,
        "writes": load.writes,
        "retried": load.retried,
    }
    if FULL:
        with capsys.disabled():
            print(kind, {**figures, **found["sum"]})  # noqa: T201  # what somebody proves it for
    assert PASSWORD not in served.log.read_text()


def test_what_was_deleted_or_changed_before_a_rotation_comes_back_after_it(service: Service) -> None:
    database, vault = service.services.database, service.services.vault
    other = "/_signals/account/email/other"
    service.put(PATH, BODY)
    service.put(PATH, {**BODY, "password": "newer"})
    service.put(other, BODY)
    service.delete(other)
    former, new = rotate(service.installation)
    vault.look()
    job = Rewrap(database, app.sealed_columns())
    job.ask()
    while job.step():
        pass

    def without(keyring: Keyring) -> tuple[Keyring, None]:
        return dataclasses.replace(keyring, wrapping={new: keyring.wrapping[new]}), None

    # Nothing needs the former key any more.
    change(service.installation.keys_file, without)
    vault.look()
    assert former not in vault.keys
    (deleted,) = service.get("/_signals/bin").json["deleted"]
    assert service.ask("POST", f"/_signals/bin/{deleted['uid']}:undelete").status_code == 200
    assert service.ask("POST", f"{PATH}/_versions/1:restore").status_code == 200
    for path in (PATH, other):
        assert service.get(path).json["_source"]["password"] == PASSWORD
