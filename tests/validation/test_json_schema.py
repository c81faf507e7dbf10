"""Each field says in JSON Schema what it takes and what it keeps, and that is what it does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, strategies
from jsonschema import Draft202012Validator
from marshmallow import ValidationError

from accounts_service.families.signals.schemas.accounts import SCHEMAS
from accounts_service.families.wavefront import schemas as wavefront
from accounts_service.families.wavefront.schemas import ServiceIdentifier, UserIdentifier
from accounts_service.faults import Json, RefusedError
from accounts_service.validation import fields
from accounts_service.validation.fields import Attribute
from accounts_service.validation.json_schema import nullable
from accounts_service.validation.schema import BodySchema

FIELDS: tuple[Attribute[Any], ...] = (
    fields.Text(),
    fields.Flag(),
    fields.WholeNumber(low=1, high=65535),
    fields.Milliseconds(),
    fields.Uri(),
    fields.Mailbox(),
    fields.WebAddress(),
    fields.Choice("POST", "PUT", otherwise="POST"),
    fields.Headers(),
    fields.ListOf(fields.Mailbox()),
    fields.ListOf(fields.Text()),
    fields.ExactText(),
    fields.ExactText(filled=True),
    fields.ExactChoice("POST", "PUT"),
    fields.Listed(fields.ExactText()),
    fields.Listed(fields.ExactChoice("POST", "PUT"), obsolete=("pUt",)),
    UserIdentifier(),
    UserIdentifier(any_text=True),
    ServiceIdentifier(),
)
_IDS = tuple(f"{number}-{type(field).__name__}" for number, field in enumerate(FIELDS))

NUMBERS = strategies.integers(-(2**63), 2**63 - 1) | strategies.floats(allow_nan=False, allow_infinity=False)
TEXTS = strategies.text(max_size=8) | strategies.sampled_from(
    (
        "a@b",
        "Ann <a@b.example>",
        '"A, B" <a@b>',
        "a b@c",
        "a@",
        "a@b\u0085",
        "a@[1.2]",
        "",
        "http://h/",
        "HTTPS://h:80?a",
        "http://u@h",
        "pUt",
        "X-Key",
        "/p",
        "secret:x",
        "a\\b",
        "sa::",
        "SA::x",
        "x ",
        "SA::",
        "Admin",
        "adminx",
        "..",
        "a.",
    )
)
SCALARS = strategies.none() | strategies.booleans() | NUMBERS | TEXTS
VALUES: strategies.SearchStrategy[Json] = strategies.recursive(
    SCALARS,
    lambda inner: strategies.lists(inner, max_size=3) | strategies.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)


def _exact(field: Attribute[Any]) -> bool:
    # What is a URI says a format, which the validator here does not look at.
    return not isinstance(field, fields.Uri)


@pytest.mark.parametrize("field", FIELDS, ids=_IDS)
@given(value=VALUES)
@example(value=25.0)
@example(value=[["a@b"]])
@example(value=["x"] * (fields.MOST_ELEMENTS + 1))
@example(value="x" * 9000)
@example(value="ü" * 255)
@example(value="pUt")
@example(value=["pUt", "PUT"])
def test_a_field_takes_what_its_schema_says_and_keeps_what_its_schema_says(field: Attribute[Any], value: Json) -> None:
    said = Draft202012Validator(field.taken()).is_valid(value)
    try:
        kept = field.accept(value)
    except ValidationError:
        assert not (said and _exact(field))
    else:
        assert said
        assert Draft202012Validator(field.kept()).is_valid(kept)


def test_every_kind_of_field_is_held_against_its_schema() -> None:
    schemas = (*SCHEMAS.values(), *(one for one in vars(wavefront).values() if isinstance(one, BodySchema)))
    used = {type(field) for schema in schemas for field in schema.fields.values()}
    assert used <= {type(field) for field in FIELDS}


BODIES = strategies.dictionaries(
    strategies.sampled_from(("host", "port", "user", "password", "debug", "default_to", "url", "x")),
    SCALARS,
    max_size=6,
)


@pytest.mark.parametrize("name", SCHEMAS)
@given(body=BODIES.map(lambda drawn: {"host": "h", "port": 25, **drawn}) | SCALARS)
@example(body={"host": "h", "port": 25, "password": "p", "user": None})
@example(body={"host": "h", "port": 25, "password": None})
@example(body=[])
def test_a_body_is_taken_when_its_schema_says_so(name: str, body: Json) -> None:
    said = Draft202012Validator(SCHEMAS[name].taken(name)).is_valid(body)
    try:
        SCHEMAS[name].check(body)
    except RefusedError:
        assert not said or (name == "slack" and isinstance(body, dict) and isinstance(body["url"], str))
    else:
        assert said


def test_null_is_let_in_whatever_a_schema_is() -> None:
    schemas: tuple[dict[str, Json], ...] = (
        {"type": "string"},
        {"type": ["string", "number"]},
        {"const": 1},
        {"anyOf": [{"const": 1}]},
    )
    for schema in schemas:
        assert not Draft202012Validator(schema).is_valid(None)
        assert Draft202012Validator(nullable(schema)).is_valid(None)


def test_marks_are_told() -> None:
    properties: Any = SCHEMAS["email"].taken("Email")["properties"]
    assert properties["password"]["x-secret"] is True
    assert properties["host"]["x-destination"] is True
    assert "x-secret" not in properties["user"]
