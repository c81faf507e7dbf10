"""What the reader of the API is told of the calls that need an identity provider of the service's own."""

from __future__ import annotations

from accounts_service.families.netbird.dialect import NetBirdDialect
from accounts_service.families.netbird.examples import GOOD
from accounts_service.validation.json_schema import JsonSchema, nullable
from accounts_service.web.description import Answer, Takes, Term

_TEXT: JsonSchema = {"type": "string", "maxLength": 1024}
_NUMBER: JsonSchema = {"type": "integer"}

TERMS = {"invite": Term("The id of an invitation; on the two public routes its token.")}

INVITE = Takes(
    {
        "title": "Invitation to create",
        "type": "object",
        "required": ["email", "name", "role", "auto_groups"],
        "properties": {
            "email": _TEXT,
            "name": _TEXT,
            "role": _TEXT,
            "auto_groups": nullable({"type": "array", "items": _TEXT, "maxItems": 1000}),
            "expires_in": nullable(_NUMBER),
        },
    },
    {"invitation": GOOD["invite"]},
)
REGENERATION = Takes(
    {"title": "Invitation to regenerate", "type": "object", "properties": {"expires_in": nullable(_NUMBER)}},
    {"hour": GOOD["regeneration"]},
    needed=False,
)
ACCEPTANCE = Takes(
    {
        "title": "Invitation to accept",
        "type": "object",
        "required": ["password"],
        "properties": {"password": _TEXT},
    },
    {"password": GOOD["acceptance"]},
)
PASSWORD = Takes(
    {
        "title": "Password to change",
        "type": "object",
        "required": ["old_password", "new_password"],
        "properties": {"old_password": _TEXT, "new_password": _TEXT},
    },
    {"passwords": GOOD["passwords"]},
)

NO_IDENTITY_PROVIDER = Answer(
    "There is no identity provider of the service's own, so this is always the answer.",
    NetBirdDialect.errors,
    {"message": "invite links are only available with embedded identity provider", "code": 412},
    ("Cache-Control",),
)
