"""JSON Schema (2020-12), as far as fields and documents need it."""

from __future__ import annotations

from typing import TypeAlias

from accounts_service.faults import Json

JsonSchema: TypeAlias = "dict[str, Json]"


def nullable(schema: JsonSchema) -> JsonSchema:
    """Widen a schema by null."""
    null: JsonSchema = {"type": "null"}
    kinds = schema.get("type")
    if "enum" in schema or "const" in schema or not isinstance(kinds, str | list):
        return {"anyOf": [schema, null]}
    return {**schema, "type": [*(kinds if isinstance(kinds, list) else [kinds]), "null"]}


def record(title: str, properties: JsonSchema, optional: JsonSchema | None = None) -> JsonSchema:
    """Describe an object that has `properties`, and perhaps `optional` ones."""
    required: list[Json] = list(properties)
    return {"title": title, "type": "object", "required": required, "properties": {**properties, **(optional or {})}}
