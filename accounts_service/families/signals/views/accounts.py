"""Accounts: `/_signals/account/{type}/{id}`."""

from __future__ import annotations

from flask import Response

from accounts_service.families.signals import documents
from accounts_service.families.signals.privileges import SignalsPrivilege
from accounts_service.families.signals.schemas.accounts import schema_of
from accounts_service.families.signals.store.accounts import Account, Accounts, Document, Key
from accounts_service.faults import Json, NoSuchObject, PreconditionFailed
from accounts_service.web import etags
from accounts_service.web.body import json_response
from accounts_service.web.etags import tag_of
from accounts_service.web.family import Body, Routes
from accounts_service.web.gate import Call

ROUTES = Routes()

ACCOUNT = "/_signals/account/<account_type>/<name>"


@ROUTES.route(
    ACCOUNT,
    methods=("GET",),
    privilege=SignalsPrivilege.ACCOUNT_GET,
    optional=(SignalsPrivilege.ACCOUNT_REVEAL,),
    answers={200: documents.FOUND, 304: documents.UNCHANGED},
    raises=(NoSuchObject,),
    headers=("If-None-Match",),
)
def get_account(call: Call, account_type: str, name: str) -> Response:
    """Read an account; its secrets as references, or in clear with `account/reveal`."""
    key = Key(account_type.lower(), name)
    with call.reading(Accounts) as accounts:
        account = accounts.get(call.grant, key)
        source = schema_of(key.type).shown(account.attributes, accounts.shown(call.grant, account))
    if call.conditions.unmodified(account.version):
        return Response(status=304, headers={"ETag": tag_of(account.version)})
    return _answer(call, _found(account, source), account.version)


@ROUTES.route(
    ACCOUNT,
    methods=("PUT",),
    privilege=SignalsPrivilege.ACCOUNT_PUT,
    optional=(SignalsPrivilege.ACCOUNT_REVEAL,),
    body=Body.JSON,
    takes=documents.ACCOUNT,
    answers={200: documents.UPDATED, 201: documents.CREATED},
    raises=(PreconditionFailed,),
    headers=etags.HEADERS,
)
def put_account(call: Call, account_type: str, name: str) -> Response:
    """Create an account, or replace it as a whole."""
    key = Key(account_type.lower(), name)
    schema = schema_of(account_type)
    document = Document.of(schema.check(call.json), schema.marked("secret"), schema.marked("destination"))
    with call.transaction(Accounts) as accounts:
        written = accounts.put(call.grant, key, document, call.conditions)
    result = "created" if written.created else "updated"
    return _answer(call, _result(key, written.version, result), written.version, 201 if written.created else 200)


@ROUTES.route(
    ACCOUNT,
    methods=("DELETE",),
    privilege=SignalsPrivilege.ACCOUNT_DELETE,
    answers={200: documents.DELETED},
    raises=(NoSuchObject, PreconditionFailed),
    headers=etags.HEADERS,
)
def delete_account(call: Call, account_type: str, name: str) -> Response:
    """Delete an account."""
    key = Key(account_type.lower(), name)
    with call.transaction(Accounts) as accounts:
        version = accounts.delete(call.grant, key, call.conditions)
    return _answer(call, _result(key, version, "deleted"), None)


def _found(account: Account, source: dict[str, Json]) -> dict[str, Json]:
    return {
        "_id": account.key.scoped_id,
        "found": True,
        "_version": account.version,
        "_seq_no": account.version - 1,
        "_primary_term": 1,
        "_source": {"type": account.key.type, "_name": account.key.name, **source},
    }


def _result(key: Key, version: int, result: str) -> dict[str, Json]:
    return {"_id": key.scoped_id, "_version": version, "result": result}


def _answer(call: Call, document: Json, version: int | None, status: int = 200) -> Response:
    pretty = call.request.args.get("pretty", "false") != "false"
    response = json_response(document, status, pretty=pretty)
    if version is not None:
        response.headers["ETag"] = tag_of(version)
    return response
