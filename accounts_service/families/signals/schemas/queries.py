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
    """Some value of the field is as the pattern says."""

    field: str
    pattern: tuple[str | Wild, ...]
    any_case: bool


@dataclass(frozen=True, slots=True)
class Exists:
    """The field has a value."""

    field: str


@dataclass(frozen=True, slots=True)
class Bool:
    """All of `must`, none of `must_not`, and at least `minimum` of `should`."""

    must: tuple[Query, ...] = ()
    should: tuple[Query, ...] = ()
    must_not: tuple[Query, ...] = ()
    minimum: int = 0


Query: TypeAlias = MatchAll | Equal | OneOf | Ids | Prefix | Wildcard | Exists | Bool

NOTHING = Bool(minimum=1)


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
