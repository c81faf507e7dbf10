"""User groups: `/usergroup`."""

from __future__ import annotations

from typing import Any

from flask import Response

from accounts_service.families.wavefront import documents, schemas
from accounts_service.families.wavefront.privileges import WavefrontPrivilege
from accounts_service.families.wavefront.store.groups import Groups, GroupWish
from accounts_service.families.wavefront.store.memberships import Memberships
from accounts_service.families.wavefront.views.models import Models, message_of, paged, tagged, wrapped
from accounts_service.faults import AgainstTheRules, AnswerTooLarge, InvalidBody, NoSuchObject, PreconditionFailed
from accounts_service.web import etags
from accounts_service.web.family import Body, Routes
from accounts_service.web.gate import Call

ROUTES = Routes()

_GROUP = "/usergroup/<id>"


@ROUTES.route(
    "/usergroup",
    methods=("GET",),
    privilege=WavefrontPrivilege.USERGROUP_GET,
    parameters=documents.PART,
    answers={200: documents.USER_GROUPS},
    raises=(InvalidBody, AnswerTooLarge),
)
def list_user_groups(call: Call) -> Response:
    """List user groups, page by page; the system groups come first."""
    offset, limit = schemas.part(call.request.args.get("offset"), call.request.args.get("limit"))
    with call.reading(Groups) as groups:
        page = groups.part(call.grant, offset, limit)
    return paged(call, page, map(Models(call).user_group, page.items))


@ROUTES.route(
    "/usergroup",
    methods=("POST",),
    privilege=WavefrontPrivilege.USERGROUP_PUT,
    body=Body.LOOSE_JSON,
    takes=documents.NEW_USER_GROUP,
    answers={200: documents.USER_GROUP, 202: documents.USER_GROUP_IN_PART},
)
def create_user_group(call: Call) -> Response:
    """Create a user group."""
    wish = _wish_of(schemas.USER_GROUP.check(call.json))
    with call.transaction(Groups) as groups:
        written = groups.make(call.grant, wish)
    return tagged(wrapped(Models(call).user_group(written.group), message_of(written.ignored)), written.group)


@ROUTES.route(
    _GROUP,
    methods=("GET",),
    privilege=WavefrontPrivilege.USERGROUP_GET,
    answers={200: documents.USER_GROUP},
    raises=(NoSuchObject,),
)
def get_user_group(call: Call, id: str) -> Response:  # noqa: A002  # the API's name
    """Read a user group, with some of its members."""
    with call.reading(Groups) as groups:
        group = groups.get(call.grant, id)
    return tagged(wrapped(Models(call).user_group(group)), group)


@ROUTES.route(
    _GROUP,
    methods=("PUT",),
    privilege=WavefrontPrivilege.USERGROUP_PUT,
    body=Body.LOOSE_JSON,
    takes=documents.CHANGED_USER_GROUP,
    answers={200: documents.USER_GROUP, 202: documents.USER_GROUP_IN_PART},
    raises=(NoSuchObject, AgainstTheRules, PreconditionFailed),
    headers=etags.HEADERS,
)
def change_user_group(call: Call, id: str) -> Response:  # noqa: A002  # the API's name
    """Change a user group; what is left out stays as it is."""
    wish = _wish_of(schemas.USER_GROUP_UPDATE.check(call.json))
    with call.transaction(Groups) as groups:
        written = groups.change(call.grant, id, wish, call.conditions)
    return tagged(wrapped(Models(call).user_group(written.group), message_of(written.ignored)), written.group)


@ROUTES.route(
    _GROUP,
    methods=("DELETE",),
    privilege=WavefrontPrivilege.USERGROUP_DELETE,
    answers={200: documents.USER_GROUP},
    raises=(NoSuchObject, AgainstTheRules, PreconditionFailed),
    headers=etags.HEADERS,
)
def delete_user_group(call: Call, id: str) -> Response:  # noqa: A002  # the API's name
    """Delete a user group; its members stay, without what it gave them."""
    with call.transaction(Groups) as groups:
        group = groups.delete(call.grant, id, call.conditions)
    return wrapped(Models(call).user_group(group))


@ROUTES.route(
    f"{_GROUP}/addUsers",
    methods=("POST",),
    privilege=WavefrontPrivilege.USERGROUP_PUT,
    body=Body.LOOSE_JSON,
    takes=documents.IDENTIFIERS,
    answers={200: documents.USER_GROUP, 202: documents.USER_GROUP_IN_PART},
    raises=(NoSuchObject, AgainstTheRules),
)
def add_users_to_group(call: Call, id: str) -> Response:  # noqa: A002  # the API's name
    """Put accounts into a user group."""
    return _enrolled(call, id, linked=True)


@ROUTES.route(
    f"{_GROUP}/removeUsers",
    methods=("POST",),
    privilege=WavefrontPrivilege.USERGROUP_PUT,
    body=Body.LOOSE_JSON,
    takes=documents.IDENTIFIERS,
    answers={200: documents.USER_GROUP},
    raises=(NoSuchObject, AgainstTheRules),
)
def remove_users_from_group(call: Call, id: str) -> Response:  # noqa: A002  # the API's name
    """Take accounts out of a user group."""
    return _enrolled(call, id, linked=False)


@ROUTES.route(
    f"{_GROUP}/addRoles",
    methods=("POST",),
    privilege=WavefrontPrivilege.USERGROUP_PUT,
    body=Body.LOOSE_JSON,
    takes=documents.IDENTIFIERS,
    answers={200: documents.USER_GROUP, 202: documents.USER_GROUP_IN_PART},
    raises=(NoSuchObject, PreconditionFailed),
    headers=etags.HEADERS,
)
def add_roles_to_group(call: Call, id: str) -> Response:  # noqa: A002  # the API's name
    """Give a user group roles, and so everybody in it."""
    return _given(call, id, held=True)


@ROUTES.route(
    f"{_GROUP}/removeRoles",
    methods=("POST",),
    privilege=WavefrontPrivilege.USERGROUP_PUT,
    body=Body.LOOSE_JSON,
    takes=documents.IDENTIFIERS,
    answers={200: documents.USER_GROUP},
    raises=(NoSuchObject, PreconditionFailed),
    headers=etags.HEADERS,
)
def remove_roles_from_group(call: Call, id: str) -> Response:  # noqa: A002  # the API's name
    """Take roles from a user group."""
    return _given(call, id, held=False)


def _enrolled(call: Call, group: str, *, linked: bool) -> Response:
    identifiers = schemas.identifiers(call.json)
    with call.transaction(Memberships) as memberships:
        written = memberships.enroll(call.grant, group, identifiers, linked=linked)
    return tagged(wrapped(Models(call).user_group(written.group), message_of(written.ignored)), written.group)


def _given(call: Call, uid: str, *, held: bool) -> Response:
    roles = schemas.identifiers(call.json)
    with call.transaction(Groups) as groups:
        ignored = groups.give(call.grant, (uid,), roles, held=held, conditions=call.conditions)
        group = groups.get(call.grant, uid)
    return tagged(wrapped(Models(call).user_group(group), message_of(ignored)), group)


def _wish_of(attributes: dict[str, Any]) -> GroupWish:
    return GroupWish(attributes.get("name"), attributes.get("description"), attributes.get("roleIDs"))
