"""The audit trail: one record for each change, written in the change's own transaction.

A record carries a keyed MAC over all its fields, object and version included,
each preceded by its length. Who can write the database but has no keys file
can neither edit a record nor make one up unnoticed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from sqlalchemy import BigInteger, Column, LargeBinary, Table, Text

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
RECORDING = insertion(AUDIT_RECORD, prefix="audit_")


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
