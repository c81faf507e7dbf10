"""Users in the API's former form, `/user`, which clients still speak.

A user who is there is left as he is by `POST /user`; changes are answered with
the user and, in `response`, with the user again, since its clients are of two
opinions about where he stands.
"""

from __future__ import annotations

from flask import Response

from accounts_service.families.wavefront import documents, schemas
from accounts_service.families.wavefront.privileges import WavefrontPrivilege
from accounts_service.families.wavefront.store.accounts import Accounts, Existing
from accounts_service.families.wavefront.store.directory import USER
from accounts_service.families.wavefront.store.invitations import Invitations
from accounts_service.families.wavefront.views import accounts as current
from accounts_service.families.wavefront.views import users
from accounts_service.families.wavefront.views.models import (
    Models,
    business_functions,
    hybrid,
    message_of,
    tagged,
    wrapped,
)
from accounts_service.faults import (
    AgainstTheRules,
    AlreadyExists,
    AnswerTooLarge,
    NoSuchObject,
    PreconditionFailed,
    TooManyAttempts,
)
from accounts_service.web import etags
from accounts_service.web.family import Body, Routes
from accounts_service.web.gate import Call
from accounts_service.web.listing import list_response

ROUTES = Routes()

_USER = "/user/<user:id>"


@ROUTES.route(
    "/user",
    methods=("GET",),
    privilege=WavefrontPrivilege.ACCOUNT_SEARCH,
    answers={200: documents.BARE_USERS},
    raises=(AnswerTooLarge,),
)
def list_users_formerly(call: Call) -> Response:
    """List every user, in a list and nothing around it."""
    with call.reading(Accounts) as accounts:
        listed = accounts.all(call.grant, USER)
    return list_response(call, map(Models(call).user_among_many, listed))


@ROUTES.route(
    "/user",
    methods=("POST",),
    privilege=WavefrontPrivilege.ACCOUNT_PUT,
    body=Body.LOOSE_JSON,
    parameters=documents.SEND_EMAIL,
    takes=documents.USER_TO_CREATE,
    answers={200: documents.HYBRID_USER, 202: documents.HYBRID_USER_IN_PART},
    raises=(AlreadyExists, AgainstTheRules, TooManyAttempts),
)
def create_user_formerly(call: Call) -> Response:
    """Create a user; one who is there is left as he is."""
    mails, asked = users.mails_wanted(call), users.one_to_create(call)
    with call.transaction(Invitations) as invitations:
        how = users.making(call, Existing.KEEP)
        written = invitations.put(call.grant, *asked, how, mails_an_hour=mails)
    return tagged(hybrid(Models(call).user(written.account), message_of(written.ignored)), written.account)


@ROUTES.route(
    _USER, methods=("GET",), privilege=current.READ, answers={200: documents.OWN_OR_ANY_USER}, raises=(NoSuchObject,)
)
def get_user_formerly(call: Call, id: str) -> Response:  # noqa: A002  # the API's name
    """Read a user."""
    return users.bare_user(call, id)


@ROUTES.route(
    _USER,
    methods=("PUT",),
    privilege=WavefrontPrivilege.ACCOUNT_PUT,
    body=Body.LOOSE_JSON,
    takes=documents.USER_REQUEST,
    answers={200: documents.HYBRID_USER, 202: documents.HYBRID_USER_IN_PART},
    raises=(NoSuchObject, AgainstTheRules, PreconditionFailed),
    headers=etags.HEADERS,
)
def change_user_formerly(call: Call, id: str) -> Response:  # noqa: A002  # the API's name
    """Replace a user: `groups` and `userGroups` that are left out or null are empty, and `roles` stay.

    Its clients in Go send the whole user and leave out what is empty.
    """
    wish = users.replacing(call, schemas.USER_REQUEST, schemas.EMPTY_USER)
    with call.transaction(Accounts) as accounts:
        written = accounts.change(call.grant, id, wish, USER, call.conditions)
    return tagged(hybrid(Models(call).user(written.account), message_of(written.ignored)), written.account)


@ROUTES.route(
    _USER,
    methods=("DELETE",),
    privilege=WavefrontPrivilege.ACCOUNT_DELETE,
    answers={204: documents.GONE},
    raises=(NoSuchObject, AgainstTheRules, PreconditionFailed),
    headers=etags.HEADERS,
)
def delete_user_formerly(call: Call, id: str) -> Response:  # noqa: A002  # the API's name
    """Delete a user and his tokens; nobody deletes himself."""
    with call.transaction(Accounts) as accounts:
        accounts.delete(call.grant, id, call.caller.own, USER, call.conditions)
    return Response(status=204)


@ROUTES.route(
    "/user/deleteUsers",
    methods=("POST",),
    privilege=WavefrontPrivilege.ACCOUNT_DELETE,
    body=Body.LOOSE_JSON,
    takes=documents.IDENTIFIERS,
    answers={200: documents.DELETED_ACCOUNTS},
    raises=(AgainstTheRules,),
)
def delete_users_formerly(call: Call) -> Response:
    """Delete those of some users that there are, all or none; answers with their ids."""
    return wrapped([*current.deleted(call, USER)])


