"""Who asks Wavefront, and how Wavefront tells what is wrong.

Nearly all is `{"status": {"result": "ERROR", "message": …, "code": …}}`; a wrong
media type and an unknown path are told by the server around it, in words of
its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import ClassVar, assert_never

from flask import Request, Response, after_this_request

from accounts_service import faults
from accounts_service.access.authenticators import ANONYMOUS, JWT, TRUSTED_ORIGIN
from accounts_service.access.roles import Identity
from accounts_service.config import Settings
from accounts_service.families.wavefront.privileges import roles_of
from accounts_service.families.wavefront.store.directory import FAMILY_NAME
from accounts_service.families.wavefront.store.logins import Logins
from accounts_service.families.wavefront.store.tokens import Bearer, Tokens
from accounts_service.faults import Fault, Kind, NotAuthenticated, Problem, RefusedError, Rule
from accounts_service.storage.audit import Author
from accounts_service.storage.database import ReadInterruptedError
from accounts_service.storage.paths import without_tokens
from accounts_service.validation.checks import is_address
from accounts_service.validation.json_schema import JsonSchema, record
from accounts_service.web.body import json_response
from accounts_service.web.errors import tracking_id
from accounts_service.web.gate import Call, facts_of

_TOKEN_HEADER = "X-AUTH-TOKEN"  # noqa: S105  # a name
_TOKEN = re.compile(r"(?:Bearer +)?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\Z", re.IGNORECASE)

_EXPECTED = {
    Kind.TEXT: "a string",
    Kind.NUMBER: "a number",
    Kind.FLAG: "true or false",
    Kind.URI: "a URI",
    Kind.EMAIL_ADDRESS: "an email address",
    Kind.WEB_ADDRESS: "an http or https URI",
    Kind.OBJECT: "an object",
    Kind.HEADER_NAME: "the name of a header",
    Kind.HEADER_VALUE: "the value of a header",
    Kind.LIST: "an array",
    Kind.LINE: "a line of text",
    Kind.PHONE: "a phone number",
    Kind.IDENTIFIER: "an identifier",
    Kind.WORD: "a string without white space at its ends",
}

_RULES = {
    Rule.SINGLE_SIGN_ON: "Cannot process the request when SSO is enabled.",
    Rule.OWN_ACCOUNT: "Cannot delete your own account: {}",
    Rule.NOT_FOR_SERVICE_ACCOUNTS: "A service account cannot hold the permission: {}",
    Rule.SYSTEM_GROUP: "Cannot change the name or the members of a system group, or delete it: {}",
    Rule.TOO_MANY_TOKENS: "Cannot have more than {} API tokens",
    Rule.OWN_MANAGEMENT: (
        "Cannot take user_management from your own account by leaving groups or userGroups out, send both lists: {}"
    ),
    Rule.NO_KNOWN_ASSIGNEE: "No valid user or user group IDs were found",
}

_STATUS = record(
    "Error Status",
    {
        "result": {"type": "string", "const": "ERROR"},
        "message": {"type": "string"},
        "code": {"type": "integer", "minimum": 400},
    },
)


class WavefrontDialect:
    """The words of Wavefront's server."""

    errors: ClassVar[JsonSchema] = {
        "title": "Error",
        "anyOf": [
            record("Wavefront Error", {"status": _STATUS}),
            record("Server Error", {"error": {"type": "string"}, "trackingId": {"type": "string"}}),
        ],
    }

    def __init__(self, _: Settings) -> None:
        pass

    def identify(self, call: Call) -> Identity:
        """Find out whose token was sent, in either header; without one ask the domains of sg_authc.yml.

        A token in `Authorization` counts before one in `X-AUTH-TOKEN`. Raises
        RefusedError(NotAuthenticated), and what the domains do.
        """
        for header in ("Authorization", _TOKEN_HEADER):
            match = _TOKEN.match(call.request.headers.get(header, ""))
            if match is not None:
                return _identified(call, match[1])
        if _TOKEN_HEADER in call.request.headers:
            raise RefusedError(NotAuthenticated(_CHALLENGES))
        identity = call.snapshot.authenticate(facts_of(call.request))
        if identity.domain != ANONYMOUS:
            after_this_request(partial(_afterwards, partial(_note_named, call, identity)))
        return identity

    def tell(self, fault: Fault, request: Request) -> Response:  # noqa: C901, PLR0911, PLR0912, PLR0915  # one case a fault
        """Word a fault."""
        match fault:
            case faults.NotAuthenticated(challenges):
                response = _error(401, "Unauthorized")
                for challenge in challenges:
                    response.headers.add("WWW-Authenticate", challenge)
                return response
            case faults.NotPermitted():
                return _error(403, "Forbidden: you do not have the permission that this request needs")
            case faults.TokenRefused(flaw):
                return _error(401, f"Unauthorized: the token is {flaw.value}")
            case faults.GrantRefused(flaw):
                return _error(400, flaw.value)
            case faults.TooManyAttempts(_, wait_s):
                response = _error(429, "Too many attempts")
                response.headers["Retry-After"] = str(wait_s)
                return response
            case faults.ForbiddenHeader():
                return _error(403, "Forbidden: a header that only the service itself may set")
            case faults.BadOrigin(header):
                return _error(400, f"{header} is not a list of addresses")
            case faults.NoSuchRoute():
                return _not_found(request)
            case faults.MethodNotAllowed(method, _, allowed):
                response = _error(405, f"HTTP 405 Method Not Allowed: {method}")
                response.headers["Allow"] = ", ".join(allowed)
                return response
            case faults.BadPath(reason):
                return _error(400, f"Invalid path: {reason}")
            case faults.UnknownParameters(_, names):
                return _error(400, f"Unknown parameters: {', '.join(names)}")
            case faults.BadParameter(name, reason) | faults.BadHeader(name, reason):
                return _error(400, f"{name}: {reason}")
            case faults.UnexpectedBody():
                return _error(400, "No body is read here")
            case faults.UnsupportedMediaType():
                document = {"error": "HTTP 415 Unsupported Media Type", "trackingId": tracking_id(request)}
                return json_response({**document}, 415)
            case faults.UnsupportedCoding(coding, accepted):
                response = _error(415, f"Content-Encoding {coding} is not supported")
                response.headers["Accept-Encoding"] = accepted
                return response
            case faults.BodyTooLarge(limit):
                return _error(413, f"The body is larger than {limit} bytes")
            case faults.BodyTooSlow():
                return _error(408, "The body did not arrive in time")
            case faults.EmptyBody():
                return _error(400, "The body is empty")
            case faults.MalformedBody(reason, line, column):
                place = "" if line is None else f"\n at [Source: body; line: {line}, column: {column}]"
                return _error(400, f"Invalid JSON: {reason}{place}")
            case faults.InvalidBody(problems):
                return _error(400, "; ".join(map(_worded, problems)))
            case faults.BadQuery(found):
                return _error(400, "; ".join(problem.reason for problem in found))
            case faults.NoSuchScroll():
                return _error(404, "The cursor does not exist")
            case faults.NoSuchObject(_, identifier):
                return _error(404, f"{without_tokens(identifier)} does not exist")
            case faults.Ambiguous(identifier, choices):
                return _error(409, f"{identifier} is several: {', '.join(choices)}")
            case faults.InUse():
                return _error(409, "It is still in use")
            case faults.AlreadyExists(identifier) if is_address(identifier):
                return _error(400, f"User with id <{identifier}> is already created in our system.")
            case faults.AlreadyExists(identifier):
                return _error(400, f"{identifier} is already created in our system.")
            case faults.AgainstTheRules(rule, subject):
                return _error(400, _RULES[rule].format(subject))
            case faults.AnswerTooLarge():
                return _error(
                    400, "The answer would be too large; ask for a part of it, with offset and limit, or search."
                )
            case faults.QuotaExceeded():
                return _error(409, fault.sentence)
            case faults.PrivateTenant():
                return _error(400, "There are no private tenants")
            case faults.PreconditionFailed():
                return _error(412, "It is not in the version that the request asks for")
            case faults.PreconditionRequired():
                return _error(428, "If-Match or If-None-Match: * must be sent")
            case faults.KeyReused():
                return _error(422, "The Idempotency-Key came before, with another body")
            case faults.StillRunning(retry_after):
                return _later("A request with this Idempotency-Key is not answered yet", retry_after, 409)
            case faults.SecretUnreadable(_, retry_after):
                return _later(fault.reason.capitalize(), retry_after)
            case faults.Overloaded(retry_after):
                return _later("Too many requests at once", retry_after)
            case faults.Unavailable(retry_after):
                return _later("Service unavailable", retry_after)
            case faults.Internal(number):
                return _error(500, f"Internal error, request {number}")
            case _:
                assert_never(fault)


