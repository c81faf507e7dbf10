"""Every query on accounts and events."""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
import json
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Row, delete, literal, select, update

from accounts_service.access.privileges import Everything, Grant, Nothing, Own, Tenants
from accounts_service.families.netbird.privileges import OWNER, NetBirdPrivilege, action_of
from accounts_service.families.netbird.schemas import settings
from accounts_service.families.netbird.schemas.settings import Settings, Wish
from accounts_service.families.netbird.store import changes
from accounts_service.families.netbird.store.changes import Happening
from accounts_service.families.netbird.tables import ACCOUNT, EVENT, PRIMARY, USER
from accounts_service.faults import AgainstTheRules, NotPermitted, RefusedError, Rule
from accounts_service.identifiers import normalized
from accounts_service.storage.audit import Change
from accounts_service.storage.database import RecordedStatement, Store
from accounts_service.storage.octets import octets
from accounts_service.storage.statements import Statement, given, insertion

FAMILY_NAME = "netbird"

PRIVATE, PUBLIC = "private", "public"

# NetBird gives no more at once.
MOST_EVENTS = 10_000


class Conditions(Protocol):
    """What the caller makes a write depend on."""

    def check(self, version: int | None, kind: str = "") -> None:
        """Raise RefusedError unless it holds for what is stored."""
        ...


@dataclass(frozen=True, slots=True)
class Account:
    """An account as it is stored. The ranges are those that are allocated."""

    id: str
    domain: str
    domain_category: str
    created_us: int
    created_by: str
    settings: Settings
    onboarding: Settings | None
    network_range: str
    network_range_v6: str
    all_group: str
    version: int

    def effective(self) -> Settings:
        """Give the settings with the ranges that hold, and not only those that were asked for."""
        return {
            **self.settings,
            "network_range": self.settings["network_range"] or self.network_range,
            "network_range_v6": self.settings["network_range_v6"] or self.network_range_v6,
        }


@dataclass(frozen=True, slots=True)
class Person:
    """Who comes by logging in, or is made at the command line."""

    id: str
    name: str
    email: str


@dataclass(frozen=True, slots=True)
class Event:
    """Something that has happened."""

    id: int
    at_us: int
    code: str
    initiator_id: str
    initiator_name: str
    initiator_email: str
    target_id: str
    meta: dict[str, str]


def new_id() -> str:
    """Make an id as NetBird's are: 12 bytes, the first four the time, in base32 with the digits first."""
    moment = int(time.time()).to_bytes(4, "big") + secrets.token_bytes(8)
    return base64.b32hexencode(moment).decode("ascii").rstrip("=").lower()


def domain_key(domain: str) -> str:
    """Return the form by which domains are compared: in lower case and in Normalization Form C.

    Not `identifiers.folded`: of a domain, sharp s and `ss`, or the two small
    forms of sigma, may belong to different people (RFC 5894 section 7.2), and
    whoever comes from a private domain joins its account.
    """
    return normalized(normalized(domain).lower())


_THIS = ACCOUNT.c.id == given("id")
_FIND = Statement(select(ACCOUNT).where(_THIS))
_FIND_AND_LOCK = Statement(select(ACCOUNT).where(_THIS).with_for_update())
_CREATE = RecordedStatement(insertion(ACCOUNT))
_SETTINGS = ("settings", "onboarding", "network_range", "network_range_v6", "version")
_REPLACE = RecordedStatement(update(ACCOUNT).where(_THIS).values({name: given(name) for name in _SETTINGS}))
_DELETE = RecordedStatement(delete(ACCOUNT).where(_THIS))
_PEOPLE = Statement(
    select(USER).where(USER.c.account_id == given("id")).order_by(USER.c.service_user.desc(), USER.c.id)
)
_USER = Statement(select(USER).where(USER.c.id == given("id")))
_MAKE_PRIMARY = Statement(insertion(PRIMARY))
_PRIMARY = Statement(select(PRIMARY).where(PRIMARY.c.domain.in_((given("key"), given("written")))))

_HAPPENED = Statement(insertion(EVENT))
# What an event may have besides its texts, as it is sent.
_FRAME = 512
_TEXTS = (EVENT.c.meta, EVENT.c.initiator_name, EVENT.c.initiator_email)
_EVENT_SIZES = Statement(
    select(EVENT.c.id, sum(map(octets, _TEXTS), literal(_FRAME)).label("size"))
    .where(EVENT.c.account_id == given("account"))
    .order_by(EVENT.c.id.desc())
    .limit(MOST_EVENTS)
)
_EVENTS = Statement(
    select(EVENT, USER.c.email.label("email"), USER.c.name.label("username"))
    .outerjoin(USER, (USER.c.id == EVENT.c.target_id) & (USER.c.account_id == EVENT.c.account_id))
    .where(EVENT.c.account_id == given("account"), EVENT.c.id.between(given("oldest"), given("newest")))
    .order_by(EVENT.c.id.desc())
)


