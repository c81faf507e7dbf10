"""By which domains of sg_authc.yml somebody can log in, and what he is then known to have.

Nobody's password, header or token is at hand here, so this follows what
Snapshot.authenticate does as far as the configuration alone decides it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from accounts_service.access.authenticators import ANONYMOUS, BASIC, JWT, TRUSTED_ORIGIN, Criteria, Origin, Peer
from accounts_service.access.authenticators.anonymous import NAME
from accounts_service.access.authenticators.user_mapping import Source, UserMappingError
from accounts_service.access.configuration import Configuration, Domain, NetworkSettings
from accounts_service.access.roles import REALM, Address, Identity
from accounts_service.faults import Json

# A realm without mappings: its people have the roles they are given, no more.
_ROLES_ONLY = "explain"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls. `obstacle`: why no log-in of his can succeed; `identity` is then what would hold if one did."""

    identity: Identity
    obstacle: str | None
    notes: tuple[str, ...]


def caller_of(configuration: Configuration, identity: Identity, *, by_socket: bool) -> Caller:
    """Find out what becomes of who calls himself as `identity` does and comes from its address.

    `by_socket`: whether users of a unix socket are trusted proxies as well.
    """
    if identity.address is None:
        origins: list[Origin | None] = [None]
    else:
        origins = [*_origins(configuration.network, identity.address, by_socket=by_socket)]
    conditions = configuration.network.conditions
    heard = [origin for origin in origins if origin is None or conditions.for_origin(origin)]
    proxied = by_socket or bool(configuration.network.trusted_proxies or configuration.network.trusted_proxies_regex)
    # A domain that takes him from several origins is still one domain.
    taking = [
        *dict.fromkeys(number for origin in heard for number in _taking(configuration, identity, origin, proxied))
    ]
    domains = [configuration.domains[number] for number in sorted(taking)]
    # With a password he is sure to be himself; a name that a domain always
    # gives is surer than one that others may send.
    order = [*sorted(domains, key=lambda domain: (domain.type != BASIC, not _names(domain)))]
    usable = [domain for domain in order if domain.type != BASIC or _has_password(configuration, identity.name)]
    notes = [*_notes_on_origin(configuration, identity, heard, len(origins))]
    if usable:
        known, more = _known(configuration, identity, usable[0])
        return Caller(known, None, (*notes, *_notes_on_domains(usable), *more))
    entry = _with_entry(configuration, identity)
    return Caller(entry, _obstacle(configuration, identity, heard=bool(heard), taken=bool(domains)), (*notes,))


def holder_of(names: Iterable[str], address: Address | None = None) -> Caller:
    """Make up somebody who has these roles, and nothing else."""
    return Caller(Identity(_ROLES_ONLY, "", roles=frozenset(names), address=address), None, ())


# -- Where he comes from ------------------------------------------------------


def _origins(network: NetworkSettings, address: Address, *, by_socket: bool) -> Iterator[Origin]:
    yield Origin(Peer(address), trusted=network.trusts(address), address=address)
    if network.trusted_proxies:
        # One proxy of a network stands for all of them.
        yield from (Origin(Peer(proxies[0]), trusted=True, address=address) for proxies in network.trusted_proxies)
    if network.trusted_proxies_regex or by_socket:
        yield Origin(Peer(), trusted=True, address=address)


def _depends_on_origin(criteria: Criteria) -> bool:
    return criteria.ips is not None or criteria.originating_ips is not None or criteria.trusted_ips is not None


def _notes_on_origin(
    configuration: Configuration, identity: Identity, heard: list[Origin | None], origins: int
) -> Iterator[str]:
    all_conditions = (configuration.network.conditions, *(domain.conditions for domain in configuration.domains))
    if identity.address is None and any(
        _depends_on_origin(criteria)
        for conditions in all_conditions
        for criteria in (conditions.accept, conditions.skip)
    ):
        yield "sg_authc.yml has conditions on where a caller comes from, not looked at here; give --ip (over HTTP: ip)"
    if heard and len(heard) < origins:
        yield "the network of sg_authc.yml refuses some ways from there, directly or by a proxy; this is for the others"


# -- Domains ------------------------------------------------------------------


def _taking(configuration: Configuration, identity: Identity, origin: Origin | None, proxied: bool) -> Iterator[int]:  # noqa: FBT001  # a fact, like the others
    for number, domain in enumerate(configuration.domains):
        if origin is not None and not domain.conditions.for_origin(origin):
            continue
        if domain.type == TRUSTED_ORIGIN and not (proxied if origin is None else origin.trusted):
            continue
        if _can_be(domain, identity.name):
            yield number
        if lets_everybody_in(domain) and (origin is not None or not depends_on_origin(domain)):
            return  # No domain after it is asked.


def depends_on_origin(domain: Domain) -> bool:
    """Tell whether a domain is asked about some callers only, by where they come from."""
    return any(map(_depends_on_origin, (domain.conditions.accept, domain.conditions.skip)))


