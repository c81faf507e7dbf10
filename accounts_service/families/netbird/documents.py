"""What the reader of the API is told of NetBird: the names in its paths and queries, its bodies and its answers."""

from __future__ import annotations

from accounts_service.families.netbird import examples
from accounts_service.families.netbird.privileges import MODULES, OPERATIONS, ROLE_NAMES
from accounts_service.families.netbird.schemas import bodies
from accounts_service.families.netbird.schemas import settings as rules
from accounts_service.faults import Json
from accounts_service.validation import fields
from accounts_service.validation.json_schema import JsonSchema, nullable, record
from accounts_service.web.description import SCHEMES as DOMAINS
from accounts_service.web.description import Answer, Takes, Term, ignored_by

_TEXT: JsonSchema = {"type": "string"}
_TEXTS: JsonSchema = {"type": "array", "items": _TEXT}
_FLAG: JsonSchema = {"type": "boolean"}
_NUMBER: JsonSchema = {"type": "integer"}
_TIME: JsonSchema = {"type": "string", "format": "date-time"}

SCHEMES: dict[str, JsonSchema] = {
    **DOMAINS,
    "netbirdToken": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "`Token` and a personal access token, which may come after `Bearer` as well.",
    },
}

TERMS = {
    "account_id": Term("The id of the caller's account."),
    "user_id": Term("The id of a user; `current` and `invites` are no ids."),
    "token_id": Term("The id of a personal access token; not the token."),
    "service_user": Term(
        "Whether to list service users alone, or people alone.",
        {
            "type": "string",
            "enum": ["", "1", "t", "T", "true", "TRUE", "True", "0", "f", "F", "false", "FALSE", "False"],
        },
    ),
}

# -- Bodies -------------------------------------------------------------------

_NOTE = (
    "Members count in any case, null is an absent one, what is not known is passed over. "
    "Numbers are whole and written as such: `3600.0` is refused."
)
_LIMITS: dict[str, JsonSchema] = {
    "peer_login_expiration": {"type": "integer", "minimum": 3600, "maximum": 15552000},
    "dns_domain": nullable(
        {"type": "string", "pattern": f"^(?:{rules.DOMAIN_PATTERN})?$", "maxLength": rules.LONGEST_DOMAIN}
    ),
    "auto_update_version": nullable(
        {
            "type": "string",
            "pattern": f"^(?:{'|'.join((*rules.NO_VERSIONS, rules.VERSION_PATTERN))})$",
            "maxLength": rules.LONGEST_VERSION,
        }
    ),
    # Which networks do, no pattern says.
    "network_range": nullable({"type": "string", "format": "ipv4-network"}),
    "network_range_v6": nullable({"type": "string", "format": "ipv6-network"}),
}


def _settings(*, needed: bool) -> JsonSchema:
    taken = bodies.SETTINGS.taken("Settings")
    properties = taken["properties"]
    known = properties if isinstance(properties, dict) else {}
    schema: JsonSchema = {"title": "Settings to put" if needed else "Settings to patch", "type": "object"}
    if needed:
        schema["required"] = ["peer_login_expiration"]
    return {**schema, "description": _NOTE, "properties": {**known, **_LIMITS}}


def _onboarding(title: str) -> JsonSchema:
    return nullable({**bodies.ONBOARDING.taken(title), "type": "object"})


ACCOUNT_TO_PUT = Takes(
    {
        "title": "Account to put",
        "type": "object",
        "required": ["settings"],
        "properties": {
            "settings": _settings(needed=True),
            "onboarding": _onboarding("Onboarding to put"),
        },
    },
    {"the two that are always enough": examples.GOOD["account"]},
    ignores=ignored_by(bodies.ACCOUNT),
)
ACCOUNT_TO_PATCH = Takes(
    {
        "title": "Account to patch",
        "type": "object",
        "properties": {
            # Taken back as a whole they would hold no period that is allowed.
            "settings": _settings(needed=False),
            "onboarding": _onboarding("Onboarding to patch"),
        },
    },
    {"some": examples.GOOD["patch"]},
    ignores=ignored_by(bodies.ACCOUNT),
)
_LINE = fields.ExactText().taken()
_LINES: JsonSchema = {"type": "array", "items": _LINE, "maxItems": fields.MOST_ELEMENTS}
_ROLE_IN: JsonSchema = {"type": "string", "enum": [*ROLE_NAMES]}
NEW_USER = Takes(
    {
        "title": "Service user to create",
        "type": "object",
        "required": ["role", "is_service_user"],
        "properties": {
            "role": {"type": "string", "enum": [name for name in ROLE_NAMES if name != "owner"]},
            "is_service_user": {"type": "boolean", "const": True},
            "name": nullable(_LINE),
            # Every user is in `All`, which is the only group.
            "auto_groups": nullable({"type": "array", "items": _LINE, "maxItems": 0}),
        },
    },
    {"service user": examples.GOOD["service user"]},
    ignores=bodies.ignored_of_new_user,
)
CHANGED_USER = Takes(
    {
        "title": "User to change",
        "type": "object",
        "required": ["role", "auto_groups"],
        "properties": {"role": _ROLE_IN, "auto_groups": _LINES, "is_blocked": nullable(_FLAG)},
    },
    {"user": examples.GOOD["user"]},
    ignores=ignored_by(bodies.USER),
)
NEW_TOKEN = Takes(
    {
        "title": "Token to create",
        "type": "object",
        "required": ["name", "expires_in"],
        "properties": {
            "name": {**_LINE, "minLength": 1},
            "expires_in": {"type": "integer", "minimum": 1, "maximum": 365},
        },
    },
    {"token": examples.GOOD["token"]},
    ignores=ignored_by(bodies.TOKEN),
)

