"""`trusted_origin`: a reverse proxy says who is asking.

Trust is decided on the direct peer alone, never on a header: its address is in
`network.trusted_proxies`, or it came over a unix socket and the kernel says
that its user is on the list (SO_PEERCRED, unix(7)).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from accounts_service.access.authenticators import (
    TRUSTED_ORIGIN,
    Conditions,
    Facts,
    Identified,
    NoCredentials,
    Origin,
    Outcome,
    Rejected,
)
from accounts_service.access.authenticators.internal_users import InternalUsers
from accounts_service.access.authenticators.user_mapping import UserMapping, UserMappingError
from accounts_service.access.roles import REALM, Identity
from accounts_service.faults import Json


def request_attributes(facts: Facts, origin: Origin) -> dict[str, Json]:
    """Name what a mapping may read of a request; of headers nothing unless a trusted proxy sent them."""
    return {
        "headers": dict(facts.headers) if origin.trusted else {},
        "direct_ip_address": None if origin.peer.address is None else str(origin.peer.address),
        "originating_ip_address": None if origin.address is None else str(origin.address),
    }


def entries_of(users: InternalUsers | None) -> Callable[[str], Json] | None:
    """Return by what a domain finds the `user_entry` of a name, if it asks for internal users."""
    return None if users is None else users.document


@dataclass(frozen=True, slots=True)
class TrustedOrigin:
    """A `trusted_origin` domain. `more`: users of whom further roles are known, if it asks for them."""

    conditions: Conditions
    mapping: UserMapping
    more: InternalUsers | None = None

    def authenticate(self, facts: Facts, origin: Origin) -> Outcome:
        """Believe the mapped headers of a trusted proxy, and nobody else's."""
        if not origin.trusted:
            return NoCredentials()
        try:
            mapped = self.mapping.map({"request": request_attributes(facts, origin)}, entry_of=entries_of(self.more))
        except UserMappingError:
            return NoCredentials()
        if not self.conditions.for_user(mapped.user_name):
            return Rejected()
        identity = Identity(
            realm=REALM,
            name=mapped.user_name,
            backend_roles=mapped.backend_roles,
            attributes=mapped.attributes,
            address=origin.address,
            domain=TRUSTED_ORIGIN,
            structured=mapped.structured,
        )
        return Identified(identity if self.more is None else self.more.add_to(identity))
