"""Seals, names and reveals of the audit trail; processes and their keys; answers by Idempotency-Key; what is kept."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

NAME = sa.Text(collation="C").with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    if "format" not in {column["name"] for column in sa.inspect(op.get_bind()).get_columns("audit_record")}:
        extend_the_trail()
    op.create_table(
        "audit_reveal",
        sa.Column("actor", NAME, nullable=False),
        sa.Column("uid", NAME, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("mac", NAME, nullable=False),
        sa.PrimaryKeyConstraint("actor", "uid", "version", name="pk_audit_reveal"),
    )
    op.create_index("ix_audit_reveal_at_us", "audit_reveal", ["at_us"])
    op.create_table(
        "process",
        sa.Column("uid", NAME, nullable=False),
        sa.Column("kind", NAME, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("pid", sa.BigInteger, nullable=False),
        sa.Column("keys", sa.Text, nullable=False),
        sa.Column("active", NAME, nullable=False),
        sa.Column("active_since_us", sa.BigInteger, nullable=False),
        sa.Column("seen_us", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("uid", name="pk_process"),
    )
    op.create_table(
        "rewrapping",
        sa.Column("target", NAME, nullable=False),
        sa.Column("place", sa.Text, nullable=False),
        sa.Column("changed", sa.BigInteger, nullable=False),
        sa.Column("started_us", sa.BigInteger, nullable=False),
        sa.Column("finished_us", sa.BigInteger),
        sa.PrimaryKeyConstraint("target", name="pk_rewrapping"),
    )
    op.create_table(
        "idempotency",
        sa.Column("digest", NAME, nullable=False),
        sa.Column("body", NAME, nullable=False),
        sa.Column("answer", sa.Text),
        sa.Column("expires_us", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_idempotency"),
    )
    op.create_index("ix_idempotency_expires_us", "idempotency", ["expires_us"])
    if op.get_bind().dialect.name == "postgresql":
        # No part of the accounts, as the table of attempts is none. See storage/limits.py.
        op.create_table(
            "tally",
            sa.Column("kind", sa.Text, nullable=False),
            sa.Column("since_s", sa.BigInteger, nullable=False),
            sa.Column("subject", sa.Text, nullable=False),
            sa.Column("number", sa.BigInteger, nullable=False),
            sa.PrimaryKeyConstraint("kind", "since_s", "subject", name="pk_tally"),
            prefixes=["UNLOGGED"],
        )
    op.create_index("ix_signals_account_version_at_us", "signals_account_version", ["at_us"])
    op.create_index("ix_signals_account_bin_tenant_deleted_us", "signals_account_bin", ["tenant", "deleted_us"])
    op.create_index("ix_signals_account_bin_deleted_us", "signals_account_bin", ["deleted_us"])


def extend_the_trail() -> None:
    """Make numbers, links and names of the audit trail, unless a downgrade has kept them."""
    # Records from before, and those that a release before this one writes beside it, are of format 1.
    op.add_column("audit_record", sa.Column("format", sa.BigInteger, nullable=False, server_default="1"))
    op.add_column("audit_record", sa.Column("number", sa.BigInteger))
    op.add_column("audit_record", sa.Column("link", sa.LargeBinary))
    op.create_index("ix_audit_record_tenant_number", "audit_record", ["tenant", "number"], unique=True)
    unsealed = sa.text("number IS NULL")
    op.create_index(
        "ix_audit_record_unsealed", "audit_record", ["id"], postgresql_where=unsealed, sqlite_where=unsealed
    )
    op.create_index("ix_audit_record_actor_id", "audit_record", ["actor", "id"])
    op.create_index("ix_audit_record_object_id", "audit_record", ["object", "id"])
    op.create_index("ix_audit_record_uid_version", "audit_record", ["uid", "version"])
    op.create_index("ix_audit_record_at_us", "audit_record", ["at_us"])
    op.create_table(
        "audit_name",
        sa.Column("ref", NAME, nullable=False),
        sa.Column("kind", NAME, nullable=False),
        sa.Column("space", NAME, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("ref", name="pk_audit_name"),
    )
    op.create_index("ix_audit_name_kind_space", "audit_name", ["kind", "space"])
    op.create_table(
        "audit_head",
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("link", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("tenant", name="pk_audit_head"),
    )
    op.create_table(
        "audit_segment",
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("last", sa.BigInteger, nullable=False),
        sa.Column("first", sa.BigInteger, nullable=False),
        sa.Column("link", sa.LargeBinary, nullable=False),
        sa.Column("removed_us", sa.BigInteger, nullable=False),
        sa.Column("mac", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "last", name="pk_audit_segment"),
    )
    op.create_table(
        "audit_last",
        sa.Column("uid", NAME, nullable=False),
        sa.Column("family", NAME, nullable=False),
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("object", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("format", sa.BigInteger, nullable=False),
        sa.Column("mac", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("uid", name="pk_audit_last"),
    )


def downgrade() -> None:
    # What belongs to the audit trail stays: without names, numbers and links nothing could be said any more of what was
    # recorded. Older releases do not look at them, and what they record is of format 1 by default.
    if op.get_bind().dialect.name == "postgresql":
        op.drop_table("tally")
    # An envelope whose data key was wrapped anew is the same but for its first word, which older releases do not know.
    for table in ("signals_account", "signals_account_version", "signals_account_bin"):
        # No attribute's name begins like that, and within a value there are no quotes.
        op.execute(
            f"""UPDATE {table} SET secrets = replace(secrets, '"v1r.', '"v1.') WHERE secrets LIKE '%"v1r.%'"""  # noqa: S608  # our names
        )
    for table in ("wavefront_token", "outbox_message"):
        op.execute(f"UPDATE {table} SET sealed = 'v1.' || substr(sealed, 5) WHERE sealed LIKE 'v1r.%'")  # noqa: S608  # our names
    op.drop_index("ix_signals_account_bin_deleted_us", "signals_account_bin")
    op.drop_index("ix_signals_account_bin_tenant_deleted_us", "signals_account_bin")
    op.drop_index("ix_signals_account_version_at_us", "signals_account_version")
    for table in (
        "idempotency",
        "rewrapping",
        "process",
        "audit_reveal",
    ):
        op.drop_table(table)
