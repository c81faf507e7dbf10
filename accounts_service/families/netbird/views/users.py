"""Users: `/users`."""

from __future__ import annotations

from flask import Response
from werkzeug.routing import BaseConverter

from accounts_service.access.privileges import Mine, Within
from accounts_service.families.netbird import documents
from accounts_service.families.netbird.dialect import MEDIA_TYPE, answer
from accounts_service.families.netbird.privileges import BILLING_ADMIN, USER, NetBirdPrivilege
from accounts_service.families.netbird.schemas import users as schemas
from accounts_service.families.netbird.store.accounts import FAMILY_NAME
from accounts_service.families.netbird.store.approvals import Approvals
from accounts_service.families.netbird.store.users import Caller, User, Users
from accounts_service.families.netbird.views import models
from accounts_service.faults import (
    AgainstTheRules,
    AnswerTooLarge,
    InvalidBody,
    NoSuchObject,
    PreconditionFailed,
    RefusedError,
    Rule,
)
from accounts_service.web import etags
from accounts_service.web.family import Body, Routes
from accounts_service.web.gate import Call
from accounts_service.web.listing import list_response

ROUTES = Routes()


class UserConverter(BaseConverter):
    """A user's id, and no word that stands in its place in other paths."""

    regex = r"(?!(?:current|invites)\Z)[^/]+"


_USER = "/users/<user:user_id>"
READ = Within(NetBirdPrivilege.USERS_READ, otherwise=NetBirdPrivilege.USERS_OWN_READ)


@ROUTES.route(
    "/users",
    methods=("GET",),
    privilege=READ,
    parameters=frozenset(("service_user",)),
    answers={200: documents.USERS},
    raises=(InvalidBody, AnswerTooLarge),
)
def list_users(call: Call) -> Response:
    """List the users of one's account, or oneself alone where one may do no more."""
    only = schemas.flag(call.request.args.get("service_user"))
    with call.reading(Users) as users:
        listed = users.all(call.grant, caller_of(call))
    chosen = (models.user(one, caller_of(call)) for one in listed if only in (None, one.service_user))
    return list_response(call, chosen, media_type=MEDIA_TYPE, end="\n")


@ROUTES.route(
    "/users/current",
    methods=("GET",),
    privilege=Mine(NetBirdPrivilege.USERS_OWN_READ),
    answers={200: documents.CURRENT_USER},
    raises=(AgainstTheRules,),
)
def get_current_user(call: Call) -> Response:
    """Read one's own user, and what one may do in each module. It is for people, not for service users."""
    with call.reading(Users) as users:
        user, account = users.find(caller_of(call).id), users.mine(call.grant)
    if user is None or user.service_user:
        raise RefusedError(AgainstTheRules(Rule.NOT_A_PERSON))
    restricted = user.role in (USER, BILLING_ADMIN) and account.settings["regular_users_view_blocked"]
    allowed = models.permissions(call.caller, call.snapshot, restricted=restricted)
    return _tagged(answer({**models.user(user, caller_of(call)), "permissions": allowed}), user)


@ROUTES.route(
    "/users",
    methods=("POST",),
    privilege=Within(NetBirdPrivilege.USERS_CREATE),
    body=Body.ANY_JSON,
    takes=documents.NEW_USER,
    answers={200: documents.USER},
    raises=(AgainstTheRules(Rule.NO_INVITATIONS),),
)
def create_user(call: Call) -> Response:
    """Create a service user. People come by logging in; nobody is invited here."""
    wanted = schemas.new_service_user(call.json)
    with call.transaction(Users) as users:
        user = users.create_service_user(call.grant, wanted.name, wanted.role, wanted.auto_groups)
    return _tagged(answer(models.user(user, caller_of(call))), user)


@ROUTES.route(
    _USER,
    methods=("PUT",),
    privilege=Within(NetBirdPrivilege.USERS_UPDATE),
    body=Body.ANY_JSON,
    takes=documents.CHANGED_USER,
    answers={200: documents.USER},
    raises=(NoSuchObject, AgainstTheRules, PreconditionFailed),
    headers=etags.HEADERS,
)
def change_user(call: Call, user_id: str) -> Response:
    """Change a user's role and groups, block him or let him in again. An owner who gives his role away loses it."""
    # Whom it would change, before anything is told about the body.
    call.asked(Users, lambda users: users.member(call.grant, user_id))
    wish = schemas.user(call.json)
    with call.transaction(Users) as users:
        user = users.change(call.grant, user_id, wish, caller_of(call), call.conditions)
    return _tagged(answer(models.user(user, caller_of(call))), user)


@ROUTES.route(
    _USER,
    methods=("DELETE",),
    privilege=Within(NetBirdPrivilege.USERS_DELETE),
    answers={200: documents.NOTHING},
    raises=(NoSuchObject, AgainstTheRules, PreconditionFailed),
    headers=etags.HEADERS,
)
def delete_user(call: Call, user_id: str) -> Response:
    """Delete a user and his tokens; nobody deletes himself, or an owner."""
    with call.transaction(Users) as users:
        users.remove(call.grant, user_id, caller_of(call), call.conditions)
    return answer({})


@ROUTES.route(
    f"{_USER}/approve",
    methods=("POST",),
    privilege=Within(NetBirdPrivilege.USERS_UPDATE),
    answers={200: documents.USER},
    raises=(NoSuchObject, AgainstTheRules, PreconditionFailed),
    headers=etags.HEADERS,
)
def approve_user(call: Call, user_id: str) -> Response:
    """Let in a user who waits for approval."""
    with call.transaction(Approvals) as approvals:
        user = approvals.approve(call.grant, user_id, call.conditions)
    return _tagged(answer(models.user(user, caller_of(call))), user)


@ROUTES.route(
    f"{_USER}/reject",
    methods=("DELETE",),
    privilege=Within(NetBirdPrivilege.USERS_DELETE),
    answers={200: documents.NOTHING},
    raises=(NoSuchObject, AgainstTheRules, PreconditionFailed),
    headers=etags.HEADERS,
)
def reject_user(call: Call, user_id: str) -> Response:
    """Delete a user who waits for approval."""
    with call.transaction(Approvals) as approvals:
        approvals.reject(call.grant, user_id, call.conditions)
    return answer({})


def caller_of(call: Call) -> Caller:
    """Say who asks, as far as his own user matters."""
    # By what he may do, and not by the names of his roles: who comes by sg_authc.yml may have others.
    return Caller(
        call.caller.name if call.caller.realm == FAMILY_NAME else "",
        administrator=call.allows(NetBirdPrivilege.USERS_UPDATE),
        owner=call.allows(NetBirdPrivilege.ACCOUNTS_DELETE),
    )


def _tagged(response: Response, user: User) -> Response:
    # Who was deleted and comes again begins with the first version again, so that alone would not do.
    response.headers["ETag"] = etags.tag_of(user.version, user.uid)
    return response
