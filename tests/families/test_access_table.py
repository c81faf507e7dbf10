# ruff: noqa: E501  # A table.
"""Who may do what, by hand: every route, method and mount against every persona.

The table is not made from the routes, so that a door that somebody opens by
accident does not open itself here, too. What the table lacks fails.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, TypeAlias

import pytest

from accounts_service import app
from accounts_service.config import Settings
from accounts_service.families.signals import examples
from tests.support.installation import Installation
from tests.support.mention import Person
from tests.support.netbird import Tenancy
from tests.support.service import Answer, Service
from tests.support.wavefront_things import Things

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
GET     /_signals/account/<tenant>/<account_type>/<within:name>               401    403     403   200      403       403    200        200
PUT     /_signals/account/<tenant>/<account_type>/<within:name>               401    403     403   200      403       403    200        200
DELETE  /_signals/account/<tenant>/<account_type>/<within:name>               401    403     403   200      403       403    200        200
PATCH   /_signals/account/<account_type>/<account:name>                401    403     200   200      403       403    403        403
PATCH   /_signals/account/<tenant>/<account_type>/<within:name>        401    403     403   200      403       403    200        200
GET     /_signals/account/<type:account_type>/<account:name>/_versions 401    200     200   200      403       403    403        403
GET     /_signals/account/<type:account_type>/<account:name>/_versions/<version:version> 401 200 200 200   403       403    403        403
POST    /_signals/account/<type:account_type>/<account:name>/_versions/<version:version>:restore 401 403 200 200 403 403 403     403
GET     /_signals/account/<tenant>/<account_type>/<within:name>/_versions 401 403     403   200      403       403    200        200
GET     /_signals/account/<tenant>/<account_type>/<within:name>/_versions/<version:version> 401 403 403 200 403 403   200        200
POST    /_signals/account/<tenant>/<account_type>/<within:name>/_versions/<version:version>:restore 401 403 403 200 403 403 200 200
GET     /_signals/bin                                                  401    200     200   200      403       403    403        403
DELETE  /_signals/bin/<uid:uid>                                        401    403     200   200      403       403    403        403
POST    /_signals/bin/<uid:uid>:undelete                               401    403     200   200      403       403    403        403
GET     /_signals/tenant/<tenant>/bin                                  401    403     403   200      403       403    200        200
DELETE  /_signals/tenant/<tenant>/bin/<uid:uid>                        401    403     403   200      403       403    200        200
POST    /_signals/tenant/<tenant>/bin/<uid:uid>:undelete               401    403     403   200      403       403    200        200
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
GET     /_accounts/audit                                               401    403     403   200      200       403    403        403
GET     /_accounts/audit/verify                                        401    403     403   200      200       403    403        403
GET     /_accounts/explain                                             401    200     200   200      200       200    200        200
GET     /_accounts/references/<family>/<path:account>                  401    403     403   200      200       403    403        403
PUT     /_accounts/references/<family>/<path:account>/<referrer>       401    403     403   200      200       403    403        403
DELETE  /_accounts/references/<family>/<path:account>/<referrer>       401    403     403   204      204       403    403        403
GET     /api/v2/account                                                    401    403     403   200      200       403    403        403
GET     /api/v2/account/<account:id>                                       401    403     403   200      200       403    403        403
DELETE  /api/v2/account/<account:id>                                       401    403     403   200      200       403    403        403
POST    /api/v2/account/deleteAccounts                                     401    403     403   200      200       403    403        403
POST    /api/v2/account/validateAccounts                                   401    403     403   200      200       403    403        403
GET     /api/v2/account/<account:id>/businessFunctions                     401    403     403   200      200       403    403        403
POST    /api/v2/account/<account:id>/grant/<permission>                    401    403     403   200      200       403    403        403
POST    /api/v2/account/<account:id>/revoke/<permission>                   401    403     403   200      200       403    403        403
POST    /api/v2/account/grant/<permission>                                 401    403     403   200      200       403    403        403
POST    /api/v2/account/revoke/<permission>                                401    403     403   200      200       403    403        403
POST    /api/v2/account/<account:id>/addUserGroups                         401    403     403   200      200       403    403        403
POST    /api/v2/account/<account:id>/removeUserGroups                      401    403     403   200      200       403    403        403
POST    /api/v2/account/<account:id>/addRoles                              401    403     403   200      200       403    403        403
POST    /api/v2/account/<account:id>/removeRoles                           401    403     403   200      200       403    403        403
GET     /api/v2/account/user                                               401    403     403   200      200       403    403        403
POST    /api/v2/account/user                                               401    403     403   200      200       403    403        403
GET     /api/v2/account/user/admin                                         401    403     403   200      200       403    403        403
POST    /api/v2/account/user/invite                                        401    403     403   200      200       403    403        403
GET     /api/v2/account/user/<user:id>                                     401    403     403   200      200       403    403        403
PUT     /api/v2/account/user/<user:id>                                     401    403     403   200      200       403    403        403
GET     /api/v2/account/serviceaccount                                     401    403     403   200      200       403    403        403
POST    /api/v2/account/serviceaccount                                     401    403     403   200      200       403    403        403
GET     /api/v2/account/serviceaccount/<id>                                401    403     403   200      200       403    403        403
PUT     /api/v2/account/serviceaccount/<id>                                401    403     403   200      200       403    403        403
POST    /api/v2/account/serviceaccount/<id>/activate                       401    403     403   200      200       403    403        403
POST    /api/v2/account/serviceaccount/<id>/deactivate                     401    403     403   200      200       403    403        403
GET     /api/v2/user                                                       401    403     403   200      200       403    403        403
POST    /api/v2/user                                                       401    403     403   200      200       403    403        403
GET     /api/v2/user/<user:id>                                             401    403     403   200      200       403    403        403
PUT     /api/v2/user/<user:id>                                             401    403     403   200      200       403    403        403
DELETE  /api/v2/user/<user:id>                                             401    403     403   204      204       403    403        403
POST    /api/v2/user/deleteUsers                                           401    403     403   200      200       403    403        403
POST    /api/v2/user/validateUsers                                         401    403     403   200      200       403    403        403
POST    /api/v2/user/invite                                                401    403     403   200      200       403    403        403
GET     /api/v2/user/<user:id>/businessFunctions                           401    403     403   200      200       403    403        403
POST    /api/v2/user/<user:id>/grant                                       401    403     403   200      200       403    403        403
POST    /api/v2/user/<user:id>/revoke                                      401    403     403   200      200       403    403        403
POST    /api/v2/user/grant/<permission>                                    401    403     403   200      200       403    403        403
POST    /api/v2/user/revoke/<permission>                                   401    403     403   200      200       403    403        403
POST    /api/v2/user/<user:id>/addUserGroups                               401    403     403   200      200       403    403        403
POST    /api/v2/user/<user:id>/removeUserGroups                            401    403     403   200      200       403    403        403
GET     /api/v2/usergroup                                                  401    403     403   200      200       403    403        403
POST    /api/v2/usergroup                                                  401    403     403   200      200       403    403        403
GET     /api/v2/usergroup/<id>                                             401    403     403   200      200       403    403        403
PUT     /api/v2/usergroup/<id>                                             401    403     403   200      200       403    403        403
DELETE  /api/v2/usergroup/<id>                                             401    403     403   200      200       403    403        403
POST    /api/v2/usergroup/<id>/addUsers                                    401    403     403   200      200       403    403        403
POST    /api/v2/usergroup/<id>/removeUsers                                 401    403     403   200      200       403    403        403
POST    /api/v2/usergroup/<id>/addRoles                                    401    403     403   200      200       403    403        403
POST    /api/v2/usergroup/<id>/removeRoles                                 401    403     403   200      200       403    403        403
GET     /api/v2/role                                                       401    403     403   200      200       403    403        403
POST    /api/v2/role                                                       401    403     403   200      200       403    403        403
GET     /api/v2/role/<named:id>                                            401    403     403   200      200       403    403        403
PUT     /api/v2/role/<named:id>                                            401    403     403   200      200       403    403        403
DELETE  /api/v2/role/<named:id>                                            401    403     403   200      200       403    403        403
POST    /api/v2/role/<named:id>/addAssignees                               401    403     403   200      200       403    403        403
POST    /api/v2/role/<named:id>/removeAssignees                            401    403     403   200      200       403    403        403
POST    /api/v2/role/grant/<permission>                                    401    403     403   200      200       403    403        403
POST    /api/v2/role/revoke/<permission>                                   401    403     403   200      200       403    403        403
GET     /api/v2/apitoken                                                   401    403     403   403      403       403    403        403
POST    /api/v2/apitoken                                                   401    403     403   403      403       403    403        403
PUT     /api/v2/apitoken/<named:token>                                     401    403     403   403      403       403    403        403
DELETE  /api/v2/apitoken/<named:token>                                     401    403     403   403      403       403    403        403
GET     /api/v2/apitoken/serviceaccount/<id>                               401    403     403   200      200       403    403        403
POST    /api/v2/apitoken/serviceaccount/<id>                               401    403     403   200      200       403    403        403
PUT     /api/v2/apitoken/serviceaccount/<id>/<token>                       401    403     403   200      200       403    403        403
DELETE  /api/v2/apitoken/serviceaccount/<id>/<token>                       401    403     403   200      200       403    403        403
GET     /api/v2/apitoken/customertokens                                    401    403     403   200      200       403    403        403
GET     /api/v2/apitoken/customertokens/<token>                            401    403     403   200      200       403    403        403
PUT     /api/v2/apitoken/customertokens/revoke                             401    403     403   200      200       403    403        403
POST    /api/v2/search/user                                                401    403     403   200      200       403    403        403
POST    /api/v2/search/account                                             401    403     403   200      200       403    403        403
POST    /api/v2/search/serviceaccount                                      401    403     403   200      200       403    403        403
POST    /api/v2/search/usergroup                                           401    403     403   200      200       403    403        403
POST    /api/v2/search/role                                                401    403     403   200      200       403    403        403
POST    /api/v2/search/token                                               401    403     403   200      200       403    403        403
POST    /api/v2/search/user/<account_facet>                                401    403     403   200      200       403    403        403
POST    /api/v2/search/user/facets                                         401    403     403   200      200       403    403        403
POST    /api/v2/search/account/<account_facet>                             401    403     403   200      200       403    403        403
POST    /api/v2/search/account/facets                                      401    403     403   200      200       403    403        403
POST    /api/v2/search/serviceaccount/<account_facet>                      401    403     403   200      200       403    403        403
POST    /api/v2/search/serviceaccount/facets                               401    403     403   200      200       403    403        403
POST    /api/v2/search/usergroup/<group_facet>                             401    403     403   200      200       403    403        403
POST    /api/v2/search/usergroup/facets                                    401    403     403   200      200       403    403        403
POST    /api/v2/search/role/<role_facet>                                   401    403     403   200      200       403    403        403
POST    /api/v2/search/role/facets                                         401    403     403   200      200       403    403        403
POST    /api/v2/search/token/<token_facet>                                 401    403     403   200      200       403    403        403
POST    /api/v2/search/token/facets                                        401    403     403   200      200       403    403        403
GET     /api/accounts                                                      401    403     403   403      403       403    403        403
PUT     /api/accounts/<account_id>                                         401    403     403   200      200       403    403        403
PATCH   /api/accounts/<account_id>                                         401    403     403   200      200       403    403        403
DELETE  /api/accounts/<account_id>                                         401    403     403   200      200       403    403        403
GET     /api/users                                                         401    403     403   403      403       403    403        403
GET     /api/users/current                                                 401    403     403   403      403       403    403        403
POST    /api/users                                                         401    403     403   403      403       403    403        403
PUT     /api/users/<user:user_id>                                          401    403     403   200      200       403    403        403
DELETE  /api/users/<user:user_id>                                          401    403     403   200      200       403    403        403
GET     /api/users/<user_id>/tokens                                        401    403     403   200      200       403    403        403
POST    /api/users/<user_id>/tokens                                        401    403     403   200      200       403    403        403
GET     /api/users/<user_id>/tokens/<token_id>                             401    403     403   200      200       403    403        403
DELETE  /api/users/<user_id>/tokens/<token_id>                             401    403     403   200      200       403    403        403
GET     /api/events                                                        401    403     403   403      403       403    403        403
GET     /api/events/audit                                                  401    403     403   403      403       403    403        403
POST    /api/users/<user:user_id>/approve                                  401    403     403   200      200       403    403        403
DELETE  /api/users/<user:user_id>/reject                                   401    403     403   200      200       403    403        403
POST    /api/users/<user:user_id>/invite                                   401    403     403   412      412       403    403        403
PUT     /api/users/<user:user_id>/password                                 401    412     412   412      412       412    412        412
GET     /api/users/invites                                                 401    403     403   412      412       403    403        403
POST    /api/users/invites                                                 401    403     403   412      412       403    403        403
GET     /api/users/invites/<invite>                                        412    412     412   412      412       412    412        412
DELETE  /api/users/invites/<invite>                                        401    403     403   412      412       403    403        403
POST    /api/users/invites/<invite>/regenerate                             401    403     403   412      412       403    403        403
POST    /api/users/invites/<invite>/accept                                 412    412     412   412      412       412    412        412
GET     /api/groups                                                        401    403     403   403      403       403    403        403
GET     /api/groups/<group_id>                                             401    403     403   403      403       403    403        403
GET     /api/peers                                                         401    403     403   403      403       403    403        403
GET     /api/peers/<peer_id>                                               401    403     403   403      403       403    403        403
GET     /api/setup-keys                                                    401    403     403   403      403       403    403        403
GET     /api/setup-keys/<key_id>                                           401    403     403   403      403       403    403        403
GET     /api/instance                                                      200    200     200   200      200       200    200        200
GET     /api/instance/version                                              401    200     200   200      200       200    200        200
POST    /accounts                                                             401     403     403     200     200     403     403     403
GET     /accounts/me                                                          401     403     403     403     403     403     403     403
GET     /accounts/<account_id>                                                401     403     403     200     200     403     403     403
PUT     /accounts/<account_id>                                                401     403     403     200     200     403     403     403
DELETE  /accounts/<account_id>                                                401     403     403     204     204     403     403     403
GET     /accounts/<account_id>/apps                                           401     403     403     200     200     403     403     403
DELETE  /accounts/<account_id>/apps/<client_id>                               401     403     403     404     404     403     403     403
GET     /app/data                                                             401     200     200     200     200     200     200     200
POST    /mention/api/accounts                                                 401     403     403     200     200     403     403     403
GET     /mention/api/accounts/me                                              401     403     403     403     403     403     403     403
GET     /mention/api/accounts/<account_id>                                    401     403     403     200     200     403     403     403
PUT     /mention/api/accounts/<account_id>                                    401     403     403     200     200     403     403     403
DELETE  /mention/api/accounts/<account_id>                                    401     403     403     204     204     403     403     403
GET     /mention/api/accounts/<account_id>/apps                               401     403     403     200     200     403     403     403
DELETE  /mention/api/accounts/<account_id>/apps/<client_id>                   401     403     403     404     404     403     403     403
GET     /mention/api/app/data                                                 401     200     200     200     200     200     200     200
POST    api.mention.com/api/accounts                                          401     403     403     200     200     403     403     403
GET     api.mention.com/api/accounts/me                                       401     403     403     403     403     403     403     403
GET     api.mention.com/api/accounts/<account_id>                             401     403     403     200     200     403     403     403
PUT     api.mention.com/api/accounts/<account_id>                             401     403     403     200     200     403     403     403
DELETE  api.mention.com/api/accounts/<account_id>                             401     403     403     204     204     403     403     403
GET     api.mention.com/api/accounts/<account_id>/apps                        401     403     403     200     200     403     403     403
DELETE  api.mention.com/api/accounts/<account_id>/apps/<client_id>            401     403     403     404     404     403     403     403
GET     api.mention.com/api/app/data                                          401     200     200     200     200     200     200     200
GET     /mention/authorize                                                    400     400     400     400     400     400     400     400
POST    /mention/authorize                                                    400     400     400     400     400     400     400     400
GET     /mention/apps                                                         200     200     200     200     200     200     200     200
POST    /mention/apps                                                         400     400     400     400     400     400     400     400
GET     /mention/oauth/v2/token                                               400     400     400     400     400     400     400     400
POST    /mention/oauth/v2/token                                               400     400     400     400     400     400     400     400
GET     api.mention.com/authorize                                             400     400     400     400     400     400     400     400
POST    api.mention.com/authorize                                             400     400     400     400     400     400     400     400
GET     api.mention.com/apps                                                  200     200     200     200     200     200     200     200
POST    api.mention.com/apps                                                  400     400     400     400     400     400     400     400
GET     api.mention.com/oauth/v2/token                                        400     400     400     400     400     400     400     400
POST    api.mention.com/oauth/v2/token                                        400     400     400     400     400     400     400     400
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
    "<type:account_type>": "email",
    "<within:name>": "alerts",
    "<account:name>": "alerts",
    "<id:account_id>": "alerts",
    "<family>": "signals",
    "<path:account>": "email/used",
    "<referrer>": "watch-1",
    "<file>": "swagger-ui.css",
}
# What paths of Wavefront name is told apart by the rest of the path: see there.
WAVEFRONT = "/api/v2/"
NETBIRD = "/api/"
MENTION = ("/accounts", "/app/", "/mention/", "api.mention.com/")

# What has to be asked with a query.
QUERIES = {"/_accounts/explain": "?method=GET&path=/_signals/account/email/alerts"}

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")


def _rows() -> Iterator[tuple[str, str, dict[str, int]]]:
    heading, *rows = TABLE.strip().splitlines()
    assert tuple(heading.split()[2:]) == PERSONAS
    for row in rows:
        method, path, *statuses = row.split()
        yield method, path, dict(zip(PERSONAS, map(int, statuses), strict=True))


ROWS = list(_rows())
PATHS = sorted({path.partition("@")[0] for _, path, _ in ROWS})


class Native(Protocol):
    """What a family's paths lead to, made anew as often as it is wanted."""

    def renew(self) -> None:
        """Make what was deleted."""
        ...

    def ask(self, method: str, path: str, *, by: str | None) -> Answer:
        """Ask for a path with the names of arguments in it, with a body that is good there."""
        ...


