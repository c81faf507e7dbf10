"""The audit trail: one record for each change, written in the change's own transaction.

A record carries a keyed MAC over all its fields, object and version included,
each preceded by its length. Who can write the database but has no keys file
can neither edit a record nor make one up unnoticed.

Names stand apart: a record holds a reference, so that a person can be forgotten
and everything that was ever made over his records still holds. Records of
format 1, from before, hold the names themselves and stay good.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    Row,
    Table,
    Text,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import insert as upsert  # SQLite writes it the same way

from accounts_service.faults import Json
from accounts_service.storage.lists import listed, texts
from accounts_service.storage.sealed import Vault
from accounts_service.storage.statements import Statement, Value, given, insertion
from accounts_service.storage.tables import METADATA, MICROSECONDS, NAME, SERIAL

AUDIT_RECORD = Table(
    "audit_record",
    METADATA,
    Column("id", SERIAL, primary_key=True),
    Column("at_us", MICROSECONDS, nullable=False),
    Column("family", NAME, nullable=False),
    Column("tenant", NAME, nullable=False),
    Column("realm", NAME, nullable=False),
    Column("actor", Text, nullable=False),
    Column("act", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("uid", NAME, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("detail", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("mac", LargeBinary, nullable=False),
    Column("format", BigInteger, nullable=False, server_default="1"),
    Column("number", BigInteger),
    Column("link", LargeBinary),
    Index(None, "tenant", "number", unique=True),
    Index(
        "ix_audit_record_unsealed", "id", postgresql_where=text("number IS NULL"), sqlite_where=text("number IS NULL")
    ),
    Index(None, "actor", "id"),
    Index(None, "object", "id"),
    Index(None, "uid", "version"),
    Index(None, "at_us"),
)


# Who did it and to what, apart from the records, so that a name can be forgotten and the chain holds. `ref` is a MAC
# over the others; `kind` is `actor`, in the space of a realm, or `object`, in that of a family.
AUDIT_NAME = Table(
    "audit_name",
    METADATA,
    Column("ref", NAME, primary_key=True),
    Column("kind", NAME, nullable=False),
    Column("space", NAME, nullable=False),
    Column("name", Text, nullable=False),
    Index(None, "kind", "space"),
)

# How far the records of a tenant are sealed, and with what link.
AUDIT_HEAD = Table(
    "audit_head",
    METADATA,
    Column("tenant", NAME, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("link", LargeBinary, nullable=False),
)

# Records that are gone because of their age: from number `first` to `last`, whose link the next one goes on from.
AUDIT_SEGMENT = Table(
    "audit_segment",
    METADATA,
    Column("tenant", NAME, nullable=False),
    Column("last", BigInteger, nullable=False),
    Column("first", BigInteger, nullable=False),
    Column("link", LargeBinary, nullable=False),
    Column("removed_us", MICROSECONDS, nullable=False),
    Column("mac", LargeBinary, nullable=False),
    PrimaryKeyConstraint("tenant", "last"),
)

# The newest version and object of what is still there though none of its records is.
AUDIT_LAST = Table(
    "audit_last",
    METADATA,
    Column("uid", NAME, primary_key=True),
    Column("family", NAME, nullable=False),
    Column("tenant", NAME, nullable=False),
    Column("object", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("format", BigInteger, nullable=False),
    Column("mac", LargeBinary, nullable=False),
)

# Who was shown the secrets of what in which version, and when that was last recorded. `mac` is over the others, so that
# nobody keeps a reveal out of the trail by a row of his own.
AUDIT_REVEAL = Table(
    "audit_reveal",
    METADATA,
    Column("actor", NAME, nullable=False),
    Column("uid", NAME, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("at_us", MICROSECONDS, nullable=False),
    Column("mac", NAME, nullable=False),
    PrimaryKeyConstraint("actor", "uid", "version"),
    Index(None, "at_us"),
)


@dataclass(frozen=True, slots=True)
class Author:
    """Who makes a change, and in which request; and the attributes that the request named in vain.

    `uids`: at the command line, by what names which users of the system are behind the actor.
    """

    realm: str
    name: str
    request_id: str
    ignored: tuple[str, ...] = ()
    uids: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """What was changed. `detail` names attributes, never their secret values."""

    family: str
    tenant: str
    act: str
    object: str
    uid: str
    version: int
    detail: dict[str, Json]


ACTOR, OBJECT = "actor", "object"
FORMAT = 2

# What the MAC is made over, in this order, forever: records outlive releases.
_FIELDS = ("at_us", "family", "tenant", "realm", "actor", "act", "object", "uid", "version", "detail", "request_id")
_TYPES = [AUDIT_RECORD.c[name].type.python_type for name in _FIELDS]
_LABELS = {1: "audit", 2: "audit/2"}

# Parts of every change's own statement, their values under names that begin with `audit_`. A name is written with
# each record, and is nearly always there.
RECORDING = insertion(AUDIT_RECORD, prefix="audit_", leaving=("number", "link"))
NAMING = (
    upsert(AUDIT_NAME)
    .values(
        [
            {"ref": given(f"audit_{kind}"), "kind": kind, "space": given(space), "name": given(f"audit_{kind}_name")}
            for kind, space in ((ACTOR, "audit_realm"), (OBJECT, "audit_family"))
        ]
    )
    .on_conflict_do_nothing()
)


def record(vault: Vault, author: Author, change: Change, at_us: int, actor: str | None = None) -> dict[str, Value]:
    """Make the values of RECORDING and NAMING for `change`; `actor` is the author's reference where it is known."""
    detail = change.detail | ({"ignored": [*author.ignored]} if author.ignored else {}) | dict(author.uids)
    row: dict[str, str | int] = {
        "at_us": at_us,
        "family": change.family,
        "tenant": change.tenant,
        "realm": author.realm,
        "actor": actor or reference(vault, ACTOR, author.realm, author.name),
        "act": change.act,
        "object": reference(vault, OBJECT, change.family, change.object),
        "uid": change.uid,
        "version": change.version,
        "detail": json.dumps(detail, ensure_ascii=False, sort_keys=True),
        "request_id": author.request_id,
    }
    return {
        "audit_mac": vault.mac(_LABELS[FORMAT], *row.values()),
        "audit_format": FORMAT,
        "audit_actor_name": author.name,
        "audit_object_name": change.object,
        **{f"audit_{name}": value for name, value in row.items()},
    }


