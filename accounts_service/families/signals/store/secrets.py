"""Where the secrets of Signals accounts are sealed, of now and before."""

from __future__ import annotations

from accounts_service.families.signals.store.accounts import FAMILY_NAME
from accounts_service.families.signals.tables import ACCOUNT, ACCOUNT_BIN, ACCOUNT_VERSION
from accounts_service.storage.envelopes import Sealed

# A deletion is a version without secrets.
SEALED = tuple(
    Sealed(name, table.c.secrets, FAMILY_NAME)
    for name, table in (("accounts", ACCOUNT), ("versions", ACCOUNT_VERSION), ("bin", ACCOUNT_BIN))
)
