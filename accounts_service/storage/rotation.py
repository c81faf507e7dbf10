"""The rotation of keys: which process knows which keys, and how far secrets are wrapped anew."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from sqlalchemy import BigInteger, Column, Table, Text, and_, case, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert  # SQLite writes it the same way

from accounts_service.storage.clocks import Moment, is_long_ago, is_recent, span
from accounts_service.storage.database import Store
from accounts_service.storage.envelopes import Batch, Envelopes, Sealed
from accounts_service.storage.statements import Statement, Value, given, insertion
from accounts_service.storage.tables import METADATA, MICROSECONDS, NAME

# Every process that seals or opens, as it last reported. `keys` is a JSON list of the ids that it holds,
# `active_since_us` when it first reported the key that is active.
PROCESS = Table(
    "process",
    METADATA,
    Column("uid", NAME, primary_key=True),
    Column("kind", NAME, nullable=False),
    Column("host", Text, nullable=False),
    Column("pid", BigInteger, nullable=False),
    Column("keys", Text, nullable=False),
    Column("active", NAME, nullable=False),
    Column("active_since_us", MICROSECONDS, nullable=False),
    Column("seen_us", MICROSECONDS, nullable=False),
)

# `target` is the key that everything is to be wrapped with, `place` a JSON object: where the next batch begins.
REWRAPPING = Table(
    "rewrapping",
    METADATA,
    Column("target", NAME, primary_key=True),
    Column("place", Text, nullable=False),
    Column("changed", BigInteger, nullable=False),
    Column("started_us", MICROSECONDS, nullable=False),
    Column("finished_us", MICROSECONDS),
)

# Who has not reported for so long counts as dead: three reports that did not come.
ALIVE_SECONDS = 30
# What was sealed with a former key may be in a transaction that nobody else sees yet. None lives for so long: on
# PostgreSQL one that idles for 10 s is ended, and a statement after 5 s.
SETTLED_SECONDS = 20

# How far ahead each time may lie.
MOMENTS = (Moment(PROCESS.c.seen_us), Moment(PROCESS.c.active_since_us))

JOBS = "jobs"
WORKER = "worker"

Key: TypeAlias = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Process:
    """A process that seals or opens, and the ids of the keys that it holds."""

    uid: str
    kind: str
    host: str
    pid: int
    keys: tuple[str, ...]
    active: str

    def __str__(self) -> str:
        return f"{self.kind} {self.pid} on {self.host}"


_REPORT = Statement(
    (
        report := upsert(PROCESS).values({column.name: given(column.name) for column in PROCESS.columns})
    ).on_conflict_do_update(
        index_elements=[PROCESS.c.uid],
        set_={
            **{name: report.excluded[name] for name in ("keys", "active", "seen_us")},
            "active_since_us": case(
                (
                    # One from the future was written before the clock was put right.
                    and_(
                        PROCESS.c.active == report.excluded.active,
                        PROCESS.c.active_since_us <= report.excluded.active_since_us,
                    ),
                    PROCESS.c.active_since_us,
                ),
                else_=report.excluded.active_since_us,
            ),
        },
    )
)
_END = Statement(delete(PROCESS).where(PROCESS.c.uid == given("uid")))
# A process that died while the clock was ahead is dead all the same.
_IS_ALIVE = is_recent(PROCESS.c.seen_us)
_LIVE = Statement(select(PROCESS).where(_IS_ALIVE).order_by(PROCESS.c.kind, PROCESS.c.host, PROCESS.c.pid))
_LAST_CHANGE = Statement(select(func.max(PROCESS.c.active_since_us)).where(_IS_ALIVE))
_FORGET = Statement(delete(PROCESS).where(is_long_ago(PROCESS.c.seen_us)))


class Processes(Store):
    """The processes that seal or open. Not a caller's: they tell of themselves."""

    def report(self, process: Process) -> None:
        """Say that the process lives and which keys it holds."""
        self._session.note(
            _REPORT,
            uid=process.uid,
            kind=process.kind,
            host=process.host,
            pid=process.pid,
            keys=json.dumps(process.keys),
            active=process.active,
            active_since_us=self._session.now_us,
            seen_us=self._session.now_us,
        )

    def end(self, uid: str) -> None:
        """Say that the process has ended."""
        self._session.note(_END, uid=uid)

    def live(self) -> list[Process]:
        """List those that live."""
        return [
            Process(row.uid, row.kind, row.host, row.pid, tuple(json.loads(row.keys)), row.active)
            for row in self._session.read(_LIVE, **self._alive())
        ]

    def settling(self) -> int:
        """Return for how many seconds something that a live process sealed with another key may be uncommitted."""
        changed_us: int | None = self._session.read(_LAST_CHANGE, **self._alive()).scalar_one()
        if changed_us is None:
            return 0
        left_us = changed_us + SETTLED_SECONDS * 1_000_000 - self._session.now_us
        return min(max(0, -(-left_us // 1_000_000)), SETTLED_SECONDS)

    def forget(self) -> None:
        """Remove those that have ended without a word."""
        self._session.note(_FORGET, **self._alive())

    def _alive(self) -> dict[str, Value]:
        return span(ALIVE_SECONDS * 1_000_000, self._session.now_us)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the wrapping with `target` is.

    `number` counts passes, `through` names the columns that this one has been through,
    `column` the one that it is in and `after` the key of the last row there,
    `found` is how many rows this pass has found that were to be changed.
    `changed`: rows of all passes.
    """

    target: str
    number: int = 1
    through: tuple[str, ...] = ()
    column: str = ""
    after: Key | None = None
    found: int = 0
    changed: int = 0
    is_finished: bool = False


_OF_TARGET = REWRAPPING.c.target == given("target")
_ASKED = Statement(select(REWRAPPING).where(_OF_TARGET))
_DROP = Statement(delete(REWRAPPING))
_ASK = Statement(insertion(REWRAPPING))
_GO_ON = Statement(
    update(REWRAPPING)
    .where(_OF_TARGET, REWRAPPING.c.place == given("from"), REWRAPPING.c.finished_us.is_(None))
    .values(place=given("to"), finished_us=given("finished_us"))
)
_COUNT = Statement(update(REWRAPPING).where(_OF_TARGET).values(changed=REWRAPPING.c.changed + given("changed")))


class Rewrappings(Store):
    """The wrapping anew of everything that is sealed, one batch after another.

    Any number of processes may do it: where one has gone on, the others' batch is
    of no use, and nothing of it is written. Who dies in a batch leaves it to be
    done again.
    """

    def ask(self) -> None:
        """Ask for everything to be wrapped with the active key. What goes on towards it goes on."""
        target = self._session.vault.active
        progress = self.progress()
        if progress is None or progress.is_finished:
            self._session.note(_DROP)
            self._session.note(
                _ASK,
                target=target,
                place=_written(Progress(target)),
                changed=0,
                started_us=self._session.now_us,
                finished_us=None,
            )

    def progress(self) -> Progress | None:
        """Tell how far the wrapping with the active key is; None when nobody has asked for it."""
        row = self._session.read(_ASKED, target=self._session.vault.active).one_or_none()
        place = {} if row is None else json.loads(row.place)
        # What another release keeps otherwise cannot be gone on with; who asks anew begins anew.
        if row is None or not place.keys() >= {*_PLACE}:
            return None
        return Progress(
            row.target,
            place["number"],
            tuple(place["through"]),
            place["column"],
            place["after"],
            place["found"],
            row.changed,
            row.finished_us is not None,
        )

    def batch(self, progress: Progress, columns: Sequence[Sealed]) -> Batch:
        """Prepare the next batch; for reading blocks, which hold up nobody who writes."""
        column = _column(progress, columns)
        if column is None:
            return Batch((), None)
        return Envelopes(self._session).batch(column, progress.after if column.column == progress.column else None)

    def go_on(self, progress: Progress, columns: Sequence[Sealed], batch: Batch) -> Progress | None:
        """Write the batch that was prepared for `progress`, and say how far that is; None when another was faster.

        Finished is what a whole pass has found nothing in: who sealed with the
        key before, while a pass went by, has written behind it.
        """
        if progress.target != self._session.vault.active:
            # Who was stopped since he prepared it may wrap with a key that is gone by now.
            return None
        there = _after(progress, columns, batch)
        gone_on = self._session.note(
            _GO_ON,
            **{"from": _written(progress), "to": _written(there)},
            target=progress.target,
            finished_us=self._session.now_us if there.is_finished else None,
        )
        if gone_on.rowcount == 0:
            return None
        column = _column(progress, columns)
        if column is not None:
            changed = sum(self._session.note(column.replace, **rewrap.values).rowcount for rewrap in batch.rewraps)
            if changed:
                self._session.note(_COUNT, target=progress.target, changed=changed)
        return there


_PLACE = ("number", "through", "column", "after", "found")


def _written(progress: Progress) -> str:
    return json.dumps({name: getattr(progress, name) for name in _PLACE})


def _column(progress: Progress, columns: Sequence[Sealed]) -> Sealed | None:
    """Give the column of the next batch; None when the pass has been through all that there are here.

    By name, since another release may have others, or the same ones in another order.
    """
    left = [column for column in columns if column.column not in progress.through]
    begun = [column for column in left if column.column == progress.column]
    return next(iter((*begun, *left)), None)


def _after(progress: Progress, columns: Sequence[Sealed], batch: Batch) -> Progress:
    found = progress.found + len(batch.rewraps)
    column = _column(progress, columns)
    through = progress.through
    if column is not None:
        if batch.after is not None:
            return replace(progress, column=column.column, after=batch.after, found=found)
        through = (*through, column.column)
    there = replace(progress, through=through, column="", after=None, found=found)
    if _column(there, columns) is not None:
        return there
    return replace(there, number=progress.number + 1, through=(), found=0, is_finished=not found)
