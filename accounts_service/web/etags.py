"""Conditional requests over version numbers (RFC 9110 section 13).

A version never comes twice for one name, not even after the object was
deleted and made again, so the version alone is a strong entity tag. What shows
references instead of secrets is another form of it: a reader of that form has not
seen what others are shown, but changes the same version.

Proxies that compress an answer change its tag: nginx, HAProxy and CDNs make it
weak, Apache and Caddy append the coding (`"7-gzip"`). Both still name one of our
versions, and If-Match asks about the version, not about the bytes of an answer,
so they count as the tag they were made from (docs/adr/0039).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import Request
from werkzeug.datastructures import ETags
from werkzeug.http import parse_etags

from accounts_service.faults import PreconditionFailed, PreconditionRequired, RefusedError

if TYPE_CHECKING:
    from accounts_service.web.gate import Call

# The headers of a request that hold its conditions.
HEADERS = ("If-Match", "If-None-Match")


# The forms of a version; what has no secrets has one form only.
WHOLE, REFERENCES = "", "references"

# What proxies append inside the quotes when they compress (Apache's DeflateAlterETag and BrotliAlterETag, and Caddy's
# `encode`). No tag of ours ends so: a version is a number, and the forms are the two above.
_CODINGS = ("", "-gzip", "-br", "-zstd")


def tag_of(version: int, kind: str = "", form: str = WHOLE) -> str:
    """Write the value of the ETag header; `kind` where a version alone could mean two objects."""
    return f'"{_opaque(version, kind, form)}"'


def _opaque(version: int, kind: str, form: str) -> str:
    return (f"{kind}." if kind else "") + str(version) + (f"-{form}" if form else "")


@dataclass(frozen=True, slots=True)
class Conditions:
    """If-Match and If-None-Match of a request; None for a header that was not sent."""

    if_match: ETags | None
    if_none_match: ETags | None

    @classmethod
    def of(cls, request: Request) -> Conditions:
        """Read both headers; one that is there and empty matches nothing."""
        return cls(*(_tags(request, name) for name in HEADERS))

    def check(self, version: int | None, kind: str = "") -> None:
        """Hold the conditions against what is stored (`None`: nothing), in whatever form it was read.

        Raises RefusedError(PreconditionFailed).
        """
        forms = (WHOLE, REFERENCES)
        if self.if_match is not None and not any(_names(self.if_match, version, kind, form) for form in forms):
            raise RefusedError(PreconditionFailed())
        if any(self.unmodified(version, kind, form) for form in forms):
            raise RefusedError(PreconditionFailed())

    def unmodified(self, version: int | None, kind: str = "", form: str = WHOLE) -> bool:
        """Return whether If-None-Match names this version in this form: its sender has it already."""
        return self.if_none_match is not None and _names(self.if_none_match, version, kind, form)

    def say_what_is_changed(self) -> bool:
        """Tell whether they name what a change is one of, or that nothing is to be changed.

        Any other If-None-Match names what it is not, and lets everything else be undone.
        """
        return self.if_match is not None or (self.if_none_match is not None and self.if_none_match.star_tag)


@dataclass(frozen=True, slots=True)
class WhereThere:
    """Conditions of what makes something or changes what is there: only for the latter they have to be said."""

    conditions: Conditions
    required: bool

    @classmethod
    def of(cls, call: Call) -> WhereThere:
        """Read the conditions of a request."""
        return cls(call.conditions, call.services.settings.require_if_match)

    def check(self, version: int | None, kind: str = "") -> None:
        """Hold them against what is stored; raises as Conditions.check does, and RefusedError(PreconditionRequired)."""
        if self.required and version is not None and not self.conditions.say_what_is_changed():
            raise RefusedError(PreconditionRequired())
        self.conditions.check(version, kind)


def require(call: Call) -> None:
    """Be sure that a change says what it is a change of, where the installation wants that.

    Raises RefusedError(PreconditionRequired).
    """
    if not call.services.settings.require_if_match or call.route is None:
        return
    if call.route.must_say_what_it_changes(call.request.method) and not call.conditions.say_what_is_changed():
        raise RefusedError(PreconditionRequired())


def _tags(request: Request, name: str) -> ETags | None:
    return parse_etags(request.headers[name]) if name in request.headers else None


def _names(tags: ETags, version: int | None, kind: str, form: str) -> bool:
    """Return whether one of `tags` is that of the version and form, weak or not, as it was sent or as a proxy left it.

    Section 8.8.3.2 has a weak tag equal none in If-Match, since weak ones may
    stand for different bytes. Ours are compared by the version that they name.
    """
    if version is None:
        return False
    opaque = _opaque(version, kind, form)
    return tags.star_tag or any(tags.contains_weak(opaque + coding) for coding in _CODINGS)