# -- What is answered ---------------------------------------------------------

_EXTRA = record(
    "Extra settings",
    {
        "peer_approval_enabled": _FLAG,
        "user_approval_required": _FLAG,
        "network_traffic_logs_enabled": _FLAG,
        "network_traffic_logs_groups": nullable(_TEXTS),
        "network_traffic_packet_counter_enabled": _FLAG,
    },
)
_SETTINGS = record(
    "AccountSettings",
    {
        "peer_login_expiration_enabled": _FLAG,
        "peer_login_expiration": _NUMBER,
        "peer_inactivity_expiration_enabled": _FLAG,
        "peer_inactivity_expiration": _NUMBER,
        "regular_users_view_blocked": _FLAG,
        "groups_propagation_enabled": _FLAG,
        "jwt_groups_enabled": _FLAG,
        "jwt_groups_claim_name": _TEXT,
        "jwt_allow_groups": _TEXTS,
        "routing_peer_dns_resolution_enabled": _FLAG,
        "dns_domain": _TEXT,
        "peer_expose_enabled": _FLAG,
        "peer_expose_groups": nullable(_TEXTS),
        "extra": _EXTRA,
        "lazy_connection_enabled": _FLAG,
        "auto_update_version": _TEXT,
        "auto_update_always": _FLAG,
        "metrics_push_enabled": _FLAG,
        "agent_network_only": _FLAG,
        "embedded_idp_enabled": _FLAG,
        "local_auth_disabled": _FLAG,
        "local_mfa_enabled": _FLAG,
        "ipv6_enabled_groups": nullable(_TEXTS),
    },
    {
        "network_range": _TEXT,
        "network_range_v6": _TEXT,
        "dashboard_features": {"type": "object", "properties": {"agent_network": _FLAG}},
    },
)
_ACCOUNT = record(
    "Account",
    {
        "id": _TEXT,
        "domain": _TEXT,
        "domain_category": {"type": "string", "enum": ["private", "public", ""]},
        "created_at": _TIME,
        "created_by": _TEXT,
        "onboarding": record("Onboarding", {"signup_form_pending": _FLAG, "onboarding_flow_pending": _FLAG}),
        "settings": _SETTINGS,
    },
)
_USER: JsonSchema = record(
    "User",
    {
        "id": _TEXT,
        "email": _TEXT,
        "name": _TEXT,
        "role": {"type": "string", "enum": [*ROLE_NAMES]},
        "status": {"type": "string", "enum": ["active", "blocked"]},
        "auto_groups": _TEXTS,
        "is_current": _FLAG,
        "is_service_user": _FLAG,
        "is_blocked": _FLAG,
        "pending_approval": _FLAG,
        "issued": {"type": "string", "const": "api"},
        "last_login": _TIME,
    },
)
_OPERATIONS = record("Operations", dict.fromkeys(OPERATIONS, _FLAG))
_PERMISSIONS = record(
    "Permissions",
    {"is_restricted": _FLAG, "modules": record("Modules", dict.fromkeys(MODULES, _OPERATIONS))},
)
_TOKEN = record(
    "PersonalAccessToken",
    {"id": _TEXT, "name": _TEXT, "expiration_date": _TIME, "created_by": _TEXT, "created_at": _TIME},
    {"last_used": _TIME},
)
_EVENT = record(
    "Event",
    {
        "id": _TEXT,
        "timestamp": _TIME,
        "activity": _TEXT,
        "activity_code": _TEXT,
        "initiator_id": _TEXT,
        "initiator_name": _TEXT,
        "initiator_email": _TEXT,
        "target_id": _TEXT,
        "meta": {"type": "object", "additionalProperties": _TEXT},
    },
)

