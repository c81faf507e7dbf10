"""Passwords that somebody says: how many may be wrong, and what follows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from accounts_service.families.mention.store.accounts import Account
from accounts_service.faults import RefusedError
from accounts_service.identifiers import folded
from accounts_service.storage.limits import Limit, Limits
from accounts_service.web.gate import Call, network_of

_QUARTER_OF_AN_HOUR_S = 15 * 60
_CHECKS = Limit("mention-checks", 100, _QUARTER_OF_AN_HOUR_S)


@dataclass(frozen=True, slots=True)
class _Attempt:
    """What an attempt counts against. `whose`: the account that is tried, where there is one."""

    limit: Limit
    subject: str
    whose: str = ""


def _attempts(call: Call, email: str, whose: str) -> Iterator[_Attempt]:
    settings, network = call.services.settings, network_of(call)
    if network is not None:
        # First: who has used up his own attempts makes no counts for addresses that he makes up.
        of_address = Limit("mention-address", settings.mention_wrong_passwords_per_address, _QUARTER_OF_AN_HOUR_S)
        yield _Attempt(of_address, network)
    of_account = Limit("mention-password", settings.mention_wrong_passwords_per_account, _QUARTER_OF_AN_HOUR_S)
    # By the account where there is one: its address can be changed, and changed back.
    yield _Attempt(of_account, whose or folded(email), whose)


def is_right(call: Call, account: Account | None, email: str, password: str) -> bool:
    """Tell whether it is the password of an account, or of none, which takes as long.

    Raises RefusedError: TooManyAttempts before anything is hashed, or Overloaded.
    """
    limits = call.services.limits
    taken: list[_Attempt] = []
    try:
        # Counted before it is tried: of a hundred at once only so many get that far.
        for attempt in _attempts(call, email, "" if account is None else account.id):
            limits.take(attempt.limit, attempt.subject, attempt.whose)
            taken.append(attempt)
        if account is not None:
            # Of right ones as well, since each is hashed: this is not given back.
            limits.take(_CHECKS, account.id)
        stored = None if account is None else account.password
        right = call.services.passwords.verify(stored, password, call.principal)
    except RefusedError:
        _give_back(limits, taken)
        raise
    if right:
        _give_back(limits, taken)
    else:
        limits.fail(taken[-1].limit, taken[-1].subject)
    return right


def _give_back(limits: Limits, taken: list[_Attempt]) -> None:
    for attempt in taken:
        limits.give_back(attempt.limit, attempt.subject)
