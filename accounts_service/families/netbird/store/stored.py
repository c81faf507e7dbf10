"""What is stored of NetBird in versions, for who holds it against the audit trail."""

from __future__ import annotations

from sqlalchemy import literal

from accounts_service.families.netbird.privileges import NetBirdPrivilege
from accounts_service.families.netbird.store.accounts import FAMILY_NAME
from accounts_service.families.netbird.tables import ACCOUNT, TOKEN, USER
from accounts_service.storage.stored import Stored

STORED = (
    Stored(
        FAMILY_NAME,
        ACCOUNT,
        ACCOUNT.c.id,
        ACCOUNT.c.version,
        ACCOUNT.c.id,
        writes=frozenset((NetBirdPrivilege.SETTINGS_UPDATE.action,)),
    ),
    # Users go with their account, and tokens with their user. A token never changes.
    Stored(FAMILY_NAME, USER, USER.c.uid, USER.c.version, literal("user ") + USER.c.id),
    Stored(
        FAMILY_NAME,
        TOKEN,
        TOKEN.c.id,
        literal(1),
        literal("token ") + TOKEN.c.id + literal(" of ") + TOKEN.c.user_id,
    ),
)
