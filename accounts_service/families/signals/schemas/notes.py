"""What is found wrong in a search while it is read, and the limits of what is taken."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping

from accounts_service.families.signals.schemas.accounts import SCHEMAS
from accounts_service.families.signals.schemas.queries import Fields
from accounts_service.families.signals.schemas.sources import SourceFilter
from accounts_service.faults import BadQuery, Json, QueryFlaw, QueryProblem, RefusedError
from accounts_service.validation import fields as kinds

MOST_CLAUSES = 256
MOST_VALUES = 1000
LONGEST_PATTERN = 1000
LONGEST_QUERY_STRING = 4000
_MOST_PROBLEMS = 100
_LONGEST_NAME = 100
_SHORTEST_SCROLL, _LONGEST_SCROLL = 1, 24 * 60 * 60

_KEYWORD = ".keyword"

# Fields that some account may have a value of that can be seen. A secret of one
# type may share its name with a plain attribute of another; which values are
# there to be found is decided when they are written.
MAPPED = frozenset(("_name", "type", "_tenant")) | {
    name for schema in SCHEMAS.values() for name in schema.fields if name not in schema.marked("secret")
}
NUMERIC = frozenset(
    name for schema in SCHEMAS.values() for name, kind in schema.fields.items() if isinstance(kind, kinds.WholeNumber)
)

_UNITS = {"nanos": 1e-9, "micros": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_TIME = re.compile(r"([0-9]{1,18})(nanos|micros|ms|s|m|h|d)\Z")
_NUMBER = re.compile(r"-?[0-9]{1,18}\Z")


class EnoughError(Exception):
    """A limit is passed; there is no sense in reading on."""


class Notes:
    """What has been found wrong so far."""

    def __init__(self) -> None:
        self._problems: list[QueryProblem] = []
        self._clauses = 0

    def parsing(self, reason: str) -> None:
        """Note something that is not in the language."""
        self._problems.append(QueryProblem(QueryFlaw.PARSING, reason))

    def illegal(self, reason: str) -> None:
        """Note something that is, but goes too far."""
        self._problems.append(QueryProblem(QueryFlaw.ILLEGAL_ARGUMENT, reason))

    def raise_if_any(self) -> None:
        """Raise RefusedError(BadQuery) with what was noted. Nobody reads more than a hundred."""
        if self._problems:
            raise RefusedError(BadQuery(tuple(self._problems[:_MOST_PROBLEMS])))

    def clause(self) -> None:
        """Count a clause. Raises EnoughError once there are too many."""
        self._clauses += 1
        if self._clauses > MOST_CLAUSES:
            self.illegal(f"too many clauses: a query has at most {MOST_CLAUSES}")
            raise EnoughError

    def object(self, where: str, value: Json) -> dict[str, Json]:
        """Take an object."""
        if isinstance(value, dict):
            return value
        self.parsing(f"{where} must be an object")
        return {}

    def only(self, where: str, given: Collection[str], known: Collection[str]) -> None:
        """Note each name that is not known here."""
        for name in given:
            if name not in known:
                self.parsing(f"{where} does not support {named(name)}")

    def text(self, where: str, value: Json) -> str:
        """Take a text."""
        if isinstance(value, str):
            return value
        self.parsing(f"[{where}] must be a string")
        return ""

    def keyword(self, where: str, value: Json) -> str:
        """Take a value to compare with: a number or boolean as JSON writes it."""
        if isinstance(value, str):
            return value
        if isinstance(value, int | float):
            return json.dumps(int(value) if not isinstance(value, bool) and value == int(value) else value)
        self.parsing(f"{where} needs a string, a number or a boolean as its value")
        return ""

    def values(self, where: str, value: Json, take: Callable[[str, Json], str]) -> tuple[str, ...]:
        """Take a list, each value by `take`."""
        if not isinstance(value, list):
            self.parsing(f"{where} needs a list of values")
            return ()
        if len(value) > MOST_VALUES:
            self.illegal(f"{where}: a list has at most {MOST_VALUES} values")
            return ()
        return tuple(take(where, element) for element in value)

    def flag(self, where: str, options: Mapping[str, Json], name: str) -> bool:
        """Take true or false; false if it is left out."""
        value = options.get(name, False)
        if not isinstance(value, bool):
            self.parsing(f"{where}: [{name}] must be true or false")
        return value is True

    def choice(self, where: str, options: Mapping[str, Json], name: str, choices: tuple[str, ...]) -> str:
        """Take one of `choices`, in any case; the first if it is left out."""
        value = options.get(name, choices[0])
        if isinstance(value, str) and value.lower() in choices:
            return value.lower()
        self.parsing(f"{where}: [{name}] must be one of [{', '.join(choices)}]")
        return choices[0]

    def common(self, where: str, options: Mapping[str, Json]) -> None:
        """Check what every query takes and nothing here depends on: all scores are 1."""
        boost = options.get("boost", 1)
        if isinstance(boost, bool) or not isinstance(boost, int | float) or boost < 0:
            self.parsing(f"{where}: [boost] must be a number that is not negative")
        if not isinstance(options.get("_name", ""), str):
            self.parsing(f"{where}: [_name] must be a string")

    def pattern(self, where: str, value: Json) -> str:
        """Take a pattern of bearable length."""
        pattern = self.keyword(where, value)
        if len(pattern) > LONGEST_PATTERN:
            self.illegal(f"{where}: a pattern has at most {LONGEST_PATTERN} characters")
        return pattern

    def window(self, name: str, body: Mapping[str, Json], parameters: Mapping[str, str]) -> int | None:
        """Take `from` or `size`; both places are checked, the URL wins."""
        inside = self._whole(name, body[name]) if name in body else None
        if name not in parameters:
            return inside
        text = parameters[name]
        if not _NUMBER.match(text):
            self.illegal(f"parameter [{name}] must be a whole number")
            return inside
        return inside if int(text) == -1 else self._not_negative(name, int(text))

    def _whole(self, name: str, value: Json) -> int | None:
        # 25.0 is a whole number, as in JSON Schema.
        if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
            self.parsing(f"[{name}] must be a whole number")
            return None
        return self._not_negative(name, int(value))

    def _not_negative(self, name: str, value: int) -> int | None:
        if value < 0:
            self.illegal(f"[{name}] must not be negative, and is [{value}]")
            return None
        return value

    def seconds(self, text: str) -> int | None:
        """Take a length of time, https://www.elastic.co/guide/en/elasticsearch/reference/current/api-conventions.html."""
        match = _TIME.match(text)
        seconds = int(match[1]) * _UNITS[match[2]] if match else 0.0
        if not match:
            self.illegal("[scroll] must be a whole number with a unit, like [60s] or [1m]")
        elif not _SHORTEST_SCROLL <= seconds <= _LONGEST_SCROLL:
            self.illegal("[scroll] must be between [1s] and [24h]")
        else:
            return int(seconds)
        return None


def named(name: str) -> str:
    """Return a name that was sent as a fault tells it."""
    return f"[{name[:_LONGEST_NAME]}]"


def plain(name: str) -> str:
    """Return the field that a name means."""
    # Everything is a keyword, so the subfield of that name is the field itself.
    return name.removesuffix(_KEYWORD)


def fields_like(patterns: tuple[str, ...]) -> Fields:
    """Return the fields that patterns name; a `^boost` after one has no effect, as all scores are 1."""
    names = [pattern.partition("^")[0] for pattern in patterns]
    if "*" in names:
        return None
    wanted = SourceFilter(tuple(map(plain, names)), ())
    return tuple(sorted(name for name in MAPPED if names and wanted.keeps(name)))
