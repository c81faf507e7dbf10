"""Searches: `/search`. That nothing is found is no error."""

from __future__ import annotations

from flask import Response

from accounts_service.families.wavefront import documents, schemas
from accounts_service.families.wavefront.privileges import WavefrontPrivilege
from accounts_service.families.wavefront.store.search import Condition, Method, Search, Searches
from accounts_service.families.wavefront.views import shown
from accounts_service.families.wavefront.views.models import Models, paged
from accounts_service.faults import AnswerTooLarge, Json
from accounts_service.web.family import Body, Routes
from accounts_service.web.gate import Call

ROUTES = Routes()


@ROUTES.route(
    "/search/user",
    methods=("POST",),
    privilege=WavefrontPrivilege.ACCOUNT_SEARCH,
    body=Body.LOOSE_JSON,
    takes=documents.SEARCH_USERS,
    answers={200: documents.FOUND_USERS},
    raises=(AnswerTooLarge,),
)
def search_users(call: Call) -> Response:
    """Search users."""
    search = _search(call)
    with call.reading(Searches) as searches:
        page = searches.users(call.grant, search)
    return paged(call, page, map(Models(call).found_user, page.items), sort=_order(search))


@ROUTES.route(
    "/search/account",
    methods=("POST",),
    privilege=WavefrontPrivilege.ACCOUNT_SEARCH,
    body=Body.LOOSE_JSON,
    takes=documents.SEARCH_ACCOUNTS,
    answers={200: documents.FOUND_ACCOUNTS},
    raises=(AnswerTooLarge,),
)
def search_accounts(call: Call) -> Response:
    """Search accounts of both kinds."""
    search = _search(call)
    with call.reading(Searches) as searches:
        page = searches.both(call.grant, search)
    return paged(call, page, map(Models(call).account, page.items), sort=_order(search))


@ROUTES.route(
    "/search/serviceaccount",
    methods=("POST",),
    privilege=WavefrontPrivilege.ACCOUNT_SEARCH,
    optional=(WavefrontPrivilege.TOKEN_ALL_GET,),
    body=Body.LOOSE_JSON,
    takes=documents.SEARCH_SERVICE_ACCOUNTS,
    answers={200: documents.FOUND_SERVICE_ACCOUNTS},
    raises=(AnswerTooLarge,),
)
def search_service_accounts(call: Call) -> Response:
    """Search service accounts."""
    search = _search(call)
    with call.reading(Searches) as searches:
        page = searches.services(call.grant, search)
    return paged(call, page, map(Models(call).service, shown.with_tokens(call, page.items)), sort=_order(search))


@ROUTES.route(
    "/search/usergroup",
    methods=("POST",),
    privilege=WavefrontPrivilege.USERGROUP_GET,
    body=Body.LOOSE_JSON,
    takes=documents.SEARCH_USER_GROUPS,
    answers={200: documents.FOUND_USER_GROUPS},
    raises=(AnswerTooLarge,),
)
def search_user_groups(call: Call) -> Response:
    """Search user groups."""
    search = _search(call)
    with call.reading(Searches) as searches:
        page = searches.user_groups(call.grant, search)
    return paged(call, page, map(Models(call).user_group, page.items), sort=_order(search))


@ROUTES.route(
    "/search/role",
    methods=("POST",),
    privilege=WavefrontPrivilege.ROLE_GET,
    body=Body.LOOSE_JSON,
    takes=documents.SEARCH_ROLES,
    answers={200: documents.FOUND_ROLES},
    raises=(AnswerTooLarge,),
)
def search_roles(call: Call) -> Response:
    """Search roles."""
    search = _search(call)
    with call.reading(Searches) as searches:
        page = searches.all_roles(call.grant, search)
    return paged(call, page, map(Models(call).role, page.items), sort=_order(search))


@ROUTES.route(
    "/search/token",
    methods=("POST",),
    privilege=WavefrontPrivilege.TOKEN_ALL_GET,
    body=Body.LOOSE_JSON,
    takes=documents.SEARCH_TOKENS,
    answers={200: documents.FOUND_TOKENS},
    raises=(AnswerTooLarge,),
)
def search_tokens(call: Call) -> Response:
    """Search everybody's tokens; a token itself is found whole or not at all."""
    search = _search(call)
    with call.reading(Searches) as searches:
        page = searches.tokens(call.grant, search)
    return paged(call, page, map(Models(call).customer_token, shown.recorded(call, page.items)), sort=_order(search))


def _search(call: Call) -> Search:
    asked = schemas.search(call.json)
    conditions = [Condition(one["key"], one["value"], Method[one["matchingMethod"]]) for one in asked.conditions]
    return Search(conditions, asked.offset, asked.limit, asked.sort, asked.ascending)


def _order(search: Search) -> dict[str, Json]:
    if search.sort is None:
        return {"field": "default", "ascending": search.ascending, "default": True}
    return {"field": search.sort, "ascending": search.ascending}
