"""What a search asks for, as values: made by schemas/search.py, turned into SQL by store/search.py.

All fields are keywords: a value is compared as a whole, a number or boolean as
JSON writes it. "Any case" compares `str.casefold` of both sides.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

# None stands for every field there is.
Fields: TypeAlias = tuple[str, ...] | None


class Wild(Enum):
    """What a pattern leaves open."""

    ANY = "any characters, or none"
    ONE = "one character"


@dataclass(frozen=True, slots=True)
class MatchAll:
    """Every account."""


@dataclass(frozen=True, slots=True)
class Equal:
    """Some value of the fields is `value`."""

    fields: Fields
    value: str
    any_case: bool


@dataclass(frozen=True, slots=True)
class OneOf:
    """Some value of the field is one of `values`."""

    field: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ids:
    """The `_id` is one of `values`."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Prefix:
    """Some value of the fields begins with `prefix`."""

    fields: Fields
    prefix: str
    any_case: bool


@dataclass(frozen=True, slots=True)
class Wildcard:
    """Some value of the fields is as the pattern says."""

    fields: Fields
    pattern: tuple[str | Wild, ...]
    any_case: bool


@dataclass(frozen=True, slots=True)
class Exists:
    """Some of the fields has a value."""

    fields: Fields


@dataclass(frozen=True, slots=True)
class Bool:
    """All of `must`, none of `must_not`, and at least `minimum` of `should`."""

    must: tuple[Query, ...] = ()
    should: tuple[Query, ...] = ()
    must_not: tuple[Query, ...] = ()
    minimum: int = 0


class Bound(Enum):
    """On which side of a value others are; the name is that of the query language."""

    GT = "gt"
    GTE = "gte"
    LT = "lt"
    LTE = "lte"


@dataclass(frozen=True, slots=True)
class Range:
    """Some value of the field, as it is sorted, is on that side of all these values."""

    field: str
    bounds: tuple[tuple[Bound, str], ...]


Query: TypeAlias = MatchAll | Equal | OneOf | Ids | Prefix | Wildcard | Exists | Range | Bool

NOTHING = Bool(minimum=1)


def wildcards(text: str) -> tuple[str | Wild, ...]:
    """Read `*` and `?`, and a backslash before what shall mean itself; runs of `*` are one."""
    parts: list[str | Wild] = []
    literal = ""
    characters = iter(text)
    for char in characters:
        if char not in "*?":
            # At the end it means itself.
            literal += next(characters, char) if char == "\\" else char
            continue
        if literal:
            parts.append(literal)
            literal = ""
        wild = Wild.ANY if char == "*" else Wild.ONE
        if wild is Wild.ONE or parts[-1:] != [Wild.ANY]:
            parts.append(wild)
    return (*parts, literal) if literal else tuple(parts)


# What every account has one of. No query looks there but `ids`; it is something to sort by.
IDENTIFIER = "_id"


class Special(Enum):
    """What every account has the same of, so that sorting by it changes nothing."""

    SCORE = 1.0
    DOC = 0


@dataclass(frozen=True, slots=True)
class ByField:
    """Sort by a field: by its least value, or descending by its greatest."""

    field: str
    descending: bool = False
    missing_first: bool = False
    numeric: bool = False


Sort: TypeAlias = ByField | Special