def covered(grant: Grant, account: str | None) -> None:
    """Be sure that an account is within the scope of the grant. Raises RefusedError."""
    match grant.scope:
        case Everything():
            return
        case Own(own):
            if own != account:
                raise RefusedError(AgainstTheRules(Rule.ANOTHER_ACCOUNT))
        case Tenants() | Nothing():
            raise RefusedError(NotPermitted())


def own_account(grant: Grant) -> str:
    """Name the caller's account. Raises RefusedError(NotPermitted) for who has none."""
    if not isinstance(grant.scope, Own):
        raise RefusedError(NotPermitted())
    return grant.scope.identifier


class Accounts(Store):
    """Accounts. A method acts within the scope of the grant it is given."""

    def mine(self, grant: Grant) -> Account:
        """Read the caller's account. Raises RefusedError."""
        return self._there(_FIND, own_account(grant))

    def there(self, grant: Grant, account_id: str) -> Account:
        """Read an account in the scope of the grant. Raises RefusedError(AgainstTheRules) when there is none."""
        covered(grant, account_id)
        return self._there(_FIND, account_id)

    def account(self, account_id: str) -> Account | None:
        """Read an account, whosesoever it is; None when there is none."""
        row = self._session.read(_FIND, id=account_id).one_or_none()
        return None if row is None else _account(row)

    def put(self, grant: Grant, account_id: str, wish: Wish, conditions: Conditions) -> Account:
        """Make the settings of an account what is wished.

        Raises RefusedError: AgainstTheRules for another's account, PreconditionFailed,
        or InvalidBody with everything that does not fit; nothing is written then.
        """
        covered(grant, account_id)
        before = self._there(_FIND_AND_LOCK, account_id)
        conditions.check(before.version)
        wanted = wish.settings(before.settings, frozenset((before.all_group,)))
        onboarding = wish.onboarding(before.onboarding)
        if wanted == before.settings and onboarding == before.onboarding:
            return before
        after = Account(
            id=before.id,
            domain=before.domain,
            domain_category=before.domain_category,
            created_us=before.created_us,
            created_by=before.created_by,
            settings=wanted,
            onboarding=onboarding,
            network_range=wanted["network_range"] or before.network_range,
            network_range_v6=wanted["network_range_v6"] or before.network_range_v6,
            all_group=before.all_group,
            version=before.version + 1,
        )
        happened = [*changes.of_settings(after.id, before.effective(), after.effective())]
        if onboarding != before.onboarding:
            meta = {"old": changes.written(before.onboarding), "new": changes.written(onboarding)}
            happened.append(Happening("account.onboarding.update", after.id, meta))
        detail = {"changes": [{"code": one.code, **one.meta} for one in happened]}
        self._write(NetBirdPrivilege.SETTINGS_UPDATE.action, after, _REPLACE, detail)
        self.tell(after.id, happened)
        return after

    def make(self, domain: str, category: str, founder: Person) -> Account:
        """Make an account for who founds it; of a private domain it is the one that others join.

        Raises TransactionRefusedError when somebody made that at the same moment.
        """
        all_group = new_id()
        account = Account(
            id=new_id(),
            domain=domain,
            domain_category=category,
            created_us=self._session.now_us,
            created_by=founder.id,
            settings=settings.of_new_account(all_group),
            onboarding={"signup_form_pending": True, "onboarding_flow_pending": True},
            network_range=f"100.{64 + secrets.randbelow(64)}.0.0/16",
            network_range_v6=_local_network(),
            all_group=all_group,
            version=1,
        )
        self._write(action_of("accounts", "create"), account, _CREATE, {"created": True})
        if category == PRIVATE:
            self._session.note(_MAKE_PRIMARY, domain=domain, account_id=account.id)
        self.tell(account.id, [Happening("account.create", account.id)], by=founder)
        return account

    def primary(self, domain: str) -> Account | None:
        """Read the account that people of a private domain join.

        Earlier releases kept domains as they were written, in lower case; that spelling wins.
        """
        key, written = domain_key(domain), domain.lower()
        rows = {row.domain: row.account_id for row in self._session.read(_PRIMARY, key=key, written=written)}
        found = rows.get(written, rows.get(key))
        return None if found is None else self.account(found)

    def delete(self, grant: Grant, account_id: str, conditions: Conditions) -> None:
        """Delete an account and everybody in it.

        Raises RefusedError: AgainstTheRules for another's account, PreconditionFailed,
        or NotPermitted for an owner who was one when he asked and has given it away.
        """
        covered(grant, account_id)
        account = self._there(_FIND_AND_LOCK, account_id)
        conditions.check(account.version)
        author = self._session.author
        if author.realm == FAMILY_NAME:
            row = self._session.read(_USER, id=author.name).one_or_none()
            if row is None or row.role != OWNER:
                raise RefusedError(NotPermitted())
        happened = []
        for row in self._session.read(_PEOPLE, id=account_id).all():
            code = "service.user.delete" if row.service_user else "user.delete"
            happened.append(Happening(code, row.id, {"name": row.name, "created_at": timestamp(row.created_us)}))
        created_at = timestamp(account.created_us)
        meta = {"account_id": account.id, "domain": account.domain, "created_at": created_at}
        self.tell(account_id, [*happened, Happening("account.delete", account.id, meta)])
        change = Change(
            FAMILY_NAME,
            "",
            NetBirdPrivilege.ACCOUNTS_DELETE.action,
            account.id,
            account.id,
            account.version + 1,
            {"domain": account.domain, "users": len(happened)},
        )
        self._session.write(change, _DELETE, id=account_id)

    def pieces_of_events(self, grant: Grant, most_bytes: int, piece_bytes: int) -> list[tuple[int, int]]:
        """Return which events of the caller's account fit into `most_bytes`, the newest first.

        In pieces of about `piece_bytes`, each with the ids of its oldest and newest event. Raises RefusedError.
        """
        pieces: list[tuple[int, int]] = []
        left, room = most_bytes, 0
        for row in self._session.read(_EVENT_SIZES, account=self.mine(grant).id):
            left -= row.size
            if left < 0:
                break
            if room >= row.size:
                room -= row.size
                pieces[-1] = (row.id, pieces[-1][1])
            else:
                room = piece_bytes - row.size
                pieces.append((row.id, row.id))
        return pieces

    def events(self, grant: Grant, oldest: int, newest: int) -> list[Event]:
        """Read what has happened in the caller's account between two events, the newest first. Raises RefusedError."""
        rows = self._session.read(_EVENTS, account=self.mine(grant).id, oldest=oldest, newest=newest)
        return [_event(row) for row in rows]

    # -- Below ----------------------------------------------------------------

    def tell(self, account: str, happened: Iterable[Happening], by: Person | None = None) -> None:
        """Write what has happened, as done by who makes the change, or by `by`."""
        initiator = by or self._author()
        for one in happened:
            self._session.note(
                _HAPPENED,
                account_id=account,
                at_us=self._session.now_us,
                code=one.code,
                initiator_id=initiator.id,
                initiator_name=initiator.name,
                initiator_email=initiator.email,
                target_id=one.target,
                meta=json.dumps(dict(one.meta), ensure_ascii=False),
            )

    def _author(self) -> Person:
        author = self._session.author
        if author.realm != FAMILY_NAME:
            # He may be called like somebody's id here, so he has a name and no id.
            return Person("", author.name, "")
        row = self._session.read(_USER, id=author.name).one_or_none()
        return Person(author.name, "", "") if row is None else Person(row.id, row.name, row.email)

    def _there(self, statement: Statement, account_id: str) -> Account:
        row = self._session.read(statement, id=account_id).one_or_none()
        if row is None:
            # Whether it is another's or nobody's is not told.
            raise RefusedError(AgainstTheRules(Rule.ANOTHER_ACCOUNT))
        return _account(row)

    def _write(self, act: str, account: Account, statement: RecordedStatement, detail: dict[str, Any]) -> None:
        change = Change(FAMILY_NAME, "", act, account.id, account.id, account.version, detail)
        self._session.write(
            change,
            statement,
            id=account.id,
            domain=account.domain,
            domain_category=account.domain_category,
            created_us=account.created_us,
            created_by=account.created_by,
            settings=json.dumps(account.settings, ensure_ascii=False),
            onboarding=None if account.onboarding is None else json.dumps(account.onboarding),
            network_range=account.network_range,
            network_range_v6=account.network_range_v6,
            all_group=account.all_group,
            version=account.version,
        )


