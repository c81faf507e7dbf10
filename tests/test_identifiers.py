"""How identifiers are spelled."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts_service.identifiers import folded, is_misleading, normalized


@pytest.mark.parametrize(
    ("one", "other"),
    (
        ("JÖRN@x.example", "jörn@X.EXAMPLE"),
        ("jo\u0308rn", "jörn"),
        ("Özlem.Kaya", "o\u0308zlem.kaya"),
        ("STRASSE", "straße"),
        ("ẞ", "ss"),
        ("ΟΔΥΣΣΕΥΣ", "οδυσσευς"),
        ("ς", "\N{GREEK SMALL LETTER SIGMA}"),
        ("\N{KELVIN SIGN}elvin", "kelvin"),
        ("\N{ANGSTROM SIGN}", "å"),
        ("J\u030c", "ǰ"),
        ("\N{LATIN SMALL LETTER LONG S}am", "sam"),
        ("İ", "i\u0307"),
        ("Ω", "\N{OHM SIGN}"),
        ("\N{CHEROKEE LETTER A}", "ꭰ"),
    ),
)
def test_two_spellings_fold_to_one(one: str, other: str) -> None:
    assert folded(one) == folded(other)


@pytest.mark.parametrize(
    ("one", "other"),
    (
        ("I", "\N{LATIN SMALL LETTER DOTLESS I}"),
        ("i", "İ"),
        ("\N{LATIN SMALL LETTER DOTLESS I}", "i"),
        ("o", "ö"),
        ("\N{CYRILLIC SMALL LETTER A}", "a"),
        ("fix", "fix\u200b"),
        ("1", "¹"),
    ),
)
def test_two_identifiers_stay_apart(one: str, other: str) -> None:
    assert folded(one) != folded(other)


@given(st.text())
def test_folding_again_changes_nothing(text: str) -> None:
    assert folded(folded(text)) == folded(text)


@given(st.text())
def test_folding_has_no_regard_to_normal_form(text: str) -> None:
    assert folded(unicodedata.normalize("NFD", text)) == folded(text)


@given(st.text())
def test_what_ascii_folds_alike_folds_alike(text: str) -> None:
    lower = "".join(one.lower() if one.isascii() else one for one in text)
    assert folded(lower) == folded(text)


def test_normal_form_keeps_the_case() -> None:
    assert normalized("O\u0308zlem") == "Özlem"


@pytest.mark.parametrize(
    "text",
    (
        *(" a", "a ", "a\u00a0", "\u3000a", "a\u200bb", "a\u00ad", "\u202eb", "\ufeffa", "\u2066a"),
        *("a\ufe0f", "a\u034fb", "\u3164a", "a\uffa0", "a\u180bb", "a\U000e0100", "a\u2065b"),
    ),
)
def test_text_that_looks_like_another_is_misleading(text: str) -> None:
    assert is_misleading(text)


@pytest.mark.parametrize("text", ("", "a b", "Özlem", "\u0130", "日本", "a-b_c.d@e"))
def test_plain_text_is_not_misleading(text: str) -> None:
    assert not is_misleading(text)
