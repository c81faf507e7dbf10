"""gunicorn with this service's settings, and the jobs process beside its workers."""

from __future__ import annotations

import errno
import mmap
import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import structlog
from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]  # gunicorn has no types
from gunicorn.arbiter import Arbiter  # type: ignore[import-untyped]  # the same
from gunicorn.errors import HaltServer  # type: ignore[import-untyped]  # the same
from gunicorn.glogging import Logger  # type: ignore[import-untyped]  # the same
from gunicorn.util import parse_address  # type: ignore[import-untyped]  # the same

from accounts_service.access.authenticators.jwt import LONGEST_TOKEN
from accounts_service.allocator import few_arenas
from accounts_service.app import Memory, create_app
from accounts_service.config import Settings
from accounts_service.jobs.smtp import DEADLINE_SECONDS
from accounts_service.storage.keys_file import FileVault
from accounts_service.web.dispatcher import Dispatcher
from accounts_service.web.gate import REPEATED
from accounts_service.worker import Worker

log = structlog.get_logger(__name__)

# Between two starts of a jobs process, so that one that cannot run does not keep the machine busy.
_PAUSE_SECONDS = 3.0
# How long it may take to end: what it has begun, or, where the workers may end nothing either, next to nothing.
_PATIENCE_SECONDS = DEADLINE_SECONDS + 3
_IMPATIENCE_SECONDS = 2.0
# A worker whose master is gone leaves within two seconds: it looks, and lets what it has begun end.
_LOOK_SECONDS = 0.2
_GRACE_SECONDS = 1.5
# Workers of an earlier release need up to half a minute.
_PORT_SECONDS = 45.0


