"""The page on which somebody signs in and lets an app act for him: `/authorize` (RFC 6749 section 4.1).

What its browser keeps, and what signing in and out does, is in browsers.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

from flask import Response
from oauthlib.common import add_params_to_uri
from oauthlib.oauth2.rfc6749 import errors

from accounts_service.access.privileges import Open
from accounts_service.families.mention import documents
from accounts_service.families.mention.store.apps import App, Apps
from accounts_service.families.mention.views import browsers
from accounts_service.families.mention.views.browsers import Browser
from accounts_service.families.mention.views.grants import Rules, flaw_of, grant_of, request_of
from accounts_service.faults import GrantFlaw, GrantRefused, NotPermitted, Overloaded, RefusedError
from accounts_service.web.family import Body, Routes
from accounts_service.web.gate import Call

ROUTES = Routes()

_PARAMETERS = frozenset(
    ("client_id", "redirect_uri", "response_type", "scope", "state", "code_challenge", "code_challenge_method")
)


@dataclass(frozen=True, slots=True)
class _Ask:
    """What an app asks for. `challenge` is PKCE's, with its method."""

    app: App
    redirect_uri: str
    state: str | None
    challenge: tuple[str | None, str | None]


@ROUTES.route(
    "/authorize",
    methods=("GET",),
    privilege=Open.PUBLIC,
    parameters=_PARAMETERS,
    answers={200: documents.PAGE, 303: documents.BACK},
    raises=(GrantRefused,),
)
def show_consent(call: Call) -> Response:
    """Show a page on which somebody signs in and lets the app act for him, or not."""
    ask = _asked(call)
    if isinstance(ask, Response):
        return ask
    return _page(call, ask, browsers.browser_of(call) or browsers.new_browser(call))


@ROUTES.route(
    "/authorize",
    methods=("POST",),
    privilege=Open.PUBLIC,
    body=Body.FORM,
    parameters=_PARAMETERS,
    takes=documents.CONSENT,
    answers={303: documents.BACK, 400: documents.PAGE_AGAIN, 429: documents.PAGE_AGAIN},
    raises=(GrantRefused, NotPermitted, Overloaded),
)
def decide(call: Call) -> Response:
    """Take what was done on the page: sign in or out, let the app act or not."""
    ask = _asked(call)
    if isinstance(ask, Response):
        return ask
    browser = browsers.browser_of(call)
    if browser is None or not browsers.is_proven(call, browser):
        # Who is signed in stays so: a page of another window is no reason to be signed out.
        return _page(call, ask, browser or browsers.new_browser(call), browsers.EXPIRED, 400)
    return _ACTIONS.get(call.form.get("action", ""), _sign_in)(call, ask, browser)


# -- What is done -------------------------------------------------------------


def _sign_in(call: Call, ask: _Ask, browser: Browser) -> Response:
    return browsers.sign_in(call, browser, partial(_page, call, ask))


def _sign_out(call: Call, _: _Ask, browser: Browser) -> Response:
    return browsers.sign_out(call, browser)


def _allow(call: Call, ask: _Ask, browser: Browser) -> Response:
    if browser.account_id:
        author = browsers.author_of(call, browser.account_id)
        with call.services.database.transaction(Apps, author) as apps:
            if apps.is_signed_in(browser.secret, browser.account_id):
                code = apps.give_code(ask.app, browser.account_id, ask.redirect_uri, ask.challenge)
                return _back(ask, [("code", code)])
    return _page(call, ask, browsers.new_browser(call), "Please sign in first.", 400)


def _deny(_: Call, ask: _Ask, __: Browser) -> Response:
    return _back(ask, [("error", "access_denied"), ("error_description", "The user denied access to your application")])


_ACTIONS = {"sign-in": _sign_in, "sign-out": _sign_out, "allow": _allow, "deny": _deny}


# -- What is asked ------------------------------------------------------------


def _asked(call: Call) -> _Ask | Response:
    """Read what an app asks for; a redirection where it is told what is wrong. Raises RefusedError(GrantRefused)."""
    # The others mean nothing (RFC 6749 section 3.1), and the library would write and read thousands of them again.
    fields = [(name, value) for name, value in call.request.args.items(multi=True) if name in _PARAMETERS]
    if len({name for name, _ in fields}) != len(fields):
        raise RefusedError(GrantRefused(GrantFlaw.REPEATED))
    request = request_of("GET", fields)
    with call.reading(Apps) as apps:
        rules = Rules(apps)
        try:
            grant_of(rules).validate_authorization_request(request)
        except errors.FatalClientError as error:
            # Nobody is sent to an address that nobody has registered.
            raise RefusedError(GrantRefused(flaw_of(error) or GrantFlaw.REPEATED)) from None
        except errors.OAuth2Error as error:
            said = [(name, value) for name, value in error.twotuples if value is not None]
            return browsers.redirection(add_params_to_uri(request.redirect_uri or "", said))
    if rules.app is None or request.redirect_uri is None:
        raise RuntimeError("the library let a request pass without an app")
    challenge = (request.code_challenge, request.code_challenge_method)
    return _Ask(rules.app, request.redirect_uri, request.state, challenge)


def _state_of(state: str | None) -> list[tuple[str, str]]:
    return [] if state is None else [("state", state)]


def _back(ask: _Ask, fields: list[tuple[str, str]]) -> Response:
    return browsers.redirection(add_params_to_uri(ask.redirect_uri, [*fields, *_state_of(ask.state)]))


# -- The page -------------------------------------------------------------------


def _page(call: Call, ask: _Ask, browser: Browser, problem: str = "", status: int = 200) -> Response:
    account = browsers.account_of(call, browser)
    return browsers.page(
        call,
        browser,
        "consent.html" if account else "sign_in.html",
        status,
        app=ask.app.name,
        account=account,
        goal=urlsplit(ask.redirect_uri).netloc,
        problem=problem,
    )
