"""How often something has happened in a minute: many in one record, so that who makes it happen writes no trail.

They lie where the counts of attempts do. What has happened is counted at once,
by all processes together, so that nothing is lost when one of them ends.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import and_, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert  # SQLite writes it the same way

from accounts_service.storage.limits import TALLY, Limits
from accounts_service.storage.statements import Statement, Value, given

_MINUTE_S = 60

# Whose share is counted when there are too many to count each.
OTHERS = "others"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of what is counted. `most`: so many subjects in a minute have a count of their own."""

    name: str
    most: int


@dataclass(frozen=True, slots=True)
class Tally:
    """So often in the minute that began at `since_s`, by or from `subject`."""

    kind: str
    subject: str
    since_s: int
    number: int


_THIS = and_(TALLY.c.kind == given("kind"), TALLY.c.since_s == given("since_s"), TALLY.c.subject == given("subject"))
_AGAIN = Statement(update(TALLY).where(_THIS).values(number=TALLY.c.number + 1))
_SUBJECTS = Statement(
    select(func.count()).select_from(TALLY).where(TALLY.c.kind == given("kind"), TALLY.c.since_s == given("since_s"))
)
_FIRST = Statement(
    upsert(TALLY)
    .values(kind=given("kind"), since_s=given("since_s"), subject=given("subject"), number=1)
    .on_conflict_do_update(index_elements=[*TALLY.primary_key.columns], set_={"number": TALLY.c.number + 1})
)
# A minute that is to begin yet is over, too: the clock was wrong then.
_ENDED = Statement(
    select(TALLY)
    .where(or_(TALLY.c.since_s <= given("now_s") - _MINUTE_S, TALLY.c.since_s > given("now_s")))
    .order_by(*TALLY.primary_key.columns)
    .limit(1000)
)
# What was added meanwhile, by somebody whose clock is behind, stays to be told.
_TELL = Statement(update(TALLY).where(_THIS).values(number=TALLY.c.number - given("number")))
_FORGET = Statement(delete(TALLY).where(_THIS, TALLY.c.number <= 0))


class Tallies:
    """Counts by minute. Each method raises RefusedError(Overloaded or Unavailable) where they cannot be reached."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def count(self, kind: Kind, subject: str) -> None:
        """Count one more of a kind, by or from `subject`, in this minute."""
        now_s = self._limits.now_us() // 1_000_000
        values: dict[str, Value] = {"kind": kind.name, "subject": subject, "since_s": now_s - now_s % _MINUTE_S}
        with self._limits.begin() as connection:
            if _AGAIN.run(connection, values).rowcount == 1:
                return
            if _SUBJECTS.run(connection, values).scalar_one() >= kind.most:
                values["subject"] = OTHERS
            _FIRST.run(connection, values)

    def ended(self) -> list[Tally]:
        """Read the counts of minutes that are over."""
        with self._limits.begin() as connection:
            rows = _ENDED.run(connection, {"now_s": self._limits.now_us() // 1_000_000}).all()
        return [Tally(row.kind, row.subject, row.since_s, row.number) for row in rows]

    def tell(self, tally: Tally) -> None:
        """Note that these are recorded."""
        values: dict[str, Value] = {"kind": tally.kind, "subject": tally.subject, "since_s": tally.since_s}
        with self._limits.begin() as connection:
            _TELL.run(connection, {**values, "number": tally.number})
            _FORGET.run(connection, values)
