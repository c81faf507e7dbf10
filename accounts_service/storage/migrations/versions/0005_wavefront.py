"""Accounts, user groups, roles and tokens of Wavefront."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

NAME = sa.Text(collation="C").with_variant(sa.Text(), "sqlite")

GROUP_COLUMNS = ("uid", "name", "description", "system", "created_us", "version")
SYSTEM_GROUPS = (
    ("5f3b2d1e-8c0a-4d65-9f0e-3f6f2b7c1a01", "Everyone", "System group which contains all users", "everyone"),
    (
        "5f3b2d1e-8c0a-4d65-9f0e-3f6f2b7c1a02",
        "Service Accounts",
        "System group which contains all service accounts",
        "service_accounts",
    ),
)


def upgrade() -> None:
    op.create_table(
        "wavefront_account",
        sa.Column("uid", NAME, nullable=False),
        sa.Column("identifier", NAME, nullable=False),
        sa.Column("folded", NAME, nullable=False),
        sa.Column("kind", NAME, nullable=False),
        sa.Column("active", sa.BigInteger, nullable=False),
        sa.Column("description", sa.Text),
        sa.Column("sso_id", sa.Text),
        sa.Column("last_login_us", sa.BigInteger),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("uid", name="pk_wavefront_account"),
        sa.UniqueConstraint("folded", name="uq_wavefront_account_folded"),
    )
    op.create_index("ix_wavefront_account_kind_folded", "wavefront_account", ["kind", "folded"])
    op.create_table(
        "wavefront_group",
        sa.Column("uid", NAME, nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("description", sa.Text),
        sa.Column("system", NAME, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("uid", name="pk_wavefront_group"),
    )
    group = sa.table("wavefront_group", *map(sa.column, GROUP_COLUMNS))
    op.bulk_insert(group, [dict(zip(GROUP_COLUMNS, (*row, 0, 1), strict=True)) for row in SYSTEM_GROUPS])
    op.create_table(
        "wavefront_role",
        sa.Column("uid", NAME, nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("description", sa.Text),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("updated_us", sa.BigInteger, nullable=False),
        sa.Column("updated_by", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("uid", name="pk_wavefront_role"),
        sa.UniqueConstraint("name", name="uq_wavefront_role_name"),
    )
    op.create_table(
        "wavefront_account_group",
        sa.Column("account_uid", NAME, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("group_uid", NAME, nullable=False),
        sa.ForeignKeyConstraint(
            ["account_uid"],
            ["wavefront_account.uid"],
            name="fk_wavefront_account_group_account_uid",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["group_uid"],
            ["wavefront_group.uid"],
            name="fk_wavefront_account_group_group_uid",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("account_uid", "group_uid", name="pk_wavefront_account_group"),
    )
    op.create_index(
        "ix_wavefront_account_group_group_uid_account_uid", "wavefront_account_group", ["group_uid", "account_uid"]
    )
    op.create_table(
        "wavefront_account_permission",
        sa.Column("account_uid", NAME, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("permission", NAME, nullable=False),
        sa.ForeignKeyConstraint(
            ["account_uid"],
            ["wavefront_account.uid"],
            name="fk_wavefront_account_permission_account_uid",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("account_uid", "permission", name="pk_wavefront_account_permission"),
    )
    op.create_index("ix_wavefront_account_permission_permission", "wavefront_account_permission", ["permission"])
    op.create_table(
        "wavefront_account_role",
        sa.Column("account_uid", NAME, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("role_uid", NAME, nullable=False),
        sa.ForeignKeyConstraint(
            ["account_uid"],
            ["wavefront_account.uid"],
            name="fk_wavefront_account_role_account_uid",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["role_uid"], ["wavefront_role.uid"], name="fk_wavefront_account_role_role_uid", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("account_uid", "role_uid", name="pk_wavefront_account_role"),
    )
    op.create_index(
        "ix_wavefront_account_role_role_uid_account_uid", "wavefront_account_role", ["role_uid", "account_uid"]
    )
    op.create_table(
        "wavefront_group_role",
        sa.Column("group_uid", NAME, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("role_uid", NAME, nullable=False),
        sa.ForeignKeyConstraint(
            ["group_uid"], ["wavefront_group.uid"], name="fk_wavefront_group_role_group_uid", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["role_uid"], ["wavefront_role.uid"], name="fk_wavefront_group_role_role_uid", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("group_uid", "role_uid", name="pk_wavefront_group_role"),
    )
    op.create_index("ix_wavefront_group_role_role_uid_group_uid", "wavefront_group_role", ["role_uid", "group_uid"])
    op.create_table(
        "wavefront_role_permission",
        sa.Column("role_uid", NAME, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("permission", NAME, nullable=False),
        sa.ForeignKeyConstraint(
            ["role_uid"], ["wavefront_role.uid"], name="fk_wavefront_role_permission_role_uid", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("role_uid", "permission", name="pk_wavefront_role_permission"),
    )
    op.create_index("ix_wavefront_role_permission_permission", "wavefront_role_permission", ["permission"])
    op.create_table(
        "wavefront_token",
        sa.Column("uid", NAME, nullable=False),
        sa.Column("account_uid", NAME, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("digest", NAME, nullable=False),
        sa.Column("sealed", sa.Text, nullable=False),
        sa.Column("name", sa.Text),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("last_used_us", sa.BigInteger),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(
            ["account_uid"], ["wavefront_account.uid"], name="fk_wavefront_token_account_uid", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("uid", name="pk_wavefront_token"),
        sa.UniqueConstraint("account_uid", "number", name="uq_wavefront_token_account_uid_number"),
        sa.UniqueConstraint("digest", name="uq_wavefront_token_digest"),
    )


def downgrade() -> None:
    op.drop_table("wavefront_token")
    op.drop_table("wavefront_role_permission")
    op.drop_table("wavefront_group_role")
    op.drop_table("wavefront_account_role")
    op.drop_table("wavefront_account_permission")
    op.drop_table("wavefront_account_group")
    op.drop_table("wavefront_role")
    op.drop_table("wavefront_group")
    op.drop_table("wavefront_account")
