"""What Search Guard loads is loaded here, and what has no effect is said."""

from __future__ import annotations

import base64

import pytest

from accounts_service.access.authenticators import BASIC
from accounts_service.access.authenticators.internal_users import InternalUser, VerifiedCredentials
from accounts_service.access.authenticators.user_mapping import UnsupportedPathError, parse_path
from accounts_service.access.configuration import REQUIRED, Configuration, read
from accounts_service.access.log_ins import caller_of
from accounts_service.access.roles import REALM, Identity
from accounts_service.access.snapshot import Snapshot, parse, rules_of
from accounts_service.faults import Json, NotAuthenticated
from tests.access.configurations import ACTION, BUILT_INS, by_password, facts, refusal
from tests.support.lines import narrow
from tests.support.log_ins import Unlimited
from tests.support.personas import hash_of

HASH = hash_of("ann")


def loaded(**documents: str) -> Configuration:
    """Read files without a problem, empty but for `documents`: `roles` is sg_roles.yml."""
    texts = dict.fromkeys(REQUIRED, "") | {f"sg_{name}.yml": text for name, text in documents.items()}
    found, problems = read(texts, {})
    assert problems == []
    return found


def started(**documents: str) -> Snapshot:
    texts = dict.fromkeys(REQUIRED, "") | {f"sg_{name}.yml": text for name, text in documents.items()}
    return Snapshot(parse(texts, BUILT_INS), BUILT_INS, VerifiedCredentials(), narrow(2), Unlimited(), frozenset())


# -- Internal users -----------------------------------------------------------


@pytest.mark.parametrize("entry", ("", "{}", "{hash: }", "{hash: ''}", "{hash: ~, backend_roles: [a]}"))
def test_a_user_needs_no_hash(entry: str) -> None:
    found = loaded(internal_users=f"carl: {entry}")
    assert found.users["carl"].cost is None
    assert found.warnings == ("sg_internal_users.yml: without a hash, so they cannot log in by password: carl",)


def test_users_of_one_name_in_two_spellings_are_a_problem() -> None:
    texts = dict.fromkeys(REQUIRED, "") | {"sg_internal_users.yml": "J\u00f6rg: {}\nJo\u0308rg: {}"}
    (problem,) = read(texts, {})[1]
    assert problem.error == "This user stands twice, in two spellings of Unicode"


@pytest.mark.parametrize("attribute", ("users", "backend_roles", "and_backend_roles"))
def test_pattern_that_is_none_in_the_normal_form_is_a_problem(attribute: str) -> None:
    """In Normalization Form C `=` and a combining stroke are one character, after which there is no look-ahead."""
    texts = dict.fromkeys(REQUIRED, "") | {"sg_roles_mapping.yml": f"m: {{{attribute}: ['/(?=\u0338x)/']}}"}
    (problem,) = read(texts, {})[1]
    assert (problem.path, problem.expected) == (f"m.{attribute}.0", "A regular expression pattern")


@pytest.mark.parametrize("written", ("' a'", '"a\\n"', "['*', 'a ']"))
def test_exclusion_with_white_space_at_its_ends_is_a_problem(written: str) -> None:
    texts = dict.fromkeys(REQUIRED, "") | {"sg_roles.yml": f"r: {{exclude_cluster_permissions: {written}}}"}
    (problem,) = read(texts, {})[1]
    assert problem.error == "White space at the ends of an exclusion"


@pytest.mark.parametrize("password", ("", "carl", "~", "None", "null"))
def test_a_user_without_a_hash_cannot_log_in_by_password(password: str) -> None:
    snapshot = started(internal_users=f"carl: {{search_guard_roles: TOY_PLAYER}}\nann: {{hash: {HASH}}}")
    header = "Basic " + base64.b64encode(f"carl:{password}".encode()).decode()
    assert refusal(snapshot, facts("192.0.2.1", authorization=header)) == NotAuthenticated()
    assert snapshot.authenticate(facts("192.0.2.1", authorization=by_password("ann"))).name == "ann"


