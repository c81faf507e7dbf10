"""The page on which somebody signs in and lets an app act for him: `/authorize` (RFC 6749 section 4.1).

What a browser keeps is sealed, so there are no sessions to store: a number that
forms have to prove, and who has signed in. RFC 9700 and RFC 6749 section 10 say
what such a page has to look out for.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from flask import Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from oauthlib.common import add_params_to_uri
from oauthlib.oauth2.rfc6749 import errors

from accounts_service.access.privileges import Open
from accounts_service.families.mention import documents
from accounts_service.families.mention.schemas.accounts import LONGEST_PASSWORD
from accounts_service.families.mention.store.accounts import FAMILY_NAME, Account, Accounts
from accounts_service.families.mention.store.apps import App, Apps
from accounts_service.families.mention.views.grants import Rules, flaw_of, grant_of, request_of
from accounts_service.families.mention.views.passwords import is_right
from accounts_service.faults import GrantFlaw, GrantRefused, NotPermitted, Overloaded, RefusedError, TooManyAttempts
from accounts_service.storage.audit import Author
from accounts_service.storage.sealed import Place
from accounts_service.validation.checks import is_address
from accounts_service.web.family import Body, Routes
from accounts_service.web.gate import Call

ROUTES = Routes()

_PARAMETERS = frozenset(
    ("client_id", "redirect_uri", "response_type", "scope", "state", "code_challenge", "code_challenge_method")
)
_COOKIE = "mention_sign_in"
_SESSION_S = 15 * 60
_PLACE = Place(FAMILY_NAME, "browser", "session")

_PAGES = Environment(
    loader=PackageLoader("accounts_service.families.mention", "pages"), autoescape=True, undefined=StrictUndefined
)


@dataclass(frozen=True, slots=True)
class _Ask:
    """What an app asks for. `challenge` is PKCE's, with its method."""

    app: App
    redirect_uri: str
    state: str | None
    challenge: tuple[str | None, str | None]


@dataclass(frozen=True, slots=True)
class _Session:
    """What a browser keeps: a number of its own, till when it holds, and who has signed in, or nobody.

    `version` is that of his account then: with another password nobody is signed in.
    """

    nonce: str = field(repr=False)
    ends_s: int
    account_id: str = ""
    version: int = 0


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
    session = _session_of(call) or _new_session(call)
    return _page(call, ask, session)


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
    session = _session_of(call)
    if session is None or not _is_proven(call, session):
        # Who is signed in stays so: a page of another window is no reason to be signed out.
        return _page(call, ask, session or _new_session(call), "The page had expired. Please try again.", 400)
    return _ACTIONS.get(call.form.get("action", ""), _sign_in)(call, ask, session)


# -- What is done -------------------------------------------------------------


