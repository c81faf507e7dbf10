"""Mention's words: who is asking, and how each fault is told.

https://dev.mention.com/current/ and, where it is silent, what its server was
seen to answer: OAuth's two members for tokens, `code` and `message` for most of
the rest, a tree of `form` for bodies, a page where no route is.
"""

from __future__ import annotations

import html
from functools import partial
from typing import ClassVar, assert_never

from flask import Request, Response, after_this_request

from accounts_service import faults
from accounts_service.access.roles import Identity
from accounts_service.config import Settings
from accounts_service.families.mention.privileges import OWNER
from accounts_service.families.mention.schemas import accounts as rules
from accounts_service.families.mention.store.accounts import FAMILY_NAME
from accounts_service.families.mention.store.tokens import Bearer, Tokens
from accounts_service.faults import Fault, GrantFlaw, Json, Kind, Problem, RefusedError, TokenFlaw, TokenRefused
from accounts_service.storage.audit import Author
from accounts_service.validation.json_schema import JsonSchema, record
from accounts_service.web import body
from accounts_service.web.body import json_response
from accounts_service.web.gate import Call, facts_of

_NOT_YOURS = "You are not allowed to access this account"
_DOTS_OF_JWT = 2
_OF_OAUTH = ("/oauth/v2/token", "/authorize")

# error, error_description
_TOKENS = {
    TokenFlaw.UNKNOWN: (401, "invalid_grant", "The access token provided is invalid."),
    TokenFlaw.EXPIRED: (401, "invalid_grant", "The access token provided has expired."),
    TokenFlaw.TWICE: (
        400,
        "invalid_request",
        "Only one method may be used to authenticate at a time (Auth header, GET or POST).",
    ),
}
_GRANTS = {
    GrantFlaw.GRANT_TYPE: ("invalid_request", "Invalid grant_type parameter or parameter missing"),
    GrantFlaw.CLIENT: ("invalid_client", "The client credentials are invalid"),
    GrantFlaw.NO_CODE: ("invalid_request", 'Missing parameter. "code" is required'),
    GrantFlaw.CODE: ("invalid_grant", "Code doesn't exist or is invalid for the client"),
    GrantFlaw.CODE_EXPIRED: ("invalid_grant", "The authorization code has expired"),
    GrantFlaw.VERIFIER: ("invalid_grant", "The code verifier is missing or does not match"),
    GrantFlaw.REDIRECT: ("redirect_uri_mismatch", "The redirect URI is missing or do not match"),
    GrantFlaw.REPEATED: ("invalid_request", "A parameter stands twice"),
    GrantFlaw.NO_CLIENT_ID: ("invalid_request", "No client id supplied"),
}
_UNFIT = {
    rules.EMAIL_LENGTH: "This value should have 2 to 255 characters.",
    rules.EMAIL_TAKEN: "There is an account with this email already.",
    rules.LANGUAGE: "This is not the code of a language.",
    rules.TOO_SHORT: "The password is too short.",
    rules.NO_LETTER: "The password should include letters.",
    rules.NO_FIGURE: "The password should include figures.",
    rules.COMMON: "This password is too common.",
    rules.WRONG_PASSWORD: "This is not the current password.",
}
_KINDS = {
    Kind.TEXT: "This value should be a text.",
    Kind.LINE: "This value should be a line of text.",
    Kind.EMAIL_ADDRESS: "This value is not an email address.",
    Kind.PHONE: "This value is not a phone number.",
    Kind.OBJECT: "This value should be an object.",
}

_MESSAGE = record("Message", {"code": {"type": "integer"}, "message": {"type": "string"}})
_CHILD: JsonSchema = {
    "anyOf": [
        {"type": "array", "maxItems": 0},
        {"type": "object", "properties": {"errors": {"type": "array", "items": {"type": "string"}}}},
    ]
}


# What a route is told to raise that wants somebody: of one status each.
TOKENS_REFUSED: tuple[Fault, ...] = (TokenRefused(TokenFlaw.UNKNOWN), TokenRefused(TokenFlaw.TWICE))


