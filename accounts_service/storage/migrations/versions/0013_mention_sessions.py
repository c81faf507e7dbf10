"""Sessions of Mention's pages, so that signing out and a new password end them."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

NAME = sa.Text(collation="C").with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "mention_session",
        sa.Column("digest", NAME, nullable=False),
        sa.Column("account_id", NAME, nullable=False),
        sa.Column("expires_us", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_mention_session"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["mention_account.id"], name="fk_mention_session_account_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_mention_session_account_id", "mention_session", ["account_id"])


def downgrade() -> None:
    op.drop_table("mention_session")
