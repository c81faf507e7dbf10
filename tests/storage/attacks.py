"""What somebody does who may write every table of the database, and has neither the keys file nor the log."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, LargeBinary, Row, Table, cast, delete, func, insert, select, update

from accounts_service.families.signals.tables import ACCOUNT, ACCOUNT_BIN, ACCOUNT_REFERENCE, ACCOUNT_VERSION
from accounts_service.families.wavefront.tables import ACCOUNT as WAVEFRONT_ACCOUNT
from accounts_service.families.wavefront.tables import EVERYONE, GROUP, TOKEN
from accounts_service.storage.audit import AUDIT_HEAD, AUDIT_NAME, AUDIT_RECORD, AUDIT_SEGMENT
from accounts_service.storage.seals import Seals
from tests.storage.kit import Bare

R = AUDIT_RECORD.c


@dataclass(frozen=True)
class Scene:
    """A database under attack. `bare` has a session that seals, as the job does, whatever it finds."""

    drawn: random.Random
    bare: Bare

    @property
    def db(self) -> Connection:
        connection: Connection = self.bare.session.connection
        return connection

    def records(self, tenant: str | None = None) -> list[Row[Any]]:
        query = select(AUDIT_RECORD).where(R.number.is_not(None)).order_by(R.tenant, R.number)
        return list(self.db.execute(query if tenant is None else query.where(R.tenant == tenant)))

    def any_record(self, tenant: str | None = None) -> Row[Any]:
        return self.drawn.choice(self.records(tenant))

    def change(self, row: Row[Any], **values: object) -> None:
        self.db.execute(update(AUDIT_RECORD).where(R.id == row.id).values(**values))

    def remove(self, *rows: Row[Any]) -> None:
        self.db.execute(delete(AUDIT_RECORD).where(R.id.in_([row.id for row in rows])))

    def set_head(self, row: Row[Any]) -> None:
        moved = update(AUDIT_HEAD).where(AUDIT_HEAD.c.tenant == row.tenant)
        self.db.execute(moved.values(number=row.number, link=row.link))

    def seal(self) -> None:
        Seals(self.bare.session).seal()

    def noise(self, length: int = 32) -> bytes:
        return self.drawn.randbytes(length)


COLUMNS = [column.name for column in AUDIT_RECORD.columns]


def edit(scene: Scene) -> None:
    """Another value in any column of any record."""
    row, name = scene.any_record(), scene.drawn.choice(COLUMNS)
    old = row._mapping[name]
    value: object
    if isinstance(old, bytes):
        at = scene.drawn.randrange(len(old))
        value = scene.drawn.choice((old[:at] + bytes([old[at] ^ 1]) + old[at + 1 :], scene.noise(), b""))
    elif isinstance(old, int):
        value = old + scene.drawn.choice((1, 1000, 10**9)) if name in {"id", "number"} else old + 1
        if name in {"id", "number"} and value in {one._mapping[name] for one in scene.records()}:
            value = old + 10**9
    else:
        others = {one._mapping[name] for one in scene.records()} - {old}
        value = scene.drawn.choice([old + "x", "", *sorted(others)])
        # A tenant that is there has a record of that number already, and the database says no.
        value = old + "x" if value == old or name == "tenant" else value
    scene.change(row, **{name: value})


def unnumber(scene: Scene) -> None:
    """One record of the middle that was never sealed, as it seems."""
    scene.change(scene.drawn.choice(scene.records("")[:-1]), number=None, link=None)


def drop(scene: Scene) -> None:
    """One record less."""
    scene.remove(scene.any_record())


def swap(scene: Scene) -> None:
    """Two records in each other's place, links and all."""
    one, other = scene.drawn.sample(scene.records(""), 2)
    scene.change(one, number=10**9)
    scene.change(other, number=one.number, link=one.link)
    scene.change(one, number=other.number, link=other.link)


