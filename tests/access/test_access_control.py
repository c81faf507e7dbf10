"""Who gets in by a snapshot of the configuration, and when the next snapshot is taken."""

from __future__ import annotations

import errno
import json
import os
import pwd
import stat
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from accounts_service.access import snapshot as module
from accounts_service.access.action_groups import ActionGroups
from accounts_service.access.authenticators import Facts, Peer
from accounts_service.access.authenticators.basic import CHALLENGE
from accounts_service.access.authenticators.internal_users import VerifiedCredentials
from accounts_service.access.configuration import ConfigProblem
from accounts_service.access.roles import REALM, Identity, Role
from accounts_service.access.snapshot import (
    AccessControl,
    BadConfigurationError,
    BuiltIns,
    LastGood,
    Snapshot,
    UnknownUserError,
    parse,
    read_directory,
    uids_of,
)
from accounts_service.bulkhead import Bulkhead
from accounts_service.faults import BadOrigin, Fault, NotAuthenticated, NotPermitted, Overloaded, RefusedError
from tests.support.personas import authorization, hash_of

ACTION = "cluster:admin:toy:toy/play"
BUILT_INS = BuiltIns.merge([({"TOY_PLAY": (ACTION,)}, {"TOY_PLAYER": Role(cluster_permissions=("TOY_PLAY",))})])

FILES: dict[str, object] = {
    "sg_roles.yml": {"player": {"cluster_permissions": ["TOY_PLAY"]}},
    "sg_roles_mapping.yml": {"player": {"users": ["alice"]}},
    "sg_action_groups.yml": {},
    "sg_internal_users.yml": {
        "alice": {
            "hash": hash_of("alice"),
            "backend_roles": ["sales"],
            "search_guard_roles": ["player"],
            "attributes": {"room": "7"},
        },
        "bob": {"hash": hash_of("bob")},
    },
    "sg_tenants.yml": {},
}
REVOKED = {"sg_roles_mapping.yml": {"player": {"users": ["bob"]}}}


def text_of(document: object) -> str:
    # JSON is YAML, and repeats what YAML would write as an alias, which is not accepted.
    return document if isinstance(document, str) else json.dumps(document)


# -- Who is it ----------------------------------------------------------------

BASIC = {"type": "basic/internal_users_db"}
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
    bulkhead: Bulkhead | None = None,
    files: Mapping[str, object] | None = None,
) -> Snapshot:
    authc = {"auth_domains": list(domains), "network": dict(NETWORK if network is None else network)}
    texts = {name: text_of(document) for name, document in {**FILES, **(files or {}), "sg_authc.yml": authc}.items()}
    configuration = parse(texts, BUILT_INS)
    return Snapshot(configuration, BUILT_INS, VerifiedCredentials(), bulkhead or Bulkhead(1), frozenset(uids))


def facts(peer: str | int, repeated: str = "", **headers: str) -> Facts:
    """Gather facts; the header names are written with underscores."""
    return Facts(
        Peer(uid=peer) if isinstance(peer, int) else Peer(ip_address(peer)),
        {name.replace("_", "-"): value for name, value in headers.items()},
        frozenset(repeated.split(",")),
    )


def by_password(name: str) -> str:
    return authorization(name)["Authorization"]


def refusal(snapshot: Snapshot, sent: Facts) -> Fault:
    with pytest.raises(RefusedError) as refused:
        snapshot.authenticate(sent)
    return refused.value.fault


WRONG = "Basic YWxpY2U6d3Jvbmc="  # alice:wrong
NO_NAME = "Basic OnNlY3JldA=="  # :secret
NO_COLON = "Basic YWxpY2U="  # alice
OUTSIDE = "192.0.2.1"
INSIDE = "10.0.0.1"


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
    snapshot = Snapshot(parse(texts, BUILT_INS), BUILT_INS, VerifiedCredentials(), Bulkhead(1), frozenset())
    assert snapshot.authenticate(facts(OUTSIDE, authorization=by_password("alice"))).name == "alice"
    assert refusal(snapshot, facts(INSIDE, x_user="alice")) == NotAuthenticated((CHALLENGE,))


