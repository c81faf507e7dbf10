"""Passwords of accounts that are kept here, hashed with argon2id (RFC 9106).

The parameters are the leaner ones that OWASP gives for it
(https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html):
19 MiB, two passes, one lane. They are in each hash, so they can grow.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import argon2
from argon2.exceptions import VerificationError

from accounts_service.bulkhead import Bulkhead

MEMORY_KIB = 19 * 1024
_PASSES = 2
_LANES = 1

# What no password has, so that to check one for nobody takes as long as for somebody.
_NOBODYS = "nobody's, and checked for whoever is not there"


class Passwords:
    """Hashes passwords and checks them, so many at once as there are places; the next is refused.

    In threads of its own: each thread that has ever hashed keeps the memory for
    it, since glibc has an arena for each, so all of a worker's would keep theirs.
    """

    def __init__(self, places: int, memory_kib: int = MEMORY_KIB) -> None:
        self._bulkhead = Bulkhead(places)
        # They start when they are first needed, and so after a fork.
        self._threads = ThreadPoolExecutor(places, "passwords")
        self._hasher = argon2.PasswordHasher(_PASSES, memory_kib, _LANES, type=argon2.Type.ID)
        self._nobodys = self._hasher.hash(_NOBODYS)

    def hash(self, password: str) -> str:
        """Hash a password, with a salt of its own. Raises RefusedError(Overloaded)."""
        with self._bulkhead.place():
            return self._threads.submit(self._hasher.hash, password).result()

    def verify(self, stored: str | None, password: str) -> bool:
        """Tell whether a password is the one that was hashed; no hash takes as long, and nobody has its password.

        Raises RefusedError(Overloaded).
        """
        with self._bulkhead.place():
            try:
                self._threads.submit(
                    self._hasher.verify, self._nobodys if stored is None else stored, password
                ).result()
            except (VerificationError, ValueError):  # What is no hash is nobody's password, too.
                return False
        return stored is not None
