"""A keys file of another installation over an existing database: refused before anything is written."""

from __future__ import annotations

import dataclasses
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import structlog
from click.testing import CliRunner, Result
from sqlalchemy import Engine, MetaData, delete, insert, select

from accounts_service import app, cli
from accounts_service.families.signals.store.accounts import Accounts, Key
from accounts_service.families.signals.tables import ACCOUNT
from accounts_service.faults import Json, RefusedError, Unavailable
from accounts_service.storage import migrations
from accounts_service.storage.audit import AUDIT_RECORD, Author
from accounts_service.storage.database import Database
from accounts_service.storage.key_checks import KEY_CHECK, ForeignKeysFileError
from accounts_service.storage.key_watch import KeyWatch
from accounts_service.storage.keys_file import change
from accounts_service.storage.rotation import SETTLED_SECONDS, WORKER, Process, Processes
from accounts_service.storage.sealed import Keyring, Vault, load_keyring
from tests.storage.kit import opened, put, rows
from tests.support.installation import Installation
from tests.support.service import Service
from tests.test_keys import settle

PATH = "/_signals/account/email/default"
BODY: dict[str, Json] = {"host": "mail.example", "port": 25, "user": "u", "password": "canary-0a11-of-foreign-keys"}

# Every command that may write with keys, and those that look at what was written with them.
COMMANDS = (
    "db upgrade",
    "db check",
    "db downgrade 0009 --yes",
    "jobs --once",
    "token create --family wavefront --principal sa::x --create",
    "token list --family wavefront",
    "app create --name a --callback https://a.example/",
    "audit verify",
    "audit erase ann",
    "keys add",
    "keys rewrap",
    "keys rewrap --wait",
    "keys report",
)


def run(installation: Installation, command: str) -> Result:
    return CliRunner().invoke(cli.main, command.split(), env=installation.environment())


