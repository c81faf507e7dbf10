"""A bound on how many threads of one process may wait for the same scarce thing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from accounts_service.faults import Overloaded, RefusedError


class Bulkhead:
    """At most `places` threads inside at once; the next is refused, never queued.

    Password hashing and waiting for SQLite's one writer have one each, with a
    quarter of a worker's threads as places, so that reads always find a free
    thread. Queueing here instead stops every other endpoint of the worker for
    seconds.
    """

    def __init__(self, places: int) -> None:
        self._places = threading.BoundedSemaphore(places)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place for the length of the block.

        Raises RefusedError(Overloaded) at once when none is free.
        """
        if not self._places.acquire(blocking=False):
            raise RefusedError(Overloaded())
        try:
            yield
        finally:
            self._places.release()
