"""The audit trail over HTTP: `/_accounts/audit` and `/_accounts/audit/verify`."""

from __future__ import annotations

from functools import partial
from urllib.parse import quote

import pytest
from sqlalchemy import delete, func, insert, select, true, update

from accounts_service.app import STORED
from accounts_service.families.mention.tables import ACCOUNT as MENTION_ACCOUNT
from accounts_service.families.netbird.tables import TOKEN as NETBIRD_TOKEN
from accounts_service.families.netbird.tables import USER as NETBIRD_USER
from accounts_service.families.signals import examples
from accounts_service.families.wavefront.tables import ACCOUNT as WAVEFRONT_ACCOUNT
from accounts_service.faults import Json
from accounts_service.jobs.seal import Trail
from accounts_service.storage.audit import AUDIT_HEAD, AUDIT_RECORD, Author
from accounts_service.storage.database import Session, SqliteDatabase
from accounts_service.storage.findings import Kind
from accounts_service.storage.names import ERASE, Names
from accounts_service.storage.seals import Seals
from accounts_service.storage.tables import METADATA
from accounts_service.storage.verification import Verification, verify
from tests.support import mention, netbird, wavefront
from tests.support.lines import occupied
from tests.support.service import Service

TRAIL = "/_accounts/audit"
PUT, DELETE = (f"cluster:admin:searchguard:signals:account/{verb}" for verb in ("put", "delete"))

SLACK = examples.GOOD["slack"]


def read(service: Service, query: str = "") -> list[dict[str, Json]]:
    answer = service.get(f"{TRAIL}?{query}")
    assert answer.status_code == 200
    records: list[dict[str, Json]] = answer.json["records"]
    return records


def test_the_newest_record_comes_first_with_its_names(service: Service) -> None:
    service.put("/_signals/account/slack/one", SLACK)
    service.delete("/_signals/account/slack/one", by="manager", headers={"X-Request-ID": "request-77"})
    newest, oldest = read(service)
    told = ("actor", "realm", "action", "object", "tenant", "version", "number", "request_id")
    assert [newest[name] for name in told] == [
        "manager", "sg_authc", DELETE, "slack/one", "", 2, None, "request-77",
    ]  # fmt: skip
    assert (oldest["actor"], oldest["version"], oldest["uid"]) == ("admin", 1, newest["uid"])
    assert oldest["detail"] == {"changed": [], "created": True, "secrets_changed": ["url"]}
    Trail(service.services.database, None).seal(lambda: False)
    assert [record["number"] for record in read(service)] == [2, 1]


def test_records_can_be_asked_for_by_who_what_whom_where_and_when(service: Service) -> None:
    service.put("/_signals/account/slack/one", SLACK)
    service.put("/_signals/account/blue/slack/one", SLACK)
    service.put("/_signals/account/slack/two", SLACK, by="manager")
    service.delete("/_signals/account/slack/one")
    moments = [str(record["at"]) for record in read(service)]
    for query, versions in {
        "actor=manager": ["slack/two"],
        "actor=nobody": [],
        "object=slack/one": ["slack/one", "slack/one"],
        f"object=slack/one&action={DELETE}": ["slack/one"],
        f"action={PUT}": ["slack/two", "slack/one"],
        "tenant=blue": ["blue/slack/one"],
        "tenant=&actor=admin": ["slack/one", "slack/one"],
        "to=1999-01-01T00:00:00Z": [],
        "from=1999-01-01t00:00:00%2B02:00": ["slack/one", "slack/two", "blue/slack/one", "slack/one"],
        f"from={quote(moments[0])}&to=9999-12-31T23:59:59.5-01:00": ["slack/one"],
    }.items():
        found = [record["object"] for record in read(service, query)]
        assert found[-1 if query.startswith(f"from={quote(moments[0])}") else 0 :] == versions, query


