"""The secrets of accounts, out of their envelopes or as references to them."""

from __future__ import annotations

from accounts_service.families.signals.store.accounts import FAMILY_NAME, Account
from accounts_service.storage.sealed import Place, Vault


def opened(vault: Vault, account: Account) -> dict[str, str]:
    """Open the account's secrets. That somebody is shown them is to be recorded. Raises UnreadableSecretError."""
    return {name: vault.open(_place(account, name), envelope) for name, envelope in account.secrets.items()}


def referred(vault: Vault, account: Account) -> dict[str, str]:
    """Give references to the account's secrets. Raises UnreadableSecretError."""
    return {name: vault.reference(_place(account, name), envelope) for name, envelope in account.secrets.items()}


def _place(account: Account, secret: str) -> Place:
    return Place(FAMILY_NAME, account.uid, secret)
