"""The audit trail: one record for each change, written in the change's own transaction.

A record carries a keyed MAC over all its fields, object and version included,
each preceded by its length. Who can write the database but has no keys file
can neither edit a record nor make one up unnoticed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from sqlalchemy import BigInteger, Column, Index, LargeBinary, PrimaryKeyConstraint, Table, Text, text

from accounts_service.faults import Json
from accounts_service.storage.sealed import Vault
from accounts_service.storage.statements import Value, insertion
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

# Who was shown the secrets of what in which version, and when that was last recorded.
AUDIT_REVEAL = Table(
    "audit_reveal",
    METADATA,
    Column("actor", NAME, nullable=False),
    Column("uid", NAME, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("at_us", MICROSECONDS, nullable=False),
    PrimaryKeyConstraint("actor", "uid", "version"),
    Index(None, "at_us"),
)


@dataclass(frozen=True, slots=True)
class Author:
    """Who makes a change, and in which request."""

    realm: str
    name: str
    request_id: str


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


# Part of every change's own statement, its values under names that begin with `audit_`.
RECORDING = insertion(AUDIT_RECORD, prefix="audit_", leaving=("format", "number", "link"))


def record(vault: Vault, author: Author, change: Change, at_us: int) -> dict[str, Value]:
    """Make the values of RECORDING for `change`."""
    row: dict[str, str | int] = {
        "at_us": at_us,
        "family": change.family,
        "tenant": change.tenant,
        "realm": author.realm,
        "actor": author.name,
        "act": change.act,
        "object": change.object,
        "uid": change.uid,
        "version": change.version,
        "detail": json.dumps(change.detail, ensure_ascii=False, sort_keys=True),
        "request_id": author.request_id,
    }
    mac = vault.mac("audit", *row.values())
    return {"audit_mac": mac, **{f"audit_{name}": value for name, value in row.items()}}
