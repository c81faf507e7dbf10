"""Our own family: health, explanations, the audit trail, references, documents of the APIs; and the last 404."""

from __future__ import annotations

from flask import Response

from accounts_service.access.privileges import Open
from accounts_service.config import Settings
from accounts_service.families.admin import documents
from accounts_service.families.admin.dialect import AdminDialect
from accounts_service.families.admin.privileges import AdminPrivilege
from accounts_service.families.admin.views import audit, explain, openapi, references
from accounts_service.faults import RefusedError, Unavailable
from accounts_service.storage import migrations
from accounts_service.web import gate
from accounts_service.web.body import json_response
from accounts_service.web.family import Family, Mount, Routes
from accounts_service.web.gate import Call


def _mounts(_: Settings) -> tuple[Mount, ...]:
    return (Mount(segments=frozenset(("_accounts", "docs", "livez", "openapi", "openapi.json", "readyz"))),)


ROUTES = Routes()

FAMILY = Family(
    name="admin",
    mounts=_mounts,
    # Whether a path exists is no secret here: it is in the documentation.
    checks=(gate.routed, gate.authenticated, gate.known_parameters, gate.bodiless, gate.permitted),
    dialect=AdminDialect,
    privileges=AdminPrivilege,
    views=(ROUTES, audit.ROUTES, explain.ROUTES, openapi.ROUTES, references.ROUTES),
    terms=documents.TERMS,
)


@ROUTES.route("/livez", methods=("GET", "HEAD"), privilege=Open.PUBLIC, answers={200: documents.ALIVE})
def live(_: Call) -> Response:
    """Tell that this process answers. Restart it when it does not."""
    return json_response({"status": "ok"})


@ROUTES.route("/readyz", methods=("GET", "HEAD"), privilege=Open.PUBLIC, answers={200: documents.READY})
def ready(call: Call) -> Response:
    """Tell that requests can be served: the database answers, with a schema we know. Send none while it does not.

    A configuration that could not be read does not make a worker unready, since
    the last good one goes on; `configuration` says which of the two holds.
    """
    if not migrations.fits(call.services.database):
        raise RefusedError(Unavailable())
    refused = bool(call.services.access.problems)
    # What is lost when the last process ends that holds them.
    keys = {"keys": "only in memory"} if call.services.vault.problem else {}
    return json_response({"status": "ok", "configuration": "last-good" if refused else "current", **keys})
