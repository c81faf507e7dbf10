"""Privileges: what a route can ask for.

A privilege is a member of its family's `Privilege` enum: a name of the grammar
below, and a sentence for the reader of docs/privileges.md. A string in a view
cannot be a privilege, so a typo is a type error and a search finds every use.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Self, TypeAlias

# Characters of an action that a caller may ask about; no action of Search Guard has half as many.
LONGEST_ACTION = 200

_NAME = re.compile(r"(cluster|indices)(:[a-z_]+)+(/[a-z_]+)+\Z")

_TENANT_PREFIXES = ("cluster:admin:searchguard:tenant:", "kibana:saved_objects/")
_CLUSTER_PREFIXES = ("cluster:", "searchguard:cluster:")
# Index-like by name, but decided by cluster permissions.
_CLUSTER_ACTIONS = frozenset(
    (
        "indices:admin/template/get",
        "indices:admin/template/put",
        "indices:admin/template/delete",
        "indices:data/read/mget",
        "indices:data/read/msearch",
        "indices:data/read/scroll",
        "indices:data/read/scroll/clear",
        "indices:data/write/bulk",
        "indices:data/write/reindex",
    )
)


class Level(Enum):
    """Which part of a role an action is decided by."""

    CLUSTER = "cluster_permissions"
    TENANT = "tenant_permissions"
    INDEX = "index_permissions"


def level_of(action: str) -> Level:
    """Tell by an action's name which part of a role decides it."""
    if action.startswith(_TENANT_PREFIXES):
        return Level.TENANT
    if action.startswith(_CLUSTER_PREFIXES) or action in _CLUSTER_ACTIONS:
        return Level.CLUSTER
    return Level.INDEX


class Privilege(Enum):
    """Base of every family's privileges; a member is written `NAME = "action", "Sentence."`."""

    action: str
    sentence: str

    def __new__(cls, action: str, sentence: str) -> Self:
        """Check the grammar. Raises ValueError when the name or the sentence is not one."""
        if not _NAME.match(action):
            raise ValueError(f"{action} is not a privilege's name")
        if not sentence.endswith("."):
            raise ValueError(f"{action} needs a sentence that says what it allows")
        if action in cls._value2member_map_:
            raise ValueError(f"{action} is there twice")
        member = object.__new__(cls)
        member._value_ = action
        member.action = action
        member.sentence = sentence
        return member


class Open(Enum):
    """What a route states when it asks for no privilege. Open is a word, too."""

    PUBLIC = "Nobody is asked who he is."
    ANY_IDENTITY = "Everyone who is somebody."


@dataclass(frozen=True, slots=True)
class Scoped:
    """`own` for one's own objects, `every` for all; the wider one is tried first."""

    own: Privilege
    every: Privilege


@dataclass(frozen=True, slots=True)
class Mine:
    """`privilege`, for what is one's own and nothing else; who has no account in the family has nothing of the kind."""

    privilege: Privilege


@dataclass(frozen=True, slots=True)
class Within:
    """`privilege`, within one's own account for who has one; who lacks it may do `otherwise`, for himself alone."""

    privilege: Privilege
    otherwise: Privilege | None = None


@dataclass(frozen=True, slots=True)
class InTenant:
    """A tenant privilege, asked for in the tenant that the path's `argument` names."""

    privilege: Privilege
    argument: str


@dataclass(frozen=True, slots=True)
class Either:
    """Two names of one act; the caller holds one of them."""

    privilege: Privilege
    other: Privilege


@dataclass(frozen=True, slots=True)
class AlsoInTenant:
    """`privilege`; when the request asks for a tenant other than the global one, `within` there too."""

    privilege: Privilege
    within: Privilege


Requirement: TypeAlias = Privilege | Open | Scoped | Mine | Within | InTenant | Either | AlsoInTenant


def privileges_of(requirement: Requirement) -> tuple[Privilege, ...]:
    """Name every privilege that a requirement speaks of."""
    match requirement:
        case Open():
            return ()
        case Scoped(own, every):
            return (own, every)
        case InTenant(privilege, _) | Mine(privilege):
            return (privilege,)
        case Within(privilege, otherwise):
            return (privilege,) if otherwise is None else (privilege, otherwise)
        case Either(privilege, other) | AlsoInTenant(privilege, other):
            return (privilege, other)
        case privilege:
            return (privilege,)


def describe(requirement: Requirement) -> str:  # noqa: PLR0911  # one case a requirement
    """Write what a route asks for, on one line."""
    match requirement:
        case Open():
            return requirement.name
        case Scoped(own, every):
            return f"{every.action} or, for one's own, {own.action}"
        case Mine(privilege):
            return f"{privilege.action}, for one's own"
        case Within(privilege, otherwise):
            instead = "" if otherwise is None else f", or, for oneself, {otherwise.action}"
            return f"{privilege.action}, within one's own account{instead}"
        case InTenant(privilege, argument):
            return f"{privilege.action} in <{argument}>"
        case Either(privilege, other):
            return f"{privilege.action} or {other.action}"
        case AlsoInTenant(privilege, within):
            return f"{privilege.action} and, in a tenant, {within.action}"
        case privilege:
            return privilege.action


# -- What was granted ---------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Everything:
    """All objects."""


@dataclass(frozen=True, slots=True)
class Tenants:
    """The objects of these tenants."""

    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Own:
    """The object with this id."""

    identifier: str


@dataclass(frozen=True, slots=True)
class Nothing:
    """No stored object: the route is open."""


Scope: TypeAlias = Everything | Tenants | Own | Nothing


@dataclass(frozen=True, slots=True)
class Grant:
    """What a request may do. `also`: those of the route's optional privileges that the caller holds."""

    privilege: Privilege | None
    scope: Scope
    also: frozenset[Privilege] = frozenset()
