"""Search Guard's configuration files, read whole: either what they say, or every problem they have.

https://docs.search-guard.com/latest/configuration-files — what this service
has no use for (index permissions, domains of LDAP, OIDC or SAML, …) is read
past. sg_authc.yml, which is as long as the others together, is read in
authc.py; how a file becomes a document stands in documents.py. netbird_jwt.yml
is ours. No value that stands in a file appears in a problem.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from accounts_service.access import authc, jwt_settings
from accounts_service.access.action_groups import ActionGroups
from accounts_service.access.authc import Domain, NetworkSettings
from accounts_service.access.authenticators.internal_users import InternalUser
from accounts_service.access.documents import INVALID, ConfigProblem, Cursor, load
from accounts_service.access.jwt_settings import is_key_set
from accounts_service.access.native_jwt import NativeJwt
from accounts_service.access.patterns import Matcher
from accounts_service.access.roles import ResolutionMode, Role, RoleMapping, RoleMappings, TenantPermission
from accounts_service.identifiers import normalized

# What others need to know of configuration they find here.
__all__ = [
    "AUTHC",
    "AUTHZ",
    "FILES",
    "GROUPS",
    "MAPPINGS",
    "NETBIRD_JWT",
    "REQUIRED",
    "ROLES",
    "TENANTS",
    "USERS",
    "ConfigProblem",
    "Configuration",
    "Domain",
    "NetworkSettings",
    "is_key_set",
    "read",
]

ROLES = "sg_roles.yml"
MAPPINGS = "sg_roles_mapping.yml"
GROUPS = "sg_action_groups.yml"
USERS = "sg_internal_users.yml"
TENANTS = "sg_tenants.yml"
AUTHC = "sg_authc.yml"
AUTHZ = "sg_authz.yml"
NETBIRD_JWT = "netbird_jwt.yml"

REQUIRED = (ROLES, MAPPINGS, GROUPS, USERS, TENANTS)
FILES = (*REQUIRED, AUTHC, AUTHZ, NETBIRD_JWT)


@dataclass(frozen=True, slots=True)
class Configuration:
    """What the files say. `netbird_jwt`: None without the file, and then NetBird takes no JWT."""

    roles: Mapping[str, Role]
    mappings: RoleMappings
    groups: ActionGroups
    users: Mapping[str, InternalUser] = field(repr=False)
    tenants: frozenset[str]
    domains: tuple[Domain, ...]
    network: NetworkSettings
    left_out: tuple[str, ...]
    netbird_jwt: NativeJwt | None


def read(texts: Mapping[str, str]) -> tuple[Configuration, list[ConfigProblem]]:
    """Read the files, given as text by file name.

    Returns the configuration and all problems; with any problem, the
    configuration is not to be used.
    """
    problems = [ConfigProblem(file, "", "File does not exist") for file in REQUIRED if file not in texts]

    def document(file: str, *, undotted: bool = False) -> Cursor:
        return load(file, texts.get(file, ""), problems, undotted=undotted)

    def key_set(file: str) -> Cursor | None:
        # JSON is YAML, and is read as strictly.
        return document(file) if file in texts else None

    groups = {name: _action_group(entry) for name, entry in document(GROUPS).entries()}
    roles = {name: _role(entry) for name, entry in document(ROLES).entries()}
    by_role = {name: _role_mapping(entry) for name, entry in document(MAPPINGS).entries()}
    users = _internal_users(document(USERS))
    tenants = frozenset(_tenant(name, entry) for name, entry in document(TENANTS).entries())
    mode = _authz(document(AUTHZ, undotted=True))
    authentication = authc.read(document(AUTHC, undotted=True), key_set) if AUTHC in texts else authc.UNCONFIGURED
    passed_over: list[str] = []
    netbird_jwt = (
        jwt_settings.read_native(document(NETBIRD_JWT, undotted=True), key_set, passed_over)
        if NETBIRD_JWT in texts
        else None
    )
    configuration = Configuration(
        roles=roles,
        mappings=RoleMappings(mode, by_role),
        groups=groups,
        users=users,
        tenants=tenants,
        domains=authentication.domains,
        network=authentication.network,
        left_out=(*authentication.left_out, *(f"{NETBIRD_JWT}: {key}" for key in passed_over)),
        netbird_jwt=netbird_jwt,
    )
    return configuration, problems


_FLAGS = ("description", "reserved", "hidden", "static")


def _end(entry: Cursor) -> None:
    entry.text("description")
    for name in _FLAGS[1:]:
        entry.flag(name, default=False)
    entry.end()


def _action_group(entry: Cursor) -> tuple[str, ...]:
    entry.require("allowed_actions", "type")
    actions = entry.patterns("allowed_actions")
    entry.text("type")
    _end(entry)
    return actions


def _role(entry: Cursor) -> Role:
    role = Role(
        cluster_permissions=entry.patterns("cluster_permissions"),
        exclude_cluster_permissions=entry.patterns("exclude_cluster_permissions"),
        tenant_permissions=tuple(_tenant_permission(child) for child in entry.children("tenant_permissions")),
    )
    # There are no indices here; what stands there can grant nothing.
    entry.ignore("index_permissions", "alias_permissions", "data_stream_permissions")
    if entry.has("exclude_index_permissions"):
        entry.problem("exclude_index_permissions", "This attribute is no longer supported")
        entry.ignore("exclude_index_permissions")
    _end(entry)
    return role


def _tenant_permission(entry: Cursor) -> TenantPermission:
    patterns = entry.patterns("tenant_patterns", templates=True)
    permission = TenantPermission(patterns, entry.patterns("allowed_actions"))
    entry.end()
    return permission


def _role_mapping(entry: Cursor) -> RoleMapping:
    mapping = RoleMapping(
        users=entry.matcher("users"),
        backend_roles=entry.matcher("backend_roles"),
        and_backend_roles=tuple(Matcher((normalized(pattern),)) for pattern in entry.patterns("and_backend_roles")),
        hosts=entry.matcher("hosts"),
        ips=entry.networks("ips"),
    )
    _end(entry)
    return mapping


def _internal_users(entries: Cursor) -> dict[str, InternalUser]:
    users: dict[str, InternalUser] = {}
    for written, entry in entries.entries():
        name = normalized(written)
        if name in users:
            entries.problem(written, "This user stands twice, in two spellings of Unicode")
        users[name] = _internal_user(entry)
    return users


def _internal_user(entry: Cursor) -> InternalUser:
    stored_hash = entry.text("hash")
    entry.require("hash")
    attributes = entry.child("attributes")
    pairs = []
    for name in attributes.names():
        value = attributes.take(name)
        if isinstance(value, str | bool):
            pairs.append((name, value if isinstance(value, str) else str(value).lower()))
        elif value is not None:
            attributes.problem(name, INVALID, "A string")
    user = InternalUser(
        hash=stored_hash or "",
        backend_roles=frozenset(map(normalized, entry.texts("backend_roles"))),
        roles=frozenset(entry.texts("search_guard_roles")),
        attributes=tuple(sorted(pairs)),
    )
    _end(entry)
    return user


def _tenant(name: str, entry: Cursor) -> str:
    _end(entry)
    return name


def _authz(document: Cursor) -> ResolutionMode:
    mapping = document.child("role_mapping")
    mode = mapping.text("resolution_mode")
    names = [member.value for member in ResolutionMode]
    if mode is not None and mode not in names:
        mapping.problem("resolution_mode", INVALID, "|".join(names))
        mode = None
    mapping.end()
    document.flag("debug", default=False)
    document.ignore("ignore_unauthorized_indices", "metrics", "field_anonymization", "_sg_meta")
    document.end()
    return ResolutionMode(mode) if mode else ResolutionMode.MAPPING_ONLY
