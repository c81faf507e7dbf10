"""What is behind an outage of the database, for an operator: in words, with SQLSTATE or errno, and what to do.

A server's or driver's own words never go further than this module: they quote
values, host names and users. They are only searched for what they mean, since
libpq has no SQLSTATE for a connection that was refused
(https://www.postgresql.org/docs/current/libpq-status.html#LIBPQ-PQERRORMESSAGE).
"""

from __future__ import annotations

import errno
import os
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from accounts_service.storage.sealed import BadKeysFileError

RESTORE = "stop the service, keep a copy of the file with its -wal and -shm, and restore a backup"


@dataclass(frozen=True, slots=True)
class Cause:
    """`name` is the same for the same cause; `text` says what is wrong and `todo` what to do about it."""

    name: str
    text: str
    todo: str

    def __str__(self) -> str:
        return f"{self.text}: {self.todo}"


class CausedError(Exception):
    """What happened is known, and is no error of a driver or of the system."""

    def __init__(self, cause: Cause) -> None:
        super().__init__(cause.text)
        self.cause = cause


REMOVED = Cause(
    "files_removed",
    "its -wal or -shm was removed or replaced while it was in use",
    "before you restart the service, see 'A SQLite file was replaced' in docs/operations.md: the removed -wal may be"
    " the only place of the last changes",
)
LEFT = Cause(
    "files_left",
    "the file was replaced while the -wal or -shm of the former file stayed",
    "move both away; see 'A SQLite file was replaced' in docs/operations.md",
)
UNKNOWN = Cause("unknown", "it cannot be reached or read, or is busy", "look at its log, and at the disk")
UNRESPONSIVE = Cause("unresponsive", "it does not answer in time", "look at its log, and for what holds its locks")
_FOREIGN_KEYS = Cause(
    "foreign_keys", "the keys file is not the one that it was written with", "restore it; see keys.foreign in the log"
)

# By the beginning of a SQLSTATE; the longest that fits counts.
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_STATES = {
    "08": ("connection_lost", "the connection to it was lost", "see that it runs, and that nothing is between"),
    "25006": (
        "read_only",
        "it is read-only",
        "let ACCOUNTS_DATABASE_URL name the primary server, and look at default_transaction_read_only",
    ),
    "28": (
        "role_refused",
        "it refuses the role",
        "correct the user in ACCOUNTS_DATABASE_URL, the role, or the server's pg_hba.conf",
    ),
    "28P01": (
        "wrong_password",
        "it refuses the role's password",
        "correct the password in ACCOUNTS_DATABASE_URL, or the role's",
    ),
    "3D": ("no_database", "the database does not exist", "create it, and run 'accounts-service db upgrade'"),
    "42501": (
        "not_permitted",
        "it refuses the role what the service asks",
        "see that the tables belong to the user of ACCOUNTS_DATABASE_URL",
    ),
    "42703": ("no_schema", "its schema is not the one of this release", "run 'accounts-service db upgrade'"),
    "42P01": ("no_schema", "its schema is not the one of this release", "run 'accounts-service db upgrade'"),
    "53": ("no_resources", "it is out of a resource", "look at its log"),
    "53100": ("disk_full", "its disk is full", "make room on the server's disk"),
    "53200": ("no_memory", "it is out of memory", "look at its log, and at the memory of its machine"),
    "53300": (
        "too_many_connections",
        "it has no connection left",
        "raise max_connections, or lower ACCOUNTS_DATABASE_CONNECTIONS or ACCOUNTS_WORKERS",
    ),
    "57P": ("shut_down", "it has ended the connection", "see that it runs; nothing, if it was restarted"),
    "57P03": ("starting", "it is starting or shutting down", "wait; if it stays so, look at its log"),
    "58": ("disk_fails", "its disk fails", "look at its log, and at the disk"),
    "XX": ("server_fails", "it has met an error of its own", "look at its log"),
    "XX001": ("damaged", "its data is damaged", "look at its log, and restore a backup"),
    "XX002": ("damaged", "an index of it is damaged", "look at its log, and rebuild the index"),
}

