"""`basic/internal_users_db`: a user name and a password in the Authorization header (RFC 7617)."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from accounts_service.access.authenticators import (
    BASIC,
    Conditions,
    Facts,
    Identified,
    NoCredentials,
    Origin,
    Outcome,
    Rejected,
)
from accounts_service.access.authenticators.internal_users import InternalUsers
from accounts_service.access.authenticators.trusted_origin import request_attributes
from accounts_service.access.authenticators.user_mapping import UserMapping, UserMappingError
from accounts_service.access.roles import REALM, Identity
from accounts_service.faults import Json
from accounts_service.identifiers import normalized

CHALLENGE = 'Basic realm="Search Guard"'


def _credentials(header: str | None) -> tuple[str, bytes] | None:
    scheme, _, token = (header or "").strip().partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(token.strip(), validate=True).partition(b":")
        # The password is compared as the bytes that were sent.
        return (normalized(name.decode("utf-8")), password) if colon else None
    except ValueError:  # Not base64, not even ASCII, or a name that is no UTF-8.
        return None


@dataclass(frozen=True, slots=True)
class Basic:
    """A `basic/internal_users_db` domain."""

    conditions: Conditions
    users: InternalUsers
    mapping: UserMapping = UserMapping()
    challenge: bool = True

    def authenticate(self, facts: Facts, origin: Origin) -> Outcome:
        """Check the password. May raise RefusedError(Overloaded)."""
        credentials = _credentials(facts.headers.get("authorization"))
        if credentials is None:
            return NoCredentials(CHALLENGE if self.challenge else None)
        name, password = credentials
        if not self.conditions.for_user(name):
            return Rejected()
        user = self.users.verify(name, password, origin.network)
        if user is None:
            return Rejected()
        attributes: dict[str, Json] = {
            "request": request_attributes(facts, origin),
            "credentials": {"user_name": name},
            "user_entry": user.document(name),
        }
        try:
            mapped = self.mapping.map(attributes, default_name=name)
        except UserMappingError:
            return Rejected()
        identity = Identity(
            realm=REALM,
            name=mapped.user_name,
            backend_roles=mapped.backend_roles,
            attributes=mapped.attributes,
            address=origin.address,
            domain=BASIC,
            structured=mapped.structured,
        )
        return Identified(user.add_to(identity))
