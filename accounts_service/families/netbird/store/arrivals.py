"""People who log in with a JWT: who is known, and who is made a user on his first log-in."""

from __future__ import annotations

from accounts_service.access.native_jwt import NativeClaims
from accounts_service.families.netbird.privileges import OWNER, USER
from accounts_service.families.netbird.store.accounts import PRIVATE, PUBLIC, Account, Person, domain_key
from accounts_service.families.netbird.store.users import User, Users
from accounts_service.faults import NotAuthenticated, RefusedError
from accounts_service.identifiers import is_misleading
from accounts_service.storage.database import TransactionRefusedError


class Arrivals(Users):
    """What a good token says, held against what is stored."""

    def known(self, claims: NativeClaims) -> User | None:
        """Read the user whom a token is about, if he is there and nothing new is said of him.

        Raises RefusedError(NotAuthenticated) where the account does not let the token in.
        """
        user = self._person(claims)
        if user is None or user.last_login_us is None or (_logged_in_us(claims) or 0) > user.last_login_us:
            return None
        account = self.account(user.account_id)
        if account is None:
            return None  # It was deleted since, and he with it.
        _admit(account, claims)
        return user

    def arrive(self, claims: NativeClaims) -> User:
        """Take the user whom a token is about, and make him if he is new.

        Of a private domain he joins the account that is there, as a user who may
        have to be approved; else he founds one. Raises RefusedError(NotAuthenticated)
        where the account does not let the token in, and TransactionRefusedError
        when somebody did so at the same moment.
        """
        user = self._person(claims) or self._join(claims)
        account = self.account(user.account_id)
        if account is None:
            # It was deleted since, and he with it.
            raise TransactionRefusedError
        # Nothing stays of who is not let in.
        _admit(account, claims)
        at_us = _logged_in_us(claims)
        self.log_in(user.id, self._session.now_us if at_us is None else at_us)
        return user

    def _person(self, claims: NativeClaims) -> User | None:
        user = self.find(claims.user_id)
        if user is not None and user.service_user:
            # It logs in with tokens alone, whatever a provider lets people call themselves.
            raise RefusedError(NotAuthenticated())
        return user

    def _join(self, claims: NativeClaims) -> User:
        if is_misleading(claims.user_id):
            raise RefusedError(NotAuthenticated())
        category = _category(claims)
        person = Person(claims.user_id, claims.name or claims.preferred_username, claims.email)
        account = self.primary(claims.domain) if category == PRIVATE else None
        if account is not None:
            approved = not account.settings["extra"]["user_approval_required"]
            return self.join(account.id, person, USER, approved=approved)
        account = self.make(domain_key(claims.domain), category, person)
        return self.join(account.id, person, OWNER, approved=True)


def _logged_in_us(claims: NativeClaims) -> int | None:
    return None if claims.last_login is None else int(claims.last_login.timestamp() * 1_000_000)


def _category(claims: NativeClaims) -> str:
    # What is of no domain belongs to nobody else either.
    category = claims.domain_category if claims.domain else ""
    return category if category in {PRIVATE, PUBLIC} else ""


def _admit(account: Account, claims: NativeClaims) -> None:
    """Check that an account lets a token in: by its name, and by the groups it asks for.

    Raises RefusedError(NotAuthenticated).
    """
    private = PRIVATE in {account.domain_category, _category(claims)}
    elsewhere = private and claims.account_id and claims.account_id != account.id
    wanted = account.settings["jwt_allow_groups"] if account.settings["jwt_groups_enabled"] else []
    held = claims.groups(account.settings["jwt_groups_claim_name"])
    if elsewhere or (wanted and not set(wanted) & set(held)):
        raise RefusedError(NotAuthenticated())
