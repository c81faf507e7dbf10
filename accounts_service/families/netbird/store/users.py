"""Every query on users."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Row, delete, func, or_, select, update

from accounts_service.access.privileges import Everything, Grant, Own
from accounts_service.families.netbird.privileges import ADMIN, OWNER, NetBirdPrivilege
from accounts_service.families.netbird.schemas.users import UserWish
from accounts_service.families.netbird.store.accounts import (
    FAMILY_NAME,
    Accounts,
    Conditions,
    Person,
    timestamp,
)
from accounts_service.families.netbird.store.changes import Happening, written
from accounts_service.families.netbird.store.groups import verify_groups
from accounts_service.families.netbird.tables import ACCOUNT, USER
from accounts_service.faults import AgainstTheRules, AnswerTooLarge, Json, NoSuchObject, RefusedError, Rule
from accounts_service.storage.audit import Change
from accounts_service.storage.database import ForeignKeyError, RecordedStatement, TransactionRefusedError
from accounts_service.storage.statements import Statement, Value, given, insertion

# They are listed all at once.
MOST_SERVICE_USERS = 1000
_MOST_LISTED = 50_000


@dataclass(frozen=True, slots=True)
class User:
    """A user as he is stored. `service_user`: nobody's, and without e-mail address."""

    id: str
    uid: str
    account_id: str
    role: str
    name: str
    email: str
    service_user: bool
    auto_groups: tuple[str, ...]
    blocked: bool
    pending: bool
    created_us: int
    last_login_us: int | None
    version: int


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as far as his own user matters. `id` is empty for who has none here."""

    id: str
    administrator: bool = False
    owner: bool = False


# -- Statements ---------------------------------------------------------------

_THIS = USER.c.id == given("id")
_FIND = Statement(select(USER).where(_THIS))
_FIND_AND_LOCK = Statement(select(USER).where(_THIS).with_for_update())
_OF_ACCOUNT = Statement(
    select(USER)
    .where(USER.c.account_id == given("account"))
    .order_by(USER.c.created_us, USER.c.id)
    .limit(_MOST_LISTED + 1)
)
_ACCOUNT_LOCKED = Statement(select(ACCOUNT.c.id).where(ACCOUNT.c.id == given("id")).with_for_update())
_SERVICE_USERS = Statement(
    select(func.count()).select_from(USER).where(USER.c.account_id == given("account"), USER.c.service_user == 1)
)
_OWNERS = Statement(
    select(USER)
    .where(USER.c.account_id == given("account"), USER.c.role == OWNER)
    .order_by(USER.c.id)
    .with_for_update()
)
_CREATE = RecordedStatement(insertion(USER))
_CHANGED = ("role", "name", "email", "auto_groups", "blocked", "pending", "version")
_REPLACE = RecordedStatement(update(USER).where(_THIS).values({name: given(name) for name in _CHANGED}))
_DELETE = RecordedStatement(delete(USER).where(_THIS))
_LOGGED_IN = Statement(
    update(USER)
    .where(_THIS, or_(USER.c.last_login_us.is_(None), USER.c.last_login_us < given("at_us")))
    .values(last_login_us=given("at_us"))
)


class Users(Accounts):
    """Users. A method acts within the scope of the grant it is given."""

    def find(self, user_id: str) -> User | None:
        """Read a user, whosesoever he is; None when there is none."""
        row = self._session.read(_FIND, id=user_id).one_or_none()
        return None if row is None else user_of(row)

    def member(self, grant: Grant, user_id: str) -> User:
        """Read a user in the scope of the grant. Raises RefusedError(NoSuchObject) when there is none."""
        row = self._session.read(_FIND, id=user_id).one_or_none()
        if row is None or not covers(grant, row.account_id):
            raise no_such_user(user_id)
        return user_of(row)

    def all(self, grant: Grant, caller: Caller) -> list[User]:
        """List the users of the caller's account, or the caller alone by `users/_own/read`. Raises RefusedError."""
        account_id = self.mine(grant).id
        if grant.privilege is NetBirdPrivilege.USERS_OWN_READ:
            # Not out of the list of all, which may be long: every user may ask for this.
            user = self.find(caller.id)
            return [user] if user is not None and user.account_id == account_id else []
        rows = self._session.read(_OF_ACCOUNT, account=account_id).all()
        if len(rows) > _MOST_LISTED:
            raise RefusedError(AnswerTooLarge())
        return [user_of(row) for row in rows]

    # -- Changes --------------------------------------------------------------

    def join(self, account_id: str, person: Person, role: str, *, approved: bool) -> User:
        """Make a person a user of an account.

        Raises TransactionRefusedError when somebody did so at the same moment.
        """
        user = User(
            id=person.id,
            uid=uuid.uuid4().hex,
            account_id=account_id,
            role=role,
            name=person.name,
            email=person.email,
            service_user=False,
            auto_groups=(),
            blocked=not approved,
            pending=not approved,
            created_us=self._session.now_us,
            last_login_us=None,
            version=1,
        )
        self._keep(NetBirdPrivilege.USERS_CREATE, user, _CREATE, {"created": True, "role": role})
        self.tell(account_id, [Happening("user.join", person.id, {"role": role})], by=person)
        return user

    def log_in(self, user_id: str, at_us: int) -> None:
        """Note when a user has logged in."""
        self._session.note(_LOGGED_IN, id=user_id, at_us=at_us)

    def create_service_user(self, grant: Grant, name: str, role: str, auto_groups: Sequence[str]) -> User:
        """Make a service user in the caller's account.

        Raises RefusedError: InvalidBody for groups that users cannot have, or
        AgainstTheRules for one too many.
        """
        account = self.mine(grant)
        account_id = account.id
        verify_groups(account, auto_groups, "create")
        self._session.lock(_ACCOUNT_LOCKED, id=account_id)
        if self._session.read(_SERVICE_USERS, account=account_id).scalar_one() >= MOST_SERVICE_USERS:
            raise RefusedError(AgainstTheRules(Rule.TOO_MANY_SERVICE_USERS, str(MOST_SERVICE_USERS)))
        user = User(
            id=str(uuid.uuid4()),
            uid=uuid.uuid4().hex,
            account_id=account_id,
            role=role,
            name=name,
            email="",
            service_user=True,
            auto_groups=tuple(auto_groups),
            blocked=False,
            pending=False,
            created_us=self._session.now_us,
            last_login_us=None,
            version=1,
        )
        self._keep(NetBirdPrivilege.USERS_CREATE, user, _CREATE, {"created": True, "name": name, "role": role})
        self.tell(user.account_id, [Happening("service.user.create", user.id, {"name": name})])
        return user

    def change(self, grant: Grant, user_id: str, wish: UserWish, caller: Caller, conditions: Conditions) -> User:
        """Change a user; an owner who gives his role away becomes an administrator.

        Raises RefusedError: NoSuchObject, PreconditionFailed, AgainstTheRules, or
        InvalidBody for groups that users cannot have. Groups that the user has are
        kept, since earlier releases took any.
        """
        before = self._locked(grant, user_id)
        conditions.check(before.version, before.uid)
        giver = self.find(caller.id) if caller.id else None
        _verify(before, wish, caller, owns=caller.owner and (giver is None or giver.role == OWNER))
        added = [group for group in wish.auto_groups if group not in before.auto_groups]
        verify_groups(self.account(before.account_id), added, "update")
        pending = before.pending and wish.blocked
        after = replace(
            before,
            role=wish.role,
            auto_groups=tuple(wish.auto_groups),
            blocked=wish.blocked,
            pending=pending,
            version=before.version + 1,
        )
        happened = [*_difference(before, after)]
        if OWNER == after.role != before.role:
            self._step_down(after)
            happened.append(Happening("transferred.owner.role", after.id))
        if happened:
            detail: dict[str, Json] = {"changes": [{"code": one.code, **one.meta} for one in happened]}
            self._update(after, detail)
            self.tell(after.account_id, happened)
        return after if happened else before

    def remove(self, grant: Grant, user_id: str, caller: Caller, conditions: Conditions) -> None:
        """Delete a user and his tokens. Raises RefusedError: NoSuchObject, PreconditionFailed, or AgainstTheRules."""
        if user_id == caller.id:
            raise RefusedError(AgainstTheRules(Rule.ONESELF, user_id))
        user = self._locked(grant, user_id)
        conditions.check(user.version, user.uid)
        if user.role == OWNER:
            raise RefusedError(AgainstTheRules(Rule.OWNER_STAYS, user_id))
        self._delete_user(user)

    # -- Below ----------------------------------------------------------------

    def _delete_user(self, user: User, besides: Sequence[Happening] = ()) -> None:
        code = "service.user.delete" if user.service_user else "user.delete"
        meta = {"name": user.name, "created_at": timestamp(user.created_us)}
        self.tell(user.account_id, [Happening(code, user.id, meta), *besides])
        detail: dict[str, Json] = {"role": user.role}
        if besides:
            detail["changes"] = [{"code": one.code} for one in besides]
        change = _change(NetBirdPrivilege.USERS_DELETE.action, user, user.version + 1, detail)
        self._session.write(change, _DELETE, id=user.id)

    def _locked(self, grant: Grant, user_id: str) -> User:
        # The account before the user, as who deletes it or hands it on has them: else two wait for each other. And one
        # change of users after the other: of two who are made owners at once only the later one would be one.
        account_id = self.member(grant, user_id).account_id
        self._session.lock(_ACCOUNT_LOCKED, id=account_id)
        row = self._session.read(_FIND_AND_LOCK, id=user_id).one_or_none()
        # The user may have been deleted before the lock, and have joined another account, which is not the caller's.
        if row is None or row.account_id != account_id:
            raise no_such_user(user_id)
        return user_of(row)

    def _step_down(self, heir: User) -> None:
        for row in self._session.read(_OWNERS, account=heir.account_id).all():
            owner = user_of(row)
            if owner.id == heir.id:
                continue
            admin = replace(owner, role=ADMIN, version=owner.version + 1)
            detail: dict[str, Json] = {"role": {"from": OWNER, "to": ADMIN}}
            self._update(admin, detail)
            meta = {"role": ADMIN, "old": OWNER, "new": ADMIN}
            self.tell(owner.account_id, [Happening("user.role.update", owner.id, meta)])

    def _update(self, user: User, detail: dict[str, Json]) -> None:
        self._keep(NetBirdPrivilege.USERS_UPDATE, user, _REPLACE, detail)

    def _keep(
        self, privilege: NetBirdPrivilege, user: User, statement: RecordedStatement, detail: dict[str, Json]
    ) -> None:
        self._with_what_it_refers_to(
            _change(privilege.action, user, user.version, detail),
            statement,
            id=user.id,
            uid=user.uid,
            account_id=user.account_id,
            role=user.role,
            name=user.name,
            email=user.email,
            service_user=int(user.service_user),
            auto_groups=json.dumps([*user.auto_groups], ensure_ascii=False),
            blocked=int(user.blocked),
            pending=int(user.pending),
            created_us=user.created_us,
            last_login_us=user.last_login_us,
            version=user.version,
        )

    def _with_what_it_refers_to(self, change: Change, statement: RecordedStatement, **values: Value) -> None:
        try:
            self._session.write(change, statement, **values)
        except ForeignKeyError:
            # The account or the user was deleted since we looked; the next look will tell.
            raise TransactionRefusedError from None


