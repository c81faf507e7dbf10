"""Versions of accounts: what they were, what changed, and going back; and how long they are kept."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from accounts_service import app
from accounts_service.families.signals import examples
from accounts_service.families.signals.store.versions import Versions
from accounts_service.families.signals.tables import ACCOUNT, ACCOUNT_VERSION
from accounts_service.faults import Json
from accounts_service.jobs.leftovers import Forgetting
from accounts_service.storage.sealed import Vault
from tests.storage.kit import GRANT, KEY, rows
from tests.support.service import Service

EMAIL = "/_signals/account/email/default"
VERSIONS = f"{EMAIL}/_versions"
MAIL: dict[str, Json] = {**examples.GOOD["email"], "user": "u", "password": "p"}
DAY_US = 24 * 3600 * 1_000_000


def three_versions(service: Service, path: str = EMAIL) -> None:
    service.put(path, MAIL)
    service.put(path, {**MAIL, "host": "new.example", "password": "q"})
    service.put(path, {**examples.GOOD["email"], "user": "u", "proxy_password": "r"})


def numbers(service: Service, path: str = VERSIONS) -> list[int]:
    return [version["_version"] for version in service.get(path).json["versions"]]


def test_versions_are_listed_with_what_changed_by_name(service: Service) -> None:
    three_versions(service)
    document = service.get(VERSIONS, by="reader").json
    listed = [(one["_version"], one["present"], one.get("changed"), one.get("deleted")) for one in document["versions"]]
    assert (document["_id"], "next" in document) == ("email/default", False)
    assert listed == [
        (3, True, ["host", "password", "proxy_password"], None),
        (2, False, ["host", "password"], None),
        (1, False, None, None),
    ]
    first = service.get(f"{VERSIONS}?limit=2").json
    assert ([one["_version"] for one in first["versions"]], first["next"]) == ([3, 2], 2)
    assert first["versions"] == document["versions"][:2]
    assert service.get(f"{VERSIONS}?limit=2&before={first['next']}").json["versions"] == document["versions"][2:]
    for query in ("limit=0", "limit=101", "limit=x", "before=0", "before=" + "9" * 20, "before=x"):
        assert service.get(f"{VERSIONS}?{query}").status_code == 400, query
    assert service.get("/_signals/account/email/other/_versions").status_code == 404


def test_a_list_of_large_versions_takes_the_memory_of_a_few(service: Service) -> None:
    service.put(EMAIL, MAIL)
    size, count = 200_000, 40
    with service.services.database.begin() as connection:
        (first,) = connection.execute(select(ACCOUNT_VERSION)).mappings()
        large = [
            {
                **first,
                "version": 2 + number,
                "attributes": json.dumps({"host": f"{number:0{size}}", "port": number % 2}),
            }
            for number in range(count)
        ]
        connection.execute(insert(ACCOUNT_VERSION), large)
    del large
    with service.services.database.reading(Versions) as versions:
        tracemalloc.start()
        try:
            listed, more = versions.page(GRANT, KEY, None, 30)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert [(one.number, one.changed) for one in listed] == [(41 - number, ("host", "port")) for number in range(30)]
    assert (more, peak < size * 20) == (True, True), peak


def test_pages_of_versions_are_those_of_one_list_however_many_there_are(service: Service) -> None:
    # As many as are read at once, one less, and one more.
    for number in range(19):
        service.put(EMAIL, {**MAIL, "port": 1 + number})
    service.delete(EMAIL)
    (binned,) = service.get("/_signals/bin").json["deleted"]
    service.ask("POST", f"/_signals/bin/{binned['uid']}:undelete")
    whole = service.get(f"{VERSIONS}?limit=100").json
    assert ("next" in whole, [one["_version"] for one in whole["versions"]]) == (False, [*range(21, 0, -1)])
    assert [one.get("changed") for one in whole["versions"]] == [[], None, *[["password", "port"]] * 18, None]
    for limit in (5, 6, 7, 8, 13, 14, 20):
        listed: list[Json] = []
        query = ""
        while True:
            page = service.get(f"{VERSIONS}?limit={limit}{query}").json
            listed += page["versions"]
            if "next" not in page:
                break
            query = f"&before={page['next']}"
        assert listed == whole["versions"], limit


def test_a_version_is_shown_as_it_was_and_its_secrets_to_nobody(service: Service) -> None:
    shown = []
    for body in (MAIL, {**MAIL, "host": "new.example", "password": "q"}):
        service.put(EMAIL, body)
        shown.append(service.get(EMAIL, by="manager").json["_source"])
    for number, source in enumerate(shown, 1):
        for who in ("reader", "admin"):
            document = service.get(f"{VERSIONS}/{number}", by=who).json
            assert (document["_source"], document["present"]) == (source, number == 2)
    compared = service.get(f"{VERSIONS}/2?compare_with=1").json["differences"]
    assert compared == {
        "host": {"from": "mail.mycompany.example", "to": "new.example"},
        "password": "different",
    }
    assert service.get(f"{VERSIONS}/1?compare_with=1").json["differences"] == {"password": "same"}
    service.put(EMAIL, {**examples.GOOD["email"], "proxy_password": "r"})
    assert service.get(f"{VERSIONS}/3?compare_with=1").json["differences"] == {
        "user": {"from": "u"},
        "password": "removed",
        "proxy_password": "added",
    }
    for path in ("9", "0", "x", "1x", "9" * 19):
        assert service.get(f"{VERSIONS}/{path}").status_code in (400, 404), path
    for value in ("9", "x", "", "-1"):
        assert service.get(f"{VERSIONS}/1?compare_with={value}").json["error"].startswith("compare_with: ")


def test_what_is_restored_answers_as_it_did_and_nothing_is_opened(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.put(EMAIL, MAIL)
    before = [service.get(EMAIL, by=who).json["_source"] for who in ("admin", "manager")]
    service.put(EMAIL, {**MAIL, "host": "new.example", "password": "q"})
    opened: list[str] = []

    def spied(name: str) -> None:
        real = getattr(Vault, name)

        def spy(*arguments: Any) -> Any:
            opened.append(name)
            return real(*arguments)

        monkeypatch.setattr(Vault, name, spy)

    spied("open")
    spied("_try_open")
    assert service.ask("POST", f"{VERSIONS}/1:restore", headers={"If-Match": '"1"'}).status_code == 412
    answer = service.ask("POST", f"{VERSIONS}/1:restore", by="revealer", headers={"If-Match": '"2"'})
    assert (answer.status_code, answer.headers["ETag"]) == (200, '"3"')
    assert answer.json == {"_id": "email/default", "_version": 3, "result": "restored"}
    assert opened == []
    assert [service.get(EMAIL, by=who).json["_source"] for who in ("admin", "manager")] == before
    assert opened
    stored = rows(service.services.database, ACCOUNT_VERSION)
    assert (stored[0].attributes, stored[0].secrets) == (stored[2].attributes, stored[2].secrets)
    record = [one for one in service.audited() if not one.act.endswith("/reveal")][-1]
    assert (record.act.rpartition("/")[2], record.version, record.detail) == ("put", 3, '{"restored": 1}')
    found = service.ask("POST", "/_signals/account/_search", json={"query": {"term": {"host": MAIL["host"]}}}).json
    assert [hit["_id"] for hit in found["hits"]["hits"]] == ["email/default"]
    for path, status in ((f"{VERSIONS}/9:restore", 404), (f"{EMAIL}x/_versions/1:restore", 404)):
        assert service.ask("POST", path).status_code == status
    assert service.ask("POST", f"{VERSIONS}/1:restore", json={}).status_code == 400
    cross = service.ask("POST", f"{VERSIONS}/1:restore", headers={"Origin": "https://evil.example"})
    assert cross.status_code == 403


@pytest.mark.parametrize(
    ("path", "who", "revealer"),
    ((EMAIL, "manager", "revealer"), ("/_signals/account/blue/email/default", "native", "admin")),
)
def test_a_restored_secret_goes_to_no_old_destination_without_reveal(
    service: Service, path: str, who: str, revealer: str
) -> None:
    """An old destination with its old secret needs `reveal`, as a PUT of it does, however it is brought about."""
    elsewhere = {**MAIL, "host": "elsewhere.example", "password": "q"}
    service.put(path, elsewhere)
    service.put(path, MAIL)
    kept = {**MAIL, "password": service.get(path, by=who).json["_source"]["password"]}
    put = service.put(path, {**kept, "host": "elsewhere.example"}, by=who)
    restored = service.ask("POST", f"{path}/_versions/1:restore", by=who)
    assert (restored.status_code, restored.json) == (put.status_code, put.json)
    (problem,) = restored.json["detail"]["password"]
    assert problem["error"] == "A stored secret cannot be kept while this changes: host"
    # Neither does another secret at the old destination open the way for the old one.
    assert service.put(path, {**elsewhere, "password": "mine"}, by=who).status_code == 200
    assert service.ask("POST", f"{path}/_versions/1:restore", by=who).status_code == 400
    # Nor a way by the bin.
    service.delete(path, by=who)
    bin_path = "/_signals/tenant/blue/bin" if "blue" in path else "/_signals/bin"
    (binned,) = service.get(bin_path, by=who).json["deleted"]
    assert service.ask("POST", f"{bin_path}/{binned['uid']}:undelete", by=who).status_code == 200
    assert service.ask("POST", f"{path}/_versions/1:restore", by=who).status_code == 400
    assert service.get(path, by="admin").json["_source"]["password"] == "mine"
    # What leads nowhere else is restored, an old secret of the same destination included.
    assert service.ask("POST", f"{path}/_versions/3:restore", by=who).status_code == 200
    assert service.put(path, {**elsewhere, "password": "new"}, by=who).status_code == 200
    assert service.ask("POST", f"{path}/_versions/3:restore", by=who).status_code == 200
    assert service.ask("POST", f"{path}/_versions/1:restore", by=revealer).status_code == 200


@pytest.mark.any_database
def test_an_old_header_is_restored_with_reveal_only(service: Service) -> None:
    """The value of a header may lead a request elsewhere, so it counts as a destination."""
    path = "/_signals/account/webhook/hook"
    body: dict[str, Json] = {"url": "https://example.com", "user": "u", "password": "p", "headers": {"X-To": "old"}}
    service.put(path, body)
    service.put(path, {**body, "headers": {"X-To": "new"}})
    refused = service.ask("POST", f"{path}/_versions/1:restore", by="manager")
    assert (refused.status_code, sorted(refused.json["detail"])) == (400, ["headers", "password"])
    # The present version is the present one, and a slack URL, which is the secret itself, leads nowhere but there.
    assert service.ask("POST", f"{path}/_versions/2:restore", by="manager").status_code == 200
    slack = "/_signals/account/slack/room"
    for number in (1, 2):
        service.put(slack, {"url": f"https://example.com/{number}"})
    assert service.ask("POST", f"{slack}/_versions/1:restore", by="manager").status_code == 200


@pytest.mark.any_database
def test_a_version_of_long_ago_is_restored_with_reveal_only(service: Service) -> None:
    """At most 100 versions are compared, since other writers wait for that."""
    service.put(EMAIL, MAIL)
    service.put(EMAIL, {**MAIL, "session_timeout": 1})
    with service.services.database.begin() as connection:
        (last,) = connection.execute(select(ACCOUNT_VERSION).where(ACCOUNT_VERSION.c.version == 2)).mappings()
        connection.execute(insert(ACCOUNT_VERSION), [{**last, "version": number} for number in range(3, 102)])
        connection.execute(update(ACCOUNT).values(version=101))
    assert service.ask("POST", f"{VERSIONS}/1:restore", by="manager").status_code == 200
    assert service.ask("POST", f"{VERSIONS}/1:restore", by="manager").status_code == 400
    assert service.ask("POST", f"{VERSIONS}/1:restore", by="revealer").status_code == 200


def test_an_account_made_again_has_no_versions_of_the_one_before(service: Service) -> None:
    service.put(EMAIL, MAIL)
    service.delete(EMAIL)
    assert service.get(VERSIONS).status_code == 404
    assert service.ask("POST", f"{VERSIONS}/1:restore").status_code == 404
    service.put(EMAIL, MAIL)
    assert numbers(service) == [3]
    for number in (1, 2):
        assert service.get(f"{VERSIONS}/{number}").status_code == 404
        assert service.ask("POST", f"{VERSIONS}/{number}:restore").status_code == 404


def test_paths_of_versions_are_no_accounts_and_no_tenant_hides_them(service: Service) -> None:
    service.configure({"sg_tenants.yml": {"email": {}, "blue": {}}})
    slack = examples.GOOD["slack"]
    for path in ("email/slack", "email/_versions"):
        service.put(f"/_signals/account/{path}", MAIL)
    for path in ("email/slack/x", "blue/slack/x"):
        service.put(f"/_signals/account/{path}", slack)
    base = "/_signals/account"
    # A global account that is called like a type, although there is a tenant that is called like its type.
    assert service.get(f"{base}/email/slack/_versions").json["_id"] == "email/slack"
    assert service.get(f"{base}/EMAIL/slack/_versions/1").json["_id"] == "email/slack"
    assert service.get(f"{base}/email/_versions/_versions").json["_id"] == "email/_versions"
    assert service.get(f"{base}/email/slack/x/_versions").json["_id"] == "email/slack/x"
    assert service.get(f"{base}/email/slack/x/_versions/1").json["_id"] == "email/slack/x"
    assert service.ask("POST", f"{base}/blue/slack/x/_versions/1:restore", by="admin").json["_version"] == 2
    for method in ("PUT", "PATCH", "DELETE"):
        answer = service.ask(method, f"{base}/email/slack/_versions", json=slack if method != "DELETE" else None)
        assert (answer.status_code, answer.headers["Allow"]) == (405, "GET")
        answer = service.ask(method, f"{base}/blue/slack/_versions", json=slack if method != "DELETE" else None)
        assert (answer.status_code, "no handler found" in answer.json["error"]) == (400, True)
    for path in ("email/slack/_versions/_versions", "email/_search/_versions"):
        assert "no handler found" in service.get(f"{base}/{path}").json["error"]
    for who, status in (("native", 403), ("foreigner", 403), ("stranger", 403)):
        assert service.get(f"{base}/email/slack/_versions", by=who).status_code == status


def test_versions_go_when_they_are_old_and_not_among_the_last(service: Service) -> None:
    database = service.services.database
    for number in range(6):
        service.put(EMAIL, {**MAIL, "port": 1 + number})
    service.put("/_signals/account/email/gone", MAIL)
    service.delete("/_signals/account/email/gone")
    (binned,) = service.get("/_signals/bin").json["deleted"]
    service.delete(f"/_signals/bin/{binned['uid']}")
    forgetting = Forgetting(database, app.LEFTOVERS, kept=3, days=90)
    forgetting.prune(lambda: False)
    assert numbers(service) == [6, 5, 4, 3, 2, 1]
    with database.begin() as connection:
        connection.execute(
            update(ACCOUNT_VERSION)
            .where(ACCOUNT_VERSION.c.version != 2)
            .values(at_us=database.now_us() - 91 * DAY_US - ACCOUNT_VERSION.c.version)
        )
    forgetting.prune(lambda: True)
    assert numbers(service) == [6, 5, 4, 3, 2, 1]
    forgetting.prune(lambda: False)
    # The second is young; of what is forgotten the newest row alone stays.
    assert numbers(service) == [6, 5, 4, 2]
    left = [(row.name, row.version) for row in rows(database, ACCOUNT_VERSION) if row.name == "gone"]
    assert left == [("gone", 2)]
    assert service.put("/_signals/account/email/gone", MAIL).json["_version"] == 3
    # Of the version before one nothing may be kept.
    changed = [one.get("changed") for one in service.get(VERSIONS).json["versions"]]
    assert changed == [["password", "port"], ["password", "port"], None, None]
    assert len(rows(database, ACCOUNT)) == 2
