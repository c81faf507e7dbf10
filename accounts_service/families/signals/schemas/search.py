"""What a search asks for: the query language of Elasticsearch, as far as accounts need it.

https://www.elastic.co/guide/en/elasticsearch/reference/current/query-dsl.html
— every attribute is a keyword: it is compared as a whole, not word by word.
`.keyword` after a field's name changes nothing. What is not known here is
refused by its name, and everything that is wrong is told at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

from accounts_service.families.signals.schemas.accounts import SCHEMAS
from accounts_service.faults import BadSearch, Json, RefusedError

WINDOW = 10_000
_MOST_CLAUSES = 256
_MOST_VALUES = 1000
_LONGEST_PATTERN = 1000
_SIZE = 10
_SHORTEST_SCROLL_MS, _LONGEST_SCROLL_MS = 1000, 24 * 3600 * 1000

PARSING = "parsing_exception"
ILLEGAL = "illegal_argument_exception"
_NO_MAPPING = "query_shard_exception"

# What can be sorted by. Secrets are no fields: nothing finds or orders them.
FIELDS = frozenset(
    (
        *("_name", "type", "_tenant"),
        *(name for schema in SCHEMAS.values() for name in schema.fields if name not in schema.marked("secret")),
    )
)


class Wild(Enum):
    """What stands for other characters in a pattern."""

    ONE = "?"
    MANY = "*"


Pattern: TypeAlias = tuple["str | Wild", ...]


@dataclass(frozen=True, slots=True)
class MatchAll:
    """Every account."""


@dataclass(frozen=True, slots=True)
class Equals:
    """Some value of the fields (none: of any) is one of `values`; `folded`: in any case."""

    fields: tuple[str, ...]
    values: tuple[str, ...]
    folded: bool


@dataclass(frozen=True, slots=True)
class Like:
    """Some value of the fields (none: of any) is as the pattern; `folded`: in any case."""

    fields: tuple[str, ...]
    pattern: Pattern
    folded: bool


@dataclass(frozen=True, slots=True)
class Has:
    """The field has a value."""

    field: str


@dataclass(frozen=True, slots=True)
class Ids:
    """The account has one of these ids."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AllOf:
    """Each of these holds."""

    parts: tuple[Query, ...]


@dataclass(frozen=True, slots=True)
class AtLeast:
    """`least` of these hold."""

    parts: tuple[Query, ...]
    least: int


@dataclass(frozen=True, slots=True)
class Not:
    """This does not hold."""

    part: Query


Query: TypeAlias = "MatchAll | Equals | Like | Has | Ids | AllOf | AtLeast | Not"


@dataclass(frozen=True, slots=True)
class Order:
    """One key of the sort. `_score` and `_doc` are the same for all accounts."""

    field: str
    descending: bool = False
    missing_first: bool = False


@dataclass(frozen=True, slots=True)
class Shown:
    """Which attributes a hit shows, by patterns; `includes` empty: all."""

    nothing: bool = False
    includes: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()

    def of(self, source: dict[str, Json]) -> dict[str, Json]:
        """Leave out of `source` what is not asked for."""
        return {
            name: value
            for name, value in source.items()
            if (not self.includes or any(_fits(name, pattern) for pattern in self.includes))
            and not any(_fits(name, pattern) for pattern in self.excludes)
        }


def _fits(name: str, pattern: str) -> bool:
    # No classes of characters, as with Elasticsearch.
    return fnmatchcase(name, pattern.replace("[", "[[]"))


@dataclass(frozen=True, slots=True)
class Search:
    """A search as it was asked for. `scroll_ms`: how long its cursor is to hold, if it wants one."""

    query: Query = MatchAll()
    start: int = 0
    size: int = _SIZE
    order: tuple[Order, ...] = ()
    shown: Shown = Shown()
    scroll_ms: int | None = None

    @classmethod
    def of(cls, body: Json, parameters: Mapping[str, str]) -> Search:
        """Read a body (None: none was sent) and `from`, `size`, `scroll` of the URL, which win.

        Raises RefusedError(BadSearch) with everything that is wrong.
        """
        return _Reader().search(body, parameters)


