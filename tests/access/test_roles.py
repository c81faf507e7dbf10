"""Roles and who gets them."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from accounts_service.access import action_groups
from accounts_service.access.patterns import Matcher
from accounts_service.access.roles import (
    REALM,
    STATIC,
    Identity,
    ResolutionMode,
    Role,
    RoleMapping,
    RoleMappings,
)

ALICE = Identity(
    realm=REALM,
    name="alice",
    backend_roles=frozenset(("sales", "berlin")),
    roles=frozenset(("own",)),
    address=ip_address("10.1.2.3"),
)


@pytest.mark.parametrize(
    ("mapping", "applies"),
    (
        (RoleMapping(), False),
        (RoleMapping(users=Matcher(["al*"])), True),
        (RoleMapping(users=Matcher(["sales"])), False),
        (RoleMapping(backend_roles=Matcher(["sale?"])), True),
        (RoleMapping(backend_roles=Matcher(["alice"])), False),
        (RoleMapping(hosts=Matcher(["10.1.*"])), True),
        (RoleMapping(hosts=Matcher(["10.2.*"])), False),
        (RoleMapping(ips=(ip_network("10.2.0.0/16"), ip_network("10.1.0.0/16"))), True),
        (RoleMapping(ips=(ip_network("::/0"),)), False),
        (RoleMapping(and_backend_roles=(Matcher(["sales"]), Matcher(["b*"]))), True),
        (RoleMapping(and_backend_roles=(Matcher(["sales"]), Matcher(["paris"]))), False),
        (RoleMapping(users=Matcher(["bob"]), and_backend_roles=(Matcher(["sales"]),)), True),
    ),
)
def test_a_mapping_applies_when_any_of_its_lines_does(mapping: RoleMapping, *, applies: bool) -> None:
    assert mapping.applies_to(ALICE) is applies


@pytest.mark.parametrize("hosts", ("localhost", "*.corp.example", "alice", "sales"))
def test_hosts_match_addresses_and_never_names(hosts: str) -> None:
    nearby = Identity(realm=REALM, name="alice", address=ip_address("127.0.0.1"))
    assert not RoleMapping(hosts=Matcher([hosts])).applies_to(nearby)


def test_a_caller_without_an_address_matches_neither_hosts_nor_ips() -> None:
    nowhere = Identity(realm=REALM, name="alice")
    assert not RoleMapping(hosts=Matcher(["*"])).applies_to(nowhere)
    assert not RoleMapping(ips=(ip_network("0.0.0.0/0"), ip_network("::/0"))).applies_to(nowhere)


def test_without_backend_roles_no_and_list_applies() -> None:
    assert not RoleMapping(and_backend_roles=(Matcher(["*"]),)).applies_to(Identity(realm=REALM, name="alice"))


@pytest.mark.parametrize(
    ("mode", "roles"),
    (
        (ResolutionMode.MAPPING_ONLY, {"own", "mapped"}),
        (ResolutionMode.BACKENDROLES_ONLY, {"own", "sales", "berlin"}),
        (ResolutionMode.BOTH, {"own", "mapped", "sales", "berlin"}),
    ),
)
def test_the_mode_says_whether_backend_roles_are_mapped_or_taken_as_roles(
    mode: ResolutionMode, roles: set[str]
) -> None:
    by_role = {"mapped": RoleMapping(users=Matcher(["alice"])), "other": RoleMapping(users=Matcher(["bob"]))}
    assert RoleMappings(mode, by_role).effective_roles(ALICE) == roles


def test_mapping_is_the_mode_unless_another_is_asked_for() -> None:
    assert RoleMappings().effective_roles(ALICE) == {"own"}


@pytest.mark.parametrize("mode", ResolutionMode)
def test_the_mappings_see_nobody_of_another_realm(mode: ResolutionMode) -> None:
    stranger = Identity(
        realm="mention",
        name="alice",
        backend_roles=frozenset(("sales",)),
        roles=frozenset(("native",)),
        address=ip_address("10.1.2.3"),
    )
    everyone = RoleMapping(users=Matcher(["*"]), backend_roles=Matcher(["*"]), ips=(ip_network("0.0.0.0/0"),))
    assert RoleMappings(mode, {"SGS_ALL_ACCESS": everyone}).effective_roles(stranger) == {"native"}


# -- Search Guard's own -------------------------------------------------------


def test_search_guard_has_fourteen_roles() -> None:
    assert len(STATIC) == 14


def test_only_all_access_allows_everything() -> None:
    assert [name for name, role in STATIC.items() if "*" in role.cluster_permissions] == ["SGS_ALL_ACCESS"]


@pytest.mark.parametrize("role", [role for name, role in STATIC.items() if name != "SGS_ALL_ACCESS"])
def test_no_other_role_reaches_accounts(role: Role) -> None:
    allowed = Matcher(action_groups.resolve(role.cluster_permissions, action_groups.STATIC))
    assert not allowed.matches("cluster:admin:searchguard:signals:account/get")
    assert all(permission.tenant_patterns == ("SGS_GLOBAL_TENANT",) for permission in role.tenant_permissions)


@pytest.mark.parametrize("role", STATIC.values())
def test_every_group_that_a_role_names_exists(role: Role) -> None:
    actions = (*role.cluster_permissions, *(a for p in role.tenant_permissions for a in p.allowed_actions))
    assert {action for action in actions if action.startswith("SGS_")} <= action_groups.STATIC.keys()
    assert not role.exclude_cluster_permissions
