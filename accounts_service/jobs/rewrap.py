"""Wrapping what is sealed with the active key, in batches, once somebody has asked for it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from accounts_service.jobs.loop import Stopping
from accounts_service.storage.audit import Author
from accounts_service.storage.database import Database
from accounts_service.storage.envelopes import Sealed
from accounts_service.storage.rotation import Processes, Progress, Rewrappings

log = structlog.get_logger(__name__)

# So long at once, for mails and the rest have their turn in between.
_SECONDS_AT_ONCE = 2.0

_AUTHOR = Author("accounts", "jobs", "")


@dataclass(frozen=True)
class Rewrap:
    """The jobs about keys. `columns`: all that hold something sealed."""

    database: Database
    columns: Sequence[Sealed]
    seconds: float = _SECONDS_AT_ONCE

    def run(self, stopping: Stopping) -> None:
        """Go on with what was asked for, for a while. Raises as Database does."""
        until = time.monotonic() + self.seconds
        while not stopping() and self.step() and time.monotonic() < until:
            pass

    def step(self) -> bool:
        """Do one batch; tells whether there was anything to be done. Raises as Database does."""
        with self.database.reading(Rewrappings) as rewrappings:
            progress = rewrappings.progress()
            if progress is None or progress.is_finished:
                return False
            # Outside the transaction, which would keep others from writing while envelopes are opened.
            batch = rewrappings.batch(progress, self.columns)
        there = self.database.written(
            Rewrappings, _AUTHOR, lambda rewrappings: rewrappings.go_on(progress, self.columns, batch)
        )
        if there is not None and there.is_finished:
            log.info("keys.rewrapped", target=there.target, passes=progress.number)
        return True

    def progress(self) -> Progress | None:
        """Tell how far it is. Raises as Database.reading."""
        with self.database.reading(Rewrappings) as rewrappings:
            return rewrappings.progress()

    def ask(self) -> None:
        """Ask for it. Raises RefusedError."""
        self.database.written(Rewrappings, _AUTHOR, lambda rewrappings: rewrappings.ask())

    def forget(self, _: Stopping) -> None:
        """Remove processes that have ended without a word. Raises RefusedError."""
        self.database.written(Processes, _AUTHOR, lambda processes: processes.forget())