def lifetime(text: str) -> int:
    """Read how long a cursor is to hold (`60s`), in milliseconds. Raises RefusedError(BadSearch)."""
    reader = _Reader()
    milliseconds = reader.scroll(text)
    reader.end()
    return milliseconds


class _Reader:
    """Reads a search and keeps what is wrong with it."""

    def __init__(self) -> None:
        self.problems: list[tuple[str, str]] = []
        self.clauses = 0

    def wrong(self, reason: str, kind: str = PARSING) -> None:
        self.problems.append((kind, reason))

    def end(self) -> None:
        if self.problems:
            raise RefusedError(BadSearch(tuple(self.problems)))

    def search(self, body: Json, parameters: Mapping[str, str]) -> Search:
        document = self.mapping(body if body is not None else {}, "the body")
        for name in document.keys() - {"query", "from", "size", "sort", "_source"}:
            self.wrong(f"Unknown key [{name}]; known are query, from, size, sort and _source")
        scroll = parameters.get("scroll")
        search = Search(
            self.query(document["query"]) if document.get("query") is not None else MatchAll(),
            self.number("from", document, parameters, 0),
            self.number("size", document, parameters, _SIZE),
            self.order(document.get("sort")),
            self.source(document.get("_source")),
            None if scroll is None else self.scroll(scroll),
        )
        self.window(search)
        self.end()
        return search

    # -- the page -------------------------------------------------------------

    def number(self, name: str, document: Mapping[str, Json], parameters: Mapping[str, str], otherwise: int) -> int:
        text = parameters.get(name)
        if text is not None and text != "-1":
            if not re.fullmatch(r"[0-9]{1,9}", text):
                self.wrong(f"Failed to parse [{name}] with value [{text}]; a whole number from 0", ILLEGAL)
                return otherwise
            return int(text)
        value = document.get(name)
        if value is None:
            return otherwise
        return self.whole(value, f"[{name}]", otherwise)

    def whole(self, value: Json, what: str, otherwise: int) -> int:
        # 25.0 is a whole number, as in JSON Schema.
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0 or value != int(value):
            self.wrong(f"{what} must be a whole number from 0")
            return otherwise
        return int(value)

    def window(self, search: Search) -> None:
        if search.start + search.size > WINDOW:
            self.wrong(
                f"Result window is too large, from + size must be less than or equal to: [{WINDOW}] "
                f"but was [{search.start + search.size}]. See the scroll api for a more efficient way.",
                ILLEGAL,
            )
        if search.scroll_ms is not None and search.start:
            self.wrong("using [from] is not allowed in a scroll context", ILLEGAL)
        if search.scroll_ms is not None and not search.size:
            self.wrong("[size] cannot be [0] in a scroll context", ILLEGAL)

    def scroll(self, text: str) -> int:
        found = re.fullmatch(r"([0-9]{1,9})(ms|s|m|h|d)", text)
        unit = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
        milliseconds = int(found[1]) * unit[found[2]] if found else 0
        if not _SHORTEST_SCROLL_MS <= milliseconds <= _LONGEST_SCROLL_MS:
            self.wrong(f"Failed to parse [scroll] with value [{text[:100]}]; a time from 1s to 24h", ILLEGAL)
        return milliseconds

    def order(self, sort: Json) -> tuple[Order, ...]:
        keys = sort if isinstance(sort, list) else [] if sort is None else [sort]
        if len(keys) > len(FIELDS):
            self.wrong(f"[sort] takes at most {len(FIELDS)} keys", ILLEGAL)
            return ()
        return tuple(order for key in keys for order in self._keys(key))

    def _keys(self, key: Json) -> Iterator[Order]:
        if isinstance(key, str):
            key = {key: {}}
        for field, options in self.mapping(key, "[sort]").items():
            if isinstance(options, str):
                options = {"order": options}  # noqa: PLW2901  # the short form
            named = self.mapping(options, f"[sort] of [{field}]")
            self.only(named, {"order", "missing", "unmapped_type", "mode"}, f"[sort] of [{field}]")
            direction = self.one_of(named, "order", ("asc", "desc"), "desc" if field == "_score" else "asc")
            missing = self.one_of(named, "missing", ("_last", "_first"), "_last")
            name = _plain(field)
            if name not in FIELDS | {"_score", "_doc"} and "unmapped_type" not in named:
                self.wrong(f"No mapping found for [{field}] in order to sort on", _NO_MAPPING)
            yield Order(name, direction == "desc", missing == "_first")

    def source(self, value: Json) -> Shown:
        if value is None or value is True:
            return Shown()
        if value is False:
            return Shown(nothing=True)
        if isinstance(value, dict):
            self.only(value, {"includes", "excludes", "include", "exclude"}, "[_source]")
            includes = self.texts(value.get("includes", value.get("include", [])), "[_source] includes")
            return Shown(
                includes=includes,
                excludes=self.texts(value.get("excludes", value.get("exclude", [])), "[_source] excludes"),
            )
        return Shown(includes=self.texts(value, "[_source]"))

    # -- the query -------------------------------------------------------------

    def query(self, value: Json) -> Query:
        self.clauses += 1
        if self.clauses == _MOST_CLAUSES + 1:
            self.wrong(f"too many clauses: at most {_MOST_CLAUSES}", ILLEGAL)
        if self.clauses > _MOST_CLAUSES:
            return MatchAll()
        document = self.mapping(value, "a query")
        if len(document) != 1:
            if isinstance(value, dict):
                self.wrong(f"a query has one name, not {len(document)}")
            return MatchAll()
        ((name, inner),) = document.items()
        read = _QUERIES.get(name)
        if read is None:
            self.wrong(f"unknown query [{name}]")
            return MatchAll()
        return read(self, inner)

    def match_all(self, value: Json) -> Query:
        self.only(self.mapping(value, "[match_all]"), {"boost", "_name"}, "[match_all]")
        return MatchAll()

    def match_none(self, value: Json) -> Query:
        self.only(self.mapping(value, "[match_none]"), {"boost", "_name"}, "[match_none]")
        return Not(MatchAll())

    def match(self, value: Json) -> Query:
        field, options = self.about_a_field(value, "match", "query", {"operator", "boost", "_name"})
        return Equals((field,), (_folded(self.text(options, "query", "[match]")),), folded=True)

    def term(self, value: Json) -> Query:
        field, options = self.about_a_field(value, "term", "value", {"case_insensitive", "boost", "_name"})
        text, folded = self.text(options, "value", "[term]"), self.flag(options, "case_insensitive")
        return Equals((field,), (_folded(text) if folded else text,), folded)

    def terms(self, value: Json) -> Query:
        document = dict(self.mapping(value, "[terms]"))
        for name in ("boost", "_name"):
            document.pop(name, None)
        if len(document) != 1:
            self.wrong("[terms] takes one field")
            return MatchAll()
        ((field, values),) = document.items()
        return Equals((_plain(field),), self.texts(values, "[terms]", listed=True), folded=False)

    def ids(self, value: Json) -> Query:
        document = self.mapping(value, "[ids]")
        self.only(document, {"values", "boost", "_name"}, "[ids]")
        return Ids(self.texts(document.get("values", []), "[ids]"))

    def prefix(self, value: Json) -> Query:
        field, options = self.about_a_field(value, "prefix", "value", {"case_insensitive", "boost", "_name"})
        text, folded = self.text(options, "value", "[prefix]"), self.flag(options, "case_insensitive")
        return Like((field,), self.pattern((_folded(text) if folded else text, Wild.MANY)), folded)

    def wildcard(self, value: Json) -> Query:
        options = {"wildcard", "case_insensitive", "boost", "_name", "rewrite"}
        field, named = self.about_a_field(value, "wildcard", "value", options)
        key = "wildcard" if "wildcard" in named else "value"
        text, folded = self.text(named, key, "[wildcard]"), self.flag(named, "case_insensitive")
        return Like((field,), self.pattern(_wild(_folded(text) if folded else text)), folded)

    def exists(self, value: Json) -> Query:
        document = self.mapping(value, "[exists]")
        self.only(document, {"field", "boost", "_name"}, "[exists]")
        return Has(_plain(self.text(document, "field", "[exists]")))

    def boolean(self, value: Json) -> Query:
        document = self.mapping(value, "[bool]")
        self.only(
            document, {"must", "filter", "should", "must_not", "minimum_should_match", "boost", "_name"}, "[bool]"
        )
        must = (*self.several(document, "must"), *self.several(document, "filter"))
        should, must_not = self.several(document, "should"), self.several(document, "must_not")
        least = document.get("minimum_should_match", 0 if must or not should else 1)
        least = self.whole(least, "[bool] minimum_should_match", 0)
        optional = (AtLeast(should, least),) if least else ()
        return AllOf((*must, *optional, *(Not(part) for part in must_not)))

    def several(self, document: Mapping[str, Json], name: str) -> tuple[Query, ...]:
        value = document.get(name, [])
        return tuple(self.query(part) for part in (value if isinstance(value, list) else [value]))

    def simple_query_string(self, value: Json) -> Query:
        document = self.mapping(value, "[simple_query_string]")
        known = {"query", "fields", "default_operator", "analyze_wildcard", "lenient", "flags", "boost", "_name"}
        self.only(document, known, "[simple_query_string]")
        fields = self.texts(document.get("fields", []), "[simple_query_string] fields")
        named = tuple(_plain(field.partition("^")[0]) for field in fields)
        operator = self.one_of(document, "default_operator", ("or", "and"), "or")
        text = self.text(document, "query", "[simple_query_string]")
        words = _Words(text, () if "*" in named else named, all_of=operator == "and")
        query = words.read()
        self.clauses += words.count
        if self.clauses > _MOST_CLAUSES or _depth(query) > _DEEPEST:
            self.wrong(f"too many clauses: at most {_MOST_CLAUSES}, at most {_DEEPEST} deep", ILLEGAL)
            return MatchAll()
        return query

    # -- values ----------------------------------------------------------------

    def mapping(self, value: Json, what: str) -> dict[str, Json]:
        if isinstance(value, dict):
            return value
        self.wrong(f"{what} must be an object")
        return {}

    def only(self, document: Mapping[str, Json], known: set[str], what: str) -> None:
        for name in document:
            if name not in known:
                self.wrong(f"{what} does not support [{name}]")

    def about_a_field(self, value: Json, name: str, short: str, known: set[str]) -> tuple[str, Mapping[str, Json]]:
        document = self.mapping(value, f"[{name}]")
        if len(document) != 1:
            if isinstance(value, dict):
                self.wrong(f"[{name}] takes one field")
            return "", {short: ""}
        ((field, inner),) = document.items()
        options = inner if isinstance(inner, dict) else {short: inner}
        self.only(options, {short, *known}, f"[{name}]")
        return _plain(field), options

    def text(self, document: Mapping[str, Json], name: str, what: str) -> str:
        value = document.get(name)
        text = _text(value)
        if text is None:
            self.wrong(f"{what} needs a [{name}] that is a text, a number or a boolean")
            return ""
        return text

    def texts(self, value: Json, what: str, *, listed: bool = False) -> tuple[str, ...]:
        values = value if isinstance(value, list) else [value]
        if len(values) > _MOST_VALUES:
            self.wrong(f"{what} takes at most {_MOST_VALUES} values", ILLEGAL)
            return ()
        texts = [_text(one) for one in values]
        if None in texts or (listed and not isinstance(value, list)):
            self.wrong(f"{what} takes a list of texts")
            return ()
        return tuple(text for text in texts if text is not None)

    def flag(self, document: Mapping[str, Json], name: str) -> bool:
        value = document.get(name, False)
        if not isinstance(value, bool):
            self.wrong(f"[{name}] must be true or false")
        return value is True

    def one_of(self, document: Mapping[str, Json], name: str, choices: tuple[str, ...], otherwise: str) -> str:
        value = document.get(name, otherwise)
        if isinstance(value, str) and value.lower() in choices:
            return value.lower()
        self.wrong(f"[{name}] must be one of {', '.join(choices)}")
        return otherwise

    def pattern(self, pattern: Pattern) -> Pattern:
        if sum(len(part) if isinstance(part, str) else 1 for part in pattern) > _LONGEST_PATTERN:
            self.wrong(f"a pattern has at most {_LONGEST_PATTERN} characters", ILLEGAL)
            return ()
        return pattern


