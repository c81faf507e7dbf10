"""What operations of a document have in common is written once, among its components.

Most answers are faults that every route of a family knows: written out at each,
they make a document more than twice as long, and who draws it as much slower.
"""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from typing import TypedDict

from accounts_service.validation.json_schema import JsonSchema


class Operation(TypedDict):
    """An operation, as far as it is of interest here."""

    tags: list[str]
    parameters: list[JsonSchema]
    responses: dict[str, JsonSchema]


class Document(TypedDict):
    """A document, as far as it is of interest here."""

    paths: dict[str, dict[str, Operation]]
    components: dict[str, JsonSchema]


def share(document: Document) -> None:
    """Put parameters and responses that stand in several operations among the components, and refer to them there."""
    operations = [operation for item in document["paths"].values() for operation in item.values()]
    parameters = _Shared("parameters", [one for operation in operations for one in operation["parameters"]])
    responses = _Shared("responses", [one for operation in operations for one in operation["responses"].values()])
    for operation in operations:
        (family,) = operation["tags"]
        operation["parameters"] = [parameters.place(str(one["name"]), one) for one in operation["parameters"]]
        operation["responses"] = {
            status: responses.place(f"{family}.{status}", one) for status, one in operation["responses"].items()
        }
    document["components"] |= {shared.kind: shared.components for shared in (parameters, responses)}


class _Shared:
    """Objects of one kind, some of them equal."""

    def __init__(self, kind: str, found: list[JsonSchema]) -> None:
        self.kind = kind
        self.components: JsonSchema = {}
        self._counts = Counter(map(_text, found))
        self._names: dict[str, str] = {}

    def place(self, name: str, described: JsonSchema) -> JsonSchema:
        """Give what to write for an object: a reference if there are others like it, else itself."""
        text = _text(described)
        if self._counts[text] == 1:
            return described
        if text not in self._names:
            self._names[text] = self._free(re.sub(r"[^a-zA-Z0-9._-]", "_", name))
            self.components[self._names[text]] = described
        return {"$ref": f"#/components/{self.kind}/{self._names[text]}"}

    def _free(self, name: str) -> str:
        names = itertools.chain((name,), (f"{name}.{number}" for number in itertools.count(2)))
        return next(one for one in names if one not in self.components)


def _text(described: JsonSchema) -> str:
    return json.dumps(described, sort_keys=True)
