"""What the reader of the API is told of facets: their bodies and answers."""

from __future__ import annotations

from accounts_service.families.wavefront import schemas
from accounts_service.families.wavefront.documents import conditions_of, wrapped
from accounts_service.families.wavefront.store import facets
from accounts_service.families.wavefront.store.facets import Facetted
from accounts_service.faults import Json
from accounts_service.validation.json_schema import JsonSchema, record
from accounts_service.validation.schema import BodySchema
from accounts_service.web.description import Ignores, Takes

_NUMBER: JsonSchema = {"type": "integer", "minimum": 0}
_TEXTS: JsonSchema = {"type": "array", "items": {"type": "string"}}


def _body(schema: BodySchema, facetted: Facetted, more: JsonSchema) -> JsonSchema:
    properties = schema.taken("Facet search")["properties"]
    query: JsonSchema = {"query": conditions_of(facetted.kind)}
    return {"properties": {**(properties if isinstance(properties, dict) else {}), **query, **more}}


def _ignored(schema: BodySchema) -> Ignores:
    return lambda document, _: schemas.ignored_in_facet_search(schema, document)


def _one(facetted: Facetted) -> Takes:
    schema: JsonSchema = {"type": ["object", "null"], **_body(schemas.FACET, facetted, {})}
    narrow: dict[str, Json] = {"facetQuery": "a", "facetQueryMatchingMethod": "STARTSWITH", "limit": 10}
    ignores = _ignored(schemas.FACET)
    return Takes(schema, {"all": {"query": None}, "some": narrow}, needed=False, ignores=ignores)


def _some(facetted: Facetted) -> Takes:
    names: JsonSchema = {"type": "array", "items": {"type": "string", "enum": [*facetted.values]}}
    body = _body(schemas.FACETS, facetted, {"facets": names})
    schema: JsonSchema = {"type": "object", "required": ["facets"], **body}
    first: list[Json] = [*[*facetted.values][:2]]
    return Takes(schema, {"some": {"facets": first, "limit": 10}}, ignores=_ignored(schemas.FACETS))


ONE_OF_USERS, SOME_OF_USERS = _one(facets.USERS), _some(facets.USERS)
ONE_OF_BOTH, SOME_OF_BOTH = _one(facets.BOTH), _some(facets.BOTH)
ONE_OF_SERVICES, SOME_OF_SERVICES = _one(facets.SERVICES), _some(facets.SERVICES)
ONE_OF_GROUPS, SOME_OF_GROUPS = _one(facets.GROUPS), _some(facets.GROUPS)
ONE_OF_ROLES, SOME_OF_ROLES = _one(facets.ROLES), _some(facets.ROLES)
ONE_OF_TOKENS, SOME_OF_TOKENS = _one(facets.TOKENS), _some(facets.TOKENS)

VALUES = wrapped(
    "FacetResponse wrapped",
    "The values, in order.",
    record(
        "FacetResponse",
        {
            "items": _TEXTS,
            "offset": _NUMBER,
            "limit": _NUMBER,
            "totalItems": _NUMBER,
            "moreItems": {"type": "boolean"},
        },
    ),
    {
        "items": ["alerts_management", "user_management"],
        "offset": 0,
        "limit": 100,
        "totalItems": 2,
        "moreItems": False,
    },
)
VALUES_BY_FACET = wrapped(
    "FacetsResponseContainer wrapped",
    "The values of each facet, in order.",
    record(
        "FacetsResponseContainer",
        {"facets": {"type": "object", "additionalProperties": _TEXTS}, "limit": _NUMBER},
    ),
    {"facets": {"groups": ["alerts_management", "user_management"], "roles": []}, "limit": 100},
)
