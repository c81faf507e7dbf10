"""What tenants and principals have stored, and for whom accounts and their versions are counted."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

NAME = sa.Text(collation="C").with_variant(sa.Text(), "sqlite")

COLUMNS = {"signals_account": ("realm", "owner"), "signals_account_version": ("realm", "writer")}


def upgrade() -> None:
    for table, columns in COLUMNS.items():
        for column in columns:
            op.add_column(table, sa.Column(column, NAME))
    op.create_table(
        "quota_usage",
        sa.Column("kind", NAME, nullable=False),
        sa.Column("space", NAME, nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("objects", sa.BigInteger, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("kind", "space", "name", name="pk_quota_usage"),
    )
    account, version, usage = (
        sa.table(name, *map(sa.column, columns))
        for name, columns in (
            ("signals_account", ("tenant",)),
            ("signals_account_version", ("tenant", "attributes", "secrets")),
            ("quota_usage", ("kind", "space", "name", "objects", "bytes")),
        )
    )
    size = octets(version.c.attributes) + octets(version.c.secrets)
    # What is there counts for its tenant; for which principal is not known.
    stored = sa.union_all(
        sa.select(account.c.tenant, sa.literal(1).label("objects"), sa.literal(0).label("bytes")),
        sa.select(version.c.tenant, sa.literal(0), size),
    ).subquery()
    of_tenant = (sa.literal("tenant"), sa.literal("signals"), stored.c.tenant)
    sums = (sa.func.sum(stored.c.objects), sa.func.sum(stored.c.bytes))
    op.execute(usage.insert().from_select([*usage.c.keys()], sa.select(*of_tenant, *sums).group_by(stored.c.tenant)))


def octets(column: sa.ColumnElement[str]) -> sa.ColumnElement[int]:
    """Return the bytes of a text; 0 for null."""
    if op.get_bind().dialect.name == "sqlite":
        return sa.func.coalesce(sa.func.length(sa.cast(column, sa.LargeBinary)), 0)
    return sa.func.coalesce(sa.func.octet_length(column), 0)


def downgrade() -> None:
    op.drop_table("quota_usage")
    for table, columns in COLUMNS.items():
        for column in columns:
            op.drop_column(table, column)
