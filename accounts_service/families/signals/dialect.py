"""Who asks Signals, and how Signals tells what is wrong.

Two shapes: what the handlers of Signals answer is `{"status", "error", "detail"}`,
indented; what Elasticsearch answers around them is `{"error": …, "status"}`.
"""

from __future__ import annotations

from typing import ClassVar, assert_never

from flask import Request, Response

from accounts_service import faults
from accounts_service.access.roles import Identity
from accounts_service.config import Settings
from accounts_service.faults import Fault, Json, Kind, Problem, QueryFlaw
from accounts_service.validation.json_schema import JsonSchema, record
from accounts_service.web.body import json_response
from accounts_service.web.family import MERGE_PATCH
from accounts_service.web.gate import Call, facts_of

_JSON_WANTED = ("application/json", "application/vnd.elasticsearch+json")

_EXPECTED = {
    Kind.TEXT: "A string",
    Kind.NUMBER: "A numeric value",
    Kind.FLAG: "true or false",
    Kind.URI: "A URI",
    Kind.EMAIL_ADDRESS: "E-mail address",
    Kind.WEB_ADDRESS: "An http or https URI without user information",
    Kind.OBJECT: "An object",
    Kind.HEADER_NAME: "The name of a header, once",
    Kind.HEADER_VALUE: "The value of a header",
    Kind.LIST: "A list",
    Kind.LINE: "A line of text",
    Kind.PHONE: "A phone number",
    Kind.IDENTIFIER: "An identifier",
    Kind.WORD: "A string without white space at its ends and without line breaks",
}

_KINDS = {
    QueryFlaw.PARSING: "parsing_exception",
    QueryFlaw.ILLEGAL_ARGUMENT: "illegal_argument_exception",
}


_TEXT: JsonSchema = {"type": "string"}
_STATUS: JsonSchema = {"type": "integer", "minimum": 400}
_FLAW = record(
    "Flaw",
    {"error": _TEXT},
    {"value": {}, "expected": _TEXT, "line": {"type": "integer"}, "column": {"type": "integer"}},
)
_DETAIL: JsonSchema = {"type": "object", "additionalProperties": {"type": "array", "items": _FLAW}}
_USED_BY = record(
    "Used by", {"count": {"type": "integer", "minimum": 1}, "referrers": {"type": "array", "items": _TEXT}}
)
_CAUSE = record("Cause", {"type": _TEXT, "reason": _TEXT}, {"root_cause": {"type": "array"}})


def is_pretty(request: Request) -> bool:
    """Return whether the answer is to be indented."""
    return request.args.get("pretty", "false") != "false"


