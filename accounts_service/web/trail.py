"""What goes on record of a request besides its changes: that it was refused, or that its credentials are not good.

Written when the answer is on its way: nobody waits for it, and how long an
answer takes says nothing about the record.
"""

from __future__ import annotations

from functools import partial

from flask import Flask, Response, g

from accounts_service.access.privileges import Open, Requirement, Scoped, privileges_of
from accounts_service.faults import RefusedError, TokenRefused
from accounts_service.storage.audit import Author
from accounts_service.storage.paths import recorded
from accounts_service.storage.witness import Refusal
from accounts_service.web.errors import sent_path
from accounts_service.web.gate import Call, facts_of, network_of

_UNAUTHORIZED, _FORBIDDEN, _LIMITED = 401, 403, 429


def register(app: Flask) -> None:
    """Record what is answered in `app`."""

    @app.after_request
    def witnessed(response: Response) -> Response:
        if response.status_code not in (_UNAUTHORIZED, _FORBIDDEN, _LIMITED) or "call" not in g:
            return response
        call: Call = g.call
        if response.status_code == _LIMITED and call.unrecognised is None:
            return response  # Another limit than that of log-ins.
        if response.status_code == _FORBIDDEN:
            requirement = _refused(call)
            if requirement is None:
                return response
            refusal = Refusal(call.family.name, _action(requirement), _asked(call))
            author = Author(call.caller.realm, call.caller.name, call.request_id)
            response.call_on_close(partial(call.services.witness.refused, author, refusal))
        elif _has_credentials(call):
            witness = call.services.witness
            response.call_on_close(partial(witness.failed_log_in, call.family.name, _source(call), call.request_id))
        return response


def _refused(call: Call) -> Requirement | None:
    """Say what the caller was refused: what was noted, or else what the route asks for.

    Not only the gate refuses. A store does it for another's object, and a family
    for what its own rules forbid; what it words as a refusal is one. None where
    nobody was recognised, or nothing is asked for.
    """
    if call.refused is not None or call.identity is None or call.route is None:
        return call.refused
    requirement = call.route.requirement
    return None if isinstance(requirement, Open) else requirement


def _action(requirement: Requirement) -> str:
    """Name the privilege that was asked for; of several the one that leads furthest, which is the first but here."""
    if isinstance(requirement, Open):
        raise TypeError("nobody is refused what is open")
    privilege = requirement.every if isinstance(requirement, Scoped) else privileges_of(requirement)[0]
    return privilege.action


def _asked(call: Call) -> str:
    return f"{call.request.method} {recorded(sent_path(call.request))}"


def _has_credentials(call: Call) -> bool:
    """Tell whether a request said who sends it, in a way that its family or a domain of sg_authc.yml looks at."""
    if isinstance(call.unrecognised, TokenRefused) or call.snapshot.reads_who(facts_of(call.request)):
        return True
    keys = [scheme for scheme in call.family.schemes.values() if scheme.get("in") == "header"]
    return any(str(scheme["name"]) in call.request.headers for scheme in keys)


def _source(call: Call) -> str:
    try:
        return network_of(call) or "no address"
    except RefusedError:
        return "an address that is none"
