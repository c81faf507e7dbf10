"""A family of the tests' own: another order of checks, other words for everything.

It shows that nothing of the frame is shaped after the one family there is.
"""

from __future__ import annotations

from typing import ClassVar, assert_never

from flask import Request, Response

from accounts_service import faults
from accounts_service.access.privileges import InTenant, Open, Own, Privilege, Scoped, Tenants
from accounts_service.access.roles import Identity
from accounts_service.config import Settings
from accounts_service.faults import Fault, Json
from accounts_service.validation.json_schema import JsonSchema, record
from accounts_service.web import gate
from accounts_service.web.body import json_response
from accounts_service.web.description import Answer, Takes, Term
from accounts_service.web.dispatcher import host_of
from accounts_service.web.family import Body, Family, Mount, Routes
from accounts_service.web.gate import Call

HOST = "toys.example"
TERMS = {
    "colour": Term("The colour of a toy."),
    "kind": Term("The kind of a toy."),
    "name": Term("The name of a toy."),
    "tenant": Term("Where a box was lent."),
}
WORDS = {200: Answer("What came of it.", {"type": ["array", "string"]}, ["car"])}
REALM = "toy"


class ToyPrivilege(Privilege):
    """What can be asked for among toys."""

    PLAY = "cluster:admin:toy:toy/play", "Play with a toy."
    OWN_READ = "cluster:admin:toy:box/_own/read", "Look into one's own box."
    ALL_READ = "cluster:admin:toy:box/_all/read", "Look into every box."
    LEND = "cluster:admin:searchguard:tenant:toy:box/lend", "Lend a box within a tenant."
    WIND = "cluster:admin:toy:toy/wind", "Wind a toy up before playing."


class ToyDialect:
    """Says a word and a number, nothing else."""

    errors: ClassVar[JsonSchema] = {"title": "Words", "type": "array", "prefixItems": [{"type": "string"}]}

    def __init__(self, _: Settings) -> None:
        pass

    def identify(self, call: Call) -> Identity:
        """Believe who says a name: `X-Child: name;role,role;box`."""
        name, _, rest = call.request.headers.get("X-Child", "").partition(";")
        roles, _, box = rest.partition(";")
        if not name:
            raise faults.RefusedError(faults.NotAuthenticated(("Child",)))
        return Identity(REALM, name, roles=frozenset(roles.split(",")), own=box or None)

    def tell(self, fault: Fault, request: Request) -> Response:  # noqa: ARG002  # as the others
        """Word a fault."""
        return json_response(*_words(fault), media_type="application/toy+json")


def _words(fault: Fault) -> tuple[Json, int]:  # noqa: C901, PLR0911, PLR0912  # one case a fault
    match fault:
        case faults.NotAuthenticated(challenges):
            return ["who", *challenges], 401
        case faults.TokenRefused(flaw):
            return [flaw.value], 401
        case faults.TooManyAttempts(_, wait_s):
            return [f"again in {wait_s}"], 429
        case faults.GrantRefused(flaw):
            return [flaw.value], 400
        case faults.NotPermitted():
            return ["may not"], 403
        case faults.ForbiddenHeader():
            return ["header"], 400
        case faults.BadOrigin(header):
            return ["origin", header], 400
        case faults.NoSuchRoute(method, uri):
            return ["nowhere", method, uri], 404
        case faults.MethodNotAllowed(_, _, allowed):
            return ["not so", *allowed], 405
        case faults.BadPath(reason):
            return ["path", reason], 400
        case faults.UnknownParameters(_, names):
            return ["what", *names], 400
        case faults.BadParameter(name, reason) | faults.BadHeader(name, reason):
            return ["unread", name, reason], 400
        case faults.UnexpectedBody():
            return ["no body"], 400
        case faults.UnsupportedCoding(coding, accepted):
            return ["not in", coding, accepted], 415
        case faults.UnsupportedMediaType():
            return ["not json"], 415
        case faults.BodyTooLarge(limit):
            return ["too much", limit], 413
        case faults.BodyTooSlow():
            return ["too slow"], 408
        case faults.EmptyBody():
            return ["nothing"], 422
        case faults.MalformedBody(reason, line, column):
            return ["broken", reason, line, column], 422
        case faults.InvalidBody(problems):
            return ["wrong", *(".".join(map(str, problem.path)) for problem in problems)], 422
        case faults.BadQuery(problems):
            return ["ask again", *(problem.reason for problem in problems)], 422
        case faults.NoSuchScroll():
            return ["lost the page"], 404
        case faults.NoSuchObject(_, identifier):
            return ["gone", identifier], 404
        case faults.Ambiguous(identifier, choices):
            return ["which", identifier, *choices], 409
        case faults.AlreadyExists(identifier):
            return ["there", identifier], 409
        case faults.AnswerTooLarge():
            return ["too long a tale"], 413
        case faults.QuotaExceeded(whose, unit, most):
            return ["full", whose, unit, most], 409
        case faults.AgainstTheRules(rule, subject):
            return ["never", rule.name, subject], 400
        case faults.InUse():
            return ["mine"], 409
        case faults.PrivateTenant():
            return ["private"], 400
        case faults.PreconditionFailed():
            return ["changed"], 412
        case faults.PreconditionRequired():
            return ["which one"], 428
        case faults.KeyReused():
            return ["said before"], 422
        case faults.StillRunning(retry_after):
            return ["not yet", retry_after], 409
        case faults.SecretUnreadable(key, retry_after):
            return ["sealed", key, retry_after], 503
        case faults.Overloaded(retry_after):
            return ["later", retry_after], 503
        case faults.Unavailable(retry_after):
            return ["broken down", retry_after], 503
        case faults.Internal(request_id):
            return ["oops", request_id], 500
        case _:
            assert_never(fault)


