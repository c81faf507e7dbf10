"""Lines of tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from accounts_service.lines import Line


def narrow(turns: int = 1) -> Line:
    """Return a line without places to wait in, so that a thread too many is refused at once."""
    return Line(turns, turns, 1.0)


@contextmanager
def occupied(line: Line, turns: int = 1) -> Iterator[None]:
    """Hold turns of a line for the length of the block."""
    with ExitStack() as stack:
        for _ in range(turns):
            stack.enter_context(line.turn("tests"))
        yield
