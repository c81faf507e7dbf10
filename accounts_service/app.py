"""The composition root: everything is made here and handed down."""

from __future__ import annotations

import atexit
import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import structlog

from accounts_service import logs
from accounts_service.access.passwords import Passwords
from accounts_service.access.snapshot import AccessControl, BuiltIns, LastGood, uids_of
from accounts_service.config import CONNECTIONS_BESIDE, FEWEST_CONNECTIONS, Settings
from accounts_service.families.admin.privileges import AdminPrivilege
from accounts_service.families.admin.views import FAMILY as ADMIN
from accounts_service.families.mention.store.apps import Apps
from accounts_service.families.mention.views import FAMILY as MENTION
from accounts_service.families.netbird.views import FAMILY as NETBIRD
from accounts_service.families.signals.store import leftovers
from accounts_service.families.signals.store.leftovers import AccountLeftovers
from accounts_service.families.signals.store.mail import AccountMailServers
from accounts_service.families.signals.store.references import AccountReferences
from accounts_service.families.signals.views import FAMILY as SIGNALS
from accounts_service.families.wavefront.views import FAMILY as WAVEFRONT
from accounts_service.faults import RefusedError
from accounts_service.jobs.attempts import Attempts
from accounts_service.jobs.leftovers import Forgetting
from accounts_service.jobs.loop import Job, Stopping
from accounts_service.jobs.mail import Mail
from accounts_service.jobs.rewrap import Rewrap
from accounts_service.jobs.seal import Trail
from accounts_service.lines import Line
from accounts_service.storage import idempotency, mail_limits, migrations, outbox, rotation
from accounts_service.storage.audit import AUDIT_RECORD, AUDIT_REVEAL, Author
from accounts_service.storage.checkup import connections_of
from accounts_service.storage.clocks import Moment
from accounts_service.storage.database import Capacity, Database, open_database
from accounts_service.storage.envelopes import Sealed
from accounts_service.storage.idempotency import Answers
from accounts_service.storage.key_checks import ForeignKeysFileError
from accounts_service.storage.key_watch import KeyWatch
from accounts_service.storage.keys_file import FileVault, open_vault
from accounts_service.storage.limits import Limits, open_limits
from accounts_service.storage.log_in_limits import LogInCounts, Rules
from accounts_service.storage.migrations import SchemaMismatchError
from accounts_service.storage.reveals import Reveals
from accounts_service.storage.rotation import JOBS, WORKER
from accounts_service.storage.sealed import Keyring
from accounts_service.storage.usage import Amount, Quotas
from accounts_service.storage.witness import Witness
from accounts_service.storage.writability import Writability
from accounts_service.web import application
from accounts_service.web.dispatcher import Dispatcher
from accounts_service.web.explaining import Explainer
from accounts_service.web.family import Family
from accounts_service.web.openapi import Documents
from accounts_service.web.pages import Pages
from accounts_service.web.services import Leftovers, Lines, MailServers, ReferencePrivileges, References, Services

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

log = structlog.get_logger(__name__)

# Adding a family is adding its folder, and a line here and in config.FAMILIES.
FAMILIES = {family.name: family for family in (SIGNALS, WAVEFRONT, NETBIRD, MENTION, ADMIN)}

# What is stored in versions, whichever families are served.
STORED = tuple(stored for family in FAMILIES.values() for stored in family.stored)

# Who answers for objects that are used. Every account family has a line.
REFERENCES: dict[str, type[References]] = {SIGNALS.name: AccountReferences}

# What they ask for who change references while they do something else.
REFERENCE_PRIVILEGES = ReferencePrivileges(
    AdminPrivilege.REFERENCE_GET, AdminPrivilege.REFERENCE_PUT, AdminPrivilege.REFERENCE_DELETE
)

# Who keeps versions and a bin.
LEFTOVERS: tuple[type[Leftovers], ...] = (AccountLeftovers,)

# Whose accounts describe the server for the service's own mails.
MAIL_SERVERS: type[MailServers] = AccountMailServers

# Where secrets are sealed, by the family whose they are, and what is sealed for all of them.
SEALED: dict[str, Sequence[Sealed]] = {
    **{family.name: family.sealed for family in FAMILIES.values() if family.sealed},
    "outbox": (outbox.SEALED,),
    "answers": (idempotency.SEALED,),
}

# The stored times that something waits for, or is kept by. `doctor` names those that lie too far ahead.
MOMENTS = (
    *rotation.MOMENTS,
    *outbox.MOMENTS,
    *mail_limits.MOMENTS,
    *idempotency.MOMENTS,
    Moment(AUDIT_REVEAL.c.at_us),
    Moment(AUDIT_RECORD.c.at_us),
    *leftovers.MOMENTS,
)


def built_ins() -> BuiltIns:
    """Gather the action groups and roles that are always there, of all families, served or not."""
    return BuiltIns.merge((family.action_groups, family.roles) for family in FAMILIES.values())


