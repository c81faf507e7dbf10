"""Search Guard's configuration files, read whole: either what they say, or every problem they have.

https://docs.search-guard.com/latest/configuration-files — what this service
has no use for (index permissions, domains of LDAP, OIDC or SAML, …) is read
past. Domains are named in `Configuration.left_out`; leaving one out only ever
means fewer log-ins. No value that stands in a file appears in a problem.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any, TypeAlias, TypeVar

import yaml

from accounts_service.access.action_groups import ActionGroups
from accounts_service.access.authenticators import Conditions, Criteria
from accounts_service.access.authenticators.internal_users import InternalUser
from accounts_service.access.authenticators.user_mapping import Names, Source, UserMapping, parse_path
from accounts_service.access.patterns import BadPatternError, Matcher, Template, expression, is_template
from accounts_service.access.roles import (
    Address,
    Network,
    ResolutionMode,
    Role,
    RoleMapping,
    RoleMappings,
    TenantPermission,
)

ROLES = "sg_roles.yml"
MAPPINGS = "sg_roles_mapping.yml"
GROUPS = "sg_action_groups.yml"
USERS = "sg_internal_users.yml"
TENANTS = "sg_tenants.yml"
AUTHC = "sg_authc.yml"
AUTHZ = "sg_authz.yml"

REQUIRED = (ROLES, MAPPINGS, GROUPS, USERS, TENANTS)
FILES = (*REQUIRED, AUTHC, AUTHZ)

Node: TypeAlias = "bool | str | list[Node] | dict[str, Node] | None"
T = TypeVar("T")

_UNSUPPORTED = "Unsupported attribute"
_INVALID = "Invalid value"
_MISSING = "Required attribute is missing"

# Levels of a document, and of a key with dots. No file needs half of them, and
# libyaml follows a document down until the process dies.
_DEEPEST = 20


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One thing wrong with a file. `path` names the attribute, `expected` what should stand there."""

    file: str
    path: str
    error: str
    expected: str | None = None

    def __str__(self) -> str:
        """Write it on one line."""
        place = f"{self.file}: {self.path}: " if self.path else f"{self.file}: "
        return place + self.error + (f" (expected: {self.expected})" if self.expected else "")


@dataclass(frozen=True, slots=True)
class Domain:
    """A domain of sg_authc.yml that we have an authenticator for."""

    type: str
    conditions: Conditions
    mapping: UserMapping
    challenge: bool
    with_internal_users: bool


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """`network` of sg_authc.yml. `conditions`: who is heard at all."""

    trusted_proxies: tuple[Network, ...] = ()
    trusted_proxies_regex: tuple[re.Pattern[str], ...] = ()
    remote_ip_header: str = "x-forwarded-for"
    conditions: Conditions = Conditions()

    def trusts(self, address: Address | None) -> bool:
        """Tell whether a trusted proxy has this address."""
        return address is not None and (
            any(address in network for network in self.trusted_proxies)
            or any(regex.fullmatch(str(address)) for regex in self.trusted_proxies_regex)
        )


@dataclass(frozen=True, slots=True)
class Configuration:
    """What the files say."""

    roles: Mapping[str, Role]
    mappings: RoleMappings
    groups: ActionGroups
    users: Mapping[str, InternalUser] = field(repr=False)
    tenants: frozenset[str]
    domains: tuple[Domain, ...]
    network: NetworkSettings
    left_out: tuple[str, ...]


# -- YAML ---------------------------------------------------------------------


