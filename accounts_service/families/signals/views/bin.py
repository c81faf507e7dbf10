"""The bin: `/_signals/bin`, and that of a tenant, `/_signals/tenant/{tenant}/bin`."""

from __future__ import annotations

from flask import Response
from werkzeug.routing import BaseConverter

from accounts_service.access.privileges import InTenant
from accounts_service.families.signals import documents_of_versions as documents
from accounts_service.families.signals.privileges import SignalsPrivilege
from accounts_service.families.signals.schemas.pages import UID, read_limit, read_place
from accounts_service.families.signals.store.accounts import tenant_key
from accounts_service.families.signals.store.bin import Bin, Deleted, Place
from accounts_service.families.signals.views.accounts import result
from accounts_service.families.signals.views.answers import answer
from accounts_service.families.signals.views.versions import time_of
from accounts_service.faults import AlreadyExists, BadParameter, Json, NoSuchObject, PreconditionFailed, QuotaExceeded
from accounts_service.web import etags
from accounts_service.web.etags import tag_of
from accounts_service.web.family import Routes
from accounts_service.web.gate import Call

ROUTES = Routes()


class UidConverter(BaseConverter):
    """The uid of an account, which it has for good: a name may have been that of several."""

    regex = UID


BIN = "/_signals/bin"
# Where the other things of a tenant are. Behind the bin's own path its name could be a uid.
BIN_OF_TENANT = "/_signals/tenant/<tenant>/bin"
_PAGE = frozenset(("after", "limit"))


@ROUTES.route(
    f"{BIN}/<uid:uid>:undelete",
    methods=("POST",),
    privilege=SignalsPrivilege.ACCOUNT_PUT,
    answers={200: documents.UNDELETED},
    raises=(NoSuchObject, AlreadyExists, PreconditionFailed, QuotaExceeded),
    headers=etags.HEADERS,
    creates=True,
)
def undelete_account(call: Call, uid: str) -> Response:
    """Have an account back as it was deleted, where nothing else has its name."""
    return _undelete(call, uid)


@ROUTES.route(
    f"{BIN_OF_TENANT}/<uid:uid>:undelete",
    methods=("POST",),
    privilege=InTenant(SignalsPrivilege.TENANT_ACCOUNT_PUT, "tenant"),
    answers={200: documents.UNDELETED},
    raises=(NoSuchObject, AlreadyExists, PreconditionFailed, QuotaExceeded),
    headers=etags.HEADERS,
    creates=True,
)
def undelete_account_of_tenant(call: Call, tenant: str, uid: str) -> Response:
    """Have a tenant's account back as it was deleted, where nothing else has its name."""
    return _undelete(call, uid, tenant_key(tenant))


@ROUTES.route(
    BIN,
    methods=("GET",),
    privilege=SignalsPrivilege.ACCOUNT_SEARCH,
    parameters=_PAGE,
    answers={200: documents.BIN},
    raises=(BadParameter,),
)
def list_bin(call: Call) -> Response:
    """List the global accounts that were deleted, what was deleted last first."""
    return _list(call)


@ROUTES.route(
    BIN_OF_TENANT,
    methods=("GET",),
    privilege=InTenant(SignalsPrivilege.TENANT_ACCOUNT_SEARCH, "tenant"),
    parameters=_PAGE,
    answers={200: documents.BIN},
    raises=(BadParameter,),
)
def list_bin_of_tenant(call: Call, tenant: str) -> Response:
    """List the accounts of a tenant that were deleted, what was deleted last first."""
    return _list(call, tenant_key(tenant))


@ROUTES.route(
    f"{BIN}/<uid:uid>",
    methods=("DELETE",),
    privilege=SignalsPrivilege.ACCOUNT_DELETE,
    answers={200: documents.PURGED},
    raises=(NoSuchObject, PreconditionFailed),
    headers=etags.HEADERS,
)
def purge_account(call: Call, uid: str) -> Response:
    """Forget a deleted account for good: what it held, in all its versions."""
    return _purge(call, uid)


@ROUTES.route(
    f"{BIN_OF_TENANT}/<uid:uid>",
    methods=("DELETE",),
    privilege=InTenant(SignalsPrivilege.TENANT_ACCOUNT_DELETE, "tenant"),
    answers={200: documents.PURGED},
    raises=(NoSuchObject, PreconditionFailed),
    headers=etags.HEADERS,
)
def purge_account_of_tenant(call: Call, tenant: str, uid: str) -> Response:
    """Forget a tenant's deleted account for good: what it held, in all its versions."""
    return _purge(call, uid, tenant_key(tenant))


def _list(call: Call, tenant: str = "") -> Response:
    limit, place = read_limit(call.request.args), read_place(call.request.args)
    with call.reading(Bin) as deleted:
        listed, more = deleted.page(call.grant, tenant, None if place is None else Place(*place), limit)
    document: dict[str, Json] = {"deleted": [_shown(one) for one in listed]}
    return answer(call, document | ({"next": f"{listed[-1].deleted_us}.{listed[-1].uid}"} if more else {}))


def _undelete(call: Call, uid: str, tenant: str = "") -> Response:
    with call.transaction(Bin) as deleted:
        account = deleted.undelete(call.grant, tenant, uid, call.conditions)
    return answer(call, result(account.key.scoped_id, account.version, "undeleted"), tag_of(account.version))


def _purge(call: Call, uid: str, tenant: str = "") -> Response:
    with call.transaction(Bin) as deleted:
        key = deleted.purge(call.grant, tenant, uid, call.conditions)
    return answer(call, {"_id": key.scoped_id, "uid": uid, "result": "purged"})


def _shown(deleted: Deleted) -> dict[str, Json]:
    key = deleted.key
    return {
        "uid": deleted.uid,
        "type": key.type,
        "_name": key.name,
        **({"_tenant": key.tenant} if key.tenant else {}),
        "_version": deleted.version,
        "deleted_at": time_of(deleted.deleted_us),
    }
