"""Tokens of others in answers: shown once that is on record.

A token is shown whole or not at all, since clients know no other form of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from accounts_service.families.wavefront.store.directory import FAMILY_NAME, Account, Token
from accounts_service.faults import RefusedError, Unavailable
from accounts_service.storage.audit import Author
from accounts_service.storage.reveals import Reveal, Revealing
from accounts_service.web.gate import Call

_ACT = "cluster:admin:wavefront:token/reveal"


def recorded(call: Call, tokens: Sequence[Token]) -> Sequence[Token]:
    """Give tokens that are on record as shown; for reading. Raises RefusedError(Unavailable)."""
    if not _may_show(call, tokens):
        raise RefusedError(Unavailable(retry_after=1))
    return tokens


def within(call: Call, store: Revealing, tokens: Iterable[Token]) -> None:
    """Record in the transaction of a change that its answer shows tokens."""
    reveals = _reveals(call, tokens)
    store.reveal(FAMILY_NAME, _author(call), reveals)
    call.revealed += reveals


def with_tokens(call: Call, accounts: Sequence[Account]) -> list[Account]:
    """Give service accounts with their tokens, or as who may not see these is given them."""
    if _may_show(call, [token for account in accounts for token in account.tokens]):
        return [*accounts]
    return [replace(account, tokens=()) for account in accounts]


def _may_show(call: Call, tokens: Iterable[Token]) -> bool:
    reveals = _reveals(call, tokens)
    if reveals and not call.services.witness.shown(FAMILY_NAME, _author(call), reveals):
        return False
    call.revealed += reveals
    return True


def _author(call: Call) -> Author:
    return Author(call.caller.realm, call.caller.name, call.request_id)


def _reveals(call: Call, tokens: Iterable[Token]) -> list[Reveal]:
    return [
        Reveal("", _ACT, f"token {token.uid} of {token.account}", token.uid, token.version, f"token {token.uid}")
        for token in tokens
        if token.account_uid != call.caller.own
    ]
