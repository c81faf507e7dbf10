"""What accounts of Mention look like, and what may be said in them.

Members that nobody knows, and those that only the server writes, are passed
over: a fetched account may be sent back whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

from marshmallow import EXCLUDE, ValidationError
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from accounts_service.families.mention.schemas.vocabulary import LANGUAGES
from accounts_service.faults import InvalidBody, Json, Kind, Missing, NotA, Problem, RefusedError, TooLong, Unfit
from accounts_service.validation import fields
from accounts_service.validation.checks import ADDRESS, is_address
from accounts_service.validation.fields import Attribute
from accounts_service.validation.ignored import Ignored
from accounts_service.validation.json_schema import JsonSchema
from accounts_service.validation.problems import flawed
from accounts_service.validation.schema import BodySchema

_SHORTEST_EMAIL, _LONGEST_EMAIL = 2, 255
LONGEST_PASSWORD = 4096

# Rules; the words are the dialect's.
EMAIL_LENGTH, EMAIL_TAKEN, LANGUAGE = "email.length", "email.taken", "language_code"
TOO_SHORT, NO_LETTER, NO_FIGURE, COMMON = "password.short", "password.letter", "password.figure", "password.common"
WRONG_PASSWORD = "old_password.wrong"  # noqa: S105  # the name of a rule
SHORTEST = {"documented": 6, "nist": 15}

_COMMON = frozenset(FREQUENCY_LISTS["passwords"])


def password_flaws(password: str, policy: str) -> list[str]:
    """Name the rules that are against a password, all of them.

    `documented`: https://dev.mention.com/current/src/account/PutAccount.html;
    `nist`: NIST SP 800-63B section 3.1.1.2, which wants length and no blend of
    characters, and passwords refused that many have.
    """
    found = [TOO_SHORT] if len(password) < SHORTEST[policy] else []
    if policy == "nist":
        return found + ([COMMON] if password.lower() in _COMMON else [])
    if not any(character.isalpha() for character in password):
        found.append(NO_LETTER)
    if not any(character.isdecimal() for character in password):
        found.append(NO_FIGURE)
    return found


class Name(fields.ExactText):
    """A name: a line with something in it."""

    def accept(self, value: Json) -> str:
        """Return what is kept of `value`, or raise `flawed`."""
        name = super().accept(value)
        if not name.strip():
            raise flawed(Missing())
        return name

    def taken(self) -> JsonSchema:
        """Say in JSON Schema what `accept` takes."""
        return {**super().taken(), "minLength": 1, "not": {"pattern": r"^\s*$"}}


class Email(Attribute[str]):
    """An e-mail address of 2 to 255 characters."""

    def accept(self, value: Json) -> str:
        """Return what is kept of `value`, or raise `flawed`."""
        if not isinstance(value, str):
            raise self.flawed(NotA(Kind.TEXT), value)
        if not value:
            raise flawed(Missing())
        if not _SHORTEST_EMAIL <= len(value) <= _LONGEST_EMAIL:
            raise flawed(Unfit(EMAIL_LENGTH))
        if not is_address(value):
            raise self.flawed(NotA(Kind.EMAIL_ADDRESS), value)
        return value

    def taken(self) -> JsonSchema:
        """Say in JSON Schema what `accept` takes."""
        return {
            "type": "string",
            "pattern": f"^{ADDRESS}$",
            "minLength": _SHORTEST_EMAIL,
            "maxLength": _LONGEST_EMAIL,
        }


class Language(Attribute[str]):
    """The code of a language that alerts may have."""

    def accept(self, value: Json) -> str:
        """Return what is kept of `value`, or raise `flawed`."""
        if not isinstance(value, str):
            raise self.flawed(NotA(Kind.TEXT), value)
        if not value:
            raise flawed(Missing())
        if value not in LANGUAGES:
            raise self.flawed(Unfit(LANGUAGE), value)
        return value

    def taken(self) -> JsonSchema:
        """Say in JSON Schema what `accept` takes."""
        return {"type": "string", "enum": list(LANGUAGES)}


class Password(Attribute[str]):
    """A password; whether it is good enough depends on the installation."""

    def __init__(self, *, required: bool = False) -> None:
        super().__init__(required=required, secret=True)

    def accept(self, value: Json) -> str:
        """Return what is kept of `value`, or raise `flawed`."""
        if not isinstance(value, str):
            raise self.flawed(NotA(Kind.TEXT), value)
        if not value:
            raise flawed(Missing())
        if len(value) > LONGEST_PASSWORD:
            raise flawed(TooLong(LONGEST_PASSWORD))
        return value

    def taken(self) -> JsonSchema:
        """Say in JSON Schema what `accept` takes."""
        return {"type": "string", "minLength": 1, "maxLength": LONGEST_PASSWORD}


_NUMBER = re.compile(r"[+]?[0-9][0-9 ().-]{2,39}\Z")


class SmsPhone(Attribute[str]):
    """A phone for short messages, `{"number": "+33123456789"}`; the number may be written without quotes."""

    def accept(self, value: Json) -> str:
        """Return what is kept of `value`, or raise `flawed`."""
        number = value.get("number") if isinstance(value, dict) else None
        if isinstance(number, int) and not isinstance(number, bool):
            number = str(number)
        if not isinstance(number, str) or not _NUMBER.match(number):
            raise self.flawed(NotA(Kind.PHONE), value)
        return number

    def ignored(self, value: Json, path: tuple[str | int, ...]) -> Iterator[Ignored]:
        """Return what is beside the number."""
        for name in value if isinstance(value, dict) else ():
            if name != "number":
                yield Ignored((*path, name), ("number",))

    def taken(self) -> JsonSchema:
        """Say in JSON Schema what `accept` takes."""
        number: JsonSchema = {"type": ["string", "integer"], "pattern": r"^[+]?[0-9][0-9 ().\-]{2,39}$", "minimum": 100}
        return {"type": "object", "required": ["number"], "properties": {"number": number}}

    def kept(self) -> JsonSchema:
        """Say in JSON Schema what `accept` returns."""
        return {"type": "string"}


class _AccountSchema(BodySchema):
    class Meta:
        """Clients send back what they have read, and members of other versions."""

        unknown = EXCLUDE

    def check(self, document: Json) -> dict[str, Any]:
        """Return the attributes of `document`. Raises RefusedError(InvalidBody) with every problem."""
        if not isinstance(document, dict):
            raise RefusedError(InvalidBody((Problem((), NotA(Kind.OBJECT), document),)))
        return super().check(document)


class NewAccountSchema(_AccountSchema):
    """An account to be made. The fields in the order in which faults tell them."""

    name = Name(required=True)
    email = Email(required=True)
    phone = fields.ExactText()
    password = Password(required=True)
    language_code = Language(required=True)
    client = fields.ExactText()


class AccountSchema(_AccountSchema):
    """An account to be changed: whatever is sent."""

    echoed: ClassVar[frozenset[str]] = frozenset(
        (
            *("id", "created_at", "updated_at", "permissions", "email_subscriptions", "grouped_email_notification"),
            *("default_email_notification_frequency", "default_desktop_notification_frequency"),
            *("default_push_notification_frequency", "default_trending_email_notification_frequency"),
            "default_trending_sms_notification_frequency",
        )
    )

    name = Name()
    email = Email()
    phone = fields.ExactText()
    language_code = Language()
    old_password = Password()
    new_password = Password()
    default_notification_phone = SmsPhone()


NEW_ACCOUNT = NewAccountSchema()
ACCOUNT = AccountSchema()


@dataclass(frozen=True, slots=True)
class NewAccount:
    """An account to be made."""

    name: str
    email: str
    language_code: str
    password: str = field(repr=False)
    phone: str | None = None
    client: str | None = None


@dataclass(frozen=True, slots=True)
class AccountWish:
    """What is to change: texts by column, and null for what is to be cleared."""

    values: Mapping[str, str | None]
    new_password: str | None = field(default=None, repr=False)


# What is known besides of attributes that are right in themselves: problems of what is stored.
Besides: TypeAlias = Callable[[Mapping[str, Any]], list[Problem]]


def new_account(document: Json, policy: str, besides: Besides) -> NewAccount:
    """Check the body of an account to be made. Raises RefusedError(InvalidBody) with every problem."""

    def more(loaded: Mapping[str, Any]) -> list[Problem]:
        return [*_of_password("password", loaded.get("password"), policy), *besides(loaded)]

    loaded = _checked(NEW_ACCOUNT, document, more)
    return NewAccount(
        loaded["name"],
        loaded["email"],
        loaded["language_code"],
        loaded["password"],
        phone=loaded.get("phone") or None,
        client=loaded.get("client") or None,
    )


def ignored_of_changed(document: Json, _: Mapping[str, str]) -> Iterator[Ignored]:
    """Return the attributes of an account to be changed that are ignored; an old password alone is one."""
    yield from ACCOUNT.ignored(document)
    sent = document if isinstance(document, dict) else {}
    if isinstance(sent.get("old_password"), str) and sent.get("new_password") is None and sent.get("email") is None:
        yield Ignored(("old_password",), ("new_password",))


def account(document: Json, policy: str, besides: Besides, email: str | None = None) -> AccountWish:
    """Check the body of an account to be changed. Raises RefusedError(InvalidBody) with every problem.

    `email` is the present address where another one needs the password.
    """
    sent = document if isinstance(document, dict) else {}
    moves = email is not None and sent.get("email") not in (None, email)
    if (
        isinstance(document, dict)
        and document.get("new_password") is None
        and not moves
        and isinstance(sent.get("old_password"), str)
    ):
        # Alone, or beside the address that the account has, it asks for nothing.
        document = {name: value for name, value in document.items() if name != "old_password"}

    def more(loaded: Mapping[str, Any]) -> list[Problem]:
        proves = sent.get("new_password") is not None or (moves and "email" in loaded)
        unproven = proves and sent.get("old_password") is None
        missing = [Problem(("old_password",), Missing())] if unproven else []
        return [*missing, *_of_password("new_password", loaded.get("new_password"), policy), *besides(loaded)]

    loaded = _checked(ACCOUNT, document, more)
    values: dict[str, str | None] = {
        name: loaded[name] for name in ("name", "email", "language_code") if name in loaded
    }
    if "phone" in sent:
        values["phone"] = loaded.get("phone") or None
    if "default_notification_phone" in sent:
        values["sms_phone"] = loaded.get("default_notification_phone")
    return AccountWish(values, loaded.get("new_password"))


def _of_password(name: str, password: str | None, policy: str) -> list[Problem]:
    return [Problem((name,), Unfit(flaw)) for flaw in ([] if password is None else password_flaws(password, policy))]


def _checked(
    schema: _AccountSchema, document: Json, more: Callable[[Mapping[str, Any]], list[Problem]]
) -> dict[str, Any]:
    """Check a document, and what goes together in it, so that everything that is wrong is told at once."""
    problems: tuple[Problem, ...] = ()
    try:
        loaded = schema.check(document)
    except RefusedError as error:
        if not isinstance(document, dict) or not isinstance(error.fault, InvalidBody):
            raise
        problems = error.fault.problems
        loaded = _what_is_right(schema, document)
    problems = (*problems, *more(loaded))
    if problems:
        order = list(schema.fields)
        raise RefusedError(InvalidBody(tuple(sorted(problems, key=lambda problem: order.index(str(problem.path[0]))))))
    return loaded


def _what_is_right(schema: _AccountSchema, document: dict[str, Json]) -> dict[str, Any]:
    try:
        schema.load({name: value for name, value in document.items() if value is not None})
    except ValidationError as error:
        return dict(error.valid_data) if isinstance(error.valid_data, dict) else {}
    return {}
