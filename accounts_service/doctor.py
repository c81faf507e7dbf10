"""Checks of an installation: what is wrong or likely to be, and what to do about it.

They look and write nothing themselves. But whoever opens a SQLite database
after a crash recovers it: SQLite takes its -wal into the main file, and -wal
and -shm may go. A finding names files, roles, users and settings;
no value of a secret, no hash and no password of the database.
"""

from __future__ import annotations

import re
import shutil
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_address
from pathlib import Path

from sqlalchemy.exc import ArgumentError, DBAPIError

from accounts_service import app
from accounts_service.access import action_groups
from accounts_service.access.authenticators import ANONYMOUS, TRUSTED_ORIGIN
from accounts_service.access.configuration import (
    AUTHC,
    FILES,
    NETBIRD_JWT,
    NO_BCRYPT,
    USERS,
    Configuration,
    NetworkSettings,
    is_key_set,
)
from accounts_service.access.documents import Findings, few, load
from accounts_service.access.log_ins import anonymous_identities, depends_on_origin, lets_everybody_in
from accounts_service.access.roles import REALM, Identity, Role
from accounts_service.access.snapshot import (
    BadConfigurationError,
    BuiltIns,
    LastGood,
    UnknownUserError,
    files_not_read,
    in_use,
    rules_of,
    uids_of,
)
from accounts_service.access.variables import file_paths
from accounts_service.config import CONNECTIONS_BESIDE, BadSettingsError, Settings
from accounts_service.faults import RefusedError, SecretUnreadable
from accounts_service.jobs.mail import Waiting, server_of
from accounts_service.storage import migrations
from accounts_service.storage.checkup import (
    PostgresFacts,
    SqliteFacts,
    damaged,
    facts_of,
    is_ambiguous,
    name_of,
    state_of,
)
from accounts_service.storage.database import (
    NOT_PERMITTED,
    Database,
    ReadInterruptedError,
    SqliteDatabase,
    open_database,
)
from accounts_service.storage.envelopes import Envelopes, Tally
from accounts_service.storage.outbox import Outbox, Standing
from accounts_service.storage.sealed import BadKeysFileError, Keyring, Vault, load_keyring
from accounts_service.storage.twins import Spellings
from accounts_service.storage.usage import Quotas
from accounts_service.storage.usages import Usage, Usages
from accounts_service.web.services import MailServer

_LOWEST_COST = 10
_OLDEST_POSTGRES = 130000
_CLOCKS_APART_SECONDS = 2
_LITTLE_SPACE = 512 * 1024 * 1024
_NO_SPACE = 64 * 1024 * 1024
# A jobs process that runs looks every few seconds.
_OVERDUE_SECONDS = 600

# Bits of a network's prefix: fewer are everybody, and fewer are many.
_EVERYBODY = {4: 8, 6: 16}
_MANY = {4: 16, 6: 48}
# No proxy of anybody's is at all of these.
_ANYWHERE = tuple(map(ip_address, ("8.8.8.8", "198.51.100.1", "203.0.113.1")))

# Of a quota.
_NEARLY = 0.9

_MOUNTS = Path("/proc/self/mountinfo")
_REMOTE = re.compile(r"(nfs4?|cifs|smb3|smbfs|9p|afs|ceph|glusterfs|lustre|ncpfs|fuse(\..*)?)\Z")


