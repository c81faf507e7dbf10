"""Who asks in tests: one name for each way to be allowed or not."""

from __future__ import annotations

import base64
from functools import cache
from typing import Any

from accounts_service.access.authenticators.internal_users import hash_password

TENANTS = ("blue", "red")


def _in_tenant(tenant: str, *actions: str) -> list[dict[str, list[str]]]:
    return [{"tenant_patterns": [tenant], "allowed_actions": list(actions)}]


# name: what the role of that name allows
ROLES: dict[str, dict[str, list[Any]]] = {
    "reader": {"cluster_permissions": ["SGS_SIGNALS_ACCOUNT_READ"]},
    "manager": {"cluster_permissions": ["SGS_SIGNALS_ACCOUNT_MANAGE"]},
    "revealer": {"cluster_permissions": ["SGS_SIGNALS_ALL"]},
    "excluded": {
        "cluster_permissions": ["*"],
        "exclude_cluster_permissions": ["cluster:admin:searchguard:signals:account/*"],
    },
    # Who manages the accounts of one tenant, and who those of another.
    "native": {"tenant_permissions": _in_tenant("blue", "SGS_SIGNALS_TENANT_ACCOUNT_MANAGE")},
    "foreigner": {"tenant_permissions": _in_tenant("red", "SGS_SIGNALS_TENANT_ACCOUNT_MANAGE")},
    # Who works with the form of 2019 in a tenant.
    "old_native": {
        "cluster_permissions": ["cluster:admin:searchguard:signals:destination/*"],
        "tenant_permissions": _in_tenant("blue", "SGS_SIGNALS_TENANT_ACCOUNT_MANAGE"),
    },
}

# `admin` holds SGS_ALL_ACCESS, `stranger` nothing at all.
NAMES = ("admin", *ROLES, "stranger")


def password(name: str) -> str:
    """Give the password of a persona."""
    return f"password-of-{name}"


@cache
def hash_of(name: str) -> str:
    """Hash a persona's password as cheaply as bcrypt allows."""
    return hash_password(password(name), cost=4)


def authorization(name: str) -> dict[str, str]:
    """Write the header with which a persona comes."""
    token = base64.b64encode(f"{name}:{password(name)}".encode()).decode()
    return {"Authorization": f"Basic {token}"}


def configuration() -> dict[str, object]:
    """Write the configuration files, as documents by file name, in which all personas are known."""
    return {
        "sg_roles.yml": dict(ROLES),
        "sg_roles_mapping.yml": {
            "SGS_ALL_ACCESS": {"users": ["admin"]},
            **{name: {"users": [name]} for name in ROLES},
        },
        "sg_action_groups.yml": {},
        "sg_internal_users.yml": {name: {"hash": hash_of(name)} for name in NAMES},
        "sg_tenants.yml": {tenant: {} for tenant in TENANTS},
    }
