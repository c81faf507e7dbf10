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
_PERCENT = re.compile(r"%(?:25)+")
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
    decoded = _decoded(path)
    found = _hidden(decoded)
    # What was encoded once more than anybody decodes may be anything by now; PostgreSQL takes no NUL.
    return _printable(path if found == decoded else found)


def recorded(path: str) -> str:
    """Give a path for a record, where names must be found again however they were sent.

    One that is too long ends behind a whole part: nobody finds a name by its beginning.
    """
    path = "/".join(map(recorded_part, path.split("/")))
    return path if len(path) <= _LONGEST else f"{path[:_LONGEST].rpartition('/')[0]}/…"


def recorded_part(part: str) -> str:
    """Write what stands between two slashes of a path in the one way in which all that are sent for it are recorded.

    A slash within it stays encoded: it is no end of it, and another path would be another object.
    """
    return _printable(_hidden(_decoded(part).replace("/", "%2F")))


def recorded_name(name: str) -> str:
    """Return the name of an attribute that a caller made up, for a record or an answer.

    Printable, and without what looks like a secret, since a client may have put the value in the place of the name.
    """
    name = name[:_LONGEST_NAME]
    return "<token>" if _LIKE_A_SECRET.search(name) else _printable(_hidden(name))


def is_hidden(part: str) -> bool:
    """Tell whether of a part that is recorded so nothing is left but what stands for tokens."""
    return re.fullmatch(r"(?:<uuid>|<token>)+", part) is not None


def _decoded(path: str) -> str:
    decoded, again = path, _decoded_once(path)
    while again != decoded:
        decoded, again = again, _decoded_once(again)
    return decoded


def _decoded_once(path: str) -> str:
    # A percent sign that was encoded a thousand times at once, and not in a thousand rounds.
    return unquote(_PERCENT.sub("%", path))


def _hidden(decoded: str) -> str:
    return _UUID.sub("<uuid>", without_tokens(decoded))


def _printable(text: str) -> str:
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)
