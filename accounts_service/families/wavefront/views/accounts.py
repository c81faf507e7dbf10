"""Accounts of both kinds: `/account`."""

from __future__ import annotations

from flask import Response

from accounts_service.access.privileges import Scoped
from accounts_service.families.wavefront import documents, schemas
from accounts_service.families.wavefront.privileges import WavefrontPrivilege
from accounts_service.families.wavefront.store.accounts import Accounts
from accounts_service.families.wavefront.views.models import (
    Models,
    Object,
    bare,
    business_functions,
    message_of,
    paged,
    tagged,
    wrapped,
)
from accounts_service.faults import AgainstTheRules, AnswerTooLarge, InvalidBody, NoSuchObject, PreconditionFailed
from accounts_service.web import etags
from accounts_service.web.family import Body, Routes
from accounts_service.web.gate import Call

ROUTES = Routes()

_ACCOUNT = "/account/<account:id>"
# One's own account, or everybody's.
READ = Scoped(own=WavefrontPrivilege.ACCOUNT_OWN_GET, every=WavefrontPrivilege.ACCOUNT_GET)


@ROUTES.route(
    "/account",
    methods=("GET",),
    privilege=WavefrontPrivilege.ACCOUNT_SEARCH,
    parameters=documents.PART,
    answers={200: documents.ACCOUNTS},
    raises=(InvalidBody, AnswerTooLarge),
)
def list_accounts(call: Call) -> Response:
    """List accounts, page by page."""
    offset, limit = schemas.part(call.request.args.get("offset"), call.request.args.get("limit"))
    with call.reading(Accounts) as accounts:
        page = accounts.part(call.grant, offset, limit)
    return paged(call, page, map(Models(call).account, page.items))


@ROUTES.route(_ACCOUNT, methods=("GET",), privilege=READ, answers={200: documents.ACCOUNT}, raises=(NoSuchObject,))
def get_account(call: Call, id: str) -> Response:  # noqa: A002  # the API's name
    """Read an account: its groups and roles by their ids, and all that it may do."""
    with call.reading(Accounts) as accounts:
        account = accounts.get(call.grant, id)
    return tagged(wrapped(Models(call).account(account)), account)


@ROUTES.route(
    _ACCOUNT,
    methods=("DELETE",),
    privilege=WavefrontPrivilege.ACCOUNT_DELETE,
    answers={200: documents.ACCOUNT},
    raises=(NoSuchObject, AgainstTheRules, PreconditionFailed),
    headers=etags.HEADERS,
)
def delete_account(call: Call, id: str) -> Response:  # noqa: A002  # the API's name
    """Delete an account and its tokens; nobody deletes his own."""
    with call.transaction(Accounts) as accounts:
        account = accounts.delete(call.grant, id, call.caller.own, conditions=call.conditions)
    return wrapped(Models(call).account(account))


@ROUTES.route(
    "/account/deleteAccounts",
    methods=("POST",),
    privilege=WavefrontPrivilege.ACCOUNT_DELETE,
    body=Body.LOOSE_JSON,
    takes=documents.IDENTIFIERS,
    answers={200: documents.DELETED_ACCOUNTS},
    raises=(AgainstTheRules,),
)
def delete_accounts(call: Call) -> Response:
    """Delete those of some accounts that there are, all or none; answers with their ids."""
    return wrapped([*deleted(call)])


def deleted(call: Call, kind: str | None = None) -> list[str]:
    """Delete the accounts that a body names, those of one kind if that is given."""
    identifiers = schemas.identifiers(call.json)
    with call.transaction(Accounts) as accounts:
        return accounts.delete_all(call.grant, identifiers, call.caller.own, kind)


@ROUTES.route(
    "/account/validateAccounts",
    methods=("POST",),
    privilege=WavefrontPrivilege.ACCOUNT_VALIDATE,
    body=Body.LOOSE_JSON,
    takes=documents.IDENTIFIERS,
    answers={200: documents.VALIDATED},
)
def validate_accounts(call: Call) -> Response:
    """Tell accounts that there are from those that there are not; what they may do only to who may read accounts."""
    return wrapped(validated(call))


def validated(call: Call, kind: str | None = None) -> Object:
    """Tell which of the identifiers in a body are accounts, of one kind if that is given."""
    with call.reading(Accounts) as accounts:
        found, unknown = accounts.named(schemas.identifiers(call.json), kind)
    models = Models(call)
    may_read = call.allows(WavefrontPrivilege.ACCOUNT_GET)
    shown = models.user_among_many if may_read else models.name_of_user
    return {"validUsers": [shown(account) for account in found], "invalidIdentifiers": [*unknown]}


@ROUTES.route(
    f"{_ACCOUNT}/businessFunctions",
    methods=("GET",),
    privilege=READ,
    answers={200: documents.BUSINESS_FUNCTIONS},
    raises=(NoSuchObject,),
)
def get_business_functions(call: Call, id: str) -> Response:  # noqa: A002  # the API's name
    """Name what an account can do in Wavefront's own application."""
    with call.reading(Accounts) as accounts:
        account = accounts.get(call.grant, id)
    return wrapped(business_functions(account))


# -- Permissions --------------------------------------------------------------


@ROUTES.route(
    f"{_ACCOUNT}/grant/<permission>",
    methods=("POST",),
    privilege=WavefrontPrivilege.ACCOUNT_PUT,
    answers={200: documents.USER},
    raises=(InvalidBody, NoSuchObject, AgainstTheRules, PreconditionFailed),
    headers=etags.HEADERS,
)
def grant_to_account(call: Call, id: str, permission: str) -> Response:  # noqa: A002  # the API's name
    """Permit something to an account."""
    return permitted_to_one(call, id, permission, held=True)


