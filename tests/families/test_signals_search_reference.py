# ruff: noqa: RUF001  # Texts that look alike are what is tested.
"""Random accounts, random searches: both databases say what a few lines of Python say."""

from __future__ import annotations

import json
import operator
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from accounts_service.families.signals.tables import ACCOUNT
from tests.support.service import Service

CANARY = "aA"

# What databases compare in ways of their own: case beyond ASCII, what has none,
# folds to more than it was or lies beyond the first 65536; signs of LIKE and
# GLOB, quotation marks, an accent of its own.
TEXT = st.text("aAbéÉßσςİ𐐀𐐨\U0001f600%_\\*?[]^-'\" +|()~e\u0301", min_size=1, max_size=5)
NAME = TEXT.filter(lambda text: text.strip() == text)
FIELD = st.sampled_from(
    ("_name", "type", "type.keyword", "user", "host", "trusted_hosts", "port", "simulate", "password", "nope")
)
BODY = st.fixed_dictionaries(
    {"host": NAME, "port": st.sampled_from((5, 25, 587)), "user": TEXT, "password": st.just(CANARY)},
    optional={"trusted_hosts": st.lists(NAME, max_size=3), "simulate": st.booleans()},
)
VALUE = st.one_of(TEXT, st.sampled_from((25, 587, True, "email", "EMAIL", "25", "true", CANARY)))
WORD = st.tuples(
    st.sampled_from((" ", "+", "|")), st.booleans(), st.text("aAéÉßσ%", min_size=1, max_size=3), st.booleans()
)

LEAF = st.one_of(
    st.just({"match_all": {}}),
    st.builds(lambda field, value: {"match": {field: value}}, FIELD, VALUE),
    st.builds(lambda field, value: {"match": {field: {"query": value, "operator": "and"}}}, FIELD, VALUE),
    st.builds(lambda field, value: {"term": {field: value}}, FIELD, VALUE),
    st.builds(lambda field, values: {"terms": {field: values}}, FIELD, st.lists(VALUE, max_size=3)),
    st.builds(lambda names: {"ids": {"values": [f"email/{name}" for name in names]}}, st.lists(NAME, max_size=3)),
    st.builds(lambda field: {"exists": {"field": field}}, FIELD),
    st.builds(
        lambda kind, field, value, anyhow: {kind: {field: {"value": value, "case_insensitive": anyhow}}},
        st.sampled_from(("term", "prefix", "wildcard")),
        FIELD,
        VALUE,
        st.booleans(),
    ),
    st.builds(
        lambda field, bounds: {"range": {field: bounds}},
        st.sampled_from(("_name", "user", "host", "trusted_hosts", "simulate", "password", "nope")),
        st.dictionaries(st.sampled_from(("gt", "gte", "lt", "lte")), TEXT, max_size=2),
    ),
    st.builds(
        lambda bounds: {"range": {"port": bounds}},
        st.dictionaries(
            st.sampled_from(("gt", "gte", "lt", "lte")), st.sampled_from((-1, 5, 24.5, 25, "25", 587)), max_size=2
        ),
    ),
    st.builds(
        lambda words, fields, joined: {
            "simple_query_string": {
                "query": "".join(f"{sign}{'-' * no}{word}{'*' * wild}" for sign, no, word, wild in words),
                "default_operator": joined,
                **({} if fields is None else {"fields": fields}),
            }
        },
        st.lists(WORD, max_size=3),
        st.none() | st.lists(FIELD, min_size=1, max_size=2),
        st.sampled_from(("or", "and")),
    ),
)
CLAUSES = ("must", "filter", "should", "must_not")
QUERY = st.recursive(
    LEAF,
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            **{name: st.lists(inner, max_size=3) for name in CLAUSES},
            "minimum_should_match": st.integers(-2, 3),
        },
    ).map(lambda content: {"bool": content}),
    max_leaves=6,
)
SORT = st.lists(
    st.builds(
        lambda field, order, missing: {field: {"order": order, "missing": missing}},
        st.sampled_from(("_name", "type.keyword", "user", "host", "trusted_hosts", "port", "simulate")),
        st.sampled_from(("asc", "desc")),
        st.sampled_from(("_first", "_last")),
    ),
    max_size=2,
)


# -- The reference ------------------------------------------------------------

Doc = Mapping[str, list[str]]


def text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def doc_of(name: str, body: Mapping[str, Any]) -> Doc:
    fields = {"_name": name, "type": "email", **body}
    lists = {key: value if isinstance(value, list) else [value] for key, value in fields.items()}
    return {key: [text(one) for one in ones if one is not False] for key, ones in lists.items() if key != "password"}


def like(pattern: str, value: str) -> bool:
    if not pattern:
        return not value
    if pattern[0] == "*":
        return like(pattern[1:], value) or (value != "" and like(pattern, value[1:]))
    if pattern[0] == "?":
        return value != "" and like(pattern[1:], value[1:])
    if pattern[0] == "\\" and len(pattern) > 1:
        pattern = pattern[1:]
    return value[:1] == pattern[0] and like(pattern[1:], value[1:])


