"""The base of all body schemas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, ValidationError

from accounts_service.faults import InvalidBody, Json, RefusedError
from accounts_service.validation.fields import Attribute
from accounts_service.validation.problems import problems_of


class BodySchema(Schema):
    """A body: what it may hold, in the order in which problems are told and attributes are shown."""

    def check(self, document: Json) -> dict[str, Any]:
        """Return the attributes of `document` as they are to be kept.

        A null is an absent attribute, and what is no object has no attributes,
        as with Search Guard. Raises RefusedError(InvalidBody) with every problem.
        """
        attributes = document if isinstance(document, dict) else {}
        try:
            loaded: dict[str, Any] = self.load({name: value for name, value in attributes.items() if value is not None})
        except ValidationError as error:
            order = list(self.fields)
            problems = sorted(problems_of(error), key=lambda problem: order.index(str(problem.path[0])))
            raise RefusedError(InvalidBody(tuple(problems))) from None
        return loaded

    def marked(self, mark: str) -> tuple[str, ...]:
        """Name the attributes marked `secret` or `destination`."""
        return tuple(
            name for name, field in self.fields.items() if isinstance(field, Attribute) and getattr(field, mark)
        )

    def shown(self, attributes: Mapping[str, Any], secrets: Mapping[str, str]) -> dict[str, Any]:
        """Put attributes and shown secrets into the schema's order; `headers.X` is the `X` of `headers`."""
        together = dict(attributes)
        for path, value in secrets.items():
            name, dot, key = path.partition(".")
            if dot:
                together.setdefault(name, {})[key] = value
            else:
                together[name] = value
        return {name: together[name] for name in self.fields if name in together}
