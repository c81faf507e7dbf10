"""What views work with, made once a process by the composition root and handed in.

What one family needs of another goes through a port here, since families never
import each other; `app.py` says who is behind it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from accounts_service.access.decisions import Rules
from accounts_service.access.explanations import Question, Told
from accounts_service.access.log_in_limits import LogInLimits
from accounts_service.access.log_ins import Caller
from accounts_service.access.passwords import Passwords
from accounts_service.access.privileges import Grant, Privilege
from accounts_service.access.snapshot import AccessControl
from accounts_service.config import Settings
from accounts_service.lines import Line
from accounts_service.storage.database import Database, Store
from accounts_service.storage.idempotency import Running
from accounts_service.storage.keys_file import FileVault
from accounts_service.storage.limits import Limits
from accounts_service.storage.stored import Stored
from accounts_service.storage.usage import Charges
from accounts_service.storage.witness import Witness
from accounts_service.storage.writability import Writability
from accounts_service.web.pages import Pages


@dataclass(frozen=True, slots=True)
class Reference:
    """Somebody uses an object. `at_us`: since when, in microseconds since the epoch."""

    referrer: str
    at_us: int


class References(Store):
    """Who uses the objects of one family. An object that is used cannot be deleted.

    `path` names an object as its family's API does, without what comes before:
    `slack/test`. Each method raises RefusedError(NoSuchObject) when there is none.
    """

    @abstractmethod
    def of(self, grant: Grant, path: str) -> list[Reference]:
        """List who uses the object, by name."""

    @abstractmethod
    def add(self, grant: Grant, path: str, referrer: str) -> tuple[Reference, bool]:
        """Note that `referrer` uses the object; tells whether that is new."""

    @abstractmethod
    def remove(self, grant: Grant, path: str, referrer: str) -> None:
        """Note that `referrer` uses it no more. Raises RefusedError(NoSuchObject) if it did not."""


@dataclass(frozen=True, slots=True)
class ReferencePrivileges:
    """What one needs to see who uses an object, and to change that: asked for by whatever does so by the way."""

    get: Privilege
    put: Privilege
    delete: Privilege


class Leftovers(Store):
    """What a family keeps of what was: old versions, and what was deleted. Done in small pieces, by the jobs."""

    @abstractmethod
    def purge(self, before_us: int) -> bool:
        """Forget some of what was deleted before then; tells whether there may be more."""

    @abstractmethod
    def prune(self, after_us: int, before_us: int, kept: int) -> int | None:
        """Delete versions of the time from `after_us` on, up to `before_us`, but for the last so many of each object.

        Returns the time to go on after, None when there is nothing behind it.
        """

    @abstractmethod
    def drift(self) -> Charges:
        """Return what is stored besides what is counted: nothing, unless a release before quotas has written."""

    def correct(self, drift: Charges) -> None:
        """Count what `drift` says, at the end of the transaction."""
        self._session.charges.extend(drift)


@dataclass(frozen=True, slots=True)
class TokenOrder:
    """A token to be made, in the terms of the command line.

    `principal` names whose it is. With `create` what is missing is made; the
    permissions and roles are given to the principal, one that is there
    included.
    """

    principal: str
    create: bool
    name: str
    permissions: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    account: str | None = None
    expires_in_days: int | None = None


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """What may be said of a token: all but the token. `identifier` is no secret, and names it in `revoke`."""

    identifier: str
    principal: str
    name: str
    created_us: int
    last_used_us: int | None
    expires_us: int | None = None


class BadTokenOrderError(Exception):
    """A token that cannot be made; the message says why, for a person at the command line."""


class NativeTokens(Store):
    """The tokens by which one family's own accounts come, for those who set an installation up."""

    @abstractmethod
    def create(self, order: TokenOrder, settings: Settings) -> str:
        """Make a token and return it. Raises BadTokenOrderError, or RefusedError with the family's reason."""

    @abstractmethod
    def facts(self, principal: str | None) -> list[TokenFacts]:
        """List all tokens, or those of one principal, by principal and age."""

    @abstractmethod
    def identifier_of(self, token: str) -> str | None:
        """Return the identifier of a token, or None if there is no such token."""

    @abstractmethod
    def revoke(self, identifier: str) -> bool:
        """Make a token worthless from now on; tells whether there was one."""


@dataclass(frozen=True, slots=True)
class MailServer:
    """A server that takes mails of the service's own, and how it is to be spoken to.

    `tls` from the first byte on, `start_tls` before anything else is said.
    `trusted_hosts` are those whose certificates are not looked at, `*` for all.
    """

    host: str
    port: int
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    start_tls: bool = False
    trust_all: bool = False
    trusted_hosts: tuple[str, ...] = ()
    # Named, so that nobody goes round it: there is no way through a proxy here.
    proxy_host: str | None = None
    # The mailbox that mails come from; None where the account names none.
    sender: str | None = None
    # Nothing is sent, and counts as sent.
    simulate: bool = False


class MailServers(Store):
    """The mail servers that are described by accounts of one family. The service asks for itself, not for a caller."""

    @abstractmethod
    def find(self, path: str) -> MailServer | None:
        """Give the server of the account at `path`, its password opened; None if there is no such account.

        Raises UnreadableSecretError.
        """


class Documents(Protocol):
    """The documents of the APIs; web/openapi.py makes them."""

    def of_all(self) -> str:
        """Give the document of all families that are served."""
        ...

    def of(self, name: str) -> str:
        """Give the document of one family. Raises RefusedError(NoSuchObject) for one that is not served."""
        ...


class Explainer(Protocol):
    """Says who may do what, and why; web/explaining.py does it."""

    def explain(
        self, rules: Rules, principal: str | None, caller: Caller, question: Question, notes: Iterable[str] = ()
    ) -> Told:
        """Say whether `caller` may do what is asked, and why. Raises UnexplainedError when nobody could."""
        ...


@dataclass(frozen=True, slots=True)
class Lines:
    """Where threads of this process wait for a turn, besides `Database.writers`.

    To hash a password, to record that a secret is shown or a privilege refused, and to verify the audit trail.
    """

    hashing: Line
    disclosing: Line
    refusing: Line
    verifying: Line


@dataclass(frozen=True, slots=True)
class Services:
    """The collaborators of every family. `references`: by the family whose objects are used."""

    settings: Settings
    access: AccessControl
    database: Database
    references: Mapping[str, type[References]]
    reference_privileges: ReferencePrivileges
    mail_servers: type[MailServers]
    passwords: Passwords
    limits: Limits
    log_in_limits: LogInLimits
    # Records what is no change.
    witness: Witness
    # Seals what a browser keeps for the service, too.
    vault: FileVault
    # What all families store in versions, served or not.
    stored: tuple[Stored, ...]
    # Of the families that are served; app.assemble knows which those are.
    documents: Documents
    explainer: Explainer
    lines: Lines
    writability: Writability
    # What large answers may take of memory.
    pages: Pages
    # The requests with an Idempotency-Key that this process works on.
    running: Running = field(default_factory=Running)
