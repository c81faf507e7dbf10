"""Searches: `/_signals/account/_search`, those of a tenant, and `/_search/scroll` to read on in either."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace

from flask import Response

from accounts_service.access.privileges import Either, Grant, InTenant
from accounts_service.families.signals import documents
from accounts_service.families.signals.privileges import SignalsPrivilege
from accounts_service.families.signals.schemas.search import (
    Search,
    check_ended,
    read_continuation,
    read_search,
)
from accounts_service.families.signals.store.accounts import tenant_key
from accounts_service.families.signals.store.search import Cursor, Hit, Page, PageTooLargeError, Searches
from accounts_service.families.signals.views.accounts import concurrency, source
from accounts_service.families.signals.views.answers import answer, filter_of, holds_any
from accounts_service.families.signals.views.shown import Secrets, disclose
from accounts_service.faults import (
    BadQuery,
    Json,
    NoSuchScroll,
    Overloaded,
    QueryFlaw,
    QueryProblem,
    RefusedError,
)
from accounts_service.web.body import has_body
from accounts_service.web.family import Body, Routes
from accounts_service.web.gate import Call
from accounts_service.web.pages import SMALL_PAGE

ROUTES = Routes()

SEARCH = "/_signals/account/_search"
SEARCH_IN_TENANT = "/_signals/account/<tenant>/_search"
SCROLL = "/_search/scroll"

_METHODS = ("GET", "POST")
_LONGEST_NS = 10_000_000_000
_PARAMETERS = frozenset(("from", "size", "scroll"))

# Asked for at the first page and again at each that follows.
_GLOBALLY = Either(SignalsPrivilege.ACCOUNT_SEARCH, SignalsPrivilege.DESTINATION_SEARCH)
_WITHIN = InTenant(SignalsPrivilege.TENANT_ACCOUNT_SEARCH, "tenant")
_REVEAL_GLOBALLY = (SignalsPrivilege.ACCOUNT_REVEAL,)
_REVEAL_WITHIN = (SignalsPrivilege.ACCOUNT_REVEAL, SignalsPrivilege.TENANT_ACCOUNT_REVEAL)


@ROUTES.route(
    SEARCH,
    methods=_METHODS,
    privilege=_GLOBALLY,
    optional=_REVEAL_GLOBALLY,
    body=Body.OPTIONAL_JSON,
    parameters=_PARAMETERS,
    takes=documents.SEARCH,
    answers={200: documents.HITS},
    raises=(BadQuery,),
)
def search_accounts(call: Call) -> Response:
    """Search the global accounts."""
    return _search(call, "")


@ROUTES.route(
    SEARCH_IN_TENANT,
    methods=_METHODS,
    privilege=_WITHIN,
    optional=_REVEAL_WITHIN,
    body=Body.OPTIONAL_JSON,
    parameters=_PARAMETERS,
    takes=documents.SEARCH,
    answers={200: documents.HITS},
    raises=(BadQuery,),
)
def search_accounts_of_tenant(call: Call, tenant: str) -> Response:
    """Search the accounts of a tenant, and the global ones with them."""
    return _search(call, tenant_key(tenant))


@ROUTES.route(
    SCROLL,
    methods=_METHODS,
    privilege=SignalsPrivilege.SCROLL,
    body=Body.OPTIONAL_JSON,
    parameters=frozenset(("scroll", "scroll_id")),
    takes=documents.CURSOR,
    answers={200: documents.HITS},
    raises=(BadQuery, NoSuchScroll),
)
def scroll(call: Call) -> Response:
    """Read on in a search; its privilege is asked for again, as it may have been taken away."""
    started = time.perf_counter_ns()
    asked = read_continuation(_document(call), call.request.args)
    with call.reading(Searches) as searches:
        cursor = searches.opened(call.caller, asked.scroll_id)
    search = replace(_search_of(cursor), scroll_seconds=asked.scroll_seconds)
    grant = _granted(call, cursor.tenant)

    def read(most_bytes: int) -> Response:
        with call.reading(Searches) as searches:
            page = searches.page(
                grant, cursor.tenant, search, cursor.last, most_bytes=most_bytes, with_global=_may_see_global(call)
            )
            token = searches.sealed(call.caller, cursor.tenant, search, page.last, cursor.expires_us)
        return answer(call, _shown(call, grant, search, page, started, token))

    return _budgeted(call, read)


@ROUTES.route(
    SCROLL,
    methods=("DELETE",),
    privilege=SignalsPrivilege.SCROLL_CLEAR,
    body=Body.OPTIONAL_JSON,
    parameters=frozenset(("scroll_id",)),
    takes=documents.CURSORS,
    answers={200: documents.CLEARED},
    raises=(BadQuery,),
)
def end_scroll(call: Call) -> Response:
    """End reading on. Nothing is kept here that could be freed."""
    check_ended(_document(call))
    return answer(call, {"succeeded": True, "num_freed": 0})


def _document(call: Call) -> Json:
    # No body says the same as an empty object; null is a document, and no object.
    return call.json if has_body(call.request) else {}


def _search(call: Call, tenant: str) -> Response:
    started = time.perf_counter_ns()
    search = read_search(_document(call), call.request.args)

    def read(most_bytes: int) -> Response:
        with call.reading(Searches) as searches:
            page = searches.page(call.grant, tenant, search, most_bytes=most_bytes, with_global=_may_see_global(call))
            token = None
            if search.scroll_seconds is not None:
                token = searches.sealed(call.caller, tenant, search, page.last, None)
        return answer(call, _shown(call, call.grant, search, page, started, token))

    return _budgeted(call, read)


def _budgeted(call: Call, read: Callable[[int], Response]) -> Response:
    """Answer with `read`, which is given the bytes that it may read of accounts.

    A small page is read at once, a larger one in turn with those of other callers.
    """
    budget = call.services.pages
    try:
        return read(min(SMALL_PAGE, budget.page_bytes))
    except PageTooLargeError as error:
        size = error.size
    if size > budget.page_bytes:
        raise _too_large(size, budget.page_bytes)
    principal = (call.caller.realm, call.caller.name)
    with budget.turn(principal):
        try:
            response = read(budget.page_bytes)
        except PageTooLargeError as error:
            # Something was written meanwhile.
            raise _too_large(error.size, budget.page_bytes) from None
        response.call_on_close(budget.hold(principal, response.calculate_content_length() or 0))
        return response


def _too_large(size: int, most: int) -> RefusedError:
    reason = (
        f"Result is too large, the accounts of this page have [{size}] bytes but a page has at most [{most}]; "
        "ask for fewer with [size], or for less of each with [_source]; a scroll reads more"
    )
    return RefusedError(BadQuery((QueryProblem(QueryFlaw.ILLEGAL_ARGUMENT, reason),)))


def _may_see_global(call: Call) -> bool:
    # A tenant's search shows what is global to who holds nothing but the
    # tenant's privilege, but an exclusion wins through every door.
    return not call.snapshot.rules.excludes(call.caller, SignalsPrivilege.ACCOUNT_SEARCH)


def _granted(call: Call, tenant: str) -> Grant:
    if tenant:
        return call.granted(_WITHIN, {"tenant": tenant}, _REVEAL_WITHIN)
    return call.granted(_GLOBALLY, {}, _REVEAL_GLOBALLY)


def _search_of(cursor: Cursor) -> Search:
    """Read the search of a cursor anew: what another release wrote may mean nothing in this one."""
    try:
        return read_search(json.loads(cursor.body), {})
    except RefusedError:
        raise RefusedError(NoSuchScroll()) from None


def _shown(  # noqa: PLR0913, PLR0917  # all that an answer tells of
    call: Call, grant: Grant, search: Search, page: Page, started: int, token: str | None
) -> dict[str, Json]:
    """Write an answer as Elasticsearch does. All that was found scores the same, unless it was sorted."""
    score = None if search.sort else 1.0
    hits: list[Json] = [_hit(search, hit, of_it, score) for hit, of_it in _sources(call, grant, search, page, started)]
    return {
        **({} if token is None else {"_scroll_id": token}),
        "took": (time.perf_counter_ns() - started) // 1_000_000,
        "timed_out": False,
        "_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0},
        "hits": {
            **({} if page.total is None else {"total": _total(page.total, search.counted_to)}),
            "max_score": score if hits else None,
            "hits": hits,
        },
    }


def _total(found: int, counted_to: int | None) -> dict[str, Json]:
    if counted_to is None or found <= counted_to:
        return {"value": found, "relation": "eq"}
    return {"value": counted_to, "relation": "gte"}


def _sources(
    call: Call, grant: Grant, search: Search, page: Page, started: int
) -> list[tuple[Hit, dict[str, Json] | None]]:
    """Write what is asked for of each hit; of secrets in clear, which are recorded, no others."""
    if search.source is None:
        return [(hit, None) for hit in page.hits]
    selected = filter_of(call)
    several: list[tuple[Hit, Secrets]] = []
    for hit in page.hits:
        if time.perf_counter_ns() - started > _LONGEST_NS:
            # As a query is that takes too long.
            raise RefusedError(Overloaded())
        several.append((hit, Secrets.if_readable(call, grant, hit.account)))
    sources = [search.source.of(source(hit.account, secrets.references)) for hit, secrets in several]
    revealed = [
        secrets
        for (_, secrets), as_referred in zip(several, sources, strict=True)
        if secrets.clear is not None
        and holds_any(selected.of({"hits": {"hits": [{"_source": as_referred}]}}), secrets.references.values())
    ]
    if not revealed:
        return [(hit, as_referred) for (hit, _), as_referred in zip(several, sources, strict=True)]
    disclose(call, revealed)
    return [
        (hit, search.source.of(source(hit.account, secrets.references if secrets.clear is None else secrets.clear)))
        for hit, secrets in several
    ]


def _hit(search: Search, hit: Hit, of_it: dict[str, Json] | None, score: float | None) -> dict[str, Json]:
    shown: dict[str, Json] = {
        "_index": ".signals_accounts",
        "_id": hit.account.key.scoped_id,
        **({"_version": hit.account.version} if search.shows_version else {}),
        **(concurrency(hit.account) if search.shows_sequence else {}),
        "_score": score,
    }
    if of_it is not None:
        shown["_source"] = of_it
    if search.sort:
        shown["sort"] = list(hit.sort)
    return shown
