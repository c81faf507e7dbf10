"""NetBird's events: what has happened in an account is told once, whole, and with the change."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from sqlalchemy import text

from accounts_service.families.netbird.store import changes
from accounts_service.families.netbird.store.tokens import Tokens
from tests.support.netbird import AUTHOR, TWO, NetBird, give_groups
from tests.support.service import Service

ACCOUNT = "/accounts/{A}"
KEYS = {
    "id",
    "timestamp",
    "activity",
    "activity_code",
    "initiator_id",
    "initiator_name",
    "initiator_email",
    "target_id",
    "meta",
}

# A setting, the value it has before and after, and the code of the one event that tells it. A text is written as it
# is, all else as JSON, and nothing as the empty text.
SETTINGS: list[tuple[str, Any, Any, str]] = [
    ("peer_login_expiration_enabled", True, False, "account.setting.peer.login.expiration.disable"),
    ("peer_login_expiration_enabled", False, True, "account.setting.peer.login.expiration.enable"),
    ("peer_login_expiration", 86400, 3600, "account.setting.peer.login.expiration.update"),
    ("peer_inactivity_expiration_enabled", False, True, "account.peer.inactivity.expiration.enable"),
    ("peer_inactivity_expiration_enabled", True, False, "account.peer.inactivity.expiration.disable"),
    ("peer_inactivity_expiration", 600, 0, "account.peer.inactivity.expiration.update"),
    ("regular_users_view_blocked", False, True, "account.setting.regular.users.view.blocked.enable"),
    ("regular_users_view_blocked", True, False, "account.setting.regular.users.view.blocked.disable"),
    ("groups_propagation_enabled", True, False, "account.setting.group.propagation.disable"),
    ("groups_propagation_enabled", False, True, "account.setting.group.propagation.enable"),
    ("jwt_groups_enabled", False, True, "account.setting.jwt.groups.enable"),
    ("jwt_groups_enabled", True, False, "account.setting.jwt.groups.disable"),
    ("jwt_groups_claim_name", "", "roles", "account.setting.jwt.groups.claim.update"),
    ("jwt_allow_groups", [], ["a", "ü"], "account.setting.jwt.allow.groups.update"),
    ("routing_peer_dns_resolution_enabled", True, False, "account.setting.routing.peer.dns.resolution.disable"),
    ("routing_peer_dns_resolution_enabled", False, True, "account.setting.routing.peer.dns.resolution.enable"),
    ("dns_domain", "", "x.example", "account.dns.domain.update"),
    ("dns_domain", "x.example", "y.example", "account.dns.domain.update"),
    ("network_range", "10.2.0.0/16", "10.1.0.0/16", "account.network.range.update"),
    ("network_range_v6", "fd01::/64", "fd00::/64", "account.network.range.update"),
    ("peer_expose_groups", None, ["g"], "account.setting.peer.expose.groups.update"),
    ("lazy_connection_enabled", True, False, "account.setting.lazy.connection.disable"),
    ("lazy_connection_enabled", False, True, "account.setting.lazy.connection.enable"),
    ("auto_update_version", "disabled", "latest", "account.settings.auto.version.update"),
    ("auto_update_always", False, True, "account.setting.auto.update.always.enable"),
    ("auto_update_always", True, False, "account.setting.auto.update.always.disable"),
    ("metrics_push_enabled", False, True, "account.setting.metrics.push.enable"),
    ("metrics_push_enabled", True, False, "account.setting.metrics.push.disable"),
    ("dashboard_features", None, {"agent_network": True}, "account.setting.dashboard.features.update"),
    ("local_mfa_enabled", False, True, "account.setting.local.mfa.enable"),
    ("local_mfa_enabled", True, False, "account.setting.local.mfa.disable"),
    ("ipv6_enabled_groups", ["{group}"], [], "account.setting.ipv6.disable"),
    ("ipv6_enabled_groups", [], ["{group}"], "account.setting.ipv6.enable"),
    ("ipv6_enabled_groups", ["{group}"], ["{group}", "{group}"], "account.setting.ipv6.groups.update"),
    ("ipv6_enabled_groups", [], None, "account.setting.ipv6.groups.update"),
    ("extra.peer_approval_enabled", False, True, "account.setting.peer.approval.enable"),
    ("extra.peer_approval_enabled", True, False, "account.setting.peer.approval.disable"),
    ("extra.user_approval_required", True, False, "account.setting.user.approval.disable"),
    ("extra.user_approval_required", False, True, "account.setting.user.approval.enable"),
    ("extra.network_traffic_logs_enabled", False, True, "account.setting.traffic.logs.enable"),
    ("extra.network_traffic_logs_enabled", True, False, "account.setting.traffic.logs.disable"),
    ("extra.network_traffic_logs_groups", None, ["g"], "account.setting.traffic.logs.groups.update"),
    ("extra.network_traffic_packet_counter_enabled", False, True, "account.setting.traffic.packet.counter.enable"),
    ("extra.network_traffic_packet_counter_enabled", True, False, "account.setting.traffic.packet.counter.disable"),
]
# What needs another setting beside it, or is no setting, is tested below.
ELSEWHERE = {
    "account.create",
    "account.delete",
    "account.onboarding.update",
    "account.setting.peer.expose.enable",
    "account.setting.peer.expose.disable",
    "account.setting.agent.network.only.enable",
    "account.setting.agent.network.only.disable",
    "personal.access.token.create",
    "personal.access.token.delete",
    "service.user.create",
    "service.user.delete",
    "transferred.owner.role",
    "user.approve",
    "user.auto.groups.update",
    "user.block",
    "user.delete",
    "user.join",
    "user.reject",
    "user.role.update",
    "user.unblock",
}


@pytest.fixture
def netbird(service: Service) -> NetBird:
    return NetBird(service)


def _nested(name: str, value: Any) -> dict[str, Any]:
    outer, _, inner = name.partition(".")
    return {outer: {inner: value}} if inner else {outer: value}


def _written(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _forget(netbird: NetBird) -> None:
    with netbird.service.services.database.begin() as connection:
        connection.execute(text("DELETE FROM netbird_event"))


def _new(netbird: NetBird, before: list[Any]) -> list[Any]:
    return [event for event in netbird.events() if event not in before]


def test_the_table_has_every_code() -> None:
    assert {code for *_, code in SETTINGS} | ELSEWHERE == set(changes.TEXTS)


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("name", "old", "new", "code"), SETTINGS, ids=[f"{name}: {old} to {new}" for name, old, new, _ in SETTINGS]
)
def test_a_changed_setting_is_one_event_with_old_and_new(
    netbird: NetBird, name: str, old: Any, new: Any, code: str
) -> None:
    netbird.patch(**_nested(name, old))
    _forget(netbird)
    netbird.patch(**_nested(name, new))
    (event,) = netbird.events()
    assert event.keys() == KEYS
    assert (event["activity_code"], event["activity"]) == (code, changes.TEXTS[code])
    meta = event["meta"]
    written = [
        _written(json.loads(json.dumps(value).replace("{group}", netbird.names["group"]))) for value in (old, new)
    ]
    assert [meta["setting"], meta["old"], meta["new"]] == [name, *written]
    if name in ("dns_domain", "network_range", "network_range_v6"):
        assert [meta[f"old_{name}"], meta[f"new_{name}"]] == written
    if name == "auto_update_version":
        assert meta["version"] == written[1]
    assert all(isinstance(value, str) for value in meta.values())
    assert event["target_id"] == netbird.names["A"]
    netbird.patch(**_nested(name, new))
    assert netbird.events() == [event]


def test_a_range_that_holds_already_is_no_news_when_it_is_asked_for_or_no_longer(netbird: NetBird) -> None:
    netbird.ok("PUT", "/accounts/{A}", {"settings": netbird.settings()})
    netbird.patch(network_range=None)
    assert netbird.events() == []
    netbird.patch(network_range="10.1.2.3/16")
    netbird.patch(network_range=None, network_range_v6=None)
    (event,) = netbird.events()
    assert event["meta"]["new"] == "10.1.0.0/16"
    assert netbird.settings()["network_range"] == "10.1.0.0/16"


def test_what_goes_with_another_setting_is_told_with_it(netbird: NetBird) -> None:
    netbird.patch(peer_expose_enabled=True, peer_expose_groups=["g"])
    assert netbird.codes() == ["account.setting.peer.expose.groups.update", "account.setting.peer.expose.enable"]
    netbird.patch(peer_expose_enabled=False)
    assert netbird.codes()[0] == "account.setting.peer.expose.disable"
    netbird.patch(agent_network_only=True, dashboard_features={"agent_network": True})
    assert set(netbird.codes()[:2]) == {
        "account.setting.agent.network.only.enable",
        "account.setting.dashboard.features.update",
    }
    netbird.patch(agent_network_only=False)
    assert netbird.codes()[0] == "account.setting.agent.network.only.disable"


def test_changed_onboarding_is_an_event(netbird: NetBird) -> None:
    netbird.ok("PATCH", ACCOUNT, {"onboarding": {"signup_form_pending": False}})
    (event,) = netbird.events()
    assert event["activity_code"] == "account.onboarding.update"
    assert json.loads(event["meta"]["old"]) == {"signup_form_pending": True, "onboarding_flow_pending": True}
    assert json.loads(event["meta"]["new"]) == {"signup_form_pending": False, "onboarding_flow_pending": True}


def test_the_newest_event_comes_first_and_both_names_give_the_same(netbird: NetBird) -> None:
    for seconds in (3600, 3601, 3602):
        netbird.patch(peer_login_expiration=seconds)
    found = netbird.events()
    assert [event["meta"]["new"] for event in found] == ["3602", "3601", "3600"]
    assert [int(event["id"]) for event in found] == sorted((int(event["id"]) for event in found), reverse=True)
    assert found == netbird.ok("GET", "/events")
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", event["timestamp"]) for event in found)


def test_a_put_tells_everything_that_it_resets(netbird: NetBird) -> None:
    netbird.put()
    assert set(netbird.codes()) == {
        "account.peer.inactivity.expiration.update",
        "account.setting.group.propagation.disable",
        "account.setting.routing.peer.dns.resolution.disable",
        "account.setting.lazy.connection.disable",
        "account.settings.auto.version.update",
        "account.setting.ipv6.disable",
    }


@pytest.mark.parametrize("by", ("auditor", "b_owner", "blocked", None))
def test_who_is_refused_makes_no_event(netbird: NetBird, by: str | None) -> None:
    netbird.ask("PUT", ACCOUNT, {"settings": TWO}, by=by)
    assert netbird.events() == []


def test_a_refused_change_makes_no_event(netbird: NetBird) -> None:
    netbird.refused(
        422, "PUT", ACCOUNT, {"settings": {"dns_domain": "x"}, "onboarding": {"signup_form_pending": False}}
    )
    netbird.refused(400, "PUT", ACCOUNT, {"settings": 1})
    netbird.ask("PUT", ACCOUNT, {"settings": TWO}, headers={"If-Match": '"1000"'})
    assert netbird.events() == []


def test_an_event_is_undone_with_the_change_that_it_tells(netbird: NetBird) -> None:
    class CutOffError(Exception):
        pass

    def cut_off() -> None:
        with netbird.service.services.database.transaction(Tokens, AUTHOR) as users:
            user = users.find(netbird.names["uid:svc_user"])
            assert user is not None
            users.make_token_for(user, "undone", 1, created_by="x")
            raise CutOffError

    with pytest.raises(CutOffError):
        cut_off()
    assert netbird.events() == []


def test_events_are_those_of_ones_own_account(netbird: NetBird) -> None:
    netbird.patch(dns_domain="x")
    assert netbird.events("b_owner") == []
    assert len(netbird.events("auditor")) == 1


@pytest.mark.parametrize("name", ("owner", "admin", "svc_admin"))
def test_an_event_says_who_did_it(netbird: NetBird, name: str) -> None:
    netbird.ok("PATCH", ACCOUNT, {"settings": {"dns_domain": "x"}}, by=name)
    (event,) = netbird.events()
    email = "" if name == "svc_admin" else f"{name}@test.com"
    assert (event["initiator_id"], event["initiator_name"], event["initiator_email"]) == (
        netbird.names[f"uid:{name}"],
        name,
        email,
    )


def test_who_comes_from_elsewhere_is_told_by_his_name_alone(netbird: NetBird) -> None:
    path = f"/api/accounts/{netbird.names['A']}"
    assert netbird.service.put(path, {"settings": TWO}, by="admin").status_code == 200
    event = netbird.events()[0]
    assert (event["initiator_id"], event["initiator_name"], event["initiator_email"]) == ("", "admin", "")


def test_a_long_value_is_cut(netbird: NetBird) -> None:
    groups = ["x" * 255 for _ in range(1000)]
    netbird.patch(jwt_allow_groups=groups)
    meta = netbird.events()[0]["meta"]
    assert meta["old"] == "[]"
    assert meta["new"] == json.dumps(groups, separators=(",", ":"))[:499] + "…"
    assert netbird.settings()["jwt_allow_groups"] == groups


def test_what_happens_to_a_user_is_told_with_his_name_while_he_is_there(netbird: NetBird) -> None:
    give_groups(netbird.service.services, "user-id", ["g"])
    body = {"role": "auditor", "auto_groups": [], "is_blocked": True}
    netbird.ok("PUT", "/users/{uid:user}", body)
    events = {event["activity_code"]: event for event in netbird.events()}
    known = {"email": "user@test.com", "username": "user"}
    assert {code: event["meta"] for code, event in events.items()} == {
        "user.role.update": known | {"role": "auditor", "old": "user", "new": "auditor"},
        "user.block": known,
        "user.auto.groups.update": known | {"old": '["g"]', "new": "[]"},
    }
    assert {event["target_id"] for event in events.values()} == {netbird.names["uid:user"]}
    netbird.ok("PUT", "/users/{uid:user}", body | {"is_blocked": False})
    assert netbird.codes()[0] == "user.unblock"
    netbird.ok("PUT", "/users/{uid:user}", body | {"is_blocked": False})
    assert len(netbird.events()) == 4
    netbird.ok("DELETE", "/users/{uid:user}")
    event = netbird.events()[0]
    assert (event["activity_code"], event["meta"]["name"], "email" in event["meta"]) == ("user.delete", "user", False)


def test_approval_is_an_event(netbird: NetBird) -> None:
    netbird.ok("PUT", "/users/{uid:pending}", {"role": "user", "auto_groups": [], "is_blocked": False})
    assert netbird.codes() == ["user.approve", "user.unblock"]


def test_service_users_are_told(netbird: NetBird) -> None:
    made = netbird.ok("POST", "/users", {"role": "user", "is_service_user": True, "name": "ci", "auto_groups": []})
    netbird.ok("DELETE", f"/users/{made['id']}")
    deleted, created = netbird.events()
    assert (created["activity_code"], created["meta"]) == ("service.user.create", {"name": "ci"})
    assert (deleted["activity_code"], deleted["meta"].keys()) == ("service.user.delete", {"name", "created_at"})
    assert {created["target_id"], deleted["target_id"]} == {made["id"]}


def test_tokens_are_told_and_never_shown(netbird: NetBird) -> None:
    made = netbird.ok("POST", "/users/{uid:svc_user}/tokens", {"name": "of the pipeline", "expires_in": 1})
    netbird.ok("DELETE", f"/users/{{uid:svc_user}}/tokens/{made['personal_access_token']['id']}")
    deleted, created = netbird.events()
    known = {"email": "", "username": "svc_user"}
    meta = {"name": "of the pipeline", "is_service_user": "true", "user_name": "svc_user"}
    assert [event["activity_code"] for event in (created, deleted)] == [
        "personal.access.token.create",
        "personal.access.token.delete",
    ]
    assert created["meta"] == deleted["meta"] == known | meta
    assert created["target_id"] == netbird.names["uid:svc_user"]
    audited = json.dumps([[str(value) for value in row] for row in netbird.service.audited()])
    for text_of_it in (json.dumps([created, deleted]), audited):
        assert made["plain_token"] not in text_of_it
        assert made["plain_token"][4:34] not in text_of_it


def test_a_given_away_ownership_is_told_of_both(netbird: NetBird) -> None:
    netbird.ok("PUT", "/users/{uid:admin}", {"role": "owner", "auto_groups": [], "is_blocked": False})
    told = [
        (event["activity_code"], event["target_id"], event["meta"].get("role")) for event in netbird.events("admin")
    ]
    assert sorted(told) == sorted(
        [
            ("transferred.owner.role", "admin-id", None),
            ("user.role.update", "admin-id", "owner"),
            ("user.role.update", "owner-id", "admin"),
        ]
    )


def test_a_deleted_account_is_told_with_everybody_in_it(netbird: NetBird) -> None:
    created_at = netbird.account()["created_at"]
    netbird.ok("DELETE", ACCOUNT)
    with netbird.service.services.database.looking() as connection:
        rows = connection.execute(
            text("SELECT code, initiator_id, target_id, meta FROM netbird_event WHERE account_id = :id ORDER BY id"),
            {"id": netbird.names["A"]},
        ).all()
    assert [row.code for row in rows] == ["service.user.delete"] * 2 + ["user.delete"] * 8 + ["account.delete"]
    assert {row.initiator_id for row in rows} == {"owner-id"}
    assert json.loads(rows[-1].meta) == {
        "account_id": netbird.names["A"],
        "domain": "test.com",
        "created_at": created_at,
    }


@pytest.mark.parametrize(
    ("method", "path", "body", "act"),
    (
        ("PUT", ACCOUNT, {"settings": TWO}, "settings/update"),
        ("DELETE", ACCOUNT, None, "accounts/delete"),
        ("POST", "/users", {"role": "user", "is_service_user": True}, "users/create"),
        ("PUT", "/users/{uid:user}", {"role": "admin", "auto_groups": []}, "users/update"),
        ("DELETE", "/users/{uid:user}", None, "users/delete"),
        ("POST", "/users/{uid:owner}/tokens", {"name": "x", "expires_in": 1}, "pats/create"),
        ("DELETE", "/users/{uid:svc_user}/tokens/{tid:svc_user}", None, "pats/delete"),
    ),
)
def test_every_change_is_in_the_audit_trail_beside_its_events(
    netbird: NetBird, method: str, path: str, body: Any, act: str
) -> None:
    before = len(netbird.service.audited())
    answer = netbird.ask(method, path, body)
    assert answer.status_code == 200
    (record,) = netbird.service.audited()[before:]
    assert (record.family, record.act) == ("netbird", f"cluster:admin:netbird:{act}")
    assert record.request_id == answer.headers["X-Request-ID"]
