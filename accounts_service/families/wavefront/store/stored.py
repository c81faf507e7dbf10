"""What is stored of Wavefront in versions, for who holds it against the audit trail."""

from __future__ import annotations

from sqlalchemy import and_, case, literal, or_, select

from accounts_service.families.wavefront.privileges import WavefrontPrivilege
from accounts_service.families.wavefront.store.directory import FAMILY_NAME
from accounts_service.families.wavefront.tables import ACCOUNT, GROUP, ROLE, SYSTEM_GROUPS, TOKEN
from accounts_service.storage.stored import Stored
from accounts_service.storage.twins import Twins

TWINS = (Twins("accounts of wavefront", ACCOUNT.c.identifier, ACCOUNT.c.caseless, ACCOUNT.c.twin),)

_OWNER = select(ACCOUNT.c.identifier).where(ACCOUNT.c.uid == TOKEN.c.account_uid).scalar_subquery()

STORED = (
    Stored(
        FAMILY_NAME,
        ACCOUNT,
        ACCOUNT.c.uid,
        ACCOUNT.c.version,
        ACCOUNT.c.identifier,
        writes=frozenset((WavefrontPrivilege.ACCOUNT_PUT.action,)),
    ),
    Stored(
        FAMILY_NAME,
        ROLE,
        ROLE.c.uid,
        ROLE.c.version,
        literal("role ") + ROLE.c.uid,
        writes=frozenset((WavefrontPrivilege.ROLE_PUT.action,)),
    ),
    # System groups are there from the beginning, in version 1, and nobody made them.
    Stored(
        FAMILY_NAME,
        GROUP,
        GROUP.c.uid,
        GROUP.c.version,
        literal("usergroup ") + GROUP.c.uid,
        first=case((GROUP.c.uid.in_([group["uid"] for group in SYSTEM_GROUPS]), 2), else_=1),
        is_untouched=or_(
            *(and_(*(GROUP.c[name] == value for name, value in group.items())) for group in SYSTEM_GROUPS)
        ),
        writes=frozenset((WavefrontPrivilege.USERGROUP_PUT.action,)),
    ),
    # Tokens go with their account, too.
    Stored(
        FAMILY_NAME,
        TOKEN,
        TOKEN.c.uid,
        TOKEN.c.version,
        literal("token ") + TOKEN.c.uid + literal(" of ") + _OWNER,
    ),
)
