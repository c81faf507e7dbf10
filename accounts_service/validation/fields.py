"""Fields that take JSON as it is: no text becomes a number, no 1 becomes true.

marshmallow's own fields convert (`Integer` takes "1" and 1.9, `Boolean` takes
"yes"), which would store something nobody sent. Each field here reports flaws
as values; a field marked `secret` never reports the value it got.

Two marks say what an attribute means to the store: `secret` is sealed at rest,
`destination` decides who gets to see the secrets of the same account.

Beside `accept` each field says the same in JSON Schema, for documents: `taken`
what it accepts, `kept` what comes of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from marshmallow import ValidationError, fields, missing

from accounts_service.faults import (
    Flaw,
    InvalidBody,
    Json,
    Kind,
    Missing,
    NotA,
    NotOneOf,
    OutOfRange,
    Problem,
    RefusedError,
    TooLong,
    TooMany,
)
from accounts_service.validation.checks import (
    HEADER_NAME,
    HEADER_VALUE,
    LONGEST_MAILBOX,
    LONGEST_URI,
    MAILBOX,
    is_header_name,
    is_header_value,
    is_mailbox,
    is_uri,
    is_web_address,
)
from accounts_service.validation.ignored import Ignored
from accounts_service.validation.json_schema import JsonSchema, in_any_case
from accounts_service.validation.problems import flawed

T = TypeVar("T")

_LARGEST_INTEGER = 2**63 - 1
_OF_SECRETS = (
    "A secret, sealed at rest. Who may not see it is shown a reference, `secret:` and 22 characters, "
    "which, sent back, keeps what is stored."
)
_OF_DESTINATIONS = (
    "Decides who gets to see the secrets. While it changes they are not kept by reference for who may not see them."
)
MOST_ELEMENTS = 1000
# Characters of a text, and of all texts in one list or map together: what a caller stores, others have to read.
LONGEST_TEXT = 8 * 1024
LONGEST_TOGETHER = 64 * 1024


class Attribute(fields.Field[T]):
    """Base of all fields."""

    def __init__(
        self, *, required: bool = False, secret: bool = False, destination: bool = False, otherwise: T | None = None
    ) -> None:
        super().__init__(required=required, load_only=secret, load_default=missing if otherwise is None else otherwise)
        self.secret = secret
        self.destination = destination

    def make_error(self, key: str, **_: object) -> ValidationError:
        """Report marshmallow's own two findings, `required` and `null`, as a missing attribute."""
        if key not in ("required", "null"):
            raise LookupError(key)
        return flawed(Missing())

    def accept(self, value: Json) -> T:
        """Return what is kept of `value`, or raise `flawed`."""
        raise NotImplementedError

    def taken(self) -> JsonSchema:
        """Say in JSON Schema what `accept` takes."""
        raise NotImplementedError

    def kept(self) -> JsonSchema:
        """Say in JSON Schema what `accept` returns."""
        return self.taken()

    def ignored(self, value: Json, path: tuple[str | int, ...]) -> Iterator[Ignored]:  # noqa: ARG002  # for objects
        """Return what `accept` ignores within `value`, which is at `path`: nothing, where it is not an object."""
        return iter(())

    def described(self, schema: JsonSchema) -> JsonSchema:
        """Add to the schema of the attribute what its marks mean to a reader."""
        schema = dict(schema)
        if self.secret:
            schema |= {"x-secret": True, "description": _OF_SECRETS}
        if self.destination:
            schema |= {"x-destination": True, "description": _OF_DESTINATIONS}
        return schema

    def _deserialize(self, value: Json, *_: object, **__: object) -> T:
        return self.accept(value)

    def flawed(self, flaw: Flaw, value: Json) -> ValidationError:
        """Make an error about `value`, which is left out when it is a secret."""
        return flawed(flaw, None if self.secret else value)


class Text(Attribute[str]):
    """A string of at most `longest` characters.

    A number or boolean is taken as the text Python writes for it, true and false as JSON does.
    """

    def __init__(
        self,
        *,
        required: bool = False,
        secret: bool = False,
        destination: bool = False,
        longest: int = LONGEST_TEXT,
    ) -> None:
        super().__init__(required=required, secret=secret, destination=destination)
        self.longest = longest

    def accept(self, value: Json) -> str:
        """Return what is kept of `value`, or raise `flawed`."""
        if isinstance(value, str):
            if len(value) > self.longest:
                raise flawed(TooLong(self.longest))
            return value
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int | float):
            return str(value)
        raise self.flawed(NotA(Kind.TEXT), value)

    def taken(self) -> JsonSchema:
        """Say in JSON Schema what `accept` takes."""
        return {"type": ["string", "number", "boolean"], "maxLength": self.longest}

    def kept(self) -> JsonSchema:
        """Say in JSON Schema what `accept` returns."""
        return {"type": "string"}


