"""Which part of an account a search shows.

https://www.elastic.co/guide/en/elasticsearch/reference/current/search-fields.html#source-filtering
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

from accounts_service.faults import Json


@dataclass(frozen=True, slots=True)
class SourceFilter:
    """Patterns of paths such as `headers.Accept`; without `includes` everything is included."""

    includes: tuple[str, ...]
    excludes: tuple[str, ...]

    def keeps(self, path: str) -> bool:
        """Tell whether what is at `path` is shown. A pattern for an object is one for all that is in it."""
        return (not self.includes or _any(self.includes, path)) and not _any(self.excludes, path)

    def shows_only(self, names: Container[str]) -> bool:
        """Return whether nothing is shown of any attribute but those of `names`."""
        if "*" in self.excludes:
            return True
        return bool(self.includes) and all(pattern.partition(".")[0] in names for pattern in self.includes)

    def of(self, source: Mapping[str, Json], within: str = "") -> dict[str, Json]:
        """Cut a source down."""
        if not self.includes and not self.excludes:
            return dict(source)
        shown: dict[str, Json] = {}
        for name, value in source.items():
            if isinstance(value, dict):
                inner = self.of(value, f"{within}{name}.")
                if inner or self.keeps(within + name):
                    shown[name] = inner
            elif self.keeps(within + name):
                shown[name] = value
        return shown


EVERYTHING = SourceFilter((), ())


def _any(patterns: Iterable[str], path: str) -> bool:
    places = [path, *(path[:end] for end, char in enumerate(path) if char == ".")]
    return any(matches(pattern, place) for pattern in patterns for place in places)


def matches(pattern: str, text: str) -> bool:
    """Return whether `text` fits a pattern in which `*` is any characters.

    It is searched from left to right, since a regular expression may try every way there is.
    """
    first, *rest = pattern.split("*")
    if not rest:
        return pattern == text
    *middle, last = rest
    if not text.startswith(first) or len(text) < len(first) + len(last) or not text.endswith(last):
        return False
    position, end = len(first), len(text) - len(last)
    for part in middle:
        found = text.find(part, position, end)
        if found < 0:
            return False
        position = found + len(part)
    return True
