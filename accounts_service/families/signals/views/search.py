"""Searches: `_search` over the global accounts and a tenant's, and the cursor that goes on with one."""

from __future__ import annotations

import time

from flask import Response

from accounts_service.access.privileges import Either, InTenant
from accounts_service.families.signals import documents
from accounts_service.families.signals.privileges import SignalsPrivilege
from accounts_service.families.signals.schemas.cursor import Cursor, sent_cursor, sent_cursors
from accounts_service.families.signals.schemas.search import Search
from accounts_service.families.signals.store.accounts import tenant_key
from accounts_service.families.signals.store.search import AccountSearch, Page
from accounts_service.families.signals.views.accounts import answer, source
from accounts_service.faults import BadSearch, Json, NoSuchCursor
from accounts_service.web.family import Body, Routes
from accounts_service.web.gate import Call

ROUTES = Routes()

_GLOBAL = Either(SignalsPrivilege.ACCOUNT_SEARCH, SignalsPrivilege.DESTINATION_SEARCH)
_OF_TENANT = InTenant(SignalsPrivilege.TENANT_ACCOUNT_SEARCH, "tenant")
_REVEAL = (SignalsPrivilege.ACCOUNT_REVEAL, SignalsPrivilege.TENANT_ACCOUNT_REVEAL)
_PARAMETERS = frozenset(("from", "size", "scroll"))


@ROUTES.route(
    "/_signals/account/_search",
    methods=("GET", "POST"),
    privilege=_GLOBAL,
    optional=_REVEAL,
    body=Body.OPTIONAL_JSON,
    parameters=_PARAMETERS,
    takes=documents.SEARCH,
    answers={200: documents.HITS},
    raises=(BadSearch,),
)
def search_accounts(call: Call) -> Response:
    """Find global accounts; their secrets are shown as in reads, and never searched."""
    return _first_page(call, "")


@ROUTES.route(
    "/_signals/account/<tenant>/_search",
    methods=("GET", "POST"),
    privilege=_OF_TENANT,
    optional=_REVEAL,
    body=Body.OPTIONAL_JSON,
    parameters=_PARAMETERS,
    takes=documents.SEARCH,
    answers={200: documents.HITS},
    raises=(BadSearch,),
)
def search_accounts_of_tenant(call: Call, tenant: str) -> Response:
    """Find accounts of a tenant, and the global ones."""
    return _first_page(call, tenant_key(tenant))


@ROUTES.route(
    "/_search/scroll",
    methods=("GET", "POST"),
    privilege=SignalsPrivilege.SCROLL,
    body=Body.OPTIONAL_JSON,
    parameters=frozenset(("scroll", "scroll_id")),
    takes=documents.CURSOR,
    answers={200: documents.HITS},
    raises=(BadSearch, NoSuchCursor),
)
def scroll(call: Call) -> Response:
    """Give the next page of a search; the privilege of the search is asked for again."""
    text, scroll_ms = sent_cursor(call.json, call.request.args)
    vault = call.services.database.vault
    cursor = Cursor.opened(vault, text, call.caller, _now_ms())
    requirement = _OF_TENANT if cursor.tenant else _GLOBAL
    call.grant = call.granted(requirement, {"tenant": cursor.tenant}, _REVEAL)
    return _page(call, cursor, scroll_ms)


@ROUTES.route(
    "/_search/scroll",
    methods=("DELETE",),
    privilege=SignalsPrivilege.SCROLL_CLEAR,
    body=Body.OPTIONAL_JSON,
    parameters=frozenset(("scroll_id",)),
    takes=documents.CURSORS,
    answers={200: documents.CLEARED},
    raises=(BadSearch,),
)
def clear_scroll(call: Call) -> Response:
    """Let go of cursors. None is kept here, so nothing is freed; each ends with its time."""
    sent_cursors(call.json, call.request.args)
    return answer(call, {"succeeded": True, "num_freed": 0})


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _first_page(call: Call, tenant: str) -> Response:
    search = Search.of(call.json, call.request.args)
    cursor = Cursor(call.caller.realm, call.caller.name, tenant, call.json, search)
    return _page(call, cursor, search.scroll_ms)


def _page(call: Call, cursor: Cursor, scroll_ms: int | None) -> Response:
    started = _now_ms()
    with call.reading(AccountSearch) as accounts:
        page = accounts.search({"", cursor.tenant}, cursor.search, cursor.last)
        hits = [_hit(call, accounts, cursor.search, number, page) for number in range(len(page.hits))]
    document = {"took": _now_ms() - started, "timed_out": False, **_found(cursor.search, page, hits)}
    if scroll_ms is not None:
        vault = call.services.database.vault
        document = {"_scroll_id": cursor.after(page.last).sealed(vault, started + scroll_ms), **document}
    return answer(call, document)


def _found(search: Search, page: Page, hits: list[Json]) -> dict[str, Json]:
    return {
        "_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0},
        "hits": {
            "total": {"value": page.total, "relation": "gte" if page.more else "eq"},
            "max_score": None if search.order or not hits else 1.0,
            "hits": hits,
        },
    }


def _hit(call: Call, accounts: AccountSearch, search: Search, number: int, page: Page) -> Json:
    hit = page.hits[number]
    shown: dict[str, Json] = {
        "_index": ".signals_accounts",
        "_id": hit.account.key.scoped_id,
        "_score": None if search.order else 1.0,
    }
    if not search.shown.nothing:
        shown["_source"] = search.shown.of(source(call, accounts, hit.account))
    if search.order:
        shown["sort"] = [*hit.sorted_by]
    return shown
