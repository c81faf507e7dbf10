"""The gate: what every request passes before its view, check by check.

A check is a function of the Call that returns or raises RefusedError. Their
order belongs to the family and stands in its views.py with the reason beside it.
"""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from ipaddress import ip_address
from typing import NoReturn, TypeVar, cast

from flask import Request, g
from werkzeug.exceptions import MethodNotAllowed as MethodNotAllowedException

# Not functools's: in Python 3.11 it has one lock for all instances, so one slow body would stop all others.
from werkzeug.utils import cached_property

from accounts_service.access.authenticators import Facts, Peer
from accounts_service.access.decisions import normal_tenant
from accounts_service.access.privileges import Grant, Open, Privilege, Requirement
from accounts_service.access.roles import GLOBAL_TENANT, REALM, Identity
from accounts_service.access.snapshot import Snapshot
from accounts_service.faults import (
    BadOrigin,
    BadParameter,
    BadPath,
    Fault,
    InvalidBody,
    Json,
    MethodNotAllowed,
    NoSuchRoute,
    NotAuthenticated,
    NotPermitted,
    Overloaded,
    Problem,
    RefusedError,
    TooManyAttempts,
    UnexpectedBody,
    UnknownParameters,
    UnsupportedCoding,
    UnsupportedMediaType,
)
from accounts_service.storage.audit import Author
from accounts_service.storage.database import ReadInterruptedError, Store
from accounts_service.storage.paths import without_tokens
from accounts_service.storage.reveals import Reveal
from accounts_service.validation.ignored import Ignored
from accounts_service.web import body, ignored
from accounts_service.web.dispatcher import CONTROL, NOWHERE, PATH_FAULT, host_of
from accounts_service.web.etags import Conditions
from accounts_service.web.family import ANNOUNCED, SAFE, Body, Dialect, Family, Route, refuses
from accounts_service.web.retries import Retry
from accounts_service.web.services import Services

S = TypeVar("S", bound=Store)
T = TypeVar("T")

_CONTROL = re.compile(f"[{CONTROL}]")

_UCRED = struct.Struct("3i")

# Set by server.py, which drops what a client sends under this name. Without
# our server a client can only shut himself out with it.
REPEATED = "X-Accounts-Repeated"


