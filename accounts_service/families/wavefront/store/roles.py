"""Every query on roles."""

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
    Page,
    Role,
    everything,
    list_of,
    numbered,
    searched,
)
from accounts_service.families.wavefront.tables import ACCOUNT, ACCOUNT_ROLE, GROUP, GROUP_ROLE, ROLE, ROLE_PERMISSION
from accounts_service.faults import AlreadyExists, Json, NoSuchObject, RefusedError
from accounts_service.storage.audit import Change
from accounts_service.storage.database import RecordedStatement
from accounts_service.storage.lists import insertion_of_rows, texts
from accounts_service.storage.statements import Statement, given, insertion


@dataclass(frozen=True, slots=True)
class RoleWish:
    """What a role is to be. None: as it is, or for a new one by default; an empty `description` is none."""

    name: str | None = None
    description: str | None = None
    permissions: Sequence[str] | None = None


_THIS = ROLE.c.uid == given("uid")
_FIND = Statement(select(ROLE).where(_THIS))
_FIND_AND_LOCK = Statement(select(ROLE).where(_THIS).with_for_update())
_LOCK_SOME = Statement(select(ROLE).where(ROLE.c.uid.in_(texts(given("uids")))).order_by(ROLE.c.uid).with_for_update())
_OF_NAME = Statement(select(ROLE.c.uid).where(ROLE.c.name == given("name")))
_LOCK_HOLDERS = Statement(
    select(ACCOUNT.c.uid)
    .where(ACCOUNT.c.uid.in_(select(ACCOUNT_ROLE.c.account_uid).where(ACCOUNT_ROLE.c.role_uid == given("uid"))))
    .order_by(ACCOUNT.c.folded)
    .with_for_update()
)
_LOCK_GROUPS = Statement(
    select(GROUP.c.uid)
    .where(GROUP.c.uid.in_(select(GROUP_ROLE.c.group_uid).where(GROUP_ROLE.c.role_uid == given("uid"))))
    .order_by(GROUP.c.uid)
    .with_for_update()
)
_COUNT = Statement(select(func.count()).select_from(ROLE))
_PART = Statement(select(ROLE).order_by(ROLE.c.name).offset(given("offset")).limit(given("limit")))

_CLEAR = Statement(delete(ROLE_PERMISSION).where(ROLE_PERMISSION.c.role_uid == given("uid")))
_FILL = insertion_of_rows(ROLE_PERMISSION, ("role_uid",), "permissions")
_CREATE = RecordedStatement(insertion(ROLE), _FILL)
_TEXTS = ("name", "description", "name_caseless", "description_caseless")
_CHANGED = (*_TEXTS, "updated_us", "updated_by", "version")
_REPLACE = RecordedStatement(_FILL, update(ROLE).where(_THIS).values({name: given(name) for name in _CHANGED}))
_DELETE = RecordedStatement(delete(ROLE).where(_THIS))


