"""The pattern language of Search Guard's configuration files.

`*` is any sequence of characters, `?` exactly one, `/regex/` a regular
expression that must match the whole text; everything else is literal. Case
counts, and there is no escaping. In the patterns of tenants `${user.name}` and
the like stand for what is known of the caller.
https://docs.search-guard.com/latest/roles-permissions
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping

# Regular expressions come from configuration and run on what callers send.
_LONGEST_REGEX = 500
# So that what was accepted at the start is never refused deeper in the stack.
_MOST_PARENTHESES = 50

_PLACEHOLDER = re.compile(r"\$\{([^}]*)\}")


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
        return _glob(pattern)
    if len(source) > _LONGEST_REGEX or source.count("(") > _MOST_PARENTHESES:
        raise BadPatternError(f"longer than {_LONGEST_REGEX} characters, or more than {_MOST_PARENTHESES} groups")
    try:
        with warnings.catch_warnings():
            # Warned of are sets within sets, such as [a-z&&[^x]], which Java
            # and Python read differently.
            warnings.simplefilter("error")
            re.compile(source)
    except (re.error, Warning, OverflowError, RecursionError):
        raise BadPatternError("not a regular expression") from None
    return source


def _glob(pattern: str) -> str:
    # Between two stars the first place that fits is as good as any later one,
    # and (?>…) stays with it: tried in every combination, `*a*a*a*b` takes
    # longer on a text of some thousand characters than anybody waits.
    first, *others = map(_fixed, pattern.split("*"))
    if not others:
        return first
    *between, last = others
    return first + "".join(f"(?>(?s:.*?){fixed})" for fixed in between if fixed) + f"(?s:.*){last}"


def _fixed(part: str) -> str:
    return "".join("(?s:.)" if char == "?" else re.escape(char) for char in part)


class Matcher:
    """A list of patterns; matches when any of them does, an empty list never."""

    __slots__ = ("_compiled", "_literals")

    def __init__(self, patterns: Iterable[str]) -> None:
        """Compile `patterns`. Raises BadPatternError."""
        self._literals = frozenset(filter(is_literal, patterns := tuple(patterns)))
        self._compiled = tuple((p, re.compile(expression(p))) for p in sorted(set(patterns) - self._literals))

    @property
    def is_empty(self) -> bool:
        """Tell whether there is no pattern at all."""
        return not self._literals and not self._compiled

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


def is_template(pattern: str) -> bool:
    """Tell whether `pattern` holds a `${…}`."""
    return _PLACEHOLDER.search(pattern) is not None


class Template:
    """A pattern with `${…}` in it.

    What is filled in matches only itself: a user called "*" gets no wildcard.
    """

    __slots__ = ("_parts",)

    def __init__(self, text: str) -> None:
        """Take `text` apart. Raises BadPatternError for a regular expression: a name may stand anywhere in one."""
        if _regex_source(text) is not None:
            raise BadPatternError("a regular expression with something to fill in")
        self._parts = _PLACEHOLDER.split(text)

    def matches(self, text: str, values: Mapping[str, str]) -> bool:
        """Tell whether `text` matches, with `values` filled in; not when one is missing or empty."""
        fixed, names = self._parts[::2], self._parts[1::2]
        if not all(values.get(name) for name in names):
            return False
        filled = [*(re.escape(values[name]) for name in names), ""]
        source = "".join(_glob(part) + value for part, value in zip(fixed, filled, strict=True))
        return re.fullmatch(source, text) is not None
