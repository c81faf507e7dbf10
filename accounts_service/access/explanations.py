"""Why they may or may not: what the engine looked at, as values, and the words for it.

The values are made by Rules.explain and Rules.explain_request (decisions.py),
which walk the roles one by one where a decision looks them up at once. They
name roles, groups, patterns and tenants; nothing in them is a secret.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import TypeAlias

from accounts_service.access.privileges import Grant, Open, Requirement, describe
from accounts_service.access.roles import REALM, Identity, ResolutionMode, RoleMapping, RoleMappings
from accounts_service.access.variables import shown
from accounts_service.faults import Json


class Reason(Enum):
    """What a decision came from."""

    PERMISSION = "a role allows it"
    EXCLUSION = "a role excludes it, and an exclusion wins over everything"
    RESERVED = "reserved for administrators with a TLS certificate, whom this service does not know"
    UNKNOWN_TENANT = "there is no such tenant"
    NO_OWN_OBJECT = "a role allows it for one's own object, and the caller has none"
    MISSING = "no role allows it"


@dataclass(frozen=True, slots=True)
class Entry:
    """The line of a role that decided.

    `chain`: what stands in the role, the groups passed through, the pattern that
    matched. `tenant_pattern`: the pattern that the tenant matched.
    """

    role: str
    chain: tuple[str, ...]
    tenant_pattern: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """One privilege, decided. `tenant` is where, for a tenant action.

    `groups` and `roles` would give what is MISSING, the closest fit first; they
    are a few of those that there are.
    """

    action: str
    tenant: str | None
    reason: Reason
    entry: Entry | None = None
    groups: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()

    @property
    def allowed(self) -> bool:
        """Tell whether it is held."""
        return self.reason is Reason.PERMISSION


class Source(Enum):
    """By what somebody has a role."""

    OWN_ENTRY = "given directly"
    BACKEND_ROLE = "is a backend role, which role_mapping.resolution_mode takes for a role"
    USERS = "sg_roles_mapping.yml, users"
    BACKEND_ROLES = "sg_roles_mapping.yml, backend_roles"
    AND_BACKEND_ROLES = "sg_roles_mapping.yml, and_backend_roles"
    HOSTS = "sg_roles_mapping.yml, hosts"
    IPS = "sg_roles_mapping.yml, ips"


@dataclass(frozen=True, slots=True)
class Held:
    """A role that somebody has, and why. `value` of the caller matched `pattern` of the mapping."""

    role: str
    source: Source
    value: str | None = None
    pattern: str | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a request is granted or not.

    `grant` is what the service decides. `decisions` are those that the
    requirement speaks of, in its order; `optional` those that would widen the
    answer, for a request that is granted.
    """

    requirement: Requirement
    grant: Grant | None
    decisions: tuple[Decision, ...]
    optional: tuple[Decision, ...]

    @property
    def allowed(self) -> bool:
        """Tell whether the request is granted."""
        return self.grant is not None


# -- What is asked, and what is told ------------------------------------------


@dataclass(frozen=True, slots=True)
class RequestInQuestion:
    """A request that nobody has sent: `path` with its query, and what its Host and sgtenant would say."""

    method: str
    path: str
    host: str
    tenant: str | None = None


@dataclass(frozen=True, slots=True)
class PrivilegeInQuestion:
    """A privilege by its name, and for a tenant action where."""

    action: str
    tenant: str | None = None


Question: TypeAlias = RequestInQuestion | PrivilegeInQuestion


class UnexplainedError(Exception):
    """What was asked cannot be explained; neither a yes nor a no. `parameter` is at fault.

    `words` say why, with `{path}`, `{method}` or `{action}` where they speak of
    what was asked: not everyone who tells them may repeat that.
    """

    def __init__(self, parameter: str, words: str) -> None:
        self.parameter = parameter
        self.words = words
        super().__init__(words)


@dataclass(frozen=True, slots=True)
class Routed:
    """Where a request would lead, and what is decided there."""

    family: str
    route: str
    tenant: str
    explanation: Explanation

    @property
    def allowed(self) -> bool:
        """Tell whether the request is granted."""
        return self.explanation.allowed


@dataclass(frozen=True, slots=True)
class Told:
    """The answer to a question, whoever asked it and wherever.

    `principal` is None for roles that nobody need have. `obstacle`: why no log-in
    of his can succeed; `found` is then what would hold if one did.
    """

    principal: str | None
    asked: str
    notes: tuple[str, ...]
    held: tuple[Held, ...]
    obstacle: str | None
    found: Routed | Decision

    @property
    def is_open(self) -> bool:
        """Tell whether it is open to everybody, without a log-in."""
        return isinstance(self.found, Routed) and self.found.explanation.requirement is Open.PUBLIC

    @property
    def allowed(self) -> bool:
        """Tell whether he may, as things are."""
        return self.found.allowed and (self.obstacle is None or self.is_open)


# -- What not everybody is told ------------------------------------------------


