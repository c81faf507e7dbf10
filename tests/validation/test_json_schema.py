"""Each field says in JSON Schema what it takes and what it keeps, and that is what it does."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from hypothesis import example, given, strategies
from jsonschema import Draft202012Validator
from marshmallow import ValidationError

from accounts_service.families.mention.schemas import accounts as mention
from accounts_service.families.mention.schemas.accounts import Email, Language, Name, Password, SmsPhone
from accounts_service.families.netbird.schemas import bodies
from accounts_service.families.netbird.schemas.bodies import GoSchema, Part
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
    fields.Word(),
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
    fields.ExactText(line=False, longest=1024),
    fields.ExactNumber(),
    fields.ExactChoice("POST", "PUT"),
    fields.Listed(fields.ExactText()),
    fields.Listed(fields.ExactText(), once=False),
    fields.Listed(fields.ExactChoice("POST", "PUT"), obsolete=("pUt",)),
    UserIdentifier(),
    UserIdentifier(any_text=True),
    ServiceIdentifier(),
    Name(),
    Email(),
    Language(),
    Password(),
    SmsPhone(),
    Part(bodies.FEATURES),
    Part(bodies.SETTINGS),
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


def _exact(field: Attribute[Any], value: Json) -> bool:
    # What is a URI says a format, which the validator here does not look at.
    if isinstance(field, fields.Uri):
        return False
    return not (isinstance(field, fields.ExactNumber | Part | SmsPhone) and _has_fractions(value))


def _has_fractions(value: Json) -> bool:
    # That a whole number is to be written as one no schema can say.
    if isinstance(value, dict | list):
        return any(map(_has_fractions, value.values() if isinstance(value, dict) else value))
    return isinstance(value, float)


def _as_read(schema: GoSchema, value: Json) -> Json:
    """Give an object's members their own names, as the reader does; a schema knows a name in one case alone."""
    if not isinstance(value, dict):
        return value
    names = {name.lower(): name for name in schema.fields}
    members: dict[str, Json] = {}
    for sent, member in value.items():
        name = names.get(sent.lower())
        if name is not None and (sent == name or name not in value):
            members[name] = member
    parts = {name: field.schema_of_part for name, field in schema.fields.items() if isinstance(field, Part)}
    return members | {name: _as_read(part, members[name]) for name, part in parts.items() if name in members}


@pytest.mark.parametrize("field", FIELDS, ids=_IDS)
@given(value=VALUES)
@example(value=25.0)
@example(value=[["a@b"]])
@example(value=["x"] * (fields.MOST_ELEMENTS + 1))
@example(value="x" * 9000)
@example(value="ü" * 255)
@example(value="pUt")
@example(value=["pUt", "PUT"])
@example(value={"agent_network": True})
@example(value={"number": "+33123456789"})
@example(value={"number": 33123456789})
@example(value={"number": 7})
@example(value="vi")
@example(value={"Agent_Network": 1})
@example(value={"agent_network": None, "AGENT_NETWORK": 1})
@example(value={"peer_login_expiration": 3600.0, "EXTRA": {"User_Approval_Required": []}})
def test_a_field_takes_what_its_schema_says_and_keeps_what_its_schema_says(field: Attribute[Any], value: Json) -> None:
    read = _as_read(field.schema_of_part, value) if isinstance(field, Part) else value
    said = _taken(field).is_valid(read)
    try:
        kept = field.accept(value)
    except ValidationError:
        assert not (said and _exact(field, read))
    else:
        assert said
        assert _kept(field).is_valid(kept)


@cache
def _taken(field: Attribute[Any]) -> Draft202012Validator:
    return Draft202012Validator(field.taken())


@cache
def _kept(field: Attribute[Any]) -> Draft202012Validator:
    return Draft202012Validator(field.kept())


def test_every_kind_of_field_is_held_against_its_schema() -> None:
    modules = (wavefront, bodies, mention)
    others = (one for module in modules for one in vars(module).values() if isinstance(one, BodySchema))
    schemas = (*SCHEMAS.values(), *others)
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
    said = _body_of_signals(name).is_valid(body)
    try:
        SCHEMAS[name].check(body)
    except RefusedError:
        assert not said or (name == "slack" and isinstance(body, dict) and isinstance(body["url"], str))
    else:
        assert said


@cache
def _body_of_signals(name: str) -> Draft202012Validator:
    return Draft202012Validator(SCHEMAS[name].taken(name))


NETBIRD = {name: schema for name, schema in vars(bodies).items() if isinstance(schema, GoSchema)}


@cache
def _objects(schema: GoSchema) -> strategies.SearchStrategy[dict[str, Json]]:
    """Draw objects with members of the right kind, or of any, and names in any case."""
    members = [_member(name, field) for name, field in schema.fields.items() if isinstance(field, Attribute)]
    return strategies.lists(strategies.one_of(members), max_size=4).map(dict)


def _member(name: str, field: Attribute[Any]) -> strategies.SearchStrategy[tuple[str, Json]]:
    names = strategies.sampled_from((name, name.upper(), name.title()))
    fitting: strategies.SearchStrategy[Json]
    match field:
        case Part():
            fitting = _objects(field.schema_of_part)
        case fields.Flag():
            fitting = strategies.booleans()
        case fields.ExactNumber():
            fitting = NUMBERS
        case fields.Listed():
            fitting = strategies.lists(TEXTS, max_size=3)
        case _:
            fitting = TEXTS
    return strategies.tuples(names, fitting | SCALARS)


@pytest.mark.parametrize("name", NETBIRD)
@given(data=strategies.data())
def test_a_body_of_netbirds_is_taken_when_its_schema_says_so_of_members_under_their_own_names(
    name: str, data: strategies.DataObject
) -> None:
    schema = NETBIRD[name]
    body = data.draw(_objects(schema) | VALUES)
    validator = _body_of_netbirds(name)
    read = _as_read(schema, body)
    said = validator.is_valid(read)
    try:
        kept = schema.check(body)
    except RefusedError:
        assert not said or _has_fractions(read)
    else:
        assert said
        assert validator.is_valid(kept)


@cache
def _body_of_netbirds(name: str) -> Draft202012Validator:
    # Null has no member; and what is no object is refused, as Go does it.
    return Draft202012Validator(NETBIRD[name].taken(name) | {"type": ["object", "null"]})


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
