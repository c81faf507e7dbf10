"""sg_authc.yml: the domains that are asked who a caller is, and the network he may come by.

https://docs.search-guard.com/latest/authentication-authorization-configuration
— domains of LDAP, OIDC, SAML and the like have no authenticator here. They are
named in `Authc.left_out` and no problem: leaving one out only ever means fewer
log-ins, and the same file may serve Search Guard itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from accounts_service.access import jwt_settings
from accounts_service.access.authenticators import ANONYMOUS, BASIC, JWT, TRUSTED_ORIGIN, Conditions, Criteria
from accounts_service.access.authenticators.jwt import Tokens
from accounts_service.access.authenticators.user_mapping import (
    Names,
    Source,
    UnsupportedPathError,
    UserMapping,
    parse_path,
)
from accounts_service.access.documents import INVALID, MISSING, NO_EFFECT, Cursor, few, resolved
from accounts_service.access.patterns import BadPatternError, Expression
from accounts_service.access.roles import Address, Network
from accounts_service.access.variables import Node, shown

_A_PATTERN = "A regular expression pattern"


@dataclass(frozen=True, slots=True)
class Domain:
    """A domain of sg_authc.yml that we have an authenticator for. `tokens`: those of a jwt domain."""

    type: str
    conditions: Conditions
    mapping: UserMapping
    challenge: bool
    with_internal_users: bool
    tokens: Tokens | None = None


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """`network` of sg_authc.yml. `conditions`: who is heard at all."""

    trusted_proxies: tuple[Network, ...] = ()
    trusted_proxies_regex: tuple[Expression, ...] = ()
    remote_ip_header: str = "x-forwarded-for"
    conditions: Conditions = Conditions()

    def trusts(self, address: Address | None) -> bool:
        """Tell whether a trusted proxy has this address."""
        return address is not None and (
            any(address in network for network in self.trusted_proxies)
            or any(regex.matches(str(address)) for regex in self.trusted_proxies_regex)
        )


@dataclass(frozen=True, slots=True)
class Authc:
    """What the file says. `left_out`: each domain, or part of one, that is not asked, and why."""

    domains: tuple[Domain, ...]
    network: NetworkSettings
    left_out: tuple[str, ...]


# What holds without the file.
UNCONFIGURED = Authc(
    (Domain(BASIC, Conditions(), UserMapping(), challenge=True, with_internal_users=False),), NetworkSettings(), ()
)


def read(document: Cursor, key_set: Callable[[str], Cursor | None]) -> Authc:
    """Read the whole file. `key_set` enters the document of a key set file, if there is one of that name."""
    left_out: list[str] = []
    found = [_domain(entry, key_set, left_out) for entry in document.children("auth_domains", or_one=True)]
    network = _network_settings(document.child("network"))
    document.flag("debug", default=False)
    document.pass_over(("user_cache", "password_hashing", "metrics"), NO_EFFECT)
    document.ignore("_sg_meta")
    document.end()
    return Authc(tuple(domain for domain in found if domain is not None), network, tuple(left_out))


# -- network ------------------------------------------------------------------


def _network_settings(entry: Cursor) -> NetworkSettings:
    trusted = entry.networks("trusted_proxies")
    trusted_regex = entry.parsed("trusted_proxies_regex", Expression, _A_PATTERN)
    http = entry.child("http")
    header = http.text("remote_ip_header") or "x-forwarded-for"
    conditions = Conditions(
        _criteria(entry.child("accept"), of_users=False), _criteria(entry.child("deny"), of_users=False)
    )
    http.end()
    entry.end()
    return NetworkSettings(trusted, trusted_regex, header.lower(), conditions)


# -- auth_domains -------------------------------------------------------------


def _domain(entry: Cursor, key_set: Callable[[str], Cursor | None], left_out: list[str]) -> Domain | None:
    if (variable := entry.unresolved()) is not None:
        # Without the value a condition might be missing, or a requirement.
        if entry.take("enabled") not in (False, "false"):
            left_out.append(f"{entry.path}: {variable}")
        return None
    kind = entry.text("type")
    if not entry.flag("enabled", default=True):
        return None
    entry.require("type")
    if kind is None:
        return None
    if kind not in (TRUSTED_ORIGIN, BASIC, ANONYMOUS, JWT):
        left_out.append(f"{entry.path} ({shown(kind)}): this service has no such authenticator")
        return None
    return _domain_of(kind, entry, key_set, left_out)


def _domain_of(kind: str, entry: Cursor, key_set: Callable[[str], Cursor | None], left_out: list[str]) -> Domain | None:
    accept, skip = entry.child("accept"), entry.child("skip")
    if accept.has("client_certs") or skip.has("client_certs"):
        left_out.append(f"{entry.path} ({kind}): conditions on client certificates are not known here")
        return None
    tokens = jwt_settings.read(entry, key_set, left_out) if kind == JWT else None
    if kind == JWT and tokens is None:
        return None
    paths: list[str] = []
    mapping = _mapping_of(kind, entry, paths)
    if paths:
        left_out.append(
            f"{entry.path} ({kind}): {few(paths)} in user_mapping: "
            "a JSON path is made of names, numbers and [*] here, without filters and the like"
        )
    domain = Domain(
        kind,
        Conditions(_criteria(accept), _criteria(skip)),
        mapping,
        with_internal_users=_asks_internal_users(entry, left_out),
        challenge=_challenge(entry.child("basic")),
        tokens=tokens,
    )
    # The order in the list is what counts, with Search Guard as well.
    entry.pass_over(("order",), NO_EFFECT)
    entry.ignore("id", "internal_users_db", "trusted_origin", "anonymous")
    entry.text("description")
    entry.end()
    return None if paths else domain


def _mapping_of(kind: str, entry: Cursor, paths: list[str]) -> UserMapping:
    """Read the mapping; the attributes with a JSON path that is not supported are added to `paths`."""
    mapping = _user_mapping(entry.child("user_mapping"), paths)
    if kind == TRUSTED_ORIGIN and mapping.user_name is None:
        entry.problem("user_mapping.user_name", MISSING)
    return mapping


def _asks_internal_users(entry: Cursor, left_out: list[str]) -> bool:
    sources = [
        _information_source(information) for information in entry.children("additional_user_information", or_one=True)
    ]
    known = "internal_users_db"
    left_out += [
        f"{entry.path}: additional_user_information of type {shown(source)}"
        for source in sources
        if source not in (None, known)
    ]
    return known in sources


def _information_source(information: Cursor) -> str | None:
    source = information.text("type")
    information.require("type")
    enabled = source is not None and information.flag("enabled", default=True)
    information.ignore("id", "enabled", "internal_users_db", *([source] if source else []))
    information.end()
    return source if enabled else None


def _challenge(basic: Cursor) -> bool:
    challenge = basic.flag("challenge", default=True)
    basic.end()
    return challenge


def _criteria(entry: Cursor, *, of_users: bool = True) -> Criteria:
    criteria = Criteria(
        ips=entry.networks("ips") if entry.has("ips") else None,
        originating_ips=entry.networks("originating_ips") if entry.has("originating_ips") else None,
        trusted_ips=entry.flag("trusted_ips", default=False) if entry.has("trusted_ips") else None,
        users=entry.matcher("users") if of_users and entry.has("users") else None,
    )
    entry.end()
    return criteria


# -- user_mapping -------------------------------------------------------------


def _user_mapping(entry: Cursor, paths: list[str]) -> UserMapping:
    user_name = _names(entry.child("user_name"), paths) if entry.has("user_name") else None
    roles = _names(entry.child("roles"), paths)
    attributes = entry.child("attrs")
    source_node, static_node = attributes.child("from"), attributes.child("static")
    lower = attributes.flag("convert_keys_to_lower_case", default=False)
    sources = tuple(
        (name.lower() if lower else name, source)
        for name in source_node.names()
        for source in _sources(source_node, name, paths, split=None)
    )
    texts, structured = _static_attributes(static_node, lower=lower)
    attributes.pass_over(("from_backend",), NO_EFFECT)
    attributes.end()
    entry.end()
    return UserMapping(user_name, roles, sources, texts, structured)


def _static_attributes(
    entry: Cursor, *, lower: bool
) -> tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]:
    texts, structured = [], []
    for key in entry.names():
        name, value = key.lower() if lower else key, entry.take(key)
        if isinstance(value, list | dict):
            structured.append((name, json.dumps(resolved(value))))
        elif (text := entry.text(key)) is not None:
            texts.append((name, text))
    return tuple(texts), tuple(structured)


def _names(entry: Cursor, paths: list[str]) -> Names:
    sources = (
        *_sources(entry, "from", paths, split=None),
        *_sources(entry, "from_comma_separated_string", paths, split=","),
        *_sources(entry, "from_backend", paths, split=None),
    )
    names = Names(sources, entry.texts("static"), entry.flag("convert_to_lower_case", default=False))
    entry.end()
    return names


def _sources(entry: Cursor, name: str, paths: list[str], split: str | None) -> list[Source]:
    value = entry.take(name)
    elements = value if isinstance(value, list) else [] if value is None else [value]
    sources = []
    for number, element in enumerate(elements):
        place = f"{name}.{number}" if isinstance(value, list) else name
        try:
            source = _source(element, split)
        except UnsupportedPathError:
            paths.append(f"{entry.path.rpartition('user_mapping.')[2]}.{place}")
        except BadPatternError as error:
            entry.problem(place, f"{INVALID}: {error}", _A_PATTERN)
        except ValueError as error:
            entry.problem(place, INVALID, str(error))
        else:
            sources.append(source)
            if source.pattern is not None and not source.pattern.groups:
                entry.warn(place, "The pattern has no capturing group, so it never gives a value")
    return sources


def _source(element: Node, split: str | None) -> Source:
    if isinstance(element, str):
        return Source(parse_path(element), split=split)
    if not isinstance(element, dict):
        raise ValueError("A JSON path of names")  # noqa: TRY004  # told like the others
    return _detailed_source(element, split)


def _detailed_source(element: Mapping[str, Node], split: str | None) -> Source:
    path, pattern, separator = element.get("json_path"), element.get("pattern"), element.get("split", split)
    if not isinstance(path, str) or set(element) - {"json_path", "pattern", "split"}:
        raise ValueError("json_path, pattern and split")
    if pattern is not None and not isinstance(pattern, str):
        raise ValueError(_A_PATTERN)
    if separator is not None and (not isinstance(separator, str) or not separator):
        raise ValueError("A separator")
    return Source(parse_path(path), None if pattern is None else Expression(pattern), separator)
