"""How glibc hands out memory to many threads."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress

# https://www.gnu.org/software/libc/manual/html_node/Malloc-Tunable-Parameters.html; the number is from malloc.h.
_M_ARENA_MAX = -8
_ARENAS = 2


def few_arenas() -> None:
    """Have all threads of this process, and of those that it forks, share two arenas.

    By default there are up to eight per processor core, and what one of them has
    freed is of use to its own threads only. Under the lock of Python's interpreter
    two are enough. Does nothing where the C library is another one, or where
    MALLOC_ARENA_MAX has been set.
    """
    if "MALLOC_ARENA_MAX" in os.environ:
        return
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)
