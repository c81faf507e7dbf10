"""Search Guard's configuration files, read whole: either what they say, or every problem they have.

https://docs.search-guard.com/latest/configuration-files — what this service
has no use for (index permissions, domains of LDAP, OIDC or SAML, …) is read
past. sg_authc.yml, which is as long as the others together, is read in
authc.py; how a file becomes a document stands in documents.py. netbird_jwt.yml
is ours. No value that stands in a file appears in a problem.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address

from accounts_service.access import authc, jwt_settings
from accounts_service.access.action_groups import ActionGroups, resolve
from accounts_service.access.authc import Domain, NetworkSettings
from accounts_service.access.authenticators.internal_users import InternalUser
from accounts_service.access.documents import (
    INVALID,
    NO_EFFECT,
    ConfigProblem,
    Cursor,
    Findings,
    few,
    load,
    resolved,
    without_hash,
)
from accounts_service.access.jwt_settings import is_key_set
from accounts_service.access.native_jwt import NativeJwt
from accounts_service.access.patterns import Matcher, Template, is_literal, is_template
from accounts_service.access.roles import ResolutionMode, Role, RoleMapping, RoleMappings, TenantPermission, plain
from accounts_service.access.variables import Unresolved, Variables, shown, spelled
from accounts_service.identifiers import normalized

# What others need to know of configuration they find here.
__all__ = [
    "AUTHC",
    "AUTHZ",
    "FILES",
    "GROUPS",
    "MAPPINGS",
    "NETBIRD_JWT",
    "NO_BCRYPT",
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

NO_BCRYPT = "the hash is not a bcrypt hash, so they cannot log in by password"

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
    # What is ignored or can never take effect, one line each.
    warnings: tuple[str, ...] = ()


def read(
    texts: Mapping[str, str], environment: Mapping[str, str] = os.environ
) -> tuple[Configuration, list[ConfigProblem]]:
    """Read the files, given as text by file name, or by `file_key` for those that a variable names.

    Returns the configuration and all problems; with any problem, the
    configuration is not to be used.
    """
    findings = Findings([ConfigProblem(file, "", "File does not exist") for file in REQUIRED if file not in texts], [])
    variables = Variables(environment, texts)

    def document(file: str, *, undotted: bool = False) -> Cursor:
        return load(file, texts.get(file, ""), findings, undotted=undotted, variables=variables)

    def key_set(file: str) -> Cursor | None:
        # JSON is YAML, and is read as strictly. Whoever published the keys has no
        # business with this machine's environment or files.
        return load(file, texts[file], findings) if file in texts else None

    groups, incomplete = _action_groups(document(GROUPS))
    roles = _roles(document(ROLES), findings)
    excluded = resolve((name for role in roles.values() for name in role.exclude_cluster_permissions), groups)
    findings.problems.extend(
        ConfigProblem(GROUPS, f"{name}.allowed_actions", f"{variable}, and a role excludes this group")
        for name, variable in incomplete.items()
        if name in excluded
    )
    by_role = {name: _role_mapping(entry) for name, entry in document(MAPPINGS).entries()}
    users = _internal_users(document(USERS), findings)
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
        warnings=tuple(dict.fromkeys(map(str, findings.warnings))),
    )
    return configuration, findings.problems


_FLAGS = ("reserved", "hidden", "static")


def _marks(entry: Cursor) -> None:
    entry.text("description", droppable=True)
    for name in _FLAGS:
        entry.flag(name, default=False)


def _end(entry: Cursor) -> None:
    _marks(entry)
    entry.end()


def _action_groups(document: Cursor) -> tuple[dict[str, tuple[str, ...]], dict[str, Unresolved]]:
    """Read all groups, and name those that lack something because a variable has no value."""
    groups, incomplete = {}, {}
    for name, entry in document.entries():
        variable = entry.unresolved()
        groups[name] = _action_group(entry)
        if variable is not None:
            incomplete[name] = variable
    return groups, incomplete


def _action_group(entry: Cursor) -> tuple[str, ...]:
    entry.require("allowed_actions", "type")
    actions = entry.patterns("allowed_actions", droppable=True)
    entry.text("type", droppable=True)
    _end(entry)
    return actions


_OF_INDICES = ("index_permissions", "alias_permissions", "data_stream_permissions")


def _roles(document: Cursor, findings: Findings) -> dict[str, Role]:
    ignored: dict[str, list[str]] = {}
    roles = {}
    for name, entry in document.entries():
        for attribute in _OF_INDICES:
            if entry.has(attribute):
                ignored.setdefault(attribute, []).append(name)
        roles[name] = _role(entry)
    findings.warnings.extend(
        ConfigProblem(ROLES, "", f"{attribute} is ignored, there are no indices here: {few(names)}")
        for attribute, names in ignored.items()
    )
    return roles


def _role(entry: Cursor) -> Role:
    role = Role(
        cluster_permissions=entry.patterns("cluster_permissions", droppable=True),
        exclude_cluster_permissions=entry.patterns("exclude_cluster_permissions"),
        tenant_permissions=()
        if entry.take("tenant_permissions") == {}
        else tuple(_tenant_permission(child) for child in entry.children("tenant_permissions", or_one=True)),
    )
    if any(pattern != pattern.strip() for pattern in role.exclude_cluster_permissions):
        # Such as the content of a file with a line break: it would exclude nothing.
        entry.problem("exclude_cluster_permissions", "White space at the ends of an exclusion")
    # There are no indices here; what stands there can grant nothing.
    entry.ignore(*_OF_INDICES)
    if entry.take("exclude_index_permissions") not in (None, []):
        entry.problem("exclude_index_permissions", "This attribute is no longer supported")
    _end(entry)
    return role


def _tenant_permission(entry: Cursor) -> TenantPermission:
    patterns = entry.patterns("tenant_patterns", templates=True, droppable=True)
    for pattern in patterns:
        flaw = Template(pattern).flaw if is_template(pattern) else None
        if flaw is not None:
            entry.warn("tenant_patterns", f"{shown(pattern)} can never match: {flaw}")
    permission = TenantPermission(patterns, entry.patterns("allowed_actions", droppable=True))
    entry.end()
    return permission


def _role_mapping(entry: Cursor) -> RoleMapping:
    hosts = entry.patterns("hosts", droppable=True)
    named = [shown(pattern) for pattern in hosts if not _can_be_address(pattern)]
    if named:
        text = "can never match: only addresses are compared, since callers control the names of their addresses"
        entry.warn("hosts", f"{few(named)} {text}")
    mapping = RoleMapping(
        users=entry.matcher("users", droppable=True),
        backend_roles=entry.matcher("backend_roles", droppable=True),
        and_backend_roles=entry.matchers("and_backend_roles"),
        hosts=Matcher(hosts),
        ips=entry.networks("ips", droppable=True),
    )
    _end(entry)
    return mapping


def _can_be_address(pattern: str) -> bool:
    if not is_literal(pattern):
        # Of a regular expression nothing is known; a star or question mark is anything.
        return pattern.startswith("/") or not set(pattern) - set("0123456789abcdef:.*?")
    try:
        return str(plain(ip_address(pattern))) == pattern
    except ValueError:
        return False


# -- Internal users -----------------------------------------------------------


def _internal_users(document: Cursor, findings: Findings) -> dict[str, InternalUser]:
    users: dict[str, InternalUser] = {}
    ignored: dict[str, list[str]] = {}
    for written, entry in document.entries():
        name = normalized(written)
        if name in users:
            document.problem(written, "This user stands twice, in two spellings of Unicode")
        users[name] = _internal_user(entry)
        # Search Guard ignores them too; what is misspelled gives a user less.
        for attribute in entry.unread():
            ignored.setdefault(attribute, []).append(name)
    by_words = {f"{attribute} is ignored": names for attribute, names in ignored.items()}
    by_words["without a hash, so they cannot log in by password"] = [
        name for name, user in users.items() if not user.hash
    ]
    by_words[NO_BCRYPT] = [name for name, user in users.items() if user.hash and user.cost is None]
    by_words["a name with a colon, so they cannot log in by password"] = [
        name for name, user in users.items() if user.cost is not None and ":" in name
    ]
    findings.warnings.extend(
        ConfigProblem(USERS, "", f"{words}: {few(map(without_hash, names))}")
        for words, names in by_words.items()
        if names
    )
    return users


def _internal_user(entry: Cursor) -> InternalUser:
    attributes = entry.child("attributes")
    texts, structured = {}, {}
    for name in attributes.names():
        value = attributes.take(name)
        if isinstance(value, Unresolved):
            attributes.warn(name, str(value))
        elif isinstance(value, str | bool):
            texts[name] = value if isinstance(value, str) else str(value).lower()
        elif value is not None:
            structured[name] = json.dumps(resolved(value))
    user = InternalUser(
        hash=entry.text("hash", droppable=True) or "",
        backend_roles=frozenset(map(spelled, entry.texts("backend_roles", droppable=True))),
        roles=frozenset(entry.texts("search_guard_roles", droppable=True)),
        attributes=tuple(sorted(texts.items())),
        structured=tuple(sorted(structured.items())),
    )
    _marks(entry)
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
    document.pass_over(("ignore_unauthorized_indices", "field_anonymization", "aliases", "metrics"), NO_EFFECT)
    document.ignore("_sg_meta")
    document.end()
    return ResolutionMode(mode) if mode else ResolutionMode.MAPPING_ONLY