_CONTROL = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
# Unicode's white space (PropList.txt), the ASCII space apart from it.
_BLANK = r"\x20\xa0\u1680\u2000-\u200a\u202f\u205f\u3000"
WORD = rf"(?:[^{_CONTROL}{_BLANK}](?:[^{_CONTROL}]*[^{_CONTROL}{_BLANK}])?)?"
_WORD = re.compile(rf"{WORD}\Z")


class Word(Text):
    """A host, a token or a key: a text as `Text` takes it, without white space at its ends and on one line.

    A line break that was copied along makes a key that is refused elsewhere, and
    nobody sees why. White space within is kept: lists of hosts are written with it.
    """

    def accept(self, value: Json) -> str:
        """Return what is kept of `value`, or raise `flawed`."""
        text = super().accept(value)
        if not _WORD.match(text):
            raise self.flawed(NotA(Kind.WORD), value)
        return text

    def taken(self) -> JsonSchema:
        """Say in JSON Schema what `accept` takes."""
        return {**super().taken(), "pattern": f"^{WORD}$"}


class Flag(Attribute[bool]):
    """`true` or `false`."""

    def accept(self, value: Json) -> bool:
        """Return what is kept of `value`, or raise `flawed`."""
        if isinstance(value, bool):
            return value
        raise self.flawed(NotA(Kind.FLAG), value)

    def taken(self) -> JsonSchema:
        """Say in JSON Schema what `accept` takes."""
        return {"type": "boolean"}


