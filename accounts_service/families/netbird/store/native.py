"""Users and tokens for those who set an installation up, at the command line."""

from __future__ import annotations

from accounts_service.access.native_jwt import is_user_id
from accounts_service.config import Settings
from accounts_service.families.netbird.privileges import OWNER, ROLE_NAMES, USER
from accounts_service.families.netbird.store.accounts import PRIVATE, Person, domain_key
from accounts_service.families.netbird.store.tokens import ALL_TOKENS, Tokens, is_token
from accounts_service.families.netbird.store.users import User, Users
from accounts_service.identifiers import is_misleading
from accounts_service.web.services import BadTokenOrderError, NativeTokens, TokenFacts, TokenOrder

_DAYS = 365


class UserTokens(NativeTokens):
    """Tokens of users. An account is named by its domain."""

    def create(self, order: TokenOrder, settings: Settings) -> str:  # noqa: ARG002  # no setting matters here
        """Make a token; with `create` its user and account, too. Raises BadTokenOrderError."""
        role = _role(order)
        users = Tokens(self._session)
        user = users.find(order.principal)
        if user is None:
            if not order.create:
                raise BadTokenOrderError(f"netbird has no {order.principal}; add --create to make it")
            user = self._join(users, order, role or USER)
        elif order.account is not None and _domain_of(users, user) != domain_key(order.account):
            raise BadTokenOrderError(f"{order.principal} belongs to another account")
        elif role not in (None, user.role):
            raise BadTokenOrderError(f"{order.principal} has the role {user.role}")
        days = order.expires_in_days or _DAYS
        if days > _DAYS:
            raise BadTokenOrderError(f"a token holds for {_DAYS} days at most")
        return users.make_token_for(user, order.name, days, created_by=user.id)[0]

    @staticmethod
    def _join(users: Users, order: TokenOrder, role: str) -> User:
        if not order.account:
            raise BadTokenOrderError("--account says to which domain a new user belongs")
        if is_misleading(order.principal):
            raise BadTokenOrderError("a new user's id has no space at its beginning or end")
        domain = domain_key(order.account)
        account = users.primary(order.account)
        if account is None and role != OWNER:
            raise BadTokenOrderError(f"there is no account of {domain}; who makes it is its owner: --role owner")
        if account is not None and role == OWNER:
            raise BadTokenOrderError(f"the account of {domain} has an owner")
        person = Person(order.principal, order.principal, order.principal if "@" in order.principal else "")
        account = account or users.make(domain, PRIVATE, person)
        return users.join(account.id, person, role, approved=True)

    def facts(self, principal: str | None) -> list[TokenFacts]:
        """List tokens, by user and age."""
        return [
            TokenFacts(row.id, row.user_id, row.name, row.created_us, row.last_used_us, row.expires_us)
            for row in self._session.read(ALL_TOKENS)
            if principal in (None, row.user_id)
        ]

    def identifier_of(self, token: str) -> str | None:
        """Return the identifier of a token, or None if there is no such token."""
        bearer = Tokens(self._session).bearer(token) if is_token(token) else None
        return None if bearer is None else bearer.token_id

    def revoke(self, identifier: str) -> bool:
        """Delete a token by its id."""
        return Tokens(self._session).revoke(identifier)


def _domain_of(users: Users, user: User) -> str | None:
    account = users.account(user.account_id)
    return None if account is None else domain_key(account.domain)


def _role(order: TokenOrder) -> str | None:
    if order.permissions:
        raise BadTokenOrderError("users of netbird have roles, and no permissions")
    if len(order.roles) > 1 or (order.roles and order.roles[0] not in ROLE_NAMES):
        raise BadTokenOrderError(f"one --role of {', '.join(ROLE_NAMES)}")
    if not is_user_id(order.principal):
        raise BadTokenOrderError(
            "a user's id is a line of at most 255 characters without slashes, and neither `current` nor `invites`"
        )
    return order.roles[0] if order.roles else None