_CHALLENGES = ("Bearer",)


def _identified(call: Call, token: str) -> Identity:
    bearer = call.asked(Tokens, lambda tokens: tokens.bearer(token))
    if bearer is None:
        raise RefusedError(NotAuthenticated(_CHALLENGES))
    roles = roles_of(bearer.permissions, service_account=bearer.service_account)
    identity = Identity(FAMILY_NAME, bearer.identifier, roles=roles, own=bearer.account_uid)
    if bearer.is_to_be_noted(call.services.database.now_us()):
        after_this_request(partial(_afterwards, partial(_note, call, bearer)))
    return identity


def _afterwards(act: Callable[[], None], response: Response) -> Response:
    # When the answer is on its way: who asks does not wait for SQLite's writer.
    response.call_on_close(act)
    return response


def _note(call: Call, bearer: Bearer) -> None:
    author = Author(FAMILY_NAME, bearer.identifier, call.request_id)
    call.services.database.note(Tokens, author, lambda tokens: tokens.note_use(bearer))


# The domains of sg_authc.yml by which a caller comes who has signed on elsewhere.
_SINGLE_SIGN_ON = (JWT, TRUSTED_ORIGIN)


def _note_named(call: Call, identity: Identity) -> None:
    """Note a request of a caller of sg_authc.yml for the user of the same name, if there is one.

    Most callers have none, and most requests tell nothing new: these only read.
    """
    database = call.services.database
    sso_id = identity.name if identity.domain in _SINGLE_SIGN_ON else ""
    with suppress(RefusedError, ReadInterruptedError):
        seen = call.asked(Logins, lambda logins: logins.of_user(identity.name))
        if seen is not None and seen.is_to_be_noted(database.now_us(), sso_id):
            author = Author(identity.realm, identity.name, call.request_id)
            database.note(Logins, author, lambda logins: logins.note(seen.uid, sso_id))