class Status(Enum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found. `todo` says what to do; `details` are more lines, such as ids."""

    status: Status
    check: str
    text: str
    todo: str = ""
    details: tuple[str, ...] = ()


def _ok(check: str, text: str) -> Finding:
    return Finding(Status.OK, check, text)


def _warn(check: str, text: str, todo: str) -> Finding:
    return Finding(Status.WARN, check, text, todo)


def _fail(check: str, text: str, todo: str) -> Finding:
    return Finding(Status.FAIL, check, text, todo)


def _carried_out(check: str, findings: Iterator[Finding]) -> Iterator[Finding]:
    """Go on with the other checks when one meets what nobody foresaw; of that only the type, for words may quote."""
    try:
        yield from findings
    except Exception as error:  # noqa: BLE001  # whatever it is, the rest is still to be told
        yield _fail(check, f"could not be carried out ({type(error).__name__})", "see what is special about it here")


def examine(environment: Mapping[str, str], *, secrets: bool = False) -> Iterator[Finding]:
    """Check the installation that `environment` describes; with `secrets`, also that the keys open all of them."""
    try:
        settings = Settings.from_environment(environment)
    except BadSettingsError as error:
        for problem in error.problems:
            yield _fail("settings", problem, "see docs/settings.md")
        return
    yield _ok("settings", "read")
    keyring = None
    try:
        keyring = load_keyring(settings.keys_file)
    except BadKeysFileError as error:
        yield _fail("keys", str(error), _todo_about_keys(settings.keys_file))
    else:
        yield _ok("keys", f"{len(keyring.wrapping)} in {settings.keys_file}, {keyring.active} is active")
    yield from _carried_out("configuration", _configuration(settings))
    yield from _carried_out("database", _database(settings, keyring, secrets=secrets))


def _todo_about_keys(path: Path) -> str:
    try:
        status = path.stat()
    except OSError:
        return "restore the keys file; without it no secret can be opened"
    if stat.S_ISREG(status.st_mode) and stat.S_IMODE(status.st_mode) & 0o027:
        return f"chmod 600 {path}"
    return "restore the keys file; without it no secret can be opened"


# -- Configuration ------------------------------------------------------------


def _configuration(settings: Settings) -> Iterator[Finding]:
    built_ins = app.built_ins()
    try:
        found = in_use(settings.config_dir, LastGood(settings.last_good_dir), built_ins)
    except BadConfigurationError as error:
        for problem in error.problems:
            yield _fail("configuration", str(problem), "mend the file; the service does not start")
        return
    for problem in found.problems:
        yield _fail("configuration", str(problem), "mend the file; until then no change of the directory holds")
    if found.problems:
        yield _warn("last-good", "the last good state is in use, not the directory", "mend the files named above")
    else:
        yield _ok("configuration", f"{settings.config_dir} has no problem")
    configuration = found.configuration
    for left_out in configuration.left_out:
        yield _warn("left-out", left_out, _todo_about_left_out(left_out))
    for warning in (*configuration.warnings, *files_not_read(settings.config_dir)):
        if NO_BCRYPT in warning:
            continue  # Told with the users.
        yield _warn("no-effect", warning, "change it, or do not rely on it; see docs/operations.md")
    yield from _modes(settings.config_dir)
    yield from _open_files_of_variables(settings.config_dir)
    for check, findings in (
        ("roles", judge_roles(configuration, built_ins)),
        ("users", judge_users(configuration, built_ins)),
        ("anonymous", judge_anonymous(configuration, built_ins)),
        ("netbird-jwt", judge_netbird_jwt(configuration)),
        ("proxies", judge_network(configuration, settings)),
    ):
        yield from _carried_out(check, findings)


def _todo_about_left_out(left_out: str) -> str:
    if _A_KEY in left_out:
        return "tokens signed with this key are refused; those of the other keys are not touched by it"
    if _A_PARAMETER in left_out or _A_SOURCE in left_out:
        return "the domain is asked without it; remove it, or do not rely on it"
    return "nobody is recognised by it; remove it, or use another kind of domain"


_A_KEY = ": no key for signatures of a kind that is known here"
_A_PARAMETER = ".url_parameter: "
_A_SOURCE = ": additional_user_information of type "


def _modes(directory: Path) -> Iterator[Finding]:
    try:
        names = sorted(path.name for path in directory.iterdir() if is_key_set(path.name))
    except OSError:
        return  # Told as a problem of the directory.
    for name in (USERS, AUTHC, NETBIRD_JWT, *names):
        path = directory / name
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
            held = "hashes" if name == USERS else _secrets_in(path)
        except OSError:
            continue  # Told as a problem of the directory, or not needed.
        if mode & 0o007 and held:
            check = {USERS: "users", NETBIRD_JWT: "netbird-jwt"}.get(name, "authc")
            yield _warn(check, f"{path} is open to others, and holds {held}", f"chmod o= {path}")


def _open_files_of_variables(directory: Path) -> Iterator[Finding]:
    paths: set[str] = set()
    for name in FILES:
        try:
            paths |= file_paths((directory / name).read_text(encoding="utf-8", errors="replace"))
        except OSError:
            continue  # Told as a problem of the directory, or not needed.
    for path in sorted(directory / path for path in paths):
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except (OSError, ValueError):
            continue  # Told as a variable without a value.
        if mode & 0o007:
            yield _warn(
                "variables", f"{path} is open to others, and a variable has its value from it", f"chmod o= {path}"
            )


def _secrets_in(path: Path) -> str:
    # By the document and not by what was made of it, for the file that is in
    # use may be another. Whoever has the secret of an HMAC can sign as anybody.
    text = path.read_text(encoding="utf-8", errors="replace")
    cursor = load(path.name, text, Findings([], []), undotted=path.name in (AUTHC, NETBIRD_JWT))
    sets = [cursor]
    domains = (domain.child("jwt") for domain in cursor.children("auth_domains"))
    for entry in (cursor,) if path.name == NETBIRD_JWT else domains:
        if entry.has("signing_key"):
            return "a secret that tokens are signed with"
        sets.append(entry.child("signing").child("jwks"))
    keys = (key.take("kty") for key_set in sets for key in key_set.children("keys"))
    return "a secret that tokens are signed with" if "oct" in keys else ""


def judge_roles(configuration: Configuration, built_ins: BuiltIns) -> Iterator[Finding]:
    """Find names that lead nowhere, and whether there is an administrator."""
    defined = {**configuration.roles, **built_ins.roles}
    groups = {**configuration.groups, **built_ins.groups}
    given = {role for user in configuration.users.values() for role in user.roles}
    undefined = sorted((configuration.mappings.by_role.keys() | given) - defined.keys())
    for role in undefined:
        how = "mapped" if role in configuration.mappings.by_role else "given to a user"
        yield _warn("roles", f"{role} is {how} and not defined", "define it in sg_roles.yml, or take it away")
    named = {f"the role {name}": _entries(role) for name, role in configuration.roles.items()}
    named |= {f"the action group {name}": list(entries) for name, entries in configuration.groups.items()}
    strange = [
        f"{name} names {entry}"
        for name, entries in sorted(named.items())
        for entry in entries
        if entry.startswith("SGS_") and "*" not in entry and entry not in groups
    ]
    for text in strange:
        yield _warn("groups", f"{text}, which is no action group", "see docs/privileges.md for those that there are")
    if not undefined and not strange:
        yield _ok("roles", f"{len(configuration.roles)} defined, each name leads somewhere")
    administrators = {
        name
        for name, role in defined.items()
        if "*" in action_groups.resolve(role.cluster_permissions, groups) and not role.exclude_cluster_permissions
    }
    if any(administrators & roles for roles in _roles_by_user(configuration, built_ins).values()) or any(
        not mapping.is_empty for role, mapping in configuration.mappings.by_role.items() if role in administrators
    ):
        yield _ok("administrator", "somebody may do everything")
    else:
        yield _warn(
            "administrator", "nobody may do everything", "map somebody to SGS_ALL_ACCESS in sg_roles_mapping.yml"
        )


def _entries(role: Role) -> list[str]:
    listed = [*role.cluster_permissions, *role.exclude_cluster_permissions]
    return listed + [action for permission in role.tenant_permissions for action in permission.allowed_actions]


def _roles_by_user(configuration: Configuration, built_ins: BuiltIns) -> dict[str, frozenset[str]]:
    rules = rules_of(configuration, built_ins)
    return {
        name: rules.effective_roles(
            Identity(REALM, name, backend_roles=user.backend_roles, roles=user.roles, attributes=user.attributes)
        )
        for name, user in configuration.users.items()
    }


def judge_users(configuration: Configuration, built_ins: BuiltIns) -> Iterator[Finding]:
    """Find users that can do nothing, and passwords that are too easy to guess once a hash is out."""
    roles = _roles_by_user(configuration, built_ins)
    # By the address anybody may get a role, which is then nobody's mistake.
    by_address = any(mapping.ips or not mapping.hosts.is_empty for mapping in configuration.mappings.by_role.values())
    idle = [] if by_address else [name for name, held in roles.items() if not held]
    users = configuration.users
    unusable = [name for name, user in users.items() if user.hash and user.cost is None]
    cheap = [name for name, user in users.items() if user.cost is not None and user.cost < _LOWEST_COST]
    if idle:
        yield _warn("users", f"without any role: {few(idle)}", "map them in sg_roles_mapping.yml, or remove them")
    if unusable:
        yield _warn("users", f"without a bcrypt hash: {few(unusable)}", "make one: accounts-service hash-password")
    if cheap:
        text = f"with a hash of a cost below {_LOWEST_COST}: {few(cheap)}"
        yield _warn("users", text, "hash their passwords anew: accounts-service hash-password")
    if not idle and not unusable and not cheap:
        yield _ok("users", f"{len(users)} in {USERS}")


def judge_anonymous(configuration: Configuration, built_ins: BuiltIns) -> Iterator[Finding]:
    """Find domains behind one that lets everybody in, and everything given to whoever comes."""
    domains, strange = configuration.domains, list[Finding]()
    for number, domain in enumerate(domains):
        if lets_everybody_in(domain) and not depends_on_origin(domain) and domains[number + 1 :]:
            later = ", ".join(other.type for other in domains[number + 1 :])
            text = f"an anonymous domain without conditions lets everybody in; never asked after it: {later}"
            strange.append(_warn("anonymous", text, "put it last in auth_domains"))
            break
    rules = rules_of(configuration, built_ins)
    defined = {**configuration.roles, **built_ins.roles}
    groups = {**configuration.groups, **built_ins.groups}
    for domain in domains:
        if domain.type != ANONYMOUS:
            continue
        for identity in anonymous_identities(configuration, domain):
            mighty = sorted(
                role
                for role in rules.effective_roles(identity)
                if role in defined and "*" in action_groups.resolve(defined[role].cluster_permissions, groups)
            )
            if mighty:
                text = f"whoever comes is {identity.name!r} and may do everything, by {', '.join(mighty)}"
                strange.append(_fail("anonymous", text, "take the role from those who come without a name"))
    if any(domain.type == ANONYMOUS for domain in domains):
        yield from strange or [_ok("anonymous", "those without a name are kept to what they are given")]


def judge_netbird_jwt(configuration: Configuration) -> Iterator[Finding]:
    """Say whose JWTs NetBird takes."""
    native = configuration.netbird_jwt
    if native is None:
        yield _ok("netbird-jwt", f"there is no {NETBIRD_JWT}; NetBird takes no JWT")
        return
    audiences = " or ".join(map(repr, native.tokens.audiences))
    text = f"{NETBIRD_JWT} takes tokens of {native.tokens.issuer!r} for {audiences}, keys: {len(native.tokens.keys)}"
    yield _ok("netbird-jwt", f"{text}, users by the claim {native.user_id_claim!r}")


def judge_network(configuration: Configuration, settings: Settings) -> Iterator[Finding]:
    """Find out who is believed without a password."""
    network = configuration.network
    strange = [*_proxies(network), *_socket_users(settings)]
    trusting = bool(network.trusted_proxies or network.trusted_proxies_regex)
    asked = any(domain.type == TRUSTED_ORIGIN for domain in configuration.domains)
    if asked and not trusting and not settings.trusted_socket_users:
        todo = "name the proxy in network.trusted_proxies, or its user in ACCOUNTS_TRUSTED_SOCKET_USERS"
        strange.append(_warn("proxies", "there is a trusted_origin domain, and no proxy is trusted", todo))
    if trusting and not settings.bind.startswith("unix:") and not _is_loopback(settings.bind):
        text = f"{settings.bind} can be reached from outside, and proxies are trusted by their address"
        strange.append(_warn("bind", text, "bind to a unix socket or the loopback, or shut others out by a firewall"))
    if settings.trusted_socket_users and not settings.bind.startswith("unix:"):
        text = f"ACCOUNTS_TRUSTED_SOCKET_USERS has no effect at {settings.bind}"
        strange.append(_warn("bind", text, "bind to a unix socket"))
    yield from strange or [_ok("proxies", "nobody is believed without need")]


def _proxies(network: NetworkSettings) -> Iterator[Finding]:
    for trusted in network.trusted_proxies:
        if trusted.prefixlen < _EVERYBODY[trusted.version]:
            yield _fail("proxies", f"network.trusted_proxies has {trusted}: anybody is whoever he says", _ONE_PROXY)
        elif trusted.prefixlen < _MANY[trusted.version]:
            yield _warn("proxies", f"network.trusted_proxies has {trusted}, a large network", _ONE_PROXY)
    for regex in network.trusted_proxies_regex:
        if all(regex.fullmatch(str(address)) for address in _ANYWHERE):
            text = f"network.trusted_proxies_regex has {regex.pattern!r}: anybody is whoever he says"
            yield _fail("proxies", text, _ONE_PROXY)


_ONE_PROXY = "name the addresses of the proxies alone"


def _socket_users(settings: Settings) -> Iterator[Finding]:
    try:
        uids_of(settings.trusted_socket_users)
    except UnknownUserError as error:
        yield _fail("socket-users", str(error), "correct ACCOUNTS_TRUSTED_SOCKET_USERS")


def _is_loopback(bind: str) -> bool:
    host = bind.rpartition(":")[0].strip("[]")
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


# -- Database -----------------------------------------------------------------


def _database(settings: Settings, keyring: Keyring | None, *, secrets: bool) -> Iterator[Finding]:
    # Without keys everything else can be looked at all the same.
    vault = Vault(keyring or Keyring.generate())
    try:
        database = open_database(settings.database_url, vault)
        name = name_of(settings.database_url)
    except ModuleNotFoundError:
        yield _fail("database", "the driver of PostgreSQL is missing", "pip install 'accounts-service[postgresql]'")
        return
    except (ArgumentError, ValueError):
        yield _fail("database", "ACCOUNTS_DATABASE_URL is no address of a database", _AN_ADDRESS)
        return
    try:
        yield from _visit(database, name, settings, secrets=secrets and keyring is not None)
    finally:
        database.dispose()


def _visit(database: Database, name: str, settings: Settings, *, secrets: bool) -> Iterator[Finding]:
    try:
        if isinstance(database, SqliteDatabase):
            yield from judge_files(database.path)
        if database.is_missing():
            return
        yield from _connected(database, name, settings)
        if migrations.fits(database):
            yield from _contents(database, settings, secrets=secrets)
    except (RefusedError, ReadInterruptedError) as error:
        yield _unreached(name, settings.database_url, error)
    except OSError as error:
        yield _fail("database", f"{name} cannot be looked at: {error.strerror}", "run this as the service's user")
    except DBAPIError as error:
        if damaged(error):
            yield _fail("integrity", f"{name} is damaged or no database", _RESTORE)
            return
        # Its class and state only: the words of a server may quote anything.
        state = getattr(error.orig, "sqlstate", None) or ""
        text = f"{name} refuses what the service asks: {type(error.orig).__name__} {state}".rstrip()
        yield _fail("database", text, "look the state up in the server's manual, and at its log")
    except TypeError as error:
        if "bytes-like" not in str(error):
            raise
        # SQLAlchemy meets bytes where the encoding is no text, as SQL_ASCII is none.
        text = f"could not be carried out ({type(error).__name__})"
        yield _fail("database", text, "if its encoding is not UTF8, create it anew with ENCODING 'UTF8'")


_AN_ADDRESS = "see docs/settings.md; the password in it must be percent-encoded"
_RESTORE = "stop the service, keep a copy of the file with its -wal and -shm, and restore a backup"
_REFUSALS = (
    ("3D000", "does not exist", "create it, and run 'accounts-service db upgrade'"),
    ("28", "refuses the role or its password", "correct ACCOUNTS_DATABASE_URL, or the role at the server"),
    (
        NOT_PERMITTED,
        "refuses the role what the service asks",
        "see that the tables belong to the user of ACCOUNTS_DATABASE_URL",
    ),
    ("08", "cannot be reached", "see that it runs, and that nothing is between"),
)


def _unreached(name: str, url: str, error: BaseException) -> Finding:
    if damaged(error):
        return _fail("integrity", f"{name} is damaged or no database", _RESTORE)
    if is_ambiguous(url):
        text = f"{name} cannot be reached or read, or is busy"
        return _fail("database", text, "the password in ACCOUNTS_DATABASE_URL must be percent-encoded")
    state = state_of(error)
    for start, text, todo in _REFUSALS:
        if state.startswith(start):
            return _fail("database", f"{name} {text}", todo)
    return _fail("database", f"{name} cannot be reached or read, or is busy", "look at its log, and at the disk")


def _connected(database: Database, name: str, settings: Settings) -> Iterator[Finding]:
    facts = facts_of(database)
    revision = migrations.current(database)
    if migrations.fits(database):
        yield _ok("database", f"{name}, at revision {revision}")
    else:
        text = f"{name} is at revision {revision or 'none'}, this release needs {migrations.head()}"
        yield _fail("database", text, "run 'accounts-service db upgrade'")
    match facts:
        case SqliteFacts():
            yield from judge_sqlite(facts)
        case PostgresFacts():
            yield from judge_postgres(facts, settings)


def judge_files(path: Path) -> Iterator[Finding]:
    """Find out who else can read SQLite's files, and whether they are where SQLite works."""
    if not path.exists():
        yield _fail("database", f"there is no {path}", "run 'accounts-service db upgrade', or restore a backup")
        return
    strange = []
    for file in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm")), path.parent):
        mode = stat.S_IMODE(file.stat().st_mode) if file.exists() else 0
        if file == path.parent and mode & 0o002 and not mode & stat.S_ISVTX:
            strange.append(_fail("files", f"others may write in {file}", f"chmod o= {file}"))
        elif file == path.parent and mode & 0o005:
            strange.append(_warn("files", f"others may look into {file}", f"chmod o= {file}"))
        elif file != path.parent and mode & 0o007:
            strange.append(_fail("files", f"{file} is open to others", f"chmod o= {file}"))
    yield from strange or [_ok("files", f"{path} is for its owner alone")]
    kind = file_system_of(path, _mounts())
    if kind is not None and _REMOTE.match(kind):
        yield _warn("disk", f"{path} is on {kind}; SQLite's locks need a local disk", "move it, or use PostgreSQL")
    free = shutil.disk_usage(path.parent).free
    if free < _LITTLE_SPACE:
        status = Status.FAIL if free < _NO_SPACE else Status.WARN
        yield Finding(status, "space", f"{free // 1024 // 1024} MiB are free beside {path}", "make room")
    else:
        yield _ok("space", f"{free // 1024 // 1024} MiB are free")


def _mounts() -> str:
    try:
        return _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""  # No Linux.


def file_system_of(path: Path, mounts: str) -> str | None:
    """Name the kind of file system that `path` is on, by the lines of mountinfo (proc(5)); None if they do not say."""
    real, found = path.resolve(), (-1, "")
    for line in mounts.splitlines():
        mounted, _, described = line.partition(" - ")
        fields = mounted.split(" ")
        if len(fields) < 5 or not described:
            continue
        point = Path(re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields[4]))
        # What is mounted later at the same place hides what was there.
        if real.is_relative_to(point) and len(point.parts) >= found[0]:
            found = (len(point.parts), described.split(" ")[0])
    return found[1] or None