def covers(grant: Grant, account_id: str) -> bool:
    """Return whether an account is within the scope of the grant."""
    return isinstance(grant.scope, Everything) or (
        isinstance(grant.scope, Own) and grant.scope.identifier == account_id
    )


def no_such_user(user_id: str) -> RefusedError:
    """Return the refusal for a user who does not exist, or of whom the caller may not know."""
    return RefusedError(NoSuchObject("GET", f"user: {user_id}"))


def _verify(user: User, wish: UserWish, caller: Caller, *, owns: bool) -> None:
    """Raise RefusedError(AgainstTheRules) for what is never done to a user."""
    if user.id == caller.id and wish.blocked and not user.blocked:
        raise RefusedError(AgainstTheRules(Rule.ONESELF, "block"))
    if user.id == caller.id and wish.role != user.role:
        raise RefusedError(AgainstTheRules(Rule.ONESELF, "role"))
    if OWNER in (user.role, wish.role) and user.role != wish.role:
        if not owns or user.role == OWNER:
            raise RefusedError(AgainstTheRules(Rule.OWNER_ROLE, "give"))
        if user.service_user:
            raise RefusedError(AgainstTheRules(Rule.OWNER_ROLE, "service"))
    if OWNER in (user.role, wish.role) and wish.blocked:
        # Nobody who is let in would own the account.
        raise RefusedError(AgainstTheRules(Rule.OWNER_STAYS, "block"))


def _difference(before: User, after: User) -> Iterable[Happening]:
    if before.role != after.role:
        yield Happening("user.role.update", after.id, {"role": after.role, "old": before.role, "new": after.role})
    if before.blocked != after.blocked:
        yield Happening("user.block" if after.blocked else "user.unblock", after.id)
    if before.pending and not after.pending:
        yield Happening("user.approve", after.id)
    if before.auto_groups != after.auto_groups:
        meta = {"old": written([*before.auto_groups]), "new": written([*after.auto_groups])}
        yield Happening("user.auto.groups.update", after.id, meta)


def _change(act: str, user: User, version: int, detail: dict[str, Json]) -> Change:
    return Change(FAMILY_NAME, "", act, f"user {user.id}", user.uid, version, detail)


def user_of(row: Row[Any]) -> User:
    """Read a row of the table of users."""
    return User(
        id=row.id,
        uid=row.uid,
        account_id=row.account_id,
        role=row.role,
        name=row.name,
        email=row.email,
        service_user=bool(row.service_user),
        auto_groups=tuple(json.loads(row.auto_groups)),
        blocked=bool(row.blocked),
        pending=bool(row.pending),
        created_us=row.created_us,
        last_login_us=row.last_login_us,
        version=row.version,
    )
