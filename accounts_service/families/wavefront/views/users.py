"""Users: `/account/user`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flask import Response

from accounts_service.families.wavefront import documents, schemas
from accounts_service.families.wavefront.privileges import WavefrontPrivilege
from accounts_service.families.wavefront.store.accounts import Accounts, Existing, Making, Wish
from accounts_service.families.wavefront.store.directory import USER
from accounts_service.families.wavefront.store.invitations import Invitations
from accounts_service.families.wavefront.views.accounts import READ
from accounts_service.families.wavefront.views.models import (
    Models,
    bare,
    message_of,
    styled,
    tagged,
    wrapped,
    wrapped_list,
)
from accounts_service.faults import (
    AgainstTheRules,
    AlreadyExists,
    AnswerTooLarge,
    NoSuchObject,
    PreconditionFailed,
    PreconditionRequired,
    TooManyAttempts,
)
from accounts_service.validation.schema import BodySchema
from accounts_service.web import etags
from accounts_service.web.family import Body, Routes
from accounts_service.web.gate import Call

ROUTES = Routes()

_USER = "/account/user/<user:id>"


@ROUTES.route(
    "/account/user",
    methods=("GET",),
    privilege=WavefrontPrivilege.ACCOUNT_SEARCH,
    answers={200: documents.USERS},
    raises=(AnswerTooLarge,),
)
def list_users(call: Call) -> Response:
    """List every user."""
    with call.reading(Accounts) as accounts:
        users = accounts.all(call.grant, USER)
    return wrapped_list(call, map(Models(call).user_among_many, users))


@ROUTES.route(
    "/account/user",
    methods=("POST",),
    privilege=WavefrontPrivilege.ACCOUNT_PUT,
    body=Body.LOOSE_JSON,
    parameters=documents.SEND_EMAIL,
    takes=documents.USER_TO_CREATE,
    answers={200: documents.CHANGED_USER, 202: documents.CHANGED_USER_IN_PART},
    raises=(AlreadyExists, AgainstTheRules, PreconditionFailed, PreconditionRequired, TooManyAttempts),
    headers=etags.HEADERS,
    creates=True,
)
def put_user(call: Call) -> Response:
    """Create a user, or change the one of this e-mail address.

    What is left out stays as it is, and for a new user becomes what is usual.
    Ids of groups and roles that there are not are passed over and named, with
    202. With `sendEmail` a user who is new is told by mail.
    """
    mails, asked = mails_wanted(call), one_to_create(call)
    how = replace(making(call, Existing.UPDATE), conditions=etags.WhereThere.of(call))
    with call.transaction(Invitations) as invitations:
        written = invitations.put(call.grant, *asked, how, mails_an_hour=mails)
    return tagged(styled(call, Models(call).user(written.account), message_of(written.ignored)), written.account)


@ROUTES.route(
    "/account/user/admin",
    methods=("GET",),
    privilege=WavefrontPrivilege.ADMINISTRATORS_GET,
    answers={200: documents.ADMINISTRATORS},
)
def list_administrators(call: Call) -> Response:
    """Name the users who may manage users, so that everybody knows whom to ask."""
    with call.reading(Accounts) as accounts:
        administrators = accounts.administrators()
    return wrapped([*administrators])


@ROUTES.route(
    "/account/user/invite",
    methods=("POST",),
    privilege=WavefrontPrivilege.ACCOUNT_PUT,
    body=Body.LOOSE_JSON,
    takes=documents.USERS_TO_CREATE,
    answers={200: documents.CHANGED_USER, 202: documents.CHANGED_USER_IN_PART},
    raises=(AlreadyExists, AgainstTheRules, TooManyAttempts),
)
def invite_users(call: Call) -> Response:
    """Create several users, all or none, and tell each by mail; answers with the last of them."""
    asked = some_to_create(call)
    with call.transaction(Invitations) as invitations:
        how = making(call, Existing.REFUSE)
        written = invitations.invite(call.grant, asked, how, mails_an_hour=mails_an_hour(call))
    return tagged(styled(call, Models(call).user(written.account), message_of(written.ignored)), written.account)


@ROUTES.route(_USER, methods=("GET",), privilege=READ, answers={200: documents.OWN_OR_ANY_USER}, raises=(NoSuchObject,))
def get_user(call: Call, id: str) -> Response:  # noqa: A002  # the API's name
    """Read a user."""
    return bare_user(call, id)


@ROUTES.route(
    _USER,
    methods=("PUT",),
    privilege=WavefrontPrivilege.ACCOUNT_PUT,
    body=Body.LOOSE_JSON,
    takes=documents.USER_REQUEST,
    answers={200: documents.CHANGED_USER, 202: documents.CHANGED_USER_IN_PART},
    raises=(NoSuchObject, PreconditionFailed),
    headers=etags.HEADERS,
)
def change_user(call: Call, id: str) -> Response:  # noqa: A002  # the API's name
    """Change a user; what is left out stays as it is."""
    wish = wish_of(schemas.USER_REQUEST.check(call.json))
    with call.transaction(Accounts) as accounts:
        written = accounts.change(call.grant, id, wish, USER, call.conditions)
    return tagged(styled(call, Models(call).user(written.account), message_of(written.ignored)), written.account)


# -- What the former form of the API shares -----------------------------------


def bare_user(call: Call, identifier: str) -> Response:
    """Answer with a user alone."""
    with call.reading(Accounts) as accounts:
        account = accounts.get(call.grant, identifier, USER)
    return tagged(bare(Models(call).user_for(call.grant, account)), account)


def mails_wanted(call: Call) -> int | None:
    """Return `mails_an_hour` where a new user is to be told by mail, else None. Raises RefusedError(InvalidBody)."""
    return mails_an_hour(call) if schemas.flag("sendEmail", call.request.args.get("sendEmail", "")) else None


def mails_an_hour(call: Call) -> int:
    """Return how many invitations one caller may have sent by mail in an hour."""
    return call.services.settings.invitations_per_principal


def one_to_create(call: Call) -> tuple[str, Wish]:
    """Check the body of a user to be made. Raises RefusedError(InvalidBody)."""
    attributes = schemas.user_to_create(call.services.settings).check(call.json)
    return attributes["emailAddress"], wish_of(attributes)


def some_to_create(call: Call) -> list[tuple[str, Wish]]:
    """Check a body of several users to be made. Raises as `one_to_create` does."""
    users = schemas.users_to_create(call.json, call.services.settings)
    return [(attributes["emailAddress"], wish_of(attributes)) for attributes in users]


def making(call: Call, existing: Existing) -> Making:
    """Say how users are made in this installation."""
    settings = call.services.settings
    return Making(existing, settings.wavefront_default_permissions, settings.wavefront_sso_enabled)


def replacing(call: Call, schema: BodySchema, empty: Mapping[str, Any]) -> Wish:
    """Check a body that replaces an account, whose own caller goes on managing accounts unless the body says otherwise.

    Raises RefusedError(InvalidBody).
    """
    replacement = schemas.replacement(schema, call.json, empty)
    lists_left_out = schemas.EMPTY_USER.keys() & replacement.filled
    return replace(wish_of(replacement.attributes), manager=call.caller.own if lists_left_out else None)


def wish_of(attributes: dict[str, Any]) -> Wish:
    """Make a wish of checked attributes."""
    return Wish(
        permissions=attributes.get("groups"),
        groups=attributes.get("userGroups"),
        roles=attributes.get("roles"),
        sso_id=attributes.get("ssoId"),
        description=attributes.get("description"),
        active=attributes.get("active"),
    )
