"""Accounts: `/_signals/account/{type}/{id}`, and those of a tenant, `/_signals/account/{tenant}/{type}/{id}`."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Response
from werkzeug.routing import BaseConverter

from accounts_service.access.privileges import InTenant
from accounts_service.families.signals import documents
from accounts_service.families.signals.privileges import SignalsPrivilege
from accounts_service.families.signals.schemas.accounts import SCHEMAS, AccountSchema, schema_of
from accounts_service.families.signals.schemas.patch import merged
from accounts_service.families.signals.store.accounts import Account, Accounts, Document, Key, tenant_key
from accounts_service.families.signals.store.used import UsedAccounts
from accounts_service.families.signals.views.answers import answer, shows_any
from accounts_service.families.signals.views.shown import form_for, shown
from accounts_service.faults import (
    BadParameter,
    InUse,
    Json,
    NoSuchObject,
    PreconditionFailed,
    QuotaExceeded,
    RefusedError,
    SecretUnreadable,
)
from accounts_service.web import etags
from accounts_service.web.etags import tag_of
from accounts_service.web.family import Body, Routes
from accounts_service.web.gate import Call

ROUTES = Routes()


class NameConverter(BaseConverter):
    """The name of an account; `_search` is none, since a tenant's search is where its account would be."""

    regex = r"(?!_search\Z)[^/]+"
    # Else what stands behind it in a path would be matched with it, and the name not end where it does.
    part_isolating = True


class NameInTenantConverter(BaseConverter):
    """The name of a tenant's account; `_versions` is none, since those of a global account are where it would be."""

    regex = r"(?!_versions\Z)[^/]+"
    part_isolating = True


ACCOUNT = "/_signals/account/<account_type>/<account:name>"
OF_TENANT = "/_signals/account/<tenant>/<account_type>/<within:name>"

_REPLACED = frozenset(("replace_with",))


@ROUTES.route(
    ACCOUNT,
    methods=("GET",),
    privilege=SignalsPrivilege.ACCOUNT_GET,
    optional=(SignalsPrivilege.ACCOUNT_REVEAL,),
    answers={200: documents.FOUND, 304: documents.UNCHANGED},
    raises=(NoSuchObject, SecretUnreadable),
    headers=("If-None-Match",),
)
def get_account(call: Call, account_type: str, name: str) -> Response:
    """Read an account; its secrets as references, or in clear with `account/reveal`."""
    return _get(call, Key(account_type.lower(), name))


@ROUTES.route(
    ACCOUNT,
    methods=("PUT",),
    privilege=SignalsPrivilege.ACCOUNT_PUT,
    optional=(SignalsPrivilege.ACCOUNT_REVEAL,),
    body=Body.JSON,
    takes=documents.ACCOUNT,
    answers={200: documents.UPDATED, 201: documents.CREATED},
    raises=(PreconditionFailed, QuotaExceeded),
    headers=etags.HEADERS,
)
def put_account(call: Call, account_type: str, name: str) -> Response:
    """Create an account, or replace it as a whole."""
    return _put(call, account_type, name)


@ROUTES.route(
    ACCOUNT,
    methods=("PATCH",),
    privilege=SignalsPrivilege.ACCOUNT_PUT,
    optional=(SignalsPrivilege.ACCOUNT_REVEAL,),
    body=Body.MERGE_PATCH,
    takes=documents.PATCH,
    answers={200: documents.PATCHED},
    raises=(NoSuchObject, PreconditionFailed, QuotaExceeded),
    headers=etags.HEADERS,
)
def patch_account(call: Call, account_type: str, name: str) -> Response:
    """Change what is sent of an account, and nothing else (RFC 7396); secrets that are not sent stay."""
    return _patch(call, account_type, name)


