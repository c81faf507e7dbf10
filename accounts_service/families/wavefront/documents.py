"""What the reader of the API is told of Wavefront: the names in its paths and queries, its bodies and its answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from accounts_service.config import WAVEFRONT_PERMISSIONS
from accounts_service.families.wavefront import examples, schemas
from accounts_service.families.wavefront.store import facets, search
from accounts_service.families.wavefront.store.search import Kind
from accounts_service.faults import Json
from accounts_service.validation.fields import MOST_ELEMENTS
from accounts_service.validation.json_schema import JsonSchema, nullable, record
from accounts_service.validation.schema import BodySchema
from accounts_service.web import description
from accounts_service.web.description import Answer, Takes, Term, ignored_by

_TEXT: JsonSchema = {"type": "string"}
_TEXTS: JsonSchema = {"type": "array", "items": _TEXT}
_FLAG: JsonSchema = {"type": "boolean"}
_NUMBER: JsonSchema = {"type": "integer", "minimum": 0}
_TIME: JsonSchema = {"type": "integer", "minimum": 0, "description": "Milliseconds since the epoch."}
_PERMISSION: JsonSchema = {"type": "string", "enum": [*WAVEFRONT_PERMISSIONS]}
_PERMISSIONS: JsonSchema = {"type": "array", "items": _PERMISSION}

SCHEMES: Mapping[str, JsonSchema] = {
    **description.SCHEMES,
    "wavefrontToken": {
        "type": "apiKey",
        "in": "header",
        "name": "X-AUTH-TOKEN",
        "description": "A token of Wavefront, which may stand in `Authorization: Bearer` as well.",
    },
}

# The query string of a list that is given in parts, and of a user to be made.
PART = frozenset(("offset", "limit"))
SEND_EMAIL = frozenset(("sendEmail",))


_FACETTED = {"account": facets.USERS, "group": facets.GROUPS, "role": facets.ROLES, "token": facets.TOKENS}


def _no_word(*words: str) -> JsonSchema:
    return {"type": "string", "not": {"enum": [*words]}}


TERMS = {
    "id": Term(
        "Who or what is meant: the identifier of an account, in any case, or the id of a group or role.",
        _no_word(
            *("user", "serviceaccount", "grant", "revoke", "deleteAccounts", "validateAccounts"),
            *("admin", "invite", "deleteUsers", "validateUsers", "customertokens"),
        ),
    ),
    "permission": Term("A permission.", _PERMISSION),
    **{
        f"{kind}_facet": Term("The attribute whose values are listed.", {"type": "string", "enum": [*facetted.values]})
        for kind, facetted in _FACETTED.items()
    },
    "token": Term("A token, by itself.", _no_word("grant", "revoke", "serviceaccount", "customertokens")),
    "offset": Term("How many to pass over.", {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}),
    "limit": Term("How many to give.", {"type": "integer", "minimum": 1, "maximum": 1000}),
    "sendEmail": Term(
        "Whether a user who is new is told by mail, in any case.",
        {"type": "string", "pattern": "^(?:[tT][rR][uU][eE]|[fF][aA][lL][sS][eE])?$"},
    ),
}

# -- Bodies -------------------------------------------------------------------

_SOME_TEXTS: JsonSchema = schemas.IDENTIFIERS.taken()
_NOTHING: JsonSchema = {"type": "object", "maxProperties": 0}

IDENTIFIERS = Takes(
    {"title": "Ids", "anyOf": [_SOME_TEXTS, _NOTHING, {"type": "null"}]},
    {"ids": ["someone@mycompany.example", "sa::collector"]},
    needed=False,
)
SOME_IDENTIFIERS = Takes(
    {"title": "Some ids", **_SOME_TEXTS, "minItems": 1}, {"ids": ["someone@mycompany.example", "sa::collector"]}
)
SOME_ASSIGNEES = Takes(
    {"title": "Assignees", **_SOME_TEXTS, "minItems": 1},
    {"ids": ["someone@mycompany.example", "5f3b2d1e-8c0a-4d65-9f0e-3f6f2b7c1a01"]},
)
SOME_ROLES = Takes(
    {"title": "Some roles", **_SOME_TEXTS, "minItems": 1}, {"ids": ["86a9cf6b-4e52-4c3a-8c1d-3d3f7e6a1b20"]}
)


def _taken(schema: BodySchema, title: str, name: str) -> Takes:
    return Takes(schema.taken(title), {name: examples.GOOD[name]}, ignores=ignored_by(schema))


def _optional(schema: BodySchema, title: str, example: dict[str, Json]) -> Takes:
    # Without any attribute there is nothing to change, and with no body no attribute.
    taken: JsonSchema = {"type": ["object", "null"], **schema.taken(title)}
    return Takes(taken, {"some": example}, needed=False, ignores=ignored_by(schema))


USER_TO_CREATE = _taken(schemas.USER_TO_CREATE, "User to create", "user")
USERS_TO_CREATE = Takes(
    {
        "title": "Users to create",
        "type": "array",
        "minItems": 1,
        "maxItems": MOST_ELEMENTS,
        "items": schemas.USER_TO_CREATE.taken("User to create"),
    },
    {"users": [examples.GOOD["user"]]},
    ignores=schemas.ignored_in_users,
)
USER_REQUEST = _optional(schemas.USER_REQUEST, "User request", {"groups": ["alerts_management"]})
NEW_SERVICE_ACCOUNT = _taken(schemas.SERVICE_ACCOUNT, "Service account to create", "service account")
CHANGED_SERVICE_ACCOUNT = _optional(
    schemas.SERVICE_ACCOUNT_UPDATE, "Service account request", {"description": "Collects"}
)
NEW_USER_GROUP = _taken(schemas.USER_GROUP, "User group to create", "user group")
CHANGED_USER_GROUP = _optional(schemas.USER_GROUP_UPDATE, "User group request", {"name": "Day shift"})
NEW_ROLE = _taken(schemas.ROLE, "Role to create", "role")
CHANGED_ROLE = _optional(schemas.ROLE_UPDATE, "Role request", {"permissions": ["events_management"]})
TOKEN_NAME = _optional(schemas.TOKEN_NAME, "Token request", {"tokenName": "of the collector"})
WHICH_TOKEN = Takes(
    schemas.TOKEN.taken("Token to revoke"),
    {"token": {"tokenID": "00000000-0000-4000-8000-000000000000"}},
    ignores=ignored_by(schemas.TOKEN),
)
PERMISSION_FORM = Takes(
    {"title": "Permission form", "type": "object", "required": ["group"], "properties": {"group": _PERMISSION}},
    {"form": {"group": "host_tag_management"}},
    ignores=schemas.ignored_in_form,
)


def conditions_of(kind: Kind) -> JsonSchema:
    """Return the schema of the `query` of a search in objects of a kind."""
    taken = schemas.CONDITION.taken("Condition")
    properties = taken["properties"]
    keys: JsonSchema = {"key": {"type": "string", "enum": [*kind.keys]}}
    condition: JsonSchema = {
        "type": "object",
        "required": taken["required"],
        "properties": {**properties, **keys} if isinstance(properties, dict) else keys,
    }
    return nullable({"type": "array", "maxItems": schemas.MOST_CONDITIONS, "items": condition})


def _search(kind: Kind, example: dict[str, Json]) -> Takes:
    order: JsonSchema = {
        "type": "object",
        "required": ["field", "ascending"],
        "properties": {"field": {"type": "string", "enum": ["default", *kind.sorts]}, "ascending": _FLAG},
    }
    part = schemas.PART.taken("Part")["properties"]
    asked: JsonSchema = {"query": conditions_of(kind), "sort": nullable(order)}
    schema: JsonSchema = {
        "type": ["object", "null"],
        "properties": {**asked, **(part if isinstance(part, dict) else {})},
    }
    searches: dict[str, Json] = {"one": {"query": [example]}, "all": {"query": None, "limit": 1000}}
    return Takes(schema, searches, needed=False, ignores=schemas.ignored_in_search)


_BY_ID: dict[str, Json] = {"key": "id", "value": "someone@mycompany.example", "matchingMethod": "EXACT"}
_BY_NAME: dict[str, Json] = {"key": "name", "value": "night", "matchingMethod": "CONTAINS"}

SEARCH_USERS = _search(search.USERS, _BY_ID)
SEARCH_ACCOUNTS = _search(search.BOTH, _BY_ID)
SEARCH_SERVICE_ACCOUNTS = _search(search.SERVICES, {"key": "id", "value": "sa::", "matchingMethod": "STARTSWITH"})
SEARCH_USER_GROUPS = _search(search.GROUPS, _BY_NAME)
SEARCH_ROLES = _search(search.ROLES, _BY_NAME)
SEARCH_TOKENS = _search(search.TOKENS, _BY_NAME)

# -- What is answered ---------------------------------------------------------

_GROUP = record(
    "User group in brief",
    {
        "id": _TEXT,
        "name": _TEXT,
        "customer": _TEXT,
        "properties": record(
            "User group properties", {"nameEditable": _FLAG, "usersEditable": _FLAG, "rolesEditable": _FLAG}
        ),
    },
    {"description": _TEXT},
)
_ROLE = record(
    "Role in brief",
    {
        "id": _TEXT,
        "name": _TEXT,
        "customer": _TEXT,
        "permissions": _PERMISSIONS,
        "restrictedPermissions": _PERMISSIONS,
        "properties": record(
            "Role properties",
            {
                "nameEditable": _FLAG,
                "usersRemovable": _FLAG,
                "usersAddable": _FLAG,
                "permsEditable": _FLAG,
                "deletable": _FLAG,
            },
        ),
        "createdEpochMillis": _TIME,
        "lastUpdatedMs": _TIME,
    },
    {"description": _TEXT, "lastUpdatedAccountId": _TEXT},
)


def _with(schema: JsonSchema, title: str, more: JsonSchema) -> JsonSchema:
    properties, required = schema["properties"], schema["required"]
    both = {**properties, **more} if isinstance(properties, dict) else more
    names: list[Json] = [*required, *more] if isinstance(required, list) else [*more]
    return {**schema, "title": title, "required": names, "properties": both}


def _list(schema: JsonSchema) -> JsonSchema:
    return {"type": "array", "items": schema}


_FULL_ROLE = _with(
    _ROLE,
    "RoleDTO",
    {
        "sampleLinkedGroups": _list(_GROUP),
        "linkedGroupsCount": _NUMBER,
        "sampleLinkedAccounts": _TEXTS,
        "linkedAccountsCount": _NUMBER,
    },
)
_FULL_GROUP = _with(_GROUP, "UserGroup", {"users": _TEXTS, "userCount": _NUMBER, "roles": _list(_ROLE)})
_USER_GROUP = _with(_FULL_GROUP, "UserGroupModel", {"createdEpochMillis": _TIME, "roleCount": _NUMBER})

_OF_USERS: JsonSchema = {"ssoId": _TEXT, "lastSuccessfulLogin": _TIME}
_USER = record(
    "UserModel",
    {
        "identifier": _TEXT,
        "customer": _TEXT,
        "groups": _PERMISSIONS,
        "userGroups": _list(_FULL_GROUP),
        "roles": _list(_FULL_ROLE),
    },
    _OF_USERS,
)
_USER_AMONG_MANY = record(
    "UserDTO",
    {"identifier": _TEXT, "customer": _TEXT},
    {"groups": _PERMISSIONS, "userGroups": _list(_GROUP), "roles": _list(_ROLE), **_OF_USERS},
)
_ACCOUNT = record(
    "Account",
    {
        "identifier": _TEXT,
        "groups": _PERMISSIONS,
        "userGroups": _TEXTS,
        "roles": _TEXTS,
        "unitedRoles": _TEXTS,
        "unitedPermissions": _PERMISSIONS,
    },
)
_ACCOUNT_TYPE: JsonSchema = {
    "type": "string",
    "enum": ["USER_ACCOUNT", "SERVICE_ACCOUNT", "INACTIVE_SERVICE_ACCOUNT"],
}
_TOKEN = record(
    "UserApiToken",
    {"tokenID": _TEXT, "account": _TEXT, "accountType": _ACCOUNT_TYPE, "dateGenerated": _TIME},
    {"tokenName": _TEXT, "lastUsed": _TIME},
)
_CUSTOMER_TOKEN = record(
    "ApiTokenModel",
    {
        "id": _TEXT,
        "customer": _TEXT,
        "account": _TEXT,
        "accountType": _ACCOUNT_TYPE,
        "createdEpochMillis": _TIME,
        "dateGenerated": _TIME,
    },
    {"name": _TEXT, "lastUsed": _TIME},
)
_SERVICE = record(
    "ServiceAccount",
    {
        "identifier": _TEXT,
        "active": _FLAG,
        "groups": _PERMISSIONS,
        "userGroups": _list(_GROUP),
        "roles": _list(_ROLE),
        "tokens": _list(_TOKEN),
        "unitedRoles": _TEXTS,
        "unitedPermissions": _PERMISSIONS,
    },
    {"description": _TEXT, "lastUsed": _TIME},
)
_FOUND_USER = record(
    "CustomerFacingUserObject",
    {
        "customer": _TEXT,
        "id": _TEXT,
        "identifier": _TEXT,
        "escapedIdentifier": _TEXT,
        "self": _FLAG,
        "groups": _PERMISSIONS,
        "userGroups": _TEXTS,
        "unitedRoles": _TEXTS,
        "unitedPermissions": _PERMISSIONS,
    },
    {"lastSuccessfulLogin": _TIME},
)
_STATUS = record(
    "Status",
    {
        "result": {"type": "string", "const": "OK"},
        "message": _TEXT,
        "code": {"type": "integer", "enum": [200, 202]},
    },
)

_CUSTOMER = "accounts"
_AT = 1764000000000
_EVERYONE: dict[str, Json] = {
    "id": "5f3b2d1e-8c0a-4d65-9f0e-3f6f2b7c1a01",
    "name": "Everyone",
    "customer": _CUSTOMER,
    "description": "System group which contains all users",
    "properties": {"nameEditable": False, "usersEditable": False, "rolesEditable": True},
}
_EVERYONE_IN_FULL: dict[str, Json] = {
    **_EVERYONE,
    "users": ["someone@mycompany.example"],
    "userCount": 1,
    "roles": [],
}
_ALERTING: dict[str, Json] = {
    "id": "86a9cf6b-4e52-4c3a-8c1d-3d3f7e6a1b20",
    "name": "Alerting",
    "description": "Keeps the alerts",
    "customer": _CUSTOMER,
    "permissions": ["alerts_management"],
    "restrictedPermissions": [],
    "properties": {
        "nameEditable": True,
        "usersRemovable": True,
        "usersAddable": True,
        "permsEditable": True,
        "deletable": True,
    },
    "createdEpochMillis": _AT,
    "lastUpdatedMs": _AT,
    "lastUpdatedAccountId": "admin@mycompany.example",
}
_ALERTING_IN_FULL: dict[str, Json] = {
    **_ALERTING,
    "sampleLinkedGroups": [],
    "linkedGroupsCount": 0,
    "sampleLinkedAccounts": ["someone@mycompany.example"],
    "linkedAccountsCount": 1,
}
_SOMEONE: dict[str, Json] = {
    "identifier": "someone@mycompany.example",
    "customer": _CUSTOMER,
    "groups": ["events_management"],
    "userGroups": [_EVERYONE_IN_FULL],
    "roles": [_ALERTING_IN_FULL],
}
_SOMEONE_AMONG_MANY: dict[str, Json] = {**_SOMEONE, "userGroups": [_EVERYONE], "roles": [_ALERTING]}
_UNITED: dict[str, Json] = {
    "unitedRoles": ["86a9cf6b-4e52-4c3a-8c1d-3d3f7e6a1b20"],
    "unitedPermissions": ["events_management", "alerts_management"],
}
_SOMEONE_BY_IDS: dict[str, Json] = {
    "identifier": "someone@mycompany.example",
    "groups": ["events_management"],
    "userGroups": ["5f3b2d1e-8c0a-4d65-9f0e-3f6f2b7c1a01"],
    "roles": ["86a9cf6b-4e52-4c3a-8c1d-3d3f7e6a1b20"],
    **_UNITED,
}
_FOUND: dict[str, Json] = {
    "customer": _CUSTOMER,
    "id": "someone@mycompany.example",
    "identifier": "someone@mycompany.example",
    "escapedIdentifier": "someone%40mycompany.example",
    "self": False,
    "groups": ["events_management"],
    "userGroups": ["5f3b2d1e-8c0a-4d65-9f0e-3f6f2b7c1a01"],
    **_UNITED,
}
_A_TOKEN: dict[str, Json] = {
    "tokenID": "00000000-0000-4000-8000-000000000000",
    "tokenName": "of the collector",
    "account": "sa::collector",
    "accountType": "SERVICE_ACCOUNT",
    "dateGenerated": _AT,
}
_A_CUSTOMER_TOKEN: dict[str, Json] = {
    "id": "00000000-0000-4000-8000-000000000000",
    "name": "of the collector",
    "customer": _CUSTOMER,
    "account": "sa::collector",
    "accountType": "SERVICE_ACCOUNT",
    "createdEpochMillis": _AT,
    "dateGenerated": _AT,
}
_COLLECTOR: dict[str, Json] = {
    "identifier": "sa::collector",
    "active": True,
    "groups": ["ingestion"],
    "userGroups": [],
    "roles": [],
    "tokens": [_A_TOKEN],
    "unitedRoles": [],
    "unitedPermissions": ["ingestion"],
}
_NIGHT: dict[str, Json] = {
    "id": "2b1f8a0e-77d8-4a55-8f51-0e3f0f4e9c11",
    "name": "Night shift",
    "customer": _CUSTOMER,
    "properties": {"nameEditable": True, "usersEditable": True, "rolesEditable": True},
    "users": [],
    "userCount": 0,
    "roles": [],
    "createdEpochMillis": _AT,
    "roleCount": 0,
}

_STORED = ("Cache-Control",)
# Of what shows one object.
_TAGGED = ("Cache-Control", "ETag")
_OK: dict[str, Json] = {"result": "OK", "message": "", "code": 200}
_NAMED: dict[str, Json] = {
    "result": "OK",
    "message": "Invalid user groups found and ignored [8b23136b-ecd2-4cb5-8c92-62477dcc4090]",
    "code": 202,
}
_IN_PART = " Ids of groups, roles or users that there are not were passed over and are named."


def _envelope(title: str, schema: JsonSchema) -> JsonSchema:
    return record(title, {"status": _STATUS, "response": schema})


def wrapped(title: str, sentence: str, schema: JsonSchema, example: Json) -> Answer:
    """Describe an answer that is `{"status": …, "response": …}`."""
    return Answer(sentence, _envelope(title, schema), {"status": _OK, "response": example}, _STORED)


def _one(title: str, sentence: str, schema: JsonSchema, example: Json) -> Answer:
    return replace(wrapped(title, sentence, schema, example), headers=_TAGGED)


def _wrapped_in_part(answer: Answer, example: Json) -> Answer:
    return Answer(answer.sentence + _IN_PART, answer.schema, {"status": _NAMED, "response": example}, _TAGGED)


def _paged(title: str, sentence: str, schema: JsonSchema, example: Json, more: JsonSchema | None = None) -> Answer:
    page = record(
        f"Page of {title}",
        {"items": _list(schema), "offset": _NUMBER, "limit": _NUMBER, "totalItems": _NUMBER, "moreItems": _FLAG},
        more,
    )
    shown: Json = {"items": [example], "offset": 0, "limit": 100, "totalItems": 1, "moreItems": False}
    return wrapped(f"{title} page", sentence, page, shown)


_SORT: JsonSchema = {
    "sort": record("Order", {"field": _TEXT, "ascending": _FLAG}, {"default": _FLAG}),
}

USER = Answer("The user.", _USER, _SOMEONE, _TAGGED)
OWN_OR_ANY_USER = Answer(
    "The user; to himself without who else is in his groups and has his roles.",
    {"anyOf": [_USER, _USER_AMONG_MANY]},
    _SOMEONE,
    _TAGGED,
)
USER_IN_PART = Answer("The user." + _IN_PART, _USER, _SOMEONE, (*_TAGGED, "X-Status-Message"))

_EITHER: JsonSchema = {"anyOf": [_USER, _envelope("UserModel wrapped", _USER)]}
CHANGED_USER = Answer(
    "The user as he is now; in `response`, or with `response` beside him, where the installation has it so.",
    _EITHER,
    _SOMEONE,
    _TAGGED,
)
CHANGED_USER_IN_PART = Answer(CHANGED_USER.sentence + _IN_PART, _EITHER, _SOMEONE, (*_TAGGED, "X-Status-Message"))
_BOTH = _with(_USER, "UserModel and wrapped", {"status": _STATUS, "response": _USER})
HYBRID_USER = Answer(
    "The user as he is now, and the same in `response`.",
    _BOTH,
    {**_SOMEONE, "status": _OK, "response": _SOMEONE},
    _TAGGED,
)
HYBRID_USER_IN_PART = Answer(
    HYBRID_USER.sentence + _IN_PART, _BOTH, {**_SOMEONE, "status": _NAMED, "response": _SOMEONE}, _TAGGED
)
USERS = wrapped("UserDTO list", "Every user.", _list(_USER_AMONG_MANY), [_SOMEONE_AMONG_MANY])
BARE_USERS = Answer("Every user.", _list(_USER_AMONG_MANY), [_SOMEONE_AMONG_MANY], _STORED)
ADMINISTRATORS = wrapped("Administrators", "The users who may manage users.", _TEXTS, ["admin@mycompany.example"])
GONE = Answer("The user is gone.")

ACCOUNT = _one("Account wrapped", "The account.", _ACCOUNT, _SOMEONE_BY_IDS)
ACCOUNTS = _paged("Account", "Accounts of both kinds.", _ACCOUNT, _SOMEONE_BY_IDS)
DELETED_ACCOUNTS = wrapped("Deleted", "The ids of those that are gone.", _TEXTS, ["someone@mycompany.example"])
VALIDATED = wrapped(
    "Validated wrapped",
    "Who is known and who is not.",
    record("ValidatedUsersDTO", {"validUsers": _list(_USER_AMONG_MANY), "invalidIdentifiers": _TEXTS}),
    {"validUsers": [_SOMEONE_AMONG_MANY], "invalidIdentifiers": ["no-such-thing"]},
)
BUSINESS_FUNCTIONS = wrapped("BusinessFunctions", "What the account can do.", _TEXTS, ["LOGIN", "LOGOUT", "GET_TOKENS"])
HYBRID_BUSINESS_FUNCTIONS = Answer(
    "The user, and what he can do in `response`.",
    _with(_USER_AMONG_MANY, "UserDTO and BusinessFunctions", {"status": _STATUS, "response": _TEXTS}),
    {**_SOMEONE, "status": _OK, "response": ["LOGIN", "LOGOUT", "GET_TOKENS"]},
    _STORED,
)

SERVICE_ACCOUNT = _one("ServiceAccount wrapped", "The service account.", _SERVICE, _COLLECTOR)
SERVICE_ACCOUNT_IN_PART = _wrapped_in_part(SERVICE_ACCOUNT, _COLLECTOR)
SERVICE_ACCOUNTS = wrapped("ServiceAccount list", "Every service account.", _list(_SERVICE), [_COLLECTOR])

USER_GROUP = _one("UserGroupModel wrapped", "The user group.", _USER_GROUP, _NIGHT)
USER_GROUP_IN_PART = _wrapped_in_part(USER_GROUP, _NIGHT)
USER_GROUPS = _paged("UserGroupModel", "User groups.", _USER_GROUP, _NIGHT)

ROLE = _one("RoleDTO wrapped", "The role.", _FULL_ROLE, _ALERTING_IN_FULL)
ROLES = _paged("RoleDTO", "Roles, by name.", _FULL_ROLE, _ALERTING_IN_FULL)

TOKEN = _one("UserApiToken wrapped", "The token.", _TOKEN, _A_TOKEN)
TOKENS = wrapped("UserApiToken list", "The tokens, the newest last.", _list(_TOKEN), [_A_TOKEN])
CUSTOMER_TOKEN = _one("ApiTokenModel wrapped", "The token.", _CUSTOMER_TOKEN, _A_CUSTOMER_TOKEN)
CUSTOMER_TOKENS = wrapped(
    "ApiTokenModel list", "Everybody's tokens, by account.", _list(_CUSTOMER_TOKEN), [_A_CUSTOMER_TOKEN]
)

FOUND_USERS = _paged("CustomerFacingUserObject", "Users.", _FOUND_USER, _FOUND, _SORT)
FOUND_ACCOUNTS = _paged("found Account", "Accounts.", _ACCOUNT, _SOMEONE_BY_IDS, _SORT)
FOUND_SERVICE_ACCOUNTS = _paged("found ServiceAccount", "Service accounts.", _SERVICE, _COLLECTOR, _SORT)
FOUND_USER_GROUPS = _paged("found UserGroupModel", "User groups.", _USER_GROUP, _NIGHT, _SORT)
FOUND_ROLES = _paged("found RoleDTO", "Roles.", _FULL_ROLE, _ALERTING_IN_FULL, _SORT)
FOUND_TOKENS = _paged("found ApiTokenModel", "Tokens.", _CUSTOMER_TOKEN, _A_CUSTOMER_TOKEN, _SORT)