class Log(Logger):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's log, without what stood in a request that is none: it may be a token."""

    def warning(self, msg: str, *args: object, **kwargs: object) -> None:
        """Write a warning."""
        super().warning(msg.partition(": ")[0] if msg.startswith("Invalid request") else msg, *args, **kwargs)

    def exception(self, msg: str, *args: object, **kwargs: object) -> None:
        """Write an error; of a request without its address."""
        if msg.startswith("Error handling request"):
            super().exception("Error handling a request", **kwargs)
        else:
            super().exception(msg, *args, **kwargs)


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """`accounts-service serve`."""

    def __init__(self, settings: Settings, memory: Memory) -> None:
        self._settings = settings
        self.memory = memory
        # Shared with the workers: whether any of them has ever been ready.
        self._readiness = mmap.mmap(-1, 1)
        # For worker.py.
        self.request_seconds = settings.request_seconds
        super().__init__()

    @property
    def has_served(self) -> bool:
        """Whether a worker has ever been ready to serve."""
        return self._readiness[0] == 1

    def load_config(self) -> None:
        """Set what differs from gunicorn's defaults, each for a reason."""
        options: dict[str, Any] = {
            "bind": self._settings.bind,
            "workers": self._settings.workers,
            "worker_class": Worker,
            "threads": self._settings.threads,
            # The control socket would let anyone with this uid steer the server,
            # and fails where HOME cannot be written.
            "control_socket_disable": True,
            # No header may become SCRIPT_NAME, PATH_INFO or the scheme.
            "forwarder_headers": "",
            "forwarded_allow_ips": "",
            # gunicorn believes every peer of a unix socket; gate.came_over_tls asks whether it is a trusted proxy.
            "secure_scheme_headers": {},
            "header_map": "drop",
            # A token may be as long as its authenticator takes it, with the scheme before it.
            "limit_request_field_size": LONGEST_TOKEN + 256,
            # A connection or lock made before the fork would be shared.
            "preload_app": False,
            "umask": 0o117 if self._settings.bind.startswith("unix:") else 0o077,
            "loglevel": self._settings.log_level,
            "logger_class": Log,
            "graceful_timeout": 30,
            "pre_request": mark_repeated_headers,
            "post_fork": _leave_with_the_master,
            "post_worker_init": self._note_readiness,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Dispatcher:
        """Make the application, in the worker, which has the master's memory by the fork."""
        return create_app(self._settings, self.memory)

    def _note_readiness(self, _: object) -> None:
        self._readiness[0] = 1

    def run(self) -> None:
        """Serve until told to end."""
        few_arenas()
        wait_for_port(self._settings.bind)
        try:
            Master(self, JobsProcess(self.memory.vault) if self._settings.serve_jobs else None).run()
        except RuntimeError as error:
            sys.exit(f"Error: {error}")  # As gunicorn does.


class JobsProcess:
    """One process `accounts-service jobs`, a child of this one.

    There are no threads here, since gunicorn forks its workers from this
    process: everything is looked at when gunicorn's loop comes by.
    """

    def __init__(self, vault: FileVault) -> None:
        self._vault = vault
        self._process: subprocess.Popen[bytes] | None = None
        self._not_before = 0.0
        self._is_told = False

    def keep(self) -> None:
        """Start the process if it does not run; called every second."""
        self.look()
        if self._process is not None or time.monotonic() < self._not_before:
            return
        self._not_before = time.monotonic() + _PAUSE_SECONDS
        # -P: what lies in the working directory is no module of ours.
        command = [sys.executable, "-P", "-m", "accounts_service.cli", "jobs", "--parent", str(os.getpid())]
        try:
            # The keys go by a file that exists in memory only: arguments and environment can be read by others.
            with open(os.memfd_create("keys"), "w+", encoding="ascii") as keys:  # noqa: PTH123  # not a path
                keys.write(self._vault.keyring.to_json())
                keys.seek(0)
                # Popen closes what is inheritable: gunicorn's listening sockets are.
                self._process = subprocess.Popen([*command, "--keys-from-stdin"], stdin=keys)  # noqa: S603  # our words
        except OSError as error:
            # No memory, no process: the workers go on.
            log.error("jobs.not_started", error=type(error).__name__)

    def look(self) -> None:
        """Find out whether the process has ended."""
        if self._process is not None and self._process.poll() is not None:
            if not self._is_told:
                log.warning("jobs.ended", status=self._process.returncode)
            self._process = None

    def tell_to_end(self) -> None:
        """Ask the process to end what it has begun, and itself."""
        self._is_told = True
        if self._process is not None:
            self._process.terminate()

    def end(self, until: float) -> None:
        """Wait for the process, which was told to end, and kill it when the time is up."""
        if self._process is None:
            return
        try:
            self._process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


class Master(Arbiter):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's master, which also keeps a jobs process."""

    def __init__(self, server: Server, jobs: JobsProcess | None) -> None:
        self._server = server
        self._jobs = jobs
        self._not_before = 0.0
        super().__init__(server)

    def manage_workers(self) -> None:
        """Keep as many workers as there should be, and the jobs process. Called every second."""
        try:
            self._server.memory.look()
        except Exception as error:  # noqa: BLE001  # no file ends a master that serves
            log.error("master.not_looked", error=type(error).__name__)  # words may quote a file
        super().manage_workers()
        if self._jobs is not None:
            self._jobs.keep()

    def spawn_workers(self) -> None:
        """Start the workers that are lacking, with pauses while they cannot start."""
        if time.monotonic() >= self._not_before:
            super().spawn_workers()

    def reap_workers(self) -> None:
        """Take note of children that have ended."""
        # First, for gunicorn takes every child that there is, and forgets how
        # one ended that it does not know. (Popen makes a 0 of that.)
        if self._jobs is not None:
            self._jobs.look()
        try:
            super().reap_workers()
        except HaltServer as error:
            # At the first start the operator is there. Later the other workers serve, and the cause may go away.
            if not self._server.has_served:
                raise
            self._not_before = time.monotonic() + _PAUSE_SECONDS
            log.error("worker.not_started", reason=error.reason, again_in_s=_PAUSE_SECONDS)  # words do

    def stop(self, graceful: bool = True) -> None:  # noqa: FBT001, FBT002  # gunicorn's
        """End all children: the jobs process while the workers end."""
        until = time.monotonic() + (_PATIENCE_SECONDS if graceful else _IMPATIENCE_SECONDS)
        if self._jobs is not None:
            self._jobs.tell_to_end()
        super().stop(graceful)
        if self._jobs is not None:
            self._jobs.end(until)


def _leave_with_the_master(_: object, worker: Any) -> None:  # noqa: ANN401  # gunicorn has no types
    """Have a worker leave soon after its master. gunicorn gives it 30 s, in which it keeps the port."""
    threading.Thread(target=_leave_without, args=(worker.ppid,), name="master-watch", daemon=True).start()


def _leave_without(master: int) -> None:
    while os.getppid() == master:
        time.sleep(_LOOK_SECONDS)
    try:
        log.error("worker.lost_master", master=master, leaves_in_s=_GRACE_SECONDS)
    finally:
        # Also where the log went with the master.
        time.sleep(_GRACE_SECONDS)
        # What still runs has had its time: no handler of an exit may wait for it.
        os._exit(1)


def wait_for_port(bind: str) -> None:
    """Wait while another process listens at `bind`, as workers of a master that was killed do for a moment.

    For a unix socket gunicorn does not ask: it would put its own in the place of one that is in use, and remove it at
    its end, so that the other server runs and cannot be reached.
    """
    address = parse_address(bind)
    if "LISTEN_FDS" in os.environ or "GUNICORN_FD" in os.environ or (isinstance(address, tuple) and not address[1]):
        return
    if isinstance(address, str) and Path(address).exists() and not Path(address).is_socket():
        sys.exit(f"Error: ACCOUNTS_BIND is {bind}, and that is not a socket: name another path, or move it away.")
    deadline = time.monotonic() + _PORT_SECONDS
    is_told = False
    while _is_taken(address):
        if not is_told:
            reason = "another process listens there, such as a worker whose master was killed"
            log.warning("serve.waiting_for_port", address=bind, reason=reason, at_most_s=_PORT_SECONDS)
            is_told = True
        if time.monotonic() > deadline:
            sys.exit(f"Error: {bind} is in use by another process: end that, or set ACCOUNTS_BIND to another address.")
        time.sleep(_LOOK_SECONDS)


def _is_taken(address: tuple[str, int] | str) -> bool:
    if isinstance(address, str):
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(0)
            try:
                # EAGAIN, where many connections wait to be accepted.
                return probe.connect_ex(address) in (0, errno.EAGAIN)
            except OSError:  # A path that is too long.
                return False
    with socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET) as probe:
        # As gunicorn sets it: connections that were closed a moment ago do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            # Of any other error gunicorn tells.
            return error.errno == errno.EADDRINUSE
    return False


def mark_repeated_headers(_: object, request: Any) -> None:  # noqa: ANN401  # gunicorn has no types
    """Say which headers came more than once; gunicorn joins them with a comma and forgets.

    Runs before gunicorn makes the environ. What a client sends under the mark's
    own name is dropped.
    """
    headers = [(name, value) for name, value in request.headers if name.lower() != REPEATED.lower()]
    counts = Counter(name.lower() for name, _ in headers)
    repeated = ",".join(sorted(name for name, count in counts.items() if count > 1))
    request.headers = [*headers, (REPEATED.upper(), repeated)] if repeated else headers
