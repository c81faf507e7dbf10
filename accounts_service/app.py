"""The composition root: everything is made here and handed down."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial

import structlog

from accounts_service import logs
from accounts_service.access.passwords import Passwords
from accounts_service.access.snapshot import AccessControl, BuiltIns, LastGood, uids_of
from accounts_service.bulkhead import Bulkhead
from accounts_service.config import Settings
from accounts_service.families.admin.views import FAMILY as ADMIN
from accounts_service.families.mention.store.apps import Apps
from accounts_service.families.mention.views import FAMILY as MENTION
from accounts_service.families.netbird.views import FAMILY as NETBIRD
from accounts_service.families.signals.store.mail import AccountMailServers
from accounts_service.families.signals.store.references import AccountReferences
from accounts_service.families.signals.views import FAMILY as SIGNALS
from accounts_service.families.wavefront.views import FAMILY as WAVEFRONT
from accounts_service.faults import RefusedError
from accounts_service.jobs.attempts import Attempts
from accounts_service.jobs.loop import Job, Stopping
from accounts_service.jobs.mail import Mail
from accounts_service.storage import idempotency, migrations, rotation  # noqa: F401  # their tables
from accounts_service.storage.audit import Author
from accounts_service.storage.database import Database, open_database
from accounts_service.storage.limits import Limits, open_limits
from accounts_service.storage.reveals import Reveals
from accounts_service.storage.sealed import Vault, load_keyring
from accounts_service.storage.witness import Witness
from accounts_service.web import application
from accounts_service.web.dispatcher import Dispatcher
from accounts_service.web.family import Family
from accounts_service.web.openapi import Documents
from accounts_service.web.services import MailServers, References, Services

log = structlog.get_logger(__name__)

# Adding a family is adding its folder, and a line here and in config.FAMILIES.
FAMILIES = {family.name: family for family in (SIGNALS, WAVEFRONT, NETBIRD, MENTION, ADMIN)}

# Who answers for objects that are used. Every account family has a line.
REFERENCES: dict[str, type[References]] = {SIGNALS.name: AccountReferences}

# Whose accounts describe the server for the service's own mails.
MAIL_SERVERS: type[MailServers] = AccountMailServers


def built_ins() -> BuiltIns:
    """Gather the action groups and roles that are always there, of all families, served or not."""
    return BuiltIns.merge((family.action_groups, family.roles) for family in FAMILIES.values())


def create_app(settings: Settings | None = None) -> Dispatcher:
    """Make the WSGI application from `settings`, or from the environment.

    Raises, before anything is served: BadSettingsError, BadKeysFileError,
    BadConfigurationError, UnknownUserError, SchemaMismatchError, GapError. A database that cannot
    be reached does not stop the start: an outage is answered, not died of.
    """
    settings = settings or Settings.from_environment(os.environ)
    logs.configure(settings.log_level)
    return _start(settings, make_services(settings))


def rehearse(settings: Settings) -> None:
    """Go through a start and let go of everything again; raises what `create_app` does.

    For the process that forks the workers: an open connection would be shared
    with them, which neither database survives
    (https://www.sqlite.org/howtocorrupt.html#_carrying_an_open_database_connection_across_a_fork_).
    """
    services = make_services(settings)
    try:
        _start(settings, services)
    finally:
        services.database.dispose()


def _start(settings: Settings, services: Services) -> Dispatcher:
    _require_schema(services.database)
    return assemble(services, served(settings))


def _require_schema(database: Database) -> None:
    try:
        migrations.require(database)
    except RefusedError:
        log.error("storage.unreachable_at_start")


@contextmanager
def jobs(settings: Settings) -> Iterator[tuple[Job, ...]]:
    """Give the work outside requests, for the process that does it.

    Raises BadKeysFileError and SchemaMismatchError. Of the configuration files
    it needs nothing, so a broken one does not keep mails from being sent.
    """
    logs.configure(settings.log_level)
    vault = Vault(load_keyring(settings.keys_file))
    database = open_database(settings.database_url, vault, Bulkhead(1), 1)
    try:
        _require_schema(database)
        yield make_jobs(settings, database, open_limits(database, vault))
    finally:
        database.dispose()


def make_jobs(settings: Settings, database: Database, limits: Limits) -> tuple[Job, ...]:
    """Make the jobs. Adding one is adding a line."""
    mail = Mail(database, MAIL_SERVERS, settings.mail_account)
    attempts = Attempts(database, limits)
    return (
        Job("mail", 2, mail.send),
        Job("mail-forgotten", 3600, mail.forget),
        Job("attempts", 30, attempts.record),
        Job("attempts-forgotten", 600, attempts.forget),
        Job("mention-codes", 600, partial(_forget_codes, database)),
        Job("reveals-forgotten", 600, partial(_forget_reveals, database)),
    )


def _forget_codes(database: Database, _: Stopping) -> None:
    database.written(Apps, Author("accounts", "jobs", ""), lambda apps: apps.forget())


def _forget_reveals(database: Database, _: Stopping) -> None:
    database.written(Reveals, Author("accounts", "jobs", ""), lambda reveals: reveals.forget())


def served(settings: Settings) -> list[Family]:
    """Name the families that are served; the last one takes what no other does."""
    return [FAMILIES[name] for name in (*settings.families, ADMIN.name)]


def make_services(settings: Settings) -> Services:
    """Make the collaborators of all families."""
    vault = Vault(load_keyring(settings.keys_file))
    # One for each, so that who guesses passwords does not keep others from writing.
    hashing, writing = Bulkhead(settings.threads // 4), Bulkhead(settings.threads // 4)
    access = AccessControl(
        settings.config_dir,
        LastGood(settings.last_good_dir),
        built_ins=built_ins(),
        bulkhead=hashing,
        trusted_uids=uids_of(settings.trusted_socket_users),
    )
    database = open_database(settings.database_url, vault, writing, settings.threads)
    limits = open_limits(database, vault)
    return Services(
        settings,
        access,
        database,
        references=REFERENCES,
        mail_servers=MAIL_SERVERS,
        # A place of their own: who signs in at one family keeps nobody from another.
        passwords=Passwords(settings.threads // 4),
        limits=limits,
        # Who records reveals keeps as many threads at most as who writes, and keeps nobody from writing.
        witness=Witness(database, limits, vault, settings.threads // 4),
        vault=vault,
        documents=Documents(),
    )


def assemble(services: Services, families: Iterable[Family]) -> Dispatcher:
    """Put families behind one dispatcher; the last one takes what no other does. Raises GapError."""
    behind = list(families)
    services = dataclasses.replace(services, documents=Documents(behind, services.settings))
    return Dispatcher(
        {family.name: application.build(family, services) for family in behind},
        {family.name: family.mounts(services.settings) for family in behind},
        otherwise=behind[-1].name,
    )
