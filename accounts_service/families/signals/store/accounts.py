"""Every query on Signals accounts."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from sqlalchemy import Row, delete, func, select, update

from accounts_service.access.decisions import normal_tenant
from accounts_service.access.privileges import Everything, Grant, Nothing, Own, Tenants
from accounts_service.access.roles import GLOBAL_TENANT
from accounts_service.families.signals.privileges import SignalsPrivilege
from accounts_service.families.signals.store.terms import terms_of
from accounts_service.families.signals.tables import ACCOUNT, ACCOUNT_BIN, ACCOUNT_TERM, ACCOUNT_VERSION
from accounts_service.faults import (
    BadPath,
    DestinationChanged,
    InUse,
    InvalidBody,
    NoSuchObject,
    NotPermitted,
    Problem,
    RefusedError,
    StaleReference,
)
from accounts_service.identifiers import is_misleading
from accounts_service.storage.audit import Change
from accounts_service.storage.database import ForeignKeyError, RecordedStatement, Store
from accounts_service.storage.lists import insertion_of_rows
from accounts_service.storage.sealed import REFERENCE, Place, UnreadableSecretError, Vault
from accounts_service.storage.statements import Statement, Value, given, insertion
from accounts_service.storage.usage import PRINCIPAL, TENANT, Charges, Subject

FAMILY_NAME = "signals"


@dataclass(frozen=True, slots=True)
class Key:
    """What names an account: type (lower case) and name, in a tenant or, with the empty one, globally."""

    type: str
    name: str
    tenant: str = ""

    @property
    def scoped_id(self) -> str:
        """Write `_id`: `type/name`, with the tenant before it if there is one."""
        return "/".join(part for part in (self.tenant, self.type, self.name) if part)


def tenant_key(tenant: str) -> str:
    """Name a tenant as keys do. The global tenant has accounts of its own, apart from those that are global."""
    return "_main" if normal_tenant(tenant) == GLOBAL_TENANT else tenant


@dataclass(frozen=True, slots=True)
class Document:
    """A checked body: what may be shown, what must be sealed, and which attributes are destinations.

    Each value of a map of secrets is one of its own, `headers.Authorization`.
    """

    attributes: Mapping[str, Any]
    secrets: Mapping[str, str] = field(repr=False)
    destinations: frozenset[str]

    @classmethod
    def of(cls, loaded: Mapping[str, Any], secrets: Iterable[str], destinations: Iterable[str]) -> Document:
        """Split what a schema loaded by the names of its secrets."""
        names = frozenset(secrets)
        sealed: dict[str, str] = {}
        for name, value in loaded.items():
            if name in names:
                inner = value if isinstance(value, dict) else None
                sealed |= {name: value} if inner is None else {f"{name}.{key}": text for key, text in inner.items()}
        return cls(
            attributes={name: value for name, value in loaded.items() if name not in names},
            secrets=sealed,
            destinations=frozenset(destinations),
        )


@dataclass(frozen=True, slots=True)
class Account:
    """An account as it is stored. `secrets` holds envelopes."""

    key: Key
    uid: str
    version: int
    attributes: Mapping[str, Any]
    secrets: Mapping[str, str] = field(repr=False)
    # For whom it is counted, where that is known.
    owner: Subject | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """What a PUT did; nothing, when it is not `changed`."""

    version: int
    created: bool
    changed: bool = True


# From the attributes of an account, and the references of its secrets, to what it is to be.
Patch: TypeAlias = Callable[[Mapping[str, Any], Mapping[str, str]], Document]


class Conditions(Protocol):
    """What the caller makes a write depend on."""

    def check(self, version: int | None, kind: str = "") -> None:
        """Raise RefusedError unless it holds for what is stored; `kind` where a version alone is ambiguous."""
        ...


_HERE = tuple(ACCOUNT.c[name] == given(name) for name in ("tenant", "type", "name"))
_BEFORE = tuple(ACCOUNT_VERSION.c[name] == given(name) for name in ("tenant", "type", "name"))
_THIS = ACCOUNT.c.uid == given("uid")

_FIND = Statement(select(ACCOUNT).where(*_HERE))
_FIND_AND_LOCK = Statement(select(ACCOUNT).where(*_HERE).with_for_update())
_LAST_VERSION = Statement(select(func.coalesce(func.max(ACCOUNT_VERSION.c.version), 0)).where(*_BEFORE))

_TERMS = insertion_of_rows(ACCOUNT_TERM, ("uid", "version"), "terms")
# An account that was not there, as it now is.
NEW = (insertion(ACCOUNT), insertion(ACCOUNT_VERSION), _TERMS)
_CREATE = RecordedStatement(*NEW)
REPLACE = RecordedStatement(
    update(ACCOUNT).where(_THIS).values({name: given(name) for name in ("version", "attributes", "secrets")}),
    insertion(ACCOUNT_VERSION),
    delete(ACCOUNT_TERM).where(ACCOUNT_TERM.c.uid == given("uid"), ACCOUNT_TERM.c.version < given("version")),
    _TERMS,
)
_DELETE = RecordedStatement(
    delete(ACCOUNT).where(_THIS),
    insertion(ACCOUNT_BIN, version="last_version", attributes="last_attributes", secrets="last_secrets"),
    insertion(ACCOUNT_VERSION),
)


# What an act is called in the audit trail, of a global account and of a tenant's; by whatever door it was done.
_ACTS = {
    "put": (SignalsPrivilege.ACCOUNT_PUT, SignalsPrivilege.TENANT_ACCOUNT_PUT),
    "delete": (SignalsPrivilege.ACCOUNT_DELETE, SignalsPrivilege.TENANT_ACCOUNT_DELETE),
}


class Accounts(Store):
    """Signals accounts. A method acts within the scope of the grant it is given."""

    def get(self, grant: Grant, key: Key) -> Account:
        """Read an account. Raises RefusedError(NoSuchObject)."""
        account = self._find(grant, key)
        if account is None:
            raise RefusedError(NoSuchObject("GET", key.scoped_id))
        return account

    def put(self, grant: Grant, key: Key, document: Document, conditions: Conditions) -> Written:
        """Create the account or replace it as a whole.

        Raises RefusedError: NotPermitted outside the grant's scope,
        PreconditionFailed, BadPath for a new id that looks like another, or
        InvalidBody for a secret reference that does not hold or would go to
        another destination; TransactionRefusedError when
        somebody created it at the same moment.
        """
        if not covers(grant, key):
            raise RefusedError(NotPermitted())
        there = self._find(grant, key, lock=True)
        self._check(conditions, there)
        if there is None:
            require_plain(key.name)
        return self._put(grant, key, document, there)

    def _put(
        self, grant: Grant, key: Key, document: Document, there: Account | None, last: int | None = None
    ) -> Written:
        """Write the account over `there`, or anew; `last` is the version that the new one follows."""
        uid = uuid.uuid4().hex if there is None else there.uid
        if last is None:
            last = self._last_version(key) if there is None else there.version
        sealed = self._sealed(grant, uid, document, there)
        written = Account(key, uid, 1 + last, document.attributes, sealed)
        self._write(written, _CREATE if there is None else REPLACE, _difference(there, document))
        return Written(written.version, created=there is None)

    def _write(self, account: Account, statement: RecordedStatement, detail: dict[str, Any]) -> None:
        """Write an account as it is given, its envelopes as they are: nothing is opened or sealed here."""
        key, writer = account.key, self._principal()
        attributes, secrets = _dump(account.attributes), _dump(account.secrets)
        charges, size = Charges(), len(attributes.encode()) + len(secrets.encode())
        for subject in (tenant_of(key.tenant), writer):
            charges.add(subject, 0 if statement is REPLACE else 1, size)
        self._session.write(
            self.change("put", key, account.uid, account.version, detail),
            statement,
            charges,
            **named(key),
            uid=account.uid,
            version=account.version,
            attributes=attributes,
            secrets=secrets,
            terms=terms_of(key.type, key.name, key.tenant, account.attributes),
            at_us=self._session.now_us,
            realm=writer.space,
            owner=writer.name,
            writer=writer.name,
        )

    def _principal(self) -> Subject:
        """Return the principal for whom is counted what this transaction stores."""
        return Subject(PRINCIPAL, self._session.author.realm, self._session.actor)

    def patch(self, grant: Grant, key: Key, patch: Patch, conditions: Conditions) -> Written:
        """Make of the account what `patch` makes of it; nothing is written when that is what it is.

        A secret that is kept stands there as its reference, so it is copied and
        never opened, and stays bound to its destination as with PUT. Raises
        RefusedError: NoSuchObject, since there is nothing to patch; else as `put`
        does, and as `patch` does.
        """
        there = self._find(grant, key, lock=True)
        if there is None:
            raise RefusedError(NoSuchObject("PATCH", key.scoped_id))
        self._check(conditions, there)
        document = patch(there.attributes, self.references(there))
        if document.attributes == there.attributes and document.secrets == self.references(there):
            return Written(there.version, created=False, changed=False)
        return self._put(grant, key, document, there)

    def references(self, account: Account) -> dict[str, str]:
        """Give the references of all the account's secrets. Raises UnreadableSecretError."""
        return references_of(self._session.vault, account)

    def delete(self, grant: Grant, key: Key, conditions: Conditions) -> int:
        """Move the account to the bin; returns the version of the deletion.

        Raises RefusedError: NoSuchObject, PreconditionFailed, or InUse when something refers to it.
        """
        there = self._find(grant, key, lock=True)
        if there is None:
            raise RefusedError(NoSuchObject("DELETE", key.scoped_id))
        self._check(conditions, there)
        self._delete(there)
        return there.version + 1

    def _delete(self, there: Account) -> None:
        version = there.version + 1
        try:
            self._session.write(
                self.change("delete", there.key, there.uid, version, {}),
                _DELETE,
                **named(there.key),
                uid=there.uid,
                last_version=there.version,
                last_attributes=_dump(there.attributes),
                last_secrets=_dump(there.secrets),
                deleted_us=self._session.now_us,
                version=version,
                attributes=None,
                secrets=None,
                at_us=self._session.now_us,
                realm=None,
                writer=None,
            )
        except ForeignKeyError:
            raise RefusedError(InUse()) from None
        # Its versions stay, and their bytes count.
        for subject in (tenant_of(there.key.tenant), there.owner):
            if subject is not None:
                self._session.charges.add(subject, -1, 0)

    @staticmethod
    def _check(conditions: Conditions, there: Account | None) -> None:
        conditions.check(None if there is None else there.version)

    def _find(self, grant: Grant, key: Key, *, lock: bool = False) -> Account | None:
        if not covers(grant, key):
            return None
        row = self._session.read(_FIND_AND_LOCK if lock else _FIND, **named(key)).one_or_none()
        return None if row is None else account_of(key, row)

    def _last_version(self, key: Key) -> int:
        version: int = self._session.read(_LAST_VERSION, **named(key)).scalar_one()
        return version

    def _sealed(self, grant: Grant, uid: str, document: Document, there: Account | None) -> dict[str, str]:
        """Seal new secrets and copy the envelopes of those that are kept by their reference."""
        sealed = {}
        problems = []
        moved = _moved(there, document)
        for name, value in document.secrets.items():
            place = Place(FAMILY_NAME, uid, name)
            if not REFERENCE.match(value):
                sealed[name] = self._session.vault.seal(place, value)
            elif there is None or not self._keeps(there, place, value):
                problems.append(Problem(secret_path(name), StaleReference()))
            elif moved and not reveals(grant, there.key):
                problems.append(Problem(secret_path(name), DestinationChanged(moved)))
            else:
                sealed[name] = there.secrets[name]
        if problems:
            raise RefusedError(InvalidBody(tuple(problems)))
        return sealed

    def _keeps(self, there: Account, place: Place, reference: str) -> bool:
        envelope = there.secrets.get(place.attribute)
        try:
            return envelope is not None and self._session.vault.refers(reference, place, envelope)
        except UnreadableSecretError:
            # Of what is no envelope nobody has been shown a reference.
            return False

    @staticmethod
    def change(act_name: str, key: Key, uid: str, version: int, detail: dict[str, Any]) -> Change:
        """Say in the words of the audit trail what is changed; `act_name` is `put` or `delete`."""
        act = _ACTS[act_name][1 if key.tenant else 0]
        return Change(FAMILY_NAME, key.tenant, act.action, key.scoped_id, uid, version, detail)


