"""Who asks NetBird, and how NetBird tells what is wrong.

`{"message": …, "code": …}`, the message in lower case whatever stands in it, but
for the one sentence about JSON. What its router says is plain text, or nothing.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import ClassVar, assert_never

from flask import Request, Response, after_this_request

from accounts_service import faults
from accounts_service.access.native_jwt import NativeClaims
from accounts_service.access.roles import REALM, Identity
from accounts_service.config import Settings
from accounts_service.families.netbird.privileges import roles_of
from accounts_service.families.netbird.schemas import settings as rules
from accounts_service.families.netbird.store.accounts import FAMILY_NAME
from accounts_service.families.netbird.store.arrivals import Arrivals
from accounts_service.families.netbird.store.tokens import Bearer, Tokens, is_token
from accounts_service.families.netbird.store.users import User
from accounts_service.faults import Fault, Json, Kind, NotAuthenticated, Problem, RefusedError, Rule
from accounts_service.storage.audit import Author
from accounts_service.storage.paths import without_tokens
from accounts_service.validation.json_schema import JsonSchema, record
from accounts_service.web.body import BYTE_ORDER_MARK, json_response
from accounts_service.web.gate import Call, facts_of

MEDIA_TYPE = "application/json; charset=UTF-8"

# The attribute of an identity that names the account of who comes by sg_authc.yml.
ACCOUNT_ATTRIBUTE = "netbird_account"
# The one that says why a user may do nothing.
STANDING = "standing"

_PARSE = "couldn't parse JSON request"
_PERMISSIONS = "failed to validate user permissions: "

_RULES = {
    Rule.BLOCKED: (403, "user is blocked"),
    Rule.PENDING: (403, "user is pending approval"),
    Rule.ANOTHER_ACCOUNT: (403, f"{_PERMISSIONS}user is not part of this account"),
    Rule.ADMINISTRATORS_ONLY: (403, "admin role required to perform this action"),
    Rule.NO_INVITATIONS: (412, "idp manager must be enabled to send user invites"),
    Rule.TOO_MANY_TOKENS: (422, "a user has at most {} tokens"),
    Rule.TOO_MANY_SERVICE_USERS: (422, "an account has at most {} service users"),
    Rule.NOT_A_PERSON: (403, "permission denied"),
    Rule.NOT_PENDING: (422, "user {} is not pending approval"),
    Rule.NO_INVITE_LINKS: (412, "invite links are only available with embedded identity provider"),
    Rule.NO_PASSWORDS: (412, "password change is only available with embedded identity provider"),
    Rule.OWNER_ROLE: (403, "only owners can assign or remove the owner role, and not for service users"),
}
_OF_ONESELF = {
    "block": "admins can't block or unblock themselves",
    "role": "admins can't change their role",
}
_DELETING_ACCOUNTS = "user is not allowed to delete account. only account owner can delete account"

_UNFIT = {
    rules.LARGER: "peer login expiration can't be larger than 180 days",
    rules.SMALLER: "peer login expiration can't be smaller than one hour",
    rules.DOMAIN: 'invalid domain "{}" provided for dns domain',
    rules.NO_GROUPS: "peer expose requires at least one group",
    rules.NO_FEATURE: "agent network only mode requires dashboard_features.agent_network to be enabled",
    rules.NO_SUCH_GROUP: "ipv6 enabled group {} does not exist",
    rules.VERSION: "invalid auto update version {}",
    rules.NO_CIDR: "invalid cidr format: invalid cidr address: {}",
    rules.NOT_V4: "network range must be an ipv4 address",
    rules.NOT_V6: "network range must be an ipv6 address",
    rules.LOOPBACK: "loopback address range not allowed",
    rules.MULTICAST: "multicast address range not allowed",
    rules.LINK_LOCAL: "link-local address range not allowed",
    rules.SMALL_V4: "network range too small: minimum size is /28 for ipv4",
    rules.SMALL_V6: "network range too small: minimum size is /120 for ipv6",
    rules.LARGE_V6: "network range too large: maximum size is /48 for ipv6",
    "unknown_role": "unknown user role {}",
    "invalid_role": "invalid user role",
    "service_owner": "can't create a service user with owner role",
    "token_name": "token name can't be empty",
    "token_days": "expiration has to be between 1 and 365",
    "service_user_parameter": "invalid service_user query parameter",
    "no_group.create": "provided group id {} doesn't exist",
    "no_group.update": "provided group id {} in the user {user} update doesn't exist",
    "group_all": "can't add all group to the user",
    "invite_length": "invalid invite token: invalid token length",
    "invite_prefix": "invalid invite token: invalid token prefix",
    "invite_checksum": "invalid invite token: checksum does not match",
}
# What is a bad request to NetBird, and not an argument that does not fit.
_BAD_REQUESTS = {"auto_groups": "auto_groups field can't be absent"}

_LONGEST_SHOWN = 200


class NetBirdDialect:
    """The words of NetBird's management server."""

    errors: ClassVar[JsonSchema] = record("Error", {"message": {"type": "string"}, "code": {"type": "integer"}})

    def __init__(self, _: Settings) -> None:
        pass

    def identify(self, call: Call) -> Identity:
        """Find out whose token was sent; without one ask the domains of sg_authc.yml.

        Raises RefusedError(NotAuthenticated), and what the domains do.
        """
        scheme, _, value = call.request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "token" or (scheme.lower() == "bearer" and value.startswith("nbp_")):
            return _identified(call, value)
        jwt = call.snapshot.netbird_jwt
        if scheme.lower() == "bearer" and jwt is not None:
            # Of two who may vouch for callers the family's own does; the other one is not asked after it.
            return _arrived(call, jwt.verified(value))
        return with_account(call.snapshot.authenticate(facts_of(call.request)))

    def tell(self, fault: Fault, request: Request) -> Response:  # noqa: C901, PLR0911, PLR0912, PLR0915  # one case a fault
        """Word a fault."""
        match fault:
            case faults.NotAuthenticated(challenges):
                scheme = request.headers.get("Authorization", "").partition(" ")[0].lower()
                sent = scheme in ("token", "bearer")
                response = error(401, "token invalid" if sent else "no valid authentication provided")
                for challenge in challenges:
                    response.headers.add("WWW-Authenticate", challenge)
                return response
            case faults.NotPermitted() if request.method == "DELETE" and request.path.startswith("/accounts/"):
                return error(403, _DELETING_ACCOUNTS)
            case faults.NotPermitted():
                return error(403, "permission denied")
            case faults.AgainstTheRules(rule, subject):
                return _against(rule, subject, request)
            case faults.InvalidBody(problems):
                return _invalid(problems, request)
            case faults.MalformedBody(reason) if reason == BYTE_ORDER_MARK:
                return error(400, f"{_PARSE}: {reason}", lower=False)
            case faults.MalformedBody() | faults.EmptyBody():
                return error(400, _PARSE, lower=False)
            case faults.NoSuchRoute() | faults.BadPath():
                return _text(404, "404 page not found\n")
            case faults.MethodNotAllowed(_, _, allowed):
                response = _text(405)
                response.headers["Allow"] = ", ".join(allowed)
                return response
            case faults.NoSuchObject(_, identifier):
                # Who mistakes an id for the token itself does not get it back, as he does not find it in a log.
                return error(404, f"{without_tokens(identifier)} not found")
            case faults.TokenRefused():
                return error(401, "token invalid")
            case faults.GrantRefused(flaw):
                return error(400, flaw.value)
            case faults.TooManyAttempts(_, wait_s):
                response = error(429, "too many requests")
                response.headers["Retry-After"] = str(wait_s)
                return response
            case faults.ForbiddenHeader():
                return error(403, "a header that only the service itself may set")
            case faults.BadOrigin(header):
                return error(400, f"{header} is not a list of addresses")
            case faults.UnknownParameters(_, names):
                return error(400, f"unknown parameters: {', '.join(names)}")
            case faults.BadParameter(name, reason) | faults.BadHeader(name, reason):
                return error(400, f"{name}: {reason}")
            case faults.UnexpectedBody():
                return error(400, "no body is read here")
            case faults.UnsupportedMediaType():
                response = error(415, "a patch is of type application/merge-patch+json")
                response.headers["Accept-Patch"] = "application/merge-patch+json"
                return response
            case faults.UnsupportedCoding(coding, accepted):
                response = error(415, f"content-encoding {coding} is not supported")
                response.headers["Accept-Encoding"] = accepted
                return response
            case faults.BodyTooLarge(limit):
                return error(413, f"the body is larger than {limit} bytes")
            case faults.BodyTooSlow():
                return error(408, "the body did not arrive in time")
            case faults.BadQuery(found):
                return error(422, "; ".join(problem.reason for problem in found))
            case faults.NoSuchScroll():
                return error(404, "cursor not found")
            case faults.Ambiguous(identifier, choices):
                return error(409, f"{identifier} is several: {', '.join(choices)}")
            case faults.InUse():
                return error(409, "it is still in use")
            case faults.AlreadyExists(identifier):
                return error(409, f"{identifier} already exists")
            case faults.AnswerTooLarge():
                return error(413, "the list is too large to be sent at once")
            case faults.QuotaExceeded():
                return error(409, fault.sentence)
            case faults.PrivateTenant():
                return error(400, "there are no private tenants")
            case faults.PreconditionFailed():
                return error(412, "it is not in the version that the request asks for")
            case faults.PreconditionRequired():
                return error(428, "If-Match or If-None-Match: * must be sent")
            case faults.KeyReused():
                return error(422, "the Idempotency-Key came before, with another body")
            case faults.StillRunning(retry_after):
                return _later("a request with this Idempotency-Key is not answered yet", retry_after, 409)
            case faults.SecretUnreadable(_, retry_after):
                return _later(fault.reason, retry_after)
            case faults.Overloaded(retry_after):
                return _later("too many requests at once", retry_after)
            case faults.Unavailable(retry_after):
                return _later("service unavailable", retry_after)
            case faults.Internal(number):
                return error(500, f"internal server error, request {number}")
            case _:
                assert_never(fault)


