"""A circuit breaker: after a failed connection a server is left alone for a while."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable

_FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0


class Breaker:
    """Allow one connection after a failure, and only after a pause: 1, 2, 4, … seconds, at most a minute.

    `server` is whatever describes the other system; a changed description is another server, and tried at once.
    Not for several threads.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._server: Hashable = None
        self._again_at = 0.0
        self.failures = 0

    def is_open(self, server: Hashable) -> bool:
        """Return whether no connection to `server` may be tried now."""
        return self.failures > 0 and server == self._server and self._clock() < self._again_at

    def failed(self, server: Hashable) -> float:
        """Note a failed connection; returns for how many seconds no other is tried."""
        self.failures = self.failures + 1 if server == self._server else 1
        self._server = server
        pause = min(_FIRST_PAUSE_SECONDS * 2.0 ** min(self.failures - 1, 10), LONGEST_PAUSE_SECONDS)
        self._again_at = self._clock() + pause
        return pause

    def worked(self) -> None:
        """Note that a connection worked."""
        self.failures = 0
