"""What searches find of accounts, and the terms of those that are there."""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

NAME = sa.Text(collation="C").with_variant(sa.Text(), "sqlite")

AT_ONCE = 500
LONGEST_VALUE = 256
DIGITS = 20

ACCOUNT = sa.table("signals_account", *map(sa.column, ("uid", "tenant", "type", "name", "version", "attributes")))
TERM = sa.table(
    "signals_account_term", *map(sa.column, ("uid", "version", "number", "field", "value", "folded", "rank"))
)


def upgrade() -> None:
    op.create_table(
        "signals_account_term",
        sa.Column("uid", NAME, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("field", NAME, nullable=False),
        sa.Column("value", NAME, nullable=False),
        sa.Column("folded", NAME, nullable=False),
        sa.Column("rank", NAME, nullable=False),
        sa.ForeignKeyConstraint(
            ["uid"], ["signals_account.uid"], name="fk_signals_account_term_uid", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("uid", "version", "number", name="pk_signals_account_term"),
    )
    fill()
    op.create_index("ix_signals_account_term_field_folded", "signals_account_term", ["field", "folded"])


def fill() -> None:
    """Write the terms of all accounts, some hundred at once."""
    connection = op.get_bind()
    after = ""
    while True:
        page = sa.select(ACCOUNT).where(ACCOUNT.c.uid > after).order_by(ACCOUNT.c.uid).limit(AT_ONCE)
        rows = connection.execute(page).all()
        if not rows:
            return
        connection.execute(sa.insert(TERM), [term for row in rows for term in terms_of(row)])
        after = rows[-1].uid


def terms_of(row: sa.Row[Any]) -> list[dict[str, str | int]]:
    """List the terms of an account. As the release of this revision writes them; later ones may differ."""
    terms = [("_name", row.name, row.name), ("type", row.type, row.type)]
    terms += [("_tenant", row.tenant, row.tenant)] if row.tenant else []
    for field, value in json.loads(row.attributes).items():
        for leaf in value if isinstance(value, list) else [value]:
            text = leaf if isinstance(leaf, str) else json.dumps(leaf)
            if len(text) <= LONGEST_VALUE:
                is_whole = isinstance(leaf, int) and not isinstance(leaf, bool)
                terms.append((field, text, text.zfill(DIGITS) if is_whole else text))
    return [
        {
            "uid": row.uid,
            "version": row.version,
            "number": number,
            "field": field,
            "value": value,
            "folded": value.casefold(),
            "rank": rank,
        }
        for number, (field, value, rank) in enumerate(terms)
    ]


def downgrade() -> None:
    op.drop_table("signals_account_term")
