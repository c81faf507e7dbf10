"""What the reader of the API is told of Mention: the names in its paths and queries, its bodies and its answers."""

from __future__ import annotations

from accounts_service.families.mention import examples
from accounts_service.families.mention.schemas import accounts as schemas
from accounts_service.families.mention.schemas import vocabulary
from accounts_service.faults import Json
from accounts_service.validation.json_schema import JsonSchema, record
from accounts_service.web.description import SCHEMES as DOMAINS
from accounts_service.web.description import Answer, Takes, Term, ignored_by

_TEXT: JsonSchema = {"type": "string"}
_FLAG: JsonSchema = {"type": "boolean"}
_NUMBER: JsonSchema = {"type": "integer"}

SCHEMES: dict[str, JsonSchema] = {
    **DOMAINS,
    "mentionToken": {
        "type": "http",
        "scheme": "bearer",
        "description": "An access token; `access_token` in the query does as well, and not both.",
    },
}

TERMS = {
    "account_id": Term("The id of an account."),
    "Accept-Version": Term("The version of the API, `1.19`; before 1.12 accounts have no `permissions`."),
    "client_id": Term("The app."),
    "client_secret": Term("The app's secret."),
    "code": Term("What the redirection brought."),
    "code_challenge": Term("A challenge that the token's `code_verifier` has to meet (RFC 7636)."),
    "code_challenge_method": Term("How it was made: `S256`, and nothing else."),
    "code_verifier": Term("What meets the challenge."),
    "grant_type": Term("`authorization_code`."),
    "redirect_uri": Term("Where the browser goes then: a callback of the app, or something below it."),
    "response_type": Term("`code` for a code; for a token it is not looked at."),
    "scope": Term("Not looked at: a token is for all that is one's own."),
    "state": Term("What the redirection brings back as it is."),
}

_NOTE = "What is not known is passed over, and null is an absent member."
NEW_ACCOUNT = Takes(
    {**schemas.NEW_ACCOUNT.taken("Account to create"), "description": _NOTE},
    {"account": examples.GOOD["account"]},
    ignores=ignored_by(schemas.NEW_ACCOUNT),
)
CHANGED_ACCOUNT = Takes(
    {
        **schemas.ACCOUNT.taken("Account to change"),
        "type": "object",
        "description": f"{_NOTE} A new `email` and a `new_password` need the present password as `old_password`.",
    },
    {"some": examples.GOOD["change"], "password": examples.GOOD["password"]},
    ignores=schemas.ignored_of_changed,
)
TOKEN_ORDER = Takes(
    {
        "title": "Token order",
        "type": "object",
        "required": ["client_id", "client_secret", "code", "grant_type", "redirect_uri"],
        "properties": {
            **dict.fromkeys(("client_id", "client_secret", "code", "code_verifier", "redirect_uri"), _TEXT),
            "grant_type": {"type": "string", "const": "authorization_code"},
        },
    },
    {"code": examples.GOOD["token order"]},
)
CONSENT = Takes(
    {
        "title": "Consent",
        "type": "object",
        "required": ["proof"],
        "properties": {
            "proof": _TEXT,
            "action": {"type": "string", "enum": ["sign-in", "sign-out", "allow", "deny"]},
            "email": _TEXT,
            "password": _TEXT,
        },
    },
    {"allowed": examples.GOOD["consent"]},
)

APPS_FORM = Takes(
    {
        "title": "Apps form",
        "type": "object",
        "required": ["proof"],
        "properties": {
            "proof": _TEXT,
            "action": {"type": "string", "enum": ["sign-in", "sign-out", "revoke"]},
            "app": _TEXT,
            "email": _TEXT,
            "password": _TEXT,
        },
    },
    {"revoked": examples.GOOD["revocation"]},
)

