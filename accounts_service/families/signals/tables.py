"""The tables of Signals accounts."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, PrimaryKeyConstraint, Table, Text, UniqueConstraint

from accounts_service.storage.tables import METADATA, MICROSECONDS, NAME

# `tenant` is empty for a global account. `attributes` and `secrets` are JSON
# objects; each value in `secrets` is an envelope (storage/sealed.py). `owner` is the reference of the principal of
# `realm` that the account is counted for, as its creator; null for one from a release that did not count.
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
    Column("realm", NAME),
    Column("owner", NAME),
    UniqueConstraint("tenant", "type", "name"),
)

# What searches find: a row for each value of an account that is no secret. It
# holds for one version, so that a statement can write the new ones beside the
# old, and that what a release before us wrote is not found by what it was.
# `folded` is `value` without regard to case, `rank` its text in sorting.
ACCOUNT_TERM = Table(
    "signals_account_term",
    METADATA,
    Column("uid", NAME, ForeignKey("signals_account.uid", ondelete="CASCADE"), nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("field", NAME, nullable=False),
    Column("value", NAME, nullable=False),
    Column("folded", NAME, nullable=False),
    Column("rank", NAME, nullable=False),
    PrimaryKeyConstraint("uid", "version", "number"),
    Index(None, "field", "folded"),
)

# Every state an account was in; both texts are null for a deletion. The newest
# row of a name says which version comes next, so none comes twice. `realm` and `writer` say for which principal the
# bytes of a state are counted, as `owner` does.
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
    Column("realm", NAME),
    Column("writer", NAME),
    PrimaryKeyConstraint("tenant", "type", "name", "version"),
    Index(None, "at_us"),
)

# A row a name, whatever the types it is used with: what the preview's form locks.
ACCOUNT_NAME = Table(
    "signals_account_name",
    METADATA,
    Column("tenant", NAME, nullable=False),
    Column("name", NAME, nullable=False),
    PrimaryKeyConstraint("tenant", "name"),
)

# Who uses an account. An account that is used cannot be deleted, and it is the
# constraint that says so: a look beforehand would miss who comes right after it.
ACCOUNT_REFERENCE = Table(
    "signals_account_reference",
    METADATA,
    Column("uid", NAME, primary_key=True),
    Column("account_uid", NAME, ForeignKey("signals_account.uid", ondelete="RESTRICT"), nullable=False),
    Column("referrer", NAME, nullable=False),
    Column("at_us", MICROSECONDS, nullable=False),
    UniqueConstraint("account_uid", "referrer"),
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
    Index(None, "tenant", "deleted_us"),
    Index(None, "deleted_us"),
)