# What libpq and psycopg say of a connection that could not be made, in their order of precedence; a SQLSTATE is the
# one that the server has given and libpq does not tell.
_WORDS = tuple(
    (re.compile(pattern), meaning)
    for pattern, meaning in (
        # Before the others: what follows quotes a value, which may say anything.
        (r"(invalid (port|sslmode)|for connection option|invalid \"?\w+\"? value: |bad value for \w+)", "PARAMETER"),
        (r"invalid (connection option|value for parameter)|definition of service .* not found", "PARAMETER"),
        (r"could not parse network address|weak sslmode", "PARAMETER"),
        (r"GSSAPI encryption required|channel binding|authentication method requirement", "REQUIREMENT"),
        (r"session is (not )?read-only|server is (not )?in hot standby mode", "REQUIREMENT"),
        (r"password authentication failed|no password supplied", "28P01"),
        (r"no pg_hba\.conf entry|role .* (does not exist|is not permitted)|authentication failed", "28000"),
        (r"database .* does not exist", "3D000"),
        (r"too many (connections|clients)|connection slots are reserved", "53300"),
        (r"starting up|shutting down|in recovery mode|not (yet |currently )?accepting connections", "57P03"),
        (r"permission denied for database", "42501"),
        (r"resolve host|translate host name|Name or service not known", "EAI_NONAME"),
        (r"Connection refused", "ECONNREFUSED"),
        (r"timeout expired|timed out", "ETIMEDOUT"),
        (r"No route to host|is unreachable", "EHOSTUNREACH"),
        (r"No such file or directory", "ENOENT"),
        (r"Permission denied", "EACCES"),
        (r"(does not support|without) SSL|SSL (error|was required)|certificate", "TLS"),
        (r"closed|lost|terminat|reset by peer|Broken pipe", "08006"),
    )
)
_RUNS = "see that it runs, that ACCOUNTS_DATABASE_URL has its host and port, and that nothing is between"
_SOCKET = "see that it runs, and that ACCOUNTS_DATABASE_URL has the folder of its socket"
_REACHING = {
    "EAI_NONAME": ("unknown_host", "its host name is not known", "correct the host in ACCOUNTS_DATABASE_URL, or DNS"),
    "ECONNREFUSED": ("refused", "nothing listens at its address", _RUNS),
    "ETIMEDOUT": ("no_answer", "it does not answer", _RUNS),
    "EHOSTUNREACH": ("unreachable", "there is no route to it", _RUNS),
    "ENOENT": ("no_socket", "there is no such socket", _SOCKET),
    "EACCES": ("socket_refused", "its socket may not be opened", "run the service as a user who may open it"),
    "TLS": (
        "tls_refused",
        "no TLS connection was agreed on",
        "see that the server has TLS; compare its certificate with sslmode and sslrootcert in ACCOUNTS_DATABASE_URL",
    ),
    "PARAMETER": (
        "bad_parameter",
        "ACCOUNTS_DATABASE_URL has a port or a parameter that cannot be used",
        "correct the port, or what follows the ? in it; a ? of the password is written %3F",
    ),
    "REQUIREMENT": (
        "not_offered",
        "it does not offer what a parameter of ACCOUNTS_DATABASE_URL requires",
        "compare target_session_attrs, gssencmode, channel_binding and require_auth in it with the server",
    ),
}
# Parameters of libpq, which its words name; any other word may be a part of the password.
_PARAMETERS = re.compile(
    r"(?:invalid |for connection option |bad value for |for parameter )\"?(port|\w*ssl\w*|connect_timeout|keepalives\w*"
    r"|tcp_user_timeout|target_session_attrs|gssencmode|channel_binding|client_encoding|load_balance_hosts|require_auth)\b"
)

_WRITABLE = "make file and folder writable for the service's user; if they were, look for errors of the disk"
# https://www.sqlite.org/rescode.html
_SQLITE = {
    sqlite3.SQLITE_FULL: ("disk_full", "its disk is full", "make room on the disk"),
    sqlite3.SQLITE_READONLY: ("read_only", "the file or its disk is read-only", _WRITABLE),
    sqlite3.SQLITE_CANTOPEN: ("cannot_open", "the file, or its -wal or -shm, cannot be opened", _WRITABLE),
    sqlite3.SQLITE_PERM: ("cannot_open", "the file may not be opened", _WRITABLE),
    sqlite3.SQLITE_IOERR: ("disk_fails", "its disk fails", "look at the machine's log for errors of the disk"),
    sqlite3.SQLITE_NOMEM: ("no_memory", "there is no memory left", "look at what uses the machine's memory"),
    sqlite3.SQLITE_CORRUPT: ("damaged", "the file is damaged", RESTORE),
    sqlite3.SQLITE_NOTADB: ("damaged", "the file is not a database", RESTORE),
    sqlite3.SQLITE_BUSY: ("busy", "another process has locked it for too long", "find what else uses the file"),
    sqlite3.SQLITE_LOCKED: ("busy", "another process has locked it for too long", "find what else uses the file"),
}
_NO_TABLE = ("no such table", "no such column")

