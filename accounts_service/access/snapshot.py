"""The configuration directory as snapshots: taken whole, refused whole, never half a change.

A worker looks at the directory at most once a second, when a request comes. A
change counts once the directory has been quiet for a second, so a revocation
holds within two. A directory with any problem is refused with all of them; the
last good state goes on, also in workers that start later: it is kept in a file
of its own beside the directory. Files that a variable `#{file:…}` names belong
to the state: they are read, watched and kept with it.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import pwd
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import structlog

from accounts_service.access import action_groups, log_ins, roles
from accounts_service.access.action_groups import ActionGroups
from accounts_service.access.authenticators import (
    ANONYMOUS,
    BASIC,
    Authenticator,
    Facts,
    Identified,
    NoCredentials,
    Origin,
    Peer,
)
from accounts_service.access.authenticators.anonymous import Anonymous
from accounts_service.access.authenticators.basic import Basic
from accounts_service.access.authenticators.internal_users import InternalUsers, VerifiedCredentials
from accounts_service.access.authenticators.jwt import Jwt
from accounts_service.access.authenticators.trusted_origin import TrustedOrigin
from accounts_service.access.configuration import (
    FILES,
    GROUPS,
    ROLES,
    ConfigProblem,
    Configuration,
    Domain,
    is_key_set,
    read,
)
from accounts_service.access.decisions import Rules
from accounts_service.access.log_in_limits import LogInLimits
from accounts_service.access.log_ins import Caller
from accounts_service.access.roles import Identity, Role, plain
from accounts_service.access.variables import LARGEST_FILE, file_key, file_paths
from accounts_service.faults import BadOrigin, NotAuthenticated, NotPermitted, RefusedError
from accounts_service.folders import make_private
from accounts_service.lines import Line

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 1.0
_LARGEST_FILE = 16 * 1024 * 1024
# In a list of proxies. Its beginning is from the client, and reading an address takes microseconds.
_MOST_ADDRESSES = 50


class BadConfigurationError(Exception):
    """The directory cannot be used. `problems`: all of them."""

    def __init__(self, problems: list[ConfigProblem]) -> None:
        super().__init__(f"{len(problems)} problems")
        self.problems = problems


class UnreadableError(BadConfigurationError):
    """Some file could not be read, perhaps only for now, as when too many are open."""


@dataclass(frozen=True, slots=True)
class BuiltIns:
    """Action groups and roles that are always there and cannot be redefined."""

    groups: ActionGroups
    roles: Mapping[str, Role]

    @classmethod
    def merge(cls, families: Iterable[tuple[ActionGroups, Mapping[str, Role]]]) -> BuiltIns:
        """Join Search Guard's own with those of the families. Raises ValueError when two share a name."""
        groups = dict(action_groups.STATIC)
        static = dict(roles.STATIC)
        for family_groups, family_roles in families:
            if twice := (groups.keys() & family_groups.keys()) | (static.keys() & family_roles.keys()):
                raise ValueError(f"built in twice: {sorted(twice)}")
            groups |= family_groups
            static |= family_roles
        return cls(groups, static)


def parse(texts: Mapping[str, str], built_ins: BuiltIns) -> Configuration:
    """Read a directory's files, given as text by name. Raises BadConfigurationError."""
    configuration, problems = read(texts)
    problems += [
        ConfigProblem(file, name, "This is built in and cannot be defined again")
        for file, ours, theirs in (
            (GROUPS, configuration.groups, built_ins.groups),
            (ROLES, configuration.roles, built_ins.roles),
        )
        for name in sorted(ours.keys() & theirs.keys())
    ]
    if problems:
        # Two domains may name one key set, whose problems are told once.
        raise BadConfigurationError(sorted(dict.fromkeys(problems), key=_place))
    return configuration


def _place(problem: ConfigProblem) -> tuple[int, str, str]:
    file = problem.file
    return (FILES.index(file) if file in FILES else len(FILES), file, problem.path)


def _names(directory: Path) -> tuple[str, ...]:
    # What sg_authc.yml calls a key set is known only once it is read, so all
    # that are there belong to the state. A directory that cannot be listed has none.
    try:
        found = sorted(path.name for path in directory.iterdir() if is_key_set(path.name))
    except OSError:
        found = []
    return (*FILES, *found)


