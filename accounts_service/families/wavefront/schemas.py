"""What bodies of Wavefront look like.

https://developer.broadcom.com/xapis/operations-for-applications-rest-api/latest/
A null is an absent attribute everywhere, and `{}` an absent list: clients in
several languages write nothing in these three ways.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from marshmallow import EXCLUDE, ValidationError

from accounts_service.config import WAVEFRONT_PERMISSIONS, Settings
from accounts_service.faults import InvalidBody, Json, Kind, Missing, NotA, NotOneOf, Problem, RefusedError
from accounts_service.validation import fields
from accounts_service.validation.checks import ADDRESS, is_address
from accounts_service.validation.fields import MOST_ELEMENTS, Attribute
from accounts_service.validation.ignored import Ignored
from accounts_service.validation.json_schema import JsonSchema
from accounts_service.validation.problems import problems_of
from accounts_service.validation.schema import BodySchema

LONGEST_IDENTIFIER = 255
LONGEST_DESCRIPTION = 2000
_MOST_BYTES = 512  # of a segment of a path
SERVICE_PREFIX = "sa::"

# Words that stand where identifiers do in paths, in lower case.
RESERVED = ("user", "serviceaccount", "grant", "revoke", "deleteaccounts", "validateaccounts")
RESERVED_FOR_USERS = (*RESERVED, "admin", "invite", "deleteusers", "validateusers", ".", "..")

# What cannot stand in a path, or not be seen there.
_NEVER = r"\x00-\x1f\x7f-\xa0\u2028\u2029\ufeff/\\"
_UNFIT = rf"{_NEVER}\x20"
_ANY_TEXT = rf"[^{_UNFIT}](?:[^{_NEVER}]*[^{_UNFIT}])?"
_ANY = re.compile(rf"(?:{_ANY_TEXT})\Z")
# In JSON Schema a pattern has no flag for case.
# Nor for the two letters that fold to an ASCII one: the long s and the Kelvin sign.
_OTHERS = {"s": "\u017f", "k": "\u212a"}
_WORDS = "|".join(
    "".join(f"[{c}{c.upper()}{_OTHERS.get(c, '')}]" if c.isalpha() else re.escape(c) for c in word)
    for word in RESERVED_FOR_USERS
)
_USER = rf"(?!(?:{_WORDS})$)(?![sS\u017f][aA]::){_ANY_TEXT}"
_ANY_USER = re.compile(rf"(?:{_USER})\Z")
_ADDRESS = rf"(?=[^{_UNFIT}]*$){ADDRESS}"
_SERVICE = rf"(?![sS][aA]::$)(?:[sS][aA]::)?[^{_UNFIT}]{{1,250}}"
_SERVICE_NAME = re.compile(rf"(?:{_SERVICE})\Z")


class UserIdentifier(Attribute[str]):
    """Who a user is: an e-mail address, or where the installation allows it any text that fits into a path."""

    def __init__(self, *, any_text: bool = False) -> None:
        super().__init__(required=True)
        self._any_text = any_text

    def accept(self, value: Json) -> str:
        """Return what is kept of `value`, or raise `flawed`."""
        # The length first: whoever sends a million characters does not get them matched.
        if not isinstance(value, str) or not self._fits(value):
            raise self.flawed(NotA(Kind.IDENTIFIER if self._any_text else Kind.EMAIL_ADDRESS), value)
        return value

    def _fits(self, value: str) -> bool:
        if len(value) > LONGEST_IDENTIFIER or len(value.encode()) > _MOST_BYTES or not _ANY.match(value):
            return False
        if self._any_text:
            return _ANY_USER.match(value) is not None
        return is_address(value)

    def taken(self) -> JsonSchema:
        """Say in JSON Schema what `accept` takes."""
        pattern = _USER if self._any_text else _ADDRESS
        return {"type": "string", "pattern": f"^{pattern}$", "maxLength": LONGEST_IDENTIFIER}

    def kept(self) -> JsonSchema:
        """Say in JSON Schema what `accept` returns."""
        return {"type": "string"}


class ServiceIdentifier(Attribute[str]):
    """Who a service account is: a name after `sa::`, which is put before it where it is missing; in lower case."""

    def __init__(self) -> None:
        super().__init__(required=True)

    def accept(self, value: Json) -> str:
        """Return what is kept of `value`, or raise `flawed`."""
        if isinstance(value, str) and len(value) <= LONGEST_IDENTIFIER and _SERVICE_NAME.match(value):
            identifier = service_identifier(value)
            if len(identifier.encode()) <= _MOST_BYTES:
                return identifier
        raise self.flawed(NotA(Kind.IDENTIFIER), value)

    def taken(self) -> JsonSchema:
        """Say in JSON Schema what `accept` takes."""
        return {"type": "string", "pattern": f"^{_SERVICE}$", "maxLength": LONGEST_IDENTIFIER}

    def kept(self) -> JsonSchema:
        """Say in JSON Schema what `accept` returns."""
        return {"type": "string"}


def service_identifier(name: str) -> str:
    """Write the identifier of the service account that is called `name`."""
    return SERVICE_PREFIX + name.lower().removeprefix(SERVICE_PREFIX)


def _permissions(*, required: bool = False) -> fields.Listed:
    # What the oldest clients sent besides is dropped by the server, too.
    return fields.Listed(fields.ExactChoice(*WAVEFRONT_PERMISSIONS), obsolete=("browse",), required=required)


def _ids(*, required: bool = False) -> fields.Listed:
    return fields.Listed(fields.ExactText(), required=required)


class Reference(fields.ExactText):
    """An id, or an object that has one: the Ruby SDK sends groups back as it has read them."""

    def accept(self, value: Json) -> str:
        """Return what is kept of `value`, or raise `flawed`."""
        return super().accept(value.get("id") if isinstance(value, dict) else value)

    def taken(self) -> JsonSchema:
        """Return the JSON Schema of what `accept` takes."""
        identifier = super().taken()
        return {"anyOf": [identifier, {"type": "object", "required": ["id"], "properties": {"id": identifier}}]}


def _references() -> fields.Listed:
    return fields.Listed(Reference())


class _Schema(BodySchema):
    class Meta:
        """Clients send what newer and older servers know (`ingestionPolicyId`, `Roles`, `customer`)."""

        unknown = EXCLUDE

    def check(self, document: Json) -> dict[str, Any]:
        """Return the attributes of `document`; nothing has none, and what is no object is refused."""
        if document is not None and not isinstance(document, dict):
            raise RefusedError(InvalidBody((Problem(("body",), NotA(Kind.OBJECT)),)))
        return super().check(document)


class UserToCreateSchema(_Schema):
    """A user to be made. What the manual requires and the server does not is left out of account with `partial`."""

    emailAddress = UserIdentifier()  # noqa: N815  # the API's name
    groups = _permissions(required=True)
    userGroups = _ids(required=True)  # noqa: N815  # the API's name
    roles = _ids()


class AnyUserToCreateSchema(UserToCreateSchema):
    """A user to be made, whose identifier may be any text."""

    emailAddress = UserIdentifier(any_text=True)  # noqa: N815  # the API's name


class UserRequestSchema(_Schema):
    """A user to be changed. Who it is stands in the path; a password in `credential` is of no use here."""

    echoed: ClassVar[frozenset[str]] = frozenset(
        ("identifier", "customer", "lastSuccessfulLogin", "unitedRoles", "unitedPermissions")
    )

    groups = _permissions()
    userGroups = _references()  # noqa: N815  # the API's name
    roles = _references()
    ssoId = fields.ExactText()  # noqa: N815  # the API's name


class ServiceAccountUpdateSchema(_Schema):
    """A service account to be changed. Its tokens have routes of their own; what is sent of them is not looked at."""

    echoed: ClassVar[frozenset[str]] = frozenset(
        ("identifier", "tokens", "lastUsed", "unitedRoles", "unitedPermissions")
    )

    active = fields.Flag()
    description = fields.ExactText(line=False, longest=LONGEST_DESCRIPTION)
    groups = _permissions()
    userGroups = _references()  # noqa: N815  # the API's name
    roles = _references()


class ServiceAccountSchema(ServiceAccountUpdateSchema):
    """A service account to be made."""

    identifier = ServiceIdentifier()


class UserGroupUpdateSchema(_Schema):
    """A user group to be changed."""

    # The vendor's Go client always sends `Roles`, and `roles` is what answers show; neither changes anything.
    echoed: ClassVar[frozenset[str]] = frozenset(
        ("id", "customer", "properties", "users", "userCount", "roles", "Roles", "roleCount", "createdEpochMillis")
    )

    name = fields.ExactText(filled=True)
    description = fields.ExactText(line=False, longest=LONGEST_DESCRIPTION)
    roleIDs = _ids()  # noqa: N815  # the API's name


class UserGroupSchema(UserGroupUpdateSchema):
    """A user group to be made."""

    name = fields.ExactText(filled=True, required=True)


class RoleUpdateSchema(_Schema):
    """A role to be changed."""

    echoed: ClassVar[frozenset[str]] = frozenset(
        (
            *("id", "customer", "properties", "restrictedPermissions", "createdEpochMillis", "lastUpdatedMs"),
            *("lastUpdatedAccountId", "sampleLinkedGroups", "linkedGroupsCount"),
            *("sampleLinkedAccounts", "linkedAccountsCount"),
        )
    )

    name = fields.ExactText(filled=True)
    description = fields.ExactText(line=False, longest=LONGEST_DESCRIPTION)
    permissions = _permissions()


class RoleSchema(RoleUpdateSchema):
    """A role to be made."""

    name = fields.ExactText(filled=True, required=True)


_OF_TOKENS = frozenset(("tokenID", "account", "accountType", "dateGenerated", "lastUsed"))


class TokenNameSchema(_Schema):
    """What a token is to be called."""

    echoed: ClassVar[frozenset[str]] = _OF_TOKENS

    tokenName = fields.ExactText()  # noqa: N815  # the API's name


class TokenSchema(_Schema):
    """Which token is meant."""

    echoed: ClassVar[frozenset[str]] = _OF_TOKENS | {"tokenName"}

    tokenID = fields.ExactText(required=True, secret=True)  # noqa: N815  # the API's name


class ConditionSchema(_Schema):
    """What one attribute of those that are looked for has to be."""

    key = fields.ExactText(required=True)
    value = fields.ExactText(required=True)
    matchingMethod = fields.ExactChoice("CONTAINS", "STARTSWITH", "EXACT", "TAGPATH", otherwise="CONTAINS")  # noqa: N815  # the API's name


class SortSchema(_Schema):
    """By what the found are ordered."""

    # Answers say with it that nobody asked for an order.
    echoed: ClassVar[frozenset[str]] = frozenset(("default",))

    field = fields.ExactText(required=True)
    ascending = fields.Flag(required=True)


class FacetSchema(_Schema):
    """Which values of an attribute to list."""

    # The conditions are checked by themselves.
    echoed: ClassVar[frozenset[str]] = frozenset(("query",))

    facetQuery = fields.ExactText()  # noqa: N815  # the API's name
    facetQueryMatchingMethod = fields.ExactChoice(  # noqa: N815  # the API's name
        "CONTAINS", "STARTSWITH", "EXACT", "TAGPATH", otherwise="CONTAINS"
    )
    offset = fields.WholeNumber(low=0, high=2**31 - 1)
    limit = fields.WholeNumber(low=1, high=MOST_ELEMENTS)


class FacetsSchema(FacetSchema):
    """The values of which attributes to list, from the first of each on."""

    class Meta:
        """They have no common offset."""

        exclude = ("offset",)
        unknown = EXCLUDE

    facets = fields.Listed(fields.ExactText(), required=True)


class PartSchema(_Schema):
    """Which part of what is found to give."""

    # In a search they are next to it.
    echoed: ClassVar[frozenset[str]] = frozenset(("query", "sort"))

    offset = fields.WholeNumber(low=0, high=2**31 - 1)
    limit = fields.WholeNumber(low=1, high=MOST_ELEMENTS)


USER_REQUEST = UserRequestSchema()
SERVICE_ACCOUNT = ServiceAccountSchema()
SERVICE_ACCOUNT_UPDATE = ServiceAccountUpdateSchema()
USER_GROUP = UserGroupSchema()
USER_GROUP_UPDATE = UserGroupUpdateSchema()
ROLE = RoleSchema()
ROLE_UPDATE = RoleUpdateSchema()
TOKEN_NAME = TokenNameSchema()
TOKEN = TokenSchema()
CONDITION = ConditionSchema()
SORT = SortSchema()
PART = PartSchema()
FACET = FacetSchema()
FACETS = FacetsSchema()

_NOT_ENFORCED = ("groups", "userGroups")

# By what the installation asks for: whether any identifier will do, and whether the manual is taken at its word.
_USERS_TO_CREATE = {
    (any_text, strict): kind(partial=() if strict else _NOT_ENFORCED)
    for any_text, kind in ((False, UserToCreateSchema), (True, AnyUserToCreateSchema))
    for strict in (False, True)
}
USER_TO_CREATE = _USERS_TO_CREATE[False, False]


def user_to_create(settings: Settings) -> UserToCreateSchema:
    """Give the schema of users as the installation takes them."""
    return _USERS_TO_CREATE[settings.wavefront_identifiers == "any", settings.wavefront_strict_required]


def users_to_create(document: Json, settings: Settings) -> list[dict[str, Any]]:
    """Check a body of several users to be made, of which there has to be one. Raises RefusedError(InvalidBody)."""
    users = user_to_create(settings).each(document, most=MOST_ELEMENTS, attribute="users")
    if not users:
        raise RefusedError(InvalidBody((Problem(("users",), Missing()),)))
    return users


def flag(name: str, text: str) -> bool:
    """Check a flag of a query string, in any case; it is off where nothing stands. Raises RefusedError(InvalidBody)."""
    fields.require_choice(name, text or "false", ("true", "false"))
    return text.lower() == "true"


def identifiers(document: Json) -> list[str]:
    """Check a body that is a list of ids; nothing and `{}` are the empty one, and none comes twice.

    Raises RefusedError(InvalidBody) with every problem.
    """
    if document is None or document == {}:
        return []
    try:
        return IDENTIFIERS.accept(document)
    except ValidationError as error:
        problems = (replace(problem, path=("ids", *problem.path)) for problem in problems_of(error))
        raise RefusedError(InvalidBody(tuple(problems))) from None


IDENTIFIERS = _ids()


def some_identifiers(document: Json) -> list[str]:
    """Check a body that is a list of ids, of which there has to be one. Raises RefusedError(InvalidBody)."""
    found = identifiers(document)
    if not found:
        raise RefusedError(InvalidBody((Problem(("ids",), Missing()),)))
    return found


@dataclass(frozen=True, slots=True)
class Looked:
    """A checked search: conditions as key, value and method, the part to give, and the order if one is asked for."""

    conditions: list[dict[str, str]]
    offset: int
    limit: int
    sort: str | None
    ascending: bool


def search(document: Json) -> Looked:
    """Check the body of a search. Raises RefusedError(InvalidBody) with every problem."""
    if document is not None and not isinstance(document, dict):
        raise RefusedError(InvalidBody((Problem(("body",), NotA(Kind.OBJECT)),)))
    asked = document or {}
    order = asked.get("sort")
    problems: list[Problem] = []
    conditions: list[dict[str, str]] = []
    part: dict[str, int] = {}
    sort: dict[str, str | bool] = {}
    try:
        conditions = CONDITION.each(asked.get("query"), most=MOST_CONDITIONS, attribute="query")
    except RefusedError as error:
        problems += _problems(error)
    try:
        part = PART.check(asked)
    except RefusedError as error:
        problems += _problems(error)
    try:
        sort = {} if order is None else SORT.check(order)
    except RefusedError as error:
        problems += [replace(problem, path=("sort", *problem.path)) for problem in _problems(error)]
    if problems:
        raise RefusedError(InvalidBody(tuple(problems)))
    field = sort.get("field")
    return Looked(
        conditions,
        part.get("offset", 0),
        part.get("limit", PAGE),
        # What our own answers call the order that nobody asked for.
        None if field in (None, "default") else str(field),
        bool(sort.get("ascending", True)),
    )


def ignored_in_search(document: Json, _: Mapping[str, str]) -> Iterator[Ignored]:
    """Return the attributes of a search that are ignored."""
    if not isinstance(document, dict):
        return
    yield from PART.ignored(document)
    yield from SORT.ignored(document.get("sort"), ("sort",))
    yield from CONDITION.ignored_in_each(document.get("query"), "query")


def ignored_in_users(document: Json, _: Mapping[str, str]) -> Iterator[Ignored]:
    """Return the attributes of several users to be made that are ignored."""
    return USER_TO_CREATE.ignored_in_each(document, "users")


def ignored_in_form(document: Json, _: Mapping[str, str]) -> Iterator[Ignored]:
    """Return the fields of a form that are ignored; there is one that is not."""
    return (
        Ignored((name,), ("group",)) for name in (document if isinstance(document, dict) else ()) if name != "group"
    )


@dataclass(frozen=True, slots=True)
class LookedFor:
    """A checked search for facets. `attributes`: those of its schema."""

    conditions: list[dict[str, str]]
    attributes: dict[str, Any]


def ignored_in_facet_search(schema: BodySchema, document: Json) -> Iterator[Ignored]:
    """Return the attributes of a search for facets that are ignored."""
    if isinstance(document, dict):
        yield from schema.ignored(document)
        yield from CONDITION.ignored_in_each(document.get("query"), "query")


def facet_search(document: Json, schema: BodySchema) -> LookedFor:
    """Check the body of a search for facets. Raises RefusedError(InvalidBody) with every problem."""
    problems: list[Problem] = []
    conditions: list[dict[str, str]] = []
    attributes: dict[str, Any] = {}
    try:
        attributes = schema.check(document)
    except RefusedError as error:
        problems += _problems(error)
    try:
        asked = document.get("query") if isinstance(document, dict) else None
        conditions = CONDITION.each(asked, most=MOST_CONDITIONS, attribute="query")
    except RefusedError as error:
        problems += _problems(error)
    if problems:
        raise RefusedError(InvalidBody(tuple(problems)))
    return LookedFor(conditions, attributes)


def _problems(error: RefusedError) -> tuple[Problem, ...]:
    return error.fault.problems if isinstance(error.fault, InvalidBody) else ()


# As many a search may have; each is a look-up of its own.
MOST_CONDITIONS = 8
# So many a page has when nobody says how many.
PAGE = 100


def part(offset: str | None, limit: str | None) -> tuple[int, int]:
    """Check the `offset` and `limit` of a query string. Raises RefusedError(InvalidBody) with every problem."""
    sent = {"offset": offset, "limit": limit}
    numbers: dict[str, Json] = {
        name: int(text) if re.fullmatch(r"-?[0-9]{1,18}", text) else text
        for name, text in sent.items()
        if text is not None
    }
    checked = PART.check(numbers)
    return checked.get("offset", 0), checked.get("limit", PAGE)


# What a replacing request means by leaving an attribute out or sending null. Go's clients omit empty values, so that
# their body is the whole state; what no client sends (the roles of an account, the permissions of a role) stays.
EMPTY_USER: Mapping[str, Any] = {"groups": [], "userGroups": []}
EMPTY_SERVICE_ACCOUNT: Mapping[str, Any] = {**EMPTY_USER, "description": ""}
EMPTY_ROLE: Mapping[str, Any] = {"description": ""}


@dataclass(frozen=True, slots=True)
class Replacement:
    """A checked body that replaces an object. `filled`: the names of attributes that were left out, and are empty."""

    attributes: dict[str, Any]
    filled: frozenset[str]


def replacement(schema: BodySchema, document: Json, empty: Mapping[str, Any]) -> Replacement:
    """Check a body that replaces an object: what it leaves out of `empty` is that.

    A body without any attribute is none of such a client, and leaves everything as it is.
    Raises RefusedError(InvalidBody) with every problem.
    """
    attributes = schema.check(document)
    filled = {name: value for name, value in empty.items() if document and name not in attributes}
    return Replacement({**attributes, **filled}, frozenset(filled))


def permission(name: str) -> str:
    """Check a permission that stands in a path or a form. Raises RefusedError(InvalidBody)."""
    if name not in WAVEFRONT_PERMISSIONS:
        raise RefusedError(InvalidBody((Problem(("permission",), NotOneOf(WAVEFRONT_PERMISSIONS), name),)))
    return name