PROXY = """
auth_domains:
  type: trusted_origin
  order: 1
  user_mapping:
    user_name.from: request.headers["x-user"]
    roles.from: user_entry.attributes.department.groups
    attrs.from: {number: user_entry.attributes.department.number, all: user_entry.attributes.department}
  additional_user_information: {type: internal_users_db}
network.trusted_proxies: 127.0.0.1
metrics: basic
"""
CARL = """
carl:
  search_guard_roles: [TOY_PLAYER]
  backend_roles: [sales]
  attributes: {department: {name: operations, number: 52, groups: [ops, it]}, room: 7}
"""


def test_a_user_without_a_hash_has_roles_for_who_comes_by_proxy() -> None:
    snapshot = started(internal_users=CARL, authc=PROXY)
    found = snapshot.authenticate(facts("127.0.0.1", x_user="carl"))
    assert found.name == "carl"
    assert found.roles == {"TOY_PLAYER"}
    assert found.backend_roles == {"sales", "ops", "it"}
    assert found.attributes == (("number", "52"), ("room", "7"))
    assert [name for name, _ in found.structured] == ["all", "department"]
    assert snapshot.rules.permissions(snapshot.rules.effective_roles(found)).cluster(ACTION)


def test_who_is_not_among_the_users_comes_by_proxy_with_nothing_of_theirs() -> None:
    found = started(internal_users=CARL, authc=PROXY).authenticate(facts("127.0.0.1", x_user="eve"))
    assert (found.backend_roles, found.roles, found.attributes, found.structured) == (frozenset(), frozenset(), (), ())


def test_structured_attributes_are_mapped_for_who_comes_by_password() -> None:
    users = f"ann: {{hash: {HASH}, attributes: {{department: {{number: 52, tags: [a, b]}}, manager: bob}}}}"
    authc = f"""
auth_domains:
- type: {BASIC}
  user_mapping.attrs.from:
    dept_no: user_entry.attributes.department.number
    tags: user_entry.attributes["department"]['tags'][*]
    me: user_entry.name
"""
    found = started(internal_users=users, authc=authc).authenticate(
        facts("192.0.2.1", authorization=by_password("ann"))
    )
    assert found.attributes == (("dept_no", "52"), ("manager", "bob"), ("me", "ann"), ("tags", "a"))
    assert dict(found.structured)["tags"] == '["a", "b"]'


def test_an_explanation_knows_what_a_proxy_domain_finds_in_an_entry() -> None:
    found = caller_of(loaded(internal_users=CARL, authc=PROXY), Identity(REALM, "carl"), by_socket=False)
    assert found.obstacle is None
    assert found.identity.backend_roles == {"sales", "ops", "it"}
    assert found.identity.attributes == (("number", "52"), ("room", "7"))
    assert not [note for note in found.notes if "user_mapping" in note]


def test_an_explanation_says_that_there_is_no_hash() -> None:
    found = caller_of(loaded(internal_users=CARL), Identity(REALM, "carl"), by_socket=False)
    assert found.obstacle == (
        "'carl' has no hash in sg_internal_users.yml, and no domain takes this name without a password"
    )


def test_unknown_attributes_of_users_are_ignored_and_named() -> None:
    users = f"""
ann: {{hash: {HASH}, readonly: true, enabled: false, opendistro_security_roles: [a]}}
bob: {{hash: {HASH}, readonly: {{a: [b]}}, password: secret}}
"""
    found = loaded(internal_users=users)
    assert found.users == {"ann": InternalUser(HASH), "bob": InternalUser(HASH)}
    assert found.warnings == (
        "sg_internal_users.yml: readonly is ignored: ann, bob",
        "sg_internal_users.yml: enabled is ignored: ann",
        "sg_internal_users.yml: opendistro_security_roles is ignored: ann",
        "sg_internal_users.yml: password is ignored: bob",
    )


def test_many_users_make_one_warning() -> None:
    found = loaded(internal_users="".join(f"u{number:02}: {{}}\n" for number in range(12)))
    names = ", ".join(f"u{number:02}" for number in range(10))
    assert found.warnings == (
        f"sg_internal_users.yml: without a hash, so they cannot log in by password: {names} and 2 more",
    )


def test_a_name_with_a_colon_and_a_hash_of_another_kind_are_named() -> None:
    found = loaded(internal_users=f"'a:b': {{hash: {HASH}}}\nsha: {{hash: '{{SHA}}x'}}")
    assert found.warnings == (
        "sg_internal_users.yml: the hash is not a bcrypt hash, so they cannot log in by password: sha",
        "sg_internal_users.yml: a name with a colon, so they cannot log in by password: a:b",
    )