# By the beginnings of paths; the first one counts.
Natives: TypeAlias = tuple[tuple[tuple[str, ...], Native], ...]


@pytest.fixture(scope="module")
def natives(asked: Service) -> Natives:
    return ((WAVEFRONT,), Things(asked)), ((NETBIRD,), Tenancy(asked)), (MENTION, Person(asked))


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path) -> Iterator[Service]:
    # Decisions do not depend on the database, so one will do.
    folder = tmp_path_factory.mktemp("table")
    database = shutil.copy(migrated_sqlite, folder / "accounts.db")
    service = Service(Installation(folder / "installation", f"sqlite:///{database}"))
    yield service
    service.close()


def _native(natives: Natives, path: str) -> Native | None:
    return next((native for prefixes, native in natives if path.startswith(prefixes)), None)


def _make_what_is_asked_for(service: Service, natives: Natives, path: str) -> None:
    native = _native(natives, path)
    if native is not None:
        native.renew()
        return
    body = examples.GOOD["email"]
    for account in ("email/alerts", "blue/email/alerts", "email/used"):
        assert service.put(f"/_signals/account/{account}", body).status_code in (200, 201)
    assert service.ask("PUT", "/_accounts/references/signals/email/used/watch-1").status_code in (200, 201)


def _ask(service: Service, natives: Natives, method: str, path: str, persona: str) -> Answer:
    by = None if persona == "nobody" else persona
    native = _native(natives, path)
    if native is not None:
        return native.ask(method, path, by=by)
    path, _, tenant = path.partition("@")
    path += QUERIES.get(path, "")
    for argument, value in ARGUMENTS.items():
        path = path.replace(argument, value)
    if "<version:version>" in path:
        versions = path.partition("/<version:version>")[0]
        newest = service.get(versions).json["versions"][0]["_version"]
        path = path.replace("<version:version>", str(newest))
    if "<uid:uid>" in path:
        path = path.replace("<uid:uid>", _binned(service, path))
    changes = method in ("PUT", "PATCH") and path.startswith("/_signals")
    body = {"type": "email", **examples.GOOD["email"]} if changes else None
    return service.ask(method, path, by=by, headers={"sgtenant": tenant} if tenant else {}, json=body)


