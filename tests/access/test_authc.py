"""sg_authc.yml as text: domains, user mappings, network; and which domains are left out."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from accounts_service.access.authenticators import (
    ANONYMOUS,
    BASIC,
    TRUSTED_ORIGIN,
    Conditions,
    Criteria,
    Origin,
    Peer,
)
from accounts_service.access.authenticators.user_mapping import Names, Source, UserMapping
from accounts_service.access.configuration import (
    AUTHC,
    REQUIRED,
    Configuration,
    Domain,
    NetworkSettings,
    read,
)


def good(text: str) -> Configuration:
    found, problems = read(dict.fromkeys(REQUIRED, "") | {AUTHC: text})
    assert problems == []
    return found


def told(text: str) -> list[str]:
    _, problems = read(dict.fromkeys(REQUIRED, "") | {AUTHC: text})
    assert {problem.file for problem in problems} <= {AUTHC}
    return [str(problem).removeprefix(f"{AUTHC}: ") for problem in problems]


def domain(attributes: str = "", kind: str = BASIC) -> str:
    return f"auth_domains: [{{type: {kind}, {attributes}}}]"


def only(attributes: str = "", kind: str = BASIC) -> Domain:
    (found,) = good(domain(attributes, kind)).domains
    return found


def problems_of(attributes: str = "", kind: str = BASIC) -> list[str]:
    return [problem.removeprefix("auth_domains.0.") for problem in told(domain(attributes, kind))]


USER_NAME = "user_mapping.user_name.from: request.headers.x-user"
HEADER = Source(("request", "headers", "x-user"))
PLAIN = Domain(BASIC, Conditions(), UserMapping(), challenge=True, with_internal_users=False)

OPEN_GROUP = "a group without its ) at character 2 (expected: A regular expression pattern)"

# -- Domains ------------------------------------------------------------------


@pytest.mark.parametrize("text", ("", "auth_domains: []", "auth_domains:", "debug: true\n_sg_meta: {}\nuser_cache: x"))
def test_a_file_without_domains_lets_nobody_in(text: str) -> None:
    assert good(text).domains == ()


def test_domains_stay_in_their_order() -> None:
    found = good(f"auth_domains: [{{type: {TRUSTED_ORIGIN}, {USER_NAME}}}, {{type: {BASIC}}}]")
    assert found.domains == (
        Domain(
            TRUSTED_ORIGIN,
            Conditions(),
            UserMapping(Names((HEADER,))),
            challenge=True,
            with_internal_users=False,
        ),
        PLAIN,
    )
    assert found.left_out == ()


def test_what_is_of_no_consequence_here_is_read_past() -> None:
    assert only("id: x, description: d, enabled: true, internal_users_db: {}, trusted_origin: [], basic: {}") == PLAIN


@pytest.mark.parametrize("text", ("basic.challenge: false", "basic: {challenge: false}"))
def test_a_domain_may_not_challenge(text: str) -> None:
    assert only(text).challenge is False


@pytest.mark.parametrize("kind", ("ldap", "jwt/ldap", "oidc", "saml", "anonymous/ldap", "basic/ldap", "internal"))
def test_a_domain_without_an_authenticator_is_left_out_by_name(kind: str) -> None:
    found = good(f"auth_domains: [{{type: {BASIC}}}, {{type: {kind}, {kind}.secret: x, accept: text}}]")
    assert found.domains == (PLAIN,)
    assert found.left_out == (f"auth_domains.1 ({kind}): this service has no such authenticator",)


@pytest.mark.parametrize("condition", ("accept", "skip"))
def test_a_domain_with_conditions_on_client_certificates_is_left_out_by_name(condition: str) -> None:
    found = good(domain(f"{condition}.client_certs: ['cn=*'], user_mapping: {{}}"))
    assert found.domains == ()
    assert found.left_out == (f"auth_domains.0 ({BASIC}): conditions on client certificates are not known here",)


@pytest.mark.parametrize("kind", ("ldap", TRUSTED_ORIGIN, BASIC, "''", "~"))
def test_a_disabled_domain_is_silently_off(kind: str) -> None:
    found = good(domain("enabled: false, user_mapping: text, anything: []", kind))
    assert (found.domains, found.left_out) == ((), ())


def test_a_domain_that_is_left_out_counts_in_the_names_of_others() -> None:
    text = f"auth_domains: [{{type: a, enabled: false}}, {{type: b}}, {{type: {BASIC}, foo: 1}}, text, {{type: c}}]"
    found, problems = read(dict.fromkeys(REQUIRED, "") | {AUTHC: text})
    assert [message.split(":")[0] for message in found.left_out] == ["auth_domains.1 (b)", "auth_domains.4 (c)"]
    assert [problem.path for problem in problems] == ["auth_domains.2.foo", "auth_domains.3"]


@pytest.mark.parametrize(
    ("text", "problems"),
    (
        ("auth_domains: {}", ["auth_domains: Invalid value (expected: A list)"]),
        ("auth_domains: [text]", ["auth_domains.0: Invalid value (expected: A mapping)"]),
        ("auth_domains: [{}]", ["auth_domains.0.type: Required attribute is missing"]),
        ("auth_domains: [{type: ~}]", ["auth_domains.0.type: Required attribute is missing"]),
        ("auth_domains: [{type: [a]}]", ["auth_domains.0.type: Invalid value (expected: A string)"]),
        ("debug: x", ["debug: Invalid value (expected: true or false)"]),
        ("domains: []", ["domains: Unsupported attribute"]),
        ("network: []", ["network: Invalid value (expected: A mapping)"]),
        ("network.foo: 1", ["network.foo: Unsupported attribute"]),
        ("network.http: x", ["network.http: Invalid value (expected: A mapping)"]),
        ("network.http.remote_ip_header: []", ["network.http.remote_ip_header: Invalid value (expected: A string)"]),
        ("network.http.header: x", ["network.http.header: Unsupported attribute"]),
    ),
)
def test_what_is_wrong_with_the_file_is_told(text: str, problems: list[str]) -> None:
    assert told(text) == problems


@pytest.mark.parametrize(
    ("attributes", "problems"),
    (
        ("enabled: no", ["enabled: Invalid value (expected: true or false)"]),
        ("accept: x, skip: []", [f"{name}: Invalid value (expected: A mapping)" for name in ("accept", "skip")]),
        ("accept.hosts: x", ["accept.hosts: Unsupported attribute"]),
        ("skip.trusted_ips: 'true'", ["skip.trusted_ips: Invalid value (expected: true or false)"]),
        (
            "skip.users: [/(/]",
            [f"skip.users.0: Invalid value: {OPEN_GROUP}"],
        ),
        (
            "accept: {ips: x, originating_ips: [y]}",
            [
                "accept.ips: Invalid value (expected: IP address or netmask in CIDR notation)",
                "accept.originating_ips.0: Invalid value (expected: IP address or netmask in CIDR notation)",
            ],
        ),
        ("user_mapping: x", ["user_mapping: Invalid value (expected: A mapping)"]),
        ("basic: true", ["basic: Invalid value (expected: A mapping)"]),
        (
            "basic: {challenge: x, y: z}",
            ["basic.challenge: Invalid value (expected: true or false)", "basic.y: Unsupported attribute"],
        ),
        ("description: []", ["description: Invalid value (expected: A string)"]),
        ("challenge: false", ["challenge: Unsupported attribute"]),
    ),
)
def test_what_is_wrong_with_a_domain_is_told(attributes: str, problems: list[str]) -> None:
    assert problems_of(attributes) == problems


@pytest.mark.parametrize("mapping", ("", "user_mapping.roles.static: a"))
def test_a_trusted_origin_says_where_the_name_comes_from(mapping: str) -> None:
    assert problems_of(mapping, TRUSTED_ORIGIN) == ["user_mapping.user_name: Required attribute is missing"]


def test_nobody_in_particular_needs_no_mapping_and_may_have_one() -> None:
    assert only("anonymous: {}", ANONYMOUS) == Domain(
        ANONYMOUS, Conditions(), UserMapping(), challenge=True, with_internal_users=False
    )
    assert only("user_mapping.roles.static: a", ANONYMOUS).mapping == UserMapping(roles=Names(static=("a",)))


@pytest.mark.parametrize("name", ("ips", "originating_ips", "trusted_ips", "users"))
def test_a_condition_without_a_value_is_not_taken_for_none(name: str) -> None:
    # Who wrote `accept.ips:` meant to keep somebody out.
    assert problems_of(f"accept.{name}: ") == [f"accept.{name}: Unsupported attribute"]


# -- Conditions ---------------------------------------------------------------


def test_conditions_are_networks_users_and_whether_the_peer_is_trusted() -> None:
    conditions = only(
        "accept: {ips: 10.0.0.0/8, originating_ips: ['10.1.0.1/16'], trusted_ips: true, users: [ann, 'b*']},"
        "skip: {users: bob, ips: [], trusted_ips: false}"
    ).conditions
    assert conditions.accept.ips == (ip_network("10.0.0.0/8"),)
    assert conditions.accept.originating_ips == (ip_network("10.1.0.0/16"),)
    assert (conditions.accept.trusted_ips, conditions.skip.trusted_ips) == (True, False)
    assert (conditions.skip.ips, conditions.skip.originating_ips) == ((), None)
    assert [name for name in ("ann", "bob", "ben", "cid") if conditions.for_user(name)] == ["ann", "ben"]


# -- Additional user information ----------------------------------------------


@pytest.mark.parametrize(
    ("listed", "expected"),
    (
        ("[]", False),
        ("[{type: internal_users_db}]", True),
        ("[{type: internal_users_db, id: x, enabled: true, internal_users_db: {}}]", True),
        ("[{type: internal_users_db, enabled: false}]", False),
        ("[{type: ldap, enabled: false, ldap: {}}]", False),
    ),
)
def test_internal_users_may_say_more_about_a_caller(listed: str, *, expected: bool) -> None:
    found = good(domain(f"additional_user_information: {listed}"))
    assert found.domains[0].with_internal_users is expected
    assert found.left_out == ()


def test_other_information_is_left_out_by_name_and_the_domain_stays() -> None:
    found = good(domain("additional_user_information: [{type: ldap, ldap: {idp: x}}, {type: internal_users_db}]"))
    assert found.domains[0].with_internal_users
    assert found.left_out == ("auth_domains.0: additional_user_information of type ldap",)


def test_what_is_wrong_with_additional_information_is_told() -> None:
    listed = "[{id: x}, {type: [], enabled: false}, {type: ldap, enabled: 1}, {type: ldap, foo: 1}, text]"
    place = "additional_user_information"
    assert problems_of(f"additional_user_information: {listed}") == [
        f"{place}.0.type: Required attribute is missing",
        f"{place}.1.type: Invalid value (expected: A string)",
        f"{place}.2.enabled: Invalid value (expected: true or false)",
        f"{place}.3.foo: Unsupported attribute",
        f"{place}.4: Invalid value (expected: A mapping)",
    ]


# -- User mapping -------------------------------------------------------------


@pytest.mark.parametrize("name", ("user_name", "roles"))
@pytest.mark.parametrize(
    ("text", "names"),
    (
        ("from: request.headers.x-user", Names((HEADER,))),
        ("from: \"$.request.headers['x-user']\"", Names((HEADER,))),
        ("from: [request.headers.x-user, a]", Names((HEADER, Source(("a",))))),
        ("from: {json_path: a.b}", Names((Source(("a", "b")),))),
        ("from.json_path: a.b", Names((Source(("a", "b")),))),
        ("from: [{json_path: a, split: ';'}, b]", Names((Source(("a",), split=";"), Source(("b",))))),
        ("from: {json_path: a, pattern: ~, split: ~}", Names((Source(("a",)),))),
        ("from: []", Names()),
        ("from: ~", Names()),
        ("from_comma_separated_string: a", Names((Source(("a",), split=","),))),
        ("from_comma_separated_string: {json_path: a, split: '|'}", Names((Source(("a",), split="|"),))),
        ("from_backend: a", Names((Source(("a",)),))),
        ("static: x", Names(static=("x",))),
        ("static: [x, 010]", Names(static=("x", "010"))),
        ("from: a, convert_to_lower_case: true", Names((Source(("a",)),), lower_case=True)),
        (
            "static: x, from_backend: d, from_comma_separated_string: [b, c], from: a",
            Names((Source(("a",)), Source(("b",), split=","), Source(("c",), split=","), Source(("d",))), ("x",)),
        ),
    ),
)
def test_names_are_mapped_in_every_form(name: str, text: str, names: Names) -> None:
    mapping = only(f"user_mapping: {{{name}: {{{text}}}}}").mapping
    assert (mapping.user_name if name == "user_name" else mapping.roles) == names


def test_a_pattern_takes_a_part_of_the_value() -> None:
    mapping = only("user_mapping.user_name.from: {json_path: dn, pattern: 'cn=(.*?),.*'}").mapping
    assert mapping.map({"dn": "cn=ann,ou=x"}).user_name == "ann"


def test_attributes_come_from_the_request_or_are_fixed() -> None:
    mapping = only(
        "user_mapping.attrs: {from: {a: x.y, b: [c, {json_path: d, pattern: (e)}]},"
        " static: {f: g, h: ~}, from_backend: {z: [1]}}"
    ).mapping
    assert mapping.map({"x": {"y": "1"}, "d": "e"}, "ann").attributes == (("a", "1"), ("b", "e"), ("f", "g"))
    assert mapping.static_attributes == (("f", "g"),)
    assert [source.path for _, source in mapping.attribute_sources] == [("x", "y"), ("c",), ("d",)]


def test_a_mapping_may_say_nothing() -> None:
    for text in ("user_mapping: {}", "user_mapping: ", "user_mapping: {roles: , attrs: {from: , static: }}"):
        assert only(text) == PLAIN


@pytest.mark.parametrize(
    ("text", "problems"),
    (
        ("user_name: x", ["user_name: Invalid value (expected: A mapping)"]),
        ("roles: []", ["roles: Invalid value (expected: A mapping)"]),
        ("groups: {}", ["groups: Unsupported attribute"]),
        ("roles.form: a", ["roles.form: Unsupported attribute"]),
        ("roles.from: 'a['", ["roles.from: Invalid value (expected: A JSON path of names)"]),
        ("roles.from: true", ["roles.from: Invalid value (expected: A JSON path of names)"]),
        ("roles.from: [a, ~, []]", [f"roles.from.{n}: Invalid value (expected: A JSON path of names)" for n in (1, 2)]),
        ("roles.from: {}", ["roles.from: Invalid value (expected: json_path, pattern and split)"]),
        ("roles.from: [{json_path: []}]", ["roles.from.0: Invalid value (expected: json_path, pattern and split)"]),
        ("roles.from: {json_path: a, x: y}", ["roles.from: Invalid value (expected: json_path, pattern and split)"]),
        ("roles.from: {json_path: ''}", ["roles.from: Invalid value (expected: A JSON path of names)"]),
        ("roles.from: {json_path: a, split: ''}", ["roles.from: Invalid value (expected: A separator)"]),
        ("roles.from: {json_path: a, split: [',']}", ["roles.from: Invalid value (expected: A separator)"]),
        (
            "roles.from: {json_path: a, pattern: '('}",
            [f"roles.from: Invalid value: {OPEN_GROUP}"],
        ),
        (
            "user_name.from: {json_path: a, pattern: '(?:(a*)b?)+'}",
            [
                (
                    "user_name.from: Invalid value: a repeated group that also matches nothing "
                    "(expected: A regular expression pattern)"
                )
            ],
        ),
        (
            "roles.from: {json_path: a, pattern: []}",
            ["roles.from: Invalid value (expected: A regular expression pattern)"],
        ),
        (
            "roles.from_comma_separated_string: false",
            ["roles.from_comma_separated_string: Invalid value (expected: A JSON path of names)"],
        ),
        ("roles.static: {a: b}", ["roles.static: Invalid value (expected: A list of strings)"]),
        ("roles.convert_to_lower_case: 1", ["roles.convert_to_lower_case: Invalid value (expected: true or false)"]),
        ("attrs: x", ["attrs: Invalid value (expected: A mapping)"]),
        (
            "attrs: {from: x, static: y}",
            [f"attrs.{n}: Invalid value (expected: A mapping)" for n in ("from", "static")],
        ),
        ("attrs.from: {a: [b, true]}", ["attrs.from.a.1: Invalid value (expected: A JSON path of names)"]),
        ("attrs.static: {a: true}", ["attrs.static.a: Invalid value (expected: A string)"]),
        ("attrs.to: {}", ["attrs.to: Unsupported attribute"]),
    ),
)
def test_what_is_wrong_with_a_mapping_is_told(text: str, problems: list[str]) -> None:
    assert problems_of(f"user_mapping: {{{text}}}") == [f"user_mapping.{problem}" for problem in problems]


# -- Network ------------------------------------------------------------------


def test_without_network_no_proxy_is_trusted_and_everybody_is_heard() -> None:
    assert good("auth_domains: []").network == NetworkSettings()
    assert good("network:").network == good("network.http: {}").network == NetworkSettings()
    assert not NetworkSettings().trusts(ip_address("127.0.0.1"))
    assert not NetworkSettings().trusts(None)


def test_trusted_proxies_are_networks_and_regular_expressions() -> None:
    network = good(
        "network: {trusted_proxies: [10.0.0.0/8, '::1'], trusted_proxies_regex: '192\\.168\\.[01]\\.9'}"
    ).network
    for address in ("10.1.2.3", "::1", "192.168.0.9", "192.168.1.9"):
        assert network.trusts(ip_address(address)), address
    for address in ("11.1.2.3", "::2", "192.168.2.9", "192.168.0.99"):
        assert not network.trusts(ip_address(address)), address
    assert not network.trusts(None)


def test_a_regular_expression_of_proxies_stands_without_slashes() -> None:
    reasons = (
        "a group without its ) at character 2",
        "a set within a set at character 2",
        "a repetition of nothing or of a repetition at character 1",
    )
    assert told("network.trusted_proxies_regex: [a, '(', '[[a]]', '*']") == [
        f"network.trusted_proxies_regex.{number}: Invalid value: {reason} (expected: A regular expression pattern)"
        for number, reason in enumerate(reasons, 1)
    ]
    assert told("network.trusted_proxies_regex: '('") == [
        f"network.trusted_proxies_regex: Invalid value: {reasons[0]} (expected: A regular expression pattern)"
    ]


def test_the_header_of_the_first_client_may_have_another_name() -> None:
    assert good("network.http.remote_ip_header: X-Real-IP").network.remote_ip_header == "x-real-ip"
    assert good("network.http.remote_ip_header: ''").network.remote_ip_header == "x-forwarded-for"


def test_who_is_heard_is_decided_by_origin_and_never_by_user() -> None:
    network = good(
        "network: {accept: {originating_ips: 10.0.0.0/8}, deny: {ips: [10.6.6.6], trusted_ips: true}}"
    ).network

    def hears(address: str, *, trusted: bool = False) -> bool:
        origin = Origin(Peer(ip_address(address)), trusted=trusted, address=ip_address(address))
        return network.conditions.for_origin(origin)

    assert hears("10.0.0.1")
    assert not hears("10.0.0.1", trusted=True)
    assert not hears("10.6.6.6")
    assert not hears("11.0.0.1")
    assert told("network: {accept: {users: ann}, deny: {users: [bob], ips: x, foo: 1}}") == [
        "network.accept.users: Unsupported attribute",
        "network.deny.ips: Invalid value (expected: IP address or netmask in CIDR notation)",
        "network.deny.users: Unsupported attribute",
        "network.deny.foo: Unsupported attribute",
    ]
    assert network.conditions.accept == Criteria(originating_ips=(ip_network("10.0.0.0/8"),))


# -- Dots in keys -------------------------------------------------------------


def test_dots_stand_for_levels_at_every_depth() -> None:
    dotted = good(
        "network.accept.ips: 10.0.0.0/8\nnetwork.http: {}\nnetwork: {accept.originating_ips: 10.0.0.0/8}\n"
        f"auth_domains: [{{type: {TRUSTED_ORIGIN}, user_mapping.user_name.static: a,"
        f" user_mapping.user_name: {{from: b}}, user_mapping: {{roles.from.json_path: c}}}}]"
    )
    plain = good(
        "network: {accept: {ips: 10.0.0.0/8, originating_ips: 10.0.0.0/8}}\n"
        f"auth_domains: [{{type: {TRUSTED_ORIGIN}, user_mapping:"
        " {user_name: {static: a, from: b}, roles: {from: {json_path: c}}}}]"
    )
    assert dotted == plain


@pytest.mark.parametrize(
    ("text", "place"),
    (
        ("network.accept.ips: 10.0.0.1\nnetwork: {accept: {ips: 10.0.0.2}}", "network.accept.ips"),
        ("network: {accept.ips: 10.0.0.1, accept: {ips: [10.0.0.2]}}", "network.accept.ips"),
        ("network:\nnetwork.accept.ips: 10.0.0.1", "network"),
        ("network.accept: {}\nnetwork.accept.ips: 10.0.0.1\nnetwork.accept.ips.x: 1", "network.accept.ips"),
        (
            f"auth_domains: [{{type: {BASIC}, accept.users: a, accept: {{users: b}}}}]",
            "auth_domains.0.accept.users",
        ),
        (f"auth_domains: [{{type: {BASIC}}}]\nauth_domains.0: {{type: x}}", "auth_domains"),
    ),
)
def test_what_stands_twice_once_dots_are_levels_is_refused(text: str, place: str) -> None:
    assert told(text) == [f"{place}: This stands twice"]
