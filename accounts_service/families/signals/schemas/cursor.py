"""The cursor of a search: everything the next page needs, sealed, since nothing of it is kept here."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from accounts_service.access.roles import Identity
from accounts_service.families.signals.schemas.search import ILLEGAL, PARSING, Search, lifetime
from accounts_service.faults import BadSearch, Json, NoSuchCursor, RefusedError
from accounts_service.storage.sealed import Place, UnreadableSecretError, Vault

_LONGEST = 64 * 1024
_PLACE = Place("signals", "scroll", "cursor")

Last: TypeAlias = "tuple[str | int | None, ...]"


@dataclass(frozen=True, slots=True)
class Cursor:
    """Whose search it is, in which tenant (none: global), what was asked, and after what the next page begins."""

    realm: str
    name: str
    tenant: str
    body: Json = field(repr=False)
    search: Search
    last: Last | None = None

    def after(self, last: Last | None) -> Cursor:
        """Give the cursor of the page that begins after `last`."""
        return dataclasses.replace(self, last=last)

    def sealed(self, vault: Vault, until_ms: int) -> str:
        """Write the cursor as `_scroll_id`. Raises RefusedError(BadSearch) when the search is too long for one."""
        asked = [self.body, self.search.size]
        text = json.dumps([self.realm, self.name, self.tenant, asked, self.last, until_ms], ensure_ascii=False)
        sealed = vault.seal(_PLACE, text)
        if len(sealed) > _LONGEST:
            raise RefusedError(BadSearch(((ILLEGAL, "the search is too long for a scroll"),)))
        return sealed

    @classmethod
    def opened(cls, vault: Vault, text: str, caller: Identity, now_ms: int) -> Cursor:
        """Read a `_scroll_id`. Raises RefusedError(NoSuchCursor): not ours, of somebody else, or over."""
        try:
            document: list[Any] = json.loads(vault.open(_PLACE, text) if len(text) <= _LONGEST else "[]")
        except UnreadableSecretError:
            document = []
        match document:
            case [caller.realm, caller.name, str(tenant), [body, int(size)], last, int(until_ms)] if now_ms < until_ms:
                search = Search.of(body, {"size": str(size)})
                return cls(caller.realm, caller.name, tenant, body, search, None if last is None else tuple(last))
            case _:
                raise RefusedError(NoSuchCursor())


def sent_cursor(body: Json, parameters: Mapping[str, str]) -> tuple[str, int | None]:
    """Find `scroll_id` and `scroll` in the body or the URL, which wins; the latter in milliseconds, None without.

    Raises RefusedError(BadSearch).
    """
    document = body if isinstance(body, dict) else {}
    wrong = [f"unknown parameter [{name}] in request body" for name in document.keys() - {"scroll", "scroll_id"}]
    if not isinstance(body, dict | None):
        wrong.append("the body must be an object")
    sent = parameters.get("scroll_id", document.get("scroll_id"))
    if not isinstance(sent, str):
        wrong.append("[scroll_id] is missing, or no text")
    scroll = parameters.get("scroll", document.get("scroll"))
    if not isinstance(scroll, str | None):
        wrong.append("[scroll] must be a time, such as 60s")
    if wrong or not isinstance(sent, str) or not isinstance(scroll, str | None):
        raise RefusedError(BadSearch(tuple((PARSING, reason) for reason in wrong)))
    return sent, None if scroll is None else lifetime(scroll)


def sent_cursors(body: Json, parameters: Mapping[str, str]) -> list[str]:
    """Find the cursors to let go of, in the body or the URL. Raises RefusedError(BadSearch)."""
    document = body if isinstance(body, dict) else {}
    wrong = [f"unknown parameter [{name}] in request body" for name in document.keys() - {"scroll_id"}]
    listed = document.get("scroll_id", [])
    sent = listed if isinstance(listed, list) else [listed]
    cursors = [one for one in sent if isinstance(one, str)]
    if not isinstance(body, dict | None) or len(cursors) != len(sent):
        wrong.append("[scroll_id] must be a text or a list of texts")
    if wrong:
        raise RefusedError(BadSearch(tuple((PARSING, reason) for reason in wrong)))
    return [*cursors, *([parameters["scroll_id"]] if "scroll_id" in parameters else [])]