def _not_found(request: Request) -> Response:
    lines = ("error='not_found'", "message='resource cannot be found'", f"trackingId={tracking_id(request)}")
    return Response("\n".join(lines) + "\n", 404, {"Cache-Control": "no-store"}, content_type="text/plain")


def _error(status: int, message: str) -> Response:
    return json_response({"status": {"result": "ERROR", "message": message, "code": status}}, status)


def _later(message: str, retry_after: int, status: int = 503) -> Response:
    response = _error(status, message)
    response.headers["Retry-After"] = str(retry_after)
    return response


def _worded(problem: Problem) -> str:  # noqa: C901, PLR0911, PLR0912  # one case a flaw
    attribute = ".".join(map(str, problem.path))
    match problem.flaw:
        case faults.Missing():
            return f"{attribute} is required"
        case faults.NotA(Kind.EMAIL_ADDRESS):
            return f"Invalid email address: {_shown(problem)}"
        case faults.NotA(kind):
            return f"{attribute} must be {_EXPECTED[kind]}"
        case faults.OutOfRange(low, high):
            return f"{attribute} must be between {low} and {high}"
        case faults.TooMany(most):
            return f"{attribute} must have at most {most} elements"
        case faults.TooLong(most):
            return f"{attribute} must have at most {most} characters"
        case faults.NotOneOf() if _names_a_permission(problem):
            return f"Invalid permission: {_shown(problem)}"
        case faults.NotOneOf(choices):
            return f"{attribute} must be one of {', '.join(choices)}"
        case faults.Unfit(rule):
            return f"{attribute}: {rule}"
        case faults.NeededBy(other):
            return f"{attribute} is required with {other}"
        case faults.NotKnown(meant):
            return f"{attribute} is not known" + ("" if meant is None else f"; did you mean {meant}?")
        case faults.StaleReference():
            return f"{attribute} is not the current reference of a secret"
        case faults.DestinationChanged(attributes):
            return f"{attribute} cannot be kept while {', '.join(attributes)} changes"
        case _:
            assert_never(problem.flaw)


def _names_a_permission(problem: Problem) -> bool:
    return bool({"groups", "permissions", "permission"}.intersection(map(str, problem.path)))


def _shown(problem: Problem) -> str:
    value = problem.value if isinstance(problem.value, str) else json.dumps(problem.value, ensure_ascii=False)
    return value if len(value) <= _LONGEST_SHOWN else f"{value[:_LONGEST_SHOWN]}…"


_LONGEST_SHOWN = 200