class SignalsDialect:
    """The words of Search Guard FLX; validation errors in the documented form, or in that of FLX as well."""

    errors: ClassVar[JsonSchema] = {
        "title": "Error",
        "anyOf": [
            record("Signals Error", {"status": _STATUS, "error": _TEXT}, {"detail": _DETAIL}),
            record("In Use", {"status": _STATUS, "error": _TEXT, "detail": record("Users", {"used_by": _USED_BY})}),
            record("Elasticsearch Error", {"status": _STATUS, "error": _CAUSE}),
            record("Tenant Error", {"status": _STATUS, "error": record("Message", {"message": _TEXT})}),
            record("Routing Error", {"error": _TEXT}, {"status": _STATUS}),
        ],
    }

    def __init__(self, settings: Settings) -> None:
        self._flx = settings.signals_errors == "flx"

    def identify(self, call: Call) -> Identity:
        """Ask the domains of sg_authc.yml."""
        return call.snapshot.authenticate(facts_of(call.request))

    def tell(self, fault: Fault, request: Request) -> Response:
        """Word a fault; `pretty` counts here as well, and `filter_path` does not, as in Elasticsearch."""
        response = self._tell(fault, request)
        if is_pretty(request) and response.is_json:
            response.set_data(json_response(response.get_json(), pretty=True).get_data())
        return response

    def _tell(self, fault: Fault, request: Request) -> Response:  # noqa: C901, PLR0911, PLR0912, PLR0915  # one case a fault
        match fault:
            case faults.NotAuthenticated(challenges):
                response = _unauthorized(request)
                for challenge in challenges:
                    response.headers.add("WWW-Authenticate", challenge)
                return response
            case faults.NotPermitted() if _is_search(request):
                return _elasticsearch(403, "security_exception", "Insufficient permissions")
            case faults.NotPermitted():
                return _handler(403, "Insufficient permissions")
            case faults.ForbiddenHeader():
                reason = "Illegal parameter in http or transport request found."
                return _elasticsearch(403, "security_exception", reason)
            case faults.BadOrigin():
                return _elasticsearch(400, "illegal_argument_exception", "Invalid X-Forwarded-Forheader")
            case faults.NoSuchRoute(method, uri):
                return json_response({"error": f"no handler found for uri [{uri}] and method [{method}]"}, 400)
            case faults.MethodNotAllowed(method, uri, allowed):
                text = f"Incorrect HTTP method for uri [{uri}] and method [{method}], allowed: [{', '.join(allowed)}]"
                response = json_response({"error": text, "status": 405}, 405)
                response.headers["Allow"] = ", ".join(allowed)
                return response
            case faults.BadPath(reason):
                return _handler(400, f"Invalid path: {reason}")
            case faults.TokenRefused(flaw):
                return _handler(401, f"The token is {flaw.value}")
            case faults.GrantRefused(flaw):
                return _handler(400, flaw.value)
            case faults.TooManyAttempts(_, wait_s):
                return _later(429, "Too many attempts", wait_s)
            case faults.UnknownParameters(path, names):
                noun = "parameter" if len(names) == 1 else "parameters"
                listed = ", ".join(f"[{name}]" for name in names)
                reason = f"request [{path}] contains unrecognized {noun}: {listed}"
                return _elasticsearch(400, "illegal_argument_exception", reason)
            case faults.BadParameter(name, reason) | faults.BadHeader(name, reason):
                return _handler(400, f"{name}: {reason}")
            case faults.UnexpectedBody(method, path):
                reason = f"request [{method} {path}] does not support having a body"
                return _elasticsearch(400, "illegal_argument_exception", reason)
            case faults.UnsupportedMediaType():
                response = _handler(415, "Accounts must be of content type application/json")
                if request.method == "PATCH":
                    response.headers["Accept-Patch"] = MERGE_PATCH
                return response
            case faults.UnsupportedCoding(coding, accepted):
                response = _handler(415, f"Content-Encoding [{coding}] is not supported")
                response.headers["Accept-Encoding"] = accepted
                return response
            case faults.BodyTooLarge(limit):
                return _handler(413, f"The document is larger than {limit} bytes")
            case faults.BodyTooSlow():
                return _handler(408, "The document did not arrive in time")
            case faults.EmptyBody() if _is_search(request):
                return _elasticsearch(400, "parsing_exception", "The document is empty")
            case faults.MalformedBody(reason, line, column) if _is_search(request):
                place = "" if line is None else f" at line {line}, column {column}"
                return _elasticsearch(400, "parsing_exception", f"Invalid JSON document: {reason}{place}")
            case faults.EmptyBody():
                return _invalid([("_", {"error": "The document is empty", "expected": "JSON document"})])
            case faults.MalformedBody(reason, line, column):
                error: dict[str, Json] = {"error": f"Invalid JSON document: {reason}"}
                if line is not None:
                    error["line"], error["column"] = line, column
                return _invalid([("_", error)])
            case faults.InvalidBody(problems):
                return _invalid([self._told_as(problem) for problem in problems])
            case faults.BadQuery(problems):
                return _elasticsearch_all(400, [(_KINDS[problem.kind], problem.reason) for problem in problems])
            case faults.NoSuchScroll():
                return _elasticsearch(404, "search_context_missing_exception", "No search context found")
            case faults.NoSuchObject("DELETE", identifier):
                return _handler(404, f"Account does not exist: {identifier}")
            case faults.NoSuchObject():
                return _handler(404, "Not found")
            case faults.Ambiguous(identifier, choices):
                return _handler(409, f"There are several accounts called {identifier}: {', '.join(choices)}")
            case faults.InUse(0):
                return _handler(409, "The account is still in use")
            case faults.InUse(count, referrers):
                used_by: dict[str, Json] = {"count": count, "referrers": [*referrers]}
                return _handler(409, "The account is still in use", {"used_by": used_by})
            case faults.AlreadyExists(identifier):
                return _handler(409, f"{identifier} is there already")
            case faults.AgainstTheRules(rule, subject):
                return _handler(409, ": ".join(filter(None, (rule.value, subject))))
            case faults.AnswerTooLarge():
                return _handler(413, "The answer would be too large; ask for less")
            case faults.QuotaExceeded():
                return _handler(409, fault.sentence)
            case faults.PrivateTenant():
                message: dict[str, Json] = {"message": "Signals does not support private tenants"}
                return json_response({"status": 400, "error": message}, 400)
            case faults.PreconditionFailed():
                return _handler(412, "The account is not in the version that the request asks for")
            case faults.PreconditionRequired():
                return _handler(428, "If-Match or If-None-Match: * must be sent")
            case faults.KeyReused():
                return _handler(422, "The Idempotency-Key came before, with another body")
            case faults.StillRunning(retry_after):
                return _later(409, "A request with this Idempotency-Key is not answered yet", retry_after)
            case faults.SecretUnreadable(_, retry_after):
                return _later(503, fault.reason.capitalize(), retry_after)
            case faults.Overloaded(retry_after):
                return _later(503, "Too many requests at once", retry_after)
            case faults.Unavailable(retry_after):
                return _later(503, "Service unavailable", retry_after)
            case faults.Internal(request_id):
                return _handler(500, f"Internal error, request {request_id}")
            case _:
                assert_never(fault)

    def _told_as(self, problem: Problem) -> tuple[str, dict[str, Json]]:
        if not self._flx:
            return str(problem.path[0]), _worded(problem)
        error = _worded(problem)
        if problem.flaw == faults.NotA(Kind.EMAIL_ADDRESS):
            # FLX makes the error before it is told what was expected.
            del error["expected"]
        return ".".join(map(str, problem.path)), error