class MentionDialect:
    """The words of Mention's server."""

    errors: ClassVar[JsonSchema] = {
        "title": "Error",
        "anyOf": [
            record("OAuth error", {"error": {"type": "string"}, "error_description": {"type": "string"}}),
            _MESSAGE,
            record(
                "Form error",
                {
                    "form": record(
                        "Form",
                        {"children": {"type": "object", "additionalProperties": _CHILD}},
                        {"errors": {"type": "array", "items": {"type": "string"}}},
                    )
                },
            ),
        ],
    }

    def __init__(self, settings: Settings) -> None:
        self._empty: Json = [] if settings.mention_empty_child == "list" else {}

    def identify(self, call: Call) -> Identity:
        """Find out whose token was sent, in one of three ways; without one ask the domains of sg_authc.yml.

        Raises RefusedError: TokenRefused, NotAuthenticated, and what the domains do.
        """
        sent = _tokens_of(call.request)
        if len(sent) > 1:
            raise RefusedError(TokenRefused(TokenFlaw.TWICE))
        # Two dots make it a signed token, which is for a domain of sg_authc.yml.
        if sent and sent[0].count(".") != _DOTS_OF_JWT:
            return _identified(call, sent[0])
        return call.snapshot.authenticate(facts_of(call.request))

    def tell(self, fault: Fault, request: Request) -> Response:  # noqa: C901, PLR0911, PLR0912, PLR0915  # one case a fault
        """Word a fault."""
        match fault:
            case faults.NotAuthenticated(challenges):
                response = _oauth(401, "access_denied", "OAuth2 authentication required")
                for challenge in challenges:
                    response.headers.add("WWW-Authenticate", challenge)
                return response
            case faults.TokenRefused(flaw):
                return _oauth(*_TOKENS[flaw])
            case faults.GrantRefused(flaw):
                return _oauth(400, *_GRANTS[flaw], challenge=False)
            case faults.TooManyAttempts(reset_s, wait_s):
                response = _message(429, "Too many attempts")
                response.headers["X-Rate-Limit-Reset"] = str(reset_s)
                response.headers["Retry-After"] = str(wait_s)
                return response
            case faults.NotPermitted():
                return _message(403, _NOT_YOURS)
            case faults.AgainstTheRules(rule, subject):
                return _message(400, f"{rule.value} {subject}".strip())
            case faults.InvalidBody(problems):
                return json_response(self._form(problems, request), 400)
            case faults.MalformedBody() if request.path in _OF_OAUTH:
                return _oauth(400, "invalid_request", "The body is not that of a form", challenge=False)
            case faults.MalformedBody(reason, line, column):
                place = "" if line is None else f" at line {line}, column {column}"
                return _message(400, f"Invalid json message received: {reason}{place}")
            case faults.EmptyBody():
                return _message(400, "Invalid json message received: it is empty")
            case faults.NoSuchRoute() | faults.BadPath():
                return _page(404, "Not Found")
            case faults.MethodNotAllowed(_, _, allowed):
                response = _message(405, "Method Not Allowed")
                response.headers["Allow"] = ", ".join(allowed)
                return response
            case faults.NoSuchObject(_, identifier) if identifier.startswith("app "):
                return _message(404, "No such app acts for the account")
            case faults.NoSuchObject():
                return _message(404, "There is no such account")
            case faults.ForbiddenHeader():
                return _message(403, "A header that only the service itself may set")
            case faults.BadOrigin(header):
                return _message(400, f"{header} is not a list of addresses")
            case faults.UnknownParameters(_, names):
                return _message(400, f"Unknown parameters: {', '.join(names)}")
            case faults.BadParameter(name, reason) | faults.BadHeader(name, reason):
                return _message(400, f"{name}: {reason}")
            case faults.UnexpectedBody():
                return _message(400, "No body is read here")
            case faults.UnsupportedMediaType():
                return _message(415, "Unsupported Media Type")
            case faults.UnsupportedCoding(coding, accepted):
                response = _message(415, f"Content-Encoding {coding} is not supported")
                response.headers["Accept-Encoding"] = accepted
                return response
            case faults.BodyTooLarge(limit):
                return _message(413, f"The body is larger than {limit} bytes")
            case faults.BodyTooSlow():
                return _message(408, "The body did not arrive in time")
            case faults.BadQuery(found):
                return _message(400, "; ".join(problem.reason for problem in found))
            case faults.NoSuchScroll():
                return _message(404, "The cursor does not exist")
            case faults.Ambiguous(identifier, choices):
                return _message(409, f"{identifier} is several: {', '.join(choices)}")
            case faults.InUse():
                return _message(409, "It is still in use")
            case faults.AlreadyExists(identifier):
                return _message(409, f"{identifier} is there already")
            case faults.AnswerTooLarge():
                return _message(413, "The answer would be too large; ask for less")
            case faults.QuotaExceeded():
                return _message(409, fault.sentence)
            case faults.PrivateTenant():
                return _message(400, "There are no private tenants")
            case faults.PreconditionFailed():
                return _message(412, "The account is not in the version that the request asks for")
            case faults.PreconditionRequired():
                return _message(428, "If-Match or If-None-Match: * must be sent")
            case faults.KeyReused():
                return _message(422, "The Idempotency-Key came before, with another body")
            case faults.StillRunning(retry_after):
                return _later("A request with this Idempotency-Key is not answered yet", retry_after, 409)
            case faults.SecretUnreadable(_, retry_after):
                return _later(fault.reason.capitalize(), retry_after)
            case faults.Overloaded(retry_after):
                return _later("Too many requests at once", retry_after)
            case faults.Unavailable(retry_after):
                return _later("Service unavailable", retry_after)
            case faults.Internal(number):
                return _message(500, f"Internal error, request {number}")
            case _:
                assert_never(fault)

    def _form(self, problems: tuple[Problem, ...], request: Request) -> dict[str, Json]:
        schema = rules.NEW_ACCOUNT if request.method == "POST" else rules.ACCOUNT
        children: dict[str, Json] = {}
        for name in schema.fields:
            errors: list[Json] = [_worded(problem) for problem in problems if problem.path[:1] == (name,)]
            children[name] = {"errors": errors} if errors else self._empty
        whole: list[Json] = [
            _worded(problem) for problem in problems if problem.path[:1] not in {(one,) for one in children}
        ]
        return {"form": {**({"errors": whole} if whole else {}), "children": children}}


