"""For whom the states of accounts are counted that are kept, and what is counted less when they go."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Row, func

from accounts_service.families.signals.store.accounts import tenant_of
from accounts_service.families.signals.tables import ACCOUNT_VERSION
from accounts_service.storage.database import Session
from accounts_service.storage.octets import octets
from accounts_service.storage.usage import PRINCIPAL, Subject

SIZE = func.coalesce(octets(ACCOUNT_VERSION.c.attributes), 0) + func.coalesce(octets(ACCOUNT_VERSION.c.secrets), 0)
KEPT = (ACCOUNT_VERSION.c.tenant, ACCOUNT_VERSION.c.realm, ACCOUNT_VERSION.c.writer, SIZE.label("size"))


def release(session: Session, freed: Iterable[Row[Any]]) -> None:
    """Count rows of KEPT no longer: their states are gone, or hold nothing any more."""
    for row in freed:
        if not row.size:
            continue
        session.charges.add(tenant_of(row.tenant), 0, -row.size)
        if row.writer is not None:
            session.charges.add(Subject(PRINCIPAL, row.realm or "", row.writer), 0, -row.size)
