"""Checks of what is in the database: mails that wait, names that look the same, secrets."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from accounts_service import app
from accounts_service.config import Settings
from accounts_service.doctor.findings import Finding, Status, fail, ok, warn
from accounts_service.faults import SecretUnreadable
from accounts_service.jobs.mail import Waiting, server_of
from accounts_service.storage.checkup import Work, Workings
from accounts_service.storage.clocks import Ahead, Moments
from accounts_service.storage.database import Database
from accounts_service.storage.envelopes import Envelopes, Tally
from accounts_service.storage.outbox import Outbox, Standing
from accounts_service.storage.rotation import ALIVE_SECONDS, JOBS
from accounts_service.storage.seals import LATE_SECONDS
from accounts_service.storage.twins import Spellings
from accounts_service.storage.usage import Quotas
from accounts_service.storage.usages import Usage, Usages
from accounts_service.web.services import MailServer

# A jobs process that runs looks every few seconds.
_OVERDUE_SECONDS = 600

# Of a quota.
_NEARLY = 0.9


def judge_contents(database: Database, settings: Settings, *, secrets: bool) -> Iterator[Finding]:
    """Look into a database whose schema fits; with `secrets`, open all that is sealed in it."""
    with database.reading(Workings) as workings:
        work = workings.work()
    yield from judge_work(work)
    yield from _outbox(database, settings)
    yield from _clocks(database)
    with database.reading(Usages) as usages:
        yield from judge_quotas(usages.all(), app.quotas_of(settings))
    for family in app.FAMILIES.values():
        for where in family.twins:
            with database.reading(Spellings) as spellings:
                yield from judge_spellings(where.things, [*spellings.twins(where)])
    if secrets:
        yield from _secrets(database)


def judge_work(work: Work) -> Iterator[Finding]:
    """Find work that is not done: workers without a jobs process, or audit records that wait for their seal."""
    if work.has(JOBS):
        yield ok("jobs", "a jobs process runs")
    elif work.processes:
        yield fail("jobs", f"no jobs process has reported within {ALIVE_SECONDS} s, and workers run", _SEE_JOBS)
    else:
        yield ok("jobs", "no process of the service runs on this database")
    yield judge_seals(work.unsealed_s)


def judge_seals(waited_s: float | None) -> Finding:
    """Find audit records that are not sealed in time; None: all are sealed."""
    if waited_s is None:
        return ok("seals", "every audit record is sealed")
    if waited_s <= LATE_SECONDS:
        return ok("seals", f"the oldest audit record without a seal is {waited_s:.0f} s old")
    todo = "see that 'accounts-service jobs' runs, and look for audit.head_damaged and jobs.failed in its log"
    return fail(
        "seals", f"an audit record has waited {waited_s:.0f} s for its seal; the limit is {LATE_SECONDS} s", todo
    )


_SEE_JOBS = "see that 'accounts-service jobs' runs, or that ACCOUNTS_SERVE_JOBS is true, and look for jobs.failed"


def _outbox(database: Database, settings: Settings) -> Iterator[Finding]:
    with database.reading(Outbox) as outbox:
        standing = outbox.standing()
    server = server_of(database, app.MAIL_SERVERS, settings.mail_account)
    yield from judge_outbox(standing, server, time.time())


def judge_quotas(usages: Sequence[Usage], quotas: Quotas) -> Iterator[Finding]:
    """Find tenants and callers that can soon store nothing more."""
    near: list[str] = []
    for usage in usages:
        most = quotas.of(usage.subject)
        if most is None:
            continue
        shares = {
            f"{usage.amount.objects} of {most.objects} accounts": usage.amount.objects / most.objects,
            f"{usage.amount.bytes >> 20} of {most.bytes >> 20} MiB": usage.amount.bytes / most.bytes,
        }
        near += [f"{usage.shown}: {text}" for text, share in shares.items() if share > _NEARLY]
    if not near:
        yield ok("quotas", "no tenant and no caller has stored more than 90 % of what is allowed")
        return
    todo = "delete accounts or purge the bin, or raise ACCOUNTS_TENANT_… or ACCOUNTS_PRINCIPAL_… (docs/settings.md)"
    text = f"{len(near)} above 90 %; what is more than 100 % is refused"
    yield Finding(Status.WARN, "quotas", text, todo, tuple(near[:20]))


def judge_spellings(things: str, twins: Sequence[Sequence[str]]) -> Iterator[Finding]:
    """Return a warning if accounts of earlier releases have names that now count as the same."""
    if not twins:
        yield ok("spelling", f"no two {things} have names that differ in spelling only")
        return
    text = f"{len(twins)} identifiers of {things} belong to several in different spellings"
    todo = "each is found by its exact spelling; delete those that are not needed"
    # Escaped: on a terminal most of them look the same.
    yield Finding(Status.WARN, "spelling", text, todo, tuple(", ".join(map(ascii, names)) for names in twins[:20]))


def judge_outbox(standing: Standing, server: MailServer | Waiting | SecretUnreadable, now: float) -> Iterator[Finding]:
    """Find mails that wait in vain, and such as were given up."""
    text = "nothing waits"
    if standing.waiting:
        text = f"{standing.waiting} waiting, the oldest for {_passed(standing.oldest_us, now)} s"
    overdue = _passed(standing.overdue_us, now)
    # Who sends no mails needs no account.
    if not isinstance(server, MailServer) and (standing.waiting or server is not Waiting.UNSET):
        todo = "name a global account of type email that can be used, or correct the one that is named"
        yield warn("outbox", f"{text}; {server.reason}", todo)
    elif overdue > _OVERDUE_SECONDS:
        todo = "see that 'accounts-service jobs' runs, or that ACCOUNTS_SERVE_JOBS is true"
        tried = "it was never tried"
        if standing.error:
            todo = "correct the mail account or its server; see docs/operations.md"
            tried = f"its last try failed: {standing.error}"
        yield warn("outbox", f"{text}; one is due for {overdue} s, and {tried}", todo)
    else:
        yield ok("outbox", text)
    if standing.failed:
        todo = "look for mail.given_up in the log; they are kept for a month"
        yield warn("outbox", f"{standing.failed} given up", todo)


def _clocks(database: Database) -> Iterator[Finding]:
    found = []
    for moment in app.MOMENTS:
        with database.reading(Moments) as moments:
            found.append(moments.ahead(moment))
    yield judge_clocks([one for one in found if one is not None])


def judge_clocks(ahead: Sequence[Ahead]) -> Finding:
    """Find times in the future, which a clock has written that was ahead."""
    if not ahead:
        return ok("times", "no stored time lies in the future")
    details = tuple(f"{one.where}: rows {one.number}, the furthest {_written(one.furthest_us)}" for one in ahead)
    text = f"rows with a time in the future: {sum(one.number for one in ahead)}"
    todo = "have all machines follow a time server; nothing waits longer for them, but old records are kept longer"
    return Finding(Status.WARN, "times", text, todo, details)


def _written(at_us: int) -> str:
    try:
        return datetime.fromtimestamp(at_us / 1_000_000, UTC).isoformat(timespec="seconds")
    except (OverflowError, ValueError, OSError):
        return f"{at_us} µs"


def _passed(since_us: int | None, now: float) -> int:
    return 0 if since_us is None else max(0, int(now - since_us / 1_000_000))


def _secrets(database: Database) -> Iterator[Finding]:
    for name, columns in app.SEALED.items():
        tally = Tally()
        for column in columns:
            with database.reading(Envelopes) as envelopes:
                tally += envelopes.tally(column)
        counted = f"{name}: {tally.total} in all, {tally.opened} opened, {len(tally.undecryptable)} unreadable"
        if tally.undecryptable:
            todo = "find the keys that they were sealed with, see docs/operations.md; and the audit records of the rows"
            yield Finding(Status.FAIL, "secrets", counted, todo, tuple(map(str, tally.undecryptable)))
        else:
            yield ok("secrets", counted)
