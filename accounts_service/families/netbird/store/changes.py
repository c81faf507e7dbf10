"""What the people of an account are told of a change: a code, and old and new values. No secret is among them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from accounts_service.families.netbird.schemas.settings import Settings


@dataclass(frozen=True, slots=True)
class Happening:
    """What has happened to whom. `meta` holds texts."""

    code: str
    target: str
    meta: Mapping[str, str] = field(default_factory=dict)


# Codes of NetBird's, and after them those for settings that it says nothing about.
TEXTS = {
    "account.create": "Account created",
    "account.delete": "Account deleted",
    "account.setting.peer.login.expiration.enable": "Account peer login expiration enabled",
    "account.setting.peer.login.expiration.disable": "Account peer login expiration disabled",
    "account.setting.peer.login.expiration.update": "Account peer login expiration duration updated",
    "account.peer.inactivity.expiration.enable": "Account peer inactivity expiration enabled",
    "account.peer.inactivity.expiration.disable": "Account peer inactivity expiration disabled",
    "account.peer.inactivity.expiration.update": "Account peer inactivity expiration duration updated",
    "account.setting.group.propagation.enable": "User group propagation enabled",
    "account.setting.group.propagation.disable": "User group propagation disabled",
    "account.setting.routing.peer.dns.resolution.enable": "Account routing peer DNS resolution enabled",
    "account.setting.routing.peer.dns.resolution.disable": "Account routing peer DNS resolution disabled",
    "account.setting.lazy.connection.enable": "Account lazy connection enabled",
    "account.setting.lazy.connection.disable": "Account lazy connection disabled",
    "account.settings.auto.version.update": "Account AutoUpdate Version updated",
    "account.setting.auto.update.always.enable": "Account auto-update always enabled",
    "account.setting.auto.update.always.disable": "Account auto-update always disabled",
    "account.setting.peer.expose.enable": "Account peer expose enabled",
    "account.setting.peer.expose.disable": "Account peer expose disabled",
    "account.setting.metrics.push.enable": "Account metrics push enabled",
    "account.setting.metrics.push.disable": "Account metrics push disabled",
    "account.setting.local.mfa.enable": "Account local MFA enabled",
    "account.setting.local.mfa.disable": "Account local MFA disabled",
    "account.dns.domain.update": "Account DNS domain updated",
    "account.network.range.update": "Account network range updated",
    "account.setting.ipv6.enable": "Account IPv6 overlay enabled",
    "account.setting.ipv6.disable": "Account IPv6 overlay disabled",
    "account.setting.peer.approval.enable": "Account peer approval enabled",
    "account.setting.peer.approval.disable": "Account peer approval disabled",
    "personal.access.token.create": "Personal access token created",
    "personal.access.token.delete": "Personal access token deleted",
    "service.user.create": "Service user created",
    "service.user.delete": "Service user deleted",
    "user.role.update": "User role updated",
    "user.block": "User blocked",
    "user.unblock": "User unblocked",
    "user.delete": "User deleted",
    "user.join": "User joined",
    "transferred.owner.role": "Transferred owner role",
    "account.setting.regular.users.view.blocked.enable": "Account view of regular users blocked",
    "account.setting.regular.users.view.blocked.disable": "Account view of regular users unblocked",
    "account.setting.jwt.groups.enable": "Account JWT groups enabled",
    "account.setting.jwt.groups.disable": "Account JWT groups disabled",
    "account.setting.jwt.groups.claim.update": "Account JWT groups claim updated",
    "account.setting.jwt.allow.groups.update": "Account JWT allowed groups updated",
    "account.setting.peer.expose.groups.update": "Account peer expose groups updated",
    "account.setting.agent.network.only.enable": "Account agent network only mode enabled",
    "account.setting.agent.network.only.disable": "Account agent network only mode disabled",
    "account.setting.dashboard.features.update": "Account dashboard features updated",
    "account.setting.ipv6.groups.update": "Account IPv6 groups updated",
    "account.setting.user.approval.enable": "Account user approval enabled",
    "account.setting.user.approval.disable": "Account user approval disabled",
    "account.setting.traffic.logs.enable": "Account network traffic logs enabled",
    "account.setting.traffic.logs.disable": "Account network traffic logs disabled",
    "account.setting.traffic.logs.groups.update": "Account network traffic logs groups updated",
    "account.setting.traffic.packet.counter.enable": "Account network traffic packet counter enabled",
    "account.setting.traffic.packet.counter.disable": "Account network traffic packet counter disabled",
    "account.onboarding.update": "Account onboarding updated",
    "user.auto.groups.update": "User auto groups updated",
    "user.approve": "User approved",
    "user.reject": "User rejected",
}

_FLAGS = {
    "peer_login_expiration_enabled": "account.setting.peer.login.expiration",
    "peer_inactivity_expiration_enabled": "account.peer.inactivity.expiration",
    "regular_users_view_blocked": "account.setting.regular.users.view.blocked",
    "groups_propagation_enabled": "account.setting.group.propagation",
    "jwt_groups_enabled": "account.setting.jwt.groups",
    "routing_peer_dns_resolution_enabled": "account.setting.routing.peer.dns.resolution",
    "peer_expose_enabled": "account.setting.peer.expose",
    "lazy_connection_enabled": "account.setting.lazy.connection",
    "auto_update_always": "account.setting.auto.update.always",
    "metrics_push_enabled": "account.setting.metrics.push",
    "agent_network_only": "account.setting.agent.network.only",
    "local_mfa_enabled": "account.setting.local.mfa",
    "extra.peer_approval_enabled": "account.setting.peer.approval",
    "extra.user_approval_required": "account.setting.user.approval",
    "extra.network_traffic_logs_enabled": "account.setting.traffic.logs",
    "extra.network_traffic_packet_counter_enabled": "account.setting.traffic.packet.counter",
}
_VALUES = {
    "peer_login_expiration": "account.setting.peer.login.expiration.update",
    "peer_inactivity_expiration": "account.peer.inactivity.expiration.update",
    "jwt_groups_claim_name": "account.setting.jwt.groups.claim.update",
    "jwt_allow_groups": "account.setting.jwt.allow.groups.update",
    "dns_domain": "account.dns.domain.update",
    "network_range": "account.network.range.update",
    "network_range_v6": "account.network.range.update",
    "peer_expose_groups": "account.setting.peer.expose.groups.update",
    "auto_update_version": "account.settings.auto.version.update",
    "dashboard_features": "account.setting.dashboard.features.update",
    "extra.network_traffic_logs_groups": "account.setting.traffic.logs.groups.update",
}


def of_settings(account: str, before: Settings, after: Settings) -> Iterator[Happening]:
    """Say what has changed between two states of an account's settings."""
    old, new = _flat(before), _flat(after)
    for name in new:
        if old[name] == new[name]:
            continue
        meta = {"setting": name, "old": written(old[name]), "new": written(new[name])}
        if name in _FLAGS:
            yield Happening(f"{_FLAGS[name]}.{'enable' if new[name] else 'disable'}", account, meta)
        elif name == "ipv6_enabled_groups":
            yield Happening(_of_ipv6(old[name], new[name]), account, meta)
        else:
            yield Happening(_VALUES[name], account, meta | _as_netbird_has_it(name, meta))


def _of_ipv6(old: list[str] | None, new: list[str] | None) -> str:
    if bool(old) == bool(new):
        return "account.setting.ipv6.groups.update"
    return "account.setting.ipv6.enable" if new else "account.setting.ipv6.disable"


def _as_netbird_has_it(name: str, meta: Mapping[str, str]) -> dict[str, str]:
    if name in ("dns_domain", "network_range", "network_range_v6"):
        return {f"old_{name}": meta["old"], f"new_{name}": meta["new"]}
    return {"version": meta["new"]} if name == "auto_update_version" else {}


def _flat(settings: Settings) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if name == "extra":
            flat |= {f"extra.{inner}": one for inner, one in value.items()}
        else:
            flat[name] = value
    return flat


# Ten thousand events are told at once, and a setting can be a thousand texts.
_LONGEST = 500


def written(value: object) -> str:
    """Write a value as a text of `meta`; a long one is cut, and ends with `…`."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