# -- Roles and mappings -------------------------------------------------------


def test_what_is_about_indices_is_named_once() -> None:
    found = loaded(roles="a: {index_permissions: []}\nb: {index_permissions: {}, alias_permissions: x}\nc: {}")
    assert found.warnings == (
        "sg_roles.yml: index_permissions is ignored, there are no indices here: a, b",
        "sg_roles.yml: alias_permissions is ignored, there are no indices here: b",
    )


@pytest.mark.parametrize(
    ("listed", "backend_roles", "applies"),
    (
        ("[[a, b], [c]]", {"a", "c"}, True),
        ("[[a, b], [c]]", {"b", "c"}, True),
        ("[[a, b], [c]]", {"a", "b"}, False),
        ("[[a, b], [c]]", {"c"}, False),
        ("[[a, b], 'c*']", {"b", "cook"}, True),
        ("[[a, b], 'c*']", {"b"}, False),
        ("[[], a]", {"a"}, False),
        ("a", {"a"}, True),
        ("[a]", {"a"}, True),
        ("~", {"a"}, False),
    ),
)
def test_each_of_several_alternatives_must_match(listed: str, backend_roles: set[str], *, applies: bool) -> None:
    mapping = loaded(roles_mapping=f"m: {{and_backend_roles: {listed}}}").mappings.by_role["m"]
    assert mapping.applies_to(Identity(REALM, "x", frozenset(backend_roles))) is applies


@pytest.mark.parametrize(
    ("host", "warned"),
    (
        ("10.0.0.1", False),
        ("10.*", False),
        ("10.0.0.?", False),
        ("*", False),
        ("2001:db8::1", False),
        ("/10[.].*/", False),
        ("/host[0-9]/", False),
        ("app.example.com", True),
        ("*.example.com", True),
        ("localhost", True),
        ("10.0.0.0/8", True),
        ("010.0.0.1", True),
        ("2001:DB8::1", True),
        ("2001:db8:0:0:0:0:0:1", True),
        ("::ffff:10.0.0.1", True),
    ),
)
def test_hosts_that_are_no_addresses_are_named(host: str, *, warned: bool) -> None:
    found = loaded(roles_mapping=f"m: {{hosts: ['{host}', 10.1.1.1]}}")
    assert [warning.partition(" can never")[0] for warning in found.warnings] == (
        [f"sg_roles_mapping.yml: m.hosts: {host}"] if warned else []
    )


@pytest.mark.parametrize(
    ("pattern", "reason"),
    (
        ("${user.name}", None),
        ("t_${user_name}_*", None),
        ("${user.attrs.a}", None),
        ("${user.attrs.a.b|head}", None),
        ("${user.roles|head}", None),
        ("${user.roles|toJson}", None),
        ("/t_${user.roles|toRegexFragment}/", None),
        ('${user.attrs.a?:"x"|toLowerCase}', None),
        ("${user.attrs.a:-x}", None),
        ("${user.nme}", "nothing is known under the name 'user.nme'"),
        ("${}", "nothing is known under the name ''"),
        ("${user.attrs.}", "nothing is known under the name 'user.attrs.'"),
        ("${attr.internal.a}", "nothing is known under the name 'attr.internal.a'"),
        ("${user.roles}", "it is a list"),
        ("${user.roles|tail}", "it is a list"),
        ("${user.name|toList}", "it is a list"),
        ("${user.name|bcrypt}", "bcrypt gives another value each time"),
        ("${user.name|nonsense}", "there is no function nonsense"),
        ("${user.name|toRegexFragment}", "toRegexFragment needs a pattern of the form /…/"),
        ("${user.name?:x}", "the default after ?: is no JSON"),
        ("${user.name or}", "it has not the form"),
        ("${user.name|}", "it has not the form"),
    ),
)
def test_templates_that_can_never_match_are_named(pattern: str, reason: str | None) -> None:
    text = f"r: {{tenant_permissions: [{{tenant_patterns: ['{pattern}']}}]}}"
    warnings = loaded(roles=text).warnings
    start = f"sg_roles.yml: r.tenant_permissions.0.tenant_patterns: {pattern} can never match: {reason}"
    assert [warning.startswith(start) for warning in warnings] == ([] if reason is None else [True])


