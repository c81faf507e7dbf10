"""Fair lines: who waits, whose turn is next, and who is refused."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts_service.faults import Overloaded, RefusedError
from accounts_service.lines import Line, NoLine

LONG_S = 60.0


class Crowd:
    """Threads that take a turn each, one after the other into the line, and note who was served."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._pool = ThreadPoolExecutor(64)
        self.served: list[str] = []

    def joins(self, principal: str, until: Callable[[], bool]) -> Future[int | None]:
        """Let a thread into the line, and wait until it is there; its result is the Retry-After of a refusal."""
        future = self._pool.submit(self._take, principal)
        while not (until() or future.done()):
            pass
        return future

    def _take(self, principal: str) -> int | None:
        try:
            with self._line.turn(principal):
                self.served.append(principal)
        except RefusedError as error:
            return error.fault.retry_after if isinstance(error.fault, Overloaded) else None
        return None

    def close(self) -> None:
        self._pool.shutdown()


@contextmanager
def crowd_before(line: Line, principals: str) -> Iterator[tuple[Crowd, list[Future[int | None]]]]:
    """Put threads of these principals, a letter each, into a line whose turn is held for the length of the block."""
    crowd = Crowd(line)
    with line.turn("holder"):
        futures = []
        for number, principal in enumerate(principals, 1):
            futures.append(crowd.joins(principal, lambda number=number: line.waiting >= number))  # type: ignore[misc]  # a lambda's default
        yield crowd, futures
    crowd.close()


def test_line_serves_one_principal_in_order_of_arrival() -> None:
    order: list[int] = []
    line = Line(1, 64, LONG_S)
    threads = []

    def take(number: int) -> None:
        with line.turn("one"):
            order.append(number)

    with line.turn("one"):
        for number in range(10):
            threads.append(threading.Thread(target=take, args=(number,)))
            threads[-1].start()
            while line.waiting <= number:
                pass
    for thread in threads:
        thread.join()
    assert order == [*range(10)]


@pytest.mark.parametrize(
    ("arrived", "served"),
    (("aaaab", "abaaa"), ("aaabbc", "abcaba"), ("abab", "abab"), ("baaaa", "baaaa")),
)
def test_principals_take_turns(arrived: str, served: str) -> None:
    with crowd_before(Line(1, 64, LONG_S), arrived) as (crowd, _):
        pass
    assert "".join(crowd.served) == served


@given(st.text("abcd", max_size=20))
def test_everyone_who_waits_is_served_once(arrived: str) -> None:
    with crowd_before(Line(1, 64, LONG_S), arrived) as (crowd, futures):
        pass
    assert sorted(crowd.served) == sorted(arrived)
    assert [future.result() for future in futures] == [None] * len(arrived)


@given(st.text("abcd", max_size=20))
def test_light_principal_waits_for_at_most_one_turn_of_each_other(arrived: str) -> None:
    with crowd_before(Line(1, 64, LONG_S), arrived + "x") as (crowd, _):
        pass
    before = crowd.served[: crowd.served.index("x")]
    assert len(before) == len(set(before)) == len(set(arrived))


def test_full_line_refuses_its_heaviest_principal() -> None:
    line = Line(1, 4, LONG_S)
    with crowd_before(line, "aaa") as (crowd, futures):
        refused = crowd.joins("a", lambda: False)
        assert refused.result(LONG_S) == 1
        # A place is made for a principal with fewer threads; the newest thread of the heaviest one goes.
        other = crowd.joins("b", futures[2].done)
        assert futures[2].result(LONG_S) == 1
        # Now each principal that comes has as many as the heaviest would keep.
        assert crowd.joins("b", lambda: False).result(LONG_S) == 1
    assert other.result(LONG_S) is None
    assert "".join(crowd.served) == "aba"


def test_full_line_of_one_principal_refuses_its_heaviest_part() -> None:
    """Of a network that has all places, the name that most threads try makes room for another name."""
    line, served = Line(1, 4, LONG_S), list[str]()

    def take(part: str) -> None:
        with line.turn("network", part):
            served.append(part)

    with ThreadPoolExecutor(5) as pool:
        with line.turn("network", "holder"):
            flood = []
            for number in range(1, 4):
                flood.append(pool.submit(take, "one"))
                while line.waiting < number:
                    pass
            other = pool.submit(take, "other")
            with pytest.raises(RefusedError):
                flood[2].result(LONG_S)
            with pytest.raises(RefusedError):
                pool.submit(take, "other").result(LONG_S)
        other.result(LONG_S)
    assert served == ["one", "one", "other"]


def test_expired_wait_is_refused_and_leaves_the_line() -> None:
    line = Line(1, 4, 0.01)
    with line.turn("a"), pytest.raises(RefusedError) as caught, ThreadPoolExecutor(1) as pool:
        pool.submit(_take_once, line).result(LONG_S)
    assert caught.value.fault == Overloaded(1)
    assert line.waiting == 0
    with line.turn("a"):
        pass


def _take_once(line: Line) -> None:
    with line.turn("b"):
        pass


def test_line_has_as_many_turns_at_once_as_it_was_made_with() -> None:
    line = Line(2, 2, LONG_S)
    with line.turn("a"), line.turn("a"), pytest.raises(RefusedError), line.turn("b"):
        pass
    with line.turn("a"), line.turn("b"):
        pass


def test_principal_has_at_most_its_share_of_the_turns() -> None:
    line = Line(3, 64, LONG_S, each=2)
    crowd = Crowd(line)
    with line.turn("a"):
        with line.turn("a"):
            waits = crowd.joins("a", lambda: line.waiting == 1)
            with line.turn("b"):
                also = crowd.joins("c", lambda: line.waiting == 2)
            # The turn that has become free is not a's, which has waited longer.
            assert also.result(LONG_S) is None
            assert (crowd.served, line.waiting) == (["c"], 1)
        assert waits.result(LONG_S) is None
    crowd.close()
    assert line.waiting == 0


def test_retry_after_grows_with_the_length_of_turns() -> None:
    now = [0.0]
    line = Line(1, 1, LONG_S, clock=lambda: now[0])
    for _ in range(50):
        with line.turn("a"):
            now[0] += 7
    with line.turn("a"), pytest.raises(RefusedError) as caught, line.turn("b"):
        pass
    assert caught.value.fault == Overloaded(7)


def test_turn_is_free_again_after_an_error() -> None:
    line = Line(1, 1, LONG_S)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), line.turn("a"):
            _ = 1 // 0


def test_no_line_lets_everyone_pass() -> None:
    line = NoLine()
    with line.turn("a"), line.turn("a"):
        pass