def _sign_in(call: Call, ask: _Ask, session: _Session) -> Response:
    email, password = call.form.get("email", "").strip(), call.form.get("password", "")[: LONGEST_PASSWORD + 1]
    account = call.asked(Accounts, lambda accounts: accounts.by_email(email)) if is_address(email) else None
    try:
        right = is_right(call, account, email, password)
    except RefusedError as error:
        match error.fault:
            case TooManyAttempts(reset_s, wait_s):
                minutes = -(-wait_s // 60)
                text = f"Too many attempts. Please try again in {minutes} minute{'s' if minutes > 1 else ''}."
                response = _page(call, ask, session, text, 429)
                response.headers["X-Rate-Limit-Reset"], response.headers["Retry-After"] = str(reset_s), str(wait_s)
                return response
            case _:
                raise
    if account is None or not right:
        return _page(call, ask, session, "The email or the password is not right.", 400)
    # Another number: one that was known before somebody signed in proves nothing after.
    return _again(call, _new_session(call, account))


def _sign_out(call: Call, _: _Ask, __: _Session) -> Response:
    return _again(call, _new_session(call))


def _allow(call: Call, ask: _Ask, session: _Session) -> Response:
    account = _account_of(call, session)
    if account is None:
        return _page(call, ask, _new_session(call), "Please sign in first.", 400)
    author = Author(FAMILY_NAME, account.id, call.request_id)
    with call.services.database.transaction(Apps, author) as apps:
        code = apps.give_code(ask.app, account.id, ask.redirect_uri, ask.challenge)
    return _back(ask, [("code", code)])


def _deny(_: Call, ask: _Ask, __: _Session) -> Response:
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
            return _redirection(add_params_to_uri(request.redirect_uri or "", said))
    if rules.app is None or request.redirect_uri is None:
        raise RuntimeError("the library let a request pass without an app")
    challenge = (request.code_challenge, request.code_challenge_method)
    return _Ask(rules.app, request.redirect_uri, request.state, challenge)


def _state_of(state: str | None) -> list[tuple[str, str]]:
    return [] if state is None else [("state", state)]


def _back(ask: _Ask, fields: list[tuple[str, str]]) -> Response:
    return _redirection(add_params_to_uri(ask.redirect_uri, [*fields, *_state_of(ask.state)]))


def _redirection(uri: str) -> Response:
    # 303, so that no browser sends the form along (RFC 9700 section 4.12).
    headers = {"Location": uri, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    return Response(status=303, headers=headers, content_type="text/plain; charset=UTF-8")


# -- What a browser keeps -------------------------------------------------------


def _new_session(call: Call, account: Account | None = None) -> _Session:
    nonce, ends_s = secrets.token_urlsafe(24), call.services.database.now_us() // 1_000_000 + _SESSION_S
    return _Session(nonce, ends_s) if account is None else _Session(nonce, ends_s, account.id, account.version)


def _session_of(call: Call) -> _Session | None:
    kept = call.services.vault.open_token(_PLACE, call.request.cookies.get(_COOKIE, ""))
    if kept is None:
        return None
    nonce, ends_s, account_id, version = kept.split(" ")
    session = _Session(nonce, int(ends_s), account_id, int(version))
    return session if session.ends_s > call.services.database.now_us() // 1_000_000 else None


def _account_of(call: Call, session: _Session) -> Account | None:
    if not session.account_id:
        return None
    account = call.asked(Accounts, lambda accounts: accounts.find(session.account_id))
    return account if account is not None and account.version == session.version else None


def _proof(call: Call, session: _Session) -> str:
    return call.services.vault.mac("mention-proof", session.nonce, session.account_id).hex()


def _is_proven(call: Call, session: _Session) -> bool:
    # As bytes: of texts compare_digest takes ASCII only.
    return hmac.compare_digest(_proof(call, session).encode(), call.form.get("proof", "").encode())


def _kept(call: Call, response: Response, session: _Session) -> Response:
    token = call.services.vault.seal_token(
        _PLACE, f"{session.nonce} {session.ends_s} {session.account_id} {session.version}"
    )
    response.set_cookie(
        _COOKIE,
        token,
        max_age=_SESSION_S,
        path=f"{call.request.root_path}/authorize",
        secure=True,
        httponly=True,
        # It has to come along from an app's page, by a link.
        samesite="Lax",
    )
    return response


def _again(call: Call, session: _Session) -> Response:
    # The same page, at whichever mount it is.
    return _kept(call, _redirection("?" + call.request.query_string.decode("latin-1")), session)


# -- The page -------------------------------------------------------------------


def _page(call: Call, ask: _Ask, session: _Session, problem: str = "", status: int = 200) -> Response:
    account = _account_of(call, session)
    nonce, goal = secrets.token_urlsafe(16), urlsplit(ask.redirect_uri)
    email = call.form.get("email", "") if call.request.method == "POST" else ""
    text = _PAGES.get_template("consent.html" if account else "sign_in.html").render(
        app=ask.app.name,
        account=account,
        goal=goal.netloc,
        problem=problem,
        # What is no address may be a password that was typed in the wrong place.
        email=email if is_address(email) else "",
        proof=_proof(call, session),
        nonce=nonce,
    )
    # Nothing of `form-action`: redirections count as where a form is sent, those of the app that follow included.
    policy = ("default-src 'none'", f"style-src 'nonce-{nonce}'", "frame-ancestors 'none'", "base-uri 'none'")
    headers = {
        "Cache-Control": "no-store",
        "Content-Security-Policy": "; ".join(policy),
        # Not `no-referrer`: browsers would send the form with the origin `null`, which is another site's.
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }
    return _kept(call, Response(text, status, headers, content_type="text/html; charset=UTF-8"), session)
