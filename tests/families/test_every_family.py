"""The contract that every family passes, and every fault in every family's words, to be held against the manuals."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from flask import Flask, Response, request

from accounts_service import app, faults
from accounts_service.access.privileges import Open, privileges_of
from accounts_service.config import Settings
from accounts_service.families.admin.views import FAMILY as ADMIN
from accounts_service.families.mention.views import FAMILY as MENTION
from accounts_service.families.netbird.views import FAMILY as NETBIRD
from accounts_service.families.signals.views import FAMILY as SIGNALS
from accounts_service.families.wavefront.views import FAMILY as WAVEFRONT
from accounts_service.faults import Fault, Flaw, Json, Kind, Problem, QueryFlaw, QueryProblem
from accounts_service.web.description import HEADERS
from accounts_service.web.family import Body, Family, says_what_it_refuses
from tests.support import wavefront
from tests.support.mention import Mention
from tests.support.netbird import NetBird
from tests.support.service import Service
from tests.web.toy import make_family

FAMILIES_AND_TOYS = (*app.FAMILIES.values(), make_family())


def _security_exception(reason: str, status: int, kind: str = "illegal_argument_exception") -> Json:
    return {
        "error": {"root_cause": [{"type": kind, "reason": reason}], "type": kind, "reason": reason},
        "status": status,
    }


def _problem(status: int, title: str, **more: Json) -> Json:
    return {"type": "about:blank", "title": title, "status": status, **more}


def _wavefront(status: int, message: str) -> Json:
    return {"status": {"result": "ERROR", "message": message, "code": status}}


def _netbird(status: int, message: str) -> Json:
    return {"message": message, "code": status}


def _mention(status: int, message: str) -> Json:
    return {"code": status, "message": message}


def _oauth(error: str, description: str) -> Json:
    return {"error": error, "error_description": description}


# Those of a change, as which these requests count.
_OVER_QUOTA = "The tenant would have more than 5 accounts stored; delete some, or ask the operator"
_FIELDS = ("name", "email", "phone", "language_code", "old_password", "new_password", "default_notification_phone")
_NO_CHILDREN: Json = {name: [] for name in _FIELDS}

TRACKING_ID = "0123456789abcdef0123456789abcdef"

# fault: (what Signals answers, what our own family answers, what Wavefront answers, what NetBird answers,
#         what Mention answers)
WORDS: dict[Fault, tuple[Json, Json, Json, Json, Json]] = {
    faults.NotPermitted(): (
        {"status": 403, "error": "Insufficient permissions"},
        _problem(403, "Forbidden"),
        _wavefront(403, "Forbidden: you do not have the permission that this request needs"),
        _netbird(403, "permission denied"),
        _mention(403, "You are not allowed to access this account"),
    ),
    faults.ForbiddenHeader(): (
        _security_exception("Illegal parameter in http or transport request found.", 403, kind="security_exception"),
        _problem(403, "Forbidden", detail="a header that only the service itself may set"),
        _wavefront(403, "Forbidden: a header that only the service itself may set"),
        _netbird(403, "a header that only the service itself may set"),
        _mention(403, "A header that only the service itself may set"),
    ),
    faults.BadOrigin("x-forwarded-for"): (
        _security_exception("Invalid X-Forwarded-Forheader", 400),
        _problem(400, "Bad Request", detail="x-forwarded-for is not a list of addresses"),
        _wavefront(400, "x-forwarded-for is not a list of addresses"),
        _netbird(400, "x-forwarded-for is not a list of addresses"),
        _mention(400, "x-forwarded-for is not a list of addresses"),
    ),
    faults.NoSuchRoute("GET", "/a?b"): (
        {"error": "no handler found for uri [/a?b] and method [GET]"},
        _problem(404, "Not Found"),
        None,  # In text; see below.
        None,  # In text, as NetBird's router answers.
        None,  # A page.
    ),
    faults.MethodNotAllowed("POST", "/a", ("GET", "PUT")): (
        {"error": "Incorrect HTTP method for uri [/a] and method [POST], allowed: [GET, PUT]", "status": 405},
        _problem(405, "Method Not Allowed"),
        _wavefront(405, "HTTP 405 Method Not Allowed: POST"),
        None,  # Without a body.
        _mention(405, "Method Not Allowed"),
    ),
    faults.BadPath("because"): (
        {"status": 400, "error": "Invalid path: because"},
        _problem(400, "Bad Request", detail="because"),
        _wavefront(400, "Invalid path: because"),
        None,  # In text.
        None,  # A page.
    ),
    faults.UnknownParameters("/a", ("x",)): (
        _security_exception("request [/a] contains unrecognized parameter: [x]", 400),
        _problem(400, "Bad Request", detail="unknown parameters: x"),
        _wavefront(400, "Unknown parameters: x"),
        _netbird(400, "unknown parameters: x"),
        _mention(400, "Unknown parameters: x"),
    ),
    faults.UnknownParameters("/a", ("x", "y")): (
        _security_exception("request [/a] contains unrecognized parameters: [x], [y]", 400),
        _problem(400, "Bad Request", detail="unknown parameters: x, y"),
        _wavefront(400, "Unknown parameters: x, y"),
        _netbird(400, "unknown parameters: x, y"),
        _mention(400, "Unknown parameters: x, y"),
    ),
    faults.BadParameter("to", "not a time"): (
        {"status": 400, "error": "to: not a time"},
        _problem(400, "Bad Request", detail="to: not a time"),
        _wavefront(400, "to: not a time"),
        _netbird(400, "to: not a time"),
        _mention(400, "to: not a time"),
    ),
    faults.BadHeader("Idempotency-Key", "too long"): (
        {"status": 400, "error": "Idempotency-Key: too long"},
        _problem(400, "Bad Request", detail="Idempotency-Key: too long"),
        _wavefront(400, "Idempotency-Key: too long"),
        _netbird(400, "idempotency-key: too long"),
        _mention(400, "Idempotency-Key: too long"),
    ),
    faults.UnexpectedBody("GET", "/a"): (
        _security_exception("request [GET /a] does not support having a body", 400),
        _problem(400, "Bad Request", detail="no body is read here"),
        _wavefront(400, "No body is read here"),
        _netbird(400, "no body is read here"),
        _mention(400, "No body is read here"),
    ),
    faults.UnsupportedMediaType(): (
        {"status": 415, "error": "Accounts must be of content type application/json"},
        _problem(415, "Unsupported Media Type"),
        {"error": "HTTP 415 Unsupported Media Type", "trackingId": TRACKING_ID},
        _netbird(415, "a patch is of type application/merge-patch+json"),
        _mention(415, "Unsupported Media Type"),
    ),
    faults.UnsupportedCoding("br", "identity"): (
        {"status": 415, "error": "Content-Encoding [br] is not supported"},
        _problem(415, "Unsupported Media Type", detail="Content-Encoding br is not supported"),
        _wavefront(415, "Content-Encoding br is not supported"),
        _netbird(415, "content-encoding br is not supported"),
        _mention(415, "Content-Encoding br is not supported"),
    ),
    faults.BodyTooLarge(10): (
        {"status": 413, "error": "The document is larger than 10 bytes"},
        _problem(413, "Request Entity Too Large", detail="more than 10 bytes"),
        _wavefront(413, "The body is larger than 10 bytes"),
        _netbird(413, "the body is larger than 10 bytes"),
        _mention(413, "The body is larger than 10 bytes"),
    ),
    faults.BodyTooSlow(): (
        {"status": 408, "error": "The document did not arrive in time"},
        _problem(408, "Request Timeout", detail="the body did not arrive in time"),
        _wavefront(408, "The body did not arrive in time"),
        _netbird(408, "the body did not arrive in time"),
        _mention(408, "The body did not arrive in time"),
    ),
    faults.EmptyBody(): (
        {
            "status": 400,
            "error": "The document is empty",
            "detail": {"_": [{"error": "The document is empty", "expected": "JSON document"}]},
        },
        _problem(400, "Bad Request", detail="the body is empty"),
        _wavefront(400, "The body is empty"),
        _netbird(400, "couldn't parse JSON request"),
        _mention(400, "Invalid json message received: it is empty"),
    ),
    faults.MalformedBody("because", 2, 3): (
        {
            "status": 400,
            "error": "Invalid JSON document: because",
            "detail": {"_": [{"error": "Invalid JSON document: because", "line": 2, "column": 3}]},
        },
        _problem(400, "Bad Request", detail="the body is not JSON: because at line 2, column 3"),
        _wavefront(400, "Invalid JSON: because\n at [Source: body; line: 2, column: 3]"),
        _netbird(400, "couldn't parse JSON request"),
        _mention(400, "Invalid json message received: because at line 2, column 3"),
    ),
    faults.MalformedBody("because"): (
        {
            "status": 400,
            "error": "Invalid JSON document: because",
            "detail": {"_": [{"error": "Invalid JSON document: because"}]},
        },
        _problem(400, "Bad Request", detail="the body is not JSON: because"),
        _wavefront(400, "Invalid JSON: because"),
        _netbird(400, "couldn't parse JSON request"),
        _mention(400, "Invalid json message received: because"),
    ),
    faults.NoSuchObject("GET", "email/x"): (
        {"status": 404, "error": "Not found"},
        _problem(404, "Not Found"),
        _wavefront(404, "email/x does not exist"),
        _netbird(404, "email/x not found"),
        _mention(404, "There is no such account"),
    ),
    faults.NoSuchObject("DELETE", "email/x"): (
        {"status": 404, "error": "Account does not exist: email/x"},
        _problem(404, "Not Found"),
        _wavefront(404, "email/x does not exist"),
        _netbird(404, "email/x not found"),
        _mention(404, "There is no such account"),
    ),
    faults.BadQuery(
        (
            QueryProblem(QueryFlaw.PARSING, "unknown query [foo]"),
            QueryProblem(QueryFlaw.ILLEGAL_ARGUMENT, "[from] must be 0 in a scroll"),
        )
    ): (
        {
            "error": {
                "root_cause": [
                    {"type": "parsing_exception", "reason": "unknown query [foo]"},
                    {"type": "illegal_argument_exception", "reason": "[from] must be 0 in a scroll"},
                ],
                "type": "parsing_exception",
                "reason": "unknown query [foo]",
            },
            "status": 400,
        },
        _problem(
            400,
            "Bad Request",
            detail="the query is not valid",
            problems=["unknown query [foo]", "[from] must be 0 in a scroll"],
        ),
        _wavefront(400, "unknown query [foo]; [from] must be 0 in a scroll"),
        _netbird(422, "unknown query [foo]; [from] must be 0 in a scroll"),
        _mention(400, "unknown query [foo]; [from] must be 0 in a scroll"),
    ),
    faults.NoSuchScroll(): (
        _security_exception("No search context found", 404, kind="search_context_missing_exception"),
        _problem(404, "Not Found", detail="no such scroll"),
        _wavefront(404, "The cursor does not exist"),
        _netbird(404, "cursor not found"),
        _mention(404, "The cursor does not exist"),
    ),
    faults.Ambiguous("x", ("email/x", "slack/x")): (
        {"status": 409, "error": "There are several accounts called x: email/x, slack/x"},
        _problem(409, "Conflict", detail="x is several: email/x, slack/x"),
        _wavefront(409, "x is several: email/x, slack/x"),
        _netbird(409, "x is several: email/x, slack/x"),
        _mention(409, "x is several: email/x, slack/x"),
    ),
    faults.AlreadyExists("x"): (
        {"status": 409, "error": "x is there already"},
        _problem(409, "Conflict", detail="x is there already"),
        _wavefront(400, "x is already created in our system."),
        _netbird(409, "x already exists"),
        _mention(409, "x is there already"),
    ),
    faults.AnswerTooLarge(): (
        {"status": 413, "error": "The answer would be too large; ask for less"},
        _problem(413, "Request Entity Too Large", detail="the answer would be too large; ask for less"),
        _wavefront(400, "The answer would be too large; ask for a part of it, with offset and limit, or search."),
        _netbird(413, "the list is too large to be sent at once"),
        _mention(413, "The answer would be too large; ask for less"),
    ),
    faults.QuotaExceeded("tenant", "accounts", 5): (
        {"status": 409, "error": _OVER_QUOTA},
        _problem(409, "Conflict", detail=_OVER_QUOTA),
        _wavefront(409, _OVER_QUOTA),
        _netbird(409, _OVER_QUOTA[0].lower() + _OVER_QUOTA[1:]),
        _mention(409, _OVER_QUOTA),
    ),
    faults.AgainstTheRules(faults.Rule.TOO_MANY_TOKENS, "20"): (
        {"status": 409, "error": "an account has so many tokens at most: 20"},
        _problem(409, "Conflict", detail="an account has so many tokens at most: 20"),
        _wavefront(400, "Cannot have more than 20 API tokens"),
        _netbird(422, "a user has at most 20 tokens"),
        _mention(400, "an account has so many tokens at most 20"),
    ),
    faults.InUse(): (
        {"status": 409, "error": "The account is still in use"},
        _problem(409, "Conflict", detail="it is still in use"),
        _wavefront(409, "It is still in use"),
        _netbird(409, "it is still in use"),
        _mention(409, "It is still in use"),
    ),
    faults.InUse(2, ("watch-1",)): (
        {
            "status": 409,
            "error": "The account is still in use",
            "detail": {"used_by": {"count": 2, "referrers": ["watch-1"]}},
        },
        _problem(409, "Conflict", detail="it is still in use"),
        _wavefront(409, "It is still in use"),
        _netbird(409, "it is still in use"),
        _mention(409, "It is still in use"),
    ),
    faults.PrivateTenant(): (
        {"status": 400, "error": {"message": "Signals does not support private tenants"}},
        _problem(400, "Bad Request", detail="there are no private tenants"),
        _wavefront(400, "There are no private tenants"),
        _netbird(400, "there are no private tenants"),
        _mention(400, "There are no private tenants"),
    ),
    faults.PreconditionFailed(): (
        {"status": 412, "error": "The account is not in the version that the request asks for"},
        _problem(412, "Precondition Failed"),
        _wavefront(412, "It is not in the version that the request asks for"),
        _netbird(412, "it is not in the version that the request asks for"),
        _mention(412, "The account is not in the version that the request asks for"),
    ),
    faults.PreconditionRequired(): (
        {"status": 428, "error": "If-Match or If-None-Match: * must be sent"},
        _problem(428, "Precondition Required", detail="If-Match or If-None-Match: * must be sent"),
        _wavefront(428, "If-Match or If-None-Match: * must be sent"),
        _netbird(428, "if-match or if-none-match: * must be sent"),
        _mention(428, "If-Match or If-None-Match: * must be sent"),
    ),
    faults.KeyReused(): (
        {"status": 422, "error": "The Idempotency-Key came before, with another body"},
        _problem(422, "Unprocessable Entity", detail="the Idempotency-Key came before, with another body"),
        _wavefront(422, "The Idempotency-Key came before, with another body"),
        _netbird(422, "the idempotency-key came before, with another body"),
        _mention(422, "The Idempotency-Key came before, with another body"),
    ),
    faults.StillRunning(): (
        {"status": 409, "error": "A request with this Idempotency-Key is not answered yet"},
        _problem(409, "Conflict", detail="a request with this Idempotency-Key is not answered yet"),
        _wavefront(409, "A request with this Idempotency-Key is not answered yet"),
        _netbird(409, "a request with this idempotency-key is not answered yet"),
        _mention(409, "A request with this Idempotency-Key is not answered yet"),
    ),
    faults.SecretUnreadable(): (
        {"status": 503, "error": "A stored secret is damaged"},
        _problem(503, "Service Unavailable", detail="a stored secret is damaged"),
        _wavefront(503, "A stored secret is damaged"),
        _netbird(503, "a stored secret is damaged"),
        _mention(503, "A stored secret is damaged"),
    ),
    faults.SecretUnreadable("k1"): (
        {"status": 503, "error": "A stored secret needs the key k1, which is not in the keys file"},
        _problem(503, "Service Unavailable", detail="a stored secret needs the key k1, which is not in the keys file"),
        _wavefront(503, "A stored secret needs the key k1, which is not in the keys file"),
        _netbird(503, "a stored secret needs the key k1, which is not in the keys file"),
        _mention(503, "A stored secret needs the key k1, which is not in the keys file"),
    ),
    faults.Overloaded(): (
        {"status": 503, "error": "Too many requests at once"},
        _problem(503, "Service Unavailable"),
        _wavefront(503, "Too many requests at once"),
        _netbird(503, "too many requests at once"),
        _mention(503, "Too many requests at once"),
    ),
    faults.Unavailable(): (
        {"status": 503, "error": "Service unavailable"},
        _problem(503, "Service Unavailable"),
        _wavefront(503, "Service unavailable"),
        _netbird(503, "service unavailable"),
        _mention(503, "Service unavailable"),
    ),
    faults.Internal("abc"): (
        {"status": 500, "error": "Internal error, request abc"},
        _problem(500, "Internal Server Error", request_id="abc"),
        _wavefront(500, "Internal error, request abc"),
        _netbird(500, "internal server error, request abc"),
        _mention(500, "Internal error, request abc"),
    ),
    faults.InvalidBody((Problem(("a", 1), faults.Missing()),)): (
        {
            "status": 400,
            "error": "'a': Required attribute is missing",
            "detail": {"a": [{"error": "Required attribute is missing"}]},
        },
        _problem(400, "Bad Request", detail="the body is not valid", attributes=["a.1"]),
        _wavefront(400, "a.1 is required"),
        _netbird(400, "a.1 field can't be absent"),
        {"form": {"errors": ["This value should not be blank."], "children": _NO_CHILDREN}},
    ),
    faults.TokenRefused(faults.TokenFlaw.UNKNOWN): (
        {"status": 401, "error": "The token is nobody's"},
        _problem(401, "Unauthorized", detail="the token is nobody's"),
        _wavefront(401, "Unauthorized: the token is nobody's"),
        _netbird(401, "token invalid"),
        _oauth("invalid_grant", "The access token provided is invalid."),
    ),
    faults.TokenRefused(faults.TokenFlaw.EXPIRED): (
        {"status": 401, "error": "The token is too old"},
        _problem(401, "Unauthorized", detail="the token is too old"),
        _wavefront(401, "Unauthorized: the token is too old"),
        _netbird(401, "token invalid"),
        _oauth("invalid_grant", "The access token provided has expired."),
    ),
    faults.GrantRefused(faults.GrantFlaw.NO_CODE): (
        {"status": 400, "error": "the code is missing"},
        _problem(400, "Bad Request", detail="the code is missing"),
        _wavefront(400, "the code is missing"),
        _netbird(400, "the code is missing"),
        _oauth("invalid_request", 'Missing parameter. "code" is required'),
    ),
    faults.TooManyAttempts(1795608000, 900): (
        {"status": 429, "error": "Too many attempts"},
        _problem(429, "Too Many Requests"),
        _wavefront(429, "Too many attempts"),
        _netbird(429, "too many requests"),
        _mention(429, "Too many attempts"),
    ),
}

# flaw: what Signals says of it, about the value "v"
FLAWS: dict[Flaw, dict[str, Json]] = {
    faults.Missing(): {"error": "Required attribute is missing"},
    faults.NotA(Kind.NUMBER): {"error": "Invalid value", "value": "v", "expected": "A numeric value"},
    faults.NotA(Kind.FLAG): {"error": "Invalid value", "value": "v", "expected": "true or false"},
    faults.NotA(Kind.URI): {"error": "Invalid value", "value": "v", "expected": "A URI"},
    faults.NotA(Kind.EMAIL_ADDRESS): {"error": "Invalid value", "value": "v", "expected": "E-mail address"},
    faults.NotA(Kind.WEB_ADDRESS): {
        "error": "Invalid value",
        "value": "v",
        "expected": "An http or https URI without user information",
    },
    faults.NotA(Kind.OBJECT): {"error": "Invalid value", "value": "v", "expected": "An object"},
    faults.NotA(Kind.HEADER_NAME): {"error": "Invalid value", "value": "v", "expected": "The name of a header, once"},
    faults.NotA(Kind.HEADER_VALUE): {"error": "Invalid value", "value": "v", "expected": "The value of a header"},
    faults.NotA(Kind.TEXT): {"error": "Invalid value", "value": "v", "expected": "A string"},
    faults.NotA(Kind.WORD): {
        "error": "Invalid value",
        "value": "v",
        "expected": "A string without white space at its ends and without line breaks",
    },
    faults.OutOfRange(1, 65535): {"error": "Invalid value", "value": "v", "expected": "A number between 1 and 65535"},
    faults.TooMany(1000): {"error": "Invalid value", "value": "v", "expected": "At most 1000 elements"},
    faults.TooLong(255): {"error": "Invalid value", "value": "v", "expected": "At most 255 characters"},
    faults.NotOneOf(("email", "slack")): {"error": "Invalid value", "value": "v", "expected": "email|slack"},
    faults.Unfit("rule"): {"error": "Invalid value", "value": "v", "expected": "rule"},
    faults.NeededBy("password"): {"error": "A user must be specified if a password is specified"},
    faults.NotKnown(): {"error": "Unsupported attribute", "value": None},
    faults.NotKnown("user"): {"error": "Unsupported attribute; did you mean user?", "value": None},
    faults.StaleReference(): {
        "error": "Invalid value",
        "value": "v",
        "expected": "The secret itself, or its current reference",
    },
    faults.DestinationChanged(("host", "port")): {
        "error": "A stored secret cannot be kept while this changes: host, port",
        "expected": "The secret itself",
    },
}


def _told(family: Family, fault: Fault, accept: str = "*/*", **settings: Any) -> Response:
    known_as = {"accounts.request_id": TRACKING_ID}
    with Flask("telling").test_request_context("/", headers={"Accept": accept}, environ_base=known_as):
        return family.dialect(dataclasses.replace(Settings(), **settings)).tell(fault, request)


def test_the_table_of_words_is_whole() -> None:
    assert {type(fault) for fault in WORDS} | {faults.NotAuthenticated} == set(faults.Fault.__args__)
    assert {type(flaw) for flaw in FLAWS} == set(faults.Flaw.__args__)


@pytest.mark.parametrize(("fault", "words"), WORDS.items(), ids=list(map(repr, WORDS)))
def test_every_fault_in_every_familys_words(fault: Fault, words: tuple[Json, Json, Json, Json, Json]) -> None:
    for family, document in zip((SIGNALS, ADMIN, WAVEFRONT, NETBIRD, MENTION), words, strict=True):
        told = _told(family, fault)
        assert told.get_json(silent=True) == document
        assert told.headers["Cache-Control"] == "no-store"
        assert told.status_code == _said(document, told.status_code)


def _said(document: Any, otherwise: int) -> int:
    # The status that a body tells, if it does.
    while isinstance(document, dict):
        document = document.get("status", document.get("code", otherwise))
    return otherwise if document is None else int(document)


@pytest.mark.parametrize(("flaw", "words"), FLAWS.items(), ids=list(map(repr, FLAWS)))
def test_every_flaw_in_the_words_of_signals(flaw: Flaw, words: dict[str, Json]) -> None:
    document = _told(SIGNALS, faults.InvalidBody((Problem(("x",), flaw, "v"),))).get_json()
    assert document == {"status": 400, "error": f"'x': {words['error']}", "detail": {"x": [words]}}


# flaw: what Wavefront says of it, about the value "v" of the attribute `x`
FLAWS_OF_WAVEFRONT: dict[Flaw, str] = {
    faults.Missing(): "x is required",
    faults.NotA(Kind.NUMBER): "x must be a number",
    faults.NotA(Kind.FLAG): "x must be true or false",
    faults.NotA(Kind.URI): "x must be a URI",
    faults.NotA(Kind.EMAIL_ADDRESS): "Invalid email address: v",
    faults.NotA(Kind.WEB_ADDRESS): "x must be an http or https URI",
    faults.NotA(Kind.OBJECT): "x must be an object",
    faults.NotA(Kind.HEADER_NAME): "x must be the name of a header",
    faults.NotA(Kind.HEADER_VALUE): "x must be the value of a header",
    faults.NotA(Kind.TEXT): "x must be a string",
    faults.NotA(Kind.LINE): "x must be a line of text",
    faults.NotA(Kind.LIST): "x must be an array",
    faults.NotA(Kind.PHONE): "x must be a phone number",
    faults.NotA(Kind.IDENTIFIER): "x must be an identifier",
    faults.NotA(Kind.WORD): "x must be a string without white space at its ends",
    faults.OutOfRange(1, 1000): "x must be between 1 and 1000",
    faults.TooMany(1000): "x must have at most 1000 elements",
    faults.TooLong(255): "x must have at most 255 characters",
    faults.NotOneOf(("true", "false")): "x must be one of true, false",
    faults.Unfit("rule"): "x: rule",
    faults.NeededBy("y"): "x is required with y",
    faults.NotKnown(): "x is not known",
    faults.NotKnown("y"): "x is not known; did you mean y?",
    faults.StaleReference(): "x is not the current reference of a secret",
    faults.DestinationChanged(("host", "port")): "x cannot be kept while host, port changes",
}


def test_the_table_of_flaws_in_the_words_of_wavefront_is_whole() -> None:
    assert {type(flaw) for flaw in FLAWS_OF_WAVEFRONT} == set(faults.Flaw.__args__)
    assert {flaw.kind for flaw in FLAWS_OF_WAVEFRONT if isinstance(flaw, faults.NotA)} == set(Kind)


@pytest.mark.parametrize(("flaw", "words"), FLAWS_OF_WAVEFRONT.items(), ids=list(map(repr, FLAWS_OF_WAVEFRONT)))
def test_every_flaw_in_the_words_of_wavefront(flaw: Flaw, words: str) -> None:
    told = _told(WAVEFRONT, faults.InvalidBody((Problem(("x",), flaw, "v"), Problem(("y", 0), faults.Missing()))))
    assert told.get_json() == _wavefront(400, f"{words}; y.0 is required")


@pytest.mark.parametrize("path", (("groups", 0), ("permissions", 3), ("permission",), ("users", 1, "groups", 0)))
def test_wavefront_calls_a_permission_that_there_is_not_invalid(path: tuple[str | int, ...]) -> None:
    flaw = faults.NotOneOf(("a", "b"))
    values: tuple[tuple[Json, str], ...] = (
        ("v", "v"),
        (7, "7"),
        ({"k": "ü"}, '{"k": "ü"}'),
        ("x" * 201, "x" * 200 + "…"),
    )
    for value, shown in values:
        document = _told(WAVEFRONT, faults.InvalidBody((Problem(path, flaw, value),))).get_json()
        assert document["status"]["message"] == f"Invalid permission: {shown}"


@pytest.mark.parametrize(
    ("rule", "words"),
    (
        (faults.Rule.SINGLE_SIGN_ON, "Cannot process the request when SSO is enabled."),
        (faults.Rule.OWN_ACCOUNT, "Cannot delete your own account: s"),
        (faults.Rule.NOT_FOR_SERVICE_ACCOUNTS, "A service account cannot hold the permission: s"),
        (
            faults.Rule.SYSTEM_GROUP,
            "Cannot change the name or the members of a system group, or delete it: s",
        ),
        (faults.Rule.TOO_MANY_TOKENS, "Cannot have more than s API tokens"),
        (faults.Rule.NO_KNOWN_ASSIGNEE, "No valid user or user group IDs were found"),
    ),
)
def test_every_rule_in_the_words_of_wavefront(rule: faults.Rule, words: str) -> None:
    assert _told(WAVEFRONT, faults.AgainstTheRules(rule, "s")).get_json() == _wavefront(400, words)


def test_wavefront_says_of_an_address_that_it_is_a_users() -> None:
    told = _told(WAVEFRONT, faults.AlreadyExists("ann@example.com")).get_json()
    assert told == _wavefront(400, "User with id <ann@example.com> is already created in our system.")
    told = _told(WAVEFRONT, faults.AlreadyExists("Role a@b")).get_json()
    assert told == _wavefront(400, "Role a@b is already created in our system.")


def test_wavefront_tells_who_is_nobody_how_to_be_somebody() -> None:
    told = _told(WAVEFRONT, faults.NotAuthenticated(("One", "Two")))
    assert told.get_json() == _wavefront(401, "Unauthorized")
    assert told.headers.getlist("WWW-Authenticate") == ["One", "Two"]


def test_several_problems_of_one_attribute_stand_in_one_list() -> None:
    bad = faults.NotA(Kind.EMAIL_ADDRESS)
    problems = (Problem(("to", 0), bad, "@"), Problem(("from",), bad, "x"), Problem(("to", 2), bad, "y"))
    document = _told(SIGNALS, faults.InvalidBody(problems)).get_json()
    assert document["error"] == "3 errors; see detail."
    assert list(document["detail"]) == ["to", "from"]
    assert [error["value"] for error in document["detail"]["to"]] == ["@", "y"]


@pytest.mark.parametrize("accept", ("application/json", "application/vnd.elasticsearch+json; compatible-with=8"))
def test_who_wants_json_is_told_in_json_that_he_is_nobody(accept: str) -> None:
    told = _told(SIGNALS, faults.NotAuthenticated(("One", "Two")), accept)
    assert told.get_json() == {"status": 401, "error": {"reason": "Unauthorized", "type": "authentication_exception"}}
    assert told.headers.getlist("WWW-Authenticate") == ["One", "Two"]


def test_everybody_else_is_told_in_text() -> None:
    told = _told(SIGNALS, faults.NotAuthenticated())
    assert (told.get_data(as_text=True), told.content_type) == ("Unauthorized", "text/plain; charset=UTF-8")
    assert "WWW-Authenticate" not in told.headers


@pytest.mark.parametrize("family", app.FAMILIES.values(), ids=lambda family: family.name)
@pytest.mark.parametrize("fault", (faults.Overloaded(7), faults.Unavailable(7)))
def test_every_family_says_when_to_come_again(family: Family, fault: Fault) -> None:
    assert _told(family, fault).headers["Retry-After"] == "7"


@pytest.mark.parametrize("family", app.FAMILIES.values(), ids=lambda family: family.name)
def test_every_family_says_which_methods_there_are(family: Family) -> None:
    assert _told(family, faults.MethodNotAllowed("X", "/", ("GET", "PUT"))).headers["Allow"] == "GET, PUT"


@pytest.mark.parametrize("family", app.FAMILIES.values(), ids=lambda family: family.name)
def test_every_family_is_whole(family: Family) -> None:
    family.verify()
    asked_for = {
        privilege for route in family.routes for privilege in (*privileges_of(route.requirement), *route.optional)
    }
    unused = set(family.privileges) - asked_for
    assert not unused, f"declared and asked for by no route: {unused}"


# What stands open to everyone is listed here by hand, so that nobody opens a door by accident.
PUBLIC = {
    ("admin", "/docs"),
    ("admin", "/docs/<file>"),
    ("admin", "/livez"),
    ("admin", "/openapi.json"),
    ("admin", "/openapi/<family>.json"),
    ("admin", "/readyz"),
    ("mention", "/apps"),
    ("mention", "/authorize"),
    ("mention", "/oauth/v2/token"),
    ("netbird", "/instance"),
    ("netbird", "/users/invites/<invite>"),
    ("netbird", "/users/invites/<invite>/accept"),
    ("signals", "/_searchguard/health"),
}


def test_only_what_is_listed_is_public() -> None:
    public = {
        (family.name, route.rule)
        for family in app.FAMILIES.values()
        for route in family.routes
        if route.requirement is Open.PUBLIC
    }
    assert public == PUBLIC


def test_no_view_is_longer_than_ten_lines() -> None:
    # Load, do, answer: a view that needs more has something that belongs below it.
    for family in app.FAMILIES.values():
        for route in family.routes:
            code = route.view.__code__
            lines = {line for *_, line in code.co_lines() if line}
            assert len(lines) - 1 <= 10, route.endpoint


@pytest.mark.parametrize("family", FAMILIES_AND_TOYS, ids=lambda family: family.name)
def test_every_route_says_what_its_reader_needs(family: Family) -> None:
    for route in family.routes:
        summary = (route.view.__doc__ or "").partition("\n")[0]
        assert summary.endswith("."), f"{route.endpoint}: the first line of the docstring is the summary of the route"
        assert route.answers, f"{route.endpoint}: say with answers= what it answers when all is well"
        assert (route.takes is not None) == (route.body is not Body.NONE), f"{route.endpoint}: takes= goes with body="
        assert route.takes is None or route.takes.examples, f"{route.endpoint}: one good body at least"
        for name in (*route.arguments, *route.parameters, *family.parameters):
            assert name in family.terms, f"{route.endpoint}: say in the terms of {family.name} what {name} means"
        for name in route.headers:
            assert name in family.terms or name in HEADERS, f"{route.endpoint}: say what the header {name} means"
        for answer in route.answers.values():
            assert all(name in HEADERS for name in answer.headers), f"{route.endpoint}: a header nobody explains"


@pytest.mark.parametrize("family", FAMILIES_AND_TOYS, ids=lambda family: family.name)
def test_every_check_says_what_it_refuses(family: Family) -> None:
    for check in family.checks:
        assert says_what_it_refuses(check), f"{check.__name__}: state its faults with @refuses"


def test_control_characters_in_a_query_are_nobodys_error_but_the_senders(service: Service) -> None:
    # PostgreSQL stores no NUL in a text, and an answer should not tell a terminal what to do.
    service.put("/_signals/account/slack/a", {"url": "https://example.com"})
    for method, path, name in (
        ("DELETE", "/_signals/account/slack/a?replace_with=slack/a%00b", "replace_with"),
        ("GET", "/_signals/account/_search?scroll=%1b", "scroll"),
        ("GET", "/_signals/account/slack/a?pretty%00", "pretty?"),
        ("GET", "/_accounts/explain?method=GET&path=/%0d", "path"),
    ):
        answer = service.ask(method, path)
        assert answer.status_code == 400
        assert f"{name}: holds a control character" in answer.text
    admin, netbird, mention = wavefront.admin(service), NetBird(service), Mention(service)
    for text in ("%00", "1%00", "a%00b"):
        asked = (
            service.get(f"/api/v2/account?offset={text}", by=None, headers=wavefront.bearer(admin.token)),
            service.get(f"/api/v2/account?x{text}=1", by=None, headers=wavefront.bearer(admin.token)),
            netbird.ask("GET", f"/users?service_user={text}"),
            mention.ask("GET", f"/accounts/me?access_token={text}", by=None),
            service.get(f"/mention/oauth/v2/token?client_id={text}&code={text}&grant_type={text}", by=None),
            service.get(f"/mention/authorize?client_id={text}&redirect_uri={text}&response_type=code", by=None),
        )
        assert [one.status_code for one in asked if one.status_code >= 500] == []