def test_too_many_passwords_at_once_are_refused_and_no_next_domain_is_asked() -> None:
    bulkhead = Bulkhead(1)
    snapshot = snapshot_of(BASIC, PROXY, bulkhead=bulkhead)
    with bulkhead.place():
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
    snapshot = Snapshot(parse(texts, BUILT_INS), BUILT_INS, VerifiedCredentials(), Bulkhead(1), frozenset())
    assert allowed(snapshot, "bob")
    assert not allowed(snapshot, "alice")


# -- A directory, a clock -----------------------------------------------------


class Directory:
    """A configuration directory that is written to as deployments do: a new file in the place of the old."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "config"
        self._new = folder / "new"
        self.path.mkdir()
        self.write(FILES)

    def write(self, files: Mapping[str, object]) -> None:
        for name, document in files.items():
            self._new.write_bytes(document if isinstance(document, bytes) else text_of(document).encode())
            self._new.replace(self.path / name)

    def remove(self) -> None:
        for file in self.path.iterdir():
            file.unlink()
        self.path.rmdir()

    def changed(self) -> float:
        """Tell when the last change was."""
        return max(path.stat().st_ctime for path in (self.path, *self.path.iterdir()))


class Clock:
    """A clock that stands still until it is moved; the directory was quiet for long when it starts."""

    def __init__(self) -> None:
        self.now = time.time() + 1000

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return Directory(tmp_path)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Give the file of the last good state."""
    return tmp_path / "state" / "last-good" / "snapshot.json"


@pytest.fixture
def start(directory: Directory, kept: Path, clock: Clock) -> Callable[[], AccessControl]:
    """Give what starts a worker."""

    def start() -> AccessControl:
        return AccessControl(
            directory.path, LastGood(kept.parent), built_ins=BUILT_INS, bulkhead=Bulkhead(1), clock=clock
        )

    return start


@pytest.fixture
def logged() -> Iterator[list[EventDict]]:
    with capture_logs() as entries:
        yield entries


def allowed(snapshot: Snapshot, name: str = "alice") -> bool:
    roles = snapshot.rules.effective_roles(Identity(realm=REALM, name=name))
    return snapshot.rules.permissions(roles).cluster(ACTION)


def later(access: AccessControl, clock: Clock) -> Snapshot:
    """Come again when the directory has been quiet for long."""
    clock.now += 1000
    return access.current()


def problems_of(access: AccessControl) -> tuple[ConfigProblem, ...]:
    return access.problems


def events(logged: list[EventDict]) -> list[str]:
    return [entry["event"] for entry in logged if entry["log_level"] != "info"]


Start = Callable[[], AccessControl]

BROKEN = {"sg_roles.yml": {"player": {"nonsense": []}}, "sg_tenants.yml": "- []"}
PROBLEMS = (
    ConfigProblem("sg_roles.yml", "player.nonsense", "Unsupported attribute"),
    ConfigProblem("sg_tenants.yml", "", "Invalid value", "A mapping"),
)


# -- When a change holds ------------------------------------------------------


def test_without_a_change_the_snapshot_stays_the_same(start: Start, clock: Clock) -> None:
    access = start()
    first = access.current()
    assert allowed(first)
    assert later(access, clock) is first


def test_a_change_does_not_hold_before_a_second_of_quiet(start: Start, clock: Clock, directory: Directory) -> None:
    access = start()
    first = access.current()
    directory.write(REVOKED)
    clock.now = directory.changed() + 0.9375
    assert access.current() is first


def test_a_change_holds_after_a_second_of_quiet(start: Start, clock: Clock, directory: Directory) -> None:
    access = start()
    directory.write(REVOKED)
    clock.now = directory.changed()
    assert allowed(access.current())
    clock.now += 1
    assert not allowed(access.current())
    assert allowed(access.current(), "bob")


