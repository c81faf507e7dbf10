"""Tables of the counts that lie beside the accounts; see limits.py."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, MetaData, PrimaryKeyConstraint, Table, Text

_METADATA = MetaData()

# `key` is a MAC over a network, a user name or both. `failed` counts wrong passwords of the window that ends at
# `ends_s`, `pending` the checks that have not ended, the last of which began at `asked_s`.
LOG_IN_FAILURE = Table(
    "log_in_failure",
    _METADATA,
    Column("key", Text, primary_key=True),
    Column("ends_s", BigInteger, nullable=False),
    Column("failed", BigInteger, nullable=False),
    Column("pending", BigInteger, nullable=False),
    Column("asked_s", BigInteger, nullable=False),
    prefixes=["UNLOGGED"],
)

# From which networks a user has logged in by password, and when last. Both columns are MACs.
KNOWN_NETWORK = Table(
    "known_network",
    _METADATA,
    Column("whose", Text, nullable=False),
    Column("network", Text, nullable=False),
    Column("seen_s", BigInteger, nullable=False),
    PrimaryKeyConstraint("whose", "network"),
    prefixes=["UNLOGGED"],
)

# For SQLite, whose file is made when it is first used.
SQLITE = (
    """CREATE TABLE IF NOT EXISTS log_in_failure (
    key TEXT PRIMARY KEY, ends_s INTEGER NOT NULL, failed INTEGER NOT NULL, pending INTEGER NOT NULL,
    asked_s INTEGER NOT NULL
) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS known_network (
    whose TEXT NOT NULL, network TEXT NOT NULL, seen_s INTEGER NOT NULL, PRIMARY KEY (whose, network)
) WITHOUT ROWID""",
)