def read_directory(directory: Path) -> dict[str, str]:
    """Read the text of every configuration file in `directory`, and by `file_key` of those that variables name.

    Raises BadConfigurationError, and UnreadableError where another try may help.
    """
    texts: dict[str, str] = {}
    problems = []
    unreadable = False
    _require_directory(directory)
    for name in _names(directory):
        try:
            # Not blocking: a pipe would keep a worker, which then sees no change any more, waiting for a writer.
            with open(directory / name, "rb", opener=_open_at_once) as file:  # Path.open has no opener.
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    problems.append(ConfigProblem(name, "", "Not a regular file"))
                    continue
                raw = file.read(_LARGEST_FILE + 1)
            if len(raw) > _LARGEST_FILE:
                problems.append(ConfigProblem(name, "", f"Larger than {_LARGEST_FILE} bytes"))
                continue
            texts[name] = raw.decode("utf-8")
        except FileNotFoundError as error:
            # A link that leads nowhere is no file left out: without sg_authc.yml
            # everybody with a password would be heard.
            if (directory / name).is_symlink():
                problems.append(ConfigProblem(name, "", f"Cannot be read: {error.strerror}"))
                unreadable = True
        except UnicodeDecodeError:
            problems.append(ConfigProblem(name, "", "Not UTF-8"))
        except OSError as error:
            problems.append(ConfigProblem(name, "", f"Cannot be read: {error.strerror}"))
            unreadable = True
    contents, for_now = _contents(directory, texts)
    problems += for_now
    if problems:
        raise UnreadableError(problems) if unreadable or for_now else BadConfigurationError(problems)
    return texts | contents


def _require_directory(directory: Path) -> None:
    try:
        directory.stat()
    except OSError as error:
        problem = f"Cannot be read: {error.strerror}"
        if isinstance(error, FileNotFoundError):
            problem = "There is no such directory"
        raise UnreadableError([ConfigProblem(str(directory.absolute()), "", problem)]) from None


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def files_not_read(directory: Path) -> tuple[str, ...]:
    """List the files in `directory` that Search Guard may read and this service does not, one line each."""
    try:
        names = sorted(path.name for path in directory.iterdir())
    except OSError:
        return ()
    return tuple(
        f"{name}: this file is not read" + (", and blocks no user" if name.startswith("sg_blocks.") else "")
        for name in names
        if name.startswith("sg_") and name.endswith((".yml", ".yaml")) and name not in FILES
    )


def _paths_in(texts: Mapping[str, str]) -> frozenset[str]:
    return frozenset(path for name in FILES for path in file_paths(texts.get(name, "")))


# What another try may find otherwise.
_FOR_NOW = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.ESTALE, errno.EINTR))


def _contents(directory: Path, texts: Mapping[str, str]) -> tuple[dict[str, str], list[ConfigProblem]]:
    """Read the files that variables in `texts` name; returns also those that another try may read."""
    contents, problems = {}, []
    for path in sorted(_paths_in(texts)):
        try:
            contents[file_key(path)] = _content(directory / path)
        except OSError as error:
            if error.errno in _FOR_NOW:
                problems.append(ConfigProblem(file_key(path), "", f"Cannot be read: {error.strerror}"))
        except ValueError:
            continue  # A variable without a value, as when there is no such file.
    return contents, problems


def _content(path: Path) -> str:
    """Read a file that a variable names. Raises OSError, and ValueError for what is no UTF-8 text of bounded size."""
    # Not blocking: a pipe would keep the worker waiting for who writes into it.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("no regular file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            raw = file.read(LARGEST_FILE + 1)
    finally:
        os.close(descriptor)
    if len(raw) > LARGEST_FILE:
        raise ValueError("too large")
    return raw.decode("utf-8")


def rules_of(configuration: Configuration, built_ins: BuiltIns) -> Rules:
    """Compile what the files say about who may do what."""
    return Rules(
        {**configuration.roles, **built_ins.roles},
        {**configuration.groups, **built_ins.groups},
        configuration.mappings,
        configuration.tenants,
    )


