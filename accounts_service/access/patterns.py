"""The pattern language of Search Guard's configuration files.

`*` is any sequence of characters, `?` exactly one, `/regex/` a regular
expression that must match the whole text; everything else is literal. Case
counts, and there is no escaping.
https://docs.search-guard.com/latest/roles-permissions
"""

from __future__ import annotations

import re
from collections.abc import Iterable

# Regular expressions come from configuration and run on what callers send.
_LONGEST_REGEX = 500


class BadPatternError(ValueError):
    """Not a regular expression we accept; the message says why."""


def _regex_source(pattern: str) -> str | None:
    if len(pattern) >= 2 and pattern.startswith("/") and pattern.endswith("/"):
        return pattern[1:-1]
    return None


def is_literal(pattern: str) -> bool:
    """Tell whether `pattern` matches nothing but itself."""
    return _regex_source(pattern) is None and not set(pattern) & {"*", "?"}


def expression(pattern: str) -> str:
    """Translate `pattern` into the source of a regular expression. Raises BadPatternError."""
    source = _regex_source(pattern)
    if source is None:
        return "".join({"*": "(?s:.*)", "?": "(?s:.)"}.get(char, re.escape(char)) for char in pattern)
    if len(source) > _LONGEST_REGEX:
        raise BadPatternError(f"longer than {_LONGEST_REGEX} characters")
    try:
        re.compile(source)
    except (re.error, OverflowError, RecursionError):
        raise BadPatternError("not a regular expression") from None
    return source


class Matcher:
    """A list of patterns; matches when any of them does, an empty list never."""

    __slots__ = ("_compiled", "_literals")

    def __init__(self, patterns: Iterable[str]) -> None:
        """Compile `patterns`. Raises BadPatternError."""
        self._literals = frozenset(filter(is_literal, patterns := tuple(patterns)))
        self._compiled = tuple((p, re.compile(expression(p))) for p in sorted(set(patterns) - self._literals))

    def match(self, text: str) -> str | None:
        """Return the pattern that matches `text`, or None."""
        if text in self._literals:
            return text
        return next((pattern for pattern, compiled in self._compiled if compiled.fullmatch(text)), None)

    def matches(self, text: str) -> bool:
        """Tell whether any pattern matches `text`."""
        return self.match(text) is not None

    def matches_any(self, texts: Iterable[str]) -> bool:
        """Tell whether any pattern matches any of `texts`."""
        return any(map(self.matches, texts))