def cut(scene: Scene) -> None:
    """The newest records less."""
    rows = scene.records(scene.drawn.choice(("", "hr")))
    scene.remove(*rows[-scene.drawn.randint(1, len(rows) - 1) :])


def cut_and_reset(scene: Scene) -> None:
    """The newest records less, and the head of that time."""
    rows = scene.records(scene.drawn.choice(("", "hr")))
    kept = scene.drawn.randint(1, len(rows) - 1)
    scene.remove(*rows[kept:])
    scene.set_head(rows[kept - 1])


def forget_the_newest(scene: Scene) -> None:
    """The newest record and what it was of."""
    rows = scene.records("")
    scene.remove(rows[-1])
    scene.set_head(rows[-2])


def renumber(scene: Scene) -> None:
    """One record less, and numbers and links made anew as well as he can."""
    rows = scene.records("")
    at = scene.drawn.randrange(len(rows) - 1)
    scene.remove(rows[at])
    link = b""
    for number, row in enumerate(rows[at + 1 :], rows[at].number):
        link = scene.noise()
        scene.change(row, number=number, link=link)
    scene.db.execute(update(AUDIT_HEAD).where(AUDIT_HEAD.c.tenant == "").values(number=number, link=link))


def have_it_sealed_anew(scene: Scene) -> None:
    """One record less, the head of that time, and the later ones for the job to seal again: a whole chain."""
    rows = scene.records("")
    at = scene.drawn.randrange(1, len(rows) - 1)
    scene.remove(rows[at])
    for row in rows[at + 1 :]:
        scene.change(row, number=None, link=None)
    scene.set_head(rows[at - 1])
    scene.seal()


def all_anew(scene: Scene) -> None:
    """A chain from the beginning, of what he lets stand."""
    rows = scene.records("")
    scene.remove(scene.drawn.choice(rows))
    scene.db.execute(update(AUDIT_RECORD).where(R.tenant == "").values(number=None, link=None))
    scene.db.execute(delete(AUDIT_HEAD).where(AUDIT_HEAD.c.tenant == ""))
    scene.seal()


def old_head(scene: Scene) -> None:
    """A head that there once was."""
    scene.set_head(scene.drawn.choice(scene.records("")[:-1]))


def no_head(scene: Scene) -> None:
    """No head at all."""
    scene.db.execute(delete(AUDIT_HEAD))


def own_head(scene: Scene) -> None:
    """A head of his own."""
    values = scene.drawn.choice(({"number": 10**6}, {"link": scene.noise()}))
    scene.db.execute(update(AUDIT_HEAD).values(values))


def forge_a_segment(scene: Scene) -> None:
    """The oldest records less, and a segment that says that they were old."""
    rows = scene.records("")
    last = rows[scene.drawn.randrange(len(rows) - 1)]
    scene.db.execute(delete(AUDIT_RECORD).where(R.tenant == "", R.number <= last.number))
    mac = scene.db.execute(select(AUDIT_SEGMENT.c.mac)).scalar() if scene.drawn.random() < 0.5 else scene.noise()
    values = {"tenant": "", "first": 1, "last": last.number, "link": last.link, "removed_us": 1, "mac": mac}
    scene.db.execute(insert(AUDIT_SEGMENT).values(values))


def stretch_a_segment(scene: Scene) -> None:
    """A genuine segment that takes more with it."""
    row = scene.records("hr")[0]
    scene.remove(row)
    scene.db.execute(update(AUDIT_SEGMENT).values(last=row.number, link=row.link))


def edit_a_segment(scene: Scene) -> None:
    """Another value in a segment, or no segment."""
    name = scene.drawn.choice(("first", "last", "removed_us", "tenant", "link", "mac", ""))
    value: object = {"tenant": "x", "link": scene.noise(), "mac": scene.noise()}.get(name, 7)
    scene.db.execute(update(AUDIT_SEGMENT).values({name: value}) if name else delete(AUDIT_SEGMENT))


