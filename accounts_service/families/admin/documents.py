"""What the reader of the API is told of our own family: the names in its paths, and its answers."""

from __future__ import annotations

from accounts_service.faults import Json
from accounts_service.validation.json_schema import JsonSchema, record
from accounts_service.web.description import Answer, Term

_TEXT: JsonSchema = {"type": "string"}
_STATUS: JsonSchema = {"type": "string", "const": "ok"}
_MOMENT: JsonSchema = {"type": "string", "format": "date-time"}
_NUMBER: JsonSchema = {"type": "integer"}
_NAME: JsonSchema = {"type": ["string", "null"]}
_NOT_STORED = ("Cache-Control",)
_FIXED = ("Cache-Control", "Content-Security-Policy", "ETag", "Referrer-Policy", "X-Content-Type-Options")

# The files of the page with their types. Nothing but these is ever read, whatever a path says.
FILES = {
    "LICENSE": "text/plain; charset=utf-8",
    "NOTICE": "text/plain; charset=utf-8",
    "start.js": "text/javascript; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui-bundle.js.LICENSE.txt": "text/plain; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
}

TERMS = {
    "account": Term("An account as its family names it, such as `slack/test`; it may hold slashes."),
    "referrer": Term("Who uses the account: any name that its user will know again."),
    "family": Term("The name of a family that is served."),
    "actor": Term("Only what this one did, by his name."),
    "object": Term("Only what was done to this, by its name."),
    "action": Term("Only this action, such as `cluster:admin:searchguard:signals:account/put`."),
    "from": Term("Only from this moment on (RFC 3339).", _MOMENT),
    "to": Term("Only before this moment (RFC 3339).", _MOMENT),
    "tenant": Term("Only what was done in this tenant; empty for what is global."),
    "size": Term("At most so many records.", {"type": "integer", "minimum": 1, "maximum": 500, "default": 50}),
    "cursor": Term("What the page before gave as `next`."),
    "head": Term(
        "A head that the log has named, `NUMBER:LINK` or `NUMBER:LINK@TENANT`; may be repeated.",
        {"type": "string", "pattern": "^[0-9]{1,18}:[0-9a-f]{64}(@.+)?$"},
    ),
    "file": Term("The name of a file of the page.", {"type": "string", "enum": [*FILES]}),
}

ALIVE = Answer("The process answers.", record("Alive", {"status": _STATUS}), {"status": "ok"}, _NOT_STORED)

READY = Answer(
    "Requests can be served.",
    record("Ready", {"status": _STATUS, "configuration": {"type": "string", "enum": ["current", "last-good"]}}),
    {"status": "ok", "configuration": "current"},
    _NOT_STORED,
)

OPENAPI = Answer(
    "The document.",
    record("OpenAPI", {"openapi": {"type": "string", "const": "3.1.0"}, "info": {"type": "object"}}),
    {"openapi": "3.1.0", "info": {"title": "accounts-service", "version": "0.1.0"}, "paths": {}},
    _FIXED,
)
PAGE = Answer("The page.", _TEXT, "<!doctype html>…", _FIXED, ("text/html",))
FILE = Answer(
    "The file.", _TEXT, "Apache License…", _FIXED, tuple(sorted({kind.partition(";")[0] for kind in FILES.values()}))
)
UNCHANGED = Answer("It is still what If-None-Match names.", headers=_FIXED)

_RECORD = record(
    "Audit Record",
    {
        "id": _NUMBER,
        "number": {"type": ["integer", "null"], "description": "Its place in the chain of its tenant, once sealed."},
        "at": _MOMENT,
        "family": _TEXT,
        "tenant": _TEXT,
        "realm": _TEXT,
        "actor": _NAME,
        "action": _TEXT,
        "object": _NAME,
        "uid": _TEXT,
        "version": _NUMBER,
        "detail": {"type": ["object", "null"]},
        "request_id": _TEXT,
    },
)
AUDIT = Answer(
    "The records, the newest first. A name that was erased is null.",
    record("Audit Trail", {"records": {"type": "array", "items": _RECORD}}, {"next": _TEXT}),
    {
        "records": [
            {
                "id": 7,
                "number": 7,
                "at": "2026-11-28T12:00:00.000+00:00",
                "family": "signals",
                "tenant": "",
                "realm": "sg_authc",
                "actor": "admin",
                "action": "cluster:admin:searchguard:signals:account/put",
                "object": "slack/test",
                "uid": "4b8f8c1d9a1e4c55b0a3b0f7a9f0a6de",
                "version": 1,
                "detail": {"created": True, "changed": ["text"], "secrets_changed": ["url"]},
                "request_id": "5f3b2d1e8c0a4d65",
            }
        ]
    },
    _NOT_STORED,
)
_FINDING = record("Audit Finding", {"kind": _TEXT, "tenant": _TEXT, "where": _TEXT, "sentence": _TEXT})
VERIFIED = Answer(
    "What was found. `heads` are to be kept where who writes the database cannot change them.",
    record(
        "Audit Verification",
        {
            "ok": {"type": "boolean"},
            "records": _NUMBER,
            "heads": {"type": "object", "additionalProperties": _TEXT},
            "findings": {"type": "array", "items": _FINDING},
            "more": {"type": "integer", "description": "How many findings there are besides."},
        },
    ),
    {"ok": True, "records": 7, "heads": {"": f"7:{'0a' * 32}"}, "findings": [], "more": 0},
    _NOT_STORED,
)

_REFERENCE = record("Reference", {"referrer": _TEXT, "since": {"type": "string", "format": "date-time"}})
_ONE: Json = {"referrer": "disk-is-full", "since": "2026-11-23T20:00:00.000+00:00"}

REFERENCES = Answer(
    "Who uses the account, by name.",
    record("References", {"references": {"type": "array", "items": _REFERENCE}}),
    {"references": [_ONE]},
    _NOT_STORED,
)
REFERENCE = Answer("That was known already.", _REFERENCE, _ONE, _NOT_STORED)
NEW_REFERENCE = Answer("From now on the account cannot be deleted.", _REFERENCE, _ONE, _NOT_STORED)
NO_REFERENCE = Answer("That is forgotten.")
