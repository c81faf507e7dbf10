"""Everything that can be wrong with a request, as values.

A fault says *what* is wrong and carries the data to say it with; how it is
worded (status, body, headers) is decided by the dialect of the family that was
asked. The union is closed: a dialect is one `match` over it that ends in
`assert_never`, so a new fault that a family does not word fails the type check.

This module imports nothing of the project.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


# -- What is wrong with one attribute of a body -------------------------------


class Kind(Enum):
    """What an attribute should have been."""

    TEXT = "text"
    NUMBER = "number"
    FLAG = "flag"
    URI = "uri"
    EMAIL_ADDRESS = "e-mail address"
    WEB_ADDRESS = "web address"
    OBJECT = "object"
    HEADER_NAME = "header name"
    HEADER_VALUE = "header value"
    LIST = "list"
    LINE = "line of text"
    PHONE = "phone number"
    IDENTIFIER = "identifier"
    WORD = "text without white space at its ends"


@dataclass(frozen=True, slots=True)
class Missing:
    """A required attribute is absent (or null)."""


@dataclass(frozen=True, slots=True)
class NotA:
    """The value is not of the kind the attribute wants."""

    kind: Kind


@dataclass(frozen=True, slots=True)
class OutOfRange:
    """A number outside `low`..`high` (both included), or not a whole one where only these count."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class TooMany:
    """A list of more than `most` elements; they were not looked at."""

    most: int


@dataclass(frozen=True, slots=True)
class TooLong:
    """A text of more than `most` characters."""

    most: int


@dataclass(frozen=True, slots=True)
class NotOneOf:
    """The value is none of the choices."""

    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unfit:
    """The value is of the right kind, and a rule of the attribute's family that has this name is against it."""

    rule: str


@dataclass(frozen=True, slots=True)
class NeededBy:
    """An optional attribute is absent, but `attribute` is given and needs it."""

    attribute: str


@dataclass(frozen=True, slots=True)
class NotKnown:
    """There is no attribute of this name. `meant` is one with a similar name, if there is one."""

    meant: str | None = None


@dataclass(frozen=True, slots=True)
class StaleReference:
    """A secret reference that is not that of the stored secret (or nothing is stored)."""


@dataclass(frozen=True, slots=True)
class DestinationChanged:
    """A stored secret would be kept while `attributes`, which decide who gets to see it, change."""

    attributes: tuple[str, ...]


Flaw: TypeAlias = (
    Missing
    | NotA
    | OutOfRange
    | TooMany
    | TooLong
    | NotOneOf
    | Unfit
    | NeededBy
    | NotKnown
    | StaleReference
    | DestinationChanged
)


@dataclass(frozen=True, slots=True)
class Problem:
    """One flaw of a body: where, what, and the value that was sent (`None` for a secret)."""

    path: tuple[str | int, ...]
    flaw: Flaw
    value: Json = None


# -- What is wrong with a request ---------------------------------------------


@dataclass(frozen=True, slots=True)
class NotAuthenticated:
    """Nobody, or nobody we know. `challenges`: the WWW-Authenticate values to offer, in order."""

    challenges: tuple[str, ...] = ()


class TokenFlaw(Enum):
    """What is wrong with a token that somebody came with."""

    UNKNOWN = "nobody's"
    EXPIRED = "too old"
    TWICE = "sent by two ways at once"


@dataclass(frozen=True, slots=True)
class TokenRefused:
    """Somebody came with a token that lets nobody in, where callers are told why."""

    flaw: TokenFlaw


@dataclass(frozen=True, slots=True)
class TooManyAttempts:
    """The caller has tried too often. `reset_s`: when he may again, in seconds since the epoch; `wait_s`: till then."""

    reset_s: int
    wait_s: int


class GrantFlaw(Enum):
    """Why an OAuth client gets no token, or no page (RFC 6749)."""

    GRANT_TYPE = "there is one type of grant, and it must be named"
    CLIENT = "the client is not known, or its secret is wrong"
    NO_CODE = "the code is missing"
    CODE = "the code is not known, was used, or is another client's"
    CODE_EXPIRED = "the code has expired"
    VERIFIER = "the code was asked for with a challenge, and the verifier does not meet it"
    REDIRECT = "the redirect URI is missing, or not one that the client registered"
    REPEATED = "a parameter stands twice"
    NO_CLIENT_ID = "no client is named"


