"""Who was shown secrets in clear: a record before the answer, and one for all that follow within ten minutes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, and_, delete, or_, select

from accounts_service.faults import Json
from accounts_service.storage.audit import AUDIT_REVEAL, Author, Change
from accounts_service.storage.database import RecordedStatement, Store
from accounts_service.storage.lists import listed, texts, upsertion_of_rows
from accounts_service.storage.sealed import Vault
from accounts_service.storage.statements import Statement, Value, given

# For so long who was shown secrets of a version may be shown them again without another record.
WINDOW_S = 10 * 60
# A claim may carry a later time than that of the request which meets it: processes and machines commit in another order
# than that in which they read their clocks. One from later than this was made by a clock that was wrong.
_CLOCKS_DIFFER_S = 60
# So many objects a record lists: who reads or verifies the trail holds many records at once, and a search may show
# thousands.
MOST_LISTED = 100


@dataclass(frozen=True, slots=True)
class Reveal:
    """The secrets of one object in one version. `act`: the action of the privilege that it takes.

    `listed`: what it is called among others, where no person's name may stand,
    since it could not be erased; empty where `object` holds none.
    """

    tenant: str
    act: str
    object: str
    uid: str
    version: int
    listed: str = ""


@dataclass(frozen=True, slots=True)
class Disclosure:
    """Secrets that are about to be shown to `author`, by the answer of one request; `who` names the author keyed."""

    family: str
    author: Author
    who: str
    reveals: tuple[Reveal, ...]


_IS_RECENT = and_(AUDIT_REVEAL.c.at_us > given("since_us"), AUDIT_REVEAL.c.at_us <= given("until_us"))
_RECENT = Statement(
    select(AUDIT_REVEAL).where(
        AUDIT_REVEAL.c.actor == given("actor"), _IS_RECENT, AUDIT_REVEAL.c.uid.in_(texts(given("uids")))
    )
)

_CLAIMED = upsertion_of_rows(AUDIT_REVEAL, ("actor", "at_us"), "listed")
# Of two who show the same at once, the second waits for the first and is given nothing.
_CLAIM = Statement(
    _CLAIMED.on_conflict_do_update(
        index_elements=[*AUDIT_REVEAL.primary_key.columns],
        set_={name: _CLAIMED.excluded[name] for name in ("at_us", "mac")},
        where=or_(AUDIT_REVEAL.c.at_us <= given("since_us"), AUDIT_REVEAL.c.at_us > given("until_us")),
    ).returning(AUDIT_REVEAL.c.uid, AUDIT_REVEAL.c.version)
)
_MADE_UP = Statement(
    delete(AUDIT_REVEAL).where(
        AUDIT_REVEAL.c.actor == given("actor"),
        AUDIT_REVEAL.c.uid == given("uid"),
        AUDIT_REVEAL.c.version == given("version"),
        AUDIT_REVEAL.c.mac == given("mac"),
    )
)
_RECORD = RecordedStatement()
_FORGET = Statement(delete(AUDIT_REVEAL).where(AUDIT_REVEAL.c.at_us <= given("since_us")))


class Reveals(Store):
    """Who was shown what in clear of late."""

    def unrecorded(self, who: str, reveals: Sequence[Reveal]) -> list[Reveal]:
        """Give those of `reveals` that `who` has no recent record of."""
        rows = self._recent(who, reveals)
        recent = {key for key, row in rows.items() if row.mac == self._mac(who, *key, int(row.at_us))}
        return [reveal for reveal in reveals if (reveal.uid, reveal.version) not in recent]

    def record(self, family: str, who: str, reveals: Sequence[Reveal]) -> None:
        """Record those of `reveals` that nobody has recorded meanwhile, for each tenant by itself.

        The record of one object is like that of a change; that of several lists them. Of many there are several.
        """
        # What nobody of us has written keeps nothing out of the trail.
        for (uid, version), row in self._recent(who, reveals).items():
            if row.mac != self._mac(who, uid, version, int(row.at_us)):
                self._session.note(_MADE_UP, actor=who, uid=uid, version=version, mac=row.mac)
        # In one order, so that no two of us hold what the other wants.
        now_us = self._session.now_us
        ordered = sorted((reveal.uid, reveal.version) for reveal in reveals)
        keys = listed((uid, version, self._mac(who, uid, version, now_us)) for uid, version in ordered)
        rows = self._session.note(_CLAIM, actor=who, at_us=now_us, listed=keys, **self._times()).all()
        claimed = {(row.uid, row.version) for row in rows}
        by_tenant: dict[tuple[str, str], list[Reveal]] = {}
        for reveal in reveals:
            if (reveal.uid, reveal.version) in claimed:
                by_tenant.setdefault((reveal.tenant, reveal.act), []).append(reveal)
        for some in by_tenant.values():
            for first in range(0, len(some), MOST_LISTED):
                self._session.write(_change(family, some[first : first + MOST_LISTED]), _RECORD)

    def record_together(self, disclosures: Iterable[Disclosure]) -> None:
        """Record disclosures of several requests; those to one author in one family share their records."""
        shared: dict[tuple[str, str], list[Disclosure]] = {}
        for one in disclosures:
            shared.setdefault((one.who, one.family), []).append(one)
        # In one order, so that no two processes each hold a row that the other waits for.
        for (who, family), some in sorted(shared.items(), key=lambda item: item[0]):
            reveals = dict.fromkeys(reveal for one in some for reveal in one.reveals)
            Reveals(self._session.by(some[0].author)).record(family, who, [*reveals])

    def forget(self) -> None:
        """Delete what is no reason any more to leave a record out."""
        self._session.note(_FORGET, **self._times())

    def _recent(self, who: str, reveals: Sequence[Reveal]) -> dict[tuple[str, int], Row[Any]]:
        uids = listed((reveal.uid,) for reveal in reveals)
        rows = self._session.read(_RECENT, actor=who, uids=uids, **self._times())
        wanted = {(reveal.uid, reveal.version) for reveal in reveals}
        return {(row.uid, row.version): row for row in rows if (row.uid, row.version) in wanted}

    def _mac(self, who: str, uid: str, version: int, at_us: int) -> str:
        return self._session.vault.mac("revealed", who, uid, version, at_us).hex()

    def _times(self) -> dict[str, Value]:
        now_us = self._session.now_us
        return {"since_us": now_us - WINDOW_S * 1_000_000, "until_us": now_us + _CLOCKS_DIFFER_S * 1_000_000}


class Revealing(Store):
    """Base of a store whose changes are answered with secrets."""

    def reveal(self, family: str, author: Author, reveals: Sequence[Reveal]) -> None:
        """Record together with a change that its answer shows secrets."""
        if reveals:
            Reveals(self._session).record(family, who_of(self._session.vault, author), reveals)


def _change(family: str, reveals: Sequence[Reveal]) -> Change:
    first, *others = reveals
    if not others:
        return Change(family, first.tenant, first.act, first.object, first.uid, first.version, {})
    shown: list[Json] = [
        {"object": one.listed or one.object, "uid": one.uid, "version": one.version} for one in reveals
    ]
    return Change(family, first.tenant, first.act, f"{len(reveals)} accounts", "", 0, {"accounts": shown})


def who_of(vault: Vault, author: Author) -> str:
    """Name somebody in the table of reveals, where nobody is to read who it is."""
    return vault.mac("reveal", author.realm, author.name).hex()
