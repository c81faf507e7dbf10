"""API tokens: `/apitoken`. A token is named by itself, so paths here are secrets; logs leave them out."""

from __future__ import annotations

from flask import Response

from accounts_service.access.privileges import Mine
from accounts_service.families.wavefront import documents, schemas
from accounts_service.families.wavefront.privileges import WavefrontPrivilege
from accounts_service.families.wavefront.store.tokens import Tokens
from accounts_service.families.wavefront.views import shown
from accounts_service.families.wavefront.views.models import Models, tagged, wrapped, wrapped_list
from accounts_service.faults import AgainstTheRules, AnswerTooLarge, NoSuchObject, PreconditionFailed
from accounts_service.web import etags
from accounts_service.web.family import Body, Routes
from accounts_service.web.gate import Call

ROUTES = Routes()

_TOKEN = "/apitoken/<named:token>"  # noqa: S105  # a path
_OF_SERVICE = "/apitoken/serviceaccount/<id>"
_OF_CUSTOMER = "/apitoken/customertokens"


@ROUTES.route(
    "/apitoken",
    methods=("GET",),
    privilege=Mine(WavefrontPrivilege.TOKEN_OWN_GET),
    answers={200: documents.TOKENS},
)
def list_own_tokens(call: Call) -> Response:
    """List one's own tokens, the newest last."""
    with call.reading(Tokens) as tokens:
        listed = tokens.own(call.grant)
    return wrapped([*map(Models.token, listed)])


@ROUTES.route(
    "/apitoken",
    methods=("POST",),
    privilege=Mine(WavefrontPrivilege.TOKEN_OWN_CREATE),
    answers={200: documents.TOKENS},
    raises=(AgainstTheRules,),
)
def create_own_token(call: Call) -> Response:
    """Make a token for oneself; answers with all of them, the new one last."""
    with call.transaction(Tokens) as tokens:
        listed = tokens.make_own(call.grant)
    return wrapped([*map(Models.token, listed)])


@ROUTES.route(
    _TOKEN,
    methods=("PUT",),
    privilege=Mine(WavefrontPrivilege.TOKEN_OWN_PUT),
    body=Body.LOOSE_JSON,
    takes=documents.TOKEN_NAME,
    answers={200: documents.TOKEN},
    raises=(NoSuchObject, PreconditionFailed),
    headers=etags.HEADERS,
)
def rename_own_token(call: Call, token: str) -> Response:
    """Rename one of one's own tokens."""
    name = schemas.TOKEN_NAME.check(call.json).get("tokenName")
    with call.transaction(Tokens) as tokens:
        renamed = tokens.rename(call.grant, token, name, conditions=call.conditions)
    return tagged(wrapped(Models.token(renamed)), renamed)


@ROUTES.route(
    _TOKEN,
    methods=("DELETE",),
    privilege=Mine(WavefrontPrivilege.TOKEN_OWN_DELETE),
    answers={200: documents.TOKENS},
    raises=(NoSuchObject, PreconditionFailed),
    headers=etags.HEADERS,
)
def revoke_own_token(call: Call, token: str) -> Response:
    """Revoke one of one's own tokens; answers with those that are left."""
    with call.transaction(Tokens) as tokens:
        listed = tokens.revoke(call.grant, token, conditions=call.conditions)
    return wrapped([*map(Models.token, listed)])


# -- Of service accounts ------------------------------------------------------


@ROUTES.route(
    _OF_SERVICE,
    methods=("GET",),
    privilege=WavefrontPrivilege.TOKEN_ALL_GET,
    answers={200: documents.TOKENS},
    raises=(NoSuchObject,),
)
def list_tokens_of_service_account(call: Call, id: str) -> Response:  # noqa: A002  # the API's name
    """List the tokens of a service account, the newest last."""
    with call.reading(Tokens) as tokens:
        listed = tokens.of(call.grant, id)
    return wrapped([*map(Models.token, shown.recorded(call, listed))])


