"""What Search Guard tells callers about themselves."""

from __future__ import annotations

import time

import pytest

from tests.support import personas
from tests.support.service import Service

READ = "cluster:admin:searchguard:signals:account/get"
WRITE = "cluster:admin:searchguard:signals:account/put"
IN_TENANT = "cluster:admin:searchguard:tenant:signals:account/put"


@pytest.mark.parametrize("method", ("GET", "POST"))
def test_callers_are_told_who_they_are(service: Service, method: str) -> None:
    answer = service.ask(method, "/_searchguard/authinfo", by="native", headers={"sgtenant": "blue"})
    assert answer.status_code == 200
    told = answer.json
    assert told == {
        "user": "User native <basic/internal_users_db>",
        "user_name": "native",
        "user_requested_tenant": "blue",
        "remote_address": "127.0.0.1",
        "backend_roles": [],
        "attribute_names": [],
        "sg_roles": ["native"],
        "sg_tenants": {"blue": True},
        "principal": None,
        "peer_certificates": "0",
        "cluster_name": "accounts-service",
    }


def test_tenants_are_those_one_may_read_with_whether_one_may_write(service: Service) -> None:
    roles = {
        "mixed": {
            "tenant_permissions": [
                {"tenant_patterns": ["blue"], "allowed_actions": ["SGS_SIGNALS_TENANT_ACCOUNT_READ"]},
                {"tenant_patterns": ["red"], "allowed_actions": ["SGS_KIBANA_ALL_WRITE"]},
            ]
        }
    }
    service.configure({"sg_roles.yml": roles, "sg_roles_mapping.yml": {"mixed": {"users": ["reader"]}}})
    told = service.get("/_searchguard/authinfo", by="reader").json
    assert told["sg_tenants"] == {"blue": False, "red": True}
    everywhere = service.get("/_searchguard/authinfo", by="stranger").json
    assert everywhere["sg_tenants"] == {}


def test_who_is_nobody_is_told_nothing(service: Service) -> None:
    assert service.get("/_searchguard/authinfo", by=None).status_code == 401
    assert service.get("/_searchguard/permission?permissions=x", by=None).status_code == 401


def test_permissions_are_told_each_by_itself(service: Service) -> None:
    answer = service.get(f"/_searchguard/permission?permissions={READ},{WRITE},nonsense", by="reader")
    assert answer.json == {"permissions": {READ: True, WRITE: False, "nonsense": False}}


def test_an_exclusion_counts(service: Service) -> None:
    answer = service.get(f"/_searchguard/permission?permissions={READ}", by="excluded")
    assert answer.json == {"permissions": {READ: False}}


def test_asked_actions_are_bounded_in_number_and_length(service: Service) -> None:
    path = "/_searchguard/permission?permissions="
    most = [f"a{number}" for number in range(99)] + ["x" * 200]
    assert len(service.get(path + ",".join(most), by="stranger").json["permissions"]) == 100
    for asked in ([*most, "y"], [*most, "a1"], ["x" * 201], ["a", "\u00f6" * 201]):
        answer = service.get(path + ",".join(asked), by="stranger")
        assert answer.status_code == 400
        assert answer.json == {
            "status": 400,
            "error": "permissions: more than 100 actions, or one of more than 200 characters",
        }


def test_asked_action_meets_a_careless_role_pattern_and_is_answered(service: Service) -> None:
    """Tried in every way, the pattern would keep a thread for longer than the time-out of a test."""
    slow = {"reader": {"cluster_permissions": [r"/(indices|cluster):(\w+:?)+\/get/"]}}
    service.configure({"sg_roles.yml": slow, "sg_roles_mapping.yml": {"reader": {"users": ["reader"]}}})
    names = ["cluster:" + "a" * 60, "cluster:" + "a:" * 96, "cluster:a:b/get"]
    answer = service.get(f"/_searchguard/permission?permissions={','.join(names)}", by="reader")
    assert answer.json == {"permissions": dict(zip(names, (False, False, True), strict=True))}


def _cost(service: Service, path: str) -> int:
    """Return the least of the processor time that this thread spends on an answer to `reader`."""
    least = 1 << 62
    for _ in range(4):
        started = time.thread_time_ns()
        assert service.get(path, by="reader").status_code == 200
        least = min(least, time.thread_time_ns() - started)
    return least


