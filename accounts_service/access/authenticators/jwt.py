"""`jwt`: a signed token in a header (RFC 7519, RFC 6750).

Parsing and signatures are joserfc's. What this module adds is which key a token
may be checked with, and that a token that is not good is nothing but that:
neither its text nor an exception that carries it leaves this module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import GuestProtocol, Key
from joserfc.jws import JWSRegistry
from joserfc.registry import HeaderParameter

from accounts_service.access.authenticators import (
    JWT,
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
from accounts_service.faults import Json

CHALLENGE = 'Bearer realm="Search Guard"'

# Characters. No issuer needs a quarter of them, and whoever sends more only
# wants to see them parsed.
LONGEST_TOKEN = 16 * 1024

# By the kind of key (RFC 7518, 3.1), for EC by its curve and for secrets by
# their bytes, which must be as many as the hash has (3.2). `none` is in none.
RSA_ALGORITHMS = frozenset(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"))
EC_ALGORITHMS: Mapping[str, str] = MappingProxyType({"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"})
HMAC_BYTES: Mapping[str, int] = MappingProxyType({"HS256": 32, "HS384": 48, "HS512": 64})

# joserfc meets what is no token with more than its own exceptions: a header
# that is a list, or thousands of brackets.
_NO_TOKEN = (JoseError, ValueError, TypeError, RecursionError)


class _Registry(JWSRegistry):
    """What a header may say. LONGEST_TOKEN is the limit that counts; joserfc's own are too low for some issuers."""

    max_header_length = LONGEST_TOKEN
    max_signature_length = LONGEST_TOKEN


_REGISTRY = _Registry(
    # No extension is understood here, so whatever is critical is refused
    # (RFC 7515, 4.1.11); `b64` is the one that joserfc would follow.
    header_registry={name: HeaderParameter("An extension", "none") for name in ("crit", "b64")},
    algorithms=RSA_ALGORITHMS | frozenset(EC_ALGORITHMS.values()) | HMAC_BYTES.keys(),
    # Everything else that is unknown is to be ignored (RFC 7515, 4).
    strict_check_header=False,
)


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A key and the algorithms it is for.

    They belong to the key and not to the token, whose sender could else have a
    public key taken for a shared secret (RFC 8725, 2.1 and 3.1).
    """

    algorithms: frozenset[str]
    kid: str | None
    key: Key = field(repr=False)


@dataclass(frozen=True, slots=True)
class Tokens:
    """The `jwt` of a domain: where tokens are found, and which are good."""

    keys: tuple[VerificationKey, ...]
    header: str = "authorization"
    audiences: tuple[str, ...] = ()
    issuer: str | None = None
    skew_seconds: int = 10
    challenge: bool = True

    def verified(self, token: str, now: Callable[[], int] | None = None) -> dict[str, Json] | None:
        """Give the claims of `token`, or None if it is not good. `now`: another clock than the system's."""
        if len(token) > LONGEST_TOKEN:
            return None
        rules = jwt.JWTClaimsRegistry(now, self.skew_seconds, sub={"allow_blank": False})
        if self.audiences:
            rules.options["aud"] = {"essential": True, "values": [*self.audiences]}
        if self.issuer is not None:
            rules.options["iss"] = {"essential": True, "value": self.issuer}
        try:
            decoded = jwt.decode(token, self._key, registry=_REGISTRY)
            rules.validate(decoded.claims)
        except _NO_TOKEN:
            return None
        return decoded.claims

    def _key(self, token: GuestProtocol) -> Key:
        # Which key is meant says `kid` and nothing else: keys in the header, or
        # addresses of keys, are the sender's.
        header = token.headers()
        kid = header.get("kid")
        meant = [key for key in self.keys if kid in (None, key.kid)]
        if not meant and len(self.keys) == 1 and self.keys[0].kid is None:
            meant = [*self.keys]  # It has no name, so the token cannot mean another.
        for key in meant:
            if header["alg"] in key.algorithms:
                return key.key
        raise InvalidKeyIdError


@dataclass(frozen=True, slots=True)
class Jwt:
    """A `jwt` domain. `more`: users of whom further roles are known, if it asks for them."""

    conditions: Conditions
    tokens: Tokens
    mapping: UserMapping = UserMapping()
    more: InternalUsers | None = None
    now: Callable[[], int] | None = None

    def authenticate(self, facts: Facts, origin: Origin) -> Outcome:
        """Believe a token whose signature and claims are good."""
        scheme, _, token = facts.headers.get(self.tokens.header, "").strip().partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            return NoCredentials(CHALLENGE if self.tokens.challenge else None)
        claims = self.tokens.verified(token, self.now)
        if claims is None:
            return Rejected()
        identity = self._identity(claims, facts, origin)
        if identity is None or not self.conditions.for_user(identity.name):
            return Rejected()
        return Identified(identity if self.more is None else self.more.add_to(identity))

    def _identity(self, claims: dict[str, Json], facts: Facts, origin: Origin) -> Identity | None:
        subject = claims.get("sub")
        try:
            mapped = self.mapping.map(
                {"request": request_attributes(facts, origin), "jwt": claims},
                default_name=subject if isinstance(subject, str) else None,
                entry_of=entries_of(self.more),
            )
        except UserMappingError:
            return None
        texts = (mapped.user_name, *mapped.backend_roles, *(text for _, text in mapped.attributes))
        if not all(text.isprintable() for text in texts):
            # JSON can hold what is no text in UTF-8, and what a database refuses.
            return None
        return Identity(
            realm=REALM,
            name=mapped.user_name,
            backend_roles=mapped.backend_roles,
            attributes=mapped.attributes,
            address=origin.address,
            domain=JWT,
            structured=mapped.structured,
        )
