"""The documents of the APIs, and a page that shows them: `/openapi.json`, `/openapi/{family}.json`, `/docs`.

The page is Swagger UI, from files of our own: it asks no other host, and its
policy lets it ask none.
"""

from __future__ import annotations

from functools import cache
from importlib import resources

from flask import Response
from werkzeug.http import generate_etag

from accounts_service.access.privileges import Open
from accounts_service.families.admin import documents
from accounts_service.faults import NoSuchObject, RefusedError
from accounts_service.web.family import Routes
from accounts_service.web.gate import Call

ROUTES = Routes()

_READ = ("GET", "HEAD")
_CONDITION = ("If-None-Match",)

# A policy in which no script and no style can stand in the page itself. What
# Swagger UI draws as data: are its arrows.
_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@ROUTES.route(
    "/openapi.json",
    methods=_READ,
    privilege=Open.PUBLIC,
    answers={200: documents.OPENAPI, 304: documents.UNCHANGED},
    headers=_CONDITION,
)
def openapi(call: Call) -> Response:
    """Describe every family that is served, as OpenAPI 3.1."""
    return _fixed(call, call.services.documents.of_all(), "application/json")


@ROUTES.route(
    "/openapi/<family>.json",
    methods=_READ,
    privilege=Open.PUBLIC,
    answers={200: documents.OPENAPI, 304: documents.UNCHANGED},
    raises=(NoSuchObject,),
    headers=_CONDITION,
)
def openapi_of_family(call: Call, family: str) -> Response:
    """Describe one family, as OpenAPI 3.1."""
    return _fixed(call, call.services.documents.of(family), "application/json")


@ROUTES.route(
    "/docs",
    methods=_READ,
    privilege=Open.PUBLIC,
    answers={200: documents.PAGE, 304: documents.UNCHANGED},
    headers=_CONDITION,
)
def docs(call: Call) -> Response:
    """Show the document of every family, for people."""
    return _fixed(call, _file("page.html"), "text/html; charset=utf-8")


@ROUTES.route(
    "/docs/<file>",
    methods=_READ,
    privilege=Open.PUBLIC,
    answers={200: documents.FILE, 304: documents.UNCHANGED},
    raises=(NoSuchObject,),
    headers=_CONDITION,
)
def docs_file(call: Call, file: str) -> Response:
    """Give a file of that page."""
    if file not in documents.FILES:
        raise RefusedError(NoSuchObject("GET", file))
    return _fixed(call, _file(file), documents.FILES[file])


@cache
def _file(name: str) -> bytes:
    folder = "page" if name in ("page.html", "start.js") else "swagger_ui"
    return resources.files("accounts_service.families.admin").joinpath(folder, name).read_bytes()


@cache
def _tag(content: str | bytes) -> str:
    return generate_etag(content.encode() if isinstance(content, str) else content)


def _fixed(call: Call, content: str | bytes, media_type: str) -> Response:
    """Answer with what is the same for everyone as long as the process lives."""
    response = Response(content, headers=_HEADERS, content_type=media_type)
    # Written once: anyone may ask, and a hash of the largest file takes longer than the rest of the answer.
    response.set_etag(_tag(content))
    response.make_conditional(call.request)
    return response
