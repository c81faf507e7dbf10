"""The schema's history, on both databases."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from accounts_service import app
from accounts_service.families.signals.store.accounts import Document, Key
from accounts_service.families.signals.tables import ACCOUNT_TERM
from accounts_service.faults import Overloaded, RefusedError
from accounts_service.storage import migrations
from accounts_service.storage.database import Database
from accounts_service.storage.migrations import SchemaMismatchError
from accounts_service.storage.tables import METADATA
from tests.storage.kit import opened, put, rows, sqlite
from tests.support.installation import Installation
from tests.support.service import Service


@pytest.fixture
def empty(empty_url: str) -> Iterator[Database]:
    with opened(empty_url) as database:
        yield database


def tables(database: Database) -> set[str]:
    with database.looking() as connection:
        return set(inspect(connection).get_table_names())


def test_there_is_one_head_and_one_base() -> None:
    script = ScriptDirectory.from_config(migrations.alembic_config())
    assert script.get_heads() == [migrations.head()]
    assert len(script.get_bases()) == 1


def test_a_release_without_its_migrations_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "versions").mkdir()
    monkeypatch.setattr(migrations, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(RuntimeError, match="no migrations"):
        migrations.head.__wrapped__()


BESIDE = ("attempt", "tally", "log_in_failure", "known_network")


def test_after_the_upgrade_the_schema_is_that_of_the_tables(empty: Database) -> None:
    assert app.FAMILIES, "all families' tables are imported"
    migrations.upgrade(empty)
    with empty.looking() as connection:
        # Counts of attempts are not a part of the accounts: they have other metadata, and on SQLite their own file.
        opts = {
            "compare_type": True,
            "compare_server_default": True,
            "include_name": lambda name, *_: name not in BESIDE,
        }
        context = MigrationContext.configure(connection, opts=opts)
        assert compare_metadata(context, METADATA) == []
        found = inspect(connection)
        for table in METADATA.sorted_tables:
            assert found.get_pk_constraint(table.name)["name"] == table.primary_key.name
            collations = {
                column["name"]: getattr(column["type"], "collation", None) for column in found.get_columns(table.name)
            }
            if connection.dialect.name == "postgresql":
                wanted = {column.name: getattr(column.type, "collation", None) for column in table.columns}
                assert collations == wanted


def test_the_way_up_and_down_can_be_gone_again_and_again(empty: Database) -> None:
    for _ in range(2):
        migrations.upgrade(empty)
        migrations.upgrade(empty)
        migrations.require(empty)
        put(empty)
        migrations.downgrade(empty, "base")
        assert migrations.current(empty) is None
        assert tables(empty) <= {"alembic_version"}


def test_accounts_of_the_first_release_are_found_after_the_upgrade(empty_url: str, tmp_path: Path) -> None:
    attributes = {"host": "Mail.example", "port": 587, "debug": True, "default_to": ["a@b.example", "c@d.example"]}
    with opened(empty_url) as database:
        migrations.upgrade(database, "0001")
        with database.begin() as connection:
            for number in range(1001):  # More than are filled in at once.
                values = {
                    "uid": f"u{number:04}",
                    "tenant": "blue" if number % 2 else "",
                    "name": f"N{number:04}",
                    "attributes": json.dumps(attributes | ({"user": "x" * 257} if number == 7 else {})),
                }
                connection.execute(
                    text(
                        "INSERT INTO signals_account (uid, tenant, type, name, version, attributes, secrets)"
                        " VALUES (:uid, :tenant, 'email', :name, 3, :attributes, '{}')"
                    ),
                    values,
                )
        migrations.upgrade(database)
        filled = rows(database, ACCOUNT_TERM)
        # Written anew by this release, an account has the same terms.
        key = Key("email", "N0001", "blue")
        put(database, key, Document(attributes, {}, frozenset()))
        written = [tuple(row)[2:] for row in rows(database, ACCOUNT_TERM) if row.uid == "u0001"]
    assert [tuple(row)[2:] for row in filled if row.uid == "u0001"] == written
    assert {row.version for row in filled} == {3}
    assert not [row for row in filled if row.field == "user"]
    service = Service(Installation(tmp_path / "installation", empty_url))
    query = {"bool": {"must": [{"match": {"host": "mail.EXAMPLE"}}, {"term": {"default_to": "c@d.example"}}]}}
    answer = service.ask("POST", "/_signals/account/_search", json={"query": query, "sort": "port", "size": 1})
    service.close()
    assert answer.json["hits"]["total"] == {"value": 501, "relation": "eq"}
    assert answer.json["hits"]["hits"][0]["sort"] == [587]


def test_an_empty_database_is_told_to_be_upgraded(empty: Database) -> None:
    with pytest.raises(SchemaMismatchError, match=r"revision none.*accounts-service db upgrade"):
        migrations.require(empty)
    assert tables(empty) == set(), "asking changes nothing"


def test_a_missing_file_is_told_and_not_made(tmp_path: Path) -> None:
    path = tmp_path / "none.db"
    told = "there is no file: see that its disk is mounted.*db upgrade"
    with opened(f"sqlite:///{path}") as database, pytest.raises(SchemaMismatchError, match=told):
        migrations.require(database)
    assert list(tmp_path.iterdir()) == []


def test_a_revision_of_another_release_is_refused_unless_it_is_compatible(
    empty: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrations.upgrade(empty)
    with empty.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'f00d'"))
    with pytest.raises(SchemaMismatchError, match="revision f00d"):
        migrations.require(empty)
    with pytest.raises(SchemaMismatchError, match="nothing was changed"):
        migrations.upgrade(empty)
    monkeypatch.setattr(migrations, "COMPATIBLE", frozenset(("f00d",)))
    migrations.require(empty)


def test_asking_for_the_revision_leaves_no_connection_open_and_waits_for_no_writer(database_url: str) -> None:
    with opened(database_url) as database, opened(database_url) as other, other.begin():
        migrations.require(database)
        engine = getattr(database, "_engine", None) or getattr(database, "_reader", None)
        assert engine is not None
        assert engine.pool.checkedin() == 0


def test_an_upgrade_that_fails_leaves_everything_as_it_was(empty: Database) -> None:
    with empty.begin() as connection:
        # Stands in the way of the last table that is made.
        connection.execute(text("CREATE TABLE signals_account_bin (id INTEGER)"))
    with pytest.raises(Exception, match="signals_account_bin"):
        migrations.upgrade(empty)
    assert tables(empty) == {"signals_account_bin"}
    with empty.begin() as connection:
        connection.execute(text("DROP TABLE signals_account_bin"))
    migrations.upgrade(empty)


def test_two_upgrades_at_once_both_end_well(empty_url: str) -> None:
    together = threading.Barrier(3)
    failures: list[BaseException] = []

    def upgrade() -> None:
        with opened(empty_url) as database:
            together.wait(60)
            try:
                migrations.upgrade(database)
            except BaseException as error:  # noqa: BLE001  # a thread would swallow it
                failures.append(error)

    threads = [threading.Thread(target=upgrade) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with opened(empty_url) as database:
        migrations.require(database)


def test_an_upgrade_waits_for_another_but_not_for_a_table_in_use(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, str] = {}

    def step(config: object, revision: str) -> None:
        del revision
        connection = config.attributes["connection"]  # type: ignore[attr-defined]  # Alembic's Config
        for name in ("lock_timeout", "statement_timeout"):
            settings[name] = connection.execute(text(f"SHOW {name}")).scalar_one()

    monkeypatch.setattr(migrations.command, "upgrade", step)  # type: ignore[attr-defined]  # not its own name
    with opened(postgresql_url) as database:
        migrations.upgrade(database)
    assert settings == {"lock_timeout": "3s", "statement_timeout": "0"}


def test_an_upgrade_while_the_writer_is_busy_is_told_as_overload(sqlite_url: str) -> None:
    with opened(sqlite_url) as database:
        turnstile = sqlite(database)._turnstile
        turnstile._timeout = 0.02
        with turnstile.turn(), pytest.raises(RefusedError) as caught:
            migrations.upgrade(database)
        assert caught.value.fault == Overloaded()


def test_a_percent_sign_in_the_path_of_the_package_is_no_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(migrations, "__file__", str(tmp_path / "50%(here)s" / "__init__.py"))
    assert migrations.alembic_config().get_main_option("script_location") == str(tmp_path / "50%(here)s")
