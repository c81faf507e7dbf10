"""Who may do what, and why: `/_accounts/explain?method=…&path=…`.

It is what `accounts-service explain --json` says, of the configuration that
holds in the process that answers.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address

from flask import Response

from accounts_service.access import log_ins
from accounts_service.access.authenticators import ANONYMOUS
from accounts_service.access.explanations import (
    PrivilegeInQuestion,
    Question,
    RequestInQuestion,
    Told,
    UnexplainedError,
    of_oneself,
    told_document,
)
from accounts_service.access.log_ins import Caller
from accounts_service.access.privileges import LONGEST_ACTION, Open
from accounts_service.access.roles import REALM, Address, Identity, plain
from accounts_service.families.admin import documents
from accounts_service.families.admin.privileges import AdminPrivilege
from accounts_service.faults import BadParameter, NotPermitted, RefusedError
from accounts_service.identifiers import normalized
from accounts_service.web.body import json_response
from accounts_service.web.explaining import notes_on
from accounts_service.web.family import Routes
from accounts_service.web.gate import Call

ROUTES = Routes()

_ONE_EACH = ("principal", "ip", "method", "path", "privilege", "tenant", "host")
_SEVERAL = ("role", "backend_role")
_MOST_ROLES = 100


@ROUTES.route(
    "/_accounts/explain",
    methods=("GET",),
    privilege=Open.ANY_IDENTITY,
    optional=(AdminPrivilege.EXPLAIN_GET,),
    parameters=frozenset((*_ONE_EACH, *_SEVERAL)),
    answers={200: documents.EXPLANATION},
    raises=(NotPermitted, BadParameter),
)
def explain(call: Call) -> Response:
    """Say whether a request would be allowed, or a privilege is held, and why.

    Who names nobody, or himself, is told about himself, by what holds for this
    very request. For anybody else, and for what would be, the privilege is needed.
    """
    may_ask_all = call.allows(AdminPrivilege.EXPLAIN_GET)
    # Before anything else is looked at: who may not ask learns neither who there is nor what is wrong.
    if not may_ask_all and not _is_about_the_caller(call):
        call.refuse(AdminPrivilege.EXPLAIN_GET)
    notes = notes_on(call.services.access.problems, all_of_them=may_ask_all)
    told = _told(call, _question(call), notes)
    if not may_ask_all:
        told = of_oneself(told, is_anybody=call.caller.domain == ANONYMOUS)
    return json_response(told_document(told))


def _told(call: Call, question: Question, notes: Iterable[str]) -> Told:
    principal, caller = _who(call)
    try:
        return call.services.explainer.explain(call.snapshot.rules, principal, caller, question, notes)
    except UnexplainedError as error:
        reason = error.words.format(path="it", method="this method", action="it")
        raise RefusedError(BadParameter(error.parameter, reason)) from None


def _is_about_the_caller(call: Call) -> bool:
    sent = call.request.args
    supposed = any(name in sent for name in ("role", "backend_role", "ip"))
    return not supposed and set(map(normalized, sent.getlist("principal"))) <= {call.caller.name}


def _who(call: Call) -> tuple[str | None, Caller]:
    if _is_about_the_caller(call):
        return call.caller.name, Caller(call.caller, None, ())
    principal, roles, backend_roles = _one(call, "principal"), _all(call, "role"), _all(call, "backend_role")
    if principal is None:
        if not roles or backend_roles:
            raise _wrong("principal", "goes with backend_role and ip, and instead of it stands role")
        return None, log_ins.holder_of(roles, _address(call))
    if roles:
        raise _wrong("role", "stands instead of principal")
    identity = Identity(
        REALM,
        normalized(principal),
        backend_roles=frozenset(map(normalized, backend_roles)),
        address=_address(call),
    )
    return principal, call.snapshot.caller_of(identity)


def _question(call: Call) -> Question:
    method, path, privilege = (_one(call, name) for name in ("method", "path", "privilege"))
    tenant, host = _one(call, "tenant"), _one(call, "host")
    if privilege is not None:
        if not (method is path is host is None):
            raise _wrong("privilege", "stands instead of method, path and host")
        if len(privilege) > LONGEST_ACTION:
            raise _wrong("privilege", f"longer than {LONGEST_ACTION} characters")
        return PrivilegeInQuestion(privilege, tenant)
    if method is None or path is None:
        raise _wrong("path" if path is None else "method", "method and path are needed, or instead privilege")
    if not path.startswith("/"):
        raise _wrong("path", "begins with a slash")
    # What he means who names none is the host that he asks here.
    return RequestInQuestion(method, path, call.request.host if host is None else host, tenant)


def _address(call: Call) -> Address | None:
    sent = _one(call, "ip")
    try:
        return None if sent is None else plain(ip_address(sent))
    except ValueError:
        raise _wrong("ip", "not an IP address") from None


def _one(call: Call, name: str) -> str | None:
    values = _all(call, name)
    if len(values) > 1:
        raise _wrong(name, "given more than once")
    return values[0] if values else None


def _all(call: Call, name: str) -> list[str]:
    values = call.request.args.getlist(name)
    if len(values) > _MOST_ROLES:
        raise _wrong(name, f"given more than {_MOST_ROLES} times")
    return values


def _wrong(name: str, reason: str) -> RefusedError:
    return RefusedError(BadParameter(name, reason))
