"""Who gets in by a snapshot of the configuration."""

from __future__ import annotations

import base64
import pwd
import traceback
from collections.abc import Mapping
from ipaddress import ip_address

import pytest

from accounts_service.access.action_groups import ActionGroups
from accounts_service.access.authenticators import Facts, Peer
from accounts_service.access.authenticators.basic import CHALLENGE
from accounts_service.access.authenticators.internal_users import VerifiedCredentials
from accounts_service.access.authenticators.jwt import CHALLENGE as BEARER
from accounts_service.access.configuration import ConfigProblem
from accounts_service.access.roles import REALM, Identity, Role
from accounts_service.access.snapshot import (
    BadConfigurationError,
    BuiltIns,
    Snapshot,
    UnknownUserError,
    parse,
    uids_of,
)
from accounts_service.faults import BadOrigin, NotAuthenticated, NotPermitted, Overloaded, RefusedError
from accounts_service.lines import Line
from tests.access.configurations import (
    BASIC,
    BUILT_INS,
    FILES,
    OUTSIDE,
    allowed,
    by_password,
    facts,
    refusal,
    text_of,
)
from tests.support import tokens
from tests.support.lines import narrow
from tests.support.log_ins import Unlimited
from tests.support.personas import hash_of

# -- Who is it ----------------------------------------------------------------

QUIET_BASIC = {**BASIC, "basic": {"challenge": False}}
PROXY = {
    "type": "trusted_origin",
    "user_mapping.user_name.from": "request.headers.x-user",
    "user_mapping.roles.from_comma_separated_string": "request.headers.x-roles",
}
NETWORK = {"trusted_proxies": ["10.0.0.0/8", "2001:db8:1::/48"]}


def snapshot_of(
    *domains: Mapping[str, object],
    network: Mapping[str, object] | None = None,
    uids: tuple[int, ...] = (),
    hashing: Line | None = None,
    files: Mapping[str, object] | None = None,
) -> Snapshot:
    authc = {"auth_domains": list(domains), "network": dict(NETWORK if network is None else network)}
    texts = {name: text_of(document) for name, document in {**FILES, **(files or {}), "sg_authc.yml": authc}.items()}
    configuration = parse(texts, BUILT_INS)
    return Snapshot(configuration, BUILT_INS, VerifiedCredentials(), hashing or narrow(), Unlimited(), frozenset(uids))


@pytest.mark.parametrize(
    ("network", "expected"),
    (({}, False), ({"trusted_proxies": ["10.0.0.1"]}, True), ({"trusted_proxies_regex": r"10\.0\.0\.1"}, True)),
)
def test_proxies_are_trusted_where_the_network_names_some(network: Mapping[str, object], *, expected: bool) -> None:
    assert snapshot_of(BASIC, network=network).trusts_proxies is expected


WRONG = "Basic YWxpY2U6d3Jvbmc="  # alice:wrong
NO_NAME = "Basic OnNlY3JldA=="  # :secret
NO_COLON = "Basic YWxpY2U="  # alice
INSIDE = "10.0.0.1"


ANYBODY = {"type": "anonymous"}


def test_anybody_is_let_in_by_an_anonymous_domain_and_by_none_after_it() -> None:
    sent = facts(OUTSIDE, authorization=by_password("alice"))
    assert snapshot_of(BASIC, ANYBODY).authenticate(sent).name == "alice"
    assert snapshot_of(ANYBODY, BASIC).authenticate(sent).name == "anonymous"
    for wrong in (facts(OUTSIDE), facts(OUTSIDE, authorization=WRONG)):
        assert snapshot_of(BASIC, ANYBODY).authenticate(wrong).name == "anonymous"


def test_an_anonymous_domain_is_for_those_whom_its_conditions_admit() -> None:
    snapshot = snapshot_of(BASIC, {**ANYBODY, "accept": {"ips": [OUTSIDE]}, "user_mapping.roles.static": "guests"})
    assert snapshot.authenticate(facts(OUTSIDE)).backend_roles == {"guests"}
    assert refusal(snapshot, facts("192.0.2.2")) == NotAuthenticated((CHALLENGE,))
    assert refusal(snapshot_of({**ANYBODY, "skip": {"users": "anonymous"}}), facts(OUTSIDE)) == NotAuthenticated()