# -- Who asks -----------------------------------------------------------------


def _identified(call: Call, token: str) -> Identity:
    bearer = call.asked(Tokens, lambda tokens: tokens.bearer(token)) if is_token(token) else None
    if bearer is None:
        raise RefusedError(NotAuthenticated())
    if bearer.is_to_be_noted(call.services.database.now_us()):
        after_this_request(partial(_noting, call, bearer))
    return identity_of(bearer.user)


def _arrived(call: Call, claims: NativeClaims | None) -> Identity:
    if claims is None:
        raise RefusedError(NotAuthenticated())
    user = call.asked(Arrivals, lambda arrivals: arrivals.known(claims))
    if user is None:
        author = Author(FAMILY_NAME, claims.user_id, call.request_id)
        user = call.services.database.written(Arrivals, author, lambda arrivals: arrivals.arrive(claims))
    return identity_of(user)


def identity_of(user: User) -> Identity:
    """Make the identity of a user; who is blocked has no role, and a standing that says so."""
    standing = "pending" if user.pending else "blocked" if user.blocked else ""
    return Identity(
        FAMILY_NAME,
        user.id,
        roles=frozenset() if standing else roles_of(user.role, service_user=user.service_user),
        attributes=((STANDING, standing),) if standing else (),
        own=user.account_id,
    )


