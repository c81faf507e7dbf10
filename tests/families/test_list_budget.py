"""Lists whose elements are small, and which are large by what these have: refused before they are in memory."""

from __future__ import annotations

import json
from itertools import product

import pytest
from sqlalchemy import insert

from accounts_service.families.netbird.tables import USER
from accounts_service.families.wavefront.tables import ACCOUNT, ACCOUNT_GROUP, GROUP
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
