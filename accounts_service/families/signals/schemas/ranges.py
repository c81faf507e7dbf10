"""Values by their order: the bounds of a range, and where a search goes on.

Terms are stored with the text by which they are sorted (store/terms.py): numbers by their size, everything else by
code point.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from accounts_service.families.signals.schemas.notes import NUMERIC, Notes
from accounts_service.families.signals.schemas.queries import NOTHING, Bound, Query, Range
from accounts_service.faults import Json

DIGITS = 20
_LARGEST = 10**DIGITS - 1
_DECIMAL = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?\Z")


def read_range(
    notes: Notes, where: str, field: str, bounds: Iterable[tuple[Bound, Json]], *, is_lenient: bool = False
) -> Query:
    """Read a range of the values of a field. `is_lenient`: text for a number finds nothing and is not wrong."""
    ranks: list[tuple[Bound, str]] = []
    for bound, value in bounds:
        if field not in NUMERIC:
            ranks.append((bound, notes.keyword(where, value)))
            continue
        number = _number(value)
        if number is None:
            if not is_lenient:
                notes.illegal(_not_a_number(where, value))
            return NOTHING
        # What is above 24.5 is above 24, and what is below it is below 25; none is negative.
        whole = math.floor(number) if bound in (Bound.GT, Bound.LTE) else math.ceil(number)
        if whole >= 0:
            ranks.append((bound, _digits(whole)))
        elif bound in (Bound.LT, Bound.LTE):
            return NOTHING
    return Range(field, tuple(ranks))


def rank_of(notes: Notes, where: str, field: str, value: Json) -> str:
    """Return the text by which a value of a field is sorted; of `_id` as well."""
    if field not in NUMERIC:
        return notes.keyword(where, value)
    number = _number(value)
    if number is None or number != int(number) or number < 0:
        notes.illegal(_not_a_number(where, value))
        return ""
    return _digits(int(number))


def _digits(number: int) -> str:
    return str(min(number, _LARGEST)).zfill(DIGITS)


def _number(value: Json) -> int | float | None:
    match value:
        case bool():
            return None
        case int() | float():
            return value
        case str() if _DECIMAL.match(value):
            return float(value) if "." in value else int(value)
        case _:
            return None


def _not_a_number(where: str, value: Json) -> str:
    told = value[:100] if isinstance(value, str) else "not a number"
    return f'{where}: For input string: "{told}"'
