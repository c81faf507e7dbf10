"""The body of a search: read whole, with every problem told at once.

The part of Elasticsearch's request that makes sense for accounts:
https://www.elastic.co/guide/en/elasticsearch/reference/current/search-search.html
and …/query-dsl.html. What is not known is refused by name: a filter that was
passed over would show more than was asked for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from accounts_service.families.signals.schemas.clauses import read_query
from accounts_service.families.signals.schemas.notes import MAPPED, NUMERIC, Notes, named, plain
from accounts_service.families.signals.schemas.queries import IDENTIFIER, Bool, ByField, MatchAll, Query, Sort, Special
from accounts_service.families.signals.schemas.ranges import rank_of
from accounts_service.families.signals.schemas.sources import EVERYTHING, SourceFilter
from accounts_service.faults import Json

LARGEST_WINDOW = 10_000
# Counting further takes time that hardly anyone needs.
COUNTED_TO = 10_000
# A Java `int`, as in Elasticsearch.
_HIGHEST_COUNTED_TO = 2**31 - 1
MOST_SOURCE_PATTERNS = 64
LONGEST_SOURCE_PATTERN = 200
MOST_SORTS = 8
_DEFAULT_SIZE = 10

# What a scroll keeps for its next pages.
_KEPT = ("query", "post_filter", "sort", "_source", "version", "seq_no_primary_term", "track_total_hits")


@dataclass(frozen=True, slots=True)
class Search:
    """A search that makes sense. `body` is what it was made from, as far as the next page needs it.

    `after`: what the hits are sorted by, of the last one before them. `counted_to`: how far the total is
    counted; None for all, and without `is_counted` there is none.
    """

    query: Query
    sort: tuple[Sort, ...]
    after: tuple[str | None, ...] | None
    is_counted: bool
    counted_to: int | None
    shows_version: bool
    shows_sequence: bool
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
    notes = Notes()
    body = notes.object("the body", document)
    notes.only("the body", body, (*_KEPT, "from", "size", "search_after"))
    start = notes.window("from", body, parameters)
    size = notes.window("size", body, parameters)
    seconds = notes.seconds(parameters["scroll"]) if "scroll" in parameters else None
    query = read_query(notes, body["query"]) if "query" in body else MatchAll()
    if "post_filter" in body:
        # Without aggregations, which it does not count for, it is one more condition.
        query = Bool(must=(query, read_query(notes, body["post_filter"])))
    sort = _sorts(notes, body.get("sort", []))
    is_counted, counted_to = _counted(notes, body.get("track_total_hits", COUNTED_TO))
    search = Search(
        query,
        sort,
        _after(notes, body["search_after"], sort) if "search_after" in body else None,
        is_counted,
        counted_to,
        notes.flag("the body", body, "version"),
        notes.flag("the body", body, "seq_no_primary_term"),
        _source(notes, body.get("_source", True)),
        start or 0,
        _DEFAULT_SIZE if size is None else size,
        seconds,
        "",
    )
    _window(notes, search, scrolls="scroll" in parameters)
    notes.raise_if_any()
    kept = {name: body[name] for name in _KEPT if name in body}
    return replace(search, body=json.dumps({**kept, "size": search.size}, ensure_ascii=False))


def read_continuation(document: Json, parameters: Mapping[str, str]) -> Continuation:
    """Read what asks for the next page; here the body wins, as it does with Elasticsearch.

    Raises RefusedError(BadQuery). Without an id the answer is that of an unknown one.
    """
    notes = Notes()
    body = notes.object("the body", document)
    known = ("scroll", "scroll_id")
    notes.only("the body", body, known)
    given = {**parameters, **{name: notes.text(name, body[name]) for name in known if name in body}}
    seconds = notes.seconds(given["scroll"]) if "scroll" in given else None
    notes.raise_if_any()
    return Continuation(given.get("scroll_id", ""), seconds)


def check_ended(document: Json) -> None:
    """Check what names scrolls that are to end: one, or a list. Raises RefusedError(BadQuery) with every problem."""
    notes = Notes()
    body = notes.object("the body", document)
    notes.only("the body", body, ("scroll_id",))
    named = body.get("scroll_id", [])
    for one in named if isinstance(named, list) else [named]:
        notes.text("scroll_id", one)
    notes.raise_if_any()


def _window(notes: Notes, search: Search, *, scrolls: bool) -> None:
    if scrolls and search.start:
        notes.illegal("[from] must be 0 in a scroll")
    if scrolls and not search.size:
        notes.illegal("[size] must not be 0 in a scroll")
    if scrolls and search.after is not None:
        notes.illegal("[search_after] cannot be used in a scroll")
    if scrolls and not search.is_counted:
        notes.illegal("[track_total_hits] must not be false in a scroll")
    if search.start and search.after is not None:
        notes.illegal("[from] must be 0 when [search_after] is used")
    if search.start + search.size > LARGEST_WINDOW:
        notes.illegal(
            f"Result window is too large, [from] + [size] must be at most [{LARGEST_WINDOW}] "
            f"but is [{search.start + search.size}]; a scroll reads more"
        )


def _counted(notes: Notes, value: Json) -> tuple[bool, int | None]:
    """Read whether hits are counted, and how far; None: all of them."""
    if isinstance(value, bool):
        return value, None
    if not isinstance(value, int | float) or value != int(value):
        notes.parsing("[track_total_hits] must be true, false or a whole number")
    elif value < -1:
        notes.illegal(f"[track_total_hits] must not be negative, but for -1, and is [{int(value)}]")
    elif value > _HIGHEST_COUNTED_TO:
        notes.illegal(f"[track_total_hits] must be at most [{_HIGHEST_COUNTED_TO}]")
    else:
        return value >= 0, int(value)
    return True, None


# -- Sorting ------------------------------------------------------------------

_SPECIAL = {"_score": Special.SCORE, "_doc": Special.DOC}
_Options: TypeAlias = Mapping[str, Json]


def _sorts(notes: Notes, value: Json) -> tuple[Sort, ...]:
    elements = value if isinstance(value, list) else [value]
    if len(elements) > MOST_SORTS:
        notes.illegal(f"[sort] has at most {MOST_SORTS} keys")
        return ()
    sorts = tuple(sort for element in elements for sort in _sort(notes, element))
    # By score alone is how results come anyway; Elasticsearch does not call it sorted.
    return () if sorts == (Special.SCORE,) else sorts[:MOST_SORTS]


def _sort(notes: Notes, element: Json) -> list[Sort]:
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


def _options(notes: Notes, value: Json) -> _Options:
    return notes.object("[sort]", value)


def _sort_by(notes: Notes, name: str, options: _Options) -> list[Sort]:
    notes.only("[sort]", options, ("order",) if name in _SPECIAL else ("order", "missing", "unmapped_type"))
    descending = notes.choice("[sort]", options, "order", ("asc", "desc")) == "desc"
    if name in _SPECIAL:
        return [_SPECIAL[name]]
    missing_first = notes.choice("[sort]", options, "missing", ("_last", "_first")) == "_first"
    unmapped = notes.text("unmapped_type", options["unmapped_type"]) if "unmapped_type" in options else None
    field_name = plain(name)
    if field_name not in (*MAPPED, IDENTIFIER) and unmapped is None:
        notes.illegal(f"No mapping found for {named(name)} in order to sort on")
    return [ByField(field_name, descending, missing_first, numeric=field_name in NUMERIC)]


def _after(notes: Notes, value: Json, sort: tuple[Sort, ...]) -> tuple[str | None, ...] | None:
    """Read the values behind which the hits begin, one for each key of the sort.

    As in Elasticsearch, what has the same values is passed over: a sort that ends with `_id` has none of that.
    """
    if not isinstance(value, list):
        notes.parsing("[search_after] needs a list of values")
        return None
    if not any(isinstance(key, ByField) for key in sort):
        # All accounts have the same score, and the same place in the index.
        notes.illegal("[search_after] needs a [sort] by a field")
        return None
    if len(value) != len(sort):
        notes.illegal(f"[search_after] has {len(value)} values but [sort] has {len(sort)}")
        return None
    ranks: list[str | None] = []
    for key, one in zip(sort, value, strict=True):
        if isinstance(key, ByField):
            ranks.append(None if one is None else rank_of(notes, "[search_after]", key.field, one))
        elif isinstance(one, bool) or one != key.value:
            notes.illegal(f"[search_after]: the score and the place of every hit are those of the sort, [{key.value}]")
    return tuple(ranks)


# -- What is shown ------------------------------------------------------------


def _source(notes: Notes, value: Json) -> SourceFilter | None:
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


def _patterns(notes: Notes, value: Json) -> tuple[str, ...]:
    patterns = notes.values("[_source]", [value] if isinstance(value, str) else value, notes.text)
    if len(patterns) > MOST_SOURCE_PATTERNS or any(len(pattern) > LONGEST_SOURCE_PATTERN for pattern in patterns):
        # Each is held against each attribute of each hit.
        notes.illegal(
            f"[_source] has at most {MOST_SOURCE_PATTERNS} patterns of at most {LONGEST_SOURCE_PATTERN} characters"
        )
        return ()
    return patterns
