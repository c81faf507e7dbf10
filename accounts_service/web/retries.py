"""Requests that may be sent again: the Idempotency-Key of a change (draft-ietf-httpapi-idempotency-key-header-07).

A key counts for one caller and one method, path and tenant. Its row is written
first in the transaction of the change, and the sealed answer last, so what was
done and what was answered are there together or not at all; who comes with the
same key meanwhile waits for the row. A view knows nothing of it.

Views that change nothing open no transaction, and are answered anew.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import astuple
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from flask import Response

from accounts_service.access.privileges import Everything, Grant, Nothing, Open, Own, Scope, Tenants
from accounts_service.faults import (
    BadHeader,
    KeyReused,
    NotPermitted,
    Overloaded,
    RefusedError,
    StillRunning,
)
from accounts_service.storage.audit import Author
from accounts_service.storage.database import Store
from accounts_service.storage.idempotency import Answers, Kept, place_of
from accounts_service.storage.reveals import Reveal
from accounts_service.web import body
from accounts_service.web.family import Body

if TYPE_CHECKING:
    from accounts_service.web.gate import Call

S = TypeVar("S", bound=Store)

KEY = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"

_LONGEST = 255
# Visible characters, as they are or as a string of RFC 9651 (section 3.3.3).
_BARE = re.compile(r"[\x21\x23-\x7e][\x21-\x7e]*\Z")
_QUOTED = re.compile(r'"((?:[\x21\x23-\x5b\x5d-\x7e]|\\["\\])+)"\Z')


class _ReplayedError(Exception):
    """There is an answer already; raised out of the view, which must not run."""

    def __init__(self, kept: Kept) -> None:
        super().__init__()
        self.kept = kept


def key_of(call: Call) -> str | None:
    """Read the key of a request; None without one, and where it says nothing. Raises RefusedError(BadHeader)."""
    if call.route is None or not call.route.takes_keys(call.request.method) or KEY not in call.request.headers:
        return None
    if KEY.lower() in call.repeated:
        raise RefusedError(BadHeader(KEY, "sent more than once"))
    sent = call.request.headers[KEY]
    quoted = _QUOTED.match(sent)
    key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else sent
    if not (quoted or _BARE.match(sent)) or len(key) > _LONGEST:
        raise RefusedError(BadHeader(KEY, f"not 1 to {_LONGEST} visible ASCII characters, as they are or in quotes"))
    return key


class Retry:
    """A request that has a key: answered once, and from then on with the same answer."""

    def __init__(self, call: Call, key: str) -> None:
        vault, caller = call.services.vault, call.caller
        # `own`: who was deleted and made again under his name is another.
        who = (caller.realm, caller.name, caller.own or "")
        what = (call.family.name, call.request.method, call.sent_uri, call.tenant or "")
        self._call = call
        self._digest = vault.mac("idempotency", *who, *what, key).hex()
        self._body = vault.mac("idempotency-body", self._digest, _sent(call)).hex()
        self._stack = ExitStack()
        self._answers: Answers | None = None

    def answer(self, view: Callable[[], Response]) -> Response:
        """Run a view, or give the answer of the request before.

        Raises what the view does, and RefusedError: KeyReused, StillRunning, or
        NotPermitted for who may less now than when he was answered.
        """
        kept = self._kept()
        if kept is not None:
            return self._replay(kept)
        with self._call.services.running.having(self._digest):
            try:
                return self._run(view)
            except _ReplayedError as replayed:
                return self._replay(replayed.kept)
            except RefusedError:
                # Perhaps for what the same request has just done: its view looks at much before it begins to write.
                kept = self._kept()
                if kept is None:
                    raise
                return self._replay(kept)

    @contextmanager
    def transaction(self, store: type[S], author: Author) -> Iterator[S]:
        """Open a store for a transaction that is committed with the answer. Raises as Database.transaction does."""
        if self._answers is not None:
            raise RuntimeError("a view opens one transaction")
        answers = self._entered(author)
        kept = answers.claim(self._digest, self._body)
        if kept is not None:
            raise _ReplayedError(kept)
        self._answers = answers
        try:
            yield answers.beside(store)
        except BaseException:
            # At once, and not when the view is left: what it makes of this must not be committed.
            self._answers = None
            with self._stack.pop_all():
                raise

    def _entered(self, author: Author) -> Answers:
        try:
            return self._stack.enter_context(self._call.services.database.transaction(Answers, author))
        except RefusedError as error:
            # On SQLite all writers wait in one line. Whom one waits for there is known within one process only.
            if isinstance(error.fault, Overloaded) and self._call.services.running.are_several(self._digest):
                raise RefusedError(StillRunning()) from error
            raise

    def _run(self, view: Callable[[], Response]) -> Response:
        self._answers = None
        self._call.revealed.clear()
        with ExitStack() as self._stack:
            response = view()
            self._settle(response)
        return response

    def _settle(self, response: Response) -> None:
        if self._answers is None:
            return
        if response.status_code // 100 == 2:  # RFC 9110 section 15.3
            self._answers.keep(self._digest, json.dumps(self._written(response)))
        else:
            self._answers.release(self._digest)

    def _kept(self) -> Kept | None:
        return self._call.asked(Answers, lambda answers: answers.find(self._digest))

    # -- Answers --------------------------------------------------------------

    def _written(self, response: Response) -> dict[str, Any]:
        return {
            "status": response.status_code,
            "headers": [[name, value] for name, value in response.headers if name != "Content-Length"],
            "body": response.get_data(as_text=True),
            "grant": _written(self._call.grant),
            "held": sorted(self._held()),
            "revealed": [astuple(one) for one in self._call.revealed],
        }

    def _replay(self, kept: Kept) -> Response:
        if not hmac.compare_digest(kept.body, self._body):
            raise RefusedError(KeyReused())
        if kept.sealed is None:
            raise RefusedError(StillRunning())
        answer = json.loads(self._call.services.vault.open(place_of(self._digest), kept.sealed))
        if not _covers(self._call.grant, answer["grant"]) or not self._held().issuperset(answer["held"]):
            self._refuse(answer["held"])
        self._reveal([Reveal(*one) for one in answer.get("revealed", ())])
        response = Response(answer["body"], answer["status"], [(name, value) for name, value in answer["headers"]])
        response.headers[REPLAYED] = "true"
        return response

    def _reveal(self, reveals: Sequence[Reveal]) -> None:
        """Record what is shown once more; raises as Witness.shown does."""
        call = self._call
        author = Author(call.caller.realm, call.caller.name, call.request_id)
        if reveals:
            call.services.witness.shown(call.family.name, author, reveals)

    def _refuse(self, then: Iterable[str]) -> NoReturn:
        lost = set(then) - self._held()
        asked = () if self._call.route is None else (self._call.route.requirement,)
        # Of what is open to everybody nobody was refused more than what he has lost since.
        for requirement in (*asked, *(one for one in self._call.family.privileges if one.action in lost)):
            if not isinstance(requirement, Open):
                self._call.refuse(requirement)
        raise RefusedError(NotPermitted())

    def _held(self) -> frozenset[str]:
        # Stores have rules that look at more than the privilege of the route.
        return frozenset(one.action for one in self._call.family.privileges if self._call.allows(one))


def _sent(call: Call) -> bytes:
    if call.route is None or call.route.body is Body.NONE or not body.has_body(call.request):
        return b""
    return call.sent


def _written(grant: Grant) -> dict[str, Any]:
    privilege = None if grant.privilege is None else grant.privilege.action
    return {"privilege": privilege, "scope": _scope(grant.scope), "also": sorted(one.action for one in grant.also)}


def _scope(scope: Scope) -> list[str]:
    match scope:
        case Everything():
            return ["everything"]
        case Tenants(names):
            return ["tenants", *sorted(names)]
        case Own(identifier):
            return ["own", identifier]
        case Nothing():
            return ["nothing"]


def _covers(now: Grant, then: dict[str, Any]) -> bool:
    """Tell whether who is granted `now` may see what was answered under the grant of `then`."""
    written = _written(now)
    if not set(written["also"]).issuperset(then["also"]):
        return False
    if isinstance(now.scope, Everything):
        return True
    if isinstance(now.scope, Tenants) and then["scope"][0] == "tenants":
        within = now.scope.names.issuperset(then["scope"][1:])
    else:
        within = written["scope"] == then["scope"]
    return within and written["privilege"] == then["privilege"]
