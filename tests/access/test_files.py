"""The configuration files as text: what they say, or everything that is wrong; sg_authc.yml is in test_authc.py."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address, ip_network

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from accounts_service.access.authenticators import BASIC, Conditions
from accounts_service.access.authenticators.internal_users import InternalUser
from accounts_service.access.authenticators.user_mapping import UserMapping
from accounts_service.access.configuration import (
    FILES,
    NETBIRD_JWT,
    REQUIRED,
    Configuration,
    Domain,
    NetworkSettings,
    read,
)
from accounts_service.access.roles import Identity, ResolutionMode, Role, RoleMappings, TenantPermission

# Of the form of a bcrypt hash, and of nothing.
HASH = "$2y$12$" + "abcdefghijklmnopqrstuv" + "ABCDEFGHIJKLMNOPQRSTUVWXYZ01234"

EMPTY = Configuration(
    roles={},
    mappings=RoleMappings(),
    groups={},
    users={},
    tenants=frozenset(),
    domains=(Domain(BASIC, Conditions(), UserMapping(), challenge=True, with_internal_users=False),),
    network=NetworkSettings(),
    left_out=(),
    netbird_jwt=None,
)


def texts(**documents: str) -> dict[str, str]:
    """Give all files by name, empty but for `documents`: `roles` is sg_roles.yml."""
    return dict.fromkeys(REQUIRED, "") | {f"sg_{name}.yml": text for name, text in documents.items()}


def good(**documents: str) -> Configuration:
    found, problems = read(texts(**documents))
    assert problems == []
    return found


def told(**documents: str) -> list[str]:
    _, problems = read(texts(**documents))
    return [str(problem).removeprefix("sg_") for problem in problems]


# -- All files ----------------------------------------------------------------


def test_empty_files_say_nothing_and_let_internal_users_log_in() -> None:
    assert good() == EMPTY
    assert good(roles="# Nothing yet.\n", tenants="{}", authz="~") == EMPTY


@pytest.mark.parametrize("file", REQUIRED)
def test_a_required_file_is_missed(file: str) -> None:
    _, problems = read({name: "" for name in REQUIRED if name != file})
    assert [str(problem) for problem in problems] == [f"{file}: File does not exist"]


def test_all_that_is_missing_is_told_at_once() -> None:
    found, problems = read({})
    assert [problem.file for problem in problems] == list(REQUIRED)
    assert found == EMPTY


def test_files_of_other_names_are_not_read() -> None:
    assert read(texts() | {"sg_frontend_authc.yml": "]", "notes.txt": "["}) == (EMPTY, [])


def test_every_problem_of_every_file_is_told_at_once_with_its_place() -> None:
    assert told(
        action_groups="a: {allowed_actions: [x, '/(/', {}], type: [cluster], extra: 1}\nb: 3\n",
        roles="""
            r:
              cluster_permissions: {a: b}
              tenant_permissions: [{tenant_patterns: [{}], allowed: x}, text]
            """,
        roles_mapping="m: {ips: [10.0.0.0/8, nowhere], hosts: '/[/', reserved: maybe, user: ann}\n",
        internal_users="u: {backend_roles: true, attributes: [a]}\n",
        tenants="t: {description: [x], members: []}\n",
        authz="role_mapping: BOTH\ndebug: 1\nroles: {}\n",
        authc="auth_domains: text\nnetwork: text\n",
    ) == [
        (
            "action_groups.yml: a.allowed_actions.1: Invalid value: a group without its ) at character 2 "
            "(expected: A regular expression pattern)"
        ),
        "action_groups.yml: a.allowed_actions.2: Invalid value (expected: A string)",
        "action_groups.yml: a.type: Invalid value (expected: A string)",
        "action_groups.yml: a.extra: Unsupported attribute",
        "action_groups.yml: b: Invalid value (expected: A mapping)",
        "roles.yml: r.cluster_permissions: Invalid value (expected: A list of strings)",
        "roles.yml: r.tenant_permissions.0.tenant_patterns.0: Invalid value (expected: A string)",
        "roles.yml: r.tenant_permissions.0.allowed: Unsupported attribute",
        "roles.yml: r.tenant_permissions.1: Invalid value (expected: A mapping)",
        (
            "roles_mapping.yml: m.hosts: Invalid value: a set without its ] at character 1 "
            "(expected: A regular expression pattern)"
        ),
        "roles_mapping.yml: m.ips.1: Invalid value (expected: IP address or netmask in CIDR notation)",
        "roles_mapping.yml: m.reserved: Invalid value (expected: true or false)",
        "roles_mapping.yml: m.user: Unsupported attribute",
        "internal_users.yml: u.attributes: Invalid value (expected: A mapping)",
        "internal_users.yml: u.backend_roles: Invalid value (expected: A list of strings)",
        "tenants.yml: t.description: Invalid value (expected: A string)",
        "tenants.yml: t.members: Unsupported attribute",
        "authz.yml: role_mapping: Invalid value (expected: A mapping)",
        "authz.yml: debug: Invalid value (expected: true or false)",
        "authz.yml: roles: Unsupported attribute",
        "authc.yml: auth_domains: Invalid value (expected: A list)",
        "authc.yml: network: Invalid value (expected: A mapping)",
    ]


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("text", ("[]", "text", "true", "- a: 1"))
def test_a_file_is_a_mapping(file: str, text: str) -> None:
    _, problems = read(texts() | {file: text})
    assert str(problems[0]) == f"{file}: Invalid value (expected: A mapping)"
    # Only this one has attributes that it must have.
    assert len(problems) == (4 if file == NETBIRD_JWT else 1)


NAMED = ("action_groups", "roles", "roles_mapping", "internal_users", "tenants")


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("entry", ("text", "[]", "false"))
def test_an_entry_is_a_mapping(name: str, entry: str) -> None:
    assert told(**{name: f"x: {entry}"}) == [f"{name}.yml: x: Invalid value (expected: A mapping)"]


WHOLE = {"action_groups": "allowed_actions: [], type: cluster, ", "internal_users": f"hash: {HASH}, "}


@pytest.mark.parametrize("name", NAMED)
def test_every_entry_may_be_described_and_marked(name: str) -> None:
    marked = "description: d, reserved: true, hidden: TRUE, static: false"
    good(**{name: f"x: {{{WHOLE.get(name, '')}{marked}}}"})
    assert told(
        **{name: f"x: {{{WHOLE.get(name, '')}description: true, reserved: 'true', hidden: [], static: no}}"}
    ) == [
        f"{name}.yml: x.description: Invalid value (expected: A string)",
        f"{name}.yml: x.reserved: Invalid value (expected: true or false)",
        f"{name}.yml: x.hidden: Invalid value (expected: true or false)",
        f"{name}.yml: x.static: Invalid value (expected: true or false)",
    ]


@pytest.mark.parametrize("name", NAMED)
def test_an_entry_whose_name_begins_with_an_underscore_is_none(name: str) -> None:
    assert good(**{name: "_sg_meta: {type: roles, config_version: 2}\n_note: text\n"}) == EMPTY


# -- YAML ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "problem"),
    (
        ("a: [", "line 2, column 1: did not find expected node content"),
        ("a: b: c", "line 1, column 5: mapping values are not allowed in this context"),
        ("a: {}\n---\nb: {}", "line 2, column 1: but found another document"),
        ("a: &x {}\nb: *x", "line 2, column 4: aliases are not accepted"),
        ("a: !!python/name:os.system {}", "line 1, column 4: tags are not accepted"),
        ("a: !!str text", "line 1, column 4: tags are not accepted"),
        ("a: ! text", "line 1, column 4: tags are not accepted"),
        ("a: !!set {}", "line 1, column 4: tags are not accepted"),
        ("a: {}\nb: {}\na: {}", "line 3, column 1: the key 'a' stands twice"),
        ("a: {}\n'a': {}", "line 2, column 1: the key 'a' stands twice"),
        ("a: {static: true, static: false}", "line 1, column 19: the key 'static' stands twice"),
        ("? [a]\n: {}", "line 1, column 3: a key is no text"),
        ("a: {{b: c}: d}", "line 1, column 5: a key is no text"),
        ("a: " + "[" * 20 + "]" * 20, "line 1, column 23: more than 20 levels"),
        # Many more than libyaml or Python could follow.
        ("a: " + "[" * 100_000, "line 1, column 23: more than 20 levels"),
        ("a: " + "{a: " * 100_000, "line 1, column 80: more than 20 levels"),
    ),
)
def test_a_document_is_plain_yaml(text: str, problem: str) -> None:
    assert told(tenants=text) == [f"tenants.yml: Invalid YAML document: {problem}"]


@pytest.mark.parametrize("text", ("a: \0", "a: \x07", "a: \ud800"))
def test_what_is_no_text_of_yaml_is_refused(text: str) -> None:
    assert told(tenants=text) == ["tenants.yml: Invalid YAML document"]


def test_many_lists_beside_each_other_are_not_deep() -> None:
    good(roles=f"r: {{cluster_permissions: [{', '.join(['a'] * 100)}], index_permissions: [{'[], ' * 100}]}}")


def test_what_is_merged_in_yaml_1_1_is_a_name_here() -> None:
    assert good(tenants="<<: {}\n=: {}").tenants == {"<<", "="}


NAMES = (
    "010",
    "8",
    "0x10",
    "1_000",
    "1e3",
    "1:30",
    "no",
    "yes",
    "on",
    "off",
    "n",
    "2020-01-01",
    ".inf",
    "true",
    "null",
)


@pytest.mark.parametrize("name", (*NAMES, "~", "'~'"))
def test_a_name_is_the_text_that_was_written(name: str) -> None:
    assert good(tenants=f"{name}: {{}}").tenants == {name.strip("'")}


@pytest.mark.parametrize("value", NAMES[:-2])
def test_a_value_is_the_text_that_was_written(value: str) -> None:
    assert good(roles=f"r: {{cluster_permissions: [{value}]}}").roles["r"].cluster_permissions == (value,)


def test_names_that_are_the_same_number_are_different_users() -> None:
    users = good(internal_users=f"010: {{hash: {HASH}, backend_roles: [010]}}\n8: {{hash: {HASH}}}").users
    assert users == {"010": InternalUser(HASH, frozenset(("010",))), "8": InternalUser(HASH)}


# -- Action groups, roles, tenants --------------------------------------------


def test_action_groups_list_their_actions() -> None:
    assert good(
        action_groups="A: {allowed_actions: [x, 'y*', /z/], type: cluster}\nB: {allowed_actions: A, type: kibana}"
    ).groups == {"A": ("x", "y*", "/z/"), "B": ("A",)}


def test_an_action_group_has_actions_and_a_type() -> None:
    missing = [
        "action_groups.yml: A.allowed_actions: Required attribute is missing",
        "action_groups.yml: A.type: Required attribute is missing",
    ]
    for entry in ("", "{}", "{allowed_actions: ~, type: null}"):
        assert told(action_groups=f"A: {entry}") == missing


def test_roles_keep_what_can_be_granted_here_and_read_past_indices() -> None:
    assert good(
        roles="""
            r:
              cluster_permissions: ['cluster:*', SGS_CLUSTER_ALL]
              exclude_cluster_permissions: [/cluster:admin.*/]
              tenant_permissions:
                - {tenant_patterns: ['t_${user.name}', 'b*'], allowed_actions: '*'}
                - {tenant_patterns: [/c.*/]}
                - {}
              index_permissions: [{index_patterns: ['/(/'], anything: [1]}]
              alias_permissions: text
              data_stream_permissions: []
            empty:
            """
    ).roles == {
        "r": Role(
            ("cluster:*", "SGS_CLUSTER_ALL"),
            ("/cluster:admin.*/",),
            (
                TenantPermission(("t_${user.name}", "b*"), ("*",)),
                TenantPermission(("/c.*/",), ()),
                TenantPermission((), ()),
            ),
        ),
        "empty": Role(),
    }


@pytest.mark.parametrize(
    ("pattern", "reason"),
    (
        ("/(/", "a group without its ) at character 2"),
        ("/a{4294967296}/", "a repetition of more than 1000 at character 2"),
        ("/[[a]]/", "a set within a set at character 2"),
        ("/a(?=b).*/", "a look-ahead at character 2"),
        ("/.*(?<!b)/", "a look-behind at character 3"),
        (r"/(a|b)\1/", "a back-reference at character 6"),
        (r"/(?<n>a)\k<n>/", "a back-reference at character 8"),
        ("/a++b/", "a possessive repetition at character 2"),
        ("/(?>a|ab)c/", "an atomic group at character 1"),
        (r"/(\p{L}{1,100}){1,9}/", "more than 4 MiB of memory"),
        (r"/(a{100}){100}/", "repetitions that come to more than 1000"),
    ),
)
@pytest.mark.parametrize(
    "place", ("cluster_permissions", "exclude_cluster_permissions", "tenant_patterns", "allowed_actions")
)
def test_pattern_of_role_that_re2_refuses_has_place_and_reason(place: str, pattern: str, reason: str) -> None:
    inside = place in ("tenant_patterns", "allowed_actions")
    role = f"tenant_permissions: [{{{place}: ['{pattern}']}}]" if inside else f"{place}: '{pattern}'"
    path = f"r.tenant_permissions.0.{place}.0" if inside else f"r.{place}"
    assert told(roles=f"r: {{{role}}}") == [
        f"roles.yml: {path}: Invalid value: {reason} (expected: A regular expression pattern)"
    ]


def test_what_is_filled_in_stands_in_no_regular_expression() -> None:
    assert told(roles="r: {tenant_permissions: [{tenant_patterns: ['/${user.name}.*/', '${user.name}']}]}") == [
        (
            "roles.yml: r.tenant_permissions.0.tenant_patterns.0: Invalid value: something to fill in without "
            "|toRegexFragment (expected: A regular expression pattern)"
        )
    ]


def test_one_tenant_permission_needs_no_list() -> None:
    for text in ("{tenant_patterns: [a], allowed_actions: b}", "[{tenant_patterns: a, allowed_actions: [b]}]"):
        role = good(roles=f"r: {{tenant_permissions: {text}}}").roles["r"]
        assert role.tenant_permissions == (TenantPermission(("a",), ("b",)),)
    assert good(roles="r: {tenant_permissions: {}}").roles["r"].tenant_permissions == ()


def test_one_tenant_permission_without_a_list_has_its_place() -> None:
    assert told(roles="r: {tenant_permissions: {tenant_patterns: ['/(/'], tenants: x}}") == [
        (
            "roles.yml: r.tenant_permissions.tenant_patterns.0: Invalid value: a group without its ) at character 2 "
            "(expected: A regular expression pattern)"
        ),
        "roles.yml: r.tenant_permissions.tenants: Unsupported attribute",
    ]
    assert told(roles="r: {tenant_permissions: text}") == [
        "roles.yml: r.tenant_permissions: Invalid value (expected: A list)"
    ]


@pytest.mark.parametrize("value", ("[]", "~", "null", ""))
def test_excluded_indices_that_are_none_are_nothing(value: str) -> None:
    assert good(roles=f"r: {{exclude_index_permissions: {value}}}").roles == {"r": Role()}


@pytest.mark.parametrize("value", ("[{index_patterns: [a], actions: [b]}]", "{index_patterns: a}", "{}", "a", "[~]"))
def test_excluded_indices_are_refused_by_name(value: str) -> None:
    assert told(roles=f"r: {{exclude_index_permissions: {value}}}") == [
        "roles.yml: r.exclude_index_permissions: This attribute is no longer supported"
    ]


def test_tenants_are_their_names() -> None:
    assert good(tenants="a: {description: A}\n'b c': {}\nd:\n").tenants == {"a", "b c", "d"}


# -- Role mappings ------------------------------------------------------------


def identity(name: str = "nobody", *backend_roles: str, address: str | None = None) -> Identity:
    return Identity(
        "sg_authc", name, frozenset(backend_roles), address=None if address is None else ip_address(address)
    )


def test_every_line_of_a_mapping_is_read() -> None:
    mapping = good(
        roles_mapping="""
            m:
              users: [ann, 'b*']
              backend_roles: /c.*/
              and_backend_roles: [d, 'e*']
              hosts: ['10.1.*']
              ips: [10.2.0.0/16, 10.3.3.3/16, '2001:db8::/32']
            """
    ).mappings.by_role["m"]
    assert mapping.ips == (ip_network("10.2.0.0/16"), ip_network("10.3.0.0/16"), ip_network("2001:db8::/32"))
    for included in (
        identity("ann"),
        identity("bob"),
        identity("x", "cook"),
        identity("x", "d", "eve"),
        identity(address="10.1.0.1"),
        identity(address="10.2.0.1"),
        identity(address="2001:db8::1"),
    ):
        assert mapping.applies_to(included), included
    for other in (identity("anna"), identity("x", "d"), identity("x", "ann"), identity(address="10.4.0.1")):
        assert not mapping.applies_to(other), other


def test_an_empty_mapping_applies_to_nobody() -> None:
    mappings = good(roles_mapping="m:\nn: {users: [], and_backend_roles: []}").mappings
    assert set(mappings.by_role) == {"m", "n"}
    assert not mappings.effective_roles(identity("x", "y", address="10.0.0.1"))


@pytest.mark.parametrize("place", ("users", "backend_roles", "and_backend_roles", "hosts"))
def test_patterns_of_a_mapping_are_texts_that_can_be_compiled(place: str) -> None:
    assert told(roles_mapping=f"m: {{{place}: [true, '/*/', ok, ~]}}") == [
        f"roles_mapping.yml: m.{place}.0: Invalid value (expected: A string)",
        (
            f"roles_mapping.yml: m.{place}.1: Invalid value: a repetition of nothing or of a repetition at character 1 "
            "(expected: A regular expression pattern)"
        ),
        f"roles_mapping.yml: m.{place}.3: Invalid value (expected: A string)",
    ]


@pytest.mark.parametrize("address", ("", "10.0.0", "10.0.0.1/33", "010.0.0.1", "10", " 10.0.0.1", "::/129", "host"))
def test_an_address_is_written_in_full(address: str) -> None:
    (problem,) = told(roles_mapping=f"m: {{ips: ['{address}']}}")
    assert problem == "roles_mapping.yml: m.ips.0: Invalid value (expected: IP address or netmask in CIDR notation)"


# -- Internal users -----------------------------------------------------------


def test_internal_users_have_a_hash_roles_and_attributes() -> None:
    assert good(
        internal_users=f"""
            ann:
              hash: {HASH}
              backend_roles: [a, b]
              search_guard_roles: c
              attributes: {{room: 007, on: true, off: FALSE, none: ~, text: 'true'}}
            """
    ).users == {
        "ann": InternalUser(
            HASH,
            frozenset(("a", "b")),
            frozenset(("c",)),
            (("off", "false"), ("on", "true"), ("room", "007"), ("text", "true")),
        )
    }


@pytest.mark.parametrize(
    ("entry", "problems"),
    (
        ("{hash: [x]}", ["u.hash: Invalid value (expected: A string)"]),
        ("{hash: true}", ["u.hash: Invalid value (expected: A string)"]),
        ("{hash: x, search_guard_roles: [[a]]}", ["u.search_guard_roles.0: Invalid value (expected: A string)"]),
        ("{attributes: [a]}", ["u.attributes: Invalid value (expected: A mapping)"]),
        ("{backend_roles: true}", ["u.backend_roles: Invalid value (expected: A list of strings)"]),
    ),
)
def test_a_user_is_whole(entry: str, problems: list[str]) -> None:
    assert told(internal_users=f"u: {entry}") == [f"internal_users.yml: {problem}" for problem in problems]


def test_a_configuration_is_printed_without_its_users() -> None:
    assert HASH not in repr(good(internal_users=f"u: {{hash: {HASH}}}"))


@pytest.mark.parametrize(
    "text",
    (
        "u: {{hash: [{0}]}}",
        "u: {{hash: {{{0}: x}}}}",
        "u: {{hash: {0}, hash: {0}}}",
        "u: {{hash: x, hash:{0}: x, hash:{0}: x}}",
        "u: {{hash: x, backend_roles: [[{0}]]}}",
        "u: {{hash: x, reserved: {0}}}",
        "u: {0}",
        "u: [{0}",
        "u: '{0}",
        'u: "\\{0}"',
        "u: !{0} x",
        "u: &a {0}\nv: *a",
        "u:\n  hash: |\n {0}",
        "u:\n  hash:{0}\n  reserved: true",
        "{0}",
        "hash:{0}: x",
        "'{0}': x",
        "'u:{0}': {{hash: [], {0}: x}}",
        "u: {0}\nu: {0}",
        "{0}: {{}}\n{0}: {{}}",
        "%FOO {0}\n---\n",
    ),
)
def test_no_problem_shows_a_hash(text: str) -> None:
    problems = told(internal_users=text.format(HASH))
    assert problems
    assert not [problem for problem in problems if HASH[7:] in problem]


@pytest.mark.parametrize(
    "text",
    ("u: {{hash:{0}: x}}", "u: {{hash: x, '{0}': x}}", "'{0}': {{}}", "'u:{0}': {{hash: x}}", "u: {{hash: x{0}}}"),
)
def test_no_warning_shows_a_hash(text: str) -> None:
    warnings = good(internal_users=text.format(HASH)).warnings
    assert warnings
    assert not [warning for warning in warnings if HASH[7:] in warning]


def test_a_long_name_that_nobody_knows_is_cut_short() -> None:
    assert told(tenants=f"t: {{{'a' * 41}: x, {'b' * 40}: x, 'one two': x}}") == [
        f"tenants.yml: t.{'a' * 40}…: Unsupported attribute",
        f"tenants.yml: t.{'b' * 40}: Unsupported attribute",
        "tenants.yml: t.one…: Unsupported attribute",
    ]


# -- sg_authz.yml -------------------------------------------------------------


@pytest.mark.parametrize("mode", ResolutionMode)
def test_the_mode_of_resolution_is_read(mode: ResolutionMode) -> None:
    for text in (f"role_mapping: {{resolution_mode: {mode.value}}}", f"role_mapping.resolution_mode: {mode.value}"):
        assert good(authz=text).mappings.mode is mode


@pytest.mark.parametrize("text", ("", "debug: false", "role_mapping:", "role_mapping.resolution_mode: ~"))
def test_without_a_mode_backend_roles_go_through_the_mappings_only(text: str) -> None:
    assert good(authz=text).mappings.mode is ResolutionMode.MAPPING_ONLY


def test_what_concerns_indices_is_read_past() -> None:
    good(
        authz="ignore_unauthorized_indices.enabled: true\nmetrics: x\nfield_anonymization: []\n_sg_meta: x\ndebug: TRUE"
    )


@pytest.mark.parametrize(
    ("mode", "expected"),
    (
        ("both", "MAPPING_ONLY|BACKENDROLES_ONLY|BOTH"),
        ("''", "MAPPING_ONLY|BACKENDROLES_ONLY|BOTH"),
        ("[BOTH]", "A string"),
    ),
)
def test_an_unknown_mode_is_refused(mode: str, expected: str) -> None:
    found, problems = read(texts(authz=f"role_mapping.resolution_mode: {mode}\nrole_mapping.mode: x"))
    assert [str(problem) for problem in problems] == [
        f"sg_authz.yml: role_mapping.resolution_mode: Invalid value (expected: {expected})",
        "sg_authz.yml: role_mapping.mode: Unsupported attribute",
    ]
    assert found.mappings.mode is ResolutionMode.MAPPING_ONLY


def test_only_the_two_files_may_have_dots_for_levels() -> None:
    assert good(tenants="a.b: {}").tenants == {"a.b"}
    assert told(roles="r: {tenant_permissions.x: 1}") == ["roles.yml: r.tenant_permissions.x: Unsupported attribute"]


@pytest.mark.parametrize(
    "key", (".role_mapping", "role_mapping.", "role_mapping..resolution_mode", ".", ".".join(["metrics"] * 21))
)
def test_dots_that_make_no_levels_are_part_of_the_key(key: str) -> None:
    (problem,) = told(authz=f"{key}: BOTH")
    assert problem.startswith(f"authz.yml: {key[:40]}")
    assert problem.endswith(": Unsupported attribute")


# -- Whatever stands there ----------------------------------------------------

WORDS = (
    *("users", "backend_roles", "and_backend_roles", "hosts", "ips", "description", "reserved", "cluster_permissions"),
    *("tenant_permissions", "tenant_patterns", "allowed_actions", "exclude_index_permissions", "type", "hash"),
    *("attributes", "auth_domains", "network", "trusted_proxies", "trusted_proxies_regex", "http", "accept", "skip"),
    *("remote_ip_header", "deny", "originating_ips", "trusted_ips", "client_certs", "enabled", "user_mapping", "roles"),
    *("user_name", "attrs", "from", "from_comma_separated_string", "static", "json_path", "pattern", "split", "basic"),
    *("additional_user_information", "challenge", "role_mapping", "resolution_mode", "a.b", "network.accept.ips", ""),
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=9),
    st.sampled_from(
        (
            *(
                "trusted_origin",
                BASIC,
                "internal_users_db",
                "/(/",
                "/a/",
                "a[0]",
                "a[",
                "$..a",
                "10.0.0.0/8",
                HASH,
                "*",
            ),
            *(
                "#{env:NO_SUCH_NAME}",
                "#{file:none:-a|toList}",
                "#{env:NO_SUCH_NAME:-true}",
                "${user.name|tail}",
                "${a}",
            ),
            "/${user.roles|toRegexFragment}/",
        )
    ),
)
NODES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=5) | st.just(f"hash:{HASH}"), inner, max_size=6)
    ),
    max_leaves=25,
)
DOMAINS = st.fixed_dictionaries(
    {
        "auth_domains": st.lists(
            st.fixed_dictionaries(
                {"type": st.sampled_from(("trusted_origin", BASIC, "ldap")) | LEAVES},
                optional=dict.fromkeys(
                    ("enabled", "accept", "skip", "user_mapping", "additional_user_information", "basic"), NODES
                ),
            ),
            max_size=3,
        )
    },
    optional={"network": NODES, "network.accept.ips": NODES},
)


def files(contents: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, str]]:
    return st.fixed_dictionaries({}, optional=dict.fromkeys(FILES, contents))


def dumped(nodes: st.SearchStrategy[object]) -> st.SearchStrategy[str]:
    return nodes.map(lambda node: yaml.safe_dump(node, allow_unicode=True))


@given(
    st.one_of(
        files(st.text()),
        files(st.text(alphabet=" \n:-[]{},&*!|>'\"%@#?ab.~$/(0", max_size=40)),
        files(st.binary().map(lambda raw: raw.decode("utf-8", "surrogateescape"))),
        files(st.binary().map(lambda raw: raw.decode("latin-1"))),
        files(dumped(NODES)),
        files(dumped(st.dictionaries(st.text(max_size=5), NODES, max_size=4))),
        st.builds(texts, authc=dumped(DOMAINS)),
    )
)
@example(dict.fromkeys(FILES, "\ud800"))
@example(dict.fromkeys(FILES, "[" * 5000))
@example(dict.fromkeys(FILES, f"{'.'.join('a' * 20)}: {{{'.'.join('b' * 20)}: {'[' * 17}{'{c.d: 1}'}{']' * 17}}}"))
def test_whatever_stands_there_is_read_or_told_and_never_raised(files: Mapping[str, str]) -> None:
    found, problems = read(files)
    assert isinstance(found, Configuration)
    assert all(problem.file in FILES and problem.error for problem in problems)
    assert not [said for said in (*problems, *found.warnings, *found.left_out) if HASH[7:] in str(said)]
    assert {file for file in REQUIRED if file not in files} <= {problem.file for problem in problems}
