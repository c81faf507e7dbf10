"""May they? Decisions, grants and explanations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts_service.access import action_groups, decisions
from accounts_service.access.decisions import Permissions, Rules, normal_tenant
from accounts_service.access.patterns import Matcher
from accounts_service.access.privileges import (
    AlsoInTenant,
    Either,
    Everything,
    Grant,
    InTenant,
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
)
from accounts_service.access.roles import (
    GLOBAL_TENANT,
    REALM,
    Identity,
    Role,
    RoleMapping,
    RoleMappings,
    TenantPermission,
)

ACCOUNT = "cluster:admin:searchguard:signals:account/"
DESTINATION = "cluster:admin:searchguard:signals:destination/"
TENANT = "cluster:admin:searchguard:tenant:signals:account/"

GROUPS = {
    "READ": (ACCOUNT + "get", ACCOUNT + "search"),
    "MANAGE": ("READ", ACCOUNT + "put"),
    "LOOP": ("LOOP", "MANAGE"),
}


class ToyPrivilege(Privilege):
    PLAY = "cluster:admin:toy:toy/play", "Play."
    WIND = "cluster:admin:toy:toy/wind", "Wind it up."
    OWN = "cluster:admin:toy:box/_own/read", "Look into one's own box."
    ALL = "cluster:admin:toy:box/_all/read", "Look into every box."
    LEND = "cluster:admin:searchguard:tenant:toy:box/lend", "Lend within a tenant."
    TELL = "cluster:admin:searchguard:tenant:toy:box/tell", "Tell a tenant."
    ACCOUNT_GET = ACCOUNT + "get", "Read an account."
    DESTINATION_GET = DESTINATION + "get", "Read an account by its old name."


def permissions(*roles: Role, tenants: Iterable[str] = ("t1", "t2")) -> Permissions:
    return Permissions(roles, GROUPS, frozenset((*tenants, GLOBAL_TENANT)))


def rules(roles: Mapping[str, Role], tenants: Iterable[str] = ("t1", "t2")) -> Rules:
    return Rules(roles, GROUPS, RoleMappings(), tenants)


def somebody(*roles: str, name: str = "alice", own: str | None = None, **attributes: str) -> Identity:
    return Identity(realm=REALM, name=name, roles=frozenset(roles), attributes=tuple(attributes.items()), own=own)


def in_tenants(*patterns: str, actions: Iterable[str] = ("*",)) -> Role:
    return Role(tenant_permissions=(TenantPermission(patterns, tuple(actions)),))


# -- Cluster actions ----------------------------------------------------------


@pytest.mark.parametrize(
    ("listed", "action", "allowed"),
    (
        ((), ACCOUNT + "get", False),
        (("*",), ACCOUNT + "get", True),
        ((ACCOUNT + "get",), ACCOUNT + "get", True),
        ((ACCOUNT + "get",), ACCOUNT + "put", False),
        ((ACCOUNT + "???",), ACCOUNT + "put", True),
        (("READ",), ACCOUNT + "search", True),
        (("READ",), ACCOUNT + "put", False),
        (("LOOP",), ACCOUNT + "get", True),
        (("UNDEFINED",), ACCOUNT + "get", False),
        ((ACCOUNT + "get",), DESTINATION + "get", False),
    ),
)
def test_a_role_allows_what_it_lists_by_name_pattern_or_group(
    listed: tuple[str, ...], action: str, *, allowed: bool
) -> None:
    assert permissions(Role(cluster_permissions=listed)).cluster(action) is allowed


@pytest.mark.parametrize("excluded", (ACCOUNT + "get", ACCOUNT + "*", "READ", "MANAGE", "*", "/.*get/"))
def test_an_exclusion_in_any_role_wins_over_everything(excluded: str) -> None:
    one, other = Role(cluster_permissions=("*", ACCOUNT + "get")), Role(exclude_cluster_permissions=(excluded,))
    assert permissions(one).cluster(ACCOUNT + "get")
    assert not permissions(one, other).cluster(ACCOUNT + "get")
    assert not permissions(other, one).cluster(ACCOUNT + "get")


def test_an_exclusion_of_something_else_changes_nothing() -> None:
    assert permissions(Role(("*",), (ACCOUNT + "put",))).cluster(ACCOUNT + "get")


@pytest.mark.parametrize("verb", ("get", "search", "put", "delete"))
def test_excluding_an_act_on_accounts_excludes_it_under_the_old_name(verb: str) -> None:
    held = permissions(Role(("*",), (ACCOUNT + verb,)))
    assert not held.cluster(DESTINATION + verb)
    assert held.cluster(DESTINATION + "other")


def test_excluding_the_old_name_leaves_the_new_one() -> None:
    held = permissions(Role(("*",), (DESTINATION + "get",)))
    assert not held.cluster(DESTINATION + "get")
    assert held.cluster(ACCOUNT + "get")


@pytest.mark.parametrize("kind", ("config", "internal"))
def test_what_is_reserved_for_certificates_is_denied_to_everyone(kind: str) -> None:
    action = f"cluster:admin:searchguard:{kind}/update"
    assert not permissions(Role(cluster_permissions=("*", action))).cluster(action)


@pytest.mark.parametrize("listed", ("*", TENANT + "get", "cluster:*"))
def test_cluster_permissions_never_allow_a_tenant_action(listed: str) -> None:
    held = permissions(Role(cluster_permissions=(listed,)))
    assert not held.tenant(TENANT + "get", GLOBAL_TENANT, somebody())
    assert not held.cluster(TENANT + "get")


def test_tenant_permissions_never_allow_a_cluster_action() -> None:
    assert not permissions(in_tenants("*", actions=("*", ACCOUNT + "get"))).cluster(ACCOUNT + "get")


LISTS = st.lists(
    st.sampled_from(
        (
            "*",
            "READ",
            "MANAGE",
            "LOOP",
            "NONE",
            ACCOUNT + "*",
            ACCOUNT + "get",
            ACCOUNT + "put",
            DESTINATION + "*",
            DESTINATION + "get",
            "cluster:*",
            "/.*t/",
            "indices:*",
        )
    ),
    max_size=3,
).map(tuple)
ROLES = st.lists(st.builds(Role, cluster_permissions=LISTS, exclude_cluster_permissions=LISTS), max_size=3)
ACTIONS = st.sampled_from(
    (
        *(prefix + verb for prefix in (ACCOUNT, DESTINATION) for verb in ("get", "put", "delete")),
        "cluster:admin:searchguard:config/update",
        "indices:data/read/scroll",
    )
)


def holds(listed: tuple[str, ...], action: str) -> bool:
    return any(Matcher([pattern]).matches(action) for pattern in action_groups.resolve(listed, GROUPS))


def naive(roles: Iterable[Role], action: str) -> bool:
    roles = tuple(roles)
    acts = {action, action.replace("signals:destination/", "signals:account/")}
    if action.startswith("cluster:admin:searchguard:config/"):
        return False
    if any(holds(role.exclude_cluster_permissions, act) for role in roles for act in acts):
        return False
    return any(holds(role.cluster_permissions, action) for role in roles)


@given(ROLES, st.lists(ACTIONS, max_size=8))
def test_a_decision_is_what_the_rules_say_one_by_one_also_when_remembered(roles: list[Role], asked: list[str]) -> None:
    held = permissions(*roles)
    for action in asked:
        assert held.cluster(action) == naive(roles, action)
        assert held.cluster(action) == naive(roles, action)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decisions, "_REMEMBERED", 2)
    held = permissions(Role(cluster_permissions=("READ",)))
    for _ in range(2):
        assert [held.cluster(ACCOUNT + verb) for verb in ("get", "put", "search", "delete")] == [True, False] * 2
    assert len(held._decided) == 2
    engine = rules({"reader": Role(cluster_permissions=("READ",))})
    for number in range(5):
        identity = somebody("reader", name=f"user{number}")
        assert engine.effective_roles(identity) is engine.effective_roles(identity)
        roles = frozenset(("reader", f"role{number}"))
        assert engine.permissions(roles) is engine.permissions(roles)
    assert len(engine._effective) <= 2
    assert len(engine._compiled) <= 2


# -- Tenant actions -----------------------------------------------------------


@pytest.mark.parametrize(
    ("patterns", "actions", "tenant", "allowed"),
    (
        (("t1",), ("*",), "t1", True),
        (("t1",), ("*",), "t2", False),
        (("t?",), (TENANT + "get",), "t2", True),
        (("*",), (TENANT + "put",), "t1", False),
        (("*",), ("*",), "unknown", False),
        (("unknown",), ("*",), "unknown", False),
        (("*",), ("*",), "__user__", False),
        ((), ("*",), "t1", False),
        (("*",), (), "t1", False),
        ((GLOBAL_TENANT,), ("*",), GLOBAL_TENANT, True),
        ((GLOBAL_TENANT,), ("*",), "_main", True),
        ((GLOBAL_TENANT,), ("*",), "", True),
        (("_main",), ("*",), "_main", False),
    ),
)
def test_a_tenant_action_needs_a_rule_for_it_in_a_known_tenant(
    patterns: tuple[str, ...], actions: tuple[str, ...], tenant: str, *, allowed: bool
) -> None:
    held = permissions(in_tenants(*patterns, actions=actions))
    assert held.tenant(TENANT + "get", tenant, somebody()) is allowed


def test_tenant_and_action_must_come_from_the_same_rule() -> None:
    held = permissions(in_tenants("t1", actions=(TENANT + "get",)), in_tenants("t2", actions=(TENANT + "put",)))
    assert held.tenant(TENANT + "get", "t1", somebody())
    assert not held.tenant(TENANT + "get", "t2", somebody())
    assert not held.tenant(TENANT + "put", "t1", somebody())


def test_an_exclusion_of_cluster_permissions_leaves_tenants_alone() -> None:
    held = permissions(Role(exclude_cluster_permissions=("*",)), in_tenants("t1"))
    assert held.tenant(TENANT + "get", "t1", somebody())


def test_groups_are_resolved_in_tenant_permissions_too() -> None:
    held = Permissions([in_tenants("t1", actions=("G",))], {"G": (TENANT + "get",)}, frozenset(("t1",)))
    assert held.tenant(TENANT + "get", "t1", somebody())


@pytest.mark.parametrize(
    ("pattern", "identity", "reached"),
    (
        ("${user.name}", somebody(name="t1"), {"t1"}),
        ("${user_name}", somebody(name="t2"), {"t2"}),
        ("${user.name}*", somebody(name="t"), {"t1", "t2"}),
        ("${user.name}", somebody(name="*"), {"*"}),
        ("${user.name}", somebody(name="t?"), set()),
        ("${user.name}", somebody(name="/.*/"), set()),
        ("${user.name}", somebody(name="${user.attrs.x}", x="t1"), set()),
        ("${user.name}", somebody(name="T1"), set()),
        ("${user.attrs.dept}", somebody(dept="t1"), {"t1"}),
        ("${user.attrs.dept}", somebody(dept="*"), {"*"}),
        ("${user.attrs.dept}", somebody(), set()),
        ("*${user.attrs.dept}*", somebody(dept=""), set()),
        ("${user.attrs.name}", somebody(name="t1"), set()),
        ("${user.roles}", somebody("t1"), set()),
        ("${dept}", somebody(dept="t1"), set()),
        ("${user.name}${user.attrs.n}", somebody(name="t", n="1"), {"t1"}),
    ),
)
def test_what_a_caller_brings_is_put_into_a_tenant_pattern_literally(
    pattern: str, identity: Identity, reached: set[str]
) -> None:
    tenants = ("t1", "t2", "*")
    held = permissions(in_tenants(pattern), tenants=tenants)
    assert {tenant for tenant in tenants if held.tenant(TENANT + "get", tenant, identity)} == reached


def test_an_attribute_cannot_pass_for_the_name() -> None:
    crafty = Identity(realm=REALM, name="eve", attributes=(("name", "t1"), ("user.name", "t1"), ("", "t1")))
    assert not permissions(in_tenants("${user.name}", "${user_name}")).tenant(TENANT + "get", "t1", crafty)


def test_the_name_of_one_caller_is_not_remembered_for_the_next() -> None:
    engine = rules({"r": in_tenants("${user.name}", actions=("*",))})
    assert engine.allows(somebody("r", name="t1"), ToyPrivilege.LEND, "t1")
    assert not engine.allows(somebody("r", name="t2"), ToyPrivilege.LEND, "t1")


@pytest.mark.parametrize(
    ("tenant", "name"), (("", GLOBAL_TENANT), ("_main", GLOBAL_TENANT), (GLOBAL_TENANT, GLOBAL_TENANT), ("a", "a"))
)
def test_the_global_tenant_has_one_name(tenant: str, name: str) -> None:
    assert normal_tenant(tenant) == name


# -- Grants -------------------------------------------------------------------

ENGINE = rules(
    {
        "player": Role(cluster_permissions=(ToyPrivilege.PLAY.action,)),
        "winder": Role(cluster_permissions=(ToyPrivilege.WIND.action,)),
        "owner": Role(cluster_permissions=(ToyPrivilege.OWN.action,)),
        "keeper": Role(cluster_permissions=(ToyPrivilege.ALL.action,)),
        "lender": in_tenants("t1", actions=(ToyPrivilege.LEND.action,)),
        "teller": in_tenants("t1", GLOBAL_TENANT, actions=(ToyPrivilege.TELL.action,)),
        "everything": Role(cluster_permissions=("*",)),
    }
)
BOX = Scoped(own=ToyPrivilege.OWN, every=ToyPrivilege.ALL)
BOXES = Within(ToyPrivilege.ALL, otherwise=ToyPrivilege.OWN)
LENT = InTenant(ToyPrivilege.LEND, "tenant")


def granted(identity: Identity | None, requirement: Requirement, tenant: str = "t1") -> Grant | None:
    return ENGINE.grant(identity, requirement, {"tenant": tenant})


@pytest.mark.parametrize("identity", (None, somebody(), somebody("everything", own="box1")))
def test_a_public_route_is_open_to_everyone_and_touches_nothing_stored(identity: Identity | None) -> None:
    assert granted(identity, Open.PUBLIC) == Grant(None, Nothing())


@pytest.mark.parametrize("requirement", (Open.ANY_IDENTITY, ToyPrivilege.PLAY, BOX, BOXES, LENT))
def test_nobody_gets_nothing_else(requirement: Requirement) -> None:
    assert granted(None, requirement) is None


@pytest.mark.parametrize(("own", "scope"), ((None, Nothing()), ("box1", Own("box1"))))
def test_any_identity_reaches_its_own_at_most(own: str | None, scope: Scope) -> None:
    assert granted(somebody("everything", own=own), Open.ANY_IDENTITY) == Grant(None, scope)


@pytest.mark.parametrize(
    ("identity", "requirement", "grant"),
    (
        (somebody("player"), ToyPrivilege.PLAY, Grant(ToyPrivilege.PLAY, Everything())),
        (somebody("everything"), ToyPrivilege.PLAY, Grant(ToyPrivilege.PLAY, Everything())),
        (somebody("winder"), ToyPrivilege.PLAY, None),
        (somebody(), ToyPrivilege.PLAY, None),
        (somebody("undefined"), ToyPrivilege.PLAY, None),
        (somebody("keeper"), BOX, Grant(ToyPrivilege.ALL, Everything())),
        (somebody("keeper", own="box1"), BOX, Grant(ToyPrivilege.ALL, Everything())),
        (somebody("keeper", "owner", own="box1"), BOX, Grant(ToyPrivilege.ALL, Everything())),
        (somebody("owner", own="box1"), BOX, Grant(ToyPrivilege.OWN, Own("box1"))),
        (somebody("owner"), BOX, None),
        (somebody("player", own="box1"), BOX, None),
        (somebody("keeper", "everything", own="box1"), Mine(ToyPrivilege.ALL), Grant(ToyPrivilege.ALL, Own("box1"))),
        (somebody("owner", own="box1"), Mine(ToyPrivilege.OWN), Grant(ToyPrivilege.OWN, Own("box1"))),
        (somebody("owner", own="box1"), Mine(ToyPrivilege.ALL), None),
        (somebody("everything"), Mine(ToyPrivilege.OWN), None),
        (somebody(own="box1"), Mine(ToyPrivilege.OWN), None),
        (somebody("keeper"), BOXES, Grant(ToyPrivilege.ALL, Everything())),
        (somebody("keeper", own="box1"), BOXES, Grant(ToyPrivilege.ALL, Own("box1"))),
        (somebody("keeper", "owner", own="box1"), BOXES, Grant(ToyPrivilege.ALL, Own("box1"))),
        (somebody("everything", own="box1"), BOXES, Grant(ToyPrivilege.ALL, Own("box1"))),
        (somebody("owner", own="box1"), BOXES, Grant(ToyPrivilege.OWN, Own("box1"))),
        (somebody("owner"), BOXES, None),
        (somebody("owner", own="box1"), Within(ToyPrivilege.ALL), None),
        (somebody("keeper"), Within(ToyPrivilege.ALL), Grant(ToyPrivilege.ALL, Everything())),
        (somebody("player", own="box1"), BOXES, None),
        (somebody(own="box1"), BOXES, None),
        (somebody(), BOXES, None),
        (somebody("lender"), LENT, Grant(ToyPrivilege.LEND, Tenants(frozenset(("t1",))))),
        (somebody("teller"), LENT, None),
        (somebody("everything"), LENT, None),
    ),
)
def test_a_grant_is_as_wide_as_the_privilege_held(
    identity: Identity, requirement: Requirement, grant: Grant | None
) -> None:
    assert granted(identity, requirement) == grant


def test_excluding_what_holds_within_an_account_leaves_what_is_for_oneself() -> None:
    engine = rules(
        {
            "r": Role(("*",)),
            "x": Role((), (ToyPrivilege.ALL.action,)),
            "y": Role((), ("cluster:admin:toy:box/*",)),
        }
    )
    assert engine.grant(somebody("r", "x", own="box1"), BOXES, {}) == Grant(ToyPrivilege.OWN, Own("box1"))
    assert engine.grant(somebody("r", "x"), BOXES, {}) is None
    assert engine.grant(somebody("r", "x", own="box1"), Within(ToyPrivilege.ALL), {}) is None
    for own in (None, "box1"):
        assert engine.grant(somebody("r", "y", own=own), BOXES, {}) is None


def test_within_an_account_other_privileges_widen_the_answer_as_elsewhere() -> None:
    optional = (ToyPrivilege.PLAY, ToyPrivilege.WIND)
    for own, scope in ((None, Everything()), ("box1", Own("box1"))):
        grant = ENGINE.grant(somebody("keeper", "player", own=own), BOXES, {}, optional)
        assert grant == Grant(ToyPrivilege.ALL, scope, frozenset((ToyPrivilege.PLAY,)))


def test_a_tenant_privilege_holds_within_an_account_or_in_the_global_tenant() -> None:
    requirement = Within(ToyPrivilege.TELL)
    assert granted(somebody("teller", own="box1"), requirement) == Grant(ToyPrivilege.TELL, Own("box1"))
    everywhere = Tenants(frozenset((GLOBAL_TENANT,)))
    assert granted(somebody("teller"), requirement) == Grant(ToyPrivilege.TELL, everywhere)
    assert granted(somebody("lender"), requirement) is None


@pytest.mark.parametrize("tenant", ("t2", "unknown", "", "_main", GLOBAL_TENANT, "T1", "t1 ", "*"))
def test_a_tenant_privilege_holds_in_no_other_tenant(tenant: str) -> None:
    assert granted(somebody("lender"), LENT, tenant) is None


@pytest.mark.parametrize("tenant", ("", "_main", GLOBAL_TENANT))
def test_a_grant_names_the_global_tenant_as_it_is_stored(tenant: str) -> None:
    assert granted(somebody("teller"), InTenant(ToyPrivilege.TELL, "tenant"), tenant) == Grant(
        ToyPrivilege.TELL, Tenants(frozenset((GLOBAL_TENANT,)))
    )


@pytest.mark.parametrize("requirement", (ToyPrivilege.TELL, Scoped(own=ToyPrivilege.OWN, every=ToyPrivilege.TELL)))
def test_a_tenant_privilege_without_a_tenant_reaches_the_global_one_only(requirement: Requirement) -> None:
    assert granted(somebody("teller"), requirement) == Grant(ToyPrivilege.TELL, Tenants(frozenset((GLOBAL_TENANT,))))
    assert granted(somebody("lender"), requirement) is None


PLAY_OR_WIND = Either(ToyPrivilege.PLAY, ToyPrivilege.WIND)


@pytest.mark.parametrize(
    ("identity", "held"),
    (
        (somebody("player"), ToyPrivilege.PLAY),
        (somebody("winder"), ToyPrivilege.WIND),
        (somebody("player", "winder"), ToyPrivilege.PLAY),
        (somebody("everything"), ToyPrivilege.PLAY),
        (somebody("keeper", "lender", "teller", own="box1"), None),
        (somebody("undefined"), None),
        (None, None),
    ),
)
def test_either_of_two_names_suffices_and_the_first_is_tried_first(
    identity: Identity | None, held: Privilege | None
) -> None:
    assert granted(identity, PLAY_OR_WIND) == (None if held is None else Grant(held, Everything()))


def test_excluding_one_of_two_names_leaves_the_other() -> None:
    without = rules({"r": Role(("*",), (ToyPrivilege.PLAY.action,))})
    assert without.grant(somebody("r"), PLAY_OR_WIND, {}) == Grant(ToyPrivilege.WIND, Everything())
    neither = rules({"r": Role(("*",)), "x": Role((), ("cluster:admin:toy:*",))})
    assert neither.grant(somebody("r", "x"), PLAY_OR_WIND, {}) is None


@pytest.mark.parametrize(
    "requirement",
    (
        Either(ToyPrivilege.ACCOUNT_GET, ToyPrivilege.DESTINATION_GET),
        Either(ToyPrivilege.DESTINATION_GET, ToyPrivilege.ACCOUNT_GET),
    ),
)
def test_excluding_the_act_on_accounts_leaves_neither_of_its_names(requirement: Either) -> None:
    without_new = rules({"r": Role(("*",), (ACCOUNT + "get",))})
    assert without_new.grant(somebody("r"), requirement, {}) is None
    without_old = rules({"r": Role(("*",), (DESTINATION + "get",))})
    assert without_old.grant(somebody("r"), requirement, {}) == Grant(ToyPrivilege.ACCOUNT_GET, Everything())


def test_either_of_two_names_of_a_tenant_act_holds_in_the_global_tenant() -> None:
    requirement = Either(ToyPrivilege.PLAY, ToyPrivilege.TELL)
    assert granted(somebody("teller"), requirement) == Grant(ToyPrivilege.TELL, Tenants(frozenset((GLOBAL_TENANT,))))


TOLD = AlsoInTenant(ToyPrivilege.PLAY, within=ToyPrivilege.TELL)


def told(identity: Identity | None, tenant: str | None, engine: Rules = ENGINE) -> Grant | None:
    return engine.grant(identity, TOLD, {}, (ToyPrivilege.TELL,), tenant)


@pytest.mark.parametrize("tenant", (None, "", "_main", GLOBAL_TENANT))
def test_the_global_tenant_asks_for_nothing_more(tenant: str | None) -> None:
    assert told(somebody("player"), tenant) == Grant(ToyPrivilege.PLAY, Everything())
    assert told(somebody("teller"), tenant) is None
    assert told(None, tenant) is None


def test_another_tenant_asks_for_both_and_is_all_that_is_granted() -> None:
    both = somebody("player", "teller")
    also = frozenset((ToyPrivilege.TELL,))
    assert told(both, "t1") == Grant(ToyPrivilege.PLAY, Tenants(frozenset(("t1",))), also)
    assert told(somebody("player"), "t1") is None
    assert told(somebody("teller"), "t1") is None
    assert told(somebody("player", "lender"), "t1") is None
    assert told(None, "t1") is None


@pytest.mark.parametrize("tenant", ("t2", "unknown", "T1", "t1 ", "*", "__user__", "SGS_global_tenant"))
def test_a_tenant_that_is_not_held_or_does_not_exist_is_denied(tenant: str) -> None:
    assert told(somebody("player", "teller"), tenant) is None


def test_not_even_who_may_everything_everywhere_may_in_a_tenant_that_is_unknown() -> None:
    engine = rules({"all": Role(("*",), (), (TenantPermission(("*",), ("*",)),))})
    assert told(somebody("all"), "t1", engine) is not None
    assert told(somebody("all"), "unknown", engine) is None


def test_an_exclusion_holds_in_every_tenant() -> None:
    tenants = (TenantPermission(("*",), ("*",)),)
    engine = rules({"r": Role(("*",), (), tenants), "x": Role((), (ToyPrivilege.PLAY.action,))})
    for tenant in ("", "t1"):
        assert told(somebody("r"), tenant, engine) is not None
        assert told(somebody("r", "x"), tenant, engine) is None


@pytest.mark.parametrize("tenant", ("", "t1"))
def test_excluding_the_act_on_accounts_excludes_the_old_name_in_a_tenant_too(tenant: str) -> None:
    requirement = AlsoInTenant(ToyPrivilege.DESTINATION_GET, within=ToyPrivilege.TELL)
    tenants = (TenantPermission(("*",), ("*",)),)
    engine = rules({"r": Role(("*",), (), tenants), "x": Role((), (ACCOUNT + "get",))})
    assert engine.grant(somebody("r"), requirement, {}, (), tenant) is not None
    assert engine.grant(somebody("r", "x"), requirement, {}, (), tenant) is None


def test_a_grant_names_the_optional_privileges_that_are_held() -> None:
    optional = (ToyPrivilege.WIND, ToyPrivilege.ALL)
    identity = somebody("player", "winder")
    grant = ENGINE.grant(identity, ToyPrivilege.PLAY, {}, optional)
    assert grant == Grant(ToyPrivilege.PLAY, Everything(), frozenset((ToyPrivilege.WIND,)))
    assert ENGINE.grant(somebody("winder"), ToyPrivilege.PLAY, {}, optional) is None


def test_optional_tenant_privileges_are_asked_for_in_the_tenant_of_the_path() -> None:
    optional = (ToyPrivilege.TELL,)
    for tenant, held in (("t1", frozenset(optional)), ("t2", frozenset())):
        engine = rules(
            {
                "lender": in_tenants("t1", "t2", actions=(ToyPrivilege.LEND.action,)),
                "teller": in_tenants("t1", actions=(ToyPrivilege.TELL.action,)),
            }
        )
        grant = engine.grant(somebody("lender", "teller"), LENT, {"tenant": tenant}, optional)
        assert grant == Grant(ToyPrivilege.LEND, Tenants(frozenset((tenant,))), held)


# -- Without a request --------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "tenant", "allowed"),
    (
        (ToyPrivilege.PLAY.action, None, True),
        (ToyPrivilege.PLAY.action, "t2", True),
        ("cluster:admin:toy:made/up", None, True),
        ("cluster:admin:toy:box/_all/read", None, False),
        ("cluster:admin:searchguard:config/update", None, False),
        (ToyPrivilege.LEND.action, "t1", True),
        (ToyPrivilege.LEND.action, "t2", False),
        (ToyPrivilege.LEND.action, None, False),
        (ToyPrivilege.TELL.action, None, True),
        (ToyPrivilege.TELL.action, "", True),
        (ToyPrivilege.TELL.action, "unknown", False),
    ),
)
def test_an_action_that_is_no_privilege_is_decided_by_the_same_rules(
    action: str, tenant: str | None, *, allowed: bool
) -> None:
    engine = rules(
        {
            "r": Role(("*",), ("cluster:admin:toy:box/*",), (TenantPermission(("t1",), (ToyPrivilege.LEND.action,)),)),
            "s": in_tenants(GLOBAL_TENANT, actions=(ToyPrivilege.TELL.action,)),
        }
    )
    assert engine.allows_action(somebody("r", "s"), action, tenant) is allowed
    assert len(engine.permissions(frozenset(("r", "s")))._decided) == 0, "callers may make up any number of them"


def test_to_exclude_is_more_than_not_to_allow() -> None:
    engine = rules(
        {
            "r": Role((), (ToyPrivilege.PLAY.action,)),
            "s": Role(("*",)),
            "a": Role((), (ACCOUNT + "*",)),
        }
    )
    assert engine.excludes(somebody("r"), ToyPrivilege.PLAY)
    assert engine.excludes(somebody("r", "s"), ToyPrivilege.PLAY)
    assert not engine.excludes(somebody(), ToyPrivilege.PLAY)
    assert not engine.excludes(somebody("r"), ToyPrivilege.WIND)
    assert engine.excludes(somebody("a"), ToyPrivilege.DESTINATION_GET)


def test_the_tenants_are_named_in_which_somebody_may_do_something() -> None:
    engine = rules(
        {
            "reader": in_tenants("t?", GLOBAL_TENANT, actions=(ToyPrivilege.TELL.action,)),
            "writer": in_tenants("t1", actions=(ToyPrivilege.LEND.action,)),
        },
        tenants=("t2", "t1", "other"),
    )
    reading, writing = (ToyPrivilege.TELL.action,), (ToyPrivilege.LEND.action,)
    assert engine.tenants(somebody("reader", "writer"), reading, writing) == {
        GLOBAL_TENANT: False,
        "t1": True,
        "t2": False,
    }
    assert engine.tenants(somebody("writer"), reading, writing) == {"t1": True}
    assert engine.tenants(somebody("writer"), iter(reading), iter(())) == {}
    assert engine.tenants(somebody(), reading, writing) == {}


def test_roles_come_by_mappings_too() -> None:
    mappings = RoleMappings(by_role={"player": RoleMapping(users=Matcher(["alice"]))})
    engine = Rules({"player": Role(cluster_permissions=(ToyPrivilege.PLAY.action,))}, {}, mappings)
    assert engine.allows(somebody(), ToyPrivilege.PLAY)
    assert not engine.allows(somebody(name="bob"), ToyPrivilege.PLAY)
    assert not engine.allows(Identity(realm="elsewhere", name="alice"), ToyPrivilege.PLAY)
