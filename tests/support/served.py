"""The service as it is run: `accounts-service serve` in processes of its own, over real connections."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.support import personas
from tests.support.canary import Canaries
from tests.support.forking import Forked, fork
from tests.support.installation import Installation

COMMAND = Path(sys.executable).with_name("accounts-service")

_START_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _is_for_jobs(pid: int) -> bool:
    try:
        return b"\0jobs\0" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):  # Gone, or gone while it was read.
        return False


class Served:
    """A running server; use as a context manager. Standard error goes to `log`."""

    process: Forked | subprocess.Popen[bytes]

    def __init__(self, installation: Installation, **settings: str) -> None:
        self.installation = installation
        self.log = installation.folder / "serve.log"
        self._environment = installation.environment(**settings)
        self.port = 0
        self._sent = Canaries()

    def __enter__(self) -> Self:
        self.log.touch()
        start = self.log.stat().st_size
        self.process = self._start()
        deadline = time.monotonic() + _START_SECONDS
        while True:
            text = self.log.read_text()[start:]
            listening = re.search(r"Listening at: (?:http://127\.0\.0\.1:(\d+)|unix:\S+)", text)
            workers = text.count("Booting worker")
            if listening and workers >= int(self._environment.get("ACCOUNTS_WORKERS", "2")):
                self.port = int(listening[1] or 0)
                return self
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.process.kill()
                self.process.wait()
                raise AssertionError(f"the server did not start:\n{text}")
            time.sleep(0.05)

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            # How it ends by itself takes seconds, and tests of their own are about it.
            children = self._children()
            self.process.kill()
            for pid in children:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait()
        # Whatever a test is about: of the secrets that it has sent none is in the log.
        assert self._sent.found_in(self.log.read_bytes()) == set()

    def end(self) -> None:
        """End it as who runs it does: what it has begun is done."""
        os.kill(self.process.pid, signal.SIGTERM)
        self.process.wait(timeout=60)

    def _start(self) -> Forked | subprocess.Popen[bytes]:
        return fork(["serve"], self._environment, self.installation.folder, self.log)

    def workers(self) -> list[int]:
        """Name the worker processes."""
        return [pid for pid in self._children() if not _is_for_jobs(pid)]

    def jobs(self) -> list[int]:
        """Name the jobs processes that the server has started."""
        return [pid for pid in self._children() if _is_for_jobs(pid)]

    def _children(self) -> list[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def connect(self) -> http.client.HTTPConnection:
        """Open a connection."""
        bind = self._environment["ACCOUNTS_BIND"]
        if bind.startswith("unix:"):
            return UnixConnection(bind.removeprefix("unix:"))
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def ask(
        self,
        method: str,
        path: str,
        *,
        by: str | None = "admin",
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        body: object = None,
    ) -> Answer:
        """Send one request on a connection of its own. A `body` that is no bytes is sent as JSON.

        Headers given as pairs may repeat a name.
        """
        pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
        if by is not None:
            pairs += personas.authorization(by).items()
        self._sent.know_all_of(pairs, body)
        raw = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        if raw is not None:
            pairs.append(("Content-Length", str(len(raw))))
            if not any(name.lower() == "content-type" for name, _ in pairs):
                pairs.append(("Content-Type", "application/json"))
        connection = self.connect()
        try:
            connection.putrequest(method, path)
            for name, value in pairs:
                connection.putheader(name, value)
            connection.endheaders(raw)
            response = connection.getresponse()
            return Answer(response.status, response.msg, response.read())
        finally:
            connection.close()


class Commanded(Served):
    """A server that was started by its command, for what is about the process."""

    process: subprocess.Popen[bytes]

    def _start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [COMMAND, "serve"],
                env=self._environment,
                cwd=self.installation.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
