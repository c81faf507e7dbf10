"""Accounts, apps, tokens and codes of Mention, and on PostgreSQL the counts of attempts."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

NAME = sa.Text(collation="C").with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "mention_account",
        sa.Column("id", NAME, nullable=False),
        sa.Column("uid", NAME, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("email", sa.Text, nullable=False),
        sa.Column("email_folded", NAME, nullable=False),
        sa.Column("phone", sa.Text),
        sa.Column("language_code", NAME, nullable=False),
        sa.Column("client", sa.Text),
        sa.Column("sms_phone", sa.Text),
        sa.Column("password", NAME),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("updated_us", sa.BigInteger, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_mention_account"),
        sa.UniqueConstraint("uid", name="uq_mention_account_uid"),
        sa.UniqueConstraint("email_folded", name="uq_mention_account_email_folded"),
    )
    op.create_table(
        "mention_app",
        sa.Column("client_id", NAME, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("digest", NAME, nullable=False),
        sa.Column("callbacks", sa.Text, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("client_id", name="pk_mention_app"),
        sa.UniqueConstraint("number", name="uq_mention_app_number"),
    )
    op.create_table(
        "mention_token",
        sa.Column("id", NAME, nullable=False),
        sa.Column("account_id", NAME, nullable=False),
        sa.Column("client_id", NAME),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("digest", NAME, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("expires_us", sa.BigInteger),
        sa.Column("last_used_us", sa.BigInteger),
        sa.ForeignKeyConstraint(
            ["account_id"], ["mention_account.id"], name="fk_mention_token_account_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["client_id"], ["mention_app.client_id"], name="fk_mention_token_client_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_mention_token"),
        sa.UniqueConstraint("digest", name="uq_mention_token_digest"),
    )
    op.create_index("ix_mention_token_account_id", "mention_token", ["account_id"])
    op.create_index("ix_mention_token_client_id", "mention_token", ["client_id"])
    op.create_table(
        "mention_code",
        sa.Column("digest", NAME, nullable=False),
        sa.Column("client_id", NAME, nullable=False),
        sa.Column("account_id", NAME, nullable=False),
        sa.Column("redirect_uri", sa.Text, nullable=False),
        sa.Column("challenge", sa.Text),
        sa.Column("challenge_method", NAME),
        sa.Column("expires_us", sa.BigInteger, nullable=False),
        sa.Column("token_id", NAME),
        sa.ForeignKeyConstraint(
            ["account_id"], ["mention_account.id"], name="fk_mention_code_account_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["client_id"], ["mention_app.client_id"], name="fk_mention_code_client_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("digest", name="pk_mention_code"),
    )
    op.create_index("ix_mention_code_account_id", "mention_code", ["account_id"])
    op.create_index("ix_mention_code_client_id", "mention_code", ["client_id"])
    if op.get_bind().dialect.name == "postgresql":
        # No part of the accounts: what is lost with it is a quarter of an hour of counting. See storage/limits.py.
        op.create_table(
            "attempt",
            sa.Column("key", sa.Text, nullable=False),
            sa.Column("kind", sa.Text, nullable=False),
            sa.Column("subject", sa.Text, nullable=False),
            sa.Column("window_s", sa.BigInteger, nullable=False),
            sa.Column("since_s", sa.BigInteger, nullable=False),
            sa.Column("taken", sa.BigInteger, nullable=False),
            sa.Column("failed", sa.BigInteger, nullable=False),
            sa.Column("told", sa.BigInteger, nullable=False),
            sa.PrimaryKeyConstraint("key", name="pk_attempt"),
            prefixes=["UNLOGGED"],
        )


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.drop_table("attempt")
    for table in ("mention_code", "mention_token", "mention_app", "mention_account"):
        op.drop_table(table)
