"""Accounts as the preview of 2019 had them: `/_signals/account/{id}`, with the type in the body."""

from __future__ import annotations

from flask import Response
from werkzeug.routing import BaseConverter

from accounts_service.access.privileges import AlsoInTenant
from accounts_service.families.signals import documents
from accounts_service.families.signals.privileges import SignalsPrivilege
from accounts_service.families.signals.schemas.accounts import SCHEMAS, schema_of, sent_type
from accounts_service.families.signals.store.accounts import Key
from accounts_service.families.signals.store.preview import PreviewAccounts
from accounts_service.families.signals.views.accounts import document_of, found, result
from accounts_service.families.signals.views.answers import answer
from accounts_service.faults import Ambiguous, InUse, NoSuchObject, PreconditionFailed, QuotaExceeded, SecretUnreadable
from accounts_service.web import etags
from accounts_service.web.etags import tag_of
from accounts_service.web.family import Body, Routes
from accounts_service.web.gate import Call

ROUTES = Routes()

ACCOUNT = "/_signals/account/<id:account_id>"


class IdConverter(BaseConverter):
    """An id of 2019: what the current form means otherwise is none, the name of a type or what begins with `_`."""

    regex = rf"(?!_|(?i:{'|'.join(SCHEMAS)})\Z)[^/]+"


_REVEAL = (SignalsPrivilege.ACCOUNT_REVEAL, SignalsPrivilege.TENANT_ACCOUNT_REVEAL)


@ROUTES.route(
    ACCOUNT,
    methods=("GET",),
    privilege=AlsoInTenant(SignalsPrivilege.DESTINATION_GET, SignalsPrivilege.TENANT_ACCOUNT_GET),
    optional=_REVEAL,
    answers={200: documents.FOUND_BY_ID, 304: documents.UNCHANGED},
    raises=(NoSuchObject, Ambiguous, SecretUnreadable),
    headers=("If-None-Match", "sgtenant"),
)
def get_account_by_id(call: Call, account_id: str) -> Response:
    """Read an account by its id alone, of the tenant that `sgtenant` names."""
    with call.reading(PreviewAccounts) as accounts:
        account = accounts.get_by_id(call.grant, call.tenant or "", account_id)
    return found(call, account, account_id, account.key.type)


@ROUTES.route(
    ACCOUNT,
    methods=("PUT",),
    privilege=AlsoInTenant(SignalsPrivilege.DESTINATION_PUT, SignalsPrivilege.TENANT_ACCOUNT_PUT),
    optional=_REVEAL,
    body=Body.JSON,
    takes=documents.ACCOUNT_BY_ID,
    answers={200: documents.UPDATED_BY_ID, 201: documents.CREATED_BY_ID},
    raises=(Ambiguous, InUse, PreconditionFailed, QuotaExceeded),
    headers=(*etags.HEADERS, "sgtenant"),
)
def put_account_by_id(call: Call, account_id: str) -> Response:
    """Create an account, or replace it as a whole, its `type` included."""
    account_type = sent_type(call.json)
    document = document_of(schema_of(account_type), call.json)
    key = Key(account_type.lower(), account_id, call.tenant or "")
    with call.transaction(PreviewAccounts) as accounts:
        written = accounts.put_by_id(call.grant, key, document, call.conditions)
    done, status = ("created", 201) if written.created else ("updated", 200)
    return answer(call, result(account_id, written.version, done), tag_of(written.version, key.type), status)


@ROUTES.route(
    ACCOUNT,
    methods=("DELETE",),
    privilege=AlsoInTenant(SignalsPrivilege.DESTINATION_DELETE, SignalsPrivilege.TENANT_ACCOUNT_DELETE),
    answers={200: documents.DELETED_BY_ID},
    raises=(NoSuchObject, Ambiguous, InUse, PreconditionFailed),
    headers=(*etags.HEADERS, "sgtenant"),
)
def delete_account_by_id(call: Call, account_id: str) -> Response:
    """Delete an account by its id alone."""
    tenant, names_users = call.tenant or "", call.allows(call.services.reference_privileges.get)
    with call.transaction(PreviewAccounts) as accounts:
        version = accounts.delete_by_id(call.grant, tenant, account_id, call.conditions, names_users=names_users)
    return answer(call, result(account_id, version, "deleted"))
