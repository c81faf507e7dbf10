"""Invitations and passwords, which need an identity provider of the service's own: NetBird's 412.

The privilege is checked first and the kinds of the body next, so a caller without the privilege learns nothing more.
"""

from __future__ import annotations

from typing import NoReturn

from flask import Response

from accounts_service.access.privileges import Open, Within
from accounts_service.families.netbird import documents_identity_provider as documents
from accounts_service.families.netbird.privileges import NetBirdPrivilege
from accounts_service.families.netbird.schemas import identity_provider as schemas
from accounts_service.families.netbird.store.tokens import flaw_of_invite
from accounts_service.faults import AgainstTheRules, InvalidBody, Problem, RefusedError, Rule, Unfit
from accounts_service.web import body
from accounts_service.web.family import Body, Routes
from accounts_service.web.gate import Call

ROUTES = Routes()

_INVITES = "/users/invites"
_INVITE = f"{_INVITES}/<invite>"
_ANSWERS = {412: documents.NO_IDENTITY_PROVIDER}
_NO_LINKS = AgainstTheRules(Rule.NO_INVITE_LINKS)


def _invalid(flaw: str) -> InvalidBody:
    # Without the value, which may be a token that was cut off.
    return InvalidBody((Problem(("token",), Unfit(flaw)),))


@ROUTES.route(
    _INVITES,
    methods=("GET",),
    privilege=Within(NetBirdPrivilege.USERS_READ),
    answers=_ANSWERS,
    raises=(_NO_LINKS,),
)
def list_invites(_: Call) -> Response:
    """Refuse to list invitations."""
    raise RefusedError(_NO_LINKS)


@ROUTES.route(
    _INVITES,
    methods=("POST",),
    privilege=Within(NetBirdPrivilege.USERS_CREATE),
    body=Body.ANY_JSON,
    takes=documents.INVITE,
    answers=_ANSWERS,
    raises=(_NO_LINKS,),
)
def create_invite(call: Call) -> Response:
    """Refuse to invite a person by a link."""
    schemas.INVITE.check(call.json)
    raise RefusedError(_NO_LINKS)


@ROUTES.route(
    _INVITE,
    methods=("DELETE",),
    privilege=Within(NetBirdPrivilege.USERS_DELETE),
    answers=_ANSWERS,
    raises=(_NO_LINKS,),
)
def delete_invite(_: Call, invite: str) -> Response:  # noqa: ARG001  # there is none to find by it
    """Refuse to delete an invitation."""
    raise RefusedError(_NO_LINKS)


@ROUTES.route(
    f"{_INVITE}/regenerate",
    methods=("POST",),
    privilege=Within(NetBirdPrivilege.USERS_UPDATE),
    body=Body.ANY_JSON,
    takes=documents.REGENERATION,
    answers=_ANSWERS,
    raises=(_NO_LINKS,),
)
def regenerate_invite(call: Call, invite: str) -> Response:  # noqa: ARG001  # there is none to find by it
    """Refuse to make a new link for an invited person. The body may be left out."""
    if body.has_body(call.request):
        schemas.REGENERATION.check(call.json)
    raise RefusedError(_NO_LINKS)


@ROUTES.route(
    _INVITE,
    methods=("GET",),
    privilege=Open.PUBLIC,
    answers=_ANSWERS,
    raises=(_invalid("invite_length"), _NO_LINKS),
)
def get_invite(_: Call, invite: str) -> Response:
    """Refuse to show an invitation to the person who has its token."""
    _refuse_token(invite)


@ROUTES.route(
    f"{_INVITE}/accept",
    methods=("POST",),
    privilege=Open.PUBLIC,
    body=Body.ANY_JSON,
    takes=documents.ACCEPTANCE,
    answers=_ANSWERS,
    raises=(_invalid("invite_length"), _NO_LINKS),
)
def accept_invite(call: Call, invite: str) -> Response:
    """Refuse to accept an invitation."""
    schemas.ACCEPTANCE.check(call.json)
    _refuse_token(invite)


@ROUTES.route(
    "/users/<user:user_id>/invite",
    methods=("POST",),
    privilege=Within(NetBirdPrivilege.USERS_CREATE),
    answers=_ANSWERS,
    raises=(AgainstTheRules(Rule.NO_INVITATIONS),),
)
def invite_user(_: Call, user_id: str) -> Response:  # noqa: ARG001  # whoever it is
    """Refuse to send another invitation to a person."""
    raise RefusedError(AgainstTheRules(Rule.NO_INVITATIONS))


@ROUTES.route(
    "/users/<user:user_id>/password",
    methods=("PUT",),
    privilege=Open.ANY_IDENTITY,
    body=Body.ANY_JSON,
    takes=documents.PASSWORD,
    answers=_ANSWERS,
    raises=(AgainstTheRules(Rule.NO_PASSWORDS),),
)
def change_password(call: Call, user_id: str) -> Response:  # noqa: ARG001  # whoever it is
    """Refuse to change a password."""
    schemas.PASSWORD.check(call.json)
    raise RefusedError(AgainstTheRules(Rule.NO_PASSWORDS))


def _refuse_token(invite: str) -> NoReturn:
    flaw = flaw_of_invite(invite)
    raise RefusedError(_NO_LINKS if flaw is None else _invalid(flaw))
