"""May they? The permission engine of Search Guard, compiled.

For each set of effective roles the engine keeps one frozen set of exact action
names and a few compiled patterns, so that a decision is a look-up. The rules:
an exclusion in any role wins over everything; tenant actions are decided by
tenant permissions alone, cluster actions by cluster permissions alone; what is
reserved for administrators with a TLS certificate is allowed to nobody here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar, assert_never

from accounts_service.access import action_groups
from accounts_service.access.action_groups import ActionGroups
from accounts_service.access.patterns import Matcher, Template, is_template
from accounts_service.access.privileges import (
    AlsoInTenant,
    Either,
    Everything,
    Grant,
    InTenant,
    Level,
    Nothing,
    Open,
    Own,
    Privilege,
    Requirement,
    Scope,
    Scoped,
    Tenants,
    level_of,
)
from accounts_service.access.roles import GLOBAL_TENANT, Identity, Role, RoleMappings, TenantPermission

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
        self.templates = tuple(Template(pattern) for pattern in permission.tenant_patterns if is_template(pattern))

    def covers(self, tenant: str, identity: Identity) -> bool:
        if self.tenants.matches(tenant):
            return True
        values = {"user.name": identity.name, "user_name": identity.name}
        values |= {f"user.attrs.{name}": value for name, value in identity.attributes}
        return any(template.matches(tenant, values) for template in self.templates)


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

    def cluster_anew(self, action: str) -> bool:
        """Decide as `cluster` does, and remember nothing: for actions that callers make up."""
        return (
            level_of(action) is not Level.TENANT
            and not action.startswith(_RESERVED)
            and not any(map(self._excluded.matches, _acts_of(action)))
            and self._allowed.matches(action)
        )

    def tenant(self, action: str, tenant: str, identity: Identity) -> bool:
        """Tell whether a tenant action is allowed in `tenant`; in an unknown one it never is."""
        tenant = normal_tenant(tenant)
        if tenant not in self._tenants:
            return False
        return any(rule.actions.matches(action) and rule.covers(tenant, identity) for rule in self._rules)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why an action is allowed or not, for a person.

    `role` and `chain` (entry of the role, groups passed through, pattern that
    matched) name what decided: the exclusion of a denial, else the permission.
    Both are empty when nothing matched.
    """

    allowed: bool
    reason: str
    role: str | None = None
    chain: tuple[str, ...] = ()


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
        permissions = self.permissions(self.effective_roles(identity))
        if level_of(action) is Level.TENANT:
            return permissions.tenant(action, tenant or GLOBAL_TENANT, identity)
        return permissions.cluster_anew(action)

    def tenants(self, identity: Identity, reading: Iterable[str], writing: Iterable[str]) -> dict[str, bool]:
        """Name the tenants in which `identity` may do one of these tenant actions; true where one that writes."""
        permissions = self.permissions(self.effective_roles(identity))
        writes, reads = tuple(writing), tuple(reading)
        found: dict[str, bool] = {}
        for tenant in sorted(self._tenants):
            may_write = any(permissions.tenant(action, tenant, identity) for action in writes)
            if may_write or any(permissions.tenant(action, tenant, identity) for action in reads):
                found[tenant] = may_write
        return found

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

    def _decide(  # noqa: C901, PLR0911  # one case a requirement
        self,
        identity: Identity,
        requirement: Privilege | Scoped | InTenant | Either | AlsoInTenant,
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

    def explain(self, roles: frozenset[str], action: str) -> Explanation:
        """Say why a cluster action is allowed to a set of roles, or what is missing."""
        if level_of(action) is Level.TENANT:
            return Explanation(allowed=False, reason="decided by tenant permissions, in one tenant")
        if action.startswith(_RESERVED):
            return Explanation(allowed=False, reason="reserved for administrators with a TLS certificate")
        for act in _acts_of(action):
            if found := self._find(roles, act, excluding=True):
                return Explanation(allowed=False, reason=f"excluded in role {found[0]}", role=found[0], chain=found[1])
        if found := self._find(roles, action, excluding=False):
            return Explanation(allowed=True, reason=f"allowed by role {found[0]}", role=found[0], chain=found[1])
        return Explanation(allowed=False, reason=f"no role allows {action}")

    def _find(self, roles: frozenset[str], action: str, *, excluding: bool) -> tuple[str, tuple[str, ...]] | None:
        for name in sorted(roles & self._roles.keys()):
            role = self._roles[name]
            listed = role.exclude_cluster_permissions if excluding else role.cluster_permissions
            reached = action_groups.resolve(listed, self._groups)
            if (pattern := Matcher(reached).match(action)) is not None:
                return name, action_groups.chain(pattern, reached)
        return None


def _all_of(privilege: Privilege) -> Scope:
    # A tenant privilege that is asked for without a tenant holds in the global one.
    if level_of(privilege.action) is Level.TENANT:
        return Tenants(frozenset((GLOBAL_TENANT,)))
    return Everything()


def _remember(memory: dict[K, V], key: K, value: V) -> None:
    if len(memory) >= _REMEMBERED:
        memory.clear()
    memory[key] = value