@ROUTES.route(
    "/user/validateUsers",
    methods=("POST",),
    privilege=WavefrontPrivilege.ACCOUNT_VALIDATE,
    body=Body.LOOSE_JSON,
    takes=documents.IDENTIFIERS,
    answers={200: documents.VALIDATED},
)
def validate_users_formerly(call: Call) -> Response:
    """Tell users that there are from those that there are not; what they may do only to who may read accounts."""
    return wrapped(current.validated(call, USER))


@ROUTES.route(
    "/user/invite",
    methods=("POST",),
    privilege=WavefrontPrivilege.ACCOUNT_PUT,
    body=Body.LOOSE_JSON,
    takes=documents.USERS_TO_CREATE,
    answers={200: documents.HYBRID_USER, 202: documents.HYBRID_USER_IN_PART},
    raises=(AlreadyExists, AgainstTheRules, TooManyAttempts),
)
def invite_users_formerly(call: Call) -> Response:
    """Create several users, all or none, and tell each by mail; answers with the last of them."""
    asked = users.some_to_create(call)
    with call.transaction(Invitations) as invitations:
        how = users.making(call, Existing.REFUSE)
        written = invitations.invite(call.grant, asked, how, mails_an_hour=users.mails_an_hour(call))
    return tagged(hybrid(Models(call).user(written.account), message_of(written.ignored)), written.account)


@ROUTES.route(
    f"{_USER}/businessFunctions",
    methods=("GET",),
    privilege=current.READ,
    answers={200: documents.HYBRID_BUSINESS_FUNCTIONS},
    raises=(NoSuchObject,),
)
def get_business_functions_formerly(call: Call, id: str) -> Response:  # noqa: A002  # the API's name
    """Name what a user can do in Wavefront's own application; beside the user, whom this form's clients read."""
    with call.reading(Accounts) as accounts:
        account = accounts.get(call.grant, id, USER)
    return hybrid(Models(call).user_for(call.grant, account), response=business_functions(account))


@ROUTES.route(
    f"{_USER}/grant",
    methods=("POST",),
    privilege=WavefrontPrivilege.ACCOUNT_PUT,
    body=Body.FORM,
    takes=documents.PERMISSION_FORM,
    answers={200: documents.USER},
    raises=(NoSuchObject, AgainstTheRules, PreconditionFailed),
    headers=etags.HEADERS,
)
def grant_to_user_formerly(call: Call, id: str) -> Response:  # noqa: A002  # the API's name
    """Permit the `group` of a form to a user."""
    return current.permitted_to_one(call, id, call.form.get("group", ""), held=True)


@ROUTES.route(
    f"{_USER}/revoke",
    methods=("POST",),
    privilege=WavefrontPrivilege.ACCOUNT_PUT,
    body=Body.FORM,
    takes=documents.PERMISSION_FORM,
    answers={200: documents.USER},
    raises=(NoSuchObject, PreconditionFailed),
    headers=etags.HEADERS,
)
def revoke_from_user_formerly(call: Call, id: str) -> Response:  # noqa: A002  # the API's name
    """Take the permission that is the `group` of a form from a user."""
    return current.permitted_to_one(call, id, call.form.get("group", ""), held=False)


@ROUTES.route(
    "/user/grant/<permission>",
    methods=("POST",),
    privilege=WavefrontPrivilege.ACCOUNT_PUT,
    body=Body.LOOSE_JSON,
    takes=documents.SOME_IDENTIFIERS,
    answers={200: documents.USER},
    raises=(NoSuchObject, AgainstTheRules),
)
def grant_to_users_formerly(call: Call, permission: str) -> Response:
    """Permit something to several users, all or none; answers with the last of them."""
    return current.permitted_to_some(call, permission, held=True)


@ROUTES.route(
    "/user/revoke/<permission>",
    methods=("POST",),
    privilege=WavefrontPrivilege.ACCOUNT_PUT,
    body=Body.LOOSE_JSON,
    takes=documents.SOME_IDENTIFIERS,
    answers={200: documents.USER},
    raises=(NoSuchObject,),
)
def revoke_from_users_formerly(call: Call, permission: str) -> Response:
    """Take a permission from several users, all or none; answers with the last of them."""
    return current.permitted_to_some(call, permission, held=False)


@ROUTES.route(
    f"{_USER}/addUserGroups",
    methods=("POST",),
    privilege=WavefrontPrivilege.ACCOUNT_PUT,
    body=Body.LOOSE_JSON,
    takes=documents.IDENTIFIERS,
    answers={200: documents.USER, 202: documents.USER_IN_PART},
    raises=(NoSuchObject, PreconditionFailed),
    headers=etags.HEADERS,
)
def add_groups_to_user_formerly(call: Call, id: str) -> Response:  # noqa: A002  # the API's name
    """Put a user into groups."""
    return current.linked(call, id, groups=schemas.identifiers(call.json), add=True)


@ROUTES.route(
    f"{_USER}/removeUserGroups",
    methods=("POST",),
    privilege=WavefrontPrivilege.ACCOUNT_PUT,
    body=Body.LOOSE_JSON,
    takes=documents.IDENTIFIERS,
    answers={200: documents.USER},
    raises=(NoSuchObject, PreconditionFailed),
    headers=etags.HEADERS,
)
def remove_groups_from_user_formerly(call: Call, id: str) -> Response:  # noqa: A002  # the API's name
    """Take a user out of groups; out of Everyone nobody is taken."""
    return current.linked(call, id, groups=schemas.identifiers(call.json), add=False)