def require_plain(name: str) -> None:
    """Check a new id. Raises RefusedError(BadPath) for one that looks like another; those that are there stay."""
    if is_misleading(name):
        raise RefusedError(BadPath("a new id has no invisible characters, and no space at its beginning or end"))


def named(key: Key) -> dict[str, Value]:
    """Give what names an account as the values of a statement."""
    return {"tenant": key.tenant, "type": key.type, "name": key.name}


def covers(grant: Grant, key: Key) -> bool:
    """Tell whether the account is within the scope of the grant."""
    match grant.scope:
        case Everything():
            return True
        case Tenants(names):
            # Not the global accounts, whose tenant is empty.
            return key.tenant != "" and normal_tenant(key.tenant) in names
        case Own() | Nothing():
            return False


def revealing(key: Key) -> SignalsPrivilege:
    """Name the privilege that it takes to see the account's secrets in clear."""
    return SignalsPrivilege.TENANT_ACCOUNT_REVEAL if key.tenant else SignalsPrivilege.ACCOUNT_REVEAL


def reveals(grant: Grant, key: Key) -> bool:
    """Tell whether who has the grant may see the account's secrets in clear."""
    return revealing(key) in grant.also


def references_of(vault: Vault, account: Account) -> dict[str, str]:
    """Give references to the account's secrets. Raises UnreadableSecretError."""
    return {
        name: vault.reference(Place(FAMILY_NAME, account.uid, name), envelope)
        for name, envelope in account.secrets.items()
    }


