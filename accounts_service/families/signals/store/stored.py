"""What is stored of Signals accounts in versions, for who holds it against the audit trail."""

from __future__ import annotations

from accounts_service.families.signals.privileges import SignalsPrivilege
from accounts_service.families.signals.tables import ACCOUNT, ACCOUNT_BIN, ACCOUNT_VERSION
from accounts_service.storage.stored import Stored

_PUTS = frozenset(one.action for one in (SignalsPrivilege.ACCOUNT_PUT, SignalsPrivilege.TENANT_ACCOUNT_PUT))

# Versions go on when an account is made anew, so none begins with a number that is known.
STORED = (
    Stored(ACCOUNT, ACCOUNT.c.uid, ACCOUNT.c.version, ACCOUNT.c.tenant, first=None, writes=_PUTS),
    Stored(ACCOUNT_BIN, ACCOUNT_BIN.c.uid, ACCOUNT_BIN.c.version + 1, ACCOUNT_BIN.c.tenant, first=None),
    Stored(
        ACCOUNT_VERSION,
        ACCOUNT_VERSION.c.uid,
        ACCOUNT_VERSION.c.version,
        ACCOUNT_VERSION.c.tenant,
        first=None,
        newest=False,
    ),
)
