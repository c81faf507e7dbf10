"""Cases of the method UNIT: pieces of logic, each asked of the code that requests go through.

What stands in configuration files is written as such a file and read by the
service's own reader.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import yaml

from accounts_service import app
from accounts_service.access import action_groups
from accounts_service.access.action_groups import ActionGroups
from accounts_service.access.authenticators.user_mapping import UserMappingError
from accounts_service.access.configuration import REQUIRED, ConfigProblem, Configuration, read
from accounts_service.access.decisions import Permissions, Rules
from accounts_service.access.roles import Identity
from accounts_service.families.signals.privileges import requested_tenant
from accounts_service.families.signals.store.accounts import Key
from accounts_service.validation.checks import is_mailbox
from tests.conformance import expectations

Operation = Callable[[Any], dict[str, Any]]

STATIC = "STATIC"


class BadUnitError(Exception):
    """A UNIT line that the runner cannot run."""


def differences(operation: str, body: Any, expected: Mapping[str, Any]) -> Iterator[str]:
    """Run an operation and hold its result against what is expected. Raises BadUnitError for an unknown one."""
    if operation not in _OPERATIONS:
        raise BadUnitError(f"no operation {operation}")
    result = _OPERATIONS[operation](body)
    for name, value in expected.items():
        match name:
            case "set" | "backend_roles_set":
                yield from expectations.subset(sorted(value), sorted(result.get(name, ())), name)
            case "superset_of":
                if missing := set(value) - set(result.get("set", ())):
                    yield f"set lacks {sorted(missing)}"
            case "error_contains":
                if value not in result.get("errors", ""):
                    yield f"errors are {result.get('errors')!r}, without {value!r}"
            case "allowed" | "tenant" | "value" | "user_name" | "error" | "valid":
                yield from expectations.subset(value, result.get(name), name)
            case _:
                raise BadUnitError(f"no result {name}")


def _configuration(**documents: object) -> tuple[Configuration, list[ConfigProblem]]:
    files = {f"sg_{name}.yml": yaml.safe_dump(document) for name, document in documents.items()}
    return read({**dict.fromkeys(REQUIRED, ""), **files})


def _read(**documents: object) -> Configuration:
    configuration, problems = _configuration(**documents)
    if problems:
        raise BadUnitError("; ".join(map(str, problems)))
    return configuration


def _group_files(groups: Mapping[str, list[str]] | str | None) -> dict[str, object]:
    if groups is None or groups == STATIC:
        return {}
    if isinstance(groups, str):
        raise BadUnitError(f"no groups {groups}")
    return {name: {"allowed_actions": actions, "type": "cluster"} for name, actions in groups.items()}


def _groups(body: Any) -> ActionGroups:
    configured = _read(action_groups=_group_files(body.get("groups"))).groups
    return {**configured, **app.built_ins().groups} if body.get("groups") == STATIC else configured


def _resolve(body: Any) -> dict[str, Any]:
    return {"set": list(action_groups.resolve(body["input"], _groups(body)))}


def _identity(user: Mapping[str, Any]) -> Identity:
    return Identity(
        realm="sg_authc",
        name=user.get("name", "somebody"),
        backend_roles=frozenset(user.get("backend_roles", ())),
        roles=frozenset(user.get("search_guard_roles", ())),
        attributes=tuple(sorted(user.get("attributes", {}).items())),
    )


def _permissions(body: Any) -> Permissions:
    tenants = {*body.get("tenants", ()), *([body["tenant"]] if "tenant" in body else [])}
    configuration = _read(roles=body["roles"], tenants={name: {} for name in sorted(tenants)})
    rules = Rules(configuration.roles, _groups(body), configuration.mappings, configuration.tenants)
    return rules.permissions(frozenset(body["user_roles"]))


def _cluster_permission(body: Any) -> dict[str, Any]:
    return {"allowed": _permissions(body).cluster(body["action"])}


def _tenant_permission(body: Any) -> dict[str, Any]:
    identity = _identity(body.get("user", {}))
    return {"allowed": _permissions(body).tenant(body["action"], body["tenant"], identity)}


def _effective_roles(body: Any) -> dict[str, Any]:
    authz = {"role_mapping": {"resolution_mode": body["mode"]}} if body.get("mode") else {}
    mappings = _read(roles_mapping=body["mapping"], authz=authz).mappings
    return {"set": list(mappings.effective_roles(_identity(body["user"])))}


def _tenant(body: Any) -> dict[str, Any]:
    headers = {name.lower(): value for name, value in body.get("headers", {}).items()}
    return {"tenant": requested_tenant(body["uri"].partition("?")[0], headers)}


def _scoped_id(body: Any) -> dict[str, Any]:
    return {"value": Key(body["type"], body["id"], body.get("tenant") or "").scoped_id}


def _user_mapping(body: Any) -> dict[str, Any]:
    domain = {"type": "basic/internal_users_db", "user_mapping": body["mapping"]}
    (read_domain,) = _read(authc={"auth_domains": [domain]}).domains
    try:
        # Without a mapping of its own the name is that of the log-in.
        mapped = read_domain.mapping.map(body["attributes"], default_name="somebody")
    except UserMappingError as error:
        return {"error": str(error)}
    return {"user_name": mapped.user_name, "backend_roles_set": list(mapped.backend_roles)}


def _validate_role(body: Any) -> dict[str, Any]:
    _, problems = _configuration(roles={"role": body.get("role", body)})
    return {"errors": "; ".join(map(str, problems))}


def _valid_email(body: Any) -> dict[str, Any]:
    return {"valid": is_mailbox(body)}


_OPERATIONS: dict[str, Operation] = {
    "action_groups.resolve": _resolve,
    "authz.has_cluster_permission": _cluster_permission,
    "authz.has_tenant_permission": _tenant_permission,
    "role_mapping.evaluate": _effective_roles,
    "tenant.resolve": _tenant,
    "account.scoped_id": _scoped_id,
    "user_mapping.map": _user_mapping,
    "config.validate_role": _validate_role,
    "email.valid_flx": _valid_email,
}