def _unauthorized(request: Request) -> Response:
    if request.headers.get("Accept", "").startswith(_JSON_WANTED):
        return json_response(
            {"status": 401, "error": {"reason": "Unauthorized", "type": "authentication_exception"}}, 401
        )
    return Response("Unauthorized", 401, {"Cache-Control": "no-store"}, content_type="text/plain; charset=UTF-8")


def _handler(status: int, error: str, detail: dict[str, Json] | None = None) -> Response:
    document: dict[str, Json] = {"status": status, "error": error}
    if detail is not None:
        document["detail"] = detail
    return json_response(document, status, pretty=True)


def _is_search(request: Request) -> bool:
    # Search Guard hands these on to Elasticsearch, which words what is wrong itself.
    match request.path.split("/"):
        case ["", "_signals", "account", "_search"] | ["", "_signals", "account", _, "_search"] | ["", "_search", *_]:
            return True
        case _:
            return False


def _elasticsearch(status: int, kind: str, reason: str) -> Response:
    return _elasticsearch_all(status, [(kind, reason)])


def _elasticsearch_all(status: int, errors: list[tuple[str, str]]) -> Response:
    causes: list[Json] = [{"type": kind, "reason": reason} for kind, reason in errors]
    kind, reason = errors[0]
    return json_response({"error": {"root_cause": causes, "type": kind, "reason": reason}, "status": status}, status)


def _later(status: int, error: str, retry_after: int) -> Response:
    response = _handler(status, error)
    response.headers["Retry-After"] = str(retry_after)
    return response


def _invalid(errors: list[tuple[str, dict[str, Json]]]) -> Response:
    detail: dict[str, Json] = {}
    for attribute, error in errors:
        listed = detail.setdefault(attribute, [])
        if isinstance(listed, list):
            listed.append(error)
    if len(errors) > 1:
        return _handler(400, f"{len(errors)} errors; see detail.", detail)
    attribute, error = errors[0]
    message = str(error["error"])
    return _handler(400, message if attribute == "_" else f"'{attribute}': {message}", detail)


def _worded(problem: Problem) -> dict[str, Json]:  # noqa: C901, PLR0911  # one case a flaw
    match problem.flaw:
        case faults.Missing():
            return {"error": "Required attribute is missing"}
        case faults.NotA(kind):
            return _wrong(problem, _EXPECTED[kind])
        case faults.OutOfRange(low, high):
            return _wrong(problem, f"A number between {low} and {high}")
        case faults.TooMany(most):
            return _wrong(problem, f"At most {most} elements")
        case faults.TooLong(most):
            return _wrong(problem, f"At most {most} characters")
        case faults.NotOneOf(choices):
            return _wrong(problem, "|".join(choices))
        case faults.Unfit(rule):
            return _wrong(problem, rule)
        case faults.NeededBy(attribute):
            return {"error": f"A user must be specified if a {attribute} is specified"}
        case faults.NotKnown(meant):
            # Search Guard's word for it, for roles and the like; `value` is null, since it may be a secret.
            hint = "" if meant is None else f"; did you mean {meant}?"
            return {"error": f"Unsupported attribute{hint}", "value": None}
        case faults.StaleReference():
            return _wrong(problem, "The secret itself, or its current reference")
        case faults.DestinationChanged(attributes):
            changed = ", ".join(attributes)
            return {
                "error": f"A stored secret cannot be kept while this changes: {changed}",
                "expected": "The secret itself",
            }
        case _:
            assert_never(problem.flaw)


def _wrong(problem: Problem, expected: str) -> dict[str, Json]:
    return {"error": "Invalid value", "value": problem.value, "expected": expected}
