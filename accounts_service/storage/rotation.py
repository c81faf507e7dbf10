"""The rotation of keys: which process knows which keys, and how far secrets are wrapped anew."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Table, Text

from accounts_service.storage.tables import METADATA, MICROSECONDS, NAME

# Every process that seals or opens, as it last reported. `keys` is a JSON list of the ids that it holds.
PROCESS = Table(
    "process",
    METADATA,
    Column("uid", NAME, primary_key=True),
    Column("kind", NAME, nullable=False),
    Column("host", Text, nullable=False),
    Column("pid", BigInteger, nullable=False),
    Column("keys", Text, nullable=False),
    Column("active", NAME, nullable=False),
    Column("seen_us", MICROSECONDS, nullable=False),
)

# `place` is a JSON object: where the next batch begins.
REWRAPPING = Table(
    "rewrapping",
    METADATA,
    Column("target", NAME, primary_key=True),
    Column("place", Text, nullable=False),
    Column("changed", BigInteger, nullable=False),
    Column("started_us", MICROSECONDS, nullable=False),
    Column("finished_us", MICROSECONDS),
)
