"""What searches look at, also of the accounts that are there already."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

NAME = sa.Text(collation="C").with_variant(sa.Text(), "sqlite")
LONGEST = 256
AT_ONCE = 500


def upgrade() -> None:
    terms = op.create_table(
        "signals_account_term",
        sa.Column("uid", NAME, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("field", NAME, nullable=False),
        sa.Column("value", NAME, nullable=False),
        sa.Column("folded", NAME, nullable=False),
        sa.Column("rank", NAME, nullable=False),
        sa.ForeignKeyConstraint(
            ["uid"], ["signals_account.uid"], name="fk_signals_account_term_uid", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("uid", "version", "number", name="pk_signals_account_term"),
    )
    accounts = op.get_bind().execute(
        sa.text("SELECT uid, tenant, type, name, version, attributes FROM signals_account")
    )
    while some := accounts.fetchmany(AT_ONCE):
        op.bulk_insert(terms, [row for account in some for row in rows(account)])
    op.create_index("ix_signals_account_term_field_folded", "signals_account_term", ["field", "folded"])


def rows(account: sa.Row[tuple[str, str, str, str, int, str]]) -> list[dict[str, object]]:
    own = {"_name": account.name, "type": account.type} | ({"_tenant": account.tenant} if account.tenant else {})
    found: list[dict[str, object]] = []
    for field, held in {**json.loads(account.attributes), **own}.items():
        for value in held if isinstance(held, list) else [held]:
            text = value if isinstance(value, str) else json.dumps(value)
            if len(text) <= LONGEST or field in own:
                rank = f"{value:020d}" if isinstance(value, int) and not isinstance(value, bool) else text
                row = {"field": field, "value": text, "folded": text.casefold(), "rank": rank}
                found.append({"uid": account.uid, "version": account.version, "number": len(found), **row})
    return found


def downgrade() -> None:
    op.drop_table("signals_account_term")
