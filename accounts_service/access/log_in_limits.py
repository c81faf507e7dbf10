"""The limits on wrong passwords, as code that checks passwords sees them; storage/log_in_limits.py implements them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class LogInLimits(Protocol):
    """Counts of wrong passwords by network, by user, and by both."""

    def checked(self, realm: str, name: str, network: str | None, check: Callable[[], bool]) -> bool:
        """Return what `check` returns: whether the password is right. A wrong password is counted.

        `realm` is where the user is looked up and `name` what the user is called there,
        whether such a user exists or not. `network` is None for a caller without an address.

        Raises RefusedError(TooManyAttempts) without calling `check` after too many wrong
        passwords, and RefusedError(Overloaded) when attempts cannot be counted in time.
        """
        ...
