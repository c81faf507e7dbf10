"""Events: `/events`, and by its other name `/events/audit`."""

from __future__ import annotations

from flask import Response

from accounts_service.access.privileges import Within
from accounts_service.families.netbird import documents
from accounts_service.families.netbird.dialect import answer
from accounts_service.families.netbird.privileges import NetBirdPrivilege
from accounts_service.families.netbird.store.accounts import Accounts
from accounts_service.families.netbird.views import models
from accounts_service.web.family import Routes
from accounts_service.web.gate import Call

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
    with call.reading(Accounts) as accounts:
        listed = accounts.events(call.grant)
    return answer([models.event(one) for one in listed])
