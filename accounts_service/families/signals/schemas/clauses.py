"""The queries of a search, kind by kind.

https://www.elastic.co/docs/reference/query-languages/querydsl
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from accounts_service.families.signals.schemas import query_string, simple_query
from accounts_service.families.signals.schemas.notes import (
    LONGEST_QUERY_STRING,
    EnoughError,
    Notes,
    fields_like,
    named,
    plain,
)
from accounts_service.families.signals.schemas.queries import (
    NOTHING,
    Bool,
    Bound,
    Equal,
    Exists,
    Fields,
    Ids,
    MatchAll,
    OneOf,
    Prefix,
    Query,
    Wildcard,
    wildcards,
)
from accounts_service.families.signals.schemas.ranges import read_range
from accounts_service.faults import Json


def read_query(notes: Notes, value: Json) -> Query:
    """Read a query; what is wrong with it is noted."""
    try:
        return _clause(notes, value)
    except EnoughError:
        return NOTHING


def _clause(notes: Notes, value: Json) -> Query:
    notes.clause()
    query = notes.object("a query", value)
    if isinstance(value, dict) and len(query) != 1:
        notes.parsing("a query is an object with one name, that of its kind")
    queries: list[Query] = []
    for kind, content in query.items():
        if kind in _KINDS:
            queries.append(_KINDS[kind](notes, content))
        else:
            notes.parsing(f"unknown query {named(kind)}")
    return queries[0] if queries else NOTHING


_COMMON = ("boost", "_name")


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a query asks of one field. `options`: those of the long form."""

    field: str
    value: Json
    options: Mapping[str, Json]


def _of_field(notes: Notes, kind: str, content: Json, *others: str, main: tuple[str, ...] = ("value",)) -> _Asked:
    """Take `{field: value}` or `{field: {main: value, …}}`."""
    where = f"[{kind}]"
    fields = notes.object(where, content)
    if isinstance(content, dict) and len(fields) != 1:
        notes.parsing(f"{where} needs one field, not {len(fields)}")
    for name, asked in fields.items():
        if not isinstance(asked, dict):
            return _Asked(plain(name), asked, {})
        notes.only(where, asked, (*main, *others, *_COMMON))
        notes.common(where, asked)
        values = [asked[one] for one in main if one in asked]
        if len(values) != 1:
            notes.parsing(f"{where} needs [{'] or ['.join(main)}] for {named(name)}")
        return _Asked(plain(name), values[0] if values else "", asked)
    return _Asked("", "", {})


def _match_all(notes: Notes, content: Json) -> Query:
    options = notes.object("[match_all]", content)
    notes.only("[match_all]", options, _COMMON)
    notes.common("[match_all]", options)
    return MatchAll()


def _match(notes: Notes, content: Json) -> Query:
    asked = _of_field(notes, "match", content, "operator", main=("query",))
    # A keyword is one word: whether all words must match or some makes no difference.
    notes.choice("[match]", asked.options, "operator", ("or", "and"))
    return Equal((asked.field,), notes.keyword("[match]", asked.value), any_case=True)


def _term(notes: Notes, content: Json) -> Query:
    asked = _of_field(notes, "term", content, "case_insensitive")
    any_case = notes.flag("[term]", asked.options, "case_insensitive")
    return Equal((asked.field,), notes.keyword("[term]", asked.value), any_case)


def _terms(notes: Notes, content: Json) -> Query:
    asked = notes.object("[terms]", content)
    # A list stands for values; `_name` is a field of accounts, and the name of a query.
    fields = [name for name, value in asked.items() if name not in _COMMON or isinstance(value, list)]
    notes.common("[terms]", {name: value for name, value in asked.items() if name not in fields})
    if isinstance(content, dict) and len(fields) != 1:
        notes.parsing(f"[terms] needs one field, not {len(fields)}")
    if not fields:
        return NOTHING
    return OneOf(plain(fields[0]), notes.values("[terms]", asked[fields[0]], notes.keyword))


