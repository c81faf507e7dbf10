"""Paths as they are logged and recorded: without tokens, and without what cannot be printed."""

from __future__ import annotations

import re
from urllib.parse import unquote

# Wavefront's tokens are UUIDs, as much else is; nothing else looks like NetBird's, of which `nbi_` are invitations.
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
# Mention's are 86 letters and figures; and what is signed begins with `{"`, written as JSON in base64. Of several such
# beginnings the last counts: with each, a path of nothing else would take the square of its length.
_TOKENS = re.compile(
    r"nb[ip]_[0-9A-Za-z]+|(?<![0-9A-Za-z])[0-9A-Za-z]{86}(?![0-9A-Za-z])|eyJ(?:(?!eyJ)[\w-])+\.[\w-]+\.[\w-]*",
    re.IGNORECASE,
)
# How often a path is decoded. No client needs more, and each time takes the length of the path once more.
MOST_DECODINGS = 3
# What is shown of a path that would have to be decoded more often: what is in it may be anything.
ENCODED = "<encoded>"
_LONGEST = 1000
# What is looked at of a name, more than is ever shown: a body of a megabyte may be one name, or a thousand.
_LONGEST_NAME = 256
# Addresses, some of which are secrets and others those of people, who must be forgotten when they want to be; runs of
# letters and figures as keys have them; shorter ones, and ones with signs as in base64 and in the keys of Slack or
# GitLab, where capitals, small letters and figures are mixed; and what begins as a header with credentials.
# Every part is bounded, so that a name of a megabyte takes no longer than its length.
_LIKE_A_SECRET = re.compile(
    r"://|.@|(?=[A-Za-z]{0,19}[0-9])[0-9A-Za-z]{20}"
    r"|\b(?:xox[a-z]|gh[a-z]|glpat|[sr]k)[-_](?=\S{0,40}[0-9])\S{8}"
    r"|(?=[\w+/=-]{0,15}[0-9])(?=[\w+/=-]{0,15}[A-Z])(?=[\w+/=-]{0,15}[a-z])[\w+/=-]{16}"
    r"|\b(?i:Bearer|Basic)\s{1,8}\S"
)


def without_tokens(text: str) -> str:
    """Give a text without anything that can only be a token."""
    return _TOKENS.sub("<token>", text)


def masked(path: str) -> str:
    """Give a path without anything that looks like a token, or that cannot be printed.

    Wavefront's API has tokens in paths, and whoever mistakes a path sends one to
    any other. Ids of groups and roles look the same; they stand in the audit trail.
    """
    decoded = decoded_fully(path)
    if decoded is None:
        return ENCODED
    found = _hidden(decoded)
    # What was encoded once more than anybody decodes may be anything by now; PostgreSQL takes no NUL.
    return _printable(path if found == decoded else found)


def recorded(path: str) -> str:
    """Give a path for a record, where names must be found again however they were sent.

    One that is too long ends behind a whole part: nobody finds a name by its beginning.
    """
    if decoded_fully(path) is None:
        return f"/{ENCODED}"
    path = "/".join(map(recorded_part, path.split("/")))
    return path if len(path) <= _LONGEST else f"{path[:_LONGEST].rpartition('/')[0]}/…"


def recorded_part(part: str) -> str:
    """Write what stands between two slashes of a path in the one way in which all that are sent for it are recorded.

    A slash within it stays encoded: it is no end of it, and another path would be another object.
    """
    decoded = decoded_fully(part)
    return ENCODED if decoded is None else _printable(_hidden(decoded.replace("/", "%2F")))


def recorded_name(name: str) -> str:
    """Return the name of an attribute that a caller made up, for a record or an answer.

    Printable, and without what looks like a secret, since a client may have put the value in the place of the name.
    """
    name = name[:_LONGEST_NAME]
    return "<token>" if _LIKE_A_SECRET.search(name) else _printable(_hidden(name))


def is_hidden(part: str) -> bool:
    """Tell whether of a part that is recorded so nothing is left but what stands for tokens."""
    return re.fullmatch(r"(?:<uuid>|<token>|<encoded>)+", part) is not None


def decoded_fully(path: str) -> str | None:
    """Return a path in which nothing is percent-encoded any more; None for one that takes more than three decodings."""
    for _ in range(MOST_DECODINGS):
        if "%" not in path or (again := unquote(path)) == path:
            return path
        path = again
    return path if unquote(path) == path else None


def _hidden(decoded: str) -> str:
    return _UUID.sub("<uuid>", without_tokens(decoded))


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)