_AN_ACCOUNT: dict[str, Json] = {
    "id": "ch8i4ug6lnn4g9hqv7l0",
    "domain": "mycompany.example",
    "domain_category": "private",
    "created_at": "2026-11-25T09:00:35.477782Z",
    "created_by": "owner1",
    "onboarding": {"signup_form_pending": True, "onboarding_flow_pending": True},
    "settings": {
        "peer_login_expiration_enabled": True,
        "peer_login_expiration": 86400,
        "peer_inactivity_expiration_enabled": False,
        "peer_inactivity_expiration": 600,
        "regular_users_view_blocked": True,
        "groups_propagation_enabled": True,
        "jwt_groups_enabled": False,
        "jwt_groups_claim_name": "",
        "jwt_allow_groups": [],
        "routing_peer_dns_resolution_enabled": True,
        "dns_domain": "",
        "network_range": "100.77.0.0/16",
        "network_range_v6": "fd12:3456:789a:1::/64",
        "peer_expose_enabled": False,
        "peer_expose_groups": None,
        "extra": {
            "peer_approval_enabled": False,
            "user_approval_required": True,
            "network_traffic_logs_enabled": False,
            "network_traffic_logs_groups": None,
            "network_traffic_packet_counter_enabled": False,
        },
        "lazy_connection_enabled": True,
        "auto_update_version": "disabled",
        "auto_update_always": False,
        "metrics_push_enabled": False,
        "agent_network_only": False,
        "embedded_idp_enabled": False,
        "local_auth_disabled": False,
        "local_mfa_enabled": False,
        "ipv6_enabled_groups": ["ch8i4ug6lnn4g9hqv7m0"],
    },
}
_A_USER: dict[str, Json] = {
    "id": "owner1",
    "email": "",
    "name": "owner1",
    "role": "owner",
    "status": "active",
    "auto_groups": [],
    "is_current": True,
    "is_service_user": False,
    "is_blocked": False,
    "pending_approval": False,
    "issued": "api",
    "last_login": "0001-01-01T00:00:00Z",
}
_A_TOKEN: dict[str, Json] = {
    "id": "ch8i4ug6lnn4g9hqv7n0",
    "name": "of the pipeline",
    "expiration_date": "2026-12-25T09:00:35.477782Z",
    "created_by": "owner1",
    "created_at": "2026-11-25T09:00:35.477782Z",
}
_AN_EVENT: dict[str, Json] = {
    "id": "1",
    "timestamp": "2026-11-25T09:00:35.477782Z",
    "activity": "Account peer login expiration duration updated",
    "activity_code": "account.setting.peer.login.expiration.update",
    "initiator_id": "owner1",
    "initiator_name": "owner1",
    "initiator_email": "",
    "target_id": "ch8i4ug6lnn4g9hqv7l0",
    "meta": {"setting": "peer_login_expiration", "old": "86400", "new": "3600"},
}
_ALLOWED: Json = {
    "is_restricted": False,
    "modules": {module: dict.fromkeys(OPERATIONS, True) for module in MODULES},
}

_STORED = ("Cache-Control",)
_TAGGED = ("Cache-Control", "ETag")


def _list(schema: JsonSchema) -> JsonSchema:
    return {"type": "array", "items": schema}


ACCOUNTS = Answer("The caller's account, in a list of one.", _list(_ACCOUNT), [_AN_ACCOUNT], _TAGGED)
CHANGED_ACCOUNT = Answer("The account as it is now.", _ACCOUNT, _AN_ACCOUNT, _TAGGED)
NOTHING = Answer("It is gone.", {"type": "object", "maxProperties": 0}, {}, _STORED)
USERS = Answer("The users.", _list(_USER), [_A_USER], _STORED)
USER = Answer("The user.", _USER, _A_USER, _TAGGED)
CURRENT_USER = Answer(
    "The user, and what he may do.",
    record("Current user", {"id": _TEXT, "role": _TEXT, "permissions": _PERMISSIONS}),
    {**_A_USER, "permissions": _ALLOWED},
    _TAGGED,
)
TOKENS = Answer("The tokens; null when there is none.", nullable(_list(_TOKEN)), [_A_TOKEN], _STORED)
TOKEN = Answer("What is kept of the token.", _TOKEN, _A_TOKEN, _STORED)
MADE_TOKEN = Answer(
    "The token, which is shown here and never again.",
    record("Made token", {"plain_token": _TEXT, "personal_access_token": _TOKEN}),
    {"plain_token": "nbp_abcdefghijklmnopqrstuvwxyz01232LolCm", "personal_access_token": _A_TOKEN},
    _STORED,
)
EVENTS = Answer("What has happened.", _list(_EVENT), [_AN_EVENT], _STORED)