# -- sg_authc.yml -------------------------------------------------------------


def test_what_has_no_effect_in_domains_is_named() -> None:
    found = loaded(
        authc=f"metrics: detailed\nuser_cache.enabled: false\npassword_hashing: {{}}\n"
        f"auth_domains: [{{type: {BASIC}, order: 2, user_mapping.attrs.from_backend: {{a: b}}}}]",
        authz="metrics: basic\nignore_unauthorized_indices.enabled: true\naliases: {}",
    )
    assert len(found.domains) == 1
    assert found.warnings == tuple(
        f"sg_{place}: This has no effect here"
        for place in (
            "authz.yml: ignore_unauthorized_indices",
            "authz.yml: aliases",
            "authz.yml: metrics",
            "authc.yml: auth_domains.0.user_mapping.attrs.from_backend",
            "authc.yml: auth_domains.0.order",
            "authc.yml: user_cache",
            "authc.yml: password_hashing",
            "authc.yml: metrics",
        )
    )


def test_one_domain_needs_no_list() -> None:
    found = loaded(authc=f"auth_domains: {{type: {BASIC}, additional_user_information: {{type: internal_users_db}}}}")
    assert [(domain.type, domain.with_internal_users) for domain in found.domains] == [(BASIC, True)]


@pytest.mark.parametrize(
    ("path", "steps"),
    (
        ('jwt["https://idp.example/roles"]', ("jwt", "https://idp.example/roles")),
        ('$["ldap_group_entries"][*]["businessCategory"]', ("ldap_group_entries", None, "businessCategory")),
        ("$[\"a\"]['b'].c[0]", ("a", "b", "c", 0)),
        ("a[*][*].b", ("a", None, None, "b")),
        ("a[*]", ("a",)),
    ),
)
def test_a_path_may_have_double_quotes_and_stars(path: str, steps: tuple[object, ...]) -> None:
    assert parse_path(path) == steps


UNSUPPORTED = (
    "$.a[?(@.sys == 'search')].b",
    "$..roles",
    "request[*]['x-user']",
    "request.headers[*].name",
    "jwt..roles",
    "jwt.*",
    "jwt.*.roles",
    "jwt['a','b']",
    "jwt[0,1]",
    "jwt[0:2]",
    "jwt[-1]",
    "jwt.roles.length()",
    "$[*]",
)


@pytest.mark.parametrize("path", UNSUPPORTED)
def test_a_path_of_another_kind_is_told_from_none(path: str) -> None:
    with pytest.raises(UnsupportedPathError):
        parse_path(path)


@pytest.mark.parametrize("path", ("a[", "a[x]", "a['b", "a[12345]", "a['']", "a]", "", "a[\"b']"))
def test_what_is_no_path_is_no_path_of_another_kind(path: str) -> None:
    with pytest.raises(ValueError, match="A JSON path of names") as refused:
        parse_path(path)
    assert not isinstance(refused.value, UnsupportedPathError)


@pytest.mark.parametrize("place", ("user_name.from", "roles.from", "roles.from_comma_separated_string", "attrs.from.a"))
@pytest.mark.parametrize("path", UNSUPPORTED[:2])
def test_a_domain_with_a_path_of_another_kind_is_left_out(place: str, path: str) -> None:
    mapping = f'{{user_name.from: jwt.sub, "{place}": "{path}"}}' if "user" not in place else f'{{"{place}": "{path}"}}'
    found = loaded(authc=f"auth_domains: [{{type: {BASIC}, user_mapping: {mapping}}}, {{type: {BASIC}}}]")
    assert [domain.mapping.user_name for domain in found.domains] == [None]
    (left_out,) = found.left_out
    assert left_out.startswith(f"auth_domains.0 ({BASIC}): {place} in user_mapping: a JSON path is made of names")


def test_a_path_finds_every_element() -> None:
    claims: dict[str, Json] = {"groups": [{"name": "a"}, {"name": "b"}, {"x": 1}, 7], "by": {"x": ["c"], "y": "d"}}
    authc = (
        "auth_domains: [{type: anonymous, user_mapping: {user_name.static: x, "
        "roles.from: ['jwt.groups[*].name', 'jwt.by[*][0]'], attrs.from: {g: 'jwt.groups[*].name'}}}]"
    )
    mapped = loaded(authc=authc).domains[0].mapping.map({"jwt": claims})
    assert mapped.backend_roles == {"a", "b", "c"}
    assert (mapped.attributes, mapped.structured) == ((("g", "a"),), (("g", '["a", "b"]'),))