def test_an_anonymous_domain_may_ask_what_more_is_known_of_its_user() -> None:
    known = {**ANYBODY, "user_mapping.user_name.static": "alice"}
    assert snapshot_of(known).authenticate(facts(OUTSIDE)).roles == frozenset()
    knowing = {**known, "additional_user_information": [{"type": "internal_users_db"}]}
    assert snapshot_of(knowing).authenticate(facts(OUTSIDE)).roles == {"player"}


def test_domains_are_asked_in_order_and_the_first_that_succeeds_wins() -> None:
    sent = facts(INSIDE, x_user="carol", authorization=by_password("alice"))
    assert snapshot_of(PROXY, BASIC).authenticate(sent).name == "carol"
    assert snapshot_of(BASIC, PROXY).authenticate(sent).name == "alice"


def test_after_a_domain_that_fails_the_next_is_asked() -> None:
    snapshot = snapshot_of(BASIC, PROXY)
    assert snapshot.authenticate(facts(INSIDE, x_user="carol", authorization=WRONG)).name == "carol"
    assert snapshot.authenticate(facts(INSIDE, x_user="carol")).name == "carol"


def test_all_that_is_known_of_a_user_with_a_password() -> None:
    assert snapshot_of(BASIC).authenticate(facts(OUTSIDE, authorization=by_password("alice"))) == Identity(
        realm=REALM,
        name="alice",
        backend_roles=frozenset(("sales",)),
        roles=frozenset(("player",)),
        attributes=(("room", "7"),),
        address=ip_address(OUTSIDE),
        domain="basic/internal_users_db",
    )


@pytest.mark.parametrize(
    ("domains", "header", "challenges"),
    (
        ((BASIC,), None, (CHALLENGE,)),
        ((QUIET_BASIC,), None, ()),
        ((BASIC, BASIC), None, (CHALLENGE, CHALLENGE)),
        ((QUIET_BASIC, BASIC), None, (CHALLENGE,)),
        ((PROXY, BASIC), None, (CHALLENGE,)),
        ((PROXY,), None, ()),
        ((), None, ()),
        ((BASIC,), WRONG, ()),
        ((BASIC,), by_password("stranger"), ()),
        ((BASIC,), NO_NAME, ()),
        ((BASIC,), NO_COLON, (CHALLENGE,)),
        ((QUIET_BASIC,), NO_COLON, ()),
        ((BASIC,), "", (CHALLENGE,)),
        ((BASIC,), "Bearer x", (CHALLENGE,)),
        ((BASIC,), "Basic é", (CHALLENGE,)),
        ((BASIC,), f"{by_password('alice')}, {by_password('alice')}", (CHALLENGE,)),
    ),
)
def test_only_a_domain_that_found_no_credentials_asks_for_them(
    domains: tuple[dict[str, object], ...], header: str | None, challenges: tuple[str, ...]
) -> None:
    sent = facts(OUTSIDE) if header is None else facts(OUTSIDE, authorization=header)
    assert refusal(snapshot_of(*domains), sent) == NotAuthenticated(challenges)


def test_without_a_file_of_domains_users_log_in_with_their_passwords() -> None:
    texts = {name: text_of(document) for name, document in FILES.items()}
    snapshot = Snapshot(parse(texts, BUILT_INS), BUILT_INS, VerifiedCredentials(), narrow(), Unlimited(), frozenset())
    assert snapshot.authenticate(facts(OUTSIDE, authorization=by_password("alice"))).name == "alice"
    assert refusal(snapshot, facts(INSIDE, x_user="alice")) == NotAuthenticated((CHALLENGE,))


def test_too_many_passwords_at_once_are_refused_and_no_next_domain_is_asked() -> None:
    hashing = narrow()
    snapshot = snapshot_of(BASIC, PROXY, hashing=hashing)
    with hashing.turn():
        fault = refusal(snapshot, facts(INSIDE, x_user="carol", authorization=by_password("alice")))
    assert isinstance(fault, Overloaded)


