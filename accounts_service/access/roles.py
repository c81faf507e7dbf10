"""Roles, and the mappings that give them to callers.

https://docs.search-guard.com/latest/roles-permissions and …/mapping-users-roles
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from types import MappingProxyType
from typing import TypeAlias

from accounts_service.access.patterns import Matcher

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

GLOBAL_TENANT = "SGS_GLOBAL_TENANT"

# Where those are known who come by a domain of sg_authc.yml.
REALM = "sg_authc"

NO_MATCHER = Matcher(())


def plain(address: Address) -> Address:
    """Write an address as the configuration does.

    A socket for both families writes 10.0.0.1 as ::ffff:10.0.0.1, which is in
    no network of the configuration, not even in one that is to be kept out.
    A zone (fe80::1%eth0) may be any text, and `hosts` would match it.
    """
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or IPv6Address(int(address))
    return address


@dataclass(frozen=True, slots=True)
class TenantPermission:
    """Actions allowed in the tenants that a pattern names. Patterns may hold `${user.name}` and the like."""

    tenant_patterns: tuple[str, ...]
    allowed_actions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Role:
    """What a role allows; each string is an action, a pattern or an action group."""

    cluster_permissions: tuple[str, ...] = ()
    exclude_cluster_permissions: tuple[str, ...] = ()
    tenant_permissions: tuple[TenantPermission, ...] = ()


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is asking.

    `realm` is where the name is known: names of different realms never mix.
    `roles` are given by the user's own entry, `backend_roles` go through the
    mappings. `own` is the caller's own account in the family asked, if any.
    `domain` is the type of the domain of sg_authc.yml that found him: it tells
    by what he came and never decides what he may do. `structured` are the
    attributes that are lists or mappings, as JSON.
    """

    realm: str
    name: str
    backend_roles: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    attributes: tuple[tuple[str, str], ...] = ()
    address: Address | None = None
    own: str | None = None
    domain: str = ""
    structured: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class RoleMapping:
    """Who gets a role: any line suffices, but of `and_backend_roles` each pattern must match."""

    users: Matcher = NO_MATCHER
    backend_roles: Matcher = NO_MATCHER
    and_backend_roles: tuple[Matcher, ...] = ()
    # Addresses as text only: a name found by reverse DNS belongs to the caller.
    hosts: Matcher = NO_MATCHER
    ips: tuple[Network, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Tell whether nobody can get the role by it."""
        patterns = (self.users, self.backend_roles, self.hosts)
        return all(matcher.is_empty for matcher in patterns) and not self.and_backend_roles and not self.ips

    def applies_to(self, identity: Identity) -> bool:
        """Tell whether `identity` gets the role."""
        address = identity.address
        return (
            self.users.matches(identity.name)
            or self.backend_roles.matches_any(identity.backend_roles)
            or (address is not None and self.hosts.matches(str(address)))
            or (address is not None and any(address in network for network in self.ips))
            or (
                bool(self.and_backend_roles)
                and all(pattern.matches_any(identity.backend_roles) for pattern in self.and_backend_roles)
            )
        )


class ResolutionMode(Enum):
    """How backend roles become roles (`role_mapping.resolution_mode` in sg_authz.yml)."""

    MAPPING_ONLY = "MAPPING_ONLY"
    BACKENDROLES_ONLY = "BACKENDROLES_ONLY"
    BOTH = "BOTH"


@dataclass(frozen=True, slots=True)
class RoleMappings:
    """All mappings of an installation."""

    mode: ResolutionMode = ResolutionMode.MAPPING_ONLY
    by_role: Mapping[str, RoleMapping] = field(default_factory=dict)

    def effective_roles(self, identity: Identity) -> frozenset[str]:
        """Name all roles of `identity`, defined or not."""
        if identity.realm != REALM:
            # The mappings mean other people: nobody becomes admin@corp by
            # taking an account of that name elsewhere.
            return identity.roles
        roles = set(identity.roles)
        if self.mode is not ResolutionMode.MAPPING_ONLY:
            roles |= identity.backend_roles
        if self.mode is not ResolutionMode.BACKENDROLES_ONLY:
            roles |= {role for role, mapping in self.by_role.items() if mapping.applies_to(identity)}
        return frozenset(roles)


# Search Guard's own roles; only the parts that decide about cluster and tenant
# actions, since there are no indices here.
STATIC: Mapping[str, Role] = MappingProxyType(
    {
        "SGS_ALL_ACCESS": Role(cluster_permissions=("*",), tenant_permissions=(TenantPermission(("*",), ("*",)),)),
        "SGS_KIBANA_USER_NO_GLOBAL_TENANT": Role(
            cluster_permissions=(
                "SGS_CLUSTER_COMPOSITE_OPS",
                "SGS_PERSONAL_SESSIONS",
                "cluster:admin:searchguard:femt:user/available_tenants/get",
            )
        ),
        "SGS_KIBANA_USER_NO_MT": Role(cluster_permissions=("SGS_CLUSTER_COMPOSITE_OPS", "SGS_PERSONAL_SESSIONS")),
        "SGS_KIBANA_USER_NO_DEFAULT_TENANT": Role(
            cluster_permissions=("SGS_CLUSTER_COMPOSITE_OPS", "SGS_PERSONAL_SESSIONS")
        ),
        "SGS_KIBANA_USER": Role(
            cluster_permissions=(
                "SGS_CLUSTER_COMPOSITE_OPS",
                "SGS_PERSONAL_SESSIONS",
                "cluster:admin:searchguard:femt:user/available_tenants/get",
            ),
            tenant_permissions=(TenantPermission((GLOBAL_TENANT,), ("kibana:saved_objects/_/write",)),),
        ),
        "SGS_OWN_INDEX": Role(cluster_permissions=("SGS_CLUSTER_COMPOSITE_OPS",)),
        "SGS_XP_MONITORING": Role(
            cluster_permissions=(
                "SGS_CLUSTER_MONITOR",
                "cluster:monitor/xpack/info",
                "cluster:monitor/main",
                "cluster:admin/xpack/monitoring/bulk",
                "cluster:admin/desired_balance/get",
            )
        ),
        "SGS_MANAGE_SNAPSHOTS": Role(cluster_permissions=("SGS_MANAGE_SNAPSHOTS",)),
        "SGS_XP_ALERTING": Role(
            cluster_permissions=(
                "SGS_CLUSTER_MONITOR",
                "indices:data/read/scroll",
                "cluster:admin/xpack/watcher*",
                "cluster:monitor/xpack/watcher*",
            )
        ),
        "SGS_XP_MACHINE_LEARNING": Role(
            cluster_permissions=(
                "SGS_CLUSTER_MONITOR",
                "cluster:admin/persistent*",
                "cluster:internal/xpack/ml*",
                "indices:data/read/scroll*",
                "cluster:admin/xpack/ml*",
                "cluster:monitor/xpack/ml*",
            )
        ),
        "SGS_KIBANA_SERVER": Role(
            cluster_permissions=(
                "SGS_CLUSTER_MONITOR",
                "SGS_CLUSTER_COMPOSITE_OPS",
                "cluster:admin/xpack/monitoring*",
                "indices:admin/template*",
                "cluster:admin/component_template*",
                "indices:admin/index_template*",
                "indices:data/read/scroll*",
                "SGS_CLUSTER_MANAGE_ILM",
                "cluster:admin:searchguard:authtoken/info",
                "cluster:admin:searchguard:auth/frontend/config/get",
                "indices:searchguard:async_search/_all_owners",
                "cluster:admin/ingest/pipeline/put",
                "cluster:admin/transform/put",
                "cluster:admin/transform/start",
                "cluster:admin/ingest/pipeline/get",
                "cluster:admin/script*",
                "cluster:admin/streams/logs/toggle",
            )
        ),
        "SGS_LOGSTASH": Role(
            cluster_permissions=(
                "SGS_CLUSTER_MONITOR",
                "SGS_CLUSTER_COMPOSITE_OPS",
                "SGS_CLUSTER_MANAGE_INDEX_TEMPLATES",
                "SGS_CLUSTER_MANAGE_ILM",
                "SGS_CLUSTER_MANAGE_PIPELINES",
                "cluster:admin/xpack/monitoring*",
            )
        ),
        "SGS_READALL_AND_MONITOR": Role(cluster_permissions=("SGS_CLUSTER_MONITOR", "SGS_CLUSTER_COMPOSITE_OPS_RO")),
        "SGS_READALL": Role(cluster_permissions=("SGS_CLUSTER_COMPOSITE_OPS_RO",)),
    }
)
