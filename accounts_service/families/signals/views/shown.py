"""The secrets of accounts in answers: in clear once that is on record, or as references."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from accounts_service.access.privileges import Grant
from accounts_service.families.signals.store.accounts import FAMILY_NAME, Account, references_of, revealing, reveals
from accounts_service.faults import RefusedError, SecretUnreadable
from accounts_service.storage.audit import Author
from accounts_service.storage.reveals import Reveal
from accounts_service.storage.sealed import Place, UnreadableSecretError, Vault
from accounts_service.web import etags
from accounts_service.web.gate import Call

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Secrets:
    """The secrets of an account, in both forms; `clear` is None for who is to see references."""

    account: Account
    references: Mapping[str, str]
    clear: Mapping[str, str] | None = field(repr=False)

    @classmethod
    def of(cls, call: Call, grant: Grant, account: Account) -> Secrets:
        """Read the secrets for who has the grant. Raises RefusedError(SecretUnreadable)."""
        vault = call.services.vault
        try:
            clear = _opened(vault, account) if account.secrets and _in_clear(call, grant, account) else None
            return cls(account, references_of(vault, account), clear)
        except UnreadableSecretError as error:
            log.error("secret.unreadable", account=account.key.scoped_id, uid=account.uid, key=error.key)
            raise RefusedError(SecretUnreadable(error.key)) from None

    @classmethod
    def if_readable(cls, call: Call, grant: Grant, account: Account) -> Secrets:
        """Read the secrets, or none of them when one cannot be read: among many, one must not hide all."""
        try:
            return cls.of(call, grant, account)
        except RefusedError:
            return cls(account, {}, None)


def form_for(call: Call, grant: Grant, account: Account) -> str:
    """Name the form in which the reader may see the account, for its entity tag. Opens and records nothing."""
    return _form(account, in_clear=_in_clear(call, grant, account))


def shown(
    call: Call, grant: Grant, account: Account, is_any_shown: Callable[[Mapping[str, str]], bool]
) -> tuple[Mapping[str, str], str]:
    """Return the account's secrets as its one reader may see them, and the form that the answer has by that.

    `is_any_shown` is asked whether an answer with these references shows any of them: one that shows no secret
    is not recorded. Raises RefusedError(SecretUnreadable).
    """
    secrets = Secrets.of(call, grant, account)
    if secrets.clear is None:
        return secrets.references, _form(account, in_clear=False)
    if not is_any_shown(secrets.references):
        return secrets.references, _form(account, in_clear=True)
    disclose(call, [secrets])
    return secrets.clear, _form(account, in_clear=True)


def _form(account: Account, *, in_clear: bool) -> str:
    return etags.WHOLE if in_clear or not account.secrets else etags.REFERENCES


def _in_clear(call: Call, grant: Grant, account: Account) -> bool:
    return call.services.settings.signals_secrets_in_reads == "clear" or reveals(grant, account.key)


def disclose(call: Call, several: Sequence[Secrets]) -> None:
    """Record that secrets are about to be shown in clear.

    Raises RefusedError with Overloaded or Unavailable when that cannot be recorded:
    an alert engine would take a reference in its place for the password.
    """
    author = Author(call.caller.realm, call.caller.name, call.request_id)
    if several:
        call.services.witness.shown(FAMILY_NAME, author, [_reveal(one.account) for one in several])


def _opened(vault: Vault, account: Account) -> dict[str, str]:
    return {
        name: vault.open(Place(FAMILY_NAME, account.uid, name), envelope) for name, envelope in account.secrets.items()
    }


def _reveal(account: Account) -> Reveal:
    key = account.key
    return Reveal(key.tenant, revealing(key).action, key.scoped_id, account.uid, account.version)
