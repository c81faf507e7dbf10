"""Versions of the API: two numbers, of which `Accept-Version` names one."""

from __future__ import annotations

import re
from typing import TypeAlias

Version: TypeAlias = tuple[int, int]

_VERSION = re.compile(r"([0-9]{1,4})\.([0-9]{1,4})(?:\.[0-9]{1,9})?\Z", re.ASCII)

# Since when an account says what may be done with it.
WITH_PERMISSIONS: Version = (1, 12)


def version(asked: str | None, otherwise: str) -> Version:
    """Read a version; a third number does not matter, and what is no version is `otherwise`."""
    match = _VERSION.match(asked or "") or _VERSION.match(otherwise)
    if match is None:
        raise ValueError(f"{otherwise} is no version")
    return int(match[1]), int(match[2])