_QUERIES: dict[str, Callable[[_Reader, Any], Query]] = {
    "match_all": _Reader.match_all,
    "match_none": _Reader.match_none,
    "match": _Reader.match,
    "term": _Reader.term,
    "terms": _Reader.terms,
    "ids": _Reader.ids,
    "prefix": _Reader.prefix,
    "wildcard": _Reader.wildcard,
    "exists": _Reader.exists,
    "simple_query_string": _Reader.simple_query_string,
    "bool": _Reader.boolean,
}


def _plain(field: str) -> str:
    return field.removesuffix(".keyword")


def _text(value: Json) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(int(value)) if value == int(value) else str(value)
    return None


def _folded(text: str) -> str:
    return text.casefold()


def _wild(text: str) -> Pattern:
    """Read `*` and `?`; a backslash takes the next character as it is."""
    parts: list[str | Wild] = []
    literal = ""
    characters = iter(text)
    for character in characters:
        if character in "*?":
            wild = Wild(character)
            if literal:
                parts.append(literal)
                literal = ""
            if wild is Wild.ONE or parts[-1:] != [Wild.MANY]:
                parts.append(wild)
        else:
            literal += next(characters, "\\") if character == "\\" else character
    return (*parts, literal) if literal else tuple(parts)


_WORD = re.compile(
    r'(?P<operator>[+|])|(?P<minus>-)|(?P<open>\()|(?P<close>\))|"(?P<phrase>(?:[^"\\]|\\.)*)"?|'
    r"(?P<word>(?:[^\s+|()\"\\]|\\.|\\\Z)+)",
    re.DOTALL,
)


