"""A thread of each process that seals or opens: it goes along with the keys file, and reports which keys are held."""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid

import structlog

from accounts_service.faults import RefusedError
from accounts_service.lines import Line
from accounts_service.storage.audit import Author
from accounts_service.storage.database import Database, TransactionRefusedError
from accounts_service.storage.key_checks import ForeignKeysFileError
from accounts_service.storage.keys_file import FileVault
from accounts_service.storage.rotation import Process, Processes

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 1.0
# Three reports may be lost till a process counts as dead.
_REPORT_SECONDS = 10.0
# How long an end waits for a report that has begun.
_PATIENCE_SECONDS = 2.0

_AUTHOR = Author("accounts", "keys", "")


class KeyWatch:
    """Looks at the keys file each second; reports at once what has changed, and else that the process lives."""

    def __init__(self, database: Database, vault: FileVault, kind: str) -> None:
        self._database = database
        self._vault = vault
        vault.judged_by(database.judge_keys)
        self._kind = kind
        self._uid = uuid.uuid4().hex
        # A line of its own: a flood of writers does not keep this process from reporting.
        self._line = Line(1, 1, database.capacity.wait_s)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="key-watch", daemon=True)
        self._reported: Process | None = None
        self._report_at = 0.0
        self._failing = False

    def start(self) -> None:
        """Begin; after a fork, which takes no threads along."""
        self._thread.start()

    def stop(self) -> None:
        """End, and take the process from the list, so that nobody waits for its report."""
        self._ending.set()
        self._thread.join(_PATIENCE_SECONDS)
        self._database.note(Processes, _AUTHOR, lambda processes: processes.end(self._uid))

    def _run(self) -> None:
        while True:
            try:
                self.look()
            except Exception as error:  # noqa: BLE001  # a thread that ends says nothing more, not even that
                log.error("keys.watch_failed", error=type(error).__name__)
            if self._ending.wait(_LOOK_SECONDS):
                return

    def look(self) -> None:
        """Take the keys that are there by now, and report if that is due."""
        self._vault.look()
        if self._reported is not None and self._reported.keys != self._vault.keys:
            self._record_keys()
        process = Process(
            self._uid, self._kind, socket.gethostname(), os.getpid(), self._vault.keys, self._vault.active
        )
        if process == self._reported and time.monotonic() < self._report_at:
            return
        try:
            with self._database.transaction(Processes, _AUTHOR, self._line) as processes:
                processes.report(process)
        except (RefusedError, TransactionRefusedError) as error:
            # Once, not with each try; the database's own outage is told by who is asked.
            if not self._failing:
                log.warning("keys.not_reported", reason=type(error).__name__)
            self._failing = True
            return
        self._failing = False
        self._reported, self._report_at = process, time.monotonic() + _REPORT_SECONDS

    def _record_keys(self) -> None:
        try:
            self._database.record_keys()
        except (RefusedError, ForeignKeysFileError) as error:
            log.warning("keys.not_recorded", reason=type(error).__name__)
