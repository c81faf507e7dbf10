"""The service as it is run: gunicorn, two workers, real connections."""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
import structlog
from click.testing import CliRunner

from accounts_service import cli
from accounts_service.families.signals import examples
from accounts_service.server import wait_for_port
from accounts_service.storage.sealed import Keyring
from tests.support import personas
from tests.support.installation import Installation
from tests.support.served import COMMAND, Served, UnixConnection
from tests.test_keys import rotate

EMAIL = "/_signals/account/email/default"
CANARY = "canary-4f1c8e-of-a-secret"
SECRET = {"host": "h", "port": 25, "user": "u", "password": CANARY}

_PATIENCE_SECONDS = 60


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Wait until `condition` holds; how long it takes is no matter here."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def on_every_worker(served: Served, ask: Callable[[http.client.HTTPConnection], int]) -> dict[int, int]:
    """Ask each worker, told apart by which process holds the other end; gives the statuses by pid.

    The kernel spreads connections as it likes, so connections are opened until
    every worker has had one.
    """
    statuses: dict[int, int] = {}
    workers = set(served.workers())
    for _ in range(400):
        connection = served.connect()
        try:
            connection.connect()
            status = ask(connection)
            pid = _holder(served, connection)
            if pid is not None:
                statuses[pid] = status
        finally:
            connection.close()
        if statuses.keys() == workers:
            return statuses
    raise AssertionError(f"only {statuses.keys()} of {workers} answered")


def _holder(served: Served, connection: http.client.HTTPConnection) -> int | None:
    port = connection.sock.getsockname()[1]
    wanted = f"0100007F:{served.port:04X} 0100007F:{port:04X} 01"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inodes = [line[9] for line in lines if f"{line[1]} {line[2]} {line[3]}" == wanted]
    for pid in served.workers():
        for link in Path(f"/proc/{pid}/fd").iterdir():
            try:
                if inodes and str(link.readlink()) == f"socket:[{inodes[0]}]":
                    return pid
            except FileNotFoundError:
                continue
    return None


def reading(by: str) -> Callable[[http.client.HTTPConnection], int]:
    """Read the account as a persona; gives the status."""

    def read(connection: http.client.HTTPConnection) -> int:
        connection.request("GET", EMAIL, headers={**personas.authorization(by), "Connection": "keep-alive"})
        response = connection.getresponse()
        response.read()
        return response.status

    return read


def test_an_account_is_stored_over_http(served: Served) -> None:
    assert served.ask("PUT", EMAIL, body=examples.GOOD["email"]).status == 201
    assert served.ask("PUT", EMAIL, body=examples.GOOD["email"]).status == 200
    assert served.ask("GET", EMAIL).json["_version"] == 2
    assert served.ask("PUT", EMAIL, body=b"x", headers={"Content-Type": "text/plain"}).status == 415
    assert served.ask("PUT", EMAIL, body=examples.GOOD["email"], by="stranger").status == 403
    assert served.ask("PUT", EMAIL, body=examples.GOOD["email"], by="excluded").status == 403
    assert served.ask("PUT", EMAIL, by="admin", headers={"Content-Length": "0"}).status == 415
    assert served.ask("GET", "/readyz", by=None).json == {"status": "ok"}


def test_a_revoked_role_stops_working_on_every_worker(served: Served) -> None:
    served.ask("PUT", EMAIL, body=examples.GOOD["email"])
    assert set(on_every_worker(served, reading("reader")).values()) == {200}
    served.installation.write("sg_roles_mapping.yml", {"SGS_ALL_ACCESS": {"users": ["admin"]}})
    # The promise, two seconds: one of quiet, one between two looks.
    time.sleep(2)
    assert set(on_every_worker(served, reading("reader")).values()) == {403}
    assert set(on_every_worker(served, reading("admin")).values()) == {200}


def test_a_broken_file_changes_nothing_for_running_and_for_restarted_workers(served: Served) -> None:
    served.ask("PUT", EMAIL, body=examples.GOOD["email"])
    served.installation.write("sg_roles.yml", "reader: [broken\n")

    def refused() -> bool:
        served.ask("GET", EMAIL)  # A worker looks when it is asked.
        return "configuration.refused" in served.log.read_text()

    wait_for(refused, "a refusal")
    assert set(on_every_worker(served, reading("reader")).values()) == {200}
    before = set(served.workers())
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: len(set(served.workers()) - before) == 2, "new workers")
    wait_for(
        lambda: served.log.read_text().count("configuration.last_good_used") >= 2, "both started from the last good"
    )
    assert set(on_every_worker(served, reading("reader")).values()) == {200}
    assert set(on_every_worker(served, reading("stranger")).values()) == {403}
    assert served.ask("GET", "/readyz").json["parts"]["configuration"]["ok"] is False
    served.installation.write("sg_roles.yml", {"reader": {}})
    time.sleep(2)
    assert set(on_every_worker(served, reading("reader")).values()) == {403}


