"""How many mails to strangers were written, to whom and for whom."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

NAME = sa.Text(collation="C").with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "mail_limit",
        sa.Column("key", NAME, nullable=False),
        sa.Column("since_us", sa.BigInteger, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_mail_limit"),
    )
    op.create_index("ix_mail_limit_since_us", "mail_limit", ["since_us"])


def downgrade() -> None:
    op.drop_index("ix_mail_limit_since_us", "mail_limit")
    op.drop_table("mail_limit")