class Call:
    """One request on its way: what it brings, and what the checks have found out."""

    def __init__(  # noqa: PLR0913, PLR0917  # made in one place, application.py
        self,
        family: Family,
        dialect: Dialect,
        services: Services,
        request: Request,
        request_id: str,
        route: Route | None,
    ) -> None:
        self.family = family
        self.dialect = dialect
        self.services = services
        self.request = request
        self.request_id = request_id
        self.route = route
        self.identity: Identity | None = None
        # For the record: why nobody was recognised, and what he was refused who was.
        self.unrecognised: Fault | None = None
        self.refused: Requirement | None = None
        self._grant: Grant | None = None
        # Only of a request with an Idempotency-Key.
        self.retry: Retry | None = None
        # What the answer shows of others' secrets: who is given it again is shown them again.
        self.revealed: list[Reveal] = []

    @cached_property
    def snapshot(self) -> Snapshot:
        """The configuration; one and the same for the whole request."""
        return self.services.access.current()

    @cached_property
    def conditions(self) -> Conditions:
        """If-Match and If-None-Match."""
        return Conditions.of(self.request)

    @property
    def caller(self) -> Identity:
        """Who is asking; there only where somebody must be."""
        if self.identity is None:
            raise RuntimeError("nobody was asked who he is")
        return self.identity

    @property
    def principal(self) -> Hashable:
        """In whose name the request waits where callers take turns: the caller's, or its network's before log-in."""
        return network_of(self) if self.identity is None else (self.identity.realm, self.identity.name)

    @property
    def grant(self) -> Grant:
        """What the request may do; there only after `permitted`."""
        if self._grant is None:
            raise RuntimeError("the gate has not decided yet")
        return self._grant

    @grant.setter
    def grant(self, grant: Grant) -> None:
        self._grant = grant

    @property
    def arguments(self) -> Mapping[str, str]:
        """The arguments of the path."""
        return self.request.view_args or {}

    @cached_property
    def tenant(self) -> str | None:
        """The tenant that is asked for other than by the route; None is the global one, however it is called."""
        tenant = self.family.tenant_of(self.request)
        return None if tenant is None or normal_tenant(tenant) == GLOBAL_TENANT else tenant

    def granted(
        self, requirement: Requirement, arguments: Mapping[str, str], optional: tuple[Privilege, ...] = ()
    ) -> Grant:
        """Decide what `requirement` asks for, of this caller, now. Raises RefusedError(NotPermitted)."""
        grant = self.snapshot.rules.grant(self.identity, requirement, arguments, optional, self.tenant)
        if grant is None:
            self.refuse(requirement)
        return grant

    def refuse(self, requirement: Requirement) -> NoReturn:
        """Refuse what takes `requirement`, and have that recorded. Raises RefusedError(NotPermitted)."""
        self.refused = requirement
        raise RefusedError(NotPermitted())

    @cached_property
    def repeated(self) -> frozenset[str]:
        """The names, in lower case, of headers that came more than once."""
        return repeated_in(self.request)

    @property
    def uri(self) -> str:
        """Path and query, to be told; without tokens, which some put there."""
        return without_tokens(self.sent_uri)

    @property
    def sent_uri(self) -> str:
        """Path and query as they were sent."""
        return str(self.request.environ.get("RAW_URI") or self.request.full_path.rstrip("?"))

    @cached_property
    def sent(self) -> bytes:
        """The body as its sender meant it, without its content coding. Raises as `body.read` does."""
        return body.read(self.request, self.family.reading)

    @cached_property
    def json(self) -> Json:
        """The body; None for one that may be left out and was.

        Raises RefusedError with EmptyBody, MalformedBody, UnsupportedCoding or BodyTooLarge.
        """
        takes = _route(self).body
        if takes is Body.OPTIONAL_JSON and not body.has_body(self.request):
            return None
        if takes is Body.LOOSE_JSON:
            return body.read_loosely(self.request, self.family.json_types, self.family.reading)
        return body.parse(self.sent)

    @cached_property
    def form(self) -> dict[str, str]:
        """The fields of a form; the last of those of one name. Raises RefusedError(MalformedBody or BodyTooLarge)."""
        return body.read_form(self.request)

    @cached_property
    def ignored(self) -> tuple[Ignored, ...]:
        """The attributes of the body that the route ignores. Raises as `json` and `form` do."""
        route = _route(self)
        if route.takes is None or route.takes.ignores is None:
            return ()
        sent: Json = {**self.form} if route.body is Body.FORM else self.json
        return tuple(route.takes.ignores(sent, self.arguments))

    @cached_property
    def refused_attributes(self) -> tuple[Problem, ...]:
        """A problem for each attribute that would be ignored, where the installation refuses these."""
        return ignored.problems_of(self.ignored) if self.family.refuses_unknown(self.services.settings) else ()

    def refuse_unknown(self) -> None:
        """Raise RefusedError(InvalidBody) where the body has attributes that are refused since nothing knows them."""
        if self.refused_attributes:
            raise RefusedError(InvalidBody(self.refused_attributes))

    @contextmanager
    def reading(self, store: type[S]) -> Iterator[S]:
        """Open a store for one read, in turn with other callers; see Database.reading."""
        database = self.services.database
        with database.readers.turn(self._reader), database.reading(store) as opened:
            yield opened

    @property
    def _reader(self) -> Hashable:
        try:
            return self.principal
        except RefusedError:
            # A token is looked up whatever a proxy says of where it came from.
            return None

    def asked(self, store: type[S], question: Callable[[S], T]) -> T:
        """Read once, and once more when the connection was lost; for checks, whose reading no view does again."""
        try:
            with self.reading(store) as opened:
                return question(opened)
        except ReadInterruptedError:
            with self.reading(store) as opened:
                return question(opened)

    def allows(self, privilege: Privilege) -> bool:
        """Tell whether the caller holds a privilege, where a route that asks for none shows more to who does."""
        return self.snapshot.rules.allows(self.caller, privilege)

    @contextmanager
    def transaction(self, store: type[S]) -> Iterator[S]:
        """Open a store for one transaction, recorded as the caller's; see Database.transaction.

        A view opens one: when it is refused for a race, the whole view runs again.
        It is undone for attributes of the body that are refused, and only then: so
        all that is wrong with what is stored is found before.
        """
        with self._begun(store) as opened:
            yield opened
            self.refuse_unknown()

    def _begun(self, store: type[S]) -> AbstractContextManager[S]:
        author = Author(self.caller.realm, self.caller.name, self.request_id, ignored.recorded(self.ignored))
        if self.retry is not None:
            return self.retry.transaction(store, author)
        return self.services.database.transaction(store, author)


