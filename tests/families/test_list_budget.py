"""Lists whose elements are small, and which are large by what these have: refused before they are in memory."""

from __future__ import annotations

import json
from itertools import product

import pytest
from sqlalchemy import insert

from accounts_service.families.netbird.tables import EVENT, USER
from accounts_service.families.wavefront.tables import ACCOUNT, ACCOUNT_GROUP, GROUP
from tests.support.installation import Installation
from tests.support.netbird import NetBird
from tests.support.service import Service

GROUPS, USERS = 40, 200


def _crowd(service: Service) -> None:
    """Put every user into every group; each group has a description of 8 kB."""
    groups = [
        {
            "uid": f"g{number}",
            "name": f"g{number}",
            "description": "\N{GRINNING FACE}" * 2000,
            "system": "",
            "created_us": 0,
            "version": 1,
        }
        for number in range(GROUPS)
    ]
    accounts = [
        {
            "uid": f"u{number:03}",
            "identifier": f"u{number:03}@example.com",
            "folded": f"u{number:03}@example.com",
            "caseless": f"u{number:03}@example.com",
            "kind": "user",
            "active": 1,
            "created_us": 0,
            "version": 1,
        }
        for number in range(USERS)
    ]
    links = [
        {"account_uid": account["uid"], "group_uid": group["uid"], "number": 1}
        for account, group in product(accounts, groups)
    ]
    with service.services.database.begin() as connection:
        for table, rows in ((GROUP, groups), (ACCOUNT, accounts), (ACCOUNT_GROUP, links)):
            connection.execute(insert(table), rows)


@pytest.mark.any_database
def test_a_list_that_shows_its_groups_over_and_over_is_refused(service: Service) -> None:
    _crowd(service)
    for path in ("/api/v2/account/user", "/api/v2/user"):
        refused = service.ask("GET", path)
        assert refused.status_code == 400, path
        assert "too large" in refused.text
        # Nothing is held for what was not sent.
    for _ in range(20):
        shown = service.ask("GET", f"/api/v2/account?limit={USERS}")
        assert (shown.status_code, len(shown.json["response"]["items"])) == (200, USERS)
        assert (shown.json["response"]["totalItems"], shown.json["response"]["moreItems"]) == (USERS, False)
        shown.close()


def test_events_are_listed_as_far_as_a_page_goes(installation: Installation) -> None:
    """An account may have ten thousand of a kilobyte each, and NetBird has no pages to ask for."""
    service = Service(installation, ACCOUNTS_PAGE_MEBIBYTES="1")
    netbird = NetBird(service)
    (account,) = netbird.ok("GET", "/accounts")
    texts = dict.fromkeys(("initiator_id", "initiator_name", "initiator_email"), "x")
    meta = json.dumps({"setting": "jwt_allow_groups", "new": "\N{GRINNING FACE}" * 200}, ensure_ascii=False)
    one = {"account_id": account["id"], "at_us": 0, "code": "account.create", "target_id": "x", **texts, "meta": meta}
    with service.services.database.begin() as connection:
        connection.execute(insert(EVENT), [one] * 2000)
    netbird.ok("PUT", f"/accounts/{account['id']}", {"settings": {**account["settings"], "jwt_groups_enabled": True}})
    service.is_described = False
    for path in ("/events", "/events/audit"):
        answer = netbird.ask("GET", path)
        assert answer.status_code == 200
        assert 512 * 1024 < len(answer.text.encode()) < 1024 * 1024
        assert answer.json[0]["activity_code"] != "account.create"
        ids = [int(event["id"]) for event in answer.json]
        # The newest ones, without a gap.
        assert ids == [*range(ids[0], ids[-1] - 1, -1)]
        answer.close()
    service.close()


@pytest.mark.any_database
def test_a_list_of_users_with_large_groups_is_refused(service: Service) -> None:
    netbird = NetBird(service)
    (account,) = netbird.ok("GET", "/accounts")
    users = [
        {
            "id": f"large{number}",
            "uid": f"large{number}",
            "account_id": account["id"],
            "role": "user",
            "name": "large",
            "email": "",
            "service_user": 0,
            "auto_groups": json.dumps([f"{group:0255}" for group in range(1000)]),
            "blocked": 0,
            "pending": 0,
            "created_us": 0,
            "version": 1,
        }
        for number in range(40)
    ]
    assert netbird.ok("GET", "/users")
    with service.services.database.begin() as connection:
        connection.execute(insert(USER), users)
    service.is_described = False
    refused = netbird.ask("GET", "/users")
    assert (refused.status_code, refused.json["message"]) == (413, "the list is too large to be sent at once")
