"""What the service's document says of its answers; each answer that a test gets is held against it."""

from __future__ import annotations

import re
from functools import cache, reduce
from typing import Any
from urllib.parse import unquote

from jsonschema import Draft202012Validator
from werkzeug.test import TestResponse

from accounts_service import app
from accounts_service.config import Settings
from accounts_service.web import openapi

_ERRORS = 400


class Described:
    """The document of a family."""

    def __init__(self, made: Any) -> None:
        self._made = made
        # As OpenAPI has it, a path without arguments wins over those with some.
        paths = sorted(made["paths"].items(), key=lambda item: item[0].count("{"))
        self._items = [(_pattern(path), item) for path, item in paths]
        self._validators: dict[int, Draft202012Validator] = {}

    def check(self, method: str, path: str, response: TestResponse) -> None:
        """Raise AssertionError when `path` is described, and this answer of it is not."""
        operation = self._operation(method, unquote(path.partition("?")[0]))
        if operation is None:
            return
        asked = f"{method} {path}: {response.status_code}"
        described = referred(self._made, operation["responses"].get(str(response.status_code)))
        assert described is not None, f"{asked} is not in the document: answers= or raises= of its route"
        if method == "HEAD" or not response.data:
            return
        content = described.get("content", {}).get(response.mimetype)
        assert content is not None, f"{asked} {response.mimetype} is not in the document"
        if "filter_path=" in path and response.status_code < _ERRORS:
            # What it leaves need not fit the schema, as the parameter's description says.
            return
        body = response.get_json() if response.is_json else response.text
        errors = list(self._validator(content["schema"]).iter_errors(body))
        assert not errors, f"{asked} is not what the document says: {errors[0].message}"

    def _operation(self, method: str, path: str) -> Any:
        for pattern, item in self._items:
            if pattern.fullmatch(path):
                return item.get(method.lower())
        return None

    def _validator(self, schema: Any) -> Draft202012Validator:
        if id(schema) not in self._validators:
            self._validators[id(schema)] = Draft202012Validator({**schema, "components": self._made["components"]})
        return self._validators[id(schema)]


def referred(made: Any, described: Any) -> Any:
    """Give what an object of a document refers to, or itself."""
    if not isinstance(described, dict) or "$ref" not in described:
        return described
    _, *keys = described["$ref"].split("/")
    return reduce(lambda place, key: place[key], keys, made)


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(
        "".join("[^/]+" if part.startswith("{") else re.escape(part) for part in re.split(r"(\{[^}]*\})", path))
    )


@cache
def described(family: str) -> Described:
    """Give what the service says of a family: at one path there are two, told apart by host.

    No setting that tests change changes it.
    """
    return Described(openapi.document((app.FAMILIES[family],), Settings()))
