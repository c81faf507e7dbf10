"""Every query on accounts."""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from sqlalchemy import Row, delete, func, select, update

from accounts_service.access.privileges import Everything, Grant, Nothing, Own, Privilege, Tenants
from accounts_service.families.mention.privileges import MentionPrivilege
from accounts_service.families.mention.schemas.accounts import EMAIL_TAKEN, AccountWish, NewAccount
from accounts_service.families.mention.tables import ACCOUNT, CODE, SESSION, TOKEN
from accounts_service.faults import InvalidBody, Json, NoSuchObject, NotPermitted, Problem, RefusedError, Unfit
from accounts_service.identifiers import folded
from accounts_service.storage.audit import Change
from accounts_service.storage.database import RecordedStatement, Session, Store, TransactionRefusedError
from accounts_service.storage.statements import Statement, Value, given, insertion

FAMILY_NAME = "mention"


class Conditions(Protocol):
    """What the caller makes a write depend on."""

    def check(self, version: int | None, kind: str = "") -> None:
        """Raise RefusedError unless it holds for what is stored."""
        ...


@dataclass(frozen=True, slots=True)
class Account:
    """An account as it is stored. `sms_phone` is the number that short messages go to."""

    id: str
    uid: str
    name: str
    email: str
    phone: str | None
    language_code: str
    client: str | None
    sms_phone: str | None
    password: str | None = field(repr=False)
    created_us: int
    updated_us: int
    version: int
    # Not empty for one that was there before two spellings of its address were one.
    email_twin: str = ""


@dataclass(frozen=True, slots=True)
class Checked:
    """What a change was checked against: the hash and the address then. `kept`: the digest of the token it came with.

    `new_password` is the hash that takes the place of the old one.
    """

    password: str | None = field(repr=False)
    email: str
    kept: str = field(default="", repr=False)
    new_password: str | None = field(default=None, repr=False)


_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_SUFFIX_BITS = 256
# 2016, in microseconds: what ids count from.
_BEGAN_US = 1_451_606_400_000_000


def new_suffix() -> str:
    """Make what nobody guesses of an id: 256 random bits in base 36, 50 digits."""
    number, digits = secrets.randbits(_SUFFIX_BITS), ""
    while number:
        number, rest = divmod(number, len(_DIGITS))
        digits = _DIGITS[rest] + digits
    return digits.rjust(50, "0")


_THIS = ACCOUNT.c.id == given("id")
_FIND = Statement(select(ACCOUNT).where(_THIS))
_FIND_AND_LOCK = Statement(select(ACCOUNT).where(_THIS).with_for_update())
_BY_EMAIL = Statement(select(ACCOUNT).where(ACCOUNT.c.email_caseless == given("email")).order_by(ACCOUNT.c.email_twin))
_CREATE = RecordedStatement(insertion(ACCOUNT))
_OF_EMAIL = ("email", "email_folded", "email_caseless", "email_twin")
_CHANGED = ("name", *_OF_EMAIL, "phone", "language_code", "sms_phone", "password", "updated_us", "version")
_REPLACE = RecordedStatement(update(ACCOUNT).where(_THIS).values({name: given(name) for name in _CHANGED}))
_ATTRIBUTES = ("name", "email", "phone", "language_code", "sms_phone", "password")
_DELETE = RecordedStatement(delete(ACCOUNT).where(_THIS))

# What acts for an account. The token that a change comes with is none of the others.
_OTHERS = {
    "tokens": (TOKEN, (TOKEN.c.account_id == given("id"), TOKEN.c.digest != given("kept"))),
    "codes": (CODE, (CODE.c.account_id == given("id"),)),
    "sessions": (SESSION, (SESSION.c.account_id == given("id"),)),
}
_COUNT_OTHERS = Statement(
    select(
        *(
            select(func.count()).select_from(table).where(*of_account).scalar_subquery().label(name)
            for name, (table, of_account) in _OTHERS.items()
        )
    )
)
_END_OTHERS = Statement(*(delete(table).where(*of_account) for table, of_account in _OTHERS.values()))


