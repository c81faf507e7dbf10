"""Variables in configuration files: what they stand for, and what happens where they stand for nothing."""

from __future__ import annotations

import base64
import json

import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts_service.access import variables
from accounts_service.access.configuration import AUTHC, NETBIRD_JWT, REQUIRED, Configuration, read
from accounts_service.access.explanations import held_document, held_roles, reason_for_role
from accounts_service.access.roles import REALM, Identity
from accounts_service.access.variables import Expanded, Unresolved, Variables, file_key, file_paths

CANARY = "canary-7d1f of a secret"
ENVIRONMENT = {"NAME": "Ann", "EMPTY": "", "SECRET": CANARY, "LONG": "x" * 73}
CONTENTS = {file_key("hash.txt"): "a hash\n", file_key("/etc/x/key"): "k"}
SOME = Variables(ENVIRONMENT, CONTENTS)
UNSET = "#{env:NONE} has no value: the environment variable is not set"


def configured(**documents: str) -> tuple[Configuration, list[str]]:
    """Read files, empty but for `documents`: `roles` is sg_roles.yml."""
    texts = dict.fromkeys(REQUIRED, "") | {f"sg_{name}.yml": text for name, text in documents.items()} | CONTENTS
    found, problems = read(texts, ENVIRONMENT)
    return found, [str(problem) for problem in problems]


def warned(**documents: str) -> tuple[Configuration, list[str]]:
    found, problems = configured(**documents)
    assert problems == []
    return found, [*found.warnings]


# -- What a variable stands for -----------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    (
        ("#{env:NAME}", "Ann"),
        ("#{ env:NAME }", "Ann"),
        ("#{env:EMPTY}", ""),
        ("#{env:EMPTY:-other}", ""),
        ("#{env:NAME:-other}", "Ann"),
        ("#{env:NONE:-other}", "other"),
        ("#{env:NONE:-}", ""),
        ("#{env:NONE:-https://a:b}", "https://a:b"),
        ("#{env:NONE:-a}b}", "a}b"),
        ("#{file:hash.txt}", "a hash\n"),
        ("#{file:/etc/x/key}", "k"),
        ("#{file:none:-other}", "other"),
        ("#{env:NAME|toUpperCase}", "ANN"),
        ("#{env:NAME | toUpperCase | toLowerCase}", "ann"),
        ("#{env:NONE:-Other|toLowerCase}", "other"),
        ("#{env:NAME|base64}", base64.b64encode(b"Ann").decode()),
        ("#{env:NAME|toJson}", '"Ann"'),
        ("#{env:NAME|toList}", ["Ann"]),
        ("#{env:NAME|toList|toUpperCase}", ["ANN"]),
        ("#{env:NAME|toList|head}", "Ann"),
        ("#{env:NAME|toList|toJson}", '["Ann"]'),
        ("#{env:NAME|tail}", []),
        ("#{env:NAME|toString}", "Ann"),
        ("#{env:NONE:-a.b|toRegexFragment}", r"(a\.b)"),
        ("#{env:NAME|head}", "Ann"),
        ("plain", "plain"),
        ("#{", "#{"),
        ("a#{b}c", "a#{b}c"),
        ("# {env:NAME}", "# {env:NAME}"),
    ),
)
def test_a_variable_is_a_whole_value(text: str, value: object) -> None:
    assert SOME.expand(text) == value


def test_a_password_becomes_a_hash_that_stays_the_same() -> None:
    hashed = SOME.expand("#{env:SECRET|bcrypt}")
    assert isinstance(hashed, str)
    assert bcrypt.checkpw(CANARY.encode(), hashed.encode())
    assert SOME.expand("#{env:SECRET|bcrypt}") == hashed


def test_hashes_of_many_passwords_are_not_kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[str] = []

    def hash_cheaply(password: str) -> str:
        hashed.append(password)
        return f"hash of {password}"

    monkeypatch.setattr(variables, "hash_password", hash_cheaply)
    of_default = "#{{env:NONE:-password {}|bcrypt}}"
    for number in range(variables.MOST_HASHED + 1):
        assert SOME.expand(of_default.format(number)) == f"hash of password {number}"
    assert SOME.expand(of_default.format(0)) == "hash of password 0"
    assert hashed.count("password 0") == 2


