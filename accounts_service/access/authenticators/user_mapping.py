"""`user_mapping` of sg_authc.yml: from what a request brings along to a user's name, roles and attributes.

https://docs.search-guard.com/latest/authentication-authorization-configuration
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from accounts_service.access.patterns import Expression
from accounts_service.faults import Json
from accounts_service.identifiers import normalized

_STEP = re.compile(r"\.?([^.\[\]'\"]+)|(\[\*\])|\['([^']+)'\]|\[\"([^\"]+)\"\]|\[([0-9]{1,4})\]")

_QUOTED = re.compile(r"\['[^']+'\]|\[\"[^\"]+\"\]")
_A_PATH = "A JSON path of names"

# What JSON paths have besides names: `..`, `.*`, filters, lists of names or of
# numbers, numbers from the end, slices and functions.
_UNSUPPORTED = re.compile(r"\.\.|\.\*|\[\?|\[[^\]]*[,:]|\[-[0-9]|\(\)\Z|\A\$?\[\*\]")

# In a path, every element of a list or value of a mapping.
EVERY = None
Step: TypeAlias = "str | int | None"


class UnsupportedPathError(ValueError):
    """A JSON path, but of a kind that is not supported here."""


class UserMappingError(Exception):
    """The attributes do not give exactly one user name; the message is Search Guard's."""


def parse_path(path: str) -> tuple[Step, ...]:
    """Read a JSON path of names, indexes and `[*]`, with or without `$.`.

    Raises UnsupportedPathError, a ValueError, for other kinds of paths, and
    ValueError for what is none.
    """
    steps: list[Step] = []
    if _UNSUPPORTED.search(_QUOTED.sub(".name", path)):
        raise UnsupportedPathError(_A_PATH)
    rest = path.removeprefix("$").removeprefix(".")
    position = 0
    while position < len(rest):
        step = _STEP.match(rest, position)
        if step is None:
            raise ValueError(_A_PATH)
        name = step[1] or step[3] or step[4]
        if name is not None:
            steps.append(name)
        elif step[2] is None:
            steps.append(int(step[5]))
        elif step.end() < len(rest):
            steps.append(EVERY)
        position = step.end()
    match steps:
        case []:
            raise ValueError(_A_PATH)
        case ["request", part, *inner] if part is EVERY or (part == "headers" and inner[:1] == [EVERY]):
            # Every header at once: none of them would be known as one that must come once and in UTF-8.
            raise UnsupportedPathError(_A_PATH)
        case ["request", "headers", str(header), *inner]:
            return ("request", "headers", header.lower(), *inner)  # As servers hand them on.
        case _:
            return tuple(steps)


def _found(value: Json, path: tuple[Step, ...]) -> list[Json]:
    values = [value]
    for step in path:
        values = [inner for outer in values for inner in _inside(outer, step)]
    return values


def _inside(value: Json, step: Step) -> list[Json]:
    if isinstance(step, str) and isinstance(value, dict):
        return [value[step]] if step in value else []
    if isinstance(step, int) and isinstance(value, list) and step < len(value):
        return [value[step]]
    if step is EVERY and isinstance(value, list | dict):
        return [*value.values()] if isinstance(value, dict) else value
    return []


# Levels of an attribute that is a list or a mapping, as in Search Guard.
_DEEPEST = 10


