"""What tenants and principals have stored, and how much of it they may store.

The counts are changed in the transaction that changes what they count, by its last
statement and in one order: the row of a tenant is locked for the length of a commit,
and two transactions never wait for each other. Where one act is all that a transaction
does, its own statement counts as well, which saves a round trip. A principal is counted by its
reference in the audit trail, so that its name can be forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from sqlalchemy import BigInteger, Column, Connection, CursorResult, PrimaryKeyConstraint, Table, select

from accounts_service.faults import QuotaExceeded, RefusedError
from accounts_service.storage.lists import listed, upsertion_of_rows
from accounts_service.storage.statements import Statement
from accounts_service.storage.tables import METADATA, NAME

TENANT, PRINCIPAL = "tenant", "principal"

# `space` is the family of a tenant, or the realm of a principal, whose `name` is its reference in the audit trail.
# `bytes` are those of all states that are kept: present ones, earlier ones and those in the bin.
USAGE = Table(
    "quota_usage",
    METADATA,
    Column("kind", NAME, nullable=False),
    Column("space", NAME, nullable=False),
    Column("name", NAME, nullable=False),
    Column("objects", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    PrimaryKeyConstraint("kind", "space", "name"),
)

_ADDED = upsertion_of_rows(USAGE, (), "charges")
# Adds `charges`, which are listed as the rows are, and returns the rows as they then are.
COUNTING = _ADDED.on_conflict_do_update(
    index_elements=[*USAGE.primary_key.columns],
    set_={name: USAGE.c[name] + _ADDED.excluded[name] for name in ("objects", "bytes")},
).returning(*USAGE.columns)
_COUNT = Statement(COUNTING)

ALL = Statement(select(USAGE))


@dataclass(frozen=True, slots=True, order=True)
class Subject:
    """A tenant of a family, or a principal of a realm by its reference."""

    kind: str
    space: str
    name: str

    @property
    def whose(self) -> str:
        """The owner in a refusal: accounts that belong to no tenant are those of the global scope."""
        return "global scope" if self.kind == TENANT and not self.name else self.kind


@dataclass(frozen=True, slots=True)
class Amount:
    """How many objects, and how many bytes."""

    objects: int
    bytes: int

    def __add__(self, other: Amount) -> Amount:
        """Return both together."""
        return Amount(self.objects + other.objects, self.bytes + other.bytes)


@dataclass(frozen=True, slots=True)
class Quotas:
    """How much one tenant and one principal may store; None: any amount."""

    tenant: Amount | None = None
    principal: Amount | None = None

    def of(self, subject: Subject) -> Amount | None:
        """Return how much a subject may store."""
        return self.tenant if subject.kind == TENANT else self.principal


UNLIMITED = Quotas()


class Charges:
    """What one transaction stores more, or less, of each subject."""

    def __init__(self, quotas: Quotas = UNLIMITED) -> None:
        self.quotas = quotas
        self._amounts: dict[Subject, Amount] = {}

    def __bool__(self) -> bool:
        """Return whether anything was noted."""
        return bool(self._amounts)

    def add(self, subject: Subject, objects: int, size: int) -> None:
        """Note that a subject has stored more; less when a number is negative."""
        self._amounts[subject] = self._amounts.get(subject, Amount(0, 0)) + Amount(objects, size)

    def extend(self, others: Charges) -> None:
        """Note all that is in `others`."""
        for subject, amount in others.amounts.items():
            self.add(subject, amount.objects, amount.bytes)

    @property
    def amounts(self) -> Mapping[Subject, Amount]:
        """What is more, or less, of each subject; those are left out for whom nothing has changed."""
        return {subject: amount for subject, amount in self._amounts.items() if amount != Amount(0, 0)}

    @property
    def listed(self) -> str:
        """The `charges` of COUNTING."""
        return listed(
            (subject.kind, subject.space, subject.name, amount.objects, amount.bytes)
            for subject, amount in sorted(self._amounts.items(), key=itemgetter(0))
        )

    def check(self, counted: CursorResult[Any], quotas: Quotas) -> None:
        """Look at what COUNTING returned.

        Raises RefusedError(QuotaExceeded) for a subject that has more than it may and gets more.
        """
        for row in counted.all():
            subject = Subject(row.kind, row.space, row.name)
            most, more = quotas.of(subject), self._amounts[subject]
            if most is None:
                continue
            if more.objects > 0 and row.objects > most.objects:
                raise RefusedError(QuotaExceeded(subject.whose, "accounts", most.objects))
            if more.bytes > 0 and row.bytes > most.bytes:
                raise RefusedError(QuotaExceeded(subject.whose, "bytes", most.bytes))

    def settle(self, connection: Connection) -> None:
        """Count all of it. Raises as `check` does."""
        if self._amounts:
            self.check(_COUNT.run(connection, {"charges": self.listed}), self.quotas)
