"""Tokens of others in answers: shown once that is on record.

A token is shown whole or not at all, since clients know no other form of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from accounts_service.families.wavefront.store.directory import FAMILY_NAME, Account, Token
from accounts_service.storage.audit import Author
from accounts_service.storage.reveals import Reveal, Revealing
from accounts_service.web.gate import Call

_ACT = "cluster:admin:wavefront:token/reveal"


def recorded(call: Call, tokens: Sequence[Token]) -> Sequence[Token]:
    """Return tokens once it is recorded that they are shown, for reading.

    Raises RefusedError with Overloaded or Unavailable when that cannot be recorded.
    """
    reveals = _reveals(call, tokens)
    if reveals:
        call.services.witness.shown(FAMILY_NAME, _author(call), reveals)
    call.revealed += reveals
    return tokens


def within(call: Call, store: Revealing, tokens: Iterable[Token]) -> None:
    """Record in the transaction of a change that its answer shows tokens."""
    reveals = _reveals(call, tokens)
    store.reveal(FAMILY_NAME, _author(call), reveals)
    call.revealed += reveals


def with_tokens(call: Call, accounts: Sequence[Account]) -> Sequence[Account]:
    """Return service accounts once it is recorded that their tokens are shown. Raises as `recorded` does."""
    recorded(call, [token for account in accounts for token in account.tokens])
    return accounts


def _author(call: Call) -> Author:
    return Author(call.caller.realm, call.caller.name, call.request_id)


def _reveals(call: Call, tokens: Iterable[Token]) -> list[Reveal]:
    return [
        Reveal("", _ACT, f"token {token.uid} of {token.account}", token.uid, token.version, f"token {token.uid}")
        for token in tokens
        if token.account_uid != call.caller.own
    ]
