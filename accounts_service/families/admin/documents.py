"""What the reader of the API is told of our own family: the names in its paths, and its answers."""

from __future__ import annotations

from accounts_service.faults import Json
from accounts_service.validation.json_schema import JsonSchema, record
from accounts_service.web.description import Answer, Term

_TEXT: JsonSchema = {"type": "string"}
_STATUS: JsonSchema = {"type": "string", "const": "ok"}
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
