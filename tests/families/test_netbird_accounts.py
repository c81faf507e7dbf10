"""NetBird's accounts over HTTP: what is taken, what is refused, and what stays."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from accounts_service.families.netbird import examples
from accounts_service.families.netbird.store.native import UserTokens
from accounts_service.faults import Json
from accounts_service.web.services import TokenOrder
from tests.support.netbird import AUTHOR, TWO, NetBird, token_header
from tests.support.service import Service

ACCOUNT = "/accounts/{A}"
PATCH = "application/merge-patch+json"

# What is stored of a setting that a PUT leaves out.
NOTHING: dict[str, Any] = {
    "peer_login_expiration_enabled": False,
    "peer_inactivity_expiration_enabled": False,
    "peer_inactivity_expiration": 0,
    "regular_users_view_blocked": False,
    "groups_propagation_enabled": False,
    "jwt_groups_enabled": False,
    "jwt_groups_claim_name": "",
    "jwt_allow_groups": [],
    "routing_peer_dns_resolution_enabled": False,
    "dns_domain": "",
    "peer_expose_enabled": False,
    "peer_expose_groups": None,
    "lazy_connection_enabled": False,
    "auto_update_version": "",
    "auto_update_always": False,
    "metrics_push_enabled": False,
    "agent_network_only": False,
    "embedded_idp_enabled": False,
    "local_auth_disabled": False,
    "local_mfa_enabled": False,
    "ipv6_enabled_groups": None,
}
NEW_EXTRA = {
    "peer_approval_enabled": False,
    "user_approval_required": True,
    "network_traffic_logs_enabled": False,
    "network_traffic_logs_groups": None,
    "network_traffic_packet_counter_enabled": False,
}
NO_EXTRA = NEW_EXTRA | {"user_approval_required": False}

# Every setting with a value that is not the one it has at first or when left out.
OTHER: dict[str, Any] = {
    "peer_login_expiration_enabled": False,
    "peer_login_expiration": 7200,
    "peer_inactivity_expiration_enabled": True,
    "peer_inactivity_expiration": -5,
    "regular_users_view_blocked": True,
    "groups_propagation_enabled": False,
    "jwt_groups_enabled": True,
    "jwt_groups_claim_name": "roles",
    "jwt_allow_groups": ["a", "b"],
    "routing_peer_dns_resolution_enabled": False,
    "dns_domain": "Mycompany.example",
    "network_range": "10.1.0.0/16",
    "network_range_v6": "fd00:1::/64",
    "peer_expose_groups": ["g"],
    "lazy_connection_enabled": False,
    "auto_update_version": "v0.52.1-rc.1+build",
    "auto_update_always": True,
    "metrics_push_enabled": True,
    "dashboard_features": {"agent_network": True},
    "local_mfa_enabled": True,
    "ipv6_enabled_groups": [],
}


@pytest.fixture
def netbird(service: Service) -> NetBird:
    return NetBird(service)


# -- The page -----------------------------------------------------------------


def test_the_example_of_the_page_is_refused_for_its_zero_seconds(netbird: NetBird) -> None:
    body = {"settings": {"peer_login_expiration_enabled": True, "peer_login_expiration": 0}}
    told = netbird.refused(422, "PUT", ACCOUNT, body)
    assert told == "peer login expiration can't be smaller than one hour"


def test_the_two_settings_of_the_page_are_enough(netbird: NetBird) -> None:
    found = netbird.ok("PUT", ACCOUNT, {"settings": TWO})
    assert found["id"] == netbird.names["A"]
    assert found["settings"].items() >= TWO.items()


@pytest.mark.any_database
@pytest.mark.parametrize(("body", "status", "message"), examples.BAD)
def test_bad_examples_are_told_what_they_say(netbird: NetBird, body: Any, status: int, message: str) -> None:
    assert netbird.refused(status, "PUT", ACCOUNT, body) == message


# -- What a new account is ----------------------------------------------------


def test_a_new_account_has_netbirds_defaults(service: Service) -> None:
    order = TokenOrder("founder", create=True, name="t", roles=("owner",), account="New.example")
    with service.services.database.transaction(UserTokens, AUTHOR) as tokens:
        token = tokens.create(order, service.services.settings)
    (account,) = service.get("/api/accounts", by=None, headers=token_header(token)).json
    settings = account.pop("settings")
    assert re.fullmatch(r"[0-9a-v]{20}", account.pop("id"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,5}[1-9])?Z", account.pop("created_at"))
    assert account == {
        "domain": "new.example",
        "domain_category": "private",
        "created_by": "founder",
        "onboarding": {"signup_form_pending": True, "onboarding_flow_pending": True},
    }
    assert re.fullmatch(r"100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.0\.0/16", settings.pop("network_range"))
    assert re.fullmatch(r"fd[0-9a-f]{2}:[0-9a-f:]+::/64", settings.pop("network_range_v6"))
    (all_group,) = settings.pop("ipv6_enabled_groups")
    assert re.fullmatch(r"[0-9a-v]{20}", all_group)
    assert settings == {
        **{name: value for name, value in NOTHING.items() if name != "ipv6_enabled_groups"},
        "peer_login_expiration_enabled": True,
        "peer_login_expiration": 86400,
        "peer_inactivity_expiration": 600,
        "regular_users_view_blocked": True,
        "groups_propagation_enabled": True,
        "routing_peer_dns_resolution_enabled": True,
        "lazy_connection_enabled": True,
        "auto_update_version": "disabled",
        "extra": NEW_EXTRA,
    }


# -- Bounds and messages ------------------------------------------------------


UNFIT: tuple[tuple[dict[str, Any], str], ...] = (
    ({"peer_login_expiration": 15552001}, "peer login expiration can't be larger than 180 days"),
    ({"peer_login_expiration": 2**63 - 1}, "peer login expiration can't be larger than 180 days"),
    ({"peer_login_expiration": 3599}, "peer login expiration can't be smaller than one hour"),
    ({"peer_login_expiration": -1}, "peer login expiration can't be smaller than one hour"),
    ({"peer_login_expiration": None}, "peer login expiration can't be smaller than one hour"),
    (
        {"peer_login_expiration": 1, "peer_login_expiration_enabled": False},
        "peer login expiration can't be smaller than one hour",
    ),
    ({"dns_domain": "*.Example"}, 'invalid domain "*.example" provided for dns domain'),
    ({"dns_domain": "a..b"}, 'invalid domain "a..b" provided for dns domain'),
    ({"dns_domain": "a."}, 'invalid domain "a." provided for dns domain'),
    ({"dns_domain": "-a"}, 'invalid domain "-a" provided for dns domain'),
    ({"dns_domain": "a-.b"}, 'invalid domain "a-.b" provided for dns domain'),
    ({"dns_domain": "b._a"}, 'invalid domain "b._a" provided for dns domain'),
    ({"dns_domain": "a b"}, 'invalid domain "a b" provided for dns domain'),
    ({"dns_domain": "a\n"}, 'invalid domain "a\n" provided for dns domain'),
    ({"dns_domain": "müller.example"}, 'invalid domain "müller.example" provided for dns domain'),
    ({"dns_domain": "x" * 64}, f'invalid domain "{"x" * 64}" provided for dns domain'),
    ({"dns_domain": "x." * 126 + "xx"}, f'invalid domain "{"x." * 100}…" provided for dns domain'),
    ({"peer_expose_enabled": True}, "peer expose requires at least one group"),
    ({"peer_expose_enabled": True, "peer_expose_groups": []}, "peer expose requires at least one group"),
    (
        {"agent_network_only": True},
        "agent network only mode requires dashboard_features.agent_network to be enabled",
    ),
    (
        {"agent_network_only": True, "dashboard_features": {"agent_network": False}},
        "agent network only mode requires dashboard_features.agent_network to be enabled",
    ),
    ({"ipv6_enabled_groups": ["{group}", "NONE"]}, "ipv6 enabled group none does not exist"),
    (
        {"ipv6_enabled_groups": ["x", "y"]},
        "ipv6 enabled group x does not exist; ipv6 enabled group y does not exist",
    ),
    ({"auto_update_version": "newest"}, "invalid auto update version newest"),
    ({"auto_update_version": "1..2"}, "invalid auto update version 1..2"),
    ({"auto_update_version": "LATEST"}, "invalid auto update version latest"),
    ({"auto_update_version": "1.0-"}, "invalid auto update version 1.0-"),
    ({"auto_update_version": "1.0\n"}, "invalid auto update version 1.0\n"),
    ({"network_range": "10.0.0.0"}, "invalid cidr format: invalid cidr address: 10.0.0.0"),
    ({"network_range": "10.0.0/8"}, "invalid cidr format: invalid cidr address: 10.0.0/8"),
    ({"network_range": "10.0.0.0/33"}, "invalid cidr format: invalid cidr address: 10.0.0.0/33"),
    ({"network_range": "10.0.0.0/08"}, "invalid cidr format: invalid cidr address: 10.0.0.0/08"),
    (
        {"network_range": "10.0.0.0/255.0.0.0"},
        "invalid cidr format: invalid cidr address: 10.0.0.0/255.0.0.0",
    ),
    ({"network_range": "nonsense"}, "invalid cidr format: invalid cidr address: nonsense"),
    ({"network_range_v6": "fd00::%eth0/64"}, "invalid cidr format: invalid cidr address: fd00::%eth0/64"),
    ({"network_range": "fd00::/64"}, "network range must be an ipv4 address"),
    ({"network_range_v6": "10.0.0.0/16"}, "network range must be an ipv6 address"),
    ({"network_range": "127.0.0.0/16"}, "loopback address range not allowed"),
    ({"network_range_v6": "::1/128"}, "loopback address range not allowed"),
    ({"network_range": "224.0.0.0/16"}, "multicast address range not allowed"),
    ({"network_range_v6": "ff02::/64"}, "multicast address range not allowed"),
    ({"network_range": "169.254.0.0/16"}, "link-local address range not allowed"),
    ({"network_range_v6": "fe80::/64"}, "link-local address range not allowed"),
    ({"network_range": "10.0.0.0/29"}, "network range too small: minimum size is /28 for ipv4"),
    ({"network_range_v6": "fd00::/121"}, "network range too small: minimum size is /120 for ipv6"),
    ({"network_range_v6": "fd00::/47"}, "network range too large: maximum size is /48 for ipv6"),
    ({"jwt_groups_claim_name": "x" * 1025}, "settings.jwt_groups_claim_name has more than 1024 characters"),
    ({"jwt_allow_groups": ["x"] * 1001}, "settings.jwt_allow_groups has more than 1000 elements"),
)


@pytest.mark.parametrize("method", ("PUT", "PATCH"))
def test_what_does_not_fit_is_told(netbird: NetBird, method: str) -> None:
    before = netbird.account()
    onboarding = {"signup_form_pending": False}
    for settings, message in UNFIT:
        body = {"settings": TWO | settings, "onboarding": onboarding}
        assert netbird.refused(422, method, ACCOUNT, body) == message
        assert netbird.account() == before, settings
    assert netbird.events() == []


FIT: tuple[dict[str, Any], ...] = (
    {"peer_login_expiration": 3600},
    {"peer_login_expiration": 15552000},
    {"peer_inactivity_expiration": -(2**63)},
    {"peer_inactivity_expiration": 2**63 - 1},
    {"dns_domain": ""},
    {"dns_domain": "single"},
    {"dns_domain": "_a-b_.C9"},
    {"dns_domain": "xn--mller-kva.example"},
    {"dns_domain": "x" * 63},
    {"dns_domain": "x." * 126 + "x"},
    {"auto_update_version": "latest"},
    {"auto_update_version": "disabled"},
    {"auto_update_version": ""},
    {"auto_update_version": "0.52"},
    {"auto_update_version": "v1.2.3.4-rc.1+b"},
    {"network_range": "10.0.0.0/28"},
    {"network_range": "0.0.0.0/0"},
    {"network_range_v6": "fd00::/48"},
    {"network_range_v6": "fd00::/120"},
    {"peer_expose_enabled": True, "peer_expose_groups": ["any"]},
    {"agent_network_only": True, "dashboard_features": {"agent_network": True}},
    {"jwt_groups_claim_name": "x" * 1024},
    {"jwt_allow_groups": ["x"] * 1000},
)


def test_what_just_fits_is_kept_as_it_is(netbird: NetBird) -> None:
    for settings in FIT:
        netbird.put(**settings)
        found = netbird.settings()
        assert {name: found[name] for name in settings} == settings


def test_all_that_does_not_fit_is_told_at_once(netbird: NetBird) -> None:
    settings = {
        "peer_login_expiration": 1,
        "dns_domain": "*",
        "network_range": "x",
        "network_range_v6": "10.0.0.0/8",
        "peer_expose_enabled": True,
        "auto_update_version": "x",
        "agent_network_only": True,
        "ipv6_enabled_groups": ["none"],
    }
    assert netbird.refused(422, "PUT", ACCOUNT, {"settings": settings}).split("; ") == [
        "peer login expiration can't be smaller than one hour",
        'invalid domain "*" provided for dns domain',
        "invalid cidr format: invalid cidr address: x",
        "network range must be an ipv6 address",
        "peer expose requires at least one group",
        "invalid auto update version x",
        "agent network only mode requires dashboard_features.agent_network to be enabled",
        "ipv6 enabled group none does not exist",
    ]


# -- What is no JSON to NetBird -----------------------------------------------

PARSE = "couldn't parse JSON request"


UNREADABLE = (
    b"",
    b" ",
    b"{",
    b"[]",
    b'""',
    b"1",
    b"true",
    b'{"settings": []}',
    b'{"settings": 1}',
    b'{"settings": {"peer_login_expiration": "3600"}}',
    b'{"settings": {"peer_login_expiration": 3600.0}}',
    b'{"settings": {"peer_login_expiration": 3600.5}}',
    b'{"settings": {"peer_login_expiration": 1e4}}',
    b'{"settings": {"peer_login_expiration": true}}',
    b'{"settings": {"peer_login_expiration": 9223372036854775808}}',
    b'{"settings": {"peer_login_expiration_enabled": 1}}',
    b'{"settings": {"peer_login_expiration_enabled": "true"}}',
    b'{"settings": {"dns_domain": 1}}',
    b'{"settings": {"jwt_allow_groups": "a"}}',
    b'{"settings": {"jwt_allow_groups": [1]}}',
    b'{"settings": {"jwt_allow_groups": [null]}}',
    b'{"settings": {"extra": []}}',
    b'{"settings": {"extra": {"peer_approval_enabled": 1}}}',
    b'{"settings": {"dashboard_features": true}}',
    b'{"settings": {}, "onboarding": "x"}',
    b'{"settings": {}, "onboarding": {"signup_form_pending": "x"}}',
    b'{"settings": {"peer_login_expiration": 3600, "peer_login_expiration": 7200}}',
    b'{"settings": {"peer_login_expiration": 3600}} x',
    b'{"settings": {"dns_domain": "\xff"}}',
)


def test_what_cannot_be_read_is_told_in_one_sentence(netbird: NetBird, subtests: pytest.Subtests) -> None:
    for method in ("PUT", "PATCH"):
        for raw in UNREADABLE:
            with subtests.test(method=method, raw=raw):
                before = netbird.account()
                answer = netbird.ask(method, ACCOUNT, data=raw, headers={"Content-Type": "application/json"})
                assert (answer.status_code, answer.json) == (400, {"message": PARSE, "code": 400})
                assert netbird.account() == before


@pytest.mark.any_database
@pytest.mark.parametrize("raw", (b"null", b"{}", b'{"settings": null}', b'{"settings": {}}', b'{"x": 1}'))
def test_a_put_without_seconds_asks_for_too_few(netbird: NetBird, raw: bytes) -> None:
    told = netbird.refused(422, "PUT", ACCOUNT, data=raw)
    assert told == "peer login expiration can't be smaller than one hour"


@pytest.mark.any_database
@pytest.mark.parametrize("media_type", ("application/json", "text/plain", "x", None))
def test_the_media_type_of_a_put_is_no_matter(netbird: NetBird, media_type: str | None) -> None:
    headers = {} if media_type is None else {"Content-Type": media_type}
    netbird.ok("PUT", ACCOUNT, data=b'{"settings": {"peer_login_expiration": 3600}}', headers=headers)


def test_a_body_that_is_too_large_is_refused(netbird: NetBird) -> None:
    body = {"settings": TWO | {"x": "x" * 2_000_000}}
    assert netbird.refused(413, "PUT", ACCOUNT, body).startswith("the body is larger than ")


# -- PUT ----------------------------------------------------------------------


def test_a_put_resets_everything_but_extra_and_onboarding(netbird: NetBird) -> None:
    extra = {
        "peer_approval_enabled": True,
        "user_approval_required": True,
        "network_traffic_logs_enabled": True,
        "network_traffic_logs_groups": ["g"],
        "network_traffic_packet_counter_enabled": True,
    }
    assert netbird.put(**OTHER, extra=extra).items() >= (OTHER | {"extra": extra}).items()
    before = netbird.account()["onboarding"]
    found = netbird.ok("PUT", ACCOUNT, {"settings": {"peer_login_expiration": 3600}})
    assert found["settings"] == NOTHING | {"peer_login_expiration": 3600, "extra": extra}
    assert found["onboarding"] == before
    shown = netbird.settings()
    assert {name: shown[name] for name in found["settings"]} == found["settings"]


def test_a_put_of_extra_replaces_all_of_it(netbird: NetBird) -> None:
    assert netbird.put(extra={"peer_approval_enabled": True})["extra"] == NO_EXTRA | {"peer_approval_enabled": True}
    assert netbird.put(extra={})["extra"] == NO_EXTRA
    assert netbird.put(extra=None)["extra"] == NO_EXTRA


def test_a_put_of_onboarding_replaces_all_of_it(netbird: NetBird) -> None:
    body: dict[str, Any] = {"settings": TWO, "onboarding": {"signup_form_pending": True}}
    found = netbird.ok("PUT", ACCOUNT, body)
    assert found["onboarding"] == {"signup_form_pending": True, "onboarding_flow_pending": False}
    assert netbird.ok("PUT", ACCOUNT, {"settings": TWO, "onboarding": None})["onboarding"] == found["onboarding"]
    assert netbird.account()["onboarding"] == found["onboarding"]


def test_a_null_is_an_absent_setting(netbird: NetBird) -> None:
    netbird.put(**OTHER)
    extra = netbird.settings()["extra"]
    nulls = dict.fromkeys((*OTHER, "extra")) | {"peer_login_expiration": 3600}
    found = netbird.ok("PUT", ACCOUNT, {"settings": nulls})["settings"]
    assert found == NOTHING | {"peer_login_expiration": 3600, "extra": extra}


def test_the_names_of_members_are_in_any_case_and_the_exact_one_is_preferred(netbird: NetBird) -> None:
    body = {"SETTINGS": {"Peer_Login_Expiration": 7200, "DNS_DOMAIN": "a", "dns_domain": "b", "Dns_Domain": "c"}}
    found = netbird.ok("PUT", ACCOUNT, body)["settings"]
    assert (found["peer_login_expiration"], found["dns_domain"]) == (7200, "b")


def test_what_is_not_known_is_passed_over(netbird: NetBird) -> None:
    more = {"extra_settings": {"x": 1}, "group_propagation_enabled": True, "embedded_idp_enabled": True}
    found = netbird.put(**more, local_auth_disabled=True, extra={"unknown": [1]})
    assert found == NOTHING | TWO | {"extra": NO_EXTRA}
    netbird.ok("PUT", ACCOUNT, {"settings": TWO, "id": 7, "domain": []})


def test_what_was_read_can_be_put_back(netbird: NetBird) -> None:
    before = netbird.settings()
    netbird.ok("PUT", ACCOUNT, {"settings": before})
    assert netbird.settings() == before


# -- Ranges -------------------------------------------------------------------


def test_a_list_tells_which_ranges_hold_and_a_put_which_were_asked_for(netbird: NetBird) -> None:
    allocated = netbird.settings()
    assert "network_range" not in netbird.put()
    assert "network_range_v6" not in netbird.put()
    shown = netbird.settings()
    for name in ("network_range", "network_range_v6"):
        assert shown[name] == allocated[name]


def test_what_is_left_of_a_range_is_masked_off(netbird: NetBird) -> None:
    found = netbird.put(network_range="10.1.2.3/16", network_range_v6="FD00:0:0:1::5/64")
    assert (found["network_range"], found["network_range_v6"]) == ("10.1.0.0/16", "fd00:0:0:1::/64")
    assert netbird.settings()["network_range"] == "10.1.0.0/16"


@pytest.mark.parametrize("nothing", (None, ""))
def test_a_range_that_is_no_longer_asked_for_still_holds(netbird: NetBird, nothing: str | None) -> None:
    netbird.put(network_range="10.1.0.0/16", network_range_v6="fd00::/64")
    found = netbird.put(network_range=nothing, network_range_v6=nothing)
    assert not {"network_range", "network_range_v6"} & found.keys()
    shown = netbird.settings()
    assert (shown["network_range"], shown["network_range_v6"]) == ("10.1.0.0/16", "fd00::/64")


# -- PATCH --------------------------------------------------------------------


@pytest.mark.parametrize(("name", "value"), OTHER.items(), ids=list(OTHER))
def test_a_patch_changes_one_setting_and_null_takes_it_back(netbird: NetBird, name: str, value: Any) -> None:
    before = netbird.settings()
    netbird.patch(**{name: value})
    assert netbird.settings() == before | {name: value}
    if name == "peer_login_expiration":
        netbird.refused(422, "PATCH", ACCOUNT, {"settings": {name: None}})
        return
    taken_back = netbird.patch(**{name: None})
    assert taken_back.get(name) == NOTHING.get(name)
    assert {**netbird.settings(), name: None} == {**before, name: None}


@pytest.mark.parametrize("body", (None, {"settings": None}))
def test_a_patch_that_takes_all_settings_back_leaves_no_period_that_is_allowed(netbird: NetBird, body: Any) -> None:
    before = netbird.account()
    message = netbird.refused(422, "PATCH", ACCOUNT, data=json.dumps(body), headers={"Content-Type": PATCH})
    assert message == "peer login expiration can't be smaller than one hour"
    assert netbird.account() == before


def test_a_patch_of_nothing_changes_nothing(netbird: NetBird) -> None:
    before = netbird.account()
    bodies: tuple[Json, ...] = ({}, {"settings": {}}, {"settings": {"unknown": 1}})
    for body in bodies:
        netbird.ok("PATCH", ACCOUNT, body)
    assert netbird.account() == before
    assert netbird.events() == []


def test_a_patch_merges_extra(netbird: NetBird) -> None:
    extra = netbird.patch(extra={"peer_approval_enabled": True, "NETWORK_TRAFFIC_LOGS_GROUPS": ["g"]})["extra"]
    assert extra == NEW_EXTRA | {"peer_approval_enabled": True, "network_traffic_logs_groups": ["g"]}
    assert netbird.patch(extra={"user_approval_required": None})["extra"] == extra | {"user_approval_required": False}
    assert netbird.patch(extra={"network_traffic_logs_groups": None})["extra"]["network_traffic_logs_groups"] is None
    assert netbird.patch(extra=None)["extra"] == NO_EXTRA


def test_a_patch_merges_what_the_dashboard_shows(netbird: NetBird) -> None:
    assert netbird.patch(dashboard_features={"agent_network": True})["dashboard_features"] == {"agent_network": True}
    assert netbird.patch(dashboard_features={})["dashboard_features"] == {"agent_network": True}
    netbird.patch(agent_network_only=True)
    told = netbird.refused(422, "PATCH", ACCOUNT, {"settings": {"dashboard_features": {"agent_network": None}}})
    assert told == "agent network only mode requires dashboard_features.agent_network to be enabled"
    found = netbird.patch(agent_network_only=False, dashboard_features={"agent_network": None})
    assert "dashboard_features" not in found
    netbird.patch(dashboard_features={"agent_network": False})
    assert "dashboard_features" not in netbird.patch(dashboard_features=None)


def test_a_patch_merges_onboarding(netbird: NetBird) -> None:
    def patched(onboarding: Any) -> Any:
        return netbird.ok("PATCH", ACCOUNT, {"onboarding": onboarding})["onboarding"]

    assert patched({"signup_form_pending": False}) == {"signup_form_pending": False, "onboarding_flow_pending": True}
    assert patched({"signup_form_pending": True}) == {"signup_form_pending": True, "onboarding_flow_pending": True}
    assert patched({"signup_form_pending": None}) == {"signup_form_pending": False, "onboarding_flow_pending": True}
    assert patched(None) == {"signup_form_pending": False, "onboarding_flow_pending": False}


def test_a_patch_is_held_against_what_is_there(netbird: NetBird) -> None:
    netbird.refused(422, "PATCH", ACCOUNT, {"settings": {"peer_expose_enabled": True}})
    netbird.patch(peer_expose_groups=["g"])
    netbird.patch(peer_expose_enabled=True)
    netbird.refused(422, "PATCH", ACCOUNT, {"settings": {"peer_expose_groups": []}})


@pytest.mark.parametrize("media_type", ("application/json", "application/merge-patch+json", "application/json; a=b"))
def test_a_patch_is_a_merge_patch_or_json(netbird: NetBird, media_type: str) -> None:
    netbird.ok("PATCH", ACCOUNT, data=b'{"settings": {"dns_domain": "x"}}', headers={"Content-Type": media_type})
    assert netbird.settings()["dns_domain"] == "x"


@pytest.mark.parametrize("media_type", ("text/plain", "application/json-patch+json", ""))
def test_a_patch_of_another_type_is_refused_after_who_may_not_make_one(netbird: NetBird, media_type: str) -> None:
    headers = {"Content-Type": media_type}
    answer = netbird.ask("PATCH", ACCOUNT, data=b"{}", headers=headers)
    assert (answer.status_code, answer.headers["Accept-Patch"]) == (415, "application/merge-patch+json")
    assert netbird.ask("PATCH", ACCOUNT, data=b"{}", headers=headers, by="auditor").status_code == 403
    assert netbird.ask("PATCH", "/accounts/{B}", data=b"{}", headers=headers).status_code == 403
    assert netbird.ask("PATCH", ACCOUNT, data=b"{}", headers=headers, by=None).status_code == 401


# -- Versions -----------------------------------------------------------------


@pytest.mark.parametrize("method", ("PUT", "PATCH"))
def test_a_change_can_be_made_to_depend_on_what_was_read(netbird: NetBird, method: str) -> None:
    read = netbird.ask("GET", "/accounts").headers["ETag"]
    body = {"settings": TWO | {"dns_domain": "a"}}
    first = netbird.ask(method, ACCOUNT, body, headers={"If-Match": read})
    assert (first.status_code, first.headers["ETag"] != read) == (200, True)
    body["settings"]["dns_domain"] = "b"
    answer = netbird.ask(method, ACCOUNT, body, headers={"If-Match": read})
    assert (answer.status_code, answer.json["code"]) == (412, 412)
    assert netbird.settings()["dns_domain"] == "a"
    assert netbird.ask("GET", "/accounts").headers["ETag"] == first.headers["ETag"]
    assert netbird.ask(method, ACCOUNT, body, headers={"If-Match": first.headers["ETag"]}).status_code == 200
    assert netbird.ask(method, ACCOUNT, body, headers={"If-Match": "*"}).status_code == 200


def test_a_condition_tells_nothing_to_who_may_not_change(netbird: NetBird) -> None:
    headers = {"If-Match": '"1000"'}
    assert netbird.ask("PUT", ACCOUNT, {"settings": TWO}, by="auditor", headers=headers).status_code == 403
    assert netbird.ask("PUT", "/accounts/{B}", {"settings": TWO}, headers=headers).status_code == 403


def test_what_changes_nothing_leaves_the_version(netbird: NetBird) -> None:
    tag = netbird.ask("PUT", ACCOUNT, {"settings": TWO}).headers["ETag"]
    assert netbird.ask("PUT", ACCOUNT, {"settings": TWO}).headers["ETag"] == tag


# -- DELETE -------------------------------------------------------------------


def test_a_deleted_account_takes_everybody_in_it_along_and_nobody_else(netbird: NetBird) -> None:
    others = netbird.account("b_owner"), netbird.ok("GET", "/users", by="b_owner")
    answer = netbird.ask("DELETE", ACCOUNT)
    assert (answer.status_code, answer.data) == (200, b"{}\n")
    for name in ("owner", "admin", "svc_admin", "blocked"):
        assert netbird.refused(401, "GET", "/accounts", by=name) == "token invalid"
    assert (netbird.account("b_owner"), netbird.ok("GET", "/users", by="b_owner")) == others
    netbird.refused(403, "PUT", ACCOUNT, {"settings": TWO}, by="b_owner")


# -- The wire -----------------------------------------------------------------


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("method", "path", "body"),
    (
        ("GET", "/accounts", None),
        ("PUT", ACCOUNT, {"settings": TWO}),
        ("PUT", ACCOUNT, {"settings": {}}),
        ("POST", "/users", {"role": "user", "is_service_user": True}),
        ("POST", "/users/{uid:owner}/tokens", {"name": "x", "expires_in": 1}),
        ("GET", "/users/none/tokens", None),
        ("DELETE", "/users/{uid:svc_user}", None),
        ("GET", "/events", None),
        ("DELETE", ACCOUNT, None),
    ),
)
def test_every_document_is_json_that_ends_with_a_line(netbird: NetBird, method: str, path: str, body: Any) -> None:
    answer = netbird.ask(method, path, body)
    assert answer.content_type == "application/json; charset=UTF-8"
    assert answer.data.endswith(b"\n")
    assert not answer.data.endswith(b"\n\n")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Request-ID"]


def test_a_message_is_in_lower_case_with_ids_and_values(netbird: NetBird) -> None:
    assert netbird.refused(404, "GET", "/users/NoBody/tokens") == "user: nobody not found"
    assert netbird.refused(404, "DELETE", "/users/{uid:owner}/tokens/ABC") == "pat: abc not found"
    told = netbird.refused(422, "PUT", ACCOUNT, {"settings": TWO | {"network_range": "XYZ"}})
    assert told == "invalid cidr format: invalid cidr address: xyz"


@pytest.mark.any_database
@pytest.mark.parametrize("path", ("/nowhere", "/accounts/", "/users/", "/accounts/x/y", "/events/audit/", "/"))
@pytest.mark.parametrize("by", ("owner", None))
def test_a_path_that_leads_nowhere_is_told_in_text_to_everybody(netbird: NetBird, path: str, by: str | None) -> None:
    answer = netbird.ask("GET", path, by=by)
    assert (answer.status_code, answer.text) == (404, "404 page not found\n")
    assert answer.content_type == "text/plain; charset=utf-8"


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    (
        ("GET", ACCOUNT, "DELETE, PATCH, PUT"),
        ("POST", "/accounts", "GET"),
        ("HEAD", "/accounts", "GET"),
        ("GET", "/users/{uid:owner}", "DELETE, PUT"),
        ("PUT", "/users/current", "GET"),
        ("DELETE", "/users/current", "GET"),
        ("POST", "/events", "GET"),
        ("OPTIONS", "/accounts", "GET"),
        ("PUT", "/users/{uid:owner}/tokens", "GET, POST"),
    ),
)
@pytest.mark.parametrize("by", ("owner", None))
def test_a_method_that_there_is_not_is_told_without_a_body(
    netbird: NetBird, method: str, path: str, allowed: str, by: str | None
) -> None:
    answer = netbird.ask(method, path, by=by)
    assert (answer.status_code, answer.data, answer.headers["Allow"]) == (405, b"", allowed)


ORIGIN = {"Origin": "https://dashboard.example"}


@pytest.mark.any_database
@pytest.mark.parametrize("path", ("/accounts", ACCOUNT, "/users/x/tokens", "/nowhere"))
def test_browsers_are_answered_before_anybody_is_asked_who_he_is(netbird: NetBird, path: str) -> None:
    asking = ORIGIN | {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "authorization,x-y"}
    answer = netbird.ask("OPTIONS", path, by=None, headers=asking)
    assert (answer.status_code, answer.data) == (204, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Access-Control-Allow-Methods"] == "HEAD, GET, POST, PUT, PATCH, DELETE"
    assert answer.headers["Access-Control-Allow-Headers"] == "authorization,x-y"
    assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize(("by", "path"), (("owner", "/accounts"), (None, "/accounts"), ("owner", "/nowhere")))
def test_pages_of_every_origin_may_read_every_answer(netbird: NetBird, by: str | None, path: str) -> None:
    answer = netbird.ask("GET", path, by=by, headers=ORIGIN)
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert "Access-Control-Allow-Origin" not in netbird.ask("GET", path, by=by).headers


def test_a_page_of_another_origin_may_change_with_a_token_and_not_with_a_password(netbird: NetBird) -> None:
    netbird.ok("PUT", ACCOUNT, {"settings": TWO}, headers=ORIGIN)
    body: Json = {"settings": TWO}
    path = f"/api/accounts/{netbird.names['A']}"
    assert netbird.service.put(path, body, by="admin", headers=ORIGIN).status_code == 403
    assert netbird.service.put(path, body, by="admin").status_code == 200