def current_call() -> Call:
    """Give the Call of the request that this thread works on."""
    return cast(Call, g.call)


# -- Checks -------------------------------------------------------------------


@refuses(
    NotAuthenticated, BadOrigin, Overloaded, TooManyAttempts, on=lambda route: route.requirement is not Open.PUBLIC
)
def authenticated(call: Call) -> None:
    """Check that somebody is asking, unless the route is open to everyone."""
    if call.route is None or call.route.requirement is not Open.PUBLIC:
        try:
            call.identity = call.dialect.identify(call)
        except RefusedError as error:
            call.unrecognised = error.fault
            raise


def recognised(call: Call) -> bool:
    """Find out who is asking on an open route that tells some callers more; return whether that is known.

    It is not known of a request without credentials. Raises as `authenticated` where they are wrong.
    """
    if not call.snapshot.reads_who(facts_of(call.request)):
        return False
    try:
        call.identity = call.dialect.identify(call)
    except RefusedError as error:
        call.unrecognised = error.fault
        raise
    return True


# Of what it raises, only this can meet a route: the rest is about paths and methods that lead nowhere.
@refuses(BadPath, on=lambda route: bool(route.arguments))
def routed(call: Call) -> None:
    """Check that the path is well formed and leads somewhere, with this method."""
    fault = astray(call.request, call.route, call.uri)
    if fault is not None:
        raise RefusedError(fault)


def astray(request: Request, route: Route | None, uri: str) -> BadPath | MethodNotAllowed | NoSuchRoute | None:
    """Say why a request leads nowhere, or None; `uri` is what it names in a fault."""
    reason = request.environ.get(PATH_FAULT)
    if reason is not None:
        return BadPath(reason)
    if NOWHERE in request.environ:
        return NoSuchRoute(request.method, uri)
    exception = request.routing_exception
    if isinstance(exception, MethodNotAllowedException):
        return MethodNotAllowed(request.method, uri, tuple(sorted(exception.valid_methods or ())))
    if exception is not None or route is None:
        return NoSuchRoute(request.method, uri)
    return None


@refuses(UnknownParameters, BadParameter)
def known_parameters(call: Call) -> None:
    """Check that the query has only parameters that the route takes, and of text that can be stored and told."""
    route = _route(call)
    for name, value in call.request.args.items(multi=True):
        if _CONTROL.search(name + value):
            named = without_tokens(_CONTROL.sub("?", name))
            raise RefusedError(BadParameter(named, "holds a control character"))
    known = route.parameters | call.family.parameters
    unknown = tuple(sorted(name for name in call.request.args if name not in known))
    if unknown:
        # Who puts a token into an address may forget its name as well.
        raise RefusedError(UnknownParameters(without_tokens(call.request.path), tuple(map(without_tokens, unknown))))


@refuses(UnexpectedBody, on=lambda route: route.body is Body.NONE)
def bodiless(call: Call) -> None:
    """Check that there is no body where none is read."""
    if _route(call).body is Body.NONE and body.has_body(call.request):
        raise RefusedError(UnexpectedBody(call.request.method, call.request.path))


