"""Accounts: `/accounts`. A token reads and changes the account of who has it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from flask import Response

from accounts_service.access.privileges import Either, Mine, Scoped
from accounts_service.families.mention import documents
from accounts_service.families.mention.dialect import TOKENS_REFUSED, token_of
from accounts_service.families.mention.privileges import MentionPrivilege
from accounts_service.families.mention.schemas import accounts as schemas
from accounts_service.families.mention.schemas.accounts import AccountWish
from accounts_service.families.mention.schemas.versions import version
from accounts_service.families.mention.store.accounts import Account, Accounts, Checked
from accounts_service.families.mention.store.tokens import digest_of
from accounts_service.families.mention.views import models, passwords
from accounts_service.faults import (
    Kind,
    NoSuchObject,
    NotA,
    Overloaded,
    PreconditionFailed,
    Problem,
    TooManyAttempts,
    Unfit,
)
from accounts_service.identifiers import is_misleading
from accounts_service.web import etags
from accounts_service.web.body import json_response
from accounts_service.web.family import Body, Routes
from accounts_service.web.gate import Call

ROUTES = Routes()

_ACCOUNT = "/accounts/<account_id>"
_VERSION = "Accept-Version"


@ROUTES.route(
    "/accounts",
    methods=("POST",),
    privilege=Either(MentionPrivilege.OWN_POST, MentionPrivilege.ALL_POST),
    body=Body.ANY_JSON,
    takes=documents.NEW_ACCOUNT,
    answers={200: documents.MADE_ACCOUNT, 201: documents.MADE_ACCOUNT},
    raises=(*TOKENS_REFUSED, Overloaded),
    headers=(_VERSION,),
)
def create_account(call: Call) -> Response:
    """Make an account for somebody else, whose it is then alone."""
    wanted = schemas.new_account(call.json, call.services.settings.mention_password_policy, partial(_taken, call, None))
    password = call.services.passwords.hash(wanted.password, call.principal)
    with call.transaction(Accounts) as accounts:
        account = accounts.create(wanted, password, call.grant.privilege or MentionPrivilege.OWN_POST)
    return _answer(call, account, int(call.services.settings.mention_created_status))


@ROUTES.route(
    "/accounts/me",
    methods=("GET",),
    privilege=Mine(MentionPrivilege.OWN_GET),
    answers={200: documents.ACCOUNT},
    raises=TOKENS_REFUSED,
    headers=(_VERSION,),
)
def get_own_account(call: Call) -> Response:
    """Read the account that the token is of."""
    with call.reading(Accounts) as accounts:
        account = accounts.mine(call.grant)
    return _answer(call, account)


@ROUTES.route(
    _ACCOUNT,
    methods=("GET",),
    privilege=Scoped(own=MentionPrivilege.OWN_GET, every=MentionPrivilege.ALL_GET),
    answers={200: documents.ACCOUNT},
    raises=(*TOKENS_REFUSED, NoSuchObject),
    headers=(_VERSION,),
)
def get_account(call: Call, account_id: str) -> Response:
    """Read an account."""
    with call.reading(Accounts) as accounts:
        account = accounts.get(call.grant, account_id)
    return _answer(call, account)


@ROUTES.route(
    _ACCOUNT,
    methods=("PUT",),
    privilege=Scoped(own=MentionPrivilege.OWN_PUT, every=MentionPrivilege.ALL_PUT),
    body=Body.ANY_JSON,
    takes=documents.CHANGED_ACCOUNT,
    answers={200: documents.ACCOUNT},
    raises=(*TOKENS_REFUSED, NoSuchObject, PreconditionFailed, TooManyAttempts, Overloaded),
    headers=(_VERSION, *etags.HEADERS),
)
def put_account(call: Call, account_id: str) -> Response:
    """Change what is sent of an account, and nothing else. A new password and a new email need the present password."""
    before = call.asked(Accounts, lambda accounts: accounts.get(call.grant, account_id))
    wish = _wish(call, before)
    # Hashed before the transaction, which other writers wait for.
    wanted = wish.new_password
    new = None if wanted is None else call.services.passwords.hash(wanted, call.principal)
    checked = Checked(before.password, before.email, digest_of(token_of(call.request) or ""), new)
    with call.transaction(Accounts) as accounts:
        account = accounts.put(call.grant, account_id, wish, checked, call.conditions)
    return _answer(call, account)


def _wish(call: Call, before: Account) -> AccountWish:
    # Who administers every account does not know their passwords, and cannot sign in by an address alone.
    email = before.email if call.caller.own is not None else None
    policy = call.services.settings.mention_password_policy
    return schemas.account(call.json, policy, partial(_against, call, before), email)


@ROUTES.route(
    _ACCOUNT,
    methods=("DELETE",),
    privilege=Scoped(own=MentionPrivilege.OWN_DELETE, every=MentionPrivilege.ALL_DELETE),
    answers={200: documents.GONE, 204: documents.GONE},
    raises=(*TOKENS_REFUSED, NoSuchObject, PreconditionFailed),
    headers=etags.HEADERS,
)
def delete_account(call: Call, account_id: str) -> Response:
    """Delete an account, and make all its tokens worthless."""
    with call.transaction(Accounts) as accounts:
        accounts.delete(call.grant, account_id, call.conditions)
    status = int(call.services.settings.mention_deleted_status)
    return Response(status=status, headers={"Cache-Control": "no-store"}, content_type="application/json")


def _taken(call: Call, mine: Account | None, loaded: Mapping[str, Any]) -> list[Problem]:
    """Tell whether another account has the address, or whether a new one looks like another."""
    email = loaded.get("email")
    if email is not None and is_misleading(email) and (mine is None or email != mine.email):
        return [Problem(("email",), NotA(Kind.EMAIL_ADDRESS), email)]
    found = None if email is None else call.asked(Accounts, lambda accounts: accounts.by_email(email))
    of_another = found is not None and (mine is None or found.id != mine.id)
    return [Problem(("email",), Unfit(schemas.EMAIL_TAKEN))] if of_another else []


def _against(call: Call, account: Account, loaded: Mapping[str, Any]) -> list[Problem]:
    """Tell what is stored that is against a change."""
    problems, old = _taken(call, account, loaded), loaded.get("old_password")
    if old is not None and not passwords.is_right(call, account, account.email, old):
        problems.append(Problem(("old_password",), Unfit(schemas.WRONG_PASSWORD)))
    return problems


def _answer(call: Call, account: Account, status: int = 200) -> Response:
    settings = call.services.settings
    asked = version(call.request.headers.get(_VERSION), settings.mention_default_version)
    response = json_response(models.account(account, asked, settings), status)
    response.headers["ETag"] = etags.tag_of(account.version)
    response.headers["Vary"] = _VERSION
    return response
