"""Mails that wait to be sent."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

NAME = sa.Text(collation="C").with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "outbox_message",
        sa.Column("uid", NAME, nullable=False),
        sa.Column("message_id", sa.Text, nullable=False),
        sa.Column("sealed", sa.Text, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("due_us", sa.BigInteger, nullable=False),
        sa.Column("attempts", sa.BigInteger, nullable=False),
        sa.Column("lease", NAME),
        sa.Column("lease_us", sa.BigInteger),
        sa.Column("failed_us", sa.BigInteger),
        sa.Column("last_error", sa.Text),
        sa.PrimaryKeyConstraint("uid", name="pk_outbox_message"),
    )
    op.create_index("ix_outbox_message_failed_us_due_us", "outbox_message", ["failed_us", "due_us"])


def downgrade() -> None:
    op.drop_index("ix_outbox_message_failed_us_due_us", "outbox_message")
    op.drop_table("outbox_message")
