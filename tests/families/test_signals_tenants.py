"""Accounts of tenants: `/_signals/account/{tenant}/{type}/{id}`."""

from __future__ import annotations

import pytest

from accounts_service.families.signals import examples
from accounts_service.storage.sealed import REFERENCE
from tests.support.service import Service

BLUE = "/_signals/account/blue/email/x"
BODY = examples.GOOD["email"]
SECRETIVE = {**BODY, "user": "u", "password": "hunter2"}


def test_an_account_of_a_tenant_is_another_than_the_global_one(service: Service) -> None:
    made = service.put(BLUE, BODY, by="native")
    assert (made.status_code, made.json) == (201, {"_id": "blue/email/x", "_version": 1, "result": "created"})
    assert service.get("/_signals/account/email/x").status_code == 404
    assert service.put("/_signals/account/email/x", BODY).json["_version"] == 1
    assert service.delete("/_signals/account/email/x").status_code == 200
    assert service.get(BLUE, by="native").status_code == 200


def test_it_is_shown_with_its_tenant_after_its_name(service: Service) -> None:
    service.put(BLUE, BODY, by="native")
    shown = service.get(BLUE, by="native").json
    assert shown["_id"] == "blue/email/x"
    assert list(shown["_source"])[:4] == ["type", "_name", "_tenant", "host"]
    assert shown["_source"]["_tenant"] == "blue"


@pytest.mark.parametrize("account_type", examples.GOOD)
def test_every_type_can_be_a_tenants_and_says_so(service: Service, account_type: str) -> None:
    path = f"/_signals/account/blue/{account_type}/x"
    assert service.put(path, examples.GOOD[account_type]).status_code == 201
    assert service.get(path).json["_source"]["_tenant"] == "blue"
    assert service.delete(path).json == {"_id": f"blue/{account_type}/x", "_version": 2, "result": "deleted"}


@pytest.mark.parametrize("tenant", ("_main", "SGS_GLOBAL_TENANT"))
def test_the_global_tenant_has_accounts_of_its_own_under_two_names(service: Service, tenant: str) -> None:
    service.put("/_signals/account/email/x", {**BODY, "host": "global.example"})
    assert service.put(f"/_signals/account/{tenant}/email/x", BODY).json["_id"] == "_main/email/x"
    for name in ("_main", "SGS_GLOBAL_TENANT"):
        assert service.get(f"/_signals/account/{name}/email/x").json["_source"]["_tenant"] == "_main"
    assert service.get("/_signals/account/email/x").json["_source"]["host"] == "global.example"


@pytest.mark.any_database
@pytest.mark.parametrize("who", ("foreigner", "manager", "reader", "stranger", "revealer"))
def test_who_has_no_privilege_in_the_tenant_may_nothing_there(service: Service, who: str) -> None:
    service.put(BLUE, BODY, by="native")
    for answer in (service.get(BLUE, by=who), service.put(BLUE, BODY, by=who), service.delete(BLUE, by=who)):
        assert (answer.status_code, answer.json) == (403, {"status": 403, "error": "Insufficient permissions"})
    assert service.get(BLUE, by="native").json["_version"] == 1


def test_a_tenant_that_is_not_configured_is_forbidden_to_everyone(service: Service) -> None:
    assert service.put("/_signals/account/green/email/x", BODY, by="admin").status_code == 403


@pytest.mark.parametrize("method", ("GET", "PUT", "DELETE"))
def test_there_are_no_private_tenants(service: Service, method: str) -> None:
    answer = service.ask(method, "/_signals/account/__user__/email/x", json=BODY if method == "PUT" else None)
    message = {"message": "Signals does not support private tenants"}
    assert (answer.status_code, answer.json) == (400, {"status": 400, "error": message})


def test_the_path_wins_over_the_header(service: Service) -> None:
    service.put(BLUE, BODY, by="native", headers={"sgtenant": "red"})
    assert service.get(BLUE, by="native", headers={"sgtenant": "__user__"}).status_code == 200
    assert service.get("/_signals/account/red/email/x", by="foreigner").status_code == 404


@pytest.mark.parametrize("header", ("__user__", "red", "green"))
def test_a_global_account_asks_for_no_tenant(service: Service, header: str) -> None:
    assert service.put("/_signals/account/email/x", BODY, by="manager", headers={"sgtenant": header}).status_code == 201
    assert service.get("/_signals/account/email/x", by="reader", headers={"sgtenant": header}).status_code == 200


def test_who_may_reveal_globally_sees_no_secret_of_a_tenant(service: Service) -> None:
    roles = {
        "half": {
            "cluster_permissions": ["*"],
            "tenant_permissions": [
                {"tenant_patterns": ["blue"], "allowed_actions": ["SGS_SIGNALS_TENANT_ACCOUNT_MANAGE"]}
            ],
        },
        "whole": {"tenant_permissions": [{"tenant_patterns": ["blue"], "allowed_actions": ["SGS_SIGNALS_ALL"]}]},
    }
    service.configure(
        {"sg_roles.yml": roles, "sg_roles_mapping.yml": {"half": {"users": ["reader"]}, "whole": {"users": ["native"]}}}
    )
    service.put(BLUE, SECRETIVE, by="native")
    assert service.get(BLUE, by="native").json["_source"]["password"] == "hunter2"
    shown = service.get(BLUE, by="reader").json["_source"]
    assert REFERENCE.fullmatch(shown["password"])
    moved = service.put(BLUE, {**shown, "host": "evil.example"}, by="reader")
    assert moved.status_code == 400
    assert "password" in moved.json["detail"]
    assert service.put(BLUE, {**shown, "default_from": "a@b.example"}, by="reader").status_code == 200


def test_who_may_reveal_in_a_tenant_sees_no_global_secret(service: Service) -> None:
    roles = {
        "whole": {
            "cluster_permissions": ["SGS_SIGNALS_ACCOUNT_MANAGE"],
            "tenant_permissions": [{"tenant_patterns": ["*"], "allowed_actions": ["*"]}],
        }
    }
    service.configure({"sg_roles.yml": roles, "sg_roles_mapping.yml": {"whole": {"users": ["native"]}}})
    service.put("/_signals/account/email/x", SECRETIVE, by="native")
    assert REFERENCE.fullmatch(service.get("/_signals/account/email/x", by="native").json["_source"]["password"])


def test_a_change_is_recorded_as_the_tenants(service: Service) -> None:
    service.put(BLUE, BODY, by="native")
    service.delete(BLUE, by="native")
    act = "cluster:admin:searchguard:tenant:signals:account/"
    assert [(row.tenant, row.act, row.object) for row in service.audited()] == [
        ("blue", act + "put", "blue/email/x"),
        ("blue", act + "delete", "blue/email/x"),
    ]
