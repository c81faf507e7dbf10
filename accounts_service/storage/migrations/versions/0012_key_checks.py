"""Check values of the keys."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

NAME = sa.Text(collation="C").with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "key_check",
        sa.Column("name", NAME, nullable=False),
        sa.Column("installation", NAME, nullable=False),
        sa.Column("value", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_key_check"),
    )


def downgrade() -> None:
    # The upgrade makes them anew, from a keys file that proves itself on what is stored.
    op.drop_table("key_check")