def judge_sqlite(facts: SqliteFacts) -> Iterator[Finding]:
    """Find damage, and a journal with which readers wait for writers."""
    if facts.damages:
        yield Finding(Status.FAIL, "integrity", "the file is damaged", _RESTORE, facts.damages[:10])
    else:
        yield _ok("integrity", "quick_check found nothing")
    if facts.journal_mode != "wal":
        text = f"the journal is {facts.journal_mode}, so that readers wait for writers"
        yield _warn("journal", text, "nothing: the first write of the service turns it to wal")
    else:
        yield _ok("journal", "wal")


def judge_postgres(facts: PostgresFacts, settings: Settings) -> Iterator[Finding]:
    """Find a server that cannot do what we rely on."""
    if facts.version < _OLDEST_POSTGRES:
        yield _fail("version", f"PostgreSQL {facts.version // 10000}", "13 or newer is needed")
    else:
        yield _ok("version", f"PostgreSQL {facts.version // 10000}")
    each = settings.database_connections
    wanted = settings.workers * each + CONNECTIONS_BESIDE
    text = f"{settings.workers} workers of {each} connections, and jobs, may take {wanted} of {facts.connections}"
    if wanted > facts.connections:
        yield _fail(
            "connections", text, "raise max_connections, or lower ACCOUNTS_WORKERS or ACCOUNTS_DATABASE_CONNECTIONS"
        )
    elif 2 * wanted > facts.connections:
        todo = "none is left for a second instance, as in a deployment; raise max_connections"
        yield _warn("connections", text, todo)
    else:
        yield _ok("connections", text)
    if facts.synchronous_commit == "off":
        text = "synchronous_commit is off: a crash may lose what was acknowledged"
        yield _warn("commit", text, "turn it on for this database")
    else:
        yield _ok("commit", f"synchronous_commit is {facts.synchronous_commit}")
    if facts.encoding != "UTF8":
        yield _fail("encoding", f"the database's encoding is {facts.encoding}", "create it anew with ENCODING 'UTF8'")
    else:
        yield _ok("encoding", facts.encoding)
    apart = f"the database's clock is {facts.ahead_seconds:+.1f} s from this machine's"
    if abs(facts.ahead_seconds) > _CLOCKS_APART_SECONDS:
        yield _warn("clock", apart, "have both follow a time server")
    else:
        yield _ok("clock", apart)


