"""Strict JSON: what is accepted comes out as it was sent, and everything else is one of two faults."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts_service.faults import EmptyBody, Json, MalformedBody, RefusedError
from accounts_service.web.body import DEEPEST, parse

_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXT
)
DOCUMENTS = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4), max_leaves=40
)


def refusal(raw: bytes) -> MalformedBody:
    """Say why `raw` is malformed."""
    with pytest.raises(RefusedError) as caught:
        parse(raw)
    assert isinstance(caught.value.fault, MalformedBody)
    return caught.value.fault


@given(DOCUMENTS, st.booleans())
def test_a_document_comes_out_as_it_was_sent(document: Json, ascii_only: bool) -> None:  # noqa: FBT001  # Hypothesis hands it in
    raw = json.dumps(document, ensure_ascii=ascii_only).encode()
    assert parse(raw) == document


@given(st.binary(max_size=200))
def test_any_bytes_are_a_document_or_a_fault(raw: bytes) -> None:
    try:
        parse(raw)
    except RefusedError as refused:
        fault = refused.fault
    else:
        return
    assert isinstance(fault, EmptyBody | MalformedBody)


@given(st.text(alphabet='[]{}:,"\\0123456789.eE+-truefalsnINFity /*ud8 \t\n', max_size=60))
def test_what_looks_like_json_is_a_document_of_finite_numbers_or_a_fault(text: str) -> None:
    try:
        document = parse(text.encode())
    except RefusedError:
        return
    assert json.loads(text) == document
    json.dumps(document, allow_nan=False)


@given(DOCUMENTS, st.text(alphabet="{}[]x1,", min_size=1))
def test_nothing_may_follow_the_document(document: Json, rest: str) -> None:
    assert refusal(json.dumps([document]).encode() + b" " + rest.encode()).reason == "Extra data"


@pytest.mark.parametrize("raw", (b"", b" ", b"\r\n\t "), ids=repr)
def test_a_body_without_a_document_is_empty(raw: bytes) -> None:
    with pytest.raises(RefusedError) as caught:
        parse(raw)
    assert caught.value.fault == EmptyBody()


@pytest.mark.parametrize(
    ("raw", "reason"),
    (
        (b'{"a": NaN}', "NaN and Infinity are not numbers of JSON"),
        (b"[Infinity]", "NaN and Infinity are not numbers of JSON"),
        (b"-Infinity", "NaN and Infinity are not numbers of JSON"),
        (b"1e999", "a number is too large"),
        (b"-1e999", "a number is too large"),
        (b"9223372036854775808", "an integer has more than 64 bits"),
        (b"-9223372036854775809", "an integer has more than 64 bits"),
        (b"1" * 5000, "an integer has more than 64 bits"),
        (b'{"a": 1, "a": 1}', "a key stands twice in one object"),
        (b'{"x": {"a": 1, "b": 2, "\\u0061": 3}}', "a key stands twice in one object"),
        (b'"\\ud800"', "a text holds half of a surrogate pair"),
        (b'{"\\udfff": 1}', "a text holds half of a surrogate pair"),
        (b'["\\ude00\\ud83d"]', "a text holds half of a surrogate pair"),
        (b'["\\u0000"]', "a text holds a NUL character"),
        (b'{"a\\u0000b": 1}', "a text holds a NUL character"),
        (b'"\xff"', "not UTF-8"),
        (b'"\xed\xa0\x80"', "not UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "not UTF-8"),
        (b"[" * 100_000 + b"]" * 100_000, f"nested deeper than {DEEPEST}"),
        (b'{"a":' * 990 + b"1" + b"}" * 990, f"nested deeper than {DEEPEST}"),
    ),
    ids=lambda value: str(value)[:40] if isinstance(value, str) else repr(value[:24]),
)
def test_what_means_something_else_to_someone_is_refused(raw: bytes, reason: str) -> None:
    assert refusal(raw).reason == reason


def test_a_byte_order_mark_is_refused() -> None:
    assert refusal(b"\xef\xbb\xbf{}").line == 1


def test_a_control_character_in_a_text_is_refused() -> None:
    assert refusal(b'["a\nb"]').column == 4


def test_a_pair_of_surrogates_is_one_character() -> None:
    assert parse(b'"\\ud83d\\ude00"') == "\U0001f600"


@pytest.mark.parametrize(("opening", "closing"), ((b"[", b"]"), (b'{"a":', b"}")), ids=("lists", "objects"))
def test_nesting_is_accepted_down_to_the_limit(opening: bytes, closing: bytes) -> None:
    assert parse(opening * DEEPEST + b"1" + closing * DEEPEST)
    assert refusal(opening * (DEEPEST + 1) + b"1" + closing * (DEEPEST + 1)).reason == f"nested deeper than {DEEPEST}"


def test_an_empty_list_is_a_level_too() -> None:
    assert parse(b"[" * DEEPEST + b"]" * DEEPEST)
    assert refusal(b"[" * (DEEPEST + 1) + b"]" * (DEEPEST + 1)).reason == f"nested deeper than {DEEPEST}"


def test_brackets_in_a_text_are_no_nesting() -> None:
    assert parse(b'"' + b"[" * 1000 + b'"') == "[" * 1000


def test_the_place_of_a_mistake_is_told() -> None:
    fault = refusal(b'{\n  "a": 1\n  "b": 2\n}')
    assert (fault.line, fault.column) == (3, 3)


@given(st.text(alphabet="abcdefghij", min_size=8, max_size=20))
def test_a_reason_never_repeats_what_was_sent(secret: str) -> None:
    for raw in (f'{{"password": "{secret}"', f'{{"{secret}": 1, "{secret}": 2}}', f'"{secret}" {secret}', secret):
        assert secret not in refusal(raw.encode()).reason


def test_a_large_exponent_that_is_still_finite_is_a_number() -> None:
    assert parse(b"1.5e308") == 1.5e308
    assert math.isfinite(float(str(parse(b"1e-999"))))
