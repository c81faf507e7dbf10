"""What a route says of itself for the reader of its API; web/openapi.py makes documents from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from accounts_service.faults import Json
from accounts_service.validation.ignored import Ignored
from accounts_service.validation.json_schema import JsonSchema
from accounts_service.validation.schema import BodySchema


@dataclass(frozen=True, slots=True)
class Term:
    """What a name in a path, a query or a header means."""

    sentence: str
    schema: JsonSchema = field(default_factory=lambda: {"type": "string"})


# From a body and the arguments of the path to what is ignored of it.
Ignores: TypeAlias = Callable[[Json, Mapping[str, str]], Iterable[Ignored]]


def ignored_by(schema: BodySchema) -> Ignores:
    """Return what finds the attributes that `schema` ignores, where the body is as the schema has it."""
    return lambda document, _: schema.ignored(document)


@dataclass(frozen=True, slots=True)
class Takes:
    """The body a route takes, and one good one of each kind by name. `needed`: a request without one is refused.

    `ignores` finds the attributes of a body that the route ignores, of which the
    caller is told (web/ignored.py); None where it refuses what it does not know,
    or where a body has no attributes.
    """

    schema: JsonSchema
    examples: Mapping[str, Json]
    needed: bool = True
    ignores: Ignores | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a route answers when all is well; without a schema there is no body."""

    sentence: str
    schema: JsonSchema | None = None
    example: Json = None
    headers: tuple[str, ...] = ()
    media_types: tuple[str, ...] = ("application/json",)


# What sg_authc.yml may ask for, so the same wherever a family asks its domains.
SCHEMES: Mapping[str, JsonSchema] = {
    "basic": {"type": "http", "scheme": "basic", "description": "Where sg_authc.yml has a domain for passwords."},
    "bearer": {"type": "http", "scheme": "bearer", "description": "Where sg_authc.yml has a domain for tokens."},
}

# Headers, of requests and answers, that mean the same in every family.
HEADERS: Mapping[str, Term] = {
    "Accept-Encoding": Term("The content codings that a body may have (RFC 9110 section 12.5.3)."),
    "Accept-Patch": Term("How a patch is to be announced."),
    "Accounts-Ignored": Term(
        "The attributes of the body that were ignored, for example `enable_tsl, pasword`: a list (RFC 9651) of tokens, "
        "of strings for other names, and of display strings beyond ASCII; at most 20, then `*;more=N`. Not there where "
        "nothing was ignored, or only what clients are known to send."
    ),
    "Allow": Term("The methods there are."),
    "Cache-Control": Term("Who may keep the answer."),
    "Content-Security-Policy": Term("What the page may load."),
    "ETag": Term("The version, and the form in which it is shown, to be named in If-Match and If-None-Match."),
    "Idempotency-Key": Term(
        "A name for this change, of 1 to 255 visible ASCII characters: sent again within a day with the same body, it "
        "is not done again but answered as before (draft-ietf-httpapi-idempotency-key-header-07). What changes nothing "
        "is answered anew.",
        {"type": "string", "pattern": r'^([!#-~][!-~]{0,254}|"([!#-\[\]-~]|\\["\\]){1,255}")$'},
    ),
    "Idempotency-Replayed": Term("`true`: nothing was done; it is the answer to an earlier request with this key."),
    "If-Match": Term("Go on only if the object has this version, or with `*` any (RFC 9110 section 13.1.1)."),
    "If-None-Match": Term("Go on only if the object has not this version, or with `*` none (RFC 9110 section 13.1.2)."),
    "Location": Term("Where to go on."),
    "Pragma": Term("`no-cache`, for who knows no Cache-Control."),
    "Referrer-Policy": Term("What other pages learn of this one."),
    "Retry-After": Term("Seconds after which to ask again.", {"type": "integer", "minimum": 0}),
    "Set-Cookie": Term("What the browser keeps, sealed."),
    "Vary": Term("The request's headers that make another answer."),
    "WWW-Authenticate": Term("How to say who one is."),
    "X-Content-Type-Options": Term("`nosniff`: the media type is the one that is named."),
    "X-Elastic-Product": Term("`Elasticsearch`: its clients refuse an answer without it."),
    "X-Frame-Options": Term("`DENY`: the page stands in no other."),
    "X-Rate-Limit-Reset": Term("When one may try again, in seconds since the epoch.", {"type": "integer"}),
    "X-Status-Message": Term("What was left out of a request that was carried out."),
    "X-Request-ID": Term(
        "The request's id in answers, logs and the audit trail. One that is sent is taken if it has 8 to 64 letters, "
        "digits, `-` or `_`; else there is a new one."
    ),
}