class Snapshot:
    """One state of the configuration, compiled: who they are, and what they may do.

    `netbird_jwt`: which JWTs are for the NetBird family, if any.
    """

    def __init__(  # noqa: PLR0913, PLR0917  # made in one place, AccessControl
        self,
        configuration: Configuration,
        built_ins: BuiltIns,
        verified: VerifiedCredentials,
        hashing: Line,
        limits: LogInLimits,
        trusted_uids: frozenset[int],
    ) -> None:
        self._configuration = configuration
        self.left_out = configuration.left_out
        self.warnings = configuration.warnings
        self.netbird_jwt = configuration.netbird_jwt
        self.rules = rules_of(configuration, built_ins)
        self._network = configuration.network
        self._trusted_uids = trusted_uids
        users = InternalUsers(configuration.users, verified, hashing, limits)
        self._domains = tuple(_authenticator(domain, users) for domain in configuration.domains)
        # Headers that say who someone is must come once; a comma is a repeat
        # that a server has joined, unless every mapping of the header splits it.
        sources = [source for domain in configuration.domains for source in domain.mapping.sources()]
        self._once = frozenset(source.header for source in sources if source.header) | {
            "authorization",
            *(domain.tokens.header for domain in configuration.domains if domain.tokens),
        }
        self._mapped = frozenset(source.header for source in sources if source.header)
        naming = [source for domain in configuration.domains for source in domain.mapping.naming()]
        self._naming = frozenset(source.header for source in naming if source.header)
        self._separators = frozenset((source.header, source.split) for source in sources if source.header)

    @property
    def trusts_proxies(self) -> bool:
        """Return whether connections from some addresses count as a trusted proxy's."""
        return bool(self._network.trusted_proxies or self._network.trusted_proxies_regex)

    def authenticate(self, facts: Facts) -> Identity:
        """Find out who sent `facts`.

        Raises RefusedError: NotAuthenticated, NotPermitted where `network` refuses
        the origin, BadOrigin, Overloaded or TooManyAttempts.
        """
        if facts.repeated & self._once or self._joined(facts) or self._unreadable(facts):
            raise RefusedError(NotAuthenticated())
        origin = self._origin(facts)
        if not self._network.conditions.for_origin(origin):
            raise RefusedError(NotPermitted())
        challenges = []
        for domain in self._domains:
            if not domain.conditions.for_origin(origin):
                continue
            outcome = domain.authenticate(facts, origin)
            if isinstance(outcome, Identified):
                return outcome.identity
            if isinstance(outcome, NoCredentials) and outcome.challenge is not None:
                challenges.append(outcome.challenge)
        raise RefusedError(NotAuthenticated(tuple(challenges)))

    def caller_of(self, identity: Identity) -> Caller:
        """Find out whom the service would take for `identity`, of whom no more is known than that; see log_ins.py."""
        return log_ins.caller_of(self._configuration, identity, by_socket=bool(self._trusted_uids))

    def reads_who(self, facts: Facts) -> bool:
        """Tell whether `facts` have a header by which some domain finds out who sent them."""
        return not self._once.isdisjoint(facts.headers)

    def network_of(self, facts: Facts) -> str | None:
        """Return the network from which `facts` came, as trusted proxies report it; None over a socket.

        Raises RefusedError(BadOrigin).
        """
        return self._origin(facts).network

    def trusts(self, facts: Facts) -> bool:
        """Return whether `facts` came by a trusted proxy."""
        peer = Peer(None if facts.peer.address is None else plain(facts.peer.address), facts.peer.uid)
        return self._network.trusts(peer.address) or peer.uid in self._trusted_uids

    def _joined(self, facts: Facts) -> bool:
        for header, separator in self._separators:
            value = facts.headers.get(header, "")
            if any("," in part for part in (value.split(separator) if separator else [value])):
                return True
        return False

    def _unreadable(self, facts: Facts) -> bool:
        """Return whether a mapped header is not UTF-8, or names someone by characters that cannot be printed.

        As in a token, those would stand in logs and in the audit trail.
        """
        names = (facts.headers.get(header, "") for header in self._naming)
        # A list may have tabs between its elements (RFC 9110 section 5.6.3).
        unprintable = any(not name.replace("\t", "").isprintable() for name in names)
        return unprintable or not facts.undecodable.isdisjoint(self._mapped)

    def _origin(self, facts: Facts) -> Origin:
        peer = Peer(None if facts.peer.address is None else plain(facts.peer.address), facts.peer.uid)
        if not self.trusts(facts):
            return Origin(peer, trusted=False, address=peer.address)
        header = self._network.remote_ip_header
        forwarded = facts.headers.get(header)
        if forwarded is None:
            return Origin(peer, trusted=True, address=peer.address)
        if forwarded.count(",") >= _MOST_ADDRESSES:
            raise RefusedError(BadOrigin(header))
        try:
            hops = [plain(ip_address(hop.strip())) for hop in forwarded.split(",")]
        except ValueError:
            raise RefusedError(BadOrigin(header)) from None
        client = next((hop for hop in reversed(hops) if not self._network.trusts(hop)), hops[0])
        return Origin(peer, trusted=True, address=client)


