"""A configuration for tests: a player who may play, who is one, and how one asks."""

from __future__ import annotations

import json
from ipaddress import ip_address

import pytest

from accounts_service.access.authenticators import Facts, Peer
from accounts_service.access.roles import REALM, Identity, Role
from accounts_service.access.snapshot import BuiltIns, Snapshot
from accounts_service.faults import Fault, RefusedError
from tests.support.personas import authorization, hash_of

BASIC = {"type": "basic/internal_users_db"}
OUTSIDE = "192.0.2.1"

ACTION = "cluster:admin:toy:toy/play"
BUILT_INS = BuiltIns.merge([({"TOY_PLAY": (ACTION,)}, {"TOY_PLAYER": Role(cluster_permissions=("TOY_PLAY",))})])

FILES: dict[str, object] = {
    "sg_roles.yml": {"player": {"cluster_permissions": ["TOY_PLAY"]}},
    "sg_roles_mapping.yml": {"player": {"users": ["alice"]}},
    "sg_action_groups.yml": {},
    "sg_internal_users.yml": {
        "alice": {
            "hash": hash_of("alice"),
            "backend_roles": ["sales"],
            "search_guard_roles": ["player"],
            "attributes": {"room": "7"},
        },
        "bob": {"hash": hash_of("bob")},
    },
    "sg_tenants.yml": {},
}
REVOKED = {"sg_roles_mapping.yml": {"player": {"users": ["bob"]}}}


def text_of(document: object) -> str:
    # JSON is YAML, and repeats what YAML would write as an alias, which is not accepted.
    return document if isinstance(document, str) else json.dumps(document)


def facts(peer: str | int, repeated: str = "", **headers: str) -> Facts:
    """Gather facts; the header names are written with underscores."""
    return Facts(
        Peer(uid=peer) if isinstance(peer, int) else Peer(ip_address(peer)),
        {name.replace("_", "-"): value for name, value in headers.items()},
        frozenset(repeated.split(",")),
    )


def by_password(name: str) -> str:
    return authorization(name)["Authorization"]


def refusal(snapshot: Snapshot, sent: Facts) -> Fault:
    with pytest.raises(RefusedError) as refused:
        snapshot.authenticate(sent)
    return refused.value.fault


def allowed(snapshot: Snapshot, name: str = "alice") -> bool:
    roles = snapshot.rules.effective_roles(Identity(realm=REALM, name=name))
    return snapshot.rules.permissions(roles).cluster(ACTION)