def test_what_the_service_has_no_authenticator_for_is_named() -> None:
    snapshot = snapshot_of({"type": "ldap"}, BASIC)
    assert [reason.split(":")[0] for reason in snapshot.left_out] == ["auth_domains.0 (ldap)"]
    assert snapshot.authenticate(facts(OUTSIDE, authorization=by_password("alice"))).name == "alice"


# -- Headers that say who it is -----------------------------------------------


@pytest.mark.parametrize("header", ("x-user", "x-roles", "authorization"))
def test_a_header_that_says_who_it_is_must_not_be_repeated(header: str) -> None:
    snapshot = snapshot_of(PROXY, BASIC)
    sent = {"x_user": "carol", "x_roles": "a,b", "authorization": by_password("alice")}
    assert refusal(snapshot, facts(INSIDE, f"accept,{header}", **sent)) == NotAuthenticated()
    assert snapshot.authenticate(facts(INSIDE, "accept", **sent)).name == "carol"


def test_a_password_must_not_be_repeated_even_where_none_is_asked_for() -> None:
    assert refusal(snapshot_of(PROXY), facts(INSIDE, "authorization", x_user="carol")) == NotAuthenticated()


def test_a_header_that_no_mapping_reads_may_be_repeated_and_joined() -> None:
    sent = facts(INSIDE, "x-other", x_user="carol", x_other="a,b", x_roles="a, b,,")
    assert snapshot_of(PROXY).authenticate(sent).backend_roles == {"a", "b"}


@pytest.mark.parametrize(
    ("source", "joined"),
    (
        ("request.headers.x-extra", True),
        ({"json_path": "request.headers.x-extra", "pattern": "([a-z]+).*"}, True),
        ({"json_path": "request.headers.x-extra", "split": ";"}, True),
        ({"json_path": "request.headers.x-extra", "split": ", "}, True),
        ({"json_path": "request.headers.x-extra", "split": ",,"}, True),
        ({"json_path": "request.headers.x-extra", "split": ","}, False),
    ),
)
def test_a_comma_is_a_repeat_unless_the_mapping_splits_it(source: object, *, joined: bool) -> None:
    snapshot = snapshot_of({**PROXY, "user_mapping.attrs.from": {"extra": source}})
    sent = facts(INSIDE, x_user="carol", x_extra="a,b")
    if joined:
        assert refusal(snapshot, sent) == NotAuthenticated()
    else:
        assert snapshot.authenticate(sent).attributes == (("extra", "a"),)


def test_a_longer_separator_splits_the_commas_that_are_its_own() -> None:
    source = {"json_path": "request.headers.x-groups", "split": ", "}
    snapshot = snapshot_of({**PROXY, "user_mapping.roles.from": source})
    sent = facts(INSIDE, x_user="carol", x_groups="a, b")
    assert snapshot.authenticate(sent).backend_roles == {"a", "b"}


def test_a_comma_is_a_repeat_unless_every_mapping_of_the_header_splits_it() -> None:
    other = {"type": "trusted_origin", "user_mapping.user_name.from": "request.headers.x-roles"}
    sent = facts(INSIDE, x_user="carol", x_roles="a,b")
    assert snapshot_of(PROXY).authenticate(sent).name == "carol"
    assert refusal(snapshot_of(PROXY, other), sent) == NotAuthenticated()


def test_a_joined_user_name_is_refused_whoever_sends_it() -> None:
    snapshot = snapshot_of(PROXY, BASIC)
    for peer in (INSIDE, OUTSIDE):
        sent = facts(peer, x_user="mallory,admin", authorization=by_password("alice"))
        assert refusal(snapshot, sent) == NotAuthenticated()


def test_what_a_longer_separator_leaves_joined_is_a_repeat() -> None:
    source = {"json_path": "request.headers.x-groups", "split": ", "}
    sent = facts(INSIDE, x_user="carol", x_groups="a, b,c")
    assert refusal(snapshot_of({**PROXY, "user_mapping.roles.from": source}), sent) == NotAuthenticated()