_ACCOUNT = record(
    "Account",
    {
        "id": {"type": "string", "pattern": "^[1-9][0-9]*_[0-9a-z]{40,50}$"},
        "name": _TEXT,
        "email": _TEXT,
        "language_code": {"type": "string", "enum": list(vocabulary.LANGUAGES)},
        "created_at": _TEXT,
        "updated_at": _TEXT,
        "grouped_email_notification": _FLAG,
        "default_email_notification_frequency": _TEXT,
        "default_desktop_notification_frequency": _TEXT,
        "default_push_notification_frequency": _TEXT,
        "default_trending_email_notification_frequency": _TEXT,
        "default_trending_sms_notification_frequency": _TEXT,
        "email_subscriptions": record("Subscriptions", {"quota_exceeded": _FLAG}),
    },
    {
        "permissions": record(
            "Permissions",
            dict.fromkeys(("create_alert", "read_teammembers", "read_teamrequests", "read_quotastats"), _FLAG),
        ),
        "phone": _TEXT,
        "default_notification_phone": record("Phone", {"number": _TEXT}),
    },
)
_ENVELOPE = record(
    "Account in its envelope",
    {"account": _ACCOUNT, "_links": record("Links", {"self": record("Link", {"href": _TEXT})})},
)
_ID = "1_4wgkw0o0go4wco40wos4gww44tbrsluiajok04g4gsscw8wssk"
_AN_ACCOUNT: Json = {
    "account": {
        "id": _ID,
        "name": "John Smith",
        "email": "j.smith@mycompany.example",
        "language_code": "en",
        "created_at": "2026-11-25T14:49:37.0+00:00",
        "updated_at": "2026-11-25T14:49:37.0+00:00",
        "grouped_email_notification": False,
        "default_email_notification_frequency": "daily",
        "default_desktop_notification_frequency": "hourly",
        "default_push_notification_frequency": "hourly",
        "default_trending_email_notification_frequency": "occasionally",
        "default_trending_sms_notification_frequency": "never",
        "permissions": {
            "create_alert": True,
            "read_teammembers": True,
            "read_teamrequests": True,
            "read_quotastats": True,
        },
        "email_subscriptions": {"quota_exceeded": True},
    },
    "_links": {"self": {"href": f"/api/accounts/{_ID}"}},
}
_TIME_OR_NULL: JsonSchema = {"type": ["string", "null"]}
ACTING_APPS = Answer(
    "The apps that act for the account.",
    record(
        "Apps",
        {
            "apps": {
                "type": "array",
                "items": record(
                    "App",
                    {
                        **dict.fromkeys(("client_id", "name", "since"), _TEXT),
                        **dict.fromkeys(("last_used_at", "expires_at"), _TIME_OR_NULL),
                    },
                ),
            }
        },
    ),
    {
        "apps": [
            {
                "client_id": "1_abc",
                "name": "Report",
                "since": "2026-11-25T14:49:37.0+00:00",
                "last_used_at": None,
                "expires_at": "2026-12-25T14:49:37.0+00:00",
            }
        ]
    },
    ("Cache-Control",),
)
APP_GONE = Answer("The app does not act for the account any more.", headers=("Cache-Control",))
_HEADERS = ("Cache-Control", "ETag", "Vary")
ACCOUNT = Answer("The account.", _ENVELOPE, _AN_ACCOUNT, _HEADERS)
MADE_ACCOUNT = Answer("The account that was made.", _ENVELOPE, _AN_ACCOUNT, _HEADERS)
GONE = Answer("It is gone.", headers=("Cache-Control",))

_FREQUENCIES: JsonSchema = {
    "type": "object",
    "additionalProperties": record("Frequency", {"id": _NUMBER, "name": _TEXT, "enabled": _FLAG, "order": _NUMBER}),
}
APP_DATA = Answer(
    "The words there are.",
    record(
        "App data",
        {
            "app_languages": {"type": "object", "additionalProperties": record("App language", {"name": _TEXT})},
            "alert_languages": {
                "type": "object",
                "additionalProperties": record("Alert language", {"code": _TEXT, "name": _TEXT, "order": _NUMBER}),
            },
            "locale": _TEXT,
            **{name: _FREQUENCIES for name in vocabulary.APP_DATA if name.endswith("_frequencies")},
        },
    ),
    vocabulary.APP_DATA,
    ("Cache-Control",),
)
TOKEN = Answer(
    "The token.",
    record(
        "Token",
        {
            "access_token": {"type": "string", "pattern": "^[a-zA-Z0-9]{86}$"},
            "expires_in": _NUMBER,
            "token_type": {"type": "string", "const": "bearer"},
            "scope": {"type": "null"},
        },
    ),
    {"access_token": "N2" * 43, "expires_in": 2592000, "token_type": "bearer", "scope": None},
    ("Cache-Control", "Pragma"),
)
_OF_PAGES = (
    *("Cache-Control", "Content-Security-Policy", "Referrer-Policy", "Set-Cookie"),
    *("X-Content-Type-Options", "X-Frame-Options"),
)
PAGE = Answer("The page.", _TEXT, "<!doctype html>…", _OF_PAGES, ("text/html",))
PAGE_AGAIN = Answer("The page again, with what was wrong.", _TEXT, "<!doctype html>…", _OF_PAGES, ("text/html",))
BACK = Answer(
    "To the app, with `code` or `error`, or to the page again.",
    headers=("Cache-Control", "Location", "Referrer-Policy", "Set-Cookie"),
)
