"""Fixtures of all tests. A test that takes `service` or `installation` runs on both databases."""

from __future__ import annotations

import gc
import os
import shutil
import uuid
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import settings as hypothesis_settings
from sqlalchemy import Engine, create_engine, insert, make_url, text

from accounts_service.families.wavefront.tables import GROUP, SYSTEM_GROUPS
from accounts_service.storage import migrations
from accounts_service.storage.database import SqliteDatabase, open_database
from accounts_service.storage.sealed import Keyring, Vault
from accounts_service.storage.tables import METADATA
from tests.support import once
from tests.support.installation import Installation
from tests.support.needs import missing
from tests.support.postgres import VARIABLE, PostgresServer
from tests.support.served import Served
from tests.support.service import Service

# `--cases`, and the line that sums recorded cases up.
pytest_plugins = ("tests.conformance.plugin",)

# No timed assertions, and Hypothesis's deadline is one. The suite judges a change, so it draws the same
# examples every time; what nobody has thought of yet is for `make prove`, which draws new ones, and more.
EXAMPLES = int(os.environ.get("ACCOUNTS_TEST_EXAMPLES", "0"))
hypothesis_settings.register_profile("suite", deadline=None, print_blob=True, derandomize=True)
hypothesis_settings.register_profile("prove", deadline=None, print_blob=True, max_examples=EXAMPLES or 100)
hypothesis_settings.load_profile("prove" if EXAMPLES else "suite")

once.install()

# Files whose tests wait for what they start for most of their time.
_LONGEST = ("test_guides", "test_readme", "test_jobs", "test_docs_page", "test_adding_a_family", "test_keys")

_SERVER = pytest.StashKey[PostgresServer]()


def pytest_configure(config: pytest.Config) -> None:
    """Start PostgreSQL once, in the process that all test processes descend from."""
    config.addinivalue_line("markers", "proof: scaled by ACCOUNTS_TEST_SCALE; see tests/support/scale.py")
    config.addinivalue_line("markers", "any_database: what is tested does not depend on the database; SQLite will do")
    config.addinivalue_line("markers", "needs(program): needs a program of the system; see tests/support/needs.py")
    if missing() and os.environ.get("CI"):
        raise pytest.UsageError(f"this must not be left out: {', '.join(missing().values())}")
    if not hasattr(config, "workerinput") and VARIABLE not in os.environ and not config.option.collectonly:
        config.stash[_SERVER] = PostgresServer()
        os.environ[VARIABLE] = config.stash[_SERVER].url


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test on each database, or on SQLite alone where it is marked `any_database`."""
    chosen = any("database_url" in mark.args[0] for mark in metafunc.definition.iter_markers("parametrize"))
    if "database_url" in metafunc.fixturenames and not chosen:
        any_will_do = metafunc.definition.get_closest_marker("any_database") is not None
        kinds = ("sqlite",) if any_will_do else ("sqlite", "postgresql")
        metafunc.parametrize("database_url", kinds, indirect=True)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the garbage collector away from what collection makes: thousands of tests, which stay until the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs a program of the system that is not here; begin with what waits longest."""
    absent = missing()
    left_out = [item for item in items if any(mark.args[0] in absent for mark in item.iter_markers("needs"))]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    # So that the others run meanwhile, and none of these is left for the end, when nobody else has anything to do.
    items.sort(key=lambda item: not item.path.stem.startswith(_LONGEST))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was left out, and how to get it."""
    for program, way in missing().items():
        terminalreporter.write_line(f"left out: the tests that need {program}; to run them: {way}")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop what was started."""
    if _SERVER in config.stash:
        del os.environ[VARIABLE]
        config.stash[_SERVER].stop()


@pytest.fixture(autouse=True)
def plain_logs() -> Iterator[None]:
    """Undo what a test has configured of logs, as each command that it runs in this process does."""
    yield
    structlog.reset_defaults()


def _vault() -> Vault:
    return Vault(Keyring.generate())


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a migrated, empty SQLite file, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "accounts.db"
    SqliteDatabase.create(path)
    database = open_database(f"sqlite:///{path}", _vault())
    migrations.upgrade(database)
    database.dispose()
    return path


@pytest.fixture
def sqlite_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    """Give an empty SQLite database of this test's own."""
    return f"sqlite:///{shutil.copy(migrated_sqlite, tmp_path / 'accounts.db')}"


@pytest.fixture(scope="session")
def new_postgres_database() -> Iterator[Callable[[], str]]:
    """Make empty databases, dropped at the end."""
    server = make_url(os.environ[VARIABLE])
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    made: list[str] = []

    def make() -> str:
        name = f"accounts_test_{uuid.uuid4().hex[:12]}"
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        made.append(name)
        return server.set(database=name).render_as_string(hide_password=False)

    yield make
    with engine.connect() as connection:
        for name in made:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


@pytest.fixture(scope="session")
def migrated_postgres(new_postgres_database: Callable[[], str]) -> str:
    """Give a migrated PostgreSQL database of this test process."""
    url = new_postgres_database()
    database = open_database(url, _vault())
    migrations.upgrade(database)
    database.dispose()
    return url


@pytest.fixture(scope="session")
def emptied_postgres(migrated_postgres: str) -> Iterator[Engine]:
    """Give what empties the PostgreSQL database of this test process."""
    engine = create_engine(migrated_postgres)
    yield engine
    engine.dispose()


# Bytes, the catalogue's 7 MB included.
_LARGE = 12_000_000


@pytest.fixture
def postgresql_url(migrated_postgres: str, emptied_postgres: Engine) -> str:
    """Give an empty PostgreSQL database; the tests of one process share it, one after the other."""
    with emptied_postgres.begin() as connection:
        # For a handful of rows a tenth of what TRUNCATE takes, which makes new files for every table and index. What is
        # deleted stays in the way of who reads, though, till it is too much.
        size = connection.exec_driver_sql(
            "SELECT sum(pg_relation_size(oid)) FROM pg_class WHERE relkind = 'r'"
        ).scalar_one()
        if size > _LARGE:
            connection.exec_driver_sql(f"TRUNCATE {', '.join(METADATA.tables)}")
        connection.exec_driver_sql("; ".join(str(table.delete()) for table in reversed(METADATA.sorted_tables)))
        # Counts are no part of the accounts, and have other metadata.
        connection.exec_driver_sql(
            "DELETE FROM attempt; DELETE FROM tally; DELETE FROM log_in_failure; DELETE FROM known_network"
        )
        connection.exec_driver_sql("SELECT setval(oid::regclass, 1, false) FROM pg_class WHERE relkind = 'S'")
        connection.execute(insert(GROUP), SYSTEM_GROUPS)  # As the migration leaves them.
    return migrated_postgres


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> str:
    """Give an empty, migrated database of each kind."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def installation(request: pytest.FixtureRequest, tmp_path: Path, database_url: str) -> Installation:
    """Return an installation that knows all personas, on each database, which has the check values of its keys."""
    installation = Installation(tmp_path / "installation", database_url)
    is_sqlite = database_url.startswith("sqlite:")
    installation.record_keys(None if is_sqlite else request.getfixturevalue("emptied_postgres"))
    return installation


@pytest.fixture
def service(installation: Installation) -> Iterator[Service]:
    """Give the service in this process, on each database."""
    service = Service(installation)
    yield service
    service.close()


@pytest.fixture
def served(installation: Installation, socket_enabled: None) -> Iterator[Served]:  # noqa: ARG001  # it opens sockets by being there
    """Give the service behind gunicorn with two workers, on each database."""
    with Served(installation) as server:
        yield server