# -- Where it comes from ------------------------------------------------------


def test_nobody_is_trusted_without_trusted_proxies() -> None:
    snapshot = snapshot_of(PROXY, network={})
    for peer in (INSIDE, "127.0.0.1", "::1", 0, 33):
        assert refusal(snapshot, facts(peer, x_user="admin")) == NotAuthenticated()


@pytest.mark.parametrize(
    ("peer", "trusted"),
    (
        ("10.0.0.1", True),
        ("10.255.255.255", True),
        ("11.0.0.0", False),
        ("::ffff:10.0.0.1", True),
        ("::ffff:11.0.0.1", False),
        ("::10.0.0.1", False),
        ("2001:db8:1::9", True),
        ("2001:db8:2::9", False),
    ),
)
def test_a_proxy_is_trusted_by_its_address(peer: str, *, trusted: bool) -> None:
    snapshot = snapshot_of(PROXY)
    if trusted:
        assert snapshot.authenticate(facts(peer, x_user="carol")).name == "carol"
    else:
        assert refusal(snapshot, facts(peer, x_user="carol")) == NotAuthenticated()


@pytest.mark.parametrize(
    ("peer", "trusted"), (("172.16.0.7", True), ("::ffff:172.16.0.7", True), ("172.16.0.77", False), (33, False))
)
def test_a_proxy_is_trusted_by_a_regex_over_its_whole_address(peer: str | int, *, trusted: bool) -> None:
    snapshot = snapshot_of(PROXY, network={"trusted_proxies_regex": r"172\.16\.0\.[0-9]"})
    if trusted:
        assert snapshot.authenticate(facts(peer, x_user="carol")).name == "carol"
    else:
        assert refusal(snapshot, facts(peer, x_user="carol")) == NotAuthenticated()


def test_a_proxy_on_a_socket_is_trusted_by_its_uid() -> None:
    snapshot = snapshot_of(PROXY, network={}, uids=(33,))
    identity = snapshot.authenticate(facts(33, x_user="carol"))
    assert (identity.name, identity.address) == ("carol", None)
    for peer in (34, 0, OUTSIDE):
        assert refusal(snapshot, facts(peer, x_user="carol")) == NotAuthenticated()
    assert refusal(snapshot, Facts(Peer(), {"x-user": "carol"})) == NotAuthenticated()


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    (
        (INSIDE, None, INSIDE),
        (INSIDE, "198.51.100.1", "198.51.100.1"),
        (INSIDE, "203.0.113.9, 198.51.100.1", "198.51.100.1"),
        (INSIDE, "203.0.113.9,198.51.100.1,10.0.0.2 , 10.0.0.3", "198.51.100.1"),
        (INSIDE, "10.0.0.2, 10.0.0.3", "10.0.0.2"),
        (INSIDE, "198.51.100.1" + ", 10.0.0.2" * 49, "198.51.100.1"),
        (INSIDE, "2001:db8:2::1, 2001:db8:1::1", "2001:db8:2::1"),
        (INSIDE, "203.0.113.9, ::ffff:10.0.0.2", "203.0.113.9"),
        (INSIDE, "::ffff:203.0.113.9", "203.0.113.9"),
        (INSIDE, "2001:db8:2::1%10.0.0.9", "2001:db8:2::1"),
        ("2001:db8:1::9%eth0", None, "2001:db8:1::9"),
        ("::ffff:10.0.0.1", None, INSIDE),
        (33, "198.51.100.1", "198.51.100.1"),
        (33, None, None),
    ),
)
def test_the_first_client_is_the_right_most_address_that_is_not_trusted(
    peer: str | int, forwarded: str | None, address: str | None
) -> None:
    sent = facts(peer, x_user="carol") if forwarded is None else facts(peer, x_user="carol", x_forwarded_for=forwarded)
    found = snapshot_of(PROXY, uids=(33,)).authenticate(sent).address
    assert found == (None if address is None else ip_address(address))


