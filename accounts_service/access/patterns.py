"""The pattern language of Search Guard's configuration files.

`*` is any sequence of characters, `?` exactly one, `/regex/` a regular
expression that must match the whole text; everything else is literal. Case
counts, and there is no escaping. In the patterns of tenants `${user.name}` and
the like stand for what is known of the caller, with functions after a `|`.
https://docs.search-guard.com/latest/roles-permissions
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from accounts_service.access.functions import BCRYPT, FRAGMENT, FUNCTIONS, applied, as_text
from accounts_service.faults import Json

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
        # Each with itself: a text that is equal need not be shown alike (variables.py).
        patterns = tuple(patterns)
        self._literals = {p: p for p in patterns if is_literal(p)}
        self._compiled = tuple((p, re.compile(expression(p))) for p in sorted(set(patterns) - self._literals.keys()))

    @property
    def is_empty(self) -> bool:
        """Tell whether there is no pattern at all."""
        return not self._literals and not self._compiled

    def match(self, text: str) -> str | None:
        """Return the pattern that matches `text`, or None."""
        if (literal := self._literals.get(text)) is not None:
            return literal
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


@dataclass(frozen=True, slots=True)
class _Default:
    value: Json


@dataclass(frozen=True, slots=True)
class _Placeholder:
    """What stands between `${` and `}`: a name, then functions and defaults in their order."""

    name: str
    steps: tuple[str | _Default, ...]
    # Why it never has a value, if that is sure.
    flaw: str | None

    def value(self, values: Mapping[str, str], structured: Mapping[str, Json]) -> str | None:
        """Return the text to fill in, or None; only a placeholder with functions sees what is `structured`."""
        if self.flaw is not None:
            return None
        if not self.steps:
            return values.get(self.name) or None
        value = structured.get(self.name, values.get(self.name))
        for step in self.steps:
            if not isinstance(step, _Default):
                value = applied(step, value)
            elif value is None:
                value = step.value
        # Search Guard writes a list with quotes and commas, which no tenant is called.
        return None if value is None or isinstance(value, list | dict) else as_text(value) or None


_STEP = re.compile(r"\s*\|\s*([A-Za-z0-9]+)\s*")
_KNOWN = re.compile(r"user\.name|user_name|user\.roles|user_roles|user\.attrs\..+")
_LISTS = frozenset(("user.roles", "user_roles"))


def _placeholder(text: str, *, in_expression: bool) -> _Placeholder:
    name = re.match(r"[\w.-]*", text)[0]  # type: ignore[index]  # matches the empty text, too
    steps: list[str | _Default] = []
    flaw, rest = None, text[len(name) :]
    while rest.strip() and flaw is None:
        if (step := _STEP.match(rest)) is not None:
            steps.append(step[1])
            rest = rest[step.end() :]
        elif rest.lstrip().startswith(":-"):
            steps.append(_Default(rest.lstrip()[2:]))
            rest = ""
        elif rest.lstrip().startswith("?:"):
            try:
                json_text = rest.lstrip()[2:].lstrip()
                default, end = json.JSONDecoder().raw_decode(json_text)
                steps.append(_Default(default))
                rest = json_text[end:]
            except ValueError:
                flaw = "the default after ?: is no JSON"
        else:
            flaw = "it has not the form ${user.name}, ${user.roles|…} or ${user.attrs.NAME|…}"
    return _Placeholder(name, tuple(steps), flaw or _flaw_of(steps, in_expression=in_expression))


def _flaw_of(steps: list[str | _Default], *, in_expression: bool) -> str | None:
    functions = [step for step in steps if isinstance(step, str)]
    unknown = [function for function in functions if function not in FUNCTIONS]
    if BCRYPT in unknown:
        return "bcrypt gives another value each time"
    if unknown:
        return f"there is no function {unknown[0]}"
    if FRAGMENT in functions and not in_expression:
        return f"{FRAGMENT} needs a pattern of the form /…/"
    if functions and steps[-1] in ("toList", "tail"):
        return "it is a list; add |head, or |toRegexFragment in a pattern of the form /…/"
    return None


class Template:
    """A pattern with `${…}` in it.

    What is filled in matches only itself: a user called "*" gets no wildcard.
    A regular expression takes what toRegexFragment gives, a group of such texts.
    """

    __slots__ = ("_fixed", "_is_expression", "_placeholders")

    def __init__(self, text: str) -> None:
        """Take `text` apart. Raises BadPatternError for a regular expression in which a name could mean more."""
        source = _regex_source(text)
        self._is_expression = source is not None
        parts = _PLACEHOLDER.split(text if source is None else source)
        self._fixed = parts[::2]
        self._placeholders = [_placeholder(part, in_expression=self._is_expression) for part in parts[1::2]]
        if self._is_expression:
            self._require_groups()

    def _require_groups(self) -> None:
        if any(not placeholder.steps or placeholder.steps[-1] != FRAGMENT for placeholder in self._placeholders):
            raise BadPatternError(f"a regular expression with something to fill in that is no {FRAGMENT}")
        names = [f"_filled{number}" for number in range(len(self._placeholders))]
        # In a set, or after a backslash, what is filled in would be no group.
        filled = "".join(
            fixed + (f"(?P<{name}>x)" if name else "") for fixed, name in zip(self._fixed, [*names, ""], strict=True)
        )
        if not set(names) <= re.compile(expression(f"/{filled}/")).groupindex.keys():
            raise BadPatternError("a regular expression with something to fill in within a set or after a backslash")

    @property
    def flaw(self) -> str | None:
        """Why no tenant can ever match, if that is sure."""
        for placeholder in self._placeholders:
            if placeholder.flaw is not None:
                return placeholder.flaw
            if not _KNOWN.fullmatch(placeholder.name):
                return f"nothing is known under the name {placeholder.name!r}"
            if placeholder.name in _LISTS and not placeholder.steps:
                return "it is a list; add |head, or |toRegexFragment in a pattern of the form /…/"
        return None

    def matches(self, text: str, values: Mapping[str, str], structured: Mapping[str, Json] | None = None) -> bool:
        """Tell whether `text` matches, with `values` filled in; not when one is missing or empty.

        `structured`: those of which functions see more than a text.
        """
        found = [placeholder.value(values, structured or {}) for placeholder in self._placeholders]
        if not all(found):
            return False
        filled = [*(value or "" for value in found), ""]
        if not self._is_expression:
            source = "".join(_glob(part) + re.escape(value) for part, value in zip(self._fixed, filled, strict=True))
            return re.fullmatch(source, text) is not None
        try:
            source = "".join(part + value for part, value in zip(self._fixed, filled, strict=True))
            return re.fullmatch(source, text) is not None
        except re.error:  # Such as a look-behind, whose width is fixed.
            return False