@pytest.mark.parametrize(
    ("text", "reference", "reason"),
    (
        ("#{env:NONE}", "#{env:NONE}", "the environment variable is not set"),
        ("#{env:NONE|toList|toJson}", "#{env:NONE}", "the environment variable is not set"),
        ("#{file:none}", "#{file:none}", "the file is not there, or cannot be read as UTF-8 text"),
        ("#{var:NAME}", "#{var:NAME}", "variables of sgctl are not supported"),
        ("#{var:NAME:-x}", "#{var:NAME}", "variables of sgctl are not supported"),
        ("#{sys:NAME}", "#{sys:NAME}", "a variable is #{env:…} or #{file:…}"),
        ("#{env:NAME|nonsense}", "#{env:NAME}", "there is no function nonsense"),
        ("#{env:NAME|tail|head}", "#{env:NAME}", "its functions give none"),
        ("#{env:NAME|tail|head|bcrypt}", "#{env:NAME}", "bcrypt takes a password of 1 to 72 bytes"),
        ("#{env:EMPTY|bcrypt}", "#{env:EMPTY}", "bcrypt takes a password of 1 to 72 bytes"),
        ("#{env:LONG|bcrypt}", "#{env:LONG}", "bcrypt takes a password of 1 to 72 bytes"),
        ("#{env:EMPTY|toRegexFragment}", "#{env:EMPTY}", "its functions give none"),
        ("#{NAME}", "#{…}", "this has not the form of a variable"),
        ("#{env:NAME|}", "#{…}", "this has not the form of a variable"),
        ("x#{env:NAME}", "#{env:NAME}", "a variable must be the whole value"),
        ("#{env:NAME}x", "#{env:NAME}", "a variable must be the whole value"),
        ("#{env:NAME}#{env:NAME}", "#{…}", "this has not the form of a variable"),
    ),
)
def test_a_variable_without_a_value_says_why(text: str, reference: str, reason: str) -> None:
    found = SOME.expand(text)
    assert isinstance(found, Unresolved)
    assert found.reference == reference
    assert found.reason.startswith(reason)


def test_variables_are_expanded_at_any_depth_and_keys_are_not() -> None:
    assert SOME.expand({"#{env:NAME}": ["#{env:NAME}", {"a": "#{env:NAME}"}], "b": True, "c": None}) == {
        "#{env:NAME}": ["Ann", {"a": "Ann"}],
        "b": True,
        "c": None,
    }


@given(st.text(alphabet='#{}env:fileNAME|-toJson ?\\"x\n', max_size=40))
def test_any_text_is_expanded_or_has_no_value(text: str) -> None:
    found = SOME.expand("#{" + text + "}")
    assert isinstance(found, str | list | Unresolved)
    assert text not in ("NAME", "env:NAME}") or found != "Ann"


@pytest.mark.parametrize(
    ("text", "paths"),
    (
        ("a: '#{file:x/y.txt}'", {"x/y.txt"}),
        ("[\"#{file: a }\", '#{file:b|bcrypt}', \"#{file:c:-d|toJson}\", '#{file:e:-}']", {"a", "b", "c", "e"}),
        ("a: '#{env:x}' # file:y}", set()),
        ("'#{file:}'", set()),
    ),
)
def test_files_that_variables_name_are_found(text: str, paths: set[str]) -> None:
    assert file_paths(text) == paths


# -- In the files -------------------------------------------------------------


