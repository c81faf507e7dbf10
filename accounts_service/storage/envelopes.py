"""Where sealed secrets are kept, one description a column: to see whether the keys open them, and to wrap them anew."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Column, Connection, Row, Table, select, text, tuple_, update

from accounts_service.faults import Json
from accounts_service.storage.database import Database, Store
from accounts_service.storage.key_checks import SAMPLE
from accounts_service.storage.sealed import Place, Wrapped, Wrapping
from accounts_service.storage.statements import Statement, Value, given

# At once: no more than a writer of SQLite may hold others up with.
BATCH = 200
MOST_CHARACTERS = 4_000_000
# A row may have more than a megabyte; so many are read till these are enough.
_PIECE = 8


class Sealed:
    """A column of envelopes.

    `name` is what people call what is kept there, `column` what the database calls it. An envelope's place is made of
    `family`, the row's column `uid` and `attribute`; without one, the column has a
    JSON object of envelopes by attribute.
    """

    def __init__(self, name: str, column: Column[Any], family: str, *, uid: str = "uid", attribute: str = "") -> None:
        table = column.table
        assert isinstance(table, Table)  # noqa: S101  # for mypy: a column of a table has one
        self.name = name
        self.table = table.name
        self.column = f"{table.name}.{column.name}"
        self.keys = tuple(key.name for key in table.primary_key.columns)
        column.info[SAMPLE] = self
        self._family = family
        self._attribute = attribute
        keys = [table.columns[key] for key in self.keys]
        shown = [table.columns["version"].label("row_version")] if "version" in table.columns else []
        there = (
            select(*keys, table.columns[uid].label("row_uid"), column.label("row_sealed"), *shown)
            .where(column.is_not(None))
            .order_by(*keys)
            .limit(_PIECE)
        )
        self.first = Statement(there)
        self.next = Statement(there.where(tuple_(*keys) > tuple_(*(given(key) for key in self.keys))))
        self.replace = Statement(
            update(table)
            # What somebody has written meanwhile is newer, and wins.
            .where(*(table.columns[key] == given(key) for key in self.keys), column == given("old"))
            .values({column.name: given("new")})
        )

    def key_of(self, row: Row[Any]) -> dict[str, Value]:
        """Give the primary key of a row of `first` or `next`."""
        return {key: getattr(row, key) for key in self.keys}

    def envelopes_of(self, row: Row[Any]) -> dict[str, Json] | None:
        """Give the row's envelopes by attribute, damaged ones included; None when the row itself is damaged."""
        if self._attribute:
            return {self._attribute: row.row_sealed}
        try:
            there = json.loads(row.row_sealed)
        except ValueError:
            return None
        return there if isinstance(there, dict) else None

    def sample(self, connection: Connection) -> Iterator[tuple[Place, str]]:
        """Read some envelopes: of the first rows."""
        for row in self.first.run(connection, {}):
            for attribute, envelope in (self.envelopes_of(row) or {}).items():
                if isinstance(envelope, str):
                    yield self.place(row, attribute), envelope

    def written(self, envelopes: Mapping[str, Json]) -> str:
        """Write envelopes as the column holds them."""
        return str(envelopes[self._attribute]) if self._attribute else json.dumps(envelopes, ensure_ascii=False)

    def place(self, row: Row[Any], attribute: str) -> Place:
        """Name the place of one of the row's envelopes."""
        return Place(self._family, row.row_uid, attribute)

    def where(self, row: Row[Any], attribute: str) -> str:
        """Name one of the row's envelopes for a person."""
        version = getattr(row, "row_version", None)
        parts = (self.table, row.row_uid, "" if version is None else f"version {version}", attribute)
        return " ".join(part for part in parts if part)


def wait_for_writers(database: Database, columns: Sequence[Sealed]) -> None:
    """Wait till who has begun to write sealed columns has ended; who counts does not see before what he has sealed.

    SQLite has one writer, whose turn this waits for. Raises RefusedError as `Database.begin` does.
    """
    # One at a time: who has written into one, and wants another, must not wait for us while we wait for him.
    for table in sorted({column.table for column in columns}):
        with database.begin() as connection:
            if connection.dialect.name != "postgresql":
                return
            # Not for long, since who comes after us waits, too; but for longer than the second (deadlock_timeout) after
            # which the server ends an autovacuum that is in the way. Who has only locked a row may be about to copy it.
            connection.execute(text("SET LOCAL lock_timeout = '2s'"))
            connection.execute(text(f"LOCK TABLE {table} IN EXCLUSIVE MODE"))


