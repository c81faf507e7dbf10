"""Privileges of the Wavefront family, and its native permissions as action groups and roles of the one engine.

Each permission of Wavefront (`user_management`, …) is an action group
`WF_USER_MANAGEMENT`, and a role of the same name that holds it. The united
permissions of an account, its own and those by role and by group, become its
roles at the gate. A role of sg_roles.yml can hold the groups as well.
"""

from __future__ import annotations

from collections.abc import Iterable

from accounts_service.access.action_groups import ActionGroups
from accounts_service.access.privileges import Privilege
from accounts_service.access.roles import Role
from accounts_service.config import WAVEFRONT_PERMISSIONS

_WF = "cluster:admin:wavefront:"

USER_MANAGEMENT = "user_management"
TOKEN_MANAGEMENT = "token_management"  # noqa: S105  # a name

# What service accounts never hold: a token of theirs must not make further tokens.
NOT_FOR_SERVICE_ACCOUNTS = frozenset((TOKEN_MANAGEMENT,))


class WavefrontPrivilege(Privilege):
    """What can be asked for in Wavefront."""

    ACCOUNT_GET = _WF + "account/get", "Read every account, and what each may do."
    ACCOUNT_OWN_GET = _WF + "account/_own/get", "Read one's own account."
    ACCOUNT_PUT = _WF + "account/put", "Create accounts and change them, with all that they may do."
    ACCOUNT_DELETE = _WF + "account/delete", "Delete accounts."
    ACCOUNT_SEARCH = _WF + "account/search", "List and search accounts."
    ACCOUNT_VALIDATE = _WF + "account/validate", "Check which of some identifiers are those of accounts."
    ADMINISTRATORS_GET = _WF + "account/administrators/get", "List the users who may manage users."
    USERGROUP_GET = _WF + "usergroup/get", "Read, list and search user groups."
    USERGROUP_PUT = (
        _WF + "usergroup/put",
        "Create user groups and change them, their members and their roles, and so what these may do.",
    )
    USERGROUP_DELETE = _WF + "usergroup/delete", "Delete user groups."
    ROLE_GET = _WF + "role/get", "Read, list and search roles."
    ROLE_PUT = (
        _WF + "role/put",
        "Create roles and change them, what they permit and who has them, and so what these may do.",
    )
    ROLE_DELETE = _WF + "role/delete", "Delete roles."
    TOKEN_OWN_GET = _WF + "apitoken/_own/get", "List one's own API tokens."
    TOKEN_OWN_CREATE = _WF + "apitoken/_own/create", "Make an API token for oneself."
    TOKEN_OWN_PUT = _WF + "apitoken/_own/put", "Rename one's own API tokens."
    TOKEN_OWN_DELETE = _WF + "apitoken/_own/delete", "Revoke one's own API tokens."
    TOKEN_ALL_GET = _WF + "apitoken/_all/get", "List and search everybody's API tokens, the tokens themselves included."
    TOKEN_ALL_CREATE = _WF + "apitoken/_all/create", "Make API tokens for service accounts."
    TOKEN_ALL_PUT = _WF + "apitoken/_all/put", "Rename the API tokens of service accounts."
    TOKEN_ALL_DELETE = _WF + "apitoken/_all/delete", "Revoke everybody's API tokens."


def group_of(permission: str) -> str:
    """Name the action group, and the role, that a permission is here."""
    return "WF_" + permission.upper()


ACCOUNT_ROLE = "WF_ACCOUNT"

# Given to every service account at the gate. A token of a service account must not lead to a token of another account,
# or to one that outlives it, so these exclusions win over every permission that the service account holds.
SERVICE_ACCOUNT_ROLE = "WF_SERVICE_ACCOUNT"
_NEVER_FOR_SERVICE_ACCOUNTS = (
    _WF + "apitoken/_own/create",
    _WF + "apitoken/_all/create",
    _WF + "apitoken/_all/get",
)

# What other permissions allow, this service has no part of; their names stand for it all the same, so that a role can
# be read, and one who asks what somebody may do is told the truth.
_ELSEWHERE = {
    permission: (f"{_WF}{permission.removesuffix('_management')}/*",)
    for permission in WAVEFRONT_PERMISSIONS
    if permission not in (USER_MANAGEMENT, TOKEN_MANAGEMENT)
}

ACTION_GROUPS: ActionGroups = {
    # For everyone who has an account.
    ACCOUNT_ROLE: (
        _WF + "account/_own/get",
        _WF + "account/validate",
        _WF + "account/administrators/get",
        _WF + "apitoken/_own/get",
        _WF + "apitoken/_own/put",
        _WF + "apitoken/_own/delete",
    ),
    group_of(USER_MANAGEMENT): (
        _WF + "account/*",
        _WF + "usergroup/*",
        _WF + "role/*",
        _WF + "apitoken/_all/*",
    ),
    group_of(TOKEN_MANAGEMENT): (_WF + "apitoken/_own/create",),
    **{group_of(permission): actions for permission, actions in _ELSEWHERE.items()},
}

ROLES = {
    **{name: Role(cluster_permissions=(name,)) for name in ACTION_GROUPS},
    SERVICE_ACCOUNT_ROLE: Role(exclude_cluster_permissions=_NEVER_FOR_SERVICE_ACCOUNTS),
}


def roles_of(permissions: Iterable[str], *, service_account: bool) -> frozenset[str]:
    """Return the names of the roles of an account with these united permissions."""
    excluding = (SERVICE_ACCOUNT_ROLE,) if service_account else ()
    return frozenset((ACCOUNT_ROLE, *excluding, *map(group_of, permissions)))