class WholeNumber(Attribute[int]):
    """A whole number from `low` to `high`; `25.0` is one, as in JSON Schema."""

    def __init__(self, *, low: int, high: int, required: bool = False, destination: bool = False) -> None:
        super().__init__(required=required, destination=destination)
        self.low = low
        self.high = high

    def accept(self, value: Json) -> int:
        """Return what is kept of `value`, or raise `flawed`."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.flawed(NotA(Kind.NUMBER), value)
        if value != int(value) or not self.low <= value <= self.high:
            raise self.flawed(OutOfRange(self.low, self.high), value)
        return int(value)

    def taken(self) -> JsonSchema:
        """Say in JSON Schema what `accept` takes."""
        return {"type": "integer", "minimum": self.low, "maximum": self.high}


class Milliseconds(WholeNumber):
    """A length of time; any whole number that a database can hold."""

    def __init__(self, *, required: bool = False) -> None:
        super().__init__(low=0, high=_LARGEST_INTEGER, required=required)


class Uri(Attribute[str]):
    """A URI reference."""

    def accept(self, value: Json) -> str:
        """Return what is kept of `value`, or raise `flawed`."""
        if isinstance(value, str) and is_uri(value):
            return value
        raise self.flawed(NotA(Kind.URI), value)

    def taken(self) -> JsonSchema:
        """Say in JSON Schema what `accept` takes."""
        return {"type": "string", "format": "iri-reference", "maxLength": LONGEST_URI}

    def kept(self) -> JsonSchema:
        """Say in JSON Schema what `accept` returns; a secret may be shown as its reference."""
        return {"type": "string"}


_WEB_ADDRESS = (
    "[hH][tT][tT][pP][sS]?://[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,4})?"
    "(?:[/?](?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?"
)


class WebAddress(Attribute[str]):
    """An absolute http or https URI without user information."""

    def accept(self, value: Json) -> str:
        """Return what is kept of `value`, or raise `flawed`."""
        if isinstance(value, str) and is_web_address(value):
            return value
        # What stands before an @ may be a password; it is not repeated.
        raise self.flawed(NotA(Kind.WEB_ADDRESS), None if "@" in str(value) else value)

    def taken(self) -> JsonSchema:
        """Say in JSON Schema what `accept` takes, but for hosts that are IPv6 addresses or of other letters."""
        return {"type": "string", "pattern": f"^{_WEB_ADDRESS}$", "maxLength": LONGEST_URI}

    def kept(self) -> JsonSchema:
        """Say in JSON Schema what `accept` returns."""
        return {"type": "string"}


class Choice(Attribute[str]):
    """One of `choices`, in any case; kept as it is listed."""

    def __init__(self, *choices: str, otherwise: str, destination: bool = False) -> None:
        super().__init__(otherwise=otherwise, destination=destination)
        self.choices = choices

    def accept(self, value: Json) -> str:
        """Return what is kept of `value`, or raise `flawed`."""
        for choice in self.choices:
            if isinstance(value, str) and value.lower() == choice.lower():
                return choice
        raise self.flawed(NotOneOf(self.choices), value)

    def taken(self) -> JsonSchema:
        """Say in JSON Schema what `accept` takes."""
        return in_any_case(self.choices)

    def kept(self) -> JsonSchema:
        """Say in JSON Schema what `accept` returns."""
        return {"type": "string", "enum": [*self.choices]}


class Headers(Attribute[dict[str, str]]):
    """Headers of an HTTP request, by name. Each value is a secret of its own."""

    def __init__(self) -> None:
        super().__init__(secret=True)

    def accept(self, value: Json) -> dict[str, str]:
        """Return the headers, or raise with every one that is none."""
        if not isinstance(value, dict):
            raise self.flawed(NotA(Kind.OBJECT), value)
        if len(value) > MOST_ELEMENTS:
            raise flawed(TooMany(MOST_ELEMENTS))
        headers: dict[str, str] = {}
        errors: dict[str, list[Any]] = {}
        seen: set[str] = set()
        for name, text in value.items():
            try:
                if not is_header_name(name) or name.lower() in seen:
                    raise flawed(NotA(Kind.HEADER_NAME))  # It may be a secret that was put in the wrong place.
                seen.add(name.lower())
                headers[name] = self._value(text)
            except ValidationError as error:
                errors[name] = list(error.messages)
        if errors:
            raise ValidationError(errors)
        require_short_together((*headers, *headers.values()))
        return headers

    def taken(self) -> JsonSchema:
        """Say in JSON Schema what `accept` takes.

        It cannot say that no name comes twice in another case, nor how long all headers are together.
        """
        value: JsonSchema = {"type": "string", "pattern": f"^{HEADER_VALUE}$", "maxLength": LONGEST_TEXT}
        names: JsonSchema = {"pattern": f"^{HEADER_NAME}$"}
        return {
            "type": "object",
            "maxProperties": MOST_ELEMENTS,
            "propertyNames": names,
            "additionalProperties": value,
        }

    def kept(self) -> JsonSchema:
        """Say in JSON Schema what `accept` returns; each value may be shown as its reference."""
        return {"type": "object", "additionalProperties": {"type": "string"}}

    def _value(self, text: Json) -> str:
        if isinstance(text, str) and len(text) > LONGEST_TEXT:
            raise flawed(TooLong(LONGEST_TEXT))
        if not isinstance(text, str) or not is_header_value(text):
            raise self.flawed(NotA(Kind.HEADER_VALUE), text)
        return text


class Mailbox(Attribute[str]):
    """An e-mail address, with or without a display name."""

    def accept(self, value: Json) -> str:
        """Return what is kept of `value`, or raise `flawed`."""
        if isinstance(value, str) and is_mailbox(value):
            return value
        raise self.flawed(NotA(Kind.EMAIL_ADDRESS), value)

    def taken(self) -> JsonSchema:
        """Say in JSON Schema what `accept` takes; no format is right, since `email` knows no display names."""
        return {"type": "string", "pattern": f"^{MAILBOX}$", "maxLength": LONGEST_MAILBOX}


class ListOf(Attribute[list[T]]):
    """A list; a single value is taken as a list of one. Every bad element is reported with its index.

    Its texts are bounded together as well: a thousand of the longest ones would fill
    a body. Longer lists than anyone needs are refused as such: to report half a million
    bad elements, each with its value, would cost more than many requests.
    """

    def __init__(self, element: Attribute[T], *, destination: bool = False) -> None:
        super().__init__(destination=destination)
        self.element = element

    def accept(self, value: Json) -> list[T]:
        """Return what is kept of the elements."""
        elements = value if isinstance(value, list) else [value]
        if len(elements) > MOST_ELEMENTS:
            raise flawed(TooMany(MOST_ELEMENTS))
        results: list[T] = []
        errors: dict[int, list[Any]] = {}
        for index, element in enumerate(elements):
            try:
                results.append(self.element.accept(element))
            except ValidationError as error:
                errors[index] = list(error.messages)
        if errors:
            raise ValidationError(errors)
        require_short_together(one for one in results if isinstance(one, str))
        return results

    def taken(self) -> JsonSchema:
        """Say in JSON Schema what `accept` takes; it cannot say how long all elements are together."""
        element = self.element.taken()
        return {"anyOf": [{"type": "array", "items": element, "maxItems": MOST_ELEMENTS}, element]}

    def kept(self) -> JsonSchema:
        """Say in JSON Schema what `accept` returns."""
        return {"type": "array", "items": self.element.kept()}


def require_short_together(texts: Iterable[str]) -> None:
    """Raise `flawed` when the texts of one list or map have more than `LONGEST_TOGETHER` characters in all."""
    if sum(map(len, texts)) > LONGEST_TOGETHER:
        raise flawed(TooLong(LONGEST_TOGETHER))


# -- Fields that take nothing for something else ------------------------------


LONGEST_LINE = 255
_LINE = re.compile(rf"[^{_CONTROL}]*\Z")


def is_line(text: str) -> bool:
    """Tell whether a text is without what ends a line or steers a terminal."""
    return _LINE.match(text) is not None


class ExactText(Attribute[str]):
    """A string and nothing else. `filled`: not an empty one; `line`: without what ends one or steers a terminal.

    Whatever is stored is bounded: it may stand in the answers of everybody.
    """

    def __init__(
        self,
        *,
        required: bool = False,
        secret: bool = False,
        filled: bool = False,
        line: bool = True,
        longest: int = LONGEST_LINE,
    ) -> None:
        super().__init__(required=required, secret=secret)
        self.filled = filled
        self.line = line
        self.longest = longest

    def accept(self, value: Json) -> str:
        """Return what is kept of `value`, or raise `flawed`."""
        if not isinstance(value, str):
            raise self.flawed(NotA(Kind.TEXT), value)
        if self.filled and not value:
            raise flawed(Missing())
        if len(value) > self.longest:
            raise flawed(TooLong(self.longest))
        if self.line and not is_line(value):
            raise self.flawed(NotA(Kind.LINE), value)
        return value

    def taken(self) -> JsonSchema:
        """Say in JSON Schema what `accept` takes."""
        schema: JsonSchema = {"type": "string", "maxLength": self.longest}
        schema |= {"minLength": 1} if self.filled else {}
        return schema | ({"pattern": f"^[^{_CONTROL}]*$"} if self.line else {})


class ExactNumber(Attribute[int]):
    """A whole number of 64 bits, written without a fraction; whether it fits is said elsewhere."""

    def accept(self, value: Json) -> int:
        """Return what is kept of `value`, or raise `flawed`."""
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.flawed(NotA(Kind.NUMBER), value)
        return value

    def taken(self) -> JsonSchema:
        """Say in JSON Schema what `accept` takes; that `3600.0` is refused it cannot say."""
        return {"type": "integer"}


class ExactChoice(Attribute[str]):
    """One of `choices`, written as it is listed."""

    def __init__(self, *choices: str, otherwise: str | None = None) -> None:
        super().__init__(otherwise=otherwise)
        self.choices = choices

    def accept(self, value: Json) -> str:
        """Return what is kept of `value`, or raise `flawed`."""
        if isinstance(value, str) and value in self.choices:
            return value
        raise self.flawed(NotOneOf(self.choices), value)

    def taken(self) -> JsonSchema:
        """Say in JSON Schema what `accept` takes."""
        return {"type": "string", "enum": [*self.choices]}


class Listed(Attribute[list[str]]):
    """A list of texts. Every bad element is reported with its index.

    `obsolete` ones are what old clients still send; they are passed over. `once`: each is kept once.
    """

    def __init__(
        self,
        element: ExactText | ExactChoice,
        *,
        obsolete: tuple[str, ...] = (),
        once: bool = True,
        required: bool = False,
    ) -> None:
        super().__init__(required=required)
        self.element = element
        self.obsolete = obsolete
        self.once = once

    def accept(self, value: Json) -> list[str]:
        """Return what is kept of the elements."""
        if not isinstance(value, list):
            raise self.flawed(NotA(Kind.LIST), value)
        if len(value) > MOST_ELEMENTS:
            raise flawed(TooMany(MOST_ELEMENTS))
        results: list[str] = []
        errors: dict[int, list[Any]] = {}
        for index, element in enumerate(value):
            if element in self.obsolete:
                continue
            try:
                results.append(self.element.accept(element))
            except ValidationError as error:
                errors[index] = list(error.messages)
        if errors:
            raise ValidationError(errors)
        return list(dict.fromkeys(results)) if self.once else results

    def taken(self) -> JsonSchema:
        """Say in JSON Schema what `accept` takes."""
        element = self.element.taken()
        if isinstance(self.element, ExactChoice):
            element = {"type": "string", "enum": [*self.element.choices, *self.obsolete]}
        return {"type": "array", "items": element, "maxItems": MOST_ELEMENTS}

    def kept(self) -> JsonSchema:
        """Say in JSON Schema what `accept` returns."""
        return {"type": "array", "items": self.element.kept()}


def require_choice(attribute: str, value: str, choices: tuple[str, ...]) -> None:
    """Check something that is not in the body as if it were: it is one of `choices`, in any case.

    Raises RefusedError(InvalidBody).
    """
    if value.lower() not in choices:
        raise RefusedError(InvalidBody((Problem((attribute,), NotOneOf(choices), value),)))
