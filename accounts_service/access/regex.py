"""RE2, the only engine that runs patterns of the configuration; see docs/adr/0044.

Its time grows with the length of a text and not with the ways in which a
pattern could match it, so no caller can stop a worker with a name. The bindings
have no types; no other module imports them.
https://github.com/google/re2/wiki/Syntax
"""

from __future__ import annotations

from functools import lru_cache

import re2  # type: ignore[import-untyped]  # RE2 has no types

# Bytes, for a program and for what RE2 remembers while it runs one.
LARGEST = 4 * 1024 * 1024


class RefusedByRe2Error(ValueError):
    """RE2 does not compile it; the message says why and quotes nothing of it."""


class Regex:
    """A compiled regular expression in the syntax of RE2, which must match whole texts."""

    __slots__ = ("_compiled",)

    def __init__(self, source: str, *, capturing: bool = False) -> None:
        """Compile `source`; its groups capture only if `capturing`. Raises RefusedByRe2Error."""
        options = re2.Options()
        options.max_mem = LARGEST
        options.log_errors = False  # RE2 would write the pattern to standard error.
        options.never_capture = not capturing
        try:
            self._compiled = re2.compile(source, options=options)
        except re2.error as error:
            raise RefusedByRe2Error(_reason(error)) from None

    @property
    def groups(self) -> int:
        """The number of capturing groups."""
        return int(self._compiled.groups)

    def matches(self, text: str) -> bool:
        """Return whether the whole of `text` matches."""
        return self._compiled.fullmatch(_encoded(text)) is not None

    def captured(self, text: str) -> tuple[str, ...] | None:
        """Return the text of each group, empty for a group that took no part; None if `text` does not match."""
        match = self._compiled.fullmatch(_encoded(text))
        return None if match is None else tuple(map(_decoded, match.groups(b"")))


@lru_cache(maxsize=4096)
def compiled(source: str) -> Regex:
    """Compile `source` once for all that need it; no group captures. Raises RefusedByRe2Error."""
    return Regex(source)


def escaped(text: str) -> str:
    """Return what matches only `text`, in ASCII."""
    return "".join(
        char if char.isascii() and (char.isalnum() or char in "_/") else f"\\x{{{ord(char):x}}}" for char in text
    )


def _encoded(text: str) -> bytes:
    # Texts out of JSON may hold half of a surrogate pair, which is a character to Java.
    return text.encode("utf-8", "surrogatepass")


def _decoded(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogatepass")


def _reason(error: re2.error) -> str:
    raw = error.args[0]
    # After the colon RE2 quotes the pattern.
    words = (raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)).partition(":")[0]
    if words.startswith("pattern too large"):
        return f"more than {LARGEST // 1024 // 1024} MiB of memory"
    if words == "invalid repetition size":
        return "repetitions that come to more than 1000"
    if words == "invalid character class range":
        return "a class or range that RE2 does not know"
    return words