def _mounts(_: Settings) -> tuple[Mount, ...]:
    return (
        # The very paths of Signals, on a host of its own; and its own below a root.
        Mount(segments=frozenset(("_signals",)), hosts=frozenset((HOST,))),
        Mount(segments=frozenset(("_signals", "box", "toys")), root="/toys/api"),
    )


def make_family() -> Family:
    """Make the family anew, so that a test may spoil it."""
    routes = Routes()
    family = Family(
        name="toy",
        mounts=_mounts,
        # Not Signals' order: the route first, the media type last but one.
        checks=(gate.routed, gate.known_parameters, gate.authenticated, gate.bodiless, gate.json_only, gate.permitted),
        dialect=ToyDialect,
        privileges=ToyPrivilege,
        views=(routes,),
        action_groups={"TOY_ALL": ("cluster:admin:toy:*",)},
        json_types=frozenset(("application/json", "application/toy+json")),
        terms=TERMS,
    )

    @routes.route(
        "/toys",
        methods=("GET",),
        privilege=Open.PUBLIC,
        parameters=frozenset(("colour",)),
        answers={200: Answer("All toys.", record("Toys", {"host": {}, "root": {}}), {"host": "h", "root": "/"})},
    )
    def toys(call: Call) -> Response:
        """List toys."""
        return json_response({"host": host_of(call.request.environ), "root": call.request.script_root})

    @routes.route(
        "/_signals/account/<kind>/<name>",
        methods=("PUT",),
        privilege=ToyPrivilege.PLAY,
        body=Body.JSON,
        takes=Takes({"type": "array"}, {"nothing": []}),
        answers=WORDS,
    )
    def play(call: Call, kind: str, name: str) -> Response:
        """Play with a toy."""
        return json_response([kind, name, call.json])

    @routes.route(
        "/toys/<name>", methods=("GET",), privilege=ToyPrivilege.PLAY, optional=(ToyPrivilege.WIND,), answers=WORDS
    )
    def wound(call: Call, name: str) -> Response:
        """Tell whether a toy can be wound up."""
        return json_response([name, ToyPrivilege.WIND in call.grant.also])

    @routes.route(
        "/box",
        methods=("GET",),
        privilege=Scoped(own=ToyPrivilege.OWN_READ, every=ToyPrivilege.ALL_READ),
        answers=WORDS,
    )
    def box(call: Call) -> Response:
        """Look into a box."""
        scope = call.grant.scope
        return json_response(scope.identifier if isinstance(scope, Own) else "every box")

    @routes.route(
        "/box/<tenant>/lent", methods=("GET",), privilege=InTenant(ToyPrivilege.LEND, "tenant"), answers=WORDS
    )
    def lent(call: Call, tenant: str) -> Response:
        """Tell what was lent."""
        scope = call.grant.scope
        return json_response([tenant, *(sorted(scope.names) if isinstance(scope, Tenants) else ())])

    @routes.route("/toys/<name>/me", methods=("GET",), privilege=Open.ANY_IDENTITY, answers=WORDS)
    def me(call: Call, name: str) -> Response:
        """Tell who is asking."""
        return json_response([name, call.identity.name if call.identity else None])

    return family
