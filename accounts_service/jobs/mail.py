"""Sending what the outbox holds: at least once, and without losing any.

A mail is deleted after a server has taken it. A process that is killed in between
leaves it to be sent again under the same Message-ID, which is the lesser evil.

A server that cannot be reached is not a failure of the mail: the mail keeps its
time, no attempt is counted, and a circuit breaker bounds how often a connection
is tried.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

import structlog

from accounts_service.faults import RefusedError, SecretUnreadable
from accounts_service.jobs import smtp
from accounts_service.jobs.breaker import Breaker
from accounts_service.jobs.loop import Stopping
from accounts_service.storage.audit import Author
from accounts_service.storage.database import Database, TransactionRefusedError
from accounts_service.storage.mail_limits import MailLimits
from accounts_service.storage.outbox import LEASE_SECONDS, LONGEST_DELAY_SECONDS, Claimed, Outbox
from accounts_service.storage.sealed import UnreadableSecretError
from accounts_service.web.services import MailServer, MailServers

log = structlog.get_logger(__name__)

# RFC 5321 section 4.5.4.1 asks for half an hour between tries and for four or
# five days of them, of servers that pass on anybody's mail. Somebody waits for
# ours, so the first tries come sooner: 1, 2, 4, … minutes, then every hour.
_FIRST_PAUSE_SECONDS = 60.0
_LONGEST_PAUSE_SECONDS = LONGEST_DELAY_SECONDS / 1.2
# Not all at once, when many have failed together.
_JITTER = 0.2
# Five days, by these pauses. Attempts are counted and not days: a mail that
# waited for an account to be made still gets its tries.
MOST_ATTEMPTS = 125

# Mails that were given up are of use to who looks into it, for as long as a
# month, and hold personal data.
_KEPT_SECONDS = 30 * 24 * 3600

# What is told as the error of a mail that does not open, with the key that is missing.
_UNREADABLE = UnreadableSecretError.__name__

# No new mail is begun after this in one turn.
_SECONDS_AT_ONCE = 20.0

_AUTHOR = Author("accounts", "jobs", "")


class Waiting(Enum):
    """Why no mail can be sent. No mail's attempts are counted meanwhile."""

    UNSET = "ACCOUNTS_MAIL_ACCOUNT is not set"
    MISSING = "the account that ACCOUNTS_MAIL_ACCOUNT names is not there"
    PROXY = "the mail account asks for a proxy, which cannot be used"
    NO_SENDER = "the mail account has no default_from, and its user is no address"

    @property
    def reason(self) -> str:
        """Say for an administrator what is the matter."""
        return self.value


def server_of(
    database: Database, mail_servers: type[MailServers], path: str | None
) -> MailServer | Waiting | SecretUnreadable:
    """Find the server for the service's own mails, or why there is none. Raises as Database.reading."""
    if path is None:
        return Waiting.UNSET
    try:
        with database.reading(mail_servers) as servers:
            server = servers.find(path)
    except UnreadableSecretError as error:
        return SecretUnreadable(error.key)
    if server is None:
        return Waiting.MISSING
    if server.proxy_host is not None:
        return Waiting.PROXY
    if server.sender is None:
        return Waiting.NO_SENDER
    return server