def everything(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Read all rows of all tables."""
    with database.looking() as connection:
        metadata = MetaData()
        metadata.reflect(connection)
        return {
            table.name: sorted(map(tuple, connection.execute(select(table))), key=repr)
            for table in metadata.sorted_tables
        }


def names(database: Database) -> set[str]:
    return {row.name for row in rows(database, KEY_CHECK)}


def all_names(keyring: Keyring) -> set[str]:
    return {*keyring.wrapping, ":mac", ":fingerprint"}


def clear(database: Database) -> None:
    """Make the database one from before there were check values."""
    with database.begin() as connection:
        connection.execute(delete(KEY_CHECK))


def other_bytes(keyring: Keyring) -> Keyring:
    return dataclasses.replace(keyring, wrapping=dict.fromkeys(keyring.wrapping, b"o" * 32))


@pytest.mark.parametrize("kind", ("another", "same id"))
def test_every_command_and_server_refuses_a_foreign_keys_file(
    service: Service, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # Those of the tests stay.
    installation, database = service.installation, service.services.database
    service.put(PATH, BODY)
    own = load_keyring(installation.keys_file)
    foreign = Keyring.generate() if kind == "another" else other_bytes(own)
    installation.keys_file.write_text(foreign.to_json())
    before = everything(database)
    for command in (*COMMANDS, f"keys activate {foreign.active}", f"keys remove {foreign.active}"):
        result = run(installation, command)
        assert result.exit_code == 1, (command, result.output)
        for part in (str(installation.keys_file), foreign.active, own.active, "Restore the keys file"):
            assert part in result.output, (command, result.output)
    assert (
        f"FAIL keys: {installation.keys_file} is not the keys file of this database"
        in run(installation, "doctor").output
    )
    for start in (app.rehearse, app.create_app):
        with pytest.raises(ForeignKeysFileError, match=own.active):
            start(installation.settings())
    assert everything(database) == before
    assert installation.keys_file.read_text() == foreign.to_json()
    installation.keys_file.write_text(own.to_json())
    assert run(installation, "keys report").exit_code == 0


def test_a_write_before_the_keys_were_checked_is_refused(database_url: str) -> None:
    """As in a process that started while the database was away."""
    with opened(database_url) as database:
        put(database)
        before = everything(database)
    with opened(database_url, vault=Vault(Keyring.generate())) as database, structlog.testing.capture_logs() as lines:
        for _ in range(2):
            with pytest.raises(RefusedError) as caught:
                put(database)
            assert caught.value.fault == Unavailable()
        with database.reading(Accounts):
            pass
        assert everything(database) == before
    assert [line["event"] for line in lines] == ["keys.foreign"]


def test_a_database_without_check_values_adopts_only_a_file_that_proves_itself(service: Service) -> None:
    installation, database = service.installation, service.services.database
    service.put(PATH, BODY)
    own = load_keyring(installation.keys_file)
    clear(database)
    before = everything(database)
    for foreign in (Keyring.generate(), dataclasses.replace(own, mac=b"m" * 32), other_bytes(own)):
        installation.keys_file.write_text(foreign.to_json())
        refused = run(installation, "db upgrade")
        assert (refused.exit_code, "does not fit what this database holds" in refused.output) == (1, True)
        with pytest.raises(ForeignKeysFileError):
            app.rehearse(installation.settings())
        assert everything(database) == before
    # One forged record does not keep the right file out.
    with database.begin() as connection:
        values = {**rows(database, AUDIT_RECORD)[-1]._mapping, "id": 1000, "mac": b"x", "number": None, "link": None}
        connection.execute(insert(AUDIT_RECORD), values)
    installation.keys_file.write_text(own.to_json())
    assert run(installation, "db upgrade").exit_code == 0
    assert names(database) == all_names(own)


def test_a_database_of_an_earlier_release_refuses_the_upgrade_with_a_foreign_file(service: Service) -> None:
    installation, database = service.installation, service.services.database
    service.put(PATH, BODY)
    own = load_keyring(installation.keys_file)
    migrations.downgrade(database, "0009")
    before = everything(database)
    installation.keys_file.write_text(Keyring.generate().to_json())
    assert run(installation, "db upgrade").exit_code == 1
    assert everything(database) == before
    installation.keys_file.write_text(own.to_json())
    assert run(installation, "db upgrade").exit_code == 0
    assert names(database) == all_names(own)


def test_an_empty_database_adopts_the_first_file_and_refuses_the_second(tmp_path: Path, empty_url: str) -> None:
    one, two = (Installation(tmp_path / name, empty_url) for name in ("one", "two"))
    assert run(one, "db upgrade").exit_code == 0
    assert load_keyring(one.keys_file).active in run(two, "db upgrade").output
    assert run(two, "db upgrade").exit_code == 1
    assert run(one, "db upgrade").exit_code == 0


def test_a_change_of_keys_that_ends_half_way_refuses_no_file(service: Service) -> None:
    installation, database = service.installation, service.services.database
    service.put(PATH, BODY)
    own = load_keyring(installation.keys_file)
    assert names(database) == all_names(own)
    # Added to the file, and not to the database.
    key = change(installation.keys_file, lambda keyring: keyring.extended())
    assert key not in names(database)
    assert run(installation, "keys report").exit_code == 0
    assert names(database) == all_names(own) | {key}
    # Removed from the file by hand, and not from the database.
    installation.keys_file.write_text(own.to_json())
    assert run(installation, "db upgrade").exit_code == 0
    added = run(installation, "keys add").output.strip()
    assert names(database) == all_names(own) | {key, added}
    assert run(installation, f"keys remove {added}").exit_code == 0
    assert names(database) == all_names(own) | {key}


def test_a_running_process_refuses_keys_that_are_not_its_databases(service: Service) -> None:
    installation, database = service.installation, service.services.database
    service.put(PATH, BODY)
    vault = service.services.vault
    watch = KeyWatch(database, vault, WORKER)
    watch.look()
    own = load_keyring(installation.keys_file)
    # Known to the database and not to this process: only the database can tell that it is another.
    key = run(installation, "keys add").output.strip()
    extended = load_keyring(installation.keys_file)
    strange = dataclasses.replace(extended, active=key, wrapping={**own.wrapping, key: b"o" * 32})
    for foreign in (Keyring.generate(), other_bytes(own), strange):
        installation.keys_file.write_text(foreign.to_json())
        with structlog.testing.capture_logs() as lines:
            watch.look()
            watch.look()
        assert [(line["event"], line["log_level"]) for line in lines] == [("keys.refused", "error")]
        assert vault.keys == tuple(own.wrapping)
        assert vault.problem
        assert service.put(PATH, BODY).status_code == 200
    installation.keys_file.write_text(extended.to_json())
    watch.look()
    assert (vault.keys, vault.problem) == (tuple(sorted(extended.wrapping)), "")
    # An older copy of the file would take the last copy of a key out of memory.
    installation.keys_file.write_text(own.to_json())
    watch.look()
    assert (vault.keys, key in vault.problem) == (tuple(sorted(extended.wrapping)), True)
    installation.keys_file.write_text(extended.to_json())
    settle(database, SETTLED_SECONDS)
    removed = run(installation, f"keys remove {key}")
    assert removed.exit_code == 0, removed.output
    watch.look()
    assert (vault.keys, vault.problem) == (tuple(own.wrapping), "")


def test_init_makes_no_keys_for_a_database_that_holds_rows(service: Service, tmp_path: Path) -> None:
    put(service.services.database)
    other = {"ACCOUNTS_KEYS_FILE": str(tmp_path / "new/keys.json"), "ACCOUNTS_CONFIG_DIR": str(tmp_path / "new/config")}
    result = CliRunner().invoke(cli.main, ("init",), env=service.installation.environment() | other)
    assert (result.exit_code, "holds rows" in result.output) == (1, True)
    assert not (tmp_path / "new").exists()


def test_init_makes_keys_for_a_database_without_rows_or_out_of_reach(tmp_path: Path, database_url: str) -> None:
    for number, url in enumerate((database_url, "postgresql+psycopg://u:p@127.0.0.1:1/d")):
        installation = Installation(tmp_path / f"i{number}", url)
        other = {
            "ACCOUNTS_KEYS_FILE": str(tmp_path / f"n{number}/k"),
            "ACCOUNTS_CONFIG_DIR": str(tmp_path / f"n{number}/c"),
        }
        result = CliRunner().invoke(cli.main, ("init",), env=installation.environment() | other)
        assert (result.exit_code, "Warning" in result.output) == (0, number == 1), result.output


def test_a_read_only_database_serves_reads_with_the_right_file_alone(
    tmp_path: Path, postgresql_url: str, emptied_postgres: Engine
) -> None:
    installation = Installation(tmp_path / "installation", postgresql_url)
    own = load_keyring(installation.keys_file)
    with opened(postgresql_url, vault=Vault(own)) as database:
        put(database)
        clear(database)
    name = emptied_postgres.url.database
    try:
        with emptied_postgres.begin() as connection:
            connection.exec_driver_sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        with structlog.testing.capture_logs() as lines:
            app.rehearse(installation.settings())
        assert [line["event"] for line in lines if line["event"].startswith("keys.")] == ["keys.not_recorded"]
        installation.keys_file.write_text(Keyring.generate().to_json())
        with pytest.raises(ForeignKeysFileError):
            app.rehearse(installation.settings())
    finally:
        with emptied_postgres.begin() as connection:
            connection.exec_driver_sql("SET TRANSACTION READ WRITE")
            connection.exec_driver_sql(f"ALTER DATABASE {name} RESET default_transaction_read_only")


def test_of_two_keys_files_at_once_one_is_adopted(database_url: str) -> None:
    keyrings = [Keyring.generate(), Keyring.generate()]
    together = threading.Barrier(len(keyrings))

    def first_write(keyring: Keyring) -> bool:
        with opened(database_url, vault=Vault(keyring)) as database:
            together.wait(60)
            try:
                put(database, Key("email", keyring.active))
            except RefusedError:
                return False
            return True

    with ThreadPoolExecutor() as pool:
        adopted = [keyring for keyring, well in zip(keyrings, pool.map(first_write, keyrings), strict=True) if well]
    assert len(adopted) == 1
    with opened(database_url, vault=Vault(adopted[0])) as database:
        assert names(database) == all_names(adopted[0])
        assert [row.name for row in rows(database, ACCOUNT)] == [adopted[0].active]


def test_doctor_names_a_key_that_an_older_file_lacks(service: Service) -> None:
    """The older file passes for one of this database's, and the next start would lose the key."""
    installation, database = service.installation, service.services.database
    former = installation.keys_file.read_text()
    run(installation, "keys add")
    later = load_keyring(installation.keys_file)
    (lacking,) = later.wrapping.keys() - {later.active}
    with opened(installation.database_url, vault=Vault(later)) as with_later:
        with_later.record_keys()
    path = installation.keys_file
    assert run(installation, "doctor").output.count("ok   keys: ") == 2
    path.write_text(former)
    found = f"keys: {path} lacks {lacking}, which 'keys remove' has not removed"
    assert f"warn {found} -> put the key back" in run(installation, "doctor").output
    with database.transaction(Processes, Author("realm", "somebody", "")) as processes:
        processes.report(Process("1", WORKER, "here", 4711, (later.active, lacking), lacking))
    result = run(installation, "doctor")
    assert f"FAIL {found}: only worker 4711 on here can be seen to hold it -> restore" in result.output
    assert result.exit_code == 1
