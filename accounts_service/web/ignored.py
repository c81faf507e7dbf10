"""How callers are told which attributes of a body were ignored: a response header, and the record of the change."""

from __future__ import annotations

import re
from collections.abc import Sequence

from accounts_service.faults import NotKnown, Problem
from accounts_service.storage.paths import recorded_name
from accounts_service.validation.ignored import Ignored

IGNORED = "Accounts-Ignored"

# All headers of an answer have to fit into a proxy's buffer, 4 kB by default in nginx; and a record is not a copy of
# the body. A character takes up to 12 bytes of a display string.
_LARGEST = 1500
MOST = 20
_LONGEST = 64
# In a fault; a body of a megabyte may hold nothing else.
_MOST_PROBLEMS = 1000
_ELLIPSIS = "..."

# RFC 9651 section 3.3.4; what begins with `*` is left to a string, since `*` says how many more there are.
_TOKEN = re.compile(r"[A-Za-z][!#$%&'*+.^_`|~0-9A-Za-z:/-]*")
_PRINTABLE = re.compile(r"[\x20-\x7e]*")


def names_of(ignored: Sequence[Ignored]) -> tuple[str, ...]:
    """Return the paths of at most 20 attributes, of at most 64 characters each, without what looks like a secret."""
    return tuple(_shortened(".".join(_parts(one))) for one in ignored[:MOST])


def recorded(ignored: Sequence[Ignored]) -> tuple[str, ...]:
    """Return what the audit record says: the names, and how many more there were."""
    more = len(ignored) - MOST
    return (*names_of(ignored), *((f"{_ELLIPSIS} and {more} more",) if more > 0 else ()))


def header_of(ignored: Sequence[Ignored]) -> str:
    """Write the value of the header: a list of tokens, strings and display strings (RFC 9651).

    Where there are more than 20 names, or 1500 bytes of them, it ends in `*;more=N`.
    """
    items: list[str] = []
    for name in names_of(ignored):
        item = _item(name)
        if sum(map(len, items)) + len(item) > _LARGEST:
            break
        items.append(item)
    more = len(ignored) - len(items)
    return ", ".join((*items, *((f"*;more={more}",) if more > 0 else ())))


def problems_of(ignored: Sequence[Ignored]) -> tuple[Problem, ...]:
    """Return a problem for each of at most 1000 attributes, where they are refused; the first 20 say what was meant."""
    return tuple(
        Problem(tuple(map(_shortened, _parts(one))), NotKnown(one.meant if number < MOST else None))
        for number, one in enumerate(ignored[:_MOST_PROBLEMS])
    )


def _parts(one: Ignored) -> tuple[str, ...]:
    return tuple(recorded_name(str(part)) for part in one.path)


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST else name[: _LONGEST - len(_ELLIPSIS)] + _ELLIPSIS


def _item(name: str) -> str:
    if _TOKEN.fullmatch(name):
        return name
    if _PRINTABLE.fullmatch(name):
        escaped = re.sub(r'(["\\])', r"\\\1", name)
        return f'"{escaped}"'
    encoded = "".join(
        chr(byte) if 0x20 <= byte <= 0x7E and byte not in b'%"' else f"%{byte:02x}" for byte in name.encode()
    )
    return f'%"{encoded}"'
