"""Checks of who is believed without a password."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from accounts_service.access.authenticators import TRUSTED_ORIGIN
from accounts_service.access.configuration import Configuration, NetworkSettings
from accounts_service.access.snapshot import UnknownUserError, uids_of
from accounts_service.config import Settings
from accounts_service.doctor.findings import Finding, fail, ok, warn

# Bits of a network's prefix: fewer are everybody, and fewer are many.
_EVERYBODY = {4: 8, 6: 16}
_MANY = {4: 16, 6: 48}
# No proxy of anybody's is at all of these.
_ANYWHERE = tuple(map(ip_address, ("8.8.8.8", "198.51.100.1", "203.0.113.1")))


def judge_network(configuration: Configuration, settings: Settings) -> Iterator[Finding]:
    """Find out who is believed without a password."""
    network = configuration.network
    strange = [*_proxies(network), *_socket_users(settings)]
    trusting = bool(network.trusted_proxies or network.trusted_proxies_regex)
    asked = any(domain.type == TRUSTED_ORIGIN for domain in configuration.domains)
    if asked and not trusting and not settings.trusted_socket_users:
        todo = "name the proxy in network.trusted_proxies, or its user in ACCOUNTS_TRUSTED_SOCKET_USERS"
        strange.append(warn("proxies", "there is a trusted_origin domain, and no proxy is trusted", todo))
    if trusting and not settings.bind.startswith("unix:") and not _is_loopback(settings.bind):
        text = f"{settings.bind} can be reached from outside, and proxies are trusted by their address"
        strange.append(warn("bind", text, "bind to a unix socket or the loopback, or shut others out by a firewall"))
    if settings.trusted_socket_users and not settings.bind.startswith("unix:"):
        text = f"ACCOUNTS_TRUSTED_SOCKET_USERS has no effect at {settings.bind}"
        strange.append(warn("bind", text, "bind to a unix socket"))
    yield from strange or [ok("proxies", "no proxy or user is trusted without need")]


def _proxies(network: NetworkSettings) -> Iterator[Finding]:
    for trusted in network.trusted_proxies:
        if trusted.prefixlen < _EVERYBODY[trusted.version]:
            yield fail("proxies", f"network.trusted_proxies has {trusted}: anybody is whoever he says", _ONE_PROXY)
        elif trusted.prefixlen < _MANY[trusted.version]:
            yield warn("proxies", f"network.trusted_proxies has {trusted}, a large network", _ONE_PROXY)
    for regex in network.trusted_proxies_regex:
        if all(regex.matches(str(address)) for address in _ANYWHERE):
            text = f"network.trusted_proxies_regex has {regex.written!r}: anybody is whoever he says"
            yield fail("proxies", text, _ONE_PROXY)


_ONE_PROXY = "name the addresses of the proxies alone"


def _socket_users(settings: Settings) -> Iterator[Finding]:
    try:
        uids_of(settings.trusted_socket_users)
    except UnknownUserError as error:
        yield fail("socket-users", str(error), "correct ACCOUNTS_TRUSTED_SOCKET_USERS")


def _is_loopback(bind: str) -> bool:
    host = bind.rpartition(":")[0].strip("[]")
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
