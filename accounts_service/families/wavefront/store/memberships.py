"""Who is in a group, and who has a role: changes that are asked of the group or role, and made to its members."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from accounts_service.access.privileges import Grant
from accounts_service.families.wavefront.store.accounts import Accounts
from accounts_service.families.wavefront.store.directory import OF_NAMES, Ignored, Role, all_mean, list_of, matching
from accounts_service.families.wavefront.store.groups import Groups, WrittenGroup
from accounts_service.families.wavefront.store.roles import Roles
from accounts_service.families.wavefront.tables import ACCOUNT, GROUP
from accounts_service.faults import AgainstTheRules, RefusedError, Rule
from accounts_service.storage.lists import texts
from accounts_service.storage.statements import Statement, given

_KNOWN_ACCOUNTS = Statement(select(ACCOUNT).where(OF_NAMES))
_KNOWN_GROUPS = Statement(select(GROUP.c.uid).where(GROUP.c.uid.in_(texts(given("uids")))))


class Memberships(Accounts):
    """Members of groups and holders of roles. A method acts within the scope of the grant it is given."""

    def enroll(self, grant: Grant, group: str, identifiers: Sequence[str], *, linked: bool) -> WrittenGroup:
        """Put accounts into a group, or take them out; names those that there are not, for which nothing is done.

        Raises RefusedError: NoSuchObject, or AgainstTheRules for a system group.
        """
        groups = Groups(self._session)
        groups.open_to_members(grant, group)
        known, unknown = self._accounts_among(identifiers)
        if known:
            self.link(grant, known, groups=(group,), linked=linked)
        return WrittenGroup(groups.get(grant, group), Ignored(accounts=tuple(unknown) if linked else ()))

    def assign(self, grant: Grant, role: str, assignees: Sequence[str], *, linked: bool) -> Role:
        """Give a role to accounts and groups, or take it away. Ids that are nobody's are passed over.

        Raises RefusedError: NoSuchObject, or AgainstTheRules when there is none of them.
        """
        roles = Roles(self._session)
        roles.get(grant, role)
        accounts, _ = self._accounts_among(assignees)
        groups = [row.uid for row in self._session.read(_KNOWN_GROUPS, uids=list_of(assignees))]
        if not accounts and not groups:
            raise RefusedError(AgainstTheRules(Rule.NO_KNOWN_ASSIGNEE))
        if accounts:
            self.link(grant, accounts, roles=(role,), linked=linked)
        if groups:
            Groups(self._session).give(grant, groups, (role,), held=linked)
        return roles.get(grant, role)

    def _accounts_among(self, identifiers: Sequence[str]) -> tuple[list[str], list[str]]:
        rows = self._session.read(_KNOWN_ACCOUNTS, **all_mean(identifiers))
        there = matching(identifiers, rows)
        return [one for one in identifiers if one in there], [one for one in identifiers if one not in there]