def test_a_secret_is_found_in_no_file_no_log_and_no_answer_without_reveal(served: Served) -> None:
    secrets = {"password": f"{CANARY}-1", "proxy_password": f"{CANARY}-2"}
    good = {"host": "h", "port": 25, "user": "u", **secrets}
    answers = [
        served.ask("PUT", EMAIL, body=good),
        served.ask("PUT", EMAIL, body={**good, "host": {}, "port": 0}),
        served.ask("PUT", EMAIL, body={**good, "password": {"x": CANARY}, "proxy_password": [CANARY]}),
        served.ask("PUT", EMAIL, body=f'{{"password": "{CANARY}" "x"'.encode()),
        served.ask("PUT", EMAIL, body=f'{{"password": "{CANARY}", "password": "{CANARY}"}}'.encode()),
        served.ask("PUT", "/_signals/account/slack/x", body={"url": f"https:// {CANARY}"}),
        served.ask("PUT", "/_signals/account/slack/x", body={"url": f"https://{CANARY}.example/x"}),
        served.ask("GET", EMAIL, by="manager"),
        served.ask("GET", "/_signals/account/slack/x", by="reader"),
        served.ask("DELETE", EMAIL),
    ]
    assert [answer.status for answer in answers] == [201, 400, 400, 400, 400, 400, 201, 200, 200, 200]
    for answer in answers:
        assert CANARY.encode() not in answer.body
    for path in served.installation.folder.parent.rglob("*"):
        if path.is_file():
            assert CANARY.encode() not in path.read_bytes(), path
    assert "password-of-" not in served.log.read_text()


def test_a_mapped_header_that_comes_twice_is_nobody(tmp_path: Path, sqlite_url: str, socket_enabled: None) -> None:
    del socket_enabled
    authc = {
        "auth_domains": [
            {
                "type": "trusted_origin",
                "user_mapping.user_name.from": "request.headers.x-proxy-user",
                "user_mapping.roles.from_comma_separated_string": "request.headers.x-proxy-roles",
            }
        ],
        "network": {"trusted_proxies": "127.0.0.0/8"},
    }
    files = personas.configuration() | {
        "sg_authc.yml": authc,
        "sg_roles_mapping.yml": {"manager": {"backend_roles": ["managers"]}},
    }
    with Served(Installation(tmp_path / "installation", sqlite_url, files), ACCOUNTS_WORKERS="1") as served:

        def put(*headers: tuple[str, str]) -> int:
            return served.ask("PUT", EMAIL, by=None, body=examples.GOOD["email"], headers=headers).status

        assert put(("X-Proxy-User", "ann"), ("X-Proxy-Roles", "managers, others")) == 201
        assert put(("X-Proxy-User", "ann"), ("X-Proxy-Roles", "others")) == 403
        assert put(("X-Proxy-User", "ann"), ("X-Proxy-User", "ann"), ("X-Proxy-Roles", "managers")) == 401
        assert put(("X-Proxy-User", "ann,bob"), ("X-Proxy-Roles", "managers")) == 401
        assert put(("X-Proxy-User", "ann"), ("X-Proxy-Roles", "others"), ("x-proxy-roles", "managers")) == 401
        assert put(("X_Proxy_User", "ann"), ("X-Proxy-Roles", "managers")) == 401
        assert put(("X-Proxy-Roles", "managers")) == 401
        # The mark itself cannot be forged away, and forging it shuts out only its sender.
        twice = (("X-Proxy-User", "ann"), ("X-Proxy-User", "eve"), ("X-Proxy-Roles", "managers"))
        assert put(*twice, ("X-Accounts-Repeated", "")) == 401
        assert (
            put(("X-Proxy-User", "ann"), ("X-Proxy-Roles", "managers"), ("X-Accounts-Repeated", "x-proxy-user")) == 200
        )


