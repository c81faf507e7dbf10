"""Which settings an account can have: what is meant where nothing is said, and what goes together.

The words for what does not fit are the dialect's; here it has a name.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from accounts_service.families.netbird.schemas import bodies
from accounts_service.faults import InvalidBody, Json, Problem, RefusedError, Unfit

Settings: TypeAlias = dict[str, Any]

_HOUR = 3600
_LONGEST = 180 * 24 * _HOUR

NO_EXTRA: Settings = {
    "peer_approval_enabled": False,
    "user_approval_required": False,
    "network_traffic_logs_enabled": False,
    "network_traffic_logs_groups": None,
    "network_traffic_packet_counter_enabled": False,
}

# What a setting is that was not sent. `network_range` is what was asked for; what was allocated stands elsewhere.
NOTHING: Settings = {
    "peer_login_expiration_enabled": False,
    "peer_login_expiration": 0,
    "peer_inactivity_expiration_enabled": False,
    "peer_inactivity_expiration": 0,
    "regular_users_view_blocked": False,
    "groups_propagation_enabled": False,
    "jwt_groups_enabled": False,
    "jwt_groups_claim_name": "",
    "jwt_allow_groups": [],
    "routing_peer_dns_resolution_enabled": False,
    "dns_domain": "",
    "network_range": None,
    "network_range_v6": None,
    "peer_expose_enabled": False,
    "peer_expose_groups": None,
    "extra": NO_EXTRA,
    "lazy_connection_enabled": False,
    "auto_update_version": "",
    "auto_update_always": False,
    "metrics_push_enabled": False,
    "agent_network_only": False,
    "dashboard_features": None,
    "local_mfa_enabled": False,
    "ipv6_enabled_groups": None,
}


def of_new_account(all_group: str) -> Settings:
    """Give the settings that an account begins with."""
    return {
        **NOTHING,
        "peer_login_expiration_enabled": True,
        "peer_login_expiration": 24 * _HOUR,
        "peer_inactivity_expiration": 600,
        "regular_users_view_blocked": True,
        "groups_propagation_enabled": True,
        "routing_peer_dns_resolution_enabled": True,
        "extra": {**NO_EXTRA, "user_approval_required": True},
        "lazy_connection_enabled": True,
        "auto_update_version": "disabled",
        "ipv6_enabled_groups": [all_group],
    }


NO_ONBOARDING: Settings = {"signup_form_pending": False, "onboarding_flow_pending": False}


@dataclass(frozen=True, slots=True)
class Wish:
    """What a request wants of an account. `sent` is the document, `loaded` what was taken of it.

    With `merge` only what was sent changes, and null takes back what is there
    (RFC 7396); without it everything that was not sent is as if it were nothing.
    """

    sent: Json
    loaded: Mapping[str, Any]
    merge: bool

    @classmethod
    def of(cls, document: Json, *, merge: bool) -> Wish:
        """Check a body. Raises RefusedError(InvalidBody) with everything that is of the wrong kind."""
        return cls(document, bodies.ACCOUNT.check(document), merge)

    def settings(self, before: Settings, groups: frozenset[str]) -> Settings:
        """Say what the settings are to be, where they were `before`, in an account with these groups.

        Raises RefusedError(InvalidBody) with everything that does not fit.
        """
        loaded = dict(self.loaded.get("settings", {}))
        wanted = {**NOTHING, "extra": before["extra"], **loaded}
        if "extra" in loaded:
            wanted["extra"] = {**NO_EXTRA, **loaded["extra"]}
        if self.merge:
            sent = self._sent()
            wanted = {**before, **{name: NOTHING[name] for name in sent}, **loaded}
            wanted["extra"] = _merged(bodies.EXTRA, sent, "extra", before["extra"], NO_EXTRA, loaded)
            features = before["dashboard_features"] or {}
            merged = _merged(bodies.FEATURES, sent, "dashboard_features", features, {}, loaded)
            wanted["dashboard_features"] = merged or None
        problems = [*_problems(wanted, groups)]
        if problems:
            raise RefusedError(InvalidBody(tuple(problems)))
        for name in ("network_range", "network_range_v6"):
            wanted[name] = str(ipaddress.ip_network(wanted[name], strict=False)) if wanted[name] else None
        return {name: wanted[name] for name in NOTHING}

    def _sent(self) -> dict[str, Json]:
        """Give the settings that were sent, null for each that is to be taken back."""
        body = bodies.ACCOUNT.known(self.sent) if isinstance(self.sent, dict) else {"settings": None}
        settings = body.get("settings", {})
        return dict.fromkeys(NOTHING) if not isinstance(settings, dict) else bodies.SETTINGS.known(settings)

    def onboarding(self, before: Settings | None) -> Settings | None:
        """Say what is left to be shown."""
        if self.merge and isinstance(self.sent, dict):
            sent = bodies.ACCOUNT.known(self.sent)
            kept = before or NO_ONBOARDING
            merged = _merged(bodies.ONBOARDING, sent, "onboarding", kept, NO_ONBOARDING, self.loaded)
            return merged if "onboarding" in sent else before
        return {**NO_ONBOARDING, **self.loaded["onboarding"]} if "onboarding" in self.loaded else before


def _merged(  # noqa: PLR0913, PLR0917  # one use of it for each part
    schema: bodies.GoSchema,
    sent: dict[str, Json],
    name: str,
    before: Settings,
    nothing: Settings,
    loaded: Mapping[str, Any],
) -> Settings:
    if name not in sent:
        return before
    part = sent[name]
    if not isinstance(part, dict):
        return nothing
    taken_back = {key: nothing[key] for key in schema.known(part) if key in nothing}
    kept = {key: value for key, value in before.items() if key in nothing or key not in schema.known(part)}
    return {**kept, **taken_back, **loaded.get(name, {})}


# -- What does not fit --------------------------------------------------------

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_LAST = r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
DOMAIN_PATTERN = rf"(?:{_LABEL}\.)*{_LAST}"
_DOMAIN = re.compile(rf"{DOMAIN_PATTERN}\Z")
LONGEST_DOMAIN = 253
_NAMES = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
VERSION_PATTERN = rf"v?[0-9]+(?:\.[0-9]+)*(?:-{_NAMES})?(?:\+{_NAMES})?"
_VERSION = re.compile(rf"{VERSION_PATTERN}\Z")
LONGEST_VERSION = 100
NO_VERSIONS = ("", "latest", "disabled")
# ipaddress also takes masks for lengths, and zones.
_CIDR = re.compile(r"[0-9A-Fa-f:.]+/(?:0|[1-9][0-9]{0,2})\Z")

LARGER, SMALLER = "peer_login_expiration.larger", "peer_login_expiration.smaller"
DOMAIN, VERSION = "dns_domain", "auto_update_version"
NO_GROUPS, NO_FEATURE, NO_SUCH_GROUP = "peer_expose_groups", "agent_network_only", "ipv6_enabled_groups"
NO_CIDR, NOT_V4, NOT_V6 = "cidr", "not_ipv4", "not_ipv6"
LOOPBACK, MULTICAST, LINK_LOCAL = "loopback", "multicast", "link_local"
SMALL_V4, SMALL_V6, LARGE_V6 = "small_ipv4", "small_ipv6", "large_ipv6"


def _problems(settings: Settings, groups: frozenset[str]) -> Iterator[Problem]:
    seconds = settings["peer_login_expiration"]
    if not _HOUR <= seconds <= _LONGEST:
        yield Problem(("peer_login_expiration",), Unfit(LARGER if seconds > _LONGEST else SMALLER), seconds)
    domain = settings["dns_domain"]
    if domain and (len(domain) > LONGEST_DOMAIN or not _DOMAIN.match(domain)):
        yield Problem(("dns_domain",), Unfit(DOMAIN), domain)
    for name, version in (("network_range", 4), ("network_range_v6", 6)):
        if settings[name] and (rule := _range_rule(settings[name], version)):
            yield Problem((name,), Unfit(rule), settings[name])
    if settings["peer_expose_enabled"] and not settings["peer_expose_groups"]:
        yield Problem(("peer_expose_groups",), Unfit(NO_GROUPS))
    version = settings["auto_update_version"]
    if version not in NO_VERSIONS and (len(version) > LONGEST_VERSION or not _VERSION.match(version)):
        yield Problem(("auto_update_version",), Unfit(VERSION), version)
    features = settings["dashboard_features"] or {}
    if settings["agent_network_only"] and not features.get("agent_network"):
        yield Problem(("agent_network_only",), Unfit(NO_FEATURE))
    for group in settings["ipv6_enabled_groups"] or ():
        if group not in groups:
            yield Problem(("ipv6_enabled_groups",), Unfit(NO_SUCH_GROUP), group)


def _range_rule(text: str, version: int) -> str | None:  # noqa: PLR0911  # one return a rule
    """Name the rule that is against a network range, in NetBird's order; None when it fits."""
    try:
        if not _CIDR.match(text):
            return NO_CIDR
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return NO_CIDR
    if network.version != version:
        return NOT_V4 if version == 4 else NOT_V6
    if network.network_address.is_loopback:
        return LOOPBACK
    if network.network_address.is_multicast:
        return MULTICAST
    if network.network_address.is_link_local:
        return LINK_LOCAL
    if version == 4:
        return SMALL_V4 if network.prefixlen > 28 else None
    if network.prefixlen > 120:
        return SMALL_V6
    return LARGE_V6 if network.prefixlen < 48 else None