# -- Who asks -----------------------------------------------------------------


def _tokens_of(request: Request) -> list[str]:
    """Gather tokens from the header, the query and the fields of a form (RFC 6750 section 2)."""
    word, _, value = request.headers.get("Authorization", "").partition(" ")
    found = [value] if word == "Bearer" else []
    found += request.args.getlist("access_token")
    if request.method != "GET":
        found += body.tokens_of_form(request)
    return [token for token in found if token]


def token_of(request: Request) -> str | None:
    """Return the token that a request came with, if it came with one of ours."""
    return next((token for token in _tokens_of(request) if token.count(".") != _DOTS_OF_JWT), None)


def _identified(call: Call, token: str) -> Identity:
    bearer = call.asked(Tokens, lambda tokens: tokens.bearer(token))
    if bearer is None:
        raise RefusedError(TokenRefused(TokenFlaw.UNKNOWN))
    if bearer.expired:
        raise RefusedError(TokenRefused(TokenFlaw.EXPIRED))
    if bearer.is_to_be_noted(call.services.database.now_us()):
        after_this_request(partial(_noting, call, bearer))
    return Identity(FAMILY_NAME, bearer.account_id, roles=frozenset((OWNER,)), own=bearer.account_id)


def _noting(call: Call, bearer: Bearer, response: Response) -> Response:
    # When the answer is on its way: who asks does not wait for SQLite's writer.
    response.call_on_close(partial(_note, call, bearer))
    return response


def _note(call: Call, bearer: Bearer) -> None:
    author = Author(FAMILY_NAME, bearer.account_id, call.request_id)
    call.services.database.note(Tokens, author, lambda tokens: tokens.note_use(bearer.token_id))


# -- Words --------------------------------------------------------------------


def _oauth(status: int, error: str, description: str, *, challenge: bool = True) -> Response:
    # As FOSOAuthServerBundle answers, which Mention is built on.
    response = json_response({"error": error, "error_description": description}, status)
    response.headers["Pragma"] = "no-cache"
    if challenge:
        said = f'Bearer realm="Service", error="{error}", error_description="{description}"'
        response.headers["WWW-Authenticate"] = said
    return response


def _message(status: int, message: str) -> Response:
    return json_response({"code": status, "message": message}, status)


def _later(message: str, retry_after: int, status: int = 503) -> Response:
    response = _message(status, message)
    response.headers["Retry-After"] = str(retry_after)
    return response


def _page(status: int, reason: str) -> Response:
    # Mention's server answers so where it has no route, whatever was asked for.
    title, said = f"An Error Occurred: {reason}", f'The server returned a "{status} {reason}".'
    text = (
        f'<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="UTF-8"><title>{html.escape(title)}</title></head>\n'
        f"<body><h1>Oops! An Error Occurred</h1><h2>{html.escape(said, quote=False)}</h2></body>\n</html>\n"
    )
    headers = {"Cache-Control": "no-store", "Content-Security-Policy": "default-src 'none'"}
    return Response(text, status, headers, content_type="text/html; charset=UTF-8")


def _worded(problem: Problem) -> str:  # noqa: C901, PLR0911  # one case a flaw
    match problem.flaw:
        case faults.Missing():
            return "This value should not be blank."
        case faults.NotA(kind):
            return _KINDS.get(kind, f"This value is no {kind.value}.")
        case faults.OutOfRange(low, high):
            return f"This value should be between {low} and {high}."
        case faults.TooMany(most):
            return f"This value should have {most} elements or less."
        case faults.TooLong(most):
            return f"This value should have {most} characters or less."
        case faults.NotOneOf(choices):
            return f"This value should be one of {', '.join(choices)}."
        case faults.Unfit(rule):
            return _UNFIT.get(rule, rule)
        case faults.NeededBy(other):
            return f"This value is needed by {other}."
        case faults.NotKnown(meant):
            # No child of the form is called so.
            name = ".".join(map(str, problem.path))
            return f"There is no field {name}." + ("" if meant is None else f" Did you mean {meant}?")
        case faults.StaleReference() | faults.DestinationChanged():
            return "This value cannot be kept."
        case _:
            assert_never(problem.flaw)