def test_over_a_unix_socket_the_kernel_says_who_the_proxy_is(
    tmp_path: Path, sqlite_url: str, socket_enabled: None
) -> None:
    del socket_enabled
    authc = {
        "auth_domains": [
            {"type": "trusted_origin", "user_mapping": {"user_name": {"from": "request.headers.x-proxy-user"}}}
        ]
    }
    files = personas.configuration() | {"sg_authc.yml": authc, "sg_roles_mapping.yml": {"manager": {"users": ["ann"]}}}
    installation = Installation(tmp_path / "installation", sqlite_url, files)
    path = tmp_path / "s"
    for trusted, status in ((str(os.getuid()), 201), ("65533", 401)):
        settings = {"ACCOUNTS_BIND": f"unix:{path}", "ACCOUNTS_TRUSTED_SOCKET_USERS": trusted, "ACCOUNTS_WORKERS": "1"}
        with Served(installation, **settings) as served:
            headers = {"X-Proxy-User": "ann", "X-Forwarded-For": "192.0.2.1"}
            answer = served.ask("PUT", EMAIL, by=None, body=examples.GOOD["email"], headers=headers)
            assert answer.status == status
            assert path.stat().st_mode & 0o777 == 0o660


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path) -> Iterator[Served]:
    """Give a server for what is answered before any database is asked; its tests share it, and store nothing."""
    folder = tmp_path_factory.mktemp("front")
    url = f"sqlite:///{shutil.copy(migrated_sqlite, folder / 'accounts.db')}"
    with Served(Installation(folder / "installation", url)) as served:
        yield served


@pytest.mark.usefixtures("socket_enabled")
@pytest.mark.parametrize(
    "raw",
    (
        b"PUT %s HTTP/1.1\r\nHost: h\r\nHost: i\r\nContent-Length: 0\r\n\r\n",
        b"PUT %s HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"PUT %s HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"PUT %s HTTP/1.1\nHost: h\n\n",
    ),
)
def test_odd_framing_is_refused_and_read_as_one_request_at_most(front: Served, raw: bytes) -> None:
    with socket.create_connection(("127.0.0.1", front.port), timeout=10) as connection:
        connection.sendall(raw % EMAIL.encode() + b"GET /livez HTTP/1.1\r\nHost: h\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 4")
    assert b'"status":"ok"' not in answer


@pytest.mark.usefixtures("socket_enabled")
@pytest.mark.parametrize(
    ("framing", "reason"),
    (
        (b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n", b"not well framed"),
        (b'Transfer-Encoding: chunked\r\n\r\n5\r\n{"hosXX\r\n0\r\n\r\n', b"not well framed"),
        (b'Content-Length: 500\r\n\r\n{"host": "h", "port": 25}', b"ended early"),
    ),
)
def test_a_body_that_is_not_whole_is_400_and_not_acted_on(front: Served, framing: bytes, reason: bytes) -> None:
    name, value = next(iter(personas.authorization("admin").items()))
    head = f"PUT {EMAIL} HTTP/1.1\r\nHost: h\r\n{name}: {value}\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", front.port), timeout=10) as connection:
        connection.sendall(head.encode() + framing)
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 400"), answer
    assert reason in answer
    assert front.ask("GET", EMAIL).status == 404


def test_a_log_that_takes_no_lines_decides_no_answer(tmp_path: Path, sqlite_url: str, socket_enabled: None) -> None:
    del socket_enabled
    installation = Installation(tmp_path / "installation", sqlite_url)
    path = tmp_path / "s"
    environment = installation.environment(ACCOUNTS_BIND=f"unix:{path}", ACCOUNTS_WORKERS="1")
    with Path("/dev/full").open("wb") as full:
        process = subprocess.Popen([COMMAND, "serve"], env=environment, stdout=full, stderr=full)
    try:
        wait_for(path.exists, "a socket")
        answers = []
        for _ in range(3):
            connection = UnixConnection(str(path))
            body = json.dumps(examples.GOOD["email"])
            headers = {**personas.authorization("admin"), "Content-Type": "application/json"}
            connection.request("PUT", EMAIL, body=body, headers=headers)
            answers.append(json.loads(connection.getresponse().read())["_version"])
            connection.close()
        assert answers == [1, 2, 3]
    finally:
        process.terminate()
        process.wait(30)