def test_what_is_put_beside_the_files_holds_up_no_change_of_them(
    start: Start, clock: Clock, directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    access = start()
    directory.write(REVOKED)
    changed = directory.changed()
    real = Path.stat

    def touched_later(path: Path, **options: bool) -> os.stat_result:
        status = real(path, **options)
        if path != directory.path:
            return status
        return os.stat_result((*status[:7], *(int(changed) + 100,) * 3))

    monkeypatch.setattr(Path, "stat", touched_later)
    clock.now = changed + 1
    assert not allowed(access.current())


def test_a_file_that_went_is_a_change_of_its_directory(start: Start, clock: Clock, directory: Directory) -> None:
    access = start()
    (directory.path / "sg_roles_mapping.yml").unlink()
    clock.now = directory.path.stat().st_ctime + 0.5
    access.current()
    assert problems_of(access) == ()
    clock.now += 1
    access.current()
    assert problems_of(access) == (ConfigProblem("sg_roles_mapping.yml", "", "File does not exist"),)


def test_a_file_dated_back_is_a_change_of_now(start: Start, clock: Clock, directory: Directory) -> None:
    access = start()
    directory.write(REVOKED)
    os.utime(directory.path / "sg_roles_mapping.yml", (0, 0))
    clock.now = directory.changed()
    assert allowed(access.current())
    clock.now += 1
    assert not allowed(access.current())


def test_a_file_of_the_same_size_and_time_is_a_change(start: Start, clock: Clock, directory: Directory) -> None:
    access = start()
    path = directory.path / "sg_roles_mapping.yml"
    before = path.stat()
    text = path.read_text()
    path.write_text(text.replace("alice", "carol"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert not allowed(later(access, clock))


def test_the_directory_is_looked_at_at_most_once_a_second(start: Start, clock: Clock, directory: Directory) -> None:
    access = start()
    later(access, clock)
    directory.write(REVOKED)
    clock.now += 0.9375
    assert allowed(access.current())
    clock.now += 0.0625
    assert not allowed(access.current())


def test_a_revoked_role_ends_in_every_worker(start: Start, clock: Clock, directory: Directory) -> None:
    workers = [start(), start()]
    assert all(allowed(worker.current()) for worker in workers)
    directory.write(REVOKED)
    clock.now += 1
    assert not any(allowed(worker.current()) for worker in workers)


def test_a_password_that_was_right_ends_with_its_user(start: Start, clock: Clock, directory: Directory) -> None:
    access = start()
    sent = facts(OUTSIDE, authorization=by_password("alice"))
    assert access.current().authenticate(sent).name == "alice"
    directory.write({"sg_internal_users.yml": {"alice": {"hash": hash_of("bob")}}})
    assert refusal(later(access, clock), sent) == NotAuthenticated()


def read_then(monkeypatch: pytest.MonkeyPatch, *actions: Callable[[], object]) -> list[Path]:
    """Let each time the directory is read be followed by the next of `actions`; returns what was read."""
    reads: list[Path] = []

    def read(path: Path) -> dict[str, str]:
        reads.append(path)
        texts = read_directory(path)
        if len(reads) <= len(actions):
            actions[len(reads) - 1]()
        return texts

    monkeypatch.setattr(module, "read_directory", read)
    return reads


def test_a_change_during_the_reading_is_taken_at_the_next_look(
    start: Start, clock: Clock, directory: Directory, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    access = start()
    first, before = access.current(), kept.read_text()
    read_then(monkeypatch, lambda: directory.write(REVOKED))
    directory.write({"sg_tenants.yml": {"half": {}}})
    assert later(access, clock) is first
    assert kept.read_text() == before
    assert not allowed(later(access, clock))


def test_only_one_thread_looks_at_a_time(
    start: Start, clock: Clock, directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    access = start()
    first = access.current()
    others: list[Snapshot] = []

    def come_meanwhile() -> None:
        clock.now += 10
        thread = threading.Thread(target=lambda: others.append(access.current()))
        thread.start()
        thread.join()

    reads = read_then(monkeypatch, come_meanwhile)
    directory.write(REVOKED)
    assert not allowed(later(access, clock))
    assert others == [first]
    assert len(reads) == 1


def test_a_look_that_fails_does_not_keep_others_from_looking(
    start: Start, clock: Clock, directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    access = start()

    def fail() -> None:
        raise MemoryError

    read_then(monkeypatch, fail)
    directory.write(REVOKED)
    with pytest.raises(MemoryError):
        later(access, clock)
    assert not allowed(later(access, clock))


# -- The clock set back -------------------------------------------------------


def test_with_the_clock_set_back_two_equal_looks_are_quiet(start: Start, clock: Clock, directory: Directory) -> None:
    access = start()
    directory.write(REVOKED)
    clock.now -= 5000
    assert allowed(access.current())
    clock.now += 0.9375
    assert allowed(access.current())
    clock.now += 0.0625
    assert not allowed(access.current())


def test_with_the_clock_set_back_a_further_change_starts_the_wait_again(
    start: Start, clock: Clock, directory: Directory
) -> None:
    access = start()
    directory.write(REVOKED)
    clock.now -= 5000
    access.current()
    directory.write({"sg_roles_mapping.yml": {}})
    clock.now += 1
    assert allowed(access.current())
    clock.now += 1
    assert not allowed(access.current(), "bob")
    assert not allowed(access.current())


def test_with_the_clock_set_back_twice_the_wait_starts_again(start: Start, clock: Clock, directory: Directory) -> None:
    access = start()
    directory.write(REVOKED)
    clock.now -= 5000
    access.current()
    clock.now -= 5000
    assert allowed(access.current())
    clock.now += 1
    assert not allowed(access.current())


# -- A broken directory -------------------------------------------------------


def test_a_broken_directory_changes_nothing_and_says_all_that_is_wrong(
    start: Start, clock: Clock, directory: Directory, kept: Path, logged: list[EventDict]
) -> None:
    access = start()
    first, before = access.current(), kept.read_text()
    assert problems_of(access) == ()
    directory.write({**BROKEN, **REVOKED})
    assert later(access, clock) is first
    assert problems_of(access) == PROBLEMS
    assert kept.read_text() == before
    assert later(access, clock) is first
    refused = [entry["problem"] for entry in logged if entry["event"] == "configuration.refused"]
    assert refused == [str(problem) for problem in PROBLEMS]


def test_a_mended_directory_has_no_problems(start: Start, clock: Clock, directory: Directory) -> None:
    access = start()
    directory.write(BROKEN)
    later(access, clock)
    directory.write({**FILES, **REVOKED})
    assert not allowed(later(access, clock))
    assert problems_of(access) == ()


def test_a_vanished_directory_changes_nothing(start: Start, clock: Clock, directory: Directory) -> None:
    access = start()
    first = access.current()
    directory.remove()
    assert later(access, clock) is first
    assert {problem.error for problem in problems_of(access)} == {"File does not exist"}


def test_the_file_of_domains_may_come_and_go(start: Start, clock: Clock, directory: Directory) -> None:
    access = start()
    sent = facts(OUTSIDE, authorization=by_password("alice"))
    assert access.current().authenticate(sent).name == "alice"
    directory.write({"sg_authc.yml": {"auth_domains": []}})
    assert refusal(later(access, clock), sent) == NotAuthenticated()
    (directory.path / "sg_authc.yml").unlink()
    assert later(access, clock).authenticate(sent).name == "alice"


def test_files_that_cannot_be_read_are_all_named(directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LARGEST_FILE", 2000)
    directory.write({"sg_roles.yml": b"\xff\xfe", "sg_action_groups.yml": "#" * 2001, "sg_tenants.yml": "#" * 2000})
    (directory.path / "sg_authc.yml").mkdir()
    with pytest.raises(BadConfigurationError) as refused:
        read_directory(directory.path)
    assert refused.value.problems == [
        ConfigProblem("sg_roles.yml", "", "Not UTF-8"),
        ConfigProblem("sg_action_groups.yml", "", "Larger than 2000 bytes"),
        ConfigProblem("sg_authc.yml", "", "Cannot be read: Is a directory"),
    ]


def test_a_file_link_that_leads_nowhere_is_no_file_left_out(start: Start, clock: Clock, directory: Directory) -> None:
    # Without sg_authc.yml everybody with a password is heard, from everywhere.
    directory.write({"sg_authc.yml": {"auth_domains": [BASIC], "network": {"deny": {"ips": OUTSIDE}}}})
    access = start()
    sent = facts(OUTSIDE, authorization=by_password("alice"))
    assert refusal(access.current(), sent) == NotPermitted()
    (directory.path / "sg_authc.yml").unlink()
    (directory.path / "sg_authc.yml").symlink_to("nowhere")
    assert refusal(later(access, clock), sent) == NotPermitted()
    assert problems_of(access) == (ConfigProblem("sg_authc.yml", "", "Cannot be read: No such file or directory"),)


def too_many_open(path: Path, mode: str) -> None:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(path), mode)


def test_what_cannot_be_read_for_now_is_read_at_a_later_look(
    start: Start, clock: Clock, directory: Directory, logged: list[EventDict], monkeypatch: pytest.MonkeyPatch
) -> None:
    access = start()
    directory.write(REVOKED)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", too_many_open)
        assert allowed(later(access, clock))
        assert allowed(later(access, clock))
    assert {problem.error for problem in problems_of(access)} == {"Cannot be read: Too many open files"}
    assert events(logged) == ["configuration.refused"] * 7, "said once of each file"
    assert not allowed(later(access, clock))
    assert problems_of(access) == ()


def test_a_directory_that_comes_back_as_it_was_has_no_problems(
    start: Start, clock: Clock, directory: Directory, tmp_path: Path
) -> None:
    # As with a volume that was away for a while.
    access = start()
    directory.path.rename(tmp_path / "away")
    directory.path.symlink_to(directory.path)
    assert allowed(later(access, clock))
    assert {problem.error for problem in problems_of(access)} == {"Cannot be read: Too many levels of symbolic links"}
    directory.path.unlink()
    (tmp_path / "away").rename(directory.path)
    assert allowed(later(access, clock))
    assert problems_of(access) == ()


# -- The last good state ------------------------------------------------------


def stop_and_break(start: Start, directory: Directory, documents: Mapping[str, object]) -> None:
    start()
    directory.write(documents)


def test_a_worker_that_starts_with_a_broken_directory_uses_the_last_good(
    start: Start, clock: Clock, directory: Directory, logged: list[EventDict]
) -> None:
    stop_and_break(start, directory, {**BROKEN, **REVOKED})
    access = start()
    assert allowed(access.current())
    assert problems_of(access) == PROBLEMS
    assert events(logged) == ["configuration.refused", "configuration.refused", "configuration.last_good_used"]
    directory.write({**FILES, **REVOKED})
    assert not allowed(later(access, clock))
    assert problems_of(access) == ()


def test_a_worker_that_starts_without_a_directory_uses_the_last_good(start: Start, directory: Directory) -> None:
    start()
    directory.remove()
    assert allowed(start().current())


def test_a_worker_that_starts_with_an_unreadable_directory_uses_the_last_good(
    start: Start, clock: Clock, directory: Directory
) -> None:
    start()
    path = directory.path / "sg_roles.yml"
    path.unlink()
    path.mkdir()
    access = start()
    assert allowed(access.current())
    assert problems_of(access) == (ConfigProblem("sg_roles.yml", "", "Cannot be read: Is a directory"),)
    path.rmdir()
    directory.write({**FILES, **REVOKED})
    assert not allowed(later(access, clock))


def test_what_cannot_be_read_at_the_start_is_read_at_a_later_look(
    start: Start, clock: Clock, directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    last_good = read_directory(directory.path)
    directory.write(REVOKED)
    with monkeypatch.context() as patch:
        patch.setattr(LastGood, "load", lambda _: last_good)
        patch.setattr(Path, "open", too_many_open)
        access = start()
    assert allowed(access.current())
    assert not allowed(later(access, clock))


@pytest.mark.parametrize("with_last_good", (True, False))
def test_a_change_during_the_first_reading_is_taken_at_the_next_look(
    start: Start, clock: Clock, directory: Directory, monkeypatch: pytest.MonkeyPatch, *, with_last_good: bool
) -> None:
    if with_last_good:
        stop_and_break(start, directory, {"sg_roles_mapping.yml": {"player": {"users": ["half"]}}})
    read_then(monkeypatch, lambda: directory.write(REVOKED))
    access = start()
    assert allowed(access.current())
    assert not allowed(access.current(), "half")
    assert not allowed(later(access, clock))


@pytest.mark.parametrize("damaged", (b"", b"{", b"[]", b"null", b"\xff", b'{"sg_roles.yml": 1}', b"{}", b"[" * 200_000))
def test_a_worker_starts_with_neither_is_refused_with_all_that_is_wrong(
    start: Start, directory: Directory, kept: Path, damaged: bytes
) -> None:
    stop_and_break(start, directory, BROKEN)
    kept.write_bytes(damaged)
    with pytest.raises(BadConfigurationError) as refused:
        start()
    assert tuple(refused.value.problems) == PROBLEMS


def test_a_worker_that_never_had_a_good_directory_is_refused(start: Start, directory: Directory, kept: Path) -> None:
    directory.write(BROKEN)
    with pytest.raises(BadConfigurationError) as refused:
        start()
    assert tuple(refused.value.problems) == PROBLEMS
    assert not kept.exists()


@pytest.mark.parametrize("damaged", (b"", b"[" * 200_000))
def test_a_good_directory_mends_a_damaged_last_good(
    start: Start, directory: Directory, kept: Path, damaged: bytes
) -> None:
    start()
    kept.write_bytes(damaged)
    assert allowed(start().current())
    assert LastGood(kept.parent).load() == read_directory(directory.path)


def test_a_last_good_that_is_refused_now_is_not_used(
    start: Start, directory: Directory, kept: Path, logged: list[EventDict]
) -> None:
    LastGood(kept.parent).save({**read_directory(directory.path), "sg_tenants.yml": "[]"})
    assert allowed(start().current())
    assert events(logged) == ["configuration.last_good_refused"]


def test_a_worker_that_starts_while_somebody_writes_uses_the_last_good_till_the_next_look(
    start: Start, clock: Clock, directory: Directory
) -> None:
    stop_and_break(start, directory, REVOKED)
    clock.now = directory.changed() + 0.5
    access = start()
    assert allowed(access.current())
    clock.now += 0.9375
    assert allowed(access.current())
    clock.now += 0.0625
    assert not allowed(access.current())


def test_a_worker_that_starts_for_the_first_time_takes_what_somebody_has_just_written(
    start: Start, clock: Clock, directory: Directory
) -> None:
    clock.now = directory.changed() + 0.5
    access = start()
    assert allowed(access.current())
    directory.write(REVOKED)
    assert not allowed(later(access, clock))


def test_a_worker_that_starts_with_the_clock_set_back_takes_the_change_a_second_later(
    start: Start, clock: Clock, directory: Directory
) -> None:
    stop_and_break(start, directory, REVOKED)
    clock.now -= 5000
    access = start()
    assert allowed(access.current())
    clock.now += 1
    assert not allowed(access.current())


def test_the_last_good_is_for_the_service_alone(start: Start, kept: Path) -> None:
    start()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    assert list(kept.parent.iterdir()) == [kept]


def test_the_last_good_is_replaced_whole(start: Start, clock: Clock, directory: Directory, kept: Path) -> None:
    access = start()
    before = kept.read_text()
    with kept.open() as half_read:
        directory.write(REVOKED)
        later(access, clock)
        assert half_read.read() == before
    assert LastGood(kept.parent).load() == read_directory(directory.path)
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert list(kept.parent.iterdir()) == [kept]


def test_what_is_kept_already_is_not_written_again(start: Start, kept: Path) -> None:
    start()
    before = kept.stat().st_ino
    start()
    assert kept.stat().st_ino == before


def no_space(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_what_cannot_be_kept_holds_all_the_same(
    start: Start, clock: Clock, directory: Directory, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    access = start()
    before = kept.read_text()
    directory.write(REVOKED)
    with monkeypatch.context() as patch, capture_logs() as logged:
        patch.setattr(os, "replace", no_space)
        assert not allowed(later(access, clock))
    assert problems_of(access) == ()
    assert [entry["reason"] for entry in logged if entry["event"] == "configuration.not_kept"] == [
        os.strerror(errno.ENOSPC)
    ]
    assert kept.read_text() == before
    assert list(kept.parent.iterdir()) == [kept]


def test_a_worker_starts_though_its_state_cannot_be_kept(
    start: Start, kept: Path, logged: list[EventDict], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LastGood, "save", no_space)
    assert allowed(start().current())
    assert events(logged) == ["configuration.not_kept"]
    assert not kept.exists()


# -- Users of a socket --------------------------------------------------------


def test_users_are_looked_up_by_name_or_number() -> None:
    root = pwd.getpwuid(0).pw_name
    assert uids_of(()) == frozenset()
    assert uids_of((root, "0", "4711")) == {0, 4711}


@pytest.mark.parametrize("name", ("nobody-of-this-name", "-1", "٣"))
def test_a_user_that_the_system_does_not_know_is_named(name: str) -> None:
    with pytest.raises(UnknownUserError, match=name):
        uids_of(("0", name))
