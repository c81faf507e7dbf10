r"""Regular expressions as Search Guard reads them, written for RE2 with the same meaning, or refused.

Search Guard runs java.util.regex. What both read alike is passed on, what can
be written exactly is rewritten (`.`, `\s`, `\h`, `(?i)` …), and all else is
refused with its place: an expression never silently means something else.
https://docs.oracle.com/en/java/javase/21/docs/api/java.base/java/util/regex/Pattern.html
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from accounts_service.access.regex import escaped

_MOST_REPEATED = 1000  # RE2's limit.

_NAME = re.compile(r"\?P?<([A-Za-z_][A-Za-z0-9_]*)>")
_FLAGS = re.compile(r"\?([a-zA-Z]*)(?:-([a-zA-Z]+))?([:)])")
_REPEATED = re.compile(r"\{([0-9]+)(?:(,)([0-9]*))?\}")
_CODE = re.compile(r"x\{([0-9A-Fa-f]{1,6})\}|x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})")
_SET = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
_PROPERTY = re.compile(r"\{([A-Za-z_]+)\}|([A-Z])")

_LOOKS = (
    ("?=", "a look-ahead"),
    ("?!", "a look-ahead"),
    ("?<=", "a look-behind"),
    ("?<!", "a look-behind"),
    ("?>", "an atomic group"),
    ("?P=", "a back-reference"),
    ("?(", "a condition"),
    ("?#", "a comment"),
)
# Sets as Java has them, each with its complement. RE2's \s lacks \x0b, and its dot is any character but a line feed.
_SETS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "d": (r"\d", r"\D"),
        "w": (r"\w", r"\W"),
        "s": (r"\t-\r ", r"\x00-\x08\x0e-\x1f!-\x{10ffff}"),
        "h": (
            r"\t \xa0\x{1680}\x{180e}\x{2000}-\x{200a}\x{202f}\x{205f}\x{3000}",
            (
                r"\x00-\x08\n-\x1f!-\x{9f}\x{a1}-\x{167f}\x{1681}-\x{180d}\x{180f}-\x{1fff}\x{200b}-\x{202e}"
                r"\x{2030}-\x{205e}\x{2060}-\x{2fff}\x{3001}-\x{10ffff}"
            ),
        ),
        "v": (r"\n-\r\x{85}\x{2028}\x{2029}", r"\x00-\t\x0e-\x{84}\x{86}-\x{2027}\x{202a}-\x{10ffff}"),
    }
)
_ANY = r"[\x00-\x{10ffff}]"
_DOT = r"[^\n\r\x{85}\x{2028}\x{2029}]"
_SIGNS: Mapping[str, str] = MappingProxyType(
    {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "a": "\a", "e": "\x1b"},
)
# Java's names of ASCII's classes are those of RE2 in lower case.
_CLASSES = frozenset(
    ("Alpha", "Digit", "Alnum", "Punct", "Graph", "Print", "Blank", "Cntrl", "XDigit", "Space", "ASCII")
)
_CASED = frozenset(("Lower", "Upper"))
_CASED_CATEGORIES = frozenset(("Lu", "Ll", "Lt"))


class SyntaxRefusedError(ValueError):
    """Something in an expression that RE2 cannot run as Java would; the message says what and where."""

    def __init__(self, what: str, position: int) -> None:
        super().__init__(f"{what} at character {position + 1}")


@dataclass(frozen=True, slots=True)
class Translated:
    """An expression in the syntax of RE2. `names`: of its groups; `repeated`: the groups that may match repeatedly."""

    text: str
    names: frozenset[str]
    repeated: tuple[str, ...]


def translate(source: str) -> Translated:
    """Return `source` in the syntax of RE2. Raises SyntaxRefusedError."""
    return _Translator(source).translated()


@dataclass(slots=True)
class _Translator:
    source: str
    _names: set[str] = field(default_factory=set)
    _at: int = 0
    _folds: bool = False
    _dot_is_all: bool = False
    # The flags outside each group that is open.
    _outside: list[tuple[bool, bool]] = field(default_factory=list)

    def translated(self) -> Translated:
        parts: list[str] = []
        opened: list[int] = []
        group, repeated = 0, list[str]()
        repeatable = False
        while self._at < len(self.source):
            char = self.source[self._at]
            if char in "*+?" or (char == "{" and self.source[self._at + 1 : self._at + 2] in {*string.digits, ","}):
                if not repeatable:
                    raise self._refused("a repetition of nothing or of a repetition")
                if parts[-1] == ")" and char != "?":
                    repeated.append("".join(parts[group:]))
                parts.append(self._repetition())
                repeatable = False
                continue
            part = self._part(char)
            if part.startswith("("):
                opened.append(len(parts))
            elif part == ")":
                group = opened.pop()
            parts.append(part)
            repeatable = part not in ("", "|") and not part.startswith("(") and part not in ("^", r"\b", r"\B", r"\z")
        if self._outside:
            raise self._refused("a group without its )")
        return Translated("".join(parts), frozenset(self._names), tuple(repeated))

    def _refused(self, what: str, at: int | None = None) -> SyntaxRefusedError:
        return SyntaxRefusedError(what, self._at if at is None else at)

    def _took(self, text: str, length: int = 1) -> str:
        self._at += length
        return text

    def _part(self, char: str) -> str:  # noqa: PLR0911  # one case a sign
        match char:
            case "(":
                return self._opened()
            case ")":
                if not self._outside:
                    raise self._refused("a ) without a (")
                self._folds, self._dot_is_all = self._outside.pop()
                return self._took(")")
            case "[":
                return self._set()
            case "\\":
                return self._escape()
            case ".":
                return self._took(_ANY if self._dot_is_all else _DOT)
            case "^" | "|":
                return self._took(char)
            case "$":
                self._require_end(self._at + 1)
                return self._took(r"\z")
            case _:
                return self._took(self._literal(char))

    def _literal(self, char: str) -> str:
        # Java folds ASCII alone, RE2 all letters: to RE2 a long s would be an s.
        if self._folds and char.isascii() and char.isalpha():
            return f"[{char.lower()}{char.upper()}]"
        return escaped(char)

    # -- Groups ---------------------------------------------------------------

    def _opened(self) -> str:
        start, rest = self._at, self.source[self._at + 1 :]
        for beginning, what in _LOOKS:
            if rest.startswith(beginning):
                raise self._refused(what)
        outside = (self._folds, self._dot_is_all)
        if not rest.startswith("?"):
            self._outside.append(outside)
            return self._took("(")
        if (name := _NAME.match(rest)) is not None:
            if name[1] in self._names:
                raise self._refused("a second group of one name")
            self._names.add(name[1])
            self._outside.append(outside)
            return self._took("(", 1 + name.end())
        flags = _FLAGS.match(rest)
        if flags is None or not set(flags[1]) | set(flags[2] or "") <= {"i", "s"}:
            raise self._refused("a kind of group that RE2 does not run, or a flag other than i and s", start)
        self._folds = ("i" in flags[1] or self._folds) and "i" not in (flags[2] or "")
        self._dot_is_all = ("s" in flags[1] or self._dot_is_all) and "s" not in (flags[2] or "")
        self._at += 1 + flags.end()
        if flags[3] == ")":
            return ""
        self._outside.append(outside)
        return "(?:"

    def _repetition(self) -> str:
        start = self._at
        if self.source[start] == "{":
            bounds = _REPEATED.match(self.source, start)
            if bounds is None:
                raise self._refused("a repetition that is not written {n}, {n,} or {n,m}")
            least, most = int(bounds[1]), int(bounds[3] or bounds[1])
            if max(least, most) > _MOST_REPEATED:
                raise self._refused(f"a repetition of more than {_MOST_REPEATED}")
            if least > most:
                raise self._refused("a repetition whose least is more than its most")
            text = bounds[0]
        else:
            text = self.source[start]
        self._at += len(text)
        if self.source.startswith("?", self._at):
            return self._took(f"{text}?")
        if self.source.startswith("+", self._at):
            raise self._refused("a possessive repetition", start)
        return text

    def _require_end(self, at: int) -> None:
        """Refuse an end that more can follow: Java has it also before a last line break, RE2 has not."""
        start, depth = self._at, 0
        skipped = False  # Within other alternatives of a group in which the end is.
        while at < len(self.source):
            char = self.source[at]
            if char == ")":
                skipped = skipped and depth > 0
                depth = max(0, depth - 1)
            elif not skipped and char not in "$|":
                raise self._refused("an end of the text with something after it", start)
            elif char == "|":
                skipped = True
            elif char == "(":
                depth += 1
            elif char == "\\":
                at += 1
            elif char == "[" and (whole := _SET.match(self.source, at)) is not None:
                at = whole.end() - 1
            at += 1

    # -- Escapes --------------------------------------------------------------

    def _escape(self) -> str:  # noqa: PLR0911  # one case an escape
        start = self._at
        char = self.source[start + 1 : start + 2]
        if char.lower() in _SETS:
            return f"[{self._class_of(char)}]"
        if char in ("p", "P"):
            return f"[{self._property()}]"
        match char:
            case "b" | "B":
                return self._took(f"\\{char}", 2)
            case "A":
                return self._took("^", 2)
            case "z":
                return self._took(r"\z", 2)
            case "Z":
                self._require_end(start + 2)
                return self._took(r"\z", 2)
            case "Q":
                end = self.source.find("\\E", start)
                quoted = self.source[start + 2 :] if end < 0 else self.source[start + 2 : end]
                self._at = len(self.source) if end < 0 else end + 2
                return "".join(map(self._literal, quoted))
            case _:
                return self._literal(self._sign())

    def _class_of(self, char: str) -> str:
        return self._took(_SETS[char.lower()][char.isupper()], 2)

    def _sign(self) -> str:
        """Read an escape that means one character."""
        char = self.source[self._at + 1 : self._at + 2]
        if char in _SIGNS:
            return self._took(_SIGNS[char], 2)
        code = _CODE.match(self.source, self._at + 1)
        if code is not None:
            number = int(code[1] or code[2] or code[3], 16)
            if number <= 0x10FFFF and not 0xD800 <= number < 0xE000:
                return self._took(chr(number), 1 + len(code[0]))
        if char == "k" or (char and char in "123456789"):
            raise self._refused("a back-reference")
        if not char or (char.isascii() and char.isalnum()):
            raise self._refused("an escape that RE2 does not know")
        return self._took(char, 2)

    def _property(self) -> str:
        found = _PROPERTY.match(self.source, self._at + 2)
        if found is None:
            raise self._refused("a class of characters that RE2 does not know")
        negated, name = self.source[self._at + 1] == "P", found[1] or found[2]
        plain = name.removeprefix("Is")
        if self._folds and (name in _CASED or plain in _CASED_CATEGORIES):
            raise self._refused("a class of letters of one case under the flag i")
        if name in _CLASSES | _CASED:
            text = f"[:{'^' if negated else ''}{name.lower()}:]"
        elif len(plain) <= 2 or plain != name:  # A general category, or a script.
            text = f"\\{'P' if negated else 'p'}{{{plain}}}"
        else:
            raise self._refused("a class of characters that RE2 does not know")
        return self._took(text, 2 + len(found[0]))

    # -- Sets -----------------------------------------------------------------

    def _set(self) -> str:
        start = self._at
        self._at += 1
        negated = self.source.startswith("^", self._at)
        self._at += negated
        items: list[str] = []
        while True:
            char = self.source[self._at : self._at + 1]
            if not char:
                raise self._refused("a set without its ]", start)
            if char == "]" and items:
                self._at += 1
                return f"[{'^' if negated else ''}{''.join(items)}]"
            items.append(self._item())

    def _item(self) -> str:
        following = self.source[self._at + 1 : self._at + 2]
        if self.source[self._at] == "[":
            raise self._refused("a set within a set")
        if self.source.startswith("&&", self._at):
            raise self._refused("an intersection of sets")
        if self.source[self._at] == "\\":
            if following.lower() in _SETS:
                return self._class_of(following)
            if following in ("p", "P"):
                return self._property()
        start = self._at
        first = self._member()
        ahead = self.source[self._at : self._at + 2]
        if len(ahead) < 2 or ahead[0] != "-" or ahead[1] == "]":
            return self._spread(first, first)
        self._at += 1
        if ahead[1] == "[" or self.source[self._at : self._at + 2].lower() in {f"\\{name}" for name in (*_SETS, "p")}:
            raise self._refused("a range to a set", start)
        last = self._member()
        if first > last:
            raise self._refused("a range from its end", start)
        return self._spread(first, last)

    def _member(self) -> str:
        char = self.source[self._at]
        return self._sign() if char == "\\" else self._took(char)

    def _spread(self, first: str, last: str) -> str:
        text = f"{escaped(first)}-{escaped(last)}" if first != last else escaped(first)
        if not self._folds:
            return text
        for letters, other in (
            (string.ascii_lowercase, str.upper),
            (string.ascii_uppercase, str.lower),
        ):
            low, high = max(first, letters[0]), min(last, letters[-1])
            if low <= high:
                text += f"{other(low)}-{other(high)}"
        return text
