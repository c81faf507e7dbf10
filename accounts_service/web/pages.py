"""What pages of searches and lists may take of this process's memory.

A small page is read as any other answer is. Larger ones are made in turns, a few
at once, and count until the last byte of them is sent: a client that reads slowly
keeps its answer in memory here.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager
from functools import partial

from accounts_service.faults import Overloaded, RefusedError
from accounts_service.lines import Line

# With as many of these as a worker has threads there are a few MiB.
SMALL_PAGE = 64 * 1024
_AT_ONCE = 2
# So many of the largest pages may be on their way at once; half of them to one principal.
_ON_THE_WAY = 4


class Pages:
    """The budget for the pages of one process: what one may hold, and all of them together."""

    def __init__(self, page_bytes: int, places: int, wait_s: float) -> None:
        """Take the bytes of one page, and as `Line` does, the threads that may make one or wait to."""
        self.page_bytes = page_bytes
        self._line = Line(_AT_ONCE, max(places, _AT_ONCE), wait_s)
        self._most = _ON_THE_WAY * page_bytes
        self._lock = threading.Lock()
        self._held = Counter[Hashable]()

    def turn(self, principal: Hashable) -> AbstractContextManager[None]:
        """Hold a turn to make a large page. Raises RefusedError(Overloaded)."""
        return self._line.turn(principal)

    def hold(self, principal: Hashable, size: int) -> Callable[[], None]:
        """Count a large answer of that many bytes until the returned function is called.

        A principal without any on the way gets one while there is room at all.
        Raises RefusedError(Overloaded).
        """
        with self._lock:
            its, all_of_them = self._held[principal], self._held.total()
            if (its and its + size > self._most // 2) or (all_of_them and all_of_them + size > self._most):
                raise RefusedError(Overloaded())
            self._held[principal] += size
        return partial(self._release, principal, size)

    def _release(self, principal: Hashable, size: int) -> None:
        with self._lock:
            self._held[principal] -= size
            if not self._held[principal]:
                del self._held[principal]