@ROUTES.route(
    ACCOUNT,
    methods=("DELETE",),
    privilege=SignalsPrivilege.ACCOUNT_DELETE,
    parameters=_REPLACED,
    answers={200: documents.DELETED},
    raises=(NoSuchObject, InUse, PreconditionFailed, BadParameter),
    headers=etags.HEADERS,
)
def delete_account(call: Call, account_type: str, name: str) -> Response:
    """Delete an account, and with `replace_with` have who uses it use another.

    For the latter one must be allowed to put and delete references.
    """
    return _delete(call, Key(account_type.lower(), name))


@ROUTES.route(
    OF_TENANT,
    methods=("GET",),
    privilege=InTenant(SignalsPrivilege.TENANT_ACCOUNT_GET, "tenant"),
    optional=(SignalsPrivilege.TENANT_ACCOUNT_REVEAL,),
    answers={200: documents.FOUND, 304: documents.UNCHANGED},
    raises=(NoSuchObject, SecretUnreadable),
    headers=("If-None-Match",),
)
def get_account_of_tenant(call: Call, tenant: str, account_type: str, name: str) -> Response:
    """Read an account of a tenant; its secrets as references, or in clear with `account/reveal` there."""
    return _get(call, Key(account_type.lower(), name, tenant_key(tenant)))


@ROUTES.route(
    OF_TENANT,
    methods=("PUT",),
    privilege=InTenant(SignalsPrivilege.TENANT_ACCOUNT_PUT, "tenant"),
    optional=(SignalsPrivilege.TENANT_ACCOUNT_REVEAL,),
    body=Body.JSON,
    takes=documents.ACCOUNT,
    answers={200: documents.UPDATED, 201: documents.CREATED},
    raises=(PreconditionFailed, QuotaExceeded),
    headers=etags.HEADERS,
)
def put_account_of_tenant(call: Call, tenant: str, account_type: str, name: str) -> Response:
    """Create an account of a tenant, or replace it as a whole."""
    return _put(call, account_type, name, tenant_key(tenant))


@ROUTES.route(
    OF_TENANT,
    methods=("PATCH",),
    privilege=InTenant(SignalsPrivilege.TENANT_ACCOUNT_PUT, "tenant"),
    optional=(SignalsPrivilege.TENANT_ACCOUNT_REVEAL,),
    body=Body.MERGE_PATCH,
    takes=documents.PATCH,
    answers={200: documents.PATCHED},
    raises=(NoSuchObject, PreconditionFailed, QuotaExceeded),
    headers=etags.HEADERS,
)
def patch_account_of_tenant(call: Call, tenant: str, account_type: str, name: str) -> Response:
    """Change what is sent of a tenant's account, and nothing else (RFC 7396); secrets that are not sent stay."""
    return _patch(call, account_type, name, tenant_key(tenant))


@ROUTES.route(
    OF_TENANT,
    methods=("DELETE",),
    privilege=InTenant(SignalsPrivilege.TENANT_ACCOUNT_DELETE, "tenant"),
    parameters=_REPLACED,
    answers={200: documents.DELETED},
    raises=(NoSuchObject, InUse, PreconditionFailed, BadParameter),
    headers=etags.HEADERS,
)
def delete_account_of_tenant(call: Call, tenant: str, account_type: str, name: str) -> Response:
    """Delete an account of a tenant, and with `replace_with` have who uses it use another of the tenant's.

    For the latter one must be allowed to put and delete references.
    """
    return _delete(call, Key(account_type.lower(), name, tenant_key(tenant)))


def _get(call: Call, key: Key) -> Response:
    with call.reading(Accounts) as accounts:
        account = accounts.get(call.grant, key)
    return found(call, account, key.scoped_id)


def _put(call: Call, account_type: str, name: str, tenant: str = "") -> Response:
    document = document_of(schema_of(account_type), call.json)
    key = Key(account_type.lower(), name, tenant)
    with call.transaction(Accounts) as accounts:
        written = accounts.put(call.grant, key, document, call.conditions)
    done, status = ("created", 201) if written.created else ("updated", 200)
    return answer(call, result(key.scoped_id, written.version, done), tag_of(written.version), status)


