"""The body of a search: read whole, with every problem told at once.

The part of Elasticsearch's request that makes sense for accounts:
https://www.elastic.co/guide/en/elasticsearch/reference/current/search-search.html
and …/query-dsl.html. What is not known is refused by name: a filter that was
passed over would show more than was asked for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from accounts_service.families.signals.schemas import simple_query
from accounts_service.families.signals.schemas.accounts import SCHEMAS
from accounts_service.families.signals.schemas.queries import (
    NOTHING,
    Bool,
    ByField,
    Equal,
    Exists,
    Fields,
    Ids,
    MatchAll,
    OneOf,
    Prefix,
    Query,
    Sort,
    Special,
    Wild,
    Wildcard,
)
from accounts_service.families.signals.schemas.sources import EVERYTHING, SourceFilter
from accounts_service.faults import BadQuery, Json, QueryFlaw, QueryProblem, RefusedError
from accounts_service.validation import fields as kinds

LARGEST_WINDOW = 10_000
MOST_CLAUSES = 256
MOST_VALUES = 1000
LONGEST_PATTERN = 1000
LONGEST_QUERY_STRING = 4000
MOST_SOURCE_PATTERNS = 64
LONGEST_SOURCE_PATTERN = 200
MOST_SORTS = 8
_MOST_PROBLEMS = 100
_LONGEST_NAME = 100
_DEFAULT_SIZE = 10
_SHORTEST_SCROLL, _LONGEST_SCROLL = 1, 24 * 60 * 60

_KEYWORD = ".keyword"

# Fields that some account may have a value of that can be seen. A secret of one
# type may share its name with a plain attribute of another; which values are
# there to be found is decided when they are written.
MAPPED = frozenset(("_name", "type", "_tenant")) | {
    name for schema in SCHEMAS.values() for name in schema.fields if name not in schema.marked("secret")
}
NUMERIC = frozenset(
    name for schema in SCHEMAS.values() for name, kind in schema.fields.items() if isinstance(kind, kinds.WholeNumber)
)

_UNITS = {"nanos": 1e-9, "micros": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_TIME = re.compile(r"([0-9]{1,18})(nanos|micros|ms|s|m|h|d)\Z")
_NUMBER = re.compile(r"-?[0-9]{1,18}\Z")


@dataclass(frozen=True, slots=True)
class Search:
    """A search that makes sense. `body` is what it was made from, as far as the next page needs it."""

    query: Query
    sort: tuple[Sort, ...]
    source: SourceFilter | None
    start: int
    size: int
    scroll_seconds: int | None
    body: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Continuation:
    """What asks for the next page of a scroll; without a new length of time the old one goes on."""

    scroll_id: str
    scroll_seconds: int | None


def read_search(document: Json, parameters: Mapping[str, str]) -> Search:
    """Read a search: its body, and the parameters of the URL, which win.

    Raises RefusedError(BadQuery) with every problem.
    """
    notes = _Notes()
    body = notes.object("the body", document)
    notes.only("the body", body, ("query", "from", "size", "sort", "_source"))
    start = notes.window("from", body, parameters)
    size = notes.window("size", body, parameters)
    seconds = notes.seconds(parameters["scroll"]) if "scroll" in parameters else None
    search = Search(
        _query(notes, body["query"]) if "query" in body else MatchAll(),
        _sorts(notes, body.get("sort", [])),
        _source(notes, body.get("_source", True)),
        start or 0,
        _DEFAULT_SIZE if size is None else size,
        seconds,
        "",
    )
    _window(notes, search, scrolls="scroll" in parameters)
    notes.raise_if_any()
    kept = {name: body[name] for name in ("query", "sort", "_source") if name in body}
    return replace(search, body=json.dumps({**kept, "size": search.size}, ensure_ascii=False))


def read_continuation(document: Json, parameters: Mapping[str, str]) -> Continuation:
    """Read what asks for the next page; here the body wins, as it does with Elasticsearch.

    Raises RefusedError(BadQuery). Without an id the answer is that of an unknown one.
    """
    notes = _Notes()
    body = notes.object("the body", document)
    known = ("scroll", "scroll_id")
    notes.only("the body", body, known)
    given = {**parameters, **{name: notes.text(name, body[name]) for name in known if name in body}}
    seconds = notes.seconds(given["scroll"]) if "scroll" in given else None
    notes.raise_if_any()
    return Continuation(given.get("scroll_id", ""), seconds)


def check_ended(document: Json) -> None:
    """Check what names scrolls that are to end: one, or a list. Raises RefusedError(BadQuery) with every problem."""
    notes = _Notes()
    body = notes.object("the body", document)
    notes.only("the body", body, ("scroll_id",))
    named = body.get("scroll_id", [])
    for one in named if isinstance(named, list) else [named]:
        notes.text("scroll_id", one)
    notes.raise_if_any()


class _EnoughError(Exception):
    """A limit is passed; there is no sense in reading on."""


class _Notes:
    """What has been found wrong so far."""

    def __init__(self) -> None:
        self._problems: list[QueryProblem] = []
        self._clauses = 0

    def parsing(self, reason: str) -> None:
        """Note something that is not in the language."""
        self._problems.append(QueryProblem(QueryFlaw.PARSING, reason))

    def illegal(self, reason: str) -> None:
        """Note something that is, but goes too far."""
        self._problems.append(QueryProblem(QueryFlaw.ILLEGAL_ARGUMENT, reason))

    def raise_if_any(self) -> None:
        """Raise RefusedError(BadQuery) with what was noted. Nobody reads more than a hundred."""
        if self._problems:
            raise RefusedError(BadQuery(tuple(self._problems[:_MOST_PROBLEMS])))

    def clause(self) -> None:
        """Count a clause. Raises _EnoughError once there are too many."""
        self._clauses += 1
        if self._clauses > MOST_CLAUSES:
            self.illegal(f"too many clauses: a query has at most {MOST_CLAUSES}")
            raise _EnoughError

    def object(self, where: str, value: Json) -> dict[str, Json]:
        """Take an object."""
        if isinstance(value, dict):
            return value
        self.parsing(f"{where} must be an object")
        return {}

    def only(self, where: str, given: Collection[str], known: Collection[str]) -> None:
        """Note each name that is not known here."""
        for name in given:
            if name not in known:
                self.parsing(f"{where} does not support {_named(name)}")

    def text(self, where: str, value: Json) -> str:
        """Take a text."""
        if isinstance(value, str):
            return value
        self.parsing(f"[{where}] must be a string")
        return ""

    def keyword(self, where: str, value: Json) -> str:
        """Take a value to compare with: a number or boolean as JSON writes it."""
        if isinstance(value, str):
            return value
        if isinstance(value, int | float):
            return json.dumps(int(value) if not isinstance(value, bool) and value == int(value) else value)
        self.parsing(f"{where} needs a string, a number or a boolean as its value")
        return ""

    def flag(self, where: str, options: Mapping[str, Json], name: str) -> bool:
        """Take true or false; false if it is left out."""
        value = options.get(name, False)
        if not isinstance(value, bool):
            self.parsing(f"{where}: [{name}] must be true or false")
        return value is True

    def choice(self, where: str, options: Mapping[str, Json], name: str, choices: tuple[str, ...]) -> str:
        """Take one of `choices`, in any case; the first if it is left out."""
        value = options.get(name, choices[0])
        if isinstance(value, str) and value.lower() in choices:
            return value.lower()
        self.parsing(f"{where}: [{name}] must be one of [{', '.join(choices)}]")
        return choices[0]

    def common(self, where: str, options: Mapping[str, Json]) -> None:
        """Check what every query takes and nothing here depends on: all scores are 1."""
        boost = options.get("boost", 1)
        if isinstance(boost, bool) or not isinstance(boost, int | float) or boost < 0:
            self.parsing(f"{where}: [boost] must be a number that is not negative")
        if not isinstance(options.get("_name", ""), str):
            self.parsing(f"{where}: [_name] must be a string")

    def pattern(self, where: str, value: Json) -> str:
        """Take a pattern of bearable length."""
        pattern = self.keyword(where, value)
        if len(pattern) > LONGEST_PATTERN:
            self.illegal(f"{where}: a pattern has at most {LONGEST_PATTERN} characters")
        return pattern

    def window(self, name: str, body: Mapping[str, Json], parameters: Mapping[str, str]) -> int | None:
        """Take `from` or `size`; both places are checked, the URL wins."""
        inside = self._whole(name, body[name]) if name in body else None
        if name not in parameters:
            return inside
        text = parameters[name]
        if not _NUMBER.match(text):
            self.illegal(f"parameter [{name}] must be a whole number")
            return inside
        return inside if int(text) == -1 else self._not_negative(name, int(text))

    def _whole(self, name: str, value: Json) -> int | None:
        # 25.0 is a whole number, as in JSON Schema.
        if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
            self.parsing(f"[{name}] must be a whole number")
            return None
        return self._not_negative(name, int(value))

    def _not_negative(self, name: str, value: int) -> int | None:
        if value < 0:
            self.illegal(f"[{name}] must not be negative, and is [{value}]")
            return None
        return value

    def seconds(self, text: str) -> int | None:
        """Take a length of time, https://www.elastic.co/guide/en/elasticsearch/reference/current/api-conventions.html."""
        match = _TIME.match(text)
        seconds = int(match[1]) * _UNITS[match[2]] if match else 0.0
        if not match:
            self.illegal("[scroll] must be a whole number with a unit, like [60s] or [1m]")
        elif not _SHORTEST_SCROLL <= seconds <= _LONGEST_SCROLL:
            self.illegal("[scroll] must be between [1s] and [24h]")
        else:
            return int(seconds)
        return None