def lets_everybody_in(domain: Domain) -> bool:
    """Tell whether nobody of whom a domain is asked gets past it."""
    names = _names(domain)
    return domain.type == ANONYMOUS and len(names) == 1 and domain.conditions.for_user(names[0])


def anonymous_identities(configuration: Configuration, domain: Domain) -> Iterator[Identity]:
    """Give those whom an anonymous domain is sure to take callers for, with all that they are sure to have."""
    for name in _names(domain):
        if _can_be(domain, name):
            yield _known(configuration, Identity(REALM, name), domain)[0]


def _names(domain: Domain) -> tuple[str, ...]:
    """Name whom a domain always takes callers for; nobody if they, or a proxy or issuer, say so."""
    if domain.mapping.user_name is None:
        return (NAME,) if domain.type == ANONYMOUS else ()
    return () if domain.mapping.user_name.sources else tuple(domain.mapping.user_name.values({}))


def _can_be(domain: Domain, name: str) -> bool:
    if not domain.conditions.for_user(name):
        return False
    names = domain.mapping.user_name
    if domain.type == BASIC:
        return True  # Here the conditions are about the name that comes with the password.
    if domain.type == JWT and not name.isprintable():
        return False
    if names is None:
        return domain.type != ANONYMOUS or name == NAME
    if names.static:
        # Whatever comes besides may only be the same name.
        return names.values({}) == [name]
    return not names.lower_case or name == name.lower()


def _notes_on_domains(usable: list[Domain]) -> Iterator[str]:
    first, *others = usable
    if others:
        how = "a log-in by password" if first.type == BASIC else f"who comes by the first of them ({first.type})"
        types = ", ".join(dict.fromkeys(domain.type for domain in usable))
        yield f"domains of several kinds or places take this name ({types}); the answer is for {how}"
    for domain in usable:
        sources = (*domain.mapping.roles.sources, *(source for _, source in domain.mapping.attribute_sources))
        if domain.type == BASIC and domain.mapping.user_name is not None:
            sources += domain.mapping.user_name.sources
        if any(not _is_at_hand(domain, source) for source in sources):
            yield (
                f"a {domain.type} domain has a user_mapping; what that adds from headers or claims is not known here"
            )


def _is_at_hand(domain: Domain, source: Source) -> bool:
    if source.path[0] == "user_entry":
        return domain.type == BASIC or domain.with_internal_users
    return domain.type == BASIC and source.path[0] == "credentials"


# -- What he has --------------------------------------------------------------


def _has_password(configuration: Configuration, name: str) -> bool:
    user = configuration.users.get(name)
    return user is not None and user.cost is not None


def _with_entry(configuration: Configuration, identity: Identity) -> Identity:
    user = configuration.users.get(identity.name)
    return identity if user is None else user.add_to(identity)


def _known(configuration: Configuration, identity: Identity, domain: Domain) -> tuple[Identity, list[str]]:
    name, mapping = identity.name, domain.mapping
    user = configuration.users.get(name)
    at_hand: dict[str, Json] = {}
    notes = []
    if domain.type == BASIC and user is not None:
        at_hand = {"credentials": {"user_name": name}, "user_entry": user.document(name)}
        try:
            mapped = mapping.map(at_hand, default_name=name).user_name
        except UserMappingError:
            mapped = name  # A header decides, of which a note is made.
        if mapped != name:
            notes.append(f"the user_mapping has {name!r} known as {mapped!r}")
            name = mapped
    elif domain.with_internal_users and user is not None:
        at_hand = {"user_entry": user.document(name)}
    attributes, structured = mapping.attributes(at_hand)
    known = replace(
        identity,
        backend_roles=identity.backend_roles | frozenset(mapping.roles.values(at_hand)),
        attributes=attributes,
        domain=domain.type,
        structured=structured,
    )
    if domain.type == BASIC or domain.with_internal_users:
        known = _with_entry(configuration, known)
    elif user is not None:
        notes.append(f"the entry of {name!r} in sg_internal_users.yml does not count: no domain asks for it here")
    if user is None:
        notes.append(f"{name!r} is not in sg_internal_users.yml; known is only what the options and domains say")
    return replace(known, realm=REALM, name=name), notes


def _obstacle(configuration: Configuration, identity: Identity, *, heard: bool, taken: bool) -> str:
    name = identity.name
    if not heard:
        return f"the network of sg_authc.yml refuses {identity.address}: every log-in from there fails"
    if not taken:
        where = "" if identity.address is None else f" from {identity.address}"
        return f"no domain of sg_authc.yml takes {name!r}{where}: every log-in fails"
    if name not in configuration.users:
        return f"{name!r} is not in sg_internal_users.yml, and no domain takes this name without a password"
    if not configuration.users[name].hash:
        return f"{name!r} has no hash in sg_internal_users.yml, and no domain takes this name without a password"
    return f"the hash of {name!r} is not a bcrypt hash, and no domain takes this name without a password"