def account_of(key: Key, row: Row[Any]) -> Account:
    """Read an account from a row that holds one."""
    owner = getattr(row, "owner", None)
    subject = None if owner is None else Subject(PRINCIPAL, row.realm or "", owner)
    return Account(key, row.uid, row.version, json.loads(row.attributes), json.loads(row.secrets), subject)


def tenant_of(tenant: str) -> Subject:
    """Return the tenant for which an account is counted; the empty one for global accounts."""
    return Subject(TENANT, FAMILY_NAME, tenant)


def secret_path(secret: str) -> tuple[str, ...]:
    """Return the path of a secret in a body."""
    return tuple(secret.split(".", 1))


def _dump(values: Mapping[str, Any]) -> str:
    return json.dumps(values, ensure_ascii=False)


def _moved(there: Account | None, document: Document) -> tuple[str, ...]:
    before = {} if there is None else there.attributes
    moved = {name for name in document.destinations if before.get(name) != document.attributes.get(name)}
    # A header may lead the request elsewhere, one that was there as well as one more: there is no list of all that do.
    # One that is no longer sent leads nowhere that somebody has chosen.
    moved |= {
        secret_path(name)[0] for name, value in document.secrets.items() if "." in name and not REFERENCE.match(value)
    }
    return tuple(sorted(moved))


def _difference(there: Account | None, document: Document) -> dict[str, Any]:
    """Name what a PUT changes, for the audit record; a secret counts as changed unless it is kept by reference."""
    before = {} if there is None else there.attributes
    names = before.keys() | document.attributes.keys()
    secrets = {name for name, value in document.secrets.items() if not REFERENCE.match(value)}
    gone = set() if there is None else there.secrets.keys() - document.secrets.keys()
    return {
        "created": there is None,
        "changed": sorted(name for name in names if before.get(name) != document.attributes.get(name)),
        "secrets_changed": sorted(secrets | gone),
    }
