"""Who may do what, and why: the one explanation, for the command line and over HTTP.

By the router and the rules that decide requests, so that it says what the
service would answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

from accounts_service.access.configuration import ConfigProblem
from accounts_service.access.decisions import Rules, normal_tenant
from accounts_service.access.explanations import (
    PrivilegeInQuestion,
    Question,
    RequestInQuestion,
    Routed,
    Told,
    UnexplainedError,
)
from accounts_service.access.log_ins import Caller
from accounts_service.access.privileges import Level, level_of, privileges_of
from accounts_service.access.roles import Identity
from accounts_service.config import Settings
from accounts_service.faults import BadPath, MethodNotAllowed, NoSuchRoute
from accounts_service.storage.paths import masked
from accounts_service.web.family import Family
from accounts_service.web.routing import Destination, Router


class Explainer:
    """Explains what the routes of `families` ask for."""

    def __init__(self, families: Sequence[Family] = (), settings: Settings | None = None) -> None:
        self._families = families
        self._settings = settings or Settings()

    # Made when something is explained: it costs as much as the apps that serve.
    @cached_property
    def _router(self) -> Router:
        return Router(self._families, self._settings)

    @cached_property
    def _actions(self) -> frozenset[str]:
        return frozenset(
            privilege.action
            for family in self._families
            for route in family.routes
            for privilege in (*privileges_of(route.requirement), *route.optional)
        )

    def explain(
        self, rules: Rules, principal: str | None, caller: Caller, question: Question, notes: Iterable[str] = ()
    ) -> Told:
        """Say whether `caller` may do what is asked, and why. `notes` come before those that are made here.

        Raises UnexplainedError when nobody could.
        """
        noted = [*notes, *caller.notes, *_undefined(rules, caller.identity)]
        match question:
            case RequestInQuestion(method, path):
                place = self._destination(question)
                asked = f"{masked(method)} {masked(path.partition('?')[0])}"
                return _of_request(rules, principal, caller, asked, place, tuple(noted))
            case PrivilegeInQuestion(sent, tenant):
                action = masked(sent)
                if rules.is_group(action):
                    raise UnexplainedError("privilege", "{action} is an action group; ask for an action")
                if tenant is not None and level_of(action) is not Level.TENANT:
                    noted.append("this is no tenant action: it is decided without a tenant")
                if action not in self._actions:
                    noted.append(f"no route of this service asks for {action}")
                held = rules.held_roles(caller.identity)
                decision = rules.explain(caller.identity, action, tenant)
                return Told(principal, action, tuple(noted), held, caller.obstacle, decision)

    def _destination(self, question: RequestInQuestion) -> Destination:
        headers = {} if question.tenant is None else {"sgtenant": question.tenant}
        found = self._router.find(question.method, question.path, question.host, headers)
        match found:
            case Destination():
                return found
            case BadPath(reason):
                raise UnexplainedError("path", f"the path is refused, whoever asks: {reason}")
            case MethodNotAllowed(_, _, allowed):
                words = "{path} is not answered to {method}, only to " + ", ".join(allowed)
                raise UnexplainedError("method", words)
            case NoSuchRoute():
                raise UnexplainedError("path", "no route leads to {path}; 'accounts-service routes' lists all")


def notes_on(problems: Sequence[ConfigProblem], *, all_of_them: bool) -> Iterator[str]:
    """Say that the last good configuration is explained, if it is, and what keeps the other from being used."""
    if problems:
        yield "the configuration directory has problems and is not used; this is the last good state"
        if all_of_them:
            yield from map(str, problems)


def _undefined(rules: Rules, identity: Identity) -> Iterator[str]:
    for role in sorted(rules.effective_roles(identity)):
        if not rules.is_defined(role):
            yield f"the role {role!r} is not defined and grants nothing"


def _of_request(  # noqa: PLR0913, PLR0917  # what is known of it, made in one place
    rules: Rules, principal: str | None, caller: Caller, asked: str, to: Destination, notes: tuple[str, ...]
) -> Told:
    identity, route = to.family.known_as(caller.identity), to.route
    found = rules.explain_request(identity, route.requirement, to.arguments, route.optional, to.tenant)
    routed = Routed(to.family.name, route.endpoint, normal_tenant(to.tenant or ""), found)
    return Told(principal, asked, notes, rules.held_roles(identity), caller.obstacle, routed)