@dataclass(frozen=True, slots=True)
class Undecryptable:
    """A secret that does not open; `key` is the key that is missing, None when it is damaged."""

    where: str
    uid: str
    key: str | None

    def __str__(self) -> str:
        return self.where if self.key is None else f"{self.where}: needs the key {self.key}"


@dataclass(frozen=True, slots=True)
class Tally:
    """How many secrets there are, and how they stand to the keys. `by_key`: how many of those that open, by key."""

    counts: Counter[Wrapping] = field(default_factory=Counter)
    by_key: Counter[str] = field(default_factory=Counter)
    undecryptable: tuple[Undecryptable, ...] = ()

    @property
    def total(self) -> int:
        """How many there are."""
        return self.counts.total()

    @property
    def opened(self) -> int:
        """How many the keys open."""
        return self.total - self.counts[Wrapping.UNDECRYPTABLE]

    def __add__(self, other: Tally) -> Tally:
        """Count both."""
        return Tally(self.counts + other.counts, self.by_key + other.by_key, self.undecryptable + other.undecryptable)


@dataclass(frozen=True, slots=True)
class Rewrap:
    """A row to be changed by `Sealed.replace`."""

    values: Mapping[str, Value] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Batch:
    """What is to be changed in so many rows, and the key of the last one; None when these were all."""

    rewraps: Sequence[Rewrap]
    after: Mapping[str, Value] | None


class Envelopes(Store):
    """The sealed secrets of a column."""

    def tally(self, sealed: Sealed) -> Tally:
        """Open every secret, and let go of it at once."""
        counts, by_key, undecryptable = Counter[Wrapping](), Counter[str](), list[Undecryptable]()
        for row, attribute, envelope in self._all(sealed):
            wrapped = Wrapped(Wrapping.UNDECRYPTABLE, None)
            if isinstance(envelope, str):
                wrapped = self._session.vault.wrapped(sealed.place(row, attribute), envelope)
            counts[wrapped.wrapping] += 1
            if wrapped.wrapping is Wrapping.UNDECRYPTABLE:
                undecryptable.append(Undecryptable(sealed.where(row, attribute), row.row_uid, wrapped.key))
            elif wrapped.key is not None:
                by_key[wrapped.key] += 1
        return Tally(counts, by_key, tuple(undecryptable))

    def batch(self, sealed: Sealed, after: Mapping[str, Value] | None) -> Batch:
        """Wrap the secrets of the rows after the one with that key anew; without one, of the first."""
        rows, is_last = self._rows(sealed, after)
        rewraps = []
        for row in rows:
            before = sealed.envelopes_of(row) or {}
            changed = {
                # What is no text has no key either, and stays.
                name: self._session.vault.rewrapped(sealed.place(row, name), envelope)
                if isinstance(envelope, str)
                else envelope
                for name, envelope in before.items()
            }
            if changed != before:
                values = {**sealed.key_of(row), "old": row.row_sealed, "new": sealed.written(changed)}
                rewraps.append(Rewrap(values))
        return Batch(rewraps, None if is_last else sealed.key_of(rows[-1]))

    def _rows(self, sealed: Sealed, after: Mapping[str, Value] | None) -> tuple[Sequence[Row[Any]], bool]:
        """Read as many rows as are to be held at once; tells also whether these are the last ones."""
        found: list[Row[Any]] = []
        characters = 0
        while len(found) < BATCH and characters < MOST_CHARACTERS:
            piece = self._session.read(sealed.first if after is None else sealed.next, **(after or {})).all()
            found += piece
            if len(piece) < _PIECE:
                return found, True
            characters += sum(len(row.row_sealed) for row in piece)
            after = sealed.key_of(piece[-1])
        return found, False

    def _all(self, sealed: Sealed) -> Iterator[tuple[Row[Any], str, Json]]:
        after: dict[str, Value] | None = None
        while True:
            rows, is_last = self._rows(sealed, after)
            for row in rows:
                envelopes = sealed.envelopes_of(row)
                if envelopes is None:
                    yield row, "", None
                else:
                    yield from ((row, attribute, envelope) for attribute, envelope in envelopes.items())
            if is_last:
                return
            after = sealed.key_of(rows[-1])
