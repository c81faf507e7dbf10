"""Our own family: health, explanations, the audit trail, references, documents of the APIs; and the last 404."""

from __future__ import annotations

from accounts_service.config import Settings
from accounts_service.families.admin import documents
from accounts_service.families.admin.dialect import AdminDialect
from accounts_service.families.admin.privileges import AdminPrivilege
from accounts_service.families.admin.views import audit, explain, health, openapi, references
from accounts_service.web import gate
from accounts_service.web.family import Family, Mount


def _mounts(_: Settings) -> tuple[Mount, ...]:
    return (Mount(segments=frozenset(("_accounts", "docs", "livez", "openapi", "openapi.json", "readyz"))),)


FAMILY = Family(
    name="admin",
    mounts=_mounts,
    # Whether a path exists is no secret here: it is in the documentation.
    checks=(gate.routed, gate.authenticated, gate.known_parameters, gate.bodiless, gate.permitted),
    dialect=AdminDialect,
    privileges=AdminPrivilege,
    views=(health.ROUTES, audit.ROUTES, explain.ROUTES, openapi.ROUTES, references.ROUTES),
    terms=documents.TERMS,
)