@pytest.mark.parametrize("pattern", ("ann", "cn=.*", "(?:a|b)"))
def test_a_pattern_without_groups_is_named(pattern: str) -> None:
    found = loaded(
        authc=f"auth_domains: [{{type: {BASIC}, user_mapping.roles.from: {{json_path: a, pattern: '{pattern}'}}}}]"
    )
    place = "sg_authc.yml: auth_domains.0.user_mapping.roles.from"
    assert found.warnings == (f"{place}: The pattern has no capturing group, so it never gives a value",)


def test_fixed_attributes_may_be_lists_and_names_of_attributes_in_lower_case() -> None:
    attrs = "{static: {A: [1, x], B: y, C: ~}, from: {D: e}, convert_keys_to_lower_case: true}"
    mapping = loaded(authc=f"auth_domains: [{{type: {BASIC}, user_mapping.attrs: {attrs}}}]").domains[0].mapping
    mapped = mapping.map({"e": "f"}, "x")
    assert (mapped.attributes, mapped.structured) == ((("b", "y"), ("d", "f")), (("a", '["1", "x"]'),))


# -- Tenants by structured attributes -----------------------------------------


@pytest.mark.parametrize(
    ("pattern", "tenants"),
    (
        ("t_${user.attrs.one}", {"t_a"}),
        ("t_${user.attrs.one|toUpperCase}", {"t_A"}),
        ("t_${user.attrs.many|head}", {"t_a"}),
        ("t_${user.attrs.many|tail|head}", {"t_b"}),
        ("t_${user.attrs.many|toList|head}", {"t_a"}),
        ("t_${user.attrs.many|tail|tail}", set()),
        ("t_${user.attrs.many|tail|tail|head}", set()),
        ("/t_${user.attrs.many|toRegexFragment}/", {"t_a", "t_b"}),
        ("/t_${user.attrs.one|toRegexFragment}.?/", {"t_a"}),
        ("/t_${user.attrs.dots|toRegexFragment}/", {"t_.*"}),
        ("/t_${user.attrs.none|toRegexFragment}/", set()),
        ("t_${user.attrs.none|toString}", set()),
        ("t_${user.attrs.none|toList|head}", set()),
        ('t_${user.attrs.none?:"a"}', {"t_a"}),
        ('t_${user.attrs.none?:["b","a"]|head}', {"t_b"}),
        ("t_${user.attrs.none:-a}", {"t_a"}),
        ("t_${user.attrs.one:-b}", {"t_a"}),
        ("t_${user.attrs.map}", set()),
        ("t_${user.attrs.map|head}", set()),
        ("t_${user.attrs.one|toJson}", {'t_"a"'}),
        ("t_${user.attrs.one|base64}", {"t_YQ=="}),
        ("t_${user.roles|head}", {"t_b"}),
        ("/t_${user.roles|toRegexFragment}/", {"t_b"}),
        ("t_${user.name|bcrypt}", set()),
        ("t_${user.attrs.one|toRegexFragment}", set()),
        ("/t_(?:${user.attrs.widths|toRegexFragment})?a/", {"t_a"}),
    ),
)
def test_functions_make_tenants_of_attributes(pattern: str, tenants: set[str]) -> None:
    names = ["t_a", "t_b", "t_A", "t_.*", "t_", 't_"a"', "t_YQ==", "t_(a)", "t_ann"]
    quoted = pattern.replace("'", "''")
    found = loaded(
        tenants="".join(f"'{name}': {{}}\n" for name in names),
        roles="r: {tenant_permissions: {tenant_patterns: ['" + quoted + "'], allowed_actions: '*'}}",
        internal_users=f"ann: {{hash: {HASH}, search_guard_roles: r, backend_roles: b, attributes: "
        "{one: a, many: [a, b], dots: '.*', map: {a: b}, widths: [_, t_]}}",
    )
    identity = found.users["ann"].add_to(Identity(REALM, "ann"))
    allows = rules_of(found, BUILT_INS).allows_action
    action = "cluster:admin:searchguard:tenant:signals:account/get"
    assert {name for name in names if allows(identity, action, name)} == tenants
