"""A family: its routes, each with its privilege; its checks, in its own order; its dialect.

What a family lacks stops the start: a route without a privilege, a check that
a route relies on, two routes of one shape.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeAlias

from flask import Request, Response
from werkzeug.routing import BaseConverter

from accounts_service.access.action_groups import ActionGroups
from accounts_service.access.privileges import Open, Privilege, Requirement, privileges_of
from accounts_service.access.roles import Identity, Role
from accounts_service.config import Settings
from accounts_service.faults import Fault
from accounts_service.storage.envelopes import Sealed
from accounts_service.storage.stored import Stored
from accounts_service.storage.twins import Twins
from accounts_service.validation.json_schema import JsonSchema
from accounts_service.web.body import Reading
from accounts_service.web.description import SCHEMES, Answer, Takes, Term
from accounts_service.web.services import NativeTokens

if TYPE_CHECKING:
    from accounts_service.web.gate import Call

Check: TypeAlias = "Callable[[Call], None]"
View: TypeAlias = Callable[..., Response]


class GapError(Exception):
    """A family is not whole; the service does not start."""


# The methods that change nothing (RFC 9110 section 9.2.1), of those that routes have.
SAFE = ("GET", "HEAD")

_REFUSED: dict[Check, tuple[tuple[type[Fault], ...], Callable[[Route], bool]]] = {}


def refuses(*kinds: type[Fault], on: Callable[[Route], bool] = lambda _: True) -> Callable[[Check], Check]:
    """State the faults that a check raises, and on which routes it does; documents of the API are made from it."""

    def register(check: Check) -> Check:
        _REFUSED[check] = (kinds, on)
        return check

    return register


def says_what_it_refuses(check: Check) -> bool:
    """Tell whether a check states its faults."""
    return check in _REFUSED


class Body(Enum):
    """What a route does with a body."""

    NONE = "no body is read, and one that is sent is refused"
    JSON = "JSON, announced as such"
    OPTIONAL_JSON = "JSON, announced as such, or no body at all"
    MERGE_PATCH = "a JSON merge patch (RFC 7396), announced as such or as JSON"
    LOOSE_JSON = "JSON, announced as such or as a form; none at all and `null` are the same, however they are announced"
    ANY_JSON = "JSON, however it is announced"
    FORM = "the fields of a form"


# Bodies whose media type is looked at before anything else is.
ANNOUNCED = frozenset((Body.JSON, Body.OPTIONAL_JSON, Body.MERGE_PATCH))
MERGE_PATCH = "application/merge-patch+json"


class Dialect(Protocol):
    """How a family finds out who is asking, and how it tells each fault.

    `errors` says in JSON Schema what those faults look like that are told in JSON.
    """

    errors: ClassVar[JsonSchema]

    def identify(self, call: Call) -> Identity:
        """Find out who sent the request. Raises RefusedError(NotAuthenticated) and the like."""
        ...

    def tell(self, fault: Fault, request: Request) -> Response:
        """Word a fault: status, headers, body."""
        ...


@dataclass(frozen=True, slots=True)
class Mount:
    """Where a family answers: on these hosts (none: on every host), below `root`, for these first segments.

    `segments` is None where all that is below `root` is the family's, unknown
    paths included; with `whole` unknown paths are its own, too, and lead nowhere.
    Only `root` becomes SCRIPT_NAME.
    """

    segments: frozenset[str] | None
    root: str = ""
    hosts: frozenset[str] = frozenset()
    whole: bool = False

    def takes(self, segment: str) -> bool:
        """Tell whether paths whose first segment below `root` is this one are the family's."""
        return self.segments is None or segment in self.segments


@dataclass(frozen=True, slots=True)
class Route:
    """One route: its shape, methods and view, and what it asks for."""

    rule: str
    methods: tuple[str, ...]
    endpoint: str
    view: View
    requirement: Requirement
    optional: tuple[Privilege, ...]
    body: Body
    parameters: frozenset[str]
    takes: Takes | None
    answers: Mapping[int, Answer]
    raises: tuple[type[Fault] | Fault, ...]
    headers: tuple[str, ...]
    creates: bool

    @property
    def shape(self) -> str:
        """The rule without the names of its arguments."""
        return re.sub(r"<[^>]*>", "<>", self.rule)

    def takes_keys(self, method: str) -> bool:
        """Tell whether an Idempotency-Key says something; see web/retries.py. Somebody has to be asking."""
        return method not in SAFE and self.requirement is not Open.PUBLIC

    def must_say_what_it_changes(self, method: str) -> bool:
        """Tell whether it is a change of what is there; see web/etags.py."""
        return method not in SAFE and "If-Match" in self.headers and not self.creates

    @property
    def arguments(self) -> tuple[str, ...]:
        """The names of the arguments of the path, in its order."""
        return tuple(re.findall(r"<(?:[^<>:]*:)?([^<>]+)>", self.rule))


_NONE: Mapping[int, Answer] = {}


