"""Passwords of accounts that are kept here, hashed with argon2id (RFC 9106).

The parameters are the leaner ones that OWASP gives for it
(https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html):
19 MiB, two passes, one lane. They are in each hash, so they can grow.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor

import argon2
from argon2.exceptions import VerificationError

from accounts_service.lines import Line

MEMORY_KIB = 19 * 1024
_PASSES = 2
_LANES = 1
_SALT_BYTES = 16
_HASH_BYTES = 32


class Passwords:
    """Hashes passwords and checks them, at most `at_once` at the same time; the next ones wait in a line.

    Each method takes the principal in whose name it waits: the caller, or the
    caller's network before authentication, of which a user name is a part.

    In threads of its own: each thread that has ever hashed keeps the memory for
    it, since glibc has an arena for each, so all of a worker's would keep theirs.
    """

    def __init__(self, line: Line, at_once: int, memory_kib: int = MEMORY_KIB) -> None:
        self._line = line
        # They start when they are first needed, and so after a fork.
        self._threads = ThreadPoolExecutor(at_once, "passwords")
        self._hasher = argon2.PasswordHasher(_PASSES, memory_kib, _LANES, type=argon2.Type.ID)
        self._nobodys = _hash_of_nothing(memory_kib)

    def hash(self, password: str, principal: Hashable = None) -> str:
        """Hash a password, with a salt of its own. Raises RefusedError(Overloaded)."""
        with self._line.turn(principal):
            return self._threads.submit(self._hasher.hash, password).result()

    def verify(
        self,
        stored: str | None,
        password: str,
        principal: Hashable = None,
        part: Hashable = None,
        checked: Callable[[Callable[[], bool]], bool] = lambda check: check(),
    ) -> bool:
        """Return whether a password is the one that was hashed; None costs as much, and has no password.

        `checked` calls what it is given, or refuses to; it runs in the turn, when nothing waits any longer.
        Raises RefusedError(Overloaded), and what `checked` does.
        """
        with self._line.turn(principal, part):
            return checked(lambda: self._is_right(stored, password))

    def _is_right(self, stored: str | None, password: str) -> bool:
        try:
            self._threads.submit(self._hasher.verify, self._nobodys if stored is None else stored, password).result()
        except (VerificationError, ValueError):  # A text that is not a hash has no password, too.
            return False
        return stored is not None


def _hash_of_nothing(memory_kib: int) -> str:
    """Make what looks like a hash, and no password has: to check one for nobody takes as long as for somebody."""
    salt, chance = (
        base64.b64encode(secrets.token_bytes(length)).rstrip(b"=").decode("ascii")
        for length in (_SALT_BYTES, _HASH_BYTES)
    )
    return f"$argon2id$v={argon2.low_level.ARGON2_VERSION}$m={memory_kib},t={_PASSES},p={_LANES}${salt}${chance}"
