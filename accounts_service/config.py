"""Settings: read once from the environment, checked as a whole, frozen.

Every setting is a field of `Settings` with a default, a parser and a sentence;
docs/settings.md is made from them. No secret has a default.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TypeVar

PREFIX = "ACCOUNTS_"

T = TypeVar("T")


class BadSettingsError(Exception):
    """The environment does not make settings. `problems`: one sentence each, never a secret's value."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def _setting(default: T, parse: Callable[[str], T], shown_default: str, sentence: str) -> T:
    metadata = {"parse": parse, "default": shown_default, "sentence": sentence}
    value: T = dataclasses.field(default=default, metadata=metadata)
    return value


def _path(text: str) -> Path:
    if not text:
        raise ValueError("a path")
    return Path(text)


def _whole_number(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return int(text)

    return parse


def _choice(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError("one of " + ", ".join(choices))
        return text

    return parse


def _bind(text: str) -> str:
    port = re.fullmatch(r"(?:\[[0-9a-fA-F:.]+\]|[^\s:/\[\]]+):([0-9]{1,5})", text)
    if not re.fullmatch(r"unix:/\S+", text) and not (port and int(port[1]) <= 65535):
        raise ValueError("HOST:PORT or unix:/path")
    return text


def _database_url(text: str) -> str:
    # A database in memory would be another one for each connection.
    if not re.fullmatch(r"sqlite:///(?!:memory:)[^?]+|postgresql\+psycopg://\S+", text):
        raise ValueError("sqlite:///PATH or postgresql+psycopg://…")
    return text


FAMILIES = ("signals", "wavefront", "netbird", "mention")

# What accounts of Wavefront can be permitted, in the order of its manual.
WAVEFRONT_PERMISSIONS = (
    "log_management",
    "dashboard_management",
    "events_management",
    "alerts_management",
    "derived_metrics_management",
    "host_tag_management",
    "agent_management",
    "token_management",
    "ingestion",
    "user_management",
    "embedded_charts",
    "metrics_management",
    "external_links_management",
    "application_management",
    "batch_query_priority",
    "saml_sso_management",
    "monitored_application_service_management",
)


def _permissions(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not all(name in WAVEFRONT_PERMISSIONS for name in names) or len(set(names)) != len(names):
        raise ValueError("a list, each once, of " + ", ".join(WAVEFRONT_PERMISSIONS))
    return names


def _flag(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("true or false")
    return text == "true"


def _word(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", text):
        raise ValueError("1 to 64 letters, digits, `_`, `.` or `-`")
    return text


def _hosts(text: str) -> tuple[str, ...]:
    names = tuple(name.strip().lower() for name in text.split(",") if name.strip())
    # As `Host` has them: with underscores where a container is called so, and an IPv6 address in brackets.
    if not all(re.fullmatch(r"[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?|\[[0-9a-f:.]+\]", name) for name in names):
        raise ValueError("a list of host names or addresses, IPv6 in brackets, without ports")
    return names


def _version(text: str) -> str:
    if not re.fullmatch(r"[0-9]{1,3}\.[0-9]{1,3}", text):
        raise ValueError("two numbers with a dot between")
    return text


def _mail_account(text: str) -> str:
    if not re.fullmatch(r"email/[^/\x00-\x1f\x7f]+", text):
        raise ValueError("email/NAME")
    return text


def _families(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if not all(name in FAMILIES for name in names) or len(set(names)) != len(names):
        raise ValueError("a list, each once, of " + ", ".join(FAMILIES))
    return names


# Connections that a worker needs at least: two that write, and two that read meanwhile.
FEWEST_CONNECTIONS = 4
# Connections of the jobs process and of a command that runs at the same time.
CONNECTIONS_BESIDE = 6

# Networks that it takes at least to use up the wrong passwords of a user, so that none does alone.
_NETWORKS = 5

_MEBIBYTE = 1024 * 1024

# Threads that no line may take, so that reads and health checks find one.
_FREE_THREADS = 4


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many threads of a worker may be in each line at once, waiting or not."""

    writers: int
    disclosures: int
    hashes: int
    counts: int
    # Reads, which the threads that no other line takes are for.
    reads: int
    pages: int

    @property
    def waiting(self) -> int:
        """The threads that all lines together may take, but for those of reads."""
        return self.writers + self.disclosures + self.hashes + self.counts


def _users(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name) for name in names):
        raise ValueError("a list of user names or numbers")
    return names


# A setting's name with this is the path of a file that holds its value, as containers are given secrets. So it is for
# every setting: which ones hold a secret is for those who install to say.
_IN_FILE = "_FILE"
_LONGEST_VALUE = 64 * 1024


class _UnreadableFileError(Exception):
    """A file that should hold a value does not; the message says why, and nothing of what is in it."""


def _contents(path: str) -> str:
    """Read a value from a file, without the line break that editors and `echo` put at its end."""
    if "://" in path:
        raise _UnreadableFileError("must be the path of a file, not the value itself")
    try:
        if not Path(path).is_file():  # Opening a pipe would wait for a writer.
            raise _UnreadableFileError(f"{path} is not a file" if Path(path).exists() else f"there is no file {path}")
        with Path(path).open("rb") as file:
            value = file.read(_LONGEST_VALUE + 1).decode()
    except OSError as error:
        raise _UnreadableFileError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError:  # Not UTF-8, or a NUL in the path.
        raise _UnreadableFileError(f"{path} is not a text file") from None
    value = value.removesuffix("\n").removesuffix("\r")
    if not value or len(value) > _LONGEST_VALUE:
        raise _UnreadableFileError(f"{path} is empty" if not value else f"{path} is too long")
    return value


# Settings of earlier releases, and what took their place.
_LOG_IN_LIMITS = "the limits on wrong passwords are ACCOUNTS_LOGIN_FAILURES_PER_BOTH, …_PER_USER and …_PER_NETWORK now"
_REMOVED = {
    "ACCOUNTS_MENTION_WRONG_PASSWORDS_PER_ACCOUNT": _LOG_IN_LIMITS,
    "ACCOUNTS_MENTION_WRONG_PASSWORDS_PER_ADDRESS": _LOG_IN_LIMITS,
}


def _hint(unknown: str, names: Iterable[str]) -> str:
    removed = _REMOVED.get(unknown.removesuffix(_IN_FILE))
    return f" any more; {removed}. Remove it" if removed else _nearest(unknown, names)


def _nearest(unknown: str, names: Iterable[str]) -> str:
    candidates = [name.removeprefix(PREFIX) + end for name in names for end in ("", _IN_FILE)]
    found = difflib.get_close_matches(unknown.removeprefix(PREFIX), candidates, n=1, cutoff=0.7)
    return "".join(f"; did you mean {PREFIX}{name}?" for name in found)


# What Kubernetes sets in each container for every service of the namespace, here for those whose names begin with
# `accounts` (https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables). The value has to
# look like one, too, so that ACCOUNTS_PORT=8080 is still a mistake that is told.
_ADDRESS = r"[0-9a-fA-F.:]+"
_URL = r"(?:tcp|udp|sctp)://(?:[0-9.]+|\[[0-9a-fA-F:.]+\]):[0-9]+"
_SERVICE_LINKS = tuple(
    (re.compile(rf"{PREFIX}(?:[A-Z0-9_]+_)?{name}"), re.compile(value))
    for name, value in (
        ("SERVICE_HOST", _ADDRESS),
        ("SERVICE_PORT(?:_[A-Z0-9_]+)?", "[0-9]+"),
        ("PORT", _URL),
        ("PORT_[0-9]+_(?:TCP|UDP|SCTP)", _URL),
        ("PORT_[0-9]+_(?:TCP|UDP|SCTP)_PROTO", "tcp|udp|sctp"),
        ("PORT_[0-9]+_(?:TCP|UDP|SCTP)_PORT", "[0-9]+"),
        ("PORT_[0-9]+_(?:TCP|UDP|SCTP)_ADDR", _ADDRESS),
    )
)


def _is_service_link(name: str, value: str) -> bool:
    return any(link.fullmatch(name) and form.fullmatch(value) for link, form in _SERVICE_LINKS)


@dataclass(frozen=True, slots=True, repr=False)
class Settings:
    """What the service was told. Relative paths are relative to the working directory."""

    bind: str = _setting(
        "127.0.0.1:8080",
        _bind,
        "127.0.0.1:8080",
        "Where `serve` listens: `HOST:PORT`, or `unix:/path`, the right choice behind a reverse proxy.",
    )
    workers: int = _setting(2, _whole_number(1, 64), "2", "Worker processes.")
    threads: int = _setting(
        256,
        _whole_number(16, 1024),
        "256",
        "Threads per worker. The places in the lines below are a part of them, so that reads and health checks always "
        "find a free thread.",
    )
    request_seconds: int = _setting(
        10,
        _whole_number(1, 300),
        "10",
        "How many seconds the head of a request and the first 16 KiB of its body may take to arrive; then 408. What is "
        "larger must arrive at 16 KiB a second.",
    )
    allowed_hosts: tuple[str, ...] = _setting(
        (),
        _hosts,
        "(every host)",
        "The hosts, without ports, that a request may name in `Host`; any other is refused with 400. Add the name that "
        "health checks use.",
    )
    writer_places: int | None = _setting(
        None,
        _whole_number(1, 1024),
        "(a quarter of the threads)",
        "How many threads per worker may write or wait for their turn to write. Callers take turns; a full line is 503 "
        "with `Retry-After`.",
    )
    disclosure_places: int | None = _setting(
        None,
        _whole_number(1, 1024),
        "(three sixteenths of the threads)",
        "How many threads per worker may wait for the record that a secret is shown.",
    )
    hash_places: int | None = _setting(
        None,
        _whole_number(1, 1024),
        "(three sixteenths of the threads)",
        "How many threads per worker may hash a password or wait for their turn to hash one. Networks take turns.",
    )
    hashes_at_once: int = _setting(
        2, _whole_number(1, 64), "2", "How many passwords a worker hashes at once; each takes a processor core."
    )
    wait_seconds: int = _setting(
        2, _whole_number(1, 30), "2", "How many seconds a request waits in one of these lines; then 503."
    )
    page_mebibytes: int = _setting(
        8,
        _whole_number(1, 256),
        "8",
        "How many MiB the objects on one page of a search or list may have as they are stored; a request for more is "
        "refused. A worker makes two pages of more than 64 KiB at once, and holds four of the largest until they are "
        "sent.",
    )
    database_connections: int = _setting(
        16,
        _whole_number(FEWEST_CONNECTIONS, 256),
        "16",
        "Pooled database connections per worker; on PostgreSQL at most half of them write at once. `serve` takes fewer "
        "where the server's `max_connections` does not allow as many for all workers.",
    )
    database_url: str = _setting(
        "sqlite:///var/accounts.db",
        _database_url,
        "sqlite:///var/accounts.db",
        "`sqlite:///PATH` (local disk only) or `postgresql+psycopg://USER:PASSWORD@HOST/DATABASE`.",
    )
    config_dir: Path = _setting(
        Path("var/config"),
        _path,
        "var/config",
        "The folder of the `sg_*.yml` files. The last good state is kept beside it.",
    )
    keys_file: Path = _setting(
        Path("var/keys.json"),
        _path,
        "var/keys.json",
        "The keys; refused when others can read it or the group can write it.",
    )
    families: tuple[str, ...] = _setting(
        FAMILIES, _families, ",".join(FAMILIES), "The account families that are served. `admin` always is."
    )
    signals_errors: str = _setting(
        "documented",
        _choice("documented", "flx"),
        "documented",
        "How Signals tells that an element of a list is wrong: `documented` under the attribute's name, as its manual "
        "prints it, `flx` under the name and the element's index, as Search Guard FLX does.",
    )
    signals_unknown_attributes: str = _setting(
        "ignore",
        _choice("ignore", "refuse"),
        "ignore",
        "What Signals does with attributes of an account that it does not know, such as `pasword`: `ignore` them, as "
        "Search Guard does, and name them in the header `Accounts-Ignored`, or `refuse` the account with 400.",
    )
    signals_secrets_in_reads: str = _setting(
        "references",
        _choice("references", "clear"),
        "references",
        "What who may read a Signals account, but not `reveal` it, sees of its secrets: `references`, or `clear` for "
        "the secrets themselves, as Search Guard has it; a tenant's search then shows those of global accounts, too.",
    )
    wavefront_customer: str = _setting(
        "accounts",
        _word,
        "accounts",
        "What Wavefront's answers give as `customer`: the name of the organisation.",
    )
    wavefront_response_style: str = _setting(
        "bare",
        _choice("bare", "wrapped", "hybrid"),
        "bare",
        "How Wavefront's `/account/user` answers a change: `bare` with the user, as its manual and its Python client "
        "have it, `wrapped` in `status` and `response`, as its server does, or `hybrid` with both at once.",
    )
    wavefront_strict_required: bool = _setting(
        False,  # noqa: FBT003  # the default of a flag
        _flag,
        "false",
        "Whether a Wavefront user without `groups` or `userGroups` is refused, as its manual says and its server does "
        "not.",
    )
    wavefront_identifiers: str = _setting(
        "email",
        _choice("email", "any"),
        "email",
        "What the name of a Wavefront user may be: an e-mail address, or any text of up to 255 characters.",
    )
    wavefront_unknown_attributes: str = _setting(
        "ignore",
        _choice("ignore", "refuse"),
        "ignore",
        "What Wavefront does with attributes of a body that it does not know: `ignore` them, as the original does, and "
        "name them in the header `Accounts-Ignored`, or `refuse` the request with 400.",
    )
    wavefront_default_permissions: tuple[str, ...] = _setting(
        (),
        _permissions,
        "(none)",
        "What a new Wavefront user is permitted when the request says nothing about `groups`.",
    )
    wavefront_sso_enabled: bool = _setting(
        False,  # noqa: FBT003  # the default of a flag
        _flag,
        "false",
        "Whether users of Wavefront come from an identity provider, so that none is made through the API.",
    )
    netbird_unknown_attributes: str = _setting(
        "ignore",
        _choice("ignore", "refuse"),
        "ignore",
        "What NetBird does with attributes of a body that it does not know: `ignore` them, as the original does, and "
        "name them in the header `Accounts-Ignored`, or `refuse` the request with 400.",
    )
    mention_hosts: tuple[str, ...] = _setting(
        ("api.mention.net", "api.mention.com", "web.mention.net", "web.mention.com"),
        _hosts,
        "api.mention.net,api.mention.com,web.mention.net,web.mention.com",
        "The hosts at which Mention also answers at its own paths: `/api/…`, `/oauth/v2/…` and `/authorize`.",
    )
    mention_default_version: str = _setting(
        "1.19", _version, "1.19", "The version of Mention's API for who does not ask for one with `Accept-Version`."
    )
    mention_created_status: str = _setting(
        "200", _choice("200", "201"), "200", "With which status Mention answers that an account was made."
    )
    mention_deleted_status: str = _setting(
        "204", _choice("204", "200"), "204", "With which status Mention answers that an account was deleted."
    )
    mention_phone_in_answers: bool = _setting(
        True,  # noqa: FBT003  # the default of a flag
        _flag,
        "true",
        "Whether Mention's accounts show the phone numbers that were set.",
    )
    mention_empty_child: str = _setting(
        "list",
        _choice("list", "object"),
        "list",
        "What stands for a field without errors in Mention's answers about a body: `list` for `[]`, as its server "
        "writes it, or `object` for `{}`.",
    )
    mention_password_policy: str = _setting(
        "documented",
        _choice("documented", "nist"),
        "documented",
        "Which passwords Mention's accounts may have: `documented`, six characters with letters and figures, or "
        "`nist`, fifteen characters that are no common password (NIST SP 800-63B).",
    )
    mention_unknown_attributes: str = _setting(
        "ignore",
        _choice("ignore", "refuse"),
        "ignore",
        "What Mention does with attributes of a body that it does not know: `ignore` them, as the original does, and "
        "name them in the header `Accounts-Ignored`, or `refuse` the request with 400.",
    )
    mention_token_calls_per_app: int = _setting(
        60, _whole_number(1, 1_000_000), "60", "Calls of `/oauth/v2/token` by one app in a minute; then 429."
    )
    login_failures_per_both: int = _setting(
        10,
        _whole_number(1, 100_000),
        "10",
        "How many wrong passwords of one user from one network are checked per window; then 429 with `Retry-After`. "
        "See [authentication](authentication.md#limits-on-wrong-passwords).",
    )
    login_failures_per_network: int = _setting(
        100,
        _whole_number(1, 1_000_000),
        "100",
        "How many wrong passwords of all users from one network are checked per window. Users who have logged in from "
        "that network within 30 days are exempt.",
    )
    login_failures_per_user: int = _setting(
        100,
        _whole_number(1, 1_000_000),
        "100",
        "How many wrong passwords of one user from all networks are checked per window; at least five times "
        "`ACCOUNTS_LOGIN_FAILURES_PER_BOTH`. Networks from which the user has logged in within 30 days are exempt.",
    )
    login_failures_window_seconds: int = _setting(
        900, _whole_number(10, 86_400), "900", "How many seconds wrong passwords count, from the first of a window on."
    )
    require_if_match: bool = _setting(
        False,  # noqa: FBT003  # the default of a flag
        _flag,
        "false",
        "Whether a change of what has versions must say which one it means, with `If-Match` or `If-None-Match: *`; "
        "without it is 428 then.",
    )
    audit_kept_days: int | None = _setting(
        None,
        _whole_number(1, 36_500),
        "(for good)",
        "How many days records of the audit trail are kept; older ones go once they are sealed, a segment at a time.",
    )
    tenant_accounts: int = _setting(
        10_000,
        _whole_number(1, 100_000_000),
        "10000",
        "How many Signals accounts one tenant may have, and as many global ones there may be; one more is 409.",
    )
    tenant_mebibytes: int = _setting(
        1024,
        _whole_number(1, 1_000_000),
        "1024",
        "How many MiB the Signals accounts of one tenant may take, with the versions that are kept and the bin; what "
        "would take more is 409.",
    )
    principal_accounts: int = _setting(
        10_000,
        _whole_number(1, 100_000_000),
        "10000",
        "How many of the Signals accounts one caller may have created.",
    )
    principal_mebibytes: int = _setting(
        1024,
        _whole_number(1, 1_000_000),
        "1024",
        "How many MiB of the versions of Signals accounts that are kept one caller may have written.",
    )
    versions_kept: int = _setting(
        20, _whole_number(1, 10_000), "20", "So many versions of an account are kept, whatever their age."
    )
    versions_kept_days: int = _setting(
        90,
        _whole_number(1, 36_500),
        "90",
        "So many days every version of an account is kept, and what was deleted stays in the bin.",
    )
    mail_account: str | None = _setting(
        None,
        _mail_account,
        "(none: mails wait)",
        "The global Signals account, `email/NAME`, through whose server the service sends mails of its own.",
    )
    invitations_per_principal: int = _setting(
        100,
        _whole_number(1, 1_000_000),
        "100",
        "How many invitations by mail one principal may have sent in an hour; then 429. One address gets one a day.",
    )
    serve_jobs: bool = _setting(
        True,  # noqa: FBT003  # the default of a flag
        _flag,
        "true",
        "Whether `serve` runs the jobs process, too; `false` where `accounts-service jobs` runs by itself.",
    )
    trusted_socket_users: tuple[str, ...] = _setting(
        (),
        _users,
        "(nobody)",
        "Users (names or numbers) whose connections over a unix socket count as a trusted proxy, "
        "told by the kernel (SO_PEERCRED). For TCP see `network.trusted_proxies` in `sg_authc.yml`.",
    )
    log_level: str = _setting(
        "info", _choice("debug", "info", "warning", "error"), "info", "`debug`, `info`, `warning` or `error`."
    )

    def __repr__(self) -> str:
        """Leave the database's address out: it may hold a password."""
        return f"Settings(bind={self.bind!r}, families={self.families!r})"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Read all `ACCOUNTS_*` names of `environment`, and the files that `ACCOUNTS_*_FILE` name.

        Raises BadSettingsError with every unknown name and every bad value.
        """
        fields = {PREFIX + field.name.upper(): field for field in dataclasses.fields(cls)}
        values: dict[str, object] = {}
        problems = []
        for given, text in sorted(environment.items()):
            if not given.startswith(PREFIX) or given.startswith(PREFIX + "TEST_"):
                continue
            name = given if given in fields else given.removesuffix(_IN_FILE)
            if name not in fields:
                if not _is_service_link(given, text):
                    problems.append(f"{given} is not a setting{_hint(given, fields)}")
                continue
            if name != given and name in environment:
                problems.append(f"{name} and {given} are both set: set one of them")
                continue
            try:
                value = text if name == given else _contents(text)
                values[fields[name].name] = fields[name].metadata["parse"](value)
            except _UnreadableFileError as error:
                problems.append(f"{given}: {error}")
            except ValueError as error:
                where = "" if name == given else f"{given}: the contents of {text} for "
                problems.append(f"{where}{name} must be {error}")
        # Each parser returns its field's type.
        settings = dataclasses.replace(cls(), **values)  # type: ignore[arg-type]
        if problems := problems or settings.contradictions():
            raise BadSettingsError(problems)
        return settings

    def contradictions(self) -> list[str]:
        """Return in what ways the settings contradict each other."""
        problems = []
        if self.sizes.waiting > self.threads - _FREE_THREADS:
            problems.append(
                f"the places in lines, {self.sizes.waiting} in all, must leave {_FREE_THREADS} of the "
                f"{self.threads} ACCOUNTS_THREADS free"
            )
        if self.login_failures_per_user < _NETWORKS * self.login_failures_per_both:
            problems.append(
                f"ACCOUNTS_LOGIN_FAILURES_PER_USER must be at least {_NETWORKS} times "
                f"ACCOUNTS_LOGIN_FAILURES_PER_BOTH, which is {self.login_failures_per_both}"
            )
        return problems

    @property
    def sizes(self) -> Sizes:
        """How many threads may be in each line of a worker."""
        return Sizes(
            writers=self.writer_places or self.threads // 4,
            disclosures=self.disclosure_places or self.threads * 3 // 16,
            hashes=max(self.hash_places or self.threads * 3 // 16, self.hashes_at_once),
            counts=self.threads // 8,
            reads=self.threads // 2,
            pages=self.threads // 16,
        )

    @property
    def is_open_to_others(self) -> bool:
        """Return whether other machines may connect; a host name may be any address."""
        if self.bind.startswith("unix:"):
            return False
        host = self.bind.rpartition(":")[0].strip("[]")
        try:
            return not ip_address(host).is_loopback
        except ValueError:
            return host != "localhost"

    @property
    def quotas(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """The accounts and bytes of a tenant, and those of a principal."""
        return (
            (self.tenant_accounts, self.tenant_mebibytes * _MEBIBYTE),
            (self.principal_accounts, self.principal_mebibytes * _MEBIBYTE),
        )

    @property
    def page_bytes(self) -> int:
        """How many bytes one page may have."""
        return self.page_mebibytes * _MEBIBYTE

    @property
    def last_good_dir(self) -> Path:
        """Where the last configuration that could be read whole is kept."""
        return self.config_dir.with_name(self.config_dir.name + ".last-good")


def settings_table() -> list[tuple[str, str, str]]:
    """Every setting as (name in the environment, default, sentence), in the order of `Settings`."""
    return [
        (PREFIX + field.name.upper(), field.metadata["default"], field.metadata["sentence"])
        for field in dataclasses.fields(Settings)
    ]
