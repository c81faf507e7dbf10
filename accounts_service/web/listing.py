"""Lists as answers, written element by element, so that a list that is too large is never in memory whole."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import ExitStack

from flask import Response

from accounts_service.faults import AnswerTooLarge, Json, RefusedError
from accounts_service.web.gate import Call
from accounts_service.web.pages import SMALL_PAGE


def list_response(  # noqa: PLR0913  # what an answer may look like
    call: Call,
    items: Iterable[Json],
    frame: Json = None,
    *,
    media_type: str = "application/json",
    end: str = "",
    is_cut: bool = False,
) -> Response:
    """Answer with a list of `items`, in the place of the first empty list of `frame`; by itself without one.

    A list of more than SMALL_PAGE bytes is finished in turn with those of other
    callers, and counts until it is sent. Raises RefusedError: AnswerTooLarge for one
    of more bytes than a page may have, unless it `is_cut` there, or Overloaded.
    """
    pages, principal = call.services.pages, (call.caller.realm, call.caller.name)
    before, _, after = _dumped([] if frame is None else frame).partition("[]")
    written: list[str] = []
    size = 0
    with ExitStack() as turn:
        for item in items:
            written.append(_dumped(item))
            is_small = size <= SMALL_PAGE
            size += len(written[-1].encode()) + 1
            if size > pages.page_bytes:
                if not is_cut:
                    raise RefusedError(AnswerTooLarge())
                size -= len(written.pop().encode()) + 1
                break
            if is_small and size > SMALL_PAGE:
                turn.enter_context(pages.turn(principal))
        # Accounts may hold secrets; nothing here is for a cache to keep.
        text = f"{before}[{','.join(written)}]{after}{end}"
        response = Response(text, 200, {"Cache-Control": "no-store"}, content_type=media_type)
        if size > SMALL_PAGE:
            response.call_on_close(pages.hold(principal, size))
    return response


def _dumped(document: Json) -> str:
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
