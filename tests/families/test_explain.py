"""Who may do what, and why, over HTTP: `/_accounts/explain`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlencode

import pytest
from click.testing import CliRunner

from accounts_service import cli
from accounts_service.faults import Json
from tests.support import personas
from tests.support.installation import Installation
from tests.support.service import Answer, Service

PATH = "/_signals/account/email/default"
PUT = "cluster:admin:searchguard:signals:account/put"
TENANT_GET = "cluster:admin:searchguard:tenant:signals:account/get"


@pytest.fixture
def here(sqlite_url: str, tmp_path: Path) -> Iterator[Service]:
    """Give a service on SQLite: nothing of the database is looked at."""
    service = Service(Installation(tmp_path / "installation", sqlite_url))
    yield service
    service.close()


def ask(service: Service, by: str = "admin", peer: str = "127.0.0.1", **asked: str | list[str]) -> Answer:
    return service.get(f"/_accounts/explain?{urlencode(asked, doseq=True)}", by=by, peer=peer)


def explained(
    service: Service, by: str = "admin", peer: str = "127.0.0.1", **asked: str | list[str]
) -> dict[str, Json]:
    answer = ask(service, by, peer, **asked)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store"), answer.text
    found: dict[str, Json] = answer.json
    return found


def reasons(found: Mapping[str, Json]) -> list[Json]:
    return [decision["reason"] for decision in found["decisions"]]  # type: ignore[index, union-attr, call-overload]  # JSON


def test_it_says_what_the_command_says(here: Service) -> None:
    for words, asked in (
        (["--principal", "reader", "PUT", PATH], {"principal": "reader", "method": "PUT", "path": PATH}),
        (
            ["--principal", "excluded", "--tenant", "blue", "GET", PATH],
            {"principal": "excluded", "tenant": "blue", "method": "GET", "path": PATH},
        ),
        (
            ["--principal", "native", "--privilege", TENANT_GET, "--tenant", "blue"],
            {"principal": "native", "privilege": TENANT_GET, "tenant": "blue"},
        ),
        (
            ["--principal", "dave", "--backend-role", "x", "--ip", "::ffff:10.1.2.3", "GET", "/livez"],
            {"principal": "dave", "backend_role": "x", "ip": "::ffff:10.1.2.3", "method": "GET", "path": "/livez"},
        ),
        (
            ["--role", "reader", "--role", "none", "--host", "api.mention.com", "GET", "/api/accounts/me"],
            {"role": ["reader", "none"], "host": "api.mention.com", "method": "GET", "path": "/api/accounts/me"},
        ),
    ):
        run = CliRunner().invoke(cli.main, ("explain", *words, "--json"), env=here.installation.environment())
        assert explained(here, **asked) == json.loads(run.stdout)


@pytest.mark.parametrize("name", personas.NAMES)
def test_everyone_is_told_about_himself_as_he_is_answered(here: Service, name: str) -> None:
    for method in ("GET", "PUT", "DELETE"):
        answer = here.ask(method, PATH, by=name, json={} if method == "PUT" else None)
        for more in ({}, {"principal": name}):
            found = explained(here, name, method=method, path=PATH, **more)
            assert found["allowed"] is (answer.status_code != 403)
            assert (found["principal"], found["asked"], found["cannot_log_in"]) == (name, f"{method} {PATH}", None)
            assert {held["role"] for held in found["roles"]} == (  # type: ignore[index, union-attr, call-overload]  # JSON
                {"SGS_ALL_ACCESS"} if name == "admin" else set() if name == "stranger" else {name}
            )


def test_a_no_says_what_is_missing_or_in_the_way(here: Service) -> None:
    missing = explained(here, "reader", method="DELETE", path=PATH)["decisions"]
    assert missing[0]["groups"] == ["SGS_SIGNALS_ACCOUNT_MANAGE", "SGS_SIGNALS_ALL", "SGS_CLUSTER_ALL"]  # type: ignore[index, call-overload]  # JSON
    assert missing[0]["roles"] == ["manager", "revealer", "SGS_ALL_ACCESS"]  # type: ignore[index, call-overload]  # JSON
    excluded = explained(here, "excluded", privilege=PUT)
    assert (excluded["allowed"], reasons(excluded)) == (False, ["EXCLUSION"])
    assert "family" not in excluded
    in_blue = {"method": "GET", "path": "/_signals/account/blue/email/default"}
    assert explained(here, "native", **in_blue)["allowed"] is True
    assert explained(here, "foreigner", **in_blue)["allowed"] is False


def test_who_may_not_ask_is_told_alike_of_tenants_where_he_may_nothing(here: Service) -> None:
    def told(by: str, tenant: str, asked: Mapping[str, str]) -> str:
        found = explained(here, by, **{name: value.format(tenant) for name, value in asked.items()})
        return json.dumps(found).replace(tenant, "…")

    for asked in (
        {"privilege": TENANT_GET, "tenant": "{}"},
        {"method": "GET", "path": "/_signals/account/{}/email/default"},
        {"method": "GET", "path": "/_signals/account/default", "tenant": "{}"},
    ):
        assert told("native", "red", asked) == told("native", "nosuch", asked)
        assert "MISSING" in told("native", "red", asked)
    assert reasons(explained(here, "native", privilege=TENANT_GET, tenant="blue")) == ["PERMISSION"]
    # Who may ask about everybody is told.
    asked = {"principal": "native", "privilege": TENANT_GET}
    assert reasons(explained(here, **asked, tenant="nosuch")) == ["UNKNOWN_TENANT"]
    assert explained(here, **asked, tenant="red")["decisions"][0]["roles"]  # type: ignore[index, call-overload]  # JSON


def test_who_comes_without_a_name_learns_of_no_roles_and_groups(here: Service) -> None:
    here.configure({"sg_authc.yml": {"auth_domains": [{"type": "basic/internal_users_db"}, {"type": "anonymous"}]}})
    for asked in (f"privilege={PUT}", f"method=PUT&path={PATH}"):
        answer = here.get(f"/_accounts/explain?{asked}", by=None)
        assert (answer.status_code, answer.json["principal"]) == (200, "anonymous")
        (decision,) = answer.json["decisions"]
        assert (decision["reason"], decision["groups"], decision["roles"]) == ("MISSING", [], [])
        named = here.get(f"/_accounts/explain?{asked}", by="stranger").json["decisions"][0]
        assert named["groups"]
        assert named["roles"]


def test_oneself_is_who_has_asked_with_all_that_came_with_it(here: Service) -> None:
    here.configure(
        {
            "sg_authc.yml": {
                "auth_domains": [
                    {
                        "type": "trusted_origin",
                        "user_mapping": {
                            "user_name": {"from": "request.headers.x-user"},
                            "roles": {"from": "request.headers.x-role"},
                        },
                    },
                    {"type": "basic/internal_users_db"},
                ],
                "network": {"trusted_proxies": "127.0.0.1"},
            },
            "sg_roles_mapping.yml": {
                "reader": {"backend_roles": ["sales"]},
                "manager": {"ips": ["10.0.0.0/8"]},
                "NB_USER": {"users": ["dave"]},
            },
        }
    )

    def about_dave(path: str, **headers: str) -> dict[str, Json]:
        sent = {"X-User": "dave", **{f"X-{name.title()}": value for name, value in headers.items()}}
        answer = here.get(f"/_accounts/explain?method=PUT&path={path}", by=None, headers=sent)
        found: dict[str, Json] = answer.json
        return found

    assert about_dave(PATH, role="sales")["allowed"] is False
    from_inside = about_dave(PATH, **{"forwarded-for": "10.1.2.3"})
    assert from_inside["allowed"] is True
    assert {"role": "manager", "source": "IPS", "value": "10.1.2.3", "pattern": "10.0.0.0/8"} in from_inside["roles"]  # type: ignore[operator]  # JSON
    # Of the administrator's own choice, and so not what holds for this request.
    assert (
        here.get(
            f"/_accounts/explain?method=GET&path={PATH}&ip=10.1.2.3", by=None, headers={"X-User": "dave"}
        ).status_code
        == 403
    )


def test_an_account_of_ones_own_in_netbird_is_known(here: Service) -> None:
    here.configure(
        {
            "sg_internal_users.yml": {
                "admin": {
                    "hash": personas.hash_of("admin"),
                    "search_guard_roles": ["SGS_ALL_ACCESS"],
                    "attributes": {"netbird_account": "acme"},
                }
            },
        }
    )
    for more in ({}, {"principal": "admin", "ip": "127.0.0.1"}):
        assert explained(here, method="GET", path="/api/users/current", **more)["allowed"] is True


# -- Who may ask --------------------------------------------------------------


def test_only_who_may_is_told_about_others_and_learns_nothing_by_asking(here: Service) -> None:
    refused = [
        ask(here, by, **asked)
        for by in ("reader", "stranger")
        for asked in (
            {"principal": "admin", "method": "GET", "path": PATH},
            {"principal": "nobody-there", "method": "GET", "path": PATH},
            {"principal": by, "backend_role": "x", "method": "GET", "path": PATH},
            {"role": by, "method": "GET", "path": PATH},
            {"principal": [by, "admin"], "method": "GET", "path": PATH},
            {"principal": "admin", "path": "nonsense"},
        )
    ]
    assert {(answer.status_code, answer.text) for answer in refused} == {(403, refused[0].text)}
    assert here.get(f"/_accounts/explain?method=GET&path={PATH}", by=None).status_code == 401
    here.configure(
        {
            "sg_roles.yml": {"asker": {"cluster_permissions": ["cluster:admin:accounts:explain/get"]}},
            "sg_roles_mapping.yml": {"asker": {"users": ["reader"]}, "SGS_ALL_ACCESS": {"users": ["admin"]}},
        }
    )
    assert explained(here, "reader", principal="admin", method="GET", path=PATH)["allowed"] is True
    nobody = explained(here, "reader", principal="nobody-there", method="GET", path=PATH)
    assert (nobody["allowed"], "is not in sg_internal_users.yml" in str(nobody["cannot_log_in"])) == (False, True)


# -- What is asked ------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "detail"),
    (
        ({}, "path: method and path are needed, or instead privilege"),
        ({"method": "GET"}, "path: method and path are needed, or instead privilege"),
        ({"path": PATH}, "method: method and path are needed, or instead privilege"),
        ({"privilege": PUT, "path": PATH}, "privilege: stands instead of method, path and host"),
        ({"method": "GET", "path": "livez"}, "path: begins with a slash"),
        ({"method": ["GET", "PUT"], "path": PATH}, "method: given more than once"),
        ({"method": "GET", "path": "/elsewhere"}, "path: no route leads to it; 'accounts-service routes' lists all"),
        (
            {"method": "POST", "path": PATH},
            "method: it is not answered to this method, only to DELETE, GET, PATCH, PUT",
        ),
        (
            {"method": "GET", "path": f"{PATH}/%FF"},
            "path: the path is refused, whoever asks: a path segment is not UTF-8",
        ),
        ({"privilege": "SGS_SIGNALS_ALL"}, "privilege: it is an action group; ask for an action"),
        ({"privilege": "x" * 201}, "privilege: longer than 200 characters"),
        ({"role": ["x"] * 101, "privilege": PUT}, "role: given more than 100 times"),
        ({"principal": "x", "ip": "nowhere", "privilege": PUT}, "ip: not an IP address"),
        ({"principal": "x", "role": "y", "privilege": PUT}, "role: stands instead of principal"),
        ({"role": "x", "backend_role": "y", "privilege": PUT}, "principal: goes with backend_role and ip"),
        ({"ip": "10.1.2.3", "privilege": PUT}, "principal: goes with backend_role and ip"),
        ({"colour": "red"}, "unknown parameters: colour"),
    ),
)
def test_what_cannot_be_explained_is_a_problem_that_names_the_parameter(
    here: Service, asked: Mapping[str, str | list[str]], detail: str
) -> None:
    answer = ask(here, **asked)  # type: ignore[arg-type]  # by name
    assert (answer.status_code, answer.mimetype) == (400, "application/problem+json")
    assert answer.json["detail"].startswith(detail)


TOKENS = (
    "nbp_" + "a1" * 20,
    "0a1b2c3d-0a1b-2c3d-4e5f-0a1b2c3d4e5f",
    "a" * 86,
    "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2ln",
)


@pytest.mark.parametrize("token", TOKENS)
def test_a_token_in_what_is_asked_comes_back_nowhere(
    here: Service, token: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (f"/api/v2/account/{token}", f"/_signals/account/email/{token}?access_token={token}", f"/{token}"):
        assert token not in ask(here, method="GET", path=path).text
    assert token not in ask(here, method=token, path=PATH).text
    assert token not in ask(here, privilege=token).text
    assert token not in capsys.readouterr().err


def test_with_a_bad_directory_it_explains_what_goes_on(here: Service) -> None:
    access = here.services.access
    explained(here, privilege=PUT)
    here.installation.write("sg_roles.yml", {"reader": {"nonsense": "x"}})
    access._clock = lambda: 2e9  # Quiet for long.
    note = "the configuration directory has problems and is not used; this is the last good state"
    problem = "sg_roles.yml: reader.nonsense: Unsupported attribute"
    assert explained(here, privilege=PUT)["notes"] == [note, problem]
    # What is in the files is for those who may ask about everybody.
    assert explained(here, "manager", privilege=PUT)["notes"] == [note]


def test_many_roles_with_tenants_cost_no_more_than_others(here: Service) -> None:
    """Whoever has an identity may ask. A ratio of processor time within this thread, so that no machine matters."""
    # Each apart, since the files may have no aliases.
    roles = {
        f"role-{number}": {
            "cluster_permissions": ["cluster:admin:x*"],
            "tenant_permissions": [
                {"tenant_patterns": [f"{letter}*", "${user.name}_x"], "allowed_actions": ["kibana:x*"]}
                for letter in "abc"
            ],
        }
        for number in range(200)
    }
    here.configure({"sg_roles.yml": {**personas.ROLES, **roles}})

    def cost(action: str) -> int:
        least = 1 << 62
        for _ in range(4):
            started = time.thread_time_ns()
            explained(here, "stranger", privilege=action)
            least = min(least, time.thread_time_ns() - started)
        return least

    assert cost(TENANT_GET) < 5 * cost(PUT)
