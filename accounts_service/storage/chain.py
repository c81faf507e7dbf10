"""The chain of a tenant's records: numbers without gap, and links each made over the one before.

Who can write the database but has no keys file can make neither a link nor a
segment. What he can still do is put an old state back, head included; that is
seen by whoever kept a later head, as the log does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row

from accounts_service.storage.sealed import Vault

_HEAD = re.compile(r"([0-9]{1,18}):([0-9a-f]{64})(?:@(.+))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Head:
    """How far a tenant's chain goes. The empty tenant is that of everything global."""

    tenant: str
    number: int
    link: bytes

    @classmethod
    def parse(cls, text: str) -> Head:
        """Read what `str` writes, as the log has it. Raises ValueError."""
        found = _HEAD.fullmatch(text)
        if found is None:
            raise ValueError("NUMBER:LINK, or NUMBER:LINK@TENANT, as the log has it")
        return cls(found[3] or "", int(found[1]), bytes.fromhex(found[2]))

    def __str__(self) -> str:
        """Write it for the log and for `audit verify --head`."""
        return f"{self.number}:{self.link.hex()}" + (f"@{self.tenant}" if self.tenant else "")

    def followed_by(self, vault: Vault, row: Row[Any]) -> Head:
        """Make the head that there is once `row` has the next number.

        The record's id is in the link, too: it says what was written before what.
        """
        number = self.number + 1
        link = vault.mac("audit/link", self.tenant, number, self.link, row.id, row.mac, row.format)
        return Head(self.tenant, number, link)


def start(tenant: str) -> Head:
    """Give the head of a chain without records."""
    return Head(tenant, 0, b"")


def segment_mac(vault: Vault, end: Head, first: int, removed_us: int) -> bytes:
    """Make the MAC of a segment that ends with `end`."""
    return vault.mac("audit/segment", end.tenant, first, end.number, end.link, removed_us)


def is_genuine_segment(vault: Vault, row: Row[Any]) -> bool:
    """Tell whether a row of segments is ours."""
    end = Head(row.tenant, row.last, row.link)
    return bool(row.mac == segment_mac(vault, end, row.first, row.removed_us))