@ROUTES.route(
    _OF_SERVICE,
    methods=("POST",),
    privilege=WavefrontPrivilege.TOKEN_ALL_CREATE,
    body=Body.LOOSE_JSON,
    takes=documents.TOKEN_NAME,
    answers={200: documents.TOKENS},
    raises=(NoSuchObject, AgainstTheRules),
)
def create_token_for_service_account(call: Call, id: str) -> Response:  # noqa: A002  # the API's name
    """Make a token for a service account; answers with all of its tokens, the new one last."""
    name = schemas.TOKEN_NAME.check(call.json).get("tokenName")
    with call.transaction(Tokens) as tokens:
        listed = tokens.make(call.grant, id, name)
        # That the new one was made is on record.
        shown.within(call, tokens, listed[:-1])
    return wrapped([*map(Models.token, listed)])


@ROUTES.route(
    f"{_OF_SERVICE}/<token>",
    methods=("PUT",),
    privilege=WavefrontPrivilege.TOKEN_ALL_PUT,
    body=Body.LOOSE_JSON,
    takes=documents.TOKEN_NAME,
    answers={200: documents.TOKEN},
    raises=(NoSuchObject, PreconditionFailed),
    headers=etags.HEADERS,
)
def rename_token_of_service_account(call: Call, id: str, token: str) -> Response:  # noqa: A002  # the API's name
    """Rename a token of a service account."""
    name = schemas.TOKEN_NAME.check(call.json).get("tokenName")
    with call.transaction(Tokens) as tokens:
        renamed = tokens.rename(call.grant, token, name, id, call.conditions)
    return tagged(wrapped(Models.token(renamed)), renamed)


@ROUTES.route(
    f"{_OF_SERVICE}/<token>",
    methods=("DELETE",),
    privilege=WavefrontPrivilege.TOKEN_ALL_DELETE,
    optional=(WavefrontPrivilege.TOKEN_ALL_GET,),
    answers={200: documents.TOKENS},
    raises=(NoSuchObject, PreconditionFailed),
    headers=etags.HEADERS,
)
def revoke_token_of_service_account(call: Call, id: str, token: str) -> Response:  # noqa: A002  # the API's name
    """Revoke a token of a service account; answers with those that are left, or with none unless one may list them."""
    with call.transaction(Tokens) as tokens:
        left = tokens.revoke(call.grant, token, id, call.conditions)
        listed = left if WavefrontPrivilege.TOKEN_ALL_GET in call.grant.also else []
        shown.within(call, tokens, listed)
    return wrapped([*map(Models.token, listed)])


# -- Of everybody -------------------------------------------------------------


@ROUTES.route(
    _OF_CUSTOMER,
    methods=("GET",),
    privilege=WavefrontPrivilege.TOKEN_ALL_GET,
    answers={200: documents.CUSTOMER_TOKENS},
    raises=(AnswerTooLarge,),
)
def list_customer_tokens(call: Call) -> Response:
    """List everybody's tokens, by account."""
    with call.reading(Tokens) as tokens:
        listed = tokens.all(call.grant)
    return wrapped_list(call, map(Models(call).customer_token, shown.recorded(call, listed)))


@ROUTES.route(
    f"{_OF_CUSTOMER}/<token>",
    methods=("GET",),
    privilege=WavefrontPrivilege.TOKEN_ALL_GET,
    answers={200: documents.CUSTOMER_TOKEN},
    raises=(NoSuchObject,),
)
def get_customer_token(call: Call, token: str) -> Response:
    """Read a token of anybody's."""
    with call.reading(Tokens) as tokens:
        found = tokens.get(call.grant, token)
    return tagged(wrapped(Models(call).customer_token(found)), found)


@ROUTES.route(
    f"{_OF_CUSTOMER}/revoke",
    methods=("PUT",),
    privilege=WavefrontPrivilege.TOKEN_ALL_DELETE,
    body=Body.LOOSE_JSON,
    takes=documents.WHICH_TOKEN,
    answers={200: documents.TOKEN},
    raises=(NoSuchObject,),
)
def revoke_customer_token(call: Call) -> Response:
    """Revoke a token of anybody's; answers with what it was."""
    token = schemas.TOKEN.check(call.json)["tokenID"]
    with call.transaction(Tokens) as tokens:
        revoked = tokens.revoke_anybodys(call.grant, token)
    return wrapped(Models.token(revoked))
