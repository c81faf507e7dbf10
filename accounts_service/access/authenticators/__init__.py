"""Ways to find out who is asking; each turns the facts of a request into an outcome.

A domain of sg_authc.yml is an authenticator with conditions. Domains are tried
in order, the first that succeeds wins, and when all fail the request is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Protocol, TypeAlias

from accounts_service.access.patterns import Matcher
from accounts_service.access.roles import Address, Identity, Network

# The types of domains that there is an authenticator for.
TRUSTED_ORIGIN = "trusted_origin"
BASIC = "basic/internal_users_db"
ANONYMOUS = "anonymous"
JWT = "jwt"


@dataclass(frozen=True, slots=True)
class Peer:
    """Who holds the other end of the connection: an address, or the uid told by the kernel for a unix socket."""

    address: Address | None = None
    uid: int | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What a request brings along. Header names are in lower case.

    `headers`: values read as UTF-8, or as Latin-1 those that are not UTF-8;
    `repeated`: the names of headers sent more than once; `undecodable`: of those whose value is not UTF-8.
    """

    peer: Peer
    headers: Mapping[str, str] = field(repr=False)
    repeated: frozenset[str] = frozenset()
    undecodable: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request came from: its direct peer, whether that is a trusted proxy, and the first client."""

    peer: Peer
    trusted: bool
    address: Address | None

    @property
    def network(self) -> str | None:
        """The network of the first client, as attempts are counted by it; None over a socket.

        A site has all addresses of its prefix in IP version 6 (RFC 6177), so these count as one.
        """
        if self.address is None:
            return None
        return str(self.address if self.address.version == 4 else ip_network((self.address, 56), strict=False))


@dataclass(frozen=True, slots=True)
class NoCredentials:
    """Nothing this domain reads was sent. `challenge`: what to ask for, if it asks."""

    challenge: str | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """Credentials were sent and are not good."""


@dataclass(frozen=True, slots=True)
class Identified:
    """It is this person."""

    identity: Identity


Outcome: TypeAlias = NoCredentials | Rejected | Identified


@dataclass(frozen=True, slots=True)
class Criteria:
    """The `accept` or `skip` of a domain; None is a condition that is not set."""

    ips: tuple[Network, ...] | None = None
    originating_ips: tuple[Network, ...] | None = None
    trusted_ips: bool | None = None
    users: Matcher | None = None

    def origin_verdicts(self, origin: Origin) -> list[bool]:
        """One verdict for each condition on the origin that is set."""
        verdicts = []
        if self.ips is not None:
            verdicts.append(_within(origin.peer.address, self.ips))
        if self.originating_ips is not None:
            verdicts.append(_within(origin.address, self.originating_ips))
        if self.trusted_ips is not None:
            verdicts.append(origin.trusted is self.trusted_ips)
        return verdicts


def _within(address: Address | None, networks: tuple[Network, ...]) -> bool:
    return address is not None and any(address in network for network in networks)


@dataclass(frozen=True, slots=True)
class Conditions:
    """When a domain is asked at all."""

    accept: Criteria = Criteria()
    skip: Criteria = Criteria()

    def for_origin(self, origin: Origin) -> bool:
        """Tell whether requests from `origin` are for this domain."""
        return all(self.accept.origin_verdicts(origin)) and not any(self.skip.origin_verdicts(origin))

    def for_user(self, name: str) -> bool:
        """Tell whether the user is for this domain."""
        accepted = self.accept.users is None or self.accept.users.matches(name)
        return accepted and not (self.skip.users is not None and self.skip.users.matches(name))


class Authenticator(Protocol):
    """One domain of sg_authc.yml."""

    @property
    def conditions(self) -> Conditions:
        """When the domain is asked."""
        ...

    def authenticate(self, facts: Facts, origin: Origin) -> Outcome:
        """Find out who sent `facts`. May raise RefusedError with Overloaded."""
        ...
