"""What is stored of NetBird in versions, for who holds it against the audit trail."""

from __future__ import annotations

from sqlalchemy import literal

from accounts_service.families.netbird.privileges import NetBirdPrivilege
from accounts_service.families.netbird.tables import ACCOUNT, TOKEN, USER
from accounts_service.storage.stored import Stored

STORED = (
    Stored(ACCOUNT, ACCOUNT.c.id, ACCOUNT.c.version, writes=frozenset((NetBirdPrivilege.SETTINGS_UPDATE.action,))),
    # Users go with their account, and tokens with their user. A token never changes.
    Stored(USER, USER.c.uid, USER.c.version),
    Stored(TOKEN, TOKEN.c.id, literal(1)),
)
