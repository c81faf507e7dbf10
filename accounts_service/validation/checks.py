"""Grammars of single values: e-mail addresses and URIs. Pure functions, each with its source."""

from __future__ import annotations

import re

_ATOM = r"[^\s\x00-\x1f\x7f()<>\[\]:;@\\,.\"]+"
_QUOTED = r'"(?:[^"\\\x00-\x1f\x7f]|\\[^\x00-\x1f\x7f])*"'
_DOT_ATOM = rf"{_ATOM}(?:\.{_ATOM})*"
_LABEL = r"[^\W_](?:[\w-]*[^\W_])?"
_DOMAIN = rf"{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:.]+\]"
_ADDRESS = rf"{_DOT_ATOM}@(?:{_DOMAIN})"
_NAME = rf"(?:{_QUOTED}|{_ATOM}(?:[ .]+{_ATOM})*\.?)"
_MAILBOX = re.compile(rf"(?:{_ADDRESS}|(?:{_NAME} *)?<{_ADDRESS}>)\Z")

_LONGEST_MAILBOX = 998  # a line of a message, RFC 5322 section 2.1.1


def is_mailbox(text: str) -> bool:
    """Tell whether `text` is a mailbox: `local@domain`, or a display name and `<local@domain>`.

    RFC 5322 section 3.4 without comments, folding and quoted local parts, which
    Search Guard does not take either; no control character passes, so no
    header can be smuggled in.
    """
    return len(text) <= _LONGEST_MAILBOX and _MAILBOX.match(text) is not None


_URI_CHARACTER = r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/?]|%[0-9A-Fa-f]{2}|[^\x00-\xa0])"
_URI = re.compile(
    rf"(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]*):(?=[^#])|(?![^/?#]*:))"
    rf"(?://(?=.)(?:{_URI_CHARACTER}*?\[[0-9A-Fa-f:.]+\])?)?{_URI_CHARACTER}*(?:\#{_URI_CHARACTER}*)?\Z"
)


def is_uri(text: str) -> bool:
    """Tell whether `text` is a URI reference (RFC 3986 section 4.1, with characters beyond ASCII).

    Relative references and the empty one count, as with Search Guard.
    """
    return len(text) <= 8192 and _URI.match(text) is not None
