"""`explain`, as it is typed, held against what the service answers."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from accounts_service import app, cli
from accounts_service.access.snapshot import LastGood, read_directory
from accounts_service.config import Settings
from accounts_service.faults import BadPath, MethodNotAllowed, NoSuchRoute
from accounts_service.web.routing import Destination, Router
from tests.support import personas
from tests.support.installation import Installation
from tests.support.service import Service
from tests.web.toy import HOST, make_family

PATH = "/_signals/account/email/default"
GET = "cluster:admin:searchguard:signals:account/get"
TENANT_GET = "cluster:admin:searchguard:tenant:signals:account/get"


BASIC = {"type": "basic/internal_users_db"}
PROXY = {"type": "trusted_origin", "user_mapping": {"user_name": {"from": "request.headers.x-user"}}}
SECRET = base64.b64encode(b"k" * 64).decode()
TOKEN = {"type": "jwt", "jwt": {"signing_key": SECRET}}


@pytest.fixture
def here(sqlite_url: str, tmp_path: Path) -> Installation:
    """Give an installation; nothing of the database is looked at."""
    return Installation(tmp_path / "installation", sqlite_url)


def run(installation: Installation, *words: str, **settings: str) -> Result:
    """Run the command in the environment of an installation."""
    return CliRunner().invoke(cli.main, ("explain", *words), env=installation.environment(**settings))


def told(installation: Installation, *words: str) -> dict[str, Any]:
    """Run the command and read its JSON."""
    document: dict[str, Any] = json.loads(run(installation, *words, "--json").stdout)
    return document


@pytest.mark.parametrize("name", personas.NAMES)
@pytest.mark.parametrize("method", ("GET", "DELETE", "PUT"))
def test_it_says_what_the_service_answers(service: Service, name: str, method: str) -> None:
    answer = service.ask(method, PATH, by=name, json={} if method == "PUT" else None)
    result = run(service.installation, "--principal", name, method, PATH)
    assert result.exit_code == (1 if answer.status_code == 403 else 0)
    assert result.stdout.startswith("DENIED: " if answer.status_code == 403 else "ALLOWED: ")


def test_a_yes_names_roles_entries_groups_and_patterns(here: Installation) -> None:
    result = run(here, "--principal", "manager", "PUT", PATH)
    assert (result.exit_code, result.stdout.splitlines()) == (
        0,
        [
            f"ALLOWED: manager: PUT {PATH}",
            "role manager: sg_roles_mapping.yml, users: 'manager' matches 'manager'",
            "route signals put_account: cluster:admin:searchguard:signals:account/put",
            "privilege cluster:admin:searchguard:signals:account/put: held",
            "  a role allows it",
            "  by role manager: SGS_SIGNALS_ACCOUNT_MANAGE > cluster:admin:searchguard:signals:account/put",
            "optional cluster:admin:searchguard:signals:account/reveal: not held",
            "  See the secrets of accounts in clear, and keep them while changing where they are sent.",
            "  no role allows it",
            "  action groups that give it: SGS_SIGNALS_ALL, SGS_CLUSTER_ALL, SGS_UNLIMITED",
            "  roles that give it: revealer, SGS_ALL_ACCESS",
        ],
    )


def test_a_no_names_the_exclusion_that_wins_and_nothing_that_would_not_help(here: Installation) -> None:
    result = run(here, "--principal", "excluded", "GET", PATH)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-2:] == [
        "  a role excludes it, and an exclusion wins over everything",
        "  by role excluded: cluster:admin:searchguard:signals:account/*",
    ]


def test_a_no_names_what_is_missing(here: Installation) -> None:
    decision = told(here, "--principal", "reader", "DELETE", PATH)["decisions"][0]
    assert (decision["reason"], decision["groups"], decision["roles"]) == (
        "MISSING",
        ["SGS_SIGNALS_ACCOUNT_MANAGE", "SGS_SIGNALS_ALL", "SGS_CLUSTER_ALL"],
        ["manager", "revealer", "SGS_ALL_ACCESS"],
    )


def test_the_document_says_all_of_it(here: Installation) -> None:
    document = told(here, "--principal", "reader", "GET", PATH, "--tenant", "t1")
    assert set(document) == {
        *("principal", "asked", "notes", "allowed", "roles", "family", "route", "tenant"),
        *("requirement", "decisions", "optional", "cannot_log_in"),
    }
    assert (document["principal"], document["asked"]) == ("reader", f"GET {PATH}")
    assert (document["family"], document["route"], document["tenant"]) == ("signals", "get_account", "t1")
    assert document["allowed"] is True
    assert document["roles"] == [{"role": "reader", "source": "USERS", "value": "reader", "pattern": "reader"}]


# -- Who asks -----------------------------------------------------------------


def test_a_user_brings_what_his_entry_says(here: Installation) -> None:
    entry = {
        "hash": personas.hash_of("x"),
        "backend_roles": ["sales"],
        "search_guard_roles": ["reader"],
        "attributes": {"dept": "t1"},
    }
    here.write("sg_internal_users.yml", {"carol": entry})
    here.write("sg_roles_mapping.yml", {"lender": {"backend_roles": ["sa*"]}})
    here.write(
        "sg_roles.yml",
        {
            "reader": {"cluster_permissions": ["SGS_SIGNALS_ACCOUNT_READ"]},
            "lender": {
                "tenant_permissions": [{"tenant_patterns": ["${user.attrs.dept}"], "allowed_actions": ["*"]}],
            },
        },
    )
    here.write("sg_tenants.yml", {"t1": {}, "t2": {}})
    assert run(here, "--principal", "carol", "GET", PATH).exit_code == 0
    in_t1 = run(here, "--principal", "carol", "--privilege", TENANT_GET, "--tenant", "t1")
    assert in_t1.exit_code == 0
    assert "role lender: sg_roles_mapping.yml, backend_roles: 'sales' matches 'sa*'" in in_t1.stdout
    assert "role reader: given directly" in in_t1.stdout
    assert "  in the tenants '${user.attrs.dept}'" in in_t1.stdout
    assert run(here, "--principal", "carol", "--privilege", TENANT_GET, "--tenant", "t2").exit_code == 1
    unknown = run(here, "--principal", "carol", "--privilege", TENANT_GET, "--tenant", "t3")
    assert (unknown.exit_code, "  there is no such tenant" in unknown.stdout) == (1, True)


def test_who_is_in_no_file_is_what_the_options_say(here: Installation) -> None:
    here.write("sg_authc.yml", {"auth_domains": [PROXY], "network": {"trusted_proxies": "192.0.2.1"}})
    here.write("sg_roles_mapping.yml", {"reader": {"backend_roles": ["guest"]}, "manager": {"ips": ["10.0.0.0/8"]}})
    result = run(here, "--principal", "dave", "--backend-role", "guest", "GET", PATH)
    assert result.exit_code == 0
    assert (
        "note: 'dave' is not in sg_internal_users.yml; known is only what the options and domains say" in result.stdout
    )
    assert run(here, "--principal", "dave", "GET", PATH).exit_code == 1
    from_inside = run(here, "--principal", "dave", "--ip", "10.1.2.3", "PUT", PATH)
    assert from_inside.exit_code == 0
    assert "role manager: sg_roles_mapping.yml, ips: '10.1.2.3' matches '10.0.0.0/8'" in from_inside.stdout


def test_what_headers_may_add_is_noted(here: Installation) -> None:
    basic = {"type": "basic/internal_users_db", "user_mapping": {"roles": {"from": "request.headers.x-roles"}}}
    here.write("sg_authc.yml", {"auth_domains": [basic]})
    note = (
        "a basic/internal_users_db domain has a user_mapping; what that adds from headers or claims is not known here"
    )
    assert told(here, "--principal", "admin", "GET", PATH)["notes"] == [note]
    basic["user_mapping"] = {"roles": {"static": "x", "from": "user_entry.attributes.dept"}}
    here.write("sg_authc.yml", {"auth_domains": [basic]})
    assert told(here, "--principal", "admin", "GET", PATH)["notes"] == []


def test_an_entry_that_no_domain_asks_for_does_not_count(here: Installation) -> None:
    users = {"carol": {"hash": personas.hash_of("x"), "search_guard_roles": ["reader"]}}
    here.write("sg_internal_users.yml", users)
    assert run(here, "--principal", "carol", "GET", PATH).exit_code == 0
    mapping = {"user_name": {"from": "request.headers.x-user"}}
    here.write("sg_authc.yml", {"auth_domains": [{"type": "trusted_origin", "user_mapping": mapping}]})
    assert run(here, "--principal", "carol", "GET", PATH).exit_code == 1


def log_ins(here: Installation, *domains: Mapping[str, object], **network: object) -> None:
    """Write domains, and a user who has every role by her entry."""
    here.write("sg_authc.yml", {"auth_domains": [*domains], "network": network})
    hashes = {"joe": personas.hash_of("x"), "hashless": "none"}
    users = {name: {"hash": stored, "search_guard_roles": ["SGS_ALL_ACCESS"]} for name, stored in hashes.items()}
    here.write("sg_internal_users.yml", users)


def first_line(here: Installation, *words: str) -> str:
    """Explain the path to somebody, and check that all forms agree."""
    result = run(here, *words, "GET", PATH)
    assert result.stdout, (result.output, result.exception)
    first = result.stdout.splitlines()[0]
    document = told(here, *words, "GET", PATH)
    assert result.exit_code == (0 if first.startswith("ALLOWED: ") else 1)
    assert document["allowed"] is (result.exit_code == 0)
    assert (document["cannot_log_in"] is not None) is first.startswith("CANNOT LOG IN: ")
    return first


def test_an_entry_counts_only_by_a_domain_that_takes_the_name(here: Installation) -> None:
    admins_only = {**BASIC, "accept": {"users": "admin"}}
    log_ins(here, admins_only, TOKEN)
    assert first_line(here, "--principal", "joe").startswith("DENIED: joe")
    assert told(here, "--principal", "joe", "GET", PATH)["notes"] == [
        "the entry of 'joe' in sg_internal_users.yml does not count: no domain asks for it here"
    ]
    log_ins(here, admins_only, {**TOKEN, "additional_user_information": [{"type": "internal_users_db"}]})
    assert first_line(here, "--principal", "joe").startswith("ALLOWED: joe")
    log_ins(here, TOKEN, BASIC)
    assert first_line(here, "--principal", "joe").startswith("ALLOWED: joe")
    assert any("a log-in by password" in note for note in told(here, "--principal", "joe", "GET", PATH)["notes"])


@pytest.mark.parametrize(
    ("domains", "network", "words", "reason"),
    (
        ([{**BASIC, "skip": {"users": "joe"}}], {}, ("joe",), "no domain of sg_authc.yml takes 'joe'"),
        ([BASIC], {}, ("hashless",), "the hash of 'hashless' is not a bcrypt hash"),
        ([BASIC], {}, ("dave",), "'dave' is not in sg_internal_users.yml"),
        ([PROXY], {}, ("joe",), "no domain of sg_authc.yml takes 'joe'"),
        ([{"type": "anonymous"}, BASIC], {}, ("joe",), "no domain of sg_authc.yml takes 'joe'"),
        ([BASIC], {"deny": {"ips": "10.0.0.0/8"}}, ("joe", "--ip", "10.1.2.3"), "refuses 10.1.2.3: every log-in"),
        ([BASIC], {"accept": {"ips": "10.0.0.0/8"}}, ("joe", "--ip", "11.1.2.3"), "refuses 11.1.2.3: every log-in"),
        ([{**BASIC, "accept": {"ips": "10.0.0.0/8"}}], {}, ("joe", "--ip", "11.1.2.3"), "takes 'joe' from 11.1.2.3"),
        (
            [{**BASIC, "skip": {"originating_ips": "11.0.0.0/8"}}],
            {"trusted_proxies": "10.0.0.1"},
            ("joe", "--ip", "::ffff:11.1.2.3"),
            "takes 'joe' from 11.1.2.3",
        ),
    ),
)
def test_who_cannot_log_in_may_nothing(
    here: Installation,
    domains: list[Mapping[str, object]],
    network: Mapping[str, object],
    words: tuple[str, ...],
    reason: str,
) -> None:
    log_ins(here, *domains, **network)
    first = first_line(here, "--principal", *words)
    assert first.startswith(f"CANNOT LOG IN: {words[0]}: ")
    assert reason in first
    lines = run(here, "--principal", *words, "GET", PATH).stdout.splitlines()
    assert lines[1] == f"with a log-in it would be {'DENIED' if words[0] == 'dave' else 'ALLOWED'}: GET {PATH}"
    assert run(here, "--principal", *words, "GET", "/livez").stdout.startswith("ALLOWED: ")


def test_where_he_comes_from_decides_which_domain_takes_him(here: Installation) -> None:
    log_ins(here, {**BASIC, "accept": {"originating_ips": "10.0.0.0/8"}}, trusted_proxies="192.0.2.1")
    assert first_line(here, "--principal", "joe", "--ip", "10.1.2.3").startswith("ALLOWED: ")
    assert first_line(here, "--principal", "joe").startswith("ALLOWED: ")
    assert any("give --ip" in note for note in told(here, "--principal", "joe", "GET", PATH)["notes"])
    log_ins(here, BASIC, trusted_proxies="192.0.2.1", accept={"ips": "192.0.2.0/24"})
    assert first_line(here, "--principal", "joe", "--ip", "10.1.2.3").startswith("ALLOWED: ")
    notes = told(here, "--principal", "joe", "--ip", "10.1.2.3", "GET", PATH)["notes"]
    assert any("refuses some ways from there" in note for note in notes)


def test_static_roles_are_known(here: Installation) -> None:
    here.write("sg_roles_mapping.yml", {"reader": {"backend_roles": ["guest"]}})
    roles = {"roles": {"static": "guest"}}
    log_ins(here, BASIC, {"type": "anonymous", "user_mapping": roles})
    assert first_line(here, "--principal", "anonymous").startswith("ALLOWED: ")
    log_ins(here, {"type": "anonymous", "user_mapping": {**roles, "user_name": {"static": "visitor"}}})
    assert first_line(here, "--principal", "visitor").startswith("ALLOWED: ")
    assert first_line(here, "--principal", "anonymous").startswith("CANNOT LOG IN: ")
    sources = {"roles": {"static": "guest", "from": "jwt.groups"}}
    log_ins(here, {**TOKEN, "user_mapping": sources})
    assert first_line(here, "--principal", "dave").startswith("ALLOWED: ")
    assert any(
        note.startswith("a jwt domain has a user_mapping")
        for note in told(here, "--principal", "dave", "GET", PATH)["notes"]
    )


@pytest.mark.parametrize("forged", ("x\nALLOWED: admin: GET /", "x\x1b[2KALLOWED", "x\u2028y", "x\ry"))
def test_no_name_makes_a_line_of_its_own(here: Installation, forged: str) -> None:
    for words in (("--principal", forged), ("--role", forged)):
        for asked in (("GET", PATH), ("--privilege", forged), ("GET", PATH, "--tenant", forged)):
            output = run(here, *words, *asked).output
            assert all(line.isprintable() for line in output.split("\n"))
            assert not any(line.startswith("ALLOWED: admin") for line in output.split("\n"))
    assert f"CANNOT LOG IN: {forged!r}: " in run(here, "--principal", forged, "GET", PATH).stdout
    here.write("sg_roles_mapping.yml", {forged: {"users": "reader"}})
    assert all(line.isprintable() for line in run(here, "--principal", "reader", "GET", PATH).output.split("\n"))


def test_roles_can_be_tried_without_anybody_who_has_them(here: Installation) -> None:
    result = run(here, "--role", "reader", "--role", "undefined", "GET", PATH)
    assert result.exit_code == 0
    assert result.stdout.startswith(f"ALLOWED: role reader, role undefined: GET {PATH}\n")
    assert "note: the role 'undefined' is not defined and grants nothing" in result.stdout
    assert run(here, "--role", "reader", "--role", "excluded", "GET", PATH).exit_code == 1


# -- What is asked ------------------------------------------------------------


def test_a_privilege_can_be_asked_for_by_its_name(here: Installation) -> None:
    assert run(here, "--principal", "reader", "--privilege", GET).exit_code == 0
    assert run(here, "--principal", "stranger", "--privilege", GET).exit_code == 1
    in_a_tenant = run(here, "--principal", "reader", "--privilege", GET, "--tenant", "x")
    assert "note: this is no tenant action: it is decided without a tenant" in in_a_tenant.stdout
    reserved = run(here, "--principal", "admin", "--privilege", "cluster:admin:searchguard:config/update")
    assert (reserved.exit_code, "reserved for administrators" in reserved.stdout) == (1, True)
    assert "note: no route of this service asks for" in reserved.stdout


@pytest.mark.parametrize("path", ("/livez", "/readyz?x=1"))
def test_an_open_route_is_open(here: Installation, path: str) -> None:
    result = run(here, "--principal", "stranger", "GET", path)
    assert (result.exit_code, result.stdout.splitlines()[-1].split()[-1]) == (0, "PUBLIC")


@pytest.mark.parametrize(
    ("words", "message"),
    (
        (("--principal", "admin", "GET", "/_signals/nowhere"), "no route leads to /_signals/nowhere"),
        (("--principal", "admin", "GET", "/elsewhere"), "no route leads to /elsewhere"),
        (("--principal", "admin", "GET", PATH + "/"), "no route leads to"),
        (("--principal", "admin", "POST", PATH), "only to DELETE, GET, PATCH, PUT"),
        (("--principal", "admin", "GET", "/_signals/account/email/a%2Fb"), "an encoded slash"),
        (("--principal", "admin", "GET", "/_signals/account/email/%FF"), "not UTF-8"),
        (("--principal", "admin", "--privilege", "SGS_SIGNALS_ALL"), "is an action group; ask for an action"),
        (("GET", PATH), "either --principal or --role"),
        (("--principal", "admin", "--role", "reader", "GET", PATH), "either --principal or --role"),
        (("--role", "reader", "--backend-role", "x", "GET", PATH), "--backend-role goes with --principal"),
        (("--principal", "admin"), "either METHOD and PATH, or --privilege"),
        (("--principal", "admin", "GET"), "either METHOD and PATH, or --privilege"),
        (("--principal", "admin", "--privilege", GET, "GET", PATH), "either METHOD and PATH, or --privilege"),
        (("--principal", "admin", "GET", "_signals"), "PATH begins with a slash"),
        (("--principal", "admin", "--ip", "nowhere", "GET", PATH), "not an IP address"),
    ),
)
def test_what_cannot_be_explained_is_neither_yes_nor_no(
    here: Installation, words: tuple[str, ...], message: str
) -> None:
    result = run(here, *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


def test_settings_that_are_none_explain_nothing(here: Installation) -> None:
    result = run(here, "--principal", "admin", "GET", PATH, ACCOUNTS_NONSENSE="1")
    assert (result.exit_code, result.stderr) == (2, "Error: ACCOUNTS_NONSENSE is not a setting\n")


# -- The configuration --------------------------------------------------------


def test_with_a_bad_directory_it_explains_what_the_server_goes_on_with(here: Installation) -> None:
    LastGood(here.settings().last_good_dir).save(read_directory(here.config_dir))
    here.write("sg_roles.yml", {"reader": {"nonsense": "canary-value"}})
    result = run(here, "--principal", "reader", "GET", PATH)
    assert result.exit_code == 0
    assert "note: the configuration directory has problems and is not used; this is the last good state" in (
        result.stdout
    )
    assert "note: sg_roles.yml: reader.nonsense: Unsupported attribute" in result.stdout
    assert "canary-value" not in result.output


def test_without_a_last_good_state_a_bad_directory_explains_nothing(here: Installation) -> None:
    here.write("sg_roles.yml", "[]")
    result = run(here, "--principal", "reader", "GET", PATH)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "sg_roles.yml: Invalid value (expected: A mapping)" in result.stderr


def test_it_shows_no_hash_and_writes_nothing(here: Installation) -> None:
    before = {path: path.stat().st_mtime_ns for path in here.folder.rglob("*")}
    for name in personas.NAMES:
        for words in (("GET", PATH), ("--privilege", GET), ("GET", PATH, "--json")):
            assert "$2" not in run(here, "--principal", name, *words).output
    assert {path: path.stat().st_mtime_ns for path in here.folder.rglob("*")} == before


# -- Routing ------------------------------------------------------------------


def find(uri: str, host: str = "localhost", method: str = "GET", **headers: str) -> object:
    families = (make_family(), *app.FAMILIES.values())
    return Router(families, Settings()).find(method, uri, host, headers)


@pytest.mark.parametrize(
    ("uri", "host", "family", "arguments"),
    (
        (PATH, "localhost", "signals", {"account_type": "email", "name": "default"}),
        ("/_signals/account/email/%C3%A4%20b?pretty", "", "signals", {"account_type": "email", "name": "ä b"}),
        ("/_signals/account/email/ä", "localhost", "signals", {"account_type": "email", "name": "ä"}),
        ("/toys/api/toys/x", "localhost", "toy", {"name": "x"}),
        ("/livez", HOST, "admin", {}),
    ),
)
def test_a_path_leads_where_the_service_takes_it(
    uri: str, host: str, family: str, arguments: Mapping[str, str]
) -> None:
    found = find(uri, host)
    assert isinstance(found, Destination)
    assert (found.family.name, found.arguments) == (family, arguments)


ODD = (
    PATH,
    f"{PATH}?pretty",
    f"{PATH}/",
    "/_signals//account/email/default",
    "//_signals/account/email/default",
    "/_signals/account/email",
    "/_signals/account/email/%2e%2e",
    "/_signals/account/email/../default",
    "/_signals/account/email/a%2Fb",
    "/_signals/account/email/a%252Fb",
    "/_signals/account/email/a%00",
    "/_signals/account/email/%E2%80%A8",
    "/_signals/account/email/%FF",
    "/_signals/account/email/" + "x" * 513,
    "/_signals/account/email/;a=b",
    "/%5Fsignals/account/email/default",
    "/_signals",
    "/_Signals/account/email/default",
    "/nowhere",
    "/",
)


def test_whether_a_path_leads_somewhere_is_what_the_service_says(service: Service, subtests: pytest.Subtests) -> None:
    router = Router(app.FAMILIES.values(), Settings())
    for path in ODD:
        for method in ("GET", "POST", "OPTIONS", "HEAD"):
            with subtests.test(path=path, method=method):
                found = router.find(method, path, "localhost", {})
                answer = service.ask(method, path, headers={"Host": "localhost"})
                match found:
                    case BadPath(reason):
                        assert answer.status_code == 400
                        assert method == "HEAD" or reason in answer.text
                    case MethodNotAllowed():
                        assert answer.status_code == 405
                    case NoSuchRoute():
                        assert answer.status_code in {400, 404}
                        assert method == "HEAD" or "Invalid path" not in answer.text
                    case _:
                        # The administrator may read it, and it is not there.
                        assert answer.status_code in {403, 404}
                        assert (
                            answer.status_code == 403
                            or '"found": false' in answer.text.lower()
                            or "not found" in answer.text.lower()
                        )


def test_a_host_of_its_own_leads_elsewhere() -> None:
    found = find(PATH, f"{HOST.upper()}:8443", "PUT")
    assert isinstance(found, Destination)
    assert (found.family.name, found.arguments) == ("toy", {"kind": "email", "name": "default"})
    assert isinstance(find(PATH, HOST), MethodNotAllowed)
    assert isinstance(find("/toys/api/toys/a%00", HOST), BadPath)
    assert isinstance(find("/toys/api/nothing"), NoSuchRoute)


@pytest.mark.parametrize(("sent", "tenant"), (("t1", "t1"), ("_main", "_main")))
def test_the_tenant_is_the_one_that_the_header_names(sent: str, tenant: str) -> None:
    found = find(PATH, sgtenant=sent)
    assert isinstance(found, Destination)
    assert found.tenant == tenant
    without = find(PATH)
    assert isinstance(without, Destination)
    assert without.tenant is None