@pytest.mark.parametrize(
    "forwarded",
    (
        "",
        "unknown",
        "198.51.100.1,",
        ",198.51.100.1",
        "198.51.100.1:80",
        "[2001:db8::1]",
        "010.0.0.1",
        "1",
        "a, 1.1.1.1",
        "198.51.100.1" + ", 10.0.0.2" * 50,
    ),
)
def test_a_header_of_addresses_that_cannot_be_read_is_refused(forwarded: str) -> None:
    sent = facts(INSIDE, x_user="carol", x_forwarded_for=forwarded)
    assert refusal(snapshot_of(PROXY), sent) == BadOrigin("x-forwarded-for")


@pytest.mark.parametrize("forwarded", ("unknown", "10.0.0.1", "198.51.100.1"))
def test_addresses_that_nobody_trusted_sent_are_not_read(forwarded: str) -> None:
    sent = facts(OUTSIDE, authorization=by_password("alice"), x_forwarded_for=forwarded)
    assert snapshot_of(PROXY, BASIC).authenticate(sent).address == ip_address(OUTSIDE)


def test_addresses_may_be_read_from_another_header() -> None:
    snapshot = snapshot_of(PROXY, network={**NETWORK, "http": {"remote_ip_header": "X-Real-IP"}})
    sent = facts(INSIDE, x_user="carol", x_forwarded_for="unknown", x_real_ip="198.51.100.1")
    assert snapshot.authenticate(sent).address == ip_address("198.51.100.1")
    assert refusal(snapshot, facts(INSIDE, x_user="carol", x_real_ip="?")) == BadOrigin("x-real-ip")


@pytest.mark.parametrize(
    ("network", "peer", "forwarded", "heard"),
    (
        ({"accept": {"ips": "10.0.0.0/8"}}, INSIDE, None, True),
        ({"accept": {"ips": "10.0.0.0/8"}}, "::ffff:10.0.0.1", None, True),
        ({"accept": {"ips": "10.0.0.0/8"}}, OUTSIDE, None, False),
        ({"accept": {"ips": "10.0.0.0/8"}}, OUTSIDE, "10.0.0.1", False),
        ({"accept": {"ips": "0.0.0.0/0"}}, 33, None, False),
        ({"accept": {"trusted_ips": True}}, 33, None, True),
        ({"accept": {"trusted_ips": True}}, OUTSIDE, None, False),
        ({"accept": {"originating_ips": "198.51.100.0/24"}}, INSIDE, "198.51.100.1", True),
        ({"accept": {"originating_ips": "198.51.100.0/24"}}, INSIDE, "198.51.100.1, 203.0.113.9", False),
        ({"accept": {"originating_ips": "198.51.100.0/24"}}, OUTSIDE, "198.51.100.1", False),
        ({"deny": {"ips": "192.0.2.0/24"}}, OUTSIDE, None, False),
        ({"deny": {"ips": "192.0.2.0/24"}}, "::ffff:192.0.2.1", None, False),
        ({"deny": {"ips": "192.0.2.0/24"}}, INSIDE, "192.0.2.1", True),
        ({"deny": {"originating_ips": "192.0.2.0/24"}}, INSIDE, "192.0.2.1", False),
        ({"deny": {"originating_ips": "192.0.2.0/24"}}, INSIDE, "::ffff:192.0.2.1", False),
        ({"deny": {"originating_ips": "192.0.2.0/24"}}, INSIDE, "192.0.2.1, 198.51.100.1", True),
        ({"deny": {"trusted_ips": False}}, OUTSIDE, None, False),
        ({"accept": {"ips": "10.0.0.0/8"}, "deny": {"ips": "10.0.0.1"}}, INSIDE, None, False),
    ),
)
def test_the_network_settings_say_who_is_heard_at_all(
    network: dict[str, object], peer: str | int, forwarded: str | None, *, heard: bool
) -> None:
    snapshot = snapshot_of(BASIC, network={**NETWORK, **network}, uids=(33,))
    headers = {} if forwarded is None else {"x_forwarded_for": forwarded}
    sent = facts(peer, authorization=by_password("alice"), **headers)
    if heard:
        assert snapshot.authenticate(sent).name == "alice"
    else:
        assert refusal(snapshot, sent) == NotPermitted()


