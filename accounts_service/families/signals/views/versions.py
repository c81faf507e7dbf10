"""Versions of accounts: `…/_versions`, `…/_versions/{version}`, and `…/_versions/{version}:restore`."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Response
from werkzeug.routing import BaseConverter

from accounts_service.access.privileges import InTenant
from accounts_service.families.signals import documents_of_versions as documents
from accounts_service.families.signals.privileges import SignalsPrivilege
from accounts_service.families.signals.schemas.accounts import SCHEMAS
from accounts_service.families.signals.schemas.differences import differences
from accounts_service.families.signals.schemas.pages import VERSION, read_limit, read_version
from accounts_service.families.signals.store.accounts import Key, tenant_key
from accounts_service.families.signals.store.versions import State, Version, Versions
from accounts_service.families.signals.views.accounts import ACCOUNT, OF_TENANT, result, source
from accounts_service.families.signals.views.answers import answer
from accounts_service.faults import (
    BadParameter,
    InvalidBody,
    Json,
    NoSuchObject,
    PreconditionFailed,
    QuotaExceeded,
    RefusedError,
    SecretUnreadable,
)
from accounts_service.web import etags
from accounts_service.web.etags import tag_of
from accounts_service.web.family import Routes
from accounts_service.web.gate import Call

ROUTES = Routes()


class TypeConverter(BaseConverter):
    """A type of accounts, in any case; tried before a tenant is, since one may be called like it."""

    regex = rf"(?i:{'|'.join(SCHEMAS)})"
    weight = 50


class VersionConverter(BaseConverter):
    """The number of a version."""

    regex = VERSION

    def to_python(self, value: str) -> int:
        """Read it."""
        return int(value)


# Here the type must be one, so that no tenant's path is taken for this.
VERSIONS = f"{ACCOUNT.replace('<account_type>', '<type:account_type>')}/_versions"
VERSIONS_OF_TENANT = f"{OF_TENANT}/_versions"
_PAGE = frozenset(("before", "limit"))
_COMPARED = frozenset(("compare_with",))


# What is longest stands first: `3:restore` looks like a version to who knows no converters.
@ROUTES.route(
    f"{VERSIONS}/<version:version>:restore",
    methods=("POST",),
    privilege=SignalsPrivilege.ACCOUNT_PUT,
    optional=(SignalsPrivilege.ACCOUNT_REVEAL,),
    answers={200: documents.RESTORED},
    raises=(NoSuchObject, PreconditionFailed, InvalidBody, QuotaExceeded),
    headers=etags.HEADERS,
)
def restore_version(call: Call, account_type: str, name: str, version: int) -> Response:
    """Make an account what it was in a version: attributes and secrets as they were together, as a new version."""
    return _restore(call, Key(account_type.lower(), name), version)


@ROUTES.route(
    f"{VERSIONS_OF_TENANT}/<version:version>:restore",
    methods=("POST",),
    privilege=InTenant(SignalsPrivilege.TENANT_ACCOUNT_PUT, "tenant"),
    optional=(SignalsPrivilege.TENANT_ACCOUNT_REVEAL,),
    answers={200: documents.RESTORED},
    raises=(NoSuchObject, PreconditionFailed, InvalidBody, QuotaExceeded),
    headers=etags.HEADERS,
)
def restore_version_of_tenant(call: Call, tenant: str, account_type: str, name: str, version: int) -> Response:
    """Make a tenant's account what it was in a version: attributes and secrets as they were together."""
    return _restore(call, Key(account_type.lower(), name, tenant_key(tenant)), version)


@ROUTES.route(
    VERSIONS,
    methods=("GET",),
    privilege=SignalsPrivilege.ACCOUNT_GET,
    parameters=_PAGE,
    answers={200: documents.VERSIONS},
    raises=(NoSuchObject, BadParameter, SecretUnreadable),
)
def list_versions(call: Call, account_type: str, name: str) -> Response:
    """List the versions of an account since it was made, the newest first."""
    return _list(call, Key(account_type.lower(), name))