def _window(notes: _Notes, search: Search, *, scrolls: bool) -> None:
    if scrolls and search.start:
        notes.illegal("[from] must be 0 in a scroll")
    if scrolls and not search.size:
        notes.illegal("[size] must not be 0 in a scroll")
    if search.start + search.size > LARGEST_WINDOW:
        notes.illegal(
            f"Result window is too large, [from] + [size] must be at most [{LARGEST_WINDOW}] "
            f"but is [{search.start + search.size}]; a scroll reads more"
        )


def _named(name: str) -> str:
    return f"[{name[:_LONGEST_NAME]}]"


def _field(name: str) -> str:
    # Everything is a keyword, so the subfield of that name is the field itself.
    return name.removesuffix(_KEYWORD)


# -- Queries ------------------------------------------------------------------


def _query(notes: _Notes, value: Json) -> Query:
    try:
        return _clause(notes, value)
    except _EnoughError:
        return NOTHING


def _clause(notes: _Notes, value: Json) -> Query:
    notes.clause()
    query = notes.object("a query", value)
    if isinstance(value, dict) and len(query) != 1:
        notes.parsing("a query is an object with one name, that of its kind")
    queries: list[Query] = []
    for kind, content in query.items():
        if kind in _KINDS:
            queries.append(_KINDS[kind](notes, content))
        else:
            notes.parsing(f"unknown query {_named(kind)}")
    return queries[0] if queries else NOTHING


