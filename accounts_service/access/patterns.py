"""The pattern language of Search Guard's configuration files.

`*` is any sequence of characters, `?` exactly one, `/regex/` a regular
expression that must match the whole text; everything else is literal. Case
counts, and there is no escaping. In the patterns of tenants `${user.name}` and
the like stand for what is known of the caller, with functions after a `|`.
RE2 runs all of them (regex.py).
https://docs.search-guard.com/latest/roles-permissions
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from accounts_service.access.functions import BCRYPT, FRAGMENT, FUNCTIONS, applied, as_text
from accounts_service.access.regex import RefusedByRe2Error, Regex, compiled, escaped
from accounts_service.access.regex_syntax import SyntaxRefusedError, Translated, translate
from accounts_service.faults import Json

_LONGEST_REGEX = 500
# So that what was accepted at the start is never refused deeper in the stack.
_MOST_PARENTHESES = 50

# Many patterns are one program for texts up to this length: most names are
# shorter, and a call of RE2 costs more than its work. On long texts one program
# for patterns such as *a*b* is slower than each by itself.
_SHORT = 64

_PLACEHOLDER = re.compile(r"\$\{([^}]*)\}")


class BadPatternError(ValueError):
    """Not a pattern we accept; the message says why."""


def _regex_source(pattern: str) -> str | None:
    if len(pattern) >= 2 and pattern.startswith("/") and pattern.endswith("/"):
        return pattern[1:-1]
    return None


def is_literal(pattern: str) -> bool:
    """Return whether `pattern` matches nothing but itself."""
    return _regex_source(pattern) is None and not set(pattern) & {"*", "?"}


@lru_cache(maxsize=4096)
def expression(pattern: str) -> str:
    """Translate `pattern` into RE2's syntax. Raises BadPatternError unless RE2 runs it."""
    source = _regex_source(pattern)
    translated = _glob(pattern) if source is None else _translated(source).text
    try:
        compiled(translated)
    except RefusedByRe2Error as error:
        raise BadPatternError(str(error)) from None
    return translated


def _translated(source: str) -> Translated:
    if len(source) > _LONGEST_REGEX or source.count("(") > _MOST_PARENTHESES:
        raise BadPatternError(f"longer than {_LONGEST_REGEX} characters, or more than {_MOST_PARENTHESES} groups")
    try:
        return translate(source)
    except SyntaxRefusedError as error:
        raise BadPatternError(str(error)) from None


def _glob(pattern: str) -> str:
    return "".join({"*": "(?s:.*)", "?": "(?s:.)"}.get(char) or escaped(char) for char in pattern)


class Expression:
    """A regular expression that is written without slashes, as in `user_mapping`."""

    __slots__ = ("_regex", "written")

    def __init__(self, written: str) -> None:
        """Compile `written`. Raises BadPatternError."""
        self.written = written
        self._regex = Regex(expression(f"/{written}/"), capturing=True)
        if any(compiled(group).matches("") for group in _translated(written).repeated):
            # Java and RE2 differ in what such a group has matched at last.
            raise BadPatternError("a repeated group that also matches nothing")

    @property
    def groups(self) -> int:
        """The number of capturing groups."""
        return self._regex.groups

    def matches(self, text: str) -> bool:
        """Return whether the whole of `text` matches."""
        return self._regex.matches(text)

    def captured(self, text: str) -> str | None:
        """Return what the groups matched, joined in their order; None if `text` does not match."""
        found = self._regex.captured(text)
        return None if found is None else "".join(found)


def _is_prefix(pattern: str) -> bool:
    return pattern.endswith("*") and is_literal(pattern[:-1])


def _matches(pattern: str, source: str | None, text: str) -> bool:
    return compiled(source).matches(text) if source is not None else text.startswith(pattern[:-1])


