"""Roles: `/role`."""

from __future__ import annotations

from typing import Any

from flask import Response

from accounts_service.families.wavefront import documents, schemas
from accounts_service.families.wavefront.privileges import WavefrontPrivilege
from accounts_service.families.wavefront.store.memberships import Memberships
from accounts_service.families.wavefront.store.roles import Roles, RoleWish
from accounts_service.families.wavefront.views.models import Models, paged, tagged, wrapped
from accounts_service.faults import (
    AgainstTheRules,
    AlreadyExists,
    AnswerTooLarge,
    InvalidBody,
    NoSuchObject,
    PreconditionFailed,
)
from accounts_service.web import etags
from accounts_service.web.family import Body, Routes
from accounts_service.web.gate import Call

ROUTES = Routes()

_ROLE = "/role/<named:id>"


@ROUTES.route(
    "/role",
    methods=("GET",),
    privilege=WavefrontPrivilege.ROLE_GET,
    parameters=documents.PART,
    answers={200: documents.ROLES},
    raises=(InvalidBody, AnswerTooLarge),
)
def list_roles(call: Call) -> Response:
    """List roles by name, page by page."""
    offset, limit = schemas.part(call.request.args.get("offset"), call.request.args.get("limit"))
    with call.reading(Roles) as roles:
        page = roles.part(call.grant, offset, limit)
    return paged(call, page, map(Models(call).role, page.items))


@ROUTES.route(
    "/role",
    methods=("POST",),
    privilege=WavefrontPrivilege.ROLE_PUT,
    body=Body.LOOSE_JSON,
    takes=documents.NEW_ROLE,
    answers={200: documents.ROLE},
    raises=(AlreadyExists,),
)
def create_role(call: Call) -> Response:
    """Create a role; no two have one name."""
    wish = _wish_of(schemas.ROLE.check(call.json))
    with call.transaction(Roles) as roles:
        role = roles.make(call.grant, wish)
    return tagged(wrapped(Models(call).role(role)), role)


@ROUTES.route(
    _ROLE,
    methods=("GET",),
    privilege=WavefrontPrivilege.ROLE_GET,
    answers={200: documents.ROLE},
    raises=(NoSuchObject,),
)
def get_role(call: Call, id: str) -> Response:  # noqa: A002  # the API's name
    """Read a role, with some of those who have it."""
    with call.reading(Roles) as roles:
        role = roles.get(call.grant, id)
    return tagged(wrapped(Models(call).role(role)), role)


@ROUTES.route(
    _ROLE,
    methods=("PUT",),
    privilege=WavefrontPrivilege.ROLE_PUT,
    body=Body.LOOSE_JSON,
    takes=documents.CHANGED_ROLE,
    answers={200: documents.ROLE},
    raises=(NoSuchObject, AlreadyExists, PreconditionFailed),
    headers=etags.HEADERS,
)
def change_role(call: Call, id: str) -> Response:  # noqa: A002  # the API's name
    """Change a role: a `description` that is left out or null is empty, `name` and `permissions` stay."""
    wish = _wish_of(schemas.replacement(schemas.ROLE_UPDATE, call.json, schemas.EMPTY_ROLE).attributes)
    with call.transaction(Roles) as roles:
        role = roles.change(call.grant, id, wish, call.conditions)
    return tagged(wrapped(Models(call).role(role)), role)


@ROUTES.route(
    _ROLE,
    methods=("DELETE",),
    privilege=WavefrontPrivilege.ROLE_DELETE,
    answers={200: documents.ROLE},
    raises=(NoSuchObject, PreconditionFailed),
    headers=etags.HEADERS,
)
def delete_role(call: Call, id: str) -> Response:  # noqa: A002  # the API's name
    """Delete a role; who had it has lost what it permits."""
    with call.transaction(Roles) as roles:
        role = roles.delete(call.grant, id, call.conditions)
    return wrapped(Models(call).role(role))


@ROUTES.route(
    f"{_ROLE}/addAssignees",
    methods=("POST",),
    privilege=WavefrontPrivilege.ROLE_PUT,
    body=Body.LOOSE_JSON,
    takes=documents.SOME_ASSIGNEES,
    answers={200: documents.ROLE},
    raises=(NoSuchObject, AgainstTheRules),
)
def add_assignees(call: Call, id: str) -> Response:  # noqa: A002  # the API's name
    """Give a role to accounts and user groups; ids that are nobody's are passed over, unless all are."""
    return _assigned(call, id, linked=True)


@ROUTES.route(
    f"{_ROLE}/removeAssignees",
    methods=("POST",),
    privilege=WavefrontPrivilege.ROLE_PUT,
    body=Body.LOOSE_JSON,
    takes=documents.SOME_ASSIGNEES,
    answers={200: documents.ROLE},
    raises=(NoSuchObject, AgainstTheRules),
)
def remove_assignees(call: Call, id: str) -> Response:  # noqa: A002  # the API's name
    """Take a role from accounts and user groups; ids that are nobody's are passed over, unless all are."""
    return _assigned(call, id, linked=False)


@ROUTES.route(
    "/role/grant/<permission>",
    methods=("POST",),
    privilege=WavefrontPrivilege.ROLE_PUT,
    body=Body.LOOSE_JSON,
    takes=documents.SOME_ROLES,
    answers={200: documents.ROLE},
    raises=(NoSuchObject,),
)
def grant_to_roles(call: Call, permission: str) -> Response:
    """Let several roles permit something, all or none; answers with the last of them."""
    return _permitted(call, permission, held=True)


@ROUTES.route(
    "/role/revoke/<permission>",
    methods=("POST",),
    privilege=WavefrontPrivilege.ROLE_PUT,
    body=Body.LOOSE_JSON,
    takes=documents.SOME_ROLES,
    answers={200: documents.ROLE},
    raises=(NoSuchObject,),
)
def revoke_from_roles(call: Call, permission: str) -> Response:
    """Let several roles permit something no more, all or none; answers with the last of them."""
    return _permitted(call, permission, held=False)


def _assigned(call: Call, uid: str, *, linked: bool) -> Response:
    assignees = schemas.identifiers(call.json)
    with call.transaction(Memberships) as memberships:
        role = memberships.assign(call.grant, uid, assignees, linked=linked)
    return tagged(wrapped(Models(call).role(role)), role)


def _permitted(call: Call, permission: str, *, held: bool) -> Response:
    checked, uids = schemas.permission(permission), schemas.some_identifiers(call.json)
    with call.transaction(Roles) as roles:
        role = roles.permit(call.grant, uids, checked, held=held)
    return tagged(wrapped(Models(call).role(role)), role)


def _wish_of(attributes: dict[str, Any]) -> RoleWish:
    return RoleWish(attributes.get("name"), attributes.get("description"), attributes.get("permissions"))
