"""`user_mapping` of sg_authc.yml: from what a request brings along to a user's name, roles and attributes.

https://docs.search-guard.com/latest/authentication-authorization-configuration
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from accounts_service.faults import Json
from accounts_service.identifiers import normalized

_STEP = re.compile(r"\.?([^.\[\]'\"]+)|\[\*\]|\['([^']+)'\]|\[([0-9]{1,4})\]")


class UserMappingError(Exception):
    """The attributes do not give exactly one user name; the message is Search Guard's."""


def parse_path(path: str) -> tuple[str | int, ...]:
    """Read a JSON path of names, indexes and `[*]`, with or without `$.`; raises ValueError for any other."""
    steps: list[str | int] = []
    rest = path.removeprefix("$").removeprefix(".")
    position = 0
    while position < len(rest):
        step = _STEP.match(rest, position)
        if step is None:
            raise ValueError("A JSON path of names")
        name = step[1] or step[2]
        if name is not None:
            steps.append(name)
        elif step[3] is not None:
            steps.append(int(step[3]))
        position = step.end()
    match steps:
        case []:
            raise ValueError("A JSON path of names")
        case ["request", "headers", str(header), *inner]:
            return ("request", "headers", header.lower(), *inner)  # As servers hand them on.
        case _:
            return tuple(steps)


def _find(value: Json, path: tuple[str | int, ...]) -> list[str]:
    for step in path:
        if isinstance(step, str) and isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(step, int) and isinstance(value, list) and step < len(value):
            value = value[step]
        else:
            return []
    leaves = value if isinstance(value, list) else [value]
    # true is no name: as a role it would be called True.
    return [
        normalized(str(leaf)) for leaf in leaves if isinstance(leaf, str | int | float) and not isinstance(leaf, bool)
    ]


@dataclass(frozen=True, slots=True)
class Source:
    """One `from`: a path, perhaps a pattern whose first group is the value, perhaps a separator."""

    path: tuple[str | int, ...]
    pattern: re.Pattern[str] | None = None
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
        values = _find(attributes, self.path)
        if self.split is not None:
            values = [part.strip(" \t") for value in values for part in value.split(self.split)]
        if self.pattern is not None:
            matches = [self.pattern.fullmatch(value) for value in values]
            values = [match[1] if match.re.groups else match[0] for match in matches if match]
        return [value for value in values if value]


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
    """What the mapping made."""

    user_name: str
    backend_roles: frozenset[str]
    attributes: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class UserMapping:
    """The whole `user_mapping` of a domain."""

    user_name: Names | None = None
    roles: Names = Names()
    attribute_sources: tuple[tuple[str, Source], ...] = ()
    static_attributes: tuple[tuple[str, str], ...] = ()

    def naming(self) -> Iterable[Source]:
        """Return the sources of the name and the roles."""
        yield from self.user_name.sources if self.user_name else ()
        yield from self.roles.sources

    def sources(self) -> Iterable[Source]:
        """Everything that is read."""
        yield from self.naming()
        yield from (source for _, source in self.attribute_sources)

    def map(self, attributes: dict[str, Json], default_name: str | None = None) -> Mapped:
        """Map `attributes` (nested, `request.headers.x-user` being `{"request": {"headers": …}}`).

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
        found = {name: values[0] for name, source in self.attribute_sources if (values := source.values(attributes))}
        return Mapped(
            user_name=names[0],
            backend_roles=frozenset(self.roles.values(attributes)),
            attributes=tuple(sorted((dict(self.static_attributes) | found).items())),
        )