def _account(row: Row[Any]) -> Account:
    stored = json.loads(row.settings)
    return Account(
        id=row.id,
        domain=row.domain,
        domain_category=row.domain_category,
        created_us=row.created_us,
        created_by=row.created_by,
        # What a later release knows besides is not shown, and what it knew not yet is as if it were not sent.
        settings={name: stored.get(name, nothing) for name, nothing in settings.NOTHING.items()},
        onboarding=None if row.onboarding is None else json.loads(row.onboarding),
        network_range=row.network_range,
        network_range_v6=row.network_range_v6,
        all_group=row.all_group,
        version=row.version,
    )


def _event(row: Row[Any]) -> Event:
    meta = json.loads(row.meta)
    if row.email is not None:
        meta = {"email": row.email, "username": row.username, **meta}
    names = (row.initiator_id, row.initiator_name, row.initiator_email)
    return Event(row.id, row.at_us, row.code, *names, row.target_id, meta)


def _local_network() -> str:
    """Make a network of local addresses (RFC 4193): 40 random bits after `fd`, and one subnet of it."""
    prefix = (0xFD << 120) | (secrets.randbits(40) << 80) | (secrets.randbits(16) << 64)
    return str(ipaddress.IPv6Network((prefix, 64)))


def timestamp(microseconds: int | None) -> str:
    """Write a moment as Go does (RFC 3339): in UTC, with as many digits as there are; none is the year 1."""
    if microseconds is None:
        return "0001-01-01T00:00:00Z"
    seconds, rest = divmod(microseconds, 1_000_000)
    moment = dt.datetime.fromtimestamp(seconds, dt.UTC).replace(tzinfo=None).isoformat()
    return f"{moment}.{rest:06d}".rstrip("0").rstrip(".") + "Z"
