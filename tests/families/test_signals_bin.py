"""The bin: what was deleted may come back, or be gone for good."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import update

from accounts_service import app
from accounts_service.families.signals import examples
from accounts_service.families.signals.tables import ACCOUNT, ACCOUNT_BIN, ACCOUNT_VERSION
from accounts_service.faults import Json
from accounts_service.jobs.leftovers import Forgetting
from accounts_service.storage.sealed import Place, Vault
from accounts_service.storage.tables import METADATA
from tests.storage.kit import rows
from tests.support.installation import Installation
from tests.support.service import Service

EMAIL = "/_signals/account/email/default"
BIN = "/_signals/bin"
BLUE = "/_signals/tenant/blue/bin"
CANARY = "canary-4be1-was-here"
MAIL: dict[str, Json] = {**examples.GOOD["email"], "user": "u", "password": "p"}
DAY_US = 24 * 3600 * 1_000_000


def thrown_away(service: Service, path: str = EMAIL, of: str = BIN, body: Json = MAIL) -> str:
    service.put(path, body)
    service.delete(path)
    uid: str = service.get(of).json["deleted"][0]["uid"]
    return uid


def test_the_bin_lists_what_was_deleted_last_first_page_by_page(service: Service) -> None:
    for name in "abc":
        thrown_away(service, f"/_signals/account/email/{name}")
    thrown_away(service, "/_signals/account/blue/email/d", BLUE)
    first = service.get(f"{BIN}?limit=2", by="reader").json
    assert [one["_name"] for one in first["deleted"]] == ["c", "b"]
    second = service.get(f"{BIN}?limit=2&after={first['next']}").json
    assert ([one["_name"] for one in second["deleted"]], "next" in second) == (["a"], False)
    assert {**second["deleted"][0], "uid": "", "deleted_at": ""} == {
        "uid": "",
        "type": "email",
        "_name": "a",
        "_version": 1,
        "deleted_at": "",
    }
    assert [(one["_tenant"], one["_name"]) for one in service.get(BLUE, by="native").json["deleted"]] == [("blue", "d")]
    for query in ("limit=0", "after=x", "after=1.x", "after=1"):
        assert service.get(f"{BIN}?{query}").status_code == 400


def test_what_comes_back_answers_as_it_did_unopened_with_its_uid_and_the_next_version(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.put(EMAIL, MAIL)
    before = [service.get(EMAIL, by=who).json["_source"] for who in ("admin", "manager")]
    service.delete(EMAIL)
    (deleted,) = service.get(BIN).json["deleted"]
    opened: list[Place] = []
    real = Vault._try_open

    def spy(vault: Vault, place: Place, envelope: str) -> str | None:
        opened.append(place)
        return real(vault, place, envelope)

    monkeypatch.setattr(Vault, "_try_open", spy)
    answer = service.ask("POST", f"{BIN}/{deleted['uid']}:undelete", by="manager")
    assert (answer.status_code, answer.headers["ETag"]) == (200, '"3"')
    assert answer.json == {"_id": "email/default", "_version": 3, "result": "undeleted"}
    assert opened == []
    assert [service.get(EMAIL, by=who).json["_source"] for who in ("admin", "manager")] == before
    assert opened
    assert rows(service.services.database, ACCOUNT)[0].uid == deleted["uid"]
    assert service.get(BIN).json == {"deleted": []}
    assert service.ask("POST", f"{BIN}/{deleted['uid']}:undelete").status_code == 404
    record = [one for one in service.audited() if not one.act.endswith("/reveal")][-1]
    assert (record.act.rpartition("/")[2], record.version, record.detail) == ("put", 3, '{"undeleted": true}')
    # Its history goes on, with its deletion in it.
    listed = service.get(f"{EMAIL}/_versions").json["versions"]
    assert [(one["_version"], one.get("deleted"), one.get("changed")) for one in listed] == [
        (3, None, []),
        (2, True, None),
        (1, None, None),
    ]
    assert service.get(f"{EMAIL}/_versions/2").status_code == 404
    assert service.ask("POST", f"{EMAIL}/_versions/2:restore").status_code == 404
    assert service.ask("POST", f"{EMAIL}/_versions/1:restore").json["_version"] == 4
    assert service.delete(EMAIL).json["_version"] == 5


def test_a_name_that_is_taken_keeps_what_had_it_out(service: Service) -> None:
    uid = thrown_away(service)
    service.put(EMAIL, MAIL)
    answer = service.ask("POST", f"{BIN}/{uid}:undelete")
    assert (answer.status_code, answer.json["error"]) == (409, "email/default is there already")
    service.delete(EMAIL)
    assert service.ask("POST", f"{BIN}/{uid}:undelete").json["_version"] == 5


def test_what_comes_back_is_made_and_what_is_purged_is_changed_so_conditions_hold_accordingly(
    service: Service,
) -> None:
    uid = thrown_away(service)
    undelete = f"{BIN}/{uid}:undelete"
    for headers, status in (({"If-Match": '"1"'}, 412), ({"If-Match": "*"}, 412), ({"If-None-Match": "*"}, 200)):
        assert service.ask("POST", undelete, headers=headers).status_code == status, headers
    # What there is a fault in anyway is not held against them.
    assert service.ask("POST", undelete, headers={"If-Match": "*"}).status_code == 404
    service.delete(EMAIL)
    (binned,) = service.get(BIN).json["deleted"]
    stale, present = f'"{binned["_version"] - 1}"', f'"{binned["_version"]}"'
    for condition in ({"If-Match": stale}, {"If-None-Match": present}, {"If-None-Match": "*"}):
        assert service.delete(f"{BIN}/{uid}", headers=condition).status_code == 412, condition
    assert service.delete(f"{BIN}/{uid}", headers={"If-Match": present}).status_code == 200
    blue = thrown_away(service, "/_signals/account/blue/email/x", BLUE)
    assert service.delete(f"{BLUE}/{blue}", headers={"If-Match": '"9"'}).status_code == 412
    assert service.ask("POST", f"{BLUE}/{blue}:undelete", headers={"If-Match": "*"}).status_code == 412


def test_where_conditions_are_required_a_purge_is_asked_for_one_and_an_undeletion_is_not(
    installation: Installation,
) -> None:
    service = Service(installation, ACCOUNTS_REQUIRE_IF_MATCH="true")
    try:
        service.put(EMAIL, MAIL, headers={"If-None-Match": "*"})
        service.delete(EMAIL, headers={"If-Match": "*"})
        (binned,) = service.get(BIN).json["deleted"]
        assert service.delete(f"{BIN}/{binned['uid']}").status_code == 428
        assert service.ask("POST", f"{BIN}/{binned['uid']}:undelete").status_code == 200
        assert service.ask("POST", f"{EMAIL}/_versions/1:restore").status_code == 428
    finally:
        service.close()


def test_where_the_form_of_2019_is_used_an_id_has_one_type(service: Service) -> None:
    by_id = "/_signals/account/default"
    service.put(by_id, {"type": "email", **MAIL})
    service.put(by_id, {"type": "slack", **examples.GOOD["slack"]})
    (deleted,) = service.get(BIN).json["deleted"]
    answer = service.ask("POST", f"{BIN}/{deleted['uid']}:undelete")
    assert (answer.status_code, answer.json["error"]) == (409, "slack/default is there already")
    service.delete(by_id)
    assert service.ask("POST", f"{BIN}/{deleted['uid']}:undelete").json["_version"] == 4
    assert service.get(by_id).json["_source"]["type"] == "email"
    # Where it is not, an id has as many as one likes.
    uid = thrown_away(service, "/_signals/account/email/other")
    service.put("/_signals/account/slack/other", examples.GOOD["slack"])
    assert service.ask("POST", f"{BIN}/{uid}:undelete").status_code == 200


def test_each_scope_has_a_bin_of_its_own(service: Service) -> None:
    uid, blue = thrown_away(service), thrown_away(service, "/_signals/account/blue/email/x", BLUE)
    for method, act in (("POST", ":undelete"), ("DELETE", "")):
        assert service.ask(method, f"{BIN}/{blue}{act}").status_code == 404
        assert service.ask(method, f"{BLUE}/{uid}{act}").status_code == 404
        assert service.ask(method, f"/_signals/tenant/red/bin/{blue}{act}", by="foreigner").status_code == 404
    assert service.ask("POST", f"{BLUE}/{blue}:undelete", by="native").json["_id"] == "blue/email/x"
    assert service.get(f"{BIN}/{uid}").status_code == 405
    assert service.delete(f"{BIN}/{'x' * 32}").status_code == 400


def everything(service: Service) -> str:
    with service.services.database.looking() as connection:
        return "\n".join(
            repr(tuple(row)) for table in METADATA.sorted_tables for row in connection.execute(table.select())
        )


def test_after_a_purge_nothing_that_it_held_is_anywhere(service: Service) -> None:
    body = {**MAIL, "host": f"{CANARY}.example", "password": CANARY}
    service.put(EMAIL, body)
    service.put(EMAIL, {**body, "user": CANARY})
    sealed = [row.secrets for row in rows(service.services.database, ACCOUNT_VERSION)]
    uid = thrown_away(service, body=body)
    assert CANARY in everything(service)
    answer = service.delete(f"{BIN}/{uid}", by="manager")
    assert answer.json == {"_id": "email/default", "uid": uid, "result": "purged"}
    there = everything(service)
    assert CANARY not in there
    assert not [one for one in sealed if one.partition(": ")[2] in there]
    assert service.delete(f"{BIN}/{uid}").json["error"] == f"Account does not exist: {uid}"
    assert service.ask("POST", f"{BIN}/{uid}:undelete").status_code == 404
    assert service.put(EMAIL, MAIL).json["_version"] == 5
    record = service.audited()[-2]
    assert (record.act.rpartition("/")[2], record.object, record.version) == ("delete", "email/default", 1)
    assert (record.uid != uid, record.detail) == (True, f'{{"purged": "{uid}"}}')
    states = [(row.uid, row.version) for row in service.audited()]
    assert len(set(states)) == len(states)


def test_the_jobs_purge_what_was_deleted_long_ago(service: Service) -> None:
    database = service.services.database
    old, young = thrown_away(service), thrown_away(service, "/_signals/account/blue/email/x", BLUE)
    with database.begin() as connection:
        long_ago = database.now_us() - 91 * DAY_US
        connection.execute(update(ACCOUNT_BIN).where(ACCOUNT_BIN.c.uid == old).values(deleted_us=long_ago))
    forgetting = Forgetting(database, app.LEFTOVERS, kept=20, days=90)
    forgetting.purge(lambda: True)
    assert len(rows(database, ACCOUNT_BIN)) == 2
    forgetting.purge(lambda: False)
    assert [row.uid for row in rows(database, ACCOUNT_BIN)] == [young]
    record = service.audited()[-1]
    assert (record.realm, record.actor, record.detail) == (
        "accounts",
        "jobs",
        f'{{"by_age": true, "purged": "{old}"}}',
    )
    assert {(row.attributes, row.secrets) for row in rows(database, ACCOUNT_VERSION) if row.uid == old} == {
        (None, None)
    }
    assert {"bin", "versions"} <= {
        job.name for job in app.make_jobs(service.services.settings, database, service.services.limits)
    }


def test_of_many_at_once_one_undeletes_or_purges(service: Service) -> None:
    def act(number: int) -> Any:
        return service.ask("POST", f"{BIN}/{uid}:undelete") if number % 2 else service.delete(f"{BIN}/{uid}")

    for _ in range(4):
        uid = thrown_away(service)
        with ThreadPoolExecutor(4) as pool:
            statuses = [answer.status_code for answer in pool.map(act, range(4))]
        assert sorted(statuses) == [200, 404, 404, 404]
        present = service.get(EMAIL).status_code == 200
        assert present == any(row.uid == uid for row in rows(service.services.database, ACCOUNT))
        if present:
            service.delete(EMAIL)
