"""Deleting accounts that are used: who uses them is told, or uses another from then on."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import pytest

from accounts_service.families.signals import examples
from accounts_service.families.signals.store import used
from accounts_service.families.signals.store.accounts import Account
from accounts_service.families.signals.store.references import AccountReferences
from accounts_service.families.signals.store.used import UsedAccounts
from tests.storage.kit import AUTHOR, GRANT
from tests.support.service import Service

OLD, NEW = "/_signals/account/slack/old", "/_signals/account/slack/new"
USED = "/_accounts/references/signals"
BODY = examples.GOOD["slack"]
REPLACING = f"{OLD}?replace_with=slack/new"


@pytest.fixture(autouse=True)
def accounts(service: Service) -> None:
    for path in (OLD, NEW):
        service.put(path, BODY)


def use(service: Service, account: str, *referrers: str) -> None:
    for referrer in referrers:
        assert service.ask("PUT", f"{USED}/{account}/{referrer}").status_code in (200, 201)


def users(service: Service, account: str) -> list[str]:
    document = service.get(f"{USED}/{account}").json
    listed = [reference["referrer"] for reference in document["references"]]
    assert document["count"] == len(listed)
    return listed


def test_who_uses_an_account_is_counted_for_all_and_named_to_who_may_know(service: Service) -> None:
    use(service, "slack/old", "watch-2", "watch-1")
    told = {"status": 409, "error": "The account is still in use"}
    assert service.delete(OLD).json == {
        **told,
        "detail": {"used_by": {"count": 2, "referrers": ["watch-1", "watch-2"]}},
    }
    nobody = {**told, "detail": {"used_by": {"count": 2, "referrers": []}}}
    assert service.delete(OLD, by="manager").json == nobody
    assert service.delete("/_signals/account/old", by="manager").json == nobody
    assert service.delete("/_signals/account/old").json["detail"]["used_by"]["referrers"] == ["watch-1", "watch-2"]
    assert service.get(OLD).json["_version"] == 1


def test_who_used_it_uses_its_replacement_and_each_change_is_recorded(service: Service) -> None:
    use(service, "slack/old", "watch-1", "watch-2")
    use(service, "slack/new", "watch-2", "watch-3")
    before = len(service.audited())
    answer = service.delete(f"{OLD}?replace_with=SLACK/new")
    assert (answer.status_code, answer.json["_version"]) == (200, 2)
    assert users(service, "slack/new") == ["watch-1", "watch-2", "watch-3"]
    recorded = [(row.act.rpartition("/")[2], row.object, row.detail) for row in service.audited()[before:]]
    gone, new = '{"replaced_with": "slack/new"}', '{"instead_of": "slack/old"}'
    assert recorded == [
        ("delete", "slack/old by watch-1", gone),
        ("put", "slack/new by watch-1", new),
        ("delete", "slack/old by watch-2", gone),
        ("delete", "slack/old", "{}"),
    ]
    states = [(row.uid, row.version) for row in service.audited()]
    assert len(set(states)) == len(states)
    assert service.delete(f"{USED}/slack/new/watch-1").status_code == 204


def test_a_replacement_must_be_there_of_the_same_type_and_scope_and_another(service: Service) -> None:
    use(service, "slack/old", "watch-1")
    service.put("/_signals/account/email/new", examples.GOOD["email"])
    service.put("/_signals/account/blue/slack/other", BODY)
    for sent in (
        "",
        "slack",
        "slack/",
        "/new",
        "slack/none",
        "email/new",
        "slack/old",
        "blue/slack/other",
        "slack/other",
    ):
        answer = service.delete(f"{OLD}?replace_with={sent}")
        assert (answer.status_code, answer.json["error"].partition(": ")[0]) == (400, "replace_with"), sent
    assert users(service, "slack/old") == ["watch-1"]
    assert service.delete(f"{NEW}x?replace_with=slack/new").status_code == 404
    assert service.delete(REPLACING, headers={"If-Match": '"9"'}).status_code == 412
    tenants = "/_signals/account/blue/slack/mine"
    service.put(tenants, BODY)
    use(service, "blue/slack/mine", "watch-1")
    assert service.delete(f"{tenants}?replace_with=slack/new").status_code == 400
    assert service.delete(f"{tenants}?replace_with=slack/other").status_code == 200
    assert users(service, "blue/slack/other") == ["watch-1"]


def test_replacing_asks_for_what_changing_references_asks_for(service: Service) -> None:
    use(service, "slack/old", "watch-1")
    may_delete = "cluster:admin:searchguard:signals:account/delete"
    references = [f"cluster:admin:accounts:reference/{verb}" for verb in ("put", "delete")]
    mapping = {"deleter": {"users": ["reader"]}, "SGS_ALL_ACCESS": {"users": ["admin"]}}
    for held in ([], references[:1], references[1:]):
        roles = {"deleter": {"cluster_permissions": [may_delete, *held]}}
        service.configure({"sg_roles.yml": roles, "sg_roles_mapping.yml": mapping})
        # Before anything is told of the other account.
        for path in (REPLACING, f"{OLD}?replace_with=slack/none"):
            assert service.delete(path, by="reader").status_code == 403
    roles = {"deleter": {"cluster_permissions": [may_delete, *references]}}
    service.configure({"sg_roles.yml": roles, "sg_roles_mapping.yml": mapping})
    assert service.delete(REPLACING, by="reader").status_code == 200


def test_what_comes_while_an_account_is_replaced_is_not_lost(service: Service) -> None:
    for number in range(5):
        service.put(OLD, BODY)
        use(service, "slack/old", f"old-{number}")
        with ThreadPoolExecutor(2) as pool:
            using = pool.submit(service.ask, "PUT", f"{USED}/slack/old/late-{number}")
            going = pool.submit(service.delete, REPLACING)
            used, gone = using.result().status_code, going.result().status_code
        assert (used, gone) in ((201, 200), (404, 200))
        there = users(service, "slack/new")
        assert (f"old-{number}" in there, f"late-{number}" in there) == (True, used == 201)


def test_who_is_removed_while_an_account_is_replaced_does_not_come_back_with_the_other(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(service, "slack/old", "watch-1", "watch-2")
    removals: list[Future[Any]] = []
    real = UsedAccounts._leaving

    def meanwhile(accounts: UsedAccounts, account: Account) -> Any:
        leaving = real(accounts, account)
        removals.append(pool.submit(service.delete, f"{USED}/slack/old/watch-1"))
        # It has to wait for the replacement; one that need not is done by then.
        wait(removals, 0.3)
        return leaving

    monkeypatch.setattr(UsedAccounts, "_leaving", meanwhile)
    with ThreadPoolExecutor(1) as pool:
        assert service.delete(REPLACING).status_code == 200
        (removed,) = removals
        assert removed.result().status_code == 404
    assert users(service, "slack/new") == ["watch-1", "watch-2"]
    states = [(row.uid, row.version) for row in service.audited()]
    assert len(set(states)) == len(states)


def test_who_was_removed_from_the_other_before_an_account_is_replaced_uses_the_other_after(service: Service) -> None:
    use(service, "slack/old", "watch-1", "watch-2")
    use(service, "slack/new", "watch-1", "watch-2")
    with ThreadPoolExecutor(1) as pool:
        with service.services.database.transaction(AccountReferences, AUTHOR) as references:
            references.remove(GRANT, "slack/new", "watch-1")
            going = pool.submit(service.delete, REPLACING)
            # It has to wait for the removal; one that need not is done by then.
            wait((going,), 0.3)
        assert going.result().status_code == 200
    assert users(service, "slack/new") == ["watch-1", "watch-2"]


def test_so_many_are_handed_over_in_one_transaction_and_no_more(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert used.MOST_REPLACED == 1000
    monkeypatch.setattr(used, "MOST_REPLACED", 2)
    use(service, "slack/old", "watch-1", "watch-2", "watch-3")
    before = len(service.audited())
    told = "replace_with: more than 2 use the account; change some of the references first"
    answer = service.delete(REPLACING)
    assert (answer.status_code, answer.json["error"]) == (400, told)
    assert (len(service.audited()), users(service, "slack/new")) == (before, [])
    assert service.delete(f"{USED}/slack/old/watch-3").status_code == 204
    assert service.delete(REPLACING).status_code == 200
    assert users(service, "slack/new") == ["watch-1", "watch-2"]


def test_two_that_replace_each_other_leave_one(service: Service) -> None:
    for number in range(5):
        for path in (OLD, NEW):
            service.put(path, BODY)
        use(service, "slack/old", f"one-{number}")
        use(service, "slack/new", f"two-{number}")
        with ThreadPoolExecutor(2) as pool:
            answers = pool.map(service.delete, (REPLACING, f"{NEW}?replace_with=slack/old"))
            statuses = sorted(answer.status_code for answer in answers)
        # The second finds itself gone, or the other.
        assert statuses in ([200, 400], [200, 404])
        (left,) = [name for name in ("old", "new") if service.get(f"/_signals/account/slack/{name}").status_code == 200]
        assert {f"one-{number}", f"two-{number}"} <= set(users(service, f"slack/{left}"))
