"""Who may do what with a token of Wavefront's own, by hand: every route against every kind of account.

What callers with a password may do stands in test_access_table.py.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from accounts_service import app
from accounts_service.config import Settings
from tests.support.installation import Installation
from tests.support.service import Service
from tests.support.wavefront import ROOT, Client, bearer, token_of
from tests.support.wavefront_things import Things

# `manager` and `tokenmanager` hold user_management and token_management, and
# `bygroup` holds user_management by a role of a group. The service account
# `service` holds user_management; `inactive` did so until it was deactivated.
# `@own`: the path names the caller's own account or token.
TABLE = """
method  path                                             plain manager tokenmanager service inactive bygroup
GET     /account                                         403   200     403          200     401      200
GET     /account/<account:id>                            403   200     403          200     401      200
GET     /account/<account:id>@own                        200   200     200          200     401      200
DELETE  /account/<account:id>                            403   200     403          200     401      200
DELETE  /account/<account:id>@own                        403   400     403          400     401      400
POST    /account/deleteAccounts                          403   200     403          200     401      200
POST    /account/validateAccounts                        200   200     200          200     401      200
GET     /account/<account:id>/businessFunctions          403   200     403          200     401      200
GET     /account/<account:id>/businessFunctions@own      200   200     200          200     401      200
POST    /account/<account:id>/grant/<permission>         403   200     403          200     401      200
POST    /account/<account:id>/revoke/<permission>        403   200     403          200     401      200
POST    /account/grant/<permission>                      403   200     403          200     401      200
POST    /account/revoke/<permission>                     403   200     403          200     401      200
POST    /account/<account:id>/addUserGroups              403   200     403          200     401      200
POST    /account/<account:id>/removeUserGroups           403   200     403          200     401      200
POST    /account/<account:id>/addRoles                   403   200     403          200     401      200
POST    /account/<account:id>/removeRoles                403   200     403          200     401      200
GET     /account/user                                    403   200     403          200     401      200
POST    /account/user                                    403   200     403          200     401      200
GET     /account/user/admin                              200   200     200          200     401      200
POST    /account/user/invite                             403   200     403          200     401      200
GET     /account/user/<user:id>                          403   200     403          200     401      200
GET     /account/user/<user:id>@own                      200   200     200          404     401      200
PUT     /account/user/<user:id>                          403   200     403          200     401      200
GET     /account/serviceaccount                          403   200     403          200     401      200
POST    /account/serviceaccount                          403   200     403          200     401      200
GET     /account/serviceaccount/<id>                     403   200     403          200     401      200
PUT     /account/serviceaccount/<id>                     403   200     403          200     401      200
POST    /account/serviceaccount/<id>/activate            403   200     403          200     401      200
POST    /account/serviceaccount/<id>/deactivate          403   200     403          200     401      200
GET     /user                                            403   200     403          200     401      200
POST    /user                                            403   200     403          200     401      200
GET     /user/<user:id>                                  403   200     403          200     401      200
GET     /user/<user:id>@own                              200   200     200          404     401      200
PUT     /user/<user:id>                                  403   200     403          200     401      200
DELETE  /user/<user:id>                                  403   204     403          204     401      204
DELETE  /user/<user:id>@own                              403   400     403          404     401      400
POST    /user/deleteUsers                                403   200     403          200     401      200
POST    /user/validateUsers                              200   200     200          200     401      200
POST    /user/invite                                     403   200     403          200     401      200
GET     /user/<user:id>/businessFunctions                403   200     403          200     401      200
GET     /user/<user:id>/businessFunctions@own            200   200     200          404     401      200
POST    /user/<user:id>/grant                            403   200     403          200     401      200
POST    /user/<user:id>/revoke                           403   200     403          200     401      200
POST    /user/grant/<permission>                         403   200     403          200     401      200
POST    /user/revoke/<permission>                        403   200     403          200     401      200
POST    /user/<user:id>/addUserGroups                    403   200     403          200     401      200
POST    /user/<user:id>/removeUserGroups                 403   200     403          200     401      200
GET     /usergroup                                       403   200     403          200     401      200
POST    /usergroup                                       403   200     403          200     401      200
GET     /usergroup/<id>                                  403   200     403          200     401      200
PUT     /usergroup/<id>                                  403   200     403          200     401      200
DELETE  /usergroup/<id>                                  403   200     403          200     401      200
POST    /usergroup/<id>/addUsers                         403   200     403          200     401      200
POST    /usergroup/<id>/removeUsers                      403   200     403          200     401      200
POST    /usergroup/<id>/addRoles                         403   200     403          200     401      200
POST    /usergroup/<id>/removeRoles                      403   200     403          200     401      200
GET     /role                                            403   200     403          200     401      200
POST    /role                                            403   200     403          200     401      200
GET     /role/<named:id>                                 403   200     403          200     401      200
PUT     /role/<named:id>                                 403   200     403          200     401      200
DELETE  /role/<named:id>                                 403   200     403          200     401      200
POST    /role/<named:id>/addAssignees                    403   200     403          200     401      200
POST    /role/<named:id>/removeAssignees                 403   200     403          200     401      200
POST    /role/grant/<permission>                         403   200     403          200     401      200
POST    /role/revoke/<permission>                        403   200     403          200     401      200
GET     /apitoken                                        200   200     200          200     401      200
POST    /apitoken                                        403   403     200          403     401      403
PUT     /apitoken/<named:token>@own                      200   200     200          200     401      200
PUT     /apitoken/<named:token>                          404   404     404          404     401      404
DELETE  /apitoken/<named:token>@own                      200   200     200          200     401      200
DELETE  /apitoken/<named:token>                          404   404     404          404     401      404
GET     /apitoken/serviceaccount/<id>                    403   200     403          403     401      200
POST    /apitoken/serviceaccount/<id>                    403   200     403          403     401      200
PUT     /apitoken/serviceaccount/<id>/<token>            403   200     403          200     401      200
DELETE  /apitoken/serviceaccount/<id>/<token>            403   200     403          200     401      200
GET     /apitoken/customertokens                         403   200     403          403     401      200
GET     /apitoken/customertokens/<token>                 403   200     403          403     401      200
PUT     /apitoken/customertokens/revoke                  403   200     403          200     401      200
POST    /search/user                                     403   200     403          200     401      200
POST    /search/account                                  403   200     403          200     401      200
POST    /search/serviceaccount                           403   200     403          200     401      200
POST    /search/usergroup                                403   200     403          200     401      200
POST    /search/role                                     403   200     403          200     401      200
POST    /search/token                                    403   200     403          403     401      200
POST    /search/user/<account_facet>                     403   200     403          200     401      200
POST    /search/user/facets                              403   200     403          200     401      200
POST    /search/account/<account_facet>                  403   200     403          200     401      200
POST    /search/account/facets                           403   200     403          200     401      200
POST    /search/serviceaccount/<account_facet>           403   200     403          200     401      200
POST    /search/serviceaccount/facets                    403   200     403          200     401      200
POST    /search/usergroup/<group_facet>                  403   200     403          200     401      200
POST    /search/usergroup/facets                         403   200     403          200     401      200
POST    /search/role/<role_facet>                        403   200     403          200     401      200
POST    /search/role/facets                              403   200     403          200     401      200
POST    /search/token/<token_facet>                      403   200     403          403     401      200
POST    /search/token/facets                             403   200     403          403     401      200
"""

WHO = {
    "plain": "plain@example.com",
    "manager": "manager@example.com",
    "tokenmanager": "tokenmanager@example.com",
    "service": "sa::service",
    "inactive": "sa::inactive",
    "bygroup": "bygroup@example.com",
}
HELD = {
    "manager": "user_management",
    "tokenmanager": "token_management",
    "service": "user_management",
    "inactive": "user_management",
}


def _rows() -> Iterator[tuple[str, str, dict[str, int]]]:
    heading, *rows = TABLE.strip().splitlines()
    assert tuple(heading.split()[2:]) == tuple(WHO)
    for row in rows:
        method, path, *statuses = row.split()
        yield method, ROOT + path, dict(zip(WHO, map(int, statuses), strict=True))


ROWS = list(_rows())


class Callers:
    """The accounts, each with a token to come with and another to be changed."""

    def __init__(self, service: Service) -> None:
        self.things = Things(service)
        self._service = service
        self.tokens = {
            who: token_of(service, name, *((HELD[who],) if who in HELD else ())) for who, name in WHO.items()
        }
        self._spare: dict[str, str] = {}
        manager = Client(service, self.tokens["manager"])
        group = manager.group("Managers", roleIDs=[manager.role("Managing", "user_management")])
        manager.user(WHO["bygroup"], userGroups=[group])
        manager.ok("POST", f"/account/serviceaccount/{WHO['inactive']}/deactivate")

    def spare(self, who: str) -> str:
        """Give a token of an account that may be revoked."""
        own = Client(self._service, self.tokens[who])
        there = own.ask("GET", "/apitoken")
        if there.status_code == 200 and self._spare.get(who) not in [one["tokenID"] for one in there.json["response"]]:
            self._spare[who] = token_of(self._service, WHO[who])
        return self._spare.get(who, self.tokens[who])


@pytest.fixture(scope="module")
def callers(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path) -> Iterator[Callers]:
    # Decisions do not depend on the database, so one will do.
    folder = tmp_path_factory.mktemp("table")
    database = shutil.copy(migrated_sqlite, folder / "accounts.db")
    service = Service(Installation(folder / "installation", f"sqlite:///{database}"))
    yield Callers(service)
    service.close()


@pytest.mark.parametrize(("method", "path", "statuses"), ROWS, ids=[f"{method} {path}" for method, path, _ in ROWS])
def test_every_account_is_answered_as_the_table_says(
    callers: Callers, method: str, path: str, statuses: dict[str, int]
) -> None:
    rule, _, own = path.partition("@")
    found = {}
    is_as_made = False
    for who, name in WHO.items():
        if not is_as_made:
            callers.things.renew()
        whose: dict[str, Any] = {"account": name, "mine": callers.spare(who)} if own else {}
        answer = callers.things.ask(method, rule, by=None, headers=bearer(callers.tokens[who]), **whose)
        found[who] = answer.status_code
        is_as_made = method == "GET" or answer.status_code >= 400  # Who was refused has changed nothing.
    assert found == statuses


def test_the_table_has_every_route_and_method() -> None:
    family = app.FAMILIES["wavefront"]
    there = {
        (method, path)
        for route in family.routes
        for path in family.paths(route, Settings())
        for method in route.methods
    }
    assert {(method, path.partition("@")[0]) for method, path, _ in ROWS} == there
