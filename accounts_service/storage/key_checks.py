"""Whether a keys file belongs to a database: a check value for each key, compared before anything is written.

A check value is a MAC under the key itself over a random id of the installation. It tells a reader of the database
nothing about the key. The MAC and fingerprint keys have check values, too: they never change, so a file of another
installation is never mistaken for one with new keys only.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Iterator
from typing import Protocol

from sqlalchemy import Column, Connection, LargeBinary, Table, delete, inspect, literal, select

from accounts_service.storage.audit import AUDIT_RECORD, AUDIT_SEGMENT, is_genuine
from accounts_service.storage.chain import is_genuine_segment
from accounts_service.storage.sealed import BadKeysFileError, Place, Vault, Wrapping, named_key
from accounts_service.storage.statements import Statement, Value, given, insertion
from accounts_service.storage.tables import METADATA, NAME

# `name` is the id of a key, or `:mac` or `:fingerprint`.
KEY_CHECK = Table(
    "key_check",
    METADATA,
    Column("name", NAME, primary_key=True),
    Column("installation", NAME, nullable=False),
    Column("value", LargeBinary, nullable=False),
)

# The key of `Column.info` under which a column of envelopes has its `Sample`.
SAMPLE = "sealed"

# A database from before there were check values may hold a damaged row; one sound row proves the file.
_SAMPLED = 50

_LISTED = Statement(select(KEY_CHECK))
_INSERT = Statement(insertion(KEY_CHECK))
_DELETE = Statement(delete(KEY_CHECK).where(KEY_CHECK.c.name == given("name")))


class ForeignKeysFileError(BadKeysFileError):
    """The keys file belongs to another database; nothing was changed."""


class Sample(Protocol):
    """A column of envelopes."""

    def sample(self, connection: Connection) -> Iterator[tuple[Place, str]]:
        """Read some of its envelopes."""
        ...


def absent(connection: Connection, vault: Vault) -> list[dict[str, Value]] | None:
    """Return the check values that the database lacks; None if its schema has none yet.

    Raises ForeignKeysFileError if the keys are not those the database was written with.
    """
    tables = frozenset(inspect(connection).get_table_names())
    rows = _LISTED.run(connection, {}).all() if KEY_CHECK.name in tables else ()
    if not rows:
        _require_proof(connection, vault, tables)
    known = {row.name: row for row in rows}
    installation = rows[0].installation if rows else secrets.token_hex(16)
    values = vault.check_values(installation)
    if known:
        wrong = [name for name, value in values.items() if name in known and known[name].value != value]
        if wrong or not known.keys() & values.keys():
            raise ForeignKeysFileError(_is_another(vault, wrong, [*known]))
    if KEY_CHECK.name not in tables:
        return None
    return [
        {"name": name, "installation": installation, "value": value}
        for name, value in values.items()
        if name not in known
    ]


def names(connection: Connection) -> frozenset[str]:
    """Return the ids of the keys that have check values."""
    if not inspect(connection).has_table(KEY_CHECK.name):
        return frozenset()
    return frozenset(row.name for row in _LISTED.run(connection, {}))


def record(connection: Connection, vault: Vault) -> None:
    """Write the check values that are lacking.

    Raises ForeignKeysFileError. Of two processes that do so at once with different keys, one violates the primary key.
    """
    for values in absent(connection, vault) or ():
        _INSERT.run(connection, values)


def forget(connection: Connection, name: str) -> None:
    """Remove the check value of a key that is no longer in the keys file."""
    _DELETE.run(connection, {"name": name})


def _is_another(vault: Vault, wrong: list[str], known: list[str]) -> str:
    ids = sorted(name for name in known if not name.startswith(":"))
    kinds = [f"its {name[1:]} key" if name.startswith(":") else f"its key {name}" for name in sorted(wrong)]
    differs = f"{', '.join(kinds)} differ{'s' if len(kinds) == 1 else ''}" if kinds else "none of its keys is known"
    return (
        f"{vault.source} is not the keys file of this database: {differs}. It holds {', '.join(vault.keys)}; the"
        f" database was written with {', '.join(ids) or 'others'}. Nothing was changed. {_TODO}"
    )


_TODO = (
    "Restore the keys file of this database from its backup, or set ACCOUNTS_DATABASE_URL to the database that belongs"
    " to this keys file."
)


# -- Databases from before there were check values ------------------------------


def _require_proof(connection: Connection, vault: Vault, tables: frozenset[str]) -> None:
    for problem in (
        _problem_with_records(connection, vault, tables),
        _problem_with_envelopes(connection, vault, tables),
    ):
        if problem:
            text = f"{vault.source} does not fit what this database holds: {problem}. Nothing was changed. {_TODO}"
            raise ForeignKeysFileError(text)


def _problem_with_records(connection: Connection, vault: Vault, tables: frozenset[str]) -> str:
    if AUDIT_RECORD.name not in tables:
        return ""
    there = {column["name"] for column in inspect(connection).get_columns(AUDIT_RECORD.name)}
    columns = [column for column in AUDIT_RECORD.columns if column.name in there]
    # The first releases wrote records of one format only.
    form = () if "format" in there else (literal(1).label("format"),)
    newest = select(*columns, *form).order_by(AUDIT_RECORD.c.id.desc()).limit(_SAMPLED)
    records = connection.execute(newest).all()
    if records:
        genuine = any(is_genuine(vault, row) for row in records)
        return "" if genuine else f"its mac key has made none of the {len(records)} newest audit records"
    # All records may be gone because of their age.
    if AUDIT_SEGMENT.name not in tables:
        return ""
    segments = connection.execute(select(AUDIT_SEGMENT).limit(_SAMPLED)).all()
    if segments and not any(is_genuine_segment(vault, row) for row in segments):
        return "its mac key has made none of the audit segments"
    return ""


def _problem_with_envelopes(connection: Connection, vault: Vault, tables: frozenset[str]) -> str:
    # By key: a key that the file lacks can be brought back, one that differs was replaced.
    opened: defaultdict[str, list[bool]] = defaultdict(list)
    for sample in _samples(connection, tables):
        for place, envelope in sample.sample(connection):
            key = named_key(envelope)
            if key is not None and key in vault.keys:
                opened[key].append(vault.wrapped(place, envelope).wrapping is not Wrapping.UNDECRYPTABLE)
    wrong = sorted(key for key, outcomes in opened.items() if not any(outcomes))
    return f"no secret that names {', '.join(wrong)} opens" if wrong else ""


def _samples(connection: Connection, tables: frozenset[str]) -> Iterator[Sample]:
    for name in sorted(tables & METADATA.tables.keys()):
        table = METADATA.tables[name]
        sampled: list[Column[str]] = [column for column in table.columns if SAMPLE in column.info]
        # Not every column was there from the first release on.
        there = {column["name"] for column in inspect(connection).get_columns(name)} if sampled else set()
        for column in sampled:
            if {column.name, *table.primary_key.columns.keys()} <= there:
                yield column.info[SAMPLE]