def _is_shallow(value: Json, levels: int) -> bool:
    inner = [*value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []
    return not inner or (levels > 0 and all(_is_shallow(each, levels - 1) for each in inner))


def _leaves(values: list[Json]) -> list[str]:
    leaves = [leaf for value in values for leaf in (value if isinstance(value, list) else [value])]
    # true is no name: as a role it would be called True.
    return [
        normalized(str(leaf)) for leaf in leaves if isinstance(leaf, str | int | float) and not isinstance(leaf, bool)
    ]


@dataclass(frozen=True, slots=True)
class Source:
    """One `from`: a path, perhaps a pattern whose groups make the value, perhaps a separator."""

    path: tuple[Step, ...]
    pattern: Expression | None = None
    split: str | None = None

    @property
    def header(self) -> str | None:
        """The request header it reads, in lower case."""
        match self.path:
            case ("request", "headers", str(name), *_):
                return name.lower()
            case _:
                return None

    def values(self, attributes: dict[str, Json]) -> list[str]:
        """Find all values among `attributes`; empty ones do not count."""
        values = _leaves(_found(attributes, self.path))
        if self.split is not None:
            values = [part.strip(" \t") for value in values for part in value.split(self.split)]
        if self.pattern is not None:
            # All groups that took part, in their order: with the first alone ann.smith@… and
            # ann.jones@… would be one user.
            # https://docs.search-guard.com/latest/authentication-authorization-configuration-advanced-user-mapping
            values = [found for value in values if (found := self.pattern.captured(value))]
        return [value for value in values if value]

    def structured(self, attributes: dict[str, Json]) -> Json:
        """Find the list or mapping that it reads, whole; None for anything else, and where texts are made of it."""
        if self.split is not None or self.pattern is not None:
            return None
        found = _found(attributes, self.path)
        value: Json = found if EVERY in self.path else next(iter(found), None)
        return value if isinstance(value, list | dict) and value and _is_shallow(value, _DEEPEST) else None


@dataclass(frozen=True, slots=True)
class Names:
    """`user_name` or `roles`: where they come from, and which are always there."""

    sources: tuple[Source, ...] = ()
    static: tuple[str, ...] = ()
    lower_case: bool = False

    def values(self, attributes: dict[str, Json]) -> list[str]:
        """All names, each once, in order; an empty one is none."""
        values = [value for source in self.sources for value in source.values(attributes)] + list(self.static)
        # A header, a token and a file may spell one name in several ways.
        spelled = (normalized(value.lower() if self.lower_case else value) for value in values if value)
        return list(dict.fromkeys(spelled))


@dataclass(frozen=True, slots=True)
class Mapped:
    """What the mapping made. `structured`: attributes that are lists or mappings, as JSON."""

    user_name: str
    backend_roles: frozenset[str]
    attributes: tuple[tuple[str, str], ...]
    structured: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class UserMapping:
    """The whole `user_mapping` of a domain."""

    user_name: Names | None = None
    roles: Names = Names()
    attribute_sources: tuple[tuple[str, Source], ...] = ()
    static_attributes: tuple[tuple[str, str], ...] = ()
    static_structured: tuple[tuple[str, str], ...] = ()

    def naming(self) -> Iterable[Source]:
        """Return the sources of the name and the roles."""
        yield from self.user_name.sources if self.user_name else ()
        yield from self.roles.sources

    def sources(self) -> Iterable[Source]:
        """Everything that is read."""
        yield from self.naming()
        yield from (source for _, source in self.attribute_sources)

    def map(
        self,
        attributes: dict[str, Json],
        default_name: str | None = None,
        entry_of: Callable[[str], Json] | None = None,
    ) -> Mapped:
        """Map `attributes` (nested, `request.headers.x-user` being `{"request": {"headers": …}}`).

        `entry_of` gives the `user_entry` of a name, for roles and attributes.
        Raises UserMappingError unless there is exactly one user name.
        """
        if self.user_name is not None:
            names = self.user_name.values(attributes)
        else:
            names = [normalized(default_name)] if default_name else []
        if not names:
            raise UserMappingError("No user name found")
        if len(names) > 1:
            raise UserMappingError("More than one candidate for the user name was found")
        if entry_of is not None:
            attributes = {**attributes, "user_entry": entry_of(names[0])}
        texts, structured = self.attributes(attributes)
        return Mapped(names[0], frozenset(self.roles.values(attributes)), texts, structured)

    def attributes(
        self, attributes: dict[str, Json]
    ) -> tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]:
        """Map to the user's attributes: what each is as a text, and those that are lists or mappings, as JSON."""
        texts, structured = dict(self.static_attributes), dict(self.static_structured)
        for name, source in self.attribute_sources:
            values, whole = source.values(attributes), source.structured(attributes)
            if values or whole is not None:
                texts.pop(name, None)
                structured.pop(name, None)
            if values:
                texts[name] = values[0]
            if whole is not None:
                structured[name] = json.dumps(whole)
        return tuple(sorted(texts.items())), tuple(sorted(structured.items()))
