"""Forgetting a person: his names go, his records stay, and the trail says that this was done."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, func, or_, select, text

from accounts_service.identifiers import normalized
from accounts_service.storage.audit import (
    ACTOR,
    AUDIT_NAME,
    AUDIT_RECORD,
    OBJECT,
    Change,
    is_genuine,
    reference,
)
from accounts_service.storage.database import RecordedStatement, Session, Store
from accounts_service.storage.lists import listed, texts
from accounts_service.storage.paths import is_hidden, recorded_part
from accounts_service.storage.statements import Statement, given

ERASE = "cluster:admin:accounts:audit/erase"
FAMILY = "admin"
_OBJECT = "names"

_ERASE = RecordedStatement(delete(AUDIT_NAME).where(AUDIT_NAME.c.ref.in_(texts(given("refs")))))
_ERASURES = Statement(
    select(AUDIT_RECORD)
    .where(AUDIT_RECORD.c.object == given("object"), AUDIT_RECORD.c.act == ERASE)
    .order_by(AUDIT_RECORD.c.id)
)
_INLINE = Statement(
    select(func.count())
    .select_from(AUDIT_RECORD)
    .where(or_(AUDIT_RECORD.c.actor == given("name"), AUDIT_RECORD.c.object == given("name")))
    .where(AUDIT_RECORD.c.format == 1)
)


class Names(Store):
    """The names in the audit trail."""

    def erase(self, name: str, kinds: tuple[str, ...] = (ACTOR, OBJECT)) -> int:
        """Forget a name, wherever it stands; tells how many names went.

        Of objects also those that end with it, as `user NAME`, `token … of NAME` and the paths of what was refused do.
        """
        hold_still(self._session.connection)
        # Callers are recorded in the normal form, and what they change as it is called: on some systems decomposed.
        spellings = {name, normalized(name), unicodedata.normalize("NFD", name)}
        refs = [row.ref for one in spellings for row in self._candidates(one, kinds) if _names(row, one)]
        if refs:
            # The references tell the name to nobody, and let others tell an erased name from one that was taken away.
            refs = sorted(set(refs))
            change = Change(FAMILY, "", ERASE, _OBJECT, "", 0, {"refs": [*refs]})
            self._session.write(change, _ERASE, refs=listed([ref] for ref in refs))
        return len(refs)

    def inline(self, name: str) -> int:
        """Count the records of earlier releases that hold the name themselves."""
        number: int = self._session.read(_INLINE, name=name).scalar_one()
        return number

    def _candidates(self, name: str, kinds: tuple[str, ...]) -> Sequence[Row[Any]]:
        ends = (AUDIT_NAME.c.name.endswith(end, autoescape=True) for end in (*_ends(name), *_path_ends(name)))
        inner = (AUDIT_NAME.c.name.contains(part, autoescape=True) for part in (*_inner(name), *_path_inner(name)))
        query = select(AUDIT_NAME).where(AUDIT_NAME.c.kind.in_(kinds), or_(AUDIT_NAME.c.name == name, *ends, *inner))
        return self._session.select(query)


def erased(session: Session) -> dict[str, int]:
    """Give the names that were forgotten: by reference, the id of the last record that says so.

    Whoever was named again after that has a name again.
    """
    ours = reference(session.vault, OBJECT, FAMILY, _OBJECT)
    ids: dict[str, int] = {}
    for row in session.read(_ERASURES, object=ours):
        if is_genuine(session.vault, row):
            ids |= dict.fromkeys(json.loads(row.detail)["refs"], row.id)
    return ids


def hold_still(connection: Connection) -> None:
    """Keep others from writing records till the transaction ends.

    A name that is there is not written again, nor locked by who relies on it: one
    that goes at the same moment would be missed. SQLite has one writer anyway.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("LOCK TABLE audit_name IN SHARE ROW EXCLUSIVE MODE"))


def _ends(name: str) -> tuple[str, ...]:
    return f" {name}", f"/{name}"


def _inner(name: str) -> tuple[str, ...]:
    # Who uses what is called like him.
    return (f"/{name} by ",)


def _path_ends(name: str) -> tuple[str, ...]:
    part = recorded_part(name)
    # Whom a token stands for that is not shown nobody knows.
    if is_hidden(part):
        return ()
    # With a plus by who takes a path for a form.
    return tuple(sorted({f"/{part}", f"/{part.replace(' ', '+')}"}))


def _path_inner(name: str) -> tuple[str, ...]:
    # What is done to somebody stands behind his name: `/user/NAME/grant`.
    return tuple(f"{end}/" for end in _path_ends(name))


# What was refused is recorded by method and path; nothing else is called so.
_PATH = re.compile(r"[A-Z]+ /")


def _names(row: Row[Any], name: str) -> bool:
    # LIKE of SQLite has no regard for case.
    if row.name == name:
        return True
    if row.kind != OBJECT:
        return False
    is_path = _PATH.match(row.name) is not None
    ends, inner = (_path_ends(name), _path_inner(name)) if is_path else (_ends(name), _inner(name))
    return row.name.endswith(ends) or any(part in row.name for part in inner)
