"""The audit trail as tests look at it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, and_, func, select

from accounts_service.storage.audit import ACTOR, AUDIT_NAME, AUDIT_RECORD, OBJECT


def named(connection: Connection) -> list[Row[Any]]:
    """Read all records in order, with names in the place of references; a name that is gone leaves its reference."""
    query = select(AUDIT_RECORD).order_by(AUDIT_RECORD.c.id)
    for kind in (ACTOR, OBJECT):
        name, column = AUDIT_NAME.alias(), AUDIT_RECORD.c[kind]
        query = query.outerjoin_from(AUDIT_RECORD, name, and_(name.c.ref == column, name.c.kind == kind))
        shown = func.coalesce(name.c.name, column).label(kind)
        query = query.with_only_columns(*(shown if one.name == kind else one for one in query.selected_columns))
    return list(connection.execute(query))
