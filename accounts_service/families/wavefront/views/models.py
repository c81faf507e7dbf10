"""Accounts, groups, roles and tokens as Wavefront's API writes them.

What has no value is left out, as its server does; lists are always there, since
its Python client refuses an object without them.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote

from flask import Response

from accounts_service.access.privileges import Everything, Grant
from accounts_service.config import WAVEFRONT_PERMISSIONS
from accounts_service.families.wavefront.privileges import TOKEN_MANAGEMENT, USER_MANAGEMENT
from accounts_service.families.wavefront.store.directory import (
    SERVICE,
    USER,
    Account,
    Group,
    Ignored,
    Page,
    Role,
    Token,
)
from accounts_service.faults import Json
from accounts_service.web import etags
from accounts_service.web.body import json_response
from accounts_service.web.gate import Call
from accounts_service.web.listing import list_response

Object = dict[str, Json]


def _filled(document: Object) -> Object:
    return {name: value for name, value in document.items() if value is not None}


def _milliseconds(microseconds: int | None) -> int | None:
    return None if microseconds is None else microseconds // 1000


class Models:
    """Writes what is stored, for one customer."""

    def __init__(self, call: Call) -> None:
        self._customer = call.services.settings.wavefront_customer
        self._own = None if call.identity is None else call.identity.own

    def user(self, account: Account) -> Object:
        """Write a UserModel, or a UserDTO, with all that is known of its groups and roles."""
        return self._user(account, [self.group(group) for group in account.groups], map(self.role, account.roles))

    def user_for(self, grant: Grant, account: Account) -> Object:
        """Write a UserModel, and who else is in its groups and has its roles only for who may read all accounts."""
        if isinstance(grant.scope, Everything):
            return self.user(account)
        roles = [{**self._role(role), "lastUpdatedAccountId": None} for role in account.roles]
        return self._user(account, map(self._group, account.groups), map(_filled, roles))

    def user_among_many(self, account: Account) -> Object:
        """Write a UserModel without who else is in its groups and has its roles: a list of all would be too long."""
        groups = [self._group(group) for group in account.groups]
        return self._user(account, groups, map(self._role, account.roles))

    def name_of_user(self, account: Account) -> Object:
        """Write no more of a UserDTO than who it is."""
        return {"identifier": account.identifier, "customer": self._customer}

    def _user(self, account: Account, groups: Iterable[Object], roles: Iterable[Object]) -> Object:
        return _filled(
            {
                "identifier": account.identifier,
                "customer": self._customer,
                "ssoId": account.sso_id,
                "lastSuccessfulLogin": _milliseconds(account.last_login_us),
                "groups": [*account.permissions],
                "userGroups": [*groups],
                "roles": [*roles],
            }
        )

    def account(self, account: Account) -> Object:
        """Write an Account: groups and roles by their ids, and all that it may do."""
        return {
            "identifier": account.identifier,
            "groups": [*account.permissions],
            "userGroups": [group.uid for group in account.groups],
            "roles": [role.uid for role in account.roles],
            "unitedRoles": [role.uid for role in account.united_roles],
            "unitedPermissions": [*account.united_permissions],
        }

    def service(self, account: Account) -> Object:
        """Write a ServiceAccount."""
        return _filled(
            {
                "identifier": account.identifier,
                "active": account.active,
                "description": account.description,
                "groups": [*account.permissions],
                "userGroups": [self._group(group) for group in account.groups],
                "roles": [self._role(role) for role in account.roles],
                "tokens": [self.token(token) for token in account.tokens],
                "lastUsed": _milliseconds(max((one.last_used_us or 0 for one in account.tokens), default=0) or None),
                "unitedRoles": [role.uid for role in account.united_roles],
                "unitedPermissions": [*account.united_permissions],
            }
        )

    def found_user(self, account: Account) -> Object:
        """Write a CustomerFacingUserObject: what a search finds of a user."""
        return _filled(
            {
                "customer": self._customer,
                "id": account.identifier,
                "identifier": account.identifier,
                "escapedIdentifier": quote(account.identifier, safe=""),
                "self": account.uid == self._own,
                "lastSuccessfulLogin": _milliseconds(account.last_login_us),
                "groups": [*account.permissions],
                "userGroups": [group.uid for group in account.groups],
                "unitedRoles": [role.uid for role in account.united_roles],
                "unitedPermissions": [*account.united_permissions],
            }
        )

    def _group(self, group: Group) -> Object:
        return _filled(
            {
                "id": group.uid,
                "name": group.name,
                "customer": self._customer,
                "description": group.description,
                "properties": {
                    "nameEditable": not group.system,
                    "usersEditable": not group.system,
                    "rolesEditable": True,
                },
            }
        )

    def group(self, group: Group) -> Object:
        """Write a UserGroup, with its roles."""
        return {
            **self._group(group),
            "users": [*group.members.sample],
            "userCount": group.members.number,
            "roles": [self._role(role) for role in group.roles],
        }

    def user_group(self, group: Group) -> Object:
        """Write a UserGroupModel."""
        return {
            **self.group(group),
            "createdEpochMillis": group.created_us // 1000,
            "roleCount": len(group.roles),
        }

    def _role(self, role: Role) -> Object:
        return _filled(
            {
                "id": role.uid,
                "name": role.name,
                "description": role.description,
                "customer": self._customer,
                "permissions": [*role.permissions],
                # Only what comes from elsewhere is restricted.
                "restrictedPermissions": [],
                "properties": {
                    "nameEditable": True,
                    "usersRemovable": True,
                    "usersAddable": True,
                    "permsEditable": True,
                    "deletable": True,
                },
                "createdEpochMillis": role.created_us // 1000,
                "lastUpdatedMs": role.updated_us // 1000,
                "lastUpdatedAccountId": role.updated_by,
            }
        )

    def role(self, role: Role) -> Object:
        """Write a RoleDTO, with who has it; the groups among them without their roles."""
        return {
            **self._role(role),
            "sampleLinkedGroups": [self._group(group) for group in role.sample_groups],
            "linkedGroupsCount": role.groups.number,
            "sampleLinkedAccounts": [*role.accounts.sample],
            "linkedAccountsCount": role.accounts.number,
        }

    @staticmethod
    def token(token: Token) -> Object:
        """Write a UserApiToken."""
        return _filled(
            {
                "tokenID": token.value,
                "tokenName": token.name,
                "account": token.account,
                "accountType": _account_type(token),
                "dateGenerated": token.created_us // 1000,
                "lastUsed": _milliseconds(token.last_used_us),
            }
        )

    def customer_token(self, token: Token) -> Object:
        """Write an ApiTokenModel."""
        return _filled(
            {
                "id": token.value,
                "name": token.name,
                "customer": self._customer,
                "account": token.account,
                "accountType": _account_type(token),
                "createdEpochMillis": token.created_us // 1000,
                "dateGenerated": token.created_us // 1000,
                "lastUsed": _milliseconds(token.last_used_us),
            }
        )


def _account_type(token: Token) -> str:
    if token.kind == USER:
        return "USER_ACCOUNT"
    return "SERVICE_ACCOUNT" if token.active else "INACTIVE_SERVICE_ACCOUNT"


# -- What an account can do, in the terms of Wavefront's own application ------

_FOR_USERS = (
    "LOGIN",
    "LOGOUT",
    "CHANGE_PASSWORD",
    "CHANGE_USER_PREFERENCE",
    "VIEW_DASHBOARDS",
    "VIEW_ALERTS",
    "VIEW_EVENTS",
)
_FOR_EVERYONE = ("GET_TOKENS", "REVOKE_TOKEN")
_BY_PERMISSION = {
    USER_MANAGEMENT: (
        "GET_ALL_ACCOUNTS",
        "GET_ALL_USERS",
        "GET_ALL_SERVICE_ACCOUNTS",
        "ADMINISTER_GROUPS",
        "ADMINISTER_USER_GROUPS",
        "ADMINISTER_SERVICE_ACCOUNTS",
        "ADMINISTER_ALL_TOKENS",
        "DELETE_ACCOUNT",
        "INVITE_USER",
        "ROLES_MANAGEMENT",
    ),
    TOKEN_MANAGEMENT: ("CREATE_TOKEN",),
    "dashboard_management": ("MODIFY_DASHBOARDS",),
    "alerts_management": ("MODIFY_ALERTS",),
    "events_management": ("MODIFY_EVENTS",),
    "ingestion": ("METRIC_INGESTION",),
    "embedded_charts": ("CREATE_EMBEDDED_CHARTS",),
    "saml_sso_management": ("MODIFY_SAML_SSO_SETTINGS",),
}
BUSINESS_FUNCTIONS = tuple(
    dict.fromkeys((*_FOR_USERS, *_FOR_EVERYONE, *(one for many in _BY_PERMISSION.values() for one in many)))
)


def business_functions(account: Account) -> list[Json]:
    """Name what an account can do. Which permission stands for what is not public; this is the likely part of it."""
    held = account.united_permissions
    functions = [*(() if account.kind == SERVICE else _FOR_USERS), *_FOR_EVERYONE]
    functions += [one for name in WAVEFRONT_PERMISSIONS if name in held for one in _BY_PERMISSION.get(name, ())]
    return [*functions]


# -- Answers ------------------------------------------------------------------


def message_of(ignored: Ignored) -> str:
    """Say which ids were passed over; empty when none was."""
    parts = (("user groups", ignored.groups), ("roles", ignored.roles), ("users", ignored.accounts))
    return ", ".join(f"Invalid {noun} found and ignored [{', '.join(ids)}]" for noun, ids in parts if ids)


def wrapped(response: Json, message: str = "") -> Response:
    """Answer with `{"status": …, "response": …}`; with a message the status is 202."""
    return json_response(_wrap(response, message), 202 if message else 200)


def _wrap(response: Json, message: str) -> Object:
    status: Object = {"result": "OK", "message": message, "code": 202 if message else 200}
    return {"status": status, "response": response}


def bare(model: Object, message: str = "") -> Response:
    """Answer with a model alone; what is to be said besides stands in a header."""
    response = json_response(model, 202 if message else 200)
    if message:
        response.headers["X-Status-Message"] = _header(message)
    return response


def hybrid(model: Object, message: str = "", response: Json = None) -> Response:
    """Answer with a model that has `status` and `response` as well, for clients of both opinions."""
    both = model | _wrap(model if response is None else response, message)
    return json_response(both, 202 if message else 200)


def styled(call: Call, model: Object, message: str = "") -> Response:
    """Answer as the installation has it for changes of users."""
    match call.services.settings.wavefront_response_style:
        case "wrapped":
            return wrapped(model, message)
        case "hybrid":
            return hybrid(model, message)
        case _:
            return bare(model, message)


# Proxies take a few thousand bytes of headers, and a list of ids may be longer.
_LONGEST_HEADER = 1000


def _header(message: str) -> str:
    # Ids are whatever was sent.
    text = "".join(sign if " " <= sign <= "~" else "?" for sign in message)
    return text if len(text) <= _LONGEST_HEADER else text[:_LONGEST_HEADER] + "..."


def tagged(response: Response, shown: Account | Group | Role | Token) -> Response:
    """Add the version of what an answer shows, as ETag."""
    # An account may be made again under the name of one that is gone; ids of the others never come twice.
    kind = shown.uid if isinstance(shown, Account) else ""
    response.headers["ETag"] = etags.tag_of(shown.version, kind)
    return response


def wrapped_list(call: Call, items: Iterable[Json]) -> Response:
    """Answer with a list as `wrapped` does. Raises as `list_response` does."""
    return list_response(call, items, _wrap([], ""))


def paged(call: Call, page: Page, items: Iterable[Json], **more: Json) -> Response:
    """Answer with a part of a list: `items` of the page. Raises as `list_response` does."""
    frame: Object = {
        "items": [],
        "offset": page.offset,
        "limit": page.limit,
        "totalItems": page.total,
        "moreItems": page.offset + len(page.items) < page.total,
        **more,
    }
    return list_response(call, items, _wrap(frame, ""))
