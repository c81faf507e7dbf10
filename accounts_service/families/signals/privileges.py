"""Privileges of the Signals family, the action groups that bundle them, and the tenant they are asked for in.

https://docs.search-guard.com/latest/action-groups
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote

from accounts_service.access.action_groups import ActionGroups
from accounts_service.access.privileges import Privilege

_GLOBAL = "cluster:admin:searchguard:signals:"
_TENANT = "cluster:admin:searchguard:tenant:signals:"


class SignalsPrivilege(Privilege):
    """What can be asked for in Signals."""

    ACCOUNT_GET = _GLOBAL + "account/get", "Read an account; its secrets appear as references."
    ACCOUNT_PUT = _GLOBAL + "account/put", "Create or replace an account."
    ACCOUNT_DELETE = _GLOBAL + "account/delete", "Delete an account."
    ACCOUNT_REVEAL = (
        _GLOBAL + "account/reveal",
        "See the secrets of accounts in clear, and keep them while changing where they are sent.",
    )
    ACCOUNT_SEARCH = _GLOBAL + "account/search", "Search the global accounts."
    DESTINATION_SEARCH = _GLOBAL + "destination/search", "Search the global accounts, as in 2019."
    TENANT_ACCOUNT_SEARCH = (
        _TENANT + "account/search",
        "Search the accounts of the tenant, and the global ones with them.",
    )
    SCROLL = "indices:data/read/scroll", "Read on in a search, for which its own privilege is asked again."
    SCROLL_CLEAR = "indices:data/read/scroll/clear", "End reading on in a search."
    DESTINATION_GET = _GLOBAL + "destination/get", "Read an account by its id alone, as in 2019."
    DESTINATION_PUT = _GLOBAL + "destination/put", "Create or replace an account by its id alone, as in 2019."
    DESTINATION_DELETE = _GLOBAL + "destination/delete", "Delete an account by its id alone, as in 2019."
    TENANT_ACCOUNT_GET = _TENANT + "account/get", "Read an account of the tenant; its secrets appear as references."
    TENANT_ACCOUNT_PUT = _TENANT + "account/put", "Create or replace an account of the tenant."
    TENANT_ACCOUNT_DELETE = _TENANT + "account/delete", "Delete an account of the tenant."
    TENANT_ACCOUNT_REVEAL = (
        _TENANT + "account/reveal",
        "See the secrets of the tenant's accounts in clear, and keep them while changing where they are sent.",
    )


# What makes a tenant one of the caller's, for reading and for writing, in his own
# words or in those of the Kibana whose users share these roles.
TENANT_READING = (_TENANT + "account/get", _TENANT + "account/search", "kibana:saved_objects/_/read")
TENANT_WRITING = (_TENANT + "account/put", "kibana:saved_objects/_/write")

ACTION_GROUPS: ActionGroups = {
    "SGS_SIGNALS_ALL": (_TENANT + "*", _GLOBAL + "*"),
    "SGS_SIGNALS_WATCH_READ": (
        _TENANT + "watch/get",
        _TENANT + "watch/search",
        _TENANT + "watch:state/get",
        _TENANT + "watch:state/search",
    ),
    "SGS_SIGNALS_WATCH_MANAGE": (
        "SGS_SIGNALS_WATCH_READ",
        _TENANT + "watch/put",
        _TENANT + "watch/delete",
        _TENANT + "watch/execute",
        _TENANT + "watch/activate_deactivate",
        _TENANT + "watch/ack",
    ),
    "SGS_SIGNALS_WATCH_EXECUTE": (_TENANT + "watch/execute",),
    "SGS_SIGNALS_WATCH_ACTIVATE": (_TENANT + "watch/activate_deactivate",),
    "SGS_SIGNALS_WATCH_ACKNOWLEDGE": (_TENANT + "watch/ack",),
    # The 2019 form of the API asks for destination/*; its page says that these
    # groups contain that.
    "SGS_SIGNALS_ACCOUNT_READ": (
        _GLOBAL + "account/get",
        _GLOBAL + "account/search",
        _GLOBAL + "destination/get",
        _GLOBAL + "destination/search",
    ),
    "SGS_SIGNALS_ACCOUNT_MANAGE": (
        "SGS_SIGNALS_ACCOUNT_READ",
        _GLOBAL + "account/put",
        _GLOBAL + "account/delete",
        _GLOBAL + "destination/put",
        _GLOBAL + "destination/delete",
    ),
    "SGS_SIGNALS_TENANT_ACCOUNT_READ": (_TENANT + "account/get", _TENANT + "account/search"),
    "SGS_SIGNALS_TENANT_ACCOUNT_MANAGE": (
        "SGS_SIGNALS_TENANT_ACCOUNT_READ",
        _TENANT + "account/put",
        _TENANT + "account/delete",
    ),
    "SGS_SIGNALS_PROXY_CONFIG_READ": (_GLOBAL + "proxies/findone", _GLOBAL + "proxies/findall"),
    "SGS_SIGNALS_PROXY_CONFIG_WRITE": (
        "SGS_SIGNALS_PROXY_CONFIG_READ",
        _GLOBAL + "proxies/delete",
        _GLOBAL + "proxies/createorreplace",
    ),
    "SGS_SIGNALS_TRUSTSTORE_CONFIG_READ": (_GLOBAL + "truststores/findone", _GLOBAL + "truststores/findall"),
    "SGS_SIGNALS_TRUSTSTORE_CONFIG_WRITE": (
        "SGS_SIGNALS_TRUSTSTORE_CONFIG_READ",
        _GLOBAL + "truststores/delete",
        _GLOBAL + "truststores/createorreplace",
    ),
}


TENANT_HEADERS = ("sgtenant", "sg_tenant")


def requested_tenant(path: str, headers: Mapping[str, str]) -> str | None:
    """Name the tenant that a request is about; None is the global one.

    `path` is the path as it was sent, `headers` have their names in lower case.
    A path that names a tenant wins over `sgtenant`, and that over `sg_tenant`;
    the paths of global accounts name none. These are the rules of Search
    Guard's SignalsTenantParamResolver (https://github.com/floragunncom/search-guard,
    with the tenants' accounts of its main branch).
    """
    # Decoded as a whole, as routing does, so that no other spelling of a path names another tenant.
    match [unquote(segment) for segment in path.split("/")]:
        case ["", "_signals", "watch" | "tenant", tenant, *_]:
            return _named(tenant)
        case ["", "_signals", "account", tenant, _, _] | ["", "_signals", "account", tenant, "_search"]:
            return _named(tenant)
        case _:
            return headers.get("sgtenant") or headers.get("sg_tenant") or None


def _named(tenant: str) -> str | None:
    return None if tenant in ("", "_main") else tenant
