"""Who uses an account: `/_accounts/references/{family}/{account}/{referrer}`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from accounts_service.families.signals import examples
from tests.support.service import Service

SLACK = "/_signals/account/slack/test"
USED_BY = "/_accounts/references/signals/slack/test"
BODY = examples.GOOD["slack"]


@pytest.fixture(autouse=True)
def account(service: Service) -> None:
    service.put(SLACK, BODY)


def referrers(service: Service, path: str = USED_BY) -> list[str]:
    return [reference["referrer"] for reference in service.get(path).json["references"]]


def test_a_reference_is_made_once_and_listed(service: Service) -> None:
    assert referrers(service) == []
    made = service.ask("PUT", f"{USED_BY}/watch-2")
    assert (made.status_code, made.json["referrer"]) == (201, "watch-2")
    again = service.ask("PUT", f"{USED_BY}/watch-2")
    assert (again.status_code, again.json) == (200, made.json)
    service.ask("PUT", f"{USED_BY}/Watch 1")
    assert referrers(service) == ["Watch 1", "watch-2"]


def test_an_account_that_is_used_stays(service: Service) -> None:
    service.ask("PUT", f"{USED_BY}/watch-1")
    refused = service.delete(SLACK)
    assert (refused.status_code, refused.json["error"]) == (409, "The account is still in use")
    assert service.get(SLACK).json["_version"] == 1
    assert service.put(SLACK, BODY).status_code == 200
    gone = service.delete(f"{USED_BY}/watch-1")
    assert (gone.status_code, gone.data) == (204, b"")
    assert service.delete(SLACK).status_code == 200
    assert service.get(USED_BY).status_code == 404


@pytest.mark.parametrize(
    "path", ("signals/slack/other", "signals/email/test", "signals/blue/slack/test", "signals/slack", "toys/slack/test")
)
def test_what_is_not_there_cannot_be_used(service: Service, path: str) -> None:
    for answer in (
        service.get(f"/_accounts/references/{path}"),
        service.ask("PUT", f"/_accounts/references/{path}/watch-1"),
        service.delete(f"/_accounts/references/{path}/watch-1"),
    ):
        assert (answer.status_code, answer.mimetype) == (404, "application/problem+json")


def test_a_reference_that_was_not_made_cannot_be_taken_back(service: Service) -> None:
    assert service.delete(f"{USED_BY}/watch-1").status_code == 404


def test_an_account_made_again_has_no_references(service: Service) -> None:
    service.ask("PUT", f"{USED_BY}/watch-1")
    service.delete(f"{USED_BY}/watch-1")
    service.delete(SLACK)
    service.put(SLACK, BODY)
    assert referrers(service) == []


@pytest.mark.parametrize("tenant", ("blue", "_main"))
def test_the_accounts_of_a_tenant_have_references_too(service: Service, tenant: str) -> None:
    account = f"/_signals/account/{tenant}/slack/test"
    service.put(account, BODY)
    used_by = f"/_accounts/references/signals/{tenant}/slack/test"
    assert service.ask("PUT", f"{used_by}/watch-1").status_code == 201
    assert referrers(service) == []
    assert service.delete(account).status_code == 409
    assert service.delete(SLACK).status_code == 200


@pytest.mark.any_database
@pytest.mark.parametrize("who", ("reader", "manager", "revealer", "native", "stranger"))
def test_references_are_for_who_may_have_them(service: Service, who: str) -> None:
    for answer in (
        service.get(USED_BY, by=who),
        service.ask("PUT", f"{USED_BY}/watch-1", by=who),
        service.delete(f"{USED_BY}/watch-1", by=who),
    ):
        assert answer.status_code == 403


def test_each_privilege_is_for_its_own_act(service: Service) -> None:
    roles = {
        verb: {"cluster_permissions": [f"cluster:admin:accounts:reference/{verb}"]} for verb in ("get", "put", "delete")
    }
    users = {"get": "reader", "put": "manager", "delete": "native"}
    mapping = {verb: {"users": [user]} for verb, user in users.items()}
    service.configure({"sg_roles.yml": roles, "sg_roles_mapping.yml": mapping})
    for verb, user in users.items():
        statuses = {
            "put": service.ask("PUT", f"{USED_BY}/watch-1", by=user).status_code,
            "get": service.get(USED_BY, by=user).status_code,
            "delete": service.delete(f"{USED_BY}/watch-1", by=user).status_code,
        }
        assert {name for name, status in statuses.items() if status != 403} == {verb}


def test_references_are_recorded(service: Service) -> None:
    service.ask("PUT", f"{USED_BY}/watch-1")
    service.ask("PUT", f"{USED_BY}/watch-1")
    service.delete(f"{USED_BY}/watch-1")
    recorded = [(row.act, row.object, row.version) for row in service.audited()][1:]
    assert recorded == [
        ("cluster:admin:accounts:reference/put", "slack/test by watch-1", 1),
        ("cluster:admin:accounts:reference/delete", "slack/test by watch-1", 2),
    ]


def test_a_reference_and_a_deletion_at_once_leave_no_dangling_reference(service: Service) -> None:
    for number in range(10):
        service.put(SLACK, BODY)
        with ThreadPoolExecutor(2) as pool:
            using = pool.submit(service.ask, "PUT", f"{USED_BY}/watch-{number}")
            going = pool.submit(service.delete, SLACK)
            used, gone = using.result().status_code, going.result().status_code
        assert (used, gone) in ((201, 409), (404, 200))
        if used == 201:
            assert service.delete(f"{USED_BY}/watch-{number}").status_code == 204


def test_of_many_who_remove_a_reference_at_once_one_does_and_is_recorded(service: Service) -> None:
    for number in range(10):
        path = f"{USED_BY}/watch-{number}"
        service.ask("PUT", path)
        with ThreadPoolExecutor(4) as pool:
            statuses = [answer.status_code for answer in pool.map(service.delete, [path] * 4)]
        assert sorted(statuses) == [204, 404, 404, 404]
    removals = [row.object for row in service.audited() if row.act.endswith("reference/delete")]
    assert sorted(removals) == sorted(f"slack/test by watch-{number}" for number in range(10))


def test_a_body_is_not_read(service: Service) -> None:
    assert service.ask("PUT", f"{USED_BY}/watch-1", json={}).status_code == 400
    assert service.ask("POST", f"{USED_BY}/watch-1").status_code == 405
