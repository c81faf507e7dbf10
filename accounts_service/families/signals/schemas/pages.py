"""How lists are asked for page by page, and one version by its number."""

from __future__ import annotations

import re
from collections.abc import Mapping

from accounts_service.faults import BadParameter, RefusedError

# Eighteen digits are fewer than a database's largest number has.
VERSION = "[1-9][0-9]{0,17}"
UID = "[0-9a-f]{32}"
LIMIT = 20
LARGEST_LIMIT = 100


def read_limit(arguments: Mapping[str, str]) -> int:
    """Give the number of elements that is asked for. Raises RefusedError(BadParameter)."""
    text = arguments.get("limit", str(LIMIT))
    if not re.fullmatch("[0-9]{1,3}", text, re.ASCII) or not 1 <= int(text) <= LARGEST_LIMIT:
        raise RefusedError(BadParameter("limit", f"not a number from 1 to {LARGEST_LIMIT}"))
    return int(text)


def read_version(arguments: Mapping[str, str], name: str) -> int | None:
    """Give the version that a parameter names; None when it does not stand there. Raises RefusedError(BadParameter)."""
    if name not in arguments:
        return None
    if not re.fullmatch(VERSION, arguments[name]):
        raise RefusedError(BadParameter(name, "not a version"))
    return int(arguments[name])


def read_place(arguments: Mapping[str, str]) -> tuple[int, str] | None:
    """Give where in the bin to go on: a time and a uid. Raises RefusedError(BadParameter)."""
    if "after" not in arguments:
        return None
    found = re.fullmatch(rf"({VERSION})\.({UID})", arguments["after"])
    if found is None:
        raise RefusedError(BadParameter("after", "not what `next` was"))
    return int(found[1]), found[2]