_COMMON = ("boost", "_name")


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a query asks of one field. `options`: those of the long form."""

    field: str
    value: Json
    options: Mapping[str, Json]


def _of_field(notes: _Notes, kind: str, content: Json, *others: str, main: tuple[str, ...] = ("value",)) -> _Asked:
    """Take `{field: value}` or `{field: {main: value, …}}`."""
    where = f"[{kind}]"
    fields = notes.object(where, content)
    if isinstance(content, dict) and len(fields) != 1:
        notes.parsing(f"{where} needs one field, not {len(fields)}")
    for name, asked in fields.items():
        if not isinstance(asked, dict):
            return _Asked(_field(name), asked, {})
        notes.only(where, asked, (*main, *others, *_COMMON))
        notes.common(where, asked)
        values = [asked[one] for one in main if one in asked]
        if len(values) != 1:
            notes.parsing(f"{where} needs [{'] or ['.join(main)}] for {_named(name)}")
        return _Asked(_field(name), values[0] if values else "", asked)
    return _Asked("", "", {})


def _match_all(notes: _Notes, content: Json) -> Query:
    options = notes.object("[match_all]", content)
    notes.only("[match_all]", options, _COMMON)
    notes.common("[match_all]", options)
    return MatchAll()


def _match(notes: _Notes, content: Json) -> Query:
    asked = _of_field(notes, "match", content, "operator", main=("query",))
    # A keyword is one word: whether all words must match or some makes no difference.
    notes.choice("[match]", asked.options, "operator", ("or", "and"))
    return Equal((asked.field,), notes.keyword("[match]", asked.value), any_case=True)


def _term(notes: _Notes, content: Json) -> Query:
    asked = _of_field(notes, "term", content, "case_insensitive")
    any_case = notes.flag("[term]", asked.options, "case_insensitive")
    return Equal((asked.field,), notes.keyword("[term]", asked.value), any_case)


def _terms(notes: _Notes, content: Json) -> Query:
    asked = notes.object("[terms]", content)
    # A list stands for values; `_name` is a field of accounts, and the name of a query.
    fields = [name for name, value in asked.items() if name not in _COMMON or isinstance(value, list)]
    notes.common("[terms]", {name: value for name, value in asked.items() if name not in fields})
    if isinstance(content, dict) and len(fields) != 1:
        notes.parsing(f"[terms] needs one field, not {len(fields)}")
    if not fields:
        return NOTHING
    return OneOf(_field(fields[0]), _values(notes, "[terms]", asked[fields[0]], notes.keyword))


def _values(notes: _Notes, where: str, value: Json, take: Callable[[str, Json], str]) -> tuple[str, ...]:
    if not isinstance(value, list):
        notes.parsing(f"{where} needs a list of values")
        return ()
    if len(value) > MOST_VALUES:
        notes.illegal(f"{where}: a list has at most {MOST_VALUES} values")
        return ()
    return tuple(take(where, element) for element in value)


def _ids(notes: _Notes, content: Json) -> Query:
    options = notes.object("[ids]", content)
    notes.only("[ids]", options, ("values", *_COMMON))
    notes.common("[ids]", options)
    if isinstance(content, dict) and "values" not in options:
        notes.parsing("[ids] needs [values]")
    values = options.get("values", [])
    return Ids(_values(notes, "[ids]", [values] if isinstance(values, str) else values, notes.keyword))


def _prefix(notes: _Notes, content: Json) -> Query:
    asked = _of_field(notes, "prefix", content, "case_insensitive")
    any_case = notes.flag("[prefix]", asked.options, "case_insensitive")
    return Prefix((asked.field,), notes.pattern("[prefix]", asked.value), any_case)


def _wildcard(notes: _Notes, content: Json) -> Query:
    asked = _of_field(notes, "wildcard", content, "case_insensitive", main=("value", "wildcard"))
    any_case = notes.flag("[wildcard]", asked.options, "case_insensitive")
    return Wildcard(asked.field, _pattern(notes.pattern("[wildcard]", asked.value)), any_case)


def _pattern(text: str) -> tuple[str | Wild, ...]:
    """Read `*` and `?`, and a backslash before what shall mean itself; runs of `*` are one."""
    parts: list[str | Wild] = []
    literal = ""
    characters = iter(text)
    for char in characters:
        if char not in "*?":
            # At the end it means itself.
            literal += next(characters, char) if char == "\\" else char
            continue
        if literal:
            parts.append(literal)
            literal = ""
        wild = Wild.ANY if char == "*" else Wild.ONE
        if wild is Wild.ONE or parts[-1:] != [Wild.ANY]:
            parts.append(wild)
    return (*parts, literal) if literal else tuple(parts)


def _exists(notes: _Notes, content: Json) -> Query:
    options = notes.object("[exists]", content)
    notes.only("[exists]", options, ("field", *_COMMON))
    notes.common("[exists]", options)
    if isinstance(content, dict) and "field" not in options:
        notes.parsing("[exists] needs [field]")
    return Exists(_field(notes.text("field", options.get("field", ""))))


def _simple_query_string(notes: _Notes, content: Json) -> Query:
    where = "[simple_query_string]"
    options = notes.object(where, content)
    # Keywords are not analysed, and no value is of a wrong type: the last two change nothing.
    notes.only(where, options, ("query", "fields", "default_operator", "analyze_wildcard", "lenient", *_COMMON))
    notes.common(where, options)
    notes.flag(where, options, "analyze_wildcard")
    notes.flag(where, options, "lenient")
    conjunction = notes.choice(where, options, "default_operator", ("or", "and")) == "and"
    if isinstance(content, dict) and "query" not in options:
        notes.parsing(f"{where} needs [query]")
    fields = _fields(_values(notes, f"{where} fields", options["fields"], notes.text) if "fields" in options else None)
    try:
        text = notes.text("query", options.get("query", ""))
        if len(text) > LONGEST_QUERY_STRING:
            notes.illegal(f"{where}: [query] has at most {LONGEST_QUERY_STRING} characters")
            return NOTHING
        return simple_query.parse(text, fields, conjunction=conjunction, counted=notes.clause)
    except simple_query.TooDeepError:
        notes.illegal(f"{where}: operators and parentheses stand deeper than {simple_query.DEEPEST} within each other")
        return NOTHING


def _fields(patterns: tuple[str, ...] | None) -> Fields:
    """Find the fields meant; a `^boost` after a name has no effect, as all scores are 1."""
    if patterns is None:
        return None
    names = [pattern.partition("^")[0] for pattern in patterns]
    if "*" in names:
        return None
    wanted = SourceFilter(tuple(map(_field, names)), ())
    return tuple(sorted(name for name in MAPPED if names and wanted.keeps(name)))


_OCCURRENCES = ("must", "filter", "should", "must_not")


def _bool(notes: _Notes, content: Json) -> Query:
    options = notes.object("[bool]", content)
    notes.only("[bool]", options, (*_OCCURRENCES, "minimum_should_match", *_COMMON))
    notes.common("[bool]", options)
    must, filters, should, must_not = (_clauses(notes, options.get(name, [])) for name in _OCCURRENCES)
    minimum = options.get("minimum_should_match", 1 if should and not must and not filters else 0)
    if isinstance(minimum, bool) or not isinstance(minimum, int | float) or minimum != int(minimum):
        notes.parsing("[bool]: [minimum_should_match] must be a whole number")
        minimum = 0
    # Negative: so many of them may be missing.
    minimum = int(minimum)
    minimum = minimum if minimum >= 0 else len(should) + minimum
    return Bool((*must, *filters), should, must_not, max(minimum, 0))


def _clauses(notes: _Notes, value: Json) -> tuple[Query, ...]:
    return tuple(_clause(notes, element) for element in (value if isinstance(value, list) else [value]))


_KINDS: dict[str, Callable[[_Notes, Json], Query]] = {
    "match_all": _match_all,
    "match": _match,
    "term": _term,
    "terms": _terms,
    "ids": _ids,
    "prefix": _prefix,
    "wildcard": _wildcard,
    "exists": _exists,
    "simple_query_string": _simple_query_string,
    "bool": _bool,
}


# -- Sorting ------------------------------------------------------------------

_SPECIAL = {"_score": Special.SCORE, "_doc": Special.DOC}
_Options: TypeAlias = Mapping[str, Json]


def _sorts(notes: _Notes, value: Json) -> tuple[Sort, ...]:
    elements = value if isinstance(value, list) else [value]
    if len(elements) > MOST_SORTS:
        notes.illegal(f"[sort] has at most {MOST_SORTS} keys")
        return ()
    sorts = tuple(sort for element in elements for sort in _sort(notes, element))
    # By score alone is how results come anyway; Elasticsearch does not call it sorted.
    return () if sorts == (Special.SCORE,) else sorts[:MOST_SORTS]


def _sort(notes: _Notes, element: Json) -> list[Sort]:
    if isinstance(element, str):
        return _sort_by(notes, element, {})
    if not isinstance(element, dict) or not element:
        notes.parsing("[sort] takes names of fields, and objects with the name of a field")
        return []
    if len(element) > MOST_SORTS:
        notes.illegal(f"[sort] has at most {MOST_SORTS} keys")
        return []
    sorts: list[Sort] = []
    for name, options in element.items():
        sorts += _sort_by(notes, name, {"order": options} if isinstance(options, str) else _options(notes, options))
    return sorts


def _options(notes: _Notes, value: Json) -> _Options:
    return notes.object("[sort]", value)


def _sort_by(notes: _Notes, name: str, options: _Options) -> list[Sort]:
    notes.only("[sort]", options, ("order",) if name in _SPECIAL else ("order", "missing", "unmapped_type"))
    descending = notes.choice("[sort]", options, "order", ("asc", "desc")) == "desc"
    if name in _SPECIAL:
        return [_SPECIAL[name]]
    missing_first = notes.choice("[sort]", options, "missing", ("_last", "_first")) == "_first"
    unmapped = notes.text("unmapped_type", options["unmapped_type"]) if "unmapped_type" in options else None
    plain = _field(name)
    if plain not in MAPPED and unmapped is None:
        notes.illegal(f"No mapping found for {_named(name)} in order to sort on")
    return [ByField(plain, descending, missing_first, numeric=plain in NUMERIC)]


# -- What is shown ------------------------------------------------------------


def _source(notes: _Notes, value: Json) -> SourceFilter | None:
    if isinstance(value, bool):
        return EVERYTHING if value else None
    if not isinstance(value, dict):
        return SourceFilter(_patterns(notes, value), ())
    notes.only("[_source]", value, ("include", "includes", "exclude", "excludes"))
    return SourceFilter(
        *(
            tuple(pattern for name in names if name in value for pattern in _patterns(notes, value[name]))
            for names in (("include", "includes"), ("exclude", "excludes"))
        )
    )


def _patterns(notes: _Notes, value: Json) -> tuple[str, ...]:
    patterns = _values(notes, "[_source]", [value] if isinstance(value, str) else value, notes.text)
    if len(patterns) > MOST_SOURCE_PATTERNS or any(len(pattern) > LONGEST_SOURCE_PATTERN for pattern in patterns):
        # Each is held against each attribute of each hit.
        notes.illegal(
            f"[_source] has at most {MOST_SOURCE_PATTERNS} patterns of at most {LONGEST_SOURCE_PATTERN} characters"
        )
        return ()
    return patterns
