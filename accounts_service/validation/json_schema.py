"""JSON Schema (2020-12), as far as fields and documents need it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeAlias

from accounts_service.faults import Json

JsonSchema: TypeAlias = "dict[str, Json]"


def nullable(schema: JsonSchema) -> JsonSchema:
    """Widen a schema by null."""
    null: JsonSchema = {"type": "null"}
    kinds = schema.get("type")
    if "enum" in schema or "const" in schema or not isinstance(kinds, str | list):
        return {"anyOf": [schema, null]}
    several = kinds if isinstance(kinds, list) else [kinds]
    return schema if "null" in several else {**schema, "type": [*several, "null"]}


def record(title: str, properties: JsonSchema, optional: JsonSchema | None = None) -> JsonSchema:
    """Describe an object that has `properties`, and perhaps `optional` ones."""
    required: list[Json] = list(properties)
    return {"title": title, "type": "object", "required": required, "properties": {**properties, **(optional or {})}}


def in_any_case(choices: Iterable[str]) -> JsonSchema:
    """Describe a text that is one of `choices`, in any case."""
    ways = ("".join(_cases(character) for character in choice) for choice in choices)
    return {"type": "string", "pattern": f"^(?:{'|'.join(ways)})$"}


def _cases(character: str) -> str:
    return f"[{character.lower()}{character.upper()}]" if character.isalpha() else re.escape(character)