class _Words:
    """Reads a simple query string. Nothing in it is an error; operators bind from left to right.

    https://lucene.apache.org/core/9_0_0/queryparser/org/apache/lucene/queryparser/simple/SimpleQueryParser.html
    """

    def __init__(self, text: str, fields: tuple[str, ...], *, all_of: bool) -> None:
        self._tokens = list(_WORD.finditer(text))
        self._position = 0
        self._fields = fields
        self._all_of = all_of
        self.count = 0

    def read(self) -> Query:
        """Read the whole text; an empty one finds nothing."""
        found: Query | None = None
        while self._position < len(self._tokens):
            part = self._group(depth=0)
            if part is not None:
                found = part if found is None else self._joined(found, part, None)
        return Not(MatchAll()) if found is None else found

    def _group(self, depth: int) -> Query | None:
        top: Query | None = None
        operator: str | None = None
        negated = False
        while self._position < len(self._tokens):
            token = self._tokens[self._position]
            self._position += 1
            match token.lastgroup:
                case "close":
                    break
                case "operator":
                    operator = token["operator"] if top is not None else None
                    continue
                case "minus":
                    negated = not negated
                    continue
                case "open":
                    part = self._group(depth + 1) if depth < _DEEPEST else None
                case "phrase":
                    part = self._equal(_unescaped(token["phrase"]))
                case _:
                    part = self._word(token["word"])
            if part is not None:
                part = Not(part) if negated else part
                top = part if top is None else self._joined(top, part, operator)
            operator, negated = None, False
        return top

    def _joined(self, top: Query, part: Query, operator: str | None) -> Query:
        if operator == "+" or (operator is None and self._all_of):
            return AllOf((*top.parts, part)) if isinstance(top, AllOf) else AllOf((top, part))
        if isinstance(top, AtLeast):
            return AtLeast((*top.parts, part), 1)
        return AtLeast((top, part), 1)

    def _word(self, word: str) -> Query | None:
        if word == "*":
            return MatchAll()
        if word.endswith("*") and not word.endswith("\\*"):
            self.count += 1
            return Like(self._fields, (_folded(_unescaped(word[:-1])), Wild.MANY), folded=True)
        return self._equal(_unescaped(word))

    def _equal(self, text: str) -> Query | None:
        if not text:
            return None
        self.count += 1
        return Equals(self._fields, (_folded(text),), folded=True)


# As deep as the databases and their expressions take it.
_DEEPEST = 24


def _depth(query: Query) -> int:
    match query:
        case AllOf(parts) | AtLeast(parts, _):
            return 1 + max(map(_depth, parts), default=0)
        case Not(part):
            return 1 + _depth(part)
        case _:
            return 1


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)
