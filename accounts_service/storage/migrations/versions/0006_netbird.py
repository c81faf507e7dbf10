"""Accounts, users, tokens and events of NetBird."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

NAME = sa.Text(collation="C").with_variant(sa.Text(), "sqlite")
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "netbird_account",
        sa.Column("id", NAME, nullable=False),
        sa.Column("domain", NAME, nullable=False),
        sa.Column("domain_category", NAME, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("created_by", NAME, nullable=False),
        sa.Column("settings", sa.Text, nullable=False),
        sa.Column("onboarding", sa.Text),
        sa.Column("network_range", NAME, nullable=False),
        sa.Column("network_range_v6", NAME, nullable=False),
        sa.Column("all_group", NAME, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_netbird_account"),
    )
    op.create_table(
        "netbird_event",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("account_id", NAME, nullable=False),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("code", NAME, nullable=False),
        sa.Column("initiator_id", NAME, nullable=False),
        sa.Column("initiator_name", sa.Text, nullable=False),
        sa.Column("initiator_email", sa.Text, nullable=False),
        sa.Column("target_id", NAME, nullable=False),
        sa.Column("meta", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_netbird_event"),
    )
    op.create_index("ix_netbird_event_account_id_id", "netbird_event", ["account_id", "id"])
    op.create_table(
        "netbird_primary",
        sa.Column("domain", NAME, nullable=False),
        sa.Column("account_id", NAME, nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["netbird_account.id"], name="fk_netbird_primary_account_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("domain", name="pk_netbird_primary"),
    )
    op.create_index("ix_netbird_primary_account_id", "netbird_primary", ["account_id"])
    op.create_table(
        "netbird_user",
        sa.Column("id", NAME, nullable=False),
        sa.Column("uid", NAME, nullable=False),
        sa.Column("account_id", NAME, nullable=False),
        sa.Column("role", NAME, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("email", sa.Text, nullable=False),
        sa.Column("service_user", sa.BigInteger, nullable=False),
        sa.Column("auto_groups", sa.Text, nullable=False),
        sa.Column("blocked", sa.BigInteger, nullable=False),
        sa.Column("pending", sa.BigInteger, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("last_login_us", sa.BigInteger),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["netbird_account.id"], name="fk_netbird_user_account_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_netbird_user"),
        sa.UniqueConstraint("uid", name="uq_netbird_user_uid"),
    )
    op.create_index("ix_netbird_user_account_id", "netbird_user", ["account_id"])
    op.create_table(
        "netbird_token",
        sa.Column("id", NAME, nullable=False),
        sa.Column("user_id", NAME, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("digest", NAME, nullable=False),
        sa.Column("created_by", NAME, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("expires_us", sa.BigInteger, nullable=False),
        sa.Column("last_used_us", sa.BigInteger),
        sa.ForeignKeyConstraint(["user_id"], ["netbird_user.id"], name="fk_netbird_token_user_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_netbird_token"),
        sa.UniqueConstraint("digest", name="uq_netbird_token_digest"),
    )
    op.create_index("ix_netbird_token_user_id", "netbird_token", ["user_id"])


def downgrade() -> None:
    op.drop_table("netbird_token")
    op.drop_table("netbird_user")
    op.drop_table("netbird_primary")
    op.drop_table("netbird_event")
    op.drop_table("netbird_account")