@ROUTES.route(
    VERSIONS_OF_TENANT,
    methods=("GET",),
    privilege=InTenant(SignalsPrivilege.TENANT_ACCOUNT_GET, "tenant"),
    parameters=_PAGE,
    answers={200: documents.VERSIONS},
    raises=(NoSuchObject, BadParameter, SecretUnreadable),
)
def list_versions_of_tenant(call: Call, tenant: str, account_type: str, name: str) -> Response:
    """List the versions of a tenant's account since it was made, the newest first."""
    return _list(call, Key(account_type.lower(), name, tenant_key(tenant)))


@ROUTES.route(
    f"{VERSIONS}/<version:version>",
    methods=("GET",),
    privilege=SignalsPrivilege.ACCOUNT_GET,
    parameters=_COMPARED,
    answers={200: documents.VERSION},
    raises=(NoSuchObject, BadParameter, SecretUnreadable),
)
def get_version(call: Call, account_type: str, name: str, version: int) -> Response:
    """Read what an account was in a version; its secrets as references, whoever asks."""
    return _get(call, Key(account_type.lower(), name), version)


@ROUTES.route(
    f"{VERSIONS_OF_TENANT}/<version:version>",
    methods=("GET",),
    privilege=InTenant(SignalsPrivilege.TENANT_ACCOUNT_GET, "tenant"),
    parameters=_COMPARED,
    answers={200: documents.VERSION},
    raises=(NoSuchObject, BadParameter, SecretUnreadable),
)
def get_version_of_tenant(call: Call, tenant: str, account_type: str, name: str, version: int) -> Response:
    """Read what a tenant's account was in a version; its secrets as references, whoever asks."""
    return _get(call, Key(account_type.lower(), name, tenant_key(tenant)), version)


def _list(call: Call, key: Key) -> Response:
    limit, before = read_limit(call.request.args), read_version(call.request.args, "before")
    with call.reading(Versions) as versions:
        listed, more = versions.page(call.grant, key, before, limit)
    document: dict[str, Json] = {"_id": key.scoped_id, "versions": [_listed(version) for version in listed]}
    return answer(call, document | ({"next": listed[-1].number} if more else {}))


def _get(call: Call, key: Key, number: int) -> Response:
    other = read_version(call.request.args, "compare_with")
    with call.reading(Versions) as versions:
        state, present = versions.state(call.grant, key, number)
        compared = None if other is None else _other(call, versions, key, other)
    document = _shown(state, present=present)
    if compared is not None:
        document["differences"] = differences(
            compared.account.attributes, compared.references, state.account.attributes, state.references
        )
    return answer(call, document)


def _other(call: Call, versions: Versions, key: Key, number: int) -> State:
    try:
        return versions.state(call.grant, key, number)[0]
    except RefusedError:
        raise RefusedError(BadParameter("compare_with", "there is no such version")) from None


def _restore(call: Call, key: Key, number: int) -> Response:
    destinations = SCHEMAS[key.type].marked("destination")
    with call.transaction(Versions) as versions:
        version = versions.restore(call.grant, key, number, call.conditions, destinations)
    return answer(call, result(key.scoped_id, version, "restored"), tag_of(version))


def _listed(version: Version) -> dict[str, Json]:
    shown: dict[str, Json] = {"_version": version.number, "at": time_of(version.at_us), "present": version.present}
    if version.deleted:
        shown["deleted"] = True
    return shown | ({} if version.changed is None else {"changed": [*version.changed]})


def _shown(state: State, *, present: bool) -> dict[str, Json]:
    return {
        "_id": state.account.key.scoped_id,
        "_version": state.account.version,
        "at": time_of(state.at_us),
        "present": present,
        "_source": source(state.account, state.references),
    }


def time_of(at_us: int) -> str:
    """Write a time."""
    return datetime.fromtimestamp(at_us / 1_000_000, UTC).isoformat(timespec="milliseconds")
