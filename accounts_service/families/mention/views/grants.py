# ruff: noqa: ARG002  # The library says what a rule is called with.
"""OAuth's rules, as the library checks them against the apps and codes that are stored (RFC 6749, RFC 7636)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from oauthlib.common import Request
from oauthlib.oauth2 import RequestValidator
from oauthlib.oauth2.rfc6749 import errors
from oauthlib.oauth2.rfc6749.grant_types import AuthorizationCodeGrant

from accounts_service.families.mention.store.apps import App, Apps, Code
from accounts_service.faults import GrantFlaw, GrantRefused, RefusedError
from accounts_service.storage.paths import decoded_fully

# What a browser reads otherwise than a server does, or not at all.
_ODD = re.compile(r"[\x00-\x20\x7f\\]")
_CHALLENGE = re.compile(r"[A-Za-z0-9._~-]{43,128}\Z")
# A host and perhaps a port, without a user, in ASCII as in a policy for browsers.
_NETLOC = re.compile(r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?\Z")
# What an answer is told in.
_ANSWERS = {"code", "state", "error", "error_description", "error_uri", "access_token"}
_PORTS = {"http": 80, "https": 443}


def leads_to(callback: str, uri: str) -> bool:
    """Tell whether a redirection leads to what an app has registered, or below it.

    Scheme, host and port are the same, and the path begins with that of the
    callback and ends there, or goes on with another segment: of texts
    `http://example.com` also begins `http://example.com.evil.org`. Nothing in it
    may be read otherwise by who comes next, and its query does not answer for us.
    """
    if _ODD.search(uri) or "#" in uri or not uri.isascii():
        return False
    try:
        ours, theirs = urlsplit(callback), urlsplit(uri)
        same = _place(ours) == _place(theirs)
        taken = {name for name, _ in parse_qsl(theirs.query, keep_blank_values=True)} & _ANSWERS
    except ValueError:
        return False
    if not same or taken or not _NETLOC.match(theirs.netloc) or not _is_plain(theirs.path):
        return False
    begin = ours.path.rstrip("/")
    return theirs.path in {begin, ours.path} or theirs.path.startswith(begin + "/")


def _place(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, _PORTS.get(parts.scheme) if parts.port is None else parts.port


def _is_plain(path: str) -> bool:
    # However often it is decoded: an encoded dot is a dot to browsers, and to some servers a segment ends with `;`.
    decoded = decoded_fully(path)
    if decoded is None or decoded.count("/") != path.count("/") or _ODD.search(decoded):
        return False
    return not any(segment.partition(";")[0] in {".", ".."} for segment in decoded.split("/"))


def is_callback(uri: str) -> bool:
    """Tell whether an app may register this: an address that redirections may begin with."""
    try:
        parts = urlsplit(uri)
        plain = parts.scheme in _PORTS and bool(parts.hostname) and not parts.query and "?" not in uri
    except ValueError:
        return False
    return plain and leads_to(uri, uri)


def is_verifier(text: str | None) -> bool:
    """Tell whether a text can meet a challenge (RFC 7636 section 4.1), or whether there is none."""
    return text is None or _CHALLENGE.match(text) is not None


class Rules(RequestValidator):
    """What the library asks of the store. `app`, `code` and `used` are what it has found."""

    def __init__(self, apps: Apps) -> None:
        super().__init__()
        self._apps = apps
        self.app: App | None = None
        self.code: Code | None = None
        # The token that the code was exchanged for before.
        self.used: str | None = None

    # -- The page -------------------------------------------------------------

    def validate_client_id(self, client_id: str, request: Request, *args: object, **kwargs: object) -> bool:
        """Tell whether there is such an app."""
        self.app = request.client = self._apps.app(client_id)
        return self.app is not None

    def validate_redirect_uri(
        self, client_id: str, redirect_uri: str, request: Request, *args: object, **kwargs: object
    ) -> bool:
        """Tell whether a redirection leads to the app."""
        return self.app is not None and any(leads_to(callback, redirect_uri) for callback in self.app.callbacks)

    def get_default_redirect_uri(self, client_id: str, request: Request, *args: object, **kwargs: object) -> str:
        """Give none: it has to be said."""
        return ""

    def validate_response_type(
        self, client_id: str, response_type: str, client: object, request: Request, *args: object, **kwargs: object
    ) -> bool:
        """Take a code, with a challenge made by S256 (RFC 7636 section 4.2) or with none. Raises OAuth2Error."""
        if response_type != "code":
            raise errors.UnsupportedResponseTypeError(request=request)
        if request.code_challenge is not None and not _CHALLENGE.match(request.code_challenge):
            raise errors.InvalidRequestError("The code challenge is none", request=request)
        if request.code_challenge is not None and request.code_challenge_method != "S256":
            # `plain`, which is what no method means, shows the verifier to everyone who sees the address.
            raise errors.UnsupportedCodeChallengeMethodError(request=request)
        return True

    def validate_scopes(
        self, client_id: str, scopes: list[str], client: object, request: Request, *args: object, **kwargs: object
    ) -> bool:
        """Take whatever scope: a token is for all that is one's own."""
        return True

    def get_default_scopes(self, client_id: str, request: Request, *args: object, **kwargs: object) -> list[str]:
        """Give no scope."""
        return []

    # -- The token ------------------------------------------------------------

    def client_authentication_required(self, request: Request, *args: object, **kwargs: object) -> bool:
        """Ask every app for its secret."""
        return True

    def authenticate_client(self, request: Request, *args: object, **kwargs: object) -> bool:
        """Tell whether the secret is the app's."""
        app = self._apps.app(request.client_id or "")
        if app is None or not app.has_secret(request.client_secret or ""):
            return False
        self.app = request.client = app
        return True

    def validate_grant_type(
        self, client_id: str, grant_type: str, client: object, request: Request, *args: object, **kwargs: object
    ) -> bool:
        """Take the one type of grant that gets here."""
        return True

    def validate_code(
        self, client_id: str, code: str, client: object, request: Request, *args: object, **kwargs: object
    ) -> bool:
        """Tell whether the code is good, and the app's. Raises RefusedError(GrantRefused) for one that was."""
        found = self._apps.code(code)
        if found is None or found.client_id != client_id:
            return False
        self.used = found.token_id
        if found.token_id is not None:
            return False
        if found.expired:
            raise RefusedError(GrantRefused(GrantFlaw.CODE_EXPIRED))
        self.code = found
        return True

    def confirm_redirect_uri(  # the library's
        self,
        client_id: str,
        code: str,
        redirect_uri: str,
        client: object,
        request: Request,
        *args: object,
        **kwargs: object,
    ) -> bool:
        """Tell whether the redirection is the one that the code was asked for with."""
        return self.code is not None and redirect_uri == self.code.redirect_uri

    def is_pkce_required(self, client_id: str, request: Request) -> bool:
        """Leave it to the app."""
        return False

    def get_code_challenge(self, code: str, request: Request) -> str | None:  # type: ignore[override]  # None is no challenge
        """Give the challenge that the code was asked for with."""
        return None if self.code is None else self.code.challenge

    def get_code_challenge_method(self, code: str, request: Request) -> str | None:  # type: ignore[override]  # the same
        """Give how it was made."""
        return None if self.code is None else self.code.challenge_method


