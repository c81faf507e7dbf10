"""The form of 2019: `/_signals/account/{id}` with the type in the body."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from accounts_service.families.signals import examples
from accounts_service.families.signals.store.accounts import Account
from accounts_service.families.signals.store.preview import PreviewAccounts
from accounts_service.faults import Json
from tests.support.service import Service

ID = "/_signals/account/alerts"
EMAIL: dict[str, Json] = {"type": "email", **examples.GOOD["email"]}
SLACK: dict[str, Json] = {"type": "slack", **examples.GOOD["slack"]}
BLUE = {"sgtenant": "blue"}


def test_the_round_trip_with_the_bare_id(service: Service) -> None:
    made = service.put(ID, EMAIL)
    assert (made.status_code, made.json) == (201, {"_id": "alerts", "_version": 1, "result": "created"})
    again = service.put(ID, EMAIL)
    assert (again.status_code, again.json) == (200, {"_id": "alerts", "_version": 2, "result": "updated"})
    shown = service.get(ID).json
    assert (shown["_id"], shown["_source"]["type"], shown["_source"]["_name"]) == ("alerts", "email", "alerts")
    gone = service.delete(ID)
    assert (gone.status_code, gone.json) == (200, {"_id": "alerts", "_version": 3, "result": "deleted"})
    assert service.get(ID).json == {"status": 404, "error": "Not found"}
    assert service.delete(ID).json == {"status": 404, "error": "Account does not exist: alerts"}


def test_both_forms_mean_the_same_account(service: Service) -> None:
    service.put(ID, EMAIL)
    assert service.get("/_signals/account/email/alerts").json["_id"] == "email/alerts"
    service.put("/_signals/account/email/alerts", {**EMAIL, "host": "new.example"})
    assert service.get(ID).json["_source"]["host"] == "new.example"


@pytest.mark.any_database
@pytest.mark.parametrize("body", ({}, {"host": "h"}, {"type": None}, [], "email", None))
def test_a_type_is_needed(service: Service, body: Json) -> None:
    answer = service.ask("PUT", ID, data="null" if body is None else None, json=body, content_type="application/json")
    assert (answer.status_code, answer.json) == (
        400,
        {
            "status": 400,
            "error": "'type': Required attribute is missing",
            "detail": {"type": [{"error": "Required attribute is missing"}]},
        },
    )


@pytest.mark.any_database
@pytest.mark.parametrize("sent", ("fax", "", 1, ["email"], {}, True))
def test_a_type_is_one_of_those_there_are(service: Service, sent: Json) -> None:
    answer = service.put(ID, {**EMAIL, "type": sent})
    expected = "email|jira|pagerduty|slack|webhook"
    assert answer.json["detail"] == {"type": [{"error": "Invalid value", "value": sent, "expected": expected}]}


def test_a_type_is_taken_in_any_case(service: Service) -> None:
    assert service.put(ID, {**EMAIL, "type": "EMail"}).status_code == 201
    assert service.get("/_signals/account/email/alerts").status_code == 200


def test_another_type_replaces_the_account_and_its_version_goes_on(service: Service) -> None:
    service.put(ID, EMAIL)
    service.put(ID, EMAIL)
    replaced = service.put(ID, SLACK)
    assert (replaced.status_code, replaced.json) == (200, {"_id": "alerts", "_version": 3, "result": "updated"})
    assert service.get("/_signals/account/email/alerts").status_code == 404
    assert service.get("/_signals/account/slack/alerts").json["_version"] == 3
    assert service.put(ID, EMAIL).json["_version"] == 4
    act = "cluster:admin:searchguard:signals:account/"
    changes = [row for row in service.audited() if not row.act.endswith("/reveal")]
    assert [(row.act.removeprefix(act), row.object, row.version) for row in changes] == [
        ("put", "email/alerts", 1),
        ("put", "email/alerts", 2),
        ("delete", "email/alerts", 3),
        ("put", "slack/alerts", 3),
        ("delete", "slack/alerts", 4),
        ("put", "email/alerts", 4),
    ]


def test_versions_of_an_id_go_on_whatever_its_type(service: Service) -> None:
    service.put(ID, SLACK)
    service.put(ID, SLACK)
    assert service.delete(ID).json["_version"] == 3
    assert service.put(ID, EMAIL).json == {"_id": "alerts", "_version": 4, "result": "created"}


def test_a_deletion_waits_for_a_change_of_type(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    service.put(ID, EMAIL)
    begun, real = threading.Event(), PreviewAccounts._delete

    def slowly(accounts: PreviewAccounts, there: Account) -> None:
        real(accounts, there)
        begun.set()
        time.sleep(0.3)

    monkeypatch.setattr(PreviewAccounts, "_delete", slowly)
    with ThreadPoolExecutor(2) as pool:
        changing = pool.submit(service.put, ID, SLACK)
        assert begun.wait(10)
        monkeypatch.setattr(PreviewAccounts, "_delete", real)
        assert pool.submit(service.delete, ID).result().status_code == 200
        assert changing.result().status_code == 200
    assert service.get(ID).status_code == 404


def test_another_type_is_refused_while_the_account_is_used(service: Service) -> None:
    service.put(ID, EMAIL)
    service.ask("PUT", "/_accounts/references/signals/email/alerts/watch-1")
    refused = service.put(ID, SLACK)
    assert (refused.status_code, refused.json["error"]) == (409, "The account is still in use")
    assert service.delete(ID).status_code == 409
    assert service.get(ID).json["_version"] == 1
    assert service.put(ID, EMAIL).status_code == 200


def test_a_bad_body_of_another_type_leaves_the_account_alone(service: Service) -> None:
    service.put(ID, EMAIL)
    assert service.put(ID, {"type": "slack"}).status_code == 400
    assert service.get(ID).json["_source"]["type"] == "email"


def test_an_id_of_several_types_is_none_here(service: Service) -> None:
    for account_type in ("slack", "email"):
        service.put(f"/_signals/account/{account_type}/alerts", examples.GOOD[account_type])
    told = {"status": 409, "error": "There are several accounts called alerts: email/alerts, slack/alerts"}
    for answer in (service.get(ID), service.put(ID, EMAIL), service.put(ID, SLACK), service.delete(ID)):
        assert (answer.status_code, answer.json) == (409, told)
    service.delete("/_signals/account/slack/alerts")
    assert service.get(ID).json["_source"]["type"] == "email"


def test_names_of_types_and_of_services_are_no_ids(service: Service, subtests: pytest.Subtests) -> None:
    for method in ("GET", "PUT", "DELETE"):
        for name in (*examples.GOOD, "EMAIL", "_x", "_"):
            with subtests.test(method=method, name=name):
                answer = service.ask(method, f"/_signals/account/{name}", json=EMAIL if method == "PUT" else None)
                assert answer.status_code == 400
                assert "no handler found" in answer.json["error"]


def test_an_entity_tag_names_the_type_too(service: Service) -> None:
    tag = service.put(ID, EMAIL).headers["ETag"]
    assert tag == '"email.1"'
    assert service.get(ID).headers["ETag"] == tag
    unchanged = service.get(ID, headers={"If-None-Match": tag})
    assert (unchanged.status_code, unchanged.headers["Cache-Control"]) == (304, "no-store")
    assert service.put(ID, SLACK, headers={"If-Match": '"slack.1"'}).status_code == 412
    assert service.put(ID, SLACK, headers={"If-Match": tag}).headers["ETag"] == '"slack.2"'
    assert service.put(ID, SLACK, headers={"If-None-Match": "*"}).status_code == 412
    assert service.delete(ID, headers={"If-Match": tag}).status_code == 412
    assert service.delete(ID, headers={"If-Match": '"slack.2"'}).status_code == 200


def test_who_names_a_tenant_needs_its_privilege_as_well(service: Service) -> None:
    assert service.put(ID, EMAIL, by="old_native", headers=BLUE).status_code == 201
    assert service.get(ID, by="old_native", headers=BLUE).json["_source"]["_tenant"] == "blue"
    assert service.get("/_signals/account/blue/email/alerts", by="native").status_code == 200
    assert service.get(ID, by="old_native").status_code == 404
    for who in ("manager", "native", "foreigner", "reader"):
        for answer in (
            service.get(ID, by=who, headers=BLUE),
            service.put(ID, EMAIL, by=who, headers=BLUE),
            service.delete(ID, by=who, headers=BLUE),
        ):
            assert answer.status_code == 403, who
    assert service.delete(ID, by="old_native", headers={"sgtenant": "red"}).status_code == 403
    assert service.delete(ID, by="old_native", headers=BLUE).status_code == 200


@pytest.mark.parametrize("tenant", ("", "_main", "SGS_GLOBAL_TENANT"))
def test_the_global_tenant_is_that_of_who_names_none(service: Service, tenant: str) -> None:
    assert service.put(ID, EMAIL, by="manager", headers={"sgtenant": tenant}).status_code == 201
    assert service.get("/_signals/account/email/alerts", by="manager").status_code == 200


def test_an_unknown_tenant_is_forbidden_and_a_private_one_a_mistake(service: Service) -> None:
    assert service.get(ID, headers={"sgtenant": "green"}).status_code == 403
    private = service.get(ID, headers={"sgtenant": "__user__"})
    assert (private.status_code, private.json["error"]["message"]) == (400, "Signals does not support private tenants")


@pytest.mark.parametrize("who", ("excluded", "stranger", "native"))
def test_an_exclusion_of_the_current_form_holds_for_this_one(service: Service, who: str) -> None:
    service.put(ID, EMAIL)
    for answer in (service.get(ID, by=who), service.put(ID, EMAIL, by=who), service.delete(ID, by=who)):
        assert answer.status_code == 403


def test_a_reader_reads_and_a_manager_manages(service: Service) -> None:
    assert service.put(ID, EMAIL, by="reader").status_code == 403
    assert service.put(ID, EMAIL, by="manager").status_code == 201
    assert service.get(ID, by="reader").status_code == 200
    assert service.delete(ID, by="reader").status_code == 403
    assert service.delete(ID, by="manager").status_code == 200


@pytest.mark.parametrize("_", range(5))
def test_two_types_at_once_leave_one_account(service: Service, _: int) -> None:
    bodies = [EMAIL, SLACK] * 4
    with ThreadPoolExecutor(len(bodies)) as pool:
        statuses = [answer.status_code for answer in pool.map(lambda body: service.put(ID, body), bodies)]
    assert set(statuses) <= {200, 201, 503}
    assert statuses.count(201) == 1
    there = [service.get(f"/_signals/account/{kind}/alerts").status_code for kind in ("email", "slack")]
    assert sorted(there) == [200, 404]
    assert service.get(ID).json["_version"] == len([status for status in statuses if status < 300])
