"""How large a proof is: short in every run of the suite, in full for `make prove`."""

from __future__ import annotations

import os

FULL = int(os.environ.get("ACCOUNTS_TEST_SCALE", "1")) > 1


def scaled(short: int, full: int) -> int:
    """Give how many of something a proof takes."""
    return full if FULL else short