def _binned(service: Service, path: str) -> str:
    # Its name is free, so that it may come back.
    tenant = "blue/" if "/tenant/" in path else ""
    account = f"/_signals/account/{tenant}email/{uuid.uuid4().hex}"
    service.put(account, examples.GOOD["email"])
    service.delete(account)
    uid: str = service.get(path.partition("/<uid:uid>")[0]).json["deleted"][0]["uid"]
    return uid


@pytest.mark.parametrize(("method", "path", "statuses"), ROWS, ids=[f"{method} {path}" for method, path, _ in ROWS])
def test_every_persona_is_answered_as_the_table_says(
    asked: Service, natives: Natives, method: str, path: str, statuses: dict[str, int]
) -> None:
    found = {}
    is_as_made = False
    for persona in PERSONAS:
        if not is_as_made:
            _make_what_is_asked_for(asked, natives, path)
        found[persona] = _ask(asked, natives, method, path, persona).status_code
        is_as_made = method == "GET" or found[persona] >= 400  # Who was refused has changed nothing.
    assert found == statuses


def test_the_table_has_every_route_method_and_mount() -> None:
    # Of a mount for certain hosts the first one stands before its paths.
    there = {
        (method, min(mount.hosts, default="") + path)
        for family in app.FAMILIES.values()
        for route in family.routes
        for mount, path in family.places(route, Settings())
        for method in route.methods
    }
    assert {(method, path.partition("@")[0]) for method, path, _ in ROWS} == there


@pytest.mark.parametrize("path", PATHS)
def test_a_method_that_the_table_lacks_is_no_way_in(asked: Service, natives: Natives, path: str) -> None:
    _make_what_is_asked_for(asked, natives, path)
    known = {method for method, listed, _ in ROWS if listed.partition("@")[0] == path}
    for method in sorted(set(METHODS) - known):
        status = _ask(asked, natives, method, path, "admin").status_code
        # With the name of who refers to it, an account's path looks like that of another account; and a word in the
        # place of a token or an id looks like one.
        looks_like_another = path.startswith("/_accounts/references") or path.endswith(
            ("/customertokens/revoke", "/accounts/me")
        )
        assert status in ((404, 405) if looks_like_another else (405,)), method
