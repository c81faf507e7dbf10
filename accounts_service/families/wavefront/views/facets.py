"""Facets: `/search/{kind}/{facet}` and `/search/{kind}/facets`. Each requires the privilege of its search."""

from __future__ import annotations

from flask import Response

from accounts_service.families.wavefront import documents_of_facets as documents
from accounts_service.families.wavefront import schemas
from accounts_service.families.wavefront.privileges import WavefrontPrivilege
from accounts_service.families.wavefront.store import facets as kinds
from accounts_service.families.wavefront.store.facets import Facets, FacetSearch, Facetted
from accounts_service.families.wavefront.store.search import Condition, Method
from accounts_service.families.wavefront.views.models import paged, wrapped
from accounts_service.faults import AnswerTooLarge
from accounts_service.web.family import Body, Routes
from accounts_service.web.gate import Call

ROUTES = Routes()


@ROUTES.route(
    "/search/user/<account_facet>",
    methods=("POST",),
    privilege=WavefrontPrivilege.ACCOUNT_SEARCH,
    body=Body.LOOSE_JSON,
    takes=documents.ONE_OF_USERS,
    answers={200: documents.VALUES},
)
def search_user_for_facet(call: Call, account_facet: str) -> Response:
    """List the values of one attribute of users."""
    return _one(call, kinds.USERS, account_facet)


@ROUTES.route(
    "/search/user/facets",
    methods=("POST",),
    privilege=WavefrontPrivilege.ACCOUNT_SEARCH,
    body=Body.LOOSE_JSON,
    takes=documents.SOME_OF_USERS,
    answers={200: documents.VALUES_BY_FACET},
)
def search_user_for_facets(call: Call) -> Response:
    """List the values of several attributes of users."""
    return _several(call, kinds.USERS)


@ROUTES.route(
    "/search/account/<account_facet>",
    methods=("POST",),
    privilege=WavefrontPrivilege.ACCOUNT_SEARCH,
    body=Body.LOOSE_JSON,
    takes=documents.ONE_OF_BOTH,
    answers={200: documents.VALUES},
)
def search_account_for_facet(call: Call, account_facet: str) -> Response:
    """List the values of one attribute of accounts of both kinds."""
    return _one(call, kinds.BOTH, account_facet)


@ROUTES.route(
    "/search/account/facets",
    methods=("POST",),
    privilege=WavefrontPrivilege.ACCOUNT_SEARCH,
    body=Body.LOOSE_JSON,
    takes=documents.SOME_OF_BOTH,
    answers={200: documents.VALUES_BY_FACET},
)
def search_account_for_facets(call: Call) -> Response:
    """List the values of several attributes of accounts of both kinds."""
    return _several(call, kinds.BOTH)


@ROUTES.route(
    "/search/serviceaccount/<account_facet>",
    methods=("POST",),
    privilege=WavefrontPrivilege.ACCOUNT_SEARCH,
    body=Body.LOOSE_JSON,
    takes=documents.ONE_OF_SERVICES,
    answers={200: documents.VALUES},
)
def search_service_account_for_facet(call: Call, account_facet: str) -> Response:
    """List the values of one attribute of service accounts."""
    return _one(call, kinds.SERVICES, account_facet)


@ROUTES.route(
    "/search/serviceaccount/facets",
    methods=("POST",),
    privilege=WavefrontPrivilege.ACCOUNT_SEARCH,
    body=Body.LOOSE_JSON,
    takes=documents.SOME_OF_SERVICES,
    answers={200: documents.VALUES_BY_FACET},
)
def search_service_account_for_facets(call: Call) -> Response:
    """List the values of several attributes of service accounts."""
    return _several(call, kinds.SERVICES)


@ROUTES.route(
    "/search/usergroup/<group_facet>",
    methods=("POST",),
    privilege=WavefrontPrivilege.USERGROUP_GET,
    body=Body.LOOSE_JSON,
    takes=documents.ONE_OF_GROUPS,
    answers={200: documents.VALUES},
)
def search_user_group_for_facet(call: Call, group_facet: str) -> Response:
    """List the values of one attribute of user groups."""
    return _one(call, kinds.GROUPS, group_facet)


@ROUTES.route(
    "/search/usergroup/facets",
    methods=("POST",),
    privilege=WavefrontPrivilege.USERGROUP_GET,
    body=Body.LOOSE_JSON,
    takes=documents.SOME_OF_GROUPS,
    answers={200: documents.VALUES_BY_FACET},
)
def search_user_group_for_facets(call: Call) -> Response:
    """List the values of several attributes of user groups."""
    return _several(call, kinds.GROUPS)


@ROUTES.route(
    "/search/role/<role_facet>",
    methods=("POST",),
    privilege=WavefrontPrivilege.ROLE_GET,
    body=Body.LOOSE_JSON,
    takes=documents.ONE_OF_ROLES,
    answers={200: documents.VALUES},
)
def search_role_for_facet(call: Call, role_facet: str) -> Response:
    """List the values of one attribute of roles."""
    return _one(call, kinds.ROLES, role_facet)


@ROUTES.route(
    "/search/role/facets",
    methods=("POST",),
    privilege=WavefrontPrivilege.ROLE_GET,
    body=Body.LOOSE_JSON,
    takes=documents.SOME_OF_ROLES,
    answers={200: documents.VALUES_BY_FACET},
)
def search_role_for_facets(call: Call) -> Response:
    """List the values of several attributes of roles."""
    return _several(call, kinds.ROLES)


@ROUTES.route(
    "/search/token/<token_facet>",
    methods=("POST",),
    privilege=WavefrontPrivilege.TOKEN_ALL_GET,
    body=Body.LOOSE_JSON,
    takes=documents.ONE_OF_TOKENS,
    answers={200: documents.VALUES},
)
def search_token_for_facet(call: Call, token_facet: str) -> Response:
    """List the values of one attribute of tokens; a token itself is none of them."""
    return _one(call, kinds.TOKENS, token_facet)


@ROUTES.route(
    "/search/token/facets",
    methods=("POST",),
    privilege=WavefrontPrivilege.TOKEN_ALL_GET,
    body=Body.LOOSE_JSON,
    takes=documents.SOME_OF_TOKENS,
    answers={200: documents.VALUES_BY_FACET},
    raises=(AnswerTooLarge,),
)
def search_token_for_facets(call: Call) -> Response:
    """List the values of several attributes of tokens; a token itself is none of them."""
    return _several(call, kinds.TOKENS)


def _one(call: Call, facetted: Facetted, facet: str) -> Response:
    asked = _asked(schemas.facet_search(call.json, schemas.FACET))
    with call.reading(Facets) as facets:
        page = facets.of(call.grant, facetted, facet, asked)
    return paged(call, page, page.items)


def _several(call: Call, facetted: Facetted) -> Response:
    looked_for = schemas.facet_search(call.json, schemas.FACETS)
    asked = _asked(looked_for)
    with call.reading(Facets) as facets:
        values = facets.of_several(call.grant, facetted, looked_for.attributes["facets"], asked)
    return wrapped({"facets": {facet: [*listed] for facet, listed in values.items()}, "limit": asked.limit})


def _asked(looked_for: schemas.LookedFor) -> FacetSearch:
    attributes = looked_for.attributes
    return FacetSearch(
        [Condition(one["key"], one["value"], Method[one["matchingMethod"]]) for one in looked_for.conditions],
        attributes.get("facetQuery"),
        Method[attributes["facetQueryMatchingMethod"]],
        attributes.get("offset", 0),
        attributes.get("limit", schemas.PAGE),
    )
