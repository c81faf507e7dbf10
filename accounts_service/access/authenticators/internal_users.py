"""The users of sg_internal_users.yml, and passwords checked against them with bcrypt."""

from __future__ import annotations

import collections
import dataclasses
import hmac
import json
import re
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import bcrypt

from accounts_service.access.log_in_limits import LogInLimits
from accounts_service.access.roles import Identity
from accounts_service.faults import Json
from accounts_service.lines import Line

_HASH = re.compile(r"\$2[abxy]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}\Z")
_LONGEST_PASSWORD = 72  # bytes; bcrypt looks at no more, so a longer one is refused
_REALM = "internal_users_db"
_REMEMBERED = 10_000
_REMEMBERED_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class InternalUser:
    """An entry of sg_internal_users.yml.

    `hash`: empty for a user who cannot log in by password. `attributes` are
    those that are texts, `structured` the others, as JSON.
    """

    hash: str = field(default="", repr=False)
    backend_roles: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    attributes: tuple[tuple[str, str], ...] = ()
    structured: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @property
    def cost(self) -> int | None:
        """What bcrypt's hash costs, as a power of two; None where there is no such hash."""
        match = _HASH.match(self.hash)
        return int(match[1]) if match else None

    def document(self, name: str) -> dict[str, Json]:
        """Return what a user_mapping finds under `user_entry` for the user of this name; never the hash."""
        attributes: dict[str, Json] = {**dict(self.attributes)}
        attributes |= {attribute: json.loads(text) for attribute, text in self.structured}
        return {
            "name": name,
            "attributes": attributes,
            "backend_roles": [*sorted(self.backend_roles)],
            "search_guard_roles": [*sorted(self.roles)],
        }

    def add_to(self, identity: Identity) -> Identity:
        """Add roles and attributes to those of `identity`, whose own attributes count first."""
        return dataclasses.replace(
            identity,
            backend_roles=identity.backend_roles | self.backend_roles,
            roles=identity.roles | self.roles,
            attributes=_joined(self.attributes, identity.attributes, identity),
            structured=_joined(self.structured, identity.structured, identity),
        )


def _joined(
    entry: tuple[tuple[str, str], ...], mapped: tuple[tuple[str, str], ...], identity: Identity
) -> tuple[tuple[str, str], ...]:
    taken = {name for name, _ in (*identity.attributes, *identity.structured)}
    return tuple(sorted((*((name, text) for name, text in entry if name not in taken), *mapped)))


class VerifiedCredentials:
    """Remembers which passwords were right, so that bcrypt runs once and not with each request.

    An entry ends 15 minutes after it was last used. Only right passwords have
    entries, so a flood of wrong ones evicts none.

    An entry is keyed by an HMAC, under a key that never leaves the process, over
    the stored hash and the password: a changed hash forgets it, and a memory
    dump shows neither.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._key = secrets.token_bytes(32)
        self._clock = clock
        self._lock = threading.Lock()
        self._until: collections.OrderedDict[bytes, float] = collections.OrderedDict()

    def digest(self, stored_hash: str, password: bytes) -> bytes:
        """Name a pair of hash and password."""
        return hmac.digest(self._key, stored_hash.encode() + b"\0" + password, "sha256")

    def knows(self, digest: bytes) -> bool:
        """Return whether the pair was right, and used within the last 15 minutes; this is a use."""
        with self._lock:
            now = self._clock()
            if self._until.get(digest, 0.0) <= now:
                return False
            self._until[digest] = now + _REMEMBERED_SECONDS
            self._until.move_to_end(digest)
            return True

    def remember(self, digest: bytes) -> None:
        """Keep the pair; the one that was not used for longest makes room."""
        with self._lock:
            self._until[digest] = self._clock() + _REMEMBERED_SECONDS
            self._until.move_to_end(digest)
            while len(self._until) > _REMEMBERED:
                self._until.popitem(last=False)


class InternalUsers:
    """All internal users of a snapshot."""

    def __init__(
        self, users: Mapping[str, InternalUser], verified: VerifiedCredentials, hashing: Line, limits: LogInLimits
    ) -> None:
        self._users = dict(users)
        self._verified = verified
        self._hashing = hashing
        self._limits = limits
        costs = {name: cost for name, user in users.items() if (cost := user.cost) is not None}
        # Of the dearest cost in use, so that an unknown user, or one without a
        # hash that is one, takes as long as a known one.
        self._nobody = InternalUser(hash=f"$2b${max(costs.values(), default=12):02d}$" + "." * 53)
        self._with_password = {name: users[name] for name in costs}

    def verify(self, name: str, password: bytes, network: str | None = None) -> InternalUser | None:
        """Return the user whose password it is, or None; both take the same time.

        A password that must be hashed waits for its turn among those of other
        networks. Raises RefusedError: Overloaded when the line is full or the wait
        too long, TooManyAttempts after too many wrong passwords.
        """
        user = self._with_password.get(name, self._nobody)
        digest = self._verified.digest(user.hash, password)
        if self._verified.knows(digest):
            return user
        with self._hashing.turn(network, name):
            # A client that opens many connections at once sends the same password on each.
            if self._verified.knows(digest):
                return user
            # Counted in the turn: while threads wait, nothing is pending that could use up a limit.
            right = self._limits.checked(
                _REALM, name, network, lambda: _check(user.hash, password) and user is not self._nobody
            )
        if not right:
            return None
        self._verified.remember(digest)
        return user

    def add_to(self, identity: Identity) -> Identity:
        """Add roles and attributes of the internal user of the same name, if there is one."""
        user = self._users.get(identity.name)
        return identity if user is None else user.add_to(identity)

    def document(self, name: str) -> Json:
        """Return what a user_mapping finds under `user_entry`, or None for a name that is not here."""
        user = self._users.get(name)
        return None if user is None else user.document(name)


def _check(stored_hash: str, password: bytes) -> bool:
    """Return whether it is the password of the hash; one that bcrypt would cut off or repeat is not.

    bcrypt appends a NUL byte and repeats the whole up to 72 bytes, so `pw`, and
    `pw` twice with a NUL byte between, have the same hash.
    """
    try:
        right = bcrypt.checkpw(password[:_LONGEST_PASSWORD], stored_hash.encode())
    except ValueError:  # A hash that is none: a failed log-in, not an error.
        return False
    return right and len(password) <= _LONGEST_PASSWORD and b"\0" not in password


def hash_password(password: str, cost: int = 12) -> str:
    """Return the `hash` of an entry. Raises ValueError for a password of more than 72 bytes, or with NUL."""
    raw = password.encode()
    if not 0 < len(raw) <= _LONGEST_PASSWORD or b"\0" in raw:
        raise ValueError(f"a password has 1 to {_LONGEST_PASSWORD} bytes, none of which is NUL")
    return bcrypt.hashpw(raw, bcrypt.gensalt(cost)).decode("ascii")
