"""The tables of Signals accounts."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, PrimaryKeyConstraint, Table, Text, UniqueConstraint

from accounts_service.storage.tables import METADATA, MICROSECONDS, NAME

# `tenant` is empty for a global account. `attributes` and `secrets` are JSON
# objects; each value in `secrets` is an envelope (storage/sealed.py).
ACCOUNT = Table(
    "signals_account",
    METADATA,
    Column("uid", NAME, primary_key=True),
    Column("tenant", NAME, nullable=False),
    Column("type", NAME, nullable=False),
    Column("name", NAME, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("attributes", Text, nullable=False),
    Column("secrets", Text, nullable=False),
    UniqueConstraint("tenant", "type", "name"),
)

# Every state an account was in; both texts are null for a deletion. The newest
# row of a name says which version comes next, so none comes twice.
ACCOUNT_VERSION = Table(
    "signals_account_version",
    METADATA,
    Column("tenant", NAME, nullable=False),
    Column("type", NAME, nullable=False),
    Column("name", NAME, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("uid", NAME, nullable=False),
    Column("at_us", MICROSECONDS, nullable=False),
    Column("attributes", Text),
    Column("secrets", Text),
    PrimaryKeyConstraint("tenant", "type", "name", "version"),
)

ACCOUNT_BIN = Table(
    "signals_account_bin",
    METADATA,
    Column("uid", NAME, primary_key=True),
    Column("tenant", NAME, nullable=False),
    Column("type", NAME, nullable=False),
    Column("name", NAME, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("attributes", Text, nullable=False),
    Column("secrets", Text, nullable=False),
    Column("deleted_us", MICROSECONDS, nullable=False),
)
