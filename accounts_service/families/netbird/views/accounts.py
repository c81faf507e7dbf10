"""Accounts: `/accounts`. A caller sees his own and no other."""

from __future__ import annotations

from flask import Response

from accounts_service.access.privileges import Within
from accounts_service.families.netbird import documents
from accounts_service.families.netbird.dialect import answer
from accounts_service.families.netbird.privileges import NetBirdPrivilege
from accounts_service.families.netbird.schemas.settings import Wish
from accounts_service.families.netbird.store.accounts import FAMILY_NAME, Account, Accounts
from accounts_service.families.netbird.views import models
from accounts_service.faults import AgainstTheRules, PreconditionFailed, UnsupportedMediaType
from accounts_service.web import body, etags
from accounts_service.web.family import Body, Routes
from accounts_service.web.gate import Call

ROUTES = Routes()

_ACCOUNT = "/accounts/<account_id>"
_PATCHES = frozenset(("application/merge-patch+json", "application/json"))


@ROUTES.route(
    "/accounts",
    methods=("GET",),
    privilege=Within(NetBirdPrivilege.ACCOUNTS_READ),
    answers={200: documents.ACCOUNTS},
)
def list_accounts(call: Call) -> Response:
    """List one's own account, and so always one."""
    with call.reading(Accounts) as accounts:
        account = accounts.mine(call.grant)
    return _tagged(answer([models.account(account, effective=True)]), account)


@ROUTES.route(
    _ACCOUNT,
    methods=("PUT",),
    privilege=Within(NetBirdPrivilege.SETTINGS_UPDATE),
    body=Body.ANY_JSON,
    takes=documents.ACCOUNT_TO_PUT,
    answers={200: documents.CHANGED_ACCOUNT},
    raises=(AgainstTheRules, PreconditionFailed),
    headers=etags.HEADERS,
)
def put_account(call: Call, account_id: str) -> Response:
    """Replace the settings of an account as a whole: what is left out is as if it were nothing.

    Two things stay: `extra`, and `onboarding`.
    """
    _verify(call, account_id)
    return _changed(call, account_id, Wish.of(call.json, merge=False))


@ROUTES.route(
    _ACCOUNT,
    methods=("PATCH",),
    privilege=Within(NetBirdPrivilege.SETTINGS_UPDATE),
    body=Body.ANY_JSON,
    takes=documents.ACCOUNT_TO_PATCH,
    answers={200: documents.CHANGED_ACCOUNT},
    raises=(AgainstTheRules, PreconditionFailed, UnsupportedMediaType),
    headers=etags.HEADERS,
)
def patch_account(call: Call, account_id: str) -> Response:
    """Change those settings of an account that are sent, and no others (RFC 7396)."""
    _verify(call, account_id)
    body.require_json(call.request, _PATCHES)
    return _changed(call, account_id, Wish.of(call.json, merge=True))


@ROUTES.route(
    _ACCOUNT,
    methods=("DELETE",),
    privilege=Within(NetBirdPrivilege.ACCOUNTS_DELETE),
    answers={200: documents.NOTHING},
    raises=(AgainstTheRules, PreconditionFailed),
    headers=etags.HEADERS,
)
def delete_account(call: Call, account_id: str) -> Response:
    """Delete an account and everybody in it, oneself included."""
    with call.transaction(Accounts) as accounts:
        accounts.delete(call.grant, account_id, call.conditions)
    return answer({})


def _verify(call: Call, account_id: str) -> None:
    # Which account it would be, before anything is told about the body. Who belongs to an account named that one.
    if call.caller.realm != FAMILY_NAME:
        call.asked(Accounts, lambda accounts: accounts.there(call.grant, account_id))


def _changed(call: Call, account_id: str, wish: Wish) -> Response:
    with call.transaction(Accounts) as accounts:
        account = accounts.put(call.grant, account_id, wish, call.conditions)
    return _tagged(answer(models.account(account, effective=False)), account)


def _tagged(response: Response, account: Account) -> Response:
    response.headers["ETag"] = etags.tag_of(account.version)
    return response
