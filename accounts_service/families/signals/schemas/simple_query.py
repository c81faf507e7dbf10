"""The query string of a search box, as Kibana sends it.

https://www.elastic.co/guide/en/elasticsearch/reference/current/query-dsl-simple-query-string-query.html

`+` and, `|` or, `-` not, `"…"` a phrase, `*` at the end of a word any ending,
parentheses, and a backslash before what shall mean itself. Operators have no
precedence: what stands on the left is one operand. Nothing is an error, as a
person types it: what makes no sense is passed over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from accounts_service.families.signals.schemas.queries import (
    NOTHING,
    Bool,
    Equal,
    Fields,
    MatchAll,
    Prefix,
    Query,
)

# Each level costs the parser, the compiler and SQLite a few levels of their own.
DEEPEST = 16

_OPERATORS = frozenset('+|()"')


class TooDeepError(Exception):
    """More within each other than `DEEPEST`: parentheses, or operators that take turns."""


@dataclass(slots=True)
class _Level:
    """What is between two parentheses, as far as it has been read."""

    left: Query | None = None
    conjunction: bool | None = None
    negated: bool = False

    def take(self, operand: Query | None, *, otherwise: bool) -> None:
        """Put the next operand to what is there, by the operator before it or else by the default one."""
        if operand is not None:
            operand = Bool(must_not=(operand,)) if self.negated else operand
            conjunction = otherwise if self.conjunction is None else self.conjunction
            self.left = operand if self.left is None else _joined(self.left, operand, conjunction=conjunction)
        self.conjunction, self.negated = None, False


def _joined(left: Query, right: Query, *, conjunction: bool) -> Query:
    # Flat while the operator stays the same: a chain must not become a tower.
    match left:
        case Bool(must=(_, *_), should=(), must_not=()) if conjunction:
            return Bool(must=(*left.must, right))
        case Bool(must=(), should=(_, *_), must_not=()) if not conjunction:
            return Bool(should=(*left.should, right), minimum=1)
        case _ if conjunction:
            return Bool(must=(left, right))
        case _:
            return Bool(should=(left, right), minimum=1)


def parse(  # noqa: C901  # one branch a character that means something
    text: str, fields: Fields, *, conjunction: bool, counted: Callable[[], None]
) -> Query:
    """Read a query string; `conjunction`: words without an operator between them must all match.

    `counted` is called for each clause. Raises TooDeepError.
    """
    if text.strip() == "*":
        return MatchAll()
    levels = [_Level()]
    position = 0
    while position < len(text):
        char = text[position]
        if char == "(":
            if len(levels) > DEEPEST:
                raise TooDeepError
            levels.append(_Level())
        elif char == ")" and len(levels) > 1:
            inner = levels.pop().left
            levels[-1].take(inner, otherwise=conjunction)
        elif char in "+|":
            levels[-1].conjunction = char == "+"
        elif char == "-":
            levels[-1].negated = not levels[-1].negated
        elif not char.isspace() and char != ")":
            word, wild, position = _phrase(text, position) if char == '"' else _word(text, position)
            if word or wild:
                counted()
            levels[-1].take(_operand(word, fields, wild=wild), otherwise=conjunction)
            continue
        position += 1
    while len(levels) > 1:
        inner = levels.pop().left
        levels[-1].take(inner, otherwise=conjunction)
    query = NOTHING if levels[0].left is None else levels[0].left
    if _depth(query) > 2 * DEEPEST:
        raise TooDeepError
    return query


def _depth(query: Query) -> int:
    # Level by level: `a|b+c|d+…` is as deep as it is long, and each level is a call of Python's in what compiles it.
    depth, level = 0, [query]
    while level:
        depth += 1
        level = [part for one in level if isinstance(one, Bool) for part in (*one.must, *one.should, *one.must_not)]
    return depth


def _operand(word: str, fields: Fields, *, wild: bool) -> Query | None:
    if wild:
        return Prefix(fields, word, any_case=True) if word else MatchAll()
    return Equal(fields, word, any_case=True) if word else None


def _word(text: str, position: int) -> tuple[str, bool, int]:
    """Read a word; returns it without escapes, whether it goes on anyhow, and where it ends."""
    word, wild = "", False
    while position < len(text) and not (text[position].isspace() or text[position] in _OPERATORS):
        escaped = text[position] == "\\" and position + 1 < len(text)
        position += escaped
        wild = text[position] == "*" and not escaped
        word += text[position]
        position += 1
    return (word[:-1] if wild else word), wild, position


def _phrase(text: str, position: int) -> tuple[str, bool, int]:
    """Read a phrase, to its second quotation mark or to the end; what `_word` returns."""
    phrase = ""
    position += 1
    while position < len(text) and text[position] != '"':
        position += text[position] == "\\" and position + 1 < len(text)
        phrase += text[position]
        position += 1
    wild = text[position + 1 : position + 2] == "*"
    return phrase, wild, position + 1 + wild
