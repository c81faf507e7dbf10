"""What a look at the audit trail brings to light."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from accounts_service.storage.chain import Head

# So many findings are told. Who replaces the keys file makes one of every record.
MOST = 100


class Kind(Enum):
    """What is wrong."""

    RECORD = "record"
    CHAIN = "chain"
    HEAD = "head"
    SEGMENT = "segment"
    NAME = "name"
    VERSION = "version"
    UNSEALED = "unsealed"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that cannot be with a trail that nobody tampered with. `where` names it within its tenant."""

    kind: Kind
    tenant: str
    where: str
    sentence: str

    def __str__(self) -> str:
        """Write it on one line."""
        place = f"{self.where} of tenant {self.tenant}" if self.tenant else self.where
        return f"{self.kind.value}: {place}: {self.sentence}"


@dataclass(frozen=True, slots=True)
class Report:
    """What was looked at and what was found: at most MOST findings, and how many more there are."""

    records: int
    heads: tuple[Head, ...]
    findings: tuple[Finding, ...]
    more: int
    # How many of the heads that were given are of records that are gone because of their age.
    uncompared: int

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


class Findings:
    """Findings as they come; each once."""

    def __init__(self) -> None:
        self._found: dict[Finding, None] = {}
        self._more = 0

    def add(self, kind: Kind, tenant: object, where: str, sentence: str) -> None:
        """Note one. A tenant that is no text is told as it stands there."""
        finding = Finding(kind, tenant if isinstance(tenant, str) else repr(tenant), where, sentence)
        if len(self._found) < MOST:
            self._found[finding] = None
        elif finding not in self._found:
            self._more += 1

    def __len__(self) -> int:
        """Count all of them."""
        return len(self._found) + self._more

    def report(self, records: int, heads: tuple[Head, ...], uncompared: int) -> Report:
        """Sum up."""
        return Report(records, heads, tuple(self._found), self._more, uncompared)