class Accounts(Store):
    """Accounts. A method acts within the scope of the grant it is given."""

    def get(self, grant: Grant, account_id: str) -> Account:
        """Read an account. Raises RefusedError: NotPermitted for another's, NoSuchObject."""
        return self._there(_FIND, grant, account_id)

    def mine(self, grant: Grant) -> Account:
        """Read the caller's account. Raises RefusedError."""
        if not isinstance(grant.scope, Own):
            raise RefusedError(NotPermitted())
        return self.get(grant, grant.scope.identifier)

    def by_email(self, email: str) -> Account | None:
        """Read the account of an address, whosesoever it is; None when there is none.

        Of several, which were there before two spellings were one, it is the one
        that is spelled like that, else the one that is no twin.
        """
        rows = self._session.read(_BY_EMAIL, email=folded(email), spelled=email.lower()).all()
        spelled = [row for row in rows if row.email_folded == email.lower()]
        return next(map(account_of, (*spelled, *rows)), None)

    def find(self, account_id: str) -> Account | None:
        """Read an account, whosesoever it is; None when there is none."""
        row = self._session.read(_FIND, id=account_id).one_or_none()
        return None if row is None else account_of(row)

    # -- Changes --------------------------------------------------------------

    def create(self, wanted: NewAccount, password: str | None, by: Privilege = MentionPrivilege.OWN_POST) -> Account:
        """Make an account with a hashed password, or with none, by a privilege.

        Raises RefusedError(InvalidBody) when the address has an account, and
        TransactionRefusedError when somebody made one at the same moment.
        """
        self._require_free(wanted.email)
        # It grows, and nobody has to be asked for it.
        number = max(1, (self._session.now_us - _BEGAN_US) // 1000)
        account = Account(
            id=f"{number}_{new_suffix()}",
            uid=uuid.uuid4().hex,
            name=wanted.name,
            email=wanted.email,
            phone=wanted.phone,
            language_code=wanted.language_code,
            client=wanted.client,
            sms_phone=None,
            password=password,
            created_us=self._second(),
            updated_us=self._second(),
            version=1,
        )
        self._write(by, account, _CREATE, {"created": True}, new=True)
        return account

    def put(
        self, grant: Grant, account_id: str, wish: AccountWish, checked: Checked, conditions: Conditions
    ) -> Account:
        """Change what is wished. A new password or address ends all that acts for the account except `checked.kept`.

        Raises RefusedError: NotPermitted, NoSuchObject, PreconditionFailed, or
        InvalidBody when the address has an account; TransactionRefusedError when
        the password or the address is another one by now.
        """
        before = self._there(_FIND_AND_LOCK, grant, account_id)
        conditions.check(before.version)
        after = _changed(before, wish)
        if checked.new_password is not None:
            after = replace(after, password=checked.new_password)
        if after == before:
            return before
        ends = (after.password, after.email) != (before.password, before.email)
        if ends and (before.password, before.email) != (checked.password, checked.email):
            # The password was checked against another state of the account.
            raise TransactionRefusedError
        if after.email.lower() != before.email.lower():
            self._require_free(after.email, before)
        if folded(after.email) != folded(before.email):
            after = replace(after, email_twin="")
        after = replace(after, updated_us=self._second(), version=before.version + 1)
        changed: list[Json] = [name for name in _ATTRIBUTES if getattr(after, name) != getattr(before, name)]
        ended = self._end_others(account_id, checked.kept) if ends else {}
        self._write(grant.privilege or MentionPrivilege.OWN_PUT, after, _REPLACE, {"changed": changed, **ended})
        return after

    def delete(self, grant: Grant, account_id: str, conditions: Conditions) -> None:
        """Delete an account with its tokens. Raises RefusedError: NotPermitted, NoSuchObject, PreconditionFailed."""
        account = self._there(_FIND_AND_LOCK, grant, account_id)
        conditions.check(account.version)
        change = _change(grant.privilege or MentionPrivilege.OWN_DELETE, account, account.version + 1, {})
        self._session.write(change, _DELETE, id=account.id)

    # -- Below ----------------------------------------------------------------

    def _end_others(self, account_id: str, kept: str) -> dict[str, Json]:
        """End all tokens but one, codes and sessions of an account, and return how many, for the record.

        The account is locked, and so is it by everything that makes one of them:
        none is made meanwhile.
        """
        ended = self._session.read(_COUNT_OTHERS, id=account_id, kept=kept).one()._asdict()
        self._session.note(_END_OTHERS, id=account_id, kept=kept)
        return {"ended": {name: number for name, number in ended.items() if number}}

    def _there(self, statement: Statement, grant: Grant, account_id: str) -> Account:
        covered(grant, account_id)
        row = self._session.read(statement, id=account_id).one_or_none()
        if row is None:
            raise RefusedError(NoSuchObject("GET", account_id))
        return account_of(row)

    def _require_free(self, email: str, account: Account | None = None) -> None:
        """Raise RefusedError(InvalidBody) when an address has another account than `account`."""
        others = [
            row
            for row in self._session.read(_BY_EMAIL, email=folded(email), spelled=email.lower())
            if account is None or row.id != account.id
        ]
        if account is not None and folded(email) == folded(account.email):
            # Twins stay twins, and may not be spelled alike.
            others = [row for row in others if row.email_folded == email.lower()]
        if others:
            raise RefusedError(InvalidBody((Problem(("email",), Unfit(EMAIL_TAKEN)),)))

    def _second(self) -> int:
        # Mention writes no fractions, so none are kept.
        return self._session.now_us // 1_000_000 * 1_000_000

    def _write(
        self,
        privilege: Privilege,
        account: Account,
        statement: RecordedStatement,
        detail: dict[str, Json],
        *,
        new: bool = False,
    ) -> None:
        # What never changes.
        fixed: dict[str, Value] = {"uid": account.uid, "client": account.client, "created_us": account.created_us}
        self._session.write(
            _change(privilege, account, account.version, detail),
            statement,
            id=account.id,
            name=account.name,
            email=account.email,
            email_folded=account.email.lower(),
            email_caseless=folded(account.email),
            email_twin=account.email_twin,
            phone=account.phone,
            language_code=account.language_code,
            sms_phone=account.sms_phone,
            password=account.password,
            updated_us=account.updated_us,
            version=account.version,
            **(fixed if new else {}),
        )


def _changed(account: Account, wish: AccountWish) -> Account:
    values = wish.values
    return replace(
        account,
        name=values.get("name") or account.name,
        email=values.get("email") or account.email,
        language_code=values.get("language_code") or account.language_code,
        phone=values.get("phone", account.phone),
        sms_phone=values.get("sms_phone", account.sms_phone),
    )


def locked(session: Session, account_id: str) -> Account | None:
    """Read an account and lock it until the transaction ends; None when there is none.

    Everything that makes a token, code or session of an account does so first, so
    that a new password, which holds the lock, comes before it or ends it.
    """
    row = session.read(_FIND_AND_LOCK, id=account_id).one_or_none()
    return None if row is None else account_of(row)


def covered(grant: Grant, account_id: str) -> None:
    """Be sure that an account is within the scope of the grant. Raises RefusedError(NotPermitted)."""
    match grant.scope:
        case Everything():
            return
        case Own(own) if own == account_id:
            return
        case Own() | Tenants() | Nothing():
            raise RefusedError(NotPermitted())


def _change(privilege: Privilege, account: Account, version: int, detail: dict[str, Json]) -> Change:
    return Change(FAMILY_NAME, "", privilege.action, f"account {account.id}", account.uid, version, detail)


def account_of(row: Row[Any]) -> Account:
    """Make an account of its row."""
    return Account(
        id=row.id,
        uid=row.uid,
        name=row.name,
        email=row.email,
        phone=row.phone,
        language_code=row.language_code,
        client=row.client,
        sms_phone=row.sms_phone,
        password=row.password,
        created_us=row.created_us,
        updated_us=row.updated_us,
        version=row.version,
        email_twin=row.email_twin,
    )