def remove_a_chain(scene: Scene) -> None:
    """Nothing left of a tenant in the trail."""
    for table in (AUDIT_RECORD, AUDIT_HEAD, AUDIT_SEGMENT):
        scene.db.execute(delete(table).where(table.c.tenant == "hr"))


def remove_a_tenant(scene: Scene) -> None:
    """Nothing left of a tenant at all."""
    remove_a_chain(scene)
    for table in (ACCOUNT, ACCOUNT_VERSION, ACCOUNT_BIN):
        scene.db.execute(delete(table).where(table.c.tenant == "hr"))


def _any_name(scene: Scene) -> Row[Any]:
    return scene.drawn.choice(list(scene.db.execute(select(AUDIT_NAME).order_by(AUDIT_NAME.c.ref))))


def take_a_name(scene: Scene) -> None:
    """One name less."""
    scene.db.execute(delete(AUDIT_NAME).where(AUDIT_NAME.c.ref == _any_name(scene).ref))


def edit_a_name(scene: Scene) -> None:
    """Another name, or the name of something else."""
    row = _any_name(scene)
    name = scene.drawn.choice(("name", "kind", "ref"))
    here = update(AUDIT_NAME).where(AUDIT_NAME.c.ref == row.ref)
    scene.db.execute(here.values({name: row._mapping[name] + "x"}))


def swap_names(scene: Scene) -> None:
    """Who did it is another."""
    one, other = scene.drawn.sample(list(scene.db.execute(select(AUDIT_NAME).order_by(AUDIT_NAME.c.ref))), 2)
    for row, new in ((one, other), (other, one)):
        values = {"name": new.name, "kind": new.kind, "space": new.space}
        scene.db.execute(update(AUDIT_NAME).where(AUDIT_NAME.c.ref == row.ref).values(values))


def copy(scene: Scene) -> None:
    """A record once more, sealed like any other."""
    values = {**scene.any_record()._mapping, "number": None, "link": None}
    values["id"] = scene.db.execute(select(func.max(R.id))).scalar_one() + 1
    scene.db.execute(insert(AUDIT_RECORD).values(values))
    scene.seal()


def other_version(scene: Scene) -> None:
    """An account that has another version than anybody gave it."""
    step = scene.drawn.choice((-1, 1))
    row = scene.drawn.choice(list(scene.db.execute(select(ACCOUNT).order_by(ACCOUNT.c.uid))))
    scene.db.execute(update(ACCOUNT).where(ACCOUNT.c.uid == row.uid).values(version=row.version + step))


def _of(row: Row[Any], table: Table) -> dict[str, Any]:
    """Return what a row has of the columns of a table."""
    return {name: value for name, value in row._mapping.items() if name in table.columns}


def one_more_version(scene: Scene) -> None:
    """An account that was changed past the service, its version row included."""
    row = scene.drawn.choice(list(scene.db.execute(select(ACCOUNT).order_by(ACCOUNT.c.uid))))
    values = {**_of(row, ACCOUNT_VERSION), "version": row.version + 1}
    scene.db.execute(update(ACCOUNT).where(ACCOUNT.c.uid == row.uid).values(version=row.version + 1))
    scene.db.execute(insert(ACCOUNT_VERSION).values({**values, "at_us": 1}))


def own_account(scene: Scene) -> None:
    """An account that nobody made."""
    values = {"uid": "u", "tenant": "", "type": "email", "name": "x", "attributes": "{}", "secrets": "{}"}
    scene.db.execute(insert(ACCOUNT).values({**values, "version": 1}))


def no_account(scene: Scene) -> None:
    """An account that is gone without anybody having deleted it, and its versions, too."""
    row = scene.drawn.choice(list(scene.db.execute(select(ACCOUNT).order_by(ACCOUNT.c.uid))))
    scene.db.execute(delete(ACCOUNT_REFERENCE).where(ACCOUNT_REFERENCE.c.account_uid == row.uid))
    scene.db.execute(delete(ACCOUNT_VERSION).where(ACCOUNT_VERSION.c.uid == row.uid))
    scene.db.execute(delete(ACCOUNT).where(ACCOUNT.c.uid == row.uid))


