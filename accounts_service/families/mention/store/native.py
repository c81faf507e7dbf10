"""Accounts and tokens for those who set an installation up, at the command line."""

from __future__ import annotations

from accounts_service.config import Settings
from accounts_service.families.mention.schemas.accounts import NewAccount
from accounts_service.families.mention.store.accounts import Accounts
from accounts_service.families.mention.store.tokens import ALL, Tokens
from accounts_service.identifiers import folded, is_misleading
from accounts_service.validation.checks import is_address
from accounts_service.web.services import BadTokenOrderError, NativeTokens, TokenFacts, TokenOrder

_DAY_S = 24 * 3600
_LONGEST_EMAIL = 255


class AccountTokens(NativeTokens):
    """Tokens of accounts, which are named by their addresses."""

    def create(self, order: TokenOrder, settings: Settings) -> str:  # noqa: ARG002  # no setting matters here
        """Make a token; with `create` its account, too, which has no password. Raises BadTokenOrderError."""
        given = {"--role": order.roles, "--permission": order.permissions, "--account": order.account}
        if odd := [name for name, value in given.items() if value]:
            raise BadTokenOrderError(f"tokens of mention have no {', '.join(odd)}")
        if len(order.principal) > _LONGEST_EMAIL or not is_address(order.principal):
            raise BadTokenOrderError(f"{order.principal} is no e-mail address")
        accounts = Accounts(self._session)
        account = accounts.by_email(order.principal)
        if account is None:
            if not order.create:
                raise BadTokenOrderError(f"mention has no {order.principal}; add --create to make it")
            if is_misleading(order.principal):
                raise BadTokenOrderError(f"{order.principal!r} has invisible characters")
            name = order.principal.partition("@")[0]
            account = accounts.create(NewAccount(name, order.principal, "en", ""), None)
        seconds = None if order.expires_in_days is None else order.expires_in_days * _DAY_S
        return Tokens(self._session).make(account.id, order.name, None, seconds)[1]

    def facts(self, principal: str | None) -> list[TokenFacts]:
        """List tokens, by account and age."""
        wanted = None if principal is None else folded(principal)
        return [
            TokenFacts(row.id, row.email, row.name, row.created_us, row.last_used_us, row.expires_us)
            for row in self._session.read(ALL)
            if wanted in (None, folded(row.email))
        ]

    def identifier_of(self, token: str) -> str | None:
        """Return the identifier of a token, or None if there is no such token."""
        bearer = Tokens(self._session).bearer(token)
        return None if bearer is None else bearer.token_id

    def revoke(self, identifier: str) -> bool:
        """Delete a token by its identifier."""
        return Tokens(self._session).revoke(identifier)
