"""What is stored of Signals accounts in versions, for who holds it against the audit trail."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Table, case, literal

from accounts_service.families.signals.privileges import SignalsPrivilege
from accounts_service.families.signals.store.accounts import FAMILY_NAME
from accounts_service.families.signals.tables import ACCOUNT, ACCOUNT_BIN, ACCOUNT_VERSION
from accounts_service.storage.stored import Stored

_PUTS = frozenset(one.action for one in (SignalsPrivilege.ACCOUNT_PUT, SignalsPrivilege.TENANT_ACCOUNT_PUT))
_DELETES = frozenset(one.action for one in (SignalsPrivilege.ACCOUNT_DELETE, SignalsPrivilege.TENANT_ACCOUNT_DELETE))


def _object(table: Table) -> ColumnElement[str]:
    """Say what `Key.scoped_id` says."""
    its = table.c
    tenant = case((its.tenant == "", ""), else_=its.tenant + literal("/"))
    return tenant + its.type + literal("/") + its.name


# Versions go on when an account is made anew, so none begins with a number that is known.
STORED = (
    Stored(
        FAMILY_NAME,
        ACCOUNT,
        ACCOUNT.c.uid,
        ACCOUNT.c.version,
        _object(ACCOUNT),
        ACCOUNT.c.tenant,
        first=None,
        writes=_PUTS,
    ),
    Stored(
        FAMILY_NAME,
        ACCOUNT_BIN,
        ACCOUNT_BIN.c.uid,
        # The largest number has none after it; no version is 0.
        case((ACCOUNT_BIN.c.version < literal(2**63 - 1), ACCOUNT_BIN.c.version + 1), else_=0),
        _object(ACCOUNT_BIN),
        ACCOUNT_BIN.c.tenant,
        first=None,
        writes=_DELETES,
        purged="purged",
    ),
    Stored(
        FAMILY_NAME,
        ACCOUNT_VERSION,
        ACCOUNT_VERSION.c.uid,
        ACCOUNT_VERSION.c.version,
        _object(ACCOUNT_VERSION),
        ACCOUNT_VERSION.c.tenant,
        first=None,
        newest=False,
    ),
)