@dataclass(frozen=True, slots=True)
class GrantRefused:
    """An OAuth client gets no token, or its user no page."""

    flaw: GrantFlaw


@dataclass(frozen=True, slots=True)
class NotPermitted:
    """The caller lacks the privilege."""


@dataclass(frozen=True, slots=True)
class ForbiddenHeader:
    """A header that only the service itself may set."""


@dataclass(frozen=True, slots=True)
class BadOrigin:
    """The proxy's header that names the original client cannot be read."""

    header: str


@dataclass(frozen=True, slots=True)
class NoSuchRoute:
    """No route at this path."""

    method: str
    uri: str


@dataclass(frozen=True, slots=True)
class MethodNotAllowed:
    """The path exists, the method does not."""

    method: str
    uri: str
    allowed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BadPath:
    """The path is not what an identifier may look like: see web/dispatcher.py."""

    reason: str


@dataclass(frozen=True, slots=True)
class UnknownParameters:
    """Query parameters that the route does not take."""

    path: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BadParameter:
    """A query parameter that the route takes, with a value that it does not. `reason` never repeats the value."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class BadHeader:
    """A header that cannot be read. `reason` never repeats what was sent."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class UnexpectedBody:
    """A body where none is read."""

    method: str
    path: str


@dataclass(frozen=True, slots=True)
class UnsupportedMediaType:
    """The body is not JSON in UTF-8."""


@dataclass(frozen=True, slots=True)
class UnsupportedCoding:
    """The body has a content coding that is not decoded here (RFC 9110 section 8.4).

    `coding` is the one that was sent, `accepted` the value of the answer's Accept-Encoding.
    """

    coding: str
    accepted: str


@dataclass(frozen=True, slots=True)
class BodyTooLarge:
    """More bytes than `limit`."""

    limit: int


@dataclass(frozen=True, slots=True)
class BodyTooSlow:
    """The body did not arrive in time."""


@dataclass(frozen=True, slots=True)
class EmptyBody:
    """A body was announced as JSON and has no bytes."""


@dataclass(frozen=True, slots=True)
class MalformedBody:
    """Not the JSON we accept. `reason` never repeats what was sent."""

    reason: str
    line: int | None = None
    column: int | None = None


@dataclass(frozen=True, slots=True)
class InvalidBody:
    """JSON, but not this document: all its problems, in the schema's order."""

    problems: tuple[Problem, ...]


class QueryFlaw(Enum):
    """What kind of thing is wrong with a query."""

    PARSING = "not in the language of queries"
    ILLEGAL_ARGUMENT = "not possible, or not borne"


@dataclass(frozen=True, slots=True)
class QueryProblem:
    """One flaw of a query. `reason` names what was sent, and never repeats a value."""

    kind: QueryFlaw
    reason: str


@dataclass(frozen=True, slots=True)
class BadQuery:
    """A search that makes no sense: all its problems, in the order in which they were met."""

    problems: tuple[QueryProblem, ...]


@dataclass(frozen=True, slots=True)
class NoSuchScroll:
    """What should say how a search goes on does not: made up, too old, or somebody else's."""


@dataclass(frozen=True, slots=True)
class NoSuchObject:
    """What the path names does not exist. `identifier` is written as it was asked for."""

    method: str
    identifier: str


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """What the path names is several objects: `choices`, each as it can be asked for."""

    identifier: str
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InUse:
    """Something refers to the object, so it stays.

    `count`: how many users it has, where that is known; `referrers`: those of
    them that the caller may see.
    """

    count: int = 0
    referrers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AlreadyExists:
    """Something of that name is there already, and is not to be changed by this request."""

    identifier: str


@dataclass(frozen=True, slots=True)
class AnswerTooLarge:
    """The answer would have more bytes, or tell of more objects, than one may."""


@dataclass(frozen=True, slots=True)
class QuotaExceeded:
    """The change would store more than `most` of `unit` for `whose`: a tenant, the global scope or a principal."""

    whose: str
    unit: str
    most: int

    @property
    def sentence(self) -> str:
        """The refusal in words, the same in every family."""
        return f"The {self.whose} would have more than {self.most} {self.unit} stored; delete some, or ask the operator"