@dataclass
class Mail:
    """The jobs about mails. `account` is the setting.

    `deadline` bounds one exchange with a server, `seconds` one turn.
    """

    database: Database
    mail_servers: type[MailServers]
    account: str | None
    deadline: float = smtp.DEADLINE_SECONDS
    seconds: float = _SECONDS_AT_ONCE
    breaker: Breaker = field(default_factory=Breaker)

    def __post_init__(self) -> None:
        self._told: Waiting | SecretUnreadable | None = None

    def send(self, stopping: Stopping) -> None:
        """Send the mails that are due, for a while and unless told to stop; the one begun is ended.

        None is tried while the breaker is open. Raises as Database does.
        """
        until = time.monotonic() + self.seconds
        while not stopping() and time.monotonic() < until:
            with self.database.reading(Outbox) as outbox:
                if not outbox.is_any_due():
                    return
            # Asked for each mail: what an administrator corrects holds for the next.
            server = server_of(self.database, self.mail_servers, self.account)
            if not isinstance(server, MailServer):
                self._wait(server)
                return
            self._told = None
            if self.breaker.is_open(server):
                return
            with self.database.transaction(Outbox, _AUTHOR) as outbox:
                claimed = outbox.claim()
            if claimed is None:  # Somebody else was faster.
                return
            self._send(server, claimed, stopping)

    def forget(self, stopping: Stopping) -> None:
        """Remove mails that were given up long ago, and counts that limit nothing any more. Raises as Database does."""
        with self.database.transaction(Outbox, _AUTHOR) as outbox:
            outbox.forget(_KEPT_SECONDS)
        while not stopping() and self.database.written(MailLimits, _AUTHOR, lambda limits: limits.forget()):
            pass

    def _wait(self, reason: Waiting | SecretUnreadable) -> None:
        # Once for each reason, not with each look.
        if reason != self._told:
            log.warning("mail.waiting", reason=reason.reason)
        self._told = reason

    def _send(self, server: MailServer, claimed: Claimed, stopping: Stopping) -> None:
        named = {"uid": claimed.uid, "message_id": claimed.message_id}
        outcome = self._outcome(server, claimed)
        attempts = claimed.attempts + 1
        self._break(server, outcome)
        if isinstance(outcome, smtp.Delivered):
            self._note(lambda outbox: outbox.delivered(claimed.uid, claimed.lease), stopping)
            log.info("mail.delivered", **named, attempts=attempts, simulated=server.simulate)
            return
        error = outcome.error
        if isinstance(outcome, smtp.Unreached):
            self._note(lambda outbox: outbox.released(claimed.uid, claimed.lease, error), stopping)
            return
        if outcome.permanent or attempts >= MOST_ATTEMPTS:
            self._note(lambda outbox: outbox.given_up(claimed.uid, claimed.lease, error), stopping)
            log.error("mail.given_up", **named, attempts=attempts, error=error)
            return
        seconds = pause_after(attempts)
        self._note(lambda outbox: outbox.postponed(claimed.uid, claimed.lease, seconds, error), stopping)
        log.warning("mail.postponed", **named, attempts=attempts, error=error, seconds=round(seconds))

    def _break(self, server: MailServer, outcome: smtp.Delivered | smtp.Unreached | smtp.Failed) -> None:
        if isinstance(outcome, smtp.Unreached) or (isinstance(outcome, smtp.Failed) and outcome.broken):
            seconds = self.breaker.failed(server)
            failures = self.breaker.failures
            log.warning("mail.server_failed", error=outcome.error, failures=failures, seconds=round(seconds))
        elif isinstance(outcome, smtp.Delivered) and self.breaker.failures:
            log.info("mail.server_back", failures=self.breaker.failures)
            self.breaker.worked()

    def _outcome(self, server: MailServer, claimed: Claimed) -> smtp.Delivered | smtp.Unreached | smtp.Failed:
        if isinstance(claimed.message, SecretUnreadable):
            # With the right keys file it may open.
            return smtp.Failed(" ".join(filter(None, (_UNREADABLE, claimed.message.key))), permanent=False)
        if server.simulate:
            return smtp.Delivered()
        return smtp.deliver(server, claimed.message, claimed.message_id, self.deadline)

    def _note(self, write: Callable[[Outbox], bool], stopping: Stopping) -> None:
        """Write down what came of a mail, for as long as that is of use: if it is not, the mail is sent again."""
        until = time.monotonic() + LEASE_SECONDS / 2
        while True:
            try:
                with self.database.transaction(Outbox, _AUTHOR) as outbox:
                    write(outbox)
            except (RefusedError, TransactionRefusedError):
                if stopping() or time.monotonic() > until:
                    raise
                time.sleep(1)
            else:
                return


def pause_after(attempts: int) -> float:
    """Return how many seconds pass after that many attempts, at most LONGEST_DELAY_SECONDS."""
    pause = min(_FIRST_PAUSE_SECONDS * 2.0 ** min(attempts - 1, 10), _LONGEST_PAUSE_SECONDS)
    return pause * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311  # no secret
