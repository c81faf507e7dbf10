"""Personal access tokens: `/users/{id}/tokens`. They are one's own, or for administrators a service user's."""

from __future__ import annotations

from flask import Response

from accounts_service.access.privileges import Within
from accounts_service.families.netbird import documents
from accounts_service.families.netbird.dialect import answer
from accounts_service.families.netbird.privileges import NetBirdPrivilege
from accounts_service.families.netbird.schemas import users as schemas
from accounts_service.families.netbird.store.tokens import Tokens
from accounts_service.families.netbird.views import models
from accounts_service.families.netbird.views.users import caller_of
from accounts_service.faults import AgainstTheRules, NoSuchObject
from accounts_service.web.family import Body, Routes
from accounts_service.web.gate import Call

ROUTES = Routes()

_TOKENS = "/users/<user_id>/tokens"
_TOKEN = f"{_TOKENS}/<token_id>"
_RAISES = (NoSuchObject, AgainstTheRules)


@ROUTES.route(
    _TOKENS,
    methods=("GET",),
    privilege=Within(NetBirdPrivilege.PATS_READ),
    answers={200: documents.TOKENS},
    raises=_RAISES,
)
def list_tokens(call: Call, user_id: str) -> Response:
    """List a user's tokens, without the tokens; null when there is none."""
    with call.reading(Tokens) as tokens:
        listed = tokens.tokens(call.grant, user_id, caller_of(call))
    return answer([models.token(one) for one in listed] or None)


@ROUTES.route(
    _TOKENS,
    methods=("POST",),
    privilege=Within(NetBirdPrivilege.PATS_CREATE),
    body=Body.ANY_JSON,
    takes=documents.NEW_TOKEN,
    answers={200: documents.MADE_TOKEN},
    raises=_RAISES,
)
def create_token(call: Call, user_id: str) -> Response:
    """Make a token for a user. It is shown here and never again."""
    # Whose it would be, before anything is told about the body.
    call.asked(Tokens, lambda tokens: tokens.owner(call.grant, user_id, caller_of(call)))
    name, days = schemas.token(call.json)
    with call.transaction(Tokens) as tokens:
        text, token = tokens.make_token(call.grant, user_id, name, days, caller_of(call))
    return answer({"plain_token": text, "personal_access_token": models.token(token)})


@ROUTES.route(
    _TOKEN,
    methods=("GET",),
    privilege=Within(NetBirdPrivilege.PATS_READ),
    answers={200: documents.TOKEN},
    raises=_RAISES,
)
def get_token(call: Call, user_id: str, token_id: str) -> Response:
    """Read what is kept of a token."""
    with call.reading(Tokens) as tokens:
        token = tokens.token(call.grant, user_id, token_id, caller_of(call))
    return answer(models.token(token))


@ROUTES.route(
    _TOKEN,
    methods=("DELETE",),
    privilege=Within(NetBirdPrivilege.PATS_DELETE),
    answers={200: documents.NOTHING},
    raises=_RAISES,
)
def delete_token(call: Call, user_id: str, token_id: str) -> Response:
    """Make a token worthless at once."""
    with call.transaction(Tokens) as tokens:
        tokens.delete_token(call.grant, user_id, token_id, caller_of(call))
    return answer({})
