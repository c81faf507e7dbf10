"""`anonymous`: whoever comes, under a name that says so.

Whom such a domain lets in is decided by its conditions and by its place: the
domains before it are asked first, and none after it ever is, unless a
condition keeps the caller out of this one.
"""

from __future__ import annotations

from dataclasses import dataclass

from accounts_service.access.authenticators import (
    ANONYMOUS,
    Conditions,
    Facts,
    Identified,
    NoCredentials,
    Origin,
    Outcome,
    Rejected,
)
from accounts_service.access.authenticators.internal_users import InternalUsers
from accounts_service.access.authenticators.trusted_origin import entries_of, request_attributes
from accounts_service.access.authenticators.user_mapping import UserMapping, UserMappingError
from accounts_service.access.roles import REALM, Identity

# Search Guard's name for them.
NAME = "anonymous"


@dataclass(frozen=True, slots=True)
class Anonymous:
    """An `anonymous` domain. `more`: users of whom further roles are known, if it asks for them."""

    conditions: Conditions
    mapping: UserMapping = UserMapping()
    more: InternalUsers | None = None

    def authenticate(self, facts: Facts, origin: Origin) -> Outcome:
        """Let anybody in, under the mapped name if there is one."""
        try:
            mapped = self.mapping.map(
                {"request": request_attributes(facts, origin)}, default_name=NAME, entry_of=entries_of(self.more)
            )
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
            domain=ANONYMOUS,
            structured=mapped.structured,
        )
        return Identified(identity if self.more is None else self.more.add_to(identity))
