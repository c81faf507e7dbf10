"""The audit trail: `/_accounts/audit`, and whether it is as it was written: `/_accounts/audit/verify`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from flask import Response

from accounts_service.families.admin import documents
from accounts_service.families.admin.privileges import AdminPrivilege
from accounts_service.faults import BadParameter, Json, Overloaded, RefusedError
from accounts_service.storage.chain import Head
from accounts_service.storage.findings import Finding
from accounts_service.storage.sealed import Place, Vault
from accounts_service.storage.trail import Record, Trail, Wanted
from accounts_service.storage.verification import verify
from accounts_service.web.body import json_response
from accounts_service.web.family import Routes
from accounts_service.web.gate import Call

ROUTES = Routes()

_AUDIT = "/_accounts/audit"
_PARAMETERS = frozenset(("actor", "object", "action", "from", "to", "tenant", "size", "cursor"))
_SIZE, _LARGEST = 50, 500
_CURSOR = Place("admin", "audit", "cursor")
_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

T = TypeVar("T")


@ROUTES.route(
    _AUDIT,
    methods=("GET",),
    privilege=AdminPrivilege.AUDIT_GET,
    parameters=_PARAMETERS,
    answers={200: documents.AUDIT},
    raises=(BadParameter, Overloaded),
)
def list_audit(call: Call) -> Response:
    """Read the audit trail, the newest record first. With `next` there may be more; ask again with it as `cursor`."""
    asked = call.request.args
    size, wanted = _read(asked, "size", _size) or _SIZE, _wanted(asked, call.services.vault)
    with call.reading(Trail) as trail:
        records = trail.find(wanted, size + 1)
    answer: dict[str, Json] = {"records": [_shown(record) for record in records[:size]]}
    if len(records) > size:
        answer["next"] = call.services.vault.seal_token(_CURSOR, str(records[size - 1].id))
    return json_response(answer)


@ROUTES.route(
    f"{_AUDIT}/verify",
    methods=("GET",),
    privilege=AdminPrivilege.AUDIT_VERIFY,
    parameters=frozenset(("head",)),
    answers={200: documents.VERIFIED},
    raises=(BadParameter, Overloaded),
)
def verify_audit(call: Call) -> Response:
    """Tell whether anybody has changed the trail. All of it is read, so one asks at a time; the next gets 503.

    `head` may be repeated: heads that the log has named, which must still be in the chain.
    """
    try:
        given = [Head.parse(text) for text in call.request.args.getlist("head")]
    except ValueError as error:
        raise RefusedError(BadParameter("head", str(error))) from None
    with call.services.lines.verifying.turn():
        report = verify(call.services.database, call.services.stored, given)
    heads: dict[str, Json] = {head.tenant: str(head) for head in report.heads}
    findings: list[Json] = [_told(finding) for finding in report.findings]
    answer: dict[str, Json] = {"ok": report.ok, "records": report.records, "heads": heads}
    return json_response({**answer, "findings": findings, "more": report.more, "uncompared": report.uncompared})


def _wanted(asked: Mapping[str, str], vault: Vault) -> Wanted:
    actor, thing, act, tenant = (_read(asked, name, _text) for name in ("actor", "object", "action", "tenant"))
    return Wanted(
        actor=actor,
        object=thing,
        act=act,
        tenant=tenant,
        from_us=_read(asked, "from", _moment),
        to_us=_read(asked, "to", _moment),
        before_id=_read(asked, "cursor", lambda text: _place(vault, text)),
    )


def _read(asked: Mapping[str, str], name: str, read: Callable[[str], T]) -> T | None:
    if name not in asked:
        return None
    try:
        return read(asked[name])
    except ValueError as error:
        raise RefusedError(BadParameter(name, str(error))) from None


def _size(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,2}", text) or int(text) > _LARGEST:
        raise ValueError(f"a whole number from 1 to {_LARGEST}")
    return int(text)


def _text(text: str) -> str:
    # PostgreSQL holds no NUL, and asking for one is an error there.
    if "\0" in text:
        raise ValueError("a text without NUL")
    return text


def _moment(text: str) -> int:
    # What Python reads besides, such as weeks, is no RFC 3339.
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9:]{8}(\.[0-9]{1,6})?([Zz]|[+-][0-9]{2}:[0-9]{2})", text):
        raise ValueError("a time as RFC 3339 has it, such as 2026-11-28T12:00:00Z; a + is written %2B")
    try:
        moment = datetime.fromisoformat(text.upper())
    except ValueError:
        raise ValueError("a time that there is") from None
    return (moment - _EPOCH) // _MICROSECOND


def _place(vault: Vault, text: str) -> int:
    found = vault.open_token(_CURSOR, text)
    if found is None:
        raise ValueError("what an answer gave as `next`")
    return int(found)


def _shown(record: Record) -> Json:
    return {
        "id": record.id,
        "number": record.number,
        "at": _time(record.at_us),
        "family": record.family,
        "tenant": record.tenant,
        "realm": record.realm,
        "actor": record.actor,
        "action": record.act,
        "object": record.object,
        "uid": record.uid,
        "version": record.version,
        "detail": _detail(record.detail),
        "request_id": record.request_id,
    }


# What was tampered with must not hide the rest.


def _time(at_us: int | None) -> Json:
    try:
        return None if at_us is None else (_EPOCH + at_us * _MICROSECOND).isoformat(timespec="milliseconds")
    except OverflowError:
        return None


def _detail(text: str | None) -> Json:
    try:
        detail: Json = json.loads(text or "")
        # What we have no way to write: numbers that are none, and halves of characters.
        json.dumps(detail, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        return None
    return detail if isinstance(detail, dict) else None


def _told(finding: Finding) -> Json:
    return {
        "kind": finding.kind.value,
        "tenant": finding.tenant,
        "where": finding.where,
        "sentence": finding.sentence,
    }
