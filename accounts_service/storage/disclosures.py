"""Records of disclosures, written before the answer; requests that wait together share one transaction."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from functools import partial

from accounts_service.faults import RefusedError
from accounts_service.lines import Line, NoLine
from accounts_service.storage.database import Database
from accounts_service.storage.reveals import Disclosure, Reveals

# How many shown objects one transaction records for several requests, so that each of them is brief.
_MOST_TOGETHER = 1000


class _Pending:
    """A disclosure that waits to be recorded."""

    def __init__(self, disclosure: Disclosure) -> None:
        self.disclosure = disclosure
        self.is_recorded = False


class Disclosures:
    """Records disclosures, one transaction at a time. One per process.

    The thread that is given the turn records what is waiting along with its
    own disclosure, so sixty readers cost one or two transactions.
    """

    def __init__(self, database: Database, line: Line) -> None:
        self._database = database
        self._line = line
        self._lock = threading.Lock()
        # A dict for its order.
        self._pending: dict[_Pending, None] = {}

    def record(self, disclosure: Disclosure) -> None:
        """Record a disclosure. Raises RefusedError with Overloaded or Unavailable; nothing may be shown then."""
        own = _Pending(disclosure)
        with self._lock:
            self._pending[own] = None
        try:
            with self._line.turn((disclosure.author.realm, disclosure.author.name)):
                if not own.is_recorded:
                    self._record(own)
        except RefusedError:
            # Another thread may have recorded it while this one gave up.
            if not own.is_recorded:
                raise
        finally:
            with self._lock:
                self._pending.pop(own, None)

    def _record(self, own: _Pending) -> None:
        together = self._waiting_with(own)
        try:
            self._write(together)
        except RefusedError:
            raise
        except Exception:
            # A bug that one disclosure brings out must not fail the requests of others.
            if len(together) == 1:
                raise
            self._write([own])

    def _write(self, pending: list[_Pending]) -> None:
        author = pending[0].disclosure.author
        disclosures = [one.disclosure for one in pending]
        self._database.written(Reveals, author, partial(_record_all, disclosures), NoLine())
        for one in pending:
            one.is_recorded = True

    def _waiting_with(self, own: _Pending) -> list[_Pending]:
        together, shown = [own], len(own.disclosure.reveals)
        with self._lock:
            for other in self._pending:
                shown += len(other.disclosure.reveals)
                if shown > _MOST_TOGETHER:
                    break
                if other is not own:
                    together.append(other)
        return together


def _record_all(disclosures: Iterable[Disclosure], store: Reveals) -> None:
    store.record_together(disclosures)