def test_variables_are_values_in_every_file() -> None:
    found, problems = configured(
        action_groups="G: {allowed_actions: ['#{env:NAME}'], type: '#{env:NAME}'}",
        roles="r: {cluster_permissions: '#{env:NAME|toList}', tenant_permissions:"
        " {tenant_patterns: ['#{env:NAME}'], allowed_actions: ['#{env:NAME|toList}']}, hidden: '#{env:NONE:-true}'}",
        roles_mapping="m: {users: '#{env:NAME}', ips: '#{env:NONE:-10.0.0.0/8}'}",
        internal_users="ann: {hash: '#{file:hash.txt}', search_guard_roles: ['#{env:NAME}'],"
        " attributes: {room: '#{env:NAME}', more: ['#{env:NAME}']}}",
        tenants="t: {description: '#{env:NAME}'}",
        authz="role_mapping.resolution_mode: '#{env:NONE:-both|toUpperCase}'",
        authc="auth_domains: [{type: '#{env:NONE:-anonymous}', enabled: '#{env:NONE:-true}',"
        " user_mapping.user_name.static: '#{env:NAME}'}]",
    )
    assert problems == []
    assert found.groups == {"G": ("Ann",)}
    assert found.roles["r"].cluster_permissions == ("Ann",)
    assert found.roles["r"].tenant_permissions[0].allowed_actions == ("Ann",)
    assert found.mappings.by_role["m"].users.matches("Ann")
    assert found.users["ann"].hash == "a hash\n"
    assert found.users["ann"].attributes == (("room", "Ann"),)
    assert found.users["ann"].structured == (("more", '["Ann"]'),)
    assert found.mappings.mode.value == "BOTH"
    assert [domain.mapping.map({}).user_name for domain in found.domains] == ["Ann"]


def test_a_variable_may_switch_a_domain_off() -> None:
    found, problems = configured(authc="auth_domains: [{type: anonymous, enabled: '#{env:NONE:-false}'}]")
    assert (found.domains, found.left_out, problems) == ((), (), [])


@pytest.mark.parametrize(
    ("documents", "place"),
    (
        ({"roles": "r: {cluster_permissions: [a, '#{env:NONE}']}"}, "sg_roles.yml: r.cluster_permissions.1"),
        ({"roles": "r: {cluster_permissions: '#{env:NONE}'}"}, "sg_roles.yml: r.cluster_permissions"),
        ({"roles": "r: {description: '#{env:NONE}'}"}, "sg_roles.yml: r.description"),
        (
            {"roles": "r: {tenant_permissions: {tenant_patterns: ['#{env:NONE}'], allowed_actions: '*'}}"},
            "sg_roles.yml: r.tenant_permissions.tenant_patterns.0",
        ),
        ({"roles_mapping": "m: {users: ['#{env:NONE}']}"}, "sg_roles_mapping.yml: m.users.0"),
        ({"roles_mapping": "m: {backend_roles: '#{env:NONE}'}"}, "sg_roles_mapping.yml: m.backend_roles"),
        ({"roles_mapping": "m: {hosts: '#{env:NONE}'}"}, "sg_roles_mapping.yml: m.hosts"),
        ({"roles_mapping": "m: {ips: ['#{env:NONE}']}"}, "sg_roles_mapping.yml: m.ips.0"),
        ({"roles_mapping": "m: {and_backend_roles: '#{env:NONE}'}"}, "sg_roles_mapping.yml: m.and_backend_roles"),
        (
            {"roles_mapping": "m: {and_backend_roles: [a, '#{env:NONE}']}"},
            "sg_roles_mapping.yml: m.and_backend_roles.1",
        ),
        (
            {"roles_mapping": "m: {and_backend_roles: [a, ['#{env:NONE}']]}"},
            "sg_roles_mapping.yml: m.and_backend_roles.1.0",
        ),
        (
            {"action_groups": "g: {type: x, allowed_actions: ['#{env:NONE}']}"},
            "sg_action_groups.yml: g.allowed_actions.0",
        ),
        ({"internal_users": "u: {hash: x, attributes: {a: '#{env:NONE}'}}"}, "sg_internal_users.yml: u.attributes.a"),
        ({"internal_users": "u: {hash: x, backend_roles: '#{env:NONE}'}"}, "sg_internal_users.yml: u.backend_roles"),
        ({"internal_users": "u: {hash: '#{env:NONE}'}"}, "sg_internal_users.yml: u.hash"),
    ),
)
def test_what_has_no_value_grants_nothing_and_is_a_warning(documents: dict[str, str], place: str) -> None:
    found, warnings = warned(**documents)
    assert f"{place}: {UNSET}" in warnings
    # Neither the text that stands there, which anybody can be called, nor any other.
    anybody = Identity(REALM, "#{env:NONE}", frozenset(("a", "#{env:NONE}")))
    assert found.mappings.effective_roles(anybody) == frozenset()
    assert "#{env:NONE}" not in {name for role in found.roles.values() for name in role.cluster_permissions}