def _authenticator(domain: Domain, users: InternalUsers) -> Authenticator:
    if domain.type == BASIC:
        return Basic(domain.conditions, users, domain.mapping, domain.challenge)
    more = users if domain.with_internal_users else None
    if domain.tokens is not None:
        return Jwt(domain.conditions, domain.tokens, domain.mapping, more)
    if domain.type == ANONYMOUS:
        return Anonymous(domain.conditions, domain.mapping, more)
    return TrustedOrigin(domain.conditions, domain.mapping, more)


class UnknownUserError(Exception):
    """The system knows no user of this name; the message says which."""


def uids_of(names: Iterable[str]) -> frozenset[int]:
    """Look up users given by name or number. Raises UnknownUserError."""
    try:
        return frozenset(
            int(name) if name.isascii() and name.isdigit() else pwd.getpwnam(name).pw_uid for name in names
        )
    except KeyError as error:
        raise UnknownUserError(f"a trusted socket user is not known: {error.args[0]}") from None


class LastGood:
    """The texts of the last directory that was good, in one file that only the service can read, and in memory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._file = directory / "snapshot.json"
        self._held: dict[str, str] | None = None
        self._seen: tuple[int, int] | None = None

    def load(self) -> dict[str, str] | None:
        """Return the texts of the file, or else those that are held; None without either."""
        texts = self.stored()
        if texts is not None:
            self._held = texts
        return self._held

    def look(self) -> None:
        """Hold what the file has by now, for processes that are forked from this one."""
        try:
            status = self._file.stat()
        except OSError:
            return
        if self._seen != (seen := (status.st_mtime_ns, status.st_ino)):
            self._seen = seen
            self.load()

    def stored(self) -> dict[str, str] | None:
        """Read the texts of the file; None if there are none."""
        try:
            texts = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return None
        return {str(name): str(text) for name, text in texts.items()} if isinstance(texts, dict) else None

    def save(self, texts: Mapping[str, str]) -> None:
        """Replace what is kept, whole or not at all. Raises OSError."""
        self._held = dict(texts)
        make_private(self._directory)
        descriptor, name = tempfile.mkstemp(dir=self._directory)  # mode 0600
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(dict(texts), file)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self._file)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


@dataclass(frozen=True, slots=True)
class InUse:
    """The configuration that holds, and the `problems` of the directory for which it is the last good one."""

    configuration: Configuration
    problems: tuple[ConfigProblem, ...]


def in_use(directory: Path, last_good: LastGood, built_ins: BuiltIns) -> InUse:
    """Find the configuration that a worker would start with, and change nothing; for looking at it from outside.

    Raises BadConfigurationError with the directory's problems when the last good state cannot be used either.
    """
    try:
        return InUse(parse(read_directory(directory), built_ins), ())
    except BadConfigurationError as error:
        texts = last_good.load()
        if texts is None:
            raise
        problems = tuple(error.problems)
        try:
            return InUse(parse(texts, built_ins), problems)
        except BadConfigurationError:
            raise error from None


class AccessControl:
    """The snapshot of now. One per process; asked with each request."""

    def __init__(  # noqa: PLR0913  # the composition root names them all
        self,
        directory: Path,
        last_good: LastGood,
        *,
        built_ins: BuiltIns,
        hashing: Line,
        limits: LogInLimits,
        trusted_uids: frozenset[int] = frozenset(),
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take the first snapshot, from the directory or else from the last good state.

        Raises BadConfigurationError when neither can be used.
        """
        self._directory = directory
        self._last_good = last_good
        self._built_ins = built_ins
        self._hashing = hashing
        self._limits = limits
        self._trusted_uids = trusted_uids
        self._verified = VerifiedCredentials()
        self._clock = clock
        self._looking = threading.Lock()
        self._looked = 0.0
        self._waiting_since: tuple[str, float] | None = None
        self.problems: tuple[ConfigProblem, ...] = ()
        self._seen = ""
        self._there: frozenset[str] = frozenset()
        # Paths of files that variables name, whether they are there or not.
        self._named: frozenset[str] = frozenset()
        self._current = self._first()

    def current(self) -> Snapshot:
        """Give the snapshot that holds now, looking for a change when the last look is a second old."""
        if abs(self._clock() - self._looked) >= _LOOK_SECONDS and self._looking.acquire(blocking=False):
            try:
                self._look()
            finally:
                self._looking.release()
        return self._current

    def _first(self) -> Snapshot:
        self._looked = self._clock()
        kept = self._kept()
        signature = self._signature()
        quiet = self._quiet(signature)
        if kept is not None and not quiet:
            return kept  # Somebody is writing; the next look takes what comes of it.
        try:
            texts, signature = self._read(signature)
            quiet = quiet and self._signature() == signature
            if kept is not None and not quiet:
                return kept
            snapshot = self._compile(texts)
        except BadConfigurationError as error:
            self._complain(error)
            if kept is None:
                raise
            log.warning("configuration.last_good_used", directory=str(self._directory))
            if not isinstance(error, UnreadableError):
                self._seen = signature
            return kept
        if quiet:
            self._seen = signature
        self._keep(texts)
        self._warn(snapshot)
        return snapshot

    def _kept(self) -> Snapshot | None:
        texts = self._last_good.load()
        self._there = frozenset(texts or ())
        self._named = _paths_in(texts or {})
        try:
            return None if texts is None else self._compile(texts)
        except BadConfigurationError:  # Good for another version of the service.
            log.warning("configuration.last_good_refused")
            return None

    def _look(self) -> None:
        self._looked = self._clock()
        signature = self._signature()
        if signature == self._seen or not self._quiet(signature):
            return
        try:
            texts, signature = self._read(signature)
            if self._signature() != signature:
                return  # It went on changing; the next look decides.
            self._current = self._compile(texts)
        except UnreadableError as error:
            # The next look tries again, for the files need not change till they
            # can be read; but it says so only once.
            if self.problems != tuple(error.problems):
                self._complain(error)
            signature = ""
        except BadConfigurationError as error:
            self._complain(error)
        else:
            self.problems = ()
            self._keep(texts)
            log.info("configuration.loaded", left_out=self._current.left_out)
            self._warn(self._current)
        self._seen = signature

    def _read(self, signature: str) -> tuple[dict[str, str], str]:
        """Read the directory, of which `signature` was taken before; returns also that of all that was read.

        Raises BadConfigurationError.
        """
        texts = read_directory(self._directory)
        if (named := _paths_in(texts)) != self._named:
            # Files that variables name for the first time are watched from here on, and of a
            # state that is refused, too: a file that comes later may be all that it lacks.
            self._named = named
            signature = self._signature()
            texts = read_directory(self._directory)
        return texts, signature

    def _quiet(self, signature: str) -> bool:
        # By the change time, which nobody can set back as one can the other
        # two (utimensat(2)); or, when the clock was, by two equal looks.
        now = self._clock()
        age = now - self._newest_change()
        if age >= 0:
            return age >= _LOOK_SECONDS
        if self._waiting_since is None or self._waiting_since[0] != signature or now < self._waiting_since[1]:
            self._waiting_since = (signature, now)
        return now - self._waiting_since[1] >= _LOOK_SECONDS

    def _newest_change(self) -> float:
        statuses = self._statuses()
        times = [status.st_ctime for status in statuses.values() if status]
        if any(statuses.get(name) is None for name in self._there):
            # When a file went only its directory knows. It also knows when an
            # editor put something beside the files, which is no change of them.
            with suppress(OSError):
                times.append(self._directory.stat().st_ctime)
        return max(times, default=0.0)

    def _compile(self, texts: Mapping[str, str]) -> Snapshot:
        configuration = parse(texts, self._built_ins)
        return Snapshot(configuration, self._built_ins, self._verified, self._hashing, self._limits, self._trusted_uids)

    def _warn(self, snapshot: Snapshot) -> None:
        for warning in snapshot.warnings:
            log.warning("configuration.no_effect", warning=warning)

    def _complain(self, error: BadConfigurationError) -> None:
        self.problems = tuple(error.problems)
        for problem in error.problems:
            log.error("configuration.refused", problem=str(problem))

    def _keep(self, texts: Mapping[str, str]) -> None:
        self._there = frozenset(texts)
        self._named = _paths_in(texts)
        try:
            if self._last_good.stored() != dict(texts):
                self._last_good.save(texts)
        except OSError as error:
            log.error("configuration.not_kept", reason=error.strerror)

    def _statuses(self) -> dict[str, os.stat_result | None]:
        paths = {name: name for name in _names(self._directory)} | {file_key(path): path for path in self._named}
        return _statuses(self._directory, paths)

    def _signature(self) -> str:
        digest = hashlib.sha256()
        for name, status in self._statuses().items():
            seen = status and (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            digest.update(repr((name, seen)).encode())
        return digest.hexdigest()


def _statuses(directory: Path, paths: Mapping[str, str]) -> dict[str, os.stat_result | None]:
    statuses: dict[str, os.stat_result | None] = {}
    for name, path in paths.items():
        try:
            statuses[name] = (directory / path).stat()
        except (OSError, ValueError):
            statuses[name] = None
    return statuses