@refuses(UnsupportedMediaType, UnsupportedCoding, on=lambda route: route.body in ANNOUNCED)
def json_only(call: Call) -> None:
    """Check that the body is announced as JSON, in a coding that can be decoded, where the route wants JSON."""
    takes = _route(call).body
    if takes in ANNOUNCED and (takes is not Body.OPTIONAL_JSON or body.has_body(call.request)):
        body.require_json(call.request, call.family.types_of(takes))
        body.require_coding(call.request, call.family.reading)


@refuses(NotPermitted, on=lambda route: not set(route.methods) <= set(SAFE))
def of_one_site(call: Call) -> None:
    """Check that no page of another site has sent a change, with what the browser knows of its user.

    Passwords, certificates and a proxy's word go along with whatever a page
    sends. Where a body has to be announced as JSON, browsers ask beforehand;
    where none has to, they do not (https://fetch.spec.whatwg.org/#http-cors-protocol).
    Clients that are no browsers send neither header.
    """
    if call.request.method in SAFE or (call.identity is not None and call.identity.realm != REALM):
        return
    site = call.request.headers.get("Sec-Fetch-Site", "none")
    origin = call.request.headers.get("Origin")
    # Without ports: a proxy may leave them out.
    elsewhere = origin is not None and _host_of_origin(origin) != host_of(call.request.environ)
    if elsewhere or site not in ("same-origin", "none"):
        raise RefusedError(NotPermitted())


def _host_of_origin(origin: str) -> str:
    return host_of({"HTTP_HOST": origin.partition("://")[2]})


@refuses(NotPermitted, on=lambda route: not isinstance(route.requirement, Open))
def permitted(call: Call) -> None:
    """Check that the caller holds the privilege of the route; the grant says what for."""
    route = _route(call)
    call.grant = call.granted(route.requirement, call.arguments, route.optional)


def _route(call: Call) -> Route:
    if call.route is None:
        raise RuntimeError("routed comes before what asks for the route")
    return call.route


# -- Facts --------------------------------------------------------------------


def facts_of(request: Request) -> Facts:
    """Gather what authenticators may know of a request."""
    headers, undecodable = {}, set()
    for name, value in request.headers.items():
        text = header_text(value)
        headers[name.lower()] = value if text is None else text
        if text is None:
            undecodable.add(name.lower())
    return Facts(_peer(request), headers, repeated_in(request), frozenset(undecodable))


def header_text(value: str) -> str | None:
    """Read the value of a header as UTF-8; None when it is not.

    WSGI hands bytes on as Latin-1 (PEP 3333), which is how HTTP once had it
    (RFC 9110 section 5.5); proxies and clients write UTF-8.
    """
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return None


def repeated_in(request: Request) -> frozenset[str]:
    """Name the headers that came more than once, in lower case; see server.py."""
    return frozenset(request.headers.get(REPEATED, "").lower().split(","))


def network_of(call: Call) -> str | None:
    """Return the network from which a request comes, as attempts are counted by it; None over a socket.

    Raises RefusedError(BadOrigin).
    """
    return call.snapshot.network_of(facts_of(call.request))


def came_over_tls(call: Call) -> bool:
    """Return whether the client spoke TLS, with us or with a trusted proxy, which says so in X-Forwarded-Proto."""
    request = call.request
    forwarded = request.headers.get("X-Forwarded-Proto", "").lower() == "https"
    return request.is_secure or (forwarded and call.snapshot.trusts(facts_of(request)))


def user_of(connection: socket.socket) -> int:
    """Return the uid of who holds the other end of a unix socket, told by the kernel."""
    # struct ucred of unix(7): pid, uid, gid.
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    return int(_UCRED.unpack(raw)[1])


def _peer(request: Request) -> Peer:
    connection = request.environ.get("gunicorn.socket")
    if isinstance(connection, socket.socket) and connection.family == socket.AF_UNIX:
        return Peer(uid=user_of(connection))
    try:
        return Peer(address=ip_address(request.environ.get("REMOTE_ADDR", "")))
    except ValueError:
        return Peer()
