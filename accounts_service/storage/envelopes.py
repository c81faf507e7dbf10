"""All sealed secrets of a family, to see whether the keys open them."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row

from accounts_service.storage.database import Store
from accounts_service.storage.sealed import Place, UnreadableSecretError


@dataclass(frozen=True, slots=True)
class Envelope:
    """A sealed secret. `where` names it for a person; `sealed` is None where the row itself cannot be read."""

    where: str
    place: Place
    sealed: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Tally:
    """How many secrets there are, how many opened, and the ids of the others."""

    total: int
    opened: int
    unreadable: tuple[str, ...]


class Envelopes(Store):
    """Base of the store by which a family hands out its sealed secrets."""

    @abstractmethod
    def all(self) -> Iterator[Envelope]:
        """Give every sealed secret, wherever it is kept."""
        raise NotImplementedError

    def tally(self) -> Tally:
        """Open every secret, and let go of it at once."""
        total = 0
        unreadable = []
        for envelope in self.all():
            total += 1
            if not self._opens(envelope):
                unreadable.append(envelope.where)
        return Tally(total, total - len(unreadable), tuple(unreadable))

    def _opens(self, envelope: Envelope) -> bool:
        if envelope.sealed is None:
            return False
        try:
            self._session.vault.open(envelope.place, envelope.sealed)
        except UnreadableSecretError:
            return False
        return True


def envelopes_in(family: str, table: str, rows: Iterable[Row[Any]]) -> Iterator[Envelope]:
    """Give the secrets in rows that have `uid`, `version` and, as a JSON object of envelopes, `secrets`."""
    for row in rows:
        try:
            sealed = json.loads(row.secrets).items()
        except (ValueError, AttributeError):
            yield Envelope(f"{table} {row.uid} version {row.version}", Place(family, row.uid, ""), None)
            continue
        for name, value in sealed:
            where = f"{table} {row.uid} version {row.version} {name}"
            yield Envelope(where, Place(family, row.uid, name), value if isinstance(value, str) else None)
