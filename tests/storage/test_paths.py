"""Paths as they are logged: decoded as often as they were encoded, whatever a caller sends."""

from __future__ import annotations

from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts_service.storage.paths import masked, recorded_part

SIGNED = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmVk"


def test_name_that_was_encoded_very_often_is_recorded_plainly() -> None:
    """It takes about as long as one that was encoded once; else a path could stop a worker."""
    assert recorded_part(f"%{'25' * 500_000}41nn") == "Ann"


@pytest.mark.parametrize("before", ("", "eyJ", "eyJ" * 300_000))
def test_signed_token_is_masked_behind_other_beginnings_of_one(before: str) -> None:
    shown = masked(f"/{before}{SIGNED}")
    assert shown.endswith("<token>")
    assert "c2lnbmVk" not in shown


@given(st.text("%2541/aé ", max_size=12), st.integers(0, 4))
def test_encoding_a_part_again_records_the_same(text: str, times: int) -> None:
    plain = text
    while unquote(plain) != plain:
        plain = unquote(plain)
    encoded = plain
    for _ in range(times):
        encoded = quote(encoded, safe="")
    assert recorded_part(encoded) == recorded_part(text)
