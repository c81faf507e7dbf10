"""What the reader of the API is told of groups, peers, setup keys and the installation."""

from __future__ import annotations

from accounts_service.families.netbird.dialect import NetBirdDialect
from accounts_service.families.netbird.store.groups import ALL
from accounts_service.faults import Json
from accounts_service.validation.json_schema import JsonSchema, record
from accounts_service.web.description import Answer, Term

_TEXT: JsonSchema = {"type": "string"}
_FLAG: JsonSchema = {"type": "boolean"}
_NONE: JsonSchema = {"type": "array", "maxItems": 0}
_HEADERS = ("Cache-Control",)

TERMS = {
    "group_id": Term("The id of a group."),
    "peer_id": Term("The id of a peer."),
    "key_id": Term("The id of a setup key; not the key."),
    "name": Term("The name of the only group to list."),
}

_GROUP = record(
    "Group",
    {
        "id": _TEXT,
        "name": {"type": "string", "const": ALL},
        "peers_count": {"type": "integer", "const": 0},
        "resources_count": {"type": "integer", "const": 0},
        "issued": {"type": "string", "const": "api"},
        "peers": _NONE,
        "resources": _NONE,
    },
)
_A_GROUP: dict[str, Json] = {
    "id": "ch8i4ug6lnn4g9hqv7m0",
    "name": ALL,
    "peers_count": 0,
    "resources_count": 0,
    "issued": "api",
    "peers": [],
    "resources": [],
}

GROUPS = Answer("The groups.", {"type": "array", "items": _GROUP}, [_A_GROUP], _HEADERS)
GROUP = Answer("The group.", _GROUP, _A_GROUP, _HEADERS)
EMPTY = Answer("There are none here.", _NONE, [], _HEADERS)
NOT_HERE = Answer(
    "There are none here, so this is always the answer.",
    NetBirdDialect.errors,
    {"message": "peer: ch8i4ug6lnn4g9hqv7p0 not found", "code": 404},
    _HEADERS,
)
INSTANCE = Answer(
    "Whether the first owner is to be made over the API: never.",
    record("Instance", {"setup_required": {"type": "boolean", "const": False}}),
    {"setup_required": False},
    _HEADERS,
)
VERSION = Answer(
    "The version of this service.",
    record("Instance version", {"management_current_version": _TEXT, "management_update_available": _FLAG}),
    {"management_current_version": "1.0.0", "management_update_available": False},
    _HEADERS,
)