@ROUTES.route(
    f"{_ACCOUNT}/revoke/<permission>",
    methods=("POST",),
    privilege=WavefrontPrivilege.ACCOUNT_PUT,
    answers={200: documents.USER},
    raises=(InvalidBody, NoSuchObject, PreconditionFailed),
    headers=etags.HEADERS,
)
def revoke_from_account(call: Call, id: str, permission: str) -> Response:  # noqa: A002  # the API's name
    """Take a permission from an account."""
    return permitted_to_one(call, id, permission, held=False)


@ROUTES.route(
    "/account/grant/<permission>",
    methods=("POST",),
    privilege=WavefrontPrivilege.ACCOUNT_PUT,
    body=Body.LOOSE_JSON,
    takes=documents.SOME_IDENTIFIERS,
    answers={200: documents.USER},
    raises=(NoSuchObject, AgainstTheRules),
)
def grant_to_accounts(call: Call, permission: str) -> Response:
    """Permit something to several accounts, all or none; answers with the last of them."""
    return permitted_to_some(call, permission, held=True)


@ROUTES.route(
    "/account/revoke/<permission>",
    methods=("POST",),
    privilege=WavefrontPrivilege.ACCOUNT_PUT,
    body=Body.LOOSE_JSON,
    takes=documents.SOME_IDENTIFIERS,
    answers={200: documents.USER},
    raises=(NoSuchObject,),
)
def revoke_from_accounts(call: Call, permission: str) -> Response:
    """Take a permission from several accounts, all or none; answers with the last of them."""
    return permitted_to_some(call, permission, held=False)


def permitted_to_one(call: Call, identifier: str, permission: str, *, held: bool) -> Response:
    """Permit something to an account, or take it from it; answers with it."""
    checked = schemas.permission(permission)
    with call.transaction(Accounts) as accounts:
        account = accounts.permit(call.grant, [identifier], checked, held=held, conditions=call.conditions)
    return tagged(bare(Models(call).user(account)), account)


def permitted_to_some(call: Call, permission: str, *, held: bool) -> Response:
    """Permit something to the accounts that a body names, or take it from them; answers with the last one."""
    checked, identifiers = schemas.permission(permission), schemas.some_identifiers(call.json)
    with call.transaction(Accounts) as accounts:
        account = accounts.permit(call.grant, identifiers, checked, held=held)
    return tagged(bare(Models(call).user(account)), account)


# -- Groups and roles ---------------------------------------------------------


@ROUTES.route(
    f"{_ACCOUNT}/addUserGroups",
    methods=("POST",),
    privilege=WavefrontPrivilege.ACCOUNT_PUT,
    body=Body.LOOSE_JSON,
    takes=documents.IDENTIFIERS,
    answers={200: documents.USER, 202: documents.USER_IN_PART},
    raises=(NoSuchObject, PreconditionFailed),
    headers=etags.HEADERS,
)
def add_groups_to_account(call: Call, id: str) -> Response:  # noqa: A002  # the API's name
    """Put an account into groups."""
    return linked(call, id, groups=schemas.identifiers(call.json), add=True)


@ROUTES.route(
    f"{_ACCOUNT}/removeUserGroups",
    methods=("POST",),
    privilege=WavefrontPrivilege.ACCOUNT_PUT,
    body=Body.LOOSE_JSON,
    takes=documents.IDENTIFIERS,
    answers={200: documents.USER},
    raises=(NoSuchObject, PreconditionFailed),
    headers=etags.HEADERS,
)
def remove_groups_from_account(call: Call, id: str) -> Response:  # noqa: A002  # the API's name
    """Take an account out of groups; out of the system group of all like it nobody is taken."""
    return linked(call, id, groups=schemas.identifiers(call.json), add=False)


@ROUTES.route(
    f"{_ACCOUNT}/addRoles",
    methods=("POST",),
    privilege=WavefrontPrivilege.ACCOUNT_PUT,
    body=Body.LOOSE_JSON,
    takes=documents.IDENTIFIERS,
    answers={200: documents.USER, 202: documents.USER_IN_PART},
    raises=(NoSuchObject, PreconditionFailed),
    headers=etags.HEADERS,
)
def add_roles_to_account(call: Call, id: str) -> Response:  # noqa: A002  # the API's name
    """Give an account roles."""
    return linked(call, id, roles=schemas.identifiers(call.json), add=True)


@ROUTES.route(
    f"{_ACCOUNT}/removeRoles",
    methods=("POST",),
    privilege=WavefrontPrivilege.ACCOUNT_PUT,
    body=Body.LOOSE_JSON,
    takes=documents.IDENTIFIERS,
    answers={200: documents.USER},
    raises=(NoSuchObject, PreconditionFailed),
    headers=etags.HEADERS,
)
def remove_roles_from_account(call: Call, id: str) -> Response:  # noqa: A002  # the API's name
    """Take roles from an account."""
    return linked(call, id, roles=schemas.identifiers(call.json), add=False)


def linked(
    call: Call, identifier: str, *, groups: list[str] | None = None, roles: list[str] | None = None, add: bool
) -> Response:
    """Put an account into groups and give it roles, or the reverse; answers with the user."""
    with call.transaction(Accounts) as accounts:
        written = accounts.link(
            call.grant, [identifier], groups=groups or (), roles=roles or (), linked=add, conditions=call.conditions
        )
    return tagged(bare(Models(call).user(written.account), message_of(written.ignored)), written.account)