@pytest.mark.parametrize(
    ("conditions", "peer", "forwarded", "asked"),
    (
        ({"accept": {"ips": "10.0.0.0/8"}}, INSIDE, None, True),
        ({"accept": {"ips": "10.0.0.0/8"}}, OUTSIDE, None, False),
        ({"accept": {"originating_ips": ["198.51.100.1"]}}, INSIDE, "198.51.100.1", True),
        ({"accept": {"originating_ips": ["198.51.100.1"]}}, INSIDE, None, False),
        ({"accept": {"trusted_ips": True}}, INSIDE, None, True),
        ({"accept": {"trusted_ips": True}}, OUTSIDE, None, False),
        ({"accept": {"users": "al*"}}, OUTSIDE, None, True),
        ({"accept": {"users": "bob"}}, OUTSIDE, None, False),
        ({"skip": {"ips": "10.0.0.0/8"}}, INSIDE, None, False),
        ({"skip": {"ips": "10.0.0.0/8"}}, "::ffff:10.0.0.1", None, False),
        ({"skip": {"ips": "10.0.0.0/8"}}, OUTSIDE, None, True),
        ({"skip": {"originating_ips": "198.51.100.1"}}, INSIDE, "198.51.100.1", False),
        ({"skip": {"trusted_ips": False}}, OUTSIDE, None, False),
        ({"skip": {"trusted_ips": False}}, INSIDE, None, True),
        ({"skip": {"users": "alice"}}, OUTSIDE, None, False),
        ({"skip": {"users": "bob"}}, OUTSIDE, None, True),
    ),
)
def test_a_domain_says_whom_it_is_for(
    conditions: dict[str, object], peer: str, forwarded: str | None, *, asked: bool
) -> None:
    snapshot = snapshot_of({**BASIC, **conditions})
    headers = {} if forwarded is None else {"x_forwarded_for": forwarded}
    sent = facts(peer, authorization=by_password("alice"), **headers)
    if asked:
        assert snapshot.authenticate(sent).name == "alice"
    else:
        assert refusal(snapshot, sent) == NotAuthenticated()


def test_a_domain_that_is_not_asked_does_not_ask_either() -> None:
    snapshot = snapshot_of({**BASIC, "accept": {"ips": "10.0.0.0/8"}})
    assert refusal(snapshot, facts(OUTSIDE)) == NotAuthenticated()
    assert refusal(snapshot, facts(INSIDE)) == NotAuthenticated((CHALLENGE,))


def test_a_user_of_the_proxy_that_the_domain_is_not_for_is_left_to_the_next() -> None:
    skipping = {**PROXY, "skip": {"users": ["admin"]}}
    assert refusal(snapshot_of(skipping, BASIC), facts(INSIDE, x_user="admin")) == NotAuthenticated((CHALLENGE,))
    assert snapshot_of(skipping, PROXY).authenticate(facts(INSIDE, x_user="admin")).name == "admin"


@pytest.mark.parametrize("headers", ({}, {"x_user": ""}, {"x_roles": "admin"}))
def test_a_proxy_that_names_nobody_leaves_it_to_the_next_domain(headers: dict[str, str]) -> None:
    snapshot = snapshot_of(PROXY, BASIC)
    assert refusal(snapshot, facts(INSIDE, **headers)) == NotAuthenticated((CHALLENGE,))
    assert snapshot.authenticate(facts(INSIDE, authorization=by_password("alice"), **headers)).name == "alice"


