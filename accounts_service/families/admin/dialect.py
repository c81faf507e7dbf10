"""How our own family tells what is wrong: problem documents (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus
from typing import ClassVar, assert_never

from flask import Request, Response

from accounts_service import faults
from accounts_service.access.roles import Identity
from accounts_service.config import Settings
from accounts_service.faults import Fault, Json
from accounts_service.validation.json_schema import JsonSchema, record
from accounts_service.web.body import json_response
from accounts_service.web.gate import Call, facts_of

_TEXT: JsonSchema = {"type": "string"}


class AdminDialect:
    """Problem documents, typed `about:blank`: the status says it all."""

    errors: ClassVar[JsonSchema] = record(
        "Problem",
        {"type": {"type": "string", "const": "about:blank"}, "title": _TEXT, "status": {"type": "integer"}},
        {"detail": _TEXT, "attributes": {"type": "array", "items": _TEXT}, "request_id": _TEXT},
    )

    def __init__(self, _: Settings) -> None:
        pass

    def identify(self, call: Call) -> Identity:
        """Ask the domains of sg_authc.yml."""
        return call.snapshot.authenticate(facts_of(call.request))

    def tell(self, fault: Fault, request: Request) -> Response:  # noqa: ARG002, C901, PLR0911, PLR0912  # one case a fault
        """Word a fault."""
        match fault:
            case faults.NotAuthenticated(challenges):
                response = problem(401)
                for challenge in challenges:
                    response.headers.add("WWW-Authenticate", challenge)
                return response
            case faults.NotPermitted():
                return problem(403)
            case faults.TokenRefused(flaw):
                return problem(401, f"the token is {flaw.value}")
            case faults.GrantRefused(flaw):
                return problem(400, flaw.value)
            case faults.TooManyAttempts(_, wait_s):
                return _later(429, wait_s)
            case faults.ForbiddenHeader():
                return problem(403, "a header that only the service itself may set")
            case faults.BadOrigin(header):
                return problem(400, f"{header} is not a list of addresses")
            case faults.NoSuchRoute() | faults.NoSuchObject():
                return problem(404)
            case faults.MethodNotAllowed(_, _, allowed):
                response = problem(405)
                response.headers["Allow"] = ", ".join(allowed)
                return response
            case faults.BadPath(reason):
                return problem(400, reason)
            case faults.UnknownParameters(_, names):
                return problem(400, "unknown parameters: " + ", ".join(names))
            case faults.BadParameter(name, reason) | faults.BadHeader(name, reason):
                return problem(400, f"{name}: {reason}")
            case faults.UnexpectedBody():
                return problem(400, "no body is read here")
            case faults.UnsupportedMediaType():
                return problem(415)
            case faults.UnsupportedCoding(coding, accepted):
                response = problem(415, f"Content-Encoding {coding} is not supported")
                response.headers["Accept-Encoding"] = accepted
                return response
            case faults.BodyTooLarge(limit):
                return problem(413, f"more than {limit} bytes")
            case faults.BodyTooSlow():
                return problem(408, "the body did not arrive in time")
            case faults.EmptyBody():
                return problem(400, "the body is empty")
            case faults.MalformedBody(reason, line, column):
                place = "" if line is None else f" at line {line}, column {column}"
                return problem(400, f"the body is not JSON: {reason}{place}")
            case faults.InvalidBody(problems):
                paths: list[Json] = [".".join(map(str, found.path)) for found in problems]
                return problem(400, "the body is not valid", {"attributes": paths})
            case faults.BadQuery(found):
                reasons: list[Json] = [one.reason for one in found]
                return problem(400, "the query is not valid", {"problems": reasons})
            case faults.NoSuchScroll():
                return problem(404, "no such scroll")
            case faults.Ambiguous(identifier, choices):
                return problem(409, f"{identifier} is several: {', '.join(choices)}")
            case faults.InUse():
                return problem(409, "it is still in use")
            case faults.AlreadyExists(identifier):
                return problem(409, f"{identifier} is there already")
            case faults.AgainstTheRules(rule, subject):
                return problem(409, ": ".join(filter(None, (rule.value, subject))))
            case faults.AnswerTooLarge():
                return problem(413, "the answer would be too large; ask for less")
            case faults.QuotaExceeded():
                return problem(409, fault.sentence)
            case faults.PrivateTenant():
                return problem(400, "there are no private tenants")
            case faults.PreconditionFailed():
                return problem(412)
            case faults.PreconditionRequired():
                return problem(428, "If-Match or If-None-Match: * must be sent")
            case faults.KeyReused():
                return problem(422, "the Idempotency-Key came before, with another body")
            case faults.StillRunning(retry_after):
                return _later(409, retry_after, "a request with this Idempotency-Key is not answered yet")
            case faults.SecretUnreadable(_, retry_after):
                return _later(503, retry_after, fault.reason)
            case faults.Overloaded(retry_after) | faults.Unavailable(retry_after):
                return _later(503, retry_after)
            case faults.Internal(request_id):
                return problem(500, None, {"request_id": request_id})
            case _:
                assert_never(fault)


def _later(status: int, retry_after: int, detail: str | None = None) -> Response:
    response = problem(status, detail)
    response.headers["Retry-After"] = str(retry_after)
    return response


def problem(status: int, detail: str | None = None, more: dict[str, Json] | None = None) -> Response:
    """Make a problem document; `more` are its extension members."""
    document: dict[str, Json] = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    if detail is not None:
        document["detail"] = detail
    return json_response(document | (more or {}), status, media_type="application/problem+json")
