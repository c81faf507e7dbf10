"""Paths as they are logged: decoded at most three times, whatever a caller sends."""

from __future__ import annotations

from urllib.parse import quote, unquote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from accounts_service.storage.paths import masked, recorded, recorded_part

SIGNED = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmVk"


@pytest.mark.parametrize(
    "path",
    (
        f"/%{'25' * 3}41nn",
        f"/%{'25' * 500_000}41nn",
        # Each decoding shows one more escape; without a limit it takes the square of its length.
        "/" + "%" * 500_000 + "3" * 500_000 + "41nn",
    ),
    ids=("four", "many", "within"),
)
def test_path_encoded_more_than_three_times_is_masked_whole(path: str) -> None:
    """Else a path could stop a worker, or have a token in it that nobody sees."""
    assert (masked(path), recorded(path), recorded_part(path)) == ("<encoded>", "/<encoded>", "<encoded>")


def test_path_encoded_three_times_is_recorded_plainly() -> None:
    assert recorded("/%252541nn") == "/Ann"


@pytest.mark.parametrize("before", ("", "eyJ", "eyJ" * 300_000))
def test_signed_token_is_masked_behind_other_beginnings_of_one(before: str) -> None:
    shown = masked(f"/{before}{SIGNED}")
    assert shown.endswith("<token>")
    assert "c2lnbmVk" not in shown


@given(st.text("%2541/aé ", max_size=12), st.integers(0, 3))
def test_encoding_a_part_again_records_the_same(text: str, times: int) -> None:
    plain = unquote(unquote(unquote(text)))
    assume(unquote(plain) == plain)
    encoded = plain
    for _ in range(times):
        encoded = quote(encoded, safe="")
    assert recorded_part(encoded) == recorded_part(text)
