"""The base of all body schemas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar

from marshmallow import Schema, ValidationError, validates_schema

from accounts_service.faults import InvalidBody, Json, Kind, NeededBy, NotA, Problem, RefusedError, TooMany
from accounts_service.validation.fields import Attribute
from accounts_service.validation.ignored import SWAPPED, Ignored, is_name_of_secret
from accounts_service.validation.json_schema import JsonSchema, nullable, record
from accounts_service.validation.problems import Found, problems_of


class BodySchema(Schema):
    """A body: what it may hold, in the order in which problems are told and attributes are shown."""

    # attribute: the other one that has to be there as well
    needs: ClassVar[Mapping[str, str]] = {}
    # Attributes that are ignored, and of which no caller is told: clients send back what they have read.
    echoed: ClassVar[frozenset[str]] = frozenset()

    @validates_schema(skip_on_field_errors=False, pass_original=True)
    def _has_what_is_needed(self, _attributes: dict[str, Any], sent: dict[str, Any], **_: object) -> None:
        errors = {
            needed: [Found(NeededBy(name))]
            for name, needed in self.needs.items()
            if name in sent and needed not in sent
        }
        if errors:
            raise ValidationError(errors)

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

    def read_as(self, document: Mapping[str, Json]) -> dict[str, str]:
        """Return which attribute each name in `document` is read as; names that are ignored are not there."""
        return {name: name for name in document if name in self.fields}

    def ignored(self, document: Json, path: tuple[str | int, ...] = ()) -> Iterator[Ignored]:
        """Return the attributes of `document`, which is at `path`, that `check` ignores, and those within others."""
        if not isinstance(document, dict):
            return
        read, known, secrets = self.read_as(document), tuple(self.fields), self.marked("secret")
        for name, value in document.items():
            field = self.fields[read[name]] if name in read else None
            if isinstance(field, Attribute):
                yield from field.ignored(value, (*path, name))
            elif name not in self.echoed:
                yield Ignored((*path, SWAPPED if is_name_of_secret(value, secrets) else name), known)

    def each(self, documents: Json, *, most: int, attribute: str) -> list[dict[str, Any]]:
        """Return the attributes of each of a list of documents; null is the empty list.

        `attribute` names the list in problems. Raises RefusedError(InvalidBody)
        with every problem of all documents.
        """
        if documents is None:
            return []
        if not isinstance(documents, list):
            raise RefusedError(InvalidBody((Problem((attribute,), NotA(Kind.LIST), documents),)))
        if len(documents) > most:
            raise RefusedError(InvalidBody((Problem((attribute,), TooMany(most)),)))
        checked, problems = [], []
        for number, document in enumerate(documents):
            try:
                checked.append(self.check(document))
            except RefusedError as error:
                found = error.fault.problems if isinstance(error.fault, InvalidBody) else ()
                problems += [replace(one, path=(attribute, number, *one.path)) for one in found]
        if problems:
            raise RefusedError(InvalidBody(tuple(problems)))
        return checked

    def ignored_in_each(self, documents: Json, attribute: str) -> Iterator[Ignored]:
        """Return what is ignored of each of a list of documents; `attribute` names the list, as in `each`."""
        for number, document in enumerate(documents if isinstance(documents, list) else ()):
            yield from self.ignored(document, (attribute, number))

    def marked(self, mark: str) -> tuple[str, ...]:
        """Name the attributes marked `secret` or `destination`."""
        return tuple(
            name for name, field in self.fields.items() if isinstance(field, Attribute) and getattr(field, mark)
        )

    def taken(self, title: str) -> JsonSchema:
        """Say in JSON Schema which documents `check` takes."""
        properties: JsonSchema = {}
        required: list[Json] = []
        optional = self.partial if isinstance(self.partial, tuple) else ()
        for name, field in self._attributes():
            needed = field.required and name not in optional
            properties[name] = field.described(field.taken() if needed else nullable(field.taken()))
            if needed:
                required.append(name)
        schema: JsonSchema = {"title": title, "properties": properties}
        if required:
            # Else what is no object is taken, too: it has no attributes.
            schema |= {"type": "object", "required": required}
        if self.needs:
            schema["allOf"] = [{"if": _given(name), "then": _given(needed)} for name, needed in self.needs.items()]
        return schema

    def kept(self, title: str, more: JsonSchema) -> JsonSchema:
        """Say in JSON Schema what is shown of a stored body, with `more` properties before it."""
        fields = self._attributes()
        always: JsonSchema = {name: field.described(field.kept()) for name, field in fields if field.required}
        return record(title, more | always, {name: field.described(field.kept()) for name, field in fields})

    def _attributes(self) -> list[tuple[str, Attribute[Any]]]:
        return [(name, field) for name, field in self.fields.items() if isinstance(field, Attribute)]

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


def _given(name: str) -> JsonSchema:
    # A null is an absent attribute.
    return {"required": [name], "properties": {name: {"not": {"type": "null"}}}}