class Routes:
    """Routes in the making: those of one module of views."""

    def __init__(self) -> None:
        self.routes: list[Route] = []

    def route(  # noqa: PLR0913  # all by name, and each says something about the route
        self,
        rule: str,
        *,
        methods: tuple[str, ...],
        privilege: Requirement,
        optional: tuple[Privilege, ...] = (),
        body: Body = Body.NONE,
        parameters: frozenset[str] = frozenset(),
        takes: Takes | None = None,
        answers: Mapping[int, Answer] = _NONE,
        raises: tuple[type[Fault] | Fault, ...] = (),
        headers: tuple[str, ...] = (),
        creates: bool = False,
    ) -> Callable[[View], View]:
        """Register a view, which takes the Call and the arguments of the path.

        `optional` names privileges that widen what the view shows; the view finds
        those the caller holds in its grant. `creates` says that it makes what is not
        there, of which no version can be asked for; where something may be there it
        asks itself (`web/etags.py`).

        The four before that only describe the route, for web/openapi.py: the body it
        takes, its answers when all is well, the faults that come from the view or
        below it (those of the checks and of reading a body are known), and the
        request's headers that the view looks at.
        """

        def register(view: View) -> View:
            described = (takes, answers, raises, headers)
            route = Route(
                rule, methods, view.__name__, view, privilege, optional, body, parameters, *described, creates
            )
            self.routes.append(route)
            return view

        return register


def _no_tenant(_: Request) -> str | None:
    return None


def _never(_: Settings) -> bool:
    return False


def _as_he_came(identity: Identity) -> Identity:
    return identity


@dataclass(eq=False)
class Family:
    """An account family. `checks` run in this order before every view."""

    name: str
    mounts: Callable[[Settings], Sequence[Mount]]
    checks: tuple[Check, ...]
    dialect: Callable[[Settings], Dialect]
    privileges: type[Privilege]
    views: Sequence[Routes]
    action_groups: ActionGroups = field(default_factory=dict)
    roles: dict[str, Role] = field(default_factory=dict)
    json_types: frozenset[str] = frozenset(("application/json",))
    # Parameters that every route takes.
    parameters: frozenset[str] = frozenset()
    # What rules may hold between `<` and `:`, besides werkzeug's own.
    converters: Mapping[str, type[BaseConverter]] = field(default_factory=dict)
    # The tenant that a request asks for other than by its route; None is the global one.
    tenant_of: Callable[[Request], str | None] = _no_tenant
    # Whom the family takes for who came by a domain of sg_authc.yml: he may have an account of his own there.
    known_as: Callable[[Identity], Identity] = _as_he_came
    # Where the family's secrets are sealed, for those who count them and who wrap them anew.
    sealed: Sequence[Sealed] = ()
    # What the family stores in versions, for those who hold it against the audit trail.
    stored: tuple[Stored, ...] = ()
    # Where accounts stay apart that are one by another spelling, for `doctor`.
    twins: tuple[Twins, ...] = ()
    # What the names in paths and queries mean, for documents of the API.
    terms: Mapping[str, Term] = field(default_factory=dict)
    # The accounts of the family that come with tokens of its own.
    tokens: type[NativeTokens] | None = None
    # How its original reads bodies.
    reading: Reading = Reading()
    # Headers of every answer, faults included, by which clients know the original.
    answer_headers: Mapping[str, str] = field(default_factory=dict)
    # Pages of any origin may ask and read the answers, with a token and without what the browser knows of its user.
    cross_origin: bool = False
    # Whether attributes of a body that the family ignores are refused instead, as the installation has it.
    refuses_unknown: Callable[[Settings], bool] = _never
    # The ways to say who one is (OpenAPI's security schemes).
    schemes: Mapping[str, JsonSchema] = field(default_factory=lambda: SCHEMES)

    def types_of(self, body: Body) -> frozenset[str]:
        """Name the media types by which a body of JSON may be announced."""
        return self.json_types | {MERGE_PATCH} if body is Body.MERGE_PATCH else self.json_types

    @property
    def routes(self) -> list[Route]:
        """All routes, in the order in which they were registered."""
        return [route for part in self.views for route in part.routes]

    def paths(self, route: Route, settings: Settings) -> list[str]:
        """Write the paths at which `route` answers, one for each mount that has its first segment."""
        return [path for _, path in self.places(route, settings)]

    def places(self, route: Route, settings: Settings) -> list[tuple[Mount, str]]:
        """Write these paths, each with its mount."""
        first = route.rule.split("/")[1]
        return [(mount, mount.root + route.rule) for mount in self.mounts(settings) if mount.takes(first)]

    def refusals(self, route: Route) -> Iterator[type[Fault]]:
        """Name the faults that the checks may raise on `route`."""
        for check in self.checks:
            kinds, on = _REFUSED.get(check, ((), lambda _: True))
            if on(route):
                yield from kinds

    def verify(self) -> None:
        """Raise GapError unless every route is whole and guarded."""
        shapes: set[tuple[str, str]] = set()
        endpoints: set[str] = set()
        for route in self.routes:
            for privilege in (*privileges_of(route.requirement), *route.optional):
                if not isinstance(privilege, self.privileges):
                    raise GapError(f"{self.name}: {route.rule} asks for {privilege!r}, no privilege of the family")
            for method in route.methods:
                if (route.shape, method) in shapes:
                    raise GapError(f"{self.name}: {method} {route.shape} is there twice")
                shapes.add((route.shape, method))
            if route.endpoint in endpoints:
                raise GapError(f"{self.name}: two views are called {route.endpoint}")
            endpoints.add(route.endpoint)
        self._verify_checks()

    def _verify_checks(self) -> None:
        names = [check.__name__ for check in self.checks]
        needed = {"authenticated", "routed", "permitted"}
        if any(route.body in ANNOUNCED for route in self.routes):
            needed.add("json_only")
        if missing := needed - set(names):
            raise GapError(f"{self.name}: the check {min(missing)} is missing")
        if len(set(names)) != len(names) or names[-1] != "permitted":
            raise GapError(f"{self.name}: each check once, and permitted last")
