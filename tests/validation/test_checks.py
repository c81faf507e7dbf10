"""Grammars of single values, by example and by Hypothesis."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts_service.validation.checks import is_mailbox, is_uri


@pytest.mark.parametrize(
    "text",
    (
        "a@b",
        "a@localhost",
        "from@sg.test",
        "a.b+c@mail.example.com",
        "ä@exämple.com",
        "a@[127.0.0.1]",
        "<a@b.example>",
        "Cc <cc@sg.test>",
        '"Bcc" <bcc@sg.test>',
        '"Doe, John" <john@example.com>',
        "John Q. Doe <john@example.com>",
    ),
)
def test_a_mailbox_is_an_address_with_or_without_a_name(text: str) -> None:
    assert is_mailbox(text)


@pytest.mark.parametrize(
    "text",
    (
        "",
        "@",
        "a",
        "to@",
        "@b",
        "fr@om@sg.test",
        "Cc cc@sg.test",
        "Bcc <bcc@sg.test",
        "bcc@sg.test>",
        ".a@example.com",
        "a.@example.com",
        "a..b@example.com",
        "a@-x.com",
        "a@x-.com",
        "a@x..com",
        "a@x.",
        "a b@example.com",
        "a@b.example\n",
        "a@b.example\r\nBcc: c@d.example",
        '"a\nb" <a@b.example>',
        "a@b.example, c@d.example",
        "a" * 990 + "@b.example",
    ),
)
def test_what_is_no_mailbox_is_none(text: str) -> None:
    assert not is_mailbox(text)


@given(st.text(max_size=60))
def test_no_mailbox_can_break_a_header(text: str) -> None:
    if is_mailbox(text):
        assert not set(text) & {"\r", "\n", "\0"}
        assert "@" in text


@pytest.mark.parametrize(
    "text",
    (
        "",
        "https://hooks.slack.com/services/T0/B0/X",
        "http://user:pw@host:8080/a?b=c#d",
        "http://[::1]:80/",
        "http://[2001:db8::1]",
        "//host/path",
        "file:///etc",
        "mailto:a@b.example",
        "relative/path:with-colon",
        "?query",
        "#fragment",
        "a%20b",
        "http://hä.example/ü",
    ),
)
def test_a_uri_reference_may_be_absolute_relative_or_empty(text: str) -> None:
    assert is_uri(text)


@pytest.mark.parametrize(
    "text",
    (
        "http://a b",
        "http://",
        "//",
        ":x",
        "1a:b",
        "http:",
        "%",
        "%2",
        "%zz",
        "a#b#c",
        "http://[a]/",
        "http://[::1",
        "http://::1]/",
        "http://h/[x]",
        "http://h/#[",
        "a\\b",
        "<x>",
        "a\n",
        "x" * 8193,
    ),
)
def test_what_is_no_uri_reference_is_none(text: str) -> None:
    assert not is_uri(text)


@given(st.text(alphabet="ab:/?#[]@%20.é \\<\n", max_size=20))
def test_a_uri_has_no_blank_and_one_fragment(text: str) -> None:
    if is_uri(text):
        assert not set(text) & {" ", "\\", "<", "\n"}
        assert text.count("#") <= 1
