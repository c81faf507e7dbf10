"""What is counted of tenants and principals, for those who run the service."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import and_, select

from accounts_service.storage.audit import ACTOR, AUDIT_NAME
from accounts_service.storage.database import Store
from accounts_service.storage.statements import Statement
from accounts_service.storage.usage import TENANT, USAGE, Amount, Subject

_ALL = Statement(
    select(USAGE, AUDIT_NAME.c.name.label("actor"))
    .select_from(USAGE.outerjoin(AUDIT_NAME, and_(AUDIT_NAME.c.ref == USAGE.c.name, AUDIT_NAME.c.kind == ACTOR)))
    .order_by(USAGE.c.bytes.desc(), *USAGE.primary_key.columns)
)


@dataclass(frozen=True, slots=True)
class Usage:
    """How much a subject has stored. `actor` is the name of a principal, where it is still known."""

    subject: Subject
    amount: Amount
    actor: str | None

    @property
    def shown(self) -> str:
        """The subject in words; escaped, since names may hold anything."""
        if self.subject.kind == TENANT:
            return f"tenant {self.subject.name!a}" if self.subject.name else "global accounts"
        return f"caller {(self.actor or self.subject.name)!a}"


class Usages(Store):
    """All that is counted."""

    def all(self) -> list[Usage]:
        """List what is counted, the most bytes first."""
        return [
            Usage(Subject(row.kind, row.space, row.name), Amount(row.objects, row.bytes), row.actor)
            for row in self._session.read(_ALL)
        ]
