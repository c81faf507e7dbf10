"""The parameter `filter_path`: which parts of an answer are shown.

https://www.elastic.co/docs/reference/elasticsearch/rest-apis/common-options#response-filtering

A path names the keys from the root of the answer, with dots between them; lists
are transparent. `*` in a key is any characters, a key `**` any number of keys,
none included. A path that begins with `-` leaves out what it leads to; the other
paths, if there are any, are all that is shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

from accounts_service.families.signals.schemas.sources import matches
from accounts_service.faults import BadParameter, Json, RefusedError

NAME = "filter_path"

MOST_PATHS = 64
LONGEST_PATH = 200

_ANY_KEYS = "**"
# Between dots that no backslash precedes.
_KEYS = re.compile(r"(?:\\.|[^.\\])+|\\\Z")


@dataclass(frozen=True, slots=True, eq=False)
class _Path:
    """A path as a chain of keys. Compared by identity, since many steps look the same chains up."""

    key: str
    rest: _Path | None


# What is left of the paths below some key. None is a path that has been followed to its end.
_Paths: TypeAlias = frozenset[_Path | None]
_END = None


class _Nothing:
    """Nothing is left of a value."""


_NOTHING = _Nothing()


class _Follower:
    """Follows several paths through an answer at once, and remembers where each key has led."""

    def __init__(self, paths: Iterable[tuple[str, ...]]) -> None:
        self.start = _spread(map(_chain, dict.fromkeys(paths)))
        # The keys of one answer are few and come again in each hit.
        self._known: dict[tuple[_Paths, str], _Paths] = {}

    def below(self, paths: _Paths, key: str) -> _Paths:
        """Return what is left of `paths` below `key`."""
        found = self._known.get((paths, key))
        if found is None:
            found = self._known[paths, key] = self._below(paths, key)
        return found

    @staticmethod
    def _below(paths: _Paths, key: str) -> _Paths:
        left = _step(paths, key)
        if "." not in key:
            return left
        # A key with dots, such as the name of a header, is also reached by its parts.
        by_parts = paths
        for part in key.split("."):
            by_parts = _step(by_parts, part)
        return left | by_parts


def _step(paths: _Paths, key: str) -> _Paths:
    left: list[_Path | None] = []
    for path in paths:
        if path is not None and path.key == _ANY_KEYS:
            left.append(path)
        elif path is not None and matches(path.key, key):
            left.append(path.rest)
    return _spread(left)


def _spread(paths: Iterable[_Path | None]) -> _Paths:
    """Add what is left when `**` is no key at all."""
    spread = set()
    for path in paths:
        spread.add(path)
        if path is not None and path.key == _ANY_KEYS:
            spread.add(path.rest)  # No `**` follows another, see `_keys`.
    return frozenset(spread)


def _chain(keys: tuple[str, ...]) -> _Path | None:
    path = None
    for key in reversed(keys):
        path = _Path(key, path)
    return path


@dataclass(frozen=True, slots=True)
class FilterPath:
    """What is shown of an answer. Without paths that is everything."""

    includes: tuple[tuple[str, ...], ...] = ()
    excludes: tuple[tuple[str, ...], ...] = ()
    _including: _Follower = field(init=False, repr=False, compare=False)
    _excluding: _Follower = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_including", _Follower(self.includes))
        object.__setattr__(self, "_excluding", _Follower(self.excludes))

    def of(self, document: dict[str, Json]) -> dict[str, Json]:
        """Return the part of an answer that is shown; an empty object when that is nothing, as in Elasticsearch."""
        shown: Json | _Nothing = document
        if self.excludes:
            shown = _without(self._excluding, self._excluding.start, document)
        if self.includes and not isinstance(shown, _Nothing):
            shown = _only(self._including, self._including.start, shown)
        return shown if isinstance(shown, dict) else {}


def read_filter_path(values: Iterable[str]) -> FilterPath:
    """Read the values of the parameter. Raises RefusedError(BadParameter).

    Of two values one would have to be ignored, and so would a path that leads nowhere.
    """
    given = list(values)
    if len(given) > 1:
        raise RefusedError(BadParameter(NAME, "sent more than once"))
    paths = [path for text in given for path in map(str.strip, text.split(",")) if path]
    if len(paths) > MOST_PATHS or any(len(path) > LONGEST_PATH for path in paths):
        reason = f"more than {MOST_PATHS} paths, or one of more than {LONGEST_PATH} characters"
        raise RefusedError(BadParameter(NAME, reason))
    excludes = [_keys(path[1:]) for path in paths if path.startswith("-")]
    includes = [_keys(path) for path in paths if not path.startswith("-")]
    if not all((*includes, *excludes)):
        raise RefusedError(BadParameter(NAME, "a path without a key"))
    return FilterPath(tuple(includes), tuple(excludes))


def _keys(path: str) -> tuple[str, ...]:
    keys = [key.replace("\\.", ".") for key in _KEYS.findall(path)]
    # A run of `**` leads where one does, and each further one multiplies the ways to follow.
    return tuple(key for before, key in zip((None, *keys), keys, strict=False) if (before, key) != (_ANY_KEYS,) * 2)


def _only(follower: _Follower, paths: _Paths, value: Json) -> Json | _Nothing:
    if _END in paths:
        return value
    shown: list[Json] | dict[str, Json]
    match value:
        case dict():
            parts = ((key, _only(follower, follower.below(paths, key), inner)) for key, inner in value.items())
            shown = {key: part for key, part in parts if not isinstance(part, _Nothing)}
        case list() if paths:
            elements = (_only(follower, paths, element) for element in value)
            shown = [element for element in elements if not isinstance(element, _Nothing)]
        case _:
            return _NOTHING
    return shown or _NOTHING


def _without(follower: _Follower, paths: _Paths, value: Json) -> Json | _Nothing:
    """Leave out what the paths lead to, and what holds nothing any more but did before."""
    if _END in paths:
        return _NOTHING
    if not paths or not value:
        return value
    shown: list[Json] | dict[str, Json]
    match value:
        case dict():
            parts = ((key, _without(follower, follower.below(paths, key), inner)) for key, inner in value.items())
            shown = {key: part for key, part in parts if not isinstance(part, _Nothing)}
        case list():
            elements = (_without(follower, paths, element) for element in value)
            shown = [element for element in elements if not isinstance(element, _Nothing)]
        case _:
            return value
    return shown or _NOTHING