def test_a_page_says_where_the_next_begins(service: Service) -> None:
    for name in "abcde":
        service.put(f"/_signals/account/slack/{name}", SLACK)
    seen, query = [], "size=2"
    while True:
        answer = service.get(f"{TRAIL}?{query}").json
        seen.append([record["object"] for record in answer["records"]])
        if "next" not in answer:
            break
        query = f"size=2&cursor={answer['next']}"
    assert seen == [["slack/e", "slack/d"], ["slack/c", "slack/b"], ["slack/a"]]


@pytest.mark.any_database
@pytest.mark.parametrize(
    "query",
    ("size=0", "size=501", "size=x", "cursor=7", "from=2026", "to=2026-02-30T00:00:00Z", "to=2026-11-28T12:00:00",
     "actor=a%00", "tenant=%00"),
)  # fmt: skip
def test_a_bad_parameter_is_named(service: Service, query: str) -> None:
    answer = service.get(f"{TRAIL}?{query}")
    assert answer.status_code == 400
    assert answer.json["detail"].startswith(query.partition("=")[0] + ": ")


def test_who_was_erased_is_nobody(service: Service) -> None:
    service.put("/_signals/account/slack/one", SLACK, by="manager")
    database = service.services.database
    assert database.written(Names, Author("command", "root", "r"), lambda names: names.erase("manager")) == 1
    erasure, record = read(service)
    assert (erasure["action"], erasure["actor"], erasure["object"]) == (ERASE, "root", "names")
    assert "manager" not in str(erasure)
    assert (record["actor"], record["object"]) == (None, "slack/one")
    assert service.get(f"{TRAIL}/verify").json["ok"] is True


def test_verifying_seals_and_tells_heads_and_what_is_wrong(service: Service) -> None:
    service.put("/_signals/account/slack/one", SLACK)
    service.put("/_signals/account/blue/slack/one", SLACK)
    first = service.get(f"{TRAIL}/verify").json
    assert (first["ok"], first["records"], first["findings"], first["more"]) == (True, 2, [], 0)
    assert set(first["heads"]) == {"", "blue"}
    heads = "&".join(f"head={quote(head)}" for head in first["heads"].values())
    service.put("/_signals/account/slack/one", SLACK)
    assert service.get(f"{TRAIL}/verify?{heads}").json["ok"] is True
    answer = service.get(f"{TRAIL}/verify?head=9:{'ab' * 32}@blue").json
    assert answer["findings"] == [
        {
            "kind": "head",
            "tenant": "blue",
            "where": "number 9",
            "sentence": "there was a record of this number, and now 1 is the last",
        }
    ]
    with service.services.database.begin() as connection:
        connection.execute(update(AUDIT_RECORD).where(AUDIT_RECORD.c.number == 2).values(detail="no JSON"))
    answer = service.get(f"{TRAIL}/verify").json
    assert (answer["ok"], [finding["kind"] for finding in answer["findings"]]) == (False, ["record"])
    # What was tampered with can still be read.
    assert [record["detail"] for record in read(service, "size=1")] == [None]
    assert service.get(f"{TRAIL}/verify?head=nonsense").status_code == 400


def test_one_verifies_at_a_time(service: Service) -> None:
    with occupied(service.services.lines.verifying):
        answer = service.get(f"{TRAIL}/verify")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert service.get(f"{TRAIL}/verify").status_code == 200


def test_what_there_is_to_seal_is_asked_without_keeping_anybody_from_writing(service: Service) -> None:
    service.put("/_signals/account/slack/one", SLACK)
    with service.services.database.reading(Seals) as seals:
        assert seals.is_needed()