def test_a_domain_may_ask_what_more_is_known_of_a_user_of_the_proxy() -> None:
    knowing = {**PROXY, "additional_user_information": [{"type": "internal_users_db"}]}
    sent = facts(INSIDE, x_user="alice", x_roles="berlin")
    assert snapshot_of(PROXY).authenticate(sent).roles == frozenset()
    identity = snapshot_of(knowing).authenticate(sent)
    assert identity.backend_roles == {"berlin", "sales"}
    assert identity.roles == {"player"}
    assert identity.attributes == (("room", "7"),)
    assert snapshot_of(knowing).authenticate(facts(INSIDE, x_user="carol")).roles == frozenset()


def test_a_mapping_reads_no_header_of_who_is_not_trusted() -> None:
    snapshot = snapshot_of({**BASIC, "user_mapping.roles.from": "request.headers.x-roles"})
    header = by_password("alice")
    assert snapshot.authenticate(facts(OUTSIDE, authorization=header, x_roles="admin")).backend_roles == {"sales"}
    assert snapshot.authenticate(facts(INSIDE, authorization=header, x_roles="admin")).backend_roles == {
        "sales",
        "admin",
    }


def test_every_worker_maps_the_same_of_several_backend_roles() -> None:
    users = {"alice": {"hash": hash_of("alice"), "backend_roles": [f"r{number}" for number in range(9, -1, -1)]}}
    mapping = {"user_mapping.attrs.from": {"first": "user_entry.backend_roles[0]"}}
    snapshot = snapshot_of({**BASIC, **mapping}, files={"sg_internal_users.yml": users})
    assert snapshot.authenticate(facts(OUTSIDE, authorization=by_password("alice"))).attributes == (("first", "r0"),)


def test_a_password_is_worth_nothing_where_the_mapping_finds_no_name() -> None:
    snapshot = snapshot_of({**BASIC, "user_mapping.user_name.from": "user_entry.attributes.none"})
    assert refusal(snapshot, facts(OUTSIDE, authorization=by_password("alice"))) == NotAuthenticated()


# -- Tokens -------------------------------------------------------------------

SIGNED = {"signing_key": base64.b64encode(tokens.SECRET).decode()}
TOKENS = {"type": "jwt", "jwt": SIGNED}


def by_token(**claims: object) -> str:
    return f"Bearer {tokens.token(said=tokens.claims(**claims))}"


def test_who_brings_a_token_is_known_by_it() -> None:
    known = {**TOKENS, "user_mapping.roles.from": "jwt.roles"}
    identity = snapshot_of(known).authenticate(facts(OUTSIDE, authorization=by_token(roles=["sales"])))
    assert identity == Identity(
        realm=REALM,
        name="alice",
        backend_roles=frozenset(("sales",)),
        address=ip_address(OUTSIDE),
        domain="jwt",
    )
    more = {**known, "additional_user_information": [{"type": "internal_users_db"}]}
    assert snapshot_of(more).authenticate(facts(OUTSIDE, authorization=by_token())).roles == {"player"}


@pytest.mark.parametrize(
    ("header", "challenges"),
    (
        (None, (BEARER, CHALLENGE)),
        ("Basic x", (BEARER, CHALLENGE)),
        (WRONG, (BEARER,)),
        ("Bearer x", (CHALLENGE,)),
        (f"Bearer {tokens.token(said={'sub': 'alice', 'exp': 1})}", (CHALLENGE,)),
    ),
)
def test_a_token_is_asked_for_where_there_is_none(header: str | None, challenges: tuple[str, ...]) -> None:
    sent = facts(OUTSIDE) if header is None else facts(OUTSIDE, authorization=header)
    assert refusal(snapshot_of(TOKENS, BASIC), sent) == NotAuthenticated(challenges)


def test_after_a_token_that_is_not_good_the_next_domain_is_asked() -> None:
    other = {"type": "jwt", "jwt": {**SIGNED, "required_issuer": "us"}}
    snapshot = snapshot_of(other, TOKENS, ANYBODY)
    assert snapshot.authenticate(facts(OUTSIDE, authorization=by_token(sub="bob"))).name == "bob"
    assert snapshot.authenticate(facts(OUTSIDE, authorization=by_token(exp=1))).name == "anonymous"