@dataclasses.dataclass(frozen=True, slots=True)
class Memory:
    """What a process keeps for those that are forked from it, so that they start without its files."""

    vault: FileVault
    last_good: LastGood

    def look(self) -> None:
        """Take what the files have by now."""
        self.vault.look()
        self.last_good.look()


def create_app(settings: Settings | None = None, memory: Memory | None = None) -> Dispatcher:
    """Make the WSGI application from `settings`, or from the environment.

    Raises, before anything is served: BadSettingsError, BadKeysFileError,
    BadConfigurationError, UnknownUserError, SchemaMismatchError, GapError. A database that cannot
    be reached does not stop the start: an outage is answered, not died of. With the `memory` of a
    server that runs, neither do files that were broken since, nor a database of another revision.
    """
    settings = settings or Settings.from_environment(os.environ)
    logs.configure(settings.log_level)
    services = make_services(settings, memory)
    application = _start(settings, services, is_running=memory is not None)
    # Here and not in what starts a worker: whatever server calls this is a process that seals and opens.
    watch = KeyWatch(services.database, services.vault, WORKER)
    watch.start()
    atexit.register(watch.stop)
    return application


def rehearse(settings: Settings) -> tuple[Settings, Memory]:
    """Go through a start and let go of everything again; raises what `create_app` does.

    Returns the settings with as many connections per worker as the database allows, and what workers start from.

    For the process that forks the workers: an open connection would be shared
    with them, which neither database survives
    (https://www.sqlite.org/howtocorrupt.html#_carrying_an_open_database_connection_across_a_fork_).
    """
    last_good = LastGood(settings.last_good_dir)
    services = make_services(settings, last_good=last_good)
    try:
        _start(settings, services)
        if settings.is_open_to_others and not services.access.current().trusts_proxies:
            log.warning(
                "server.exposed",
                bind=settings.bind,
                hint="Other machines reach the service without a proxy, so passwords and tokens are sent in clear and "
                "its limits on slow clients are all there are. Listen on a unix socket or on 127.0.0.1, or name "
                "the proxy in network.trusted_proxies of sg_authc.yml (docs/proxy.md).",
            )
        return _with_connections_allowed(settings, services.database), Memory(services.vault.keeping(), last_good)
    finally:
        services.database.dispose()


