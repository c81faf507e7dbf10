"""The jobs process as it is run: alone, beside another, killed again and again, and as a child of `serve`."""

from __future__ import annotations

import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import pytest
import structlog
from click.testing import CliRunner
from sqlalchemy import update

from accounts_service import cli, server
from accounts_service.faults import Json
from accounts_service.storage.database import Database, open_database
from accounts_service.storage.keys_file import FileVault, KeysFile
from accounts_service.storage.outbox import OUTBOX_MESSAGE, Message, Outbox
from accounts_service.storage.sealed import Keyring, Vault, load_keyring
from accounts_service.storage.seals import oldest_unsealed_seconds
from tests.storage.kit import AUTHOR, rows
from tests.support.forking import fork
from tests.support.installation import Installation
from tests.support.mail_server import PASSWORD, MailServer, dead_port
from tests.support.served import COMMAND, Commanded, Served
from tests.support.service import Service

CANARY = "canary-2c07-of-a-mail"
_PATIENCE_SECONDS = 60

pytestmark = pytest.mark.usefixtures("socket_enabled")


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Wait until `condition` holds; how long it takes is no matter here."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@pytest.fixture
def database(installation: Installation) -> Iterator[Database]:
    vault = Vault(load_keyring(installation.keys_file))
    database = open_database(installation.database_url, vault)
    yield database
    database.dispose()


def describe(installation: Installation, port: int, **more: Json) -> None:
    """Write the account that mails are sent through."""
    body: Json = {"host": "127.0.0.1", "port": port, "default_from": "accounts@mycompany.example", **more}
    service = Service(installation)
    assert service.put("/_signals/account/email/default", body).status_code in (200, 201)
    service.close()


def add(database: Database, count: int = 1) -> set[str]:
    """Add mails in one transaction; gives their Message-IDs."""
    with database.transaction(Outbox, AUTHOR) as outbox:
        uids = [outbox.add(Message("ann@mycompany.example", CANARY, CANARY)) for _ in range(count)]
    return {f"<{uid}@accounts-service.invalid>" for uid in uids}


def sent(postbox: MailServer) -> Counter[str]:
    return Counter(str(mail["Message-ID"]) for mail in postbox.mails)