def with_account(identity: Identity) -> Identity:
    """Give who came by a domain of sg_authc.yml the account that his attribute names."""
    named = dict(identity.attributes).get(ACCOUNT_ATTRIBUTE)
    return replace(identity, own=named) if identity.realm == REALM and named else identity


def _noting(call: Call, bearer: Bearer, response: Response) -> Response:
    # When the answer is on its way: who asks does not wait for SQLite's writer.
    response.call_on_close(partial(_note, call, bearer))
    return response


def _note(call: Call, bearer: Bearer) -> None:
    author = Author(FAMILY_NAME, bearer.user.id, call.request_id)
    call.services.database.note(Tokens, author, lambda tokens: tokens.note_use(bearer.token_id))


# -- Words --------------------------------------------------------------------


def answer(document: Json, status: int = 200) -> Response:
    """Answer with a document, as NetBird writes it: with a line's end after it."""
    response = json_response(document, status, media_type=MEDIA_TYPE)
    response.set_data(response.get_data() + b"\n")
    return response


def _text(status: int, text: str = "") -> Response:
    # As NetBird's router answers, which asks nobody who he is and knows no JSON.
    return Response(text, status, {"Cache-Control": "no-store"}, content_type="text/plain; charset=utf-8")


def error(status: int, message: str, *, lower: bool = True) -> Response:
    """Answer with what is wrong."""
    return answer({"message": message.lower() if lower else message, "code": status}, status)


