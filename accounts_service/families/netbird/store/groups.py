"""Every query on groups. An account has one, `All`; its settings refer to it by the same id."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from accounts_service.access.privileges import Grant
from accounts_service.families.netbird.store.accounts import Account, Accounts
from accounts_service.faults import InvalidBody, NoSuchObject, Problem, RefusedError, Unfit

ALL = "All"


@dataclass(frozen=True, slots=True)
class Group:
    """A group of an account."""

    id: str
    name: str


class Groups(Accounts):
    """Groups. A method acts within the scope of the grant it is given."""

    def groups(self, grant: Grant, name: str | None = None) -> list[Group]:
        """List the groups of the caller's account; with a name only the group that has it.

        Raises RefusedError, with NoSuchObject when no group has the name.
        """
        groups = [Group(self.mine(grant).all_group, ALL)]
        found = [group for group in groups if not name or group.name == name]
        if not found:
            raise RefusedError(NoSuchObject("GET", f"group: {name}"))
        return found

    def group(self, grant: Grant, group_id: str) -> Group:
        """Read a group of the caller's account. Raises RefusedError, with NoSuchObject when it does not exist."""
        for group in self.groups(grant):
            if group.id == group_id:
                return group
        raise RefusedError(NoSuchObject("GET", f"group: {group_id}"))


def verify_groups(account: Account | None, groups: Iterable[str], act: str) -> None:
    """Check that users of an account can have these groups.

    Raises RefusedError(InvalidBody) with every group that does not exist, and for
    `All`, which every user is in. `act`: `create` or `update`, for the wording.
    """
    problems = []
    for group in dict.fromkeys(groups):
        is_all = account is not None and group == account.all_group
        problems.append(Problem(("auto_groups",), Unfit("group_all" if is_all else f"no_group.{act}"), group))
    if problems:
        raise RefusedError(InvalidBody(tuple(problems)))