SIDES: dict[str, Any] = {"gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le}
COMPARE = {"term": str.__eq__, "prefix": lambda wanted, value: value.startswith(wanted), "wildcard": like}


def values(doc: Doc, field: str) -> list[str]:
    return doc.get(field.removesuffix(".keyword"), [])


def matches(query: Mapping[str, Any], doc: Doc) -> bool:  # noqa: PLR0911  # one case a query
    ((kind, content),) = query.items()
    field: str = next(iter(content), "")
    wanted: Any = content.get(field)
    match kind:
        case "match_all":
            return True
        case "exists":
            return bool(values(doc, wanted))
        case "ids":
            return "email/" + doc["_name"][0] in wanted
        case "match":
            sought = text(wanted["query"] if isinstance(wanted, dict) else wanted).casefold()
            return any(value.casefold() == sought for value in values(doc, field))
        case "terms":
            return any(value in map(text, wanted) for value in values(doc, field))
        case "term" | "prefix" | "wildcard":
            wanted = wanted if isinstance(wanted, dict) else {"value": wanted, "case_insensitive": False}
            fold = str.casefold if wanted["case_insensitive"] else str
            return any(COMPARE[kind](fold(text(wanted["value"])), fold(value)) for value in values(doc, field))
        case "range":
            kind_of = float if field == "port" else str
            return any(
                all(SIDES[side](kind_of(value), kind_of(bound)) for side, bound in wanted.items())
                for value in values(doc, field)
            )
        case "simple_query_string":
            fields = content.get("fields", list(doc))
            return typed(content["query"], [one for name in fields for one in values(doc, name)], content)
        case _:
            return together(content, doc)


def together(content: Mapping[str, Any], doc: Doc) -> bool:
    must, filters, should, must_not = ([matches(one, doc) for one in content.get(name, [])] for name in CLAUSES)
    least = content.get("minimum_should_match", int(bool(should) and not must and not filters))
    least = least if least >= 0 else len(should) + least
    return all(must) and all(filters) and not any(must_not) and sum(should) >= least


def typed(query: str, found: list[str], options: Mapping[str, Any]) -> bool:
    result, conjunction, negated, sought = None, None, False, ""
    for char in query + " ":
        if char not in " +|-" or (char == "-" and sought):
            sought += char
            continue
        if sought:
            start = sought.removesuffix("*").casefold()
            exact = not sought.endswith("*")
            one = any(v.casefold() == start if exact else v.casefold().startswith(start) for v in found) != negated
            both = options["default_operator"] == "and" if conjunction is None else conjunction
            result = one if result is None else (result and one if both else result or one)
            conjunction, negated, sought = None, False, ""
        negated = negated != (char == "-")
        conjunction = char == "+" if char in "+|" else conjunction
    return bool(result)


def ordered(docs: Iterable[Doc], sorts: list[dict[str, Any]]) -> list[str]:
    docs = sorted(docs, key=lambda doc: doc["_name"][0])
    for sort in reversed(sorts):
        ((field, options),) = sort.items()
        down = options["order"] == "desc"
        key = (lambda value: value.zfill(20)) if field == "port" else str
        ranks = {doc["_name"][0]: sorted(map(key, values(doc, field)), reverse=down) for doc in docs}
        there = sorted((d for d in docs if ranks[d["_name"][0]]), key=lambda d: ranks[d["_name"][0]][0], reverse=down)
        missing = [doc for doc in docs if not ranks[doc["_name"][0]]]
        docs = missing + there if options["missing"] == "_first" else there + missing
    return ["email/" + doc["_name"][0] for doc in docs]


# -- The service --------------------------------------------------------------


def ask(service: Service, path: str, body: Any) -> tuple[list[str], Any]:
    answer = service.ask("POST", path, json=body)
    assert answer.status_code == 200, answer.text
    return [hit["_id"] for hit in answer.json["hits"]["hits"]], answer.json


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(
    accounts=st.dictionaries(NAME, BODY, max_size=5), searches=st.lists(st.tuples(QUERY, SORT), min_size=1, max_size=4)
)
def test_a_search_finds_what_the_reference_finds_in_its_order(
    service: Service, accounts: dict[str, Any], searches: list[tuple[Any, Any]]
) -> None:
    with service.services.database.begin() as connection:
        connection.execute(delete(ACCOUNT))
    for name, body in accounts.items():
        made = service.put(f"/_signals/account/email/{quote(name, safe='')}", body)
        assert made.status_code == 201, made.text
    docs = [doc_of(name, body) for name, body in accounts.items()]
    for query, sort in searches:
        expected = ordered([doc for doc in docs if matches(query, doc)], sort)
        body = {"query": query, "sort": sort}
        found, document = ask(service, "/_signals/account/_search", body)
        assert found == expected
        assert document["hits"]["total"] == {"value": len(expected), "relation": "eq"}
        in_turn: list[str] = []
        keyed = {**body, "sort": [*sort, "_id"], "size": 2}
        while (page := ask(service, "/_signals/account/_search", keyed))[0]:
            in_turn += page[0]
            keyed["search_after"] = page[1]["hits"]["hits"][-1]["sort"]
        assert in_turn == expected
        found, document = ask(service, "/_signals/account/_search?scroll=1m&size=2", body)
        paged = found
        while found:
            found, document = ask(service, "/_search/scroll", {"scroll_id": document["_scroll_id"]})
            paged += found
        assert paged == expected
