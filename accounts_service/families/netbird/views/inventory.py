"""Groups, peers and setup keys: `/groups`, `/peers`, `/setup-keys`. They are read only; `All` is the only one."""

from __future__ import annotations

from typing import NoReturn

from flask import Response

from accounts_service.access.privileges import Within
from accounts_service.families.netbird import documents_inventory as documents
from accounts_service.families.netbird.dialect import answer
from accounts_service.families.netbird.privileges import NetBirdPrivilege
from accounts_service.families.netbird.store.accounts import Accounts
from accounts_service.families.netbird.store.groups import Groups
from accounts_service.families.netbird.views import models
from accounts_service.faults import NoSuchObject, RefusedError
from accounts_service.web.family import Routes
from accounts_service.web.gate import Call

ROUTES = Routes()

_PEERS = Within(NetBirdPrivilege.PEERS_READ, otherwise=NetBirdPrivilege.PEERS_OWN_READ)


@ROUTES.route(
    "/groups",
    methods=("GET",),
    privilege=Within(NetBirdPrivilege.GROUPS_READ),
    parameters=frozenset(("name",)),
    answers={200: documents.GROUPS},
    raises=(NoSuchObject,),
)
def list_groups(call: Call) -> Response:
    """List the groups of one's account, or the one with a name."""
    with call.reading(Groups) as groups:
        listed = groups.groups(call.grant, call.request.args.get("name"))
    return answer([models.group(one) for one in listed])


@ROUTES.route(
    "/groups/<group_id>",
    methods=("GET",),
    privilege=Within(NetBirdPrivilege.GROUPS_READ),
    answers={200: documents.GROUP},
    raises=(NoSuchObject,),
)
def get_group(call: Call, group_id: str) -> Response:
    """Read a group of one's account."""
    with call.reading(Groups) as groups:
        group = groups.group(call.grant, group_id)
    return answer(models.group(group))


@ROUTES.route("/peers", methods=("GET",), privilege=_PEERS, answers={200: documents.EMPTY})
def list_peers(call: Call) -> Response:
    """List the peers of one's account: there are none."""
    return _none(call)


@ROUTES.route(
    "/peers/<peer_id>",
    methods=("GET",),
    privilege=_PEERS,
    answers={404: documents.NOT_HERE},
    raises=(NoSuchObject,),
)
def get_peer(call: Call, peer_id: str) -> Response:
    """Refuse to read a peer: there are none."""
    _refuse(call, f"peer: {peer_id}")


@ROUTES.route(
    "/setup-keys",
    methods=("GET",),
    privilege=Within(NetBirdPrivilege.SETUP_KEYS_READ),
    answers={200: documents.EMPTY},
)
def list_setup_keys(call: Call) -> Response:
    """List the setup keys of one's account: there are none."""
    return _none(call)


@ROUTES.route(
    "/setup-keys/<key_id>",
    methods=("GET",),
    privilege=Within(NetBirdPrivilege.SETUP_KEYS_READ),
    answers={404: documents.NOT_HERE},
    raises=(NoSuchObject,),
)
def get_setup_key(call: Call, key_id: str) -> Response:
    """Refuse to read a setup key: there are none."""
    _refuse(call, f"setup key: {key_id}")


def _none(call: Call) -> Response:
    with call.reading(Accounts) as accounts:
        accounts.mine(call.grant)
    return answer([])


def _refuse(call: Call, identifier: str) -> NoReturn:
    with call.reading(Accounts) as accounts:
        accounts.mine(call.grant)
    raise RefusedError(NoSuchObject("GET", identifier))