# The library's exceptions for what a client is told in Mention's words.
_FLAWS: tuple[tuple[tuple[type[errors.OAuth2Error], ...], GrantFlaw], ...] = (
    ((errors.UnsupportedGrantTypeError,), GrantFlaw.GRANT_TYPE),
    ((errors.InvalidClientError, errors.InvalidClientIdError), GrantFlaw.CLIENT),
    ((errors.MissingCodeVerifierError,), GrantFlaw.VERIFIER),
    ((errors.MissingClientIdError,), GrantFlaw.NO_CLIENT_ID),
    (
        (errors.MismatchingRedirectURIError, errors.MissingRedirectURIError, errors.InvalidRedirectURIError),
        GrantFlaw.REDIRECT,
    ),
)


def flaw_of(error: errors.OAuth2Error) -> GrantFlaw | None:
    """Say what is meant by the library's exception; None where it says so in its own words."""
    return next((flaw for kinds, flaw in _FLAWS if isinstance(error, kinds)), None)


def grant_of(rules: Rules) -> AuthorizationCodeGrant:
    """Give the library's authorization code grant, asking `rules`."""
    return AuthorizationCodeGrant(rules)


def request_of(method: Literal["GET", "POST"], fields: Iterable[tuple[str, str]]) -> Request:
    """Give a request as the library takes it: GET with its fields in the query, POST as those of a form.

    They are written anew: of a query that is not encoded as it should be the
    library makes an exception of no kind of its own.
    """
    pairs = list(fields)
    return Request(f"/?{urlencode(pairs)}", method, None, {}) if method == "GET" else Request("/", method, pairs, {})
