"""Conditional requests over version numbers (RFC 9110 section 13).

A version never comes twice for one name, not even after the object was
deleted and made again, so the version alone is a strong entity tag.
"""

from __future__ import annotations

from dataclasses import dataclass

from flask import Request
from werkzeug.datastructures import ETags
from werkzeug.http import parse_etags

from accounts_service.faults import PreconditionFailed, RefusedError


def tag_of(version: int) -> str:
    """Write the value of the ETag header."""
    return f'"{version}"'


@dataclass(frozen=True, slots=True)
class Conditions:
    """If-Match and If-None-Match of a request; None for a header that was not sent."""

    if_match: ETags | None
    if_none_match: ETags | None

    @classmethod
    def of(cls, request: Request) -> Conditions:
        """Read both headers; one that is there and empty matches nothing."""
        return cls(*(_tags(request, name) for name in ("If-Match", "If-None-Match")))

    def check(self, version: int | None) -> None:
        """Hold the conditions against what is stored (`None`: nothing).

        Raises RefusedError(PreconditionFailed).
        """
        if self.if_match is not None and not _holds(self.if_match, version):
            raise RefusedError(PreconditionFailed())
        if self.if_none_match is not None and _holds(self.if_none_match, version):
            raise RefusedError(PreconditionFailed())

    def unmodified(self, version: int) -> bool:
        """Tell whether a reader who sent If-None-Match has this version already."""
        return self.if_none_match is not None and _holds(self.if_none_match, version)


def _tags(request: Request, name: str) -> ETags | None:
    return parse_etags(request.headers[name]) if name in request.headers else None


def _holds(tags: ETags, version: int | None) -> bool:
    return version is not None and (tags.star_tag or tags.is_strong(str(version)))
