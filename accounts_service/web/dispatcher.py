"""The dispatcher: which family a request is for, by host and first segment.

Two of the four APIs live at `/api/accounts`; like their originals they are
told apart by host. Each family is a Flask app of its own: one app with a
shifted SCRIPT_NAME answers one family's requests with another one's views,
because routing does not look at SCRIPT_NAME.

It also looks at the path as it was sent, since the server hands it on decoded:
there `%2F` has become a path separator and two different wrong bytes the same
replacement character. What it finds is left to the family to say, after it has
asked who is asking.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from accounts_service.storage.paths import ENCODED, MOST_DECODINGS, decoded_fully, masked
from accounts_service.web.family import GapError, Mount

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PATH_FAULT = "accounts.path_fault"
# Set where a path is a family's own and not one of its mount's, whatever the family has elsewhere.
NOWHERE = "accounts.nowhere"

LONGEST_SEGMENT = 512
_TOO_LONG = f"a path segment has more than {LONGEST_SEGMENT} bytes"
_TOO_ENCODED = f"the path is percent-encoded more than {MOST_DECODINGS} times"
# As it stands between the brackets of a pattern.
# Invisible characters are not among them: what is called by one can still be read, changed and deleted. None
# can be made any more, see `identifiers.is_misleading`.
CONTROL = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
_CONTROL = re.compile(f"[{CONTROL}]")
# A path in which nothing is encoded.
_PLAIN = re.compile(r"[!-$&-~]*\Z")


@dataclass(frozen=True, slots=True)
class _Row:
    mount: Mount
    family: str

    @property
    def rank(self) -> tuple[bool, int]:
        """Rows for certain hosts first, then the longest."""
        return (not self.mount.hosts, -len(self.mount.root))


class Dispatcher:
    """The WSGI application."""

    def __init__(
        self, apps: Mapping[str, WSGIApplication], mounts: Mapping[str, Iterable[Mount]], otherwise: str
    ) -> None:
        """Take the app of each family, where each answers, and the family for all the rest.

        Raises GapError when two rows want the same requests.
        """
        rows = [_Row(mount, family) for family, its in mounts.items() for mount in its]
        for number, row in enumerate(rows):
            for other in rows[:number]:
                _verify_apart(row, other)
        self._rows = sorted(rows, key=lambda row: row.rank)
        self._apps = dict(apps)
        self._otherwise = otherwise

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Hand the request to its family."""
        return self._apps[self.place(environ)](environ, start_response)

    def place(self, environ: WSGIEnvironment) -> str:
        """Name the family that the request is for, and make `environ` what that family's app takes."""
        path = environ.get("PATH_INFO", "")
        reason = path_fault(environ.get("RAW_URI") or environ.get("REQUEST_URI") or path)
        if reason is not None:
            environ[PATH_FAULT] = reason
        host = host_of(environ)
        for row in self._rows:
            if _takes(row.mount, host, path):
                environ["SCRIPT_NAME"] = row.mount.root
                environ["PATH_INFO"] = path[len(row.mount.root) :]
                if not row.mount.takes(_first_segment(environ["PATH_INFO"])):
                    environ[NOWHERE] = True
                return row.family
        environ["SCRIPT_NAME"] = ""
        return self._otherwise


def _takes(mount: Mount, host: str, path: str) -> bool:
    if mount.hosts and host not in mount.hosts:
        return False
    if not path.startswith(mount.root + "/"):
        return False
    return mount.whole or mount.takes(_first_segment(path[len(mount.root) :]))


def _first_segment(path: str) -> str:
    return path[1:].partition("/")[0]


def _verify_apart(row: _Row, other: _Row) -> None:
    one, two = row.mount, other.mount
    same_hosts = one.hosts & two.hosts or (not one.hosts and not two.hosts)
    if one.segments is None or two.segments is None or one.whole or two.whole:
        shared = one.segments or two.segments or frozenset(("",))
    else:
        shared = one.segments & two.segments
    if one.root == two.root and shared and same_hosts:
        raise GapError(f"{row.family} and {other.family} both answer at {one.root}/{min(shared)}")


def host_of(environ: WSGIEnvironment) -> str:
    """Return the host of a request, in lower case, without port and final dot; a malformed one as it is."""
    host = str(environ.get("HTTP_HOST", "")).lower()
    bracketed = host.startswith("[")
    name, end, port = host.partition("]" if bracketed else ":")
    if bracketed:
        name, port = name + end, port.removeprefix(":")
    if port and not (port.isascii() and port.isdecimal()):
        # Of `accounts.example:@evil.example` others read the end.
        return host
    return name if bracketed else name.removesuffix(".")


def loggable_path(environ: WSGIEnvironment, path: str) -> str:
    """Return the path of a request for a log; one that was found to be encoded too often is not decoded again."""
    return ENCODED if environ.get(PATH_FAULT) == _TOO_ENCODED else masked(path)


def path_fault(uri: str) -> str | None:
    """Say what is wrong with the path of `uri` as it was sent, or None.

    An absolute form (RFC 9112 section 3.2.2) is cut to its path.
    """
    path = re.sub(r"\A[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*", "", uri).partition("?")[0]
    segments = path.split("/")
    longest = max(map(len, segments))
    if _PLAIN.match(path) and longest <= LONGEST_SEGMENT:
        return None
    # Three for a byte. What is longer needs no decoding to be known as that.
    if longest > 3 * LONGEST_SEGMENT:
        return _TOO_LONG
    if decoded_fully(path) is None:
        return _TOO_ENCODED
    return next(filter(None, map(_segment_fault, segments)), None)


def _segment_fault(segment: str) -> str | None:
    raw = unquote_to_bytes(segment.encode("latin-1", "replace"))
    if b"/" in raw:
        return "a path segment holds an encoded slash"
    if len(raw) > LONGEST_SEGMENT:
        return _TOO_LONG
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return "a path segment is not UTF-8"
    return "a path segment holds a control character" if _CONTROL.search(text) else None
