"""Accounts and tokens for those who set an installation up, at the command line."""

from __future__ import annotations

from marshmallow import ValidationError

from accounts_service.access.privileges import Everything, Grant
from accounts_service.config import WAVEFRONT_PERMISSIONS, Settings
from accounts_service.families.wavefront.privileges import WavefrontPrivilege
from accounts_service.families.wavefront.schemas import SERVICE_PREFIX, ServiceIdentifier, user_to_create
from accounts_service.families.wavefront.store.accounts import Accounts, Wish
from accounts_service.families.wavefront.store.directory import SERVICE, USER
from accounts_service.families.wavefront.store.tokens import ALL, Tokens
from accounts_service.faults import NoSuchObject, RefusedError
from accounts_service.identifiers import folded, is_misleading
from accounts_service.web.services import BadTokenOrderError, NativeTokens, TokenFacts, TokenOrder

# Whoever runs commands has the keys and the database in his hands.
_ALL = Grant(WavefrontPrivilege.ACCOUNT_PUT, Everything())


class AccountTokens(NativeTokens):
    """Tokens of users and of service accounts (`sa::…`)."""

    def create(self, order: TokenOrder, settings: Settings) -> str:
        """Make a token; with `create` its user or service account, too. Raises BadTokenOrderError or RefusedError."""
        _verify(order)
        kind = SERVICE if folded(order.principal).startswith(SERVICE_PREFIX) else USER
        accounts = Accounts(self._session)
        try:
            account = accounts.get(_ALL, order.principal, kind)
        except RefusedError as error:
            if not isinstance(error.fault, NoSuchObject):
                raise
            if not order.create:
                raise BadTokenOrderError(f"wavefront has no {order.principal}; add --create to make it") from None
            wish = Wish(permissions=order.permissions)
            account = accounts.make(_ALL, _identifier(order.principal, kind, settings), kind, wish).account
        else:
            for permission in order.permissions:
                accounts.permit(_ALL, [account.identifier], permission, held=True)
        return Tokens(self._session).make_for(account.uid, order.name)

    def facts(self, principal: str | None) -> list[TokenFacts]:
        """List tokens, by account and age."""
        wanted = None if principal is None else folded(principal)
        return [
            TokenFacts(row.uid, row.identifier, row.name or "", row.created_us, row.last_used_us)
            for row in self._session.read(ALL)
            if wanted in (None, folded(row.identifier))
        ]

    def identifier_of(self, token: str) -> str | None:
        """Return the identifier of a token, or None if there is no such token."""
        return Tokens(self._session).uid_of(token)

    def revoke(self, identifier: str) -> bool:
        """Delete a token by its identifier."""
        return Tokens(self._session).revoke_by_uid(_ALL, identifier)


def _verify(order: TokenOrder) -> None:
    if unknown := [name for name in order.permissions if name not in WAVEFRONT_PERMISSIONS]:
        raise BadTokenOrderError(f"no permission: {', '.join(unknown)}; there are {', '.join(WAVEFRONT_PERMISSIONS)}")
    given_all = {"--role": order.roles, "--account": order.account, "--expires-in": order.expires_in_days}
    if odd := [name for name, value in given_all.items() if value]:
        raise BadTokenOrderError(f"tokens of wavefront have no {', '.join(odd)}")


def _identifier(principal: str, kind: str, settings: Settings) -> str:
    if is_misleading(principal):
        raise BadTokenOrderError(f"{principal!r} has invisible characters, or a space at its beginning or end")
    field = ServiceIdentifier() if kind == SERVICE else user_to_create(settings).fields["emailAddress"]
    try:
        return str(field.deserialize(principal))
    except ValidationError:
        raise BadTokenOrderError(f"{principal} is no e-mail address, and no service account (sa::name)") from None
