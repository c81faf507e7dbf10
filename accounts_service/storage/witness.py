"""What is on record besides changes: who was shown secrets, who was refused, and from where log-ins have failed.

None of it is part of what it tells of, so each is written on its own, and each
has places of its own to wait in: what is recorded here must not keep a change
from being made, nor the other way round.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from sqlalchemy.exc import DBAPIError

from accounts_service.faults import Json, RefusedError, Unavailable
from accounts_service.lines import Line
from accounts_service.storage.audit import Author, Change
from accounts_service.storage.database import (
    Database,
    ReadInterruptedError,
    RecordedStatement,
    Store,
    TransactionRefusedError,
)
from accounts_service.storage.disclosures import Disclosures
from accounts_service.storage.limits import Limits
from accounts_service.storage.reveals import Disclosure, Reveal, Reveals, who_of
from accounts_service.storage.sealed import Vault
from accounts_service.storage.tallies import OTHERS, Kind, Tallies, Tally

log = structlog.get_logger(__name__)

_LOG_INS, _REFUSALS = "log-ins", "refusals"
# As many addresses in a minute as a person can look at; principals are known, so there are not many.
_MOST_SOURCES, _MOST_REFUSED = 100, 1000
# So many refusals of one principal in a minute have a record each, in each process; the others are counted.
SINGLE_REFUSALS = 60
_MINUTE_US = 60 * 1_000_000

_RECORD = RecordedStatement()
_JOBS = Author("accounts", "jobs", "")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Somebody was refused a privilege. `action` is the privilege's, `asked` what he asked for."""

    family: str
    action: str
    asked: str


class Records(Store):
    """Records of what is no change."""

    def refused(self, refusal: Refusal) -> None:
        """Record that somebody, the author, was refused."""
        detail: dict[str, Json] = {"refused": True, "calls": 1}
        self._session.write(_change(refusal.family, _refused(refusal.action), refusal.asked, detail), _RECORD)

    def told(self, change: Change) -> None:
        """Record what was counted in a minute."""
        self._session.write(change, _RECORD)


def _refused(action: str) -> str:
    """Name the act of being refused: no reader takes it for the act itself."""
    return f"{action}/refused"


def _change(family: str, act: str, about: str, detail: dict[str, Json]) -> Change:
    # Of no tenant: one that does not exist may be asked for, and each has a trail of its own.
    return Change(family, "", act, about, "", 0, detail)


class UnreadableTallyError(Exception):
    """A count that none of us has made."""


def record_of(tally: Tally) -> tuple[Author, Change]:
    """Make the record of what was counted: whose it is, who was refused or nobody in particular, and what it says.

    Raises UnreadableTallyError.
    """
    try:
        return _record_of(tally)
    except (ArithmeticError, OSError, RecursionError, TypeError, ValueError):
        raise UnreadableTallyError from None


def _record_of(tally: Tally) -> tuple[Author, Change]:
    family, _, kind = _text(tally.kind).partition(" ")
    since = datetime.fromtimestamp(tally.since_s, UTC).isoformat().replace("+00:00", "Z")
    if kind == _LOG_INS:
        failed: dict[str, Json] = {"failed": tally.number, "minute": since}
        return _JOBS, _change(family, f"cluster:admin:{family}:log-in/failed", f"from {_text(tally.subject)}", failed)
    if tally.subject == OTHERS:
        author, action = _JOBS, f"cluster:admin:{family}:{OTHERS}"
    else:
        realm, name, action = map(_text, json.loads(tally.subject))
        author = Author(realm, name, "")
    detail: dict[str, Json] = {"refused": True, "calls": tally.number, "minute": since}
    return author, _change(family, _refused(action), f"{tally.number} calls", detail)


def _text(value: Json) -> str:
    """Give a value that is text, and text that every database takes."""
    if not isinstance(value, str) or "\0" in value:
        raise ValueError
    value.encode()
    return value


class Witness:
    """Records what is no change. One per process."""

    def __init__(self, database: Database, limits: Limits, vault: Vault, disclosing: Line, refusing: Line) -> None:
        """Take the database, and the lines in which to wait for the record of a disclosure, or of a refusal.

        A refusal that finds its line full is counted instead.
        """
        self._database = database
        self._tallies = Tallies(limits)
        self._vault = vault
        self._disclosures = Disclosures(database, disclosing)
        self._refusals = refusing
        self._lock = threading.Lock()
        self._minute = 0
        self._refused: Counter[tuple[str, str]] = Counter()

    def shown(self, family: str, author: Author, reveals: Sequence[Reveal]) -> None:
        """Record that secrets are about to be shown, unless that was recorded recently.

        Raises RefusedError with Overloaded or Unavailable when that cannot be
        recorded; the secrets must not be shown then, and nothing in their place.
        """
        who = who_of(self._vault, author)
        try:
            with self._database.reading(Reveals) as opened:
                new = opened.unrecorded(who, reveals)
            if new:
                self._disclosures.record(Disclosure(family, author, who, tuple(new)))
        except ReadInterruptedError as error:
            raise RefusedError(Unavailable(retry_after=1)) from error

    def refused(self, author: Author, refusal: Refusal) -> None:
        """Record a refusal; count it, where there are too many or the database is busy."""
        if self._may_write(author):
            try:
                with self._database.transaction(Records, author, self._refusals) as records:
                    records.refused(refusal)
            except (RefusedError, TransactionRefusedError):
                pass
            except DBAPIError as error:
                # A bug of ours, and no reason to have less on record.
                log.error("witness.failed", request_id=author.request_id, reason=type(error).__name__)
            else:
                return
        subject = json.dumps([author.realm, author.name, refusal.action], ensure_ascii=False)
        self._count(Kind(f"{refusal.family} {_REFUSALS}", _MOST_REFUSED), subject, author.request_id)

    def failed_log_in(self, family: str, source: str, request_id: str) -> None:
        """Count a log-in that came to nothing, from where it came."""
        self._count(Kind(f"{family} {_LOG_INS}", _MOST_SOURCES), source, request_id)

    def _count(self, kind: Kind, subject: str, request_id: str) -> None:
        try:
            self._tallies.count(kind, subject)
        except (RefusedError, TransactionRefusedError, DBAPIError) as error:
            # The log is what is left.
            log.error("witness.not_counted", request_id=request_id, kind=kind.name, reason=type(error).__name__)

    def _may_write(self, author: Author) -> bool:
        minute = self._database.now_us() // _MINUTE_US
        with self._lock:
            if minute != self._minute:
                self._minute = minute
                self._refused.clear()
            self._refused[author.realm, author.name] += 1
            return self._refused[author.realm, author.name] <= SINGLE_REFUSALS