def back_from_the_bin(scene: Scene) -> None:
    """A deletion undone past the service."""
    row = scene.db.execute(select(ACCOUNT_BIN)).first()
    assert row is not None
    scene.db.execute(insert(ACCOUNT).values({**_of(row, ACCOUNT), "name": "back"}))
    scene.db.execute(delete(ACCOUNT_BIN).where(ACCOUNT_BIN.c.uid == row.uid))


def empty_the_bin(scene: Scene) -> None:
    """A deletion that cannot be undone."""
    scene.db.execute(delete(ACCOUNT_BIN))


def elsewhere(scene: Scene) -> None:
    """An account, or one of its versions, that has another name or tenant, and so other readers."""
    values = scene.drawn.choice(({"name": "stolen"}, {"tenant": "mine"}, {"type": "webhook"}))
    table = scene.drawn.choice((ACCOUNT, ACCOUNT_BIN, ACCOUNT_VERSION))
    row = scene.drawn.choice(list(scene.db.execute(select(table).where(table.c.version > 0).order_by(table.c.uid))))
    scene.db.execute(update(table).where(table.c.uid == row.uid, table.c.version == row.version).values(values))


def own_token(scene: Scene) -> None:
    """A token that nobody made, of an account that nobody made either."""
    version = scene.drawn.choice((0, -1, 1, 2))
    account = {"uid": "u", "identifier": "x@y.z", "folded": "x@y.z", "kind": "user", "active": 1, "created_us": 1}
    scene.db.execute(insert(WAVEFRONT_ACCOUNT).values({**account, "version": version}))
    token = {"uid": "t", "account_uid": "u", "number": 1, "digest": "d", "sealed": "s", "created_us": 1}
    scene.db.execute(insert(TOKEN).values({**token, "version": version}))


def own_system_group(scene: Scene) -> None:
    """A system group that is not as the service made it."""
    values = scene.drawn.choice(({"name": "x"}, {"version": 0}, {"version": 2}, {"system": ""}))
    scene.db.execute(update(GROUP).where(GROUP.c.system == EVERYONE).values(values))


def hide_names(scene: Scene) -> None:
    """Names that no search of the trail finds any more."""
    scene.db.execute(update(AUDIT_NAME).values(space=AUDIT_NAME.c.space + "x"))


def hide_a_record(scene: Scene) -> None:
    """A record that is equal to nothing, its bytes and so its MAC as they were."""
    if scene.db.dialect.name != "sqlite":
        return no_account(scene)  # PostgreSQL has types.
    name = scene.drawn.choice(("act", "uid", "tenant", "actor", "object", "detail", "family"))
    scene.change(scene.any_record(), **{name: cast(R[name], LargeBinary)})
    return None


# What can be seen in the database alone.
PLAIN: tuple[Callable[[Scene], None], ...] = (
    *(edit,) * 4,
    unnumber,
    drop,
    swap,
    cut,
    renumber,
    old_head,
    no_head,
    own_head,
    forge_a_segment,
    stretch_a_segment,
    edit_a_segment,
    remove_a_chain,
    take_a_name,
    edit_a_name,
    swap_names,
    copy,
    other_version,
    one_more_version,
    own_account,
    no_account,
    back_from_the_bin,
    empty_the_bin,
    *(elsewhere,) * 2,
    own_token,
    own_system_group,
    hide_names,
    hide_a_record,
)
# What puts an old state back, so that only who kept a later head can know.
BACK: tuple[Callable[[Scene], None], ...] = (
    cut_and_reset,
    forget_the_newest,
    have_it_sealed_anew,
    all_anew,
    remove_a_tenant,
)
