"""Tokens for apps: `/oauth/v2/token` (https://dev.mention.com/current/src/appendix/OAuth2.html)."""

from __future__ import annotations

from urllib.parse import unquote_plus

from flask import Response
from oauthlib.oauth2.rfc6749 import errors

from accounts_service.access.privileges import Open
from accounts_service.families.mention import documents
from accounts_service.families.mention.store.accounts import FAMILY_NAME
from accounts_service.families.mention.store.apps import Apps
from accounts_service.families.mention.views.grants import Rules, flaw_of, grant_of, is_verifier, request_of
from accounts_service.faults import GrantFlaw, GrantRefused, Json, RefusedError, TooManyAttempts
from accounts_service.storage.audit import Author
from accounts_service.storage.limits import Limit
from accounts_service.web import body
from accounts_service.web.body import json_response
from accounts_service.web.family import Body, Routes
from accounts_service.web.gate import Call, network_of

ROUTES = Routes()

_PARAMETERS = frozenset(
    ("client_id", "client_secret", "code", "code_verifier", "grant_type", "redirect_uri", "response_type")
)
TOKEN_SECONDS = 30 * 24 * 3600
_MINUTE_S = 60
_LONGEST_AUTHOR = 100


@ROUTES.route(
    "/oauth/v2/token",
    methods=("POST",),
    privilege=Open.PUBLIC,
    body=Body.FORM,
    takes=documents.TOKEN_ORDER,
    answers={200: documents.TOKEN},
    raises=(GrantRefused, TooManyAttempts),
)
def create_token(call: Call) -> Response:
    """Give an app a token for a code."""
    return _exchanged(call, [*call.request.args.items(multi=True), *body.read_fields(call.request)])


@ROUTES.route(
    "/oauth/v2/token",
    methods=("GET",),
    privilege=Open.PUBLIC,
    parameters=_PARAMETERS,
    answers={200: documents.TOKEN},
    raises=(GrantRefused, TooManyAttempts),
)
def create_token_by_query(call: Call) -> Response:
    """Give an app a token for a code, as its first clients ask; addresses are logged by many, so POST it."""
    return _exchanged(call, [*call.request.args.items(multi=True)])


def _exchanged(call: Call, fields: list[tuple[str, str]]) -> Response:
    by_header = call.request.authorization
    if by_header is not None and by_header.type == "basic" and not any(name == "client_secret" for name, _ in fields):
        # As RFC 6749 section 2.3.1 has it, encoded as in a form.
        known = {name for name, _ in fields}
        fields += [("client_secret", unquote_plus(by_header.password or ""))]
        fields += [] if "client_id" in known else [("client_id", unquote_plus(by_header.username or ""))]
    if len({name for name, _ in fields}) != len(fields):
        raise RefusedError(GrantRefused(GrantFlaw.REPEATED))
    # The library would write and read thousands of others again.
    order = {name: value for name, value in fields if name in _PARAMETERS}
    _count(call, order.get("client_id", ""), order.get("client_secret", ""))
    author = Author(FAMILY_NAME, f"app {order.get('client_id', '')}"[:_LONGEST_AUTHOR], call.request_id)
    with call.services.database.transaction(Apps, author) as apps:
        token = _token_for(apps, order)
    if isinstance(token, GrantFlaw):
        raise RefusedError(GrantRefused(token))
    document: dict[str, Json] = {
        "access_token": token,
        "expires_in": TOKEN_SECONDS,
        "token_type": "bearer",
        "scope": None,
    }
    response = json_response(document)
    response.headers["Pragma"] = "no-cache"
    return response


def _count(call: Call, client_id: str, secret: str) -> None:
    """Count a call, of the app if it proves to be that, and else of where it comes from. Raises RefusedError.

    So nobody uses up an app's calls who knows its name, which stands in addresses.
    """
    app = call.asked(Apps, lambda apps: apps.app(client_id))
    proven = app is not None and app.has_secret(secret)
    subject = client_id if proven else f"at {network_of(call)}"
    call.services.limits.take(
        Limit("mention-token", call.services.settings.mention_token_calls_per_app, _MINUTE_S), subject
    )


def _token_for(apps: Apps, order: dict[str, str]) -> str | GrantFlaw:
    rules = Rules(apps)
    if order.get("grant_type") != "authorization_code":
        return GrantFlaw.GRANT_TYPE  # The library knows another one.
    if "code" not in order:
        return GrantFlaw.NO_CODE
    if not is_verifier(order.get("code_verifier")):
        return GrantFlaw.VERIFIER
    try:
        grant_of(rules).validate_token_request(request_of("POST", order.items()))
    except errors.OAuth2Error as error:
        if rules.used is not None:
            # Somebody else has it as well, so what came of it is worth nothing either (RFC 6749 section 4.1.2).
            apps.revoke(rules.used)
        # A code that was good so far had a challenge that is not met.
        return flaw_of(error) or (GrantFlaw.CODE if rules.code is None else GrantFlaw.VERIFIER)
    if rules.code is None or rules.app is None:
        raise RuntimeError("the library let a request pass without a code")
    if "code_verifier" in order and rules.code.challenge_method != "S256":
        # The challenge was lost on its way, or was taken out (RFC 9700 section 2.1.1); or it is one by `plain`, made
        # before that was refused.
        return GrantFlaw.VERIFIER
    token_id, token = apps.make(rules.code.account_id, rules.app.name, rules.app.client_id, TOKEN_SECONDS)
    apps.use(rules.code, token_id)
    return token
