"""People who wait for approval: an administrator lets them in, or deletes them."""

from __future__ import annotations

from dataclasses import replace

from accounts_service.access.privileges import Grant
from accounts_service.families.netbird.store.accounts import Conditions
from accounts_service.families.netbird.store.changes import Happening
from accounts_service.families.netbird.store.users import User, Users
from accounts_service.faults import AgainstTheRules, RefusedError, Rule


class Approvals(Users):
    """Approvals. A method acts within the scope of the grant it is given."""

    def approve(self, grant: Grant, user_id: str, conditions: Conditions) -> User:
        """Let in a user who waits for approval.

        Raises RefusedError: NoSuchObject, PreconditionFailed, or AgainstTheRules for
        a user who does not wait.
        """
        before = self._waiting(grant, user_id, conditions)
        after = replace(before, blocked=False, pending=False, version=before.version + 1)
        self._update(after, {"changes": [{"code": "user.approve"}]})
        self.tell(after.account_id, [Happening("user.approve", after.id)])
        return after

    def reject(self, grant: Grant, user_id: str, conditions: Conditions) -> None:
        """Delete a user who waits for approval. Raises RefusedError as `approve` does."""
        user = self._waiting(grant, user_id, conditions)
        self._delete_user(user, [Happening("user.reject", user.id, {"name": user.name})])

    def _waiting(self, grant: Grant, user_id: str, conditions: Conditions) -> User:
        # Under the locks that every change of a user takes, so one of two decisions finds nobody waiting.
        user = self._locked(grant, user_id)
        conditions.check(user.version, user.uid)
        if not user.pending:
            raise RefusedError(AgainstTheRules(Rule.NOT_PENDING, user_id))
        return user
