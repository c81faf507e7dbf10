"""What is stored of Wavefront in versions, for who holds it against the audit trail."""

from __future__ import annotations

from sqlalchemy import case

from accounts_service.families.wavefront.privileges import WavefrontPrivilege
from accounts_service.families.wavefront.tables import ACCOUNT, GROUP, ROLE, TOKEN
from accounts_service.storage.stored import Stored

STORED = (
    Stored(ACCOUNT, ACCOUNT.c.uid, ACCOUNT.c.version, writes=frozenset((WavefrontPrivilege.ACCOUNT_PUT.action,))),
    Stored(ROLE, ROLE.c.uid, ROLE.c.version, writes=frozenset((WavefrontPrivilege.ROLE_PUT.action,))),
    # System groups are there from the beginning, in version 1, and nobody made them.
    Stored(
        GROUP,
        GROUP.c.uid,
        GROUP.c.version,
        first=case((GROUP.c.system == "", 1), else_=2),
        writes=frozenset((WavefrontPrivilege.USERGROUP_PUT.action,)),
    ),
    # Tokens go with their account, too.
    Stored(TOKEN, TOKEN.c.uid, TOKEN.c.version),
)
