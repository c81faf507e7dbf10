"""Who uses an account: `/_accounts/references/{family}/{account}/{referrer}`.

An account is named as its family's API does, `slack/test`. While somebody uses
it, it cannot be deleted.
"""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Response

from accounts_service.families.admin import documents
from accounts_service.families.admin.privileges import AdminPrivilege
from accounts_service.faults import Json, NoSuchObject, RefusedError
from accounts_service.web.body import json_response
from accounts_service.web.family import Routes
from accounts_service.web.gate import Call
from accounts_service.web.services import Reference, References

ROUTES = Routes()

_ACCOUNT = "/_accounts/references/<family>/<path:account>"
_REFERENCE = f"{_ACCOUNT}/<referrer>"


@ROUTES.route(
    _ACCOUNT,
    methods=("GET",),
    privilege=AdminPrivilege.REFERENCE_GET,
    answers={200: documents.REFERENCES},
    raises=(NoSuchObject,),
)
def list_references(call: Call, family: str, account: str) -> Response:
    """List who uses an account, by name."""
    with call.reading(_references(call, family)) as references:
        listed = references.of(call.grant, account)
    return json_response({"references": [_shown(reference) for reference in listed], "count": len(listed)})


@ROUTES.route(
    _REFERENCE,
    methods=("PUT",),
    privilege=AdminPrivilege.REFERENCE_PUT,
    answers={200: documents.REFERENCE, 201: documents.NEW_REFERENCE},
    raises=(NoSuchObject,),
)
def put_reference(call: Call, family: str, account: str, referrer: str) -> Response:
    """Note that somebody uses an account; 200 when that is known already."""
    with call.transaction(_references(call, family)) as references:
        reference, new = references.add(call.grant, account, referrer)
    return json_response(_shown(reference), 201 if new else 200)


@ROUTES.route(
    _REFERENCE,
    methods=("DELETE",),
    privilege=AdminPrivilege.REFERENCE_DELETE,
    answers={204: documents.NO_REFERENCE},
    raises=(NoSuchObject,),
)
def delete_reference(call: Call, family: str, account: str, referrer: str) -> Response:
    """Note that somebody uses an account no more."""
    with call.transaction(_references(call, family)) as references:
        references.remove(call.grant, account, referrer)
    return Response(status=204)


def _references(call: Call, family: str) -> type[References]:
    if family not in call.services.references:
        raise RefusedError(NoSuchObject(call.request.method, family))
    return call.services.references[family]


def _shown(reference: Reference) -> dict[str, Json]:
    since = datetime.fromtimestamp(reference.at_us / 1_000_000, UTC)
    return {"referrer": reference.referrer, "since": since.isoformat(timespec="milliseconds")}
