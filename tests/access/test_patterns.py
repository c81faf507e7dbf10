"""The pattern language, held against a matcher written as its definition reads."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts_service.access.patterns import (
    BadPatternError,
    Matcher,
    Template,
    expression,
    is_literal,
    is_template,
)
from accounts_service.access.regex import RefusedByRe2Error, Regex

# Few letters, so that matches are frequent; with those that mean something to regular expressions and a newline.
TEXTS = st.text(alphabet="ab.\n/-", max_size=12)
GLOBS = st.text(alphabet="ab.\n-*?", max_size=8)


def fits(glob: str, text: str) -> bool:
    """Match as the definition says, trying everything."""
    if not glob:
        return not text
    if glob[0] == "*":
        return any(fits(glob[1:], text[start:]) for start in range(len(text) + 1))
    return bool(text) and glob[0] in ("?", text[0]) and fits(glob[1:], text[1:])


def matches(pattern: str, text: str) -> bool:
    return Matcher([pattern]).matches(text)


@given(GLOBS, TEXTS)
def test_a_glob_matches_what_the_definition_says(glob: str, text: str) -> None:
    assert matches(glob, text) == fits(glob, text)


@given(st.text(), st.text())
def test_a_literal_matches_itself_and_nothing_else(pattern: str, text: str) -> None:
    if is_literal(pattern):
        assert matches(pattern, text) == (pattern == text)
        assert matches(pattern, pattern)


@given(st.lists(GLOBS, max_size=4), TEXTS)
def test_a_list_matches_when_any_of_its_patterns_does(globs: list[str], text: str) -> None:
    assert Matcher(globs).matches(text) == any(fits(glob, text) for glob in globs)


@given(st.lists(GLOBS, max_size=3), st.lists(TEXTS, max_size=3))
def test_a_set_of_values_matches_when_any_value_does(globs: list[str], texts: list[str]) -> None:
    assert Matcher(globs).matches_any(texts) == any(fits(glob, text) for glob in globs for text in texts)


@given(st.lists(GLOBS, max_size=3), st.text())
def test_a_list_with_a_star_matches_everything(globs: list[str], text: str) -> None:
    assert Matcher([*globs, "*"]).matches(text)


@given(st.text())
def test_an_empty_list_matches_nothing(text: str) -> None:
    assert not Matcher(()).matches(text)


@given(GLOBS, TEXTS)
def test_a_match_names_the_pattern_that_did_it(glob: str, text: str) -> None:
    assert Matcher([glob]).match(text) == (glob if fits(glob, text) else None)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    (
        ("a*c", "a\n\nc", True),
        ("a?c", "a\nc", True),
        ("a?c", "ac", False),
        ("a?c", "abbc", False),
        ("Admin", "admin", False),
        ("ad*", "ADMIN", False),
        ("/ad.*/", "ADMIN", False),
        ("/a|b/", "ab", False),
        ("/a|ab/", "ab", True),
        ("/a/", "a\n", False),
        ("/a$/", "a\n", False),
        ("/a.b/", "a\nb", False),
        ("//", "", True),
        ("//", "/", False),
        ("/a/*", "/a/b", True),
        ("/*", "/b", True),
        ("/*", "b", False),
        ("/", "/", True),
        ("/", "", False),
        ("a\\*", "a*", False),
        ("a\\*", "a\\b", True),
        ("[ab]", "a", False),
        ("[ab]", "[ab]", True),
        ("-a*", "ab", False),
    ),
)
def test_a_pattern_matches_the_whole_text_case_counts_and_nothing_escapes(
    pattern: str, text: str, *, expected: bool
) -> None:
    assert matches(pattern, text) is expected


@pytest.mark.parametrize(
    "pattern",
    (
        *("/(/", "/)/", "/[a/", "/*/", "/a**/", "/|*/", "/a{4294967296}/", "/a{,2}/", "/a{2,1}/", "/a\\/", "/[]/"),
        *("/(?<n>a)(?<n>b)/", "/\\p{Alphabetic}/", "/\\p{IsNothing}/", "/\\pa/", "/\\C/", "/\\y/", "/\\x4/", "/[z-a]/"),
        *("/[a-\\d]/", "/(?x)a/", "/(?U)a*/", "/(?m)^a/", "/(?#a)/", "/\\07/", "/\\ud800/", "/(?i)\\p{Lu}/"),
        "/" + "(" * 400 + "/",
    ),
)
def test_what_is_no_regular_expression_is_refused(pattern: str) -> None:
    with pytest.raises(BadPatternError):
        Matcher([pattern])


@pytest.mark.parametrize("pattern", ("/[a-z&&[^x]]/", "/[[a]]/", "/[a--b]/", "/[[:alpha:]]/"))
def test_a_set_that_java_reads_differently_is_refused(pattern: str) -> None:
    with pytest.raises(BadPatternError):
        expression(pattern)


def test_a_regular_expression_is_bounded_in_length_and_depth() -> None:
    assert matches(f"/{'a' * 500}/", "a" * 500)
    with pytest.raises(BadPatternError, match="500"):
        Matcher([f"/{'a' * 501}/"])
    assert matches(f"/{'(' * 50}a{')' * 50}/", "a")
    with pytest.raises(BadPatternError, match="50 groups"):
        Matcher([f"/{'(' * 51}a{')' * 51}/"])


@given(st.text(alphabet="ab/()[]{}*+?|\\^$.-&=!<>P1,", max_size=30))
def test_a_pattern_is_accepted_or_refused_and_nothing_else(pattern: str) -> None:
    try:
        Matcher([pattern]).matches("ab")
    except BadPatternError:
        assert not is_literal(pattern)


@pytest.mark.parametrize(
    ("source", "text", "expected"),
    (
        # Where RE2 and Java differ; what Java answers.
        ("a.b", "a\rb", False),
        ("a.b", "a\u2028b", False),
        ("(?s)a.b", "a\nb", True),
        ("(?s:.)a.", "\na\n", False),
        (r"\s", "\x0b", True),
        (r"[^\S]", "\x0b", True),
        (r"\h", "\u3000", True),
        (r"\v", "\u2028", True),
        (r"\w", "\u00f6", False),
        (r"\d", "\u0663", False),
        ("(?i)sales", "SALES", True),
        ("(?i)sales", "\u017fales", False),
        ("(?i)[j-l]", "\u212a", False),
        ("(?i)[j-l]", "K", True),
        ("(?i)[^k]", "K", False),
        ("a(?i:b)c", "aBC", False),
        ("a(?i)b|c", "C", True),
        ("(a(?i)b|c)d", "CD", False),
        ("(a(?i)b|c)d", "Cd", True),
        ("(?i)a(?-i)b", "AB", False),
        (r"\p{Alpha}\P{Alpha}", "a\u00f6", True),
        (r"[\p{IsL}_]+", "\u00f6_", True),
        (r"\Qa.b\E+", "a.bb", True),
        (r"\Qa.b\E", "axb", False),
        ("[]a]", "]", True),
        ("[a||b]", "|", True),
        (r"\x{1f600}\u0041", "\U0001f600A", True),
        ("(a$|b$)", "a", True),
        ("a$|[$)]", ")", True),
        ("(a$|(b))", "b", True),
        (r"(a$|\|)", "|", True),
        ("(a$|[|)b])", ")", True),
        (r"\Aa\Z|b", "a", True),
        (r"\Aa\z", "a\n", False),
        (r"\ba\Bb", "ab", True),
        (r"a\tb", "a\tb", True),
        (r"[\.]", "x", False),
        ("(?<n>a)", "a", True),
        ("{", "{", True),
    ),
)
def test_regular_expression_means_what_java_says(source: str, text: str, *, expected: bool) -> None:
    assert matches(f"/{source}/", text) is expected
    assert matches(f"/(?:{source})/", text) is expected
    assert Matcher([f"/{source}/", "/never/", "never*"]).matches(text) is expected


@pytest.mark.parametrize("source", ("a$b?", "(a$)*", r"a\Z\n", "(a$|b)c"))
def test_end_that_more_may_follow_is_refused(source: str) -> None:
    """In Java `$` is also before a last line break, in RE2 it is not."""
    with pytest.raises(BadPatternError, match="end of the text"):
        Matcher([f"/{source}/"])


@given(
    st.lists(
        st.sampled_from(
            (
                *"ab.|",
                "(a|b)",
                "(?:ab)",
                "[ab]",
                "[^a]",
                "[a-]",
                r"\w",
                r"\D",
                r"\.",
                "a*",
                "b+?",
                "[ab]{1,2}",
                "(a|.)*",
            )
        ),
        max_size=6,
    ),
    TEXTS,
)
def test_common_syntax_means_the_same_as_in_python(parts: list[str], text: str) -> None:
    source = "".join(parts)
    assert matches(f"/{source}/", text) is (re.fullmatch(source, text, re.ASCII) is not None)


# The role pattern with which any caller could stop a worker, and others of its kind.
SLOW = (
    r"(indices|cluster):(\w+:?)+\/get",
    r"(a+)+b",
    r"(.*a){20}",
    r"(a|a)*b",
    r".*.*.*=.*",
)


@pytest.mark.parametrize("source", SLOW)
def test_regular_expression_with_many_ways_to_match_ends(source: str) -> None:
    """Tried in every combination, each takes longer than the time-out of a test."""
    for text in ("cluster:aaaaaaaaaaaaaaaaaaaaa", "indices:" + "a" * 8000, "a" * 8000, "ab" * 30):
        assert matches(f"/{source}/", text) is matches(f"/(?:{source})|never/", text)


def test_many_patterns_match_as_each_does_by_itself() -> None:
    patterns = [
        *(f"*{first}{second}*" for first in "abcdefgh" for second in "abcdefgh"),
        *(f"/x{n}.*/" for n in range(99)),
    ]
    matcher = Matcher(patterns)
    for text in ("zzcdzz", "x98", "x98" + "-" * 200, "ba" * 4000, "zz", "a-b" * 30):
        assert matcher.matches(text) is any(matches(pattern, text) for pattern in patterns)
        assert matcher.matches(text) is (matcher.match(text) is not None)


def test_patterns_that_fit_no_program_together_match_all_the_same() -> None:
    wide = [rf"/{letter}\p{{L}}{{1,60}}/" for letter in "abcdef"]
    assert Matcher(wide).matches("f\u00f6")
    assert not Matcher(wide).matches("g\u00f6")


def test_half_of_a_surrogate_pair_is_a_character() -> None:
    assert matches("*", "\ud800")
    assert matches("a?", "a\udfff")
    assert not matches("/[a-z]*/", "\ud800")


def test_many_stars_cost_no_more_than_a_few() -> None:
    # Tried in every combination, this takes longer than the time-out of a test.
    assert not matches("*a" * 12 + "*b", "a" * 8000)
    assert matches("*a" * 12 + "*b", "a" * 8000 + "b")


# -- What is filled in --------------------------------------------------------


@given(GLOBS, GLOBS, st.text(alphabet="ab.*?/[(\\", min_size=1, max_size=4), st.text(alphabet="ab.*?/[(\\", max_size=9))
def test_what_is_filled_in_matches_only_itself(before: str, after: str, value: str, text: str) -> None:
    expected = any(
        fits(before, text[:start]) and text.startswith(value, start) and fits(after, text[start + len(value) :])
        for start in range(len(text) + 1)
    )
    assert Template(f"{before}${{user.name}}{after}").matches(text, {"user.name": value}) == expected


@pytest.mark.parametrize("values", ({}, {"b": "x"}, {"a": ""}))
def test_without_a_value_a_template_matches_nothing(values: dict[str, str]) -> None:
    for text in ("", "x", "${a}"):
        assert not Template("*${a}*").matches(text, values)


def test_a_template_may_hold_several_values() -> None:
    template = Template("${a}_${b}?")
    assert template.matches("x_y1", {"a": "x", "b": "y"})
    assert not template.matches("x_y", {"a": "x", "b": "y"})
    assert not template.matches("y_x1", {"a": "x", "b": "y"})


def test_value_that_no_program_has_room_for_matches_nothing() -> None:
    values = {"user.name": "\U0001f600" * 100_000}
    assert not Template("a?${user.name}").matches("ax" + values["user.name"], values)
    values = {"user.name": "x" * 2000}
    assert not Template("/(?:${user.name|toRegexFragment}){900}/").matches(values["user.name"] * 900, values)


@pytest.mark.parametrize(
    ("source", "reason"),
    (("(", "missing )"), ("[b-a]", "a class or range that RE2 does not know"), ("a{1001}", "repetitions that come to")),
)
def test_expression_that_re2_refuses_is_refused_with_the_reason(source: str, reason: str) -> None:
    with pytest.raises(RefusedByRe2Error, match=re.escape(reason)):
        Regex(source)


def test_slashes_around_a_part_of_a_template_make_no_regular_expression() -> None:
    template = Template("${a}/.*/")
    assert template.matches("x/.1/", {"a": "x"})
    assert not template.matches("xanything", {"a": "x"})


def test_a_template_is_no_regular_expression() -> None:
    with pytest.raises(BadPatternError):
        Template("/(${a})/")


@pytest.mark.parametrize(
    "pattern", ("/[${a|toRegexFragment}]/", "/\\${a|toRegexFragment}/", "/${a|head}/", "/${a?:1}/")
)
def test_what_is_filled_into_an_expression_is_a_group_of_its_own(pattern: str) -> None:
    with pytest.raises(BadPatternError):
        Template(pattern)


@given(st.text(alphabet="ab.*?/[(\\|", max_size=6), st.text(alphabet="ab.*?/[(\\|", max_size=6))
def test_what_is_filled_into_an_expression_matches_only_itself(value: str, text: str) -> None:
    template = Template("/x${user.name|toRegexFragment}y/")
    assert template.matches(f"x{text}y", {"user.name": value}) == (value == text and value != "")


@pytest.mark.parametrize(
    ("pattern", "expected"), (("${a}", True), ("x${}y", True), ("$a", False), ("${a", False), ("{a}", False))
)
def test_a_template_has_a_name_in_braces_after_a_dollar(pattern: str, *, expected: bool) -> None:
    assert is_template(pattern) is expected
