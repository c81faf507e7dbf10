"""The two small languages that clients of Signals send: Lucene's query strings and `filter_path`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts_service.families.signals.schemas.filter_path import read_filter_path
from accounts_service.families.signals.schemas.queries import Equal, MatchAll, Wild, Wildcard
from accounts_service.families.signals.schemas.search import read_search
from accounts_service.faults import BadQuery, Json, RefusedError

SPECIAL = '+-=&|><!(){}[]^"~*?:\\/ \t\n'
WORDS = ("AND", "OR", "NOT", " ", "a", "port", "_exists_", ":", "TO", "[", "]", "25", '"', "*", "^2", "~", *SPECIAL)


def read(text: str, **options: Json) -> Any:
    return read_search({"query": {"query_string": {"query": text, **options}}}, {}).query


def escaped(text: str) -> str:
    return "".join(f"\\{char}" if char in SPECIAL or char.isspace() else char for char in text)


@given(st.text(min_size=1, max_size=30).filter(lambda text: text not in ("AND", "OR", "NOT")))
def test_an_escaped_word_means_itself(text: str) -> None:
    assert read(escaped(text)) == Equal(None, text, any_case=True)
    assert read(f"host:{escaped(text)}") == Equal(("host",), text, any_case=True)


@given(st.text(max_size=30))
def test_a_phrase_means_what_is_quoted(text: str) -> None:
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    assert read(f'host:"{quoted}"') == Equal(("host",), text, any_case=True)


@given(st.text(min_size=1, max_size=30).filter(lambda text: text.strip() == text))
def test_an_escaped_word_in_a_pattern_means_itself(text: str) -> None:
    assert read(f"?{escaped(text)}*") == Wildcard(None, (Wild.ONE, text, Wild.ANY), any_case=True)


@given(st.lists(st.sampled_from(WORDS), max_size=40).map("".join), st.sampled_from(("or", "and")))
def test_any_string_is_a_query_or_a_fault(text: str, operator: str) -> None:
    try:
        read(text, default_operator=operator)
    except RefusedError as refused:
        fault = refused.fault
    else:
        return
    assert isinstance(fault, BadQuery)


@pytest.mark.parametrize("text", ("(" * 2000, "-" * 4000, "(a OR " * 600, "NOT " * 1000, '"' * 3999, "[" * 4000))
def test_a_long_string_of_signs_is_a_fault(text: str) -> None:
    with pytest.raises(RefusedError):
        read(text)


def test_a_deep_string_is_a_query() -> None:
    assert read("(" * 16 + "*:*" + ")" * 16) == MatchAll()


# -- filter_path --------------------------------------------------------------

KEY = st.sampled_from(("a", "b", "ab", "password", "a.b"))
DOCUMENT = st.dictionaries(
    KEY,
    st.recursive(
        st.integers(0, 3),
        lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(KEY, inner, min_size=1, max_size=3),
        max_leaves=12,
    ),
    max_size=4,
)
PATH = st.lists(st.sampled_from(("a", "b", "a*", "*", "**", "*b", "password")), min_size=1, max_size=4).map(".".join)


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], int]]:
    """Yield each value of a document that is neither an object nor a list, with the keys that lead to it."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list):
        for element in value:
            yield from leaves(element, path)
    else:
        yield path, value


@given(DOCUMENT, PATH)
def test_a_path_includes_what_excluding_it_leaves_out(document: Any, path: str) -> None:
    included, left = read_filter_path([path]).of(document), read_filter_path([f"-{path}"]).of(document)
    assert sorted([*leaves(included), *leaves(left)]) == sorted(leaves(document))


@given(DOCUMENT, PATH)
def test_nothing_empty_is_left_of_what_was_not_empty(document: Any, path: str) -> None:
    def empties(value: Any) -> Iterator[Any]:
        if isinstance(value, dict | list):
            if not value:
                yield value
            for inner in value.values() if isinstance(value, dict) else value:
                yield from empties(inner)

    for paths in (path, f"-{path}"):
        shown = read_filter_path([paths]).of(document)
        assert list(empties(shown)) == ([] if shown else [{}])


@given(DOCUMENT, st.lists(PATH, max_size=3))
def test_an_excluded_key_is_nowhere_whatever_else_is_asked_for(document: Any, others: list[str]) -> None:
    shown = read_filter_path([",".join(["-**.password", *others])]).of(document)
    assert all("password" not in path for path, _ in leaves(shown))


@given(DOCUMENT)
def test_a_document_is_filtered_into_a_new_one(document: Any) -> None:
    before = repr(document)
    read_filter_path(["**.a,-**.b"]).of(document)
    assert repr(document) == before


@given(st.lists(st.sampled_from(("**", "*", "a", "b", "a*")), min_size=1, max_size=6), st.integers(2, 4))
def test_a_run_of_double_stars_is_one_double_star(keys: list[str], times: int) -> None:
    document: dict[str, Json] = {"a": {"b": {"a": 1, "ab": 2}, "c": 3}, "b": [{"a": 4}, {"c": {"a": 5}}]}
    repeated = [key for key in keys for _ in range(times if key == "**" else 1)]
    for mark in ("", "-"):
        one, many = (read_filter_path([mark + ".".join(path)]) for path in (keys, repeated))
        assert many.includes == one.includes
        assert many.excludes == one.excludes
        assert many.of(document) == one.of(document)
