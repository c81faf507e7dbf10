"""The installations that Signals' cases are about, as configuration files by name, and how their users log in."""

from __future__ import annotations

import base64
from functools import cache

from accounts_service.access.authenticators.internal_users import hash_password

_TENANT_SIGNALS = "cluster:admin:searchguard:tenant:signals:"
_SEARCH = "cluster:admin:searchguard:signals:account/search"

# name: password and backend roles. The backend role X maps to the role sg_X.
_USERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "uhura": ("uhura", ("signals_admin", "all_access")),
    "redshirt1": ("redshirt", ("signals_admin", "redshirts", "read_access")),
    "redshirt2": ("redshirt", ("signals_admin", "redshirts")),
    "redshirt3": ("redshirt", ("read_access", "redshirts")),
    "noshirt": ("redshirt", ("redshirts",)),
    "account_user_1": ("account_user_1", ("account_user_1",)),
    "account_user_2": ("account_user_2", ("account_user_2",)),
    "account_search_only": ("account_search_only", ("account_search_only",)),
    # Who came with an administrator's certificate; here he holds the role that allows everything.
    "admin-cert": ("admin-cert", ()),
    # The domain with the passwords skips this name.
    "skip_test_user": ("skip_test_user", ()),
}

_MAPPED = (
    "all_access",
    "signals_admin",
    "redshirts",
    "read_access",
    "activate_deactivate_watches",
    "account_user_1",
    "account_user_2",
    "account_search_only",
)


def authorization(user: str) -> str:
    """Write the Authorization header of a user of the fixture. Raises KeyError for any other."""
    password, _ = _USERS[user]
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@cache
def _hash(password: str) -> str:
    return hash_password(password, cost=4)


def _in_tenant(tenant: str, *actions: str) -> list[dict[str, list[str]]]:
    return [{"tenant_patterns": [tenant], "allowed_actions": [_TENANT_SIGNALS + action for action in actions]}]


def _account_user(tenant: str) -> dict[str, object]:
    actions = ("account/get", "account/put", "account/delete", "account/search", "watch/put")
    return {"cluster_permissions": [_SEARCH], "tenant_permissions": _in_tenant(tenant, *actions)}


def signals() -> dict[str, object]:
    """Write the files of most cases: users with passwords, and what each may do."""
    return {
        "sg_roles.yml": {
            "sg_all_access": {
                "cluster_permissions": ["*"],
                "tenant_permissions": [
                    {"tenant_patterns": ["*"], "allowed_actions": ["SGS_KIBANA_ALL_WRITE", _TENANT_SIGNALS + "*"]}
                ],
            },
            "sg_signals_admin": {"tenant_permissions": _in_tenant("SGS_GLOBAL_TENANT", "*")},
            "sg_redshirts": {"tenant_permissions": _in_tenant("redshirt_club", "*")},
            "sg_read_access": {"tenant_permissions": _in_tenant("SGS_GLOBAL_TENANT", "watch/get", "watch/search")},
            "sg_activate_deactivate_watches": {
                "tenant_permissions": _in_tenant("SGS_GLOBAL_TENANT", "watch/activate_deactivate")
            },
            "sg_public": {"cluster_permissions": ["cluster:monitor/main"]},
            "sg_account_user_1": _account_user("account_tenant_1"),
            "sg_account_user_2": _account_user("account_tenant_2"),
            "sg_account_search_only": {"cluster_permissions": [_SEARCH]},
        },
        "sg_roles_mapping.yml": {
            **{f"sg_{name}": {"backend_roles": [name]} for name in _MAPPED},
            "sg_public": {"users": ["*"]},
            "SGS_ALL_ACCESS": {"users": ["admin-cert"]},
        },
        "sg_action_groups.yml": {},
        "sg_internal_users.yml": {
            name: {"hash": _hash(password), "backend_roles": list(backend_roles)}
            for name, (password, backend_roles) in _USERS.items()
        },
        "sg_tenants.yml": {
            name: {"description": "A tenant."}
            for name in ("account_tenant_1", "account_tenant_2", "redshirt_club", "test1", "admin tenant")
        },
    }


def authentication() -> dict[str, object]:
    """Write the files of the cases about authentication: passwords, then a proxy's headers, then nobody at all."""
    headers = "request.headers.x-proxy-"
    return {
        **signals(),
        "sg_authc.yml": {
            "auth_domains": [
                {"type": "basic/internal_users_db", "skip": {"users": ["skip_test_*"]}},
                {
                    "type": "trusted_origin",
                    "user_mapping": {
                        "user_name": {"from": f"{headers}user"},
                        "roles": {
                            "from": [
                                f"{headers}roles",
                                {"json_path": f"{headers}roles-comma-separated", "split": ","},
                            ]
                        },
                    },
                },
                {
                    "type": "anonymous",
                    "accept": {"ips": ["127.0.0.33"]},
                    "user_mapping": {"roles": {"static": "anon_role"}},
                },
                {
                    "type": "anonymous",
                    "accept": {"ips": ["127.0.0.34"]},
                    "user_mapping": {"user_name": {"static": "nobody"}},
                },
            ],
            "network": {"trusted_proxies": "127.0.0.12/30"},
        },
    }


def tokens() -> dict[str, object]:
    """Write the files of case B09: tokens, then passwords that are not asked for."""
    key = {"kty": "oct", "kid": "k", "alg": "HS256", "k": base64.urlsafe_b64encode(b"k" * 32).decode().rstrip("=")}
    return {
        **signals(),
        "sg_authc.yml": {
            "auth_domains": [
                {"type": "jwt", "jwt": {"signing": {"jwks": {"keys": [key]}}}},
                {"type": "basic/internal_users_db", "basic": {"challenge": False}},
            ]
        },
    }
