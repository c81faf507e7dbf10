"""Service accounts: `/account/serviceaccount`."""

from __future__ import annotations

from flask import Response

from accounts_service.families.wavefront import documents, schemas
from accounts_service.families.wavefront.privileges import WavefrontPrivilege
from accounts_service.families.wavefront.store.accounts import Accounts, Existing, Making, Wish
from accounts_service.families.wavefront.store.directory import SERVICE
from accounts_service.families.wavefront.views import shown
from accounts_service.families.wavefront.views.models import Models, message_of, tagged, wrapped, wrapped_list
from accounts_service.families.wavefront.views.users import replacing, wish_of
from accounts_service.faults import AgainstTheRules, AlreadyExists, AnswerTooLarge, NoSuchObject, PreconditionFailed
from accounts_service.web import etags
from accounts_service.web.family import Body, Routes
from accounts_service.web.gate import Call

ROUTES = Routes()

_SERVICE = "/account/serviceaccount/<id>"
# Tokens of a service account stand in its answers for who may list them at `/apitoken` as well.
_SEEING = (WavefrontPrivilege.TOKEN_ALL_GET,)


@ROUTES.route(
    "/account/serviceaccount",
    methods=("GET",),
    privilege=WavefrontPrivilege.ACCOUNT_SEARCH,
    optional=_SEEING,
    answers={200: documents.SERVICE_ACCOUNTS},
    raises=(AnswerTooLarge,),
)
def list_service_accounts(call: Call) -> Response:
    """List every service account, with its tokens."""
    with call.reading(Accounts) as accounts:
        services = accounts.all(call.grant, SERVICE)
    return wrapped_list(call, map(Models(call).service, shown.with_tokens(call, services)))


@ROUTES.route(
    "/account/serviceaccount",
    methods=("POST",),
    privilege=WavefrontPrivilege.ACCOUNT_PUT,
    optional=_SEEING,
    body=Body.LOOSE_JSON,
    takes=documents.NEW_SERVICE_ACCOUNT,
    answers={200: documents.SERVICE_ACCOUNT, 202: documents.SERVICE_ACCOUNT_IN_PART},
    raises=(AlreadyExists, AgainstTheRules),
)
def create_service_account(call: Call) -> Response:
    """Create a service account; it is active unless the body says otherwise."""
    attributes = schemas.SERVICE_ACCOUNT.check(call.json)
    making = Making(Existing.REFUSE)
    with call.transaction(Accounts) as accounts:
        written = accounts.make(call.grant, attributes["identifier"], SERVICE, wish_of(attributes), making)
    return tagged(wrapped(Models(call).service(written.account), message_of(written.ignored)), written.account)


@ROUTES.route(
    _SERVICE,
    methods=("GET",),
    privilege=WavefrontPrivilege.ACCOUNT_GET,
    optional=_SEEING,
    answers={200: documents.SERVICE_ACCOUNT},
    raises=(NoSuchObject,),
)
def get_service_account(call: Call, id: str) -> Response:  # noqa: A002  # the API's name
    """Read a service account, with its tokens."""
    with call.reading(Accounts) as accounts:
        account = accounts.get(call.grant, id, SERVICE)
    (account,) = shown.with_tokens(call, (account,))
    return tagged(wrapped(Models(call).service(account)), account)


@ROUTES.route(
    _SERVICE,
    methods=("PUT",),
    privilege=WavefrontPrivilege.ACCOUNT_PUT,
    optional=_SEEING,
    body=Body.LOOSE_JSON,
    takes=documents.CHANGED_SERVICE_ACCOUNT,
    answers={200: documents.SERVICE_ACCOUNT, 202: documents.SERVICE_ACCOUNT_IN_PART},
    raises=(NoSuchObject, AgainstTheRules, PreconditionFailed),
    headers=etags.HEADERS,
)
def change_service_account(call: Call, id: str) -> Response:  # noqa: A002  # the API's name
    """Replace a service account: `groups`, `userGroups` and `description` that are left out or null are empty.

    `roles` and `active` stay, and its tokens are changed at `/apitoken` only.
    """
    wish = replacing(call, schemas.SERVICE_ACCOUNT_UPDATE, schemas.EMPTY_SERVICE_ACCOUNT)
    return _changed(call, id, wish)


@ROUTES.route(
    f"{_SERVICE}/activate",
    methods=("POST",),
    privilege=WavefrontPrivilege.ACCOUNT_PUT,
    optional=_SEEING,
    answers={200: documents.SERVICE_ACCOUNT},
    raises=(NoSuchObject, PreconditionFailed),
    headers=etags.HEADERS,
)
def activate_service_account(call: Call, id: str) -> Response:  # noqa: A002  # the API's name
    """Let the tokens of a service account work again."""
    return _changed(call, id, Wish(active=True))


@ROUTES.route(
    f"{_SERVICE}/deactivate",
    methods=("POST",),
    privilege=WavefrontPrivilege.ACCOUNT_PUT,
    optional=_SEEING,
    answers={200: documents.SERVICE_ACCOUNT},
    raises=(NoSuchObject, PreconditionFailed),
    headers=etags.HEADERS,
)
def deactivate_service_account(call: Call, id: str) -> Response:  # noqa: A002  # the API's name
    """Keep the tokens of a service account from working, at once and everywhere."""
    return _changed(call, id, Wish(active=False))


def _changed(call: Call, identifier: str, wish: Wish) -> Response:
    with call.transaction(Accounts) as accounts:
        written = accounts.change(call.grant, identifier, wish, SERVICE, call.conditions)
        shown.within(call, accounts, written.account.tokens)
    return tagged(wrapped(Models(call).service(written.account), message_of(written.ignored)), written.account)
