"""Signals accounts, their versions and their bin; the audit trail."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

NAME = sa.Text(collation="C").with_variant(sa.Text(), "sqlite")
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "audit_record",
        sa.Column("id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("family", NAME, nullable=False),
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("realm", NAME, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("act", sa.Text, nullable=False),
        sa.Column("object", sa.Text, nullable=False),
        sa.Column("uid", NAME, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("mac", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_record"),
    )
    op.create_table(
        "signals_account",
        sa.Column("uid", NAME, nullable=False),
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("type", NAME, nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("attributes", sa.Text, nullable=False),
        sa.Column("secrets", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("uid", name="pk_signals_account"),
        sa.UniqueConstraint("tenant", "type", "name", name="uq_signals_account_tenant_type_name"),
    )
    op.create_table(
        "signals_account_version",
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("type", NAME, nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("uid", NAME, nullable=False),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("attributes", sa.Text),
        sa.Column("secrets", sa.Text),
        sa.PrimaryKeyConstraint("tenant", "type", "name", "version", name="pk_signals_account_version"),
    )
    op.create_table(
        "signals_account_bin",
        sa.Column("uid", NAME, nullable=False),
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("type", NAME, nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("attributes", sa.Text, nullable=False),
        sa.Column("secrets", sa.Text, nullable=False),
        sa.Column("deleted_us", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("uid", name="pk_signals_account_bin"),
    )


def downgrade() -> None:
    op.drop_table("signals_account_bin")
    op.drop_table("signals_account_version")
    op.drop_table("signals_account")
    op.drop_table("audit_record")
    # What later revisions added to the trail goes with it, and not before.
    for table in ("audit_name", "audit_head", "audit_segment", "audit_last"):
        op.execute(f"DROP TABLE IF EXISTS {table}")
