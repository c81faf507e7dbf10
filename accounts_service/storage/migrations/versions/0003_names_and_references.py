"""Names that the preview's form locks; who uses an account."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

NAME = sa.Text(collation="C").with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "signals_account_name",
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "name", name="pk_signals_account_name"),
    )
    op.create_table(
        "signals_account_reference",
        sa.Column("uid", NAME, nullable=False),
        sa.Column("account_uid", NAME, nullable=False),
        sa.Column("referrer", NAME, nullable=False),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(
            ["account_uid"],
            ["signals_account.uid"],
            name="fk_signals_account_reference_account_uid",
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("uid", name="pk_signals_account_reference"),
        sa.UniqueConstraint("account_uid", "referrer", name="uq_signals_account_reference_account_uid_referrer"),
    )


def downgrade() -> None:
    op.drop_table("signals_account_reference")
    op.drop_table("signals_account_name")