def _delete(call: Call, key: Key) -> Response:
    successor = _successor(call, key)
    acts = call.services.reference_privileges
    for act in () if successor is None else (acts.put, acts.delete):
        if not call.allows(act):
            call.refuse(act)
    conditions, names_users = call.conditions, call.allows(acts.get)
    with call.transaction(UsedAccounts) as accounts:
        version = accounts.replace(call.grant, key, conditions, acts, successor=successor, names_users=names_users)
    return answer(call, result(key.scoped_id, version, "deleted"))


def _successor(call: Call, key: Key) -> str | None:
    """Give the name of the account that takes the place of `key`, which is one of the same type and scope."""
    if "replace_with" not in call.request.args:
        return None
    account_type, slash, name = call.request.args["replace_with"].partition("/")
    if not slash or not name or "/" in name:
        raise RefusedError(BadParameter("replace_with", "not type/id"))
    if account_type.lower() != key.type:
        raise RefusedError(BadParameter("replace_with", "not of the same type"))
    if name == key.name:
        raise RefusedError(BadParameter("replace_with", "the account itself"))
    return name


def _patch(call: Call, account_type: str, name: str, tenant: str = "") -> Response:
    schema, sent = schema_of(account_type), call.json
    key = Key(account_type.lower(), name, tenant)

    def patch(attributes: Mapping[str, Json], references: Mapping[str, str]) -> Document:
        return document_of(schema, merged(schema.shown(attributes, references), sent))

    with call.transaction(Accounts) as accounts:
        written = accounts.patch(call.grant, key, patch, call.conditions)
    done = "updated" if written.changed else "noop"
    return answer(call, result(key.scoped_id, written.version, done), tag_of(written.version))


def document_of(schema: AccountSchema, sent: Json) -> Document:
    """Check what an account is to be. Raises RefusedError(InvalidBody) with every problem."""
    return Document.of(schema.check(sent), schema.marked("secret"), schema.marked("destination"))


def found(call: Call, account: Account, identifier: str, kind: str = "") -> Response:
    """Answer with an account, under the id by which it was asked for, or that its reader has it. `kind` as in `tag_of`.

    Not within a reading block: that it is shown in clear is recorded first.
    """
    form = form_for(call, call.grant, account)
    if call.conditions.unmodified(account.version, kind, form):
        return _unchanged(tag_of(account.version, kind, form))

    def document(secrets: Mapping[str, str]) -> dict[str, Json]:
        return {
            "_id": identifier,
            "found": True,
            "_version": account.version,
            **concurrency(account),
            "_source": source(account, secrets),
        }

    # What cannot be recorded has the other form. What `filter_path` leaves out is not shown, so there is no record.
    secrets, form = shown(call, call.grant, account, lambda as_referred: shows_any(call, document, as_referred))
    return answer(call, document(secrets), tag_of(account.version, kind, form))


def concurrency(account: Account) -> dict[str, Json]:
    """Return by what Elasticsearch's clients tell one state of an account from another."""
    return {"_seq_no": account.version - 1, "_primary_term": 1}


def source(account: Account, secrets: Mapping[str, str]) -> dict[str, Json]:
    """Write what an account holds, with its secrets as they may be shown."""
    schema = SCHEMAS.get(account.key.type)
    # A later release, gone back from, may have left a type that is not known here.
    all_of_it = {**account.attributes, **secrets} if schema is None else schema.shown(account.attributes, secrets)
    of_tenant: dict[str, Json] = {"_tenant": account.key.tenant} if account.key.tenant else {}
    return {"type": account.key.type, "_name": account.key.name, **of_tenant, **all_of_it}


def result(identifier: str, version: int, done: str) -> dict[str, Json]:
    """Write what a change did."""
    return {"_id": identifier, "_version": version, "result": done}


def _unchanged(tag: str) -> Response:
    """Answer who has this version already; of keeping it the full answer says the same (RFC 9110 section 15.4.5)."""
    return Response(status=304, headers={"Cache-Control": "no-store", "ETag": tag})
