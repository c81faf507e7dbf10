"""What searches find of an account: a row for each value that is no secret."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from accounts_service.families.signals.schemas.ranges import DIGITS
from accounts_service.faults import Json
from accounts_service.storage.lists import listed

# As Elasticsearch's `ignore_above`: what is longer is kept and shown, not found.
LONGEST_VALUE = 256


def terms_of(account_type: str, name: str, tenant: str, attributes: Mapping[str, Any]) -> str:
    """Write the terms of an account as the list that is inserted: number, field, value, folded, rank."""
    # A name, type or tenant is as long as a part of a path at most, and always found.
    terms = [("_name", name, name), ("type", account_type, account_type)]
    terms += [("_tenant", tenant, tenant)] if tenant else []
    terms += [term for field, value in attributes.items() for term in _leaves(field, value)]
    return listed((number, field, value, value.casefold(), rank) for number, (field, value, rank) in enumerate(terms))


def _leaves(field: str, value: Json) -> Iterator[tuple[str, str, str]]:
    if isinstance(value, list):
        for element in value:
            yield from _leaves(field, element)
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(f"{field}.{key}", inner)
    else:
        text = value if isinstance(value, str) else json.dumps(value)
        if len(text) <= LONGEST_VALUE:
            yield field, text, _rank(value, text)


def _rank(value: object, text: str) -> str:
    """Give the text by which a value is sorted: a number that is not negative by its size."""
    return text.zfill(DIGITS) if isinstance(value, int) and not isinstance(value, bool) else text