def test_a_log_that_nobody_reads_keeps_no_caller_waiting(tmp_path: Path, sqlite_url: str, socket_enabled: None) -> None:
    """The pipe is full from the start. Requests, a killed worker and the end go on, and lost lines are counted."""
    del socket_enabled
    installation = Installation(tmp_path / "installation", sqlite_url)
    path = tmp_path / "s"
    environment = installation.environment(ACCOUNTS_BIND=f"unix:{path}", ACCOUNTS_WORKERS="1")
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 1024 * 1024)
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, b"#" * 4096)
    os.set_blocking(writer, True)
    process = subprocess.Popen([COMMAND, "serve"], env=environment, stdout=writer, stderr=writer)
    os.close(writer)
    try:
        wait_for(path.exists, "a socket")

        def asks(body: object) -> int:
            with closing(UnixConnection(str(path))) as connection:
                headers = {**personas.authorization("admin"), "Content-Type": "application/json"}
                connection.request("PUT", EMAIL, body=json.dumps(body), headers=headers)
                return connection.getresponse().status

        assert [asks(examples.GOOD["email"]) for _ in range(3)] == [201, 200, 200]
        os.read(reader, 512 * 1024)
        assert asks(examples.GOOD["email"]) == 200
        process.terminate()
        assert process.wait(_PATIENCE_SECONDS) == 0
        with open(reader, "rb") as rest:  # noqa: PTH123  # not a path
            lines = [json.loads(line) for line in rest.read().lstrip(b"#").splitlines() if line.startswith(b"{")]
    finally:
        process.kill()
        process.wait()
    assert [line["lines"] for line in lines if line["event"] == "log.lines_lost"][0] >= 3  # noqa: RUF015  # at least one
    assert lines[-1]["event"] == "request"