def test_the_rows_of_every_family_are_where_the_records_have_them(service: Service) -> None:
    database = service.services.database
    netbird.furnish(service.services)
    mention.furnish(service.services)
    with database.begin() as connection:  # Whom the fixture itself has given another id.
        connection.execute(delete(MENTION_ACCOUNT).where(MENTION_ACCOUNT.c.id == mention.JOHN))
    wavefront.admin_of(service)
    wavefront.token_of(service, "other@example.com")
    assert verify(database, STORED).ok
    moves = (
        update(NETBIRD_TOKEN).values(user_id=select(func.min(NETBIRD_USER.c.id)).scalar_subquery()),
        update(WAVEFRONT_ACCOUNT).values(identifier=WAVEFRONT_ACCOUNT.c.identifier + "x"),
        update(NETBIRD_USER).values(uid=NETBIRD_USER.c.uid + "x"),
        update(MENTION_ACCOUNT).values(uid=MENTION_ACCOUNT.c.uid + "x"),
    )
    for move in moves:
        with database.begin() as connection:
            connection.execute(move)
            report = Verification(Session(connection, service.services.vault, None, database.now_us())).check(STORED)
            assert {finding.kind for finding in report.findings} == {Kind.VERSION}, move
            connection.exec_driver_sql("ROLLBACK")
            connection.exec_driver_sql("BEGIN")


def test_what_is_no_value_of_its_kind_is_found_and_hides_nothing_else(service: Service) -> None:
    """Of SQLite whatever it takes for a value; of both what is too deep, too large or no character."""
    for name in ("one", "two"):
        service.put(f"/_signals/account/slack/{name}", SLACK)
        service.put(f"/_signals/account/slack/{name}", SLACK)
    database = service.services.database
    assert verify(database, STORED).ok
    deep = "[" * 50_000
    damages = [
        (f"audit_record SET detail = '{deep}'", "record"),
        ("""audit_record SET detail = '{"a": NaN}'""", "record"),
        ("""audit_record SET detail = '{"a": "\\ud800"}'""", "record"),
        ("audit_record SET at_us = 9000000000000000000", "record"),
        ("audit_record SET version = 9223372036854775807", "record"),
        ("signals_account SET version = 9223372036854775807", "version"),
        ("audit_head SET number = 9223372036854775807", "head"),
    ]
    if isinstance(database, SqliteDatabase):
        damages += [
            *((f"audit_record SET {name} = CAST({name} AS BLOB)", "record") for name in ("act", "uid", "tenant")),
            ("audit_record SET version = 'abc', uid = 'u'", "record"),
            ("audit_record SET link = 'abc'", "record"),
            ("audit_record SET request_id = CAST(x'ff' AS TEXT)", "record"),
            ("audit_record SET number = 'abc'", "record"),
            ("audit_head SET link = 'abc'", "head"),
            ("audit_head SET tenant = x'00'", "head"),
            ("audit_name SET name = CAST(name AS BLOB)", "name"),
            ("signals_account SET version = 'abc'", "version"),
            ("signals_account SET name = CAST(name AS BLOB)", "version"),
        ]
    for damage, kind in damages:
        table = METADATA.tables[damage.partition(" ")[0]]
        key = next(iter(table.primary_key.columns))
        with database.begin() as connection:
            kept = connection.execute(select(table).order_by(key.desc())).mappings().first()
            assert kept is not None
            connection.exec_driver_sql(f"UPDATE {damage} WHERE {key.name} = '{kept[key.name]}'")  # ours
        found = service.get(f"{TRAIL}/verify")
        assert found.status_code == 200, damage
        assert kind in {finding["kind"] for finding in found.json["findings"]}, damage
        assert len(read(service)) >= 3, damage
        with database.begin() as connection:
            this = true() if table is AUDIT_HEAD else key == kept[key.name]
            connection.execute(delete(table).where(this))
            connection.execute(insert(table).values(**kept))
    assert verify(database, STORED).ok


def test_whoever_was_erased_is_not_found_any_more_nor_named_by_what_was_refused(service: Service) -> None:
    service.put("/_signals/account/slack/jane", SLACK, by="manager")
    for path in ("slack/jane@corp.example", "slack/jane%40corp.example", "slack/jane@corp.example.bak"):
        # Buffered, since it is recorded once the answer is out.
        answer = service.get(f"/_signals/account/{path}", by="stranger", buffered=True)
        assert answer.status_code == 403
    database = service.services.database
    assert len(read(service, "actor=manager")) == 1
    database.written(Names, Author("a", "b", "c"), lambda names: names.erase("manager", ("actor",)))
    assert read(service, "actor=manager") == []
    database.written(Names, Author("a", "b", "c"), lambda names: names.erase("jane@corp.example"))
    named = [record["object"] for record in read(service) if str(record["action"]).endswith("/refused")]
    assert len(named) == 3
    assert [str(one).endswith(".bak") for one in named if one is not None] == [True]
    assert verify(database, STORED).ok