@pytest.mark.parametrize(
    ("documents", "place"),
    (
        (
            {"roles": "r: {exclude_cluster_permissions: ['#{env:NONE}']}"},
            "sg_roles.yml: r.exclude_cluster_permissions.0",
        ),
        ({"roles": "r: {reserved: '#{env:NONE}'}"}, "sg_roles.yml: r.reserved"),
        ({"roles": "r: '#{env:NONE}'"}, "sg_roles.yml: r"),
        ({"roles": "r: {tenant_permissions: '#{env:NONE}'}"}, "sg_roles.yml: r.tenant_permissions"),
        ({"roles": "r: {tenant_permissions: ['#{env:NONE}']}"}, "sg_roles.yml: r.tenant_permissions.0"),
        ({"internal_users": "u: {attributes: '#{env:NONE}'}"}, "sg_internal_users.yml: u.attributes"),
        ({"authc": "network.trusted_proxies: ['#{env:NONE}']"}, "sg_authc.yml: network.trusted_proxies.0"),
        ({"authc": "network.deny.ips: '#{env:NONE}'"}, "sg_authc.yml: network.deny.ips"),
        ({"authz": "role_mapping.resolution_mode: '#{env:NONE}'"}, "sg_authz.yml: role_mapping.resolution_mode"),
    ),
)
def test_what_would_let_more_through_without_its_value_is_a_problem(documents: dict[str, str], place: str) -> None:
    _, problems = configured(**documents)
    assert [problem.partition(" (expected")[0] for problem in problems] == [f"{place}: {UNSET}"]


def test_a_group_that_an_exclusion_uses_must_be_whole() -> None:
    groups = "g: {type: x, allowed_actions: ['#{env:NONE}', a]}\nh: {type: x, allowed_actions: [g]}"
    _, problems = configured(action_groups=groups, roles="r: {exclude_cluster_permissions: h}")
    assert problems == [f"sg_action_groups.yml: g.allowed_actions: {UNSET}, and a role excludes this group"]
    assert warned(action_groups=groups, roles="r: {cluster_permissions: h}")[0].groups["g"] == ("a",)


@pytest.mark.parametrize(
    "attributes",
    (
        "accept.users: '#{env:NONE}'",
        "skip.users: ['#{env:NONE}']",
        "accept.ips: ['#{env:NONE}']",
        "enabled: '#{env:NONE}'",
        "user_mapping.user_name.from: {json_path: a, pattern: '#{env:NONE}'}",
        "additional_user_information: [{type: '#{env:NONE}'}]",
        "basic.challenge: '#{env:NONE}'",
    ),
)
def test_a_domain_with_a_variable_without_a_value_is_left_out(attributes: str) -> None:
    found, problems = configured(authc=f"auth_domains: [{{type: basic/internal_users_db, {attributes}}}]")
    assert (found.domains, found.left_out, problems) == ((), (f"auth_domains.0: {UNSET}",), [])


def test_a_domain_of_tokens_without_its_issuer_is_left_out() -> None:
    key = base64.b64encode(b"k" * 64).decode()
    jwt = f"type: jwt, jwt: {{signing_key: {key}, required_issuer: '#{{env:NONE}}'}}"
    found, problems = configured(authc=f"auth_domains: [{{{jwt}}}]")
    assert (found.domains, found.left_out, problems) == ((), (f"auth_domains.0: {UNSET}",), [])


def test_a_disabled_domain_may_lack_a_value() -> None:
    found, problems = configured(authc="auth_domains: [{type: '#{env:NONE}', enabled: false}]")
    assert (found.domains, found.left_out, problems) == ((), (), [])


def test_a_key_set_has_no_variables() -> None:
    # Whoever publishes keys has no business with the environment of this machine.
    authc = "auth_domains: [{type: jwt, jwt.signing.jwks_file: idp.jwks.json}]"
    key = {"kty": "oct", "k": base64.urlsafe_b64encode(b"k" * 64).decode().rstrip("="), "kid": "#{env:NAME}"}
    texts = dict.fromkeys(REQUIRED, "") | {AUTHC: authc, "idp.jwks.json": json.dumps({"keys": [key]})}
    found, problems = read(texts, ENVIRONMENT)
    assert problems == []
    assert [key.kid for domain in found.domains if domain.tokens for key in domain.tokens.keys] == ["#{env:NAME}"]


