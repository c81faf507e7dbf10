"""Search Guard Signals: accounts in both forms, searches, and what callers are told of themselves."""

from __future__ import annotations

from flask import Request

from accounts_service.access.privileges import AlsoInTenant
from accounts_service.config import Settings
from accounts_service.families.signals import documents, documents_of_versions
from accounts_service.families.signals.dialect import SignalsDialect
from accounts_service.families.signals.privileges import (
    ACTION_GROUPS,
    TENANT_HEADERS,
    SignalsPrivilege,
    requested_tenant,
)
from accounts_service.families.signals.store.accounts import FAMILY_NAME
from accounts_service.families.signals.store.secrets import SEALED
from accounts_service.families.signals.store.stored import STORED
from accounts_service.families.signals.views import accounts, preview, search, searchguard, versions
from accounts_service.families.signals.views import bin as deleted
from accounts_service.families.signals.views.answers import COMMON_PARAMETERS, common_parameters
from accounts_service.faults import ForbiddenHeader, NotPermitted, PrivateTenant, RefusedError
from accounts_service.web import gate
from accounts_service.web.body import Reading
from accounts_service.web.errors import sent_path
from accounts_service.web.family import Body, Family, Mount, Route, refuses
from accounts_service.web.gate import Call


@refuses(ForbiddenHeader)
def no_internal_headers(call: Call) -> None:
    """Check that there is no header that only Search Guard itself may set."""
    if any(name.strip().lower().replace("-", "_").startswith("_sg_") for name, _ in call.request.headers):
        raise RefusedError(ForbiddenHeader())


def _is_about_a_tenant(route: Route) -> bool:
    return "tenant" in route.arguments or isinstance(route.requirement, AlsoInTenant)


@refuses(PrivateTenant, on=_is_about_a_tenant)
def no_private_tenant(call: Call) -> None:
    """Check that it is not a user's private tenant that is asked for, which Signals has none of.

    Where the header does not matter it may say so: Kibana sends it everywhere.
    """
    by_header = call.route is not None and isinstance(call.route.requirement, AlsoInTenant)
    if _PRIVATE in (call.arguments.get("tenant"), call.tenant if by_header else None):
        raise RefusedError(PrivateTenant())


_PRIVATE = "__user__"


def _comes_by_forms(route: Route) -> bool:
    return route.methods == ("POST",) and route.body is Body.NONE


@refuses(NotPermitted, on=_comes_by_forms)
def of_one_site(call: Call) -> None:
    """Check that no page of another site asks for a change by a form, which browsers send without asking beforehand."""
    if call.route is not None and _comes_by_forms(call.route):
        gate.of_one_site(call)


def _mounts(_: Settings) -> tuple[Mount, ...]:
    return (Mount(segments=frozenset(("_signals", "_searchguard", "_search"))),)


def _tenant_of(request: Request) -> str | None:
    sent = {name: request.headers[name] for name in TENANT_HEADERS if name in request.headers}
    # What is not UTF-8 names no tenant there is, and stays as it was sent.
    named = {name: value if (text := gate.header_text(value)) is None else text for name, value in sent.items()}
    return requested_tenant(sent_path(request), named)


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
        no_private_tenant,
        of_one_site,
        gate.known_parameters,
        common_parameters,
        gate.bodiless,
        gate.json_only,
        gate.permitted,
    ),
    dialect=SignalsDialect,
    privileges=SignalsPrivilege,
    refuses_unknown=lambda settings: settings.signals_unknown_attributes == "refuse",
    views=(accounts.ROUTES, versions.ROUTES, deleted.ROUTES, preview.ROUTES, search.ROUTES, searchguard.ROUTES),
    action_groups=ACTION_GROUPS,
    json_types=frozenset(("application/json", "application/vnd.elasticsearch+json")),
    # https://www.elastic.co/docs/reference/elasticsearch/rest-apis/common-options
    parameters=COMMON_PARAMETERS,
    converters={
        "account": accounts.NameConverter,
        "within": accounts.NameInTenantConverter,
        "type": versions.TypeConverter,
        "version": versions.VersionConverter,
        "uid": deleted.UidConverter,
        "id": preview.IdConverter,
    },
    tenant_of=_tenant_of,
    sealed=SEALED,
    terms={**documents.TERMS, **documents_of_versions.TERMS},
    stored=STORED,
    # Elasticsearch decodes gzip before Search Guard sees a body, and Jackson, which reads the bytes, skips the mark.
    reading=Reading(gzip=True, skips_mark=True),
    # Since 7.14 Elastic's clients raise UnsupportedProductError for a successful answer without it.
    answer_headers={"X-Elastic-Product": "Elasticsearch"},
)