def _with_connections_allowed(settings: Settings, database: Database) -> Settings:
    try:
        allowed = connections_of(database)
    except RefusedError:
        allowed = None  # Known once the database is back; until then the settings hold.
    each = settings.database_connections
    if allowed is None or settings.workers * each + CONNECTIONS_BESIDE <= allowed:
        return settings
    fitting = max((allowed - CONNECTIONS_BESIDE) // settings.workers, FEWEST_CONNECTIONS)
    log.warning(
        "database.fewer_connections", allowed=allowed, wanted_per_worker=each, used_per_worker=min(each, fitting)
    )
    return dataclasses.replace(settings, database_connections=min(each, fitting))


def _start(settings: Settings, services: Services, *, is_running: bool = False) -> Dispatcher:
    try:
        _require_schema(services.database)
        _check_keys(services.database)
    except (SchemaMismatchError, ForeignKeysFileError) as error:
        # The other workers go on with this database, too; what it cannot do is answered with 503.
        if not is_running:
            raise
        log.error("storage.unfit", reason=str(error))  # what happened is in the words
    return assemble(services, served(settings))


def _require_schema(database: Database) -> None:
    try:
        migrations.require(database)
    except RefusedError:
        log.error("storage.unreachable_at_start")


def _check_keys(database: Database) -> None:
    try:
        database.check_keys()
    except RefusedError:
        # Done before the first write. That the database is away was logged with the schema.
        log.info("keys.checked_later")
    finally:
        # `serve` forks its workers after this.
        database.dispose()


@contextmanager
def jobs(settings: Settings, held: Keyring | None = None) -> Iterator[tuple[Job, ...]]:
    """Give the work outside requests, for the process that does it.

    Raises BadKeysFileError and SchemaMismatchError. Of the configuration files
    it needs nothing, so a broken one does not keep mails from being sent. `held`: keys of the process
    that started this one, for when the keys file cannot be used.
    """
    logs.configure(settings.log_level)
    vault = open_vault(settings.keys_file, held)
    database = open_database(settings.database_url, vault)
    try:
        _require_schema(database)
        _check_keys(database)
        watch = KeyWatch(database, vault, JOBS)
        watch.start()
        try:
            yield make_jobs(settings, database, open_limits(database, vault))
        finally:
            watch.stop()
    finally:
        database.dispose()


def sealed_columns() -> tuple[Sealed, ...]:
    """Name every column that holds something sealed."""
    return tuple(column for columns in SEALED.values() for column in columns)


def make_jobs(settings: Settings, database: Database, limits: Limits) -> tuple[Job, ...]:
    """Make the jobs. Adding one is adding a line."""
    mail = Mail(database, MAIL_SERVERS, settings.mail_account)
    attempts = Attempts(database, limits)
    forgetting = Forgetting(database, LEFTOVERS, settings.versions_kept, settings.versions_kept_days)
    rewrap = Rewrap(database, sealed_columns())
    trail = Trail(database, settings.audit_kept_days, STORED)
    return (
        Job("mail", 2, mail.send, lane="mail"),
        Job("mail-forgotten", 3600, mail.forget),
        Job("attempts", 30, attempts.record),
        Job("attempts-forgotten", 600, attempts.forget),
        Job("bin", 3600, forgetting.purge),
        Job("versions", 6 * 3600, forgetting.prune),
        Job("quotas-recounted", 24 * 3600, forgetting.recount),
        # In a lane of its own, so that no other job makes it late, not even one that takes long to end; and soon again
        # after an outage.
        Job("audit-seals", 1, trail.seal, lane="seals", longest_pause_seconds=4, to_the_end=True),
        Job("audit-expired", 3600, trail.expire),
        Job("mention-codes", 600, partial(_forget_codes, database)),
        Job("answers-forgotten", 600, partial(_forget_answers, database)),
        Job("rewrap", 1, rewrap.run),
        Job("processes", 60, rewrap.forget),
        Job("reveals-forgotten", 600, partial(_forget_reveals, database)),
    )


def _forget_codes(database: Database, _: Stopping) -> None:
    database.written(Apps, Author("accounts", "jobs", ""), lambda apps: apps.forget())


def _forget_answers(database: Database, stopping: Stopping) -> None:
    author = Author("accounts", "jobs", "")
    while not stopping() and database.written(Answers, author, lambda answers: answers.forget()):
        pass


def _forget_reveals(database: Database, _: Stopping) -> None:
    database.written(Reveals, Author("accounts", "jobs", ""), lambda reveals: reveals.forget())


def served(settings: Settings) -> list[Family]:
    """Name the families that are served; the last one takes what no other does."""
    return [FAMILIES[name] for name in (*settings.families, ADMIN.name)]


def quotas_of(settings: Settings) -> Quotas:
    """Return how much tenants and callers may store."""
    tenant, principal = settings.quotas
    return Quotas(Amount(*tenant), Amount(*principal))


def make_services(settings: Settings, memory: Memory | None = None, last_good: LastGood | None = None) -> Services:
    """Build the collaborators of all families, from the files or else from `memory`."""
    vault = open_vault(settings.keys_file, None if memory is None else memory.vault.keyring)
    if memory is not None:
        last_good = memory.last_good
    sizes, wait_s = settings.sizes, float(settings.wait_seconds)
    lines = Lines(
        hashing=Line(settings.hashes_at_once, sizes.hashes, wait_s),
        # Of its own: readers of secrets do not keep writers waiting, nor the other way round.
        disclosing=Line(1, sizes.disclosures, wait_s),
        refusing=Line(1, 1, wait_s),
        verifying=Line(1, 1, wait_s),
    )
    capacity = Capacity(settings.database_connections, sizes.writers, sizes.reads, wait_s)
    database = open_database(settings.database_url, vault, capacity)
    database.quotas = quotas_of(settings)
    limits = open_limits(database, vault, sizes.counts)
    log_in_limits = LogInCounts(limits, vault, _log_in_rules(settings), wait_s)
    access = AccessControl(
        settings.config_dir,
        last_good or LastGood(settings.last_good_dir),
        built_ins=built_ins(),
        hashing=lines.hashing,
        limits=log_in_limits,
        trusted_uids=uids_of(settings.trusted_socket_users),
    )
    return Services(
        settings,
        access,
        database,
        references=REFERENCES,
        reference_privileges=REFERENCE_PRIVILEGES,
        mail_servers=MAIL_SERVERS,
        passwords=Passwords(lines.hashing, settings.hashes_at_once),
        limits=limits,
        log_in_limits=log_in_limits,
        witness=Witness(database, limits, vault, lines.disclosing, lines.refusing),
        vault=vault,
        stored=STORED,
        documents=Documents(),
        explainer=Explainer(),
        lines=lines,
        pages=Pages(settings.page_bytes, sizes.pages, wait_s),
        writability=Writability(database),
    )


def _log_in_rules(settings: Settings) -> Rules:
    return Rules(
        settings.login_failures_per_network,
        settings.login_failures_per_user,
        settings.login_failures_per_both,
        settings.login_failures_window_seconds,
    )


def assemble(
    services: Services,
    families: Iterable[Family],
    build: Callable[[Family, Services], WSGIApplication] = application.build,
) -> Dispatcher:
    """Put families behind one dispatcher; the last one takes what no other does. Raises GapError.

    `build` makes the application of one family.
    """
    behind = list(families)
    settings = services.settings
    services = dataclasses.replace(
        services, documents=Documents(behind, settings), explainer=Explainer(behind, settings)
    )
    return Dispatcher(
        {family.name: build(family, services) for family in behind},
        {family.name: family.mounts(services.settings) for family in behind},
        otherwise=behind[-1].name,
    )
