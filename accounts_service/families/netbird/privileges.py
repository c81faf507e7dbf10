"""Privileges of the NetBird family, and its roles as action groups and roles of the one engine.

A module of NetBird is a resource here and its four operations are verbs,
`cluster:admin:netbird:settings/update`. Modules that this service has no part of
have names all the same, since callers are told what they may do in each.
"""

from __future__ import annotations

from accounts_service.access.action_groups import ActionGroups
from accounts_service.access.privileges import Privilege
from accounts_service.access.roles import Role

_NB = "cluster:admin:netbird:"

OWNER = "owner"
ADMIN = "admin"
NETWORK_ADMIN = "network_admin"
AUDITOR = "auditor"
USER = "user"
BILLING_ADMIN = "billing_admin"

ROLE_NAMES = (OWNER, ADMIN, NETWORK_ADMIN, AUDITOR, USER, BILLING_ADMIN)

OPERATIONS = ("read", "create", "update", "delete")
MODULES = (
    *("networks", "peers", "remote_jobs", "groups", "settings", "accounts", "dns", "nameservers", "events"),
    *("policies", "routes", "users", "setup_keys", "pats", "identity_providers", "services", "agent_network"),
    *("agent_network.providers", "agent_network.policies", "agent_network.guardrails", "agent_network.budgets"),
    *("agent_network.usage", "agent_network.logs", "agent_network.settings"),
)


def action_of(module: str, operation: str) -> str:
    """Name the action that an operation in a module is; a module within another is a part of its name."""
    return f"{_NB}{module.replace('.', ':')}/{operation}"


class NetBirdPrivilege(Privilege):
    """What can be asked for in NetBird."""

    ACCOUNTS_READ = _NB + "accounts/read", "Read an account."
    ACCOUNTS_DELETE = _NB + "accounts/delete", "Delete an account and everybody in it."
    SETTINGS_UPDATE = _NB + "settings/update", "Change the settings of an account."
    USERS_READ = _NB + "users/read", "List the users of an account."
    USERS_OWN_READ = _NB + "users/_own/read", "Read one's own user, and what one may do."
    USERS_CREATE = _NB + "users/create", "Create service users."
    USERS_UPDATE = _NB + "users/update", "Change users, their roles included, block them, and approve them."
    USERS_DELETE = _NB + "users/delete", "Delete users, and reject those who wait for approval."
    PATS_READ = (
        _NB + "pats/read",
        "List one's own personal access tokens, without the tokens, and those of service users.",
    )
    PATS_CREATE = _NB + "pats/create", "Make personal access tokens for oneself and for service users."
    PATS_DELETE = _NB + "pats/delete", "Delete one's own personal access tokens and those of service users."
    EVENTS_READ = _NB + "events/read", "Read what has happened in an account."
    GROUPS_READ = _NB + "groups/read", "List the groups of an account."
    PEERS_READ = _NB + "peers/read", "List the peers of an account."
    PEERS_OWN_READ = _NB + "peers/_own/read", "List one's own peers."
    SETUP_KEYS_READ = _NB + "setup_keys/read", "List the setup keys of an account."


def group_of(role: str) -> str:
    """Name the action group, and the role of the engine, that a role of NetBird is here."""
    return "NB_" + role.upper()


SERVICE_USER = "NB_SERVICE_USER"

_OWN = _NB + "users/_own/read"
_OWN_PEERS = _NB + "peers/_own/read"
_FOR_NETWORKS = (
    _NB + "accounts/read",
    _NB + "settings/read",
    _NB + "users/read",
    _NB + "pats/*",
    _NB + "events/read",
    _NB + "groups/read",
    _NB + "peers/read",
    _NB + "setup_keys/read",
)

ACTION_GROUPS: ActionGroups = {
    group_of(OWNER): (_NB + "*",),
    group_of(ADMIN): (
        _NB + "accounts/read",
        _OWN,
        *(action_of(module, "*") for module in MODULES if module != "accounts"),
    ),
    group_of(NETWORK_ADMIN): (*_FOR_NETWORKS, _OWN),
    group_of(AUDITOR): (_NB + "*/read",),
    group_of(USER): (_OWN, _OWN_PEERS),
    # In NetBird a name without any right of its own.
    group_of(BILLING_ADMIN): (group_of(USER),),
    # Whatever his role is, a service user reads everything.
    SERVICE_USER: (_NB + "*/read",),
}

ROLES = {name: Role(cluster_permissions=(name,)) for name in ACTION_GROUPS}


def roles_of(role: str, *, service_user: bool) -> frozenset[str]:
    """Name the roles of the engine that a user with this role of NetBird has."""
    return frozenset((group_of(role), *((SERVICE_USER,) if service_user else ())))
