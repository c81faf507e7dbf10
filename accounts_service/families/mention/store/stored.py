"""What is stored of Mention in versions, for who holds it against the audit trail."""

from __future__ import annotations

from sqlalchemy import literal

from accounts_service.families.mention.tables import ACCOUNT, TOKEN
from accounts_service.storage.stored import Stored

STORED = (
    Stored(ACCOUNT, ACCOUNT.c.uid, ACCOUNT.c.version),
    # A token never changes, and is forgotten some time after it has expired.
    Stored(TOKEN, TOKEN.c.id, literal(1)),
)
