"""The functions after a `|` in `#{env:NAME|toUpperCase}` and `${user.attrs.rooms|head}`.

https://docs.search-guard.com/latest/configuration-password-handling and
https://docs.search-guard.com/latest/role-based-access-control — `bcrypt` is
not here: its result is another one each time, so only a variable can use it
(variables.py).
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from accounts_service.faults import Json

BCRYPT = "bcrypt"
FRAGMENT = "toRegexFragment"


def as_text(value: Json) -> str:
    """Return a value as text: a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _fragment(value: Json) -> Json:
    listed = value if isinstance(value, list) else [value]
    # An empty alternative would match where there is no value.
    texts = [as_text(element) for element in listed if element not in (None, "")]
    return f"({'|'.join(map(re.escape, texts))})" if texts else None


def _each(function: Callable[[str], str]) -> Callable[[Json], Json]:
    def over(value: Json) -> Json:
        return [over(element) for element in value] if isinstance(value, list) else function(as_text(value))

    return over


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode("utf-8", "surrogatepass")).decode("ascii")


def _head(value: Json) -> Json:
    return next(iter(value), None) if isinstance(value, list) else value


def _tail(value: Json) -> Json:
    # All but the first, as the page of roles says and Search Guard does; the
    # page of variables says the last.
    return value[1:] if isinstance(value, list) else []


FUNCTIONS: Mapping[str, Callable[[Json], Json]] = MappingProxyType(
    {
        "toString": as_text,
        "toJson": lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":")),
        "toList": lambda value: value if isinstance(value, list) else [value],
        "head": _head,
        "tail": _tail,
        FRAGMENT: _fragment,
        "toLowerCase": _each(str.lower),
        "toUpperCase": _each(str.upper),
        "base64": _each(_encoded),
    }
)


def applied(name: str, value: Json) -> Json:
    """Return what the function `name` makes of `value`; of no value (None) it makes none. Raises KeyError."""
    function = FUNCTIONS[name]
    return None if value is None else function(value)
