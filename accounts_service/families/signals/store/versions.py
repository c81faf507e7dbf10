"""What accounts were before, and going back to it.

Nothing is opened here: an old secret is copied as it is sealed, and told apart
from another by its reference.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import Row, select

from accounts_service.access.privileges import Grant
from accounts_service.families.signals.store.accounts import (
    REPLACE,
    Account,
    Accounts,
    Conditions,
    Key,
    account_of,
    named,
    reveals,
    secret_path,
)
from accounts_service.families.signals.tables import ACCOUNT_VERSION
from accounts_service.faults import DestinationChanged, InvalidBody, NoSuchObject, Problem, RefusedError
from accounts_service.storage.sealed import UnreadableSecretError
from accounts_service.storage.statements import Statement, given

_OF_ACCOUNT = (
    *(ACCOUNT_VERSION.c[name] == given(name) for name in ("tenant", "type", "name")),
    # Of another account, that had the name before, nothing is told: who made this one may not know of it.
    ACCOUNT_VERSION.c.uid == given("uid"),
)
_BEFORE = Statement(
    select(ACCOUNT_VERSION)
    .where(*_OF_ACCOUNT, ACCOUNT_VERSION.c.version < given("before"))
    .order_by(ACCOUNT_VERSION.c.version.desc())
    .limit(given("most"))
)
_ONE = Statement(
    select(ACCOUNT_VERSION).where(
        *_OF_ACCOUNT, ACCOUNT_VERSION.c.version == given("version"), ACCOUNT_VERSION.c.attributes.is_not(None)
    )
)
_AFTER_ALL = 2**63 - 1
# A restore compares the version with every one since then, under the lock that other writers wait for. One that lies
# further back counts as one with another destination.
_MOST_COMPARED = 100
# So many states are in memory at once, where each may be a megabyte and only names are told of it.
_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Version:
    """One state of an account. `changed` names what was not so before, None where nothing is kept of that."""

    number: int
    at_us: int
    present: bool
    deleted: bool
    changed: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class State:
    """What an account held in one version; the secrets as their references."""

    account: Account
    at_us: int
    references: Mapping[str, str]


class Versions(Accounts):
    """The versions of accounts that are there, each since it was made."""

    def page(self, grant: Grant, key: Key, before: int | None, most: int) -> tuple[list[Version], bool]:
        """List `most` versions, the newest first, of those before version `before`; tells whether there are more.

        Raises RefusedError(NoSuchObject).
        """
        account = self.get(grant, key)
        # What a version changed is seen by the one before it, or by the one before that, if that is a deletion.
        rows = self._newest_first(account, before or _AFTER_ALL, most + 2)
        listed: list[Version] = []
        window = list(islice(rows, 3))
        while window and len(listed) < most:
            row, *older = window
            former = _former(row, older)
            changed = None if former is None or row.attributes is None else self._changed(key, former, row)
            present = row.version == account.version
            listed.append(Version(row.version, row.at_us, present, row.attributes is None, changed))
            window = [*older, *islice(rows, 1)]
        return listed, bool(window)

    def _newest_first(self, account: Account, before: int, most: int) -> Iterator[Row[Any]]:
        """Read at most so many versions of those before version `before`, a few at a time."""
        while most > 0:
            few = min(most, _AT_ONCE)
            values = {**named(account.key), "uid": account.uid, "before": before, "most": few}
            rows = list(self._session.read(_BEFORE, **values))
            yield from rows
            if len(rows) < few:
                return
            before, most = rows[-1].version, most - few

    def state(self, grant: Grant, key: Key, number: int) -> tuple[State, bool]:
        """Give what the account held in a version, and whether that is the present one.

        Raises RefusedError(NoSuchObject).
        """
        account = self.get(grant, key)
        row = self._one(account, number)
        return self._state(key, row), number == account.version

    def restore(self, grant: Grant, key: Key, number: int, conditions: Conditions, destinations: Iterable[str]) -> int:
        """Make the account what it was in version `number`, and return the new version.

        Without `reveal`, none of the attributes `destinations` may have changed
        since that version, or a secret would be sent to where it no longer goes.

        Raises RefusedError: NoSuchObject, PreconditionFailed, or InvalidBody with
        DestinationChanged for each secret.
        """
        there = self._find(grant, key, lock=True)
        if there is None:
            raise RefusedError(NoSuchObject("POST", key.scoped_id))
        self._check(conditions, there)
        row = self._one(there, number)
        account = Account(key, there.uid, there.version + 1, json.loads(row.attributes), json.loads(row.secrets))
        if account.secrets and not reveals(grant, key):
            self._require_same_destinations(account, there, number, frozenset(destinations))
        self._write(account, REPLACE, {"restored": number})
        return account.version

    def _require_same_destinations(
        self, wanted: Account, there: Account, number: int, destinations: frozenset[str]
    ) -> None:
        """Raise RefusedError(InvalidBody) where a state after version `number` has other destinations than `wanted`.

        Every state, not only the present one: otherwise a PUT of the old
        destination with a new secret would open the way for the old secret.
        """
        moved: set[str] = set()
        compared = 0
        for row in self._newest_first(there, _AFTER_ALL, _MOST_COMPARED + 1):
            if row.version == number:
                break
            compared += 1
            if row.attributes is not None:
                moved |= self._differing(wanted, account_of(there.key, row), destinations)
        if compared > _MOST_COMPARED:
            moved |= destinations & wanted.attributes.keys()
        if moved:
            flaw = DestinationChanged(tuple(sorted(moved)))
            raise RefusedError(InvalidBody(tuple(Problem(secret_path(name), flaw) for name in wanted.secrets)))

    def _differing(self, wanted: Account, other: Account, destinations: frozenset[str]) -> set[str]:
        """Return the destinations in which two states differ; the value of a header counts as one, as with PUT."""
        before, after = other.attributes, wanted.attributes
        found = {name for name in destinations if before.get(name) != after.get(name)}
        headers = [name for name in wanted.secrets if "." in name]
        if headers:
            try:
                known, restored = self.references(other), self.references(wanted)
            except UnreadableSecretError:
                # A value that is not an envelope cannot be compared.
                return found | {secret_path(name)[0] for name in headers}
            found |= {secret_path(name)[0] for name in headers if known.get(name) != restored[name]}
        return found

    def _one(self, account: Account, number: int) -> Row[Any]:
        values = {**named(account.key), "uid": account.uid, "version": number}
        row = self._session.read(_ONE, **values).one_or_none()
        if row is None:
            raise RefusedError(NoSuchObject("GET", f"{account.key.scoped_id} version {number}"))
        return row

    def _state(self, key: Key, row: Row[Any]) -> State:
        account = account_of(key, row)
        return State(account, row.at_us, self.references(account))

    def _changed(self, key: Key, former: Row[Any], row: Row[Any]) -> tuple[str, ...]:
        before, after = (_together(self._state(key, one)) for one in (former, row))
        return tuple(sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name)))


def _former(row: Row[Any], older: Sequence[Row[Any]]) -> Row[Any] | None:
    """Give the state that came before `row`, or None where it is not kept."""
    if older and older[0].attributes is None:
        # What came back from the bin; meanwhile its name may have had other versions.
        row, older = older[0], older[1:]
    return older[0] if older and older[0].version == row.version - 1 else None


def _together(state: State) -> dict[str, Any]:
    return {**state.account.attributes, **state.references}