def _ids(notes: Notes, content: Json) -> Query:
    options = notes.object("[ids]", content)
    notes.only("[ids]", options, ("values", *_COMMON))
    notes.common("[ids]", options)
    if isinstance(content, dict) and "values" not in options:
        notes.parsing("[ids] needs [values]")
    values = options.get("values", [])
    return Ids(notes.values("[ids]", [values] if isinstance(values, str) else values, notes.keyword))


def _prefix(notes: Notes, content: Json) -> Query:
    asked = _of_field(notes, "prefix", content, "case_insensitive")
    any_case = notes.flag("[prefix]", asked.options, "case_insensitive")
    return Prefix((asked.field,), notes.pattern("[prefix]", asked.value), any_case)


def _wildcard(notes: Notes, content: Json) -> Query:
    asked = _of_field(notes, "wildcard", content, "case_insensitive", main=("value", "wildcard"))
    any_case = notes.flag("[wildcard]", asked.options, "case_insensitive")
    return Wildcard((asked.field,), wildcards(notes.pattern("[wildcard]", asked.value)), any_case)


def _match_phrase(notes: Notes, content: Json) -> Query:
    asked = _of_field(notes, "match_phrase", content, "slop", main=("query",))
    if asked.options.get("slop", 0) != 0:
        notes.illegal("[match_phrase]: [slop] must be 0, as a value is compared as a whole")
    return Equal((asked.field,), notes.keyword("[match_phrase]", asked.value), any_case=True)


def _match_phrase_prefix(notes: Notes, content: Json) -> Query:
    asked = _of_field(notes, "match_phrase_prefix", content, main=("query",))
    return _begins((asked.field,), notes.pattern("[match_phrase_prefix]", asked.value))


def _begins(fields: Fields, text: str) -> Query:
    # Without a word there is nothing to begin with.
    return Prefix(fields, text, any_case=True) if text else NOTHING


WHOLE_VALUES = ("best_fields", "most_fields", "cross_fields", "phrase")
BEGINNINGS = ("phrase_prefix", "bool_prefix")


def _multi_match(notes: Notes, content: Json) -> Query:
    where = "[multi_match]"
    options = notes.object(where, content)
    # The first two are about scores, which are all 1, and the next about words, of which a value is one.
    notes.only(where, options, ("query", "fields", "type", "tie_breaker", "operator", "lenient", *_COMMON))
    notes.common(where, options)
    notes.choice(where, options, "operator", ("or", "and"))
    notes.flag(where, options, "lenient")
    tie_breaker = options.get("tie_breaker", 0)
    if isinstance(tie_breaker, bool) or not isinstance(tie_breaker, int | float) or not 0 <= tie_breaker <= 1:
        notes.parsing(f"{where}: [tie_breaker] must be a number from 0 to 1")
    kind = notes.choice(where, options, "type", (*WHOLE_VALUES, *BEGINNINGS))
    if isinstance(content, dict) and "query" not in options:
        notes.parsing(f"{where} needs [query]")
    fields = _fields_of(notes, where, options)
    if kind in BEGINNINGS:
        return _begins(fields, notes.pattern(where, options.get("query", "")))
    return Equal(fields, notes.keyword(where, options.get("query", "")), any_case=True)


def _constant_score(notes: Notes, content: Json) -> Query:
    where = "[constant_score]"
    options = notes.object(where, content)
    notes.only(where, options, ("filter", *_COMMON))
    notes.common(where, options)
    if "filter" in options:
        return _clause(notes, options["filter"])
    if isinstance(content, dict):
        notes.parsing(f"{where} needs [filter]")
    return NOTHING


