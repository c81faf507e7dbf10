"""Grammars of single values: e-mail addresses and URIs. Pure functions, each with its source."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

# Documents of the API show this grammar, so there is no `\s`, which is another one in ECMAScript. Its `\w` knows
# ASCII only: to who reads the document with that, domains of other letters look refused, and are not.
_SPACE = r"\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_ATOM = rf"""[^\x00-\x20\x7f{_SPACE}()<>\[\]:;@\\,."]+"""
_QUOTED = r'"(?:[^"\\\x00-\x1f\x7f]|\\[^\x00-\x1f\x7f])*"'
_DOT_ATOM = rf"{_ATOM}(?:\.{_ATOM})*"
_LABEL = r"[^\W_](?:[\w-]*[^\W_])?"
_DOMAIN = rf"{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:.]+\]"
_ADDRESS = rf"{_DOT_ATOM}@(?:{_DOMAIN})"
_NAME = rf"(?:{_QUOTED}|{_ATOM}(?:[ .]+{_ATOM})*\.?)"
MAILBOX = rf"(?:{_ADDRESS}|(?:{_NAME} *)?<{_ADDRESS}>)"
_MAILBOX = re.compile(rf"{MAILBOX}\Z")

LONGEST_MAILBOX = 998  # a line of a message, RFC 5322 section 2.1.1


def is_mailbox(text: str) -> bool:
    """Tell whether `text` is a mailbox: `local@domain`, or a display name and `<local@domain>`.

    RFC 5322 section 3.4 without comments, folding and quoted local parts, which
    Search Guard does not take either; no control character passes, so no
    header can be smuggled in.
    """
    return len(text) <= LONGEST_MAILBOX and _MAILBOX.match(text) is not None


ADDRESS = _ADDRESS
_BARE_ADDRESS = re.compile(rf"{_ADDRESS}\Z")


def is_address(text: str) -> bool:
    """Tell whether `text` is an e-mail address by itself, `local@domain`, in the same grammar."""
    return len(text) <= LONGEST_MAILBOX and _BARE_ADDRESS.match(text) is not None


LONGEST_URI = 8192
_WEB_ADDRESS = re.compile(r"https?://[^/?#@\\]+(?:[/?#]|\Z)", re.IGNORECASE)

_URI_CHARACTERS = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/?#\[\]]|%[0-9A-Fa-f]{2}|[^\x00-\xa0])*\Z")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*\Z")
_IP_LITERAL = re.compile(r"(?:[^@\[\]]*@)?\[([^\[\]]*)\](?::[0-9]*)?\Z")


def is_uri(text: str) -> bool:
    """Tell whether `text` is a URI reference (RFC 3986 section 4.1, with characters beyond ASCII).

    Relative references and the empty one count, as with Search Guard.
    """
    if len(text) > LONGEST_URI or not _URI_CHARACTERS.match(text):
        return False
    rest, _, fragment = text.partition("#")
    scheme, colon, after = rest.partition(":")
    if colon and not set(scheme) & {"/", "?"}:
        if not _SCHEME.match(scheme) or not after:
            return False
        rest = after
    if not rest.startswith("//"):
        return not set(rest + fragment) & {"[", "]", "#"}
    authority = re.split("[/?]", rest[2:], maxsplit=1)[0]
    path = rest[2 + len(authority) :]
    if set(path + fragment) & {"[", "]", "#"} or not (authority or path):
        return False
    return not set(authority) & {"[", "]"} or _has_address(authority)


def is_web_address(text: str) -> bool:
    """Tell whether `text` is an absolute http or https URI with a host (RFC 9110 section 4.2).

    User information in it is refused (section 4.2.4): it would be a password in the open.
    """
    return is_uri(text) and _WEB_ADDRESS.match(text) is not None and bool(urlsplit(text).hostname)


HEADER_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}"
HEADER_VALUE = r"(?:[\x21-\x7e\x80-\xff](?:[\x20-\x7e\x80-\xff\t]*[\x21-\x7e\x80-\xff])?)?"
_HEADER_NAME = re.compile(rf"{HEADER_NAME}\Z")
_HEADER_VALUE = re.compile(rf"{HEADER_VALUE}\Z")


# What frames a message or belongs to one connection (RFC 9110 sections 6.5 and 7.6.1), and what
# says where a request goes or what it is, whatever its address says.
_OF_THE_CLIENT = frozenset(
    (
        *("connection", "content-length", "expect", "keep-alive", "proxy-connection", "te", "trailer"),
        *("transfer-encoding", "upgrade", "host", "forwarded", "x-forwarded-for", "x-forwarded-host"),
        *("x-forwarded-port", "x-forwarded-proto", "x-forwarded-server", "x-host", "x-original-host"),
        *("x-original-url", "x-rewrite-url", "x-http-method-override"),
    )
)


def is_header_name(text: str) -> bool:
    """Tell whether `text` can be the name of a header that one may choose.

    RFC 9110 section 5.1: a token; and none that decides where the request goes,
    since the other headers and the password would go there with it.
    """
    return _HEADER_NAME.match(text) is not None and text.lower() not in _OF_THE_CLIENT


def is_header_value(text: str) -> bool:
    """Tell whether `text` can be the value of a header (RFC 9110 section 5.5): no line break can be smuggled in."""
    return _HEADER_VALUE.match(text) is not None


def _has_address(authority: str) -> bool:
    literal = _IP_LITERAL.match(authority)
    try:
        return literal is not None and bool(ipaddress.IPv6Address(literal[1]))
    except ValueError:
        return False
