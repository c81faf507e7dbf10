# ruff: noqa: E501  # A table.
"""Who may do what, by hand: every route, method and mount against every persona.

The table is not made from the routes, so that a door that somebody opens by
accident does not open itself here, too. What the table lacks fails.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from accounts_service import app
from accounts_service.config import Settings
from accounts_service.families.signals import examples
from tests.support.installation import Installation
from tests.support.service import Answer, Service

PERSONAS = ("nobody", "reader", "manager", "admin", "excluded", "foreigner", "native", "old_native")

# Arguments of paths are filled in below. A path may be followed by `@tenant`:
# what `sgtenant` says. `excluded` may do everything but what is excluded;
# `foreigner` and `native` are at home in the tenants red and blue; `old_native`
# also holds the privileges of 2019.
TABLE = """
method  path                                                        nobody reader manager admin excluded foreigner native old_native
GET     /_signals/account/<account_type>/<account:name>                401    200     200   200      403       403    403        403
PUT     /_signals/account/<account_type>/<account:name>                401    403     200   200      403       403    403        403
DELETE  /_signals/account/<account_type>/<account:name>                401    403     200   200      403       403    403        403
GET     /_signals/account/<tenant>/<account_type>/<name>               401    403     403   200      403       403    200        200
PUT     /_signals/account/<tenant>/<account_type>/<name>               401    403     403   200      403       403    200        200
DELETE  /_signals/account/<tenant>/<account_type>/<name>               401    403     403   200      403       403    200        200
GET     /_signals/account/<id:account_id>                                401    200     200   200      403       403    403        200
PUT     /_signals/account/<id:account_id>                                401    403     200   200      403       403    403        200
DELETE  /_signals/account/<id:account_id>                                401    403     200   200      403       403    403        200
GET     /_signals/account/<id:account_id>@blue                         401    403     403   200      403       403    403        200
PUT     /_signals/account/<id:account_id>@blue                         401    403     403   200      403       403    403        200
DELETE  /_signals/account/<id:account_id>@blue                         401    403     403   200      403       403    403        200
GET     /_signals/account/<id:account_id>@red                          401    403     403   404      403       403    403        403
GET     /_signals/account/_search                                      401    200     200   200      403       403    403        200
POST    /_signals/account/_search                                      401    200     200   200      403       403    403        200
GET     /_signals/account/<tenant>/_search                             401    403     403   200      403       403    200        200
POST    /_signals/account/<tenant>/_search                             401    403     403   200      403       403    200        200
GET     /_search/scroll                                                401    403     403   404      404       403    403        403
POST    /_search/scroll                                                401    403     403   404      404       403    403        403
DELETE  /_search/scroll                                                401    403     403   200      200       403    403        403
GET     /_searchguard/authinfo                                         401    200     200   200      200       200    200        200
POST    /_searchguard/authinfo                                         401    200     200   200      200       200    200        200
GET     /_searchguard/permission                                       401    200     200   200      200       200    200        200
GET     /_searchguard/health                                           200    200     200   200      200       200    200        200
HEAD    /_searchguard/health                                           200    200     200   200      200       200    200        200
GET     /_accounts/references/<family>/<path:account>                  401    403     403   200      200       403    403        403
PUT     /_accounts/references/<family>/<path:account>/<referrer>       401    403     403   200      200       403    403        403
DELETE  /_accounts/references/<family>/<path:account>/<referrer>       401    403     403   204      204       403    403        403
GET     /openapi.json                                                  200    200     200   200      200       200    200        200
HEAD    /openapi.json                                                  200    200     200   200      200       200    200        200
GET     /openapi/<family>.json                                         200    200     200   200      200       200    200        200
HEAD    /openapi/<family>.json                                         200    200     200   200      200       200    200        200
GET     /docs                                                          200    200     200   200      200       200    200        200
HEAD    /docs                                                          200    200     200   200      200       200    200        200
GET     /docs/<file>                                                   200    200     200   200      200       200    200        200
HEAD    /docs/<file>                                                   200    200     200   200      200       200    200        200
GET     /livez                                                         200    200     200   200      200       200    200        200
HEAD    /livez                                                         200    200     200   200      200       200    200        200
GET     /readyz                                                        200    200     200   200      200       200    200        200
HEAD    /readyz                                                        200    200     200   200      200       200    200        200
"""

ARGUMENTS = {
    "<account_type>": "email",
    "<tenant>": "blue",
    "<name>": "alerts",
    "<account:name>": "alerts",
    "<id:account_id>": "alerts",
    "<family>": "signals",
    "<path:account>": "email/used",
    "<referrer>": "watch-1",
    "<file>": "swagger-ui.css",
}

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")


def _rows() -> Iterator[tuple[str, str, dict[str, int]]]:
    heading, *rows = TABLE.strip().splitlines()
    assert tuple(heading.split()[2:]) == PERSONAS
    for row in rows:
        method, path, *statuses = row.split()
        yield method, path, dict(zip(PERSONAS, map(int, statuses), strict=True))


ROWS = list(_rows())
PATHS = sorted({path.partition("@")[0] for _, path, _ in ROWS})


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path) -> Iterator[Service]:
    # Decisions do not depend on the database, so one will do.
    folder = tmp_path_factory.mktemp("table")
    database = shutil.copy(migrated_sqlite, folder / "accounts.db")
    service = Service(Installation(folder / "installation", f"sqlite:///{database}"))
    yield service
    service.close()


def _make_what_is_asked_for(service: Service) -> None:
    body = examples.GOOD["email"]
    for path in ("email/alerts", "blue/email/alerts", "email/used"):
        assert service.put(f"/_signals/account/{path}", body).status_code in (200, 201)
    assert service.ask("PUT", "/_accounts/references/signals/email/used/watch-1").status_code in (200, 201)


def _ask(service: Service, method: str, path: str, persona: str) -> Answer:
    path, _, tenant = path.partition("@")
    for argument, value in ARGUMENTS.items():
        path = path.replace(argument, value)
    body = {"type": "email", **examples.GOOD["email"]} if (method, path[:9]) == ("PUT", "/_signals") else None
    by = None if persona == "nobody" else persona
    return service.ask(method, path, by=by, headers={"sgtenant": tenant} if tenant else {}, json=body)


@pytest.mark.parametrize(("method", "path", "statuses"), ROWS, ids=[f"{method} {path}" for method, path, _ in ROWS])
def test_every_persona_is_answered_as_the_table_says(
    asked: Service, method: str, path: str, statuses: dict[str, int]
) -> None:
    found = {}
    for persona in PERSONAS:
        _make_what_is_asked_for(asked)
        found[persona] = _ask(asked, method, path, persona).status_code
    assert found == statuses


def test_the_table_has_every_route_method_and_mount() -> None:
    there = {
        (method, path)
        for family in app.FAMILIES.values()
        for route in family.routes
        for path in family.paths(route, Settings())
        for method in route.methods
    }
    assert {(method, path.partition("@")[0]) for method, path, _ in ROWS} == there


@pytest.mark.parametrize("path", PATHS)
def test_a_method_that_the_table_lacks_is_no_way_in(asked: Service, path: str) -> None:
    known = {method for method, listed, _ in ROWS if listed.partition("@")[0] == path}
    for method in sorted(set(METHODS) - known):
        status = _ask(asked, method, path, "admin").status_code
        # With the name of who refers to it, an account's path looks like that of another account.
        assert status in ((404, 405) if path.startswith("/_accounts/references") else (405,)), method