def _range(notes: Notes, content: Json) -> Query:
    where = "[range]"
    fields = notes.object(where, content)
    if isinstance(content, dict) and len(fields) != 1:
        notes.parsing(f"{where} needs one field, not {len(fields)}")
    for name, asked in fields.items():
        options = notes.object(where, asked)
        notes.only(where, options, (*(bound.value for bound in Bound), *_COMMON))
        notes.common(where, options)
        bounds = [(bound, options[bound.value]) for bound in Bound if options.get(bound.value) is not None]
        return read_range(notes, where, plain(name), bounds)
    return NOTHING


def _exists(notes: Notes, content: Json) -> Query:
    options = notes.object("[exists]", content)
    notes.only("[exists]", options, ("field", *_COMMON))
    notes.common("[exists]", options)
    if isinstance(content, dict) and "field" not in options:
        notes.parsing("[exists] needs [field]")
    return Exists((plain(notes.text("field", options.get("field", ""))),))


def _simple_query_string(notes: Notes, content: Json) -> Query:
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
    fields = _fields_of(notes, where, options)
    try:
        text = notes.text("query", options.get("query", ""))
        if len(text) > LONGEST_QUERY_STRING:
            notes.illegal(f"{where}: [query] has at most {LONGEST_QUERY_STRING} characters")
            return NOTHING
        return simple_query.parse(text, fields, conjunction=conjunction, counted=notes.clause)
    except simple_query.TooDeepError:
        notes.illegal(f"{where}: operators and parentheses stand deeper than {simple_query.DEEPEST} within each other")
        return NOTHING


def _query_string(notes: Notes, content: Json) -> Query:
    where = "[query_string]"
    options = notes.object(where, content)
    notes.only(where, options, _QUERY_STRING)
    notes.common(where, options)
    notes.flag(where, options, "analyze_wildcard")
    conjunction = notes.choice(where, options, "default_operator", ("or", "and")) == "and"
    if isinstance(content, dict) and "query" not in options:
        notes.parsing(f"{where} needs [query]")
    if "default_field" in options and "fields" in options:
        notes.parsing(f"{where} takes [fields] or [default_field], not both")
    named_fields = {**options, "fields": [options["default_field"]]} if "default_field" in options else options
    reader = query_string.Reader(
        notes,
        where,
        _fields_of(notes, where, named_fields),
        conjunction=conjunction,
        is_lenient=notes.flag(where, options, "lenient"),
        begins_anyhow="allow_leading_wildcard" not in options or notes.flag(where, options, "allow_leading_wildcard"),
    )
    text = notes.text("query", options.get("query", ""))
    if len(text) > LONGEST_QUERY_STRING:
        notes.illegal(f"{where}: [query] has at most {LONGEST_QUERY_STRING} characters")
        return NOTHING
    return reader.read(text)


_QUERY_STRING = (
    *("query", "fields", "default_field", "default_operator", "lenient", "allow_leading_wildcard"),
    # No value is analysed, so this changes nothing.
    "analyze_wildcard",
    *_COMMON,
)


def _fields_of(notes: Notes, where: str, options: Mapping[str, Json]) -> Fields:
    """Find the fields that `fields` names; without it all of them."""
    return fields_like(notes.values(f"{where} fields", options["fields"], notes.text)) if "fields" in options else None


_OCCURRENCES = ("must", "filter", "should", "must_not")


def _bool(notes: Notes, content: Json) -> Query:
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


def _clauses(notes: Notes, value: Json) -> tuple[Query, ...]:
    return tuple(_clause(notes, element) for element in (value if isinstance(value, list) else [value]))


_KINDS: dict[str, Callable[[Notes, Json], Query]] = {
    "match_all": _match_all,
    "match": _match,
    "term": _term,
    "terms": _terms,
    "ids": _ids,
    "prefix": _prefix,
    "wildcard": _wildcard,
    "exists": _exists,
    "simple_query_string": _simple_query_string,
    "query_string": _query_string,
    "match_phrase": _match_phrase,
    "match_phrase_prefix": _match_phrase_prefix,
    "multi_match": _multi_match,
    "range": _range,
    "constant_score": _constant_score,
    "bool": _bool,
}
