"""Names folded by Unicode's rules, for looking them up and for searches; accounts that are one person by these."""

import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

NAME = sa.Text(collation="C").with_variant(sa.Text(), "sqlite")

AT_ONCE = 5000

# What is folded, by table: the column with the text, and that with its folded form.
TEXTS = {
    "wavefront_account": (("identifier", "caseless"), ("description", "description_caseless")),
    "wavefront_role": (("name", "name_caseless"), ("description", "description_caseless")),
    "wavefront_group": (("name", "name_caseless"), ("description", "description_caseless")),
    "wavefront_token": (("name", "name_caseless"),),
    "mention_account": (("email", "email_caseless"),),
}
# Who is found by it: the folded column, the one that tells twins apart, and the exact spelling.
PEOPLE = {
    "wavefront_account": ("caseless", "twin", "folded"),
    "mention_account": ("email_caseless", "email_twin", "email_folded"),
}


def folded(text: str | None) -> str | None:
    """Fold a text, as the release of this revision does; later ones may differ."""
    if text is None:
        return None
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def upgrade() -> None:
    for table, columns in TEXTS.items():
        for _, column in columns:
            op.add_column(table, sa.Column(column, NAME))
        fill(table, columns)
    for table, (caseless, twin, exact) in PEOPLE.items():
        op.add_column(table, sa.Column(twin, NAME, nullable=False, server_default=sa.text("''")))
        keep_apart(table, caseless, twin, exact)
        op.create_index(f"ix_{table}_{caseless}_{twin}", table, [caseless, twin], unique=True)


def fill(table: str, columns: Sequence[tuple[str, str]]) -> None:
    """Write the folded forms of all rows, some thousand at once."""
    texts = [text for text, _ in columns]
    rows = sa.table(table, *map(sa.column, ("uid", *texts, *(column for _, column in columns))))
    change = (
        sa.update(rows)
        .where(rows.c.uid == sa.bindparam("of"))
        .values({column: sa.bindparam(f"new_{column}") for _, column in columns})
    )

    def write(page: Sequence[sa.Row[Any]]) -> None:
        values = [
            {"of": row.uid, **{f"new_{column}": folded(getattr(row, text)) for text, column in columns}} for row in page
        ]
        op.get_bind().execute(change, values)

    each_page(sa.select(rows.c.uid, *(rows.c[text] for text in texts)), rows.c.uid, write)


def each_page(
    query: sa.Select[Any], uid: sa.ColumnElement[Any], write: Callable[[Sequence[sa.Row[Any]]], None]
) -> None:
    """Hand on all rows of a query that has the uid, by uid."""
    after = ""
    while True:
        page = op.get_bind().execute(query.where(uid > after).order_by(uid).limit(AT_ONCE)).all()
        if not page:
            return
        write(page)
        after = page[-1].uid


def keep_apart(table: str, caseless: str, twin: str, exact: str) -> None:
    """Mark all rows but one of those that fold together; one that is spelled like that is none of the marked."""
    rows = sa.table(table, *map(sa.column, ("uid", "created_us", caseless, twin, exact)))
    several = sa.select(rows.c[caseless]).group_by(rows.c[caseless]).having(sa.func.count() > 1)
    found = op.get_bind().execute(sa.select(rows).where(rows.c[caseless].in_(several))).all()
    seen: set[str] = set()
    for row in sorted(found, key=lambda row: (row[2], row[2] != row[4], row.created_us, row.uid)):
        if row[2] in seen:
            op.get_bind().execute(sa.update(rows).where(rows.c.uid == row.uid).values({twin: row.uid}))
        seen.add(row[2])


def downgrade() -> None:
    for table, (caseless, twin, _) in PEOPLE.items():
        op.drop_index(f"ix_{table}_{caseless}_{twin}", table)
        op.drop_column(table, twin)
    for table, columns in TEXTS.items():
        for _, column in columns:
            op.drop_column(table, column)