class _Loader(yaml.CSafeLoader):
    """YAML whose keys and values are texts as they are written, but for true, false and null.

    So the user 010 is not the user 8, and the user no is one. No key silently
    wins over its twin. libyaml's reader: ten thousand users take it a second,
    Python's own four.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012  # PyYAML's attribute
        None: [
            ("tag:yaml.org,2002:bool", re.compile(r"(true|True|TRUE|false|False|FALSE)\Z")),
            ("tag:yaml.org,2002:null", re.compile(r"(~|null|Null|NULL|)\Z")),
        ]
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002  # PyYAML's signature
        result: dict[Hashable, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise _unaccepted("a key is no text", key_node.start_mark)
            if key_node.value in result:
                raise _unaccepted(f"the key {_shown(key_node.value)!r} stands twice", key_node.start_mark)
            result[key_node.value] = self.construct_object(value_node, deep=deep)
        return result


def _unaccepted(problem: str, mark: Any) -> yaml.MarkedYAMLError:  # noqa: ANN401  # libyaml's marks have a type of their own
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)


def _shown(name: str) -> str:
    # Where the space after `hash:` was forgotten, the hash is part of a key.
    start = re.split(r"[^\w.-]", name, maxsplit=1)[0][:40]
    return name if start == name else f"{start}…"


def _require_plain(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, yaml.CSafeLoader):
        match event:
            case yaml.AliasEvent():
                raise _unaccepted("aliases are not accepted", event.start_mark)
            case yaml.ScalarEvent(tag=str()) | yaml.CollectionStartEvent(tag=str()):
                raise _unaccepted("tags are not accepted", event.start_mark)
            case yaml.CollectionStartEvent():
                depth += 1
            case yaml.CollectionEndEvent():
                depth -= 1
            case _:
                pass
        if depth > _DEEPEST:
            raise _unaccepted(f"more than {_DEEPEST} levels", event.start_mark)


def _load_yaml(file: str, text: str) -> Node | ConfigProblem:
    try:
        _require_plain(text)
        document: Node = yaml.load(text, _Loader)  # noqa: S506  # a SafeLoader
    except yaml.MarkedYAMLError as error:
        # The problem's words only: a context line would show what stands in the file.
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        return ConfigProblem(file, "", f"Invalid YAML document: {where}{error.problem}")
    except (yaml.YAMLError, ValueError):  # Also what is no Unicode text.
        return ConfigProblem(file, "", "Invalid YAML document")
    return document


# -- A cursor over a document that collects problems --------------------------


class _Cursor:
    """A mapping being read; what nobody has read by the end is unsupported."""

    def __init__(self, file: str, path: str, node: Mapping[str, Node], problems: list[ConfigProblem]) -> None:
        self.path = path
        self._file = file
        self._node = node
        self._problems = problems
        self._read: set[str] = set()

    def problem(self, name: str, error: str, expected: str | None = None) -> None:
        path = ".".join(part for part in (self.path, name) if part)
        self._problems.append(ConfigProblem(self._file, path, error, expected))

    def take(self, name: str) -> Node:
        self._read.add(name)
        return self._node.get(name)

    def has(self, name: str) -> bool:
        return self._node.get(name) is not None

    def ignore(self, *names: str) -> None:
        self._read.update(names)

    def text(self, name: str) -> str | None:
        value = self.take(name)
        if value is None or isinstance(value, str):
            return value
        self.problem(name, _INVALID, "A string")
        return None

    def flag(self, name: str, default: bool) -> bool:  # noqa: FBT001
        value = self.take(name)
        if value is None or isinstance(value, bool):
            return default if value is None else value
        self.problem(name, _INVALID, "true or false")
        return default

    def texts(self, name: str) -> tuple[str, ...]:
        """Read a list of strings, or one string."""
        value = self.take(name)
        if value is None:
            return ()
        if isinstance(value, str):
            return (value,)
        if not isinstance(value, list):
            self.problem(name, _INVALID, "A list of strings")
            return ()
        texts = []
        for number, element in enumerate(value):
            if isinstance(element, str):
                texts.append(element)
            else:
                self.problem(f"{name}.{number}", _INVALID, "A string")
        return tuple(texts)

    def parsed(self, name: str, parse: Callable[[str], T], expected: str) -> tuple[T, ...]:
        """Read a list of strings, or one, and parse each; what `parse` refuses with ValueError is a problem."""
        listed = isinstance(self._node.get(name), list)
        results = []
        for number, text in enumerate(self.texts(name)):
            try:
                results.append(parse(text))
            except ValueError:
                self.problem(f"{name}.{number}" if listed else name, _INVALID, expected)
        return tuple(results)

    def patterns(self, name: str, *, templates: bool = False) -> tuple[str, ...]:
        return self.parsed(name, _template if templates else _pattern, "A regular expression pattern")

    def matcher(self, name: str) -> Matcher:
        return Matcher(self.patterns(name))

    def networks(self, name: str) -> tuple[Network, ...]:
        return self.parsed(name, _network, "IP address or netmask in CIDR notation")

    def child(self, name: str) -> _Cursor:
        """Enter the mapping under `name`, empty if there is none."""
        value = self.take(name)
        if value is not None and not isinstance(value, dict):
            self.problem(name, _INVALID, "A mapping")
            value = None
        return _Cursor(self._file, ".".join(filter(None, (self.path, name))), value or {}, self._problems)

    def children(self, name: str) -> Iterator[_Cursor]:
        """Enter the mappings in the list under `name`."""
        value = self.take(name)
        if value is not None and not isinstance(value, list):
            self.problem(name, _INVALID, "A list")
            return
        for number, element in enumerate(value or ()):
            if isinstance(element, dict):
                path = ".".join(filter(None, (self.path, f"{name}.{number}")))
                yield _Cursor(self._file, path, element, self._problems)
            else:
                self.problem(f"{name}.{number}", _INVALID, "A mapping")

    def entries(self) -> Iterator[tuple[str, _Cursor]]:
        """Enter all entries of the document; keys that begin with `_` are none."""
        for name, value in self._node.items():
            self._read.add(name)
            if name.startswith("_"):
                continue
            if value is None or isinstance(value, dict):
                yield name, _Cursor(self._file, name, value or {}, self._problems)
            else:
                self.problem(name, _INVALID, "A mapping")

    def names(self) -> Iterator[str]:
        """Name the entries, each for `child` or `text`."""
        return iter(self._node)

    def end(self) -> None:
        """Report what stands here and was not read."""
        for name in self._node:
            if name not in self._read:
                self.problem(_shown(name), _UNSUPPORTED)


def _pattern(text: str) -> str:
    expression(text)
    return text


def _template(text: str) -> str:
    if is_template(text):
        Template(text)
        return text
    return _pattern(text)


def _regex(text: str) -> re.Pattern[str]:
    return re.compile(expression(f"/{text}/"))


def _network(text: str) -> Network:
    return ip_network(text, strict=False)


class _Undotted:
    """Mappings in which `a.b: 1` is written `a: {b: 1}`, as sg_authc.yml may have it.

    What then stands twice is a problem: an `accept` that gave way to another
    would let in whom it was to keep out.
    """

    def __init__(self, file: str, problems: list[ConfigProblem]) -> None:
        self._file = file
        self._problems = problems

    def mapping(self, node: Mapping[str, Node], path: tuple[str, ...] = ()) -> dict[str, Node]:
        result: dict[str, Node] = {}
        for key, value in node.items():
            steps = key.split(".")
            if not all(steps) or len(steps) > _DEEPEST:
                steps = [key]
            self._put(result, steps, self._node(value, (*path, key)), path)
        return result

    def _node(self, node: Node, path: tuple[str, ...]) -> Node:
        if isinstance(node, list):
            return [self._node(element, (*path, str(number))) for number, element in enumerate(node)]
        return self.mapping(node, path) if isinstance(node, dict) else node

    def _put(self, there: dict[str, Node], steps: list[str], value: Node, path: tuple[str, ...]) -> None:
        name, *inner = steps
        path = (*path, name)
        for step in reversed(inner):
            value = {step: value}
        if name not in there:
            there[name] = value
            return
        old = there[name]
        if not isinstance(old, dict) or not isinstance(value, dict):
            self._problems.append(ConfigProblem(self._file, ".".join(map(_shown, path)), "This stands twice"))
            return
        for step, deeper in value.items():
            self._put(old, [step], deeper, path)


# -- The files ----------------------------------------------------------------


def read(texts: Mapping[str, str]) -> tuple[Configuration, list[ConfigProblem]]:
    """Read the files, given as text by file name.

    Returns the configuration and all problems; with any problem, the
    configuration is not to be used.
    """
    problems = [ConfigProblem(file, "", "File does not exist") for file in REQUIRED if file not in texts]

    def document(file: str, *, undotted: bool = False) -> _Cursor:
        node = _load_yaml(file, texts.get(file, ""))
        if isinstance(node, ConfigProblem):
            problems.append(node)
            node = None
        elif node is not None and not isinstance(node, dict):
            problems.append(ConfigProblem(file, "", _INVALID, "A mapping"))
            node = None
        entries = node or {}
        return _Cursor(file, "", _Undotted(file, problems).mapping(entries) if undotted else entries, problems)

    groups = {name: _action_group(entry) for name, entry in document(GROUPS).entries()}
    roles = {name: _role(entry) for name, entry in document(ROLES).entries()}
    by_role = {name: _role_mapping(entry) for name, entry in document(MAPPINGS).entries()}
    users = {name: _internal_user(entry) for name, entry in document(USERS).entries()}
    tenants = frozenset(_tenant(name, entry) for name, entry in document(TENANTS).entries())
    mode = _authz(document(AUTHZ, undotted=True))
    domains, network, left_out = _authc(document(AUTHC, undotted=True), configured=AUTHC in texts)
    configuration = Configuration(
        roles=roles,
        mappings=RoleMappings(mode, by_role),
        groups=groups,
        users=users,
        tenants=tenants,
        domains=domains,
        network=network,
        left_out=left_out,
    )
    return configuration, problems


_FLAGS = ("description", "reserved", "hidden", "static")


def _end(entry: _Cursor) -> None:
    entry.text("description")
    for name in _FLAGS[1:]:
        entry.flag(name, default=False)
    entry.end()


def _action_group(entry: _Cursor) -> tuple[str, ...]:
    if not entry.has("allowed_actions"):
        entry.problem("allowed_actions", _MISSING)
    if not entry.has("type"):
        entry.problem("type", _MISSING)
    actions = entry.patterns("allowed_actions")
    entry.text("type")
    _end(entry)
    return actions


def _role(entry: _Cursor) -> Role:
    role = Role(
        cluster_permissions=entry.patterns("cluster_permissions"),
        exclude_cluster_permissions=entry.patterns("exclude_cluster_permissions"),
        tenant_permissions=tuple(_tenant_permission(child) for child in entry.children("tenant_permissions")),
    )
    # There are no indices here; what stands there can grant nothing.
    entry.ignore("index_permissions", "alias_permissions", "data_stream_permissions")
    if entry.has("exclude_index_permissions"):
        entry.problem("exclude_index_permissions", "This attribute is no longer supported")
        entry.ignore("exclude_index_permissions")
    _end(entry)
    return role


def _tenant_permission(entry: _Cursor) -> TenantPermission:
    patterns = entry.patterns("tenant_patterns", templates=True)
    permission = TenantPermission(patterns, entry.patterns("allowed_actions"))
    entry.end()
    return permission


def _role_mapping(entry: _Cursor) -> RoleMapping:
    mapping = RoleMapping(
        users=entry.matcher("users"),
        backend_roles=entry.matcher("backend_roles"),
        and_backend_roles=tuple(Matcher((pattern,)) for pattern in entry.patterns("and_backend_roles")),
        hosts=entry.matcher("hosts"),
        ips=entry.networks("ips"),
    )
    _end(entry)
    return mapping


def _internal_user(entry: _Cursor) -> InternalUser:
    stored_hash = entry.text("hash")
    if stored_hash is None and not entry.has("hash"):
        entry.problem("hash", _MISSING)
    attributes = entry.child("attributes")
    pairs = []
    for name in attributes.names():
        value = attributes.take(name)
        if isinstance(value, str | bool):
            pairs.append((name, value if isinstance(value, str) else str(value).lower()))
        elif value is not None:
            attributes.problem(name, _INVALID, "A string")
    user = InternalUser(
        hash=stored_hash or "",
        backend_roles=frozenset(entry.texts("backend_roles")),
        roles=frozenset(entry.texts("search_guard_roles")),
        attributes=tuple(sorted(pairs)),
    )
    _end(entry)
    return user


def _tenant(name: str, entry: _Cursor) -> str:
    _end(entry)
    return name


def _authz(document: _Cursor) -> ResolutionMode:
    mapping = document.child("role_mapping")
    mode = mapping.text("resolution_mode")
    names = [member.value for member in ResolutionMode]
    if mode is not None and mode not in names:
        mapping.problem("resolution_mode", _INVALID, "|".join(names))
        mode = None
    mapping.end()
    document.flag("debug", default=False)
    document.ignore("ignore_unauthorized_indices", "metrics", "field_anonymization", "_sg_meta")
    document.end()
    return ResolutionMode(mode) if mode else ResolutionMode.MAPPING_ONLY


TRUSTED_ORIGIN = "trusted_origin"
BASIC = "basic/internal_users_db"


def _authc(document: _Cursor, *, configured: bool) -> tuple[tuple[Domain, ...], NetworkSettings, tuple[str, ...]]:
    if not configured:
        return (
            (Domain(BASIC, Conditions(), UserMapping(), challenge=True, with_internal_users=False),),
            NetworkSettings(),
            (),
        )
    domains = []
    left_out: list[str] = []
    for number, entry in enumerate(document.children("auth_domains")):
        domain = _domain(entry, f"auth_domains.{number}", left_out)
        if domain is not None:
            domains.append(domain)
    network = document.child("network")
    trusted = network.networks("trusted_proxies")
    trusted_regex = network.parsed("trusted_proxies_regex", _regex, "A regular expression pattern")
    http = network.child("http")
    header = http.text("remote_ip_header") or "x-forwarded-for"
    conditions = Conditions(
        _criteria(network.child("accept"), of_users=False), _criteria(network.child("deny"), of_users=False)
    )
    http.end()
    network.end()
    document.flag("debug", default=False)
    document.ignore("_sg_meta", "user_cache", "password_hashing")
    document.end()
    return tuple(domains), NetworkSettings(trusted, trusted_regex, header.lower(), conditions), tuple(left_out)


def _domain(entry: _Cursor, place: str, left_out: list[str]) -> Domain | None:
    kind = entry.text("type")
    if not entry.flag("enabled", default=True):
        return None
    if kind is None:
        entry.problem("type", _MISSING)
        return None
    if kind not in (TRUSTED_ORIGIN, BASIC):
        left_out.append(f"{place} ({kind}): this service has no such authenticator")
        return None
    accept, skip = entry.child("accept"), entry.child("skip")
    if accept.has("client_certs") or skip.has("client_certs"):
        left_out.append(f"{place} ({kind}): conditions on client certificates are not known here")
        return None
    conditions = Conditions(_criteria(accept), _criteria(skip))
    mapping = _user_mapping(entry.child("user_mapping"))
    if kind == TRUSTED_ORIGIN and mapping.user_name is None:
        entry.problem("user_mapping.user_name", _MISSING)
    with_internal_users = False
    for information in entry.children("additional_user_information"):
        source = information.text("type")
        if source is None:
            information.problem("type", _MISSING)
        elif not information.flag("enabled", default=True):
            pass
        elif source == "internal_users_db":
            with_internal_users = True
        else:
            left_out.append(f"{place}: additional_user_information of type {source}")
        information.ignore("id", "enabled", "internal_users_db", *([source] if source else []))
        information.end()
    basic = entry.child("basic")
    challenge = basic.flag("challenge", default=True)
    basic.end()
    entry.ignore("id", "internal_users_db", "trusted_origin")
    entry.text("description")
    entry.end()
    return Domain(kind, conditions, mapping, challenge, with_internal_users)


def _criteria(entry: _Cursor, *, of_users: bool = True) -> Criteria:
    criteria = Criteria(
        ips=entry.networks("ips") if entry.has("ips") else None,
        originating_ips=entry.networks("originating_ips") if entry.has("originating_ips") else None,
        trusted_ips=entry.flag("trusted_ips", default=False) if entry.has("trusted_ips") else None,
        users=entry.matcher("users") if of_users and entry.has("users") else None,
    )
    entry.end()
    return criteria


def _user_mapping(entry: _Cursor) -> UserMapping:
    user_name = _names(entry.child("user_name")) if entry.has("user_name") else None
    roles = _names(entry.child("roles"))
    attributes = entry.child("attrs")
    source_node, static_node = attributes.child("from"), attributes.child("static")
    sources = tuple(
        (name, source) for name in source_node.names() for source in _sources(source_node, name, split=None)
    )
    static = tuple((name, text) for name in static_node.names() if (text := static_node.text(name)) is not None)
    attributes.ignore("from_backend")
    attributes.end()
    entry.end()
    return UserMapping(user_name, roles, sources, static)


def _names(entry: _Cursor) -> Names:
    sources = (
        *_sources(entry, "from", split=None),
        *_sources(entry, "from_comma_separated_string", split=","),
        *_sources(entry, "from_backend", split=None),
    )
    names = Names(sources, entry.texts("static"), entry.flag("convert_to_lower_case", default=False))
    entry.end()
    return names


def _sources(entry: _Cursor, name: str, split: str | None) -> list[Source]:
    value = entry.take(name)
    elements = value if isinstance(value, list) else [] if value is None else [value]
    sources = []
    for number, element in enumerate(elements):
        place = f"{name}.{number}" if isinstance(value, list) else name
        try:
            if isinstance(element, str):
                sources.append(Source(parse_path(element), split=split))
                continue
            if not isinstance(element, dict):
                raise ValueError("A JSON path of names")  # noqa: TRY004  # told like the others
            sources.append(_detailed_source(element, split))
        except ValueError as error:
            entry.problem(place, _INVALID, str(error))
    return sources


def _detailed_source(element: Mapping[str, Node], split: str | None) -> Source:
    path, pattern, separator = element.get("json_path"), element.get("pattern"), element.get("split", split)
    if not isinstance(path, str) or set(element) - {"json_path", "pattern", "split"}:
        raise ValueError("json_path, pattern and split")
    if pattern is not None and not isinstance(pattern, str):
        raise ValueError("A regular expression pattern")
    if separator is not None and (not isinstance(separator, str) or not separator):
        raise ValueError("A separator")
    try:
        compiled = None if pattern is None else _regex(pattern)
    except BadPatternError:
        raise ValueError("A regular expression pattern") from None
    return Source(parse_path(path), compiled, separator)
