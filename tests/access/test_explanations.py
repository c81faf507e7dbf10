"""Why they may or may not: an explanation says what the decision says, and names what it came from."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts_service.access.decisions import Rules
from accounts_service.access.explanations import (
    Decision,
    Entry,
    Explanation,
    Held,
    Reason,
    Source,
    document,
    held_document,
    reason_for_role,
    reason_of,
)
from accounts_service.access.patterns import Matcher
from accounts_service.access.privileges import (
    AlsoInTenant,
    Either,
    InTenant,
    Mine,
    Open,
    Privilege,
    Requirement,
    Scoped,
    Within,
)
from accounts_service.access.roles import (
    GLOBAL_TENANT,
    REALM,
    Identity,
    ResolutionMode,
    Role,
    RoleMapping,
    RoleMappings,
    TenantPermission,
)
from tests.access.test_decisions import ACCOUNT, DESTINATION, GROUPS, TENANT, in_tenants, rules, somebody


class SomePrivilege(Privilege):
    GET = ACCOUNT + "get", "Read."
    PUT = ACCOUNT + "put", "Write."
    OLD_GET = DESTINATION + "get", "Read by the old name."
    CONFIG = "cluster:admin:searchguard:config/update", "What nobody may."
    IN_TENANT_GET = TENANT + "get", "Read in a tenant."
    IN_TENANT_PUT = TENANT + "put", "Write in a tenant."


# -- The same as the decision -------------------------------------------------

PRIVILEGES = st.sampled_from(SomePrivilege)
REQUIREMENTS = st.one_of(
    st.sampled_from(Open),
    PRIVILEGES,
    st.builds(Scoped, own=PRIVILEGES, every=PRIVILEGES),
    st.builds(Mine, PRIVILEGES),
    st.builds(Within, PRIVILEGES, st.one_of(st.none(), PRIVILEGES)).filter(lambda one: one.privilege != one.otherwise),
    st.builds(InTenant, PRIVILEGES, st.just("tenant")),
    st.builds(Either, PRIVILEGES, PRIVILEGES),
    st.builds(AlsoInTenant, PRIVILEGES, PRIVILEGES),
)
LISTED = st.lists(
    st.sampled_from(
        (
            "*",
            "READ",
            "MANAGE",
            "LOOP",
            "NONE",
            ACCOUNT + "*",
            ACCOUNT + "get",
            DESTINATION + "*",
            "cluster:*",
            "/.*t/",
            TENANT + "get",
            TENANT + "*",
        )
    ),
    max_size=3,
).map(tuple)
TENANTS = st.sampled_from(("", "_main", GLOBAL_TENANT, "t1", "t2", "alice", "unknown", "*"))
TENANT_PATTERNS = st.lists(
    st.sampled_from(("*", "t1", "t?", GLOBAL_TENANT, "${user.name}", "${user.attrs.dept}", "unknown")), max_size=2
).map(tuple)
ALL_ROLES = st.dictionaries(
    st.sampled_from(("one", "two", "three")),
    st.builds(
        Role,
        LISTED,
        st.one_of(st.just(()), LISTED),
        st.lists(st.builds(TenantPermission, TENANT_PATTERNS, LISTED), max_size=2).map(tuple),
    ),
)
NAMES = st.sampled_from(("one", "two", "three", "four"))
NAME_PATTERNS = st.lists(st.sampled_from(("one", "t*", "alice", "*", "10.0.0.1", "10.*")), max_size=2)
MATCHERS = st.builds(Matcher, NAME_PATTERNS)
MAPPINGS = st.builds(
    RoleMappings,
    st.sampled_from(ResolutionMode),
    st.dictionaries(
        NAMES,
        st.builds(
            RoleMapping,
            MATCHERS,
            MATCHERS,
            st.lists(MATCHERS, max_size=2).map(tuple),
            MATCHERS,
            st.lists(st.sampled_from((ip_network("10.0.0.0/8"), ip_network("::/0"))), max_size=2).map(tuple),
        ),
    ),
)
IDENTITIES = st.builds(
    Identity,
    realm=st.sampled_from((REALM, "elsewhere")),
    name=st.sampled_from(("alice", "t1", "bob")),
    backend_roles=st.frozensets(NAMES, max_size=2),
    roles=st.frozensets(NAMES, max_size=2),
    attributes=st.sampled_from(((), (("dept", "t2"),))),
    address=st.sampled_from((None, ip_address("10.0.0.1"), ip_address("fe80::1"))),
    own=st.sampled_from((None, "box1")),
)


def composed(requirement: Requirement, decisions: tuple[Decision, ...]) -> bool:
    """Put single decisions together as the form of the requirement says."""
    held = [decision.allowed for decision in decisions]
    return any(held) if isinstance(requirement, Scoped | Either | Within) else all(held)


REQUESTS = st.tuples(REQUIREMENTS, st.lists(PRIVILEGES), TENANTS, TENANTS)


@settings(max_examples=400)
@given(ALL_ROLES, MAPPINGS, st.one_of(st.none(), IDENTITIES), REQUESTS)
def test_an_explanation_never_disagrees_with_the_decision(
    roles: dict[str, Role],
    mappings: RoleMappings,
    identity: Identity | None,
    request: tuple[Requirement, list[Privilege], str, str],
) -> None:
    requirement, optional, of_path, asked_for = request
    engine = Rules(roles, GROUPS, mappings, ("t1", "t2", "alice", "*"))
    grant = engine.grant(identity, requirement, {"tenant": of_path}, optional, asked_for)
    explained = engine.explain_request(identity, requirement, {"tenant": of_path}, optional, asked_for)
    assert explained.grant == grant
    assert explained.allowed is (grant is not None)
    if identity is None or isinstance(requirement, Open):
        assert explained.decisions == ()
        return
    assert composed(requirement, explained.decisions) is explained.allowed
    if grant is not None:
        held = {decision.action for decision in explained.optional if decision.allowed}
        assert held == {privilege.action for privilege in grant.also}
        assert len(explained.optional) == len(optional)


@given(ALL_ROLES, IDENTITIES, PRIVILEGES, TENANTS)
def test_what_would_give_a_missing_privilege_gives_it(
    roles: dict[str, Role], identity: Identity, privilege: Privilege, tenant: str
) -> None:
    engine = Rules(roles, GROUPS, RoleMappings(), ("t1", "t2", "alice", "*"))
    decision = engine.explain(identity, privilege.action, tenant)
    assert decision.allowed is engine.allows(identity, privilege, tenant)
    held = identity.roles
    for role in decision.roles:
        given_it = Identity(REALM, identity.name, roles=held | {role}, attributes=identity.attributes)
        assert engine.allows(given_it, privilege, tenant)
    for group in decision.groups:
        listed = TenantPermission(("*",), (group,))
        more = Rules({**roles, "more": Role((group,), (), (listed,))}, GROUPS, RoleMappings(), ("t1", "t2", "alice"))
        if tenant != "*":
            assert more.allows(Identity(REALM, "x", roles=held | {"more"}), privilege, tenant)


@given(MAPPINGS, IDENTITIES)
def test_every_role_has_a_reason_and_every_reason_a_role(mappings: RoleMappings, identity: Identity) -> None:
    engine = Rules({}, GROUPS, mappings)
    held = engine.held_roles(identity)
    assert {reason.role for reason in held} == mappings.effective_roles(identity)
    assert all(reason_for_role(reason) for reason in held)
    for reason in held:
        if reason.pattern is not None and reason.value is not None and reason.source is not Source.IPS:
            assert Matcher([reason.pattern]).matches(reason.value)


# -- What it came from --------------------------------------------------------

EXPLAINED = rules(
    {
        "a_looper": Role(cluster_permissions=("LOOP",)),
        "b_direct": Role(cluster_permissions=(ACCOUNT + "get",)),
        "c_without": Role(cluster_permissions=("*",), exclude_cluster_permissions=("READ",)),
        "d_tenant": in_tenants("t1", "${user.name}"),
        "e_tenant": in_tenants("*", actions=(TENANT + "put",)),
    }
)


def direct(*roles: str) -> Identity:
    return somebody(*roles, name="t2")


@pytest.mark.parametrize(
    ("roles", "action", "tenant", "decision"),
    (
        (
            ("a_looper", "b_direct"),
            ACCOUNT + "get",
            None,
            (Reason.PERMISSION, Entry("a_looper", ("LOOP", "MANAGE", "READ", ACCOUNT + "get"))),
        ),
        (("b_direct",), ACCOUNT + "get", None, (Reason.PERMISSION, Entry("b_direct", (ACCOUNT + "get",)))),
        (
            ("b_direct", "c_without"),
            ACCOUNT + "get",
            None,
            (Reason.EXCLUSION, Entry("c_without", ("READ", ACCOUNT + "get"))),
        ),
        (
            ("c_without",),
            DESTINATION + "search",
            None,
            (Reason.EXCLUSION, Entry("c_without", ("READ", ACCOUNT + "search"))),
        ),
        (("c_without",), DESTINATION + "put", None, (Reason.PERMISSION, Entry("c_without", ("*",)))),
        (("c_without",), "cluster:admin:searchguard:config/update", None, (Reason.RESERVED, None)),
        (("d_tenant",), TENANT + "get", "t1", (Reason.PERMISSION, Entry("d_tenant", ("*",), "t1"))),
        (("d_tenant",), TENANT + "get", "t2", (Reason.PERMISSION, Entry("d_tenant", ("*",), "${user.name}"))),
        (("d_tenant",), TENANT + "get", "unknown", (Reason.UNKNOWN_TENANT, None)),
    ),
)
def test_a_decision_names_the_role_and_the_way_to_what_decided(
    roles: tuple[str, ...], action: str, tenant: str | None, decision: tuple[Reason, Entry | None]
) -> None:
    explained = EXPLAINED.explain(direct(*roles), action, tenant)
    assert (explained.reason, explained.entry) == decision
    assert (explained.tenant, explained.groups, explained.roles) == (tenant, (), ())


def test_what_is_missing_is_named_the_closest_fit_first() -> None:
    assert EXPLAINED.explain(direct("b_direct", "undefined"), ACCOUNT + "put") == Decision(
        ACCOUNT + "put", None, Reason.MISSING, groups=("LOOP", "MANAGE"), roles=("a_looper", "c_without")
    )
    # Who excludes it himself is no help.
    assert EXPLAINED.explain(direct(), ACCOUNT + "get").roles == ("a_looper", "b_direct")
    assert EXPLAINED.explain(direct(), TENANT + "put", "t1").roles == ("e_tenant", "d_tenant")
    assert EXPLAINED.explain(direct(), TENANT + "put") == Decision(
        TENANT + "put", GLOBAL_TENANT, Reason.MISSING, roles=("e_tenant",)
    )


@pytest.mark.parametrize(
    ("requirement", "tenant", "reasons"),
    (
        (SomePrivilege.GET, None, [Reason.PERMISSION]),
        (InTenant(SomePrivilege.IN_TENANT_GET, "tenant"), None, [Reason.PERMISSION]),
        (InTenant(SomePrivilege.IN_TENANT_GET, "tenant"), "t2", [Reason.PERMISSION]),
        (Either(SomePrivilege.PUT, SomePrivilege.GET), None, [Reason.MISSING, Reason.PERMISSION]),
        (AlsoInTenant(SomePrivilege.GET, SomePrivilege.IN_TENANT_GET), "_main", [Reason.PERMISSION]),
        (AlsoInTenant(SomePrivilege.GET, SomePrivilege.IN_TENANT_GET), "t1", [Reason.PERMISSION, Reason.PERMISSION]),
        (
            AlsoInTenant(SomePrivilege.GET, SomePrivilege.IN_TENANT_GET),
            "x",
            [Reason.PERMISSION, Reason.UNKNOWN_TENANT],
        ),
        (Open.ANY_IDENTITY, None, []),
    ),
)
def test_each_form_of_a_requirement_is_explained_privilege_by_privilege(
    requirement: Requirement, tenant: str | None, reasons: list[Reason]
) -> None:
    identity = somebody("b_direct", "d_tenant")
    optional = (SomePrivilege.IN_TENANT_GET,)
    explained = EXPLAINED.explain_request(identity, requirement, {"tenant": "t1"}, optional, tenant)
    assert [decision.reason for decision in explained.decisions] == reasons
    assert all(extra.tenant in {"t1", GLOBAL_TENANT} for extra in explained.optional)


def test_every_way_to_a_role_is_named() -> None:
    mapping = RoleMapping(
        users=Matcher(["c*"]),
        backend_roles=Matcher(["s?les"]),
        and_backend_roles=(Matcher(["sales"]), Matcher(["support"])),
        hosts=Matcher(["10.*"]),
        ips=(ip_network("10.0.0.0/8"), ip_network("192.0.2.0/24")),
    )
    mappings = RoleMappings(ResolutionMode.BOTH, {"r": mapping})
    carol = Identity(REALM, "carol", frozenset(("sales", "support")), frozenset(("r",)), address=ip_address("10.0.0.1"))
    assert Rules({}, {}, mappings).held_roles(carol) == (
        Held("r", Source.OWN_ENTRY),
        Held("r", Source.USERS, "carol", "c*"),
        Held("r", Source.BACKEND_ROLES, "sales", "s?les"),
        Held("r", Source.AND_BACKEND_ROLES),
        Held("r", Source.HOSTS, "10.0.0.1", "10.*"),
        Held("r", Source.IPS, "10.0.0.1", "10.0.0.0/8"),
        Held("sales", Source.BACKEND_ROLE),
        Held("support", Source.BACKEND_ROLE),
    )
    stranger = Identity(REALM, "dave", address=ip_address("203.0.113.1"))
    assert Rules({}, {}, mappings).held_roles(stranger) == ()
    without_mapping = RoleMappings(ResolutionMode.BACKENDROLES_ONLY, {"r": mapping})
    assert {held.role for held in Rules({}, {}, without_mapping).held_roles(carol)} == {"r", "sales", "support"}


def test_one_s_own_object_has_to_be_there() -> None:
    engine = rules({"r": Role(cluster_permissions=(ACCOUNT + "get",))})
    requirement = Scoped(own=SomePrivilege.GET, every=SomePrivilege.PUT)
    without = engine.explain_request(somebody("r"), requirement, {})
    assert [decision.reason for decision in without.decisions] == [Reason.MISSING, Reason.NO_OWN_OBJECT]
    assert not without.allowed
    assert engine.explain_request(somebody("r", own="box1"), requirement, {}).allowed


def test_what_is_for_ones_own_alone_is_for_nobody_without() -> None:
    engine = rules({"r": Role(cluster_permissions=("*",))})
    requirement = Mine(SomePrivilege.GET)
    without = engine.explain_request(somebody("r"), requirement, {})
    assert [decision.reason for decision in without.decisions] == [Reason.NO_OWN_OBJECT]
    assert not without.allowed
    assert engine.explain_request(somebody("r", own="box1"), requirement, {}).allowed
    missing = engine.explain_request(somebody(own="box1"), requirement, {})
    assert [decision.reason for decision in missing.decisions] == [Reason.MISSING]


def test_what_holds_within_an_account_is_explained_before_what_is_for_oneself() -> None:
    engine = rules({"wide": Role(cluster_permissions=(ACCOUNT + "put",)), "own": Role((ACCOUNT + "get",))})
    requirement = Within(SomePrivilege.PUT, otherwise=SomePrivilege.GET)

    def reasons(identity: Identity, requirement: Within = requirement) -> tuple[bool, list[Reason]]:
        explained = engine.explain_request(identity, requirement, {})
        return explained.allowed, [decision.reason for decision in explained.decisions]

    for own in (None, "box1"):
        assert reasons(somebody("wide", own=own)) == (True, [Reason.PERMISSION, Reason.MISSING])
        assert reasons(somebody(own=own)) == (False, [Reason.MISSING, Reason.MISSING])
        assert reasons(somebody("wide", own=own), Within(SomePrivilege.PUT)) == (True, [Reason.PERMISSION])
        assert reasons(somebody("own", own=own), Within(SomePrivilege.PUT)) == (False, [Reason.MISSING])
    assert reasons(somebody("own", own="box1")) == (True, [Reason.MISSING, Reason.PERMISSION])
    assert reasons(somebody("own")) == (False, [Reason.MISSING, Reason.NO_OWN_OBJECT])


def test_roles_and_groups_are_told_from_what_is_none() -> None:
    assert (EXPLAINED.is_defined("a_looper"), EXPLAINED.is_defined("READ")) == (True, False)
    assert (EXPLAINED.is_group("READ"), EXPLAINED.is_group("a_looper")) == (True, False)


# -- Words --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("decision", "lines"),
    (
        (Decision("a", None, Reason.RESERVED), [Reason.RESERVED.value]),
        (
            Decision("a", None, Reason.PERMISSION, Entry("r", ("G", "a*"))),
            ["a role allows it", "by role r: G > a*"],
        ),
        (
            Decision("a", "t1", Reason.PERMISSION, Entry("r", ("a",), "t?")),
            ["a role allows it", "by role r: a", "in the tenants 't?'"],
        ),
        (
            Decision("a", None, Reason.MISSING, groups=("G", "H"), roles=("r",)),
            ["no role allows it", "action groups that give it: G, H", "roles that give it: r"],
        ),
    ),
)
def test_a_decision_can_be_read(decision: Decision, lines: list[str]) -> None:
    assert reason_of(decision) == lines


def test_why_somebody_has_a_role_can_be_read() -> None:
    assert reason_for_role(Held("r", Source.OWN_ENTRY)) == "given directly"
    held = Held("r", Source.USERS, "carol", "c*")
    assert reason_for_role(held) == "sg_roles_mapping.yml, users: 'carol' matches 'c*'"
    assert held_document(held) == {"role": "r", "source": "USERS", "value": "carol", "pattern": "c*"}


def test_an_explanation_as_json_says_all_of_it() -> None:
    decisions = (
        Decision("a", None, Reason.PERMISSION, Entry("r", ("a",))),
        Decision("b", "t1", Reason.MISSING, groups=("G",)),
    )
    assert document(Explanation(SomePrivilege.GET, None, decisions, ())) == {
        "allowed": False,
        "requirement": ACCOUNT + "get",
        "decisions": [
            {
                "action": "a",
                "tenant": None,
                "allowed": True,
                "reason": "PERMISSION",
                "entry": {"role": "r", "chain": ["a"], "tenant_pattern": None},
                "groups": [],
                "roles": [],
            },
            {
                "action": "b",
                "tenant": "t1",
                "allowed": False,
                "reason": "MISSING",
                "entry": None,
                "groups": ["G"],
                "roles": [],
            },
        ],
        "optional": [],
    }