def test_tokens_for_netbird_need_every_value() -> None:
    key = base64.b64encode(b"k" * 64).decode()
    text = f"{{signing_key: {key}, required_issuer: '#{{env:NONE}}', required_audience: ['#{{env:NAME}}']}}"
    _, problems = read(dict.fromkeys(REQUIRED, "") | {NETBIRD_JWT: text}, ENVIRONMENT)
    assert [str(problem) for problem in problems] == [f"{NETBIRD_JWT}: required_issuer: {UNSET} (expected: A string)"]


# -- What is shown ------------------------------------------------------------


def test_a_value_is_shown_as_its_reference() -> None:
    value = SOME.expand("#{env:SECRET}")
    assert isinstance(value, Expanded)
    assert (repr(value), f"{value!r}", repr([value])) == ("#{env:SECRET}", "#{env:SECRET}", "[#{env:SECRET}]")


@pytest.mark.parametrize(
    "documents",
    (
        {"authc": "auth_domains: [{type: '#{env:SECRET}'}]"},
        {"authc": "auth_domains: [{type: anonymous, additional_user_information: {type: '#{env:SECRET}'}}]"},
        {"authc": "auth_domains: [{type: '#{env:SECRET}', description: '#{env:NONE}'}]"},
        {"roles_mapping": "m: {hosts: '#{env:SECRET}'}"},
        {"roles": "r: {tenant_permissions: {tenant_patterns: '#{env:SECRET}'}}"},
        {"roles": "r: {tenant_permissions: {tenant_patterns: '#{env:NONE:-${nobody}}'}}"},
        {"internal_users": "u: {hash: '#{env:SECRET}', enabled: '#{env:SECRET}'}"},
        {"internal_users": "u: {hash: '#{env:NONE:-canary-7d1f of a secret|nonsense}'}"},
        {"internal_users": "u: {hash: 'x#{env:NONE:-canary-7d1f of a secret}'}"},
        {"authz": "role_mapping.resolution_mode: '#{env:SECRET}'"},
        {"roles": "r: {cluster_permissions: '#{env:NONE:-/(canary-7d1f of a secret/}'}"},
        {"roles": "r: '#{env:SECRET}'"},
    ),
)
def test_no_value_is_in_a_problem_or_warning(documents: dict[str, str]) -> None:
    found, problems = configured(**documents)
    said = [*problems, *found.warnings, *found.left_out]
    assert said or "tenant_permissions" in str(documents)
    assert CANARY not in f"{said}{found!r}"


def test_an_explanation_shows_the_reference_of_a_pattern() -> None:
    found, _ = warned(roles_mapping="m: {users: '#{env:NAME}', backend_roles: '#{env:NONE:-s*}'}")
    held = held_roles(found.mappings, Identity(REALM, "Ann", frozenset(("sales",))))
    assert [reason_for_role(each).rpartition(": ")[2] for each in held] == [
        "'Ann' matches '#{env:NAME}'",
        "'sales' matches '#{env:NONE}'",
    ]
    assert [held_document(each)["pattern"] for each in held] == ["#{env:NAME}", "#{env:NONE}"]


def test_an_explanation_shows_the_reference_in_another_normal_form() -> None:
    users = "Ann: {backend_roles: '#{env:NONE:-cafe\u0301}'}"
    mapping = (
        "m: {users: '#{env:NONE:-cafe\u0301}', and_backend_roles: x}\nn: {backend_roles: '#{env:NONE:-cafe\u0301}'}"
    )
    found, _ = warned(roles_mapping=mapping, internal_users=users)
    roles = found.users["Ann"].backend_roles
    held = held_roles(found.mappings, Identity(REALM, "caf\u00e9", roles))
    assert "caf" not in f"{[*roles]}{[held_document(each)['pattern'] for each in held]}"
    assert {each.role for each in held} == {"m", "n"}