@pytest.mark.parametrize("header", ("authorization", "x-token"))
def test_a_header_with_a_token_comes_once(header: str) -> None:
    token_here = {"type": "jwt", "jwt": {**SIGNED, "header": header.title()}}
    snapshot = snapshot_of(token_here)
    sent = {header.replace("-", "_"): by_token()}
    assert snapshot.authenticate(facts(OUTSIDE, **sent)).name == "alice"
    assert refusal(snapshot, facts(OUTSIDE, repeated=header, **sent)) == NotAuthenticated()
    joined = {name: f"{value},{value}" for name, value in sent.items()}
    assert refusal(snapshot, facts(OUTSIDE, **joined)) == NotAuthenticated()


@pytest.mark.parametrize("claims", ({"exp": 1}, {"aud": 5}, {"sub": ""}))
def test_a_token_is_in_no_error(claims: dict[str, object]) -> None:
    sent = by_token(**claims)
    with pytest.raises(RefusedError) as refused:
        snapshot_of(TOKENS).authenticate(facts(OUTSIDE, authorization=sent))
    told = "".join(traceback.TracebackException.from_exception(refused.value, capture_locals=False).format())
    _, said, signature = sent.split(".")
    for part in (sent, said, signature):
        assert part not in told + repr(refused.value) + str(refused.value.fault)
    assert refused.value.__context__ is None


# -- What is built in ---------------------------------------------------------


def test_two_families_cannot_have_a_name_in_common() -> None:
    groups: ActionGroups = {"A": ()}
    roles = {"A": Role()}
    with pytest.raises(ValueError, match=r"built in twice: \['A'\]"):
        BuiltIns.merge([(groups, {}), (groups, {})])
    with pytest.raises(ValueError, match=r"built in twice: \['A'\]"):
        BuiltIns.merge([({}, roles), ({}, roles)])
    with pytest.raises(ValueError, match="SGS_ALL_ACCESS"):
        BuiltIns.merge([({}, {"SGS_ALL_ACCESS": Role()})])


def test_what_is_built_in_cannot_be_defined_again() -> None:
    group = {"allowed_actions": ["*"], "type": "cluster"}
    documents = {
        **FILES,
        "sg_roles.yml": {"TOY_PLAYER": {"cluster_permissions": ["*"]}, "SGS_ALL_ACCESS": {}, "toy": {"nonsense": []}},
        "sg_action_groups.yml": {"TOY_PLAY": group, "MINE": group},
    }
    with pytest.raises(BadConfigurationError) as refused:
        parse({name: text_of(document) for name, document in documents.items()}, BUILT_INS)
    built_in = "This is built in and cannot be defined again"
    assert refused.value.problems == [
        ConfigProblem("sg_roles.yml", "SGS_ALL_ACCESS", built_in),
        ConfigProblem("sg_roles.yml", "TOY_PLAYER", built_in),
        ConfigProblem("sg_roles.yml", "toy.nonsense", "Unsupported attribute"),
        ConfigProblem("sg_action_groups.yml", "TOY_PLAY", built_in),
    ]
    assert str(refused.value) == "4 problems"


def test_a_built_in_role_is_given_by_a_mapping() -> None:
    documents = {**FILES, "sg_roles_mapping.yml": {"TOY_PLAYER": {"users": ["bob"]}}}
    texts = {name: text_of(document) for name, document in documents.items()}
    snapshot = Snapshot(parse(texts, BUILT_INS), BUILT_INS, VerifiedCredentials(), narrow(), Unlimited(), frozenset())
    assert allowed(snapshot, "bob")
    assert not allowed(snapshot, "alice")


# -- Users of a socket --------------------------------------------------------


def test_users_are_looked_up_by_name_or_number() -> None:
    root = pwd.getpwuid(0).pw_name
    assert uids_of(()) == frozenset()
    assert uids_of((root, "0", "4711")) == {0, 4711}


@pytest.mark.parametrize("name", ("nobody-of-this-name", "-1", "٣"))
def test_a_user_that_the_system_does_not_know_is_named(name: str) -> None:
    with pytest.raises(UnknownUserError, match=name):
        uids_of(("0", name))