def test_what_is_wrong_with_an_installation_is_told_on_one_screen(tmp_path: Path, sqlite_url: str) -> None:
    installation = Installation(tmp_path / "installation", sqlite_url)

    def start(**settings: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [COMMAND, "serve"],
            env=installation.environment(**settings),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    unknown = start(ACCOUNTS_WROKERS="3", ACCOUNTS_THREADS="many")
    assert unknown.returncode == 1
    assert "ACCOUNTS_WROKERS is not a setting" in unknown.stderr
    assert "ACCOUNTS_THREADS must be a whole number" in unknown.stderr
    nobody = start(ACCOUNTS_TRUSTED_SOCKET_USERS="no-such-user-here")
    assert (nobody.returncode, "no-such-user-here" in nobody.stderr) == (1, True)
    installation.write("sg_roles.yml", "a: {foo: 1, cluster_permissions: ['/(/']}")
    broken = start()
    assert broken.returncode == 1
    assert "a.foo: Unsupported attribute" in broken.stderr
    assert "a.cluster_permissions.0: Invalid value" in broken.stderr
    installation.write("sg_roles.yml", {})
    installation.keys_file.chmod(0o644)
    assert "chmod 600" in start().stderr
    installation.keys_file.chmod(0o600)
    empty = tmp_path / "empty.db"
    sqlite3.connect(empty).close()
    assert "accounts-service db upgrade" in start(ACCOUNTS_DATABASE_URL=f"sqlite:///{empty}").stderr


@pytest.mark.usefixtures("socket_enabled")
@pytest.mark.parametrize(("length", "status"), ((16 * 1024 - 7, 401), (20 * 1024, 431)))
def test_a_token_may_be_as_long_as_one_is_read(front: Served, length: int, status: int) -> None:
    answer = front.ask("GET", EMAIL, by=None, headers={"Authorization": "Bearer " + "a" * length})
    assert answer.status == status


def test_a_killed_worker_comes_back_without_keys_configuration_or_database(
    installation: Installation, socket_enabled: None
) -> None:
    """What is broken or gone since the start ends no master, and neither does a reload."""
    del socket_enabled
    with Served(installation) as served:
        assert served.ask("PUT", EMAIL, body=SECRET).status == 201
        # A key that became active after the start is in the master's memory, too.
        rotate(installation)
        wait_for(lambda: served.log.read_text().count("keys.changed") >= 3, "the master and both workers have seen it")
        path, database = installation.keys_file, Path(installation.database_url.removeprefix("sqlite:///"))
        last_good = installation.settings().last_good_dir / "snapshot.json"
        wait_for(last_good.exists, "the last good configuration")
        aside = path.with_name("aside")
        path.rename(aside)
        # By a worker that has seen it: the master looks as often.
        wait_for(lambda: served.log.read_text().count("keys.refused") >= 3, "all have seen that it is gone")
        last_good.unlink()
        installation.write("sg_roles.yml", "reader: [broken\n")
        replace_worker(served)
        assert set(on_every_worker(served, reading("admin")).values()) == {200}
        assert served.ask("GET", EMAIL).json["_source"]["password"] == CANARY
        assert served.ask("PUT", EMAIL, body=SECRET).status == 200
        assert "only in memory" in keys_of(served)
        assert "keys exist only in the memory" in examined(installation)
        before = set(served.workers())
        os.kill(served.process.pid, signal.SIGHUP)
        wait_for(lambda: len(set(served.workers()) - before) == 2 and not set(served.workers()) & before, "new workers")
        assert served.ask("GET", EMAIL).status == 200
        # Another installation's file is not taken either.
        path.touch(0o600)
        path.write_text(Keyring.generate().to_json())
        replace_worker(served)
        assert served.ask("GET", EMAIL).json["_source"]["password"] == CANARY
        aside.replace(path)
        wait_for(lambda: keys_of(served) == "the keys file can be read", "the keys file is back")
        assert "keys exist only in the memory" not in examined(installation)
        if database.exists():
            database.rename(database.with_name("away"))
            replace_worker(served)
            assert served.ask("GET", EMAIL).status == 503
            database.with_name("away").rename(database)
            assert set(on_every_worker(served, reading("admin")).values()) == {200}


def keys_of(served: Served) -> str:
    """Return what /readyz says about the keys."""
    return str(served.ask("GET", "/readyz").json["parts"]["keys"]["detail"])


def replace_worker(served: Served) -> None:
    """Kill a worker, and wait for another in its place."""
    before, lines = set(served.workers()), served.log.read_text().count("Booting worker")
    os.kill(min(before), signal.SIGKILL)
    wait_for(lambda: served.log.read_text().count("Booting worker") > lines, "a new worker")
    wait_for(lambda: len(set(served.workers())) == 2 and set(served.workers()) != before, "two workers")


def is_gone(pid: int) -> bool:
    """Return whether a process has ended, whether or not its parent knows."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("Z")
    except FileNotFoundError:
        return True


def examined(installation: Installation) -> str:
    """Run `doctor`."""
    return CliRunner().invoke(cli.main, ("doctor",), env=installation.environment()).output


@pytest.mark.any_database
def test_workers_leave_with_their_master_and_the_next_server_waits_for_the_port(
    installation: Installation, socket_enabled: None
) -> None:
    del socket_enabled
    with Served(installation, ACCOUNTS_WORKERS="1") as served:
        # A request that is under way kept the worker, and the port, for 30 s.
        with socket.create_connection(("127.0.0.1", served.port)) as half:
            half.sendall(b"PUT /_signals/account/email/x HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n{")
            (worker,) = served.workers()
            os.kill(served.process.pid, signal.SIGKILL)
            with Served(installation, ACCOUNTS_WORKERS="1", ACCOUNTS_BIND=f"127.0.0.1:{served.port}") as next_one:
                assert is_gone(worker)
                assert next_one.ask("GET", "/livez", by=None).status == 200
        assert "worker.lost_master" in served.log.read_text()


@pytest.mark.usefixtures("socket_enabled")
@pytest.mark.parametrize("family", (socket.AF_INET, socket.AF_UNIX))
def test_a_server_says_that_it_waits_for_its_port_and_goes_on_when_it_is_free(
    tmp_path: Path, family: socket.AddressFamily
) -> None:
    """A second server on a unix socket would take it from the first, and remove it at its end."""
    with socket.socket(family) as holder, structlog.testing.capture_logs() as lines:
        holder.bind(("127.0.0.1", 0) if family is socket.AF_INET else str(tmp_path / "s"))
        holder.listen()
        bind = f"127.0.0.1:{holder.getsockname()[1]}" if family is socket.AF_INET else f"unix:{tmp_path / 's'}"
        waiting = threading.Thread(target=wait_for_port, args=(bind,))
        waiting.start()
        wait_for(lambda: bool(lines), "a line of the log")
        assert waiting.is_alive()
        holder.close()
        waiting.join(_PATIENCE_SECONDS)
        assert not waiting.is_alive()
    assert [(line["event"], line["address"]) for line in lines] == [("serve.waiting_for_port", bind)]
    with pytest.raises(SystemExit, match="that is not a socket"):
        wait_for_port(f"unix:{tmp_path}")