@pytest.mark.any_database
def test_a_tenant_for_each_user_costs_a_caller_little(service: Service) -> None:
    """Everyone with an identity may ask. A ratio of processor time within this thread, so that no machine matters."""
    files = {
        "sg_tenants.yml": {f"{name}_{number}": {} for name in ("reader", "x") for number in range(200)},
        "sg_roles.yml": {
            "reader": {
                "tenant_permissions": [
                    {"tenant_patterns": [f"${{user.name}}_{number}", f"/{number}x/"], "allowed_actions": [actions]}
                    for number, actions in ((1, "SGS_KIBANA_ALL_WRITE"), (2, "SGS_KIBANA_ALL_READ"), (3, "kibana:*"))
                ]
            }
        },
    }
    service.configure(files)

    told = service.get("/_searchguard/authinfo", by="reader").json["sg_tenants"]
    assert told == {"reader_1": True, "reader_2": False, "reader_3": True}
    assert _cost(service, "/_searchguard/authinfo") < 10 * _cost(
        service, f"/_searchguard/permission?permissions={READ}"
    )


@pytest.mark.any_database
def test_many_permissions_of_a_caller_with_many_roles_cost_little(service: Service) -> None:
    pattern = "/dept_${user.roles|toRegexFragment}/"
    allowed = {"tenant_patterns": [pattern], "allowed_actions": ["cluster:admin:searchguard:tenant:x*"]}
    member = {"hash": personas.hash_of("reader"), "backend_roles": [f"group-{number}" for number in range(200)]}
    service.configure(
        {
            "sg_internal_users.yml": {"reader": member},
            "sg_roles.yml": {"reader": {"tenant_permissions": [allowed]}},
            "sg_tenants.yml": {"dept_group-1": {}, "dept_x": {}},
        }
    )
    several = ["cluster:admin:searchguard:tenant:x1", "cluster:admin:searchguard:tenant:y", READ]
    for tenant, held in (("dept_group-1", [True, False, False]), ("dept_x", [False] * 3), ("none", [False] * 3)):
        path = f"/_searchguard/permission?permissions={','.join(several)}"
        answer = service.get(path, by="reader", headers={"sgtenant": tenant})
        assert answer.json == {"permissions": dict(zip(several, held, strict=True))}
    of_tenants, others = (
        _cost(service, "/_searchguard/permission?permissions=" + ",".join(f"{begin}{number}" for number in range(100)))
        for begin in ("cluster:admin:searchguard:tenant:x", "cluster:admin:x")
    )
    assert of_tenants < 4 * others


@pytest.mark.any_database
@pytest.mark.parametrize(("tenant", "held"), (("blue", True), ("red", False), ("", False), ("green", False)))
def test_a_tenants_permission_is_that_in_the_tenant_asked_for(service: Service, tenant: str, held: object) -> None:
    path = f"/_searchguard/permission?permissions={IN_TENANT}"
    answer = service.get(path, by="native", headers={"sgtenant": tenant})
    assert answer.json == {"permissions": {IN_TENANT: held}}


@pytest.mark.parametrize("query", ("", "?permissions=", "?permissions=,"))
def test_who_asks_for_nothing_is_told_nothing(service: Service, query: str) -> None:
    assert service.get(f"/_searchguard/permission{query}", by="stranger").json == {"permissions": {}}


def test_what_callers_ask_for_is_not_remembered(service: Service) -> None:
    rules = service.services.access.current().rules
    before = {roles: dict(held._decided) for roles, held in rules._compiled.items()}
    service.get("/_searchguard/permission?permissions=made:up/one,made:up/two", by="admin")
    remembered = {action for held in rules._compiled.values() for action in held._decided}
    assert not {action for action in remembered if action.startswith("made:up")}, before


@pytest.mark.parametrize("mode", ("strict", "lenient"))
def test_health_is_for_everyone(service: Service, mode: str) -> None:
    answer = service.get(f"/_searchguard/health?mode={mode}", by=None)
    assert (answer.status_code, answer.json) == (200, {"message": None, "mode": mode, "status": "UP"})