def test_whoever_was_erased_is_in_no_path_however_it_was_written_or_cut(service: Service) -> None:
    uuid, long, longest = "11111111-2222-3333-4444-555555555555", "x" * 320, "jane" * 125
    asked = (
        "/_signals/account/slack/%6Aane+doe@corp.example",
        "/_signals/account/slack/jane+doe%40corp.example/_versions",
        "/_signals/account/slack/jane%2bdoe%2540corp%2Eexample",
        f"/_signals/account/slack/jane%2Bdoe%40corp.example-{uuid}",
        f"/_signals/account/{long.replace('x', '%78')}/slack/jane+doe@corp.example",
        f"/_signals/account/{'x' * 500}/slack/{longest}",
        "/_signals/account/blue/slack/Jane%20Doe",
        "/_signals/account/blue/slack/Jane+Doe",
    )
    for path in asked:
        assert service.get(path, by="stranger", buffered=True).status_code == 403
    use = "/_accounts/references/signals/slack/jane+doe@corp.example/watch-1"
    service.put("/_signals/account/slack/jane+doe@corp.example", SLACK)
    assert service.ask("PUT", use).status_code == 201
    database = service.services.database
    assert len(read(service)) == len(asked) + 2
    for name in ("jane+doe@corp.example", f"jane+doe@corp.example-{uuid}", "Jane Doe", longest):
        database.written(Names, Author("a", "b", "c"), partial(Names.erase, name=name))
    kept = [record["object"] for record in read(service) if record["object"] not in (None, "names")]
    assert kept == [f"GET /_signals/account/{'x' * 500}/slack/…"]
    assert verify(database, STORED).ok


def test_of_two_paths_each_is_recorded_as_itself_and_nobody_elses_is_erased(service: Service) -> None:
    uuid = "11111111-2222-3333-4444-555555555555"
    asked = (
        "/_signals/account/email/default",
        "/_signals/account/email%252Fdefault",
        f"/_signals/account/{uuid}",
        f"/_signals/account/{uuid}/slack/prod",
    )
    for path in asked:
        assert service.get(path, by="stranger", buffered=True).status_code == 403
    service.put("/_signals/account/slack/jane@corp", SLACK)
    for name in ("66666666-7777-8888-9999-000000000000", "jane%40corp", "email/default"):
        service.services.database.written(Names, Author("a", "b", "c"), partial(Names.erase, name=name))
    assert [record["object"] for record in read(service)][::-1] == [
        "GET /_signals/account/email/default",
        None,
        "GET /_signals/account/<uuid>",
        "GET /_signals/account/<uuid>/slack/prod",
        "slack/jane@corp",
        "names",
    ]


def test_whoever_was_erased_is_named_neither_within_a_path_nor_in_a_list_of_tokens(service: Service) -> None:
    admin = wavefront.admin(service)
    for person in ("jane@corp.example", "joe@corp.example"):
        wavefront.token_of(service, person)
    admin.ok("GET", "/apitoken/customertokens")
    for name in ("jane@corp.example", "jane%40corp.example"):
        refused = service.ask("POST", f"/api/v2/user/{name}/grant", by="stranger", data={"group": "x"}, buffered=True)
        assert refused.status_code == 403
    reveals = [record for record in read(service) if str(record["action"]).endswith("token/reveal")]
    assert [record["object"] for record in reveals] == ["2 accounts"]
    database = service.services.database
    database.written(Names, Author("a", "b", "c"), lambda names: names.erase("jane@corp.example"))
    told = service.get("/_accounts/audit?size=100").text
    assert "joe@corp.example" in told
    assert not any(name in told for name in ("jane@", "jane%40"))
    assert verify(database, STORED).ok
