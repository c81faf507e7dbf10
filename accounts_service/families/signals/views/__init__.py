"""Search Guard Signals: its accounts, in the current form."""

from __future__ import annotations

from flask import Request

from accounts_service.config import Settings
from accounts_service.families.signals import documents
from accounts_service.families.signals.dialect import SignalsDialect
from accounts_service.families.signals.privileges import ACTION_GROUPS, SignalsPrivilege, requested_tenant
from accounts_service.families.signals.store.accounts import FAMILY_NAME
from accounts_service.families.signals.views import accounts
from accounts_service.faults import ForbiddenHeader, RefusedError
from accounts_service.web import gate
from accounts_service.web.errors import sent_path
from accounts_service.web.family import Family, Mount, refuses
from accounts_service.web.gate import Call


@refuses(ForbiddenHeader)
def no_internal_headers(call: Call) -> None:
    """Check that there is no header that only Search Guard itself may set."""
    if any(name.strip().lower().replace("-", "_").startswith("_sg_") for name, _ in call.request.headers):
        raise RefusedError(ForbiddenHeader())


def _mounts(_: Settings) -> tuple[Mount, ...]:
    return (Mount(segments=frozenset(("_signals",))),)


def _tenant_of(request: Request) -> str | None:
    return requested_tenant(sent_path(request), {name.lower(): value for name, value in request.headers.items()})


FAMILY = Family(
    name=FAMILY_NAME,
    mounts=_mounts,
    # Search Guard's order: it refuses its internal headers before it looks at
    # who is asking, and knows who is asking before it says that there is no
    # such route; the media type comes before the privilege, the body after it.
    checks=(
        no_internal_headers,
        gate.authenticated,
        gate.routed,
        gate.known_parameters,
        gate.bodiless,
        gate.json_only,
        gate.permitted,
    ),
    dialect=SignalsDialect,
    privileges=SignalsPrivilege,
    views=(accounts.ROUTES,),
    action_groups=ACTION_GROUPS,
    json_types=frozenset(("application/json", "application/vnd.elasticsearch+json")),
    # Elasticsearch takes these everywhere; only `pretty` does something here.
    parameters=frozenset(("pretty", "human", "format", "filter_path", "error_trace")),
    tenant_of=_tenant_of,
    terms=documents.TERMS,
)
