"""Checks of the configuration directory: its files, roles, users, and who is let in without a name."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from accounts_service import app
from accounts_service.access import action_groups
from accounts_service.access.authenticators import ANONYMOUS
from accounts_service.access.configuration import (
    AUTHC,
    FILES,
    NETBIRD_JWT,
    NO_BCRYPT,
    USERS,
    Configuration,
    is_key_set,
)
from accounts_service.access.documents import Findings, few, load
from accounts_service.access.log_ins import anonymous_identities, depends_on_origin, lets_everybody_in
from accounts_service.access.patterns import is_literal
from accounts_service.access.roles import REALM, Identity, ResolutionMode, Role
from accounts_service.access.snapshot import (
    BadConfigurationError,
    BuiltIns,
    LastGood,
    files_not_read,
    in_use,
    rules_of,
)
from accounts_service.access.variables import file_paths
from accounts_service.config import Settings
from accounts_service.doctor.findings import Finding, carried_out, fail, ok, warn
from accounts_service.doctor.network import judge_network

_LOWEST_COST = 10


def judge_directory(settings: Settings) -> Iterator[Finding]:
    """Find what is wrong in the directory of `settings`, and what is strange in the configuration that is in use."""
    built_ins = app.built_ins()
    try:
        found = in_use(settings.config_dir, LastGood(settings.last_good_dir), built_ins)
    except BadConfigurationError as error:
        for problem in error.problems:
            yield fail("configuration", str(problem), "correct the file; the service does not start")
        return
    for problem in found.problems:
        yield fail("configuration", str(problem), "correct the file; until then no change of the directory is used")
    if found.problems:
        yield warn("last-good", "the last good state is in use, not the directory", "correct the files named above")
    else:
        yield ok("configuration", f"{settings.config_dir} has no problem")
    yield from judge_configuration(found.configuration, settings.config_dir, built_ins)
    yield from _modes(settings.config_dir)
    yield from _open_files_of_variables(settings.config_dir)
    yield from carried_out("proxies", judge_network(found.configuration, settings))


def judge_configuration(configuration: Configuration, directory: Path, built_ins: BuiltIns) -> Iterator[Finding]:
    """Find what files leave out, name in vain or give to the wrong people; `config check` prints it as well."""
    for left_out in configuration.left_out:
        yield warn("left-out", left_out, _todo_about_left_out(left_out))
    for warning in (*configuration.warnings, *files_not_read(directory)):
        if NO_BCRYPT in warning:
            continue  # Told with the users.
        yield warn("no-effect", warning, "change it, or do not rely on it; see docs/operations.md")
    for check, findings in (
        ("roles", judge_roles(configuration, built_ins)),
        ("users", judge_users(configuration, built_ins)),
        ("anonymous", judge_anonymous(configuration, built_ins)),
        ("netbird-jwt", judge_netbird_jwt(configuration)),
    ):
        yield from carried_out(check, findings)


def _todo_about_left_out(left_out: str) -> str:
    if _A_KEY in left_out:
        return "tokens signed with this key are refused; those of the other keys are not touched by it"
    if _A_PARAMETER in left_out or _A_SOURCE in left_out:
        return "the domain is asked without it; remove it, or do not rely on it"
    return "nobody is recognised by it; remove it, or use another kind of domain"


_A_KEY = ": no key for signatures of a kind that is known here"
_A_PARAMETER = ".url_parameter: "
_A_SOURCE = ": additional_user_information of type "


def _modes(directory: Path) -> Iterator[Finding]:
    try:
        names = sorted(path.name for path in directory.iterdir() if is_key_set(path.name))
    except OSError:
        return  # Told as a problem of the directory.
    for name in (USERS, AUTHC, NETBIRD_JWT, *names):
        path = directory / name
        if not path.is_file():
            continue
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
            held = "hashes" if name == USERS else _secrets_in(path)
        except OSError:
            continue  # Told as a problem of the directory, or not needed.
        if mode & 0o007 and held:
            check = {USERS: "users", NETBIRD_JWT: "netbird-jwt"}.get(name, "authc")
            yield warn(check, f"{path} is open to others, and holds {held}", f"chmod o= {path}")


def _open_files_of_variables(directory: Path) -> Iterator[Finding]:
    paths: set[str] = set()
    for name in FILES:
        if not (directory / name).is_file():
            continue  # A pipe would wait for a writer. Told as a problem of the directory, or not needed.
        try:
            paths |= file_paths((directory / name).read_text(encoding="utf-8", errors="replace"))
        except OSError:
            continue  # Told as a problem of the directory, or not needed.
    for path in sorted(directory / path for path in paths):
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except (OSError, ValueError):
            continue  # Told as a variable without a value.
        if mode & 0o007:
            yield warn(
                "variables", f"{path} is open to others, and a variable has its value from it", f"chmod o= {path}"
            )


def _secrets_in(path: Path) -> str:
    # By the document and not by what was made of it, for the file that is in
    # use may be another. Whoever has the secret of an HMAC can sign as anybody.
    text = path.read_text(encoding="utf-8", errors="replace")
    cursor = load(path.name, text, Findings([], []), undotted=path.name in (AUTHC, NETBIRD_JWT))
    sets = [cursor]
    domains = (domain.child("jwt") for domain in cursor.children("auth_domains"))
    for entry in (cursor,) if path.name == NETBIRD_JWT else domains:
        if entry.has("signing_key"):
            return "a secret that tokens are signed with"
        sets.append(entry.child("signing").child("jwks"))
    keys = (key.take("kty") for key_set in sets for key in key_set.children("keys"))
    return "a secret that tokens are signed with" if "oct" in keys else ""


def judge_roles(configuration: Configuration, built_ins: BuiltIns) -> Iterator[Finding]:
    """Find names that lead nowhere, and whether there is an administrator."""
    defined = {**configuration.roles, **built_ins.roles}
    groups = {**configuration.groups, **built_ins.groups}
    given = {role for user in configuration.users.values() for role in user.roles}
    undefined = sorted((configuration.mappings.by_role.keys() | given) - defined.keys())
    for role in undefined:
        how = "mapped" if role in configuration.mappings.by_role else "given to a user"
        yield warn("roles", f"{role} is {how} and not defined", "define it in sg_roles.yml, or take it away")
    idle = _roles_of_nobody(configuration)
    if idle:
        yield warn("roles", f"given to no user: {few(idle)}", "map them in sg_roles_mapping.yml, or remove them")
    named = {f"the role {name}": _entries(role) for name, role in configuration.roles.items()}
    named |= {f"the action group {name}": list(entries) for name, entries in configuration.groups.items()}
    strange = [
        f"{name} names {entry}"
        for name, entries in sorted(named.items())
        for entry in entries
        # An action has a colon in its name, and a group has none.
        if is_literal(entry) and ":" not in entry and entry not in groups
    ]
    for text in strange:
        yield warn("groups", f"{text}, which is not an action group", "see docs/privileges.md for the list")
    if not undefined and not strange and not idle:
        yield ok("roles", f"{len(configuration.roles)} defined, each group that they name is defined")
    administrators = {
        name
        for name, role in defined.items()
        if "*" in action_groups.resolve(role.cluster_permissions, groups) and not role.exclude_cluster_permissions
    }
    if any(administrators & roles for roles in _roles_by_user(configuration, built_ins).values()) or any(
        not mapping.is_empty for role, mapping in configuration.mappings.by_role.items() if role in administrators
    ):
        yield ok("administrator", "at least one user or mapping has all privileges")
    else:
        yield warn(
            "administrator", "nobody may do everything", "map somebody to SGS_ALL_ACCESS in sg_roles_mapping.yml"
        )


def _roles_of_nobody(configuration: Configuration) -> list[str]:
    """List the roles that no mapping and no user gives."""
    if configuration.mappings.mode is not ResolutionMode.MAPPING_ONLY:
        return []  # A backend role of the same name gives a role then.
    given = {role for user in configuration.users.values() for role in user.roles}
    given |= {role for role, mapping in configuration.mappings.by_role.items() if not mapping.is_empty}
    return [name for name in configuration.roles if name not in given]


def _entries(role: Role) -> list[str]:
    listed = [*role.cluster_permissions, *role.exclude_cluster_permissions]
    return listed + [action for permission in role.tenant_permissions for action in permission.allowed_actions]


def _roles_by_user(configuration: Configuration, built_ins: BuiltIns) -> dict[str, frozenset[str]]:
    rules = rules_of(configuration, built_ins)
    return {
        name: rules.effective_roles(
            Identity(REALM, name, backend_roles=user.backend_roles, roles=user.roles, attributes=user.attributes)
        )
        for name, user in configuration.users.items()
    }


def judge_users(configuration: Configuration, built_ins: BuiltIns) -> Iterator[Finding]:
    """Find users that can do nothing, and passwords that are too easy to guess once a hash is out."""
    roles = _roles_by_user(configuration, built_ins)
    # A mapping by address gives roles to any user, so a user without a role of their own is not a mistake.
    by_address = any(mapping.ips or not mapping.hosts.is_empty for mapping in configuration.mappings.by_role.values())
    idle = [] if by_address else [name for name, held in roles.items() if not held]
    users = configuration.users
    unusable = [name for name, user in users.items() if user.hash and user.cost is None]
    cheap = [name for name, user in users.items() if user.cost is not None and user.cost < _LOWEST_COST]
    if idle:
        yield warn("users", f"without any role: {few(idle)}", "map them in sg_roles_mapping.yml, or remove them")
    if unusable:
        yield warn("users", f"without a bcrypt hash: {few(unusable)}", "make one: accounts-service hash-password")
    if cheap:
        text = f"with a hash of a cost below {_LOWEST_COST}: {few(cheap)}"
        yield warn("users", text, "hash their passwords anew: accounts-service hash-password")
    if not idle and not unusable and not cheap:
        yield ok("users", f"{len(users)} in {USERS}")


def judge_anonymous(configuration: Configuration, built_ins: BuiltIns) -> Iterator[Finding]:
    """Find domains behind one that lets everybody in, and everything given to whoever comes."""
    domains, strange = configuration.domains, list[Finding]()
    for number, domain in enumerate(domains):
        if lets_everybody_in(domain) and not depends_on_origin(domain) and domains[number + 1 :]:
            later = ", ".join(other.type for other in domains[number + 1 :])
            text = f"an anonymous domain without conditions lets everybody in; never asked after it: {later}"
            strange.append(warn("anonymous", text, "put it last in auth_domains"))
            break
    rules = rules_of(configuration, built_ins)
    defined = {**configuration.roles, **built_ins.roles}
    groups = {**configuration.groups, **built_ins.groups}
    for domain in domains:
        if domain.type != ANONYMOUS:
            continue
        for identity in anonymous_identities(configuration, domain):
            mighty = sorted(
                role
                for role in rules.effective_roles(identity)
                if role in defined and "*" in action_groups.resolve(defined[role].cluster_permissions, groups)
            )
            if mighty:
                text = f"whoever comes is {identity.name!r} and may do everything, by {', '.join(mighty)}"
                strange.append(fail("anonymous", text, "take the role from those who come without a name"))
    if any(domain.type == ANONYMOUS for domain in domains):
        yield from strange or [ok("anonymous", "those without a name are kept to what they are given")]


def judge_netbird_jwt(configuration: Configuration) -> Iterator[Finding]:
    """List whose JWTs NetBird accepts."""
    native = configuration.netbird_jwt
    if native is None:
        yield ok("netbird-jwt", f"there is no {NETBIRD_JWT}; NetBird takes no JWT")
        return
    audiences = " or ".join(map(repr, native.tokens.audiences))
    text = f"{NETBIRD_JWT} takes tokens of {native.tokens.issuer!r} for {audiences}, keys: {len(native.tokens.keys)}"
    yield ok("netbird-jwt", f"{text}, users by the claim {native.user_id_claim!r}")