class Roles(Directory):
    """Roles. A method acts within the scope of the grant it is given, which is all of them or nothing."""

    def get(self, grant: Grant, uid: str) -> Role:
        """Read a role. Raises RefusedError(NoSuchObject)."""
        everything(grant)
        return self._full(self._there(_FIND, uid))

    def part(self, grant: Grant, offset: int, limit: int) -> Page:
        """Read roles, by name."""
        everything(grant)
        total: int = self._session.read(_COUNT).scalar_one()
        rows = self._session.read(_PART, offset=offset, limit=limit).all()
        return Page(self.roles(rows), offset, limit, total)

    def make(self, grant: Grant, wish: RoleWish) -> Role:
        """Make a role. Raises RefusedError(AlreadyExists) when there is one of that name."""
        everything(grant)
        now_us = self._session.now_us
        blank = Role(str(uuid.uuid4()), "", None, (), now_us, now_us, self._session.author.name, version=0)
        return self._written(blank, wish)

    def change(self, grant: Grant, uid: str, wish: RoleWish, conditions: Conditions = NO_CONDITIONS) -> Role:
        """Change a role.

        Raises RefusedError: NoSuchObject, PreconditionFailed, or AlreadyExists when its new name is taken.
        """
        everything(grant)
        role = self._plain(self._there(_FIND_AND_LOCK, uid))
        conditions.check(role.version)
        return self._written(role, wish)

    def permit(self, grant: Grant, uids: Sequence[str], permission: str, *, held: bool) -> Role:
        """Let all of some roles hold a permission, or none of them; returns the last one named.

        Raises RefusedError(NoSuchObject), when nothing was changed.
        """
        everything(grant)
        rows = self._session.read(_LOCK_SOME, uids=list_of(uids)).all()
        if missing := [uid for uid in uids if uid not in {row.uid for row in rows}]:
            raise RefusedError(NoSuchObject("POST", ", ".join(missing)))
        for role in self.roles(rows, full=False):
            self._write(role, RoleWish(permissions=joined(role.permissions, (permission,), linked=held)))
        return self.get(grant, uids[-1])

    def delete(self, grant: Grant, uid: str, conditions: Conditions = NO_CONDITIONS) -> Role:
        """Delete a role, whoever has it; returns what it was. Raises RefusedError: NoSuchObject, PreconditionFailed."""
        everything(grant)
        # In the order in which changes of an account lock: first it, then what it has. Else two wait for each other.
        self._session.read(_LOCK_HOLDERS, uid=uid).all()
        self._session.read(_LOCK_GROUPS, uid=uid).all()
        role = self._full(self._there(_FIND_AND_LOCK, uid))
        conditions.check(role.version)
        last: dict[str, Json] = {
            "name": role.name,
            "permissions": [*role.permissions],
            "accounts": role.accounts.number,
            "groups": role.groups.number,
        }
        self._session.write(_change(WavefrontPrivilege.ROLE_DELETE, role, {"last": last}), _DELETE, uid=uid)
        return role

    # -- Below ----------------------------------------------------------------

    def _there(self, statement: Statement, uid: str) -> Row[Any]:
        row = self._session.read(statement, uid=uid).one_or_none()
        if row is None:
            raise RefusedError(NoSuchObject("GET", uid))
        return row

    def _full(self, row: Row[Any]) -> Role:
        for role in self.roles((row,)):
            return role
        # It was deleted since its row was read.
        raise RefusedError(NoSuchObject("GET", row.uid))

    def _plain(self, row: Row[Any]) -> Role:
        (role,) = self.roles((row,), full=False)
        return role

    def _written(self, role: Role, wish: RoleWish) -> Role:
        self._write(role, wish)
        return self._full(self._there(_FIND, role.uid))

    def _write(self, role: Role, wish: RoleWish) -> None:
        before: dict[str, Json] = {
            "name": role.name,
            "description": role.description or "",
            "permissions": [*role.permissions],
        }
        wanted: dict[str, Json] = {
            "name": wish.name,
            "description": wish.description,
            "permissions": None if wish.permissions is None else [*dict.fromkeys(wish.permissions)],
        }
        changed = {name: value for name, value in wanted.items() if value not in (None, before[name])}
        new = role.version == 0
        if not changed and not new:
            return
        now: dict[str, Any] = {**before, **changed}
        if "name" in changed and self._session.read(_OF_NAME, name=now["name"]).first() is not None:
            raise RefusedError(AlreadyExists(f"Role {now['name']}"))
        detail: dict[str, Json] = {name: {"from": before[name], "to": value} for name, value in changed.items()}
        if not new:
            self._session.note(_CLEAR, uid=role.uid)
        self._session.write(
            _change(WavefrontPrivilege.ROLE_PUT, role, {"created": new, **detail}),
            _CREATE if new else _REPLACE,
            uid=role.uid,
            name=now["name"],
            description=now["description"] or None,
            name_caseless=searched(now["name"]),
            description_caseless=searched(now["description"] or None),
            created_us=role.created_us,
            updated_us=self._session.now_us,
            updated_by=self._session.author.name,
            version=role.version + 1,
            role_uid=role.uid,
            permissions=numbered(now["permissions"]),
        )


def _change(privilege: WavefrontPrivilege, role: Role, detail: dict[str, Json]) -> Change:
    return Change(FAMILY_NAME, "", privilege.action, f"role {role.uid}", role.uid, role.version + 1, detail)