def reference(vault: Vault, kind: str, space: str, name: str) -> str:
    """Make what stands for a name in records. Without the key nobody finds the name by trying."""
    mac = vault.mac("audit/name", kind, space, name)[:16]
    return base64.urlsafe_b64encode(mac).rstrip(b"=").decode("ascii")


def is_genuine(vault: Vault, row: Row[Any]) -> bool:
    """Tell whether a record is as it was written. A number is no text of its digits, though the MAC is the same."""
    label = _LABELS.get(row.format)
    values = [getattr(row, name) for name in _FIELDS]
    if label is None or [*map(type, values)] != _TYPES:
        return False
    return bool(row.mac == vault.mac(label, *values))


# Records that say which version something has got. Those of what was shown name a version, too, and make none.
COUNTED = (AUDIT_RECORD.c.version > 0) & ~AUDIT_RECORD.c.act.like("%/reveal")


def is_counted(row: Row[Any]) -> bool:
    """Tell of a record what COUNTED asks of the database."""
    return row.version > 0 and not row.act.endswith("/reveal")


_NAMES_LISTED = Statement(select(AUDIT_NAME).where(AUDIT_NAME.c.ref.in_(texts(given("refs")))))


def names_of(connection: Connection, rows: Iterable[Row[Any]]) -> dict[str, Row[Any]]:
    """Read the names that some records refer to, by reference."""
    refs = {ref for row in rows if row.format == FORMAT for ref in (row.actor, row.object) if isinstance(ref, str)}
    found = _NAMES_LISTED.run(connection, {"refs": listed([ref] for ref in sorted(refs))}) if refs else ()
    return {row.ref: row for row in found}