@contextmanager
def jobs(installation: Installation, *words: str, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the command; its output goes to `jobs.log`."""
    environment = installation.environment(**{"ACCOUNTS_MAIL_ACCOUNT": "email/default", **settings})
    with (installation.folder / "jobs.log").open("ab") as log:
        process = subprocess.Popen([COMMAND, "jobs", *words], env=environment, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def log_of(installation: Installation) -> str:
    return (installation.folder / "jobs.log").read_text()


def test_once_sends_what_there_is_and_says_nothing_of_it(installation: Installation, database: Database) -> None:
    added = add(database, 3)
    with MailServer() as postbox:
        describe(installation, postbox.port, user="u@mycompany.example")
        with jobs(installation, "--once") as process:
            assert process.wait(_PATIENCE_SECONDS) == 0
    assert sent(postbox) == Counter(added)
    assert rows(database, OUTBOX_MESSAGE) == []
    log = log_of(installation)
    assert log.count("mail.delivered") == 3
    for secret in (CANARY, PASSWORD, "ann@"):
        assert secret not in log


def test_a_server_that_is_away_fails_and_delays_nothing_of_what_adds_a_mail(
    installation: Installation, database: Database
) -> None:
    with dead_port() as port:
        describe(installation, port)
        add(database, 3)
        with jobs(installation, "--once") as process:
            assert process.wait(_PATIENCE_SECONDS) == 0
    errors = [row.last_error for row in rows(database, OUTBOX_MESSAGE)]
    assert sorted(errors, key=str) == ["ConnectionRefusedError", None, None], "one connection, not three"


def test_a_mail_server_that_hangs_stops_no_seal(installation: Installation, database: Database) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        describe(installation, silent.getsockname()[1])
        add(database, 20)
        with jobs(installation) as process:
            connection, _ = silent.accept()  # And nothing is ever said.
            connection.settimeout(0)
            with connection:
                describe(installation, silent.getsockname()[1], user="u@mycompany.example")
                wait_for(lambda: oldest_unsealed_seconds(database) is None, "seals")
                with pytest.raises(BlockingIOError):
                    connection.recv(1)  # The exchange still goes on: b"" would be its end.
                process.terminate()
            assert process.wait(_PATIENCE_SECONDS) == 0


def test_without_an_account_mails_wait_and_the_log_says_why(installation: Installation, database: Database) -> None:
    add(database)
    environment = installation.environment()
    done = subprocess.run([COMMAND, "jobs", "--once"], env=environment, capture_output=True, text=True, check=True)
    assert "ACCOUNTS_MAIL_ACCOUNT is not set" in done.stderr
    assert [row.attempts for row in rows(database, OUTBOX_MESSAGE)] == [0]


def test_a_schema_of_another_release_stops_the_start(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    sqlite3.connect(path).close()
    with jobs(installation := Installation(tmp_path / "i", f"sqlite:///{path}")) as process:
        assert process.wait(_PATIENCE_SECONDS) == 1
    assert "accounts-service db upgrade" in log_of(installation)
    installation.keys_file.unlink()
    with jobs(installation) as process:
        assert process.wait(_PATIENCE_SECONDS) == 1


def test_an_outage_of_the_database_is_outlived(tmp_path: Path, sqlite_url: str) -> None:
    installation = Installation(tmp_path / "installation", sqlite_url)
    away = "postgresql+psycopg://u:hunter2@127.0.0.1:1/d"
    with jobs(installation, "--once", ACCOUNTS_DATABASE_URL=away) as process:
        assert process.wait(_PATIENCE_SECONDS) == 1
    before = log_of(installation).count("jobs.failed")
    with jobs(installation, ACCOUNTS_DATABASE_URL=away) as process:
        wait_for(lambda: log_of(installation).count("jobs.failed") >= before + 5, "tries")
        process.terminate()
        assert process.wait(_PATIENCE_SECONDS) == 0
    assert "hunter2" not in log_of(installation)


def test_told_to_end_it_ends_what_it_has_begun(tmp_path: Path, sqlite_url: str) -> None:
    installation = Installation(tmp_path / "installation", sqlite_url)
    database = open_database(sqlite_url, Vault(load_keyring(installation.keys_file)))
    add(database, 2)
    with MailServer(pause=1) as postbox:
        describe(installation, postbox.port)
        with jobs(installation) as process:
            wait_for(lambda: bool(postbox.secured), "an exchange")
            process.send_signal(signal.SIGINT)
            assert process.wait(_PATIENCE_SECONDS) == 0
    assert len(postbox.taken) == len(rows(database, OUTBOX_MESSAGE)) == 1
    database.dispose()


def test_two_processes_at_once_send_each_mail_once(installation: Installation, database: Database) -> None:
    with MailServer(pause=0.02) as postbox:
        describe(installation, postbox.port)
        added = add(database, 40)
        with jobs(installation, "--once") as one, jobs(installation, "--once") as other:
            assert (one.wait(_PATIENCE_SECONDS), other.wait(_PATIENCE_SECONDS)) == (0, 0)
    assert sent(postbox) == Counter(added)
    assert rows(database, OUTBOX_MESSAGE) == []


def test_killed_again_and_again_it_loses_no_mail(installation: Installation, database: Database) -> None:
    kills = 0
    environment = installation.environment(ACCOUNTS_MAIL_ACCOUNT="email/default")
    with MailServer(pause=0.01) as postbox:
        describe(installation, postbox.port)
        added = add(database, 45)
        while rows(database, OUTBOX_MESSAGE):
            before = len(postbox.taken)
            process = fork(["jobs"], environment, installation.folder, installation.folder / "jobs.log")

            def is_time(before: int = before) -> bool:
                return len(postbox.taken) >= before + 10 or not rows(database, OUTBOX_MESSAGE)

            wait_for(is_time, "mails")
            time.sleep(random.uniform(0, 0.02))
            process.kill()
            process.wait()
            kills += 1
            # As if the lease of who was killed had ended.
            with database.begin() as connection:
                connection.execute(update(OUTBOX_MESSAGE).values(lease_us=0))
    assert kills >= 4
    # None is lost; one that came twice came under one Message-ID.
    assert sent(postbox).keys() == added
    assert sum(sent(postbox).values()) <= len(added) + kills


def test_a_machine_without_room_for_another_process_serves_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[object] = []

    def no_room(*words: object, **_: object) -> None:
        tries.append(words)
        raise BlockingIOError

    monkeypatch.setattr(server.subprocess, "Popen", no_room)  # type: ignore[attr-defined]  # not its own name
    process = server.JobsProcess(FileVault(Keyring.generate(), KeysFile(Path("none"))))
    with structlog.testing.capture_logs() as lines:
        process.keep()
        process.keep()
        process.tell_to_end()
        process.end(time.monotonic())
    assert [line["event"] for line in lines] == ["jobs.not_started"]
    assert len(tries) == 1, "not over and over"


@pytest.mark.any_database
def test_a_jobs_process_gets_the_keys_from_the_server_and_not_from_the_file(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyring = load_keyring(installation.keys_file)
    installation.keys_file.unlink()
    started: list[tuple[list[str], bytes]] = []

    def note(command: list[str], stdin: IO[bytes]) -> None:
        started.append((command, os.read(stdin.fileno(), 100_000)))
        raise BlockingIOError

    with monkeypatch.context() as patched:
        patched.setattr(server.subprocess, "Popen", note)  # type: ignore[attr-defined]  # not its own name
        server.JobsProcess(FileVault(keyring, KeysFile(installation.keys_file))).keep()
    ((command, given),) = started
    assert Keyring.from_json(given) == keyring
    assert not any(word in given.decode() for word in command if len(word) > 10)
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # Those of the tests stay.
    words = ("jobs", "--once", "--keys-from-stdin")
    result = CliRunner().invoke(cli.main, words, env=installation.environment(), input=given)
    assert result.exit_code == 0, result.output
    assert CliRunner().invoke(cli.main, ("jobs", "--once"), env=installation.environment()).exit_code == 1


def test_a_jobs_process_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"
    started = subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE)
    assert started.stdout is not None
    with started.stdout as output:
        output.readline()
    monkeypatch.setattr(server.subprocess, "Popen", lambda *_, **__: started)  # type: ignore[attr-defined]  # imported there, not exported
    process = server.JobsProcess(FileVault(Keyring.generate(), KeysFile(Path("none"))))
    process.keep()
    process.tell_to_end()
    process.end(time.monotonic() + 0.1)
    assert started.returncode == -signal.SIGKILL


@pytest.fixture
def served_with_jobs(tmp_path: Path, sqlite_url: str) -> Iterator[Commanded]:
    installation = Installation(tmp_path / "installation", sqlite_url)
    settings = {"ACCOUNTS_WORKERS": "1", "ACCOUNTS_SERVE_JOBS": "true", "ACCOUNTS_MAIL_ACCOUNT": "email/default"}
    with Commanded(installation, **settings) as served:
        wait_for(lambda: len(served.jobs()) == 1, "a jobs process")
        yield served


def is_there(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # Gone, or gone while it was read.
        return False


def test_serve_keeps_a_jobs_process_and_takes_it_along_when_it_ends(served_with_jobs: Commanded) -> None:
    served = served_with_jobs
    (first,) = served.jobs()
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: served.jobs() not in ([], [first]), "another jobs process")
    (second,) = served.jobs()
    assert "jobs.ended" in served.log.read_text()
    # The socket that requests come by is not its own: a server that is started anew would find it taken.
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    (listening,) = (line[9] for line in lines if (line[1], line[3]) == (f"0100007F:{served.port:04X}", "0A"))

    def sockets(pid: int) -> set[str]:
        found = set()
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # It was closed since it was listed.
                found.add(str(link.readlink()))
        return found

    assert f"socket:[{listening}]" in sockets(served.workers()[0])
    assert f"socket:[{listening}]" not in sockets(second)
    # A mail goes out by it.
    database = open_database(served.installation.database_url, Vault(load_keyring(served.installation.keys_file)))
    with MailServer() as postbox:
        describe(served.installation, postbox.port)
        added = add(database)
        wait_for(lambda: not rows(database, OUTBOX_MESSAGE), "an empty outbox")
    database.dispose()
    assert sent(postbox) == Counter(added)
    # A reload is about workers.
    workers = served.workers()
    served.process.send_signal(signal.SIGHUP)
    wait_for(lambda: len(served.workers()) == 1 and served.workers() != workers, "new workers")
    assert served.jobs() == [second]
    served.process.terminate()
    assert served.process.wait(_PATIENCE_SECONDS) == 0
    assert not is_there(second)


def test_without_its_server_the_jobs_process_ends(served_with_jobs: Commanded) -> None:
    (jobs_process,) = served_with_jobs.jobs()
    served_with_jobs.process.kill()
    served_with_jobs.process.wait()
    wait_for(lambda: not is_there(jobs_process), "an end")


def test_a_server_that_is_replaced_hands_the_jobs_over(served_with_jobs: Commanded) -> None:
    served = served_with_jobs
    (old,) = served.jobs()
    (worker,) = served.workers()
    served.process.send_signal(signal.SIGUSR2)
    wait_for(lambda: len(served.workers()) == 2, "a new master")
    (master,) = set(served.workers()) - {worker}
    children = Path(f"/proc/{master}/task/{master}/children")
    wait_for(lambda: len(children.read_text().split()) == 2, "its worker and jobs process")
    served.process.terminate()
    assert served.process.wait(_PATIENCE_SECONDS) == 0
    assert not is_there(old)
    try:
        assert served.ask("GET", "/livez", by=None).status == 200
    finally:
        its_own = [int(pid) for pid in children.read_text().split()]
        os.kill(master, signal.SIGTERM)
        wait_for(lambda: not any(map(is_there, (master, *its_own))), "an end")


def test_serve_starts_none_where_jobs_run_by_themselves(served: Served) -> None:
    assert served.jobs() == []
