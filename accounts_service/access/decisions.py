"""May they? The permission engine of Search Guard, compiled.

For each set of effective roles the engine keeps one frozen set of exact action
names and a few compiled patterns, so that a decision is a look-up. The rules:
an exclusion in any role wins over everything; tenant actions are decided by
tenant permissions alone, cluster actions by cluster permissions alone; what is
reserved for administrators with a TLS certificate is allowed to nobody here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar, assert_never

from accounts_service.access import action_groups
from accounts_service.access.action_groups import ActionGroups
from accounts_service.access.explanations import Decision, Entry, Explanation, Held, Reason, held_roles
from accounts_service.access.patterns import Matcher, Template, is_literal, is_template
from accounts_service.access.privileges import (
    AlsoInTenant,
    Either,
    Everything,
    Grant,
    InTenant,
    Level,
    Mine,
    Nothing,
    Open,
    Own,
    Privilege,
    Requirement,
    Scope,
    Scoped,
    Tenants,
    Within,
    level_of,
)
from accounts_service.access.regex import Regex
from accounts_service.access.roles import GLOBAL_TENANT, Identity, Role, RoleMappings, TenantPermission
from accounts_service.faults import Json

_RESERVED = ("cluster:admin:searchguard:config/", "cluster:admin:searchguard:internal/")

# A new door asks for the old act: excluding the right-hand name also excludes
# the left-hand one. The 2019 form of the API calls its accounts destinations.
_DESTINATION = "cluster:admin:searchguard:signals:destination/"
_ACCOUNT = "cluster:admin:searchguard:signals:account/"

K = TypeVar("K")
V = TypeVar("V")

# Sets of roles and identities seen are remembered up to here; then forgotten all at once.
_REMEMBERED = 4096


def _acts_of(action: str) -> tuple[str, ...]:
    if action.startswith(_DESTINATION):
        return (action, _ACCOUNT + action.removeprefix(_DESTINATION))
    return (action,)


def normal_tenant(tenant: str) -> str:
    """Give the global tenant its one name; every other keeps its own."""
    return GLOBAL_TENANT if tenant in ("", "_main") else tenant


class _TenantRule:
    """One entry of `tenant_permissions`, compiled."""

    def __init__(self, permission: TenantPermission, groups: ActionGroups) -> None:
        self.actions = Matcher(action_groups.resolve(permission.allowed_actions, groups))
        self.tenants = Matcher(pattern for pattern in permission.tenant_patterns if not is_template(pattern))
        self.templates = {p: Template(p) for p in permission.tenant_patterns if is_template(p)}

    def covering(self, tenant: str, identity: Identity) -> str | None:
        """Return the pattern that covers `tenant` for `identity`, or None."""
        if (pattern := self.tenants.match(tenant)) is not None:
            return pattern
        return next((p for p, filled in self._filled(identity) if filled.matches(tenant)), None)

    def covered(self, tenants: Iterable[str], identity: Identity) -> set[str]:
        """Return those of `tenants` that a pattern covers for `identity`; placeholders are filled in once for all."""
        filled = [regex for _, regex in self._filled(identity)]
        return {one for one in tenants if self.tenants.matches(one) or any(regex.matches(one) for regex in filled)}

    def _filled(self, identity: Identity) -> Iterator[tuple[str, Regex]]:
        """Yield each pattern with placeholders, and what it matches for `identity`."""
        if not self.templates:
            return
        values = {"user.name": identity.name, "user_name": identity.name}
        values |= {f"user.attrs.{name}": value for name, value in identity.attributes}
        roles: list[Json] = [*sorted(identity.backend_roles)]
        structured: dict[str, Json] = {"user.roles": roles, "user_roles": roles}
        structured |= {f"user.attrs.{name}": json.loads(value) for name, value in identity.structured}
        for pattern, template in self.templates.items():
            if (regex := template.filled(values, structured)) is not None:
                yield pattern, regex


class Permissions:
    """What one set of roles may do."""

    def __init__(self, roles: Iterable[Role], groups: ActionGroups, tenants: frozenset[str]) -> None:
        allowed: set[str] = set()
        excluded: set[str] = set()
        rules: list[_TenantRule] = []
        for role in roles:
            allowed.update(action_groups.resolve(role.cluster_permissions, groups))
            excluded.update(action_groups.resolve(role.exclude_cluster_permissions, groups))
            rules.extend(_TenantRule(permission, groups) for permission in role.tenant_permissions)
        self._allowed = Matcher(allowed)
        self._excluded = Matcher(excluded)
        self._rules = tuple(rules)
        self._tenants = tenants
        self._decided: dict[str, bool] = {}

    def cluster(self, action: str) -> bool:
        """Tell whether a cluster action is allowed; a tenant action never is, not even by `*`."""
        decided = self._decided.get(action)
        if decided is None:
            decided = self.cluster_anew(action)
            if len(self._decided) < _REMEMBERED:
                self._decided[action] = decided
        return decided

    def excludes(self, action: str) -> bool:
        """Tell whether an exclusion names a cluster action, or the act that it amounts to."""
        return any(map(self._excluded.matches, _acts_of(action)))

    def cluster_anew(self, action: str) -> bool:
        """Decide as `cluster` does, and remember nothing: for actions that callers make up."""
        return (
            level_of(action) is not Level.TENANT
            and not action.startswith(_RESERVED)
            and not self.excludes(action)
            and self._allowed.matches(action)
        )

    def tenant(self, action: str, tenant: str, identity: Identity) -> bool:
        """Tell whether a tenant action is allowed in `tenant`; in an unknown one it never is."""
        tenant = normal_tenant(tenant)
        if tenant not in self._tenants:
            return False
        return any(rule.actions.matches(action) and rule.covering(tenant, identity) is not None for rule in self._rules)

    def within(self, actions: Iterable[str], tenant: str, identity: Identity) -> set[str]:
        """Return those of several tenant actions that are allowed in `tenant`, whose patterns are matched once."""
        tenant = normal_tenant(tenant)
        rules = self._rules if tenant in self._tenants else ()
        allowed = [rule.actions for rule in rules if rule.covering(tenant, identity) is not None]
        return {action for action in actions if any(matcher.matches(action) for matcher in allowed)}

    def tenants(self, reading: Iterable[str], writing: Iterable[str], identity: Identity) -> dict[str, bool]:
        """Return the tenants in which one of these tenant actions is allowed; true where it is one that writes."""
        reads, writes = tuple(reading), tuple(writing)
        found: dict[str, bool] = {}
        for rule in self._rules:
            may_write = any(map(rule.actions.matches, writes))
            if may_write or any(map(rule.actions.matches, reads)):
                settled = {tenant for tenant, written in found.items() if written or not may_write}
                found |= dict.fromkeys(rule.covered(self._tenants - settled, identity), may_write)
        return dict(sorted(found.items()))


class Rules:
    """The compiled configuration: roles, groups, mappings, tenants."""

    def __init__(
        self, roles: Mapping[str, Role], groups: ActionGroups, mappings: RoleMappings, tenants: Iterable[str] = ()
    ) -> None:
        self._roles = dict(roles)
        self._groups = dict(groups)
        self._mappings = mappings
        self._tenants = frozenset(tenants) | {GLOBAL_TENANT}
        self._compiled: dict[frozenset[str], Permissions] = {}
        self._effective: dict[Identity, frozenset[str]] = {}
        # What explanations look through: as many as there are lists in the files.
        self._listed: dict[tuple[str, ...], tuple[Mapping[str, str | None], Matcher]] = {}

    def effective_roles(self, identity: Identity) -> frozenset[str]:
        """Name all roles of `identity`."""
        roles = self._effective.get(identity)
        if roles is None:
            roles = self._mappings.effective_roles(identity)
            _remember(self._effective, identity, roles)
        return roles

    def permissions(self, roles: frozenset[str]) -> Permissions:
        """Compile what a set of roles may do; a role that is not defined grants nothing."""
        permissions = self._compiled.get(roles)
        if permissions is None:
            defined = [self._roles[name] for name in sorted(roles) if name in self._roles]
            permissions = Permissions(defined, self._groups, self._tenants)
            _remember(self._compiled, roles, permissions)
        return permissions

    def allows(self, identity: Identity, privilege: Privilege, tenant: str | None = None) -> bool:
        """Tell whether `identity` holds `privilege`, in `tenant` if it is a tenant privilege."""
        permissions = self.permissions(self.effective_roles(identity))
        if level_of(privilege.action) is Level.TENANT:
            return permissions.tenant(privilege.action, tenant or GLOBAL_TENANT, identity)
        return permissions.cluster(privilege.action)

    def allows_action(self, identity: Identity, action: str, tenant: str | None = None) -> bool:
        """Tell whether `identity` may do `action`, which need not be one of ours; `tenant` as for `allows`."""
        return self.allowed_actions(identity, (action,), tenant)[action]

    def allowed_actions(self, identity: Identity, actions: Sequence[str], tenant: str | None = None) -> dict[str, bool]:
        """Return whether `identity` may do each of `actions`, as `allows_action` does for one."""
        permissions = self.permissions(self.effective_roles(identity))
        of_tenants = {action for action in actions if level_of(action) is Level.TENANT}
        allowed = permissions.within(of_tenants, tenant or GLOBAL_TENANT, identity) if of_tenants else set()
        return {
            action: action in allowed if action in of_tenants else permissions.cluster_anew(action)
            for action in actions
        }

    def excludes(self, identity: Identity, privilege: Privilege) -> bool:
        """Tell whether a role of `identity` excludes `privilege`, which is more than not to hold it."""
        return self.permissions(self.effective_roles(identity)).excludes(privilege.action)

    def tenants(self, identity: Identity, reading: Iterable[str], writing: Iterable[str]) -> dict[str, bool]:
        """Name the tenants in which `identity` may do one of these tenant actions; true where one that writes."""
        permissions = self.permissions(self.effective_roles(identity))
        return permissions.tenants(reading, writing, identity)

    def grant(
        self,
        identity: Identity | None,
        requirement: Requirement,
        arguments: Mapping[str, str],
        optional: Iterable[Privilege] = (),
        tenant: str | None = None,
    ) -> Grant | None:
        """Decide a request: `requirement` of its route, `arguments` of its path, the `tenant` it asks for.

        Returns what is granted, or None when the privilege is missing.
        """
        if requirement is Open.PUBLIC:
            return Grant(None, Nothing())
        if identity is None:
            return None
        if requirement is Open.ANY_IDENTITY:
            return Grant(None, Nothing() if identity.own is None else Own(identity.own))
        decided = self._decide(identity, requirement, arguments, normal_tenant(tenant or ""))
        if decided is None:
            return None
        privilege, scope, decided_in = decided
        also = frozenset(extra for extra in optional if self.allows(identity, extra, decided_in))
        return Grant(privilege, scope, also)

    def _decide(  # noqa: C901, PLR0911, PLR0912  # one case a requirement
        self,
        identity: Identity,
        requirement: Privilege | Scoped | Mine | Within | InTenant | Either | AlsoInTenant,
        arguments: Mapping[str, str],
        tenant: str,
    ) -> tuple[Privilege, Scope, str | None] | None:
        match requirement:
            case Privilege():
                return (requirement, _all_of(requirement), None) if self.allows(identity, requirement) else None
            case Scoped(own, every):
                if self.allows(identity, every):
                    return every, _all_of(every), None
                if identity.own is not None and self.allows(identity, own):
                    return own, Own(identity.own), None
                return None
            case Mine(privilege):
                if self._allows_own(identity, privilege):
                    return privilege, Own(identity.own or ""), None
                return None
            case Within(privilege, otherwise):
                held = privilege if self.allows(identity, privilege) else otherwise
                if held is None or (held is otherwise and not self._allows_own(identity, held)):
                    return None
                return held, _all_of(held) if identity.own is None else Own(identity.own), None
            case InTenant(privilege, argument):
                named = normal_tenant(arguments[argument])
                if self.allows(identity, privilege, named):
                    return privilege, Tenants(frozenset((named,))), named
                return None
            case Either(privilege, other):
                return self._decide(identity, privilege, arguments, tenant) or self._decide(
                    identity, other, arguments, tenant
                )
            case AlsoInTenant(privilege, _) if tenant == GLOBAL_TENANT:
                return self._decide(identity, privilege, arguments, tenant)
            case AlsoInTenant(privilege, within):
                if self.allows(identity, privilege) and self.allows(identity, within, tenant):
                    return privilege, Tenants(frozenset((tenant,))), tenant
                return None
            case _:
                assert_never(requirement)

    def _allows_own(self, identity: Identity, privilege: Privilege) -> bool:
        return identity.own is not None and self.allows(identity, privilege)

    # -- Explanations ---------------------------------------------------------

    def held_roles(self, identity: Identity) -> tuple[Held, ...]:
        """Say why `identity` has each of its roles."""
        return held_roles(self._mappings, identity)

    def is_defined(self, role: str) -> bool:
        """Tell whether there is a role of this name."""
        return role in self._roles

    def is_group(self, name: str) -> bool:
        """Tell whether there is an action group of this name."""
        return name in self._groups

    def explain(self, identity: Identity, action: str, tenant: str | None = None) -> Decision:
        """Say why `identity` holds an action or not; a tenant action in `tenant`, by default the global one."""
        if level_of(action) is Level.TENANT:
            return self._explain_tenant(identity, action, normal_tenant(tenant or ""))
        return self._explain_cluster(identity, action)

    def explain_request(
        self,
        identity: Identity | None,
        requirement: Requirement,
        arguments: Mapping[str, str],
        optional: Iterable[Privilege] = (),
        tenant: str | None = None,
    ) -> Explanation:
        """Say why a request is granted or not; takes what `grant` takes."""
        grant = self.grant(identity, requirement, arguments, optional, tenant)
        if identity is None or isinstance(requirement, Open):
            return Explanation(requirement, grant, (), ())
        decisions = self._explain_all(identity, requirement, arguments, normal_tenant(tenant or ""))
        if grant is None:
            return Explanation(requirement, None, decisions, ())
        # A scope of tenants is of the one that the privilege was decided in.
        within = next(iter(grant.scope.names)) if isinstance(grant.scope, Tenants) else None
        also = tuple(self.explain(identity, extra.action, within) for extra in optional)
        return Explanation(requirement, grant, decisions, also)

    def _explain_all(  # noqa: PLR0911  # one case a requirement
        self,
        identity: Identity,
        requirement: Privilege | Scoped | Mine | Within | InTenant | Either | AlsoInTenant,
        arguments: Mapping[str, str],
        tenant: str,
    ) -> tuple[Decision, ...]:
        match requirement:
            case Privilege():
                return (self.explain(identity, requirement.action),)
            case Scoped(own, every):
                return self.explain(identity, every.action), self._explain_own(identity, own)
            case Mine(privilege):
                return (self._explain_own(identity, privilege),)
            case Within(privilege, otherwise):
                within = self.explain(identity, privilege.action)
                return (within,) if otherwise is None else (within, self._explain_own(identity, otherwise))
            case InTenant(privilege, argument):
                return (self.explain(identity, privilege.action, arguments[argument]),)
            case Either(privilege, other):
                return self.explain(identity, privilege.action), self.explain(identity, other.action)
            case AlsoInTenant(privilege, _) if tenant == GLOBAL_TENANT:
                return (self.explain(identity, privilege.action),)
            case AlsoInTenant(privilege, within):
                return self.explain(identity, privilege.action), self.explain(identity, within.action, tenant)
            case _:
                assert_never(requirement)

    def _explain_own(self, identity: Identity, privilege: Privilege) -> Decision:
        decision = self.explain(identity, privilege.action)
        if decision.allowed and identity.own is None:
            return replace(decision, reason=Reason.NO_OWN_OBJECT)
        return decision

    def _explain_cluster(self, identity: Identity, action: str) -> Decision:
        if action.startswith(_RESERVED):
            return Decision(action, None, Reason.RESERVED)
        roles = self._defined(identity)
        for act in _acts_of(action):
            for name in roles:
                if (entry := self._entry(name, self._roles[name].exclude_cluster_permissions, act)) is not None:
                    return Decision(action, None, Reason.EXCLUSION, entry)
        for name in roles:
            if (entry := self._entry(name, self._roles[name].cluster_permissions, action)) is not None:
                return Decision(action, None, Reason.PERMISSION, entry)
        givers = {name: self._giving(name, action) for name in self._roles}
        return self._missing(action, None, givers)

    def _explain_tenant(self, identity: Identity, action: str, tenant: str) -> Decision:
        if tenant not in self._tenants:
            return Decision(action, tenant, Reason.UNKNOWN_TENANT)
        for name in self._defined(identity):
            if (entry := self._tenant_entry(name, action, tenant, identity)) is not None:
                return Decision(action, tenant, Reason.PERMISSION, entry)
        givers = {name: self._tenant_entry(name, action, tenant, identity) for name in self._roles}
        return self._missing(action, tenant, givers)

    def _defined(self, identity: Identity) -> list[str]:
        return sorted(self.effective_roles(identity) & self._roles.keys())

    def _entry(self, role: str, listed: tuple[str, ...], action: str) -> Entry | None:
        if listed not in self._listed:
            members = action_groups.resolve(listed, self._groups)
            self._listed[listed] = (members, Matcher(members))
        reached, matcher = self._listed[listed]
        pattern = matcher.match(action)
        return None if pattern is None else Entry(role, action_groups.chain(pattern, reached))

    def _tenant_entry(self, role: str, action: str, tenant: str, identity: Identity) -> Entry | None:
        for permission in self._roles[role].tenant_permissions:
            entry = self._entry(role, permission.allowed_actions, action)
            if entry is None:
                continue  # Most roles: to compile the patterns of all would cost ten times as much.
            covering = _TenantRule(permission, self._groups).covering(tenant, identity)
            if covering is not None:
                return replace(entry, tenant_pattern=covering)
        return None

    def _giving(self, role: str, action: str) -> Entry | None:
        excluded = self._roles[role].exclude_cluster_permissions
        if any(self._entry(role, excluded, act) is not None for act in _acts_of(action)):
            return None
        return self._entry(role, self._roles[role].cluster_permissions, action)

    def _missing(self, action: str, tenant: str | None, roles: Mapping[str, Entry | None]) -> Decision:
        groups = {name: self._entry(name, (name,), action) for name in self._groups}
        return Decision(action, tenant, Reason.MISSING, groups=_closest(groups), roles=_closest(roles))


# As many groups or roles are named that would give what is missing.
_NAMED = 3


def _closest(entries: Mapping[str, Entry | None]) -> tuple[str, ...]:
    def width(entry: Entry) -> tuple[bool, int, str]:
        # Who lists the action itself gives less besides than who has a pattern
        # for it, and a long pattern is narrower than a short one.
        return not is_literal(entry.chain[-1]), -len(entry.chain[-1]), entry.role

    found = sorted((entry for entry in entries.values() if entry is not None), key=width)
    return tuple(entry.role for entry in found[:_NAMED])


def _all_of(privilege: Privilege) -> Scope:
    # A tenant privilege that is asked for without a tenant holds in the global one.
    if level_of(privilege.action) is Level.TENANT:
        return Tenants(frozenset((GLOBAL_TENANT,)))
    return Everything()


def _remember(memory: dict[K, V], key: K, value: V) -> None:
    if len(memory) >= _REMEMBERED:
        memory.clear()
    memory[key] = value
