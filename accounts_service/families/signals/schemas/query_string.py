"""The query string of Lucene, as people type it in Kibana and in scripts.

https://www.elastic.co/docs/reference/query-languages/query-dsl/query-dsl-query-string-query#query-string-syntax

What a table of whole values can answer: `field:value`, phrases, `AND`, `OR`, `NOT`, `+`, `-`, parentheses, `*` and
`?`, `_exists_:field`, ranges. Everything else is an error, as a search that passed it over would find something else.
Operators have no precedence, as in Lucene: each marks the clauses beside it as required or not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from accounts_service.families.signals.schemas.notes import LONGEST_PATTERN, Notes, fields_like, plain
from accounts_service.families.signals.schemas.queries import (
    NOTHING,
    Bool,
    Bound,
    Equal,
    Exists,
    Fields,
    MatchAll,
    Prefix,
    Query,
    Wild,
    Wildcard,
    wildcards,
)
from accounts_service.families.signals.schemas.ranges import read_range

# Each level costs this parser, the compiler and SQLite a few levels of their own.
DEEPEST = 16

_EXISTS = "_exists_"
_INNER = r"\\.|&(?!&)|\|(?!\|)|[^\s\\!():^\[\]\"{}~/&|"
_WORD = re.compile(rf"(?:{_INNER}+\-<>])(?:{_INNER}])*", re.DOTALL)
_PHRASE = re.compile(r'"((?:\\.|[^"\\])*)"', re.DOTALL)
_SPACE = re.compile(r"\s*")
_OPERATOR = re.compile(r"(AND|OR|NOT)(?![^\s()\"\[{+\-!])|&&|\|\||!")
_BOOST = re.compile(r"\^[0-9]{1,9}(\.[0-9]{1,9})?")
_COMPARED = re.compile(r"([<>]=?)\s*")
_BOUND = re.compile(r'"(?:\\.|[^"\\])*"|(?:\\.|[^\s\\\]}])+', re.DOTALL)
_TO = re.compile(r"\s+TO\s+")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_OPERATORS = ("AND", "OR", "NOT")
_SIDES = {">": Bound.GT, ">=": Bound.GTE, "<": Bound.LT, "<=": Bound.LTE}


class _BadStringError(Exception):
    """The string is not in the language; the message says why, without what was typed."""


class _Sign(Enum):
    REQUIRED = "+"
    PROHIBITED = "-"


@dataclass(slots=True)
class _Clause:
    """A part of a string, and whether it must match, must not, or (None) is one of several of which some must."""

    query: Query
    sign: _Sign | None


class Reader:
    """Reads query strings. `fields`: where to look for what names no field. `conjunction`: all words must match."""

    def __init__(  # noqa: PLR0913  # the options of a query, each by its name
        self, notes: Notes, where: str, fields: Fields, *, conjunction: bool, is_lenient: bool, begins_anyhow: bool
    ) -> None:
        self._notes = notes
        self._where = where
        self._fields = fields
        self._conjunction = conjunction
        self._is_lenient = is_lenient
        self._begins_anyhow = begins_anyhow
        self._text = ""
        self._position = 0

    def read(self, text: str) -> Query:
        """Read a string; what is wrong with it is noted. A blank one finds nothing."""
        self._text, self._position = text, 0
        if not text.strip():
            return NOTHING
        try:
            query = self._clauses(self._fields, 0)
            if self._position < len(text):
                raise _BadStringError("a parenthesis is closed that was not opened")
        except _BadStringError as error:
            self._notes.parsing(f"{self._where}: {error}, at character {self._position + 1}")
            return NOTHING
        return query

    # -- Clauses --------------------------------------------------------------

    def _clauses(self, fields: Fields, depth: int) -> Query:
        if depth > DEEPEST:
            raise _BadStringError(f"parentheses stand deeper than {DEEPEST} within each other")
        clauses: list[_Clause] = []
        while self._skip_space() and not self._text.startswith(")", self._position):
            operator = self._operator(("AND", "&&", "OR", "||"))
            if operator and not clauses:
                raise _BadStringError("an operator has nothing before it")
            sign = self._sign()
            if self._position == len(self._text) or self._text[self._position] == ")":
                raise _BadStringError("an operator has nothing behind it")
            self._add(clauses, operator, sign, self._clause(fields, depth))
        if not clauses:
            raise _BadStringError("there is nothing within parentheses")
        return _together(clauses)

    def _add(self, clauses: list[_Clause], operator: str, sign: _Sign | None, query: Query) -> None:
        # The rule of Lucene's classic parser: an operator is about the clause before it, too.
        is_and, is_or = operator in ("AND", "&&"), operator in ("OR", "||")
        if is_and and clauses[-1].sign is None:
            clauses[-1].sign = _Sign.REQUIRED
        if is_or and self._conjunction and clauses[-1].sign is _Sign.REQUIRED:
            clauses[-1].sign = None
        if sign is None and (is_and or (self._conjunction and not is_or)):
            sign = _Sign.REQUIRED
        clauses.append(_Clause(query, sign))

    def _operator(self, operators: tuple[str, ...]) -> str:
        found = _OPERATOR.match(self._text, self._position)
        if found is None or found[0] not in operators:
            return ""
        self._position = found.end()
        self._skip_space()
        return found[0]

    def _sign(self) -> _Sign | None:
        if self._operator(("NOT", "!")):
            return _Sign.PROHIBITED
        sign = self._text[self._position : self._position + 1]
        if sign not in ("+", "-"):
            return None
        self._position += 1
        self._skip_space()
        return _Sign(sign)

    def _clause(self, fields: Fields, depth: int) -> Query:
        word = _WORD.match(self._text, self._position)
        after = _SPACE.match(self._text, word.end()) if word else None
        if word and after and self._text.startswith(":", after.end()):
            self._position = after.end() + 1
            self._skip_space()
            if word[0] == _EXISTS:
                return self._counted(Exists((plain(_plainly(self._word())),)))
            fields = self._named(word[0])
        query = self._value(fields, depth)
        boost = _BOOST.match(self._text, self._position)
        if boost:
            self._position = boost.end()
        if self._text[self._position : self._position + 1] in ("~", "^"):
            raise _BadStringError("fuzzy words, and words near each other, are not supported")
        return query

    def _named(self, name: str) -> Fields:
        if name == "*":
            return None
        # An escaped star stands for any characters of a name.
        return fields_like((_plainly(name),)) if "*" in name else (plain(_plainly(name)),)

    def _value(self, fields: Fields, depth: int) -> Query:
        text, position = self._text, self._position
        match text[position : position + 1]:
            case "(":
                self._position += 1
                query = self._clauses(fields, depth + 1)
                if not text.startswith(")", self._position):
                    raise _BadStringError("a parenthesis is not closed")
                self._position += 1
                return query
            case '"':
                return self._counted(Equal(fields, self._phrase(), any_case=True))
            case "[" | "{":
                return self._range(fields)
            case "/":
                raise _BadStringError("regular expressions are not supported; a slash needs a backslash before it")
            case "<" | ">":
                return self._compared(fields)
            case _:
                return self._counted(self._term(fields, self._word()))

    def _counted(self, query: Query) -> Query:
        self._notes.clause()
        return query

    # -- Values ---------------------------------------------------------------

    def _word(self) -> str:
        word = _WORD.match(self._text, self._position)
        if word is None:
            raise _BadStringError("no word begins with this character, unless a backslash precedes it")
        self._position = word.end()
        return word[0]

    def _phrase(self) -> str:
        phrase = _PHRASE.match(self._text, self._position)
        if phrase is None:
            raise _BadStringError("a quotation mark is not closed")
        self._position = phrase.end()
        return _plainly(phrase[1])

    def _term(self, fields: Fields, word: str) -> Query:
        if word in _OPERATORS:
            raise _BadStringError("an operator stands where a word should; a backslash makes it one")
        pattern = wildcards(word)
        if pattern == (Wild.ANY,):
            return Exists(fields) if fields is not None else MatchAll()
        if not any(isinstance(part, Wild) for part in pattern):
            return Equal(fields, _plainly(word), any_case=True)
        if len(word) > LONGEST_PATTERN:
            raise _BadStringError(f"a pattern has at most {LONGEST_PATTERN} characters")
        match pattern:
            case (str(beginning), Wild.ANY):
                return Prefix(fields, beginning, any_case=True)
            case (Wild(), *_) if not self._begins_anyhow:
                raise _BadStringError("a pattern must not begin with [*] or [?]")
            case _:
                return Wildcard(fields, pattern, any_case=True)

    def _range(self, fields: Fields) -> Query:
        low = Bound.GTE if self._text[self._position] == "[" else Bound.GT
        self._position += 1
        bounds = [(low, self._bound())]
        between = _TO.match(self._text, self._position)
        if between is None:
            raise _BadStringError("a range has [TO] between its ends")
        self._position = between.end()
        upper = self._bound()
        self._skip_space()
        closing = self._text[self._position : self._position + 1]
        if closing not in ("]", "}"):
            raise _BadStringError("a range is not closed")
        self._position += 1
        bounds.append((Bound.LTE if closing == "]" else Bound.LT, upper))
        return self._within(fields, [(bound, value) for bound, value in bounds if value is not None])

    def _bound(self) -> str | None:
        """Read an end of a range; None for an open one."""
        self._skip_space()
        bound = _BOUND.match(self._text, self._position)
        if bound is None:
            raise _BadStringError("a range has two ends")
        self._position = bound.end()
        quoted = _PHRASE.fullmatch(bound[0])
        return None if bound[0] == "*" else _plainly(quoted[1] if quoted else bound[0])

    def _compared(self, fields: Fields) -> Query:
        sign = _COMPARED.match(self._text, self._position)
        if sign is None:
            raise _BadStringError("a comparison has a value")
        self._position = sign.end()
        is_quoted = self._text.startswith('"', self._position)
        return self._within(fields, [(_SIDES[sign[1]], self._phrase() if is_quoted else _plainly(self._word()))])

    def _within(self, fields: Fields, bounds: list[tuple[Bound, str]]) -> Query:
        if fields is None:
            raise _BadStringError("a range needs a field")
        return _any_of(
            [
                self._counted(read_range(self._notes, self._where, field, bounds, is_lenient=self._is_lenient))
                for field in fields
            ]
        )

    # -- Characters -----------------------------------------------------------

    def _skip_space(self) -> bool:
        """Pass over blanks; returns whether anything is left."""
        space = _SPACE.match(self._text, self._position)
        self._position = self._position if space is None else space.end()
        return self._position < len(self._text)


def _plainly(text: str) -> str:
    return _ESCAPED.sub(r"\1", text)


def _any_of(queries: list[Query]) -> Query:
    return queries[0] if len(queries) == 1 else Bool(should=tuple(queries), minimum=1)


def _together(clauses: list[_Clause]) -> Query:
    must, should, must_not = (
        tuple(clause.query for clause in clauses if clause.sign is sign)
        for sign in (_Sign.REQUIRED, None, _Sign.PROHIBITED)
    )
    if len(clauses) == 1 and not must_not:
        return clauses[0].query
    return Bool(must, should, must_not, 1 if should and not must else 0)