_ERRNOS = {
    errno.ENOENT: (
        "no_file",
        "there is no file",
        "see that its disk is mounted; restore a backup, or run 'accounts-service db upgrade' for an empty database",
    ),
    errno.ENOSPC: ("disk_full", "its disk is full", "make room on the disk"),
    errno.EDQUOT: ("disk_full", "the user's quota on its disk is used up", "make room on the disk, or raise the quota"),
    errno.EROFS: ("read_only", "its disk is read-only", _WRITABLE),
    errno.EACCES: ("cannot_open", "a file of it may not be opened", _WRITABLE),
    errno.EPERM: ("cannot_open", "a file of it may not be opened", _WRITABLE),
    errno.EIO: ("disk_fails", "its disk fails", "look at the machine's log for errors of the disk"),
    errno.EMFILE: ("too_many_files", "this process has too many open files", "raise its limit, as by LimitNOFILE="),
    errno.ENFILE: ("too_many_files", "the machine has too many open files", "raise fs.file-max"),
}


# A file of SQLite's that is not there, where nobody has tried to open it.
MISSING = Cause(*_ERRNOS[errno.ENOENT])


def cause_of(error: BaseException | None) -> Cause:
    """Find what is behind `error`, in it or in what it came from; UNKNOWN where nothing tells."""
    for one in _chain(error):
        if isinstance(one, CausedError):
            return one.cause
        if isinstance(one, BadKeysFileError):
            return _FOREIGN_KEYS
        found = _by_state(one) or _by_sqlite(one) or _by_errno(one) or _by_words(one)
        if found is not None:
            return found
    return UNKNOWN


def state_of(error: BaseException | None) -> str:
    """Return the SQLSTATE that `error` came from; empty where the driver knows none."""
    return next((state for one in _chain(error) if (state := _sqlstate(one))), "")


def damaged(error: BaseException | None) -> bool:
    """Return whether `error` came from a SQLite file that is damaged or is not a database."""
    return any(_code(one) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) for one in _chain(error))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        original = getattr(error, "orig", None)
        yield original if isinstance(original, BaseException) else error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _sqlstate(error: BaseException) -> str:
    state = getattr(error, "sqlstate", None)
    return state if isinstance(state, str) else ""


def _code(error: BaseException) -> int:
    return int(getattr(error, "sqlite_errorcode", None) or 0) & 0xFF


def _by_state(error: BaseException) -> Cause | None:
    return _of_state(_sqlstate(error))


def _of_state(state: str) -> Cause | None:
    for length in range(len(state), 1, -1):
        if state[:length] in _STATES:
            name, text, todo = _STATES[state[:length]]
            return Cause(name, f"{text} (SQLSTATE {state})", todo)
    return None


def _by_sqlite(error: BaseException) -> Cause | None:
    if not isinstance(error, sqlite3.Error):
        return None
    if str(error).startswith(_NO_TABLE):
        name, text, todo = _STATES["42P01"]
        return Cause(name, text, todo)
    if _code(error) in _SQLITE:
        name, text, todo = _SQLITE[_code(error)]
        # An extended code says more, as SQLITE_IOERR_FSYNC does.
        return Cause(name, f"{text} ({getattr(error, 'sqlite_errorname', None) or 'SQLite'})", todo)
    return None


def _by_errno(error: BaseException) -> Cause | None:
    if not isinstance(error, OSError) or error.errno is None:
        return None
    number = error.errno
    name, text, todo = _ERRNOS.get(number, ("system", os.strerror(number), "look at the machine's log"))
    return Cause(name, f"{text} ({errno.errorcode.get(number, number)})", todo)


def _by_words(error: BaseException) -> Cause | None:
    # psycopg's alone, by the name of its module: it is not installed everywhere.
    if not type(error).__module__.startswith("psycopg"):
        return None
    words = str(error)
    for pattern, meaning in _WORDS:
        if pattern.search(words):
            if meaning in _REACHING:
                name, text, todo = _REACHING[meaning]
                known = _PARAMETERS.search(words) if meaning == "PARAMETER" else None
                detail = known[1] if known else meaning if meaning.startswith("E") else ""
                return Cause(name, f"{text} ({detail})" if detail else text, todo)
            return _of_state(meaning)
    return None
