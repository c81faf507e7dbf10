"""Events: `/events`, and by its other name `/events/audit`."""

from __future__ import annotations

from collections.abc import Iterator

from flask import Response

from accounts_service.access.privileges import Within
from accounts_service.families.netbird import documents
from accounts_service.families.netbird.dialect import MEDIA_TYPE
from accounts_service.families.netbird.privileges import NetBirdPrivilege
from accounts_service.families.netbird.store.accounts import Accounts, Event
from accounts_service.families.netbird.views import models
from accounts_service.web.family import Routes
from accounts_service.web.gate import Call
from accounts_service.web.listing import list_response
from accounts_service.web.pages import SMALL_PAGE

ROUTES = Routes()


@ROUTES.route(
    "/events",
    methods=("GET",),
    privilege=Within(NetBirdPrivilege.EVENTS_READ),
    answers={200: documents.EVENTS},
)
def list_events(call: Call) -> Response:
    """List what has happened in one's account, the newest first."""
    return _events(call)


@ROUTES.route(
    "/events/audit",
    methods=("GET",),
    privilege=Within(NetBirdPrivilege.EVENTS_READ),
    answers={200: documents.EVENTS},
)
def list_audit_events(call: Call) -> Response:
    """List what has happened in one's account, the newest first."""
    return _events(call)


def _events(call: Call) -> Response:
    # NetBird has no pages of events, so the oldest are left out where all of them are too large.
    return list_response(call, map(models.event, _read(call)), media_type=MEDIA_TYPE, end="\n", is_cut=True)


def _read(call: Call) -> Iterator[Event]:
    """Read events piece by piece: a change of settings may have half a MiB, and there are thousands of them."""
    with call.reading(Accounts) as accounts:
        pieces = accounts.pieces_of_events(call.grant, call.services.pages.page_bytes, SMALL_PAGE)
    for oldest, newest in pieces:
        with call.reading(Accounts) as accounts:
            piece = accounts.events(call.grant, oldest, newest)
        yield from piece
