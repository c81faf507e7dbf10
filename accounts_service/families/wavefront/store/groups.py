"""Every query on user groups."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, delete, func, select, update

from accounts_service.access.privileges import Grant
from accounts_service.families.wavefront.privileges import WavefrontPrivilege
from accounts_service.families.wavefront.store.accounts import joined
from accounts_service.families.wavefront.store.directory import (
    FAMILY_NAME,
    NO_CONDITIONS,
    Conditions,
    Directory,
    Group,
    Ignored,
    Page,
    everything,
    list_of,
    numbered,
    searched,
)
from accounts_service.families.wavefront.tables import ACCOUNT, ACCOUNT_GROUP, GROUP, GROUP_ROLE, ROLE
from accounts_service.faults import AgainstTheRules, Json, NoSuchObject, RefusedError, Rule
from accounts_service.storage.audit import Change
from accounts_service.storage.database import ForeignKeyError, RecordedStatement, TransactionRefusedError
from accounts_service.storage.lists import insertion_of_rows, texts
from accounts_service.storage.statements import Statement, given, insertion


@dataclass(frozen=True, slots=True)
class GroupWish:
    """What a group is to be. None: as it is, or for a new one by default. Ids of roles may be unknown."""

    name: str | None = None
    description: str | None = None
    roles: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class WrittenGroup:
    """What became of a request. `group`: as it is now."""

    group: Group
    ignored: Ignored = Ignored()


_THIS = GROUP.c.uid == given("uid")
_FIND = Statement(select(GROUP).where(_THIS))
_FIND_AND_LOCK = Statement(select(GROUP).where(_THIS).with_for_update())
_LOCK_SOME = Statement(
    select(GROUP).where(GROUP.c.uid.in_(texts(given("uids")))).order_by(GROUP.c.uid).with_for_update()
)
_LOCK_MEMBERS = Statement(
    select(ACCOUNT.c.uid)
    .where(ACCOUNT.c.uid.in_(select(ACCOUNT_GROUP.c.account_uid).where(ACCOUNT_GROUP.c.group_uid == given("uid"))))
    .order_by(ACCOUNT.c.folded)
    .with_for_update()
)
_KNOWN_ROLES = Statement(select(ROLE.c.uid).where(ROLE.c.uid.in_(texts(given("uids")))))
_COUNT = Statement(select(func.count()).select_from(GROUP))
_PART = Statement(
    select(GROUP)
    .order_by(GROUP.c.system.desc(), GROUP.c.name, GROUP.c.uid)
    .offset(given("offset"))
    .limit(given("limit"))
)

_CLEAR = Statement(delete(GROUP_ROLE).where(GROUP_ROLE.c.group_uid == given("uid")))
_FILL = insertion_of_rows(GROUP_ROLE, ("group_uid",), "roles")
_CREATE = RecordedStatement(insertion(GROUP), _FILL)
_CHANGED = ("name", "description", "name_caseless", "description_caseless", "version")
_REPLACE = RecordedStatement(_FILL, update(GROUP).where(_THIS).values({name: given(name) for name in _CHANGED}))
_DELETE = RecordedStatement(delete(GROUP).where(_THIS))


class Groups(Directory):
    """User groups. A method acts within the scope of the grant it is given, which is all of them or nothing."""

    def get(self, grant: Grant, uid: str) -> Group:
        """Read a group. Raises RefusedError(NoSuchObject)."""
        everything(grant)
        return self._full(self._there(_FIND, uid))

    def part(self, grant: Grant, offset: int, limit: int) -> Page:
        """Read groups: the system groups, then the others by name."""
        everything(grant)
        total: int = self._session.read(_COUNT).scalar_one()
        rows = self._session.read(_PART, offset=offset, limit=limit).all()
        return Page(self.groups(rows), offset, limit, total)

    def make(self, grant: Grant, wish: GroupWish) -> WrittenGroup:
        """Make a group. Raises RefusedError(NotPermitted)."""
        everything(grant)
        blank = Group(str(uuid.uuid4()), "", None, "", self._session.now_us, version=0)
        return self._written(blank, wish)

    def change(self, grant: Grant, uid: str, wish: GroupWish, conditions: Conditions = NO_CONDITIONS) -> WrittenGroup:
        """Change a group.

        Raises RefusedError: NoSuchObject, PreconditionFailed, or AgainstTheRules for the name of a system group.
        """
        group = self._locked(grant, uid)
        conditions.check(group.version)
        return self._written(group, wish)

    def give(
        self,
        grant: Grant,
        uids: Sequence[str],
        roles: Sequence[str],
        *,
        held: bool,
        conditions: Conditions = NO_CONDITIONS,
    ) -> Ignored:
        """Give roles to all of some groups, or take them away; says which roles to be given there are not.

        Raises RefusedError: NoSuchObject when a group is unknown, PreconditionFailed; nothing was changed then.
        """
        everything(grant)
        known, ignored = self._known(roles)
        rows = self._session.read(_LOCK_SOME, uids=list_of(uids)).all()
        if missing := [uid for uid in uids if uid not in {row.uid for row in rows}]:
            raise RefusedError(NoSuchObject("POST", ", ".join(missing)))
        for row in rows:
            conditions.check(row.version)
        for group in self.groups(rows, full=False):
            there = [role.uid for role in group.roles]
            self._write(group, GroupWish(roles=joined(there, known, linked=held)))
        return ignored if held else Ignored()

    def open_to_members(self, grant: Grant, uid: str) -> None:
        """Be sure that somebody can be put into a group. Raises RefusedError: NoSuchObject, or AgainstTheRules."""
        everything(grant)
        row = self._there(_FIND, uid)
        if row.system:
            raise RefusedError(AgainstTheRules(Rule.SYSTEM_GROUP, row.name))

    def delete(self, grant: Grant, uid: str, conditions: Conditions = NO_CONDITIONS) -> Group:
        """Delete a group; returns what it was.

        Raises RefusedError: NoSuchObject, PreconditionFailed, or AgainstTheRules.
        """
        everything(grant)
        # In the order in which changes of an account lock: first it, then what it has. Else two wait for each other.
        self._session.read(_LOCK_MEMBERS, uid=uid).all()
        group = self._full(self._there(_FIND_AND_LOCK, uid))
        conditions.check(group.version)
        if group.system:
            raise RefusedError(AgainstTheRules(Rule.SYSTEM_GROUP, group.name))
        last: dict[str, Json] = {"name": group.name, "members": group.members.number, "roles": _roles(group)}
        self._session.write(_change(WavefrontPrivilege.USERGROUP_DELETE, group, {"last": last}), _DELETE, uid=uid)
        return group

    # -- Below ----------------------------------------------------------------

    def _there(self, statement: Statement, uid: str) -> Row[Any]:
        row = self._session.read(statement, uid=uid).one_or_none()
        if row is None:
            raise RefusedError(NoSuchObject("GET", uid))
        return row

    def _full(self, row: Row[Any]) -> Group:
        for group in self.groups((row,)):
            return group
        # It was deleted since its row was read.
        raise RefusedError(NoSuchObject("GET", row.uid))

    def _locked(self, grant: Grant, uid: str) -> Group:
        everything(grant)
        (group,) = self.groups((self._there(_FIND_AND_LOCK, uid),), full=False)
        return group

    def _known(self, roles: Sequence[str]) -> tuple[list[str], Ignored]:
        known = {row.uid for row in self._session.read(_KNOWN_ROLES, uids=list_of(roles))}
        return (
            [uid for uid in dict.fromkeys(roles) if uid in known],
            Ignored(roles=tuple(uid for uid in dict.fromkeys(roles) if uid not in known)),
        )

    def _written(self, group: Group, wish: GroupWish) -> WrittenGroup:
        known, ignored = self._known(wish.roles or ())
        self._write(group, GroupWish(wish.name, wish.description, None if wish.roles is None else known))
        return WrittenGroup(self._full(self._there(_FIND, group.uid)), ignored)

    def _write(self, group: Group, wish: GroupWish) -> None:
        before: dict[str, Json] = {"name": group.name, "description": group.description, "roles": _roles(group)}
        wanted: dict[str, Json] = {
            "name": wish.name,
            "description": wish.description,
            "roles": None if wish.roles is None else [*wish.roles],
        }
        changed = {name: value for name, value in wanted.items() if value not in (None, before[name])}
        new = group.version == 0
        if not changed and not new:
            return
        if group.system and "name" in changed:
            raise RefusedError(AgainstTheRules(Rule.SYSTEM_GROUP, group.name))
        now: dict[str, Any] = {**before, **changed}
        detail: dict[str, Json] = {name: {"from": before[name], "to": value} for name, value in changed.items()}
        if not new:
            self._session.note(_CLEAR, uid=group.uid)
        try:
            self._session.write(
                _change(WavefrontPrivilege.USERGROUP_PUT, group, {"created": new, **detail}),
                _CREATE if new else _REPLACE,
                uid=group.uid,
                name=now["name"],
                description=now["description"],
                name_caseless=searched(now["name"]),
                description_caseless=searched(now["description"]),
                system=group.system,
                created_us=group.created_us,
                version=group.version + 1,
                group_uid=group.uid,
                roles=numbered(now["roles"]),
            )
        except ForeignKeyError:
            raise TransactionRefusedError from None


def _roles(group: Group) -> list[Json]:
    return [role.uid for role in group.roles]


def _change(privilege: WavefrontPrivilege, group: Group, detail: dict[str, Json]) -> Change:
    return Change(FAMILY_NAME, "", privilege.action, f"usergroup {group.uid}", group.uid, group.version + 1, detail)
