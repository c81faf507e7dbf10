"""The one MetaData, and column types that mean the same on SQLite and PostgreSQL."""

from __future__ import annotations

from sqlalchemy import BigInteger, Integer, MetaData, Text

# Names for constraints, so that migrations can name what they change and races
# can be told apart by the constraint that answered them.
METADATA = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

# SQLite numbers rows by itself only for a column of exactly this type.
SERIAL = BigInteger().with_variant(Integer(), "sqlite")

# Order and equality by code point on both databases, whatever the server's locale.
NAME = Text(collation="C").with_variant(Text(), "sqlite")

# Microseconds since the epoch, UTC: the same bytes for a MAC on both databases.
MICROSECONDS = BigInteger()
