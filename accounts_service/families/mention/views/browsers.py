"""What a browser keeps for the pages: a sealed cookie with a secret that forms prove and sessions are found by.

The session is stored (store/sessions.py), so that signing out, a new password and
a new address end it on the server. RFC 9700 and RFC 6749 section 10
say what such pages have to look out for.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from flask import Response
from jinja2 import Environment, PackageLoader, StrictUndefined

from accounts_service.families.mention.schemas.accounts import LONGEST_PASSWORD
from accounts_service.families.mention.store.accounts import FAMILY_NAME, Account, Accounts
from accounts_service.families.mention.store.sessions import Sessions
from accounts_service.families.mention.views.passwords import is_right
from accounts_service.faults import RefusedError, TooManyAttempts
from accounts_service.storage.audit import Author
from accounts_service.storage.sealed import Place
from accounts_service.validation.checks import is_address
from accounts_service.web.gate import Call, came_over_tls

_COOKIE = "mention_sign_in"
SESSION_S = 15 * 60
_PLACE = Place(FAMILY_NAME, "browser", "session")
_PARTS = 3

EXPIRED = "The page had expired. Please try again."

_PAGES = Environment(
    loader=PackageLoader("accounts_service.families.mention", "pages"), autoescape=True, undefined=StrictUndefined
)


@dataclass(frozen=True, slots=True)
class Browser:
    """The content of a cookie: a secret, when it expires, and the account that signed in, empty if none has."""

    secret: str = field(repr=False)
    ends_s: int
    account_id: str = ""


# Shows a page again, with what was wrong and a status.
Again: TypeAlias = Callable[[Browser, str, int], Response]


def new_browser(call: Call, account: Account | None = None) -> Browser:
    """Return the content of a new cookie, for `account` if it has signed in."""
    ends_s = call.services.database.now_us() // 1_000_000 + SESSION_S
    return Browser(secrets.token_urlsafe(24), ends_s, "" if account is None else account.id)


def browser_of(call: Call) -> Browser | None:
    """Return what the browser of a request keeps; None when it keeps nothing that holds."""
    kept = call.services.vault.open_token(_PLACE, call.request.cookies.get(_name_of_cookie(call), ""))
    parts = [] if kept is None else kept.split(" ")
    if len(parts) != _PARTS:
        return None
    secret, ends_s, account_id = parts
    browser = Browser(secret, int(ends_s), account_id)
    return browser if browser.ends_s > call.services.database.now_us() // 1_000_000 else None


def account_of(call: Call, browser: Browser) -> Account | None:
    """Return the account whose session goes on, or None."""
    if not browser.account_id:
        return None
    return call.asked(Sessions, lambda sessions: sessions.account(browser.secret))


def is_proven(call: Call, browser: Browser) -> bool:
    """Return whether a form proves that it is from a page of this browser."""
    # As bytes: of texts compare_digest takes ASCII only.
    return hmac.compare_digest(_proof(call, browser).encode(), call.form.get("proof", "").encode())


def _proof(call: Call, browser: Browser) -> str:
    return call.services.vault.mac("mention-proof", browser.secret, browser.account_id).hex()


# -- Signing in and out ---------------------------------------------------------


def sign_in(call: Call, browser: Browser, again: Again) -> Response:
    """Check the e-mail address and the password of a form, and begin a session."""
    email, password = call.form.get("email", "").strip(), call.form.get("password", "")[: LONGEST_PASSWORD + 1]
    account = call.asked(Accounts, lambda accounts: accounts.by_email(email)) if is_address(email) else None
    try:
        right = is_right(call, account, email, password)
    except RefusedError as error:
        match error.fault:
            case TooManyAttempts(reset_s, wait_s):
                minutes = -(-wait_s // 60)
                text = f"Too many attempts. Please try again in {minutes} minute{'s' if minutes > 1 else ''}."
                response = again(browser, text, 429)
                response.headers["X-Rate-Limit-Reset"], response.headers["Retry-After"] = str(reset_s), str(wait_s)
                return response
            case _:
                raise
    if account is None or not right:
        return again(browser, "The email or the password is not right.", 400)
    # Another secret, so that one that was known before the log-in proves nothing after it.
    signed_in = new_browser(call, account)
    with call.services.database.transaction(Sessions, author_of(call, account.id)) as sessions:
        if browser.account_id:
            sessions.end(browser.secret)
        sessions.begin(account, signed_in.secret, SESSION_S)
    return back_to_page(call, signed_in)


def sign_out(call: Call, browser: Browser) -> Response:
    """End the session, here and on the browser."""
    if browser.account_id:
        with call.services.database.transaction(Sessions, author_of(call, browser.account_id)) as sessions:
            sessions.end(browser.secret)
    return back_to_page(call, new_browser(call))


def author_of(call: Call, account_id: str) -> Author:
    """Return the author of what the person of an account does on a page."""
    return Author(FAMILY_NAME, account_id, call.request_id)


# -- Answers --------------------------------------------------------------------


def page(call: Call, browser: Browser, template: str, status: int = 200, **values: object) -> Response:
    """Return a page, with the cookie that the browser keeps."""
    nonce = secrets.token_urlsafe(16)
    email = call.form.get("email", "") if call.request.method == "POST" else ""
    text = _PAGES.get_template(template).render(
        # A text that is not an address may be a password that was typed into the wrong field.
        email=email if is_address(email) else "",
        proof=_proof(call, browser),
        nonce=nonce,
        **values,
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
    return _kept(call, Response(text, status, headers, content_type="text/html; charset=UTF-8"), browser)


def redirection(uri: str) -> Response:
    """Lead a browser elsewhere."""
    # 303, so that no browser sends the form along (RFC 9700 section 4.12).
    headers = {"Location": uri, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    return Response(status=303, headers=headers, content_type="text/plain; charset=UTF-8")


def back_to_page(call: Call, browser: Browser) -> Response:
    """Lead a browser to the page that it has asked for, at whichever mount that is."""
    return _kept(call, redirection("?" + call.request.query_string.decode("latin-1")), browser)


def _name_of_cookie(call: Call) -> str:
    # A browser accepts a name with this prefix from this host alone and over TLS alone: neither a neighbouring host nor
    # a connection without TLS can put another session in its place
    # (https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis section 4.1.3.2).
    return f"__Host-{_COOKIE}" if came_over_tls(call) else _COOKIE


def _kept(call: Call, response: Response, browser: Browser) -> Response:
    token = call.services.vault.seal_token(_PLACE, f"{browser.secret} {browser.ends_s} {browser.account_id}")
    response.set_cookie(
        _name_of_cookie(call),
        token,
        max_age=SESSION_S,
        path="/",
        secure=True,
        httponly=True,
        # It has to come along from an app's page, by a link.
        samesite="Lax",
    )
    return response
