"""What is stored of Mention in versions, for who holds it against the audit trail."""

from __future__ import annotations

from sqlalchemy import literal

from accounts_service.families.mention.store.accounts import FAMILY_NAME
from accounts_service.families.mention.tables import ACCOUNT, TOKEN
from accounts_service.storage.stored import Stored
from accounts_service.storage.twins import Twins

TWINS = (Twins("accounts of mention", ACCOUNT.c.email, ACCOUNT.c.email_caseless, ACCOUNT.c.email_twin),)

STORED = (
    Stored(FAMILY_NAME, ACCOUNT, ACCOUNT.c.uid, ACCOUNT.c.version, literal("account ") + ACCOUNT.c.id),
    # A token never changes, and is forgotten some time after it has expired.
    Stored(
        FAMILY_NAME,
        TOKEN,
        TOKEN.c.id,
        literal(1),
        literal("token ") + TOKEN.c.id + literal(" of ") + TOKEN.c.account_id,
    ),
)
