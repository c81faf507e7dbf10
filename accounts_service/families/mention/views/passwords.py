"""Checks of the passwords of Mention's accounts, on the page and where a password is changed."""

from __future__ import annotations

from collections.abc import Callable

from accounts_service.families.mention.store.accounts import FAMILY_NAME, Account
from accounts_service.identifiers import folded
from accounts_service.storage.limits import Limit
from accounts_service.web.gate import Call, network_of

# Of right passwords as well, since each check is a hash.
_CHECKS = Limit("mention-checks", 100, 15 * 60)
_FAILED = "mention-password"


def is_right(call: Call, account: Account | None, email: str, password: str) -> bool:
    """Return whether it is the password of an account; None, for no account, costs as much.

    Raises RefusedError: TooManyAttempts before anything is hashed, or Overloaded.
    """
    services, network = call.services, network_of(call)
    # By the account where there is one: its address can be changed, and changed back.
    name = folded(email) if account is None else account.id

    def checked(check: Callable[[], bool]) -> bool:
        def counted() -> bool:
            # By network as well, so that one does not use up the checks of another.
            services.limits.take(_CHECKS, f"{network} {name}")
            return check()

        return services.log_in_limits.checked(FAMILY_NAME, name, network, counted)

    stored = None if account is None else account.password
    right = services.passwords.verify(stored, password, call.principal, name, checked)
    if not right:
        services.limits.note_failure(_FAILED, "" if account is None else account.id)
    return right