def _later(message: str, retry_after: int, status: int = 503) -> Response:
    response = error(status, message)
    response.headers["Retry-After"] = str(retry_after)
    return response


def _against(rule: Rule, subject: str, request: Request) -> Response:  # noqa: PLR0911  # one case a rule
    match rule:
        case Rule.BLOCKED | Rule.PENDING:
            prefix = "" if request.path == "/users/current" else _PERMISSIONS
            return error(403, prefix + _RULES[rule][1])
        case Rule.ONESELF if request.method == "DELETE":
            return error(422, "self deletion is not allowed")
        case Rule.ONESELF:
            return error(403, _updating(request) + _OF_ONESELF[subject])
        case Rule.OWNER_STAYS if request.method == "DELETE":
            return error(403, "can't delete a user with the owner role")
        case Rule.OWNER_STAYS:
            return error(403, _updating(request) + "unable to block owner user")
        case Rule.OWNER_ROLE:
            return error(403, _updating(request) + _RULES[rule][1])
        case _:
            status, message = _RULES.get(rule, (422, f"{rule.value} {subject}".strip()))
            return error(status, message.format(subject))


def _updating(request: Request) -> str:
    return f"failed to process update for user {_last(request)}: "


def _last(request: Request) -> str:
    return request.path.rpartition("/")[2]


def _invalid(problems: tuple[Problem, ...], request: Request) -> Response:
    # Go's reader refuses what is of another type before anything else is looked at; a text is a text to it.
    if any(isinstance(problem.flaw, faults.NotA) and problem.flaw.kind is not Kind.LINE for problem in problems):
        unknown = [_worded(problem, request) for problem in problems if isinstance(problem.flaw, faults.NotKnown)]
        return error(400, "; ".join((_PARSE, *unknown)), lower=False)
    messages = [_worded(problem, request) for problem in problems]
    bad = any(isinstance(problem.flaw, faults.Missing | faults.NotKnown) for problem in problems)
    return error(400 if bad else 422, "; ".join(messages))


def _worded(problem: Problem, request: Request) -> str:  # noqa: C901, PLR0911  # one case a flaw
    attribute = ".".join(map(str, problem.path))
    match problem.flaw:
        case faults.Unfit(rule):
            return _UNFIT[rule].format(_shown(problem.value), user=_last(request))
        case faults.Missing():
            return _BAD_REQUESTS.get(attribute, f"{attribute} field can't be absent")
        case faults.NotA(kind):
            return f"{attribute} is no {kind.value}"
        case faults.OutOfRange(low, high):
            return f"{attribute} has to be between {low} and {high}"
        case faults.TooMany(most):
            return f"{attribute} has more than {most} elements"
        case faults.TooLong(most):
            return f"{attribute} has more than {most} characters"
        case faults.NotOneOf(choices):
            return f"{attribute} has to be one of {', '.join(choices)}"
        case faults.NeededBy(other):
            return f"{attribute} is needed by {other}"
        case faults.NotKnown(meant):
            return f"{attribute} is not known" + ("" if meant is None else f", did you mean {meant}?")
        case faults.StaleReference() | faults.DestinationChanged():
            return f"{attribute} cannot be kept"
        case _:
            assert_never(problem.flaw)


def _shown(value: Json) -> str:
    text = str(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