def _contents(database: Database, settings: Settings, *, secrets: bool) -> Iterator[Finding]:
    yield from _outbox(database, settings)
    with database.reading(Usages) as usages:
        yield from judge_quotas(usages.all(), app.quotas_of(settings))
    for family in app.FAMILIES.values():
        for where in family.twins:
            with database.reading(Spellings) as spellings:
                yield from judge_spellings(where.things, [*spellings.twins(where)])
    if secrets:
        yield from _secrets(database)


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
        yield _ok("quotas", "no tenant and no caller has stored more than 90 % of what is allowed")
        return
    todo = "delete accounts or purge the bin, or raise ACCOUNTS_TENANT_… or ACCOUNTS_PRINCIPAL_… (docs/settings.md)"
    text = f"{len(near)} above 90 %; what is more than 100 % is refused"
    yield Finding(Status.WARN, "quotas", text, todo, tuple(near[:20]))


def judge_spellings(things: str, twins: Sequence[Sequence[str]]) -> Iterator[Finding]:
    """Return a warning if accounts of earlier releases have names that now count as the same."""
    if not twins:
        yield _ok("spelling", f"no two {things} have names that differ in spelling only")
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
        todo = "name a global account of type email that can be used, or mend the one that is named"
        yield _warn("outbox", f"{text}; {server.reason}", todo)
    elif overdue > _OVERDUE_SECONDS:
        todo = "see that 'accounts-service jobs' runs, or that ACCOUNTS_SERVE_JOBS is true"
        yield _warn("outbox", f"{text}; one is due for {overdue} s, and nobody has tried it", todo)
    else:
        yield _ok("outbox", text)
    if standing.failed:
        todo = "look for mail.given_up in the log; they are kept for a month"
        yield _warn("outbox", f"{standing.failed} given up", todo)


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
            yield _ok("secrets", counted)