def of_oneself(told: Told, *, is_anybody: bool) -> Told:
    """Give what somebody may know of himself who may not ask about others.

    Not whether there is a tenant where he may nothing. Whoever comes without a
    name, `is_anybody`, has no administrator to ask for more.
    """

    def fit(decisions: tuple[Decision, ...]) -> tuple[Decision, ...]:
        return tuple(_fit(decision, is_anybody=is_anybody) for decision in decisions)

    if isinstance(told.found, Decision):
        return replace(told, found=_fit(told.found, is_anybody=is_anybody))
    explanation = told.found.explanation
    explanation = replace(explanation, decisions=fit(explanation.decisions), optional=fit(explanation.optional))
    return replace(told, found=replace(told.found, explanation=explanation))


def _fit(decision: Decision, *, is_anybody: bool) -> Decision:
    if decision.tenant is not None and not decision.allowed:
        return Decision(decision.action, decision.tenant, Reason.MISSING)
    return replace(decision, groups=(), roles=()) if is_anybody else decision


# -- Roles --------------------------------------------------------------------


def held_roles(mappings: RoleMappings, identity: Identity) -> tuple[Held, ...]:
    """Say why `identity` has each of its roles, with every reason there is, sorted by role."""
    held = [Held(role, Source.OWN_ENTRY) for role in identity.roles]
    if identity.realm == REALM:
        if mappings.mode is not ResolutionMode.MAPPING_ONLY:
            held += [Held(role, Source.BACKEND_ROLE) for role in identity.backend_roles]
        if mappings.mode is not ResolutionMode.BACKENDROLES_ONLY:
            held += [found for role, mapping in mappings.by_role.items() for found in _mapped(role, mapping, identity)]
    order = list(Source)
    return tuple(sorted(held, key=lambda found: (found.role, order.index(found.source), found.value or "")))


def _mapped(role: str, mapping: RoleMapping, identity: Identity) -> Iterator[Held]:
    if (pattern := mapping.users.match(identity.name)) is not None:
        yield Held(role, Source.USERS, identity.name, pattern)
    for backend_role in identity.backend_roles:
        if (pattern := mapping.backend_roles.match(backend_role)) is not None:
            yield Held(role, Source.BACKEND_ROLES, backend_role, pattern)
    if identity.address is not None:
        address = str(identity.address)
        if (pattern := mapping.hosts.match(address)) is not None:
            yield Held(role, Source.HOSTS, address, pattern)
        for network in mapping.ips:
            if identity.address in network:
                yield Held(role, Source.IPS, address, str(network))
    if mapping.and_backend_roles and all(
        pattern.matches_any(identity.backend_roles) for pattern in mapping.and_backend_roles
    ):
        yield Held(role, Source.AND_BACKEND_ROLES)


# -- Words --------------------------------------------------------------------


def reason_for_role(held: Held) -> str:
    """Say on one line why somebody has a role."""
    matched = f": {held.value!r} matches {shown(held.pattern or '')!r}" if held.value is not None else ""
    return f"{held.source.value}{matched}"


def reason_of(decision: Decision) -> list[str]:
    """Say on a few lines what a decision came from, and what to do about a privilege that is missing."""
    lines = [decision.reason.value]
    if decision.entry is not None:
        lines.append(f"by role {decision.entry.role}: {' > '.join(map(shown, decision.entry.chain))}")
    if decision.entry is not None and decision.entry.tenant_pattern is not None:
        lines.append(f"in the tenants {shown(decision.entry.tenant_pattern)!r}")
    if decision.groups:
        lines.append(f"action groups that give it: {', '.join(decision.groups)}")
    if decision.roles:
        lines.append(f"roles that give it: {', '.join(decision.roles)}")
    return lines


def decision_document(decision: Decision) -> dict[str, Json]:
    """Write a decision as JSON."""
    entry = decision.entry
    return {
        "action": decision.action,
        "tenant": decision.tenant,
        "allowed": decision.allowed,
        "reason": decision.reason.name,
        "entry": None
        if entry is None
        else {
            "role": entry.role,
            "chain": [*map(shown, entry.chain)],
            "tenant_pattern": None if entry.tenant_pattern is None else shown(entry.tenant_pattern),
        },
        "groups": [*decision.groups],
        "roles": [*decision.roles],
    }


def held_document(held: Held) -> dict[str, Json]:
    """Write as JSON why somebody has a role."""
    pattern = None if held.pattern is None else shown(held.pattern)
    value = None if held.value is None else shown(held.value)
    return {"role": held.role, "source": held.source.name, "value": value, "pattern": pattern}


def document(explanation: Explanation) -> dict[str, Json]:
    """Write an explanation as JSON."""
    return {
        "allowed": explanation.allowed,
        "requirement": describe(explanation.requirement),
        "decisions": [decision_document(decision) for decision in explanation.decisions],
        "optional": [decision_document(decision) for decision in explanation.optional],
    }


def told_document(told: Told) -> dict[str, Json]:
    """Write an answer as JSON; of a privilege it has less."""
    match told.found:
        case Routed(family, route, tenant, explanation):
            found: dict[str, Json] = {"family": family, "route": route, "tenant": tenant, **document(explanation)}
        case decision:
            found = {"decisions": [decision_document(decision)]}
    return {
        "principal": told.principal,
        "asked": told.asked,
        "notes": [*told.notes],
        "roles": [held_document(held) for held in told.held],
        **found,
        "allowed": told.allowed,
        "cannot_log_in": told.obstacle,
    }
