"""What the reader of the API is told of our own family: the names in its paths, and its answers."""

from __future__ import annotations

from accounts_service.access.explanations import Reason, Source
from accounts_service.faults import Json
from accounts_service.validation.json_schema import JsonSchema, nullable, record
from accounts_service.web.description import Answer, Term

_TEXT: JsonSchema = {"type": "string"}
_STATUS: JsonSchema = {"type": "string", "const": "ok"}
_MOMENT: JsonSchema = {"type": "string", "format": "date-time"}
_NUMBER: JsonSchema = {"type": "integer"}
_NAME: JsonSchema = {"type": ["string", "null"]}
_NOT_STORED = ("Cache-Control",)
_SEVERAL: JsonSchema = {"type": "array", "items": _TEXT}
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
    "principal": Term("About whom it is, by the name of who comes by sg_authc.yml; without it about the caller."),
    "role": Term("Instead of a principal: a role that somebody has. It may come several times.", _SEVERAL),
    "backend_role": Term("A backend role that the principal has besides. It may come several times.", _SEVERAL),
    "ip": Term("The address that the principal comes from."),
    "method": Term("The method of the request."),
    "path": Term("The path of the request, with its query if it has one."),
    "privilege": Term("Instead of a request: the name of an action."),
    "host": Term("The host that the request names; without it the one that this request names."),
    "actor": Term("Only what this one did, by his name."),
    "object": Term("Only what was done to this, by its name."),
    "action": Term("Only this action, such as `cluster:admin:searchguard:signals:account/put`."),
    "from": Term("Only from this moment on (RFC 3339).", _MOMENT),
    "to": Term("Only before this moment (RFC 3339).", _MOMENT),
    "tenant": Term("The tenant that it is about; empty for what is global."),
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
    record(
        "Ready",
        {"status": _STATUS, "configuration": {"type": "string", "enum": ["current", "last-good"]}},
        {"keys": {"type": "string", "const": "only in memory"}},
    ),
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
        "at": nullable(_MOMENT),
        "family": _NAME,
        "tenant": _NAME,
        "realm": _NAME,
        "actor": _NAME,
        "action": _NAME,
        "object": _NAME,
        "uid": _NAME,
        "version": {"type": ["integer", "null"]},
        "detail": {"type": ["object", "null"]},
        "request_id": _NAME,
    },
)
AUDIT = Answer(
    "The records, the newest first. A name that was erased is null, and so is what somebody made no value of its kind.",
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
            "uncompared": {
                "type": "integer",
                "description": "How many of the heads asked for are of records that are gone because of their age.",
            },
        },
    ),
    {"ok": True, "records": 7, "heads": {"": f"7:{'0a' * 32}"}, "findings": [], "more": 0, "uncompared": 0},
    _NOT_STORED,
)

_REFERENCE = record("Reference", {"referrer": _TEXT, "since": {"type": "string", "format": "date-time"}})
_ONE: Json = {"referrer": "disk-is-full", "since": "2026-11-23T20:00:00.000+00:00"}

REFERENCES = Answer(
    "Who uses the account, by name.",
    record("References", {"references": {"type": "array", "items": _REFERENCE}, "count": {"type": "integer"}}),
    {"references": [_ONE], "count": 1},
    _NOT_STORED,
)
REFERENCE = Answer("That was known already.", _REFERENCE, _ONE, _NOT_STORED)
NEW_REFERENCE = Answer("From now on the account cannot be deleted.", _REFERENCE, _ONE, _NOT_STORED)
NO_REFERENCE = Answer("That is forgotten.")

_TEXTS: JsonSchema = {"type": "array", "items": _TEXT}
_ENTRY = record("Entry", {"role": _TEXT, "chain": _TEXTS, "tenant_pattern": nullable(_TEXT)})
_DECISION = record(
    "Decision",
    {
        "action": _TEXT,
        "tenant": nullable(_TEXT),
        "allowed": {"type": "boolean"},
        "reason": {"type": "string", "enum": [reason.name for reason in Reason]},
        "entry": nullable(_ENTRY),
        "groups": _TEXTS,
        "roles": _TEXTS,
    },
)
_DECISIONS: JsonSchema = {"type": "array", "items": _DECISION}
_HELD = record(
    "Role",
    {
        "role": _TEXT,
        "source": {"type": "string", "enum": [source.name for source in Source]},
        "value": nullable(_TEXT),
        "pattern": nullable(_TEXT),
    },
)

EXPLANATION = Answer(
    "Whether it is allowed, and why: the roles and by what they are had, the decisions, and what would give what is "
    "missing. Of a request also where it leads.",
    record(
        "Explanation",
        {
            "principal": nullable(_TEXT),
            "asked": _TEXT,
            "notes": _TEXTS,
            "roles": {"type": "array", "items": _HELD},
            "decisions": _DECISIONS,
            "allowed": {"type": "boolean"},
            "cannot_log_in": nullable(_TEXT),
        },
        {"family": _TEXT, "route": _TEXT, "tenant": _TEXT, "requirement": _TEXT, "optional": _DECISIONS},
    ),
    {
        "principal": "carol",
        "asked": "PUT /_signals/account/email/default",
        "notes": [],
        "roles": [{"role": "account_reader", "source": "USERS", "value": "carol", "pattern": "carol"}],
        "family": "signals",
        "route": "put_account",
        "tenant": "SGS_GLOBAL_TENANT",
        "allowed": False,
        "requirement": "cluster:admin:searchguard:signals:account/put",
        "decisions": [
            {
                "action": "cluster:admin:searchguard:signals:account/put",
                "tenant": None,
                "allowed": False,
                "reason": "MISSING",
                "entry": None,
                "groups": ["SGS_SIGNALS_ACCOUNT_MANAGE", "SGS_SIGNALS_ALL", "SGS_CLUSTER_ALL"],
                "roles": ["SGS_ALL_ACCESS"],
            }
        ],
        "optional": [],
        "cannot_log_in": None,
    },
    _NOT_STORED,
)
