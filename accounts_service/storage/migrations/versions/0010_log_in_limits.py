"""On PostgreSQL the counts of failed log-ins, and the networks from which users have logged in."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # On SQLite they are in a file of their own. See storage/limits.py.
    if op.get_bind().dialect.name != "postgresql":
        return
    op.create_table(
        "log_in_failure",
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("ends_s", sa.BigInteger, nullable=False),
        sa.Column("failed", sa.BigInteger, nullable=False),
        sa.Column("pending", sa.BigInteger, nullable=False),
        sa.Column("asked_s", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_log_in_failure"),
        prefixes=["UNLOGGED"],
    )
    op.create_table(
        "known_network",
        sa.Column("whose", sa.Text, nullable=False),
        sa.Column("network", sa.Text, nullable=False),
        sa.Column("seen_s", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("whose", "network", name="pk_known_network"),
        prefixes=["UNLOGGED"],
    )


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.drop_table("known_network")
        op.drop_table("log_in_failure")
