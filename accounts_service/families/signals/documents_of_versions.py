"""What the reader of the API is told of versions and of the bin."""

from __future__ import annotations

from accounts_service.families.signals.documents import SHOWN, SOURCE, written
from accounts_service.families.signals.schemas.pages import LARGEST_LIMIT, LIMIT, UID
from accounts_service.families.signals.schemas.pages import VERSION as VERSION_PATTERN
from accounts_service.faults import Json
from accounts_service.validation.json_schema import JsonSchema, record
from accounts_service.web.description import Answer, Term

_TEXT: JsonSchema = {"type": "string"}
_VERSION: JsonSchema = {"type": "integer", "minimum": 1}
_TIME: JsonSchema = {"type": "string", "format": "date-time"}
_FLAG: JsonSchema = {"type": "boolean"}
_NAMES: JsonSchema = {"type": "array", "items": _TEXT}
_NUMBER: JsonSchema = {"type": "string", "pattern": f"^{VERSION_PATTERN}$"}
_UID: JsonSchema = {"type": "string", "pattern": f"^{UID}$"}
_AT: Json = "2026-11-28T20:00:00.000+00:00"

TERMS = {
    "version": Term("The number of a version.", _NUMBER),
    "compare_with": Term("Another version, to say what is not the same as in that.", _NUMBER),
    "before": Term("Go on with the versions before this one: `next` of the page before.", _NUMBER),
    "after": Term(
        "Go on behind this: `next` of the page before.",
        {"type": "string", "pattern": rf"^{VERSION_PATTERN}\.{UID}$"},
    ),
    "limit": Term(
        f"How many to list; {LIMIT}, if nothing is said.", {"type": "integer", "minimum": 1, "maximum": LARGEST_LIMIT}
    ),
    "uid": Term("What an account is called in the bin.", _UID),
}

_LISTED = record(
    "Listed Version",
    {"_version": _VERSION, "at": _TIME, "present": _FLAG},
    {"deleted": _FLAG, "changed": _NAMES},
)
VERSIONS = Answer(
    "The versions. `changed` names what was not so in the version before, as far as that is kept; `next` is there when "
    "there are more.",
    record("Versions", {"_id": _TEXT, "versions": {"type": "array", "items": _LISTED}}, {"next": _VERSION}),
    {
        "_id": "email/default",
        "versions": [
            {"_version": 2, "at": _AT, "present": True, "changed": ["host"]},
            {"_version": 1, "at": _AT, "present": False},
        ],
    },
    headers=("Cache-Control",),
)

_CHANGE: JsonSchema = {"title": "Change", "type": "object", "properties": {"from": {}, "to": {}}}
_SECRET: JsonSchema = {"type": "string", "enum": ["same", "different", "added", "removed"]}
VERSION = Answer(
    "The account as it was. A secret that was another is `different` in `differences`, and never shown.",
    record(
        "Version",
        {"_id": _TEXT, "_version": _VERSION, "at": _TIME, "present": _FLAG, "_source": SOURCE},
        {"differences": {"type": "object", "additionalProperties": {"anyOf": [_CHANGE, _SECRET]}}},
    ),
    {
        "_id": "email/default",
        "_version": 1,
        "at": _AT,
        "present": False,
        "_source": SHOWN,
        "differences": {"host": {"from": "new.mycompany.example", "to": "mail.mycompany.example"}, "password": "same"},
    },
    headers=("Cache-Control",),
)
RESTORED = written("The account is what it was.", "restored", 3, ("Cache-Control", "ETag"))

_DELETED = record(
    "Deleted",
    {"uid": _UID, "type": _TEXT, "_name": _TEXT, "_version": _VERSION, "deleted_at": _TIME},
    {"_tenant": _TEXT},
)
_ONE: dict[str, Json] = {
    "uid": "0123456789abcdef0123456789abcdef",
    "type": "email",
    "_name": "default",
    "_version": 2,
    "deleted_at": _AT,
}
BIN = Answer(
    "What was deleted. `_version` is the last one; `next` is there when there is more.",
    record("Bin", {"deleted": {"type": "array", "items": _DELETED}}, {"next": _TEXT}),
    {"deleted": [_ONE]},
    headers=("Cache-Control",),
)
UNDELETED = written("The account is there again.", "undeleted", 4, ("Cache-Control", "ETag"))
PURGED = Answer(
    "The account is forgotten.",
    record("Purged", {"_id": _TEXT, "uid": _UID, "result": {"type": "string", "const": "purged"}}),
    {"_id": "email/default", "uid": "0123456789abcdef0123456789abcdef", "result": "purged"},
    headers=("Cache-Control",),
)