class Rule(Enum):
    """What is never done, whoever asks for it."""

    SINGLE_SIGN_ON = "users come from the identity provider alone"
    OWN_ACCOUNT = "nobody deletes his own account"
    NOT_FOR_SERVICE_ACCOUNTS = "service accounts do not get this permission"
    SYSTEM_GROUP = "a system group keeps its name and its members, and stays"
    TOO_MANY_TOKENS = "an account has so many tokens at most"
    NO_KNOWN_ASSIGNEE = "none of those who are named exists"
    BLOCKED = "the caller is blocked"
    PENDING = "the caller waits for approval"
    ANOTHER_ACCOUNT = "the caller belongs to another account"
    OWNERS_ONLY = "only its owner deletes an account"
    ADMINISTRATORS_ONLY = "this is for administrators, and for oneself"
    ONESELF = "nobody does this to himself"
    OWNER_ROLE = "the role of the owner is the owner's to give, and an owner stays one"
    OWNER_STAYS = "an owner is not deleted, and not blocked"
    NO_INVITATIONS = "users come by logging in; nobody is invited"
    TOO_MANY_SERVICE_USERS = "an account has so many service users at most"
    NOT_A_PERSON = "this is for people, not for service users"
    OWN_MANAGEMENT = "a caller does not give up managing accounts by leaving a list out"
    NOT_PENDING = "the user does not wait for approval"
    NO_INVITE_LINKS = "invite links need an identity provider of the service's own"
    NO_PASSWORDS = "passwords belong to the identity provider"


@dataclass(frozen=True, slots=True)
class AgainstTheRules:
    """What is asked for makes sense and is never done. `subject`: what it would have been done to, or with."""

    rule: Rule
    subject: str = ""


@dataclass(frozen=True, slots=True)
class PrivateTenant:
    """The private tenant of a user is asked for, and there is none."""


@dataclass(frozen=True, slots=True)
class PreconditionFailed:
    """If-Match or If-None-Match does not hold (RFC 9110 section 13)."""


@dataclass(frozen=True, slots=True)
class PreconditionRequired:
    """A change without If-Match or If-None-Match where the installation wants one (RFC 6585 section 3)."""


@dataclass(frozen=True, slots=True)
class KeyReused:
    """The Idempotency-Key came before, with another body (draft-ietf-httpapi-idempotency-key-header-07)."""


@dataclass(frozen=True, slots=True)
class StillRunning:
    """A request with this Idempotency-Key is not answered yet. `retry_after` in seconds."""

    retry_after: int = 1


@dataclass(frozen=True, slots=True)
class SecretUnreadable:
    """A stored secret does not open. `key`: the key that it needs and the keys file lacks; None when it is damaged.

    An administrator can bring the key back, so it is an outage. `retry_after` in seconds.
    """

    key: str | None = None
    retry_after: int = 60

    @property
    def reason(self) -> str:
        """Say for an administrator what is the matter."""
        if self.key is None:
            return "a stored secret is damaged"
        return f"a stored secret needs the key {self.key}, which is not in the keys file"


@dataclass(frozen=True, slots=True)
class Overloaded:
    """More than can be borne now; nothing was done. `retry_after` in seconds."""

    retry_after: int = 1


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Something we stand on is away. A write's outcome may be unknown. `retry_after` in seconds.

    It grows while an outage lasts: storage/outage.py.
    """

    retry_after: int = 1


@dataclass(frozen=True, slots=True)
class Internal:
    """A bug of ours. Says nothing but the request id."""

    request_id: str


Fault: TypeAlias = (
    NotAuthenticated
    | NotPermitted
    | TokenRefused
    | TooManyAttempts
    | GrantRefused
    | ForbiddenHeader
    | BadOrigin
    | NoSuchRoute
    | MethodNotAllowed
    | BadPath
    | UnknownParameters
    | BadParameter
    | BadHeader
    | UnexpectedBody
    | UnsupportedMediaType
    | UnsupportedCoding
    | BodyTooLarge
    | BodyTooSlow
    | EmptyBody
    | MalformedBody
    | InvalidBody
    | BadQuery
    | NoSuchScroll
    | NoSuchObject
    | Ambiguous
    | InUse
    | AlreadyExists
    | AnswerTooLarge
    | QuotaExceeded
    | AgainstTheRules
    | PrivateTenant
    | PreconditionFailed
    | PreconditionRequired
    | KeyReused
    | StillRunning
    | SecretUnreadable
    | Overloaded
    | Unavailable
    | Internal
)


class RefusedError(Exception):
    """Raised anywhere below a view; `fault` is answered in the family's words."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(type(fault).__name__)
        self.fault = fault
