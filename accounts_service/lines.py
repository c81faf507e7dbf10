"""Fair, bounded waiting for a resource that only a few threads of a process can use at once.

Refusing at once turns a short burst into errors, although the next turn is
milliseconds away; waiting without a bound stops every other endpoint of the
process (docs/adr/0033-fair-lines.md).
"""

from __future__ import annotations

import collections
import math
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import NoReturn

from accounts_service.faults import Overloaded, RefusedError

# Weight of the newest measurement in the mean time that a turn takes.
_NEWEST = 0.2
_LONGEST_RETRY_AFTER_S = 60
# None is a principal, too.
_NO_ONE = object()


class _Waiter:
    """A thread in the line. `is_admitted` is None until it has been given a turn or put out."""

    def __init__(self, part: Hashable) -> None:
        self.part = part
        self.decided = threading.Event()
        self.is_admitted: bool | None = None

    def decide(self, *, is_admitted: bool) -> None:
        self.is_admitted = is_admitted
        self.decided.set()


class Line:
    """A line of threads in front of a resource; principals are served in turns.

    A principal is whatever a turn is asked for in the name of: the caller, or the
    caller's network before authentication. A principal with many waiting threads
    has one turn for every turn of a principal with a single one. When the line is
    full, the newest thread of the principal with the most waiting threads makes
    room for a principal with fewer, so a flood shuts out only its sender.

    Threads of one principal may belong to parts of it: the user names that are
    tried from a network. Where a principal has the most waiting threads itself,
    its part with the most makes room for a part with fewer.
    """

    def __init__(
        self,
        turns: int,
        places: int,
        wait_s: float,
        clock: Callable[[], float] = time.monotonic,
        *,
        each: int | None = None,
    ) -> None:
        """Take how many threads have a turn at once, how many are inside at once, and how long one waits.

        Threads that wait are inside, as are those that have a turn. `each`: how many turns one principal has at once.
        """
        self._turns = turns
        self._each = turns if each is None else each
        self._places = places
        self._wait_s = wait_s
        self._clock = clock
        self._lock = threading.Lock()
        # By principal, in the order in which the principals have their next turn.
        self._waiting: collections.OrderedDict[Hashable, collections.deque[_Waiter]] = collections.OrderedDict()
        # By principal, the turns that it has.
        self._held: dict[Hashable, int] = {}
        self._taken = 0
        self._turn_s = 0.0

    @property
    def waiting(self) -> int:
        """How many threads wait for a turn."""
        with self._lock:
            return self._waiting_ones()

    @contextmanager
    def turn(self, principal: Hashable = None, part: Hashable = None) -> Iterator[None]:
        """Hold a turn for the length of the block.

        Raises RefusedError(Overloaded), with the seconds after which a turn is
        likely, when the line is full or the wait has taken `wait_s` seconds.
        """
        self._enter(principal, part)
        since = self._clock()
        try:
            yield
        finally:
            self._leave(principal, self._clock() - since)

    def _enter(self, principal: Hashable, part: Hashable) -> None:
        with self._lock:
            if self._taken < self._turns and self._held.get(principal, 0) < self._each:
                self._take(principal)
                return
            if self._inside() >= self._places and not self._makes_room(principal, part):
                self._refuse()
            waiter = _Waiter(part)
            self._waiting.setdefault(principal, collections.deque()).append(waiter)
        try:
            waiter.decided.wait(self._wait_s)
        except BaseException:
            # An interrupted thread may have been given the turn already.
            if self._settled(principal, waiter):
                self._leave(principal, 0.0)
            raise
        if not self._settled(principal, waiter):
            with self._lock:
                self._refuse()

    def _settled(self, principal: Hashable, waiter: _Waiter) -> bool:
        """Return whether a thread whose wait is over has a turn; take it out of the line if not."""
        with self._lock:
            if waiter.is_admitted is None:  # Not decided in time.
                waiter.is_admitted = False
                self._remove(principal, waiter)
            return waiter.is_admitted

    def _take(self, principal: Hashable) -> None:
        self._taken += 1
        self._held[principal] = self._held.get(principal, 0) + 1

    def _leave(self, principal: Hashable, took_s: float) -> None:
        with self._lock:
            self._turn_s += _NEWEST * (took_s - self._turn_s)
            self._taken -= 1
            held = self._held.pop(principal)
            if held > 1:
                self._held[principal] = held - 1
            if not self._waiting:
                return
            following = next((one for one in self._waiting if self._held.get(one, 0) < self._each), _NO_ONE)
            if following is _NO_ONE:
                return
            waiters = self._waiting[following]
            waiter = waiters.popleft()
            if waiters:
                self._waiting.move_to_end(following)
            else:
                del self._waiting[following]
            self._take(following)
            waiter.decide(is_admitted=True)

    def _makes_room(self, principal: Hashable, part: Hashable) -> bool:
        """Put out the newest thread of the principal that has the most, if that has more than `principal` would.

        Of the same principal, the newest thread of the part that has the most, if that has more than `part` would.
        """
        if not self._waiting:
            return False
        own = self._waiting.get(principal, ())
        most, waiters = max(self._waiting.items(), key=lambda item: len(item[1]))
        if len(waiters) > len(own) + 1:
            self._put_out(most, waiters[-1])
            return True
        parts = collections.Counter(waiter.part for waiter in own)
        largest = max(parts, key=parts.__getitem__, default=part)
        if parts[largest] <= parts[part] + 1:
            return False
        self._put_out(principal, next(waiter for waiter in reversed(own) if waiter.part == largest))
        return True

    def _put_out(self, principal: Hashable, waiter: _Waiter) -> None:
        self._remove(principal, waiter)
        waiter.decide(is_admitted=False)

    def _remove(self, principal: Hashable, waiter: _Waiter) -> None:
        waiters = self._waiting[principal]
        waiters.remove(waiter)
        if not waiters:
            del self._waiting[principal]

    def _inside(self) -> int:
        return self._taken + self._waiting_ones()

    def _waiting_ones(self) -> int:
        return sum(map(len, self._waiting.values()))

    def _refuse(self) -> NoReturn:
        """Refuse a thread; called with the lock held."""
        seconds = math.ceil(self._inside() * self._turn_s / self._turns)
        raise RefusedError(Overloaded(min(max(1, seconds), _LONGEST_RETRY_AFTER_S)))


class NoLine:
    """Stands for the line of a thread that holds a turn of its own already."""

    def turn(self, principal: Hashable = None, part: Hashable = None) -> AbstractContextManager[None]:  # noqa: ARG002  # as Line
        """Return a block that waits for nothing."""
        return nullcontext()
