"""What Search Guard tells callers about themselves: `/_searchguard/…`."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Response

from accounts_service.access.decisions import Rules
from accounts_service.access.privileges import LONGEST_ACTION, Open
from accounts_service.access.roles import Identity
from accounts_service.families.signals import documents
from accounts_service.families.signals.privileges import TENANT_READING, TENANT_WRITING
from accounts_service.families.signals.views.answers import answer
from accounts_service.faults import BadParameter, Json, RefusedError, Unavailable
from accounts_service.storage import migrations
from accounts_service.web.family import Routes
from accounts_service.web.gate import Call

ROUTES = Routes()

_MOST_ACTIONS = 100


@ROUTES.route(
    "/_searchguard/authinfo",
    methods=("GET", "POST"),
    privilege=Open.ANY_IDENTITY,
    answers={200: documents.AUTHINFO},
    headers=("sgtenant",),
)
def authinfo(call: Call) -> Response:
    """Tell the caller who he is, what roles he has, and in which tenants he may read (false) or write (true)."""
    return answer(call, _about(call.caller, call.family.tenant_of(call.request), call.snapshot.rules))


def _about(identity: Identity, tenant: str | None, rules: Rules) -> dict[str, Json]:
    return {
        "user": f"User {identity.name} <{identity.domain}>",
        "user_name": identity.name,
        "user_requested_tenant": tenant,
        "remote_address": None if identity.address is None else str(identity.address),
        "backend_roles": [*sorted(identity.backend_roles)],
        "attribute_names": [*sorted({name for name, _ in (*identity.attributes, *identity.structured)})],
        "sg_roles": [*sorted(rules.effective_roles(identity))],
        "sg_tenants": {**rules.tenants(identity, TENANT_READING, TENANT_WRITING)},
        "principal": None,
        "peer_certificates": "0",
        "cluster_name": "accounts-service",
    }


@ROUTES.route(
    "/_searchguard/permission",
    methods=("GET",),
    privilege=Open.ANY_IDENTITY,
    parameters=frozenset(("permissions",)),
    answers={200: documents.PERMISSIONS},
    raises=(BadParameter,),
    headers=("sgtenant",),
)
def permission(call: Call) -> Response:
    """Tell the caller which of `permissions`, a list with commas, they have in the tenant that `sgtenant` names."""
    asked = _actions(call.request.args)
    held = call.snapshot.rules.allowed_actions(call.caller, asked, call.tenant)
    return answer(call, {"permissions": {**held}})


def _actions(arguments: Mapping[str, str]) -> list[str]:
    actions = list(filter(None, arguments.get("permissions", "").split(",")))
    if len(actions) > _MOST_ACTIONS or any(len(action) > LONGEST_ACTION for action in actions):
        reason = f"more than {_MOST_ACTIONS} actions, or one of more than {LONGEST_ACTION} characters"
        raise RefusedError(BadParameter("permissions", reason))
    return actions


@ROUTES.route(
    "/_searchguard/health",
    methods=("GET", "HEAD"),
    privilege=Open.PUBLIC,
    parameters=frozenset(("mode",)),
    answers={200: documents.HEALTH},
)
def health(call: Call) -> Response:
    """Tell that requests can be served; with `mode=lenient`, that this process answers."""
    lenient = call.request.args.get("mode", "strict").lower() == "lenient"
    if not lenient and not migrations.fits(call.services.database):
        raise RefusedError(Unavailable())
    return answer(call, {"message": None, "mode": "lenient" if lenient else "strict", "status": "UP"})