class Matcher:
    """A list of patterns; matches when any of them does, an empty list never."""

    __slots__ = ("_expressions", "_joined", "_literals", "_prefixes")

    def __init__(self, patterns: Iterable[str]) -> None:
        """Compile `patterns`. Raises BadPatternError."""
        # Each with itself: a text that is equal need not be shown alike (variables.py).
        patterns = tuple(patterns)
        self._literals = {p: p for p in patterns if is_literal(p)}
        others = sorted(set(patterns) - self._literals.keys())
        # Most patterns are a star at the end, which needs no program.
        self._prefixes = tuple(p[:-1] for p in others if _is_prefix(p))
        self._expressions = tuple((p, None if _is_prefix(p) else expression(p)) for p in others)
        self._joined: tuple[Regex, ...] | None = None

    @property
    def is_empty(self) -> bool:
        """Return whether there is no pattern at all."""
        return not self._literals and not self._expressions

    def match(self, text: str) -> str | None:
        """Return the pattern that matches `text`, or None."""
        if (literal := self._literals.get(text)) is not None:
            return literal
        if len(self._expressions) > 1 and not self.matches(text):
            return None
        return next((pattern for pattern, source in self._expressions if _matches(pattern, source, text)), None)

    def matches(self, text: str) -> bool:
        """Return whether any pattern matches `text`."""
        if text in self._literals or text.startswith(self._prefixes):
            return True
        if len(text) <= _SHORT:
            return self._matches_joined(text)
        return any(compiled(source).matches(text) for _, source in self._expressions if source is not None)

    def _matches_joined(self, text: str) -> bool:
        if self._joined is None:
            self._joined = tuple(_joined([source for _, source in self._expressions if source is not None]))
        return any(regex.matches(text) for regex in self._joined)

    def matches_any(self, texts: Iterable[str]) -> bool:
        """Return whether any pattern matches any of `texts`."""
        return any(map(self.matches, texts))


def _joined(sources: list[str]) -> list[Regex]:
    """Compile `sources`, each of which RE2 runs, into as few programs as its memory allows."""
    if len(sources) <= 1:
        return [compiled(source) for source in sources]
    try:
        return [Regex("|".join(f"(?:{source})" for source in sources))]
    except RefusedByRe2Error:
        middle = len(sources) // 2
        return _joined(sources[:middle]) + _joined(sources[middle:])


def is_template(pattern: str) -> bool:
    """Return whether `pattern` holds a `${…}`."""
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
            raise BadPatternError(f"something to fill in without |{FRAGMENT}")
        names = [f"_filled{number}" for number in range(len(self._placeholders))]
        # In a set, or after a backslash, what is filled in would be no group.
        filled = "".join(
            fixed + (f"(?<{name}>x)" if name else "") for fixed, name in zip(self._fixed, [*names, ""], strict=True)
        )
        expression(f"/{filled}/")
        if not set(names) <= _translated(filled).names:
            raise BadPatternError("something to fill in within a set or after a backslash")

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
        """Return whether `text` matches, with `values` filled in as in `filled`."""
        regex = self.filled(values, structured)
        return regex is not None and regex.matches(text)

    def filled(self, values: Mapping[str, str], structured: Mapping[str, Json] | None = None) -> Regex | None:
        """Return what matches with `values` filled in; None when nothing does, since one is missing or empty.

        `structured`: those of which functions see more than a text.
        """
        found = [placeholder.value(values, structured or {}) for placeholder in self._placeholders]
        if not all(found):
            return None
        texts = [*(value or "" for value in found), ""]
        if self._is_expression:
            return _filled("".join(part + value for part, value in zip(self._fixed, texts, strict=True)))
        source = "".join(_glob(part) + escaped(value) for part, value in zip(self._fixed, texts, strict=True))
        try:
            return compiled(source)
        except RefusedByRe2Error:
            return None


@lru_cache(maxsize=256)
def _filled(source: str) -> Regex | None:
    """Compile a regular expression with its values; None if RE2 does not run it with that many."""
    try:
        return Regex(translate(source).text)
    except (SyntaxRefusedError, RefusedByRe2Error):
        return None
